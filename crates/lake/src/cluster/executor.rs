//! The role `executor`: asks the scheduler for tasks, runs them within its memory, and hands on what they came to.
//!
//! One port, mutual TLS: other executors and whoever asked fetch rows there (Arrow Flight), and the scheduler ends tasks there
//! that nobody waits for any more. Tasks are pulled, so that nobody can push one.

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::extension::SessionConfigExt;
use ballista_core::ids::new_instance_id;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::executor_grpc_server::{ExecutorGrpc, ExecutorGrpcServer};
use ballista_core::serde::protobuf::executor_resource::Resource;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, ExecutorOperatingSystemSpecification,
    ExecutorRegistration, ExecutorResource, ExecutorSpecification, ExecutorStoppedParams,
    LaunchMultiTaskParams, LaunchMultiTaskResult, LaunchTaskParams, LaunchTaskResult,
    RemoveJobDataParams, RemoveJobDataResult, StopExecutorParams, StopExecutorResult,
};
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_core::{BALLISTA_PROTOCOL_VERSION, ConfigProducer, RuntimeProducer};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::{DefaultSessionRuntimeCache, MemoryPoolPolicy};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use guard::MaskKey;
use model::{Code, Error, Result};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use super::codec::HouseCodec;
use super::engine::{Brakes, Engine};
use super::trust::{Trust, TrustFiles};
use super::{MESSAGE, listening};
use crate::pool::Pool;

/// How an executor is set.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    pub trust: TrustFiles,
    /// Where the scheduler is, `host:port`.
    pub scheduler: String,
    /// Host that the others reach this executor by; empty = the address it listens on.
    pub host: String,
    /// Tasks at once.
    pub threads: usize,
    /// Memory of all tasks together, in bytes. Beyond it they spill.
    pub memory_limit_bytes: usize,
    /// Folder for rows between stages and rows that do not fit into memory. They are raw values: it is made for this user
    /// alone, and emptied at start and end.
    pub folder: PathBuf,
}

/// Serves on `listener` until `stop`.
pub async fn serve_executor(
    config: &ExecutorConfig,
    masks: MaskKey,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let failed = |e: String| Error::internal("cluster: starting an executor").caused_by(e);
    let at = listener.local_addr().map_err(|e| failed(e.to_string()))?;
    let trust = Arc::new(Trust::read(&config.trust)?);
    empty(&config.folder)?;
    let folder = config.folder.to_string_lossy().into_owned();
    let brakes = Arc::new(Brakes::default());
    let engine = Arc::new(Engine::new(&brakes));
    let executor = Arc::new(executor(config, &trust, at, &folder, engine));
    let id = executor.metadata.id.clone();
    let way = trust.endpoint(&config.scheduler).map_err(|e| failed(e.to_string()))?;
    // The scheduler may come later than this process, and go and come again.
    let scheduler = SchedulerGrpcClient::new(way.connect_lazy())
        .max_decoding_message_size(MESSAGE)
        .max_encoding_message_size(MESSAGE);
    let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> = BallistaCodec::new(
        Arc::new(BallistaLogicalExtensionCodec::default()),
        Arc::new(HouseCodec::new(Some(masks), config.memory_limit_bytes)),
    );
    let asking = poll_loop(
        scheduler.clone(),
        Arc::clone(&executor),
        codec,
        None,
        None,
        ExecutorHealth::new(),
    );
    let rows = FlightServiceServer::new(BallistaFlightService::new(folder))
        .max_decoding_message_size(MESSAGE)
        .max_encoding_message_size(MESSAGE);
    let serving = Server::builder()
        .tls_config(trust.server())
        .map_err(|e| failed(e.to_string()))?
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(rows)
        .add_service(ExecutorGrpcServer::new(Told { executor, brakes }))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let ended = tokio::select! {
        () = stop => Ok(()),
        done = asking => done.map_err(|e| listening("executor", at, e)),
        done = serving => done.map_err(|e| listening("executor", at, e)),
    };
    goodbye(scheduler, id).await;
    let _ = std::fs::remove_dir_all(&config.folder);
    ended
}

/// Tells the scheduler, so that it need not wait to find out.
async fn goodbye(mut scheduler: SchedulerGrpcClient<Channel>, executor_id: String) {
    let told = ExecutorStoppedParams { executor_id, reason: "stopping".into() };
    let telling = scheduler.executor_stopped(told);
    if !matches!(tokio::time::timeout(Duration::from_secs(2), telling).await, Ok(Ok(_))) {
        tracing::warn!("the scheduler could not be told that this executor stops");
    }
}

fn executor(
    config: &ExecutorConfig,
    trust: &Arc<Trust>,
    at: SocketAddr,
    folder: &str,
    engine: Arc<Engine>,
) -> Executor {
    let threads = config.threads.max(1);
    let ways = trust.ways();
    let settings: ConfigProducer = Arc::new(move || {
        SessionConfig::new_with_ballista()
            .with_ballista_override_create_grpc_client_endpoint(Arc::clone(&ways))
            .with_ballista_use_tls(true)
            .with_ballista_grpc_client_max_message_size(MESSAGE)
    });
    let spill = folder.to_owned();
    let base: RuntimeProducer = Arc::new(move |_: &SessionConfig| {
        RuntimeEnvBuilder::new().with_temp_file_path(spill.clone()).build_arc()
    });
    // A task has a share of its own: one that needs too much fails, and the others do not feel it.
    let share = (config.memory_limit_bytes / threads).max(16 << 20);
    let pool: MemoryPoolPolicy =
        Arc::new(move |base: Arc<RuntimeEnv>, _: &SessionConfig, threads: u32| {
            let threads = usize::try_from(threads.max(1)).unwrap_or(1);
            RuntimeEnvBuilder::from_runtime_env(&base)
                .with_memory_pool(Arc::new(Pool::new(share.saturating_mul(threads))))
                .build_arc()
        });
    let alone: RuntimeProducer = {
        let (base, pool) = (Arc::clone(&base), Arc::clone(&pool));
        Arc::new(move |settings: &SessionConfig| pool(base(settings)?, settings, 1))
    };
    Executor::new(
        registration(config, at, threads),
        folder,
        alone,
        settings,
        Arc::new(BallistaFunctionRegistry::default()),
        Arc::new(LoggingMetricsCollector::default()),
        threads,
        engine,
    )
    .with_session_runtime_cache(Some(Arc::new(DefaultSessionRuntimeCache::new(base, pool, 16))))
}

fn registration(config: &ExecutorConfig, at: SocketAddr, threads: usize) -> ExecutorRegistration {
    let host = match config.host.as_str() {
        "" => at.ip().to_string(),
        told => told.to_owned(),
    };
    let vcores = u32::try_from(threads).unwrap_or(1);
    ExecutorRegistration {
        id: new_instance_id(),
        host: Some(host),
        port: u32::from(at.port()),
        grpc_port: u32::from(at.port()),
        specification: Some(ExecutorSpecification {
            resources: vec![ExecutorResource { resource: Some(Resource::Vcores(vcores)) }],
        }),
        os_info: Some(ExecutorOperatingSystemSpecification::default()),
        ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
    }
}

/// Makes the folder, for this user alone, and takes away what a process before left.
fn empty(folder: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(
            Code::StoreUnavailable,
            format!("执行节点的目录 {} 无法使用：{e}", folder.display()),
            format!("the executor's folder {} cannot be used: {e}", folder.display()),
        )
    };
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)
}

/// What the scheduler may tell an executor.
struct Told {
    executor: Arc<Executor>,
    brakes: Arc<Brakes>,
}

fn pulled() -> Status {
    Status::unimplemented("tasks are pulled")
}

#[tonic::async_trait]
impl ExecutorGrpc for Told {
    async fn launch_task(
        &self,
        _: Request<LaunchTaskParams>,
    ) -> std::result::Result<Response<LaunchTaskResult>, Status> {
        Err(pulled())
    }

    async fn launch_multi_task(
        &self,
        _: Request<LaunchMultiTaskParams>,
    ) -> std::result::Result<Response<LaunchMultiTaskResult>, Status> {
        Err(pulled())
    }

    /// A lost executor that is heard of again goes on: it has asked for work since.
    async fn stop_executor(
        &self,
        _: Request<StopExecutorParams>,
    ) -> std::result::Result<Response<StopExecutorResult>, Status> {
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksParams>,
    ) -> std::result::Result<Response<CancelTasksResult>, Status> {
        let mut cancelled = true;
        for task in request.into_inner().task_infos {
            let (stage, number) = (task.stage_id as usize, task.task_id as usize);
            // The task itself may have no thread to notice.
            self.brakes.pull(&task.job_id, stage, number);
            let done = self.executor.cancel_task(task.job_id.into(), stage, number).await;
            cancelled &= done.is_ok();
        }
        Ok(Response::new(CancelTasksResult { cancelled }))
    }

    async fn remove_job_data(
        &self,
        _: Request<RemoveJobDataParams>,
    ) -> std::result::Result<Response<RemoveJobDataResult>, Status> {
        // It comes with the next answer to this executor's asking.
        Err(pulled())
    }
}
