//! One connection that has proved who it is: what it sees, what it has set, which cursors are open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::prelude::SessionContext;
use model::{Error, Result};
use pgwire::error::PgWireResult;
use pgwire::types::format::FormatOptions;
use policy::port::{SqlCaller, SqlLimits, SqlRoom};
use tokio::sync::Semaphore;

use super::catalogue::{self, Granted};
use super::cursor::Cursor;
use super::flow::Cancel;
use super::memory::Allowance;
use super::settings::Settings;
use super::words::{of_house, of_plan, told};
use crate::bounds::Room;
use crate::cluster::Cluster;
use crate::lake::DeltaLake;

/// Most cursors of one session.
const CURSORS: usize = 100;
/// Part of a statement's memory that a sort sets aside for merging what it spilled: the rows must find room, too.
const RESERVED_PART: usize = 32;

pub(super) struct Session {
    pub(super) desk: Arc<dyn SqlRoom>,
    pub(super) limits: SqlLimits,
    pub(super) caller: SqlCaller,
    pub(super) context: SessionContext,
    granted: Arc<Granted>,
    /// Where statements run, if not here.
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) settings: Arc<Settings>,
    pub(super) cancel: Arc<Cancel>,
    /// Memory of its statements, and that of the lake it is taken from.
    memory: Allowance,
    common: Arc<RuntimeEnv>,
    /// What functions of its statements may make.
    pub(super) room: Arc<Room>,
    /// Statements that the application may run at once, over all its connections.
    pub(super) places: Arc<Semaphore>,
    /// Most rows that are wanted of a statement; `None`: all.
    pub(super) cut: Option<usize>,
    cursors: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Cursor>>>>,
    /// When it was last used, milliseconds since it began; the whole is idle when nothing runs.
    used: AtomicU64,
    began: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("caller", &self.caller.actor.id()).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(
        lake: &Arc<DeltaLake>,
        desk: Arc<dyn SqlRoom>,
        caller: SqlCaller,
        user: &str,
        places: Arc<Semaphore>,
        memory: Allowance,
    ) -> Result<Self> {
        let granted = Arc::new(Granted::new(Arc::clone(lake)));
        let settings = Arc::new(Settings::default());
        let room = Room::beside(memory.most());
        let context = catalogue::context(lake, &granted, user, &settings, &room)
            .map_err(|e| Error::internal("wire: a session's catalogue").caused_by(e))?;
        let kept = memory.most() / RESERVED_PART;
        let state = context.state_ref();
        let reserved = |state: &mut SessionState| {
            let execution = &mut state.config_mut().options_mut().execution;
            execution.sort_spill_reservation_bytes =
                execution.sort_spill_reservation_bytes.min(kept);
        };
        reserved(&mut state.write());
        Ok(Self {
            limits: desk.limits(),
            desk,
            caller,
            context,
            granted,
            cluster: lake.cluster(),
            settings,
            cancel: Arc::default(),
            memory,
            common: lake.runtime(),
            room,
            places,
            cut: None,
            cursors: Mutex::default(),
            used: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// Sees what is granted now; every statement begins with it.
    pub(super) async fn look(&self) -> PgWireResult<()> {
        let tables = self.desk.tables(&self.caller).await.map_err(|e| of_house(&e))?;
        self.granted.set(tables);
        Ok(())
    }

    /// What one statement runs in, as it was planned: a pool of memory of its own.
    pub(super) fn task(&self, state: &SessionState) -> PgWireResult<Arc<TaskContext>> {
        let runtime = self.memory.runtime(&self.common).map_err(of_plan)?;
        Ok(Arc::new(TaskContext::from(state).with_runtime(runtime)))
    }

    /// Longest a statement may take.
    pub(super) fn most(&self) -> Duration {
        let own = self.settings.timeout().unwrap_or(self.limits.statement);
        own.min(self.limits.statement)
    }

    /// How values are written as texts.
    pub(super) fn format(&self) -> Arc<FormatOptions> {
        let mut format = FormatOptions::default();
        let of = |name: &str| self.settings.get(name).unwrap_or_default();
        format.date_style = of("datestyle");
        format.interval_style = of("intervalstyle");
        format.bytea_output = of("bytea_output");
        format.extra_float_digits = of("extra_float_digits").parse().unwrap_or(1);
        Arc::new(format)
    }

    /// The client has said something.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    /// How long it has said nothing.
    pub(super) fn idle(&self) -> Duration {
        let used = Duration::from_millis(self.used.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(used)
    }

    pub(super) fn cursor(&self, name: &str) -> Option<Arc<tokio::sync::Mutex<Cursor>>> {
        self.lock().get(name).cloned()
    }

    pub(super) fn open_cursor(&self, name: &str, cursor: Cursor) -> PgWireResult<()> {
        let mut cursors = self.lock();
        if cursors.contains_key(name) {
            return Err(told(
                "42P03",
                format!("游标 `{name}` 已存在"),
                format!("the cursor `{name}` exists already"),
            ));
        }
        if cursors.len() >= CURSORS {
            return Err(told(
                "53400",
                format!("打开的游标不能超过 {CURSORS} 个，请先 CLOSE"),
                format!("at most {CURSORS} cursors may be open: CLOSE some"),
            ));
        }
        cursors.insert(name.to_owned(), Arc::new(tokio::sync::Mutex::new(cursor)));
        Ok(())
    }

    /// Closes a cursor; answers whether there was one.
    pub(super) fn close_cursor(&self, name: &str) -> bool {
        self.lock().remove(name).is_some()
    }

    pub(super) fn close_cursors(&self) {
        self.lock().clear();
    }

    /// A transaction ends: cursors end with it, unless they were declared to hold.
    pub(super) fn end_transaction(&self) {
        self.lock().retain(|_, cursor| cursor.try_lock().is_ok_and(|c| c.hold));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Cursor>>>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
