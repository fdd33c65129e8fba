-- Delta Sharing. `digest` is of a bearer token, never a token. `delta_view`: versions of shared views as they were made and last
-- asked for (seconds since 1970), by which they are kept or removed. `delta_read`: files whose reading has begun (milliseconds).
CREATE TABLE delta_token (id TEXT PRIMARY KEY, application TEXT NOT NULL, digest TEXT NOT NULL, made_at TEXT NOT NULL, made_by TEXT NOT NULL, ends_at TEXT NOT NULL, used_at TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX delta_token_digest ON delta_token (digest);
CREATE INDEX delta_token_application ON delta_token (application, id);
CREATE TABLE delta_view (id TEXT NOT NULL, version BIGINT NOT NULL, application TEXT NOT NULL, entry TEXT NOT NULL, files BIGINT NOT NULL, row_count BIGINT NOT NULL, bytes BIGINT NOT NULL, made_at TEXT NOT NULL, millis BIGINT NOT NULL, used_at BIGINT NOT NULL, PRIMARY KEY (id, version));
CREATE INDEX delta_view_application ON delta_view (application, entry);
CREATE TABLE delta_read (id TEXT PRIMARY KEY, begun_at BIGINT NOT NULL, last_at BIGINT NOT NULL);
CREATE INDEX delta_read_last ON delta_read (last_at);
