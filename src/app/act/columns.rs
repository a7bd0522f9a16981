//! Choosing the Explorer's columns and their order.

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::explorer::EVENT_COLUMNS;
use crate::app::notice::Notice;
use crate::app::overlay::{Chooser, Overlay};
use crate::config::keys::{Key, KeyPress};

impl State {
    pub(in crate::app) fn open_columns(&mut self) {
        if !self.in_explorer() {
            self.notice = Some(Notice::done("columns are chosen in the Explorer"));
            return;
        }
        let shown = self.explorer.shown();
        let hidden = (0..EVENT_COLUMNS.len()).filter(|at| !shown.contains(at));
        let columns = shown.iter().map(|at| (*at, true)).chain(hidden.map(|at| (at, false))).collect();
        let chosen = self.board().panels.get(self.board().focus).map_or(0, |state| state.column);
        self.overlay = Some(Overlay::Columns(Chooser { columns, chosen }));
    }

    pub(in crate::app) fn columns_key(
        &mut self,
        mut chooser: Chooser,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let last = chooser.columns.len().saturating_sub(1);
        let at = chooser.chosen.min(last);
        let swap = |chooser: &mut Chooser, to: usize| {
            chooser.columns.swap(at, to);
            chooser.chosen = to;
        };
        match (action, key.key) {
            (Some(Action::Accept), _) => {
                let shown: Vec<usize> = chooser.columns.iter().filter(|(_, shown)| *shown).map(|(at, _)| *at).collect();
                self.explorer.choose(shown);
                let last = self.explorer.shown().len().saturating_sub(1);
                let focus = self.board().focus;
                if let Some(state) = self.board_mut().panels.get_mut(focus) {
                    state.column = state.column.min(last);
                }
                return Vec::new();
            }
            (_, Key::Char('K' | '<')) => swap(&mut chooser, at.saturating_sub(1)),
            (_, Key::Char('J' | '>')) => swap(&mut chooser, (at + 1).min(last)),
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => chooser.chosen = at.saturating_sub(1),
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => chooser.chosen = (at + 1).min(last),
            (_, Key::Char(' ')) => {
                if let Some((_, shown)) = chooser.columns.get_mut(at) {
                    *shown = !*shown;
                }
                chooser.chosen = (at + 1).min(last);
            }
            (_, Key::Char('a')) => chooser.columns.iter_mut().for_each(|(_, shown)| *shown = true),
            (_, Key::Char('d')) => chooser.columns = (0..EVENT_COLUMNS.len()).map(|at| (at, true)).collect(),
            _ => {}
        }
        self.overlay = Some(Overlay::Columns(chooser));
        Vec::new()
    }
}
