//! What is behind a change, asked of a catalog: the right place, time and reply, in words and as data.

use std::process::{Command, Output};

use pmtop::insight::explain::ask::{Request, ask};
use pmtop::insight::explain::{Explanation, Metric, Verdict};
use pmtop::query::field::Field;
use pmtop::query::question::{Question, Report};
use pmtop::query::time::{MINUTE, parse_time};
use pmtop::reply::Catalogue;
use pmtop::report;
use serde_json::Value as Json;

use crate::support::{Desk, scope};

const HEADER: &str =
    "type,timeLogged,timeQueued,orig,rcpt,jobId,dsnStatus,dsnDiag,bounceCat,dlvType,vmta,dlvSourceIp,rcvSmtpUser\n";

/// A row of an address to a domain.
fn row(kind: &str, day: u32, second: u32, (domain, ip): (&str, u32), diag: &str) -> String {
    let clock = format!("{:02}:{:02}:{:02}", 10 + second / 3600, second / 60 % 60, second % 60);
    let status = if kind == "d" { "2.0.0" } else { "4.7.0" };
    format!(
        "{kind},2026-11-{day:02} {clock}+0000,2026-11-{day:02} 09:59:00+0000,s{day}-{second}@own.example,\
         u{kind}{day}-{second}-{ip}@{domain},job-{day},{status},\"{diag}\",,smtp,v{ip},192.0.2.{ip},user{}\n",
        second / 60 % 2
    )
}

/// Ten to twelve o'clock of two weeks: three addresses to Google and Yahoo; on the last day Yahoo puts off most of what
/// the second one brings, from 11:00:30 on.
fn two_weeks() -> Desk {
    let desk = Desk::new();
    let mut text = HEADER.to_owned();
    for day in 8..=23 {
        for minute in 0..120 {
            for ip in 1..=3 {
                for domain in ["gmail.com", "yahoo.com"] {
                    let second = minute * 60 + ip * 7;
                    text += &row("d", day, second, (domain, ip), "");
                    let is_usual = (minute + ip) % 20 == 0;
                    if is_usual {
                        text += &row("t", day, second + 1, (domain, ip), "smtp;451 4.3.0 Try again later");
                    }
                    if day == 23 && minute >= 60 && ip == 2 && domain == "yahoo.com" {
                        let diag = "smtp;421 4.7.0 [TSS04] Messages from 192.0.2.2 temporarily deferred \u{1b}[31m";
                        for n in 0..3 {
                            text += &row("t", day, minute * 60 + 30 + n, (domain, ip), diag);
                        }
                    }
                }
            }
        }
    }
    desk.ingest("acct.csv", text);
    desk
}

const MORNING: &str = "time=2026-11-23T10:00..2026-11-23T12:00";

fn explained(desk: &Desk, metric: Option<Metric>, filters: &[&str]) -> Explanation {
    let request = Request { scope: scope(filters), metric, slow_ms: None };
    desk.engine.block_on(ask(&desk.engine, &Catalogue::builtin(), &request)).unwrap()
}

fn pmtop(desk: &Desk, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
    command.arg("--catalog").arg(&desk.config.catalog).args(arguments).current_dir(desk.folder.path());
    command.env("XDG_CONFIG_HOME", desk.folder.path()).output().unwrap()
}

fn json(desk: &Desk, arguments: &[&str]) -> Json {
    let output = pmtop(desk, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const WINDOW: [&str; 4] = ["--since", "2026-11-23T10:00", "--until", "2026-11-23T12:00"];

#[test]
fn an_address_put_off_by_a_provider_is_found_with_its_time_and_reply() {
    let desk = two_weeks();
    let found = explained(&desk, None, &[MORNING]);
    assert_eq!((found.metric, found.verdict), (Metric::Deferral, Verdict::Found), "what changed most");
    assert_eq!(found.baseline.ranges.len(), 2, "{}", found.baseline.basis);
    let first = &found.contributors[0];
    let mut filters = first.filters.clone();
    filters.sort();
    assert_eq!(filters, [(Field::Provider, "Yahoo".to_owned()), (Field::SourceIp, "192.0.2.2".to_owned())]);
    assert!(first.same_as.contains(&(Field::Vmta, "v2".to_owned())));
    assert!(first.share > 0.95, "{first:?}");
    // It took the second half of the window: 60 deliveries, 3 usual deferrals and 180 more.
    let part = |clock: &str| parse_time(&format!("2026-11-23T{clock}:00Z")).unwrap();
    assert_eq!(found.focus.as_ref().map(|(part, _)| *part), Some((part("11:00"), part("12:00"))));
    assert_eq!((first.hits, first.of), (183, 243));
    let onset = found.onset.unwrap();
    let began = parse_time("2026-11-23T11:00:30Z").unwrap();
    assert!((onset.from - began).abs() <= 2 * MINUTE, "{}", pmtop::query::time::iso(onset.from));
    assert!(onset.exact && !onset.earlier && onset.until.is_none(), "{onset:?}");
    assert_eq!((found.replies[0].class.as_str(), found.replies[0].n), ("throttle-reputation", 180));
    assert!(!found.replies[0].meaning.is_empty() && !found.replies[0].advice.is_empty());
    let fields: Vec<Field> = found.not_involved.iter().map(|part| part.field).collect();
    for field in [Field::Provider, Field::SourceIp, Field::User] {
        assert!(fields.contains(&field), "{field:?} has nothing to do with it: {fields:?}");
    }
}

#[test]
fn a_filter_narrows_window_and_baseline() {
    let desk = two_weeks();
    let found = explained(&desk, Some(Metric::Deferral), &[MORNING, "provider=Google"]);
    assert_eq!((found.verdict, found.contributors.len()), (Verdict::Unchanged, 0));
    let found = explained(&desk, Some(Metric::Deferral), &[MORNING, "provider=Yahoo"]);
    assert_eq!(found.contributors[0].filters, [(Field::SourceIp, "192.0.2.2".to_owned())]);
}

#[test]
fn a_drop_of_volume_is_explained() {
    let desk = two_weeks();
    // The first hour has as much as ever; nobody sends for two hours after, on any day.
    let found = explained(&desk, Some(Metric::Volume), &["time=2026-11-23T10:00..2026-11-23T11:00"]);
    assert_eq!(found.verdict, Verdict::Unchanged);
    let nobody = explained(&desk, Some(Metric::Auth), &[MORNING]);
    assert_eq!(nobody.verdict, Verdict::Nothing);
}

#[test]
fn every_key_of_the_json_is_documented_and_the_first_contributor_is_in_all_formats() {
    let desk = two_weeks();
    let found = json(&desk, &[&["explain", "--format", "json"][..], &WINDOW].concat());
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md")).unwrap();
    let mut keys: Vec<String> = found.as_object().unwrap().keys().cloned().collect();
    for list in ["contributors", "values", "not_involved", "replies", "series", "baseline"] {
        let first = found[list][0].as_object().unwrap_or_else(|| panic!("{list} is empty"));
        keys.extend(first.keys().cloned());
    }
    for key in keys {
        assert!(text.contains(&format!("`{key}`")), "`{key}` is not documented");
    }
    for metric in Metric::all() {
        assert!(text.contains(&format!("| `{}` | {} |", metric.name(), metric.about())), "{}", metric.name());
    }
    assert_eq!(found["contributors"][0]["source_ip"], "192.0.2.2");
    assert_eq!(found["contributors"][0]["job"], Json::Null);
    for (format, cell) in [("csv", "Yahoo,,192.0.2.2"), ("md", "192.0.2.2"), ("table", "source IP 192.0.2.2")] {
        let output = pmtop(&desk, &[&["explain", "--format", format, "--metric", "deferral"][..], &WINDOW].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(cell), "{format}: {text}");
        assert!(!text.contains('\u{1b}'), "an escape of a log file reaches the terminal");
    }
}

#[test]
fn mistakes_are_told() {
    let desk = two_weeks();
    let limit = pmtop(&desk, &["explain", "--metric", "hard", "--slower-than", "5m"]);
    assert_eq!(limit.status.code(), Some(2));
    let empty = pmtop(&desk, &["explain", "--since", "2027-01-01", "--until", "2027-01-02"]);
    assert!(!empty.status.success());
    assert!(String::from_utf8_lossy(&empty.stderr).contains("no event lies in this time"));
}

#[test]
fn latency_is_held_against_what_one_in_twenty_took() {
    let desk = Desk::new();
    let mut text = HEADER.to_owned();
    for day in [22, 23] {
        for n in 0..600 {
            let (ip, domain) = (n % 3, if n % 2 == 0 { "gmail.com" } else { "yahoo.com" });
            let slow = day == 23 && ip == 1 && n % 2 == 0;
            // Queued so many seconds before.
            let wait = if slow { 900 } else { 2 + n % 30 };
            let clock = |second: u32| format!("{:02}:{:02}:{:02}", 10 + second / 3600, second / 60 % 60, second % 60);
            text += &format!(
                "d,2026-11-{day} {}+0000,2026-11-{day} {}+0000,s@own.example,u{day}-{n}@{domain},job,2.0.0,,,smtp,v{ip},192.0.2.{ip},user\n",
                clock(n * 6 + 900),
                clock(n * 6 + 900 - wait),
            );
        }
    }
    desk.ingest("acct.csv", text);
    let found = explained(&desk, Some(Metric::Latency), &["time=2026-11-23T10:00..2026-11-23T12:00"]);
    let mut filters = found.contributors[0].filters.clone();
    filters.sort();
    assert_eq!(filters, [(Field::Provider, "Google".to_owned()), (Field::SourceIp, "192.0.2.1".to_owned())]);
    let limit = found.slow_ms.unwrap();
    assert!((28_000..=32_000).contains(&limit), "{limit}");
    let mut request = Request {
        scope: scope(&["time=2026-11-23T10:00..2026-11-23T12:00"]),
        metric: Some(Metric::Latency),
        slow_ms: Some(3_600_000),
    };
    let none = desk.engine.block_on(ask(&desk.engine, &Catalogue::builtin(), &request)).unwrap();
    assert_eq!(none.verdict, Verdict::Nothing, "nothing takes an hour");
    request.slow_ms = Some(600_000);
    let same = desk.engine.block_on(ask(&desk.engine, &Catalogue::builtin(), &request)).unwrap();
    assert_eq!(same.contributors[0].hits, 100);
}

#[test]
fn explanations_reports_and_rules_may_ask_at_once() {
    let desk = two_weeks();
    let config = desk.config.clone();
    let (done, all) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..12 {
            // Nothing is in memory: packs are loaded, and their words numbered, while others ask.
            let engine = pmtop::cli::engine(&config).unwrap();
            std::thread::scope(|threads| {
                for asker in 0..6 {
                    let (engine, config) = (&engine, &config);
                    threads.spawn(move || match asker % 3 {
                        0 => {
                            let request =
                                Request { scope: scope(&[MORNING]), metric: Some(Metric::Deferral), slow_ms: None };
                            engine.block_on(ask(engine, &Catalogue::builtin(), &request)).map(drop)
                        }
                        1 => {
                            let mut watch = pmtop::cli::incidents::watch(config).unwrap();
                            let rule = watch.rules()[0].clone();
                            watch.replay(engine, &rule.id, rule.thresholds()).map(drop)
                        }
                        _ => {
                            let question = Question::new(Report::Replies, scope(&[MORNING]));
                            engine.block_on(report::answer(engine, &question)).map(drop)
                        }
                    });
                }
            });
        }
        done.send(()).ok();
    });
    assert!(all.recv_timeout(std::time::Duration::from_secs(120)).is_ok(), "whoever asks waits for another");
}
