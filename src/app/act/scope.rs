//! Narrowing and widening what every question is about: filters from under the cursor, zooming, panning.

use crate::app::State;
use crate::app::act::Narrow;
use crate::app::board::{filter_text, group, panel, row_value};
use crate::app::effect::{Effect, Urgency};
use crate::app::explorer::field_of;
use crate::app::notice::Notice;
use crate::app::trail::Place;
use crate::dashboard::Show;
use crate::query::field::{FIELDS, Field};
use crate::query::filter::Filter;
use crate::query::scope::Scope;
use crate::query::time::{DAY, MINUTE, Micros, TimeRange, floor};

impl State {
    pub(in crate::app) fn place(&self) -> Place {
        Place {
            tab: self.tab,
            scope: self.scope.clone(),
            focus: self.board().focus,
            panels: self.board().panels.clone(),
            detail: self.detail,
            from: self.trail.from.clone(),
        }
    }

    /// Another scope on the same tab.
    pub(in crate::app) fn set_scope(&mut self, scope: Scope) -> Vec<Effect> {
        if scope == self.scope {
            return Vec::new();
        }
        let place = self.place();
        self.trail.leave(place);
        self.scope = scope;
        self.detail = None;
        let mut effects = self.rewind_explorer();
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    /// The Explorer's pages answer another scope or order now.
    pub(in crate::app) fn rewind_explorer(&mut self) -> Vec<Effect> {
        for (tab, board) in self.boards.iter_mut().enumerate() {
            for (index, state) in board.panels.iter_mut().enumerate() {
                if panel(tab, index).is_some_and(|panel| matches!(panel.show, Show::Events)) {
                    state.cursor = 0;
                }
            }
        }
        self.explorer.reset().into_iter().map(Effect::Forget).collect()
    }

    pub(in crate::app) fn set_time(&mut self, time: TimeRange) -> Vec<Effect> {
        let mut scope = self.scope.clone();
        scope.time = time;
        self.set_scope(scope)
    }

    pub(in crate::app) fn drop_chip(&mut self) -> Vec<Effect> {
        let mut scope = self.scope.clone();
        scope.remove(scope.filters().len().saturating_sub(1));
        self.set_scope(scope)
    }

    pub(in crate::app) fn clear_chips(&mut self) -> Vec<Effect> {
        let mut scope = self.scope.clone();
        scope.clear();
        self.set_scope(scope)
    }

    /// The field and value under the cursor.
    pub(in crate::app) fn value_under_cursor(&self) -> Option<(Field, String)> {
        let index = self.board().focus;
        let panel = self.focused()?;
        let state = self.board().panels.get(index)?;
        match panel.show {
            Show::Table(_) => {
                let answer = self.answer(index)?;
                let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
                row_value(panel, state, &answer.table, row)
            }
            Show::Events => {
                let (column, value) = self.event_cell()?;
                Some((field_of(column)?, filter_text(value)))
            }
            Show::Files => {
                let rows = self.file_rows();
                let file = rows.get(state.cursor.min(rows.len().saturating_sub(1)))?;
                Some((Field::File, file.name.clone()))
            }
            Show::Heatmap(_) | Show::Coverage => {
                let map = self.map(index)?;
                let (row, _) = map.cursor(state);
                Some((group(panel, state)?, map.values.get(row)?.clone()))
            }
            Show::Changes => {
                let table = &self.answer(index)?.table;
                let row = state.cursor.min(table.rows.len().saturating_sub(1));
                let name = table.cell(row, "field").as_text()?;
                let field = FIELDS.iter().copied().find(|field| field.report_name() == name)?;
                Some((field, filter_text(table.cell(row, "value"))))
            }
            Show::Insights | Show::Incidents | Show::Timeline | Show::Incident => {
                let (name, value) = self.incident()?.scope.first_key_value()?;
                Some((Field::parse(name)?, value.clone()))
            }
            Show::Cards(_) | Show::Trend { .. } | Show::Distribution => None,
        }
    }

    /// The field and value of a table's cell that is about another field than its row: the reply class that is
    /// met most, or the provider of a reply.
    fn column_value(&self) -> Option<(Field, String)> {
        let index = self.board().focus;
        let (panel, state) = (self.focused()?, self.board().panels.get(index)?);
        if !matches!(panel.show, Show::Table(_)) {
            return None;
        }
        let names = self.column_names(index);
        let name = names.get(state.column)?;
        let field = Field::parse(name.strip_prefix("top_").unwrap_or(name))?;
        let answer = self.answer(index)?;
        let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
        let words = answer.table.cell(row, name).as_text().filter(|words| !words.is_empty())?;
        (group(panel, state) != Some(field)).then(|| (field, words.to_owned()))
    }

    pub(in crate::app) fn narrow(&mut self, how: Narrow) -> Vec<Effect> {
        let Some((field, value)) = self.column_value().or_else(|| self.value_under_cursor()) else {
            self.notice = Some(Notice::done("nothing to filter by here: move to a cell with h and l"));
            return Vec::new();
        };
        let mut scope = self.scope.clone();
        match how {
            Narrow::Include => scope.add(Filter::include(field, value)),
            Narrow::Exclude => scope.add(Filter::exclude(field, value)),
            Narrow::Only => scope.only(Filter::include(field, value)),
        }
        self.set_scope(scope)
    }

    /// The time range with both ends, as far as they are known.
    pub fn resolved(&self) -> Option<(Micros, Micros)> {
        let (from, until) = self.scope.time.resolve(self.now);
        let table = self.trust.shown_answer().map(|answer| &answer.table);
        let edge = |column: &str| table.map(|table| table.numbers(column)).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of this age fit")]
        let oldest = || edge("from").into_iter().flatten().reduce(f64::min).map(|time| time as Micros);
        let from = from.or_else(oldest)?;
        let until = until.or(self.now.map(|now| now + 1))?;
        (until > from).then_some((from, until))
    }

    /// The time range of the box on the chart or map with the focus.
    pub(in crate::app) fn boxed_time(&self) -> Option<TimeRange> {
        let index = self.board().focus;
        let (map, state) = (self.map(index)?, self.board().panels.get(index)?);
        map.range(map.selection(state)?.columns)
    }

    pub(in crate::app) fn zoom(&mut self, nearer: bool) -> Vec<Effect> {
        if let Some(range) = self.boxed_time().filter(|_| nearer) {
            self.unmark();
            return self.set_time(range);
        }
        let time = match self.scope.time {
            TimeRange::Last(span) if nearer => TimeRange::Last((span / 2).max(MINUTE)),
            TimeRange::Last(span) => TimeRange::Last((span * 2).min(3660 * DAY)),
            TimeRange::All if !nearer => return Vec::new(),
            _ => {
                let Some((from, until)) = self.resolved() else { return Vec::new() };
                let (middle, span) = (from + (until - from) / 2, until - from);
                let half = if nearer { (span / 4).max(MINUTE) } else { span.min(3660 * DAY) };
                to_minutes(middle - half, middle + half)
            }
        };
        self.set_time(time)
    }

    pub(in crate::app) fn pan(&mut self, quarters: Micros) -> Vec<Effect> {
        let Some((from, until)) = self.resolved() else { return Vec::new() };
        let step = ((until - from) / 4).max(MINUTE) * quarters;
        let range = to_minutes(from + step, until + step);
        self.set_time(range)
    }
}

fn to_minutes(from: Micros, until: Micros) -> TimeRange {
    TimeRange::Between(Some(floor(from, MINUTE)), Some(floor(until + MINUTE - 1, MINUTE)))
}
