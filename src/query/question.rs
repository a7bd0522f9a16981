//! What can be asked: a report, a scope and a page. Screen, report and export ask the same questions.

use crate::query::field::Field;
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::query::time::{DAY, Micros, Width};

/// How wide the time buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// As wide as makes a readable chart of the scope.
    Auto,
    /// As asked for.
    Fixed(Width),
}

/// What a scope is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compare {
    /// Nothing.
    #[default]
    Off,
    /// The period of equal length just before.
    Before,
    /// The same time a week before: the same weekday.
    Week,
    /// A range of its own: from (inclusive) until (exclusive).
    Range(Micros, Micros),
}

impl Compare {
    /// The scope that a scope is compared with; `None` where there is none, as before all time.
    pub fn scope(self, scope: &Scope, now: Option<Micros>) -> Option<Scope> {
        const WEEK: Micros = 7 * DAY;
        match self {
            Self::Off => None,
            Self::Before => scope.before(now),
            Self::Week => match scope.time.resolve(now) {
                (Some(from), Some(until)) => Some(scope.between(from - WEEK, until - WEEK)),
                _ => None,
            },
            Self::Range(from, until) => Some(scope.between(from, until)),
        }
    }
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
    /// The leading values of a field by time: what heatmaps and sparklines are drawn from.
    Heatmap {
        /// The field whose values make the rows.
        by: Field,
        /// The time buckets.
        bucket: Bucket,
        /// Whether latencies are wanted; without them it costs a third.
        latency: bool,
    },
    /// How long delivery took: messages by spans of latency.
    Distribution,
    /// The fastest half, 55 %, … of all messages: their mean and greatest latency.
    Percentiles,
    /// The busiest minute, five minutes and hour.
    Rates,
    /// Bounces by category and reason.
    Categories {
        /// A field whose values stand beside the reason.
        by: Option<Field>,
    },
    /// What changed most against the scope compared with, over several fields.
    Changes,
    /// Rows by hour and type of file, and which files they came from: where something is missing.
    Coverage,
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
            Self::Heatmap { .. } => "heatmap",
            Self::Distribution => "distribution",
            Self::Percentiles => "percentiles",
            Self::Rates => "rates",
            Self::Categories { .. } => "categories",
            Self::Changes => "changes",
            Self::Coverage => "coverage",
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
    /// What the answer is wanted for, too.
    pub compare: Compare,
}

impl Question {
    /// All rows of a report over a scope.
    pub fn new(report: Report, scope: Scope) -> Self {
        Self { report, scope, page: Page::default(), compare: Compare::Off }
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The rows.
    pub table: Table,
    /// The same over what the scope is compared with, when that was wanted and there is one.
    pub before: Option<Table>,
    /// The time range of `before`.
    pub before_range: Option<(Micros, Micros)>,
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
