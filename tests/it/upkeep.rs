//! Files leave again, grow, and get old; small segments become larger ones. What is counted must be what a
//! catalog of the remaining files alone would count.

use pmtop::catalog::commit::remove_file;
use pmtop::catalog::keep::{Kept, keep};
use pmtop::config::Retention;
use pmtop::event::file_status::Status;
use pmtop::query::question::Report;
use serde_json::Value as Json;

use crate::support::Desk;

const ACCT: &str = "type,timeLogged,timeQueued,orig,rcpt,dsnStatus,dsnDiag,jobId,dlvSourceIp\n";

/// `d` and `b` rows of an acct file.
fn acct(rows: std::ops::Range<u32>) -> String {
    let mut text = ACCT.to_owned();
    for row in rows {
        let (kind, status, reply) = if row % 3 == 0 {
            ("b", "5.1.1 (bad mailbox)", "smtp;550 5.1.1 no such user")
        } else {
            ("d", "2.0.0 (success)", "smtp;250 ok")
        };
        text += &format!(
            "{kind},2026-11-23 10:{:02}:{:02}+0000,2026-11-23 10:00:00+0000,s@x.example,u{row}@y.example,{status},{reply},job-1,192.0.2.1\n",
            row / 60,
            row % 60
        );
    }
    text
}

/// The bounces among them, as a bounce file without all columns would tell them.
fn bounces(rows: std::ops::Range<u32>) -> String {
    let mut text = "type,timeLogged,orig,rcpt,dsnStatus,dsnDiag\n".to_owned();
    for row in rows.filter(|row| row % 3 == 0) {
        text += &format!(
            "b,2026-11-23 10:{:02}:{:02}+0000,s@x.example,u{row}@y.example,5.1.1 (bad mailbox),smtp;550 5.1.1 no such user\n",
            row / 60,
            row % 60
        );
    }
    text
}

/// Queue errors, of which some name no queue and so have no key, and complaints without recipient.
fn keyless(rows: u32) -> String {
    let mut text = "type,timeLogged,dsnStatus,dsnDiag,vmta,queue\n".to_owned();
    for row in 0..rows {
        let queue = if row % 2 == 0 { "" } else { "y.example/v1" };
        text += &format!("tq,2026-11-23 10:00:{:02}+0000,4.4.2,connection refused {row},v1,{queue}\n", row % 60);
    }
    text
}

/// What differs between two sets of numbers, for short messages.
#[track_caller]
pub fn assert_same(found: &[Json], expected: &[Json], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        match (found, expected) {
            (Json::Object(found), Json::Object(expected)) => {
                for (key, value) in found {
                    assert_eq!(Some(value), expected.get(key), "{what}: {key}");
                }
            }
            _ => assert_eq!(found, expected, "{what}"),
        }
    }
}

/// Everything that is printed of the numbers.
pub fn numbers(desk: &Desk) -> Vec<Json> {
    let by = |by| Report::Operations { by: Some(by), bucket: None };
    use pmtop::query::field::Field;
    let mut all = vec![desk.totals(&[]), desk.totals(&["type=bounce"]), desk.totals(&["type=acct"])];
    for report in [by(Field::Job), by(Field::Domain), by(Field::SourceIp), Report::Latency { by: Field::Domain }] {
        all.extend(desk.rows(report, &[]));
    }
    all.push(desk.count("select count(*) from events").into());
    all.push(desk.count("select count(*) from copies").into());
    all
}

fn fresh(files: &[(&str, String)]) -> Vec<Json> {
    let desk = Desk::new();
    for (name, text) in files {
        desk.ingest(name, text);
    }
    numbers(&desk)
}

fn id_of(desk: &Desk, name: &str) -> i64 {
    desk.catalog().files().unwrap().into_iter().find(|file| file.name == name).unwrap().id
}

fn remove(desk: &Desk, name: &str) {
    remove_file(desk.catalog(), id_of(desk, name), 0).unwrap();
}

#[test]
fn removing_a_file_takes_its_rows_and_brings_back_what_it_shadowed() {
    let files = [("acct-1.csv", acct(0..120)), ("acct-2.csv", acct(90..200)), ("bounce.csv", bounces(0..200))];
    for gone in 0..files.len() {
        let desk = Desk::new();
        for (name, text) in &files {
            desk.ingest(name, text);
        }
        remove(&desk, files[gone].0);
        let rest: Vec<_> =
            files.iter().enumerate().filter(|(index, _)| *index != gone).map(|(_, file)| file.clone()).collect();
        assert_same(&numbers(&desk), &fresh(&rest), &format!("without {}", files[gone].0));
        assert!(desk.catalog().files().unwrap().iter().all(|file| file.name != files[gone].0));
        // It can come again.
        assert_eq!(desk.ingest(files[gone].0, &files[gone].1).status, Status::Done);
        assert_same(&numbers(&desk), &fresh(&files), &format!("with {} again", files[gone].0));
    }
}

#[test]
fn a_removed_file_stays_out_of_the_inbox_and_its_duplicate_takes_its_place() {
    let desk = Desk::new();
    desk.ingest("acct-1.csv", acct(0..30));
    assert_eq!(desk.ingest("acct-copy.csv", acct(0..30)).status, Status::Duplicate);
    let before = numbers(&desk);
    remove(&desk, "acct-1.csv");
    assert_same(&numbers(&desk), &before, "the duplicate holds the rows now");
    let left = desk.catalog().files().unwrap();
    assert_eq!(
        (left.len(), left[0].name.as_str(), left[0].status, left[0].rows),
        (1, "acct-copy.csv", Status::Done, 30)
    );
    remove(&desk, "acct-copy.csv");
    assert_eq!(desk.count("select count(*) from events"), 0);
    let ingest = pmtop::ingest::Ingest::new(std::sync::Arc::clone(desk.catalog()), &desk.config).unwrap();
    assert!(ingest.is_known(&desk.path("acct-1.csv")) && ingest.is_known(&desk.path("acct-copy.csv")));
}

#[test]
fn a_file_that_grew_is_itself_whichever_state_came_first() {
    let cut = |text: &str, bytes: usize| text.get(..bytes).unwrap().to_owned();
    for (name, whole) in [("acct.csv", acct(0..100)), ("tran.csv", keyless(100)), ("bounce.csv", bounces(0..100))] {
        let expected = fresh(&[(name, whole.clone())]);
        let line = whole.match_indices('\n').nth(20).unwrap().0 + 1;
        // Whole lines, in mid-line, and just before the newline.
        for length in [line, line + 25, line + 60, line - 1] {
            let part = cut(&whole, length);
            for order in [[("part.csv", &part), (name, &whole)], [(name, &whole), ("part.csv", &part)]] {
                let desk = Desk::new();
                for (name, text) in order {
                    desk.ingest(name, text);
                }
                assert_same(&numbers(&desk), &expected, &format!("{name} cut at {length}, {} first", order[0].0));
            }
        }
    }
}

#[test]
fn a_file_of_which_another_is_the_beginning_but_for_one_row_is_kept() {
    let desk = Desk::new();
    desk.ingest("a.csv", keyless(100));
    let mut other = keyless(60);
    other += "tq,2026-11-23 10:00:59+0000,4.4.2,something else,v1,";
    assert_eq!(desk.ingest("b.csv", other).status, Status::Done);
    assert_eq!(desk.count("select count(*) from events where dsn_diag = 'something else'"), 1);
}

#[test]
fn small_segments_and_rollups_are_joined_and_nothing_changes() {
    let desk = Desk::new();
    for part in 0..12 {
        desk.ingest(&format!("acct-{part}.csv"), acct(part * 10..part * 10 + 15));
        desk.ingest(&format!("bounce-{part}.csv"), bounces(part * 10..part * 10 + 10));
    }
    let before = numbers(&desk);
    let of_file = desk.totals(&["file=acct-3.csv"]);
    let of_two = desk.totals(&["file=acct-3.csv", "file=acct-4.csv"]);
    let snapshot = desk.catalog().snapshot().unwrap();
    let files = (snapshot.segments.len(), snapshot.rollups.len());
    let now = Retention { grace_hours: 0, events_days: 0, ..Retention::default() };
    let kept = keep(desk.catalog(), &now, i64::MAX).unwrap();
    assert!(kept.joined > 20, "{kept:?}");
    assert_same(&numbers(&desk), &before, "joined");
    assert_eq!(desk.totals(&["file=acct-3.csv"]), of_file);
    assert_eq!(desk.totals(&["file=acct-3.csv", "file=acct-4.csv"]), of_two);
    let joined = desk.catalog().snapshot().unwrap();
    assert!(joined.segments.len() < files.0 && joined.rollups.len() * 2 < files.1, "{files:?}");
    // A reader of the older generation still finds its files; they go once it is gone.
    let old: Vec<_> = snapshot.segments.iter().map(|segment| snapshot.root.join(&segment.path)).collect();
    assert!(old.iter().all(|path| path.exists()));
    drop(snapshot);
    assert!(keep(desk.catalog(), &now, i64::MAX).unwrap().deleted > 20);
    assert!(old.iter().any(|path| !path.exists()));
    assert_same(&numbers(&desk), &before, "joined");
    // Joined segments take part in later merges and removals.
    for part in [0, 5, 11] {
        remove(&desk, &format!("acct-{part}.csv"));
    }
    let rest: Vec<(String, String)> = (0..12)
        .flat_map(|part| {
            let acct = (format!("acct-{part}.csv"), acct(part * 10..part * 10 + 15));
            [acct, (format!("bounce-{part}.csv"), bounces(part * 10..part * 10 + 10))]
        })
        .filter(|(name, _)| !["acct-0.csv", "acct-5.csv", "acct-11.csv"].contains(&name.as_str()))
        .collect();
    let rest: Vec<(&str, String)> = rest.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    assert_same(&numbers(&desk), &fresh(&rest), "after removals");
}

#[test]
fn old_days_leave_and_their_rollups_stay() {
    let desk = Desk::new();
    let day = |day: u32| acct(0..30).replace("2026-11-23", &format!("2026-11-{day:02}"));
    for number in [1, 10, 20, 23] {
        desk.ingest(&format!("acct-{number}.csv"), day(number));
    }
    let totals = desk.totals(&[]);
    let keep_days = Retention { events_days: 5, grace_hours: 0, ..Retention::default() };
    let kept = keep(desk.catalog(), &keep_days, i64::MAX).unwrap();
    assert_eq!(kept, Kept { retired: 2, deleted: 2, ..kept });
    assert_eq!(desk.count("select count(*) from events"), 60);
    assert_eq!(desk.totals(&[])["delivered"], totals["delivered"], "rollups are kept for longer");
    // Rows of those days do not come back.
    let late = desk.ingest("acct-late.csv", day(10).replace("job-1", "job-2"));
    assert_eq!((late.status, late.rows), (Status::Done, 0));
    assert!(late.error.contains("30 rows are older than what `retention` keeps"), "{}", late.error);
    assert_eq!(desk.totals(&[])["delivered"], totals["delivered"]);
    // The oldest days beyond the disk budget leave, too; the newest stays.
    let tiny = Retention { max_gb: 1e-9, ..keep_days };
    keep(desk.catalog(), &tiny, i64::MAX).unwrap();
    assert_eq!(desk.count("select count(distinct date) from events"), 1);
}
