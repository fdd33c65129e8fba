//! Commands: one file, one `Args`, one `run` each. Here: the command line as a whole, logging, exit codes.

mod account;
mod audit;
mod catalogue;
mod check;
mod delivery;
mod demo;
mod evidence;
mod exchange;
mod halt;
mod harvest;
mod ingest;
mod ledger;
mod matrix;
mod org;
mod outflow;
mod pipeline;
mod rail;
mod realname;
mod reconcile;
mod report;
mod restricted;
mod serve;
mod sniff;
mod source;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use model::{Error, Kind, Op, Result};

use crate::config::{Config, LogFormat, LogPart};
use crate::folder::DataFolder;
use crate::house::House;
use crate::relay;

/// 钱塘：公共数据平台。Public-data platform: catalogue, collect, govern, share, open.
#[derive(Debug, Parser)]
#[command(
    name = "qiantang",
    version,
    max_term_width = 110,
    after_help = "Example 示例: qiantang demo --listen 127.0.0.1:8600"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Below every help text.
const EXIT_CODES: &str = "Exit codes 退出码: 0 ok 成功, 1 input to mend 输入有误, 2 usage 用法有误, 3 refused 无权限, 4 not available 暂不可用, 5 defect 内部错误";

/// The command line with the exit codes below the help of every command.
fn command_line() -> clap::Command {
    fn with_codes(command: clap::Command) -> clap::Command {
        let help = match command.get_after_help() {
            Some(own) => format!("{own}\n\n{EXIT_CODES}"),
            None => EXIT_CODES.to_owned(),
        };
        command.after_help(help).mut_subcommands(with_codes)
    }
    with_codes(Cli::command())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything with a synthetic province. 启动演示省份。
    Demo(demo::Args),
    /// Start by a configuration file. 按配置启动。
    Serve(serve::Args),
    /// Import, export, list and check the catalogue; draft it from a database. 目录导入、导出、检查，库表编目。
    Catalogue(catalogue::Args),
    /// Import, export, check and fill the ledgers. 一本账。
    Ledger(ledger::Args),
    /// Collect a file or a query into an entry. 归集文件或查询。
    Ingest(ingest::Args),
    /// Say what a file is, and draft an entry from it. 识别文件。
    Sniff(sniff::Args),
    /// Deliver a region's rows to its body's database as they change. 数据回流。
    Outflow(outflow::Args),
    /// Deliver what was agreed for batch use into databases and folders. 推送任务。
    Delivery(delivery::Args),
    /// Stop an application, a resource or an interface at once; lift stops. 紧急停用。
    Halt(halt::Args),
    /// Take entries from the catalogues of other platforms. 目录采集。
    Harvest(harvest::Args),
    /// Follow tables of a data source by its log. 数据高铁。
    Rail(rail::Args),
    /// Exchange files with departments, with receipts on both sides. 文件数据交换。
    Exchange(exchange::Args),
    /// Look at stored data sources: what their accounts may do. 数据源账号检查。
    Source(source::Args),
    /// Pull rows by files: check, import, export, run, backfill. 数据管道。
    Pipeline(pipeline::Args),
    /// Reporting tasks: list, workbook out and in. 信息报送。
    Report(report::Args),
    /// Look at applications for restricted-open data and at the credit record. 受限开放。
    Restricted(restricted::Args),
    /// Real-name filings: look, approve, refuse, revoke. 实名认证。
    Realname(realname::Args),
    /// Compare a rail's table with the lake, and heal what differs. 数据核对。
    Reconcile(reconcile::Args),
    /// Enter and list organisations. 机构。
    Org(org::Args),
    /// Open and list accounts, register applications. 账号与应用。
    Account(account::Args),
    /// Verify and export the audit chain. 审计链校验与导出。
    Audit(audit::Args),
    /// Use by application, resource, organisation, region; its check against the audit chain. 用量与核对。
    Usage(usage::Args),
    /// Receipts of answers, seals over the audit chain, and their check. 存证与核验。
    Evidence(evidence::Args),
    /// Check a configuration file. 检查配置。
    Config(check::Args),
    /// Print the permission matrix. 打印权限矩阵。
    Matrix(matrix::Args),
}

/// Where the platform's data are, for commands that work on it without a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// Configuration file. 配置文件。
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data folder (without a configuration file). 数据目录。
    #[arg(long, value_name = "DIR", default_value = "./qiantang-data", global = true)]
    data: PathBuf,
    /// Act as this user; otherwise as the platform's operator. 以此用户身份操作。
    #[arg(long = "as", value_name = "USER", global = true)]
    user: Option<String>,
}

impl Place {
    fn config(&self) -> Result<Config> {
        match &self.config {
            Some(path) => Config::load(path),
            None => {
                let mut config = Config::default();
                config.data.folder.clone_from(&self.data);
                config.at_home();
                Ok(config)
            }
        }
    }

    /// Opens the house for what a command does, and says who acts.
    async fn open(&self, changes: bool) -> Result<(House, Op)> {
        match changes {
            true => self.enter().await,
            false => self.look().await,
        }
    }

    /// Opens the house for a change and says who acts.
    async fn enter(&self) -> Result<(House, Op)> {
        self.act(House::work(&self.config()?).await?).await
    }

    /// Opens the house for reading, beside a running server if there is one, and says who acts.
    async fn look(&self) -> Result<(House, Op)> {
        self.act(House::look(&self.config()?).await?).await
    }

    /// Opens the whole house, its search index included, as a server does, and says who acts.
    async fn whole(&self) -> Result<(House, Op)> {
        self.act(House::open(&self.config()?).await?).await
    }

    async fn act(&self, house: House) -> Result<(House, Op)> {
        let mut op = Op::system(house.app.now());
        op.source = "command-line".into();
        if let Some(name) = &self.user {
            op.actor = app::account::person(&house.app, name).await?;
        }
        Ok((house, op))
    }
}

/// Parses, runs, and turns an error into words and an exit code.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::from_arg_matches(&command_line().get_matches()) {
        Ok(cli) => cli,
        Err(e) => e.exit(),
    };
    let log = match &cli.command {
        Command::Serve(args) => args.log(),
        Command::Demo(_) => LogPart {
            level: "warn,qiantang=info,tantivy=error,deltalake_core=off".into(),
            ..LogPart::default()
        },
        _ => LogPart { level: "error,deltalake_core=off".into(), ..LogPart::default() },
    };
    start_log(&log);
    let json = wants_json(&cli.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(8 << 20)
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            err(&format!("error: no runtime: {e}"));
            return ExitCode::from(5);
        }
    };
    let outcome = match beside(&cli.command) {
        Some(told) => told,
        None => runtime.block_on(dispatch(cli.command)),
    };
    outcome.unwrap_or_else(|e| ExitCode::from(failed(&e, json)))
}

/// A changing command while a server on SQLite holds the folder is run by the server.
fn beside(command: &Command) -> Option<Result<ExitCode>> {
    let place = match command {
        Command::Ingest(args) => &args.place,
        Command::Catalogue(args) if args.changes() => &args.place,
        Command::Ledger(args) if args.changes() => &args.place,
        Command::Org(args) if args.changes() => &args.place,
        Command::Outflow(args) if args.changes() => &args.place,
        Command::Delivery(args) if args.changes() => &args.place,
        Command::Halt(args) if args.changes() => &args.place,
        Command::Harvest(args) if args.changes() => &args.place,
        Command::Rail(args) if args.changes() => &args.place,
        Command::Exchange(args) if args.changes() => &args.place,
        Command::Pipeline(args) if args.changes() => &args.place,
        Command::Report(args) if args.changes() => &args.place,
        Command::Realname(args) if args.changes() => &args.place,
        Command::Reconcile(args) if args.changes() => &args.place,
        Command::Account(args) if args.changes() => &args.place,
        _ => return None,
    };
    // A configuration that cannot be read is told by the command itself.
    let config = place.config().ok().filter(|c| !c.shared())?;
    if !DataFolder::held(&config.data.folder) {
        return None;
    }
    relay::hand_over(&config.data.folder)
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Catalogue(args) => catalogue::run(args).await,
        Command::Ledger(args) => ledger::run(args).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Sniff(args) => sniff::run(args).await,
        Command::Outflow(args) => outflow::run(args).await,
        Command::Delivery(args) => delivery::run(args).await,
        Command::Halt(args) => halt::run(args).await,
        Command::Harvest(args) => harvest::run(args).await,
        Command::Rail(args) => rail::run(args).await,
        Command::Exchange(args) => exchange::run(args).await,
        Command::Source(args) => source::run(args).await,
        Command::Pipeline(args) => pipeline::run(args).await,
        Command::Report(args) => report::run(args).await,
        Command::Restricted(args) => restricted::run(args).await,
        Command::Realname(args) => realname::run(args).await,
        Command::Reconcile(args) => reconcile::run(args).await,
        Command::Org(args) => org::run(args).await,
        Command::Account(args) => account::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Usage(args) => usage::run(args).await,
        Command::Evidence(args) => evidence::run(args).await,
        Command::Config(args) => check::run(&args),
        Command::Matrix(args) => matrix::run(&args),
    }
}

/// Runs a command that came over the relay and answers its exit code; what it says goes back over the relay.
pub(crate) async fn run_relayed(args: Vec<String>) -> u8 {
    let parsed = command_line().try_get_matches_from(args);
    let cli = match parsed.and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(e) => {
            err(&e.to_string());
            return 2;
        }
    };
    let json = wants_json(&cli.command);
    let outcome = match cli.command {
        Command::Catalogue(args) => catalogue::run(args).await,
        Command::Ledger(args) => ledger::run(args).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Outflow(args) => outflow::run(args).await,
        Command::Delivery(args) => delivery::run(args).await,
        Command::Halt(args) => halt::run(args).await,
        Command::Harvest(args) => harvest::run(args).await,
        Command::Rail(args) => rail::run(args).await,
        Command::Exchange(args) => exchange::run(args).await,
        Command::Pipeline(args) => pipeline::run(args).await,
        Command::Report(args) => report::run(args).await,
        Command::Realname(args) => realname::run(args).await,
        Command::Reconcile(args) => reconcile::run(args).await,
        Command::Org(args) => org::run(args).await,
        Command::Account(args) => account::run(args).await,
        // The others are never handed over (see `beside`).
        _ => return 2,
    };
    match outcome {
        // An exit code keeps its number to itself; it can be compared.
        Ok(code) => (0..=u8::MAX).find(|n| ExitCode::from(*n) == code).unwrap_or(5),
        Err(e) => failed(&e, json),
    }
}

/// Tells an error; answers its exit code.
fn failed(e: &Error, json: bool) -> u8 {
    tell(e, json);
    match e.kind() {
        Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge => 1,
        Kind::Unauthenticated | Kind::Denied => 3,
        Kind::Unavailable | Kind::Exhausted => 4,
        Kind::Internal => 5,
    }
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Catalogue(a) => a.json,
        Command::Ledger(a) => a.json,
        Command::Ingest(a) => a.json,
        Command::Sniff(a) => a.json,
        Command::Outflow(a) => a.json,
        Command::Delivery(a) => a.json,
        Command::Halt(a) => a.json,
        Command::Harvest(a) => a.json,
        Command::Rail(a) => a.json,
        Command::Exchange(a) => a.json,
        Command::Source(a) => a.json,
        Command::Pipeline(a) => a.json,
        Command::Report(a) => a.json,
        Command::Restricted(a) => a.json,
        Command::Realname(a) => a.json,
        Command::Reconcile(a) => a.json,
        Command::Account(a) => a.json,
        Command::Audit(a) => a.json,
        Command::Usage(a) => a.json,
        Command::Evidence(a) => a.json,
        Command::Config(a) => a.json,
        Command::Org(a) => a.json,
        Command::Matrix(a) => a.json,
        Command::Demo(a) => a.json,
        Command::Serve(a) => a.json,
    }
}

/// An error in words: both languages, fields to mend, and the operator's detail (the command line is the operator's).
fn tell(e: &Error, json: bool) {
    if json {
        let value = serde_json::json!({
            "error": { "code": e.code().as_str(), "message": e.en(), "message_zh": e.zh(), "fields": e.fields(), "reasons": e.reasons() }
        });
        out(&value.to_string());
        return;
    }
    err(&format!("错误 error [{}]: {}\n  {}", e.code().as_str(), e.zh(), e.en()));
    for f in e.fields() {
        err(&format!("  - {}: {} / {}", f.field, f.zh, f.en));
    }
    if !e.reasons().is_empty() {
        err(&format!("  依据 rules: {}", e.reasons().join(", ")));
    }
    let detail = e.operator_text();
    if detail.contains(" | ") || detail.contains(" <- ") {
        err(&format!("  细节 detail: {detail}"));
    }
}

/// A line on standard output, here or where the command was given. A closed pipe ends the program quietly later;
/// nothing to do here.
pub(crate) fn out(text: &str) {
    if relay::say(text, false) {
        return;
    }
    let _ = writeln!(std::io::stdout(), "{text}");
}
/// A line on standard error.
pub(crate) fn err(text: &str) {
    if relay::say(text, true) {
        return;
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}
/// JSON on one line.
pub(crate) fn out_json<T: serde::Serialize>(value: &T) -> Result<()> {
    out(&serde_json::to_string(value).map_err(|e| Error::internal("JSON").caused_by(e))?);
    Ok(())
}
/// Says that something was done to what has this id.
pub(crate) fn told(json: bool, id: &str, done: Result<()>) -> Result<()> {
    done?;
    if json {
        return out_json(&serde_json::json!({ "id": id, "done": true }));
    }
    out(&format!("已完成 done: {id}"));
    Ok(())
}

/// A progress bar on a terminal, nothing elsewhere.
pub(crate) fn progress(total: u64) -> indicatif::ProgressBar {
    use std::io::IsTerminal;
    if relay::relayed() || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(total);
    if let Ok(style) = indicatif::ProgressStyle::with_template(
        "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
    ) {
        bar.set_style(style);
    }
    bar
}

/// On a terminal says what is being done as long as the answer lives; nothing elsewhere.
pub(crate) fn working(what: &str) -> Working {
    use std::io::IsTerminal;
    if relay::relayed() || !std::io::stderr().is_terminal() {
        return Working(indicatif::ProgressBar::hidden());
    }
    let spinner = indicatif::ProgressBar::new_spinner();
    if let Ok(style) = indicatif::ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    Working(spinner)
}

/// See [`working`].
pub(crate) struct Working(indicatif::ProgressBar);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar over so many steps on a terminal, nothing elsewhere.
pub(crate) fn steps(total: u64) -> indicatif::ProgressBar {
    use std::io::IsTerminal;
    if relay::relayed() || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(total);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn start_log(part: &LogPart) {
    let filter = tracing_subscriber::EnvFilter::try_new(&part.level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start of the log in one process is not an error worth telling.
    let _ = match part.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command and subcommand shows an example, the exit codes and `--json`.
    #[test]
    fn every_command_helps() {
        fn look(command: &clap::Command, path: &str, seen: &mut Vec<String>) {
            for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    help.contains("示例") && help.contains(&path),
                    "`{path}` shows no example of itself"
                );
                assert!(help.contains("Exit codes"), "`{path}` does not tell its exit codes");
                assert!(
                    sub.get_arguments().any(|a| a.get_long() == Some("json")),
                    "`{path}` has no --json"
                );
                look(sub, &path, seen);
                seen.push(path);
            }
        }
        let mut command = command_line();
        command.build();
        command.clone().debug_assert();
        let mut seen = Vec::new();
        look(&command, "qiantang", &mut seen);
        assert!(seen.len() >= 20, "{seen:?}");
    }

    /// An example that does not parse teaches nothing.
    #[test]
    fn every_example_parses() {
        fn examples(command: &clap::Command, found: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.extend(
                help.lines().filter_map(|l| Some(l.get(l.find("qiantang ")?..)?.to_owned())),
            );
            command.get_subcommands().for_each(|sub| examples(sub, found));
        }
        let mut found = Vec::new();
        examples(&command_line(), &mut found);
        for example in found {
            // Quoted words stay one.
            let mut words = vec![String::new()];
            let mut quoted = false;
            for c in example.chars() {
                match c {
                    '\'' => quoted = !quoted,
                    ' ' if !quoted => words.push(String::new()),
                    c => words.last_mut().unwrap().push(c),
                }
            }
            let parsed = command_line().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}
