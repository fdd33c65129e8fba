//! The rivals on the same corpus: SQLite FTS5 and PostgreSQL full text. Neither cuts Chinese into words, so both are
//! given pairs of characters (a phrase of pairs finds any substring) and pinyin initials. They are asked for less than we
//! are: the first twenty by their rank with the exact total, alone or with the exact counts of five facets (we: ten).

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use testkit::{grams, initials};
use tokio_postgres::NoTls;

use super::questions::Question;
use super::say;

/// Rows of the corpus: text, initials, ledger, org, region, share type, grade.
struct Row {
    text: String,
    initials: String,
    ledger: String,
    org: String,
    region: String,
    share: String,
    grade: String,
}

/// Hands over every document that our index holds.
fn corpus(control: &Path, mut take: impl FnMut(Row)) {
    let db =
        Connection::open_with_flags(control, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut each = |sql: &str| {
        let mut statement = db.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let get = |n: usize| row.get::<_, Option<String>>(n).unwrap().unwrap_or_default();
            let name = get(0);
            take(Row {
                text: grams(&format!("{name} {}", get(1))),
                initials: initials(&name),
                ledger: get(2),
                org: get(3),
                region: get(4),
                share: get(5),
                grade: get(6),
            });
        }
    };
    each("SELECT title, title, 'data', org, region, share_type, grade FROM entry");
    each("SELECT name, code, ledger, org, region, '', '' FROM asset");
    each(
        "SELECT i.name_cn, i.identifier, 'item', e.org, e.region, i.share_type, i.grade
         FROM item i JOIN entry e ON e.id = i.entry",
    );
}

/// SQLite with an FTS5 table and the columns to filter by.
pub(crate) struct Lite {
    db: Connection,
}

impl Lite {
    pub(crate) fn build(control: &Path, folder: &Path) -> Self {
        let path = folder.join("bench-fts5.db");
        let _none_before = std::fs::remove_file(&path);
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA mmap_size = 4294967296;
             CREATE TABLE d (ledger TEXT, org TEXT, region TEXT, share TEXT, grade TEXT);
             CREATE VIRTUAL TABLE f USING fts5 (text, initials, content = '', tokenize = 'unicode61');",
        )
        .unwrap();
        let start = Instant::now();
        let tx = db.transaction().unwrap();
        {
            let mut d = tx.prepare("INSERT INTO d VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
            let mut f =
                tx.prepare("INSERT INTO f (rowid, text, initials) VALUES (?1, ?2, ?3)").unwrap();
            corpus(control, |r| {
                d.execute(params![r.ledger, r.org, r.region, r.share, r.grade]).unwrap();
                f.execute(params![tx.last_insert_rowid(), r.text, r.initials]).unwrap();
            });
        }
        tx.commit().unwrap();
        db.execute_batch(
            "INSERT INTO f (f) VALUES ('optimize'); CREATE INDEX d_org ON d (org); ANALYZE;",
        )
        .unwrap();
        say(&format!("SQLite FTS5 built in {:.0} s", start.elapsed().as_secs_f64()));
        Self { db }
    }

    /// One question, timed: a page and its total, and the counts of the facets when wanted.
    pub(crate) fn ask(&self, q: &Question, facets: bool) -> Duration {
        let ascii = q.text.is_ascii();
        let what = if ascii {
            format!("initials : {}* OR text : {}*", quoted(&q.text), quoted(&q.text))
        } else {
            format!("text : {}", quoted(&grams(&q.text)))
        };
        let wheres = filters(q, |n| format!("?{}", n + 2));
        let offset = q.depth * 20;
        let page = format!(
            "SELECT f.rowid FROM f JOIN d ON d.rowid = f.rowid WHERE f MATCH ?1{wheres} ORDER BY rank LIMIT 20 OFFSET {offset}"
        );
        let matched = format!("FROM f JOIN d ON d.rowid = f.rowid WHERE f MATCH ?1{wheres}");
        let count = counting(&matched, facets);
        let values: Vec<&str> = std::iter::once(what.as_str())
            .chain(q.filters.iter().map(|(_, v)| v.as_str()))
            .collect();
        let start = Instant::now();
        let mut statement = self.db.prepare(&page).unwrap();
        let rows = statement
            .query_map(rusqlite::params_from_iter(&values), |row| row.get::<_, i64>(0))
            .unwrap();
        let ids: Vec<i64> = rows.map(Result::unwrap).collect();
        let mut statement = self.db.prepare(&count).unwrap();
        let rows = statement
            .query_map(rusqlite::params_from_iter(&values), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(2)?))
            })
            .unwrap();
        let counts: Vec<(String, i64)> = rows.map(Result::unwrap).collect();
        let total: i64 = counts.iter().filter(|(f, _)| f == "ledger").map(|(_, n)| n).sum();
        let took = start.elapsed();
        assert!(i64::try_from(ids.len()).unwrap() <= total);
        took
    }
}

/// Counts of what matched: by ledger (which makes the total), and by four more facets when wanted.
fn counting(matched: &str, facets: bool) -> String {
    if !facets {
        return format!("SELECT 'ledger', '', COUNT(*) {matched}");
    }
    let each: Vec<String> = ["ledger", "org", "region", "share", "grade"]
        .map(|f| format!("SELECT '{f}', {f}, COUNT(*) FROM m GROUP BY {f}"))
        .into();
    format!(
        "WITH m AS MATERIALIZED (SELECT d.ledger, d.org, d.region, d.share, d.grade {matched}) {}",
        each.join(" UNION ALL ")
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', ""))
}

/// ` AND d.org = …` for each filter; a region covers those below it.
fn filters(q: &Question, mark: impl Fn(usize) -> String) -> String {
    q.filters
        .iter()
        .enumerate()
        .map(|(n, (facet, _))| match facet.as_str() {
            "region" => format!(" AND SUBSTR(d.region, 1, 4) = SUBSTR({}, 1, 4)", mark(n)),
            "share_type" => format!(" AND d.share = {}", mark(n)),
            other => format!(" AND d.{other} = {}", mark(n)),
        })
        .collect()
}

/// PostgreSQL with a GIN index over the pairs and one over the initials: times with the counts of the facets, and
/// without.
pub(crate) async fn postgres(
    control: &Path,
    url: &str,
    questions: &[Question],
) -> (Vec<Duration>, Vec<Duration>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(
            "SET synchronous_commit = off; SET maintenance_work_mem = '512MB';
             CREATE TABLE d (text TSVECTOR, initials TEXT, ledger TEXT, org TEXT, region TEXT, share TEXT, grade TEXT)",
        )
        .await
        .unwrap();
    let start = Instant::now();
    let (send, mut receive) = tokio::sync::mpsc::channel::<Vec<Row>>(4);
    let control = control.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut lot = Vec::new();
        corpus(&control, |row| {
            lot.push(row);
            if lot.len() == 2000 {
                send.blocking_send(std::mem::take(&mut lot)).ok().unwrap();
            }
        });
        send.blocking_send(lot).ok().unwrap();
    });
    let insert = client
        .prepare_typed(
            "INSERT INTO d SELECT to_tsvector('simple', t), i, l, o, r, s, g
             FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[]) AS x (t, i, l, o, r, s, g)",
            &[],
        )
        .await
        .unwrap();
    while let Some(lot) = receive.recv().await {
        let column =
            |of: fn(&Row) -> &String| lot.iter().map(|r| of(r).clone()).collect::<Vec<_>>();
        client
            .execute(
                &insert,
                &[
                    &column(|r| &r.text),
                    &column(|r| &r.initials),
                    &column(|r| &r.ledger),
                    &column(|r| &r.org),
                    &column(|r| &r.region),
                    &column(|r| &r.share),
                    &column(|r| &r.grade),
                ],
            )
            .await
            .unwrap();
    }
    reading.await.unwrap();
    client
        .batch_execute(
            "CREATE INDEX d_text ON d USING GIN (text); CREATE INDEX d_initials ON d (initials text_pattern_ops);
             CREATE INDEX d_org ON d (org); ANALYZE d",
        )
        .await
        .unwrap();
    say(&format!("PostgreSQL built in {:.0} s", start.elapsed().as_secs_f64()));
    let mut times = (Vec::new(), Vec::new());
    for q in questions {
        times.0.push(ask(&client, q, true).await);
    }
    for q in questions {
        times.1.push(ask(&client, q, false).await);
    }
    times
}

async fn ask(client: &tokio_postgres::Client, q: &Question, facets: bool) -> Duration {
    let ascii = q.text.is_ascii();
    let what = if ascii {
        "(d.initials LIKE $1 || '%' OR d.text @@ to_tsquery('simple', $1 || ':*'))"
    } else {
        "d.text @@ phraseto_tsquery('simple', $1)"
    };
    let text = if ascii {
        q.text.replace('_', " ").split(' ').next().unwrap_or_default().to_owned()
    } else {
        grams(&q.text)
    };
    let wheres = filters(q, |n| format!("${}", n + 2));
    let rank =
        if ascii { "d.initials" } else { "ts_rank(d.text, phraseto_tsquery('simple', $1)) DESC" };
    let offset = q.depth * 20;
    let page = format!(
        "SELECT d.ctid::TEXT FROM d WHERE {what}{wheres} ORDER BY {rank} LIMIT 20 OFFSET {offset}"
    );
    let count = counting(&format!("FROM d WHERE {what}{wheres}"), facets);
    let mut values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&text];
    for (_, value) in &q.filters {
        values.push(value);
    }
    let start = Instant::now();
    let rows = client.query(&page, &values).await.unwrap();
    let counts = client.query(&count, &values).await.unwrap();
    let total: i64 = counts
        .iter()
        .filter(|row| row.get::<_, String>(0) == "ledger")
        .map(|row| row.get::<_, i64>(2))
        .sum();
    let took = start.elapsed();
    assert!(i64::try_from(rows.len()).unwrap() <= total);
    took
}
