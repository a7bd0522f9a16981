//! Verdicts in words: the line of an incident, its name, and the cause of what no reply explains.

use super::incident::{Cause, Incident};
use super::judge::{Verdict, whole};
use super::rule::Rule;
use super::signal::Signal;

/// A cause that no reply tells.
pub(super) fn plain(rule: &Rule, verdict: &Verdict) -> Cause {
    let words = match rule.signal {
        Signal::Latency => "Deliveries take longer than usual, and no reply says why.",
        Signal::Volume => "Less mail than usual was handed to PowerMTA.",
        Signal::Surge => "Far more mail was handed to PowerMTA than at any time in four weeks.",
        Signal::Complaint => "Recipients reported this mail as spam.",
        Signal::RemoteBounce => "Mail was accepted and bounced later.",
        _ => "The attempts got no reply.",
    };
    Cause {
        cause: words.to_owned(),
        reply_class: String::new(),
        status: String::new(),
        reply: String::new(),
        blocklist: None,
        advice: rule.advice.clone(),
        share: 1.0,
        rows: whole(verdict.segment.hits),
    }
}

/// What an incident is called, always the same for the same rule, scope and begin.
pub(super) fn name(incident: &Incident) -> String {
    let text = format!("{}\n{:?}\n{}", incident.rule, incident.scope, incident.opened_at);
    format!("{:010x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()) & 0xff_ffff_ffff)
}

/// A time for people: `6s`, `2m 08s`, `8h 53m`.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds of days")]
fn lasted(ms: f64) -> String {
    match (ms / 1000.0).round() as i64 {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The line of an incident: that of its rule, filled in.
pub(super) fn headline(rule: &Rule, incident: &Incident) -> String {
    let percent = |share: f64| {
        let digits = if share < 0.01 { 2 } else { 1 };
        format!("{:.digits$} %", share * 100.0)
    };
    let whom = if incident.scope.is_empty() {
        "all mail".to_owned()
    } else {
        incident.scope.values().map(String::as_str).collect::<Vec<_>>().join(" · ")
    };
    let (value, base) = match rule.signal {
        Signal::Latency | Signal::Files => (lasted(incident.value), lasted(incident.baseline.unwrap_or_default())),
        Signal::Surge => (format!("{:.1}", incident.value), "1".to_owned()),
        _ => (percent(incident.value), percent(incident.baseline.unwrap_or_default())),
    };
    rule.headline
        .replace("{scope}", &whom)
        .replace("{rate}", &percent(incident.value))
        .replace("{value}", &value)
        .replace("{base}", &base)
        .replace("{hits}", &incident.hits.to_string())
        .replace("{of}", &incident.of.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units_at_most() {
        let told = [6_100.0, 128_000.0, 31_964_000.0].map(lasted);
        assert_eq!(told, ["6s", "2m 08s", "8h 52m"]);
    }
}
