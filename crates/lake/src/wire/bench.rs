//! Workspaces of projects: statements by the same way as at the door, without its protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::sql::sqlparser::ast::{CopyOption, Ident, Statement};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::batch::Batch;
use model::project::ExportFormat;
use model::value::Rows;
use model::{Code, Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use pgwire::api::portal::Format;
use pgwire::error::{PgWireError, PgWireResult};
use policy::port::{SqlBench, SqlColumn, SqlSaved, SqlSeen, SqlSitting, SqlTerms};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};

use super::flow::Flow;
use super::memory::Allowance;
use super::session::Session;
use super::words::{code_of, of_house, told};
use super::{asked, copy, values};
use crate::fault;
use crate::lake::DeltaLake;
use crate::transform::lineage;

/// Batches waiting for the file.
const WAITING: usize = 2;
/// What Excel knows UTF-8 by.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// [`SqlBench`] over the lake.
pub struct Bench {
    lake: Arc<DeltaLake>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

impl Bench {
    #[must_use]
    pub fn new(lake: Arc<DeltaLake>) -> Self {
        Self { lake }
    }
}

impl SqlBench for Bench {
    fn open(&self, terms: SqlTerms) -> Result<Arc<dyn SqlSitting>> {
        let name = terms.caller.actor.name().to_owned();
        let place = Arc::new(Semaphore::new(1));
        let memory = Allowance::alone(terms.memory);
        let mut session = Session::new(&self.lake, terms.room, terms.caller, &name, place, memory)?;
        session.cut = terms.most;
        Ok(Arc::new(Sitting { session, parser: PostgresCompatibilityParser::new() }))
    }
}

struct Sitting {
    session: Session,
    parser: PostgresCompatibilityParser,
}

impl Sitting {
    /// The one query of a text, with what is granted now.
    async fn query(&self, text: &str) -> PgWireResult<(Arc<str>, Arc<Statement>)> {
        self.session.look().await?;
        let mut statements = self.session.read(&self.parser, text).await?.into_iter();
        match (statements.next(), statements.next()) {
            (Some((text, statement)), None)
                if matches!(statement.as_ref(), Statement::Query(_)) =>
            {
                Ok((text, statement))
            }
            _ => {
                let refusal = told(
                    "42501",
                    "请写一条查询语句（SELECT、WITH 或 VALUES）",
                    "write one query (SELECT, WITH or VALUES)",
                );
                self.session.note(text, &refusal).await;
                Err(refusal)
            }
        }
    }

    async fn flow(&self, text: &str) -> PgWireResult<Flow> {
        let (text, query) = self.query(text).await?;
        match self.session.flow(&text, &query, None).await {
            Ok(flow) => Ok(flow),
            Err((e, known)) => {
                if !known {
                    self.session.note(&text, &e).await;
                }
                Err(e)
            }
        }
    }

    async fn seen(&self, query: &Statement) -> PgWireResult<SqlSeen> {
        let plan = self.session.plan(query).await?;
        let lines = lineage::of(&plan).map_err(|e| of_house(&e))?;
        // The final types are those of the optimised plan.
        let (optimised, _) = self.session.planned(query, None).await?;
        let shapes = values::shapes(optimised.schema().as_arrow());
        let columns = shapes.iter().zip(lines).map(|(shape, line)| SqlColumn {
            item: values::item(shape),
            from: line.from,
            through: line.through,
            by: line.by,
        });
        Ok(SqlSeen {
            columns: columns.collect(),
            tables: asked::tables(&optimised)?,
            plan: optimised.display_indent().to_string().lines().map(str::to_owned).collect(),
        })
    }
}

#[async_trait]
impl SqlSitting for Sitting {
    async fn look(&self, text: &str) -> Result<SqlSeen> {
        let (text, query) = self.query(text).await.map_err(of_wire)?;
        match self.seen(&query).await {
            Ok(seen) => Ok(seen),
            Err(e) => {
                self.session.note(&text, &e).await;
                Err(of_wire(e))
            }
        }
    }

    async fn rows(&self, text: &str) -> Result<BoxStream<'static, Result<Rows>>> {
        let flow = self.flow(text).await.map_err(of_wire)?;
        let shapes = values::shapes(&flow.schema());
        let pieces = stream::try_unfold((flow, shapes), |(mut flow, shapes)| async move {
            let Some(batch) = flow.next().await.map_err(of_wire)? else { return Ok(None) };
            let rows = values::rows(&batch, &shapes)?;
            Ok(Some((rows, (flow, shapes))))
        });
        Ok(pieces.boxed())
    }

    async fn batches(&self, text: &str) -> Result<BoxStream<'static, Result<Batch>>> {
        let flow = self.flow(text).await.map_err(of_wire)?;
        let shapes = values::shapes(&flow.schema());
        let pieces =
            stream::try_unfold((flow, shapes, 0), |(mut flow, shapes, before)| async move {
                let Some(batch) = flow.next().await.map_err(of_wire)? else { return Ok(None) };
                let columns = values::columns(&batch, &shapes, before)?;
                let after = before + batch.num_rows() as u64;
                Ok(Some((columns, (flow, shapes, after))))
            });
        Ok(pieces.boxed())
    }

    async fn save(&self, text: &str, format: ExportFormat, path: &Path) -> Result<SqlSaved> {
        let flow = self.flow(text).await.map_err(of_wire)?;
        match format {
            ExportFormat::Csv => self.csv(flow, path).await,
            ExportFormat::Parquet => parquet(flow, path).await,
        }
    }

    fn cancel(&self) {
        self.session.cancel.ask();
    }
}

impl Sitting {
    /// Written as `COPY … TO STDOUT (FORMAT csv, HEADER)` writes it.
    async fn csv(&self, flow: Flow, path: &Path) -> Result<SqlSaved> {
        let options = [CopyOption::Format(Ident::new("csv")), CopyOption::Header(true)];
        let written = copy::Format::of(&options, &[]).map_err(of_wire)?;
        let fields = self.session.fields(&flow.schema(), &Format::UnifiedText).map_err(of_wire)?;
        let rows = Arc::new(AtomicU64::new(0));
        let mut pieces = copy::stream(flow, fields, written, Arc::clone(&rows));
        let mut file = tokio::fs::File::create(path).await.map_err(no_room)?;
        file.write_all(MARK).await.map_err(no_room)?;
        let mut bytes = MARK.len() as u64;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(of_wire)?.data;
            file.write_all(&piece).await.map_err(no_room)?;
            bytes += piece.len() as u64;
        }
        file.flush().await.map_err(no_room)?;
        Ok(SqlSaved { rows: rows.load(Ordering::Relaxed), bytes })
    }
}

async fn parquet(mut flow: Flow, path: &Path) -> Result<SqlSaved> {
    let (send, receive) = mpsc::channel::<RecordBatch>(WAITING);
    let (schema, to) = (flow.schema(), path.to_owned());
    let writing = tokio::task::spawn_blocking(move || write(&to, &schema, receive));
    let mut failed = None;
    loop {
        match flow.next().await {
            // A closed channel means that writing has failed: its reason is told below.
            Ok(Some(batch)) => {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(e) => {
                failed = Some(of_wire(e));
                break;
            }
        }
    }
    drop(send);
    let written =
        writing.await.map_err(|e| Error::internal("wire: a file's writer stopped").caused_by(e))?;
    match failed {
        Some(error) => Err(error),
        None => written,
    }
}

fn write(
    path: &Path,
    schema: &SchemaRef,
    mut batches: mpsc::Receiver<RecordBatch>,
) -> Result<SqlSaved> {
    let file = std::fs::File::create(path).map_err(no_room)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(fault::parquet)?;
    let mut rows = 0;
    while let Some(batch) = batches.blocking_recv() {
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(fault::parquet)?;
    }
    writer.close().map_err(fault::parquet)?;
    let bytes = std::fs::metadata(path).map_err(no_room)?.len();
    Ok(SqlSaved { rows, bytes })
}

fn no_room(e: std::io::Error) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "结果文件无法写入，请检查磁盘空间与权限",
        "the file of the result cannot be written: check disk space and permissions",
    )
    .caused_by(e)
}

/// An error of the wire as one of the house: its text holds both voices.
fn of_wire(error: PgWireError) -> Error {
    let PgWireError::UserError(info) = error else {
        return Error::internal("a statement failed").caused_by(error.to_string());
    };
    let (zh, en) = info.message.split_once(" / ").unwrap_or((&info.message, &info.message));
    // What the house said comes back as what it was; the rest by its SQLSTATE.
    let by_state = || match info.code.as_str() {
        "42501" => Code::Denied,
        "42P01" => Code::NoGrant,
        "53200" => Code::TooLarge,
        "53300" => Code::RateLimited,
        "53400" => Code::QuotaUsedUp,
        "57014" => Code::QueryTooSlow,
        "58030" => Code::StoreUnavailable,
        "XX000" => Code::Internal,
        _ => Code::InvalidQuery,
    };
    let code = code_of(&info).unwrap_or_else(by_state);
    Error::new(code, zh, en).with_reasons(vec![format!("sqlstate.{}", info.code)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the house says comes through the engine as what it was, words and all: whoever runs a job must know what passes.
    #[test]
    fn what_the_house_says_comes_back_as_it_was() {
        for code in Code::ALL {
            if matches!(code, Code::WrongCredentials | Code::LockedOut) {
                // These look alike to everybody.
                continue;
            }
            let back = of_wire(of_house(&Error::new(*code, "中文", "english")));
            assert_eq!((back.code(), back.zh(), back.en()), (*code, "中文", "english"));
        }
    }

    #[test]
    fn a_rate_is_told_apart_from_a_quota() {
        let state = |code| match of_house(&Error::of(code)) {
            PgWireError::UserError(info) => info.code,
            other => other.to_string(),
        };
        assert_eq!(state(Code::RateLimited), "53300");
        assert_eq!(state(Code::QuotaUsedUp), "53400");
        assert_eq!(state(Code::AuditUnavailable), "58030");
        // What the engine says by itself.
        for (sqlstate, code) in [
            ("53300", Code::RateLimited),
            ("57014", Code::QueryTooSlow),
            ("42P01", Code::NoGrant),
            ("22012", Code::InvalidQuery),
        ] {
            assert_eq!(of_wire(told(sqlstate, "中文", "english")).code(), code);
        }
    }
}
