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
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Queued, Self::Ingesting, Self::Done, Self::Duplicate, Self::Rejected, Self::Failed, Self::Interrupted]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}
