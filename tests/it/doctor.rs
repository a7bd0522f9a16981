//! `pmtop doctor` says what is wrong and what to do, and changes nothing.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::support::Desk;

const ROWS: &str = "type,timeLogged,orig,rcpt,dsnStatus,jobId\n\
                    d,2026-11-23 10:00:00+0000,s@x.example,someone.private@y.example,2.0.0 (success),job-1\n";

/// Runs it beside a catalog; its lines as JSON, and its exit code.
fn doctor(folder: &Path, arguments: &[&str]) -> (Vec<Json>, i32) {
    let out = Command::new(env!("CARGO_BIN_EXE_pmtop"))
        .env_clear()
        .env("HOME", folder)
        .current_dir(folder)
        .args(["--catalog", "catalog", "doctor", "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(!text.contains("private"), "no personal data: {text}");
    let rows = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (rows, out.status.code().unwrap())
}

/// The line of a check: state, what was found, what to do.
fn line(rows: &[Json], check: &str) -> (String, String, String) {
    let row = rows.iter().find(|row| row["check"] == check).unwrap_or_else(|| panic!("no {check} in {rows:?}"));
    let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (word("state"), word("found"), word("to_do"))
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.ingest("acct-2026-11-23.csv", ROWS);
    desk
}

#[test]
fn a_sound_catalog_passes_with_its_counts() {
    let desk = desk();
    std::fs::create_dir(desk.path("in")).unwrap();
    let (rows, code) = doctor(desk.folder.path(), &["--inbox", "in"]);
    assert_eq!(code, 0, "{rows:?}");
    for check in ["version", "settings", "schema", "rows", "files", "segments", "size", "inbox", "terminal"] {
        assert_eq!(line(&rows, check).0, "ok", "{check}: {rows:?}");
    }
    assert!(line(&rows, "rows").1.starts_with("1 events on 1 days"), "{rows:?}");
    assert!(line(&rows, "catalog").1.contains("0700"), "{rows:?}");
    assert_eq!(line(&rows, "owner").0, "warn", "nobody watches the inbox that is named");
}

#[test]
fn a_catalog_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, code) = doctor(folder.path(), &[]);
    assert_eq!((line(&rows, "catalog").0.as_str(), code), ("warn", 0), "{rows:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created");
}

#[test]
fn what_is_broken_is_named_with_what_to_do() {
    let desk = desk();
    let path = desk.catalog().snapshot().unwrap().segments[0].path.clone();
    std::fs::write(desk.catalog().layout().absolute(&path), "PAR1").unwrap();
    let (rows, code) = doctor(desk.folder.path(), &["--inbox", "nowhere"]);
    assert_eq!(code, 1);
    let (state, found, to_do) = line(&rows, "segments");
    assert_eq!(state, "fail");
    assert!(found.contains(&path) && to_do.contains("pmtop fsck --repair"), "{found} {to_do}");
    assert_eq!(line(&rows, "inbox").0, "fail", "{rows:?}");
}

#[test]
fn settings_that_cannot_be_used_are_told_and_the_rest_is_looked_at() {
    let desk = desk();
    std::fs::write(desk.path("bad.toml"), "[query]\nmemory_mb = 1\n").unwrap();
    let (rows, code) = doctor(desk.folder.path(), &["--config", "bad.toml"]);
    assert_eq!(code, 1);
    let (state, found, _) = line(&rows, "settings");
    assert!(state == "fail" && found.contains("query.memory_mb"), "{found}");
    assert_eq!(line(&rows, "rows").0, "ok");
}

#[test]
fn events_from_the_future_and_open_folders_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    desk.ingest("acct.csv", ROWS.replace("2026-11-23", "2096-11-23"));
    std::fs::set_permissions(desk.path("catalog"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (rows, code) = doctor(desk.folder.path(), &[]);
    assert_eq!(code, 0);
    let (state, found, _) = line(&rows, "clock");
    assert!(state == "warn" && found.contains("ahead"), "{found}");
    assert_eq!(line(&rows, "catalog").0, "warn");
}

#[test]
fn who_watches_the_inbox_is_told() {
    let desk = desk();
    let lock = pmtop::catalog::locks::Lock::attempt(&desk.catalog().layout().lock("owner")).unwrap().unwrap();
    lock.note("pmtop watch, process 4711");
    let (rows, _) = doctor(desk.folder.path(), &[]);
    assert_eq!(line(&rows, "owner").1, "pmtop watch, process 4711");
}
