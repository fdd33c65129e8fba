//! Grants: which columns, masks, rows, caps, quotas and ends come out of which way, and why releases are refused.

use model::account::Role;
use model::code::{DataType, Grade, OnlineState, OpenType, ShareType};
use model::entry::Entry;
use model::mask::Mask;
use model::query::{Comparison, Condition};
use model::request::{Request, RequestState, RequestWay, RowRange, RowValues};
use model::{Actor, Code, Op};
use policy::{Action, Grant, GrantAsk, Quota, Via};

use crate::house::{
    application, entry, item, now, op, open, people_items, person, policy, request,
};

fn by_request(op: &Op, e: &Entry, r: &Request) -> model::Result<Grant> {
    policy().grant(
        op,
        &GrantAsk { action: Action::RowsQuery, entry: e, via: Via::Request(r), row_cap: 0 },
    )
}

fn by(op: &Op, action: Action, e: &Entry, via: Via<'_>) -> model::Result<Grant> {
    policy().grant(op, &GrantAsk { action, entry: e, via, row_cap: 0 })
}

/// `identifier=mask filterable lookup`, one line a column.
fn shown(grant: &Grant) -> String {
    grant
        .columns()
        .iter()
        .map(|c| {
            let mask = c.mask.as_ref().map_or("plain".to_owned(), Mask::label);
            let filter = if c.filterable { " filter" } else { "" };
            let lookup = if c.lookup { " lookup" } else { "" };
            format!("{} {mask}{filter}{lookup}\n", c.identifier)
        })
        .collect()
}

#[track_caller]
fn refused(result: model::Result<Grant>, code: Code, reason: &str) {
    let error = result.expect_err("refused");
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.reasons().first().map(String::as_str), Some(reason), "{error}");
}

#[test]
fn by_request_the_agreed_items_masked_by_name_and_grade() {
    let grant = by_request(&application("app-1"), &entry(people_items()), &request()).unwrap();
    expect_test::expect![[r#"
        id plain filter lookup
        xm keep(1,0)
        sfzh keep(6,4) lookup
        xb plain filter
        csrq generalise(year)
        sr round(10)
        bz replace
        xzqh plain filter
    "#]]
    .assert_eq(&shown(&grant));
    assert_eq!(
        grant.masks_text(),
        "xm=keep(1,0),sfzh=keep(6,4),csrq=generalise(year),sr=round(10),bz=replace"
    );
    assert_eq!(
        (grant.entry(), grant.code(), grant.key()),
        ("entry-1", "population", &["id".to_owned()][..])
    );
    assert_eq!(
        (grant.grantee(), grant.purpose(), grant.request()),
        ("key-app-1", "身份核验", Some("request-1"))
    );
    assert_eq!(
        (grant.grade(), grant.row_cap(), grant.action()),
        (Grade::L3, 1000, Action::RowsQuery)
    );
    assert_eq!(grant.row_filter(), None);
    assert_eq!(grant.expires_at(), Some("2027-01-01T00:00:00Z".parse().unwrap()));
    assert!(grant.check_time(now()).is_ok());
    assert!(grant.check_time("2027-01-01T00:00:00Z".parse().unwrap()).is_err());
}

#[test]
fn only_items_applied_for_and_shared_are_granted() {
    let mut r = request();
    r.items = vec!["xm".into(), "gz".into(), "nothing".into()];
    let grant = by_request(&application("app-1"), &entry(people_items()), &r).unwrap();
    assert_eq!(shown(&grant), "xm keep(1,0)\n");
    assert_eq!(grant.grade(), Grade::L2);
    assert!(grant.require_columns(["xm"]).is_ok());
    let error = grant.require_columns(["xm", "sfzh"]).unwrap_err();
    assert_eq!(error.code(), Code::ColumnNotGranted);
    assert!(error.en().contains("`sfzh`") && error.en().ends_with("xm"));
    r.items = vec!["gz".into()];
    refused(
        by_request(&application("app-1"), &entry(people_items()), &r),
        Code::ColumnNotGranted,
        "columns.none",
    );
}

#[test]
fn an_items_own_mask_comes_first() {
    let mut items = people_items();
    items[0].mask = Some(Mask::Hash);
    items[1].mask = Some(Mask::Blank);
    let grant = by_request(&application("app-1"), &entry(items), &request()).unwrap();
    assert_eq!(grant.column("id").unwrap().mask, Some(Mask::Hash));
    assert!(!grant.column("id").unwrap().filterable && grant.column("id").unwrap().lookup);
    assert_eq!(grant.column("xm").unwrap().mask, Some(Mask::Blank));
}

#[test]
fn above_l2_nothing_is_plain_even_before_any_rule() {
    let mut who = application("app-1");
    who.at = "2010-01-01T00:00:00Z".parse().unwrap();
    let grant = by_request(&who, &entry(people_items()), &request()).unwrap();
    for column in grant.columns() {
        assert_eq!(column.mask.is_none(), column.grade == Grade::L1, "{}", column.identifier);
        assert!(column.mask.is_none() || column.mask == Some(Mask::Replace));
    }
}

#[test]
fn a_request_opens_only_for_its_application_resource_state_and_time() {
    let (app, e, r) = (application("app-1"), entry(people_items()), request());
    refused(by_request(&application("app-2"), &e, &r), Code::NoGrant, "request.of-another");
    let person = person("u", "user-org", &[Role::Consumer]);
    refused(by_request(&person, &e, &r), Code::NoGrant, "request.of-another");
    let other = Request { entry: "entry-2".into(), ..r.clone() };
    refused(by_request(&app, &e, &other), Code::NoGrant, "request.of-another");
    for state in RequestState::ALL {
        let result = by_request(&app, &e, &Request { state, ..r.clone() });
        match state {
            RequestState::Approved => assert!(result.is_ok()),
            RequestState::Revoked | RequestState::Expired => {
                refused(result, Code::GrantExpired, "request.ended");
            }
            _ => refused(result, Code::NoGrant, "request.not-approved"),
        }
    }
    let at = |end: &str| Request { expires_at: Some(end.into()), ..r.clone() };
    refused(by_request(&app, &e, &at("2026-11-23T08:00:00Z")), Code::GrantExpired, "request.ended");
    assert!(by_request(&app, &e, &at("2026-11-23T16:00:01+08:00")).is_ok());
    assert_eq!(by_request(&app, &e, &at("soon")).unwrap_err().code(), Code::Internal);
    assert_eq!(
        by_request(&app, &e, &Request { expires_at: None, ..r.clone() }).unwrap().expires_at(),
        None
    );
    let mut offline = e.clone();
    offline.online_state = OnlineState::Offline;
    refused(by_request(&app, &offline, &r), Code::NoGrant, "entry.not-live");
    let mut kept = e.clone();
    kept.draft.share_type = ShareType::None;
    refused(by_request(&app, &kept, &r), Code::NoGrant, "share.none");
    refused(by(&app, Action::RowsPreview, &e, Via::Request(&r)), Code::NoGrant, "default-deny");
    // Whole files are sent to it (exchange of files), with the same columns and masks, by the same agreement only.
    let file = by(&app, Action::RowsDownload, &e, Via::Request(&r)).unwrap();
    assert_eq!(file.columns(), by_request(&app, &e, &r).unwrap().columns());
    let other = application("app-2");
    refused(
        by(&other, Action::RowsDownload, &e, Via::Request(&r)),
        Code::NoGrant,
        "request.of-another",
    );
    let error = by(&app, Action::EntryRead, &e, Via::Request(&r)).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}

#[test]
fn the_area_range_limits_rows_by_the_region_item() {
    let filter = |e: &Entry, area: &str| {
        let r = Request { area_range: area.into(), ..request() };
        by_request(&application("app-1"), e, &r).map(|g| g.row_filter().cloned())
    };
    let on = |comparison| Some(Condition::Column { column: "xzqh".into(), comparison });
    let e = entry(people_items());
    assert_eq!(filter(&e, "330106").unwrap(), on(Comparison::Eq("330106".into())));
    assert_eq!(filter(&e, "330100").unwrap(), on(Comparison::Like("3301%".into())));
    assert_eq!(filter(&e, "330000").unwrap(), on(Comparison::Like("33%".into())));
    assert_eq!(filter(&e, " ").unwrap(), None);
    assert_eq!(filter(&e, "杭州").unwrap_err().code(), Code::NoGrant);
    let without = entry(vec![item("id", "编号", DataType::Text, Grade::L1)]);
    let error = filter(&without, "330106").unwrap_err();
    assert_eq!(error.code(), Code::NoGrant, "never more rows than were agreed");
    assert_eq!(error.reasons(), ["area.no-region-item"]);
    assert_eq!(filter(&without, "").unwrap(), None);
    let numbers = entry(vec![
        item("id", "编号", DataType::Text, Grade::L1),
        item("area_code", "区划", DataType::Integer, Grade::L1),
    ]);
    let Some(Condition::And(range)) = filter(&numbers, "330100").unwrap() else {
        panic!("a range")
    };
    assert_eq!(
        range,
        [Comparison::Gte("330100".into()), Comparison::Lte("330199".into())]
            .map(|comparison| Condition::Column { column: "area_code".into(), comparison })
    );
}

#[test]
fn the_row_range_limits_rows_by_organisation_and_by_values() {
    let plain = |identifier: &str| item(identifier, identifier, DataType::Text, Grade::L1);
    let e = entry(vec![plain("id"), plain("xzqh"), plain("dwdm"), plain("status")]);
    let filter = |e: &Entry, area: &str, row_range: RowRange| {
        let r = Request { area_range: area.into(), row_range, ..request() };
        by_request(&application("app-1"), e, &r).map(|g| g.row_filter().cloned())
    };
    let only = |item: &str, values: &[&str]| RowValues {
        item: item.into(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    let on = |column: &str, comparison| Condition::Column { column: column.into(), comparison };
    let of = |org: &str, only: Vec<RowValues>| RowRange { org: org.into(), only };
    let org = on("dwdm", Comparison::Eq("91330100799655058B".into()));
    let found = filter(&e, "", of("91330100799655058B", vec![])).unwrap();
    assert_eq!(found, Some(org.clone()));
    let one = filter(&e, "", of("", vec![only("status", &["1"])])).unwrap();
    assert_eq!(one, Some(on("status", Comparison::Eq("1".into()))));
    // All of them hold together.
    let all = of("91330100799655058B", vec![only("status", &["1", "2"])]);
    let several = on("status", Comparison::In(vec!["1".into(), "2".into()]));
    let area = on("xzqh", Comparison::Eq("330106".into()));
    assert_eq!(filter(&e, "330106", all).unwrap(), Some(Condition::And(vec![area, org, several])));
    // What cannot be kept any more releases nothing.
    let less = entry(vec![plain("id")]);
    let refused = |range| filter(&less, "", range).unwrap_err();
    let error = refused(of("91330100799655058B", vec![]));
    assert_eq!(
        (error.code(), error.reasons().join("")),
        (Code::NoGrant, "rows.no-org-item".into())
    );
    for range in [of("", vec![only("status", &["1"])]), of("", vec![only("id", &[])])] {
        assert_eq!(refused(range).reasons(), ["rows.no-item"]);
    }
}

#[test]
fn an_open_request_follows_the_open_attribute_at_every_call() {
    let r = Request { way: RequestWay::Open, org: String::new(), ..request() };
    let app = application("app-1");
    let mut e = entry(people_items());
    refused(by_request(&app, &e, &r), Code::NoGrant, "open.none");
    // Not shared between public bodies, but open under conditions: items by their open attribute, never L4.
    e.draft.open_type = OpenType::Restricted;
    e.draft.share_type = ShareType::None;
    for item in &mut e.draft.items {
        item.share_type = ShareType::None;
        item.open_type = match item.identifier.as_str() {
            "id" | "gz" => OpenType::Restricted,
            "xb" => OpenType::Unconditional,
            _ => OpenType::None,
        };
    }
    assert_eq!(
        shown(&by_request(&app, &e, &r).unwrap()),
        "id plain filter lookup\nxb plain filter\n"
    );
    refused(by_request(&app, &e, &request()), Code::NoGrant, "share.none");
    // Prohibited later: calls stop although the request still stands.
    for item in &mut e.draft.items {
        item.open_type = OpenType::None;
        item.share_type = ShareType::Restricted;
    }
    refused(by_request(&app, &e, &r), Code::ColumnNotGranted, "columns.none");
}

#[test]
fn open_data_is_for_anyone_and_only_its_open_items() {
    let mut items = people_items();
    items[3].open_type = OpenType::Restricted;
    items[4].open_type = OpenType::None;
    let e = open(entry(items));
    for action in [Action::RowsQuery, Action::RowsPreview, Action::RowsDownload] {
        for (who, grantee) in [
            (op(Actor::Nobody), "public"),
            (person("u", "x", &[Role::Citizen]), "u"),
            (application("app-9"), "key-app-9"),
        ] {
            let grant = by(&who, action, &e, Via::Open).unwrap();
            assert_eq!(grant.grantee(), grantee);
            assert_eq!(
                (grant.purpose(), grant.request(), grant.expires_at()),
                ("open", None, None)
            );
            expect_test::expect![[r#"
                id plain filter lookup
                xm keep(1,0)
                sfzh keep(6,4)
                sr round(10)
                bz replace
                xzqh plain filter
            "#]]
            .assert_eq(&shown(&grant));
        }
    }
}

#[test]
fn what_is_not_freely_open_needs_an_application() {
    let nobody = op(Actor::Nobody);
    let mut e = entry(people_items());
    for open_type in [OpenType::None, OpenType::Restricted] {
        e.draft.open_type = open_type;
        refused(by(&nobody, Action::RowsQuery, &e, Via::Open), Code::NoGrant, "default-deny");
    }
    let mut offline = open(entry(people_items()));
    offline.online_state = OnlineState::Offline;
    refused(
        by(&nobody, Action::RowsDownload, &offline, Via::Open),
        Code::NoGrant,
        "entry.not-live",
    );
    let mut items = people_items();
    items.iter_mut().for_each(|i| i.open_type = OpenType::None);
    refused(
        by(&nobody, Action::RowsQuery, &open(entry(items)), Via::Open),
        Code::ColumnNotGranted,
        "columns.none",
    );
}

#[test]
fn the_owners_staff_preview_with_l3_and_l4_masked() {
    let mut e = entry(people_items());
    e.online_state = OnlineState::Notline;
    let provider = person("u", "provider-org", &[Role::Provider]);
    let grant = by(&provider, Action::RowsPreview, &e, Via::Owner).unwrap();
    expect_test::expect![[r#"
        id plain filter lookup
        xm plain filter
        sfzh keep(6,4) lookup
        xb plain filter
        csrq plain filter
        sr plain filter
        bz replace
        gz round(1000)
        xzqh plain filter
    "#]]
    .assert_eq(&shown(&grant));
    assert_eq!((grant.purpose(), grant.quota()), ("owner", None));
    for who in [
        person("u", "other-org", &[Role::Provider]),
        person("u", "provider-org", &[Role::Consumer]),
        person("u", "bureau", &[Role::Authority]),
        op(Actor::Nobody),
        op(Actor::System),
    ] {
        refused(by(&who, Action::RowsPreview, &e, Via::Owner), Code::Denied, "default-deny");
    }
    refused(by(&provider, Action::RowsDownload, &e, Via::Owner), Code::Denied, "default-deny");
}

#[test]
fn row_caps_and_quotas_follow_the_limits() {
    let (app, e, r) = (application("app-1"), entry(people_items()), request());
    let cap = |action, via, row_cap| {
        let open = open(e.clone());
        policy().grant(&app, &GrantAsk { action, entry: &open, via, row_cap }).unwrap().row_cap()
    };
    let via = Via::Request(&r);
    assert_eq!([0, 7, 50_000].map(|n| cap(Action::RowsQuery, via, n)), [1000, 7, 10_000]);
    assert_eq!([0, 7, 50_000].map(|n| cap(Action::RowsPreview, Via::Open, n)), [20, 7, 200]);
    assert_eq!(cap(Action::RowsDownload, Via::Open, 0), 1_000_000_000);
    let quota = |calls_per_day| {
        by_request(&app, &e, &Request { calls_per_day, ..r.clone() }).unwrap().quota().unwrap()
    };
    let all = |calls_per_day, calls_per_second| Quota {
        calls_per_day,
        calls_per_second,
        burst: calls_per_second,
    };
    assert_eq!(quota(0), all(10_000, 20));
    assert_eq!(quota(86_400_000), all(86_400_000, 10_000));
    assert_eq!(quota(u64::MAX).calls_per_second, u32::MAX);
    let open_quota = by(&app, Action::RowsQuery, &open(e.clone()), Via::Open).unwrap().quota();
    assert_eq!(open_quota, Some(all(100_000, 50)));
    assert_eq!(by(&app, Action::RowsDownload, &open(e), Via::Open).unwrap().quota(), None);
}

#[test]
fn what_was_agreed_for_a_sandbox_is_read_by_sql_alone() {
    let r = Request { way: RequestWay::Open, org: String::new(), by_sql: true, ..request() };
    assert!(r.sandboxed() && !Request { by_sql: false, ..r.clone() }.sandboxed());
    let app = application("app-1");
    let mut e = entry(people_items());
    e.draft.open_type = OpenType::Restricted;
    for item in &mut e.draft.items {
        item.open_type = OpenType::Restricted;
    }
    by(&app, Action::RowsSql, &e, Via::Request(&r)).unwrap();
    for action in [Action::RowsQuery, Action::RowsVerify, Action::RowsDownload, Action::RowsBatch] {
        refused(by(&app, action, &e, Via::Request(&r)), Code::NoGrant, "request.sandbox-only");
    }
}

#[test]
fn what_was_released_is_told_as_it_was_looked_at_within_its_agreement() {
    let (r, app, e) = (request(), application("app-1"), entry(people_items()));
    let grant = by(&app, Action::RowsQuery, &e, Via::Released(&r)).unwrap();
    assert!(grant.columns().iter().all(|c| c.mask.is_none() && c.filterable));
    assert_eq!((grant.request(), grant.purpose()), (Some(r.id.as_str()), r.scene.as_str()));
    assert!(grant.quota().is_some() && grant.expires_at().is_some());
    let other = application("app-2");
    refused(
        by(&other, Action::RowsQuery, &e, Via::Released(&r)),
        Code::NoGrant,
        "request.of-another",
    );
    let over = Request { state: RequestState::Revoked, ..r };
    refused(
        by(&app, Action::RowsQuery, &e, Via::Released(&over)),
        Code::GrantExpired,
        "request.ended",
    );
}
