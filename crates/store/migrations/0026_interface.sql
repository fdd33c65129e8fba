-- Interfaces by description, a row per version; `body` is the interface. `changed` numbers the changes of all of them in their order:
-- a process that remembers up to a number reads only what came after it. `interface_clock` holds the last number, and whether the
-- older calling convention is on ('' = as configured).
CREATE TABLE interface (id TEXT PRIMARY KEY, code TEXT NOT NULL, version BIGINT NOT NULL, org TEXT NOT NULL, entry TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, title TEXT NOT NULL, changed BIGINT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX interface_code ON interface (code, version);
CREATE UNIQUE INDEX interface_changed ON interface (changed);
CREATE INDEX interface_org ON interface (org, id);
CREATE INDEX interface_entry ON interface (entry, id);
CREATE TABLE interface_clock (id BIGINT PRIMARY KEY, changed BIGINT NOT NULL, convention TEXT NOT NULL DEFAULT '');
INSERT INTO interface_clock (id, changed) VALUES (1, 0);
