-- Contests. `body` is the whole; columns beside it are what lists look for. A person is in one team of a contest.
CREATE TABLE contest (id TEXT PRIMARY KEY, state TEXT NOT NULL, region TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX contest_state ON contest (state, id);
CREATE TABLE contest_team (id TEXT PRIMARY KEY, contest TEXT NOT NULL, invitation TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX contest_team_of ON contest_team (contest, id);
CREATE UNIQUE INDEX contest_team_invitation ON contest_team (contest, invitation);
CREATE TABLE contest_member (contest TEXT NOT NULL, account TEXT NOT NULL, team TEXT NOT NULL, PRIMARY KEY (contest, account));
-- One work a team and round.
CREATE TABLE contest_work (id TEXT PRIMARY KEY, contest TEXT NOT NULL, team TEXT NOT NULL, round BIGINT NOT NULL, showcase TEXT NOT NULL, edit BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX contest_work_once ON contest_work (contest, team, round);
CREATE INDEX contest_work_showcase ON contest_work (showcase);
CREATE TABLE contest_score (work TEXT NOT NULL, judge TEXT NOT NULL, contest TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (work, judge));
CREATE INDEX contest_score_of ON contest_score (contest, work);
