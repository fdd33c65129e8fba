//! `qiantang serve`: start by a configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use model::Result;
use policy::port::Clock;

use super::{err, out_json};
use crate::config::{Config, LogPart, certificate_advice};
use crate::house::{House, SystemClock};
use crate::serve::{Doors, Node, certificates};

/// Start by a configuration file. 按配置启动。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang serve --config qiantang.toml")]
pub(crate) struct Args {
    /// Configuration file. 配置文件。
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the addresses as one line of JSON when everything is open. 以 JSON 输出地址。
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// How the file wants the log; a broken file is told later, by `run`.
    pub(crate) fn log(&self) -> LogPart {
        Config::load(&self.config).map_or_else(|_| LogPart::default(), |c| c.log)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let config = Config::load(&args.config)?;
    // Before a port is taken and a store is opened: what keeps a door shut, and certificates that do not hold or end soon.
    let now = SystemClock.now();
    for term in certificates(&config)? {
        if let Some((zh, en)) = certificate_advice(&term, now) {
            tracing::warn!("{zh} / {en}");
        }
    }
    if config.node() {
        return node(&args, &config).await;
    }
    let doors = Doors::bind(&config).await?;
    let house = House::open(&config).await?;
    let operation = format!("http://{}", doors.operation_address());
    if args.json {
        out_json(&serde_json::json!({
            "roles": config.roles,
            "portal": doors.portal_url,
            "gateway": doors.gateway_url,
            "sql": doors.has_sql().then_some(&doors.sql_address),
            "operation": operation,
        }))?;
    } else {
        err(&format!(
            "门户 portal     {}\n接口 gateway    {}\n运维 operation  {operation} (/health /ready /metrics)",
            doors.portal_url, doors.gateway_url
        ));
        if doors.has_sql() {
            err(&format!("SQL             postgresql://{}/qiantang", doors.sql_address));
        }
    }
    doors.serve(&config, house).await?;
    Ok(ExitCode::SUCCESS)
}

/// Parts of the cluster for SQL: they open no store.
async fn node(args: &Args, config: &Config) -> Result<ExitCode> {
    let node = Node::bind(config).await?;
    let at = node.addresses;
    let operation = format!("http://{}", at.operation);
    let text = |at: Option<std::net::SocketAddr>| at.map(|at| at.to_string());
    if args.json {
        out_json(&serde_json::json!({
            "roles": config.roles,
            "scheduler": text(at.scheduler),
            "executor": text(at.executor),
            "operation": operation,
        }))?;
    } else {
        for (name, at) in [("调度 scheduler", at.scheduler), ("执行 executor", at.executor)] {
            if let Some(at) = at {
                err(&format!("{name}  {at}"));
            }
        }
        err(&format!("运维 operation  {operation} (/health /ready /metrics)"));
    }
    node.serve(config).await?;
    Ok(ExitCode::SUCCESS)
}
