//! Rows that a share application is limited to: of an organisation and with certain values; by interface and by SQL, narrowed by who
//! decides it, never widened.

use app::sharing;
use model::audit::AuditFilter;
use model::code::{DataType, Grade, SyncMode};
use model::entry::EntryDraft;
use model::item::Item;
use model::query::{Comparison, Condition, RowQuery};
use model::request::{Period, Request, RequestNew, RequestState, RowRange, RowValues};
use model::value::Value;
use model::{Code, Op};
use testkit::House;
use tokio_postgres::{Client, Config, NoTls};

use crate::sqlwire::rows;

/// Two organisations whose rows these are.
const ONE: &str = "91330100799655058B";
const TWO: &str = "91330106673959654P";

/// Invented people with valid check digits: two of the first organisation, one of the second.
fn people() -> String {
    format!(
        "sfzh,xm,sjh,csrq,region_code,dwdm,status\n\
         11010519491231002X,张三丰,13800138000,1949-12-31,330106,{ONE},1\n\
         440524188001010014,李四,13900139000,1880-01-01,330200,{TWO},1\n\
         110105194912310038,王小二,13700137000,1949-12-31,330106,{ONE},2\n"
    )
}

fn draft(code: &str) -> EntryDraft {
    let mut draft = testkit::person_draft(code);
    let like = draft.items.iter().find(|i| i.identifier == "region_code").unwrap().clone();
    let plain = |identifier: &str, name: &str| Item {
        identifier: identifier.into(),
        name_cn: name.into(),
        grade: Grade::L1,
        data_type: DataType::Text,
        ..like.clone()
    };
    draft.items.push(plain("dwdm", "所属单位代码"));
    draft.items.push(Item { value_domain: "1|2|3".into(), ..plain("status", "状态") });
    draft
}

fn only(item: &str, values: &[&str]) -> RowValues {
    RowValues { item: item.into(), values: values.iter().map(|v| (*v).to_owned()).collect() }
}

fn range(org: &str, only: Vec<RowValues>) -> RowRange {
    RowRange { org: org.into(), only }
}

fn wanted(application: &str, entry: &str, items: &[&str], rows: RowRange) -> RequestNew {
    RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "核验本单位人员".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000,
        area_range: String::new(),
        row_range: rows,
        by_sql: true,
    }
}

/// A house with people in `renkou`, and an application that asked for some of them.
struct Asked {
    house: House,
    caller: Op,
    application: String,
    request: Request,
}

const ITEMS: [&str; 4] = ["sfzh", "xm", "dwdm", "status"];

impl Asked {
    async fn of(house: House, rows: RowRange) -> Self {
        let (caller, secret) = house.application("核验应用").await;
        house.publish(draft("renkou")).await;
        house.collect("renkou", "people.csv", people().as_bytes(), SyncMode::Full).await.unwrap();
        let application = secret.application.id;
        let consumer = house.person("consumer").await;
        let ask = wanted(&application, "renkou", &ITEMS, rows);
        let request = sharing::apply(&house.app, &consumer, ask).await.unwrap();
        Self { house, caller, application, request }
    }

    async fn agree(&self, who: &str) {
        let op = self.house.person(who).await;
        sharing::review(&self.house.app, &op, &self.request.id, true, "同意").await.unwrap();
    }

    async fn limit(&self, who: &str, rows: RowRange) -> model::Result<Request> {
        let op = self.house.person(who).await;
        sharing::limit_rows(&self.house.app, &op, &self.request.id, rows, "只需这些").await
    }

    /// `dwdm status` of all rows by interface, in order.
    async fn called(&self) -> Vec<String> {
        let select = ["dwdm", "status"].map(|c| (c.to_owned(), None)).into();
        self.asked(&RowQuery { select, ..RowQuery::default() }).await
    }

    async fn asked(&self, query: &RowQuery) -> Vec<String> {
        let op = self.house.app.op(self.caller.actor.clone(), "127.0.0.1");
        let found = sharing::query(&self.house.app, &op, "renkou", query).await.unwrap();
        let text = |row: &Vec<Value>| {
            let cells: Vec<String> = row.iter().filter_map(Value::to_text).collect();
            cells.join(" ")
        };
        let mut all: Vec<String> = found.page.rows.iter().map(text).collect();
        all.sort();
        all
    }

    async fn client(&self) -> Client {
        let consumer = self.house.person("consumer").await;
        let made =
            app::wire::make_password(&self.house.app, &consumer, &self.application).await.unwrap();
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.house.sql().await.port()).dbname("qiantang");
        config.user(&made.user).password(&made.password);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// The same by SQL.
async fn by_sql(client: &Client) -> Vec<String> {
    let found = rows(client, "select dwdm, status from renkou order by 1, 2").await;
    let text = |row: Vec<Option<String>>| {
        row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ")
    };
    found.into_iter().map(text).collect()
}

/// Another organisation's rows never come: not listed, not by their key, not counted, not by SQL.
async fn of_an_organisation(house: House) {
    let a = Asked::of(house, range(ONE, Vec::new())).await;
    a.agree("provider").await;
    a.agree("authority").await;
    let mine = [format!("{ONE} 1"), format!("{ONE} 2")];
    assert_eq!(a.called().await, mine);
    let is = |column: &str, value: &str| {
        let comparison = Comparison::Eq(value.into());
        let filter = Some(Condition::Column { column: column.into(), comparison });
        RowQuery { filter, ..RowQuery::default() }
    };
    assert!(a.asked(&is("sfzh", "440524188001010014")).await.is_empty());
    assert!(a.asked(&is("dwdm", TWO)).await.is_empty());
    assert_eq!(a.asked(&is("sfzh", "11010519491231002X")).await.len(), 1);

    let client = a.client().await;
    assert_eq!(by_sql(&client).await, mine);
    let others = format!("select count(*) from renkou where dwdm = '{TWO}' or status = '3'");
    assert_eq!(rows(&client, &others).await[0][0].as_deref(), Some("0"));
    let told = sharing::get(&a.house.app, &a.house.person("consumer").await, &a.request.id).await;
    assert_eq!(told.unwrap().row_range, range(ONE, Vec::new()));
}

/// The provider narrows while it decides, whoever could revoke it does later: it holds at the next call, and is never widened.
async fn narrowed_by_who_decides(house: House) {
    let a = Asked::of(house, range("", vec![only("status", &[" 1", "2", "1"])])).await;
    assert_eq!(a.request.row_range.only, [only("status", &["1", "2"])], "each value once");
    assert_eq!(a.limit("consumer", range(ONE, vec![])).await.unwrap_err().code(), Code::Denied);
    assert_eq!(a.limit("county", range(ONE, vec![])).await.unwrap_err().code(), Code::NotFound);
    let wider = a.limit("provider", range(ONE, vec![])).await.unwrap_err();
    assert_eq!((wider.code(), wider.fields()[0].field.as_str()), (Code::RuleBroken, "row_values"));
    let both = || vec![only("status", &["1", "2"])];
    let limited = a.limit("provider", range(ONE, both())).await.unwrap();
    assert_eq!(limited.state, RequestState::ProviderAuditing, "it is still to be decided");
    a.agree("provider").await;
    a.agree("authority").await;
    assert_eq!(a.called().await, [format!("{ONE} 1"), format!("{ONE} 2")]);
    let client = a.client().await;
    assert_eq!(by_sql(&client).await.len(), 2);

    let one = range(ONE, vec![only("status", &["2"])]);
    a.limit("authority", one.clone()).await.unwrap();
    assert_eq!(a.called().await, [format!("{ONE} 2")], "at the next call");
    assert_eq!(by_sql(&client).await, [format!("{ONE} 2")]);
    let back = a.limit("authority", range(ONE, both())).await.unwrap_err();
    assert_eq!(back.code(), Code::RuleBroken);
    assert_eq!(a.called().await.len(), 1);

    let app = &a.house.app;
    let steps = sharing::steps(app, &a.house.person("consumer").await, &a.request.id).await;
    let words: Vec<String> = steps.unwrap().into_iter().map(|s| s.action).collect();
    assert_eq!(words, ["submit", "limit", "approve", "approve", "limit"]);
    let auditor = a.house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("request.limit".into()), limit: 10, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let scopes: Vec<&str> =
        records.iter().filter(|r| r.event.result == "ok").map(|r| r.event.scope.as_str()).collect();
    let told = format!("renkou {one}");
    assert!(scopes.contains(&told.as_str()), "{scopes:?}");
}

/// What a range cannot be made of is told when it is filed.
async fn what_fits(house: House) {
    let (_, secret) = house.application("应用").await;
    house.publish(draft("renkou")).await;
    house.publish(testkit::draft("tongji")).await;
    let consumer = house.person("consumer").await;
    let fault = async |entry: &str, items: &[&str], rows: RowRange| {
        let ask = wanted(&secret.application.id, entry, items, rows);
        let e = sharing::apply(&house.app, &consumer, ask).await.unwrap_err();
        (e.code(), e.fields()[0].field.clone())
    };
    let broken = |field: &str| (Code::RuleBroken, field.to_owned());
    let by = |item: &str, values: &[&str]| range("", vec![only(item, values)]);
    assert_eq!(fault("tongji", &["id"], range(ONE, vec![])).await, broken("row_org"));
    assert_eq!(fault("renkou", &["xm"], range("某局", vec![])).await, broken("row_org"));
    for wrong in [
        by("none", &["1"]),
        by("", &["1"]),
        by("status", &["9"]),
        by("status", &[]),
        by("csrq", &["yesterday"]),
        range("", vec![only("status", &["1"]), only("status", &["2"])]),
        range("", (0..11).map(|n| only(&format!("x{n}"), &["1"])).collect()),
    ] {
        let told = format!("{wrong:?}");
        assert_eq!(fault("renkou", &["xm"], wrong).await, broken("row_values"), "{told}");
    }
    // What is shared without condition is granted at once, also some of its rows; a value is kept as its type reads it.
    let ask = wanted(&secret.application.id, "tongji", &["id"], by("amount", &["1.5"]));
    let request = sharing::apply(&house.app, &consumer, ask).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    assert_eq!(request.row_range.only, [only("amount", &["1.50"])]);
}

crate::on_both!(of_an_organisation, narrowed_by_who_decides, what_fits);
