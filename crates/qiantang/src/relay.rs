//! Commands beside a running server: an SQLite store is written by one process, so a command that changes something is
//! handed to the server that holds the folder, runs there through the same rooms, and tells what it says from here.
//!
//! The server listens on a Unix socket in its data folder; only the folder's owner (and root) is heard. One connection is
//! one command: a line of JSON with the arguments and the working directory goes in, lines with what the command says
//! come back, the last one with its exit code. A command goes on when its terminal goes away, as a web request would.

use std::io::{BufRead, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use app::App;
use model::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::command;
use crate::folder::DataFolder;

/// Name of the socket in the data folder.
const SOCKET: &str = "command.sock";
/// How often, and how long apart, a server that is starting is looked for.
const STARTING: (u32, Duration) = (20, Duration::from_millis(100));
/// Longest order in bytes.
const LONGEST: u64 = 1 << 20;

/// A command for the server.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    args: Vec<String>,
    folder: PathBuf,
}

/// What a command says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Out(String),
    Err(String),
    Exit(u8),
}

/// The server's side of one relayed command, known to the task that runs it.
#[derive(Clone)]
struct Here {
    house: Arc<App>,
    keeper: Arc<DataFolder>,
    folder: PathBuf,
    words: UnboundedSender<Word>,
}

tokio::task_local! {
    static HERE: Here;
}

/// The house in which a relayed command runs; `None` in a process of the command's own.
pub fn house() -> Option<(Arc<App>, Arc<DataFolder>)> {
    HERE.try_with(|here| (Arc::clone(&here.house), Arc::clone(&here.keeper))).ok()
}

/// Whether this task runs a relayed command: then there is no terminal to draw on.
pub fn relayed() -> bool {
    HERE.try_with(|_| ()).is_ok()
}

/// A path as the person who gave the command meant it.
pub fn meant(path: &Path) -> PathBuf {
    HERE.try_with(|here| here.folder.join(path)).unwrap_or_else(|_| path.to_owned())
}

/// Says a line to whoever gave the command; `false` when this task runs no relayed command.
pub fn say(text: &str, aside: bool) -> bool {
    HERE.try_with(|here| {
        let word = if aside { Word::Err(text.to_owned()) } else { Word::Out(text.to_owned()) };
        // Nobody listens any more: the command goes on.
        let _ = here.words.send(word);
    })
    .is_ok()
}

/// Listens for commands as long as the server runs. A folder whose path is too long for a socket does without.
pub async fn serve(app: Arc<App>, keeper: Arc<DataFolder>) {
    let path = keeper.sub(SOCKET);
    // The folder is ours alone: a socket there is one that a crash left.
    let _ = std::fs::remove_file(&path);
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(e) => {
            tracing::warn!(error = %e, "commands cannot be run beside this server");
            return;
        }
    };
    let owner = std::fs::metadata(&path).map(|m| m.uid());
    let private = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    let (Ok(owner), Ok(())) = (owner, private) else {
        tracing::warn!("the socket for commands could not be made private and is closed");
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let heard = stream.peer_cred().is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0);
        if heard {
            tokio::spawn(attend(stream, Arc::clone(&app), Arc::clone(&keeper)));
        }
    }
}

async fn attend(stream: UnixStream, app: Arc<App>, keeper: Arc<DataFolder>) {
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    let read = BufReader::new(from.take(LONGEST)).read_line(&mut line).await;
    let Some(order) = read.ok().and_then(|_| serde_json::from_str::<Order>(&line).ok()) else {
        return;
    };
    let (words, mut said) = unbounded_channel();
    let here = Here { house: app, keeper, folder: order.folder, words: words.clone() };
    let work = tokio::spawn(async move {
        let code = HERE.scope(here, command::run_relayed(order.args)).await;
        let _ = words.send(Word::Exit(code));
    });
    while let Some(word) = said.recv().await {
        let last = matches!(word, Word::Exit(_));
        let Ok(mut text) = serde_json::to_vec(&word) else { continue };
        text.push(b'\n');
        if to.write_all(&text).await.is_err() || last {
            break;
        }
    }
    let _ = work.await;
}

/// Hands the present command line to the server that holds `data`. A server that is starting holds it before it listens, so it is
/// given a moment. `None`: nobody listens there.
pub fn hand_over(data: &Path) -> Option<Result<ExitCode>> {
    for _ in 0..STARTING.0 {
        if let Ok(stream) = std::os::unix::net::UnixStream::connect(data.join(SOCKET)) {
            return Some(converse(stream));
        }
        if !DataFolder::held(data) {
            return None;
        }
        std::thread::sleep(STARTING.1);
    }
    None
}

fn converse(mut stream: std::os::unix::net::UnixStream) -> Result<ExitCode> {
    let broken = || {
        Error::new(
            Code::StoreUnavailable,
            "与运行中的服务器的连接中断；请查看服务器日志后重试",
            "the connection to the running server broke; look at its log and try again",
        )
    };
    let folder = std::env::current_dir().map_err(|e| broken().caused_by(e))?;
    let order = Order { args: std::env::args().collect(), folder };
    let mut text = serde_json::to_vec(&order).map_err(|e| broken().caused_by(e))?;
    text.push(b'\n');
    stream.write_all(&text).map_err(|e| broken().caused_by(e))?;
    for line in std::io::BufReader::new(stream).lines() {
        let line = line.map_err(|e| broken().caused_by(e))?;
        match serde_json::from_str(&line).map_err(|e| broken().caused_by(e))? {
            Word::Out(text) => command::out(&text),
            Word::Err(text) => command::err(&text),
            Word::Exit(code) => return Ok(ExitCode::from(code)),
        }
    }
    Err(broken())
}
