//! The catalogue of a session: granted tables in `public`, `pg_catalog`, `information_schema`; and the functions clients ask.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    ColumnarValue, EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, Volatility,
    create_udf,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, ObjectName, Query, SelectItem, SetExpr, Statement};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use parking::Shared;
use policy::port::SqlTables;

use super::firewall::TABLE_FUNCTIONS;
use super::settings::Settings;
use super::table::GrantedTable;
use crate::lake::{DeltaLake, STATEMENT_ROWS};

/// Name of the one database.
pub(super) const DATABASE: &str = "qiantang";
/// Schema of the granted tables.
pub(super) const SCHEMA: &str = "public";
/// PostgreSQL version that clients are told: what they do by it fits.
pub(super) const VERSION: &str = "16.6";

mod parking {
    use std::sync::{Arc, Mutex, PoisonError};

    use policy::port::SqlTables;

    /// What was granted as last asked.
    #[derive(Debug, Default)]
    pub(super) struct Shared(Mutex<Arc<SqlTables>>);

    impl Shared {
        pub(super) fn get(&self) -> Arc<SqlTables> {
            Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
        pub(super) fn set(&self, tables: Arc<SqlTables>) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tables;
        }
    }
}

/// Columns of `pg_type` that name functions: PostgreSQL keeps numbers there, and 0 for none; ours keep names, and `-`.
const FUNCTION_COLUMNS: [&str; 6] =
    ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout"];

/// Has comparisons of such a column with 0, as drivers write them, compare with `-`.
pub(super) fn functions_by_name(statement: &mut Statement) {
    let named = |side: &ast::Expr| match side {
        ast::Expr::Identifier(ident) => FUNCTION_COLUMNS.contains(&ident.value.as_str()),
        ast::Expr::CompoundIdentifier(path) => {
            path.last().is_some_and(|ident| FUNCTION_COLUMNS.contains(&ident.value.as_str()))
        }
        _ => false,
    };
    let _ = ast::visit_expressions_mut(statement, |expr| {
        if let ast::Expr::BinaryOp { left, right, .. } = expr
            && named(left)
            && let ast::Expr::Value(value) = right.as_mut()
            && matches!(&value.value, ast::Value::Number(number, _) if *number == "0")
        {
            value.value = ast::Value::SingleQuotedString("-".into());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The schema `public` of one session. A table is opened when a statement names it, at its newest version.
pub(super) struct Granted {
    lake: Arc<DeltaLake>,
    tables: Shared,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granted").finish_non_exhaustive()
    }
}

impl Granted {
    pub(super) fn new(lake: Arc<DeltaLake>) -> Self {
        Self { lake, tables: Shared::default() }
    }

    pub(super) fn set(&self, tables: Arc<SqlTables>) {
        self.tables.set(tables);
    }
}

#[async_trait]
impl SchemaProvider for Granted {
    fn table_names(&self) -> Vec<String> {
        self.tables.get().tables.iter().map(|t| t.grant.code().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let tables = self.tables.get();
        let Some(granted) = tables.tables.iter().find(|t| t.grant.code() == name) else {
            return Ok(None);
        };
        let table = GrantedTable::open(&self.lake, granted)
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.get().tables.iter().any(|t| t.grant.code() == name)
    }
}

/// A context that knows the granted tables, the catalogues, and functions; no files, no other tables.
pub(super) fn context(
    lake: &DeltaLake,
    granted: &Arc<Granted>,
    user: &str,
    settings: &Arc<Settings>,
) -> PlanResult<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(lake.threads())
        .with_batch_size(STATEMENT_ROWS)
        .with_information_schema(true)
        .with_default_catalog_and_schema(DATABASE, SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    // Not the default features: they bring file formats and table factories.
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(lake.runtime())
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build();
    let context = SessionContext::new_with_state(state);
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, Arc::clone(granted) as _)?;
    context.register_catalog(DATABASE, catalog);
    datafusion_pg_catalog::setup_pg_catalog(&context, DATABASE, EmptyContextProvider)
        .map_err(|e| *e)?;
    for function in functions(user, settings) {
        context.register_udf(function);
    }
    Ok(context)
}

/// What clients ask of a server beyond what the catalogue's crate answers.
fn functions(user: &str, settings: &Arc<Settings>) -> Vec<ScalarUDF> {
    let version = format!("PostgreSQL {VERSION} (钱塘 Qiantang {})", env!("CARGO_PKG_VERSION"));
    vec![
        constant("version", &[], Some(version)),
        constant("session_user", &[], Some(user.to_owned())),
        current_setting(settings),
        constant("obj_description", &[ArrowType::Int64, ArrowType::Utf8], None),
        constant("col_description", &[ArrowType::Int64, ArrowType::Int64], None),
        constant("shobj_description", &[ArrowType::Int64, ArrowType::Utf8], None),
        constant("pg_get_indexdef", &[ArrowType::Int64], None),
        constant("pg_get_viewdef", &[ArrowType::Int64], None),
        set_config(settings),
        empty("to_regtype", ArrowType::Utf8, ArrowType::Int32),
        empty("to_regclass", ArrowType::Utf8, ArrowType::Int32),
        not("pg_is_in_recovery"),
        constant("pg_get_serial_sequence", &[ArrowType::Utf8, ArrowType::Utf8], None),
    ]
}

/// `current_setting(name)`: as SHOW tells it; NULL where there is none.
fn current_setting(settings: &Arc<Settings>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let look = move |given: &[ColumnarValue]| {
        let value = match given.first() {
            Some(ColumnarValue::Scalar(name)) => {
                name.try_as_str().flatten().and_then(|name| settings.get(name))
            }
            _ => None,
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
    };
    let arguments = vec![ArrowType::Utf8];
    create_udf("current_setting", arguments, ArrowType::Utf8, Volatility::Stable, Arc::new(look))
}

/// `set_config(name, value, local)`: as SET does it.
fn set_config(settings: &Arc<Settings>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let set = move |given: &[ColumnarValue]| {
        let text = |at: usize| match given.get(at) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        let (Some(name), Some(value)) = (text(0), text(1)) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        settings
            .set(&name, Some(value.clone()))
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(value))))
    };
    let arguments = vec![ArrowType::Utf8, ArrowType::Utf8, ArrowType::Boolean];
    create_udf("set_config", arguments, ArrowType::Utf8, Volatility::Volatile, Arc::new(set))
}

/// A function that finds nothing.
fn empty(name: &'static str, argument: ArrowType, answer: ArrowType) -> ScalarUDF {
    let null = answer.clone();
    let find = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::try_from(&null)?));
    create_udf(name, vec![argument], answer, Volatility::Stable, Arc::new(find))
}

/// A question whose answer is no.
fn not(name: &'static str) -> ScalarUDF {
    let no = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false))));
    create_udf(name, Vec::new(), ArrowType::Boolean, Volatility::Stable, Arc::new(no))
}

/// Tables of `pg_catalog` in which there is nothing here: no constraints, indexes, sequences, triggers …
const NOTHING: &[&str] = &[
    "pg_constraint",
    "pg_index",
    "pg_sequence",
    "pg_trigger",
    "pg_policy",
    "pg_rewrite",
    "pg_inherits",
    "pg_statistic_ext",
    "pg_publication",
    "pg_publication_rel",
    "pg_foreign_table",
    "pg_enum",
    "pg_event_trigger",
];

/// The answer to a question of a client about things that there are none of, when its words are not the planner's: the
/// columns it asked for, and no row. Only questions that read catalogues alone are answered so.
pub(super) fn nothing(query: &Statement) -> Option<LogicalPlan> {
    let mut asked = false;
    let known = ast::visit_relations(query, |name: &ObjectName| {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|p| p.as_ident())
            .map(|i| i.value.to_ascii_lowercase())
            .collect();
        let last = parts.last().map(String::as_str).unwrap_or_default();
        asked |= NOTHING.contains(&last);
        let system = parts.iter().any(|p| p == "pg_catalog" || p == "information_schema");
        match system || last.starts_with("pg_") || TABLE_FUNCTIONS.contains(&last) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    let Statement::Query(query) = query else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if !asked || known.is_break() {
        return None;
    }
    let names = select.projection.iter().map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::Identifier(ident)) => Some(ident.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts)) => {
            parts.last().map(|i| i.value.clone())
        }
        SelectItem::UnnamedExpr(other) => Some(other.to_string().chars().take(63).collect()),
        _ => None,
    });
    let names = names.collect::<Option<Vec<String>>>()?;
    let fields: Vec<Field> =
        names.into_iter().map(|name| Field::new(name, ArrowType::Utf8, true)).collect();
    let schema = DFSchema::try_from(Schema::new(fields)).ok()?;
    let empty = LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: false,
        schema: Arc::new(schema),
    });
    // The parameters of the question are those of its answer: clients send what they were told to.
    placeholders(query).into_iter().try_fold(empty, |plan, id| {
        let placeholder =
            Placeholder::new_with_field(id, Some(Field::new("", ArrowType::Utf8, true).into()));
        let given = Expr::Placeholder(placeholder).is_not_null();
        LogicalPlanBuilder::from(plan).filter(given).and_then(LogicalPlanBuilder::build).ok()
    })
}

/// The placeholders (`$1` …) of a question, each once.
fn placeholders(query: &Query) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _ = ast::visit_expressions(query, |expr| {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Placeholder(id) = &value.value
        {
            found.insert(id.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// A function of any of its arguments with one answer.
fn constant(name: &'static str, arguments: &[ArrowType], answer: Option<String>) -> ScalarUDF {
    let scalar =
        move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(answer.clone())));
    create_udf(name, arguments.to_vec(), ArrowType::Utf8, Volatility::Stable, Arc::new(scalar))
}
