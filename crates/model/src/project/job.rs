//! Scheduled SQL jobs: the text that is reviewed, what stands before what, and runs.
//!
//! ```toml
//! name = "monthly"                   # the table of its result: _PROJECT_monthly
//! title = "按月登记数"
//! sql = """
//! select djzt, count(*) as n from fr_jbxx group by djzt
//! """
//! schedule = "0 6 1 * *"             # five fields, in China's time; without one it runs when those before it have run
//! after = ["cleaned"]                # jobs of the same project
//! timeout = "10m"
//! [retry]
//! times = 2
//! first = "30s"
//! longest = "10m"
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::result::Made;
use crate::code::code_list;
use crate::entry::Entry;
use crate::pipeline::file::{Faults, Retry};
use crate::pipeline::schedule::Schedule;
use crate::pipeline::window::duration;
use crate::{Code, Error, Result};

/// Longest text in bytes.
const LONGEST: usize = 128 * 1024;
/// Most jobs that one may stand after.
const AFTER_MOST: usize = 20;

code_list! {
    /// Where a run of a job stands.
    RunState {
        Waiting = "waiting", "等待", "Waiting";
        Running = "running", "运行中", "Running";
        Retrying = "retrying", "等待重试", "To be tried again";
        Succeeded = "succeeded", "成功", "Succeeded";
        Failed = "failed", "失败", "Failed";
        Cancelled = "cancelled", "已取消", "Cancelled";
    }
}

impl RunState {
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

code_list! {
    /// Why a run began.
    RunCause {
        Schedule = "schedule", "计划", "Schedule";
        After = "after", "上游完成", "After others";
        Manual = "manual", "手动", "By hand";
    }
}

code_list! {
    /// What a running run is doing.
    RunStage {
        Planning = "planning", "解析计划", "Planning";
        Reading = "reading", "计算写入", "Computing and writing";
        Keeping = "keeping", "登记结果", "Keeping the result";
    }
}

/// A job as checked.
#[derive(Clone, Debug)]
pub struct JobFile {
    pub name: String,
    pub title: String,
    pub sql: String,
    pub schedule: Option<Schedule>,
    /// The schedule as written.
    pub cron: String,
    pub after: Vec<String>,
    pub timeout: Option<TimeDelta>,
    pub retry: Retry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    title: String,
    sql: String,
    #[serde(default)]
    schedule: String,
    #[serde(default)]
    after: Vec<String>,
    timeout: Option<String>,
    retry: Option<WrittenRetry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetry {
    times: Option<u32>,
    first: Option<String>,
    longest: Option<String>,
}

impl JobFile {
    /// Reads a text; the error names every fault with its line.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(Error::of(Code::TooLarge));
        }
        let written: Written = toml::from_str(text).map_err(|e| {
            Error::invalid(
                format!("作业文本无法读取：{e}"),
                format!("the text of the job cannot be read: {e}"),
            )
        })?;
        let mut faults = Faults::of(text);
        let named = |name: &str| {
            let mut bytes = name.bytes();
            name.len() <= 30
                && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
                && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if !named(&written.name) {
            faults.at(
                "name",
                "名称以小写字母开头，只含小写字母、数字和下划线，最多 30 位",
                "a name begins with a-z and holds a-z, 0-9 and _, at most 30",
            );
        }
        if written.sql.trim().is_empty() {
            faults.at("sql", "请写一条 SELECT 语句", "write one SELECT statement");
        }
        let cron = written.schedule.trim().to_owned();
        let schedule = match cron.as_str() {
            "" => None,
            pattern => match Schedule::cron(pattern) {
                Ok(schedule) => Some(schedule),
                Err(why) => {
                    faults.at(
                        "schedule",
                        format!("不是五段的 cron 表达式（分 时 日 月 周）：{why}"),
                        format!("is no cron pattern of five fields (minute hour day month weekday): {why}"),
                    );
                    None
                }
            },
        };
        let mut after = written.after;
        after.sort();
        after.dedup();
        if after.len() > AFTER_MOST {
            faults.at(
                "after",
                format!("最多 {AFTER_MOST} 个上游"),
                format!("at most {AFTER_MOST} jobs may stand before"),
            );
        }
        let mut time = |field: &str, text: Option<&str>| {
            let text = text?;
            let found = duration(text).filter(|d| *d > TimeDelta::zero());
            if found.is_none() {
                faults.at(field, "应写作 30s、10m、2h", "is written 30s, 10m, 2h");
            }
            found
        };
        let timeout = time("timeout", written.timeout.as_deref());
        let retry = written.retry.as_ref();
        let retry = Retry {
            times: retry.and_then(|r| r.times),
            first: time("retry.first", retry.and_then(|r| r.first.as_deref())),
            longest: time("retry.longest", retry.and_then(|r| r.longest.as_deref())),
        };
        if !faults.found.is_empty() {
            let mut error = Error::invalid(
                format!("作业文本有 {} 处需要修改", faults.found.len()),
                format!("the text of the job has {} faults to mend", faults.found.len()),
            );
            for fault in &faults.found {
                error = error.field(
                    &fault.field,
                    format!("第 {} 行：{}", fault.line, fault.zh),
                    format!("line {}: {}", fault.line, fault.en),
                );
            }
            return Err(error);
        }
        let title = written.title.trim();
        Ok(Self {
            title: if title.is_empty() {
                written.name.clone()
            } else {
                title.chars().take(100).collect()
            },
            name: written.name,
            sql: written.sql.trim().trim_end_matches(';').to_owned(),
            schedule,
            cron,
            after,
            timeout,
            retry,
        })
    }
}

/// A way round through jobs that stand before each other, if there is one: `a → b → a`. `before` says for each job which stand
/// before it.
#[must_use]
pub fn cycle(before: &BTreeMap<String, Vec<String>>) -> Option<String> {
    fn walk<'a>(
        at: &'a str,
        before: &'a BTreeMap<String, Vec<String>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<String> {
        if let Some(from) = way.iter().position(|n| *n == at) {
            let mut round: Vec<&str> = way.iter().skip(from).copied().collect();
            round.push(at);
            return Some(round.join(" → "));
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        for next in before.get(at).into_iter().flatten() {
            if let Some(round) = walk(next, before, way, done) {
                return Some(round);
            }
        }
        way.pop();
        done.insert(at);
        None
    }
    let mut done = BTreeSet::new();
    before.keys().find_map(|name| walk(name, before, &mut Vec::new(), &mut done))
}

/// A job as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectJob {
    pub id: String,
    pub project: String,
    pub name: String,
    pub title: String,
    pub text: String,
    /// Counted from 1 with every change.
    pub version: i64,
    pub paused: bool,
    /// Login name of who wrote it last: it runs while they may work in the project.
    pub saved_by: String,
    pub saved_at: String,
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRun {
    pub id: String,
    pub project: String,
    pub job: String,
    pub job_name: String,
    /// A job's once.
    pub key: String,
    pub cause: RunCause,
    pub state: RunState,
    pub stage: Option<RunStage>,
    pub created_at: String,
    pub ready_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Version of the job's text.
    pub text_version: i64,
    pub failures: u32,
    /// Turns of the schedule before this one that nobody ran.
    pub missed: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Milliseconds of work, of all attempts.
    pub millis: u64,
    /// Version of the result's table.
    pub version: Option<i64>,
    pub made: Option<Made>,
    /// The table that it lands in, as the lake is told.
    pub table: Option<Entry>,
    pub zh: String,
    pub en: String,
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_or_its_faults_are_named_by_line() {
        let good = JobFile::parse(
            "name = \"m\"\nsql = \"select 1 as a;\"\nschedule = \"0 6 * * *\"\nafter = [\"b\", \"a\", \"a\"]\ntimeout = \"10m\"\n[retry]\ntimes = 2\nfirst = \"30s\"\n",
        )
        .unwrap();
        assert_eq!((good.sql.as_str(), good.title.as_str()), ("select 1 as a", "m"));
        assert_eq!(good.after, ["a", "b"]);
        assert_eq!(good.retry.times, Some(2));
        let bad =
            JobFile::parse("name = \"M\"\nsql = \" \"\nschedule = \"每天\"\ntimeout = \"10\"\n")
                .unwrap_err();
        let named: Vec<(&str, &str)> =
            bad.fields().iter().map(|f| (f.field.as_str(), f.en.get(..7).unwrap())).collect();
        assert_eq!(
            named,
            [
                ("name", "line 1:"),
                ("sql", "line 2:"),
                ("schedule", "line 3:"),
                ("timeout", "line 4:")
            ]
        );
        assert!(JobFile::parse("name = \"a\"\nsql = \"x\"\nother = 1\n").is_err());
    }

    #[test]
    fn a_way_round_is_named() {
        let graph = |edges: &[(&str, &[&str])]| {
            let own = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
            edges.iter().map(|(name, before)| ((*name).to_owned(), own(before))).collect()
        };
        assert_eq!(
            cycle(&graph(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"]), ("d", &["b", "c"])])),
            None
        );
        assert_eq!(
            cycle(&graph(&[("a", &["c"]), ("b", &["a"]), ("c", &["b"])])).unwrap(),
            "a → c → b → a"
        );
        assert_eq!(cycle(&graph(&[("a", &["a"])])).unwrap(), "a → a");
    }
}
