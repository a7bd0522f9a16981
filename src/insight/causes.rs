//! Why: what the replies of an incident's rows say, the likeliest first, and to the second when they began and ended.

use hashbrown::HashMap;

use super::incident::Cause;
use super::judge::Verdict;
use super::rule::Rule;
use super::segment::{Limits, Point, segments};
use super::series::{QUARTER, place};
use super::signal::Signal;
use crate::event::Micros;
use crate::event::bounce::ReplyClass;
use crate::event::status::parse_diag;
use crate::query::field::Field;
use crate::query::joint::FailedRow;
use crate::reply::Catalogue;

/// Most causes of an incident.
const CAUSES: usize = 5;
/// Causes below this share are not worth a line.
const LEAST_SHARE: f64 = 0.03;
const MINUTE: Micros = 60_000_000;
/// The least score of the minutes in which it began and ended.
const MINUTE_SCORE: f64 = 5.0;

/// The rows that speak against a verdict's scope, in the order of time.
pub fn rows_of(verdict: &Verdict, rows: &[FailedRow]) -> Vec<FailedRow> {
    let signal = verdict.slot.signal;
    let holds = |row: &&FailedRow| {
        signal.is_hit(row.what)
            && verdict.who().all(|(field, word)| place(field).is_some_and(|place| row.who[place] == word))
    };
    let mut found: Vec<FailedRow> = rows.iter().filter(holds).copied().collect();
    found.sort_unstable_by_key(|row| row.time);
    found
}

/// When the trouble of some rows began and ended: the stretch of minutes that stands out.
pub fn bounds(verdict: &Verdict, rule: &Rule, rows: &[FailedRow]) -> (Micros, Micros) {
    let segment = &verdict.segment;
    let whole = (Micros::from(segment.first) * QUARTER, Micros::from(segment.last + 1) * QUARTER);
    if rows.is_empty() || matches!(verdict.slot.signal, Signal::Latency | Signal::Volume) {
        return whole;
    }
    let (from, until) = (whole.0 - QUARTER, whole.1 + QUARTER);
    let minutes = f64::from(segment.last - segment.first + 1) * 15.0;
    let (expected, hits) = (segment.expected / minutes, segment.hits / minutes);
    let factor = (hits / expected.max(1e-6)).clamp(2.0, 30.0);
    let rows = leading(rows, whole);
    let mut counts: HashMap<Micros, f64> = HashMap::new();
    for row in rows.iter().filter(|row| (from..until).contains(&row.time)) {
        *counts.entry(row.time.div_euclid(MINUTE)).or_default() += 1.0;
    }
    let (first, last) = (from.div_euclid(MINUTE), until.div_euclid(MINUTE));
    let points: Vec<Point> = (first..last)
        .map(|minute| Point {
            quarter: i32::try_from(minute - first).unwrap_or(i32::MAX),
            hits: counts.get(&minute).copied().unwrap_or_default(),
            of: 0.0,
            expected,
            factor,
        })
        .collect();
    let limits = Limits { score: MINUTE_SCORE, fall: f64::INFINITY, quiet: rule.quiet_minutes };
    let end = i32::try_from(last - first).unwrap_or(i32::MAX);
    let found = segments(&points, &limits, end);
    let (Some(begin), Some(end)) = (found.first(), found.last()) else {
        let inside = |row: &&FailedRow| (whole.0..whole.1).contains(&row.time);
        let times = (rows.iter().find(inside), rows.iter().rev().find(inside));
        return match times {
            (Some(first), Some(last)) => (first.time, last.time),
            _ => whole,
        };
    };
    let (begin, end) = ((first + Micros::from(begin.first)) * MINUTE, (first + Micros::from(end.last) + 1) * MINUTE);
    let inside: Vec<Micros> = rows.iter().map(|row| row.time).filter(|time| (begin..end).contains(time)).collect();
    (inside.first().copied().unwrap_or(begin), inside.last().copied().unwrap_or(end))
}

/// The rows of the replies that most of the trouble is of: others are there at all times.
fn leading(rows: &[FailedRow], (from, until): (Micros, Micros)) -> Vec<FailedRow> {
    let mut templates: HashMap<u32, usize> = HashMap::new();
    for row in rows.iter().filter(|row| (from..until).contains(&row.time)) {
        *templates.entry(row.template).or_default() += 1;
    }
    // Many wordings of the same, none of which leads: all of them.
    let most = templates.values().max().copied().unwrap_or_default();
    let leads = |row: &&FailedRow| templates.get(&row.template).is_some_and(|n| n * LEADING >= most);
    rows.iter().filter(leads).copied().collect()
}

/// A reply leads with a so-manieth of the rows of the one that has most.
const LEADING: usize = 5;

/// The causes of some rows: the classes of their replies, the one with most rows first.
pub fn causes(rows: &[FailedRow], words: &dyn Fn(u32) -> std::sync::Arc<str>, catalogue: &Catalogue) -> Vec<Cause> {
    let mut groups: HashMap<(u32, Option<ReplyClass>, u32), i64> = HashMap::new();
    let provider = place(Field::Provider).unwrap_or_default();
    for row in rows {
        *groups.entry((row.template, row.what.reply, row.who[provider])).or_default() += 1;
    }
    // Causes are classes of replies; each shows the template that most of its rows have.
    let mut classes: HashMap<Option<ReplyClass>, (i64, (i64, u32, u32))> = HashMap::new();
    for ((template, class, provider), n) in groups {
        let known = classes.entry(class).or_default();
        known.0 += n;
        let better = n > known.1.0 || (n == known.1.0 && words(template) < words(known.1.1));
        if better {
            known.1 = (n, template, provider);
        }
    }
    let mut found: Vec<(Option<ReplyClass>, (i64, (i64, u32, u32)))> = classes.into_iter().collect();
    found.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(&b.0)));
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
    let share = |n: i64| n as f64 / rows.len().max(1) as f64;
    found
        .into_iter()
        .filter(|(_, (n, _))| share(*n) >= LEAST_SHARE)
        .take(CAUSES)
        .map(|(class, (n, (_, template, provider)))| {
            let (template, provider) = (words(template), words(provider));
            let verdict = catalogue.classify(&provider, &template, None, "");
            let of_class = class.map(|class| catalogue.words_of(class));
            let same = verdict.class == class && class.is_some();
            let (meaning, advice) = match of_class {
                _ if same => (verdict.meaning, verdict.advice),
                Some((_, meaning, advice)) => (meaning, advice),
                None => ("", ""),
            };
            let status = parse_diag(&template).enhanced.map_or_else(String::new, str::to_owned);
            Cause {
                cause: if meaning.is_empty() {
                    "The connection failed before any reply.".to_owned()
                } else {
                    meaning.to_owned()
                },
                reply_class: class.map_or_else(String::new, |class| class.as_str().to_owned()),
                status,
                reply: template.as_ref().to_owned(),
                example: String::new(),
                blocklist: verdict.blocklist.map(str::to_owned),
                advice: advice.to_owned(),
                share: share(n),
                rows: n,
            }
        })
        .collect()
}
