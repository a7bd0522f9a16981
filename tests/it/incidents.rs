//! Rules: each finds its trouble with the right scope and times, is silent when there is none, and says the same in
//! whatever order the files came; what people did about an incident stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pmtop::catalog::fsck::fsck;
use pmtop::insight::incident::{Happening, Incident, State, Step};
use pmtop::insight::watch::Watch;
use pmtop::query::time::{iso, parse_time};
use pmtop::reply::Catalogue;

use crate::support::Desk;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const IPS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
/// Domain, its host, and what it answers to what it takes.
const PROVIDERS: [(&str, &str); 3] = [
    ("gmail.com", "gmail-smtp-in.l.google.com (142.250.1.26)"),
    ("yahoo.com", "mta7.am0.yahoodns.net (67.195.204.72)"),
    ("gmx.de", "mx00.emig.gmx.net (212.227.15.9)"),
];

fn begin() -> i64 {
    parse_time("2026-09-07").unwrap()
}

/// One row, by column.
#[derive(Clone)]
struct Row {
    kind: &'static str,
    at: i64,
    seconds: i64,
    sender: String,
    recipient: String,
    job: String,
    ip: &'static str,
    host: &'static str,
    reply: String,
    category: &'static str,
}

impl Row {
    fn text(&self, out: &mut String) {
        let pool = if self.ip == IPS[0] { "main" } else { "other" };
        let status = if self.kind == "d" { "2.0.0" } else { "" };
        writeln!(
            out,
            "{},{},{},{},{},{},{},v-{},{pool},{},{},{status},\"{}\",{},smtp",
            self.kind,
            iso(self.at),
            iso(self.at - self.seconds * 1_000_000),
            self.sender,
            self.recipient,
            self.job,
            self.ip,
            self.ip,
            self.host,
            self.recipient.split('@').next_back().unwrap(),
            self.reply,
            self.category,
        )
        .unwrap();
    }
}

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,jobId,dlvSourceIp,vmta,vmtaPool,dsnMta,queue,dsnStatus,dsnDiag,bounceCat,dlvType\n";

/// Ordinary mail: so many days, a message every minute and a half, to three providers, from two addresses, by two
/// users with a job a day each; one in fifty deferred once, one in a hundred bounced.
fn ordinary(days: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut n = 0;
    let mut at = begin();
    while at < begin() + days * DAY {
        n += 1;
        let (domain, host) = PROVIDERS[n % 3];
        let user = ["anna", "bert"][n % 2];
        let mut row = Row {
            kind: "d",
            at,
            seconds: rng.i64(1..6),
            sender: format!("news@{user}.example"),
            recipient: format!("r{n}@{domain}"),
            job: format!("{user}-{}", (at - begin()) / DAY),
            ip: IPS[(n / 2) % 2],
            host,
            reply: "smtp;250 2.0.0 OK".to_owned(),
            category: "",
        };
        if rng.u8(0..100) == 0 {
            row.kind = "b";
            row.reply = "smtp;550 5.1.1 no such user".to_owned();
            row.category = "bad-mailbox";
        } else if rng.u8(0..50) == 0 {
            let first =
                Row { kind: "t", reply: "smtp;451 4.3.0 Temporary failure, try later".to_owned(), ..row.clone() };
            rows.push(first);
        }
        rows.push(row);
        at += 90_000_000;
    }
    rows
}

/// Rows of some days as files by day: name and content.
fn files(rows: &[Row]) -> BTreeMap<String, String> {
    let mut days: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let day = iso(row.at)[..10].to_owned();
        let role = match row.kind {
            "t" | "tq" => "tran",
            _ => "acct",
        };
        let text = days.entry(format!("{role}-{day}.csv")).or_insert_with(|| HEADER.to_owned());
        row.text(text);
    }
    days
}

fn watch(desk: &Desk) -> Watch {
    Watch::new(&desk.config, Catalogue::builtin()).unwrap()
}

fn look(desk: &Desk, watch: &mut Watch) -> (Vec<Incident>, Vec<Happening>) {
    let found = watch.look(&desk.engine, &|_| Vec::new()).unwrap();
    (found.incidents, found.happenings)
}

fn incidents_of(rows: &[Row]) -> Vec<Incident> {
    let desk = Desk::new();
    for (name, text) in files(rows) {
        desk.ingest(&name, text);
    }
    look(&desk, &mut watch(&desk)).0
}

/// Times, scope and what is said, without names that depend on when somebody looked.
fn told(incidents: &[Incident]) -> Vec<String> {
    let mut told: Vec<String> = incidents
        .iter()
        .map(|incident| {
            serde_json::to_string(&Incident { id: String::new(), reopened: 0, ..incident.clone() }).unwrap()
        })
        .collect();
    told.sort();
    told
}

fn only(incidents: Vec<Incident>, rule: &str) -> Incident {
    let lines: Vec<String> =
        incidents.iter().map(|incident| format!("{} {}", incident.rule, incident.headline)).collect();
    assert_eq!(incidents.len(), 1, "{lines:#?}");
    assert_eq!(incidents[0].rule, rule, "{lines:#?}");
    incidents.into_iter().next().unwrap()
}

fn scope(incident: &Incident) -> Vec<(&str, &str)> {
    incident.scope.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn close(found: i64, truth: i64) -> bool {
    (found - truth).abs() <= 15 * MINUTE
}

/// Changes the rows of a stretch of time that are of somebody.
fn changed(
    rows: &mut Vec<Row>,
    from: i64,
    until: i64,
    is_of: impl Fn(&Row) -> bool,
    change: impl Fn(&Row) -> Vec<Row>,
) {
    *rows = rows
        .drain(..)
        .flat_map(|row| if (from..until).contains(&row.at) && is_of(&row) { change(&row) } else { vec![row] })
        .collect();
}

/// The rows of an attempt that is refused for now, four times, and taken at last.
fn slowed(row: &Row) -> Vec<Row> {
    let refused = |minutes: i64| Row {
        kind: "t",
        at: row.at + minutes * MINUTE,
        reply: "smtp;421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP"
            .to_owned(),
        ..row.clone()
    };
    let mut rows: Vec<Row> = [0, 2, 5, 9].map(refused).to_vec();
    rows.push(Row { at: row.at + 12 * MINUTE, seconds: row.seconds + 720, ..row.clone() });
    rows
}

/// Ten ordinary days with a throttling of one address at one provider on the ninth.
fn throttled() -> (Vec<Row>, i64, i64) {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 10 * HOUR + 7 * MINUTE, begin() + 8 * DAY + 12 * HOUR);
    changed(
        &mut rows,
        from,
        until,
        |row| row.ip == IPS[0] && row.recipient.ends_with("gmail.com") && row.kind == "d",
        slowed,
    );
    (rows, from, until + 9 * MINUTE)
}

#[test]
fn an_ordinary_time_has_no_incident() {
    let lines: Vec<String> = incidents_of(&ordinary(23)).iter().map(|incident| incident.headline.clone()).collect();
    assert_eq!(lines, [""; 0]);
}

#[test]
fn one_slowed_address_is_found_as_one_address_at_one_provider() {
    let (rows, from, until) = throttled();
    let found = only(incidents_of(&rows), "provider-throttling");
    assert_eq!(scope(&found), [("provider", "Google"), ("source_ip", IPS[0])]);
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
    assert_eq!(
        (found.causes[0].reply_class.as_str(), found.causes[0].status.as_str()),
        ("throttle-reputation", "4.7.28")
    );
    assert!(!found.causes[0].advice.is_empty());
    assert_eq!(found.state, State::Resolved);
    assert!(found.baseline.unwrap() < 0.05 && found.value > 0.5, "{found:?}");
}

#[test]
fn the_same_is_found_in_whatever_order_the_files_come() {
    let (rows, _, _) = throttled();
    let mut files: Vec<(String, String)> = files(&rows).into_iter().collect();
    let at_once = incidents_of(&rows);
    fastrand::Rng::with_seed(3).shuffle(&mut files);
    let desk = Desk::new();
    let mut watch = watch(&desk);
    let mut opened = Vec::new();
    for (index, (name, text)) in files.iter().enumerate() {
        desk.ingest(name, text);
        if index % 3 == 0 {
            let happenings = look(&desk, &mut watch).1;
            opened.extend(happenings.into_iter().filter(|happening| happening.step == Step::Opened));
        }
    }
    let one_by_one = look(&desk, &mut watch).0;
    assert_eq!(told(&one_by_one), told(&at_once));
    assert!(!at_once.is_empty());
    // Nobody is told twice of the same thing.
    let mut ids: Vec<&str> = opened.iter().map(|happening| happening.event_id.as_str()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn an_incident_opens_and_ends_with_the_log_and_keeps_what_people_did() {
    let (rows, from, _) = throttled();
    let until = from + 75 * MINUTE;
    let (early, late): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.at < until);
    let desk = Desk::new();
    let mut watch = watch(&desk);
    for (name, text) in files(&early) {
        desk.ingest(&format!("early-{name}"), text);
    }
    let (incidents, happenings) = look(&desk, &mut watch);
    let open = only(incidents, "provider-throttling");
    assert_eq!((open.state, open.closed_at), (State::Open, None));
    assert_eq!(happenings.iter().map(|happening| happening.step).collect::<Vec<_>>(), [Step::Opened]);
    let store = desk.catalog().incidents().unwrap();
    store.acknowledge(&open.id, Some(1)).unwrap();
    store.note(&open.id, 2, "asked Google").unwrap();
    assert_eq!(look(&desk, &mut watch).0[0].state, State::Acknowledged);
    for (name, text) in files(&late) {
        desk.ingest(&format!("late-{name}"), text);
    }
    let (incidents, happenings) = look(&desk, &mut watch);
    let ended = only(incidents, "provider-throttling");
    assert_eq!((ended.id.as_str(), ended.state), (open.id.as_str(), State::Resolved));
    assert_eq!(ended.notes[0].text, "asked Google");
    assert_eq!(happenings.last().unwrap().step, Step::Resolved);
    assert_eq!(happenings.last().unwrap().event_id, format!("{}.resolved", open.id));
    // A process that has seen nothing yet says the same, and nothing new.
    let (again, happenings) = look(&desk, &mut crate::incidents::watch(&desk));
    assert_eq!((again[0].id.as_str(), happenings.len()), (open.id.as_str(), 0));
}

#[test]
fn what_another_process_has_just_found_is_not_counted_again() {
    let desk = Desk::new();
    for (name, text) in files(&throttled().0) {
        desk.ingest(&name, text);
    }
    let (first, _) = look(&desk, &mut watch(&desk));
    assert_eq!(first.len(), 1);
    // Nothing can be counted any more.
    let engine = pmtop::cli::engine(&desk.config).unwrap();
    let root = engine.catalog().layout().root().to_owned();
    for folder in ["events", "packs"] {
        std::fs::rename(root.join(folder), root.join(format!("{folder}.away"))).unwrap();
    }
    let again = watch(&desk).look(&engine, &|_| Vec::new()).unwrap();
    assert_eq!((again.incidents, again.happenings.len()), (first, 0));
}

#[test]
fn a_listed_address_is_found_at_all_providers() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 13 * HOUR);
    changed(
        &mut rows,
        from,
        until,
        |row| row.ip == IPS[1] && row.kind == "d",
        |row| {
            let reply =
                "smtp;554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using zen.spamhaus.org".to_owned();
            vec![Row { kind: "b", reply, category: "spam-related", ..row.clone() }]
        },
    );
    let found = only(incidents_of(&rows), "ip-block");
    assert_eq!(scope(&found), [("source_ip", IPS[1])]);
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
    assert_eq!(found.causes[0].blocklist.as_deref(), Some("Spamhaus ZEN"));
}

#[test]
fn an_address_on_a_list_that_mostly_one_provider_asks_is_found_as_the_address() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 13 * HOUR);
    let number = |row: &Row| row.recipient[1..].split('@').next().unwrap().parse::<u32>().unwrap();
    // All that Google gets, and some that Yahoo gets: fewer than would be an incident by themselves.
    let is_listed = |row: &Row| {
        let seldom = row.recipient.ends_with("yahoo.com") && number(row).is_multiple_of(5);
        row.ip == IPS[1] && row.kind == "d" && (row.recipient.ends_with("gmail.com") || seldom)
    };
    changed(&mut rows, from, until, is_listed, |row| {
        let reply =
            "smtp;554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using zen.spamhaus.org".to_owned();
        vec![Row { kind: "b", reply, category: "spam-related", ..row.clone() }]
    });
    let elsewhere = rows.iter().filter(|row| row.category == "spam-related" && row.recipient.ends_with("yahoo.com"));
    assert!((3..8).contains(&elsewhere.count()));
    let found = only(incidents_of(&rows), "ip-block");
    assert_eq!(scope(&found), [("source_ip", IPS[1])]);
}

#[test]
fn every_receiver_has_its_own_words_for_the_addresses_of_a_dirty_list() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 15 * HOUR);
    let last = until - 50 * MINUTE;
    rows.retain(|row| row.kind != "b" || row.at < last);
    // Google's addresses first, and in the end those of others, few of each.
    let is_bad =
        |row: &Row| row.job == "anna-8" && row.kind == "d" && row.recipient.ends_with("gmail.com") == (row.at < last);
    changed(&mut rows, from, until, is_bad, |row| {
        let reply = match row.recipient.split('@').next_back().unwrap() {
            "gmail.com" => "smtp;550-5.1.1 The email account that you tried to reach does not exist.",
            "gmx.de" => "smtp;550 Requested action not taken: mailbox unavailable",
            _ => "smtp;554 delivery error: dd This user doesn't have a yahoo.com account",
        };
        vec![Row { kind: "b", reply: reply.to_owned(), category: "bad-mailbox", ..row.clone() }]
    });
    let found = only(incidents_of(&rows), "bounce-spike");
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
}

#[test]
fn a_dirty_list_is_found_as_its_job() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 15 * HOUR);
    let number = |row: &Row| row.recipient[1..].split('@').next().unwrap().parse::<u32>().unwrap();
    let is_bad = |row: &Row| row.job == "anna-8" && row.kind == "d" && number(row) % 5 < 2;
    changed(&mut rows, from, until, is_bad, |row| {
        vec![Row { kind: "b", reply: "smtp;550 5.1.1 no such user".to_owned(), category: "bad-mailbox", ..row.clone() }]
    });
    let found = only(incidents_of(&rows), "bounce-spike");
    assert!(
        matches!(scope(&found)[..], [("job", "anna-8")] | [("user", "anna")] | [("sender_domain", "anna.example")]),
        "{found:?}"
    );
    assert_eq!(found.causes[0].reply_class, "unknown-user");
}

#[test]
fn a_domain_that_fails_authentication_is_found() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 12 * HOUR);
    let is_of =
        |row: &Row| row.sender.ends_with("bert.example") && row.recipient.ends_with("gmail.com") && row.kind == "d";
    changed(&mut rows, from, until, is_of, |row| {
        let reply =
            "smtp;550-5.7.26 Unauthenticated email from bert.example is not accepted due to domain's DMARC policy"
                .to_owned();
        vec![Row { kind: "b", reply, category: "policy-related", ..row.clone() }]
    });
    let found = only(incidents_of(&rows), "auth-failure");
    assert!(
        scope(&found).contains(&("sender_domain", "bert.example")) || scope(&found).contains(&("user", "bert")),
        "{found:?}"
    );
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
}

#[test]
fn a_destination_that_does_not_answer_is_found() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 11 * HOUR);
    changed(
        &mut rows,
        from,
        until,
        |row| row.recipient.ends_with("gmx.de"),
        |row| {
            let failed = |minutes: i64| Row {
                kind: "t",
                at: row.at + minutes * MINUTE,
                reply: "smtp;421 4.4.2 Connection timed out".to_owned(),
                ..row.clone()
            };
            vec![failed(0), failed(5), Row { at: row.at + 2 * HOUR, seconds: 7200, ..row.clone() }]
        },
    );
    let found = only(incidents_of(&rows), "queue-error");
    assert!(matches!(scope(&found)[..], [("provider", "GMX")] | [("domain", "gmx.de")]), "{found:?}");
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
}

/// An attempt that reached nobody, at one of so many domains.
fn unreached(row: &Row, n: usize, domains: &[&str]) -> Row {
    let recipient = format!("r@{}", domains[n % domains.len()]);
    Row { kind: "tq", recipient, host: "", reply: String::new(), ..row.clone() }
}

#[test]
fn an_address_is_not_blamed_for_domains_that_nobody_reaches() {
    let mut rows = ordinary(10);
    // At night an address has nothing to do but to try two dead domains again.
    for day in 0..10 {
        let from = begin() + day * DAY;
        let ours = |row: &Row| row.ip == IPS[0];
        let n = std::cell::Cell::new(0_usize);
        changed(&mut rows, from, from + 5 * HOUR, ours, |row| {
            n.set(n.get() + 1);
            // Fewer tries in the first nights: what is usual would hide them else.
            let every = if day < 8 { 25 } else { 3 };
            if !n.get().is_multiple_of(every) {
                return Vec::new();
            }
            vec![unreached(row, n.get(), &["gone.example", "away.example"])]
        });
    }
    let lines: Vec<String> = incidents_of(&rows).iter().map(|incident| incident.headline.clone()).collect();
    assert_eq!(lines, [""; 0]);
}

#[test]
fn an_address_that_reaches_nobody_is_found() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 11 * HOUR);
    let n = std::cell::Cell::new(0_usize);
    changed(
        &mut rows,
        from,
        until,
        |row| row.ip == IPS[0],
        |row| {
            n.set(n.get() + 1);
            vec![unreached(row, n.get(), &["gmail.com", "googlemail.com", "yahoo.com", "gmx.de", "web.de"])]
        },
    );
    let found = only(incidents_of(&rows), "queue-error");
    assert!(matches!(scope(&found)[..], [("source_ip", ip)] if ip == IPS[0]), "{found:?}");
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
}

#[test]
fn slow_delivery_without_deferrals_is_found() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 13 * HOUR);
    changed(
        &mut rows,
        from,
        until,
        |row| row.recipient.ends_with("yahoo.com") && row.kind == "d",
        |row| vec![Row { seconds: 300, ..row.clone() }],
    );
    let found = only(incidents_of(&rows), "latency-anomaly");
    assert_eq!(scope(&found), [("provider", "Yahoo")]);
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
    assert!(found.value > 250_000.0 && found.baseline.unwrap() < 10_000.0, "{found:?}");
}

#[test]
fn slow_delivery_is_found_where_some_mail_is_always_put_off() {
    let mut rows = ordinary(10);
    let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 13 * HOUR);
    // One in twelve takes half an hour at all times: more than one in twenty, so the usual p95 is half an hour.
    let number = |row: &Row| row.recipient[1..].split('@').next().unwrap().parse::<u32>().unwrap();
    let is_late = |row: &Row| row.recipient.ends_with("yahoo.com") && row.kind == "d" && number(row) / 3 % 12 == 0;
    changed(&mut rows, begin(), begin() + 10 * DAY, is_late, |row| vec![Row { seconds: 1800, ..row.clone() }]);
    assert_eq!(told(&incidents_of(&rows)), [""; 0]);
    let is_slow = |row: &Row| row.recipient.ends_with("yahoo.com") && row.kind == "d" && row.seconds < 1800;
    changed(&mut rows, from, until, is_slow, |row| vec![Row { seconds: 90, ..row.clone() }]);
    let found = only(incidents_of(&rows), "latency-anomaly");
    assert_eq!(scope(&found), [("provider", "Yahoo")]);
    assert!(close(found.opened_at, from) && close(found.closed_at.unwrap(), until), "{found:?}");
}

#[test]
fn mail_that_was_put_off_is_no_slow_mail() {
    let late = |with_deferrals: bool| {
        let mut rows = ordinary(10);
        let from = begin() + 8 * DAY + 9 * HOUR;
        // Three in four, once each: too few for an incident of deferrals.
        let number = |row: &Row| row.recipient[1..].split('@').next().unwrap().parse::<u32>().unwrap();
        let is_put_off = |row: &Row| row.recipient.ends_with("yahoo.com") && row.kind == "d" && number(row) / 3 % 4 > 0;
        changed(&mut rows, from, from + 100 * MINUTE, is_put_off, |row| {
            let reply = "smtp;451 4.3.0 Temporary failure, try later".to_owned();
            let first = Row { kind: "t", reply, ..row.clone() };
            let then = Row { at: row.at + 10 * MINUTE, seconds: row.seconds + 600, ..row.clone() };
            if with_deferrals { vec![first, then] } else { vec![then] }
        });
        told(&incidents_of(&rows))
    };
    assert_eq!(late(true), [""; 0]);
    assert_eq!(late(false).len(), 1);
}

#[test]
fn mail_that_is_missing_is_found_after_three_weeks_and_not_before() {
    let (from, until) = (9 * HOUR, 13 * HOUR);
    let without = |day: i64| -> Vec<Row> {
        let at = begin() + day * DAY;
        ordinary(day + 1).into_iter().filter(|row| !(at + from..at + until).contains(&row.at)).collect()
    };
    let found = only(incidents_of(&without(23)), "volume-drop");
    assert_eq!(scope(&found), []);
    let at = begin() + 23 * DAY;
    assert!(close(found.opened_at, at + from) && close(found.closed_at.unwrap(), at + until), "{found:?}");
    assert_eq!(incidents_of(&without(12)).len(), 0);
}

#[test]
fn a_reply_that_was_never_seen_is_told_when_it_comes_often() {
    let reply = "smtp;550 5.0.0 xyzzy frobnication protocol mismatch";
    let with = |every: usize| {
        let mut rows = ordinary(10);
        let (from, until) = (begin() + 8 * DAY + 9 * HOUR, begin() + 8 * DAY + 11 * HOUR);
        let n = std::cell::Cell::new(0_usize);
        changed(
            &mut rows,
            from,
            until,
            |row| row.recipient.ends_with("gmail.com") && row.kind == "d",
            |row| {
                n.set(n.get() + 1);
                let many = n.get().is_multiple_of(every);
                let new = |minutes: i64| Row {
                    kind: "t",
                    at: row.at + minutes * MINUTE,
                    reply: reply.to_owned(),
                    ..row.clone()
                };
                if many { vec![new(0), new(1), row.clone()] } else { vec![row.clone()] }
            },
        );
        incidents_of(&rows)
    };
    let found: Vec<Incident> = with(1);
    assert!(
        found.iter().any(|incident| incident.causes.iter().any(|cause| cause.reply.contains("xyzzy"))),
        "{found:?}"
    );
    assert_eq!(with(20).len(), 0);
}

#[test]
fn a_known_code_is_told_by_its_first_few_rows_where_it_was_not_seen_for_weeks() {
    let coded = |rows: &mut Vec<Row>, at: i64, n: i64| {
        let like = rows.iter().find(|row| row.recipient.ends_with("yahoo.com")).unwrap().clone();
        rows.extend((0..n).map(|i| Row {
            kind: "t",
            at: at + i * 7 * MINUTE,
            recipient: format!("c{i}@yahoo.com"),
            reply: "smtp;421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1"
                .to_owned(),
            ..like.clone()
        }));
    };
    let mut rows = ordinary(12);
    let at = begin() + 9 * DAY + 10 * HOUR;
    coded(&mut rows, at, 4);
    assert_eq!(told(&incidents_of(&rows)), [""; 0]);
    let mut rows = ordinary(12);
    coded(&mut rows, at, 6);
    // Seen two days before, it is nothing new.
    coded(&mut rows, at + 2 * DAY, 6);
    let found = only(incidents_of(&rows), "known-code");
    assert_eq!(scope(&found), [("provider", "Yahoo")]);
    assert_eq!((found.hits, found.opened_at), (6, at));
    assert_eq!(found.causes[0].reply_class, "throttle-reputation");
    assert_eq!(found.headline, "Yahoo begins to say what it did not say for four weeks: 6 times within an hour");
}

#[test]
fn far_more_mail_than_ever_is_found_after_three_weeks() {
    let surged = |days: i64| {
        let mut rows = ordinary(days);
        let at = begin() + (days - 1) * DAY + 3 * HOUR;
        let like = rows.iter().find(|row| row.kind == "d" && row.sender.ends_with("bert.example")).unwrap().clone();
        rows.extend((0..900).map(|i| Row {
            at: at + i * 4_000_000,
            recipient: format!("s{i}@gmx.de"),
            job: "taken-over".to_owned(),
            ..like.clone()
        }));
        (incidents_of(&rows), at)
    };
    let (found, at) = surged(24);
    let found = only(found, "volume-spike");
    assert!(close(found.opened_at, at) && close(found.closed_at.unwrap(), at + HOUR), "{found:?}");
    assert!(found.value > 10.0 && found.headline.contains("times as much as in the busiest"), "{}", found.headline);
    // Mail that comes in as fast as in other weeks is none, nor is anything while learning.
    assert_eq!(told(&surged(12).0), [""; 0]);
}

#[test]
fn thresholds_of_the_settings_count_and_a_replay_says_what_others_would_find() {
    let (rows, _, _) = throttled();
    let desk = Desk::with(|config| {
        config.rules = toml::from_str("[provider-throttling]\nmin_hits = 100000").unwrap();
    });
    for (name, text) in files(&rows) {
        desk.ingest(&name, text);
    }
    let mut watch = watch(&desk);
    let rules: Vec<String> = look(&desk, &mut watch).0.into_iter().map(|incident| incident.rule).collect();
    assert!(!rules.contains(&"provider-throttling".to_owned()), "{rules:?}");
    let known = watch.rules().iter().find(|rule| rule.id == "provider-throttling").unwrap().thresholds();
    let usual = pmtop::insight::rule::Thresholds { min_hits: 20, ..known };
    let replay = watch.replay(&desk.engine, "provider-throttling", usual).unwrap();
    assert_eq!((replay.now.len(), replay.then.len(), replay.days), (0, 1, 10));
    let never = pmtop::insight::rule::Thresholds { warn: 0.99, high: 0.995, critical: 0.999, ..usual };
    assert_eq!(watch.replay(&desk.engine, "provider-throttling", never).unwrap().then.len(), 0);
}

#[test]
fn incidents_are_a_table_of_sql_and_a_part_of_what_fsck_proves() {
    let (rows, _, _) = throttled();
    let desk = Desk::new();
    for (name, text) in files(&rows) {
        desk.ingest(&name, text);
    }
    look(&desk, &mut watch(&desk));
    let sql = "select count(*) from incidents where rule = 'provider-throttling' and state = 'resolved' and scope like '%Google%'";
    assert_eq!(desk.count(sql), 1);
    let (root, place) = (desk.config.catalog.clone(), desk.config.catalog.join("incidents.db"));
    let Desk { folder: _folder, engine, .. } = desk;
    drop(engine);
    assert_eq!(fsck(&root, false).unwrap(), []);
    let mut bytes = std::fs::read(&place).unwrap();
    bytes[..64].fill(7);
    std::fs::write(&place, bytes).unwrap();
    let findings = fsck(&root, true).unwrap();
    assert_eq!(findings.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["incidents.db"]);
    assert!(findings[0].repaired && fsck(&root, false).unwrap().is_empty());
}
