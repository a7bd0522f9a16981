//! Why: what the replies of an incident's rows say, the likeliest first, and to the second when they began and ended.

use hashbrown::HashMap;

use super::incident::Cause;
use super::judge::Verdict;
use super::rule::Rule;
use super::segment::{Limits, Point, Shoulder, segments, segments_by};
use super::series::{Count, QUARTER, place};
use super::signal::Signal;
use crate::event::Micros;
use crate::event::bounce::ReplyClass;
use crate::event::status::parse_diag;
use crate::query::field::Field;
use crate::query::joint::FailedRow;
use crate::reply::Catalogue;

/// Most causes of an incident.
const CAUSES: usize = 5;
/// What PowerMTA writes where nobody answered (RFC 3463, x.4.1).
const NO_ANSWER: &str = "4.4.1";
/// Causes below this share are not worth a line.
const LEAST_SHARE: f64 = 0.03;
const MINUTE: Micros = 60_000_000;
/// Quarters of an hour before and behind a stretch in which its first and last rows are looked for.
pub const EDGE: Micros = 6;
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

/// When the trouble of some rows began and ended: the stretch of minutes that stands out, and the rows beside it that
/// chance does not explain. `counts` are those of the verdict's series.
pub fn bounds(verdict: &Verdict, rule: &Rule, rows: &[FailedRow], counts: &[Count]) -> (Micros, Micros) {
    let segment = &verdict.segment;
    let whole = (Micros::from(segment.first) * QUARTER, Micros::from(segment.last + 1) * QUARTER);
    if rows.is_empty() || matches!(verdict.slot.signal, Signal::Latency | Signal::Volume) {
        return whole;
    }
    let rows = leading(rows, whole, verdict.slot.signal);
    let inside = |row: &&FailedRow| (whole.0..whole.1).contains(&row.time);
    let edges = (rows.iter().find(inside), rows.iter().rev().find(inside));
    let (begin, end) = edges.0.zip(edges.1).map_or(whole, |(begin, end)| (begin.time, end.time));
    let late = matches!(verdict.slot.signal, Signal::Complaint | Signal::RemoteBounce);
    let (begin, end) = if late { busy(&rows, begin, end) } else { (begin, end) };
    let minutes = Minutes::new(verdict, &rows, counts);
    let Some((earliest, latest)) = minutes.stand_out(rule, late) else { return busy(&rows, begin, end) };
    let sharp: Vec<Micros> = rows.iter().map(|row| row.time).filter(|time| (earliest..latest).contains(time)).collect();
    // Minutes tell more exactly what quarters have found, and nothing else: where mail is thin they may miss an end.
    let near = |time: Option<&Micros>, edge: Micros, coarse: Micros| {
        time.copied().filter(|time| (edge - QUARTER..edge + QUARTER).contains(time)).unwrap_or(coarse)
    };
    let (begin, end) = (near(sharp.first(), whole.0, begin), near(sharp.last(), whole.1, end));
    if late {
        return busy(&rows, begin, end);
    }
    let ahead = minutes.followed(end, rows.iter().map(|row| row.time).filter(|time| *time > end));
    let back = minutes.followed(begin, rows.iter().rev().map(|row| row.time).filter(|time| *time < begin));
    busy(&rows, back, ahead)
}

/// A verdict's time, and the quarters beside it, by minutes.
struct Minutes<'a> {
    verdict: &'a Verdict,
    /// The first minute, and the one behind the last.
    range: (Micros, Micros),
    /// Rows that speak against somebody, by minute.
    seen: HashMap<Micros, f64>,
    /// How many rows there are of a quarter, by minute of it.
    of: HashMap<Micros, f64>,
    shoulder: Shoulder,
    /// The usual rate.
    usual: f64,
}

impl<'a> Minutes<'a> {
    fn new(verdict: &'a Verdict, rows: &[FailedRow], counts: &[Count]) -> Self {
        let segment = &verdict.segment;
        let edge = i32::try_from(EDGE).unwrap_or_default();
        let minute = |quarter: i32| Micros::from(quarter) * (QUARTER / MINUTE);
        let mut seen: HashMap<Micros, f64> = HashMap::new();
        for row in rows {
            *seen.entry(row.time.div_euclid(MINUTE)).or_default() += 1.0;
        }
        let within = |at: &&Micros| (minute(segment.first)..minute(segment.last + 1)).contains(*at);
        let own: f64 = seen.iter().filter(|(at, _)| within(at)).map(|(_, n)| n).sum();
        let of = segment.of.max(own).max(1.0);
        let (rate, usual) = (own / of, segment.expected / of);
        Self {
            verdict,
            range: (minute(segment.first - edge), minute(segment.last + 1 + edge)),
            seen,
            of: counts.iter().map(|count| (Micros::from(count.quarter), f64::from(count.of) / 15.0)).collect(),
            shoulder: Shoulder::new(rate, usual.min(rate / 4.0)),
            usual,
        }
    }

    /// How many rows there are in a minute, on average over its quarter.
    fn of(&self, minute: Micros) -> f64 {
        self.of.get(&minute.div_euclid(QUARTER / MINUTE)).copied().unwrap_or_default()
    }

    /// From the first minute that stands out to behind the last.
    fn stand_out(&self, rule: &Rule, late: bool) -> Option<(Micros, Micros)> {
        let segment = &self.verdict.segment;
        let lasted = f64::from(segment.last - segment.first + 1) * 15.0;
        let (usual, hits) = (segment.expected / lasted, segment.hits / lasted);
        let (first, last) = self.range;
        let points: Vec<Point> = (first..last)
            .map(|at| Point {
                quarter: i32::try_from(at - first).unwrap_or(i32::MAX),
                hits: self.seen.get(&at).copied().unwrap_or_default(),
                of: self.of(at),
                expected: usual,
                factor: (hits / usual.max(1e-6)).clamp(2.0, 30.0),
            })
            .collect();
        let limits = Limits { score: MINUTE_SCORE, fall: f64::INFINITY, quiet: rule.quiet_minutes.max(60) };
        let until = i32::try_from(last - first).unwrap_or(i32::MAX);
        let found = if late {
            segments(&points, &limits, until)
        } else {
            segments_by(&points, &limits, until, |point| self.shoulder.score(point.hits, point.of))
        };
        let (earliest, latest) = (found.first()?, found.last()?);
        Some(((first + Micros::from(earliest.first)) * MINUTE, (first + Micros::from(latest.last) + 1) * MINUTE))
    }

    /// An end with the rows that follow it, as long as there would be hardly one by chance before the next of them, and,
    /// where what failed is tried again and fails again for a while, they are not too few of too many.
    fn followed(&self, edge: Micros, rows: impl Iterator<Item = Micros>) -> Micros {
        let echoes = matches!(self.verdict.slot.signal, Signal::Deferral | Signal::Connection);
        let (mut end, mut score) = (edge, 0.0_f64);
        for time in rows {
            let (from, until) = (end.min(time).div_euclid(MINUTE), end.max(time).div_euclid(MINUTE));
            let of: f64 = (from..until).map(|minute| self.of(minute)).sum();
            score = (score + self.shoulder.score(1.0, of.max(1.0))).min(0.0);
            if (time - end).abs() > NEAR || self.usual * of > BY_CHANCE || (echoes && score < FEW) {
                break;
            }
            end = time;
        }
        end
    }
}

/// Rows that are apart by less belong together: half an hour.
const NEAR: Micros = 30 * MINUTE;
/// More rows than this by chance, and the next row is one.
const BY_CHANCE: f64 = 0.5;
/// The score from which on what follows is not the same trouble.
const FEW: f64 = -4.0;

/// A stretch without its lone rows at both ends: one that has no two others within half an hour is there at all times.
fn busy(rows: &[FailedRow], begin: Micros, end: Micros) -> (Micros, Micros) {
    let times: Vec<Micros> = rows.iter().map(|row| row.time).filter(|time| (begin..=end).contains(time)).collect();
    let close = |three: &&[Micros]| three.last().zip(three.first()).is_some_and(|(last, first)| last - first <= NEAR);
    let first = times.windows(3).find(close).and_then(<[Micros]>::first);
    let last = times.windows(3).rev().find(close).and_then(<[Micros]>::last);
    first.zip(last).map_or((begin, end), |(first, last)| (*first, *last))
}

/// The rows of the replies that most of the trouble is of: others are there at all times. Those are all replies of the
/// classes that lead, and where one wording has half of them, of the wordings that lead; but every receiver has its own
/// words for the addresses of a list that do not exist.
fn leading(rows: &[FailedRow], (from, until): (Micros, Micros), signal: Signal) -> Vec<FailedRow> {
    let inside = || rows.iter().filter(|row| (from..until).contains(&row.time));
    let mut classes: HashMap<Option<ReplyClass>, usize> = HashMap::new();
    let mut templates: HashMap<u32, usize> = HashMap::new();
    for row in inside() {
        *classes.entry(row.what.reply).or_default() += 1;
        *templates.entry(row.template).or_default() += 1;
    }
    let most_of_class = classes.values().max().copied().unwrap_or_default();
    let most = templates.values().max().copied().unwrap_or_default();
    let one_wording = signal != Signal::Bounce && most * 2 >= inside().count();
    let leads = |row: &&FailedRow| {
        classes.get(&row.what.reply).is_some_and(|n| n * LEADING >= most_of_class)
            && (!one_wording || templates.get(&row.template).is_some_and(|n| n * LEADING >= most))
    };
    rows.iter().filter(leads).copied().collect()
}

/// A reply leads with a so-manieth of the rows of the one that has most.
const LEADING: usize = 5;

/// The rows of a class; and of the template that most of them have: how many, the template, the provider.
type OfClass = (i64, (i64, u32, u32));

/// The causes of some rows: the classes of their replies, the one with most rows first.
pub fn causes(rows: &[FailedRow], words: &dyn Fn(u32) -> std::sync::Arc<str>, catalogue: &Catalogue) -> Vec<Cause> {
    let mut groups: HashMap<(u32, Option<ReplyClass>, u32), i64> = HashMap::new();
    let provider = place(Field::Provider).unwrap_or_default();
    for row in rows {
        *groups.entry((row.template, row.what.reply, row.who[provider])).or_default() += 1;
    }
    // Causes are classes of replies; each shows the template that most of its rows have.
    let mut classes: HashMap<Option<ReplyClass>, OfClass> = HashMap::new();
    for ((template, class, provider), n) in groups {
        let known = classes.entry(class).or_default();
        known.0 += n;
        let better = n > known.1.0 || (n == known.1.0 && words(template) < words(known.1.1));
        if better {
            known.1 = (n, template, provider);
        }
    }
    let mut found: Vec<(Option<ReplyClass>, OfClass)> = classes.into_iter().collect();
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
            let unreached = class == Some(ReplyClass::Connection) && template.is_empty();
            let status = match parse_diag(&template).enhanced {
                Some(status) => status.to_owned(),
                None if unreached => NO_ANSWER.to_owned(),
                None => String::new(),
            };
            Cause {
                cause: if meaning.is_empty() {
                    "The connection failed before any reply.".to_owned()
                } else {
                    meaning.to_owned()
                },
                reply_class: class.map_or_else(String::new, |class| class.as_str().to_owned()),
                status,
                reply: template.as_ref().to_owned(),
                blocklist: verdict.blocklist.map(str::to_owned),
                advice: advice.to_owned(),
                share: share(n),
                rows: n,
            }
        })
        .collect()
}
