//! A hundred thousand approvals run at once: pages of the inbox and of the list cost what they cost when there were few.
//!
//! Long (minutes), so it runs when asked for: `cargo nextest run --workspace --run-ignored only -E 'test(crowd)'`.

use std::time::{Duration, Instant};

use app::approval::{self, ApprovalFilter};
use app::{Action, Target};
use model::Op;
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, BundleKind, Form, Part, Want};
use model::flow::{By, Fact, Facts, Phase, Start, State, Subject};
use model::request::Period;
use store::basket::PartStart;
use testkit::House;

const RUNNING: usize = 100_000;
const LOT: usize = 2000;

fn form() -> Form {
    let no = String::new;
    Form {
        name: "批量".into(),
        area: "government".into(),
        apply_type: "service".into(),
        finish_date: no(),
        scene: "压测".into(),
        matters: no(),
        business_usage: no(),
        expect_effect: no(),
        legal_basis: no(),
        letter: no(),
        contact: no(),
        phone: no(),
        vendor: no(),
        application: no(),
        period: Period::Long,
    }
}

/// Files a lot of parts that wait for the authority, straight through the store.
async fn fill(house: &House, op: &Op, lot: usize) {
    let app = &house.app;
    let text = approval::flows(app, op).await.unwrap();
    let flow = text.iter().find(|f| f.flow.id == "share" && f.in_force).unwrap().flow.clone();
    let target = Target {
        owner: Some(op.actor.id().into()),
        applicant_org: op.actor.org().map(Into::into),
        ..Target::plain("Approval", "basket")
    };
    let permit = app.policy.permit(op, Action::BasketFile, &target).unwrap();
    let at = op.stamp();
    let id = op.new_id();
    let mut made = Vec::with_capacity(lot);
    for n in 0..lot {
        let (part, approval) = (op.new_id(), op.new_id());
        // Not all are due on the same day.
        let today = op.today() + chrono::Days::new(u64::try_from(n % 200).unwrap());
        let by = By {
            id: op.actor.id(),
            name: op.actor.name(),
            in_place_of: None,
            at: &at,
            today,
            calendar: &app.calendar,
        };
        let places = [
            ("owner", "org-market"),
            ("applicant", "org-team"),
            ("authority", "org-authority"),
            ("superior", "org-authority"),
        ];
        let start = Start {
            subject: Subject { kind: "part".into(), id: part.clone() },
            title: format!("资源 {n}"),
            applicant: op.actor.id().into(),
            applicant_org: "org-team".into(),
            places: places.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            facts: Facts::from([("unconditional".to_owned(), Fact::Flag(false))]),
        };
        let events = model::flow::start(&flow, &by, start).unwrap();
        let state = State::fold(&events).unwrap();
        let part = Part {
            id: part,
            bundle: id.clone(),
            n: u32::try_from(n).unwrap(),
            asset: AssetRef {
                ledger: Ledger::Data,
                id: format!("e{n}"),
                title: format!("资源 {n}"),
                org: "org-market".into(),
            },
            want: Want::Api {
                items: vec!["a".into()],
                calls_per_day: 1,
                area_range: String::new(),
            },
            approval,
            flow: "share".into(),
            phase: Phase::Running,
            stage: None,
            due: String::new(),
            updated_at: at.clone(),
        };
        made.push((part, events, state));
    }
    let bundle = Bundle {
        id,
        kind: BundleKind::Share,
        form: form(),
        org: "org-team".into(),
        applicant: op.actor.id().into(),
        applicant_name: op.actor.name().into(),
        created_at: at,
        feedback: None,
        files: Vec::new(),
        parts: Vec::new(),
    };
    let starts: Vec<PartStart<'_>> = made
        .iter()
        .map(|(part, events, state)| PartStart { part, events, state, stage: "report-auditing" })
        .collect();
    app.store.bundle_insert(&permit, &bundle, &starts).await.unwrap();
}

/// The median of several looks.
async fn median<F: AsyncFn()>(look: F) -> Duration {
    let mut times = Vec::new();
    for _ in 0..15 {
        let begin = Instant::now();
        look().await;
        times.push(begin.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "minutes long: run when asked for"]
async fn a_crowd_of_approvals_keeps_its_pages() {
    let house = House::new().await;
    let app = &house.app;
    let consumer = house.person("consumer").await;
    // One filed the ordinary way keeps the flow's version.
    house.publish(testkit::draft("tongji")).await;
    let (_, secret) = house.application("应用").await;
    let new = app::basket::PartNew {
        asset: AssetRef {
            ledger: Ledger::Data,
            id: "tongji".into(),
            title: "t".into(),
            org: String::new(),
        },
        want: Want::Api { items: vec!["id".into()], calls_per_day: 1, area_range: String::new() },
    };
    let ordinary = Form {
        application: secret.application.id.clone(),
        contact: "李".into(),
        phone: "0571888800".into(),
        ..form()
    };
    app::basket::file_share(app, &consumer, ordinary, vec![new]).await.unwrap();
    fill(&house, &consumer, 200).await;
    let authority = house.person("authority").await;
    let auditor = house.person("auditor").await;
    let inbox = async |after: Option<&str>| {
        let page = approval::tasks(app, &authority, after, 50).await.unwrap();
        assert_eq!(page.items.len(), 50);
        page.next.unwrap()
    };
    let list = async |after: Option<String>| {
        let filter = ApprovalFilter {
            phase: Some(Phase::Running),
            after,
            limit: 50,
            ..ApprovalFilter::default()
        };
        approval::list(app, &auditor, &filter).await.unwrap().next
    };
    let few = (
        median(async || {
            inbox(None).await;
        })
        .await,
        median(async || {
            list(None).await;
        })
        .await,
    );
    for _ in 0..(RUNNING / LOT) {
        fill(&house, &house.person("consumer").await, LOT).await;
    }
    let (mut deep, mut middle) = (inbox(None).await, list(None).await);
    for _ in 0..500 {
        deep = inbox(Some(&deep)).await;
        middle = list(middle).await;
    }
    let first = (
        median(async || {
            inbox(None).await;
        })
        .await,
        median(async || {
            list(None).await;
        })
        .await,
    );
    let far = (
        median(async || {
            inbox(Some(&deep)).await;
        })
        .await,
        median(async || {
            list(middle.clone()).await;
        })
        .await,
    );
    println!("inbox: few {:?}, first of {RUNNING} {:?}, page 500 {:?}", few.0, first.0, far.0);
    println!("list:  few {:?}, first of {RUNNING} {:?}, page 500 {:?}", few.1, first.1, far.1);
    for (name, few, now) in [
        ("inbox, first page", few.0, first.0),
        ("inbox, page 500", few.0, far.0),
        ("list, first page", few.1, first.1),
        ("list, page 500", few.1, far.1),
    ] {
        assert!(
            now < few * 2 + Duration::from_millis(5),
            "{name}: {few:?} with 200, {now:?} with {RUNNING}"
        );
    }
}
