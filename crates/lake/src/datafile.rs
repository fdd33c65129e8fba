//! Data files: columns in, Parquet files of a bounded size out, their bytes handed on in pieces.

use std::collections::HashSet;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use model::{Error, Result};
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion,
};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use tokio::sync::mpsc;

use crate::constant::Constants;
use crate::encode::{Constant, Piece};
use crate::rowgroup::RowGroup;
use crate::schema::{self, Kind, Shape};
use crate::{fault, name};

/// When a row group and a file are full.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Most rows of a row group.
    rows: usize,
    /// Size at which a row group is closed, compressed bytes.
    bytes: usize,
    /// Size at which the next file is begun.
    file: usize,
}

const LIMITS: Limits = Limits { rows: 1 << 20, bytes: 64 << 20, file: 256 << 20 };
/// Bytes gathered before they are handed on.
const PIECE_BYTES: usize = 1 << 20;

/// Writes columns as data files of a bounded size and hands their bytes on. Blocks.
pub(crate) struct FileWriter {
    parcel: String,
    attempt: String,
    columns: Vec<Shape>,
    /// All columns as stored.
    schema: SchemaRef,
    /// Those that are not constant.
    varying: SchemaRef,
    /// For each column the constant it is.
    constant: Vec<Option<usize>>,
    constants: Constants,
    recipe: Option<Arc<Recipe>>,
    limits: Limits,
    out: mpsc::Sender<Piece>,
    file: Option<OpenFile>,
    files: usize,
    rows: u64,
}

/// How all files of a parcel are written, as its first rows taught it.
struct Recipe {
    properties: WriterPropertiesPtr,
    /// Makes the writers of the columns that are not constant.
    varying: ArrowRowGroupWriterFactory,
}

/// The file being written.
struct OpenFile {
    writer: SerializedFileWriter<Outlet>,
    group: Option<RowGroup>,
    rows: u64,
}

impl FileWriter {
    /// Files are called after `parcel` and `attempt` and hold `columns`, of which `constants` are the same in all rows.
    pub(crate) fn new(
        parcel: &str,
        attempt: &str,
        columns: Vec<Shape>,
        constants: &[Constant],
        out: mpsc::Sender<Piece>,
    ) -> Self {
        let constant = |c: &Shape| constants.iter().position(|k| k.name == c.name);
        let varying: Vec<Shape> =
            columns.iter().filter(|c| constant(c).is_none()).cloned().collect();
        Self {
            parcel: parcel.to_owned(),
            attempt: attempt.to_owned(),
            schema: schema::arrow_schema(&columns),
            varying: schema::arrow_schema(&varying),
            constant: columns.iter().map(constant).collect(),
            columns,
            constants: Constants::new(constants),
            recipe: None,
            limits: LIMITS,
            out,
            file: None,
            files: 0,
            rows: 0,
        }
    }

    /// All columns as stored.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Writes `rows` rows: an array for each column that is not constant, in the order of the columns.
    pub(crate) fn write(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        let recipe = self.recipe(columns)?;
        let mut from = 0;
        while from < rows {
            let mut file = match self.file.take() {
                Some(file) => file,
                None => self.open(&recipe)?,
            };
            let mut group = match file.group.take() {
                Some(group) => group,
                None => self.group(&recipe)?,
            };
            let Limits { rows: most, bytes: large, file: full } = self.limits;
            let count = most.saturating_sub(group.rows()).min(rows - from);
            if count == rows {
                group.write(columns, rows)?;
            } else {
                let part: Vec<ArrayRef> = columns.iter().map(|c| c.slice(from, count)).collect();
                group.write(&part, count)?;
            }
            from += count;
            file.rows += count as u64;
            self.rows += count as u64;
            let bytes = group.bytes();
            let enough = file.writer.bytes_written() + bytes >= full;
            if group.rows() >= most || bytes >= large {
                self.end_group(&mut file, group)?;
            } else {
                file.group = Some(group);
            }
            if enough {
                self.close(file)?;
            } else {
                self.file = Some(file);
            }
        }
        Ok(())
    }

    /// Begins a file.
    fn open(&mut self, recipe: &Recipe) -> Result<OpenFile> {
        let path = name::data_file(&self.parcel, &self.attempt, self.files);
        self.files += 1;
        self.send(Piece::Open(path))?;
        let outlet = Outlet { held: Vec::with_capacity(PIECE_BYTES), out: self.out.clone() };
        let writer = file_writer(outlet, &self.schema, &recipe.properties)?;
        Ok(OpenFile { writer, group: None, rows: 0 })
    }

    /// A new row group of the columns that are not constant.
    fn group(&self, recipe: &Recipe) -> Result<RowGroup> {
        // The number of the row group would matter to encryption only.
        let writers = recipe.varying.create_column_writers(0).map_err(fault::parquet)?;
        Ok(RowGroup::new(writers, Arc::clone(&self.varying)))
    }

    /// Writes a row group out.
    fn end_group(&mut self, file: &mut OpenFile, full: RowGroup) -> Result<()> {
        self.constants.make(full.rows(), file.writer.properties())?;
        let mut chunks = full.close()?.into_iter();
        let mut group = file.writer.next_row_group().map_err(fault::parquet)?;
        for constant in &self.constant {
            match constant {
                Some(at) => self.constants.append(*at, &mut group)?,
                None => chunks
                    .next()
                    .ok_or_else(|| Error::internal("lake: a row group lacks a column"))?
                    .append_to_row_group(&mut group)
                    .map_err(fault::parquet)?,
            }
        }
        group.close().map_err(fault::parquet)?;
        Ok(())
    }

    fn close(&mut self, mut file: OpenFile) -> Result<()> {
        if let Some(group) = file.group.take() {
            self.end_group(&mut file, group)?;
        }
        // Writes the footer.
        let mut outlet = file.writer.into_inner().map_err(fault::parquet)?;
        outlet.hand_on().map_err(|e| Error::internal("lake: writing").caused_by(e))?;
        self.send(Piece::Close { rows: file.rows })
    }

    /// Completes the last file; answers the rows of all.
    pub(crate) fn end(&mut self) -> Result<u64> {
        if let Some(file) = self.file.take() {
            self.close(file)?;
        }
        Ok(self.rows)
    }

    fn send(&self, piece: Piece) -> Result<()> {
        self.out.blocking_send(piece).map_err(|_| Error::internal("lake: the uploader has stopped"))
    }

    /// How the columns are written; `sample` holds the first rows of those that are not constant.
    fn recipe(&mut self, sample: &[ArrayRef]) -> Result<Arc<Recipe>> {
        if let Some(recipe) = &self.recipe {
            return Ok(Arc::clone(recipe));
        }
        let recipe = Arc::new(self.settle(sample)?);
        Ok(Arc::clone(self.recipe.insert(recipe)))
    }

    fn settle(&self, sample: &[ArrayRef]) -> Result<Recipe> {
        let mut plain = Vec::new();
        for (field, array) in self.varying.fields().iter().zip(sample) {
            if all_different(array)? {
                plain.push(field.name().as_str());
            }
        }
        let properties = Arc::new(properties(&self.columns, &self.schema, &plain));
        let nowhere = file_writer(io::sink(), &self.varying, &properties)?;
        let varying = ArrowRowGroupWriterFactory::new(&nowhere, Arc::clone(&self.varying));
        Ok(Recipe { properties, varying })
    }
}

/// A writer of a file with the columns of `schema`.
pub(crate) fn file_writer<W: Write + Send>(
    to: W,
    schema: &Schema,
    properties: &WriterPropertiesPtr,
) -> Result<SerializedFileWriter<W>> {
    let parquet = ArrowSchemaConverter::new().convert(schema).map_err(fault::parquet)?;
    SerializedFileWriter::new(to, parquet.root_schema_ptr(), Arc::clone(properties))
        .map_err(fault::parquet)
}

/// Bytes gathered into pieces for the uploader.
struct Outlet {
    held: Vec<u8>,
    out: mpsc::Sender<Piece>,
}

impl Outlet {
    fn hand_on(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = mem::replace(&mut self.held, Vec::with_capacity(PIECE_BYTES));
        self.out
            .blocking_send(Piece::Bytes(Bytes::from(piece)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the uploader has stopped"))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE_BYTES {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rows looked at to see whether a column's values repeat.
const SAMPLE: usize = 1 << 14;

/// Whether a column's first values hardly repeat (19 in 20 of many are different). Its dictionary would overflow in
/// every row group, and only then the values would be written themselves.
fn all_different(array: &ArrayRef) -> Result<bool> {
    if array.len() < SAMPLE {
        return Ok(false);
    }
    let sort = SortField::new(array.data_type().clone());
    let converter = RowConverter::new(vec![sort]).map_err(fault::arrow)?;
    let rows = converter.convert_columns(&[array.slice(0, SAMPLE)]).map_err(fault::arrow)?;
    let different: HashSet<_> = rows.iter().collect();
    Ok(different.len() >= SAMPLE / 20 * 19)
}

/// Encodings by what a column is. Numbers that only grow and times that never change are deltas of a few bits; the
/// hash repeats nothing and does not compress. `plain`: columns without a dictionary.
fn properties(columns: &[Shape], schema: &Schema, plain: &[&str]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in columns {
        let path = ColumnPath::from(column.name.as_str());
        let system = column.name.starts_with("dsc_");
        match (system, column.kind) {
            (true, Kind::Integer | Kind::DateTime) => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            _ if column.name == schema::HASH => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::PLAIN)
                    .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                    .set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            _ if plain.contains(&column.name.as_str()) => {
                builder = builder.set_column_dictionary_enabled(path, false);
            }
            _ => {}
        }
    }
    let mut properties = builder.build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    properties
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, BinaryArray, Int64Array, StringArray, new_null_array};
    use arrow::datatypes::{DataType, Int64Type};
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::PageIndexPolicy;

    use super::*;

    /// The files written: how many, and the bytes of each.
    fn written(limits: Limits, batches: &[usize]) -> (Vec<Vec<u8>>, u64) {
        let shape = |name: &str, kind| Shape { name: name.into(), kind };
        let columns = vec![
            shape("id", Kind::Integer),
            shape(schema::CITY, Kind::Text),
            shape("name", Kind::Text),
            shape(schema::HASH, Kind::Text),
            shape(schema::PARCEL, Kind::Text),
        ];
        let same = |name: &str, value: ArrayRef| Constant { name: name.into(), value };
        let constants = [
            same(schema::PARCEL, Arc::new(StringArray::from(vec!["包"]))),
            same(schema::HASH, new_null_array(&DataType::Utf8, 1)),
            same(schema::CITY, Arc::new(StringArray::from(vec!["330100"]))),
        ];
        let (out, mut pieces) = mpsc::channel(1 << 10);
        let mut files = FileWriter::new("p", "a", columns, &constants, out);
        files.limits = limits;
        let mut from = 0_i64;
        for rows in batches {
            let ids: Vec<i64> = (from..from + *rows as i64).collect();
            let names: Vec<String> = ids.iter().map(|id| format!("甲{id}")).collect();
            let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            let arrays: [ArrayRef; 2] =
                [Arc::new(Int64Array::from(ids)), Arc::new(BinaryArray::from(names))];
            files.write(&arrays, *rows).unwrap();
            from += *rows as i64;
        }
        let rows = files.end().unwrap();
        drop(files);
        let (mut all, mut told) = (Vec::new(), 0);
        while let Ok(piece) = pieces.try_recv() {
            match piece {
                Piece::Open(_) => all.push(Vec::new()),
                Piece::Bytes(bytes) => all.last_mut().unwrap().extend_from_slice(&bytes),
                Piece::Close { rows } => told += rows,
            }
        }
        assert_eq!(rows, told);
        (all, rows)
    }

    /// Reads the files back and holds every row against what was written; answers the rows of each row group.
    fn check(files: &[Vec<u8>], rows: u64) -> Vec<i64> {
        let (mut next, mut groups) = (0, Vec::new());
        for bytes in files {
            let options =
                ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let bytes = Bytes::from(bytes.clone());
            let reader =
                ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
            groups.extend(reader.metadata().row_groups().iter().map(|group| group.num_rows()));
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                assert_eq!(batch.schema().field(2).data_type(), &DataType::Utf8);
                let text = |at: usize| batch.column(at).as_string::<i32>();
                for row in 0..batch.num_rows() {
                    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(row), next);
                    assert_eq!(text(1).value(row), "330100");
                    assert_eq!(text(2).value(row), format!("甲{next}"));
                    assert!(text(3).is_null(row));
                    assert_eq!(text(4).value(row), "包");
                    next += 1;
                }
            }
        }
        assert_eq!(next as u64, rows);
        groups
    }

    #[test]
    fn row_groups_hold_as_many_rows_as_they_may_and_lose_none() {
        let limits = Limits { rows: 1000, ..LIMITS };
        let (files, rows) = written(limits, &[700, 1, 2500, 799, 17]);
        assert_eq!(files.len(), 1);
        assert_eq!(check(&files, rows), [1000, 1000, 1000, 1000, 17]);
        // Many enough for threads, and for the step of the constants.
        let (files, rows) = written(LIMITS, &[40_000, 5]);
        assert_eq!(check(&files, rows), [40_005]);
        let (files, rows) = written(LIMITS, &[]);
        assert!(files.is_empty() && rows == 0);
    }

    #[test]
    fn a_large_file_is_followed_by_another() {
        let limits = Limits { rows: 1 << 20, bytes: 16 << 10, file: 64 << 10 };
        let (files, rows) = written(limits, &[500; 200]);
        assert!(files.len() > 1, "{} files", files.len());
        assert!(check(&files, rows).len() > files.len());
    }
}
