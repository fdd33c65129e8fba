//! Rule packs over the ledger: findings are kept with the entry, summed, listed within reach, mended in bulk through the
//! normal life cycle, and made anew when the rules change.

use app::catalogue::standard::{self, Range};
use app::catalogue::{self, Move};
use model::code::PublishState;
use model::finding::Level;
use model::{Code, Op};
use testkit::{House, PROVIDER_ORG, STRANGER_ORG};

const ENGLISH: &str = "ledger.item-english";

async fn entries_of(house: &House, op: &Op, rule: &str) -> Vec<String> {
    let page = standard::findings(&house.app, op, None, Some(rule), None, 50).await.unwrap();
    page.items.into_iter().map(|l| l.row.code).collect()
}

async fn places(house: &House, op: &Op, org: Option<&str>, rule: &str) -> (i64, i64) {
    let sums = standard::sums(&house.app, op, org, None, None, 50).await.unwrap();
    let found = sums.rules.into_iter().find(|(r, _)| r.id == rule).unwrap().1;
    found.map_or((0, 0), |s| (s.entries, s.places))
}

/// A draft with errors is saved, told, refused at review, and accepted once it is mended.
async fn errors_wait_at_the_door_of_review(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let mut draft = testkit::draft("lake_water");
    draft.title = "数据".into();
    let entry = catalogue::create(app, &provider, draft.clone()).await.unwrap();
    assert_eq!(entries_of(&house, &provider, "ledger.title-generic").await, ["lake_water"]);
    let outlook = catalogue::outlook(app, &provider, &entry.id).await.unwrap();
    assert!(outlook.findings.iter().any(|f| f.level == Level::Error && f.field == "title"));
    let refusal = catalogue::step(app, &provider, &entry.id, Move::Submit, "").await.unwrap_err();
    assert_eq!(refusal.code(), Code::RuleBroken);
    assert_eq!(refusal.fields()[0].field, "title");
    assert!(refusal.fields()[0].zh.contains("错误") && refusal.fields()[0].zh.contains("写明"));
    draft.title = "西湖水质监测".into();
    catalogue::edit(app, &provider, &entry.id, draft, 1).await.unwrap();
    assert!(entries_of(&house, &provider, "ledger.title-generic").await.is_empty());
    assert_eq!(places(&house, &provider, None, "ledger.title-generic").await, (0, 0));
    catalogue::step(app, &provider, &entry.id, Move::Submit, "").await.unwrap();

    // A change of what is published is handed in by saving it: new errors refuse it.
    let live = house.publish(testkit::draft("river_water")).await;
    let mut worse = testkit::draft("river_water");
    worse.items[1].name_cn = "name".into();
    let refusal = catalogue::edit(app, &provider, &live.id, worse, live.version).await.unwrap_err();
    assert_eq!(refusal.fields()[0].field, "items[1].name_cn");
}

/// Sums and lists follow every change, and show only what one may manage.
async fn findings_are_summed_within_reach(house: House) {
    let app = &house.app;
    let (provider, stranger) = (house.person("provider").await, house.person("stranger").await);
    let authority = house.person("authority").await;
    catalogue::create(app, &provider, testkit::draft("one")).await.unwrap();
    catalogue::create(app, &provider, testkit::person_draft("two")).await.unwrap();
    let mut theirs = testkit::draft("three");
    theirs.org = STRANGER_ORG.into();
    catalogue::create(app, &stranger, theirs).await.unwrap();
    assert_eq!(places(&house, &authority, None, ENGLISH).await, (3, 4 + 5 + 4));
    assert_eq!(places(&house, &authority, Some(PROVIDER_ORG), ENGLISH).await, (2, 9));
    // Whose organisation one is not of is not asked for either.
    assert_eq!(places(&house, &provider, Some(STRANGER_ORG), ENGLISH).await, (2, 9));
    assert_eq!(entries_of(&house, &stranger, ENGLISH).await, ["three"]);
    let sums = standard::sums(app, &authority, None, Some(ENGLISH), None, 50).await.unwrap();
    let orgs: Vec<(String, i64)> = sums.orgs.items.into_iter().map(|s| (s.of, s.places)).collect();
    assert_eq!(orgs, [(STRANGER_ORG.to_owned(), 4), (PROVIDER_ORG.to_owned(), 9)]);
    for name in ["consumer", "citizen", "enterprise"] {
        let other = house.person(name).await;
        let refusal = standard::findings(app, &other, None, None, None, 50).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Denied, "{name}");
    }
    // Pages by position: all findings, one at a time, none twice.
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page =
            standard::findings(app, &authority, None, None, after.as_deref(), 2).await.unwrap();
        seen.extend(page.items.iter().map(|l| (l.row.entry.clone(), l.row.rule.clone())));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let all = standard::findings(app, &authority, None, None, None, 900).await.unwrap().items.len();
    assert_eq!(seen.len(), all);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

/// Many are mended at once: drafts in place, published ones by a change under review, each told.
async fn a_bulk_fix_goes_through_the_life_cycle(house: House) {
    let app = &house.app;
    let (provider, stranger) = (house.person("provider").await, house.person("stranger").await);
    let draft = catalogue::create(app, &provider, testkit::draft("draft_one")).await.unwrap();
    let live = house.publish(testkit::draft("live_one")).await;
    let waiting = catalogue::create(app, &provider, testkit::draft("waiting_one")).await.unwrap();
    catalogue::step(app, &provider, &waiting.id, Move::Submit, "").await.unwrap();
    let range = Range { rule: ENGLISH.into(), org: None };
    let mut preview = standard::preview(app, &provider, &range, None, 50).await.unwrap();
    preview.rows.sort_by_key(|r| r.entry.draft.code.clone());
    let told: Vec<(String, usize, bool)> = preview
        .rows
        .iter()
        .map(|r| (r.entry.draft.code.clone(), r.mended, r.refused.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            ("draft_one".into(), 4, false),
            ("live_one".into(), 4, false),
            ("waiting_one".into(), 4, true)
        ]
    );
    let change = &preview.rows[0].changes[0];
    assert_eq!(
        (change.path.as_str(), change.before.as_deref(), change.after.as_deref()),
        ("items.id.name_en", None, Some("id"))
    );
    assert_eq!(
        catalogue::get(app, &provider, "draft_one").await.unwrap().draft.items[0].name_en,
        "",
        "a preview changes nothing"
    );

    let chosen: Vec<(String, String)> =
        preview.rows.iter().map(|r| (r.entry.id.clone(), r.entry.updated_at.clone())).collect();
    // Somebody else's entries are not known to a stranger, and a stale preview is not carried out.
    let refusal = standard::apply(app, &stranger, ENGLISH, &chosen[..1]).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    let provider = house.person("provider").await;
    let report = standard::apply(app, &provider, ENGLISH, &chosen).await.unwrap();
    let done: Vec<(bool, usize)> = report.iter().map(|r| (r.done, r.mended)).collect();
    assert_eq!(done, [(true, 4), (true, 4), (false, 0)]);
    assert!(report[2].zh.contains("审核中") && report[1].zh.contains("提交审核"), "{report:?}");
    let mended = catalogue::get(app, &provider, &draft.id).await.unwrap();
    assert_eq!(
        (mended.draft.items[0].name_en.as_str(), mended.publish_state),
        ("id", PublishState::Unpublished)
    );
    let published = catalogue::get(app, &provider, &live.id).await.unwrap();
    assert_eq!(
        (published.draft.items[0].name_en.as_str(), published.publish_state),
        ("", PublishState::ChangeAuditing)
    );
    let pending = catalogue::pending(app, &provider, &live.id).await.unwrap().unwrap();
    assert_eq!(pending.items[3].name_en, "day");
    let again = standard::apply(app, &provider, ENGLISH, &chosen[..1]).await.unwrap();
    assert!(!again[0].done && again[0].zh.contains("重新预览"), "{again:?}");
    assert_eq!(entries_of(&house, &provider, ENGLISH).await, ["waiting_one"]);
    let steps = catalogue::steps(app, &provider, &live.id).await.unwrap();
    assert_eq!(steps.last().unwrap().reason, format!("bulk fix {ENGLISH}"));
    for (rule, code) in
        [("ledger.title-generic", Code::InvalidInput), ("ledger.no-such", Code::NotFound)]
    {
        let range = Range { rule: rule.into(), org: None };
        assert_eq!(
            standard::preview(app, &provider, &range, None, 50).await.unwrap_err().code(),
            code
        );
    }
}

/// Entries that were written without findings, and rules that changed, are caught up with once.
async fn findings_are_made_anew(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    catalogue::create(app, &provider, testkit::draft("one")).await.unwrap();
    assert_eq!(standard::relint(app).await.unwrap(), 1, "the first time every entry is asked");
    assert_eq!(standard::relint(app).await.unwrap(), 0);
    let system = Op::system(app.now());
    let seed = app::ledger::seed_orgs(app, &system, &[]).await.unwrap();
    app::ledger::seed_entries(app, &system, &seed, vec![testkit::draft("two")]).await.unwrap();
    assert_eq!(entries_of(&house, &provider, ENGLISH).await, ["one"]);
    let sums = standard::sums(app, &provider, None, None, None, 50).await.unwrap();
    assert!(sums.stale);
    assert_eq!(standard::relint(app).await.unwrap(), 2);
    assert_eq!(entries_of(&house, &provider, ENGLISH).await, ["one", "two"]);
    assert_eq!(places(&house, &provider, None, ENGLISH).await, (2, 8));
    assert!(!standard::sums(app, &provider, None, None, None, 50).await.unwrap().stale);
}

/// A file is asked before it is imported.
async fn a_file_is_asked_by_row(house: House) {
    let provider = house.person("provider").await;
    let mut draft = testkit::draft("from_file");
    draft.items[1].name_cn = "name".into();
    let bytes = catalogue::sheet_of(catalogue::SheetFormat::Csv, &[draft]).await.unwrap();
    let file = house.folder().join("a.csv");
    std::fs::write(&file, bytes).unwrap();
    let report = standard::lint_file(&house.app, &provider, &file, "a.csv").await.unwrap();
    assert_eq!((report.entries, report.items, report.faults.len()), (1, 4, 0));
    let error = report.findings.iter().find(|f| f.level == Level::Error).unwrap();
    assert_eq!(
        (error.rule.as_str(), error.field.as_str()),
        ("ledger.item-chinese", "rows[3].中文名称")
    );
    assert_eq!(
        catalogue::get(&house.app, &provider, "from_file").await.unwrap_err().code(),
        Code::NotFound
    );
}

crate::on_both!(
    errors_wait_at_the_door_of_review,
    findings_are_summed_within_reach,
    a_bulk_fix_goes_through_the_life_cycle,
    findings_are_made_anew,
    a_file_is_asked_by_row,
);
