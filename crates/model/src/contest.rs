//! 开放大赛: an authority sets up rounds, tracks and scoring items; people form teams and enter works made of open data; judges score
//! apart from each other; teams advance and get awards. What may be done when is a pure function of the rounds and the day.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::{Error, Result};

code_list! {
    /// Where a contest stands.
    ContestState {
        Draft = "draft", "筹备中", "Being prepared";
        Public = "public", "进行中", "Under way";
        Ended = "ended", "已结束", "Ended";
    }
}

code_list! {
    /// Where a round stands on a day.
    RoundPhase {
        Upcoming = "upcoming", "未开始", "Not yet open";
        Entering = "entering", "报名与提交作品", "Open for works";
        Judging = "judging", "评审中", "Being judged";
        Closed = "closed", "已公布结果", "Closed";
    }
}

/// Most people of a team, rounds, tracks, scoring items, judges and data sets of a work.
pub const MOST_MEMBERS: usize = 10;
pub const MOST_ROUNDS: usize = 5;
pub const MOST_TRACKS: usize = 10;
pub const MOST_ITEMS: usize = 10;
pub const MOST_JUDGES: usize = 50;
pub const MOST_SETS: usize = 20;

/// A track (赛道).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    pub name: String,
    pub name_en: String,
}

/// What works are scored by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreItem {
    pub name: String,
    pub name_en: String,
    /// Its part of the whole; parts add up to anything.
    pub weight: u32,
    /// Most points.
    pub most: u32,
}

/// A round, from its first day to the closing of its scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    pub name: String,
    pub name_en: String,
    /// First and last day for works.
    pub opens: NaiveDate,
    pub until: NaiveDate,
    /// Everybody may see its works once it is closed.
    pub public: bool,
    /// When the authority closed its scores; empty before.
    pub closed_at: String,
}

impl Round {
    /// Where it stands on a day.
    #[must_use]
    pub fn phase(&self, today: NaiveDate) -> RoundPhase {
        if !self.closed_at.is_empty() {
            RoundPhase::Closed
        } else if today < self.opens {
            RoundPhase::Upcoming
        } else if today <= self.until {
            RoundPhase::Entering
        } else {
            RoundPhase::Judging
        }
    }
}

/// An award, once it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Award {
    pub name: String,
    pub name_en: String,
    /// Work and team it is given to.
    pub work: String,
    pub team: String,
}

/// A contest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contest {
    pub id: String,
    pub state: ContestState,
    pub region: String,
    pub title: String,
    pub title_en: String,
    /// Its rules, plain text.
    pub text: String,
    pub text_en: String,
    pub tracks: Vec<Track>,
    pub items: Vec<ScoreItem>,
    pub rounds: Vec<Round>,
    /// Judges: account and name.
    pub judges: Vec<(String, String)>,
    pub awards: Vec<Award>,
    pub writer: String,
    pub created_at: String,
    /// Counts up with every change.
    pub edit: u64,
}

impl Contest {
    /// Number of the round that is open or judged: the first one that is not closed.
    #[must_use]
    pub fn current(&self) -> Option<usize> {
        self.rounds.iter().position(|r| r.closed_at.is_empty())
    }

    /// The present round of a contest under way, and where it stands.
    #[must_use]
    pub fn present(&self, today: NaiveDate) -> Option<(usize, RoundPhase)> {
        let number = self.current().filter(|_| self.state == ContestState::Public)?;
        Some((number, self.rounds.get(number)?.phase(today)))
    }

    /// Whether everybody may have the files of a work: its team agrees, and it has an award of a round that was closed in public.
    #[must_use]
    pub fn shares(&self, work: &Work) -> bool {
        let round = self.rounds.get(work.round);
        work.shared
            && round.is_some_and(|r| r.public && !r.closed_at.is_empty())
            && self.awards.iter().any(|a| a.work == work.id)
    }

    /// Whether its judges may have the files of a work: once works of its round are not changed any more.
    #[must_use]
    pub fn judged(&self, work: &Work, today: NaiveDate) -> bool {
        let phase = self.rounds.get(work.round).map(|r| r.phase(today));
        self.state != ContestState::Draft
            && matches!(phase, Some(RoundPhase::Judging | RoundPhase::Closed))
    }

    /// Accounts of its judges.
    #[must_use]
    pub fn judge_ids(&self) -> Vec<String> {
        self.judges.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Checks what is set up: names, numbers, rounds one after the other.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, zh: &str, en: &str| {
            Err(Error::invalid(zh, en).field(field, zh.to_owned(), en.to_owned()))
        };
        if self.tracks.is_empty() || self.tracks.len() > MOST_TRACKS {
            return wrong("tracks", "赛道应有 1 至 10 个", "there are 1 to 10 tracks");
        }
        if self.items.is_empty()
            || self.items.len() > MOST_ITEMS
            || self
                .items
                .iter()
                .any(|i| i.weight == 0 || i.weight > 1000 || i.most == 0 || i.most > 1000)
        {
            return wrong(
                "items",
                "评分项应有 1 至 10 个，权重和满分为 1 至 1000",
                "there are 1 to 10 scoring items, weights and most points from 1 to 1000",
            );
        }
        if self.rounds.is_empty() || self.rounds.len() > MOST_ROUNDS {
            return wrong("rounds", "轮次应有 1 至 5 个", "there are 1 to 5 rounds");
        }
        if self.rounds.iter().any(|r| r.until < r.opens) {
            return wrong(
                "rounds",
                "每轮的截止日不早于开始日",
                "a round does not end before it begins",
            );
        }
        if self.rounds.windows(2).any(|w| match w {
            [a, b] => b.opens <= a.until,
            _ => false,
        }) {
            return wrong(
                "rounds",
                "后一轮应在前一轮截止之后开始",
                "a round begins after the one before it has ended",
            );
        }
        if self.judges.len() > MOST_JUDGES {
            return wrong("judges", "评委最多 50 位", "there are 50 judges at most");
        }
        Ok(())
    }
}

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    pub id: String,
    pub contest: String,
    pub name: String,
    pub leader: String,
    /// Members with the leader: account and name.
    pub members: Vec<(String, String)>,
    /// SHA-256 of the invitation code, hexadecimal.
    pub invitation: String,
    /// Number of the last round it may enter.
    pub round: usize,
    pub created_at: String,
    /// Counts up with every change.
    pub edit: u64,
}

impl Team {
    #[must_use]
    pub fn has(&self, account: &str) -> bool {
        self.members.iter().any(|(id, _)| id == account)
    }
    #[must_use]
    pub fn member_ids(&self) -> Vec<String> {
        self.members.iter().map(|(id, _)| id.clone()).collect()
    }
}

/// A work entered in a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    pub id: String,
    pub contest: String,
    pub team: String,
    pub team_name: String,
    pub round: usize,
    pub track: usize,
    pub title: String,
    pub text: String,
    /// Where it can be seen; empty: nowhere.
    pub link: String,
    /// Open data sets it uses, by id and code.
    pub sets: Vec<(String, String)>,
    pub at: String,
    /// The team goes on to the next round.
    pub advanced: bool,
    /// Showcase that was made of it; empty: none.
    pub showcase: String,
    /// Files that go with it, in the order they were handed in.
    #[serde(default)]
    pub files: Vec<WorkFile>,
    /// The team agrees that everybody may have its files once it has an award.
    #[serde(default)]
    pub shared: bool,
    /// Counts up with every change.
    pub edit: u64,
}

/// A file that goes with a work; its content lies in the inbox, by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkFile {
    pub id: String,
    /// Its own name, with the end that its content has.
    pub name: String,
    /// Media type, told by its content.
    pub media: String,
    pub bytes: u64,
    /// SHA-256 of the content, hexadecimal.
    pub checksum: String,
    pub at: String,
    /// Account that handed it in.
    pub by: String,
}

/// What one judge gave a work: points by scoring item, in their order, and words that the team reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    pub work: String,
    pub judge: String,
    pub judge_name: String,
    pub points: Vec<u32>,
    pub words: String,
    pub at: String,
}

/// The weighted result of one judge's points, in hundredths of a hundred points (0 to 10000).
#[must_use]
pub fn weighted(items: &[ScoreItem], points: &[u32]) -> u64 {
    let weights: u64 = items.iter().map(|i| u64::from(i.weight)).sum();
    let parts: u64 = items
        .iter()
        .zip(points)
        .map(|(item, points)| {
            let points = u64::from((*points).min(item.most));
            u64::from(item.weight) * points * 10_000 / u64::from(item.most.max(1))
        })
        .sum();
    (parts + weights / 2).checked_div(weights).unwrap_or(0)
}

/// The mean of judges' results, in hundredths; `None` without any.
#[must_use]
pub fn mean(results: &[u64]) -> Option<u64> {
    let n = u64::try_from(results.len()).unwrap_or(u64::MAX);
    (n > 0).then(|| (results.iter().sum::<u64>() + n / 2) / n)
}

/// A place in the ranking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub work: String,
    /// From one on; works of the same result share a place, and the places after it are left out.
    pub rank: usize,
    pub tied: bool,
    /// Hundredths of points.
    pub result: u64,
    pub judges: usize,
}

/// Ranks works by their results (hundredths by judge). Works without a score have no place.
#[must_use]
pub fn ranking(works: &[(String, Vec<u64>)]) -> Vec<Place> {
    let mut all: Vec<(u64, &str, usize)> = works
        .iter()
        .filter_map(|(work, results)| Some((mean(results)?, work.as_str(), results.len())))
        .collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    all.iter()
        .map(|(result, work, judges)| Place {
            work: (*work).to_owned(),
            rank: all.iter().filter(|(other, _, _)| other > result).count() + 1,
            tied: all.iter().filter(|(other, _, _)| other == result).count() > 1,
            result: *result,
            judges: *judges,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(weight: u32, most: u32) -> ScoreItem {
        ScoreItem { name: "甲".into(), name_en: "a".into(), weight, most }
    }

    fn round(opens: &str, until: &str) -> Round {
        Round {
            name: "初赛".into(),
            name_en: "First".into(),
            opens: opens.parse().unwrap(),
            until: until.parse().unwrap(),
            public: true,
            closed_at: String::new(),
        }
    }

    #[test]
    fn a_round_goes_by_the_day_until_it_is_closed() {
        let mut r = round("2026-03-01", "2026-03-31");
        let on = |r: &Round, day: &str| r.phase(day.parse().unwrap());
        assert_eq!(on(&r, "2026-02-28"), RoundPhase::Upcoming);
        assert_eq!(on(&r, "2026-03-01"), RoundPhase::Entering);
        assert_eq!(on(&r, "2026-03-31"), RoundPhase::Entering);
        assert_eq!(on(&r, "2026-04-01"), RoundPhase::Judging);
        r.closed_at = "x".into();
        assert_eq!(on(&r, "2026-03-01"), RoundPhase::Closed);
    }

    #[test]
    fn points_weigh_by_their_item_and_ties_are_told() {
        let items = [item(60, 100), item(40, 10)];
        assert_eq!(weighted(&items, &[100, 10]), 10_000);
        assert_eq!(weighted(&items, &[50, 10]), 7_000);
        assert_eq!(weighted(&items, &[50]), 3_000, "what was not given is nought");
        assert_eq!(weighted(&items, &[999, 10]), 10_000, "no more than there are");
        assert_eq!((mean(&[]), mean(&[7_000, 8_001])), (None, Some(7_501)));
        let works = |list: &[(&str, &[u64])]| -> Vec<(String, Vec<u64>)> {
            list.iter().map(|(w, r)| ((*w).to_owned(), r.to_vec())).collect()
        };
        let found = ranking(&works(&[
            ("a", &[8_000]),
            ("b", &[9_000, 7_000]),
            ("c", &[9_000]),
            ("d", &[]),
            ("e", &[100]),
        ]));
        let told: Vec<_> = found.iter().map(|p| (p.work.as_str(), p.rank, p.tied)).collect();
        assert_eq!(told, [("c", 1, false), ("a", 2, true), ("b", 2, true), ("e", 4, false)]);
    }

    fn contest() -> Contest {
        Contest {
            id: "c".into(),
            state: ContestState::Draft,
            region: "330000".into(),
            title: "大赛".into(),
            title_en: "Contest".into(),
            text: String::new(),
            text_en: String::new(),
            tracks: vec![Track { name: "民生".into(), name_en: "Living".into() }],
            items: vec![item(1, 100)],
            rounds: vec![round("2026-03-01", "2026-03-31"), round("2026-04-01", "2026-04-30")],
            judges: Vec::new(),
            awards: Vec::new(),
            writer: "u".into(),
            created_at: String::new(),
            edit: 1,
        }
    }

    #[test]
    fn files_are_everybodys_once_there_is_an_award_and_the_team_agrees() {
        let mut contest = contest();
        let mut work: Work = serde_json::from_str(
            r#"{"id":"w","contest":"c","team":"t","team_name":"甲队","round":0,"track":0,"title":"作品","text":"","link":"",
                "sets":[],"at":"","advanced":false,"showcase":"","edit":1}"#,
        )
        .unwrap();
        assert!(work.files.is_empty() && !work.shared, "a work of before there were files");
        let on = |day: &str| day.parse().unwrap();
        contest.state = ContestState::Public;
        assert!(
            !contest.judged(&work, on("2026-03-31")) && contest.judged(&work, on("2026-04-01"))
        );
        let award = |work: &str| Award {
            name: "一等奖".into(),
            name_en: String::new(),
            work: work.into(),
            team: "t".into(),
        };
        contest.awards.push(award("other"));
        contest.rounds[0].closed_at = "x".into();
        work.shared = true;
        assert!(!contest.shares(&work), "another's award");
        contest.awards.push(award("w"));
        assert!(contest.shares(&work));
        work.shared = false;
        assert!(!contest.shares(&work), "the team has not agreed");
        (work.shared, contest.rounds[0].public) = (true, false);
        assert!(!contest.shares(&work), "the round was not public");
        (contest.rounds[0].public, contest.rounds[0].closed_at) = (true, String::new());
        assert!(!contest.shares(&work), "the round is not closed");
    }

    #[test]
    fn rounds_follow_each_other() {
        let mut contest = contest();
        contest.check().unwrap();
        assert_eq!(contest.current(), Some(0));
        contest.rounds[0].closed_at = "x".into();
        assert_eq!(contest.current(), Some(1));
        contest.rounds[1].opens = "2026-03-31".parse().unwrap();
        assert_eq!(contest.check().unwrap_err().fields()[0].field, "rounds");
        contest.rounds.clear();
        assert!(contest.check().is_err());
    }
}
