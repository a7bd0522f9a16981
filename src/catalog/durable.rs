//! Files on their way to the disk, while something else is done.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Threads that wait for the disk at a time; beyond that the caller does.
const MOST: usize = 16;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A thread that makes files durable, until somebody has waited for it.
type Syncing = Arc<Mutex<Option<JoinHandle<io::Result<()>>>>>;

/// Finished files that are being made durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Durable(Option<Syncing>);

impl Durable {
    /// Begins with some files; what is written to them afterwards is not included.
    pub(super) fn begin(files: Vec<File>) -> io::Result<Self> {
        let sync = move || files.iter().try_for_each(File::sync_all);
        if WAITING.fetch_add(1, Ordering::Relaxed) >= MOST {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            return sync().map(|()| Self(Some(Arc::default())));
        }
        let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
            let synced = sync();
            WAITING.fetch_sub(1, Ordering::Relaxed);
            synced
        });
        if thread.is_err() {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(Self(Some(Arc::new(Mutex::new(Some(thread?))))))
    }

    /// Whether it has begun.
    pub(super) const fn begun(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until they are durable, if it has begun.
    pub(super) fn wait(&self) -> io::Result<()> {
        let Some(thread) = &self.0 else { return Ok(()) };
        match thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(thread) => thread.join().unwrap_or_else(|_| Err(io::Error::other("a file was not made durable"))),
            None => Ok(()),
        }
    }
}
