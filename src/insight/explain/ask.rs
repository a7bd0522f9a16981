//! Counts what an explanation needs: the cells of window and baseline, then the first contributor's course, rows and
//! replies.

use std::sync::Arc;

use hashbrown::HashMap;

use super::baseline::{baseline, in_quarters};
use super::metric::{Gauge, Metric};
use super::model::{Contrast, Words};
use super::onset::{QUARTER, first_row, onset};
use super::{Beat, Contributor, Explanation, ReplyShare, Verdict, explain, weight};
use crate::catalog::Snapshot;
use crate::catalog::rollup::{latency_bucket, log_gamma};
use crate::event::Micros;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::joint::{Cell, Joint, What, Who, Wish, dimension};
use crate::query::question::Failure;
use crate::query::replies::ReplyGroup;
use crate::query::scope::Scope;
use crate::query::time::{DAY, HOUR, TimeRange};
use crate::query::{Engine, mask};
use crate::reply::Catalogue;

/// The window where none is named: this long, up to the newest event.
pub const DEFAULT_WINDOW: Micros = DAY;

/// How far before the window its beginning is looked for.
const LEAD: Micros = DAY;
const LEAST_LEAD: Micros = 2 * HOUR;

/// A change that took more tenths of the window than this took all of it.
const MOST_OF_TEN: i64 = 6;

/// Replies that are told.
const MOST_REPLIES: usize = 5;

/// A latency of a cell counts from this, where it has any.
const LATENCY_PLACE: i32 = 2;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The window and the filters.
    pub scope: Scope,
    /// The metric; if none is named, the one that changed most.
    pub metric: Option<Metric>,
    /// For latency: what is slow, in milliseconds; if not named, the baseline's p95.
    pub slow_ms: Option<i64>,
}

struct Asked<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    scope: &'a Scope,
}

/// Explains a metric of a scope. `catalogue` says what replies mean.
pub async fn ask(engine: &Engine, catalogue: &Catalogue, request: &Request) -> Result<Explanation, Failure> {
    match once(engine, catalogue, request).await {
        Err(failure) if engine.sets_damage_apart(&failure) => once(engine, catalogue, request).await,
        answer => answer,
    }
}

async fn once(engine: &Engine, catalogue: &Catalogue, request: &Request) -> Result<Explanation, Failure> {
    let snapshot = engine.snapshot()?;
    let asked = Asked { engine, snapshot: &snapshot, scope: &request.scope };
    let mut found = asked.counted(request)?;
    if found.metric.has_replies() && !matches!(found.verdict, Verdict::Few | Verdict::Nothing) {
        let filters = found.contributors.first().map_or_else(Vec::new, filters_of);
        found.replies = asked.replies(&found, filters, catalogue).await?;
    }
    Ok(found)
}

/// The window of a scope, within what there is.
fn window(engine: &Engine, snapshot: &Snapshot, scope: &Scope) -> Result<(Micros, Micros), Failure> {
    let empty = || Failure {
        what: "there is nothing to explain".to_owned(),
        why: "the catalog has no events yet".to_owned(),
        hint: "`pmtop ingest` takes log files in".to_owned(),
        ..Failure::default()
    };
    let (oldest, newest) = snapshot.bounds().ok_or_else(empty)?;
    let now = engine.now(snapshot)?;
    let time = if scope.time == TimeRange::All { TimeRange::Last(DEFAULT_WINDOW) } else { scope.time };
    let (from, until) = time.resolve(now);
    let from = from.map_or(oldest, |from| from.max(oldest));
    // What is not logged yet is not missing.
    let until = until.map_or(newest + 1, |until| until.min(newest.max(now.unwrap_or(newest)) + 1));
    if from >= until {
        return Err(Failure {
            what: "there is nothing to explain".to_owned(),
            why: "no event lies in this time".to_owned(),
            hint: "`pmtop report coverage` shows which hours have events".to_owned(),
            ..Failure::default()
        });
    }
    // The newest event is somewhere in a quarter of an hour; sums are by quarter.
    Ok(if scope.time == TimeRange::All { in_quarters((from, until)) } else { (from, until) })
}

fn filters_of(found: &Contributor) -> Vec<Filter> {
    found.filters.iter().map(|(field, value)| Filter::include(*field, value.as_str())).collect()
}

fn place_of(bucket: i32) -> u16 {
    u16::try_from(bucket.saturating_add(LATENCY_PLACE)).unwrap_or(u16::MAX - 1)
}

/// The latency that one delivery in twenty is above, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds stay below 2^52")]
fn p95(joint: &Joint) -> Option<i64> {
    let all = Gauge { metric: Metric::Latency, slow: 0 };
    let mut by_place: HashMap<u16, i64> = HashMap::new();
    for cell in &joint.cells {
        *by_place.entry(cell.latency).or_default() += all.count(cell, false).1;
    }
    let mut places: Vec<(u16, i64)> = by_place.into_iter().filter(|(place, n)| *place > 0 && *n > 0).collect();
    places.sort_unstable();
    let n: i64 = places.iter().map(|(_, n)| n).sum();
    let rank = n - n / 20;
    let mut seen = 0;
    let place = places.iter().find(|(_, n)| {
        seen += n;
        seen >= rank
    })?;
    let bucket = i32::from(place.0) - LATENCY_PLACE;
    Some(if bucket < 0 { 0 } else { (f64::from(bucket) * log_gamma()).exp().floor() as i64 })
}

/// What stands for a latency that is not slow, once cells are folded; a slow one is one more.
const FAST: u16 = 1;

/// Cells that tell slow latencies from others, and no more.
fn fold(joint: Joint, slow: u16) -> Joint {
    let mut sums: HashMap<(Who, What, u16), i64> = HashMap::new();
    for cell in joint.cells {
        let latency = match cell.latency {
            0 => 0,
            latency if latency <= slow => FAST,
            _ => FAST + 1,
        };
        *sums.entry((cell.who, cell.what, latency)).or_default() += cell.n;
    }
    let cell = |((who, what, latency), n)| Cell { who, what, quarter: 0, latency, n };
    Joint { cells: sums.into_iter().map(cell).collect() }
}

/// The metric whose change stands out most: by its first contributor, with a tenth of what is usual as noise.
fn most_changed(now: &Joint, before: &Joint, weight: f64, slow: u16, words: &Words<'_>) -> Metric {
    let signal = |metric: Metric| {
        let gauge = Gauge { metric, slow };
        let contrast = Contrast::new(now, before, weight, &gauge, words);
        let (_, found) = super::localise::Finder::of(&contrast, words, metric.fields(), None);
        // Numbers of messages vary more than rates.
        let noise = if metric.is_rate() { 0.1 } else { 0.3 };
        let most = found.iter().map(|(_, found)| {
            let spread = (found.expected + (noise * found.expected).powi(2) + 1.0).sqrt();
            // A change for the better is explained where nothing became worse.
            let worse = if metric.is_rate() && found.excess < 0.0 { 0.25 } else { 1.0 };
            found.excess.abs() / spread * worse
        });
        (most.fold(0.0, f64::max), metric)
    };
    // Every other metric is left to a second thread.
    let half = |from: usize| Metric::all().skip(from).step_by(2).map(&signal).collect::<Vec<_>>();
    let mut signals = std::thread::scope(|scope| {
        let others = scope.spawn(|| half(1));
        let mut signals = half(0);
        signals.extend(others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        signals
    });
    signals.sort_by_key(|(_, metric)| *metric as usize);
    signals.into_iter().fold((0.0, Metric::Deferral), |best, own| if own.0 > best.0 { own } else { best }).1
}

impl Asked<'_> {
    /// All but the replies.
    fn counted(&self, request: &Request) -> Result<Explanation, Failure> {
        let range = window(self.engine, self.snapshot, self.scope)?;
        let oldest = self.snapshot.bounds().map_or(range.0, |bounds| bounds.0);
        let baseline = baseline(range, oldest);
        let latency = request.metric.is_none_or(|metric| metric == Metric::Latency);
        let wish = Wish { dimensions: u8::MAX, quarters: false, latency };
        let mut now = self.joint(range, &[], wish)?;
        let mut before = self.joints(&baseline.ranges, wish)?;
        let word = |number: u32| self.engine.word(number);
        let fbl = |provider: &str| self.engine.is_fbl(provider);
        let words = Words { word: &word, fbl: &fbl };
        let slow_ms = request.slow_ms.or_else(|| p95(&before).or_else(|| p95(&now)));
        let slow = slow_ms.map_or(u16::MAX, |ms| place_of(latency_bucket(ms)));
        // From here on a latency is slow or not: far fewer cells.
        let folded = if latency { FAST } else { slow };
        if latency {
            (now, before) = (fold(now, slow), fold(before, slow));
        }
        let metric = match request.metric {
            Some(metric) => metric,
            None => most_changed(&now, &before, weight(range, &baseline), folded, &words),
        };
        let gauge = Gauge { metric, slow };
        let mut found = explain(&now, &before, (range, baseline), &Gauge { metric, slow: folded }, &words);
        if metric == Metric::Latency {
            found.slow_ms = slow_ms;
        }
        if let Some(first) = found.contributors.first().cloned() {
            self.course(&mut found, &first, &gauge, oldest)?;
            let all = Wish { latency: metric == Metric::Latency, ..wish };
            self.focus(&mut found, &gauge, all, &words, oldest)?;
        }
        Ok(found)
    }

    /// Where a change took only a part of the window, that part says better where it is: the rest dilutes it, and jobs
    /// that happened to run in it stand out.
    fn focus(
        &self,
        found: &mut Explanation,
        gauge: &Gauge,
        wish: Wish,
        words: &Words<'_>,
        oldest: Micros,
    ) -> Result<(), Failure> {
        let Some(onset) = found.onset else { return Ok(()) };
        let (from, until) = found.window;
        let part = in_quarters((onset.from.max(from), onset.last.min(until)));
        if part.1 <= part.0 || (part.1 - part.0) * 10 > (until - from) * MOST_OF_TEN {
            return Ok(());
        }
        let compared = baseline(part, oldest);
        let now = self.joint(part, &[], wish)?;
        let before = self.joints(&compared.ranges, wish)?;
        let closer = explain(&now, &before, (part, compared.clone()), gauge, words);
        let Some(first) = closer.contributors.first().filter(|_| closer.up == found.up) else { return Ok(()) };
        let is_other = found.contributors.first().is_none_or(|known| known.filters != first.filters);
        if is_other {
            found.series.clear();
            self.course(found, first, gauge, oldest)?;
        }
        found.verdict = closer.verdict;
        found.values = closer.values;
        found.not_involved = closer.not_involved;
        found.contributors = closer.contributors;
        found.focus = Some((part, compared));
        Ok(())
    }

    fn joint(&self, range: (Micros, Micros), more: &[Filter], wish: Wish) -> Result<Joint, Failure> {
        let mut scope = self.scope.between(range.0, range.1);
        more.iter().for_each(|filter| scope.add(filter.clone()));
        let resolved = self.engine.resolve(self.snapshot, &scope, None)?;
        self.engine.joint(self.snapshot, &resolved, wish)
    }

    fn joints(&self, ranges: &[(Micros, Micros)], wish: Wish) -> Result<Joint, Failure> {
        let mut cells = Vec::new();
        for range in ranges {
            cells.extend(self.joint(*range, &[], wish)?.cells);
        }
        Ok(Joint { cells })
    }

    /// The first contributor by quarter of an hour, from some time before the window on; and when it began.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
    fn course(
        &self,
        found: &mut Explanation,
        first: &Contributor,
        gauge: &Gauge,
        oldest: Micros,
    ) -> Result<(), Failure> {
        let lead = (found.window.1 - found.window.0).clamp(LEAST_LEAD, LEAD);
        let range = in_quarters(((found.window.0 - lead).max(oldest), found.window.1));
        let filters = filters_of(first);
        let provider = dimension(Field::Provider).map_or(0, |index| 1 << index);
        let wish = Wish { dimensions: provider, quarters: true, latency: gauge.metric == Metric::Latency };
        let seen = self.beats(range, &filters, gauge, wish)?;
        let usual = first.usual_rate();
        let mut before: HashMap<Micros, i64> = HashMap::new();
        let (_, end) = in_quarters(found.window);
        // Volume has a course of its own over the day, known where the baseline has the same hours.
        let shifts: Vec<Micros> = found.baseline.ranges.iter().map(|range| end - range.1).collect();
        let is_shifted = shifts.iter().all(|shift| shift % DAY == 0 && *shift > 0);
        if usual.is_none() && is_shifted {
            for shift in &shifts {
                let earlier = (range.0 - shift, range.1 - shift);
                for (at, (hits, _)) in self.beats(earlier, &filters, gauge, wish)? {
                    *before.entry(at + shift).or_default() += hits;
                }
            }
        }
        let quarters = ((found.window.1 - found.window.0) as f64 / QUARTER as f64).max(1.0);
        let expected = |at: Micros, of: i64| match usual {
            Some(rate) => rate * of as f64,
            None if is_shifted => before.get(&at).copied().unwrap_or_default() as f64 / shifts.len().max(1) as f64,
            None => first.expected / quarters,
        };
        let mut at = range.0;
        while at < range.1 {
            let (hits, of) = seen.get(&at).copied().unwrap_or_default();
            found.series.push(Beat { at, hits, of, expected: expected(at, of) });
            at += QUARTER;
        }
        found.onset = onset(&found.series, found.up);
        if let Some(onset) = &mut found.onset
            && found.up
            && gauge.metric.has_replies()
            && !onset.earlier
        {
            let around = (onset.from - QUARTER, onset.from + QUARTER);
            let mut scope = self.scope.between(around.0, around.1);
            filters.into_iter().for_each(|filter| scope.add(filter));
            let resolved = self.engine.resolve(self.snapshot, &scope, None)?;
            let rows = self.engine.failed_rows(self.snapshot, &resolved)?;
            let counts = |row: &crate::query::joint::FailedRow| {
                let cell = Cell { who: row.who, what: row.what, quarter: 0, latency: 0, n: 1 };
                gauge.count(&cell, false).0 > 0
            };
            let mut times: Vec<Micros> = rows.iter().filter(|row| counts(row)).map(|row| row.time).collect();
            if let Some(time) = first_row(&mut times, around.0, around.1) {
                (onset.from, onset.exact) = (time, true);
            }
        }
        Ok(())
    }

    /// What counted by quarter of an hour, and out of what.
    fn beats(
        &self,
        range: (Micros, Micros),
        filters: &[Filter],
        gauge: &Gauge,
        wish: Wish,
    ) -> Result<HashMap<Micros, (i64, i64)>, Failure> {
        let provider = dimension(Field::Provider).unwrap_or_default();
        let mut beats: HashMap<Micros, (i64, i64)> = HashMap::new();
        for cell in self.joint(range, filters, wish)?.cells {
            let fbl = gauge.metric == Metric::Complaint && self.engine.is_fbl(&self.engine.word(cell.who[provider]));
            let (hits, of) = gauge.count(&cell, fbl);
            let beat = beats.entry(Micros::from(cell.quarter) * QUARTER).or_default();
            beat.0 += hits;
            beat.1 += of;
        }
        Ok(beats)
    }

    async fn grouped(&self, ranges: &[(Micros, Micros)], filters: &[Filter]) -> Result<Vec<ReplyGroup>, Failure> {
        let mut groups = Vec::new();
        for range in ranges {
            let mut scope = self.scope.between(range.0, range.1);
            filters.iter().for_each(|filter| scope.add(filter.clone()));
            let resolved = self.engine.resolve(self.snapshot, &scope, None)?;
            groups.extend(self.engine.replies(self.snapshot, &resolved).await?);
        }
        Ok(groups)
    }

    /// What the other side says, what is more than before first.
    async fn replies(
        &self,
        found: &Explanation,
        mut filters: Vec<Filter>,
        catalogue: &Catalogue,
    ) -> Result<Vec<ReplyShare>, Failure> {
        filters.extend(found.metric.filters());
        let (window, compared) =
            found.focus.as_ref().map_or((found.window, &found.baseline), |(part, compared)| (*part, compared));
        let now = self.grouped(&[window], &filters).await?;
        let before = self.grouped(&compared.ranges, &filters).await?;
        Ok(dominant(now, &before, found, catalogue, self.engine.masks()))
    }
}

/// Replies by what they are more than before.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn dominant(
    now: Vec<ReplyGroup>,
    before: &[ReplyGroup],
    found: &Explanation,
    catalogue: &Catalogue,
    masks: bool,
) -> Vec<ReplyShare> {
    // For as much mail as there is in the window.
    let scale = match found.contributors.first() {
        Some(first) if first.base_of > 0 => first.of as f64 / first.base_of as f64,
        _ => found.weight,
    };
    let mut usual: HashMap<(&str, &str), f64> = HashMap::new();
    for group in before {
        *usual.entry((&group.template, &group.class)).or_default() += group.n as f64 * scale;
    }
    let mut groups: HashMap<(Arc<str>, String), ReplyGroup> = HashMap::new();
    for group in now {
        let key = (Arc::from(group.template.as_str()), group.class.clone());
        match groups.entry(key) {
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(group);
            }
            hashbrown::hash_map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                // The words of the provider with most of them.
                let n = known.n + group.n;
                if (group.n, &known.provider) > (known.n, &group.provider) {
                    *known = group;
                }
                known.n = n;
            }
        }
    }
    let mut out: Vec<ReplyShare> = groups
        .into_values()
        .map(|group| {
            let excess = group.n as f64 - usual.get(&(&*group.template, &*group.class)).copied().unwrap_or_default();
            let verdict = catalogue.classify(&group.provider, &group.example, None, "");
            ReplyShare {
                excess,
                share: 0.0,
                n: group.n,
                meaning: verdict.meaning.to_owned(),
                advice: verdict.advice.to_owned(),
                example: if masks { mask::words(&group.example) } else { group.example },
                template: group.template,
                class: group.class,
            }
        })
        .collect();
    let by = |reply: &ReplyShare| if found.up { reply.excess } else { reply.n as f64 };
    out.sort_by(|a, b| by(b).total_cmp(&by(a)).then_with(|| a.template.cmp(&b.template)));
    let whole: f64 = out.iter().map(|reply| by(reply).max(0.0)).sum();
    for reply in &mut out {
        reply.share = if whole > 0.0 { by(reply).max(0.0) / whole } else { 0.0 };
    }
    out.truncate(MOST_REPLIES);
    out
}
