//! Rules that count no series: replies that nobody has seen before, and files that come in no longer.

use std::collections::BTreeMap;

use super::baseline::BACK;
use super::incident::{Cause, Evidence, Incident, State};
use super::rule::Rule;
use super::series::Series;
use super::signal::{Signal, is_about_us};
use super::words::{headline, name};
use crate::catalog::control::FileRow;
use crate::event::Micros;
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::time::{DAY, HOUR};
use crate::reply::Catalogue;

/// Days of history without which every reply is new.
pub(super) const NEW_AFTER: i32 = 7;

/// Replies that were never seen before, and more than a few times; of those that speak of us, a few will do, and four
/// weeks without them. Those of other incidents are theirs.
pub(super) fn new_replies(
    rule: &Rule,
    series: &Series,
    catalogue: &Catalogue,
    engine: &Engine,
    others: &[Incident],
) -> Vec<Incident> {
    let Some((first_day, _)) = series.bounds() else { return Vec::new() };
    let mut found: BTreeMap<(String, i32), Incident> = BTreeMap::new();
    let known = rule.signal == Signal::KnownCode;
    for (template, day, seen) in series.first_seen(if known { BACK } else { i32::MAX }) {
        if day - first_day < NEW_AFTER {
            continue;
        }
        let next = series.seen(day + 1, template).map_or(&[][..], |seen| &seen.times);
        let times: Vec<Micros> = seen.times.iter().chain(next).copied().collect();
        let Some((opened_at, last, n)) = busiest_hour(&times) else { continue };
        let provider = engine.word(seen.provider).as_ref().to_owned();
        let limits = rule.thresholds_of(&[(Field::Provider, &provider)]);
        #[expect(clippy::cast_precision_loss, reason = "at most some thousand")]
        let Some(severity) = limits.severity(n as f64, false).filter(|_| n >= limits.min_hits) else { continue };
        let reply = engine.word(template);
        let verdict = catalogue.classify(&provider, &reply, None, "");
        if known && !verdict.class.is_some_and(is_about_us) {
            continue;
        }
        let class = verdict.class.map_or_else(String::new, |class| class.as_str().to_owned());
        let is_theirs = |other: &&Incident| {
            let until = other.closed_at.unwrap_or(i64::MAX).saturating_add(6 * HOUR);
            let same = other.scope.get("provider").is_none_or(|known| *known == provider);
            (other.opened_at - 6 * HOUR..until).contains(&opened_at)
                && same
                && other.causes.iter().any(|cause| cause.reply_class == class)
        };
        if others.iter().any(|other| is_theirs(&other)) {
            continue;
        }
        let cause = Cause {
            cause: verdict.meaning.to_owned(),
            reply_class: class.clone(),
            status: crate::event::status::parse_diag(&reply).enhanced.map_or_else(String::new, str::to_owned),
            reply: reply.as_ref().to_owned(),
            blocklist: verdict.blocklist.map(str::to_owned),
            advice: verdict.advice.to_owned(),
            share: 1.0,
            rows: n,
        };
        let scope = if provider.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(Field::Provider.report_name(), provider.clone())])
        };
        let mut incident = Incident {
            id: String::new(),
            rule: rule.id.clone(),
            severity,
            state: State::Open,
            opened_at,
            closed_at: Some(last),
            scope,
            headline: String::new(),
            #[expect(clippy::cast_precision_loss, reason = "at most some thousand")]
            value: n as f64,
            baseline: Some(0.0),
            basis: format!(
                "never in the {} days before",
                if known { BACK.min(day - first_day) } else { day - first_day }
            ),
            hits: n,
            of: n,
            causes: vec![cause],
            evidence: Evidence { rows: n, filters: vec![Filter::include(Field::Reply, pattern(&reply)).to_string()] },
            notes: Vec::new(),
            silenced_until: None,
            reopened: 0,
        };
        incident.headline = headline(rule, &incident);
        incident.id = name(&incident);
        // Several new wordings of one provider at once are one thing.
        match found.entry((provider, day)) {
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let better =
                    (incident.hits, &incident.causes[0].reply) > (known.get().hits, &known.get().causes[0].reply);
                if better {
                    incident.causes.extend(known.get().causes.iter().cloned());
                    known.insert(incident);
                } else {
                    known.get_mut().causes.extend(incident.causes);
                }
            }
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(incident);
            }
        }
    }
    let mut found: Vec<Incident> = found.into_values().collect();
    for incident in &mut found {
        incident.causes.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.reply.cmp(&b.reply)));
    }
    found
}

/// Files that come in no longer, where they came in as they were written.
pub(super) fn silence(rule: &Rule, files: &[FileRow], clock: Micros) -> Option<Incident> {
    const LOOKED_AT: usize = 40;
    let limits = rule.thresholds();
    let mut received: Vec<Micros> = files
        .iter()
        .filter(|file| file.max_time.is_some_and(|newest| (0..2 * HOUR).contains(&(file.received_at - newest))))
        .map(|file| file.received_at)
        .collect();
    received.sort_unstable();
    let recent = received.get(received.len().saturating_sub(LOOKED_AT)..)?;
    let mut gaps: Vec<Micros> =
        recent.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 60_000_000).collect();
    if i64::try_from(gaps.len()).unwrap_or(i64::MAX) < limits.min_of {
        return None;
    }
    gaps.sort_unstable();
    let usual = *gaps.get(gaps.len() / 2)?;
    let last = *recent.last()?;
    let silent = clock - last;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of days")]
    let times = silent as f64 / usual as f64;
    let severity = limits.severity(times, false).filter(|_| silent > HOUR / 2 && silent < 7 * DAY)?;
    let mut incident = Incident {
        id: String::new(),
        rule: rule.id.clone(),
        severity,
        state: State::Open,
        opened_at: last,
        closed_at: None,
        scope: BTreeMap::new(),
        headline: String::new(),
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of days")]
        value: (silent / 1000) as f64,
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of days")]
        baseline: Some((usual / 1000) as f64),
        basis: format!("the last {} files", recent.len()),
        hits: 0,
        of: i64::try_from(recent.len()).unwrap_or(i64::MAX),
        causes: Vec::new(),
        evidence: Evidence::default(),
        notes: Vec::new(),
        silenced_until: None,
        reopened: 0,
    };
    incident.headline = headline(rule, &incident);
    incident.id = name(&incident);
    Some(incident)
}

/// The most sightings within an hour: the first and the last of them, and how many.
fn busiest_hour(times: &[Micros]) -> Option<(Micros, Micros, i64)> {
    let mut best: Option<(Micros, Micros, i64)> = None;
    let mut begin = 0;
    for (end, time) in times.iter().enumerate() {
        while time - times.get(begin)? > HOUR {
            begin += 1;
        }
        let n = i64::try_from(end - begin + 1).unwrap_or(i64::MAX);
        if best.is_none_or(|(_, _, most)| n > most) {
            best = Some((*times.get(begin)?, *time, n));
        }
    }
    best
}

fn pattern(template: &str) -> String {
    crate::query::replies::ReplyGroup { template: template.to_owned(), ..Default::default() }.pattern()
}
