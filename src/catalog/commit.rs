//! The moment at which a file becomes visible: its rows are merged with those of other files, segments
//! and rollups get into place, and one transaction says so. Also what undoes the traces of a crash.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::UInt64Type;

use super::control::{Change, Control, FileDone, FileRow, RollupFile, Segment};
use super::keys::{Files, open, read_keys, read_row_numbers, read_rows};
use super::layout::{self, Layout};
use super::locks::Lock;
use super::merge::{KeyRow, Shadow, behind_own, solve};
use super::write::{SegmentWriter, Staged};
use super::{Catalog, Error, Result, rollup};
use crate::event::{Micros, RecordType, Role};

/// A file that is ready to become visible.
#[derive(Debug)]
pub struct Incoming {
    /// Its id.
    pub file_id: i64,
    /// What it was found to be.
    pub done: FileDone,
    /// Its rows.
    pub segments: Vec<Staged>,
    /// What they add up to.
    pub rollup: rollup::Builder,
    /// How many of its first rows are those of a visible file that it is the continuation of.
    pub grown_from: Option<i64>,
}

/// What came of a commit.
#[derive(Debug)]
pub enum Outcome {
    /// The file is visible.
    Done {
        /// The commit's number.
        generation: u64,
        /// Rows of this file that are copies of other files' events.
        merged: i64,
    },
    /// Another file with this content is visible already; nothing was changed.
    Duplicate(Box<FileRow>),
}

/// A folder of its own for files that are being written; removed when dropped, and by [`recover`]
/// after a crash.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    _lock: Lock,
}

impl Staging {
    /// A fresh folder below `staging/`.
    pub fn create(layout: &Layout) -> Result<Self> {
        let folder = layout.staging().join(unique());
        layout::make_dir(&folder)?;
        let lock = Lock::wait(&folder.join("lock"))?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next start.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A name that no other process and no earlier run uses.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a file visible.
pub fn commit_file(catalog: &Catalog, staging: &Staging, incoming: Incoming, now: Micros) -> Result<Outcome> {
    let layout = catalog.layout();
    let _lock = Lock::wait(&layout.lock("commit"))?;
    if let Some(known) = catalog.control(|control| control.known_content(&incoming.done.sha256))? {
        return Ok(Outcome::Duplicate(Box::new(known)));
    }
    let (generation, live, _) = catalog.control(Control::live)?;
    let mut rollup = incoming.rollup;
    let sources: Vec<Source> = incoming
        .segments
        .iter()
        .map(|staged| Source {
            path: staged.path.clone(),
            keys: staged.keys.clone(),
            segment: staged.segment.clone(),
            fresh: true,
        })
        .chain(live.into_iter().map(|segment| Source {
            path: layout.absolute(&segment.path),
            keys: layout.absolute(&segment.keys_path()),
            segment,
            fresh: false,
        }))
        .collect();
    let mut moves = find_moves(catalog, &sources, incoming.file_id, &incoming.done)?;
    if let Some(rows) = incoming.grown_from {
        note_grown(&sources, rows, &mut moves)?;
    }

    let mut change = Change {
        what: format!("file {}", incoming.file_id),
        file: Some((incoming.file_id, incoming.done)),
        ..Change::default()
    };
    let mut places: Vec<Staged> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        match moves.get(&index) {
            Some(moved) => {
                places.extend(rewrite(staging, source, moved, &mut rollup)?);
                if !source.fresh {
                    change.removed.push(source.segment.path.clone());
                }
            }
            None if source.fresh => places.push(Staged {
                path: source.path.clone(),
                keys: source.keys.clone(),
                segment: source.segment.clone(),
            }),
            None => {}
        }
    }
    let merged = places
        .iter()
        .filter(|staged| staged.segment.file_id == incoming.file_id && !staged.segment.is_events())
        .map(|staged| staged.segment.rows)
        .sum();
    let rollups = rollup.write(staging.path(), &format!("g{}-{}", generation + 1, unique()))?;
    place(layout, &places, &rollups)?;
    change.added = places.into_iter().map(|staged| staged.segment).collect();
    change.rollups = rollups.into_iter().map(|(_, rollup)| rollup).collect();
    let generation = catalog.control(|control| control.commit(&change, now))?;
    Ok(Outcome::Done { generation, merged })
}

/// Renames finished files to where the commit will say they are.
fn place(layout: &Layout, segments: &[Staged], rollups: &[(PathBuf, RollupFile)]) -> Result<()> {
    let publish = |from: &Path, to: &str| {
        let to = layout.absolute(to);
        layout::publish(from, &to).map_err(|source| Error::Disk { path: to, source })
    };
    for staged in segments {
        publish(&staged.keys, &staged.segment.keys_path())?;
        publish(&staged.path, &staged.segment.path)?;
    }
    for (from, rollup) in rollups {
        publish(from, &rollup.path)?;
    }
    Ok(())
}

/// A segment that takes part in a merge: just written, or live.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    keys: PathBuf,
    segment: Segment,
    fresh: bool,
}

/// Rows of one segment that change their place: row → shadow.
type Moved = HashMap<usize, Shadow>;

/// Which rows of which segments change their place because of the new file.
fn find_moves(catalog: &Catalog, sources: &[Source], file_id: i64, done: &FileDone) -> Result<HashMap<usize, Moved>> {
    let mut fresh: HashSet<u64> = HashSet::new();
    let mut fresh_keys: HashMap<usize, Vec<u64>> = HashMap::new();
    for (index, source) in sources.iter().enumerate().filter(|(_, source)| source.fresh) {
        let overlapped = sources.iter().any(|other| !other.fresh && may_share(&source.segment, &other.segment));
        if overlapped {
            let keys = read_keys(&source.keys)?;
            fresh.extend(keys.iter().filter(|key| **key != 0));
            fresh_keys.insert(index, keys);
        }
    }
    if fresh.is_empty() {
        return Ok(HashMap::new());
    }
    // Rows of live segments that share a hash with a new row, and those hashes.
    let mut candidates: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut shared: HashSet<u64> = HashSet::new();
    for (index, source) in sources.iter().enumerate().filter(|(_, source)| !source.fresh) {
        let near = fresh_keys.keys().any(|other| may_share(&source.segment, &sources[*other].segment));
        if !near {
            continue;
        }
        for (row, key) in read_keys(&source.keys)?.into_iter().enumerate() {
            if key != 0 && fresh.contains(&key) {
                candidates.entry(index).or_default().push(row);
                shared.insert(key);
            }
        }
    }
    if shared.is_empty() {
        return Ok(HashMap::new());
    }
    for (index, keys) in &fresh_keys {
        let rows: Vec<usize> =
            keys.iter().enumerate().filter(|(_, key)| shared.contains(*key)).map(|(row, _)| row).collect();
        if !rows.is_empty() {
            candidates.insert(*index, rows);
        }
    }

    let mut files = Files::new(catalog, file_id, done);
    let mut buckets: HashMap<u128, Vec<(usize, usize, KeyRow)>> = HashMap::new();
    let mut order: Vec<usize> = candidates.keys().copied().collect();
    order.sort_unstable();
    for index in order {
        let rows = &candidates[&index];
        for (row, key) in rows.iter().zip(read_rows(&sources[index].path, &sources[index].segment, rows, &mut files)?) {
            buckets.entry(key.core).or_default().push((index, *row, key));
        }
    }
    let mut moves: HashMap<usize, Moved> = HashMap::new();
    for bucket in buckets.into_values() {
        let keys: Vec<KeyRow> = bucket.iter().map(|(_, _, key)| key.clone()).collect();
        if keys.windows(2).all(|pair| pair[0].file == pair[1].file) {
            continue;
        }
        for ((index, row, _), shadow) in bucket.iter().zip(solve(&keys, &files.sha)) {
            if sources[*index].segment.shadow != shadow {
                moves.entry(*index).or_default().insert(*row, shadow);
            }
        }
    }
    Ok(moves)
}

/// The first rows of a file that grew are copies even where they have no key (SPEC §2.5: only what is new
/// is added). Rows with a key were found already.
fn note_grown(sources: &[Source], rows: i64, moves: &mut HashMap<usize, Moved>) -> Result<()> {
    for (index, source) in sources.iter().enumerate().filter(|(_, source)| source.fresh) {
        let shadow = Role::parse(&source.segment.role).map_or(0, behind_own);
        let numbers = read_row_numbers(&source.path)?;
        for (row, (key, number)) in read_keys(&source.keys)?.into_iter().zip(numbers).enumerate() {
            if key == 0 && number < rows {
                moves.entry(index).or_default().insert(row, shadow);
            }
        }
    }
    Ok(())
}

/// Whether two segments may hold rows of one event: their times overlap and so do their record types.
fn may_share(a: &Segment, b: &Segment) -> bool {
    let types = (0..8).any(|index| a.by_type[index] > 0 && b.by_type[index] > 0);
    // Kind `status` is shared by d, b, f and rs rows.
    let status = |segment: &Segment| {
        [RecordType::D, RecordType::B, RecordType::F, RecordType::Rs]
            .iter()
            .any(|record| segment.by_type[record.index()] > 0)
    };
    let times = match (a.min_time, a.max_time, b.min_time, b.max_time) {
        (Some(a_min), Some(a_max), Some(b_min), Some(b_max)) => a_min <= b_max && b_min <= a_max,
        _ => false,
    };
    times && (types || (status(a) && status(b)))
}

/// Writes a segment anew: the rows that stay, and those that move in segments of their own. What moved
/// is taken out of the rollups where it was and added where it is now.
fn rewrite(staging: &Staging, source: &Source, moved: &Moved, rollup: &mut rollup::Builder) -> Result<Vec<Staged>> {
    let keys = read_keys(&source.keys)?;
    let here = source.segment.shadow;
    let mut writers: HashMap<Shadow, SegmentWriter> = HashMap::new();
    let mut first = 0;
    let mut targets: Vec<Shadow> = moved.values().copied().chain([here]).collect();
    targets.sort_unstable();
    targets.dedup();
    for batch in open(&source.path)?.with_batch_size(1 << 16).build()? {
        let batch = batch?;
        let rows = batch.num_rows();
        let place_of = |row: usize| moved.get(&(first + row)).copied().unwrap_or(here);
        let places: Vec<Shadow> = (0..rows).map(place_of).collect();
        let batch_keys = UInt64Array::from(keys[first..first + rows].to_vec());
        for target in &targets {
            let mask: BooleanArray = places.iter().map(|place| Some(place == target)).collect();
            let part: RecordBatch = filter_record_batch(&batch, &mask)?;
            if part.num_rows() == 0 {
                continue;
            }
            if *target != here {
                rollup.add(&part, here, -1)?;
                rollup.add(&part, *target, 1)?;
            }
            let part_keys = filter(&batch_keys, &mask)?.as_primitive::<UInt64Type>().values().to_vec();
            if !writers.contains_key(target) {
                let segment = blank_segment(source.segment.file_id, source.segment.date, &source.segment.role, *target);
                let name = unique();
                let segment = Segment { path: segment_path(&segment, &name), ..segment };
                writers.insert(*target, SegmentWriter::create(staging.path(), &name, segment, &part.schema())?);
            }
            if let Some(writer) = writers.get_mut(target) {
                writer.write(&part, part_keys)?;
            }
        }
        first += rows;
    }
    writers.into_values().map(SegmentWriter::finish).collect()
}

/// A segment without rows.
pub fn blank_segment(file_id: i64, date: Option<i32>, role: &str, shadow: Shadow) -> Segment {
    Segment {
        path: String::new(),
        file_id,
        date,
        role: role.to_owned(),
        shadow,
        rows: 0,
        bytes: 0,
        min_time: None,
        max_time: None,
        by_type: [0; 8],
    }
}

/// Where a segment belongs: `events/…` or `copies/…`, by date and role.
pub fn segment_path(segment: &Segment, name: &str) -> String {
    let table = if segment.is_events() { "events" } else { "copies" };
    format!("{table}/{}/{name}.parquet", layout::partition(segment.date, &segment.role))
}

/// Undoes what a crash left: claims of dead processes, unfinished files, files that no commit names, and
/// segments that were replaced. Whatever another living process may still need is left alone.
pub fn recover(layout: &Layout, control: &Control) -> Result<()> {
    for entry in fs::read_dir(layout.staging())?.flatten() {
        let folder = entry.path();
        if let Ok(Some(_lock)) = Lock::attempt(&folder.join("lock")) {
            fs::remove_dir_all(&folder).ok();
        }
    }
    // Alone in the catalog: nobody reads, nobody writes.
    let Some(_alone) = Lock::attempt(&layout.lock("readers"))? else { return Ok(()) };
    let Some(_commit) = Lock::attempt(&layout.lock("commit"))? else { return Ok(()) };
    control.interrupt_all()?;
    for path in control.removed_paths()? {
        for path in [layout.absolute(&path), layout.absolute(&format!("keys/{path}"))] {
            fs::remove_file(path).ok();
        }
    }
    let named = control.all_paths()?;
    for table in ["events", "copies", "rollups"] {
        sweep(layout, Path::new(table), &named);
    }
    Ok(())
}

/// Removes the Parquet files below a folder that the control database does not know.
fn sweep(layout: &Layout, folder: &Path, named: &HashSet<String>) {
    let Ok(entries) = fs::read_dir(layout.root().join(folder)) else { return };
    for entry in entries.flatten() {
        let relative = folder.join(entry.file_name());
        if entry.file_name() == "_delta_log" {
            continue;
        }
        if entry.path().is_dir() {
            sweep(layout, &relative, named);
        } else if let Some(name) = relative.to_str()
            && name.ends_with(".parquet")
            && !named.contains(name)
        {
            fs::remove_file(entry.path()).ok();
            fs::remove_file(layout.absolute(&format!("keys/{name}"))).ok();
        }
    }
}
