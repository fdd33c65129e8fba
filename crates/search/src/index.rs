//! The index: everything behind the port, put together.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use model::search::{SearchDoc, SearchHit, SearchPage, SearchQuery};
use model::{Code, Error, Result};
use parking_lot::Mutex;
use policy::port::Search;
use tantivy::collector::{Collector, Count, TopDocs};
use tantivy::query::{AllQuery, Query};
use tantivy::schema::Value;
use tantivy::{
    DocAddress, DocId, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher, SegmentReader, Term,
};
use tantivy::{TantivyDocument, TantivyError};

use crate::facet::{Counts, FacetCounts};
use crate::query::{
    Asked, Care, all_of, asked, audience_query, filter_query, filtered, text_query, title_query,
};
use crate::schema::{
    DATA_AT, FACETS, Fields, PUBLISHED, ROWS, TIE, VERSION, document, register, schema,
};
use crate::text::normalise;
use crate::{folder, mark, sound};

/// Memory of the writer before it flushes a segment, in bytes.
const WRITER_BYTES: usize = 64 << 20;
/// Most documents of one page.
const MAX_LIMIT: u32 = 1000;
/// Facet → values with counts, most first.
type Facets = Vec<(String, Vec<(String, u64)>)>;

/// Candidates among which completions are chosen.
const CANDIDATES: u64 = 300;

/// Full-text index over the ledger, on disk or in memory. Searches run in parallel and never wait for a
/// write; writes are one at a time.
pub struct Index {
    fields: Fields,
    writer: Mutex<IndexWriter>,
    reader: IndexReader,
    needs_rebuild: AtomicBool,
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
        Self::over(&folder.index, fields, folder.fresh, Some(folder.lock))
    }

    /// An empty index in memory.
    pub fn in_memory() -> Result<Self> {
        let (schema, fields) = schema();
        Self::over(&tantivy::Index::create_in_ram(schema), fields, true, None)
    }

    fn over(
        index: &tantivy::Index,
        fields: Fields,
        fresh: bool,
        lock: Option<File>,
    ) -> Result<Self> {
        register(index);
        let writer = index.writer_with_num_threads(1, WRITER_BYTES).map_err(write_failed)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(|e: TantivyError| read_failed(e))?;
        let needs_rebuild = AtomicBool::new(fresh);
        Ok(Self { fields, writer: Mutex::new(writer), reader, needs_rebuild, _lock: lock })
    }

    /// Whether the index was made anew on opening and waits for [`Search::rebuild`].
    #[must_use]
    pub fn needs_rebuild(&self) -> bool {
        self.needs_rebuild.load(Ordering::Acquire)
    }

    /// One change of the index: all of it or nothing, visible when this returns (*read-your-writes*).
    fn change(&self, work: impl FnOnce(&IndexWriter) -> Result<()>) -> Result<()> {
        let mut writer = self.writer.lock();
        let done = work(&writer).and_then(|()| writer.commit().map(|_| ()).map_err(write_failed));
        if let Err(e) = done {
            if let Err(e) = writer.rollback() {
                tracing::error!(search.error = %e, "the search index could not be rolled back");
            }
            return Err(e);
        }
        self.reader.reload().map_err(read_failed)
    }

    fn add(&self, writer: &IndexWriter, docs: &[SearchDoc]) -> Result<()> {
        for doc in docs {
            writer.delete_term(Term::from_field_text(self.fields.id, &doc.id));
            writer.add_document(document(&self.fields, doc)?).map_err(write_failed)?;
        }
        Ok(())
    }

    /// The text part with the audience and all filters but one facet's.
    fn combined(
        &self,
        q: &SearchQuery,
        asked: &Asked,
        care: Care,
        except: Option<&str>,
    ) -> Result<Box<dyn Query>> {
        let mut clauses = vec![text_query(&self.fields, asked, care)];
        clauses.extend(filter_query(&self.fields, q, except)?);
        Ok(all_of(clauses))
    }

    /// Counts of every facet, each within the other facets' filters, and the total within all.
    fn facets(
        &self,
        searcher: &Searcher,
        q: &SearchQuery,
        asked: &Asked,
        care: Care,
    ) -> Result<(u64, Facets)> {
        let narrowed = filtered(q)?;
        let free: Vec<&'static str> =
            FACETS.into_iter().filter(|f| !narrowed.contains(f)).collect();
        let all = self.combined(q, asked, care, None)?;
        let (total, counts) = run(searcher, &all, (Count, FacetCounts { facets: free.clone() }))?;
        let mut by_name: Vec<(&str, Counts)> = Vec::new();
        for name in narrowed {
            let sideways = self.combined(q, asked, care, Some(name))?;
            by_name.push((name, run(searcher, &sideways, FacetCounts { facets: vec![name] })?));
        }
        let mut values: Vec<(&str, _)> = free.into_iter().zip(counts).collect();
        values.extend(by_name.into_iter().filter_map(|(n, mut c)| c.pop().map(|c| (n, c))));
        let facets = FACETS.into_iter().filter_map(|name| {
            let (_, map) = values.iter().find(|(n, _)| *n == name)?;
            let mut list: Vec<(String, u64)> = map.iter().map(|(v, n)| (v.clone(), *n)).collect();
            list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            Some((name.to_owned(), list))
        });
        Ok((u64::try_from(total).unwrap_or(u64::MAX), facets.collect()))
    }

    fn read(&self, searcher: &Searcher, address: DocAddress) -> Result<SearchDoc> {
        let stored: TantivyDocument = searcher.doc(address).map_err(read_failed)?;
        let json = stored.get_first(self.fields.json).and_then(|v| v.as_str()).unwrap_or_default();
        serde_json::from_str(json).map_err(|e| {
            Error::internal("a document of the search index is unreadable").caused_by(e)
        })
    }
}

impl Search for Index {
    fn put(&self, docs: &[SearchDoc]) -> Result<()> {
        if docs.is_empty() {
            return Ok(());
        }
        self.change(|writer| self.add(writer, docs))
    }

    fn remove(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.change(|writer| {
            for id in ids {
                writer.delete_term(Term::from_field_text(self.fields.id, id));
            }
            Ok(())
        })
    }

    fn search(&self, query: &SearchQuery) -> Result<SearchPage> {
        let searcher = self.reader.searcher();
        let order = Order::parse(&query.sort)?;
        let asked = asked(&query.text);
        let mut care = Care::Exact;
        let (mut total, mut facets) = self.facets(&searcher, query, &asked, care)?;
        if total == 0 && matches!(asked, Asked::Pieces(_)) {
            let near = self.facets(&searcher, query, &asked, Care::Near)?;
            if near.0 > 0 {
                care = Care::Near;
                (total, facets) = near;
            }
        }
        let mut page = SearchPage { total, hits: Vec::new(), facets };
        let limit = u64::from(query.limit.min(MAX_LIMIT));
        let offset = u64::from(query.offset);
        if limit == 0 || offset >= total {
            return Ok(page);
        }
        let all = self.combined(query, &asked, care, None)?;
        let limit = limit.min(total - offset);
        for address in top(&searcher, &all, order, &asked, limit, offset)? {
            let doc = self.read(&searcher, address)?;
            page.hits.push(SearchHit {
                title_html: mark::whole(&doc.title, &asked),
                description_html: mark::snippet(&doc.description, &asked),
                doc,
            });
        }
        Ok(page)
    }

    fn suggest(&self, prefix: &str, audience: &[String], limit: usize) -> Result<Vec<String>> {
        let asked = asked(prefix);
        if limit == 0 || !matches!(asked, Asked::Pieces(_)) {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let query =
            all_of(vec![title_query(&self.fields, &asked), audience_query(&self.fields, audience)]);
        let wanted: String = normalise(prefix.trim()).into_iter().collect();
        let mut found: Vec<(bool, usize, String)> = Vec::new();
        for address in top(&searcher, &query, Order::Relevance, &asked, CANDIDATES, 0)? {
            let title = self.read(&searcher, address)?.title;
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

    fn rebuild(&self, docs: &[SearchDoc]) -> Result<()> {
        // One commit: searchers see the old documents until the new ones are complete.
        self.change(|writer| {
            writer.delete_query(Box::new(AllQuery)).map_err(write_failed)?;
            self.add(writer, docs)
        })?;
        self.needs_rebuild.store(false, Ordering::Release);
        Ok(())
    }

    fn count(&self) -> Result<u64> {
        Ok(self.reader.searcher().num_docs())
    }
}

/// What a page is sorted by; all descending, ties by publication, then by a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Relevance,
    Column(&'static str),
}

impl Order {
    fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "" | "relevance" => Order::Relevance,
            "published_at" => Order::Column(PUBLISHED),
            "data_at" => Order::Column(DATA_AT),
            "rows" => Order::Column(ROWS),
            other => {
                return Err(Error::new(
                    Code::InvalidQuery,
                    format!("不能按 `{other}` 排序，可用：relevance、published_at、data_at、rows"),
                    format!(
                        "cannot sort by `{other}`; use relevance, published_at, data_at or rows"
                    ),
                ));
            }
        })
    }
}

/// A numeric fast column of one segment; 0 where there is no value.
struct Numbers(Option<std::sync::Arc<dyn tantivy::columnar::ColumnValues<u64>>>);

impl Numbers {
    fn of(segment: &SegmentReader, name: &str) -> Self {
        Self(segment.fast_fields().u64(name).ok().map(|c| c.first_or_default_col(0)))
    }
    fn at(&self, doc: DocId) -> u64 {
        self.0.as_ref().map_or(0, |c| c.get_val(doc))
    }
}

/// Addresses of one page. `limit` and `offset` are within the number of matches.
fn top(
    searcher: &Searcher,
    query: &dyn Query,
    order: Order,
    asked: &Asked,
    limit: u64,
    offset: u64,
) -> Result<Vec<DocAddress>> {
    let docs = TopDocs::with_limit(as_usize(limit).max(1)).and_offset(as_usize(offset));
    let column = match order {
        Order::Relevance if matches!(asked, Asked::Pieces(_)) => {
            let best = docs.tweak_score(|segment: &SegmentReader| {
                let (published, tie) = (Numbers::of(segment, PUBLISHED), Numbers::of(segment, TIE));
                // Bits of a float that is not negative sort like the float.
                move |doc: DocId, score: Score| {
                    (score.max(0.0).to_bits(), published.at(doc), tie.at(doc))
                }
            });
            return Ok(run(searcher, query, best)?.into_iter().map(|(_, a)| a).collect());
        }
        Order::Relevance => PUBLISHED,
        Order::Column(name) => name,
    };
    let best = docs.order_by(move |segment: &SegmentReader| {
        let key = Numbers::of(segment, column);
        let (published, tie) = (Numbers::of(segment, PUBLISHED), Numbers::of(segment, TIE));
        move |doc: DocId| (key.at(doc), published.at(doc), tie.at(doc))
    });
    Ok(run(searcher, query, best)?.into_iter().map(|(_, a)| a).collect())
}

fn run<C: Collector>(searcher: &Searcher, query: &dyn Query, collector: C) -> Result<C::Fruit> {
    searcher.search(query, &collector).map_err(read_failed)
}

fn as_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
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
