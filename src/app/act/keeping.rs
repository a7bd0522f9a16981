//! Views kept under a name, and the state that the screen is left in and opens in again.

use crate::app::State;
use crate::app::board::dashboard;
use crate::app::effect::{Effect, Urgency};
use crate::app::filter_bar::FilterBar;
use crate::app::notice::Notice;
use crate::app::overlay::Overlay;
use crate::app::saved::{SavedPanel, SavedView};
use crate::config::Profile;
use crate::dashboard::DASHBOARDS;
use crate::query::field::Field;
use crate::query::question::{Compare, Failure};
use crate::query::scope::Scope;

impl State {
    /// What is worth keeping of the present view.
    pub fn view(&self, name: &str) -> SavedView {
        let board = self.board();
        let panels = board.panels.iter().map(|panel| SavedPanel {
            sort: panel.sort.as_ref().map(|sort| sort.column.clone()).unwrap_or_default(),
            descending: panel.sort.as_ref().is_some_and(|sort| sort.descending),
            variant: panel.variant,
        });
        let mut view = SavedView {
            name: name.to_owned(),
            tab: dashboard(self.tab).title.to_lowercase(),
            compare: self.compare.into(),
            focus: board.focus,
            panels: panels.collect(),
            columns: self.explorer.column_words(),
            ..SavedView::default()
        };
        view.set_scope(&self.scope);
        view
    }

    /// Takes a kept view on, without asking anything.
    pub fn take_on(&mut self, view: &SavedView) {
        if let Some((tab, _)) = self.tabs().find(|(_, tab)| tab.title.eq_ignore_ascii_case(&view.tab)) {
            self.tab = tab;
        }
        self.scope = view.scope();
        self.compare = view.compare.into();
        self.explorer.choose_words(&view.columns);
        let board = self.board_mut();
        if view.focus < board.panels.len() {
            board.focus = view.focus;
        }
        for (panel, kept) in board.panels.iter_mut().zip(&view.panels) {
            panel.sort = kept.order();
            panel.variant = kept.variant;
            panel.cursor = 0;
        }
    }

    /// How the screen opens: as it was left, unless the command line asked for something else.
    pub fn open_as(&mut self, left: Option<&SavedView>, tab: Option<&str>, compare: Option<Compare>, anew: bool) {
        if let Some(left) = left {
            if anew {
                self.explorer.choose_words(&left.columns);
            } else {
                self.take_on(left);
            }
        }
        if self.setup.profile == Profile::Support {
            self.tab = DASHBOARDS.iter().position(|tab| tab.title == "Explorer").unwrap_or(0);
            let mut bar = FilterBar::new();
            bar.line = format!("{}=", Field::Recipient.name()).into();
            bar.changed();
            if !anew {
                // What was looked at before must not hide the recipient of a ticket.
                self.scope = Scope::default();
            }
            self.overlay = Some(Overlay::Filter(bar));
        }
        if let Some((at, _)) = tab.and_then(|name| self.tabs().find(|(_, tab)| tab.title.eq_ignore_ascii_case(name))) {
            self.tab = at;
            self.overlay = None;
        }
        if let Some(compare) = compare {
            self.compare = compare;
        }
    }

    pub(in crate::app) fn save_view(&mut self, name: &str) -> Vec<Effect> {
        let view = self.view(name);
        vec![Effect::SaveView(view)]
    }

    pub(in crate::app) fn open_view(&mut self, name: &str) -> Result<Vec<Effect>, String> {
        let view = self.named(name)?;
        let place = self.place();
        self.trail.leave(place);
        let mut effects = self.forget_tab();
        self.detail = None;
        self.take_on(&view);
        effects.extend(self.rewind_explorer());
        effects.extend(self.ask_visible(Urgency::Now));
        self.notice = Some(Notice::done(format!("view {}", view.name)));
        Ok(effects)
    }

    pub(in crate::app) fn delete_view(&mut self, name: &str) -> Result<Vec<Effect>, String> {
        let view = self.named(name)?;
        Ok(vec![Effect::DeleteView(view.name)])
    }

    fn named(&self, name: &str) -> Result<SavedView, String> {
        let found = self.views.iter().find(|view| view.name == name);
        let found = found.or_else(|| self.views.iter().find(|view| view.name.eq_ignore_ascii_case(name)));
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = self.views.iter().map(|view| view.name.as_str()).collect();
            if names.is_empty() {
                "no view is saved yet; `save NAME` keeps this one".to_owned()
            } else {
                format!("there is no view `{name}`: {}", names.join(", "))
            }
        })
    }

    pub(in crate::app) fn views_changed(&mut self, result: Result<Vec<SavedView>, Failure>) {
        match result {
            Ok(views) => {
                let more = views.len() >= self.views.len();
                self.views = views;
                let text = if more { "view saved · V lists the saved views" } else { "view deleted" };
                self.notice = Some(Notice::done(text));
            }
            Err(failure) => self.notice = Some(Notice::from(failure)),
        }
    }
}
