//! The queue of files behind the screen: plain threads that take them in and tell how far they are.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::progress::{Progress, Status};
use super::{Ingest, TOGETHER, is_small};
use crate::catalog::control::FileRow;
use crate::config::{Afterwards, Inbox};
use crate::inbox::files_in;

/// Told of every step; called on the ingest threads.
pub type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// More at a time would hold more memory than it is worth.
const MOST_AT_A_TIME: usize = 8;

/// A file in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    path: PathBuf,
    /// From the inbox: passed over if another process has it, and moved or deleted afterwards.
    from_inbox: bool,
}

#[derive(Debug, Default)]
struct Queue {
    orders: VecDeque<Order>,
    /// The files that wait or are being read.
    known: HashSet<PathBuf>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    stop: AtomicBool,
}

/// The queue and its threads; stops when dropped.
pub struct Intake {
    shared: Arc<Shared>,
    ingest: Arc<Ingest>,
    listener: Listener,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Starts the threads: as many files are read at a time as there are cores.
    pub fn start(ingest: Arc<Ingest>, inbox: Inbox, listener: Listener) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..cores())
            .filter_map(|_| {
                let (mine, told) = (Arc::clone(&shared), Arc::clone(&listener));
                let (ingest, inbox) = (Arc::clone(&ingest), inbox.clone());
                std::thread::Builder::new()
                    .name("ingest".to_owned())
                    .spawn(move || work(&mine, &ingest, &inbox, &told))
                    .ok()
            })
            .collect();
        Self { shared, ingest, listener, threads }
    }

    /// Queues files; folders stand for the files in them.
    pub fn add(&self, paths: &[PathBuf], from_inbox: bool) {
        let mut fresh = Vec::new();
        {
            let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            for path in paths.iter().flat_map(|path| files_of(&whole(path))) {
                if queue.known.insert(path.clone()) {
                    queue.orders.push_back(Order { path: path.clone(), from_inbox });
                    fresh.push(path);
                }
            }
        }
        if from_inbox && !fresh.is_empty() {
            self.ingest.note_queued(&fresh, false);
        }
        self.shared.changed.notify_all();
        for path in fresh {
            (self.listener)(Progress::of(&path, Status::Queued));
        }
    }

    /// Tells of a file that is seen but not yet at rest.
    pub fn saw(&self, path: &Path) {
        (self.listener)(Progress::of(&whole(path), Status::Queued));
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

/// How much is done at a time: files that are read side by side, and workers on one large file.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_AT_A_TIME)
}

fn work(shared: &Shared, ingest: &Ingest, inbox: &Inbox, listener: &Listener) {
    while let Some(orders) = next(shared) {
        let mut told = HashSet::new();
        let mut report = |progress: Progress| {
            told.insert((progress.path.clone(), progress.status));
            listener(progress);
        };
        let wait = orders.iter().any(|order| !order.from_inbox);
        let paths: Vec<PathBuf> = orders.iter().map(|order| order.path.clone()).collect();
        let reports = ingest.files(&paths, wait, &shared.stop, &mut report);
        for (order, rows) in orders.into_iter().zip(reports) {
            finish(&order, &rows, &told, inbox, listener);
            shared.queue.lock().unwrap_or_else(PoisonError::into_inner).known.remove(&order.path);
        }
    }
}

/// Tells what became of a file, and puts it away.
fn finish(order: &Order, rows: &[FileRow], told: &HashSet<(PathBuf, Status)>, inbox: &Inbox, listener: &Listener) {
    // A file that was refused before it had a row in the control database is told of here.
    for row in rows {
        let mut progress = Progress::of(&order.path, row.status);
        progress.path = PathBuf::from(&row.path);
        progress.rows = row.rows.unsigned_abs();
        progress.rejected_rows = row.rejected_rows.unsigned_abs();
        progress.error.clone_from(&row.error);
        if !told.contains(&(progress.path.clone(), progress.status)) {
            listener(progress);
        }
    }
    let settled = !rows.is_empty() && rows.iter().all(|row| matches!(row.status, Status::Done | Status::Duplicate));
    if order.from_inbox
        && settled
        && let Err(error) = put_away(&order.path, inbox)
    {
        let mut progress = Progress::of(&order.path, Status::Done);
        progress.error = format!("taken in, but it cannot be moved or deleted: {error}");
        listener(progress);
    }
}

/// The next file, or small ones that can become visible together: as many as leave some for the other threads.
fn next(shared: &Shared) -> Option<Vec<Order>> {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if shared.stop.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(order) = queue.orders.pop_front() {
            let most = queue.orders.len().div_ceil(cores()).min(TOGETHER);
            let mut orders = vec![order];
            while orders.len() < most
                && let Some(next) = queue.orders.front()
                && next.from_inbox == orders[0].from_inbox
                && is_small(&orders[0].path)
                && is_small(&next.path)
            {
                orders.extend(queue.orders.pop_front());
            }
            return Some(orders);
        }
        queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// What becomes of a source once it is in the catalog.
fn put_away(path: &Path, inbox: &Inbox) -> std::io::Result<()> {
    match inbox.afterwards {
        Afterwards::Keep => Ok(()),
        Afterwards::Delete => fs::remove_file(path),
        Afterwards::Move => {
            let folder = match path.parent() {
                Some(parent) if inbox.processed.is_relative() => parent.join(&inbox.processed),
                _ => inbox.processed.clone(),
            };
            fs::create_dir_all(&folder)?;
            let name = path.file_name().unwrap_or_default();
            let mut target = folder.join(name);
            let mut count = 1;
            while target.exists() {
                target = folder.join(format!("{}.{count}", name.to_string_lossy()));
                count += 1;
            }
            fs::rename(path, target)
        }
    }
}

/// The path by which a file is known everywhere.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A file itself, or the files in a folder and its folders; hidden ones and symbolic links are left out.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files = files_in(path);
    let mut folders: Vec<PathBuf> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    files.extend(folders.iter().flat_map(|folder| files_of(folder)));
    files
}
