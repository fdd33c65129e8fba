-- Reconciliations of sources with the lake. A difference's body holds a key of the entry: data, shown to few.
CREATE TABLE reconciliation (id TEXT PRIMARY KEY, entry TEXT NOT NULL, org TEXT NOT NULL, rail TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX reconciliation_entry ON reconciliation (entry, id);
CREATE INDEX reconciliation_rail ON reconciliation (rail, id);
CREATE INDEX reconciliation_state ON reconciliation (state, id);
CREATE TABLE reconciliation_row (reconciliation TEXT NOT NULL, seq BIGINT NOT NULL, healed BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (reconciliation, seq));
