//! Every hidden incident is in the rows as its truth says: counted in the CSV files alone, in and out of its time and
//! its scope.

use std::path::Path;

use chrono::DateTime;
use pmtop::demo::{self, HiddenTruth, Incident, Options};

/// Seeds with small, large, weekday and weekend installations.
const SEEDS: [u64; 4] = [2_001, 2_002, 2_003, 2_004];

/// What the tests need of a row.
#[derive(Debug)]
struct Row {
    kind: String,
    at: i64,
    queued: i64,
    sender: String,
    rcpt: String,
    diag: String,
    status: String,
    mta: String,
    ip: String,
    vmta: String,
    pool: String,
    job: String,
    queue: String,
}

struct Scene {
    truth: HiddenTruth,
    rows: Vec<Row>,
}

impl Scene {
    fn new(incident: Incident, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start = chrono::NaiveDate::from_ymd_opt(2025, 3, 3).unwrap() + chrono::Days::new(seed * 3 % 7);
        let options = Options { incident, start, seed, days: 2, tail_days: 1, ..Options::default() }.varied();
        let truth = demo::generate(dir.path(), &options, None, &mut |_| ()).unwrap();
        assert_eq!(truth.incidents.len(), 1, "{incident:?} {seed}");
        let mut rows = Vec::new();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let path = file.unwrap().path();
            // The bounce files repeat the b rows of the acct files.
            if !path.file_name().unwrap().to_string_lossy().starts_with("bounce") {
                rows.extend(read(&path));
            }
        }
        Self { truth: truth.incidents.into_iter().next().unwrap(), rows }
    }

    fn scope(&self, name: &str) -> &str {
        self.truth.scope.get(name).map_or("", String::as_str)
    }

    fn window(&self) -> (i64, i64) {
        (seconds(&self.truth.from), seconds(&self.truth.to))
    }

    /// In the time of the incident: rows like this, and those of them that are hit.
    fn within(&self, like: impl Fn(&Row) -> bool, hit: impl Fn(&Row) -> bool) -> (usize, usize) {
        let (from, to) = self.window();
        count(self.rows.iter().filter(|row| (from..=to).contains(&row.at) && like(row)), hit)
    }

    /// The same before it.
    fn before(&self, like: impl Fn(&Row) -> bool, hit: impl Fn(&Row) -> bool) -> (usize, usize) {
        let (from, _) = self.window();
        count(self.rows.iter().filter(|row| row.at < from && like(row)), hit)
    }

    /// Rows of a scope are hit often in the time and hardly ever before it, and nobody else is hit much.
    fn stands_out(
        &self,
        least: f64,
        like: impl Fn(&Row) -> bool,
        of: impl Fn(&Row) -> bool,
        hit: impl Fn(&Row) -> bool,
    ) {
        let (all, hits) = self.within(|row| like(row) && of(row), &hit);
        let (earlier, earlier_hits) = self.before(|row| like(row) && of(row), &hit);
        let (others, other_hits) = self.within(|row| like(row) && !of(row), &hit);
        let text = format!(
            "{:?}: {hits}/{all}, before {earlier_hits}/{earlier}, others {other_hits}/{others}",
            self.truth.scope
        );
        let share = |hits: usize, all: usize| hits as f64 / all.max(1) as f64;
        assert!(share(hits, all) >= least, "{text}");
        assert!(share(earlier_hits, earlier) < least / 4.0, "{text}");
        assert!(share(other_hits, others) < least / 4.0, "{text}");
        self.counts(hits);
    }

    /// The truth counts what the rows show, but for what is ordinary among it and stragglers out of the time.
    fn counts(&self, hits: usize) {
        let affected = self.truth.affected_rows as usize;
        assert!(affected >= 24, "{affected} rows of {:?}", self.truth.scope);
        assert!(hits.abs_diff(affected) <= 6 + affected / 8, "{hits} in the rows, {affected} in the truth");
    }
}

fn count<'r>(rows: impl Iterator<Item = &'r Row>, hit: impl Fn(&Row) -> bool) -> (usize, usize) {
    rows.fold((0, 0), |(all, hits), row| (all + 1, hits + usize::from(hit(row))))
}

fn seconds(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

fn read(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |names: &[&str]| header.iter().position(|cell| names.contains(&cell));
    let columns = [
        column(&["type"]),
        column(&["timeLogged"]),
        column(&["timeQueued"]),
        column(&["orig"]),
        column(&["rcpt"]),
        column(&["dsnDiag"]),
        column(&["dsnStatus"]),
        column(&["dsnMta"]),
        column(&["dlvSourceIp"]),
        column(&["vmta"]),
        column(&["vmtaPool"]),
        column(&["jobId", "header_X-job"]),
        column(&["queue"]),
    ];
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let cell = |at: usize| columns[at].map_or("", |column| &record[column]).to_owned();
            let time = |at: usize| {
                DateTime::parse_from_str(&cell(at), "%Y-%m-%d %H:%M:%S%z").map_or(0, |time| time.timestamp())
            };
            Row {
                kind: cell(0),
                at: time(1),
                queued: time(2),
                sender: cell(3).rsplit('@').next().unwrap().to_owned(),
                rcpt: cell(4).rsplit('@').next().unwrap().to_lowercase(),
                diag: cell(5),
                status: cell(6),
                mta: cell(7),
                ip: cell(8),
                vmta: cell(9),
                pool: cell(10),
                job: cell(11),
                queue: cell(12),
            }
        })
        .collect()
}

fn is_attempt(row: &Row) -> bool {
    matches!(row.kind.as_str(), "d" | "b" | "t") && !row.ip.is_empty()
}

fn is_outcome(row: &Row) -> bool {
    matches!(row.kind.as_str(), "d" | "b") && !row.job.is_empty()
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn google_throttles_one_address_for_two_hours() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::GoogleThrottle, seed);
        let google = |row: &Row| is_attempt(row) && row.mta.to_lowercase().contains("google");
        let throttled = |row: &Row| row.kind == "t" && row.diag.contains("4.7.28");
        scene.stands_out(0.35, google, |row| row.ip == scene.scope("source_ip"), throttled);
        let (from, to) = scene.window();
        assert!((95 * 60..=132 * 60).contains(&(to - from)), "{} s", to - from);
        // What was throttled is delivered in the end.
        let late = |row: &Row| {
            row.kind == "d" && google(row) && row.ip == scene.scope("source_ip") && row.at - row.queued > 240
        };
        assert!(scene.rows.iter().filter(|row| row.at > from && late(row)).count() > 20);
    }
}

#[test]
fn yahoo_defers_every_address_of_one_pool() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::YahooTss04, seed);
        let yahoo = |row: &Row| is_attempt(row) && row.mta.contains("yahoodns");
        let deferred = |row: &Row| row.kind == "t" && row.diag.contains("[TSS04]");
        scene.stands_out(0.35, yahoo, |row| row.pool == scene.scope("pool"), deferred);
        let hit: std::collections::BTreeSet<&str> = scene
            .rows
            .iter()
            .filter(|row| deferred(row) && row.pool == scene.scope("pool"))
            .map(|row| row.ip.as_str())
            .collect();
        assert!(hit.len() >= 2, "{hit:?}");
    }
}

#[test]
fn a_listed_address_is_refused_by_several_receivers() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::Spamhaus, seed);
        let refused = |row: &Row| {
            row.kind == "b" && ["amhaus", "BL000001", "IPBL00001", "I-1220"].iter().any(|word| row.diag.contains(word))
        };
        scene.stands_out(0.08, is_outcome, |row| row.ip == scene.scope("source_ip"), refused);
        assert!(scene.truth.touches["provider"].len() >= 2);
    }
}

#[test]
fn a_dirty_list_bounces_as_unknown_users_everywhere() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::DirtyList, seed);
        let bounced = |row: &Row| row.kind == "b" && row.status.starts_with("5.");
        let (all, hits) = scene.within(|row| is_outcome(row) && row.job == scene.scope("job"), bounced);
        let share = hits as f64 / all as f64;
        assert!((0.06..0.27).contains(&share), "{hits} of {all}");
        let (others, other_hits) = scene.within(|row| is_outcome(row) && row.job != scene.scope("job"), bounced);
        assert!(other_hits * 20 < others.max(20), "{other_hits} of {others}");
        scene.counts(hits);
        assert!(scene.truth.touches["provider"].len() >= 3);
    }
}

#[test]
fn complaints_about_one_job_come_within_hours() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::Complaints, seed);
        let (all, hits) = scene.within(|row| row.kind == "f", |row| row.job == scene.scope("job"));
        // Some reporters lose the header that names the job.
        scene.counts(hits);
        assert!(hits * 4 > all * 3, "{hits} of {all}");
        let (_, sent) = scene.within(is_outcome, |row| row.job == scene.scope("job"));
        assert!(hits * 200 > sent, "{hits} complaints about {sent}");
    }
}

#[test]
fn one_sender_fails_its_checks_at_the_large_receivers() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::Dmarc, seed);
        let failed = |row: &Row| row.kind == "b" && (row.diag.contains("DMARC") || row.diag.contains("nauthenticated"));
        scene.stands_out(0.25, is_outcome, |row| row.sender == scene.scope("sender_domain"), failed);
        assert!(["Google", "Microsoft"].iter().all(|name| scene.truth.touches["provider"].contains(*name)));
    }
}

#[test]
fn deliveries_creep_to_many_times_the_usual_without_deferrals() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::LatencyCreep, seed);
        let of = |row: &Row| {
            let google = scene.scope("provider") == "Google" && row.mta.to_lowercase().contains("google");
            let by_host =
                [("Yahoo", "yahoodns"), ("Microsoft", "outlook.com"), ("Apple", "icloud.com"), ("GMX", "gmx.net")]
                    .iter()
                    .any(|(name, host)| scene.scope("provider") == *name && row.mta.contains(host))
                    || scene.scope("provider") == "GMX" && row.mta.contains("web.de");
            is_attempt(row) && (google || by_host || row.vmta == scene.scope("vmta"))
        };
        let (from, to) = scene.window();
        let latency = |from: i64, to: i64| {
            let rows = scene.rows.iter().filter(|row| row.kind == "d" && of(row) && (from..to).contains(&row.at));
            median(rows.map(|row| row.at - row.queued).collect())
        };
        let (usual, early, late) =
            (latency(0, from), latency(from, from + (to - from) / 5), latency(to - (to - from) / 3, to));
        assert!(
            usual <= 6 && late > 10 * usual.max(1) && early < late / 2,
            "{usual} s, then {early} s, at last {late} s"
        );
        let (attempts, deferrals) = scene.within(of, |row| row.kind == "t");
        assert!(deferrals * 6 < attempts, "{deferrals} of {attempts}");
        assert!(scene.truth.affected_rows >= 60);
    }
}

#[test]
fn nothing_is_delivered_to_hosts_that_are_out() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::Outage, seed);
        let names = &scene.truth.touches["domain"];
        let queues = &scene.truth.touches["queue"];
        let of = |row: &Row| {
            names.contains(&row.rcpt) || row.rcpt.is_empty() && queues.contains(row.queue.split('/').next().unwrap())
        };
        let (from, to) = scene.window();
        let deliveries = |from: i64, to: i64| {
            scene.rows.iter().filter(|row| row.kind == "d" && of(row) && (from..to).contains(&row.at)).count()
        };
        // Until the first queue has noticed, others still deliver.
        assert!(deliveries(from + 60, to) == 0, "{:?}", scene.truth.scope);
        assert!(deliveries(0, from) > 0 && deliveries(to, i64::MAX) > 0);
        let (_, silent) =
            scene.within(of, |row| matches!(row.kind.as_str(), "tq" | "t") && row.status.starts_with("4.4.1"));
        scene.counts(silent);
    }
}

#[test]
fn no_mail_comes_in_while_an_injector_is_down() {
    for seed in SEEDS {
        let scene = Scene::new(Incident::VolumeDrop, seed);
        let user = scene.scope("user");
        // When a message came in: the r rows where they are logged, else by what happened to it.
        let of = |row: &Row| is_outcome(row) && (user.is_empty() || row.sender == format!("mail.{user}.example"));
        let (from, to) = scene.window();
        let queued =
            |from: i64, to: i64| scene.rows.iter().filter(|row| of(row) && (from..to).contains(&row.queued)).count();
        let length = to - from;
        assert_eq!(queued(from + 60, to - 60), 0, "{:?}", scene.truth.scope);
        assert!(queued(from - length, from) + queued(to, to + length) > 0);
        assert!(scene.truth.affected_rows >= 40, "{}", scene.truth.affected_rows);
        assert!(length >= 60 * 60);
    }
}

#[test]
fn quiet_time_hides_nothing_and_mail_goes_on_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { seed: 2_001, days: 5, tail_days: 1, ..Options::default() }.varied();
    let truth = demo::generate(dir.path(), &options, None, &mut |_| ()).unwrap();
    assert!(truth.incidents.is_empty() && truth.incident.is_none());
    let days: Vec<u64> = (0..6)
        .map(|day| {
            let date = (options.start + chrono::Days::new(day)).to_string();
            truth.by["hour"].iter().filter(|(hour, _)| hour.starts_with(&date)).map(|(_, m)| m.delivered).sum()
        })
        .collect();
    assert!(days.iter().all(|delivered| *delivered > options.messages_per_day / 6), "{days:?}");
    assert!(days.iter().max() > days.iter().min(), "{days:?}");
}

#[test]
fn the_demo_knows_its_two_incidents_by_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let truth = demo::generate(
        dir.path(),
        &Options::demo(chrono::NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()),
        None,
        &mut |_| (),
    )
    .unwrap();
    let old = truth.incident.unwrap();
    let names: Vec<&str> = truth.incidents.iter().map(|incident| incident.scenario.as_str()).collect();
    assert_eq!(names, ["google-throttle", "dirty-list"]);
    assert_eq!(truth.incidents[0].scope["source_ip"], old.source_ip);
    assert!(truth.incidents[0].affected_rows.abs_diff(old.deferrals) <= old.deferrals / 50 + 2);
    assert_eq!(truth.incidents[1].scope["job"], old.dirty_job);
}
