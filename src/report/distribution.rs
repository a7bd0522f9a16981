//! How long delivery took: messages by spans of latency, each measure apart.

use super::{Asked, whole};
use crate::query::measures::Histogram;
use crate::query::planner::Needs;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Lower ends of the spans, in milliseconds.
const SPANS: &[i64] = &[
    0,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    12 * HOUR,
    24 * HOUR,
    48 * HOUR,
];

impl Asked<'_> {
    /// Rows by measure and span: how many messages, their share, and the share that was at most as slow.
    pub(super) async fn distribution(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let needs = Needs { latency: true, deferred: false };
        let counts = whole(self.grouped(&resolved, None, None, needs).await?);
        let mut table = Table::with_heads([
            ("measure", Unit::Text),
            ("from_ms", Unit::Millis),
            ("to_ms", Unit::Millis),
            ("n", Unit::Count),
            ("share", Unit::Fraction),
            ("cumulative_share", Unit::Fraction),
        ]);
        for (measure, histogram) in [("delivery", &counts.delivery), ("attempt", &counts.attempt)] {
            table.rows.extend(rows(measure, histogram));
        }
        Ok(table)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn rows(measure: &str, histogram: &Histogram) -> Vec<Vec<Value>> {
    if histogram.n <= 0 {
        return Vec::new();
    }
    let counts = histogram.between(SPANS);
    let mut seen = 0;
    (0..SPANS.len())
        .map(|span| {
            seen += counts[span];
            vec![
                Value::text(measure),
                Value::Int(SPANS[span]),
                SPANS.get(span + 1).copied().into(),
                Value::Int(counts[span]),
                Value::Float(counts[span] as f64 / histogram.n as f64),
                Value::Float(seen as f64 / histogram.n as f64),
            ]
        })
        .collect()
}
