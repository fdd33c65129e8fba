//! Projects of batch sharing, by the people in them: who sees one, what they may ask, what it costs, how a result is taken out.

use std::io::Read;

use app::halt::{self, HaltAsk};
use app::project::{self, Answered};
use app::{approval, sharing};
use model::account::{Role, UserNew};
use model::halt::HaltKind;
use model::project::{ExportFormat, Project, ProjectChange, ProjectNew, ProjectQuota, ProjectRole};
use model::{Code, Op};
use testkit::{CONSUMER_ORG, House, PASSWORD};

use crate::railway::until;
use crate::sqlwire::{Granted, granted};

/// A project over `renkou`, with an owner (`consumer`), a developer, a viewer and a colleague who is no member.
pub(crate) struct Team {
    pub(crate) g: Granted,
    pub(crate) id: String,
    pub(crate) owner: Op,
    pub(crate) developer: Op,
    pub(crate) viewer: Op,
    pub(crate) colleague: Op,
}

pub(crate) async fn team(house: House) -> Team {
    let g = granted(house).await;
    let house = &g.house;
    for (name, roles) in [
        ("developer", vec![Role::Consumer, Role::Provider]),
        ("viewer", vec![Role::Consumer]),
        ("colleague", vec![Role::Consumer]),
    ] {
        let new = UserNew {
            name: name.into(),
            display_name: name.into(),
            org: Some(CONSUMER_ORG.into()),
            roles,
            password: PASSWORD.into(),
        };
        app::account::create_user(&house.app, &Op::system(house.app.now()), new).await.unwrap();
    }
    let owner = house.person("consumer").await;
    let new = ProjectNew {
        application: g.op.actor.id().into(),
        code: "team".into(),
        name: "人口统计".into(),
        purpose: "按年龄统计".into(),
        entries: vec!["renkou".into()],
    };
    let made = project::create(&house.app, &owner, new).await.unwrap();
    for (name, role) in [("developer", ProjectRole::Developer), ("viewer", ProjectRole::Viewer)] {
        project::member_set(&house.app, &owner, &made.id, name, role).await.unwrap();
    }
    let (developer, viewer) = (house.person("developer").await, house.person("viewer").await);
    let colleague = house.person("colleague").await;
    Team { id: made.id, owner, developer, viewer, colleague, g }
}

impl Team {
    pub(crate) fn house(&self) -> &House {
        &self.g.house
    }

    /// Runs a statement to its end.
    pub(crate) async fn ask(&self, op: &Op, sql: &str) -> Answered {
        let app = &self.house().app;
        let run =
            project::run(app, op, &self.id, sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        self.answered(op, &run).await
    }

    async fn answered(&self, op: &Op, run: &str) -> Answered {
        let app = &self.house().app;
        until("an answer", async || {
            let answer = project::answer(app, op, &self.id, run, 1).await.unwrap();
            if answer.state == "running" { Err("running".to_owned()) } else { Ok(answer) }
        })
        .await
    }

    pub(crate) async fn cells(&self, op: &Op, sql: &str) -> Vec<Vec<String>> {
        let answer = self.ask(op, sql).await;
        assert_eq!(answer.state, "done", "{sql}: {:?}", answer.error);
        let text = |v: &model::value::Value| v.to_text().unwrap_or_default();
        answer.rows.iter().map(|row| row.iter().map(text).collect()).collect()
    }

    async fn refused(&self, op: &Op, sql: &str) -> String {
        let answer = self.ask(op, sql).await;
        assert_eq!(answer.state, "failed", "{sql}: {:?}", answer.rows);
        answer.error.unwrap().1
    }

    pub(crate) async fn change(&self, quota: ProjectQuota, entries: &[&str]) -> Project {
        let change = ProjectChange {
            name: "人口统计".into(),
            purpose: "按年龄统计".into(),
            entries: entries.iter().map(|e| (*e).to_owned()).collect(),
            quota,
        };
        project::change(&self.house().app, &self.owner, &self.id, change).await.unwrap()
    }

    pub(crate) async fn quota(&self) -> ProjectQuota {
        project::get(&self.house().app, &self.owner, &self.id).await.unwrap().project.quota
    }

    pub(crate) async fn revoke(&self) {
        let provider = self.house().person("provider").await;
        sharing::revoke(&self.house().app, &provider, &self.g.request, "不再需要").await.unwrap();
    }
}

fn code<T: std::fmt::Debug>(outcome: model::Result<T>) -> Code {
    outcome.unwrap_err().code()
}

/// Members see it, each as much as their role; to everybody else it does not exist.
async fn who_is_in(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    for op in [&t.owner, &t.developer, &t.viewer] {
        let seen = project::list(app, op, None, 10).await.unwrap().items;
        assert_eq!(seen.len(), 1, "{}", op.actor.name());
    }
    let stranger = t.house().person("stranger").await;
    let authority = t.house().person("authority").await;
    for op in [&t.colleague, &stranger, &authority, &t.house().nobody()] {
        assert!(project::list(app, op, None, 10).await.unwrap().items.is_empty());
        assert_eq!(code(project::get(app, op, &t.id).await), Code::NotFound);
        assert_eq!(code(project::tables(app, op, &t.id).await), Code::NotFound);
        assert_eq!(code(project::run(app, op, &t.id, "select 1").await), Code::NotFound);
        assert_eq!(code(project::statements(app, op, &t.id, false, None, 5).await), Code::NotFound);
        assert_eq!(code(project::close(app, op, &t.id).await), Code::NotFound);
    }
    for op in [&t.developer, &t.viewer] {
        let set = project::member_set(app, op, &t.id, "colleague", ProjectRole::Viewer).await;
        assert_eq!(code(set), Code::Denied);
        assert_eq!(code(project::statements(app, op, &t.id, true, None, 5).await), Code::Denied);
    }
    let outside = project::member_set(app, &t.owner, &t.id, "stranger", ProjectRole::Viewer).await;
    assert_eq!(code(outside), Code::RuleBroken, "people of the organisation only");
    let last = project::member_remove(app, &t.owner, &t.id, t.owner.actor.id()).await;
    assert_eq!(code(last), Code::RuleBroken, "the last owner stays");
    // The tree shows granted items with their masks, and to viewers what jobs made only.
    let tree = project::tables(app, &t.developer, &t.id).await.unwrap();
    let names: Vec<(&str, bool)> =
        tree[0].columns.iter().map(|c| (c.name.as_str(), c.mask.is_empty())).collect();
    assert_eq!(names, [("sfzh", false), ("xm", false), ("csrq", false), ("region_code", true)]);
    assert!(project::tables(app, &t.viewer, &t.id).await.unwrap().is_empty());
    let hidden = t.refused(&t.viewer, "select * from renkou").await;
    assert!(hidden.contains("no table"), "{hidden}");
    // What the application is not granted cannot be included.
    let other = ProjectNew {
        application: t.g.op.actor.id().into(),
        code: "other".into(),
        name: "x".into(),
        purpose: "x".into(),
        entries: vec!["fangchan".into()],
    };
    assert_eq!(code(project::create(app, &t.owner, other).await), Code::NoGrant);
    project::member_remove(app, &t.owner, &t.id, t.developer.actor.id()).await.unwrap();
    assert_eq!(code(project::get(app, &t.developer, &t.id).await), Code::NotFound);
    project::close(app, &t.owner, &t.id).await.unwrap();
    assert_eq!(code(project::run(app, &t.owner, &t.id, "select 1").await), Code::WrongState);
}

/// Statements give what the SQL door gives: granted rows and items, masked; recorded by the member's name.
async fn what_is_asked(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let rows =
        t.cells(&t.developer, "select xm, region_code from renkou order by region_code").await;
    assert_eq!(rows, [["张**", "330106"], ["王**", "330200"]]);
    let counted =
        t.cells(&t.developer, "select csrq, count(*) as n from renkou group by csrq").await;
    assert_eq!(counted, [["1949", "2"]]);
    let event =
        t.g.audit("rows.sql").await.into_iter().find(|r| r.event.columns == "csrq").unwrap().event;
    assert_eq!(
        (event.actor_name.as_str(), event.app_key.as_str()),
        ("developer", t.g.key.as_str())
    );
    assert_eq!((event.request.as_str(), event.object.as_str()), (t.g.request.as_str(), "renkou"));
    // Rows are held up to a limit and shown page by page.
    let many = t.ask(&t.developer, "select n from generate_series(1, 500) a(n)").await;
    assert_eq!((many.rows.len(), many.held, many.more), (20, 50, true));
    let third = project::answer(app, &t.developer, &t.id, &many.run, 3).await.unwrap();
    assert_eq!((third.from, third.rows.len()), (40, 10));
    let others = project::answer(app, &t.owner, &t.id, &many.run, 1).await;
    assert_eq!(code(others), Code::NotFound, "an answer is its member's alone");
    let plan =
        t.cells(&t.developer, "explain select xm from renkou where region_code = '330106'").await;
    let plan: String = plan.concat().concat();
    assert!(
        plan.contains("renkou") && !plan.contains("parquet") && !plan.contains("33%"),
        "{plan}"
    );
    let looked =
        project::look(app, &t.developer, &t.id, "select upper(xm) as x from renkou").await.unwrap();
    assert_eq!(looked.columns[0].2, ["renkou.xm"]);
    assert_eq!(looked.tables, [("renkou".to_owned(), vec!["xm".to_owned()])]);
    for (sql, told) in [
        ("delete from renkou", "not allowed"),
        ("select 1; select 2", "one query"),
        ("set statement_timeout = 1", "one query"),
        ("select * from fangchan", "no table"),
        ("select sjh from renkou", "no column"),
        ("select * from read_csv('/etc/passwd')", "not allowed"),
    ] {
        let refusal = t.refused(&t.developer, sql).await;
        assert!(refusal.contains(told), "{sql}: {refusal}");
    }
    let mine = project::statements(app, &t.developer, &t.id, false, None, 50).await.unwrap().items;
    let outcomes: Vec<(&str, &str)> =
        mine.iter().rev().map(|s| (s.outcome.as_str(), s.text.get(..6).unwrap())).collect();
    assert_eq!(outcomes[0], ("ok", "select"));
    assert!(outcomes.contains(&("refused", "delete")), "{outcomes:?}");
    let first = mine.last().unwrap();
    assert_eq!((first.rows, first.tables.as_str()), (2, "renkou"));
    assert!(
        project::statements(app, &t.viewer, &t.id, false, None, 50).await.unwrap().items.is_empty()
    );
    let all = project::statements(app, &t.owner, &t.id, true, None, 50).await.unwrap().items;
    assert_eq!(all.len(), mine.len());
    let view = project::get(app, &t.owner, &t.id).await.unwrap();
    assert!(view.used.day > 0.0 && view.used.day == view.used.month, "{:?}", view.used);
}

/// A running statement is stopped in the engine; one that needs too much memory fails alone and says why, what can spill does.
async fn too_much(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let endless = "select count(*) from generate_series(1, 100000) a(n) cross join generate_series(1, 100000) b(m) cross join generate_series(1, 1000) c(k) where n % 7 = m % 11";
    let run = project::run(app, &t.developer, &t.id, endless).await.unwrap();
    assert_eq!(project::answer(app, &t.developer, &t.id, &run, 1).await.unwrap().state, "running");
    project::cancel(app, &t.developer, &t.id, &run).await.unwrap();
    let ended = t.answered(&t.developer, &run).await;
    assert!(ended.error.unwrap().1.contains("cancelled"));
    let past = project::statements(app, &t.developer, &t.id, false, None, 1).await.unwrap().items;
    assert_eq!((past[0].outcome.as_str(), past[0].state.as_str()), ("cancelled", "57014"));
    let wide = "select count(*) from generate_series(1, 3000000) a(n) join generate_series(1, 3000000) b(m) on a.n = b.m";
    let refusal = t.refused(&t.developer, wide).await;
    assert!(refusal.contains("more memory"), "{refusal}");
    // What a function would make is nowhere counted by the engine: it is refused before.
    for made in [
        "select array_length(generate_series(1, 400000000)) as n",
        "select length(repeat(xm, 1000000000)) as n from renkou",
    ] {
        let refusal = t.refused(&t.developer, made).await;
        assert!(refusal.contains("at most 65536 are made"), "{refusal}");
    }
    let sorted = "select max(r) from (select row_number() over (order by -n) as r from generate_series(1, 3000000) a(n)) x";
    assert_eq!(t.cells(&t.developer, sorted).await, [["3000000"]], "what can be spilled is");
}

/// What is used up is refused; a revoked grant takes away tables and answers at once.
async fn what_it_may_use(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let quota = t.quota().await;
    t.change(ProjectQuota { units_per_day: 0, ..quota }, &["renkou"]).await;
    let refusal = t.refused(&t.developer, "select count(*) from renkou").await;
    assert!(refusal.contains("quota of 0 compute units is used up"), "{refusal}");
    let change = ProjectChange {
        name: "n".into(),
        purpose: "p".into(),
        entries: vec![],
        quota: ProjectQuota { units_per_day: u64::MAX, ..quota },
    };
    assert_eq!(code(project::change(app, &t.owner, &t.id, change).await), Code::RuleBroken);
    t.change(quota, &[]).await;
    let refusal = t.refused(&t.developer, "select count(*) from renkou").await;
    assert!(refusal.contains("no table"), "it is not included any more: {refusal}");
    t.change(quota, &["renkou"]).await;
    let answer = t.ask(&t.developer, "select xm from renkou").await;
    assert_eq!(answer.rows.len(), 2);
    t.revoke().await;
    let shown = project::answer(app, &t.developer, &t.id, &answer.run, 1).await;
    assert_eq!(code(shown), Code::GrantExpired);
    let refusal = t.refused(&t.developer, "select xm from renkou").await;
    assert!(refusal.contains("no table"), "{refusal}");
}

/// Decides on the seat that a person holds.
pub(crate) async fn decide(house: &House, who: &str, approval: &str, approve: bool) {
    let op = house.person(who).await;
    let seen = approval::get(&house.app, &op, approval).await.unwrap();
    let (step, seat, _) = seen.mine.first().cloned().unwrap_or_else(|| panic!("{who} has no seat"));
    let reason = if approve { String::new() } else { "too_much".to_owned() };
    let act = approval::Act::Decide { approve, reason };
    approval::act(&house.app, &op, approval, &step, seat, act, "已核对").await.unwrap();
}

/// A result leaves after the provider (and, for persons' data, the authority) has agreed: once, by who asked, within the term.
async fn taken_out(house: House) {
    let t = team(house).await;
    let (app, house) = (&t.house().app, t.house());
    let sql = "select sfzh, region_code from renkou order by region_code";
    let ask = async |format| {
        project::ask(app, &t.developer, &t.id, sql, format, "交业务处核对").await.unwrap()
    };
    assert_eq!(
        code(project::ask(app, &t.viewer, &t.id, sql, ExportFormat::Csv, "x").await),
        Code::Denied
    );
    assert_eq!(
        code(project::ask(app, &t.developer, &t.id, sql, ExportFormat::Csv, " ").await),
        Code::InvalidInput
    );
    let nothing =
        project::ask(app, &t.developer, &t.id, "select 1 as a", ExportFormat::Csv, "x").await;
    assert_eq!(code(nothing), Code::RuleBroken);

    let export = ask(ExportFormat::Csv).await;
    let fetch = async |op: &Op, id: &str| project::fetch(app, op, &t.id, id).await;
    assert_eq!(code(fetch(&t.developer, &export.id).await), Code::WrongState, "not decided yet");
    let provider = house.person("provider").await;
    let subject = model::flow::Subject { kind: "export".into(), id: export.id.clone() };
    let about = project::about(app, &provider, &subject).await.unwrap().unwrap();
    let seen = (about.export.sql.as_str(), about.project.as_str());
    assert_eq!(seen, (sql, "人口统计"), "who decides sees what");
    decide(house, "provider", &export.approval, true).await;
    assert_eq!(
        code(fetch(&t.developer, &export.id).await),
        Code::WrongState,
        "L3: the authority, too"
    );
    decide(house, "authority", &export.approval, true).await;
    assert_eq!(code(fetch(&t.owner, &export.id).await), Code::Denied, "who asked, and nobody else");
    let mut fetched = fetch(&t.developer, &export.id).await.unwrap();
    let mut text = String::new();
    fetched.file.read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        "\u{feff}sfzh,region_code\n110105********002X,330106\n110105********0038,330200\n"
    );
    assert_eq!(fetched.bytes, text.len() as u64);
    assert_eq!(code(fetch(&t.developer, &export.id).await), Code::WrongState, "once");
    let event = t.g.audit("project.export.take").await[0].event.clone();
    assert_eq!(
        (event.rows, event.bytes, event.actor_name.as_str()),
        (2, fetched.bytes, "developer")
    );
    assert_eq!(
        (event.request.as_str(), event.purpose.as_str()),
        (export.approval.as_str(), "交业务处核对")
    );
    assert!(std::fs::read_dir(&app.folders.inbox).unwrap().next().is_none(), "nothing of it stays");

    let other = ask(ExportFormat::Parquet).await;
    for who in ["provider", "authority"] {
        decide(house, who, &other.approval, true).await;
    }
    let mut bytes = Vec::new();
    fetch(&t.developer, &other.id).await.unwrap().file.read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));

    let refused = ask(ExportFormat::Csv).await;
    decide(house, "provider", &refused.approval, false).await;
    assert_eq!(code(fetch(&t.developer, &refused.id).await), Code::WrongState);
    let late = ask(ExportFormat::Csv).await;
    for who in ["provider", "authority"] {
        decide(house, who, &late.approval, true).await;
    }
    house.clock.forward(chrono::TimeDelta::days(8));
    let developer = house.person("developer").await;
    assert_eq!(code(fetch(&developer, &late.id).await), Code::WrongState, "the term is over");
    let seen = project::exports(app, &developer, &t.id, None, 10).await.unwrap().items;
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().find(|v| v.export.id == late.id).unwrap().expired);
    let viewed = project::exports(app, &t.viewer, &t.id, None, 10).await.unwrap().items;
    assert!(viewed.iter().all(|v| v.export.sql.is_empty()), "a statement may name a person");
}

/// While a resource of the project is stopped, its statements say so, and no longer than that.
async fn a_stop_is_told(house: House) {
    let t = team(house).await;
    let app = &t.house().app;
    let sql = "select xm from renkou";
    let ask =
        HaltAsk { kind: HaltKind::Entry, name: "renkou".into(), reason: "疑似泄露".into() };
    let security = t.house().person("security").await;
    let stop = halt::begin(app, &security, &ask).await.unwrap();
    let answer = t.ask(&t.owner, sql).await;
    let told = format!("{:?}", answer.error);
    assert!(answer.state == "failed" && told.contains(&stop.id), "{told}");
    assert!(told.contains("该数据资源") && !told.contains("没有表"), "{told}");
    let authority = t.house().person("authority").await;
    halt::lift(app, &authority, &stop.id, "已排查").await.unwrap();
    assert_eq!(t.cells(&t.owner, "select count(*) from renkou").await, [["2"]]);
}

crate::on_both!(who_is_in, what_is_asked, too_much, what_it_may_use, taken_out, a_stop_is_told);
