//! Wiring: the one place that knows every engine. Opens the data folder and puts the rooms together.

use std::path::Path;
use std::sync::Arc;

use app::rules::Rules;
use app::{App, Folders};
use chrono::{DateTime, Utc};
use model::calendar::Calendar;
use model::{Error, Result};
use policy::Policy;
use policy::port::Clock;
use store::{Store, StoreConfig};

use crate::config::Config;
use crate::folder::DataFolder;

/// The running house: rooms and the folder they live in.
#[derive(Debug)]
pub struct House {
    pub app: Arc<App>,
    pub folder: DataFolder,
}

/// The real time.
#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the real time enters")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

impl House {
    /// Opens everything. Nothing listens yet.
    pub async fn open(config: &Config) -> Result<Self> {
        let folder = DataFolder::open(&config.data.folder)?;
        let clock = Arc::new(SystemClock);
        let start = clock.now();
        let inbox = folder.sub("inbox");
        std::fs::create_dir_all(&inbox).map_err(|e| Error::internal("inbox").caused_by(e))?;
        let store = Store::open(&StoreConfig {
            url: config.store.url.clone(),
            folder: folder.sub("store"),
            keys: folder.keys.clone(),
        })
        .await?;
        let policy = match &config.rules.policy_folder {
            Some(path) => Policy::load(path)?,
            None => Policy::shipped()?,
        };
        let rules = match &config.rules.limits_file {
            Some(path) => Rules::parse(&read(path)?)?,
            None => Rules::shipped()?,
        };
        let lake = lake::DeltaLake::open(
            &lake::LakeConfig {
                memory_limit_bytes: config.lake.memory_mb.saturating_mul(1024 * 1024),
                spill_dir: Some(folder.sub("spill")),
                ..lake::LakeConfig::new(config.lake_root().to_string_lossy())
            },
            folder.keys.mask(),
        )?;
        let index = search::Index::open(&folder.sub("search"))?;
        let app = Arc::new(App {
            store,
            policy,
            lake: Arc::new(lake),
            intake: Arc::new(ingest::Reader),
            search: Arc::new(index),
            clock,
            keys: folder.keys.clone(),
            calendar: Calendar::china(),
            rules,
            folders: Folders { inbox },
            accounts: app::account::Memory::new(start, guard::password::Cost::default()),
            shares: app::sharing::Memory::default(),
            collections: app::collection::Memory::default(),
        });
        let house = Self { app, folder };
        house.settle().await?;
        Ok(house)
    }

    /// After a start: what a crash left half-done is finished, the index is brought level with the store.
    async fn settle(&self) -> Result<()> {
        let op = model::Op::system(self.app.now());
        app::org::enter_regions(&self.app, &op, &model::region::zhejiang()).await?;
        app::catalogue::heal(&self.app).await?;
        let finished = app::collection::recover(&self.app).await?;
        if finished > 0 {
            tracing::info!(
                run.count = finished,
                "finished {finished} collections that a crash had interrupted"
            );
        }
        Ok(())
    }

    /// Work that comes round: expiry of grants, timers and automatic steps of approvals.
    pub async fn chores(app: Arc<App>) {
        let mut every = tokio::time::interval(std::time::Duration::from_secs(60));
        loop {
            every.tick().await;
            let op = model::Op::system(app.now());
            match app::sharing::expire(&app, &op).await {
                Ok(0) => {}
                Ok(n) => tracing::info!(request.count = n, "{n} share applications expired"),
                Err(e) => tracing::error!(error = %e.operator_text(), "expiry failed"),
            }
            match app::approval::tick(&app, &op).await {
                Ok(done) if done.timers + done.acted == 0 => {}
                Ok(done) => tracing::info!(
                    approval.timers = done.timers,
                    approval.acted = done.acted,
                    "approvals were reminded, escalated or carried on"
                ),
                Err(e) => tracing::error!(error = %e.operator_text(), "timers of approvals failed"),
            }
        }
    }

    /// Writes what is still in memory and closes the stores.
    pub async fn close(self) {
        if let Err(e) = app::sharing::flush(&self.app).await {
            tracing::error!(error = %e.operator_text(), "quota counters could not be kept");
        }
        self.app.store.close().await;
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::invalid(
            format!("无法读取 {}：{e}", path.display()),
            format!("{} cannot be read: {e}", path.display()),
        )
    })
}
