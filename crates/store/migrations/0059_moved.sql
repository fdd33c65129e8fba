-- Where each entry's last change stands among all changes of the ledger (`ledger_epoch` counts them): what a process keeps in memory of
-- the ledger follows by reading what moved since. One text for SQLite and PostgreSQL.
ALTER TABLE entry ADD COLUMN moved BIGINT NOT NULL DEFAULT 0;
CREATE INDEX entry_moved ON entry (moved, id);
