//! The terminal: taken at the start, given back on every way out — leaving, a panic, a signal, Ctrl-Z.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use crate::app::{Geometry, State};
use crate::ui;

/// Most bytes of a copy that go to the terminal.
const CLIPBOARD: usize = 54_000;

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What other threads said when they panicked; told once the terminal is given back.
static LAST_WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal while it is ours.
pub(super) struct Screen {
    // Ratatui's own clean-up panics where the terminal is gone and stderr with it; `leave` does it.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        watch_panics();
        enter()?;
        // One write a frame: a frame is some kilobytes.
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, stdout()));
        let mut screen = Self { terminal: ManuallyDrop::new(Terminal::new(backend)?) };
        screen.repaint()?;
        Ok(screen)
    }

    /// Paints what changed since the last frame.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<Geometry> {
        if !TAKEN.load(Ordering::SeqCst) {
            // A task of ours panicked and was caught: the screen goes on.
            enter()?;
            self.repaint()?;
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let mut geometry = Geometry::default();
        self.terminal.draw(|frame| geometry = ui::draw(frame, state))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Ok(geometry)
    }

    /// Forgets what is painted, so that the next frame paints everything.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: it asks the terminal where its cursor is, and the answer would have to
        // come through the stream of keys (two seconds of silence where none comes).
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Puts text into the clipboard of the terminal, through SSH and tmux (`set-clipboard on`) too.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        // Many terminals take no more than about 74 kB; the file has all of it.
        let bytes = text.as_bytes().get(..CLIPBOARD).unwrap_or(text.as_bytes());
        let out = self.terminal.backend_mut();
        write!(out, "\x1b]52;c;{}\x07", base64(bytes))?;
        out.flush()
    }

    /// Stops the program as Ctrl-Z does in a shell; comes back when the shell resumes it.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        self.resume()
    }

    /// Takes the terminal again after somebody else had it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        TAKEN.store(false, Ordering::SeqCst);
        enter()?;
        self.repaint()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
        let words = LAST_WORDS.lock().map(|mut words| std::mem::take(&mut *words)).unwrap_or_default();
        for text in words {
            // Nowhere left to report that stderr is gone.
            writeln!(io::stderr(), "{text}").ok();
        }
    }
}

/// Whether nobody looks any more.
pub(super) fn is_gone() -> bool {
    !stdout().is_terminal()
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Gives the terminal back; more than once does no harm.
fn leave() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Cleared first: a multiplexer that was resized meanwhile mixes up the two screens' lines.
        // The terminal may be gone (SIGHUP): nothing more can be done for it then.
        execute!(
            stdout(),
            EndSynchronizedUpdate,
            DisableBracketedPaste,
            Clear(ClearType::All),
            LeaveAlternateScreen,
            Show
        )
        .ok();
        disable_raw_mode().ok();
    }
}

/// A panic of the screen's thread gives the terminal back before it is told; one of another thread is
/// told after the screen is left, since its text would land in the middle of it.
fn watch_panics() {
    let screen = thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == screen || !TAKEN.load(Ordering::SeqCst) {
            leave();
            before(panic);
        } else if let Ok(mut words) = LAST_WORDS.lock() {
            words.push(panic.to_string());
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn copied_bytes_are_encoded_as_terminals_expect() {
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
