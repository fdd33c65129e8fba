//! `qiantang exchange`: exchange of files from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use app::exchange;
use clap::Subcommand;
use model::exchange::{Count, ExchangeFile};
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Exchange files with departments, with receipts on both sides. 文件数据交换。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang exchange list --json")]
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
    /// List exchanges with files under way and waiting. 列表。
    #[command(after_help = "Example 示例: qiantang exchange list")]
    List,
    /// Say how an exchange stands and what waits for somebody; exit code 1 when something does. 检查。
    #[command(after_help = "Example 示例: qiantang exchange check 区划交换 --as provider")]
    Check {
        /// Id, or name in one's organisation. 编号或名称。
        exchange: String,
    },
    /// Take one turn now: files that are whole are taken, new rows are sent. 立即执行一次。
    #[command(after_help = "Example 示例: qiantang exchange run 区划交换 --as provider")]
    Run {
        /// Id, or name in one's organisation. 编号或名称。
        exchange: String,
    },
    /// List files with both sides' figures, newest first. 回执。
    #[command(after_help = "Example 示例: qiantang exchange receipts 区划交换 --as provider")]
    Receipts {
        /// Id, or name in one's organisation. 编号或名称。
        exchange: String,
    },
    /// Show the key of encrypted files, to be handed to the other side; the look is recorded. 文件密钥。
    #[command(after_help = "Example 示例: qiantang exchange key 区划交换 --as provider")]
    Key {
        /// Id, or name in one's organisation. 编号或名称。
        exchange: String,
    },
    /// Encrypt a file for an exchange (SM4-GCM): writes FILE.sm4. 加密文件。
    #[command(after_help = "Example 示例: qiantang exchange seal a.csv --key-file key.txt")]
    Seal {
        /// File to encrypt. 文件。
        file: PathBuf,
        /// File with the key, 64 hex digits. 密钥文件。
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        matches!(self.action, Action::Run { .. })
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    if let Action::Seal { file, key_file } = &args.action {
        return seal(file, key_file, args.json);
    }
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<ExitCode> {
    let app = &house.app;
    match action {
        Action::List => {
            let mut after = None;
            loop {
                let page = exchange::list(app, op, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Action::Check { exchange } => {
            let id = exchange::named(app, op, &exchange).await?;
            let view = exchange::get(app, op, &id).await?;
            if json {
                out_json(&view)?
            } else {
                show(&view)
            }
            let fine = view.waiting == 0 && view.figures.zh.is_empty();
            Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Action::Run { exchange } => {
            let id = exchange::named(app, op, &exchange).await?;
            let settled = exchange::run(app, op, &id).await?;
            if json {
                out_json(&serde_json::json!({ "id": id, "files": settled }))?;
            } else {
                out(&format!("已处理 settled: {settled} 个文件 files"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Receipts { exchange } => {
            let id = exchange::named(app, op, &exchange).await?;
            let mut before = None;
            loop {
                let page = exchange::files(app, op, &id, before.as_deref(), 200).await?;
                for file in &page.items {
                    if json { out_json(file)? } else { show_file(file) }
                }
                before = page.next;
                if before.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Action::Key { exchange } => {
            let id = exchange::named(app, op, &exchange).await?;
            let key = exchange::key(app, op, &id).await?;
            if json {
                out_json(&serde_json::json!({ "id": id, "key": key.as_str() }))?;
            } else {
                out(&key);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Seal { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn seal(file: &std::path::Path, key_file: &std::path::Path, json: bool) -> Result<ExitCode> {
    let unreadable = |path: &std::path::Path, e: std::io::Error| {
        Error::invalid(
            format!("无法读写 {}：{e}", path.display()),
            format!("{} cannot be read or written: {e}", path.display()),
        )
    };
    let key = std::fs::read_to_string(key_file).map_err(|e| unreadable(key_file, e))?;
    if std::fs::metadata(file).map_err(|e| unreadable(file, e))?.len() > guard::envelope::MOST {
        return Err(guard::envelope::too_large());
    }
    let plain = std::fs::read(file).map_err(|e| unreadable(file, e))?;
    let sealed = guard::envelope::seal(key.trim(), &plain)?;
    let mut to = file.as_os_str().to_owned();
    to.push(".sm4");
    let to = PathBuf::from(to);
    std::fs::write(&to, sealed).map_err(|e| unreadable(&to, e))?;
    if json {
        out_json(&serde_json::json!({ "file": to.display().to_string() }))?;
    } else {
        out(&to.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn show(view: &exchange::ExchangeView) {
    let e = &view.exchange;
    out(&format!(
        "{}  {}  {} {}  {} → {}  文件 files {}  行 rows {}  在办 under way {}  待处理 waiting {}",
        e.id,
        e.name,
        e.way.zh(),
        e.wish.zh(),
        e.peer,
        e.entry_code,
        view.figures.files,
        view.figures.rows,
        view.under_way,
        view.waiting
    ));
    if !view.figures.zh.is_empty() {
        out(&format!("    {}\n    {}", view.figures.zh, view.figures.en));
    }
}

fn show_file(file: &ExchangeFile) {
    let side = |count: &Count| {
        let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        let print = count.sha256.as_deref().or(count.sm3.as_deref()).unwrap_or("-");
        let print: String = print.chars().take(16).collect();
        format!("{} 行 rows, {} B, {print}", number(count.rows), number(count.bytes))
    };
    out(&format!("{}  {}  {}", file.updated_at, file.state.zh(), file.path));
    out(&format!("    发送方 sender: {}", side(&file.sender)));
    out(&format!(
        "    接收方 receiver: {}  入湖 landed {} 隔离 set aside {}",
        side(&file.receiver),
        file.landed,
        file.quarantined
    ));
    if !file.zh.is_empty() {
        out(&format!("    {}\n    {}", file.zh, file.en));
    }
}
