//! When mail became slow and when that was over, from its deliveries one by one. They are laid out by when they were
//! queued: what was queued while mail was slow is late, whenever it arrives.

use super::segment::Segment;
use super::series::{QUARTER, Slow};
use crate::event::Micros;
use crate::query::joint::Delivery;

/// Slower than so many times the usual is slow.
pub(super) const SLOW: f64 = 3.0;
/// Quarters of an hour before and behind a stretch in which it may have begun and ended.
const BEFORE: i32 = 8;
/// Quarters of an hour of a long stretch that say how it began, and as many how it ended.
const SPAN: i32 = 24;
/// Ramps are so many times ten minutes long at most: three hours.
const LONGEST_RAMP: usize = 18;
/// Minutes by which ramps differ.
const RAMP_STEP: usize = 10;
/// A ramp has so many steps.
const STEPS: usize = 20;
/// Below half a second times do not differ: they are logged in seconds.
const LEAST_MS: f64 = 500.0;
/// Logarithms that are farther off than this (twelve times) are those of mail that was put off.
const FAR_OFF: f64 = 2.5;
/// The same, from a median (twenty times).
const FAR_OFF_MEDIAN: f64 = 3.0;
const MINUTE: Micros = 60_000_000;
/// Minutes in a quarter of an hour.
const MINUTES: i32 = 15;
/// Rows of slow mail that are apart by less belong together, three at the least: half an hour.
const NEAR: Micros = 30 * MINUTE;

/// The quarters whose deliveries tell when a stretch began, and those that tell when it ended.
pub(super) fn windows(segment: &Segment) -> [(i32, i32); 2] {
    let (first, last) = (segment.first - BEFORE, segment.last + BEFORE);
    if segment.last - segment.first <= SPAN {
        return [(first, last); 2];
    }
    [(first, segment.first + SPAN), (segment.last - SPAN, last)]
}

/// The first and the last arrival of the slow mail of a stretch; `deliveries` are those of [`windows`] in the order of
/// time, `usual` the latencies of the days before by bucket.
pub(super) fn bounds(
    deliveries: [&[Delivery]; 2],
    usual: &[(u16, u64)],
    segment: &Segment,
) -> (Option<Micros>, Option<Micros>) {
    let Some(base) = centre(usual.iter().map(|(bucket, n)| (log(Slow::ms(*bucket)), *n))) else { return (None, None) };
    let begin = Fit::new(deliveries[0], base, (segment.first, segment.last.min(segment.first + SPAN)));
    let end = Fit::new(deliveries[1], base, (segment.first.max(segment.last - SPAN), segment.last));
    let onset = begin.as_ref().and_then(Fit::onset);
    let since = onset.unwrap_or(Micros::from(segment.first) * QUARTER);
    let over = end.as_ref().map(Fit::over);
    let until = Micros::from(segment.last + 1) * QUARTER;
    let first = begin.and_then(|fit| fit.arrivals(since, over.unwrap_or(until)).0);
    let last = end.zip(over).and_then(|(fit, over)| fit.arrivals(since.min(over), over).1);
    (first.filter(|_| onset.is_some()).filter(|first| *first < until), last)
}

/// The deliveries around a stretch: when they were queued, how much slower than usual they were (logarithms), when they
/// arrived.
struct Fit {
    rows: Vec<(Micros, f64, Micros)>,
    /// How much slower than usual slow mail is.
    level: f64,
    /// The first quarter of the stretch, and its last.
    stretch: (i32, i32),
    /// The first minute of `misses`.
    from: Micros,
    /// By minute: how far off its deliveries are, if they should be so many of [`STEPS`] of the level slower than usual.
    misses: Vec<[f64; STEPS + 1]>,
}

impl Fit {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "times of days, small steps")]
    fn new(deliveries: &[Delivery], base: f64, stretch: (i32, i32)) -> Option<Self> {
        let (first, last) = stretch;
        let rows: Vec<(Micros, f64, Micros)> = deliveries
            .iter()
            .map(|own| (own.time - (own.latency * 1e3) as Micros, log(own.latency) - base, own.time))
            .collect();
        let at = |quarter: i32| Micros::from(quarter) * QUARTER;
        let late = |until: Micros| {
            let later = at(i32::midpoint(first, last))..until;
            centre(rows.iter().filter(|row| later.contains(&row.0)).map(|row| (row.1, 1)))
        };
        // What is queued at the very end may be fast again.
        let level = late(at(last - 1)).or_else(|| late(at(last + 1))).filter(|level| *level > 0.0)?;
        let from = at(first - BEFORE).div_euclid(MINUTE);
        let minutes = usize::try_from((last - first + 1 + 2 * BEFORE) * MINUTES).unwrap_or_default();
        let mut misses = vec![[0.0; STEPS + 1]; minutes];
        for (queued, slower, _) in &rows {
            let minute = usize::try_from(queued.div_euclid(MINUTE) - from).ok();
            let Some(own) = minute.and_then(|minute| misses.get_mut(minute)) else { continue };
            for (step, miss) in own.iter_mut().enumerate() {
                // A delivery that was put off says nothing of how slow others are.
                *miss += (slower - level * step as f64 / STEPS as f64).powi(2).min(FAR_OFF * FAR_OFF);
            }
        }
        Some(Self { rows, level, stretch, from, misses })
    }

    /// Where the stretch lies among the minutes.
    fn minute(quarters: i32) -> usize {
        usize::try_from((quarters + BEFORE) * MINUTES).unwrap_or_default()
    }

    /// From when on mail was queued that took three times the usual. What becomes slow bit by bit is late for long before
    /// one in twenty is slower than any mail usually is, so a line is fitted: level, a ramp (or a step), and level again,
    /// through the logarithms of the latencies.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "minutes of a day, small steps"
    )]
    fn onset(&self) -> Option<Micros> {
        let over = usize::try_from(self.over().div_euclid(MINUTE) - self.from).unwrap_or_default();
        // Behind the latest end of a ramp every line is level: nothing there tells one from another.
        let until = over.min(Self::minute(BEFORE / 2) + LONGEST_RAMP * RAMP_STEP).min(self.misses.len());
        let rows = self.misses.get(..until)?;
        let miss = |begin: usize, ramp: usize| -> f64 {
            let part = |minute: usize| -> usize {
                if ramp == 0 {
                    return if minute >= begin { STEPS } else { 0 };
                }
                let part = (minute as f64 + 0.5 - begin as f64) / ramp as f64;
                (part.clamp(0.0, 1.0) * STEPS as f64).round() as usize
            };
            rows.iter().enumerate().map(|(minute, misses)| misses[part(minute)]).sum()
        };
        let latest = until.min(Self::minute(BEFORE + BEFORE / 2));
        let ramps = (0..=LONGEST_RAMP).map(|ramp| ramp * RAMP_STEP);
        let (_, begin, ramp) = ramps
            .flat_map(|ramp| (0..latest).map(move |begin| (begin, ramp)))
            .map(|(begin, ramp)| (miss(begin, ramp), begin, ramp))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)))?;
        let behind = begin as f64 + ramp as f64 * (SLOW.ln() / self.level).min(0.5);
        Some(self.from * MINUTE + (behind * MINUTE as f64) as Micros)
    }

    /// From when on mail was queued that was as fast as ever.
    fn over(&self) -> Micros {
        let middle = Self::minute((self.stretch.1 - self.stretch.0) / 2).min(self.misses.len());
        let (mut slow, mut best) = (0.0, (0.0, middle));
        for (minute, misses) in self.misses.iter().enumerate().skip(middle) {
            // How much better it is to call one more minute slow.
            slow += misses[STEPS] - misses[0];
            if slow < best.0 {
                best = (slow, minute + 1);
            }
        }
        (self.from + Micros::try_from(best.1).unwrap_or_default()) * MINUTE
    }

    /// The first and the last arrival of what was queued meanwhile and not put off; lone ones do not count.
    fn arrivals(&self, since: Micros, until: Micros) -> (Option<Micros>, Option<Micros>) {
        let meanwhile = self.rows.iter().filter(|row| (since..until).contains(&row.0) && row.1 < self.level + FAR_OFF);
        let times: Vec<Micros> = meanwhile.map(|row| row.2).collect();
        let close = |three: &&[Micros]| matches!(three, [first, _, last] if last - first <= NEAR);
        let first = times.windows(3).find(close).or(Some(&times)).and_then(<[Micros]>::first);
        let last = times.windows(3).rev().find(close).or(Some(&times)).and_then(<[Micros]>::last);
        (first.copied(), last.copied())
    }
}

/// The logarithm of a latency in milliseconds.
fn log(ms: f64) -> f64 {
    ms.max(LEAST_MS).ln()
}

/// The mean of some logarithms, without those that are far off their median.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn centre(logarithms: impl Iterator<Item = (f64, u64)>) -> Option<f64> {
    let mut all: Vec<(f64, u64)> = logarithms.collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = all.iter().map(|(_, n)| n).sum::<u64>() / 2;
    let mut seen = 0;
    let (median, _) = *all.iter().find(|(_, n)| {
        seen += n;
        seen > half
    })?;
    let near = all.iter().filter(|(own, _)| (own - median).abs() <= FAR_OFF_MEDIAN);
    let (sum, n) = near.fold((0.0, 0.0), |sum, (own, n)| (sum.0 + own * *n as f64, sum.1 + *n as f64));
    Some(sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deliveries of a second or two, one queued every minute, `slower(minute)` times slower, in the order of arrival.
    fn deliveries(minutes: std::ops::Range<i32>, slower: impl Fn(i32) -> f64) -> Vec<Delivery> {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut found: Vec<Delivery> = minutes
            .map(|minute| {
                let latency = 1000.0 * (0.2 + 2.0 * rng.f64()) * slower(minute);
                #[expect(clippy::cast_possible_truncation, reason = "minutes")]
                let time = Micros::from(minute) * MINUTE + (latency * 1e3) as Micros;
                Delivery { time, latency }
            })
            .collect();
        found.sort_unstable_by_key(|own| own.time);
        found
    }

    fn usual() -> Vec<(u16, u64)> {
        let step = Slow::ms(1).ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bucket")]
        let bucket = |own: &Delivery| (own.latency.ln() / step).ceil() as u16;
        deliveries(0..6000, |_| 1.0).iter().map(|own| (bucket(own), 1)).collect()
    }

    fn minutes(deliveries: &[Delivery], first: i32, last: i32) -> (i64, i64) {
        let segment = Segment { first, last, hits: 0.0, of: 0.0, expected: 0.0, score: 0.0, ongoing: false };
        let (begin, end) = bounds([deliveries; 2], &usual(), &segment);
        (begin.unwrap() / MINUTE, end.unwrap() / MINUTE)
    }

    #[test]
    fn mail_that_becomes_slow_bit_by_bit_began_to_be_slow_when_it_took_three_times_the_usual() {
        // From minute 200 on; fifty times slower ninety minutes later, three times after 25 of them.
        let slower = |minute: i32| match minute {
            490.. => 1.0,
            _ => 50_f64.powf((f64::from(minute - 200) / 90.0).clamp(0.0, 1.0)),
        };
        let (begin, _) = minutes(&deliveries(0..700, slower), 17, 32);
        assert!((215..=235).contains(&begin), "{begin}");
        // All at once.
        let (begin, _) = minutes(&deliveries(0..700, |minute| if minute < 260 { 1.0 } else { 40.0 }), 17, 32);
        assert!((256..=266).contains(&begin), "{begin}");
    }

    #[test]
    fn slow_mail_that_arrives_after_the_slow_time_belongs_to_it() {
        let slower = |minute: i32| if (260..480).contains(&minute) { 600.0 } else { 1.0 };
        let mut sent = deliveries(0..700, slower);
        // The last was queued at minute 479, and takes 2 to 22 minutes.
        let (_, end) = minutes(&sent, 17, 31);
        assert!((480..=502).contains(&end), "{end}");
        // What was put off for hours before is no part of it, nor what was queued afterwards.
        sent.push(Delivery { time: 520 * MINUTE, latency: 3.6e7 });
        sent.push(Delivery { time: 521 * MINUTE, latency: 2.0e5 });
        sent.sort_unstable_by_key(|own| own.time);
        assert_eq!(minutes(&sent, 17, 31).1, end);
    }

    #[test]
    fn begin_and_end_of_a_long_stretch_are_looked_for_by_themselves() {
        let segment = Segment { first: 100, last: 300, hits: 0.0, of: 0.0, expected: 0.0, score: 0.0, ongoing: false };
        let [begin, end] = windows(&segment);
        assert_eq!((begin, end), ((92, 124), (276, 308)));
        let sent = deliveries(1380..4620, |minute| if (1510..4505).contains(&minute) { 30.0 } else { 1.0 });
        let of = |window: (i32, i32)| -> Vec<Delivery> {
            let inside = |own: &&Delivery| {
                (Micros::from(window.0) * QUARTER..Micros::from(window.1 + 1) * QUARTER).contains(&own.time)
            };
            sent.iter().filter(inside).copied().collect()
        };
        let (first, last) = bounds([&of(begin), &of(end)], &usual(), &segment);
        assert!((1506..=1514).contains(&(first.unwrap() / MINUTE)), "{first:?}");
        assert!((4502..=4508).contains(&(last.unwrap() / MINUTE)), "{last:?}");
    }
}
