//! What can be done with an incident: opening what shows it, taking it, silencing it, writing beside it, trying other
//! thresholds, and writing its evidence down.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::State;
use crate::app::action::Action;
use crate::app::board::PanelState;
use crate::app::effect::{Effect, Mark, Quiet, Urgency};
use crate::app::incidents::tab;
use crate::app::notice::Notice;
use crate::app::overlay::{NotePrompt, Overlay, SILENCES, Silence, edit};
use crate::app::tuning::{KNOBS, Tune};
use crate::config::keys::{Key, KeyPress};
use crate::dashboard::Show;
use crate::insight::incident::{Incident, State as Fate};
use crate::insight::signal::Signal;
use crate::insight::watch::Replay;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::time::{DAY, HOUR, TimeRange};

impl State {
    /// The incident under the cursor; says so where there is none.
    fn chosen_incident(&mut self) -> Option<Incident> {
        let found = self.incident().cloned();
        if found.is_none() {
            self.notice = Some(Notice::done("this is for incidents: those on Health, or on the tab Incidents"));
        }
        found
    }

    /// From a card to the incident, from the incident to the rows that show it.
    pub(in crate::app) fn drill_incident(&mut self) -> Vec<Effect> {
        let Some(incident) = self.incident().cloned() else { return Vec::new() };
        if self.is_on_card() {
            return self.enter_incident(&incident.id);
        }
        let is_about_rows = self.rule_of(&incident).is_none_or(|rule| {
            !matches!(rule.signal, Signal::Volume | Signal::Files) && !incident.evidence.filters.is_empty()
        });
        if is_about_rows { self.descend(incident.rows(), None) } else { self.show_incident() }
    }

    /// Opens the tab of the incidents on one of them; Esc comes back.
    fn enter_incident(&mut self, id: &str) -> Vec<Effect> {
        let place = self.place();
        self.trail.descend(place);
        let mut effects = self.forget_tab();
        self.tab = tab();
        self.detail = None;
        self.board_mut().focus = 0;
        let (tab, index) = (self.tab, 0);
        if !self.select_incident(tab, index, id)
            && let Some(state) = self.board_mut().panels.get_mut(index)
        {
            *state = PanelState::default();
        }
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    /// Opens the tab that shows an incident best, on its scope and a while around it.
    pub(in crate::app) fn show_incident(&mut self) -> Vec<Effect> {
        let Some(incident) = self.chosen_incident() else { return Vec::new() };
        let name = self.rule_of(&incident).map_or("health", |rule| rule.tab.as_str()).to_owned();
        let Some((at, _)) = self.tabs().find(|(_, tab)| tab.title.eq_ignore_ascii_case(&name)) else {
            self.notice = Some(Notice::done(self.refusal()));
            return Vec::new();
        };
        let around = (incident.closed_at.unwrap_or(incident.opened_at) - incident.opened_at).clamp(HOUR, DAY);
        let view = incident.view();
        let time = TimeRange::Between(
            Some(incident.opened_at - around),
            incident.closed_at.map(|closed| closed.saturating_add(around)),
        );
        let place = self.place();
        self.trail.descend(place);
        let mut effects = self.forget_tab();
        self.tab = at;
        self.scope = Scope::new(time, view.filters().iter().cloned());
        self.detail = None;
        effects.extend(self.rewind_explorer());
        effects.extend(self.ask_visible(Urgency::Now));
        effects
    }

    /// Takes an incident, or gives it back.
    pub(in crate::app) fn acknowledge(&mut self) -> Vec<Effect> {
        let Some(incident) = self.chosen_incident() else { return Vec::new() };
        if self.says_it_is_over(&incident) {
            return Vec::new();
        }
        let takes = incident.state != Fate::Acknowledged;
        vec![Effect::Mark { id: incident.id, mark: Mark::Acknowledge(takes) }]
    }

    fn says_it_is_over(&mut self, incident: &Incident) -> bool {
        let is_over = incident.state == Fate::Resolved;
        if is_over {
            self.notice = Some(Notice::done("it is over: nothing to take or to silence; w writes a note beside it"));
        }
        is_over
    }

    pub(in crate::app) fn open_silence(&mut self) {
        let Some(incident) = self.chosen_incident() else { return };
        if !self.says_it_is_over(&incident) {
            let chosen = if incident.state == Fate::Silenced { SILENCES.len() - 1 } else { 0 };
            self.overlay = Some(Overlay::Silence(Silence { id: incident.id, headline: incident.headline, chosen }));
        }
    }

    pub(in crate::app) fn silence_key(
        &mut self,
        mut silence: Silence,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let last = SILENCES.len() - 1;
        match (action, key.key) {
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => {
                silence.chosen = silence.chosen.saturating_sub(1);
            }
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => silence.chosen = (silence.chosen + 1).min(last),
            (Some(Action::Accept), _) => {
                let quiet = SILENCES.get(silence.chosen).map_or(Quiet::UntilOver, |(_, quiet)| *quiet);
                return vec![Effect::Mark { id: silence.id, mark: Mark::Silence(quiet) }];
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Silence(silence));
        Vec::new()
    }

    pub(in crate::app) fn open_note(&mut self) {
        let Some(incident) = self.chosen_incident() else { return };
        let prompt = NotePrompt { id: incident.id, headline: incident.headline, ..NotePrompt::default() };
        self.overlay = Some(Overlay::Note(prompt));
    }

    pub(in crate::app) fn note_key(
        &mut self,
        mut prompt: NotePrompt,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        if action == Some(Action::Accept) {
            let text = prompt.line.value().trim().to_owned();
            return match text.is_empty() {
                true => Vec::new(),
                false => vec![Effect::Mark { id: prompt.id, mark: Mark::Note(text) }],
            };
        }
        edit(&mut prompt.line, key);
        self.overlay = Some(Overlay::Note(prompt));
        Vec::new()
    }

    /// What people did was written down, or could not be.
    pub(in crate::app) fn marked(&mut self, mark: &Mark, result: Result<Arc<Vec<Incident>>, Failure>) {
        self.notice = Some(match result {
            Ok(all) => {
                self.take_incidents(all);
                Notice::done(match mark {
                    Mark::Acknowledge(true) => "acknowledged: everybody sees that somebody knows",
                    Mark::Acknowledge(false) => "no longer acknowledged",
                    Mark::Silence(Quiet::NoLonger) => "no longer silenced",
                    Mark::Silence(_) => "silenced: it is left out of Health, and hooks are not told",
                    Mark::Note(_) => "noted",
                })
            }
            Err(failure) => Notice::from(failure),
        });
    }

    /// Writes the evidence of an incident down.
    pub(in crate::app) fn write_evidence(&mut self) -> Vec<Effect> {
        let Some(incident) = self.chosen_incident().filter(|_| !self.exporting) else { return Vec::new() };
        self.exporting = true;
        self.notice = Some(Notice::busy("writing the evidence down · esc cancels"));
        vec![Effect::Evidence { id: incident.id }]
    }

    pub(in crate::app) fn evidence_written(&mut self, result: Result<(PathBuf, PathBuf), Failure>) {
        self.exporting = false;
        self.notice = Some(match result {
            Ok((ticket, rows)) => Notice::done(format!(
                "a ticket for the postmaster is in {}, its rows are in {}; recipients are hidden in both",
                ticket.display(),
                rows.display()
            )),
            Err(failure) => Notice::from(failure),
        });
    }

    /// Opens the thresholds of the rule that found an incident.
    pub(in crate::app) fn open_tune(&mut self) -> Vec<Effect> {
        let Some(incident) = self.chosen_incident() else { return Vec::new() };
        let Some(rule) = self.rule_of(&incident) else {
            self.notice = Some(Notice::done("the rule that found it is switched off, or another pmtop's"));
            return Vec::new();
        };
        let now = rule.thresholds();
        let tune = Tune {
            rule: rule.id.clone(),
            title: rule.title.clone(),
            now,
            then: now,
            chosen: 0,
            replay: None,
            serial: 0,
        };
        self.replay(Box::new(tune))
    }

    fn replay(&mut self, mut tune: Box<Tune>) -> Vec<Effect> {
        self.serial += 1;
        (tune.serial, tune.replay) = (self.serial, None);
        let effect = Effect::Replay { serial: self.serial, rule: tune.rule.clone(), thresholds: tune.then };
        self.overlay = Some(Overlay::Tune(tune));
        vec![effect]
    }

    pub(in crate::app) fn tune_key(
        &mut self,
        mut tune: Box<Tune>,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let turns = match key.key {
            Key::Char('+' | 'l') | Key::Right => Some(true),
            Key::Char('-' | 'h') | Key::Left => Some(false),
            _ => None,
        };
        if let Some(up) = turns {
            if tune.turn(up) {
                return self.replay(tune);
            }
        } else {
            match (action, key.key) {
                (Some(Action::Accept), _) | (_, Key::Char('q')) => return vec![Effect::ForgetReplay],
                (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => {
                    tune.chosen = tune.chosen.saturating_sub(1);
                }
                (Some(Action::NextChoice), _) | (_, Key::Char('j')) => {
                    tune.chosen = (tune.chosen + 1).min(KNOBS.len() - 1);
                }
                (_, Key::Char('r')) if tune.then != tune.now => {
                    tune.then = tune.now;
                    return self.replay(tune);
                }
                (_, Key::Char('y')) if !tune.settings().is_empty() => {
                    let effect = Effect::Copy(tune.settings());
                    self.overlay = Some(Overlay::Tune(tune));
                    return vec![effect];
                }
                _ => {}
            }
        }
        self.overlay = Some(Overlay::Tune(tune));
        Vec::new()
    }

    pub(in crate::app) fn replayed(&mut self, serial: u64, result: Result<Replay, Failure>) {
        if let Some(Overlay::Tune(tune)) = &mut self.overlay
            && tune.serial == serial
        {
            tune.replay = Some(result);
        }
    }

    /// One column of the timeline to the left or right.
    pub(in crate::app) fn move_on_timeline(&mut self, right: bool) {
        let index = self.board().focus;
        let Some((from, until)) = self.resolved() else { return };
        let minutes = self.geometry.views.get(&(self.tab, index)).map_or(1, |view| view.step).max(1);
        let step = i64::try_from(minutes).unwrap_or(1) * crate::query::time::MINUTE;
        let Some(state) = self.board_mut().panels.get_mut(index) else { return };
        let at = state.time.unwrap_or(until);
        let at = if right { at + step } else { at - step };
        state.time = (at < until).then(|| at.max(from));
    }

    /// Whether the cursor is on a card of Health.
    pub(in crate::app) fn is_on_card(&self) -> bool {
        self.focused().is_some_and(|panel| matches!(panel.show, Show::Insights))
    }
}
