//! A job of the cluster from its submission to its last row. Whoever drops it ends it: its tasks are cancelled, or what it came
//! to is taken away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Asked;
use ballista_core::serde::protobuf::job_status::Status as State;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobStatusParams, PartitionLocation,
};
use ballista_core::version;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tonic::Request;
use tonic::transport::Channel;

use super::send::Sent;
use super::trust::Trust;
use super::{Cluster, MESSAGE};

/// Between two looks at a job's state: often at first, so that small statements are quick.
const LOOK: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(60));
/// Pieces of an answer that are fetched at once.
const AT_ONCE: usize = 2;

/// Why a statement did not come to rows.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It needs more memory than one of its tasks may use.
    Large,
    /// An executor or the way to it was lost: asking again may help.
    Lost(String),
    /// Something else, which would be so again.
    Other(String),
}

impl Trouble {
    /// What the scheduler says of a failed job.
    fn of(said: &str) -> Self {
        const LOST: [&str; 7] = [
            "FetchFailed",
            "GrpcConnectionError",
            "IoError",
            "IO error",
            "xecutor lost",
            "no executors",
            "No executors",
        ];
        if said.contains("ResourcesExhausted") || said.contains("Resources exhausted") {
            Self::Large
        } else if LOST.iter().any(|word| said.contains(word)) {
            Self::Lost(said.to_owned())
        } else {
            Self::Other(said.to_owned())
        }
    }
}

impl Cluster {
    /// Rows of what was sent. An answer that is lost before its first rows are here is asked for once more.
    pub(super) async fn ask(&self, sent: &Sent) -> Result<SendableRecordBatchStream, Trouble> {
        match self.ask_once(sent).await {
            Err(Trouble::Lost(why)) => {
                tracing::warn!(error = %why, "an answer of the cluster was lost: it is asked again");
                self.asked_again.fetch_add(1, Ordering::Relaxed);
                self.ask_once(sent).await
            }
            other => other,
        }
    }

    async fn ask_once(&self, sent: &Sent) -> Result<SendableRecordBatchStream, Trouble> {
        let mut job = Job::submit(self, sent).await?;
        let places = job.ended().await?;
        let trust = Arc::clone(&self.trust);
        let mut rows = stream::iter(places)
            .map(move |place| fetched(Arc::clone(&trust), place))
            .buffered(AT_ONCE)
            .try_flatten()
            .boxed();
        let first = rows.next().await.transpose().map_err(|e| Trouble::Lost(e.to_string()))?;
        let rows: BoxStream<'static, PlanResult<RecordBatch>> = match first {
            // The job is held as long as its rows are fetched.
            Some(first) => stream::iter([Ok(first)])
                .chain(rows.inspect(move |_| {
                    let _ = &job;
                }))
                .boxed(),
            None => stream::empty().boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&sent.schema), rows)))
    }

    async fn scheduler(&self) -> Result<SchedulerGrpcClient<Channel>, Trouble> {
        let way = self
            .way
            .get_or_try_init(|| async {
                let way = self.trust.endpoint(&self.scheduler);
                way.map(|way| way.connect_lazy()).map_err(|e| Trouble::Other(e.to_string()))
            })
            .await?;
        Ok(SchedulerGrpcClient::new(way.clone())
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE))
    }
}

struct Job {
    id: String,
    scheduler: SchedulerGrpcClient<Channel>,
    running: bool,
}

impl Job {
    async fn submit(cluster: &Cluster, sent: &Sent) -> Result<Self, Trouble> {
        let mut scheduler = cluster.scheduler().await?;
        let mut request = Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(sent.plan.clone())),
            settings: sent.settings.clone(),
            session_id: cluster.session.clone(),
            operation_id: ballista_core::ids::new_instance_id(),
        });
        version::insert_version_header(request.metadata_mut());
        let answer = scheduler.execute_query(request).await;
        let answer = answer.map_err(|e| Trouble::Other(e.to_string()))?.into_inner();
        match answer.result {
            Some(Asked::Success(taken)) => Ok(Self { id: taken.job_id, scheduler, running: true }),
            Some(Asked::Failure(refused)) => Err(Trouble::Other(format!("{refused:?}"))),
            None => Err(Trouble::Other("the scheduler said nothing".into())),
        }
    }

    /// Waits for its end: where the rows are.
    async fn ended(&mut self) -> Result<Vec<PartitionLocation>, Trouble> {
        let mut wait = LOOK.0;
        loop {
            let asked = GetJobStatusParams { job_id: self.id.clone() };
            let said = self.scheduler.get_job_status(asked).await;
            // A scheduler that went and came again knows nothing of the job: it is asked anew.
            let said = said.map_err(|e| Trouble::Lost(e.to_string()))?.into_inner();
            match said.status.and_then(|s| s.status) {
                Some(State::Successful(done)) => {
                    self.running = false;
                    return Ok(done.partition_location);
                }
                Some(State::Failed(failed)) => {
                    self.running = false;
                    return Err(Trouble::of(&failed.error));
                }
                Some(State::Queued(_) | State::Running(_)) | None => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 3 / 2).min(LOOK.1);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (mut scheduler, id, running) =
            (self.scheduler.clone(), std::mem::take(&mut self.id), self.running);
        runtime.spawn(async move {
            let told = match running {
                true => scheduler.cancel_job(CancelJobParams { job_id: id }).await.map(drop),
                false => scheduler
                    .clean_job_data(CleanJobDataParams { job_id: id, remove_stage_ids: Vec::new() })
                    .await
                    .map(drop),
            };
            if let Err(e) = told {
                tracing::warn!(error = %e, "the scheduler could not be told that a job is over");
            }
        });
    }
}

/// One piece of an answer, from the executor that has it.
async fn fetched(
    trust: Arc<Trust>,
    place: PartitionLocation,
) -> PlanResult<SendableRecordBatchStream> {
    let failed = |e: String| DataFusionError::External(e.into());
    let layout = place.layout();
    let (Some(at), Some(piece)) = (place.executor_meta, place.partition_id) else {
        return Err(failed("the scheduler did not say where the rows are".into()));
    };
    let port = u16::try_from(at.port).map_err(|e| failed(e.to_string()))?;
    let ways = Arc::new(BallistaConfigGrpcEndpoint::new(trust.ways()));
    let mut client =
        BallistaClient::try_new(&at.host, port, MESSAGE, true, Some(ways), 2, 500, 0, 0)
            .await
            .map_err(|e| failed(e.to_string()))?;
    client
        .fetch_partition(&at.id, &piece.into(), place.file_id, layout, true)
        .await
        .map_err(|e| failed(e.to_string()))
}
