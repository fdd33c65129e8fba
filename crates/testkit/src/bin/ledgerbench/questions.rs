//! 200 mixed questions, drawn from the names of the corpus itself, the same every time.

use std::path::Path;

/// Kinds of questions: a word, a phrase of two, pinyin initials, a word within facets, a deep page.
pub(crate) const KINDS: &[&str] = &["single", "phrase", "pinyin", "facet", "deep"];
const EACH: usize = 40;
/// The deep page.
const DEPTH: u32 = 25;

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) filters: Vec<(String, String)>,
    /// Pages to leaf through before the one that is timed.
    pub(crate) depth: u32,
}

impl Question {
    pub(crate) fn of(kind: &'static str, text: &str) -> Self {
        Self { kind, text: text.to_owned(), filters: Vec::new(), depth: 0 }
    }
}

fn column(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Every `n`th of a list.
fn spread(all: &[String], count: usize) -> Vec<String> {
    let step = (all.len() / count.max(1)).max(1);
    all.iter().step_by(step).take(count).cloned().collect()
}

/// The end of a name, without its first `skip` characters.
fn tail(name: &str, skip: usize) -> String {
    name.chars().skip(skip).collect()
}

pub(crate) fn make(control: &Path) -> Vec<Question> {
    let db =
        rusqlite::Connection::open_with_flags(control, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap();
    // Names of items with how common they are: common and rare ones in turn.
    let items = column(
        &db,
        "SELECT name_cn FROM item WHERE rowid % 997 = 1 GROUP BY name_cn ORDER BY COUNT(*) DESC, name_cn",
    );
    let identifiers = column(
        &db,
        "SELECT identifier FROM item WHERE rowid % 1499 = 1 AND LENGTH(identifier) BETWEEN 3 AND 8 GROUP BY identifier ORDER BY identifier",
    );
    let titles = column(&db, "SELECT title FROM entry WHERE rowid % 509 = 1 ORDER BY id");
    let assets = column(&db, "SELECT name FROM asset WHERE rowid % 211 = 1 ORDER BY id");
    let orgs =
        column(&db, "SELECT org FROM entry GROUP BY org ORDER BY COUNT(*) DESC, org LIMIT 40");
    let mut out = Vec::new();
    out.extend(spread(&items, EACH).iter().map(|n| Question::of("single", n)));
    let ends: Vec<String> = spread(&titles, EACH / 2).iter().map(|t| tail(t, 3)).collect();
    let names: Vec<String> = spread(&assets, EACH / 2);
    out.extend(ends.iter().chain(&names).map(|n| Question::of("phrase", n)));
    out.extend(spread(&identifiers, EACH).iter().map(|n| Question::of("pinyin", n)));
    let facets = [
        ("share_type", "restricted"),
        ("grade", "L3"),
        ("ledger", "item"),
        ("ledger", "data"),
        ("region", "330100"),
    ];
    for (n, name) in spread(&items, EACH).iter().enumerate() {
        let mut q = Question::of("facet", &tail(name, name.chars().count().saturating_sub(4)));
        let (facet, value) = facets[n % facets.len()];
        q.filters.push((facet.into(), value.into()));
        if n % 2 == 0
            && let Some(org) = orgs.get(n % orgs.len().max(1))
        {
            q.filters.push(("org".into(), org.clone()));
        }
        out.push(q);
    }
    for name in spread(&items, EACH) {
        let mut q = Question::of("deep", &tail(&name, name.chars().count().saturating_sub(3)));
        q.depth = DEPTH;
        out.push(q);
    }
    out
}
