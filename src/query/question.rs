//! What can be asked: a report, a scope and a page. Screen, report and export ask the same questions.

use crate::query::field::Field;
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::query::time::{Micros, Width};

/// How wide the time buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// As wide as makes a readable chart of the scope.
    Auto,
    /// As asked for.
    Fixed(Width),
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Report {
    /// One row: every number of the scope.
    Totals,
    /// Every number by one field, by time, or both.
    Operations {
        /// The field whose values make the rows.
        by: Option<Field>,
        /// The time buckets that make the rows.
        bucket: Option<Bucket>,
    },
    /// Latency by one field, slowest first, with the deviation from the period before.
    Latency {
        /// The field whose values make the rows.
        by: Field,
    },
    /// Domains or providers compared.
    Domains {
        /// [`Field::Domain`] or [`Field::Provider`].
        by: Field,
    },
    /// Users, senders, jobs or IPs by risk.
    Risk {
        /// [`Field::User`], [`Field::Sender`], [`Field::SenderDomain`], [`Field::Job`] or [`Field::SourceIp`].
        by: Field,
    },
    /// Replies, grouped, most frequent first.
    Replies,
    /// Rows of the Explorer.
    Events,
    /// The file table.
    Files,
}

impl Report {
    /// The name in `pmtop report NAME` and in export file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totals => "totals",
            Self::Operations { .. } => "operations",
            Self::Latency { .. } => "latency",
            Self::Domains { .. } => "domains",
            Self::Risk { .. } => "risk",
            Self::Replies => "replies",
            Self::Events => "events",
            Self::Files => "files",
        }
    }
}

/// The order of rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sort {
    /// The column's name.
    pub column: String,
    /// Greatest first.
    pub descending: bool,
}

/// Which rows of a long answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Page {
    /// Rows passed over.
    pub offset: usize,
    /// Rows wanted; `None`: all.
    pub limit: Option<usize>,
    /// The order; `None`: the report's own.
    pub sort: Option<Sort>,
}

/// A report over a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is asked.
    pub report: Report,
    /// What it is about.
    pub scope: Scope,
    /// Which rows.
    pub page: Page,
    /// Whether the period before is wanted too.
    pub compare: bool,
}

impl Question {
    /// All rows of a report over a scope.
    pub fn new(report: Report, scope: Scope) -> Self {
        Self { report, scope, page: Page::default(), compare: false }
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The rows.
    pub table: Table,
    /// The same over the period before, when it was wanted and the scope has one.
    pub before: Option<Table>,
    /// The scope's time range, resolved.
    pub range: (Option<Micros>, Option<Micros>),
    /// The catalog's commit number that was read.
    pub generation: u64,
    /// Milliseconds from question to answer.
    pub took_ms: u64,
}

/// An error made presentable: what failed, why, and what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// What was not done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// A file of the catalog could not be read.
    pub unreadable: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}
