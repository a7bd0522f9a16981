//! The keys of rows, read back from segments: hashes that tell which rows may be duplicates, and the key
//! columns that decide.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType, UInt64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use super::control::{FileDone, Segment};
use super::layout::Layout;
use super::merge::{ALL_ROLES, FillMask, KEY_COLUMN_NAMES, KEY_COLUMNS, KeyRow, hides, solve};
use super::{Catalog, Error, Result};
use crate::event::schema::timestamp;
use crate::event::{RecordType, Role};

/// The files of a merge: index, SHA-256 and what each fills.
pub(super) struct Files<'a> {
    catalog: &'a Catalog,
    index: HashMap<i64, usize>,
    pub(super) sha: Vec<String>,
    filled: Vec<[FillMask; 8]>,
}

impl<'a> Files<'a> {
    /// `coming`: files that the catalog does not know yet.
    pub(super) fn new(catalog: &'a Catalog, coming: &[(i64, FileDone)]) -> Self {
        Self {
            catalog,
            index: coming.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect(),
            sha: coming.iter().map(|(_, done)| done.sha256.clone()).collect(),
            filled: coming.iter().map(|(_, done)| done.filled).collect(),
        }
    }

    /// The index of a file.
    pub(super) fn index(&mut self, file_id: i64) -> Result<usize> {
        if let Some(index) = self.index.get(&file_id) {
            return Ok(*index);
        }
        let (sha, filled) = self.catalog.control(|control| control.file_keys(file_id))?;
        let index = self.sha.len();
        self.sha.push(sha);
        self.filled.push(filled);
        self.index.insert(file_id, index);
        Ok(index)
    }
}

pub(super) fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|source| Error::Disk { path: path.to_owned(), source })?;
    Ok(ParquetRecordBatchReaderBuilder::try_new(file)?)
}

/// The hashes beside the rows of a segment.
pub fn read_keys(path: &Path) -> Result<Vec<u64>> {
    let mut keys = Vec::new();
    for batch in open(path)?.with_batch_size(1 << 16).build()? {
        keys.extend_from_slice(batch?.column(0).as_primitive::<UInt64Type>().values());
    }
    Ok(keys)
}

/// Key hashes that were read before; a file of keys never changes. A backlog of small files asks for the same
/// ones at each commit.
#[derive(Debug, Default)]
pub(super) struct KeyMemory {
    known: HashMap<PathBuf, Arc<Vec<u64>>>,
    held: usize,
}

impl KeyMemory {
    /// Hashes that are kept: 8 MiB.
    const MOST: usize = 1 << 20;
    /// Only files of few rows are kept: of others reading costs little more than looking at them.
    const FEW: usize = 1 << 14;
}

/// The key hashes of a segment's rows.
pub(super) fn keys_of(catalog: &Catalog, path: &Path) -> Result<Arc<Vec<u64>>> {
    let memory = || catalog.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(keys) = memory().known.get(path) {
        return Ok(Arc::clone(keys));
    }
    let keys = Arc::new(read_keys(path)?);
    if keys.len() <= KeyMemory::FEW {
        let mut memory = memory();
        if memory.held + keys.len() > KeyMemory::MOST {
            *memory = KeyMemory::default();
        }
        memory.held += keys.len();
        memory.known.insert(path.to_owned(), Arc::clone(&keys));
    }
    Ok(keys)
}

/// A column of integers without gaps: `file_id` or `row_number`.
pub(super) fn read_numbers(path: &Path, column: &str) -> Result<Vec<i64>> {
    let builder = open(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let mut numbers = Vec::new();
    for batch in builder.with_projection(mask).with_batch_size(1 << 16).build()? {
        numbers.extend_from_slice(batch?.column(0).as_primitive::<Int64Type>().values());
    }
    Ok(numbers)
}

/// The key columns of some rows of a segment, in their order.
pub(super) fn read_rows(path: &Path, segment: &Segment, rows: &[usize], files: &mut Files<'_>) -> Result<Vec<KeyRow>> {
    let builder = open(path)?;
    let schema = builder.parquet_schema().clone();
    let wanted = ["kind", "event_time", "recipient", "record_type", "event_type", "row_number", "file_id"];
    let names: Vec<&str> = wanted.into_iter().chain(KEY_COLUMN_NAMES).collect();
    let mask = ProjectionMask::columns(&schema, names.iter().copied());
    let total = usize::try_from(segment.rows).unwrap_or_default();
    let selection = RowSelection::from_consecutive_ranges(rows.iter().map(|row| *row..row + 1), total);
    let reader = builder.with_projection(mask).with_row_selection(selection).with_batch_size(8192).build()?;
    let mut out = Vec::with_capacity(rows.len());
    for batch in reader {
        let batch = batch?;
        let text = |name: &str| -> Result<ArrayRef> {
            let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
            Ok(cast(column, &DataType::Utf8)?)
        };
        let times = cast(batch.column_by_name("event_time").ok_or_else(|| missing("event_time"))?, &timestamp())?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let numbers = batch
            .column_by_name("row_number")
            .ok_or_else(|| missing("row_number"))?
            .as_primitive::<Int64Type>()
            .clone();
        let owners =
            batch.column_by_name("file_id").ok_or_else(|| missing("file_id"))?.as_primitive::<Int64Type>().clone();
        let (kinds, recipients, records, roles) =
            (text("kind")?, text("recipient")?, text("record_type")?, text("event_type")?);
        let keys = KEY_COLUMN_NAMES.iter().map(|name| text(name)).collect::<Result<Vec<_>>>()?;
        let queue = text("queue")?;
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| {
                let column = column.as_string::<i32>();
                if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
            };
            let record = RecordType::parse(&cell(&records)).unwrap_or(RecordType::D);
            let kind = cell(&kinds);
            let who = if record == RecordType::Tq { cell(&queue) } else { cell(&recipients) };
            let core = format!("{kind}\u{0}{}\u{0}{}", times.value(row), who.to_lowercase());
            let mut values = [0; KEY_COLUMNS];
            for (slot, column) in values.iter_mut().zip(&keys) {
                *slot = xxhash_rust::xxh3::xxh3_64(cell(column).as_bytes());
            }
            let file = files.index(owners.value(row))?;
            out.push(KeyRow {
                file,
                filled: files.filled[file][record.index()],
                role: Role::parse(&cell(&roles)).unwrap_or(Role::Acct),
                row_number: numbers.value(row),
                core: xxhash_rust::xxh3::xxh3_128(core.as_bytes()),
                values,
            });
        }
    }
    Ok(out)
}

fn missing(column: &str) -> Error {
    Error::Arrow(arrow::error::ArrowError::SchemaError(format!("a segment has no column `{column}`")))
}

/// What a catalog of some segments alone would hold, where that differs from the whole catalog.
#[derive(Debug, Clone, Default)]
pub struct Subset {
    /// Rows that count there, of segments that are not to be read as they are.
    pub rows: Vec<RecordBatch>,
    /// Segments of events whose rows are among `rows`, since some of them are copies there.
    pub replaced: HashSet<String>,
}

/// Decides among some segments alone (SPEC §2.6: a filter on files gives what a catalog of only those would
/// give). Rows that share their key with no copy of theirs are events here as they are there.
///
/// `chosen`: the files. Segments may hold rows of others, too; these are left out by a filter on `file_id`.
pub fn subset(catalog: &Catalog, segments: &[&Segment], chosen: &[i64]) -> Result<Subset> {
    let layout = catalog.layout();
    let mut wanted: HashSet<u64> = HashSet::new();
    for segment in segments.iter().filter(|segment| !segment.is_events()) {
        wanted.extend(read_keys(&layout.absolute(&segment.keys_path()))?.into_iter().filter(|key| *key != 0));
    }
    if wanted.is_empty() {
        return Ok(Subset::default());
    }
    let mut files = Files::new(catalog, &[]);
    let chosen = chosen.iter().map(|id| files.index(*id)).collect::<Result<HashSet<usize>>>()?;
    let mut buckets: HashMap<u128, Vec<(usize, usize, KeyRow)>> = HashMap::new();
    for (index, segment) in segments.iter().enumerate() {
        let keys = read_keys(&layout.absolute(&segment.keys_path()))?;
        let rows: Vec<usize> =
            keys.iter().enumerate().filter(|(_, key)| wanted.contains(*key)).map(|(row, _)| row).collect();
        if rows.is_empty() {
            continue;
        }
        let path = layout.absolute(&segment.path);
        for (row, key) in rows.iter().zip(read_rows(&path, segment, &rows, &mut files)?) {
            if chosen.contains(&key.file) {
                buckets.entry(key.core).or_default().push((index, *row, key));
            }
        }
    }
    // Rows that are events here and not there, and the other way round.
    let mut differing: HashMap<usize, HashSet<usize>> = HashMap::new();
    for bucket in buckets.into_values() {
        let keys: Vec<KeyRow> = bucket.iter().map(|(_, _, key)| key.clone()).collect();
        for ((index, row, _), shadow) in bucket.iter().zip(solve(&keys, &files.sha)) {
            if hides(shadow, ALL_ROLES) == segments[*index].is_events() {
                differing.entry(*index).or_default().insert(*row);
            }
        }
    }
    let mut subset = Subset::default();
    for (index, differing) in differing {
        let segment = segments[index];
        let rows: Vec<usize> = if segment.is_events() {
            subset.replaced.insert(segment.path.clone());
            let all = 0..usize::try_from(segment.rows).unwrap_or_default();
            all.filter(|row| !differing.contains(row)).collect()
        } else {
            let mut rows: Vec<usize> = differing.into_iter().collect();
            rows.sort_unstable();
            rows
        };
        subset.rows.extend(whole_rows(layout, segment, &rows)?);
    }
    Ok(subset)
}

/// Some rows of a segment with all their columns.
fn whole_rows(layout: &Layout, segment: &Segment, rows: &[usize]) -> Result<Vec<RecordBatch>> {
    let total = usize::try_from(segment.rows).unwrap_or_default();
    let selection = RowSelection::from_consecutive_ranges(rows.iter().map(|row| *row..row + 1), total);
    let reader = open(&layout.absolute(&segment.path))?.with_row_selection(selection).build()?;
    reader.map(|batch| Ok(batch?)).collect()
}
