//! Time stamps over seals (RFC 3161): an authority outside of the house tells at what time a seal was there already.
//!
//! Sealing never waits for it: a seal that got no stamp is shown without, and asked for again at the next turn. The newest comes
//! first, for it says the most: every seal names the root of the one before it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use guard::timestamp::{self, Authorities, Stamped};
use model::audit::AuditFault;
use model::evidence::{Sealed, Stamp};
use model::op::stamp as time;
use model::{Error, Op, Result};
use policy::port::Stamper;
use policy::{Action, Target};

use crate::App;

/// Who stamps the seals of this installation, and whose stamps it trusts. Nobody by itself.
#[derive(Clone, Default)]
pub struct Stamping {
    /// Asked for new stamps.
    pub stamper: Option<Arc<dyn Stamper>>,
    /// Certificates of authorities; those of earlier ones stay among them as long as their stamps are to be believed.
    pub authorities: Option<Authorities>,
}

impl std::fmt::Debug for Stamping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamping").field("asks", &self.stamper.is_some()).finish_non_exhaustive()
    }
}

impl Stamping {
    /// What is wrong with the stamp that is kept for a seal. Without authorities it must be over the seal at least.
    pub(super) fn fault(&self, sealed: &Sealed) -> Option<AuditFault> {
        let kept = sealed.stamp.as_ref()?;
        let token = token(&kept.token);
        let read = token.and_then(|token| match &self.authorities {
            Some(authorities) => timestamp::read(&token, &sealed.statement, authorities),
            None => timestamp::over(&token, &sealed.statement),
        });
        let why = match read {
            Ok(stamped) if told(&kept.token, &stamped) == *kept => return None,
            Ok(_) => Error::invalid(
                "时间戳无效：登记的时间不是令牌所载的时间",
                "the time stamp is not valid: what is kept of it is not what the token says",
            ),
            Err(e) => e,
        };
        let number = sealed.seal.number;
        Some(AuditFault {
            seq: sealed.seal.last,
            kind: "stamp".into(),
            zh: format!("第 {number} 号签章：{}", why.zh()),
            en: format!("seal {number}: {}", why.en()),
        })
    }
}

/// Whether seals are stamped here.
#[must_use]
pub fn stamping(app: &App) -> bool {
    app.evidence.stamping.stamper.is_some()
}

/// Asks for stamps of seals that have none; answers how many came. It ends with the first that does not come.
pub async fn stamp(app: &App, op: &Op) -> Result<u64> {
    let stamping = &app.evidence.stamping;
    let (Some(stamper), Some(authorities)) = (&stamping.stamper, &stamping.authorities) else {
        return Ok(0);
    };
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "seals"))?;
    let mut done = 0;
    for sealed in app.store.seals_unstamped(app.rules.evidence.most_stamps.max(1)).await? {
        let text = &sealed.statement;
        let asked = timestamp::ask(text, guard::keys::random()?)?;
        let answer = stamper.ask(&asked.query).await?;
        let (token, stamped) = timestamp::answered(&answer, &asked, text, authorities)?;
        let kept = told(&BASE64.encode(token), &stamped);
        app.store.seal_stamp(&permit, sealed.seal.number, &kept).await?;
        done += 1;
    }
    Ok(done)
}

/// Checks a stamp (its token in base64) over a seal's statement by the authorities' certificates, without the platform.
pub fn read_stamp(text: &str, statement: &str, authorities: &Authorities) -> Result<Stamp> {
    let stamped = timestamp::read(&token(text)?, statement.trim(), authorities)?;
    Ok(told(text.trim(), &stamped))
}

/// A stamp's token in DER.
pub fn stamp_token(stamp: &Stamp) -> Result<Vec<u8>> {
    token(&stamp.token)
}

fn token(text: &str) -> Result<Vec<u8>> {
    BASE64.decode(text.trim()).map_err(|e| {
        Error::invalid(
            "时间戳无效：令牌应为 base64 文本",
            "the time stamp is not valid: a token in base64 is expected",
        )
        .caused_by(e)
    })
}

/// What is kept of a token.
fn told(token: &str, stamped: &Stamped) -> Stamp {
    Stamp {
        token: token.to_owned(),
        at: time(stamped.at),
        authority: stamped.authority.clone(),
        serial: stamped.serial.clone(),
        policy: stamped.policy.clone(),
    }
}
