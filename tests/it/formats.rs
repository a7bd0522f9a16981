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

/// One query over the only event of some content.
fn one(name: &str, content: &str, columns: &str) -> String {
    let desk = Desk::new();
    let report = desk.ingest(name, content);
    assert_eq!((report.status, report.rows, report.rejected_rows), (Status::Done, 1, 0), "{}: {content}", report.error);
    sql(&desk, &format!("select {columns} from events")).remove(0)
}

const AT: &str = "to_char(event_time, '%Y-%m-%d %H:%M:%S')";

#[test]
fn names_of_acctfind_vendors_and_misprints_fill_their_columns() {
    for header in [
        "type,timeDelivered,from,to,dstIp,header:x-job,jobId",
        "Type,TIMELOGGED,Orig,RCPT,DlvDestinationIP,header_X-JOB,JOBID",
        "#type,timeLogged,orig,rcpt,dlvDesintationIp,header_x-job,jobId",
        "\u{feff}type,timeLogged,orig,rcpt,dlvDestinationIp,header_X-Job,jobId",
        "\"type\",\"timeLogged\",\"orig\",\"rcpt\",\"dlvDestinationIp\",\"header_X-Job\",\"jobId\"",
        "type , timeLogged , orig , rcpt , dlvDestinationIp , header_X-Job , jobId",
        "type,time_logged,sender,recipient,dlv_destination_ip,header_x-job,job_id",
    ] {
        for (name, delimiter) in [("a.csv", ","), ("a.tsv", "\t"), ("a.txt", ";"), ("a.log", "|")] {
            let content =
                format!("{header}\nd,2026-11-23 10:00:00+0100,a@b.example,c@d.example,2001:db8::1,camp,j-1\n");
            let columns = format!("{AT}, sender, recipient, destination_ip, custom_header, job_id");
            assert_eq!(
                one(name, &content.replace(',', delimiter), &columns),
                "2026-11-23 09:00:00|a@b.example|c@d.example|2001:db8::1|camp|j-1",
                "{header:?} {delimiter:?}"
            );
        }
    }
}

#[test]
fn every_way_to_write_a_moment_is_read() {
    for moment in [
        "2026-11-23 21:54:05+0100",
        "2026-11-23T20:54:05Z",
        "2026-11-23 20:54:05",
        "2026-11-23 20:54:05 +0000",
        "2026-11-23 20:54:05 UTC",
        "1795467245",
        "1795467245000",
        "2026-11-23T21:54:05.000+01:00",
        "11/23/2026 21:54:05+0100",
        "11/23/2026 20:54:05",
    ] {
        let content = format!("type,timeLogged,rcpt\nd,{moment},c@d.example\n");
        assert_eq!(one("a.csv", &content, AT), "2026-11-23 20:54:05", "{moment}");
    }
}

#[test]
fn files_without_time_recipient_or_type_column_are_read() {
    assert_eq!(
        one("a.csv", "type,rcpt,dsnStatus\nb,c@d.example,5.1.1\n", "kind, recipient, event_time"),
        "bounced|c@d.example|"
    );
    assert_eq!(
        one("a.csv", "type,timeQueued,rcpt\nd,1795467245,c@d.example\n", "kind, event_time, cast(date as varchar)"),
        "delivered||2026-11-23"
    );
    assert_eq!(one("a.csv", "type,timeLogged,vmta\nd,1795467245,v1\n", "kind, recipient, vmta"), "delivered||v1");
    assert_eq!(
        one("tran.csv", "timeLogged,rcpt,dsnStatus\n1795467245,c@d.example,4.2.1\n", "record_type, kind"),
        "t|deferred"
    );
    assert_eq!(one("bounce.csv", "rcpt,dsnStatus\nc@d.example,5.1.1\n", "record_type, kind"), "b|bounced");
    // What only one record type has tells it, whatever the name.
    assert_eq!(
        one(
            "export.csv",
            "timeLogged,feedbackType,rcpt\n1795467245,abuse,c@d.example\n",
            "record_type, kind, event_type"
        ),
        "f|complaint|fbl"
    );
    assert_eq!(
        one("x.csv", "timeLogged,orig,rcpt,dsnReportingMta\n1795467245,a@b,c@d.example,m\n", "record_type, event_type"),
        "rb|rb"
    );
}

#[test]
fn vendor_rate_blocks_categories_and_codes_are_understood() {
    assert_eq!(
        one(
            "rb.csv",
            "timeLogged,vmta,vmtaPool,domain,rbType,rbLimit,rbValue,rbDuration,dsnStatus,dsnDiag\n2026-11-23T20:54:05Z,v1,p1,Yahoo.com,rate,10,20,300,421,421 4.7.0 slow down\n",
            &format!("{AT}, record_type, kind, recipient_domain, smtp_code, is_rb, headers"),
        ),
        "2026-11-23 20:54:05|rb|rate_block|yahoo.com|421|true|{\"rbType\":\"rate\",\"rbLimit\":\"10\",\"rbValue\":\"20\",\"rbDuration\":\"300\"}"
    );
    for (category, class) in [("hard", "hard"), ("soft", "soft"), ("block", "block"), ("Hard", "hard")] {
        let content =
            format!("type,timeLogged,rcpt,dsnStatus,dsnDiag,bounceCat\nb,1795467245,c@d.example,550,,{category}\n");
        assert_eq!(one("a.csv", &content, "bounce_class, smtp_code"), format!("{class}|550"), "{category}");
    }
}

#[test]
fn a_union_header_with_repeated_names_keeps_every_cell() {
    let content = "type,timeLogged,rcpt,rcvSourceIp,rcvSourceIp,header_Subject,header_subject,dsnReportingMta\n\
                   d,1795467245,...@gmail.com,192.0.2.1,192.0.2.2,=?UTF-8?B?SMOp?=,\"b, \"\"c\"\"\",\n";
    assert_eq!(
        one("a.csv", content, "recipient, recipient_domain, headers"),
        r#"...@gmail.com|gmail.com|{"rcvSourceIp":"192.0.2.1","rcvSourceIp_2":"192.0.2.2","header_Subject":"=?UTF-8?B?SMOp?=","header_subject":"b, \"c\""}"#
    );
}

#[test]
fn comments_blank_lines_holes_and_trailing_delimiters_are_no_rows_and_cost_none() {
    let (first, second) = (row("d", 1), row("b", 2));
    let trailing = |line: &str| line.replace('\n', ",\n");
    for content in [
        format!("# written by mta1\n{HEADER}{first}# half way\n{second}"),
        format!("sep=,\n{HEADER}{first}{second}"),
        format!("\n\r\n{HEADER}{first}\n \n,,,,,,,,\n{second}\n\n"),
        format!("\0\0\0\0{HEADER}{first}\0\0\0\0{second}"),
        format!("{HEADER}{first}\u{feff}{HEADER}{second}"),
        format!("{}{first}{second}", trailing(HEADER)),
        format!("{}{}{}", trailing(HEADER), trailing(&first), second.trim_end()),
        format!("{HEADER}{}{}", trailing(&first), trailing(&second)),
        format!("{HEADER}{first}{second}").replace('\n', "\r\n"),
        format!("{}{first}{second}", HEADER.replace('\n', "\r\n")),
        format!("{HEADER}{HEADER}{first}{HEADER}{HEADER}{second}{HEADER}"),
        format!("{HEADER}{first}type,rcpt,timeLogged\nb,r2@y.example,2026-11-23 10:00:02+0000\n"),
    ] {
        let (report, events, rejects) = read("acct.csv", &content);
        assert_eq!((report.status, rejects), (Status::Done, vec![]), "{}: {content:?}", report.error);
        assert_eq!(events, TWO, "{content:?}");
    }
}

#[test]
fn a_header_without_type_that_comes_again_is_no_row() {
    let content = "rcpt,dsnStatus\nc@d.example,5.1.1\nrcpt,dsnStatus\ne@d.example,5.1.1\n";
    let (report, events, _) = read("bounce.csv", content);
    assert_eq!((report.rows, report.rejected_rows), (2, 0), "{events:?}");
}

#[test]
fn rows_without_a_header_have_the_layout_of_their_type_and_era() {
    let today = "d,2026-11-23 10:00:01+0000,2026-11-23 10:00:00+0000,a@b.example,r@y.example,,relayed,2.0.0 (success),smtp;250 ok,mx (192.0.2.9),success,smtp,h (192.0.2.8),smtp,192.0.2.1,192.0.2.9,\"8BITMIME,PIPELINING\",900,v1,job-1,env,y.example/v1,pool";
    let old = "d,2026-11-23 10:00:01+0000,2026-11-23 10:00:00+0000,,a@b.example,r@y.example,,relayed,2.0.0 (success),smtp;250 ok,mx (192.0.2.9),success,smtp,h (192.0.2.8),smtp,192.0.2.1,192.0.2.9,\"8BITMIME,PIPELINING\",900,v1,job-1,env";
    let columns = "recipient, sender, smtp_status, source_ip, size_bytes, vmta, job_id, env_id, queue";
    let expected = "r@y.example|a@b.example|2.0.0|192.0.2.1|900|v1|job-1|env|";
    assert_eq!(one("x.csv", &format!("{today}\n"), columns), format!("{expected}y.example/v1"));
    assert_eq!(
        one("x.csv", &format!("{}\n", today.trim_end_matches(",pool")), columns),
        format!("{expected}y.example/v1")
    );
    assert_eq!(one("x.csv", &format!("{old}\n"), columns), expected);
    for (line, kind) in [
        ("tq,2026-11-23 10:00:01+0000,4.4.1,,,smtp,0.0.0.0,192.0.2.9,v1,y.example/v1", "queue_error"),
        ("r,2026-11-23 10:00:01+0000,a@b.example,r@y.example,,smtp,h,192.0.2.1,192.0.2.2,v1,job,env", "received"),
        ("rb,2026-11-23 10:00:01+0000,a@b,r@y.example,,5.1.1,smtp;550,mx,rep,bad-mailbox,smtp,h,env", "remote_bounce"),
        ("rs,2026-11-23 10:00:01+0000,a@b,r@y.example,,2.0.0,smtp;250,mx,rep,,smtp,h,env", "status"),
        ("f,2026-11-23 10:00:01+0000,arf,AOL,env,a@b,r@y.example,rep,192.0.2.9", "complaint"),
        (
            "f,2026-11-23 10:00:01+0000,192.0.2.1,abuse,arf,AOL,env,a@b,r@y.example,rep,192.0.2.9,d,from,rp,job,sub",
            "complaint",
        ),
    ] {
        assert_eq!(one("x.csv", &format!("{line}\n"), "kind"), kind, "{line}");
    }
}

#[test]
fn a_file_cut_at_its_beginning_loses_the_cut_row_alone() {
    let line = "tq,2026-11-23 10:00:01+0000,4.4.1,,,smtp,0.0.0.0,192.0.2.9,v1,y.example/v1\n";
    let (report, events, rejects) = read("x.csv", format!("0.2.9,v1,y.example/v1\n{line}{line}"));
    assert_eq!((report.status, events.len()), (Status::Done, 2), "{}", report.error);
    assert_eq!(rejects.iter().map(|reject| reject.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_unusable_header_is_told_with_line_column_and_remedy() {
    for (content, words) in [
        (
            "# c\ntype,timeLoged,rcpt\nd,1795467245,a@b\n",
            ["line 2: column 2 is called `timeLoged`", "`timeLogged` is missing"],
        ),
        ("tpye,timeLogged,rcpt\nd,1795467245,a@b\n", ["line 1: column 1 is called `tpye`", "correct its name"]),
        ("type,timeLogged,rcptt\nd,1795467245,a@b\n", ["column 3 is called `rcptt`", "`rcpt` is missing"]),
        (
            "[{\"type\":\"d\",\"timeLoged\":\"1795467245\",\"rcpt\":\"a@b\"}]",
            ["line 1: column 2 is called `timeLoged`", "`timeLogged` is missing"],
        ),
        ("d,1795467245,a@b\n", ["line 1: there is no header line", "`d` row of 3 cells"]),
        ("id,price\n1,2\n", ["none of its 2 columns is known (found: id, price)", "expected a header such as"]),
        ("type,timeLogged,rcpt\rd,1795467245,a@b\rd,1795467245,a@b\r", ["carriage return", "mac2unix"]),
    ] {
        let report = Desk::new().ingest("x.csv", content);
        assert_eq!(report.status, Status::Rejected, "{content}");
        for word in words {
            assert!(report.error.contains(word), "{word}: {}", report.error);
        }
    }
    // Names that PowerMTA writes are no slips, and a header without them is fine.
    let report = Desk::new().ingest("x.csv", "type,timeLogged,orcpt,timeImpinted\nd,1795467245,a@b,\n");
    assert_eq!(report.status, Status::Done, "{}", report.error);
}

#[test]
fn empty_files_and_headers_alone_hold_no_rows() {
    for content in ["", "\n\n", HEADER, "type,timeLogged", "\u{feff}", "# nothing today\n"] {
        let report = Desk::new().ingest("acct.csv", content);
        assert_eq!(
            (report.status, report.rows, report.rejected_rows),
            (Status::Done, 0, 0),
            "{content:?} {}",
            report.error
        );
    }
}

#[test]
fn international_names_and_bytes_that_are_no_utf8_are_kept() {
    let mut content = b"type,timeLogged,rcpt,dsnMta,queue,header_Subject\nd,1795467245,j\xc3\xb6rg@b\xc3\xbccher.de,mx.xn--bcher-kva.de (2001:db8::7),b\xc3\xbccher.de/vmta29,caf\xe9\n".to_vec();
    let desk = Desk::new();
    let report = desk.ingest("a.csv", &content);
    assert_eq!((report.rows, report.rejected_rows), (1, 0));
    assert_eq!(
        sql(&desk, "select recipient, recipient_domain, queue, headers from events"),
        ["jörg@bücher.de|bücher.de|bücher.de/vmta29|{\"header_Subject\":\"caf\u{fffd}\"}"]
    );
    content.truncate(content.len() - 40);
    let (_, events, rejects) = read("a.csv", &content);
    assert_eq!((events.len(), rejects.len()), (0, 1));
}

#[test]
fn the_file_table_says_which_reading_of_a_name_was_taken() {
    let desk = Desk::new();
    let remote = "type,timeLogged,orig,rcpt,dsnStatus\nrb,2026-11-23 10:00:00+0000,a@x.example,b@y.example,5.1.1\n";
    let blocks =
        "type,timeLogged,vmta,domain,rbType,dsnDiag\nrb,2026-11-23 10:00:00+0000,v1,y.example,throttle,421 slow\n";
    let attempts = "type,timeLogged,rcpt\nt,2026-11-23 10:00:00+0000,b@y.example\n";
    let deliveries = "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,b@y.example\n";
    for (name, text, role, reading) in [
        ("rb-1.csv", remote, "rb", "read as remote bounces"),
        ("rb-2.csv", blocks, "rb", "read as rate blocks"),
        ("tran-1.csv", attempts, "tran", "read as failed attempts"),
        ("tran-2.csv", deliveries, "tran", "read as deliveries"),
        ("acct-1.csv", &deliveries.replace("b@y", "c@y"), "acct", ""),
    ] {
        let row = desk.ingest(name, format!("{text}\n"));
        assert_eq!((row.role.as_deref(), row.reading.as_str()), (Some(role), reading), "{name}");
    }
}
