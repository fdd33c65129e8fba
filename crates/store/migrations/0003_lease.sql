-- Who does a run, and until when (seconds since 1970) nobody else may take it up.
ALTER TABLE run ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;
