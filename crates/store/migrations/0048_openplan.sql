-- Opening as a process. `body` is the whole; columns beside it are what lists and jobs look for.
CREATE TABLE open_plan (id TEXT PRIMARY KEY, plan_year BIGINT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, state TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX open_plan_once ON open_plan (org, plan_year);
CREATE INDEX open_plan_state ON open_plan (state, id);
-- Risk checks: of an entry the newest counts.
CREATE TABLE open_assessment (id TEXT PRIMARY KEY, entry TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, state TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX open_assessment_entry ON open_assessment (entry, id);
CREATE INDEX open_assessment_org ON open_assessment (org, id);
CREATE INDEX open_assessment_state ON open_assessment (state, id);
-- Public notes of what was withdrawn. `since` empty: the authority has not agreed yet.
CREATE TABLE open_withdrawal (entry TEXT PRIMARY KEY, code TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, since TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX open_withdrawal_code ON open_withdrawal (code);
CREATE INDEX open_withdrawal_since ON open_withdrawal (since);
-- Entries whose check is due again.
CREATE TABLE open_recheck (entry TEXT PRIMARY KEY, org TEXT NOT NULL, region TEXT NOT NULL, opened_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX open_recheck_org ON open_recheck (org, entry);
