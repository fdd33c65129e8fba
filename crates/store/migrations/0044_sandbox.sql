-- The data sandbox. `content` is sealed: a program's module, the frozen rows of a release. `edit` counts the writes of `body`.
CREATE TABLE sandbox_program (id TEXT PRIMARY KEY, project TEXT NOT NULL, content TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX sandbox_program_project ON sandbox_program (project, id);
CREATE TABLE sandbox_run (id TEXT PRIMARY KEY, project TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX sandbox_run_project ON sandbox_run (project, id);
CREATE INDEX project_application ON project (application);
