-- Time stamps (RFC 3161) over seals. Beside the seal, because it may come later; only ever added.
CREATE TABLE seal_stamp (number BIGINT PRIMARY KEY, body TEXT NOT NULL);
