//! Organisations and regions.

use model::org::Org;
use model::region::{self, Region};
use model::{Error, Op, Result, ident};
use policy::{Action, Target};

use crate::{App, audit};

/// All organisations, by region then name. Who provides what is public knowledge.
pub async fn list(app: &App, _op: &Op) -> Result<Vec<Org>> {
    app.store.orgs_list().await
}

pub async fn get(app: &App, _op: &Op, id: &str) -> Result<Org> {
    app.store.org_require(id).await
}

/// Enters an organisation; the 统一社会信用代码 must be valid and new.
pub async fn create(app: &App, op: &Op, org: Org) -> Result<Org> {
    let target = Target::of_org("Org", &org.id, &org.id);
    let permit = audit::permit(app, op, Action::OrgManage, &target).await?;
    check(app, &org).await?;
    app.store.org_insert(&permit, &org).await?;
    audit::record(app, audit::event(op, "org.create", &org.id)).await?;
    Ok(org)
}

async fn check(app: &App, org: &Org) -> Result<()> {
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
