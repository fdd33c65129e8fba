-- Return flows. `body` is what people decided, `figures` what the platform found; where a target stands is written at the target.
-- The owner renews its lease while it delivers, and only the owner writes figures. `outflow_day` meters what went out.
CREATE TABLE outflow (id TEXT PRIMARY KEY, org TEXT NOT NULL, provider TEXT NOT NULL, entry TEXT NOT NULL, source TEXT NOT NULL, place TEXT NOT NULL, wish TEXT NOT NULL, anew BIGINT NOT NULL DEFAULT 0, body TEXT NOT NULL, figures TEXT NOT NULL, target_rows BIGINT NOT NULL DEFAULT 0, granted_rows BIGINT NOT NULL DEFAULT 0, counted_at TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX outflow_target ON outflow (source, place);
CREATE INDEX outflow_org ON outflow (org, id);
CREATE INDEX outflow_provider ON outflow (provider, id);
CREATE TABLE outflow_day (outflow TEXT NOT NULL, day TEXT NOT NULL, deliveries BIGINT NOT NULL, upserts BIGINT NOT NULL, deletes BIGINT NOT NULL, bytes BIGINT NOT NULL, PRIMARY KEY (outflow, day));
