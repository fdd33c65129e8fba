//! A brake for plans whose rows nobody waits for any more.
//!
//! The engine ends what is not wanted by dropping it, and what is under way notices at its next pause. Two things come too late so:
//!
//! * A join without an equality (every row with every row) pauses once for each batch of one side, which meets *all* rows of the
//!   other: minutes, where those are a million. Its condition is asked for some thousand pairs at a time, and so is the brake.
//! * A stage of the cluster works in tasks that nobody ends: dropping it lets them go on to their last row. There, every leaf of a
//!   plan looks at the brake before it gives a batch.
//!
//! ```text
//! begin     runs a plan in this process; whoever drops its rows pulls the brake
//! fit       puts looks at a brake into a plan, for an executor ([`crate::cluster`])
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec,
    NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use datafusion::physical_plan::{ExecutionPlan, PlanProperties, execute_stream};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::looked::Looked;

/// Batches that a join's own task makes ahead of whoever reads them.
const AHEAD: usize = 1;

/// Whether what was begun is to end.
#[derive(Debug, Default)]
pub(crate) struct Brake(AtomicBool);

impl Brake {
    /// What looks at it ends with an error at its next look. It stays pulled.
    pub(crate) fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn look(&self) -> PlanResult<()> {
        match self.0.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(DataFusionError::Execution("nobody waits for these rows any more".into())),
        }
    }
}

/// Pulls a brake when dropped.
#[derive(Debug)]
pub(crate) struct Hand(Arc<Brake>);

impl Hand {
    pub(crate) fn on(brake: &Arc<Brake>) -> Self {
        Self(Arc::clone(brake))
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.0.pull();
    }
}

/// Begins a plan in this process. Whoever drops its rows ends it, also in the middle of a join.
pub(crate) fn begin(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
) -> PlanResult<SendableRecordBatchStream> {
    begin_with(plan, task, &Arc::default())
}

fn begin_with(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    brake: &Arc<Brake>,
) -> PlanResult<SendableRecordBatchStream> {
    let (plan, joined) = joins(plan, brake)?;
    if !joined {
        return execute_stream(plan, task);
    }
    let schema = plan.schema();
    let (rows, hand) = (apart(plan, task), Hand::on(brake));
    let rows = rows.inspect(move |_| {
        let _ = &hand;
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// The rows of a plan, made by a task of their own, which ends when they are dropped. A join may be long about one look at it, with
/// each of its pieces: it works in threads of its own, so that there is always one that hears of a cancel.
fn apart(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> SendableRecordBatchStream {
    let mut own = RecordBatchReceiverStreamBuilder::new(plan.schema(), AHEAD);
    let out = own.tx();
    let work = async move {
        let mut rows = execute_stream(plan, task)?;
        while let Some(batch) = rows.next().await {
            if batch.is_err() {
                // What it held is free before anybody hears of it.
                drop(rows);
                let _ = out.send(batch).await;
                return Ok(());
            }
            if out.send(batch).await.is_err() {
                return Ok(());
            }
        }
        drop(rows);
        Ok(())
    };
    match threads() {
        Some(threads) => own.spawn_on(work, threads),
        None => own.spawn(work),
    }
    own.build()
}

/// The threads of joins; `None` where the system gives none: they work among the others then.
fn threads() -> Option<&'static Handle> {
    static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
        let made = Builder::new_multi_thread().thread_name("join").enable_all().build();
        made.inspect_err(|e| tracing::error!(error = %e, "joins have no threads of their own")).ok()
    });
    THREADS.as_ref().map(Runtime::handle)
}

/// The plan with a look at the brake in each of its joins and at each of its leaves.
pub(crate) fn fit(
    plan: Arc<dyn ExecutionPlan>,
    brake: &Arc<Brake>,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let (plan, _) = joins(plan, brake)?;
    let leaves = plan.transform_up(|node| {
        if !node.children().is_empty() {
            return Ok(Transformed::no(node));
        }
        let properties = Arc::clone(node.properties());
        Ok(Transformed::yes(braked(node, &properties, brake)))
    })?;
    Ok(leaves.data)
}

/// The plan with a look at the brake in each of its joins, and whether there is one.
fn joins(
    plan: Arc<dyn ExecutionPlan>,
    brake: &Arc<Brake>,
) -> PlanResult<(Arc<dyn ExecutionPlan>, bool)> {
    let found = plan.transform_up(|node| {
        Ok(match join(&node, brake)? {
            // What reads a join may swallow batch after batch without a pause.
            Some(looked) => Transformed::yes(braked(looked, node.properties(), brake)),
            None => Transformed::no(node),
        })
    })?;
    Ok((found.data, found.transformed))
}

/// The same join, its condition with a look at the brake; `None`: it is no join.
fn join(
    node: &Arc<dyn ExecutionPlan>,
    brake: &Arc<Brake>,
) -> PlanResult<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let condition = join.filter().map(|filter| asked(filter, brake));
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(condition).build()?;
        return Ok(Some(Arc::new(join)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let condition = join.filter().map(|filter| asked(filter, brake));
        return HashJoinExecBuilder::from(join).with_filter(condition).build_exec().map(Some);
    }
    let other = node.is::<CrossJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<PiecewiseMergeJoinExec>();
    Ok(other.then(|| Arc::clone(node)))
}

/// Rows that are given as long as somebody waits for them.
fn braked(
    input: Arc<dyn ExecutionPlan>,
    properties: &Arc<PlanProperties>,
    brake: &Arc<Brake>,
) -> Arc<dyn ExecutionPlan> {
    let brake = Arc::clone(brake);
    let look = move |batch: PlanResult<RecordBatch>| -> PlanResult<RecordBatch> {
        brake.look()?;
        batch
    };
    Looked::at("Braked", input, properties, Arc::new(look))
}

/// A join's condition that looks at the brake whenever it is asked.
fn asked(filter: &JoinFilter, brake: &Arc<Brake>) -> JoinFilter {
    let condition = Condition { inner: Arc::clone(filter.expression()), brake: Arc::clone(brake) };
    JoinFilter::new(
        Arc::new(condition),
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    )
}

/// The condition, and the brake beside it.
#[derive(Debug)]
struct Condition {
    inner: Arc<dyn PhysicalExpr>,
    brake: Arc<Brake>,
}

// Two are the same when they ask the same: the brake belongs to the run.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.as_ref().hash(state);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner.as_ref(), f)
    }
}

impl PhysicalExpr for Condition {
    fn data_type(&self, input: &Schema) -> PlanResult<ArrowType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> PlanResult<bool> {
        self.inner.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> PlanResult<FieldRef> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> PlanResult<ColumnarValue> {
        self.brake.look()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> PlanResult<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, brake: Arc::clone(&self.brake) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::time::{Duration, Instant};

    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::{Volatility, create_udf};
    use datafusion::physical_plan::collect;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use tokio::sync::Notify;

    use super::*;

    /// A session in which `met(n)` says that a join is under way, and no.
    fn session() -> (SessionContext, Arc<Notify>) {
        let context =
            SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        let begun = Arc::new(Notify::new());
        let bell = Arc::clone(&begun);
        context.register_udf(create_udf(
            "met",
            vec![ArrowType::Int64],
            ArrowType::Boolean,
            Volatility::Immutable,
            Arc::new(move |_: &[ColumnarValue]| {
                bell.notify_one();
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false))))
            }),
        ));
        (context, begun)
    }

    async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        context.state().create_physical_plan(&plan).await.unwrap()
    }

    /// Waits until nothing of a plan is left: neither its steps nor what they run in. (Not by the runtime's clock: a join that goes
    /// on would hold it up.)
    fn gone(brake: &Weak<Brake>, what: &str) {
        let begun = Instant::now();
        while brake.strong_count() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}: it goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Each would run for hours: no pair passes, so that nothing is given and nobody is asked.
    const ENDLESS: [&str; 3] = [
        "select count(*) from generate_series(1, 3000000) a(n) join generate_series(1, 3000000) b(m) on met(a.n + b.m)",
        "select a.n, b.m from generate_series(1, 3000000) a(n) left join generate_series(1, 3000000) b(m) on met(a.n + b.m)",
        "select count(*) from (select n, n / 100000000 k from generate_series(1, 3000000) c(n)) a \
         join (select n, n / 100000000 k from generate_series(1, 3000000) d(n)) b on a.k = b.k and met(a.n + b.n)",
    ];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_join_ends_when_its_rows_are_dropped() {
        for sql in ENDLESS {
            let (context, begun) = session();
            let plan = planned(&context, sql).await;
            let brake = Arc::new(Brake::default());
            let mut rows = begin_with(plan, context.task_ctx(), &brake).unwrap();
            // Whoever waits is not held up by the join.
            tokio::select! {
                rows = rows.next() => panic!("{sql}: {rows:?}"),
                () = begun.notified() => {}
            }
            let left = Arc::downgrade(&brake);
            drop(brake);
            assert!(left.strong_count() > 0, "{sql}: it is under way");
            drop(rows);
            gone(&left, sql);
        }
    }

    /// As on an executor, where the work is let go and not dropped.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_let_go_ends_by_the_brake() {
        let long = "select count(*) from generate_series(1, 100000000000) a(n) where n % 7 = 9";
        for sql in ENDLESS.into_iter().chain([long]) {
            let (context, begun) = session();
            let brake = Arc::new(Brake::default());
            let plan = fit(planned(&context, sql).await, &brake).unwrap();
            let task = context.task_ctx();
            let work = tokio::spawn(async move { collect(plan, task).await });
            if sql != long {
                begun.notified().await;
            }
            let left = Arc::downgrade(&brake);
            brake.pull();
            drop(brake);
            gone(&left, sql);
            let error = work.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("nobody waits"), "{sql}: {error}");
        }
    }

    #[tokio::test]
    async fn a_brake_that_is_not_pulled_changes_nothing() {
        for sql in [
            "select a.n, b.m from generate_series(1, 40) a(n) join generate_series(1, 40) b(m) on a.n + b.m = 12 order by 1",
            "select a.n, b.m from generate_series(1, 9) a(n) full join generate_series(5, 12) b(m) on a.n = b.m and a.n <> 7 order by 1, 2",
            "select count(*), sum(a.n * b.m) from generate_series(1, 300) a(n), generate_series(1, 300) b(m)",
            "select n from generate_series(1, 9) a(n) where n not in (select m from generate_series(3, 5) b(m)) order by 1",
            "select count(*) from generate_series(1, 5) a(n)",
        ] {
            let (context, _) = session();
            let plain = collect(planned(&context, sql).await, context.task_ctx()).await.unwrap();
            let rows = begin(planned(&context, sql).await, context.task_ctx()).unwrap();
            let begun: Vec<RecordBatch> = rows.map(Result::unwrap).collect().await;
            assert_eq!(begun, plain, "{sql}");
            let fitted = fit(planned(&context, sql).await, &Arc::default()).unwrap();
            assert_eq!(collect(fitted, context.task_ctx()).await.unwrap(), plain, "{sql}");
        }
    }

    #[tokio::test]
    async fn an_error_of_a_join_is_told_as_ever() {
        let (context, _) = session();
        let sql = "select 1 / (a.n - b.m) from generate_series(1, 3) a(n) join generate_series(1, 3) b(m) on a.n < b.m + 1";
        let mut rows = begin(planned(&context, sql).await, context.task_ctx()).unwrap();
        let mut ended = None;
        while let Some(batch) = rows.next().await {
            ended = batch.err().or(ended);
        }
        assert!(ended.unwrap().to_string().contains("ivide by zero"));
    }
}
