//! Where rows of a recipient, a message id or an envelope id are, kept beside each segment: for every such text a few
//! bits of its hash and the block of 1,024 rows that it stands in, so that one message is found among millions by
//! reading some hundred bytes a segment. A cache like packs: where it is missing, all rows are looked through.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::control::Segment;
use super::peek::{self, Cells};
use super::{Catalog, Error, Result, Snapshot, layout};
use crate::event::Micros;

const MAGIC: &[u8; 8] = b"PMTFIND1";
/// Rows in a block.
const BLOCK: usize = 1024;
/// Entries in a bucket, on average.
const BUCKET: usize = 16;
const HEAD: usize = 20;

/// What rows are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The recipient, whatever its case.
    Recipient,
    /// The message id.
    MessageId,
    /// The envelope id.
    EnvId,
}

const COLUMNS: [&str; 3] = ["recipient", "message_id", "env_id"];

impl By {
    const ALL: [Self; 3] = [Self::Recipient, Self::MessageId, Self::EnvId];

    /// What is hashed of a text.
    fn hash(self, text: &str) -> u64 {
        match self {
            Self::Recipient => xxh3_64(text.to_lowercase().as_bytes()),
            Self::MessageId => xxh3_64(text.as_bytes()),
            // Apart from the others: short numbers are common here.
            Self::EnvId => xxh3_64(format!("e{text}").as_bytes()),
        }
    }

    fn is(self, cell: &str, text: &str) -> bool {
        match self {
            Self::Recipient => cell.len() == text.len() && cell.to_lowercase() == text.to_lowercase(),
            _ => cell == text,
        }
    }
}

/// Where a segment's finder is, below the catalog's folder.
fn path_of(segment: &Segment) -> String {
    format!("find/{}", segment.path.replace(".parquet", ".find"))
}

/// The bytes of a segment's finder; `None` where it has too many rows for one.
fn build(root: &Path, segment: &Segment) -> Result<Option<Vec<u8>>> {
    if segment.rows > 1 << 26 {
        return Ok(None);
    }
    let mut entries: Vec<(u64, u16)> = Vec::new();
    let mut row = 0;
    peek::each(&root.join(&segment.path), &COLUMNS, None, |cells| {
        for at in 0..cells.len {
            let block = u16::try_from(row / BLOCK).unwrap_or(u16::MAX);
            for (column, by) in By::ALL.into_iter().enumerate() {
                let text = cells.text(column, at);
                if !text.is_empty() {
                    entries.push((by.hash(text), block));
                }
            }
            row += 1;
        }
        Ok(())
    })?;
    entries.sort_unstable();
    entries.dedup();
    let buckets = (entries.len() / BUCKET).max(1);
    let mut out = Vec::with_capacity(HEAD + (buckets + 1) * 4 + entries.len() * 4);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&segment.rows.to_le_bytes());
    out.extend_from_slice(&u32::try_from(buckets).unwrap_or(u32::MAX).to_le_bytes());
    let mut at = 0;
    for bucket in 0..=buckets {
        // Sorted by hash, entries are sorted by bucket.
        at += entries[at..].partition_point(|(hash, _)| bucket_of(*hash, buckets) < bucket);
        out.extend_from_slice(&u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes());
    }
    for (hash, block) in entries {
        out.extend_from_slice(&mark(hash).to_le_bytes());
        out.extend_from_slice(&block.to_le_bytes());
    }
    Ok(Some(out))
}

/// The bucket of a hash: hashes that rise have buckets that do not fall.
fn bucket_of(hash: u64, buckets: usize) -> usize {
    usize::try_from((u128::from(hash) * buckets as u128) >> 64).unwrap_or_default()
}

/// The bits of a hash that are kept: those that say least about its bucket.
const fn mark(hash: u64) -> u16 {
    (hash & 0xffff) as u16
}

/// The blocks in which a text may stand; `None` where that is not known.
fn blocks(root: &Path, segment: &Segment, hashes: &[u64]) -> Option<Vec<usize>> {
    let file = File::open(root.join(path_of(segment))).ok()?;
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).ok()?;
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
    if head.get(..8)? != MAGIC || head.get(8..16)? != segment.rows.to_le_bytes() {
        return None;
    }
    let buckets = number(head.get(16..20)?)? as usize;
    let mut found = Vec::new();
    for hash in hashes {
        let mut bounds = [0; 8];
        file.read_exact_at(&mut bounds, (HEAD + bucket_of(*hash, buckets) * 4) as u64).ok()?;
        let (from, until) = (number(&bounds[..4])? as usize, number(&bounds[4..])? as usize);
        let mut entries = vec![0; until.checked_sub(from)?.min(1 << 20) * 4];
        file.read_exact_at(&mut entries, (HEAD + (buckets + 1) * 4 + from * 4) as u64).ok()?;
        for entry in entries.as_chunks::<4>().0 {
            if u16::from_le_bytes([entry[0], entry[1]]) == mark(*hash) {
                found.push(usize::from(u16::from_le_bytes([entry[2], entry[3]])));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// The ranges of rows that blocks stand for.
fn ranges(blocks: &[usize], rows: usize) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for block in blocks {
        let (from, until) = (block * BLOCK, ((block + 1) * BLOCK).min(rows));
        match out.last_mut() {
            Some(last) if last.end == from => last.end = until,
            _ if from < until => out.push(from..until),
            _ => {}
        }
    }
    out
}

/// Rows of a segment that hold one of some texts.
fn rows_of(root: &Path, segment: &Segment, texts: &[(By, String)]) -> Result<Vec<usize>> {
    let hashes: Vec<u64> = texts.iter().map(|(by, text)| by.hash(text)).collect();
    let total = usize::try_from(segment.rows).unwrap_or_default();
    let wanted = blocks(root, segment, &hashes)
        .map_or_else(|| std::iter::once(0..total).collect(), |blocks| ranges(&blocks, total));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut numbers = wanted.clone().into_iter().flatten();
    let mut found = Vec::new();
    let bys: Vec<(usize, &By, &String)> =
        texts.iter().filter_map(|(by, text)| Some((By::ALL.iter().position(|known| known == by)?, by, text))).collect();
    peek::each(&root.join(&segment.path), &COLUMNS, Some((wanted, total)), |cells| {
        for at in 0..cells.len {
            let number = numbers.next().unwrap_or(usize::MAX);
            if bys.iter().any(|(column, by, text)| by.is(cells.text(*column, at), text)) {
                found.push(number);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The cells of rows that hold one of some texts, in some segments, on two threads; `take` is told which segment they
/// are of.
pub fn rows<T: Send>(
    snapshot: &Snapshot,
    segments: &[&Segment],
    texts: &[(By, String)],
    columns: &[&str],
    take: impl Fn(&Segment, &Cells, usize) -> T + Sync,
) -> Result<Vec<T>> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    on_two(segments, |segment| {
        let rows = rows_of(&snapshot.root, segment, texts)?;
        cells_of(snapshot, segment, &rows, columns, |cells, at| take(segment, cells, at))
    })
}

/// The cells of some rows of a segment.
pub fn cells_of<T>(
    snapshot: &Snapshot,
    segment: &Segment,
    rows: &[usize],
    columns: &[&str],
    take: impl Fn(&Cells, usize) -> T,
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    if rows.is_empty() {
        return Ok(out);
    }
    let total = usize::try_from(segment.rows).unwrap_or_default();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == *row => last.end += 1,
            _ => ranges.push(*row..row + 1),
        }
    }
    peek::each(&snapshot.root.join(&segment.path), columns, Some((ranges, total)), |cells| {
        out.extend((0..cells.len).map(|at| take(cells, at)));
        Ok(())
    })?;
    Ok(out)
}

/// Does something for each segment, on two threads; in the order of the segments.
pub fn on_two<T: Send>(segments: &[&Segment], work: impl Fn(&Segment) -> Result<Vec<T>> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Vec<T>)>> = Mutex::default();
    let run = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(segment) = segments.get(at) else { return Ok(()) };
            let found = work(segment)?;
            if !found.is_empty() {
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, found));
            }
        }
    };
    std::thread::scope(|scope| {
        let other = (segments.len() > 1).then(|| scope.spawn(run));
        run()?;
        match other.map(std::thread::ScopedJoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(_)) => Err(Error::Io(std::io::Error::other("looking for rows stopped"))),
        }
    })?;
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().flat_map(|(_, found)| found).collect())
}

/// Whether a segment's time overlaps a range, both ends inclusive.
pub fn overlaps(segment: &Segment, from: Option<Micros>, until: Option<Micros>) -> bool {
    match (segment.min_time, segment.max_time) {
        (Some(min), Some(max)) => from.is_none_or(|from| from <= max) && until.is_none_or(|until| min <= until),
        _ => from.is_none() && until.is_none(),
    }
}

/// Builds the finders that are missing, the newest days first, and removes those whose segment is gone. `stop` is asked
/// between segments.
pub fn tidy(catalog: &Catalog, threads: usize, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
    let snapshot = catalog.snapshot()?;
    let root = catalog.layout().root();
    let mut segments: Vec<&Segment> = snapshot
        .segments
        .iter()
        .filter(|segment| segment.is_events() && !root.join(path_of(segment)).exists())
        .collect();
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.date));
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while !stop() {
            let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Some(bytes) = build(root, segment)? {
                save(&root.join(path_of(segment)), &bytes)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        work()?;
        others.into_iter().try_for_each(|other| {
            other.join().unwrap_or_else(|_| Err(std::io::Error::other("building finders stopped").into()))
        })
    })?;
    if !stop() {
        sweep(root, &snapshot);
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    layout::make_dir(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn sweep(root: &Path, snapshot: &Snapshot) {
    let live: HashSet<PathBuf> = snapshot.segments.iter().map(|segment| root.join(path_of(segment))).collect();
    let mut folders = vec![root.join("find")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "find") && !live.contains(&path) {
                std::fs::remove_file(&path).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_beside_each_other_are_one_range() {
        assert_eq!(ranges(&[0, 1, 3], 3500), [0..2048, 3072..3500]);
        assert!(ranges(&[], 10).is_empty());
    }

    #[test]
    fn buckets_rise_with_hashes() {
        assert_eq!(bucket_of(0, 7), 0);
        assert_eq!(bucket_of(u64::MAX, 7), 6);
        assert!(bucket_of(1 << 63, 7) <= bucket_of((1 << 63) + (1 << 62), 7));
    }
}
