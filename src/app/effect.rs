//! Everything the screen can ask of the outside. `update` returns these, `runtime` performs them.

use std::path::PathBuf;

use crate::app::slot::{SlotId, Ticket};
use crate::query::field::Field;
use crate::query::question::Question;

/// How soon a question must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once; an answer that is still right may come from memory.
    Now,
    /// At once, and anew.
    Anew,
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
    /// Write a whole answer as CSV.
    Export {
        /// What is asked.
        question: Question,
        /// The file's name without its ending.
        name: String,
    },
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
