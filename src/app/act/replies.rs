//! What the reply under the cursor means, and what to do about it.

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::overlay::{Overlay, REPLY_CELLS, ReplySheet};
use crate::config::keys::{Key, KeyPress};
use crate::query::field::Field;

impl State {
    /// All that is known of what is under the cursor: a reply, or a file.
    pub(in crate::app) fn open_details(&mut self) -> Vec<Effect> {
        if self.focused().is_none_or(|panel| panel.drill != Some(Field::Reply)) {
            return self.open_file();
        }
        self.overlay = self.reply_under_cursor().map(Overlay::Reply);
        Vec::new()
    }

    fn reply_under_cursor(&self) -> Option<ReplySheet> {
        let index = self.board().focus;
        let (table, state) = (&self.answer(index)?.table, self.board().panels.get(index)?);
        let row = state.cursor.min(table.rows.len().checked_sub(1)?);
        let cells = REPLY_CELLS.iter().map(|(name, column, unit)| (*name, table.cell(row, column).clone(), *unit));
        Some(ReplySheet { cells: cells.filter(|(_, cell, _)| cell.is_there()).collect(), scroll: 0 })
    }

    pub(in crate::app) fn reply_key(
        &mut self,
        mut sheet: ReplySheet,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        match (action, key.key) {
            (Some(Action::Accept), _) | (_, Key::Char('q' | 'i')) => return Vec::new(),
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => sheet.scroll = sheet.scroll.saturating_sub(1),
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => sheet.scroll += 1,
            (_, Key::PageUp) => sheet.scroll = sheet.scroll.saturating_sub(10),
            (_, Key::PageDown) => sheet.scroll += 10,
            _ => {}
        }
        sheet.scroll = sheet.scroll.min(self.geometry.help_end);
        self.overlay = Some(Overlay::Reply(sheet));
        Vec::new()
    }
}
