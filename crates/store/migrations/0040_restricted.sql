-- Restricted opening. `body` is the whole application; columns beside it are what lists, figures and jobs look for.
-- `due`: day by which the next step is due, of one in force its last day; empty: none. `decided`: approved, refused or empty.
-- `days`: working days from submission to decision, -1 without.
CREATE TABLE restricted_day (day TEXT PRIMARY KEY, latest BIGINT NOT NULL);
CREATE TABLE restricted_use (id TEXT PRIMARY KEY, number TEXT NOT NULL, state TEXT NOT NULL, org TEXT NOT NULL, applicant TEXT NOT NULL, subject TEXT NOT NULL, region TEXT NOT NULL, due TEXT NOT NULL, decided TEXT NOT NULL, days BIGINT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX restricted_use_number ON restricted_use (number);
CREATE INDEX restricted_use_org ON restricted_use (org, id);
CREATE INDEX restricted_use_applicant ON restricted_use (applicant, id);
CREATE INDEX restricted_use_state ON restricted_use (state, id);
CREATE INDEX restricted_use_due ON restricted_use (due, id);
CREATE INDEX restricted_use_subject ON restricted_use (subject, id);
-- Providers of the data sets that an application asks for.
CREATE TABLE restricted_provider (org TEXT NOT NULL, application TEXT NOT NULL, PRIMARY KEY (org, application));
CREATE TABLE restricted_event (application TEXT NOT NULL, seq BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (application, seq));
-- Public keys by which people sign, one of an organisation or citizen at a time.
CREATE TABLE signing_key (holder TEXT PRIMARY KEY, body TEXT NOT NULL);
