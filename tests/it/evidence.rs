//! A ticket for a provider's postmaster: what it says is what the raw rows say, and no recipient is in it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use pmtop::catalog::incidents::Stored;
use pmtop::insight::evidence::evidence;
use pmtop::insight::incident::Incident;
use pmtop::query::time::{iso, parse_time};
use serde_json::json;

use crate::support::Desk;

const TSS04: &str = "421 4.7.0 [TSS04] Messages from 192.0.2.9 temporarily deferred for victim";

/// Two hours in which Yahoo defers mail of one IP, between rows that have nothing to do with it.
fn desk() -> Desk {
    let desk = Desk::new();
    let mut text = String::from("type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,dsnMta,dlvSourceIp,vmta\n");
    let mut row = |kind: &str, hour: u32, n: u32, domain: &str, ip: &str, diag: &str| {
        let status = if kind == "d" { "2.0.0" } else { "4.7.0" };
        let mta = if domain == "gmail.com" { "gmail-smtp-in.l.google.com" } else { "mta5.am0.yahoodns.net" };
        writeln!(
            text,
            "{kind},2026-11-23 {hour:02}:{:02}:00+0000,news@shop.example,victim{n}@{domain},{status},\"{diag}\",{mta},{ip},v1",
            n % 60
        )
        .unwrap();
    };
    for n in 0..60 {
        for hour in [8, 14] {
            row("d", hour, n, "yahoo.com", "192.0.2.9", "250 ok");
        }
        row("d", 10, n, "gmail.com", "192.0.2.9", "250 ok");
        row("t", 10, n, "yahoo.com", "192.0.2.9", &format!("{TSS04}{n}@yahoo.com"));
        row("t", 11, n, "yahoo.com", "192.0.2.9", &format!("{TSS04}{n}@yahoo.com"));
        row("t", 10, n, "yahoo.com", "192.0.2.7", "421 another IP");
    }
    for n in 0..15 {
        row("d", 11, n, "yahoo.com", "192.0.2.9", "250 ok");
    }
    row("b", 8, 1, "yahoo.com", "192.0.2.9", "554 so that bounces are logged");
    row("t", 11, 1, "yahoo.com", "192.0.2.9", "=cmd|'/c calc'!A1 ``` <b>x</b>");
    desk.ingest("acct.csv", text);
    desk
}

fn incident() -> Incident {
    serde_json::from_value(json!({
        "id": "throttling-4f/../x", "rule": "provider-throttling", "severity": "high", "state": "open",
        "opened_at": "2026-11-23T10:00:00Z", "closed_at": "2026-11-23T12:00:00Z",
        "scope": { "provider": "Yahoo", "source_ip": "192.0.2.9" },
        "headline": "Yahoo defers victim1@yahoo.com", "value": 0.9, "baseline": 0.01, "basis": "", "hits": 121, "of": 136,
        "causes": [], "evidence": { "rows": 121, "filters": ["kind=deferred"] },
        "notes": [{ "at": "2026-11-23T10:30:00Z", "text": "slowed down" }],
    }))
    .unwrap()
}

#[test]
fn the_ticket_says_what_the_rows_say_and_names_no_recipient() {
    let desk = desk();
    let made = desk.engine.block_on(evidence(&desk.engine, &incident())).unwrap();
    let (ticket, rows) = (made.markdown(), made.csv());
    assert!(ticket.contains("To the postmaster of Yahoo,"), "{ticket}");
    assert!(ticket.contains("<https://senders.yahooinc.com/contact>"), "{ticket}");
    assert!(ticket.contains("2026-11-23T10:00:00Z to 2026-11-23T12:00:00Z"), "{ticket}");
    // 121 deferrals and 15 deliveries, counted by hand above; other IPs, hours and providers are not in.
    assert!(ticket.contains("| 136 | 15 | 121 | 0 |"), "{ticket}");
    assert!(ticket.contains("**Our IPs**: 192.0.2.9\n"), "{ticket}");
    assert!(ticket.contains("shop.example"), "{ticket}");
    assert!(ticket.contains("120 × ") && ticket.contains("421 4.7.0 [TSS04] Messages from 192.0.2.9"), "{ticket}");
    assert!(ticket.contains("slowed down"), "{ticket}");
    // What a log says is no markup.
    assert!(ticket.contains("````text\n=cmd"), "{ticket}");
    assert_eq!(rows.lines().count(), 122, "a head and the deferred rows");
    assert!(rows.lines().nth(1).unwrap().starts_with("2026-11-23T10:00:00"), "{rows}");
    assert!(rows.contains("'=cmd"), "{rows}");
    for text in [&ticket, &rows] {
        assert!(!text.contains("victim"), "{text}");
        assert!(text.contains("v*@yahoo.com"), "{text}");
        assert!(!text.contains("192.0.2.7") && !text.contains("gmail"), "{text}");
    }
}

#[test]
fn an_incident_of_no_provider_goes_to_the_one_that_replies() {
    let desk = desk();
    let mut incident = incident();
    incident.scope = [("source_ip".to_owned(), "192.0.2.9".to_owned())].into();
    let made = desk.engine.block_on(evidence(&desk.engine, &incident)).unwrap();
    assert_eq!(made.postmaster.provider, "Yahoo");
    assert!(made.markdown().contains("| 136 | 15 | 121 | 0 |"), "deliveries to others are left out");
    incident.evidence.filters.clear();
    incident.scope = [("source_ip".to_owned(), "192.0.2.99".to_owned())].into();
    let made = desk.engine.block_on(evidence(&desk.engine, &incident)).unwrap();
    assert_eq!(made.postmaster.provider, "");
    assert!(made.markdown().contains("no form is known"));
}

#[test]
fn both_files_are_for_the_user_alone_and_never_replace_others() {
    let desk = desk();
    let incident = incident();
    let stored = Stored {
        id: incident.id.clone(),
        rule: incident.rule.clone(),
        opened_at: incident.opened_at,
        closed_at: incident.closed_at,
        body: serde_json::to_string(&incident).unwrap(),
        acknowledged_at: None,
        silenced_until: None,
        notes: Vec::new(),
    };
    desk.catalog().incidents().unwrap().replace(&[stored], &[], &[]).unwrap();
    let out = desk.path("out");
    std::fs::create_dir(&out).unwrap();
    let run = |id: &str, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
        command.env_clear().env("HOME", desk.folder.path()).arg("--catalog").arg(&desk.config.catalog);
        command.args(["evidence", id, "--out", out]).output().unwrap()
    };
    for _ in 0..2 {
        let ran = run(&incident.id, out.to_str().unwrap());
        assert!(ran.status.success(), "{ran:?}");
    }
    let names: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in &names {
        assert!(name.starts_with("pmtop-evidence-throttling-4f-..-x-"), "{name}");
        assert_eq!(std::fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let nowhere = run(&incident.id, "/nonexistent");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("was not written to /nonexistent"), "{nowhere:?}");

    // Another profile sees no rows, and has no evidence.
    std::fs::write(desk.path("c.toml"), "profile = \"management\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
    command.env_clear().env("HOME", desk.folder.path()).arg("--catalog").arg(&desk.config.catalog);
    let refused = command.arg("--config").arg(desk.path("c.toml")).args(["evidence", &incident.id]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("management"), "{refused:?}");

    // Nobody of this name: rules look again, and this incident is none of theirs.
    let unknown = run("nothing", out.to_str().unwrap());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no incident is called nothing"), "{unknown:?}");
}

#[test]
fn an_incident_that_goes_on_is_told_up_to_the_newest_row() {
    let desk = desk();
    let mut incident = incident();
    incident.closed_at = None;
    let made = desk.engine.block_on(evidence(&desk.engine, &incident)).unwrap();
    let newest = parse_time("2026-11-23T14:59:00Z").unwrap();
    assert!(made.range.1.unwrap() >= newest, "{:?}", made.range.1.map(iso));
    assert!(made.markdown().contains("(still going on)"));
}
