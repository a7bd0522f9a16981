//! In which order a table stands and what it groups by.

use crate::app::State;
use crate::app::board::{group, is_shown};
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;
use crate::dashboard::{Col, Kind, Panel, Show};
use crate::query::field::Field;
use crate::query::question::{Compare, Sort};
use crate::query::table::Unit;

impl State {
    pub(in crate::app) fn sort_step(&mut self, next: bool) -> Vec<Effect> {
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        let names = self.column_names(index);
        let Some(state) = self.board_mut().panels.get_mut(index) else { return Vec::new() };
        if names.is_empty() {
            return Vec::new();
        }
        let now = state.sort.as_ref().and_then(|sort| names.iter().position(|name| *name == sort.column));
        let at = match (now, next) {
            (Some(at), true) => (at + 1) % names.len(),
            (Some(at), false) => (at + names.len() - 1) % names.len(),
            (None, true) => (state.column + usize::from(state.column == 0)).min(names.len() - 1),
            (None, false) => state.column.min(names.len() - 1),
        };
        let at = shown_from(panel, at, next, self.compare, names.len());
        let Some(column) = names.get(at).cloned() else { return Vec::new() };
        let descending = !is_words(panel, at, &column);
        self.sort_by(Sort { column, descending })
    }

    pub(in crate::app) fn sort_flip(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        let Some(state) = self.board().panels.get(index) else { return Vec::new() };
        let sort = match (&state.sort, &panel.show) {
            (Some(sort), _) => Sort { column: sort.column.clone(), descending: !sort.descending },
            // The Explorer's own order is newest first.
            (None, Show::Events) => Sort { column: "event_time".to_owned(), descending: false },
            (None, _) => {
                let names = self.column_names(index);
                let Some(column) = names.get(state.column).cloned() else { return Vec::new() };
                let descending = !is_words(panel, state.column, &column);
                Sort { column, descending }
            }
        };
        self.sort_by(sort)
    }

    pub(in crate::app) fn sort_by(&mut self, sort: Sort) -> Vec<Effect> {
        let index = self.board().focus;
        let events = self.in_explorer();
        if let Some(state) = self.board_mut().panels.get_mut(index) {
            state.sort = Some(sort);
            state.cursor = 0;
        }
        let mut effects = if events { self.rewind_explorer() } else { Vec::new() };
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    pub(in crate::app) fn next_variant(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        if panel.variants.len() < 2 {
            self.notice = Some(Notice::done("this panel has one view only"));
            return Vec::new();
        }
        if let Some(state) = self.board_mut().panels.get_mut(index) {
            let named = group(panel, state).map(Field::report_name);
            state.variant = (state.variant + 1) % panel.variants.len();
            state.cursor = 0;
            let renamed = group(panel, state).map(Field::report_name);
            if let (Some(sort), Some(old), Some(new)) = (&mut state.sort, named, renamed)
                && sort.column == old
            {
                sort.column = new;
            }
        }
        self.ask_visible(Urgency::Now)
    }
}

/// The next column that can be sorted by: changes only where something is compared with.
fn shown_from(panel: &Panel, mut at: usize, next: bool, compare: Compare, count: usize) -> usize {
    let Show::Table(columns) = panel.show else { return at };
    let is_order = |column: &Col| matches!(column.kind, Kind::Value | Kind::Change) && is_shown(column, compare);
    for _ in 0..count {
        if columns.get(at).is_none_or(is_order) {
            break;
        }
        at = if next { (at + 1) % count } else { (at + count - 1) % count };
    }
    at
}

/// Whether a column of a panel holds words, which sort from A to Z.
fn is_words(panel: &Panel, at: usize, name: &str) -> bool {
    match panel.show {
        Show::Table(columns) => columns.get(at).is_some_and(|column| column.unit == Unit::Text),
        Show::Events => !matches!(name, "event_time" | "queued_time" | "delivery_latency_ms" | "size_bytes"),
        Show::Files => at < 3,
        Show::Incidents => !matches!(name, "severity" | "state" | "opened_at" | "lasted"),
        _ => false,
    }
}
