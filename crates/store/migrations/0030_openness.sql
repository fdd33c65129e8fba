-- What was measured of an open set's rows at a version of the lake: cells there are and cells that are empty, in all and by item
-- (`items`: JSON, identifier and rows in which it holds something), and bytes of its files. Derived data: measured anew when a version lands.
CREATE TABLE open_measure (entry TEXT PRIMARY KEY, lake_version BIGINT NOT NULL, measured_at TEXT NOT NULL, row_count BIGINT NOT NULL, cells BIGINT NOT NULL, missing BIGINT NOT NULL, bytes BIGINT NOT NULL, items TEXT NOT NULL);
