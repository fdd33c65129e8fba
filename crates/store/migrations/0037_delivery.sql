-- Deliveries and their turns. `body` is what people decided, `due_at` the next turn (empty: none), `figures` what the platform found.
-- The owner renews its lease while it delivers, and only the owner writes how a turn stands. Of a delivery one turn is open at a time.
-- Turns stay with their signed receipts when the delivery is taken away.
CREATE TABLE delivery (id TEXT PRIMARY KEY, org TEXT NOT NULL, provider TEXT NOT NULL, request TEXT NOT NULL, source TEXT NOT NULL, place TEXT NOT NULL, state TEXT NOT NULL, due_at TEXT NOT NULL DEFAULT '', body TEXT NOT NULL, figures TEXT NOT NULL, checked TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT '', lease_until BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX delivery_target ON delivery (source, place);
CREATE INDEX delivery_org ON delivery (org, id);
CREATE INDEX delivery_provider ON delivery (provider, id);
CREATE INDEX delivery_request ON delivery (request, id);
CREATE INDEX delivery_due ON delivery (due_at);
CREATE TABLE delivery_turn (id TEXT PRIMARY KEY, delivery TEXT NOT NULL, turn_key TEXT NOT NULL, state TEXT NOT NULL, open BIGINT NOT NULL, body TEXT NOT NULL, statement TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX delivery_turn_key ON delivery_turn (delivery, turn_key);
CREATE UNIQUE INDEX delivery_turn_open ON delivery_turn (delivery) WHERE open = 1;
CREATE INDEX delivery_turn_newest ON delivery_turn (delivery, id);
