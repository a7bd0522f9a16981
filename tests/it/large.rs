//! Files that several workers share: what comes out must not depend on who read which part.

use std::fmt::Write as _;

use pmtop::event::file_status::Status;

use crate::support::Desk;

/// Enough for a file above the size from which it has several workers.
const ROWS: usize = 40_000;

fn is_bad(number: usize) -> bool {
    number % 5000 == 4321
}

fn bounced() -> usize {
    (0..ROWS).filter(|number| number.is_multiple_of(3) && !is_bad(*number)).count()
}

/// One row a number, in the layout that is in force for it; the row's recipient tells its number.
fn cells(number: usize, layout: &str) -> String {
    let value = |name: &str| match name {
        "type" => if number.is_multiple_of(3) { "b" } else { "d" }.to_owned(),
        "timeLogged" if is_bad(number) => "yesterday".to_owned(),
        "timeLogged" => format!("2026-11-{:02} 10:{:02}:{:02}+0000", 20 + number % 3, number / 700 % 60, number % 60),
        "rcpt" => format!("user{number}@d{}.example", number % 40),
        "dsnDiag" if number % 1000 == 7 => format!("\"smtp;550 said\n\"\"no\"\" {number}\""),
        "dsnDiag" => "smtp;250 2.0.0 ok queued as 0123456789abcdef0123456789abcdef".to_owned(),
        "orig" => format!("bounce-{number}@b.example"),
        _ => "x".to_owned(),
    };
    layout.split(',').map(value).collect::<Vec<_>>().join(",")
}

/// A file whose header changes at these rows, with the line of each row.
fn file(layouts: &[(usize, &str)]) -> (String, Vec<u64>) {
    let (mut text, mut lines, mut line, mut layout) = (String::new(), Vec::new(), 1, "");
    for number in 0..ROWS {
        if let Some((_, next)) = layouts.iter().find(|(from, _)| *from == number) {
            layout = next;
            writeln!(text, "{layout}").unwrap();
            line += 1;
        }
        let row = cells(number, layout);
        lines.push(line);
        line += 1 + row.matches('\n').count() as u64;
        writeln!(text, "{row}").unwrap();
    }
    assert!(text.len() > 4 << 20, "{}", text.len());
    (text, lines)
}

const FIRST: &str = "type,timeLogged,orig,rcpt,dsnDiag,jobId";
const SECOND: &str = "type,rcpt,dsnDiag,timeLogged,orig,jobId,vmta";
/// A header that is not known by its first cell.
const THIRD: &str = "rcpt,type,dsnDiag,orig,timeLogged,jobId";

fn check(layouts: &[(usize, &str)]) {
    let desk = Desk::new();
    let (text, lines) = file(layouts);
    let report = desk.ingest("acct-large.csv", &text);
    let bad: Vec<usize> = (0..ROWS).filter(|number| is_bad(*number)).collect();
    assert_eq!((report.status, report.rejected_rows), (Status::Done, bad.len() as i64), "{}", report.error);
    assert_eq!(report.rows, (ROWS - bad.len()) as i64);
    let numbered = "recipient = 'user' || row_number || '@d' || (row_number % 40) || '.example'
        and sender = 'bounce-' || row_number || '@b.example'";
    assert_eq!(desk.count(&format!("select count(*) from events where {numbered}")), report.rows);
    assert_eq!(desk.count("select count(distinct row_number) from events"), report.rows);
    let said = "select count(*) from events where dsn_diag = 'smtp;550 said\n\"no\" ' || row_number";
    assert_eq!(desk.count(said), (ROWS / 1000) as i64);

    let totals = desk.totals(&[]);
    assert_eq!(totals["bounced"]["total"], bounced());
    assert_eq!(totals["delivered"], ROWS - bad.len() - bounced());

    let rejects = desk.catalog().layout().rejects().join(format!("file-{}.csv", report.id));
    let mut reader = csv::Reader::from_path(rejects).unwrap();
    let found: Vec<(u64, usize)> = reader
        .records()
        .map(|record| record.unwrap())
        .map(|record| (record[1].parse().unwrap(), record[2].parse().unwrap()))
        .collect();
    assert_eq!(
        found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        bad.iter().map(|n| lines[*n]).collect::<Vec<_>>()
    );
    for ((_, offset), number) in found.iter().zip(&bad) {
        assert!(text[*offset..].lines().next().unwrap().contains(&format!("user{number}@")), "{number}");
    }
}

#[test]
fn every_row_of_a_large_file_keeps_its_number_line_and_offset() {
    check(&[(0, FIRST)]);
}

#[test]
fn a_header_in_mid_stream_holds_from_there_on() {
    check(&[(0, FIRST), (17_000, SECOND), (17_001, FIRST), (33_333, SECOND)]);
}

#[test]
fn a_header_in_mid_stream_that_only_decoding_can_tell_holds_from_there_on() {
    check(&[(0, FIRST), (25_000, THIRD), (30_000, SECOND)]);
}

#[test]
fn a_large_file_whose_end_tells_another_role_is_read_again() {
    let desk = Desk::new();
    let (mut text, _) = file(&[(0, FIRST)]);
    text.push_str("t,2026-11-20 10:00:00+0000,a@b.example,late@d.example,smtp;451 later,x\n");
    let report = desk.ingest("acct-large.csv", &text);
    assert_eq!((report.status, report.role.as_deref()), (Status::Done, Some("mixed")));
    assert_eq!(desk.count("select count(*) from events where event_type = 'tran'"), 1);
    assert_eq!(desk.count("select count(*) from events where event_type = 'bounce'"), bounced() as i64);
}
