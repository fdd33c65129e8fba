//! 开放指数, the open index: how well each city and each department opens, computed from the store by published rules.
//!
//! A line is put down for each open set: how large, how full, how fresh, how well described, whether anybody uses it. Scores are means
//! of these lines, and each score knows the sets that fail it; how the public is answered is told by `response`. It is kept for a
//! while, and made anew when the day has changed (a set goes stale by the calendar) or, after some minutes, when the ledger has. What
//! sets say of themselves is known from before (`sets`): only those that moved are read again.

mod sets;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use model::{Error, Op, Result};
use serde::Serialize;

use self::sets::{OpenFacts, Sets};
use super::metadata;
use super::response::{self, Replies, Use};
use super::rules::{IndexRules, Weights};
use crate::{App, dispatch};

/// The index as last computed.
#[derive(Debug, Default)]
pub struct Memory {
    kept: parking_lot::Mutex<Option<Kept>>,
    /// What is known of the sets; one makes the index at a time.
    sets: tokio::sync::Mutex<Sets>,
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
    pub title_en: String,
    pub org: String,
    pub region: String,
    pub defects: Vec<&'static str>,
    /// Points of its metadata.
    pub points: u32,
    pub fresh_until: Option<String>,
}

/// What is found of one set.
#[derive(Clone, Debug)]
struct Line {
    set: Arc<OpenFacts>,
    defects: Vec<&'static str>,
    /// Where a declared cycle says when it is due.
    fresh_until: Option<NaiveDate>,
    /// Whether it has been open long enough, with rows, to be judged by its use.
    tried: bool,
}

impl Line {
    fn fails(&self, defect: &str) -> bool {
        self.defects.contains(&defect)
    }

    fn cells(&self) -> u64 {
        u64::try_from(self.set.cells).unwrap_or(0)
    }

    fn told(&self) -> Failing {
        let set = &self.set;
        Failing {
            code: set.code.clone(),
            title: set.title.clone(),
            title_en: set.title_en.clone(),
            org: set.org.clone(),
            region: set.region.clone(),
            defects: self.defects.clone(),
            points: set.points,
            fresh_until: self.fresh_until.map(|day| day.to_string()),
        }
    }
}

/// The index, computed or kept.
pub async fn index(app: &App, op: &Op) -> Result<Arc<Index>> {
    app.shares.look(app, op).await?;
    if let Some(index) = fresh(app, op) {
        return Ok(index);
    }
    let sets = &app.shares.index.sets;
    let mut sets = match sets.try_lock() {
        Ok(turn) => turn,
        // Somebody makes it already: what is known of today is told meanwhile, where there is anything.
        Err(_) => match known(app, op) {
            Some(index) => return Ok(index),
            None => sets.lock().await,
        },
    };
    if let Some(index) = fresh(app, op) {
        return Ok(index);
    }
    let epoch = app.shares.epoch();
    let index = Arc::new(compute(app, op, &mut sets).await?);
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
        .filter(|l| l.fails(defect) && open.get(&l.set.code).is_some())
        .filter(|l| city.is_none_or(|c| l.set.city == c) && org.is_none_or(|o| l.set.org == o))
        .filter(|l| after.is_none_or(|a| l.set.code.as_str() > a))
        .take(limit + 1)
        .map(Line::told)
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|f| f.code.clone());
    Ok(crate::Page { items, next })
}

async fn compute(app: &App, op: &Op, sets: &mut Sets) -> Result<Index> {
    let rules = &app.rules.site.index;
    sets.follow(app).await?;
    let measures = app.store.open_measures().await?;
    let use_of = response::usage(app, op, rules.use_days).await?;
    // In the order of their codes: pages of failing sets go by it.
    let mut lines: Vec<Line> = Vec::with_capacity(sets.iter().len());
    for set in sets.iter() {
        let measured = measures.get(&set.id).map(|(_, cells, missing)| (*cells, *missing));
        lines.push(line(app, op, set, measured, &use_of)?);
    }
    // Sets of one department that are pieces of one another by their titles.
    let mut pieces: HashMap<&str, usize> = HashMap::new();
    for set in sets.iter() {
        *pieces.entry(&set.shape).or_default() += 1;
    }
    for line in &mut lines {
        if pieces.get(line.set.shape.as_str()).is_some_and(|n| *n >= rules.fragments) {
            line.defects.insert(0, "fragmented");
        }
    }
    let known: HashSet<&str> = lines.iter().map(|l| l.set.domain).collect();
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
    let cities = by(&|l: &Line| l.set.city.clone(), &replies.cities);
    let orgs = by(&|l: &Line| l.set.org.clone(), &replies.orgs);
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for line in &lines {
        *counts.entry((line.set.org.as_str(), line.set.domain)).or_default() += 1;
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
    set: &Arc<OpenFacts>,
    measured: Option<(i64, i64)>,
    use_of: &Use,
) -> Result<Line> {
    let rules = &app.rules.site.index;
    let fresh_until = dispatch::fresh_for(app, op, set.cycle, set.since)?;
    let mut defects = Vec::new();
    if set.cells < rules.low_cells {
        defects.push("low_capacity");
    }
    if measured.is_some_and(|(all, missing)| percent(missing, all) > rules.missing_percent) {
        defects.push("missing");
    }
    if set.stiff {
        defects.push("stiff");
    }
    if fresh_until.is_some_and(|until| until < op.today()) {
        defects.push("late");
    }
    if f64::from(set.points) < f64::from(metadata::MOST) * 0.6 {
        defects.push("described");
    }
    let tried = use_of.tried(set.rows, set.published_at.as_deref());
    if tried && !use_of.had(&set.code) {
        defects.push("unused");
    }
    Ok(Line { set: Arc::clone(set), defects, fresh_until, tried })
}

fn scores(
    rules: &IndexRules,
    word: String,
    lines: &[&Line],
    themes: usize,
    answered: &Replies,
) -> Scores {
    let sets = lines.len() as u64;
    let cells: u64 = lines.iter().map(|l| l.cells()).fold(0, u64::saturating_add);
    let mut failing: BTreeMap<&'static str, u64> = BTreeMap::new();
    for line in lines {
        for defect in &line.defects {
            *failing.entry(defect).or_default() += 1;
        }
    }
    let fails = |defect: &str| failing.get(defect).copied().unwrap_or(0);
    let good = |bad: u64, all: u64| {
        if all == 0 { 0.0 } else { (all - bad.min(all)) as f64 * 100.0 / all as f64 }
    };
    let quality = ["fragmented", "low_capacity", "missing", "stiff"];
    let due = lines.iter().filter(|l| l.fresh_until.is_some()).count() as u64;
    let tried = lines.iter().filter(|l| l.tried).count() as u64;
    let own: HashSet<&str> = lines.iter().map(|l| l.set.domain).collect();
    let points = lines.iter().map(|l| f64::from(l.set.points)).sum::<f64>() / (sets.max(1) as f64);
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
    fn quantities_count_by_orders_of_magnitude() {
        assert!((logarithmic(0.0, 100.0), logarithmic(100.0, 100.0)) == (0.0, 100.0));
        assert!(logarithmic(10.0, 100.0) > logarithmic(5.0, 100.0));
    }
}
