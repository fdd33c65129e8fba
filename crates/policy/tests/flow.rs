//! Grants of the return flow: never more than what concerns the receiver's own region. Grants of deliveries: what was agreed for
//! batch use, or less of it.

use model::code::DataType;
use model::entry::Entry;
use model::item::Item;
use model::query::{Comparison, Condition};
use model::request::{Request, RequestState, RequestWay};
use model::{Actor, Code};
use policy::{Action, BatchAsk, FlowAsk, Grant, GrantAsk, Via};

use crate::house::{application, entry, now, op, people_items, policy, request};

fn provincial(items: Vec<Item>) -> Entry {
    let mut e = entry(items);
    e.draft.region = "330000".into();
    e
}

fn flow(area: &str, region: &str) -> model::Result<Grant> {
    by(&Request { area_range: area.into(), ..request() }, region, &[])
}

fn by(r: &Request, region: &str, items: &[String]) -> model::Result<Grant> {
    let e = provincial(people_items());
    policy().grant_flow(&application("app-1"), &FlowAsk { entry: &e, request: r, region, items })
}

fn like(grant: &Grant) -> Option<String> {
    match grant.row_filter() {
        Some(Condition::Column { column, comparison }) => {
            assert_eq!(column, "xzqh");
            Some(match comparison {
                Comparison::Like(pattern) => pattern.clone(),
                Comparison::Eq(code) => code.clone(),
                other => panic!("{other:?}"),
            })
        }
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_city_gets_its_own_and_its_counties_rows_a_county_its_own() {
    for (area, region, wanted) in [
        ("", "330100", Some("3301%")),
        ("", "330106", Some("330106")),
        ("330000", "330100", Some("3301%")),
        // Agreed for a part of it: that part.
        ("330106", "330100", Some("330106")),
        // The whole entry lies in the receiver's region.
        ("", "330000", None),
        ("330200", "330000", Some("3302%")),
    ] {
        let grant = flow(area, region).unwrap();
        assert_eq!(like(&grant).as_deref(), wanted, "{area} {region}");
        assert_eq!(grant.action(), Action::RowsFlow);
        assert!(grant.masks_text().contains("sfzh=keep(6,4)"), "{}", grant.masks_text());
    }
    for (area, region) in [("330200", "330100"), ("330106", "330110"), ("330200", "330106")] {
        let refused = flow(area, region).unwrap_err();
        assert_eq!(refused.reasons(), ["flow.outside-region"], "{area} {region}");
    }
    assert_eq!(flow("", "hangzhou").unwrap_err().code(), Code::NoGrant);
}

#[test]
fn no_grant_of_a_flow_comes_by_another_way() {
    let e = provincial(people_items());
    let r = request();
    for via in [Via::Request(&r), Via::Open, Via::Owner] {
        let ask = GrantAsk { action: Action::RowsFlow, entry: &e, via, row_cap: 0 };
        assert!(policy().grant(&application("app-1"), &ask).is_err());
    }
    for state in [RequestState::Revoked, RequestState::Expired, RequestState::ProviderAuditing] {
        assert!(by(&Request { state, ..request() }, "330100", &[]).is_err(), "{state:?}");
    }
    let over = Request { expires_at: Some(model::op::stamp(now())), ..request() };
    assert_eq!(by(&over, "330100", &[]).unwrap_err().code(), Code::GrantExpired);
    let open = Request { way: RequestWay::Open, ..request() };
    assert!(by(&open, "330100", &[]).is_err(), "enterprises receive no flow");
    let ask = FlowAsk { entry: &e, request: &r, region: "330100", items: &[] };
    for actor in [Actor::Nobody, Actor::System] {
        assert!(policy().grant_flow(&op(actor), &ask).is_err());
    }
    assert!(policy().grant_flow(&application("another"), &ask).is_err());
    let without =
        provincial(people_items().into_iter().filter(|i| i.identifier != "xzqh").collect());
    let ask = FlowAsk { entry: &without, ..ask };
    let refused = policy().grant_flow(&application("app-1"), &ask).unwrap_err();
    assert_eq!(refused.reasons(), ["area.no-region-item"]);
}

#[test]
fn the_shape_tells_what_is_released() {
    let whole = flow("", "330100").unwrap();
    assert_eq!(whole.shape(), flow("", "330100").unwrap().shape());
    assert_ne!(whole.shape(), flow("", "330200").unwrap().shape());
    let items = ["id".to_owned(), "xm".to_owned()];
    let some = by(&request(), "330100", &items).unwrap();
    assert_eq!(some.columns().len(), 2);
    assert_ne!(whole.shape(), some.shape());
    assert_eq!(some.columns()[0].data_type, DataType::Integer);
    let refused = by(&request(), "330100", &["nothing".to_owned()]).unwrap_err();
    assert_eq!(refused.code(), Code::ColumnNotGranted);
}

#[test]
fn a_delivery_is_of_what_was_agreed_for_batch_use_or_less() {
    let e = provincial(people_items());
    let agreed = Request { by_sql: true, area_range: "330100".into(), ..request() };
    let by = |r: &Request, area: &str, items: &[String]| {
        let ask = BatchAsk { entry: &e, request: r, area, items };
        policy().grant_batch(&application("app-1"), &ask)
    };
    let whole = by(&agreed, "", &[]).unwrap();
    assert_eq!((whole.action(), like(&whole).as_deref()), (Action::RowsBatch, Some("3301%")));
    assert!(whole.masks_text().contains("sfzh=keep(6,4)"), "{}", whole.masks_text());
    assert_eq!(like(&by(&agreed, "330106", &[]).unwrap()).as_deref(), Some("330106"));
    let refused = by(&agreed, "330200", &[]).unwrap_err();
    assert_eq!(refused.reasons(), ["area.outside-agreed"]);
    assert_eq!(by(&agreed, "杭州", &[]).unwrap_err().fields().len(), 1);
    let some = by(&agreed, "", &["xm".to_owned()]).unwrap();
    assert_eq!(some.columns().len(), 1);
    let other = by(&agreed, "", &["nothing".to_owned()]).unwrap_err();
    assert_eq!(other.code(), Code::ColumnNotGranted);
    // Not agreed for batch use; ended; another's.
    assert_eq!(by(&request(), "", &[]).unwrap_err().code(), Code::NoGrant);
    let revoked = Request { state: RequestState::Revoked, ..agreed.clone() };
    assert_eq!(by(&revoked, "", &[]).unwrap_err().code(), Code::GrantExpired);
    let ask = BatchAsk { entry: &e, request: &agreed, area: "", items: &[] };
    for actor in [application("another"), op(Actor::Nobody), op(Actor::System)] {
        assert!(policy().grant_batch(&actor, &ask).is_err());
    }
}
