//! 开放指数, the open index: how well each city and each department opens, computed from the store by published rules.
//!
//! One walk over the open entries puts a line down for each: how large, how full, how fresh, how well described, whether anybody
//! uses it. Scores are means of these lines, and each score knows the sets that fail it; how the public is answered is told by
//! `response`. It is kept for a while, and made anew when the day has
//! changed (a set goes stale by the calendar) or, after some minutes, when the ledger has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use model::code::DataType;
use model::entry::Entry;
use model::{Error, Op, Result};
use serde::Serialize;

use super::metadata;
use super::response::{self, Replies};
use super::rules::{IndexRules, Weights};
use crate::{App, dispatch};

/// Entries of one page of the walk.
const PAGE: u32 = 500;

/// The index as last computed.
#[derive(Debug, Default)]
pub struct Memory {
    kept: parking_lot::Mutex<Option<Kept>>,
    /// One walk at a time.
    walking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    at: DateTime<Utc>,
    day: NaiveDate,
    epoch: u64,
    index: Arc<Index>,
}

/// The whole index.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// When it was computed.
    pub at: String,
    pub whole: Scores,
    /// By city: GB/T 2260 code (the province's own sets under the province's), best first.
    pub cities: Vec<Scores>,
    /// By department, best first.
    pub orgs: Vec<Scores>,
    /// Departments × themes: how many sets of each.
    pub cover: Vec<Cover>,
    /// Themes any department has sets of, in order.
    pub themes: Vec<String>,
    #[serde(skip)]
    lines: Vec<Line>,
}

/// Sets of one department by theme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cover {
    pub org: String,
    /// In the order of `Index::themes`.
    pub sets: Vec<u64>,
}

/// Scores from 0 to 100 of a city, a department or the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Region code, organisation id, or empty.
    pub word: String,
    pub sets: u64,
    /// Rows × items.
    pub cells: u64,
    pub total: f64,
    pub quantity: f64,
    pub capacity: f64,
    pub quality: f64,
    pub timeliness: f64,
    pub metadata: f64,
    /// Themes with at least one set, of those anyone in the province has.
    pub coverage: f64,
    /// Sets that anybody had rows of lately, of those that have been open long enough; `None` where none has.
    pub used: Option<f64>,
    /// Tickets of the public answered in time, of those that were answered or are due; `None` where there were none.
    pub reply: Option<f64>,
    /// Median of the working days to the first answer.
    pub reply_days: Option<i64>,
    /// Mean points of metadata, of `metadata::MOST`.
    pub points: f64,
    /// Sets that fail, by the word of the defect.
    pub failing: BTreeMap<&'static str, u64>,
}

/// What a set can fail.
pub const DEFECTS: [&str; 7] =
    ["fragmented", "low_capacity", "missing", "stiff", "late", "described", "unused"];

/// A set that fails something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failing {
    pub code: String,
    pub title: String,
    pub org: String,
    pub region: String,
    pub defects: Vec<&'static str>,
    /// Points of its metadata.
    pub points: u32,
    pub fresh_until: Option<String>,
}

/// What is known of one set.
#[derive(Clone, Debug)]
struct Line {
    failing: Failing,
    city: String,
    domain: &'static str,
    cells: u64,
    /// Whether a declared cycle says when it is due.
    due: bool,
    /// Whether it has been open long enough, with rows, to be judged by its use.
    tried: bool,
}

impl Line {
    fn fails(&self, defect: &str) -> bool {
        self.failing.defects.contains(&defect)
    }
}

/// The index, computed or kept.
pub async fn index(app: &App, op: &Op) -> Result<Arc<Index>> {
    app.shares.look(app, op).await?;
    if let Some(index) = fresh(app, op) {
        return Ok(index);
    }
    let walking = &app.shares.index.walking;
    let _turn = match walking.try_lock() {
        Ok(turn) => turn,
        // Somebody walks already: what is known of today is told meanwhile, where there is anything.
        Err(_) => match known(app, op) {
            Some(index) => return Ok(index),
            None => walking.lock().await,
        },
    };
    if let Some(index) = fresh(app, op) {
        return Ok(index);
    }
    let epoch = app.shares.epoch();
    let index = Arc::new(compute(app, op).await?);
    let kept = Kept { at: op.at, day: op.today(), epoch, index: Arc::clone(&index) };
    *app.shares.index.kept.lock() = Some(kept);
    Ok(index)
}

fn fresh(app: &App, op: &Op) -> Option<Arc<Index>> {
    let kept = app.shares.index.kept.lock();
    let kept = kept.as_ref().filter(|k| k.day == op.today())?;
    let keep = TimeDelta::seconds(app.rules.site.index.keep_seconds);
    (kept.epoch == app.shares.epoch() || op.at - kept.at < keep).then(|| Arc::clone(&kept.index))
}

/// What is kept of today, however old.
fn known(app: &App, op: &Op) -> Option<Arc<Index>> {
    let kept = app.shares.index.kept.lock();
    kept.as_ref().filter(|k| k.day == op.today()).map(|k| Arc::clone(&k.index))
}

/// The sets of a city, a department or the whole that fail one thing, in pages by code.
pub async fn failing(
    app: &App,
    op: &Op,
    (city, org): (Option<&str>, Option<&str>),
    defect: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<crate::Page<Failing>> {
    if !DEFECTS.contains(&defect) {
        let shown: String = defect.chars().take(40).collect();
        return Err(Error::not_found("指标", "score", &shown));
    }
    let index = index(app, op).await?;
    // The index may be some minutes old: what was withdrawn since is not named.
    let open = super::listing(app, op).await?;
    let limit = limit.clamp(1, 500);
    let mut items: Vec<Failing> = index
        .lines
        .iter()
        .filter(|l| l.fails(defect) && open.get(&l.failing.code).is_some())
        .filter(|l| city.is_none_or(|c| l.city == c) && org.is_none_or(|o| l.failing.org == o))
        .filter(|l| after.is_none_or(|a| l.failing.code.as_str() > a))
        .take(limit + 1)
        .map(|l| l.failing.clone())
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|f| f.code.clone());
    Ok(crate::Page { items, next })
}

async fn compute(app: &App, op: &Op) -> Result<Index> {
    let rules = &app.rules.site.index;
    let measures = app.store.open_measures().await?;
    let use_of = response::usage(app, op, rules.use_days).await?;
    let mut lines: Vec<Line> = Vec::new();
    let mut shapes: Vec<String> = Vec::new();
    let mut after = None::<String>;
    loop {
        let page = app.store.entry_list_open(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.draft.code.clone());
        for entry in &page {
            let measured = measures.get(&entry.id).map(|(_, cells, missing)| (*cells, *missing));
            let mut line = line(app, op, rules, entry, measured)?;
            line.tried = use_of.tried(entry);
            if line.tried && !use_of.had(entry) {
                line.failing.defects.push("unused");
            }
            lines.push(line);
            shapes.push(format!("{}\n{}", entry.draft.org, shape(&entry.draft.title)));
        }
    }
    // Sets of one department that are pieces of one another by their titles.
    let mut pieces: HashMap<&str, usize> = HashMap::new();
    for shape in &shapes {
        *pieces.entry(shape).or_default() += 1;
    }
    for (line, shape) in lines.iter_mut().zip(&shapes) {
        if pieces.get(shape.as_str()).is_some_and(|n| *n >= rules.fragments) {
            line.failing.defects.insert(0, "fragmented");
        }
    }
    // Pages of failing sets go by the bytes of codes; a store may have an order of its own.
    lines.sort_by(|a, b| a.failing.code.cmp(&b.failing.code));
    let known: HashSet<&str> = lines.iter().map(|l| l.domain).collect();
    let mut themes: Vec<String> = known.iter().map(|d| (*d).to_owned()).collect();
    themes.sort();
    let replies = response::replies(app, op).await?;
    let by = |word: &dyn Fn(&Line) -> String, answered: &HashMap<String, Replies>| {
        let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in &lines {
            groups.entry(word(line)).or_default().push(line);
        }
        let none = Replies::default();
        let mut all: Vec<Scores> = groups
            .into_iter()
            .map(|(word, lines)| {
                let answered = answered.get(&word).unwrap_or(&none);
                scores(rules, word, &lines, known.len(), answered)
            })
            .collect();
        all.sort_by(|a, b| b.total.total_cmp(&a.total).then_with(|| a.word.cmp(&b.word)));
        all
    };
    let cities = by(&|l: &Line| l.city.clone(), &replies.cities);
    let orgs = by(&|l: &Line| l.failing.org.clone(), &replies.orgs);
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for line in &lines {
        *counts.entry((line.failing.org.as_str(), line.domain)).or_default() += 1;
    }
    let of = |org: &str, theme: &str| counts.get(&(org, theme)).copied().unwrap_or(0);
    let cover = orgs
        .iter()
        .map(|o| Cover {
            org: o.word.clone(),
            sets: themes.iter().map(|t| of(&o.word, t)).collect(),
        })
        .collect();
    let every: Vec<&Line> = lines.iter().collect();
    let whole = scores(rules, String::new(), &every, known.len(), &replies.whole);
    Ok(Index { at: op.stamp(), whole, cities, orgs, cover, themes, lines })
}

fn line(
    app: &App,
    op: &Op,
    rules: &IndexRules,
    entry: &Entry,
    measured: Option<(i64, i64)>,
) -> Result<Line> {
    let draft = &entry.draft;
    let items = i64::try_from(draft.items.len()).unwrap_or(i64::MAX);
    let cells = entry.rows.saturating_mul(items);
    let until = dispatch::fresh_until(app, op, entry)?;
    let points = metadata::points(entry, &app.rules.site.licence.name_zh);
    let mut defects = Vec::new();
    if cells < rules.low_cells {
        defects.push("low_capacity");
    }
    if measured.is_some_and(|(all, missing)| percent(missing, all) > rules.missing_percent) {
        defects.push("missing");
    }
    if stiff(entry, rules) {
        defects.push("stiff");
    }
    if until.is_some_and(|until| until < op.today()) {
        defects.push("late");
    }
    if f64::from(points) < f64::from(metadata::MOST) * 0.6 {
        defects.push("described");
    }
    Ok(Line {
        failing: Failing {
            code: draft.code.clone(),
            title: draft.title.clone(),
            org: draft.org.clone(),
            region: draft.region.clone(),
            defects,
            points,
            fresh_until: until.map(|d| d.to_string()),
        },
        city: response::city_of(&draft.region),
        domain: draft.domain.as_str(),
        cells: u64::try_from(cells).unwrap_or(0),
        due: until.is_some(),
        tried: false,
    })
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

fn scores(
    rules: &IndexRules,
    word: String,
    lines: &[&Line],
    themes: usize,
    answered: &Replies,
) -> Scores {
    let sets = lines.len() as u64;
    let cells: u64 = lines.iter().map(|l| l.cells).fold(0, u64::saturating_add);
    let mut failing: BTreeMap<&'static str, u64> = BTreeMap::new();
    for line in lines {
        for defect in &line.failing.defects {
            *failing.entry(defect).or_default() += 1;
        }
    }
    let fails = |defect: &str| failing.get(defect).copied().unwrap_or(0);
    let good = |bad: u64, all: u64| {
        if all == 0 { 0.0 } else { (all - bad.min(all)) as f64 * 100.0 / all as f64 }
    };
    let quality = ["fragmented", "low_capacity", "missing", "stiff"];
    let due = lines.iter().filter(|l| l.due).count() as u64;
    let tried = lines.iter().filter(|l| l.tried).count() as u64;
    let own: HashSet<&str> = lines.iter().map(|l| l.domain).collect();
    let points =
        lines.iter().map(|l| f64::from(l.failing.points)).sum::<f64>() / (sets.max(1) as f64);
    let mut scores = Scores {
        word,
        sets,
        cells,
        total: 0.0,
        quantity: logarithmic(sets as f64, rules.full_sets),
        capacity: logarithmic(cells as f64, rules.full_cells),
        quality: quality.iter().map(|d| good(fails(d), sets)).sum::<f64>() / quality.len() as f64,
        // Without any declared cycle nothing can be late, nor on time.
        timeliness: good(fails("late"), due),
        metadata: points * 100.0 / f64::from(metadata::MOST),
        coverage: if themes == 0 { 0.0 } else { own.len() as f64 * 100.0 / themes as f64 },
        used: (tried > 0).then(|| good(fails("unused"), tried)),
        reply: answered.score(),
        reply_days: answered.median(),
        points,
        failing,
    };
    scores.total = total(&scores, rules.weight);
    for score in [
        &mut scores.total,
        &mut scores.quantity,
        &mut scores.capacity,
        &mut scores.quality,
        &mut scores.timeliness,
        &mut scores.metadata,
        &mut scores.coverage,
        &mut scores.points,
    ]
    .into_iter()
    .chain([&mut scores.used, &mut scores.reply].into_iter().flatten())
    {
        *score = (*score * 10.0).round() / 10.0;
    }
    scores
}

/// The mean by weight of the parts that can be told: where nobody wrote, nothing could be answered late.
fn total(s: &Scores, w: Weights) -> f64 {
    let parts = [
        (Some(s.quantity), w.quantity),
        (Some(s.capacity), w.capacity),
        (Some(s.quality), w.quality),
        (Some(s.timeliness), w.timeliness),
        (Some(s.metadata), w.metadata),
        (Some(s.coverage), w.coverage),
        (s.used, w.used),
        (s.reply, w.reply),
    ];
    let (mut sum, mut all) = (0.0, 0.0);
    for (score, weight) in parts.into_iter().filter_map(|(score, w)| Some((score?, w))) {
        sum += score * weight;
        all += weight;
    }
    if all > 0.0 { sum / all } else { 0.0 }
}

/// 0 for nothing, 100 from `full` on, in between by orders of magnitude.
fn logarithmic(n: f64, full: f64) -> f64 {
    if n <= 0.0 { 0.0 } else { ((1.0 + n).ln() * 100.0 / (1.0 + full.max(1.0)).ln()).min(100.0) }
}

fn percent(part: i64, of: i64) -> f64 {
    if of <= 0 { 0.0 } else { part as f64 * 100.0 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_set_have_one_shape() {
        let one = shape("企业年报（2024年第1期）");
        assert_eq!(one, shape("企业年报 2025年 (第二期)"));
        assert_ne!(one, shape("企业名录"));
        assert!((logarithmic(0.0, 100.0), logarithmic(100.0, 100.0)) == (0.0, 100.0));
        assert!(logarithmic(10.0, 100.0) > logarithmic(5.0, 100.0));
    }
}
