//! Holding the screen still, and writing a view to a file.

use std::sync::Arc;

use crate::app::State;
use crate::app::board::{dashboard, question};
use crate::app::effect::{Effect, Format, Urgency};
use crate::app::explorer::Explorer;
use crate::app::notice::Notice;
use crate::dashboard::Show;
use crate::insight::flat;
use crate::insight::incident::Incident;
use crate::query::question::Page;

impl State {
    pub(in crate::app) fn pause(&mut self) -> Vec<Effect> {
        self.paused = !self.paused;
        if self.paused { Vec::new() } else { self.ask_visible(Urgency::Now) }
    }

    pub(in crate::app) fn export(&mut self, format: Format) -> Vec<Effect> {
        if self.exporting {
            return Vec::new();
        }
        let index = self.board().focus;
        let Some(panel) = self.focused() else { return Vec::new() };
        if let Some(at) = self.incident_panel(self.tab, index) {
            let incidents: Vec<Incident> = self.listed(self.tab, at).into_iter().cloned().collect();
            let name = self.view_name(panel.title);
            self.exporting = true;
            self.notice = Some(Notice::busy(format!("exporting {name} · esc cancels")));
            return vec![Effect::ExportTable { table: Arc::new(flat::table(&incidents)), name, format }];
        }
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let question = if matches!(panel.show, Show::Events) {
            Some(Explorer::question(&self.scope, state.sort.as_ref(), 0))
        } else {
            question(panel, 0, &state, &self.panel_scope(index).unwrap_or_else(|| self.scope.clone()), self.compare)
        };
        let Some(mut question) = question else { return Vec::new() };
        // The file table is put in order on the screen, its order is no column of the report.
        let sort = if matches!(panel.show, Show::Files) { None } else { question.page.sort.take() };
        question.page = Page { offset: 0, limit: None, sort };
        let name = self.view_name(panel.title);
        self.exporting = true;
        self.notice = Some(Notice::busy(format!("exporting {name} · esc cancels")));
        vec![Effect::Export { question, name, format }]
    }

    /// The view's part of the file name; who writes the file adds scope and time.
    pub(in crate::app) fn view_name(&self, title: &str) -> String {
        let tab = dashboard(self.tab).title;
        slug(&if title.is_empty() || title == tab { tab.to_owned() } else { format!("{tab} {title}") })
    }
}

fn slug(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '.' => out.extend(letter.to_lowercase()),
            _ if out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_matches(['-', '.']).to_owned()
}
