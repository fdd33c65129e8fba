-- Tables of departments' databases that entries were drafted from, as they were then (`body`, JSON), and where a later
-- look found them otherwise (drift). One open drift per entry.
CREATE TABLE schema_table (entry TEXT PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, org TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX schema_table_source ON schema_table (source, name);
CREATE TABLE drift (id TEXT PRIMARY KEY, entry TEXT NOT NULL, source TEXT NOT NULL, org TEXT NOT NULL, state TEXT NOT NULL, opened_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX drift_org ON drift (org, state, id);
CREATE INDEX drift_state ON drift (state, id);
CREATE INDEX drift_source ON drift (source, id);
CREATE UNIQUE INDEX drift_open ON drift (entry) WHERE state = 'open';
