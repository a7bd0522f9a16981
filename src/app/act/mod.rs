//! What each key does to the state: an open overlay first, then the panel with the focus, then the tab.

mod asking;
mod columns;
mod comparing;
mod copying;
mod drilling;
mod explaining;
mod export;
mod filing;
mod following;
mod incidents;
mod keeping;
mod moving;
mod order;
mod overlays;
mod palette;
mod privacy;
mod replies;
mod scope;
mod searching;

use crate::app::State;
use crate::app::action::Action;
use crate::app::effect::{Effect, Format, Urgency};
use crate::app::filter_bar::FilterBar;
use crate::app::notice::{Level, Notice};
use crate::app::overlay::{Help, Overlay, TimePicker};
use crate::config::keys::{Key, KeyPress};
use crate::dashboard::DASHBOARDS;

/// How a value under the cursor changes the scope.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) enum Narrow {
    /// Keep rows with it, too.
    Include,
    /// Leave rows with it out.
    Exclude,
    /// Keep rows with it alone.
    Only,
}

impl State {
    pub(in crate::app) fn key(&mut self, key: KeyPress) -> Vec<Effect> {
        if self.notice.as_ref().is_some_and(|notice| notice.level == Level::Done) {
            self.notice = None;
        }
        let action = self.setup.keymap.action(&self.contexts(), key);
        match action {
            Some(Action::QuitNow) => return vec![Effect::Quit],
            Some(Action::Suspend) => return vec![Effect::Suspend],
            Some(Action::Repaint) => return vec![Effect::Repaint],
            _ => {}
        }
        if let Some(overlay) = self.overlay.take() {
            return self.overlay_key(overlay, action, key);
        }
        match (action, key) {
            (Some(action), _) => self.act(action),
            (None, KeyPress { key: Key::Char(digit), ctrl: false, alt: false }) => {
                match DASHBOARDS.iter().position(|dashboard| dashboard.key == digit) {
                    Some(tab) => self.open_tab(tab),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    pub(in crate::app) fn act(&mut self, action: Action) -> Vec<Effect> {
        if !self.allows(action) {
            self.notice = Some(Notice::done(self.refusal()));
            return Vec::new();
        }
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Drill => return self.drill(),
            Action::Back => return self.back(),
            Action::Filter => self.overlay = Some(Overlay::Filter(FilterBar::new())),
            Action::Time => self.overlay = Some(Overlay::Time(TimePicker::new(self.scope.time))),
            Action::Help => self.overlay = Some(Overlay::Help(Help::default())),
            Action::AddFiles => return self.open_add_files(),
            Action::Include => return self.narrow(Narrow::Include),
            Action::Exclude => return self.narrow(Narrow::Exclude),
            Action::Only => return self.narrow(Narrow::Only),
            Action::DropChip => return self.drop_chip(),
            Action::ClearChips => return self.clear_chips(),
            Action::SortNext => return self.sort_step(true),
            Action::SortPrevious => return self.sort_step(false),
            Action::SortFlip => return self.sort_flip(),
            Action::PanEarlier => return self.pan(-1),
            Action::PanLater => return self.pan(1),
            Action::ZoomIn => return self.zoom(true),
            Action::ZoomOut => return self.zoom(false),
            Action::Mark => self.mark(),
            Action::Shade => self.next_shade(),
            Action::Variant => return self.next_variant(),
            Action::Export => return self.export(Format::Csv),
            Action::Acknowledge => return self.acknowledge(),
            Action::Silence => self.open_silence(),
            Action::Note => self.open_note(),
            Action::Evidence => return self.write_evidence(),
            Action::Tune => return self.open_tune(),
            Action::ShowIncident => return self.show_incident(),
            Action::Explain => return self.explain(),
            Action::Compare => return self.next_compare(),
            Action::CopyCell => return self.copy_cell(),
            Action::CopyRow => return self.copy_row(),
            Action::CopyCommand => return self.copy_command(),
            Action::CopyScreen => return self.copy_screen(),
            Action::Search => self.open_search(),
            Action::NextMatch => return self.next_match(true),
            Action::PreviousMatch => return self.next_match(false),
            Action::Columns => self.open_columns(),
            Action::Details => return self.open_details(),
            Action::Journey | Action::JourneyOfRow => return self.open_journey(),
            Action::RetryFile => return self.retry_file(),
            Action::RemoveFile => return self.remove_file(),
            Action::Palette => self.open_palette(""),
            Action::Views => self.open_palette("open "),
            Action::SaveView => self.open_palette("save "),
            Action::Sql => return self.open_sql(None, false),
            Action::SqlOfPanel => return self.open_sql_of_panel(),
            Action::Mask => return self.toggle_mask(),
            Action::NextPanel => self.board_mut().move_focus(true),
            Action::PreviousPanel => self.board_mut().move_focus(false),
            Action::Up | Action::CardPrevious => return self.move_cursor(-1),
            Action::Down | Action::CardNext => return self.move_cursor(1),
            Action::PageUp => return self.move_cursor(-self.page_height()),
            Action::PageDown => return self.move_cursor(self.page_height()),
            Action::Top => return self.move_cursor(isize::MIN),
            Action::Bottom => return self.bottom(),
            Action::Left => self.move_column(false),
            Action::Right => self.move_column(true),
            Action::ScrollDown => self.scroll_detail(true),
            Action::ScrollUp => self.scroll_detail(false),
            Action::CloseDetail => {
                self.detail = None;
                return vec![Effect::ForgetRawRow];
            }
            Action::HistoryBack => return self.history(false),
            Action::HistoryForward => return self.history(true),
            Action::Refresh => return self.ask_visible(Urgency::Anew),
            Action::Pause => return self.pause(),
            Action::Accept
            | Action::Cancel
            | Action::Complete
            | Action::PreviousChoice
            | Action::NextChoice
            | Action::QuitNow
            | Action::Suspend
            | Action::Repaint => {}
        }
        Vec::new()
    }
}
