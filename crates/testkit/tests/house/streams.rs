//! What is under way ends with what let it out: a file of restricted-open data on its way is cut by a credit record, a suspension and a
//! breach, and the chain says why; a download of open data when the set leaves the site, a shared file when its agreement is revoked.

use app::catalogue::{self, Move};
use app::interface::{self, Body, FileForm, Move as Step};
use app::{restricted, sharing};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::account::ApplicationSecret;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::interface::{Arguments, InterfaceState};
use model::request::{Period, RequestNew, RequestState};
use model::restricted::{CreditNew, UseDeed, UseNew, UseState};
use model::{Code, Result};
use testkit::{House, use_of, use_report};

use crate::restricted::{breach, caller, did, prepared_with, tick, uscc};

/// Rows of [`testkit::draft`] that leave in several pieces.
fn rows() -> String {
    let lines: String = (0..60_000).map(|i| format!("{i},名称{i},1.50,2026-01-01\n")).collect();
    format!("id,name,amount,day\n{lines}")
}

/// An interface by which a whole set leaves as a file.
async fn by_file(house: &House, entry: &str) -> String {
    let (app, provider) = (&house.app, house.person("provider").await);
    let text = format!("title = \"文件\"\nkind = \"file\"\nentry = \"{entry}\"\n");
    let made = interface::create(app, &provider, &text).await.unwrap();
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Step { to, share: 100, until: String::new() };
        interface::step(app, &provider, &made.id, &to).await.unwrap();
    }
    made.code
}

/// A file whose header and first rows have left.
async fn half(
    house: &House,
    secret: &ApplicationSecret,
    code: &str,
) -> BoxStream<'static, Result<Bytes>> {
    let op = caller(house, secret);
    let called = interface::call(&house.app, &op, code, Arguments::default()).await.unwrap();
    let Body::File(file) = called.body else { panic!("no file") };
    let mut pieces = file.bytes(FileForm::Csv);
    pieces.next().await.unwrap().unwrap();
    pieces.next().await.unwrap().unwrap();
    pieces
}

/// The error that a stream ends with, and that nothing comes after it.
async fn cut<T: std::fmt::Debug>(mut rest: BoxStream<'static, Result<T>>) -> (Code, Vec<String>) {
    let error = rest.next().await.unwrap().unwrap_err();
    assert!(rest.next().await.is_none());
    (error.code(), error.reasons().to_vec())
}

/// Why files were broken off, newest first.
async fn broken(house: &House, action: &str) -> Vec<String> {
    let op = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 50, ..AuditFilter::default() };
    let all = app::audit::list(&house.app, &op, &filter).await.unwrap();
    all.into_iter().filter(|r| r.event.result == "failed").map(|r| r.event.reason).collect()
}

async fn a_file_of_an_agreement(house: House) {
    let app = &house.app;
    let secret = prepared_with(&house, "qiye", rows().as_bytes()).await;
    let code = by_file(&house, "qiye").await;
    let op = house.person("enterprise").await;
    let long = UseNew {
        until: "2027-12-31".parse().ok(),
        ..use_of(&secret.application.id, "qiye", &["id", "name"])
    };
    let a = house.use_in_force(&op, long).await;
    // What concerns somebody else lets it go on to its end.
    let mut whole = half(&house, &secret, &code).await;
    house.publish(testkit::draft("tongji")).await;
    while let Some(piece) = whole.next().await {
        piece.unwrap();
    }

    let under_way = half(&house, &secret, &code).await;
    let authority = house.person("authority").await;
    let new = CreditNew {
        whom: uscc(&house).await,
        rule: "提供虚假材料".into(),
        facts: "等级保护证明系伪造".into(),
    };
    let record = restricted::credit_enter(app, &authority, new).await.unwrap();
    assert_eq!(cut(under_way).await, (Code::NoGrant, vec!["credit".to_owned()]));
    restricted::credit_repair(app, &authority, &record.id, "已核实，予以修复").await.unwrap();

    // On the last day before the suspension it leaves; then the day is over.
    let report = a.report().unwrap();
    let last = app.calendar.add_working_days(report.due, 5);
    house.days_later((last - op.today()).num_days());
    let under_way = half(&house, &secret, &code).await;
    house.days_later(1);
    tick(&house).await;
    assert_eq!(cut(under_way).await, (Code::NoGrant, vec!["restricted.report".to_owned()]));
    did(&house, "enterprise", &a.number, use_report(1, 1)).await.unwrap();
    let accept = restricted::UseOrder::new(UseDeed::AcceptReport, "");
    let back = did(&house, "provider", &a.number, accept).await.unwrap();
    assert_eq!(back.state, UseState::InForce);

    let under_way = half(&house, &secret, &code).await;
    did(&house, "provider", &a.number, breach()).await.unwrap();
    assert_eq!(cut(under_way).await.0, Code::GrantExpired);
    let why = broken(&house, "rows.download.end").await;
    assert_eq!(why, ["grant_expired", "no_grant restricted.report", "no_grant credit"]);
}

async fn what_is_open_and_what_is_shared(house: House) {
    let app = &house.app;
    let entry = house.publish(testkit::draft("kaifang")).await;
    house.collect("kaifang", "k.csv", rows().as_bytes(), SyncMode::Full).await.unwrap();
    let code = by_file(&house, "kaifang").await;
    // A share application that is revoked takes its file along; the set stays open to everybody, by other ways.
    let (consumer_application, secret) = house.application("批量应用").await;
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: "kaifang".into(),
        application: secret.application.id.clone(),
        items: ["id", "name"].map(str::to_owned).into(),
        scene: "测试".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 100,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(app, &consumer, wanted).await.unwrap();
    if request.state != RequestState::Approved {
        for who in ["provider", "authority"] {
            let op = house.person(who).await;
            sharing::review(app, &op, &request.id, true, "").await.unwrap();
        }
    }
    let op = app.op(consumer_application.actor.clone(), "127.0.0.1");
    let called = interface::call(app, &op, &code, Arguments::default()).await.unwrap();
    let Body::File(file) = called.body else { panic!("no file") };
    let mut shared = file.bytes(FileForm::Csv);
    shared.next().await.unwrap().unwrap();
    shared.next().await.unwrap().unwrap();
    let nobody = house.nobody();
    let mut open = app::opening::download(app, &nobody, "kaifang", None).await.unwrap().rows;
    open.next().await.unwrap().unwrap();
    let authority = house.person("authority").await;
    // As open data the caller would get the same rows still: what was agreed is over, what it reads is open.
    sharing::revoke(app, &authority, &request.id, "不再需要").await.unwrap();
    assert!(open.next().await.unwrap().is_ok(), "the revocation concerns nobody else");
    assert!(shared.next().await.unwrap().is_ok(), "it is open to everybody");
    let provider = house.person("provider").await;
    catalogue::step(app, &provider, &entry.id, Move::TakeOffline, "数据有误").await.unwrap();
    assert!(open.next().await.unwrap().is_ok(), "it is asked for, and not decided");
    catalogue::step(app, &authority, &entry.id, Move::Approve, "同意").await.unwrap();
    assert_eq!(cut(open).await, (Code::NoGrant, vec!["open.withdrawn".to_owned()]));
    assert!(shared.next().await.unwrap().is_err());
}

crate::on_both!(a_file_of_an_agreement, what_is_open_and_what_is_shared);
