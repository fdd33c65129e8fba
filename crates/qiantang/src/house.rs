//! Wiring: the one place that knows every engine. Opens the data folder and puts the rooms together.

use std::sync::Arc;
use std::time::Duration;

use app::{App, Folders};
use chrono::{DateTime, Utc};
use model::dispatch::Job;
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{Clock, Lake, Search};
use store::{Store, StoreConfig};

use crate::config::{Config, calendar_advice};
use crate::folder::{DataFolder, Hold};

/// The running house: rooms and the folder they live in.
#[derive(Debug)]
pub struct House {
    pub app: Arc<App>,
    pub folder: Arc<DataFolder>,
    hold: Hold,
    /// For the SQL door; none in a process that is lent to a command.
    lake: Option<Arc<lake::DeltaLake>>,
}

/// The real time.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the real time enters")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Name under which the store keeps which master key its secrets are sealed with.
const KEY_MARK: &str = "master_key";
/// How long to wait when a job's turn cannot be found.
const ROUND: Duration = Duration::from_secs(60);
/// Jobs that come round less often than this keep to the turn that was noted.
const SELDOM: Duration = Duration::from_secs(3600);
/// How often rails and return flows that nobody follows are looked for.
const FOLLOWING: Duration = Duration::from_secs(1);

impl House {
    /// Opens everything for serving. Nothing listens yet, and nothing a crash left is taken up yet (see
    /// [`House::chores`]).
    pub async fn open(config: &Config) -> Result<Self> {
        let hold = if config.shared() { Hold::Together } else { Hold::Alone };
        let house = Self::put_together(config, hold, true).await?;
        house.same_key().await?;
        let op = Op::system(house.app.now());
        app::org::enter_regions(&house.app, &op, &model::region::zhejiang()).await?;
        app::security::observe(&house.app, &op).await?;
        app::catalogue::heal(&house.app).await?;
        app::operation::tidy(&house.app).await?;
        if let Some((zh, en)) = calendar_advice(&house.app.calendar, op.today()) {
            tracing::warn!("{zh} / {en}");
        }
        Ok(house)
    }

    /// Opens for a command that changes something. On PostgreSQL servers may run at the same time: they notice the
    /// change by themselves, and no index is made for the moment a command takes.
    pub async fn work(config: &Config) -> Result<Self> {
        if let Some((app, folder)) = crate::relay::house() {
            return Ok(Self { app, folder, hold: Hold::Guest, lake: None });
        }
        if !config.shared() {
            if DataFolder::held(&config.data.folder) {
                return Err(Error::new(
                    Code::StoreUnavailable,
                    format!(
                        "数据目录 {} 正被另一个进程使用，且该进程不接受命令（例如另一条命令正在执行）：SQLite 存储只能由一个进程写入。请稍后重试，或先停止该进程",
                        config.data.folder.display()
                    ),
                    format!(
                        "another process holds the data folder {} and takes no commands (another command, perhaps): an SQLite store is written by one process. Try again shortly, or stop that process",
                        config.data.folder.display()
                    ),
                ));
            }
            return Self::open(config).await;
        }
        let house = Self::put_together(config, Hold::Together, false).await?;
        house.same_key().await?;
        let op = Op::system(house.app.now());
        app::org::enter_regions(&house.app, &op, &model::region::zhejiang()).await?;
        Ok(house)
    }

    /// Opens for a command that only reads. With SQLite it goes beside a server that runs on the same folder: nothing
    /// is written but the audit records of reading, which the server takes into the chain.
    pub async fn look(config: &Config) -> Result<Self> {
        if config.shared() {
            return Self::work(config).await;
        }
        if DataFolder::held(&config.data.folder) {
            return Self::put_together(config, Hold::Beside, false).await;
        }
        Self::open(config).await
    }

    async fn put_together(config: &Config, hold: Hold, index: bool) -> Result<Self> {
        let folder = DataFolder::open(&config.data.folder, hold, config.key_text()?)?;
        let clock = Arc::new(SystemClock);
        let start = clock.now();
        let inbox = config.inbox();
        let exchange = config.exchange_folders();
        let outgoing = ingest::outgoing::Outgoing::new(config.outgoing()?);
        let stamping = config.stamping(&outgoing)?;
        let signing = config.signing()?;
        let services = config.identity_services()?;
        let policy = config.policy()?;
        let rules = config.rules()?;
        let calendar = config.calendar()?;
        let stores = StoreConfig {
            url: config.store.url.clone(),
            folder: folder.sub("store"),
            keys: folder.keys.clone(),
        };
        let store = if hold == Hold::Beside {
            Store::open_beside(&stores).await?
        } else {
            std::fs::create_dir_all(&inbox).map_err(|e| Error::internal("inbox").caused_by(e))?;
            std::fs::create_dir_all(config.exchange_home())
                .map_err(|e| Error::internal("exchange folder").caused_by(e))?;
            Store::open(&stores).await?
        };
        let search: Arc<dyn Search> = if index {
            let index = search::Index::open(&folder.own("search"))?;
            if let Some(words) = config.synonyms()? {
                index.set_synonyms(&words);
            }
            Arc::new(index)
        } else {
            Arc::new(search::Index::in_memory()?)
        };
        let lake = Arc::new(lake::DeltaLake::open(
            &lake::LakeConfig {
                memory_limit_bytes: config.lake.memory_mb.saturating_mul(1024 * 1024),
                spill_dir: Some(folder.own("spill")),
                cluster: config.cluster.client(),
                ..lake::LakeConfig::new(config.lake_root().to_string_lossy())
            },
            folder.keys.mask(),
        )?);
        let makers = rules.delta.makers;
        let app = Arc::new(App {
            store,
            policy,
            lake: Arc::clone(&lake) as Arc<dyn Lake>,
            intake: Arc::new(ingest::Reader::reaching(outgoing.clone())),
            transform: Arc::clone(&lake) as _,
            search,
            shelf: Arc::new(ingest::Shelves::new(outgoing.clone(), exchange)),
            upstream: Arc::new(ingest::Upstreams::reaching(outgoing.clone(), folder.keys.mask())),
            clock,
            keys: folder.keys.clone(),
            calendar,
            rules,
            folders: Folders { inbox, exchange: config.exchange_home() },
            accounts: app::account::Memory::new(start, guard::password::Cost::default()),
            shares: app::sharing::Memory::default(),
            collections: app::collection::Memory::default(),
            boards: app::control::Memory::default(),
            rails: app::rail::Memory::new(Arc::new(ingest::Rails::reaching(outgoing.clone()))),
            pipelines: app::pipeline::Memory::default(),
            interfaces: app::interface::Memory::configured_with(config.gateway.older_convention),
            deliveries: app::delivery::Memory::default(),
            outflows: app::outflow::Memory::new(Arc::new(ingest::Outlets::reaching(
                outgoing.clone(),
            ))),
            delta: app::delta::Memory::new(makers),
            evidence: app::evidence::Memory::new(&folder.keys, signing, stamping)?,
            projects: app::project::Memory::new(
                Arc::new(lake::Bench::new(Arc::clone(&lake))),
                Arc::new(sandbox::Wasm),
            ),
            halts: app::halt::Memory::default(),
            reconciles: app::reconcile::Memory::default(),
            identity: app::identity::Memory::new(
                Arc::new(ingest::IdentityServices::reaching(outgoing.clone())),
                services,
            ),
            harvests: app::harvest::Memory::new(Arc::new(ingest::Catalogues::reaching(
                outgoing.clone(),
            ))),
            voices: app::voice::Memory::new(Arc::new(ingest::LinkLooker::reaching(outgoing))),
            papers: Arc::new(config.paper.press()?),
        });
        Ok(Self { app, folder: Arc::new(folder), hold, lake: Some(lake) })
    }

    /// The SQL door over the lake.
    pub fn sql_door(&self, tls: Option<&guard::tls::TlsFiles>) -> Result<lake::SqlDoor> {
        let lake = self.lake.clone().ok_or_else(|| Error::internal("no lake for the SQL door"))?;
        lake::SqlDoor::new(lake, Arc::new(app::wire::Desk::new(Arc::clone(&self.app))), tls)
    }

    /// All processes of a store must hold the same master key: secrets sealed by one are read by the other, and masks
    /// must agree.
    async fn same_key(&self) -> Result<()> {
        let print = self.folder.keys.fingerprint().to_string();
        match self.app.store.meta_get(KEY_MARK).await? {
            Some(kept) if kept == print => Ok(()),
            Some(_) => Err(Error::new(
                Code::InvalidInput,
                "本进程的主密钥与存储使用的不同；请让各进程共用数据目录，或以 data.key_file 给出最初的 master.key",
                "this process has another master key than the store was made with: let the processes share the data folder, or name the first one's master.key in data.key_file",
            )),
            None => {
                let op = Op::system(self.app.now());
                let platform = policy::Target::plain("System", "platform");
                let permit = self.app.policy.permit(&op, Action::SystemWork, &platform)?;
                self.app.store.meta_set(&permit, KEY_MARK, &print).await
            }
        }
    }

    /// Work that comes round in every process.
    pub async fn tidy(app: Arc<App>) {
        // Nobody should wait for these where they are asked for first.
        if let Err(e) = app::opening::listing(&app, &Op::system(app.now())).await {
            tracing::error!(error = %e.operator_text(), "the roll of what is open could not be read");
        }
        if let Err(e) = app::ledger::warm(&app).await {
            tracing::error!(error = %e.operator_text(), "the links of the ledgers could not be read");
        }
        turns(app, Job::Follow).await;
    }

    /// Work that comes round in the worker. No job waits for another.
    pub async fn chores(app: Arc<App>) {
        let mut all = tokio::task::JoinSet::new();
        for job in Job::ALL.iter().copied().filter(|j| *j != Job::Follow) {
            all.spawn(turns(Arc::clone(&app), job));
        }
        all.spawn(following(app));
        while all.join_next().await.is_some() {}
    }

    /// Writes what is still in memory and closes the stores.
    pub async fn close(self) {
        if self.hold == Hold::Guest {
            return;
        }
        app::rail::stop(&self.app).await;
        app::outflow::stop(&self.app).await;
        app::delivery::stop(&self.app).await;
        // Beside a server nothing is ours to write.
        if self.hold != Hold::Beside
            && let Err(e) = app::sharing::flush(&self.app).await
        {
            tracing::error!(error = %e.operator_text(), "quota counters could not be kept");
        }
        self.app.store.close().await;
    }
}

/// The turns of one job, for as long as the process runs. One that comes round often takes its first turn at once; one
/// that comes round seldom waits for the turn that was noted before the process was started.
async fn turns(app: Arc<App>, job: Job) {
    loop {
        match app::dispatch::due_in(&app, job).await {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(e) => {
                tracing::error!(job = job.as_str(), error = %e.operator_text(), "a job's turn could not be found");
                tokio::time::sleep(ROUND).await;
                continue;
            }
        }
        app::dispatch::run_job(&app, job).await;
        match app::dispatch::every(&app, job) {
            Ok(every) if every < SELDOM => tokio::time::sleep(every).await,
            // The next turn is noted.
            Ok(_) => {}
            Err(_) => tokio::time::sleep(ROUND).await,
        }
    }
}

async fn following(app: Arc<App>) {
    let mut every = tokio::time::interval(FOLLOWING);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(e) = app::rail::tick(&app).await {
            tracing::error!(error = %e.operator_text(), "rails could not be taken up");
        }
        if let Err(e) = app::outflow::tick(&app).await {
            tracing::error!(error = %e.operator_text(), "outflows could not be taken up");
        }
    }
}
