//! A statement's way: text → firewall → plan → counted and recorded → rows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use arrow_pg::datatypes::arrow_schema_to_pg_fields;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{ParamValues, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{CloseCursor, Statement};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::{Code, Error};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldInfo, Tag};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::copy::CopyData;
use pgwire::messages::data::DataRow;
use policy::port::SqlAsk;
use tokio::task::JoinError;

use super::asked::{parameters, tables};
use super::cursor::{self, Cursor};
use super::flow::{Flow, Watch, cancelled, too_long};
use super::session::Session;
use super::settings::assignments;
use super::words::{code_of, of_house, of_plan, syntax, told};
use super::{copy, firewall, moments, questions, spelling};
use crate::cluster::Ready;
use crate::transform::words::Refusal;
use crate::{bounds, depth};

/// A statement that was taken and planned once; it is planned anew when it runs, with what is granted then.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    text: Arc<str>,
    pub(super) statement: Arc<Statement>,
    /// Parameters in their order, with what the plan wants of them.
    pub(super) parameters: Vec<(Option<ArrowType>, Type)>,
    /// Columns of its answer.
    pub(super) schema: Option<SchemaRef>,
}

impl Prepared {
    /// A statement of the simple protocol: it has no parameters, and its columns are told with its rows.
    pub(super) fn plain(text: Arc<str>, statement: Arc<Statement>) -> Self {
        Self { text, statement, parameters: Vec::new(), schema: None }
    }
}

/// What running a statement came to.
pub(super) enum Reply {
    Rows {
        fields: Arc<Vec<FieldInfo>>,
        rows: BoxStream<'static, PgWireResult<DataRow>>,
        tag: &'static str,
    },
    Copy {
        format: i8,
        columns: usize,
        data: BoxStream<'static, PgWireResult<CopyData>>,
        rows: Arc<AtomicU64>,
    },
    Done(Tag),
    Begun,
    Ended(&'static str),
    /// Back to a savepoint: the transaction goes on, also when it had failed.
    Reverted,
    /// Settings that the client is told of.
    Set {
        tag: &'static str,
        told: Vec<(&'static str, String)>,
    },
}

impl Session {
    /// The statements of a text, each with its own piece of it; refused ones are recorded.
    pub(super) async fn read(
        &self,
        parser: &PostgresCompatibilityParser,
        text: &str,
    ) -> PgWireResult<Vec<(Arc<str>, Arc<Statement>)>> {
        let read = || {
            if text.len() > self.limits.text {
                return Err(told(
                    "54000",
                    format!("语句过长（{} 字节），至多 {} 字节", text.len(), self.limits.text),
                    format!(
                        "the statement has {} bytes, at most {} are taken",
                        text.len(),
                        self.limits.text
                    ),
                ));
            }
            let complex = |r: Refusal| told("54001", r.zh, r.en);
            depth::of_text(text).map_err(complex)?;
            let mut statements = parser.parse(text).map_err(|e| syntax(&e.to_string()))?;
            statements.iter().try_for_each(depth::of_tables).map_err(complex)?;
            statements.iter_mut().for_each(questions::fit);
            statements.iter_mut().try_for_each(spelling::fit)?;
            statements.iter().try_for_each(firewall::check)?;
            Ok(statements)
        };
        match read() {
            Ok(statements) => {
                let alone = statements.len() == 1;
                let piece = |s: Statement| match alone {
                    true => (Arc::from(text), Arc::new(s)),
                    false => (Arc::from(s.to_string()), Arc::new(s)),
                };
                Ok(statements.into_iter().map(piece).collect())
            }
            Err(e) => {
                self.note(text, &e).await;
                Err(e)
            }
        }
    }

    /// Records a statement that came to nothing before it began.
    pub(super) async fn note(&self, text: &str, error: &PgWireError) {
        let text: String = text.chars().take(self.limits.text).collect();
        let ask = SqlAsk { shape: firewall::shape(&text), text, tables: Vec::new() };
        let refusal = match error {
            PgWireError::UserError(info) => {
                let by_state = || match info.code.as_str() {
                    "42501" => Code::Denied,
                    _ => Code::InvalidQuery,
                };
                let code = code_of(info).unwrap_or_else(by_state);
                Error::new(code, info.message.as_str(), info.message.as_str())
            }
            _ => Error::of(Code::Internal),
        };
        self.desk.refuse(&self.caller, &ask, &refusal).await;
    }

    /// Plans a statement as far as clients ask before it runs: its parameters and columns.
    pub(super) async fn prepare(
        &self,
        text: Arc<str>,
        statement: Arc<Statement>,
    ) -> PgWireResult<Prepared> {
        self.look().await?;
        let planned = self.describe(&statement).await;
        match planned {
            Ok((parameters, schema)) => Ok(Prepared { text, statement, parameters, schema }),
            Err(e) => {
                self.note(&text, &e).await;
                Err(e)
            }
        }
    }

    async fn describe(
        &self,
        statement: &Statement,
    ) -> PgWireResult<(Vec<(Option<ArrowType>, Type)>, Option<SchemaRef>)> {
        match statement {
            Statement::Fetch { name, .. } => {
                let cursor = self.cursor(&name.value).ok_or_else(|| no_cursor(&name.value))?;
                let schema = cursor.lock().await.schema();
                return Ok((Vec::new(), Some(schema)));
            }
            Statement::ShowVariable { variable } => {
                let (name, _) = self.shown(variable)?;
                return Ok((Vec::new(), Some(text_schema(&name))));
            }
            _ => {}
        }
        let Some(query) = query_of(statement)? else { return Ok((Vec::new(), None)) };
        let plan = self.plan(&query).await?;
        let parameters = parameters(&plan)?;
        let schema = match statement {
            Statement::Explain { .. } => Some(text_schema(PLAN)),
            Statement::Declare { .. } | Statement::Copy { .. } => None,
            _ => Some(Arc::new(self.analysed(&plan).schema().as_arrow().clone())),
        };
        Ok((parameters, schema))
    }

    /// The plan with its final types, where they can be known before there are values.
    fn analysed(&self, plan: &LogicalPlan) -> LogicalPlan {
        let state = self.context.state();
        let analysed =
            state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
        analysed.unwrap_or_else(|_| plan.clone())
    }

    pub(super) async fn plan(&self, query: &Statement) -> PgWireResult<LogicalPlan> {
        self.plan_in(&self.context.state(), query).await
    }

    async fn plan_in(&self, state: &SessionState, query: &Statement) -> PgWireResult<LogicalPlan> {
        let parsed = Parsed::Statement(Box::new(query.clone()));
        let planning = state.statement_to_plan(parsed).await;
        let plan = match planning {
            Ok(plan) => plan,
            Err(e) => questions::nothing(query).ok_or_else(|| of_plan(e))?,
        };
        let only_reads = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_reads.verify_plan(&plan).map_err(|_| told("42501", "只能查询", "reading only"))?;
        bounds::bind(plan, &self.room).map_err(of_plan)
    }

    /// Runs a statement. `values` are its parameters, `format` is that of its columns.
    pub(super) async fn run(
        &self,
        prepared: &Prepared,
        values: Option<ParamValues>,
        format: &Format,
    ) -> PgWireResult<Reply> {
        self.cancel.reset();
        self.look().await?;
        let done = self.run_now(prepared, values, format).await;
        if let Err((e, false)) = &done {
            self.note(&prepared.text, e).await;
        }
        done.map_err(|(e, _)| e)
    }

    /// The error comes with whether the desk knows of the statement already.
    async fn run_now(
        &self,
        prepared: &Prepared,
        values: Option<ParamValues>,
        format: &Format,
    ) -> Result<Reply, (PgWireError, bool)> {
        let fresh = |e| (e, false);
        match prepared.statement.as_ref() {
            Statement::Set(set) => {
                let mut told = Vec::new();
                for (name, value) in assignments(set).map_err(fresh)? {
                    told.extend(self.settings.set(&name, value).map_err(fresh)?);
                }
                Ok(Reply::Set { tag: "SET", told })
            }
            Statement::Reset(reset) => {
                use datafusion::sql::sqlparser::ast::Reset;
                let mut told = Vec::new();
                match &reset.reset {
                    Reset::ALL => self.settings.reset(),
                    Reset::ConfigurationParameter(name) => {
                        told.extend(self.settings.set(&name.to_string(), None).map_err(fresh)?);
                    }
                }
                Ok(Reply::Set { tag: "RESET", told })
            }
            Statement::ShowVariable { variable } => {
                let (name, value) = self.shown(variable).map_err(fresh)?;
                self.texts(&name, vec![value], "SHOW", format).map_err(fresh)
            }
            Statement::StartTransaction { .. } => Ok(Reply::Begun),
            Statement::Commit { .. } => {
                self.end_transaction();
                Ok(Reply::Ended("COMMIT"))
            }
            // Nothing is written, so that a savepoint has nothing to keep.
            Statement::Savepoint { .. } => Ok(Reply::Done(Tag::new("SAVEPOINT"))),
            Statement::ReleaseSavepoint { .. } => Ok(Reply::Done(Tag::new("RELEASE"))),
            Statement::Rollback { savepoint: Some(_), .. } => Ok(Reply::Reverted),
            Statement::Rollback { .. } => {
                self.end_transaction();
                Ok(Reply::Ended("ROLLBACK"))
            }
            Statement::Deallocate { .. } => Ok(Reply::Done(Tag::new("DEALLOCATE"))),
            Statement::Discard { .. } => {
                self.close_cursors();
                self.settings.reset();
                Ok(Reply::Done(Tag::new("DISCARD ALL")))
            }
            Statement::Close { cursor } => {
                match cursor {
                    CloseCursor::All => self.close_cursors(),
                    CloseCursor::Specific { name } => {
                        if !self.close_cursor(&name.value) {
                            return Err(fresh(no_cursor(&name.value)));
                        }
                    }
                }
                Ok(Reply::Done(Tag::new("CLOSE CURSOR")))
            }
            Statement::Fetch { name, direction, .. } => {
                let cursor =
                    self.cursor(&name.value).ok_or_else(|| fresh(no_cursor(&name.value)))?;
                let most = cursor::wanted(direction).map_err(fresh)?;
                let cursor = cursor.lock_owned().await;
                let fields = self.fields(&cursor.schema(), format).map_err(fresh)?;
                let rows = fetched(cursor, most, Arc::clone(&fields));
                Ok(Reply::Rows { fields, rows, tag: "FETCH" })
            }
            Statement::Explain { verbose: _, statement, .. } => {
                let (plan, _) = self.planned(statement, values).await.map_err(fresh)?;
                let shown = plan.display_indent().to_string();
                let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
                self.texts(PLAN, lines, "EXPLAIN", format).map_err(fresh)
            }
            Statement::Declare { stmts } => {
                let Some((name, hold)) = stmts
                    .first()
                    .and_then(|d| Some((d.names.first()?.value.clone(), d.hold == Some(true))))
                else {
                    return Err(fresh(syntax("DECLARE")));
                };
                let query = query_of(&prepared.statement).map_err(fresh)?;
                let query = query.ok_or_else(|| fresh(syntax("DECLARE")))?;
                let flow = self.flow(&prepared.text, &query, values).await?;
                self.open_cursor(&name, Cursor::new(flow, hold)).map_err(|e| (e, true))?;
                Ok(Reply::Done(Tag::new("DECLARE CURSOR")))
            }
            Statement::Copy { source, options, legacy_options, .. } => {
                let written = copy::Format::of(options, legacy_options).map_err(fresh)?;
                let query = copy::query(source).map_err(fresh)?;
                let flow = self.flow(&prepared.text, &query, values).await?;
                let wire =
                    if written.code() == 1 { Format::UnifiedBinary } else { Format::UnifiedText };
                let fields = self.fields(&flow.schema(), &wire).map_err(|e| (e, true))?;
                let rows = Arc::new(AtomicU64::new(0));
                let (code, columns) = (written.code(), fields.len());
                let data = copy::stream(flow, fields, written, Arc::clone(&rows));
                Ok(Reply::Copy { format: code, columns, data, rows })
            }
            query => {
                let flow = self.flow(&prepared.text, query, values).await?;
                let fields = self.fields(&flow.schema(), format).map_err(|e| (e, true))?;
                let rows = rows(flow, Arc::clone(&fields));
                Ok(Reply::Rows { fields, rows, tag: "SELECT" })
            }
        }
    }

    /// The optimized plan of a query with its values, and the state of the session that it was planned in.
    pub(super) async fn planned(
        &self,
        query: &Statement,
        values: Option<ParamValues>,
    ) -> PgWireResult<(LogicalPlan, SessionState)> {
        let state = self.context.state();
        let mut plan = self.plan_in(&state, query).await?;
        if let Some(values) = values {
            plan = plan.with_param_values(values).map_err(of_plan)?;
        }
        if self.cut.is_some() {
            let cut = LogicalPlanBuilder::from(plan).limit(0, self.cut);
            plan = cut.and_then(LogicalPlanBuilder::build).map_err(of_plan)?;
        }
        // Constants are computed now: where they do not hold up others, and whoever waits may stop waiting.
        let planning = tokio::task::spawn_blocking(move || -> PlanResult<_> {
            let plan = state.optimize(&plan)?;
            bounds::check_constants(&plan)?;
            Ok((plan, state))
        });
        planning.await.map_err(stopped)?.map_err(of_plan)
    }

    /// Counts and records a query, then begins it. Its last steps are planned while it is counted and recorded.
    pub(super) async fn flow(
        &self,
        text: &str,
        query: &Statement,
        values: Option<ParamValues>,
    ) -> Result<Flow, (PgWireError, bool)> {
        let fresh = |e| (e, false);
        let (began, most) = (Instant::now(), self.most());
        // Planning is work, too.
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            fresh(told(
                "53300",
                format!("同一应用至多同时执行 {} 条语句，请稍后再试", self.limits.statements),
                format!(
                    "an application may run {} statements at once: try again shortly",
                    self.limits.statements
                ),
            ))
        })?;
        let (plan, state) = tokio::select! {
            biased;
            () = self.cancel.asked() => return Err(fresh(cancelled())),
            () = tokio::time::sleep(most) => return Err(fresh(too_long(most))),
            plan = self.planned(query, values) => plan.map_err(fresh)?,
        };
        let tables = tables(&plan).map_err(fresh)?;
        let task = self.task(&state).map_err(fresh)?;
        let schema = Arc::new(plan.schema().as_arrow().clone());
        let ready = SpawnedTask::spawn(Ready::of(self.cluster.clone(), state, plan));
        let ask = SqlAsk { text: text.to_owned(), shape: firewall::shape(text), tables };
        let turn = self.desk.begin(&self.caller, &ask).await;
        let turn = turn.map_err(|e| fresh(of_house(&e)))?;
        let mut watch = Watch::new(
            Arc::clone(&self.desk),
            self.caller.clone(),
            turn,
            Arc::clone(&self.cancel),
            began,
            most,
            place,
        );
        let starting = async {
            let ready = ready.join_unwind().await.map_err(stopped)?.map_err(of_plan)?;
            let batches = ready.begin(task).await.map_err(of_plan)?;
            // The plan's own schema: it knows which integers are object ids.
            let told = Arc::clone(&schema);
            let batches = batches.map(move |batch| {
                let batch = batch?;
                let same = batch.schema().fields().len() == told.fields().len();
                match same.then(|| batch.clone().with_schema(Arc::clone(&told))) {
                    Some(Ok(renamed)) => Ok(renamed),
                    _ => Ok(batch),
                }
            });
            PgWireResult::Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)) as _)
        };
        match watch.over(starting).await {
            Ok(batches) => Ok(Flow::new(batches, watch)),
            Err(e) => {
                watch.tell(Some(&e)).await;
                Err((e, true))
            }
        }
    }

    /// The columns as clients are told them.
    pub(super) fn fields(
        &self,
        schema: &Schema,
        format: &Format,
    ) -> PgWireResult<Arc<Vec<FieldInfo>>> {
        if let Format::Individual(codes) = format
            && codes.len() != schema.fields().len()
        {
            return Err(told(
                "08P01",
                format!("给出了 {} 个列格式，结果有 {} 列", codes.len(), schema.fields().len()),
                format!("{} formats for {} columns", codes.len(), schema.fields().len()),
            ));
        }
        arrow_schema_to_pg_fields(schema, format, Some(self.format())).map(Arc::new)
    }

    /// One column of texts.
    fn texts(
        &self,
        name: &str,
        lines: Vec<String>,
        tag: &'static str,
        format: &Format,
    ) -> PgWireResult<Reply> {
        let schema = text_schema(name);
        let fields = self.fields(&schema, format)?;
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(lines))])
            .map_err(|e| of_house(&crate::fault::arrow(e)))?;
        let rows = stream::iter(encoded(&batch, &fields)).boxed();
        Ok(Reply::Rows { fields, rows, tag })
    }

    /// Name and value of a setting that is shown.
    fn shown(
        &self,
        variable: &[datafusion::sql::sqlparser::ast::Ident],
    ) -> PgWireResult<(String, String)> {
        let words: Vec<String> = variable.iter().map(|i| i.value.to_ascii_lowercase()).collect();
        let name = match words.join(" ").as_str() {
            "time zone" => "timezone".to_owned(),
            "transaction isolation level" => "transaction_isolation".to_owned(),
            "session authorization" => {
                let user = match &self.caller.actor {
                    model::Actor::Application { key, .. } => key.clone(),
                    other => other.id().to_owned(),
                };
                return Ok(("session_authorization".to_owned(), user));
            }
            other => other.to_owned(),
        };
        let value = self.settings.get(&name).ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            told("42704", format!("没有设置 `{name}`"), format!("there is no setting `{name}`"))
        })?;
        Ok((name, value))
    }
}

fn stopped(e: JoinError) -> PgWireError {
    of_house(&Error::internal("wire: planning stopped").caused_by(e))
}

/// Name of the column of EXPLAIN.
const PLAN: &str = "QUERY PLAN";

fn text_schema(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, ArrowType::Utf8, true)]))
}

fn no_cursor(name: &str) -> PgWireError {
    let name: String = name.chars().take(80).collect();
    told("34000", format!("没有游标 `{name}`"), format!("there is no cursor `{name}`"))
}

/// The query inside a statement that has one.
fn query_of(statement: &Statement) -> PgWireResult<Option<Statement>> {
    Ok(match statement {
        Statement::Query(_) | Statement::ShowTables { .. } | Statement::ShowColumns { .. } => {
            Some(statement.clone())
        }
        Statement::Explain { statement, .. } => Some(statement.as_ref().clone()),
        Statement::Declare { stmts } => {
            stmts.first().and_then(|d| d.for_query.clone()).map(Statement::Query)
        }
        Statement::Copy { source, .. } => Some(copy::query(source)?),
        _ => None,
    })
}

/// The rows of a batch, written.
fn encoded(batch: &RecordBatch, fields: &Arc<Vec<FieldInfo>>) -> Vec<PgWireResult<DataRow>> {
    match moments::written(batch, fields, false) {
        Ok(batch) => arrow_pg::datatypes::encode_recordbatch(Arc::clone(fields), batch).collect(),
        Err(e) => vec![Err(e)],
    }
}

/// All rows of a flow, written.
fn rows(flow: Flow, fields: Arc<Vec<FieldInfo>>) -> BoxStream<'static, PgWireResult<DataRow>> {
    let batches = stream::try_unfold((flow, fields), |(mut flow, fields)| async move {
        let Some(batch) = flow.next().await? else { return PgWireResult::Ok(None) };
        let rows = stream::iter(encoded(&batch, &fields));
        Ok(Some((rows, (flow, fields))))
    });
    futures::TryStreamExt::try_flatten(batches).boxed()
}

/// At most so many rows of a cursor, written.
fn fetched(
    cursor: tokio::sync::OwnedMutexGuard<Cursor>,
    most: Option<usize>,
    fields: Arc<Vec<FieldInfo>>,
) -> BoxStream<'static, PgWireResult<DataRow>> {
    let left = most.unwrap_or(usize::MAX);
    let batches =
        stream::try_unfold((cursor, left, fields), |(mut cursor, left, fields)| async move {
            if left == 0 {
                return PgWireResult::Ok(None);
            }
            let Some(batch) = cursor.next(left).await? else { return Ok(None) };
            let rows = stream::iter(encoded(&batch, &fields));
            let left = left - batch.num_rows().min(left);
            Ok(Some((rows, (cursor, left, fields))))
        });
    futures::TryStreamExt::try_flatten(batches).boxed()
}
