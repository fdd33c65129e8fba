-- Exports of projects: `sql` is sealed. `taken_at` is written once.
CREATE TABLE project_export (id TEXT PRIMARY KEY, project TEXT NOT NULL, approval TEXT NOT NULL, sql TEXT NOT NULL, until_at TEXT NOT NULL DEFAULT '', taken_at TEXT NOT NULL DEFAULT '', row_count BIGINT NOT NULL DEFAULT 0, byte_count BIGINT NOT NULL DEFAULT 0, body TEXT NOT NULL);
CREATE INDEX project_export_project ON project_export (project, id);
CREATE UNIQUE INDEX project_export_approval ON project_export (approval);
