//! Reporting: the province issues a form to Hangzhou and its counties; by hand and by workbook, returned and handed in
//! again, totals that disagree and are mended or explained, accepted rows in the lake, corrections and withdrawals.

use app::report::{self, Faced, Typed};
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::report::{Every, Landing, TaskState};
use model::{Code, Kind};
use testkit::{CITY_ORG, COUNTY_ORG, House, draft};

use crate::on_both;
use crate::reporting::*;

on_both!(
    a_form_goes_down_the_tree_and_its_figures_come_up,
    corrections_update_and_withdrawals_delete,
    two_people_do_not_overwrite_each_other,
    periods_open_by_themselves_and_are_reminded_of,
    forms_are_versioned_and_a_task_keeps_its_own,
    nobody_sees_what_is_not_theirs
);

async fn a_form_goes_down_the_tree_and_its_figures_come_up(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("qyqk")).await;
    let (plan, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let (city, county, second) =
        (house.person("city").await, house.person("county").await, house.person("linping").await);
    assert_eq!(tasks.len(), 3);
    let (top, low, other) = (of(&tasks, CITY_ORG), of(&tasks, COUNTY_ORG), of(&tasks, SECOND_ORG));
    // Five working days after the end of February; 28 February 2026 is a make-up working day before nothing else.
    assert_eq!(top.period, "2026-02");
    assert_eq!(top.due, app.calendar.add_working_days("2026-02-28".parse().unwrap(), 5));
    assert_eq!((low.above.as_deref(), low.above_org.as_str()), (Some(top.id.as_str()), CITY_ORG));
    assert_eq!(top.above, None);

    // The county types: wrong cells are kept as typed and told one by one.
    let view = report::task(app, &county, &low.id).await.unwrap();
    let add = Typed { add: 2, ..Typed::default() };
    let saved = report::save_draft(app, &county, &low.id, view.task.version, add).await.unwrap();
    let wrong = typed(
        &view.form,
        &[
            (0, "day", "2027-01-01"),
            (1, "kind", "工业"),
            (1, "firms", "十二"),
            (1, "uscc", "91330100799655058C"),
            (2, "kind", "09"),
        ],
        0,
    );
    let saved = report::save_draft(app, &county, &low.id, saved.task.version, wrong).await.unwrap();
    let told: Vec<(u64, &str)> = saved.faults.iter().map(|f| (f.row, f.field.as_str())).collect();
    for cell in [(0, "day"), (1, "firms"), (1, "uscc"), (2, "kind"), (2, "firms")] {
        assert!(told.contains(&cell), "{cell:?} {:?}", saved.faults);
    }
    assert!(saved.faults.iter().all(|f| !f.zh.is_empty() && !f.en.is_empty()));
    let kept = report::rows(app, &county, &low.id, None, 1).await.unwrap();
    let place = view.form.draft.place("firms").unwrap();
    assert_eq!(kept.rows[0].1[place].as_deref(), Some("十二"));
    let refused = report::submit(app, &county, &low.id, saved.task.version, &[]).await.unwrap();
    assert!(!refused.submitted && refused.fault_count >= 5);
    assert_eq!(now(&house, &county, &low.id).await.state, TaskState::Draft);

    // A workbook with three wrong cells: nothing is kept, each cell is named.
    let codes = ["kind", "firms", "amount", "uscc", "note"];
    let rows = vec![
        vec!["01 工业", "#5", "#12.5", USCC, "好"],
        vec!["02", "#x", "#1", "", ""],
        vec!["03", "#7", "#-1e20", "", "<b>"],
    ];
    let once = [("day", "2026-02-28")];
    let wrong = file(&workbook(&codes, &rows, &once));
    let seen = saved.task.version;
    let import = report::import(app, &county, &low.id, seen, wrong.path(), false).await.unwrap();
    let mut places: Vec<&str> = import.faults.iter().map(|f| f.at.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["明细!B4", "明细!C5", "明细!E5"], "{:?}", import.faults);
    assert!(!import.saved && import.read == 3);
    assert_eq!(now(&house, &county, &low.id).await.version, seen);
    // Only the good rows, because the person says so.
    let import = report::import(app, &county, &low.id, seen, wrong.path(), true).await.unwrap();
    assert!(import.saved && import.kept == 1 && import.fault_count == 3);
    let mut rows = rows;
    rows[1][1] = "#3";
    (rows[2][2], rows[2][4]) = ("#0.5", "改");
    let good = file(&workbook(&codes, &rows, &once));
    let seen = import.task.version;
    let import = report::import(app, &county, &low.id, seen, good.path(), false).await.unwrap();
    assert!(import.saved && import.faults.is_empty(), "{:?}", import.faults);
    let done = report::submit(app, &county, &low.id, import.task.version, &[]).await.unwrap();
    assert!(done.submitted, "{:?}", done.faults);
    assert_eq!((done.task.rows, done.task.revision, done.task.late), (3, 1, false));

    // The city returns it with a reason; the county takes it up again, and both submissions are kept.
    let waiting = report::desk(app, &city, Faced::Below(true), None, 10).await.unwrap();
    assert_eq!(waiting.items.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), [&low.id]);
    assert!(report::give_back(app, &city, &low.id, " ").await.is_err());
    report::give_back(app, &city, &low.id, "农业企业数请核实").await.unwrap();
    let back = now(&house, &county, &low.id).await;
    assert_eq!((back.state, back.reason.as_str()), (TaskState::Returned, "农业企业数请核实"));
    let told = app::notice::list(app, &county, true, None, 20).await.unwrap();
    assert!(told.items.iter().any(|n| n.kind == "report.returned" && n.words.contains("核实")));
    rows[1][1] = "#4";
    let again = file(&workbook(&codes, &rows, &once));
    let import =
        report::import(app, &county, &low.id, back.version, again.path(), false).await.unwrap();
    let done = report::submit(app, &county, &low.id, import.task.version, &[]).await.unwrap();
    assert_eq!((done.submitted, done.task.revision), (true, 2));
    let first = report::rows(app, &city, &low.id, Some(1), 1).await.unwrap();
    assert_eq!((first.rows[1].1[place].as_deref(), first.count), (Some("3"), 3));

    // Nobody accepts their own; the city does, and the rows are in the lake.
    let own = report::accept(app, &county, &low.id).await.unwrap_err();
    assert_eq!(own.kind(), Kind::Denied);
    let accepted = report::accept(app, &city, &low.id).await.unwrap();
    assert_eq!(
        (accepted.state, accepted.landing),
        (TaskState::Accepted, Landing::Done),
        "{accepted:?}"
    );
    assert_eq!((accepted.landed.rows, accepted.landed.revision), (3, 2));
    assert_eq!(lake(&house, "qyqk").await.len(), 3);

    // The second county has not reported, and the city's figures differ: kept back, cell by cell.
    let task =
        fill(&house, &city, &top.id, &[("01", "9", "20"), ("02", "4", "1"), ("03", "7", "0.50")])
            .await;
    let kept_back = report::submit(app, &city, &top.id, task.version, &[]).await.unwrap();
    let agreement = kept_back.agreement.unwrap();
    assert!(!kept_back.submitted && agreement.missing == ["临平区数据局"]);
    let cells: Vec<String> =
        agreement.differences.iter().map(|d| format!("{} {}", d.by.join(""), d.field)).collect();
    assert_eq!(cells, ["01 firms", "01 amount"]);
    assert_eq!(agreement.parts[0][0].0, "余杭区数据局");

    fill(&house, &second, &other.id, &[("01", "4", "7.5")]).await;
    let theirs = now(&house, &second, &other.id).await;
    assert!(report::submit(app, &second, &other.id, theirs.version, &[]).await.unwrap().submitted);
    report::accept(app, &city, &other.id).await.unwrap();
    // Mended: 5 + 4 firms and 12.5 + 7.5 agree now.
    let task = now(&house, &city, &top.id).await;
    let done = report::submit(app, &city, &top.id, task.version, &[]).await.unwrap();
    assert!(done.submitted && done.task.explained.is_empty(), "{:?}", done.agreement);
    let provider = house.person("provider").await;
    report::accept(app, &provider, &top.id).await.unwrap();

    let rows = lake(&house, "qyqk").await;
    assert_eq!(rows.len(), 7);
    assert_eq!(rows[0][..6], ["330100", "2026-02", "01", "", "9", "20.00"]);
    assert!(rows.iter().any(|r| r[..6] == ["330110", "2026-02", "01", USCC, "5", "12.50"]));
    let seen = app::catalogue::get(app, &provider, "qyqk").await.unwrap();
    assert_eq!(seen.rows, 7);
    let runs = app::collection::runs(app, &provider, Some("qyqk"), None, 10).await.unwrap();
    assert!(runs.items.iter().all(|r| r.channel == "report" && r.read == r.accepted));

    // Who has reported, and how much.
    let (_, period, tree) = report::roll_up(app, &provider, &plan, None).await.unwrap();
    assert_eq!(period, "2026-02");
    let told: Vec<(usize, u64, u64, u64)> =
        tree.iter().map(|r| (r.depth, r.task.rows, r.below, r.below_accepted)).collect();
    assert_eq!(told, [(0, 3, 2, 2), (1, 3, 0, 0), (1, 1, 0, 0)]);
    let (name, bytes) = report::overview(app, &provider, &plan, None).await.unwrap();
    assert!(name.ends_with(".xlsx") && bytes.starts_with(b"PK"));

    // A disagreement that is explained is handed in, and the reason is kept.
    report::give_back(app, &provider, &top.id, "请补充说明").await.unwrap();
    let task =
        fill(&house, &city, &top.id, &[("01", "10", "20"), ("02", "4", "1"), ("03", "7", "0.5")])
            .await;
    let open = report::submit(app, &city, &top.id, task.version, &[]).await.unwrap();
    let key = open.agreement.unwrap().differences[0].key();
    let reasons = [(key, "市本级直管一家".to_owned())];
    let done = report::submit(app, &city, &top.id, task.version, &reasons).await.unwrap();
    assert!(done.submitted);
    let events = report::events(app, &provider, &top.id, None, 50).await.unwrap().items;
    let reason = events.iter().flat_map(|e| &e.explained).map(|e| e.reason.as_str()).next();
    assert_eq!(reason, Some("市本级直管一家"));
    // Each step is in the audit.
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    for word in [
        "form_create",
        "form_publish",
        "issue",
        "save",
        "import",
        "submit",
        "returned",
        "accept",
        "reopened",
        "overview",
    ] {
        let action = format!("report.{word}");
        assert!(records.iter().any(|r| r.event.action == action), "{action}");
    }
}

async fn corrections_update_and_withdrawals_delete(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("gz")).await;
    let (_, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let (city, county) = (house.person("city").await, house.person("county").await);
    let low = &of(&tasks, COUNTY_ORG).id;
    let hand_in = async |rows: &[(&str, &str, &str)]| {
        let task = fill(&house, &county, low, rows).await;
        let done = report::submit(app, &county, low, task.version, &[]).await.unwrap();
        assert!(done.submitted, "{:?}", done.faults);
        report::accept(app, &city, low).await.unwrap()
    };
    hand_in(&[("01", "1", "1"), ("02", "2", "2")]).await;
    let versions = app.lake.versions("gz").await.unwrap().len();
    // The same again lands nothing.
    report::give_back(app, &city, low, "核对").await.unwrap();
    let same = hand_in(&[("01", "1", "1.00"), ("02", "2", "2")]).await;
    assert_eq!(
        (same.landing, same.landed.revision, same.landed.run.as_str()),
        (Landing::Done, 2, "")
    );
    assert_eq!(app.lake.versions("gz").await.unwrap().len(), versions);
    // One row changed, one gone, one new.
    report::give_back(app, &city, low, "更正").await.unwrap();
    assert_eq!(lake(&house, "gz").await.len(), 2, "rows stay until the correction is accepted");
    hand_in(&[("01", "10", "1"), ("03", "3", "3")]).await;
    let rows = lake(&house, "gz").await;
    let told: Vec<(&str, &str)> = rows.iter().map(|r| (r[2].as_str(), r[4].as_str())).collect();
    assert_eq!(told, [("01", "10"), ("03", "3")]);
    // Withdrawn for good.
    assert!(report::withdraw(app, &county, low, "x").await.is_err());
    let gone = report::withdraw(app, &city, low, "重复下发").await.unwrap();
    assert_eq!((gone.state, gone.landing), (TaskState::Withdrawn, Landing::Done));
    assert_eq!(lake(&house, "gz").await.len(), 0);
    assert_eq!(report::accept(app, &city, low).await.unwrap_err().code(), Code::WrongState);
    // A submission may be taken back while nobody has decided.
    let top = &of(&tasks, CITY_ORG).id;
    let task = fill(&house, &city, top, &[("01", "1", "1")]).await;
    let why = [
        ("firms\u{1f}01".to_owned(), "a".to_owned()),
        ("amount\u{1f}01".to_owned(), "b".to_owned()),
        ("missing".to_owned(), "c".to_owned()),
    ];
    assert!(report::submit(app, &city, top, task.version, &why).await.unwrap().submitted);
    assert_eq!(report::take_back(app, &city, top).await.unwrap().state, TaskState::Draft);
}

async fn two_people_do_not_overwrite_each_other(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("bf")).await;
    let (_, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let county = house.person("county").await;
    let low = &of(&tasks, COUNTY_ORG).id;
    let view = report::task(app, &county, low).await.unwrap();
    let day = |day: &str| typed(&view.form, &[(0, "day", day)], 0);
    report::save_draft(app, &county, low, view.task.version, day("2026-01-01")).await.unwrap();
    let late = report::save_draft(app, &county, low, view.task.version, day("2026-01-02")).await;
    let late = late.unwrap_err();
    assert_eq!(late.code(), Code::Stale);
    assert!(late.zh().contains("county"), "{late}");
    let kept = report::rows(app, &county, low, None, 1).await.unwrap();
    assert_eq!(kept.head[view.form.draft.place("day").unwrap()].as_deref(), Some("2026-01-01"));
    // Cells that are not the row's, rows that are not there, and fields of the platform are not written.
    let task = now(&house, &county, low).await;
    let odd =
        typed(&view.form, &[(0, "kind", "01"), (9, "kind", "01"), (0, "region_code", "330000")], 0);
    report::save_draft(app, &county, low, task.version, odd).await.unwrap();
    let kept = report::rows(app, &county, low, None, 1).await.unwrap();
    assert_eq!((kept.count, kept.head.iter().flatten().count()), (0, 1));
}

/// On SQLite only: there the house can be opened again in its folder.
#[tokio::test]
async fn a_restart_finds_what_was_typed() {
    let house = House::new().await;
    tree(&house).await;
    let entry = house.publish(firms("cq")).await;
    let (_, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let low = of(&tasks, COUNTY_ORG).id.clone();
    let county = house.person("county").await;
    fill(&house, &county, &low, &[("01", "十二", "1")]).await;
    let before = report::rows(&house.app, &county, &low, None, 1).await.unwrap();
    let house = house.reopen().await;
    let county = house.person("county").await;
    let after = report::rows(&house.app, &county, &low, None, 1).await.unwrap();
    assert_eq!((after.head, after.rows), (before.head, before.rows));
    // A form that says the period cannot be issued once: such rows would have none.
    let provider = house.person("provider").await;
    let task = report::task(&house.app, &provider, &low).await.unwrap().task;
    let once = model::report::PlanNew {
        form: task.form,
        title: String::new(),
        every: Every::Once,
        first: String::new(),
        due_days: 5,
        due: None,
        orgs: vec![COUNTY_ORG.to_owned()],
    };
    let refused = report::issue(&house.app, &provider, once).await.unwrap_err();
    assert_eq!(refused.fields().iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["every"]);
}

async fn periods_open_by_themselves_and_are_reminded_of(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("zq")).await;
    let (plan, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let county = house.person("county").await;
    let system = || model::Op::system(house.app.now());
    let low = of(&tasks, COUNTY_ORG);
    assert_eq!(report::tick(app, &system()).await.unwrap(), 0, "nothing is due yet");
    while today(&house) < low.due {
        house.clock.forward(TimeDelta::days(1));
    }
    assert_eq!(report::tick(app, &system()).await.unwrap(), 3, "three reminders on the day");
    assert_eq!(report::tick(app, &system()).await.unwrap(), 0, "once");
    house.clock.forward(TimeDelta::days(1));
    assert_eq!(report::tick(app, &system()).await.unwrap(), 3, "and on the day after");
    let told = app::notice::list(app, &county, true, None, 50).await.unwrap().items;
    assert_eq!(told.iter().filter(|n| n.kind == "report.remind").count(), 2);
    // Handed in late.
    let county = house.person("county").await;
    let task = fill(&house, &county, &low.id, &[("01", "1", "1")]).await;
    let done = report::submit(app, &county, &low.id, task.version, &[]).await.unwrap();
    assert!(done.submitted && done.task.late);
    // April opens March's tasks, once.
    while today(&house).to_string().as_str() < "2026-04-01" {
        house.clock.forward(TimeDelta::days(1));
    }
    assert!(report::tick(app, &system()).await.unwrap() >= 3);
    let provider = house.person("provider").await;
    let (view, _, rows) = report::roll_up(app, &provider, &plan, None).await.unwrap();
    assert_eq!((view.plan.opened.as_deref(), rows.len()), (Some("2026-03"), 3));
    let (_, _, before) = report::roll_up(app, &provider, &plan, Some("2026-02")).await.unwrap();
    assert_eq!(before.iter().filter(|r| r.overdue).count(), 2);
    report::stop(app, &provider, &plan).await.unwrap();
    house.clock.forward(TimeDelta::days(40));
    report::tick(app, &system()).await.unwrap();
    let (_, period, _) = report::roll_up(app, &provider, &plan, None).await.unwrap();
    assert_eq!(period, "2026-03", "a plan that is stopped opens nothing");
}

async fn forms_are_versioned_and_a_task_keeps_its_own(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("bb")).await;
    let provider = house.person("provider").await;
    let mut draft_form = form(&house, &entry).await;
    // What is wrong is told field by field.
    draft_form.rules[0].expression = "firms >".into();
    draft_form.fields[5].pattern = "(".into();
    draft_form.fields.retain(|f| f.item.identifier != "kind");
    let error = report::create(app, &provider, draft_form).await.unwrap_err();
    let fields: Vec<&str> = error.fields().iter().map(|f| f.field.as_str()).collect();
    for wrong in ["rules.1", "amount", "kind", "total_by"] {
        assert!(fields.contains(&wrong), "{wrong}: {fields:?}");
    }
    let keyless = house.publish(model::entry::EntryDraft {
        items: firms("x")
            .items
            .into_iter()
            .map(|i| model::item::Item { primary: false, ..i })
            .collect(),
        ..draft("keyless")
    });
    let keyless = keyless.await;
    let offered = report::offer(app, &provider, &keyless.id).await.unwrap();
    assert!(
        report::create(app, &provider, offered)
            .await
            .unwrap_err()
            .fields()
            .iter()
            .any(|f| f.field == "entry")
    );

    let made = report::create(app, &provider, form(&house, &entry).await).await.unwrap();
    let published = report::publish(app, &provider, &made.id, made.edit).await.unwrap();
    let again = report::publish(app, &provider, &made.id, published.edit).await.unwrap_err();
    assert_eq!(again.code(), Code::WrongState);
    let first = report::version(app, &made.id, 1).await.unwrap();
    let mut changed = published.draft.clone();
    changed.title = "改名".into();
    changed.rules.clear();
    let stale =
        report::save(app, &provider, &made.id, made.edit, changed.clone()).await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    let saved = report::save(app, &provider, &made.id, published.edit, changed).await.unwrap();
    let second = report::publish(app, &provider, &made.id, saved.edit).await.unwrap();
    assert_eq!(second.version, 2);
    assert_eq!(
        report::version(app, &made.id, 1).await.unwrap(),
        first,
        "a published version never changes"
    );
}

async fn nobody_sees_what_is_not_theirs(house: House) {
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("qx")).await;
    let (plan, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let (low, other) = (of(&tasks, COUNTY_ORG), of(&tasks, SECOND_ORG));
    let second = house.person("linping").await;
    for op in
        [house.person("stranger").await, house.person("citizen").await, house.nobody(), second]
    {
        for outcome in [
            report::task(app, &op, &low.id).await.map(|_| ()),
            report::rows(app, &op, &low.id, None, 1).await.map(|_| ()),
            report::events(app, &op, &low.id, None, 1).await.map(|_| ()),
            report::save_draft(app, &op, &low.id, 1, Typed::default()).await.map(|_| ()),
            report::submit(app, &op, &low.id, 1, &[]).await.map(|_| ()),
            report::accept(app, &op, &low.id).await.map(|_| ()),
            report::withdraw(app, &op, &low.id, "x").await.map(|_| ()),
            report::template(app, &op, &low.id).await.map(|_| ()),
            report::plan(app, &op, &plan).await.map(|_| ()),
            report::form(app, &op, &low.form).await.map(|_| ()),
        ] {
            assert_eq!(outcome.unwrap_err().kind(), Kind::NotFound, "{:?}", op.actor);
        }
    }
    // The issuer and the city see it, but not a draft of it; the county of the same city does not see its neighbour's.
    let (provider, city, county) =
        (house.person("provider").await, house.person("city").await, house.person("county").await);
    fill(&house, &county, &low.id, &[("01", "1", "1")]).await;
    for op in [&provider, &city] {
        assert!(report::task(app, op, &low.id).await.is_ok());
        assert_eq!(report::rows(app, op, &low.id, None, 1).await.unwrap().rows.len(), 0);
    }
    assert_eq!(report::task(app, &county, &other.id).await.unwrap_err().kind(), Kind::NotFound);
    let own = report::desk(app, &county, Faced::Own, None, 10).await.unwrap();
    assert!(own.items.iter().all(|t| t.org == COUNTY_ORG) && own.items.len() == 1);
    // The same key from two organisations is refused with the row.
    let region = entry.draft.items.iter().position(|i| i.identifier == "region_code").unwrap();
    assert_eq!(region, 0);
}
