//! People and things of the rehearsal house, as small as decisions need them.

use chrono::{DateTime, Utc};
use model::account::Role;
use model::code::{
    DataType, Domain, Grade, OnlineState, OpenType, PublishState, ResourceKind, ShareType,
    SyncMode, UpdateCycle,
};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::request::{Period, Request, RequestState, RequestWay};
use model::{Actor, Op};
use policy::Policy;

pub(crate) fn policy() -> Policy {
    Policy::shipped().unwrap()
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

pub(crate) fn op(actor: Actor) -> Op {
    Op::new(actor, "request-1".into(), "127.0.0.1".into(), now())
}

/// A person of organisation `org`, without a region.
pub(crate) fn person(id: &str, org: &str, roles: &[Role]) -> Op {
    op(Actor::User {
        id: id.into(),
        name: id.into(),
        org: Some(org.into()),
        region: None,
        roles: roles.to_vec(),
    })
}

pub(crate) fn person_in(id: &str, org: &str, region: &str, roles: &[Role]) -> Op {
    op(Actor::User {
        id: id.into(),
        name: id.into(),
        org: Some(org.into()),
        region: Some(region.into()),
        roles: roles.to_vec(),
    })
}

pub(crate) fn application(id: &str) -> Op {
    op(Actor::Application {
        id: id.into(),
        key: format!("key-{id}"),
        name: id.into(),
        org: "user-org".into(),
        public_body: true,
    })
}

pub(crate) fn item(identifier: &str, name: &str, data_type: DataType, grade: Grade) -> Item {
    Item { grade, ..Item::new(identifier, name, data_type) }
}

/// A live entry of `provider-org` in 西湖区, restricted share and not open, of the given items.
pub(crate) fn entry(items: Vec<Item>) -> Entry {
    let draft = EntryDraft {
        code: "population".into(),
        title: "人口基本信息".into(),
        title_en: String::new(),
        description: "说明".into(),
        org: "provider-org".into(),
        region: "330106".into(),
        domain: Domain::PublicSafety,
        tags: vec![],
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Restricted,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: model::entry::Profile::default(),
        items,
    };
    Entry {
        id: "entry-1".into(),
        grade: draft.grade(),
        draft,
        publish_state: PublishState::Published,
        online_state: OnlineState::Online,
        version: 1,
        created_at: "2026-01-01T00:00:00.000Z".into(),
        created_by: "author".into(),
        updated_at: "2026-01-01T00:00:00.000Z".into(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

/// The items most tests use: key, name, id number, sex, birth, income, region.
pub(crate) fn people_items() -> Vec<Item> {
    vec![
        Item { primary: true, ..item("id", "编号", DataType::Integer, Grade::L1) },
        item("xm", "姓名", DataType::Text, Grade::L2),
        Item { lookup: true, ..item("sfzh", "公民身份号码", DataType::Text, Grade::L3) },
        item("xb", "性别", DataType::Text, Grade::L1),
        item("csrq", "出生日期", DataType::Date, Grade::L2),
        item("sr", "备用一", DataType::Decimal, Grade::L2),
        item("bz", "备用二", DataType::Text, Grade::L3),
        Item { share_type: ShareType::None, ..item("gz", "工资", DataType::Decimal, Grade::L4) },
        item("xzqh", "行政区划", DataType::Text, Grade::L1),
    ]
}

pub(crate) fn open(mut entry: Entry) -> Entry {
    entry.draft.open_type = OpenType::Unconditional;
    entry
}

/// An approved application of `app-1` for every item of [`people_items`].
pub(crate) fn request() -> Request {
    Request {
        id: "request-1".into(),
        entry: "entry-1".into(),
        entry_code: "population".into(),
        entry_title: "人口基本信息".into(),
        provider: "provider-org".into(),
        application: "app-1".into(),
        application_name: "一网通办".into(),
        org: "user-org".into(),
        way: RequestWay::Share,
        region: "330106".into(),
        items: people_items().into_iter().map(|i| i.identifier).collect(),
        scene: "身份核验".into(),
        legal_basis: "条例".into(),
        period: Period::Days { days: 90 },
        calls_per_day: 0,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
        state: RequestState::Approved,
        due: None,
        expires_at: Some("2027-01-01T00:00:00.000Z".into()),
        applicant: "applicant".into(),
        created_at: "2026-10-01T00:00:00.000Z".into(),
        updated_at: "2026-10-02T00:00:00.000Z".into(),
    }
}
