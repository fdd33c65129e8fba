-- SQL over the PostgreSQL wire. `verifier` is a SCRAM verifier, never a password; `text` of a statement is sealed by the platform's
-- secrets key, because what was asked for may name a person.
CREATE TABLE sql_login (application TEXT PRIMARY KEY, verifier TEXT NOT NULL, made_at TEXT NOT NULL, made_by TEXT NOT NULL);
CREATE TABLE sql_statement (id TEXT PRIMARY KEY, application TEXT NOT NULL, at TEXT NOT NULL, text TEXT NOT NULL, tables TEXT NOT NULL, row_count BIGINT NOT NULL, millis BIGINT NOT NULL, outcome TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX sql_statement_application ON sql_statement (application, id);
CREATE INDEX sql_statement_at ON sql_statement (at);
