//! Any PowerMTA dialect: rows are found whatever the columns, and bad ones cost one row each.

use pmtop::catalog::Catalog;
use pmtop::config::Duplicates;
use pmtop::event::file_status::Status;
use pmtop::query::question::Report;

use crate::support::{Desk, fixture};

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,bounceCat,dlvSourceIp,vmta,jobId\n";

fn row(kind: &str, second: u32, rcpt: &str) -> String {
    format!(
        "{kind},2026-11-23 10:00:{second:02}+0000,2026-11-23 10:00:00+0000,a@b.example,{rcpt},5.1.1 (bad),smtp;550 5.1.1 no such user,bad-mailbox,192.0.2.1,v1,job-1\n"
    )
}

#[test]
fn columns_in_another_order_give_the_hand_counted_numbers() {
    let desk = Desk::new();
    let report = desk.ingest_path(&fixture("acct-other-order.csv"));
    assert_eq!((report.status, report.rows, report.rejected_rows), (Status::Done, 4, 1));
    let totals = desk.totals(&[]);
    assert_eq!(totals["delivered"], 2);
    assert_eq!(totals["bounced"], serde_json::json!({"total": 2, "hard": 1, "soft": 0, "block": 1}));
    assert_eq!(totals["rb_events"], 1);
    // Delivered after 1 s and after 60 s; +0100 and +0000 are the same clock.
    assert_eq!(totals["latency"]["delivery"]["n"], 2);
    assert_eq!(totals["latency"]["delivery"]["p50_ms"], 1000);
    assert_eq!(totals["latency"]["delivery"]["max_ms"], 60_000);
    let domains = desk.rows(Report::Operations { by: Some(pmtop::query::field::Field::Domain), bucket: None }, &[]);
    let yahoo = domains.iter().find(|row| row["domain"] == "yahoo.com").unwrap();
    assert_eq!((&yahoo["bounced_hard"], &yahoo["delivered"]), (&1.into(), &0.into()));
}

#[test]
fn a_bad_row_is_put_aside_with_line_offset_and_reason() {
    let desk = Desk::new();
    let report = desk.ingest_path(&fixture("acct-other-order.csv"));
    let rejects =
        std::fs::read_to_string(desk.catalog().layout().rejects().join(format!("file-{}.csv", report.id))).unwrap();
    let mut reader = csv::Reader::from_reader(rejects.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(&record[1], "6");
    let text = std::fs::read(fixture("acct-other-order.csv")).unwrap();
    let offset: usize = record[2].parse().unwrap();
    assert!(text[offset..].starts_with(b"eve@gmail.com"));
    assert_eq!(&record[3], "`not a time` in column `timeLogged` is no time");
}

#[test]
fn unknown_columns_are_kept_as_headers() {
    let desk = Desk::new();
    desk.ingest_path(&fixture("acct-other-order.csv"));
    assert_eq!(desk.count(r#"select count(*) from events where headers = '{"header_Subject":"Hello, \"Ann\""}'"#), 1);
}

#[test]
fn tabs_epoch_times_and_queue_errors_are_read() {
    let desk = Desk::new();
    let report = desk.ingest_path(&fixture("tran-epoch.tsv"));
    assert_eq!((report.status, report.rows, report.role.as_deref()), (Status::Done, 3, Some("tran")));
    let totals = desk.totals(&[]);
    assert_eq!((&totals["deferrals"], &totals["deferred"], &totals["queue_errors"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(totals["rb_events_reply"], 2);
    assert_eq!(totals["latency"]["attempt"]["max_ms"], 302_000);
    assert_eq!(desk.count("select count(*) from events where provider = 'Google'"), 2);
}

#[test]
fn a_number_whose_records_were_never_logged_is_not_zero() {
    let desk = Desk::new();
    desk.ingest_path(&fixture("tran-epoch.tsv"));
    let totals = desk.totals(&[]);
    for metric in ["sent", "delivered", "complaints", "remote_bounces"] {
        assert!(totals[metric].is_null(), "{metric}");
        assert!(totals["unavailable"][metric].as_str().unwrap().contains("were logged"), "{metric}");
    }
    assert!(totals["unavailable"].get("deferrals").is_none());
}

#[test]
fn the_same_bounce_in_acct_and_bounce_is_one_event_whoever_came_first() {
    for order in [["acct-other-order.csv", "bounce-narrow.csv"], ["bounce-narrow.csv", "acct-other-order.csv"]] {
        let desk = Desk::new();
        for name in order {
            desk.ingest_path(&fixture(name));
        }
        let totals = desk.totals(&[]);
        assert_eq!(totals["bounced"]["total"], 3, "{order:?}");
        assert_eq!(totals["merged_duplicates"], 1, "{order:?}");
        assert_eq!(desk.count("select count(*) from events"), 5, "{order:?}");
        assert_eq!(desk.count("select count(*) from copies"), 1, "{order:?}");
        // A catalog of bounce files alone would count both of its rows.
        assert_eq!(desk.totals(&["type=bounce"])["bounced"]["total"], 2, "{order:?}");
        assert_eq!(desk.totals(&["file=bounce-narrow.csv"])["bounced"]["total"], 2, "{order:?}");
        assert_eq!(desk.totals(&["type=acct"])["bounced"]["total"], 2, "{order:?}");
        let kept = desk.count("select count(*) from events where recipient = 'bob@Yahoo.com'");
        assert_eq!(kept, 1, "the row with more key columns stays: {order:?}");
    }
}

#[test]
fn rows_of_overlapping_files_count_as_often_as_in_the_file_that_has_more() {
    let desk = Desk::new();
    let twice = format!("{HEADER}{0}{0}{1}", row("b", 1, "x@y.example"), row("b", 2, "z@y.example"));
    let thrice = format!("{HEADER}{0}{0}{0}", row("b", 1, "x@y.example"));
    desk.ingest("bounce-1.csv", twice);
    desk.ingest("bounce-2.csv", thrice);
    assert_eq!(desk.totals(&[])["bounced"]["total"], 4);
    assert_eq!(desk.totals(&["file=bounce-1.csv"])["bounced"]["total"], 3);
}

#[test]
fn the_same_content_adds_nothing_under_any_name_or_compression() {
    use std::io::Write as _;
    let desk = Desk::new();
    let text = format!("{HEADER}{}", row("b", 1, "x@y.example"));
    assert_eq!(desk.ingest("a.csv", &text).status, Status::Done);
    assert_eq!(desk.ingest("b.csv", &text).status, Status::Duplicate);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    assert_eq!(desk.ingest("c.csv.gz", gz.finish().unwrap()).status, Status::Duplicate);
    assert_eq!(desk.ingest_path(&desk.path("a.csv")).status, Status::Duplicate);
    assert_eq!(desk.count("select count(*) from events"), 1);
}

#[test]
fn duplicates_are_rejected_where_the_settings_say_so() {
    let desk = Desk::with(|config| config.ingest.duplicates = Duplicates::Reject);
    let text = format!("{HEADER}{}", row("b", 1, "x@y.example"));
    desk.ingest("a.csv", &text);
    let report = desk.ingest("b.csv", &text);
    assert_eq!(report.status, Status::Rejected);
    assert!(report.error.contains("a.csv"), "{}", report.error);
}

#[test]
fn a_file_that_grew_adds_only_what_is_new() {
    let desk = Desk::new();
    let first = format!("{HEADER}{}", row("b", 1, "x@y.example"));
    desk.ingest("bounce.csv", &first);
    let report = desk.ingest("bounce.csv", first + &row("b", 2, "z@y.example"));
    assert_eq!(report.rows, 2);
    // The earlier state of the file has left: nothing of it stands behind anything.
    assert_eq!(desk.totals(&[])["merged_duplicates"], 0);
    assert_eq!(desk.totals(&[])["bounced"]["total"], 2);
    assert_eq!(desk.count("select count(*) from events"), 2);
}

#[test]
fn rows_without_a_recipient_of_a_file_that_grew_count_once() {
    let desk = Desk::new();
    let header = "type,timeLogged,feedbackType,orig,rcpt,jobId\n";
    let line = |second: u32| format!("f,2026-11-23 05:00:{second:02}+0000,abuse,a@x.example,,j1\n");
    let mut text = header.to_owned() + &line(0) + &line(0);
    desk.ingest("fbl.csv", &text);
    for second in 1..4 {
        text += &line(second);
        desk.ingest("fbl.csv", &text);
        assert_eq!(desk.totals(&[])["complaints"], 2 + second);
    }
    // Another file with the same rows is another matter: without a recipient nothing merges.
    desk.ingest("other.csv", format!("{header}{}{}", line(9), line(0)));
    assert_eq!(desk.totals(&[])["complaints"], 7);
}

#[test]
fn a_latency_of_weeks_is_kept_as_it_is() {
    let desk = Desk::new();
    let row = "d,2026-11-23 10:00:00+0000,2026-10-09 10:00:00+0000,a@b.example,x@y.example,2.0.0,smtp;250 ok,success,192.0.2.1,v1,j\n";
    desk.ingest("acct.csv", format!("{HEADER}{row}"));
    let days: i64 = 45 * 86_400_000;
    assert_eq!(desk.totals(&[])["latency"]["delivery"]["max_ms"], days);
    assert_eq!(desk.totals(&["recipient=x@y.example"])["latency"]["delivery"]["max_ms"], days);
}

#[test]
fn an_unusable_file_says_what_is_missing_and_what_to_do() {
    let desk = Desk::new();
    let report = desk.ingest("prices.csv", "id,price\n1,2\n");
    assert_eq!(report.status, Status::Rejected);
    assert!(report.error.contains("id, price") && report.error.contains("timeLogged"), "{}", report.error);
    let report = desk.ingest("x.csv", "timeLogged,rcpt\n2026-11-23 10:00:00+0000,a@b\n");
    assert!(report.error.contains("`type` is missing"), "{}", report.error);
    assert_eq!(desk.ingest("empty.csv", "").status, Status::Done);
}

#[test]
fn headers_in_mid_stream_short_rows_and_cut_lines_cost_what_they_must() {
    let desk = Desk::new();
    let other = "type,rcpt,timeLogged\nd,late@y.example,2026-11-23 12:00:00+0000\n";
    let missing_last = "b,2026-11-23 10:00:09+0000,2026-11-23 10:00:00+0000,a@b.example,s@y.example,5.1.1,smtp;550 x,bad-mailbox,192.0.2.1,v1\n";
    let open_quote = "b,2026-11-23 10:00:10+0000,\"2026-11-23 10:00:00+0000,a@b.example,q@y.example,5.1.1,x,bad-mailbox,192.0.2.1,v1,j\n";
    let text = format!(
        "\u{feff}{HEADER}{}{open_quote}{HEADER}{missing_last}zz,1,2,3,4,5,6,7,8,9,10\n{other}d,cut@y.exam",
        row("b", 1, "x@y.example")
    );
    let report = desk.ingest("acct.csv", text.replace('\n', "\r\n"));
    assert_eq!((report.rows, report.rejected_rows), (3, 3), "{}", report.error);
    assert_eq!(desk.count("select count(*) from events where recipient = 'late@y.example'"), 1);
}

#[test]
fn a_mixed_file_goes_row_by_row() {
    let desk = Desk::new();
    let text =
        format!("{HEADER}{}{}", row("b", 1, "x@y.example"), row("t", 2, "z@y.example")) + &row("d", 3, "q@y.example");
    let report = desk.ingest("log.csv", text);
    assert_eq!(report.role.as_deref(), Some("mixed"));
    assert_eq!(desk.count("select count(distinct event_type) from events"), 3);
}

#[test]
fn every_member_of_a_zip_archive_is_a_file_of_its_own() {
    use std::io::Write as _;
    let desk = Desk::new();
    let path = desk.path("logs.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, second) in [("bounce-1.csv", 1), ("sub/bounce-2.csv", 2)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(format!("{HEADER}{}", row("b", second, "x@y.example")).as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let reports = desk.ingest_all(&path);
    assert_eq!(reports.iter().map(|row| row.status).collect::<Vec<_>>(), [Status::Done, Status::Done]);
    assert_eq!(reports[1].name, "logs.zip/sub/bounce-2.csv");
    assert_eq!(desk.count("select count(*) from events"), 2);
}

#[test]
fn a_catalog_that_is_opened_again_is_the_same() {
    let desk = Desk::new();
    desk.ingest_path(&fixture("acct-other-order.csv"));
    let before = desk.totals(&[]);
    let Desk { folder, config, engine } = desk;
    drop(engine);
    // Traces of a crash: an unfinished file, and a finished one that no commit names.
    let orphan = config.catalog.join("events/date=2026-11-23/event_type=acct/orphan.parquet");
    std::fs::write(&orphan, "x").unwrap();
    let staging = config.catalog.join("staging/dead");
    std::fs::create_dir(&staging).unwrap();
    std::fs::write(staging.join("lock"), "").unwrap();
    drop(Catalog::open(&config.catalog).unwrap());
    let engine = pmtop::cli::engine(&config).unwrap();
    let desk = Desk { folder, config, engine };
    assert_eq!(desk.totals(&[]), before);
    assert!(!orphan.exists() && !staging.exists());
}
