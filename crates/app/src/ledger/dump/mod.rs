//! Whole ledgers handed out as files (整本台账导出): DCAT in Turtle, JSON-LD or RDF/XML, and workbooks. Only what the caller
//! may know of is in them. RDF is streamed page by page; a workbook is written to a temporary file first, in constant
//! memory, because its format needs its end before its beginning.

mod dcat;
mod thing;
mod vocabulary;
mod workbook;

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use model::asset::{Asset, AssetFilter, Ledger};
use model::audit::AuditEvent;
use model::entry::{Entry, EntryFilter};
use model::org::Org;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};

use super::rules::LedgerRule;
use crate::audit::Tally;
use crate::{App, audit, catalogue};

pub use dcat::{Class, Column, Dcat, Distribution, Paged, RdfFormat, Thing, Whole};
pub use thing::{Places, of_dataset, of_links, of_origin};
use workbook::{Book, Cell};

/// Entries or assets read at once.
const PAGE: u32 = 500;
/// Bytes of a piece of a workbook that is handed on.
const PIECE: usize = 256 * 1024;

/// How a ledger is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Rdf(RdfFormat),
    Xlsx,
}

impl Format {
    pub const ALL: [Format; 4] = [
        Format::Rdf(RdfFormat::Turtle),
        Format::Rdf(RdfFormat::JsonLd),
        Format::Rdf(RdfFormat::RdfXml),
        Format::Xlsx,
    ];
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Rdf(rdf) => rdf.media_type(),
            Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Format::Rdf(rdf) => rdf.ending(),
            Format::Xlsx => "xlsx",
        }
    }

    /// The format that a parameter names, else the one that `Accept` asks for by weight; Turtle when neither says.
    pub fn chosen(parameter: Option<&str>, accept: Option<&str>) -> Result<Self> {
        let offered = Self::ALL.map(Self::ending).join(", ");
        if let Some(word) = parameter.filter(|p| !p.is_empty()) {
            let found = Self::ALL.into_iter().find(|f| f.ending() == word);
            return found.ok_or_else(|| {
                Error::new(
                    Code::UnsupportedFormat,
                    format!("format 应为 {offered} 之一"),
                    format!("`format` must be one of {offered}"),
                )
            });
        }
        let Some(accept) = accept.filter(|a| !a.trim().is_empty()) else {
            return Ok(Format::Rdf(RdfFormat::Turtle));
        };
        let plain = |f: Format| f.media_type().split(';').next().unwrap_or_default();
        let mut best: Option<(u32, Format)> = None;
        for part in accept.split(',') {
            let mut words = part.split(';').map(str::trim);
            let kind = words.next().unwrap_or_default().to_ascii_lowercase();
            let weight = words
                .find_map(|w| w.strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse::<f32>().ok())
                .unwrap_or(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a weight is between 0 and 1"
            )]
            let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
            let fits = |f: &Format| {
                let own = plain(*f);
                kind == own
                    || kind == "*/*"
                    || (kind.ends_with("/*") && own.starts_with(kind.trim_end_matches('*')))
            };
            if let Some(format) = Self::ALL.into_iter().find(fits)
                && weight > 0
                && best.is_none_or(|(w, _)| weight > w)
            {
                best = Some((weight, format));
            }
        }
        best.map(|(_, f)| f).ok_or_else(|| {
            let types = Self::ALL.map(plain).join(", ");
            Error::new(
                Code::NotAcceptable,
                format!("可返回的格式：{types}；也可用参数 format={offered}"),
                format!("offered are {types}; or the parameter format={offered}"),
            )
        })
    }
}

/// A file as it is handed on.
pub struct Dump {
    /// Name for who saves it.
    pub name: String,
    pub media_type: &'static str,
    pub bytes: BoxStream<'static, Result<Bytes>>,
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dump").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Hands out a whole ledger. Of the data ledger callers get what they may see of it; of the others they need the right to
/// export, an application gets those of its own organisation.
pub async fn dump(
    app: &Arc<App>,
    op: &Op,
    ledger: Ledger,
    format: Format,
    places: &Places,
) -> Result<Dump> {
    let own = match &op.actor {
        Actor::Application { org, .. } => Some(org.clone()),
        _ => None,
    };
    let word = match ledger {
        Ledger::Data => {
            if matches!(op.actor, Actor::User { .. }) {
                catalogue::sheet::may_export(app, op).await?;
            }
            "entry.export"
        }
        _ => {
            let target = Target { org: own.clone(), ..Target::plain("Asset", ledger.as_str()) };
            audit::permit(app, op, Action::AssetExport, &target).await?;
            "asset.export"
        }
    };
    let orgs: HashMap<String, Org> =
        app.store.orgs_list().await?.into_iter().map(|o| (o.id.clone(), o)).collect();
    let regions: HashMap<String, String> =
        app.store.regions_list().await?.into_iter().map(|r| (r.code, r.name_cn)).collect();
    let source = Source {
        app: Arc::clone(app),
        op: op.clone(),
        ledger,
        org: own,
        rule: match ledger {
            Ledger::Data => None,
            _ => Some(super::rules(app, op)?.of(ledger)?.clone()),
        },
        known: Known { orgs, regions },
        after: None,
        ended: false,
    };
    // *every-release-audited*: the record stands before the first byte; a second tells what truly left.
    let scope = format!("format={}", format.ending());
    audit::record(app, AuditEvent { scope, ..audit::event(op, word, ledger.as_str()) }).await?;
    let tally = Tally::new(app, op, word, ledger.as_str());
    let name = format!("{}台账.{}", ledger.zh(), format.ending());
    let bytes = match format {
        Format::Rdf(rdf) => rdf_stream(source, rdf, places.clone(), tally)?,
        Format::Xlsx => book_stream(source, tally).await?,
    };
    Ok(Dump { name, media_type: format.media_type(), bytes })
}

/// Names that go with ids.
struct Known {
    orgs: HashMap<String, Org>,
    regions: HashMap<String, String>,
}

/// A page of a ledger.
enum Lot {
    Entries(Vec<Entry>),
    Assets(Vec<Asset>),
}

impl Lot {
    fn len(&self) -> usize {
        match self {
            Lot::Entries(all) => all.len(),
            Lot::Assets(all) => all.len(),
        }
    }
}

/// A ledger being read, page by page.
struct Source {
    app: Arc<App>,
    op: Op,
    ledger: Ledger,
    org: Option<String>,
    rule: Option<LedgerRule>,
    known: Known,
    after: Option<String>,
    ended: bool,
}

impl Source {
    async fn next(&mut self) -> Result<Option<Lot>> {
        if self.ended {
            return Ok(None);
        }
        if self.ledger == Ledger::Data {
            let filter =
                EntryFilter { after: self.after.clone(), limit: PAGE, ..EntryFilter::default() };
            let page = catalogue::list(&self.app, &self.op, &filter).await?;
            self.ended = page.next.is_none();
            self.after = page.next;
            let (app, op) = (&self.app, &self.op);
            let told = page.items.into_iter().map(|e| outward(e, |e| catalogue::whole(app, op, e)));
            return Ok(Some(Lot::Entries(told.collect())));
        }
        let filter = AssetFilter {
            ledger: Some(self.ledger),
            org: self.org.clone(),
            after: self.after.clone(),
            limit: PAGE,
            ..AssetFilter::default()
        };
        let page = self.app.store.asset_list(&filter).await?;
        self.ended = page.len() < PAGE as usize;
        self.after = page.last().map(|a| a.id.clone());
        Ok(Some(Lot::Assets(page)))
    }
}

/// An entry that is seen for being open says nothing of how departments share it.
fn outward(mut entry: Entry, whole: impl Fn(&Entry) -> bool) -> Entry {
    if !whole(&entry) {
        let d = &mut entry.draft;
        (d.share_condition, d.share_basis) = (String::new(), String::new());
        for item in &mut d.items {
            (item.share_condition, item.share_basis) = (String::new(), String::new());
        }
    }
    entry
}

fn rdf_stream(
    source: Source,
    format: RdfFormat,
    places: Places,
    tally: Tally,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let dcat = Dcat::new(format, places.whole.clone())?;
    let state = Some((source, dcat, tally));
    Ok(stream::unfold(state, move |state| {
        let places = places.clone();
        async move {
            let (mut source, mut dcat, mut tally) = state?;
            let piece = match source.next().await {
                Ok(Some(lot)) => {
                    written(&mut dcat, &source, &lot, &places).map(|bytes| (lot.len(), bytes))
                }
                Ok(None) => {
                    return match dcat.finish() {
                        Ok(bytes) => {
                            tally.add(0, bytes.len());
                            Some((tally.end(None).await.map(|()| Bytes::from(bytes)), None))
                        }
                        Err(e) => Some((Err(ended(tally, e).await), None)),
                    };
                }
                Err(e) => Err(e),
            };
            match piece {
                Ok((rows, bytes)) => {
                    tally.add(rows, bytes.len());
                    Some((Ok(Bytes::from(bytes)), Some((source, dcat, tally))))
                }
                Err(e) => Some((Err(ended(tally, e).await), None)),
            }
        }
    })
    .boxed())
}

/// Records a failure of a stream and answers it.
async fn ended(tally: Tally, error: Error) -> Error {
    match tally.end(Some(&error)).await {
        Ok(()) => error,
        Err(trouble) => trouble,
    }
}

fn written(dcat: &mut Dcat, source: &Source, lot: &Lot, places: &Places) -> Result<Vec<u8>> {
    let known = &source.known;
    let org = |id: &str| known.orgs.get(id);
    let region = |code: &str| known.regions.get(code).map_or("", String::as_str);
    match lot {
        Lot::Entries(all) => {
            for e in all {
                dcat.thing(&thing::of_entry(
                    e,
                    org(&e.draft.org),
                    region(&e.draft.region),
                    places,
                ))?;
            }
        }
        Lot::Assets(all) => {
            for a in all {
                let rule = source.rule.as_ref();
                dcat.thing(&thing::of_asset(
                    a,
                    rule,
                    org(&a.draft.org),
                    region(&a.draft.region),
                    places,
                ))?;
            }
        }
    }
    Ok(dcat.take())
}

async fn book_stream(
    mut source: Source,
    mut tally: Tally,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (send, receive) = tokio::sync::mpsc::channel::<Vec<(usize, Vec<Cell>)>>(4);
    let tables = match &source.rule {
        None => vec![
            ("目录", catalogue::sheet::entry_header()),
            ("数据项", catalogue::sheet::item_header()),
        ],
        Some(rule) => vec![("台账", super::sheet::header(rule))],
    };
    let head = vec![
        format!(
            "{}台账 {} / ledger of {}",
            source.ledger.zh(),
            source.op.stamp(),
            source.ledger.en()
        ),
        "只含导出人有权知道的内容 / holds only what whoever exported it may know".to_owned(),
    ];
    let writing = tokio::task::spawn_blocking(move || book(tables, receive, &head));
    let mut failure = None;
    loop {
        match source.next().await {
            Ok(Some(lot)) => {
                tally.add(lot.len(), 0);
                if send.send(rows(&source, &lot)).await.is_err() {
                    break; // the writer failed and says why below
                }
            }
            Ok(None) => break,
            Err(e) => {
                failure = Some(e);
                break;
            }
        }
    }
    drop(send);
    let written = writing.await.map_err(|e| Error::internal("xlsx writer").caused_by(e));
    let file = match (failure, written.and_then(|w| w)) {
        (None, Ok(file)) => file,
        (Some(e), _) | (None, Err(e)) => return Err(ended(tally, e).await),
    };
    Ok(pieces(file, tally))
}

fn book(
    tables: Vec<(&'static str, Vec<String>)>,
    mut receive: tokio::sync::mpsc::Receiver<Vec<(usize, Vec<Cell>)>>,
    head: &[String],
) -> Result<File> {
    let mut book = Book::new(tables)?;
    while let Some(lot) = receive.blocking_recv() {
        for (table, cells) in lot {
            book.row(table, &cells)?;
        }
    }
    book.finish(head)
}

/// A page of a ledger as rows of tables.
fn rows(source: &Source, lot: &Lot) -> Vec<(usize, Vec<Cell>)> {
    let name = |id: &str| source.known.orgs.get(id).map_or("", |o| o.name_cn.as_str());
    let texts = |all: Vec<String>| -> Vec<Cell> { all.into_iter().map(Cell::Text).collect() };
    match (lot, &source.rule) {
        (Lot::Entries(all), _) => all
            .iter()
            .flat_map(|e| {
                let mut cells = texts(catalogue::sheet::entry_cells(e, name(&e.draft.org)));
                cells.push(Cell::Number(i64::try_from(e.draft.items.len()).unwrap_or(0)));
                cells.push(Cell::Number(e.rows));
                let items = e
                    .draft
                    .items
                    .iter()
                    .map(|i| (1, texts(catalogue::sheet::item_cells(&e.draft, i))));
                std::iter::once((0, cells)).chain(items.collect::<Vec<_>>())
            })
            .collect(),
        (Lot::Assets(all), Some(rule)) => {
            let names: HashMap<String, String> =
                all.iter().map(|a| (a.draft.org.clone(), name(&a.draft.org).to_owned())).collect();
            all.iter().map(|a| (0, texts(super::sheet::cells(a, rule, &names)))).collect()
        }
        (Lot::Assets(_), None) => Vec::new(),
    }
}

/// A file, piece by piece.
fn pieces(file: File, tally: Tally) -> BoxStream<'static, Result<Bytes>> {
    use tokio::io::AsyncReadExt as _;
    let state = Some((tokio::fs::File::from_std(file), tally));
    stream::unfold(state, |state| async move {
        let (mut file, mut tally) = state?;
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => tally.end(None).await.err().map(|e| (Err(e), None)),
            Ok(n) => {
                piece.truncate(n);
                tally.add(0, n);
                Some((Ok(Bytes::from(piece)), Some((file, tally))))
            }
            Err(e) => {
                let error = Error::internal("temporary file").caused_by(e);
                Some((Err(ended(tally, error).await), None))
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests;
