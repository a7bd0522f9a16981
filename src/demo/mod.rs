//! The seeded log generator behind `pmtop demo`, tests and benchmarks: writes believable PowerMTA accounting files into
//! a folder, in bounded memory, and knows the truth about them. It stands before the inbox.

// Counts and draws stay far below what the narrower types and an f64 hold; `check` bounds the options.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod files;
mod hidden;
mod links;
mod plot;
mod replies;
mod rows;
mod traffic;
mod truth;
mod variety;
mod world;

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveTime};

pub use hidden::{CauseTruth, HiddenTruth, ScopeTruth};
pub use links::LinkTruth;
pub use truth::{Bounced, FileTruth, IncidentTruth, Latencies, Latency, Metrics, Scope, Totals, Truth};

use files::{ACCT, BOUNCE, FBL, Files, RB, TRAN};
use traffic::{Event, Kind};

/// What is hidden in the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incident {
    /// An ordinary time.
    #[default]
    None,
    /// On the last day Gmail throttles one source address for two hours, and one user's list is dirty.
    Demo,
    /// Gmail throttles one source address for two hours; this and what follows happens on the last of the days.
    GoogleThrottle,
    /// Yahoo defers the addresses of one pool.
    YahooTss04,
    /// One source address is on a Spamhaus list.
    Spamhaus,
    /// One job goes to a list full of unknown users.
    DirtyList,
    /// One job draws complaints.
    Complaints,
    /// One sender's domain fails its authentication.
    Dmarc,
    /// Deliveries to one provider, or from one VMTA, get slower and slower.
    LatencyCreep,
    /// One provider or domain does not answer.
    Outage,
    /// One user's mail, or all mail, stops coming in for some hours.
    VolumeDrop,
}

/// Which families of files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// d, b and, if wanted, r.
    pub acct: bool,
    /// t and tq.
    pub tran: bool,
    /// b once more.
    pub bounce: bool,
    /// f.
    pub fbl: bool,
    /// rb and rs.
    pub rb: bool,
}

impl Default for Families {
    fn default() -> Self {
        Self { acct: true, tran: true, bounce: true, fbl: true, rb: true }
    }
}

/// What to generate; the same options give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Everything random comes from here.
    pub seed: u64,
    /// The first day (UTC).
    pub start: NaiveDate,
    /// Days on which mail is submitted; at most 10,000.
    pub days: u32,
    /// Days after them on which late retries, complaints and remote bounces are still logged; with 0 the logs end at
    /// the last midnight.
    pub tail_days: u32,
    /// Messages submitted each day, exactly.
    pub messages_per_day: u64,
    /// How many of the twelve users send.
    pub users: usize,
    /// Which files are written; a row that goes into none is not in the truth.
    pub families: Families,
    /// What is hidden.
    pub incident: Incident,
    /// Whether the seed decides on an installation of its own: who sends on which weekdays, how much trouble is usual,
    /// and the small bumps of every week. Then the messages a day are an average.
    pub vary: bool,
    /// Whether acct files hold r rows.
    pub received: bool,
    /// Rows after which a family starts a new file, at the next change of the second; 0: only at midnight.
    pub max_file_rows: u64,
    /// Rows at the end of an acct or tran file that the next one repeats.
    pub overlap_rows: u64,
    /// Whether d rows have the category `success`.
    pub success_category: bool,
    /// Unix seconds instead of ISO times.
    pub epoch: bool,
    /// CRLF line ends.
    pub crlf: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            start: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default(),
            days: 1,
            tail_days: 2,
            messages_per_day: 10_000,
            users: world::USERS.len(),
            families: Families::default(),
            incident: Incident::None,
            vary: false,
            received: true,
            max_file_rows: 0,
            overlap_rows: 0,
            success_category: true,
            epoch: false,
            crlf: false,
        }
    }
}

impl Options {
    /// Yesterday, with some 60,000 messages and the hidden incident; the logs end at midnight.
    #[must_use]
    pub fn demo(today: NaiveDate) -> Self {
        Self {
            seed: 20_261_123,
            start: today.pred_opt().unwrap_or(today),
            tail_days: 0,
            messages_per_day: 60_000,
            incident: Incident::Demo,
            max_file_rows: 50_000,
            overlap_rows: 200,
            ..Self::default()
        }
    }

    /// One ordinary day of so many messages.
    #[must_use]
    pub fn day(seed: u64, messages: u64) -> Self {
        Self { seed, messages_per_day: messages, ..Self::default() }
    }

    /// These options with the size of the seed's own installation: 3,000 to 25,000 messages a day.
    #[must_use]
    pub fn varied(self) -> Self {
        let (messages_per_day, received) = variety::size(self.seed);
        Self { messages_per_day, received, vary: true, ..self }
    }

    /// Whether mail goes on in the tail, so that its silence is no incident: everywhere but in the demo and in plain logs.
    fn goes_on(&self) -> bool {
        self.vary || !matches!(self.incident, Incident::None | Incident::Demo)
    }

    /// Unix seconds of a second since the start.
    fn epoch_of(&self, at: u32) -> i64 {
        self.start.and_time(NaiveTime::MIN).and_utc().timestamp() + i64::from(at)
    }

    fn iso(&self, at: u32) -> String {
        DateTime::from_timestamp(self.epoch_of(at), 0)
            .map_or_else(String::new, |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

/// Why logs could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options ask for something outside the generator's range.
    #[error("cannot generate logs: {0}")]
    Options(&'static str),
    /// A file or folder could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

/// `truth.json` beside a folder, never in it: an inbox would take it in.
#[must_use]
pub fn truth_path(dir: &Path) -> PathBuf {
    dir.parent().unwrap_or(Path::new("")).join("truth.json")
}

/// Writes the logs into `dir` and the truth, as JSON, to `truth` (nowhere if none); calls `on_file` with each file once
/// it is complete and has its name.
///
/// # Errors
/// When the options are out of range, or a file cannot be written.
pub fn generate(
    dir: &Path,
    options: &Options,
    truth: Option<&Path>,
    on_file: &mut dyn FnMut(&Path),
) -> Result<Truth, Error> {
    generate_with_links(dir, options, truth, on_file, &mut |_| {})
}

/// The same logs, and to `on_link` of each complaint, remote bounce and remote status which message it is about.
///
/// # Errors
/// When the options are out of range, or a file cannot be written.
pub fn generate_with_links(
    dir: &Path,
    options: &Options,
    truth: Option<&Path>,
    on_file: &mut dyn FnMut(&Path),
    on_link: &mut dyn FnMut(LinkTruth),
) -> Result<Truth, Error> {
    check(options)?;
    let world = world::World::new(options.seed);
    let replies = replies::Replies::new();
    let mut traffic = traffic::Traffic::new(options, &world, &replies);
    let mut rows = rows::Rows::new(options, &world, &replies);
    let mut files = Files::create(dir, options, rows::headers(options), on_file)?;
    let mut recorder = truth::Recorder::new(options, &world, &replies, traffic.incident_window());
    let mut hidden = hidden::Hidden::new(options, &world, &replies);
    let mut events = Vec::new();
    let mut minute: u32 = 0;
    while traffic.minute(&mut events) {
        if minute.is_multiple_of(1_440) {
            files.close_all()?;
        }
        minute += 1;
        for event in &events {
            let (record, wanted) = destinations(event, &options.families);
            if wanted == [None, None] {
                continue;
            }
            recorder.count(event, record, &traffic.jobs);
            hidden.count(event, &traffic.jobs, &traffic.plots);
            let default_columns = rows.write(event, &traffic.jobs);
            for family in wanted.into_iter().flatten() {
                let row = if family == BOUNCE { &rows.row[..default_columns] } else { &rows.row[..] };
                files.row(family, record, event.at, row)?;
                if let Some(place) = files.place(family).filter(|_| links::is_report(event)) {
                    on_link(links::of(event, place, &mut rows, (&traffic.jobs, &world), options));
                }
            }
        }
    }
    files.close_all()?;
    let mut result = recorder.finish(&traffic.jobs, traffic.submitted(), std::mem::take(&mut files.written));
    result.incidents = hidden.finish(&traffic.jobs, &traffic.plots, &traffic.withheld);
    if let Some(path) = truth {
        write_truth(path, &result)?;
    }
    Ok(result)
}

fn check(options: &Options) -> Result<(), Error> {
    if options.days > 10_000 || options.tail_days > 10 {
        return Err(Error::Options("at most 10,000 days and 10 days after them"));
    }
    if options.messages_per_day > 1_000_000_000 {
        return Err(Error::Options("at most a thousand million messages a day"));
    }
    if options.start.checked_add_days(chrono::Days::new(20_000)).is_none() || options.epoch_of(0) < 0 {
        return Err(Error::Options("the first day must lie after 1969 and before the end of the calendar"));
    }
    Ok(())
}

/// The index of an event's record type, and the families that hold it.
fn destinations(event: &Event, families: &Families) -> (usize, [Option<usize>; 2]) {
    let acct = families.acct.then_some(ACCT);
    let tran = families.tran.then_some(TRAN);
    let rb = families.rb.then_some(RB);
    match event.kind {
        Kind::Delivered | Kind::Inbound => (0, [acct, None]),
        Kind::Bounced => (1, [acct, families.bounce.then_some(BOUNCE)]),
        Kind::Deferred => (2, [tran, None]),
        Kind::QueueError => (3, [tran, None]),
        Kind::Received => (4, [acct, None]),
        Kind::Complaint => (5, [families.fbl.then_some(FBL), None]),
        Kind::RemoteBounce => (6, [rb, None]),
        Kind::RemoteStatus => (7, [rb, None]),
    }
}

fn write_truth(path: &Path, truth: &Truth) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(truth).map_err(|source| Error::write(path, source.into()))?;
    std::fs::write(path, json).map_err(|source| Error::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dir: &Path, options: &Options) -> (Truth, Vec<PathBuf>) {
        let mut closed = Vec::new();
        let truth = generate(dir, options, None, &mut |path| closed.push(path.to_owned())).unwrap();
        (truth, closed)
    }

    #[test]
    fn the_same_options_give_the_same_bytes_and_truth() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = Options::day(7, 2_000);
        let (truth, files) = run(first.path(), &options);
        let (again, _) = run(second.path(), &options);
        assert_eq!(truth, again);
        for file in files {
            let name = file.file_name().unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(second.path().join(name)).unwrap());
        }
    }

    #[test]
    fn only_finished_files_have_a_visible_name() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { max_file_rows: 300, ..Options::day(3, 2_000) };
        let (truth, closed) = run(dir.path(), &options);
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        let mut closed_names = closed.clone();
        names.sort();
        closed_names.sort();
        assert_eq!(names, closed_names);
        assert_eq!(names.len(), truth.files.len());
        assert!(truth.files.contains_key("acct-2026-11-23-0001.csv"));
    }

    #[test]
    fn rows_in_the_files_are_the_rows_of_the_truth() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { max_file_rows: 500, overlap_rows: 50, ..Options::day(5, 3_000) };
        let (truth, _) = run(dir.path(), &options);
        for (name, file) in &truth.files {
            let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
            assert_eq!(text.lines().count() as u64, file.rows + 1, "{name}");
        }
        assert!(truth.merged_duplicates > truth.events["b"]);
    }

    #[test]
    fn every_message_has_one_outcome_when_the_tail_is_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { tail_days: 4, ..Options::day(11, 3_000) };
        let metrics = run(dir.path(), &options).0.totals.metrics;
        assert_eq!(metrics.delivered + metrics.bounced.total, 3_000);
        assert_eq!(metrics.received, 3_000);
    }

    #[test]
    fn parts_by_dimension_add_up_to_the_totals() {
        let dir = tempfile::tempdir().unwrap();
        let (truth, _) = run(dir.path(), &Options::demo(NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()));
        let total = &truth.totals.metrics;
        for (dimension, values) in &truth.by {
            let sum = |part: fn(&Metrics) -> u64| values.values().map(part).sum::<u64>();
            assert_eq!(sum(|m| m.delivered), total.delivered, "{dimension}");
            assert_eq!(sum(|m| m.bounced.total), total.bounced.total, "{dimension}");
            assert_eq!(sum(|m| m.deferrals), total.deferrals, "{dimension}");
            assert_eq!(sum(|m| m.rb_events), total.rb_events, "{dimension}");
            if dimension != "hour" {
                assert_eq!(sum(|m| m.deferred), total.deferred, "{dimension}");
            }
        }
    }

    #[test]
    fn the_demo_day_hides_an_incident_and_knows_what_was_sent() {
        let dir = tempfile::tempdir().unwrap();
        let (truth, _) = run(dir.path(), &Options::demo(NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()));
        let incident = truth.incident.unwrap();
        assert_eq!((incident.provider.as_str(), incident.source_ip.as_str()), ("Google", "192.0.2.13"));
        assert!(incident.deferrals > 500, "{}", incident.deferrals);
        let dirty = &truth.by["job"][&incident.dirty_job];
        let share = incident.unknown_users as f64 / dirty.received as f64;
        assert!((0.1..0.2).contains(&share), "{share}");
        assert_eq!(truth.totals.sent_basis, "received");
        assert_eq!(truth.totals.metrics.sent, 60_000);
    }

    #[test]
    fn the_truth_survives_its_own_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truth.json");
        let truth = generate(&dir.path().join("in"), &Options::day(2, 500), Some(&path), &mut |_| ()).unwrap();
        let read: Truth = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, truth);
    }

    #[test]
    fn the_truth_lies_beside_the_folder_not_in_it() {
        assert_eq!(truth_path(Path::new("/logs/inbox")), Path::new("/logs/truth.json"));
        assert_eq!(truth_path(Path::new("inbox")), Path::new("truth.json"));
    }
}
