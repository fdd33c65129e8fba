-- Signed checkpoints of the audit chain. They are only ever added.
CREATE TABLE seal (number BIGINT PRIMARY KEY, last BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX seal_last ON seal (last);
