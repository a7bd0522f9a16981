//! The columns of every aggregated report: one table of names, units and definitions (SPEC §4, §7).

use std::sync::Arc;

use crate::event::RecordType;
use crate::query::measures::{Counts, Histogram, Measure, wilson};
use crate::query::table::{Unit, Value};

/// What is the same for all rows of a report.
#[derive(Debug, Clone)]
pub struct Context {
    /// Record types that were logged on the days of the scope, as bits.
    pub logged: u8,
    /// Whether `sent` counts received rows.
    pub sent_by_received: bool,
}

/// One column: name, unit, the record types of which one must be logged, and its value.
pub struct Metric {
    /// Its name in JSON and CSV.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Record types (bits); none of them logged: n/a. 0: always there.
    pub needs: u8,
    /// What it means, for `docs/reports.md`.
    pub about: &'static str,
    value: fn(&Counts, &Context) -> Value,
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metric").field("name", &self.name).finish_non_exhaustive()
    }
}

const fn bit(record: RecordType) -> u8 {
    1 << record.index()
}

const D: u8 = bit(RecordType::D);
const B: u8 = bit(RecordType::B);
const T: u8 = bit(RecordType::T);
const TQ: u8 = bit(RecordType::Tq);
const F: u8 = bit(RecordType::F);
const RB: u8 = bit(RecordType::Rb);
const RS: u8 = bit(RecordType::Rs);

impl Metric {
    /// The value in a row, or why there is none.
    pub fn value(&self, counts: &Counts, context: &Context) -> Value {
        match self.missing(context) {
            Some(reason) => Value::Missing(Arc::from(reason)),
            None => (self.value)(counts, context),
        }
    }

    /// Why the metric is not available in the scope.
    pub fn missing(&self, context: &Context) -> Option<String> {
        if self.needs == 0 || context.logged & self.needs != 0 {
            return None;
        }
        let types: Vec<String> = RecordType::ALL
            .iter()
            .filter(|record| self.needs & bit(**record) != 0)
            .map(|record| format!("`{record}`"))
            .collect();
        Some(format!("no {} records were logged in this range", types.join(" or ")))
    }
}

/// Rows of the volume: what deferral rate and RB frequency are relative to.
pub const fn attempts(counts: &Counts) -> i64 {
    counts.get(Measure::Deferrals) + outcomes(counts)
}

/// Messages whose fate is known: delivered or bounced.
pub const fn outcomes(counts: &Counts) -> i64 {
    counts.get(Measure::Delivered) + counts.bounced()
}

const fn sent(counts: &Counts, context: &Context) -> i64 {
    if context.sent_by_received { counts.get(Measure::Received) } else { outcomes(counts) }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn share(hits: i64, of: i64) -> Value {
    if of > 0 { Value::Float(hits as f64 / of as f64) } else { Value::Null }
}

fn low(hits: i64, of: i64) -> Value {
    wilson(hits, of).map(|interval| interval.0).into()
}

fn high(hits: i64, of: i64) -> Value {
    wilson(hits, of).map(|interval| interval.1).into()
}

/// The headline latency: delivery, or attempt where there is no delivery (SPEC §4).
fn headline(counts: &Counts) -> &Histogram {
    if counts.delivery.n > 0 || counts.attempt.n == 0 { &counts.delivery } else { &counts.attempt }
}

macro_rules! count {
    ($name:literal, $needs:expr, $about:literal, |$counts:ident, $context:ident| $value:expr) => {
        Metric {
            name: $name,
            unit: Unit::Count,
            needs: $needs,
            about: $about,
            value: |$counts, $context| Value::Int($value),
        }
    };
}

macro_rules! rate {
    ($name:literal, $needs:expr, $about:literal, |$counts:ident| $hits:expr, $of:expr) => {
        [
            Metric {
                name: $name,
                unit: Unit::Fraction,
                needs: $needs,
                about: $about,
                value: |$counts, _| share($hits, $of),
            },
            Metric {
                name: concat!($name, "_of"),
                unit: Unit::Count,
                needs: $needs,
                about: "its denominator",
                value: |$counts, _| Value::Int($of),
            },
            Metric {
                name: concat!($name, "_low"),
                unit: Unit::Fraction,
                needs: $needs,
                about: "Wilson 95 % interval, lower end",
                value: |$counts, _| low($hits, $of),
            },
            Metric {
                name: concat!($name, "_high"),
                unit: Unit::Fraction,
                needs: $needs,
                about: "Wilson 95 % interval, upper end",
                value: |$counts, _| high($hits, $of),
            },
        ]
    };
}

macro_rules! latency {
    ($prefix:literal, $needs:expr, $what:literal, |$counts:ident| $histogram:expr) => {
        [
            Metric {
                name: concat!($prefix, "_n"),
                unit: Unit::Count,
                needs: $needs,
                about: concat!($what, ": how many rows"),
                value: |$counts, _| Value::Int($histogram.n),
            },
            Metric {
                name: concat!($prefix, "_avg_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": mean"),
                value: |$counts, _| $histogram.mean().map(|mean| (mean * 10.0).round() / 10.0).into(),
            },
            Metric {
                name: concat!($prefix, "_p50_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": median"),
                value: |$counts, _| $histogram.percentile(0.5).into(),
            },
            Metric {
                name: concat!($prefix, "_p90_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": 90th percentile"),
                value: |$counts, _| $histogram.percentile(0.9).into(),
            },
            Metric {
                name: concat!($prefix, "_p95_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": 95th percentile"),
                value: |$counts, _| $histogram.percentile(0.95).into(),
            },
            Metric {
                name: concat!($prefix, "_p99_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": 99th percentile"),
                value: |$counts, _| $histogram.percentile(0.99).into(),
            },
            Metric {
                name: concat!($prefix, "_max_ms"),
                unit: Unit::Millis,
                needs: $needs,
                about: concat!($what, ": greatest"),
                value: |$counts, _| (($histogram.n > 0).then_some($histogram.max())).into(),
            },
        ]
    };
}

const COUNTS: [Metric; 17] = [
    count!("sent", D | B, "received rows, else delivered + bounced (`sent_basis`)", |counts, context| sent(
        counts, context
    )),
    count!("delivered", D, "`d` rows with `dlvType` smtp or empty", |counts, _context| counts.get(Measure::Delivered)),
    Metric {
        name: "deferred",
        unit: Unit::Count,
        needs: T,
        about: "distinct messages with at least one `t` row",
        value: |counts, _| counts.deferred.into(),
    },
    count!("deferrals", T, "`t` rows", |counts, _context| counts.get(Measure::Deferrals)),
    count!("bounced_total", B, "`b` rows, duplicates merged", |counts, _context| counts.bounced()),
    count!("bounced_hard", B, "bounces of class hard", |counts, _context| counts.get(Measure::Hard)),
    count!("bounced_soft", B, "bounces of class soft", |counts, _context| counts.get(Measure::Soft)),
    count!("bounced_block", B, "bounces of class block", |counts, _context| counts.get(Measure::Block)),
    count!("remote_bounces", RB, "`rb` rows", |counts, _context| counts.get(Measure::RemoteBounces)),
    count!("complaints", F, "`f` rows with feedback type abuse or empty", |counts, _context| counts
        .get(Measure::Complaints)),
    count!(
        "complaints_unattributed",
        F,
        "complaints whose delivery is not known: they stand under what they say themselves",
        |counts, _context| counts.get(Measure::Unattributed)
    ),
    count!(
        "rb_events",
        T | B | TQ | RB | RS,
        "rows of role rb, and rows with a rate-blocking reply; each once",
        |counts, _context| counts.get(Measure::RbEvents)
    ),
    count!("rb_events_file", RB | RS, "rows of role rb", |counts, _context| counts.get(Measure::RbFile)),
    count!("rb_events_reply", T | B | TQ | RB | RS, "rows with a rate-blocking reply", |counts, _context| counts
        .get(Measure::RbReply)),
    count!("queue_errors", TQ, "`tq` rows", |counts, _context| counts.get(Measure::QueueErrors)),
    count!("merged_duplicates", 0, "rows of other files that are copies of the events counted", |counts, _context| {
        counts.get(Measure::Merged)
    }),
    Metric {
        name: "sent_basis",
        unit: Unit::Text,
        needs: 0,
        about: "`received` or `delivered+bounced`",
        value: |_, context| Value::text(if context.sent_by_received { "received" } else { "delivered+bounced" }),
    },
];

const DELIVERED_RATE: [Metric; 4] = rate!(
    "delivered_rate",
    D,
    "delivered / (delivered + bounced)",
    |counts| counts.get(Measure::Delivered),
    outcomes(counts)
);
const DEFERRAL_RATE: [Metric; 4] = rate!(
    "deferral_rate",
    T,
    "deferrals / (deferrals + delivered + bounced)",
    |counts| counts.get(Measure::Deferrals),
    attempts(counts)
);
const BOUNCE_RATE: [Metric; 4] =
    rate!("bounce_rate", B, "bounced / (delivered + bounced)", |counts| counts.bounced(), outcomes(counts));
const HARD_RATE: [Metric; 4] =
    rate!("hard_rate", B, "hard bounces / (delivered + bounced)", |counts| counts.get(Measure::Hard), outcomes(counts));
const BLOCK_RATE: [Metric; 4] = rate!(
    "block_rate",
    B,
    "block bounces / (delivered + bounced)",
    |counts| counts.get(Measure::Block),
    outcomes(counts)
);
const SOFT_RATE: [Metric; 4] =
    rate!("soft_rate", B, "soft bounces / (delivered + bounced)", |counts| counts.get(Measure::Soft), outcomes(counts));
const REMOTE_BOUNCE_RATE: [Metric; 4] = rate!(
    "remote_bounce_rate",
    RB,
    "remote bounces / delivered: delivered, then bounced",
    |counts| counts.get(Measure::RemoteBounces),
    counts.get(Measure::Delivered)
);
const FBL_COVERED_RATE: [Metric; 4] = rate!(
    "fbl_covered_rate",
    D,
    "delivered to providers that send complaint reports / delivered",
    |counts| counts.get(Measure::DeliveredFbl),
    counts.get(Measure::Delivered)
);
const COMPLAINT_RATE: [Metric; 4] = rate!(
    "complaint_rate",
    F,
    "complaints / delivered to providers that send complaint reports",
    |counts| counts.get(Measure::Complaints),
    counts.get(Measure::DeliveredFbl)
);

const ATTRIBUTED_RATE: [Metric; 4] = rate!(
    "complaints_attributed_rate",
    F,
    "complaints whose delivery is known / complaints",
    |counts| counts.get(Measure::Complaints) - counts.get(Measure::Unattributed),
    counts.get(Measure::Complaints)
);

const RB_FREQUENCY: [Metric; 1] = [Metric {
    name: "rb_frequency",
    unit: Unit::Number,
    needs: T | B | TQ | RB | RS,
    about: "rb_events per 1,000 of the deferral rate's denominator",
    value: |counts, _| per_thousand(counts.get(Measure::RbEvents), counts),
}];

/// Events per 1,000 of the deferral rate's denominator.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
pub fn per_thousand(events: i64, counts: &Counts) -> Value {
    let of = attempts(counts);
    (of > 0).then(|| events as f64 * 1000.0 / of as f64).into()
}

const DELIVERY: [Metric; 7] = latency!("latency_delivery", D, "delivery latency (d rows)", |counts| counts.delivery);
const ATTEMPT: [Metric; 7] = latency!("latency_attempt", T, "attempt latency (t rows)", |counts| counts.attempt);
const HEADLINE: [Metric; 7] =
    latency!("latency", D | T, "headline latency: delivery, else attempt", |counts| headline(counts));
const HEADLINE_MEASURE: [Metric; 1] = [Metric {
    name: "latency_measure",
    unit: Unit::Text,
    needs: D | T,
    about: "which latency the headline is",
    value: |counts, _| {
        let name = match (counts.delivery.n, counts.attempt.n) {
            (0, 0) => return Value::Null,
            (0, _) => "attempt",
            _ => "delivery",
        };
        Value::text(name)
    },
}];

/// Every metric, in the order of the columns.
pub const METRICS: &[&[Metric]] = &[
    &COUNTS,
    &DELIVERED_RATE,
    &DEFERRAL_RATE,
    &BOUNCE_RATE,
    &HARD_RATE,
    &BLOCK_RATE,
    &COMPLAINT_RATE,
    &RB_FREQUENCY,
    &DELIVERY,
    &ATTEMPT,
    &HEADLINE_MEASURE,
    &HEADLINE,
    &SOFT_RATE,
    &REMOTE_BOUNCE_RATE,
    &FBL_COVERED_RATE,
    &ATTRIBUTED_RATE,
];

/// Every metric, one after the other.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().flat_map(|group| group.iter())
}
