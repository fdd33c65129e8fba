//! Bounds by hand: hours, addresses, calls at once.

use super::*;

fn is(column: &str, comparison: Comparison) -> Condition {
    Condition::Column { column: column.into(), comparison }
}

#[test]
fn a_subject_is_named_only_where_nobody_else_can_be_among_the_rows() {
    let eq = |value: &str| is("id", Comparison::Eq(value.into()));
    let other = || is("name", Comparison::Eq("x".into()));
    let found = |c: &Condition| named(c, "id").map(|v| v.join(","));
    assert_eq!(found(&eq("a")).as_deref(), Some("a"));
    assert_eq!(found(&Condition::And(vec![other(), eq("a")])).as_deref(), Some("a"));
    assert_eq!(found(&Condition::Or(vec![eq("a"), eq("b")])).as_deref(), Some("a,b"));
    let many = is("id", Comparison::In(vec!["a".into(), "b".into()]));
    assert_eq!(found(&many).as_deref(), Some("a,b"));
    for open in [
        other(),
        Condition::Or(vec![eq("a"), other()]),
        Condition::Or(vec![]),
        Condition::Not(Box::new(eq("a"))),
        is("id", Comparison::Like("a%".into())),
        is("id", Comparison::Neq("a".into())),
    ] {
        assert_eq!(found(&open), None, "{open:?}");
    }
    assert_eq!((plain(" 07.0 ", true), plain("07", false)), ("7".into(), "07".into()));
}

#[test]
fn a_call_that_enters_twice_holds_one_place_and_gives_it_back() {
    let under = Under::default();
    let bounds = Bounds { concurrency: Some(1), ..Bounds::default() };
    let rule = Rule {
        kind: BoundsKind::Application,
        bounds,
        addresses: None,
        under: Some(Arc::clone(&under)),
        rate: None,
    };
    let bound = Bound {
        application: "a".into(),
        entry: "e".into(),
        rules: vec![rule],
        subjects: vec![],
        authorised: vec![],
    };
    let op = |request: &str| {
        Op::new(
            model::Actor::Nobody,
            request.into(),
            "-".into(),
            "2026-03-02T01:00:00Z".parse().unwrap(),
        )
    };
    let first = bound.admit(&op("r1"), Action::RowsQuery).unwrap();
    let again = bound.admit(&op("r1"), Action::RowsDownload).unwrap();
    let refused = bound.admit(&op("r2"), Action::RowsQuery).err().unwrap();
    assert_eq!(
        (refused.code(), refused.reasons().join("")),
        (Code::RateLimited, "bounds.application.concurrency".into())
    );
    drop(first);
    assert!(bound.admit(&op("r2"), Action::RowsQuery).is_err());
    drop(again);
    assert!(bound.admit(&op("r2"), Action::RowsQuery).is_ok() && under.lock().is_empty());
}
