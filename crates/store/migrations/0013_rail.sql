-- The real-time rail. `body` is what people decided, `figures` what the platform found; the owner renews its lease while it
-- follows the source, and only the owner writes figures.
CREATE TABLE rail (id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, wish TEXT NOT NULL, body TEXT NOT NULL, figures TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX rail_name ON rail (org, name);
CREATE INDEX rail_source ON rail (source);
CREATE TABLE rail_table (rail TEXT NOT NULL, place TEXT NOT NULL, entry TEXT NOT NULL, anew BIGINT NOT NULL, body TEXT NOT NULL, figures TEXT NOT NULL, PRIMARY KEY (rail, place));
CREATE UNIQUE INDEX rail_table_entry ON rail_table (entry);
CREATE TABLE rail_incident (id TEXT PRIMARY KEY, rail TEXT NOT NULL, is_open BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX rail_incident_rail ON rail_incident (rail, id);
