//! When mail became slow and when that was over, from its latencies by quarter of an hour.

use std::collections::BTreeMap;

use super::segment::Segment;
use super::series::{QUARTER, Slow};
use crate::event::Micros;

/// Slower than so many times the usual is slow.
pub(super) const SLOW: f64 = 3.0;

/// When deliveries began to take three times the usual, `usual` being that of the days before. What becomes slow bit by bit
/// is late for long before one in twenty is slower than any mail usually is, so a line is fitted: level, a ramp (or a step),
/// and level again until the stretch ends, through the logarithms of the latencies.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "times of days")]
pub(super) fn onset(series: &[Slow], usual: &[(u16, u64)], segment: &Segment) -> Option<Micros> {
    let first = segment.first - BEFORE;
    let quarters = |from: i32, until: i32| series.iter().filter(move |own| (from..=until).contains(&own.quarter));
    let base = centre(usual.iter().copied())?;
    let later = quarters(i32::midpoint(segment.first, segment.last), segment.last);
    let level = centre(later.map(|own| (own.bucket, u64::from(own.n))))? - base;
    if level <= 0.0 {
        return None;
    }
    // Behind the latest end of a ramp every line is level: nothing there tells one from another.
    let latest = first + BEFORE + BEFORE / 2 + LONGEST_RAMP / 2;
    let points: Vec<(f64, f64, f64)> = quarters(first, segment.last.min(latest))
        .map(|own| (f64::from(own.quarter - first) + 0.5, log(own.bucket) - base, f64::from(own.n)))
        .collect();
    // A delivery that was put off says nothing of how slow others are.
    let miss = |begin: f64, ramp: f64| -> f64 {
        points
            .iter()
            .map(|(at, y, n)| {
                let part = if ramp > 0.0 { ((at - begin) / ramp).clamp(0.0, 1.0) } else { f64::from(*at >= begin) };
                n * (y - level * part).powi(2).min(FAR_OFF)
            })
            .sum()
    };
    let steps = (BEFORE + BEFORE / 2).min(segment.last - first) * 4;
    let best = (0..=LONGEST_RAMP)
        .flat_map(|ramp| (0..=steps).map(move |begin| (f64::from(begin) / 4.0, f64::from(ramp) / 2.0)))
        .map(|(begin, ramp)| (miss(begin, ramp), begin, ramp))
        .min_by(|a, b| a.0.total_cmp(&b.0).then(a.2.total_cmp(&b.2)))?;
    let (_, begin, ramp) = best;
    let at = begin + ramp * (SLOW.ln() / level).min(0.5);
    let found = Micros::from(first) * QUARTER + (at * QUARTER as f64) as Micros;
    Some(found).filter(|found| *found < Micros::from(segment.last) * QUARTER)
}

/// The arrival of the last slow deliveries that were queued before a stretch of slow mail ended, if they come behind it;
/// `p95`: what is slow in it, in milliseconds. One alone says nothing, nor what takes far longer still: that was put off.
#[expect(clippy::cast_possible_truncation, reason = "times of days")]
pub(super) fn last_of<'a>(slow: impl Iterator<Item = &'a Slow>, p95: f64, segment: &Segment) -> Option<Micros> {
    let ended = Micros::from(segment.last + 1) * QUARTER;
    let middle = |own: &Slow| Micros::from(own.quarter) * QUARTER + QUARTER / 2;
    let behind = slow.filter(|own| {
        let took = Slow::ms(own.bucket);
        (segment.last + 1..=segment.last + STRAGGLING).contains(&own.quarter)
            && took < FAR_LONGER * p95
            && middle(own) - (took * 1e3) as Micros <= ended
    });
    let mut quarters: BTreeMap<i32, u32> = BTreeMap::new();
    behind.for_each(|own| *quarters.entry(own.quarter).or_default() += own.n);
    quarters.into_iter().rev().find(|(_, n)| *n > 1).map(|(quarter, _)| Micros::from(quarter) * QUARTER + QUARTER / 2)
}

/// Quarters of an hour behind slow mail in which the last of it may arrive.
const STRAGGLING: i32 = 2;
/// What takes so many times the p95 of slow mail was put off.
const FAR_LONGER: f64 = 2.0;

/// The logarithm of a bucket's milliseconds.
fn log(bucket: u16) -> f64 {
    Slow::ms(bucket).max(LEAST_MS).ln()
}

/// The mean logarithm of some latencies, without those that are far off their median.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn centre(buckets: impl Iterator<Item = (u16, u64)>) -> Option<f64> {
    let mut buckets: Vec<(u16, u64)> = buckets.collect();
    buckets.sort_unstable();
    let half = buckets.iter().map(|(_, n)| n).sum::<u64>() / 2;
    let mut seen = 0;
    let (median, _) = *buckets.iter().find(|(_, n)| {
        seen += n;
        seen > half
    })?;
    let near = buckets.iter().filter(|(bucket, _)| (log(*bucket) - log(median)).abs() <= FAR_OFF_MEDIAN);
    let (sum, n) = near.fold((0.0, 0.0), |sum, (bucket, n)| (sum.0 + log(*bucket) * *n as f64, sum.1 + *n as f64));
    Some(sum / n)
}

/// Logarithms that differ by more than this (twenty times) are those of mail that was put off.
const FAR_OFF_MEDIAN: f64 = 3.0;
/// Quarters of an hour before a stretch in which it may have begun.
const BEFORE: i32 = 8;
/// Half quarters over which mail becomes slow at most: three hours.
const LONGEST_RAMP: i32 = 24;
/// Below half a second times do not differ: they are logged in seconds.
const LEAST_MS: f64 = 500.0;
/// Squares of what is farther off than twelve times are all alike.
const FAR_OFF: f64 = 6.25;

#[cfg(test)]
mod tests {
    use super::*;

    /// Deliveries of a second or two, one every minute, `slower(minute)` times slower.
    fn deliveries(minutes: std::ops::Range<i32>, slower: impl Fn(i32) -> f64) -> Vec<Slow> {
        let mut rng = fastrand::Rng::with_seed(3);
        let step = Slow::ms(1).ln();
        let mut found: BTreeMap<(i32, u16), u32> = BTreeMap::new();
        for minute in minutes {
            let ms = 1000.0 * (0.2 + 2.0 * rng.f64()) * slower(minute);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bucket")]
            let bucket = (ms.ln() / step).ceil() as u16;
            *found.entry((minute.div_euclid(15), bucket)).or_default() += 1;
        }
        found.into_iter().map(|((quarter, bucket), n)| Slow { quarter, bucket, n }).collect()
    }

    #[test]
    fn mail_that_becomes_slow_bit_by_bit_began_to_be_slow_when_it_took_three_times_the_usual() {
        let usual: Vec<(u16, u64)> =
            deliveries(-6000..0, |_| 1.0).iter().map(|own| (own.bucket, u64::from(own.n))).collect();
        // From minute 200 on; fifty times slower ninety minutes later, three times after 25 of them.
        let slower = |minute: i32| 50_f64.powf((f64::from(minute - 200) / 90.0).clamp(0.0, 1.0));
        let series = deliveries(0..500, slower);
        let segment = Segment { first: 17, last: 32, hits: 0.0, of: 0.0, expected: 0.0, score: 0.0, ongoing: false };
        let minute = onset(&series, &usual, &segment).unwrap() / 60_000_000;
        assert!((215..=235).contains(&minute), "{minute}");
        // All at once.
        let series = deliveries(0..500, |minute| if minute < 260 { 1.0 } else { 40.0 });
        let minute = onset(&series, &usual, &segment).unwrap() / 60_000_000;
        assert!((250..=268).contains(&minute), "{minute}");
    }

    #[test]
    fn slow_mail_that_arrives_after_the_slow_time_belongs_to_it() {
        let bucket = |ms: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bucket")]
            let found = (ms.ln() / Slow::ms(1).ln()) as u16;
            found
        };
        let segment = Segment { first: 1, last: 3, hits: 0.0, of: 0.0, expected: 0.0, score: 0.0, ongoing: false };
        let late = Slow { quarter: 4, bucket: bucket(600_000.0), n: 2 };
        let end = |own: Slow| last_of([own].iter(), 700_000.0, &segment);
        assert_eq!(end(late), Some(4 * QUARTER + QUARTER / 2));
        assert_eq!(end(Slow { n: 1, ..late }), None);
        // Queued afterwards, or put off.
        assert_eq!(end(Slow { bucket: bucket(60_000.0), ..late }), None);
        assert_eq!(end(Slow { bucket: bucket(3_600_000.0), ..late }), None);
    }
}
