-- Scheduled SQL of projects. A run's key is its job's once; a running run is one process's, by a lease. A result is the table of a
-- job as last made; its rows lie in the lake under `code`.
CREATE TABLE project_job (id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, paused BIGINT NOT NULL, due_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX project_job_name ON project_job (project, name);
CREATE INDEX project_job_due ON project_job (due_at);
CREATE TABLE project_run (id TEXT PRIMARY KEY, project TEXT NOT NULL, job TEXT NOT NULL, run_key TEXT NOT NULL, state TEXT NOT NULL, ready_at TEXT NOT NULL, cancel BIGINT NOT NULL DEFAULT 0, body TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX project_run_key ON project_run (job, run_key);
CREATE INDEX project_run_state ON project_run (state, ready_at);
CREATE INDEX project_run_job ON project_run (job, id);
CREATE TABLE project_result (project TEXT NOT NULL, name TEXT NOT NULL, byte_count BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (project, name));
