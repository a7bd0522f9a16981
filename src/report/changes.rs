//! What changed most against the scope compared with: values of several fields, by how much of the
//! whole change they carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Asked, Grouped, arrange, group_value};
use crate::query::field::Field;
use crate::query::measures::{Counts, Measure, wilson};
use crate::query::planner::Needs;
use crate::query::question::{Compare, Failure};
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};

/// The fields whose values are looked at.
const FIELDS: &[Field] = &[Field::Provider, Field::Vmta, Field::SourceIp, Field::Job, Field::User];

/// A number that may have changed: its name, and what is counted of what.
struct Rate {
    name: &'static str,
    of: fn(&Counts) -> (i64, i64),
}

const RATES: &[Rate] = &[
    Rate {
        name: "deferral_rate",
        of: |counts| (counts.get(Measure::Deferrals), counts.get(Measure::Deferrals) + outcomes(counts)),
    },
    Rate { name: "bounce_rate", of: |counts| (counts.bounced(), outcomes(counts)) },
    Rate { name: "complaint_rate", of: |counts| (counts.get(Measure::Complaints), counts.get(Measure::DeliveredFbl)) },
];

fn outcomes(counts: &Counts) -> i64 {
    counts.get(Measure::Delivered) + counts.bounced()
}

impl Asked<'_> {
    /// Rows by field, value and metric, the greatest change first.
    pub(super) async fn changes(&self, scope: &Scope) -> Result<Table, Failure> {
        let mut table = Table::with_heads([
            ("field", Unit::Text),
            ("value", Unit::Text),
            ("metric", Unit::Text),
            ("now", Unit::Number),
            ("before", Unit::Number),
            ("change", Unit::Number),
            ("n", Unit::Count),
            ("n_before", Unit::Count),
            ("weight", Unit::Number),
        ]);
        let compare = if self.compare == Compare::Off { Compare::Before } else { self.compare };
        let Some(before) = compare.scope(scope, self.now) else { return Ok(table) };
        let now = self.engine.resolve(self.snapshot, scope, self.now)?;
        let then = self.engine.resolve(self.snapshot, &before, self.now)?;
        let needs = Needs { latency: false, deferred: false };
        for field in FIELDS {
            let now = self.grouped(&now, Some(*field), None, needs).await?;
            let then = self.grouped(&then, Some(*field), None, needs).await?;
            table.rows.extend(rows(*field, &now, &then));
        }
        Ok(arrange(table, self.page, Some("weight")))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn rows(field: Field, now: &Grouped, then: &Grouped) -> Vec<Vec<Value>> {
    let nothing = Counts::default();
    let keys: BTreeSet<&Arc<str>> = now.keys().chain(then.keys()).map(|key| &key.0).collect();
    let mut rows = Vec::new();
    for key in keys {
        let at = (Arc::clone(key), None);
        let (now, then) = (now.get(&at).unwrap_or(&nothing), then.get(&at).unwrap_or(&nothing));
        let mut row = |metric: &str, numbers: (f64, f64), n: (i64, i64), weight: f64| {
            rows.push(vec![
                Value::text(field.report_name()),
                group_value(key),
                Value::text(metric),
                Value::Float(numbers.0),
                Value::Float(numbers.1),
                Value::Float(numbers.0 - numbers.1),
                Value::Int(n.0),
                Value::Int(n.1),
                Value::Float((weight * 10.0).round() / 10.0),
            ]);
        };
        let (sent, sent_before) = (outcomes(now), outcomes(then));
        if sent != sent_before {
            let weight = (sent - sent_before).abs() as f64 / ((sent + sent_before) as f64).sqrt();
            row("volume", (sent as f64, sent_before as f64), (sent, sent_before), weight);
        }
        for rate in RATES {
            let ((hits, n), (hits_before, n_before)) = ((rate.of)(now), (rate.of)(then));
            let (Some((low, high)), Some((low_before, high_before))) = (wilson(hits, n), wilson(hits_before, n_before))
            else {
                continue;
            };
            // Only where the intervals do not touch; the weight is messages beyond what was usual.
            if low > high_before || high < low_before {
                let (share, share_before) = (hits as f64 / n as f64, hits_before as f64 / n_before as f64);
                row(rate.name, (share, share_before), (n, n_before), (share - share_before).abs() * n as f64);
            }
        }
    }
    rows
}
