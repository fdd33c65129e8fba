-- Recurring jobs of the platform: the last state of each, and runs that did something.
CREATE TABLE job (word TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT NOT NULL, done BIGINT NOT NULL, note_zh TEXT NOT NULL, note_en TEXT NOT NULL, next_at TEXT NOT NULL, failures BIGINT NOT NULL);
CREATE TABLE job_run (id TEXT PRIMARY KEY, word TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL, outcome TEXT NOT NULL, done BIGINT NOT NULL, note_zh TEXT NOT NULL, note_en TEXT NOT NULL, by_name TEXT NOT NULL);
CREATE INDEX job_run_word ON job_run (word, id);
-- What a failed run needs to be run again, sealed; the calendar of runs.
ALTER TABLE run ADD COLUMN recipe TEXT NOT NULL DEFAULT '';
CREATE INDEX run_started ON run (started_at, state, org);
CREATE INDEX run_failed ON run (state, started_at);
-- What lies idle, as last measured, and proposals to reclaim it.
CREATE TABLE idle (kind TEXT NOT NULL, thing TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, title TEXT NOT NULL, percent BIGINT, since TEXT NOT NULL, seen_at TEXT NOT NULL, PRIMARY KEY (kind, thing));
CREATE INDEX idle_since ON idle (since, kind, thing);
CREATE INDEX idle_org ON idle (org, since, kind, thing);
CREATE TABLE reclaim (id TEXT PRIMARY KEY, kind TEXT NOT NULL, thing TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, title TEXT NOT NULL, percent BIGINT, since TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, proposed_by TEXT NOT NULL, proposed_by_name TEXT NOT NULL, proposed_at TEXT NOT NULL, due TEXT NOT NULL, answered_by_name TEXT NOT NULL, answered_at TEXT, answer TEXT NOT NULL, keep_until TEXT NOT NULL);
CREATE UNIQUE INDEX reclaim_open ON reclaim (kind, thing) WHERE state = 'proposed';
CREATE INDEX reclaim_thing ON reclaim (kind, thing, id);
CREATE INDEX reclaim_org ON reclaim (org, id);
CREATE INDEX reclaim_state ON reclaim (state, due, id);
-- Entries whose data are older than their update cycle, as last measured.
CREATE TABLE stale_entry (entry TEXT PRIMARY KEY, org TEXT NOT NULL, region TEXT NOT NULL, code TEXT NOT NULL, title TEXT NOT NULL, cycle TEXT NOT NULL, data_at TEXT NOT NULL, due TEXT NOT NULL, seen_at TEXT NOT NULL);
CREATE INDEX stale_entry_due ON stale_entry (due, entry);
CREATE INDEX stale_entry_org ON stale_entry (org, due, entry);
-- How large the ledgers were on a day.
CREATE TABLE ledger_day (day TEXT NOT NULL, ledger TEXT NOT NULL, total BIGINT NOT NULL, PRIMARY KEY (day, ledger));
