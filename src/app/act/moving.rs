//! Moving the cursor and opening tabs.

use crate::app::State;
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;

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
        Vec::new()
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
        let last = self.column_names(index).len().saturating_sub(1);
        let Some(state) = self.board_mut().panels.get_mut(index) else { return };
        state.column = if right { (state.column + 1).min(last) } else { state.column.min(last).saturating_sub(1) };
    }

    pub(in crate::app) fn scroll_detail(&mut self, down: bool) {
        let end = self.geometry.detail_end;
        if let Some(scroll) = &mut self.detail {
            *scroll = if down { (*scroll + 10).min(end) } else { scroll.saturating_sub(10) };
        }
    }
}
