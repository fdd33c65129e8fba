//! What an approval of an export covers: the data that were decided on, whatever is done to the tables in between, and everybody whose
//! data they are; and what the statements of a project are told to be for.

use std::io::Read;

use app::catalogue::{self, Move};
use app::collection::{self, Order};
use app::project::{self, ExportAsked};
use app::{approval, sharing, usage};
use chrono::TimeDelta;
use model::bounds::{Bounds, BoundsKind};
use model::code::{Grade, SyncMode};
use model::flow::{Phase, Subject};
use model::project::job::RunState;
use model::project::result::MadeBy;
use model::project::{ExportFormat, ProjectExport};
use model::request::{Period, RequestNew};
use model::usage::{UsageBy, UsageFilter, UsageRow};
use model::{Code, Op, Result};
use policy::port::{ReadOptions, Source};
use policy::{Action, Target};
use testkit::{House, PROVIDER_ORG, STRANGER_ORG};

use crate::project::{Team, decide, team};
use crate::projectjob::text;
use crate::sqlwire::{PEOPLE, agree};

/// What the job makes when its export is asked for, and what it is made of later.
const HARMLESS: &str = "select region_code as a from renkou";
const OTHERS: &str = "select sfzh as a from jiankang";
const TAKEN: &str = "select a from _team_job";

/// Takes in `jiankang`, L3, of the ecology department, granted to the application by that department.
async fn another_provider(t: &Team) {
    let (house, app) = (t.house(), &t.house().app);
    let (stranger, authority) = (house.person("stranger").await, house.person("authority").await);
    let mut draft = testkit::person_draft("jiankang");
    draft.org = STRANGER_ORG.into();
    let region = draft.items.iter_mut().find(|i| i.identifier == "region_code").unwrap();
    region.grade = Grade::L1;
    let entry = catalogue::create(app, &stranger, draft).await.unwrap();
    for (op, step) in [
        (&stranger, Move::Submit),
        (&authority, Move::Approve),
        (&stranger, Move::PutOnline),
        (&authority, Move::Approve),
    ] {
        catalogue::step(app, op, &entry.id, step, "rehearsal").await.unwrap();
    }
    let spooled =
        house.spool(&stranger, "jiankang", "people.csv", PEOPLE.as_bytes()).await.unwrap();
    let order = Order {
        entry: "jiankang".into(),
        source: Source::File { path: spooled.path, name: "people.csv".into() },
        mode: SyncMode::Full,
        options: ReadOptions::default(),
    };
    collection::collect(app, &stranger, order).await.unwrap();
    let wanted = RequestNew {
        entry: "jiankang".into(),
        application: t.g.op.actor.id().into(),
        items: ["sfzh", "xm", "region_code"].map(str::to_owned).into(),
        scene: "批量核验".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000,
        area_range: "330000".into(),
        by_sql: true,
        row_range: model::request::RowRange::default(),
    };
    let consumer = house.person("consumer").await;
    let request = sharing::apply(app, &consumer, wanted).await.unwrap();
    for op in [&stranger, &authority] {
        sharing::review(app, op, &request.id, true, "同意").await.unwrap();
    }
    t.change(t.quota().await, &["renkou", "jiankang"]).await;
}

impl Team {
    /// Writes the job anew and runs it.
    async fn make(&self, sql: &str, base: i64) {
        let (app, job) = (&self.house().app, text("job", sql, ""));
        project::save(app, &self.developer, &self.id, &job, base).await.unwrap();
        let run = self.run("job").await;
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    }

    async fn export(&self, sql: &str) -> ProjectExport {
        let app = &self.house().app;
        let (format, reason) = (ExportFormat::Csv, "交业务处核对");
        project::ask(app, &self.developer, &self.id, sql, format, reason).await.unwrap()
    }

    /// Lines of the fetched file after its head, in order.
    async fn fetch(&self, export: &ProjectExport) -> Result<Vec<String>> {
        let app = &self.house().app;
        let mut fetched = project::fetch(app, &self.developer, &self.id, &export.id).await?;
        let mut text = String::new();
        fetched.file.read_to_string(&mut text).unwrap();
        let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    }

    async fn about(&self, who: &str, export: &ProjectExport) -> ExportAsked {
        let op = self.house().person(who).await;
        let subject = Subject { kind: "export".into(), id: export.id.clone() };
        project::about(&self.house().app, &op, &subject).await.unwrap().unwrap()
    }

    async fn phase(&self, export: &ProjectExport) -> Phase {
        let app = &self.house().app;
        let seen = approval::get(app, &self.developer, &export.approval).await.unwrap();
        seen.state.phase
    }
}

/// A job that makes something else, or of somebody else's data, takes the approval of its old table along to nowhere: neither after the
/// decision nor before it. Back as it was, it is what was decided on.
async fn only_what_was_decided_on(house: House) {
    let t = team(house).await;
    another_provider(&t).await;
    let (app, house) = (&t.house().app, t.house());
    t.make(HARMLESS, 0).await;
    let export = t.export(TAKEN).await;
    let about = t.about("provider", &export).await;
    let reads = &about.export.reads;
    assert_eq!(reads.providers, [PROVIDER_ORG]);
    let source = &reads.sources[0];
    assert_eq!((reads.sources.len(), source.code.as_str()), (1, "renkou"));
    assert_eq!(source.request, t.g.request);
    let items: Vec<(&str, Grade)> =
        source.items.iter().map(|i| (i.identifier.as_str(), i.grade)).collect();
    assert!(items.contains(&("region_code", Grade::L1)), "{items:?}");
    let made = MadeBy { code: "_team_job".into(), sql: HARMLESS.into() };
    assert_eq!(reads.behind, [made], "who decides sees how the table was made");
    assert!(about.changed.is_empty());
    decide(house, "provider", &export.approval, true).await;
    assert_eq!(t.phase(&export).await, Phase::Approved, "L1 of one provider");

    t.make(OTHERS, 1).await;
    let refused = t.fetch(&export).await.unwrap_err();
    assert_eq!(refused.code(), Code::WrongState);
    for named in ["_team_job", "renkou", "jiankang", "ask anew"] {
        assert!(refused.en().contains(named), "{named}: {refused:?}");
    }
    assert!(refused.zh().contains("重新申请"), "{refused:?}");
    assert!(std::fs::read_dir(&app.folders.inbox).unwrap().next().is_none(), "nothing of it stays");
    let denied = t.g.audit("project.export.take").await[0].event.clone();
    assert_eq!((denied.result.as_str(), denied.object.as_str()), ("denied", export.id.as_str()));
    // The same data otherwise: the statement behind it was not decided on.
    t.make("select region_code as a from renkou where region_code = '330106'", 2).await;
    let refused = t.fetch(&export).await.unwrap_err();
    assert!(refused.en().contains("(_team_job)"), "{refused:?}");
    t.make(HARMLESS, 3).await;
    assert_eq!(t.fetch(&export).await.unwrap(), ["330106", "330200"]);

    // Before the decision: who decides is told, and an agreement lets nothing out.
    let early = t.export(TAKEN).await;
    t.make(OTHERS, 4).await;
    let about = t.about("provider", &early).await;
    assert_eq!(about.changed, ["_team_job", "jiankang", "renkou"]);
    decide(house, "provider", &early.approval, true).await;
    assert_eq!(t.phase(&early).await, Phase::Refused);
    assert_eq!(t.fetch(&early).await.unwrap_err().code(), Code::WrongState);
    // Asked anew, those decide whose data it is now.
    let anew = t.export(TAKEN).await;
    assert_eq!(anew.reads.providers, [STRANGER_ORG]);
    let provider = house.person("provider").await;
    let seat = approval::get(app, &provider, &anew.approval).await;
    assert!(!seat.is_ok_and(|seen| !seen.mine.is_empty()), "it is not their data");
    decide(house, "stranger", &anew.approval, true).await;
    assert_eq!(t.fetch(&anew).await.unwrap_err().code(), Code::WrongState, "L3: the authority");
    decide(house, "authority", &anew.approval, true).await;
    let rows = t.fetch(&anew).await.unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|r| r.contains("****")), "{rows:?}");

    // Nobody decides on a table of which nothing tells how it was made, as of one from before that was kept.
    let system = Op::system(app.now());
    let work = Target::plain("System", "projects");
    let permit = app.policy.permit(&system, Action::SystemWork, &work).unwrap();
    let mut old = app.store.project_results(&t.id).await.unwrap().remove(0);
    old.made.sql.clear();
    app.store.project_result_put(&permit, &old).await.unwrap();
    let ask =
        project::ask(app, &t.developer, &t.id, TAKEN, ExportFormat::Csv, "交业务处核对").await;
    let unknown = ask.unwrap_err();
    assert_eq!(unknown.code(), Code::RuleBroken);
    assert!(unknown.en().contains("`_team_job`") && unknown.en().contains("run its job anew"));

    // A grant that was made anew is another one, though it grants the same.
    let direct = t.export("select region_code as a from renkou").await;
    decide(house, "provider", &direct.approval, true).await;
    t.revoke().await;
    agree(house, t.g.op.actor.id(), "renkou", true).await;
    let refused = t.fetch(&direct).await.unwrap_err();
    assert!(refused.en().contains("(renkou)"), "{refused:?}");
}

/// Data of several providers leave when each of them has agreed, and the authority.
async fn every_provider_decides(house: House) {
    let t = team(house).await;
    another_provider(&t).await;
    let (app, house) = (&t.house().app, t.house());
    let both = "select r.region_code as a, j.xm as b from renkou r cross join jiankang j";
    let export = t.export(both).await;
    assert_eq!(export.reads.providers, [STRANGER_ORG, PROVIDER_ORG], "the highest grade first");
    let authority = house.person("authority").await;
    let waits = async |export: &ProjectExport| {
        let seen = approval::get(app, &authority, &export.approval).await;
        seen.is_ok_and(|seen| !seen.mine.is_empty())
    };
    decide(house, "stranger", &export.approval, true).await;
    assert!(!waits(&export).await, "the other provider first");
    assert_eq!(t.phase(&export).await, Phase::Running);
    decide(house, "provider", &export.approval, true).await;
    assert!(waits(&export).await);
    assert_eq!(t.fetch(&export).await.unwrap_err().code(), Code::WrongState);
    decide(house, "authority", &export.approval, true).await;
    assert_eq!(t.fetch(&export).await.unwrap().len(), 4);
    let other = t.export(both).await;
    decide(house, "stranger", &other.approval, true).await;
    decide(house, "provider", &other.approval, false).await;
    assert_eq!(t.phase(&other).await, Phase::Refused);
    assert_eq!(t.fetch(&other).await.unwrap_err().code(), Code::WrongState);
}

/// What a resource asks every call for is told for a project's statements, jobs and exports: what they say, else what was decided on,
/// else what the project is for. It stands in the records and in the meter.
async fn a_purpose_is_told(house: House) {
    let t = team(house).await;
    let (app, house) = (&t.house().app, t.house());
    let provider = house.person("provider").await;
    let entry = catalogue::get(app, &provider, "renkou").await.unwrap().id;
    let asks = Bounds { purpose: true, ..Bounds::default() };
    sharing::set_bounds(app, &provider, BoundsKind::Entry, &entry, asks).await.unwrap();
    let count = "select count(*) as n from renkou";
    assert_eq!(t.cells(&t.developer, count).await, [["2"]]);
    let said = format!("/* purpose: 年报核对 */ {count}");
    assert_eq!(t.cells(&t.developer, &said).await, [["2"]]);
    t.make("/* purpose: 每日统计 */\nselect count(*) as a from renkou", 0).await;
    t.make("select count(*) as a from renkou", 1).await;
    let export = t.export("select region_code as a from renkou").await;
    decide(house, "provider", &export.approval, true).await;
    assert_eq!(t.fetch(&export).await.unwrap().len(), 2);
    let told: Vec<String> = {
        let records = t.g.audit("rows.sql").await;
        let of =
            records.iter().filter(|r| r.event.action == "rows.sql" && r.event.object == "renkou");
        of.map(|r| r.event.purpose.clone()).collect()
    };
    let count_of = |word: &str| told.iter().filter(|p| *p == word).count();
    for (word, times) in [("年报核对", 1), ("每日统计", 1), ("按年龄统计", 2), ("交业务处核对", 1)]
    {
        assert_eq!(count_of(word), times, "{word}: {told:?}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
    house.clock.forward(TimeDelta::seconds(1));
    let authority = house.person("authority").await;
    let within = usage::within(&house.nobody(), UsageFilter::default()).unwrap();
    let by = usage::table(app, &authority, &within, UsageBy::Purpose, None, 0).await.unwrap().items;
    for word in ["年报核对", "每日统计", "按年龄统计", "交业务处核对"] {
        let used = |r: &UsageRow| r.word == word && r.usage.calls > 0 && r.usage.rows > 0;
        assert!(by.iter().any(used), "{word}: {by:?}");
    }
    // At the SQL door nothing is told for a statement: it says so itself.
    let client = t.g.connect().await;
    assert!(client.simple_query(count).await.is_err());
    assert!(client.simple_query(&said).await.is_ok());
}

crate::on_both!(only_what_was_decided_on, every_provider_decides, a_purpose_is_told);
