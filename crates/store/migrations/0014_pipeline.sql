-- Pipelines: `body` holds the file as people wrote it and what it comes to; old texts stay in `pipeline_version`. A turn is one
-- pull; its key is unique within the pipeline, so that of several processes one begins it, and its owner renews a lease.
-- Where an incremental pipeline stands is in the lake, with the rows.
CREATE TABLE pipeline (id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, entry TEXT NOT NULL, source TEXT NOT NULL, wish TEXT NOT NULL, version BIGINT NOT NULL, due_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX pipeline_name ON pipeline (org, name);
CREATE INDEX pipeline_entry ON pipeline (entry);
CREATE INDEX pipeline_reads ON pipeline (source);
CREATE INDEX pipeline_due ON pipeline (wish, due_at);
CREATE TABLE pipeline_version (pipeline TEXT NOT NULL, version BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (pipeline, version));
CREATE TABLE pipeline_after (pipeline TEXT NOT NULL, org TEXT NOT NULL, upstream TEXT NOT NULL, PRIMARY KEY (pipeline, upstream));
CREATE INDEX pipeline_after_upstream ON pipeline_after (org, upstream);
CREATE TABLE pipeline_turn (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, turn_key TEXT NOT NULL, kind TEXT NOT NULL, batch TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL, ready_at TEXT NOT NULL, source TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0, body TEXT NOT NULL);
CREATE UNIQUE INDEX pipeline_turn_key ON pipeline_turn (pipeline, turn_key);
CREATE INDEX pipeline_turn_list ON pipeline_turn (pipeline, id);
CREATE INDEX pipeline_turn_at ON pipeline_turn (pipeline, at, id);
CREATE INDEX pipeline_turn_ready ON pipeline_turn (state, ready_at, id);
CREATE INDEX pipeline_turn_source ON pipeline_turn (source, state);
CREATE INDEX pipeline_turn_batch ON pipeline_turn (batch, state);
-- One row for each source that is counted: whoever counts locks it.
CREATE TABLE pipeline_source (source TEXT PRIMARY KEY);
-- Secrets that files name (headers of interfaces, keys of object stores), sealed.
CREATE TABLE pipeline_secret (org TEXT NOT NULL, name TEXT NOT NULL, sealed TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (org, name));
