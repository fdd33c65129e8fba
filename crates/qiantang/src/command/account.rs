//! `qiantang account`: people and applications from the command line (the first administrator is made here).

use std::process::ExitCode;

use clap::Subcommand;
use model::account::{ApplicationNew, Role, UserNew};
use model::{Error, Result};

use super::{Place, out, out_json};
use crate::relay;

/// Open and list accounts, register applications. 账号与应用。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang account create --name admin --role system_administrator --password-file pw.txt"
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
    /// Open an account. 开户。
    #[command(
        after_help = "Example 示例: qiantang account create --name wu --org sscjg --role provider --role reviewer --password-file pw.txt"
    )]
    Create {
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "")]
        display_name: String,
        /// Organisation id. 机构编号。
        #[arg(long)]
        org: Option<String>,
        /// Role, repeatable. 角色，可重复。
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// File with the password in its first line (it never stands on the command line). 密码文件。
        #[arg(long, value_name = "FILE")]
        password_file: std::path::PathBuf,
    },
    /// List accounts. Runs beside a server. 列出账号。
    #[command(after_help = "Example 示例: qiantang account list --json")]
    List,
    /// Register an application of the acting user's organisation; its secret is printed once. 登记应用。
    #[command(
        after_help = "Example 示例: qiantang account application --name 便民一点通 --org bmyy --as consumer"
    )]
    Application {
        #[arg(long)]
        name: String,
        #[arg(long)]
        org: String,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = match args.action {
        Action::List => args.place.look().await?,
        Action::Create { .. } | Action::Application { .. } => args.place.enter().await?,
    };
    match args.action {
        Action::Create { name, display_name, org, roles, password_file } => {
            let password_file = relay::meant(&password_file);
            let text = std::fs::read_to_string(&password_file).map_err(|e| {
                Error::invalid(
                    format!("无法读取密码文件 {}", password_file.display()),
                    format!("the password file {} cannot be read", password_file.display()),
                )
                .caused_by(e)
            })?;
            let roles = roles.iter().map(|word| role(word)).collect::<Result<Vec<_>>>()?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            let display_name = if display_name.is_empty() { name.clone() } else { display_name };
            let user = app::account::create_user(
                &house.app,
                &op,
                UserNew { name, display_name, org, roles, password },
            )
            .await?;
            if args.json {
                out_json(&user)?
            } else {
                out(&format!("已开户 opened: {}", user.name))
            }
        }
        Action::List => {
            let mut after = None;
            loop {
                let page = app::account::users(&house.app, &op, after.as_deref(), 1000).await?;
                for user in &page.items {
                    if args.json {
                        out_json(user)?;
                    } else {
                        let roles: Vec<_> = user.roles.iter().map(|r| r.as_str()).collect();
                        out(&format!(
                            "{:<20} {:<24} {}",
                            user.name,
                            user.org.as_deref().unwrap_or("-"),
                            roles.join(",")
                        ));
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Action::Application { name, org } => {
            let new = ApplicationNew { name, description: String::new(), org };
            let made = app::account::register_application(&house.app, &op, new).await?;
            if args.json {
                out_json(&made)?;
            } else {
                out(&format!(
                    "应用 application {}\n  key    {}\n  secret {}  （仅显示一次 shown once）",
                    made.application.name, made.application.key, made.secret
                ));
            }
        }
    }
    house.close().await;
    Ok(ExitCode::SUCCESS)
}

fn role(word: &str) -> Result<Role> {
    Role::parse(word).ok_or_else(|| {
        let all: Vec<_> = Role::ALL.iter().map(|r| r.as_str()).collect();
        Error::invalid(
            format!("没有角色 `{word}`，可选：{}", all.join("、")),
            format!("there is no role `{word}`; choose of {}", all.join(", ")),
        )
    })
}
