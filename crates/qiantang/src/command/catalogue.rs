//! `qiantang catalogue`: import, export, list and check entries; drafts from a department's database.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use app::catalogue::schema::{self, DraftOrder};
use app::catalogue::{SheetFormat, standard};
use clap::Subcommand;
use model::code::UpdateCycle;
use model::entry::EntryFilter;
use model::finding::Level;
use model::schema::TableName;
use model::{Error, Op, Result};

use super::{Place, out, out_json, working};
use crate::house::House;
use crate::relay;

/// Import, export, list and check the catalogue; draft it from a database. 目录导入、导出、检查，库表编目。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang catalogue import catalogue.xlsx --as authority --dry-run"
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
    /// Import a whole catalogue from XLSX or CSV, all or nothing. 导入。
    #[command(
        after_help = "Examples 示例:\n  qiantang catalogue import catalogue.xlsx --as authority --dry-run\n  qiantang catalogue import draft.csv --as provider"
    )]
    Import {
        file: PathBuf,
        /// Check only. 只检查。
        #[arg(long)]
        dry_run: bool,
    },
    /// Export the entries as XLSX or CSV (by the file's ending). Runs beside a server. 导出。
    #[command(after_help = "Example 示例: qiantang catalogue export catalogue.xlsx --as authority")]
    Export { file: PathBuf },
    /// Ask the rule packs (编目规范) of a file, or tell the findings of the ledger. 编目规范检查。
    #[command(
        after_help = "Examples 示例:\n  qiantang catalogue lint catalogue.xlsx --as provider\n  qiantang catalogue lint --as authority --rule ledger.item-english\n  qiantang catalogue lint --as authority --now"
    )]
    Lint {
        /// A catalogue file; without one the ledger's findings are told. 目录文件。
        file: Option<PathBuf>,
        /// Entries that break this rule. 只列此规则。
        #[arg(long)]
        rule: Option<String>,
        /// One organisation's. 只看此单位。
        #[arg(long)]
        org: Option<String>,
        /// First ask changed rules of every entry, instead of leaving it to the worker. 先全部重新检查。
        #[arg(long, conflicts_with = "file")]
        now: bool,
    },
    /// Say what tables a stored data source holds. 数据源中的表。
    #[command(
        after_help = "Example 示例: qiantang catalogue tables 业务库 --as provider --text 企业"
    )]
    Tables {
        /// Name or id of the source. 数据源名称或编号。
        source: String,
        /// Part of name or comment. 表名或注释的一部分。
        #[arg(long)]
        text: Option<String>,
    },
    /// Draft entries from tables of a stored data source. 由库表生成目录草稿。
    #[command(
        after_help = "Example 示例: qiantang catalogue draft 业务库 public.enterprise public.permit --as provider --region 330000"
    )]
    Draft {
        /// Name or id of the source. 数据源名称或编号。
        source: String,
        /// Tables as `schema.table`. 表。
        #[arg(required = true)]
        tables: Vec<String>,
        /// Region of the data, GB/T 2260. 行政区划。
        #[arg(long, default_value = "330000")]
        region: String,
        /// Application that owns the tables: its code in the ledger. 所属应用编号。
        #[arg(long)]
        application: Option<String>,
        /// Update cycle, such as daily. 更新周期。
        #[arg(long, default_value = "daily")]
        cycle: String,
        /// Condition of sharing written into the drafts. 共享条件。
        #[arg(long, default_value = "经数源单位审核后共享")]
        share_condition: String,
    },
    /// Compare a data source with what was catalogued; opens a task where a table has changed. 检查库表结构变动。
    #[command(after_help = "Example 示例: qiantang catalogue drift 业务库 --as provider")]
    Drift {
        /// Name or id of the source. 数据源名称或编号。
        source: String,
    },
    /// List entries. Runs beside a server. 列表。
    #[command(after_help = "Example 示例: qiantang catalogue list --text 企业 --json")]
    List {
        /// Part of title or code. 名称或编码的一部分。
        #[arg(long)]
        text: Option<String>,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        matches!(
            self.action,
            Action::Import { .. }
                | Action::Draft { .. }
                | Action::Drift { .. }
                | Action::Lint { now: true, .. }
        )
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let outcome = act(&house, &op, &args).await;
    house.close().await;
    outcome
}

async fn act(house: &House, op: &Op, args: &Args) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    match &args.action {
        Action::Import { file, dry_run } => {
            let name =
                file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let told = working("导入目录 importing the catalogue");
            let report =
                app::catalogue::import(&house.app, op, &relay::meant(file), &name, *dry_run)
                    .await?;
            drop(told);
            if args.json {
                out_json(&report)?;
            } else {
                for fault in &report.faults {
                    out(&format!("{}: {} / {}", fault.field, fault.zh, fault.en));
                }
                let state = if report.applied {
                    "已导入 imported"
                } else {
                    "未导入 nothing imported"
                };
                out(&format!(
                    "{state}: {} entries, {} items, {} new, {} changed, {} faults",
                    report.entries,
                    report.items,
                    report.created.len(),
                    report.changed.len(),
                    report.faults.len()
                ));
            }
            if !report.faults.is_empty() {
                code = ExitCode::from(1);
            }
        }
        Action::Export { file } => {
            let format = sheet_format(file)?;
            let told = working("导出目录 exporting the catalogue");
            let bytes = app::catalogue::export(&house.app, op, format).await?;
            drop(told);
            std::fs::write(file, &bytes).map_err(|e| {
                Error::invalid(
                    format!("无法写入 {}", file.display()),
                    format!("cannot write {}", file.display()),
                )
                .caused_by(e)
            })?;
            if args.json {
                out_json(&serde_json::json!({ "file": file, "bytes": bytes.len() }))?;
            } else {
                out(&format!("已导出 exported: {}", file.display()));
            }
        }
        Action::Lint { file: Some(file), .. } => {
            code = lint_file(house, op, args.json, file).await?;
        }
        Action::Lint { file: None, rule, org, now } => {
            if *now {
                let told = working("检查全部目录 checking every entry");
                standard::relint(&house.app).await?;
                drop(told);
            }
            lint(house, op, args.json, rule.as_deref(), org.as_deref()).await?;
        }
        Action::Tables { source: word, text } => {
            let id = source(house, op, word).await?;
            tables(house, op, args.json, &id, text.as_deref()).await?;
        }
        Action::Draft { source: word, tables, region, application, cycle, share_condition } => {
            let cycle = UpdateCycle::parse(cycle).ok_or_else(|| {
                let all: Vec<&str> = UpdateCycle::ALL.iter().map(|c| c.as_str()).collect();
                Error::invalid(
                    format!("--cycle 应为 {} 之一", all.join("、")),
                    format!("--cycle must be one of {}", all.join(", ")),
                )
            })?;
            let order = DraftOrder {
                source: source(house, op, word).await?,
                tables: tables.iter().map(|t| table(t)).collect(),
                region: region.clone(),
                update_cycle: cycle,
                share_condition: share_condition.clone(),
                application: application.clone(),
            };
            code = draft(house, op, args.json, &order).await?;
        }
        Action::Drift { source: word } => {
            let id = source(house, op, word).await?;
            drift(house, op, args.json, &id).await?;
        }
        Action::List { text } => {
            let mut filter =
                EntryFilter { text: text.clone(), limit: 500, ..EntryFilter::default() };
            loop {
                let page = app::catalogue::list(&house.app, op, &filter).await?;
                for e in &page.items {
                    if args.json {
                        out_json(e)?;
                    } else {
                        out(&format!(
                            "{:<28} {:<14} {:<12} {:>10}  {}",
                            e.draft.code, e.publish_state, e.online_state, e.rows, e.draft.title
                        ));
                    }
                }
                match page.next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
        }
    }
    Ok(code)
}

async fn lint_file(house: &House, op: &Op, json: bool, file: &Path) -> Result<ExitCode> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let report = standard::lint_file(&house.app, op, &relay::meant(file), &name).await?;
    let errors = report.findings.iter().filter(|f| f.level == Level::Error).count();
    if json {
        out_json(&report)?;
    } else {
        for fault in &report.faults {
            out(&format!("{}: {} / {}", fault.field, fault.zh, fault.en));
        }
        for f in &report.findings {
            let told = f.told();
            out(&format!("{}: {} / {}  ({})", f.field, told.zh, told.en, f.rule));
        }
        out(&format!(
            "{} entries, {} items: {} faults keep it from being imported, {errors} errors keep entries from review, {} warnings",
            report.entries,
            report.items,
            report.faults.len(),
            report.findings.len() - errors
        ));
    }
    Ok(ExitCode::from(u8::from(!report.faults.is_empty() || errors > 0)))
}

async fn lint(
    house: &House,
    op: &Op,
    json: bool,
    rule: Option<&str>,
    org: Option<&str>,
) -> Result<()> {
    if let Some(rule) = rule {
        let mut after = None;
        loop {
            let page =
                standard::findings(&house.app, op, org, Some(rule), after.as_deref(), 200).await?;
            for listed in &page.items {
                if json {
                    out_json(listed)?;
                    continue;
                }
                for f in &listed.found {
                    out(&format!("{} {}: {} / {}", listed.row.code, f.field, f.zh, f.en));
                }
                if listed.more > 0 {
                    out(&format!("{}: +{}", listed.row.code, listed.more));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
    let sums = standard::sums(&house.app, op, org, None, None, 50).await?;
    if json {
        return out_json(&sums);
    }
    if sums.stale {
        out(
            "规范已更新，尚未全部重新检查（--now 立即检查）。 The rules have changed and not every entry was asked yet (--now asks).",
        );
    }
    for (rule, sum) in &sums.rules {
        let (entries, places) = sum.as_ref().map_or((0, 0), |s| (s.entries, s.places));
        out(&format!(
            "{:<28} {:<8} {entries:>8} {places:>10}  {} / {}",
            rule.id, rule.level, rule.zh, rule.en
        ));
    }
    Ok(())
}

/// A stored source of the caller's organisation by name or id.
async fn source(house: &House, op: &Op, word: &str) -> Result<String> {
    let all = app::collection::source::list(&house.app, op).await?;
    let found = all.into_iter().find(|s| s.name == word || s.id == word);
    found.map(|s| s.id).ok_or_else(|| Error::not_found("数据源", "data source", word))
}

async fn tables(house: &House, op: &Op, json: bool, id: &str, text: Option<&str>) -> Result<()> {
    let mut after = None;
    loop {
        let survey = schema::survey(&house.app, op, id, text, after.as_deref()).await?;
        if json {
            out_json(&survey)?;
        } else {
            for f in &survey.tables {
                let state = match &f.entry {
                    Some((_, title)) => format!("已编目 catalogued: {title}"),
                    None => f.table.kind.to_string(),
                };
                let table = f.table.of.dotted();
                out(&format!("{table:<40} {:>5}  {state:<20} {}", f.table.width, f.table.comment));
            }
        }
        after = survey.next;
        if after.is_some() {
            continue;
        }
        if !json {
            for l in &survey.left_out {
                out(&format!("未列入 left out: {} ({}) {} / {}", l.what, l.count, l.zh, l.en));
            }
            if survey.more {
                out(
                    "库中的表超过一次可列的数量，请用 --text。 There are more tables than are listed: use --text.",
                );
            }
        }
        return Ok(());
    }
}

async fn draft(house: &House, op: &Op, json: bool, order: &DraftOrder) -> Result<ExitCode> {
    let told = working("生成目录草稿 drafting entries");
    let drafted = schema::draft(&house.app, op, order).await?;
    drop(told);
    for d in &drafted {
        if json {
            out_json(d)?;
            continue;
        }
        let entry = d.entry.as_ref().map_or("-", |(_, code, _)| code.as_str());
        out(&format!(
            "{:<40} {entry:<28} {:>4} items, {} findings: {} / {}",
            d.table, d.items, d.findings, d.zh, d.en
        ));
        for (column, zh, en) in &d.notes {
            out(&format!("  {column}: {zh} / {en}"));
        }
    }
    Ok(ExitCode::from(u8::from(drafted.iter().any(|d| !d.done))))
}

async fn drift(house: &House, op: &Op, json: bool, id: &str) -> Result<()> {
    let looked = schema::look(&house.app, op, id).await?;
    if json {
        return out_json(&looked);
    }
    for d in &looked.open {
        out(&format!("{} {}", d.table.dotted(), d.entry_title));
        for c in &d.changes {
            out(&format!(
                "  {} {} {}: {} → {}",
                c.kind.zh(),
                c.kind.en(),
                c.column,
                c.before,
                c.after
            ));
        }
    }
    out(&format!(
        "{} tables compared: {} unchanged, {} changed, {} changed back; {} tables have no entry",
        looked.tables,
        looked.same,
        looked.open.len(),
        looked.gone,
        looked.uncatalogued_total
    ));
    Ok(())
}

/// `schema.table`; a name alone is in `public`.
fn table(text: &str) -> TableName {
    let (schema, name) = text.split_once('.').unwrap_or(("public", text));
    TableName { schema: schema.to_owned(), name: name.to_owned() }
}

/// The format that a file name's ending means.
pub(super) fn sheet_format(file: &std::path::Path) -> Result<SheetFormat> {
    match file.extension().and_then(|e| e.to_str()) {
        Some("csv") => Ok(SheetFormat::Csv),
        Some("xlsx") => Ok(SheetFormat::Xlsx),
        _ => Err(Error::invalid(
            "文件名应以 .csv 或 .xlsx 结尾",
            "the file name must end in .csv or .xlsx",
        )),
    }
}
