//! When trouble began and ended in a row of numbers: the stretch of time whose counts stand out most against what is
//! expected. It depends on the numbers alone, not on when anybody looked.
//!
//! Counts are taken for Poisson with a known mean; a stretch scores the logarithm of how much likelier it is at `factor`
//! times the mean (Page's CUSUM, 1954, whose greatest stretches are those of Ruzzo and Tompa, 1999).

/// What was counted in a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The quarter, counted since 1970.
    pub quarter: i32,
    /// Rows that speak against somebody.
    pub hits: f64,
    /// Of so many.
    pub of: f64,
    /// How many hits are expected.
    pub expected: f64,
    /// From how many times the expected on it is trouble; below 1: too little is.
    pub factor: f64,
}

/// A stretch of time that stands out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Its first quarter.
    pub first: i32,
    /// Its last quarter.
    pub last: i32,
    /// Rows that speak against somebody.
    pub hits: f64,
    /// Of so many.
    pub of: f64,
    /// How many hits were expected.
    pub expected: f64,
    /// The logarithm of how much likelier trouble is than chance.
    pub score: f64,
    /// The points end before it is known to be over.
    pub ongoing: bool,
}

impl Segment {
    /// Whether two overlap in time.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// How stretches are told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The least score.
    pub score: f64,
    /// A stretch is over when its score has fallen by so much since its last hit …
    pub fall: f64,
    /// … or after so many quarters without one.
    pub quiet: i32,
}

/// The score of one point.
fn score(point: &Point) -> f64 {
    // What was never seen is not impossible.
    let expected = point.expected.max(1e-4);
    point.hits * point.factor.ln() - (point.factor - 1.0) * expected
}

/// The stretches that stand out, in the order of time. `until` is the quarter in which the log ends.
pub fn segments(points: &[Point], limits: &Limits, until: i32) -> Vec<Segment> {
    segments_by(points, limits, until, score)
}

/// The same by another score of a point.
pub fn segments_by(points: &[Point], limits: &Limits, until: i32, score: impl Fn(&Point) -> f64) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut run: Option<Run> = None;
    for (at, point) in points.iter().enumerate() {
        if let Some(known) = &run
            && known.is_over(point.quarter, limits)
        {
            found.extend(run.take().and_then(|run| run.segment(points, limits, false)));
        }
        let own = score(point);
        match &mut run {
            Some(known) => {
                known.sum += own;
                if known.sum <= 0.0 {
                    found.extend(run.take().and_then(|run| run.segment(points, limits, false)));
                } else if known.sum >= known.best {
                    (known.best, known.last, known.last_quarter) = (known.sum, at, point.quarter);
                }
            }
            None if own > 0.0 => {
                run = Some(Run { first: at, last: at, last_quarter: point.quarter, sum: own, best: own });
            }
            None => {}
        }
    }
    if let Some(run) = run {
        let ongoing = !run.is_over(until, limits);
        found.extend(run.segment(points, limits, ongoing));
    }
    found
}

/// What tells rows of trouble from those of the quiet or half quiet time around it: the logarithms of how much likelier a
/// row that speaks against somebody is in trouble, and how much likelier one that does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shoulder {
    hit: f64,
    other: f64,
}

/// Beside trouble of some rate, a rate of one in so many parts of it is quiet.
const SHOULDER: f64 = 5.0;

impl Shoulder {
    /// Between a rate and what is quiet beside it: the usual, or a fifth of the rate, so that the cut is near the half.
    pub fn new(rate: f64, usual: f64) -> Self {
        let rate = rate.clamp(1e-6, 0.995);
        let quiet = (rate / SHOULDER).max((2.0 * usual).min(rate / 2.0));
        Self { hit: (rate / quiet).ln(), other: ((1.0 - rate) / (1.0 - quiet)).ln() }
    }

    /// The score of rows that speak against somebody among so many.
    pub fn score(&self, hits: f64, of: f64) -> f64 {
        hits * self.hit + (of - hits) * self.other
    }
}

/// A stretch without the time before and behind it in which less than about half of its own rate was reached: what was put
/// off is tried again, and fails more often than usual for hours after the trouble is over. Parts that are apart by less
/// than `limits.quiet` stay one.
pub fn without_shoulders(points: &[Point], segment: Segment, limits: &Limits) -> Segment {
    let mut known = segment;
    // The first time the rate is still that of the wide stretch.
    for _ in 0..2 {
        if known.of <= 0.0 {
            return known;
        }
        let shoulder = Shoulder::new(known.hits / known.of.max(known.hits), known.expected / known.of);
        known = narrowed(points, segment, known, limits, |point| shoulder.score(point.hits, point.of.max(point.hits)));
    }
    known
}

/// A stretch as narrow as its own strength says: what is only a little more than usual before and behind it belongs to it
/// no more than to quiet times. Parts that are apart by less than `limits.quiet` stay one.
pub fn tightened(points: &[Point], segment: Segment, limits: &Limits) -> Segment {
    let mut known = segment;
    // The first time the strength is still that of the wide stretch.
    for _ in 0..2 {
        let strength = if known.expected > 0.0 { known.hits / known.expected } else { STRONGEST };
        let factor = |own: f64| if own < 1.0 { own } else { strength.min(STRONGEST).max(own) };
        known =
            narrowed(points, segment, known, limits, |point| score(&Point { factor: factor(point.factor), ..*point }));
    }
    known
}

/// The stretches that stand out within a stretch by another score, as one; `known` if there are none.
fn narrowed(
    points: &[Point],
    segment: Segment,
    known: Segment,
    limits: &Limits,
    score: impl Fn(&Point) -> f64,
) -> Segment {
    let within: Vec<Point> =
        points.iter().filter(|point| (segment.first..=segment.last).contains(&point.quarter)).copied().collect();
    let own = Limits { score: limits.score / 2.0, fall: f64::INFINITY, quiet: limits.quiet };
    let found = segments_by(&within, &own, segment.last, score);
    let (Some(begin), Some(end)) = (found.first(), found.last()) else { return known };
    let inside: Vec<&Point> = within.iter().filter(|point| (begin.first..=end.last).contains(&point.quarter)).collect();
    let sum = |part: fn(&Point) -> f64| inside.iter().map(|point| part(point)).sum::<f64>();
    Segment {
        first: begin.first,
        last: end.last,
        hits: sum(|point| point.hits),
        of: sum(|point| point.of),
        expected: sum(|point| point.expected),
        score: known.score,
        ongoing: segment.ongoing && segment.last - end.last <= limits.quiet,
    }
}

/// Stronger trouble is not told apart more sharply.
const STRONGEST: f64 = 30.0;

struct Run {
    first: usize,
    /// Where the score was greatest.
    last: usize,
    last_quarter: i32,
    sum: f64,
    best: f64,
}

impl Run {
    fn is_over(&self, quarter: i32, limits: &Limits) -> bool {
        self.best - self.sum >= limits.fall || quarter - self.last_quarter > limits.quiet
    }

    fn segment(&self, points: &[Point], limits: &Limits, ongoing: bool) -> Option<Segment> {
        if self.best < limits.score {
            return None;
        }
        let points = points.get(self.first..=self.last)?;
        let sum = |part: fn(&Point) -> f64| points.iter().map(part).sum::<f64>();
        Some(Segment {
            first: points.first()?.quarter,
            last: points.last()?.quarter,
            hits: sum(|point| point.hits),
            of: sum(|point| point.of),
            expected: sum(|point| point.expected),
            score: self.best,
            ongoing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { score: 10.0, fall: 8.0, quiet: 4 };

    fn series(hits: &[i32], factor: f64) -> Vec<Point> {
        let point =
            |(quarter, hits): (i32, &i32)| Point { quarter, hits: f64::from(*hits), of: 100.0, expected: 3.0, factor };
        (0..).zip(hits).map(point).collect()
    }

    #[test]
    fn a_wave_is_found_from_its_first_to_its_last_quarter() {
        let found = segments(&series(&[3, 2, 4, 3, 30, 41, 38, 4, 2, 3, 3, 3, 3], 2.0), &LIMITS, 12);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].first, found[0].last, found[0].ongoing), (4, 6, false));
        assert!((found[0].hits - 109.0).abs() < 1e-9);
    }

    #[test]
    fn chance_alone_is_nothing() {
        assert_eq!(segments(&series(&[3, 5, 2, 4, 6, 1, 3, 5, 4, 2, 7, 3], 2.0), &LIMITS, 12), []);
    }

    #[test]
    fn what_goes_on_at_the_end_is_ongoing_until_it_was_quiet_for_long_enough() {
        let points = series(&[3, 3, 30, 41, 38], 2.0);
        assert!(segments(&points, &LIMITS, 5)[0].ongoing);
        assert!(!segments(&points, &LIMITS, 9)[0].ongoing);
    }

    #[test]
    fn a_pause_without_mail_does_not_end_it_but_a_long_one_does() {
        let mut points = series(&[3, 40, 40, 3, 40, 40, 3, 3], 2.0);
        points.remove(3);
        assert_eq!(segments(&points, &LIMITS, 7).len(), 1);
        let mut points = series(&[3, 40, 40, 0, 0, 0, 0, 0, 0, 40, 40], 2.0);
        points.drain(3..9);
        assert_eq!(segments(&points, &LIMITS, 11).len(), 2);
    }

    #[test]
    fn a_strong_wave_is_cut_where_its_strength_ends() {
        let points = series(&[3, 4, 60, 80, 70, 9, 8, 7, 8, 3, 2, 3], 2.0);
        let wide = segments(&points, &LIMITS, 12)[0];
        let found = tightened(&points, wide, &LIMITS);
        assert_eq!((found.first, found.last), (2, 4));
        assert!((found.hits - 210.0).abs() < 1e-9);
    }

    #[test]
    fn the_echo_of_a_wave_is_no_part_of_it() {
        // Nine in ten fail, and behind that a third of what is tried again.
        let mut points = series(&[3, 4, 90, 92, 88, 30, 34, 29, 3, 2, 3], 2.0);
        for point in points.iter_mut().filter(|point| (5..8).contains(&point.quarter)) {
            (point.hits, point.of) = (point.hits / 3.0, point.of / 3.0);
        }
        let wide = segments(&points, &LIMITS, 11)[0];
        assert_eq!(wide.last, 7);
        let found = without_shoulders(&points, wide, &LIMITS);
        assert_eq!((found.first, found.last), (2, 4));
    }

    #[test]
    fn thin_mail_at_the_end_of_a_wave_is_a_part_of_it() {
        let mut points = series(&[1, 1, 20, 22, 19, 1, 1, 1, 1], 4.0);
        points.iter_mut().for_each(|point| point.expected = 1.0);
        for point in points.iter_mut().filter(|point| (5..7).contains(&point.quarter)) {
            (point.of, point.expected) = (5.0, 0.05);
        }
        let wide = segments(&points, &LIMITS, 9)[0];
        let found = without_shoulders(&points, wide, &LIMITS);
        assert_eq!((found.first, found.last), (2, 6));
    }

    #[test]
    fn too_little_is_found_as_too_much_is() {
        let mut points = series(&[50, 52, 49, 1, 0, 0, 2, 51, 50, 50], 0.3);
        points.iter_mut().for_each(|point| point.expected = 40.0);
        let found = segments(&points, &LIMITS, 9);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].first, found[0].last), (3, 6));
    }
}
