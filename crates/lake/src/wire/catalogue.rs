//! The catalogue of a session: granted tables in `public`, `pg_catalog`, `information_schema`; and the functions clients ask.
//!
//! What `pg_catalog` says of granted tables stands in [`super::relations`], the rest of it in the crate `datafusion-pg-catalog`.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableFunction, TableProvider,
};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use policy::port::{SqlTable, SqlTables};

use super::functions;
use super::relations::{PgCatalog, Relations};
use super::settings::Settings;
use super::table::GrantedTable;
use crate::bounds::{self, Room};
use crate::calendar;
use crate::lake::DeltaLake;
use crate::session::STATEMENT_ROWS;

/// Name of the one database.
pub(super) const DATABASE: &str = "qiantang";
/// Schema of the granted tables.
pub(super) const SCHEMA: &str = "public";
/// Schema of what there is.
const PG_CATALOG: &str = "pg_catalog";
/// PostgreSQL version that clients are told: what they do by it fits.
pub(super) const VERSION: &str = "16.6";

/// The schema `public` of one session. A table is opened when a statement names it, at its newest version.
pub(super) struct Granted {
    lake: Arc<DeltaLake>,
    seen: Mutex<Seen>,
}

/// What was granted as last asked.
#[derive(Default)]
struct Seen {
    tables: Arc<SqlTables>,
    /// Made when it is first wanted.
    relations: Option<Arc<Relations>>,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granted").finish_non_exhaustive()
    }
}

impl Granted {
    pub(super) fn new(lake: Arc<DeltaLake>) -> Self {
        Self { lake, seen: Mutex::default() }
    }

    pub(super) fn set(&self, tables: Arc<SqlTables>) {
        let mut seen = self.seen();
        if !Arc::ptr_eq(&seen.tables, &tables) {
            *seen = Seen { tables, relations: None };
        }
    }

    /// What was granted when the statement began.
    pub(super) fn now(&self) -> Arc<SqlTables> {
        Arc::clone(&self.seen().tables)
    }

    /// The same as relations with numbers.
    pub(super) fn relations(&self) -> Arc<Relations> {
        let Seen { tables, relations } = &mut *self.seen();
        Arc::clone(relations.get_or_insert_with(|| Arc::new(Relations::of(tables))))
    }

    /// A granted table at its newest version.
    pub(super) async fn open(&self, granted: &SqlTable) -> PlanResult<GrantedTable> {
        GrantedTable::open(&self.lake, granted)
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SchemaProvider for Granted {
    fn table_names(&self) -> Vec<String> {
        self.now().tables.iter().map(|t| t.grant.code().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let tables = self.now();
        let Some(granted) = tables.tables.iter().find(|t| t.grant.code() == name) else {
            // What was granted and is stopped says so; of everything else there is no table.
            return match tables.stop(name) {
                Some(stop) => Err(DataFusionError::External(Box::new(stop))),
                None => Ok(None),
            };
        };
        Ok(Some(Arc::new(self.open(granted).await?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.now().tables.iter().any(|t| t.grant.code() == name)
    }
}

/// A context that knows the granted tables, the catalogues, and functions; no files, no other tables.
pub(super) fn context(
    lake: &DeltaLake,
    granted: &Arc<Granted>,
    user: &str,
    settings: &Arc<Settings>,
    room: &Arc<Room>,
) -> PlanResult<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(lake.threads())
        .with_batch_size(STATEMENT_ROWS)
        .with_information_schema(true)
        .with_default_catalog_and_schema(DATABASE, SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    let shipped = Shipped::get()?;
    // Not the default features: they bring file formats and table factories.
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(lake.runtime())
        .with_expr_planners(calendar::planners())
        .with_type_planner(Arc::new(PgOidTypePlanner))
        .with_scalar_functions(bounds::functions(room).into_iter().map(calendar::by_day).collect())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(shipped.of_tables.clone())
        .build();
    let catalogs = Arc::clone(state.catalog_list());
    let context = SessionContext::new_with_state(state);
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, Arc::clone(granted) as _)?;
    let tables = Arc::clone(&shipped.tables);
    let tables = PgCatalogSchemaProvider::try_new(catalogs, tables, EmptyContextProvider)?;
    let tables = PgCatalog::new(Arc::new(tables), granted);
    catalog.register_schema(PG_CATALOG, Arc::new(tables))?;
    context.register_catalog(DATABASE, catalog);
    for function in &shipped.of_values {
        context.register_udf(function.as_ref().clone());
    }
    for function in functions::all(user, settings, granted) {
        context.register_udf(function);
    }
    Ok(context)
}

/// What the crate brings, the same for all sessions. To unpack its tables takes longer than all else that a session begins with.
struct Shipped {
    tables: Arc<PgCatalogStaticTables>,
    /// Functions of values, and those that give tables: its own and the engine's, which it widens.
    of_values: Vec<Arc<ScalarUDF>>,
    of_tables: Vec<Arc<TableFunction>>,
}

impl Shipped {
    fn get() -> PlanResult<&'static Self> {
        static SHIPPED: OnceLock<Shipped> = OnceLock::new();
        match SHIPPED.get() {
            Some(shipped) => Ok(shipped),
            None => {
                let shipped = Self::unpack()?;
                Ok(SHIPPED.get_or_init(|| shipped))
            }
        }
    }

    fn unpack() -> PlanResult<Self> {
        let state = SessionStateBuilder::new()
            .with_table_function_list(SessionStateDefaults::default_table_functions())
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(DATABASE, Arc::new(MemoryCatalogProvider::new()));
        datafusion_pg_catalog::setup_pg_catalog(&context, DATABASE, EmptyContextProvider)
            .map_err(|e| *e)?;
        let state = context.state();
        Ok(Self {
            tables: Arc::new(PgCatalogStaticTables::try_new()?),
            of_values: state.scalar_functions().values().cloned().collect(),
            of_tables: state.table_functions().values().cloned().collect(),
        })
    }
}
