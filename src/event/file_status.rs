//! The state of a file on its way into the catalog.

/// The state of a file (SPEC §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waiting for its turn.
    Queued,
    /// Being read.
    Ingesting,
    /// In the catalog.
    Done,
    /// Its content was in the catalog before.
    Duplicate,
    /// Not usable, or a duplicate where the configuration rejects them.
    Rejected,
    /// Could not be read or written; will be tried again.
    Failed,
    /// Cut off by a crash or a stop; will be tried again.
    Interrupted,
    /// Taken out of the catalog by the user; not shown, and not taken in from the inbox again.
    Removed,
}

impl Status {
    /// The word in reports and in the control database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ingesting => "ingesting",
            Self::Done => "done",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Removed => "removed",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [Status; 8] = [
            Status::Queued,
            Status::Ingesting,
            Status::Done,
            Status::Duplicate,
            Status::Rejected,
            Status::Failed,
            Status::Interrupted,
            Status::Removed,
        ];
        ALL.into_iter().find(|status| status.as_str() == word)
    }
}
