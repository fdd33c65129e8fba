-- Clients of the identity provider: addresses to be sent to after signing out, what they may ask for, and browser apps' origins. Sessions
-- know how they were opened, accounts when they last changed. One text for SQLite and PostgreSQL.
ALTER TABLE identity_client ADD COLUMN logouts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE identity_client ADD COLUMN scopes TEXT NOT NULL DEFAULT '["profile","org","offline_access"]';
CREATE TABLE identity_origin (application TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY (application, origin));
CREATE INDEX identity_origin_of ON identity_origin (origin);
ALTER TABLE session ADD COLUMN method TEXT NOT NULL DEFAULT 'password';
ALTER TABLE user_account ADD COLUMN updated_at TEXT NOT NULL DEFAULT '';
