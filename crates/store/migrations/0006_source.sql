-- Data sources of departments. `url_sealed` is the connection URL with its password, sealed for this row.
CREATE TABLE source (id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, url_sealed TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX source_name ON source (org, name);
