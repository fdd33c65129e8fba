-- What was made of open data, and the data sets it uses (`shown` as the showcase is).
CREATE TABLE showcase (id TEXT PRIMARY KEY, state TEXT NOT NULL, writer TEXT NOT NULL, created_at TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX showcase_state ON showcase (state, id);
CREATE INDEX showcase_writer ON showcase (writer, id);
CREATE TABLE showcase_entry (showcase TEXT NOT NULL, entry TEXT NOT NULL, shown BIGINT NOT NULL, PRIMARY KEY (showcase, entry));
CREATE INDEX showcase_of ON showcase_entry (entry, shown, showcase);
