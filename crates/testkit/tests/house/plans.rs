//! How something comes to be open: a plan, a risk check over real rows, its review, what the catalogue asks of it, withdrawal with a
//! public note, and checks that are due again.

use app::catalogue::{self, Move};
use app::opening;
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::code::{DataType, OpenType, SyncMode};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::openplan::{
    Assessment, AssessmentState, Ground, OpenPlanState, PlanLine, PlanLineState, RiskWeight,
};
use model::{Code, Op};
use testkit::{House, PROVIDER_ORG, STRANGER_ORG};

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-20\n";

fn line(code: &str, title: &str) -> PlanLine {
    PlanLine {
        code: code.into(),
        title: title.into(),
        attribute: OpenType::Unconditional,
        ground: None,
        basis: String::new(),
        due: "2026-06-30".parse().unwrap(),
    }
}

/// People by birth date and sex, with a remark; open if the check lets it be.
fn people(code: &str) -> EntryDraft {
    let mut draft = testkit::draft(code);
    let mut born = Item::new("csrq", "出生日期", DataType::Date);
    born.nullable = true;
    draft.items = vec![
        draft.items[0].clone(),
        born,
        Item::new("xb", "性别", DataType::Text),
        Item::new("bz", "备注", DataType::Text),
    ];
    draft
}

async fn told(house: &House, who: &str, kind: &str) -> usize {
    let op = house.person(who).await;
    let page = app::notice::list(&house.app, &op, false, None, 200).await.unwrap();
    page.items.iter().filter(|n| n.kind == kind).count()
}

async fn audited(house: &House, action: &str) -> Vec<model::audit::AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 50, ..AuditFilter::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

/// A set that is published and waits for the authority to let it online.
async fn waiting(house: &House, draft: EntryDraft) -> Entry {
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    let entry = catalogue::create(&house.app, &provider, draft).await.unwrap();
    for (op, step) in
        [(&provider, Move::Submit), (&authority, Move::Approve), (&provider, Move::PutOnline)]
    {
        catalogue::step(&house.app, op, &entry.id, step, "x").await.unwrap();
    }
    entry
}

async fn agreed(house: &House, code: &str, reason: &str) -> Assessment {
    let (app, provider) = (&house.app, house.person("provider").await);
    let of = opening::assess(app, &provider, code).await.unwrap();
    let reasons: Vec<(String, String)> =
        of.findings.iter().map(|f| (f.key(), reason.to_owned())).collect();
    opening::submit_assessment(app, &provider, &of.id, &reasons).await.unwrap();
    let authority = house.person("authority").await;
    opening::decide_assessment(app, &authority, &of.id, true, "").await.unwrap()
}

/// A plan is drawn up, agreed to and read by everybody with what was done of it.
async fn plan(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let provider = house.person("provider").await;
    let plan = opening::begin_plan(app, &provider, 2026).await.unwrap();
    assert_eq!((plan.org.as_str(), plan.state), (PROVIDER_ORG, OpenPlanState::Draft));
    let e = opening::begin_plan(app, &provider, 2026).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate, "one plan a year");
    assert!(opening::begin_plan(app, &provider, 1999).await.is_err());

    let closed = PlanLine {
        attribute: OpenType::None,
        ground: Some(Ground::Privacy),
        basis: "条例关于禁止开放的规定".into(),
        ..line("", "参保人员明细")
    };
    let bare = PlanLine { ground: None, ..closed.clone() };
    let e = opening::write_plan(app, &provider, &plan.id, vec![bare], 1).await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput, "what is not opened names its ground");
    let foreign = vec![line("nobodys", "")];
    let e = opening::write_plan(app, &provider, &plan.id, foreign, 1).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "code-0");
    let lines = vec![line("tongji", ""), line("", "停车泊位"), closed];
    let plan = opening::write_plan(app, &provider, &plan.id, lines.clone(), 1).await.unwrap();
    assert_eq!(plan.lines[0].title, "测试数据集 tongji", "the title of its entry");
    let e = opening::write_plan(app, &provider, &plan.id, lines, 1).await.unwrap_err();
    assert_eq!(e.code(), Code::Stale);

    let (stranger, citizen) = (house.person("stranger").await, house.person("citizen").await);
    for op in [&stranger, &citizen, &house.nobody()] {
        assert_eq!(opening::plan(app, op, &plan.id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(
            opening::plan_public(app, op, &plan.id).await.unwrap_err().code(),
            Code::NotFound,
            "not agreed to yet"
        );
    }
    assert_eq!(opening::desk(app, &citizen).await.unwrap_err().code(), Code::Denied);
    opening::submit_plan(app, &provider, &plan.id).await.unwrap();
    assert_eq!(told(&house, "authority", "plan.filed").await, 1);
    let e = opening::decide_plan(app, &provider, &plan.id, true, "").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let city = house.person("city").await;
    let e = opening::decide_plan(app, &city, &plan.id, true, "").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "the province's plans are not the city's");
    let authority = house.person("authority").await;
    assert!(opening::decide_plan(app, &authority, &plan.id, false, "").await.is_err(), "say why");
    opening::decide_plan(app, &authority, &plan.id, true, "").await.unwrap();
    assert_eq!(told(&house, "provider", "plan.decided").await, 1);

    let nobody = house.nobody();
    let seen = opening::plan_public(app, &nobody, &plan.id).await.unwrap();
    let states: Vec<_> = seen.lines.iter().map(|l| (l.state, l.late)).collect();
    assert_eq!(
        states,
        [
            (PlanLineState::Open, false),
            (PlanLineState::Planned, false),
            (PlanLineState::Refused, false)
        ]
    );
    assert_eq!(seen.lines[0].line.code, "tongji");
    assert!(seen.plan.writer.is_empty() && seen.plan.submitted_by.is_empty());
    house.clock.forward(TimeDelta::days(150));
    let nobody = house.nobody();
    let page = opening::plans(app, &nobody, Some(2026), None, None, 10).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].figures.late), (1, 1), "promised for June");
    let page = opening::plans(app, &nobody, None, Some(STRANGER_ORG), None, 10).await.unwrap();
    assert!(page.items.is_empty());
    assert_eq!(opening::plan_years(app, &nobody).await.unwrap(), [2026]);
}

/// The check reads the real rows as the public would get them, tells no value, and what blocks is not handed in.
async fn check(house: House) {
    let app = &house.app;
    house.publish(people("renyuan")).await;
    let rows =
        "id,csrq,xb,bz\n1,1980-01-01,男,无\n2,1980-01-01,男,请打13800138000\n3,1990-05-05,女,无\n";
    house.collect("renyuan", "r.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let provider = house.person("provider").await;
    let of = opening::assess(app, &provider, "renyuan").await.unwrap();
    assert_eq!((of.rows, of.whole, of.state), (3, true, AssessmentState::Found));
    assert_eq!((of.smallest, of.below, of.unique), (1, 3, 1));
    assert_eq!(of.weight(), RiskWeight::Block);
    let rules: Vec<_> = of.findings.iter().map(|f| f.key()).collect();
    for key in ["identifier:bz", "k-anonymity:", "combination:"] {
        assert!(rules.contains(&key.to_owned()), "{rules:?}");
    }
    let text = serde_json::to_string(&of).unwrap();
    assert!(
        !text.contains("13800138000") && !text.contains("1980-01-01"),
        "no value is told: {text}"
    );
    let e = opening::submit_assessment(app, &provider, &of.id, &[]).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    let records = audited(&house, "opening.assess").await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].event.rows, records[0].event.columns.as_str()), (3, "id,csrq,xb,bz"));

    // Others neither check it nor see what was found.
    for who in ["stranger", "consumer", "citizen", "city"] {
        let op = house.person(who).await;
        assert!(opening::assess(app, &op, "renyuan").await.is_err(), "{who}");
        let e = opening::assessment_get(app, &op, &of.id).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    // What stays closed is neither read nor found.
    house.publish(testkit::person_draft("mingxi")).await;
    let e = opening::assess(app, &provider, "mingxi").await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
}

/// A finding that needs a reason gets one; who handed it in does not decide.
async fn review(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let provider = house.person("provider").await;
    let of = opening::assess(app, &provider, "tongji").await.unwrap();
    let keys: Vec<_> = of.findings.iter().map(|f| (f.key(), f.weight)).collect();
    assert_eq!(keys, [("no-rows:".to_owned(), RiskWeight::Reason)]);
    let e = opening::submit_assessment(app, &provider, &of.id, &[]).await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    let reasons = [("no-rows:".to_owned(), "数据下月归集，字段已逐项核对".to_owned())];
    let e = opening::decide_assessment(app, &provider, &of.id, true, "").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    opening::submit_assessment(app, &provider, &of.id, &reasons).await.unwrap();
    assert_eq!(told(&house, "authority", "opening.filed").await, 1);
    let authority = house.person("authority").await;
    let of = opening::decide_assessment(app, &authority, &of.id, true, "同意").await.unwrap();
    assert_eq!((of.state, of.unexplained()), (AssessmentState::Agreed, 0));
    let e = opening::decide_assessment(app, &authority, &of.id, false, "不行").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    assert_eq!(told(&house, "provider", "opening.decided").await, 1);
}

/// From the day of the rules on nothing is opened, or opened wider, without an agreed check of exactly that declaration.
async fn required(house: House) {
    let app = &house.app;
    let early = waiting(&house, testkit::draft("early")).await;
    let authority = house.person("authority").await;
    catalogue::step(app, &authority, &early.id, Move::Approve, "").await.unwrap();
    house.clock.forward(TimeDelta::days(305));
    let late = waiting(&house, testkit::draft("late")).await;
    let authority = house.person("authority").await;
    let approve = async |id: &str| catalogue::step(app, &authority, id, Move::Approve, "").await;
    let e = approve(&late.id).await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::RuleBroken, &["opening.assessment".to_owned()][..]));
    let provider = house.person("provider").await;
    let found = opening::assess(app, &provider, "late").await.unwrap();
    assert!(approve(&late.id).await.is_err(), "a check that nobody agreed to opens nothing");
    assert_eq!(found.state, AssessmentState::Found);
    house.clock.forward(TimeDelta::seconds(1));
    agreed(&house, "late", "已逐项核对").await;
    approve(&late.id).await.unwrap();

    // Closing needs no check; opening again does, of the new declaration.
    let now = catalogue::get(app, &provider, &late.id).await.unwrap();
    let mut draft = now.draft.clone();
    draft.items[1].open_type = OpenType::None;
    draft.items[1].open_basis = "内部管理信息".into();
    catalogue::edit(app, &provider, &now.id, draft.clone(), now.version).await.unwrap();
    approve(&late.id).await.unwrap();
    // Wider than what was agreed to: an item more.
    let wider = model::item::Item::new("extra", "备注", DataType::Text);
    let before = draft.clone();
    draft.items.push(wider);
    let now = catalogue::get(app, &provider, &late.id).await.unwrap();
    catalogue::edit(app, &provider, &now.id, draft, now.version).await.unwrap();
    assert_eq!(approve(&late.id).await.unwrap_err().code(), Code::RuleBroken);
    catalogue::step(app, &provider, &late.id, Move::Withdraw, "").await.unwrap();
    // The declaration that was agreed to comes back: the check still stands.
    let mut draft = before;
    draft.items[1].open_type = OpenType::Unconditional;
    draft.items[1].open_basis = String::new();
    let now = catalogue::get(app, &provider, &late.id).await.unwrap();
    catalogue::edit(app, &provider, &now.id, draft, now.version).await.unwrap();
    approve(&late.id).await.unwrap();
}

/// A withdrawn set says why and when; it says nothing more once it is back, and nothing was said of what was never open.
async fn withdrawal(house: House) {
    let app = &house.app;
    let entry = house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    let nobody = house.nobody();
    let note = "数据源系统停用，自即日起不再更新";
    let stranger = house.person("stranger").await;
    assert!(opening::withdraw(app, &stranger, "tongji", note, "").await.is_err());
    let named = "请致电13800138000";
    let e = opening::withdraw(app, &provider, "tongji", named, "").await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput, "a public note names nobody");
    opening::withdraw(app, &provider, "tongji", note, "The source was shut down").await.unwrap();
    assert!(opening::withdrawn(app, &nobody, "tongji").await.unwrap().is_none(), "under review");
    assert!(opening::dataset(app, &nobody, "tongji").await.is_ok());
    catalogue::step(app, &authority, &entry.id, Move::Approve, "").await.unwrap();
    assert_eq!(opening::dataset(app, &nobody, "tongji").await.unwrap_err().code(), Code::NotFound);
    let of = opening::withdrawn(app, &nobody, "tongji").await.unwrap().unwrap();
    assert_eq!((of.note.as_str(), of.since.is_empty()), (note, false));
    assert_eq!(opening::withdrawals(app, &nobody, None, 10).await.unwrap().len(), 1);
    assert!(opening::withdrawals(app, &nobody, Some("330100"), 10).await.unwrap().is_empty());
    catalogue::step(app, &provider, &entry.id, Move::PutOnline, "").await.unwrap();
    catalogue::step(app, &authority, &entry.id, Move::Approve, "").await.unwrap();
    assert!(opening::withdrawn(app, &nobody, "tongji").await.unwrap().is_none(), "it is back");

    // One that the authority keeps on the site, and one that goes without a note.
    opening::withdraw(app, &provider, "tongji", note, "").await.unwrap();
    catalogue::step(app, &authority, &entry.id, Move::Reject, "仍在更新").await.unwrap();
    catalogue::step(app, &provider, &entry.id, Move::TakeOffline, "x").await.unwrap();
    catalogue::step(app, &authority, &entry.id, Move::Approve, "").await.unwrap();
    assert!(
        opening::withdrawn(app, &nobody, "tongji").await.unwrap().is_none(),
        "no note, no page"
    );
}

/// What is due again is noted once, told once, and struck when it was checked anew.
async fn again(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let system = || Op::system(app.now());
    assert_eq!(opening::recheck(app, &system()).await.unwrap(), 0, "not asked for yet");
    agreed(&house, "tongji", "已逐项核对").await;
    house.clock.forward(TimeDelta::days(400));
    assert_eq!(opening::recheck(app, &system()).await.unwrap(), 0, "24 months of an L1 set");
    house.clock.forward(TimeDelta::days(400));
    assert_eq!(opening::recheck(app, &system()).await.unwrap(), 1);
    assert_eq!(opening::recheck(app, &system()).await.unwrap(), 0, "once");
    assert_eq!(told(&house, "provider", "opening.recheck").await, 1);
    let provider = house.person("provider").await;
    let due = opening::rechecks(app, &provider, 10).await.unwrap();
    assert_eq!((due.len(), due[0].code.as_str()), (1, "tongji"));
    let stranger = house.person("stranger").await;
    assert!(opening::rechecks(app, &stranger, 10).await.unwrap().is_empty());
    agreed(&house, "tongji", "已重新核对").await;
    assert!(opening::rechecks(app, &provider, 10).await.unwrap().is_empty());
    assert_eq!(opening::recheck(app, &system()).await.unwrap(), 0);
}

crate::on_both!(plan, check, review, required, withdrawal, again);
