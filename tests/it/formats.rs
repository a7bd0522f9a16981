//! Every shape of PowerMTA file in the reference, with the events and rejects it must give.

use pmtop::catalog::control::FileRow;
use pmtop::event::file_status::Status;
use pmtop::query::table::Value;

use crate::support::Desk;

/// Rows of a query, cells joined by `|`.
fn sql(desk: &Desk, query: &str) -> Vec<String> {
    let table = desk.engine.block_on(desk.engine.sql(query)).unwrap();
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Flag(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    table.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
}

/// `record type|role|kind|time|recipient` of every event, in the order of the file.
fn events(desk: &Desk) -> Vec<String> {
    sql(
        desk,
        "select record_type, event_type, kind, to_char(event_time, '%Y-%m-%d %H:%M:%S'), recipient from events \
         order by file_id, row_number",
    )
}

/// Line, reason and whether the row stands at the offset, of every reject of a file.
fn rejects(desk: &Desk, report: &FileRow, content: &[u8]) -> Vec<(u64, String)> {
    let path = desk.catalog().layout().rejects().join(format!("file-{}.csv", report.id));
    let Ok(text) = std::fs::read(path) else { return Vec::new() };
    let mut reader = csv::Reader::from_reader(&text[..]);
    reader
        .byte_records()
        .map(|record| {
            let record = record.unwrap();
            let number = |cell: usize| std::str::from_utf8(&record[cell]).unwrap().parse::<u64>().unwrap();
            let (line, offset) = (number(1), usize::try_from(number(2)).unwrap());
            assert!(content[offset..].starts_with(&record[4]), "the offset of line {line} is not {offset}");
            let before = content[..offset].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(line, before + 1, "the line of offset {offset}");
            (line, String::from_utf8(record[3].to_vec()).unwrap())
        })
        .collect()
}

/// Takes content in and returns the report, its events and its rejects.
fn read(name: &str, content: impl AsRef<[u8]>) -> (FileRow, Vec<String>, Vec<(u64, String)>) {
    let desk = Desk::new();
    let report = desk.ingest(name, content.as_ref());
    let (events, rejects) = (events(&desk), rejects(&desk, &report, content.as_ref()));
    assert_eq!(report.rejected_rows, i64::try_from(rejects.len()).unwrap(), "{}", report.error);
    (report, events, rejects)
}

fn object(kind: &str, second: u32) -> String {
    format!(
        r#"{{"type":"{kind}","timeLogged":"2026-11-23 10:00:{second:02}+0000","timeQueued":"2026-11-23 10:00:00+0000","orig":"a@b.example","rcpt":"r{second}@y.example","dsnStatus":"5.1.1 (bad)","dsnDiag":"smtp;550 5.1.1 \"no\", such {{user}}","bounceCat":"bad-mailbox","jobId":"job-1"}}"#
    )
}

const TWO: [&str; 2] =
    ["d|acct|delivered|2026-11-23 10:00:01|r1@y.example", "b|acct|bounced|2026-11-23 10:00:02|r2@y.example"];

#[test]
fn json_is_read_as_lines_as_an_array_pretty_printed_concatenated_and_wrapped() {
    let (one, two) = (object("d", 1), object("b", 2));
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    for content in [
        format!("{one}\n{two}\n"),
        format!("{one}\r\n\r\n{two}"),
        format!("[{one},{two}]"),
        format!("[\n{one},\n{two}\n]\n"),
        format!("{one}{two}"),
        format!("{one}, {two}"),
        pretty(&format!("[{one},{two}]")),
        format!("{}\n{}\n", pretty(&one), pretty(&two)),
        format!(r#"{{"records":[{one},{two}]}}"#),
        format!(r#"{{"server":"mta1","tags":["x"],"meta":{{"n":2}},"records":[{one},{two}],"count":2}}"#),
        pretty(&format!(r#"{{"timestamp":"2026-11-23","events":[{one},{two}]}}"#)),
        format!("{{\"records\":[{one}]}}\n{{\"records\":[]}}\n{{\"records\":[{two}]}}\n"),
        format!("\u{feff}{one}\n{two}\n"),
    ] {
        let (report, events, rejects) = read("hook.json", &content);
        assert_eq!(report.status, Status::Done, "{}: {content}", report.error);
        assert_eq!((events, rejects), (TWO.map(str::to_owned).to_vec(), vec![]), "{content}");
        assert_eq!(report.bytes, i64::try_from(content.len()).unwrap());
    }
}

#[test]
fn json_cells_say_the_same_as_csv_cells() {
    let desk = Desk::new();
    desk.ingest("acct.json", object("b", 2) + "\n");
    assert_eq!(
        sql(&desk, "select dsn_diag, smtp_status, smtp_code, bounce_class, user_id, delivery_latency_ms from events"),
        ["smtp;550 5.1.1 \"no\", such {user}|5.1.1|550|hard|job|"]
    );
    assert_eq!(sql(&desk, "select count(*) from files where sha256 is not null"), ["1"]);
}

#[test]
fn json_keys_may_change_and_values_may_be_numbers_null_or_nested() {
    let content = concat!(
        r#"{"timeLogged":1795467245,"type":"d","rcpt":"a@x.example","dlvSize":1234,"header_X-Ok":true,"envId":null}"#,
        "\n",
        r#"{"rcpt":"b@x.example","dsnStatus":"4.2.1","type":"t","timeLogged":"1795467246","extra":{"k":[1,"v"]}}"#,
        "\n",
    );
    let desk = Desk::new();
    let report = desk.ingest("log.json", content);
    assert_eq!((report.status, report.rows, report.rejected_rows), (Status::Done, 2, 0), "{}", report.error);
    assert_eq!(
        events(&desk),
        ["d|acct|delivered|2026-11-23 20:54:05|a@x.example", "t|tran|deferred|2026-11-23 20:54:06|b@x.example"]
    );
    assert_eq!(
        sql(&desk, "select size_bytes, headers from events order by row_number"),
        [r#"1234|{"header_X-Ok":"true"}"#, r#"|{"extra":"{\"k\":[1,\"v\"]}"}"#]
    );
}

#[test]
fn a_broken_object_costs_itself_alone() {
    let (one, two) = (object("d", 1), object("b", 2));
    let unclosed = &one[..one.len() - 1];
    let open_quote = one.replace("r1@y.example\"", "r1@y.example");
    let cut = &one[..60];
    let no_colon = one.replacen(':', " ", 1);
    for (content, line) in [
        (format!("{one}\n{unclosed}\n{two}\n"), 2),
        (format!("{one}\n{open_quote}\n{two}\n"), 2),
        (format!("{one}\n{cut}\n{two}\n"), 2),
        (format!("{one}\n{no_colon}\n{two}\n"), 2),
        (format!("{one}\nthis is no object\n{two}\n"), 2),
        (format!("{one}\n{two}\n{cut}"), 3),
        (format!("{cut}\n{one}\n{two}\n"), 1),
        (format!("[{one},{open_quote},{two}]"), 1),
        (format!("[{one},{unclosed},{two}]"), 1),
        (format!("[\n{one},\n{open_quote},\n{two}\n]"), 3),
        (format!("{{\"records\":[{one},\n{open_quote},\n{two}]}}\n"), 2),
        (format!("{one}\n{{\"type\":\"zz\",\"timeLogged\":\"2026-11-23 10:00:00+0000\"}}\n{two}\n"), 2),
        (format!("{one}\n{{\"a\":\"b\"}}\n{two}\n"), 2),
        (format!("{one}\n{}\n{two}\n", one.replace("10:00:01+0000", "noon")), 2),
        (format!("{one}\n{}\n{two}\n", one.replace("job-1", "\\ud800")), 2),
    ] {
        let (report, events, rejects) = read("acct.json", &content);
        assert_eq!(report.status, Status::Done, "{}: {content}", report.error);
        assert_eq!(events, TWO, "{rejects:?}: {content}");
        assert_eq!(rejects.iter().map(|reject| reject.0).collect::<Vec<_>>(), [line], "{rejects:?}: {content}");
    }
}

#[test]
fn an_endless_object_costs_itself_alone() {
    let (one, two) = (object("d", 1), object("b", 2));
    let content = format!("{one}\n{{\"type\":\"d\",\"x\":\"{}\"}}\n{two}\n", "x".repeat(3 << 20));
    let (_, events, rejects) = read("acct.json", &content);
    assert_eq!(events, TWO);
    assert!(rejects.len() == 1 && rejects[0].0 == 2 && rejects[0].1.contains("longer than"), "{rejects:?}");
}

#[test]
fn json_that_holds_no_records_is_refused_with_what_was_found() {
    let (report, _, _) = read("x.json", r#"[{"id":1,"price":2},{"id":2}]"#);
    assert_eq!(report.status, Status::Rejected);
    assert!(report.error.contains("id, price"), "{}", report.error);
    let (report, _, _) = read("x.json", "[]\n");
    assert_eq!((report.status, report.rows), (Status::Done, 0), "{}", report.error);
}

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,bounceCat,jobId\n";

fn row(kind: &str, second: u32) -> String {
    format!(
        "{kind},2026-11-23 10:00:{second:02}+0000,2026-11-23 10:00:00+0000,a@b.example,r{second}@y.example,5.1.1 (bad),smtp;550 no,bad-mailbox,job-1\n"
    )
}

fn two_rows() -> String {
    format!("{HEADER}{}{}", row("d", 1), row("b", 2))
}

fn gz(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(content).unwrap();
    gz.finish().unwrap()
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn gzip_members_one_behind_the_other_are_one_content_and_padding_is_passed_over() {
    let text = two_rows();
    let (first, second) = text.split_at(200);
    let mut content = gz(first.as_bytes());
    content.extend(gz(second.as_bytes()));
    content.extend(gz(b""));
    content.extend([0; 70_000]);
    let (report, events, _) = {
        let desk = Desk::new();
        let report = desk.ingest("acct.csv.gz", &content);
        let events = events(&desk);
        (report, events, ())
    };
    assert_eq!((report.status, report.bytes), (Status::Done, 200 + i64::try_from(second.len()).unwrap()));
    assert_eq!(events, TWO);
}

#[test]
fn damaged_compressed_files_are_refused_whole_with_words() {
    let text = two_rows();
    let mut garbage = gz(text.as_bytes());
    let end = garbage.len();
    garbage.extend(b"garbage");
    let mut flipped = gz(text.as_bytes());
    let middle = flipped.len() - 6;
    flipped[middle] ^= 0xff;
    let cut_gz = gz(text.as_bytes())[..end - 9].to_vec();
    let zst = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let zip = zipped(&[("acct.csv", text.as_bytes())]);
    for (name, content, words) in [
        ("a.gz", garbage, format!("from byte {end}")),
        ("b.gz", cut_gz, "cut off after".to_owned()),
        ("c.gz", flipped, "damaged".to_owned()),
        ("d.zst", zst[..zst.len() - 5].to_vec(), "cut off after".to_owned()),
        ("e.zip", zip[..zip.len() - 30].to_vec(), "zip archive cannot be read".to_owned()),
    ] {
        let desk = Desk::new();
        let report = desk.ingest(name, &content);
        assert_eq!(report.status, Status::Rejected, "{name}: {}", report.error);
        assert!(report.error.contains(&words), "{name}: {}", report.error);
        assert_eq!(desk.count("select count(*) from events"), 0, "{name}");
    }
}

#[test]
fn what_is_no_log_is_refused_by_name_with_what_to_do() {
    let mut tar = vec![b'x'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    let utf16: Vec<u8> = "\u{feff}type,timeLogged\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, words) in [
        (tar.clone(), ["tar archive", "tar xf"]),
        (gz(&tar), ["tar archive", "tar xf"]),
        (gz(&gz(b"x")), ["archive within an archive", "unpack"]),
        (b"\xfd7zXZ\0\0\x04".to_vec(), ["xz", "xz -d"]),
        (b"BZh91AY&SY".to_vec(), ["bzip2", "bunzip2"]),
        (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), ["7-Zip", "unpack"]),
        (utf16, ["UTF-16", "UTF-8"]),
        (zipped(&[("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")]), ["Excel", "save it as CSV"]),
        (b"<?xml version=\"1.0\"?><acct/>".to_vec(), ["XML", "CSV"]),
        (zipped(&[("__MACOSX/._a.csv", b"x")]), ["archive", "no log files"]),
    ] {
        let desk = Desk::new();
        let report = desk.ingest("acct.csv", &content);
        assert_eq!(report.status, Status::Rejected, "{words:?}: {}", report.error);
        for word in words {
            assert!(report.error.contains(word), "{word}: {}", report.error);
        }
    }
}

#[test]
fn a_zip_gives_what_is_usable_in_it_and_passes_over_what_systems_put_there() {
    let text = two_rows();
    let desk = Desk::new();
    let inner = zipped(&[("x.csv", text.as_bytes())]);
    let mut content = zipped(&[
        ("__MACOSX/._acct.csv", b"\0\x05\x16\x07"),
        (".DS_Store", b"\0\0\0\x01Bud1"),
        ("logs/", b""),
        ("logs/.hidden", b"x"),
        ("README.txt", b"Logs of Monday.\n"),
        ("inner.zip", &inner),
        ("secret1.csv", text.as_bytes()),
        ("/etc/../../acct.csv", text.as_bytes()),
        ("../b\0.csv", format!("{HEADER}{}", row("b", 3)).as_bytes()),
    ]);
    // The flag that says that a member is encrypted, in both of its headers.
    for at in 0..content.len() - 50 {
        let name = if content[at..].starts_with(b"PK\x03\x04") {
            (at + 6, at + 30)
        } else if content[at..].starts_with(b"PK\x01\x02") {
            (at + 8, at + 46)
        } else {
            continue;
        };
        if content[name.1..].starts_with(b"secret1") {
            content[name.0] |= 1;
        }
    }
    let path = desk.path("logs.zip");
    std::fs::write(&path, content).unwrap();
    let reports = desk.ingest_all(&path);
    let told: Vec<(&str, Status)> = reports.iter().map(|report| (report.name.as_str(), report.status)).collect();
    assert_eq!(
        told,
        [
            ("logs.zip/README.txt", Status::Rejected),
            ("logs.zip/inner.zip", Status::Rejected),
            ("logs.zip/secret1.csv", Status::Rejected),
            ("logs.zip/etc/acct.csv", Status::Done),
            ("logs.zip/b\0.csv", Status::Done),
        ]
    );
    assert!(reports[1].error.contains("archive within an archive"), "{}", reports[1].error);
    assert!(reports[2].error.contains("encrypted"), "{}", reports[2].error);
    assert!(reports[3].path.ends_with("logs.zip/etc/acct.csv"), "{}", reports[3].path);
    assert_eq!(events(&desk).len(), 3);
}

#[test]
fn members_of_one_name_are_not_hidden_by_each_other() {
    let mut content = zipped(&[("acct-1.csv", two_rows().as_bytes()), ("acct-2.csv", HEADER.as_bytes())]);
    while let Some(at) = content.windows(10).position(|window| window == b"acct-2.csv") {
        content[at + 5] = b'1';
    }
    let report = Desk::new().ingest("logs.zip", content);
    assert_eq!(report.status, Status::Rejected);
    assert!(report.error.contains("same name"), "{}", report.error);
}

#[test]
fn devices_pipes_and_links_to_them_are_refused_without_waiting() {
    let desk = Desk::new();
    let fifo = desk.path("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let link = desk.path("link.csv");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    for path in [&fifo, &link] {
        let report = desk.ingest_path(path);
        assert_eq!(report.status, Status::Rejected, "{}", report.error);
        assert!(report.error.contains("not a regular file"), "{}", report.error);
    }
}
