//! Listening: connections, TLS, how many, who may be cancelled, how long one may be idle.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use guard::tls::{Tls, TlsFiles};
use guard::{Callers, keys};
use model::Result;
use pgwire::error::PgWireResult;
use pgwire::messages::ProtocolVersion;
use pgwire::messages::startup::SecretKey;
use pgwire::tokio::{TlsAcceptor, process_socket};
use policy::port::SqlDesk;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::handler::{Connection, Handlers};
use super::memory::{Allowance, Share};
use super::session::Session;
use super::waiting::{Place, Waiting};
use super::words::{fatal, of_house};
use crate::lake::DeltaLake;

/// How often idle sessions are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(5);

/// The SQL door.
pub struct SqlDoor(Arc<Door>);

impl std::fmt::Debug for SqlDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlDoor").finish_non_exhaustive()
    }
}

pub(super) struct Door {
    pub(super) lake: Arc<DeltaLake>,
    pub(super) desk: Arc<dyn SqlDesk>,
    pub(super) parser: PostgresCompatibilityParser,
    tls: Option<TlsAcceptor>,
    /// Which certificates clients may sign in by, where they may.
    pub(super) callers: Option<Callers>,
    /// Connections on which somebody has signed in; on which nobody has.
    room: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    /// By application: its connections, and the statements it may run at once.
    applications: Mutex<HashMap<String, Weak<Application>>>,
    /// Sessions by process id, with the secret that cancels them.
    sessions: Mutex<HashMap<i32, (SecretKey, Weak<Session>)>>,
    next: AtomicI32,
}

struct Application {
    connections: Arc<Semaphore>,
    statements: Arc<Semaphore>,
    memory: Share,
}

/// The place of one connection among those of its application, and among all.
pub(super) struct Seat {
    application: Arc<Application>,
    _one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Seat {
    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.application.statements)
    }

    /// Memory of its statements.
    pub(super) fn memory(&self) -> Allowance {
        Allowance::shared(self.application.memory.clone())
    }
}

impl SqlDoor {
    /// A door that does not listen yet. Reads the certificate files.
    pub fn new(
        lake: Arc<DeltaLake>,
        desk: Arc<dyn SqlDesk>,
        tls: Option<&TlsFiles>,
    ) -> Result<Self> {
        let limits = desk.limits();
        let (tls, callers) = match tls.map(Self::tls).transpose()? {
            Some(tls) => (Some(TlsAcceptor::from(tls.config)), tls.callers),
            None => (None, None),
        };
        Ok(Self(Arc::new(Door {
            lake,
            desk,
            parser: PostgresCompatibilityParser::new(),
            tls,
            callers,
            room: Arc::new(Semaphore::new(limits.connections_all)),
            waiting: Waiting::new(&limits),
            applications: Mutex::default(),
            sessions: Mutex::default(),
            next: AtomicI32::new(1),
        })))
    }

    /// Reads the files of TLS as the door does. A certificate is asked for, not required; what is shown is believed by `startup`
    /// alone, once it has looked at it.
    pub fn tls(files: &TlsFiles) -> Result<Tls> {
        files.read(Callers::after_handshake, b"postgresql")
    }

    /// Serves until `stop` is done; connections are then cut.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        let door = Arc::clone(&self.0);
                        match door.waiting.take(from.ip().to_canonical()) {
                            Ok(place) => {
                                connections.spawn(connection(door, stream, from, place));
                            }
                            Err(refusal) => {
                                tracing::warn!("too many connections for SQL have not signed in");
                                let waiting = Arc::clone(&door.waiting);
                                connections.spawn(waiting.turn_away(stream, refusal));
                            }
                        }
                    }
                    Err(e) => {
                        // Out of file handles, perhaps: others may close theirs meanwhile.
                        tracing::warn!(error = %e, "a connection for SQL could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(done) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(e) = done && e.is_panic() {
                        tracing::error!(error = %e, "a connection for SQL ended badly");
                    }
                }
            }
        }
        connections.shutdown().await;
    }
}

async fn connection(door: Arc<Door>, stream: TcpStream, from: SocketAddr, place: Place) {
    let tls = door.tls.clone();
    let connection = Arc::new(Connection::new(Arc::clone(&door), place));
    let overdue = overdue(&connection, door.desk.limits().sign_in);
    tokio::select! {
        served = process_socket(stream, tls, Handlers(Arc::clone(&connection))) => {
            if let Err(e) = served {
                tracing::debug!(error = %e, loopback = from.ip().is_loopback(), "a connection for SQL broke");
            }
        }
        why = overdue => tracing::info!(why, "a connection for SQL was closed"),
    }
    door.sessions().retain(|_, (_, session)| session.strong_count() > 0);
}

/// Returns why a connection is to be closed, once there is a reason.
async fn overdue(connection: &Connection, sign_in: Duration) -> &'static str {
    tokio::time::sleep(sign_in).await;
    if connection.session().is_none() {
        return "nobody signed in in time";
    }
    loop {
        tokio::time::sleep(IDLE_LOOK).await;
        if connection.session().is_some_and(|s| s.idle() > s.limits.idle.max(s.most())) {
            return "idle";
        }
    }
}

impl Door {
    pub(super) fn tls(&self) -> bool {
        self.tls.is_some()
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<i32, (SecretKey, Weak<Session>)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of an application.
    pub(super) fn seat(&self, application: &str) -> PgWireResult<Seat> {
        let limits = self.desk.limits();
        let of_all = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            tracing::warn!("all connections for SQL are taken");
            let most = limits.connections_all;
            fatal(
                "53300",
                format!("SQL 连接总数已达上限 {most}，请稍后再试"),
                format!("all {most} connections for SQL are taken: try again shortly"),
            )
        })?;
        let application = {
            let mut all = self.applications.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, known| known.strong_count() > 0);
            match all.get(application).and_then(Weak::upgrade) {
                Some(known) => known,
                None => {
                    let new = Arc::new(Application {
                        connections: Arc::new(Semaphore::new(limits.connections)),
                        statements: Arc::new(Semaphore::new(limits.statements)),
                        memory: Share::new(self.lake.memory_limit()),
                    });
                    all.insert(application.to_owned(), Arc::downgrade(&new));
                    new
                }
            }
        };
        let one = Arc::clone(&application.connections).try_acquire_owned().map_err(|_| {
            let most = limits.connections;
            fatal(
                "53300",
                format!("该应用的连接数已达上限 {most}，请关闭不用的连接"),
                format!("the application has its {most} connections: close some that are not used"),
            )
        })?;
        Ok(Seat { application, _one: one, _of_all: of_all })
    }

    /// Process id and secret by which a connection's statements are cancelled.
    pub(super) fn register(
        &self,
        connection: &Connection,
        version: ProtocolVersion,
    ) -> PgWireResult<(i32, SecretKey)> {
        let chance = |n: usize| -> Result<Vec<u8>> {
            Ok(keys::random::<32>()?.into_iter().take(n).collect())
        };
        let secret = match version {
            ProtocolVersion::PROTOCOL3_0 => {
                let bytes = keys::random::<4>().map_err(|e| of_house(&e))?;
                SecretKey::I32(i32::from_be_bytes(bytes))
            }
            _ => SecretKey::Bytes(chance(32).map_err(|e| of_house(&e))?.into()),
        };
        let pid = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        if let Some(session) = connection.session() {
            self.sessions().insert(pid, (secret.clone(), Arc::downgrade(session)));
        }
        Ok((pid, secret))
    }

    /// Cancels what a session runs, if the secret is its own.
    pub(super) fn cancel(&self, pid: i32, secret: &SecretKey) {
        let session = {
            let sessions = self.sessions();
            let Some((kept, session)) = sessions.get(&pid) else { return };
            if !bool::from(kept.to_bytes().ct_eq(&secret.to_bytes())) {
                return;
            }
            session.upgrade()
        };
        if let Some(session) = session {
            session.cancel.ask();
        }
    }
}
