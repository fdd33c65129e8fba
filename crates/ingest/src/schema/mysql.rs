//! The catalogue of MySQL and MariaDB.

use std::collections::BTreeMap;

use model::Result;
use model::schema::{RelationKind, SourceSchema, SourceTable, TableName};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};

use super::{Drafting, MOST, Told, left_out, not_tables};
use crate::query::mysql_error;

/// Schemas of the server itself.
const SYSTEM: &str = "('mysql', 'information_schema', 'performance_schema', 'sys')";

pub(super) async fn describe(conn: &mut Conn, only: Option<&[TableName]>) -> Result<SourceSchema> {
    for setting in ["SET NAMES utf8mb4", "START TRANSACTION READ ONLY"] {
        conn.query_drop(setting).await.map_err(mysql_error)?;
    }
    let version: Option<String> =
        conn.query_first("SELECT VERSION()").await.map_err(mysql_error)?;
    let version = version.unwrap_or_default();
    let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    let mut found = SourceSchema {
        product: format!("{name} {version}"),
        tables: Vec::new(),
        left_out: Vec::new(),
        more: false,
    };
    heads(conn, only, &mut found).await?;
    match only {
        Some(_) => {
            columns(conn, &mut found.tables).await?;
            keys(conn, &mut found.tables).await?;
        }
        None => {
            found.left_out = not_tables(&found);
            let system: Option<i64> = conn
                .query_first(format!(
                    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN {SYSTEM}"
                ))
                .await
                .map_err(mysql_error)?;
            found.left_out.push(left_out(
                "mysql, information_schema, performance_schema, sys",
                system.unwrap_or(0),
                "数据库自身的系统库不编目",
                "schemas of the server itself are not catalogued",
            ));
            let seen: Option<i64> = conn
                .query_first(
                    "SELECT COUNT(*) FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL",
                )
                .await
                .map_err(mysql_error)?;
            if seen.unwrap_or(0) == 0 {
                found.left_out.push(left_out(
                    "foreign keys",
                    0,
                    "没有看到外键；库中若有，是该账号无权查看，其变动不会提示：请授予 REFERENCES 权限",
                    "no foreign key was seen; if there are any, the account may not see them and their changes are not told: grant it REFERENCES",
                ));
            }
        }
    }
    conn.query_drop("ROLLBACK").await.map_err(mysql_error)?;
    Ok(found)
}

/// `(schema, name) IN (…)` with its values; all of people's schemas without names.
fn among(only: Option<&[TableName]>) -> (String, Params) {
    let Some(only) = only else {
        return (format!("TABLE_SCHEMA NOT IN {SYSTEM}"), Params::Empty);
    };
    if only.is_empty() {
        return ("1 = 0".to_owned(), Params::Empty);
    }
    let marks = vec!["(?, ?)"; only.len()].join(", ");
    let values: Vec<Value> =
        only.iter().flat_map(|t| [Value::from(&t.schema), Value::from(&t.name)]).collect();
    (format!("(TABLE_SCHEMA, TABLE_NAME) IN ({marks})"), Params::Positional(values))
}

type Head = (String, String, String, Option<String>, Option<u64>, Option<i64>);

async fn heads(
    conn: &mut Conn,
    only: Option<&[TableName]>,
    found: &mut SourceSchema,
) -> Result<()> {
    let (condition, values) = among(only);
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, TABLE_COMMENT, TABLE_ROWS,
             (SELECT COUNT(*) FROM information_schema.COLUMNS c
              WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME)
         FROM information_schema.TABLES t WHERE {condition} ORDER BY 1, 2 LIMIT {}",
        MOST + 1
    );
    let rows: Vec<Head> = conn.exec(sql, values).await.map_err(mysql_error)?;
    for (schema, name, kind, comment, rows, width) in rows {
        let kind = match kind.as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => RelationKind::Table,
            "VIEW" | "SYSTEM VIEW" => RelationKind::View,
            _ => RelationKind::Other,
        };
        found.tables.push(SourceTable {
            of: TableName { schema, name },
            kind,
            // The server writes the word VIEW where others have a comment.
            comment: comment
                .filter(|_| kind == RelationKind::Table)
                .unwrap_or_default()
                .trim()
                .to_owned(),
            rows: rows.and_then(|n| i64::try_from(n).ok()),
            width: width.unwrap_or(0),
            columns: Vec::new(),
            primary: Vec::new(),
            unique: Vec::new(),
            foreign: Vec::new(),
        });
    }
    found.more = found.tables.len() > MOST;
    found.tables.truncate(MOST);
    Ok(())
}

async fn columns(conn: &mut Conn, tables: &mut [SourceTable]) -> Result<()> {
    let wanted: Vec<TableName> = tables.iter().map(|t| t.of.clone()).collect();
    let (condition, values) = among(Some(&wanted));
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COLUMN_COMMENT, IS_NULLABLE
         FROM information_schema.COLUMNS WHERE {condition} ORDER BY 1, 2, ORDINAL_POSITION"
    );
    let rows: Vec<(String, String, String, String, String, String)> =
        conn.exec(sql, values).await.map_err(mysql_error)?;
    let mut drafting: BTreeMap<TableName, Drafting> = BTreeMap::new();
    for (schema, table, name, written, comment, nullable) in rows {
        let of = TableName { schema, name: table };
        let Some(table) = tables.iter_mut().find(|t| t.of == of) else { continue };
        let told = Told {
            name: &name,
            sql_type: &written,
            base: &written,
            comment: &comment,
            nullable: nullable == "YES",
            labels: labels(&written),
        };
        let at = table.columns.len();
        let column = drafting.entry(of).or_insert_with(Drafting::new).column(at, told, true);
        table.columns.push(column);
    }
    Ok(())
}

/// Labels of `enum('a','b''c')`.
fn labels(written: &str) -> Vec<String> {
    let Some(inside) = written.strip_prefix("enum(").and_then(|rest| rest.strip_suffix(')')) else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    let mut label: Option<String> = None;
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, &mut label) {
            ('\'', None) => label = Some(String::new()),
            ('\'', Some(text)) if chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            ('\'', Some(_)) => labels.extend(label.take()),
            (c, Some(text)) => text.push(c),
            (_, None) => {}
        }
    }
    labels
}

/// Keys: primary and unique ones from the indexes, which an account that may only read sees; foreign ones from the
/// constraints, which such an account may not see (that is told in the survey).
async fn keys(conn: &mut Conn, tables: &mut [SourceTable]) -> Result<()> {
    let wanted: Vec<TableName> = tables.iter().map(|t| t.of.clone()).collect();
    let (condition, values) = among(Some(&wanted));
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, '', COLUMN_NAME FROM information_schema.STATISTICS
         WHERE NON_UNIQUE = 0 AND {condition} ORDER BY 1, 2, 3, SEQ_IN_INDEX"
    );
    for (of, name, _, columns) in grouped(conn, sql, values).await? {
        let Some(table) = tables.iter_mut().find(|t| t.of == of) else { continue };
        match name.as_str() {
            "PRIMARY" => table.primary = columns,
            _ => table.unique.push(columns),
        }
    }
    let (condition, values) = among(Some(&wanted));
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME,
             CONCAT(REFERENCED_TABLE_SCHEMA, '.', REFERENCED_TABLE_NAME), COLUMN_NAME
         FROM information_schema.KEY_COLUMN_USAGE
         WHERE REFERENCED_TABLE_NAME IS NOT NULL AND {condition} ORDER BY 1, 2, 3, ORDINAL_POSITION"
    );
    for (of, _, points, columns) in grouped(conn, sql, values).await? {
        let Some(table) = tables.iter_mut().find(|t| t.of == of) else { continue };
        table.foreign.push((columns, points));
    }
    Ok(())
}

/// Table, name of the key, table it points to, columns.
type Key = (TableName, String, String, Vec<String>);

/// Rows of a key's columns, put together key by key.
async fn grouped(conn: &mut Conn, sql: String, values: Params) -> Result<Vec<Key>> {
    let rows: Vec<(String, String, String, String, String)> =
        conn.exec(sql, values).await.map_err(mysql_error)?;
    let mut all: Vec<Key> = Vec::new();
    for (schema, table, name, points, column) in rows {
        let of = TableName { schema, name: table };
        match all.last_mut() {
            Some((last, key, _, columns)) if *last == of && *key == name => columns.push(column),
            _ => all.push((of, name, points, vec![column])),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_read_out_of_an_enumeration() {
        assert_eq!(super::labels("enum('a','b''c','d,e')"), ["a", "b'c", "d,e"]);
        assert!(super::labels("varchar(3)").is_empty());
    }
}
