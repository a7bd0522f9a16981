//! The risk score of a user, sender, job or IP: 0–100, the sum of its terms. Each term is the lower end of a rate's Wilson
//! interval as a share of the rate that is critical. Older mail counts for less, and everyone is credited with clean
//! mail, so that few rows weigh little. A forecast says when a rate will cross its threshold if mail goes on like this.

use crate::event::Micros;
use crate::query::measures::{Counts, Measure, wilson, wilson_of};
use crate::query::time::{DAY, HOUR, floor, iso, short};

use super::metrics::{attempts, outcomes};

/// One term of the score.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// Its column.
    pub name: &'static str,
    /// The points at the critical rate and above.
    pub weight: f64,
    /// The rate that is critical (`reference/product-peers.md` A.5).
    pub critical: f64,
    /// Clean rows that everyone is credited with: what is critical must be seen a few times to be sure.
    pub credit: f64,
    /// What it means, for `docs/reports.md`.
    pub about: &'static str,
    rate: fn(&Counts) -> (i64, i64),
}

/// After this time mail counts half.
pub const HALF_LIFE: Micros = 3 * DAY;

/// Beyond this many times the critical rate more is no worse: a few messages with many complaints are about other mail.
pub const MOST: f64 = 10.0;

/// How many terms there are.
const MANY: usize = 5;

/// The terms; their weights add up to 100.
pub const TERMS: &[Term; MANY] = &[
    Term {
        name: "risk_complaints",
        weight: 40.0,
        critical: 0.003,
        credit: 1000.0,
        about: "complaints over delivered to providers with feedback loops; full at 0.3 %",
        rate: |counts| (counts.get(Measure::Complaints), counts.get(Measure::DeliveredFbl)),
    },
    Term {
        name: "risk_hard",
        weight: 20.0,
        critical: 0.10,
        credit: 50.0,
        about: "hard bounces over delivered + bounced; full at 10 %",
        rate: |counts| (counts.get(Measure::Hard), outcomes(counts)),
    },
    Term {
        name: "risk_block",
        weight: 20.0,
        critical: 0.10,
        credit: 50.0,
        about: "block bounces over delivered + bounced; full at 10 %",
        rate: |counts| (counts.get(Measure::Block), outcomes(counts)),
    },
    Term {
        name: "risk_remote",
        weight: 10.0,
        critical: 0.05,
        credit: 100.0,
        about: "remote bounces over delivered; full at 5 %",
        rate: |counts| (counts.get(Measure::RemoteBounces), counts.get(Measure::Delivered)),
    },
    Term {
        name: "risk_throttle",
        weight: 10.0,
        critical: 0.30,
        credit: 50.0,
        about: "rate-blocking replies over attempts; full at 30 %",
        rate: |counts| (counts.get(Measure::RbReply), attempts(counts)),
    },
];

impl Term {
    /// The points of a rate of weighted rows.
    fn points(&self, (hits, of): (f64, f64)) -> f64 {
        let hits = hits.min(MOST * self.critical * of);
        if hits <= 0.0 {
            return 0.0;
        }
        let low = wilson_of(hits, of + self.credit).map_or(0.0, |(low, _)| low);
        self.weight * (low / self.critical).min(1.0)
    }
}

/// A rate that is forecast.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The metric, as its column is called.
    pub name: &'static str,
    /// The same in words.
    pub words: &'static str,
    /// The rate that will be crossed.
    pub limit: f64,
    rate: fn(&Counts) -> (i64, i64),
}

/// The limits that forecasts are about.
pub const LIMITS: &[Limit; 2] = &[
    Limit {
        name: "complaint_rate",
        words: "the complaint rate crosses 0.30 %",
        limit: 0.003,
        rate: |counts| (counts.get(Measure::Complaints), counts.get(Measure::DeliveredFbl)),
    },
    Limit {
        name: "hard_rate",
        words: "hard bounces cross 10 %",
        limit: 0.10,
        rate: |counts| (counts.get(Measure::Hard), outcomes(counts)),
    },
];

/// Recent hits below which nothing is forecast.
const FEW_HITS: i64 = 5;
/// Rows below which nothing is forecast.
const FEW: i64 = 200;
/// Nothing is forecast beyond this.
const HORIZON: Micros = 7 * DAY;

/// How old mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// The end of the range, from where on is forecast.
    pub until: Micros,
    /// Mail is as old as its bucket.
    pub width: Micros,
    /// Where the pace of a forecast is taken from.
    pub recent: Micros,
}

impl Ages {
    /// The ages of a range: by hours up to two days, else by days. The pace is that of the last quarter of it, at
    /// most six hours or two days, and at least two buckets.
    pub fn of(from: Micros, until: Micros) -> Self {
        let (width, most) = if until - from > 2 * DAY { (DAY, 2 * DAY) } else { (HOUR, 6 * HOUR) };
        let span = ((until - from) / 4).min(most);
        let recent = floor(until - span, width).min(floor(until - 1, width) - width).max(floor(from, width));
        Self { until, width, recent }
    }

    /// What a row of a bucket counts; rows without a time count in full.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of years stay below 2^52")]
    fn weight(&self, bucket: Option<Micros>) -> f64 {
        let newest = floor(self.until - 1, self.width);
        bucket.map_or(1.0, |bucket| (-((newest - bucket).max(0) as f64) / HALF_LIFE as f64).exp2())
    }
}

/// What is known of a user, sender, job or IP.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All rows, each counting one.
    pub counts: Counts,
    /// By term: hits and denominator, weighted by age.
    terms: [(f64, f64); MANY],
    /// By limit: the same of recent rows.
    recent: [(i64, i64); LIMITS.len()],
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
impl Tally {
    /// Adds the rows of a bucket.
    pub fn add(&mut self, bucket: Option<Micros>, counts: &Counts, ages: &Ages) {
        self.counts.merge(counts);
        let weight = ages.weight(bucket);
        for (term, sums) in TERMS.iter().zip(&mut self.terms) {
            let (hits, of) = (term.rate)(counts);
            sums.0 += hits as f64 * weight;
            sums.1 += of as f64 * weight;
        }
        if bucket.is_some_and(|bucket| bucket >= ages.recent) {
            for (limit, sums) in LIMITS.iter().zip(&mut self.recent) {
                let (hits, of) = (limit.rate)(counts);
                sums.0 += hits;
                sums.1 += of;
            }
        }
    }

    /// The points of each term.
    pub fn points(&self) -> [f64; MANY] {
        std::array::from_fn(|at| TERMS[at].points(self.terms[at]))
    }

    /// The score: the sum of all points.
    pub fn score(&self) -> f64 {
        self.points().iter().sum()
    }

    /// The first limit that will be crossed.
    pub fn forecast(&self, ages: &Ages) -> Option<Forecast> {
        let all = LIMITS.iter().zip(&self.recent).filter_map(|(limit, recent)| {
            let (hits, of) = (limit.rate)(&self.counts);
            let far = (hits as f64, of as f64, limit.limit);
            let span = ages.until - ages.recent;
            if of < FEW || recent.0 < FEW_HITS || hits as f64 >= limit.limit * of as f64 || span <= 0 {
                return None;
            }
            let pace = recent.1 as f64 / span as f64;
            let (low, high) = wilson(recent.0, recent.1)?;
            let when = |rate: f64| crossing(far, rate, pace).map(|left| ages.until.saturating_add(left));
            let at = when(recent.0 as f64 / recent.1 as f64)?;
            (at - ages.until <= HORIZON).then(|| Forecast {
                limit,
                at,
                earliest: when(high).unwrap_or(at),
                latest: when(low).filter(|latest| latest - ages.until <= 4 * HORIZON),
            })
        });
        all.min_by_key(|forecast| forecast.at)
    }
}

/// How long it takes until the rate of all mail crosses a limit, if mail goes on with a rate and a pace (rows per
/// microsecond): (hits + rate·pace·t) / (of + pace·t) = limit.
#[expect(clippy::cast_possible_truncation, reason = "a float is cut at the ends of the range")]
fn crossing((hits, of, limit): (f64, f64, f64), rate: f64, pace: f64) -> Option<Micros> {
    let closer = pace * (rate - limit);
    (closer > 0.0).then(|| ((limit * of - hits) / closer).ceil() as Micros)
}

/// When a limit will be crossed.
#[derive(Debug, Clone, Copy)]
pub struct Forecast {
    /// Which one.
    pub limit: &'static Limit,
    /// At the recent rate.
    pub at: Micros,
    /// At the upper end of its interval.
    pub earliest: Micros,
    /// At its lower end; none where that never gets there.
    pub latest: Option<Micros>,
}

impl Forecast {
    /// In words: `at this pace the complaint rate crosses 0.30 % at about 16:40 (15:50–18:30)`.
    pub fn sentence(&self, ages: &Ages) -> String {
        let clock = |time: Micros| {
            let is_today = floor(time, DAY) == floor(ages.until - 1, DAY);
            if is_today { iso(time).get(11..16).unwrap_or_default().to_owned() } else { short(time) }
        };
        let at = clock(self.at);
        let preposition = if at.len() > 5 { "about" } else { "at about" };
        let latest = self.latest.map_or_else(|| "or never".to_owned(), clock);
        format!("at this pace {} {preposition} {at} ({}–{latest})", self.limit.words, clock(self.earliest))
    }
}

/// One digit behind the point.
pub fn round(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(parts: &[(Measure, i64)]) -> Counts {
        let mut counts = Counts::default();
        for (measure, n) in parts {
            counts.add(1 << *measure as u16, *n);
        }
        counts
    }

    /// Of mail in the newest bucket.
    fn tally(parts: &[(Measure, i64)]) -> Tally {
        let mut tally = Tally::default();
        let ages = Ages::of(0, 10 * DAY);
        tally.add(Some(9 * DAY), &counts(parts), &ages);
        tally
    }

    fn points(tally: &Tally, name: &str) -> f64 {
        tally.points()[TERMS.iter().position(|term| term.name == name).unwrap()]
    }

    #[test]
    fn the_weights_add_up_to_a_hundred() {
        assert!((TERMS.iter().map(|term| term.weight).sum::<f64>() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn one_hard_bounce_of_one_message_is_no_proof() {
        let many = tally(&[(Measure::Hard, 500), (Measure::Delivered, 500)]);
        assert!(points(&many, "risk_hard") > 19.9);
        assert!(points(&tally(&[(Measure::Hard, 1)]), "risk_hard") < 1.5);
        assert!(tally(&[(Measure::Delivered, 1000)]).score() == 0.0);
    }

    #[test]
    fn complaints_about_mail_sent_before_do_not_damn_eight_messages() {
        let few = tally(&[(Measure::Complaints, 6), (Measure::DeliveredFbl, 8), (Measure::Delivered, 8)]);
        assert!(few.score() < 1.0, "{}", few.score());
        let many = tally(&[(Measure::Complaints, 90), (Measure::DeliveredFbl, 20_000), (Measure::Delivered, 20_000)]);
        assert!(points(&many, "risk_complaints") > 35.0, "{:?}", many.points());
    }

    #[test]
    fn remote_bounces_count() {
        let remote = tally(&[(Measure::RemoteBounces, 900), (Measure::Delivered, 10_000)]);
        assert!(points(&remote, "risk_remote") > 9.9);
    }

    #[test]
    fn what_is_old_weighs_less() {
        let ages = Ages::of(0, 10 * DAY);
        let bad = counts(&[(Measure::Hard, 400), (Measure::Delivered, 9_600)]);
        let good = counts(&[(Measure::Delivered, 10_000)]);
        let score = |days: [i64; 2]| {
            let mut tally = Tally::default();
            tally.add(Some(days[0] * DAY), &bad, &ages);
            tally.add(Some(days[1] * DAY), &good, &ages);
            assert_eq!(tally.counts.get(Measure::Hard), 400, "the counts themselves are whole");
            tally.score()
        };
        // Six days are two half-lives: four times as little as the clean mail since.
        assert!(score([9, 3]) > 2.0 * score([3, 9]), "{} {}", score([9, 3]), score([3, 9]));
    }

    #[test]
    fn a_rate_that_is_kept_crosses_its_limit_when_arithmetic_says() {
        // 12 hours clean, then 6 hours with 1 % of 1,000 an hour: 60 of 18,000 is 0.33 %; after 5 hours 50 of 17,000.
        let ages = Ages::of(0, 17 * HOUR);
        assert_eq!((ages.width, ages.recent), (HOUR, 12 * HOUR));
        let mut tally = Tally::default();
        for hour in 0..17 {
            let complaints = if hour < 12 { 0 } else { 10 };
            let hour_counts = counts(&[(Measure::Complaints, complaints), (Measure::DeliveredFbl, 1000)]);
            tally.add(Some(hour * HOUR), &hour_counts, &ages);
        }
        let forecast = tally.forecast(&ages).unwrap();
        // 50 + 10 h = 0.003 (17,000 + 1,000 h): h = 1/7.
        let minutes = (forecast.at - ages.until) / 60_000_000;
        assert_eq!((forecast.limit.name, minutes), ("complaint_rate", 8));
        assert!(forecast.earliest < forecast.at && forecast.latest.unwrap() > forecast.at);
        let text = forecast.sentence(&ages);
        assert!(text.starts_with("at this pace the complaint rate crosses 0.30 % at about 17:08 (17:0"), "{text}");
    }

    #[test]
    fn nothing_is_forecast_of_few_of_what_is_crossed_already_and_of_what_never_will() {
        let ages = Ages::of(0, 10 * HOUR);
        let with = |complaints: i64, delivered: i64| {
            let mut tally = Tally::default();
            for hour in 0..10 {
                let counts = counts(&[(Measure::Complaints, complaints), (Measure::DeliveredFbl, delivered)]);
                tally.add(Some(hour * HOUR), &counts, &ages);
            }
            tally.forecast(&ages).is_some()
        };
        assert!(!with(1, 400), "few");
        assert!(!with(10, 1000), "crossed already");
        assert!(!with(20, 10_000), "never");
    }
}
