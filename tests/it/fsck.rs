//! What is damaged is found, named, and put right as far as it can be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pmtop::catalog::Catalog;
use pmtop::catalog::fsck::{Finding, fsck};
use pmtop::catalog::keys;
use pmtop::cli;
use pmtop::config::Config;
use pmtop::ingest::Ingest;

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,bounceCat,dlvSourceIp,vmta,jobId\n";

/// A catalog of a few files that share rows, closed.
struct Closed {
    folder: tempfile::TempDir,
    config: Config,
}

impl Closed {
    fn new(files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { catalog: folder.path().join("catalog"), ..Config::default() };
        let closed = Self { folder, config };
        for file in 0..files {
            let mut text = HEADER.to_owned();
            for row in file * 20..file * 20 + 30 {
                let (hour, minute, kind) = (row / 60 % 24, row % 60, if row % 7 == 0 { "b" } else { "d" });
                let time = format!("2026-11-{:02} {hour:02}:{minute:02}:00+0000", 20 + row % 2);
                text += &format!(
                    "{kind},{time},{time},a@b.example,u{row}@example.com,5.1.1 (bad),smtp;550 no,bad-mailbox,192.0.2.1,v1,job-1\n"
                );
            }
            std::fs::write(closed.log(file), text).unwrap();
            closed.ingest(file);
        }
        closed
    }

    fn log(&self, file: u32) -> PathBuf {
        self.folder.path().join(format!("log-{file}.csv"))
    }

    fn ingest(&self, file: u32) {
        let catalog = Catalog::open(&self.config.catalog).unwrap();
        let ingest = Ingest::new(catalog, &self.config).unwrap();
        ingest.file(&self.log(file), true, &std::sync::atomic::AtomicBool::new(false), &mut |_| {});
    }

    fn root(&self) -> &Path {
        &self.config.catalog
    }

    fn check(&self) -> Vec<Finding> {
        fsck(self.root(), false).unwrap()
    }

    fn repair(&self) -> Vec<Finding> {
        let findings = fsck(self.root(), true).unwrap();
        assert!(findings.iter().all(|finding| finding.repaired), "{findings:#?}");
        assert_eq!(self.check(), [], "after {findings:#?}");
        findings
    }

    fn sql(&self, statement: &str) -> Vec<Vec<pmtop::query::table::Value>> {
        let engine = cli::engine(&self.config).unwrap();
        engine.block_on(engine.sql(statement)).unwrap().rows
    }

    /// Every row of both tables, and the counts that the rollups give.
    fn content(&self) -> String {
        let rows = |table: &str| {
            self.sql(&format!("select event_type, kind, event_time, recipient from {table} order by 1, 2, 3, 4"))
        };
        let engine = cli::engine(&self.config).unwrap();
        let report = pmtop::query::question::Report::Totals;
        let scope = pmtop::query::scope::Scope::new(pmtop::query::time::parse_range("all").unwrap(), []);
        let question = pmtop::query::question::Question::new(report, scope);
        let totals = engine.block_on(pmtop::report::answer(&engine, &question)).unwrap().table.rows;
        format!("{:?}\n{:?}\n{totals:?}", rows("events"), rows("copies"))
    }

    /// Files below a folder of the catalog, by path.
    fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        found
    }

    fn first(&self, folder: &str, part: &str) -> String {
        self.files(folder).into_keys().find(|name| name.contains(part)).unwrap()
    }

    /// A segment of events that is visible.
    fn live(&self) -> String {
        let snapshot = Catalog::open(self.root()).unwrap().snapshot().unwrap();
        snapshot.segments.iter().find(|segment| segment.is_events()).unwrap().path.clone()
    }

    fn flip(&self, path: &str) {
        let path = self.root().join(path);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_sound_catalog_has_no_findings() {
    assert_eq!(Closed::new(4).check(), []);
}

#[test]
fn damaged_rollups_and_keys_are_built_anew_from_the_rows() {
    let closed = Closed::new(3);
    let before = closed.content();
    let keys_path = format!("keys/{}", closed.live());
    let keys_before = keys::read_keys(&closed.root().join(&keys_path)).unwrap();
    let rollup = closed.first("rollups", ".counts.parquet");
    closed.flip(&keys_path);
    closed.flip(&rollup);
    std::fs::remove_file(closed.root().join(closed.first("rollups", ".latency.parquet"))).unwrap();
    let found = closed.repair();
    assert!(
        found.iter().any(|finding| finding.path == keys_path) && found.iter().any(|finding| finding.path == rollup)
    );
    assert_eq!(keys::read_keys(&closed.root().join(&keys_path)).unwrap(), keys_before);
    assert_eq!(closed.content(), before);
}

#[test]
fn a_damaged_segment_is_named_and_its_log_file_read_again() {
    let closed = Closed::new(3);
    let before = closed.content();
    let segment = closed.live();
    closed.flip(&segment);
    assert_eq!(closed.check().iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), [segment.as_str()]);
    closed.repair();
    assert!(closed.sql("select * from events").len() < 70);
    assert!(!closed.sql("select * from events").is_empty());
    for file in 0..3 {
        closed.ingest(file);
    }
    assert_eq!(closed.content(), before);
    assert_eq!(closed.check(), []);
}

#[test]
fn rows_whose_log_file_is_gone_are_named_as_lost_and_the_others_served() {
    let closed = Closed::new(2);
    for file in 0..2 {
        std::fs::remove_file(closed.log(file)).unwrap();
    }
    closed.flip(&closed.live());
    closed.repair();
    let files = Catalog::open(closed.root()).unwrap().files().unwrap();
    assert!(files.iter().any(|file| file.error.contains("rows are lost")), "{files:?}");
    assert!(!closed.sql("select * from events").is_empty());
}

#[test]
fn a_lost_log_is_written_anew_to_the_byte() {
    let closed = Closed::new(3);
    let before = closed.files("events/_delta_log");
    std::fs::remove_dir_all(closed.root().join("events/_delta_log")).unwrap();
    closed.flip("copies/_delta_log/00000000000000000000.json");
    assert_eq!(closed.check().len(), before.len() + 1);
    closed.repair();
    assert_eq!(closed.files("events/_delta_log"), before);
}

#[test]
fn a_log_that_another_program_went_on_with_is_put_right() {
    let closed = Closed::new(1);
    let foreign = closed.root().join("events/_delta_log/00000000000000000002.json");
    std::fs::write(&foreign, "{\"commitInfo\":{}}\n").unwrap();
    assert_eq!(closed.check().len(), 1);
    closed.repair();
    assert!(!foreign.exists());
}

#[test]
fn a_damaged_control_database_is_built_anew_from_the_log() {
    let closed = Closed::new(4);
    let before = closed.content();
    std::fs::write(closed.root().join("control.db"), b"not a database at all").unwrap();
    for rest in ["control.db-wal", "control.db-shm"] {
        std::fs::remove_file(closed.root().join(rest)).ok();
    }
    let found = closed.check();
    assert_eq!(found.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["control.db"]);
    closed.repair();
    assert_eq!(closed.content(), before);
    // Its files are known again by their content.
    for file in 0..4 {
        closed.ingest(file);
    }
    assert_eq!(closed.content(), before);
    assert_eq!(closed.check(), []);
}

#[test]
fn text_that_a_flipped_bit_made_illegible_is_as_it_was_after_a_repair() {
    let closed = Closed::new(3);
    let before = closed.content();
    let names = || -> Vec<String> {
        let files = Catalog::open(closed.root()).unwrap().files().unwrap();
        files.into_iter().map(|file| file.name).collect()
    };
    let names_before = names();
    // Behind the triggers' back, as a disk would.
    let db = rusqlite::Connection::open(closed.root().join("control.db")).unwrap();
    let trigger: String =
        db.query_row("SELECT sql FROM sqlite_master WHERE name = 'files_updated'", [], |row| row.get(0)).unwrap();
    db.execute_batch("DROP TRIGGER files_updated").unwrap();
    db.execute("UPDATE files SET name = CAST(x'66ff' AS TEXT) WHERE id = (SELECT min(id) FROM files)", []).unwrap();
    db.execute_batch(&trigger).unwrap();
    drop(db);
    assert!(!closed.check().is_empty());
    closed.repair();
    assert_eq!(closed.check(), []);
    assert_eq!(names(), names_before);
    assert_eq!(closed.content(), before);
}

#[test]
fn a_control_database_with_another_name_for_a_column_is_built_anew() {
    let closed = Closed::new(3);
    let before = closed.content();
    let db = rusqlite::Connection::open(closed.root().join("control.db")).unwrap();
    db.execute_batch("ALTER TABLE segments RENAME COLUMN min_time TO min_tima").unwrap();
    drop(db);
    let found = closed.check();
    assert_eq!(found.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["control.db"]);
    assert!(found[0].problem.contains("segments.min_time"), "{}", found[0].problem);
    closed.repair();
    assert_eq!(closed.content(), before);
    assert_eq!(closed.check(), []);
}

#[test]
fn files_that_nothing_names_are_removed() {
    let closed = Closed::new(1);
    let orphan = closed.root().join("events/date=2026-11-20/event_type=acct/left-over.parquet");
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, "x").unwrap();
    assert_eq!(closed.check().len(), 1);
    closed.repair();
    assert!(!orphan.exists());
}

#[test]
fn what_is_not_yet_in_the_log_comes_with_the_next_start() {
    let closed = Closed::new(3);
    let before = closed.files("events/_delta_log");
    // As a crash between the transaction and the log leaves it.
    std::fs::remove_file(closed.root().join(before.keys().next_back().unwrap())).unwrap();
    drop(Catalog::open(closed.root()).unwrap());
    assert_eq!(closed.files("events/_delta_log"), before);
}

#[test]
fn a_damaged_segment_is_named_and_all_else_is_served() {
    let desk = crate::support::Desk::new();
    for day in [20, 21, 22] {
        let rows: String =
            (0..50).map(|row| format!("d,2026-11-{day} 10:00:00+0000,s@x.example,u{row}@y.example\n")).collect();
        desk.ingest(&format!("acct-{day}.csv"), format!("type,timeLogged,orig,rcpt\n{rows}"));
    }
    let snapshot = desk.catalog().snapshot().unwrap();
    let path = snapshot.root.join(&snapshot.segments[1].path);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[4..middle] {
        *byte ^= 0x55;
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(desk.count("select count(distinct recipient) + 50 * count(distinct date) from events"), 150);
    let said = desk.engine.damage().unwrap().to_string();
    assert!(said.contains(&snapshot.segments[1].path) && said.contains("fsck --repair"), "{said}");
    assert_eq!(desk.totals(&["recipient=u7@y.example"])["delivered"], 2);
}

#[test]
fn a_repair_waits_until_nobody_else_has_the_catalog_open() {
    let desk = crate::support::Desk::new();
    desk.ingest("acct.csv", "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\n");
    let root = desk.config.catalog.clone();
    let refused = pmtop::catalog::fsck::fsck(&root, true).unwrap_err().to_string();
    assert!(refused.contains("the catalog is in use"), "{refused}");
    assert_eq!(pmtop::catalog::fsck::fsck(&root, false).unwrap(), []);
}
