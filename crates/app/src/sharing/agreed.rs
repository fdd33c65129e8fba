//! What an approval agreed to, as a share application: prepared (checked) when a form is filed, granted when its flow
//! says so. The gate knows one kind of agreement only; this makes that kind and no other.

use model::entry::Entry;
use model::request::{Request, RequestNew, RequestState, RequestWay};
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Permit, Target};

use super::ask::{check, end_if_over, end_of, refuse_faults, request, settled, unconditional, way};
use super::rows;
use crate::{App, audit, catalogue};

/// What was agreed to, and with whom.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    /// Id of the request to be: the part's, so that granting twice grants once.
    pub(crate) id: String,
    pub(crate) new: RequestNew,
    pub(crate) applicant: String,
    pub(crate) applicant_org: String,
    /// By which way it was asked for when it was filed.
    pub(crate) way: RequestWay,
    /// The approval that agreed.
    pub(crate) approval: String,
}

/// What [`prepare`] found.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) entry: Entry,
    pub(crate) way: RequestWay,
    /// The application as it would be filed.
    pub(super) request: Request,
    pub(super) permit: Permit,
    /// All of it is shared without condition, and not more calls are wanted than the rules grant at once.
    pub(crate) at_once: bool,
}

/// Checks what somebody wants of an entry, and files nothing.
pub(crate) async fn prepare(app: &App, op: &Op, new: &RequestNew) -> Result<Prepared> {
    let found = app.store.entry_get(&new.entry).await?;
    let full = found.as_ref().is_some_and(|e| catalogue::whole(app, op, e));
    // What limits the rows to an area or an organisation counts whether the applicant sees it or not.
    let by_region =
        found.as_ref().is_some_and(|e| app.policy.region_item(&e.draft.items).is_some());
    let by_org = found.as_ref().and_then(|e| app.policy.org_item(&e.draft.items)).cloned();
    let entry = found
        .and_then(|e| catalogue::seen(app, op, e))
        .ok_or_else(|| Error::not_found("目录", "entry", &new.entry))?;
    let application = app
        .store
        .application_get(&new.application)
        .await?
        .filter(|a| match a.personal() {
            true => a.owner == op.actor.id(),
            false => op.actor.org() == Some(a.org.as_str()),
        })
        .ok_or_else(|| Error::not_found("可用的应用", "application of yours", &new.application))?;
    let way = if application.personal() { RequestWay::Open } else { way(op) };
    let target = Target::apply(&entry, &application, way);
    let permit = audit::permit(app, op, Action::RequestSubmit, &target).await?;
    if !application.active {
        return Err(Error::new(
            Code::WrongState,
            format!("应用 `{}` 已停用，请先启用", application.name),
            format!("the application `{}` is stopped: start it first", application.name),
        ));
    }
    if application.org == entry.draft.org {
        return Err(Error::new(
            Code::RuleBroken,
            "这是本单位提供的数据，无需申请共享",
            "your own organisation provides these data: there is nothing to apply for",
        ));
    }
    let wanted = request(op, &entry, &application, way, new.clone());
    let at_once = full
        && way == RequestWay::Share
        && unconditional(&entry, &wanted.items)
        && rows::harmless(&entry, &wanted.row_range)
        && wanted.calls_per_day <= app.policy.calls_at_once_most();
    let mut faults = check(op, &entry, &wanted, at_once);
    faults.extend(area_fault(&wanted, by_region));
    faults.extend(rows::faults(&entry, by_org.as_ref(), Some(way), &wanted.row_range));
    refuse_faults(faults)?;
    if way == RequestWay::Open {
        return Err(elsewhere(&entry));
    }
    Ok(Prepared { entry, way, request: wanted, permit, at_once })
}

/// *one-way-in*: what is open on conditions is obtained by [`crate::restricted`] alone, with its review, papers and credit record.
fn elsewhere(entry: &Entry) -> Error {
    let code = &entry.draft.code;
    Error::new(
        Code::RuleBroken,
        format!("《{}》受限开放，请在受限开放申请页面申请：/restricted/new?code={code}", entry.draft.title),
        format!("`{code}` is open on conditions: apply on the page for that, /restricted/new?code={code}"),
    )
    .with_reasons(vec!["restricted.open".to_owned()])
}

/// Rows can be limited to an area only where an item says it; a limit that cannot be kept is refused.
fn area_fault(wanted: &Request, by_region: bool) -> Option<FieldError> {
    (!wanted.area_range.is_empty() && !by_region).then(|| FieldError {
        field: "area_range".into(),
        zh: "该资源没有行政区划数据项，不能按区域提供，请把区域范围改为“不限”".into(),
        en: "the resource has no region item, so that rows cannot be limited to an area: choose “All”".into(),
    })
}

/// Refuses what would clash with an application under way or approved, before anybody is asked to decide it.
pub(crate) async fn refuse_clash(app: &App, op: &Op, new: &RequestNew) -> Result<()> {
    let active =
        [RequestState::ProviderAuditing, RequestState::AuthorityAuditing, RequestState::Approved];
    let old = app.store.request_newest(&new.application, &new.entry, &active).await?;
    let now = op.stamp();
    match old.filter(|r| r.expires_at.as_ref().is_none_or(|end| *end > now)) {
        Some(old) => Err(Error::new(
            Code::Duplicate,
            format!("该应用对《{}》已有在办或已通过的申请，请先撤回或等待其到期", old.entry_title),
            format!(
                "this application already has a share application under way or approved for `{}`; withdraw it or wait \
                 until it ends",
                old.entry_code
            ),
        )),
        None => Ok(()),
    }
}

/// Grants what was agreed: an approved share application, the only thing the gate makes a grant from. Granting the
/// same agreement again changes nothing.
pub(crate) async fn grant_agreed(
    app: &App,
    system: &Op,
    permit: &Permit,
    agreed: Agreed,
) -> Result<Request> {
    if let Some(there) = app.store.request_get(&agreed.id).await? {
        return Ok(there);
    }
    let entry =
        app.store.entry_get(&agreed.new.entry).await?.filter(Entry::live).ok_or_else(|| {
            Error::new(
                Code::WrongState,
                "资源已下线或不存在，不能授权",
                "the resource is offline or gone and cannot be granted",
            )
        })?;
    let application = app
        .store
        .application_get(&agreed.new.application)
        .await?
        .filter(|a| a.active && a.org == agreed.applicant_org)
        .filter(|a| !a.personal() || a.owner == agreed.applicant)
        .ok_or_else(|| {
            Error::new(
                Code::WrongState,
                "申请的应用已停用或不存在，不能授权",
                "the application that would call is stopped or gone: nothing can be granted",
            )
        })?;
    let mut granted = request(system, &entry, &application, agreed.way, agreed.new.clone());
    end_if_over(app, system, &granted).await?;
    refuse_clash(app, system, &RequestNew { entry: entry.id.clone(), ..agreed.new.clone() })
        .await?;
    // A legal basis was asked for when the form was filed, where one is needed.
    let mut faults = check(system, &entry, &granted, true);
    let by_region = app.policy.region_item(&entry.draft.items).is_some();
    faults.extend(area_fault(&granted, by_region));
    let by_org = app.policy.org_item(&entry.draft.items);
    faults.extend(rows::faults(&entry, by_org, Some(granted.way), &granted.row_range));
    refuse_faults(faults)?;
    granted.id = agreed.id;
    granted.applicant = agreed.applicant;
    granted.state = RequestState::Approved;
    granted.expires_at = end_of(system, &granted.period)?;
    app.store.request_insert(permit, system, &granted).await?;
    settled(app, system, "request.grant", &granted, format!("approval {}", agreed.approval))
        .await?;
    Ok(granted)
}
