-- The public's voice. `body` is the whole ticket; columns beside it are what lists and jobs look for. `contact` is sealed.
-- `waits`: 1 the desk has to act, 2 answered and closing by itself on `due`, 0 neither. `days`: working days to the first answer, -1 without.
CREATE TABLE ticket_day (day TEXT PRIMARY KEY, latest BIGINT NOT NULL);
CREATE TABLE ticket (id TEXT PRIMARY KEY, number TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, entry TEXT NOT NULL, org TEXT NOT NULL, writer TEXT NOT NULL, created_at TEXT NOT NULL, title TEXT NOT NULL, shown BIGINT NOT NULL, waits BIGINT NOT NULL, due TEXT NOT NULL, days BIGINT NOT NULL, supports BIGINT NOT NULL, contact TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX ticket_number ON ticket (number);
CREATE INDEX ticket_shown ON ticket (id) WHERE shown = 1;
CREATE INDEX ticket_org ON ticket (org, id);
CREATE INDEX ticket_desk ON ticket (org, waits, due);
CREATE INDEX ticket_writer ON ticket (writer, id);
CREATE INDEX ticket_due ON ticket (waits, due, id);
CREATE INDEX ticket_figures ON ticket (kind, days);
CREATE TABLE ticket_event (ticket TEXT NOT NULL, seq BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (ticket, seq));
CREATE TABLE ticket_support (ticket TEXT NOT NULL, account TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (ticket, account));
-- Ratings and comments on data sets. `parent`: the comment a reply is to, empty of a comment.
CREATE TABLE dataset_rating (entry TEXT NOT NULL, account TEXT NOT NULL, stars BIGINT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (entry, account));
CREATE TABLE dataset_comment (id TEXT PRIMARY KEY, entry TEXT NOT NULL, org TEXT NOT NULL, parent TEXT NOT NULL, writer TEXT NOT NULL, at TEXT NOT NULL, hidden BIGINT NOT NULL, reports BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX dataset_comment_entry ON dataset_comment (entry, parent, id);
CREATE INDEX dataset_comment_writer ON dataset_comment (writer, at);
CREATE INDEX dataset_comment_desk ON dataset_comment (org, id);
CREATE TABLE comment_report (comment_id TEXT NOT NULL, account TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (comment_id, account));
