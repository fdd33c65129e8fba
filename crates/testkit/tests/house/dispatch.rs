//! Dispatch and control in the house: quotas that hold to the last call, quota that moves by an approval, what failed and
//! is run again, jobs that tell how they stand, and a dashboard for those who may see it.

use app::approval::{self, Act};
use app::control;
use app::dispatch::{self, JobStanding, MoveNew};
use app::sharing;
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::code::{DataType, SyncMode};
use model::dispatch::{Holder, HolderKind, Job, Resource};
use model::flow::Phase;
use model::parcel::RunState;
use model::query::RowQuery;
use model::request::{Period, RequestNew, RequestState};
use model::{Code, Op};
use testkit::{CITY_ORG, CONSUMER_ORG, COUNTY_ORG, House, PROVIDER_ORG, STRANGER_ORG};

pub(crate) const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

pub(crate) fn org(id: &str) -> Holder {
    Holder::new(HolderKind::Org, id)
}

fn region(code: &str) -> Holder {
    Holder::new(HolderKind::Region, code)
}

/// An application of the consumer's with an approved share application for an open table, so many calls a day.
pub(crate) async fn caller(house: &House, entry: &str, calls: u64) -> (Op, String, String) {
    let (op, secret) = house.application(&format!("应用 {entry} {calls}")).await;
    let consumer = house.person("consumer").await;
    let id = secret.application.id.clone();
    let new = RequestNew {
        entry: entry.into(),
        application: id.clone(),
        items: vec!["id".into(), "amount".into()],
        scene: "统计".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 365 },
        calls_per_day: calls,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(&house.app, &consumer, new).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    (op, id, request.id)
}

/// One call; the clock goes on, so that no second has more calls than it may.
pub(crate) async fn call(house: &House, op: &Op, entry: &str) -> model::Result<sharing::Release> {
    house.clock.forward(TimeDelta::milliseconds(300));
    let op = house.app.op(op.actor.clone(), "127.0.0.1");
    sharing::query(&house.app, &op, entry, &RowQuery::default()).await
}

async fn set(house: &House, holder: &Holder, amount: Option<u64>) -> model::Result<()> {
    let authority = house.person("authority").await;
    dispatch::set(&house.app, &authority, Resource::Calls, holder, amount, "年度核定").await
}

/// How much of a holder's quota of calls is used today.
async fn used(house: &House, holder: &Holder) -> f64 {
    let authority = house.person("authority").await;
    dispatch::holder(&house.app, &authority, holder).await.unwrap().quotas[0].used.used
}

/// The quota of an organisation is shared by its applications to the last call, what was called before it was set counts,
/// a region's stands above, and nothing of it is lost in anybody's memory.
async fn a_shared_quota_is_exact(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    let (a, _, _) = caller(&house, "tongji", 1000).await;
    let (b, b_id, _) = caller(&house, "tongji", 900).await;
    for _ in 0..2 {
        call(&house, &a, "tongji").await.unwrap();
    }
    // Calls of before: the store counts the lot that was taken, of which the rest goes back when it is asked for.
    set(&house, &org(CONSUMER_ORG), Some(40)).await.unwrap();
    let mut passed = 2;
    for n in 0..60 {
        let who = if n % 3 == 0 { &b } else { &a };
        match call(&house, who, "tongji").await {
            Ok(_) => passed += 1,
            Err(e) => {
                assert_eq!(e.code(), Code::QuotaUsedUp);
                assert!(e.zh().contains("本单位") && e.en().contains("40 calls"), "{e}");
            }
        }
    }
    // A took ten calls at once before there was a quota: those are its own, and counted.
    assert_eq!(passed, 40);
    assert_eq!(used(&house, &org(CONSUMER_ORG)).await, 40.0);
    // A raise holds at the next call; an application's own quota stands below.
    set(&house, &org(CONSUMER_ORG), Some(60)).await.unwrap();
    set(&house, &Holder::new(HolderKind::Application, &b_id), Some(15)).await.unwrap();
    let mut mine = 0;
    for _ in 0..20 {
        if let Err(e) = call(&house, &b, "tongji").await {
            assert!(e.zh().contains("本应用"), "{e}");
            continue;
        }
        mine += 1;
    }
    let of_b = used(&house, &Holder::new(HolderKind::Application, &b_id)).await;
    assert_eq!(of_b, 15.0, "{mine} after those of before");
    // The region above bounds them, too, also at once.
    let so_far = used(&house, &org(CONSUMER_ORG)).await;
    assert!(so_far < 60.0);
    let left = 60 - so_far as u64;
    house.clock.forward(TimeDelta::seconds(2));
    // Almost as many at once as a second lets through (they are not counted in the order of their times), which is more than is left.
    assert!(left < 19, "{left}");
    let calls = (0..19).map(|_| {
        let op = house.app.op(a.actor.clone(), "127.0.0.1");
        async move { sharing::query(app, &op, "tongji", &RowQuery::default()).await }
    });
    let mut at_once = 0;
    for outcome in futures::future::join_all(calls).await {
        match outcome {
            Ok(_) => at_once += 1,
            Err(e) => assert_eq!(e.code(), Code::QuotaUsedUp, "{e}"),
        }
    }
    assert_eq!(at_once, left);
    assert_eq!(used(&house, &org(CONSUMER_ORG)).await, 60.0);
    // Midnight in China: everything starts anew.
    house.clock.forward(TimeDelta::days(1));
    assert_eq!(call(&house, &a, "tongji").await.unwrap().calls_left, Some(59));
    assert_eq!(used(&house, &org(CONSUMER_ORG)).await, 1.0);
    // Without the quota nothing but the caller's own counts.
    set(&house, &org(CONSUMER_ORG), None).await.unwrap();
    assert!(call(&house, &a, "tongji").await.unwrap().calls_left.unwrap() > 900);
    let history = dispatch::holder(app, &house.person("consumer").await, &org(CONSUMER_ORG)).await;
    assert_eq!(history.unwrap().past.len(), 3);
}

/// Lots that one caller holds and does not use go back when another of the same quota needs them.
async fn unused_lots_are_given_back(house: House) {
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    let (a, _, _) = caller(&house, "tongji", 5000).await;
    let (b, _, _) = caller(&house, "tongji", 4000).await;
    set(&house, &region("330000"), Some(300)).await.unwrap();
    // A takes a lot of three and uses one of it; a while after the last call the rest goes back by itself.
    call(&house, &a, "tongji").await.unwrap();
    assert_eq!(used(&house, &region("330000")).await, 3.0);
    app::operation::tidy(&house.app).await.unwrap();
    assert_eq!(used(&house, &region("330000")).await, 3.0);
    house.clock.forward(TimeDelta::minutes(2));
    app::operation::tidy(&house.app).await.unwrap();
    assert_eq!(used(&house, &region("330000")).await, 1.0);
    call(&house, &a, "tongji").await.unwrap();
    let mut passed = 0;
    for _ in 0..305 {
        if call(&house, &b, "tongji").await.is_ok() {
            passed += 1;
        }
    }
    assert_eq!(passed, 298);
    let refused = call(&house, &a, "tongji").await.unwrap_err();
    assert!(refused.zh().contains("所在地区"), "{refused}");
    assert_eq!(used(&house, &region("330000")).await, 300.0);
}

/// A quota fits between what is above and what is below; who may set and see it.
async fn quotas_bound_each_other(house: House) {
    let app = &house.app;
    set(&house, &region("330000"), Some(100)).await.unwrap();
    set(&house, &region("330100"), Some(60)).await.unwrap();
    set(&house, &org(COUNTY_ORG), Some(50)).await.unwrap();
    let e = set(&house, &org(CITY_ORG), Some(11)).await.unwrap_err();
    assert_eq!((e.code(), e.fields().len()), (Code::RuleBroken, 1));
    assert!(e.en().contains("10 at most"), "{e}");
    set(&house, &org(CITY_ORG), Some(10)).await.unwrap();
    assert_eq!(
        set(&house, &region("330100"), Some(59)).await.unwrap_err().code(),
        Code::RuleBroken
    );
    assert_eq!(
        set(&house, &org(CONSUMER_ORG), Some(41)).await.unwrap_err().code(),
        Code::RuleBroken
    );
    set(&house, &org(CONSUMER_ORG), Some(40)).await.unwrap();
    assert_eq!(set(&house, &region("339999"), Some(1)).await.unwrap_err().code(), Code::NotFound);
    // The city's authority rules its own region and no other; others see their own only.
    let city = house.person("city").await;
    dispatch::set(app, &city, Resource::Calls, &org(CITY_ORG), Some(5), "下调").await.unwrap();
    let e = dispatch::set(app, &city, Resource::Calls, &org(CONSUMER_ORG), Some(1), "x").await;
    assert_eq!(e.unwrap_err().code(), Code::Denied);
    let county = house.person("county").await;
    let e = dispatch::set(app, &county, Resource::Calls, &org(COUNTY_ORG), Some(60), "x").await;
    assert_eq!(e.unwrap_err().code(), Code::Denied);
    let e = dispatch::holder(app, &county, &org(CONSUMER_ORG)).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let app = &house.app;
    let list = |op: Op| async move {
        dispatch::list(app, &op, Resource::Calls, HolderKind::Org, None, None, 50)
            .await
            .map(|p| p.items.len())
            .map_err(|e| e.code())
    };
    assert_eq!(list(county).await, Ok(1));
    assert_eq!(list(house.person("auditor").await).await, Ok(3));
    assert_eq!(list(house.person("citizen").await).await, Err(Code::Denied));
}

async fn answer(
    house: &House,
    who: &str,
    id: &str,
    approve: bool,
) -> model::Result<approval::Seen> {
    let op = house.person(who).await;
    let seen = approval::get(&house.app, &op, id).await?;
    let open = seen.state.open.first().unwrap().step.clone();
    let (step, seat, _) = seen.mine.first().cloned().unwrap_or((open, 0, false));
    let reason = if approve { String::new() } else { "needed".into() };
    approval::act(&house.app, &op, id, &step, seat, Act::Decide { approve, reason }, "意见").await
}

/// Asked for → the giving side agrees → the authority decides → both and what lies above change at once, with history.
async fn quota_moves_by_an_approval(house: House) {
    let app = &house.app;
    for (holder, amount) in [
        (region("330000"), 200),
        (region("330100"), 60),
        (org(CONSUMER_ORG), 50),
        (org(COUNTY_ORG), 20),
    ] {
        set(&house, &holder, Some(amount)).await.unwrap();
    }
    let county = house.person("county").await;
    let ask = |from: Holder, to: Holder, amount| MoveNew {
        resource: Resource::Calls,
        from,
        to,
        amount,
        reason: "汛期调用增加".into(),
    };
    let e = dispatch::ask(app, &county, ask(org(CONSUMER_ORG), org(COUNTY_ORG), 51)).await;
    assert_eq!(e.unwrap_err().code(), Code::RuleBroken);
    let e = dispatch::ask(app, &county, ask(org(COUNTY_ORG), org(CONSUMER_ORG), 1)).await;
    assert_eq!(e.unwrap_err().code(), Code::Denied, "for one's own organisation only");
    let made =
        dispatch::ask(app, &county, ask(org(CONSUMER_ORG), org(COUNTY_ORG), 10)).await.unwrap();
    assert_eq!((made.phase, made.applied_at.as_deref()), (Phase::Running, None));
    // The applicant answers on no seat; the giving side comes first, then the authority above both.
    assert_eq!(
        answer(&house, "county", &made.approval, true).await.unwrap_err().code(),
        Code::Denied
    );
    let seen = answer(&house, "consumer", &made.approval, true).await.unwrap();
    assert_eq!(seen.state.open[0].step, "superior", "across cities the authority above decides");
    let seen = answer(&house, "authority", &made.approval, true).await.unwrap();
    assert_eq!(seen.state.phase, Phase::Approved);
    let authority = house.person("authority").await;
    let amount = |holder: Holder| {
        let (app, authority) = (&house.app, &authority);
        async move {
            let seen = dispatch::holder(app, authority, &holder).await.unwrap();
            seen.quotas[0].used.amount.unwrap()
        }
    };
    assert_eq!(amount(org(CONSUMER_ORG)).await, 40);
    assert_eq!(amount(org(COUNTY_ORG)).await, 30);
    assert_eq!(amount(region("330100")).await, 70, "what lies above moves along");
    assert_eq!(amount(region("330000")).await, 200, "what lies above both stays");
    let past = dispatch::holder(app, &county, &org(COUNTY_ORG)).await.unwrap().past;
    assert_eq!((past[0].was, past[0].amount, past[0].cause.as_str()), (Some(20), Some(30), "move"));
    assert_eq!(past[0].reference, made.approval);
    let moves = dispatch::moves(app, &house.person("consumer").await, None, 10).await.unwrap();
    assert!(moves.items[0].applied_at.is_some());
    assert!(
        dispatch::moves(app, &house.person("stranger").await, None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // A refusal changes nothing.
    let again =
        dispatch::ask(app, &county, ask(org(CONSUMER_ORG), org(COUNTY_ORG), 5)).await.unwrap();
    let seen = answer(&house, "consumer", &again.approval, false).await.unwrap();
    assert_eq!(seen.state.phase, Phase::Refused);
    assert_eq!(amount(org(COUNTY_ORG)).await, 30);
    // What became impossible meanwhile is refused with its reason, and nothing is half done.
    let late =
        dispatch::ask(app, &county, ask(org(CONSUMER_ORG), org(COUNTY_ORG), 40)).await.unwrap();
    answer(&house, "consumer", &late.approval, true).await.unwrap();
    set(&house, &org(CONSUMER_ORG), Some(30)).await.unwrap();
    let seen = answer(&house, "authority", &late.approval, true).await.unwrap();
    assert_eq!(seen.state.phase, Phase::Refused);
    assert_eq!((amount(org(COUNTY_ORG)).await, amount(org(CONSUMER_ORG)).await), (30, 30));
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some("quota".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let count = |word: &str| {
        records.iter().filter(|r| r.event.action == word && r.event.result == "ok").count()
    };
    assert_eq!((count("quota.set"), count("quota.ask"), count("quota.move")), (5, 3, 3));
}

/// A failed collection stands in the calendar, is run again when what was wrong is mended, and is not when newer data
/// would be lost under it.
async fn what_failed_is_run_again(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let mut draft = testkit::draft("later");
    draft.items[2].data_type = DataType::Date;
    draft.items[2].precision = 0;
    draft.items[2].scale = 0;
    let entry = app::catalogue::create(app, &provider, draft).await.unwrap();
    let failed = house.collect(&entry.id, "t.csv", ROWS, SyncMode::Full).await.unwrap();
    assert_eq!(failed.state, RunState::Failed);
    let authority = house.person("authority").await;
    let today =
        |month: &dispatch::Month| month.weeks.iter().flatten().find(|d| d.today).cloned().unwrap();
    let day = today(&dispatch::month(app, &authority, None).await.unwrap());
    assert_eq!((day.failed, day.succeeded), (1, 0));
    // Another department's calendar does not show it; one's own does.
    let strange = dispatch::month(app, &house.person("stranger").await, None).await.unwrap();
    assert_eq!((today(&strange).failed, strange.jobs.len()), (0, 0));
    assert_eq!(today(&dispatch::month(app, &provider, None).await.unwrap()).failed, 1);
    assert!(dispatch::month(app, &house.person("citizen").await, None).await.is_err());

    use app::collection::{may_retry, retry};
    assert!(may_retry(app, &provider, &failed).await.unwrap());
    assert!(!may_retry(app, &authority, &failed).await.unwrap(), "who may not collect");
    assert_eq!(retry(app, &authority, &failed.id).await.unwrap_err().code(), Code::Denied);
    let hidden = retry(app, &house.person("stranger").await, &failed.id).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    app::catalogue::edit(app, &provider, &entry.id, testkit::draft("later"), 1).await.unwrap();
    let again = retry(app, &provider, &failed.id).await.unwrap();
    let ended = wait(&house, &provider, &again.id).await;
    assert_eq!((ended.state, ended.accepted), (RunState::Succeeded, 2), "{}", ended.message_en);
    let day = today(&dispatch::month(app, &authority, None).await.unwrap());
    assert_eq!((day.failed, day.succeeded), (1, 1));
    // The old one is done with: newer data are there.
    assert!(!may_retry(app, &provider, &failed).await.unwrap());
    let e = retry(app, &provider, &failed.id).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    let e = retry(app, &provider, &again.id).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "what went well is not run again");
    let filter = app::collection::Which { state: Some(RunState::Failed), ..Default::default() };
    let list = app::collection::runs_where(app, &authority, &filter, None, 10).await.unwrap();
    assert_eq!(list.items.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), [failed.id.as_str()]);
}

async fn wait(house: &House, op: &Op, run: &str) -> model::parcel::Run {
    loop {
        let now = app::collection::run(&house.app, op, run).await.unwrap();
        if !matches!(now.state, RunState::Queued | RunState::Running) {
            return now;
        }
        app::collection::changed(&house.app, run).await;
    }
}

/// Recurring jobs tell when they ran, how that ended, when they come next, and that they are late.
async fn jobs_tell_how_they_stand(house: House) {
    let app = &house.app;
    let admin = house.person("admin").await;
    let stands = |job: Job| {
        let house = &house;
        async move {
            let admin = house.person("admin").await;
            let all = dispatch::jobs(&house.app, &admin).await.unwrap();
            assert_eq!(all.len(), Job::ALL.len());
            all.into_iter().find(|j| j.job == job).unwrap()
        }
    };
    assert_eq!(stands(Job::Expiry).await.standing, JobStanding::Never);
    dispatch::run_job(app, Job::Expiry).await;
    let seen = stands(Job::Expiry).await;
    let state = seen.state.unwrap();
    assert_eq!((seen.standing, state.outcome.as_str()), (JobStanding::Ok, "ok"));
    assert!(state.next_at > state.started_at && state.ended_at.is_some());
    // It did nothing, and it comes round every minute: no row of history.
    assert!(dispatch::runs(app, &admin, Job::Expiry, None, 10).await.unwrap().items.is_empty());
    house.clock.forward(TimeDelta::minutes(10));
    assert_eq!(stands(Job::Expiry).await.standing, JobStanding::Late);
    // Out of turn by the administrator only, with a record.
    let authority = house.person("authority").await;
    assert_eq!(
        dispatch::run_now(app, &authority, Job::Chain).await.unwrap_err().code(),
        Code::Denied
    );
    let run = dispatch::run_now(app, &admin, Job::Chain).await.unwrap();
    assert_eq!(run.outcome, "ok", "{}", run.note_en);
    assert!(run.done > 0);
    let runs = dispatch::runs(app, &admin, Job::Chain, None, 10).await.unwrap();
    assert_eq!(runs.items[0].by_name, "admin");
    for job in Job::ALL {
        let run = dispatch::run_now(app, &admin, *job).await.unwrap();
        assert_eq!(run.outcome, "ok", "{job}: {}", run.note_en);
    }
    assert!(dispatch::jobs(app, &house.person("provider").await).await.is_err());
    // One that comes round seldom keeps to its turn over a restart.
    assert!(dispatch::due_in(app, Job::Resources).await.unwrap().as_secs() > 80_000);
    assert_eq!(dispatch::due_in(app, Job::Expiry).await.unwrap().as_secs(), 0);
}

/// The dashboard: for those who watch over the house; its numbers lead to rows that add up to them; alerts come and go.
async fn a_board_whose_numbers_add_up(house: House) {
    let app = &house.app;
    for who in ["provider", "consumer", "admin", "citizen", "enterprise"] {
        let op = house.person(who).await;
        assert_eq!(control::board(app, &op).await.unwrap_err().code(), Code::Denied, "{who}");
        assert_eq!(
            control::callers(app, &op, false, None, None, 10).await.unwrap_err().code(),
            Code::Denied
        );
        assert!(control::stale(app, &op, None, None, None, 10).await.is_err());
        assert!(control::failing_sources(app, &op).await.is_err());
    }
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    let bad = house.collect("tongji", "bad.csv", b"x,y\n1,2\n", SyncMode::Full).await.unwrap();
    assert_eq!(bad.state, RunState::Failed);
    let (a, a_id, _) = caller(&house, "tongji", 50).await;
    for _ in 0..3 {
        call(&house, &a, "tongji").await.unwrap();
    }
    set(&house, &org(CONSUMER_ORG), Some(3)).await.unwrap();
    let authority = house.person("authority").await;
    let board = control::board(app, &authority).await.unwrap();
    assert_eq!((board.calls_today, board.calls_year, board.failed), (3, 3, 1));
    assert_eq!(board.regions[0].region, "330000");
    assert_eq!((board.top[0].code.as_str(), board.top[0].calls), ("tongji", 3));
    assert_eq!(
        (board.failing[0].code.as_str(), board.failing[0].last.as_str()),
        ("tongji", bad.id.as_str())
    );
    let data = board.ledgers.iter().find(|c| c.word == "data").unwrap();
    assert_eq!(data.count, 1);
    let words: Vec<&str> = board.alerts.iter().map(|a| a.word).collect();
    for word in ["chain", "failed_runs", "quota"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
    let callers = control::callers(app, &authority, false, Some("330000"), None, 10).await.unwrap();
    assert_eq!(callers.items.iter().map(|c| c.calls).sum::<u64>(), board.calls_today);
    assert_eq!(callers.items[0].application, a_id);
    assert!(
        control::callers(app, &authority, true, Some("330100"), None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // Kept for a moment: the same board, with its time.
    assert_eq!(control::board(app, &authority).await.unwrap().at, board.at);

    // Yesterday's calls stay in the year; what is not collected any more gets stale; the chain was verified.
    house.clock.forward(TimeDelta::days(4));
    let admin = house.person("admin").await;
    for job in [Job::Figures, Job::Freshness, Job::Chain] {
        assert_eq!(dispatch::run_now(app, &admin, job).await.unwrap().outcome, "ok");
    }
    let authority = house.person("authority").await;
    let board = control::board(app, &authority).await.unwrap();
    assert_eq!((board.calls_today, board.calls_year, board.failed, board.stale), (0, 3, 0, 1));
    assert_eq!(board.fresh, [("daily".to_owned(), 1, 1)]);
    assert_eq!(board.growth.len(), 5, "every day since it was first measured");
    let words: Vec<&str> = board.alerts.iter().map(|a| a.word).collect();
    assert!(words.contains(&"stale_entries") && !words.contains(&"chain"), "{words:?}");
    assert!(!words.contains(&"quota") && !words.contains(&"failed_runs"), "{words:?}");
    let stale = control::stale(app, &authority, Some("daily"), None, None, 10).await.unwrap();
    assert_eq!((stale.items.len(), stale.items[0].code.as_str()), (1, "tongji"));
    assert!(
        control::stale(app, &authority, Some("weekly"), None, None, 10)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // New data take it off the list with the same call.
    house
        .collect("tongji", "n.csv", b"id,name,amount,day\n3,c,1,2026-03-01\n", SyncMode::Full)
        .await
        .unwrap();
    assert!(control::stale(app, &authority, None, None, None, 10).await.unwrap().items.is_empty());
    // Compute: the collections of the day fall on their department and its region.
    dispatch::run_now(app, &admin, Job::Figures).await.unwrap();
    let seen = dispatch::holder(app, &authority, &org(PROVIDER_ORG)).await.unwrap();
    let compute = seen.quotas.iter().find(|q| q.used.resource == Resource::Compute).unwrap();
    assert!(compute.used.used > 0.0, "{compute:?}");
    assert!(
        dispatch::holder(app, &authority, &org(STRANGER_ORG)).await.unwrap().quotas[1].used.used
            == 0.0
    );
}

crate::on_both!(
    a_shared_quota_is_exact,
    unused_lots_are_given_back,
    quotas_bound_each_other,
    quota_moves_by_an_approval,
    what_failed_is_run_again,
    jobs_tell_how_they_stand,
    a_board_whose_numbers_add_up,
);
