//! What a window is compared with: the same hours of earlier weeks or days, else the time just before.

use super::Baseline;
use super::onset::QUARTER;
use crate::event::Micros;
use crate::query::time::{DAY, floor};

/// Weeks that are looked back at most.
const WEEKS: i64 = 4;
/// Days that are looked back at most.
const DAYS: i64 = 7;
/// Fewer weeks than this say less than the days before.
const FEW_WEEKS: usize = 2;
/// The time just before is this many times as long as the window.
const BEFORE: i64 = 6;

const WEEK: Micros = 7 * DAY;

/// A range that covers another in whole quarters of an hour, for which sums are ready.
pub fn in_quarters((from, until): (Micros, Micros)) -> (Micros, Micros) {
    (floor(from, QUARTER), floor(until + QUARTER - 1, QUARTER))
}

/// The same hours before: as many steps as there is history for, the newest first.
fn shifted((from, until): (Micros, Micros), unit: Micros, most: i64, oldest: Micros) -> Vec<(Micros, Micros)> {
    let long = until - from;
    let step = unit * (long + unit - 1).div_euclid(unit).max(1);
    // A log whose first row is a little late still covers its first day.
    let reach = |begin: Micros| begin + long / 4 >= oldest;
    let first = floor(oldest, QUARTER);
    (1..=most)
        .map(|n| (from - n * step, until - n * step))
        .take_while(|(from, _)| reach(*from))
        .map(|(from, until)| (from.max(first), until))
        .collect()
}

/// What a window is compared with, given the first event of all; no ranges where there is nothing before it.
pub fn baseline(window: (Micros, Micros), oldest: Micros) -> Baseline {
    let (from, until) = in_quarters(window);
    let named = |ranges: &[(Micros, Micros)], unit: &str| match ranges.len() {
        1 => format!("the same hours of the {unit} before"),
        many => format!("the same hours of the {many} {unit}s before"),
    };
    let weeks = shifted((from, until), WEEK, WEEKS, oldest);
    if weeks.len() >= FEW_WEEKS {
        let basis = named(&weeks, if until - from <= WEEK { "week" } else { "period of whole week" });
        return Baseline { ranges: weeks, basis };
    }
    let days = shifted((from, until), DAY, DAYS, oldest);
    if !days.is_empty() {
        let basis = if until - from <= DAY {
            format!("{} (fewer than {FEW_WEEKS} weeks of history)", named(&days, "day"))
        } else {
            format!("the {} periods of as many days before (fewer than {FEW_WEEKS} weeks of history)", days.len())
        };
        return Baseline { ranges: days, basis };
    }
    let begin = (from - BEFORE * (until - from)).max(floor(oldest, QUARTER));
    if begin >= from {
        return Baseline { ranges: Vec::new(), basis: "nothing: there is no mail before the window".to_owned() };
    }
    let basis = format!("the {} just before (less than a day of history)", crate::query::time::span(from - begin));
    Baseline { ranges: vec![(begin, from)], basis }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::time::HOUR;

    #[test]
    fn the_same_hour_of_the_week_where_there_are_weeks() {
        let window = (40 * DAY + 14 * HOUR, 40 * DAY + 16 * HOUR);
        let found = baseline(window, DAY);
        assert_eq!(found.ranges.len(), 4);
        assert_eq!(found.ranges[1], (window.0 - 14 * DAY, window.1 - 14 * DAY));
        assert_eq!(found.basis, "the same hours of the 4 weeks before");
    }

    #[test]
    fn days_where_there_is_one_week_and_the_time_before_where_there_is_a_day() {
        let window = (40 * DAY + 14 * HOUR, 40 * DAY + 16 * HOUR);
        let days = baseline(window, 31 * DAY);
        assert_eq!(days.ranges.len(), 7);
        assert!(days.basis.starts_with("the same hours of the 7 days before"), "{}", days.basis);
        let before = baseline(window, 40 * DAY);
        assert_eq!(before.ranges, [(40 * DAY + 2 * HOUR, window.0)]);
        assert_eq!(baseline(window, 40 * DAY + 14 * HOUR).ranges, []);
    }

    #[test]
    fn no_range_touches_the_window() {
        for hours in [1, 24, 30, 24 * 9] {
            let window = (100 * DAY, 100 * DAY + hours * HOUR);
            let found = baseline(window, 0);
            assert!(found.ranges.iter().all(|range| range.1 <= window.0), "{hours}");
            assert!(found.ranges.windows(2).all(|pair| pair[1].1 <= pair[0].0), "{hours}");
        }
    }
}
