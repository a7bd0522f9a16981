//! The truth about generated logs: every number a report should give, counted while the rows are written and without
//! any of the program's own parsing. Serialised as JSON, it is what tests and benchmarks compare with.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::hidden::HiddenTruth;
use super::replies::{CLASS_NAMES, Replies, Severity};
use super::rows::{self, connected};
use super::traffic::{Event, Job, Kind};
use super::world::{POOLS, PROVIDER_NAMES, Provider, USERS, VMTAS, World};
use super::{Options, files};

/// Everything that is true of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The seed the logs came from.
    pub seed: u64,
    /// First day, `YYYY-MM-DD`.
    pub start: String,
    /// Days on which mail was submitted.
    pub days: u32,
    /// Messages submitted over all days.
    pub messages: u64,
    /// The files by name.
    pub files: BTreeMap<String, FileTruth>,
    /// Rows in all files by record type, repeats of other files included.
    pub rows_written: BTreeMap<String, u64>,
    /// Events by record type: rows after merging.
    pub events: BTreeMap<String, u64>,
    /// Rows that repeat a row of another file.
    pub merged_duplicates: u64,
    /// Events with a reply (b, t, tq, rb) by the class their reply is meant to have.
    pub reply_classes: BTreeMap<String, u64>,
    /// The numbers over everything.
    pub totals: Totals,
    /// The same numbers by dimension and value: domain, provider, job, user, vmta, pool, source_ip, hour. The value ""
    /// holds rows that do not carry the dimension.
    pub by: BTreeMap<String, BTreeMap<String, Metrics>>,
    /// What was hidden in the logs, if anything.
    pub incident: Option<IncidentTruth>,
    /// The same by its rows: every hidden incident with its scope, cause and time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<HiddenTruth>,
}

/// One generated file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileTruth {
    /// acct, tran, bounce, fbl or rb.
    pub family: String,
    /// Rows without the header.
    pub rows: u64,
    /// Rows by record type.
    pub records: BTreeMap<String, u64>,
    /// First and last time logged, ISO, UTC.
    pub from: String,
    /// Last time logged.
    pub to: String,
}

/// The numbers over everything, with their scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// First and last event.
    pub scope: Scope,
    /// `received`, or `delivered+bounced` when some day with d or b rows has no r rows.
    pub sent_basis: String,
    /// The numbers.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Rows that repeat a row of another file.
    pub merged_duplicates: u64,
}

/// Times of the first and the last event, ISO, UTC, both inclusive; null without events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// First event.
    pub from: Option<String>,
    /// Last event.
    pub to: Option<String>,
}

/// The numbers of one scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Received, where the totals have that basis and r rows carry the dimension as logged; else delivered + bounced.
    pub sent: u64,
    /// r rows.
    pub received: u64,
    /// d rows that are no inbound mail.
    pub delivered: u64,
    /// Messages with at least one t row in the scope.
    pub deferred: u64,
    /// t rows.
    pub deferrals: u64,
    /// b rows.
    pub bounced: Bounced,
    /// rb rows.
    pub remote_bounces: u64,
    /// f rows of type abuse or none.
    pub complaints: u64,
    /// Rows of rb files, and rows whose reply is a reputation or rate block, each once.
    pub rb_events: u64,
    /// tq rows.
    pub queue_errors: u64,
    /// Latencies.
    pub latency: Latencies,
}

/// b rows by who is at fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounced {
    /// All of them.
    pub total: u64,
    /// The address is gone.
    pub hard: u64,
    /// It may work later.
    pub soft: u64,
    /// The sender's side was refused.
    pub block: u64,
}

/// The two measures of latency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Of delivered messages.
    pub delivery: Latency,
    /// Of t rows.
    pub attempt: Latency,
}

/// One latency distribution; percentiles are exact and by nearest rank, null without rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Rows.
    pub n: u64,
    /// Mean in milliseconds.
    pub avg_ms: Option<f64>,
    /// Median in milliseconds.
    pub p50_ms: Option<u64>,
    /// 90th percentile.
    pub p90_ms: Option<u64>,
    /// 95th percentile.
    pub p95_ms: Option<u64>,
    /// 99th percentile.
    pub p99_ms: Option<u64>,
    /// Largest.
    pub max_ms: Option<u64>,
}

/// The hidden incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentTruth {
    /// Who throttled.
    pub provider: String,
    /// Which VMTA was throttled.
    pub vmta: String,
    /// Its source address.
    pub source_ip: String,
    /// Beginning, ISO, UTC.
    pub from: String,
    /// End, exclusive.
    pub to: String,
    /// The class of the replies.
    pub reply_class: String,
    /// t rows of that class from that provider to that address in that time.
    pub deferrals: u64,
    /// The job with the dirty list, and its user.
    pub dirty_job: String,
    /// Its user.
    pub dirty_user: String,
    /// Its messages that bounced as unknown users.
    pub unknown_users: u64,
}

/// Seconds up to here have a slot of their own; later ones are rarer.
const DENSE: usize = 256;

/// Counts of whole seconds.
#[derive(Default)]
struct Seconds {
    dense: Vec<u64>,
    rest: HashMap<u32, u64>,
    n: u64,
    sum: u64,
}

impl Seconds {
    fn add(&mut self, seconds: u32) {
        self.n += 1;
        self.sum += u64::from(seconds);
        let slot = seconds as usize;
        if slot >= DENSE {
            *self.rest.entry(seconds).or_default() += 1;
            return;
        }
        if slot >= self.dense.len() {
            self.dense.resize(slot + 1, 0);
        }
        self.dense[slot] += 1;
    }

    fn finish(&self) -> Latency {
        if self.n == 0 {
            return Latency::default();
        }
        let mut counts: Vec<(u32, u64)> =
            (0..).zip(self.dense.iter().copied()).chain(self.rest.iter().map(|(s, n)| (*s, *n))).collect();
        counts.sort_unstable();
        let at_rank = |rank: u64| {
            let mut seen = 0;
            counts
                .iter()
                .find(|(_, n)| {
                    seen += n;
                    seen >= rank
                })
                .map(|(seconds, _)| u64::from(*seconds) * 1_000)
        };
        let percentile = |p: u64| at_rank((self.n * p).div_ceil(100));
        Latency {
            n: self.n,
            // To the microsecond, so that the number survives its JSON.
            avg_ms: Some((self.sum as f64 * 1_000_000.0 / self.n as f64).round() / 1_000.0),
            p50_ms: percentile(50),
            p90_ms: percentile(90),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
            max_ms: at_rank(self.n),
        }
    }
}

/// What one scope has collected so far.
#[derive(Default)]
struct Cell {
    metrics: Metrics,
    delivery: Seconds,
    attempt: Seconds,
}

/// What one event adds to a scope.
struct Effect {
    kind: Kind,
    seconds: u32,
    severity: Severity,
    complaint: bool,
    rate_block: bool,
    first: bool,
}

impl Cell {
    fn add(&mut self, effect: &Effect) {
        let metrics = &mut self.metrics;
        metrics.rb_events += u64::from(effect.rate_block);
        match effect.kind {
            Kind::Received => metrics.received += 1,
            Kind::Delivered => {
                metrics.delivered += 1;
                self.delivery.add(effect.seconds);
            }
            Kind::Deferred => {
                metrics.deferrals += 1;
                metrics.deferred += u64::from(effect.first);
                self.attempt.add(effect.seconds);
            }
            Kind::Bounced => {
                metrics.bounced.total += 1;
                match effect.severity {
                    Severity::Hard => metrics.bounced.hard += 1,
                    Severity::Soft => metrics.bounced.soft += 1,
                    Severity::Block => metrics.bounced.block += 1,
                }
            }
            Kind::QueueError => metrics.queue_errors += 1,
            Kind::Complaint => metrics.complaints += u64::from(effect.complaint),
            Kind::RemoteBounce => metrics.remote_bounces += 1,
            Kind::RemoteStatus | Kind::Inbound => {}
        }
    }

    fn finish(&self, by_received: bool) -> Metrics {
        let mut metrics = self.metrics.clone();
        metrics.sent = if by_received { metrics.received } else { metrics.delivered + metrics.bounced.total };
        metrics.latency = Latencies { delivery: self.delivery.finish(), attempt: self.attempt.finish() };
        metrics
    }
}

/// The dimensions, and whether an r row carries each.
#[rustfmt::skip]
const DIMENSIONS: [(&str, bool); 8] = [
    ("domain", true), ("provider", false), ("job", true), ("user", true), ("vmta", true), ("pool", true),
    ("source_ip", false), ("hour", true),
];
const HOUR: usize = 7;

/// Counts events as they are written.
pub(super) struct Recorder<'a> {
    options: &'a Options,
    world: &'a World,
    replies: &'a Replies,
    total: Cell,
    /// By dimension, then by a number of the value: 0 is "not carried", the first value is 1.
    cells: [Vec<Cell>; 8],
    events: [u64; 8],
    classes: [u64; CLASS_NAMES.len()],
    /// Days with d or b rows, and days with r rows.
    outcome_days: Vec<bool>,
    received_days: Vec<bool>,
    incident: Option<(u32, u32)>,
    incident_deferrals: u64,
    unknown_users: u64,
    dirty: Option<u32>,
    first: Option<u32>,
    last: u32,
}

impl<'a> Recorder<'a> {
    /// An empty record.
    pub fn new(options: &'a Options, world: &'a World, replies: &'a Replies, incident: Option<(u32, u32)>) -> Self {
        let days = (options.days + options.tail_days + 1) as usize;
        Self {
            options,
            world,
            replies,
            total: Cell::default(),
            cells: std::array::from_fn(|_| Vec::new()),
            events: [0; 8],
            classes: [0; CLASS_NAMES.len()],
            outcome_days: vec![false; days],
            received_days: vec![false; days],
            incident,
            incident_deferrals: 0,
            unknown_users: 0,
            dirty: None,
            first: None,
            last: 0,
        }
    }

    /// Counts one event, once, however many files it went to.
    pub fn count(&mut self, event: &Event, record: usize, jobs: &[Job]) {
        self.events[record] += 1;
        self.first.get_or_insert(event.at);
        self.last = event.at;
        self.mark_day(event);
        let effect = self.effect(event);
        self.note_incident(event, jobs);
        self.total.add(&effect);
        let values = self.values(event);
        for (dimension, value) in values.into_iter().enumerate() {
            let cells = &mut self.cells[dimension];
            if value >= cells.len() {
                cells.resize_with(value + 1, Cell::default);
            }
            let first = if dimension == HOUR { event.first_in_hour } else { event.first };
            cells[value].add(&Effect { first, ..effect });
        }
    }

    fn mark_day(&mut self, event: &Event) {
        let day = (event.at / 86_400) as usize;
        match event.kind {
            Kind::Delivered | Kind::Inbound | Kind::Bounced => self.outcome_days[day] = true,
            Kind::Received => self.received_days[day] = true,
            _ => {}
        }
    }

    fn effect(&mut self, event: &Event) -> Effect {
        let class = self.replies.all[usize::from(event.reply)].class;
        let replied = matches!(event.kind, Kind::Bounced | Kind::Deferred | Kind::QueueError | Kind::RemoteBounce);
        self.classes[class as usize] += u64::from(replied);
        Effect {
            kind: event.kind,
            seconds: event.at - event.message.queued,
            severity: class.severity(),
            complaint: matches!(rows::feedback_type(&event.message), "abuse" | ""),
            rate_block: replied && class.is_rate_block()
                || matches!(event.kind, Kind::RemoteBounce | Kind::RemoteStatus),
            first: event.first,
        }
    }

    /// The numbers of an event's values, in the order of [`DIMENSIONS`].
    fn values(&self, event: &Event) -> [usize; 8] {
        let message = &event.message;
        let hour = event.at as usize / 3_600 + 1;
        let domain_index = usize::from(message.domain);
        let domain = &self.world.domains[domain_index];
        let by_host = if connected(event, self.replies) {
            super::world::PROFILES[domain.profile].provider as usize
        } else {
            domain.provider_by_name as usize
        };
        let (domain_value, job, user) = (domain_index + 1, message.job as usize + 1, usize::from(message.user) + 1);
        let vmta = usize::from(message.vmta) + 1;
        let pool = VMTAS[usize::from(message.vmta)].pool + 1;
        match event.kind {
            Kind::Delivered | Kind::Bounced | Kind::Deferred => {
                let source = if connected(event, self.replies) { vmta } else { 0 };
                [domain_value, by_host, job, user, vmta, pool, source, hour]
            }
            Kind::Received => [domain_value, domain.provider_by_name as usize, job, user, vmta, pool, 0, hour],
            Kind::QueueError => [0, by_host, 0, 0, vmta, 0, vmta, hour],
            Kind::Complaint => {
                let (job, user) = if rows::names_job(message) { (job, user) } else { (0, 0) };
                let (domain_value, provider) = if rows::names_recipient(message) {
                    (domain_value, domain.provider_by_name as usize)
                } else {
                    (0, Provider::Unknown as usize)
                };
                [domain_value, provider, job, user, 0, 0, 0, hour]
            }
            Kind::RemoteBounce | Kind::RemoteStatus => [domain_value, by_host, 0, 0, 0, 0, 0, hour],
            // Inbound mail counts nowhere.
            Kind::Inbound => [0, 0, 0, 0, 0, 0, 0, hour],
        }
    }

    fn note_incident(&mut self, event: &Event, jobs: &[Job]) {
        let Some((from, to)) = self.incident else {
            return;
        };
        let message = &event.message;
        let class = self.replies.all[usize::from(event.reply)].class;
        let provider = super::world::PROFILES[self.world.domains[usize::from(message.domain)].profile].provider;
        if event.kind == Kind::Deferred
            && provider == Provider::Google
            && message.vmta == super::world::INCIDENT_VMTA
            && (from..to).contains(&event.at)
            && super::traffic::is_incident_reply(class)
        {
            self.incident_deferrals += 1;
        }
        if jobs[message.job as usize].dirty {
            self.dirty = Some(message.job);
            let unknown = event.kind == Kind::Bounced && class == super::replies::Class::UnknownUser;
            self.unknown_users += u64::from(unknown);
        }
    }

    /// The record as a whole.
    pub fn finish(self, jobs: &[Job], messages: u64, files: BTreeMap<String, FileTruth>) -> Truth {
        let rows: u64 = files.values().map(|file| file.rows).sum();
        let merged_duplicates = rows - self.events.iter().sum::<u64>();
        let mut rows_written = BTreeMap::new();
        for (record, count) in files.values().flat_map(|file| &file.records) {
            *rows_written.entry(record.clone()).or_default() += count;
        }
        let by_received = self.events[4] > 0
            && self.outcome_days.iter().zip(&self.received_days).all(|(outcome, received)| !outcome || *received);
        let iso = |at: u32| self.options.iso(at);
        Truth {
            seed: self.options.seed,
            start: self.options.start.to_string(),
            days: self.options.days,
            messages,
            rows_written,
            events: files::by_record(&self.events),
            merged_duplicates,
            reply_classes: CLASS_NAMES
                .iter()
                .zip(self.classes)
                .filter(|(_, n)| *n > 0)
                .map(|(name, n)| ((*name).to_owned(), n))
                .collect(),
            totals: Totals {
                scope: Scope { from: self.first.map(iso), to: self.first.map(|_| iso(self.last)) },
                sent_basis: if by_received { "received" } else { "delivered+bounced" }.to_owned(),
                metrics: self.total.finish(by_received),
                merged_duplicates,
            },
            by: self.by(jobs, by_received),
            incident: self.incident_truth(jobs),
            incidents: Vec::new(),
            files,
        }
    }

    fn by(&self, jobs: &[Job], by_received: bool) -> BTreeMap<String, BTreeMap<String, Metrics>> {
        DIMENSIONS
            .iter()
            .enumerate()
            .map(|(dimension, (name, carried))| {
                let mut values = BTreeMap::new();
                for (value, cell) in self.cells[dimension].iter().enumerate() {
                    let metrics = cell.finish(by_received && *carried);
                    if metrics != Metrics::default() {
                        values.insert(self.name(dimension, value, jobs), metrics);
                    }
                }
                ((*name).to_owned(), values)
            })
            .collect()
    }

    fn name(&self, dimension: usize, value: usize, jobs: &[Job]) -> String {
        let Some(index) = value.checked_sub(1) else {
            return String::new();
        };
        match dimension {
            0 => self.world.domains[index].name.clone(),
            1 => PROVIDER_NAMES[value].to_owned(),
            2 => jobs[index].name.clone(),
            3 => USERS[index].name.to_owned(),
            4 => VMTAS[index].name.to_owned(),
            5 => POOLS[index].to_owned(),
            6 => VMTAS[index].ip.to_owned(),
            _ => self.options.iso(u32::try_from(index * 3_600).unwrap_or(u32::MAX)),
        }
    }

    fn incident_truth(&self, jobs: &[Job]) -> Option<IncidentTruth> {
        let (from, to) = self.incident?;
        let vmta = &VMTAS[usize::from(super::world::INCIDENT_VMTA)];
        let dirty = self.dirty.map(|job| &jobs[job as usize]);
        Some(IncidentTruth {
            provider: PROVIDER_NAMES[Provider::Google as usize].to_owned(),
            vmta: vmta.name.to_owned(),
            source_ip: vmta.ip.to_owned(),
            from: self.options.iso(from),
            to: self.options.iso(to),
            reply_class: CLASS_NAMES[super::replies::Class::ThrottleReputation as usize].to_owned(),
            deferrals: self.incident_deferrals,
            dirty_job: dirty.map_or_else(String::new, |job| job.name.clone()),
            dirty_user: dirty.map_or("", |job| USERS[job.user].name).to_owned(),
            unknown_users: self.unknown_users,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut seconds = Seconds::default();
        for value in [1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000] {
            seconds.add(value);
        }
        let latency = seconds.finish();
        assert_eq!((latency.n, latency.p50_ms, latency.p90_ms), (10, Some(5_000), Some(9_000)));
        assert_eq!((latency.p95_ms, latency.max_ms), (Some(1_000_000), Some(1_000_000)));
        assert_eq!(latency.avg_ms, Some(104_500.0));
    }

    #[test]
    fn no_rows_have_no_percentiles() {
        assert_eq!(Seconds::default().finish(), Latency::default());
    }
}
