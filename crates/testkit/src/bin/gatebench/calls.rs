//! Calls of a scene, signed ahead so that the measurement pays for none of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use guard::signature::{
    Algorithm, HEADER_KEY, HEADER_NONCE, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedRequest,
};
use serde_json::Value;

use crate::Outcome;
use crate::enrol::AppKey;
use crate::plan::Plan;

/// What is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    Row,
    List,
    Crowd,
    Irs,
}

impl Scene {
    pub(crate) fn parse(name: &str) -> Outcome<Self> {
        match name {
            "row" => Ok(Scene::Row),
            "list" => Ok(Scene::List),
            "crowd" => Ok(Scene::Crowd),
            "irs" => Ok(Scene::Irs),
            other => Err(format!("there is no scene `{other}`").into()),
        }
    }

    /// What the peer is asked for a key.
    pub(crate) fn question(self, plan: &Plan, key: &str) -> String {
        match self {
            Scene::List => format!(
                "{}&order={}&limit={}",
                compared(&plan.key_column, "gte", key),
                plan.key_column,
                plan.page
            ),
            _ => lookup(&plan.key_column, key),
        }
    }
}

/// Applications that call by the older convention: each may so often in a second, so that many are needed.
const IRS_APPS: usize = 300;
/// Between two of its refreshes: an address that does not sign may call so often.
const IRS_PACE: Duration = Duration::from_millis(8);

/// One call, ready to be written down.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Who calls in a scene, made ready.
pub(crate) struct Callers {
    scene: Scene,
    plan: Plan,
    apps: Vec<AppKey>,
    codes: Vec<String>,
    /// Of the older convention: one for each application.
    secrets: Vec<String>,
}

impl Callers {
    pub(crate) async fn new(plan: Plan, scene: Scene) -> Outcome<Self> {
        let (mut apps, mut codes, mut secrets) = (vec![plan.app.clone()], Vec::new(), Vec::new());
        if matches!(scene, Scene::Crowd | Scene::Irs) {
            let crowd = plan.crowd()?;
            (apps, codes) = (crowd.apps, crowd.lookups);
        }
        if scene == Scene::Irs {
            apps.truncate(IRS_APPS);
            for app in &apps {
                secrets.push(refreshed(&plan.host, app).await?);
                tokio::time::sleep(IRS_PACE).await;
            }
        }
        Ok(Self { scene, plan, apps, codes, secrets })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The call with a number, for a key.
    pub(crate) fn call(&self, base: i64, number: usize, key: &str) -> Outcome<Call> {
        let nobody = || "nobody calls";
        let who = number % self.apps.len().max(1);
        let app = self.apps.get(who).ok_or_else(nobody)?;
        let code = || self.codes.get(number % self.codes.len().max(1)).ok_or("no interface");
        let own = |path: String, query: String| {
            let headers = signed(app, &path, &query, &nonce(base, number))?;
            Ok(Call { path, query, headers })
        };
        match self.scene {
            Scene::Row | Scene::List => {
                own(self.plan.path.clone(), self.scene.question(&self.plan, key))
            }
            Scene::Crowd => own(format!("/api/interface/{}", code()?), format!("uscc={key}")),
            Scene::Irs => {
                let secret = self.secrets.get(who).ok_or_else(nobody)?;
                let stamp = now()?.to_string();
                let sign = guard::convention::sign(&app.key, secret.as_bytes(), &stamp);
                Ok(Call {
                    path: format!("/gateway/api/001003001/dataSharing/{}.htm", code()?),
                    query: format!("appKey={}&requestTime={stamp}&sign={sign}&uscc={key}", app.key),
                    headers: Vec::new(),
                })
            }
        }
    }
}

/// The request secret of an application of the older convention.
async fn refreshed(host: &str, app: &AppKey) -> Outcome<String> {
    let stamp = now()?.to_string();
    let sign = guard::convention::sign(&app.key, app.secret.as_bytes(), &stamp);
    let url = format!(
        "http://{host}/gateway/app/refreshTokenByKey.htm?appKey={}&requestTime={stamp}&sign={sign}",
        app.key
    );
    let answer: Value = reqwest::get(url).await?.json().await?;
    let secret = answer.pointer("/datas/requestSecret").and_then(Value::as_str);
    secret.map(str::to_owned).ok_or_else(|| format!("no secret was given: {answer}").into())
}

pub(crate) async fn sign(dir: &Path, scene: Scene, file: &Path, n: usize) -> Outcome {
    let callers = Callers::new(Plan::read(dir)?, scene).await?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    let base = now()?;
    let plan = callers.plan();
    for (number, key) in plan.keys.iter().cycle().take(n).enumerate() {
        let call = callers.call(base, number, key)?;
        write!(out, "GET {}?{} HTTP/1.1\r\nHost: {}\r\n", call.path, call.query, plan.host)?;
        for (name, value) in &call.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        out.write_all(b"\r\n")?;
    }
    Ok(out.flush()?)
}

/// The same questions for the peer.
pub(crate) fn bare(dir: &Path, scene: Scene, file: &Path) -> Outcome {
    let plan = Plan::read(dir)?;
    let mut calls = String::new();
    for key in &plan.keys {
        let query = scene.question(&plan, key);
        write!(calls, "GET {}?{query} HTTP/1.1\r\nHost: peer\r\n\r\n", plan.path)?;
    }
    Ok(std::fs::write(file, calls)?)
}

/// Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "a client signs with the time of its own clock")]
pub(crate) fn now() -> Outcome<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// `http://host:port/path` into host and path.
pub(crate) fn split(url: &str) -> Outcome<(String, String)> {
    let rest = url.strip_prefix("http://").ok_or("the demo's resources should be http:// URLs")?;
    let (host, path) = rest.split_once('/').ok_or("a resource's URL should have a path")?;
    Ok((host.to_owned(), format!("/{path}")))
}

/// The headers of one signed GET.
pub(crate) fn signed(
    app: &AppKey,
    path: &str,
    query: &str,
    nonce: &str,
) -> Outcome<Vec<(&'static str, String)>> {
    let algorithm = Algorithm::HmacSha256;
    let (timestamp, body_hash) = (now()?, algorithm.body_hash(b""));
    let call =
        SignedRequest { method: "GET", path, query, body_hash: &body_hash, timestamp, nonce };
    Ok(vec![
        (HEADER_KEY, app.key.clone()),
        (HEADER_TIMESTAMP, timestamp.to_string()),
        (HEADER_NONCE, nonce.to_owned()),
        (HEADER_SIGNATURE, call.sign(algorithm, app.secret.as_bytes())),
    ])
}

/// A nonce that no other call of this or an earlier run has.
pub(crate) fn nonce(base: i64, number: usize) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{base:x}-{:x}-{count:x}-{number:08x}", std::process::id())
}

/// The query part of a look-up.
pub(crate) fn lookup(column: &str, key: &str) -> String {
    compared(column, "eq", key)
}

/// A comparison, percent-encoded for the few characters keys may hold.
fn compared(column: &str, how: &str, key: &str) -> String {
    let mut query = format!("{column}={how}.");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
    query
}
