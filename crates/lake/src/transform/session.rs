//! The session a SELECT is planned in, and what is refused before it is planned.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use model::{Code, Error, Result};
use policy::port::TransformAsk;

use super::function::{self, Books};
use super::input::Input;
use super::words::{self, Known};
use super::{each_expression, shared_books};
use crate::bounds::{self, Room};
use crate::depth;
use crate::lake::DeltaLake;

/// A SELECT longer than this was not written by hand.
const LONGEST: usize = 64 << 10;
pub(super) const CHUNK_ROWS: usize = 8192;

pub(super) struct Session {
    pub(super) state: SessionState,
    pub(super) inputs: Vec<Arc<Input>>,
    pub(super) books: Arc<Books>,
    room: Arc<Room>,
}

/// The input that may be long.
pub(super) fn main_input(ask: &TransformAsk) -> usize {
    ask.inputs.iter().position(|i| i.name == "source").unwrap_or(0)
}

pub(super) fn known(ask: &TransformAsk) -> Known {
    Known {
        tables: ask
            .inputs
            .iter()
            .map(|i| (i.name.clone(), i.items.iter().map(|item| item.identifier.clone()).collect()))
            .collect(),
    }
}

impl Session {
    pub(super) fn new(lake: &DeltaLake, ask: &TransformAsk) -> Result<Self> {
        let books = shared_books(ask);
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_batch_size(CHUNK_ROWS)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(true);
        let options = config.options_mut();
        options.sql_parser.collect_spans = true;
        options.execution.enable_recursive_ctes = false;
        let room = Room::beside(lake.memory_limit());
        let mut scalar = bounds::functions(&room);
        scalar.extend(function::all(&books));
        // Not the default features: they bring table functions, file formats and table factories.
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(lake.runtime())
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(scalar)
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .build();
        let context = SessionContext::new_with_state(state);
        let main = main_input(ask);
        let mut inputs = Vec::with_capacity(ask.inputs.len());
        for (at, input) in ask.inputs.iter().enumerate() {
            let table = Arc::new(Input::new(input, at == main));
            let taken = context
                .register_table(TableReference::bare(input.name.as_str()), Arc::clone(&table) as _)
                .map_err(|e| Error::internal("lake: registering an input").caused_by(e))?;
            if taken.is_some() {
                return Err(Error::invalid(
                    format!("输入表 `{}` 重复", input.name),
                    format!("the input `{}` is given twice", input.name),
                ));
            }
            inputs.push(table);
        }
        Ok(Self { state: context.state(), inputs, books, room })
    }

    pub(super) fn known(&self, ask: &TransformAsk) -> Known {
        known(ask)
    }

    /// The checked plan of the SELECT.
    pub(super) async fn logical(&self, ask: &TransformAsk) -> Result<LogicalPlan> {
        let statement = single_query(&ask.sql)?;
        let known = self.known(ask);
        let plan = self
            .state
            .statement_to_plan(statement)
            .await
            .map_err(|e| words::refused(&ask.sql, e, &known))?;
        let only_reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_reads.verify_plan(&plan).map_err(|_| not_a_query())?;
        let mut placeholder = None;
        each_expression(&plan, |expr| {
            if let Expr::Placeholder(p) = expr {
                placeholder = Some(p.id.clone());
            }
            Ok(())
        })
        .map_err(|e| words::refused(&ask.sql, e, &known))?;
        if let Some(name) = placeholder {
            return Err(words::bad_sql(
                format!("语句中有未填写的参数 `{name}`，请写成具体的值"),
                format!("the statement has the parameter `{name}`: write a value in its place"),
            ));
        }
        bounds::bind(plan, &self.room).map_err(|e| words::refused(&ask.sql, e, &known))
    }

    /// Inputs that functions look things up in, by name.
    pub(super) fn books_used(&self, plan: &LogicalPlan) -> Result<BTreeSet<String>> {
        let mut used = BTreeSet::new();
        let mut wrong = None;
        let walk = each_expression(plan, |expr| {
            if let Expr::ScalarFunction(call) = expr
                && let Some(book) = function::book_of(call)
            {
                match book.and_then(|name| self.books.known(&name).map(|input| (name, input))) {
                    Ok((name, true)) => {
                        used.insert(name);
                    }
                    Ok((_, false)) => {}
                    Err(e) => wrong = Some(e),
                }
            }
            Ok(())
        });
        walk.map_err(|e: DataFusionError| Error::internal("lake: walking a plan").caused_by(e))?;
        if let Some(error) = wrong {
            return Err(error);
        }
        for name in &used {
            if let Some(input) = self.inputs.iter().find(|i| i.name() == name) {
                function::check_book(plan, input)?;
            }
        }
        Ok(used)
    }
}

/// The one statement of a text, which must be a query.
fn single_query(sql: &str) -> Result<Statement> {
    if sql.len() > LONGEST {
        return Err(words::bad_sql(
            format!("语句过长（{} 字节），至多 {LONGEST} 字节", sql.len()),
            format!("the statement has {} bytes, at most {LONGEST} are taken", sql.len()),
        ));
    }
    if sql.trim().is_empty() {
        return Err(words::bad_sql("请写一条 SELECT 语句", "write one SELECT statement"));
    }
    let complex = |r: words::Refusal| words::bad_sql(r.zh, r.en);
    depth::of_text(sql).map_err(complex)?;
    let mut statements = DFParserBuilder::new(sql)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|e| words::refused(sql, e, &Known::default()))?;
    let first = statements.pop_front();
    if !statements.is_empty() {
        return Err(words::bad_sql(
            format!("只能写一条语句，现有 {} 条", statements.len() + 1),
            format!("one statement is taken, there are {}", statements.len() + 1),
        ));
    }
    match first {
        Some(Statement::Statement(statement)) => match *statement {
            ast::Statement::Query(query) if reads_only(&query) => {
                Ok(Statement::Statement(Box::new(ast::Statement::Query(query))))
            }
            _ => Err(not_a_query()),
        },
        _ => Err(not_a_query()),
    }
}

/// No INSERT or the like inside, no SELECT INTO, no locks.
fn reads_only(query: &ast::Query) -> bool {
    fn body(set: &ast::SetExpr) -> bool {
        match set {
            ast::SetExpr::Select(select) => select.into.is_none(),
            ast::SetExpr::Query(query) => reads_only(query),
            ast::SetExpr::SetOperation { left, right, .. } => body(left) && body(right),
            ast::SetExpr::Values(_) => true,
            _ => false,
        }
    }
    query.locks.is_empty()
        && query.with.iter().flat_map(|w| &w.cte_tables).all(|cte| reads_only(&cte.query))
        && body(&query.body)
}

fn not_a_query() -> Error {
    Error::new(
        Code::InvalidQuery,
        "转换只能是一条 SELECT（或 WITH … SELECT）查询，不能建表、修改数据、导出或设置参数",
        "a transformation is one SELECT (or WITH … SELECT); it makes no tables, changes no data, exports nothing and sets nothing",
    )
}
