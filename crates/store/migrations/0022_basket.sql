-- Baskets, forms (bundles) and their parts. One text for SQLite and PostgreSQL.
CREATE TABLE basket_item (owner TEXT NOT NULL, ledger TEXT NOT NULL, asset TEXT NOT NULL, title TEXT NOT NULL, org TEXT NOT NULL, added_at TEXT NOT NULL, PRIMARY KEY (owner, ledger, asset));
CREATE TABLE bundle (id TEXT PRIMARY KEY, kind TEXT NOT NULL, org TEXT NOT NULL, applicant TEXT NOT NULL, applicant_name TEXT NOT NULL, created_at TEXT NOT NULL, form TEXT NOT NULL, feedback TEXT);
CREATE INDEX bundle_org ON bundle (org, id);
CREATE TABLE bundle_part (id TEXT PRIMARY KEY, bundle TEXT NOT NULL, n BIGINT NOT NULL, ledger TEXT NOT NULL, asset TEXT NOT NULL, title TEXT NOT NULL, org TEXT NOT NULL, want TEXT NOT NULL, approval TEXT NOT NULL);
CREATE INDEX bundle_part_of ON bundle_part (bundle, n);
CREATE INDEX bundle_part_asset ON bundle_part (ledger, asset, id);
