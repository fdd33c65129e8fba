//! Scheduled SQL of projects: tables with lineage, what stands before what, cost, and what ends with a grant.

use std::path::PathBuf;

use app::project::{self, JobView};
use chrono::TimeDelta;
use model::Code;
use model::account::Role;
use model::bounds::{Bounds, BoundsKind, RateBound};
use model::code::Grade;
use model::project::ProjectQuota;
use model::project::job::{ProjectRun, RunCause, RunState};
use testkit::{CONSUMER_ORG, House};

use crate::bounding;
use crate::project::{Team, team};
use crate::railway::until;
use crate::sqlwire::try_rows;

pub(crate) fn text(name: &str, sql: &str, more: &str) -> String {
    format!("name = \"{name}\"\nsql = \"\"\"\n{sql}\n\"\"\"\n{more}")
}

const AGES: &str = "select csrq as born, xm as name, count(*) as n from renkou group by csrq, xm";
const ENDLESS: &str = "select count(*) as n from generate_series(1, 100000) a(n) cross join generate_series(1, 100000) b(m) cross join generate_series(1, 1000) c(k) where n % 7 = m % 11";

impl Team {
    pub(crate) async fn save(&self, name: &str, sql: &str, more: &str) {
        let app = &self.house().app;
        project::save(app, &self.developer, &self.id, &text(name, sql, more), 0).await.unwrap();
    }

    pub(crate) async fn tick(&self) {
        project::tick(&self.house().app).await.unwrap();
    }

    async fn job(&self, name: &str) -> JobView {
        project::job(&self.house().app, &self.owner, &self.id, name).await.unwrap()
    }

    /// Runs a job to its end.
    pub(crate) async fn run(&self, name: &str) -> ProjectRun {
        let app = &self.house().app;
        let run = project::run_now(app, &self.developer, &self.id, name).await.unwrap();
        self.ended(name, &run.id).await
    }

    async fn ended(&self, name: &str, run: &str) -> ProjectRun {
        until("the end of a run", async || {
            self.tick().await;
            let all = self.runs(name).await;
            let run = all.into_iter().find(|r| r.id == run).ok_or("it is not there")?;
            if run.state.ended() { Ok(run) } else { Err(format!("{run:?}")) }
        })
        .await
    }

    async fn runs(&self, name: &str) -> Vec<ProjectRun> {
        let job = self.job(name).await.job.id;
        let app = &self.house().app;
        project::runs(app, &self.owner, &self.id, Some(&job), None, 50).await.unwrap().items
    }

    async fn readable(&self) -> Vec<bool> {
        let app = &self.house().app;
        let all = project::results(app, &self.owner, &self.id).await.unwrap();
        all.iter().map(|r| r.readable).collect()
    }
}

/// A job makes a table of its project: masked as it was read, with lineage, a new version every time; a draft for the catalogue.
async fn a_table_is_made(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("ages", AGES, "").await;
    let run = t.run("ages").await;
    assert_eq!((run.state, run.rows, run.version), (RunState::Succeeded, 2, Some(0)), "{run:?}");
    assert!(run.millis > 0 && run.bytes > 0);
    let again = t.run("ages").await;
    assert_eq!(again.version, Some(1), "every run makes a version");
    let result = &project::results(app, &t.owner, &t.id).await.unwrap()[0].result;
    let lineage: Vec<(&str, &[String], bool)> = result
        .made
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.from.as_slice(), c.masked))
        .collect();
    let from = |name: &str| vec![format!("renkou.{name}")];
    assert_eq!(lineage[0], ("born", from("csrq").as_slice(), true));
    assert_eq!(lineage[1], ("name", from("xm").as_slice(), true));
    let source = &result.made.sources[0];
    assert_eq!((source.code.as_str(), source.request.as_str()), ("renkou", t.g.request.as_str()));
    assert_eq!(result.items()[1].name_cn, "姓名");
    assert_eq!(result.items()[1].grade, Grade::L2);
    // Members ask it by its name, those who only look, too; as it was masked.
    let answer = t.ask(&t.viewer, "select name, n from _team_ages order by name").await;
    let cells: Vec<Option<String>> = answer.rows.iter().map(|r| r[0].to_text()).collect();
    assert_eq!(cells, [Some("张**".to_owned()), Some("王**".to_owned())], "{answer:?}");
    let tree = project::tables(app, &t.viewer, &t.id).await.unwrap();
    assert_eq!((tree[0].code.as_str(), tree[0].made), ("_team_ages", true));
    // What is made of a result is traced to what that was made from.
    t.save("names", "select name from _team_ages", "").await;
    assert_eq!(t.run("names").await.state, RunState::Succeeded);
    let second = &project::results(app, &t.owner, &t.id).await.unwrap()[1].result;
    assert_eq!(second.made.sources[0].code, "renkou");
    assert_eq!(second.items()[0].grade, Grade::L2);
    let used = project::get(app, &t.owner, &t.id).await.unwrap().used;
    assert_eq!(used.bytes, result.bytes + second.bytes);
    // The SQL door knows of grants only.
    let client = t.g.connect().await;
    assert!(client.simple_query("select * from _team_ages").await.is_err());
    let entry = project::catalogue(app, &t.developer, &t.id, "ages").await.unwrap();
    assert_eq!(entry.draft.code, "team_ages");
    assert!(entry.draft.description.contains("renkou"));
    assert_eq!(entry.draft.item("name").unwrap().relation, "renkou.xm");
    let result = &project::results(app, &t.owner, &t.id).await.unwrap()[0].result;
    assert_eq!(result.entry.as_deref(), Some(entry.id.as_str()));
}

/// What is wrong with a text is told; a circle is named.
async fn refused_texts(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let save = async |op, text: &str, base| project::save(app, op, &t.id, text, base).await;
    t.save("a", "select 1 as x", "").await;
    t.save("b", "select 1 as x", "after = [\"a\"]\n").await;
    t.save("c", "select 1 as x", "after = [\"b\"]\n").await;
    let circle =
        save(&t.developer, &text("a", "select 1 as x", "after = [\"c\"]\n"), 1).await.unwrap_err();
    assert_eq!(circle.code(), Code::RuleBroken);
    assert!(circle.en().contains("a → c → b → a"), "{circle:?}");
    let own =
        save(&t.developer, &text("d", "select 1 as x", "after = [\"d\"]\n"), 0).await.unwrap_err();
    assert!(own.en().contains("d → d"), "{own:?}");
    for (written, told) in [
        (text("e", "select 1 as x", "after = [\"nothing\"]\n"), "`nothing`"),
        (text("e", "select count(*) from renkou", ""), "needs a name"),
        (text("e", "select 1 as x, 2 as x", ""), "x"),
        (text("e", "select * from fangchan", ""), "no table"),
        (text("e", "delete from renkou", ""), "not allowed"),
        (text("e", "select 1 as x", "schedule = \"often\"\n"), "1 faults"),
        (text("a", "select 1 as x", ""), "already"),
    ] {
        let e = save(&t.developer, &written, 0).await.unwrap_err();
        assert!(e.en().contains(told), "{written}: {e:?}");
    }
    assert_eq!(
        save(&t.viewer, &text("e", "select 1 as x", ""), 0).await.unwrap_err().code(),
        Code::Denied
    );
    let stale = save(&t.developer, &text("a", "select 2 as x", ""), 7).await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    let needed = project::remove(app, &t.developer, &t.id, "a").await.unwrap_err();
    assert!(needed.en().contains("`b`"), "{needed:?}");
    project::remove(app, &t.developer, &t.id, "c").await.unwrap();
}

/// Jobs run by their schedule, and after those before them; what was missed is one run; a paused one waits.
async fn in_order(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("first", "select 1 as x", "schedule = \"0 10 * * *\"\n").await;
    t.save("left", "select x from _team_first", "after = [\"first\"]\n").await;
    t.save("right", "select x + 1 as x from _team_first", "after = [\"first\"]\n").await;
    t.save(
        "last",
        "select l.x as a, r.x as b from _team_left l cross join _team_right r",
        "after = [\"left\", \"right\"]\n",
    )
    .await;
    t.tick().await;
    assert!(t.runs("first").await.is_empty(), "it is 9 o'clock");
    // Three days later: the newest turn is run, those before it are counted.
    t.house().clock.forward(TimeDelta::days(3) + TimeDelta::hours(2));
    let last = until("the last of them", async || {
        t.tick().await;
        let run = t.runs("last").await.into_iter().next().ok_or("not begun")?;
        if run.state.ended() { Ok(run) } else { Err(format!("{run:?}")) }
    })
    .await;
    assert_eq!((last.state, last.cause), (RunState::Succeeded, RunCause::After), "{last:?}");
    let first = t.runs("first").await;
    assert_eq!((first.len(), first[0].missed, first[0].cause), (1, 3, RunCause::Schedule));
    assert_eq!((t.runs("left").await.len(), t.runs("last").await.len()), (1, 1));
    let answer = t.ask(&t.viewer, "select a, b from _team_last").await;
    let row: Vec<Option<String>> =
        answer.rows[0].iter().map(model::value::Value::to_text).collect();
    assert_eq!(row, [Some("1".to_owned()), Some("2".to_owned())]);
    project::pause(app, &t.developer, &t.id, "first").await.unwrap();
    t.house().clock.forward(TimeDelta::days(1));
    t.tick().await;
    assert_eq!(t.runs("first").await.len(), 1, "it is paused");
    project::resume(app, &t.developer, &t.id, "first").await.unwrap();
    t.tick().await;
    assert_eq!(
        t.runs("first").await.len(),
        1,
        "what passed while it was paused is not made up for"
    );
    // Two runs of one job never run at once, and one upstream alone wakes nobody who waits for two.
    t.run("left").await;
    t.tick().await;
    assert_eq!(t.runs("last").await.len(), 1);
}

/// A run that is cancelled is stopped in the engine and leaves nothing; so is one that takes too long.
async fn cancelled(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("endless", ENDLESS, "").await;
    let run = project::run_now(app, &t.developer, &t.id, "endless").await.unwrap();
    t.tick().await;
    until("it runs", async || {
        let now = t.runs("endless").await.remove(0);
        if now.stage == Some(model::project::job::RunStage::Reading) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    assert_eq!(
        project::cancel_run(app, &t.viewer, &t.id, &run.id).await.unwrap_err().code(),
        Code::Denied
    );
    project::cancel_run(app, &t.developer, &t.id, &run.id).await.unwrap();
    let ended = t.ended("endless", &run.id).await;
    assert_eq!((ended.state, ended.version), (RunState::Cancelled, None), "{ended:?}");
    assert!(ended.millis > 0, "what was done is paid for");
    assert!(project::results(app, &t.owner, &t.id).await.unwrap().is_empty());
    assert_eq!(app.lake.bytes("_team_endless").await.unwrap(), 0);
    t.save("slow", ENDLESS, "timeout = \"1s\"\n").await;
    let slow = t.run("slow").await;
    assert_eq!(slow.state, RunState::Failed);
    assert!(slow.en.contains("longer than 1 seconds"), "{slow:?}");
}

/// A project that has used its compute or storage up runs nothing; what does not fit leaves nothing.
async fn over_quota(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let quota = t.quota().await;
    t.save("ages", AGES, "").await;
    t.save("wide", "select n, repeat('x', 100) as x from generate_series(1, 20000) a(n)", "").await;
    t.change(ProjectQuota { units_per_month: 0, ..quota }, &["renkou"]).await;
    let refused = t.run("ages").await;
    assert_eq!(refused.state, RunState::Failed);
    assert!(refused.en.contains("0 compute units is used up"), "{refused:?}");
    t.change(ProjectQuota { storage_bytes: 100_000, ..quota }, &["renkou"]).await;
    let wide = t.run("wide").await;
    assert!(wide.en.contains("bytes of storage that are left"), "{wide:?}");
    assert!(project::results(app, &t.owner, &t.id).await.unwrap().is_empty());
    assert_eq!(app.lake.bytes("_team_wide").await.unwrap(), 0, "no half result");
    assert_eq!(t.run("ages").await.state, RunState::Succeeded);
}

/// When a grant ends or changes, so does what was made by it; when who wrote a job leaves, it runs no more.
async fn ends_with_its_grant(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("ages", AGES, "").await;
    t.save("free", "select 1 as x", "").await;
    assert_eq!(t.run("ages").await.state, RunState::Succeeded);
    assert_eq!(t.run("free").await.state, RunState::Succeeded);
    assert_eq!(t.readable().await, [true, true]);
    // Out of the project: what it made is not read, though the application is still granted.
    let quota = t.quota().await;
    t.change(quota, &[]).await;
    assert_eq!(t.readable().await, [false, true]);
    t.change(quota, &["renkou"]).await;
    assert_eq!(t.readable().await, [true, true]);
    t.revoke().await;
    assert_eq!(t.readable().await, [false, true]);
    let asked = t.ask(&t.viewer, "select * from _team_ages").await;
    assert_eq!(asked.state, "failed");
    let failed = t.run("ages").await;
    assert_eq!(failed.state, RunState::Failed);
    assert!(failed.en.contains("`renkou`") && failed.en.contains("not granted"), "{failed:?}");
    let view = project::results(app, &t.owner, &t.id).await.unwrap();
    assert!(view[0].en.contains("`renkou`"), "{view:?}");
    // Who left is named as everybody is; what is kept stays the login name.
    let (who, org) = ("developer", Some(CONSUMER_ORG));
    crate::named::shown_as(t.house(), who, "孙开发", org, Role::Consumer).await;
    project::member_remove(app, &t.owner, &t.id, t.developer.actor.id()).await.unwrap();
    let run = project::run_now(app, &t.owner, &t.id, "free").await.unwrap();
    let left = t.ended("free", &run.id).await;
    assert!(left.zh.contains("孙开发") && left.en.contains("孙开发"), "{left:?}");
    assert!(!left.en.contains(who), "{left:?}");
    let mut jobs = project::jobs(app, &t.owner, &t.id).await.unwrap();
    jobs.push(t.job("free").await);
    assert!(jobs.iter().all(|j| j.job.saved_by == "孙开发"), "{jobs:?}");
    let ran = jobs.iter().find(|j| j.job.name == "ages").unwrap().last.as_ref().unwrap();
    assert_eq!(ran.by, "孙开发");
    let kept = app.store.project_jobs(&t.id).await.unwrap();
    assert!(kept.iter().all(|(job, _)| job.saved_by == who), "{kept:?}");
}

/// Files of a table's rows, moved out of reach: its log stays and names them.
struct Away(Vec<PathBuf>);

impl Away {
    fn of(house: &House, code: &str) -> Self {
        let folder = house.folder().join("lake").join(code);
        let all = std::fs::read_dir(folder).unwrap().map(|found| found.unwrap().path());
        let files: Vec<PathBuf> =
            all.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
        assert!(!files.is_empty(), "`{code}` has no rows");
        for file in &files {
            std::fs::rename(file, file.with_extension("away")).unwrap();
        }
        Self(files)
    }

    fn back(self) {
        for file in self.0 {
            std::fs::rename(file.with_extension("away"), file).unwrap();
        }
    }
}

impl Team {
    /// A run of the only job after its next attempt, which has failed `failures` times by now.
    async fn attempted(&self, name: &str, run: &str, failures: u32) -> ProjectRun {
        until("an attempt that failed", async || {
            self.tick().await;
            let now = self.runs(name).await.into_iter().find(|r| r.id == run).unwrap();
            let failed = now.failures == failures && now.state != RunState::Running;
            if failed { Ok(now) } else { Err(format!("{now:?}")) }
        })
        .await
    }

    /// How statements of jobs ended, the first one first: outcome and state.
    async fn attempts(&self) -> Vec<(String, String)> {
        let owner = self.house().person("consumer").await;
        let app = &self.house().app;
        let ran = project::statements(app, &owner, &self.id, true, None, 50).await.unwrap().items;
        let jobs = ran.into_iter().rev().filter(|s| s.kind == "job");
        jobs.map(|s| (s.outcome, s.state)).collect()
    }
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    told.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

const RETRY: &str = "[retry]\ntimes = 2\nfirst = \"1m\"\nlongest = \"10m\"\n";

/// A run that fails by what may pass is tried again after a pause, and its history says how often; its rows are there once. When all
/// tries are used up it has failed, and what was made before stays. What will not pass is not tried again.
///
/// What passes here: files of a table that the lake cannot reach. Nobody is answered without them.
async fn tried_again(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("ages", AGES, RETRY).await;
    let mut away = Some(Away::of(t.house(), "renkou"));
    let asked = t.ask(&t.developer, "select count(*) as n from renkou").await;
    let (zh, en) = asked.error.unwrap();
    assert!(zh.contains("`renkou`") && zh.contains("数据文件缺失"), "{zh}");
    assert!(en.contains("`renkou`") && en.contains("missing"), "{en}");
    let door = t.g.connect().await;
    for sql in ["select count(*) from renkou", "select xm from renkou", "select 1 from renkou"] {
        let told = try_rows(&door, sql).await.unwrap_err();
        assert_eq!(told.code().unwrap().code(), "58030", "{sql}: {told:?}");
    }
    let run = project::run_now(app, &t.developer, &t.id, "ages").await.unwrap();
    for failures in 1..=2 {
        let failed = t.attempted("ages", &run.id, failures).await;
        assert_eq!(failed.state, RunState::Retrying, "{failed:?}");
        assert_eq!((failed.id.as_str(), failed.version), (run.id.as_str(), None));
        assert!(failed.finished_at.is_none() && failed.ready_at > failed.created_at, "{failed:?}");
        assert!(failed.zh.contains("`renkou`") && failed.en.contains("`renkou`"), "{failed:?}");
        // Before its time nothing is begun.
        t.tick().await;
        let waits = t.runs("ages").await.remove(0);
        assert_eq!((waits.state, waits.failures), (RunState::Retrying, failures));
        assert!(project::results(app, &t.owner, &t.id).await.unwrap().is_empty());
        assert_eq!(app.lake.bytes("_team_ages").await.unwrap(), 0, "no half result");
        if failures == 2 {
            away.take().unwrap().back();
        }
        t.house().clock.forward(TimeDelta::minutes(11));
    }
    let done = t.ended("ages", &run.id).await;
    assert_eq!((done.state, done.failures, done.rows), (RunState::Succeeded, 2, 2), "{done:?}");
    assert_eq!((done.version, done.en.as_str()), (Some(0), ""));
    assert_eq!(t.runs("ages").await.len(), 1, "all attempts are one run");
    assert_eq!(app.lake.versions("_team_ages").await.unwrap().len(), 1, "and one version");
    let counted = t.cells(&t.viewer, "select count(*) as n from _team_ages").await;
    assert_eq!(counted, [["2"]]);
    // Every attempt has a record of its own.
    let (failed, ok) = (("failed", "58030"), ("ok", ""));
    assert_eq!(t.attempts().await, pairs(&[failed, failed, ok]));

    let gone = Away::of(t.house(), "renkou");
    let again = project::run_now(app, &t.developer, &t.id, "ages").await.unwrap();
    for failures in 1..=3 {
        let failed = t.attempted("ages", &again.id, failures).await;
        let state = if failures == 3 { RunState::Failed } else { RunState::Retrying };
        assert_eq!((failed.id.as_str(), failed.state), (again.id.as_str(), state), "{failed:?}");
        t.house().clock.forward(TimeDelta::minutes(11));
    }
    gone.back();
    assert_eq!(t.cells(&t.viewer, "select count(*) as n from _team_ages").await, [["2"]]);
    let quota = t.quota().await;
    t.change(ProjectQuota { units_per_month: 0, ..quota }, &["renkou"]).await;
    let refused = t.run("ages").await;
    assert_eq!((refused.state, refused.failures), (RunState::Failed, 1), "{refused:?}");
}

/// Too many calls a second is no quota that is used up: it passes, and the job is tried again.
async fn too_fast(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    t.save("ages", AGES, RETRY).await;
    let rate = Some(RateBound { per_second: 1, burst: Some(1) });
    let bounds = Bounds { rate, ..Bounds::default() };
    let kind = BoundsKind::Request;
    bounding::set(t.house(), "provider", kind, &t.g.request, bounds).await.unwrap();
    t.house().clock.forward(TimeDelta::seconds(10));
    let run = project::run_now(app, &t.developer, &t.id, "ages").await.unwrap();
    // The one call of this second is a member's; the house's clock goes on by a millisecond a look.
    t.cells(&t.developer, "select count(*) as n from renkou").await;
    let failed = t.attempted("ages", &run.id, 1).await;
    assert_eq!((failed.id.as_str(), failed.state), (run.id.as_str(), RunState::Retrying));
    assert!(failed.en.contains("too many calls: 1 a second"), "{failed:?}");
    assert!(failed.zh.contains("过于频繁"), "{failed:?}");
    t.house().clock.forward(TimeDelta::minutes(2));
    let done = t.ended("ages", &run.id).await;
    assert_eq!((done.state, done.failures, done.rows), (RunState::Succeeded, 1, 2), "{done:?}");
    assert_eq!(t.attempts().await, pairs(&[("refused", "rate_limited"), ("ok", "")]));
    // At the door it is told apart from a quota, too, and says the platform's own code.
    let door = t.g.connect().await;
    t.house().clock.forward(TimeDelta::seconds(10));
    try_rows(&door, "select count(*) from renkou").await.unwrap();
    let told = try_rows(&door, "select count(*) from renkou").await.unwrap_err();
    let told = told.as_db_error().unwrap();
    assert_eq!((told.code().code(), told.routine()), ("53300", Some("rate_limited")));
    assert!(told.message().contains("too many calls"), "{told:?}");
}

crate::on_both!(
    a_table_is_made,
    refused_texts,
    tried_again,
    too_fast,
    in_order,
    cancelled,
    over_quota,
    ends_with_its_grant
);
