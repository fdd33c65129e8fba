-- The ledgers beside the catalogue: applications, components, cloud resources; links between everything; proposals.
-- `body` holds the declaration (AssetDraft, JSON); the columns are what lists filter and sort by.
CREATE TABLE asset (id TEXT PRIMARY KEY, ledger TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL, org TEXT NOT NULL, region TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL, version BIGINT NOT NULL, score BIGINT NOT NULL, created_at TEXT NOT NULL, created_by TEXT NOT NULL, updated_at TEXT NOT NULL, merged_into TEXT, call_key TEXT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX asset_code ON asset (ledger, code);
CREATE INDEX asset_list ON asset (ledger, id);
CREATE INDEX asset_org ON asset (org, ledger, id);
CREATE INDEX asset_name ON asset (ledger, name_key);
CREATE INDEX asset_state ON asset (ledger, state, id);
CREATE INDEX asset_region ON asset (ledger, region, id);
-- `call_key` joins an application of the ledger to the one that signs calls (application.access_key).
CREATE INDEX asset_call ON asset (call_key) WHERE call_key <> '';
CREATE TABLE asset_step (asset TEXT NOT NULL, seq BIGINT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, actor_name TEXT NOT NULL, action TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (asset, seq));
-- A link stands from what depends to what it depends on; both ways are indexed.
-- `base` is the node without its item: `data:ID` of `data:ID#IDENTIFIER`.
CREATE TABLE asset_link (from_node TEXT NOT NULL, to_node TEXT NOT NULL, from_base TEXT NOT NULL, to_base TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, actor_name TEXT NOT NULL, PRIMARY KEY (from_node, to_node, kind));
CREATE INDEX asset_link_back ON asset_link (to_node, from_node);
CREATE INDEX asset_link_from ON asset_link (from_base, to_node);
CREATE INDEX asset_link_to ON asset_link (to_base, from_node);
CREATE TABLE proposal (id TEXT PRIMARY KEY, org TEXT NOT NULL, verdict TEXT, created_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX proposal_org ON proposal (org, id);
CREATE TABLE saved_search (id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, query TEXT NOT NULL, created_at TEXT NOT NULL, seen BIGINT NOT NULL);
CREATE INDEX saved_search_owner ON saved_search (owner, id);
-- Monthly ranking of organisations, written once a month.
CREATE TABLE ledger_rank (month TEXT NOT NULL, org TEXT NOT NULL, score BIGINT NOT NULL, assets BIGINT NOT NULL, stale BIGINT NOT NULL, ownerless BIGINT NOT NULL, PRIMARY KEY (month, org));
-- Counting items per region and organisation must not read item bodies.
CREATE INDEX entry_region ON entry (region, id);
