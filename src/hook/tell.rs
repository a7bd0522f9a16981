//! Which hook is told of what, and in which words: happenings → the outbox. Nothing is sent here.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::clock;
use crate::catalog::outbox::Outgoing;
use crate::config::Config;
use crate::config::hooks::{Hook, Least, When};
use crate::event::Micros;
use crate::insight::incident::{Evidence, Happening, Incident, Severity, State, Step};
use crate::query::time::{DAY, MINUTE, iso, parse_time};
use crate::query::{Engine, mask};
use crate::text::display;

/// The fact that says since when hooks are told: the log time of the first evaluation.
const SINCE: &str = "hooks_since";
/// What began and ended unseen, and ended so long ago, is no news.
const NEWS: Micros = DAY;
/// Longest text in what is told, in characters.
const LONGEST: usize = 1000;
/// How many ids of happenings that are summed up are told.
const SUMMED: usize = 100;

/// The times that decide what is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Since when rules look at this catalog, by log time: what had ended before are old stories.
    pub since: Micros,
    /// Now, by log time.
    pub now: Micros,
    /// The clock.
    pub at: Micros,
}

/// What an evaluation of rules has to queue, as [`crate::insight::watch::Watch::look`] wants it.
pub fn teller<'a>(engine: &'a Engine, config: &'a Config) -> impl Fn(&[Happening]) -> Vec<Outgoing> + 'a {
    move |changes| {
        let at = clock();
        let now = engine.snapshot().and_then(|snapshot| engine.now(&snapshot)).ok().flatten();
        // Without a row there is no log time, and nothing to tell.
        let Some(now) = now else { return tell(config, changes, Times { since: Micros::MIN, now: at, at }) };
        let incidents = engine.catalog().incidents();
        let since = incidents.and_then(|incidents| incidents.settle(SINCE, &iso(now)));
        // What cannot be read makes no news old.
        let since = since.ok().and_then(|text| parse_time(&text).ok()).unwrap_or(Micros::MIN);
        tell(config, changes, Times { since, now, at })
    }
}

/// What hooks are told of changes, in order; pure.
pub fn tell(config: &Config, changes: &[Happening], times: Times) -> Vec<Outgoing> {
    let at = times.at;
    let new: HashSet<&str> =
        changes.iter().filter(|change| change.step == Step::Opened).map(|change| change.incident.id.as_str()).collect();
    let is_news = |incident: &Incident| {
        let fresh = |closed: Micros| closed >= times.now.saturating_sub(NEWS) || !new.contains(incident.id.as_str());
        incident.closed_at.is_none_or(|closed| closed >= times.since && fresh(closed))
    };
    let mut changes: Vec<&Happening> = changes.iter().collect();
    changes.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut queued = Vec::new();
    for hook in &config.hooks {
        let wanted: Vec<&Happening> =
            changes.iter().copied().filter(|change| is_news(&change.incident) && wants(hook, change, at)).collect();
        for step in [Step::Opened, Step::Escalated, Step::Resolved] {
            let of_step: Vec<&Happening> = wanted.iter().copied().filter(|change| change.step == step).collect();
            let most = if hook.most_at_once == 0 { of_step.len() } else { hook.most_at_once.min(of_step.len()) };
            let (single, rest) = of_step.split_at(most);
            queued.extend(single.iter().map(|change| outgoing(hook, &body(config, change, at), at)));
            if !rest.is_empty() {
                queued.push(outgoing(hook, &summary(step, rest, at), at));
            }
        }
    }
    queued
}

/// The order in which things are told: by incident, and of one as they happened.
fn order(change: &Happening) -> (Micros, &str, u8, Severity) {
    let step = match change.step {
        Step::Opened => 0,
        Step::Escalated => 1,
        Step::Resolved => 2,
    };
    (change.incident.opened_at, &change.incident.id, step, change.incident.severity)
}

fn wants(hook: &Hook, change: &Happening, at: Micros) -> bool {
    let incident = &change.incident;
    let when = match change.step {
        Step::Opened => When::Opened,
        Step::Escalated => When::Escalated,
        Step::Resolved => When::Resolved,
    };
    let least = match hook.min_severity {
        Least::Warn => Severity::Warn,
        Least::High => Severity::High,
        Least::Critical => Severity::Critical,
    };
    let silenced = incident.state == State::Silenced || incident.silenced_until.is_some_and(|until| until > at);
    let known = incident.state == State::Acknowledged && change.step == Step::Opened;
    hook.on.contains(&when)
        && incident.severity >= least
        && (hook.rules.is_empty() || hook.rules.contains(&incident.rule))
        && !silenced
        && !known
}

fn outgoing(hook: &Hook, body: &Json, at: Micros) -> Outgoing {
    Outgoing {
        event_id: body.get("event_id").and_then(Json::as_str).unwrap_or_default().to_owned(),
        hook: hook.name.clone(),
        body: body.to_string(),
        next_at: at,
    }
}

/// A happening as hooks are told of it (`docs/hooks.md`).
fn body(config: &Config, change: &Happening, at: Micros) -> Json {
    let incident = &change.incident;
    let mut told = Map::new();
    told.insert("event_id".to_owned(), json!(safe_id(&change.event_id)));
    told.insert("step".to_owned(), json!(change.step.as_str()));
    told.insert("text".to_owned(), json!(line(change)));
    told.insert("told_at".to_owned(), json!(iso(at)));
    if !config.host.is_empty() {
        told.insert("host".to_owned(), json!(config.host));
    }
    // An incident is plain data, which always is JSON.
    told.insert("incident".to_owned(), serde_json::to_value(incident).unwrap_or_default());
    let mut told = Json::Object(told);
    clean(&mut told, config.masks());
    told
}

/// What is told of the rest, when there is too much for one by one.
fn summary(step: Step, rest: &[&Happening], at: Micros) -> Json {
    let ids: Vec<String> = rest.iter().map(|change| safe_id(&change.event_id)).collect();
    let mut by_rule: Vec<(&str, usize)> = Vec::new();
    for change in rest {
        match by_rule.iter_mut().find(|(rule, _)| *rule == change.incident.rule) {
            Some((_, count)) => *count += 1,
            None => by_rule.push((&change.incident.rule, 1)),
        }
    }
    by_rule.sort_by_key(|(rule, count)| (std::cmp::Reverse(*count), *rule));
    let worst = rest.iter().map(|change| change.incident.severity).max().unwrap_or(Severity::Warn);
    let words: Vec<String> = by_rule.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
    let mut told = json!({
        // The same happenings have the same id.
        "event_id": format!("more-{:016x}.{}", xxh3_64(ids.join("\n").as_bytes()), step.as_str()),
        "step": step.as_str(),
        "text": format!("{} more incidents {}: {}", rest.len(), step.as_str(), words.join(", ")),
        "told_at": iso(at),
        "more": rest.len(),
        "severity": worst.as_str(),
        "rules": by_rule.iter().map(|(rule, count)| ((*rule).to_owned(), json!(count))).collect::<Map<_, _>>(),
        "event_ids": ids.get(..SUMMED).unwrap_or(&ids),
    });
    clean(&mut told, false);
    told
}

/// One line that says it all.
fn line(change: &Happening) -> String {
    let incident = &change.incident;
    let mut line = format!("{} ({}): {}", change.step.as_str(), incident.severity.as_str(), incident.headline);
    let whom = incident.whom();
    if !incident.headline.contains(&whom) {
        line += &format!(" · {whom}");
    }
    match incident.closed_at {
        Some(closed) if change.step == Step::Resolved => {
            line += &format!(" · after {}", lasted(closed.saturating_sub(incident.opened_at)));
        }
        _ => line += &format!(" · since {}", iso(incident.opened_at)),
    }
    line
}

/// How long something took, to the minute.
fn lasted(took: Micros) -> String {
    let minutes = (took / MINUTE).max(1);
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {} min", minutes / 60, minutes % 60) }
}

/// An id that can stand in a header and an environment variable whatever rules and scopes are called.
fn safe_id(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    if !id.is_empty() && id.len() <= 200 && id.chars().all(plain) {
        return id.to_owned();
    }
    let kept: String = id.chars().take(100).map(|letter| if plain(letter) { letter } else { '-' }).collect();
    format!("{:016x}-{kept}", xxh3_64(id.as_bytes()))
}

/// Every text without what a terminal would act on, no longer than is read, and with recipients hidden if they must be.
fn clean(value: &mut Json, masks: bool) {
    match value {
        Json::String(text) => {
            if masks {
                *text = mask::words(text);
            }
            if text.chars().count() > LONGEST {
                *text = text.chars().take(LONGEST).chain(['…']).collect();
            }
            *text = display(text).into_owned();
        }
        Json::Array(values) => values.iter_mut().for_each(|value| clean(value, masks)),
        Json::Object(fields) => fields.values_mut().for_each(|value| clean(value, masks)),
        _ => {}
    }
}

/// A happening that never was, for `pmtop hooks test`: its id and what is told of it.
pub fn sample(config: &Config, hook: &Hook, at: Micros) -> (String, String) {
    let severity = match hook.min_severity {
        Least::Warn => Severity::Warn,
        Least::High => Severity::High,
        Least::Critical => Severity::Critical,
    };
    let incident = Incident {
        id: format!("test-{at}"),
        rule: "test".to_owned(),
        severity,
        state: State::Open,
        opened_at: at,
        closed_at: None,
        scope: [("provider".to_owned(), "Example".to_owned())].into(),
        headline: "a test by `pmtop hooks test`; nothing is wrong".to_owned(),
        value: 0.25,
        baseline: Some(0.02),
        basis: "invented".to_owned(),
        hits: 25,
        of: 100,
        causes: Vec::new(),
        evidence: Evidence::default(),
        notes: Vec::new(),
        silenced_until: None,
        reopened: 0,
    };
    let told = body(config, &Happening::new(Step::Opened, &incident), at);
    (told.get("event_id").and_then(Json::as_str).unwrap_or_default().to_owned(), told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::time::HOUR;

    fn hook(name: &str) -> Hook {
        Hook { name: name.to_owned(), url: "https://x.example".to_owned(), ..Hook::default() }
    }

    fn incident(id: &str, opened_at: Micros, closed_at: Option<Micros>) -> Incident {
        let config = Config::default();
        let (_, told) = sample(&config, &hook("h"), opened_at);
        let told: Json = serde_json::from_str(&told).unwrap();
        let mut incident: Incident = serde_json::from_value(told["incident"].clone()).unwrap();
        incident.id = id.to_owned();
        incident.closed_at = closed_at;
        if closed_at.is_some() {
            incident.state = State::Resolved;
        }
        incident
    }

    fn ids(queued: &[Outgoing]) -> Vec<&str> {
        queued.iter().map(|outgoing| outgoing.event_id.as_str()).collect()
    }

    fn with(hooks: Vec<Hook>) -> Config {
        Config { hooks, ..Config::default() }
    }

    const NOW: Times = Times { since: 0, now: 0, at: 50 };

    #[test]
    fn what_ended_before_hooks_were_there_is_no_news() {
        let config = with(vec![hook("h")]);
        let old = incident("old", HOUR, Some(2 * HOUR));
        let open = incident("open", HOUR, None);
        let changes = [
            Happening::new(Step::Opened, &old),
            Happening::new(Step::Resolved, &old),
            Happening::new(Step::Opened, &open),
        ];
        let queued = tell(&config, &changes, Times { since: 5 * HOUR, now: 5 * HOUR, at: 100 * HOUR });
        assert_eq!(ids(&queued), ["open.opened"]);
        assert_eq!(queued[0].next_at, 100 * HOUR);
        // An hour later another began and ended between two evaluations, and the open one ended.
        let (short, ended) = (incident("short", 5 * HOUR, Some(6 * HOUR)), incident("open", HOUR, Some(6 * HOUR)));
        let changes = [
            Happening::new(Step::Resolved, &short),
            Happening::new(Step::Opened, &short),
            Happening::new(Step::Resolved, &ended),
            Happening::new(Step::Opened, &old),
        ];
        let queued = tell(&config, &changes, Times { since: 5 * HOUR, now: 7 * HOUR, at: 101 * HOUR });
        assert_eq!(ids(&queued), ["short.opened", "open.resolved", "short.resolved"]);
        // Two days of logs came at once: who was told of the beginning hears of the end, and nobody of what is over.
        let queued = tell(&config, &changes, Times { since: 5 * HOUR, now: 55 * HOUR, at: 101 * HOUR });
        assert_eq!(ids(&queued), ["open.resolved"]);
    }

    #[test]
    fn the_first_evaluation_settles_since_when_hooks_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = crate::catalog::incidents::Incidents::open(&dir.path().join("incidents.db")).unwrap();
        assert_eq!(db.settle(SINCE, "a").unwrap(), "a");
        assert_eq!(db.settle(SINCE, "b").unwrap(), "a");
    }

    #[test]
    fn one_line_says_for_how_long_it_went_on() {
        let ended = incident("a", HOUR, Some(HOUR + 17_914_000_000));
        let told = line(&Happening::new(Step::Resolved, &ended));
        assert!(
            told.starts_with("resolved (warn): ") && told.ends_with(" · provider Example · after 4 h 58 min"),
            "{told}"
        );
    }

    #[test]
    fn filters_and_marks_decide_who_is_told() {
        let high = Hook { min_severity: Least::High, ..hook("high") };
        let ruled = Hook { rules: vec!["other".to_owned()], ..hook("ruled") };
        let ends = Hook { on: vec![When::Resolved], ..hook("ends") };
        let config = with(vec![hook("all"), high, ruled, ends]);
        let told = |change: &Happening| -> Vec<String> {
            tell(&config, std::slice::from_ref(change), NOW).into_iter().map(|outgoing| outgoing.hook).collect()
        };
        let mut one = incident("a", HOUR, None);
        assert_eq!(told(&Happening::new(Step::Opened, &one)), ["all"]);
        one.severity = Severity::Critical;
        assert_eq!(told(&Happening::new(Step::Escalated, &one)), ["all", "high"]);
        one.rule = "other".to_owned();
        assert_eq!(told(&Happening::new(Step::Resolved, &one)), ["all", "high", "ruled", "ends"]);
        one.state = State::Acknowledged;
        assert!(told(&Happening::new(Step::Opened, &one)).is_empty());
        assert_eq!(told(&Happening::new(Step::Escalated, &one)), ["all", "high", "ruled"]);
        one.state = State::Resolved;
        one.silenced_until = Some(51);
        assert!(told(&Happening::new(Step::Resolved, &one)).is_empty());
        one.silenced_until = Some(49);
        assert!(!told(&Happening::new(Step::Resolved, &one)).is_empty());
    }

    #[test]
    fn a_flood_is_summed_up_under_an_id_that_stays_the_same() {
        let config = with(vec![Hook { most_at_once: 2, ..hook("h") }]);
        let changes: Vec<Happening> =
            (0..39).map(|n| Happening::new(Step::Opened, &incident(&format!("i{n:02}"), HOUR, None))).collect();
        let queued = tell(&config, &changes, NOW);
        assert_eq!(ids(&queued)[..2], ["i00.opened", "i01.opened"]);
        assert_eq!(queued.len(), 3);
        let told: Json = serde_json::from_str(&queued[2].body).unwrap();
        assert_eq!((&told["more"], &told["rules"]["test"]), (&json!(37), &json!(37)));
        assert_eq!(told["text"], "37 more incidents opened: 37 test");
        assert_eq!(told["event_ids"].as_array().unwrap().len(), 37);
        assert_eq!(tell(&config, &changes, Times { at: 51, ..NOW })[2].event_id, queued[2].event_id);
    }

    #[test]
    fn nothing_of_a_log_file_can_act_and_recipients_are_hidden() {
        let mut config = with(vec![hook("h")]);
        config.privacy.mask = true;
        let mut one = incident("a\r\nX-Evil: 1", HOUR, None);
        one.headline = "\u{1b}]0;x\u{7} for alice@example.com".to_owned();
        let queued = tell(&config, &[Happening::new(Step::Opened, &one)], NOW);
        let told: Json = serde_json::from_str(&queued[0].body).unwrap();
        let headline = told["incident"]["headline"].as_str().unwrap();
        assert_eq!(headline, "␛]0;x␇ for a*@example.com");
        assert!(!queued[0].body.contains("alice") && !queued[0].body.contains("\\u001b"));
        let id = &queued[0].event_id;
        assert!(id.chars().all(|letter| letter.is_ascii_graphic()) && *id == told["event_id"], "{id}");
        assert!(id.ends_with("-a--X-Evil:-1.opened"), "{id}");
    }
}
