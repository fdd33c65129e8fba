-- The release desk. A seat is open (1) until whoever sits on it has decided, or nobody needs to any more; `org` is empty for the
-- authority. `state` of a release is what its body says.
CREATE TABLE sandbox_release (id TEXT PRIMARY KEY, project TEXT NOT NULL, state TEXT NOT NULL, mark TEXT NOT NULL, edit BIGINT NOT NULL, content TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX sandbox_release_project ON sandbox_release (project, id);
CREATE INDEX sandbox_release_mark ON sandbox_release (mark);
CREATE TABLE sandbox_seat (subject TEXT NOT NULL, org TEXT NOT NULL, kind TEXT NOT NULL, waits BIGINT NOT NULL, PRIMARY KEY (subject, org));
CREATE INDEX sandbox_seat_desk ON sandbox_seat (org, waits, subject);
