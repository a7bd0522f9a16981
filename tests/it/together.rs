//! Small files that become visible together are what they would be one after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pmtop::catalog::control::FileRow;
use pmtop::catalog::fsck::fsck;
use pmtop::event::file_status::Status;
use pmtop::ingest::{Ingest, Reports};

use crate::support::Desk;
use crate::upkeep::{assert_same, numbers};

fn take_in(desk: &Desk, paths: &[PathBuf]) -> Vec<Reports> {
    let ingest = Ingest::new(Arc::clone(desk.catalog()), &desk.config).unwrap();
    ingest.files(paths, true, &AtomicBool::new(false), &mut |_| {})
}

/// What the file table says, without numbers and times that no two catalogs share.
fn listed(desk: &Desk) -> Vec<FileRow> {
    let mut files = desk.catalog().files().unwrap();
    for file in &mut files {
        (file.id, file.received_at) = (0, 0);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.sha256.cmp(&b.sha256)));
    files
}

/// A few files that share rows, copy each other, grow, or cannot be used.
fn files(rng: &mut fastrand::Rng) -> Vec<(String, String)> {
    const HEADS: [(&str, &str); 3] = [
        ("acct", "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,jobId\n"),
        ("bounce", "type,timeLogged,orig,rcpt,dsnStatus,dsnDiag\n"),
        ("tran", "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,jobId\n"),
    ];
    let mut made: Vec<(String, String)> = Vec::new();
    for number in 0..rng.usize(3..12) {
        let (role, head) = HEADS[rng.usize(0..3)];
        let mut text = head.to_owned();
        for _ in 0..rng.usize(1..8) {
            let row = rng.u32(0..12);
            let (day, reply) = (22 + row % 2, "5.1.1,smtp;550 no");
            let job = rng.u32(0..2);
            text += &match role {
                "bounce" => format!("b,2026-11-{day} 10:00:{row:02}+0000,s@x.example,u{row}@y.example,{reply}\n"),
                _ => {
                    let kind = if role == "tran" { "t" } else { ["d", "b"][rng.usize(0..2)] };
                    let when = format!("2026-11-{day} 10:00:{row:02}+0000,2026-11-{day} 09:59:00+0000");
                    format!("{kind},{when},s@x.example,u{row}@y.example,{reply},j-{job}\n")
                }
            };
        }
        match (rng.u32(0..8), made.last()) {
            (0, Some((_, other))) => text = other.clone(),
            (1, Some((_, other))) => text = format!("{other}{}", text.lines().last().unwrap()) + "\n",
            (2, Some((_, other))) => text = other[..=other.trim_end().rfind('\n').unwrap()].to_owned(),
            (3, _) => text = "id,price\n1,2\n".to_owned(),
            (4, _) => text += "broken\n",
            _ => {}
        }
        made.push((format!("{role}-{number:02}.csv"), text));
    }
    made
}

#[test]
fn files_taken_in_together_are_what_they_are_one_after_the_other() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let files = files(&mut rng);
        let logs = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| logs.path().join(name)).collect();
        for ((_, text), path) in files.iter().zip(&paths) {
            std::fs::write(path, text).unwrap();
        }
        let (alone, together) = (Desk::new(), Desk::new());
        let one_by_one: Vec<Status> =
            paths.iter().flat_map(|path| alone.ingest_all(path)).map(|row| row.status).collect();
        // Some are there before, so that a batch also meets what is visible.
        let early = rng.usize(0..paths.len());
        let mut reports = take_in(&together, &paths[..early]);
        reports.extend(take_in(&together, &paths[early..]));
        let statuses: Vec<Status> = reports.iter().flatten().map(|row| row.status).collect();
        assert_eq!(statuses, one_by_one, "seed {seed}: {files:?}");
        assert_eq!(listed(&together), listed(&alone), "seed {seed}: {files:?}");
        assert_same(&numbers(&together), &numbers(&alone), &format!("seed {seed}"));
        together.catalog().control(|control| control.publish()).unwrap();
        assert_eq!(fsck(&together.config.catalog, false).unwrap(), [], "seed {seed}");
    }
}

#[test]
fn a_burst_is_few_commits_and_few_segments() {
    let desk = Desk::new();
    let paths: Vec<PathBuf> = (0..40)
        .map(|number| {
            let path = desk.path(&format!("acct-{number:02}.csv"));
            let row = format!("d,2026-11-23 10:00:00+0000,u{number}@y.example\n");
            std::fs::write(&path, format!("type,timeLogged,rcpt\n{row}")).unwrap();
            path
        })
        .collect();
    take_in(&desk, &paths);
    let snapshot = desk.catalog().snapshot().unwrap();
    assert_eq!(desk.count("select count(*) from events"), 40);
    assert_eq!(desk.count("select count(distinct file_id) from events"), 40);
    assert!(snapshot.generation < 20 && snapshot.segments.len() < 20, "{}", snapshot.generation);
    // Each of them leaves for itself.
    let file = desk.catalog().files().unwrap().into_iter().find(|file| file.name == "acct-07.csv").unwrap();
    pmtop::catalog::commit::remove_file(desk.catalog(), file.id, 0).unwrap();
    assert_eq!(desk.count("select count(*) from events"), 39);
    assert_eq!(desk.count("select count(*) from events where recipient = 'u7@y.example'"), 0);
}
