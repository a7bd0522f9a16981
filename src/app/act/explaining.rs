//! `x`: why is it so? What is under the cursor says of which mail and of which number.

use std::sync::Arc;

use crate::app::State;
use crate::app::action::Action;
use crate::app::board::{filter_text, group};
use crate::app::effect::Effect;
use crate::app::explaining::{Explaining, metric_of, metric_of_signal};
use crate::app::overlay::{Overlay, range_name};
use crate::config::keys::{Key, KeyPress};
use crate::dashboard::Show;
use crate::insight::explain::ask::Request;
use crate::insight::explain::{Explanation, Metric};
use crate::query::filter::Filter;
use crate::query::question::Failure;
use crate::query::scope::Scope;

impl State {
    /// Asks why.
    pub(in crate::app) fn explain(&mut self) -> Vec<Effect> {
        let (about, scope, metric) = self.unexplained();
        self.ask_why(about, Request { scope, metric, slow_ms: None })
    }

    fn ask_why(&mut self, about: String, request: Request) -> Vec<Effect> {
        self.serial += 1;
        let effect = Effect::Explain { serial: self.serial, request: request.clone() };
        let explaining = Explaining { about, request, serial: self.serial, waited: 0, found: None, chosen: 0 };
        self.overlay = Some(Overlay::Explain(Box::new(explaining)));
        vec![effect]
    }

    /// What is under the cursor: in words, which mail, which number.
    fn unexplained(&self) -> (String, Scope, Option<Metric>) {
        let index = self.board().focus;
        let mut scope = self.scope.clone();
        if let Some(incident) = self.incident() {
            // Of all mail at the time, not of the incident's own: what is not involved is half of the answer.
            scope.time = incident.view().time;
            let metric = self.rule_of(incident).and_then(|rule| metric_of_signal(rule.signal));
            return (incident.headline.clone(), scope, metric);
        }
        let Some(panel) = self.focused() else { return (range_name(scope.time), scope, None) };
        let state = self.board().panels.get(index).cloned().unwrap_or_default();
        let mut parts = Vec::new();
        let mut narrow = |scope: &mut Scope, filter: Filter| {
            parts.push(filter.to_string());
            scope.only(filter);
        };
        let column = match panel.show {
            Show::Cards(cards) => cards.get(state.cursor).map_or(String::new(), |card| card.column.to_owned()),
            Show::Table(columns) => {
                if let Some((field, value)) = self.value_under_cursor() {
                    narrow(&mut scope, Filter::include(field, value));
                }
                let named = |at: usize| columns.get(at).map_or("", |column| column.column);
                // On the name of the row it is the number that the table is sorted by, if that says something.
                let sorted = state.sort.as_ref().map_or("", |sort| sort.column.as_str());
                let own = named(state.column);
                if metric_of(own).is_some() { own.to_owned() } else { sorted.to_owned() }
            }
            Show::Changes => {
                if let Some((field, value)) = self.value_under_cursor() {
                    narrow(&mut scope, Filter::include(field, value));
                }
                self.answer(index).map_or_else(String::new, |answer| {
                    let row = state.cursor.min(answer.table.rows.len().saturating_sub(1));
                    filter_text(answer.table.cell(row, "metric"))
                })
            }
            Show::Heatmap(shades) => {
                if let Some(map) = self.map(index) {
                    let (row, at) = map.cursor(&state);
                    let (rows, columns) = map
                        .selection(&state)
                        .map_or(((row, row), (at, at)), |selection| (selection.rows, selection.columns));
                    let values = map.values.get(rows.0..=rows.1).unwrap_or_default();
                    if let Some(field) = group(panel, &state) {
                        for (n, value) in values.iter().enumerate() {
                            let filter = Filter::include(field, value);
                            if n == 0 {
                                narrow(&mut scope, filter);
                            } else {
                                scope.add(filter);
                            }
                        }
                    }
                    scope.time = map.range(columns).unwrap_or(scope.time);
                }
                shades.get(state.shade).map_or(String::new(), |shade| shade.column.to_owned())
            }
            Show::Trend { lines, .. } => {
                if let Some(map) = self.map(index) {
                    let (_, at) = map.cursor(&state);
                    let columns = map.selection(&state).map(|selection| selection.columns);
                    let columns = columns.or_else(|| state.time.map(|_| (at, at)));
                    scope.time = columns.and_then(|columns| map.range(columns)).unwrap_or(scope.time);
                }
                // Lines of several kinds: whichever changed most.
                let metrics: Vec<_> = lines.iter().map(|line| metric_of(line.column)).collect();
                let one = metrics.windows(2).all(|pair| pair[0] == pair[1]);
                lines.first().filter(|_| one).map_or(String::new(), |line| line.column.to_owned())
            }
            Show::Distribution => "latency".to_owned(),
            _ => String::new(),
        };
        parts.push(range_name(scope.time));
        (parts.join(" · "), scope, metric_of(&column))
    }

    pub(in crate::app) fn explain_key(
        &mut self,
        mut explaining: Box<Explaining>,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        let last = explaining.contributors().len().saturating_sub(1);
        match (action, key.key) {
            (_, Key::Char('q' | 'x')) => return vec![Effect::ForgetExplain],
            (Some(Action::Accept), _) => match explaining.narrowed() {
                Some(scope) => return self.set_scope(scope),
                None => return vec![Effect::ForgetExplain],
            },
            (_, Key::Char('o')) => {
                if self.allows(Action::SqlOfPanel)
                    && let Some(scope) = explaining.narrowed()
                {
                    let metric = match &explaining.found {
                        Some(Ok(found)) => Some(found.metric),
                        _ => None,
                    };
                    let mut scope = scope;
                    metric.map(Metric::filters).into_iter().flatten().for_each(|filter| scope.add(filter));
                    return self.descend(scope, None);
                }
            }
            (_, Key::Char('m')) => {
                let metrics: Vec<Metric> = Metric::all().collect();
                let now = match &explaining.found {
                    Some(Ok(found)) => Some(found.metric),
                    _ => explaining.request.metric,
                };
                let at = now.and_then(|now| metrics.iter().position(|metric| *metric == now));
                let next = metrics.get(at.map_or(0, |at| (at + 1) % metrics.len())).copied();
                return self.ask_why(explaining.about, Request { metric: next, ..explaining.request });
            }
            (Some(Action::PreviousChoice), _) | (_, Key::Char('k')) => {
                explaining.chosen = explaining.chosen.saturating_sub(1);
            }
            (Some(Action::NextChoice), _) | (_, Key::Char('j')) => {
                explaining.chosen = (explaining.chosen + 1).min(last)
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Explain(explaining));
        Vec::new()
    }

    pub(in crate::app) fn explained(&mut self, serial: u64, result: Result<Arc<Explanation>, Failure>) {
        if let Some(Overlay::Explain(explaining)) = &mut self.overlay
            && explaining.serial == serial
        {
            (explaining.found, explaining.chosen) = (Some(result), 0);
        }
    }
}
