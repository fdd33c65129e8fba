-- Projects of batch sharing. `text` of a statement is sealed by the platform's secrets key. `project_use` counts milliseconds of
-- work; a day is one of China's.
CREATE TABLE project (id TEXT PRIMARY KEY, code TEXT NOT NULL, org TEXT NOT NULL, application TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX project_code ON project (code);
CREATE TABLE project_member (project TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, added_at TEXT NOT NULL, added_by TEXT NOT NULL, PRIMARY KEY (project, user_id));
CREATE INDEX project_member_user ON project_member (user_id, project);
CREATE TABLE project_statement (id TEXT PRIMARY KEY, project TEXT NOT NULL, user_id TEXT NOT NULL, user_name TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, text TEXT NOT NULL, tables TEXT NOT NULL, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL, millis BIGINT NOT NULL, outcome TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX project_statement_project ON project_statement (project, id);
CREATE INDEX project_statement_at ON project_statement (at);
CREATE TABLE project_use (project TEXT NOT NULL, day TEXT NOT NULL, millis BIGINT NOT NULL, PRIMARY KEY (project, day));
CREATE INDEX project_use_day ON project_use (day);
