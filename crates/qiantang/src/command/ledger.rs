//! `qiantang ledger`: the ledgers from the command line: files in and out, proof that store and index agree, filling to
//! the size of a province.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use app::catalogue::SheetFormat;
use app::ledger::dump::{self, Format, Places, Whole};
use app::ledger::{self, Accept};
use clap::Subcommand;
use futures::StreamExt as _;
use model::asset::{AssetFilter, Ledger};
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::fill::{self, Size};
use crate::house::House;
use crate::relay;

/// Import, export, check and fill the ledgers. 一本账导入、导出、核对、填充。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples 示例:\n  qiantang ledger import cloud cloud.xlsx --as provider --check\n  qiantang ledger export application applications.csv --as authority\n  qiantang ledger check\n  qiantang ledger fill --data ./province"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    pub(super) place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import a ledger (application, component, cloud) from XLSX or CSV. 导入台账。
    #[command(
        after_help = "Example 示例: qiantang ledger import cloud cloud.csv --as provider --good"
    )]
    Import {
        ledger: String,
        file: PathBuf,
        /// Report only. 只检查。
        #[arg(long, conflicts_with = "good")]
        check: bool,
        /// Write the good rows although others have faults. 有误的行除外，其余导入。
        #[arg(long)]
        good: bool,
    },
    /// Export a ledger as XLSX or CSV (by the file's ending). 导出台账。
    #[command(after_help = "Example 示例: qiantang ledger export cloud cloud.xlsx --as authority")]
    Export { ledger: String, file: PathBuf },
    /// Hand out a whole ledger (data, application, component, cloud) as DCAT or a workbook, by the file's ending:
    /// ttl, jsonld, rdf, xlsx. 整本台账导出。
    #[command(
        after_help = "Examples 示例:\n  qiantang ledger dump data ledger.ttl --as authority --base https://data.example.gov.cn\n  qiantang ledger dump cloud cloud.xlsx --as authority"
    )]
    Dump {
        ledger: String,
        file: PathBuf,
        /// Address of the open-data site, for the names of things. 站点地址。
        #[arg(long, default_value = "http://localhost")]
        base: String,
    },
    /// Prove that the store and the search index agree. 核对存储与索引。
    #[command(after_help = "Example 示例: qiantang ledger check --data ./qiantang-data")]
    Check,
    /// Keep this month's ranking of organisations. 留存本月排名。
    #[command(after_help = "Example 示例: qiantang ledger rank")]
    Rank,
    /// Fill the ledgers with synthetic content of the size of a province. 填充合成台账。
    #[command(
        after_help = "Example 示例: qiantang ledger fill --data ./province --entries 2000 --items 22440 --applications 130 --components 40 --cloud 890"
    )]
    Fill {
        #[arg(long, default_value_t = 13_363)]
        applications: u64,
        /// Catalogue entries. 目录数。
        #[arg(long, default_value_t = 200_000)]
        entries: u64,
        /// Data items over all entries. 数据项总数。
        #[arg(long, default_value_t = 2_244_000)]
        items: u64,
        #[arg(long, default_value_t = 397)]
        components: u64,
        #[arg(long, default_value_t = 89_000)]
        cloud: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

impl Args {
    /// Whether the command changes what a running server holds.
    pub(crate) fn changes(&self) -> bool {
        matches!(self.action, Action::Import { .. } | Action::Rank)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = match args.action {
        Action::Export { .. } | Action::Dump { .. } => args.place.look().await?,
        Action::Import { .. } | Action::Rank => args.place.enter().await?,
        Action::Check | Action::Fill { .. } => args.place.whole().await?,
    };
    let outcome = act(&house, &op, &args).await;
    house.close().await;
    outcome
}

async fn act(house: &House, op: &Op, args: &Args) -> Result<ExitCode> {
    match &args.action {
        Action::Import { ledger, file, check, good } => {
            let accept = match (check, good) {
                (true, _) => Accept::Nothing,
                (_, true) => Accept::GoodRows,
                _ => Accept::WhenAllGood,
            };
            import(house, op, args.json, parse(ledger)?, &relay::meant(file), accept).await
        }
        Action::Export { ledger, file } => {
            let format = match file.extension().and_then(|e| e.to_str()) {
                Some("csv") => SheetFormat::Csv,
                Some("xlsx") => SheetFormat::Xlsx,
                _ => {
                    return Err(Error::invalid(
                        "文件名应以 .csv 或 .xlsx 结尾",
                        "the file name must end in .csv or .xlsx",
                    ));
                }
            };
            let filter = AssetFilter { ledger: Some(parse(ledger)?), ..AssetFilter::default() };
            let bytes = ledger::export(&house.app, op, &filter, format).await?;
            let size = bytes.len();
            std::fs::write(file, bytes).map_err(|e| {
                Error::invalid(
                    format!("无法写入 {}", file.display()),
                    format!("cannot write {}", file.display()),
                )
                .caused_by(e)
            })?;
            if args.json {
                out_json(&serde_json::json!({ "file": file, "bytes": size }))?;
            } else {
                out(&format!("已导出 exported: {}", file.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Dump { ledger, file, base } => dump(house, op, args.json, ledger, file, base).await,
        Action::Check => check(house, op, args.json).await,
        Action::Rank => {
            let month = ledger::rank_month(&house.app, op).await?;
            if args.json {
                out_json(&serde_json::json!({ "month": month }))?;
            } else {
                out(&format!("已留存 kept: {month}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Fill { applications, entries, items, components, cloud, seed } => {
            let size = Size {
                applications: *applications,
                entries: *entries,
                items: *items,
                components: *components,
                cloud: *cloud,
                seed: *seed,
            };
            filled(house, args.json, size).await
        }
    }
}

async fn dump(
    house: &House,
    op: &Op,
    json: bool,
    ledger: &str,
    file: &std::path::Path,
    base: &str,
) -> Result<ExitCode> {
    let ledger = Ledger::parse(ledger).ok_or_else(|| {
        Error::invalid(
            format!("没有台账 `{ledger}`，可用：data、application、component、cloud"),
            format!("no ledger `{ledger}`; use data, application, component or cloud"),
        )
    })?;
    let ending = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let format = Format::chosen(Some(if ending.is_empty() { "?" } else { ending }), None)?;
    let base = base.trim_end_matches('/');
    let places = Places {
        whole: Whole {
            base: format!("{base}/"),
            title: format!("钱塘公共数据平台{}台账", ledger.zh()),
            title_en: format!("Qiantang Public Data, ledger of {}", ledger.en()),
        },
        data: format!("{base}/data/"),
        api: String::new(),
        console: base.to_owned(),
        items: true,
    };
    let written = |e: std::io::Error| {
        Error::invalid(
            format!("无法写入 {}", file.display()),
            format!("cannot write {}", file.display()),
        )
        .caused_by(e)
    };
    let told = super::working("导出台账 handing the ledger out");
    let mut dump = dump::dump(&house.app, op, ledger, format, &places).await?;
    let mut to = std::io::BufWriter::new(std::fs::File::create(file).map_err(written)?);
    let mut bytes = 0;
    while let Some(piece) = dump.bytes.next().await {
        let piece = piece?;
        bytes += piece.len();
        to.write_all(&piece).map_err(written)?;
    }
    to.flush().map_err(written)?;
    drop(told);
    if json {
        out_json(&serde_json::json!({ "file": file, "bytes": bytes }))?;
    } else {
        out(&format!("已导出 exported: {} ({bytes} bytes)", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(word: &str) -> Result<Ledger> {
    Ledger::parse(word).filter(|l| *l != Ledger::Data).ok_or_else(|| {
        Error::invalid(
            format!("没有台账 `{word}`，可用：application、component、cloud；数据台账用 `qiantang catalogue`"),
            format!("no ledger `{word}`; use application, component or cloud; the data ledger is `qiantang catalogue`"),
        )
    })
}

async fn import(
    house: &House,
    op: &Op,
    json: bool,
    ledger: Ledger,
    file: &std::path::Path,
    accept: Accept,
) -> Result<ExitCode> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let report = ledger::import(&house.app, op, ledger, file, &name, accept).await?;
    if json {
        out_json(&report)?;
    } else {
        for fault in &report.faults {
            out(&format!("{}: {} / {}", fault.field, fault.zh, fault.en));
        }
        for alike in &report.alike {
            out(&format!("疑似重复 alike {}", alike.field));
        }
        let state =
            if report.applied { "已导入 imported" } else { "未导入 nothing imported" };
        out(&format!(
            "{state}: {} rows, {} new, {} changed, {} the same, {} refused, {} may be duplicates",
            report.rows, report.new, report.changed, report.same, report.refused, report.duplicates
        ));
    }
    Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn check(house: &House, op: &Op, json: bool) -> Result<ExitCode> {
    let told = ledger::agree(&house.app, op).await?;
    let all = told.iter().all(|a| a.agree);
    if json {
        out_json(&serde_json::json!({ "agree": all, "ledgers": told }))?;
    } else {
        for a in &told {
            let word = if a.agree { "一致 agree" } else { "不一致 DIFFER" };
            out(&format!(
                "{:<12} 存储 store {:>9}  索引 index {:>9}  {word}",
                a.ledger, a.store, a.index
            ));
        }
        if !all {
            out("索引可用重新启动重建。 A restart rebuilds the index.");
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn filled(house: &House, json: bool, size: Size) -> Result<ExitCode> {
    let total = size.entries + size.applications + size.components + size.cloud;
    let bar = super::steps(total);
    let made = fill::fill(&house.app, size, |n, what| {
        bar.set_message(what);
        bar.inc(n);
    })
    .await?;
    bar.finish_and_clear();
    if json {
        out_json(&made)?;
    } else {
        out(&format!(
            "已填充 filled: {} organisations, {} applications, {} entries with {} items, {} components, {} cloud resources, {} links; written in {:.0} s, {} documents indexed in {:.0} s",
            made.organisations,
            made.applications,
            made.entries,
            made.items,
            made.components,
            made.cloud,
            made.links,
            made.write_seconds,
            made.documents,
            made.index_seconds
        ));
    }
    Ok(ExitCode::SUCCESS)
}
