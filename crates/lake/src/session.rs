//! Sessions of the engine, ready to be copied: each plans for one kind of reading.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::physical_optimizer::ensure_coop::EnsureCooperative;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake_core::delta_datafusion::DeltaSessionConfig;

use crate::cluster;
use crate::in_turn::InTurn;
use crate::lake::DeltaLake;

/// Rows of one piece of a scan or replay.
pub(crate) const CHUNK_ROWS: usize = 4096;
/// Rows of one piece of a statement of SQL, which mostly reads much and answers little.
pub(crate) const STATEMENT_ROWS: usize = 8192;

/// The sessions of a lake.
pub(crate) struct Sessions {
    /// Over all processors, and on one.
    parallel: SessionState,
    ordered: SessionState,
    /// For statements of SQL; and for those of their tables whose rows are read as they lie.
    analytic: SessionState,
    straight: SessionState,
}

impl Sessions {
    pub(crate) fn new(runtime: &Arc<RuntimeEnv>, threads: usize) -> Self {
        Self {
            parallel: state(runtime, threads, CHUNK_ROWS),
            ordered: ordered(runtime),
            analytic: state(runtime, threads, STATEMENT_ROWS),
            straight: straight(runtime, threads),
        }
    }
}

impl DeltaLake {
    /// A session for the inside of a statement's tables; for plans that leave this process, in so many pieces.
    pub(crate) fn session_analytic(&self, sent: Option<usize>) -> SessionContext {
        let analytic = self.sessions.analytic.clone();
        let Some(pieces) = sent else {
            return SessionContext::new_with_state(analytic);
        };
        let config = cluster::settings(analytic.config().clone(), pieces);
        let state = SessionStateBuilder::new_from_existing(analytic);
        SessionContext::new_with_state(state.with_config(config).build())
    }

    /// The same where rows are read as they lie, by Parquet's reader, filtered and shown, and nothing else.
    pub(crate) fn session_straight(&self) -> SessionContext {
        SessionContext::new_with_state(self.sessions.straight.clone())
    }

    /// A session for one plan. `parallel` spreads it over the processors; otherwise rows keep their stored order.
    pub(crate) fn session(&self, parallel: bool) -> SessionContext {
        let Sessions { parallel: spread, ordered, .. } = &self.sessions;
        SessionContext::new_with_state(if parallel { spread } else { ordered }.clone())
    }
}

fn config(threads: usize, rows: usize) -> SessionConfig {
    SessionConfig::from(DeltaSessionConfig::default())
        .with_target_partitions(threads)
        .with_batch_size(rows)
}

fn state(runtime: &Arc<RuntimeEnv>, threads: usize, rows: usize) -> SessionState {
    SessionStateBuilder::new()
        .with_default_features()
        .with_config(config(threads, rows))
        .with_runtime_env(Arc::clone(runtime))
        .build()
}

/// Of rows as they are stored: one piece after another. A join's filter waits for all pieces at once, so there is none.
fn ordered(runtime: &Arc<RuntimeEnv>) -> SessionState {
    let state = state(runtime, 1, CHUNK_ROWS);
    let mut config = state.config().clone();
    config.options_mut().optimizer.enable_join_dynamic_filter_pushdown = false;
    SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .with_physical_optimizer_rule(Arc::new(InTurn))
        .build()
}

/// Of a scan, filters and a projection: no joins to order, no sorts to move, no functions by name. Planning with all rules and functions
/// took longer than many a small table takes to be read.
fn straight(runtime: &Arc<RuntimeEnv>, threads: usize) -> SessionState {
    let mut config = config(threads, STATEMENT_ROWS);
    config.options_mut().optimizer.max_passes = 1;
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .with_optimizer_rules(vec![
            Arc::new(SimplifyExpressions::new()),
            Arc::new(EliminateFilter::new()),
            Arc::new(PushDownFilter::new()),
            Arc::new(OptimizeProjections::new()),
        ])
        .with_physical_optimizer_rules(vec![
            Arc::new(FilterPushdown::new()),
            Arc::new(ProjectionPushdown::new()),
            Arc::new(EnsureCooperative::new()),
        ])
        .build()
}
