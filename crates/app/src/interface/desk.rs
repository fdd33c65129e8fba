//! What people do with interfaces: draw up, change, test, publish beside other versions, deprecate, take offline; try one as an
//! application of theirs.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta};
use guard::keys;
use model::asset::Node;
use model::interface::{Arguments, Interface, InterfaceDraft, InterfaceQuota, InterfaceState};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::interface::InterfaceFilter;
use store::interface_day::InterfaceDay;

use super::call::{self, Answer, missing};
use super::check::check;
use super::released::resource;
use crate::notice::{self, Told};
use crate::project::{self, sandbox::Origin};
use crate::{App, Page, account, audit};

/// An interface as somebody sees it.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceView {
    #[serde(flatten)]
    pub interface: Interface,
    pub entry_title: String,
    /// Empty where the entry has none.
    pub entry_title_en: String,
    /// The release of a sandbox that it serves; its resource is in no catalogue.
    pub released: Option<Origin>,
    /// May change it and lead it on.
    pub keeps: bool,
}

/// A list of them.
pub type InterfacePage = Page<InterfaceView>;

/// What may be done with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub to: InterfaceState,
    /// Percentage of callers, when it is published.
    pub share: u8,
    /// Last day of a deprecated version; empty: not said.
    pub until: String,
}

/// Whether the caller could describe interfaces of its organisation at all.
#[must_use]
pub fn may_keep(app: &App, op: &Op) -> bool {
    let own = Target {
        org: op.actor.org().map(str::to_owned),
        region: op.actor.region().map(str::to_owned),
        ..Target::plain("Interface", "new")
    };
    app.policy.decide(op, Action::InterfaceKeep, &own).allowed
}

/// Draws up the first version of an interface.
pub async fn create(app: &App, op: &Op, text: &str) -> Result<Interface> {
    let draft = InterfaceDraft::read(text)?;
    let entries = check(app, op, &draft).await?;
    let Some(entry) = entries.first() else { return Err(Error::internal("no entry")) };
    let interface = Interface {
        id: op.new_id(),
        code: keys::hex_token(8)?,
        version: 1,
        state: InterfaceState::Draft,
        share: 100,
        org: entry.draft.org.clone(),
        region: entry.draft.region.clone(),
        entry: entry.id.clone(),
        until: String::new(),
        deprecated_at: String::new(),
        quota: Default::default(),
        created_by: op.actor.id().to_owned(),
        created_at: op.stamp(),
        updated_at: op.stamp(),
        text: text.to_owned(),
        draft,
    };
    let permit = keep(app, op, &interface).await?;
    app.store.interface_insert(&permit, &interface).await?;
    recorded(app, op, "interface.create", &interface, "").await?;
    Ok(interface)
}

/// Changes a version that callers do not get yet; it is a draft then.
pub async fn change(app: &App, op: &Op, id: &str, text: &str, before: &str) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    if !matches!(old.state, InterfaceState::Draft | InterfaceState::Test) {
        return Err(Error::new(
            Code::WrongState,
            "已发布的版本不能修改，请新建版本",
            "a version that was published stays as it is: make a new one",
        ));
    }
    let draft = InterfaceDraft::read(text)?;
    let entries = check(app, op, &draft).await?;
    let Some(entry) = entries.first() else { return Err(Error::internal("no entry")) };
    if entry.draft.org != old.org {
        return Err(Error::invalid(
            "不能改为其他单位的资源",
            "it stays with a resource of the same organisation",
        ));
    }
    let changed = Interface {
        state: InterfaceState::Draft,
        region: entry.draft.region.clone(),
        entry: entry.id.clone(),
        updated_at: after(op, &old),
        text: text.to_owned(),
        draft,
        ..old
    };
    written(app, op, &permit, (&changed, before.to_owned()), "interface.change", "").await?;
    Ok(changed)
}

/// Makes a new version beside the others, as a copy of this one.
pub async fn version(app: &App, op: &Op, id: &str) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    let versions = app.store.interface_versions(&old.code).await?;
    let newest = versions.first().map_or(old.version, |i| i.version);
    if newest >= app.rules.interface.most_versions {
        return Err(Error::new(
            Code::RuleBroken,
            "该接口的版本数已达上限，请新建接口",
            "the interface has as many versions as it may: draw up a new one",
        ));
    }
    let new = Interface {
        id: op.new_id(),
        version: newest + 1,
        state: InterfaceState::Draft,
        share: 100,
        until: String::new(),
        deprecated_at: String::new(),
        created_by: op.actor.id().to_owned(),
        created_at: op.stamp(),
        updated_at: op.stamp(),
        ..old
    };
    app.store.interface_insert(&permit, &new).await?;
    recorded(app, op, "interface.version", &new, "").await?;
    Ok(new)
}

/// What the caller may do with a version now.
#[must_use]
pub fn moves(app: &App, op: &Op, interface: &Interface) -> Vec<InterfaceState> {
    let target = Target::interface(interface);
    match app.policy.decide(op, Action::InterfaceKeep, &target).allowed {
        true => interface.state.next().to_vec(),
        false => Vec::new(),
    }
}

/// Leads a version on.
pub async fn step(app: &App, op: &Op, id: &str, to: &Move) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    if !old.state.next().contains(&to.to) {
        return Err(Error::new(
            Code::WrongState,
            format!("接口为“{}”，不能改为“{}”", old.state.zh(), to.to.zh()),
            format!("the interface is `{}` and cannot become `{}`", old.state, to.to),
        ));
    }
    let mut new = Interface { state: to.to, updated_at: after(op, &old), ..old.clone() };
    match to.to {
        InterfaceState::Test => {
            // What it names may have changed since it was written.
            check(app, op, &new.draft).await?;
        }
        InterfaceState::Published => {
            check(app, op, &new.draft).await?;
            new.share = share(app, &new, to.share).await?;
            (new.until, new.deprecated_at) = (String::new(), String::new());
        }
        InterfaceState::Deprecated => {
            new.until = until(op, &to.until)?;
            new.deprecated_at = op.stamp();
        }
        InterfaceState::Draft | InterfaceState::Offline => {}
    }
    let before = old.updated_at.clone();
    written(app, op, &permit, (&new, before), "interface.step", to.to.as_str()).await?;
    if new.state.live() || old.state.live() {
        let kind = match new.state {
            InterfaceState::Deprecated => "interface.deprecated",
            InterfaceState::Offline => "interface.offline",
            _ => "interface.published",
        };
        tell(app, op, &new, kind).await?;
    }
    Ok(new)
}

/// Changes the share of callers that a published version gets.
pub async fn set_share(app: &App, op: &Op, id: &str, percent: u8) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    if old.state != InterfaceState::Published {
        return Err(Error::new(
            Code::WrongState,
            "只有已发布的版本可以调整比例",
            "only a published version has a share of callers",
        ));
    }
    let new = Interface {
        share: share(app, &old, percent).await?,
        updated_at: after(op, &old),
        ..old.clone()
    };
    let share = new.share.to_string();
    written(app, op, &permit, (&new, old.updated_at), "interface.share", &share).await?;
    // Who answers a caller changes with it.
    tell(app, op, &new, "interface.share").await?;
    Ok(new)
}

/// Sets, changes or takes away (empty) the last day of a deprecated version. Whoever may call it is told.
pub async fn set_until(app: &App, op: &Op, id: &str, day: &str) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    if old.state != InterfaceState::Deprecated {
        return Err(Error::new(
            Code::WrongState,
            "只有待停用的版本有停用日",
            "only a deprecated version has a last day",
        ));
    }
    let new = Interface {
        until: until(op, day)?,
        deprecated_at: old.deprecated_since().to_owned(),
        updated_at: after(op, &old),
        ..old.clone()
    };
    if new.until == old.until {
        return Ok(old);
    }
    written(app, op, &permit, (&new, old.updated_at), "interface.until", &new.until).await?;
    tell(app, op, &new, "interface.until").await?;
    Ok(new)
}

/// Keeps a version that was changed since `before`, has this process know it at once, and records it.
async fn written(
    app: &App,
    op: &Op,
    permit: &Permit,
    (new, before): (&Interface, String),
    action: &str,
    reason: &str,
) -> Result<()> {
    app.store.interface_update(permit, &[(new.clone(), before)]).await?;
    app.interfaces.follow(app).await?;
    recorded(app, op, action, new, reason).await
}

/// Most that a quota may be: calls a day, and a second.
const MOST_A_DAY: u64 = 1_000_000_000_000;
const MOST_A_SECOND: u32 = 1_000_000;

/// Sets how often the interface may be called, whichever version answers. Every process keeps to it within `follow_ms`, this one at once.
pub async fn set_quota(app: &App, op: &Op, id: &str, quota: InterfaceQuota) -> Result<Interface> {
    let old = visible(app, op, id).await?;
    let permit = keep(app, op, &old).await?;
    quota_fits(&quota)?;
    let versions = app.store.interface_versions(&old.code).await?;
    let changes: Vec<(Interface, String)> = versions
        .into_iter()
        .map(|v| {
            let before = v.updated_at.clone();
            let deprecated_at = v.deprecated_since().to_owned();
            (Interface { quota, deprecated_at, updated_at: after(op, &v), ..v }, before)
        })
        .collect();
    app.store.interface_update(&permit, &changes).await?;
    app.interfaces.follow(app).await?;
    let changed = changes.into_iter().map(|(v, _)| v).find(|v| v.id == old.id);
    let changed = changed.ok_or_else(|| missing(&old.code))?;
    let told = serde_json::to_string(&quota)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    recorded(app, op, "interface.quota", &changed, &told).await?;
    // Of the versions, which have it in common, one that callers get.
    let live = app.store.interface_versions(&old.code).await?.into_iter().find(|v| v.state.live());
    if let Some(live) = live.filter(|_| quota != old.quota) {
        tell(app, op, &live, "interface.quota").await?;
    }
    Ok(changed)
}

/// Calls of an interface today by all callers, as far as they are counted for its quota (lots that processes hold included).
pub async fn called_today(app: &App, op: &Op, interface: &Interface) -> Result<u64> {
    let day = op.today().to_string();
    let key = InterfaceDay { code: interface.code.clone(), application: String::new(), day };
    app.store.interface_called(&key).await
}

fn quota_fits(quota: &InterfaceQuota) -> Result<()> {
    let wrong = |field: &str, zh: String, en: String| {
        Error::invalid(zh.clone(), en.clone()).field(field, zh, en)
    };
    for (field, number) in
        [("per_day", quota.per_day), ("application_per_day", quota.application_per_day)]
    {
        if number.is_some_and(|n| !(1..=MOST_A_DAY).contains(&n)) {
            return Err(wrong(
                field,
                format!("每日次数为 1 至 {MOST_A_DAY}；停用请用“紧急停用”或下线"),
                format!("calls a day are 1 to {MOST_A_DAY}; to stop it, take it offline"),
            ));
        }
    }
    for (field, number) in [("per_second", quota.per_second), ("burst", quota.burst)] {
        if number.is_some_and(|n| !(1..=MOST_A_SECOND).contains(&n)) {
            return Err(wrong(
                field,
                format!("每秒次数和突发次数为 1 至 {MOST_A_SECOND}"),
                format!("calls a second, and at once, are 1 to {MOST_A_SECOND}"),
            ));
        }
    }
    if quota.burst.is_some() && quota.per_second.is_none() {
        return Err(wrong(
            "burst",
            "突发次数须与每秒次数一并设定".into(),
            "a burst is set together with calls a second".into(),
        ));
    }
    Ok(())
}

/// A share that leaves nobody without an answer: part of the callers only beside another published version.
async fn share(app: &App, interface: &Interface, percent: u8) -> Result<u8> {
    if !(1..=100).contains(&percent) {
        return Err(Error::invalid("比例为 1 至 100", "the share is 1 to 100 percent").field(
            "share",
            "1 至 100",
            "1 to 100",
        ));
    }
    let versions = app.store.interface_versions(&interface.code).await?;
    let another = versions.iter().any(|i| {
        i.id != interface.id
            && i.state == InterfaceState::Published
            && i.version < interface.version
    });
    if percent < 100 && !another {
        return Err(Error::new(
            Code::RuleBroken,
            "没有更早的已发布版本，不能只对一部分调用方发布",
            "no earlier version is published: it cannot be given to a part of the callers only",
        ));
    }
    Ok(percent)
}

fn until(op: &Op, day: &str) -> Result<String> {
    if day.is_empty() {
        return Ok(String::new());
    }
    match day.parse::<NaiveDate>() {
        Ok(date) if date >= op.today() => Ok(date.to_string()),
        _ => Err(Error::invalid(
            "停用日应为今天或以后的日期（YYYY-MM-DD）",
            "the last day is today or later (YYYY-MM-DD)",
        )
        .field("until", "YYYY-MM-DD", "YYYY-MM-DD")),
    }
}

/// A stamp after the one before, also of the same moment: by it a change knows what it changes.
fn after(op: &Op, old: &Interface) -> String {
    let now = op.stamp();
    if now > old.updated_at {
        return now;
    }
    let before = DateTime::parse_from_rfc3339(&old.updated_at).map_or(op.at, |t| t.to_utc());
    model::op::stamp(before + TimeDelta::milliseconds(1))
}

/// One version with what the caller may do.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<(InterfaceView, Vec<Interface>)> {
    let interface = visible(app, op, id).await?;
    let mut versions = app.store.interface_versions(&interface.code).await?;
    versions.retain(|i| shown(app, op, i));
    Ok((view(app, op, interface).await?, versions))
}

/// Interfaces the caller may see, by id: of a keeper those of its organisation, else those that are live. *constant page*.
pub async fn list(
    app: &App,
    op: &Op,
    mine: bool,
    words: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<InterfacePage> {
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let mut filter = InterfaceFilter {
        org: op.actor.org().filter(|_| mine).map(str::to_owned),
        live: !mine,
        words: words.map(str::to_owned).filter(|w| !w.trim().is_empty()),
        after: after.map(str::to_owned),
        limit: limit + 1,
        ..InterfaceFilter::default()
    };
    if mine && filter.org.is_none() {
        return Ok(Page { items: Vec::new(), next: None });
    }
    // What is not shown to this caller is left out; a page goes on until it is full or there are no more.
    let mut items = Vec::new();
    loop {
        let found = app.store.interface_list(&filter).await?;
        let last = found.last().map(|i| i.id.clone());
        let whole = found.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
        for interface in found {
            if shown(app, op, &interface) {
                match view(app, op, interface).await {
                    Ok(view) => items.push(view),
                    Err(e) if e.code() == Code::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        if whole || items.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            break;
        }
        filter.after = last;
    }
    Ok(Page::cut(items, limit, |i| i.interface.id.clone()))
}

/// Calls an interface as an application of the caller's: the same gate, quota, masks and records as any call of it.
pub async fn trial(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    application: &str,
    mut given: Arguments,
) -> Result<Answer> {
    let interface = visible(app, op, id).await?;
    let application = account::application(app, op, application).await?;
    audit::permit(app, op, Action::ApplicationManage, &Target::application(&application)).await?;
    let actor = account::actor_of(app, &application.key).await?.ok_or_else(|| {
        Error::new(
            Code::WrongState,
            format!("应用 `{}` 已停用，请先启用", application.name),
            format!("the application `{}` is stopped: start it first", application.name),
        )
    })?;
    given.take("version");
    given.add("version", interface.version.to_string());
    audit::record(app, audit::event(op, "interface.trial", &interface.code)).await?;
    let as_application = Op { actor, ..op.clone() };
    call::call(app, &as_application, &interface.code, given).await
}

async fn view(app: &App, op: &Op, interface: Interface) -> Result<InterfaceView> {
    let entry = resource(app, op, &interface).await?;
    let entry = entry.ok_or_else(|| missing(&interface.code))?;
    let keeps =
        app.policy.decide(op, Action::InterfaceKeep, &Target::interface(&interface)).allowed;
    let released = project::sandbox::origin(app, op, &interface.draft.entry).await?;
    let (entry_title, entry_title_en) = (entry.draft.title, entry.draft.title_en);
    Ok(InterfaceView { interface, entry_title, entry_title_en, released, keeps })
}

fn shown(app: &App, op: &Op, interface: &Interface) -> bool {
    app.policy.decide(op, Action::InterfaceRead, &Target::interface(interface)).allowed
}

/// A version that the caller may see, of a resource it may know of.
pub(super) async fn visible(app: &App, op: &Op, id: &str) -> Result<Interface> {
    let found = app.store.interface_get(id).await?.filter(|i| shown(app, op, i));
    let interface = found.ok_or_else(|| missing(id))?;
    match resource(app, op, &interface).await? {
        Some(_) => Ok(interface),
        None => Err(missing(id)),
    }
}

async fn keep(app: &App, op: &Op, interface: &Interface) -> Result<Permit> {
    audit::permit(app, op, Action::InterfaceKeep, &Target::interface(interface)).await
}

async fn recorded(
    app: &App,
    op: &Op,
    action: &str,
    interface: &Interface,
    reason: &str,
) -> Result<()> {
    let mut event = audit::event(op, action, &interface.code);
    event.scope = format!("v{} {}", interface.version, interface.draft.kind);
    event.reason = reason.to_owned();
    audit::record(app, event).await
}

/// Tells those for whom something changes, each once: who may call one of its resources, and who subscribes to one.
async fn tell(app: &App, op: &Op, interface: &Interface, kind: &'static str) -> Result<()> {
    let (system, permit) = app.platform(op)?;
    let mut words = format!("v{} {}", interface.version, interface.code);
    match interface.state {
        InterfaceState::Published if interface.share < 100 => {
            words.push_str(&format!(" {}%", interface.share));
        }
        _ if interface.until.is_empty() => {}
        _ => words.push_str(&format!(" {}", interface.until)),
    }
    let told = Told {
        // By it the store tells each person once, however many resources they are told for.
        mark: format!("interface:{}:{}:{}", interface.id, interface.state, interface.updated_at),
        kind,
        title: interface.draft.title.clone(),
        words,
        // Whoever only calls sees no page of a version that is offline: they are led to what there still is of its code.
        href: match interface.state {
            InterfaceState::Offline => {
                format!("/console/interfaces?whose=all&q={}", interface.code)
            }
            _ => format!("/console/interfaces/{}", interface.id),
        },
    };
    for entry in resources(app, interface).await? {
        let subscribed = notice::who_follow(app, &system, &Node::entry(&entry)).await?;
        notice::tell(app, &system, &permit, &subscribed, &told).await?;
        notice::tell_granted(app, &system, &permit, entry, &told).await?;
    }
    Ok(())
}

/// Ids of the entries it reads: its first resource, and those joined to it.
async fn resources(app: &App, interface: &Interface) -> Result<Vec<String>> {
    let mut entries = vec![interface.entry.clone()];
    for part in &interface.draft.part {
        if let Some(entry) = app.store.entry_get(&part.entry).await?
            && !entries.contains(&entry.id)
        {
            entries.push(entry.id);
        }
    }
    Ok(entries)
}
