//! `qiantang usage`: what was called, as CSV, and the meter held against the audit chain.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use model::usage::{UsageBy, UsageFilter};
use model::{Error, Result};

use super::{Place, out, out_json, working};

/// Use by application, resource, organisation, region; its check against the audit chain. 用量与核对。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang usage check --data ./qiantang-data")]
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
    /// Recount the audit chain and compare; names the figures that differ. Runs beside a server. 重算审计链并核对。
    #[command(after_help = "Example 示例: qiantang usage check --json")]
    Check,
    /// Write a table of use as CSV, keys with their names (`name_zh`, `name_en`: the last columns). Runs beside a server. 导出用量，含中英文名称。
    #[command(
        after_help = "Example 示例: qiantang usage export --by city --from 2026-01-01 --out usage.csv"
    )]
    Export {
        /// application, org, entry, interface, provider, way, outcome, purpose, day, province, city or county. 汇总方式。
        #[arg(long, default_value = "application")]
        by: String,
        /// From this civil day in China (YYYY-MM-DD). 起始日（北京时间）。
        #[arg(long, default_value = "")]
        from: String,
        /// To this civil day in China, included. 截止日（北京时间，含当日）。
        #[arg(long, default_value = "")]
        to: String,
        /// File to write; `-` is standard output. 输出文件。
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
    },
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.look().await?;
    let code = match &args.action {
        Action::Check => {
            let told = working("重算审计链 recounting the audit chain");
            let verdict = app::usage::check(&house.app, &op).await?;
            drop(told);
            if args.json {
                out_json(&verdict)?;
            } else if verdict.agrees {
                out(&format!(
                    "用量与审计一致 the meter agrees with the audit chain: {} calls in {} records",
                    verdict.calls, verdict.records
                ));
            } else {
                out("用量与审计不符 the meter does not agree with the audit chain");
                for d in &verdict.differences {
                    out(&format!(
                        "  {}  {}: audited 审计 {} / metered 用量 {} calls",
                        d.day, d.key, d.audited.calls, d.metered.calls
                    ));
                }
            }
            if verdict.agrees { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Action::Export { by, from, to, out: file } => {
            let by = UsageBy::parse(by).ok_or_else(|| {
                let all: Vec<&str> = UsageBy::ALL.iter().map(|by| by.as_str()).collect();
                let all = all.join(" ");
                Error::invalid(format!("--by 应为其一：{all}"), format!("--by is one of: {all}"))
            })?;
            let filter =
                UsageFilter { from: from.clone(), to: to.clone(), ..UsageFilter::default() };
            let filter = app::usage::within(&op, filter)?;
            let csv = app::usage::export(&house.app, &op, &filter, by).await?;
            let bytes = super::audit::write(csv, file).await?;
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
