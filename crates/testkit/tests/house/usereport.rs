//! Restricted opening before and after the papers: a draft is changed and thrown away, a report on use is filed every period; who does
//! not file is suspended at the next call and goes on at the next one when the report is accepted.

use app::restricted::{self, DeskReport, UseOrder};
use model::Code;
use model::audit::AuditFilter;
use model::restricted::{UseApplication, UseDeed, UseNew, UseReportState, UseState};
use testkit::{House, use_of, use_report};

use crate::restricted::{columns, did, prepared, tick, told};

/// A draft is its writer's to change and to throw away, until it is handed in; nothing is lost between two who change it.
async fn drafts(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let op = house.person("enterprise").await;
    let new = use_of(&secret.application.id, "qiye", &["id"]);
    let filed = restricted::file(app, &op, new.clone()).await.unwrap();
    let number = filed.number.as_str();
    let proved = house.use_file(&op, number, "storage").await.unwrap();
    let (draft, form) = restricted::saved(app, &op, number).await.unwrap();
    assert_eq!((draft.edit, &form), (2, &new), "what was saved comes back into the form");
    for who in ["provider", "authority", "stranger", "citizen"] {
        let other = house.person(who).await;
        let e = restricted::saved(app, &other, number).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
        let e = restricted::revise(app, &other, number, 2, new.clone()).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
        let e = restricted::discard(app, &other, number, 2).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    let wider = UseNew {
        purpose: "研究企业分布和存续".into(),
        entries: vec![("qiye".into(), vec!["id".into(), "name".into()])],
        ..new.clone()
    };
    let e = restricted::revise(app, &op, number, 1, wider.clone()).await.unwrap_err();
    assert_eq!(e.code(), Code::Stale, "the evidence came after that form was opened");
    let late = UseNew { until: "2020-01-01".parse().ok(), ..wider.clone() };
    let e = restricted::revise(app, &op, number, 2, late).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "until");
    let revised = restricted::revise(app, &op, number, 2, wider.clone()).await.unwrap();
    assert_eq!(
        (revised.number.as_str(), revised.edit, revised.state),
        (number, 3, UseState::Draft)
    );
    assert_eq!((&revised.files, &revised.id), (&proved.files, &filed.id), "its evidence stays");
    let seen = restricted::open(app, &op, number).await.unwrap();
    assert_eq!(seen.application.entries[0].items, ["id", "name"]);
    let deeds: Vec<UseDeed> = seen.events.iter().map(|e| e.deed).collect();
    assert_eq!(deeds, [UseDeed::File, UseDeed::Attach, UseDeed::Edit]);
    assert_eq!(restricted::saved(app, &op, number).await.unwrap().1, wider);

    house.use_file(&op, number, "protection").await.unwrap();
    did(&house, "enterprise", number, UseOrder::new(UseDeed::Submit, "")).await.unwrap();
    let e = restricted::revise(app, &op, number, 5, wider).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "what was handed in stands");
    assert_eq!(
        restricted::discard(app, &op, number, 5).await.unwrap_err().code(),
        Code::WrongState
    );

    // Another is thrown away, with its file; it was never anybody else's and is counted nowhere.
    let second = restricted::file(app, &op, new).await.unwrap();
    let proved = house.use_file(&op, &second.number, "storage").await.unwrap();
    let e = restricted::discard(app, &op, &second.number, 1).await.unwrap_err();
    assert_eq!(e.code(), Code::Stale);
    restricted::discard(app, &op, &second.number, proved.edit).await.unwrap();
    let e = restricted::open(app, &op, &second.number).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    assert!(app.store.attachment_get(&proved.files[0].id).await.unwrap().is_none());
    let mine = restricted::mine(app, &op, None, 0).await.unwrap();
    assert_eq!(mine.items.len(), 1);
    assert_eq!(restricted::figures(app, &house.nobody()).await.unwrap().all.applied, 1);
}

/// The agreement as its party sees it now.
async fn now(house: &House, number: &str) -> UseApplication {
    let op = house.person("enterprise").await;
    restricted::open(&house.app, &op, number).await.unwrap().application
}

/// How many on the authority's desk are of this state of the agreement or of its report.
async fn desk(house: &House, state: Option<UseState>, report: &str) -> usize {
    let op = house.person("authority").await;
    let wanted = (state, DeskReport::parse(report));
    restricted::desk(&house.app, &op, wanted, None, 0).await.unwrap().items.len()
}

async fn recorded(house: &House, action: &str) -> usize {
    let op = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 50, ..AuditFilter::default() };
    app::audit::list(&house.app, &op, &filter).await.unwrap().len()
}

/// Not filed: reminded, then suspended; filed: not yet; returned: not yet; accepted: at once.
async fn reports(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let op = house.person("enterprise").await;
    let long = UseNew {
        until: "2027-12-31".parse().ok(),
        ..use_of(&secret.application.id, "qiye", &["id", "name"])
    };
    let a = house.use_in_force(&op, long.clone()).await;
    let number = a.number.as_str();
    let report = a.report().unwrap();
    let term = (report.from.to_string(), report.to.to_string(), report.state);
    assert_eq!(term, ("2026-03-02".into(), "2026-09-01".into(), UseReportState::Open));
    assert_eq!(report.due, app.calendar.add_working_days(report.to, 10));
    let agreement = &a.papers[1].text;
    assert!(
        agreement.contains("每满 6 个月") && agreement.contains("every 6 months"),
        "{agreement}"
    );
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id", "name"]);
    let e = did(&house, "enterprise", number, use_report(1, 2)).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "the period is not over");
    let seen = restricted::open(app, &op, number).await.unwrap();
    assert!(!seen.deeds.contains(&UseDeed::Report));

    // Its day has come: the party is reminded, once a day, and may call.
    let due = report.due;
    house.days_later((due - op.today()).num_days());
    tick(&house).await;
    tick(&house).await;
    assert_eq!(told(&house, "enterprise", "restricted.report_due").await, 1);
    assert_eq!(now(&house, number).await.state, UseState::InForce);
    assert_eq!((desk(&house, None, "open").await, desk(&house, None, "overdue").await), (1, 0));
    house.days_later(1);
    tick(&house).await;
    assert_eq!(desk(&house, None, "overdue").await, 1);
    assert!(columns(&house, &secret, "qiye").await.is_ok(), "late, and not suspended yet");
    let last = app.calendar.add_working_days(due, 5);
    house.days_later((last - due).num_days() - 1);
    tick(&house).await;
    assert!(columns(&house, &secret, "qiye").await.is_ok(), "the last day is one of them");
    house.days_later(1);
    tick(&house).await;
    let suspended = now(&house, number).await;
    assert_eq!(suspended.state, UseState::Suspended);
    let e = columns(&house, &secret, "qiye").await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::NoGrant, &["restricted.report".to_owned()][..]));
    assert!(e.zh().contains(number) && e.en().contains("accepted"), "{e:?}");
    for who in ["enterprise", "provider", "authority"] {
        assert_eq!(told(&house, who, "restricted.suspended").await, 1, "{who}");
    }
    assert_eq!(desk(&house, Some(UseState::Suspended), "").await, 1);
    assert_eq!(recorded(&house, "restricted.suspend").await, 1);
    let figures = restricted::figures(app, &house.nobody()).await.unwrap();
    assert_eq!((figures.all.suspended, figures.all.in_force, figures.all.reports), (1, 0, 0));
    // No way around it by a renewal.
    let op = house.person("enterprise").await;
    let around = UseNew { renews: number.into(), ..long };
    assert_eq!(restricted::file(app, &op, around).await.unwrap_err().code(), Code::WrongState);

    // The form begins with what the meter counts; a report says all of it.
    let seen = restricted::open(app, &op, number).await.unwrap();
    assert_eq!((seen.metered.calls, seen.metered.rows), (1, 2), "of the period, not after it");
    let mut bare = use_report(1, 2);
    bare.report.as_mut().unwrap().incidents = String::new();
    let e = did(&house, "enterprise", number, bare).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "incidents");
    did(&house, "enterprise", number, use_report(5, 10)).await.unwrap();
    assert!(columns(&house, &secret, "qiye").await.is_err(), "filed is not accepted");
    assert_eq!(told(&house, "provider", "restricted.report").await, 1);
    let accept = || UseOrder::new(UseDeed::AcceptReport, "");
    let e = did(&house, "stranger", number, accept()).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let e = did(&house, "enterprise", number, accept()).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "nobody accepts their own");
    let give_back = |why: &str| UseOrder::new(UseDeed::ReturnReport, why);
    assert!(did(&house, "provider", number, give_back("")).await.is_err(), "it has a reason");
    did(&house, "provider", number, give_back("请说明受托方")).await.unwrap();
    assert_eq!(now(&house, number).await.report().unwrap().reason, "请说明受托方");
    assert!(columns(&house, &secret, "qiye").await.is_err());
    did(&house, "enterprise", number, use_report(5, 10)).await.unwrap();
    let back = did(&house, "authority", number, accept()).await.unwrap();
    assert_eq!((back.state, back.reason.as_str()), (UseState::InForce, ""));
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id", "name"], "at once");
    let kept = &back.reports[0];
    assert_eq!((kept.said.calls, kept.metered.calls), (5, 1), "both figures are kept");
    let next = back.report().unwrap();
    assert_eq!((next.no, next.from.to_string().as_str()), (2, "2026-09-02"));
    assert_eq!(told(&house, "enterprise", "restricted.report").await, 2);
    let figures = restricted::figures(app, &house.nobody()).await.unwrap();
    assert_eq!((figures.all.suspended, figures.all.in_force, figures.all.reports), (0, 1, 1));

    // It ends with its last day, suspended or not.
    house.days_later(600);
    tick(&house).await;
    assert_eq!(now(&house, number).await.state, UseState::Expired);
}

crate::on_both!(drafts, reports);
