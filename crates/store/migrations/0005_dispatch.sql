-- Dispatch: quotas of holders, what was used of them, requests to move quota. `parent` is the holder above (organisation
-- of an application, region of an organisation, region above a region).
CREATE TABLE quota (resource TEXT NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, parent TEXT NOT NULL, amount BIGINT NOT NULL, at TEXT NOT NULL, actor_name TEXT NOT NULL, PRIMARY KEY (resource, kind, holder));
CREATE INDEX quota_parent ON quota (resource, kind, parent, holder);
-- What happened to quotas: only appended to.
CREATE TABLE quota_change (id TEXT PRIMARY KEY, resource TEXT NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, was BIGINT, amount BIGINT, cause TEXT NOT NULL, reference TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, actor_name TEXT NOT NULL);
CREATE INDEX quota_change_of ON quota_change (kind, holder, id);
CREATE TABLE quota_move (id TEXT PRIMARY KEY, resource TEXT NOT NULL, from_kind TEXT NOT NULL, from_holder TEXT NOT NULL, to_kind TEXT NOT NULL, to_holder TEXT NOT NULL, amount BIGINT NOT NULL, reason TEXT NOT NULL, org TEXT NOT NULL, from_org TEXT NOT NULL, applicant TEXT NOT NULL, applicant_name TEXT NOT NULL, approval TEXT NOT NULL, created_at TEXT NOT NULL, applied_at TEXT);
CREATE INDEX quota_move_org ON quota_move (org, id);
CREATE INDEX quota_move_from ON quota_move (from_org, id);
-- Use of a day by holder: calls are counted where they are metered, compute in milliseconds, storage in bytes.
-- `called` is the calls of a region's own callers (the dashboard's roll-up).
CREATE TABLE usage_day (resource TEXT NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, day TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (resource, kind, holder, day));
CREATE INDEX usage_day_day ON usage_day (resource, kind, day, holder, amount);
-- Time that look-ups of an application took, microseconds.
CREATE TABLE query_day (application TEXT NOT NULL, day TEXT NOT NULL, micros BIGINT NOT NULL, PRIMARY KEY (application, day));
CREATE INDEX query_day_day ON query_day (day, application);
