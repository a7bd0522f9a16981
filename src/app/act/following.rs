//! From an event to the life of its message, and back to the event.

use std::sync::Arc;

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::notice::Notice;
use crate::app::overlay::{JourneySheet, Overlay};
use crate::config::keys::{Key, KeyPress};
use crate::dashboard::Show;
use crate::journey::Journeys;
use crate::query::question::Failure;

impl State {
    /// Follows the message under the cursor of the Explorer.
    pub(in crate::app) fn open_journey(&mut self) -> Vec<Effect> {
        if !self.focused().is_some_and(|panel| matches!(panel.show, Show::Events)) {
            self.notice = Some(Notice::done("this is for the events of the Explorer"));
            return Vec::new();
        }
        let cursor = self.board().panels.get(self.board().focus).map_or(0, |state| state.cursor);
        let Some(row) = self.explorer.row_id(cursor) else { return Vec::new() };
        self.serial += 1;
        self.overlay = Some(Overlay::Journey(Box::new(JourneySheet { found: None, serial: self.serial, scroll: 0 })));
        vec![Effect::Journey { serial: self.serial, row }]
    }

    pub(in crate::app) fn journey_key(
        &mut self,
        mut sheet: Box<JourneySheet>,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        match (action, key.key) {
            (Some(Action::Accept), _) | (_, Key::Char('q')) => return Vec::new(),
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => sheet.scroll = sheet.scroll.saturating_sub(1),
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => sheet.scroll += 1,
            (_, Key::Home | Key::Char('g')) => sheet.scroll = 0,
            (_, Key::End | Key::Char('G')) => sheet.scroll = usize::MAX,
            (_, Key::PageUp) => sheet.scroll = sheet.scroll.saturating_sub(10),
            (_, Key::PageDown) => sheet.scroll = sheet.scroll.saturating_add(10),
            _ => {}
        }
        sheet.scroll = sheet.scroll.min(self.geometry.help_end);
        self.overlay = Some(Overlay::Journey(sheet));
        Vec::new()
    }

    pub(in crate::app) fn journey_found(&mut self, serial: u64, found: Result<Arc<Journeys>, Failure>) {
        if let Some(Overlay::Journey(sheet)) = &mut self.overlay
            && sheet.serial == serial
        {
            sheet.found = Some(found);
        }
    }
}
