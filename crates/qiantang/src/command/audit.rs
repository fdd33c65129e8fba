//! `qiantang audit`: verify and export the chain.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use model::audit::AuditFilter;
use model::{Error, Result};

use super::{Place, out, out_json, working};

/// Verify and export the audit chain. 审计链校验与导出。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang audit verify --data ./qiantang-data")]
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
    /// Walk the whole chain; names the first record that is altered, removed or out of order. Runs beside a server. 校验。
    #[command(after_help = "Example 示例: qiantang audit verify --config qiantang.toml --json")]
    Verify,
    /// Write records as CSV. Runs beside a server. 导出。
    #[command(
        after_help = "Example 示例: qiantang audit export --from 2026-01-01 --to 2026-01-31 --out audit.csv"
    )]
    Export {
        /// File to write; `-` is standard output. 输出文件。
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
        /// From this day (YYYY-MM-DD). 起始日。
        #[arg(long)]
        from: Option<String>,
        /// To this day, included. 截止日。
        #[arg(long)]
        to: Option<String>,
    },
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.look().await?;
    let code = match &args.action {
        Action::Verify => {
            let told = working("校验审计链 verifying the audit chain");
            let verdict = app::audit::verify(&house.app, &op).await?;
            drop(told);
            if args.json {
                out_json(&verdict)?;
            } else if let Some(fault) = &verdict.fault {
                out(&format!("审计链已损坏 the chain is broken\n  {}\n  {}", fault.zh, fault.en));
            } else {
                out(&format!(
                    "审计链完整 the chain is intact: {} records, head {}",
                    verdict.records, verdict.head
                ));
            }
            if verdict.intact { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Action::Export { out: file, from, to } => {
            let filter =
                AuditFilter { from: from.clone(), to: to.clone(), ..AuditFilter::default() };
            let told = working("导出审计记录 exporting audit records");
            let csv = app::audit::export(&house.app, &op, &filter).await?;
            drop(told);
            if file.as_os_str() == "-" {
                out(&String::from_utf8_lossy(&csv));
            } else {
                std::fs::write(file, &csv).map_err(|e| {
                    Error::invalid(
                        format!("无法写入 {}", file.display()),
                        format!("cannot write {}", file.display()),
                    )
                    .caused_by(e)
                })?;
                if args.json {
                    out_json(&serde_json::json!({ "file": file, "bytes": csv.len() }))?;
                } else {
                    out(&format!("已导出 exported: {}", file.display()));
                }
            }
            ExitCode::SUCCESS
        }
    };
    house.close().await;
    Ok(code)
}
