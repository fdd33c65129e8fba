//! The index: everything behind the port, put together.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::search::{SearchDoc, SearchHit, SearchHolding, SearchPage, SearchQuery};
use model::{Code, Error, Result};
use parking_lot::{Mutex, RwLock};
use policy::port::Search;
use tantivy::indexer::{LogMergePolicy, NoMergePolicy};
use tantivy::query::Query;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocAddress, IndexReader, IndexWriter, ReloadPolicy, Searcher, Term};
use tantivy::{TantivyDocument, TantivyError};

use crate::collect::{Counts, Gather, Gathered, Key, Order};
use crate::columns::Columns;
use crate::query::{
    About, Asked, Care, Ground, about, all_of, asked, audience_query, filter_query, filter_words,
    filtered, ids_query, long, text_query, title_query,
};
use crate::schema::{FACETS, Fields, PRINT, VERSION, documents, item_hit, register, schema};
use crate::synonym::Synonyms;
use crate::text::normalise;
use crate::within::within_query;
use crate::words::several;
use crate::{folder, mark, place, sound};

/// Memory of the writer before it flushes a segment, in bytes.
const WRITER_BYTES: usize = 64 << 20;
/// Memory of each writer of a rebuild.
const BULK_BYTES: usize = 256 << 20;
/// Writers of a rebuild.
const BULK_WRITERS: usize = 2;
/// Segments larger than this are left as they are: merging them would cost more than it gives.
const LARGE_SEGMENT: usize = 200_000;
/// Matches that are enough for a person: with fewer a more forgiving question is asked.
const ENOUGH: u64 = 20;
/// Threads that search one question.
const SEARCHERS: usize = 2;
/// Most documents of one page.
const MAX_LIMIT: u32 = 1000;
/// Questions whose counts are kept until the index changes.
const KEPT_COUNTS: u64 = 512;
/// Facet → values with counts, most first.
type Facets = Vec<(String, Vec<(String, u64)>)>;

/// What is counted of one question.
#[derive(Debug)]
struct Numbers {
    /// Matches within the filters, and without them.
    total: u64,
    matched: u64,
    facets: Facets,
}

/// Candidates among which completions are chosen.
const CANDIDATES: usize = 300;

/// Full-text index over the ledgers, on disk or in memory. Searches run in parallel and never wait for a write; writes
/// are one at a time.
pub struct Index {
    engine: tantivy::Index,
    ground: Ground,
    /// `None` only while a rebuild has it, or after it could not be opened again.
    writer: Mutex<Option<IndexWriter>>,
    reader: IndexReader,
    columns: Columns,
    synonyms: RwLock<Arc<Synonyms>>,
    /// Counts by question, good for one state of the index.
    counts: moka::sync::Cache<String, Arc<Numbers>>,
    state: AtomicU64,
    needs_rebuild: AtomicBool,
    files: Option<PathBuf>,
    /// Keeps other processes out while we live.
    _lock: Option<File>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("documents", &self.reader.searcher().num_docs())
            .field("needs_rebuild", &self.needs_rebuild())
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in a folder of its own, making it when there is none. What cannot be read (damaged, or
    /// written by another version) is made anew, and [`Index::needs_rebuild`] says so. Fails when another
    /// process holds the folder, when it holds other files, or when it cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        let (schema, fields) = schema();
        let folder = folder::open(dir, schema, VERSION)?;
        let files = Some(dir.join(folder::INDEX));
        Self::over(folder.index, fields, folder.fresh, files, Some(folder.lock))
    }

    /// An empty index in memory.
    pub fn in_memory() -> Result<Self> {
        let (schema, fields) = schema();
        Self::over(tantivy::Index::create_in_ram(schema), fields, true, None, None)
    }

    /// Takes another file of synonyms (groups of words, one a line) instead of the shipped one.
    pub fn set_synonyms(&self, text: &str) {
        *self.synonyms.write() = Arc::new(Synonyms::read(text));
        self.counts.invalidate_all();
    }

    fn over(
        mut engine: tantivy::Index,
        fields: Fields,
        fresh: bool,
        files: Option<PathBuf>,
        lock: Option<File>,
    ) -> Result<Self> {
        register(&engine);
        engine.set_multithread_executor(SEARCHERS).map_err(read_failed)?;
        let writer = usual_writer(&engine)?;
        let reader = engine
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(|e: TantivyError| read_failed(e))?;
        Ok(Self {
            engine,
            ground: Ground { fields, names: Arc::default() },
            writer: Mutex::new(Some(writer)),
            reader,
            columns: Columns::default(),
            synonyms: RwLock::new(Arc::new(Synonyms::read(include_str!("../rules/synonyms.txt")))),
            counts: moka::sync::Cache::new(KEPT_COUNTS),
            state: AtomicU64::new(0),
            needs_rebuild: AtomicBool::new(fresh),
            files,
            _lock: lock,
        })
    }

    /// Whether the index was made anew on opening and waits for [`Search::rebuild`].
    #[must_use]
    pub fn needs_rebuild(&self) -> bool {
        self.needs_rebuild.load(Ordering::Acquire)
    }

    /// One change of the index: all of it or nothing, visible when this returns (*read-your-writes*).
    fn change(&self, work: impl FnOnce(&IndexWriter) -> Result<()>) -> Result<()> {
        let mut held = self.writer.lock();
        if held.is_none() {
            *held = Some(usual_writer(&self.engine)?);
        }
        let Some(writer) = held.as_mut() else {
            return Err(Error::internal("the search index has no writer"));
        };
        let done = work(writer).and_then(|()| writer.commit().map(|_| ()).map_err(write_failed));
        if let Err(e) = done {
            if let Err(e) = writer.rollback() {
                tracing::error!(search.error = %e, "the search index could not be rolled back");
            }
            return Err(e);
        }
        self.reload()
    }

    fn reload(&self) -> Result<()> {
        self.reader.reload().map_err(read_failed)?;
        self.state.fetch_add(1, Ordering::AcqRel);
        self.counts.invalidate_all();
        let searcher = self.reader.searcher();
        self.columns.keep(&searcher);
        self.ground.names.keep(&searcher);
        Ok(())
    }

    fn add(&self, writer: &IndexWriter, docs: &[SearchDoc]) -> Result<()> {
        for doc in docs {
            for made in documents(&self.ground, doc)? {
                writer.add_document(made).map_err(write_failed)?;
            }
        }
        Ok(())
    }

    /// Everything one question asks: number, counts of every facet (each within the other facets' filters), and the
    /// first matches. Counts come from those kept when the same question was asked before.
    fn gather(
        &self,
        searcher: &Searcher,
        q: &SearchQuery,
        asked: &Asked,
        care: Care,
        page: (Order, usize, Option<Key>),
    ) -> Result<(Arc<Numbers>, Vec<(Key, DocAddress)>)> {
        let (order, keep, after) = page;
        let question = question(self.state.load(Ordering::Acquire), q, care);
        let kept = self.counts.get(&question);
        let narrowed = filtered(q)?;
        if let Some(kept) = kept.as_ref().filter(|_| keep == 0) {
            return Ok((Arc::clone(kept), Vec::new()));
        }
        let wanted = |f: &str| q.facets.as_ref().is_none_or(|all| all.iter().any(|w| w == f));
        let facets: Vec<usize> = (0..FACETS.len())
            .filter(|i| kept.is_none() && FACETS.get(*i).is_some_and(|f| wanted(f)))
            .collect();
        // Filters are checked while counting, so that one pass tells what each facet has within the other facets' filters,
        // and how forgiving the question must be does not depend on them. Known counts leave only a page to be found.
        let sideways = kept.is_none() && !narrowed.is_empty();
        let about = if sideways && narrowed.contains(&"ledger") {
            // Without its ledger filter a question may be about more.
            About { wholes: true, items: true }
        } else {
            about(q)
        };
        let mut clauses = vec![text_query(&self.ground, asked, care, about)];
        clauses.push(audience_query(&self.ground, &q.audience));
        clauses.extend(ids_query(&self.ground, &q.ids));
        if let Some(within) = &q.within {
            clauses.push(within_query(&self.ground, within, &self.synonyms.read())?);
        }
        let mut filters = Vec::new();
        for name in narrowed {
            let words: Vec<String> = filter_words(q, name).map(str::to_owned).collect();
            match FACETS.iter().position(|f| *f == name) {
                Some(number) if sideways => filters.push((number, words)),
                _ => clauses.extend(filter_query(&self.ground, name, &words)),
            }
        }
        let gather =
            Gather { columns: &self.columns, facets, narrowed: filters, order, keep, after };
        // Facets are told by value numbers: all segments' values must be known before filters are looked up.
        for reader in searcher.segment_readers() {
            self.columns.of(reader).map_err(read_failed)?;
        }
        let found = run(searcher, &all_of(clauses), &gather)?;
        if let Some(kept) = kept {
            return Ok((kept, found.top));
        }
        let mut counted: HashMap<usize, Counts> =
            gather.facets.iter().copied().zip(found.counts).collect();
        let facets: Facets = FACETS
            .into_iter()
            .enumerate()
            .filter_map(|(i, name)| {
                let mut list: Vec<(String, u64)> = counted.remove(&i)?.into_iter().collect();
                list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                Some((name.to_owned(), list))
            })
            .collect();
        let made = Arc::new(Numbers { total: found.total, matched: found.matched, facets });
        self.counts.insert(question, Arc::clone(&made));
        Ok((made, found.top))
    }

    fn stored(&self, searcher: &Searcher, address: DocAddress) -> Result<Stored> {
        let doc: TantivyDocument = searcher.doc(address).map_err(read_failed)?;
        let text = |field| doc.get_first(field).and_then(|v| v.as_str().map(str::to_owned));
        if let Some(cells) = text(self.ground.cells) {
            return Ok(Stored::Item(cells));
        }
        let json = text(self.ground.json)
            .ok_or_else(|| Error::internal("a search document holds no JSON"))?;
        serde_json::from_str(&json)
            .map(|d| Stored::Whole(Box::new(d)))
            .map_err(|e| Error::internal("a search document holds unexpected JSON").caused_by(e))
    }

    /// The hit at an address; an item's entry is looked up once per page.
    fn hit(
        &self,
        searcher: &Searcher,
        address: DocAddress,
        parents: &mut HashMap<String, Option<SearchDoc>>,
    ) -> Result<SearchDoc> {
        let cells = match self.stored(searcher, address)? {
            Stored::Whole(doc) => return Ok(*doc),
            Stored::Item(cells) => cells,
        };
        let id = cells.split(crate::schema::BETWEEN).next().unwrap_or_default().to_owned();
        if !parents.contains_key(&id) {
            let parent = self.whole(searcher, &id)?;
            parents.insert(id.clone(), parent);
        }
        Ok(item_hit(&cells, parents.get(&id).cloned().flatten()))
    }

    /// The entry or asset of an id.
    fn whole(&self, searcher: &Searcher, id: &str) -> Result<Option<SearchDoc>> {
        let term = Term::from_field_text(self.ground.id, id);
        let query = tantivy::query::TermQuery::new(term, IndexRecordOption::Basic);
        let gather = Gather {
            columns: &self.columns,
            facets: Vec::new(),
            narrowed: Vec::new(),
            order: Order::Column(PRINT),
            keep: 1,
            after: None,
        };
        let Some((_, address)) = run(searcher, &query, &gather)?.top.pop() else {
            return Ok(None);
        };
        match self.stored(searcher, address)? {
            Stored::Whole(doc) => Ok(Some(*doc)),
            Stored::Item(_) => Ok(None),
        }
    }
}

enum Stored {
    Whole(Box<SearchDoc>),
    Item(String),
}

/// What tells one question's counts from another's: its paging does not matter.
fn question(state: u64, q: &SearchQuery, care: Care) -> String {
    let mut filters = q.filters.clone();
    filters.sort_unstable();
    let mut audience = q.audience.clone();
    audience.sort_unstable();
    let (text, facets, ids, within) = (&q.text, &q.facets, &q.ids, &q.within);
    format!("{state} {care:?} {text:?} {filters:?} {audience:?} {facets:?} {ids:?} {within:?}")
}

fn usual_writer(engine: &tantivy::Index) -> Result<IndexWriter> {
    let writer = engine.writer_with_num_threads(1, WRITER_BYTES).map_err(write_failed)?;
    let mut merges = LogMergePolicy::default();
    merges.set_max_docs_before_merge(LARGE_SEGMENT);
    writer.set_merge_policy(Box::new(merges));
    Ok(writer)
}

impl Search for Index {
    fn put(&self, docs: &[SearchDoc]) -> Result<()> {
        if docs.is_empty() {
            return Ok(());
        }
        self.change(|writer| {
            for doc in docs {
                // Of two of one id in a lot the later wins: its deletion comes after the first was added.
                writer.delete_term(Term::from_field_text(self.ground.of, &doc.id));
                self.add(writer, std::slice::from_ref(doc))?;
            }
            Ok(())
        })
    }

    fn remove(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.change(|writer| {
            for id in ids {
                writer.delete_term(Term::from_field_text(self.ground.of, id));
            }
            Ok(())
        })
    }

    fn search(&self, query: &SearchQuery) -> Result<SearchPage> {
        let searcher = self.reader.searcher();
        let asked = asked(&query.text, &self.synonyms.read());
        let order = order(&query.sort, &asked)?;
        let after = match query.after.as_deref().filter(|a| !a.is_empty()) {
            None => None,
            Some(text) => Some(Key::read(text).ok_or_else(|| {
                Error::new(
                    Code::InvalidQuery,
                    "翻页位置无效，请从第一页开始",
                    "the position of the page is not valid, begin at the first page",
                )
            })?),
        };
        let limit = usize::try_from(query.limit.min(MAX_LIMIT)).unwrap_or(0);
        let offset = if after.is_some() { 0 } else { usize::try_from(query.offset).unwrap_or(0) };
        // One more than the page tells whether there is another.
        let keep = if limit == 0 { 0 } else { offset.saturating_add(limit).saturating_add(1) };
        let keep = keep.min(usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX));
        let page = (order, keep, after);
        let first = if long(&asked) { Care::Strict } else { Care::Exact };
        let (mut counts, mut top) = self.gather(&searcher, query, &asked, first, page)?;
        if counts.matched < ENOUGH && first == Care::Strict {
            (counts, top) = self.gather(&searcher, query, &asked, Care::Exact, page)?;
        }
        if counts.matched == 0 && matches!(asked, Asked::Pieces(_)) {
            let (near, found) = self.gather(&searcher, query, &asked, Care::Near, page)?;
            if near.matched > 0 {
                (counts, top) = (near, found);
            }
        }
        let mut partial = false;
        let fewer = counts.total == 0 && query.some;
        let words = if fewer { several(&query.text, &self.synonyms.read()) } else { None };
        if let Some(words) = words {
            let (some, found) = self.gather(&searcher, query, &words, Care::Part, page)?;
            if some.total > 0 {
                (counts, top, partial) = (some, found, true);
            }
        }
        let mut out = SearchPage {
            total: counts.total,
            facets: counts.facets.clone(),
            partial,
            ..SearchPage::default()
        };
        let more = top.len() > offset.saturating_add(limit);
        let mut parents = HashMap::new();
        let mut last = None;
        for (key, address) in top.into_iter().skip(offset).take(limit) {
            let doc = self.hit(&searcher, address, &mut parents)?;
            last = Some(key);
            out.hits.push(SearchHit {
                title_html: mark::whole(&doc.title, &asked),
                description_html: mark::snippet(&doc.description, &asked),
                doc,
            });
        }
        out.next = last.filter(|_| more).map(Key::write);
        Ok(out)
    }

    fn suggest(&self, prefix: &str, audience: &[String], limit: usize) -> Result<Vec<String>> {
        let asked = asked(prefix, &Synonyms::default());
        if limit == 0 || !matches!(asked, Asked::Pieces(_)) {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let query =
            all_of(vec![title_query(&self.ground, &asked), audience_query(&self.ground, audience)]);
        let wanted: String = normalise(prefix.trim()).into_iter().collect();
        let mut found: Vec<(bool, usize, String)> = Vec::new();
        let gather = Gather {
            columns: &self.columns,
            facets: Vec::new(),
            narrowed: Vec::new(),
            order: Order::Relevance,
            keep: CANDIDATES,
            after: None,
        };
        for (_, address) in run(&searcher, &query, &gather)?.top {
            let Stored::Whole(doc) = self.stored(&searcher, address)? else { continue };
            let title = doc.title;
            let normal = normalise(&title);
            let starts = normal.iter().collect::<String>().starts_with(&wanted)
                || sound::starts(&sound::cells(&normal), &wanted);
            if !found.iter().any(|(_, _, t)| *t == title) {
                found.push((!starts, title.chars().count(), title));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, _, title)| title).take(limit).collect())
    }

    fn rebuild(&self, batches: &mut dyn Iterator<Item = Result<Vec<SearchDoc>>>) -> Result<()> {
        let mut held = self.writer.lock();
        // The usual writer makes way for several larger ones; searchers go on with what is committed.
        drop(held.take());
        let built = self.build(batches);
        *held = Some(usual_writer(&self.engine)?);
        built?;
        self.reload()?;
        self.needs_rebuild.store(false, Ordering::Release);
        Ok(())
    }

    fn count(&self) -> Result<u64> {
        Ok(self.reader.searcher().num_docs())
    }

    fn holdings(&self) -> Result<Vec<(String, SearchHolding)>> {
        let searcher = self.reader.searcher();
        let mut out: BTreeMap<u32, SearchHolding> = BTreeMap::new();
        for reader in searcher.segment_readers() {
            let segment = self.columns.of(reader).map_err(read_failed)?;
            let Some(ledger) = segment.columns.first() else { continue };
            let prints = reader.fast_fields().u64(PRINT).ok();
            for doc in reader.doc_ids_alive() {
                let holding = out.entry(ledger.value(doc).unwrap_or_default()).or_default();
                holding.documents += 1;
                holding.digest ^= prints.as_ref().and_then(|p| p.first(doc)).unwrap_or(0);
            }
        }
        let Some(words) = self.columns.values(0) else { return Ok(Vec::new()) };
        let named = out.into_iter().filter_map(|(number, holding)| {
            Some((words.words.get(usize::try_from(number).ok()?)?.to_string(), holding))
        });
        Ok(named.collect())
    }

    fn sync(&self) -> Result<()> {
        let _no_write_meanwhile = self.writer.lock();
        match &self.files {
            None => Ok(()),
            Some(dir) => place::sync(dir).map_err(|e| {
                Error::new(
                    Code::StoreUnavailable,
                    "搜索索引无法写入磁盘，请检查磁盘空间",
                    "the search index could not be made durable; check the disk",
                )
                .caused_by(e)
            }),
        }
    }
}

impl Index {
    /// All documents anew, in one commit: searchers see the old ones until the new ones are complete.
    fn build(&self, batches: &mut dyn Iterator<Item = Result<Vec<SearchDoc>>>) -> Result<()> {
        let mut writer: IndexWriter = self
            .engine
            .writer_with_num_threads(BULK_WRITERS, BULK_WRITERS * BULK_BYTES)
            .map_err(write_failed)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        writer.delete_all_documents().map_err(write_failed)?;
        for batch in batches {
            // Dropped without a commit, nothing of it is seen.
            self.add(&writer, &batch?)?;
        }
        writer.commit().map_err(write_failed)?;
        writer.wait_merging_threads().map_err(write_failed)
    }
}

/// The order a word names.
fn order(word: &str, asked: &Asked) -> Result<Order> {
    let word = if word.is_empty() { "relevance" } else { word };
    let known = Order::WORDS.iter().find(|(w, _)| *w == word).map(|(_, o)| *o);
    match known {
        // Without a text there is nothing to score by.
        Some(Order::Relevance) if !matches!(asked, Asked::Pieces(_)) => {
            Ok(Order::Column(crate::schema::PUBLISHED))
        }
        Some(order) => Ok(order),
        None => Err(Error::new(
            Code::InvalidQuery,
            format!(
                "不能按 `{word}` 排序，可用：relevance、published_at、data_at、changed_at、rows、id"
            ),
            format!(
                "cannot sort by `{word}`; use relevance, published_at, data_at, changed_at, rows or id"
            ),
        )),
    }
}

fn run(searcher: &Searcher, query: &dyn Query, gather: &Gather<'_>) -> Result<Gathered> {
    searcher.search(query, gather).map_err(read_failed)
}

fn write_failed(e: TantivyError) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "搜索索引无法写入，请检查磁盘空间与权限",
        "the search index cannot be written; check the disk space and permissions",
    )
    .caused_by(e)
}

fn read_failed(e: TantivyError) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "搜索索引无法读取，请重建索引",
        "the search index cannot be read; rebuild it",
    )
    .caused_by(e)
}
