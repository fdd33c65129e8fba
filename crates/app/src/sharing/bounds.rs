//! Bounds of calling at the gate: addresses, hours, purpose, calls at once, and how often one subject is asked about.
//!
//! What bounds a caller at a resource is read with the grant and kept with it; where nothing is set a call pays one look at an
//! empty option. Calls under way are counted by their request, in this process: one call that enters several resources counts once,
//! and is given back when it is dropped, whatever became of it. Subjects are counted in the store before their record is read, all
//! of a call or none: exact over processes, and a crash loses no count (an ask that was counted and not answered stays counted).
//! Where subjects are counted, or must have authorised it, nothing leaves by which they were not named: no file, no changes, no list
//! of what values there are, and figures only of groups that nobody can choose ([`Bound::figures`]).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrono::TimeDelta;
use guard::addresses::Addresses;
use model::bounds::{Bounds, BoundsKind, SubjectBound, opens};
use model::code::DataType;
use model::entry::Entry;
use model::interface::How;
use model::op::china;
use model::query::{Comparison, Condition, Grouping};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::{Action, Grant, Target};
use serde::Deserialize;
use store::bounds::SubjectKey;

use crate::App;
use crate::authorisation::gate as authorisation;
use crate::rate::{Rate, span};

/// Limits and defaults (`rules/bounds.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct BoundsRules {
    pub effective: String,
    pub halt_follow_ms: i64,
    pub concurrency_most: u32,
    #[serde(default = "rate_most")]
    pub rate_most: u32,
    pub addresses_most: usize,
    pub windows_most: usize,
    pub per_day_most: u32,
    pub purpose_most: usize,
    pub kept_days: i64,
    pub default: Defaults,
}

fn rate_most() -> u32 {
    1_000_000
}

/// What holds where nothing is set.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Defaults {
    pub application: Bounds,
    pub request: Bounds,
    pub entry: Bounds,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(own: Option<BoundsRules>) -> std::result::Result<BoundsRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/bounds.toml")), Ok)
}

/// Requests under way, with how often each has entered.
pub(crate) type Under = Arc<Mutex<HashMap<String, u32>>>;

/// All that bounds one caller at one resource.
pub(crate) struct Bound {
    /// The application's id; empty: the public, counted by address.
    application: String,
    entry: String,
    rules: Vec<Rule>,
    subjects: Vec<Subject>,
    /// Items that name subjects without whose authorisation nothing leaves, with what sets it.
    authorised: Vec<(BoundsKind, String)>,
}

struct Rule {
    kind: BoundsKind,
    bounds: Bounds,
    addresses: Option<Addresses>,
    under: Option<Under>,
    rate: Option<Arc<Rate>>,
}

struct Subject {
    kind: BoundsKind,
    bound: SubjectBound,
    number: bool,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Rates of what bounds callers, by kind and holder: kept as long as the process, whatever is remembered of grants.
pub(crate) type Rates = HashMap<String, Arc<Rate>>;

/// A call under way; dropping it gives its places back.
#[derive(Default)]
pub(crate) struct Held(Vec<(Under, String)>);

impl Drop for Held {
    fn drop(&mut self) {
        for (under, request) in self.0.drain(..) {
            let mut under = under.lock();
            if let Some(times) = under.get_mut(&request) {
                *times -= 1;
                if *times == 0 {
                    under.remove(&request);
                }
            }
        }
    }
}

/// Subjects a call was counted for.
pub(crate) struct Counted {
    day: String,
    caller: String,
    subjects: Vec<String>,
}

/// What bounds an application at the resources of its grants, by code.
pub(crate) async fn of_grants(
    app: &App,
    application: &str,
    grants: impl Iterator<Item = &Grant>,
) -> Result<HashMap<String, Bound>> {
    let mut bounds = HashMap::new();
    for grant in grants {
        let Some(entry) = app.store.entry_get(grant.entry()).await? else { continue };
        let request = grant.request().unwrap_or_default();
        if let Some(bound) = of(app, application, request, &entry).await? {
            bounds.insert(grant.code().to_owned(), bound);
        }
    }
    Ok(bounds)
}

/// What bounds a caller at a resource; `None`: nothing.
pub(crate) async fn of(
    app: &App,
    application: &str,
    request: &str,
    entry: &Entry,
) -> Result<Option<Bound>> {
    let set = app.store.bounds_of(application, request, &entry.id).await?;
    let defaults = &app.rules.bounds.default;
    let concerns = [
        (BoundsKind::Application, application, &defaults.application),
        (BoundsKind::Request, request, &defaults.request),
        (BoundsKind::Entry, entry.id.as_str(), &defaults.entry),
    ];
    let mut bound = Bound {
        application: application.to_owned(),
        entry: entry.id.clone(),
        rules: Vec::new(),
        subjects: Vec::new(),
        authorised: Vec::new(),
    };
    for (kind, holder, default) in concerns.into_iter().filter(|(_, holder, _)| !holder.is_empty())
    {
        let bounds = set.iter().find(|r| r.kind == kind).map_or(default, |r| &r.bounds);
        if bounds.any() {
            bound.add(app, kind, holder, bounds, entry)?;
        }
    }
    Ok((!bound.rules.is_empty()).then_some(bound))
}

impl Bound {
    fn add(
        &mut self,
        app: &App,
        kind: BoundsKind,
        holder: &str,
        bounds: &Bounds,
        entry: &Entry,
    ) -> Result<()> {
        let addresses = match bounds.addresses.is_empty() {
            true => None,
            false => Some(Addresses::parse(&bounds.addresses)?),
        };
        let under = bounds.concurrency.map(|_| {
            let key = format!("{kind}\n{holder}");
            Arc::clone(app.shares.under.lock().entry(key).or_default())
        });
        let rate = bounds.rate.map(|_| {
            let key = format!("{kind}\n{holder}");
            Arc::clone(app.shares.rates.lock().entry(key).or_default())
        });
        if let Some(subject) = &bounds.subject {
            let item = entry.draft.item(&subject.item);
            let number = item.is_some_and(|i| {
                matches!(i.data_type, DataType::Integer | DataType::Decimal | DataType::Float)
            });
            // Of two that name the same item the narrower counts.
            match self.subjects.iter_mut().find(|s| s.bound.item == subject.item) {
                Some(there) if there.bound.per_day <= subject.per_day => {}
                Some(there) => *there = Subject { kind, bound: subject.clone(), number },
                None => self.subjects.push(Subject { kind, bound: subject.clone(), number }),
            }
        }
        if let Some(item) = &bounds.authorised
            && !self.authorised.iter().any(|(_, there)| there == item)
        {
            self.authorised.push((kind, item.clone()));
        }
        self.rules.push(Rule { kind, bounds: bounds.clone(), addresses, under, rate });
        Ok(())
    }

    /// Lets a call in, or says which bound keeps it out, until when, and who can change it.
    pub(crate) fn admit(&self, op: &Op, action: Action) -> Result<Held> {
        for rule in &self.rules {
            rule.within(op)?;
            rule.purpose(op)?;
        }
        if !matches!(action, Action::RowsQuery | Action::RowsVerify) {
            self.in_bulk()?;
        }
        let mut held = Held::default();
        for rule in &self.rules {
            let (Some(under), Some(most)) = (&rule.under, rule.bounds.concurrency) else {
                continue;
            };
            let mut now = under.lock();
            let full = now.len() >= usize::try_from(most).unwrap_or(usize::MAX);
            if full && !now.contains_key(&op.request_id) {
                return Err(rule.refusal(
                    Code::RateLimited,
                    "concurrency",
                    &format!("同时进行的调用最多 {most} 个，请等在途调用结束后再试"),
                    &format!(
                        "{most} calls may be under way at once: wait until one of them has ended"
                    ),
                ));
            }
            *now.entry(op.request_id.clone()).or_default() += 1;
            held.0.push((Arc::clone(under), op.request_id.clone()));
        }
        Ok(held)
    }

    /// Addresses and hours alone: of what was let in before and goes on.
    pub(crate) fn within(&self, op: &Op) -> Result<()> {
        self.rules.iter().try_for_each(|rule| rule.within(op))
    }

    /// Fails where the resource is asked for one subject at a time, so that nothing of it leaves in bulk.
    pub(crate) fn in_bulk(&self) -> Result<()> {
        self.one_by_one().map_or(Ok(()), |kind| Err(in_bulk(kind)))
    }

    /// What first lets the resource be asked for one subject at a time only.
    fn one_by_one(&self) -> Option<BoundsKind> {
        let counted = self.subjects.first().map(|s| s.kind);
        counted.or_else(|| self.authorised.first().map(|(kind, _)| *kind))
    }

    /// Fails where figures would tell of one subject, uncounted. Where subjects must have authorised it, or small groups are told,
    /// none are given. Where they are counted, groups are those of the description: two answers to conditions of the caller's own
    /// differ by one subject's value, and a least or largest value is one subject's.
    pub(crate) fn figures(&self, ask: &Grouping) -> Result<()> {
        if !self.authorised.is_empty() || ask.smallest < 2 {
            return self.in_bulk();
        }
        let one = |how: &How| matches!(how, How::Min | How::Max);
        match self.one_by_one() {
            Some(kind) if ask.filter.is_some() || ask.measures.iter().any(|(how, ..)| one(how)) => {
                Err(figures(kind))
            }
            _ => Ok(()),
        }
    }

    /// Whether subjects must have authorised what is asked about them.
    pub(crate) fn needs_authorisation(&self) -> bool {
        !self.authorised.is_empty()
    }

    /// Lets a question about subjects through: their authorisation stands where it is needed, and they are counted where a bound says
    /// so (`None`: nobody counts them here). `items` are those the question tells something of, looked at where authorisation is needed.
    pub(crate) async fn ask(
        &self,
        app: &App,
        op: &Op,
        filter: Option<&Condition>,
        items: &[&str],
    ) -> Result<Option<Counted>> {
        let mut standing = Vec::new();
        for (kind, item) in &self.authorised {
            let subjects =
                filter.and_then(|f| named(f, item)).ok_or_else(|| unnamed(*kind, item))?;
            let between = (self.application.as_str(), self.entry.as_str());
            standing.extend(authorisation::standing(app, op, between, &subjects, items).await?);
        }
        let counted = self.count(app, op, filter).await?;
        if let Err(e) = authorisation::used(app, op, &standing, items).await {
            if let Some(counted) = &counted {
                self.unask(app, counted).await;
            }
            return Err(e);
        }
        Ok(counted)
    }

    /// Counts the subjects a question asks about.
    async fn count(
        &self,
        app: &App,
        op: &Op,
        filter: Option<&Condition>,
    ) -> Result<Option<Counted>> {
        if self.subjects.is_empty() {
            return Ok(None);
        }
        let mut counted = Counted {
            day: op.today().to_string(),
            caller: match self.application.as_str() {
                "" => format!("address {}", op.source),
                known => known.to_owned(),
            },
            subjects: Vec::new(),
        };
        let key = app.keys.derive("subject of a call");
        for subject in &self.subjects {
            let item = &subject.bound.item;
            let asked =
                filter.and_then(|f| named(f, item)).ok_or_else(|| unnamed(subject.kind, item))?;
            let mut marks: Vec<String> = Vec::with_capacity(asked.len());
            for value in asked {
                let text = format!("{}\n{item}\n{}", self.entry, plain(value, subject.number));
                marks.push(key.mark(text.as_bytes()));
            }
            marks.sort_unstable();
            marks.dedup();
            let taken = app.store.subject_take(self.key(&counted), &marks, subject.bound.per_day);
            match taken.await {
                Ok(true) => counted.subjects.extend(marks),
                outcome => {
                    self.unask(app, &counted).await;
                    return Err(outcome.err().unwrap_or_else(|| asked_enough(subject, op)));
                }
            }
        }
        Ok(Some(counted))
    }

    /// An ask that failed through no fault of the caller does not count. One that cannot be taken back stays counted.
    pub(crate) async fn unask(&self, app: &App, counted: &Counted) {
        if counted.subjects.is_empty() {
            return;
        }
        if let Err(e) = app.store.subject_return(self.key(counted), &counted.subjects).await {
            tracing::warn!(error = %e.operator_text(), "asks about subjects could not be taken back");
        }
    }

    fn key<'a>(&'a self, counted: &'a Counted) -> SubjectKey<'a> {
        SubjectKey { application: &counted.caller, entry: &self.entry, day: &counted.day }
    }
}

impl Rule {
    fn within(&self, op: &Op) -> Result<()> {
        if let Some(addresses) = &self.addresses
            && !address(&op.source).is_some_and(|from| addresses.hold(from))
        {
            return Err(self.refusal(
                Code::OutOfBounds,
                "address",
                &format!("不得从地址 {} 调用，只允许名单内的地址", op.source),
                &format!(
                    "calls from {} are not allowed, only from the addresses that are listed",
                    op.source
                ),
            ));
        }
        let now = op.at.with_timezone(&china());
        if let Some(next) = opens(&self.bounds.windows, now) {
            let next = next.format("%Y-%m-%d %H:%M");
            let windows: Vec<String> =
                self.bounds.windows.iter().map(ToString::to_string).collect();
            let windows = windows.join("; ");
            return Err(self.refusal(
                Code::OutOfBounds,
                "window",
                &format!("现在不在允许调用的时段内（{windows}，北京时间），下次开放：{next}"),
                &format!(
                    "calls are let in at {windows} (UTC+8; 1 is Monday); the next time is {next}"
                ),
            ));
        }
        Ok(())
    }

    fn purpose(&self, op: &Op) -> Result<()> {
        if self.bounds.purpose && op.purpose.is_empty() {
            return Err(self.refusal(
                Code::PurposeMissing,
                "purpose",
                "每次调用须写明目的：请求头 X-Qt-Purpose（百分号编码的 UTF-8），SQL 语句则在开头写注释 /* purpose: … */，Delta Sharing 则在生成令牌时写明",
                "every call says what it is for: header X-Qt-Purpose (UTF-8, percent-encoded), or a comment at the head of an SQL \
                 statement: /* purpose: … */; with Delta Sharing the token is made with one",
            ));
        }
        // Last, so that what is refused for another reason takes nothing.
        if let (Some(rate), Some(bound)) = (&self.rate, self.bounds.rate) {
            let (per_second, burst) = (bound.per_second, bound.at_once());
            if !rate.take(op.at.timestamp_micros(), burst, span(per_second, burst)) {
                return Err(self.refusal(
                    Code::RateLimited,
                    "rate",
                    &format!("调用过于频繁：每秒最多 {per_second} 次（突发 {burst} 次），请稍后再试"),
                    &format!(
                        "too many calls: {per_second} a second at most ({burst} at once), try again shortly"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn refusal(&self, code: Code, rule: &str, zh: &str, en: &str) -> Error {
        refusal(self.kind, code, rule, zh, en)
    }
}

/// *answer with reasons*: which bound, and who can change it.
fn refusal(kind: BoundsKind, code: Code, rule: &str, zh: &str, en: &str) -> Error {
    let (who_zh, who_en) = match kind {
        BoundsKind::Application => ("安全管理员", "the security officer"),
        BoundsKind::Request | BoundsKind::Entry => {
            ("数据提供单位或安全管理员", "the provider or the security officer")
        }
    };
    let (of_zh, of_en) = match kind {
        BoundsKind::Application => ("应用", "application"),
        BoundsKind::Request => ("共享申请", "share application"),
        BoundsKind::Entry => ("数据资源", "resource"),
    };
    Error::new(
        code,
        format!("{zh}。这是对{of_zh}设定的约束，可由{who_zh}调整"),
        format!("{en}. This bound is set for the {of_en}; {who_en} can change it"),
    )
    .with_reasons(vec![format!("bounds.{}.{rule}", kind.as_str())])
}

fn asked_enough(subject: &Subject, op: &Op) -> Error {
    let tomorrow = op.today() + TimeDelta::days(1);
    let most = subject.bound.per_day;
    refusal(
        subject.kind,
        Code::QuotaUsedUp,
        "subject",
        &format!(
            "同一主体的记录每个应用每日最多查询 {most} 次，今日已达上限，{tomorrow} 零时（北京时间）恢复"
        ),
        &format!(
            "one application may ask for one subject's record {most} times a day; that is used up until {tomorrow} 00:00 (UTC+8)"
        ),
    )
}

fn unnamed(kind: BoundsKind, item: &str) -> Error {
    refusal(
        kind,
        Code::OutOfBounds,
        "subject-unnamed",
        &format!("该资源按主体限次或须主体授权，查询须以等值条件给出 `{item}`，不能成批浏览"),
        &format!(
            "the resource is limited by subject, or needs its authorisation: name `{item}` by equality; it cannot be listed"
        ),
    )
}

fn in_bulk(kind: BoundsKind) -> Error {
    refusal(
        kind,
        Code::OutOfBounds,
        "subject-bulk",
        "该资源按主体限次或须主体授权，不能以整份文件、变化、取值清单或 SQL 取得",
        "the resource is limited by subject, or needs its authorisation: it is not given as a file, by changes, as a list of \
         values or by SQL",
    )
}

fn figures(kind: BoundsKind) -> Error {
    refusal(
        kind,
        Code::OutOfBounds,
        "subject-figures",
        "该资源按主体限次，统计只按接口固定的分组给出：不接受查询条件，也不给出最大值、最小值，以免推算出单个主体的值",
        "the resource is limited by subject: figures are given by the groups of the description alone, without conditions and \
         without least or largest values, by which one subject's value could be worked out",
    )
}

/// Whether a refusal passes by itself: hours that come, calls at once that end.
pub(crate) fn passes(refusal: &Error) -> bool {
    let ends = |reason: &String| {
        reason.starts_with("bounds.")
            && (reason.ends_with(".window") || reason.ends_with(".concurrency"))
    };
    refusal.reasons().iter().any(ends)
}

/// Values an item is compared with by equality, wherever the rest of the condition leads: others cannot be among the rows.
fn named<'a>(condition: &'a Condition, item: &str) -> Option<Vec<&'a str>> {
    match condition {
        Condition::Column { column, comparison } if column == item => match comparison {
            Comparison::Eq(value) => Some(vec![value]),
            Comparison::In(values) => Some(values.iter().map(String::as_str).collect()),
            _ => None,
        },
        Condition::And(all) => all.iter().find_map(|c| named(c, item)),
        Condition::Or(all) if !all.is_empty() => {
            let each: Option<Vec<_>> = all.iter().map(|c| named(c, item)).collect();
            each.map(|each| each.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// One spelling of a value: 7, 07 and 7.0 name the same number.
fn plain(value: &str, number: bool) -> String {
    let value = value.trim();
    if !number {
        return value.to_owned();
    }
    let read = value.parse::<rust_decimal::Decimal>();
    read.map_or_else(|_| value.to_owned(), |n| n.normalize().to_string())
}

fn address(source: &str) -> Option<IpAddr> {
    source.parse().ok().or_else(|| source.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

/// Forgets how often subjects were asked about on days long past; answers how many counters.
pub(crate) async fn forget(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let before = system.today() - TimeDelta::days(app.rules.bounds.kept_days.max(1));
    app.store.subject_forget(&permit, &before.to_string()).await
}

#[cfg(test)]
mod tests;
