//! When a change began, and whether it is over.

use super::localise::gain;
use crate::event::Micros;
use crate::query::time::MINUTE;

/// A quarter of an hour.
pub const QUARTER: Micros = 15 * MINUTE;

/// What was seen in a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beat {
    /// When it begins.
    pub at: Micros,
    /// What counted.
    pub hits: i64,
    /// Out of what; 0 for a volume.
    pub of: i64,
    /// What was to be expected.
    pub expected: f64,
}

/// When a change took place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// It began at about this time.
    pub from: Micros,
    /// To the first row that shows it, rather than to the quarter of an hour.
    pub exact: bool,
    /// It was there already where the series begins.
    pub earlier: bool,
    /// It was seen up to about this time.
    pub last: Micros,
    /// The same, if enough of what follows is as usual; none where it goes on, or nothing follows that could tell.
    pub until: Option<Micros>,
    /// What counted while it lasted.
    pub hits: i64,
    /// Out of what.
    pub of: i64,
}

/// More beats than this are looked at in pairs, fours, …
const MANY: usize = 1500;

/// The time in which a series deviates most from what was expected; none where it hardly does.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
pub fn onset(series: &[Beat], up: bool) -> Option<Onset> {
    let step = series.len().div_ceil(MANY).max(1);
    let joined: Vec<(f64, f64)> = series
        .chunks(step)
        .map(|beats| (beats.iter().map(|beat| beat.hits as f64).sum(), beats.iter().map(|beat| beat.expected).sum()))
        .collect();
    let (mut best, mut found) = (0.0, None);
    for begin in 0..joined.len() {
        let (mut hits, mut expected) = (0.0, 0.0);
        // Nothing begins while there is no such mail.
        if joined.get(begin) == Some(&(0.0, 0.0)) {
            continue;
        }
        for (end, (more, usual)) in joined.iter().enumerate().skip(begin) {
            hits += more;
            expected += usual;
            let gain = gain(hits, expected, up);
            if gain > best * (1.0 + 1e-9) {
                (best, found) = (gain, Some((begin * step, ((end + 1) * step).min(series.len()))));
            }
        }
    }
    let (begin, end) = found.filter(|_| best >= 6.0)?;
    let (first, last) = (series.get(begin)?, series.get(end.checked_sub(1)?)?);
    // It is over if enough of what follows is as usual.
    let after: f64 = series.iter().skip(end).map(|beat| beat.expected).sum();
    let lasting = series.get(begin..end)?;
    let sum = |pick: fn(&Beat) -> i64| lasting.iter().map(pick).sum::<i64>();
    let usual: f64 = lasting.iter().map(|beat| beat.expected).sum();
    let lift = (sum(|beat| beat.hits) as f64 / usual.max(1e-9)).min(1e6);
    let told = if up { after * lift } else { after };
    Some(Onset {
        from: first.at,
        exact: false,
        earlier: begin == 0,
        last: last.at + QUARTER,
        until: (end < series.len() && told >= 5.0).then_some(last.at + QUARTER),
        hits: sum(|beat| beat.hits),
        of: sum(|beat| beat.of),
    })
}

/// The row with which a change began: the times between `from` and `until` become dense from there on.
#[expect(clippy::cast_precision_loss, reason = "microseconds of hours stay below 2^52")]
pub fn first_row(times: &mut Vec<Micros>, from: Micros, until: Micros) -> Option<Micros> {
    times.retain(|time| (from..until).contains(time));
    times.sort_unstable();
    let n = times.len() as f64;
    let part = |rows: f64, span: Micros| if rows > 0.0 { rows * (rows / (span.max(1) as f64)).ln() } else { 0.0 };
    let mut best: Option<(f64, Micros)> = None;
    for (before, time) in times.iter().enumerate() {
        let before = before as f64;
        let (early, late) = ((*time - from) as f64, (until - *time) as f64);
        let denser = (n - before) / late.max(1.0) > before / early.max(1.0);
        let likelihood = part(before, *time - from) + part(n - before, until - *time);
        if denser && best.is_none_or(|(known, _)| likelihood > known) {
            best = Some((likelihood, *time));
        }
    }
    best.map(|(_, time)| time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(hits: impl Fn(usize) -> i64) -> Vec<Beat> {
        (0..96).map(|at| Beat { at: at as i64 * QUARTER, hits: hits(at), of: 200, expected: 8.0 }).collect()
    }

    #[test]
    fn a_rise_has_a_beginning_and_an_end() {
        let found = onset(&series(|at| if (56..64).contains(&at) { 110 } else { 6 + at as i64 % 5 }), true).unwrap();
        assert_eq!((found.from, found.until), (56 * QUARTER, Some(64 * QUARTER)));
        assert_eq!((found.hits, found.of), (880, 1600));
        assert!(!found.earlier);
    }

    #[test]
    fn what_lasts_has_no_end_and_what_was_there_has_no_beginning() {
        let found = onset(&series(|at| if at >= 80 { 60 } else { 8 }), true).unwrap();
        assert_eq!((found.from, found.until), (80 * QUARTER, None));
        assert!(onset(&series(|at| if at < 9 { 60 } else { 8 }), true).unwrap().earlier);
    }

    #[test]
    fn mail_that_is_new_begins_with_its_first_row() {
        let mut found = series(|at| if at >= 40 { 60 } else { 0 });
        found.iter_mut().take(40).for_each(|beat| (beat.of, beat.expected) = (0, 0.0));
        let found = onset(&found, true).unwrap();
        assert!(found.from == 40 * QUARTER && !found.earlier, "{found:?}");
    }

    #[test]
    fn a_drop_is_found_too_and_noise_is_not() {
        let found = onset(&series(|at| if (30..50).contains(&at) { 0 } else { 8 }), false).unwrap();
        assert_eq!((found.from, found.until), (30 * QUARTER, Some(50 * QUARTER)));
        assert_eq!(onset(&series(|at| 6 + at as i64 % 5), true), None);
    }

    #[test]
    fn the_first_row_is_where_they_become_dense() {
        let mut times: Vec<i64> = vec![10 * MINUTE];
        times.extend((0..60).map(|second| 21 * MINUTE + second * 8 * 1_000_000));
        assert_eq!(first_row(&mut times, 0, 30 * MINUTE), Some(21 * MINUTE));
        assert_eq!(first_row(&mut Vec::new(), 0, 30 * MINUTE), None);
    }
}
