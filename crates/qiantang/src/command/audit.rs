//! `qiantang audit`: verify and export the chain.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use model::audit::AuditFilter;
use model::{Error, Result};

use super::{Place, out, out_json};

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
    /// Walk the whole chain; names the first record that is altered, removed or out of order. 校验。
    Verify,
    /// Write records as CSV. 导出。
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
    let (house, op) = args.place.enter().await?;
    let code = match &args.action {
        Action::Verify => {
            let verdict = app::audit::verify(&house.app, &op).await?;
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
            let csv = app::audit::export(&house.app, &op, &filter).await?;
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
            }
            ExitCode::SUCCESS
        }
    };
    house.close().await;
    Ok(code)
}
