//! Commands: one file, one `Args`, one `run` each. Here: the command line as a whole, logging, exit codes.

mod account;
mod audit;
mod catalogue;
mod check;
mod demo;
mod ingest;
mod matrix;
mod serve;
mod sniff;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use model::{Error, Kind, Op, Result};

use crate::config::{Config, LogFormat, LogPart};
use crate::house::House;

/// 钱塘：公共数据平台。Public-data platform: catalogue, collect, govern, share, open.
#[derive(Debug, Parser)]
#[command(
    name = "qiantang",
    version,
    max_term_width = 110,
    after_help = "Example 示例: qiantang demo --listen 127.0.0.1:8600\nExit codes 退出码: 0 ok, 1 input to mend 输入有误, 2 usage 用法, 3 refused 无权限, 4 not available 不可用, 5 defect 内部错误"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything with a synthetic province. 启动演示省份。
    Demo(demo::Args),
    /// Start by a configuration file. 按配置启动。
    Serve(serve::Args),
    /// Import, export and list the catalogue. 目录导入、导出、列表。
    Catalogue(catalogue::Args),
    /// Collect a file or a query into an entry. 归集文件或查询。
    Ingest(ingest::Args),
    /// Say what a file is, and draft an entry from it. 识别文件。
    Sniff(sniff::Args),
    /// Open and list accounts, register applications. 账号与应用。
    Account(account::Args),
    /// Verify and export the audit chain. 审计链校验与导出。
    Audit(audit::Args),
    /// Check a configuration file. 检查配置。
    Config(check::Args),
    /// Print the permission matrix. 打印权限矩阵。
    Matrix(matrix::Args),
}

/// Where the platform's data are, for commands that work on it without a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// Configuration file. 配置文件。
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder (without a configuration file). 数据目录。
    #[arg(long, value_name = "DIR", default_value = "./qiantang-data")]
    data: PathBuf,
    /// Act as this user; otherwise as the platform's operator. 以此用户身份操作。
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
}

impl Place {
    fn config(&self) -> Result<Config> {
        match &self.config {
            Some(path) => Config::load(path),
            None => {
                let mut config = Config::default();
                config.data.folder.clone_from(&self.data);
                Ok(config)
            }
        }
    }

    /// Opens the house and says who acts.
    async fn enter(&self) -> Result<(House, Op)> {
        let house = House::open(&self.config()?).await?;
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
    let cli = Cli::parse();
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
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Catalogue(args) => catalogue::run(args).await,
            Command::Ingest(args) => ingest::run(args).await,
            Command::Sniff(args) => sniff::run(args).await,
            Command::Account(args) => account::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Config(args) => check::run(&args),
            Command::Matrix(args) => matrix::run(&args),
        }
    });
    match outcome {
        Ok(code) => code,
        Err(e) => {
            tell(&e, json);
            ExitCode::from(match e.kind() {
                Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge => 1,
                Kind::Unauthenticated | Kind::Denied => 3,
                Kind::Unavailable | Kind::Exhausted => 4,
                Kind::Internal => 5,
            })
        }
    }
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Catalogue(a) => a.json,
        Command::Ingest(a) => a.json,
        Command::Sniff(a) => a.json,
        Command::Account(a) => a.json,
        Command::Audit(a) => a.json,
        Command::Config(a) => a.json,
        Command::Matrix(_) | Command::Demo(_) | Command::Serve(_) => false,
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

/// A line on standard output. A closed pipe ends the program quietly later; nothing to do here.
pub(crate) fn out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
/// A line on standard error.
pub(crate) fn err(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
/// JSON on one line.
pub(crate) fn out_json<T: serde::Serialize>(value: &T) -> Result<()> {
    out(&serde_json::to_string(value).map_err(|e| Error::internal("JSON").caused_by(e))?);
    Ok(())
}

/// A progress bar on a terminal, nothing elsewhere.
pub(crate) fn progress(total: u64) -> indicatif::ProgressBar {
    use std::io::IsTerminal;
    if !std::io::stderr().is_terminal() {
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
