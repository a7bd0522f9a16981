//! Everything the screen can ask of the outside. `update` returns these, `runtime` performs them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::saved::SavedView;
use crate::app::slot::{SlotId, Ticket};
use crate::insight::explain::ask::Request;
use crate::insight::rule::Thresholds;
use crate::query::field::Field;
use crate::query::question::Question;
use crate::query::table::Table;
use crate::query::time::Micros;

/// How soon a question must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once; an answer that is still right may come from memory.
    Now,
    /// At once, and anew.
    Anew,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Comma-separated, formulas neutralised.
    #[default]
    Csv,
    /// One array of objects.
    Json,
    /// Parquet.
    Parquet,
}

/// A row of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId {
    /// The file's number in the catalog.
    pub file: i64,
    /// The row's number in it.
    pub row: i64,
}

/// For how long nobody wants to hear of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// For so long.
    For(Micros),
    /// Until it is over.
    UntilOver,
    /// Everybody hears of it again.
    NoLonger,
}

/// What people do about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Somebody knows, or nobody any more.
    Acknowledge(bool),
    /// Nobody wants to hear of it for a while.
    Silence(Quiet),
    /// Something is written beside it.
    Note(String),
}

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask, and cancel what the slot asked before.
    Ask {
        /// Comes back with the answer.
        ticket: Ticket,
        /// What is asked.
        question: Question,
        /// How soon.
        urgency: Urgency,
    },
    /// No longer interesting: cancel it.
    Forget(SlotId),
    /// Which values a field has, for the filter bar.
    Complete {
        /// Comes back with the values.
        serial: u64,
        /// The field.
        field: Field,
        /// What is typed so far.
        prefix: String,
    },
    /// Which paths begin like this, for the add-files prompt.
    CompletePath {
        /// Comes back with the paths.
        serial: u64,
        /// What is typed so far.
        prefix: String,
    },
    /// Write a whole answer to a file.
    Export {
        /// What is asked.
        question: Question,
        /// The file's name without its ending.
        name: String,
        /// How it is written.
        format: Format,
    },
    /// Write rows that are here already to a file.
    ExportTable {
        /// The rows.
        table: Arc<Table>,
        /// The file's name without its ending.
        name: String,
        /// How it is written.
        format: Format,
    },
    /// Run a read-only statement; cancels the one before.
    Query {
        /// Comes back with the rows.
        serial: u64,
        /// The statement.
        statement: String,
    },
    /// Stop the running statement.
    ForgetQuery,
    /// Keep a statement for the next start.
    Remember(String),
    /// Put text into the clipboard, and into a file.
    Copy(String),
    /// Keep a view.
    SaveView(SavedView),
    /// Forget a view by its name.
    DeleteView(String),
    /// Take the rows of a file out of the catalog.
    RemoveFile {
        /// Its path.
        path: String,
        /// The SHA-256 of its content.
        sha256: String,
    },
    /// Read the rows of a file that were put aside.
    Rejects {
        /// Comes back with the rows.
        serial: u64,
        /// Its path.
        path: String,
        /// The SHA-256 of its content.
        sha256: String,
    },
    /// Read a row as it stands in its log file.
    RawRow {
        /// Which row.
        row: RowId,
    },
    /// Follow the message of a row.
    Journey {
        /// Comes back with its life.
        serial: u64,
        /// Which row.
        row: RowId,
    },
    /// Stop reading it.
    ForgetRawRow,
    /// Find out why something is so; cancels the one before.
    Explain {
        /// Comes back with the answer.
        serial: u64,
        /// What is asked.
        request: Request,
    },
    /// Stop finding out why.
    ForgetExplain,
    /// Write down what people do about an incident.
    Mark {
        /// The incident.
        id: String,
        /// What they do.
        mark: Mark,
    },
    /// Find out what a rule would have found with other thresholds; cancels the one before.
    Replay {
        /// Comes back with the answer.
        serial: u64,
        /// The rule.
        rule: String,
        /// The thresholds.
        thresholds: Thresholds,
    },
    /// Stop finding it out.
    ForgetReplay,
    /// Write a ticket for the provider's postmaster out of an incident.
    Evidence {
        /// The incident.
        id: String,
    },
    /// Hide recipients, or show them.
    Mask(bool),
    /// Stop the running export.
    ForgetExport,
    /// Take these in.
    AddFiles(Vec<PathBuf>),
    /// Give the terminal back until the shell resumes us.
    Suspend,
    /// Paint every cell again.
    Repaint,
    /// Leave.
    Quit,
}
