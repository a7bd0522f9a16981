//! What is counted of events, and how one event adds to it. Rollups and raw rows come together here, so
//! that a number means the same wherever it was answered from.

use crate::catalog::rollup::{latency_bucket, log_gamma};
use crate::event::{Kind, Role};

/// The things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// `r` rows.
    Received,
    /// Deliveries by SMTP.
    Delivered,
    /// Deliveries to providers that send complaint reports.
    DeliveredFbl,
    /// Bounces, hard.
    Hard,
    /// Bounces, soft.
    Soft,
    /// Bounces, block.
    Block,
    /// `t` rows.
    Deferrals,
    /// Remote bounces.
    RemoteBounces,
    /// Complaints.
    Complaints,
    /// Complaints whose delivery is not known.
    Unattributed,
    /// `tq` rows.
    QueueErrors,
    /// Rows of role rb or with a rate-blocking reply, each once.
    RbEvents,
    /// Rows of role rb.
    RbFile,
    /// Rows with a rate-blocking reply.
    RbReply,
    /// Copies of other files' events.
    Merged,
    /// Events of any kind.
    Rows,
}

/// How many measures there are.
pub const MEASURES: usize = Measure::Rows as usize + 1;

/// What one row says that decides which measures it adds to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// `event_type`.
    pub role: &'a str,
    /// `kind`.
    pub kind: &'a str,
    /// `bounce_class`.
    pub bounce_class: &'a str,
    /// Whether the reply is one of rate blocking.
    pub rate_reply: bool,
    /// Whether the provider sends complaint reports.
    pub fbl: bool,
}

impl Outcome<'_> {
    /// The measures that the row adds to, as bits.
    pub fn mask(&self) -> u16 {
        let mut mask = 1 << Measure::Rows as u16;
        let mut add = |measure: Measure| mask |= 1 << measure as u16;
        match Kind::parse(self.kind) {
            Some(Kind::Received) => add(Measure::Received),
            Some(Kind::Delivered) => {
                add(Measure::Delivered);
                if self.fbl {
                    add(Measure::DeliveredFbl);
                }
            }
            Some(Kind::Bounced) => add(match self.bounce_class {
                "hard" => Measure::Hard,
                "block" => Measure::Block,
                _ => Measure::Soft,
            }),
            Some(Kind::Deferred) => add(Measure::Deferrals),
            Some(Kind::RemoteBounce) => add(Measure::RemoteBounces),
            Some(Kind::Complaint) => {
                add(Measure::Complaints);
                // Whose segment tells of its deliveries takes this back.
                add(Measure::Unattributed);
            }
            Some(Kind::QueueError) => add(Measure::QueueErrors),
            Some(Kind::RateBlock | Kind::Status) | None => {}
        }
        if self.role == Role::Rb.as_str() {
            add(Measure::RbFile);
        }
        if self.rate_reply {
            add(Measure::RbReply);
        }
        if self.role == Role::Rb.as_str() || self.rate_reply {
            add(Measure::RbEvents);
        }
        mask
    }
}

/// Latencies as a mergeable histogram; percentiles are within 1 % (SPEC §4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many.
    pub n: i64,
    /// Their sum in milliseconds.
    pub sum: i64,
    /// By bucket, ascending: how many, their sum, the greatest.
    buckets: Vec<(i32, (i64, i64, i64))>,
}

impl Histogram {
    /// Adds `n` latencies of one bucket with their sum and maximum.
    pub fn add(&mut self, bucket: i32, n: i64, sum: i64, max: i64) {
        self.n += n;
        self.sum += sum;
        let index = match self.buckets.last() {
            Some((last, _)) if *last >= bucket => self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket),
            _ => Err(self.buckets.len()),
        };
        let index = index.unwrap_or_else(|index| {
            self.buckets.insert(index, (bucket, (0, 0, 0)));
            index
        });
        let cell = &mut self.buckets[index].1;
        cell.0 += n;
        cell.1 += sum;
        cell.2 = cell.2.max(max);
    }

    /// Adds one latency.
    pub fn push(&mut self, ms: i64) {
        self.add(latency_bucket(ms), 1, ms, ms);
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.clone_from(other);
            return;
        }
        for (bucket, (n, sum, max)) in &other.buckets {
            self.add(*bucket, *n, *sum, *max);
        }
    }

    /// The greatest, in milliseconds. Rows that were taken back leave their bucket, but not its greatest
    /// value: where others share the bucket it may be up to 1 % too high.
    pub fn max(&self) -> i64 {
        self.buckets
            .iter()
            .rev()
            .find(|(_, (n, _, _))| *n > 0)
            .map_or(0, |(_, (n, sum, max))| if *n == 1 { *sum } else { *max })
    }

    /// How many values fall into each span, given the spans' lower ends in milliseconds, the first of which is 0.
    /// A value counts at the mean of its bucket, so that spans of whole seconds below 95 s are exact.
    #[expect(clippy::cast_precision_loss, reason = "counts and ms stay below 2^52")]
    pub fn between(&self, ends: &[i64]) -> Vec<i64> {
        let mut counts = vec![0; ends.len()];
        for (_, (n, sum, _)) in self.buckets.iter().filter(|(_, (n, _, _))| *n > 0) {
            let mean = *sum as f64 / *n as f64;
            let span = ends.partition_point(|end| *end as f64 <= mean).saturating_sub(1);
            if let Some(count) = counts.get_mut(span) {
                *count += n;
            }
        }
        counts
    }

    /// The mean of the fastest share, 0 < `share` ≤ 1, in milliseconds. A bucket that is cut counts at its mean.
    #[expect(clippy::cast_precision_loss, reason = "counts and ms stay below 2^52")]
    pub fn mean_of_fastest(&self, share: f64) -> Option<f64> {
        let rank = rank_of(share, self.n);
        let (mut seen, mut total) = (0, 0.0);
        for (_, (n, sum, _)) in self.buckets.iter().filter(|(_, (n, _, _))| *n > 0) {
            let taken = (*n).min(rank - seen);
            total += *sum as f64 * taken as f64 / *n as f64;
            seen += taken;
            if seen == rank {
                return Some(total / rank as f64);
            }
        }
        None
    }

    /// The mean in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "sums of milliseconds stay below 2^52")]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum as f64 / self.n as f64)
    }

    /// The nearest-rank percentile in milliseconds, 0 < `share` ≤ 1: the mean of the bucket that holds it,
    /// exact where the bucket holds one value, as whole seconds below 95 s do.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts and ms stay below 2^52")]
    pub fn percentile(&self, share: f64) -> Option<i64> {
        if self.n <= 0 {
            return None;
        }
        let rank = rank_of(share, self.n);
        let mut seen = 0;
        for (bucket, (n, sum, _)) in &self.buckets {
            seen += n;
            if seen >= rank && *n > 0 {
                let upper = (f64::from(*bucket) * log_gamma()).exp();
                let mean = *sum as f64 / *n as f64;
                return Some(if *bucket < 0 { 0 } else { mean.min(upper).round() as i64 });
            }
        }
        Some(self.max())
    }
}

/// The nearest rank of a share. 0.55 × 420 is a little over 231 in floating point, and must stay 231.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts stay below 2^52")]
fn rank_of(share: f64, n: i64) -> i64 {
    ((share * n as f64 - 1e-6).ceil() as i64).max(1)
}

/// Everything that is counted for one row of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    counts: [i64; MEASURES],
    /// Distinct messages with at least one deferral, if they were counted.
    pub deferred: Option<i64>,
    /// Delivery latency.
    pub delivery: Histogram,
    /// Attempt latency.
    pub attempt: Histogram,
}

impl Counts {
    /// Counts by measure; what is beyond the last measure is left out.
    pub fn of(measures: &[i64]) -> Self {
        let mut counts = Self::default();
        for (mine, others) in counts.counts.iter_mut().zip(measures) {
            *mine = *others;
        }
        counts
    }

    /// Adds `n` rows that add to the measures of a mask.
    pub fn add(&mut self, mask: u16, n: i64) {
        let mut left = mask;
        while left != 0 {
            self.counts[left.trailing_zeros() as usize] += n;
            left &= left - 1;
        }
    }

    /// The count of one measure.
    pub const fn get(&self, measure: Measure) -> i64 {
        self.counts[measure as usize]
    }

    /// Bounces of all classes.
    pub const fn bounced(&self) -> i64 {
        self.get(Measure::Hard) + self.get(Measure::Soft) + self.get(Measure::Block)
    }

    /// Whether nothing was counted; rows that count as nothing else, as notices of success, are not looked at.
    pub fn is_empty(&self) -> bool {
        self.counts[..Measure::Rows as usize].iter().all(|count| *count == 0) && self.deferred.unwrap_or(0) == 0
    }

    /// Adds what another part of the scope counted; distinct messages are not added up here.
    pub fn merge(&mut self, other: &Self) {
        for (mine, others) in self.counts.iter_mut().zip(&other.counts) {
            *mine += others;
        }
        self.delivery.merge(&other.delivery);
        self.attempt.merge(&other.attempt);
    }
}

/// The Wilson score interval at 95 % (Wilson 1927) of `hits` in `n`.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
pub fn wilson(hits: i64, n: i64) -> Option<(f64, f64)> {
    wilson_of(hits as f64, n as f64)
}

/// The same of numbers that are weighted.
pub fn wilson_of(hits: f64, n: f64) -> Option<(f64, f64)> {
    if n <= 0.0 {
        return None;
    }
    const Z: f64 = 1.959_963_984_540_054;
    let p = hits.clamp(0.0, n) / n;
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_whole_seconds_are_exact() {
        let mut histogram = Histogram::default();
        for second in 1..=90 {
            histogram.push(second * 1000);
        }
        assert_eq!(histogram.percentile(0.5), Some(45_000));
        assert_eq!(histogram.percentile(0.95), Some(86_000));
        assert_eq!(histogram.percentile(1.0), Some(90_000));
        assert_eq!(histogram.mean(), Some(45_500.0));
    }

    #[test]
    fn a_rank_is_exact_where_floating_point_is_not() {
        let mut histogram = Histogram::default();
        (1..=420).for_each(|ms| histogram.push(ms * 1000));
        let below = |share: f64| histogram.percentile(share).unwrap();
        assert!((below(0.55) - 231_000).abs() <= 2_310, "{}", below(0.55));
        assert_eq!((rank_of(0.55, 420), rank_of(0.5, 3), rank_of(0.01, 1)), (231, 2, 1));
    }

    #[test]
    fn percentiles_are_within_one_percent_and_merge() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut values: Vec<i64> = (0..20_000).map(|_| (rng.f64() * 16.0).exp() as i64).collect();
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        for (index, value) in values.iter().enumerate() {
            if index % 3 == 0 { left.push(*value) } else { right.push(*value) }
        }
        left.merge(&right);
        values.sort_unstable();
        for share in [0.01, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let rank = ((share * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            let found = left.percentile(share).unwrap() as f64;
            assert!((found - exact).abs() <= exact * 0.01 + 1.0, "{share}: {found} for {exact}");
        }
        assert_eq!(left.max(), *values.last().unwrap());
    }

    #[test]
    fn a_row_of_role_rb_with_a_rate_reply_counts_once() {
        let outcome = Outcome { role: "rb", kind: "remote_bounce", bounce_class: "", rate_reply: true, fbl: false };
        let mut counts = Counts::default();
        counts.add(outcome.mask(), 1);
        assert_eq!(counts.get(Measure::RbEvents), 1);
        assert_eq!((counts.get(Measure::RbFile), counts.get(Measure::RbReply)), (1, 1));
    }

    #[test]
    fn the_interval_holds_the_rate_and_is_wide_for_few() {
        let (low, high) = wilson(1, 10).unwrap();
        assert!((low - 0.0179).abs() < 0.001 && (high - 0.4042).abs() < 0.001, "{low} {high}");
        assert_eq!(wilson(0, 0), None);
    }
}
