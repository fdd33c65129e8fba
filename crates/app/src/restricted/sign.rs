//! Signatures under papers: by a key that the party registered, by a scanned seal with a typed confirmation, or, for a counterparty
//! without a key, by the platform's evidence key. A signature that does not fit is refused with the reason, and recorded.

use guard::detached;
use model::restricted::{
    PaperKind, PaperSigner, PaperStatement, SignWay, SigningKey, UseApplication, UseDeed, UsePaper,
    UseSide, UseSignature,
};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use super::act::{Acting, UseOrder};
use super::{applicant, may_file, stale};
use crate::{App, account, audit, evidence};

/// The signature that an order puts under its paper.
pub(super) async fn signature(
    app: &App,
    op: &Op,
    a: &UseApplication,
    acting: &Acting,
    order: &UseOrder,
) -> Result<(PaperKind, UseSignature)> {
    let unsigned = || Error::internal("a deed that signs nothing");
    let kind = order.deed.signs().ok_or_else(unsigned)?;
    let paper =
        a.paper(kind).ok_or_else(|| Error::internal("an approved application without papers"))?;
    // Whoever signs has this very text before them.
    if !order.digest.trim().eq_ignore_ascii_case(&paper.sm3) {
        return Err(stale());
    }
    let signer = match order.deed {
        UseDeed::Countersign => PaperSigner::Counterparty,
        _ => PaperSigner::Applicant,
    };
    let party = match acting.side {
        UseSide::Applicant => a.party.clone(),
        _ => app.store.org_get(&acting.org).await?.map(|o| o.name_cn).unwrap_or_default(),
    };
    let mut made = UseSignature {
        signer,
        way: order.way.unwrap_or(SignWay::Key),
        party,
        org: acting.org.clone(),
        by: op.actor.id().to_owned(),
        by_name: account::shown(app, op).await?,
        at: op.stamp(),
        algorithm: None,
        key: String::new(),
        signature: String::new(),
        scan: String::new(),
    };
    let holder = holder(&acting.org, op.actor.id());
    let checked = match made.way {
        SignWay::Key => by_key(app, a, paper, &holder, order, &mut made).await,
        SignWay::Seal => by_seal(app, op, a, paper, order, &mut made),
        SignWay::Platform => by_platform(app, paper, &holder, &mut made).await,
    };
    if let Err(refusal) = checked {
        audit::refused(app, op, "restricted.sign", &paper.number, &refusal).await?;
        return Err(refusal);
    }
    Ok((kind, made))
}

fn holder(org: &str, account: &str) -> String {
    if org.is_empty() { format!("account:{account}") } else { format!("org:{org}") }
}

async fn by_key(
    app: &App,
    a: &UseApplication,
    paper: &UsePaper,
    holder: &str,
    order: &UseOrder,
    made: &mut UseSignature,
) -> Result<()> {
    let key = app.store.signing_key(holder).await?.ok_or_else(|| {
        Error::invalid("请先登记签名公钥", "register a public key for signing first").field(
            "signature",
            "没有登记公钥",
            "no key is registered",
        )
    })?;
    let fits = |paper: &UsePaper| {
        let digest = paper.digest(key.algorithm).as_bytes();
        detached::verifies(key.algorithm, &key.public, digest, &order.signature)
    };
    if !fits(paper) {
        // Told apart for the signer's sake: the right key under the wrong paper.
        let other = a.papers.iter().any(|p| p.kind != paper.kind && fits(p));
        let (zh, en) = match other {
            true => (
                "签名属于另一份文书，请对本文书的摘要签名",
                "the signature is under the other paper: sign this one's digest",
            ),
            false => (
                "签名与本文书不符：签名有误、所签的不是本文书现在的摘要，或不是登记的密钥所签",
                "the signature does not fit this paper: it is malformed, over another digest, or not by the registered key",
            ),
        };
        return Err(Error::new(Code::RuleBroken, zh, en)
            .field("signature", "请重新签名", "sign again")
            .with_reasons(vec!["signature".to_owned()]));
    }
    made.algorithm = Some(key.algorithm);
    made.key = key.public;
    made.signature = order.signature.split_whitespace().collect();
    Ok(())
}

fn by_seal(
    app: &App,
    op: &Op,
    a: &UseApplication,
    paper: &UsePaper,
    order: &UseOrder,
    made: &mut UseSignature,
) -> Result<()> {
    let of = format!("seal:{}", paper.kind);
    let mine = |f: &&model::restricted::UseFile| f.of == of && f.by == op.actor.id();
    let scan = a.files.iter().rev().find(mine).ok_or_else(|| {
        Error::invalid("请先上传加盖印章的扫描件", "upload the scan of the sealed paper first")
            .field("file", "没有扫描件", "there is no scan")
    })?;
    let phrase = &app.rules.restricted.confirm;
    let said = order.confirm.trim();
    if said != phrase.zh && said != phrase.en {
        return Err(Error::invalid(
            format!("请输入“{}”以确认", phrase.zh),
            format!("type “{}” to confirm", phrase.en),
        )
        .field("confirm", "确认语不符", "the phrase is another"));
    }
    made.scan.clone_from(&scan.checksum);
    Ok(())
}

async fn by_platform(
    app: &App,
    paper: &UsePaper,
    holder: &str,
    made: &mut UseSignature,
) -> Result<()> {
    if made.signer != PaperSigner::Counterparty || app.store.signing_key(holder).await?.is_some() {
        return Err(Error::invalid(
            "平台存证密钥只供未登记公钥的数据开放方使用，请用本单位的密钥签名或上传签章扫描件",
            "the platform's key signs only for a counterparty that has registered none: sign by your own key or upload a sealed scan",
        )
        .field("way", "请改选", "choose another way"));
    }
    let statement = PaperStatement {
        number: paper.number.clone(),
        sm3: paper.sm3.clone(),
        sha256: paper.sha256.clone(),
        party: made.party.clone(),
        by_name: made.by_name.clone(),
        at: made.at.clone(),
    };
    made.algorithm = Some(evidence::signing(app));
    made.signature = evidence::sign_paper(app, &statement)?;
    Ok(())
}

/// The permit to sign for the caller's side, and the holder of its key.
async fn signing(app: &App, op: &Op) -> Result<(Permit, String)> {
    if may_file(app, op) {
        let (permit, party) = applicant(app, op).await?;
        return Ok((permit, holder(&party.org, op.actor.id())));
    }
    let org = op.actor.org().unwrap_or_default();
    let own = Target::of_org("Restricted", "key", org);
    if !org.is_empty() && app.may(op, Action::RestrictedReview, &own) {
        let permit = audit::permit(app, op, Action::RestrictedReview, &own).await?;
        return Ok((permit, holder(org, "")));
    }
    // An authority signs for its own organisation, whatever the region of the data.
    let region = op.actor.region().map(str::to_owned);
    let own = Target { region, ..own };
    let permit = audit::permit(app, op, Action::RestrictedOversee, &own).await?;
    Ok((permit, holder(org, op.actor.id())))
}

/// Registers a public key (hex or PEM) by which the caller's organisation, or the caller, signs; a former one signs no more, what it
/// has signed stays signed.
pub async fn register_key(app: &App, op: &Op, text: &str) -> Result<SigningKey> {
    let (permit, holder) = signing(app, op).await?;
    let (algorithm, public) = detached::read_key(text)?;
    let key = SigningKey {
        holder,
        algorithm,
        public,
        at: op.stamp(),
        by: op.actor.id().to_owned(),
        by_name: op.actor.name().to_owned(),
    };
    app.store.signing_key_put(&permit, &key).await?;
    let mut record = audit::event(op, "restricted.key", &key.holder);
    record.scope = format!("{} {}", key.algorithm, key.public);
    audit::record(app, record).await?;
    Ok(key)
}

/// The key that is registered for the caller's side.
pub async fn signing_key(app: &App, op: &Op) -> Result<Option<SigningKey>> {
    let org = op.actor.org().unwrap_or_default();
    app.store.signing_key(&holder(org, op.actor.id())).await
}
