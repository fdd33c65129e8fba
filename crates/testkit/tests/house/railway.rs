//! What tests of the rail have in common: a client of the source, what lake and serving copy hold, a worker, a way that can be
//! cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::App;
use app::collection::source;
use app::rail;
use futures::TryStreamExt;
use model::Op;
use model::query::RowQuery;
use model::rail::RailNew;
use model::source::{SourceKind, SourceNew, SourceTls};
use model::value::Value;
use testkit::PROVIDER_ORG;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longest wait for something to come over.
const PATIENCE: Duration = Duration::from_secs(40);

/// Rows by key, as texts.
pub(crate) type Table = BTreeMap<String, Vec<Option<String>>>;

/// A client of the source.
pub(crate) struct Source {
    client: tokio_postgres::Client,
}

impl Source {
    pub(crate) async fn open(port: u16, database: &str) -> Self {
        let url = format!("host=127.0.0.1 port={port} user=qiantang dbname={database}");
        let mut tries = 0;
        loop {
            match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Self { client };
                }
                Err(e) if tries > 50 => panic!("{e}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            tries += 1;
        }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Lets a trigger `deny` refuse what is named (`DELETE ON session FOR EACH ROW`), as a server that fails would.
    pub(crate) async fn deny(&self, what: &str) {
        self.run(&format!("CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; CREATE TRIGGER deny BEFORE {what} EXECUTE FUNCTION deny()")).await;
    }

    pub(crate) async fn one(&self, sql: &str) -> String {
        let answer = self.client.simple_query(sql).await.unwrap();
        answer
            .iter()
            .find_map(|m| match m {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// Rows of a query whose first column is the key.
    pub(crate) async fn table(&self, sql: &str) -> Table {
        let answer = self.client.simple_query(sql).await.unwrap();
        let mut table = Table::new();
        for message in answer {
            let tokio_postgres::SimpleQueryMessage::Row(row) = message else { continue };
            let cells: Vec<Option<String>> =
                (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect();
            let before = table.insert(cells[0].clone().unwrap(), cells);
            assert!(before.is_none(), "the source has a key twice");
        }
        table
    }
}

/// Rows of the lake's current view; a key that occurs twice fails.
pub(crate) async fn lake(app: &Arc<App>, code: &str) -> Table {
    let nobody = app.op(model::Actor::Nobody, "-");
    let download = app::opening::download(app, &nobody, code, None).await.unwrap();
    let pieces: Vec<model::value::Rows> = download.rows.try_collect().await.unwrap();
    let mut table = Table::new();
    for row in pieces.into_iter().flat_map(|piece| piece.rows) {
        let cells: Vec<Option<String>> = row.iter().map(Value::to_text).collect();
        let before = table.insert(cells[0].clone().unwrap(), cells);
        assert!(before.is_none(), "the lake has a key twice");
    }
    table
}

/// Rows of the serving copy, page by page.
pub(crate) async fn served(app: &App, code: &str) -> Table {
    let nobody = app.op(model::Actor::Nobody, "-");
    let entry = app.store.entry_get(code).await.unwrap().unwrap();
    let ask = policy::GrantAsk {
        action: policy::Action::RowsDownload,
        entry: &entry,
        via: policy::Via::Open,
        row_cap: u64::MAX,
    };
    let grant = app.policy.grant(&nobody, &ask).unwrap();
    let mut table = Table::new();
    let mut query = RowQuery { limit: Some(900), ..RowQuery::default() };
    loop {
        let page = app.store.serving().query(&grant, &query).await.unwrap();
        for row in page.rows {
            let cells: Vec<Option<String>> = row.iter().map(Value::to_text).collect();
            assert!(table.insert(cells[0].clone().unwrap(), cells).is_none(), "served twice");
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return table,
        }
    }
}

/// Has rails taken up, as the worker does.
pub(crate) fn worker(app: &Arc<App>) -> tokio::task::JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            rail::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(now) if begun.elapsed() > PATIENCE => panic!("{what}: {now}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

pub(crate) fn differs(source: &Table, lake: &Table) -> Option<String> {
    if source == lake {
        return None;
    }
    let missing = source.iter().find(|(key, _)| !lake.contains_key(*key));
    let beyond = lake.iter().find(|(key, _)| !source.contains_key(*key));
    let other = source.iter().find(|(key, row)| lake.get(*key).is_some_and(|r| r != *row));
    let other = other.map(|(key, row)| (row, lake.get(key)));
    Some(format!(
        "{} rows at the source, {} in the lake; missing {missing:?}; beyond {beyond:?}; other {other:?}",
        source.len(),
        lake.len()
    ))
}

pub(crate) const FIRMS: &str =
    "SELECT id, nullif(trim(name), ''), amount, to_char(day, 'YYYY-MM-DD') FROM firms";

/// Waits until the lake holds what the source holds.
pub(crate) async fn level(app: &Arc<App>, source: &Source, code: &str, sql: &str) {
    until("level", async || {
        let (there, here) = (source.table(sql).await, lake(app, code).await);
        differs(&there, &here).map_or(Ok(()), Err)
    })
    .await;
}

/// A stored data source at this port.
pub(crate) async fn stored(app: &App, op: &Op, port: u16, database: &str) -> String {
    let new = SourceNew {
        org: PROVIDER_ORG.into(),
        name: format!("库 {port}"),
        kind: SourceKind::Postgres,
        host: "127.0.0.1".into(),
        port,
        database: database.into(),
        account: "qiantang".into(),
        password: "x".into(),
        tls: SourceTls::Prefer,
    };
    source::create(app, op, new).await.unwrap().id
}

pub(crate) fn new(source: &str, tables: &[(&str, &str)]) -> RailNew {
    RailNew {
        name: "高铁".into(),
        source: source.into(),
        tables: tables.iter().map(|(t, e)| ((*t).to_owned(), (*e).to_owned())).collect(),
        ..RailNew::default()
    }
}

/// A way to a source that can be cut, and lead to another one.
pub(crate) struct Way(watch::Sender<Option<u16>>);

impl Way {
    pub(crate) fn cut(&self) {
        self.0.send_replace(None);
    }

    /// Leads to this port; what went elsewhere breaks off.
    pub(crate) fn lead(&self, to: u16) {
        self.0.send_replace(Some(to));
    }
}

/// A port that leads to another one.
pub(crate) async fn proxy(to: u16) -> (u16, Way) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (lead, leads) = watch::channel(Some(to));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut leads = leads.clone();
            let Some(to) = *leads.borrow_and_update() else { continue };
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = leads.wait_for(|now| *now != Some(to)) => {}
                }
            });
        }
    });
    (port, Way(lead))
}
