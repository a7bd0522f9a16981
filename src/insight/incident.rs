//! An incident: something that went wrong for a while, of whom, how badly, and why. Rules find them, people acknowledge
//! and silence them, hooks tell of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::mask;
use crate::query::scope::{Conditions, Scope};
use crate::query::time::{self, TimeRange};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Warn,
    /// Needs someone today.
    High,
    /// Needs someone now.
    Critical,
}

impl Severity {
    /// The word as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What has become of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It goes on, and nobody has taken it.
    Open,
    /// It goes on, and somebody knows.
    Acknowledged,
    /// It goes on, and nobody wants to hear of it for now.
    Silenced,
    /// It is over.
    Resolved,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Silenced, Self::Resolved];

    /// The word as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
            Self::Resolved => "resolved",
        }
    }
}

/// A probable cause, read from the replies of the rows concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// One sentence: what happened.
    pub cause: String,
    /// The class of the replies; empty where there are none, as for a drop of volume.
    pub reply_class: String,
    /// The enhanced status of most of them; may be empty.
    pub status: String,
    /// Their template.
    pub reply: String,
    /// The block list that they name.
    pub blocklist: Option<String>,
    /// What to do next.
    pub advice: String,
    /// Its share of the rows concerned, 0–1.
    pub share: f64,
    /// Its rows.
    pub rows: i64,
}

/// Which rows show it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The rows concerned.
    pub rows: i64,
    /// Filters, as `field=value`, that find them within the incident's time.
    pub filters: Vec<String>,
}

/// What someone wrote about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    #[serde(with = "iso")]
    pub at: Micros,
    /// The text.
    pub text: String,
}

/// Something that went wrong for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name for as long as the catalog lives.
    pub id: String,
    /// The rule that found it.
    pub rule: String,
    /// How bad it became.
    pub severity: Severity,
    /// What has become of it.
    pub state: State,
    /// When it began, by log time.
    #[serde(with = "iso")]
    pub opened_at: Micros,
    /// When it ended; none while it goes on.
    #[serde(with = "maybe_iso")]
    pub closed_at: Option<Micros>,
    /// Whom it is about: field → value. Empty: all mail.
    pub scope: BTreeMap<String, String>,
    /// One line.
    pub headline: String,
    /// What was measured: a rate 0–1, milliseconds, or a count.
    pub value: f64,
    /// What is usual; none where nothing is known.
    pub baseline: Option<f64>,
    /// What `baseline` was taken from: "same hour of 4 weeks", "24 h before (learning: 1 week)".
    pub basis: String,
    /// The rows that count against it.
    pub hits: i64,
    /// Of so many.
    pub of: i64,
    /// Probable causes, the likeliest first.
    pub causes: Vec<Cause>,
    /// Which rows show it.
    pub evidence: Evidence,
    /// What people wrote.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Until when it is silenced, if it is.
    #[serde(default, with = "maybe_iso")]
    pub silenced_until: Option<Micros>,
    /// How often it went on again after it had ended.
    #[serde(default)]
    pub reopened: u32,
}

impl Incident {
    /// The time and filters that show it on any tab.
    pub fn view(&self) -> Scope {
        let filters = self
            .scope
            .iter()
            .filter_map(|(name, value)| Field::parse(name).map(|field| Filter::include(field, value.as_str())));
        // It was closed by its last row, which belongs to it.
        Scope::new(TimeRange::Between(Some(self.opened_at), self.closed_at.map(|at| at.saturating_add(1))), filters)
    }

    /// The same with the filters that leave its evidence alone.
    pub fn rows(&self) -> Scope {
        let mut scope = self.view();
        for filter in self.evidence.filters.iter().filter_map(|text| Filter::parse(text).ok()) {
            scope.add(filter);
        }
        scope
    }

    /// Whether its time touches a range, and nothing in its scope speaks against the filters.
    pub fn touches(
        &self,
        (from, until): (Option<Micros>, Option<Micros>),
        filters: &BTreeMap<Field, Conditions>,
    ) -> bool {
        self.closed_at.is_none_or(|closed| from.is_none_or(|from| from <= closed))
            && until.is_none_or(|until| self.opened_at < until)
            && filters.iter().all(|(field, conditions)| {
                self.scope.get(&field.report_name()).is_none_or(|value| conditions.allow(value))
            })
    }

    /// The same with recipients hidden.
    #[must_use]
    pub fn hidden(&self) -> Self {
        let mut hidden = self.clone();
        hidden.headline = mask::words(&hidden.headline);
        hidden.scope.values_mut().for_each(|value| *value = mask::words(value));
        for cause in &mut hidden.causes {
            for text in [&mut cause.cause, &mut cause.reply, &mut cause.advice] {
                *text = mask::words(text);
            }
        }
        hidden.notes.iter_mut().for_each(|note| note.text = mask::words(&note.text));
        hidden
    }

    /// Its scope in words: `provider Google · source-ip 192.0.2.1`; "all mail" where it is not limited.
    pub fn whom(&self) -> String {
        if self.scope.is_empty() {
            return "all mail".to_owned();
        }
        let parts: Vec<String> =
            self.scope.iter().map(|(name, value)| format!("{} {value}", name.replace('_', "-"))).collect();
        parts.join(" · ")
    }
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It was found.
    Opened,
    /// It became worse.
    Escalated,
    /// It ended.
    Resolved,
}

impl Step {
    /// The word as it stands in hooks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }
}

/// Something to tell of an incident; the same step of the same incident always has the same id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// `INCIDENT.opened`, `INCIDENT.escalated.critical`, `INCIDENT.resolved`; with `.2` behind it when it went on again
    /// after it had ended, and so on.
    pub event_id: String,
    /// What happened.
    pub step: Step,
    /// The incident as it was then.
    pub incident: Incident,
}

impl Happening {
    /// What is told of an incident.
    pub fn new(step: Step, incident: &Incident) -> Self {
        let mut incident = incident.clone();
        incident.state = match (step, incident.state) {
            (Step::Resolved, _) => State::Resolved,
            // It was over once, and goes on.
            (_, State::Resolved) => State::Open,
            (_, state) => state,
        };
        let mut event_id = match step {
            Step::Escalated => format!("{}.escalated.{}", incident.id, incident.severity.as_str()),
            _ => format!("{}.{}", incident.id, step.as_str()),
        };
        if incident.reopened > 0 {
            event_id = format!("{event_id}.{}", incident.reopened + 1);
        }
        Self { event_id, step, incident }
    }
}

/// Times as ISO text.
mod iso {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::event::Micros;
    use crate::query::time;

    pub(super) fn serialize<S: Serializer>(at: &Micros, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time::iso(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Micros, D::Error> {
        let text = String::deserialize(from)?;
        super::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no time")))
    }
}

/// Times as ISO text, or nothing.
mod maybe_iso {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::event::Micros;
    use crate::query::time;

    pub(super) fn serialize<S: Serializer>(at: &Option<Micros>, to: S) -> Result<S::Ok, S::Error> {
        at.map(time::iso).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Micros>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.as_deref().and_then(super::parse))
    }
}

fn parse(text: &str) -> Option<Micros> {
    time::parse_time(text).ok()
}
