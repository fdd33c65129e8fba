-- Quarantine by reason: `grp` is the group a row is counted in while it is open. Rows of before stand in one group of their entry.
ALTER TABLE quarantine ADD COLUMN grp TEXT NOT NULL DEFAULT '';
UPDATE quarantine SET grp = 'before-' || entry;
CREATE INDEX quarantine_grp ON quarantine (grp, state, id);
CREATE TABLE quarantine_group (id TEXT PRIMARY KEY, entry TEXT NOT NULL, org TEXT NOT NULL, channel TEXT NOT NULL, item TEXT NOT NULL, reason TEXT NOT NULL, open_rows BIGINT NOT NULL, first_at TEXT NOT NULL, last_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX quarantine_group_org ON quarantine_group (org, open_rows, id);
CREATE INDEX quarantine_group_all ON quarantine_group (open_rows, id);
INSERT INTO quarantine_group (id, entry, org, channel, item, reason, open_rows, first_at, last_at, body)
  SELECT 'before-' || q.entry, q.entry, MIN(e.org), 'file', '', 'before', COUNT(*), MIN(q.at), MAX(q.at),
    '{"zh":"升级前隔离的行","en":"rows set aside before the upgrade"}'
  FROM quarantine q JOIN entry e ON e.id = q.entry WHERE q.state = 'open' GROUP BY q.entry;
-- What is set for one channel instead of the rule file's.
CREATE TABLE channel_rule (channel TEXT PRIMARY KEY, body TEXT NOT NULL);
