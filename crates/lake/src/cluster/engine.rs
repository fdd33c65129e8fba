//! How an executor runs a task: as Ballista does, with a brake.
//!
//! Ballista ends a task by dropping what waits for it. What was begun for it (one task of the runtime for each piece that is written)
//! is only let go: it would read, join and write to its last row, for nobody, beside the tasks that came after it. So each step
//! that may be long looks at a brake ([`crate::brake`]), which is pulled when the scheduler says so, and when what waits is dropped.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use datafusion::common::Result as PlanResult;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use crate::bounds;
use crate::brake::{self, Brake, Hand};

/// A task: its job, stage and number.
type Task = (String, usize, usize);

/// The brakes of the tasks under way.
#[derive(Debug, Default)]
pub(super) struct Brakes(Mutex<HashMap<Task, Weak<Brake>>>);

impl Brakes {
    fn new_one(&self, task: Task) -> Arc<Brake> {
        let brake = Arc::new(Brake::default());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| known.strong_count() > 0);
        all.insert(task, Arc::downgrade(&brake));
        brake
    }

    /// Ends a task, if it is under way: also where all threads are at work and nobody could be told.
    pub(super) fn pull(&self, job: &str, stage: usize, task: usize) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(brake) = all.get(&(job.to_owned(), stage, task)).and_then(Weak::upgrade) {
            brake.pull();
        }
    }
}

/// Ballista's engine with a brake in every plan.
pub(super) struct Engine {
    inner: DefaultExecutionEngine,
    brakes: Arc<Brakes>,
}

impl Engine {
    pub(super) fn new(brakes: &Arc<Brakes>) -> Self {
        Self { inner: DefaultExecutionEngine::new(), brakes: Arc::clone(brakes) }
    }
}

impl ExecutionEngine for Engine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> PlanResult<Arc<dyn QueryStageExecutor>> {
        let brake = self.brakes.new_one((job_id.as_str().to_owned(), stage_id, task_id));
        let plan = brake::fit(bounds::watch_sides(plan)?, &brake)?;
        let inner = self.inner.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            global_output_partition_ids,
            plan,
            work_dir,
            config,
        )?;
        Ok(Arc::new(Stage { inner, brake }))
    }
}

/// One task's part of a stage.
struct Stage {
    inner: Arc<dyn QueryStageExecutor>,
    brake: Arc<Brake>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner.as_ref(), f)
    }
}

#[async_trait::async_trait]
impl QueryStageExecutor for Stage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<Vec<ShuffleWritePartition>> {
        let _hand = Hand::on(&self.brake);
        self.inner.execute_query_stage(task_id, context).await
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.inner.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> PlanResult<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}
