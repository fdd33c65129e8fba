//! Sources that cannot be asked for ranges: read again as a whole, through the same reader and transformation as their
//! channel, into the same prints. A pass holds sums of ranges, or the rows of a few of them, never the source.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
use guard::print;
use model::batch::{Batch, Column, Operation};
use model::code::SyncMode;
use model::entry::Entry;
use model::exchange::ExchangeFile;
use model::parcel::Reject;
use model::reconcile::{FeedKind, Key, Reconciliation};
use model::report::Landing;
use model::{Code, Error, Result};
use parking_lot::Mutex;
use policy::Permit;
use policy::port::{CellRow, Chunk, ProbeRows, ReadOptions, Source};
use store::report::TaskFilter;

use super::feed::Own;
use crate::exchange::{Archive, Archived};
use crate::pipeline::{Again, Reread};
use crate::{App, collection, report};

/// Tasks looked up together.
const PAGE: u32 = 500;

/// A record of a source that is passed through.
pub(super) enum Record<'a> {
    Row(&'a Batch, usize, Key),
    /// The row with this key is gone at the source.
    Gone(Key),
    /// A row with this key does not fit the items.
    Misfit(Key),
}

/// A source that is passed through as a whole.
pub(super) struct Passed {
    app: Arc<App>,
    entry: Entry,
    permit: Permit,
    origin: Origin,
    key: Vec<usize>,
    /// What was found beside rows: receipts that do not hold.
    notes: Mutex<Vec<(String, String)>>,
    /// Whether rows came that never reached the transformation: then what is not there may only be hidden.
    hidden: Mutex<bool>,
}

enum Origin {
    Pipeline(Box<Again>),
    Query(Box<collection::StandingQuery>),
    /// With whether its receipts were looked at.
    Exchange(Box<Archive>, AtomicBool),
    Report,
}

type Chunks = BoxStream<'static, Result<Chunk>>;

impl Passed {
    pub(super) async fn of(
        app: &Arc<App>,
        permit: Permit,
        entry: &Entry,
        run: &Reconciliation,
        again: Option<Again>,
    ) -> Result<Self> {
        if entry.draft.key().is_empty() {
            return Err(Error::new(
                Code::RuleBroken,
                "该目录没有业务主键，无法按键段与数据源核对；请为目录设置业务主键",
                "the entry has no business key, so it cannot be compared by ranges of keys; give it one",
            ));
        }
        let origin = match (run.kind, again) {
            (FeedKind::Pipeline, Some(again)) => Origin::Pipeline(Box::new(again)),
            (FeedKind::Query, _) => {
                let missing = || Error::not_found("查询归集", "collection by query", &run.feed);
                let query = collection::standing_query(app, &entry.id).await?;
                Origin::Query(Box::new(query.ok_or_else(missing)?))
            }
            (FeedKind::Exchange, _) => Origin::Exchange(
                Box::new(Archive::of(app, &run.feed).await?),
                AtomicBool::new(false),
            ),
            (FeedKind::Report, _) => Origin::Report,
            (FeedKind::Rail | FeedKind::Pipeline, _) => {
                return Err(Error::internal("a rail is not passed through"));
            }
        };
        Ok(Self {
            app: Arc::clone(app),
            entry: entry.clone(),
            permit,
            origin,
            key: key_at(entry),
            notes: Mutex::default(),
            hidden: Mutex::default(),
        })
    }

    /// Which rows of the lake the channel brought.
    pub(super) async fn own(&self, feed: &str) -> Result<Own> {
        Ok(match &self.origin {
            Origin::Pipeline(again) => {
                Own::named(feed, HashSet::from([again.pipeline.name.clone()]))
            }
            Origin::Query(query) => Own::named(feed, HashSet::from([query.run.source.clone()])),
            Origin::Exchange(archive, _) => Own::named(feed, archive.landed().await?.1),
            Origin::Report => Own::parcels(feed, "report-"),
        })
    }

    /// What has to be said beside the figures, in both languages.
    pub(super) fn notes(&self) -> Vec<(String, String)> {
        let mut notes = self.notes.lock().clone();
        let stands = match &self.origin {
            Origin::Pipeline(again) if again.upto().is_empty() => again.whole(),
            Origin::Query(query) => query.whole,
            _ => return notes,
        };
        let (zh, en) = match stands {
            true => ("全量替换", "all rows anew"),
            false => ("增量", "incremental"),
        };
        notes.push((
            format!("该来源没有水位线（{zh}）：上次归集之后源中的变更也计为差异"),
            format!(
                "this source has no watermark ({en}): what changed there since it was last collected counts as a difference"
            ),
        ));
        notes
    }

    /// Whether rows may be hidden from the comparison: then what the lake has beyond the source is not judged.
    pub(super) fn hidden(&self) -> bool {
        *self.hidden.lock()
    }

    /// Shows every record of the source that is settled, in the order they landed.
    pub(super) async fn each(
        &self,
        mut seen: impl FnMut(Record<'_>) -> Result<()> + Send,
    ) -> Result<()> {
        match &self.origin {
            Origin::Pipeline(again) => {
                let read = again.settled(&self.app).await?;
                self.pulled(read, &mut seen).await
            }
            Origin::Query(query) => {
                let (source, options) = query.source(&self.app).await?;
                self.source(&source, &options, &mut seen).await
            }
            Origin::Exchange(archive, checked) => self.files(archive, checked, &mut seen).await,
            Origin::Report => self.reports(false, &mut seen).await,
        }
    }

    /// Keys among these whose rows are newer than what is settled.
    pub(super) async fn newer(&self, keys: &[Key]) -> Result<HashSet<Key>> {
        let wanted: HashSet<&Key> = keys.iter().collect();
        let mut found = HashSet::new();
        let mut seen = |record: Record<'_>| {
            let (Record::Row(_, _, key) | Record::Gone(key) | Record::Misfit(key)) = record;
            if wanted.contains(&key) {
                found.insert(key);
            }
            Ok(())
        };
        match &self.origin {
            Origin::Pipeline(again) => {
                if let Some(read) = again.newer(&self.app).await? {
                    self.pulled(read, &mut seen).await?;
                }
            }
            Origin::Report => self.reports(true, &mut seen).await?,
            Origin::Query(_) | Origin::Exchange(..) => {}
        }
        Ok(found)
    }

    /// The rows with these keys as they are now; the last of each counts.
    pub(super) async fn rows_of(&self, keys: &[Key], record: u64) -> Result<ProbeRows> {
        let wanted: HashSet<&Key> = keys.iter().collect();
        let mut misfits: HashSet<Key> = HashSet::new();
        let mut rows = blank(&self.entry);
        let mut at: HashMap<Key, usize> = HashMap::new();
        self.each(|seen| {
            match seen {
                Record::Row(batch, row, key) if wanted.contains(&key) => {
                    rows.append(batch.pick(&[row]));
                    misfits.remove(&key);
                    at.insert(key, rows.rows() - 1);
                }
                Record::Gone(key) if wanted.contains(&key) => {
                    at.remove(&key);
                }
                Record::Misfit(key) if wanted.contains(&key) => {
                    misfits.insert(key);
                }
                _ => {}
            }
            Ok(())
        })
        .await?;
        let (keys, places): (Vec<Key>, Vec<usize>) = at.into_iter().unzip();
        let mut batch = rows.pick(&places);
        // A row that is there is put; what the source called it does not matter.
        batch.operations.clear();
        batch.records.iter_mut().for_each(|n| *n = record);
        Ok(ProbeRows { batch, keys, misfits: misfits.into_iter().collect() })
    }

    async fn pulled(
        &self,
        mut read: Reread,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        while let Some(chunk) = read.chunks.next().await {
            self.chunk(&chunk?, seen)?;
        }
        if read.refused() > 0 {
            *self.hidden.lock() = true;
        }
        Ok(())
    }

    async fn source(
        &self,
        source: &Source,
        options: &ReadOptions,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let reading = self.app.intake.read(source, &self.entry.draft.items, options).await?;
        self.chunks(reading.chunks, seen).await
    }

    async fn chunks(
        &self,
        mut chunks: Chunks,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        while let Some(chunk) = chunks.next().await {
            self.chunk(&chunk?, seen)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn chunk(
        &self,
        chunk: &Chunk,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        for row in 0..chunk.batch.rows() {
            let key = print::key(&chunk.batch, row, &self.key);
            seen(match chunk.batch.operation(row) {
                Operation::Delete => Record::Gone(key),
                _ => Record::Row(&chunk.batch, row, key),
            })?;
        }
        chunk.rejects.iter().try_for_each(|r| seen(Record::Misfit(misfit(r, &self.key))))
    }

    /// Landed files in their order: from the archive, or, where one is gone, as its parcel holds it.
    async fn files(
        &self,
        archive: &Archive,
        checked: &AtomicBool,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let (mut files, _) = archive.landed().await?;
        if archive.exchange.mode == SyncMode::Full {
            files = files.split_off(files.len().saturating_sub(1));
        }
        let first = !checked.load(Ordering::Relaxed);
        for file in &files {
            let parcel = self.parcel(file, first).await?;
            match archive.open(file).await? {
                Archived::Same(fetched) => {
                    let (path, name) = (fetched.path().to_owned(), file.path.clone());
                    let source = Source::File { path, name };
                    self.source(&source, &ReadOptions::default(), seen).await?;
                }
                other => {
                    if first && matches!(other, Archived::Altered) {
                        self.note(
                            format!("归档文件 {} 与回执的校验和不符，以湖中数据包为准", file.path),
                            format!(
                                "the archived file {} is not the one its receipt tells of; its parcel in the lake is taken instead",
                                file.path
                            ),
                        );
                    }
                    let Some(parcel) = parcel else {
                        if !first {
                            continue;
                        }
                        self.note(
                            format!("文件 {} 既不在归档中，湖中也没有它的数据包，请发送方重新交付", file.path),
                            format!(
                                "the file {} is neither in the archive nor in the lake; have it delivered again",
                                file.path
                            ),
                        );
                        continue;
                    };
                    let rows = self.app.lake.replay(&self.permit, &self.entry, &parcel).await?;
                    let chunks = rows.map(|batch| {
                        let chunk = |batch: Batch| {
                            let read = batch.rows() as u64;
                            Chunk { batch, rejects: Vec::new(), read, bytes_done: 0 }
                        };
                        batch.map(chunk)
                    });
                    self.chunks(chunks.boxed(), seen).await?;
                }
            }
        }
        // Receipts are looked at once.
        checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The parcel of a landed file, if the lake has it; its rows against the receipt's.
    async fn parcel(&self, file: &ExchangeFile, told: bool) -> Result<Option<String>> {
        let Some(run) = &file.run else { return Ok(None) };
        let run = self.app.store.run_get(run).await?.map(|record| record.run);
        let Some(parcel) = run.and_then(|run| run.parcel) else { return Ok(None) };
        let landing = self.app.lake.landed(&self.entry.draft.code, &parcel).await?;
        let Some(landing) = landing else {
            if told {
                self.note(
                    format!("湖中没有文件 {} 的数据包（回执 {} 行）", file.path, file.landed),
                    format!(
                        "the lake has no parcel of the file {} (its receipt says {} rows)",
                        file.path, file.landed
                    ),
                );
            }
            return Ok(None);
        };
        if told && landing.rows != file.landed {
            self.note(
                format!(
                    "文件 {}：回执 {} 行，湖中数据包 {} 行",
                    file.path, file.landed, landing.rows
                ),
                format!(
                    "{}: the receipt says {} rows, the parcel in the lake holds {}",
                    file.path, file.landed, landing.rows
                ),
            );
        }
        Ok(Some(parcel))
    }

    fn note(&self, zh: String, en: String) {
        self.notes.lock().push((zh, en));
    }

    /// Rows of accepted submissions that stand in the entry; or those that are about to change.
    async fn reports(
        &self,
        waiting: bool,
        seen: &mut (impl FnMut(Record<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let mut tasks = Vec::new();
        if waiting {
            let mut after = None::<String>;
            loop {
                let word = Landing::Waiting.as_str();
                let filter = TaskFilter {
                    landing: Some(word),
                    after: after.as_deref(),
                    limit: PAGE,
                    ..TaskFilter::default()
                };
                let page = self.app.store.report_task_list(&filter).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id.clone());
                tasks.extend(page.into_iter().filter(|t| t.entry == self.entry.id).map(|t| t.id));
            }
        } else {
            tasks = self.app.store.report_owners_of(&self.entry.id).await?;
        }
        for id in tasks {
            let Some(task) = self.app.store.report_task_get(&id).await? else { continue };
            let rows: Vec<CellRow> = match waiting {
                true => report::waiting(&self.app, &task).await?,
                false => report::standing(&self.app, &task).await?,
            };
            let source = Source::Cells { name: task.title.clone(), rows };
            self.source(&source, &ReadOptions::default(), seen).await?;
        }
        Ok(())
    }
}

/// Deletes of rows with these keys, typed by the entry's items.
pub(super) async fn deletes(app: &App, entry: &Entry, keys: &[Key], record: u64) -> Result<Batch> {
    let at = key_at(entry);
    let row = |key: &Key| {
        let mut cells = vec![None; entry.draft.items.len()];
        for (at, text) in at.iter().zip(key) {
            if let Some(cell) = cells.get_mut(*at) {
                *cell = Some(text.clone());
            }
        }
        CellRow { record, cells, operation: Some("D".into()) }
    };
    let rows = keys.iter().map(row).collect();
    let options = ReadOptions {
        operation_column: Some("dsc_biz_operation".into()),
        ..ReadOptions::default()
    };
    let source = Source::Cells { name: "heal".into(), rows };
    let mut chunks = app.intake.read(&source, &entry.draft.items, &options).await?.chunks;
    let mut all = blank(entry);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if let Some(reject) = chunk.rejects.first() {
            return Err(Error::new(Code::RuleBroken, reject.zh.clone(), reject.en.clone()));
        }
        all.append(chunk.batch);
    }
    Ok(all)
}

/// No rows of an entry.
pub(super) fn blank(entry: &Entry) -> Batch {
    let column = |item: &model::item::Item| Column::empty(item.data_type, item.scale, 0);
    Batch {
        columns: entry.draft.items.iter().map(column).collect(),
        records: Vec::new(),
        operations: Vec::new(),
    }
}

/// Positions of the business key among the items.
pub(super) fn key_at(entry: &Entry) -> Vec<usize> {
    let items = entry.draft.items.iter().enumerate();
    items.filter(|(_, item)| item.primary).map(|(at, _)| at).collect()
}

/// The key of a row that does not fit, as it was written.
pub(super) fn misfit(reject: &Reject, key: &[usize]) -> Key {
    let cell = |at: &usize| reject.cells.get(*at).cloned().flatten().unwrap_or_default();
    key.iter().map(|at| cell(at).trim().to_owned()).collect()
}
