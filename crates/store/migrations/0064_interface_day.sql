-- Calls of a day by an interface that has a quota: of all callers together (`application` empty) and of each application, where it is limited.
-- One text for SQLite and PostgreSQL.
CREATE TABLE interface_day (code TEXT NOT NULL, application TEXT NOT NULL, day TEXT NOT NULL, calls BIGINT NOT NULL, PRIMARY KEY (code, application, day));
