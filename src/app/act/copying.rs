//! Taking along what is under the cursor: a cell, a row, or the command that gives the view again.

use serde_json::{Map, Value as Json};

use crate::app::State;
use crate::app::board::dashboard;
use crate::app::board::question;
use crate::app::effect::Effect;
use crate::app::explorer::Explorer;
use crate::app::incidents::{INCIDENT_COLUMNS, cell};
use crate::app::notice::Notice;
use crate::app::shell;
use crate::dashboard::Show;
use crate::insight::flat;
use crate::query::question::{Compare, Question};
use crate::query::table::{Table, Value};
use crate::query::time::iso;
use crate::text::display;

/// A cell as text on one line, with nothing in it that a terminal or a shell's line editor would act on.
pub fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null | Value::Missing(_) => String::new(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(words) => display(words).into_owned(),
        Value::Time(at) => iso(*at),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// A row as a JSON object on one line.
pub fn row_json(table: &Table, row: usize) -> String {
    let mut object = Map::new();
    for (at, head) in table.heads.iter().enumerate() {
        let cell = table.rows.get(row).and_then(|cells| cells.get(at)).unwrap_or(&Value::Null);
        let json = match cell {
            Value::Null | Value::Missing(_) => Json::Null,
            Value::Int(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Flag(flag) => Json::from(*flag),
            cell => Json::from(cell_text(cell)),
        };
        object.insert(head.name.to_string(), json);
    }
    Json::Object(object).to_string()
}

impl State {
    pub(in crate::app) fn copy_cell(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let text = match panel.show {
            Show::Events => self.event_cell().map(|(_, cell)| cell_text(cell)),
            Show::Files => {
                let rows = self.file_rows();
                rows.get(state.cursor.min(rows.len().saturating_sub(1))).map(|file| display(&file.path).into_owned())
            }
            Show::Insights | Show::Timeline | Show::Incident => {
                self.incident().map(|incident| display(&incident.headline).into_owned())
            }
            Show::Incidents => self.incident().map(|incident| {
                let name = INCIDENT_COLUMNS.get(state.column).map_or("headline", |column| column.name);
                display(&cell(name, incident, &self.setup.rules, self.now)).into_owned()
            }),
            Show::Cards(cards) => {
                let column = cards.get(state.cursor).map_or("", |card| card.column);
                self.answer(index).map(|answer| cell_text(answer.table.cell(0, column)))
            }
            _ => {
                let names = self.column_names(index);
                let name = names.get(state.column.min(names.len().saturating_sub(1))).cloned().unwrap_or_default();
                self.answer(index).map(|answer| {
                    let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
                    cell_text(answer.table.cell(row, &name))
                })
            }
        };
        match text {
            Some(text) if !text.is_empty() => vec![Effect::Copy(text)],
            _ => {
                self.notice = Some(Notice::done("nothing to copy here"));
                Vec::new()
            }
        }
    }

    pub(in crate::app) fn copy_row(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let found = if let Some(incident) = self.incident() {
            Some(row_json(&flat::table(std::slice::from_ref(incident)), 0))
        } else if self.in_explorer() {
            self.explorer.row(state.cursor).map(|(answer, row)| row_json(&answer.table, row))
        } else {
            self.answer(index).filter(|answer| !answer.table.is_empty()).map(|answer| {
                let is_cards = self.focused().is_some_and(|panel| matches!(panel.show, Show::Cards(_)));
                let row = if is_cards { 0 } else { state.cursor.min(answer.table.rows.len() - 1) };
                row_json(&answer.table, row)
            })
        };
        match found {
            Some(text) => vec![Effect::Copy(text)],
            None => {
                self.notice = Some(Notice::done("no row to copy here"));
                Vec::new()
            }
        }
    }

    /// The question of the focused panel, as it is shown.
    pub(in crate::app) fn focused_question(&self) -> Option<Question> {
        let index = self.board().focus;
        let panel = self.focused()?;
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        if matches!(panel.show, Show::Events) {
            return Some(Explorer::question(&self.scope, state.sort.as_ref(), 0));
        }
        question(panel, 0, &state, &self.scope, self.compare)
    }

    pub(in crate::app) fn copy_command(&mut self) -> Vec<Effect> {
        let Some(mut question) = self.focused_question() else { return Vec::new() };
        // What a chart or card shows of the comparison is no column of its rows.
        if self.focused().is_some_and(|panel| !matches!(panel.show, Show::Table(_) | Show::Cards(_))) {
            question.compare = Compare::Off;
        }
        vec![Effect::Copy(shell::command(&question))]
    }

    pub(in crate::app) fn copy_screen(&mut self) -> Vec<Effect> {
        vec![Effect::Copy(shell::screen(dashboard(self.tab).title, &self.scope, self.compare))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::table::Unit;

    #[test]
    fn a_copied_row_holds_no_control_characters() {
        let mut table = Table::with_heads([("reply", Unit::Text), ("n", Unit::Count)]);
        table.rows.push(vec![Value::text("a\u{1b}]52;c;x\u{7}\n; rm -rf ~"), Value::Int(3)]);
        let text = row_json(&table, 0);
        assert!(text.chars().all(|letter| !letter.is_control()), "{text}");
        assert!(text.ends_with(r#""n":3}"#));
    }
}
