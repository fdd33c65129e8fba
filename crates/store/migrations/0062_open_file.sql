-- What is known of the files that a freely open set is handed out as: size and checksum (SHA-256) of what was made of `stamp`, a digest of
-- all that decides its bytes. Derived data: where the stamp is another one, the line says nothing. One text for SQLite and PostgreSQL.
CREATE TABLE open_file (
    entry TEXT NOT NULL,
    file TEXT NOT NULL,
    stamp TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    known_at TEXT NOT NULL,
    PRIMARY KEY (entry, file)
);
