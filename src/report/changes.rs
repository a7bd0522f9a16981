//! What changed most against the scope compared with. A value counts by the messages that went otherwise
//! than usual, and by how much more of them it holds than of all mail: what merely follows the whole is
//! told once, as a change of all mail.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::metrics::{attempts, outcomes};
use super::{Asked, Grouped, arrange, group_value, whole};
use crate::query::field::Field;
use crate::query::measures::{Counts, Histogram, Measure, wilson};
use crate::query::planner::Needs;
use crate::query::question::{Compare, Failure};
use crate::query::raw::Resolved;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};

/// The fields whose values are looked at.
const FIELDS: &[Field] = &[Field::Provider, Field::Vmta, Field::SourceIp, Field::Job, Field::User];

/// The name in `field` of all mail together.
const ALL: &str = "all";

/// A rate that may have changed: its name, what is counted of what, and how much one message weighs: as much
/// more as its critical rate is smaller (`reference/product-peers.md` A.5).
struct Rate {
    name: &'static str,
    of: fn(&Counts) -> (i64, i64),
    weight: f64,
}

const RATES: &[Rate] = &[
    Rate { name: "deferral_rate", of: |counts| (counts.get(Measure::Deferrals), attempts(counts)), weight: 1.0 },
    Rate { name: "bounce_rate", of: |counts| (counts.bounced(), outcomes(counts)), weight: 3.0 },
    Rate {
        name: "complaint_rate",
        of: |counts| (counts.get(Measure::Complaints), counts.get(Measure::DeliveredFbl)),
        weight: 100.0,
    },
];

/// A message more or less is no trouble by itself.
const VOLUME: f64 = 0.2;
/// Jobs and users come and go every day.
const VOLUME_OF_JOBS: f64 = 0.02;

/// A value must hold so much more of the change than of all mail, as a share of all.
const SPECIFIC: f64 = 0.05;

/// Latency has changed if the 95th percentile did by this factor at least.
const SLOWER: f64 = 1.5;

/// One change.
struct Change {
    field: String,
    value: Arc<str>,
    metric: &'static str,
    now: f64,
    before: f64,
    n: i64,
    n_before: i64,
    weight: f64,
}

/// Both sides of a value.
#[derive(Clone, Copy)]
struct Sides<'a> {
    now: &'a Counts,
    before: &'a Counts,
}

/// What a value has more than usual.
struct Excess {
    now: f64,
    before: f64,
    n: i64,
    n_before: i64,
    /// Messages beyond what was usual, signed.
    messages: f64,
    /// Whether more than chance is behind it.
    sure: bool,
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
        let min_n = self.engine.limits.min_n;
        let sides = |field| self.both(&now, &then, field);
        let (all_now, all_then) = sides(None).await?;
        let (all_now, all_then) = (whole(all_now), whole(all_then));
        // Against a time before the first log everything would be new.
        if all_then.is_empty() {
            return Ok(table);
        }
        let all = Sides { now: &all_now, before: &all_then };
        let mut changes = of_all(all, min_n);
        for field in FIELDS {
            let (now, then) = sides(Some(*field)).await?;
            let mut of_field = of_field(*field, &now, &then, all, min_n);
            changes.append(&mut of_field);
        }
        for change in changes {
            table.rows.push(vec![
                Value::text(change.field),
                group_value(&change.value),
                Value::text(change.metric),
                Value::Float(change.now),
                Value::Float(change.before),
                Value::Float(change.now - change.before),
                Value::Int(change.n),
                Value::Int(change.n_before),
                Value::Float((change.weight * 10.0).round() / 10.0),
            ]);
        }
        // Of equals the field that comes first in the table stays first.
        if self.page.sort.is_none() {
            let weight = |row: &Vec<Value>| row.last().and_then(Value::number).unwrap_or_default();
            table.rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        }
        Ok(arrange(table, self.page, None))
    }

    async fn both(&self, now: &Resolved, then: &Resolved, field: Option<Field>) -> Result<(Grouped, Grouped), Failure> {
        // Only what the rollups hold of latency: this is asked with every look at Health.
        let others =
            now.scope.filters().iter().any(|filter| filter.field != Field::Type && Some(filter.field) != field);
        let needs = Needs { latency: !others, ..Needs::default() };
        Ok((self.grouped(now, field, None, needs).await?, self.grouped(then, field, None, needs).await?))
    }
}

/// Changes of all mail together.
fn of_all(all: Sides<'_>, min_n: i64) -> Vec<Change> {
    let none = |_: f64| 1.0;
    measured(ALL, &Arc::from(""), all, all, min_n, &none)
}

/// Changes of the values of a field that do not merely follow all mail.
fn of_field(field: Field, now: &Grouped, then: &Grouped, all: Sides<'_>, min_n: i64) -> Vec<Change> {
    let nothing = Counts::default();
    let keys: BTreeSet<&Arc<str>> = now.keys().chain(then.keys()).map(|key| &key.0).collect();
    // The only value of a field is all mail.
    let alone = keys.len() < 2;
    let mut changes = Vec::new();
    for key in keys.into_iter().filter(|_| !alone) {
        let at = (Arc::clone(key), None);
        let sides = Sides { now: now.get(&at).unwrap_or(&nothing), before: then.get(&at).unwrap_or(&nothing) };
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
        let of_mail = attempts(sides.now).max(attempts(sides.before)) as f64
            / attempts(all.now).max(attempts(all.before)).max(1) as f64;
        let specific = move |of_change: f64| of_change - of_mail.min(1.0);
        changes.extend(measured(&field.report_name(), key, sides, all, min_n, &specific));
    }
    changes
}

/// Every metric of one value. `specific`: how much more it holds of a change than of all mail.
fn measured(
    field: &str,
    value: &Arc<str>,
    sides: Sides<'_>,
    all: Sides<'_>,
    min_n: i64,
    specific: &dyn Fn(f64) -> f64,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut judge = |metric: &'static str, mine: Option<Excess>, of_all: Option<Excess>, weight: f64| {
        let Some(mine) = mine.filter(|mine| mine.sure) else { return };
        // A change against the whole, or more than all of it, is wholly its own.
        let of_change = match of_all {
            Some(all) if all.messages * mine.messages > 0.0 => (mine.messages / all.messages).min(1.0),
            _ => 1.0,
        };
        let specific = specific(of_change);
        if specific >= SPECIFIC {
            changes.push(Change {
                field: field.to_owned(),
                value: Arc::clone(value),
                metric,
                now: mine.now,
                before: mine.before,
                n: mine.n,
                n_before: mine.n_before,
                weight: mine.messages.abs() * specific * weight,
            });
        }
    };
    let comes_and_goes = [Field::Job, Field::User].iter().any(|job| job.name() == field);
    let weight = if comes_and_goes { VOLUME_OF_JOBS } else { VOLUME };
    judge("volume", volume(sides, all, field == ALL, min_n), None, weight);
    for rate in RATES {
        judge(rate.name, of_rate(rate, sides, min_n), of_rate(rate, all, min_n), rate.weight);
    }
    judge("latency_p95_ms", latency(sides, min_n), latency(all, min_n), 1.0);
    changes
}

/// Messages more than there would be if the value had gone with the whole.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn volume(sides: Sides<'_>, all: Sides<'_>, is_all: bool, min_n: i64) -> Option<Excess> {
    let (n, n_before) = (outcomes(sides.now), outcomes(sides.before));
    let (all_now, all_before) = (outcomes(all.now), outcomes(all.before));
    if n.max(n_before) < min_n || all_before == 0 {
        return None;
    }
    let growth = if is_all { 1.0 } else { all_now as f64 / all_before as f64 };
    let usual = n_before as f64 * growth;
    let messages = n as f64 - usual;
    // Mail comes in bursts: twice as much or half is the least that counts.
    let sure = n as f64 > 2.0 * usual || (n as f64) < 0.5 * usual;
    Some(Excess { now: n as f64, before: n_before as f64, n, n_before, messages, sure })
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn of_rate(rate: &Rate, sides: Sides<'_>, min_n: i64) -> Option<Excess> {
    let ((hits, n), (hits_before, n_before)) = ((rate.of)(sides.now), (rate.of)(sides.before));
    if n.min(n_before) < min_n {
        return None;
    }
    let ((low, high), (low_before, high_before)) = (wilson(hits, n)?, wilson(hits_before, n_before)?);
    let (now, before) = (hits as f64 / n as f64, hits_before as f64 / n_before as f64);
    // Only where the intervals do not touch.
    let sure = low > high_before || high < low_before;
    Some(Excess { now, before, n, n_before, messages: (now - before) * n as f64, sure })
}

/// Messages beyond the slowest 5 % that are slower than the 95th percentile was.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn latency(sides: Sides<'_>, min_n: i64) -> Option<Excess> {
    // Two measures, never mixed.
    let both = sides.now.delivery.n > 0 && sides.before.delivery.n > 0;
    let pick = |counts: &Counts| if both { counts.delivery.clone() } else { counts.attempt.clone() };
    let (now, before) = (pick(sides.now), pick(sides.before));
    if now.n.min(before.n) < min_n {
        return None;
    }
    let (p95, p95_before) = (now.percentile(0.95)?, before.percentile(0.95)?);
    let ((low, high), (low_before, high_before)) = (interval(&now)?, interval(&before)?);
    let (slow, slow_before) = (p95.max(1) as f64, p95_before.max(1) as f64);
    let far = slow >= SLOWER * slow_before || slow_before >= SLOWER * slow;
    let sure = far && (low > high_before || high < low_before);
    let over = now.between(&[0, p95_before + 1]).get(1).copied().unwrap_or_default();
    Some(Excess {
        now: p95 as f64,
        before: p95_before as f64,
        n: now.n,
        n_before: before.n,
        messages: over as f64 - 0.05 * now.n as f64,
        sure,
    })
}

/// Where the 95th percentile lies with 95 % confidence: ranks of a binomial.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn interval(histogram: &Histogram) -> Option<(i64, i64)> {
    let spread = 1.96 * (0.95 * 0.05 / histogram.n.max(1) as f64).sqrt();
    Some((histogram.percentile(0.95 - spread)?, histogram.percentile((0.95 + spread).min(1.0))?))
}
