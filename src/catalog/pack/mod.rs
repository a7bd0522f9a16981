//! What a segment's rows add up to, kept beside it: a *pack*. Segments never change, so a pack is a function
//! of its segment alone and needs no place in a commit; a question over roles and copies chooses among
//! packs as it chooses among segments. A pack that is missing, cut off or of another version is built anew.
//!
//! A pack is columns of little-endian integers, LZ4, each with its checksum, so that a question reads what it
//! needs and no more. The Parquet files stay the truth.

mod build;
mod rows;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use build::{MOST_ROWS, build, lower_hash, message_hash};
pub(super) use rows::reader as words_reader;

use super::control::Segment;
use super::{Catalog, Result, Snapshot, layout};
use crate::event::Micros;

/// Width of the narrowest time bucket of a pack.
pub const QUARTER: Micros = 15 * 60 * 1_000_000;
/// Quarters of an hour in a day.
pub const QUARTERS: usize = 96;
/// `lat` of a cell without latency.
pub const NO_LATENCY: u16 = 0;

const MAGIC: &[u8; 8] = b"PMTPACK2";

/// The cells of a pack: rows that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Quarter × all dimensions × outcome × latency.
    QuarterFull,
    /// All dimensions × outcome × latency, the day as a whole.
    DayFull,
    /// Quarter × provider × outcome.
    QuarterCounts,
    /// Quarter × latency.
    QuarterLatency,
    /// One dimension × provider × outcome, the day as a whole.
    DayCounts(u8),
    /// One dimension × latency, the day as a whole.
    DayLatency(u8),
}

/// A column of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Where each quarter begins (u32); of a day: two bounds.
    Starts,
    /// The combination of dimensions, or the word of the one dimension (u32).
    Who,
    /// The provider's word (u32); of tables of one dimension.
    Provider,
    /// The outcome (u32).
    Outcome,
    /// The latency's bucket: 0 none, else bucket + 2 (u32). Tables of latency alone: an attempt's is above 2¹⁶.
    Lat,
    /// Rows (u32).
    N,
    /// Sum of latencies in milliseconds (u64).
    Sum,
    /// Greatest latency in milliseconds (u64).
    Max,
}

/// A part of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Words, of which numbers tell.
    Words,
    /// A column of the combinations of dimensions: numbers of words (u32).
    Combo(u8),
    /// Outcomes, ten numbers each (u32): seven words, SMTP code; two unused.
    Outcomes,
    /// A column of cells.
    Cells(Table, Column),
    /// Deferrals, by the message's hash: hashes (u64).
    DeferredHash,
    /// Their combination (u32).
    DeferredCombo,
    /// Their outcome and quarter: outcome × 128 + quarter (u32).
    DeferredWhen,
    /// Rows whose reply is no success, by time: microseconds (u64).
    ReplyTime,
    /// Their combination (u32).
    ReplyCombo,
    /// Their outcome (u32).
    ReplyOutcome,
    /// The words of their template (u32).
    ReplyTemplate,
    /// One row in several of each kind, verbatim: its number among the rows (u32).
    ExampleRow,
    /// Their texts.
    ExampleText,
    /// Hashes of recipients that are not written in lower case, of their lower case, sorted (u64).
    MixedCase,
}

impl Section {
    /// Its number in the file.
    pub fn number(self) -> u16 {
        match self {
            Self::Words => 1,
            Self::Outcomes => 2,
            Self::DeferredHash => 3,
            Self::DeferredCombo => 4,
            Self::DeferredWhen => 5,
            Self::ReplyTime => 6,
            Self::ReplyCombo => 7,
            Self::ReplyOutcome => 8,
            Self::ReplyTemplate => 9,
            Self::ExampleRow => 10,
            Self::ExampleText => 11,
            Self::MixedCase => 12,
            Self::Combo(index) => 16 + u16::from(index),
            Self::Cells(table, column) => {
                let table = match table {
                    Table::QuarterFull => 0,
                    Table::DayFull => 1,
                    Table::QuarterCounts => 2,
                    Table::QuarterLatency => 3,
                    Table::DayCounts(index) => 4 + u16::from(index),
                    Table::DayLatency(index) => 12 + u16::from(index),
                };
                32 + table * 8 + column as u16
            }
        }
    }
}

/// Where a section is.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u16,
    offset: u64,
    stored: u32,
    raw: u32,
    xxh3: u64,
}

const PLACE_BYTES: usize = 26;
const HEAD_BYTES: usize = 20;

/// Puts a pack together.
#[derive(Debug, Default)]
pub struct Packer {
    places: Vec<Place>,
    body: Vec<u8>,
}

impl Packer {
    fn bytes(&mut self, section: Section, raw: &[u8]) {
        let stored = lz4_flex::block::compress(raw);
        self.places.push(Place {
            number: section.number(),
            offset: self.body.len() as u64,
            stored: u32::try_from(stored.len()).unwrap_or(u32::MAX),
            raw: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            xxh3: xxhash_rust::xxh3::xxh3_64(&stored),
        });
        self.body.extend_from_slice(&stored);
    }

    fn numbers(&mut self, section: Section, numbers: impl IntoIterator<Item = u32>) {
        let raw: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        self.bytes(section, &raw);
    }

    fn wide(&mut self, section: Section, numbers: impl IntoIterator<Item = u64>) {
        let raw: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        self.bytes(section, &raw);
    }

    fn texts<'t>(&mut self, section: Section, texts: impl IntoIterator<Item = &'t str>) {
        let mut raw = Vec::new();
        for text in texts {
            raw.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            raw.extend_from_slice(text.as_bytes());
        }
        self.bytes(section, &raw);
    }

    /// The file's bytes.
    fn finish(self, rows: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.places.len() * PLACE_BYTES + self.body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&rows.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.places.len()).unwrap_or_default().to_le_bytes());
        let body = (HEAD_BYTES + self.places.len() * PLACE_BYTES) as u64;
        for place in &self.places {
            out.extend_from_slice(&place.number.to_le_bytes());
            out.extend_from_slice(&(body + place.offset).to_le_bytes());
            out.extend_from_slice(&place.stored.to_le_bytes());
            out.extend_from_slice(&place.raw.to_le_bytes());
            out.extend_from_slice(&place.xxh3.to_le_bytes());
        }
        out.extend_from_slice(&self.body);
        out
    }
}

#[derive(Debug)]
enum Source {
    Disk(PathBuf),
    Memory(Arc<[u8]>),
}

/// A pack, of which sections can be read.
#[derive(Debug)]
pub struct Pack {
    source: Source,
    places: Vec<Place>,
}

fn broken(path: &Path) -> super::Error {
    std::io::Error::other(format!("{}: the pack is damaged", path.display())).into()
}

fn le<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

impl Pack {
    /// The pack of a segment's rows; `None` where there is none that can be used.
    pub fn open(path: PathBuf, rows: i64) -> Option<Self> {
        let file = File::open(&path).ok()?;
        let mut head = vec![0; 4096];
        let read = file.read_at(&mut head, 0).ok()?;
        head.truncate(read);
        let count = Self::head(&head, rows)?;
        let wanted = HEAD_BYTES + count * PLACE_BYTES;
        if head.len() < wanted {
            head = vec![0; wanted];
            file.read_exact_at(&mut head, 0).ok()?;
        }
        let places = Self::places(&head, count)?;
        let end = places.iter().map(|place| place.offset + u64::from(place.stored)).max()?;
        (file.metadata().ok()?.len() == end).then_some(Self { source: Source::Disk(path), places })
    }

    /// A pack in memory.
    pub fn in_memory(bytes: Vec<u8>, rows: i64) -> Option<Self> {
        let places = Self::places(&bytes, Self::head(&bytes, rows)?)?;
        Some(Self { source: Source::Memory(Arc::from(bytes)), places })
    }

    fn head(head: &[u8], rows: i64) -> Option<usize> {
        let fits = head.get(..8)? == MAGIC && u64::from_le_bytes(le(head, 8)?) == rows.unsigned_abs();
        fits.then_some(u32::from_le_bytes(le(head, 16)?) as usize)
    }

    fn places(head: &[u8], count: usize) -> Option<Vec<Place>> {
        (0..count)
            .map(|index| {
                let at = HEAD_BYTES + index * PLACE_BYTES;
                Some(Place {
                    number: u16::from_le_bytes(le(head, at)?),
                    offset: u64::from_le_bytes(le(head, at + 2)?),
                    stored: u32::from_le_bytes(le(head, at + 10)?),
                    raw: u32::from_le_bytes(le(head, at + 14)?),
                    xxh3: u64::from_le_bytes(le(head, at + 18)?),
                })
            })
            .collect()
    }

    /// Bytes that the pack itself holds in memory.
    pub fn held(&self) -> usize {
        match &self.source {
            Source::Disk(_) => self.places.len() * size_of::<Place>(),
            Source::Memory(bytes) => bytes.len(),
        }
    }

    /// The bytes of some sections, in their order; those that the pack has not are empty.
    pub fn read(&self, sections: &[Section]) -> Result<Vec<Vec<u8>>> {
        let (path, file) = match &self.source {
            Source::Disk(path) => {
                let disk = |source| super::Error::Disk { path: path.clone(), source };
                (path.as_path(), Some(File::open(path).map_err(disk)?))
            }
            Source::Memory(_) => (Path::new("memory"), None),
        };
        sections
            .iter()
            .map(|section| {
                let Some(place) = self.places.iter().find(|place| place.number == section.number()) else {
                    return Ok(Vec::new());
                };
                let (offset, stored) = (usize::try_from(place.offset).unwrap_or(usize::MAX), place.stored as usize);
                let mut buffer = Vec::new();
                let bytes: &[u8] = match (&file, &self.source) {
                    (Some(file), _) => {
                        buffer.resize(stored, 0);
                        file.read_exact_at(&mut buffer, place.offset)?;
                        &buffer
                    }
                    (None, Source::Memory(bytes)) => bytes.get(offset..offset + stored).ok_or_else(|| broken(path))?,
                    (None, Source::Disk(_)) => return Err(broken(path)),
                };
                if xxhash_rust::xxh3::xxh3_64(bytes) != place.xxh3 {
                    return Err(broken(path));
                }
                lz4_flex::block::decompress(bytes, place.raw as usize).map_err(|_| broken(path))
            })
            .collect()
    }
}

/// Numbers of a section.
pub fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect()
}

/// Wide numbers of a section.
pub fn wide(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
}

/// Texts of a section.
pub fn texts(mut bytes: &[u8]) -> Vec<&str> {
    let mut out = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((text, rest)) = rest.split_at_checked(length) else { break };
        out.push(std::str::from_utf8(text).unwrap_or_default());
        bytes = rest;
    }
    out
}

/// Where a segment's pack is, below the catalog's folder.
pub fn path_of(segment: &Segment) -> String {
    format!("packs/{}", segment.path.replace(".parquet", ".pack"))
}

/// Writes a pack: whole or not at all. It need not survive a power cut, since it can be built again.
pub fn save(root: &Path, segment: &Segment, bytes: &[u8]) -> Result<()> {
    let path = root.join(path_of(segment));
    let folder = path.parent().unwrap_or(root);
    layout::make_dir(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// Whether a segment's pack, if there is one, is what its rows add up to.
pub(super) fn is_right(root: &Path, segment: &Segment) -> Result<bool> {
    let Ok(found) = std::fs::read(root.join(path_of(segment))) else { return Ok(true) };
    // What the control database says of record types is not relied upon.
    let any = Segment { by_type: [1; 8], ..segment.clone() };
    Ok(build(root, &any, None)?.is_some_and(|built| built == found))
}

/// Rows without packs up to which a question builds the packs itself while it waits.
pub const FRESH_ROWS: i64 = 1_000_000;

/// Rows from which a segment's pack is built alone.
const LARGE_ROWS: i64 = 500_000;

/// Rows whose segments have no packs.
pub fn missing(catalog: &Catalog) -> Result<i64> {
    let snapshot = catalog.snapshot()?;
    Ok(unpacked(catalog.layout().root(), &snapshot).iter().map(|segment| segment.rows).sum())
}

/// The segments that have no pack and may have one, the newest days first.
fn unpacked<'s>(root: &Path, snapshot: &'s Snapshot) -> Vec<&'s Segment> {
    let mut segments: Vec<&Segment> = snapshot
        .segments
        .iter()
        .filter(|segment| segment.rows <= MOST_ROWS)
        .filter(|segment| Pack::open(root.join(path_of(segment)), segment.rows).is_none())
        .collect();
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.date));
    segments
}

/// Builds the packs that are missing, the newest days first, on as many threads, and removes those whose segment is
/// gone. `stop` is asked between segments. How many were built.
pub fn tidy(catalog: &Catalog, threads: usize, stop: &(dyn Fn() -> bool + Sync)) -> Result<usize> {
    let snapshot = catalog.snapshot()?;
    let root = catalog.layout().root();
    let segments = unpacked(root, &snapshot);
    // Cells of a segment are held while they are counted: large ones one at a time.
    let threads = if segments.iter().any(|segment| segment.rows > LARGE_ROWS) { 1 } else { threads };
    let next = AtomicUsize::new(0);
    let work = || -> Result<usize> {
        let mut built = 0;
        while !stop() {
            let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Some(bytes) = build(root, segment, None)? {
                save(root, segment, &bytes)?;
                built += 1;
            }
        }
        Ok(built)
    };
    let built = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut built = work()?;
        for other in others {
            built += other.join().unwrap_or_else(|_| Err(std::io::Error::other("building packs stopped").into()))?;
        }
        Ok::<usize, super::Error>(built)
    })?;
    if !stop() {
        sweep(root, &snapshot);
    }
    Ok(built)
}

/// Removes packs that belong to no segment.
fn sweep(root: &Path, snapshot: &Snapshot) {
    let live: HashSet<PathBuf> = snapshot.segments.iter().map(|segment| root.join(path_of(segment))).collect();
    let mut folders = vec![root.join("packs/events"), root.join("packs/copies")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pack") && !live.contains(&path) {
                // A question that still reads it builds it again.
                std::fs::remove_file(&path).ok();
            }
        }
    }
}
