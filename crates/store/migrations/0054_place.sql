-- Where the features of a freely open set lie: the box around all of them and around those of each region (`body`: JSON). Derived data:
-- measured anew when data land, and told only while anybody may read the set.
CREATE TABLE open_place (entry TEXT PRIMARY KEY, measured_at TEXT NOT NULL, body TEXT NOT NULL);
