//! The busiest minute, five minutes and hour, as `pmtastats` prints its top rates.

use std::collections::BTreeMap;

use super::{Asked, time};
use crate::query::minutes::Minute;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::{MINUTE, Micros};

/// How many minutes a span has.
const SPANS: [i64; 3] = [1, 5, 60];

/// The size of a minute.
type Size = fn(&Minute) -> i64;

/// What is looked for: its name, and its size in a minute.
const MEASURES: [(&str, Size); 3] = [
    ("recipients", |minute| minute.delivered + minute.bounced),
    ("delivered", |minute| minute.delivered),
    ("bytes", |minute| minute.bytes),
];

impl Asked<'_> {
    /// Rows by measure and span; a span may begin at any minute.
    pub(super) async fn rates(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let minutes = self.engine.raw().minutes(self.snapshot, &resolved).await.map_err(Failure::from_engine)?;
        let mut table = Table::with_heads([
            ("measure", Unit::Text),
            ("minutes", Unit::Count),
            ("bucket", Unit::Time),
            ("n", Unit::Count),
            ("per_minute", Unit::Number),
        ]);
        for (name, of) in MEASURES {
            for span in SPANS {
                let Some((from, n)) = busiest(&minutes, span, of) else { continue };
                #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
                let rate = n as f64 / span as f64;
                table.rows.push(vec![
                    Value::text(name),
                    Value::Int(span),
                    time(Some(from)),
                    Value::Int(n),
                    Value::Float((rate * 100.0).round() / 100.0),
                ]);
            }
        }
        Ok(super::cut(table, self.page))
    }
}

/// Where the busiest span begins, and how much it holds; the first of equals. A busiest span that begins
/// with an empty minute can be moved on, so only minutes with mail are looked at.
fn busiest(minutes: &BTreeMap<Micros, Minute>, span: i64, of: Size) -> Option<(Micros, i64)> {
    minutes
        .keys()
        .map(|from| (*from, minutes.range(*from..from + span * MINUTE).map(|(_, minute)| of(minute)).sum::<i64>()))
        .filter(|(_, n)| *n > 0)
        .max_by_key(|(from, n)| (*n, std::cmp::Reverse(*from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_span_may_begin_at_any_minute() {
        let minutes: BTreeMap<Micros, Minute> = [(3, 10), (4, 90), (7, 20), (8, 80), (9, 1)]
            .map(|(minute, delivered)| (minute * MINUTE, Minute { delivered, ..Minute::default() }))
            .into();
        let of: Size = |minute| minute.delivered;
        assert_eq!(busiest(&minutes, 1, of), Some((4 * MINUTE, 90)));
        assert_eq!(busiest(&minutes, 5, of), Some((4 * MINUTE, 190)));
        assert_eq!(busiest(&minutes, 60, of), Some((3 * MINUTE, 201)));
        assert_eq!(busiest(&BTreeMap::new(), 1, of), None);
    }
}
