-- Notices to people, what they subscribe to, and the order in which the ledgers changed. One text for SQLite and PostgreSQL.
-- `mark` says what it is about: the same thing is told to the same person once.
CREATE TABLE notice (id TEXT PRIMARY KEY, owner TEXT NOT NULL, mark TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, words TEXT NOT NULL, href TEXT NOT NULL, at TEXT NOT NULL, read_at TEXT);
CREATE UNIQUE INDEX notice_once ON notice (owner, mark);
CREATE INDEX notice_list ON notice (owner, id);
CREATE INDEX notice_unread ON notice (owner, id) WHERE read_at IS NULL;
-- `subject` is a kept search's id, or a node of the ledgers (`data:ID`, `cloud:ID`).
CREATE TABLE subscription (id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, title TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE UNIQUE INDEX subscription_once ON subscription (owner, kind, subject);
CREATE INDEX subscription_of ON subscription (kind, subject);
-- Changes of links in their order (`link_epoch` counts them): what a process keeps of the links in memory follows them.
-- `what`: add, remove, merge (links of `from_node` go to `to_node`), load (too many at once: read them all anew).
CREATE TABLE link_log (seq BIGINT PRIMARY KEY, what TEXT NOT NULL, from_node TEXT NOT NULL, to_node TEXT NOT NULL, kind TEXT NOT NULL);
-- Usage: who calls an entry by an approved share application.
CREATE INDEX request_entry ON request (entry, state);
-- When what may be known of an entry last changed: a review under way does not show in it.
ALTER TABLE entry ADD COLUMN changed_at TEXT NOT NULL DEFAULT '';
UPDATE entry SET changed_at = COALESCE(published_at, updated_at);
CREATE INDEX entry_changed ON entry (changed_at, id);
CREATE INDEX entry_changed_org ON entry (org, changed_at, id);
CREATE INDEX entry_changed_region ON entry (region, changed_at, id);
CREATE INDEX asset_changed ON asset (updated_at, id);
CREATE INDEX asset_changed_ledger ON asset (ledger, updated_at, id);
CREATE INDEX asset_changed_org ON asset (org, updated_at, id);
CREATE INDEX asset_changed_region ON asset (region, updated_at, id);
