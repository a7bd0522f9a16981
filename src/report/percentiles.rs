//! How long the fastest half, 55 %, … of all messages took, as `pmtastats` prints it.

use super::{Asked, whole};
use crate::query::planner::Needs;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};

/// The shares of all messages, in percent.
const SHARES: [u8; 13] = [50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 98, 99, 100];

impl Asked<'_> {
    /// Rows by measure and share: the slowest and the mean of so many of the fastest.
    pub(super) async fn percentiles(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let needs = Needs { latency: true, ..Needs::default() };
        let counts = whole(self.grouped(&resolved, None, None, needs).await?);
        let mut table = Table::with_heads([
            ("measure", Unit::Text),
            ("share", Unit::Fraction),
            ("n", Unit::Count),
            ("avg_ms", Unit::Millis),
            ("max_ms", Unit::Millis),
        ]);
        for (measure, histogram) in [("delivery", &counts.delivery), ("attempt", &counts.attempt)] {
            for share in SHARES.iter().filter(|_| histogram.n > 0) {
                let n = (histogram.n * i64::from(*share) + 99) / 100;
                let fraction = f64::from(*share) / 100.0;
                let slowest = if *share == 100 { Some(histogram.max()) } else { histogram.percentile(fraction) };
                table.rows.push(vec![
                    Value::text(measure),
                    Value::Float(fraction),
                    Value::Int(n),
                    histogram.mean_of_fastest(fraction).map(|mean| (mean * 10.0).round() / 10.0).into(),
                    slowest.into(),
                ]);
            }
        }
        Ok(super::cut(table, self.page))
    }
}
