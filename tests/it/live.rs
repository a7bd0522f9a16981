//! A live accounting file: followed as it grows, across rotation and restarts, each row once.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pmtop::event::file_status::Status;
use pmtop::ingest::Ingest;
use pmtop::ingest::live::Live;

use crate::support::Desk;

const HEADER: &str = "type,timeLogged,orig,rcpt,dsnStatus,jobId\n";

fn row(kind: &str, second: usize) -> String {
    let status = if kind == "d" { "2.0.0" } else { "5.1.1" };
    format!("{kind},2026-11-23 10:{:02}:{:02}+0000,s@x.example,...@y.example,{status},j-1\n", second / 60, second % 60)
}

fn write(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn follower(desk: &Desk, path: &Path) -> (Arc<Ingest>, Live) {
    let ingest = Arc::new(Ingest::new(Arc::clone(desk.catalog()), &desk.config).unwrap());
    (Arc::clone(&ingest), Live::new(ingest, path))
}

fn look(live: &mut Live) -> Vec<Status> {
    live.look(&AtomicBool::new(false), &mut |_| {}).into_iter().map(|row| row.status).collect()
}

fn events(desk: &Desk) -> i64 {
    desk.count("select count(*) from events")
}

#[test]
fn lines_count_as_they_are_written_and_a_partial_one_waits() {
    let desk = Desk::new();
    let path = desk.path("acct.csv");
    let (ingest, mut live) = follower(&desk, &path);
    assert_eq!(look(&mut live), [], "nothing is there yet");
    write(&path, HEADER);
    look(&mut live);
    write(&path, &row("d", 1));
    write(&path, "d,2026-11-23 10:00:02+0000,s@x.ex");
    assert_eq!(look(&mut live), [Status::Done]);
    assert_eq!(events(&desk), 1);
    assert_eq!(look(&mut live), []);
    write(&path, "ample,...@y.example,2.0.0,j-1\n");
    // Equal rows of one file are events of their own, in whichever slice they come.
    write(&path, &row("d", 1));
    look(&mut live);
    assert_eq!(events(&desk), 3);
    write(&path, "broken\n");
    write(&path, &row("d", 3));
    look(&mut live);
    assert_eq!(events(&desk), 4);
    assert!(ingest.is_known(&path), "the inbox leaves it alone");
    let file = desk.catalog().files().unwrap().remove(0);
    assert_eq!((file.status, file.rows, file.rejected_rows), (Status::Done, 4, 1));
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("broken").unwrap();
    let rejects: String = std::fs::read_dir(desk.catalog().layout().rejects())
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(rejects.contains(&format!("acct.csv,5,{at},")), "{rejects}");
}

#[test]
fn a_rotated_file_counts_once_also_when_it_comes_in_by_the_inbox_again() {
    for dated in [false, true] {
        let desk = Desk::new();
        let path = desk.path("acct.csv");
        let name = |counter: u32| {
            if dated { desk.path(&format!("acct-2026-11-23-{counter:04}.csv")) } else { path.clone() }
        };
        let (_, mut live) = follower(&desk, &path);
        write(&name(0), HEADER);
        for second in 0..20 {
            write(&name(0), &row(if second == 15 { "b" } else { "d" }, second));
            if second % 3 == 0 {
                look(&mut live);
            }
        }
        assert!(events(&desk) >= 19);
        // Rotation, with rows that nobody has looked at yet, and other columns in the new file.
        let rotated = if dated { name(0) } else { desk.path("acct.csv.1") };
        if !dated {
            std::fs::rename(&path, &rotated).unwrap();
        }
        write(&rotated, &row("d", 30));
        write(&name(1), "type,timeLogged,rcpt,vmta\nd,2026-11-23 11:00:00+0000,a@y.example,v1\n");
        look(&mut live);
        assert_eq!(events(&desk), 22);
        assert_eq!(desk.totals(&[])["delivered"], 21);
        // The rotated file again, under another name and as it is.
        let copy = desk.path("copy.csv");
        std::fs::copy(&rotated, &copy).unwrap();
        assert_eq!(desk.ingest_path(&copy).status, Status::Duplicate);
        assert_eq!(desk.ingest_path(&rotated).status, Status::Duplicate);
        write(&name(1), "d,2026-11-23 11:00:01+0000,b@y.example,v1\n");
        look(&mut live);
        assert_eq!(events(&desk), 23);
        assert_eq!(desk.count("select count(*) from copies"), 0);
    }
}

#[test]
fn a_restart_goes_on_where_it_was_left_and_finds_what_was_rotated_meanwhile() {
    let desk = Desk::new();
    let path = desk.path("acct.csv");
    write(&path, HEADER);
    write(&path, &(0..10).map(|second| row("d", second)).collect::<String>());
    let (_, mut live) = follower(&desk, &path);
    look(&mut live);
    drop(live);
    write(&path, &(10..15).map(|second| row("d", second)).collect::<String>());
    let (_, mut live) = follower(&desk, &path);
    look(&mut live);
    assert_eq!(events(&desk), 15);
    assert_eq!(desk.count("select count(distinct row_number) from events"), 15);
    drop(live);
    write(&path, &(15..18).map(|second| row("d", second)).collect::<String>());
    std::fs::rename(&path, desk.path("acct.csv.1")).unwrap();
    write(&path, &format!("{HEADER}{}", row("d", 100)));
    let (_, mut live) = follower(&desk, &path);
    look(&mut live);
    assert_eq!(events(&desk), 19);
    let files = desk.catalog().files().unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn a_file_that_was_followed_is_the_same_as_one_that_came_whole() {
    let texts = [
        (0..40).map(|second| row(if second % 4 == 0 { "b" } else { "d" }, second)).collect::<String>(),
        // First bounces alone, then deliveries: the role of all rows changes.
        (0..10).map(|second| row("b", second)).chain((10..30).map(|second| row("d", second))).collect(),
    ];
    for text in texts {
        let whole = Desk::new();
        whole.ingest("log.csv", HEADER.to_owned() + &text);
        let desk = Desk::new();
        let path = desk.path("log.csv");
        let (_, mut live) = follower(&desk, &path);
        write(&path, HEADER);
        for line in text.split_inclusive('\n') {
            write(&path, line);
            look(&mut live);
        }
        let counts = "select count(*) from events where event_type = 'acct'";
        assert_eq!(desk.count(counts), whole.count(counts));
        assert_eq!(desk.totals(&[]), whole.totals(&[]));
        let file = |desk: &Desk| desk.catalog().files().unwrap().remove(0);
        assert_eq!(file(&desk).sha256, file(&whole).sha256);
        assert_eq!(file(&desk).role, file(&whole).role);
    }
}

#[test]
fn a_file_taken_in_by_hand_while_it_is_followed_counts_once() {
    let desk = Desk::new();
    let path = desk.path("acct.csv");
    write(&path, &format!("{HEADER}{}{}", row("d", 1), row("d", 1)));
    let (_, mut live) = follower(&desk, &path);
    look(&mut live);
    write(&path, &row("d", 1));
    assert_eq!(desk.ingest_path(&path).status, Status::Done);
    assert_eq!(events(&desk), 3);
    write(&path, &row("d", 1));
    look(&mut live);
    assert_eq!(events(&desk), 4);
}
