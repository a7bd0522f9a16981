//! The catalog: events and rollups in Parquet, one control database that says what counts.

pub mod checkpoint;
pub mod checksum;
pub mod commit;
pub mod control;
pub mod delta;
mod durable;
pub mod find;
pub mod fsck;
pub mod incidents;
pub mod interner;
pub mod keep;
pub mod keys;
pub mod layout;
pub mod links;
pub mod locks;
pub mod look;
pub mod merge;
mod moves;
mod numbers;
pub mod outbox;
pub mod pack;
mod pages;
pub mod peek;
pub mod recover;
mod repair;
pub mod rollup;
pub mod sheet;
mod states;
mod sums;
pub mod table;
mod texts;
mod twice;
mod words;
pub mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Micros;
use control::{Control, FileRow, RollupFile, Segment};
use layout::Layout;

/// The result of an operation on the catalog.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Disk.
    #[error("{path}: {source}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Disk, path unknown.
    #[error("catalog: {0}")]
    Io(#[from] std::io::Error),
    /// The control database.
    #[error("control database: {0}")]
    Control(#[from] rusqlite::Error),
    /// Parquet.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A catalog of a later pmtop.
    #[error("{path}: written by a newer pmtop (version {found}, this one knows {known}); update pmtop")]
    Newer {
        /// The control database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version known here.
        known: i64,
    },
    /// A file whose Parquet does not hold what was written.
    #[error("{path}: {found} rows in the footer, {expected} written; the file is discarded")]
    RowCount {
        /// The Parquet file.
        path: PathBuf,
        /// Rows written.
        expected: i64,
        /// Rows found.
        found: i64,
    },
    /// What a change was based on is gone meanwhile.
    #[error("another commit was quicker")]
    Overtaken,
    /// The control database cannot be kept safely here.
    #[error(
        "{path}: this is a network filesystem ({kind}), where SQLite's locks and shared memory cannot be trusted and the \
         catalog could be damaged; keep it on a local disk (`catalog` in the configuration, or --catalog). \
         The inbox may be on the network"
    )]
    Network {
        /// The catalog's folder.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A log entry that this catalog did not write.
    #[error(
        "{path}: written by another program; the log is not continued until `pmtop fsck --repair` has put it right"
    )]
    ForeignLog {
        /// The entry.
        path: PathBuf,
    },
    /// A repair while others use the catalog.
    #[error("the catalog is in use; a repair needs it alone: close every other pmtop on it first")]
    InUse,
    /// A commit of several files; none of them is visible.
    #[error(transparent)]
    Together(Arc<Error>),
    /// Another process took a file over.
    #[error("file {id} was taken over by another process")]
    LostClaim {
        /// Its id.
        id: i64,
    },
}

/// What is visible at one moment: the segments and rollups of one generation.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The number of the last commit.
    pub generation: u64,
    /// Segments of events and of copies.
    pub segments: Vec<Segment>,
    /// Rollup files.
    pub rollups: Vec<RollupFile>,
    /// The catalog's folder.
    pub root: PathBuf,
    /// Keeps the files from being deleted while they may be read.
    _pin: Option<Arc<Pin>>,
}

/// Says to all processes that the files of a generation are being read; gone when dropped, or with the
/// process.
#[derive(Debug)]
struct Pin {
    path: PathBuf,
    _lock: locks::Lock,
}

impl Pin {
    /// `None` where no file can be created: a full disk must not keep readers out.
    fn new(layout: &Layout, generation: u64) -> Option<Self> {
        let path = layout.pins().join(format!("{generation}-{}", commit::unique()));
        let lock = locks::Lock::attempt(&path).ok()??;
        Some(Self { path, _lock: lock })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

impl Snapshot {
    /// The earliest and the latest event.
    pub fn bounds(&self) -> Option<(Micros, Micros)> {
        let oldest = self.segments.iter().filter_map(|segment| segment.min_time).min()?;
        let newest = self.segments.iter().filter_map(|segment| segment.max_time).max()?;
        Some((oldest, newest))
    }
}

/// A catalog on local disk, shared by any number of processes.
#[derive(Debug)]
pub struct Catalog {
    layout: Layout,
    control: Mutex<Control>,
    cached: Mutex<Option<(i64, Arc<Snapshot>)>>,
    /// What was made of the cached snapshot; it goes with it.
    beside: Mutex<Option<Arc<Snapshot>>>,
    /// Key hashes of small segments.
    keys: Mutex<keys::KeyMemory>,
    /// Segments that were found damaged, and what is wrong with them; no snapshot holds them.
    damaged: Mutex<BTreeMap<String, String>>,
    /// Opened when it is first asked for.
    incidents: Mutex<Option<Arc<incidents::Incidents>>>,
    /// Held as long as the catalog is open: a repair wants to be alone.
    _open: locks::Lock,
}

impl Catalog {
    /// Opens the catalog in a folder, creating it if it is not there, and repairs what a crash left.
    pub fn open(root: &Path) -> Result<Arc<Self>> {
        let disk = |source| Error::Disk { path: root.to_owned(), source };
        let layout = Layout::create(root).map_err(disk)?;
        if let Some(kind) = layout.network().map_err(disk)? {
            return Err(Error::Network { path: root.to_owned(), kind });
        }
        let open = locks::Lock::shared(&layout.lock("readers")).map_err(disk)?;
        let control = Control::open(&layout.control())?;
        // A full disk must not keep readers out; what is left undone now is done by a later start.
        recover::recover(&layout, &control).ok();
        Ok(Arc::new(Self {
            layout,
            control: Mutex::new(control),
            cached: Mutex::default(),
            beside: Mutex::default(),
            keys: Mutex::default(),
            damaged: Mutex::default(),
            incidents: Mutex::default(),
            _open: open,
        }))
    }

    /// Where things are on disk.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The incidents' database.
    pub fn incidents(&self) -> Result<Arc<incidents::Incidents>> {
        let mut known = self.incidents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(incidents) = known.as_ref() {
            return Ok(Arc::clone(incidents));
        }
        let incidents = Arc::new(incidents::Incidents::open(&self.layout.incidents())?);
        *known = Some(Arc::clone(&incidents));
        Ok(incidents)
    }

    /// Runs something on the control database.
    pub fn control<T>(&self, run: impl FnOnce(&mut Control) -> Result<T>) -> Result<T> {
        run(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is visible now. Cheap while nothing has changed.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.layout.root().to_owned();
        // Nothing that is visible now is deleted before it is pinned.
        let _gate = locks::Lock::shared(&self.layout.lock("pinning")).ok();
        let fresh = self.control(|control| {
            let generation = i64::try_from(control.generation()?).unwrap_or(i64::MAX);
            if let Some((known, snapshot)) = cached.as_ref()
                && *known == generation
            {
                return Ok((generation, Arc::clone(snapshot)));
            }
            let (generation, mut segments, rollups) = control.live()?;
            let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
            segments.retain(|segment| !damaged.contains_key(&segment.path));
            let pin = Pin::new(&self.layout, generation).map(Arc::new);
            let snapshot = Snapshot { generation, segments, rollups, root, _pin: pin };
            Ok((i64::try_from(generation).unwrap_or(i64::MAX), Arc::new(snapshot)))
        })?;
        let is_new = cached.as_ref().is_none_or(|(_, snapshot)| !Arc::ptr_eq(snapshot, &fresh.1));
        *cached = Some(fresh.clone());
        if is_new {
            *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(fresh.1)
    }

    /// Keeps something that was made of a snapshot for as long as that is the newest.
    pub fn keep_beside(&self, snapshot: &Arc<Snapshot>, made: &Arc<Snapshot>) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.as_ref().is_some_and(|(_, newest)| Arc::ptr_eq(newest, snapshot)) {
            *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(made));
        }
    }

    /// Reads all visible segments and compares them with what was written; how many are found damaged that
    /// were not known to be. They are in no snapshot from now on.
    pub fn look_for_damage(&self) -> Result<usize> {
        let snapshot = self.snapshot()?;
        let root = self.layout.root();
        let mut found = BTreeMap::new();
        for segment in &snapshot.segments {
            if let Some(why) = self.control(|control| control.fault(root, &segment.path))? {
                found.insert(segment.path.clone(), why);
            }
        }
        let count = found.len();
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(count)
    }

    /// The segments that were found damaged, with what is wrong with them.
    pub fn damaged(&self) -> Vec<(String, String)> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.iter().map(|(path, why)| (path.clone(), why.clone())).collect()
    }

    /// The newest event that is not over a day after its file came in (SPEC §4: such clocks are wrong).
    pub fn newest(&self, snapshot: &Snapshot) -> Result<Option<Micros>> {
        const DAY: Micros = 86_400_000_000;
        let received: std::collections::HashMap<i64, Micros> =
            self.control(|control| control.received())?.into_iter().collect();
        Ok(snapshot
            .segments
            .iter()
            .filter_map(|segment| {
                let latest = segment.files.iter().filter_map(|file| received.get(&file.id)).max()?;
                Some((segment.max_time?, *latest))
            })
            .filter(|(time, received)| *time <= received + DAY)
            .map(|(time, _)| time)
            .max())
    }

    /// The file table, newest first.
    pub fn files(&self) -> Result<Vec<FileRow>> {
        self.control(|control| control.files())
    }
}

/// The wall clock; used for `received_at` and nothing that is decided.
pub fn clock() -> Micros {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
