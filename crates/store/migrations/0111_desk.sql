-- Files of forms, and seats that nobody holds. One text for SQLite and PostgreSQL.
-- A file without a form waits in its owner's basket. The content lies in the inbox folder, by id.
CREATE TABLE attachment (id TEXT PRIMARY KEY, bundle TEXT, owner TEXT NOT NULL, owner_name TEXT NOT NULL, name TEXT NOT NULL, media TEXT NOT NULL, bytes BIGINT NOT NULL, checksum TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX attachment_bundle ON attachment (bundle, id);
CREATE INDEX attachment_waiting ON attachment (owner, id) WHERE bundle IS NULL;
-- 0: somebody holds it, or nobody has looked yet; 1: the authority answers in place of nobody; 2: nobody holds it, others
-- of the step answer; 3: nobody at all can answer.
ALTER TABLE approval_seat ADD COLUMN covered BIGINT NOT NULL DEFAULT 0;
CREATE INDEX approval_seat_fresh ON approval_seat (org, role) WHERE covered = 0;
CREATE INDEX approval_seat_odd ON approval_seat (covered, place) WHERE covered > 0;
-- Who holds a seat of a role at an organisation.
CREATE INDEX user_account_org ON user_account (org, active);
-- Citizens file as persons.
CREATE INDEX bundle_applicant ON bundle (applicant, id);
