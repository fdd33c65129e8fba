//! Callers that ask one question again and again by one way out of one process, and remember when each was sent and answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::Outcome;
use crate::calls::{nonce, now, signed};
use crate::enrol::{AppKey, Person, between};

/// How long callers may take until all of them are served.
const PATIENCE: Duration = Duration::from_secs(90);
/// So many calls served one after the other: it is settled.
const SETTLED: usize = 3;
/// Longest piece of a wrong answer that is kept, characters.
const SHOWN: usize = 300;

/// What a call was answered.
#[derive(Debug)]
pub(crate) enum Told {
    /// With the right rows.
    Served,
    /// By the refusal of an emergency stop.
    Refused,
    /// By anything else.
    Wrong(String),
}

/// One call.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    pub(crate) told: Told,
}

impl Event {
    pub(crate) fn served(&self) -> bool {
        matches!(self.told, Told::Served)
    }

    pub(crate) fn refused(&self) -> bool {
        matches!(self.told, Told::Refused)
    }

    pub(crate) fn wrong(&self) -> Option<&str> {
        match &self.told {
            Told::Wrong(what) => Some(what),
            _ => None,
        }
    }
}

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Rows,
    Interface,
    Delta,
    Sql,
    /// An interface tried on its page.
    Console,
    /// Other interfaces, by other applications.
    Others,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Way::Rows => "rows",
            Way::Interface => "interface",
            Way::Delta => "delta sharing",
            Way::Sql => "sql",
            Way::Console => "console",
            Way::Others => "others",
        }
    }
}

/// A caller at work, until it is dropped.
pub(crate) struct Caller {
    pub(crate) process: String,
    pub(crate) way: Way,
    log: Arc<Mutex<Vec<Event>>>,
    task: JoinHandle<()>,
}

impl Caller {
    /// Begins to ask: one call at a time, and no sooner than `pace` after the one before.
    pub(crate) fn begin(process: &str, way: Way, mut ask: Ask, pace: Duration) -> Self {
        let log = Arc::<Mutex<Vec<Event>>>::default();
        let kept = Arc::clone(&log);
        let task = tokio::spawn(async move {
            loop {
                let sent = Instant::now();
                let told = ask.once().await;
                let answered = Instant::now();
                kept.lock().push(Event { sent, answered, told });
                tokio::time::sleep(pace.saturating_sub(answered - sent)).await;
            }
        });
        Self { process: process.to_owned(), way, log, task }
    }

    /// Looks at what was answered since it was last forgotten.
    pub(crate) fn events<T>(&self, look: impl FnOnce(&[Event]) -> T) -> T {
        look(&self.log.lock())
    }

    pub(crate) fn forget(&self) {
        self.log.lock().clear();
    }

    fn name(&self) -> String {
        format!("{} {}", self.process, self.way.as_str())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until every caller is served, call after call.
pub(crate) async fn settled(callers: &[Caller]) -> Outcome {
    callers.iter().for_each(Caller::forget);
    let begun = Instant::now();
    let is = |c: &Caller| {
        c.events(|all| all.iter().rev().take(SETTLED).filter(|e| e.served()).count() == SETTLED)
    };
    while let Some(late) = callers.iter().find(|c| !is(c)) {
        if begun.elapsed() > PATIENCE {
            let last = late.events(|all| all.last().map(|e| format!("{:?}", e.told)));
            let last = last.unwrap_or_else(|| "nothing".into());
            return Err(format!("`{}` is not served; it was last told: {last}", late.name()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What a caller asks.
pub(crate) enum Ask {
    /// A signed call whose right answer holds a text.
    Get {
        client: reqwest::Client,
        gate: String,
        app: AppKey,
        path: String,
        query: String,
        right: String,
    },
    /// The same by many applications of many interfaces, in turn.
    Others {
        client: reqwest::Client,
        gate: String,
        apps: Arc<Vec<AppKey>>,
        codes: Arc<Vec<String>>,
        query: String,
        right: String,
        number: usize,
    },
    /// The files of a table.
    Delta {
        client: reqwest::Client,
        url: String,
        bearer: String,
    },
    Sql(Box<Sql>),
    /// The form by which an interface is tried.
    Console {
        person: Box<Person>,
        to: String,
        fields: Vec<(String, String)>,
    },
}

impl Ask {
    async fn once(&mut self) -> Told {
        match self {
            Ask::Get { client, gate, app, path, query, right } => {
                judged(get(client, gate, app, path, query).await, right)
            }
            Ask::Others { client, gate, apps, codes, query, right, number } => {
                *number += 1;
                let app = apps.get(*number % apps.len().max(1));
                let code = codes.get(*number % codes.len().max(1));
                let (Some(app), Some(code)) = (app, code) else {
                    return Told::Wrong("the demo has no crowd".into());
                };
                let path = format!("/api/interface/{code}");
                judged(get(client, gate, app, &path, query).await, right)
            }
            Ask::Delta { client, url, bearer } => {
                let asked = client.post(url.as_str()).bearer_auth(bearer.as_str()).body("{}");
                judged(whole(asked).await, "{\"file\":")
            }
            Ask::Sql(sql) => sql.once().await,
            Ask::Console { person, to, fields } => {
                let asked = person.client.post(format!("{}{to}", person.portal)).form(fields);
                match whole(asked).await {
                    Ok((_, page)) if page.contains("id=\"answer\"") => Told::Served,
                    Ok((_, page)) if page.contains("<code>halted</code></p>") => Told::Refused,
                    Ok((status, page)) => {
                        let why = between(&page, "id=\"faults\"", "</div>").unwrap_or_default();
                        Told::Wrong(format!("{status}: {}", cut(why)))
                    }
                    Err(e) => Told::Wrong(e.to_string()),
                }
            }
        }
    }
}

/// A signed call; its status and text.
pub(crate) async fn get(
    client: &reqwest::Client,
    gate: &str,
    app: &AppKey,
    path: &str,
    query: &str,
) -> Outcome<(StatusCode, String)> {
    let mut asked = client.get(format!("{gate}{path}?{query}"));
    for (name, value) in signed(app, path, query, &nonce(now()?, 0))? {
        asked = asked.header(name, value);
    }
    whole(asked).await
}

async fn whole(asked: reqwest::RequestBuilder) -> Outcome<(StatusCode, String)> {
    let answer = asked.send().await?;
    Ok((answer.status(), answer.text().await?))
}

fn judged(answered: Outcome<(StatusCode, String)>, right: &str) -> Told {
    let (status, text) = match answered {
        Ok(answered) => answered,
        Err(e) => return Told::Wrong(e.to_string()),
    };
    if status.is_success() && text.contains(right) {
        return Told::Served;
    }
    match code(&text).as_deref() {
        Some("halted") => Told::Refused,
        _ => Told::Wrong(format!("{status}: {}", cut(&text))),
    }
}

/// The code of a refusal, as either door spells it.
pub(crate) fn code(text: &str) -> Option<String> {
    let told: Value = serde_json::from_str(text).ok()?;
    let code = told.get("code").or_else(|| told.get("errorCode"))?;
    code.as_str().map(str::to_owned)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// One statement by PostgreSQL's protocol, again and again on one connection; one that was ended is made anew.
pub(crate) struct Sql {
    config: tokio_postgres::Config,
    statement: String,
    right: String,
    client: Option<tokio_postgres::Client>,
}

impl Sql {
    /// `at`: `host:port`; `right`: the text in the only column of its answer.
    pub(crate) fn new(
        at: &str,
        (user, password): (&str, &str),
        statement: String,
        right: &str,
    ) -> Outcome<Self> {
        let (host, port) = at.rsplit_once(':').ok_or("the SQL door has no port")?;
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port.parse()?).dbname("qiantang").user(user).password(password);
        Ok(Self { config, statement, right: right.to_owned(), client: None })
    }

    async fn once(&mut self) -> Told {
        for _ in 0..2 {
            let client = match self.client.take() {
                Some(client) if !client.is_closed() => client,
                _ => match self.config.connect(NoTls).await {
                    Ok((client, connection)) => {
                        tokio::spawn(connection);
                        client
                    }
                    Err(e) => return refusal(&e),
                },
            };
            match client.simple_query(&self.statement).await {
                Ok(answer) => {
                    self.client = Some(client);
                    let right = answer.iter().any(|m| match m {
                        SimpleQueryMessage::Row(row) => row.get(0) == Some(self.right.as_str()),
                        _ => false,
                    });
                    return if right { Told::Served } else { Told::Wrong("no row".into()) };
                }
                // Ended without a word; what it says next time counts.
                Err(e) if e.as_db_error().is_none() && (e.is_closed() || client.is_closed()) => {}
                Err(e) => {
                    self.client = Some(client);
                    return refusal(&e);
                }
            }
        }
        Told::Wrong("the connection ends at once".into())
    }
}

/// A stopped application is told of its stop; a stopped resource is told of, or is no table any more.
fn refusal(error: &tokio_postgres::Error) -> Told {
    let Some(told) = error.as_db_error() else { return Told::Wrong(error.to_string()) };
    match told.code().code() {
        "42P01" => Told::Refused,
        "42501" if told.message().contains("emergency stop") => Told::Refused,
        other => Told::Wrong(format!("{other}: {}", cut(told.message()))),
    }
}
