//! Packs are a cache: answers are the same whether they are there, damaged, cut off or gone, and `fsck` tells
//! one that is not what its rows add up to.

use std::path::{Path, PathBuf};

use pmtop::catalog::fsck::fsck;
use pmtop::catalog::{links, pack};
use pmtop::cli;
use pmtop::query::field::Field;
use pmtop::query::filter::Filter;
use pmtop::query::question::{Bucket, Question, Report};
use pmtop::query::scope::Scope;
use pmtop::query::table::Table;
use pmtop::query::time::{Width, parse_range};
use pmtop::report;

use crate::answers::day;
use crate::support::Desk;

fn packs(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("packs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Answers of a process that has nothing in memory yet.
fn answers(desk: &Desk) -> Vec<Table> {
    let engine = cli::engine(&desk.config).unwrap();
    let hour = Some(Bucket::Fixed(Width::Hour));
    let reports = [
        Report::Totals,
        Report::Operations { by: Some(Field::Job), bucket: hour },
        Report::Domains { by: Field::Domain },
        Report::Replies,
    ];
    let (oldest, newest) = engine.snapshot().unwrap().bounds().unwrap();
    let ragged = format!(
        "{}..{}",
        pmtop::query::time::iso(oldest + 12_345_678_901),
        pmtop::query::time::iso(newest - 9_876_543_210)
    );
    let scopes = [
        Scope::default(),
        Scope::new(parse_range(&ragged).unwrap(), []),
        Scope::new(parse_range("all").unwrap(), [Filter::include(Field::Provider, "google")]),
    ];
    let mut out = Vec::new();
    for report in reports {
        for scope in &scopes {
            let question = Question::new(report, scope.clone());
            out.push(engine.block_on(report::answer(&engine, &question)).unwrap().table);
        }
    }
    out
}

#[test]
fn answers_do_not_hang_on_packs() {
    let (desk, _) = day(5, 3000);
    let root = desk.config.catalog.clone();
    let fresh = answers(&desk);
    pack::tidy(desk.catalog(), 2, &|| false).unwrap();
    let files = packs(&root);
    assert!(!files.is_empty());
    assert_eq!(answers(&desk), fresh, "with packs");
    for (index, file) in files.iter().enumerate() {
        let mut bytes = std::fs::read(file).unwrap();
        if index % 2 == 0 {
            // Behind the words, which are read first, so that columns are damaged.
            let from = bytes.len() / 2;
            bytes[from..].iter_mut().for_each(|byte| *byte ^= 0x55);
        } else {
            bytes.truncate(bytes.len() / 2);
        }
        std::fs::write(file, bytes).unwrap();
    }
    assert_eq!(answers(&desk), fresh, "with damaged packs");
    std::fs::remove_dir_all(root.join("packs")).unwrap();
    assert_eq!(answers(&desk), fresh, "without packs");
}

#[test]
fn fsck_tells_a_pack_that_is_not_its_segments() {
    let (desk, _) = day(6, 1500);
    pack::tidy(desk.catalog(), 2, &|| false).unwrap();
    let root = desk.config.catalog.clone();
    drop(desk.engine);
    assert!(fsck(&root, false).unwrap().is_empty());
    let file = packs(&root).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let found = fsck(&root, true).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].path.ends_with(".pack") && found[0].repaired, "{}: {}", found[0].path, found[0].problem);
    assert!(fsck(&root, false).unwrap().is_empty());
}

#[test]
fn a_recipient_is_found_in_any_case() {
    let desk = Desk::new();
    let mut text = "type,timeLogged,timeQueued,orig,rcpt,dlvSourceIp,vmta,jobId\n".to_owned();
    for (minute, recipient) in
        ["joe@example.com", "Joe@Example.com", "ann@example.com", "JOE@EXAMPLE.COM"].iter().enumerate()
    {
        text += &format!(
            "d,2026-11-20 10:{minute:02}:00+0000,2026-11-20 10:00:00+0000,a@b.example,{recipient},192.0.2.1,v1,j\n"
        );
    }
    desk.ingest("acct-1.csv", text);
    let rest = "type,timeLogged,timeQueued,orig,rcpt,dlvSourceIp,vmta,jobId\n\
                d,2026-11-21 10:00:00+0000,2026-11-21 10:00:00+0000,a@b.example,joe@example.com,192.0.2.1,v1,j\n";
    desk.ingest("acct-2.csv", rest);
    pack::tidy(desk.catalog(), 2, &|| false).unwrap();
    for (filter, delivered) in [
        ("recipient=joe@example.com", 4),
        ("recipient=JOE@example.com", 4),
        ("recipient!=joe@EXAMPLE.com", 1),
        ("recipient=Ann@example.com", 1),
    ] {
        assert_eq!(desk.totals(&[filter])["delivered"], delivered, "{filter}");
    }
}

#[test]
fn an_estimate_tells_what_must_be_read() {
    let (desk, _) = day(7, 1500);
    pack::tidy(desk.catalog(), 2, &|| false).unwrap();
    links::tidy(desk.catalog(), &desk.engine.links, 2, &|| false).unwrap();
    links::pack(desk.catalog(), &desk.engine.links, &|| false).unwrap();
    let engine = cli::engine(&desk.config).unwrap();
    let rows = |report: Report, filters: &[&str]| {
        let filters = filters.iter().map(|text| Filter::parse(text).unwrap());
        engine.estimate(&Question::new(report, Scope::new(parse_range("all").unwrap(), filters))).unwrap().rows
    };
    assert_eq!(rows(Report::Totals, &["provider=Google", "vmta=v*"]), 0);
    assert_eq!(rows(Report::Totals, &["recipient=nobody@nowhere.example"]), 0);
    assert!(rows(Report::Totals, &["recipient=*@nowhere.example"]) > 1000);
    assert!(rows(Report::Operations { by: Some(Field::Sender), bucket: None }, &[]) > 1000);
}
