//! The inbox: folders that are watched. Events of the filesystem are hints; full scans find what they
//! miss (network filesystems, overflows). The folder is the queue, so a crash loses nothing.

pub mod settle;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};

use crate::config;
use settle::Settle;

/// How often a folder with files that are not yet at rest is looked at.
const SETTLING: Duration = Duration::from_millis(500);

/// What the watcher is told.
enum Signal {
    Changed,
    Stop,
}

/// What a watcher needs from outside.
pub trait Arrivals: Send + 'static {
    /// Whether this very file was taken in before.
    fn is_known(&self, path: &Path) -> bool;
    /// A file that is new here and not yet at rest.
    fn saw(&self, path: &Path);
    /// Files that are at rest and not known.
    fn arrived(&self, paths: Vec<PathBuf>);
}

/// Watches folders on a thread of its own; stops when dropped.
#[derive(Debug)]
pub struct Inbox {
    signal: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Inbox {
    /// Starts watching. A folder that is not there yet is found by a later scan.
    pub fn watch(settings: &config::Inbox, arrivals: impl Arrivals) -> Self {
        let (signal, signals) = channel();
        let settings = settings.clone();
        let hints = signal.clone();
        let thread = std::thread::Builder::new()
            .name("inbox".to_owned())
            .spawn(move || run(&settings, &arrivals, hints, &signals))
            .ok();
        Self { signal, thread }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.signal.send(Signal::Stop).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(settings: &config::Inbox, arrivals: &impl Arrivals, hints: Sender<Signal>, signals: &Receiver<Signal>) {
    let rest = Duration::from_secs(settings.settle_seconds);
    let rescan = Duration::from_secs(settings.rescan_seconds.max(1));
    // Without events (network filesystem, no inotify watches left) the scans alone do the work.
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let reading = event.as_ref().is_ok_and(|event| event.kind.is_access());
        if !reading {
            hints.send(Signal::Changed).ok();
        }
    })
    .ok();
    if let Some(watcher) = &mut watcher {
        for folder in &settings.folders {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok();
        }
    }
    let mut settle = Settle::default();
    loop {
        let waiting = scan(&settings.folders, &mut settle, rest, arrivals);
        let pause = if waiting { SETTLING } else { rescan };
        match signals.recv_timeout(pause) {
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Signal::Changed) => {
                // A burst of events is one scan.
                std::thread::sleep(Duration::from_millis(50));
                for signal in signals.try_iter() {
                    if matches!(signal, Signal::Stop) {
                        return;
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Looks at every file once; true if some are not yet at rest.
fn scan(folders: &[PathBuf], settle: &mut Settle, rest: Duration, arrivals: &impl Arrivals) -> bool {
    let now = Instant::now();
    let mut waiting = false;
    let mut ready = Vec::new();
    for path in folders.iter().filter(|folder| folder.is_dir()).flat_map(|folder| files_in(folder)) {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if arrivals.is_known(&path) {
            continue;
        }
        let first_sight = !settle.knows(&path);
        if settle.is_at_rest(&path, (meta.size(), meta.mtime(), meta.mtime_nsec()), now, rest) {
            ready.push(path);
        } else {
            waiting = true;
            if first_sight {
                arrivals.saw(&path);
            }
        }
    }
    settle.keep_only(Path::exists);
    if !ready.is_empty() {
        arrivals.arrived(ready);
    }
    waiting
}

/// Whether the system tells of changes in a folder; if not, why.
pub fn can_watch(folder: &Path) -> Result<(), String> {
    let mut watcher = notify::recommended_watcher(|_| {}).map_err(|error| error.to_string())?;
    watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| error.to_string())
}

/// The files in a folder, by name; hidden ones and symbolic links are left out.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")))
        .collect();
    files.sort();
    files
}
