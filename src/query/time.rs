//! Times, ranges and bucket widths: parsed from flags and the time picker, printed for people.
//! Everything is UTC, in microseconds since 1970.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

pub use crate::event::Micros;

/// One second.
pub const SECOND: Micros = 1_000_000;
/// One minute.
pub const MINUTE: Micros = 60 * SECOND;
/// One hour.
pub const HOUR: Micros = 60 * MINUTE;
/// One day.
pub const DAY: Micros = 24 * HOUR;

/// Why a time or a duration could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a time.
    #[error("`{0}` is no time: write 2026-11-23, 2026-11-23T14:30 or 2026-11-23T14:30:00+01:00")]
    Time(String),
    /// Not a duration.
    #[error("`{0}` is no duration: write 15m, 24h, 7d or 2w")]
    Duration(String),
    /// A range that ends before it begins.
    #[error("the range ends ({until}) before it begins ({since})")]
    Backwards {
        /// The beginning.
        since: String,
        /// The end.
        until: String,
    },
}

/// Which time a scope covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeRange {
    /// Everything in the catalog.
    #[default]
    All,
    /// The given span up to "now", the newest event (SPEC §4).
    Last(Micros),
    /// From (inclusive) until (exclusive); either side may be open.
    Between(Option<Micros>, Option<Micros>),
}

impl TimeRange {
    /// The bounds, given "now" (exclusive end: the microsecond after it).
    pub fn resolve(self, now: Option<Micros>) -> (Option<Micros>, Option<Micros>) {
        match self {
            Self::All => (None, None),
            Self::Between(from, until) => (from, until),
            Self::Last(span) => match now {
                Some(now) => (Some(now + 1 - span), Some(now + 1)),
                None => (None, None),
            },
        }
    }
}

/// The width of a time bucket in reports and charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// One minute.
    Minute,
    /// A quarter of an hour.
    Quarter,
    /// One hour.
    Hour,
    /// One day.
    Day,
}

impl Width {
    /// Microseconds.
    pub const fn micros(self) -> Micros {
        match self {
            Self::Minute => MINUTE,
            Self::Quarter => 15 * MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// The name in `--bucket`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Quarter => "quarter",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The width whose buckets make a readable chart of a range (at most about 100 of them).
    pub fn for_span(span: Micros) -> Self {
        match span {
            span if span <= 100 * MINUTE => Self::Minute,
            span if span <= 25 * HOUR => Self::Quarter,
            span if span <= 5 * DAY => Self::Hour,
            _ => Self::Day,
        }
    }
}

/// A time as typed: a date, a date with a time, with or without offset; UTC unless an offset is given.
pub fn parse_time(text: &str) -> Result<Micros, Error> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_micros());
    }
    for format in ["%Y-%m-%d %H:%M:%S%#z", "%Y-%m-%dT%H:%M:%S%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Ok(time.timestamp_micros());
        }
    }
    let naive = text.trim_end_matches(['Z', 'z']);
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(naive, format) {
            return Ok(time.and_utc().timestamp_micros());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map(|date| date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
        .map_err(|_| Error::Time(text.to_owned()))
}

/// A duration as typed: a number and one of s, m, h, d, w; parts may follow each other (`3h15m`).
pub fn parse_duration(text: &str) -> Result<Micros, Error> {
    let wrong = || Error::Duration(text.to_owned());
    let mut total: Micros = 0;
    let mut digits = String::new();
    for letter in text.trim().chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = match letter.to_ascii_lowercase() {
            's' => SECOND,
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return Err(wrong()),
        };
        let count: Micros = digits.parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        digits.clear();
    }
    if !digits.is_empty() || total <= 0 {
        return Err(wrong());
    }
    Ok(total)
}

/// A range as typed in the time picker: `24h`, `all`, `2026-11-23`, or `FROM..UNTIL`.
pub fn parse_range(text: &str) -> Result<TimeRange, Error> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("all") {
        return Ok(TimeRange::All);
    }
    if let Some((from, until)) = text.split_once("..") {
        let bound = |side: &str| if side.trim().is_empty() { Ok(None) } else { parse_time(side).map(Some) };
        return between(bound(from)?, bound(until)?);
    }
    if let Ok(span) = parse_duration(text) {
        return Ok(TimeRange::Last(span));
    }
    let from = parse_time(text)?;
    let span = if text.len() <= 10 { DAY } else { HOUR };
    Ok(TimeRange::Between(Some(from), Some(from + span)))
}

/// The range between two bounds, refused when it runs backwards.
pub fn between(from: Option<Micros>, until: Option<Micros>) -> Result<TimeRange, Error> {
    match (from, until) {
        (Some(since), Some(until)) if until < since => Err(Error::Backwards { since: iso(since), until: iso(until) }),
        (None, None) => Ok(TimeRange::All),
        bounds => Ok(TimeRange::Between(bounds.0, bounds.1)),
    }
}

/// The start of the bucket that holds a time.
pub const fn floor(time: Micros, width: Micros) -> Micros {
    time.div_euclid(width) * width
}

fn utc(time: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time).unwrap_or_default()
}

/// `2026-11-23T14:30:00Z`; a fraction only where there is one.
pub fn iso(time: Micros) -> String {
    let time = utc(time);
    if time.timestamp_subsec_micros() == 0 {
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

/// `2026-11-23`.
pub fn iso_date(time: Micros) -> String {
    utc(time).format("%Y-%m-%d").to_string()
}

/// `23 Nov 14:30`, for the screen.
pub fn short(time: Micros) -> String {
    utc(time).format("%d %b %H:%M").to_string()
}

/// `14:30`, or `23 Nov` at midnight: labels of a time axis.
pub fn axis(time: Micros) -> String {
    let time = utc(time);
    if time.hour() == 0 && time.minute() == 0 {
        format!("{} {}", time.day(), time.format("%b"))
    } else {
        time.format("%H:%M").to_string()
    }
}

/// A span in its largest whole unit: `24h`, `7d`, `15m`.
pub fn span(micros: Micros) -> String {
    for (unit, letter) in [(7 * DAY, 'w'), (DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
        if micros >= unit && micros % unit == 0 && !(unit == DAY && micros == DAY) {
            return format!("{}{letter}", micros / unit);
        }
    }
    format!("{}s", micros / SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_an_offset_is_given() {
        let noon = parse_time("2026-11-23T12:00").unwrap();
        assert_eq!(iso(noon), "2026-11-23T12:00:00Z");
        assert_eq!(parse_time("2026-11-23T13:00:00+01:00"), Ok(noon));
        assert_eq!(parse_time("2026-11-23 13:00:00+0100"), Ok(noon));
        assert_eq!(parse_time("2026-11-23T12:00:00Z"), Ok(noon));
        assert!(parse_time("yesterday-ish").is_err());
    }

    #[test]
    fn durations_read_like_pmtastats_writes_them() {
        assert_eq!(parse_duration("3h15m"), Ok(3 * HOUR + 15 * MINUTE));
        assert_eq!(span(parse_duration("24h").unwrap()), "24h");
        assert_eq!(span(7 * DAY), "1w");
        for wrong in ["", "24", "h", "5y", "99999999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused() {
        assert!(parse_range("2026-11-23..2026-11-22").is_err());
        assert_eq!(parse_range("24h"), Ok(TimeRange::Last(DAY)));
        assert_eq!(parse_range(".."), Ok(TimeRange::All));
    }

    #[test]
    fn the_last_day_ends_with_the_newest_event() {
        assert_eq!(TimeRange::Last(DAY).resolve(Some(DAY)), (Some(1), Some(DAY + 1)));
    }
}
