//! `qiantang audit`: verify and export the chain.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use futures::StreamExt;
use futures::stream::BoxStream;
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
        /// From this civil day in China (YYYY-MM-DD). 起始日（北京时间）。
        #[arg(long)]
        from: Option<String>,
        /// To this civil day in China, included. 截止日（北京时间，含当日）。
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
            let bytes = write(csv, file).await?;
            drop(told);
            if args.json && file.as_os_str() != "-" {
                out_json(&serde_json::json!({ "file": file, "bytes": bytes }))?;
            } else if file.as_os_str() != "-" {
                out(&format!("已导出 exported: {}", file.display()));
            }
            ExitCode::SUCCESS
        }
    };
    house.close().await;
    Ok(code)
}

/// Writes a stream to a file, or to standard output where the file is `-`, as it comes; answers its bytes.
pub(super) async fn write<B: AsRef<[u8]>>(
    mut csv: BoxStream<'static, Result<B>>,
    file: &Path,
) -> Result<u64> {
    use std::io::Write;
    let failed = |e: std::io::Error| {
        Error::invalid(
            format!("无法写入 {}：{e}", file.display()),
            format!("cannot write {}: {e}", file.display()),
        )
    };
    let mut to: Box<dyn Write + Send> = if file.as_os_str() == "-" {
        Box::new(std::io::stdout())
    } else {
        Box::new(std::io::BufWriter::new(std::fs::File::create(file).map_err(failed)?))
    };
    let mut bytes = 0;
    while let Some(piece) = csv.next().await {
        let piece = piece?;
        to.write_all(piece.as_ref()).map_err(failed)?;
        bytes += u64::try_from(piece.as_ref().len()).unwrap_or(0);
    }
    to.flush().map_err(failed)?;
    Ok(bytes)
}
