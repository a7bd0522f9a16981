//! Keys while something lies over the tab: the filter bar, the time picker, the help, the add-files prompt.

use std::path::PathBuf;

use crate::app::State;
use crate::app::action::Action;
use crate::app::board::parse_compare;
use crate::app::effect::Effect;
use crate::app::filter_bar::{FilterBar, Outcome};
use crate::app::overlay::{AddFiles, Overlay, RangePrompt, edit, paste, split_paths};
use crate::config::keys::{Key, KeyPress};
use crate::query::question::Compare;

impl State {
    pub(in crate::app) fn overlay_key(
        &mut self,
        overlay: Overlay,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        // The SQL prompt has more than one level to come back from.
        if action == Some(Action::Cancel) && !matches!(overlay, Overlay::Sql(_)) {
            return match overlay {
                Overlay::Explain(_) => vec![Effect::ForgetExplain],
                Overlay::Tune(_) => vec![Effect::ForgetReplay],
                _ => Vec::new(),
            };
        }
        match overlay {
            Overlay::Palette(palette) => self.palette_key(palette, action, key),
            Overlay::Range(prompt) => self.range_key(prompt, action, key),
            Overlay::Sql(prompt) => self.sql_key(prompt, action, key),
            Overlay::Search(search) => self.search_key(search, action, key),
            Overlay::Columns(chooser) => self.columns_key(chooser, action, key),
            Overlay::Confirm(confirm) => self.confirm_key(confirm, key),
            Overlay::File(sheet) => self.file_key(sheet, action, key),
            Overlay::Reply(sheet) => self.reply_key(sheet, action, key),
            Overlay::Journey(sheet) => self.journey_key(sheet, action, key),
            Overlay::Explain(explaining) => self.explain_key(explaining, action, key),
            Overlay::Silence(silence) => self.silence_key(silence, action, key),
            Overlay::Note(prompt) => self.note_key(prompt, action, key),
            Overlay::Tune(tune) => self.tune_key(tune, action, key),
            Overlay::Filter(bar) => self.filter_key(bar, action, key),
            Overlay::Time(mut picker) => {
                if let Some(time) = picker.key(action, key) {
                    return self.set_time(time);
                }
                self.overlay = Some(Overlay::Time(picker));
                Vec::new()
            }
            Overlay::Help(mut help) => {
                if key.key != Key::F(1) && action != Some(Action::Accept) {
                    help.key(action, key);
                    help.scroll = help.scroll.min(self.geometry.help_end);
                    self.overlay = Some(Overlay::Help(help));
                }
                Vec::new()
            }
            Overlay::AddFiles(prompt) => self.add_files_key(prompt, action, key),
        }
    }

    fn range_key(&mut self, mut prompt: RangePrompt, action: Option<Action>, key: KeyPress) -> Vec<Effect> {
        if action == Some(Action::Accept) {
            let text = prompt.line.value().trim().to_owned();
            let compare = if text.is_empty() { Ok(Compare::Off) } else { parse_compare(&text, self.now) };
            match compare {
                Ok(compare) => return self.set_compare(compare),
                Err(error) => prompt.error = error,
            }
        } else if edit(&mut prompt.line, key) {
            prompt.error.clear();
        }
        self.overlay = Some(Overlay::Range(prompt));
        Vec::new()
    }

    pub(in crate::app) fn filter_key(
        &mut self,
        mut bar: FilterBar,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let before = bar.line.value().to_owned();
        match bar.key(action, key) {
            Outcome::Typed(filter) => {
                let mut scope = self.scope.clone();
                scope.add(filter);
                return self.set_scope(scope);
            }
            Outcome::Closed => return Vec::new(),
            Outcome::Changed | Outcome::Nothing => {}
        }
        let effects = if bar.line.value() == before { Vec::new() } else { self.ask_values(&mut bar) };
        self.overlay = Some(Overlay::Filter(bar));
        effects
    }

    pub(in crate::app) fn ask_values(&mut self, bar: &mut FilterBar) -> Vec<Effect> {
        self.serial += 1;
        bar.serial = self.serial;
        match bar.value_wanted() {
            Some((field, prefix)) => vec![Effect::Complete { serial: bar.serial, field, prefix }],
            None => Vec::new(),
        }
    }

    pub(in crate::app) fn completed(&mut self, serial: u64, values: Vec<(String, u64)>) {
        if let Some(Overlay::Filter(bar)) = &mut self.overlay {
            bar.completed(serial, values);
        }
    }

    pub(in crate::app) fn open_add_files(&mut self) -> Vec<Effect> {
        let mut prompt = AddFiles::default();
        let effects = self.ask_paths(&mut prompt);
        self.overlay = Some(Overlay::AddFiles(prompt));
        effects
    }

    pub(in crate::app) fn ask_paths(&mut self, prompt: &mut AddFiles) -> Vec<Effect> {
        self.serial += 1;
        prompt.serial = self.serial;
        prompt.chosen = None;
        vec![Effect::CompletePath { serial: prompt.serial, prefix: prompt.last_word() }]
    }

    pub(in crate::app) fn paths_completed(&mut self, serial: u64, paths: Vec<String>) {
        if let Some(Overlay::AddFiles(prompt)) = &mut self.overlay
            && prompt.serial == serial
        {
            prompt.chosen = None;
            prompt.choices = paths;
        }
    }

    pub(in crate::app) fn add_files_key(
        &mut self,
        mut prompt: AddFiles,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let last = prompt.choices.len().checked_sub(1);
        let mut effects = Vec::new();
        match action {
            Some(Action::NextChoice) => {
                prompt.chosen = last.map(|last| prompt.chosen.map_or(0, |at| (at + 1).min(last)));
            }
            Some(Action::PreviousChoice) => prompt.chosen = prompt.chosen.and_then(|at| at.checked_sub(1)),
            Some(Action::Complete) => {
                let chosen = prompt.chosen.and_then(|at| prompt.choices.get(at).cloned());
                let text = chosen.or_else(|| prompt.common_beginning());
                if let Some(text) = text {
                    prompt.complete_with(&text);
                    effects = self.ask_paths(&mut prompt);
                }
            }
            Some(Action::Accept) => {
                if let Some(path) = prompt.chosen.and_then(|at| prompt.choices.get(at).cloned()) {
                    prompt.complete_with(&path);
                    // A folder is gone into; `.` or Enter on its name takes all of it.
                    if path.ends_with('/') {
                        effects = self.ask_paths(&mut prompt);
                        self.overlay = Some(Overlay::AddFiles(prompt));
                        return effects;
                    }
                }
                let paths: Vec<PathBuf> = split_paths(prompt.line.value()).into_iter().map(PathBuf::from).collect();
                if paths.is_empty() {
                    return Vec::new();
                }
                prompt.line = tui_input::Input::default();
                prompt.added.extend(paths.iter().cloned());
                self.added.extend(paths.iter().cloned());
                effects = self.ask_paths(&mut prompt);
                effects.insert(0, Effect::AddFiles(paths));
            }
            _ => {
                let before = prompt.line.value().to_owned();
                if edit(&mut prompt.line, key) && prompt.line.value() != before {
                    effects = self.ask_paths(&mut prompt);
                }
            }
        }
        self.overlay = Some(Overlay::AddFiles(prompt));
        effects
    }

    pub(in crate::app) fn pasted(&mut self, text: &str) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::Filter(mut bar)) => {
                paste(&mut bar.line, text);
                bar.changed();
                let effects = self.ask_values(&mut bar);
                self.overlay = Some(Overlay::Filter(bar));
                effects
            }
            Some(Overlay::AddFiles(mut prompt)) => {
                paste(&mut prompt.line, text);
                let effects = self.ask_paths(&mut prompt);
                self.overlay = Some(Overlay::AddFiles(prompt));
                effects
            }
            Some(Overlay::Time(mut picker)) => {
                paste(&mut picker.line, text);
                self.overlay = Some(Overlay::Time(picker));
                Vec::new()
            }
            Some(Overlay::Help(mut help)) => {
                paste(&mut help.line, text);
                self.overlay = Some(Overlay::Help(help));
                Vec::new()
            }
            Some(Overlay::Palette(mut palette)) => {
                paste(&mut palette.line, text);
                palette.changed();
                palette.proposals = self.proposals(palette.line.value());
                self.overlay = Some(Overlay::Palette(palette));
                Vec::new()
            }
            Some(Overlay::Note(mut prompt)) => {
                paste(&mut prompt.line, text);
                self.overlay = Some(Overlay::Note(prompt));
                Vec::new()
            }
            Some(Overlay::Range(mut prompt)) => {
                paste(&mut prompt.line, text);
                self.overlay = Some(Overlay::Range(prompt));
                Vec::new()
            }
            Some(Overlay::Sql(mut prompt)) => {
                paste(&mut prompt.line, text);
                prompt.in_rows = false;
                prompt.propose();
                self.overlay = Some(Overlay::Sql(prompt));
                Vec::new()
            }
            Some(Overlay::Search(mut search)) => {
                paste(&mut search.line, text);
                self.overlay = Some(Overlay::Search(search));
                Vec::new()
            }
            overlay => {
                self.overlay = overlay;
                Vec::new()
            }
        }
    }
}
