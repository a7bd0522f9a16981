//! Short messages for the user, errors among them. A notice stays until the next key after it; an
//! error until it is overtaken or Esc.

use crate::query::question::Failure;

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something was done.
    Done,
    /// Something is being done.
    Busy,
    /// Something went wrong.
    Error,
}

/// A short message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// The message; may hold text from files.
    pub text: String,
}

impl Notice {
    /// Something was done.
    pub fn done(text: impl Into<String>) -> Self {
        Self { level: Level::Done, text: text.into() }
    }

    /// Something is being done.
    pub fn busy(text: impl Into<String>) -> Self {
        Self { level: Level::Busy, text: text.into() }
    }

    /// Something went wrong.
    pub fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into() }
    }
}

impl From<Failure> for Notice {
    fn from(failure: Failure) -> Self {
        Self::error(failure.to_string())
    }
}
