//! Batches → one Parquet file: sorted by time, compressed, durable, checked. Written into `staging/` and
//! renamed into place by the commit.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::control::Segment;
use super::{Result, layout};
use crate::event::{Micros, RecordType, column_index};

/// Rows in a row group: small enough to skip by statistics, large enough to compress.
const ROW_GROUP: usize = 128 * 1024;

/// Columns that an exact look-up asks for; only these carry bloom filters.
const BLOOM: [&str; 3] = ["recipient", "message_id", "job_id"];

/// Columns whose values hardly repeat: a dictionary would only cost time.
const UNIQUE: [&str; 4] = ["recipient", "message_id", "env_id", "headers"];

/// Columns that rise: their differences are stored.
const RISING: [&str; 3] = ["event_time", "queued_time", "row_number"];

fn properties(bloom: bool) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
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
    for column in ["dsn_diag", "headers"] {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::None);
    }
    if bloom {
        for column in BLOOM {
            builder = builder
                .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
                .set_column_bloom_filter_max_ndv(ColumnPath::from(column), ROW_GROUP as u64);
        }
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
}

/// Writes one segment and its keys.
#[derive(Debug)]
pub struct SegmentWriter {
    writer: ArrowWriter<File>,
    keys: ArrowWriter<File>,
    staged: Staged,
    time: usize,
    record_type: usize,
}

impl SegmentWriter {
    /// A writer for batches of a schema with the columns of `events`.
    pub fn create(staging: &Path, name: &str, segment: Segment, schema: &SchemaRef) -> Result<Self> {
        let path = staging.join(format!("{name}.parquet"));
        let keys = staging.join(format!("{name}.keys.parquet"));
        let options = ArrowWriterOptions::new().with_properties(properties(true)).with_skip_arrow_metadata(true);
        let key_properties = WriterProperties::builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        Ok(Self {
            writer: ArrowWriter::try_new_with_options(layout::create_new(&path)?, Arc::clone(schema), options)?,
            keys: ArrowWriter::try_new(layout::create_new(&keys)?, keys_schema(), Some(key_properties))?,
            staged: Staged { path, keys, segment },
            time: column_index("event_time").unwrap_or_default(),
            record_type: column_index("record_type").unwrap_or_default(),
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
        super::moves::note_files(batch, &mut segment.files)?;
        let types = arrow::compute::cast(batch.column(self.record_type), &DataType::Utf8)?;
        if let Some(types) = types.as_any().downcast_ref::<arrow::array::StringArray>() {
            for record in types.iter().flatten().filter_map(RecordType::parse) {
                segment.by_type[record.index()] += 1;
            }
        }
        Ok(())
    }

    /// Completes both files, makes them durable and checks the row count in the footer.
    pub fn finish(self) -> Result<Staged> {
        let mut staged = self.staged;
        let file = finish_file(self.writer, staged.segment.rows, &staged.path)?;
        staged.segment.bytes = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        finish_file(self.keys, staged.segment.rows, &staged.keys)?;
        Ok(staged)
    }
}

fn finish_file(writer: ArrowWriter<File>, rows: i64, path: &Path) -> Result<File> {
    let file = writer.inner().try_clone()?;
    writer.close()?;
    file.sync_all()?;
    // What counts is what a reader finds, not what the writer believes.
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let found = footer.metadata().file_metadata().num_rows();
    if found != rows {
        return Err(super::Error::RowCount { path: path.to_owned(), expected: rows, found });
    }
    Ok(file)
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

/// Writes a table of rollup cells, durable, into `staging/`.
pub fn write_rollup(path: &Path, batch: &RecordBatch) -> Result<()> {
    // Rollup files are many and small: setting up zstd for each of their columns took half of the time
    // to load 4,000 of them.
    let properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(layout::create_new(path)?, batch.schema(), options)?;
    writer.write(batch)?;
    finish_file(writer, i64::try_from(batch.num_rows()).unwrap_or(i64::MAX), path)?;
    Ok(())
}
