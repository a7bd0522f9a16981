//! Numbers for Prometheus: read by a parser of its own, and the same as in the reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use pmtop::catalog::incidents::Stored;
use pmtop::prom;
use pmtop::query::field::Field;
use pmtop::query::question::Report;
use pmtop::query::scope::Scope;
use pmtop::query::time::{DAY, TimeRange};
use serde_json::Value as Json;

use crate::support::Desk;

/// A sample: metric and labels → value.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads the text format as its description has it: HELP and TYPE before the samples of a metric, all samples of a metric
/// together, each set of labels once.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let (mut helped, mut typed, mut closed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, _] => assert!(helped.insert((*name).to_owned()), "{line}"),
            ["#", "TYPE", name, "gauge"] => assert!(typed.insert((*name).to_owned()), "{line}"),
            _ => {
                let (name, labels, value) = sample(line);
                if name != current {
                    assert!(closed.insert(name.clone()), "{name} stands apart");
                    current.clone_from(&name);
                }
                assert!(helped.contains(&name) && typed.contains(&name), "{line}");
                assert!(samples.insert((name, labels), value).is_none(), "twice: {line}");
            }
        }
    }
    samples
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'),
        "{name}"
    );
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut letters = inside.char_indices();
        let (mut label, mut value, mut quoted) = (String::new(), String::new(), false);
        let after = loop {
            let (at, letter) = letters.next().expect("a closing brace");
            match (letter, quoted) {
                ('"', false) => quoted = true,
                ('"', true) => {
                    quoted = false;
                    labels.insert(std::mem::take(&mut label), std::mem::take(&mut value));
                }
                ('\\', true) => value.push(match letters.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('"' | '\\') => escaped,
                    other => panic!("\\{other}"),
                }),
                (letter, true) => value.push(letter),
                ('}', false) => break at + 1,
                (',' | '=', false) => {}
                (letter, false) => label.push(letter),
            }
        };
        rest = &inside[after..];
    }
    (name.to_owned(), labels, rest.trim().parse().unwrap())
}

fn desk() -> Desk {
    let desk = Desk::with(|config| {
        config.providers.insert(
            "Quo\"te\\d".to_owned(),
            pmtop::config::Provider { domains: vec!["quoted.example".to_owned()], ..Default::default() },
        );
    });
    let mut text = String::from("type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,dlvSourceIp,jobId\n");
    let domains = ["gmail.com", "yahoo.com", "quoted.example", "nobody.example"];
    for n in 0..400u32 {
        // Two days, so that the last of them is not all.
        let (day, hour, minute) = (22 + n / 200, n / 9 % 22, n % 60);
        let (kind, status) = match n % 8 {
            0 => ("b", "5.1.1"),
            1 | 2 => ("t", "4.7.0"),
            _ => ("d", "2.0.0"),
        };
        let domain = domains[(n / 8 + n) as usize % 4];
        writeln!(
            text,
            "{kind},2026-11-{day} {hour:02}:{minute:02}:30+0000,2026-11-{day} {hour:02}:{minute:02}:{:02}+0000,s@x.example,\
             r{n}@{domain},{status},reply,192.0.2.1,j-1",
            n % 29
        )
        .unwrap();
    }
    desk.ingest("acct.csv", text);
    desk
}

fn key(name: &str, labels: &[(&str, &str)]) -> (String, BTreeMap<String, String>) {
    (name.to_owned(), labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn its_numbers_are_those_of_the_reports() {
    let desk = desk();
    let samples = parse(&desk.engine.block_on(prom::text(&desk.engine)).unwrap());
    let scope = Scope::new(TimeRange::Last(DAY), []);
    let totals = pmtop::report::print::totals_object(&desk.ask(Report::Totals, &scope), None);
    let of = |name: &str| samples[&key(name, &[("window", "24h")])];
    assert!(totals["sent"].as_f64().unwrap() > 100.0 && totals["sent"].as_f64().unwrap() < 300.0, "{totals}");
    for name in
        ["sent", "delivered", "deferred", "deferrals", "rb_events", "delivered_rate", "deferral_rate", "bounce_rate"]
    {
        assert_eq!(of(&format!("pmtop_{name}")), totals[name].as_f64().unwrap(), "{name}");
    }
    assert_eq!(of("pmtop_bounced_hard"), totals["bounced"]["hard"].as_f64().unwrap());
    let p95 = samples[&key("pmtop_latency_delivery_seconds", &[("window", "24h"), ("quantile", "0.95")])];
    assert_eq!(p95 * 1000.0, totals["latency"]["delivery"]["p95_ms"].as_f64().unwrap());
    // What was never logged is not 0.
    assert_eq!(totals["complaints"], Json::Null);
    assert!(samples.keys().all(|(name, _)| !name.contains("complaints")));

    let by = Report::Operations { by: Some(Field::Provider), bucket: None };
    let table = desk.ask(by, &scope);
    assert_eq!(table.rows.len(), 4);
    for row in 0..table.rows.len() {
        let provider = table.cell(row, "provider").as_text().unwrap_or("other");
        let found = samples[&key("pmtop_provider_delivered", &[("window", "24h"), ("provider", provider)])];
        assert_eq!(Some(found), table.cell(row, "delivered").number(), "{provider}");
    }
    assert!(samples.contains_key(&key("pmtop_provider_sent", &[("window", "24h"), ("provider", "Quo\"te\\d")])));
    assert_eq!(samples[&key("pmtop_files", &[("status", "done")])], 1.0);
    assert_eq!(samples[&key("pmtop_file_rows", &[])], 400.0);
    let newest = desk.count("select cast(to_unixtime(max(event_time)) as bigint) from events") as f64;
    assert_eq!(samples[&key("pmtop_newest_event_timestamp_seconds", &[])], newest);
    assert_eq!(samples[&key("pmtop_incidents_open", &[])], 0.0);
}

#[test]
fn incidents_that_go_on_are_counted_by_rule_severity_and_state() {
    let desk = Desk::new();
    let stored = |id: &str, closed_at: Option<i64>| Stored {
        id: id.to_owned(),
        rule: "bounce-spike".to_owned(),
        opened_at: 0,
        closed_at,
        body: serde_json::json!({
            "id": id, "rule": "bounce-spike", "severity": "high", "state": "open",
            "opened_at": "2026-11-23T10:00:00Z", "closed_at": closed_at.map(|_| "2026-11-23T11:00:00Z"),
            "scope": {}, "headline": "h", "value": 1.0, "baseline": null, "basis": "", "hits": 1, "of": 2,
            "causes": [], "evidence": { "rows": 1, "filters": [] },
        })
        .to_string(),
        acknowledged_at: None,
        silenced_until: None,
        notes: Vec::new(),
    };
    let incidents = desk.catalog().incidents().unwrap();
    incidents.replace(&[stored("a", None), stored("b", None), stored("c", Some(9))], &[], &[]).unwrap();
    incidents.acknowledge("b", Some(5)).unwrap();
    let samples = parse(&desk.engine.block_on(prom::text(&desk.engine)).unwrap());
    assert_eq!(samples[&key("pmtop_incidents_open", &[])], 2.0);
    for state in ["open", "acknowledged"] {
        let labels = [("rule", "bounce-spike"), ("severity", "high"), ("state", state)];
        assert_eq!(samples[&key("pmtop_incidents_open_by_rule", &labels)], 1.0, "{state}");
    }
}

#[test]
fn the_file_can_be_read_by_the_exporter_and_replaces_the_one_before() {
    let desk = desk();
    let path = desk.path("pmtop.prom");
    std::fs::write(&path, "old").unwrap();
    let run = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
        command.env_clear().env("HOME", desk.folder.path()).arg("--catalog").arg(&desk.config.catalog);
        command.args(["prom", "--out", out]).output().unwrap()
    };
    let out = run(path.to_str().unwrap());
    assert!(out.status.success(), "{out:?}");
    assert!(!parse(&std::fs::read_to_string(&path).unwrap()).is_empty());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let failed = run("/nonexistent/pmtop.prom");
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("/nonexistent/pmtop.prom was not written"), "{failed:?}");
}

#[test]
fn the_owner_keeps_the_file_current() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("in")).unwrap();
    let (settings, path) = (desk.path("pmtop.toml"), desk.path("pmtop.prom"));
    std::fs::write(&settings, format!("[prometheus]\ntextfile = {path:?}\nevery_seconds = 0\n")).unwrap();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_pmtop"))
        .env_clear()
        .env("HOME", desk.folder.path())
        .arg("--config")
        .arg(&settings)
        .arg("--catalog")
        .arg(&desk.config.catalog)
        .arg("--inbox")
        .arg(desk.path("in"))
        .arg("watch")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let rows = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (!text.is_empty()).then(|| parse(&text)[&key("pmtop_file_rows", &[])])
    };
    let until = |wanted: f64| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while rows() != Some(wanted) && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        rows()
    };
    let before = until(0.0);
    desk.ingest(
        "acct.csv",
        "type,timeLogged,orig,rcpt,dsnStatus\nd,2026-11-23 10:00:00+0000,a@x.example,b@y.example,2.0.0\n",
    );
    let after = until(1.0);
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!((before, after), (Some(0.0), Some(1.0)));
}
