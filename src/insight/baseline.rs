//! What is usual: the same hour of other weeks where there are any, all hours of the four weeks before, and for a
//! catalog that is younger than a week what most of its own hours were like ("learning"). Days that come later are never
//! looked at, so that a verdict stands once its day is whole.

use hashbrown::HashMap;

use super::series::{Count, QUARTERS, Slow};

/// Days that are looked back on for rates.
pub(super) const BACK: i32 = 28;
/// Weeks that are looked back on for the same hour.
const WEEKS: i32 = 8;
/// Below so many days the catalog is learning.
pub const LEARNING: i32 = 7;
/// Weeks without which nothing is known of volumes.
pub const VOLUME_WEEKS: i32 = 3;
/// Rows by which a rate of somebody is drawn to that of all mail.
const PRIOR: f64 = 50.0;
/// Rows below which the same hour of other weeks says nothing.
const HOUR_ROWS: f64 = 200.0;
/// Rows below which nobody's own hours say anything while learning.
const OWN_ROWS: f64 = 200.0;

/// What a baseline was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The four weeks before, and the same hour of so many weeks.
    Weeks(i32),
    /// The days before, fewer than two weeks.
    Days(i32),
    /// The busiest quarter of an hour of the four weeks before.
    Busiest,
    /// The catalog is so many days old.
    Learning(i32),
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Weeks(weeks) => write!(f, "same hour of {weeks} weeks and the 28 days before"),
            Self::Busiest => f.write_str("the busiest quarter of an hour of the 28 days before"),
            Self::Days(days) => write!(f, "the {days} days before"),
            Self::Learning(days) => {
                write!(f, "learning: {days} {} of history", if *days == 1 { "day" } else { "days" })
            }
        }
    }
}

/// Rates of somebody by day and hour.
#[derive(Debug, Default)]
pub struct Rates {
    first_day: i32,
    days: HashMap<i32, (f64, f64)>,
    hours: HashMap<i32, (f64, f64)>,
    /// Only days with hits are known.
    failing: bool,
}

const fn day_of(quarter: i32) -> i32 {
    quarter.div_euclid(QUARTERS)
}

const fn hour_of(quarter: i32) -> i32 {
    quarter.div_euclid(4)
}

impl Rates {
    /// The rates of counts; `first_day` is the catalog's.
    pub fn new(counts: &[Count], first_day: i32) -> Self {
        let mut rates = Self { first_day, ..Self::default() };
        for count in counts {
            for (table, at) in [(&mut rates.days, day_of(count.quarter)), (&mut rates.hours, hour_of(count.quarter))] {
                let sum = table.entry(at).or_default();
                sum.0 += f64::from(count.hits);
                sum.1 += f64::from(count.of);
            }
        }
        rates
    }

    /// Days without hits are not among the counts: they are taken to be like the others, but for the hits.
    pub const fn of_failing_days(&mut self, failing: bool) {
        self.failing = failing;
    }

    fn pooled(&self, day: i32) -> (f64, f64) {
        let days = (day - BACK).max(self.first_day)..day;
        let known = days.clone().filter_map(|day| self.days.get(&day));
        let (hits, of) = known.clone().fold((0.0, 0.0), add);
        let scale = if self.failing {
            f64::from(day - days.start) / f64::from(u32::try_from(known.count()).unwrap_or(u32::MAX).max(1))
        } else {
            1.0
        };
        (hits, of * scale)
    }

    fn same_hour(&self, hour: i32) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for week in 1..=WEEKS {
            for near in -1..=1 {
                sum = self.hours.get(&(hour - week * 7 * 24 + near)).map_or(sum, |own| add(sum, own));
            }
        }
        sum
    }

    /// The rate of the quieter hours of the last days: what goes on for some hours is not among them, however many rows
    /// it has. None where there are few rows.
    fn middle(&self, day: i32) -> Option<f64> {
        let mut hours: Vec<(f64, f64)> =
            ((day - LEARNING + 1) * 24..(day + 1) * 24).filter_map(|hour| self.hours.get(&hour)).copied().collect();
        let rows: f64 = hours.iter().map(|(_, of)| of).sum();
        if rows < OWN_ROWS {
            return None;
        }
        hours.sort_by(|a, b| (a.0 * b.1).total_cmp(&(b.0 * a.1)));
        let (hits, of) = hours.iter().take(hours.len() * 3 / 4).fold((0.0, 0.0), add);
        (of > 0.0).then(|| hits / of)
    }

    /// The rate of all mail on a day, by which others are measured.
    pub fn general(&self, day: i32) -> f64 {
        if day - self.first_day < LEARNING {
            return self.middle(day).unwrap_or_default();
        }
        let (hits, of) = self.pooled(day);
        if of > 0.0 { hits / of } else { 0.0 }
    }
}

/// What is usual of somebody; asked in the order of time, it looks back once a day and once an hour.
#[derive(Debug)]
pub struct Usual<'a> {
    own: &'a Rates,
    /// Rates of all mail by day.
    general: &'a HashMap<i32, f64>,
    /// Whether whom it is about is there for long, as a provider is and a job is not.
    lasting: bool,
    day: Option<(i32, f64)>,
    hour: Option<(i32, f64)>,
}

impl<'a> Usual<'a> {
    /// What is usual of somebody with some rates; `general`: the rates of all mail by day ([`Rates::general`]).
    pub const fn new(own: &'a Rates, general: &'a HashMap<i32, f64>, lasting: bool) -> Self {
        Self { own, general, lasting, day: None, hour: None }
    }

    /// The rate that is usual in a quarter of an hour.
    pub fn at(&mut self, quarter: i32) -> (f64, Basis) {
        let day = day_of(quarter);
        let age = day - self.own.first_day;
        let learning = age < LEARNING;
        let of_day = match self.day {
            Some((known, rate)) if known == day => rate,
            _ => {
                let rate = self.of_day(day, learning);
                self.day = Some((day, rate));
                rate
            }
        };
        if learning {
            return (of_day, Basis::Learning(age + 1));
        }
        let hour = hour_of(quarter);
        let of_hour = match self.hour {
            Some((known, rate)) if known == hour => rate,
            _ => {
                let (hits, of) = self.own.same_hour(hour);
                let rate = if of >= HOUR_ROWS { hits / of } else { 0.0 };
                self.hour = Some((hour, rate));
                rate
            }
        };
        let basis = if age >= 14 { Basis::Weeks((age / 7).min(WEEKS)) } else { Basis::Days(age) };
        (of_day.max(of_hour), basis)
    }

    fn of_day(&self, day: i32, learning: bool) -> f64 {
        let general = self.general.get(&day).copied().unwrap_or_default();
        if learning {
            let own = if self.lasting { self.own.middle(day) } else { None };
            return own.unwrap_or(general).max(general / 2.0);
        }
        let (hits, of) = self.own.pooled(day);
        (hits + PRIOR * general) / (of + PRIOR)
    }
}

fn add(sum: (f64, f64), own: &(f64, f64)) -> (f64, f64) {
    (sum.0 + own.0, sum.1 + own.1)
}

/// Messages of somebody by quarter of an hour.
#[derive(Debug, Default)]
pub struct Volumes {
    first_day: i32,
    quarters: HashMap<i32, f64>,
    /// The most in a quarter of an hour, by day.
    most: HashMap<i32, f64>,
}

impl Volumes {
    /// The volumes of counts; `first_day` is the catalog's.
    pub fn new(counts: &[Count], first_day: i32) -> Self {
        let quarters = counts.iter().map(|count| (count.quarter, f64::from(count.of))).collect();
        let mut most: HashMap<i32, f64> = HashMap::new();
        for count in counts {
            let day = most.entry(day_of(count.quarter)).or_default();
            *day = day.max(f64::from(count.of));
        }
        Self { first_day, quarters, most }
    }

    /// How many messages there are in a quarter of an hour.
    pub fn at(&self, quarter: i32) -> f64 {
        self.quarters.get(&quarter).copied().unwrap_or_default()
    }

    /// How many messages are usual then, and how many at the least; none while learning.
    ///
    /// The least is what all of the hour around had in every week: what comes in batches comes sooner or later than last
    /// week, and is not missed for that.
    pub fn usual(&self, quarter: i32) -> Option<(f64, f64, Basis)> {
        let weeks = ((day_of(quarter) - self.first_day) / 7).min(WEEKS);
        if weeks < VOLUME_WEEKS {
            return None;
        }
        let (middle, _) = self.spread(quarter, weeks);
        let least = (-SHIFT..=SHIFT)
            .map(|shift| {
                let (middle, spread) = self.spread(quarter + shift, weeks);
                (middle - 2.0 * spread).min(self.smallest(quarter + shift, weeks))
            })
            .fold(f64::INFINITY, f64::min);
        Some((middle, least.max(0.0), Basis::Weeks(weeks)))
    }

    /// How many messages there were in the busiest quarter of an hour of the four weeks before a quarter's day; none while
    /// learning, or where there were none.
    pub fn busiest(&self, quarter: i32) -> Option<f64> {
        let day = day_of(quarter);
        if day - self.first_day < 7 * VOLUME_WEEKS {
            return None;
        }
        let before = (day - BACK..day).filter_map(|day| self.most.get(&day));
        Some(before.copied().fold(0.0, f64::max)).filter(|most| *most > 0.0)
    }

    fn weeks_before(&self, quarter: i32, weeks: i32) -> impl Iterator<Item = f64> + '_ {
        (1..=weeks)
            .map(move |week| (-1..=1).map(|near| self.at(quarter - week * 7 * QUARTERS + near)).sum::<f64>() / 3.0)
    }

    fn smallest(&self, quarter: i32, weeks: i32) -> f64 {
        self.weeks_before(quarter, weeks).fold(f64::INFINITY, f64::min)
    }

    /// The median and its spread (MAD) over the same time of other weeks.
    fn spread(&self, quarter: i32, weeks: i32) -> (f64, f64) {
        let mut known: Vec<f64> = self.weeks_before(quarter, weeks).collect();
        let middle = median(&mut known);
        let mut off: Vec<f64> = known.iter().map(|own| (own - middle).abs()).collect();
        // Where all weeks are alike, chance alone still moves a count by its root.
        (middle, (1.4826 * median(&mut off)).max(middle.sqrt() / 2.0))
    }
}

/// Quarters of an hour by which batches may come sooner or later.
const SHIFT: i32 = 3;

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => 0.0,
        (1, Some(value)) => *value,
        (_, Some(value)) => f64::midpoint(values.get(middle.saturating_sub(1)).copied().unwrap_or(*value), *value),
    }
}

/// Latencies of somebody by day.
#[derive(Debug, Default)]
pub struct Latencies {
    first_day: i32,
    days: HashMap<i32, Vec<(u16, u32)>>,
}

impl Latencies {
    /// The latencies of series; `first_day` is the catalog's.
    pub fn new(slow: &[Slow], first_day: i32) -> Self {
        let mut latencies = Self { first_day, ..Self::default() };
        for own in slow {
            latencies.days.entry(day_of(own.quarter)).or_default().push((own.bucket, own.n));
        }
        latencies
    }

    /// The usual p95 of a day in milliseconds, as it is of mail that is not put off; how many deliveries it was taken from.
    pub fn usual(&self, day: i32) -> (f64, u64, Basis) {
        let age = day - self.first_day;
        let buckets = self.before(day);
        let n: u64 = buckets.iter().map(|(_, n)| n).sum();
        // What goes on may be among them, and mail that is always put off by somebody, too: a percentile that a fifth of
        // the rows can't move, and the ratio of the two in a lognormal shape of sigma 0.8.
        let undisturbed = percentile(buckets.iter().copied(), 0.8) * 1.9;
        if age < LEARNING {
            return (undisturbed, n, Basis::Learning(age + 1));
        }
        let basis = if age >= 14 { Basis::Weeks((age / 7).min(4)) } else { Basis::Days(age) };
        (percentile(buckets, 0.95).min(undisturbed), n, basis)
    }

    /// The share of a day's usual deliveries that take longer than so many milliseconds; none while learning.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
    pub fn share_above(&self, day: i32, ms: f64) -> Option<f64> {
        if day - self.first_day < LEARNING {
            return None;
        }
        let (slow, of) = self
            .before(day)
            .iter()
            .fold((0, 0), |(slow, of), (bucket, n)| (slow + if Slow::ms(*bucket) > ms { *n } else { 0 }, of + n));
        (of > 0).then(|| slow as f64 / of as f64)
    }

    /// The deliveries of the days that say what is usual on a day, by bucket; while learning, that day is one of them.
    pub fn before(&self, day: i32) -> Vec<(u16, u64)> {
        let days = if day - self.first_day < LEARNING {
            (day - LEARNING + 1).max(self.first_day)..day + 1
        } else {
            (day - BACK).max(self.first_day)..day
        };
        let mut buckets: HashMap<u16, u64> = HashMap::new();
        for (bucket, n) in days.filter_map(|day| self.days.get(&day)).flatten() {
            *buckets.entry(*bucket).or_default() += u64::from(*n);
        }
        buckets.into_iter().collect()
    }
}

/// The nearest-rank percentile of coarse buckets, in milliseconds.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
pub fn percentile(buckets: impl IntoIterator<Item = (u16, u64)>, share: f64) -> f64 {
    let mut buckets: Vec<(u16, u64)> = buckets.into_iter().collect();
    buckets.sort_unstable();
    let n: u64 = buckets.iter().map(|(_, n)| n).sum();
    let rank = ((share * n as f64).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, n) in buckets {
        seen += n;
        if seen >= rank {
            return Slow::ms(bucket);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weeks(days: i32, hits: impl Fn(i32) -> u32) -> Vec<Count> {
        (0..days * QUARTERS).map(|quarter| Count { quarter, hits: hits(quarter), of: 100 }).collect()
    }

    #[test]
    fn what_is_usual_at_an_hour_is_what_it_was_at_that_hour() {
        // Every Monday from 08:00 to 09:00 a tenth fails, else a hundredth.
        let monday = |quarter: i32| (quarter % (7 * QUARTERS)).div_euclid(4) == 8;
        let counts = weeks(29, |quarter| if monday(quarter) { 10 } else { 1 });
        let rates = Rates::new(&counts, 0);
        let general = HashMap::from([(28, rates.general(28))]);
        let mut usual = Usual::new(&rates, &general, true);
        let mut at = |quarter: i32| usual.at(28 * QUARTERS + quarter);
        assert!(at(8 * 4).0 > 0.035 && at(12 * 4).0 < 0.012, "{:?} {:?}", at(8 * 4), at(12 * 4));
        assert_eq!(at(0).1, Basis::Weeks(4));
    }

    #[test]
    fn a_young_catalog_takes_its_quieter_hours_for_usual() {
        let counts = weeks(1, |quarter| if (40..48).contains(&quarter) { 60 } else { 2 });
        let rates = Rates::new(&counts, 0);
        let general = HashMap::from([(0, rates.general(0))]);
        let (usual, basis) = Usual::new(&rates, &general, true).at(44);
        assert!((usual - 0.02).abs() < 0.002, "{usual}");
        assert_eq!(basis.to_string(), "learning: 1 day of history");
    }

    #[test]
    fn volumes_are_known_after_three_weeks() {
        let counts = weeks(29, |_| 0);
        let volumes = Volumes::new(&counts, 0);
        assert_eq!(volumes.usual(20 * QUARTERS), None);
        let (middle, least, _) = volumes.usual(28 * QUARTERS + 5).unwrap();
        assert!((middle - 100.0).abs() < 1e-9 && (least - 90.0).abs() < 1e-9, "{middle} {least}");
    }
}
