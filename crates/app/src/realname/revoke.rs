//! Revoking a verification (撤销实名认证): the authority takes it back with a reason, such as forged evidence. From then on the account
//! counts as not verified: it applies for no restricted-open data, and its agreements give none from the next call on
//! (*identity-on-use*, [`stands`]) until somebody has confirmed anew who it is. Agreements keep their state: their desks are told, and
//! decide whether there was a breach.

use model::identity::SubjectKind;
use model::realname::{RealNameFiling, RealNameState};
use model::voice::plain;
use model::{Code, Error, Op, Result};

use super::desk::{held, org_of, tell};
use super::details;
use super::file::record;
use crate::{App, authorisation, restricted};

/// Revokes a verification. `seen`: the filing's edit as the caller saw it. An enterprise's account leaves its organisation, its sessions
/// end, and what was authorised in the subject's name since ends with it.
pub async fn revoke(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
    reason: &str,
) -> Result<RealNameFiling> {
    let (mut filing, permit) = held(app, op, id).await?;
    if filing.state != RealNameState::Verified {
        return Err(Error::new(
            Code::WrongState,
            format!("该申请{}，只有已通过的认证可以撤销", filing.state.zh()),
            format!(
                "the filing stands at `{}`: only a verification that stands can be revoked",
                filing.state.en()
            ),
        ));
    }
    if filing.edit != seen {
        return Err(Error::of(Code::Stale));
    }
    let org = match filing.kind {
        SubjectKind::Person => None,
        SubjectKind::Company => {
            let known = details(app, &filing.id).await?.unwrap_or_default();
            org_of(app, &known.number).await?.map(|org| org.id)
        }
    };
    filing.reason = plain("reason", ("理由", "reason"), reason, 2, 500)?;
    filing.state = RealNameState::Revoked;
    filing.edit += 1;
    filing.revoked_by = op.actor.name().to_owned();
    filing.revoked_at = op.stamp();
    let ended = app.store.real_name_revoke(&permit, (&filing, seen), org.as_deref()).await?;
    app.shares.forget();
    app.accounts.forget();
    record(app, op, "realname.revoke", &filing).await?;
    authorisation::voided(app, op, &filing.account, &ended).await?;
    tell(app, op, &filing, "realname.revoked").await;
    restricted::party_revoked(app, op, &filing.account, &filing.id).await;
    Ok(filing)
}

/// Refuses an account whose verification was revoked while nobody has confirmed anew who it is.
pub(crate) async fn stands(app: &App, account: &str, code: Code) -> Result<()> {
    if !app.store.real_name_revoked(account).await? {
        return Ok(());
    }
    Err(Error::new(
        code,
        "申请人的实名认证已被撤销，重新认证前不能申请、也不提供受限开放的数据：/account/realname",
        "the real-name verification of the applicant was revoked: no restricted-open data are applied for or given until it is verified anew: /account/realname",
    )
    .with_reasons(vec!["realname.revoked".to_owned()]))
}
