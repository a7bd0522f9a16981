//! What a profile shows and allows (SPEC §12), and hiding recipients.

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;
use crate::config::Profile;

impl State {
    /// Whether the profile may do this.
    pub fn allows(&self, action: Action) -> bool {
        // From a card to the incident there are no rows yet.
        let rows = (action == Action::Drill && !self.is_on_card())
            || matches!(
                action,
                Action::Acknowledge
                    | Action::Silence
                    | Action::Note
                    | Action::Evidence
                    | Action::Tune
                    | Action::ShowIncident
                    | Action::Sql
                    | Action::Details
                    | Action::Journey
                    | Action::JourneyOfRow
                    | Action::SqlOfPanel
                    | Action::RetryFile
                    | Action::RemoveFile
                    | Action::AddFiles
                    | Action::Columns
            );
        match self.setup.profile {
            Profile::Engineer | Profile::Support => true,
            Profile::Viewer => action != Action::Mask,
            Profile::Management => !rows && action != Action::Mask,
        }
    }

    /// Whether the profile may run a command of the palette.
    pub(in crate::app) fn allows_command(&self, name: &str) -> bool {
        name != "sql" || self.allows(Action::Sql)
    }

    /// Why it may not.
    pub(in crate::app) fn refusal(&self) -> String {
        format!("the profile `{}` does not show this; `profile` in the settings changes it", self.setup.profile.name())
    }

    pub(in crate::app) fn toggle_mask(&mut self) -> Vec<Effect> {
        self.masked = !self.masked;
        self.notice = Some(Notice::done(if self.masked {
            "recipients are hidden: on screen, in copies, exports and SQL"
        } else {
            "recipients are shown"
        }));
        // Nothing that was answered before may be seen any more, in either way.
        let mut effects = vec![Effect::Mask(self.masked), Effect::ForgetRawRow];
        if self.masked {
            self.incidents.hide();
        }
        self.sql_left = None;
        self.detail = None;
        effects.extend(self.forget_tab());
        effects
            .extend(self.explorer.clear().into_keys().map(|page| Effect::Forget(crate::app::slot::SlotId::Page(page))));
        for board in &mut self.boards {
            board.slots.clear();
        }
        effects.extend(self.ask_visible(Urgency::Anew));
        effects
    }

    /// Reads the row under the cursor as it stands in its log file, while the detail pane is open.
    pub(in crate::app) fn ask_raw_row(&mut self) -> Vec<Effect> {
        if self.detail.is_none() {
            return Vec::new();
        }
        let cursor = self.board().panels.get(self.board().focus).map_or(0, |state| state.cursor);
        match self.explorer.row_id(cursor) {
            Some(row) => vec![Effect::RawRow { row }],
            None => Vec::new(),
        }
    }
}
