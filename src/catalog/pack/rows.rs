//! The columns of a segment that a pack is made of, batch by batch: words as numbers of the pack's own words.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;

use crate::catalog::interner::Interner;
use crate::catalog::rollup::{DIMENSIONS, OUTCOMES};
use crate::catalog::{Error, Result};
use crate::event::schema::timestamp;
use crate::event::{COLUMNS, Micros, Store};

/// Some rows of a segment, as far as a pack looks at them.
pub(super) struct Rows {
    pub(super) len: usize,
    pub(super) times: Vec<Option<Micros>>,
    pub(super) dimensions: Vec<Vec<u32>>,
    pub(super) outcomes: Vec<Vec<u32>>,
    pub(super) codes: Vec<u32>,
    pub(super) latencies: Vec<Option<i64>>,
    recipients: ArrayRef,
    /// Sender, message id and reply, where the segment may hold rows that need them.
    texts: Option<[ArrayRef; 3]>,
    queued: Option<ArrayRef>,
}

impl Rows {
    /// A text cell of a row.
    fn text(&self, column: usize, row: usize) -> Option<&str> {
        let column = self.texts.as_ref()?.get(column)?.as_string::<i32>();
        (!column.is_null(row)).then(|| column.value(row))
    }

    pub(super) fn sender(&self, row: usize) -> &str {
        self.text(0, row).unwrap_or_default()
    }

    pub(super) fn recipient(&self, row: usize) -> &str {
        let column = self.recipients.as_string::<i32>();
        if column.is_null(row) { "" } else { column.value(row) }
    }

    pub(super) fn message_id(&self, row: usize) -> Option<&str> {
        self.text(1, row)
    }

    pub(super) fn reply(&self, row: usize) -> Option<&str> {
        self.text(2, row)
    }

    pub(super) fn queued(&self, row: usize) -> Option<Micros> {
        let queued = self.queued.as_ref()?.as_primitive::<TimestampMicrosecondType>();
        (!queued.is_null(row)).then(|| queued.value(row))
    }
}

const TEXTS: [&str; 3] = ["sender", "message_id", "dsn_diag"];

/// A schema whose words are dictionaries.
fn with_words(schema: &Schema) -> SchemaRef {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let is_word = |name: &str| COLUMNS.iter().any(|column| column.name == name && column.store == Store::Word);
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let kind = if is_word(field.name()) { dictionary.clone() } else { field.data_type().clone() };
            Field::new(field.name(), kind, field.is_nullable())
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// A reader that hands words over as dictionaries.
pub(in crate::catalog) fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>> {
    let file = std::fs::File::open(path).map_err(|source| Error::Disk { path: path.to_owned(), source })?;
    let plain =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional))?;
    let options = ArrowReaderOptions::new().with_schema(with_words(plain.schema()));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
}

/// The rows whose time is in a range.
fn rows_between(path: &Path, from: Option<Micros>, until: Option<Micros>) -> Result<Vec<Range<usize>>> {
    let builder = reader(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["event_time"]);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for batch in builder.with_projection(mask).with_batch_size(1 << 16).build()? {
        let batch = batch?;
        let times = cast(batch.column(0), &timestamp())?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        for row in 0..times.len() {
            let inside = !times.is_null(row)
                && from.is_none_or(|from| from <= times.value(row))
                && until.is_none_or(|until| times.value(row) < until);
            if inside {
                match ranges.last_mut() {
                    Some(last) if last.end == at + row => last.end += 1,
                    _ => ranges.push(at + row..at + row + 1),
                }
            }
        }
        at += times.len();
    }
    Ok(ranges)
}

/// Reads the rows of a segment (those in a range of time, if one is given) and hands them over batch by batch.
/// `texts`: whether replies and what makes a message are looked at, too.
pub(super) fn each(
    path: &Path,
    total: usize,
    range: Option<(Option<Micros>, Option<Micros>)>,
    texts: bool,
    words: &mut Interner,
    mut take: impl FnMut(&Rows, &mut Interner) -> Result<()>,
) -> Result<()> {
    let mut builder = reader(path)?;
    let mut names: Vec<&str> = vec!["event_time", "smtp_code", "delivery_latency_ms", "recipient"];
    names.extend(DIMENSIONS.iter().chain(&OUTCOMES));
    if texts {
        names.extend(TEXTS);
        names.push("queued_time");
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    if let Some((from, until)) = range {
        let ranges = rows_between(path, from, until)?;
        builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges.into_iter(), total));
    }
    for batch in builder.with_projection(mask).with_batch_size(1 << 15).build()? {
        let batch = batch?;
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| {
                Error::Arrow(arrow::error::ArrowError::SchemaError(format!("a segment has no column `{name}`")))
            })
        };
        let times = cast(column("event_time")?, &timestamp())?;
        let codes = column("smtp_code")?.as_primitive::<Int64Type>();
        let latencies = column("delivery_latency_ms")?.as_primitive::<Int64Type>();
        let rows = Rows {
            len: batch.num_rows(),
            times: times.as_primitive::<TimestampMicrosecondType>().iter().collect(),
            dimensions: DIMENSIONS.iter().map(|name| ids(&batch, name, words)).collect::<Result<_>>()?,
            outcomes: OUTCOMES.iter().map(|name| ids(&batch, name, words)).collect::<Result<_>>()?,
            codes: codes.iter().map(|code| u32::try_from(code.unwrap_or_default()).unwrap_or_default()).collect(),
            latencies: latencies.iter().collect(),
            recipients: cast(column("recipient")?, &DataType::Utf8)?,
            texts: if texts {
                let text = |name: &str| -> Result<ArrayRef> { Ok(cast(column(name)?, &DataType::Utf8)?) };
                Some([text(TEXTS[0])?, text(TEXTS[1])?, text(TEXTS[2])?])
            } else {
                None
            },
            queued: if texts { Some(cast(column("queued_time")?, &timestamp())?) } else { None },
        };
        take(&rows, words)?;
    }
    Ok(())
}

/// A column of words as numbers.
fn ids(batch: &RecordBatch, name: &str, words: &mut Interner) -> Result<Vec<u32>> {
    let Some(column) = batch.column_by_name(name) else { return Ok(vec![0; batch.num_rows()]) };
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
        let column = cast(column, &DataType::Utf8)?;
        return Ok(column.as_string::<i32>().iter().map(|word| words.id(word.unwrap_or_default())).collect());
    };
    let values = dictionary.values().as_string::<i32>();
    let keys = dictionary.keys();
    // Only words that rows use are taken over.
    let mut known = vec![u32::MAX; values.len()];
    Ok((0..keys.len())
        .map(|row| {
            if keys.is_null(row) {
                return 0;
            }
            let key = usize::try_from(keys.value(row)).unwrap_or_default();
            if known[key] == u32::MAX {
                known[key] = words.id(values.value(key));
            }
            known[key]
        })
        .collect())
}
