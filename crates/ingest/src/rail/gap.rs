//! Large values that a change did not bring because they did not change are asked of the source, many rows at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use model::Result;

use super::decode::Datum;
use super::place::{Session, failed, literal, quoted, table};
use super::shape::Shape;
use super::stream::Change;

/// Rows of one question.
const AT_ONCE: usize = 500;
/// The column or the table is there no more.
const GONE: [&str; 2] = ["42703", "42P01"];

/// Fills the gaps of these changes. A row that is gone at the source is marked: its delete follows in the log.
pub(super) async fn fill(session: &Session, changes: &mut [Change]) -> Result<()> {
    let mut shapes: Vec<Arc<Shape>> = Vec::new();
    for change in changes.iter().filter(|c| c.gaps) {
        if !shapes.iter().any(|shape| Arc::ptr_eq(shape, &change.shape)) {
            shapes.push(Arc::clone(&change.shape));
        }
    }
    for shape in shapes {
        let mut columns: BTreeSet<usize> = BTreeSet::new();
        let mut keys: BTreeSet<Vec<String>> = BTreeSet::new();
        for change in changes.iter().filter(|c| c.gaps && Arc::ptr_eq(&c.shape, &shape)) {
            let gaps = change.cells.iter().enumerate();
            columns.extend(
                gaps.filter(|(at, cell)| {
                    **cell == Datum::Unchanged && shape.item_of(*at).is_some()
                })
                .map(|(at, _)| at),
            );
            keys.extend(key_of(&shape, change));
        }
        let columns: Vec<usize> = columns.into_iter().collect();
        let keys: Vec<Vec<String>> = keys.into_iter().collect();
        let mut found = HashMap::new();
        let mut there = true;
        for some in keys.chunks(AT_ONCE) {
            there = there && ask(session, &shape, &columns, some, &mut found).await?;
        }
        if !there {
            // The source has dropped the column, as the log will say: what it held is nowhere, so the value is empty.
            continue;
        }
        for change in changes.iter_mut().filter(|c| c.gaps && Arc::ptr_eq(&c.shape, &shape)) {
            let row = key_of(&shape, change).and_then(|key| found.get(&key));
            let Some(row) = row else {
                change.overtaken = true;
                continue;
            };
            for (at, value) in columns.iter().zip(row) {
                if let Some(cell) = change.cells.get_mut(*at)
                    && *cell == Datum::Unchanged
                {
                    *cell = value.clone();
                }
            }
        }
    }
    Ok(())
}

fn key_of(shape: &Shape, change: &Change) -> Option<Vec<String>> {
    shape.key.iter().map(|at| change.cells.get(*at)?.text().map(str::to_owned)).collect()
}

/// Asks for these columns of these rows; `false` when the source has them no more.
async fn ask(
    session: &Session,
    shape: &Shape,
    columns: &[usize],
    keys: &[Vec<String>],
    found: &mut HashMap<Vec<String>, Vec<Datum>>,
) -> Result<bool> {
    let name = |at: &usize| quoted(shape.names.get(*at).map_or("", String::as_str));
    let key: Vec<String> = shape.key.iter().map(name).collect();
    let wanted: Vec<String> = shape.key.iter().chain(columns).map(name).collect();
    let values: Vec<String> = keys
        .iter()
        .map(|key| key.iter().map(|v| literal(v)).collect::<Vec<_>>().join(", "))
        .map(|key| format!("({key})"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE ({}) IN ({})",
        wanted.join(", "),
        table(&shape.place),
        key.join(", "),
        values.join(", ")
    );
    let answer = match session.simple_query(&sql).await {
        Ok(answer) => answer,
        Err(e) if e.code().is_some_and(|code| GONE.contains(&code.code())) => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    for message in answer {
        let tokio_postgres::SimpleQueryMessage::Row(row) = message else { continue };
        let text = |at: usize| row.try_get(at).ok().flatten();
        let Some(key) =
            (0..key.len()).map(|at| text(at).map(str::to_owned)).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let values = (key.len()..wanted.len())
            .map(|at| match text(at) {
                Some(text) => Datum::Text(Bytes::copy_from_slice(text.as_bytes())),
                None => Datum::Null,
            })
            .collect();
        found.insert(key, values);
    }
    Ok(true)
}
