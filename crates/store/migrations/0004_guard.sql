-- Failed sign-ins, counted before a password is checked; kept by name (hashed), whether an account has it or not, so
-- that a lock-out tells nothing of which names exist. They take the place of `user_account.failures` and `locked_until`.
CREATE TABLE sign_in (name TEXT PRIMARY KEY, failures BIGINT NOT NULL, locked_until TEXT, at TEXT NOT NULL);
CREATE INDEX sign_in_at ON sign_in (at);
-- A password that an administrator gave: good until then, and to be changed at the next sign-in.
ALTER TABLE user_account ADD COLUMN one_time_until TEXT;
-- Citizens own applications and file requests as persons.
CREATE INDEX application_owner ON application (owner, id);
CREATE INDEX request_applicant ON request (applicant, id);
-- What is due first stands first.
CREATE INDEX request_due ON request (state, due, id);
