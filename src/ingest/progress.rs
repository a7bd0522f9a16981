//! What the rest of the program may know of files on their way in.

use std::path::{Path, PathBuf};

pub use crate::event::file_status::Status;

/// How far one file is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The file, as it is named to the user.
    pub path: PathBuf,
    /// Its state.
    pub status: Status,
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes in all; 0 while unknown.
    pub total_bytes: u64,
    /// Rows read so far.
    pub rows: u64,
    /// Rows put aside so far.
    pub rejected_rows: u64,
    /// Rows per second since it began.
    pub rows_per_second: f64,
    /// What went wrong, in full; empty if nothing did.
    pub error: String,
}

impl Progress {
    /// A file in a state, with nothing read yet.
    pub fn of(path: &Path, status: Status) -> Self {
        Self {
            path: path.to_owned(),
            status,
            bytes: 0,
            total_bytes: std::fs::metadata(path).map_or(0, |meta| meta.len()),
            rows: 0,
            rejected_rows: 0,
            rows_per_second: 0.0,
            error: String::new(),
        }
    }
}
