//! `qiantang halt`: emergency stops from the command line.

use std::process::ExitCode;

use app::halt::{self, HaltAsk};
use clap::Subcommand;
use model::halt::{Halt, HaltKind};
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Stop an application, a resource or an interface at once, and lift such stops. 紧急停用。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang halt stop entry fr_jbxx --reason 疑似泄露 --as anquan"
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
    /// Stop it: nothing leaves by any way. 停用。
    #[command(after_help = "Example 示例: qiantang halt stop application 5f0c… --reason 密钥外泄")]
    Stop(What),
    /// Lift a stop. 解除。
    #[command(after_help = "Example 示例: qiantang halt lift application 5f0c… --reason 已换密钥")]
    Lift(What),
    /// List what is stopped now. Runs beside a server. 停用中的对象。
    #[command(after_help = "Example 示例: qiantang halt list --json")]
    List,
}

#[derive(Debug, clap::Args)]
struct What {
    /// `application`, `entry` or `interface`. 对象。
    kind: String,
    /// Access key, or code. 访问标识或编码。
    name: String,
    /// Why; it is kept and shown. 原因。
    #[arg(long)]
    reason: String,
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<ExitCode> {
    let app = &house.app;
    match action {
        Action::Stop(what) => {
            let kind = kind(&what.kind)?;
            let ask = HaltAsk { kind, name: what.name, reason: what.reason };
            told(&halt::begin(app, op, &ask).await?, json)?;
        }
        Action::Lift(what) => {
            let found = halt::find(app, op, kind(&what.kind)?, &what.name).await?;
            told(&halt::lift(app, op, &found.id, &what.reason).await?, json)?;
        }
        Action::List => {
            let (now, _) = halt::list(app, op, None, 1).await?;
            for view in &now {
                told(&view.halt, json)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn kind(text: &str) -> Result<HaltKind> {
    HaltKind::parse(text).ok_or_else(|| {
        Error::invalid(
            format!("`{text}` 应为 application、entry 或 interface"),
            format!("`{text}` is not `application`, `entry` or `interface`"),
        )
    })
}

fn told(halt: &Halt, json: bool) -> Result<()> {
    if json {
        return out_json(halt);
    }
    let word = if halt.in_force() { "停用中 stopped" } else { "已解除 lifted" };
    out(&format!("{word}: {} {} {} · {}", halt.kind, halt.code, halt.at, halt.reason));
    Ok(())
}
