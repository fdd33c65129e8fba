//! Quotas of calls, compute and storage: what a region has bounds what its organisations have together, what an
//! organisation has bounds its applications.
//!
//! ```text
//! 330000 ── 330100 ── 杭州市某局 ── 应用 A     a holder without a quota of its own draws on the one above;
//!        └─ 330200 ── 宁波市某局 ── 应用 B     what lies below a quota is never more than the quota
//! ```
//!
//! Calls are refused at the gate when any quota above the caller is used up (`sharing::quota`, exact). Compute and
//! storage are measured and told, and nothing is cut off for them.

use std::collections::HashMap;

use model::audit::AuditEvent;
use model::dispatch::{Holder, HolderKind, Resource};
use model::{Code, Error, Op, Result, region};
use policy::{Action, Target};
use serde::Serialize;
use store::dispatch::{OrgScope, QuotaChange, QuotaFilter, QuotaMove, QuotaPast, QuotaRow};
use store::meter::Pool;

use super::rules::rules;
use crate::{App, Page, account, audit};

/// Largest amount of a quota.
const MOST: u64 = 1_000_000_000_000;
/// Changes of a holder shown.
const PAST: u32 = 50;

/// A quota with its use, in units of the resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Used {
    pub resource: Resource,
    pub holder: Holder,
    /// Name of an application; regions and organisations are named by the door.
    pub name: String,
    pub org: String,
    pub amount: Option<u64>,
    pub used: f64,
    /// Percent used; `None` without a quota.
    pub percent: Option<u64>,
}

/// One holder with all its quotas.
#[derive(Clone, Debug, Serialize)]
pub struct HolderSeen {
    pub holder: Holder,
    pub name: String,
    pub org: String,
    pub quotas: Vec<Share>,
    pub past: Vec<QuotaPast>,
    /// What the caller may do here.
    pub may_set: bool,
    pub may_ask: bool,
}

/// A quota of a holder with what is handed on below it.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    #[serde(flatten)]
    pub used: Used,
    pub handed_on: u64,
    /// The nearest quota above.
    pub above: Option<Holder>,
    /// Use of the last days, oldest first.
    pub days: Vec<(String, f64)>,
}

/// A holder that was found, with where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) holder: Holder,
    pub(crate) name: String,
    /// Organisation it belongs to; a region's authority.
    pub(crate) org: String,
    pub(crate) region: String,
    pub(crate) parent: String,
}

impl Known {
    fn target(&self) -> Target {
        Target {
            org: (self.holder.kind != HolderKind::Region).then(|| self.org.clone()),
            region: Some(self.region.clone()),
            ..Target::plain("Quota", &self.holder.key())
        }
    }
}

/// Finds a holder. One that the caller may not see is not found.
pub(crate) async fn known(app: &App, holder: &Holder) -> Result<Known> {
    let missing = || Error::not_found("配额持有者", "holder of quotas", &holder.key());
    let (name, org, region) = match holder.kind {
        HolderKind::Region => {
            let all = app.store.regions_list().await?;
            let found = all.into_iter().find(|r| r.code == holder.id).ok_or_else(missing)?;
            let orgs = app.store.orgs_list().await?;
            let authority =
                std::iter::successors(Some(holder.id.clone()), |r| region::parent_of(r))
                    .find_map(|r| orgs.iter().find(|o| o.authority && o.region == r))
                    .map(|o| o.id.clone());
            (found.name_cn, authority.unwrap_or_default(), holder.id.clone())
        }
        HolderKind::Org => {
            let org = app.store.org_get(&holder.id).await?.ok_or_else(missing)?;
            (org.name_cn, org.id, org.region)
        }
        HolderKind::Application => {
            let found = app.store.application_get(&holder.id).await?.ok_or_else(missing)?;
            let org = app.store.org_get(&found.org).await?.ok_or_else(missing)?;
            (found.name, org.id, org.region)
        }
    };
    let parent = match holder.kind {
        HolderKind::Region => region::parent_of(&holder.id).unwrap_or_default(),
        HolderKind::Org => region.clone(),
        HolderKind::Application => org.clone(),
    };
    Ok(Known { holder: holder.clone(), name, org, region, parent })
}

async fn seen(app: &App, op: &Op, holder: &Holder) -> Result<Known> {
    let known = known(app, holder).await?;
    if app.policy.decide(op, Action::DispatchRead, &known.target()).allowed {
        return Ok(known);
    }
    Err(Error::not_found("配额持有者", "holder of quotas", &holder.key()))
}

/// Which rows the caller may list: everything, or those of its organisation.
pub(crate) async fn scope<'a>(app: &App, op: &'a Op) -> Result<OrgScope<'a>> {
    let strange = Target { org: Some(String::new()), ..Target::plain("Quota", "all") };
    if app.policy.decide(op, Action::DispatchRead, &strange).allowed {
        return Ok(OrgScope::All);
    }
    let own = op.actor.org().unwrap_or_default();
    let target = Target::of_org("Quota", "all", own);
    audit::permit(app, op, Action::DispatchRead, &target).await?;
    Ok(OrgScope::Of(own))
}

/// A page of quotas of a resource and kind of holder; of what lies right below a holder when `parent` is given.
pub async fn list(
    app: &App,
    op: &Op,
    resource: Resource,
    kind: HolderKind,
    parent: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Used>> {
    let scope = scope(app, op).await?;
    if kind == HolderKind::Region && scope != OrgScope::All {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let day = op.today().to_string();
    let filter = QuotaFilter { resource, kind, parent, scope, day: &day, after, limit: limit + 1 };
    let rows = app.store.quota_list(&filter).await?;
    let Page { items: rows, next } = Page::cut(rows, limit, |r| r.holder.id.clone());
    let mut items = Vec::new();
    for row in rows {
        let (name, org) = match kind {
            HolderKind::Application => {
                let found = app.store.application_get(&row.holder.id).await?;
                found.map_or_else(Default::default, |a| (a.name, a.org))
            }
            HolderKind::Org => (String::new(), row.holder.id.clone()),
            HolderKind::Region => Default::default(),
        };
        items.push(used(app, op, resource, &row, name, org)?);
    }
    Ok(Page { items, next })
}

/// A row in units of the resource.
pub(crate) fn used(
    app: &App,
    op: &Op,
    resource: Resource,
    row: &QuotaRow,
    name: String,
    org: String,
) -> Result<Used> {
    let unit = unit(app, op, resource)?;
    let used = row.used as f64 / unit as f64;
    let percent = match row.amount {
        0 => 100,
        amount => (used * 100.0 / amount as f64).floor() as u64,
    };
    Ok(Used {
        resource,
        holder: row.holder.clone(),
        name,
        org,
        amount: Some(row.amount),
        used,
        percent: Some(percent),
    })
}

/// How much of the table's unit one of quota is: calls as such, milliseconds of a compute unit, bytes of a GB.
pub(crate) fn unit(app: &App, op: &Op, resource: Resource) -> Result<u64> {
    let rules = rules(app, op)?;
    Ok(match resource {
        Resource::Calls => 1,
        Resource::Compute => rules.compute.unit_seconds.saturating_mul(1000),
        Resource::Storage => rules.storage.gb_bytes,
    }
    .max(1))
}

/// One holder with its quotas, what is handed on, its use day by day, and what happened to its quotas; people by the names shown.
pub async fn holder(app: &App, op: &Op, holder: &Holder) -> Result<HolderSeen> {
    let known = seen(app, op, holder).await?;
    let day = op.today().to_string();
    let mut quotas = Vec::new();
    for resource in Resource::ALL.iter().copied() {
        let tree = Tree::load(app, resource).await?;
        let row = app.store.quota_get(resource, holder, &day).await?;
        let unit = unit(app, op, resource)? as f64;
        let mut days: Vec<(String, f64)> = app
            .store
            .used_by_day(resource, holder)
            .await?
            .into_iter()
            .map(|(day, n)| (day, n as f64 / unit))
            .collect();
        let now = match &row {
            Some(row) => used(app, op, resource, row, known.name.clone(), known.org.clone())?,
            None => Used {
                resource,
                holder: holder.clone(),
                name: known.name.clone(),
                org: known.org.clone(),
                amount: None,
                used: days
                    .first()
                    .filter(|(d, _)| *d == day || resource == Resource::Storage)
                    .map_or(0.0, |(_, n)| *n),
                percent: None,
            },
        };
        days.reverse();
        quotas.push(Share {
            used: now,
            handed_on: tree.handed_on(holder),
            above: tree.above(holder, &known.parent),
            days,
        });
    }
    let target = known.target();
    let mut past = app.store.quota_history(holder, PAST).await?;
    account::logins_named(app, past.iter_mut().map(|p| &mut p.actor_name).collect()).await?;
    Ok(HolderSeen {
        holder: holder.clone(),
        quotas,
        past,
        may_set: app.may(op, Action::QuotaSet, &target),
        may_ask: app.may(op, Action::QuotaAsk, &target),
        name: known.name,
        org: known.org,
    })
}

/// Sets a quota, or takes it away. It may not be more than is left above, nor less than is handed on below.
pub async fn set(
    app: &App,
    op: &Op,
    resource: Resource,
    holder: &Holder,
    amount: Option<u64>,
    reason: &str,
) -> Result<()> {
    let known = seen(app, op, holder).await?;
    let permit = audit::permit(app, op, Action::QuotaSet, &known.target()).await?;
    let reason = words(reason)?;
    if amount.is_some_and(|a| a > MOST) {
        return Err(Error::invalid(
            format!("配额最多 {MOST}"),
            format!("a quota is at most {MOST}"),
        )
        .field("amount", "请填写较小的数", "enter a smaller number"));
    }
    let tree = Tree::load(app, resource).await?;
    let was = match holder.kind {
        HolderKind::Application => {
            let row = app.store.quota_get(resource, holder, &op.today().to_string()).await?;
            row.map(|r| r.amount)
        }
        _ => tree.amount(holder),
    };
    if was == amount {
        return Ok(());
    }
    tree.fits(holder, &known.parent, was, amount)?;
    let change = QuotaChange {
        resource,
        holder: holder.clone(),
        parent: known.parent,
        was,
        amount,
        cause: "set",
        reference: String::new(),
        reason: reason.clone(),
    };
    app.store.quota_apply(&permit, op, std::slice::from_ref(&change), None).await?;
    app.shares.forget();
    changed(app, op, "quota.set", &change).await
}

/// The audit record of a change.
pub(super) async fn changed(app: &App, op: &Op, word: &str, change: &QuotaChange) -> Result<()> {
    let told = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let event = AuditEvent {
        scope: format!("{} {}→{}", change.resource, told(change.was), told(change.amount)),
        reason: change.reason.clone(),
        request: change.reference.clone(),
        ..audit::event(op, word, &change.holder.key())
    };
    audit::record(app, event).await
}

pub(super) fn words(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 500 {
        return Err(Error::invalid(
            "请写明理由（最多 500 字）",
            "give the reason (500 characters at most)",
        )
        .field("reason", "必填", "required"));
    }
    Ok(text.to_owned())
}

/// The quotas of calls that bind a caller, from below: asked once per epoch, kept with the grant.
pub(crate) async fn pools(app: &App, application: &str, org: &str) -> Result<Vec<Pool>> {
    let regions: Vec<String> = match app.store.org_get(org).await? {
        Some(org) => std::iter::successors(Some(org.region), |r| region::parent_of(r)).collect(),
        None => Vec::new(),
    };
    app.store.quota_pools(application, org, &regions).await
}

/// Requests to move quota that the caller may see, newest first; who asks by the names shown.
pub async fn moves(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<QuotaMove>> {
    let scope = scope(app, op).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let mut items = app.store.quota_moves(scope, after, limit + 1).await?;
    let people = items.iter_mut().map(|m| (m.applicant.as_str(), &mut m.applicant_name));
    account::named(app, people.collect()).await?;
    Ok(Page::cut(items, limit, |m| m.id.clone()))
}

/// All quotas of one resource that regions and organisations have; those of applications summed by organisation.
#[derive(Debug, Default)]
pub(super) struct Tree {
    amounts: HashMap<Holder, u64>,
    /// Region of each organisation.
    regions: HashMap<String, String>,
    /// Organisation → what its applications have together.
    applications: HashMap<String, u64>,
}

impl Tree {
    pub(super) async fn load(app: &App, resource: Resource) -> Result<Self> {
        let rows = app.store.quota_tree(resource).await?;
        let orgs = app.store.orgs_list().await?;
        Ok(Self {
            amounts: rows.into_iter().map(|r| (r.holder, r.amount)).collect(),
            regions: orgs.into_iter().map(|o| (o.id, o.region)).collect(),
            applications: app.store.quota_of_applications(resource).await?.into_iter().collect(),
        })
    }

    pub(super) fn amount(&self, holder: &Holder) -> Option<u64> {
        self.amounts.get(holder).copied()
    }

    /// The holder right above, whether it has a quota or not.
    fn parent(&self, holder: &Holder) -> Option<Holder> {
        match holder.kind {
            HolderKind::Region => {
                region::parent_of(&holder.id).map(|r| Holder::new(HolderKind::Region, &r))
            }
            HolderKind::Org => {
                self.regions.get(&holder.id).map(|r| Holder::new(HolderKind::Region, r))
            }
            HolderKind::Application => None,
        }
    }

    /// Everything above, nearest first. `parent` is the organisation of an application.
    pub(super) fn line(&self, holder: &Holder, parent: &str) -> Vec<Holder> {
        let first = match holder.kind {
            HolderKind::Application => Some(Holder::new(HolderKind::Org, parent)),
            _ => self.parent(holder),
        };
        std::iter::successors(first, |h| self.parent(h)).collect()
    }

    /// The nearest one above that has a quota.
    fn above(&self, holder: &Holder, parent: &str) -> Option<Holder> {
        self.line(holder, parent).into_iter().find(|h| self.amounts.contains_key(h))
    }

    /// What the quotas next below a holder are together.
    pub(super) fn handed_on(&self, holder: &Holder) -> u64 {
        let mut sum = 0_u64;
        for (other, amount) in &self.amounts {
            if other != holder && self.above(other, "").as_ref() == Some(holder) {
                sum = sum.saturating_add(*amount);
            }
        }
        for (org, amount) in &self.applications {
            let of = Holder::new(HolderKind::Org, org);
            let bearer = match self.amounts.contains_key(&of) {
                true => Some(of),
                false => self.above(&of, ""),
            };
            if bearer.as_ref() == Some(holder) {
                sum = sum.saturating_add(*amount);
            }
        }
        sum
    }

    /// Refuses a quota that is more than is left above or less than is handed on.
    fn fits(
        &self,
        holder: &Holder,
        parent: &str,
        was: Option<u64>,
        amount: Option<u64>,
    ) -> Result<()> {
        // What lies below counts for the one above as long as this one has no quota.
        let below = match holder.kind {
            HolderKind::Application => 0,
            _ => self.below(holder),
        };
        if let Some(amount) = amount
            && amount < below
        {
            return Err(Error::new(
                Code::RuleBroken,
                format!("下级已分配 {below}，配额不能少于此数；请先减少下级的配额"),
                format!("{below} is handed on below: the quota cannot be less; lessen those first"),
            )
            .field("amount", "少于下级之和", "less than what is handed on"));
        }
        let Some(above) = self.above(holder, parent) else { return Ok(()) };
        let limit = self.amount(&above).unwrap_or(u64::MAX);
        let others = self.handed_on(&above).saturating_sub(was.unwrap_or(below));
        let wanted = amount.unwrap_or(below);
        if others.saturating_add(wanted) > limit {
            let left = limit.saturating_sub(others);
            return Err(Error::new(
                Code::RuleBroken,
                format!(
                    "上级（{}）的配额为 {limit}，其他下级已分配 {others}，最多还可分配 {left}",
                    above.kind.zh()
                ),
                format!(
                    "the quota above ({}) is {limit}, others have {others} of it: {left} at most is left",
                    above.key()
                ),
            )
            .field("amount", "超出上级配额", "more than is left above"));
        }
        Ok(())
    }

    /// What is handed on by a holder, or would be if it had a quota.
    fn below(&self, holder: &Holder) -> u64 {
        if self.amounts.contains_key(holder) {
            return self.handed_on(holder);
        }
        let mut with = HashMap::clone(&self.amounts);
        with.insert(holder.clone(), 0);
        let tree = Tree {
            amounts: with,
            regions: self.regions.clone(),
            applications: self.applications.clone(),
        };
        tree.handed_on(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(code: &str) -> Holder {
        Holder::new(HolderKind::Region, code)
    }
    fn org(id: &str) -> Holder {
        Holder::new(HolderKind::Org, id)
    }

    fn tree() -> Tree {
        Tree {
            amounts: [
                (region("330000"), 1000),
                (region("330100"), 400),
                (org("hz"), 300),
                (org("nb"), 200),
            ]
            .into(),
            regions: [("hz", "330100"), ("nb", "330200"), ("hz2", "330106")]
                .map(|(o, r)| (o.to_owned(), r.to_owned()))
                .into(),
            applications: [("hz", 100), ("hz2", 50)].map(|(o, n)| (o.to_owned(), n)).into(),
        }
    }

    #[test]
    fn what_is_handed_on_is_what_lies_next_below() {
        let tree = tree();
        // 宁波 has no quota: its organisation draws on the province.
        assert_eq!(tree.handed_on(&region("330000")), 400 + 200);
        // An application of an organisation without a quota draws on the city.
        assert_eq!(tree.handed_on(&region("330100")), 300 + 50);
        assert_eq!(tree.handed_on(&org("hz")), 100);
        assert_eq!(tree.above(&org("nb"), ""), Some(region("330000")));
        let application = Holder::new(HolderKind::Application, "a");
        assert_eq!(tree.above(&application, "hz2"), Some(region("330100")));
    }

    #[test]
    fn a_quota_fits_between_what_is_above_and_what_is_below() {
        let tree = tree();
        let fits = |h: &Holder, was, amount| tree.fits(h, "", was, amount).map_err(|e| e.code());
        assert!(fits(&org("hz"), Some(300), Some(350)).is_ok(), "50 belong to hz2's application");
        assert_eq!(fits(&org("hz"), Some(300), Some(351)), Err(Code::RuleBroken));
        assert_eq!(fits(&org("hz"), Some(300), Some(99)), Err(Code::RuleBroken));
        assert!(fits(&region("330100"), Some(400), Some(800)).is_ok());
        assert_eq!(fits(&region("330100"), Some(400), Some(801)), Err(Code::RuleBroken));
        // A new quota takes over what lay below it already.
        assert!(fits(&region("330200"), None, Some(600)).is_ok());
        assert_eq!(fits(&region("330200"), None, Some(601)), Err(Code::RuleBroken));
        assert_eq!(fits(&region("330200"), None, Some(199)), Err(Code::RuleBroken));
        assert!(fits(&region("330000"), Some(1000), None).is_ok());
    }
}
