//! Filling PostgreSQL's serving tables: COPY into a staging table, then set by set into the live or a new one.

use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::{Batch, Operation};
use model::code::SyncMode;
use model::{Error, Result};
use sqlx::postgres::{PgConnection, PgPool};

use super::super::shape::{Cell, Kind, Shape, Shuffler, Storage, cell};
use super::super::{Table, kind_changed, slug};
use super::{MARK, execute, fail, read_mark, ticket};

/// Bytes gathered before they are sent to COPY.
const COPY_BYTES: usize = 1 << 20;

/// One refresh at work.
pub(super) struct Load<'a> {
    pub(super) entry: &'a str,
    pub(super) shape: Shape,
    pub(super) parcel: &'a str,
    pub(super) lake_version: i64,
    pub(super) staging: &'a str,
    pub(super) shuffler: Shuffler,
}

impl Load<'_> {
    /// Copies the parcel, record by record, into the staging table.
    pub(super) async fn copy(
        &mut self,
        connection: &mut PgConnection,
        pool: &PgPool,
        mut rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<()> {
        let staging = self.staging;
        // The staging table has the hashes whether or not the live one, which is not known yet, wants them.
        let wanted = self.shape.shuffled;
        self.shape.shuffled = Some(!self.shape.key.is_empty());
        let definition = definition(&self.shape);
        execute(
            connection,
            format!("CREATE UNLOGGED TABLE serving.{staging} (_seq BIGINT GENERATED ALWAYS AS IDENTITY, _op TEXT NOT NULL{definition})"),
        )
        .await?;
        let list = std::iter::once("_op".to_owned())
            .chain((0..width(&self.shape)).map(|n| format!("c{n}")))
            .collect::<Vec<_>>()
            .join(",");
        let mut copy = connection
            .copy_in_raw(&format!("COPY serving.{staging} ({list}) FROM STDIN"))
            .await
            .map_err(fail)?;
        let mut buffer = Vec::with_capacity(COPY_BYTES + 65_536);
        while let Some(batch) = rows.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    let _ = copy.abort("the stream of rows failed").await;
                    return Err(error);
                }
            };
            for row in 0..batch.rows() {
                if let Err(error) =
                    copy_row(&mut buffer, &mut self.shape, &self.shuffler, &batch, row)
                {
                    let _ = copy.abort("a row does not have the entry's types").await;
                    return Err(error);
                }
                if buffer.len() >= COPY_BYTES {
                    copy.send(buffer.as_slice()).await.map_err(fail)?;
                    buffer.clear();
                }
            }
            sqlx::query("UPDATE serving.loading SET touched = now() WHERE name = $1")
                .bind(staging)
                .execute(pool)
                .await
                .map_err(fail)?;
        }
        if !buffer.is_empty() {
            copy.send(buffer.as_slice()).await.map_err(fail)?;
        }
        copy.finish().await.map_err(fail)?;
        self.shape.shuffled = wanted;
        Ok(())
    }

    /// Takes the staging table's last records into the live table and moves the mark.
    pub(super) async fn apply(
        &mut self,
        connection: &mut PgConnection,
        mode: SyncMode,
    ) -> Result<u64> {
        execute(connection, "BEGIN".to_owned()).await?;
        let done = self.apply_in(connection, mode).await;
        execute(connection, if done.is_ok() { "COMMIT" } else { "ROLLBACK" }.to_owned()).await?;
        done
    }

    async fn apply_in(&mut self, connection: &mut PgConnection, mode: SyncMode) -> Result<u64> {
        // One refresh of an entry at a time, whichever process does it.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7162))")
            .bind(self.entry)
            .execute(&mut *connection)
            .await
            .map_err(fail)?;
        let before = sqlx::query(MARK)
            .bind(self.entry)
            .fetch_optional(&mut *connection)
            .await
            .map_err(fail)?;
        let before = before.as_ref().map(read_mark).transpose()?;
        if let Some(table) = &before
            && table.lake_version >= self.lake_version
        {
            return Ok(table.rows);
        }
        let (name, generation, fresh) = match (&before, mode) {
            (Some(table), SyncMode::Incremental) => self.adopt(connection, table).await?,
            _ => {
                let generation = ticket(connection).await?;
                let name = format!("s_{}_{generation}", slug(self.entry));
                create(connection, &name, &self.shape).await?;
                (name, generation, true)
            }
        };
        let rows = self.merge(connection, &name, fresh, before.as_ref().filter(|_| !fresh)).await?;
        if fresh {
            index(connection, &name, &self.shape).await?;
            execute(connection, format!("ANALYZE serving.{name}")).await?;
        }
        self.put_mark(connection, &name, generation, rows).await?;
        if let Some(table) = before.filter(|t| t.name != name) {
            execute(connection, format!("DROP TABLE IF EXISTS serving.{}", table.name)).await?;
        }
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// Brings the records in; answers the rows of the table afterwards.
    async fn merge(
        &self,
        connection: &mut PgConnection,
        name: &str,
        fresh: bool,
        before: Option<&Table>,
    ) -> Result<i64> {
        let mut rows = before.map_or(0, |t| i64::try_from(t.rows).unwrap_or(i64::MAX));
        // What the staging table holds and the live one does not is left behind: a live table of before has no hashes.
        let all = columns(0..width(&self.shape), "");
        let staging = self.staging;
        if self.shape.key.is_empty() {
            let added = execute(
                connection,
                format!("INSERT INTO serving.{name} ({all}) SELECT {all} FROM serving.{staging} WHERE _op <> 'D' ORDER BY _seq"),
            )
            .await?;
            return Ok(rows.saturating_add_unsigned(added));
        }
        let key = columns(self.shape.key.iter().copied(), "");
        let last = format!(
            "SELECT DISTINCT ON ({key}) * FROM serving.{staging} ORDER BY {key}, _seq DESC"
        );
        if !fresh {
            // Equality first, by the index; keys with a null in them are few and found by the slow way.
            let join = |operator: &str| {
                let pairs = self.shape.key.iter().map(|n| format!("t.c{n} {operator} l.c{n}"));
                pairs.collect::<Vec<_>>().join(" AND ")
            };
            let some_null = self
                .shape
                .key
                .iter()
                .map(|n| format!("l.c{n} IS NULL"))
                .collect::<Vec<_>>()
                .join(" OR ");
            for (operator, extra) in
                [("=", String::new()), ("IS NOT DISTINCT FROM", format!(" AND ({some_null})"))]
            {
                let removed = execute(
                    connection,
                    format!(
                        "DELETE FROM serving.{name} t USING ({last}) l WHERE {}{extra}",
                        join(operator)
                    ),
                )
                .await?;
                rows = rows.saturating_sub_unsigned(removed);
            }
        }
        let added = execute(
            connection,
            format!("INSERT INTO serving.{name} ({all}) SELECT {all} FROM ({last}) l WHERE _op <> 'D' ORDER BY _seq"),
        )
        .await?;
        Ok(rows.saturating_add_unsigned(added))
    }

    async fn put_mark(
        &self,
        connection: &mut PgConnection,
        name: &str,
        generation: i64,
        rows: i64,
    ) -> Result<()> {
        let shape = serde_json::to_string(&self.shape)
            .map_err(|e| Error::internal("cannot write the mark's shape").caused_by(e))?;
        sqlx::query(
            "INSERT INTO serving.mark VALUES ($1, $2, $3, nextval('serving.ticket'), $4, $5, $6, $7) ON CONFLICT (entry) DO UPDATE SET name = excluded.name, generation = excluded.generation, stamp = excluded.stamp, parcel = excluded.parcel, lake_version = excluded.lake_version, row_count = excluded.row_count, shape = excluded.shape",
        )
        .bind(self.entry)
        .bind(name)
        .bind(generation)
        .bind(self.parcel)
        .bind(self.lake_version)
        .bind(rows)
        .bind(shape)
        .execute(connection)
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// The live table, or its rows in a table of the new shape when the entry's items have changed.
    async fn adopt(
        &mut self,
        connection: &mut PgConnection,
        before: &Table,
    ) -> Result<(String, i64, bool)> {
        if self.shape.same_layout(&before.shape) {
            self.shape.shuffled = before.shape.shuffled;
            for (mine, theirs) in self.shape.columns.iter_mut().zip(&before.shape.columns) {
                mine.nulls |= theirs.nulls;
                mine.fan_out = theirs.fan_out;
            }
            return Ok((before.name.clone(), before.generation, false));
        }
        let (mut to, mut from) = (vec!["_id".to_owned()], vec!["_id".to_owned()]);
        // Hashes are carried over, not made anew; a table without them gets them with the next full load.
        self.shape.shuffled = before.shape.shuffled;
        if let Some((new, old)) = self.shape.shuffle().zip(before.shape.shuffle()) {
            to.push(format!("c{new}"));
            from.push(format!("c{old}"));
        }
        for (n, column) in self.shape.columns.iter_mut().enumerate() {
            match before.shape.find(&column.name) {
                Some((_, old)) if old.kind != column.kind => {
                    return Err(kind_changed(&column.name));
                }
                Some((m, old)) => {
                    column.nulls |= old.nulls;
                    to.push(format!("c{n}"));
                    from.push(format!("c{m}"));
                }
                None => column.nulls |= before.rows > 0,
            }
        }
        let generation = ticket(connection).await?;
        let name = format!("s_{}_{generation}", slug(self.entry));
        create(connection, &name, &self.shape).await?;
        let (to, from, old) = (to.join(","), from.join(","), &before.name);
        execute(
            connection,
            format!(
                "INSERT INTO serving.{name} ({to}) SELECT {from} FROM serving.{old} ORDER BY _id"
            ),
        )
        .await?;
        execute(
            connection,
            format!("SELECT setval(pg_get_serial_sequence('serving.{name}', '_id'), (SELECT COALESCE(MAX(_id), 0) + 1 FROM serving.{name}), false)"),
        )
        .await?;
        index(connection, &name, &self.shape).await?;
        Ok((name, generation, false))
    }
}

fn definition(shape: &Shape) -> String {
    let mut sql = String::new();
    for (n, column) in shape.columns.iter().enumerate() {
        let storage = match column.kind.storage() {
            Storage::Text => "TEXT COLLATE \"C\"",
            Storage::Integer => "BIGINT",
            Storage::Float => "DOUBLE PRECISION",
        };
        sql.push_str(&format!(", c{n} {storage}"));
    }
    if let Some(n) = shape.shuffle() {
        sql.push_str(&format!(", c{n} BIGINT"));
    }
    sql
}

/// Columns of the table besides `_id`.
fn width(shape: &Shape) -> usize {
    shape.columns.len() + usize::from(shape.shuffle().is_some())
}

async fn create(connection: &mut PgConnection, name: &str, shape: &Shape) -> Result<()> {
    let definition = definition(shape);
    let sql = format!(
        "CREATE TABLE serving.{name} (_id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY{definition})"
    );
    execute(connection, sql).await.map(|_| ())
}

async fn index(connection: &mut PgConnection, name: &str, shape: &Shape) -> Result<()> {
    if !shape.key.is_empty() {
        let key = columns(shape.key.iter().copied(), "");
        execute(connection, format!("CREATE UNIQUE INDEX ON serving.{name} ({key})")).await?;
    }
    if let Some(n) = shape.shuffle() {
        execute(connection, format!("CREATE INDEX ON serving.{name} (c{n})")).await?;
    }
    for n in shape.lookups() {
        let rest = if shape.key.is_empty() {
            "_id".to_owned()
        } else {
            columns(shape.key.iter().copied().filter(|k| *k != n), "")
        };
        let rest = if rest.is_empty() { rest } else { format!(",{rest}") };
        execute(connection, format!("CREATE INDEX ON serving.{name} (c{n}{rest})")).await?;
    }
    Ok(())
}

fn columns(indexes: impl IntoIterator<Item = usize>, prefix: &str) -> String {
    indexes.into_iter().map(|n| format!("{prefix}c{n}")).collect::<Vec<_>>().join(",")
}

/// One record in COPY's text form.
fn copy_row(
    buffer: &mut Vec<u8>,
    shape: &mut Shape,
    shuffler: &Shuffler,
    batch: &Batch,
    row: usize,
) -> Result<()> {
    use std::io::Write;
    let deleted = batch.operation(row) == Operation::Delete;
    buffer.push(if deleted { b'D' } else { b'I' });
    for (n, column) in shape.columns.iter_mut().enumerate() {
        buffer.push(b'\t');
        let values = batch
            .columns
            .get(n)
            .ok_or_else(|| Error::internal(format!("the batch has no column {n}")))?;
        let cell = cell(values, column.kind, row)?;
        column.nulls |= cell.is_null() && !deleted;
        let written = match &cell {
            Cell::Null => buffer.write_all(b"\\N"),
            Cell::Integer(i) => write!(buffer, "{i}"),
            Cell::Float(f) if f.is_infinite() => {
                buffer.write_all(if *f > 0.0 { b"Infinity" } else { b"-Infinity" })
            }
            Cell::Float(f) => write!(buffer, "{f:?}"),
            Cell::Text(text) => {
                for byte in text.bytes() {
                    match byte {
                        b'\\' => buffer.extend_from_slice(b"\\\\"),
                        b'\n' => buffer.extend_from_slice(b"\\n"),
                        b'\r' => buffer.extend_from_slice(b"\\r"),
                        b'\t' => buffer.extend_from_slice(b"\\t"),
                        // PostgreSQL cannot hold NUL in a text.
                        0 => buffer.extend_from_slice("\u{fffd}".as_bytes()),
                        b => buffer.push(b),
                    }
                }
                Ok(())
            }
        };
        written.map_err(|e| Error::internal("cannot write to memory").caused_by(e))?;
    }
    if shape.shuffle().is_some() {
        let key = shape.key.iter().filter_map(|k| Some((batch.columns.get(*k)?, *k))).map(
            |(values, k)| {
                let kind = shape.columns.get(k).map_or(Kind::Text, |c| c.kind);
                cell(values, kind, row)
            },
        );
        let place = shuffler.place(key)?;
        write!(buffer, "\t{place}")
            .map_err(|e| Error::internal("cannot write to memory").caused_by(e))?;
    }
    buffer.push(b'\n');
    Ok(())
}
