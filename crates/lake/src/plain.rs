//! Files of a table version read as the Parquet they are, without Delta's reader: plans over them can be sent to other processes,
//! and pruning, late filters and splitting by row groups are those of the Parquet source.
//!
//! It holds for tables as we write them: no partition columns, no deletion vectors, columns by their names. Another tool's table
//! may have these, and is read by Delta's reader.
//!
//! Which files there are is the log's word, and all of them are read or none ([`Whole`]).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::options::ReadOptions;
use datafusion::datasource::listing::{
    ListingTable, ListingTableConfig, ListingTableUrl, PartitionedFile,
};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{
    EmptyRelation, Expr, LogicalPlan, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use model::Result;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::fault;
use crate::table::Loaded;

/// Features of a table that do not change how its files are read.
const HARMLESS: [&str; 1] = ["timestampNtz"];
/// How the names of files end that are listed.
const EXTENSION: &str = ".parquet";
/// Bytes of a piece of a file at most: about a row group.
const PIECE: u64 = 8 << 20;
/// Bytes of all files up to which they are cut by their rows: they hold fewer row groups than there are processors, or hardly more.
const SMALL: u64 = 4 * PIECE;
/// Fewest rows of a file for which it is worth while to open it once more.
const SHARE_ROWS: usize = 8192;
/// Bytes that the shares of a file may read together: a share may read the columns of its row groups whole.
const SHARED: u64 = 4 * SMALL;

/// Who reads the files, and whether the plan stays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Delta's reader, in this process.
    Delta,
    /// Parquet's where it can, in this process: texts are views of the pages they lie in, and whoever has nothing left to read takes the
    /// next piece from the others.
    Parquet,
    /// Parquet's, and nothing in the plan that other processes cannot be sent.
    Sent,
}

impl By {
    /// Parquet's reader. `sent`: the plan leaves this process, or may.
    pub(crate) fn parquet(sent: bool) -> Self {
        if sent { By::Sent } else { By::Parquet }
    }

    /// How texts are read, decided here alone: by it go what a granted table tells of its columns and what its files are read as. (A
    /// statement that a cluster did not take is read as one that stays here, and tells what it would have told there.)
    fn texts(self) -> ArrowType {
        match self {
            By::Parquet => ArrowType::Utf8View,
            By::Delta | By::Sent => ArrowType::Utf8,
        }
    }

    /// The schema with its texts as they are read.
    pub(crate) fn reads(self, schema: &Schema) -> Schema {
        let texts = self.texts();
        let fields = schema.fields().iter().map(|field| match field.data_type() {
            ArrowType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(texts.clone())),
            _ => Arc::clone(field),
        });
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
    }
}

/// Rows of data files (all, or those named) as they lie; `None` when Parquet alone does not tell them.
pub(crate) fn files(
    session: &SessionContext,
    loaded: &Loaded<'_>,
    paths: Option<&[String]>,
    by: By,
) -> Result<Option<DataFrame>> {
    let failed = |e| fault::plan("reading files", e);
    if !plain(loaded)? {
        return Ok(None);
    }
    let root = loaded.table.table_url().as_str().trim_end_matches('/');
    let paths: Vec<String> = match paths {
        Some(paths) => paths.to_vec(),
        None => loaded.files()?.into_iter().map(|(path, _)| path).collect(),
    };
    let schema = by.reads(&loaded.schema);
    if paths.is_empty() {
        let schema = DFSchema::try_from(schema).map_err(failed)?;
        let empty = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
        return Ok(Some(DataFrame::new(session.state(), LogicalPlan::EmptyRelation(empty))));
    }
    if !paths.iter().all(|path| path.ends_with(EXTENSION)) {
        return Ok(None);
    }
    let urls = paths.iter().map(|path| ListingTableUrl::parse(format!("{root}/{path}")));
    let urls = urls.collect::<PlanResult<Vec<_>>>().map_err(failed)?;
    let options = ParquetReadOptions::default()
        .to_listing_options(&session.copied_config(), session.copied_table_options());
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(Arc::new(schema));
    let known = session.runtime_env().cache_manager.get_file_statistic_cache();
    let listing = ListingTable::try_new(config).map_err(failed)?.with_cache(known);
    let whole = Whole { code: loaded.code(), listing, by };
    session.read_table(Arc::new(whole)).map(Some).map_err(failed)
}

/// Whether a table's files hold all that is to be known of its rows.
pub(crate) fn plain(loaded: &Loaded<'_>) -> Result<bool> {
    let state = loaded.table.snapshot().map_err(|e| fault::delta("table state", e))?;
    let (metadata, protocol) = (state.metadata(), state.protocol());
    let harmless = protocol
        .reader_features()
        .into_iter()
        .flatten()
        .all(|feature| HARMLESS.contains(&feature.to_string().as_str()));
    Ok(harmless && metadata.partition_columns().is_empty() && protocol.min_reader_version() != 2)
}

/// Named files of a table, all of them.
///
/// DataFusion takes a name at which no file is for that of a folder, lists what is in it, which is nothing, and leaves out what has no
/// bytes: a table that has lost its files would be an empty one. Here each file that was named is in the plan, or there is no plan.
#[derive(Debug)]
struct Whole {
    code: String,
    listing: ListingTable,
    by: By,
}

impl Whole {
    /// The first file that was named and that a plan over them does not read.
    fn missing(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<&str> {
        let read = plan
            .downcast_ref::<DataSourceExec>()
            .and_then(|exec| exec.downcast_to_file_source::<ParquetSource>());
        let groups = read.map(|(config, _)| config.file_groups.as_slice()).unwrap_or_default();
        let there: HashSet<_> = groups
            .iter()
            .flat_map(|group| group.iter())
            .map(|file| &file.object_meta.location)
            .collect();
        let mut named = self.listing.table_paths().iter();
        named.find(|url| !there.contains(url.prefix())).map(ListingTableUrl::as_str)
    }
}

/// The same plan over pieces of the files. Left to itself DataFusion cuts them into as many as there are processors: where the statistics of
/// row groups leave little of one of them, the others work and that one is idle; and what is one row group it leaves to one.
fn in_pieces(plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Arc<dyn ExecutionPlan> {
    let source = plan
        .downcast_ref::<DataSourceExec>()
        .and_then(|exec| exec.downcast_to_file_source::<ParquetSource>());
    let Some((config, _)) = source else { return plan };
    let lanes = options.execution.target_partitions;
    if lanes < 2 {
        return plan;
    }
    let files: Vec<&PartitionedFile> =
        config.file_groups.iter().flat_map(FileGroup::iter).collect();
    let bytes: u64 = files.iter().map(|file| file.object_meta.size).sum();
    let dealt = match bytes <= SMALL {
        true => by_rows(&files, lanes),
        false => by_bytes(&files, lanes, PIECE.min(bytes / lanes as u64).max(1)),
    };
    let Some(dealt) = dealt else { return plan };
    let groups = dealt.into_iter().map(FileGroup::new).collect();
    let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build();
    DataSourceExec::from_data_source(config)
}

/// Pieces of so many bytes, dealt in turn: those of row groups that begin in them.
fn by_bytes(
    files: &[&PartitionedFile],
    lanes: usize,
    piece: u64,
) -> Option<Vec<Vec<PartitionedFile>>> {
    let mut dealt: Vec<Vec<PartitionedFile>> = vec![Vec::new(); lanes];
    let mut turn = 0;
    for file in files {
        let (size, mut begins) = (file.object_meta.size, 0);
        while begins < size {
            let ends = size.min(begins + piece);
            let range = (i64::try_from(begins).ok()?, i64::try_from(ends).ok()?);
            dealt.get_mut(turn % lanes)?.push((*file).clone().with_range(range.0, range.1));
            (begins, turn) = (ends, turn + 1);
        }
    }
    Some(dealt)
}

/// Equal shares of each file's rows, dealt in turn, of files that are not too small for that. `None`: all are too small.
fn by_rows(files: &[&PartitionedFile], lanes: usize) -> Option<Vec<Vec<PartitionedFile>>> {
    let rows = |file: &PartitionedFile| match file.statistics.as_ref()?.num_rows {
        Precision::Exact(rows) => Some(rows),
        _ => None,
    };
    let mut dealt: Vec<Vec<PartitionedFile>> = vec![Vec::new(); lanes];
    let mut turn = 0;
    for file in files {
        let rows = rows(file).unwrap_or(0);
        let most = usize::try_from(SHARED / file.object_meta.size.max(1)).unwrap_or(usize::MAX);
        let shares = (rows / SHARE_ROWS).min(most).clamp(1, lanes);
        for share in 0..shares {
            let mut piece = (*file).clone();
            if shares > 1 {
                let (from, to) = (rows * share / shares, rows * (share + 1) / shares);
                let chosen = RowSelection::from(vec![
                    RowSelector::skip(from),
                    RowSelector::select(to - from),
                    RowSelector::skip(rows - to),
                ]);
                piece = piece.with_extension(ParquetRowSelection::new(chosen));
            }
            dealt.get_mut(turn % lanes)?.push(piece);
            turn += 1;
        }
    }
    (turn > files.len()).then_some(dealt)
}

#[async_trait]
impl TableProvider for Whole {
    fn schema(&self) -> SchemaRef {
        self.listing.schema()
    }

    fn table_type(&self) -> TableType {
        self.listing.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        self.listing.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        // Where rows enough are found the listing stops, and which files are there is not known. The limit stays above.
        let plan = self.listing.scan(state, projection, filters, None).await;
        let plan = plan.map_err(|e| fault::within(&self.code, e))?;
        let Some(file) = self.missing(&plan) else {
            return Ok(match self.by {
                By::Parquet => in_pieces(plan, state.config_options()),
                By::Delta | By::Sent => plan,
            });
        };
        tracing::error!(
            entry.code = self.code,
            file.url = file,
            "a data file that the log names is not there, or empty"
        );
        Err(DataFusionError::External(Box::new(fault::unread(&self.code))))
    }
}
