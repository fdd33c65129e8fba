//! PostgreSQL's catalogue.

use std::collections::BTreeMap;

use model::Result;
use model::schema::{RelationKind, SourceSchema, SourceTable, TableName};
use tokio_postgres::Client;

use super::{Drafting, MOST, Told, left_out, not_tables};
use crate::query::postgres_error;

/// Schemas of people: not those of the server itself.
const OURS: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

pub(super) async fn describe(client: &Client, only: Option<&[TableName]>) -> Result<SourceSchema> {
    client.batch_execute("BEGIN TRANSACTION READ ONLY").await.map_err(postgres_error)?;
    let version = client.query_one("SHOW server_version", &[]).await.map_err(postgres_error)?;
    let product = format!("PostgreSQL {}", version.get::<_, String>(0));
    let mut found = SourceSchema { product, tables: Vec::new(), left_out: Vec::new(), more: false };
    heads(client, only, &mut found).await?;
    match only {
        Some(_) => {
            columns(client, &mut found.tables).await?;
            keys(client, &mut found.tables).await?;
        }
        None => {
            found.left_out = not_tables(&found);
            elsewhere(client, &mut found).await?;
        }
    }
    client.batch_execute("ROLLBACK").await.map_err(postgres_error)?;
    Ok(found)
}

/// Names as two arrays, for `unnest`.
fn arrays(tables: &[TableName]) -> (Vec<&str>, Vec<&str>) {
    tables.iter().map(|t| (t.schema.as_str(), t.name.as_str())).unzip()
}

async fn heads(
    client: &Client,
    only: Option<&[TableName]>,
    found: &mut SourceSchema,
) -> Result<()> {
    let (schemas, names) = arrays(only.unwrap_or_default());
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, COALESCE(obj_description(c.oid, 'pg_class'), ''),
                c.reltuples::float8,
                (SELECT COUNT(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {OURS}
           AND ($3 OR (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest($1::text[], $2::text[])))
         ORDER BY 1, 2 LIMIT {}",
        MOST + 1
    );
    let rows =
        client.query(&sql, &[&schemas, &names, &only.is_none()]).await.map_err(postgres_error)?;
    for row in &rows {
        let kind = match row.get::<_, &str>(2) {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::Snapshot,
            _ => RelationKind::Foreign,
        };
        let estimate = row.get::<_, f64>(4);
        #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
        let rows = (estimate >= 0.0).then_some(estimate as i64);
        found.tables.push(SourceTable {
            of: TableName { schema: row.get(0), name: row.get(1) },
            kind,
            comment: row.get(3),
            rows,
            width: row.get(5),
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

/// What is not listed: partitions and the schemas of the server.
async fn elsewhere(client: &Client, found: &mut SourceSchema) -> Result<()> {
    let sql = format!(
        "SELECT COUNT(*) FILTER (WHERE c.relispartition AND {OURS}), COUNT(*) FILTER (WHERE NOT ({OURS}))
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    );
    let row = client.query_one(&sql, &[]).await.map_err(postgres_error)?;
    let (partitions, system): (i64, i64) = (row.get(0), row.get(1));
    if partitions > 0 {
        found.left_out.push(left_out(
            "partitions",
            partitions,
            "分区随其父表编目",
            "partitions are catalogued with the table they belong to",
        ));
    }
    found.left_out.push(left_out(
        "pg_catalog, information_schema, pg_*",
        system,
        "数据库自身的系统模式不编目",
        "schemas of the server itself are not catalogued",
    ));
    Ok(())
}

async fn columns(client: &Client, tables: &mut [SourceTable]) -> Result<()> {
    let wanted: Vec<TableName> = tables.iter().map(|t| t.of.clone()).collect();
    let (schemas, names) = arrays(&wanted);
    let sql = "SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
                CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END,
                COALESCE(col_description(c.oid, a.attnum), ''), NOT a.attnotnull,
                COALESCE((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid), '{}')
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attnum > 0 AND NOT a.attisdropped
           AND (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest($1::text[], $2::text[]))
         ORDER BY 1, 2, a.attnum";
    let rows = client.query(sql, &[&schemas, &names]).await.map_err(postgres_error)?;
    let mut drafting: BTreeMap<TableName, Drafting> = BTreeMap::new();
    for row in &rows {
        let of = TableName { schema: row.get(0), name: row.get(1) };
        let Some(table) = tables.iter_mut().find(|t| t.of == of) else { continue };
        let (name, written, base, comment): (String, String, String, String) =
            (row.get(2), row.get(3), row.get(4), row.get(5));
        let told = Told {
            name: &name,
            sql_type: &written,
            base: &base,
            comment: &comment,
            nullable: row.get(6),
            labels: row.get(7),
        };
        let at = table.columns.len();
        let column = drafting.entry(of).or_insert_with(Drafting::new).column(at, told, false);
        table.columns.push(column);
    }
    for table in tables {
        table.width = i64::try_from(table.columns.len()).unwrap_or(0);
    }
    Ok(())
}

async fn keys(client: &Client, tables: &mut [SourceTable]) -> Result<()> {
    let wanted: Vec<TableName> = tables.iter().map(|t| t.of.clone()).collect();
    let (schemas, names) = arrays(&wanted);
    let sql = "SELECT n.nspname::text, c.relname::text, k.contype::text,
                (SELECT array_agg(a.attname::text ORDER BY x.ord) FROM unnest(k.conkey) WITH ORDINALITY AS x (attnum, ord)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.attnum),
                COALESCE(fn.nspname || '.' || fc.relname, '')
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
              LEFT JOIN pg_class fc ON fc.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
         WHERE k.contype IN ('p', 'u', 'f')
           AND (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest($1::text[], $2::text[]))
         ORDER BY 1, 2, k.conname";
    for row in &client.query(sql, &[&schemas, &names]).await.map_err(postgres_error)? {
        let of = TableName { schema: row.get(0), name: row.get(1) };
        let Some(table) = tables.iter_mut().find(|t| t.of == of) else { continue };
        let columns: Vec<String> = row.get(3);
        match row.get::<_, &str>(2) {
            "p" => table.primary = columns,
            "u" => table.unique.push(columns),
            _ => table.foreign.push((columns, row.get(4))),
        }
    }
    Ok(())
}
