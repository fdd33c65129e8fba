-- Approvals. One text for SQLite and PostgreSQL: TEXT and BIGINT only.
-- A published version of a flow, as its file text. Never changed: running approvals keep theirs.
CREATE TABLE flow_version (flow TEXT NOT NULL, version BIGINT NOT NULL, effective TEXT NOT NULL, published_at TEXT NOT NULL, published_by TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (flow, version));
-- An approval is its events; this row and the seats are what they fold to, kept beside them for lists.
CREATE TABLE approval (id TEXT PRIMARY KEY, flow TEXT NOT NULL, version BIGINT NOT NULL, subject_kind TEXT NOT NULL, subject TEXT NOT NULL, title TEXT NOT NULL, org TEXT NOT NULL, applicant TEXT NOT NULL, applicant_org TEXT NOT NULL, phase TEXT NOT NULL, stage TEXT NOT NULL, due TEXT NOT NULL, timer TEXT, action TEXT, seq BIGINT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX approval_phase ON approval (phase, id);
CREATE INDEX approval_flow ON approval (flow, phase, id);
CREATE INDEX approval_subject ON approval (subject_kind, subject, id);
CREATE INDEX approval_timer ON approval (timer) WHERE timer IS NOT NULL;
CREATE INDEX approval_action ON approval (action, id) WHERE action IS NOT NULL;
CREATE TABLE approval_event (approval TEXT NOT NULL, seq BIGINT NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (approval, seq));
-- Seats that may answer now. `place` = due day, approval, step, seat: the order and the keyset position of an inbox.
CREATE TABLE approval_seat (approval TEXT NOT NULL, step TEXT NOT NULL, seat BIGINT NOT NULL, org TEXT, role TEXT, user_id TEXT, lent BIGINT NOT NULL, place TEXT NOT NULL, PRIMARY KEY (approval, step, seat));
CREATE INDEX approval_seat_role ON approval_seat (org, role, place);
CREATE INDEX approval_seat_user ON approval_seat (user_id, place);
-- Seats of a person on leave are answered by another meanwhile.
CREATE TABLE approval_leave (id TEXT PRIMARY KEY, owner TEXT NOT NULL, stand_in TEXT NOT NULL, from_day TEXT NOT NULL, to_day TEXT NOT NULL, reason TEXT NOT NULL, created_at TEXT NOT NULL, ended_at TEXT);
CREATE INDEX approval_leave_owner ON approval_leave (owner, id);
CREATE INDEX approval_leave_stand_in ON approval_leave (stand_in, to_day);
