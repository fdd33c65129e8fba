//! Evidence (存证): signed receipts of answers, and signed seals over the audit chain, checked by anyone without the platform.
//!
//! ```text
//! receipt   one answer bound to its call                      keys    what receipts and seals are checked by
//! seal      a recurring job: what the chain grew by since the last seal, under one root
//! stamp     the same job: the time stamps of an outside authority over seals that have none yet
//! seals     for auditors                                      proof   a record, its path, the seal over it and that one's stamp
//! attest    what a turn of a delivery brought                 read    a statement, a proof or a stamp, offline
//! ```
//!
//! There are two keys, of SM2 and of Ed25519. What is signed by is configured; who asks for a receipt may name either.

mod stamp;

use guard::evidence::{self, Notary, PublicKey, Roots, StatementKind, Tree};
use guard::hash::sm3_hex;
use guard::signature::Algorithm;
use model::audit::AuditFault;
use model::delivery::DeliveryReceipt;
use model::evidence::{Proof, Receipt, Seal, Sealed};
use model::restricted::{PaperStatement, SigningAlgorithm};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::{Deserialize, Serialize};

pub use self::stamp::{Stamping, read_stamp, stamp, stamp_token, stamping};
use crate::{App, Page, audit};

/// Rules of evidence (`rules/evidence.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct EvidenceRules {
    pub effective: String,
    /// Records under one seal at most.
    pub most_records: u32,
    /// Bytes of an answer that gets a receipt, at most.
    pub most_bytes: u64,
    /// Time stamps asked for in one turn, at most.
    #[serde(default = "most_stamps")]
    pub most_stamps: u32,
}

/// For rule files that were written before there were time stamps.
fn most_stamps() -> u32 {
    100
}

/// Records read at once.
const PIECE: u32 = 5_000;

/// The signer of this installation, and who stamps its seals.
#[derive(Debug)]
pub struct Memory {
    notary: Notary,
    stamping: Stamping,
}

impl Memory {
    /// `signing` is what is signed by where nobody asked for another.
    pub fn new(
        keys: &guard::KeyRing,
        signing: SigningAlgorithm,
        stamping: Stamping,
    ) -> Result<Self> {
        Ok(Self { notary: Notary::new(keys, signing)?, stamping })
    }
}

/// A public key as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyText {
    pub kid: String,
    /// `SM2` or `Ed25519`.
    pub algorithm: String,
    /// Identity of the signer in SM2; empty for Ed25519, which knows none.
    #[serde(default)]
    pub identity: String,
    /// Of SM2 the uncompressed point, 130 hex digits; of Ed25519 64.
    pub public_key: String,
}

impl KeyText {
    /// The key that statements are checked by. Fails where the text is no key of its algorithm, or that one is not known.
    pub fn read(&self) -> Result<PublicKey> {
        PublicKey::read(&self.algorithm, &self.public_key)
    }
}

/// Keys by which statements of this installation are checked, that of SM2 first. Anybody may have them.
#[must_use]
pub fn keys(app: &App) -> Vec<KeyText> {
    let text = |key: &PublicKey| KeyText {
        kid: key.id.clone(),
        algorithm: key.algorithm.en().into(),
        identity: match key.algorithm {
            SigningAlgorithm::Sm2 => evidence::IDENTITY.into(),
            SigningAlgorithm::Ed25519 => String::new(),
        },
        public_key: key.hex.clone(),
    };
    app.evidence.notary.keys().iter().map(text).collect()
}

/// What this process signs by where nobody asked for another.
#[must_use]
pub fn signing(app: &App) -> SigningAlgorithm {
    app.evidence.notary.signing()
}

/// The algorithm of a name: `sm2` or `ed25519`. Fails, naming both, for any other.
pub fn algorithm(name: &str) -> Result<SigningAlgorithm> {
    evidence::algorithm(name)
}

/// The text of a call that its caller did not sign: that of one that is signed by HMAC-SHA256, with empty lines for time stamp and
/// nonce. `query` is raw, without `?`.
#[must_use]
pub fn plain_call(method: &str, path: &str, query: &str, body: &[u8]) -> String {
    format!("{method}\n{path}\n{query}\n{}\n\n", Algorithm::HmacSha256.body_hash(body))
}

/// The signed receipt of an answer to a call of this text, by the algorithm that was asked for, if any. `told` brings what the door
/// knows of caller and answer; time and hashes are filled in.
pub fn witness(
    app: &App,
    by: Option<SigningAlgorithm>,
    call: &str,
    answer: &[u8],
    told: Receipt,
) -> Result<String> {
    let receipt = Receipt {
        at: app.op(model::Actor::Nobody, "-").stamp(),
        request_hash: sm3_hex(call.as_bytes()),
        answer_hash: sm3_hex(answer),
        answer_bytes: answer.len() as u64,
        ..told
    };
    let by = by.unwrap_or_else(|| signing(app));
    app.evidence.notary.sign_by(by, StatementKind::Receipt, &json(&receipt)?)
}

/// The signed receipt of a turn of a delivery.
pub(crate) fn attest(app: &App, receipt: &DeliveryReceipt) -> Result<String> {
    app.evidence.notary.sign(StatementKind::Delivery, &json(receipt)?)
}

/// The signed statement that a party has signed a paper through the platform.
pub(crate) fn sign_paper(app: &App, paper: &PaperStatement) -> Result<String> {
    app.evidence.notary.sign(StatementKind::Paper, &json(paper)?)
}

/// Seals what the chain grew by since the last seal; answers how many records. A stretch whose records do not stand behind each other is
/// not sealed. What each says is held against its hash when a record is proved, and when the chain is verified: under load records come
/// by tens of thousands a second.
pub async fn seal(app: &App, op: &Op) -> Result<u64> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "seals"))?;
    let mut sealed = 0;
    loop {
        let last = app.store.seal_newest().await?.map(|kept| kept.seal).unwrap_or_default();
        let genesis = || guard::chain::GENESIS.to_owned();
        let mut head = if last.number == 0 { genesis() } else { last.head.clone() };
        let (mut end, mut tree) = (last.last, Roots::default());
        while tree.len() < u64::from(app.rules.evidence.most_records) {
            let links = app.store.audit().links(&permit, end, &head, PIECE).await?;
            for hash in links.hashes() {
                tree.push(hash)?;
            }
            let Some(newest) = links.hashes().next_back() else { break };
            (end, head) = (links.last, newest.to_owned());
        }
        if tree.is_empty() {
            return Ok(sealed);
        }
        let seal = Seal {
            number: last.number + 1,
            first: last.last + 1,
            last: end,
            root: tree.root(),
            head,
            previous: last.root,
            at: op.stamp(),
        };
        let statement = app.evidence.notary.sign(StatementKind::Seal, &json(&seal)?)?;
        app.store.seal_insert(&permit, &Sealed { seal, statement, stamp: None }).await?;
        sealed += tree.len();
    }
}

/// Seals, newest first.
pub async fn seals(app: &App, op: &Op, before: Option<i64>, limit: u32) -> Result<Page<Sealed>> {
    audit::permit(app, op, Action::AuditRead, &Target::plain("Audit", "seals")).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let items = app.store.seals(before, limit + 1).await?;
    Ok(Page::cut(items, limit, |kept| kept.seal.number.to_string()))
}

/// Proves that a record stands in the chain. It must lie under a seal already.
pub async fn proof(app: &App, op: &Op, record: i64) -> Result<Proof> {
    let target = Target::plain("Audit", "audit");
    let permit = audit::permit(app, op, Action::AuditExport, &target).await?;
    let (before, kept) = app.store.seal_over(record).await?;
    let kept = kept.filter(|kept| kept.seal.first <= record).ok_or_else(|| {
        Error::new(
            Code::NotFound,
            format!("第 {record} 条审计记录尚未签章（或不存在），请稍后再试"),
            format!("audit record {record} is not sealed yet (or is not there): try again in a few minutes"),
        )
    })?;
    let seal = &kept.seal;
    let before = before.map_or_else(|| guard::chain::GENESIS.to_owned(), |b| b.seal.head);
    let (mut tree, mut end, mut head, mut found) = (Tree::default(), seal.first - 1, before, None);
    while end < seal.last {
        let records = app.store.audit().stretch(&permit, end, &head, PIECE).await?;
        let Some(newest) = records.last() else { break };
        (end, head) = (newest.seq, newest.hash.clone());
        for one in records.into_iter().filter(|one| one.seq <= seal.last) {
            tree.push(&one.hash)?;
            if one.seq == record {
                found = Some(one);
            }
        }
    }
    let path = u64::try_from(record - seal.first).ok().and_then(|index| tree.path(index));
    let (Some(record), Some(path)) = (found, path.filter(|_| tree.root() == seal.root)) else {
        return Err(Error::new(
            Code::AuditUnavailable,
            format!("第 {} 至 {} 条审计记录与其签章不符，请校验审计链", seal.first, seal.last),
            format!(
                "audit records {} to {} are not those that were sealed: verify the chain",
                seal.first, seal.last
            ),
        ));
    };
    let mut told = audit::event(op, "audit.prove", &record.seq.to_string());
    told.rows = 1;
    audit::record(app, told).await?;
    Ok(Proof { record, path, seal: kept.statement, stamp: kept.stamp.map(|s| s.token) })
}

/// What the chain is held against.
pub(crate) struct Anchors {
    /// Number and hash of the last record under each seal, in order: what the chain must still be.
    pub(crate) records: Vec<(i64, String)>,
    /// The first seal whose time stamp is not over it.
    pub(crate) fault: Option<AuditFault>,
}

/// The seals, checked. One that is not ours is told.
pub(crate) async fn anchors(app: &App) -> Result<Anchors> {
    let keys = app.evidence.notary.keys();
    let (mut anchors, mut before) = (Anchors { records: Vec::new(), fault: None }, None);
    loop {
        let kept = app.store.seals(before, 1000).await?;
        let Some(oldest) = kept.last() else { break };
        before = Some(oldest.seal.number);
        for one in kept {
            let seal = match read(&one.statement, keys)? {
                Statement::Seal(seal) if seal == one.seal => seal,
                _ => return Err(not_what_it_says()),
            };
            anchors.fault = app.evidence.stamping.fault(&one).or(anchors.fault);
            anchors.records.push((seal.last, seal.head));
        }
    }
    anchors.records.reverse();
    Ok(anchors)
}

/// A statement that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    Receipt(Receipt),
    Seal(Seal),
    Delivery(Box<DeliveryReceipt>),
    Paper(PaperStatement),
}

/// Checks a statement by public keys, without the platform.
pub fn read(text: &str, keys: &[PublicKey]) -> Result<Statement> {
    read_signed(text, keys).map(|(statement, _)| statement)
}

/// The same, with what it is signed by.
pub fn read_signed(text: &str, keys: &[PublicKey]) -> Result<(Statement, SigningAlgorithm)> {
    let checked = evidence::read(text, keys)?;
    let payload = checked.payload.as_str();
    let malformed = |e| not_what_it_says().caused_by(e);
    let statement = match checked.kind {
        StatementKind::Receipt => {
            Statement::Receipt(serde_json::from_str(payload).map_err(malformed)?)
        }
        StatementKind::Seal => Statement::Seal(serde_json::from_str(payload).map_err(malformed)?),
        StatementKind::Delivery => {
            Statement::Delivery(serde_json::from_str(payload).map_err(malformed)?)
        }
        StatementKind::Paper => Statement::Paper(serde_json::from_str(payload).map_err(malformed)?),
    };
    Ok((statement, checked.algorithm))
}

/// Checks a proof by public keys, without the platform: the seal's signature, the record's hash, its path to the root.
pub fn read_proof(proof: &Proof, keys: &[PublicKey]) -> Result<Seal> {
    let Statement::Seal(seal) = read(&proof.seal, keys)? else { return Err(not_what_it_says()) };
    let record = &proof.record;
    let hash = guard::chain::digest(&record.prev_hash, record.seq, &record.event);
    let index = u64::try_from(record.seq - seal.first).unwrap_or(u64::MAX);
    if hash != record.hash || !evidence::proves(&seal.root, seal.count(), index, &hash, &proof.path)
    {
        return Err(Error::invalid(
            "审计记录与签章不符：记录、路径或签章被改动过",
            "the record is not under the seal: record, path or seal were altered",
        ));
    }
    Ok(seal)
}

/// Checks that the call of a receipt is the record of a proof, without the platform: a receipt is signed by the platform alone, the
/// record stands under a seal (and where that one is stamped, no later than its time).
pub fn recorded(receipt: &Receipt, proof: &Proof, keys: &[PublicKey]) -> Result<Seal> {
    let seal = read_proof(proof, keys)?;
    let event = &proof.record.event;
    if event.trace_id != receipt.request_id || event.app_key != receipt.application {
        return Err(Error::invalid(
            format!("第 {} 条审计记录不是该回执所载调用的记录", proof.record.seq),
            format!(
                "audit record {} is not of the call that the receipt is about",
                proof.record.seq
            ),
        ));
    }
    Ok(seal)
}

fn not_what_it_says() -> Error {
    Error::invalid("存证声明的内容与其类型不符", "the statement does not hold what its kind says")
}

fn json(of: &impl Serialize) -> Result<String> {
    serde_json::to_string(of).map_err(|e| Error::internal("evidence").caused_by(e))
}
