//! Decides: everything that changes what is on the screen passes through [`update`]. No tokio, no
//! files, no clock, no terminal; what must be done outside is returned as [`Effect`]s.

mod act;
pub mod action;
pub mod board;
pub mod distribution;
pub mod effect;
pub mod explaining;
pub mod explorer;
pub mod files;
pub mod filter_bar;
pub mod fuzzy;
pub mod incidents;
pub mod input;
pub mod keymap;
pub mod map;
pub mod notice;
pub mod overlay;
pub mod palette;
pub mod saved;
pub mod shell;
pub mod slot;
pub mod sql_prompt;
pub mod sql_text;
pub mod trail;
pub mod tuning;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::app::action::Context;
use crate::app::board::{Board, dashboard, panel, question, row_value, shared};
use crate::app::effect::{Effect, Urgency};
use crate::app::explorer::Explorer;
use crate::app::files::{Incoming, belongs};
use crate::app::incidents::Incidents;
use crate::app::input::Input;
use crate::app::keymap::Keymap;
use crate::app::map::Map;
use crate::app::notice::{Level, Notice};
use crate::app::overlay::Overlay;
use crate::app::saved::SavedView;
use crate::app::slot::{Arrival, Slot, SlotId, Ticket};
use crate::app::sql_prompt::SqlPrompt;
use crate::app::trail::Trail;
use crate::config::Profile;
use crate::config::theme::{Ability, Theme};
use crate::dashboard::{DASHBOARDS, Dashboard, Panel, Show};
use crate::ingest::progress::{Progress, Status};
use crate::insight::rule::Rule;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::{Answer, Compare, Failure, Question, Report};
use crate::query::scope::Scope;
use crate::query::table::{Table, Value};
use crate::query::time::Micros;

/// What does not change while the screen is open.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The host's name, for the header.
    pub host: String,
    /// The folders that are watched.
    pub inboxes: Vec<PathBuf>,
    /// Who watches them, if it is another process.
    pub owner: Option<String>,
    /// Which key does what.
    pub keymap: Keymap,
    /// Colours.
    pub theme: Theme,
    /// What the terminal can show.
    pub ability: Option<Ability>,
    /// Who looks.
    pub profile: Profile,
    /// The rules that are at work.
    pub rules: Vec<Rule>,
}

/// How a panel was drawn last: what paging and scrolling go by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Rows of data that fit.
    pub rows: usize,
    /// The first row shown.
    pub top: usize,
    /// The first column shown.
    pub left: usize,
    /// Cells of a map, or minutes of a timeline, in one column of the terminal; 0 as 1.
    pub step: usize,
}

/// The layout of the last frame. `ui::draw` returns it, the loop stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geometry {
    /// By tab and panel.
    pub views: BTreeMap<(usize, usize), View>,
    /// One panel at a time, besides the KPI numbers.
    pub compact: bool,
    /// The help can be scrolled this far.
    pub help_end: usize,
    /// The detail pane can be scrolled this far.
    pub detail_end: usize,
}

/// Everything that the screen shows.
#[derive(Debug, Clone)]
pub struct State {
    /// What does not change.
    pub setup: Setup,
    /// The open tab.
    pub tab: usize,
    /// What every question is about.
    pub scope: Scope,
    /// What numbers are compared with.
    pub compare: Compare,
    /// One for each tab.
    pub boards: Vec<Board>,
    /// The Explorer's pages.
    pub explorer: Explorer,
    /// The file table behind the trust bar.
    pub trust: Slot,
    /// Files on their way in.
    pub incoming: Incoming,
    /// What rules found.
    pub incidents: Incidents,
    /// The catalog's commit number.
    pub generation: u64,
    /// The newest event.
    pub now: Option<Micros>,
    /// The screen holds still.
    pub paused: bool,
    /// What lies over the tab.
    pub overlay: Option<Overlay>,
    /// The detail pane's scroll, if it is open.
    pub detail: Option<usize>,
    /// The latest message.
    pub notice: Option<Notice>,
    /// How we got here.
    pub trail: Trail,
    /// An export is running.
    pub exporting: bool,
    /// Recipients are hidden.
    pub masked: bool,
    /// The saved views.
    pub views: Vec<SavedView>,
    /// Statements of the SQL prompt, the newest last.
    pub sql_history: Vec<String>,
    /// The SQL prompt as it was left.
    sql_left: Option<Box<SqlPrompt>>,
    /// What was searched for.
    pub find: Option<String>,
    /// Ticks so far: which frame an animation is at.
    pub ticks: u64,
    /// The layout of the last frame.
    pub geometry: Geometry,
    /// Paths added on the screen: what becomes of them is said.
    added: Vec<PathBuf>,
    /// The file that is being removed.
    removing: Option<PathBuf>,
    serial: u64,
}

impl State {
    /// A screen that opens on the first tab.
    pub fn new(setup: Setup, scope: Scope) -> Self {
        Self {
            setup,
            tab: 0,
            scope,
            compare: Compare::Before,
            boards: DASHBOARDS.iter().map(|dashboard| Board::new(dashboard)).collect(),
            explorer: Explorer::default(),
            trust: Slot::default(),
            incoming: Incoming::default(),
            incidents: Incidents::default(),
            generation: 0,
            now: None,
            paused: false,
            overlay: None,
            detail: None,
            notice: None,
            trail: Trail::default(),
            exporting: false,
            masked: false,
            views: Vec::new(),
            sql_history: Vec::new(),
            sql_left: None,
            find: None,
            ticks: 0,
            geometry: Geometry::default(),
            added: Vec::new(),
            removing: None,
            serial: 0,
        }
    }

    /// What must be asked before anything happens.
    pub fn start(&mut self) -> Vec<Effect> {
        let mut effects = self.ask_visible(Urgency::Now);
        effects.extend(self.ask_trust());
        effects
    }

    /// The open tab's board.
    pub fn board(&self) -> &Board {
        self.boards.get(self.tab).unwrap_or(&self.boards[0])
    }

    fn board_mut(&mut self) -> &mut Board {
        let tab = if self.tab < self.boards.len() { self.tab } else { 0 };
        &mut self.boards[tab]
    }

    /// The panel with the focus.
    pub fn focused(&self) -> Option<&'static Panel> {
        panel(self.tab, self.board().focus)
    }

    /// Whether the Explorer's table has the focus.
    pub fn in_explorer(&self) -> bool {
        self.focused().is_some_and(|panel| matches!(panel.show, Show::Events))
    }

    /// Whether nothing was ever taken in, as far as is known.
    pub fn is_catalog_empty(&self) -> bool {
        self.now.is_none() && self.trust.shown_answer().is_some_and(|answer| answer.table.is_empty())
    }

    /// Whether something on the screen moves by itself.
    pub fn is_animated(&self) -> bool {
        let runs = match &self.overlay {
            Some(Overlay::Sql(prompt)) => prompt.running.is_some(),
            Some(Overlay::Explain(explaining)) => explaining.found.is_none(),
            Some(Overlay::Tune(tune)) => tune.replay.is_none(),
            _ => false,
        };
        self.is_asking() || self.incoming.is_active() || self.exporting || runs
    }

    /// Whether a question of the open tab is in flight.
    pub fn is_asking(&self) -> bool {
        self.board().slots.values().any(Slot::is_asking)
            || (self.shows_events() && self.explorer.pages.values().any(Slot::is_asking))
    }

    /// The places a key is looked up in, the innermost first.
    pub fn contexts(&self) -> Vec<Context> {
        if self.overlay.is_some() {
            return vec![Context::Prompt, Context::Always];
        }
        let mut contexts = Vec::new();
        if self.detail.is_some() {
            contexts.push(Context::Detail);
        }
        match self.focused().map(|panel| &panel.show) {
            Some(Show::Cards(_)) => contexts.push(Context::Cards),
            Some(Show::Trend { .. }) => contexts.push(Context::Trend),
            Some(Show::Heatmap(_) | Show::Coverage) => contexts.extend([Context::Trend, Context::Table]),
            Some(Show::Table(_) | Show::Events | Show::Files | Show::Changes) => contexts.push(Context::Table),
            Some(Show::Incidents) => contexts.extend([Context::Incidents, Context::Table]),
            Some(Show::Insights | Show::Timeline | Show::Incident) => contexts.push(Context::Incidents),
            Some(Show::Distribution) => {}
            None => {}
        }
        contexts.extend([Context::View, Context::Always]);
        contexts
    }

    /// Whether the open tab shows the Explorer.
    fn shows_events(&self) -> bool {
        dashboard(self.tab).panels().any(|panel| matches!(panel.show, Show::Events))
    }

    fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        match id {
            SlotId::Trust => Some(&mut self.trust),
            SlotId::Page(page) => self.explorer.pages.get_mut(&page),
            SlotId::Panel { tab, panel, ask } => self.boards.get_mut(tab)?.slots.get_mut(&(panel, ask)),
        }
    }

    /// Asks a slot's question if its answer is not there yet.
    fn ask(&mut self, id: SlotId, question: Question, generation: u64, urgency: Urgency) -> Option<Effect> {
        let slot = match id {
            SlotId::Trust => &mut self.trust,
            SlotId::Page(page) => self.explorer.pages.entry(page).or_default(),
            SlotId::Panel { tab, panel, ask } => self.boards.get_mut(tab)?.slots.entry((panel, ask)).or_default(),
        };
        if !slot.wants(&question, generation) && urgency == Urgency::Now {
            return None;
        }
        self.serial += 1;
        let ticket = Ticket { slot: id, serial: self.serial };
        slot.ask(ticket, question.clone(), generation);
        Some(Effect::Ask { ticket, question, urgency })
    }

    /// Asks whatever the open tab needs and does not have.
    fn ask_visible(&mut self, urgency: Urgency) -> Vec<Effect> {
        let tab = self.tab;
        let dashboard = dashboard(tab);
        let mut effects = Vec::new();
        let mut done = Vec::new();
        for (index, panel) in dashboard.panels().enumerate() {
            if matches!(panel.show, Show::Events) {
                effects.extend(self.ask_pages(index, urgency));
                continue;
            }
            for ask in 0..panel.asks.len() {
                let at = shared(dashboard, index, ask);
                if done.contains(&at) {
                    continue;
                }
                done.push(at);
                let state = self.board().panels.get(index).cloned().unwrap_or_default();
                let Some(scope) = self.panel_scope(index) else { continue };
                let Some(question) = question(panel, ask, &state, &scope, self.compare) else { continue };
                let id = SlotId::Panel { tab, panel: at.0, ask: at.1 };
                effects.extend(self.ask(id, question, self.generation, urgency));
            }
        }
        effects
    }

    /// What a panel of the open tab is about: the scope, narrowed to the row that it follows. `None` while
    /// that is not known.
    pub fn panel_scope(&self, index: usize) -> Option<Scope> {
        let Some(followed) = panel(self.tab, index).and_then(|panel| panel.follows) else {
            return Some(self.scope.clone());
        };
        match self.followed_value(followed) {
            Some((field, value)) => {
                let mut scope = self.scope.clone();
                scope.only(Filter::include(field, value));
                Some(scope)
            }
            // While nothing can be followed the whole scope is better than nothing.
            None => (!self.board().slot(dashboard(self.tab), followed, 0).is_none_or(Slot::is_asking))
                .then(|| self.scope.clone()),
        }
    }

    /// The value under the cursor of a panel that another one follows.
    pub fn followed_value(&self, index: usize) -> Option<(Field, String)> {
        let (panel, state) = (panel(self.tab, index)?, self.board().panels.get(index)?);
        let answer = self.answer(index)?;
        let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
        row_value(panel, state, &answer.table, row)
    }

    /// The map of a panel of the open tab.
    pub fn map(&self, index: usize) -> Option<Map> {
        let slot = self.board().slot(dashboard(self.tab), index, 0)?;
        Map::of(slot.shown_answer()?, slot.shown_question()?)
    }

    /// Asks the Explorer's pages around its cursor. While the user reads somewhere below the first
    /// row, new rows do not push the table away under the cursor.
    fn ask_pages(&mut self, index: usize, urgency: Urgency) -> Vec<Effect> {
        let (cursor, sort) = match self.board().panels.get(index) {
            Some(state) => (state.cursor, state.sort.clone()),
            None => (0, None),
        };
        let follows = cursor == 0 && self.detail.is_none();
        if follows || urgency == Urgency::Anew || self.explorer.generation.is_none() {
            self.explorer.generation = Some(self.generation);
        }
        let generation = self.explorer.generation.unwrap_or_default();
        let mut effects: Vec<Effect> = self.explorer.keep_near(cursor).into_iter().map(Effect::Forget).collect();
        for page in self.explorer.wanted(cursor) {
            let question = Explorer::question(&self.scope, sort.as_ref(), page);
            effects.extend(self.ask(SlotId::Page(page), question, generation, urgency));
        }
        effects
    }

    fn ask_trust(&mut self) -> Option<Effect> {
        let question = Question::new(Report::Files, Scope::default());
        self.ask(SlotId::Trust, question, self.generation, Urgency::Now)
    }

    /// Stops every question of the open tab; what to tell the outside.
    fn forget_tab(&mut self) -> Vec<Effect> {
        let tab = self.tab;
        let mut effects = Vec::new();
        for ((panel, ask), slot) in &mut self.board_mut().slots {
            if slot.is_asking() && slot.forget() {
                effects.push(Effect::Forget(SlotId::Panel { tab, panel: *panel, ask: *ask }));
            }
        }
        if self.shows_events() {
            for (page, slot) in &mut self.explorer.pages {
                if slot.is_asking() && slot.forget() {
                    effects.push(Effect::Forget(SlotId::Page(*page)));
                }
            }
        }
        effects
    }

    /// Drops the answers of an empty catalog: shown for a moment after the first data came in, they would say
    /// that there is none.
    fn forget_nothing(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (tab, board) in self.boards.iter_mut().enumerate() {
            let mut kept = BTreeMap::new();
            for ((panel, ask), slot) in std::mem::take(&mut board.slots) {
                if slot.shown_question().is_some_and(|question| question.report == Report::Files) {
                    kept.insert((panel, ask), slot);
                } else if slot.is_asking() {
                    effects.push(Effect::Forget(SlotId::Panel { tab, panel, ask }));
                }
            }
            board.slots = kept;
        }
        let pages = self.explorer.clear();
        let asking = pages.into_iter().filter(|(_, slot)| slot.is_asking());
        effects.extend(asking.map(|(page, _)| Effect::Forget(SlotId::Page(page))));
        effects
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.trust.tick();
        match &mut self.overlay {
            Some(Overlay::Sql(prompt)) => {
                if let Some((_, waited)) = &mut prompt.running {
                    *waited = waited.saturating_add(1);
                }
            }
            Some(Overlay::Explain(explaining)) if explaining.found.is_none() => explaining.waited += 1,
            _ => {}
        }
        for slot in self.board_mut().slots.values_mut() {
            slot.tick();
        }
        for slot in self.explorer.pages.values_mut() {
            slot.tick();
        }
    }

    fn catalog(&mut self, generation: u64, now: Option<Micros>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.now.is_none() && now.is_some() {
            effects.extend(self.forget_nothing());
        }
        self.generation = generation;
        self.now = now;
        if !self.paused {
            effects.extend(self.ask_visible(Urgency::Now));
        }
        effects.extend(self.ask_trust());
        effects
    }

    fn answered(&mut self, ticket: Ticket, answer: Result<Arc<Answer>, Failure>) -> Vec<Effect> {
        let marks = self.marks(ticket.slot);
        let Some(slot) = self.slot_mut(ticket.slot) else { return Vec::new() };
        let order = |slot: &Slot| slot.shown_question().map(|question| (question.report, question.page.sort.clone()));
        let before = order(slot);
        let arrival = slot.answer(ticket, answer);
        if arrival == Arrival::Dropped {
            return Vec::new();
        }
        if before == order(slot) {
            self.follow(ticket.slot, &marks);
        }
        match ticket.slot {
            SlotId::Trust => {
                if let Some(answer) = self.trust.shown_answer().cloned() {
                    self.incoming.settle(&answer.table);
                }
                if arrival == Arrival::Again { self.ask_trust().into_iter().collect() } else { Vec::new() }
            }
            SlotId::Page(page) => {
                self.explorer.arrived(page);
                self.clamp_explorer();
                if self.shows_events() { self.ask_visible(Urgency::Now) } else { Vec::new() }
            }
            SlotId::Panel { tab, .. } if tab == self.tab && arrival == Arrival::Again && !self.paused => {
                self.ask_visible(Urgency::Now)
            }
            SlotId::Panel { tab, panel, ask: 0 } if tab == self.tab && is_followed(tab, panel) => {
                self.ask_visible(Urgency::Now)
            }
            SlotId::Panel { .. } => Vec::new(),
        }
    }

    /// What each cursor of a slot's panels stands on, so that it can follow it into the next answer.
    fn marks(&self, id: SlotId) -> Vec<(usize, String)> {
        let SlotId::Panel { tab, panel: at, ask: 0 } = id else { return Vec::new() };
        let Some(board) = self.boards.get(tab) else { return Vec::new() };
        let Some(answer) = board.slots.get(&(at, 0)).and_then(Slot::shown_answer) else { return Vec::new() };
        let (Some(panel), Some(state)) = (panel(tab, at), board.panels.get(at)) else { return Vec::new() };
        if !matches!(panel.show, Show::Table(_)) || state.cursor == 0 {
            return Vec::new();
        }
        row_value(panel, state, &answer.table, state.cursor).map(|(_, value)| (at, value)).into_iter().collect()
    }

    /// Puts each cursor onto the row that it stood on before.
    fn follow(&mut self, id: SlotId, marks: &[(usize, String)]) {
        let SlotId::Panel { tab, panel: at, .. } = id else { return };
        for (index, mark) in marks {
            let Some(panel) = panel(tab, *index) else { continue };
            let Some(board) = self.boards.get_mut(tab) else { continue };
            let Some(answer) = board.slots.get(&(at, 0)).and_then(Slot::shown_answer).cloned() else { continue };
            let Some(state) = board.panels.get_mut(*index) else { continue };
            let found = (0..answer.table.rows.len())
                .find(|row| row_value(panel, state, &answer.table, *row).is_some_and(|(_, value)| value == *mark));
            if let Some(row) = found {
                state.cursor = row;
            }
        }
    }

    fn clamp_explorer(&mut self) {
        let last = self.explorer.last_row();
        let end_known = self.explorer.end.is_some();
        for (tab, board) in self.boards.iter_mut().enumerate() {
            for (index, state) in board.panels.iter_mut().enumerate() {
                if end_known && panel(tab, index).is_some_and(|panel| matches!(panel.show, Show::Events)) {
                    state.cursor = state.cursor.min(last);
                }
            }
        }
    }

    fn ingest(&mut self, progress: Progress) {
        let trouble = matches!(progress.status, Status::Rejected | Status::Failed);
        let said = progress.clone();
        let ended = self.incoming.take(progress);
        let ours = self.added.iter().any(|added| belongs(&said.path, added));
        // The prompt shows the state of what was added in it; closed, a notice does.
        if ended && trouble && ours && !matches!(self.overlay, Some(Overlay::AddFiles(_))) {
            self.notice = Some(Notice::error(format!("{}: {}", said.path.display(), said.error)));
        }
    }

    fn copied(&mut self, result: Result<Option<PathBuf>, Failure>) {
        self.notice = Some(match result {
            Ok(Some(path)) => Notice::done(format!("copied · also in {}", path.display())),
            Ok(None) => Notice::done("copied"),
            Err(failure) => Notice::from(failure),
        });
    }

    fn exported(&mut self, result: Result<PathBuf, Failure>) {
        self.exporting = false;
        self.notice = Some(match result {
            Ok(path) => Notice::done(format!("exported to {}", path.display())),
            Err(failure) => Notice::from(failure),
        });
    }

    /// The main answer of a panel of the open tab.
    pub fn answer(&self, panel: usize) -> Option<&Arc<Answer>> {
        self.board().slot(dashboard(self.tab), panel, 0).and_then(Slot::shown_answer)
    }

    /// How many rows (or cards) a panel of the open tab has under its cursor.
    pub fn row_count(&self, index: usize) -> usize {
        match panel(self.tab, index).map(|panel| &panel.show) {
            Some(Show::Cards(cards)) => cards.len(),
            Some(Show::Table(_)) => self.answer(index).map_or(0, |answer| answer.table.rows.len()),
            Some(Show::Events) => self.explorer.last_row() + 1,
            Some(Show::Files) => self.file_rows().len(),
            Some(Show::Changes) => self.answer(index).map_or(0, |answer| answer.table.rows.len()),
            Some(Show::Distribution) => self.answer(index).map_or(0, |answer| distribution::spans(answer).len()),
            Some(Show::Heatmap(_) | Show::Coverage) => self.map(index).map_or(0, |map| map.values.len()),
            Some(Show::Insights | Show::Incidents | Show::Timeline) => {
                self.incident_panel(self.tab, index).map_or(0, |at| self.listed(self.tab, at).len())
            }
            Some(Show::Incident) => self.geometry.detail_end + 1,
            Some(Show::Trend { .. }) | None => 0,
        }
    }

    /// The rows of the Files tab.
    pub fn file_rows(&self) -> Vec<files::FileRow> {
        let index = dashboard(self.tab).panels().position(|panel| matches!(panel.show, Show::Files)).unwrap_or(0);
        let sort = self.board().panels.get(index).and_then(|state| state.sort.as_ref());
        let table: Option<&Table> = self.answer(index).map(|answer| &answer.table);
        files::rows(table, self.incoming.live(), sort)
    }

    /// The cell of the Explorer under the cursor, with its column.
    pub fn event_cell(&self) -> Option<(&'static str, &Value)> {
        let state = self.board().panels.get(self.board().focus)?;
        let column = self.explorer.column(state.column)?;
        Some((column.name, self.explorer.cell(state.cursor, column.name)?))
    }

    /// The answer's column behind each column of a panel, as it is shown.
    pub fn column_names(&self, index: usize) -> Vec<String> {
        let (Some(panel), Some(state)) = (panel(self.tab, index), self.board().panels.get(index)) else {
            return Vec::new();
        };
        if matches!(panel.show, Show::Events) {
            let name = |at: &usize| explorer::EVENT_COLUMNS.get(*at).map(|column| column.name.to_owned());
            return self.explorer.shown().iter().filter_map(name).collect();
        }
        board::column_names(panel, state)
    }

    /// The tabs that the profile shows, with their positions.
    pub fn tabs(&self) -> impl Iterator<Item = (usize, &'static Dashboard)> + use<> {
        let profile = self.setup.profile;
        let shows =
            move |tab: &Dashboard| profile != Profile::Management || matches!(tab.title, "Health" | "Incidents");
        DASHBOARDS.iter().copied().enumerate().filter(move |(_, tab)| shows(tab))
    }

    /// When the newest error was said, so that tests and the footer agree on what is one.
    pub fn has_error(&self) -> bool {
        self.notice.as_ref().is_some_and(|notice| notice.level == Level::Error)
    }
}

/// Whether another panel of a tab asks about the row under a panel's cursor.
fn is_followed(tab: usize, index: usize) -> bool {
    dashboard(tab).panels().any(|panel| panel.follows == Some(index))
}

/// Everything that changes what is on the screen passes through here.
pub fn update(state: &mut State, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) => return state.key(key),
        Input::Pasted(text) => return state.pasted(&text),
        Input::Resized => {}
        Input::Tick(_) => state.tick(),
        Input::Ingest(progress) => state.ingest(progress),
        Input::Incidents(all) => state.take_incidents(all),
        Input::Explained(serial, result) => state.explained(serial, result),
        Input::Marked(mark, result) => state.marked(&mark, result),
        Input::Replayed(serial, result) => state.replayed(serial, result),
        Input::Evidence(result) => state.evidence_written(result),
        Input::Happened(happened) => state.happened(&happened),
        Input::Catalog { generation, now } => return state.catalog(generation, now),
        Input::Relinked if !state.paused => return state.ask_visible(Urgency::Anew),
        Input::Relinked => {}
        Input::Answered(ticket, answer) => return state.answered(ticket, answer),
        Input::Estimated(ticket, estimate) => {
            if let Some(slot) = state.slot_mut(ticket.slot) {
                slot.estimated(ticket, estimate);
            }
        }
        Input::Completed(serial, values) => state.completed(serial, values),
        Input::PathsCompleted(serial, paths) => state.paths_completed(serial, paths),
        Input::Exported(result) => state.exported(result),
        Input::Queried(serial, result, took_ms) => state.queried(serial, result, took_ms),
        Input::Copied(result) => state.copied(result),
        Input::Views(result) => state.views_changed(result),
        Input::Removed(result) => return state.removed(result),
        Input::Rejects(serial, rejects) => state.rejects_read(serial, rejects),
        Input::RawRow(row, found) => state.explorer.raw = Some((row, found)),
        Input::Journeys(serial, found) => state.journey_found(serial, found),
        Input::Notice(failure) => state.notice = Some(Notice::from(failure)),
    }
    Vec::new()
}
