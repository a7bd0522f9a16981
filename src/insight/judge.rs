//! From series to verdicts: who is in trouble, from when to when. Everything here depends on the counts alone, so the
//! verdicts are the same in whatever order the files came.
//!
//! Trouble is looked for at every set of fields of a rule at once. Of those that overlap, the one is kept whose rows stand
//! out most (the greatest likelihood ratio, as in Kulldorff's scan statistic, 1997): an address that a provider slows stands
//! out more than the provider with all addresses, and more than the address at all providers. What is left of the others
//! without its rows must be trouble still, or they are dropped.

use hashbrown::HashMap;

use super::baseline::{Basis, Latencies, Rates, Usual, Volumes, percentile};
use super::incident::Severity;
use super::rule::{Rule, Thresholds};
use super::segment::{Limits, Point, Segment, segments, tightened, without_shoulders};
use super::series::{Key, QUARTERS, Series, Slot, Slow, place};
use super::signal::Signal;
use super::slowdown::SLOW;
use crate::event::bounce::ReplyClass;
use crate::query::field::Field;
use crate::query::joint::Cell;
use crate::query::measures::wilson;

/// The least score of a stretch of trouble: e¹⁶, a chance of one in a million that is not one in a thousand after a
/// thousand series were looked at, with room for rows that come in bursts.
const SCORE: f64 = 16.0;
/// The score that a stretch may lose before it is over.
const FALL: f64 = 6.0;
/// Quarters of an hour without any mail that may lie within one stretch of trouble.
const PAUSE: i32 = 8;
/// Scopes that hold so much of each other's rows and weight are names of the same.
const ALIKE: f64 = 0.93;
/// What a further field in a scope must gain.
const FIELD: f64 = 4.0;
/// What is slow takes so many milliseconds at least.
const SLOW_MS: f64 = 5_000.0;
/// Quarters of an hour that a stretch of missing mail may be widened by.
const EDGE: i32 = 6;
/// Quarters of an hour for which mail must be missing, or far too much.
const LONG_ENOUGH: i32 = 3;
/// Refusals for a listing by others that show that an address is listed for all.
const ELSEWHERE: i64 = 3;
/// Behind three times the p95 there is about one delivery in fifty.
const SLOW_SHARE: f64 = 0.02;
/// Milliseconds in a quarter of an hour.
const QUARTER_MS: f64 = 900_000.0;
/// Deliveries without which nothing is known of a usual latency.
const SLOW_ROWS: u64 = 200;

/// Somebody in trouble for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What it was seen in.
    pub slot: Slot,
    /// Whom it is about.
    pub key: Key,
    /// From when to when, and how many rows.
    pub segment: Segment,
    /// The first and the last quarter in which its rows stand out, with those in which they do less than half as much.
    pub reach: (i32, i32),
    /// A rate 0–1; milliseconds for latencies.
    pub value: f64,
    /// The share of rows that speak against somebody.
    pub rate: f64,
    /// What is usual, in the unit of `value`.
    pub usual: f64,
    /// What that was taken from.
    pub basis: Basis,
    /// How bad.
    pub severity: Severity,
    /// How much its rows stand out.
    pub weight: f64,
}

impl Verdict {
    /// The fields and words that it is about.
    pub fn who(&self) -> impl Iterator<Item = (Field, u32)> + '_ {
        self.slot.fields.iter().copied().zip(self.key)
    }

    /// Whether a cell is one of its rows' scope.
    pub fn holds(&self, cell: &Cell) -> bool {
        self.who().all(|(field, word)| place(field).is_some_and(|place| cell.who[place] == word))
    }

    /// Whether a cell is one of its scope and time.
    fn explains(&self, cell: &Cell) -> bool {
        (self.reach.0..=self.reach.1).contains(&cell.quarter) && self.holds(cell)
    }

    /// Quarters of an hour by which slow mail is late; 0 for other trouble.
    #[expect(clippy::cast_possible_truncation, reason = "quarters of days")]
    pub(super) fn late(&self) -> i32 {
        if self.slot.signal == Signal::Latency { (self.value / QUARTER_MS) as i32 } else { 0 }
    }

    /// Whether some rows may be of both: no field of both has another value.
    pub fn meets(&self, other: &Self) -> bool {
        self.who().all(|(field, word)| other.who().all(|(theirs, value)| theirs != field || value == word))
    }
}

/// The words of fields, for thresholds of some mail only.
pub type Words<'a> = &'a dyn Fn(u32) -> std::sync::Arc<str>;

/// What a rule is asked with.
pub struct Case<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The series.
    pub series: &'a Series,
    /// The words.
    pub words: Words<'a>,
    /// The last quarter of the log.
    pub until: i32,
    /// What is usual for all mail, by day.
    general: HashMap<i32, f64>,
    /// The latencies of all mail, if the rule is about latencies.
    all: Latencies,
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("rule", &self.rule.id).finish_non_exhaustive()
    }
}

impl<'a> Case<'a> {
    /// A rule, to be asked about whoever is in the series.
    pub fn new(rule: &'a Rule, series: &'a Series, words: Words<'a>, until: i32) -> Self {
        let first_day = series.bounds().map_or(0, |(first, _)| first);
        let all = Rates::new(
            &series.counts(&Slot { signal: rule.signal.counted_as(), fields: Vec::new() }, Key::default()),
            first_day,
        );
        let general = series.dates().map(|day| (day, all.general(day))).collect();
        let slot = Slot { signal: Signal::Latency, fields: Vec::new() };
        let slow = if rule.signal == Signal::Latency { series.latencies(&slot, Key::default()) } else { Vec::new() };
        Self { rule, series, words, until, general, all: Latencies::new(&slow, first_day) }
    }
}

impl Case<'_> {
    fn limits(&self) -> Limits {
        // A pause without mail says nothing; the end is the last hit all the same.
        Limits { score: SCORE, fall: FALL, quiet: (self.rule.quiet_minutes / 15).max(PAUSE) }
    }

    fn thresholds(&self, slot: &Slot, key: Key) -> Thresholds {
        let words: Vec<(Field, std::sync::Arc<str>)> =
            slot.fields.iter().zip(key).map(|(field, word)| (*field, (self.words)(word))).collect();
        let who: Vec<(Field, &str)> = words.iter().map(|(field, word)| (*field, word.as_ref())).collect();
        self.rule.thresholds_of(&who)
    }

    /// The trouble of somebody, in the order of time.
    pub fn of(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        if slot.fields.iter().zip(key).any(|(field, word)| self.is_nobody(*field, word)) {
            return Vec::new();
        }
        match self.rule.signal {
            Signal::Latency => self.slow(slot, key),
            Signal::Volume => self.missing(slot, key),
            Signal::Surge => self.surging(slot, key),
            Signal::Complaint | Signal::RemoteBounce => self.late(slot, key),
            Signal::NewReply | Signal::KnownCode | Signal::Files => Vec::new(),
            _ => self.rates(slot, key),
        }
    }

    /// Rows that do not say whose they are are nobody's, and those who run mail servers of their own are no provider.
    fn is_nobody(&self, field: Field, word: u32) -> bool {
        word == 0 || (field == Field::Provider && (self.words)(word).as_ref() == crate::event::provider::OTHER)
    }

    fn first_day(&self) -> i32 {
        self.series.bounds().map_or(0, |(first, _)| first)
    }

    fn rates(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        let counts = self.series.counts(slot, key);
        let limits = self.thresholds(slot, key);
        if counts.iter().map(|count| i64::from(count.hits)).sum::<i64>() < limits.min_hits {
            return Vec::new();
        }
        let mut own = Rates::new(&counts, self.first_day());
        own.of_failing_days(slot.fields.contains(&Field::Domain));
        let lasting = !slot.fields.contains(&Field::Job) && !slot.fields.contains(&Field::User);
        let mut usual = Usual::new(&own, &self.general, lasting);
        let points: Vec<Point> = counts
            .iter()
            .map(|count| {
                let rate = usual.at(count.quarter).0.max(limits.warn / 20.0);
                Point {
                    quarter: count.quarter,
                    hits: f64::from(count.hits),
                    of: f64::from(count.of),
                    expected: rate * f64::from(count.of),
                    factor: (limits.warn / rate).max(limits.times_base),
                }
            })
            .collect();
        segments(&points, &self.limits(), self.until)
            .into_iter()
            .filter_map(|segment| {
                let reach = (segment.first, segment.last);
                let segment = tightened(&points, segment, &self.limits());
                let segment = without_shoulders(&points, segment, &self.limits());
                let rate = segment.hits / segment.of.max(segment.hits).max(1.0);
                let base = segment.expected / segment.of.max(1.0);
                let (_, basis) = usual.at(segment.first);
                let verdict = self.verdict(slot, key, segment, Measured { value: rate, rate, usual: base, basis })?;
                Some(Verdict { reach, ..verdict })
            })
            .collect()
    }

    /// Complaints and remote bounces come hours after the mail: they are expected of the day's deliveries before them.
    fn late(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        let counts = self.series.counts(slot, key);
        let limits = self.thresholds(slot, key);
        if counts.iter().map(|count| i64::from(count.hits)).sum::<i64>() < limits.min_hits {
            return Vec::new();
        }
        let own = Rates::new(&counts, self.first_day());
        let mut usual = Usual::new(&own, &self.general, slot.fields == [Field::Provider]);
        let before = |quarter: i32, back: i32| -> f64 {
            let from = counts.partition_point(|count| count.quarter <= quarter - back);
            let until = counts.partition_point(|count| count.quarter <= quarter);
            counts.get(from..until).unwrap_or_default().iter().map(|count| f64::from(count.of)).sum()
        };
        let points: Vec<Point> = counts
            .iter()
            .filter(|count| count.hits > 0)
            .map(|count| {
                let rate = usual.at(count.quarter).0.max(limits.warn / 10.0);
                let of = before(count.quarter, QUARTERS);
                Point {
                    quarter: count.quarter,
                    hits: f64::from(count.hits),
                    of,
                    expected: rate * of / f64::from(QUARTERS),
                    factor: (limits.warn / rate).max(limits.times_base),
                }
            })
            .collect();
        let points = filled(points);
        // Few reports of much less mail are many times what is expected, and do not stand out at three times of it.
        let mut found: Vec<Segment> = Vec::new();
        for sharper in [1.0, 3.0, 9.0] {
            let points: Vec<Point> =
                points.iter().map(|point| Point { factor: point.factor * sharper, ..*point }).collect();
            for segment in segments(&points, &self.limits(), self.until) {
                if !found.iter().any(|known| known.overlaps(&segment)) {
                    found.push(segment);
                }
            }
        }
        found.sort_unstable_by_key(|segment| segment.first);
        found
            .into_iter()
            .map(|segment| busy(&points, segment))
            .filter_map(|mut segment| {
                // Of all mail that can have led to them.
                segment.of = before(segment.last, segment.last - segment.first + 2 * QUARTERS);
                let (usual, basis) = usual.at(segment.first);
                let rate = segment.hits / segment.of.max(segment.hits).max(1.0);
                segment.expected = usual * segment.of;
                self.verdict(slot, key, segment, Measured { value: rate, rate, usual, basis })
            })
            .collect()
    }

    fn slow(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        let series = self.series.latencies(slot, key);
        let usual_latency = Latencies::new(&series, self.first_day());
        let limits = self.thresholds(slot, key);
        let mut known: HashMap<i32, Option<Slowness>> = HashMap::new();
        let mut points: Vec<Point> = Vec::new();
        for own in &series {
            let day = own.quarter.div_euclid(QUARTERS);
            let slowness = *known.entry(day).or_insert_with(|| Slowness::new(&usual_latency, day));
            let Some(Slowness { limit, share, .. }) = slowness else { continue };
            let n = f64::from(own.n);
            let hits = if Slow::ms(own.bucket) > limit { n } else { 0.0 };
            match points.last_mut().filter(|point| point.quarter == own.quarter) {
                Some(point) => {
                    (point.hits, point.of) = (point.hits + hits, point.of + n);
                    point.expected = share * point.of;
                }
                None => points.push(Point {
                    quarter: own.quarter,
                    hits,
                    of: n,
                    expected: share * n,
                    factor: limits.times_base,
                }),
            }
        }
        segments(&points, &self.limits(), self.until)
            .into_iter()
            .filter_map(|segment| {
                let segment = tightened(&points, segment, &self.limits());
                let inside = series.iter().filter(|own| (segment.first..=segment.last).contains(&own.quarter));
                let p95 = percentile(inside.map(|own| (own.bucket, u64::from(own.n))), 0.95);
                let rate = segment.hits / segment.of.max(1.0);
                let Slowness { p95: usual, basis, .. } =
                    known.get(&segment.first.div_euclid(QUARTERS)).copied().flatten()?;
                let verdict = self.verdict(slot, key, segment, Measured { value: p95, rate, usual, basis })?;
                let weight = self.weight_by_all(&verdict, &series, &usual_latency).max(verdict.weight);
                Some(Verdict { weight, ..verdict })
            })
            .collect()
    }

    /// How much slow mail stands out by what is slow for all mail: scopes that are measured by nothing but their own usual
    /// latencies cannot be compared.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
    fn weight_by_all(&self, verdict: &Verdict, series: &[Slow], own: &Latencies) -> f64 {
        let segment = &verdict.segment;
        let day = segment.first.div_euclid(QUARTERS);
        let Some(Slowness { limit, .. }) = Slowness::new(&self.all, day) else { return 0.0 };
        let inside = series.iter().filter(|own| (segment.first..=segment.last).contains(&own.quarter));
        let hits: u64 = inside.filter(|own| Slow::ms(own.bucket) > limit).map(|own| u64::from(own.n)).sum();
        weight(hits as f64, usual_share(own, day, limit) * segment.of, verdict.slot.fields.len())
    }

    fn missing(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        let counts = self.series.counts(slot, key);
        let (Some(first), Some(last)) = (counts.first(), counts.last()) else { return Vec::new() };
        let volumes = Volumes::new(&counts, self.first_day());
        let limits = self.thresholds(slot, key);
        // Somebody who left for good is missed until the end of the log; who was not there yet is not.
        let last = if self.until - last.quarter > 7 * QUARTERS { last.quarter + 7 * QUARTERS } else { self.until };
        let points: Vec<Point> = (first.quarter..=last)
            .filter_map(|quarter| {
                let (middle, least, _) = volumes.usual(quarter)?;
                (least > 0.0).then(|| Point {
                    quarter,
                    hits: volumes.at(quarter),
                    of: middle,
                    expected: least,
                    factor: limits.times_base,
                })
            })
            .collect();
        segments(&points, &self.limits(), self.until)
            .into_iter()
            .map(|segment| widened(segment, &volumes, limits.times_base, self.until))
            .filter_map(|segment| {
                let rate = segment.hits / segment.of.max(1.0);
                let (_, _, basis) = volumes.usual(segment.first)?;
                self.verdict(slot, key, segment, Measured { value: rate, rate, usual: 1.0, basis })
            })
            .collect()
    }

    /// More mail than in the busiest quarter of an hour of the weeks before.
    fn surging(&self, slot: &Slot, key: Key) -> Vec<Verdict> {
        let counts = self.series.counts(slot, key);
        let volumes = Volumes::new(&counts, self.first_day());
        let limits = self.thresholds(slot, key);
        let points: Vec<Point> = counts
            .iter()
            .filter_map(|count| {
                let busiest = volumes.busiest(count.quarter)?;
                let (hits, of) = (f64::from(count.of), busiest);
                Some(Point { quarter: count.quarter, hits, of, expected: busiest, factor: limits.warn })
            })
            .collect();
        segments(&points, &self.limits(), self.until)
            .into_iter()
            .filter_map(|segment| {
                let rate = segment.hits / segment.of.max(1.0);
                self.verdict(slot, key, segment, Measured { value: rate, rate, usual: 1.0, basis: Basis::Busiest })
            })
            .collect()
    }

    fn verdict(&self, slot: &Slot, key: Key, segment: Segment, measured: Measured) -> Option<Verdict> {
        let limits = self.thresholds(slot, key);
        let few = self.rule.signal == Signal::Volume;
        let (hits, of) = (whole(segment.hits), whole(segment.of));
        if hits < limits.min_hits || of < limits.min_of {
            return None;
        }
        if self.rule.signal.is_of_volume() && segment.last - segment.first + 1 < LONG_ENOUGH {
            return None;
        }
        // Rates count by the lower end of their interval (Wilson, 95 %), volumes as they are.
        let sure = if self.rule.signal.is_of_volume() { measured.rate } else { wilson(hits, of.max(hits))?.0 };
        limits.severity(sure, few)?;
        let times = match self.rule.signal {
            Signal::Latency => measured.value / measured.usual.max(1.0),
            _ => measured.rate / measured.usual.max(1e-9),
        };
        let least = if self.rule.signal == Signal::Latency { 2.0 } else { limits.times_base };
        if !few && times < least {
            return None;
        }
        let severity = limits.severity(measured.rate, few)?;
        // A young catalog knows who is hit by days that hold the trouble: all of them are measured by all mail.
        let general = self.general.get(&segment.first.div_euclid(QUARTERS)).copied().unwrap_or_default();
        let expected = match measured.basis {
            Basis::Learning(_) if general > 0.0 => segment.expected.min(general * segment.of),
            _ => segment.expected,
        };
        Some(Verdict {
            slot: slot.clone(),
            key,
            // Where next to nothing is usual, how little it is says nothing of who is hit.
            weight: weight(segment.hits, expected.max(segment.of * limits.warn / 4.0), slot.fields.len()),
            reach: (segment.first, segment.last),
            segment,
            value: measured.value,
            rate: measured.rate,
            usual: measured.usual,
            basis: measured.basis,
            severity,
        })
    }

    /// Whether what others leave of a verdict is trouble by itself.
    fn stands(&self, verdict: &Verdict, hits: f64, of: f64) -> bool {
        let limits = self.thresholds(&verdict.slot, verdict.key);
        let share = if verdict.segment.of > 0.0 { of / verdict.segment.of } else { 0.0 };
        let expected = verdict.segment.expected * share;
        let few = self.rule.signal == Signal::Volume;
        let sure =
            if few { hits / of.max(1.0) } else { wilson(whole(hits), whole(of.max(hits))).map_or(0.0, |low| low.0) };
        whole(hits) >= limits.min_hits
            && limits.severity(sure, few).is_some()
            && likelihood(hits, expected) >= SCORE
            && (few || hits >= limits.times_base * expected)
    }

    /// Of verdicts that may be about the same rows, those that say it best. `cells` gives the cells by quarter of a
    /// stretch of quarters.
    pub fn best<E>(
        &self,
        mut verdicts: Vec<Verdict>,
        cells: &mut dyn FnMut(i32, i32) -> Result<Vec<Cell>, E>,
    ) -> Result<Vec<Verdict>, E> {
        let order = |verdict: &Verdict| self.rule.fields().position(|fields| fields == verdict.slot.fields);
        verdicts.sort_by(|a, b| {
            b.weight
                .total_cmp(&a.weight)
                .then(order(a).cmp(&order(b)))
                .then(a.segment.first.cmp(&b.segment.first))
                .then_with(|| self.names(a).cmp(&self.names(b)))
        });
        let mut kept: Vec<Verdict> = Vec::new();
        while let Some(heaviest) = verdicts.first() {
            // What is missing is a part of what there would have been.
            let size = |verdict: &Verdict| {
                if self.rule.signal == Signal::Volume { verdict.segment.of } else { verdict.segment.hits }
            };
            // Nearly the same rows under several names: the name that the rule puts first.
            let says_the_same = |other: &&Verdict| {
                other.weight >= ALIKE * heaviest.weight
                    && size(other) >= ALIKE * size(heaviest)
                    && other.segment.overlaps(&heaviest.segment)
                    && other.meets(heaviest)
            };
            let best =
                verdicts.iter().filter(says_the_same).min_by_key(|other| order(other)).unwrap_or(heaviest).clone();
            let verdict = self.beyond_provider(best, &verdicts, cells)?;
            verdicts.retain(|other| *other != verdict);
            let rivals: Vec<&Verdict> =
                kept.iter().filter(|other| other.segment.overlaps(&verdict.segment) && other.meets(&verdict)).collect();
            if rivals.is_empty() {
                kept.push(verdict);
                continue;
            }
            // A scope within another, or around it, is told apart by rows; volumes and latencies are not parts of sums.
            if self.rule.signal.is_of_volume() || self.rule.signal == Signal::Latency {
                continue;
            }
            let (mut hits, mut of) = (0.0, 0.0);
            for cell in cells(verdict.segment.first, verdict.segment.last)? {
                if !verdict.holds(&cell) || rivals.iter().any(|rival| rival.explains(&cell)) {
                    continue;
                }
                #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
                let n = cell.n as f64;
                hits += if self.rule.signal.is_hit(cell.what) { n } else { 0.0 };
                of += if self.rule.signal.is_of(cell.what) { n } else { 0.0 };
            }
            if self.stands(&verdict, hits, of) {
                kept.push(verdict);
            }
        }
        Ok(kept)
    }

    /// A blocklist lists an address for everybody: a verdict on an address at a provider is one on the address, if others
    /// refuse it for a listing, too, be it seldom.
    fn beyond_provider<E>(
        &self,
        verdict: Verdict,
        verdicts: &[Verdict],
        cells: &mut dyn FnMut(i32, i32) -> Result<Vec<Cell>, E>,
    ) -> Result<Verdict, E> {
        if self.rule.signal != Signal::Block {
            return Ok(verdict);
        }
        let is_wider = |other: &&Verdict| {
            let ours = verdict.who().filter(|(field, _)| *field != Field::Provider);
            other.slot.fields != verdict.slot.fields
                && !other.slot.fields.is_empty()
                && other.who().eq(ours)
                && other.segment.overlaps(&verdict.segment)
        };
        let Some(wider) = verdicts.iter().find(is_wider) else { return Ok(verdict) };
        let (mut here, mut elsewhere) = (0, 0);
        for cell in cells(verdict.segment.first, verdict.segment.last)? {
            let is_listed = cell.what.reply == Some(ReplyClass::IpBlocklist) && self.rule.signal.is_hit(cell.what);
            if is_listed && wider.holds(&cell) {
                *(if verdict.holds(&cell) { &mut here } else { &mut elsewhere }) += cell.n;
            }
        }
        Ok(if here * 2 >= whole(verdict.segment.hits) && elsewhere >= ELSEWHERE { wider.clone() } else { verdict })
    }

    fn names(&self, verdict: &Verdict) -> Vec<std::sync::Arc<str>> {
        verdict.key.iter().map(|word| (self.words)(*word)).collect()
    }
}

/// What is slow on a day.
#[derive(Debug, Clone, Copy)]
struct Slowness {
    /// The usual p95 in milliseconds.
    p95: f64,
    /// What takes longer is slow.
    limit: f64,
    /// The share of deliveries that are slow on usual days: at most of them somebody is put off.
    share: f64,
    basis: Basis,
}

impl Slowness {
    /// None where there are too few deliveries before to tell.
    fn new(latencies: &Latencies, day: i32) -> Option<Self> {
        let (p95, n, basis) = latencies.usual(day);
        let limit = (SLOW * p95).max(SLOW_MS);
        (n >= SLOW_ROWS).then(|| Self { p95, limit, share: usual_share(latencies, day, limit), basis })
    }
}

/// The share of a day's usual deliveries that take longer than a limit, in milliseconds.
fn usual_share(latencies: &Latencies, day: i32, limit: f64) -> f64 {
    latencies.share_above(day, limit).unwrap_or_default().max(SLOW_SHARE)
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    value: f64,
    rate: f64,
    usual: f64,
    basis: Basis,
}

/// A count as a whole number.
#[expect(clippy::cast_possible_truncation, reason = "counts stay below 2^52")]
pub(super) fn whole(count: f64) -> i64 {
    count.round() as i64
}

/// The log likelihood ratio of a count against what is expected (Poisson).
fn likelihood(hits: f64, expected: f64) -> f64 {
    let expected = expected.max(1e-3);
    if hits <= 0.0 {
        return expected;
    }
    hits * (hits / expected).ln() - (hits - expected)
}

fn weight(hits: f64, expected: f64, fields: usize) -> f64 {
    likelihood(hits, expected) - FIELD * f64::from(u8::try_from(fields).unwrap_or(u8::MAX))
}

/// A stretch of missing mail with the quarters before and behind it in which it is missing, too, though batches that come
/// sooner or later than usual could explain these alone.
fn widened(mut segment: Segment, volumes: &Volumes, share: f64, until: i32) -> Segment {
    let is_missing = |quarter: i32| {
        volumes.usual(quarter).is_some_and(|(middle, ..)| middle >= 1.0 && volumes.at(quarter) <= share * middle)
    };
    let add = |segment: &mut Segment, quarter: i32| {
        segment.hits += volumes.at(quarter);
        segment.of += volumes.usual(quarter).map_or(0.0, |(middle, ..)| middle);
    };
    for _ in 0..EDGE {
        if is_missing(segment.first - 1) {
            segment.first -= 1;
            let quarter = segment.first;
            add(&mut segment, quarter);
        }
        if segment.last < until && is_missing(segment.last + 1) {
            segment.last += 1;
            let quarter = segment.last;
            add(&mut segment, quarter);
        }
    }
    segment
}

/// A stretch of reports without the lone ones at both its ends: there are three of them within an hour at its begin, and at
/// its end.
fn busy(points: &[Point], segment: Segment) -> Segment {
    const HOUR: i32 = 4;
    let inside: Vec<&Point> =
        points.iter().filter(|point| (segment.first..=segment.last).contains(&point.quarter)).collect();
    let hits = |from: i32, until: i32| -> f64 {
        inside.iter().filter(|point| (from..until).contains(&point.quarter)).map(|point| point.hits).sum()
    };
    let mut own = inside.iter().filter(|point| point.hits > 0.0).map(|point| point.quarter);
    let first = own.clone().find(|quarter| hits(*quarter, quarter + HOUR) >= 3.0);
    let last = own.rfind(|quarter| hits(quarter - HOUR + 1, quarter + 1) >= 3.0);
    let (Some(first), Some(last)) = (first, last) else { return segment };
    let sum = |part: fn(&Point) -> f64| {
        inside.iter().filter(|point| (first..=last).contains(&point.quarter)).map(|point| part(point)).sum::<f64>()
    };
    Segment { first, last, hits: sum(|point| point.hits), expected: sum(|point| point.expected), ..segment }
}

/// Points of every quarter between the first and the last, so that quiet ones count as well.
fn filled(points: Vec<Point>) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        if let Some(last) = out.last().copied() {
            // Over a longer pause nothing goes on anyway.
            let until = point.quarter.min(last.quarter + QUARTERS);
            out.extend((last.quarter + 1..until).map(|quarter| Point { quarter, hits: 0.0, ..last }));
        }
        out.push(point);
    }
    out
}
