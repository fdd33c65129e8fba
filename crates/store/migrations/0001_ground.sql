-- The control store. One text for SQLite and PostgreSQL: TEXT, BIGINT and DOUBLE PRECISION only.
CREATE TABLE region (code TEXT PRIMARY KEY, name_cn TEXT NOT NULL, name_en TEXT NOT NULL, level TEXT NOT NULL, parent TEXT);
CREATE TABLE org (id TEXT PRIMARY KEY, uscc TEXT NOT NULL UNIQUE, name_cn TEXT NOT NULL, name_en TEXT NOT NULL, kind TEXT NOT NULL, region TEXT NOT NULL, parent TEXT, authority BIGINT NOT NULL);
CREATE TABLE user_account (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, org TEXT, roles TEXT NOT NULL, password_hash TEXT NOT NULL, active BIGINT NOT NULL, failures BIGINT NOT NULL, locked_until TEXT, created_at TEXT NOT NULL);
CREATE TABLE session (token_hash TEXT PRIMARY KEY, user_id TEXT NOT NULL, csrf TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL);
CREATE INDEX session_by_user ON session (user_id);
CREATE TABLE application (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, org TEXT NOT NULL, access_key TEXT NOT NULL UNIQUE, secret_sealed TEXT NOT NULL, active BIGINT NOT NULL, owner TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE INDEX application_org ON application (org, id);

-- The ledger. `body` is the declaration in force (EntryDraft without items, JSON); `pending` is a change under review (whole EntryDraft, JSON).
CREATE TABLE entry (id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, title TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, domain TEXT NOT NULL, share_type TEXT NOT NULL, open_type TEXT NOT NULL, grade TEXT NOT NULL, publish_state TEXT NOT NULL, online_state TEXT NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL, pending TEXT, submitted_by TEXT, created_at TEXT NOT NULL, created_by TEXT NOT NULL, updated_at TEXT NOT NULL, published_at TEXT, row_count BIGINT NOT NULL, data_at TEXT);
CREATE INDEX entry_org ON entry (org, id);
CREATE INDEX entry_states ON entry (publish_state, online_state, id);
CREATE TABLE item (entry TEXT NOT NULL, position BIGINT NOT NULL, identifier TEXT NOT NULL, name_cn TEXT NOT NULL, name_en TEXT NOT NULL, data_type TEXT NOT NULL, grade TEXT NOT NULL, share_type TEXT NOT NULL, open_type TEXT NOT NULL, is_primary BIGINT NOT NULL, is_lookup BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (entry, identifier));
CREATE INDEX item_name ON item (name_cn);
CREATE TABLE entry_version (entry TEXT NOT NULL, version BIGINT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (entry, version));
CREATE TABLE entry_step (entry TEXT NOT NULL, seq BIGINT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, actor_name TEXT NOT NULL, action TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (entry, seq));

-- Sharing.
CREATE TABLE request (id TEXT PRIMARY KEY, entry TEXT NOT NULL, provider TEXT NOT NULL, application TEXT NOT NULL, org TEXT NOT NULL, state TEXT NOT NULL, due TEXT, expires_at TEXT, applicant TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX request_org ON request (org, id);
CREATE INDEX request_provider ON request (provider, state, id);
CREATE INDEX request_application ON request (application, entry, state);
-- One application has at most one share application under way or approved for an entry.
CREATE UNIQUE INDEX request_active ON request (application, entry) WHERE state IN ('provider-auditing', 'authority-auditing', 'approved');
CREATE INDEX request_expiry ON request (state, expires_at);
CREATE TABLE request_step (request TEXT NOT NULL, seq BIGINT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, actor_name TEXT NOT NULL, action TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (request, seq));
CREATE TABLE quota_day (application TEXT NOT NULL, entry TEXT NOT NULL, day TEXT NOT NULL, calls BIGINT NOT NULL, PRIMARY KEY (application, entry, day));

-- Collection. `body` of a run is the Run (JSON) with its order, so that it can be resumed.
CREATE TABLE run (id TEXT PRIMARY KEY, entry TEXT NOT NULL, org TEXT NOT NULL, state TEXT NOT NULL, started_at TEXT NOT NULL, body TEXT NOT NULL, source TEXT NOT NULL);
CREATE INDEX run_entry ON run (entry, id);
CREATE INDEX run_org ON run (org, id);
CREATE INDEX run_state ON run (state, id);
CREATE TABLE parcel (entry TEXT NOT NULL, id TEXT NOT NULL, run TEXT NOT NULL, landed_at TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (entry, id));
CREATE TABLE quarantine (id TEXT PRIMARY KEY, run TEXT NOT NULL, entry TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX quarantine_run ON quarantine (run, id);

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
-- Nonces of signed calls, shared by the gateways of one PostgreSQL store. `minute` is the signed time, for forgetting.
CREATE TABLE nonce (id TEXT PRIMARY KEY, minute BIGINT NOT NULL);
CREATE INDEX nonce_minute ON nonce (minute);
