-- Harvest of other catalogues. `body` is the whole thing; columns beside it are what jobs and lists look for.
CREATE TABLE harvest_source (id TEXT PRIMARY KEY, name TEXT NOT NULL, wish TEXT NOT NULL, due TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX harvest_source_name ON harvest_source (name);
CREATE INDEX harvest_source_due ON harvest_source (wish, due);
-- A turn. `ready_at`: from when on it may be taken up. One turn of a source is open at a time.
CREATE TABLE harvest_turn (id TEXT PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL, ready_at TEXT NOT NULL, owner TEXT NOT NULL, lease_until BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX harvest_turn_open ON harvest_turn (source) WHERE state IN ('waiting', 'running');
CREATE INDEX harvest_turn_source ON harvest_turn (source, id);
CREATE INDEX harvest_turn_ready ON harvest_turn (state, ready_at);
-- Where entries come from: a record of a source is one entry, whatever becomes of its title or its place in the list.
CREATE TABLE harvest_origin (source TEXT NOT NULL, foreign_id TEXT NOT NULL, entry TEXT NOT NULL, first_turn TEXT NOT NULL, seen_turn TEXT NOT NULL, outcome TEXT NOT NULL, gone_at TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (source, foreign_id));
CREATE UNIQUE INDEX harvest_origin_entry ON harvest_origin (entry);
CREATE INDEX harvest_origin_seen ON harvest_origin (source, seen_turn, outcome);
CREATE TABLE harvest_refusal (turn TEXT NOT NULL, foreign_id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (turn, foreign_id));
