//! Looking at forms: the applicant's organisation sees a form whole, an owner sees the parts it decides.

use model::basket::{Bundle, Part};
use model::flow::Subject;
use model::{Error, Op, Result};
use policy::{Action, Target};
use store::basket::BundleFilter;

use crate::{App, Page, account, approval};

pub(super) fn target(bundle: &Bundle) -> Target {
    Target {
        org: Some(String::new()),
        applicant_org: Some(bundle.org.clone()).filter(|o| !o.is_empty()),
        owner: Some(bundle.applicant.clone()),
        ..Target::plain("Approval", &bundle.id)
    }
}

/// Whether the caller sees the form whole.
pub(super) fn sees(app: &App, op: &Op, bundle: &Bundle) -> bool {
    app.policy.decide(op, Action::ApprovalRead, &target(bundle)).allowed
}

/// Whether the caller may withdraw, complete, dispute and give feedback on the form.
#[must_use]
pub fn follows(app: &App, op: &Op, bundle: &Bundle) -> bool {
    app.policy.decide(op, Action::ApprovalFollow, &target(bundle)).allowed
}

/// A form as the caller may see it: whole, or with the parts whose approvals the caller may read; who filed it and brought its files
/// by the names shown.
pub async fn bundle(app: &App, op: &Op, id: &str) -> Result<Bundle> {
    let unknown = || Error::not_found("申请单", "form", id);
    let mut bundle = app.store.bundle_get(id).await?.ok_or_else(unknown)?;
    let mut people = vec![(bundle.applicant.as_str(), &mut bundle.applicant_name)];
    people.extend(bundle.files.iter_mut().map(|f| (f.owner.as_str(), &mut f.owner_name)));
    account::named(app, people).await?;
    if sees(app, op, &bundle) {
        return Ok(bundle);
    }
    let mut seen = Vec::new();
    for part in bundle.parts {
        match approval::as_kept(app, op, &part.approval).await {
            Ok(_) => seen.push(part),
            Err(e) if e.kind() == model::Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if seen.is_empty() {
        return Err(unknown());
    }
    bundle.parts = seen;
    Ok(bundle)
}

/// A form that the caller sees whole; to others it does not exist.
pub(crate) async fn whole(app: &App, op: &Op, id: &str) -> Result<Bundle> {
    let bundle = app.store.bundle_get(id).await?.filter(|b| sees(app, op, b));
    bundle.ok_or_else(|| Error::not_found("申请单", "form", id))
}

/// Forms of the caller's organisation (all, for those who may see all), newest first. *constant page*.
pub async fn bundles(app: &App, op: &Op, filter: &BundleFilter) -> Result<Page<Bundle>> {
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Approval", "all")
    };
    let all = app.policy.decide(op, Action::ApprovalRead, &strange).allowed;
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(200) };
    let (org, applicant) = match (all, op.actor.org()) {
        (true, _) => (filter.org.clone(), None),
        (false, Some(org)) => (Some(org.to_owned()), None),
        (false, None) => (None, Some(op.actor.id().to_owned())),
    };
    let ask = BundleFilter { org, applicant, limit: limit + 1, ..filter.clone() };
    let items = app.store.bundle_list(&ask).await?;
    let Page { mut items, next } = Page::cut(items, limit, |b| b.id.clone());
    items.retain(|b| sees(app, op, b));
    Ok(Page { items, next })
}

/// The part an approval is about, with its form, for readers of the approval.
pub async fn part_of(app: &App, op: &Op, subject: &Subject) -> Result<Option<(Bundle, Part)>> {
    if subject.kind != "part" {
        return Ok(None);
    }
    let Some(part) = app.store.part_get(&subject.id).await? else { return Ok(None) };
    let bundle = bundle(app, op, &part.bundle).await?;
    Ok(Some((bundle, part)))
}

/// A part of a form that the caller's organisation filed.
pub async fn part(app: &App, op: &Op, id: &str) -> Result<(Bundle, Part)> {
    let unknown = || Error::not_found("申请项", "part", id);
    let part = app.store.part_get(id).await?.ok_or_else(unknown)?;
    let bundle = app.store.bundle_get(&part.bundle).await?.ok_or_else(unknown)?;
    if !sees(app, op, &bundle) {
        return Err(unknown());
    }
    Ok((bundle, part))
}
