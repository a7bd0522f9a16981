//! Everything that can happen to the screen. What is not in here cannot change what is seen.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::effect::{Mark, RowId};
use crate::app::explorer::RawRow;
use crate::app::files::Reject;
use crate::app::saved::SavedView;
use crate::app::slot::Ticket;
use crate::config::keys::KeyPress;
use crate::ingest::progress::Progress;
use crate::insight::explain::Explanation;
use crate::insight::incident::{Happening, Incident};
use crate::insight::watch::Replay;
use crate::journey::Journeys;
use crate::query::estimate::Estimate;
use crate::query::question::{Answer, Failure};
use crate::query::table::Table;
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
    /// What reports are about is known anew: answers of the same commit differ.
    Relinked,
    /// All incidents there are, the newest first.
    Incidents(Arc<Vec<Incident>>),
    /// Incidents were found, became worse or ended.
    Happened(Arc<Vec<Happening>>),
    /// It was found out why something is so, or could not be; the serial is the asking's.
    Explained(u64, Result<Arc<Explanation>, Failure>),
    /// What people did about an incident was written down: all incidents after it.
    Marked(Mark, Result<Arc<Vec<Incident>>, Failure>),
    /// What other thresholds would have found; the serial is the asking's.
    Replayed(u64, Result<Replay, Failure>),
    /// A ticket was written: its file, and that of its rows.
    Evidence(Result<(PathBuf, PathBuf), Failure>),
    /// A question was answered, or could not be.
    Answered(Ticket, Result<Arc<Answer>, Failure>),
    /// What a question that takes its time will cost.
    Estimated(Ticket, Estimate),
    /// Values for the filter bar, with counts; the serial is the asking's.
    Completed(u64, Vec<(String, u64)>),
    /// Paths for the add-files prompt; the serial is the asking's.
    PathsCompleted(u64, Vec<String>),
    /// An export ended.
    Exported(Result<PathBuf, Failure>),
    /// A statement of the SQL prompt ended: serial, rows or why not, milliseconds.
    Queried(u64, Result<Arc<Table>, Failure>, u64),
    /// Text was copied: how it went, and the file that holds it too.
    Copied(Result<Option<PathBuf>, Failure>),
    /// The saved views, after a change; or why it could not be made.
    Views(Result<Vec<SavedView>, Failure>),
    /// A file was removed: its name and rows.
    Removed(Result<(String, i64), Failure>),
    /// Rows of a file that were put aside; the serial is the asking's.
    Rejects(u64, Result<Vec<Reject>, Failure>),
    /// A row as it stands in its log file: where, and its text; or why it can't be shown.
    RawRow(RowId, Result<RawRow, String>),
    /// The life of a message; the serial is the asking's.
    Journeys(u64, Result<Arc<Journeys>, Failure>),
    /// Something that the user should read; an error stays longer.
    Notice(Failure),
}
