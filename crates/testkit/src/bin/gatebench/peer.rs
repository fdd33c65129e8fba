//! The bare peer: axum and SQLite, one prepared statement per thread.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use rusqlite::types::Value as Sql;
use serde_json::{Map, Value};

use crate::Outcome;
use crate::plan::Plan;

/// No signature, no policy, no mask, no audit.
struct Peer {
    db: PathBuf,
    by_key: String,
    from_key: String,
    key_column: String,
    columns: Vec<String>,
}

thread_local! {
    static CONNECTION: RefCell<Option<rusqlite::Connection>> = const { RefCell::new(None) };
}

pub(crate) async fn serve(dir: &Path, address: &str) -> Outcome {
    let plan = Plan::read(dir)?;
    let quoted: Vec<String> = plan.columns.iter().map(|c| format!("\"{c}\"")).collect();
    let (columns, key) = (quoted.join(", "), &plan.key_column);
    let state = Arc::new(Peer {
        db: dir.join("bare.db"),
        by_key: format!("SELECT {columns} FROM t WHERE \"{key}\" = ?"),
        from_key: format!(
            "SELECT {columns} FROM t WHERE \"{key}\" >= ? ORDER BY \"{key}\" LIMIT {}",
            plan.page
        ),
        key_column: plan.key_column,
        columns: plan.columns,
    });
    let router =
        axum::Router::new().route(&plan.path, axum::routing::get(answer)).with_state(state);
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, router).await?)
}

async fn answer(
    State(peer): State<Arc<Peer>>,
    Query(query): Query<Vec<(String, String)>>,
) -> axum::response::Response {
    let asked = query
        .iter()
        .find(|(name, _)| *name == peer.key_column)
        .and_then(|(_, value)| value.split_once('.'));
    let found = match asked {
        Some(("eq", key)) => find(&peer, &peer.by_key, key),
        Some(("gte", key)) => find(&peer, &peer.from_key, key),
        _ => Err("no key".into()),
    };
    match found {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

fn find(peer: &Peer, sql: &str, key: &str) -> Outcome<Vec<u8>> {
    CONNECTION.with_borrow_mut(|slot| {
        let connection = match slot {
            Some(open) => open,
            None => slot.insert(rusqlite::Connection::open(&peer.db)?),
        };
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([key])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let mut object = Map::new();
            for (position, column) in peer.columns.iter().enumerate() {
                object.insert(column.clone(), of_sql(row.get(position)?));
            }
            out.push(object);
        }
        Ok(serde_json::to_vec(&out)?)
    })
}

fn of_sql(value: Sql) -> Value {
    match value {
        Sql::Null | Sql::Blob(_) => Value::Null,
        Sql::Integer(i) => i.into(),
        Sql::Real(f) => f.into(),
        Sql::Text(t) => t.into(),
    }
}
