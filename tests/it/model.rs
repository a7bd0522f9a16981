//! Random sequences of what may happen to a folder and a catalog, against a small model: a content counts once
//! it was taken in and until it is removed, and each row counts as often as in the content that has it most
//! often. `PMTOP_SEQUENCES` runs more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pmtop::catalog::commit::remove_file;
use pmtop::catalog::fsck::fsck;
use pmtop::catalog::keep::keep;
use pmtop::config::Retention;
use pmtop::event::file_status::Status;
use pmtop::ingest::{Ingest, intake};
use pmtop::query::table::Value;
use sha2::{Digest as _, Sha256};

use crate::support::Desk;

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,jobId\n";
const DAYS: u32 = 5;
const OPERATIONS: usize = 50;

/// Rows are known by a number; its day is the number's rest.
fn row(number: u32) -> String {
    let day = 1 + number % DAYS;
    let times = format!("2026-11-{day:02} 10:00:00+0000,2026-11-{day:02} 09:59:00+0000");
    format!("d,{times},s@x.example,u{number}@y.example,2.0.0,j-1\n")
}

fn rows_of(content: &str) -> BTreeMap<u32, i64> {
    let mut rows = BTreeMap::new();
    for line in content.lines().skip(1) {
        let number = line.split(",u").nth(1).and_then(|rest| rest.split('@').next()).unwrap();
        *rows.entry(number.parse().unwrap()).or_insert(0) += 1;
    }
    rows
}

fn sha256(content: &str) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The model: every content that ever was, the files in the folder, and the first day that is kept.
struct World {
    desk: Desk,
    rng: fastrand::Rng,
    contents: BTreeMap<String, String>,
    folder: BTreeMap<PathBuf, String>,
    floor: u32,
    names: usize,
    done: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let desk = Desk::new();
        std::fs::create_dir(desk.path("inbox")).unwrap();
        let rng = fastrand::Rng::with_seed(seed);
        let (contents, folder) = (BTreeMap::new(), BTreeMap::new());
        Self { desk, rng, contents, folder, floor: 0, names: 0, done: Vec::new() }
    }

    fn rows(&mut self) -> String {
        (0..self.rng.usize(1..6)).map(|_| row(self.rng.u32(0..40))).collect()
    }

    fn any_file(&mut self) -> Option<PathBuf> {
        let paths: Vec<&PathBuf> = self.folder.keys().collect();
        let index = self.rng.usize(0..paths.len().max(1));
        paths.get(index).map(|path| (*path).clone())
    }

    fn fresh_path(&mut self) -> PathBuf {
        self.names += 1;
        self.desk.path(&format!("inbox/acct-{}.csv", self.names))
    }

    fn write(&mut self, path: PathBuf, content: String) {
        std::fs::write(&path, &content).unwrap();
        self.contents.insert(sha256(&content), content.clone());
        self.folder.insert(path, content);
    }

    /// The contents whose rows the file table says are there.
    fn visible(&self) -> BTreeSet<String> {
        let files = self.desk.catalog().files().unwrap();
        files.into_iter().filter(|file| file.status == Status::Done).filter_map(|file| file.sha256).collect()
    }

    /// Whether a content is there, or the beginning of one that is, as far as retention has left its rows.
    fn covered(&self, visible: &BTreeSet<String>, sha256: &str) -> bool {
        let content = &self.contents[sha256];
        let retired = |line: &str| rows_of(&format!("{HEADER}{line}")).keys().all(|number| number % DAYS < self.floor);
        let begins = |other: &str| {
            let mut longer = other.lines().skip(1);
            content.lines().skip(1).all(|line| longer.next().is_some_and(|same| same == line || retired(line)))
        };
        visible.contains(sha256) || visible.iter().any(|other| begins(&self.contents[other]))
    }

    fn expected(&self, visible: &BTreeSet<String>) -> BTreeMap<u32, i64> {
        let mut most: BTreeMap<u32, i64> = BTreeMap::new();
        for (number, n) in visible.iter().flat_map(|sha256| rows_of(&self.contents[sha256])) {
            let known = most.entry(number).or_default();
            *known = n.max(*known);
        }
        most.retain(|number, _| number % DAYS >= self.floor);
        most
    }

    fn found(&self) -> BTreeMap<u32, i64> {
        let sql = "select recipient, count(*) from events group by recipient";
        let table = self.desk.engine.block_on(self.desk.engine.sql(sql)).unwrap();
        let row = |cells: &Vec<Value>| match (&cells[0], &cells[1]) {
            (Value::Text(who), Value::Int(n)) => (who[1..who.find('@').unwrap()].parse().unwrap(), *n),
            other => panic!("{other:?}"),
        };
        table.rows.iter().map(row).collect()
    }

    fn process(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pmtop"));
        command.env("PMTOP_CATALOG", &self.desk.config.catalog).env("XDG_CONFIG_HOME", self.desk.folder.path());
        command.env_remove("PMTOP_INBOX").env_remove("PMTOP_CONFIG").arg("ingest").arg(self.desk.path("inbox"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn ingest(&mut self) {
        let ingest = Ingest::new(Arc::clone(self.desk.catalog()), &self.desk.config).unwrap();
        let mut files = intake::files_of(&self.desk.path("inbox"));
        self.rng.shuffle(&mut files);
        let most = self.rng.usize(1..8);
        for batch in files.chunks(most) {
            ingest.files(batch, true, &AtomicBool::new(false), &mut |_| {});
        }
        let visible = self.visible();
        for (path, content) in &self.folder {
            let there = self.covered(&visible, &sha256(content));
            assert!(
                there,
                "{} was not taken in after {:?}: {:?}",
                path.display(),
                self.done,
                self.desk.catalog().files()
            );
        }
    }

    fn remove(&mut self) -> Option<String> {
        let files = self.desk.catalog().files().unwrap();
        let done: Vec<_> = files.iter().filter(|file| file.status == Status::Done).collect();
        let file = done.get(self.rng.usize(0..done.len().max(1)))?;
        let heir = files.iter().any(|other| other.status == Status::Duplicate && other.sha256 == file.sha256);
        remove_file(self.desk.catalog(), file.id, 0).unwrap();
        assert_eq!(self.visible().contains(file.sha256.as_ref()?), heir, "after removing {}", file.name);
        file.sha256.clone()
    }

    fn retain(&mut self) {
        let days = self.rng.u32(2..=DAYS);
        let retention = Retention { events_days: days, ..Retention::default() };
        let there = self.expected(&self.visible());
        if let Some(newest) = there.keys().map(|number| number % DAYS).max() {
            let floor = (newest + 1).saturating_sub(days);
            if there.keys().any(|number| number % DAYS < floor) {
                self.floor = floor;
            }
        }
        keep(self.desk.catalog(), &retention, 0).unwrap();
    }

    /// One thing happens; the content that leaves by it, if one does.
    fn step(&mut self) -> Option<String> {
        let some = self.any_file();
        let (name, gone) = match (self.rng.u32(0..100), some) {
            (0..25, _) | (_, None) => {
                let (path, rows) = (self.fresh_path(), self.rows());
                self.write(path, format!("{HEADER}{rows}"));
                ("drop", None)
            }
            (25..33, Some(path)) => {
                let (target, content) = (self.fresh_path(), self.folder.remove(&path).unwrap());
                std::fs::rename(path, &target).unwrap();
                self.folder.insert(target, content);
                ("rename", None)
            }
            (33..40, Some(path)) => {
                let rows = self.rows();
                self.write(path, format!("{HEADER}{rows}"));
                ("replace", None)
            }
            (40..50, Some(path)) => {
                let grown = self.folder[&path].clone() + &self.rows();
                self.write(path, grown);
                ("grow", None)
            }
            (50..55, Some(path)) => {
                let content = self.folder[&path].clone();
                let lines: Vec<&str> = content.split_inclusive('\n').collect();
                self.write(path, lines[..lines.len().min(2).max(lines.len() - 1)].concat());
                ("truncate", None)
            }
            (55..59, Some(path)) => {
                std::fs::remove_file(&path).unwrap();
                self.folder.remove(&path);
                ("delete", None)
            }
            (59..79, _) => {
                self.ingest();
                ("ingest", None)
            }
            (79..87, _) => ("remove", self.remove()),
            (87..92, _) => {
                keep(self.desk.catalog(), &Retention { events_days: 0, ..Retention::default() }, 0).unwrap();
                ("keep", None)
            }
            (92..94, _) => {
                self.retain();
                ("retain", None)
            }
            (94..97, _) => {
                let mut process = self.process();
                std::thread::sleep(Duration::from_millis(self.rng.u64(0..150)));
                process.kill().unwrap();
                process.wait().unwrap();
                ("kill", None)
            }
            _ => {
                let mut process = self.process();
                self.ingest();
                process.wait().unwrap();
                ("second process", None)
            }
        };
        self.done.push(name.to_owned());
        gone
    }

    fn check(&self, before: &BTreeSet<String>, gone: Option<&String>) {
        let visible = self.visible();
        for sha256 in before.iter().filter(|sha256| Some(*sha256) != gone) {
            assert!(self.covered(&visible, sha256), "{sha256} is lost after {:?}", self.done);
        }
        assert_eq!(self.found(), self.expected(&visible), "rows after {:?}", self.done);
    }
}

#[test]
fn random_sequences_leave_what_the_model_says() {
    let sequences = std::env::var("PMTOP_SEQUENCES").ok().and_then(|text| text.parse().ok());
    let (sequences, operations) = sequences.map_or((4, OPERATIONS / 2), |sequences| (sequences, OPERATIONS));
    let first = std::env::var("PMTOP_SEQUENCES_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for seed in first..first + sequences {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..operations {
            let before = world.visible();
            let gone = world.step();
            world.check(&before, gone.as_ref());
        }
        world.ingest();
        // A start removes what a kill left.
        drop(pmtop::catalog::Catalog::open(&world.desk.config.catalog).unwrap());
        world.desk.catalog().control(|control| control.publish()).unwrap();
        let wrong: Vec<_> = fsck(&world.desk.config.catalog, false).unwrap();
        assert_eq!(wrong, [], "seed {seed}: {:?}", world.done);
    }
}
