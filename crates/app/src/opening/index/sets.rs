//! What open sets say of themselves, as the open index needs it. Kept in memory and read again only of what has moved (as the roll of
//! what is open does): an index made anew after a change costs no walk over the ledger.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use model::Result;
use model::code::{DataType, UpdateCycle};
use model::entry::Entry;

use super::super::rules::IndexRules;
use super::super::{metadata, response};
use crate::{App, dispatch};

/// Moves read at once, and the entries behind them.
const PAGE: u32 = 500;

/// An open set, as far as it says itself: nothing here depends on the day, on its use or on what was measured of its rows.
#[derive(Debug)]
pub(super) struct OpenFacts {
    pub(super) id: String,
    pub(super) code: String,
    pub(super) title: String,
    pub(super) title_en: String,
    pub(super) org: String,
    pub(super) region: String,
    pub(super) city: String,
    pub(super) domain: &'static str,
    pub(super) rows: i64,
    /// Rows × items.
    pub(super) cells: i64,
    /// Points of its metadata.
    pub(super) points: u32,
    /// 生硬格式转化
    pub(super) stiff: bool,
    pub(super) cycle: UpdateCycle,
    /// The day from which its freshness counts.
    pub(super) since: Option<NaiveDate>,
    pub(super) published_at: Option<String>,
    /// Its department with its title, without what only tells one piece of a whole from another.
    pub(super) shape: String,
}

impl OpenFacts {
    fn of(app: &App, entry: Entry) -> Self {
        let site = &app.rules.site;
        let items = i64::try_from(entry.draft.items.len()).unwrap_or(i64::MAX);
        let (points, stiff) =
            (metadata::points(&entry, &site.licence.name_zh), stiff(&entry, &site.index));
        let since = dispatch::data_day(&entry);
        let draft = entry.draft;
        Self {
            shape: format!("{}\n{}", draft.org, shape(&draft.title)),
            city: response::city_of(&draft.region),
            domain: draft.domain.as_str(),
            cells: entry.rows.saturating_mul(items),
            id: entry.id,
            code: draft.code,
            title: draft.title,
            title_en: draft.title_en,
            org: draft.org,
            region: draft.region,
            rows: entry.rows,
            points,
            stiff,
            cycle: draft.update_cycle,
            since,
            published_at: entry.published_at,
        }
    }
}

/// Every open set, by its code (in the order of its bytes, whatever the store's).
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Number of the first change of the ledger that is not read yet.
    next: i64,
    all: BTreeMap<String, Arc<OpenFacts>>,
}

impl Sets {
    /// Reads what has moved since it was last asked: everything at first. A failure leaves what was read in place and is made good by
    /// the next who asks.
    pub(super) async fn follow(&mut self, app: &App) -> Result<()> {
        // Read before the moves are: what changes meanwhile has a greater number, and is read again by the next who asks.
        let number = app.store.ledger_epoch().await?;
        let mut after = (self.next, String::new());
        loop {
            let page = app.store.open_moves((after.0, &after.1), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.moved, last.id.clone());
            let open: Vec<String> =
                page.iter().filter(|m| m.open.is_some()).map(|m| m.id.clone()).collect();
            let entries = app.store.entries_of(&open).await?.into_iter();
            let mut entries: HashMap<String, Entry> =
                entries.map(|entry| (entry.id.clone(), entry)).collect();
            for moved in &page {
                match entries.remove(&moved.id).filter(Entry::live) {
                    Some(entry) => {
                        let facts = Arc::new(OpenFacts::of(app, entry));
                        self.all.insert(moved.code.clone(), facts);
                    }
                    None => {
                        self.all.remove(&moved.code);
                    }
                }
            }
            if u32::try_from(page.len()).is_ok_and(|read| read < PAGE) {
                break;
            }
        }
        self.next = number.saturating_add(1);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<OpenFacts>> {
        self.all.values()
    }
}

/// 生硬格式转化: hardly any item is more than an undescribed text, or no row can be addressed.
fn stiff(entry: &Entry, rules: &IndexRules) -> bool {
    let items = &entry.draft.items;
    let bare = items
        .iter()
        .filter(|i| i.data_type == DataType::Text && i.definition.trim().is_empty())
        .filter(|i| i.value_domain.is_empty() && i.format.is_empty() && !i.primary)
        .count();
    let share = |n: usize| n as f64 * 100.0 / items.len().max(1) as f64;
    share(bare) >= rules.stiff_percent || (entry.rows > 0 && entry.draft.key().is_empty())
}

/// A title without what only tells one piece of a whole from another: numbers, brackets, and what stands in them.
fn shape(title: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_u32;
    for c in title.chars() {
        match c {
            '(' | '（' | '[' | '【' => depth += 1,
            ')' | '）' | ']' | '】' => depth = depth.saturating_sub(1),
            c if depth > 0 || c.is_numeric() || c.is_whitespace() => {}
            '年' | '月' | '日' | '第' | '期' | '季' | '度' | '批' | '一' | '二' | '三' | '四'
            | '五' | '六' | '七' | '八' | '九' | '十' | '-' | '_' | '—' => {}
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_set_have_one_shape() {
        let one = shape("企业年报（2024年第1期）");
        assert_eq!(one, shape("企业年报 2025年 (第二期)"));
        assert_ne!(one, shape("企业名录"));
    }
}
