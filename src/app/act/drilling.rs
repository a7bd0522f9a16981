//! Down to the rows behind a number, and back the way we came.

use crate::app::State;
use crate::app::board::{PanelState, filter_text, group};
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;
use crate::app::trail::{Place, behind, order_behind};
use crate::dashboard::{DASHBOARDS, Show};
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::Sort;
use crate::query::scope::Scope;
use crate::query::time::TimeRange;

impl State {
    pub(in crate::app) fn drill(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let (mut filters, column) = match panel.show {
            Show::Events => {
                if self.explorer.row(state.cursor).is_some() {
                    self.detail = Some(0);
                }
                return self.ask_raw_row();
            }
            Show::Cards(cards) => (Vec::new(), cards.get(state.cursor).map_or("", |card| card.column)),
            Show::Trend { .. } | Show::Heatmap(_) | Show::Coverage => return self.drill_map(),
            Show::Insights | Show::Incidents | Show::Timeline | Show::Incident => return self.drill_incident(),
            Show::Distribution => (Vec::new(), "latency"),
            Show::Changes => match self.value_under_cursor() {
                Some((field, value)) => {
                    let metric = self.answer(index).map(|answer| {
                        let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
                        filter_text(answer.table.cell(row, "metric"))
                    });
                    let mut filters = vec![Filter::include(field, value)];
                    filters.extend(behind(metric.as_deref().unwrap_or_default()));
                    (filters, "")
                }
                None => return Vec::new(),
            },
            Show::Table(columns) => match self.value_under_cursor() {
                Some((field, value)) => {
                    let column = columns.get(state.column).map_or("", |column| column.column);
                    let mut filters = vec![Filter::include(field, value)];
                    filters.extend(self.provider_of_reply(field));
                    (filters, column)
                }
                None => return Vec::new(),
            },
            Show::Files => match self.value_under_cursor() {
                Some((field, value)) => (vec![Filter::include(field, value)], ""),
                None => return Vec::new(),
            },
        };
        filters.extend(behind(column));
        let mut scope = narrowed(&self.scope, &filters);
        if matches!(panel.show, Show::Files) {
            // A file's rows may lie outside the time range that is looked at.
            scope.time = TimeRange::All;
        }
        self.descend(scope, order_behind(column))
    }

    /// From a chart or map: a box narrows the scope to itself, a cell leads to its rows.
    fn drill_map(&mut self) -> Vec<Effect> {
        let index = self.board().focus;
        let (Some(panel), Some(map)) = (self.focused(), self.map(index)) else { return Vec::new() };
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let field = group(panel, &state);
        let values = |rows: (usize, usize)| -> Vec<Filter> {
            let values = map.values.get(rows.0..=rows.1).unwrap_or_default();
            field.map(|field| values.iter().map(|value| Filter::include(field, value)).collect()).unwrap_or_default()
        };
        if let Some(selection) = map.selection(&state) {
            let mut scope = narrowed(&self.scope, &values(selection.rows));
            scope.time = map.range(selection.columns).unwrap_or(scope.time);
            self.unmark();
            return self.set_scope(scope);
        }
        let (row, column) = map.cursor(&state);
        let shade = match panel.show {
            Show::Heatmap(shades) => shades.get(state.shade).map_or("", |shade| shade.column),
            _ => "",
        };
        let mut filters = values((row, row));
        filters.extend(behind(shade));
        let mut scope = narrowed(&self.scope, &filters);
        // A chart whose cursor was never moved is about all of it.
        if state.time.is_some() || !matches!(panel.show, Show::Trend { .. }) {
            scope.time = map.range((column, column)).unwrap_or(scope.time);
        }
        self.descend(scope, order_behind(shade))
    }

    /// The provider in a row of replies: the same words from another provider are another row.
    fn provider_of_reply(&self, field: Field) -> Option<Filter> {
        let index = self.board().focus;
        let (answer, state) = (self.answer(index)?, self.board().panels.get(index)?);
        let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
        let provider = filter_text(answer.table.cell(row, Field::Provider.column_name()));
        (field == Field::Reply).then(|| Filter::include(Field::Provider, provider))
    }

    /// Opens the Explorer on a narrower scope; Esc comes back.
    pub(in crate::app) fn descend(&mut self, scope: Scope, sort: Option<Sort>) -> Vec<Effect> {
        let Some(tab) = DASHBOARDS.iter().position(|d| d.panels().any(|panel| matches!(panel.show, Show::Events)))
        else {
            return Vec::new();
        };
        let place = self.place();
        self.trail.descend(place);
        let mut effects = self.forget_tab();
        self.tab = tab;
        self.scope = scope;
        self.detail = None;
        if let Some(state) = self.board_mut().panels.first_mut() {
            *state = PanelState { sort, ..Default::default() };
        }
        effects.extend(self.rewind_explorer());
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    pub(in crate::app) fn back(&mut self) -> Vec<Effect> {
        if self.exporting {
            self.exporting = false;
            self.notice = Some(Notice::done("export cancelled"));
            return vec![Effect::ForgetExport];
        }
        if self.has_error() {
            self.notice = None;
            return Vec::new();
        }
        if self.unmark() {
            return Vec::new();
        }
        if self.detail.take().is_some() {
            return vec![Effect::ForgetRawRow];
        }
        if let Some(place) = self.trail.ascend() {
            return self.restore(place);
        }
        let effects = self.forget_tab();
        if !effects.is_empty() {
            self.notice = Some(Notice::done("cancelled · r asks again"));
        }
        effects
    }

    pub(in crate::app) fn history(&mut self, forward: bool) -> Vec<Effect> {
        let present = self.place();
        let place = if forward { self.trail.forward(present) } else { self.trail.back(present) };
        if let Some(place) = place {
            return self.restore(place);
        }
        let end = if forward { "nothing after this" } else { "nothing before this" };
        self.notice = Some(Notice::done(end));
        Vec::new()
    }

    pub(in crate::app) fn restore(&mut self, place: Place) -> Vec<Effect> {
        let mut effects = self.forget_tab();
        self.tab = place.tab;
        self.scope = place.scope;
        effects.extend(self.rewind_explorer());
        let board = self.board_mut();
        board.focus = place.focus;
        board.panels = place.panels;
        self.detail = place.detail;
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }
}

/// The scope of the rows behind a number: what was entered takes the place of other values that its
/// fields were limited to.
fn narrowed(scope: &Scope, filters: &[Filter]) -> Scope {
    let kept = scope
        .filters()
        .iter()
        .filter(|known| known.exclude || filters.iter().all(|filter| filter.field != known.field));
    Scope::new(scope.time, kept.chain(filters).cloned())
}
