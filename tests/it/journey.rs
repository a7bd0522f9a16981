//! Messages are followed, and complaints and remote bounces find their delivery: measured against what the generator
//! knows, and by hand where rows say little or too much.

use std::collections::HashMap;
use std::sync::Arc;

use pmtop::app::effect::Effect;
use pmtop::app::input::Input;
use pmtop::catalog::control::{Link, Segment};
use pmtop::catalog::find;
use pmtop::catalog::links::{self, MESSAGE};
use pmtop::catalog::pack::message_hash;
use pmtop::catalog::peek::{self, Cells};
use pmtop::cli;
use pmtop::demo::{self, LinkTruth};
use pmtop::journey::{self, Ask, Journeys, Who};
use pmtop::query::field::Field;
use pmtop::query::question::{Answer, Question, Report};
use pmtop::query::scope::Scope;
use pmtop::query::table::{Head, Unit, Value};
use serde_json::Value as Json;

use crate::screens::{Screen, canned};
use crate::support::{Desk, scope};

/// Generated days in a catalog, with message ids or without, and the truth about their reports.
fn days(seed: u64, messages: u64, with_ids: bool) -> (Desk, Vec<LinkTruth>) {
    let desk = Desk::new();
    let options = demo::Options { days: 3, tail_days: 2, ..demo::Options::day(seed, messages) };
    let (mut files, mut truth) = (Vec::new(), Vec::new());
    demo::generate_with_links(
        &desk.path("logs"),
        &options,
        None,
        &mut |path| files.push(path.to_owned()),
        &mut |link| truth.push(link),
    )
    .unwrap();
    for file in files {
        if !with_ids {
            without_last(&file, "header_Message-Id");
        }
        desk.ingest_path(&file);
    }
    (desk, truth)
}

/// Drops the last column of a file, if it is the one of this name.
fn without_last(path: &std::path::Path, name: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    if text.lines().next().unwrap().ends_with(name) {
        let cut = text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n");
        let cut: String = cut.collect();
        std::fs::write(path, cut).unwrap();
    }
}

fn hash_of(link: &LinkTruth, with_ids: bool) -> i64 {
    let id = with_ids.then_some(link.message_id.as_str());
    let queued = Some(link.queued * 1_000_000);
    message_hash(id, &link.recipient, &link.sender, queued, &link.job).cast_signed()
}

/// A report as the catalog knows it.
struct Known {
    /// Its message; `None`: none, or several.
    message: Option<i64>,
    /// What it says itself, by the names of reports: as it was logged.
    own: HashMap<&'static str, String>,
}

/// The dimensions by which reports are counted, with their columns.
const DIMENSIONS: [(&str, &str); 7] = [
    ("domain", "recipient_domain"),
    ("provider", "provider"),
    ("job", "job_id"),
    ("user", "user_id"),
    ("vmta", "vmta"),
    ("pool", "vmta_pool"),
    ("source_ip", "source_ip"),
];

/// Every report, by file and row.
fn known(desk: &Desk) -> HashMap<(String, i64), Known> {
    links::tidy(desk.catalog(), &desk.engine.links, 2, &|| false).unwrap();
    let engine = cli::engine(&desk.config).unwrap();
    let snapshot = engine.snapshot().unwrap();
    let files = engine.catalog().control(|control| control.file_names()).unwrap();
    let names: HashMap<i64, String> = files.into_iter().map(|(id, name, _)| (id, name)).collect();
    let mut out: HashMap<(String, i64), Known> = HashMap::new();
    let mut columns = vec!["file_id", "row_number", MESSAGE];
    columns.extend(DIMENSIONS.iter().map(|(_, column)| *column));
    let reports = |segment: &&Segment| segment.role == "fbl" || segment.role == "rb";
    let mut each = |made: bool, take: &mut dyn FnMut(&mut Known, &Cells, usize)| {
        for segment in snapshot.segments.iter().filter(reports).filter(|segment| segment.link.is_made() == made) {
            peek::each(&snapshot.root.join(&segment.path), &columns, None, |cells| {
                for at in 0..cells.len {
                    let name = names[&cells.number(0, at).unwrap()].clone();
                    let known = out
                        .entry((name, cells.number(1, at).unwrap()))
                        .or_insert_with(|| Known { message: None, own: HashMap::new() });
                    take(known, cells, at);
                }
                Ok(())
            })
            .unwrap();
        }
    };
    each(true, &mut |known, cells, at| known.message = cells.number(2, at));
    each(false, &mut |known, cells, at| {
        let cells = DIMENSIONS.iter().zip(3..).map(|((name, _), column)| (*name, cells.text(column, at).to_owned()));
        known.own = cells.collect();
    });
    out
}

/// Rows of a file are counted from 0 or from 1: told by the first that is there.
fn known_of<'k>(known: &'k HashMap<(String, i64), Known>, link: &LinkTruth) -> &'k Known {
    let first = known.keys().map(|(_, row)| *row).min().unwrap();
    &known[&(link.file.clone(), i64::try_from(link.row).unwrap() - 1 + first)]
}

/// A report that counts elsewhere than where it says itself.
pub struct Move {
    pub dimension: &'static str,
    pub from: String,
    pub to: String,
    pub metrics: Vec<&'static str>,
}

/// Where reports must count whose delivery was found: by what the generator knows of their messages.
pub fn moves(desk: &Desk, truth: &[LinkTruth]) -> Vec<Move> {
    let known = known(desk);
    let complaints = desk.ask(Report::Events, &scope(&["kind=complaint"])).rows.len();
    let mut out = Vec::new();
    let mut counted = 0;
    for link in truth {
        let report = known_of(&known, link);
        let mut metrics = match link.record.as_str() {
            "f" if link.counts => vec!["complaints"],
            "rb" => vec!["remote_bounces", "rb_events"],
            "rs" => vec!["rb_events"],
            _ => Vec::new(),
        };
        counted += usize::from(metrics.first() == Some(&"complaints"));
        if report.message.is_none() {
            metrics.clear();
        }
        let domain = link.recipient.rsplit_once('@').unwrap().1.to_lowercase();
        let theirs = [&domain, &link.provider, &link.job, &link.user, &link.vmta, &link.pool, &link.source_ip];
        for ((dimension, _), to) in DIMENSIONS.iter().zip(theirs) {
            let from = report.own[dimension].clone();
            let own_first = ["domain", "provider"].contains(dimension) && !from.is_empty();
            if !own_first && !metrics.is_empty() {
                out.push(Move { dimension, from, to: to.clone(), metrics: metrics.clone() });
            }
        }
    }
    assert_eq!(counted, complaints);
    out
}

/// Precision and recall over some reports, and how many there are.
fn measured<'t>(
    known: &HashMap<(String, i64), Known>,
    truth: impl Iterator<Item = &'t LinkTruth>,
    with_ids: bool,
) -> (f64, f64, usize) {
    let (mut linked, mut right, mut all) = (0, 0, 0);
    for link in truth {
        let message = known_of(known, link).message;
        all += 1;
        linked += usize::from(message.is_some());
        right += usize::from(message == Some(hash_of(link, with_ids)));
    }
    (right as f64 / linked.max(1) as f64, right as f64 / all.max(1) as f64, all)
}

/// Whether a report carries something that is of its message alone: its id, or a sender of its own (VERP).
fn names_its_message(link: &LinkTruth) -> bool {
    link.has_id || link.sender.contains('=')
}

#[test]
fn reports_find_their_delivery_by_ids() {
    let (desk, truth) = days(31, 25_000, true);
    let known = known(&desk);
    assert_eq!(known.len(), truth.len());
    let (precision, recall, n) = measured(&known, truth.iter().filter(|link| names_its_message(link)), true);
    println!("with ids: {n} reports, precision {precision:.4}, recall {recall:.4}");
    assert!(n > 60 && precision >= 0.995 && recall >= 0.98, "{n} reports, precision {precision}, recall {recall}");
    let (precision, recall, n) = measured(&known, truth.iter(), true);
    println!("all: {n} reports, precision {precision:.4}, recall {recall:.4}");
    assert!(precision >= 0.995 && recall >= 0.93, "all {n} reports: precision {precision}, recall {recall}");
}

#[test]
fn reports_find_their_delivery_without_ids() {
    let (desk, truth) = days(32, 25_000, false);
    let known = known(&desk);
    let (precision, recall, n) = measured(&known, truth.iter(), false);
    println!("without ids: {n} reports, precision {precision:.4}, recall {recall:.4}");
    assert!(n > 60 && precision >= 0.995 && recall >= 0.9, "{n} reports, precision {precision}, recall {recall}");
}

const ACCT: &str = "type,timeLogged,timeQueued,orig,rcpt,dlvSourceIp,vmta,vmtaPool,jobId,dsnDiag,header_Message-Id\n";
const FBL: &str = "type,timeLogged,feedbackType,orig,rcpt,header_X-Job,header_Message-Id\n";
const RB: &str = "type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,envId\n";

fn sent(minute: u32, to: &str, job: &str, id: &str) -> String {
    format!(
        "d,2026-11-20 10:{minute:02}:31+0000,2026-11-20 10:{minute:02}:00+0000,b@{job}.example,{to},192.0.2.7,v7,p7,\
         {job},smtp;250 ok,{id}\n"
    )
}

fn followed(desk: &Desk, who: &str) -> Journeys {
    journey::follow(&desk.engine, &Ask { who: Who::Text(who.to_owned()), scope: Scope::default(), limit: None })
        .unwrap()
}

/// What happened to a message, with the key of each step.
fn told(journeys: &Journeys) -> Vec<Vec<String>> {
    let json = journey::objects(journeys);
    json.as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let step =
                |step: &Json| format!("{} {}", step["kind"].as_str().unwrap(), step["key"].as_str().unwrap_or("-"));
            message["events"].as_array().unwrap().iter().map(step).collect()
        })
        .collect()
}

/// A catalog in which one message is complained about with its id, one by job and recipient, one by sender alone.
fn small() -> Desk {
    let desk = Desk::new();
    let mut acct = ACCT.to_owned();
    acct += "r,2026-11-20 10:01:00+0000,,b@j1.example,Ann@Example.com,,v7,p7,j1,,<1@x>\n";
    acct += &sent(1, "Ann@Example.com", "j1", "<1@x>");
    acct += &sent(2, "ben@example.com", "j2", "<2@x>");
    acct += &sent(3, "cid@example.com", "j3", "<3@x>");
    acct += &sent(4, "ben@example.com", "j4", "<4@x>");
    desk.ingest("acct-1.csv", acct);
    let tran = "type,timeLogged,timeQueued,orig,rcpt,dlvSourceIp,vmta,jobId,dsnStatus,dsnDiag\n\
                t,2026-11-20 10:01:10+0000,2026-11-20 10:01:00+0000,b@j1.example,ann@example.com,192.0.2.8,v8,j1,4.7.28,\
                smtp;421-4.7.28 unusual rate\n";
    desk.ingest("tran-1.csv", tran);
    let mut fbl = FBL.to_owned();
    fbl += "f,2026-11-20 12:00:00+0000,abuse,,,,<1@x>\n";
    fbl += "f,2026-11-20 12:01:00+0000,,,ben@example.com,j2,\n";
    fbl += "f,2026-11-20 12:02:00+0000,abuse,B@J3.example,...@example.com,,\n";
    fbl += "f,2026-11-20 12:03:00+0000,abuse,,ben@example.com,,\n";
    fbl += "f,2026-11-20 12:04:00+0000,not-spam,,,,<4@x>\n";
    desk.ingest("fbl-1.csv", fbl);
    let rb = RB.to_owned()
        + "rb,2026-11-20 13:00:00+0000,b@j3.example,cid@example.com,5.1.1 (bad),smtp;550 5.1.1 no such user,\n";
    desk.ingest("rb-1.csv", rb);
    desk
}

#[test]
fn a_message_is_followed_from_receipt_to_complaint() {
    let desk = small();
    for who in ["<1@x>", "1@x", "ann@example.COM"] {
        let found = followed(&desk, who);
        let want = ["received message_id", "deferred job_id", "delivered message_id", "complaint message_id"];
        assert_eq!(told(&found), [want], "{who}");
        let json = journey::objects(&found);
        assert_eq!(json[0]["recipient"], "Ann@Example.com");
        assert_eq!(
            (&json[0]["events"][1]["attempt"], &json[0]["events"][2]["attempt"]),
            (&Json::from(1), &Json::from(2))
        );
        assert_eq!(json[0]["events"][2]["latency_ms"], 31_000);
    }
    let found = followed(&desk, "cid@example.com");
    assert_eq!(told(&found), [["delivered message_id", "complaint window", "remote_bounce window"]]);
    assert!(followed(&desk, "nobody@example.com").messages.is_empty());
}

#[test]
fn an_ambiguous_report_says_so_and_names_its_candidates() {
    let desk = small();
    let found = followed(&desk, "ben@example.com");
    let json = journey::objects(&found);
    // Newest first; the report without a job names the recipient alone, which is no key.
    let jobs: Vec<&Json> = json.as_array().unwrap().iter().map(|message| &message["job"]).collect();
    assert_eq!(jobs[..3], [&Json::Null, &Json::from("j4"), &Json::from("j2")], "{json}");
    let desk = Desk::new();
    let twice = ACCT.to_owned() + &sent(1, "ann@example.com", "j", "<1@x>") + &sent(2, "ann@example.com", "j", "<2@x>");
    desk.ingest("acct-1.csv", twice);
    desk.ingest("fbl-1.csv", FBL.to_owned() + "f,2026-11-20 12:00:00+0000,abuse,,ann@example.com,j,\n");
    let json = journey::objects(&followed(&desk, "<2@x>"));
    assert_eq!(json[0]["ambiguous"], true);
    assert_eq!(json[0]["events"][1]["candidates"].as_array().unwrap().len(), 2, "{json}");
    let totals = desk.totals(&[]);
    assert_eq!((&totals["complaints"], &totals["complaints_unattributed"]), (&Json::from(1), &Json::from(1)));
}

#[test]
fn complaints_and_remote_bounces_count_where_their_delivery_does() {
    let desk = small();
    let totals = desk.totals(&[]);
    assert_eq!((&totals["complaints"], &totals["complaints_unattributed"]), (&Json::from(4), &Json::from(1)));
    let by = |field: Field, filters: &[&str]| -> Vec<(Json, i64, i64)> {
        let rows = desk.rows(Report::Operations { by: Some(field), bucket: None }, filters);
        let mut rows: Vec<(Json, i64, i64)> = rows
            .iter()
            .map(|row| {
                let n = |name: &str| row[name].as_i64().unwrap();
                (row[&field.report_name()].clone(), n("complaints"), n("remote_bounces"))
            })
            .collect();
        rows.retain(|(_, complaints, bounces)| complaints + bounces > 0);
        rows.sort_by_key(|(value, ..)| value.to_string());
        rows
    };
    let job = |name: &str, complaints, bounces| (Json::from(name), complaints, bounces);
    assert_eq!(by(Field::Job, &[]), [job("j1", 1, 0), job("j2", 1, 0), job("j3", 1, 1), (Json::Null, 1, 0)]);
    assert_eq!(by(Field::Vmta, &["vmta=v7"]), [job("v7", 3, 1)]);
    assert_eq!(by(Field::SourceIp, &[]), [job("192.0.2.7", 3, 1), (Json::Null, 1, 0)]);
    // From raw rows, too: no rollup knows recipients.
    assert_eq!(by(Field::Job, &["recipient!=nobody@x.de", "user=j3"]), [job("j3", 1, 1)]);
    let rows = |filters: &[&str]| desk.ask(Report::Events, &scope(filters)).rows.len();
    assert_eq!(rows(&["kind=complaint", "job=j1"]), 1);
    assert_eq!(rows(&["kind=complaint", "source-ip=192.0.2.7"]), 3);
    assert_eq!(rows(&["recipient=ann@example.com"]), 4);
    // A catalog of complaints alone knows no delivery.
    assert_eq!(desk.totals(&["type=fbl"])["complaints_unattributed"], 4);
    assert_eq!(rows(&["type=fbl", "job=j1"]), 0);
    assert_eq!(rows(&["type=fbl", "type=acct", "kind=complaint", "job=j1"]), 1);
    // What other programs read stays as it was logged.
    assert_eq!(desk.count("select count(*) from events where kind = 'complaint' and vmta is not null"), 0);
}

#[test]
fn a_delivery_that_comes_late_is_found_and_one_that_leaves_is_forgotten() {
    let desk = Desk::new();
    let fbl = FBL.to_owned() + "f,2026-11-20 12:00:00+0000,abuse,,,,<1@x>\n";
    desk.ingest("fbl-1.csv", fbl);
    assert_eq!(desk.totals(&[])["complaints_unattributed"], 1);
    let path = desk.path("acct-1.csv");
    let row = desk.ingest("acct-1.csv", ACCT.to_owned() + &sent(1, "ann@example.com", "j1", "<1@x>"));
    assert_eq!(desk.totals(&["job=j1"])["complaints"], 1, "{}", path.display());
    pmtop::catalog::commit::remove_file(desk.catalog(), row.id, 0).unwrap();
    assert_eq!(desk.totals(&[])["complaints_unattributed"], 1);
    assert_eq!(desk.totals(&["job=j1"])["complaints"], 0);
}

#[test]
fn what_is_kept_beside_the_events_may_be_lost() {
    let (desk, _) = days(33, 10_000, true);
    let answers = |desk: &Desk| {
        let engine = cli::engine(&desk.config).unwrap();
        let of = |who: &str| {
            let ask = Ask { who: Who::Text(who.to_owned()), scope: Scope::default(), limit: None };
            Journeys { took_ms: 0, ..journey::follow(&engine, &ask).unwrap() }
        };
        let snapshot = engine.snapshot().unwrap();
        let who = desk.ask(Report::Events, &scope(&["kind=complaint"]));
        let recipients: Vec<String> =
            (0..who.rows.len()).filter_map(|row| who.cell(row, "recipient").as_text().map(str::to_owned)).collect();
        assert!(recipients.len() > 5 && snapshot.segments.iter().any(|segment| segment.link == Link::Attributed));
        (recipients.iter().take(8).map(|who| of(who)).collect::<Vec<_>>(), desk.totals(&["user=a*"]))
    };
    let fresh = answers(&desk);
    find::tidy(desk.catalog(), 2, &|| false).unwrap();
    assert_eq!(answers(&desk), fresh, "with finders");
    let root = desk.config.catalog.clone();
    for folder in ["find", "links", "packs"] {
        std::fs::remove_dir_all(root.join(folder)).unwrap();
        assert_eq!(answers(&desk), fresh, "without {folder}");
    }
}

/// A canned answer whose events say which rows they are.
fn numbered(question: &Question) -> Answer {
    let mut answer = canned::answer(question);
    if question.report == Report::Events {
        let heads = ["file_id", "row_number"].map(|name| Head { name: Arc::from(name), unit: Unit::Count });
        answer.table.heads.extend(heads);
        for (row, at) in answer.table.rows.iter_mut().zip(0..) {
            row.extend([Value::Int(7), Value::Int(at)]);
        }
    }
    answer
}

#[test]
fn an_event_leads_to_its_journey_and_back() {
    for (wide, high) in [(80, 24), (160, 50)] {
        let mut screen = Screen::answered(wide, high);
        screen.keys("5");
        screen.answer_with(|question| Ok(numbered(question)));
        screen.keys("j j enter");
        let cursor = screen.state.board().panels[0].cursor;
        screen.effects.clear();
        screen.keys("enter");
        let asked = screen.effects.iter().find_map(|effect| match effect {
            Effect::Journey { serial, row } => Some((*serial, *row)),
            _ => None,
        });
        let (serial, row) = asked.unwrap();
        assert_eq!(Some(row), screen.state.explorer.row_id(cursor));
        let found = followed(&small(), "<1@x>");
        screen.input(Input::Journeys(serial + 1, Ok(Arc::default())));
        screen.input(Input::Journeys(serial, Ok(Arc::new(found))));
        let text = screen.draw();
        for part in
            ["<1@x> → Ann@Example.com", "● received", "○ attempt 1", "● delivered", "! complaint", "421-4.7.28", "┆"]
        {
            assert!(text.contains(part), "{wide}x{high}: no `{part}` in\n{text}");
        }
        screen.keys("pgdn pgup esc");
        assert!(!screen.draw().contains("attempt 1"));
        assert!(screen.state.detail.is_some() && screen.state.board().panels[0].cursor == cursor);
        // From the row itself, too.
        screen.keys("esc o");
        assert!(screen.draw().contains("following the message"));
    }
}
