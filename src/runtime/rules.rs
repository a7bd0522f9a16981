//! Rules at work behind the screen and `pmtop watch`: the catalog's owner evaluates what commits bring; everybody is told
//! what is written down, whoever found it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::app::input::Input;
use crate::catalog::pack;
use crate::config::Config;
use crate::hook;
use crate::ingest::progress::{Progress, Status};
use crate::insight::incident::{Happening, Incident};
use crate::insight::watch::{Watch, stored};
use crate::query::Engine;
use crate::query::question::Failure;

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// How long after a commit rules wait for the next, so that a backlog is evaluated once.
const QUIET: Duration = Duration::from_millis(1500);
/// How long they wait at most: a backlog of hours must not hide what goes on. Not less: what half of the files say of an
/// hour may be wrong, and hooks tell it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Without any commit they look this often: silence is told by the clock alone.
const BY_THE_CLOCK: Duration = Duration::from_secs(300);
/// So many times as long as a look takes they do something else.
const REST: u32 = 4;
/// What is written down is read anew after so long though nobody wrote: a silence may have ended.
const ANEW: Duration = Duration::from_secs(30);

/// Evaluates rules and tells of incidents, on a thread of its own.
pub(super) struct Rules {
    pub(super) engine: Arc<Engine>,
    /// What hooks are to be told.
    pub(super) config: Config,
    /// Shared with whoever replays a rule.
    pub(super) watch: Arc<Mutex<Watch>>,
    /// Whether this process is the owner.
    pub(super) owns: Arc<AtomicBool>,
    /// Files that are on their way in.
    pub(super) pending: Arc<Pending>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Files that are on their way in, by their progress.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<HashSet<PathBuf>>);

impl Pending {
    /// A file is further.
    pub(super) fn saw(&self, progress: &Progress) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(progress.status, Status::Queued | Status::Ingesting) {
            files.insert(progress.path.clone());
        } else {
            files.remove(&progress.path);
        }
    }

    fn is_busy(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// When rules looked last, and what they saw.
struct Clock {
    /// The newest commit, and since when it is.
    commit: Option<u64>,
    quiet_since: Instant,
    /// Since when a commit waits to be looked at.
    waiting_since: Option<Instant>,
    looked_at: Instant,
    cost: Duration,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Self { commit: None, quiet_since: now, waiting_since: None, looked_at: now, cost: Duration::ZERO }
    }

    /// The catalog's newest commit is this one.
    fn saw(&mut self, commit: Option<u64>, now: Instant) {
        if commit != self.commit {
            (self.commit, self.quiet_since) = (commit, now);
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Whether it is time to look.
    fn is_due(&self, now: Instant, busy: bool) -> bool {
        if self.commit.is_none_or(|commit| commit == 0) || now - self.looked_at < self.cost * REST {
            return false;
        }
        match self.waiting_since {
            Some(since) => (now - self.quiet_since >= QUIET && !busy) || now - since >= PATIENCE,
            None => now - self.looked_at >= BY_THE_CLOCK,
        }
    }

    /// A look began then and ended now.
    fn looked(&mut self, began: Instant, now: Instant) {
        (self.looked_at, self.cost, self.waiting_since) = (now, now - began, None);
    }
}

impl Rules {
    /// Works until it is told to stop.
    pub(super) fn run(&self, tell: &dyn Fn(Input)) {
        let mut clock = Clock::new(Instant::now());
        let (mut version, mut read_at) = (None, None::<Instant>);
        let mut shown: Option<(bool, Vec<Incident>)> = None;
        let mut failed: Option<Failure> = None;
        while !self.stop.load(Ordering::Relaxed) {
            clock.saw(self.engine.catalog().control(|control| control.generation()).ok(), Instant::now());
            let mut changed = false;
            if self.owns.load(Ordering::Relaxed) && clock.is_due(Instant::now(), self.pending.is_busy()) {
                let began = Instant::now();
                let looked = self.look();
                clock.looked(began, Instant::now());
                changed = true;
                match looked {
                    Ok(happened) if happened.is_empty() => {}
                    Ok(happened) => tell(Input::Happened(Arc::new(happened))),
                    Err(failure) if failed.as_ref() != Some(&failure) => {
                        failed = Some(failure.clone());
                        tell(Input::Notice(failure));
                    }
                    Err(_) => {}
                }
            }
            let now = self.engine.catalog().incidents().and_then(|store| store.version()).ok();
            let hides = self.engine.masks();
            let turned = shown.as_ref().is_some_and(|(hidden, _)| *hidden != hides);
            if changed || turned || now != version || read_at.is_none_or(|at| at.elapsed() >= ANEW) {
                (version, read_at) = (now, Some(Instant::now()));
                self.show(hides, &mut shown, tell);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Looks at what has changed; what happened.
    fn look(&self) -> Result<Vec<Happening>, Failure> {
        // Rules read sums: where these are missing they would read rows.
        pack::tidy(self.engine.catalog(), 1, &|| self.stop.load(Ordering::Relaxed)).ok();
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(watch.look(&self.engine, &hook::teller(&self.engine, &self.config))?.happenings)
    }

    /// Tells what is written down, if it is something else than what was told last.
    fn show(&self, hides: bool, shown: &mut Option<(bool, Vec<Incident>)>, tell: &dyn Fn(Input)) {
        let Ok(Some(mut incidents)) = stored(self.engine.catalog()) else { return };
        if hides {
            incidents.iter_mut().for_each(|incident| *incident = incident.hidden());
        }
        if shown.as_ref().is_none_or(|(_, known)| *known != incidents) {
            tell(Input::Incidents(Arc::new(incidents.clone())));
        }
        *shown = Some((hides, incidents));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_backlog_is_looked_at_once_it_is_in_and_now_and_then_before() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        clock.saw(Some(0), start);
        assert!(!clock.is_due(start + 600 * SECOND, false), "an empty catalog");
        clock.saw(Some(1), start);
        assert!(!clock.is_due(start + SECOND, false));
        assert!(clock.is_due(start + 2 * SECOND, false));
        assert!(!clock.is_due(start + 2 * SECOND, true), "more is on its way");
        for second in 1..30 {
            clock.saw(Some(1 + u64::from(second)), start + second * SECOND);
            assert!(!clock.is_due(start + second * SECOND, second % 2 == 0), "{second}");
        }
        assert!(clock.is_due(start + 30 * SECOND, true));
    }

    #[test]
    fn what_is_on_its_way_is_known_by_its_progress() {
        let pending = Pending::default();
        let file = |path: &str, status: Status| Progress {
            path: path.into(),
            status,
            bytes: 0,
            total_bytes: 0,
            rows: 0,
            rejected_rows: 0,
            rows_per_second: 0.0,
            error: String::new(),
        };
        for (path, status) in
            [("a", Status::Queued), ("b", Status::Queued), ("a", Status::Ingesting), ("a", Status::Done)]
        {
            pending.saw(&file(path, status));
            assert!(pending.is_busy());
        }
        pending.saw(&file("b", Status::Duplicate));
        assert!(!pending.is_busy());
    }

    #[test]
    fn looks_that_take_long_leave_time_for_others() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        clock.saw(Some(1), start);
        clock.looked(start, start + 3 * SECOND);
        clock.saw(Some(2), start + 4 * SECOND);
        assert!(!clock.is_due(start + 10 * SECOND, false));
        assert!(clock.is_due(start + 15 * SECOND, false));
        clock.looked(start + 15 * SECOND, start + 15 * SECOND);
        assert!(!clock.is_due(start + 310 * SECOND, false));
        assert!(clock.is_due(start + 316 * SECOND, false), "by the clock");
    }
}
