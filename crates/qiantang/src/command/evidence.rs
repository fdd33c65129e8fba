//! `qiantang evidence`: seal the audit chain, prove a record, and check receipts, seals and proofs offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use app::evidence::{self, KeyText, Statement};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Subcommand;
use guard::evidence::PublicKey;
use guard::timestamp::Authorities;
use model::evidence::{Proof, Stamp};
use model::{Error, Result};
use serde::Deserialize;

use super::{Place, out, out_json};

/// Receipts of answers, seals over the audit chain, and their check. 存证与核验。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang evidence verify receipt.txt --keys keys.json --answer answer.json"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a receipt, a seal or a proof, signed by SM2 or Ed25519; needs no platform and no network. 离线核验（SM2、Ed25519）。
    #[command(
        after_help = "Example 示例: qiantang evidence verify receipt.txt --keys keys.json --answer answer.json\n             qiantang evidence verify seal-7.txt --keys keys.json --stamp seal-7.tst --authorities tsa.pem"
    )]
    Verify(Check),
    /// Prove that an audit record stands in the chain. 出具证明。
    #[command(after_help = "Example 示例: qiantang evidence prove 1024 --as auditor")]
    Prove {
        /// Number of the record. 记录序号。
        record: i64,
    },
    /// Print the public keys (SM2, Ed25519). 公钥。
    #[command(after_help = "Example 示例: qiantang evidence keys")]
    Keys,
    /// List seals and their time stamps, newest first. 签章与时间戳列表。
    #[command(after_help = "Example 示例: qiantang evidence seals --as auditor --json")]
    Seals,
}

/// What is checked, and by what.
#[derive(Debug, clap::Args)]
struct Check {
    /// The statement (the header X-Qt-Evidence), or a proof as JSON. 存证文件。
    file: PathBuf,
    /// The platform's public keys, as /evidence/keys answers them. 公钥文件。
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Of a receipt: the answer as it was received; its hash must be the receipt's. 应答内容。
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// Of a receipt: the call's text as it was signed (of a call by token, certificate or the older convention: with empty lines for
    /// time stamp and nonce); its hash must be the receipt's. 请求的签名原文（令牌、证书等方式的时间戳与随机数两行为空）。
    #[arg(long, value_name = "FILE")]
    call: Option<PathBuf>,
    /// Of a receipt: proof of the audit record of its call, which says when it was there already. 该调用审计记录的证明。
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Of a seal: the token of the time stamp over it (DER or base64); a proof brings its own. 签章的时间戳令牌。
    #[arg(long, value_name = "FILE")]
    stamp: Option<PathBuf>,
    /// Certificates (PEM) of the time-stamp authorities you trust: stamps are checked by them. 所信任的时间戳机构证书。
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    if let Action::Verify(check) = &args.action {
        return check.run(args.json);
    }
    let (house, op) = args.place.look().await?;
    match &args.action {
        Action::Verify(_) => {}
        Action::Prove { record } => out_json(&evidence::proof(&house.app, &op, *record).await?)?,
        Action::Keys => out_json(&serde_json::json!({ "keys": evidence::keys(&house.app) }))?,
        Action::Seals => {
            let seals = evidence::seals(&house.app, &op, None, 500).await?.items;
            if args.json {
                out_json(&seals)?;
            } else {
                for one in seals {
                    let seal = one.seal;
                    let stamp = match &one.stamp {
                        Some(stamp) => format!("时间戳 stamped {} ({})", stamp.at, stamp.authority),
                        None => "无时间戳 not stamped".to_owned(),
                    };
                    out(&format!(
                        "{}  {}  {}–{}  root {}  {stamp}",
                        seal.number, seal.at, seal.first, seal.last, seal.root
                    ));
                }
            }
        }
    }
    house.close().await;
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<KeyText>,
}

/// A time stamp that came along.
enum Stamped {
    /// It is over the seal, by one of the authorities.
    By(Stamp),
    /// There is one, and nobody said whose stamps are trusted.
    Unchecked,
    None,
}

impl Stamped {
    fn tell(&self) {
        match self {
            Self::By(stamp) => out(&format!(
                "时间戳 time stamp: 该签章不晚于 the seal was there at {} ({}, serial {})",
                stamp.at, stamp.authority, stamp.serial
            )),
            Self::Unchecked => out(
                "附有时间戳，未核验；请以 --authorities 给出所信任机构的证书 / there is a time stamp, not checked: name the authorities you trust by --authorities",
            ),
            Self::None => out("没有时间戳 no time stamp"),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::By(stamp) => {
                serde_json::json!({ "checked": true, "at": stamp.at, "authority": stamp.authority, "serial": stamp.serial, "policy": stamp.policy })
            }
            Self::Unchecked => serde_json::json!({ "checked": false }),
            Self::None => serde_json::Value::Null,
        }
    }
}

impl Check {
    fn run(&self, json: bool) -> Result<ExitCode> {
        let keys = self.keys()?;
        let text = String::from_utf8_lossy(&read(&self.file)?).trim().to_owned();
        if let Ok(proof) = serde_json::from_str::<Proof>(&text) {
            self.fits(
                "--answer --call --proof --stamp",
                [&self.answer, &self.call, &self.proof, &self.stamp],
            )?;
            let seal = evidence::read_proof(&proof, &keys)?;
            let stamped = self.stamped(proof.stamp.as_deref(), &proof.seal)?;
            if json {
                out_json(
                    &serde_json::json!({ "valid": true, "kind": "proof", "record": proof.record, "seal": seal, "stamp": stamped.json() }),
                )?;
            } else {
                out(&format!(
                    "属实 valid: 第 record {} 条审计记录在第 seal {} 号签章（{}）之下",
                    proof.record.seq, seal.number, seal.at
                ));
                stamped.tell();
            }
            return Ok(ExitCode::SUCCESS);
        }
        // The header as a whole line is taken, too.
        let bare = text.rsplit([' ', ':']).next().unwrap_or_default();
        let (statement, algorithm) = evidence::read_signed(bare, &keys)?;
        let (recorded, stamped) = match &statement {
            Statement::Receipt(receipt) => {
                self.fits("--stamp", [&self.stamp])?;
                hashed(self.answer.as_deref(), &receipt.answer_hash, "应答内容", "the answer")?;
                hashed(self.call.as_deref(), &receipt.request_hash, "请求原文", "the call")?;
                match &self.proof {
                    Some(path) => {
                        let proof = proof(path)?;
                        let seal = evidence::recorded(receipt, &proof, &keys)?;
                        let stamped = self.stamped(proof.stamp.as_deref(), &proof.seal)?;
                        (Some((proof.record.seq, seal)), stamped)
                    }
                    None => {
                        self.fits("--authorities", [&self.authorities])?;
                        (None, Stamped::None)
                    }
                }
            }
            Statement::Seal(_) => {
                self.fits("--answer --call --proof", [&self.answer, &self.call, &self.proof])?;
                let token = self.stamp.as_deref().map(token).transpose()?;
                (None, self.stamped(token.as_deref(), bare)?)
            }
            // What a turn of a delivery brought, or a paper signed through the platform, stands by its signature alone.
            Statement::Delivery(_) | Statement::Paper(_) => {
                self.fits(
                    "--answer --call --proof --stamp --authorities",
                    [&self.answer, &self.call, &self.proof, &self.stamp, &self.authorities],
                )?;
                (None, Stamped::None)
            }
        };
        if json {
            let recorded = recorded
                .map(|(record, seal)| serde_json::json!({ "record": record, "seal": seal }));
            out_json(
                &serde_json::json!({ "valid": true, "algorithm": algorithm, "statement": statement, "recorded": recorded, "stamp": stamped.json() }),
            )?;
        } else {
            out(&format!("属实 valid ({})", algorithm.en()));
            out_json(&statement)?;
            if let Some((record, seal)) = &recorded {
                out(&format!(
                    "该调用即第 the call is record {record} 条审计记录，在第 under seal {} 号签章（{}）之下",
                    seal.number, seal.at
                ));
            }
            // A receipt alone has none.
            if recorded.is_some() || matches!(statement, Statement::Seal(_)) {
                stamped.tell();
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn keys(&self) -> Result<Vec<PublicKey>> {
        let file = self.keys.display();
        let told: Keys = serde_json::from_slice(&read(&self.keys)?).map_err(|e| {
            Error::invalid(
                format!("{file} 不是公钥文件：应为 /evidence/keys 的应答"),
                format!("{file} holds no public keys: it should be the answer of /evidence/keys"),
            )
            .caused_by(e)
        })?;
        told.keys
            .iter()
            .map(|key| {
                let of_file = |e: Error| {
                    Error::invalid(
                        format!("{file} 中编号 {} 的公钥：{}", key.kid, e.zh()),
                        format!("{file}, public key {}: {}", key.kid, e.en()),
                    )
                };
                key.read().map_err(of_file)
            })
            .collect()
    }

    /// A token over a seal's statement, checked where it is said whose are trusted.
    fn stamped(&self, token: Option<&str>, statement: &str) -> Result<Stamped> {
        match (token, &self.authorities) {
            (None, None) => Ok(Stamped::None),
            (Some(_), None) => Ok(Stamped::Unchecked),
            (None, Some(_)) => Err(Error::invalid(
                "没有可核验的时间戳：该签章尚未盖时间戳，或未以 --stamp 给出令牌",
                "there is no time stamp to check: the seal has none yet, or its token was not given by --stamp",
            )),
            (Some(token), Some(path)) => {
                let authorities = Authorities::from_pem(&String::from_utf8_lossy(&read(path)?))?;
                evidence::read_stamp(token, statement, &authorities).map(Stamped::By)
            }
        }
    }

    /// What is given must have something to be held against: silence would look like a check.
    fn fits<const N: usize>(&self, names: &str, given: [&Option<PathBuf>; N]) -> Result<()> {
        if given.iter().all(|one| one.is_none()) {
            return Ok(());
        }
        let file = self.file.display();
        Err(Error::invalid(
            format!("{file} 的种类用不上 {names} 中所给的文件"),
            format!("what was given by {names} has nothing to be held against in {file}"),
        ))
    }
}

fn proof(path: &Path) -> Result<Proof> {
    serde_json::from_slice(&read(path)?).map_err(|e| {
        Error::invalid(
            format!("{} 不是证明：应为 evidence prove 的输出", path.display()),
            format!("{} is no proof: it should be what `evidence prove` prints", path.display()),
        )
        .caused_by(e)
    })
}

/// A token as base64, from a file that holds it as DER or as base64.
fn token(path: &Path) -> Result<String> {
    let bytes = read(path)?;
    // Base64 of DER begins with `M`.
    Ok(match bytes.first() {
        Some(0x30) => BASE64.encode(bytes),
        _ => String::from_utf8_lossy(&bytes).trim().to_owned(),
    })
}

/// A file's hash must be the receipt's.
fn hashed(given: Option<&Path>, hash: &str, zh: &str, en: &str) -> Result<()> {
    let Some(path) = given else { return Ok(()) };
    if guard::hash::sm3_hex(&read(path)?) == hash {
        return Ok(());
    }
    Err(Error::invalid(
        format!("{zh}与回执不符：{} 的摘要不是回执所载", path.display()),
        format!("{en} is not the receipt's: the hash of {} is another", path.display()),
    ))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        Error::invalid(
            format!("无法读取 {}：{e}", path.display()),
            format!("cannot read {}: {e}", path.display()),
        )
    })
}
