-- Reporting: forms with their published versions, plans, tasks with rows and history. `body` is the whole thing; columns
-- beside it are what lists look for. Row 0 of a revision holds what is filled once; revision 0 is the draft.
CREATE TABLE report_form (id TEXT PRIMARY KEY, org TEXT NOT NULL, title TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX report_form_title ON report_form (org, title);
CREATE TABLE report_form_version (form TEXT NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (form, version));
CREATE TABLE report_plan (id TEXT PRIMARY KEY, org TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX report_plan_org ON report_plan (org, id);
CREATE INDEX report_plan_state ON report_plan (state, id);
CREATE TABLE report_task (id TEXT PRIMARY KEY, plan TEXT NOT NULL, period TEXT NOT NULL, org TEXT NOT NULL, issuer TEXT NOT NULL, above TEXT, above_org TEXT NOT NULL, state TEXT NOT NULL, due TEXT NOT NULL, landing TEXT NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX report_task_turn ON report_task (plan, period, org);
CREATE INDEX report_task_org ON report_task (org, id);
CREATE INDEX report_task_above ON report_task (above, id);
CREATE INDEX report_task_desk ON report_task (above_org, state, id);
CREATE INDEX report_task_due ON report_task (state, due, id);
CREATE INDEX report_task_landing ON report_task (landing, id);
CREATE TABLE report_row (task TEXT NOT NULL, revision BIGINT NOT NULL, n BIGINT NOT NULL, cells TEXT NOT NULL, PRIMARY KEY (task, revision, n));
CREATE TABLE report_event (id TEXT PRIMARY KEY, task TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX report_event_task ON report_event (task, id);
-- Whose a business key of an entry is: of one organisation, and there of its newest period.
CREATE TABLE report_key (entry TEXT NOT NULL, key_hash TEXT NOT NULL, org TEXT NOT NULL, period TEXT NOT NULL, task TEXT NOT NULL, PRIMARY KEY (entry, key_hash));
CREATE INDEX report_key_task ON report_key (task);
