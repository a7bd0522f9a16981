//! Housekeeping: what is too old or too much leaves, small files become larger ones, and what has left is
//! deleted. One process at a time; the work is done beside readers and writers and gives way to them.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{SortOptions, concat, concat_batches, sort_to_indices, take, take_record_batch};
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashMap;

use super::commit::{Staging, blank_segment, place, segment_path, sums_of, unique};
use super::control::{Change, RollupFile, Segment};
use super::keys::{open, read_keys};
use super::locks::Lock;
use super::recover::delete_removed;
use super::write::{SegmentWriter, Staged, write_rollup};
use super::{Catalog, Error, Result, Snapshot, layout};
use crate::config::Retention;
use crate::event::{Micros, column_index};

/// A segment with fewer rows is small.
pub(super) const SMALL_ROWS: i64 = 32 * 1024;
/// Rows that small segments are joined to: one row group.
pub(super) const JOINED_ROWS: i64 = 128 * 1024;
/// So many small segments of a kind are joined.
const FEWEST_SEGMENTS: usize = 4;
/// So many rollup files of a day and kind are joined …
const FEWEST_ROLLUPS: usize = 8;
/// … the smallest first, up to this many cells: some 250 bytes of memory each while they are added up.
const JOINED_CELLS: i64 = 200_000;
const DAY: Micros = 86_400_000_000;
const HOUR: Micros = 3_600_000_000;

/// What housekeeping did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Segments that left because they were too old or too much.
    pub retired: usize,
    /// Small files, segments and rollups, that were joined.
    pub joined: usize,
    /// Files that were deleted from disk.
    pub deleted: usize,
}

/// Does what is to be done. Nothing, if another process is at it.
pub fn keep(catalog: &Catalog, retention: &Retention, now: Micros) -> Result<Kept> {
    let mut kept = Kept::default();
    let Some(_alone) = Lock::attempt(&catalog.layout().lock("keeping"))? else { return Ok(kept) };
    kept.retired = retire(catalog, retention, now)?;
    for step in [join_segments, join_rollups] {
        while let joined @ 1.. = step(catalog, now)? {
            kept.joined += joined;
        }
    }
    let grace = i64::from(retention.grace_hours) * HOUR;
    kept.deleted = delete_removed(catalog, now.saturating_sub(grace))?;
    Ok(kept)
}

/// Lets go what is older than allowed, counted from the newest event, and the oldest days beyond the disk
/// budget. Copies leave with the events of their day; rollups have limits of their own.
fn retire(catalog: &Catalog, retention: &Retention, now: Micros) -> Result<usize> {
    let snapshot = catalog.snapshot()?;
    let Some(newest) = catalog.newest(&snapshot)? else { return Ok(0) };
    let today = newest.div_euclid(DAY);
    let first_day = |days: u32| i32::try_from(today + 1 - i64::from(days)).unwrap_or(i32::MIN);
    let mut floor = if retention.events_days == 0 { i32::MIN } else { first_day(retention.events_days) };
    if retention.max_gb > 0.0 {
        floor = floor.max(budget_floor(&snapshot, retention.max_gb));
    }
    let old: Vec<String> = snapshot
        .segments
        .iter()
        .filter(|segment| segment.date.is_some_and(|date| date < floor))
        .map(|segment| segment.path.clone())
        .collect();
    let rollup_floor = if retention.rollups_days == 0 { i32::MIN } else { first_day(retention.rollups_days) };
    let old_rollups: Vec<String> = snapshot
        .rollups
        .iter()
        .filter(|rollup| rollup.date.is_some_and(|date| date < rollup_floor))
        .map(|rollup| rollup.path.clone())
        .collect();
    let count = old.len() + old_rollups.len();
    if count == 0 {
        return Ok(0);
    }
    let what = format!("retention: events from day {floor}, rollups from day {rollup_floor}");
    let floor = if old.is_empty() { None } else { Some(floor) };
    let change = Change { what, removed: old, removed_rollups: old_rollups, floor, ..Change::default() };
    let _lock = Lock::wait(&catalog.layout().lock("commit"))?;
    match catalog.control(|control| control.commit(&change, now)) {
        Ok(_) => Ok(count),
        // A merge was quicker; the next time will do.
        Err(Error::Overtaken) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The first day that fits into the disk budget, with all later ones.
#[expect(clippy::cast_possible_truncation, reason = "sizes of disks")]
fn budget_floor(snapshot: &Snapshot, max_gb: f64) -> i32 {
    let budget = (max_gb * 1e9) as i64;
    let mut days: std::collections::BTreeMap<i32, i64> = std::collections::BTreeMap::new();
    let mut used = 0;
    for segment in &snapshot.segments {
        // A row's key takes eight bytes beside it.
        let bytes = segment.bytes + segment.rows * 8;
        match segment.date {
            Some(date) => *days.entry(date).or_default() += bytes,
            None => used += bytes,
        }
    }
    let newest = days.keys().next_back().copied().unwrap_or(i32::MIN);
    for (date, bytes) in days.into_iter().rev() {
        used += bytes;
        if used > budget && date < newest {
            return date + 1;
        }
    }
    i32::MIN
}

/// Joins small segments of one day, role and shadow; how many went.
fn join_segments(catalog: &Catalog, now: Micros) -> Result<usize> {
    let snapshot = catalog.snapshot()?;
    let mut groups: std::collections::BTreeMap<_, Vec<&Segment>> = std::collections::BTreeMap::new();
    for segment in snapshot.segments.iter().filter(|segment| segment.rows < SMALL_ROWS) {
        groups.entry((segment.date, segment.role.clone(), segment.shadow)).or_default().push(segment);
    }
    for ((date, role, shadow), segments) in groups {
        if segments.len() < FEWEST_SEGMENTS {
            continue;
        }
        let mut rows = 0;
        let chosen: Vec<&Segment> = segments
            .into_iter()
            .take_while(|segment| {
                rows += segment.rows;
                rows <= JOINED_ROWS
            })
            .collect();
        if chosen.len() < 2 {
            continue;
        }
        let staging = Staging::create(catalog.layout())?;
        let layout = catalog.layout();
        let parts = chosen.iter().map(|part| (layout.absolute(&part.path), layout.absolute(&part.keys_path())));
        let joined = join(&staging, &parts.collect::<Vec<_>>(), blank_segment(date, &role, shadow))?;
        let change = Change {
            what: format!("{} small segments joined", chosen.len()),
            added: vec![joined.segment.clone()],
            sums: sums_of(std::slice::from_ref(&joined)),
            removed: chosen.iter().map(|segment| segment.path.clone()).collect(),
            ..Change::default()
        };
        let _lock = Lock::wait(&catalog.layout().lock("commit"))?;
        if !still_live(catalog, &change.removed)? {
            return Ok(0);
        }
        place(catalog.layout(), &[joined], &[])?;
        catalog.control(|control| control.commit(&change, now))?;
        return Ok(chosen.len());
    }
    Ok(0)
}

/// Whether all of some segments are still visible; under the commit lock this stays so.
fn still_live(catalog: &Catalog, paths: &[String]) -> Result<bool> {
    let (_, live, _) = catalog.control(super::control::Control::live)?;
    let live: std::collections::HashSet<&str> = live.iter().map(|segment| segment.path.as_str()).collect();
    Ok(paths.iter().all(|path| live.contains(path.as_str())))
}

/// Rows of several segments (where they and their keys are) as one, in order of time.
pub(super) fn join(staging: &Staging, parts: &[(PathBuf, PathBuf)], blank: Segment) -> Result<Staged> {
    let (mut batches, mut keys): (Vec<RecordBatch>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (rows, hashes) in parts {
        for batch in open(rows)?.with_batch_size(1 << 15).build()? {
            batches.push(batch?);
        }
        keys.push(Arc::new(UInt64Array::from(read_keys(hashes)?)));
    }
    let Some(first) = batches.first() else { return Err(Error::Overtaken) };
    let schema = first.schema();
    let all = concat_batches(&schema, &batches)?;
    drop(batches);
    let keys = concat(&keys.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?;
    let times = all.column(column_index("event_time").unwrap_or_default());
    let order = sort_to_indices(times, Some(SortOptions { descending: false, nulls_first: true }), None)?;
    let name = unique();
    let segment = Segment { path: segment_path(&blank, &name), ..blank };
    let mut writer = SegmentWriter::create(staging.path(), &name, segment, &schema)?;
    const SLICE: usize = 1 << 15;
    for from in (0..order.len()).step_by(SLICE) {
        let slice = order.slice(from, SLICE.min(order.len() - from));
        let part_keys = take(&keys, &slice, None)?.as_primitive::<UInt64Type>().values().to_vec();
        writer.write(&take_record_batch(&all, &slice)?, part_keys)?;
    }
    writer.finish()
}

/// Joins the rollup files of one day and kind; how many went.
fn join_rollups(catalog: &Catalog, now: Micros) -> Result<usize> {
    let snapshot = catalog.snapshot()?;
    let mut groups: std::collections::BTreeMap<_, Vec<&RollupFile>> = std::collections::BTreeMap::new();
    for rollup in &snapshot.rollups {
        groups.entry((rollup.date, rollup.kind.clone())).or_default().push(rollup);
    }
    let Some(((date, kind), chosen)) = groups
        .into_iter()
        .map(|(group, files)| (group, smallest(files)))
        .find(|(_, files)| files.len() >= FEWEST_ROLLUPS)
    else {
        return Ok(0);
    };
    let staging = Staging::create(catalog.layout())?;
    let mut change = Change {
        what: format!("{} rollup files joined", chosen.len()),
        removed_rollups: chosen.iter().map(|rollup| rollup.path.clone()).collect(),
        ..Change::default()
    };
    let mut places = Vec::new();
    if let Some(batch) = add_up(catalog, &chosen)? {
        let name = unique();
        let path = staging.path().join(format!("{name}.{kind}.parquet"));
        write_rollup(&path, &batch)?;
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let place = format!("rollups/{}/{name}.{kind}.parquet", layout::date_folder(date));
        places.push((path, RollupFile { path: place, kind, date, rows }));
    }
    let _lock = Lock::wait(&catalog.layout().lock("commit"))?;
    place(catalog.layout(), &[], &places)?;
    change.rollups = places.into_iter().map(|(_, rollup)| rollup).collect();
    match catalog.control(|control| control.commit(&change, now)) {
        Ok(_) => Ok(chosen.len()),
        Err(Error::Overtaken) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The smallest of some rollup files, as many as may be added up together.
fn smallest(mut files: Vec<&RollupFile>) -> Vec<&RollupFile> {
    files.sort_by_key(|file| file.rows);
    let mut cells = 0;
    files.retain(|file| {
        cells += file.rows;
        cells <= JOINED_CELLS
    });
    files
}

/// What can be added up in a cell; everything else is its key. Of `max_ms` the greatest is kept.
const SUMS: [&str; 2] = ["n", "sum_ms"];
const MAXIMUM: &str = "max_ms";

/// The cells of several rollup files with equal keys added up; nothing where all of them cancel out.
fn add_up(catalog: &Catalog, files: &[&RollupFile]) -> Result<Option<RecordBatch>> {
    let mut cells: HashMap<OwnedRow, [i64; 3]> = HashMap::new();
    let mut converter: Option<RowConverter> = None;
    let mut schema = None;
    for file in files {
        for batch in open(&catalog.layout().absolute(&file.path))?.with_batch_size(1 << 15).build()? {
            let batch = batch?;
            let is_key = |name: &str| !SUMS.contains(&name) && name != MAXIMUM;
            let fields = batch.schema();
            let keys: Vec<ArrayRef> = (0..batch.num_columns())
                .filter(|index| is_key(fields.field(*index).name()))
                .map(|index| Arc::clone(batch.column(index)))
                .collect();
            let converter = match &mut converter {
                Some(converter) => converter,
                slot => slot.insert(RowConverter::new(
                    keys.iter().map(|key| SortField::new(key.data_type().clone())).collect(),
                )?),
            };
            schema = Some(fields);
            let numbers = |name: &str| batch.column_by_name(name).map(|column| column.as_primitive::<Int64Type>());
            let (n, sum, max) = (numbers("n"), numbers("sum_ms"), numbers(MAXIMUM));
            let rows = converter.convert_columns(&keys)?;
            for (index, row) in rows.iter().enumerate() {
                let at = |column: Option<&Int64Array>| column.map_or(0, |column| column.value(index));
                let cell = cells.entry(row.owned()).or_insert([0, 0, i64::MIN]);
                cell[0] += at(n);
                cell[1] += at(sum);
                cell[2] = cell[2].max(at(max));
            }
        }
    }
    let (Some(converter), Some(schema)) = (converter, schema) else { return Ok(None) };
    let mut sorted: Vec<(OwnedRow, [i64; 3])> =
        cells.into_iter().filter(|(_, cell)| cell[0] != 0 || cell[1] != 0).collect();
    if sorted.is_empty() {
        return Ok(None);
    }
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut keys = converter.convert_rows(sorted.iter().map(|(row, _)| row.row()))?.into_iter();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        let sum = ["n", "sum_ms", MAXIMUM].iter().position(|name| name == field.name());
        columns.push(match sum {
            Some(index) => Arc::new(sorted.iter().map(|(_, cell)| Some(cell[index])).collect::<Int64Array>()),
            None => keys.next().ok_or(Error::Overtaken)?,
        });
    }
    Ok(Some(RecordBatch::try_new(schema, columns)?))
}
