//! Which rows change their place when files come or go, and the segments that are written anew for it.
//!
//! Only rows whose key hash occurs both in what comes or goes and in what stays are looked at, a share of
//! the hashes at a time, so that memory is bounded whatever the size of the overlap.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::UInt64Type;

use super::commit::{Staging, blank_segment, segment_path, unique};
use super::control::{FileDone, Segment};
use super::keys::{Files, keys_of, open, read_keys, read_numbers, read_rows};
use super::layout::Layout;
use super::merge::{KeyRow, Shadow, solve};
use super::write::{SegmentWriter, Staged};
use super::{Catalog, Result, rollup};
use crate::event::RecordType;

/// Key hashes that are looked at together: some 100 bytes of memory each while their rows are compared.
const HASHES_AT_ONCE: usize = 400_000;

/// A segment that takes part in a merge: just written, or live.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) keys: PathBuf,
    pub(super) segment: Segment,
    /// As it was staged, if it is just written.
    pub(super) staged: Option<Staged>,
}

impl Source {
    pub(super) fn live(layout: &Layout, segment: Segment) -> Self {
        Self {
            path: layout.absolute(&segment.path),
            keys: layout.absolute(&segment.keys_path()),
            segment,
            staged: None,
        }
    }

    pub(super) fn of(staged: &Staged) -> Self {
        let (path, keys, segment) = (staged.path.clone(), staged.keys.clone(), staged.segment.clone());
        Self { path, keys, segment, staged: Some(staged.clone()) }
    }

    /// Whether it is just written.
    pub(super) fn fresh(&self) -> bool {
        self.staged.is_some()
    }

    /// The file that its rows are of; of a fresh one.
    fn owner(&self) -> Option<i64> {
        self.segment.files.first().map(|file| file.id)
    }

    /// Whether rows of one of the files are in it.
    fn loses(&self, leaving: &HashSet<i64>) -> bool {
        !self.fresh() && self.segment.files.iter().any(|file| leaving.contains(&file.id))
    }
}

/// Rows of one segment that change their place: row, and where it goes (`None`: out of the catalog).
pub(super) type Moved = Vec<(u32, Option<Shadow>)>;

/// By segment, the rows that change their place because files come (`sources` that are fresh) or go. The
/// new files have the ids and the properties given; each fresh segment has rows of one of them.
pub(super) fn find_moves(
    catalog: &Catalog,
    sources: &[Source],
    leaving: &HashSet<i64>,
    coming: &[(i64, FileDone)],
) -> Result<HashMap<usize, Moved>> {
    let mut moves: HashMap<usize, Moved> = HashMap::new();
    let mut departing: HashMap<usize, HashSet<u32>> = HashMap::new();
    for (index, source) in sources.iter().enumerate().filter(|(_, source)| source.loses(leaving)) {
        let owners = read_numbers(&source.path, "file_id")?;
        let rows: HashSet<u32> =
            (0u32..).zip(owners).filter(|(_, id)| leaving.contains(id)).map(|(row, _)| row).collect();
        moves.insert(index, rows.iter().map(|row| (*row, None)).collect());
        departing.insert(index, rows);
    }
    let changing: Vec<usize> =
        (0..sources.len()).filter(|index| sources[*index].fresh() || departing.contains_key(index)).collect();
    // Only hashes of segments that overlap others can matter.
    let overlapped: Vec<usize> = changing
        .iter()
        .copied()
        .filter(|index| {
            let own = &sources[*index];
            (0..sources.len()).any(|other| {
                other != *index
                    && !(own.fresh() && sources[other].fresh() && own.owner() == sources[other].owner())
                    && may_share(&own.segment, &sources[other].segment)
            }) || departing
                .get(index)
                .is_some_and(|rows| i64::try_from(rows.len()).unwrap_or(i64::MAX) < own.segment.rows)
        })
        .collect();
    let total: i64 = overlapped.iter().map(|index| sources[*index].segment.rows).sum();
    let passes = usize::try_from(total).unwrap_or_default().div_ceil(HASHES_AT_ONCE).max(1);
    let near: Vec<usize> = (0..sources.len())
        .filter(|index| {
            !sources[*index].fresh()
                && overlapped
                    .iter()
                    .any(|other| other == index || may_share(&sources[*index].segment, &sources[*other].segment))
        })
        .collect();
    let mut files = Files::new(catalog, coming);
    for pass in 0..passes as u64 {
        let in_pass = |key: u64| key != 0 && key % passes as u64 == pass;
        let stays = |index: usize, row: usize| {
            departing.get(&index).is_none_or(|rows| !u32::try_from(row).is_ok_and(|row| rows.contains(&row)))
        };
        // Hashes of rows that come or go, with the file that brings them, and those that several have.
        let mut active: HashMap<u64, Option<i64>> = HashMap::new();
        let mut shared: HashSet<u64> = HashSet::new();
        let mut fresh_keys: HashMap<usize, Vec<u64>> = HashMap::new();
        for index in &overlapped {
            let keys = read_keys(&sources[*index].keys)?;
            let fresh = sources[*index].fresh();
            let owner = sources[*index].owner().filter(|_| fresh);
            for (row, key) in keys.iter().enumerate() {
                if in_pass(*key) && (fresh || !stays(*index, row)) {
                    let known = active.entry(*key).or_insert(owner);
                    match (&known, owner) {
                        (Some(known), Some(owner)) if *known != owner => {
                            shared.insert(*key);
                        }
                        (None, Some(_)) => *known = owner,
                        _ => {}
                    }
                }
            }
            if fresh {
                fresh_keys.insert(*index, keys);
            }
        }
        if active.is_empty() {
            continue;
        }
        // Rows that stay and share one of them.
        let mut candidates: Vec<(usize, Vec<usize>)> = Vec::new();
        for index in &near {
            let keys = keys_of(catalog, &sources[*index].keys)?;
            let rows: Vec<usize> = keys
                .iter()
                .enumerate()
                .filter(|(row, key)| active.contains_key(*key) && stays(*index, *row))
                .map(|(row, key)| {
                    shared.insert(*key);
                    row
                })
                .collect();
            if !rows.is_empty() {
                candidates.push((*index, rows));
            }
        }
        for (index, keys) in &fresh_keys {
            let rows: Vec<usize> =
                keys.iter().enumerate().filter(|(_, key)| shared.contains(*key)).map(|(row, _)| row).collect();
            if !rows.is_empty() {
                candidates.push((*index, rows));
            }
        }
        settle(sources, &candidates, &mut files, &mut moves)?;
    }
    for moved in moves.values_mut() {
        moved.sort_unstable();
    }
    Ok(moves)
}

/// Decides where the candidates belong, bucket by bucket.
fn settle(
    sources: &[Source],
    candidates: &[(usize, Vec<usize>)],
    files: &mut Files<'_>,
    moves: &mut HashMap<usize, Moved>,
) -> Result<()> {
    let mut buckets: HashMap<u128, Vec<(usize, usize, KeyRow)>> = HashMap::new();
    for (index, rows) in candidates {
        for (row, key) in rows.iter().zip(read_rows(&sources[*index].path, &sources[*index].segment, rows, files)?) {
            buckets.entry(key.core).or_default().push((*index, *row, key));
        }
    }
    for bucket in buckets.into_values() {
        let keys: Vec<KeyRow> = bucket.iter().map(|(_, _, key)| key.clone()).collect();
        for ((index, row, _), shadow) in bucket.iter().zip(solve(&keys, &files.sha)) {
            if sources[*index].segment.shadow != shadow {
                moves.entry(*index).or_default().push((u32::try_from(*row).unwrap_or(u32::MAX), Some(shadow)));
            }
        }
    }
    Ok(())
}

/// Whether two segments may hold rows of one event: their times overlap and so do their record types.
pub(super) fn may_share(a: &Segment, b: &Segment) -> bool {
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

/// Writes a segment anew: the rows that stay, and those that move in segments of their own. What moved is
/// taken out of the rollups where it was and added where it is now.
pub(super) fn rewrite(
    staging: &Staging,
    source: &Source,
    moved: &Moved,
    rollup: &mut rollup::Builder,
) -> Result<Vec<Staged>> {
    let keys = read_keys(&source.keys)?;
    let here = source.segment.shadow;
    let mut writers: HashMap<Shadow, SegmentWriter> = HashMap::new();
    let mut first = 0;
    let mut next = 0;
    for batch in open(&source.path)?.with_batch_size(1 << 15).build()? {
        let batch = batch?;
        let rows = batch.num_rows();
        let mut places: Vec<Option<Shadow>> = vec![Some(here); rows];
        while let Some((row, place)) = moved.get(next).filter(|(row, _)| (*row as usize) < first + rows) {
            places[*row as usize - first] = *place;
            next += 1;
        }
        let mut targets = places.clone();
        targets.sort_unstable();
        targets.dedup();
        let batch_keys = UInt64Array::from(keys[first..first + rows].to_vec());
        for target in targets {
            let mask: BooleanArray = places.iter().map(|place| Some(*place == target)).collect();
            let part: RecordBatch = filter_record_batch(&batch, &mask)?;
            if target != Some(here) {
                rollup.add(&part, here, -1)?;
            }
            let Some(target) = target else { continue };
            if target != here {
                rollup.add(&part, target, 1)?;
            }
            let part_keys = filter(&batch_keys, &mask)?.as_primitive::<UInt64Type>().values().to_vec();
            let writer = match writers.entry(target) {
                Entry::Occupied(writer) => writer.into_mut(),
                Entry::Vacant(slot) => {
                    let segment = blank_segment(source.segment.date, &source.segment.role, target);
                    let name = unique();
                    let segment = Segment { path: segment_path(&segment, &name), ..segment };
                    slot.insert(SegmentWriter::create(staging.path(), &name, segment, &part.schema())?)
                }
            };
            writer.write(&part, part_keys)?;
        }
        first += rows;
    }
    writers.into_values().map(SegmentWriter::finish).collect()
}
