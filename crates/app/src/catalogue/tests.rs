//! Pure parts of the catalogue room.

use model::code::{
    DataType, Domain, Grade, OnlineState, OpenType, PublishState, ResourceKind, ShareType,
    SyncMode, UpdateCycle,
};
use model::entry::{Entry, EntryDraft, Link};
use model::item::Item;

use super::check::{advise, check};
use super::rules::CatalogueRules;

/// An entry with a key, a personal name (L3, restricted) and an open area.
pub(super) fn sample() -> EntryDraft {
    let mut id = Item::new("id", "编号", DataType::Text);
    id.primary = true;
    id.nullable = false;
    let mut xm = Item::new("xm", "姓名", DataType::Text);
    xm.grade = Grade::L3;
    xm.share_type = ShareType::Restricted;
    xm.share_condition = "办理业务需要".into();
    xm.open_type = OpenType::None;
    let mut area = Item::new("area", "面积", DataType::Decimal);
    area.precision = 10;
    area.scale = 2;
    EntryDraft {
        code: "sample".into(),
        title: "示例目录".into(),
        title_en: String::new(),
        description: "用于测试".into(),
        org: "o1".into(),
        region: "330000".into(),
        domain: Domain::Living,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Unconditional,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::Unconditional,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: model::entry::Profile::default(),
        items: vec![id, xm, area],
    }
}

fn rules() -> CatalogueRules {
    crate::rules::Rules::shipped().unwrap().catalogue
}

/// Applies `change` to the sample and tells the fields at fault.
fn faults(change: impl FnOnce(&mut EntryDraft)) -> Vec<String> {
    let mut draft = sample();
    change(&mut draft);
    check(&rules(), &draft).into_iter().map(|f| f.field).collect()
}

#[test]
fn a_sound_draft_has_no_fault() {
    assert_eq!(faults(|_| {}), Vec::<String>::new());
    // Open items stay open although one item is not: it is left out.
    assert_eq!(faults(|d| d.items[1].grade = Grade::L4), Vec::<String>::new());
}

#[test]
fn contradictions_are_found_where_they_stand() {
    assert_eq!(faults(|d| d.code = "1abc".into()), ["code"]);
    assert_eq!(faults(|d| d.code = "a".into()), ["code"]);
    assert_eq!(faults(|d| d.code = "Abc".into()), ["code"]);
    assert_eq!(faults(|d| d.title = " ".into()), ["title"]);
    assert_eq!(faults(|d| d.title = "长".repeat(501)), ["title"]);
    assert_eq!(faults(|d| d.region = "33".into()), ["region"]);
    assert_eq!(faults(|d| d.items[0].identifier = "xm".into()), ["items[1].identifier"]);
    assert_eq!(faults(|d| d.items[2].identifier = "dsc_hash".into()), ["items[2].identifier"]);
    assert_eq!(faults(|d| d.items[2].grade = Grade::L2), ["items[2].open_type"]);
    assert_eq!(
        faults(|d| {
            d.items[1].grade = Grade::L4;
            d.items[1].open_type = OpenType::Restricted;
            d.items[1].share_type = ShareType::Unconditional;
        }),
        ["items[1].open_type", "items[1].share_type"]
    );
    assert_eq!(faults(|d| d.items[2].scale = 11), ["items[2].scale"]);
    assert_eq!(
        faults(|d| {
            d.sync_mode = SyncMode::Incremental;
            d.items[0].primary = false;
        }),
        ["sync_mode"]
    );
    assert_eq!(faults(|d| d.open_type = OpenType::Restricted), ["open_condition"]);
    assert_eq!(
        faults(|d| {
            d.share_type = ShareType::None;
            d.items[0].share_type = ShareType::Restricted;
            d.items[0].share_condition = "条件".into();
        }),
        ["share_basis", "items[2].share_type"]
    );
    assert_eq!(
        faults(|d| d.items.iter_mut().for_each(|i| i.open_type = OpenType::None)),
        ["open_type"]
    );
    assert_eq!(faults(|d| d.items.clear()), ["open_type", "items"]);
}

#[test]
fn the_national_minimum_grades_are_advice_only() {
    let mut draft = sample();
    draft.items.remove(1);
    draft.open_type = OpenType::Restricted;
    draft.open_condition = "实名".into();
    assert!(check(&rules(), &draft).is_empty());
    let told = advise(&rules(), &draft);
    assert!(told.iter().any(|f| f.field == "grade" && f.zh.contains("L2")), "{told:?}");
}

pub(super) fn entry(draft: EntryDraft) -> Entry {
    Entry {
        id: "e1".into(),
        grade: draft.grade(),
        draft,
        publish_state: PublishState::Published,
        online_state: OnlineState::Online,
        version: 1,
        created_at: "2026-01-01T00:00:00.000Z".into(),
        created_by: "u1".into(),
        updated_at: "2026-01-01T00:00:00.000Z".into(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

#[test]
fn a_hidden_item_is_not_in_the_public_document() {
    let doc = super::index::doc(&entry(sample()), "省局");
    assert!(doc.audience.contains(&"public".to_owned()));
    assert!(doc.items.iter().any(|i| i.name_cn == "面积" && !i.closed));
    assert!(doc.items.iter().all(|i| i.closed == (i.identifier == "xm")));
    let mut closed = entry(sample());
    closed.online_state = OnlineState::Offline;
    assert_eq!(super::index::doc(&closed, "省局").audience, ["org:o1", "all"]);
}

#[test]
fn places_can_be_found_by_their_format() {
    let formats = |d: EntryDraft| super::index::doc(&entry(d), "省局").formats;
    let mut draft = sample();
    assert!(!formats(draft.clone()).contains(&"GeoJSON".to_owned()));
    draft.items.push(Item::new("wz", "位置", DataType::Geometry));
    assert!(formats(draft.clone()).contains(&"GeoJSON".to_owned()));
    // A place that is not open is not offered.
    draft.items.last_mut().unwrap().open_type = OpenType::None;
    assert!(!formats(draft).contains(&"GeoJSON".to_owned()));
}

#[test]
fn formats_behind_links_are_kept_apart() {
    let mut draft = sample();
    let link = |format: &str| Link {
        title: String::new(),
        url: "https://data.example/a".into(),
        format: format.into(),
    };
    draft.profile.links = vec![link("xlsx"), link("API"), link("")];
    let doc = super::index::doc(&entry(draft.clone()), "省局");
    assert_eq!(doc.linked, ["XLSX"]);
    draft.open_type = OpenType::Restricted;
    assert!(super::index::doc(&entry(draft), "省局").linked.is_empty());
}

#[test]
fn tidying_is_stable_and_keys_are_never_empty() {
    let mut draft = sample();
    draft.title = "  a\r\nb\u{0} ".into();
    draft.items[0].nullable = true;
    let once = super::tidy(draft);
    assert_eq!((once.title.as_str(), once.items[0].nullable), ("a\nb", false));
    assert_eq!(super::tidy(once.clone()), once);
}
