//! Rules at work: each look at the catalog evaluates what has changed since the last, puts verdicts into words, and hands
//! incidents and what is to be told of them to the incidents' database in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::causes;
use super::incident::{Cause, Evidence, Happening, Incident, Note, Severity, State, Step};
use super::judge::{Case, Verdict};
use super::rule::{self, Rule, Thresholds};
use super::series::{Changes, Key, QUARTER, QUARTERS, Series, Slot};
use super::signal::Signal;
use crate::catalog::incidents::{Outgoing, Stored};
use crate::catalog::locks::Lock;
use crate::catalog::{Catalog, Snapshot, control::FileRow};
use crate::config::Config;
use crate::event::Micros;
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::joint::{Cell, FailedRow, Unreached, Wish};
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::time::{DAY, HOUR, TimeRange, span};
use crate::reply::Catalogue;

/// Slow mail and missing mail for so long after an outage or a throttling are its consequences.
const AFTERMATH: i32 = 3 * 4;
/// Trouble so many times as weighty as a later one of the same kind and the same mail explains that.
const ECHO: f64 = 10.0;
/// Days of history without which every reply is new.
const NEW_AFTER: i32 = 7;

/// The fact that says which commit was evaluated last.
const EVALUATED: &str = "evaluated";
/// The fact that says with which rules.
const RULES: &str = "rules";

/// What is told of what happened: made by whoever knows the hooks.
pub type Tell<'a> = &'a dyn Fn(&[Happening]) -> Vec<Outgoing>;

/// Verdicts of one rule by whom they are about.
type Known = HashMap<(Slot, Key), Vec<Verdict>>;

/// Rules and what they have seen.
#[derive(Debug)]
pub struct Watch {
    rules: Vec<Rule>,
    rules_mark: String,
    series: Series,
    /// By rule.
    verdicts: Vec<Known>,
    /// Cells by stretch of quarters, of stretches in which scopes had to be told apart.
    cells: HashMap<(i32, i32), Arc<Vec<Cell>>>,
    /// Failed rows by stretch of quarters.
    failed: HashMap<(i32, i32), Arc<Vec<FailedRow>>>,
    catalogue: Catalogue,
    generation: Option<u64>,
}

/// Stretches whose cells are kept.
const KEPT: usize = 64;

/// What a look found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// All incidents, the newest first.
    pub incidents: Vec<Incident>,
    /// What happened since the last look.
    pub happenings: Vec<Happening>,
}

/// What other thresholds would have found.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Days of history.
    pub days: i32,
    /// What the rule finds as it is.
    pub now: Vec<Incident>,
    /// What it would find.
    pub then: Vec<Incident>,
}

impl Replay {
    /// How often a rule fires, and how often it would.
    pub fn sentence(&self, rule: &str) -> String {
        let times = |n: usize| if n == 1 { "once".to_owned() } else { format!("{n} times") };
        let days = if self.days == 1 { "1 day".to_owned() } else { format!("{} days", self.days) };
        format!(
            "in {days} {rule} fired {}; with these thresholds it would have fired {}",
            times(self.now.len()),
            times(self.then.len()),
        )
    }
}

/// The incidents as they were written down last; none while no rule has looked.
///
/// # Errors
/// When they cannot be read.
pub fn stored(catalog: &Catalog) -> Result<Option<Vec<Incident>>, Failure> {
    let store = catalog.incidents().map_err(Failure::from_catalog)?;
    let evaluated = store.fact(EVALUATED).map_err(Failure::from_catalog)?;
    let all = store.all().map_err(Failure::from_catalog)?;
    Ok(evaluated.map(|_| all.iter().filter_map(incident_of).collect()))
}

impl Watch {
    /// The rules of the program with the settings' thresholds.
    ///
    /// # Errors
    /// When the settings name rules or fields that there are not.
    pub fn new(config: &Config, catalogue: Catalogue) -> Result<Self, rule::Error> {
        let rules = Rule::all(&config.rules)?;
        let text = format!("{} {rules:?} {:?}", env!("CARGO_PKG_VERSION"), config.replies);
        let mark = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        Ok(Self::with(rules, mark, catalogue))
    }

    fn with(rules: Vec<Rule>, rules_mark: String, catalogue: Catalogue) -> Self {
        let series = Series::new(&rules);
        let verdicts = rules.iter().map(|_| Known::new()).collect();
        Self {
            rules,
            rules_mark,
            series,
            verdicts,
            cells: HashMap::new(),
            failed: HashMap::new(),
            catalogue,
            generation: None,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Looks at the catalog, and writes down what was found. Nothing is done while nothing has changed.
    ///
    /// # Errors
    /// When the catalog or its incidents cannot be read or written.
    pub fn look(&mut self, engine: &Engine, tell: Tell<'_>) -> Result<Found, Failure> {
        let snapshot = engine.snapshot()?;
        let store = engine.catalog().incidents().map_err(Failure::from_catalog)?;
        // Two that evaluate at once would tell of the same thing twice.
        let _alone = Lock::wait(&engine.catalog().layout().lock("rules")).ok();
        let fact = |name: &str| store.fact(name).map_err(Failure::from_catalog);
        let clock = crate::catalog::clock();
        let mark = format!("{} {}", snapshot.generation, self.rules_mark);
        let stored = store.all().map_err(Failure::from_catalog)?;
        let before: Vec<Incident> = stored.iter().filter_map(incident_of).collect();
        if fact(EVALUATED)?.as_deref() == Some(mark.as_str()) && !self.may_change(&before) {
            return Ok(Found { incidents: before, happenings: Vec::new() });
        }
        let found = self.evaluate(engine, &snapshot, clock)?;
        let (incidents, happenings) = reconcile(&before, found, clock);
        let rows: Vec<Stored> = incidents.iter().map(stored_of).collect();
        // Rules that look by the clock alone find nothing new nearly every time: then nothing is written.
        let is_known = rows.len() == stored.len() && rows.iter().zip(&stored).all(|(row, old)| row.body == old.body);
        if is_known && happenings.is_empty() && fact(EVALUATED)?.as_deref() == Some(mark.as_str()) {
            return Ok(Found { incidents: before, happenings });
        }
        let facts = [(EVALUATED, mark), (RULES, self.rules_mark.clone())];
        store.replace(&rows, &tell(&happenings), &facts).map_err(Failure::from_catalog)?;
        let after = store.all().map_err(Failure::from_catalog)?;
        Ok(Found { incidents: after.iter().filter_map(incident_of).collect(), happenings })
    }

    /// What a rule finds in all history as it is, and what it would find with other thresholds. Nothing is written.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn replay(&mut self, engine: &Engine, rule: &str, thresholds: Thresholds) -> Result<Replay, Failure> {
        let snapshot = engine.snapshot()?;
        let clock = crate::catalog::clock();
        let of_rule = |incidents: Vec<Incident>| -> Vec<Incident> {
            incidents.into_iter().filter(|incident| incident.rule == rule).collect()
        };
        let now = of_rule(self.evaluate(engine, &snapshot, clock)?);
        let rules: Vec<Rule> = self
            .rules
            .iter()
            .map(|known| if known.id == rule { known.tuned(thresholds) } else { known.clone() })
            .collect();
        // The counts are the same whatever the thresholds.
        let mut other = Self::with(rules, String::new(), Catalogue::builtin());
        std::mem::swap(&mut other.series, &mut self.series);
        let then = other.evaluate(engine, &snapshot, clock).map(of_rule);
        std::mem::swap(&mut other.series, &mut self.series);
        let days = self.series.bounds().map_or(0, |(first, last)| last - first + 1);
        Ok(Replay { days, now, then: then? })
    }

    /// Whether time alone may change something: an incident that goes on may end by silence.
    fn may_change(&self, known: &[Incident]) -> bool {
        known.iter().any(|incident| incident.closed_at.is_none())
            || self.rules.iter().any(|rule| rule.signal == Signal::Files)
    }

    /// Every incident there is, without what people did.
    fn evaluate(&mut self, engine: &Engine, snapshot: &Snapshot, clock: Micros) -> Result<Vec<Incident>, Failure> {
        let now = engine.now(snapshot)?.unwrap_or(clock);
        let until = i32::try_from(now.div_euclid(QUARTER)).unwrap_or(i32::MAX);
        let changes = self.series.look(engine, snapshot)?;
        let overlaps = |(first, last): &(i32, i32)| {
            changes.days.iter().any(|day| *first <= (day + 1) * QUARTERS && day * QUARTERS <= *last)
        };
        self.cells.retain(|stretch, _| !overlaps(stretch));
        self.failed.retain(|stretch, _| !overlaps(stretch));
        self.judge(engine, &changes, until);
        self.generation = Some(snapshot.generation);
        let mut kept: Vec<(usize, Verdict)> = Vec::new();
        for index in 0..self.rules.len() {
            kept.extend(self.best(engine, snapshot, index, until)?.into_iter().map(|verdict| (index, verdict)));
        }
        let kept = without_consequences(kept, &self.rules);
        let mut incidents = Vec::new();
        for (index, verdict) in &kept {
            incidents.push(self.worded(engine, snapshot, *index, verdict, now)?);
        }
        incidents.extend(self.new_replies(engine, &incidents));
        let files = engine.catalog().files().map_err(Failure::from_catalog)?;
        incidents.extend(self.silence(&files, clock));
        incidents.sort_by(|a, b| b.opened_at.cmp(&a.opened_at).then_with(|| a.id.cmp(&b.id)));
        Ok(incidents)
    }

    /// Asks the rules about whoever changed.
    fn judge(&mut self, engine: &Engine, changes: &Changes, until: i32) {
        let Some((first_day, last_day)) = self.series.bounds() else {
            self.verdicts.iter_mut().for_each(Known::clear);
            return;
        };
        // A day that others are measured by, or a catalog that is measured by itself: everybody is asked again.
        let everybody = self.generation.is_none()
            || changes.days.iter().any(|day| *day < last_day)
            || (!changes.days.is_empty() && last_day - first_day < NEW_AFTER);
        let words = |word: u32| engine.word(word);
        for (rule, known) in self.rules.iter().zip(&mut self.verdicts) {
            let case = Case::new(rule, &self.series, &words, until);
            let volume = rule.signal == Signal::Volume;
            for fields in rule.fields() {
                let slot = Slot { signal: rule.signal, fields };
                let keys: Vec<Key> = if everybody || volume {
                    self.series.keys(&slot).into_iter().collect()
                } else {
                    let going_on = known
                        .iter()
                        .filter(|((known, _), verdicts)| {
                            *known == slot && verdicts.iter().any(|verdict| verdict.segment.ongoing)
                        })
                        .map(|((_, key), _)| *key);
                    let changed = changes.keys.iter().filter(|(changed, _)| *changed == slot).map(|(_, key)| *key);
                    going_on.chain(changed).collect()
                };
                if everybody {
                    known.retain(|(known, _), _| *known != slot);
                }
                for key in keys {
                    let verdicts = case.of(&slot, key);
                    if verdicts.is_empty() {
                        known.remove(&(slot.clone(), key));
                    } else {
                        known.insert((slot.clone(), key), verdicts);
                    }
                }
            }
        }
    }

    /// The verdicts of a rule that say best what happened.
    fn best(
        &mut self,
        engine: &Engine,
        snapshot: &Snapshot,
        index: usize,
        until: i32,
    ) -> Result<Vec<Verdict>, Failure> {
        let all: Vec<Verdict> = self.verdicts[index].values().flatten().cloned().collect();
        let words = |word: u32| engine.word(word);
        let case = Case::new(&self.rules[index], &self.series, &words, until);
        let kept_cells = &mut self.cells;
        let mut cells = |first: i32, last: i32| -> Result<Vec<Cell>, Failure> {
            if let Some(known) = kept_cells.get(&(first, last)) {
                return Ok(known.as_ref().clone());
            }
            let range = stretch(engine, snapshot, first, last)?;
            let found =
                engine.joint(snapshot, &range, Wish { dimensions: u8::MAX, quarters: true, latency: false })?.cells;
            if kept_cells.len() >= KEPT {
                kept_cells.clear();
            }
            kept_cells.insert((first, last), Arc::new(found.clone()));
            Ok(found)
        };
        let best = case.best(all, &mut cells)?;
        Ok(merged(best, &self.rules[index]))
    }

    fn failed(
        &mut self,
        engine: &Engine,
        snapshot: &Snapshot,
        first: i32,
        last: i32,
    ) -> Result<Arc<Vec<FailedRow>>, Failure> {
        if let Some(known) = self.failed.get(&(first, last)) {
            return Ok(Arc::clone(known));
        }
        let rows = Arc::new(engine.failed_rows(snapshot, &stretch(engine, snapshot, first, last)?)?);
        if self.failed.len() >= KEPT {
            self.failed.clear();
        }
        self.failed.insert((first, last), Arc::clone(&rows));
        Ok(rows)
    }

    /// A verdict in words.
    fn worded(
        &mut self,
        engine: &Engine,
        snapshot: &Snapshot,
        index: usize,
        verdict: &Verdict,
        now: Micros,
    ) -> Result<Incident, Failure> {
        let segment = verdict.segment;
        let edge = i32::try_from(causes::EDGE).unwrap_or_default();
        let failed = self.failed(engine, snapshot, segment.first - edge, segment.last + edge)?;
        let rule = &self.rules[index];
        let words = |word: u32| engine.word(word);
        let mut rows = causes::rows_of(verdict, &failed);
        let mut destination = None;
        if rule.signal == Signal::Connection
            && rows.len() * 2 < usize::try_from(whole(segment.hits)).unwrap_or(usize::MAX)
        {
            // Whoever was not reached said nothing.
            let found = silent(engine, snapshot, verdict, (segment.first - edge, segment.last + edge))?;
            (rows, destination) = (found.rows, found.destination);
        }
        let (opened_at, ended) = causes::bounds(verdict, rule, &rows);
        let inside: Vec<FailedRow> = rows.into_iter().filter(|row| (opened_at..=ended).contains(&row.time)).collect();
        let causes = match rule.signal {
            Signal::Latency | Signal::Volume => vec![plain(rule, verdict)],
            _ if inside.is_empty() => vec![plain(rule, verdict)],
            _ => causes::causes(&inside, &words, &self.catalogue),
        };
        let mut scope: BTreeMap<String, String> =
            verdict.who().map(|(field, word)| (field.report_name(), engine.word(word).as_ref().to_owned())).collect();
        // Errors of queues name no recipient, so the destination is told by the queue.
        if let Some(domain) = destination.filter(|_| !scope.contains_key("domain")) {
            scope.insert(Field::Queue.report_name(), format!("{domain}/*"));
        }
        let quiet = Micros::from(rule.quiet_minutes) * 60_000_000;
        let goes_on = segment.ongoing && now - ended <= quiet;
        let classes: Vec<String> = causes.iter().map(|cause| cause.reply_class.clone()).collect();
        let mut incident = Incident {
            id: String::new(),
            rule: rule.id.clone(),
            severity: verdict.severity,
            state: State::Open,
            opened_at,
            closed_at: (!goes_on).then_some(ended),
            scope,
            headline: String::new(),
            value: rounded(verdict.value),
            baseline: Some(rounded(verdict.usual)),
            basis: verdict.basis.to_string(),
            hits: whole(segment.hits),
            of: whole(segment.of),
            evidence: Evidence {
                rows: if inside.is_empty() {
                    whole(segment.hits)
                } else {
                    i64::try_from(inside.len()).unwrap_or(i64::MAX)
                },
                filters: rule.signal.filters(&classes),
            },
            causes,
            notes: Vec::new(),
            silenced_until: None,
        };
        incident.headline = headline(rule, &incident);
        incident.id = name(&incident);
        Ok(incident)
    }

    /// Replies that were never seen before, and more than a few times; those of other incidents are theirs.
    fn new_replies(&self, engine: &Engine, others: &[Incident]) -> Vec<Incident> {
        let (Some(rule), Some((first_day, _))) =
            (self.rules.iter().find(|rule| rule.signal == Signal::NewReply), self.series.bounds())
        else {
            return Vec::new();
        };
        let mut found: BTreeMap<(String, i32), Incident> = BTreeMap::new();
        for (template, (day, seen)) in self.series.first_seen() {
            if day - first_day < NEW_AFTER {
                continue;
            }
            let next = self.series.seen(day + 1, template).map_or(&[][..], |seen| &seen.times);
            let times: Vec<Micros> = seen.times.iter().chain(next).copied().collect();
            let Some((opened_at, last, n)) = busiest_hour(&times) else { continue };
            let provider = engine.word(seen.provider).as_ref().to_owned();
            let limits = rule.thresholds_of(&[(Field::Provider, &provider)]);
            #[expect(clippy::cast_precision_loss, reason = "at most some thousand")]
            let Some(severity) = limits.severity(n as f64, false) else { continue };
            let reply = engine.word(template);
            let verdict = self.catalogue.classify(&provider, &reply, None, "");
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
                example: String::new(),
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
                basis: format!("never in the {} days before", day - first_day),
                hits: n,
                of: n,
                causes: vec![cause],
                evidence: Evidence {
                    rows: n,
                    filters: vec![Filter::include(Field::Reply, pattern(&reply)).to_string()],
                },
                notes: Vec::new(),
                silenced_until: None,
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
        found.into_values().collect()
    }

    /// Files that come in no longer, where they came in as they were written.
    fn silence(&self, files: &[FileRow], clock: Micros) -> Option<Incident> {
        const LOOKED_AT: usize = 40;
        let rule = self.rules.iter().find(|rule| rule.signal == Signal::Files)?;
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
        };
        incident.headline = headline(rule, &incident);
        incident.id = name(&incident);
        Some(incident)
    }
}

fn stretch(
    engine: &Engine,
    snapshot: &Snapshot,
    first: i32,
    last: i32,
) -> Result<crate::query::raw::Resolved, Failure> {
    let at = |quarter: i32| Some(Micros::from(quarter) * QUARTER);
    let scope = Scope::new(TimeRange::Between(at(first), at(last + 1)), []);
    engine.resolve(snapshot, &scope, None)
}

/// The rows of a verdict that got no reply, one by one.
fn silent(
    engine: &Engine,
    snapshot: &Snapshot,
    verdict: &Verdict,
    (first, last): (i32, i32),
) -> Result<Unreached, Failure> {
    let at = |quarter: i32| Some(Micros::from(quarter) * QUARTER);
    let filters = verdict.who().map(|(field, word)| Filter::include(field, engine.word(word).as_ref()));
    let scope = Scope::new(TimeRange::Between(at(first), at(last + 1)), filters);
    let resolved = engine.resolve(snapshot, &scope, None)?;
    engine.unreached(snapshot, &resolved)
}

/// Stretches of the same trouble that are close to each other, as one.
fn merged(mut verdicts: Vec<Verdict>, rule: &Rule) -> Vec<Verdict> {
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
                known.segment = super::segment::Segment {
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
fn without_consequences(verdicts: Vec<(usize, Verdict)>, rules: &[Rule]) -> Vec<(usize, Verdict)> {
    let signal = |index: usize| rules.get(index).map(|rule| rule.signal);
    let explains = |index: usize| {
        matches!(signal(index), Some(Signal::Deferral | Signal::Connection | Signal::Block | Signal::Auth))
    };
    let causes: Vec<Verdict> =
        verdicts.iter().filter(|(index, _)| explains(*index)).map(|(_, verdict)| verdict.clone()).collect();
    verdicts
        .into_iter()
        .filter(|(index, verdict)| {
            let may_follow = matches!(signal(*index), Some(Signal::Latency | Signal::Volume));
            let follows = |cause: &Verdict| {
                cause.meets(verdict)
                    && cause.segment.first - 2 <= verdict.segment.last
                    && verdict.segment.first <= cause.segment.last + AFTERMATH
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

/// A cause that no reply tells.
fn plain(rule: &Rule, verdict: &Verdict) -> Cause {
    let words = match rule.signal {
        Signal::Latency => "Deliveries take longer than usual, and no reply says why.",
        Signal::Volume => "Less mail than usual was handed to PowerMTA.",
        Signal::Complaint => "Recipients reported this mail as spam.",
        Signal::RemoteBounce => "Mail was accepted and bounced later.",
        _ => "The attempts got no reply.",
    };
    Cause {
        cause: words.to_owned(),
        reply_class: String::new(),
        status: String::new(),
        reply: String::new(),
        example: String::new(),
        blocklist: None,
        advice: rule.advice.clone(),
        share: 1.0,
        rows: whole(verdict.segment.hits),
    }
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

/// What happened between two states of all incidents. An incident is the same as one that was known when rule and scope
/// are the same and their times overlap; it keeps its name.
fn reconcile(before: &[Incident], mut after: Vec<Incident>, clock: Micros) -> (Vec<Incident>, Vec<Happening>) {
    let mut happenings = Vec::new();
    let mut seen = hashbrown::HashSet::new();
    let end = |incident: &Incident| incident.closed_at.unwrap_or(i64::MAX);
    for incident in &mut after {
        let same = before.iter().find(|old| {
            old.rule == incident.rule
                && old.scope == incident.scope
                && old.opened_at <= end(incident)
                && incident.opened_at <= end(old)
                && !seen.contains(&old.id)
        });
        let Some(old) = same else {
            happenings.push(Happening::new(Step::Opened, incident));
            if incident.closed_at.is_some() {
                happenings.push(Happening::new(Step::Resolved, incident));
            }
            continue;
        };
        seen.insert(old.id.clone());
        incident.id.clone_from(&old.id);
        incident.notes.clone_from(&old.notes);
        (incident.state, incident.silenced_until) = (old.state, old.silenced_until);
        if incident.severity > old.severity {
            happenings.push(Happening::new(Step::Escalated, incident));
        }
        if old.closed_at.is_none() && incident.closed_at.is_some() {
            happenings.push(Happening::new(Step::Resolved, incident));
        }
    }
    for old in before.iter().filter(|old| !seen.contains(&old.id) && old.closed_at.is_none()) {
        // Later files tell otherwise: whoever was told of it is told that it is over.
        let gone = Incident { closed_at: Some(clock), ..old.clone() };
        happenings.push(Happening::new(Step::Resolved, &gone));
    }
    (after, happenings)
}

fn name(incident: &Incident) -> String {
    let text = format!("{}\n{:?}\n{}", incident.rule, incident.scope, incident.opened_at);
    format!("{:010x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()) & 0xff_ffff_ffff)
}

fn headline(rule: &Rule, incident: &Incident) -> String {
    let percent = |share: f64| {
        let digits = if share < 0.01 { 2 } else { 1 };
        format!("{:.digits$} %", share * 100.0)
    };
    let whom = if incident.scope.is_empty() {
        "all mail".to_owned()
    } else {
        incident.scope.values().map(String::as_str).collect::<Vec<_>>().join(" · ")
    };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of days")]
    let lasted = |ms: f64| span((ms * 1000.0) as i64);
    let (value, base) = match rule.signal {
        Signal::Latency | Signal::Files => (lasted(incident.value), lasted(incident.baseline.unwrap_or_default())),
        _ => (percent(incident.value), percent(incident.baseline.unwrap_or_default())),
    };
    rule.headline
        .replace("{scope}", &whom)
        .replace("{rate}", &percent(incident.value))
        .replace("{value}", &value)
        .replace("{base}", &base)
        .replace("{hits}", &incident.hits.to_string())
        .replace("{of}", &incident.of.to_string())
}

fn stored_of(incident: &Incident) -> Stored {
    let bare = Incident { state: State::Open, notes: Vec::new(), silenced_until: None, ..incident.clone() };
    Stored {
        id: incident.id.clone(),
        rule: incident.rule.clone(),
        opened_at: incident.opened_at,
        closed_at: incident.closed_at,
        body: serde_json::to_string(&bare).unwrap_or_default(),
        acknowledged_at: None,
        silenced_until: None,
        notes: Vec::new(),
    }
}

/// An incident with what people did about it; none where another pmtop wrote something else.
pub fn incident_of(stored: &Stored) -> Option<Incident> {
    let mut incident: Incident = serde_json::from_str(&stored.body).ok()?;
    let clock = crate::catalog::clock();
    incident.silenced_until = stored.silenced_until;
    incident.state = State::ALL.into_iter().find(|state| state.as_str() == stored.state(clock)).unwrap_or(State::Open);
    incident.notes = stored.notes.iter().map(|(at, text)| Note { at: *at, text: text.clone() }).collect();
    Some(incident)
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "counts stay below 2^52")]
fn whole(count: f64) -> i64 {
    count.round() as i64
}

/// The worst severity of incidents that go on.
pub fn worst(incidents: &[Incident]) -> Option<Severity> {
    incidents.iter().filter(|incident| incident.state == State::Open).map(|incident| incident.severity).max()
}
