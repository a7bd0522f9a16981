//! Rules at work: each look at the catalog evaluates what has changed since the last, puts verdicts into words, and hands
//! incidents and what is to be told of them to the incidents' database in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::ask::{Lateness, lateness, silent, stretch};
use super::baseline::BACK;
use super::causes;
use super::consequence::{merged, without_consequences};
use super::incident::{Evidence, Happening, Incident, Severity, State};
use super::judge::{Case, Verdict, whole};
use super::reconcile::{incident_of, reconcile, stored_of};
use super::rule::{self, Rule, Thresholds};
use super::series::{self, Changes, Key, QUARTER, QUARTERS, Series, Slot};
use super::sightings::{self, NEW_AFTER};
use super::signal::Signal;
use super::words::{headline, name, plain};
use crate::catalog::incidents::Stored;
use crate::catalog::locks::Lock;
use crate::catalog::outbox::Outgoing;
use crate::catalog::{Catalog, Snapshot};
use crate::config::Config;
use crate::event::provider::OTHER;
use crate::event::{Kind, Micros};
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::joint::{Cell, FailedRow, Wish};
use crate::query::question::Failure;
use crate::reply::Catalogue;

/// The fact that says what was evaluated last: the commit, by which rules, up to which quarter of an hour.
const EVALUATED: &str = "evaluated";
/// The fact that says with which rules.
const RULES: &str = "rules";

/// What is told of what happened: made by whoever knows the hooks.
pub type Tell<'a> = &'a dyn Fn(&[Happening]) -> Vec<Outgoing>;

/// Whom a verdict is about, and when.
type Exactly = (Slot, Key, i32, i32);

fn exactly(verdict: &Verdict) -> Exactly {
    (verdict.slot.clone(), verdict.key, verdict.segment.first, verdict.segment.last)
}

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
    /// Whether what an address of ours did not reach can be reached.
    reaches: HashMap<Exactly, bool>,
    /// What the deliveries of slow mail say.
    late: HashMap<Exactly, Lateness>,
    catalogue: Catalogue,
    generation: Option<u64>,
}

/// Fewer destinations that one of our addresses does not reach say nothing about the address.
const DESTINATIONS: usize = 4;

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
            reaches: HashMap::new(),
            late: HashMap::new(),
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
        let now = engine.now(&snapshot)?.unwrap_or(clock);
        let until = i32::try_from(now.div_euclid(QUARTER)).unwrap_or(i32::MAX);
        let commit = format!("{} {}", snapshot.generation, self.rules_mark);
        let mark = format!("{commit} {until}");
        let evaluated = fact(EVALUATED)?;
        let stored = store.all().map_err(Failure::from_catalog)?;
        let before: Vec<Incident> = stored.iter().filter_map(incident_of).collect();
        // Who has counted nothing yet takes what somebody else has found a moment ago in just these rows.
        let is_fresh = evaluated.as_deref().and_then(|last| last.rsplit_once(' ')).is_some_and(|(last, then)| {
            last == commit && then.parse().is_ok_and(|then: i32| (0..=1).contains(&(until - then)))
        });
        let taken = is_fresh && self.generation.is_none();
        let found = if taken {
            self.by_the_clock(engine, before.clone(), clock)?
        } else {
            self.evaluate(engine, &snapshot, clock)?
        };
        let (incidents, happenings) = reconcile(&before, found, clock);
        let rows: Vec<Stored> = incidents.iter().map(stored_of).collect();
        // Rules that look by the clock alone find nothing new nearly every time: then nothing is written.
        let is_known = rows.len() == stored.len() && rows.iter().zip(&stored).all(|(row, old)| row.body == old.body);
        if is_known && happenings.is_empty() && (taken || evaluated.as_deref() == Some(mark.as_str())) {
            return Ok(Found { incidents: before, happenings });
        }
        let facts =
            [(EVALUATED, if taken { evaluated.unwrap_or_default() } else { mark }), (RULES, self.rules_mark.clone())];
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

    /// Incidents that are known, with what rules say that look at nothing but the clock.
    fn by_the_clock(&self, engine: &Engine, mut known: Vec<Incident>, clock: Micros) -> Result<Vec<Incident>, Failure> {
        for rule in self.rules.iter().filter(|rule| rule.signal == Signal::Files) {
            let files = engine.catalog().files().map_err(Failure::from_catalog)?;
            known.retain(|incident| incident.rule != rule.id);
            known.extend(sightings::silence(rule, &files, clock));
        }
        known.sort_by(newest_first);
        Ok(known)
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
        self.reaches.retain(|(_, _, first, last), _| !overlaps(&(first - QUARTERS, last + QUARTERS)));
        // What is slow is measured by the days before.
        self.late.retain(|(_, _, first, last), _| !overlaps(&(first - (BACK + 1) * QUARTERS, last + QUARTERS)));
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
        for rule in &self.rules {
            match rule.signal {
                Signal::NewReply | Signal::KnownCode => {
                    let found = sightings::new_replies(rule, &self.series, &self.catalogue, engine, &incidents);
                    incidents.extend(found);
                }
                Signal::Files => {
                    let files = engine.catalog().files().map_err(Failure::from_catalog)?;
                    incidents.extend(sightings::silence(rule, &files, clock));
                }
                _ => {}
            }
        }
        incidents.sort_by(newest_first);
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
            let volume = rule.signal.is_of_volume();
            for fields in rule.fields() {
                let slot = Slot { signal: rule.signal.counted_as(), fields };
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
        let all = self.without_dead_ends(engine, snapshot, all)?;
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
        let mut found = merged(case.best(all, &mut cells)?, &self.rules[index]);
        if self.rules[index].signal == Signal::Latency {
            let mut kept = Vec::with_capacity(found.len());
            for verdict in found {
                if !self.is_put_off(engine, snapshot, &verdict)? {
                    kept.push(verdict);
                }
            }
            found = kept;
        }
        Ok(found)
    }

    /// Whether slow mail is mail that was put off; what else its deliveries say is kept for its words.
    fn is_put_off(&mut self, engine: &Engine, snapshot: &Snapshot, verdict: &Verdict) -> Result<bool, Failure> {
        let key = exactly(verdict);
        if let Some(known) = self.late.get(&key) {
            return Ok(known.put_off);
        }
        let late = lateness(engine, snapshot, &self.series, verdict)?;
        self.late.insert(key, late);
        Ok(late.put_off)
    }

    /// Verdicts without those that blame an address or a pool of ours for what no one else reaches either: retries to a few
    /// domains that are gone for good are all that an address does at night.
    fn without_dead_ends(
        &mut self,
        engine: &Engine,
        snapshot: &Snapshot,
        verdicts: Vec<Verdict>,
    ) -> Result<Vec<Verdict>, Failure> {
        let mut kept = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            let ours = verdict.who().all(|(field, _)| matches!(field, Field::SourceIp | Field::Pool | Field::Vmta));
            if verdict.slot.signal != Signal::Connection
                || !ours
                || self.reaches_elsewhere(engine, snapshot, &verdict)?
            {
                kept.push(verdict);
            }
        }
        Ok(kept)
    }

    /// Whether most of what a verdict's scope could not reach, and several of it, can be reached: there were deliveries in
    /// the day around.
    fn reaches_elsewhere(&mut self, engine: &Engine, snapshot: &Snapshot, verdict: &Verdict) -> Result<bool, Failure> {
        let (first, last) = (verdict.segment.first, verdict.segment.last);
        let key = exactly(verdict);
        if let Some(known) = self.reaches.get(&key) {
            return Ok(*known);
        }
        let unreached = silent(engine, snapshot, verdict, (first, last))?;
        let around = stretch(engine, snapshot, first - QUARTERS, last + QUARTERS)?;
        let domain = series::place(Field::Domain).unwrap_or_default();
        let cells =
            engine.joint(snapshot, &around, Wish { dimensions: 1 << domain, quarters: false, latency: false })?.cells;
        let delivered: hashbrown::HashSet<u32> =
            cells.iter().filter(|cell| cell.what.kind == Kind::Delivered).map(|cell| cell.who[domain]).collect();
        // A queue that several domains share has a name of its own; then its provider is known.
        let answers = |domain: &str, provider: &str| {
            !(provider.is_empty() || provider == OTHER)
                || engine.number(domain).is_some_and(|number| delivered.contains(&number))
        };
        let (mut reachable, mut rows) = (0, 0);
        for ((domain, provider), n) in &unreached.destinations {
            if answers(domain, provider) {
                reachable += 1;
                rows += n;
            }
        }
        let reaches = reachable >= DESTINATIONS && rows * 2 >= unreached.rows.len();
        self.reaches.insert(key, reaches);
        Ok(reaches)
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
            destination = found.destination().map(str::to_owned);
            rows = found.rows;
        }
        let (mut opened_at, mut ended) =
            causes::bounds(verdict, rule, &rows, &self.series.counts(&verdict.slot, verdict.key));
        if let Some(late) = self.late.get(&exactly(verdict)) {
            (opened_at, ended) = (late.bounds.0.unwrap_or(opened_at), late.bounds.1.unwrap_or(ended));
        }
        let inside: Vec<FailedRow> = rows.into_iter().filter(|row| (opened_at..=ended).contains(&row.time)).collect();
        let causes = match rule.signal {
            Signal::Latency | Signal::Volume | Signal::Surge => vec![plain(rule, verdict)],
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
            reopened: 0,
        };
        incident.headline = headline(rule, &incident);
        incident.id = name(&incident);
        Ok(incident)
    }
}

fn newest_first(a: &Incident, b: &Incident) -> std::cmp::Ordering {
    b.opened_at.cmp(&a.opened_at).then_with(|| a.id.cmp(&b.id))
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The worst severity of incidents that go on.
pub fn worst(incidents: &[Incident]) -> Option<Severity> {
    incidents.iter().filter(|incident| incident.state == State::Open).map(|incident| incident.severity).max()
}
