//! Empties the outbox: one thread a hook, so that one that stalls holds up no other; one process at a time.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::{Try, command, webhook};
use crate::catalog::incidents::Incidents;
use crate::catalog::locks::Lock;
use crate::catalog::outbox::{DELIVERED, Entry, GIVEN_UP};
use crate::catalog::{self, Catalog, clock};
use crate::config::hooks::{Hook, seconds};
use crate::event::Micros;

/// The lock of whoever sends.
const LOCK: &str = "hooks";
/// How often an outbox is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often sending is tried to be taken over, or the database to be opened.
const TRY: Duration = Duration::from_secs(2);
/// How often a waiting thread looks whether it shall stop.
const NAP: Duration = Duration::from_millis(50);
/// How long a stop waits for a post that is under way. It is sent again by the next process, under the same id.
const GRACE: Duration = Duration::from_secs(1);

/// Sends what is in the outbox for as long as it lives.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Starts sending once `owns` is set and no other process sends. Without hooks nothing is started.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(catalog: Arc<Catalog>, hooks: Vec<Hook>, owns: Arc<AtomicBool>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        if hooks.is_empty() {
            return Ok(Self { stop, thread: None });
        }
        let office = Office { catalog, hooks, owns, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("hooks".to_owned()).spawn(move || office.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Waits until this process may send, and starts a worker for each hook.
struct Office {
    catalog: Arc<Catalog>,
    hooks: Vec<Hook>,
    owns: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Office {
    fn run(&self) {
        let mut workers = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if workers.is_empty()
                && self.owns.load(Ordering::Relaxed)
                && let Ok(Some(lock)) = Lock::attempt(&self.catalog.layout().lock(LOCK))
                && let Ok(incidents) = self.catalog.incidents()
            {
                workers = self.workers(Arc::new(lock), &incidents);
            }
            let wait = if self.owns.load(Ordering::Relaxed) { TRY } else { LOOK };
            nap(wait, &self.stop);
        }
        let until = Instant::now() + GRACE;
        while workers.iter().any(|worker| !worker.is_finished()) && Instant::now() < until {
            std::thread::sleep(NAP);
        }
    }

    fn workers(&self, lock: Arc<Lock>, incidents: &Arc<Incidents>) -> Vec<JoinHandle<()>> {
        let start = |hook: &Hook| {
            let worker = Worker {
                hook: hook.clone(),
                incidents: Arc::clone(incidents),
                stop: Arc::clone(&self.stop),
                failures: 0,
                _lock: Arc::clone(&lock),
            };
            std::thread::Builder::new().name(format!("hook {}", hook.name)).spawn(move || worker.run()).ok()
        };
        self.hooks.iter().filter_map(start).collect()
    }
}

fn nap(span: Duration, stop: &AtomicBool) {
    let until = Instant::now() + span;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP.min(until.saturating_duration_since(Instant::now())));
    }
}

/// Sends to one hook, one thing after the other.
struct Worker {
    hook: Hook,
    incidents: Arc<Incidents>,
    stop: Arc<AtomicBool>,
    /// Tries in a row that failed.
    failures: u32,
    /// Held until the last worker is done, also with what outlives the stop.
    _lock: Arc<Lock>,
}

impl Worker {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let pause = match self.round() {
                Ok(Some(pause)) => pause,
                Ok(None) => LOOK,
                // What cannot be written down must not be sent again and again meanwhile.
                Err(_) => {
                    self.failures = self.failures.saturating_add(1);
                    backoff(&self.hook, self.failures).max(LOOK)
                }
            };
            nap(pause, &self.stop);
        }
    }

    /// Sends what is due, past single failures: a receiver that fails three times in a row is down.
    fn once(&mut self) -> catalog::Result<()> {
        while self.round()?.is_some() && self.failures < 3 {}
        Ok(())
    }

    /// Sends what is due until nothing is or something fails; then how long this hook is left alone.
    fn round(&mut self) -> catalog::Result<Option<Duration>> {
        loop {
            let due = due(&self.incidents.waiting(&self.hook.name)?, clock());
            if due.is_empty() {
                return Ok(None);
            }
            for entry in due {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                if let Some(pause) = self.send(&entry)? {
                    return Ok(Some(pause));
                }
            }
        }
    }

    /// Sends one thing and writes down how that ended; how long to wait, if it failed.
    fn send(&mut self, entry: &Entry) -> catalog::Result<Option<Duration>> {
        let (id, hook) = (entry.event_id.as_str(), self.hook.name.as_str());
        let body = self.incidents.body(id, hook)?.unwrap_or_default();
        let tried = try_once(&self.hook, id, &body, &self.stop);
        let now = clock();
        match tried {
            Try::Told(_) => {
                self.failures = 0;
                self.incidents.finish(id, hook, DELIVERED, now, None)?;
                Ok(None)
            }
            // The receiver is there and does not want this one; the next may be fine.
            Try::Never(why) => self.incidents.finish(id, hook, GIVEN_UP, now, Some(&why)).map(|()| None),
            Try::Again(..) if self.stop.load(Ordering::Relaxed) => Ok(None),
            Try::Again(why, least) => {
                self.failures = self.failures.saturating_add(1);
                let attempts = entry.attempts.saturating_add(1);
                if is_last(&self.hook, entry.created_at, attempts, now) {
                    self.incidents.finish(id, hook, GIVEN_UP, now, Some(&why))?;
                } else {
                    let most = seconds(self.hook.retry_most_seconds);
                    let wait = backoff(&self.hook, attempts).max(least.unwrap_or_default().min(most));
                    self.incidents.again(id, hook, now.saturating_add(micros(wait)), &why)?;
                }
                // Not each of many that wait is tried against a receiver that is down.
                Ok(Some(backoff(&self.hook, self.failures)))
            }
        }
    }
}

/// What may be sent now: the first of each incident that is due. What follows on it waits, so that nobody hears of an end
/// before the beginning.
fn due(waiting: &[Entry], now: Micros) -> Vec<Entry> {
    let mut held: HashSet<&str> = HashSet::new();
    let mut due = Vec::new();
    for entry in waiting {
        let first = held.insert(incident_of(&entry.event_id));
        if first && entry.next_at <= now {
            due.push(entry.clone());
        }
    }
    due
}

/// The incident that an event id is about.
fn incident_of(event_id: &str) -> &str {
    let plain = event_id.strip_suffix(".opened").or_else(|| event_id.strip_suffix(".resolved"));
    plain.unwrap_or_else(|| event_id.rsplit_once(".escalated.").map_or(event_id, |(incident, _)| incident))
}

/// How long after so many failures the next try is.
fn backoff(hook: &Hook, failures: u32) -> Duration {
    let doubled = 2f64.powi(i32::try_from(failures.saturating_sub(1).min(40)).unwrap_or(40));
    seconds((hook.retry_seconds * doubled).min(hook.retry_most_seconds))
}

fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
}

/// Whether a try that failed was the last.
fn is_last(hook: &Hook, created_at: Micros, attempts: u32, now: Micros) -> bool {
    let patience = micros(seconds(hook.give_up_hours * 3600.0));
    now.saturating_sub(created_at) >= patience || (hook.attempts > 0 && attempts >= hook.attempts)
}

/// One try, nothing written down. `stop` ends a program that is running.
pub fn try_once(hook: &Hook, event_id: &str, body: &str, stop: &AtomicBool) -> Try {
    if hook.command.is_empty() {
        return webhook::post(hook, event_id, body);
    }
    let told: Json = serde_json::from_str(body).unwrap_or_default();
    let incident = told.get("incident");
    let severity = incident.and_then(|incident| incident.get("severity")).or_else(|| told.get("severity"));
    let word = |value: Option<&Json>| plain_word(value.and_then(Json::as_str).unwrap_or_default());
    let variables = [
        ("PMTOP_EVENT_ID", event_id.to_owned()),
        ("PMTOP_STEP", word(told.get("step"))),
        ("PMTOP_RULE", word(incident.and_then(|incident| incident.get("rule")))),
        ("PMTOP_SEVERITY", word(severity)),
    ];
    command::run(&hook.command, &variables, body, seconds(hook.timeout_seconds), stop)
}

/// A word of a closed vocabulary; empty if it is anything else.
fn plain_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if word.len() <= 64 && word.chars().all(plain) { word.to_owned() } else { String::new() }
}

/// Sends what is due now, once, all hooks beside each other; false if another process sends.
///
/// # Errors
/// When the catalog cannot be written to.
pub fn run_due(catalog: &Catalog, hooks: &[Hook], stop: &Arc<AtomicBool>) -> catalog::Result<bool> {
    let Some(lock) = Lock::attempt(&catalog.layout().lock(LOCK))? else { return Ok(false) };
    let lock = Arc::new(lock);
    let incidents = catalog.incidents()?;
    std::thread::scope(|scope| {
        let running: Vec<_> = hooks
            .iter()
            .map(|hook| {
                let mut worker = Worker {
                    hook: hook.clone(),
                    incidents: Arc::clone(&incidents),
                    stop: Arc::clone(stop),
                    failures: 0,
                    _lock: Arc::clone(&lock),
                };
                scope.spawn(move || worker.once())
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect::<catalog::Result<()>>()
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event_id: &str, next_at: Micros) -> Entry {
        Entry {
            event_id: event_id.to_owned(),
            hook: "h".to_owned(),
            created_at: 0,
            attempts: 0,
            next_at,
            outcome: None,
            finished_at: None,
            error: None,
        }
    }

    #[test]
    fn what_follows_waits_for_what_was_before() {
        let waiting = [
            entry("a.opened", 50),
            entry("b.opened", 5),
            entry("a.escalated.high", 5),
            entry("b.resolved", 5),
            entry("a.resolved", 5),
            entry("more-1.opened", 5),
        ];
        let ids = |now| -> Vec<String> { due(&waiting, now).into_iter().map(|entry| entry.event_id).collect() };
        assert_eq!(ids(10), ["b.opened", "more-1.opened"]);
        assert_eq!(ids(60), ["a.opened", "b.opened", "more-1.opened"]);
        assert_eq!(incident_of("x.escalated.critical"), "x");
        assert_eq!(incident_of("x.y.opened"), "x.y");
    }

    #[test]
    fn waits_double_up_to_the_most_and_end_after_a_day() {
        let hook = Hook::default();
        let waits: Vec<u64> = [1, 2, 3, 10, 11, 500].map(|failures| backoff(&hook, failures).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 512, 600, 600]);
        let hour = 3_600_000_000;
        assert!(!is_last(&hook, 0, 900, 24 * hour - 1));
        assert!(is_last(&hook, 0, 1, 24 * hour));
        assert!(is_last(&Hook { attempts: 3, ..Hook::default() }, 0, 3, 1));
    }

    #[test]
    fn variables_hold_words_and_nothing_else() {
        assert_eq!(plain_word("provider-throttling"), "provider-throttling");
        assert_eq!(plain_word("a; rm -rf /"), "");
    }
}
