//! What can lie over a tab: the filter bar, the time picker, the help, prompts and sheets. At most one is
//! open. Each answers a key with what should become of it.

use std::path::PathBuf;
use std::sync::Arc;

use tui_input::{Input as Line, InputRequest};

use crate::app::action::Action;
use crate::app::effect::{Effect, Quiet};
use crate::app::explaining::Explaining;
use crate::app::files::{FileRow, Reject};
use crate::app::filter_bar::FilterBar;
use crate::app::palette::Palette;
use crate::app::sql_prompt::SqlPrompt;
use crate::app::tuning::Tune;
use crate::config::keys::{Key, KeyPress};
use crate::journey::Journeys;
use crate::query::field::Field;
use crate::query::question::Failure;
use crate::query::table::{Unit, Value};
use crate::query::time::{Micros, TimeRange, parse_range, span};

/// What is open.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// Typing a filter.
    Filter(FilterBar),
    /// Picking a time range.
    Time(TimePicker),
    /// Reading the help.
    Help(Help),
    /// Adding files.
    AddFiles(AddFiles),
    /// Typing a command.
    Palette(Palette),
    /// Typing a range to compare with.
    Range(RangePrompt),
    /// Asking in SQL.
    Sql(Box<SqlPrompt>),
    /// Typing what to search for.
    Search(Search),
    /// Choosing the Explorer's columns.
    Columns(Chooser),
    /// Asking whether something is really meant.
    Confirm(Confirm),
    /// Everything about one file.
    File(Box<FileSheet>),
    /// What a reply means, and what to do.
    Reply(ReplySheet),
    /// The life of a message.
    Journey(Box<JourneySheet>),
    /// Why something is so.
    Explain(Box<Explaining>),
    /// For how long an incident is silenced.
    Silence(Silence),
    /// Writing beside an incident.
    Note(NotePrompt),
    /// Trying other thresholds of a rule.
    Tune(Box<Tune>),
}

/// Edits a line of text; true if the key was one of an editor's.
pub fn edit(line: &mut Line, key: KeyPress) -> bool {
    let request = match (key.ctrl, key.alt, key.key) {
        (false, false, Key::Char(letter)) => InputRequest::InsertChar(letter),
        (false, false, Key::Backspace) => InputRequest::DeletePrevChar,
        (true, false, Key::Backspace | Key::Char('w' | 'h')) | (false, true, Key::Backspace) => {
            InputRequest::DeletePrevWord
        }
        (_, _, Key::Delete) => InputRequest::DeleteNextChar,
        (false, false, Key::Left) => InputRequest::GoToPrevChar,
        (false, false, Key::Right) => InputRequest::GoToNextChar,
        (_, _, Key::Left) => InputRequest::GoToPrevWord,
        (_, _, Key::Right) => InputRequest::GoToNextWord,
        (_, _, Key::Home) | (true, false, Key::Char('a')) => InputRequest::GoToStart,
        (_, _, Key::End) | (true, false, Key::Char('e')) => InputRequest::GoToEnd,
        (true, false, Key::Char('u')) => InputRequest::DeleteLine,
        (true, false, Key::Char('k')) => InputRequest::DeleteTillEnd,
        _ => return false,
    };
    line.handle(request);
    true
}

/// Types pasted text; line ends become spaces.
pub fn paste(line: &mut Line, text: &str) {
    for letter in text.trim().chars() {
        line.handle(InputRequest::InsertChar(if letter.is_control() { ' ' } else { letter }));
    }
}

/// The spans that the time picker offers; 0 stands for everything.
pub const PRESETS: &[(&str, &str, Micros)] = &[
    ("15m", "last 15 minutes", 15 * crate::query::time::MINUTE),
    ("1h", "last hour", crate::query::time::HOUR),
    ("6h", "last 6 hours", 6 * crate::query::time::HOUR),
    ("24h", "last 24 hours", crate::query::time::DAY),
    ("7d", "last 7 days", 7 * crate::query::time::DAY),
    ("30d", "last 30 days", 30 * crate::query::time::DAY),
    ("all", "everything in the catalog", 0),
];

/// Picking a time range: a list of spans, and a line to type any other.
#[derive(Debug, Clone)]
pub struct TimePicker {
    /// The line.
    pub line: Line,
    /// The preset under the cursor.
    pub chosen: usize,
    /// Why the line can't be used.
    pub error: String,
}

impl TimePicker {
    /// Opens on the range that is set.
    pub fn new(current: TimeRange) -> Self {
        let chosen = PRESETS.iter().position(|(_, _, micros)| match current {
            TimeRange::All => *micros == 0,
            TimeRange::Last(span) => *micros == span,
            TimeRange::Between(..) => false,
        });
        Self { line: Line::default(), chosen: chosen.unwrap_or(3), error: String::new() }
    }

    /// A key was pressed; the range, once one is picked.
    pub fn key(&mut self, action: Option<Action>, key: KeyPress) -> Option<TimeRange> {
        match action {
            Some(Action::PreviousChoice) => self.chosen = self.chosen.saturating_sub(1),
            Some(Action::NextChoice) => self.chosen = (self.chosen + 1).min(PRESETS.len() - 1),
            Some(Action::Accept) => return self.accept(),
            _ => {
                if edit(&mut self.line, key) {
                    self.error.clear();
                }
            }
        }
        None
    }

    fn accept(&mut self) -> Option<TimeRange> {
        if self.line.value().trim().is_empty() {
            let (_, _, micros) = PRESETS.get(self.chosen)?;
            return Some(if *micros == 0 { TimeRange::All } else { TimeRange::Last(*micros) });
        }
        match parse_range(self.line.value()) {
            Ok(range) => Some(range),
            Err(error) => {
                self.error = error.to_string();
                None
            }
        }
    }
}

/// A time range in a few characters, for the scope line and file names.
pub fn range_name(range: TimeRange) -> String {
    match range {
        TimeRange::All => "all time".to_owned(),
        TimeRange::Last(micros) => format!("last {}", span(micros)),
        TimeRange::Between(from, until) => {
            let side = |bound: Option<Micros>| bound.map_or_else(|| "…".to_owned(), crate::query::time::short);
            format!("{} – {}", side(from), side(until))
        }
    }
}

/// Typing a range to compare with.
#[derive(Debug, Clone, Default)]
pub struct RangePrompt {
    /// The line.
    pub line: Line,
    /// Why the line can't be used.
    pub error: String,
}

/// Typing what to search for: in the table, or as a filter.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The line.
    pub line: Line,
    /// Where to look; `None`: in the rows of the table.
    pub places: Vec<Option<Field>>,
    /// The place under the cursor.
    pub chosen: usize,
}

/// Choosing columns: which, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chooser {
    /// Every column by its position in the table of columns, and whether it is shown.
    pub columns: Vec<(usize, bool)>,
    /// The column under the cursor.
    pub chosen: usize,
}

/// Asking whether something is really meant: `y` does it.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// What would be done.
    pub title: String,
    /// What it means, line by line; may hold text from files.
    pub lines: Vec<String>,
    /// What does it.
    pub effect: Effect,
    /// What is said meanwhile.
    pub busy: String,
}

/// For how long an incident may be silenced.
pub const SILENCES: &[(&str, Quiet)] = &[
    ("for an hour", Quiet::For(crate::query::time::HOUR)),
    ("for 4 hours", Quiet::For(4 * crate::query::time::HOUR)),
    ("until it is over", Quiet::UntilOver),
    ("no longer", Quiet::NoLonger),
];

/// Choosing for how long an incident is silenced.
#[derive(Debug, Clone)]
pub struct Silence {
    /// The incident.
    pub id: String,
    /// What it says; may hold text from files.
    pub headline: String,
    /// The choice under the cursor.
    pub chosen: usize,
}

/// Writing beside an incident.
#[derive(Debug, Clone, Default)]
pub struct NotePrompt {
    /// The incident.
    pub id: String,
    /// What it says; may hold text from files.
    pub headline: String,
    /// The line.
    pub line: Line,
}

/// Everything about one file.
#[derive(Debug, Clone)]
pub struct FileSheet {
    /// The file.
    pub file: FileRow,
    /// Rows that were put aside; nothing while they are read.
    pub rejects: Option<Result<Vec<Reject>, Failure>>,
    /// The serial of the asking.
    pub serial: u64,
    /// Lines scrolled past.
    pub scroll: usize,
}

/// What a reply means, and what to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplySheet {
    /// What is known of it, by name; texts may hold anything that a log file holds.
    pub cells: Vec<(&'static str, Value, Unit)>,
    /// Lines scrolled past.
    pub scroll: usize,
}

/// The life of a message.
#[derive(Debug, Clone)]
pub struct JourneySheet {
    /// The lives that were found; nothing while they are looked for.
    pub found: Option<Result<Arc<Journeys>, Failure>>,
    /// The serial of the asking.
    pub serial: u64,
    /// Lines scrolled past.
    pub scroll: usize,
}

/// What a sheet tells of a reply: its name there, the column, and its unit.
pub const REPLY_CELLS: &[(&str, &str, Unit)] = &[
    ("reply", "reply", Unit::Text),
    ("meaning", "meaning", Unit::Text),
    ("what to do", "advice", Unit::Text),
    ("class", "reply_class", Unit::Text),
    ("held against", "scope", Unit::Text),
    ("provider", "provider", Unit::Text),
    ("block list", "blocklist", Unit::Text),
    ("listed IP", "listed_ip", Unit::Text),
    ("rows", "n", Unit::Count),
    ("first seen", "first_seen", Unit::Time),
    ("first here", "first", Unit::Time),
    ("last here", "last", Unit::Time),
    ("one of them", "example", Unit::Text),
];

/// Reading the help; what is typed searches in it.
#[derive(Debug, Clone, Default)]
pub struct Help {
    /// What is searched for.
    pub line: Line,
    /// Lines scrolled past.
    pub scroll: usize,
}

impl Help {
    /// A key was pressed.
    pub fn key(&mut self, action: Option<Action>, key: KeyPress) {
        match (action, key.key) {
            (Some(Action::PreviousChoice), _) => self.scroll = self.scroll.saturating_sub(1),
            (Some(Action::NextChoice), _) => self.scroll += 1,
            (_, Key::PageUp) => self.scroll = self.scroll.saturating_sub(10),
            (_, Key::PageDown) => self.scroll += 10,
            _ => {
                if edit(&mut self.line, key) {
                    self.scroll = 0;
                }
            }
        }
    }
}

/// Adding files: a line with completion, and what became of those added.
#[derive(Debug, Clone, Default)]
pub struct AddFiles {
    /// The line.
    pub line: Line,
    /// Paths that begin like the last word of the line.
    pub choices: Vec<String>,
    /// The proposal under the cursor.
    pub chosen: Option<usize>,
    /// The serial of the latest completion asked for.
    pub serial: u64,
    /// What was added since the prompt opened.
    pub added: Vec<PathBuf>,
}

impl AddFiles {
    /// The word that is being typed, without quotes.
    pub fn last_word(&self) -> String {
        if self.line.value().ends_with(' ') && !self.line.value().ends_with("\\ ") {
            return String::new();
        }
        split_paths(self.line.value()).pop().unwrap_or_default()
    }

    /// Puts a path in the place of the word that is being typed.
    pub fn complete_with(&mut self, path: &str) {
        let mut words = split_paths(self.line.value());
        if !self.line.value().ends_with(' ') {
            words.pop();
        }
        words.push(path.to_owned());
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        self.line = Line::new(quoted.join(" "));
    }

    /// The longest beginning that all proposals share.
    pub fn common_beginning(&self) -> Option<String> {
        let mut common = self.choices.first()?.clone();
        for choice in &self.choices {
            let length = common.chars().zip(choice.chars()).take_while(|(a, b)| a == b).count();
            common = common.chars().take(length).collect();
        }
        (!common.is_empty()).then_some(common)
    }
}

fn quote(path: &str) -> String {
    if path.contains([' ', '\'', '"', '\\', '\t']) {
        let mut out = String::new();
        for letter in path.chars() {
            if matches!(letter, ' ' | '\'' | '"' | '\\' | '\t') {
                out.push('\\');
            }
            out.push(letter);
        }
        return out;
    }
    path.to_owned()
}

/// The paths of a typed or pasted line: separated by blanks, with quotes and backslashes as a shell
/// has them, since terminals paste dropped files that way.
pub fn split_paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut path = String::new();
    let mut begun = false;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None | Some('"'), '\\') => {
                begun = true;
                path.extend(letters.next());
            }
            (None, '\'' | '"') => {
                begun = true;
                quote = Some(letter);
            }
            (Some(open), letter) if open == letter => quote = None,
            (None, letter) if letter.is_whitespace() => {
                if begun {
                    paths.push(std::mem::take(&mut path));
                    begun = false;
                }
            }
            (_, letter) => {
                begun = true;
                path.push(letter);
            }
        }
    }
    if begun {
        paths.push(path);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_paths_are_split_as_a_shell_would() {
        assert_eq!(split_paths("a.csv 'b c.csv'\nd\\ e.csv "), ["a.csv", "b c.csv", "d e.csv"]);
        assert!(split_paths("  ").is_empty());
    }

    #[test]
    fn a_completed_path_keeps_the_words_before_it() {
        let mut prompt = AddFiles { line: Line::new("one.csv /tmp/t".to_owned()), ..AddFiles::default() };
        prompt.complete_with("/tmp/two files.csv");
        assert_eq!(prompt.line.value(), "one.csv /tmp/two\\ files.csv");
    }

    #[test]
    fn the_time_picker_says_what_it_did_not_understand() {
        let mut picker = TimePicker::new(TimeRange::All);
        picker.line = Line::new("yesterday".to_owned());
        assert_eq!(picker.key(Some(Action::Accept), KeyPress::plain(Key::Enter)), None);
        assert!(picker.error.contains("yesterday"));
    }
}
