//! What happens outside, as [`Input`]s: keys of the terminal, signals of the system, and commits held
//! back so that a burst of them is one refresh.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::app::input::Input;
use crate::config::keys::{Key, KeyPress};
use crate::runtime::terminal::is_gone;

/// How often it is looked whether the terminal is still there.
const LOOK: Duration = Duration::from_secs(1);

/// What is typed and pasted. A thread of its own reads it, which ends with the process: crossterm reads a
/// closed terminal's end again and again without ever returning, and nobody else may wait for that.
///
/// # Errors
/// When no thread can be started.
pub(super) fn keys() -> io::Result<UnboundedReceiver<Input>> {
    let (keys, typed) = unbounded_channel();
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if let Some(input) = of_terminal(event)
                && keys.send(input).is_err()
            {
                return;
            }
        }
    })?;
    Ok(typed)
}

/// Closed once the terminal is gone. A hangup mostly comes as a signal, but not to a process that the
/// terminal does not control.
fn terminal() -> io::Result<UnboundedReceiver<()>> {
    let (there, gone) = unbounded_channel();
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        while !is_gone() && !there.is_closed() {
            thread::sleep(LOOK);
        }
    })?;
    Ok(gone)
}

/// The input of a terminal event, if it is one to us.
fn of_terminal(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_press(key).map(Input::Key),
        Event::Paste(text) => Some(Input::Pasted(text)),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}

fn key_press(event: KeyEvent) -> Option<KeyPress> {
    let key = match event.code {
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Key::BackTab,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(number) => Key::F(number),
        _ => return None,
    };
    Some(KeyPress {
        key,
        ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
        alt: event.modifiers.contains(KeyModifiers::ALT),
    })
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To leave.
    Leave,
    /// To stop until resumed.
    Stop,
    /// To go on: somebody else had the terminal.
    GoOn,
}

/// The signals we answer.
pub(super) struct Signals {
    leave: Vec<Signal>,
    stop: Option<Signal>,
    go_on: Option<Signal>,
    gone: UnboundedReceiver<()>,
}

/// SIGTSTP; the same number on Linux and on the BSDs is not a given.
const STOP: i32 = rustix::process::Signal::TSTP.as_raw();
/// SIGCONT.
const GO_ON: i32 = rustix::process::Signal::CONT.as_raw();

impl Signals {
    /// Listens from now on; a signal that can't be listened to keeps its default.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
        Ok(Self {
            leave: kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect(),
            stop: signal(SignalKind::from_raw(STOP)).ok(),
            go_on: signal(SignalKind::from_raw(GO_ON)).ok(),
            gone: terminal()?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Asked {
        let Self { leave, stop, go_on, gone } = self;
        let leave = futures::future::select_all(leave.iter_mut().map(|signal| Box::pin(signal.recv())));
        tokio::select! {
            _ = leave => Asked::Leave,
            _ = gone.recv() => Asked::Leave,
            () = received(stop) => Asked::Stop,
            () = received(go_on) => Asked::GoOn,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Commits, at most one in a while; the first one at once.
#[derive(Debug)]
pub(super) struct Commits {
    every: Duration,
    last: Option<Instant>,
    held: Option<(Input, Instant)>,
}

impl Commits {
    /// At most one commit in a span.
    pub(super) const fn new(every: Duration) -> Self {
        Self { every, last: None, held: None }
    }

    /// A commit was made; it comes back now or later.
    pub(super) fn take(&mut self, commit: Input, now: Instant) -> Option<Input> {
        let due = self.last.map_or(now, |last| (last + self.every).max(now));
        self.held = Some((commit, due));
        if due <= now { self.release(now) } else { None }
    }

    /// When the commit held back is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.as_ref().map(|(_, due)| *due)
    }

    /// The commit held back.
    pub(super) fn release(&mut self, now: Instant) -> Option<Input> {
        self.last = Some(now);
        self.held.take().map(|(commit, _)| commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_commits_is_one_refresh_with_the_last_of_them() {
        let start = Instant::now();
        let mut commits = Commits::new(Duration::from_secs(1));
        let commit = |generation| Input::Catalog { generation, now: None };
        assert!(commits.take(commit(1), start).is_some());
        let soon = start + Duration::from_millis(10);
        assert!(commits.take(commit(2), soon).is_none());
        assert!(commits.take(commit(3), soon).is_none());
        assert!(commits.due().is_some());
        assert!(matches!(commits.release(soon), Some(Input::Catalog { generation: 3, .. })));
        assert!(commits.due().is_none());
    }

    #[test]
    fn keys_lose_their_shift_and_keep_their_letter() {
        let press = |code, modifiers| key_press(KeyEvent::new(code, modifiers)).map(|key| key.to_string());
        assert_eq!(press(KeyCode::Char('G'), KeyModifiers::SHIFT).as_deref(), Some("G"));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL).as_deref(), Some("ctrl-c"));
        assert_eq!(press(KeyCode::Tab, KeyModifiers::SHIFT).as_deref(), Some("shift-tab"));
    }
}
