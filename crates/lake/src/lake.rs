//! [`DeltaLake`]: the open lake, and the port it answers.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use deltalake_core::logstore::StorageConfig;
use futures::StreamExt;
use futures::stream::BoxStream;
use guard::MaskKey;
use model::batch::Batch;
use model::entry::Entry;
use model::parcel::ParcelHead;
use model::query::RowQuery;
use model::value::{LineForm, Lines, Rows};
use model::{Code, Error, Op, Result};
use policy::port::{
    ChangeSpan, Changes, ChangesAhead, Compacted, LakeVersion, LandTarget, Landing,
};
use policy::{Action, Grant, Permit};

use crate::cluster::{Cluster, ClusterConfig, ClusterFigures};
use crate::fault;
use crate::pool::Pool;
use crate::session::Sessions;
use crate::table::{Loaded, Slot};

/// Where the lake is and what it may use.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// A local folder (made when missing) or a URL of an object store.
    pub root: String,
    /// Memory that queries may use together, in bytes; beyond it they spill to disk. Landing needs up to about
    /// 200 MB per running landing besides.
    pub memory_limit_bytes: usize,
    /// Processors that one query may use.
    pub threads: usize,
    /// Where spilled rows go; `None` takes the system's temporary folder. They are raw values: keep it private.
    pub spill_dir: Option<PathBuf>,
    /// Where statements of SQL are run; `None`: in this process.
    pub cluster: Option<ClusterConfig>,
}

impl LakeConfig {
    /// A lake with 512 MB for queries on all processors.
    #[must_use]
    pub fn new(root: impl Into<String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            root: root.into(),
            memory_limit_bytes: 512 << 20,
            threads,
            spill_dir: None,
            cluster: None,
        }
    }
}

/// The lake. Cheap to share behind an `Arc`; all methods may run in parallel, landings into one table wait for each
/// other.
pub struct DeltaLake {
    /// URL of the root, with a slash at its end.
    pub(crate) root: String,
    /// The root as a folder of this machine, if it is one.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) mask_key: MaskKey,
    pub(crate) slots: std::sync::Mutex<HashMap<String, Arc<Slot>>>,
    pub(crate) sessions: Sessions,
    /// A count of merged rows holds the changed keys in memory: one at a time.
    pub(crate) counting: tokio::sync::Mutex<()>,
    runtime: Arc<RuntimeEnv>,
    memory_limit: usize,
    threads: usize,
    spill_dir: Option<PathBuf>,
    cluster: Option<Arc<Cluster>>,
    /// Where shared views lie, once asked for.
    pub(crate) views: std::sync::OnceLock<Arc<dyn object_store::ObjectStore>>,
}

impl fmt::Debug for DeltaLake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaLake").field("root", &self.root).finish_non_exhaustive()
    }
}

impl DeltaLake {
    /// Opens the lake at `config.root`, making the folder if it is a local one. Tables are opened when first used.
    pub fn open(config: &LakeConfig, mask_key: MaskKey) -> Result<Self> {
        let url = deltalake_core::ensure_table_uri(&config.root).map_err(|e| {
            Error::new(
                Code::StoreUnavailable,
                format!("无法打开数据湖目录 `{}`，请检查路径与权限", config.root),
                format!(
                    "the lake's folder `{}` cannot be opened: check path and permissions",
                    config.root
                ),
            )
            .caused_by(e)
        })?;
        let folder = (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten();
        let mut root = url.to_string();
        if !root.ends_with('/') {
            root.push('/');
        }
        let mut runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(Pool::new(config.memory_limit_bytes.max(16 << 20))));
        if let Some(dir) = &config.spill_dir {
            runtime = runtime.with_temp_file_path(dir);
        }
        let runtime = runtime.build_arc().map_err(|e| fault::plan("query memory", e))?;
        let cluster = config.cluster.as_ref().map(|c| Cluster::new(c, &mask_key)).transpose()?;
        Ok(Self {
            root,
            folder,
            mask_key,
            slots: std::sync::Mutex::default(),
            sessions: Sessions::new(&runtime, config.threads.max(1)),
            counting: tokio::sync::Mutex::default(),
            runtime,
            memory_limit: config.memory_limit_bytes.max(16 << 20),
            threads: config.threads.max(1),
            spill_dir: config.spill_dir.clone(),
            cluster: cluster.map(Arc::new),
            views: std::sync::OnceLock::new(),
        })
    }

    /// Memory and spill disk that all plans share.
    pub(crate) fn runtime(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.runtime)
    }

    /// Processors that one plan may use.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// Where rows lie that do not fit into memory.
    pub(crate) fn spill_dir(&self) -> Option<&std::path::Path> {
        self.spill_dir.as_deref()
    }

    /// The cluster that statements of SQL are sent to.
    pub(crate) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.clone()
    }

    /// What the cluster has been asked, where there is one.
    #[must_use]
    pub fn cluster_figures(&self) -> Option<ClusterFigures> {
        self.cluster.as_ref().map(|cluster| cluster.figures())
    }
}

#[async_trait]
impl policy::port::Lake for DeltaLake {
    async fn land(
        &self,
        permit: &Permit,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<Landing> {
        self.check_land(permit, target)?;
        self.land_parcel(op, parcel, target, rows).await
    }

    async fn landed(&self, code: &str, parcel: &str) -> Result<Option<Landing>> {
        self.find_landed(code, parcel).await
    }

    async fn position(&self, code: &str, track: &str) -> Result<Option<String>> {
        self.find_position(code, track).await
    }

    async fn scan(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        self.scan_granted(grant, query, version).await
    }

    async fn lines(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
        form: LineForm,
    ) -> Result<BoxStream<'static, Result<Lines>>> {
        self.lines_granted(grant, query, version, form).await
    }

    async fn column_file(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Lines>>> {
        self.column_file_granted(grant, query, version).await
    }

    async fn ahead(
        &self,
        code: &str,
        from: Option<i64>,
        most: usize,
    ) -> Result<Option<ChangesAhead>> {
        self.find_ahead(code, from, most).await
    }

    async fn changes(
        &self,
        grant: &Grant,
        span: &ChangeSpan,
    ) -> Result<BoxStream<'static, Result<Changes>>> {
        self.change_stream(grant, span).await
    }

    async fn granted(&self, grant: &Grant, version: i64) -> Result<u64> {
        self.count_granted(grant, version).await
    }

    async fn replay(
        &self,
        permit: &Permit,
        entry: &Entry,
        parcel: &str,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        self.check_replay(permit)?;
        self.replay_parcel(entry, parcel).await
    }

    async fn records_of_keys(
        &self,
        permit: &Permit,
        entry: &Entry,
        rows: &Batch,
        parcels: &[String],
    ) -> Result<Vec<Option<u64>>> {
        self.check_keys(permit)?;
        self.find_records(entry, rows, parcels).await
    }

    async fn compact(&self, permit: &Permit, op: &Op, code: &str) -> Result<Option<Compacted>> {
        permit.require(&[Action::SystemWork])?;
        self.compact_table(op, code).await
    }

    async fn sweep(&self, permit: &Permit, code: &str, before: DateTime<Utc>) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        self.sweep_table(code, before).await
    }

    async fn count(&self, entry: &Entry) -> Result<u64> {
        self.count_rows(&entry.draft.code).await
    }

    async fn bytes(&self, code: &str) -> Result<u64> {
        match self.table(code).await? {
            Some(table) => Ok(Loaded::of(&table)?.sizes()?.values().sum()),
            None => Ok(0),
        }
    }

    async fn layout(&self, code: &str) -> Result<Option<String>> {
        match self.table(code).await? {
            Some(table) => Loaded::of(&table)?.layout().map(Some),
            None => Ok(None),
        }
    }

    async fn versions(&self, code: &str) -> Result<Vec<LakeVersion>> {
        self.list_versions(code).await
    }

    async fn newest(&self, code: &str) -> Result<Option<LakeVersion>> {
        self.find_newest(code).await
    }

    async fn ping(&self) -> Result<()> {
        if let Some(folder) = &self.folder {
            return tokio::fs::read_dir(folder).await.map(|_| ()).map_err(fault::gone);
        }
        let url = deltalake_core::ensure_table_uri(&self.root).map_err(fault::gone)?;
        let store = deltalake_core::logstore::logstore_for(&url, StorageConfig::default())
            .map_err(fault::gone)?
            .object_store(None);
        // The first thing found is enough; an empty lake answers nothing, which is an answer.
        match store.list(None).next().await {
            Some(Err(e)) => Err(fault::gone(e)),
            _ => Ok(()),
        }
    }
}
