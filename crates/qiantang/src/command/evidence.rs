//! `qiantang evidence`: seal the audit chain, prove a record, and check receipts, seals and proofs offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use app::evidence::{self, KeyText, Statement};
use clap::Subcommand;
use guard::evidence::PublicKey;
use model::evidence::Proof;
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
    /// Check a receipt, a seal or a proof; needs no platform and no network. 离线核验。
    #[command(
        after_help = "Example 示例: qiantang evidence verify receipt.txt --keys keys.json --answer answer.json"
    )]
    Verify {
        /// The statement (the header X-Qt-Evidence), or a proof as JSON. 存证文件。
        file: PathBuf,
        /// The platform's public keys, as /evidence/keys answers them. 公钥文件。
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
        /// The answer as it was received; its hash must be the receipt's. 应答内容。
        #[arg(long, value_name = "FILE")]
        answer: Option<PathBuf>,
        /// The call's text as it was signed; its hash must be the receipt's. 请求的签名原文。
        #[arg(long, value_name = "FILE")]
        call: Option<PathBuf>,
    },
    /// Prove that an audit record stands in the chain. 出具证明。
    #[command(after_help = "Example 示例: qiantang evidence prove 1024 --as auditor")]
    Prove {
        /// Number of the record. 记录序号。
        record: i64,
    },
    /// Print the public keys. 公钥。
    #[command(after_help = "Example 示例: qiantang evidence keys")]
    Keys,
    /// List seals, newest first. 签章列表。
    #[command(after_help = "Example 示例: qiantang evidence seals --json")]
    Seals,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    if let Action::Verify { file, keys, answer, call } = &args.action {
        return verify(&args, file, keys, answer.as_deref(), call.as_deref());
    }
    let (house, op) = args.place.look().await?;
    match &args.action {
        Action::Verify { .. } => {}
        Action::Prove { record } => out_json(&evidence::proof(&house.app, &op, *record).await?)?,
        Action::Keys => out_json(&serde_json::json!({ "keys": evidence::keys(&house.app) }))?,
        Action::Seals => {
            let seals = evidence::seals(&house.app, &op, None, 500).await?.items;
            if args.json {
                out_json(&seals)?;
            } else {
                for one in seals {
                    let seal = one.seal;
                    out(&format!(
                        "{}  {}  {}–{}  root {}",
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

fn verify(
    args: &Args,
    file: &Path,
    keys: &Path,
    answer: Option<&Path>,
    call: Option<&Path>,
) -> Result<ExitCode> {
    let told: Keys = serde_json::from_slice(&read(keys)?).map_err(|e| {
        Error::invalid(
            format!("{} 不是公钥文件：应为 /evidence/keys 的应答", keys.display()),
            format!(
                "{} holds no public keys: it should be the answer of /evidence/keys",
                keys.display()
            ),
        )
        .caused_by(e)
    })?;
    let keys: Vec<PublicKey> = told.keys.iter().map(|key| PublicKey::of(&key.public_key)).collect();
    let text = String::from_utf8_lossy(&read(file)?).trim().to_owned();
    if let Ok(proof) = serde_json::from_str::<Proof>(&text) {
        let seal = evidence::read_proof(&proof, &keys)?;
        if args.json {
            out_json(
                &serde_json::json!({ "valid": true, "kind": "proof", "record": proof.record, "seal": seal }),
            )?;
        } else {
            out(&format!(
                "属实 valid: 第 record {} 条审计记录在第 seal {} 号签章（{}）之下",
                proof.record.seq, seal.number, seal.at
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    // The header as a whole line is taken, too.
    let bare = text.rsplit([' ', ':']).next().unwrap_or_default();
    let statement = evidence::read(bare, &keys)?;
    if let Statement::Receipt(receipt) = &statement {
        for (given, hash, zh, en) in [
            (answer, &receipt.answer_hash, "应答内容", "the answer"),
            (call, &receipt.request_hash, "请求原文", "the call"),
        ] {
            let Some(path) = given else { continue };
            if guard::hash::sm3_hex(&read(path)?) != *hash {
                return Err(Error::invalid(
                    format!("{zh}与回执不符：{} 的摘要不是回执所载", path.display()),
                    format!("{en} is not the receipt's: the hash of {} is another", path.display()),
                ));
            }
        }
    }
    if args.json {
        out_json(&serde_json::json!({ "valid": true, "statement": statement }))?;
    } else {
        out("属实 valid");
        out_json(&statement)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        Error::invalid(
            format!("无法读取 {}：{e}", path.display()),
            format!("cannot read {}: {e}", path.display()),
        )
    })
}
