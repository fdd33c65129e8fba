//! The machine by property: whatever people do, an approval is never stuck, its history folds to its state, and a
//! flow that could get stuck is not published.

// tidy: long because the flow with everything in it stands beside the deeds that are tried on it.

use std::collections::BTreeMap;

use model::Code;
use model::calendar::Calendar;
use model::flow::{
    By, Command, Event, Fact, Facts, Flow, How, Phase, Seat, Start, State, Step, Subject, What,
};
use proptest::prelude::*;

use super::flows::check_text;

const SHIPPED: [&str; 6] = [
    include_str!("../../rules/flows/share_1.toml"),
    include_str!("../../rules/flows/asset_1.toml"),
    include_str!("../../rules/flows/demand_1.toml"),
    include_str!("../../rules/flows/objection_1.toml"),
    include_str!("../../rules/flows/dispute_1.toml"),
    include_str!("../../rules/flows/quota_1.toml"),
];

/// A flow with everything in it.
const ALL: &str = r#"
id = "all"
version = 3
effective = "2026-01-01"
basis = "test"
zh = "全"
en = "all"
start = "which"
[[attribute]]
id = "size"
zh = "大小"
en = "size"
type = "number"
[[reason]]
id = "law"
zh = "法"
en = "law"
proof = true
[[reason]]
id = "no"
zh = "否"
en = "no"
[[step]]
type = "choice"
id = "which"
zh = "选"
en = "which"
[[step.branch]]
when = [{ attribute = "size", at_least = 10, at_most = 99 }]
to = "split"
[[step.branch]]
to = "one"
[[step]]
type = "fork"
id = "split"
zh = "分"
en = "split"
branches = ["left", "right"]
join = "meet"
[[step]]
type = "review"
id = "left"
zh = "左"
en = "left"
stage = "analysing"
how = "all"
seat = [{ role = "reviewer", at = "owner" }, { user = "eve" }]
days = 3
approve = "meet"
refuse = "refused"
[[step]]
type = "review"
id = "right"
zh = "右"
en = "right"
stage = "analysing"
how = "vote"
pass = 60
seat = [{ user = "a" }, { user = "b" }, { user = "c" }]
approve = "inner"
refuse = "refused"
[[step]]
type = "review"
id = "inner"
zh = "内"
en = "inner"
stage = "analysing"
how = "sequence"
seat = [{ user = "a" }, { user = "b" }]
approve = "meet"
refuse = "refused"
[[step]]
type = "join"
id = "meet"
zh = "合"
en = "meet"
to = "grant"
[[step]]
type = "review"
id = "one"
zh = "单"
en = "one"
stage = "report-auditing"
seat = [{ role = "authority", at = "authority" }]
days = 2
approve = "second"
refuse = "refused"
[[step.timer]]
days = 1
do = "remind"
[[step.timer]]
days = 2
do = "add"
seat = { role = "authority", at = "superior" }
[[step]]
type = "review"
id = "second"
zh = "二"
en = "second"
stage = "authority-auditing"
other_than = ["one"]
seat = [{ role = "authority", at = "authority" }]
approve = "grant"
refuse = "refused"
[[step]]
type = "auto"
id = "grant"
zh = "授"
en = "grant"
stage = "implementing"
action = "grant"
to = "good"
failed = "refused"
[[step]]
type = "end"
id = "good"
zh = "好"
en = "good"
approved = true
[[step]]
type = "end"
id = "refused"
zh = "驳"
en = "refused"
approved = false
"#;

fn flow(text: &str) -> std::sync::Arc<Flow> {
    check_text(text).unwrap()
}

fn calendar() -> Calendar {
    Calendar::china()
}

fn by<'a>(id: &'a str, calendar: &'a Calendar, today: &str) -> By<'a> {
    By {
        id,
        name: id,
        in_place_of: None,
        at: "2026-03-02T01:00:00.000Z",
        today: today.parse().unwrap(),
        calendar,
    }
}

fn begin(flow: &Flow, facts: &[(&str, Fact)], calendar: &Calendar) -> Vec<Event> {
    let places = ["owner", "applicant", "authority", "superior"];
    let start = Start {
        subject: Subject { kind: "part".into(), id: "p".into() },
        title: "甲".into(),
        applicant: "applicant".into(),
        applicant_org: "org-applicant".into(),
        places: places.iter().map(|p| ((*p).to_owned(), format!("org-{p}"))).collect(),
        facts: facts.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<Facts>(),
    };
    model::flow::start(flow, &by("applicant", calendar, "2026-03-02"), start).unwrap()
}

/// Runs commands one after the other; answers the state.
fn run(flow: &Flow, events: &mut Vec<Event>, who: &str, command: Command) -> model::Result<State> {
    let calendar = calendar();
    let state = State::fold(events).unwrap();
    let more = model::flow::decide(flow, &state, &by(who, &calendar, "2026-03-02"), command)?;
    events.extend(more);
    State::fold(events)
}

fn answer(step: &str, seat: u32, approve: bool) -> Command {
    Command::Decide {
        step: step.into(),
        seat,
        approve,
        reason: if approve { String::new() } else { "no".into() },
        opinion: "因".into(),
    }
}

fn open_steps(state: &State) -> Vec<&str> {
    state.open.iter().map(|o| o.step.as_str()).collect()
}

#[test]
fn shipped_flows_end_whichever_way_they_are_answered() {
    let calendar = calendar();
    for text in SHIPPED {
        let flow = flow(text);
        let reviews: Vec<&str> =
            flow.steps.iter().filter(|s| s.stage().is_some()).map(Step::id).collect();
        // Every subset of refusals of up to eight steps, over every fact the choices tell apart.
        for mask in 0..(1_u32 << reviews.len().min(8)) {
            let refuse = reviews
                .iter()
                .enumerate()
                .filter(|(n, _)| mask >> n & 1 == 1)
                .map(|(_, s)| (*s).to_owned());
            let refuse = refuse.collect();
            for (unconditional, way, grade) in
                [(true, "api", 1), (false, "api", 2), (false, "api", 3), (false, "batch", 4)]
            {
                let facts = Facts::from([
                    ("unconditional".to_owned(), Fact::Flag(unconditional)),
                    ("assigned".to_owned(), Fact::Flag(unconditional)),
                    ("way".to_owned(), Fact::Text(way.into())),
                    ("grade".to_owned(), Fact::Number(grade)),
                    ("ledger".to_owned(), Fact::Text("cloud".into())),
                    ("vcpu".to_owned(), Fact::Number(grade * 32)),
                ]);
                let places: BTreeMap<String, String> =
                    flow.places().iter().map(|p| ((*p).to_owned(), (*p).to_owned())).collect();
                let by = by("x", &calendar, "2026-03-02");
                let (stops, phase) =
                    model::flow::simulate(&flow, &by, facts, places, &refuse).unwrap();
                assert!(phase.over() && !stops.is_empty());
                if refuse.is_empty() {
                    assert_eq!(phase, Phase::Approved, "{}", flow.id);
                }
            }
        }
    }
}

/// An export over data of three providers: the first decides, then each of the others on a seat of its own, then the authority; one
/// refusal is enough.
#[test]
fn every_provider_of_an_export_decides() {
    let flow = flow(include_str!("../../rules/flows/export_2.toml"));
    let calendar = calendar();
    let begun = |providers: i64, grade: i64| {
        let places = [
            ("owner", "first"),
            ("applicant", "asks"),
            ("authority", "bureau"),
            ("others", "second"),
            ("others.2", "third"),
        ];
        let start = Start {
            subject: Subject { kind: "export".into(), id: "x".into() },
            title: "甲".into(),
            applicant: "applicant".into(),
            applicant_org: "asks".into(),
            places: places.iter().map(|(p, o)| ((*p).to_owned(), (*o).to_owned())).collect(),
            facts: Facts::from([
                ("providers".to_owned(), Fact::Number(providers)),
                ("grade".to_owned(), Fact::Number(grade)),
            ]),
        };
        model::flow::start(&flow, &by("applicant", &calendar, "2026-03-02"), start).unwrap()
    };
    let refused = |step: &str, seat: u32| Command::Decide {
        step: step.into(),
        seat,
        approve: false,
        reason: "too_much".into(),
        opinion: "因".into(),
    };
    let mut events = begun(3, 2);
    let state = run(&flow, &mut events, "a", answer("provider", 0, true)).unwrap();
    let orgs: Vec<&str> = state.open[0].seats.iter().map(|s| s.org.as_deref().unwrap()).collect();
    assert_eq!((open_steps(&state), orgs), (vec!["others"], vec!["second", "third"]));
    let state = run(&flow, &mut events, "b", answer("others", 0, true)).unwrap();
    assert_eq!(open_steps(&state), ["others"], "the third has not said anything");
    let mut other = events.clone();
    let state = run(&flow, &mut other, "c", refused("others", 1)).unwrap();
    assert_eq!(state.phase, Phase::Refused);
    let state = run(&flow, &mut events, "c", answer("others", 1, true)).unwrap();
    assert_eq!(open_steps(&state), ["authority"]);
    let state = run(&flow, &mut events, "d", answer("authority", 0, true)).unwrap();
    assert_eq!(open_steps(&state), ["allow"]);
    // Of one provider nobody else is asked, but for the authority from L3 on.
    for (grade, next) in [(2, "allow"), (3, "authority")] {
        let mut events = begun(1, grade);
        let state = run(&flow, &mut events, "a", answer("provider", 0, true)).unwrap();
        assert_eq!(open_steps(&state), [next]);
    }
}

#[test]
fn an_unconditional_share_waits_for_nobody() {
    let flow = flow(SHIPPED[0]);
    let facts = [("unconditional", Fact::Flag(true)), ("way", Fact::Text("api".into()))];
    let mut events = begin(&flow, &facts, &calendar());
    let state = State::fold(&events).unwrap();
    assert_eq!(open_steps(&state), ["grant"]);
    let done = Command::Acted { step: "grant".into(), done: true, note: String::new() };
    assert_eq!(run(&flow, &mut events, "system", done).unwrap().phase, Phase::Approved);
}

#[test]
fn seats_answer_by_their_rule() {
    let flow = flow(ALL);
    let mut events = begin(&flow, &[("size", Fact::Number(10))], &calendar());
    let state = State::fold(&events).unwrap();
    assert_eq!(open_steps(&state), ["left", "right"]);
    assert_eq!(state.due(), Some("2026-03-05"), "three working days after Monday");
    // 会签: one of two is not enough.
    let state = run(&flow, &mut events, "r", answer("left", 0, true)).unwrap();
    assert_eq!(open_steps(&state), ["left", "right"]);
    assert_eq!(state.open[0].active(), [1]);
    let twice = run(&flow, &mut events, "r", answer("left", 0, true)).unwrap_err();
    assert_eq!(twice.code(), Code::WrongState);
    // 票决 60 %: two of three carry it; the third is not asked any more.
    run(&flow, &mut events, "a", answer("right", 0, true)).unwrap();
    run(&flow, &mut events, "b", answer("right", 1, false)).unwrap();
    let state = run(&flow, &mut events, "c", answer("right", 2, true)).unwrap();
    assert_eq!(open_steps(&state), ["left", "inner"]);
    // 依次: the second waits for the first.
    assert_eq!(state.open_step("inner").unwrap().active(), [0]);
    assert!(run(&flow, &mut events, "b", answer("inner", 1, true)).is_err());
    run(&flow, &mut events, "a", answer("inner", 0, true)).unwrap();
    let state = run(&flow, &mut events, "b", answer("inner", 1, true)).unwrap();
    assert_eq!(open_steps(&state), ["left"], "one branch waits for the other");
    let state = run(&flow, &mut events, "eve", answer("left", 1, true)).unwrap();
    assert_eq!(open_steps(&state), ["grant"]);
}

#[test]
fn a_vote_that_cannot_be_won_is_over() {
    let flow = flow(ALL);
    let mut events = begin(&flow, &[("size", Fact::Number(50))], &calendar());
    run(&flow, &mut events, "a", answer("right", 0, false)).unwrap();
    let state = run(&flow, &mut events, "b", answer("right", 1, false)).unwrap();
    assert_eq!(state.phase, Phase::Refused);
    assert!(state.open.is_empty(), "a refusing end closes the other branch");
}

#[test]
fn a_refusal_chooses_a_reason_and_proves_it() {
    let flow = flow(ALL);
    let mut events = begin(&flow, &[], &calendar());
    let refuse = |reason: &str, opinion: &str| Command::Decide {
        step: "one".into(),
        seat: 0,
        approve: false,
        reason: reason.into(),
        opinion: opinion.into(),
    };
    for (reason, opinion) in [("", "words"), ("unheard", "words"), ("law", " ")] {
        let e = run(&flow, &mut events, "r", refuse(reason, opinion)).unwrap_err();
        assert_eq!(e.code(), Code::RuleBroken, "{reason}");
    }
    let state = run(&flow, &mut events, "r", refuse("law", "第三条")).unwrap();
    assert_eq!(state.phase, Phase::Refused);
}

#[test]
fn seats_are_handed_on() {
    let flow = flow(ALL);
    let mut events = begin(&flow, &[], &calendar());
    let (step, seat, opinion) = ("one".to_owned(), 0, String::new());
    let mine = Command::Transfer {
        step: step.clone(),
        seat,
        user: "applicant".into(),
        org: "o".into(),
        opinion: opinion.clone(),
    };
    assert_eq!(run(&flow, &mut events, "r", mine).unwrap_err().code(), Code::RuleBroken);
    // 转办
    let to = |user: &str| Command::Transfer {
        step: "one".into(),
        seat: 0,
        user: user.into(),
        org: "o".into(),
        opinion: String::new(),
    };
    let state = run(&flow, &mut events, "r", to("tom")).unwrap();
    assert_eq!(state.open[0].seats[0].user.as_deref(), Some("tom"));
    assert_eq!(state.open[0].seats[0].role, None);
    // 委派: the seat waits for the opinion.
    let lend = Command::Delegate { step: step.clone(), seat, user: "ann".into(), opinion };
    run(&flow, &mut events, "tom", lend).unwrap();
    assert_eq!(
        run(&flow, &mut events, "tom", answer("one", 0, true)).unwrap_err().code(),
        Code::WrongState
    );
    let given = Command::Answer { step: step.clone(), seat, opinion: "可".into() };
    run(&flow, &mut events, "ann", given).unwrap();
    // 加签: its approval is needed too.
    let add =
        Command::Add { step, seat, user: "sue".into(), org: "o".into(), opinion: String::new() };
    run(&flow, &mut events, "tom", add).unwrap();
    let state = run(&flow, &mut events, "tom", answer("one", 0, true)).unwrap();
    assert_eq!((open_steps(&state), state.open[0].active()), (vec!["one"], vec![1]));
    let state = run(&flow, &mut events, "sue", answer("one", 1, true)).unwrap();
    assert_eq!(open_steps(&state), ["second"]);
    // Four eyes: nobody answers both steps.
    let e = run(&flow, &mut events, "tom", answer("second", 0, true)).unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::Denied, ["four-eyes".to_owned()].as_slice()));
    run(&flow, &mut events, "other", answer("second", 0, true)).unwrap();
}

#[test]
fn what_is_sent_back_comes_again() {
    let flow = flow(ALL);
    let mut events = begin(&flow, &[], &calendar());
    run(&flow, &mut events, "r", answer("one", 0, true)).unwrap();
    let back = |to: Option<&str>| Command::Return {
        step: "second".into(),
        seat: 0,
        to: to.map(Into::into),
        missing: vec!["申请函".into()],
        opinion: "缺项".into(),
    };
    assert!(run(&flow, &mut events, "s", back(Some("left"))).is_err(), "it never was there");
    let state = run(&flow, &mut events, "s", back(Some("one"))).unwrap();
    assert_eq!(open_steps(&state), ["one"]);
    run(&flow, &mut events, "r", answer("one", 0, true)).unwrap();
    let state = run(&flow, &mut events, "s", back(None)).unwrap();
    assert_eq!(
        (state.phase, state.missing.as_slice()),
        (Phase::Returned, ["申请函".to_owned()].as_slice())
    );
    assert!(run(&flow, &mut events, "s", answer("second", 0, true)).is_err());
    let again = Command::Resubmit {
        facts: Facts::from([("size".to_owned(), Fact::Number(20))]),
        opinion: "已补".into(),
    };
    let state = run(&flow, &mut events, "applicant", again).unwrap();
    assert_eq!(open_steps(&state), ["left", "right"], "what it asks for now decides the way");
    let urge = Command::Urge { opinion: String::new() };
    run(&flow, &mut events, "applicant", urge.clone()).unwrap();
    assert!(run(&flow, &mut events, "applicant", urge).is_err(), "once a day");
    let state =
        run(&flow, &mut events, "applicant", Command::Withdraw { opinion: String::new() }).unwrap();
    assert_eq!(state.phase, Phase::Withdrawn);
}

#[test]
fn timers_go_off_on_working_days_and_once() {
    let flow = flow(ALL);
    let calendar = calendar();
    // Friday: the next working day is Monday.
    let places = ["owner", "applicant", "authority", "superior"];
    let start = Start {
        subject: Subject { kind: "part".into(), id: "p".into() },
        title: "甲".into(),
        applicant: "applicant".into(),
        applicant_org: "o".into(),
        places: places.iter().map(|p| ((*p).to_owned(), format!("org-{p}"))).collect(),
        facts: Facts::new(),
    };
    let mut events =
        model::flow::start(&flow, &by("applicant", &calendar, "2026-03-06"), start).unwrap();
    let mut tick = |day: &str| {
        let state = State::fold(&events).unwrap();
        let more = model::flow::decide(&flow, &state, &by("system", &calendar, day), Command::Tick)
            .unwrap();
        events.extend(more.clone());
        more
    };
    assert!(tick("2026-03-08").is_empty());
    assert!(matches!(tick("2026-03-09")[..], [Event { what: What::Reminded { .. }, .. }]));
    assert!(tick("2026-03-09").is_empty());
    assert!(matches!(tick("2026-03-11")[..], [Event { what: What::Escalated { .. }, .. }]));
    let state = State::fold(&events).unwrap();
    let joined = &state.open[0].seats[1];
    assert_eq!((joined.org.as_deref(), joined.escalated), (Some("org-superior"), true));
    assert_eq!(state.next_timer(), None);
    // Whoever joined may answer for all.
    let state = run(&flow, &mut events, "boss", answer("one", 1, true)).unwrap();
    assert_eq!(open_steps(&state), ["second"]);
}

#[test]
fn a_flow_that_could_get_stuck_is_refused_and_says_where() {
    let said = |from: &str, to: &str| {
        assert!(ALL.contains(from), "{from}");
        let e = check_text(&ALL.replacen(from, to, 1)).unwrap_err();
        let fields: Vec<String> =
            e.fields().iter().map(|f| format!("{} {}", f.field, f.en)).collect();
        format!("{} {}", e.en(), fields.join("\n"))
    };
    for (from, to, expected) in [
        ("to = \"one\"", "to = \"nowhere\"", "there is no step `nowhere`"),
        ("approve = \"second\"", "approve = \"which\"", "go in a circle"),
        ("approve = \"second\"", "approve = \"grant\"", "no way leads to this step"),
        ("approve = \"inner\"", "approve = \"good\"", "ends approved before the join"),
        (
            "approve = \"meet\"\nrefuse = \"refused\"\n[[step]]\ntype = \"review\"\nid = \"right\"",
            "approve = \"inner\"\nrefuse = \"refused\"\n[[step]]\ntype = \"review\"\nid = \"right\"",
            "lies in two branches",
        ),
        ("approve = \"second\"", "approve = \"meet\"", "from outside"),
        ("approve = \"second\"", "approve = \"inner\"", "from outside"),
        ("pass = 60\n", "", "a vote needs `pass`"),
        ("at_least = 10", "at_least = 10, is = \"x\"", "is not of its declared type"),
        ("attribute = \"size\"", "attribute = \"weight\"", "no [[attribute]] declares"),
        ("other_than = [\"one\"]", "other_than = [\"grant\"]", "is not another review"),
        (
            "do = \"add\"\nseat = { role = \"authority\", at = \"superior\" }",
            "do = \"add\"",
            "needs a `seat`",
        ),
        (
            "seat = [{ role = \"authority\", at = \"authority\" }]\ndays = 2",
            "seat = [{ role = \"authority\" }]\ndays = 2",
            "a seat is `role` with `at`",
        ),
        ("approved = true", "approved = false", "no end that approves"),
        ("days = 2\napprove", "dais = 2\napprove", "dais"),
        ("version = 3", "version = 0", "versions start with 1"),
        ("join = \"meet\"", "join = \"one\"", "is not a join"),
    ] {
        let text = said(from, to);
        assert!(text.contains(expected), "{from} → {to}: {text}");
    }
}

/// A random deed: which open step and seat, and what is done.
#[derive(Clone, Debug)]
struct Deed {
    pick: usize,
    what: u8,
    who: u8,
}

fn deed() -> impl Strategy<Value = Deed> {
    (0..8_usize, 0..16_u8, 0..6_u8).prop_map(|(pick, what, who)| Deed { pick, what, who })
}

/// The command a deed comes to in a state, if any.
fn command(state: &State, deed: &Deed) -> Command {
    let seats: Vec<(String, u32, &Seat)> = state
        .open
        .iter()
        .flat_map(|o| o.active().into_iter().map(move |n| (o.step.clone(), n as u32, &o.seats[n])))
        .collect();
    let auto = state.open.iter().find(|o| o.action.is_some());
    let opinion = "言".to_owned();
    if state.phase == Phase::Returned {
        return Command::Resubmit {
            facts: Facts::from([("size".to_owned(), Fact::Number(i64::from(deed.what) * 7))]),
            opinion,
        };
    }
    if let Some(auto) = auto.filter(|_| seats.is_empty() || deed.what == 0) {
        return Command::Acted {
            step: auto.step.clone(),
            done: deed.what > 3,
            note: String::new(),
        };
    }
    let Some((step, seat, held)) = seats.get(deed.pick % seats.len().max(1)).cloned() else {
        return Command::Tick;
    };
    let user = format!("u{}", deed.who);
    if held.lent.is_some() {
        return Command::Answer { step, seat, opinion };
    }
    match deed.what {
        0..=6 => answer(&step, seat, true),
        7 => answer(&step, seat, false),
        8 => Command::Add { step, seat, user, org: "o".into(), opinion },
        9 => Command::Transfer { step, seat, user, org: "o".into(), opinion },
        10 => Command::Delegate { step, seat, user, opinion },
        11 => Command::Return { step, seat, to: None, missing: Vec::new(), opinion },
        12 => {
            let earlier = state.passed.first().map(|p| p.step.clone());
            Command::Return { step, seat, to: earlier, missing: Vec::new(), opinion }
        }
        13 => Command::Urge { opinion },
        14 => Command::Tick,
        _ => Command::Withdraw { opinion },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No dead ends, replay equals state, history immutable: after any deeds of anybody.
    #[test]
    fn whatever_is_done_an_approval_goes_on_or_ends(
        which in 0..6_usize,
        size in 0..120_i64,
        unconditional: bool,
        deeds in proptest::collection::vec(deed(), 1..60),
    ) {
        let flow = flow(SHIPPED.get(which).copied().unwrap_or(ALL));
        let calendar = calendar();
        let facts = [
            ("size", Fact::Number(size)),
            ("grade", Fact::Number(size % 4 + 1)),
            ("vcpu", Fact::Number(size)),
            ("unconditional", Fact::Flag(unconditional)),
            ("assigned", Fact::Flag(unconditional)),
            ("way", Fact::Text(if size % 2 == 0 { "api" } else { "batch" }.into())),
            ("ledger", Fact::Text("cloud".into())),
        ];
        let mut events = begin(&flow, &facts, &calendar);
        let mut kept = State::fold(&events).unwrap();
        for deed in &deeds {
            let before = events.clone();
            let who = format!("w{}", deed.who);
            match model::flow::decide(&flow, &kept, &by(&who, &calendar, "2026-03-20"), command(&kept, deed)) {
                Ok(more) => {
                    for event in &more {
                        kept = State::evolve(Some(kept), event).unwrap();
                    }
                    events.extend(more);
                }
                // A refusal changes nothing, and is never a defect.
                Err(e) => prop_assert_ne!(e.code(), Code::Internal, "{:?}", e),
            }
            // History immutable: what was there is there unchanged.
            prop_assert_eq!(&events[..before.len()], &before[..]);
            // Replay equals state, also through the text the store keeps.
            let text = serde_json::to_string(&events).unwrap();
            let read: Vec<Event> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&State::fold(&read).unwrap(), &kept);
            // No dead end: over, with the applicant, or someone (or the platform) has something to do.
            let waits = kept.open.iter().any(|o| o.action.is_some() || !o.active().is_empty());
            prop_assert!(kept.phase.over() || kept.phase == Phase::Returned || waits);
            prop_assert_eq!(kept.phase.over(), kept.ended_at.is_some());
            if kept.phase.over() {
                prop_assert!(kept.open.is_empty());
                break;
            }
        }
        // From wherever it stands, approving everything ends it.
        for _ in 0..300 {
            if kept.phase.over() {
                break;
            }
            let deed = Deed { pick: 0, what: 6, who: 0 };
            let next = command(&kept, &deed);
            // Someone new each time, so that four eyes never stand in the way.
            let who = format!("fresh{}", kept.seq);
            for event in &model::flow::decide(&flow, &kept, &by(&who, &calendar, "2026-03-20"), next).unwrap() {
                kept = State::evolve(Some(kept), event).unwrap();
            }
        }
        prop_assert!(kept.phase.over());
    }

    /// A seat's rule in numbers: the outcome is what counting says.
    #[test]
    fn votes_are_counted(votes in proptest::collection::vec(any::<bool>(), 1..9), pass in 1..=100_u8) {
        let seats: Vec<Seat> = votes.iter().map(|_| Seat { user: Some("x".into()), ..Seat::default() }).collect();
        let mut open = model::flow::Open {
            step: "s".into(), action: None, how: How::Vote, pass, seats, since: String::new(), due: None, timers: Vec::new(),
        };
        for (n, approve) in votes.iter().enumerate() {
            if open.outcome().is_some() { break; }
            prop_assert!(open.active().contains(&n));
            open.seats[n].voice = Some(model::flow::Voice {
                by: n.to_string(), by_name: String::new(), approve: *approve, reason: String::new(),
                opinion: String::new(), at: String::new(),
            });
        }
        let yes = votes.iter().filter(|v| **v).count();
        prop_assert_eq!(open.outcome(), Some(yes * 100 >= usize::from(pass) * votes.len()));
    }
}
