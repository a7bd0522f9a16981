//! The SQL prompt: a statement with completion and history, and its rows under a cursor.

use std::sync::Arc;

use tui_input::Input as Line;

use crate::app::overlay::edit;
use crate::config::keys::KeyPress;
use crate::event::COLUMNS;
use crate::query::question::Failure;
use crate::query::table::Table;

/// The tables that a statement can name.
const TABLES: &[&str] = &["events", "copies", "files"];
/// The columns of `files` that `events` has not.
const FILE_COLUMNS: &[&str] = &[
    "name",
    "path",
    "type",
    "bytes",
    "sha256",
    "received_at",
    "status",
    "rows",
    "rejected_rows",
    "merged_rows",
    "from",
    "to",
    "error",
];
/// Words of the language that are long enough to be worth completing.
const WORDS: &[&str] = &[
    "select",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "distinct",
    "count(*)",
    "count(distinct ",
    "between",
    "interval ",
    "date_trunc('hour', event_time)",
    "date_bin(",
    "approx_distinct(",
    "approx_percentile_cont(",
    "is not null",
    "filter (where ",
    "describe ",
    "with ",
    "left join ",
];
/// Proposals shown.
const SHOWN: usize = 8;
/// Statements kept.
pub const HISTORY: usize = 500;

/// The SQL prompt.
#[derive(Debug, Clone, Default)]
pub struct SqlPrompt {
    /// The statement.
    pub line: Line,
    /// Words that the one before the cursor may become.
    pub choices: Vec<String>,
    /// The statement of the history that is shown, from the newest.
    pub recalled: Option<usize>,
    /// What was typed before the history was looked at.
    draft: String,
    /// Whether the rows have the keys.
    pub in_rows: bool,
    /// The row under the cursor.
    pub cursor: usize,
    /// The column under the cursor.
    pub column: usize,
    /// The serial of the running statement, and ticks since it began.
    pub running: Option<(u64, u32)>,
    /// The rows of the latest statement.
    pub rows: Option<Arc<Table>>,
    /// How long they took.
    pub took_ms: u64,
    /// Why there are none.
    pub failure: Option<Failure>,
    /// Something to know about the statement.
    pub note: String,
}

impl SqlPrompt {
    /// A prompt with a statement in it.
    pub fn on(statement: &str) -> Self {
        Self { line: Line::new(statement.to_owned()), ..Self::default() }
    }

    /// Puts another statement into the line.
    pub fn set(&mut self, statement: &str) {
        self.line = Line::new(statement.to_owned());
        self.choices.clear();
    }

    /// A letter was typed; whether it was one.
    pub fn typed(&mut self, key: KeyPress) -> bool {
        let edited = edit(&mut self.line, key);
        if edited {
            self.recalled = None;
            self.propose();
        }
        edited
    }

    /// Words for the one before the cursor.
    pub fn propose(&mut self) {
        let typed = self.word().to_lowercase();
        self.choices.clear();
        if typed.is_empty() {
            return;
        }
        let columns = COLUMNS.iter().map(|column| column.name);
        for word in
            TABLES.iter().copied().chain(columns).chain(FILE_COLUMNS.iter().copied()).chain(WORDS.iter().copied())
        {
            let known = self.choices.iter().any(|choice| choice == word);
            if word.starts_with(&typed) && word != typed && !known {
                self.choices.push(word.to_owned());
            }
        }
        self.choices.truncate(SHOWN);
    }

    /// The word before the cursor.
    fn word(&self) -> String {
        let before: Vec<char> = self.line.value().chars().take(self.line.cursor()).collect();
        let start = before.iter().rposition(|letter| !(letter.is_alphanumeric() || *letter == '_'));
        before.get(start.map_or(0, |at| at + 1)..).unwrap_or_default().iter().collect()
    }

    /// Takes the first proposal over.
    pub fn complete(&mut self) {
        let Some(choice) = self.choices.first().cloned() else { return };
        let (word, cursor) = (self.word().chars().count(), self.line.cursor());
        let letters: Vec<char> = self.line.value().chars().collect();
        let begin: String = letters.get(..cursor - word).unwrap_or_default().iter().collect();
        let end: String = letters.get(cursor..).unwrap_or_default().iter().collect();
        let at = begin.chars().count() + choice.chars().count();
        self.line = Line::new(format!("{begin}{choice}{end}")).with_cursor(at);
        self.propose();
    }

    /// The statement before or after in the history, the oldest first.
    pub fn recall(&mut self, history: &[String], older: bool) {
        let next = match (self.recalled, older) {
            (None, true) => 0,
            (None, false) => return,
            (Some(at), true) => at + 1,
            (Some(0), false) => {
                self.recalled = None;
                let draft = std::mem::take(&mut self.draft);
                self.set(&draft);
                return;
            }
            (Some(at), false) => at - 1,
        };
        let Some(statement) = history.len().checked_sub(next + 1).and_then(|at| history.get(at)) else { return };
        if self.recalled.is_none() {
            self.draft = self.line.value().to_owned();
        }
        self.recalled = Some(next);
        self.set(statement);
    }

    /// The rows came, or why they did not.
    pub fn queried(&mut self, serial: u64, result: Result<Arc<Table>, Failure>, took_ms: u64) {
        if self.running.is_none_or(|(running, _)| running != serial) {
            return;
        }
        self.running = None;
        self.took_ms = took_ms;
        (self.cursor, self.column) = (0, 0);
        match result {
            Ok(rows) => {
                self.in_rows = !rows.is_empty();
                (self.rows, self.failure) = (Some(rows), None);
            }
            Err(failure) => (self.rows, self.failure, self.in_rows) = (None, Some(failure), false),
        }
    }

    /// Moves the cursor in the rows.
    pub fn move_by(&mut self, rows: isize, columns: isize) {
        let Some(table) = &self.rows else { return };
        self.cursor = self.cursor.saturating_add_signed(rows).min(table.rows.len().saturating_sub(1));
        self.column = self.column.saturating_add_signed(columns).min(table.heads.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Key;

    fn typed(text: &str) -> SqlPrompt {
        let mut prompt = SqlPrompt::default();
        for letter in text.chars() {
            prompt.typed(KeyPress::plain(Key::Char(letter)));
        }
        prompt
    }

    #[test]
    fn columns_and_tables_are_completed_where_the_cursor_is() {
        let mut prompt = typed("select recip");
        prompt.complete();
        assert_eq!(prompt.line.value(), "select recipient");
        let mut prompt = typed("select 1 from ev");
        prompt.complete();
        assert_eq!(prompt.line.value(), "select 1 from events");
    }

    #[test]
    fn the_history_gives_the_draft_back() {
        let history = ["one".to_owned(), "two".to_owned()];
        let mut prompt = typed("draft");
        for (older, expected) in [(true, "two"), (true, "one"), (true, "one"), (false, "two"), (false, "draft")] {
            prompt.recall(&history, older);
            assert_eq!(prompt.line.value(), expected);
        }
    }
}
