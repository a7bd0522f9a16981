//! The SQL prompt: running, cancelling, the rows under the cursor.

use std::sync::Arc;

use crate::app::State;
use crate::app::act::copying::{cell_text, row_json};
use crate::app::action::{Action, Context};
use crate::app::effect::{Effect, Format};
use crate::app::notice::Notice;
use crate::app::overlay::Overlay;
use crate::app::sql_prompt::{HISTORY, SqlPrompt};
use crate::app::sql_text;
use crate::config::keys::{Key, KeyPress};
use crate::query::question::Failure;
use crate::query::table::Table;

impl State {
    /// Opens the prompt as it was left, or on a statement.
    pub(in crate::app) fn open_sql(&mut self, statement: Option<&str>, run: bool) -> Vec<Effect> {
        let mut prompt = self.sql_left.take().unwrap_or_default();
        prompt.in_rows = false;
        if let Some(statement) = statement {
            prompt.set(statement);
            (prompt.rows, prompt.failure) = (None, None);
            prompt.note.clear();
        }
        let effects = if run { self.run_sql(&mut prompt) } else { Vec::new() };
        self.overlay = Some(Overlay::Sql(prompt));
        effects
    }

    /// Opens the prompt on the SQL of the focused panel.
    pub(in crate::app) fn open_sql_of_panel(&mut self) -> Vec<Effect> {
        let Some(question) = self.focused_question() else { return Vec::new() };
        let range = self.answer(self.board().focus).map(|answer| answer.range);
        let range = range.unwrap_or_else(|| question.scope.time.resolve(self.now));
        match sql_text::of(&question, range, self.now) {
            Ok(found) => {
                let effects = self.open_sql(Some(&found.statement), false);
                if let Some(Overlay::Sql(prompt)) = &mut self.overlay {
                    prompt.note = found.note;
                }
                effects
            }
            Err(why) => {
                self.notice = Some(Notice::done(why));
                Vec::new()
            }
        }
    }

    fn run_sql(&mut self, prompt: &mut SqlPrompt) -> Vec<Effect> {
        let statement = prompt.line.value().trim().trim_end_matches(';').trim().to_owned();
        if statement.is_empty() {
            return Vec::new();
        }
        self.serial += 1;
        prompt.running = Some((self.serial, 0));
        prompt.failure = None;
        prompt.note.clear();
        prompt.choices.clear();
        prompt.recalled = None;
        let mut effects = vec![Effect::Query { serial: self.serial, statement: statement.clone() }];
        if self.sql_history.last() != Some(&statement) {
            self.sql_history.push(statement.clone());
            if self.sql_history.len() > HISTORY {
                self.sql_history.remove(0);
            }
            effects.push(Effect::Remember(statement));
        }
        effects
    }

    pub(in crate::app) fn sql_key(
        &mut self,
        mut prompt: Box<SqlPrompt>,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if action == Some(Action::Cancel) {
            if prompt.running.take().is_some() {
                prompt.note = "cancelled".to_owned();
                effects.push(Effect::ForgetQuery);
            } else if prompt.in_rows {
                prompt.in_rows = false;
            } else {
                self.sql_left = Some(prompt);
                return effects;
            }
        } else if prompt.in_rows {
            effects = self.sql_rows_key(&mut prompt, key);
        } else {
            match action {
                Some(Action::Accept) => effects = self.run_sql(&mut prompt),
                Some(Action::Complete) if prompt.choices.is_empty() => {
                    prompt.in_rows = prompt.rows.as_ref().is_some_and(|rows| !rows.is_empty());
                }
                Some(Action::Complete) => prompt.complete(),
                Some(Action::PreviousChoice) => prompt.recall(&self.sql_history, true),
                Some(Action::NextChoice) => prompt.recall(&self.sql_history, false),
                _ => {
                    prompt.typed(key);
                }
            }
        }
        self.overlay = Some(Overlay::Sql(prompt));
        effects
    }

    /// Keys over the rows are those of any table.
    fn sql_rows_key(&mut self, prompt: &mut SqlPrompt, key: KeyPress) -> Vec<Effect> {
        let Some(table) = prompt.rows.clone() else { return Vec::new() };
        if matches!(key.key, Key::Tab | Key::BackTab | Key::Char(';' | 'i')) {
            prompt.in_rows = false;
            return Vec::new();
        }
        let page = 10;
        match self.setup.keymap.action(&[Context::Table, Context::View], key) {
            Some(Action::Up) => prompt.move_by(-1, 0),
            Some(Action::Down) => prompt.move_by(1, 0),
            Some(Action::PageUp) => prompt.move_by(-page, 0),
            Some(Action::PageDown) => prompt.move_by(page, 0),
            Some(Action::Top) => prompt.move_by(isize::MIN, 0),
            Some(Action::Bottom) => prompt.move_by(isize::MAX, 0),
            Some(Action::Left) => prompt.move_by(0, -1),
            Some(Action::Right) => prompt.move_by(0, 1),
            Some(Action::CopyCell) => {
                let cell = table.rows.get(prompt.cursor).and_then(|cells| cells.get(prompt.column));
                return cell.map(|cell| Effect::Copy(cell_text(cell))).into_iter().collect();
            }
            Some(Action::CopyRow) => return vec![Effect::Copy(row_json(&table, prompt.cursor))],
            Some(Action::Export) => return self.export_rows(table),
            _ => {}
        }
        Vec::new()
    }

    fn export_rows(&mut self, table: Arc<Table>) -> Vec<Effect> {
        if self.exporting {
            return Vec::new();
        }
        self.exporting = true;
        self.notice = Some(Notice::busy("exporting the rows of the statement"));
        vec![Effect::ExportTable { table, name: "sql".to_owned(), format: Format::Csv }]
    }

    pub(in crate::app) fn queried(&mut self, serial: u64, result: Result<Arc<Table>, Failure>, took_ms: u64) {
        if let Some(Overlay::Sql(prompt)) = &mut self.overlay {
            prompt.queried(serial, result, took_ms);
        }
    }
}
