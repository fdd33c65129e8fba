-- Reports on the use of restricted-open data. `report`: state of the report that is not accepted yet; empty: none. `report_due`: day by which the
-- party is to file it; empty: nothing is asked of it. `reports`: how many were accepted. `pending` 1: grants are still to be made or to be ended.
ALTER TABLE restricted_use ADD COLUMN report TEXT NOT NULL DEFAULT '';
ALTER TABLE restricted_use ADD COLUMN report_due TEXT NOT NULL DEFAULT '';
ALTER TABLE restricted_use ADD COLUMN reports BIGINT NOT NULL DEFAULT 0;
ALTER TABLE restricted_use ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
UPDATE restricted_use SET pending = 1 WHERE state IN ('in_force', 'stopped');
CREATE INDEX restricted_use_report ON restricted_use (report, id) WHERE report <> '';
CREATE INDEX restricted_use_report_due ON restricted_use (report_due, id) WHERE report_due <> '';
CREATE INDEX restricted_use_pending ON restricted_use (id) WHERE pending = 1;
CREATE INDEX restricted_use_step ON restricted_use (state, due, id) WHERE due <> '';
-- Grants of agreements that are suspended: the gate looks here.
CREATE TABLE restricted_hold (request TEXT PRIMARY KEY, application TEXT NOT NULL);
CREATE INDEX restricted_hold_application ON restricted_hold (application);
