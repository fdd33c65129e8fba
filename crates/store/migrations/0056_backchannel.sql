-- Back-channel logout: where a client is told that a session has ended, and which client knows which session (`session`: digest of its
-- token; `issuer`: the address by which that client knows the provider). `due_at` (milliseconds since 1970): NULL while the session stands,
-- then when the client is told, again if it did not take it. One text for SQLite and PostgreSQL.
ALTER TABLE identity_client ADD COLUMN backchannel TEXT NOT NULL DEFAULT '';
ALTER TABLE identity_client ADD COLUMN backchannel_session BIGINT NOT NULL DEFAULT 0;
CREATE TABLE identity_login (application TEXT NOT NULL, session TEXT NOT NULL, account TEXT NOT NULL, issuer TEXT NOT NULL, due_at BIGINT, tries BIGINT NOT NULL, PRIMARY KEY (application, session));
CREATE INDEX identity_login_session ON identity_login (session);
CREATE INDEX identity_login_due ON identity_login (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_expires ON session (expires_at);
