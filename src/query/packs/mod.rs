//! Packs in memory: which segments of a question have one, the columns that questions asked for (bounded,
//! the longest unused leave first), and words under one numbering.

pub mod joint;
pub mod scan;
pub mod sums;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::catalog::Result;
use crate::catalog::control::Segment;
use crate::catalog::interner::Interner;
use crate::catalog::pack::{self, Pack, Section};
use crate::catalog::rollup::OUTCOMES;
use crate::event::Micros;

/// Bytes of columns that are kept.
const COLUMN_BYTES: usize = 96 << 20;
/// Packs of ragged ends that are kept.
const EDGES: usize = 64;

/// What happened, as numbers of words.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutcomeWords {
    pub(super) words: [u32; OUTCOMES.len()],
    pub(super) code: u32,
}

/// A pack with its words numbered like those of all others.
#[derive(Debug)]
pub(super) struct Loaded {
    pack: Pack,
    /// Where its rows are: what cannot be read is built again, once.
    root: PathBuf,
    segment: Segment,
    again: OnceLock<Option<Pack>>,
    number: u64,
    /// By the pack's own number.
    pub(super) words: Vec<u32>,
    pub(super) outcomes: Vec<OutcomeWords>,
}

impl Loaded {
    /// Sections of the pack; of one built anew where it was damaged or removed meanwhile.
    fn read(&self, sections: &[Section]) -> Result<Vec<Vec<u8>>> {
        let failure = match self.pack.read(sections) {
            Ok(found) => return Ok(found),
            Err(failure) => failure,
        };
        let again = self.again.get_or_init(|| {
            let bytes = pack::build(&self.root, &self.segment, None).ok()??;
            pack::save(&self.root, &self.segment, &bytes).ok();
            Pack::in_memory(bytes, self.segment.rows)
        });
        again.as_ref().map_or(Err(failure), |again| again.read(sections))
    }
}

/// A column in memory.
#[derive(Debug)]
pub(super) enum Numbers {
    /// 32 bits each.
    Narrow(Vec<u32>),
    /// 64 bits each.
    Wide(Vec<u64>),
}

impl Numbers {
    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(numbers) => numbers.len() * 4,
            Self::Wide(numbers) => numbers.len() * 8,
        }
    }

    /// As narrow numbers.
    pub(super) fn narrow(&self) -> &[u32] {
        match self {
            Self::Narrow(numbers) => numbers,
            Self::Wide(_) => &[],
        }
    }

    /// As wide numbers.
    pub(super) fn wide(&self) -> &[u64] {
        match self {
            Self::Wide(numbers) => numbers,
            Self::Narrow(_) => &[],
        }
    }
}

/// Columns that were asked for.
#[derive(Debug, Default)]
struct Columns {
    known: HashMap<(u64, u16), (Arc<Numbers>, u64)>,
    bytes: usize,
    clock: u64,
}

impl Columns {
    fn get(&mut self, key: (u64, u16)) -> Option<Arc<Numbers>> {
        self.clock += 1;
        let (numbers, used) = self.known.get_mut(&key)?;
        *used = self.clock;
        Some(Arc::clone(numbers))
    }

    fn put(&mut self, key: (u64, u16), numbers: &Arc<Numbers>) {
        self.clock += 1;
        self.bytes += numbers.bytes();
        if let Some((old, _)) = self.known.insert(key, (Arc::clone(numbers), self.clock)) {
            self.bytes -= old.bytes();
        }
        if self.bytes > COLUMN_BYTES {
            let mut ages: Vec<(u64, (u64, u16))> = self.known.iter().map(|(key, (_, used))| (*used, *key)).collect();
            ages.sort_unstable();
            for (_, key) in ages {
                if self.bytes <= COLUMN_BYTES / 4 * 3 {
                    break;
                }
                self.bytes -= self.known.remove(&key).map_or(0, |(numbers, _)| numbers.bytes());
            }
        }
    }
}

/// A ragged end: a segment's path and a range of time.
type EdgeKey = (String, Option<Micros>, Option<Micros>);

/// When replies were first seen: template and provider, and the time.
type Firsts = Vec<((u32, u32), Micros)>;

/// The packs in memory.
#[derive(Debug, Default)]
pub struct Packs {
    /// The same numbers for all packs.
    words: RwLock<Interner>,
    loaded: Mutex<HashMap<String, Arc<Loaded>>>,
    columns: Mutex<Columns>,
    edges: Mutex<Vec<(EdgeKey, Arc<Loaded>)>>,
    /// When replies were first seen in a segment, by its path.
    firsts: Mutex<HashMap<String, Arc<Firsts>>>,
    /// Held while packs are built, so that questions asked together do not build the same one.
    building: Mutex<()>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Packs {
    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        let packs: usize = lock(&self.loaded)
            .values()
            .map(|loaded| loaded.pack.held() + loaded.words.len() * 4 + loaded.outcomes.len() * 32)
            .sum();
        let edges: usize = lock(&self.edges).iter().map(|(_, loaded)| loaded.pack.held()).sum();
        let firsts: usize = lock(&self.firsts).values().map(|firsts| firsts.len() * 16).sum();
        lock(&self.columns).bytes + packs + edges + firsts + self.words().all().len() * 96
    }

    /// Forgets segments that are no longer visible.
    pub(super) fn keep_only(&self, segments: &[Segment]) {
        let live: std::collections::HashSet<&str> = segments.iter().map(|segment| segment.path.as_str()).collect();
        lock(&self.loaded).retain(|path, _| live.contains(path.as_str()));
        lock(&self.edges).retain(|((path, ..), _)| live.contains(path.as_str()));
        lock(&self.firsts).retain(|path, _| live.contains(path.as_str()));
    }

    pub(super) fn words(&self) -> std::sync::RwLockReadGuard<'_, Interner> {
        self.words.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, pack: Pack, root: &Path, segment: &Segment) -> Result<Loaded> {
        let sections = pack.read(&[Section::Words, Section::Outcomes])?;
        let mut words = self.words.write().unwrap_or_else(PoisonError::into_inner);
        let local: Vec<u32> = pack::texts(&sections[0]).into_iter().map(|word| words.id(word)).collect();
        drop(words);
        let outcomes = pack::numbers(&sections[1])
            .as_chunks::<10>()
            .0
            .iter()
            .map(|outcome| OutcomeWords {
                words: std::array::from_fn(|index| local.get(outcome[index] as usize).copied().unwrap_or_default()),
                code: outcome[7],
            })
            .collect();
        Ok(Loaded {
            pack,
            root: root.to_owned(),
            segment: segment.clone(),
            again: OnceLock::new(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            words: local,
            outcomes,
        })
    }

    /// The pack of a segment, if it is in memory or on disk.
    pub(super) fn find(&self, root: &Path, segment: &Segment) -> Option<Arc<Loaded>> {
        if let Some(loaded) = lock(&self.loaded).get(&segment.path) {
            return Some(Arc::clone(loaded));
        }
        let pack = Pack::open(root.join(pack::path_of(segment)), segment.rows)?;
        // One that cannot be read is as good as none.
        let loaded = Arc::new(self.load(pack, root, segment).ok()?);
        lock(&self.loaded).insert(segment.path.clone(), Arc::clone(&loaded));
        Some(loaded)
    }

    /// The pack of a segment, built now and left for the next question if there is none.
    pub(super) fn build(&self, root: &Path, segment: &Segment) -> Result<Option<Arc<Loaded>>> {
        let _alone = lock(&self.building);
        if let Some(loaded) = self.find(root, segment) {
            return Ok(Some(loaded));
        }
        let Some(bytes) = pack::build(root, segment, None)? else { return Ok(None) };
        // Where it cannot be written, it is built again by the next process.
        pack::save(root, segment, &bytes).ok();
        let Some(pack) = Pack::in_memory(bytes, segment.rows) else { return Ok(None) };
        let loaded = Arc::new(self.load(pack, root, segment)?);
        lock(&self.loaded).insert(segment.path.clone(), Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// Whether no row of a segment has one of some recipients in another case than lower case; false where
    /// that is not known.
    pub(super) fn only_lower(&self, root: &Path, segment: &Segment, recipients: &[u64]) -> bool {
        let Some(loaded) = self.find(root, segment) else { return false };
        self.columns(&loaded, [(Section::MixedCase, true)])
            .is_ok_and(|[mixed]| recipients.iter().all(|hash| mixed.wide().binary_search(hash).is_err()))
    }

    /// The rows of a segment in a range that is no whole quarter of an hour.
    pub(super) fn edge(
        &self,
        root: &Path,
        segment: &Segment,
        from: Option<Micros>,
        until: Option<Micros>,
    ) -> Result<Option<Arc<Loaded>>> {
        let key = (segment.path.clone(), from, until);
        let _alone = lock(&self.building);
        if let Some((_, loaded)) = lock(&self.edges).iter().find(|(known, _)| *known == key) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let Some(bytes) = pack::build(root, segment, Some((from, until)))? else { return Ok(None) };
        let Some(pack) = Pack::in_memory(bytes, segment.rows) else { return Ok(None) };
        let loaded = Arc::new(self.load(pack, root, segment)?);
        let mut edges = lock(&self.edges);
        if edges.len() >= EDGES {
            edges.remove(0);
        }
        edges.push((key, Arc::clone(&loaded)));
        Ok(Some(loaded))
    }

    /// Columns of a pack.
    pub(super) fn columns<const N: usize>(
        &self,
        loaded: &Loaded,
        sections: [(Section, bool); N],
    ) -> Result<[Arc<Numbers>; N]> {
        let mut out: [Option<Arc<Numbers>>; N] = std::array::from_fn(|_| None);
        let mut missing = Vec::new();
        {
            let mut columns = lock(&self.columns);
            for (slot, (section, _)) in out.iter_mut().zip(&sections) {
                *slot = columns.get((loaded.number, section.number()));
                if slot.is_none() {
                    missing.push(*section);
                }
            }
        }
        let mut read = loaded.read(&missing)?.into_iter();
        Ok(std::array::from_fn(|index| {
            if let Some(known) = out[index].take() {
                return known;
            }
            let (section, wide) = sections[index];
            let bytes = read.next().unwrap_or_default();
            let numbers = if wide { Numbers::Wide(pack::wide(&bytes)) } else { Numbers::Narrow(pack::numbers(&bytes)) };
            let numbers = Arc::new(numbers);
            lock(&self.columns).put((loaded.number, section.number()), &numbers);
            numbers
        }))
    }

    /// Texts of a pack; they are not kept.
    pub(super) fn texts(loaded: &Loaded, section: Section) -> Result<Vec<String>> {
        let bytes = loaded.read(&[section])?.pop().unwrap_or_default();
        Ok(pack::texts(&bytes).into_iter().map(str::to_owned).collect())
    }
}
