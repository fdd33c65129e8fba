//! The protocol's messages after signing in: simple and extended queries, portals, COPY, cancel.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::sql::sqlparser::ast::Statement;
use futures::stream::BoxStream;
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::cancel::CancelHandler;
use pgwire::api::portal::{Format, Portal, PortalExecutionState};
use pgwire::api::query::{
    ExtendedQueryHandler, SimpleQueryHandler, send_partial_query_response, send_query_response,
    send_ready_for_query,
};
use pgwire::api::results::{
    CopyResponse, DescribePortalResponse, FieldInfo, QueryResponse, Response, Tag,
};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{
    ClientInfo, ClientPortalStore, DEFAULT_NAME, ErrorHandler, PgWireConnectionState,
    PgWireServerHandlers, Type,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::data::RowDescription;
use pgwire::messages::extendedquery::{
    Bind, Describe, Execute, Sync as PgSync, TARGET_TYPE_BYTE_PORTAL,
};
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::ParameterStatus;

use super::run::{Prepared, Reply};
use super::serve::{Door, Seat};
use super::session::Session;
use super::startup::Phase;
use super::waiting::Place;
use super::words::{fatal, told};

/// Most rows of one Execute or FETCH that are named beforehand.
const MOST_ROWS: usize = i32::MAX as usize;

/// One connection, from its first message.
pub(super) struct Connection {
    pub(super) door: Arc<Door>,
    pub(super) phase: tokio::sync::Mutex<Phase>,
    /// Its place as long as nobody has signed in.
    waiting: Mutex<Option<Place>>,
    inside: Inside,
}

/// The session, once somebody has signed in, with the place it takes.
type Inside = Arc<OnceLock<(Arc<Session>, Seat)>>;

impl Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(door: Arc<Door>, place: Place) -> Self {
        let (phase, waiting) = (tokio::sync::Mutex::default(), Mutex::new(Some(place)));
        Self { door, phase, waiting, inside: Inside::default() }
    }

    pub(super) fn open(&self, session: Session, seat: Seat) {
        // A connection signs in once.
        let _ = self.inside.set((Arc::new(session), seat));
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        self.inside.get().map(|(session, _)| session)
    }

    fn inside(&self) -> PgWireResult<&Arc<Session>> {
        inside(&self.inside)
    }
}

fn inside(inside: &Inside) -> PgWireResult<&Arc<Session>> {
    let (session, _) = inside
        .get()
        .ok_or_else(|| fatal("28000", "尚未登录", "nobody has signed in on this connection"))?;
    session.touch();
    Ok(session)
}

/// Reads and plans statements of the extended protocol.
pub(super) struct Parser {
    door: Arc<Door>,
    inside: Inside,
}

/// The handlers of one connection.
#[derive(Clone, Debug)]
pub(super) struct Handlers(pub(super) Arc<Connection>);

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.0)
    }
    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.0)
    }
    fn startup_handler(&self) -> Arc<impl pgwire::api::auth::StartupHandler> {
        Arc::clone(&self.0)
    }
    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.0)
    }
    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::clone(&self.0)
    }
}

impl ErrorHandler for Connection {
    /// What is not in our words may tell of the inside: it is told in general, and logged.
    fn on_error<C>(&self, _: &C, error: &mut PgWireError)
    where
        C: ClientInfo,
    {
        if let PgWireError::ApiError(cause) = error {
            tracing::error!(error = %cause, "a statement failed");
            *error = told(
                "XX000",
                "语句执行失败，请联系运维人员",
                "the statement failed: ask the operator",
            );
        }
    }
}

#[async_trait]
impl CancelHandler for Connection {
    async fn on_cancel_request(&self, request: CancelRequest) {
        self.door.cancel(request.pid, &request.secret_key);
    }
}

/// A transaction that failed takes its end only.
fn allowed(status: TransactionStatus, statement: &Statement) -> PgWireResult<()> {
    let ending = matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. });
    if status == TransactionStatus::Error && !ending {
        return Err(told(
            "25P02",
            "事务已失败，请先 ROLLBACK",
            "the transaction has failed: ROLLBACK first",
        ));
    }
    Ok(())
}

/// What a transaction is after a reply, and the word for its end.
fn after(status: TransactionStatus, reply: &Reply) -> (TransactionStatus, Option<Tag>) {
    match reply {
        Reply::Begun => (status.to_in_transaction_state(), Some(Tag::new("BEGIN"))),
        // One that failed is rolled back, whatever was asked.
        Reply::Ended(_) if status == TransactionStatus::Error => {
            (status.to_idle_state(), Some(Tag::new("ROLLBACK")))
        }
        Reply::Ended(word) => (status.to_idle_state(), Some(Tag::new(word))),
        Reply::Reverted => (status.to_in_transaction_state(), Some(Tag::new("ROLLBACK"))),
        Reply::Done(tag) => (status, Some(tag.clone())),
        Reply::Set { tag, .. } => (status, Some(Tag::new(tag))),
        Reply::Rows { .. } | Reply::Copy { .. } => (status, None),
    }
}

#[async_trait]
impl SimpleQueryHandler for Connection {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let session = self.inside()?;
        let statements = session.read(&self.door.parser, &query.query).await?;
        if statements.is_empty() {
            client
                .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                .await?;
        }
        for (text, statement) in statements {
            allowed(client.transaction_status(), &statement)?;
            let prepared = Prepared::plain(text, statement);
            let reply = session.run(&prepared, None, &Format::UnifiedText).await?;
            let (status, tag) = after(client.transaction_status(), &reply);
            if matches!(reply, Reply::Ended(_)) {
                client.portal_store().clear_portals();
            }
            send(client, reply, tag).await?;
            client.set_transaction_status(status);
        }
        session.touch();
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let status = client.transaction_status();
        send_ready_for_query(client, status).await
    }

    async fn do_query<C>(&self, _: &mut C, _: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // `on_query` above answers as it goes.
        Ok(vec![Response::EmptyQuery])
    }
}

/// Answers a statement of the simple protocol.
async fn send<C>(client: &mut C, reply: Reply, tag: Option<Tag>) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    match reply {
        Reply::Rows { fields, rows, tag } => {
            send_query_response(client, response(fields, rows, tag), true).await?;
        }
        Reply::Copy { format, columns, data, rows } => {
            send_copy(client, format, columns, data, &rows).await?;
        }
        Reply::Set { told, .. } => tell(client, told).await?,
        Reply::Done(_) | Reply::Begun | Reply::Ended(_) | Reply::Reverted => {}
    }
    if let Some(tag) = tag {
        client.feed(PgWireBackendMessage::CommandComplete(tag.into())).await?;
    }
    Ok(())
}

async fn tell<C>(client: &mut C, settings: Vec<(&'static str, String)>) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    for (name, value) in settings {
        let status = ParameterStatus::new(name.to_owned(), value);
        client.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
    }
    Ok(())
}

fn response(
    fields: Arc<Vec<FieldInfo>>,
    rows: BoxStream<'static, PgWireResult<pgwire::messages::data::DataRow>>,
    tag: &str,
) -> QueryResponse {
    let mut response = QueryResponse::new(fields, rows);
    response.set_command_tag(tag);
    response
}

async fn send_copy<C>(
    client: &mut C,
    format: i8,
    columns: usize,
    mut data: BoxStream<'static, PgWireResult<CopyData>>,
    rows: &AtomicU64,
) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let formats = vec![i16::from(format); columns];
    let count = i16::try_from(columns).unwrap_or(i16::MAX);
    let head = CopyOutResponse::new(format, count, formats);
    client.feed(PgWireBackendMessage::CopyOutResponse(head)).await?;
    while let Some(piece) = data.next().await {
        let piece = piece?;
        if !piece.data.is_empty() {
            client.feed(PgWireBackendMessage::CopyData(piece)).await?;
        }
    }
    client.feed(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
    let rows = usize::try_from(rows.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    let tag = Tag::new("COPY").with_rows(rows);
    client.feed(PgWireBackendMessage::CommandComplete(tag.into())).await?;
    Ok(())
}

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        _: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let session = inside(&self.inside)?;
        let mut statements = session.read(&self.door.parser, sql).await?;
        if statements.len() > 1 {
            return Err(told(
                "42601",
                "预备语句只能有一条语句",
                "a prepared statement is one statement",
            ));
        }
        let Some((text, statement)) = statements.pop() else { return Ok(None) };
        allowed(client.transaction_status(), &statement)?;
        session.prepare(text, statement).await.map(Some)
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(prepared.parameters.iter().map(|(_, wire)| wire.clone()).collect())
    }

    fn get_result_schema(
        &self,
        prepared: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let Some(schema) = &prepared.schema else { return Ok(Vec::new()) };
        let format = format.unwrap_or(&Format::UnifiedText);
        let fields = inside(&self.inside)?.fields(schema, format)?;
        Ok(Arc::unwrap_or_clone(fields))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Connection {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::new(Parser { door: Arc::clone(&self.door), inside: Arc::clone(&self.inside) })
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.statement_name.as_deref().unwrap_or(DEFAULT_NAME);
        match client.portal_store().get_statement(name) {
            Some(Entry::Value(stored)) => {
                let wanted = stored.statement.parameters.len();
                let given = message.parameters.len();
                let formats = message.parameter_format_codes.len();
                if wanted != given || (formats > 1 && formats != given) {
                    return Err(told(
                        "08P01",
                        format!("语句有 {wanted} 个参数，收到 {given} 个（格式 {formats} 个）"),
                        format!(
                            "{given} parameters ({formats} formats) for a statement of {wanted}"
                        ),
                    ));
                }
                let columns = stored.statement.schema.as_ref().map_or(0, |s| s.fields().len());
                let formats = message.result_column_format_codes.len();
                if formats > 1 && formats != columns {
                    return Err(told(
                        "08P01",
                        format!("给出了 {formats} 个列格式，结果有 {columns} 列"),
                        format!("{formats} formats for {columns} columns"),
                    ));
                }
                let portal = Portal::try_new(&message, stored)?;
                client.portal_store().put_portal(Arc::new(portal));
            }
            Some(Entry::Empty) => {
                client
                    .portal_store()
                    .put_empty_portal(message.portal_name.as_deref().unwrap_or(DEFAULT_NAME));
            }
            None => {
                let name: String = name.chars().take(80).collect();
                return Err(told(
                    "26000",
                    format!("没有预备语句 `{name}`"),
                    format!("there is no prepared statement `{name}`"),
                ));
            }
        }
        let done = pgwire::messages::extendedquery::BindComplete::new();
        client.send(PgWireBackendMessage::BindComplete(done)).await?;
        Ok(())
    }

    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // A cursor of SQL is a portal, too.
        if message.target_type == TARGET_TYPE_BYTE_PORTAL
            && let Some(name) = message.name.as_deref()
            && client.portal_store().get_portal(name).is_none()
            && let Some(cursor) = self.inside()?.cursor(name)
        {
            let schema = cursor.lock().await.schema();
            let fields = self.inside()?.fields(&schema, &Format::UnifiedText)?;
            let fields = fields.iter().map(Into::into).collect();
            let told = PgWireBackendMessage::RowDescription(RowDescription::new(fields));
            client.send(told).await?;
            return Ok(());
        }
        self._on_describe(client, message).await
    }

    async fn do_describe_portal<C>(
        &self,
        _: &mut C,
        portal: &Portal<Prepared>,
    ) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let format = Some(&portal.result_column_format);
        let fields = self.query_parser().get_result_schema(&portal.statement.statement, format)?;
        Ok(DescribePortalResponse::new(fields))
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let most = usize::try_from(message.max_rows).unwrap_or(0).min(MOST_ROWS);
        let portal = match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => portal,
            Some(Entry::Empty) => {
                client
                    .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                    .await?;
                client.set_state(PgWireConnectionState::ReadyForQuery);
                return Ok(());
            }
            None => {
                let name: String = name.chars().take(80).collect();
                return Err(told(
                    "34000",
                    format!("没有门户 `{name}`"),
                    format!("there is no portal `{name}`"),
                ));
            }
        };
        let state = portal.state();
        let mut state = state.lock().await;
        if matches!(*state, PortalExecutionState::Initial) {
            let session = self.inside()?;
            let prepared = &portal.statement.statement;
            allowed(client.transaction_status(), &prepared.statement)?;
            let values = values(&portal)?;
            let reply = session.run(prepared, values, &portal.result_column_format).await?;
            let (status, tag) = after(client.transaction_status(), &reply);
            match reply {
                Reply::Rows { fields, rows, tag } => {
                    *state = PortalExecutionState::Suspended(response(fields, rows, tag));
                }
                Reply::Ended(_) => {
                    *state = PortalExecutionState::Finished;
                    client.portal_store().clear_portals();
                }
                other => {
                    *state = PortalExecutionState::Finished;
                    send(client, other, None).await?;
                }
            }
            client.set_transaction_status(status);
            if let Some(tag) = tag {
                client.feed(PgWireBackendMessage::CommandComplete(tag.into())).await?;
            }
        } else if matches!(*state, PortalExecutionState::Finished) {
            let tag = Tag::new("SELECT").with_rows(0);
            client.feed(PgWireBackendMessage::CommandComplete(tag.into())).await?;
        }
        if let PortalExecutionState::Suspended(rows) = &mut *state
            && !send_partial_query_response(client, rows, most).await?
        {
            *state = PortalExecutionState::Finished;
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        Ok(())
    }

    async fn on_sync<C>(&self, client: &mut C, _: PgSync) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        // Portals live as long as their transaction; outside of one, until now.
        match status {
            TransactionStatus::Idle => client.portal_store().clear_portals(),
            _ => client.portal_store().rm_portal(DEFAULT_NAME),
        }
        if let Some(session) = self.session() {
            session.touch();
        }
        let ready = ReadyForQuery::new(status);
        client.send(PgWireBackendMessage::ReadyForQuery(ready)).await?;
        Ok(())
    }

    async fn do_query<C>(
        &self,
        _: &mut C,
        portal: &Portal<Prepared>,
        _: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // `on_execute` above answers as it goes; this is the same for whoever calls it by the trait.
        let values = values(portal)?;
        let session = self.inside()?;
        let reply =
            session.run(&portal.statement.statement, values, &portal.result_column_format).await?;
        Ok(match reply {
            Reply::Rows { fields, rows, tag } => Response::Query(response(fields, rows, tag)),
            Reply::Copy { format, columns, data, .. } => {
                Response::CopyOut(CopyResponse::new(format, columns, data))
            }
            Reply::Done(tag) => Response::Execution(tag),
            Reply::Reverted => Response::Execution(Tag::new("ROLLBACK")),
            Reply::Begun => Response::TransactionStart(Tag::new("BEGIN")),
            Reply::Ended(word) => Response::TransactionEnd(Tag::new(word)),
            Reply::Set { tag, .. } => Response::Execution(Tag::new(tag)),
        })
    }
}

/// The parameters of a portal, read by the types that the statement was described with.
fn values(portal: &Portal<Prepared>) -> PgWireResult<Option<ParamValues>> {
    let parameters = &portal.statement.statement.parameters;
    if parameters.is_empty() {
        return Ok(None);
    }
    let wanted: Vec<_> = parameters.iter().map(|(arrow, _)| arrow.as_ref()).collect();
    let wire: Vec<_> = parameters.iter().map(|(_, wire)| Some(wire)).collect();
    deserialize_parameters_with_server_types(portal, &wanted, &wire).map(Some).map_err(
        |e| match e {
            PgWireError::UserError(_) => e,
            other => {
                let what = other.to_string();
                told("22P02", format!("参数有误：{what}"), format!("a parameter is wrong: {what}"))
            }
        },
    )
}
