//! Releases: one plan from the view to masked rows, by a grant.
//!
//! The order of the steps is the promise: filter and order see plain values only of columns the grant lets the
//! caller filter and order by; the projection that follows names granted columns only, masked where the grant says.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, SortExpr};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use model::query::RowQuery;
use model::value::{Row, Rows};
use model::{Code, Error, Result};
use policy::{Action, Grant, GrantColumn};

use crate::cells::Cells;
use crate::lake::DeltaLake;
use crate::masking::Masking;
use crate::schema::{HASH, RECORD_ID, Shape};
use crate::table::Loaded;
use crate::view::named;
use crate::{fault, filter, masking, view};

/// What of a query concerns the columns: checked against the grant before anything is opened.
struct Wanted<'a> {
    /// Granted columns with the names they go out by.
    columns: Vec<(&'a GrantColumn, &'a str)>,
}

impl<'a> Wanted<'a> {
    fn of(grant: &'a Grant, query: &'a RowQuery) -> Result<Self> {
        let columns: Vec<(&GrantColumn, &str)> = if query.select.is_empty() {
            grant.columns().iter().map(|c| (c, c.identifier.as_str())).collect()
        } else {
            query
                .select
                .iter()
                .map(|(name, alias)| {
                    let column = grant.column(name).ok_or_else(|| filter::not_granted(name))?;
                    Ok((column, alias.as_deref().unwrap_or(name)))
                })
                .collect::<Result<_>>()?
        };
        if columns.is_empty() {
            return Err(Error::of(Code::NoGrant));
        }
        let mut seen = HashSet::new();
        if let Some((_, twice)) = columns.iter().find(|(_, name)| !seen.insert(*name)) {
            return Err(Error::new(
                Code::InvalidQuery,
                format!("返回列 `{twice}` 重复，请使用不同的别名"),
                format!("the column `{twice}` is selected twice: give each its own alias"),
            ));
        }
        Ok(Self { columns })
    }

    fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(_, name)| (*name).to_owned()).collect()
    }
}

impl DeltaLake {
    /// Builds and starts the plan. See [`policy::port::Lake::scan`].
    pub(crate) async fn scan_granted(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        let (names, rows) = self.granted_rows(grant, query, version).await?;
        match rows {
            Some(rows) => released(grant.code(), rows, names).await,
            None => {
                let none = Rows { columns: names, rows: Vec::new() };
                Ok(stream::iter([Ok(none)]).boxed())
            }
        }
    }

    /// The plan of a release, not started yet, and the names of its columns; no plan where nothing has landed.
    pub(crate) async fn granted_rows(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<(Vec<String>, Option<DataFrame>)> {
        let wanted = Wanted::of(grant, query)?;
        check_query(grant, query)?;
        let names = wanted.names();
        let Some(table) = self.table_at(grant.code(), version).await? else {
            return Ok((names, None));
        };
        let loaded = Loaded::of(&table)?;
        let stored = loaded.columns()?;
        let (skip, limit) = span(grant, query);
        let order = order(grant, query, &stored);

        // Without an order a single partition keeps the stored one, so that two downloads are the same and pages
        // follow each other.
        let session = self.session(!order.is_empty());
        let rows = view::view(&session, &loaded).await?;
        let mut rows = filter::granted(rows, grant, &stored)?;
        if let Some(condition) = &query.filter {
            rows = rows
                .filter(filter::expression(condition, &stored)?)
                .map_err(|e| fault::plan("filter", e))?;
        }
        if !order.is_empty() {
            rows = rows.sort(order).map_err(|e| fault::plan("order", e))?;
        }
        if skip > 0 || limit.is_some() {
            rows = rows.limit(skip, limit).map_err(|e| fault::plan("limit", e))?;
        }
        let masker = Arc::new(Masking::new(&self.mask_key, grant.grantee()));
        let rows = rows
            .select(projection(&wanted, &stored, &masker))
            .map_err(|e| fault::plan("projection", e))?;
        Ok((names, Some(rows)))
    }
}

/// What the grant says about filter, order and paging of the caller's query.
fn check_query(grant: &Grant, query: &RowQuery) -> Result<()> {
    if let Some(condition) = &query.filter {
        filter::check_allowed(grant, condition)?;
    }
    for order in &query.order {
        let column =
            grant.column(&order.column).ok_or_else(|| filter::not_granted(&order.column))?;
        if column.mask.is_some() || !column.filterable {
            let name = &order.column;
            return Err(Error::new(
                Code::ColumnNotGranted,
                format!("数据项 `{name}` 已脱敏，不能用于排序"),
                format!("`{name}` is masked and may not be ordered by"),
            ));
        }
    }
    if query.after.is_some() {
        return Err(Error::new(
            Code::InvalidQuery,
            "该资源不支持 after 翻页，请使用 offset 或整体下载",
            "this resource is not paged by `after`: use `offset`, or download it whole",
        ));
    }
    Ok(())
}

/// Rows to skip and the most to answer. Only a download may be without an end.
fn span(grant: &Grant, query: &RowQuery) -> (usize, Option<usize>) {
    let rows = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let limit = match grant.action() {
        Action::RowsDownload => query.limit.map(rows),
        _ => Some(rows(query.limit.unwrap_or(u64::MAX).min(grant.row_cap()))),
    };
    (rows(query.offset), limit)
}

/// The order of the answer: the caller's, else by the business key where the caller sees it plainly, else by its
/// hash (stable, and tells nothing about hidden keys), else none: rows as stored. Whole downloads and previews stay
/// as stored too: sorting gigabytes would serve nobody.
fn order(grant: &Grant, query: &RowQuery, stored: &[Shape]) -> Vec<SortExpr> {
    let there = |name: &str| stored.iter().any(|c| c.name == name);
    let mut order: Vec<SortExpr> = Vec::new();
    for wish in query.order.iter().filter(|o| there(&o.column)) {
        let nulls_first = wish.nulls_first.unwrap_or(wish.descending);
        order.push(named(&wish.column).sort(!wish.descending, nulls_first));
    }
    if query.order.is_empty() && grant.action() == Action::RowsQuery && !grant.key().is_empty() {
        let plain =
            |name: &String| there(name) && grant.column(name).is_some_and(|c| c.mask.is_none());
        if grant.key().iter().all(plain) {
            order.extend(grant.key().iter().map(|name| named(name).sort(true, false)));
        } else if there(HASH) {
            order.push(named(HASH).sort(true, false));
        }
    }
    if !order.is_empty() {
        // Equal rows must not change places between two pages.
        order.push(named(RECORD_ID).sort(true, false));
    }
    order
}

fn projection(wanted: &Wanted<'_>, stored: &[Shape], masker: &Arc<Masking>) -> Vec<Expr> {
    wanted
        .columns
        .iter()
        .map(|(column, name)| masking::shown(masker, column, stored).alias(*name))
        .collect()
}

/// Starts the plan. The stream has at least one piece, so that a door always learns the column names.
async fn released(
    code: &str,
    rows: DataFrame,
    names: Vec<String>,
) -> Result<BoxStream<'static, Result<Rows>>> {
    let batches = started(code, rows).await?;
    let columns = names.clone();
    let pieces = batches
        .try_filter(|batch| std::future::ready(batch.num_rows() > 0))
        .and_then(move |batch| std::future::ready(rows_of(&batch, &columns)))
        .boxed();
    let mut pieces = pieces.peekable();
    if std::pin::Pin::new(&mut pieces).peek().await.is_none() {
        return Ok(stream::iter([Ok(Rows { columns: names, rows: Vec::new() })]).boxed());
    }
    Ok(pieces.boxed())
}

/// Starts a plan over the rows of the table `code`.
pub(crate) async fn started(
    code: &str,
    rows: DataFrame,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let starting = rows.execute_stream().await;
    let batches = starting.map_err(|e| fault::reading(code, "starting a scan", e))?;
    let code = code.to_owned();
    Ok(batches.map_err(move |e| fault::reading(&code, "reading rows", e)).boxed())
}

fn rows_of(batch: &RecordBatch, names: &[String]) -> Result<Rows> {
    let cells =
        batch.columns().iter().map(|c| Cells::of(c.as_ref())).collect::<Result<Vec<_>>>()?;
    let rows: Vec<Row> =
        (0..batch.num_rows()).map(|row| cells.iter().map(|c| c.value(row)).collect()).collect();
    Ok(Rows { columns: names.to_vec(), rows })
}
