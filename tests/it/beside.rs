//! Several processes beside each other on one catalog, and what a reader sees meanwhile. The processes are
//! real: the test binary starts pmtop.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use pmtop::demo;
use serde_json::Value as Json;

fn pmtop(catalog: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
    command.env("PMTOP_CATALOG", catalog).env_remove("PMTOP_INBOX").env_remove("PMTOP_CONFIG");
    command.env("XDG_CONFIG_HOME", catalog).stdin(Stdio::null());
    command
}

fn printed(catalog: &std::path::Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = pmtop(catalog).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn json(catalog: &std::path::Path, arguments: &[&str]) -> Json {
    let (out, error, code) = printed(catalog, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {error}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn two_processes_take_in_the_same_files_and_a_third_never_sees_half_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (inbox, catalog) = (folder.path().join("inbox"), folder.path().join("catalog"));
    let options = demo::Options { max_file_rows: 1500, overlap_rows: 50, tail_days: 0, ..demo::Options::day(31, 4000) };
    let truth = demo::generate(&inbox, &options, None, &mut |_| {}).unwrap();
    let truth = serde_json::to_value(truth).unwrap();
    let inbox_name = inbox.to_str().unwrap();
    let start =
        || pmtop(&catalog).args(["ingest", inbox_name]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut writers = [start(), start()];
    // Each file's rows are visible all together: what is counted is a sum of whole files.
    while writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()) {
        let seen = json(&catalog, &["sql", "select file_id, count(*) as n from events group by 1", "--format", "json"]);
        let files = json(&catalog, &["files", "--format", "json"]);
        let whole: BTreeSet<i64> =
            files.as_array().unwrap().iter().map(|file| file["rows"].as_i64().unwrap()).collect();
        for row in seen.as_array().unwrap() {
            let rows = row["n"].as_i64().unwrap();
            let most = whole.iter().max().copied().unwrap_or(0);
            assert!(rows <= most, "{rows} rows of a file that has no more than {most}");
        }
    }
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{} {}", text(&output.stderr), text(&output.stdout));
    }
    let totals = json(&catalog, &["report", "totals", "--format", "json"]);
    for metric in ["sent", "delivered", "deferrals", "complaints"] {
        assert_eq!(totals[metric], truth["totals"][metric], "{metric}");
    }
    assert_eq!(totals["merged_duplicates"], truth["merged_duplicates"]);
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog");
    let good = folder.path().join("acct.csv");
    std::fs::write(&good, "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\nbroken\n").unwrap();
    let bad = folder.path().join("bad.csv");
    std::fs::write(&bad, "id,price\n1,2\n").unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    assert_eq!(printed(&catalog, &["ingest", good]).2, Some(0));
    assert_eq!(printed(&catalog, &["ingest", good]).2, Some(0), "a duplicate is no failure");
    assert_eq!(printed(&catalog, &["ingest", good, bad]).2, Some(1));
    assert_eq!(printed(&catalog, &["ingest", "/nowhere/at.csv"]).2, Some(1));
    assert_eq!(printed(&catalog, &["report", "totals", "--by"]).2, Some(2));
    assert_eq!(printed(&catalog, &["report", "operations", "--by", "nonsense"]).2, Some(2));
    assert_eq!(printed(&catalog, &["report", "totals", "--since", "2026-11-24", "--until", "2026-11-23"]).2, Some(2));
    assert_eq!(printed(&catalog, &["sql", "drop table events"]).2, Some(1));
    let (_, error, code) = printed(&catalog, &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("needs a terminal"), "{error}");
}

#[test]
fn the_demo_without_a_terminal_prints_its_totals() {
    let folder = tempfile::tempdir().unwrap();
    let (out, error, code) = printed(folder.path(), &["demo"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("delivered") && out.contains("60000"), "{out}");
}

#[test]
fn files_and_ingest_speak_the_same_json() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog");
    let file = folder.path().join("acct.csv");
    std::fs::write(&file, "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\n").unwrap();
    let ingested = json(&catalog, &["ingest", file.to_str().unwrap(), "--format", "json"]);
    let listed = json(&catalog, &["files", "--format", "json"]);
    assert_eq!(ingested, listed);
    let keys: Vec<&String> = listed[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "name",
            "path",
            "type",
            "bytes",
            "sha256",
            "received_at",
            "status",
            "rows",
            "rejected_rows",
            "merged_rows",
            "from",
            "to",
            "error"
        ]
    );
    let (csv, _, _) = printed(&catalog, &["events", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 2);
}
