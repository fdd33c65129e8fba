//! `qiantang serve`: start by a configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use model::Result;

use super::err;
use crate::config::{Config, LogPart};
use crate::house::House;
use crate::serve::Doors;

/// Start by a configuration file. 按配置启动。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang serve --config qiantang.toml")]
pub(crate) struct Args {
    /// Configuration file. 配置文件。
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    /// How the file wants the log; a broken file is told later, by `run`.
    pub(crate) fn log(&self) -> LogPart {
        Config::load(&self.config).map_or_else(|_| LogPart::default(), |c| c.log)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let doors = Doors::bind(&config).await?;
    let house = House::open(&config).await?;
    err(&format!("门户 portal   {}\n接口 gateway  {}", doors.portal_url, doors.gateway_url));
    doors.serve(&config, house).await?;
    Ok(ExitCode::SUCCESS)
}
