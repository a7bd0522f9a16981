//! What rules ask the catalog for when counts by quarter of an hour do not say enough: the rows of a verdict.

use super::baseline::Latencies;
use super::judge::Verdict;
use super::segment::Segment;
use super::series::{QUARTER, QUARTERS, Series};
use super::signal::Signal;
use super::slowdown;
use crate::catalog::Snapshot;
use crate::event::{Kind, Micros};
use crate::query::Engine;
use crate::query::filter::Filter;
use crate::query::joint::{Unreached, What, Wish};
use crate::query::question::Failure;
use crate::query::raw::Resolved;
use crate::query::scope::Scope;
use crate::query::time::TimeRange;

/// Mail that was put off up to so many quarters of an hour ago is late now, and longer ago, if it is later than that.
const PUT_OFF: i32 = 4;

/// What deliveries say of slow mail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lateness {
    /// It was put off: deferrals explain it.
    pub put_off: bool,
    /// When it began and ended, where that shows.
    pub bounds: (Option<Micros>, Option<Micros>),
}

/// The rows of some quarters.
pub(super) fn stretch(engine: &Engine, snapshot: &Snapshot, first: i32, last: i32) -> Result<Resolved, Failure> {
    filtered(engine, snapshot, (first, last), [])
}

fn filtered(
    engine: &Engine,
    snapshot: &Snapshot,
    (first, last): (i32, i32),
    filters: impl IntoIterator<Item = Filter>,
) -> Result<Resolved, Failure> {
    let at = |quarter: i32| Some(Micros::from(quarter) * QUARTER);
    engine.resolve(snapshot, &Scope::new(TimeRange::Between(at(first), at(last + 1)), filters), None)
}

/// The rows of a verdict in some quarters.
fn of_verdict(
    engine: &Engine,
    snapshot: &Snapshot,
    verdict: &Verdict,
    quarters: (i32, i32),
) -> Result<Resolved, Failure> {
    let filters = verdict.who().map(|(field, word)| Filter::include(field, engine.word(word).as_ref()));
    filtered(engine, snapshot, quarters, filters)
}

/// The rows of a verdict that got no reply, one by one.
pub(super) fn silent(
    engine: &Engine,
    snapshot: &Snapshot,
    verdict: &Verdict,
    quarters: (i32, i32),
) -> Result<Unreached, Failure> {
    engine.unreached(snapshot, &of_verdict(engine, snapshot, verdict, quarters)?)
}

/// When the slow mail of a verdict began and ended, where its deliveries tell.
fn slow_mail(
    engine: &Engine,
    snapshot: &Snapshot,
    series: &Series,
    verdict: &Verdict,
) -> Result<(Option<Micros>, Option<Micros>), Failure> {
    let (slot, key, segment) = (&verdict.slot, verdict.key, &verdict.segment);
    let usual = Latencies::new(&series.latencies(slot, key), series.bounds().map_or(0, |(first, _)| first));
    let [begin, end] = slowdown::windows(segment);
    let deliveries = |window| engine.deliveries(snapshot, &of_verdict(engine, snapshot, verdict, window)?);
    let first = deliveries(begin)?;
    let last = if end == begin { None } else { Some(deliveries(end)?) };
    let both = [first.as_slice(), last.as_ref().unwrap_or(&first).as_slice()];
    Ok(slowdown::bounds(both, &usual.before(segment.first.div_euclid(QUARTERS)), segment))
}

/// Whether what is slow in a verdict is mail that was put off for reasons that other rules tell: there are more such
/// deferrals than the day before explains, at least one for every other slow delivery.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn was_put_off(engine: &Engine, snapshot: &Snapshot, verdict: &Verdict) -> Result<bool, Failure> {
    let is_told_elsewhere = |what: What| {
        what.kind == Kind::Deferred
            && [Signal::Deferral, Signal::Connection, Signal::Block, Signal::Auth]
                .iter()
                .any(|signal| signal.is_hit(what))
    };
    let count = |first: i32, last: i32| -> Result<(f64, f64), Failure> {
        let rows = of_verdict(engine, snapshot, verdict, (first, last))?;
        let cells = engine.joint(snapshot, &rows, Wish { dimensions: 0, quarters: false, latency: false })?.cells;
        let sum = |is: &dyn Fn(What) -> bool| -> f64 {
            cells.iter().filter(|cell| is(cell.what)).map(|cell| cell.n).sum::<i64>() as f64
        };
        Ok((sum(&is_told_elsewhere), sum(&|what| Signal::Deferral.is_of(what))))
    };
    let Segment { first, last, hits, .. } = verdict.segment;
    let since = first - PUT_OFF - verdict.late().min(QUARTERS);
    let (deferred, attempts) = count(since, last)?;
    let (usually, of) = count(since - QUARTERS, since - 1)?;
    Ok(deferred - usually / of.max(1.0) * attempts >= hits / 2.0)
}

/// What the deliveries of slow mail say.
pub(super) fn lateness(
    engine: &Engine,
    snapshot: &Snapshot,
    series: &Series,
    verdict: &Verdict,
) -> Result<Lateness, Failure> {
    if was_put_off(engine, snapshot, verdict)? {
        return Ok(Lateness { put_off: true, bounds: (None, None) });
    }
    Ok(Lateness { put_off: false, bounds: slow_mail(engine, snapshot, series, verdict)? })
}
