-- What a served answer of a released result bears, with the call that it answered (`id`: the mark, `body`: JSON). One text for SQLite and
-- PostgreSQL.
CREATE TABLE sandbox_mark (id TEXT PRIMARY KEY, release_id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX sandbox_mark_of ON sandbox_mark (release_id, at);
-- Who bears the same name as somebody else.
CREATE INDEX user_account_shown ON user_account (display_name);
