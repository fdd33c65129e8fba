-- Tokens of people for machine doors, kept as digests: what a person's own programs act by. `tail` is what its owner knows one by; times
-- are RFC 3339. They go with what ends a person's sessions: the account's closing, other roles, another organisation, a password given anew.
CREATE TABLE personal_token (digest TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, name TEXT NOT NULL, tail TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, last_used_at TEXT);
CREATE INDEX personal_token_of ON personal_token (user_id, id);
-- Drafts that were given up before anybody outside knew of them. `moved` is the ledger's number by which other processes take them out of
-- their search (see `entry.moved`).
CREATE TABLE entry_discarded (id TEXT PRIMARY KEY, code TEXT NOT NULL, org TEXT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, moved BIGINT NOT NULL);
CREATE INDEX entry_discarded_moved ON entry_discarded (moved, id);
