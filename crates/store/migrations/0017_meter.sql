-- The meter: what the audit chain adds up to, written in the transaction of its records (on SQLite in the chain's own file, on PostgreSQL in the control database).
CREATE TABLE meter_key (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, application TEXT NOT NULL, org TEXT NOT NULL, entry TEXT NOT NULL, interface TEXT NOT NULL, way TEXT NOT NULL, outcome TEXT NOT NULL, purpose TEXT NOT NULL);
CREATE UNIQUE INDEX meter_key_parts ON meter_key (application, org, entry, interface, way, outcome, purpose);
CREATE INDEX meter_key_entry ON meter_key (entry);
-- Times are microseconds; t0 to t11 count calls by class of their time (model::usage::CLASSES).
CREATE TABLE meter_day (day TEXT NOT NULL, key_id BIGINT NOT NULL, calls BIGINT NOT NULL, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL, micros BIGINT NOT NULL, slowest BIGINT NOT NULL, t0 BIGINT NOT NULL, t1 BIGINT NOT NULL, t2 BIGINT NOT NULL, t3 BIGINT NOT NULL, t4 BIGINT NOT NULL, t5 BIGINT NOT NULL, t6 BIGINT NOT NULL, t7 BIGINT NOT NULL, t8 BIGINT NOT NULL, t9 BIGINT NOT NULL, t10 BIGINT NOT NULL, t11 BIGINT NOT NULL, PRIMARY KEY (day, key_id));
CREATE INDEX meter_day_key ON meter_day (key_id, day);
-- The whole house by hour of China's civil time: counters of the year are read from here.
CREATE TABLE meter_hour (hour TEXT NOT NULL, outcome TEXT NOT NULL, calls BIGINT NOT NULL, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL, micros BIGINT NOT NULL, PRIMARY KEY (hour, outcome));
-- The record up to which the chain is counted.
CREATE TABLE meter_mark (one BIGINT PRIMARY KEY, seq BIGINT NOT NULL);
INSERT INTO meter_mark (one, seq) VALUES (1, 0);
