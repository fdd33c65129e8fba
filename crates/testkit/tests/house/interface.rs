//! Interfaces by description: each kind answers what it says and no more than the caller's grant, their versions live beside each
//! other, and who lacks a grant gets nothing of any kind.

use std::collections::BTreeSet;

use app::interface::{self, Answer, Body, Move};
use app::sharing;
use chrono::TimeDelta;
use futures::TryStreamExt;
use model::asset::Node;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::interface::{Arguments, Interface, InterfaceQuota, InterfaceState};
use model::query::RowPage;
use model::request::{Period, Request, RequestNew, RequestState};
use model::value::Value;
use model::{Code, Op};
use testkit::House;

/// Valid check digits, invented people.
pub(crate) const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,330200\n";

/// Twelve rows: seven of one name, four of another, one alone.
pub(crate) fn figures() -> String {
    let names = ["甲", "甲", "甲", "甲", "甲", "甲", "甲", "乙", "乙", "乙", "乙", "丙"];
    let line =
        |(n, name): (usize, &&str)| format!("{},{name},{}.50,2026-01-{:02}\n", n + 1, n, n + 1);
    let rows: String = names.iter().enumerate().map(line).collect();
    format!("id,name,amount,day\n{rows}")
}

pub(crate) fn wanted(application: &str, entry: &str, items: &[&str]) -> RequestNew {
    RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 1000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    }
}

/// Applies and has it granted.
pub(crate) async fn granted(
    house: &House,
    application: &str,
    entry: &str,
    items: &[&str],
) -> Request {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let request = sharing::apply(app, &consumer, wanted(application, entry, items)).await.unwrap();
    if request.state == RequestState::Approved {
        return request;
    }
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    sharing::review(app, &provider, &request.id, true, "").await.unwrap();
    sharing::review(app, &authority, &request.id, true, "").await.unwrap()
}

/// Draws up an interface and publishes it.
pub(crate) async fn published(house: &House, text: &str) -> Interface {
    let provider = house.person("provider").await;
    let made = interface::create(&house.app, &provider, text).await.unwrap();
    live(house, &made.id, 100).await
}

fn to(state: InterfaceState, share: u8) -> Move {
    Move { to: state, share, until: String::new() }
}

async fn live(house: &House, id: &str, share: u8) -> Interface {
    let (app, provider) = (&house.app, house.person("provider").await);
    interface::step(app, &provider, id, &to(InterfaceState::Test, 100)).await.unwrap();
    interface::step(app, &provider, id, &to(InterfaceState::Published, share)).await.unwrap()
}

fn given(pairs: &[(&str, &str)]) -> Arguments {
    let mut all = Arguments::default();
    pairs.iter().for_each(|(name, value)| all.add(name, *value));
    all
}

/// Calls an interface a second later, so that no rate stands in the way.
pub(crate) async fn call(
    house: &House,
    caller: &Op,
    code: &str,
    pairs: &[(&str, &str)],
) -> model::Result<Answer> {
    house.clock.forward(TimeDelta::seconds(1));
    let op = house.app.op(caller.actor.clone(), "127.0.0.1");
    interface::call(&house.app, &op, code, given(pairs)).await
}

async fn refusal(house: &House, caller: &Op, code: &str, pairs: &[(&str, &str)]) -> Code {
    call(house, caller, code, pairs).await.unwrap_err().code()
}

fn page(answer: Answer) -> RowPage {
    match answer.body {
        Body::Rows(page) => page,
        other => panic!("{other:?}"),
    }
}

fn texts(page: &RowPage) -> Vec<Vec<String>> {
    let text = |v: &Value| v.to_text().unwrap_or_default();
    page.rows.iter().map(|row| row.iter().map(text).collect()).collect()
}

pub(crate) const PERSON: &str = "title = \"按身份证号查询\"\nkind = \"query\"\nentry = \"renkou\"\n\
    [[param]]\nname = \"idcard\"\nitem = \"sfzh\"\nrequired = true\n\
    [[return]]\nitem = \"xm\"\nname = \"name\"\n[[return]]\nitem = \"sjh\"\n[[return]]\nitem = \"csrq\"\n";
const VERIFY: &str = "title = \"姓名核验\"\nkind = \"verify\"\nentry = \"renkou\"\n\
    [[param]]\nname = \"idcard\"\nitem = \"sfzh\"\nrequired = true\n\
    [[param]]\nname = \"name\"\nitem = \"xm\"\nrequired = true\n";

/// A query gives the items described that the grant holds, masked as the grant says, under the names described; nobody without a
/// grant gets anything, and a revoked grant ends it at once.
async fn a_query(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    let (other, _) = house.application("无授权应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let made = published(&house, PERSON).await;
    assert_eq!((made.code.len(), made.version, made.state), (16, 1, InterfaceState::Published));
    let key = [("idcard", "11010519491231002X")];
    assert_eq!(refusal(&house, &caller, &made.code, &key).await, Code::NoGrant);
    let request = granted(&house, &secret.application.id, "renkou", &["sfzh", "xm", "csrq"]).await;
    let answer = call(&house, &caller, &made.code, &key).await.unwrap();
    assert!(answer.masked.contains(&"name".to_owned()), "{:?}", answer.masked);
    assert!(answer.calls_left.is_some());
    let found = page(answer);
    // `sjh` is described but was not agreed: it is left out.
    assert_eq!(found.columns, ["name", "csrq"]);
    let rows = texts(&found);
    assert_eq!(rows.len(), 1);
    assert!(rows[0][0].starts_with('张') && rows[0][0] != "张三丰", "{rows:?}");
    for pairs in [&[][..], &[("sfzh", "x")], &[("idcard", "a"), ("extra", "1")]] {
        assert_eq!(refusal(&house, &caller, &made.code, pairs).await, Code::InvalidInput);
    }
    assert!(
        page(call(&house, &caller, &made.code, &[("idcard", "none")]).await.unwrap())
            .rows
            .is_empty()
    );
    assert_eq!(refusal(&house, &other, &made.code, &key).await, Code::NoGrant);
    assert_eq!(refusal(&house, &house.nobody(), &made.code, &key).await, Code::NotFound);
    assert_eq!(refusal(&house, &caller, "0000000000000000", &key).await, Code::NotFound);

    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let record = records.iter().find(|r| r.event.rows == 1).unwrap();
    assert_eq!(record.event.scope, format!("interface {} v1 query: sfzh eq", made.code));
    assert_eq!(record.event.columns, "xm,csrq");
    let whole = serde_json::to_string(&records).unwrap();
    assert!(!whole.contains("11010519491231002X") && !whole.contains("张三丰"));

    sharing::revoke(app, &house.person("provider").await, &request.id, "超范围").await.unwrap();
    assert_eq!(refusal(&house, &caller, &made.code, &key).await, Code::GrantExpired);
}

/// A verification says yes or no: a wrong name, a wrong key and a key that is not there read the same, and no value is told.
async fn a_verification(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("核验应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let made = published(&house, VERIFY).await;
    let (id, name) = ("11010519491231002X", "张三丰");
    assert_eq!(
        refusal(&house, &caller, &made.code, &[("idcard", id), ("name", name)]).await,
        Code::NoGrant
    );
    granted(&house, &secret.application.id, "renkou", &["sfzh", "xm"]).await;
    let ask = async |id: &str, name: &str| {
        let answer = call(&house, &caller, &made.code, &[("idcard", id), ("name", name)]).await;
        match answer.unwrap().body {
            Body::Verdict(right) => right,
            other => panic!("{other:?}"),
        }
    };
    assert!(ask(id, name).await);
    assert!(!ask(id, "张三").await && !ask(id, "张*丰").await && !ask(id, "张%").await);
    assert!(!ask("440524188001010014", name).await && !ask("nothing", name).await);
    // All that is claimed must be given.
    assert_eq!(refusal(&house, &caller, &made.code, &[("idcard", id)]).await, Code::InvalidInput);
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.verify".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let verdicts: BTreeSet<_> = records
        .iter()
        .filter(|r| r.event.result == "ok")
        .map(|r| (r.event.rows, r.event.columns.clone(), r.event.scope.clone()))
        .collect();
    assert_eq!(verdicts.len(), 1, "the audit tells no verdict: {verdicts:?}");
    let scope = &verdicts.iter().next().unwrap().2;
    assert_eq!(scope, &format!("interface {} v1 verify: (sfzh eq & xm eq)", made.code));
    // An item that was not agreed cannot be asked about.
    let phone = VERIFY.replace("\"xm\"", "\"sjh\"");
    let phone = published(&house, &phone).await;
    let asked = [("idcard", id), ("name", "13800138000")];
    assert_eq!(refusal(&house, &caller, &phone.code, &asked).await, Code::ColumnNotGranted);
}

/// Figures by group: small groups are not told, nor the one whose figures would be all minus the others; masked items make none.
async fn statistics(house: House) {
    let (caller, secret) = house.application("统计应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name", "amount", "day"]).await;
    let text = "title = \"按名称统计\"\nkind = \"statistics\"\nentry = \"tongji\"\n\
        [[param]]\nname = \"since\"\nitem = \"id\"\nmatch = \"from\"\n\
        [statistics]\ngroup_by = [\"name\"]\n[[statistics.measure]]\nhow = \"count\"\n\
        [[statistics.measure]]\nhow = \"sum\"\nitem = \"amount\"\n[[statistics.measure]]\nhow = \"avg\"\nitem = \"amount\"\n\
        [[statistics.measure]]\nhow = \"max\"\nitem = \"day\"\n";
    let made = published(&house, text).await;
    let ask = async |code: &str, pairs: &[(&str, &str)]| match call(&house, &caller, code, pairs)
        .await
        .unwrap()
        .body
    {
        Body::Groups(groups) => groups,
        other => panic!("{other:?}"),
    };
    let groups = ask(&made.code, &[]).await;
    assert_eq!(groups.columns, ["name", "count", "sum_amount", "avg_amount", "max_day"]);
    let row: Vec<String> = groups.rows[0].iter().filter_map(Value::to_text).collect();
    // 0.50 + 1.50 + … + 6.50
    assert_eq!(row, ["甲", "7", "24.50", "3.5", "2026-01-07"]);
    assert_eq!((groups.rows.len(), groups.hidden), (1, 2), "乙 has four rows, 丙 one");
    // Its description types the figures as they are answered.
    let told = interface::described(&house.app, &caller, &made.code, None).await.unwrap();
    let types = told.returns.iter().map(|r| r.data_type.map_or("", |t| t.as_str()));
    assert_eq!(types.collect::<Vec<_>>(), ["text", "integer", "decimal", "decimal", "date"]);
    // From the second row on 甲 has six rows: shown. Beyond the third none is left that may be told.
    assert_eq!(ask(&made.code, &[("since", "2")]).await.rows.len(), 1);
    let few = ask(&made.code, &[("since", "4")]).await;
    assert_eq!((few.rows.len(), few.hidden), (0, 3));
    // Without groups there is one figure, and none of too few rows.
    let all = text.replace("group_by = [\"name\"]", "group_by = []");
    let all = published(&house, &all).await;
    assert_eq!(ask(&all.code, &[]).await.rows[0][0], Value::Integer(12));
    assert!(ask(&all.code, &[("since", "10")]).await.rows.is_empty());

    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "renkou", &["sfzh", "xm", "region_code"]).await;
    let masked = "title = \"按姓名\"\nkind = \"statistics\"\nentry = \"renkou\"\n[statistics]\n\
        group_by = [\"xm\"]\n[[statistics.measure]]\nhow = \"count\"\n";
    let masked = published(&house, masked).await;
    assert_eq!(refusal(&house, &caller, &masked.code, &[]).await, Code::InvalidQuery);
}

/// Lists page by position, a fuzzy query compares a part as it stands, and a batch says which key each row answers.
async fn lists_and_batches(house: House) {
    let (caller, secret) = house.application("列表应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name"]).await;
    let list = published(
        &house,
        "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\npage_rows = 5\nmost_rows = 8\norder = [\"-id\"]\n[[return]]\nitem = \"id\"\n",
    )
    .await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let pairs: Vec<(&str, &str)> =
            if after.is_empty() { vec![] } else { vec![("after", after.as_str())] };
        let found = page(call(&house, &caller, &list.code, &pairs).await.unwrap());
        assert!(found.rows.len() <= 5);
        seen.extend(texts(&found).into_iter().map(|r| r[0].clone()));
        let Some(next) = found.next else { break };
        after = next;
    }
    let expected: Vec<String> = (1..=12).rev().map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
    let most = page(call(&house, &caller, &list.code, &[("limit", "1000")]).await.unwrap());
    assert_eq!(most.rows.len(), 8, "the description's cap");

    let fuzzy = published(
        &house,
        "title = \"模糊\"\nkind = \"fuzzy\"\nentry = \"tongji\"\n[[param]]\nname = \"n\"\nitem = \"name\"\nmatch = \"contains\"\nrequired = true\n",
    )
    .await;
    assert_eq!(refusal(&house, &caller, &fuzzy.code, &[("n", "甲")]).await, Code::InvalidInput);
    let none = page(call(&house, &caller, &fuzzy.code, &[("n", "%%")]).await.unwrap());
    assert!(none.rows.is_empty(), "a sign of a pattern is a sign like any other");

    let batch = published(
        &house,
        "title = \"批量\"\nkind = \"batch\"\nentry = \"tongji\"\nmost_keys = 3\n[[param]]\nname = \"id\"\nitem = \"id\"\n[[return]]\nitem = \"name\"\n",
    )
    .await;
    let found = page(call(&house, &caller, &batch.code, &[("id", "12,99,1")]).await.unwrap());
    assert_eq!(found.columns, ["_n", "name"]);
    assert_eq!(texts(&found), [["0", "丙"], ["2", "甲"]]);
    assert_eq!(
        refusal(&house, &caller, &batch.code, &[("id", "1,2,3,4")]).await,
        Code::InvalidInput
    );
    assert_eq!(refusal(&house, &caller, &batch.code, &[("id", "1,x")]).await, Code::InvalidQuery);
}

/// A join needs a grant for every resource, and a key that neither grant masks.
async fn a_join(house: House) {
    let (caller, secret) = house.application("组合应用").await;
    for code in ["left", "right"] {
        house.publish(testkit::draft(code)).await;
    }
    house.collect("left", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    let right = "id,name,amount,day\n1,一,1.00,2026-02-01\n2,二,2.00,2026-02-02\n";
    house.collect("right", "r.csv", right.as_bytes(), SyncMode::Full).await.unwrap();
    let text = "title = \"组合\"\nkind = \"composed\"\nentry = \"left\"\n\
        [[param]]\nname = \"id\"\nitem = \"id\"\nrequired = true\n\
        [[part]]\nname = \"r\"\nentry = \"right\"\nitem = \"id\"\nequals = \"id\"\noptional = OPTIONAL\n\
        [[return]]\nitem = \"name\"\n[[return]]\nitem = \"r.name\"\nname = \"other\"\n";
    let strict = published(&house, &text.replace("OPTIONAL", "false")).await;
    let loose = published(&house, &text.replace("OPTIONAL", "true")).await;
    let ask = [("id", "2")];
    let request = granted(&house, &secret.application.id, "left", &["id", "name"]).await;
    // Freely open, so that the second part is anybody's; what is not open needs a grant of its own.
    let found = page(call(&house, &caller, &strict.code, &ask).await.unwrap());
    assert_eq!(
        (found.columns.clone(), texts(&found)),
        (vec!["name".into(), "other".into()], vec![vec!["甲".into(), "二".into()]])
    );
    assert!(
        page(call(&house, &caller, &strict.code, &[("id", "7")]).await.unwrap()).rows.is_empty()
    );
    let kept = page(call(&house, &caller, &loose.code, &[("id", "7")]).await.unwrap());
    assert_eq!(kept.rows, [[Value::Text("甲".into()), Value::Null]]);
    let _ = request;

    for code in ["renkou", "zhuhu"] {
        house.publish(testkit::person_draft(code)).await;
        house.collect(code, "p.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    }
    let people = "title = \"人口组合\"\nkind = \"composed\"\nentry = \"renkou\"\n\
        [[param]]\nname = \"id\"\nitem = \"sfzh\"\nrequired = true\n\
        [[part]]\nname = \"z\"\nentry = \"zhuhu\"\nitem = \"sfzh\"\nequals = \"sfzh\"\n[[return]]\nitem = \"z.region_code\"\n";
    let people = published(&house, people).await;
    let ask = [("id", "11010519491231002X")];
    granted(&house, &secret.application.id, "renkou", &["sfzh", "xm"]).await;
    assert_eq!(refusal(&house, &caller, &people.code, &ask).await, Code::NoGrant, "one of two");
    granted(&house, &secret.application.id, "zhuhu", &["sfzh", "region_code"]).await;
    let masked = call(&house, &caller, &people.code, &ask).await.unwrap_err();
    assert_eq!(masked.code(), Code::ColumnNotGranted);
    assert_eq!(masked.reasons(), ["join.masked-key"]);
}

/// Changes since a position, and a whole file, of the items described only.
async fn changes_and_files(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("增量应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name", "amount"]).await;
    let head = "title = \"t\"\nentry = \"tongji\"\n[[return]]\nitem = \"id\"\nname = \"number\"\n[[return]]\nitem = \"name\"\n[[return]]\nitem = \"day\"\n";
    let head = |kind: &str| head.replace("entry", &format!("kind = \"{kind}\"\nentry"));
    let changes = published(&house, &head("incremental")).await;
    let pull = async |pairs: &[(&str, &str)]| match call(&house, &caller, &changes.code, pairs)
        .await
        .unwrap()
        .body
    {
        Body::Changes(pulled) => pulled,
        other => panic!("{other:?}"),
    };
    let first = pull(&[]).await;
    assert_eq!(
        (first.columns.clone(), first.key.clone()),
        (vec!["number".to_owned(), "name".into()], vec!["number".to_owned()])
    );
    assert_eq!((first.changes.len(), first.reset), (12, true));
    let level = pull(&[("after", first.next.as_str())]).await;
    assert_eq!((level.changes.len(), level.reset, level.more), (0, false, false));
    let more = "id,name,amount,day\n13,丁,1.00,2026-03-01\n";
    house.collect("tongji", "m.csv", more.as_bytes(), SyncMode::Incremental).await.unwrap();
    assert_eq!(pull(&[("after", level.next.as_str())]).await.changes.len(), 1);

    let file = published(&house, &head("file")).await;
    let answer = call(&house, &caller, &file.code, &[]).await.unwrap();
    let Body::File(rows) = answer.body else { panic!("no file") };
    let pieces: Vec<_> = rows.bytes(interface::FileForm::Csv).try_collect().await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    assert_eq!(text.lines().next(), Some("number,name"));
    assert_eq!(text.lines().count(), 14);
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some("rows".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert!(records.iter().any(|r| r.event.action == "rows.download.end" && r.event.rows == 13));
    let (stranger, _) = house.application("旁人").await;
    house.publish(testkit::person_draft("renkou")).await;
    let closed = published(
        &house,
        &head("file")
            .replace("tongji", "renkou")
            .replace("\"id\"", "\"sfzh\"")
            .replace("\"name\"\n", "\"xm\"\n")
            .replace("\"day\"", "\"csrq\""),
    )
    .await;
    assert_eq!(refusal(&house, &stranger, &closed.code, &[]).await, Code::NoGrant);
}

/// Draft, test, published, deprecated, offline; a new version beside the old one for a share of callers; those who may call are told.
async fn a_life(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("调用应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name"]).await;
    let provider = house.person("provider").await;
    let text = "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\n[[return]]\nitem = \"id\"\n";
    let stranger = house.person("stranger").await;
    let consumer = house.person("consumer").await;
    for op in [&stranger, &consumer] {
        let e = interface::create(app, op, text).await.unwrap_err();
        assert_eq!(e.code(), Code::Denied);
    }
    let bad = text.replace("\"id\"", "\"nothing\"");
    let e = interface::create(app, &provider, &bad).await.unwrap_err();
    assert_eq!(e.fields().first().unwrap().field, "return.nothing");

    let first = interface::create(app, &provider, text).await.unwrap();
    assert_eq!(refusal(&house, &caller, &first.code, &[]).await, Code::NotFound, "a draft");
    assert_eq!(interface::get(app, &stranger, &first.id).await.unwrap_err().code(), Code::NotFound);
    interface::step(app, &provider, &first.id, &to(InterfaceState::Test, 100)).await.unwrap();
    let test = [("version", "1")];
    assert_eq!(refusal(&house, &caller, &first.code, &test).await, Code::NotFound, "in test");
    let skipped =
        interface::step(app, &provider, &first.id, &to(InterfaceState::Offline, 100)).await;
    assert_eq!(skipped.unwrap_err().code(), Code::WrongState);
    let part = interface::step(app, &provider, &first.id, &to(InterfaceState::Published, 50)).await;
    assert_eq!(part.unwrap_err().code(), Code::RuleBroken, "somebody would get nothing");
    interface::step(app, &provider, &first.id, &to(InterfaceState::Published, 100)).await.unwrap();
    call(&house, &caller, &first.code, &[]).await.unwrap();
    let told = app::notice::list(app, &consumer, false, None, 10).await.unwrap();
    assert_eq!(told.items.iter().filter(|n| n.kind == "interface.published").count(), 1);
    let late = interface::change(app, &provider, &first.id, text, &first.updated_at).await;
    assert_eq!(late.unwrap_err().code(), Code::WrongState, "published stays as it is");

    // A second version for a third of the callers, the same ones every time.
    let second = interface::version(app, &provider, &first.id).await.unwrap();
    let named = text.replace("item = \"id\"", "item = \"id\"\nname = \"number\"");
    let second =
        interface::change(app, &provider, &second.id, &named, &second.updated_at).await.unwrap();
    live(&house, &second.id, 30).await;
    let mut new = 0;
    for n in 0..40 {
        let (op, made) = house.application(&format!("应用{n}")).await;
        granted(&house, &made.application.id, "tongji", &["id"]).await;
        let a = call(&house, &op, &first.code, &[]).await.unwrap().interface.version;
        let b = call(&house, &op, &first.code, &[]).await.unwrap().interface.version;
        assert_eq!(a, b);
        new += usize::from(a == 2);
    }
    assert!((3..=22).contains(&new), "{new} of 40");
    assert_eq!(
        page(call(&house, &caller, &first.code, &[("version", "2")]).await.unwrap()).columns,
        ["number"]
    );
    interface::set_share(app, &provider, &second.id, 100).await.unwrap();
    assert_eq!(call(&house, &caller, &first.code, &[]).await.unwrap().interface.version, 2);

    // The last day may be said later, and changed; those who may call are told, not of one that stays.
    let today = house.app.op(provider.actor.clone(), "-").today();
    let end = Move { to: InterfaceState::Deprecated, share: 100, until: String::new() };
    interface::step(app, &provider, &first.id, &end).await.unwrap();
    let later = (today + TimeDelta::days(30)).to_string();
    for day in [&later, &later, &today.to_string()] {
        let set = interface::set_until(app, &provider, &first.id, day).await.unwrap();
        assert_eq!(&set.until, day);
    }
    let wrong = interface::set_until(app, &provider, &first.id, "2001-01-01").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidInput);
    let told = app::notice::list(app, &consumer, false, None, 100).await.unwrap().items;
    assert_eq!(told.iter().filter(|n| n.kind == "interface.until").count(), 2);
    let old = call(&house, &caller, &first.code, &[("version", "1")]).await.unwrap();
    assert_eq!(old.interface.state, InterfaceState::Deprecated);
    house.clock.forward(TimeDelta::days(1));
    let over = refusal(&house, &caller, &first.code, &[("version", "1")]).await;
    assert_eq!(over, Code::WrongState, "the last day is over");
    interface::step(app, &provider, &second.id, &to(InterfaceState::Offline, 100)).await.unwrap();
    assert_eq!(refusal(&house, &caller, &first.code, &[]).await, Code::WrongState);
    let kinds: BTreeSet<String> = app::notice::list(app, &consumer, false, None, 100)
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|n| n.kind)
        .collect();
    assert!(kinds.contains("interface.deprecated") && kinds.contains("interface.offline"));
}

/// A change is told, once each, to all whom it concerns: who may call any of the resources and who follows one of them; also that a
/// version is given to another share of callers, or how often it may be called is changed.
async fn those_whom_a_change_concerns_are_told(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let left = house.publish(testkit::draft("left")).await;
    let right = house.publish(testkit::draft("right")).await;
    // The consumer may call the second resource only; the city follows both, the stranger nothing.
    let (_, secret) = house.application("组合应用").await;
    granted(&house, &secret.application.id, "right", &["id", "name"]).await;
    let city = house.person("city").await;
    for entry in [&left, &right] {
        app::notice::subscribe_thing(app, &city, &Node::entry(&entry.id)).await.unwrap();
    }
    let text = "title = \"组合\"\nkind = \"composed\"\nentry = \"left\"\n\
        [[param]]\nname = \"id\"\nitem = \"id\"\nrequired = true\n\
        [[part]]\nname = \"r\"\nentry = \"right\"\nitem = \"id\"\nequals = \"id\"\n\
        [[return]]\nitem = \"name\"\n[[return]]\nitem = \"r.name\"\nname = \"other\"\n";
    let first = published(&house, text).await;
    let second = interface::version(app, &provider, &first.id).await.unwrap();
    live(&house, &second.id, 30).await;
    interface::set_share(app, &provider, &second.id, 60).await.unwrap();
    let told = async |who: &str| {
        let op = house.person(who).await;
        let all = app::notice::list(app, &op, false, None, 100).await.unwrap().items;
        let of = |kind: &str| all.iter().filter(|n| n.kind == kind).count();
        (of("interface.published"), of("interface.share"))
    };
    for (who, wanted) in [("consumer", (2, 1)), ("city", (2, 1)), ("stranger", (0, 0))] {
        assert_eq!(told(who).await, wanted, "{who}");
    }
    let op = house.person("consumer").await;
    let all = app::notice::list(app, &op, false, None, 100).await.unwrap().items;
    let share = all.into_iter().find(|n| n.kind == "interface.share").unwrap();
    assert_eq!(share.words, format!("v2 {} 60%", first.code));
    // A quota is that of all versions: each is told of it once, and not of one that is set as it was.
    let quota = InterfaceQuota { per_day: Some(100), ..InterfaceQuota::default() };
    for _ in 0..2 {
        interface::set_quota(app, &provider, &first.id, quota).await.unwrap();
    }
    let draft = interface::create(app, &provider, &text.replace("组合", "草稿")).await.unwrap();
    interface::set_quota(app, &provider, &draft.id, quota).await.unwrap();
    for (who, wanted) in [("consumer", 1), ("city", 1), ("stranger", 0)] {
        let op = house.person(who).await;
        let all = app::notice::list(app, &op, false, None, 100).await.unwrap().items;
        assert_eq!(all.iter().filter(|n| n.kind == "interface.quota").count(), wanted, "{who}");
    }
}

/// Thousands of interfaces: one is found by its code, and a change of another process is seen without reading the others anew.
async fn many(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name"]).await;
    let text = "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\n[[return]]\nitem = \"id\"\n";
    let made = published(&house, text).await;
    let provider = house.person("provider").await;
    let permit = app
        .policy
        .permit(&provider, app::Action::InterfaceKeep, &app::Target::interface(&made))
        .unwrap();
    let copy =
        |n: usize| Interface { id: format!("{n:032x}"), code: format!("{n:016x}"), ..made.clone() };
    for n in 0..1500 {
        app.store.interface_insert(&permit, &copy(n)).await.unwrap();
    }
    // The store was written behind the rooms' back, as another process does: within a second it is known.
    for n in [0, 777, 1499] {
        let code = format!("{n:016x}");
        assert_eq!(page(call(&house, &caller, &code, &[]).await.unwrap()).rows.len(), 12);
    }
    assert_eq!(app.interfaces.count(), 1501);
    let off = Interface { state: InterfaceState::Offline, updated_at: "x".into(), ..copy(777) };
    let before = made.updated_at.clone();
    app.store.interface_update(&permit, &[(off, before)]).await.unwrap();
    assert_eq!(refusal(&house, &caller, &format!("{:016x}", 777), &[]).await, Code::WrongState);
    call(&house, &caller, &format!("{:016x}", 778), &[]).await.unwrap();
}

crate::on_both!(
    a_query,
    a_verification,
    statistics,
    lists_and_batches,
    a_join,
    changes_and_files,
    a_life,
    those_whom_a_change_concerns_are_told,
    many
);
