//! `qiantang config check`: is a configuration file right?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use model::{Error, Result};
use policy::port::Clock;

use super::{out, out_json};
use crate::config::{Config, certificate_advice};
use crate::house::SystemClock;
use crate::serve::certificates;

/// Check a configuration file, or print one with every key. 检查配置。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang config check --config qiantang.toml\n\n\
                  Switches that are off 默认关闭的开关:\n  \
                  [gateway] ckan_sql = true     CKAN's datastore_search_sql 以一条 SELECT 取开放数据\n  \
                  [gateway] ckan_write = true   CKAN's actions write drafts by personal tokens (ckanapi load) 凭个人令牌写入草稿\n  \
                  [sql] client_ca_file = \"ca.crt\"  SQL by the key of a registered client certificate 以登记的客户端证书登录 SQL")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a file and every file it names; says line and remedy of what is wrong. Opens no store. 检查。
    #[command(after_help = "Example 示例: qiantang config check --config qiantang.toml --json")]
    Check {
        /// Configuration file. 配置文件。
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print the defaults as a file to start from. 打印默认配置。
    #[command(after_help = "Example 示例: qiantang config print")]
    Print,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.action {
        Action::Check { config } => {
            let loaded = Config::load(config)?;
            let op = model::Op::system(SystemClock.now());
            let mut advice = loaded.examine(op.today())?;
            let terms = certificates(&loaded)?;
            advice.extend(terms.iter().filter_map(|term| certificate_advice(term, op.at)));
            if args.json {
                let advice: Vec<_> = advice
                    .iter()
                    .map(|(zh, en)| serde_json::json!({ "zh": zh, "en": en }))
                    .collect();
                out_json(&serde_json::json!({
                    "ok": true,
                    "roles": loaded.roles,
                    "secure_cookies": loaded.secure_cookies(),
                    "advice": advice,
                }))?;
            } else {
                out(&format!("配置正确 the configuration is right: {}", config.display()));
                for (zh, en) in advice {
                    out(&format!("注意 note: {zh}\n  {en}"));
                }
            }
        }
        Action::Print => {
            let text = toml::to_string_pretty(&Config::default())
                .map_err(|e| Error::internal("TOML").caused_by(e))?;
            if args.json {
                out_json(&Config::default())?;
            } else {
                out(&text);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
