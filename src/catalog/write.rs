//! Batches → one Parquet file: sorted by time, compressed, durable, checked. Written into `staging/` and
//! renamed into place by the commit.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::Result;
use super::checksum::{Hashed, Sum};
use super::control::Segment;
use super::durable::Durable;
use super::numbers::{NumberColumn, RisingColumn, is_number};
use super::pages::{Compressor, With};
use super::texts::TextColumn;
use super::words::WordColumn;
use crate::event::{Micros, RecordType, column_index};

/// Rows in a row group: small enough to skip by statistics, large enough to compress.
pub(super) const ROW_GROUP: usize = 128 * 1024;

/// Columns that an exact look-up asks for; only these carry bloom filters.
const BLOOM: [&str; 3] = ["recipient", "message_id", "job_id"];

/// Columns whose values hardly repeat: a dictionary would only cost time.
const UNIQUE: [&str; 6] = ["sender", "recipient", "message_id", "env_id", "dsn_diag", "headers"];

/// Columns that rise: their differences are stored.
const RISING: [&str; 3] = ["event_time", "queued_time", "row_number"];

/// The fastest level of zstd; what the words' pages are compressed with, too.
const ZSTD_LEVEL: i32 = 1;

fn compression() -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default())
}

fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(compression())
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("pmtop ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in UNIQUE {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for column in RISING {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED);
    }
    // Their values stand in no order: statistics would never leave anything out.
    for column in UNIQUE {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::None);
    }
    for column in BLOOM {
        builder = builder
            .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(column), ROW_GROUP as u64);
    }
    builder.build()
}

/// The schema of the files that hold row keys.
pub fn keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("key_hash", DataType::UInt64, false)]))
}

/// A finished Parquet file that is not yet in its place.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Where it is.
    pub path: PathBuf,
    /// Where its keys are.
    pub keys: PathBuf,
    /// What it holds; `path` in here is where it will be.
    pub segment: Segment,
    /// What the rows and the keys hash to.
    pub(super) sums: [Sum; 2],
    /// Both files on their way to the disk. Small ones are made durable when they get into place: until then they may
    /// become part of a larger one.
    pub(super) durable: Durable,
}

impl Staged {
    /// Makes rows and keys durable, if they are not.
    pub fn sync(&self) -> std::io::Result<()> {
        if self.durable.begun() {
            return self.durable.wait();
        }
        [&self.path, &self.keys].into_iter().try_for_each(|path| File::open(path)?.sync_all())
    }
}

/// Bytes up to which a segment is made durable when it gets into place.
const DURABLE_LATER: u64 = 1 << 20;

/// One column of the row group that is being filled.
enum Column {
    Words(WordColumn),
    Text(Box<TextColumn>),
    Rising(Box<RisingColumn>),
    Numbers(Box<NumberColumn>),
    Other(Box<ArrowColumnWriter>),
}

/// Writes the columns of `events`: words by their codes, the rest as `ArrowWriter` would.
struct TableWriter {
    file: SerializedFileWriter<Hashed>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Rows in the row group.
    rows: usize,
    compressor: Compressor,
}

impl TableWriter {
    fn create(path: &Path, schema: &SchemaRef, properties: WriterProperties, compressor: Compressor) -> Result<Self> {
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Hashed::create(path)?, Arc::clone(schema), options)?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self { file, factory, schema: Arc::clone(schema), columns: Vec::new(), rows: 0, compressor })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            if self.columns.is_empty() {
                self.begin(batch, from)?;
            }
            let length = (batch.num_rows() - from).min(ROW_GROUP - self.rows);
            for (index, column) in self.columns.iter_mut().enumerate() {
                let values = batch.column(index).slice(from, length);
                match column {
                    Column::Words(words) => words.push(&values)?,
                    Column::Text(text) => text.push(&values, &mut self.compressor)?,
                    Column::Rising(times) => times.push(&values, &mut self.compressor)?,
                    Column::Numbers(numbers) => numbers.push(&values)?,
                    Column::Other(writer) => {
                        for leaf in compute_leaves(self.schema.field(index), &values)? {
                            writer.write(&leaf)?;
                        }
                    }
                }
            }
            self.rows += length;
            from += length;
            if self.rows == ROW_GROUP {
                self.end()?;
            }
        }
        Ok(())
    }

    /// Begins a row group whose first row is this one of a batch.
    fn begin(&mut self, batch: &RecordBatch, row: usize) -> Result<()> {
        let writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        let parquet = self.file.schema_descr();
        let properties = self.file.properties();
        for (index, writer) in writers.into_iter().enumerate() {
            let (column, values) = (parquet.column(index), batch.column(index));
            let with = With {
                bloom: properties.bloom_filter_properties(column.path()).is_some(),
                statistics: properties.statistics_enabled(column.path()) != EnabledStatistics::None,
            };
            self.columns.push(if repeats(values, row) {
                Column::Words(WordColumn::new(column, with))
            } else if values.data_type() == &DataType::Utf8 {
                Column::Text(Box::new(TextColumn::new(column, with.bloom.then_some(ROW_GROUP))?))
            } else if is_number(values.data_type()) {
                match properties.encoding(column.path()) {
                    Some(Encoding::DELTA_BINARY_PACKED) => {
                        Column::Rising(Box::new(RisingColumn::new(column, with.statistics)))
                    }
                    _ => Column::Numbers(Box::new(NumberColumn::new(column, with.statistics))),
                }
            } else {
                Column::Other(Box::new(writer))
            });
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        for column in self.columns.drain(..) {
            match column {
                Column::Words(words) => {
                    let (bytes, close) = words.close(&mut self.compressor)?;
                    group.append_column(&bytes, close)?;
                }
                Column::Text(text) => {
                    let (bytes, close) = text.close(&mut self.compressor)?;
                    group.append_column(&bytes, close)?;
                }
                Column::Rising(times) => {
                    let (bytes, close) = times.close(&mut self.compressor)?;
                    group.append_column(&bytes, close)?;
                }
                Column::Numbers(numbers) => {
                    let (bytes, close) = numbers.close(&mut self.compressor)?;
                    group.append_column(&bytes, close)?;
                }
                Column::Other(writer) => writer.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    fn close(mut self) -> Result<Hashed> {
        if self.rows > 0 {
            self.end()?;
        }
        Ok(self.file.into_inner()?)
    }
}

/// Whether a column holds words that repeat, seen by the rows from one on: text that does is written as a
/// dictionary, text that does not as it stands.
fn repeats(column: &ArrayRef, row: usize) -> bool {
    const SAMPLE: usize = 1024;
    if matches!(column.data_type(), DataType::Dictionary(_, _)) {
        return true;
    }
    let Some(text) = column.as_string_opt::<i32>() else { return false };
    let sample: Vec<&str> =
        (row..text.len()).filter(|row| text.is_valid(*row)).take(SAMPLE).map(|row| text.value(row)).collect();
    let distinct: HashSet<&str> = sample.iter().copied().collect();
    distinct.len() * 2 <= sample.len()
}

/// Writes one segment and its keys.
pub struct SegmentWriter {
    writer: TableWriter,
    keys: ArrowWriter<Hashed>,
    staged: Staged,
    time: usize,
    record_type: usize,
    file_id: usize,
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter").field("staged", &self.staged).finish_non_exhaustive()
    }
}

impl SegmentWriter {
    /// A writer for batches of a schema with the columns of `events`.
    pub fn create(staging: &Path, name: &str, segment: Segment, schema: &SchemaRef) -> Result<Self> {
        let path = staging.join(format!("{name}.parquet"));
        let keys = staging.join(format!("{name}.keys.parquet"));
        let key_properties = WriterProperties::builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        Ok(Self {
            writer: TableWriter::create(&path, schema, properties(), Compressor::zstd(ZSTD_LEVEL)?)?,
            keys: ArrowWriter::try_new(Hashed::create(&keys)?, keys_schema(), Some(key_properties))?,
            staged: Staged { path, keys, segment, sums: Default::default(), durable: Durable::default() },
            time: column_index("event_time").unwrap_or_default(),
            record_type: column_index("record_type").unwrap_or_default(),
            file_id: column_index("file_id").unwrap_or_default(),
        })
    }

    /// Appends rows; a batch that is not in order of time is sorted.
    pub fn write(&mut self, batch: &RecordBatch, key_hashes: Vec<u64>) -> Result<()> {
        let keys: ArrayRef = Arc::new(UInt64Array::from(key_hashes));
        if is_sorted(batch.column(self.time)) {
            self.append(batch, keys)
        } else {
            let order = lexsort_to_indices(
                &[SortColumn {
                    values: Arc::clone(batch.column(self.time)),
                    options: Some(SortOptions { descending: false, nulls_first: true }),
                }],
                None,
            )?;
            let keys = arrow::compute::take(&keys, &order, None)?;
            self.append(&take_record_batch(batch, &order)?, keys)
        }
    }

    fn append(&mut self, batch: &RecordBatch, keys: ArrayRef) -> Result<()> {
        self.note(batch)?;
        self.writer.write(batch)?;
        self.keys.write(&RecordBatch::try_new(keys_schema(), vec![keys])?)?;
        Ok(())
    }

    fn note(&mut self, batch: &RecordBatch) -> Result<()> {
        let segment = &mut self.staged.segment;
        segment.rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        if let Some(times) = batch.column(self.time).as_any().downcast_ref::<TimestampMicrosecondArray>() {
            let (min, max) = (arrow::compute::min(times), arrow::compute::max(times));
            segment.min_time = smaller(segment.min_time, min);
            segment.max_time = segment.max_time.max(max);
        }
        let owners = batch.column(self.file_id).as_primitive::<Int64Type>().values();
        let types = batch.column(self.record_type);
        if let Some(types) = types.as_dictionary_opt::<Int32Type>() {
            let words = types.values().as_string::<i32>();
            let records: Vec<Option<RecordType>> = words.iter().map(|word| word.and_then(RecordType::parse)).collect();
            for (key, owner) in types.keys().iter().zip(owners) {
                let record = key.and_then(|key| *records.get(usize::try_from(key).ok()?)?);
                record.into_iter().for_each(|record| segment.count(*owner, record));
            }
        } else if let Some(types) = types.as_string_opt::<i32>() {
            for (word, owner) in types.iter().zip(owners) {
                let record = word.and_then(RecordType::parse);
                record.into_iter().for_each(|record| segment.count(*owner, record));
            }
        }
        Ok(())
    }

    /// Completes both files and checks the row counts in their footers; larger ones become durable meanwhile.
    pub fn finish(self) -> Result<Staged> {
        let mut staged = self.staged;
        let rows = self.writer.close()?.end();
        let keys = self.keys.into_inner()?.end();
        let bytes = rows.0.metadata()?.len();
        staged.segment.bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        staged.sums = [rows.1, keys.1];
        check(&rows.0, staged.segment.rows, &staged.path)?;
        check(&keys.0, staged.segment.rows, &staged.keys)?;
        if bytes > DURABLE_LATER {
            staged.durable = Durable::begin(vec![rows.0, keys.0])?;
        }
        Ok(staged)
    }
}

/// Checks the row count in the footer of a finished file.
fn check(file: &File, rows: i64, path: &Path) -> Result<()> {
    // What counts is what a reader finds, not what the writer believes.
    let footer = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let found = footer.metadata().file_metadata().num_rows();
    if found != rows {
        return Err(super::Error::RowCount { path: path.to_owned(), expected: rows, found });
    }
    Ok(())
}

fn smaller(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn is_sorted(times: &ArrayRef) -> bool {
    match times.as_any().downcast_ref::<TimestampMicrosecondArray>() {
        Some(times) if times.null_count() == 0 => times.values().is_sorted(),
        Some(times) => times.iter().is_sorted(),
        None => true,
    }
}

/// Writes numbers as a segment has them.
#[cfg(test)]
pub(super) fn write_numbers_for_tests(path: &Path, batch: &RecordBatch) {
    let compressor = Compressor::zstd(ZSTD_LEVEL).unwrap();
    let mut writer = TableWriter::create(path, &batch.schema(), properties(), compressor).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Writes a table of rollup cells, durable, into `staging/`.
pub fn write_rollup(path: &Path, batch: &RecordBatch) -> Result<()> {
    // Rollup files are many and small: setting up zstd for each of their columns took half of the time
    // to load 4,000 of them.
    let properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut writer = TableWriter::create(path, &batch.schema(), properties, Compressor::Lz4)?;
    writer.write(batch)?;
    let (file, _) = writer.close()?.end();
    file.sync_all()?;
    check(&file, i64::try_from(batch.num_rows()).unwrap_or(i64::MAX), path)
}
