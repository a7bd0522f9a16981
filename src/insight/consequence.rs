//! Verdicts that are the same thing, and verdicts that follow from others.

use super::judge::Verdict;
use super::rule::Rule;
use super::segment::Segment;
use super::signal::Signal;

/// Slow mail and missing mail for so long after an outage or a throttling are its consequences.
const AFTERMATH: i32 = 3 * 4;
/// Trouble so many times as weighty as a later one of the same kind and the same mail explains that.
const ECHO: f64 = 10.0;

/// Stretches of the same trouble that are close to each other, as one.
pub(super) fn merged(mut verdicts: Vec<Verdict>, rule: &Rule) -> Vec<Verdict> {
    let gap = (rule.quiet_minutes / 15).max(1) + 2;
    verdicts.sort_by(|a, b| (&a.slot.fields, a.key, a.segment.first).cmp(&(&b.slot.fields, b.key, b.segment.first)));
    let mut out: Vec<Verdict> = Vec::new();
    for verdict in verdicts {
        match out.last_mut() {
            Some(known)
                if known.slot == verdict.slot
                    && known.key == verdict.key
                    && verdict.segment.first - known.segment.last <= gap =>
            {
                let (old, new) = (known.segment, verdict.segment);
                known.severity = known.severity.max(verdict.severity);
                known.weight += verdict.weight;
                if new.hits > old.hits {
                    (known.value, known.rate, known.usual) = (verdict.value, verdict.rate, verdict.usual);
                }
                known.reach = (known.reach.0.min(verdict.reach.0), known.reach.1.max(verdict.reach.1));
                known.segment = Segment {
                    first: old.first,
                    last: new.last,
                    hits: old.hits + new.hits,
                    of: old.of + new.of,
                    expected: old.expected + new.expected,
                    score: old.score + new.score,
                    ongoing: new.ongoing,
                };
            }
            _ => out.push(verdict),
        }
    }
    out
}

/// Slow mail and missing mail that an outage, a block or a throttling explains are no incidents of their own.
pub(super) fn without_consequences(verdicts: Vec<(usize, Verdict)>, rules: &[Rule]) -> Vec<(usize, Verdict)> {
    let signal = |index: usize| rules.get(index).map(|rule| rule.signal);
    let explains = |index: usize| {
        matches!(signal(index), Some(Signal::Deferral | Signal::Connection | Signal::Block | Signal::Auth))
    };
    let causes: Vec<Verdict> =
        verdicts.iter().filter(|(index, _)| explains(*index)).map(|(_, verdict)| verdict.clone()).collect();
    verdicts
        .into_iter()
        .filter(|(index, verdict)| {
            let may_follow = matches!(signal(*index), Some(Signal::Latency | Signal::Volume | Signal::Surge));
            // What was put off for hours is late for hours.
            let late = verdict.late();
            let follows = |cause: &Verdict| {
                cause.meets(verdict)
                    && cause.segment.first - 2 <= verdict.segment.last
                    && verdict.segment.first <= cause.segment.last + AFTERMATH + late
            };
            // What was put off is tried again, and some of it put off again.
            let echoes = |cause: &Verdict| {
                cause.slot.signal == verdict.slot.signal
                    && cause.weight > ECHO * verdict.weight
                    && cause.segment.first <= verdict.segment.first
            };
            !causes.iter().any(|cause| follows(cause) && (may_follow || echoes(cause)))
        })
        .collect()
}
