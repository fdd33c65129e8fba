//! From a statement to what is sent: planned behind the barriers, each barrier opened to a fence, written, and read once here
//! to see that executors can read it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::datatypes::SchemaRef;
use ballista_core::config::{
    BALLISTA_CLIENT_IO_RETRIES_TIMES, BALLISTA_CLIENT_IO_RETRY_WAIT_TIME_MS,
};
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use ballista_core::optimizer::with_ballista_optimizer_rules;
use ballista_core::serde::protobuf::KeyValuePair;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;

use super::client::Trouble;
use super::fence::Fence;
use super::{Cluster, MESSAGE};
use crate::wire::barrier;
use crate::{bounds, brake};

/// A plan as it goes to the scheduler.
pub(super) struct Sent {
    pub(super) plan: Vec<u8>,
    pub(super) settings: Vec<KeyValuePair>,
    pub(super) schema: SchemaRef,
}

/// A statement planned to its last step; nothing of it has begun.
pub(crate) struct Ready {
    state: SessionState,
    plan: LogicalPlan,
    way: Way,
}

/// Where a statement is to run, with the plan for there.
enum Way {
    Here(Arc<dyn ExecutionPlan>),
    Cluster(Arc<Cluster>, Sent),
}

impl Ready {
    /// Plans a statement: for the cluster where there is one and it can be sent, else for this process.
    pub(crate) async fn of(
        cluster: Option<Arc<Cluster>>,
        state: SessionState,
        plan: LogicalPlan,
    ) -> PlanResult<Self> {
        let way = match cluster {
            Some(cluster) => {
                let sent = cluster.written(&state, &plan).await;
                sent.map(|sent| Way::Cluster(cluster, sent))
            }
            None => None,
        };
        let way = match way {
            Some(way) => way,
            None => Way::Here(here(&state, &plan).await?),
        };
        Ok(Self { state, plan, way })
    }

    /// Begins it. What the cluster did not answer for a reason of its own runs in this process.
    pub(crate) async fn begin(
        self,
        task: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let plan = match self.way {
            Way::Here(plan) => plan,
            Way::Cluster(cluster, sent) => match cluster.rows(&sent).await? {
                Some(rows) => return Ok(rows),
                None => here(&self.state, &self.plan).await?,
            },
        };
        brake::begin(plan, task)
    }
}

async fn here(state: &SessionState, plan: &LogicalPlan) -> PlanResult<Arc<dyn ExecutionPlan>> {
    bounds::watch_sides(state.create_physical_plan(plan).await?)
}

/// Into how many pieces plans of this session are cut, if they are to leave this process.
pub(crate) fn spread(session: &dyn Session) -> Option<usize> {
    session.config().get_extension::<Spread>().map(|spread| spread.0)
}

/// Marks a session whose plans leave this process.
struct Spread(usize);

/// What a plan must keep to that is cut into stages: nothing that two of its parts share in memory.
pub(crate) fn settings(config: SessionConfig, partitions: usize) -> SessionConfig {
    config
        .upgrade_for_ballista()
        .with_target_partitions(partitions)
        .with_ballista_use_tls(true)
        .with_ballista_grpc_client_max_message_size(MESSAGE)
        .set_usize(BALLISTA_CLIENT_IO_RETRIES_TIMES, 2)
        .set_usize(BALLISTA_CLIENT_IO_RETRY_WAIT_TIME_MS, 500)
        .with_extension(Arc::new(Spread(partitions)))
}

impl Cluster {
    /// Rows of a statement; `None`: it is to run here.
    async fn rows(self: &Arc<Self>, sent: &Sent) -> PlanResult<Option<SendableRecordBatchStream>> {
        let why = match self.ask(sent).await {
            Ok(rows) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(rows));
            }
            Err(Trouble::Large) => {
                let what = "more memory than a task of the cluster may use".to_owned();
                return Err(DataFusionError::ResourcesExhausted(what));
            }
            Err(Trouble::Lost(why) | Trouble::Other(why)) => why,
        };
        tracing::warn!(error = %why, "the cluster did not answer a statement: it runs in this process");
        self.taken_back.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }

    /// The statement as it is sent; `None` when it concerns no granted table or cannot be written.
    async fn written(&self, state: &SessionState, plan: &LogicalPlan) -> Option<Sent> {
        let config = settings(state.config().clone(), self.partitions);
        let state = SessionStateBuilder::new_from_existing(state.clone())
            .with_optimizer_rules(with_ballista_optimizer_rules(state.optimizers()))
            .with_config(config)
            .build();
        let told = |e: DataFusionError| {
            tracing::debug!(error = %e, "a statement is not sent to the cluster");
            self.taken_back.fetch_add(1, Ordering::Relaxed);
        };
        let physical = state.create_physical_plan(plan).await.map_err(told).ok()?;
        let schema = physical.schema();
        let (physical, granted) = opened(physical).map_err(told).ok()?;
        if granted == 0 {
            return None;
        }
        let write = || -> PlanResult<Vec<u8>> {
            let node = PhysicalPlanNode::try_from_physical_plan(physical, &self.codec)?;
            let mut bytes = Vec::new();
            node.try_encode(&mut bytes)?;
            // A function of the session's own, for one, has a name that executors do not know.
            PhysicalPlanNode::try_decode(&bytes)?
                .try_into_physical_plan(&self.known, &self.codec)?;
            Ok(bytes)
        };
        let plan = write().map_err(told).ok()?;
        Some(Sent { plan, settings: state.config().to_key_value_pairs(), schema })
    }
}

/// The plan with fences in place of barriers, and how many.
fn opened(plan: Arc<dyn ExecutionPlan>) -> PlanResult<(Arc<dyn ExecutionPlan>, usize)> {
    let mut granted = 0;
    let opened = plan.transform_up(|node| {
        let any: &dyn Any = node.as_ref();
        Ok(match barrier(any) {
            Some((code, bare, inner)) => {
                granted += 1;
                Transformed::yes(Arc::new(Fence::new(code, bare, Arc::clone(inner))) as _)
            }
            None => Transformed::no(node),
        })
    })?;
    Ok((opened.data, granted))
}
