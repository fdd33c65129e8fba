//! Files of a table version read as the Parquet they are, without Delta's reader: plans over them can be sent to other processes,
//! and pruning, late filters and splitting by row groups are those of the Parquet source.
//!
//! It holds for tables as we write them: no partition columns, no deletion vectors, columns by their names. Another tool's table
//! may have these, and is read by Delta's reader.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use model::Result;

use crate::fault;
use crate::table::Loaded;

/// Features of a table that do not change how its files are read.
const HARMLESS: [&str; 1] = ["timestampNtz"];

/// Rows of data files (all, or those named) as they lie; `None` when Parquet alone does not tell them.
pub(crate) async fn files(
    session: &SessionContext,
    loaded: &Loaded<'_>,
    paths: Option<&[String]>,
) -> Result<Option<DataFrame>> {
    let failed = |e| fault::plan("reading files", e);
    if !plain(loaded)? {
        return Ok(None);
    }
    let root = loaded.table.table_url().as_str().trim_end_matches('/');
    let url = |path: &String| format!("{root}/{path}");
    let urls: Vec<String> = match paths {
        Some(paths) => paths.iter().map(url).collect(),
        None => loaded.files()?.iter().map(|(path, _)| url(path)).collect(),
    };
    if urls.is_empty() {
        let schema = DFSchema::try_from(loaded.schema.as_ref().clone()).map_err(failed)?;
        let empty = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
        return Ok(Some(DataFrame::new(session.state(), LogicalPlan::EmptyRelation(empty))));
    }
    let options = ParquetReadOptions::default().schema(&loaded.schema);
    session.read_parquet(urls, options).await.map(Some).map_err(failed)
}

fn plain(loaded: &Loaded<'_>) -> Result<bool> {
    let state = loaded.table.snapshot().map_err(|e| fault::delta("table state", e))?;
    let (metadata, protocol) = (state.metadata(), state.protocol());
    let harmless = protocol
        .reader_features()
        .into_iter()
        .flatten()
        .all(|feature| HARMLESS.contains(&feature.to_string().as_str()));
    Ok(harmless && metadata.partition_columns().is_empty() && protocol.min_reader_version() != 2)
}
