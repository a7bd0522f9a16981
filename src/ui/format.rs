//! Numbers and words as people read them: 1 820 000 → 1.82M, 0.0123 → 1.2 %, 93 s → 1m 33s. Everything
//! that comes from a log file passes `text::display` here before it is drawn.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::dashboard::Good;
use crate::query::question::Compare;
use crate::query::table::{Unit, Value};
use crate::query::time::{self, TimeRange};
use crate::text::display;

/// Rates over fewer than these are dimmed: chance rules them (SPEC §4).
pub const MIN_N: f64 = 100.0;

/// A cell; `n/a` where a number is not available.
pub fn value(value: &Value, unit: Unit) -> String {
    match (value, unit) {
        (Value::Null, _) => "–".to_owned(),
        (Value::Missing(_), _) => "n/a".to_owned(),
        (Value::Text(words), _) if words.is_empty() => "–".to_owned(),
        (Value::Text(words), _) => display(words).into_owned(),
        (Value::Flag(flag), _) => if *flag { "yes" } else { "no" }.to_owned(),
        (Value::Time(at), _) | (Value::Int(at), Unit::Time) => time::short(*at),
        (Value::Int(_) | Value::Float(_), unit) => number(value.number().unwrap_or_default(), unit),
    }
}

/// A number in its unit.
pub fn number(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Fraction => percent(number),
        Unit::Millis => millis(number),
        Unit::Bytes => bytes(number),
        Unit::Number => decimal(number),
        Unit::Text | Unit::Count | Unit::Time | Unit::Flag => count(number),
    }
}

/// From here on a count is shown by its first three digits; below it is what `pmtop report` prints.
const WHOLE: f64 = 100_000.0;

/// `9,999`, `38,912`, `612k`, `1.82M`.
pub fn count(number: f64) -> String {
    let size = number.abs();
    for (limit, letter) in LETTERS {
        if size >= limit && size >= WHOLE {
            return format!("{}{letter}", three_digits(number / limit));
        }
    }
    if (size - size.round()).abs() > 0.05 { decimal(number) } else { thousands(number) }
}

/// A count in at most four columns, for places without room: `999`, `1.2k`, `39k`, `612k`, `1.8M`.
pub fn compact(number: f64) -> String {
    let size = number.abs();
    for (limit, letter) in LETTERS {
        let part = number / limit;
        match part.abs() {
            share if share >= 9.95 => return format!("{part:.0}{letter}"),
            share if size >= 999.5 && share >= 0.9995 => return format!("{part:.1}{letter}"),
            _ => {}
        }
    }
    format!("{number:.0}")
}

/// Powers of a thousand and their letters.
const LETTERS: [(f64, char); 4] = [(1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')];

/// Three digits that count: `1.82`, `38.9`, `612`.
fn three_digits(number: f64) -> String {
    match number.abs() {
        size if size < 9.995 => format!("{number:.2}"),
        size if size < 99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

fn decimal(number: f64) -> String {
    match number.abs() {
        size if size >= 10_000.0 => count(number.round()),
        size if size >= 100.0 => thousands(number),
        size if size >= 10.0 || size == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.1}"),
    }
}

/// A whole number with its thousands apart: `3,020`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0.0 && digits != "0" { format!("-{out}") } else { out }
}

/// A share: `97.1 %`, `0.14 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", percent_digits(share))
}

fn percent_digits(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.005 => "<0.01".to_owned(),
        size if size < 1.0 => format!("{percent:.2}"),
        size if size < 99.95 => format!("{percent:.1}"),
        size if size < 100.0 => format!("{:.2}", percent.min(99.99)),
        _ => format!("{percent:.0}"),
    }
}

/// A duration: `850ms`, `1.2s`, `41s`, `18m 04s`, `2h 10m`, `3d 4h`.
pub fn millis(ms: f64) -> String {
    let seconds = ms / 1000.0;
    let parts = |big: f64, small: f64, letters: (char, char)| {
        let total = (seconds / small).round();
        let ratio = big / small;
        format!("{:.0}{} {:02.0}{}", (total / ratio).floor(), letters.0, total % ratio, letters.1)
    };
    match seconds.abs() {
        _ if ms.abs() < 999.5 => format!("{ms:.0}ms"),
        size if size < 9.95 => format!("{seconds:.1}s"),
        size if size < 59.5 => format!("{seconds:.0}s"),
        size if size < 3599.5 => parts(60.0, 1.0, ('m', 's')),
        size if size < 86_370.0 => parts(3600.0, 60.0, ('h', 'm')),
        _ => parts(86_400.0, 3600.0, ('d', 'h')),
    }
}

/// `512 B`, `41.2 kB`, `1.20 GB`.
pub fn bytes(number: f64) -> String {
    for (limit, name) in [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")] {
        if number.abs() >= limit {
            return format!("{} {name}", three_digits(number / limit));
        }
    }
    format!("{number:.0} B")
}

/// How a number compares with the period before.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `▲▲ 3.1×`, `▼ 4 %`.
    pub text: String,
    /// How bad it is.
    pub level: Worse,
}

/// How bad a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worse {
    /// Better, or neither.
    No,
    /// A little worse.
    Slightly,
    /// Much worse.
    Clearly,
}

impl Change {
    /// The change of a number, if both sides are known.
    pub fn of(now: &Value, before: &Value, unit: Unit, good: Good) -> Option<Self> {
        let (now, before) = (now.number()?, before.number()?);
        if now == 0.0 && before == 0.0 {
            return None;
        }
        let ratio = if before == 0.0 { f64::INFINITY } else { now / before };
        let text = if ratio.is_infinite() {
            "▲▲ new".to_owned()
        } else if ratio >= 2.0 {
            format!("▲▲ {}×", if ratio < 99.5 { format!("{ratio:.1}") } else { count(ratio.round()) })
        } else if ratio <= 0.5 {
            format!("▼▼ {:.0} %", (1.0 - ratio) * 100.0)
        } else if (ratio - 1.0).abs() < 0.005 {
            "= 0 %".to_owned()
        } else {
            let sign = if ratio > 1.0 { '▲' } else { '▼' };
            format!("{sign} {:.0} %", (ratio - 1.0).abs() * 100.0)
        };
        Some(Self { text, level: worse(now, before, ratio, unit, good) })
    }

    /// Only the signs: what fits beside a table cell.
    pub fn sign(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }
}

fn worse(now: f64, before: f64, ratio: f64, unit: Unit, good: Good) -> Worse {
    // A share that should be near one hides its trouble in a ratio: 97 % after 99 % is three times
    // the failures.
    let ratio = match (unit, good) {
        (Unit::Fraction, Good::Up) => {
            let (lost, lost_before) = ((1.0 - now).max(0.0), (1.0 - before).max(0.005));
            lost / lost_before
        }
        (_, Good::Up) if ratio > 0.0 => 1.0 / ratio,
        (_, Good::Up) => f64::INFINITY,
        (_, Good::Down) => ratio,
        (_, Good::Neutral) => return Worse::No,
    };
    match ratio {
        ratio if ratio >= 1.5 => Worse::Clearly,
        ratio if ratio >= 1.1 => Worse::Slightly,
        _ => Worse::No,
    }
}

/// What is compared with, in words that follow `vs`; `None` where nothing is.
pub fn compare_name(compare: Compare, time: TimeRange) -> Option<String> {
    match (compare, time) {
        (Compare::Off, _) => None,
        (Compare::Before, TimeRange::Last(time::DAY)) => Some("day before".to_owned()),
        (Compare::Before, TimeRange::Last(span)) => Some(format!("{} before", time::span(span))),
        (Compare::Before, _) => Some("period before".to_owned()),
        (Compare::Week, _) => Some("same weekday".to_owned()),
        (Compare::Range(from, until), _) => Some(format!("{} – {}", time::short(from), time::short(until))),
    }
}

/// `2.1 % (1.6–2.8) 64/3,020`: a rate with its interval, numerator and denominator.
pub fn rate(rate: f64, low: Option<f64>, high: Option<f64>, of: Option<f64>) -> String {
    let mut out = percent(rate);
    if let (Some(low), Some(high)) = (low, high) {
        write!(out, " ({}–{})", percent_digits(low), percent_digits(high)).ok();
    }
    if let Some(of) = of {
        write!(out, "  {}/{}", thousands((rate * of).round()), thousands(of)).ok();
    }
    out
}

/// A text of several lines, each fit to be drawn.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(display).collect::<Vec<_>>().join("\n")
}

/// How many terminal columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text in at most so many columns; `…` where it was cut.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(letter);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A text in exactly so many columns, to the left.
pub fn left(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text + &" ".repeat(missing)
}

/// A text in exactly so many columns, to the right.
pub fn right(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    " ".repeat(columns.saturating_sub(width(&text))) + &text
}

/// A text in lines of at most so many columns, broken at blanks where there are some.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let wide = width(word.trim_end());
            if used > 0 && used + wide > columns {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            if wide <= columns {
                line.push_str(word);
                used += width(word);
                continue;
            }
            for letter in word.chars() {
                let wide = letter.width().unwrap_or(0);
                if used + wide > columns {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(letter);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Numbers as a row of bars, one a column; blanks where there is none.
pub fn spark(numbers: &[Option<f64>], columns: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if numbers.is_empty() || columns == 0 {
        return String::new();
    }
    let columns = columns.min(numbers.len());
    let cells: Vec<Option<f64>> = (0..columns)
        .map(|column| {
            let (from, until) = (column * numbers.len() / columns, (column + 1) * numbers.len() / columns);
            let part: Vec<f64> =
                numbers.get(from..until.max(from + 1)).unwrap_or_default().iter().flatten().copied().collect();
            (!part.is_empty()).then(|| part.iter().sum::<f64>() / part.len() as f64)
        })
        .collect();
    let top = cells.iter().flatten().copied().fold(0.0, f64::max);
    cells
        .iter()
        .map(|cell| match cell {
            None => ' ',
            Some(_) if top <= 0.0 => BARS[0],
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
            Some(number) => BARS[((number / top * 7.0).round().clamp(0.0, 7.0)) as usize],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let written: Vec<String> = [0.0, 999.0, 3020.0, 38_912.0, 612_400.0, 1_820_000.0].map(count).to_vec();
        assert_eq!(written, ["0", "999", "3,020", "38,912", "612k", "1.82M"]);
        let short: Vec<String> = [0.0, 999.0, 1_234.0, 9_960.0, 38_912.0, 612_400.0, 1_820_000.0].map(compact).to_vec();
        assert_eq!(short, ["0", "999", "1.2k", "10k", "39k", "612k", "1.8M"]);
        assert_eq!(
            [0.971, 0.0014, 0.00001, 1.0, 0.99999].map(percent),
            ["97.1 %", "0.14 %", "<0.01 %", "100 %", "99.99 %"]
        );
        let spans = [0.0, 850.0, 1_240.0, 41_000.0, 59_700.0, 1_084_000.0, 7_800_000.0, 273_600_000.0].map(millis);
        assert_eq!(spans, ["0ms", "850ms", "1.2s", "41s", "1m 00s", "18m 04s", "2h 10m", "3d 04h"]);
    }

    #[test]
    fn a_change_says_how_much_and_whether_it_is_worse() {
        let change = |now: f64, before: f64, good| Change::of(&now.into(), &before.into(), Unit::Count, good).unwrap();
        assert_eq!(change(31.0, 10.0, Good::Down), Change { text: "▲▲ 3.1×".to_owned(), level: Worse::Clearly });
        assert_eq!(change(104.0, 100.0, Good::Neutral), Change { text: "▲ 4 %".to_owned(), level: Worse::No });
        assert_eq!(change(1.0, 0.0, Good::Down).text, "▲▲ new");
        assert_eq!(change(1.0, 10.0, Good::Down).level, Worse::No);
    }

    #[test]
    fn a_drop_of_the_delivered_share_is_judged_by_what_was_lost() {
        let change = Change::of(&0.93.into(), &0.98.into(), Unit::Fraction, Good::Up).unwrap();
        assert_eq!(change.level, Worse::Clearly);
    }

    #[test]
    fn a_rate_names_its_interval_and_what_it_is_of() {
        assert_eq!(rate(0.0212, Some(0.016), Some(0.028), Some(3020.0)), "2.1 % (1.6–2.8)  64/3,020");
    }

    #[test]
    fn texts_are_cut_by_columns_not_by_bytes() {
        assert_eq!(fit("bücher", 4), "büc…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(right("日本", 5), " 日本");
        assert_eq!(wrap("550 5.1.1 user unknown", 10), ["550 5.1.1", "user", "unknown"]);
        assert_eq!(wrap("aaaaaaaa", 3), ["aaa", "aaa", "aa"]);
    }

    #[test]
    fn a_sparkline_leaves_gaps_where_nothing_is_known() {
        assert_eq!(spark(&[Some(0.0), None, Some(7.0)], 3), "▁ █");
        assert_eq!(spark(&[], 3), "");
    }
}
