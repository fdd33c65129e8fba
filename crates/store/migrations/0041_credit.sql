-- The credit record of those who use data that are open on conditions. `standing`: 1 it counts unless its time is over, 0 repaired.
-- `until`: last day for which it is kept.
CREATE TABLE credit_record (id TEXT PRIMARY KEY, subject TEXT NOT NULL, standing BIGINT NOT NULL, until TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX credit_record_subject ON credit_record (subject, standing, until);
CREATE INDEX credit_record_until ON credit_record (until, id);
