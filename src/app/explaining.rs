//! The question "why?" on anything: what of the scope it is about, and the answer.

use std::sync::Arc;

use crate::insight::explain::ask::Request;
use crate::insight::explain::{Contributor, Explanation, Metric};
use crate::insight::signal::Signal;
use crate::query::filter::Filter;
use crate::query::question::Failure;
use crate::query::scope::Scope;

/// An open explanation.
#[derive(Debug, Clone)]
pub struct Explaining {
    /// What is explained, in words.
    pub about: String,
    /// What was asked.
    pub request: Request,
    /// The serial of the asking.
    pub serial: u64,
    /// Ticks since it was asked; one tick is about 100 ms.
    pub waited: u32,
    /// The answer; nothing while it is being found.
    pub found: Option<Result<Arc<Explanation>, Failure>>,
    /// The contributor under the cursor.
    pub chosen: usize,
}

impl Explaining {
    /// The contributors in the order in which they are shown.
    pub fn contributors(&self) -> Vec<&Contributor> {
        match &self.found {
            Some(Ok(found)) => found.contributors.iter().chain(&found.values).collect(),
            _ => Vec::new(),
        }
    }

    /// The scope narrowed to the contributor under the cursor.
    pub fn narrowed(&self) -> Option<Scope> {
        let contributors = self.contributors();
        let contributor = contributors.get(self.chosen)?;
        let mut scope = self.request.scope.clone();
        for (field, value) in &contributor.filters {
            scope.only(Filter::include(*field, value.as_str()));
        }
        Some(scope)
    }
}

/// What a number is about, by the beginning of its column's name, most exact first.
const METRICS: &[(&str, Metric)] = &[
    ("bounced_hard", Metric::Hard),
    ("hard_rate", Metric::Hard),
    ("risk_hard", Metric::Hard),
    ("bounced_block", Metric::Block),
    ("block_rate", Metric::Block),
    ("risk_block", Metric::Block),
    ("bounce", Metric::Bounce),
    ("soft_rate", Metric::Bounce),
    ("defer", Metric::Deferral),
    ("rb_", Metric::Deferral),
    ("risk_throttle", Metric::Deferral),
    ("complaint", Metric::Complaint),
    ("risk_complaints", Metric::Complaint),
    ("latency", Metric::Latency),
    ("sent", Metric::Volume),
    ("volume", Metric::Volume),
];

/// The metric that explains a column of a panel; none: whatever changed most.
pub fn metric_of(column: &str) -> Option<Metric> {
    METRICS.iter().find(|(name, _)| column.starts_with(name)).map(|(_, metric)| *metric)
}

/// The metric that explains what a rule counts.
pub const fn metric_of_signal(signal: Signal) -> Option<Metric> {
    match signal {
        Signal::Deferral => Some(Metric::Deferral),
        Signal::Block => Some(Metric::Block),
        Signal::Bounce => Some(Metric::Bounce),
        Signal::Auth => Some(Metric::Auth),
        Signal::Connection => Some(Metric::Connection),
        Signal::Complaint => Some(Metric::Complaint),
        Signal::Latency => Some(Metric::Latency),
        Signal::Volume | Signal::Surge => Some(Metric::Volume),
        Signal::RemoteBounce | Signal::KnownCode | Signal::NewReply | Signal::Files => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_explained_by_what_it_counts() {
        let metrics = ["bounced_hard", "bounce_rate", "latency_p95_ms", "rb_events", "delivered_rate"].map(metric_of);
        let expected = [Some(Metric::Hard), Some(Metric::Bounce), Some(Metric::Latency), Some(Metric::Deferral), None];
        assert_eq!(metrics, expected);
    }
}
