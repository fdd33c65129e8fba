//! Entries with their items: titles of region, subject and form; items of owner and attribute, with identifiers in
//! pinyin initials as departments write them.

use std::collections::{HashMap, HashSet};

use model::code::{
    DataType, Domain, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::EntryDraft;
use model::item::Item;
use model::org::Org;
use pinyin::ToPinyin;

use super::words::{ATTRIBUTES, DEPARTMENTS, FORMS, OWNERS, SUBJECTS};
use crate::demo::seeded::Seeded;

/// Makes entries one after the other.
pub(super) struct Names {
    chance: Seeded,
    /// Initials of words met before.
    initials: HashMap<String, String>,
}

impl Names {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Seeded::of(seed, "entries"), initials: HashMap::new() }
    }

    fn initials(&mut self, text: &str) -> String {
        if let Some(known) = self.initials.get(text) {
            return known.clone();
        }
        let made: String = text
            .chars()
            .filter_map(|c| match c.to_pinyin() {
                Some(p) => p.plain().chars().next(),
                None => c.is_ascii_alphanumeric().then_some(c.to_ascii_lowercase()),
            })
            .collect();
        self.initials.insert(text.to_owned(), made.clone());
        made
    }

    /// The `n`th entry, with `items` items.
    pub(super) fn entry(&mut self, n: u64, items: u64, orgs: &[Org]) -> EntryDraft {
        let at =
            usize::try_from(self.chance.below(u64::try_from(orgs.len()).unwrap_or(1))).unwrap_or(0);
        let (org, name, region) = orgs
            .get(at)
            .map_or(("", "", "330000"), |o| (o.id.as_str(), o.name_cn.as_str(), o.region.as_str()));
        let subject = self.chance.pick(SUBJECTS);
        let form = self.chance.pick(FORMS);
        let department = DEPARTMENTS.iter().find(|(d, _)| name.ends_with(d));
        let domain = department.and_then(|(_, d)| Domain::parse(d)).unwrap_or(Domain::Other);
        let place = department.and_then(|(d, _)| name.strip_suffix(d)).unwrap_or(name);
        let share = match self.chance.below(10) {
            0..=5 => ShareType::Unconditional,
            6..=8 => ShareType::Restricted,
            _ => ShareType::None,
        };
        let open = match self.chance.below(10) {
            0..=1 => OpenType::Unconditional,
            2 => OpenType::Restricted,
            _ => OpenType::None,
        };
        let cycle = UpdateCycle::ALL
            .get(
                usize::try_from(
                    self.chance.below(u64::try_from(UpdateCycle::ALL.len()).unwrap_or(1)),
                )
                .unwrap_or(0),
            )
            .copied()
            .unwrap_or(UpdateCycle::Daily);
        let items = self.items(subject, items);
        let mut draft = EntryDraft {
            code: format!("qt{n:07}"),
            title: format!("{place}{subject}{form}"),
            title_en: String::new(),
            description: format!(
                "{name}在履行职责中形成的{subject}{form}，共 {} 个数据项。",
                items.len()
            ),
            org: org.to_owned(),
            region: region.to_owned(),
            domain,
            tags: vec![subject.to_owned()],
            kind: ResourceKind::Table,
            update_cycle: cycle,
            sync_mode: SyncMode::Full,
            share_type: share,
            share_condition: String::new(),
            share_basis: String::new(),
            open_type: open,
            open_condition: String::new(),
            open_basis: String::new(),
            raised_grade: None,
            time_range: String::new(),
            source_system: String::new(),
            licence: String::new(),
            attribution: String::new(),
            profile: Default::default(),
            items,
        };
        attributes(&mut draft);
        draft
    }

    fn items(&mut self, subject: &str, count: u64) -> Vec<Item> {
        let mut out = Vec::new();
        let mut names = HashSet::new();
        let mut identifiers = HashSet::new();
        let mut tries = 0;
        while u64::try_from(out.len()).unwrap_or(0) < count {
            tries += 1;
            let owner = match self.chance.below(100) {
                0..=17 => subject,
                _ => self.chance.pick(OWNERS),
            };
            let at = self.chance.below(u64::try_from(ATTRIBUTES.len()).unwrap_or(1));
            let Some((attribute, kind, grade)) =
                usize::try_from(at).ok().and_then(|at| ATTRIBUTES.get(at))
            else {
                break;
            };
            let mut name = format!("{owner}{attribute}");
            if tries > count * 4 {
                name = format!("{name}{}", out.len());
            }
            if !names.insert(name.clone()) {
                continue;
            }
            let base = self.initials(&name);
            let mut identifier = base.clone();
            let mut again = 1;
            while !identifiers.insert(identifier.clone()) {
                again += 1;
                identifier = format!("{base}_{again}");
            }
            let mut item = Item::new(&identifier, &name, data_type(*kind));
            item.grade = match grade {
                1 => Grade::L1,
                2 => Grade::L2,
                3 => Grade::L3,
                _ => Grade::L4,
            };
            if item.data_type == DataType::Decimal {
                item.precision = 18;
                item.scale = 2;
            }
            if out.is_empty() {
                item.primary = true;
                item.nullable = false;
            }
            out.push(item);
        }
        out
    }
}

fn data_type(kind: char) -> DataType {
    match kind {
        'd' => DataType::Date,
        's' => DataType::DateTime,
        'i' => DataType::Integer,
        'm' => DataType::Decimal,
        'b' => DataType::Boolean,
        _ => DataType::Text,
    }
}

/// Attributes that hold together: grades bound what may be open or shared, and what is not free says why.
fn attributes(draft: &mut EntryDraft) {
    let basis = "涉及个人信息和商业秘密，按分类分级结果确定";
    for item in &mut draft.items {
        let (share, open) = match item.grade {
            Grade::L1 => (draft.share_type, draft.open_type),
            Grade::L2 | Grade::L3 => (
                draft.share_type,
                if draft.open_type == OpenType::Unconditional {
                    OpenType::Restricted
                } else {
                    draft.open_type
                },
            ),
            Grade::L4 => (ShareType::None, OpenType::None),
        };
        item.share_type = share;
        item.open_type = open;
        if share != ShareType::Unconditional {
            item.share_condition = "用于履行本单位法定职责".into();
            item.share_basis = basis.into();
        }
        if open != OpenType::Unconditional {
            item.open_condition = "签订开放利用协议".into();
            item.open_basis = basis.into();
        }
    }
    // The entry is no freer than its freest item.
    let some = |draft: &EntryDraft, open: OpenType| draft.items.iter().any(|i| i.open_type == open);
    if draft.open_type == OpenType::Unconditional && !some(draft, OpenType::Unconditional) {
        draft.open_type = OpenType::Restricted;
    }
    if draft.open_type == OpenType::Restricted
        && !some(draft, OpenType::Restricted)
        && !some(draft, OpenType::Unconditional)
    {
        draft.open_type = OpenType::None;
    }
    if draft.share_type != ShareType::Unconditional {
        draft.share_condition = "用于履行本单位法定职责".into();
        draft.share_basis = basis.into();
    }
    if draft.open_type != OpenType::Unconditional {
        draft.open_condition = "签订开放利用协议".into();
        draft.open_basis = basis.into();
    }
}
