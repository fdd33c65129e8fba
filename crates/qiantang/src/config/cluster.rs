//! The cluster for SQL: where its parts are, and by which certificates they know each other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Result;
use serde::{Deserialize, Serialize};

use super::{Config, ProcessRole, bad};

/// Several machines for SQL. Without `scheduler` statements run in the process they came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterPart {
    /// Where the scheduler is, `host:port`; for executors and the role `sql`. Empty = no cluster.
    pub scheduler: String,
    /// Where the role `scheduler` listens.
    pub listen: SocketAddr,
    /// Where the role `executor` listens.
    pub executor_listen: SocketAddr,
    /// Host that others reach this executor by; empty = the address it listens on.
    pub executor_host: String,
    /// Tasks that an executor runs at once; 0 = one per processor.
    pub threads: usize,
    /// Memory of all tasks of an executor, MiB; beyond it they spill.
    pub memory_mb: usize,
    /// Folder of an executor for rows on their way; empty = `cluster` and its port, in the data folder. It is emptied.
    pub folder: PathBuf,
    /// Certificate of the cluster's own authority, and this part's certificate and private key; PEM.
    pub authority_file: PathBuf,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// DNS name in the certificates of all parts.
    pub name: String,
    /// Pieces that a statement is cut into, per stage: about the processors of all executors.
    pub partitions: usize,
    /// Seconds of silence after which an executor is lost and its tasks are given to others.
    pub lost_after_seconds: u64,
}

impl Default for ClusterPart {
    fn default() -> Self {
        Self {
            scheduler: String::new(),
            listen: ([127, 0, 0, 1], 8610).into(),
            executor_listen: ([127, 0, 0, 1], 8611).into(),
            executor_host: String::new(),
            threads: 0,
            memory_mb: 1024,
            folder: PathBuf::new(),
            authority_file: PathBuf::new(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            name: "qiantang-cluster".into(),
            partitions: 4,
            lost_after_seconds: 15,
        }
    }
}

impl ClusterPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        let files = [
            &mut self.folder,
            &mut self.authority_file,
            &mut self.certificate_file,
            &mut self.key_file,
        ];
        for file in files {
            if !file.as_os_str().is_empty() {
                *file = base.join(&*file);
            }
        }
    }

    /// The files by which this part is known, and knows the others.
    #[must_use]
    pub fn trust(&self) -> lake::TrustFiles {
        lake::TrustFiles {
            authority: self.authority_file.clone(),
            certificate: self.certificate_file.clone(),
            key: self.key_file.clone(),
            name: self.name.clone(),
        }
    }

    /// The way to the cluster, where there is one.
    #[must_use]
    pub fn client(&self) -> Option<lake::ClusterConfig> {
        (!self.scheduler.is_empty()).then(|| lake::ClusterConfig {
            scheduler: self.scheduler.clone(),
            trust: self.trust(),
            partitions: self.partitions,
        })
    }

    #[must_use]
    pub fn scheduler(&self) -> lake::SchedulerConfig {
        lake::SchedulerConfig {
            trust: self.trust(),
            lost_after: Duration::from_secs(self.lost_after_seconds),
        }
    }

    #[must_use]
    pub fn executor(&self, data: &Path, at: SocketAddr) -> lake::ExecutorConfig {
        let folder = match self.folder.as_os_str().is_empty() {
            true => data.join("cluster").join(at.port().to_string()),
            false => self.folder.clone(),
        };
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        lake::ExecutorConfig {
            trust: self.trust(),
            scheduler: self.scheduler.clone(),
            host: self.executor_host.clone(),
            threads: if self.threads == 0 { processors } else { self.threads },
            memory_limit_bytes: self.memory_mb.saturating_mul(1 << 20),
            folder,
        }
    }
}

impl Config {
    /// Whether this process is a part of a cluster and nothing else.
    #[must_use]
    pub fn node(&self) -> bool {
        self.runs(ProcessRole::Scheduler) || self.runs(ProcessRole::Executor)
    }

    /// What cannot be seen from one key of the cluster alone.
    pub(super) fn check_cluster(&self) -> Result<()> {
        let cluster = &self.cluster;
        let node =
            |role: &ProcessRole| matches!(role, ProcessRole::Scheduler | ProcessRole::Executor);
        if self.node() && !self.roles.iter().all(node) {
            return bad(
                "roles",
                "scheduler、executor 须在独立进程中运行（它们不接触存储），不能与其他角色同进程",
                "scheduler and executor run in processes of their own (they never see the store), without other roles",
            );
        }
        if self.runs(ProcessRole::Executor) && cluster.scheduler.is_empty() {
            return bad(
                "cluster.scheduler",
                "执行节点须知道调度节点的地址（主机:端口）",
                "an executor needs the scheduler's address (host:port)",
            );
        }
        if !self.node() && cluster.scheduler.is_empty() {
            return Ok(());
        }
        let files = [
            ("cluster.authority_file", &cluster.authority_file),
            ("cluster.certificate_file", &cluster.certificate_file),
            ("cluster.key_file", &cluster.key_file),
        ];
        if let Some((key, _)) = files.iter().find(|(_, file)| file.as_os_str().is_empty()) {
            return bad(
                key,
                "集群各部分以证书互认，必须给出（做法见 docs/cluster.md）",
                "the parts of a cluster know each other by certificates: it must be given (docs/cluster.md shows how)",
            );
        }
        if cluster.memory_mb < 64 {
            return bad("cluster.memory_mb", "至少为 64", "must be at least 64");
        }
        if !(1..=1024).contains(&cluster.partitions) {
            return bad("cluster.partitions", "须为 1 至 1024", "must be between 1 and 1024");
        }
        if cluster.lost_after_seconds < 6 {
            return bad(
                "cluster.lost_after_seconds",
                "至少为 6（执行节点忙时每 5 秒报到一次）",
                "must be at least 6 (a busy executor is heard of every 5 seconds)",
            );
        }
        let (listen, executor) = (cluster.listen, cluster.executor_listen);
        if self.runs(ProcessRole::Scheduler)
            && self.runs(ProcessRole::Executor)
            && listen == executor
            && listen.port() != 0
        {
            return bad(
                "cluster.executor_listen",
                "不能与 cluster.listen 相同",
                "must differ from cluster.listen",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(roles: &[ProcessRole]) -> Config {
        let mut config = Config { roles: roles.to_vec(), ..Config::default() };
        for file in [
            &mut config.cluster.authority_file,
            &mut config.cluster.certificate_file,
            &mut config.cluster.key_file,
        ] {
            *file = "x.pem".into();
        }
        config.cluster.scheduler = "127.0.0.1:8610".into();
        config
    }

    #[test]
    fn parts_of_a_cluster_stand_alone_and_have_certificates() {
        config(&[ProcessRole::Scheduler, ProcessRole::Executor]).check().unwrap();
        let mixed = config(&[ProcessRole::Worker, ProcessRole::Executor]);
        assert!(mixed.check().unwrap_err().en().contains("processes of their own"));
        let mut bare = config(&[ProcessRole::Scheduler]);
        bare.cluster.key_file = PathBuf::new();
        assert!(bare.check().unwrap_err().en().contains("certificates"));
        let mut lonely = config(&[ProcessRole::Executor]);
        lonely.cluster.scheduler.clear();
        assert!(lonely.check().unwrap_err().en().contains("scheduler's address"));
        // Whoever asks shows a certificate, too.
        let mut asking = Config::default();
        asking.cluster.scheduler = "127.0.0.1:8610".into();
        assert!(asking.check().unwrap_err().en().contains("authority_file"));
    }
}
