//! Rules as data: one short file each in `assets/rules`, with thresholds that the configuration overrides, also for one
//! provider, VMTA or job alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::incident::Severity;
use super::signal::Signal;
use crate::config::{self, RuleOverride};
use crate::query::field::Field;

/// The files of the rules that come with the program, in the order in which incidents of equal weight are shown.
const FILES: &[&str] = &[
    include_str!("../../assets/rules/ip-block.toml"),
    include_str!("../../assets/rules/auth-failure.toml"),
    include_str!("../../assets/rules/queue-error.toml"),
    include_str!("../../assets/rules/provider-throttling.toml"),
    include_str!("../../assets/rules/bounce-spike.toml"),
    include_str!("../../assets/rules/complaint-spike.toml"),
    include_str!("../../assets/rules/async-bounce.toml"),
    include_str!("../../assets/rules/latency-anomaly.toml"),
    include_str!("../../assets/rules/volume-drop.toml"),
    include_str!("../../assets/rules/volume-spike.toml"),
    include_str!("../../assets/rules/known-code.toml"),
    include_str!("../../assets/rules/new-reply.toml"),
    include_str!("../../assets/rules/ingest-silence.toml"),
];

/// When trouble is trouble, and how bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// From here on it is worth a look.
    pub warn: f64,
    /// From here on someone is needed today.
    pub high: f64,
    /// From here on someone is needed now.
    pub critical: f64,
    /// And it must be so many times the usual.
    pub times_base: f64,
    /// Fewer rows that speak against somebody are nothing.
    pub min_hits: i64,
    /// Nor is anything of fewer rows.
    pub min_of: i64,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in settings and reports.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it counts.
    pub signal: Signal,
    /// Of whom, by sets of fields; the first of two that say the same is shown.
    pub scopes: Vec<Vec<String>>,
    #[serde(rename = "warn")]
    warn: f64,
    #[serde(rename = "high")]
    high: f64,
    #[serde(rename = "critical")]
    critical: f64,
    times_base: f64,
    min_hits: i64,
    min_of: i64,
    /// Minutes of quiet after which it is over.
    #[serde(default = "half_an_hour")]
    pub quiet_minutes: i32,
    /// Its line, with `{scope}`, `{rate}`, `{base}`, `{hits}`, `{of}`, `{value}`.
    pub headline: String,
    /// What to do next, where no reply says it better.
    pub advice: String,
    /// The tab that shows it.
    pub tab: String,
    /// The settings that hold for some only.
    #[serde(skip)]
    only: Vec<(Vec<(Field, String)>, Thresholds)>,
}

const fn half_an_hour() -> i32 {
    30
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule's file is no rule.
    #[error("rule: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The settings name a rule that is none.
    #[error("setting `rules.{name}`: there is no such rule; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The settings name a field that is none.
    #[error(
        "setting `rules.{rule}.only`: `{field}` is no field of a rule; use provider, vmta, job, user, pool, source-ip or sender-domain"
    )]
    Field {
        /// The rule.
        rule: String,
        /// The field.
        field: String,
    },
}

impl Rule {
    /// The rules of the program with the settings' thresholds; those that are switched off are left out.
    ///
    /// # Errors
    /// When the settings name a rule or field that there is not.
    pub fn all(settings: &BTreeMap<String, config::Rule>) -> Result<Vec<Self>, Error> {
        let mut rules: Vec<Self> = FILES.iter().map(|text| toml::from_str(text)).collect::<Result<_, _>>()?;
        for (name, setting) in settings {
            let Some(rule) = rules.iter_mut().find(|rule| rule.id == *name) else {
                let known: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
                return Err(Error::Unknown { name: name.clone(), known: known.join(", ") });
            };
            rule.set(setting)?;
        }
        rules.retain(|rule| settings.get(&rule.id).is_none_or(|setting| setting.enabled));
        Ok(rules)
    }

    fn set(&mut self, setting: &config::Rule) -> Result<(), Error> {
        let own = changed(self.thresholds(), &setting.thresholds());
        (self.warn, self.high, self.critical) = (own.warn, own.high, own.critical);
        (self.times_base, self.min_hits, self.min_of) = (own.times_base, own.min_hits, own.min_of);
        for only in &setting.only {
            let mut of = Vec::new();
            for (name, value) in &only.of {
                let field = Field::parse(name)
                    .filter(|field| super::series::place(*field).is_some())
                    .ok_or_else(|| Error::Field { rule: self.id.clone(), field: name.clone() })?;
                of.push((field, value.clone()));
            }
            self.only.push((of, changed(own, &only.thresholds)));
        }
        Ok(())
    }

    /// The thresholds that hold for all mail.
    pub const fn thresholds(&self) -> Thresholds {
        Thresholds {
            warn: self.warn,
            high: self.high,
            critical: self.critical,
            times_base: self.times_base,
            min_hits: self.min_hits,
            min_of: self.min_of,
        }
    }

    /// The thresholds of somebody: the last of the settings' that are about nobody else.
    pub fn thresholds_of(&self, who: &[(Field, &str)]) -> Thresholds {
        let is_about = |of: &[(Field, String)]| {
            of.iter().all(|(field, value)| {
                who.iter().any(|(known, word)| {
                    known == field && crate::query::filter::Filter::include(*field, value.as_str()).matches(word)
                })
            })
        };
        self.only
            .iter()
            .rev()
            .find(|(of, _)| is_about(of))
            .map_or_else(|| self.thresholds(), |(_, thresholds)| *thresholds)
    }

    /// The sets of fields.
    pub fn fields(&self) -> impl Iterator<Item = Vec<Field>> + '_ {
        self.scopes.iter().map(|names| names.iter().filter_map(|name| Field::parse(name)).collect())
    }

    /// The same rule with other thresholds, for a replay.
    #[must_use]
    pub fn tuned(&self, thresholds: Thresholds) -> Self {
        Self {
            warn: thresholds.warn,
            high: thresholds.high,
            critical: thresholds.critical,
            times_base: thresholds.times_base,
            min_hits: thresholds.min_hits,
            min_of: thresholds.min_of,
            only: Vec::new(),
            ..self.clone()
        }
    }
}

impl Thresholds {
    /// How bad a value is; none: not at all. Volumes are bad when they are small.
    pub fn severity(&self, value: f64, small_is_bad: bool) -> Option<Severity> {
        let reaches = |limit: f64| if small_is_bad { value <= limit } else { value >= limit };
        [(self.critical, Severity::Critical), (self.high, Severity::High), (self.warn, Severity::Warn)]
            .into_iter()
            .find(|(limit, _)| reaches(*limit))
            .map(|(_, severity)| severity)
    }
}

fn changed(base: Thresholds, by: &RuleOverride) -> Thresholds {
    Thresholds {
        warn: by.warn.unwrap_or(base.warn),
        high: by.high.unwrap_or(base.high),
        critical: by.critical.unwrap_or(base.critical),
        times_base: by.times_base.unwrap_or(base.times_base),
        min_hits: by.min_hits.unwrap_or(base.min_hits),
        min_of: by.min_of.unwrap_or(base.min_of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> BTreeMap<String, config::Rule> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_rule_of_the_program_is_sound() {
        let rules = Rule::all(&BTreeMap::new()).unwrap();
        assert_eq!(rules.len(), FILES.len());
        for rule in &rules {
            assert!(!rule.scopes.is_empty(), "{}", rule.id);
            for (names, fields) in rule.scopes.iter().zip(rule.fields()) {
                assert_eq!(names.len(), fields.len(), "{}: {names:?}", rule.id);
            }
            assert!(["health", "latency", "domains", "risk", "files"].contains(&rule.tab.as_str()), "{}", rule.id);
        }
    }

    #[test]
    fn the_settings_change_a_rule_for_all_and_for_some() {
        let rules = Rule::all(&settings(
            "[provider-throttling]\nwarn = 0.08\n[[provider-throttling.only]]\nprovider = 'yahoo'\nwarn = 0.2\n\
             [volume-drop]\nenabled = false",
        ))
        .unwrap();
        let rule = rules.iter().find(|rule| rule.id == "provider-throttling").unwrap();
        let warn = |provider: &str| rule.thresholds_of(&[(Field::Provider, provider)]).warn;
        assert_eq!((warn("Google"), warn("Yahoo"), rule.thresholds_of(&[]).warn), (0.08, 0.2, 0.08));
        assert!(rules.iter().all(|rule| rule.id != "volume-drop"));
    }

    #[test]
    fn a_rule_or_field_that_there_is_not_is_named() {
        let error = Rule::all(&settings("[throttling]\nwarn = 1")).unwrap_err().to_string();
        assert!(error.contains("rules.throttling") && error.contains("provider-throttling"), "{error}");
        let error = Rule::all(&settings("[[ip-block.only]]\nrecipient = 'x'")).unwrap_err().to_string();
        assert!(error.contains("rules.ip-block") && error.contains("recipient"), "{error}");
    }

    #[test]
    fn severity_follows_the_thresholds_in_both_directions() {
        let rules = Rule::all(&BTreeMap::new()).unwrap();
        let of = |id: &str| rules.iter().find(|rule| rule.id == id).unwrap().thresholds();
        assert_eq!(of("provider-throttling").severity(0.2, false), Some(Severity::High));
        assert_eq!(of("provider-throttling").severity(0.01, false), None);
        assert_eq!(of("volume-drop").severity(0.0, true), Some(Severity::Critical));
        assert_eq!(of("volume-drop").severity(0.9, true), None);
    }
}
