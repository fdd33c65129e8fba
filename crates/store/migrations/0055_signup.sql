-- Accounts that people opened themselves, and who they are. One text for SQLite and PostgreSQL.
-- `source` is a keyed hash of the address it came from; `company` and `uscc` are what was told, and prove nothing.
CREATE TABLE sign_up (account TEXT PRIMARY KEY, kind TEXT NOT NULL, terms TEXT NOT NULL, company TEXT NOT NULL, uscc TEXT NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX sign_up_source ON sign_up (source, at);
-- Real-name filings. Names and number rest in `sealed` under the platform's key, and only while they are needed; `body` has the number
-- with its middle hidden and a keyed hash of it. What was verified stands in subject_identifier.
CREATE TABLE real_name (id TEXT PRIMARY KEY, account TEXT NOT NULL, state TEXT NOT NULL, edit BIGINT NOT NULL, at TEXT NOT NULL, sealed TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX real_name_account ON real_name (account, id);
CREATE INDEX real_name_state ON real_name (state, id);
CREATE UNIQUE INDEX real_name_waiting ON real_name (account) WHERE state = 'review';
