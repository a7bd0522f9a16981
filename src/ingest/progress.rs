//! What the rest of the program may know of files on their way in.

use std::path::PathBuf;

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
