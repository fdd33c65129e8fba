//! Organisations and regions.

use model::entry::EntryFilter;
use model::org::Org;
use model::region::{self, Region};
use model::{Error, Op, Result, ident};
use policy::{Action, Target};
use store::entry::EntryScope;

use crate::{App, audit};

/// All organisations, by region then name. Who provides what is public knowledge.
pub async fn list(app: &App, _op: &Op) -> Result<Vec<Org>> {
    app.store.orgs_list().await
}

pub async fn get(app: &App, _op: &Op, id: &str) -> Result<Org> {
    app.store.org_require(id).await
}

/// One organisation for its edit page; a caller who may not change it is refused.
pub async fn get_to_change(app: &App, op: &Op, id: &str) -> Result<Org> {
    audit::permit(app, op, Action::OrgManage, &Target::of_org("Org", id, id)).await?;
    app.store.org_require(id).await
}

/// Enters an organisation; the 统一社会信用代码 must be valid and new.
pub async fn create(app: &App, op: &Op, org: Org) -> Result<Org> {
    let target = Target::of_org("Org", &org.id, &org.id);
    let permit = audit::permit(app, op, Action::OrgManage, &target).await?;
    check(app, &org).await?;
    app.store.org_insert(&permit, &org).await?;
    // What lists organisations keeps them: the new one is there when the call returns.
    app.shares.forget();
    audit::record(app, audit::event(op, "org.create", &org.id)).await?;
    Ok(org)
}

/// Changes an organisation, all but its id. What is decided by its region, kind or name follows at once: grants and
/// credentials are read anew, and search knows its entries by the new name when the call returns.
pub async fn change(app: &App, op: &Op, org: Org) -> Result<Org> {
    let target = Target::of_org("Org", &org.id, &org.id);
    let permit = audit::permit(app, op, Action::OrgManage, &target).await?;
    let before = app.store.org_require(&org.id).await?;
    check(app, &org).await?;
    no_circle(app, &org).await?;
    if before == org {
        return Ok(org);
    }
    app.store.org_change(&permit, &org).await?;
    app.shares.forget();
    app.accounts.forget();
    if before.name_cn != org.name_cn {
        renamed(app, &org.id).await?;
    }
    let mut event = audit::event(op, "org.change", &org.id);
    event.scope = differences(&before, &org).join(" ");
    audit::record(app, event).await?;
    Ok(org)
}

/// Brings search up to date with the name of an organisation.
async fn renamed(app: &App, org: &str) -> Result<()> {
    let mut filter =
        EntryFilter { org: Some(org.to_owned()), limit: 1000, ..EntryFilter::default() };
    loop {
        let page = app.store.entry_list(&filter, &EntryScope::All).await?;
        let ids: Vec<&str> = page.iter().map(|e| e.id.as_str()).collect();
        crate::catalogue::index::put(app, &ids).await?;
        let Some(last) = page.last() else { return Ok(()) };
        filter.after = Some(last.id.clone());
    }
}

/// Which fields differ, for the record.
fn differences(before: &Org, now: &Org) -> Vec<&'static str> {
    [
        ("uscc", before.uscc != now.uscc),
        ("name_cn", before.name_cn != now.name_cn),
        ("name_en", before.name_en != now.name_en),
        ("kind", before.kind != now.kind),
        ("region", before.region != now.region),
        ("parent", before.parent != now.parent),
        ("authority", before.authority != now.authority),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// An organisation does not stand above itself.
async fn no_circle(app: &App, org: &Org) -> Result<()> {
    let mut above = org.parent.clone();
    // Deeper than any administration; a circle that is there already ends the walk, too.
    for _ in 0..64 {
        let Some(id) = above else { return Ok(()) };
        if id == org.id {
            break;
        }
        above = app.store.org_get(&id).await?.and_then(|o| o.parent);
    }
    Err(Error::invalid(
        "上级机构不能是本机构或其下级",
        "the parent must not be the organisation itself or one below it",
    )
    .field("parent", "请改选上级机构", "choose another parent"))
}

/// Whether an organisation can be entered so.
pub(crate) async fn check(app: &App, org: &Org) -> Result<()> {
    if org.id.is_empty()
        || org.id.len() > 64
        || !org.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Error::invalid(
            "机构编号只能含字母、数字、- 和 _，最长 64 位",
            "the organisation id may hold letters, digits, - and _, at most 64",
        )
        .field("id", "请改写机构编号", "rewrite the organisation id"));
    }
    if org.name_cn.trim().is_empty() {
        return Err(Error::invalid("请填写机构名称", "the organisation needs a name")
            .field("name_cn", "必填", "required"));
    }
    ident::uscc(&org.uscc)?;
    region::level_of(&org.region)?;
    if !app.store.regions_list().await?.iter().any(|r| r.code == org.region) {
        return Err(Error::not_found("行政区划", "region", &org.region));
    }
    if let Some(parent) = &org.parent {
        app.store.org_require(parent).await?;
    }
    Ok(())
}

/// Enters regions that are not there yet.
pub async fn enter_regions(app: &App, op: &Op, regions: &[Region]) -> Result<u64> {
    let permit =
        audit::permit(app, op, Action::OrgManage, &Target::plain("Org", "regions")).await?;
    app.store.regions_insert(&permit, regions).await
}

/// All regions by code.
pub async fn regions(app: &App) -> Result<Vec<Region>> {
    app.store.regions_list().await
}
