//! Finding text: in the rows that are here, or as a filter on a field.

use crate::app::State;
use crate::app::action::Action;
use crate::app::board::dashboard;
use crate::app::effect::{Effect, Urgency};
use crate::app::explorer::field_of;
use crate::app::incidents;
use crate::app::notice::Notice;
use crate::app::overlay::{Overlay, Search, edit};
use crate::config::keys::KeyPress;
use crate::dashboard::Show;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::table::Value;

/// Where text can be looked for by a filter.
const PLACES: &[Field] =
    &[Field::Recipient, Field::Reply, Field::Sender, Field::Job, Field::MessageId, Field::CustomHeader, Field::DsnMta];

impl State {
    pub(in crate::app) fn open_search(&mut self) {
        let mut places: Vec<Option<Field>> = vec![None];
        // The column under the cursor comes first among the fields.
        let own = self.event_cell().filter(|_| self.in_explorer()).and_then(|(column, _)| field_of(column));
        places.extend(own.map(Some));
        places.extend(PLACES.iter().filter(|field| Some(**field) != own).map(|field| Some(*field)));
        self.overlay = Some(Overlay::Search(Search { places, ..Search::default() }));
    }

    pub(in crate::app) fn search_key(
        &mut self,
        mut search: Search,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        match action {
            Some(Action::PreviousChoice) => search.chosen = search.chosen.saturating_sub(1),
            Some(Action::NextChoice) => search.chosen = (search.chosen + 1).min(search.places.len().saturating_sub(1)),
            Some(Action::Accept) => {
                let text = search.line.value().trim().to_owned();
                if text.is_empty() {
                    self.find = None;
                    return Vec::new();
                }
                return match search.places.get(search.chosen).copied().flatten() {
                    Some(field) => {
                        let value = if text.contains('*') { text } else { format!("*{text}*") };
                        let mut scope = self.scope.clone();
                        scope.add(Filter::include(field, value));
                        self.set_scope(scope)
                    }
                    None => {
                        self.find = Some(text);
                        self.next_match(true)
                    }
                };
            }
            _ => {
                edit(&mut search.line, key);
            }
        }
        self.overlay = Some(Overlay::Search(search));
        Vec::new()
    }

    /// The next row, or the one before, that holds what was searched for.
    pub(in crate::app) fn next_match(&mut self, forward: bool) -> Vec<Effect> {
        let Some(text) = self.find.clone() else {
            self.open_search();
            return Vec::new();
        };
        let wanted = text.to_lowercase();
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        let cursor = self.board().panels.get(index).map_or(0, |state| state.cursor);
        let holds = |cells: &[Value]| {
            cells.iter().any(|cell| cell.as_text().is_some_and(|words| words.to_lowercase().contains(&wanted)))
        };
        let found: Option<usize> = match panel.show {
            Show::Events => {
                let rows = self.explorer.known_rows();
                step(cursor, rows, forward, |row| {
                    self.explorer.row(row).is_some_and(|(answer, at)| holds(&answer.table.rows[at]))
                })
            }
            Show::Files => {
                let files = self.file_rows();
                step(cursor, files.len(), forward, |row| {
                    files.get(row).is_some_and(|file| file.path.to_lowercase().contains(&wanted))
                })
            }
            Show::Incidents => {
                let listed = self.listed(self.tab, index);
                step(cursor, listed.len(), forward, |row| {
                    listed.get(row).is_some_and(|incident| {
                        let text = format!("{} {} {}", incident.headline, incident.whom(), incidents::cause(incident));
                        text.to_lowercase().contains(&wanted)
                    })
                })
            }
            _ => self.answer(index).and_then(|answer| {
                step(cursor, answer.table.rows.len(), forward, |row| {
                    answer.table.rows.get(row).is_some_and(|cells| holds(cells))
                })
            }),
        };
        let Some(row) = found else {
            let hint = if matches!(panel.show, Show::Events) {
                " in the rows read so far; ctrl-f can filter all rows by it"
            } else {
                " in this table"
            };
            let tab = dashboard(self.tab).title;
            self.notice = Some(Notice::done(format!("{tab}: no other row holds `{text}`{hint}")));
            return Vec::new();
        };
        if let Some(state) = self.board_mut().panels.get_mut(index) {
            state.cursor = row;
        }
        if self.in_explorer() { self.ask_visible(Urgency::Now) } else { Vec::new() }
    }
}

/// The next row of a table that fits, from the one under the cursor on and around its end.
fn step(cursor: usize, rows: usize, forward: bool, fits: impl Fn(usize) -> bool) -> Option<usize> {
    (1..rows)
        .map(|by| if forward { (cursor + by) % rows } else { (cursor + rows - by % rows) % rows })
        .find(|row| fits(*row))
        .or_else(|| (cursor < rows && fits(cursor)).then_some(cursor))
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn matches_are_found_around_the_end() {
        let fits = |row: usize| matches!(row, 1 | 4);
        assert_eq!(step(1, 6, true, fits), Some(4));
        assert_eq!(step(4, 6, true, fits), Some(1));
        assert_eq!(step(1, 6, false, fits), Some(4));
        assert_eq!(step(1, 6, true, |row| row == 1), Some(1));
        assert_eq!(step(0, 0, true, fits), None);
    }
}
