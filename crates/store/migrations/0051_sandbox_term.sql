-- Sandboxes are found without reading bodies. `sandbox` of a project: 0 no sandbox, 1 open, 2 closed; `sandbox_until` is the last day of its
-- term (empty where it was not kept yet). `sandboxed` of a share application: 1 where it is agreed for use in a sandbox only.
ALTER TABLE project ADD COLUMN sandbox BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN sandbox_until TEXT NOT NULL DEFAULT '';
UPDATE project SET sandbox = 1 WHERE body LIKE '%"sandbox":{%' AND body LIKE '%"closed_at":null%';
UPDATE project SET sandbox = 2 WHERE body LIKE '%"sandbox":{%' AND sandbox = 0;
CREATE INDEX project_sandbox ON project (application, sandbox);
CREATE INDEX project_sandbox_open ON project (sandbox, id);
ALTER TABLE request ADD COLUMN sandboxed BIGINT NOT NULL DEFAULT 0;
UPDATE request SET sandboxed = 1 WHERE body LIKE '%"by_sql":true%' AND body LIKE '%"way":"open"%';
CREATE INDEX request_sandboxed ON request (application, sandboxed);
-- What the gate knows the rows of a release by that is served as an interface; empty: by nothing.
ALTER TABLE sandbox_release ADD COLUMN outlet TEXT NOT NULL DEFAULT '';
CREATE INDEX sandbox_release_outlet ON sandbox_release (outlet);
-- Longer terms that were asked for; they wait at the seats of the release desk.
CREATE TABLE sandbox_extension (id TEXT PRIMARY KEY, project TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX sandbox_extension_project ON sandbox_extension (project, id);
