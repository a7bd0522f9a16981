//! The Explorer's window onto `events`: pages around the cursor, asked as it moves, so that the cursor
//! runs over millions of rows without waiting for any.

use std::collections::BTreeMap;

use crate::app::effect::RowId;
use crate::app::slot::{Shown, Slot, SlotId};
use crate::query::field::{FIELDS, Field};
use crate::query::question::{Answer, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::table::{Table, Value};

/// Rows a page.
pub const PAGE: usize = 200;

/// One column of the Explorer.
#[derive(Debug)]
pub struct EventColumn {
    /// Its name in `events`.
    pub name: &'static str,
    /// Its name in the head line.
    pub title: &'static str,
    /// Its width in terminal columns.
    pub width: u16,
}

const fn column(name: &'static str, title: &'static str, width: u16) -> EventColumn {
    EventColumn { name, title, width }
}

/// The columns in the order in which they help most; further right means seen only when scrolled to.
pub const EVENT_COLUMNS: &[EventColumn] = &[
    column("event_time", "time", 15),
    column("kind", "kind", 15),
    column("recipient", "recipient", 28),
    column("smtp_status", "status", 7),
    column("dsn_diag", "reply", 44),
    column("job_id", "job", 14),
    column("vmta", "vmta", 10),
    column("source_ip", "source ip", 15),
    column("sender", "sender", 26),
    column("provider", "provider", 12),
    column("bounce_class", "class", 6),
    column("reply_class", "reply class", 20),
    column("delivery_latency_ms", "latency", 9),
    column("bounce_category", "category", 17),
    column("user_id", "user", 10),
    column("queue", "queue", 24),
    column("dsn_mta", "remote host", 26),
    column("event_type", "type", 7),
    column("record_type", "rec", 4),
    column("queued_time", "queued", 15),
    column("sender_domain", "sender domain", 18),
    column("recipient_domain", "domain", 18),
    column("vmta_pool", "pool", 10),
    column("destination_ip", "dest. ip", 15),
    column("smtp_code", "code", 5),
    column("dsn_action", "action", 10),
    column("env_id", "envelope id", 18),
    column("message_id", "message id", 28),
    column("custom_header", "custom header", 18),
    column("size_bytes", "size", 9),
    column("is_rb", "rb", 4),
    column("host", "host", 12),
    column("headers", "headers", 30),
    column("date", "date", 10),
    column("file_id", "file", 6),
    column("row_number", "row", 9),
];

/// The field that filters by a column of `events`, if one does.
pub fn field_of(column: &str) -> Option<Field> {
    FIELDS.iter().copied().find(|field| field.column_name() == column && *field != Field::File)
}

/// The window onto `events`.
#[derive(Debug, Clone, Default)]
pub struct Explorer {
    /// Pages by number; at most three are kept.
    pub pages: BTreeMap<usize, Slot>,
    /// How many rows there are, once a page came that is not followed by more.
    pub end: Option<usize>,
    /// The commit number that the pages belong to.
    pub generation: Option<u64>,
    /// The row of the detail pane as it stands in its log file.
    pub raw: Option<(RowId, Result<RawRow, String>)>,
    /// The columns that are shown, in their order; empty: all.
    columns: Vec<usize>,
}

/// A row as it stands in its log file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawRow {
    /// The file.
    pub path: String,
    /// The line that it begins on.
    pub line: u64,
    /// The byte that it begins at, in the decompressed content.
    pub offset: u64,
    /// Its text; may hold anything.
    pub text: String,
}

impl Explorer {
    /// The question of a page.
    pub fn question(scope: &Scope, sort: Option<&Sort>, page: usize) -> Question {
        Question {
            page: Page { offset: page * PAGE, limit: Some(PAGE), sort: sort.cloned() },
            ..Question::new(Report::Events, scope.clone())
        }
    }

    /// The columns that are shown, by their positions in [`EVENT_COLUMNS`].
    pub fn shown(&self) -> Vec<usize> {
        if self.columns.is_empty() { (0..EVENT_COLUMNS.len()).collect() } else { self.columns.clone() }
    }

    /// The column at a position on the screen.
    pub fn column(&self, at: usize) -> Option<&'static EventColumn> {
        let at = if self.columns.is_empty() { at } else { *self.columns.get(at)? };
        EVENT_COLUMNS.get(at)
    }

    /// Shows these columns; none or all in their own order: all.
    pub fn choose(&mut self, columns: Vec<usize>) {
        let own = columns.iter().copied().eq(0..EVENT_COLUMNS.len());
        self.columns = if own { Vec::new() } else { columns };
        self.columns.retain(|at| *at < EVENT_COLUMNS.len());
    }

    /// The names of the columns shown; empty: all.
    pub fn column_words(&self) -> Vec<String> {
        self.columns.iter().filter_map(|at| EVENT_COLUMNS.get(*at)).map(|column| column.name.to_owned()).collect()
    }

    /// Shows the columns of these names.
    pub fn choose_words(&mut self, names: &[String]) {
        let position = |name: &String| EVENT_COLUMNS.iter().position(|column| column.name == name);
        self.choose(names.iter().filter_map(position).collect());
    }

    /// Which row of which file stands at a place; nothing while its page is not there.
    pub fn row_id(&self, row: usize) -> Option<RowId> {
        let int = |column| match self.cell(row, column) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        Some(RowId { file: int("file_id")?, row: int("row_number")? })
    }

    /// Everything that was answered is forgotten; the columns stay.
    pub fn clear(&mut self) -> BTreeMap<usize, Slot> {
        let columns = std::mem::take(&mut self.columns);
        std::mem::replace(self, Self { columns, ..Self::default() }).pages
    }

    /// The page numbers wanted for a cursor, the most needed first.
    pub fn wanted(&self, cursor: usize) -> Vec<usize> {
        let here = cursor / PAGE;
        let mut wanted = vec![here];
        let answered = self.pages.get(&here).is_some_and(|slot| slot.shown_answer().is_some() && !slot.is_asking());
        if answered {
            if self.end.is_none_or(|end| (here + 1) * PAGE < end) {
                wanted.push(here + 1);
            }
            if here > 0 {
                wanted.push(here - 1);
            }
        }
        wanted
    }

    /// Drops every page that is not near the cursor; the slots to forget.
    pub fn keep_near(&mut self, cursor: usize) -> Vec<SlotId> {
        let here = cursor / PAGE;
        let far: Vec<usize> = self.pages.keys().copied().filter(|page| page.abs_diff(here) > 1).collect();
        far.into_iter()
            .filter_map(|page| {
                let mut slot = self.pages.remove(&page)?;
                slot.forget().then_some(SlotId::Page(page))
            })
            .collect()
    }

    /// Another scope or order: only the first page stays, to be seen until it is answered anew.
    pub fn reset(&mut self) -> Vec<SlotId> {
        self.end = None;
        self.generation = None;
        self.keep_near(0)
            .into_iter()
            .chain(self.pages.remove(&1).and_then(|mut slot| slot.forget().then_some(SlotId::Page(1))))
            .collect()
    }

    /// A page came in.
    pub fn arrived(&mut self, page: usize) {
        let Some(answer) = self.pages.get(&page).and_then(Slot::shown_answer) else { return };
        let rows = answer.table.rows.len();
        let until = page * PAGE + rows;
        if rows < PAGE || !answer.table.more {
            self.end = Some(until);
        } else if self.end.is_some_and(|end| end <= until) {
            self.end = None;
        }
    }

    /// The last row that the cursor may go to: a little beyond what is known, so that it never waits.
    pub fn last_row(&self) -> usize {
        match self.end {
            Some(end) => end.saturating_sub(1),
            None => self.pages.keys().next_back().map_or(0, |page| (page + 1) * PAGE + PAGE - 1),
        }
    }

    /// How many rows there are at least.
    pub fn known_rows(&self) -> usize {
        let until =
            |(page, slot): (&usize, &Slot)| slot.shown_answer().map(|answer| page * PAGE + answer.table.rows.len());
        self.pages.iter().filter_map(until).max().unwrap_or(0)
    }

    /// The answer and the row in it.
    pub fn row(&self, row: usize) -> Option<(&Answer, usize)> {
        let answer = self.pages.get(&(row / PAGE))?.shown_answer()?;
        answer.table.rows.get(row % PAGE)?;
        Some((answer, row % PAGE))
    }

    /// A cell; nothing while its page is not there.
    pub fn cell(&self, row: usize, column: &str) -> Option<&Value> {
        let (answer, row) = self.row(row)?;
        Some(Table::cell(&answer.table, row, column))
    }

    /// The slot of the page that holds a row.
    pub fn slot(&self, row: usize) -> Option<&Slot> {
        self.pages.get(&(row / PAGE))
    }

    /// Whether every answered page is empty.
    pub fn is_empty(&self) -> bool {
        self.end == Some(0) && self.pages.get(&0).is_some_and(|slot| matches!(slot.shown(), Shown::Answer(..)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::slot::Ticket;
    use crate::event::COLUMNS;

    fn answered(explorer: &mut Explorer, page: usize, rows: usize, more: bool) {
        let slot = explorer.pages.entry(page).or_default();
        let ticket = Ticket { slot: SlotId::Page(page), serial: 1 };
        slot.ask(ticket, Explorer::question(&Scope::default(), None, page), 1);
        let table = Table { heads: Vec::new(), rows: vec![Vec::new(); rows], more };
        let _ = slot.answer(ticket, Ok(Arc::new(Answer { table, ..Answer::default() })));
        explorer.arrived(page);
    }

    #[test]
    fn every_column_of_events_can_be_seen() {
        for column in COLUMNS {
            assert!(EVENT_COLUMNS.iter().any(|shown| shown.name == column.name), "{}", column.name);
        }
        assert_eq!(EVENT_COLUMNS.len(), COLUMNS.len());
    }

    #[test]
    fn neighbours_are_asked_once_the_page_under_the_cursor_is_there() {
        let mut explorer = Explorer::default();
        assert_eq!(explorer.wanted(450), [2]);
        answered(&mut explorer, 2, PAGE, true);
        assert_eq!(explorer.wanted(450), [2, 3, 1]);
    }

    #[test]
    fn a_page_without_more_tells_the_end() {
        let mut explorer = Explorer::default();
        answered(&mut explorer, 0, PAGE, true);
        assert!(explorer.last_row() > PAGE);
        answered(&mut explorer, 1, 7, false);
        assert_eq!(explorer.last_row(), PAGE + 6);
    }
}
