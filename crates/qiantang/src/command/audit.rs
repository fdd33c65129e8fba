//! `qiantang audit`: verify and export the chain.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use futures::StreamExt;
use futures::stream::BoxStream;
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
        /// From this civil day in China (YYYY-MM-DD). 起始日（北京时间）。
        #[arg(long)]
        from: Option<String>,
        /// To this civil day in China, included. 截止日（北京时间，含当日）。
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
            write(csv, file).await?;
            ExitCode::SUCCESS
        }
    };
    house.close().await;
    Ok(code)
}

/// Writes a stream to a file, or to standard output where the file is `-`, as it comes.
async fn write<B: AsRef<[u8]>>(mut csv: BoxStream<'static, Result<B>>, file: &Path) -> Result<()> {
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
    while let Some(piece) = csv.next().await {
        to.write_all(piece?.as_ref()).map_err(failed)?;
    }
    to.flush().map_err(failed)
}
