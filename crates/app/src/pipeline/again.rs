//! A pipeline's source read again without landing anything: what should be in the lake by the position that the lake holds.
//!
//! Rows before the position (less the lateness that every turn reads again) are *settled*: a turn has landed them, and no other
//! turn will bring them again. What lies beyond is newer, and is no difference.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::code::SyncMode;
use model::entry::Entry;
use model::pipeline::file::{Place, Reading as Part};
use model::pipeline::window::{Mark, MarkKind, Window};
use model::pipeline::{Pipeline, PipelineFile};
use model::source::SourceKind;
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{Chunk, RailAddress, ShelfFile, ShelfPlace, Source, Span};

use super::pull::{self, Tally};
use super::{folder, turn};
use crate::{App, collection};

/// Beyond every moment that a watermark tells.
const NEVER: &str = "9999-12-31";

/// A pipeline whose source is read again.
pub(crate) struct Again {
    pub(crate) pipeline: Pipeline,
    file: PipelineFile,
    entry: Entry,
    /// Where the lake stands, and the end of what is settled; of pipelines with a watermark.
    position: Option<String>,
    settled: Option<(Mark, Mark)>,
}

/// A table that can be asked for ranges of its keys.
pub(crate) struct Asked {
    pub(crate) at: RailAddress,
    pub(crate) place: String,
    pub(crate) span: Option<Span>,
}

/// Rows read again.
pub(crate) struct Reread {
    pub(crate) chunks: BoxStream<'static, Result<Chunk>>,
    tallies: Vec<Arc<Mutex<Tally>>>,
}

impl Reread {
    /// Records that never came into the transformation: whose rows they would have made is not known.
    pub(crate) fn refused(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.lock().refused.len() as u64).sum()
    }
}

impl Again {
    pub(crate) async fn of(app: &App, id: &str) -> Result<Self> {
        let missing = || Error::not_found("数据管道", "pipeline", id);
        let pipeline = app.store.pipeline_get(id).await?.ok_or_else(missing)?;
        let file = PipelineFile::parse(&pipeline.file)?;
        let missing = || Error::not_found("目录", "entry", &pipeline.entry_code);
        let entry = app.store.entry_get(&pipeline.entry).await?.ok_or_else(missing)?;
        if matches!(file.source.place, Place::Kafka { .. }) {
            return Err(Error::new(
                Code::WrongState,
                "Kafka 主题只保留一段时间的消息，无法重读全部历史与湖核对；请在其上游数据库核对",
                "a Kafka topic keeps its messages for a while only, so its whole past cannot be read again and compared; compare the database behind it",
            ));
        }
        let position = app.lake.position(&entry.draft.code, &turn::track(&pipeline.id)).await?;
        let settled = match (&file.watermark, &position) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Error::new(
                    Code::WrongState,
                    "管道尚未成功运行，没有可核对的位置；请先运行一次",
                    "the pipeline has landed nothing yet, so there is no position to compare up to; run it first",
                ));
            }
            (Some(mark), Some(text)) => {
                let read = Mark::parse(mark.kind, text)
                    .ok_or_else(|| Error::internal("the position of a pipeline"))?;
                let end = Window::of_turn(mark.kind, read, mark.late, app.now()).from;
                Some((mark.start, end.max(mark.start)))
            }
        };
        Ok(Self { pipeline, file, entry, position, settled })
    }

    /// Up to where it is compared, for people; empty without a watermark.
    pub(crate) fn upto(&self) -> String {
        self.settled.map(|(_, end)| end.text()).unwrap_or_default()
    }

    /// Whether every turn puts all rows in the place of those before.
    pub(crate) fn whole(&self) -> bool {
        self.file.mode == SyncMode::Full
    }

    /// The table of a database whose columns go to the items as they are.
    pub(crate) async fn table(&self, app: &App) -> Result<Option<Asked>> {
        let Place::Database { read: Part::Table(table), .. } = &self.file.source.place else {
            return Ok(None);
        };
        let plain = self.file.transform.is_none()
            && self.file.source.columns.is_empty()
            && self.file.operation_column.is_none();
        if !plain || self.entry.draft.key().is_empty() {
            return Ok(None);
        }
        let missing = || Error::not_found("数据源", "data source", &self.pipeline.source);
        let (kept, _) = app.store.source_get(&self.pipeline.source).await?.ok_or_else(missing)?;
        let url = collection::source::url_of(app, &kept.id).await?.to_string();
        let place = match (table.contains('.'), kept.kind) {
            (true, _) => table.clone(),
            (false, SourceKind::Mysql) => format!("{}.{table}", kept.database),
            (false, _) => format!("public.{table}"),
        };
        let span = self.file.watermark.as_ref().zip(self.settled).map(|(mark, (from, to))| Span {
            column: mark.column.clone(),
            from: from.literal(),
            to: to.literal(),
        });
        let at = RailAddress {
            url,
            slot: String::new(),
            publication: String::new(),
            given: true,
            from: String::new(),
        };
        Ok(Some(Asked { at, place, span }))
    }

    /// Rows of a statement, typed as the pipeline types them.
    pub(crate) async fn asked(&self, app: &Arc<App>, asked: &Asked, sql: String) -> Result<Reread> {
        let name = self.pipeline.name.clone();
        self.pulled(app, &Source::Query { url: asked.at.url.clone(), sql, name }).await
    }

    /// All settled rows, in the order they would land.
    pub(crate) async fn settled(&self, app: &Arc<App>) -> Result<Reread> {
        if let Place::Folder { url, pattern } = &self.file.source.place {
            return self.files(app, url, pattern).await;
        }
        let window = self.settled.map(|(from, to)| Window { from, to: Some(to) });
        self.window(app, window).await
    }

    /// Rows beyond what is settled; nothing where no watermark tells them apart.
    pub(crate) async fn newer(&self, app: &Arc<App>) -> Result<Option<Reread>> {
        let Some((_, from)) = self.settled else { return Ok(None) };
        let kind = self.file.watermark.as_ref().map(|mark| mark.kind);
        let to = match kind {
            Some(MarkKind::Integer) | None => None,
            Some(kind) => Mark::parse(kind, NEVER),
        };
        self.window(app, Some(Window { from, to })).await.map(Some)
    }

    async fn window(&self, app: &Arc<App>, window: Option<Window>) -> Result<Reread> {
        let position = self.position.as_deref();
        let source =
            pull::source(app, &self.pipeline, &self.file, window.as_ref(), position).await?;
        self.pulled(app, &source).await
    }

    async fn pulled(&self, app: &Arc<App>, source: &Source) -> Result<Reread> {
        let op = Op::system(app.now());
        let pull = pull::open(app, &op, &self.file, &self.entry, source, 0).await?;
        Ok(Reread { chunks: pull.chunks, tallies: vec![pull.tally] })
    }

    /// The files that have landed, one after the other; all anew takes the last one.
    async fn files(&self, app: &Arc<App>, url: &str, pattern: &str) -> Result<Reread> {
        let place = folder::shelf_place(app, &self.pipeline, url).await?;
        let full = self.whole();
        let mut found: VecDeque<ShelfFile> = VecDeque::new();
        let mut after = None::<String>;
        loop {
            let page = folder::matching(app, &place, pattern, after.as_deref(), full).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.path.clone());
            let landed = |file: &ShelfFile| match &self.position {
                Some(position) => full || file.path <= *position,
                None => full,
            };
            found.extend(page.into_iter().filter(landed));
            if full {
                break;
            }
        }
        let (app, file, entry) = (Arc::clone(app), self.file.clone(), self.entry.clone());
        let walk = Walk { app, file, entry, place, left: found, open: None };
        let chunks = stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|chunk| (chunk, walk)))
        });
        Ok(Reread { chunks: chunks.boxed(), tallies: Vec::new() })
    }
}

/// Files read one after the other.
struct Walk {
    app: Arc<App>,
    file: PipelineFile,
    entry: Entry,
    place: ShelfPlace,
    left: VecDeque<ShelfFile>,
    open: Option<(BoxStream<'static, Result<Chunk>>, collection::Fetched)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some((chunks, _)) = &mut self.open {
                if let Some(chunk) = chunks.next().await {
                    return chunk.map(Some);
                }
                self.open = None;
            }
            let Some(next) = self.left.pop_front() else { return Ok(None) };
            let fetched = collection::Fetched::new(&self.app);
            self.app.shelf.fetch(&self.place, &next.path, fetched.path()).await?;
            let name = next.path.rsplit('/').next().unwrap_or_default().to_owned();
            let path: PathBuf = fetched.path().to_owned();
            let op = Op::system(self.app.now());
            let source = Source::File { path, name };
            let pull = pull::open(&self.app, &op, &self.file, &self.entry, &source, 0).await?;
            self.open = Some((pull.chunks, fetched));
        }
    }
}
