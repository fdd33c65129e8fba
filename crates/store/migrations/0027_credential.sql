-- Short-lived credentials of applications, beside their own secret. `convention_secret`: secrets of the older calling convention
-- (`refresh`, `request`), sealed; every one that was given out is good until its end. `access_token`: tokens of OAuth 2 client
-- credentials, kept as digests. Times are milliseconds since 1970.
CREATE TABLE convention_secret (id TEXT PRIMARY KEY, application TEXT NOT NULL, kind TEXT NOT NULL, sealed TEXT NOT NULL, issued_at BIGINT NOT NULL, ends_at BIGINT NOT NULL);
CREATE INDEX convention_secret_of ON convention_secret (application, kind, ends_at);
CREATE TABLE access_token (digest TEXT PRIMARY KEY, application TEXT NOT NULL, scope TEXT NOT NULL, ends_at BIGINT NOT NULL);
CREATE INDEX access_token_of ON access_token (application, ends_at);
