//! Trying other thresholds of a rule: which, by how much, and what they would have found.

use std::fmt::Write as _;

use crate::insight::rule::Thresholds;
use crate::insight::watch::Replay;
use crate::query::question::Failure;

/// One threshold.
#[derive(Debug)]
pub struct Knob {
    /// Its name in the settings.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    get: fn(&Thresholds) -> f64,
    set: fn(&mut Thresholds, f64),
    /// Whether it counts whole rows.
    whole: bool,
}

/// Every threshold of a rule.
pub const KNOBS: &[Knob] = &[
    knob("warn", "from here on it is worth a look", |t| t.warn, |t, to| t.warn = to),
    knob("high", "from here on someone is needed today", |t| t.high, |t, to| t.high = to),
    knob("critical", "from here on someone is needed now", |t| t.critical, |t, to| t.critical = to),
    knob("times_base", "and it must be so many times the usual", |t| t.times_base, |t, to| t.times_base = to),
    rows("min_hits", "fewer rows against somebody are nothing", |t| number(t.min_hits), |t, to| t.min_hits = count(to)),
    rows("min_of", "nor is anything of fewer rows", |t| number(t.min_of), |t, to| t.min_of = count(to)),
];

const fn knob(
    name: &'static str,
    help: &'static str,
    get: fn(&Thresholds) -> f64,
    set: fn(&mut Thresholds, f64),
) -> Knob {
    Knob { name, help, get, set, whole: false }
}

const fn rows(
    name: &'static str,
    help: &'static str,
    get: fn(&Thresholds) -> f64,
    set: fn(&mut Thresholds, f64),
) -> Knob {
    Knob { name, help, get, set, whole: true }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^52")]
fn number(count: i64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "counts of rows stay below 2^52")]
fn count(number: f64) -> i64 {
    number as i64
}

impl Knob {
    /// What it stands at, as the settings have it.
    pub fn text(&self, thresholds: &Thresholds) -> String {
        let value = (self.get)(thresholds);
        if self.whole { format!("{value:.0}") } else { format!("{value:?}") }
    }

    /// Turns it to the next value that people would choose.
    pub fn turn(&self, thresholds: &mut Thresholds, up: bool) {
        let now = (self.get)(thresholds);
        (self.set)(thresholds, if self.whole { whole(now, up) } else { next(now, up) });
    }
}

/// Values that people choose, in a decade.
const ROUND: [f64; 11] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];

/// The next round value.
fn next(now: f64, up: bool) -> f64 {
    if now <= 0.0 {
        return if up { 0.01 } else { 0.0 };
    }
    let power = 10f64.powf(now.log10().floor());
    let mut ladder: Vec<f64> = ROUND.iter().flat_map(|step| [step * power / 10.0, step * power]).collect();
    ladder.push(12.0 * power);
    ladder.sort_by(f64::total_cmp);
    let near = now * 1e-6;
    let found = if up {
        ladder.iter().copied().find(|step| *step > now + near)
    } else {
        ladder.iter().copied().rfind(|step| *step < now - near)
    };
    let value = found.unwrap_or(now);
    (value * 1e6).round() / 1e6
}

/// The same for rows: by one at least.
fn whole(now: f64, up: bool) -> f64 {
    let step = next(now.max(1.0), up).round();
    match up {
        true if now <= 0.0 => 1.0,
        true => step.max(now + 1.0),
        false => step.min(now - 1.0).max(0.0),
    }
}

/// Trying other thresholds.
#[derive(Debug, Clone)]
pub struct Tune {
    /// The rule's name in the settings.
    pub rule: String,
    /// Its name for people.
    pub title: String,
    /// As they are.
    pub now: Thresholds,
    /// As they would be.
    pub then: Thresholds,
    /// The threshold under the cursor.
    pub chosen: usize,
    /// What was found with them; nothing while it is being found.
    pub replay: Option<Result<Replay, Failure>>,
    /// The serial of the asking.
    pub serial: u64,
}

impl Tune {
    /// Turns the threshold under the cursor; whether something changed.
    pub fn turn(&mut self, up: bool) -> bool {
        let before = self.then;
        if let Some(knob) = KNOBS.get(self.chosen) {
            knob.turn(&mut self.then, up);
        }
        self.then != before
    }

    /// The lines of the settings that make it so; empty where nothing is changed.
    pub fn settings(&self) -> String {
        let mut out = String::new();
        for knob in KNOBS.iter().filter(|knob| (knob.get)(&self.now).total_cmp(&(knob.get)(&self.then)).is_ne()) {
            if out.is_empty() {
                write!(out, "[rules.{}]", self.rule).ok();
            }
            write!(out, "\n{} = {}", knob.name, knob.text(&self.then)).ok();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tune() -> Tune {
        let now = Thresholds { warn: 0.05, high: 0.15, critical: 0.3, times_base: 2.0, min_hits: 12, min_of: 20 };
        Tune {
            rule: "provider-throttling".to_owned(),
            title: "Throttling".to_owned(),
            now,
            then: now,
            chosen: 0,
            replay: None,
            serial: 0,
        }
    }

    #[test]
    fn thresholds_turn_through_round_values_and_back() {
        let mut tune = tune();
        let mut seen = Vec::new();
        for _ in 0..4 {
            tune.turn(true);
            seen.push(tune.then.warn);
        }
        assert_eq!(seen, [0.06, 0.08, 0.1, 0.12]);
        for _ in 0..4 {
            tune.turn(false);
        }
        assert_eq!(tune.settings(), "", "as it was");
        tune.chosen = 4;
        tune.turn(true);
        assert_eq!(tune.then.min_hits, 15);
        for _ in 0..20 {
            tune.turn(false);
        }
        assert_eq!(tune.then.min_hits, 0);
    }

    #[test]
    fn what_was_changed_is_written_as_the_settings_take_it() {
        let mut tune = tune();
        tune.turn(true);
        tune.chosen = 3;
        tune.turn(true);
        let text = tune.settings();
        assert_eq!(text, "[rules.provider-throttling]\nwarn = 0.06\ntimes_base = 2.5");
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        let rules: std::collections::BTreeMap<String, crate::config::Rule> =
            parsed["rules"].clone().try_into().unwrap();
        assert_eq!(rules["provider-throttling"].warn, Some(0.06));
    }
}
