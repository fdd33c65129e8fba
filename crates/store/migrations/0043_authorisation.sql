-- Authorisation by the subject. `mark` and `subject` are keyed hashes of an identifier; the identifier itself rests sealed.
CREATE TABLE subject_identifier (account TEXT PRIMARY KEY, kind TEXT NOT NULL, mark TEXT NOT NULL, sealed TEXT NOT NULL, confirmed_by TEXT NOT NULL, at TEXT NOT NULL);
CREATE UNIQUE INDEX subject_identifier_mark ON subject_identifier (mark);
CREATE TABLE subject_authorisation (id TEXT PRIMARY KEY, subject TEXT NOT NULL, application TEXT NOT NULL, entry TEXT NOT NULL, state TEXT NOT NULL, until TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX subject_authorisation_subject ON subject_authorisation (subject, id);
CREATE INDEX subject_authorisation_application ON subject_authorisation (application, id);
CREATE INDEX subject_authorisation_gate ON subject_authorisation (application, entry, subject, state);
CREATE TABLE subject_use (id TEXT PRIMARY KEY, authorisation TEXT NOT NULL, at TEXT NOT NULL, items TEXT NOT NULL, purpose TEXT NOT NULL, request_id TEXT NOT NULL);
CREATE INDEX subject_use_of ON subject_use (authorisation, id);
