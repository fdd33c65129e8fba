-- Exchanges of files, their files and incidents. `sealed` holds what is secret of an exchange, sealed for this row. `work` of a
-- file: 1 the worker has something to do, 2 it waits for a person, 0 neither.
CREATE TABLE exchange (id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, wish TEXT NOT NULL, body TEXT NOT NULL, figures TEXT NOT NULL, sealed TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX exchange_name ON exchange (org, name);
CREATE TABLE exchange_file (id TEXT PRIMARY KEY, exchange TEXT NOT NULL, path TEXT NOT NULL, work BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX exchange_file_of ON exchange_file (exchange, id);
CREATE INDEX exchange_file_work ON exchange_file (exchange, work, id);
CREATE INDEX exchange_file_path ON exchange_file (exchange, path, id);
CREATE TABLE exchange_incident (id TEXT PRIMARY KEY, exchange TEXT NOT NULL, is_open BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX exchange_incident_of ON exchange_incident (exchange, id);
