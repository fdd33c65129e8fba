//! Rows of a pipeline's source, through its transformation where there is one, in bounded memory.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::batch::{Batch, Column};
use model::code::SyncMode;
use model::entry::Entry;
use model::item::Item;
use model::parcel::Reject;
use model::pipeline::file::{PagingPart, Place, Reading as Part};
use model::pipeline::window::{FROM, MarkKind, TO, Window};
use model::pipeline::{Pipeline, PipelineFile};
use model::query::RowQuery;
use model::source::SourceKind;
use model::value::{Rows, Value};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{Chunk, Feed, HttpFeed, KafkaFeed, Paging, ReadOptions, Source, TransformAsk};
use policy::{Action, GrantAsk, Target, Via};

use super::{check, secret};
use crate::{App, audit, collection};

/// A pull that has begun.
pub(super) struct Pull {
    /// Rows for the entry's items.
    pub(super) chunks: BoxStream<'static, Result<Chunk>>,
    /// Columns of the source with the item each was matched to.
    pub(super) columns: Vec<(String, Option<String>)>,
    /// Names of the columns as they were read.
    pub(super) names: Vec<String>,
    pub(super) tally: Arc<Mutex<Tally>>,
    /// Where the source itself says that it stands afterwards.
    pub(super) position: Option<String>,
}

/// What is known of the source's rows while they pass.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: u64,
    /// Records that did not fit the declared columns.
    pub(super) refused: Vec<Reject>,
    /// Highest value of a watermark that is a number.
    pub(super) high: Option<i64>,
    /// Why the source broke off: who reads through an engine is told only that it did.
    pub(super) fault: Option<Error>,
}

/// The place a turn reads, with its secrets; windows are filled in.
pub(super) async fn source(
    app: &App,
    pipeline: &Pipeline,
    file: &PipelineFile,
    window: Option<&Window>,
    position: Option<&str>,
) -> Result<Source> {
    let name = pipeline.name.clone();
    Ok(match &file.source.place {
        Place::Database { read, .. } => {
            let missing = || Error::not_found("数据源", "data source", &pipeline.source);
            let (kept, _) = app.store.source_get(&pipeline.source).await?.ok_or_else(missing)?;
            let url = collection::source::url_of(app, &kept.id).await?;
            let sql = statement(read, file, window, kept.kind == SourceKind::Mysql);
            Source::Query { url: url.to_string(), sql, name }
        }
        Place::Sqlite { path, read } => {
            let path = check::allowed(app, &pipeline.org, std::path::Path::new(path))?;
            let sql = statement(read, file, window, false);
            Source::Feed { feed: Feed::Sqlite { path, sql }, name }
        }
        Place::Http { .. } => {
            let feed = Feed::Http(http(app, &pipeline.org, file, window).await?);
            Source::Feed { feed, name }
        }
        Place::Kafka { brokers, topic } => {
            let from = position.unwrap_or_default().to_owned();
            let (brokers, topic) = (brokers.clone(), topic.clone());
            Source::Feed { feed: Feed::Kafka(KafkaFeed { brokers, topic, from }), name }
        }
        Place::Folder { .. } => return Err(Error::internal("a folder is read file by file")),
    })
}

/// The SELECT of a turn.
fn statement(read: &Part, file: &PipelineFile, window: Option<&Window>, mysql: bool) -> String {
    let quote = if mysql { '`' } else { '"' };
    let quoted = |name: &str| format!("{quote}{name}{quote}");
    match read {
        Part::Sql(sql) => window.map_or_else(|| sql.clone(), |w| w.bind(sql)),
        Part::Table(table) => {
            let table: Vec<String> = table.split('.').map(quoted).collect();
            let mut sql = format!("SELECT * FROM {}", table.join("."));
            if let (Some(mark), Some(window)) = (&file.watermark, window) {
                let column = quoted(&mark.column);
                sql.push_str(&format!(" WHERE {column} >= {}", window.from.literal()));
                if let Some(to) = window.to {
                    sql.push_str(&format!(" AND {column} < {}", to.literal()));
                }
                // Of two rows with the same key the later one counts.
                sql.push_str(&format!(" ORDER BY {column}"));
            }
            sql
        }
    }
}

async fn http(
    app: &App,
    org: &str,
    file: &PipelineFile,
    window: Option<&Window>,
) -> Result<HttpFeed> {
    let Place::Http { url, query, headers, rows_at, paging } = &file.source.place else {
        return Err(Error::internal("no interface"));
    };
    let pattern = file.watermark.as_ref().map_or("", |w| w.format.as_str());
    let mut feed = HttpFeed { url: url.clone(), rows_at: rows_at.clone(), ..HttpFeed::default() };
    for (name, value) in query {
        let mut value = value.clone();
        if let Some(window) = window {
            let to = window.to.map_or(Ok(String::new()), |to| to.spelled(pattern))?;
            value = value.replace(FROM, &window.from.spelled(pattern)?).replace(TO, &to);
        }
        let value = secret::filled(app, org, &value).await?;
        feed.query.push((name.clone(), value.to_string()));
    }
    for (name, value) in headers {
        let value = secret::filled(app, org, value).await?;
        feed.headers.push((name.clone(), value.to_string()));
    }
    feed.paging = match paging.clone() {
        PagingPart::Single => Paging::Single,
        PagingPart::Page { parameter, size_parameter, size, first } => {
            Paging::Page { parameter, size_parameter, size, first }
        }
        PagingPart::Offset { parameter, size_parameter, size } => {
            Paging::Offset { parameter, size_parameter, size }
        }
        PagingPart::Token { at, parameter } => Paging::Token { at, parameter },
        PagingPart::Link => Paging::Link,
    };
    Ok(feed)
}

/// Begins to read. The columns are known when it returns.
pub(super) async fn open(
    app: &Arc<App>,
    op: &Op,
    file: &PipelineFile,
    entry: &Entry,
    source: &Source,
    batch_rows: usize,
) -> Result<Pull> {
    let ask = check::ask(app, file, entry).await?;
    let declared = !file.source.columns.is_empty();
    let items = if declared { &file.source.columns } else { &entry.draft.items };
    let operation_column = match ask {
        // The transformation tells the operation itself.
        Some(_) => None,
        None => file.operation_column.clone(),
    };
    let options = ReadOptions { batch_rows, operation_column, ..ReadOptions::default() };
    let reading = app.intake.read(source, items, &options).await?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let at = mark_at(file, items);
    let most = app.rules.pipeline.refused_most;
    let names = items.iter().map(|i| i.identifier.clone()).collect();
    let seen = Arc::clone(&tally);
    let (columns, position) = (reading.columns, reading.position);
    let Some(ask) = ask else {
        let chunks = reading.chunks.map_ok(move |chunk| {
            let mut tally = seen.lock();
            tally.read += chunk.read;
            look(&mut tally, &chunk, at);
            chunk
        });
        return Ok(Pull { chunks: chunks.boxed(), columns, names, tally, position });
    };
    let batches = reading.chunks.map(move |chunk| {
        let mut tally = seen.lock();
        let passed = chunk.and_then(|chunk| {
            tally.read += chunk.read;
            look(&mut tally, &chunk, at);
            let Chunk { batch, rejects, .. } = chunk;
            if tally.refused.len() + rejects.len() > most {
                return Err(too_many(most, rejects.first()));
            }
            tally.refused.extend(rejects);
            Ok(batch)
        });
        passed.map_err(|e| {
            tally.fault = Some(e);
            Error::internal("the source of a transformation broke off")
        })
    });
    let mut inputs: Vec<BoxStream<'static, Result<Batch>>> = vec![batches.boxed()];
    for code in &file.lookups {
        inputs.push(lookup(app, op, code).await?);
    }
    let chunks = run(app, &ask, inputs, &tally).await?;
    Ok(Pull { chunks, columns, names, tally, position })
}

async fn run(
    app: &App,
    ask: &TransformAsk,
    inputs: Vec<BoxStream<'static, Result<Batch>>>,
    tally: &Arc<Mutex<Tally>>,
) -> Result<BoxStream<'static, Result<Chunk>>> {
    let started = app.transform.run(ask, inputs).await;
    let chunks = started.map_err(|e| tally.lock().fault.take().unwrap_or(e))?;
    let seen = Arc::clone(tally);
    Ok(chunks.map_err(move |e| seen.lock().fault.take().unwrap_or(e)).boxed())
}

/// Where the watermark stands among the columns, when it is a number.
fn mark_at(file: &PipelineFile, items: &[Item]) -> Option<usize> {
    let mark = file.watermark.as_ref().filter(|m| m.kind == MarkKind::Integer)?;
    items.iter().position(|i| i.identifier.eq_ignore_ascii_case(&mark.column))
}

/// Keeps the highest value of the watermark, those of rows that do not fit among them.
fn look(tally: &mut Tally, chunk: &Chunk, at: Option<usize>) {
    let Some(at) = at else { return };
    let rows = chunk.batch.columns.get(at).into_iter().flat_map(|column| {
        (0..chunk.batch.rows()).filter_map(move |n| match column {
            Column::Integer(values) => values.get(n).copied().flatten(),
            other => other.value(n).to_text().and_then(|text| text.parse().ok()),
        })
    });
    let rejects =
        chunk.rejects.iter().filter_map(|r| r.cells.get(at)?.as_ref()?.trim().parse().ok());
    tally.high = rows.chain(rejects).chain(tally.high).max();
}

fn too_many(most: usize, first: Option<&Reject>) -> Error {
    let (zh, en) = first.map_or(("", ""), |r| (r.zh.as_str(), r.en.as_str()));
    Error::new(
        Code::RuleBroken,
        format!("超过 {most} 行不符合 [source.columns] 声明的类型，未入湖；例如：{zh}"),
        format!(
            "more than {most} records do not fit the types declared in [source.columns]; nothing was landed. One of them: {en}"
        ),
    )
}

/// Rows of an entry that is looked things up in: one's own as it lies in the lake (movement inside the house), another's
/// through the grant that everybody has on open data.
async fn lookup(app: &App, op: &Op, code: &str) -> Result<BoxStream<'static, Result<Batch>>> {
    let missing = || Error::not_found("目录", "entry", code);
    let entry = app.store.entry_get(code).await?.ok_or_else(missing)?;
    let Some(newest) = app.lake.newest(code).await? else {
        return Ok(futures::stream::empty().boxed());
    };
    if entry.freely_open() {
        let ask = GrantAsk {
            action: Action::RowsDownload,
            entry: &entry,
            via: Via::Open,
            row_cap: u64::MAX,
        };
        let nobody = Op { actor: model::Actor::Nobody, ..op.clone() };
        let grant = app.policy.grant(&nobody, &ask)?;
        let event = model::audit::AuditEvent {
            scope: "pipeline lookup".into(),
            ..audit::event(op, grant.action().as_str(), code)
        };
        audit::record(app, event).await?;
        let rows = app.lake.scan(&grant, &RowQuery::default(), None).await?;
        let columns: Vec<String> = grant.columns().iter().map(|c| c.identifier.clone()).collect();
        let items = entry.draft.items;
        return Ok(rows.map_ok(move |rows| batch(&items, &columns, &rows)).boxed());
    }
    if newest.mode != SyncMode::Full.as_str() {
        return Err(Error::new(
            Code::RuleBroken,
            format!("未开放的对照目录 `{code}` 应以全量方式归集，才能整体引用"),
            format!(
                "`{code}` is not open: to be looked up it must be collected as a whole (mode full)"
            ),
        ));
    }
    let target = Target::entry(&entry);
    let permit = audit::permit(app, &Op::system(app.now()), Action::DataCollect, &target).await?;
    app.lake.replay(&permit, &entry, &newest.parcel).await
}

/// Released rows as a batch in the order of the entry's items.
fn batch(items: &[Item], columns: &[String], rows: &Rows) -> Batch {
    let at: Vec<Option<usize>> =
        items.iter().map(|i| columns.iter().position(|c| *c == i.identifier)).collect();
    let columns = items
        .iter()
        .zip(&at)
        .map(|(item, at)| {
            let mut column = Column::empty(item.data_type, item.scale, rows.rows.len());
            for row in &rows.rows {
                let value = at.and_then(|at| row.get(at)).unwrap_or(&Value::Null);
                push(&mut column, value);
            }
            column
        })
        .collect();
    Batch { columns, records: (1..=rows.rows.len() as u64).collect(), operations: Vec::new() }
}

fn push(column: &mut Column, value: &Value) {
    let epoch = |t: &chrono::NaiveDateTime| t.and_utc().timestamp_micros();
    match column {
        Column::Text(texts) => texts.push(value.to_text().as_deref()),
        Column::Integer(v) => v.push(if let Value::Integer(n) = value { Some(*n) } else { None }),
        Column::Decimal { scale, values } => values.push(match value {
            Value::Decimal(d) => {
                let mut d = *d;
                d.rescale(u32::from(*scale));
                Some(d.mantissa())
            }
            _ => None,
        }),
        Column::Float(v) => v.push(if let Value::Float(n) = value { Some(*n) } else { None }),
        Column::Boolean(v) => v.push(if let Value::Boolean(b) = value { Some(*b) } else { None }),
        Column::Date(v) => v.push(match value {
            Value::Date(day) => Some(model::batch::days_of_date(*day)),
            _ => None,
        }),
        Column::DateTime(v) => {
            v.push(if let Value::DateTime(at) = value { Some(epoch(at)) } else { None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pipeline::window::Mark;

    #[test]
    fn a_table_is_read_by_its_window() {
        let file = |source: &str| {
            PipelineFile::parse(&format!(
                "name = \"a\"\nentry = \"e\"\nmode = \"incremental\"\n[source]\nkind = \"database\"\nsource = \"s\"\n{source}\n[watermark]\ncolumn = \"更新 时间\"\ntype = \"date\"\nstart = \"2026-01-01\"\n"
            ))
            .unwrap()
        };
        let day = |text: &str| Mark::parse(MarkKind::Date, text).unwrap();
        let window = Window { from: day("2026-01-01"), to: Some(day("2026-01-03")) };
        let file = file("table = \"公共.readings\"");
        let Place::Database { read, .. } = &file.source.place else { panic!() };
        assert_eq!(
            statement(read, &file, Some(&window), false),
            "SELECT * FROM \"公共\".\"readings\" WHERE \"更新 时间\" >= '2026-01-01' AND \"更新 时间\" < '2026-01-03' ORDER BY \"更新 时间\""
        );
        assert!(
            statement(read, &file, Some(&window), true)
                .starts_with("SELECT * FROM `公共`.`readings` WHERE `更新 时间`")
        );
    }
}
