-- Bounds of calling: of an application, a share application or a resource (`kind`, `holder`); `body` is what is set. `subject_day`
-- counts how often an application has asked about one subject of a resource on a day; the subject is a keyed hash, never its key.
CREATE TABLE bounds (kind TEXT NOT NULL, holder TEXT NOT NULL, body TEXT NOT NULL, set_at TEXT NOT NULL, set_by TEXT NOT NULL, PRIMARY KEY (kind, holder));
CREATE TABLE subject_day (application TEXT NOT NULL, entry TEXT NOT NULL, day TEXT NOT NULL, subject TEXT NOT NULL, asks BIGINT NOT NULL, PRIMARY KEY (application, entry, day, subject));
CREATE INDEX subject_day_day ON subject_day (day);
