//! Numbers for Prometheus as a file for the textfile collector of its node exporter. They are those of the reports, under
//! their names; labels are a provider, a rule, a hook or a word of pmtop's own, and no text of a log is a name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catalog::layout;
use crate::config;
use crate::event::file_status::Status;
use crate::insight::reconcile::incident_of;
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::question::{Failure, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::query::time::{DAY, HOUR, Micros, TimeRange};
use crate::report::{self, metrics};
use crate::text::display;

/// The spans up to the newest event that are told.
const WINDOWS: &[(&str, Micros)] = &[("1h", HOUR), ("24h", DAY)];
/// Most providers, by what was sent to them.
const PROVIDERS: usize = 20;
/// Columns of the reports that are told as they are; rates are fractions.
const COLUMNS: &[&str] = &[
    "sent",
    "delivered",
    "deferred",
    "deferrals",
    "bounced_hard",
    "bounced_soft",
    "bounced_block",
    "remote_bounces",
    "complaints",
    "rb_events",
    "queue_errors",
    "merged_duplicates",
    "delivered_rate",
    "deferral_rate",
    "bounce_rate",
    "hard_rate",
    "soft_rate",
    "block_rate",
    "complaint_rate",
];
/// Latencies, of which percentiles are told in seconds.
const LATENCIES: &[&str] = &["latency_delivery", "latency_attempt"];
const QUANTILES: &[(&str, &str)] = &[("p50", "0.5"), ("p90", "0.9"), ("p95", "0.95"), ("p99", "0.99")];
/// Milliseconds of a second.
const MILLIS: f64 = 1000.0;
/// Microseconds of a second.
const MICROS: f64 = 1_000_000.0;
/// Without a commit the file is written anew so often, since spans move on with the clock.
const IDLE: Duration = Duration::from_secs(300);
/// How often the writer looks for a commit.
const LOOK: Duration = Duration::from_millis(500);

/// Samples by their metric, in the order in which metrics were first told.
#[derive(Debug, Default)]
struct Samples {
    order: Vec<String>,
    families: BTreeMap<String, (String, Vec<String>)>,
}

impl Samples {
    /// Adds a sample; what has no value is left out, since it is not 0.
    fn add(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let (_, lines) = self.families.entry(name.to_owned()).or_insert_with(|| {
            self.order.push(name.to_owned());
            (help.to_owned(), Vec::new())
        });
        let Some(value) = value else { return };
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        lines.push(format!("{name}{labels} {value}"));
    }

    fn print(&self) -> String {
        let mut out = String::new();
        for name in &self.order {
            if let Some((help, lines)) = self.families.get(name).filter(|(_, lines)| !lines.is_empty()) {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} gauge\n{}", help_text(help), lines.join("\n"));
            }
        }
        out
    }
}

/// A label's value, by the rules of the exposition format.
fn escape(value: &str) -> String {
    display(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn help_text(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Everything that is told, in Prometheus' text format.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn text(engine: &Engine) -> Result<String, Failure> {
    let mut samples = Samples::default();
    samples.add("pmtop_info", "Always 1.", &[("version", env!("CARGO_PKG_VERSION"))], Some(1.0));
    for (window, span) in WINDOWS {
        let scope = Scope::new(TimeRange::Last(*span), []);
        let all = report::answer(engine, &Question::new(Report::Totals, scope.clone())).await?.table;
        numbers(&mut samples, &all, window, false);
        let sort = Some(Sort { column: "sent".to_owned(), descending: true });
        let page = Page { offset: 0, limit: Some(PROVIDERS), sort };
        let by = Report::Operations { by: Some(Field::Provider), bucket: None };
        let providers = report::answer(engine, &Question { page, ..Question::new(by, scope) }).await?.table;
        numbers(&mut samples, &providers, window, true);
    }
    incidents(&mut samples, engine)?;
    files(&mut samples, engine)?;
    Ok(samples.print())
}

/// The rows of a report: of all mail, or one a provider.
fn numbers(samples: &mut Samples, table: &Table, window: &str, by_provider: bool) {
    let (begin, of) = if by_provider { ("pmtop_provider_", ", by provider") } else { ("pmtop_", "") };
    let about = |column: &str| metrics::all().find(|metric| metric.name == column).map_or("", |metric| metric.about);
    for row in 0..table.rows.len() {
        let provider = table.cell(row, "provider").as_text().unwrap_or("other");
        let mut labels = vec![("window", window)];
        if by_provider {
            labels.push(("provider", provider));
        }
        for column in COLUMNS {
            let help = format!("{} in the span up to the newest event{of}", about(column));
            samples.add(&format!("{begin}{column}"), &help, &labels, table.cell(row, column).number());
        }
        for latency in LATENCIES {
            for (percentile, quantile) in QUANTILES {
                let seconds = table.cell(row, &format!("{latency}_{percentile}_ms")).number().map(|ms| ms / MILLIS);
                let mut labels = labels.clone();
                labels.push(("quantile", *quantile));
                let help = format!("{}, seconds{of}", latency.replace('_', " "));
                samples.add(&format!("{begin}{latency}_seconds"), &help, &labels, seconds);
            }
        }
    }
}

/// Incidents that go on, and what hooks have not told yet.
fn incidents(samples: &mut Samples, engine: &Engine) -> Result<(), Failure> {
    let incidents = engine.catalog().incidents().map_err(Failure::from_catalog)?;
    let mut open: BTreeMap<(String, &str, &str), u32> = BTreeMap::new();
    for stored in incidents.all().map_err(Failure::from_catalog)?.iter().filter(|stored| stored.closed_at.is_none()) {
        if let Some(incident) = incident_of(stored) {
            *open.entry((incident.rule, incident.severity.as_str(), incident.state.as_str())).or_default() += 1;
        }
    }
    let all: u32 = open.values().sum();
    samples.add("pmtop_incidents_open", "Incidents that go on.", &[], Some(f64::from(all)));
    for ((rule, severity, state), count) in &open {
        let labels = [("rule", rule.as_str()), ("severity", *severity), ("state", *state)];
        let help = "Incidents that go on, by rule, severity and state.";
        samples.add("pmtop_incidents_open_by_rule", help, &labels, Some(f64::from(*count)));
    }
    let mut told: BTreeMap<(String, String), u32> = BTreeMap::new();
    for entry in incidents.told().map_err(Failure::from_catalog)? {
        *told.entry((entry.hook, entry.outcome.unwrap_or_else(|| "waiting".to_owned()))).or_default() += 1;
    }
    for ((hook, outcome), count) in &told {
        let help = "What hooks were told, by hook and outcome.";
        let labels = [("hook", hook.as_str()), ("outcome", outcome.as_str())];
        samples.add("pmtop_hook_events", help, &labels, Some(f64::from(*count)));
    }
    Ok(())
}

/// What came in, and how old the newest of it is.
#[expect(clippy::cast_precision_loss, reason = "rows and times stay below 2^52")]
fn files(samples: &mut Samples, engine: &Engine) -> Result<(), Failure> {
    let files = engine.catalog().files().map_err(Failure::from_catalog)?;
    let mut statuses: BTreeMap<&str, u32> = BTreeMap::new();
    for file in &files {
        *statuses.entry(file.status.as_str()).or_default() += 1;
    }
    for (status, count) in &statuses {
        samples.add("pmtop_files", "Files of the file table.", &[("status", *status)], Some(f64::from(*count)));
    }
    let done = || files.iter().filter(|file| file.status == Status::Done);
    let sums: [(&str, &str, i64); 3] = [
        ("pmtop_file_rows", "Rows of the files that are in.", done().map(|file| file.rows).sum()),
        ("pmtop_file_rejected_rows", "Rows that could not be read.", done().map(|file| file.rejected_rows).sum()),
        ("pmtop_file_merged_rows", "Rows that are events of other files.", done().map(|file| file.merged_rows).sum()),
    ];
    for (name, help, sum) in sums {
        samples.add(name, help, &[], Some(sum as f64));
    }
    let snapshot = engine.snapshot()?;
    let newest = engine.catalog().newest(&snapshot).map_err(Failure::from_catalog)?;
    let help = "When the newest event was logged, seconds since 1970; its age is time() minus this.";
    samples.add("pmtop_newest_event_timestamp_seconds", help, &[], newest.map(|newest| newest as f64 / MICROS));
    samples.add("pmtop_generation", "Commits of the catalog.", &[], Some(snapshot.generation as f64));
    Ok(())
}

/// Writes the file whole or not at all. Everyone may read it: the exporter runs as another user.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let write = |file: &mut std::fs::File| -> io::Result<()> {
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
    };
    layout::replace(path, write).map_err(|error| Failure {
        what: format!("{} was not written", path.display()),
        why: error.to_string(),
        hint: "the folder must exist, and this user must be allowed to write to it".to_owned(),
        ..Failure::default()
    })
}

/// Keeps the file of `[prometheus]` current for as long as it lives.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts writing once `owns` is set; `say` hears of a failure, once as long as it is the same. Without a file
    /// nothing is started.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(
        engine: Arc<Engine>,
        settings: config::Prometheus,
        owns: Arc<AtomicBool>,
        say: impl Fn(Failure) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        if settings.textfile.as_os_str().is_empty() {
            return Ok(Self { stop, thread: None });
        }
        let stopped = Arc::clone(&stop);
        let work = move || keep_current(&engine, &settings, &owns, &stopped, &say);
        let thread = std::thread::Builder::new().name("prometheus".to_owned()).spawn(work)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn keep_current(
    engine: &Arc<Engine>,
    settings: &config::Prometheus,
    owns: &AtomicBool,
    stop: &AtomicBool,
    say: &dyn Fn(Failure),
) {
    let (mut seen, mut written): (Option<u64>, Option<Instant>) = (None, None);
    let mut failed: Option<Failure> = None;
    let least = Duration::from_secs(settings.every_seconds);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        if !owns.load(Ordering::Relaxed) {
            continue;
        }
        let generation = engine.catalog().control(|control| control.generation()).ok();
        let since = written.map_or(Duration::MAX, |written| written.elapsed());
        if (generation == seen || since < least) && since < IDLE.max(least) {
            continue;
        }
        let outcome = engine.block_on(text(engine)).and_then(|text| write(&settings.textfile, &text)).err();
        if outcome != failed {
            failed.clone_from(&outcome);
            outcome.into_iter().for_each(say);
        }
        (seen, written) = (generation, Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(escape("a\\b\"c\nd"), "a\\\\b\\\"c␊d");
    }

    #[test]
    fn a_metric_is_told_once_with_its_help_and_without_what_has_no_value() {
        let mut samples = Samples::default();
        samples.add("b", "B\nb.", &[("x", "1")], Some(0.5));
        samples.add("a", "A.", &[], None);
        samples.add("b", "B\nb.", &[("x", "2"), ("y", "z")], Some(3.0));
        assert_eq!(samples.print(), "# HELP b B\\nb.\n# TYPE b gauge\nb{x=\"1\"} 0.5\nb{x=\"2\",y=\"z\"} 3\n");
    }

    #[test]
    fn every_column_is_one_of_the_reports() {
        for column in COLUMNS {
            assert!(metrics::all().any(|metric| metric.name == *column), "{column}");
        }
    }
}
