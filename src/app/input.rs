//! Everything that can happen to the screen. What is not in here cannot change what is seen.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::slot::Ticket;
use crate::config::keys::KeyPress;
use crate::ingest::progress::Progress;
use crate::query::question::{Answer, Failure};
use crate::query::time::Micros;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A key was pressed.
    Key(KeyPress),
    /// Text was pasted.
    Pasted(String),
    /// The terminal has another size, or was given back to us.
    Resized,
    /// Time passed while something moves on the screen; carries the clock (UTC).
    Tick(Micros),
    /// A file is further on its way in.
    Ingest(Progress),
    /// The catalog has a new commit.
    Catalog {
        /// Its number.
        generation: u64,
        /// The newest event ("now" of SPEC §4); `None` while the catalog is empty.
        now: Option<Micros>,
    },
    /// A question was answered, or could not be.
    Answered(Ticket, Result<Arc<Answer>, Failure>),
    /// Values for the filter bar, with counts; the serial is the asking's.
    Completed(u64, Vec<(String, u64)>),
    /// Paths for the add-files prompt; the serial is the asking's.
    PathsCompleted(u64, Vec<String>),
    /// An export ended.
    Exported(Result<PathBuf, Failure>),
    /// Something that the user should read; an error stays longer.
    Notice(Failure),
}
