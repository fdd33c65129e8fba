//! The authority's desk: what waits, who it is, approving and refusing. Whoever decides sees the number only when they ask for it, and
//! that is recorded.

use bytes::Bytes;
use futures::stream::BoxStream;
use model::identity::SubjectKind;
use model::org::{Org, OrgKind};
use model::realname::{RealNameDetails, RealNameFile, RealNameFiling, RealNameState};
use model::region::{self, RegionLevel};
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::authorisation::SubjectRow;
use store::realname::RealNameFilter;

use super::file::{content, record};
use super::{details, missing, target};
use crate::notice::{self, Told};
use crate::restricted::{self, UsesOfAccount};
use crate::{App, Page, account, audit, authorisation, org, upload};

/// A filing opened at the desk. The number stays hidden.
#[derive(Clone, Debug, Serialize)]
pub struct DeskFiling {
    pub filing: RealNameFiling,
    /// Name of the person or company, and its legal representative; empty when they are not kept any more.
    pub name: String,
    pub representative: String,
    pub overdue: bool,
    /// Login name of another account for which the number is verified already.
    pub other: Option<String>,
    /// The organisation that has the credit code.
    pub org: Option<Org>,
    /// Region of a new organisation, as the credit code tells it.
    pub region: String,
    /// The account was closed meanwhile.
    pub closed: bool,
    /// What stands or falls with the verification; of a filing that was not approved nothing.
    pub uses: UsesOfAccount,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealNameOrder {
    /// It is them. `region`: of the organisation, if a new one is entered; empty: as the credit code tells it.
    Approve { region: String },
    /// Why not.
    Refuse { reason: String },
}

/// Whether the caller decides on filings.
#[must_use]
pub fn has_desk(app: &App, op: &Op) -> bool {
    app.may(op, Action::RealNameReview, &Target::plain("User", "desk"))
}

/// A page of filings, newest first; who decided by the names shown. *constant page*.
pub async fn desk(
    app: &App,
    op: &Op,
    state: Option<RealNameState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<RealNameFiling>> {
    audit::permit(app, op, Action::RealNameReview, &Target::plain("User", "desk")).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let filter = RealNameFilter { state, before, limit: limit + 1 };
    let mut found = app.store.real_name_list(&filter).await?;
    account::logins_named(app, found.iter_mut().flat_map(deciders).collect()).await?;
    Ok(Page::cut(found, limit, |f| f.id.clone()))
}

/// Who decided on a filing, and who revoked it. Whose it is stays the login name: that is what is verified.
fn deciders(filing: &mut RealNameFiling) -> [&mut String; 2] {
    [&mut filing.decided_by, &mut filing.revoked_by]
}

/// A filing with the permit to decide it. Whoever may not finds none.
pub(super) async fn held(app: &App, op: &Op, id: &str) -> Result<(RealNameFiling, Permit)> {
    let filing = app.store.real_name_get(id).await?.ok_or_else(|| missing(id))?;
    let permit =
        audit::permit_hidden(app, op, Action::RealNameReview, &target(&filing.account), id, || {
            missing(id)
        })
        .await?;
    Ok((filing, permit))
}

/// One filing, with what speaks for and against it; who decided by the names shown.
pub async fn filing(app: &App, op: &Op, id: &str) -> Result<DeskFiling> {
    let (mut filing, _) = held(app, op, id).await?;
    account::logins_named(app, deciders(&mut filing).into()).await?;
    let known = details(app, &filing.id).await?.unwrap_or_default();
    let holder = app.store.user_get(&filing.account).await?;
    let org = match filing.kind {
        SubjectKind::Company if !known.number.is_empty() => org_of(app, &known.number).await?,
        _ => None,
    };
    Ok(DeskFiling {
        overdue: filing.overdue(op.today()),
        other: verified_elsewhere(app, &filing).await?,
        region: match filing.kind {
            SubjectKind::Company => region_of(app, &known.number).await?,
            SubjectKind::Person => String::new(),
        },
        closed: holder.is_none_or(|a| !a.user.active),
        uses: match filing.state {
            RealNameState::Verified | RealNameState::Revoked => {
                restricted::of_account(app, op, &filing.account).await?
            }
            _ => UsesOfAccount::default(),
        },
        name: known.name,
        representative: known.representative,
        org,
        filing,
    })
}

/// The whole number, for comparing it with the document; recorded.
pub async fn number(app: &App, op: &Op, id: &str) -> Result<String> {
    let (filing, _) = held(app, op, id).await?;
    record(app, op, "realname.number", &filing).await?;
    Ok(details(app, &filing.id).await?.map(|d| d.number).unwrap_or_default())
}

/// A scan of a filing with its content; recorded.
pub async fn evidence_at_desk(
    app: &App,
    op: &Op,
    id: &str,
    file: &str,
) -> Result<(RealNameFile, BoxStream<'static, std::io::Result<Bytes>>)> {
    let (filing, _) = held(app, op, id).await?;
    content(app, op, Some(filing), file).await
}

/// Decides a filing. `seen`: its edit as the caller saw it.
pub async fn decide(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
    order: RealNameOrder,
) -> Result<RealNameFiling> {
    let (mut filing, permit) = held(app, op, id).await?;
    if filing.state != RealNameState::Review {
        return Err(Error::new(
            Code::WrongState,
            format!("该申请{}，不能再审核", filing.state.zh()),
            format!("the filing stands at `{}`", filing.state.en()),
        ));
    }
    if filing.edit != seen {
        return Err(Error::of(Code::Stale));
    }
    let files = std::mem::take(&mut filing.files);
    filing.edit += 1;
    filing.decided_by = op.actor.name().to_owned();
    filing.decided_at = op.stamp();
    let word = match order {
        RealNameOrder::Refuse { reason } => {
            filing.reason = plain("reason", ("理由", "reason"), &reason, 2, 500)?;
            filing.state = RealNameState::Refused;
            app.store.real_name_update(&permit, &filing, seen).await?;
            "realname.refuse"
        }
        RealNameOrder::Approve { region } => {
            filing.state = RealNameState::Verified;
            verify(app, op, &permit, (&filing, seen), region.trim()).await?;
            "realname.approve"
        }
    };
    // What it was decided by is not needed any more; its checksum stands in the record of when it was brought.
    for file in &files {
        upload::forget(app, &file.id).await;
    }
    record(app, op, word, &filing).await?;
    tell(app, op, &filing, "realname.decided").await;
    Ok(filing)
}

/// Keeps that it is them: the identifier and, of an enterprise, its organisation.
async fn verify(
    app: &App,
    op: &Op,
    permit: &Permit,
    (filing, seen): (&RealNameFiling, u64),
    region: &str,
) -> Result<()> {
    if verified_elsewhere(app, filing).await?.is_some() {
        return Err(elsewhere(filing.kind));
    }
    let account = app.store.user_get(&filing.account).await?.filter(|a| a.user.active);
    if account.is_none() {
        return Err(Error::new(
            Code::WrongState,
            "该账号已停用，不能通过",
            "the account is closed: it cannot be approved",
        ));
    }
    let known = details(app, &filing.id).await?;
    let known = known.ok_or_else(|| Error::internal("a filing under review without details"))?;
    let subject = SubjectRow {
        account: filing.account.clone(),
        kind: filing.kind,
        mark: filing.mark.clone(),
        sealed: authorisation::sealed(app, &filing.account, &known.number)?,
        confirmed_by: op.actor.id().to_owned(),
        at: op.stamp(),
    };
    let kept = (filing, seen);
    match filing.kind {
        SubjectKind::Person => app.store.real_name_verify(permit, kept, &subject, None, None).await,
        SubjectKind::Company => {
            let (org, new) = organisation(app, &known, region).await?;
            let entered = new.then_some(&org);
            app.store
                .real_name_verify(permit, kept, &subject, Some(org.id.as_str()), entered)
                .await?;
            // What lists organisations and who belongs to them is read anew.
            app.shares.forget();
            app.accounts.forget();
            if new {
                audit::record(app, audit::event(op, "org.create", &org.id)).await?;
            }
            Ok(())
        }
    }
}

/// The organisation of a company: the one that has its credit code, or a new one (`true`).
async fn organisation(app: &App, known: &RealNameDetails, region: &str) -> Result<(Org, bool)> {
    if let Some(org) = org_of(app, &known.number).await? {
        if org.kind != OrgKind::Enterprise {
            return Err(Error::new(
                Code::RuleBroken,
                format!(
                    "该统一社会信用代码属于公共管理和服务机构“{}”，企业账号不能归属，请驳回",
                    org.name_cn
                ),
                format!(
                    "the credit code is that of the public body `{}`: an enterprise's account cannot belong to it, refuse it",
                    org.id
                ),
            ));
        }
        return Ok((org, false));
    }
    let region = match region {
        "" => region_of(app, &known.number).await?,
        said => said.to_owned(),
    };
    let org = Org {
        id: format!("ent-{}", known.number.to_lowercase()),
        uscc: known.number.clone(),
        name_cn: known.name.clone(),
        name_en: String::new(),
        kind: OrgKind::Enterprise,
        region,
        parent: None,
        authority: false,
    };
    org::check(app, &org).await?;
    Ok((org, true))
}

pub(super) async fn org_of(app: &App, uscc: &str) -> Result<Option<Org>> {
    match app.store.org_of_uscc(uscc).await? {
        Some(id) => app.store.org_get(&id).await,
        None => Ok(None),
    }
}

/// Where a company is registered: characters 3 to 8 of its credit code (GB 32100) or what is above that and known here; otherwise the
/// province.
async fn region_of(app: &App, uscc: &str) -> Result<String> {
    let regions = app.store.regions_list().await?;
    let told = uscc.get(2..8).unwrap_or_default().to_owned();
    let mut above = std::iter::successors(Some(told), |r| region::parent_of(r));
    let known = above.find(|r| regions.iter().any(|known| known.code == *r));
    let province = || regions.iter().find(|r| r.level == RegionLevel::Province);
    Ok(known.or_else(|| province().map(|r| r.code.clone())).unwrap_or_default())
}

/// Login name of another account for which the number is verified.
async fn verified_elsewhere(app: &App, filing: &RealNameFiling) -> Result<Option<String>> {
    let Some(other) = app.store.subject_account(&filing.mark).await? else { return Ok(None) };
    if other == filing.account {
        return Ok(None);
    }
    Ok(Some(app.store.user_get(&other).await?.map_or(other, |known| known.user.name)))
}

fn elsewhere(kind: SubjectKind) -> Error {
    let (zh, en) = match kind {
        SubjectKind::Person => (
            "该身份证号已由另一账号实名认证，不能重复认证，请驳回并说明理由",
            "this identity number is verified for another account: it cannot be verified twice, refuse it with the reason",
        ),
        SubjectKind::Company => (
            "该统一社会信用代码已由另一账号实名认证，请驳回；同一企业的其他人员由系统管理员开通账号",
            "this credit code is verified for another account: refuse it; further people of the enterprise get their accounts from the system administrator",
        ),
    };
    Error::new(Code::RuleBroken, zh, en).with_reasons(vec!["realname.elsewhere".to_owned()])
}

/// Tells the person what was decided, then or later.
pub(super) async fn tell(app: &App, op: &Op, filing: &RealNameFiling, kind: &'static str) {
    let told = Told {
        mark: format!("{kind}:{}", filing.id),
        kind,
        title: filing.state.zh().to_owned(),
        words: filing.reason.clone(),
        href: "/account/realname".to_owned(),
    };
    notice::give(app, op, Ok(vec![filing.account.clone()]), &told).await;
}
