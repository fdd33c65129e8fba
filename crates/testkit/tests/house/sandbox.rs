//! The data sandbox, by the people in it: samples are seen, whole data are not; what runs over them was reviewed; what leaves passed
//! the checks and two reviews, once, with a mark.

use std::collections::BTreeMap;

use app::project::sandbox::{self, ReleaseAsk, RunAsk};
use app::project::{self, Answered};
use app::sharing;
use model::account::{Role, UserNew};
use model::code::SyncMode;
use model::project::{ExportFormat, ProjectNew};
use model::sandbox::release::{Check, ColumnPart, ReleaseState, ReleaseWay, SandboxRelease};
use model::sandbox::{RunKind, RunState, SandboxRun, SandboxStage};
use model::{Code, Op};
use policy::{Action, Target};
use testkit::{BY_AREA, CONSUMER_ORG, House, PASSWORD, PROVIDER_ORG, sandbox_people};

use crate::railway::until;
use crate::sqlwire::agree;

/// A sandbox over `renkou`, led by `consumer`.
pub(crate) struct Team {
    pub(crate) house: House,
    pub(crate) id: String,
    pub(crate) owner: Op,
    pub(crate) application: String,
    /// The share application that it works by.
    pub(crate) request: String,
}

pub(crate) async fn sandboxed(house: House) -> Team {
    let (_, secret) = house.application("沙箱应用").await;
    let mut draft = testkit::person_draft("renkou");
    let region = draft.items.iter_mut().find(|i| i.identifier == "region_code").unwrap();
    // Plain, so that it can be asked about.
    region.grade = model::code::Grade::L1;
    house.publish(draft).await;
    house
        .collect("renkou", "people.csv", sandbox_people().as_bytes(), SyncMode::Full)
        .await
        .unwrap();
    let application = secret.application.id;
    let request = agree(&house, &application, "renkou", true).await;
    let owner = house.person("consumer").await;
    let new = ProjectNew {
        application: application.clone(),
        code: "box".into(),
        name: "人口研究".into(),
        purpose: "按区统计".into(),
        entries: vec!["renkou".into()],
    };
    let made = sandbox::create(&house.app, &owner, new, 20).await.unwrap();
    Team { id: made.id, owner, application, request, house }
}

impl Team {
    pub(crate) async fn asked(&self, sql: &str) -> Answered {
        let app = &self.house.app;
        let run = project::run(app, &self.owner, &self.id, sql).await.unwrap();
        until("an answer", async || {
            let answer = project::answer(app, &self.owner, &self.id, &run, 1).await.unwrap();
            if answer.state == "running" { Err("running".to_owned()) } else { Ok(answer) }
        })
        .await
    }

    pub(crate) fn sql(stage: SandboxStage, into: &str, sql: &str) -> RunAsk {
        RunAsk {
            kind: RunKind::Sql,
            stage,
            into: into.into(),
            sql: sql.into(),
            program: String::new(),
            inputs: Vec::new(),
            reason: "按区统计人口".into(),
        }
    }

    pub(crate) async fn ask(&self, ask: RunAsk) -> SandboxRun {
        sandbox::ask_run(&self.house.app, &self.owner, &self.id, ask).await.unwrap()
    }

    pub(crate) async fn ended(&self, run: &str) -> SandboxRun {
        until("the end of a run", async || {
            let found = self.house.app.store.sandbox_run_get(run).await.unwrap().unwrap().body;
            let over = matches!(found.state, RunState::Done | RunState::Failed);
            if over { Ok(found) } else { Err(format!("{:?}", found.state)) }
        })
        .await
    }

    pub(crate) async fn decide(&self, who: &str, subject: &str, agreed: bool) -> model::Result<()> {
        let op = self.house.person(who).await;
        sandbox::decide(&self.house.app, &op, subject, agreed, "已阅").await
    }

    /// A reviewed run over whole data, to its end.
    pub(crate) async fn reviewed(&self, ask: RunAsk) -> SandboxRun {
        let run = self.ask(ask).await;
        for who in ["reviewer", "authority"] {
            self.decide(who, &run.id, true).await.unwrap();
        }
        sandbox::begin(&self.house.app, &self.owner, &self.id, &run.id).await.unwrap();
        let ended = self.ended(&run.id).await;
        assert_eq!(ended.state, RunState::Done, "{:?}", ended.error);
        ended
    }

    pub(crate) async fn release(&self, result: &str, count: &str, hide: bool) -> SandboxRelease {
        self.release_as(ReleaseWay::Download, result, count, hide).await
    }

    pub(crate) async fn release_as(
        &self,
        way: ReleaseWay,
        result: &str,
        count: &str,
        hide: bool,
    ) -> SandboxRelease {
        let ask = ReleaseAsk {
            result: result.into(),
            parts: BTreeMap::from([(count.to_owned(), ColumnPart::Count)]),
            hide,
            way,
            reason: "用于研究报告".into(),
        };
        sandbox::ask_release(&self.house.app, &self.owner, &self.id, ask).await.unwrap()
    }

    pub(crate) async fn fetch(&self, release: &str) -> model::Result<String> {
        let fetched = sandbox::fetch(&self.house.app, &self.owner, &self.id, release).await?;
        Ok(String::from_utf8(fetched.bytes).unwrap())
    }
}

pub(crate) fn code<T: std::fmt::Debug>(outcome: model::Result<T>) -> Code {
    outcome.unwrap_err().code()
}

pub(crate) fn checks(release: &SandboxRelease) -> Vec<Check> {
    let mut checks: Vec<Check> = release.findings.iter().map(|f| f.check).collect();
    checks.dedup();
    checks
}

/// Members see a sample, a few rows at a time, and never the whole.
async fn what_is_seen(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    assert_eq!(b.asked("select * from renkou").await.state, "failed", "the whole is not there");
    let sample = sandbox::sample(app, &b.owner, &b.id, "renkou").await.unwrap();
    assert_eq!((sample.rows, sample.hidden), (10, false), "the least of thirteen");
    let again = sandbox::sample(app, &b.owner, &b.id, "renkou").await.unwrap();
    assert_eq!(again.rows, 10);
    let all = "select a.region_code from _box_s_renkou a cross join _box_s_renkou b";
    let answer = b.asked(all).await;
    assert_eq!((answer.state, answer.held, answer.more), ("done", 10, true), "{:?}", answer.error);
    let masked = b.asked("select sfzh from _box_s_renkou").await;
    assert!(masked.rows.iter().all(|r| r[0].to_text().unwrap().contains('*')), "{:?}", masked.rows);
    assert_eq!(code(sandbox::sample(app, &b.owner, &b.id, "fangchan").await), Code::NotFound);

    // Their own data come in as texts; archives and odd names do not.
    let own =
        sandbox::upload(app, &b.owner, &b.id, "areas", b"code,name\n330106,a\n").await.unwrap();
    assert_eq!((own.name.as_str(), own.rows), ("u_areas", 1));
    let joined = b.asked("select count(*) as n from _box_u_areas").await;
    assert_eq!(joined.state, "done", "{:?}", joined.error);
    let zip = sandbox::upload(app, &b.owner, &b.id, "z", b"PK\x03\x04\xFF\xFE").await;
    assert_eq!(code(zip), Code::InvalidFile);

    // A run over samples begins at once; its result may be looked at.
    let sql = "select region_code, count(*) as n from _box_s_renkou group by region_code";
    let run = b.ask(Team::sql(SandboxStage::Development, "by_region", sql)).await;
    assert_eq!(b.ended(&run.id).await.state, RunState::Done);
    assert_eq!(b.asked("select * from _box_by_region").await.state, "done");
    let whole = Team::sql(SandboxStage::Development, "x", "select count(*) as n from renkou");
    assert!(sandbox::ask_run(app, &b.owner, &b.id, whole).await.is_err());
    // What batch sharing offers besides is not there.
    let export = project::ask(app, &b.owner, &b.id, sql, ExportFormat::Csv, "x").await;
    assert_eq!(code(export), Code::RuleBroken);
    // Nor are the same grants read beside it.
    let beside = ProjectNew {
        application: b.application.clone(),
        code: "beside".into(),
        name: "另一项目".into(),
        purpose: "统计".into(),
        entries: vec!["renkou".into()],
    };
    assert_eq!(code(project::create(app, &b.owner, beside).await), Code::RuleBroken);
}

/// A result leaves when nothing speaks against it and provider and authority agree; once.
async fn what_leaves(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    let run = b.ask(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    assert_eq!((run.state, run.into.as_str()), (RunState::Asked, "p_by_area"));
    let seats: Vec<&str> = run.reviews.iter().map(|r| r.org.as_str()).collect();
    assert_eq!(seats, [PROVIDER_ORG, ""]);
    let begin = async || sandbox::begin(app, &b.owner, &b.id, &run.id).await;
    assert_eq!(code(begin().await), Code::WrongState);
    assert_eq!(code(b.decide("consumer", &run.id, true).await), Code::NotFound, "their own");
    assert_eq!(code(b.decide("provider", &run.id, true).await), Code::NotFound, "no reviewer");
    let reviewer = b.house.person("reviewer").await;
    let waiting = sandbox::desk(app, &reviewer).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].run.as_ref().unwrap().sql, BY_AREA, "who decides sees what runs");
    b.decide("reviewer", &run.id, true).await.unwrap();
    assert!(sandbox::desk(app, &reviewer).await.unwrap().is_empty());
    assert_eq!(code(begin().await), Code::WrongState, "the authority has not decided");
    b.decide("authority", &run.id, true).await.unwrap();
    begin().await.unwrap();
    let ended = b.ended(&run.id).await;
    assert_eq!((ended.state, ended.figures.rows), (RunState::Done, 3), "{:?}", ended.error);
    assert_eq!(code(begin().await), Code::WrongState, "once");
    assert_eq!(b.asked("select * from _box_p_by_area").await.state, "failed", "not to be seen");

    // Two people in one district: the checks stop it, and do not say how many they are.
    let stopped = b.release("p_by_area", "n", false).await;
    assert_eq!((stopped.state, checks(&stopped)), (ReleaseState::Stopped, vec![Check::Threshold]));
    assert!(stopped.reviews.is_empty() && !stopped.findings[0].en.contains('2'));
    assert_eq!(code(b.fetch(&stopped.id).await), Code::WrongState);
    // Without a column that counts it is one of single records.
    assert!(checks(&b.release("p_by_area", "none", false).await).contains(&Check::Shape));

    let asked = b.release("p_by_area", "n", true).await;
    assert_eq!(asked.state, ReleaseState::Asked, "{:?}", asked.findings);
    assert_eq!(code(b.fetch(&asked.id).await), Code::WrongState, "not decided");
    let shown = sandbox::desk(app, &reviewer).await.unwrap();
    assert_eq!(shown[0].rows.len(), 3);
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    let text = b.fetch(&asked.id).await.unwrap();
    let plain = guard::watermark::plain(&text);
    for line in ["area,n", "西湖区,6", "上城区,5", "宁波市,*"] {
        assert!(plain.lines().any(|l| l == line), "{line}: {plain}");
    }
    assert!(text.starts_with('#') && text.contains(&asked.mark));
    let rows = text.split_once('\n').unwrap().1;
    assert_eq!(guard::watermark::trace(rows), Some(asked.mark.clone()), "a copy says whose it was");
    let authority = b.house.person("authority").await;
    let whose = sandbox::trace(app, &authority, rows).await.unwrap().unwrap();
    let (of, call) = (whose.release, whose.call);
    assert_eq!((of.id, of.applicant_name.as_str(), call), (asked.id.clone(), "consumer", None));
    assert!(sandbox::trace(app, &authority, &plain).await.unwrap().is_none());
    assert_eq!(code(sandbox::trace(app, &reviewer, rows).await), Code::Denied);
    assert_eq!(code(b.fetch(&asked.id).await), Code::WrongState, "once");

    // One person more than before: the difference would be that person.
    let more = BY_AREA.replace(
        "from renkou",
        "from (select region_code from renkou union all select '330106' as region_code) t",
    );
    let second = b.reviewed(Team::sql(SandboxStage::Production, "again", &more)).await;
    let stopped = b.release(&second.into, "n", true).await;
    assert_eq!((stopped.state, checks(&stopped)), (ReleaseState::Stopped, vec![Check::Difference]));

    // What a statement reads of the members' own is as it was reviewed, too.
    let areas =
        async |csv: &[u8]| sandbox::upload(app, &b.owner, &b.id, "areas", csv).await.unwrap();
    areas(b"code\n330106\n".as_slice()).await;
    let joined = "select count(*) as n from renkou r join _box_u_areas a on r.region_code = a.code";
    let joined = b.ask(Team::sql(SandboxStage::Production, "joined", joined)).await;
    for who in ["reviewer", "authority"] {
        b.decide(who, &joined.id, true).await.unwrap();
    }
    areas(b"code\n330200\n".as_slice()).await;
    let changed = sandbox::begin(app, &b.owner, &b.id, &joined.id).await;
    assert_eq!(code(changed), Code::WrongState);

    // A refusal ends it.
    let refused = b.release("p_by_area", "n", true).await;
    b.decide("reviewer", &refused.id, false).await.unwrap();
    assert_eq!(code(b.decide("authority", &refused.id, true).await), Code::WrongState);
    assert_eq!(code(b.fetch(&refused.id).await), Code::WrongState);
}

/// A program runs over a sample, and over the whole only as it was reviewed.
async fn programs(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    sandbox::sample(app, &b.owner, &b.id, "renkou").await.unwrap();
    let wrong = sandbox::add_program(app, &b.owner, &b.id, "空", b"(module)".to_vec()).await;
    assert_eq!(code(wrong), Code::InvalidInput);
    let text = sandbox::get(app, &b.owner, &b.id).await.unwrap().program_sample;
    let program =
        sandbox::add_program(app, &b.owner, &b.id, "计数", text.as_bytes().to_vec()).await.unwrap();
    let over = |stage, into: &str, input: &str| RunAsk {
        kind: RunKind::Program,
        program: program.id.clone(),
        inputs: vec![input.into()],
        ..Team::sql(stage, into, "")
    };
    let run = b.ask(over(SandboxStage::Development, "counted", "_box_s_renkou")).await;
    let ended = b.ended(&run.id).await;
    assert_eq!(ended.state, RunState::Done, "{:?}", ended.error);
    assert!(ended.figures.fuel > 0 && ended.figures.read_rows == 10 && ended.figures.rows > 0);

    let asked = b.ask(over(SandboxStage::Production, "counted", "renkou")).await;
    assert_eq!(
        (asked.state, asked.program_digest.as_str()),
        (RunState::Asked, program.digest.as_str())
    );
    let begin = async || sandbox::begin(app, &b.owner, &b.id, &asked.id).await;
    assert_eq!(code(begin().await), Code::WrongState);
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    // What was not reviewed does not run, whoever wrote it into the store.
    let system = Op::system(app.now());
    let target = Target::plain("System", "projects");
    let permit = app.policy.permit(&system, Action::SystemWork, &target).unwrap();
    let kept = app.store.sandbox_run_get(&asked.id).await.unwrap().unwrap();
    let other = SandboxRun { inputs: vec!["_box_s_renkou".into()], ..kept.body.clone() };
    app.store.sandbox_run_update(&permit, &other, kept.edit).await.unwrap();
    assert_eq!(code(begin().await), Code::WrongState, "not what was reviewed");
    app.store.sandbox_run_update(&permit, &kept.body, kept.edit + 1).await.unwrap();
    begin().await.unwrap();
    let ended = b.ended(&asked.id).await;
    assert_eq!(ended.state, RunState::Done, "{:?}", ended.error);
    assert_eq!((ended.figures.read_rows, ended.figures.fuel), (13, 0), "steps tell nothing");
    // Masked numbers of thirteen people: small groups do not leave.
    let stopped = b.release("p_counted", "count", false).await;
    assert_eq!(stopped.state, ReleaseState::Stopped);
}

/// To whoever is no member it does not exist; after its term nothing goes on.
async fn who_and_until_when(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    let new = UserNew {
        name: "colleague".into(),
        display_name: "colleague".into(),
        org: Some(CONSUMER_ORG.into()),
        roles: vec![Role::Consumer],
        password: PASSWORD.into(),
    };
    app::account::create_user(app, &Op::system(app.now()), new).await.unwrap();
    let run = b.reviewed(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    let asked = b.release(&run.into, "n", true).await;
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    for who in ["colleague", "provider", "authority", "enterprise", "citizen"] {
        let op = b.house.person(who).await;
        assert_eq!(code(sandbox::get(app, &op, &b.id).await), Code::NotFound, "{who}");
        assert_eq!(code(sandbox::fetch(app, &op, &b.id, &asked.id).await), Code::NotFound, "{who}");
        assert_eq!(code(sandbox::sample(app, &op, &b.id, "renkou").await), Code::NotFound, "{who}");
        assert!(sandbox::list(app, &op, None, 0).await.unwrap().items.is_empty(), "{who}");
    }
    let too_long = ProjectNew {
        application: b.application.clone(),
        code: "long".into(),
        name: "长".into(),
        purpose: "长".into(),
        entries: vec![],
    };
    assert_eq!(code(sandbox::create(app, &b.owner, too_long, 10_000).await), Code::InvalidInput);

    b.house.clock.forward(chrono::TimeDelta::days(21));
    let owner = b.house.person("consumer").await;
    let seen = sandbox::get(app, &owner, &b.id).await.unwrap();
    assert!(!seen.live, "its term is over; it can be looked at");
    let more = Team::sql(SandboxStage::Production, "more", BY_AREA);
    assert_eq!(code(sandbox::ask_run(app, &owner, &b.id, more).await), Code::WrongState);
    assert_eq!(code(sandbox::fetch(app, &owner, &b.id, &asked.id).await), Code::WrongState);
    assert_eq!(code(sandbox::sample(app, &owner, &b.id, "renkou").await), Code::WrongState);
}

/// What was agreed to is a run over what was behind its tables then: by another grant, though the statement is the same, it is asked anew.
async fn what_is_behind_a_run(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    let run = b.ask(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    assert_eq!(run.reads.providers, [PROVIDER_ORG]);
    let source = &run.reads.sources[0];
    assert_eq!((source.code.as_str(), source.request.as_str()), ("renkou", b.request.as_str()));
    for who in ["reviewer", "authority"] {
        b.decide(who, &run.id, true).await.unwrap();
    }
    let provider = b.house.person("provider").await;
    sharing::revoke(app, &provider, &b.request, "不再需要").await.unwrap();
    agree(&b.house, &b.application, "renkou", true).await;
    sandbox::begin(app, &b.owner, &b.id, &run.id).await.unwrap();
    let ended = b.ended(&run.id).await;
    assert_eq!(ended.state, RunState::Failed);
    let (zh, en) = ended.error.unwrap();
    assert!(en.contains("(renkou)") && en.contains("ask anew"), "{en}");
    assert!(zh.contains("重新申请"), "{zh}");
    let results = project::results(app, &b.owner, &b.id).await.unwrap();
    assert!(results.is_empty(), "nothing was made");
    let done = b.reviewed(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    let release = b.release(&done.into, "n", true).await;
    assert_eq!(release.sources[0].code, "renkou", "who decides on it sees what it is made from");
}

crate::on_both!(what_is_seen, what_leaves, programs, what_is_behind_a_run, who_and_until_when);
