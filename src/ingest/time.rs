//! PowerMTA's times: `2026-11-23 21:54:05+0100`, Unix seconds, or ISO with `T` and `Z`.

use crate::event::Micros;

/// Microseconds since 1970, UTC; `None` for what is no time. A time without offset is UTC.
pub fn parse(cell: &str) -> Option<Micros> {
    let cell = cell.trim();
    let bytes = cell.as_bytes();
    fast(bytes).or_else(|| epoch(bytes)).or_else(|| slow(cell))
}

/// The last time that was read: the next one is mostly of the same minute.
#[derive(Debug, Default)]
pub struct Memory {
    /// Its text but for the seconds, and the minute's beginning.
    minute: Option<([u8; 17], Micros)>,
    /// What stood behind the seconds.
    zone: Vec<u8>,
}

impl Memory {
    /// What [`parse`] says.
    pub fn parse(&mut self, cell: &str) -> Option<Micros> {
        let bytes = cell.as_bytes();
        let (Some(head), Some(&[tens @ b'0'..=b'5', ones @ b'0'..=b'9'])) =
            (bytes.first_chunk::<17>(), bytes.get(17..19))
        else {
            return parse(cell);
        };
        let seconds = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        if let Some((minute, begins)) = &self.minute
            && minute == head
            && self.zone == bytes[19..]
        {
            return Some(begins + seconds * 1_000_000);
        }
        let time = fast(bytes);
        if let Some(time) = time {
            self.minute = Some((*head, time - seconds * 1_000_000));
            self.zone.clear();
            self.zone.extend_from_slice(&bytes[19..]);
        }
        time.or_else(|| parse(cell))
    }
}

/// The usual form, digit by digit: date, blank or T, time, then nothing, `Z`, or an offset.
fn fast(bytes: &[u8]) -> Option<Micros> {
    if bytes.len() < 19
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || !matches!(bytes[10], b' ' | b'T')
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    let year = digits(bytes, 0, 4)?;
    let month = digits(bytes, 5, 2)?;
    let day = digits(bytes, 8, 2)?;
    let (hour, minute, second) = (digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?);
    if !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let offset = match &bytes[19..] {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let minutes = match rest {
                [m1, m2] | [b':', m1, m2] => digits(&[*m1, *m2], 0, 2)?,
                [] => 0,
                _ => return None,
            };
            let seconds = digits(&[*h1, *h2], 0, 2)? * 3600 + minutes * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * 1_000_000)
}

/// Unix seconds, also with a fraction or as milliseconds.
fn epoch(bytes: &[u8]) -> Option<Micros> {
    let (whole, fraction) = match bytes.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&bytes[..dot], &bytes[dot + 1..]),
        None => (bytes, &[][..]),
    };
    let value = digits(whole, 0, whole.len())?;
    match whole.len() {
        8..=11 => {
            let mut micros = value * 1_000_000;
            let mut unit = 100_000;
            for byte in fraction.iter().take(6) {
                micros += digits(&[*byte], 0, 1)? * unit;
                unit /= 10;
            }
            Some(micros)
        }
        13 if fraction.is_empty() => Some(value * 1000),
        16 if fraction.is_empty() => Some(value),
        _ => None,
    }
}

/// Anything else that is unambiguous, by chrono.
fn slow(cell: &str) -> Option<Micros> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(cell) {
        return Some(time.timestamp_micros());
    }
    for format in
        ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%m/%d/%Y %H:%M:%S%#z", "%Y-%m-%d %H:%M:%S%.f %#z"]
    {
        if let Ok(time) = chrono::DateTime::parse_from_str(cell, format) {
            return Some(time.timestamp_micros());
        }
    }
    for format in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%m/%d/%Y %H:%M:%S",
        "%Y-%m-%d %H:%M:%S%.f UTC",
    ] {
        if let Ok(time) = chrono::NaiveDateTime::parse_from_str(cell, format) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    None
}

fn digits(bytes: &[u8], from: usize, count: usize) -> Option<i64> {
    if count == 0 || count > 17 {
        return None;
    }
    bytes
        .get(from..from + count)?
        .iter()
        .try_fold(0i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar: years are counted from March,
/// so that the leap day comes last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_one_moment_is_the_same() {
        let expected = parse("2026-11-23T20:54:05Z");
        assert_eq!(expected, Some(1_795_467_245_000_000));
        for form in [
            "2026-11-23 21:54:05+0100",
            "2026-11-23 20:54:05+0000",
            "2026-11-23T20:54:05",
            "2026-11-23 20:54:05",
            "1795467245",
            "1795467245.0",
            "1795467245000",
            "2026-11-23T21:54:05+01:00",
            " 2026-11-23 15:54:05-05 ",
        ] {
            assert_eq!(parse(form), expected, "{form}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for cell in ["", "x", "2026-13-01 00:00:00", "2026-02-30 00:00:00", "12", "2026-11-23", "99:99"] {
            assert_eq!(parse(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_memory_changes_nothing() {
        let mut memory = Memory::default();
        for cell in [
            "2026-11-23 21:54:05+0100",
            "2026-11-23 21:54:59+0100",
            "2026-11-23 21:54:60+0100",
            "2026-11-23 21:54:59+0200",
            "2026-11-23 21:54:5x+0200",
            "2026-11-23 21:54:58.5",
            "2026-11-23 21:54:58",
            "2026-11-23 21:54",
            "2026-13-23 21:54:58",
            "2026-11-23T21:54:07Z",
            "2026-11-23T21:54:08Z",
            "1795467245.012345678",
            "",
        ] {
            assert_eq!(memory.parse(cell), parse(cell), "{cell}");
            assert_eq!(memory.parse(cell), parse(cell), "{cell}");
        }
    }

    #[test]
    fn dates_agree_with_chrono() {
        for days in (-200_000i64..200_000).step_by(379) {
            let date = chrono::DateTime::from_timestamp(days * 86_400, 0).unwrap();
            let text = date.format("%Y-%m-%d 00:00:00").to_string();
            if date.format("%Y").to_string().len() == 4 {
                assert_eq!(parse(&text), Some(days * 86_400_000_000), "{text}");
            }
        }
    }
}
