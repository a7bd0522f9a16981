//! Does: the only module of the screen with a terminal, a clock and tasks. One loop: wait for whatever
//! happens, take everything that is there, decide, perform, draw once.

mod asks;
pub mod backend;
mod effects;
mod frames;
mod inputs;
pub mod local;
mod rules;
pub mod store;
mod terminal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::app::effect::Effect;
use crate::app::input::Input;
use crate::app::keymap::{self, Keymap};
use crate::app::saved::SavedView;
use crate::app::{Setup, State, update};
use crate::config::Profile;
use crate::config::theme::{Ability, Choice, Depth, Theme};
use crate::ingest::progress::Progress;
use crate::insight::rule::Rule;
use crate::query::question::Compare;
use crate::query::scope::Scope;
use crate::query::time::{DAY, Micros, TimeRange};
use crate::runtime::backend::Backend;
use crate::runtime::effects::{Effects, Order};
use crate::runtime::frames::{Frames, Haste};
use crate::runtime::inputs::{Asked, Commits, Signals};
use crate::runtime::store::Store;
use crate::runtime::terminal::{Screen, is_gone};

/// Between two ticks while a question runs.
const TICK: Duration = Duration::from_millis(100);
/// Between two ticks while only files come in.
const SLOW_TICK: Duration = Duration::from_millis(250);
/// Inputs taken before a frame is drawn all the same.
const AT_ONCE: usize = 10_000;

/// How long leaving waits for the backend to end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why the screen could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `[keys]` table can't be used.
    #[error(transparent)]
    Keys(#[from] keymap::Error),
    /// The terminal can't be used.
    #[error("the terminal can't be used: {0}")]
    Terminal(#[from] std::io::Error),
}

/// What the command line asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// The tab's name.
    pub tab: Option<String>,
    /// What numbers are compared with.
    pub compare: Option<Compare>,
    /// The scope was asked for, too: nothing of the state that the screen was left in comes back.
    pub anew: bool,
}

/// How the screen opens.
#[derive(Debug, Clone)]
pub struct Options {
    /// The host's name, for the header.
    pub host: String,
    /// The folders that are watched.
    pub inboxes: Vec<PathBuf>,
    /// Who watches them, if it is another process.
    pub owner: Option<String>,
    /// The shortest time between two refreshes by commits.
    pub refresh: Duration,
    /// What is asked at first.
    pub scope: Scope,
    /// The tab to open, and the comparison: what the command line asked for.
    pub opening: Opening,
    /// Who looks.
    pub profile: Profile,
    /// The rules that are at work.
    pub rules: Vec<Rule>,
    /// Recipients are hidden at the start.
    pub masked: bool,
    /// Where views, history and the state that the screen was left in are kept; `None`: nowhere.
    pub state: Option<PathBuf>,
    /// Whether the screen opens as it was left.
    pub restores: bool,
    /// The catalog looked at: the state is restored on the same one only.
    pub catalog: String,
    /// Action name → keys, from the configuration.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Colours.
    pub theme: Choice,
    /// How many colours, where the environment says it wrongly.
    pub depth: Option<Depth>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: String::new(),
            inboxes: Vec::new(),
            owner: None,
            refresh: Duration::from_secs(1),
            scope: Scope::new(TimeRange::Last(DAY), []),
            opening: Opening::default(),
            profile: Profile::default(),
            rules: Vec::new(),
            masked: false,
            state: None,
            restores: false,
            catalog: String::new(),
            keys: BTreeMap::new(),
            theme: Choice::default(),
            depth: None,
        }
    }
}

/// Shows the screen until the user leaves. `inputs` brings ingest progress and commits.
///
/// # Errors
/// When the keys of the configuration or the terminal can't be used.
pub async fn run(backend: Arc<dyn Backend>, inputs: UnboundedReceiver<Input>, options: Options) -> Result<(), Error> {
    let mut ability = Ability::detect(|name| std::env::var(name).ok());
    if let Some(depth) = options.depth {
        ability.depth = depth;
    }
    let setup = Setup {
        host: options.host,
        inboxes: options.inboxes,
        owner: options.owner,
        keymap: Keymap::new(&options.keys)?,
        theme: Theme::new(options.theme, ability),
        ability: Some(ability),
        profile: options.profile,
        rules: options.rules,
    };
    let store = Store::new(options.state);
    let mut state = State::new(setup, options.scope);
    state.masked = options.masked;
    state.views = store.views();
    state.sql_history = store.history();
    let left = store.last().filter(|left| options.restores && left.catalog == options.catalog);
    state.open_as(left.as_ref(), options.opening.tab.as_deref(), options.opening.compare, options.opening.anew);
    let last = Arc::clone(&backend);
    let (back, answers) = unbounded_channel();
    let mut screen = Loop {
        state,
        screen: Screen::open()?,
        effects: Effects::new(backend, back, store.clone()),
        frames: Frames::default(),
        commits: Commits::new(options.refresh),
        next_tick: None,
    };
    let ended = screen.run(inputs, answers).await;
    screen.effects.stop();
    let left = screen.state.view("");
    // The terminal is given back before anything that may take its time.
    drop(screen);
    if options.restores {
        store.keep_last(SavedView { catalog: options.catalog, ..left });
    }
    let_go(last).await;
    match ended {
        // There is no one left to tell.
        Err(Error::Terminal(_)) if is_gone() => Ok(()),
        ended => ended,
    }
}

/// Drops the backend on a thread of its own: it may wait for its threads and end a runtime of its own, which
/// must not be done in a task, and leaving does not wait long for it: a file cut off is taken in at the
/// next start.
async fn let_go(backend: Arc<dyn Backend>) {
    // Cancelled tasks hold the backend until they are looked at once more.
    for _ in 0..100 {
        if Arc::strong_count(&backend) == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (gone, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(backend);
        // Nobody waits any more when it took too long.
        gone.send(()).ok();
    });
    tokio::time::timeout(PATIENCE, wait).await.ok();
}

/// All that the loop holds.
struct Loop {
    state: State,
    screen: Screen,
    effects: Effects,
    frames: Frames,
    commits: Commits,
    next_tick: Option<Instant>,
}

impl Loop {
    async fn run(
        &mut self,
        mut inputs: UnboundedReceiver<Input>,
        mut answers: UnboundedReceiver<Input>,
    ) -> Result<(), Error> {
        let mut keys = inputs::keys()?;
        let mut signals = Signals::listen()?;
        let mut inputs_open = true;
        self.frames.want(Instant::now(), Haste::Soon);
        let first = self.state.start();
        self.perform(first)?;
        loop {
            self.draw_if_due()?;
            let wake = self.wake();
            let mut taken = Vec::new();
            tokio::select! {
                biased;
                key = keys.recv() => match key {
                    Some(key) => taken.push(key),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                asked = signals.next() => match asked {
                    Asked::Leave => return Ok(()),
                    Asked::Stop => taken.extend(self.obey(Order::Suspend)?),
                    Asked::GoOn => {
                        self.screen.resume()?;
                        taken.push(Input::Resized);
                    }
                },
                answer = answers.recv() => taken.extend(answer),
                input = inputs.recv(), if inputs_open => match input {
                    Some(input) => taken.push(input),
                    None => inputs_open = false,
                },
                () = sleep_until(wake) => {}
            }
            // Whatever else is there by now belongs to the same frame.
            tokio::task::yield_now().await;
            for channel in [&mut keys, &mut answers, &mut inputs] {
                while let (true, Ok(input)) = (taken.len() < AT_ONCE, channel.try_recv()) {
                    taken.push(input);
                }
            }
            taken.extend(self.timers()?);
            for input in taken {
                if self.take(input)? == Order::Quit {
                    return Ok(());
                }
            }
            self.set_tick();
        }
    }

    /// Decides about one input and performs what follows.
    fn take(&mut self, input: Input) -> Result<Order, Error> {
        let now = Instant::now();
        let input = match input {
            Input::Relinked => {
                self.effects.asks.forget_answers();
                Input::Relinked
            }
            Input::Catalog { generation, now: newest } => {
                self.effects.asks.moved_on(generation);
                match self.commits.take(Input::Catalog { generation, now: newest }, now) {
                    Some(commit) => commit,
                    None => return Ok(Order::GoOn),
                }
            }
            // A file is one file, whether it was queued by its path from here or from the root.
            Input::Ingest(progress) => Input::Ingest(Progress { path: whole(progress.path), ..progress }),
            Input::Answered(ticket, answer) => {
                self.effects.asks.answered(ticket, &answer);
                Input::Answered(ticket, answer)
            }
            input => input,
        };
        self.decide(input)
    }

    fn decide(&mut self, input: Input) -> Result<Order, Error> {
        let haste = match input {
            Input::Ingest(_) => Haste::Progress,
            Input::Key(_) => Haste::Key,
            _ => Haste::Soon,
        };
        let effects = update(&mut self.state, input);
        self.frames.want(Instant::now(), haste);
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<Order, Error> {
        for effect in effects {
            match self.effects.perform(effect) {
                Order::GoOn => {}
                Order::Quit => return Ok(Order::Quit),
                order => {
                    self.obey(order)?;
                }
            }
        }
        Ok(Order::GoOn)
    }

    /// What only the loop can do; the input that follows from it.
    fn obey(&mut self, order: Order) -> Result<Option<Input>, Error> {
        match order {
            Order::Suspend => self.screen.suspend()?,
            Order::Repaint => self.screen.repaint()?,
            Order::Copy(text) => {
                self.screen.copy(&text)?;
                return Ok(None);
            }
            Order::GoOn | Order::Quit => return Ok(None),
        }
        self.frames.want(Instant::now(), Haste::Soon);
        Ok(Some(Input::Resized))
    }

    fn draw_if_due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.frames.due().is_some_and(|due| due <= now) {
            self.state.geometry = self.screen.draw(&self.state)?;
            self.frames.drawn(now);
        }
        Ok(())
    }

    /// When to wake up though nothing happens.
    fn wake(&self) -> Option<Instant> {
        [self.frames.due(), self.next_tick, self.commits.due()].into_iter().flatten().min()
    }

    /// What follows from the clock alone; a commit is decided here, since it must not be held back twice.
    fn timers(&mut self) -> Result<Option<Input>, Error> {
        let now = Instant::now();
        if self.commits.due().is_some_and(|at| at <= now)
            && let Some(commit) = self.commits.release(now)
        {
            self.decide(commit)?;
        }
        if self.next_tick.is_some_and(|at| at <= now) {
            self.next_tick = None;
            return Ok(Some(Input::Tick(clock())));
        }
        Ok(None)
    }

    /// Ticks only while something moves: an idle screen sleeps.
    fn set_tick(&mut self) {
        if !self.state.is_animated() {
            self.next_tick = None;
        } else if self.next_tick.is_none() {
            let apart = if self.state.is_asking() { TICK } else { SLOW_TICK };
            self.next_tick = Some(Instant::now() + apart);
        }
    }
}

/// A path from the root; where that can't be found, as it is.
fn whole(path: PathBuf) -> PathBuf {
    if path.is_absolute() { path } else { std::path::absolute(&path).unwrap_or(path) }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or_default()
}
