//! Incidents as the screen shows them: which of them a scope is about, in which order, and in which words.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::app::State;
use crate::app::board::{dashboard, panel};
use crate::app::notice::Notice;
use crate::dashboard::{DASHBOARDS, Show};
use crate::insight::incident::{Happening, Incident, Severity, State as Fate, Step};
use crate::insight::rule::Rule;
use crate::query::question::Sort;
use crate::query::time::{DAY, HOUR, MINUTE, Micros, short};

/// One column of the incidents' table.
#[derive(Debug)]
pub struct IncidentColumn {
    /// Its name, to sort by.
    pub name: &'static str,
    /// Its name in the head line.
    pub title: &'static str,
    /// Columns with a greater number are dropped first when the screen is narrow.
    pub priority: u8,
}

const fn column(name: &'static str, title: &'static str, priority: u8) -> IncidentColumn {
    IncidentColumn { name, title, priority }
}

/// The columns of the incidents' table.
pub const INCIDENT_COLUMNS: &[IncidentColumn] = &[
    column("severity", "severity", 0),
    column("state", "state", 1),
    column("opened_at", "began", 1),
    column("lasted", "lasted", 2),
    column("rule", "rule", 4),
    column("scope", "whom", 3),
    column("headline", "what happened", 0),
    column("cause", "cause", 2),
];

/// A severity's sign: it is never said by colour alone.
pub const fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "●",
        Severity::High => "▲",
        Severity::Critical => "!",
    }
}

/// From when to when: `24 Nov 13:40–now`, `24 Nov 12:10–12:55`.
pub fn times(incident: &Incident) -> String {
    let began = short(incident.opened_at);
    match incident.closed_at.map(short) {
        None => format!("{began}–now"),
        Some(ended) => {
            let same_day = began.get(..6).is_some_and(|day| ended.starts_with(day));
            let ended = if same_day { ended.chars().skip(7).collect() } else { ended };
            format!("{began}–{ended}")
        }
    }
}

/// The same, without the date where it is today's.
pub fn times_by(incident: &Incident, now: Option<Micros>) -> String {
    let text = times(incident);
    let today = now.map(short).and_then(|now| now.get(..7).map(str::to_owned));
    match today.and_then(|today| text.strip_prefix(&today).map(str::to_owned)) {
        Some(rest) => rest,
        None => text,
    }
}

/// How long it lasted, up to now where it goes on.
pub fn lasted(incident: &Incident, now: Option<Micros>) -> Micros {
    (incident.closed_at.or(now).unwrap_or(incident.opened_at) - incident.opened_at).max(0)
}

/// A span in its two greatest units: `51m`, `2h 22m`, `3d 4h`.
pub fn spell(span: Micros) -> String {
    let (days, hours, minutes) = (span / DAY, span % DAY / HOUR, span % HOUR / MINUTE);
    match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// A rule's name for people.
pub fn title<'a>(rules: &'a [Rule], incident: &'a Incident) -> &'a str {
    rules.iter().find(|rule| rule.id == incident.rule).map_or(incident.rule.as_str(), |rule| rule.title.as_str())
}

/// The likeliest cause in one line.
pub fn cause(incident: &Incident) -> &str {
    incident.causes.first().map_or("", |cause| cause.cause.as_str())
}

/// A cell of the incidents' table.
pub fn cell(column: &str, incident: &Incident, rules: &[Rule], now: Option<Micros>) -> String {
    match column {
        "severity" => format!("{} {}", sign(incident.severity), incident.severity.as_str()),
        "state" => incident.state.as_str().to_owned(),
        "opened_at" => short(incident.opened_at),
        "lasted" => spell(lasted(incident, now)),
        "rule" => title(rules, incident).to_owned(),
        "scope" => incident.whom(),
        "headline" => incident.headline.clone(),
        "cause" => cause(incident).to_owned(),
        _ => String::new(),
    }
}

/// What goes on and nobody has taken comes first, then what goes on, then what is over.
const fn rank(incident: &Incident) -> u8 {
    match incident.state {
        Fate::Open => 0,
        Fate::Acknowledged => 1,
        Fate::Silenced => 2,
        Fate::Resolved => 3,
    }
}

/// The order in which an eye should meet them.
fn by_weight(a: &Incident, b: &Incident) -> Ordering {
    let key = |incident: &Incident| (rank(incident), Reverse(incident.severity), Reverse(incident.opened_at));
    key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
}

fn by_column(a: &Incident, b: &Incident, column: &str, rules: &[Rule], now: Option<Micros>) -> Ordering {
    match column {
        "severity" => a.severity.cmp(&b.severity),
        "state" => rank(b).cmp(&rank(a)),
        "opened_at" => a.opened_at.cmp(&b.opened_at),
        "lasted" => lasted(a, now).cmp(&lasted(b, now)),
        column => cell(column, a, rules, now).cmp(&cell(column, b, rules, now)),
    }
}

/// What is known of incidents.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    /// All of them; none while no rule has looked.
    all: Option<Arc<Vec<Incident>>>,
}

impl Incidents {
    /// All of them; none while no rule has looked.
    pub fn all(&self) -> Option<&[Incident]> {
        self.all.as_ref().map(|all| all.as_slice())
    }

    /// How many go on that nobody has taken, and how bad the worst of them is.
    pub fn open(&self) -> Option<(usize, Severity)> {
        let open = || self.all().unwrap_or_default().iter().filter(|incident| incident.state == Fate::Open);
        Some((open().count(), open().map(|incident| incident.severity).max()?))
    }

    /// Hides recipients in what is known; whoever shows them again tells it anew.
    pub fn hide(&mut self) {
        self.all = self.all().map(|all| Arc::new(all.iter().map(Incident::hidden).collect()));
    }
}

/// The tab of the incidents.
pub fn tab() -> usize {
    let is_it = |panel: &crate::dashboard::Panel| matches!(panel.show, Show::Incidents);
    DASHBOARDS.iter().position(|dashboard| dashboard.panels().any(is_it)).unwrap_or_default()
}

impl State {
    /// The incidents of a panel in their order.
    pub fn listed(&self, tab: usize, index: usize) -> Vec<&Incident> {
        let range = self.scope.time.resolve(self.now);
        let fields = self.scope.by_field();
        let all = self.incidents.all().unwrap_or_default().iter();
        let is_insight = panel(tab, index).is_some_and(|panel| matches!(panel.show, Show::Insights));
        let wanted = |incident: &&Incident| {
            incident.touches(range, &fields) && !(is_insight && incident.state == Fate::Silenced)
        };
        let mut found: Vec<&Incident> = all.filter(wanted).collect();
        found.sort_by(|a, b| by_weight(a, b));
        let sort = self.boards.get(tab).and_then(|board| board.panels.get(index)).and_then(|state| state.sort.as_ref());
        if let Some(Sort { column, descending }) = sort {
            found.sort_by(|a, b| {
                let order = by_column(a, b, column, &self.setup.rules, self.now);
                if *descending { order.reverse() } else { order }
            });
        }
        found
    }

    /// The panel of a tab whose cursor says which incident its panels are about.
    pub fn incident_panel(&self, tab: usize, index: usize) -> Option<usize> {
        match panel(tab, index)?.show {
            Show::Insights | Show::Incidents => Some(index),
            Show::Timeline | Show::Incident => {
                dashboard(tab).panels().position(|panel| matches!(panel.show, Show::Incidents))
            }
            _ => None,
        }
    }

    /// The incident under the cursor of a panel of the open tab.
    pub fn incident_at(&self, index: usize) -> Option<&Incident> {
        let at = self.incident_panel(self.tab, index)?;
        let listed = self.listed(self.tab, at);
        let cursor = self.board().panels.get(at)?.cursor;
        listed.get(cursor.min(listed.len().saturating_sub(1))).copied()
    }

    /// The incident under the cursor.
    pub fn incident(&self) -> Option<&Incident> {
        self.incident_at(self.board().focus)
    }

    /// The rule that found an incident.
    pub fn rule_of(&self, incident: &Incident) -> Option<&Rule> {
        self.setup.rules.iter().find(|rule| rule.id == incident.rule)
    }

    /// Days of history, as far as the file table tells.
    pub fn history_days(&self) -> Option<i64> {
        let table = &self.trust.shown_answer()?.table;
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of this age fit")]
        let oldest = table.numbers("from").into_iter().flatten().reduce(f64::min).map(|time| time as Micros)?;
        Some((self.now? - oldest) / DAY + 1)
    }

    /// Since when nothing goes on: the end of the newest incident.
    pub fn quiet_since(&self) -> Option<Micros> {
        self.incidents.all()?.iter().filter_map(|incident| incident.closed_at).max()
    }

    /// All incidents, anew; each cursor stays on the incident that it was on.
    pub(in crate::app) fn take_incidents(&mut self, all: Arc<Vec<Incident>>) {
        let mut marks = Vec::new();
        for (tab, dashboard) in DASHBOARDS.iter().enumerate() {
            for (index, panel) in dashboard.panels().enumerate() {
                let cursor = self.boards.get(tab).and_then(|board| board.panels.get(index)).map_or(0, |at| at.cursor);
                if matches!(panel.show, Show::Insights | Show::Incidents) && cursor > 0 {
                    let id = self.listed(tab, index).get(cursor).map(|incident| incident.id.clone());
                    marks.extend(id.map(|id| (tab, index, id)));
                }
            }
        }
        self.incidents = Incidents { all: Some(all) };
        for (tab, index, id) in marks {
            self.select_incident(tab, index, &id);
        }
    }

    /// Says what has just begun or become worse, goes on and is bad; the incidents themselves come beside it.
    pub(in crate::app) fn happened(&mut self, happened: &[Happening]) {
        let is_news = |happening: &&Happening| {
            let incident = &happening.incident;
            let goes_on = happening.step != Step::Resolved && incident.closed_at.is_none();
            goes_on && incident.state == Fate::Open && incident.severity >= Severity::High
        };
        let mut news: Vec<&Happening> = happened.iter().filter(is_news).collect();
        news.sort_by_key(|happening| std::cmp::Reverse(happening.incident.severity));
        let Some(first) = news.first() else { return };
        let incident = if self.masked { first.incident.hidden() } else { first.incident.clone() };
        let more = if news.len() > 1 { format!(" (and {} more)", news.len() - 1) } else { String::new() };
        self.notice =
            Some(Notice::error(format!("{}: {}{more} · 6 shows it", incident.severity.as_str(), incident.headline)));
    }

    /// Puts a cursor onto an incident; whether it is there.
    pub(in crate::app) fn select_incident(&mut self, tab: usize, index: usize, id: &str) -> bool {
        let Some(at) = self.listed(tab, index).iter().position(|incident| incident.id == id) else { return false };
        if let Some(state) = self.boards.get_mut(tab).and_then(|board| board.panels.get_mut(index)) {
            state.cursor = at;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_two_units_at_most() {
        let spans = [0, 51 * MINUTE, 2 * HOUR, 142 * MINUTE, 24 * HOUR, 76 * HOUR + MINUTE].map(spell);
        assert_eq!(spans, ["0m", "51m", "2h", "2h 22m", "1d", "3d 4h"]);
    }
}
