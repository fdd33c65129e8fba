//! The role `scheduler`: plans in, tasks out. It holds no rows, no keys and no state that outlives it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_core::ids::new_instance_id;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig as Ballista;
use ballista_scheduler::scheduler_process::create_scheduler;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use model::{Error, Result};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::codec::HouseCodec;
use super::trust::{Trust, TrustFiles};
use super::{MESSAGE, listening};

/// How a scheduler is set.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    pub trust: TrustFiles,
    /// An executor that has not been heard of for so long is lost, and its tasks are given to others.
    pub lost_after: Duration,
}

/// Serves on `listener` until `stop`.
pub async fn serve_scheduler(
    config: &SchedulerConfig,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let failed = |e: String| Error::internal("cluster: starting the scheduler").caused_by(e);
    let at = listener.local_addr().map_err(|e| failed(e.to_string()))?;
    let trust = Arc::new(Trust::read(&config.trust)?);
    let ballista = Arc::new(settings(config, &trust, at));
    let cluster = BallistaCluster::new_memory(
        ballista.scheduler_endpoint(),
        Arc::new(default_session_builder),
        Arc::new(SessionConfig::new_with_ballista),
    );
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, ballista)
        .await
        .map_err(|e| failed(e.to_string()))?;
    // Neither Ballista's own server, which has no TLS, nor its REST and health pages: this one service.
    let service = SchedulerGrpcServer::new(scheduler)
        .max_decoding_message_size(MESSAGE)
        .max_encoding_message_size(MESSAGE);
    Server::builder()
        .tls_config(trust.server())
        .map_err(|e| failed(e.to_string()))?
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
        .map_err(|e| listening("scheduler", at, e))
}

fn settings(config: &SchedulerConfig, trust: &Arc<Trust>, at: SocketAddr) -> Ballista {
    let seconds = config.lost_after.as_secs().max(6);
    let message = u32::try_from(MESSAGE).unwrap_or(u32::MAX);
    Ballista {
        scheduler_id: new_instance_id(),
        external_host: at.ip().to_string(),
        bind_host: at.ip().to_string(),
        bind_port: at.port(),
        // Executors ask for work: they need no port that takes tasks from anybody.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: seconds,
        expire_dead_executor_interval_seconds: 2,
        no_executors_grace_period_seconds: seconds,
        // Results are taken at once; what nobody came for is masked rows and stays no longer than this.
        finished_job_data_clean_up_interval_seconds: 600,
        finished_job_state_clean_up_interval_seconds: 900,
        grpc_server_max_decoding_message_size: message,
        grpc_server_max_encoding_message_size: message,
        grpc_client_max_message_size: message,
        override_physical_codec: Some(Arc::new(HouseCodec::new(None, 0))),
        override_create_grpc_client_endpoint: Some(trust.ways()),
        use_tls: true,
        disable_rest_api: true,
        ..Ballista::default()
    }
}
