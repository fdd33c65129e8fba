-- Emergency stops, the newest last; one thing is under one stop at a time. `halt_clock` counts what changes them: a process that
-- remembers a number asks for the stops again when it has moved.
CREATE TABLE halt (id TEXT PRIMARY KEY, kind TEXT NOT NULL, holder TEXT NOT NULL, in_force BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX halt_one ON halt (kind, holder) WHERE in_force = 1;
CREATE INDEX halt_of ON halt (kind, holder, id);
CREATE TABLE halt_clock (id BIGINT PRIMARY KEY, changed BIGINT NOT NULL);
INSERT INTO halt_clock (id, changed) VALUES (1, 0);
