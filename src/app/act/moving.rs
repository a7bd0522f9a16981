//! Moving the cursor and opening tabs.

use crate::app::board::is_shown;
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;
use crate::app::{State, is_followed};
use crate::dashboard::Show;

impl State {
    pub(in crate::app) fn open_tab(&mut self, tab: usize) -> Vec<Effect> {
        if tab == self.tab {
            return Vec::new();
        }
        if !self.tabs().any(|(at, _)| at == tab) {
            self.notice = Some(Notice::done(self.refusal()));
            return Vec::new();
        }
        let mut effects = self.forget_tab();
        self.tab = tab;
        self.detail = None;
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    pub(in crate::app) fn page_height(&self) -> isize {
        let view = self.geometry.views.get(&(self.tab, self.board().focus));
        isize::try_from(view.map_or(10, |view| view.rows.saturating_sub(1)).max(1)).unwrap_or(10)
    }

    pub(in crate::app) fn move_cursor(&mut self, step: isize) -> Vec<Effect> {
        let index = self.board().focus;
        let last = self.row_count(index).saturating_sub(1);
        // A timeline's lines are the rows of the table above it; a sheet is scrolled.
        let on_timeline = self.focused().is_some_and(|panel| matches!(panel.show, Show::Timeline));
        let index = if on_timeline { self.incident_panel(self.tab, index).unwrap_or(index) } else { index };
        let Some(state) = self.board_mut().panels.get_mut(index) else { return Vec::new() };
        state.cursor = state.cursor.min(last).saturating_add_signed(step).min(last);
        if self.in_explorer() {
            if self.detail.is_some() {
                self.detail = Some(0);
            }
            let mut effects = self.ask_raw_row();
            effects.extend(self.ask_visible(Urgency::Now));
            return effects;
        }
        if is_followed(self.tab, index) { self.ask_visible(Urgency::Now) } else { Vec::new() }
    }

    /// One time to the left or right on a chart or map.
    fn move_time(&mut self, right: bool) {
        let index = self.board().focus;
        let Some(map) = self.map(index) else { return };
        let step = self.geometry.views.get(&(self.tab, index)).map_or(1, |view| view.step).max(1);
        let Some(state) = self.board_mut().panels.get_mut(index) else { return };
        let last = map.times.len().saturating_sub(1);
        let column = map.column(state.time);
        let column = if right { (column + step).min(last) } else { column.saturating_sub(step) };
        // On the newest the cursor stays there when newer ones come in.
        state.time = if column == last { None } else { map.times.get(column).copied() };
    }

    /// Begins a box at the cursor, or gives it up.
    pub(in crate::app) fn mark(&mut self) {
        let index = self.board().focus;
        let is_area = matches!(self.focused().map(|panel| &panel.show), Some(Show::Trend { .. } | Show::Heatmap(_)));
        let Some(map) = self.map(index).filter(|_| is_area) else { return };
        let Some(state) = self.board_mut().panels.get_mut(index) else { return };
        let (row, column) = map.cursor(state);
        state.mark = match state.mark {
            Some(_) => None,
            None => map.times.get(column).map(|time| (row, *time)),
        };
    }

    /// Colours the map by its next measure.
    pub(in crate::app) fn next_shade(&mut self) {
        let index = self.board().focus;
        let Some(Show::Heatmap(shades)) = self.focused().map(|panel| &panel.show) else { return };
        if let Some(state) = self.board_mut().panels.get_mut(index) {
            state.shade = (state.shade + 1) % shades.len().max(1);
        }
    }

    /// Gives a box up; true if there was one.
    pub(in crate::app) fn unmark(&mut self) -> bool {
        let index = self.board().focus;
        self.board_mut().panels.get_mut(index).is_some_and(|state| state.mark.take().is_some())
    }

    /// The last row. How many rows a scope has is not known without counting them, so the Explorer
    /// shows the other end of the order instead, which costs one page.
    pub(in crate::app) fn bottom(&mut self) -> Vec<Effect> {
        if !self.in_explorer() || self.explorer.end.is_some() {
            return self.move_cursor(isize::MAX);
        }
        self.notice = Some(Notice::done("order turned around: the last rows come first · s turns it back"));
        self.sort_flip()
    }

    pub(in crate::app) fn move_column(&mut self, right: bool) {
        let index = self.board().focus;
        let (Some(panel), compare) = (self.focused(), self.compare) else { return };
        if matches!(panel.show, Show::Trend { .. } | Show::Heatmap(_) | Show::Coverage) {
            return self.move_time(right);
        }
        if matches!(panel.show, Show::Timeline) {
            return self.move_on_timeline(right);
        }
        let last = self.column_names(index).len().saturating_sub(1);
        let Some(state) = self.board_mut().panels.get_mut(index) else { return };
        let step = |at: usize| if right { (at + 1).min(last) } else { at.min(last).saturating_sub(1) };
        state.column = step(state.column);
        // Over columns that are not there.
        if let Show::Table(columns) = panel.show {
            while columns.get(state.column).is_some_and(|column| !is_shown(column, compare))
                && step(state.column) != state.column
            {
                state.column = step(state.column);
            }
        }
    }

    pub(in crate::app) fn scroll_detail(&mut self, down: bool) {
        let end = self.geometry.detail_end;
        if let Some(scroll) = &mut self.detail {
            *scroll = if down { (*scroll + 10).min(end) } else { scroll.saturating_sub(10) };
        }
    }
}
