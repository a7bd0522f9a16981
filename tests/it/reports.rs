//! Reports beside each other: what a number was, what is missing, what changed; and views taken along as files.

use std::process::{Command, Output};

use pmtop::query::field::Field;
use pmtop::query::question::{Bucket, Compare, Page, Question, Report, Sort};
use pmtop::query::table::Value;
use pmtop::query::time::{Width, parse_time};
use pmtop::report;

use crate::support::{Desk, scope};

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,jobId,dsnStatus,dsnDiag,bounceCat,dlvType,vmta\n";

/// A delivery or a bounce to a domain at a time of 23 November.
fn row(kind: &str, clock: &str, number: usize, domain: &str) -> String {
    let (status, category) = if kind == "d" { ("2.0.0", "success") } else { ("5.1.1", "bad-mailbox") };
    format!(
        "{kind},2026-11-23 {clock}+0000,2026-11-23 {clock}+0000,s@own.example,u{number}@{domain},j1,{status},,{category},smtp,v1\n"
    )
}

/// Ten o'clock: 4 to a.example, 1 to gone.example. Eleven: 10 to a.example of which 2 bounced, 2 to new.example.
fn two_hours() -> Desk {
    let desk = Desk::new();
    let mut text = HEADER.to_owned();
    text.extend((0..4).map(|number| row("d", "10:10:00", number, "a.example")));
    text += &row("d", "10:20:00", 90, "gone.example");
    text.extend((10..18).map(|number| row("d", "11:10:00", number, "a.example")));
    text.extend((20..22).map(|number| row("b", "11:40:00", number, "a.example")));
    text.extend((30..32).map(|number| row("d", "11:50:00", number, "new.example")));
    text += &row("d", "14:05:00", 99, "a.example");
    desk.ingest("acct.csv", text);
    desk
}

const ELEVEN: &str = "time=2026-11-23T11:00..2026-11-23T12:00";

fn pmtop(desk: &Desk, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
    command.arg("--catalog").arg(&desk.config.catalog).args(arguments).current_dir(desk.folder.path());
    command.env("XDG_CONFIG_HOME", desk.folder.path()).output().unwrap()
}

#[test]
fn a_comparison_knows_values_of_either_side_and_sorts_by_change() {
    let desk = two_hours();
    let report = Report::Domains { by: Field::Domain };
    let sort = Some(Sort { column: "sent_change".to_owned(), descending: true });
    let page = Page { sort, ..Page::default() };
    let question = Question { page, compare: Compare::Before, ..Question::new(report, scope(&[ELEVEN])) };
    let table = desk.engine.block_on(report::answer(&desk.engine, &question)).unwrap().table;
    let cells: Vec<Vec<&Value>> = (0..table.rows.len())
        .map(|row| ["domain", "sent", "sent_before", "sent_change"].map(|name| table.cell(row, name)).to_vec())
        .collect();
    let want: Vec<Vec<Value>> = [("a.example", 10, 4, 6), ("new.example", 2, 0, 2), ("gone.example", 0, 1, -1)]
        .map(|(domain, now, before, change)| vec![domain.into(), now.into(), before.into(), change.into()])
        .to_vec();
    assert_eq!(cells, want.iter().map(|row| row.iter().collect::<Vec<_>>()).collect::<Vec<_>>());
    let Value::Float(change) = table.cell(0, "bounce_rate_change") else { panic!("a rate has no change") };
    assert!((change - 0.2).abs() < 1e-9, "{change}");
}

#[test]
fn before_the_first_log_there_is_no_number_and_not_zero() {
    let desk = two_hours();
    let question = Question {
        compare: Compare::Range(parse_time("2026-11-20").unwrap(), parse_time("2026-11-21").unwrap()),
        ..Question::new(Report::Domains { by: Field::Domain }, scope(&[ELEVEN]))
    };
    let table = desk.engine.block_on(report::answer(&desk.engine, &question)).unwrap().table;
    assert_eq!(table.rows.len(), 2);
    assert!(!table.cell(0, "sent_before").is_there() && !table.cell(0, "sent_change").is_there());
}

#[test]
fn buckets_are_paired_from_the_beginning_of_both_ranges() {
    let desk = two_hours();
    let report = Report::Operations { by: None, bucket: Some(Bucket::Fixed(Width::Hour)) };
    let question = Question { compare: Compare::Before, ..Question::new(report, scope(&[ELEVEN])) };
    let table = desk.engine.block_on(report::answer(&desk.engine, &question)).unwrap().table;
    assert_eq!(table.rows.len(), 1);
    assert_eq!((table.cell(0, "sent"), table.cell(0, "sent_before")), (&Value::Int(12), &Value::Int(5)));
}

#[test]
fn coverage_shows_hours_without_rows_and_types_never_logged() {
    let desk = two_hours();
    let rows = desk.rows(Report::Coverage, &[]);
    let acct: Vec<(&str, i64, i64)> = rows
        .iter()
        .filter(|row| row["event_type"] == "acct")
        .map(|row| (row["bucket"].as_str().unwrap(), row["rows"].as_i64().unwrap(), row["quarters"].as_i64().unwrap()))
        .collect();
    let hour = |hour: u8| format!("2026-11-23T{hour}:00:00Z");
    let want = [(hour(10), 5, 2), (hour(11), 12, 3), (hour(12), 0, 0), (hour(13), 0, 0), (hour(14), 1, 1)];
    assert_eq!(acct, want.iter().map(|(hour, rows, quarters)| (hour.as_str(), *rows, *quarters)).collect::<Vec<_>>());
    let tran: Vec<_> = rows.iter().filter(|row| row["event_type"] == "tran").collect();
    assert!(tran.len() == 1 && tran[0]["bucket"].is_null() && tran[0]["rows"].is_null(), "{tran:?}");
}

#[test]
fn a_view_is_written_in_every_format_and_a_failure_leaves_nothing() {
    let desk = two_hours();
    for (format, magic) in [("csv", "domain,".as_bytes()), ("json", b"["), ("parquet", b"PAR1")] {
        let out = format!("view.{format}");
        let done = pmtop(&desk, &["export", "domains", "--format", format, "--out", &out]);
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(std::fs::read(desk.path(&out)).unwrap().starts_with(magic), "{format}");
        let done = pmtop(&desk, &["export", "events", "--format", format, "--out", "-", "--domain", "a.example"]);
        let plain = if format == "csv" { b"event_type,".as_slice() } else { magic };
        assert!(done.status.success() && done.stdout.starts_with(plain), "{format}");
    }
    let before = std::fs::read_dir(desk.folder.path()).unwrap().count();
    assert_eq!(pmtop(&desk, &["export", "events", "--sort", "nonsense"]).status.code(), Some(2));
    assert_eq!(pmtop(&desk, &["export", "events", "--out", "no/such/folder.csv"]).status.code(), Some(1));
    assert_eq!(std::fs::read_dir(desk.folder.path()).unwrap().count(), before);
}

#[test]
fn what_cannot_be_compared_is_a_mistake_in_the_call() {
    let desk = two_hours();
    for arguments in [
        ["report", "totals", "--compare", "before"],
        ["report", "totals", "--compare", "yesterday"],
        ["report", "coverage", "--by", "domain"],
        ["report", "risk", "--bucket", "hour"],
    ] {
        assert_eq!(pmtop(&desk, &arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn every_panel_is_exported_by_its_name() {
    let desk = two_hours();
    let mut names = std::collections::BTreeSet::new();
    for panel in pmtop::dashboard::DASHBOARDS.iter().flat_map(|tab| tab.panels()) {
        assert!(!panel.name.is_empty() && names.insert(panel.name), "{:?} has no name of its own", panel.title);
        let out = pmtop(&desk, &["export", panel.name, "--out", "-"]);
        assert!(!out.stdout.is_empty() || panel.name == "changes", "{}: {out:?}", panel.name);
    }
    let unknown = pmtop(&desk, &["export", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).unwrap();
    for name in names {
        assert!(said.contains(name), "{name} is not in the list: {said}");
    }
}

#[test]
fn a_panel_holds_what_its_report_holds_in_the_order_of_the_screen() {
    let desk = two_hours();
    let scope = ["--since", "2026-11-23T11:00", "--until", "2026-11-23T12:00", "--out", "-"];
    let export = |arguments: &[&str]| {
        let out = pmtop(&desk, &[&["export"], arguments, &scope].concat());
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(export(&["health"]), export(&["totals"]));
    assert_eq!(export(&["latency-trend", "--bucket", "hour"]), export(&["operations", "--bucket", "hour"]));
    assert_eq!(export(&["rate-blocking"]), export(&["risk", "--by", "job", "--sort", "rb_events"]));
    assert_eq!(export(&["providers", "--by", "provider"]), export(&["providers"]));
    for wrong in [["latency-trend", "--by", "job"], ["health", "--bucket", "hour"]] {
        assert_eq!(pmtop(&desk, &[&["export"][..], &wrong].concat()).status.code(), Some(2), "{wrong:?}");
    }
    let settings = desk.path("narrow.toml");
    std::fs::write(&settings, "profile = \"management\"\n").unwrap();
    let refused = pmtop(&desk, &["--config", settings.to_str().unwrap(), "export", "events", "--out", "-"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "no rows for this profile");
}
