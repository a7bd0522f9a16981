//! The screen's backend on the local catalog: the engine, the intake, the watcher of the inbox, and the
//! look-out for commits of other processes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;

use super::backend::Backend;
use super::rules::{Pending, Rules};
use crate::app::effect::{Format, Mark, Quiet, RowId};
use crate::app::explorer::RawRow;
use crate::app::files::Reject;
use crate::app::input::Input;
use crate::catalog::commit::remove_file;
use crate::catalog::control::FileRow;
use crate::catalog::incidents::FOR_EVER;
use crate::catalog::keep::keep;
use crate::catalog::locks::Lock;
use crate::catalog::{clock, find, links, pack};
use crate::config::Config;
use crate::export::{self, Saved};
use crate::hook::Sender;
use crate::inbox::{Arrivals, Inbox};
use crate::ingest::Ingest;
use crate::ingest::intake::{Intake, Listener};
use crate::ingest::live::Live;
use crate::ingest::original;
use crate::ingest::progress::Progress;
use crate::insight::evidence;
use crate::insight::explain::ask::Request;
use crate::insight::explain::{self, Explanation};
use crate::insight::incident::Incident;
use crate::insight::rule::Thresholds;
use crate::insight::watch::{Replay, Watch, stored};
use crate::journey::{self, Journeys, Who};
use crate::prom::Writer;
use crate::query::Engine;
use crate::query::estimate::Estimate;
use crate::query::field::Field;
use crate::query::mask;
use crate::query::question::{Answer, Failure, Question};
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::reply::Catalogue;
use crate::report::{self, print};

/// Values offered for completion.
const COMPLETIONS: usize = 50;
/// Rejected rows shown of a file, and bytes of each.
const REJECTS: usize = 200;
const REJECT_BYTES: usize = 2000;
/// How often the catalog is looked at for commits of other processes.
const LOOK: Duration = Duration::from_millis(500);
/// How often live files are looked at.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often a process that does not own the watching tries to.
const TRY_OWNING: Duration = Duration::from_secs(2);

/// How long after the last commit housekeeping waits, so that it does not work against a backlog.
const QUIET: Duration = Duration::from_secs(5);
/// How often housekeeping looks without any commit: what has left is deleted by and by.
const HOURLY: Duration = Duration::from_secs(3600);

/// The backend; its threads stop when it is dropped.
#[derive(Debug)]
pub struct Local {
    engine: Arc<Engine>,
    intake: Arc<Intake>,
    owner: Option<String>,
    settings: crate::config::Ingest,
    watch: Arc<Mutex<Watch>>,
    replies: Arc<Catalogue>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// What the owner does beside: it stops by itself when it is dropped.
    _beside: (Sender, Writer),
}

/// What the inbox needs to know, and where files go.
struct ToIntake {
    ingest: Arc<Ingest>,
    intake: Arc<Intake>,
}

impl Arrivals for ToIntake {
    fn is_known(&self, path: &Path) -> bool {
        self.ingest.is_known(path)
    }

    fn saw(&self, path: &Path) {
        self.intake.saw(path);
    }

    fn arrived(&self, paths: Vec<PathBuf>) {
        self.intake.add(&paths, true);
    }
}

impl Local {
    /// Starts intake, watcher and look-out; `tell` gets their news.
    pub fn start(
        config: &Config,
        engine: Arc<Engine>,
        tell: impl Fn(Input) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let ingest = Arc::new(Ingest::new(Arc::clone(engine.catalog()), config)?);
        let tell = Arc::new(tell);
        let told = Arc::clone(&tell);
        let listener: Listener = Arc::new(move |progress: Progress| told(Input::Ingest(progress)));
        let pending = Arc::new(Pending::default());
        let (seen, told) = (Arc::clone(&pending), Arc::clone(&listener));
        let queue: Listener = Arc::new(move |progress: Progress| {
            seen.saw(&progress);
            told(progress);
        });
        let intake = Arc::new(Intake::start(Arc::clone(&ingest), config.inbox.clone(), queue));
        let stop = Arc::new(AtomicBool::new(false));
        let lock_path = engine.catalog().layout().lock("owner");
        let owned = Lock::attempt(&lock_path)?;
        let owner = if owned.is_some() { None } else { Some(read_owner(&lock_path)) };
        let owns = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            engine: Arc::clone(&engine),
            retention: config.retention.clone(),
            owns: Arc::clone(&owns),
            stop: Arc::clone(&stop),
        };
        let lookout = Lookout {
            owns: Arc::clone(&owns),
            engine: Arc::clone(&engine),
            arrivals: Mutex::new(Some(ToIntake { ingest: Arc::clone(&ingest), intake: Arc::clone(&intake) })),
            inbox: config.inbox.clone(),
            lock_path,
            stop: Arc::clone(&stop),
        };
        let follower = Follower {
            files: config.inbox.live.iter().map(|path| Live::new(Arc::clone(&ingest), path)).collect(),
            owns: Arc::clone(&owns),
            stop: Arc::clone(&stop),
            listener: Arc::clone(&listener),
        };
        let watch = Arc::new(Mutex::new(Watch::new(config, Catalogue::with_entries(config.replies.clone())?)?));
        let rules = Rules {
            engine: Arc::clone(&engine),
            config: config.clone(),
            watch: Arc::clone(&watch),
            owns: Arc::clone(&owns),
            pending,
            stop: Arc::clone(&stop),
        };
        let sender = Sender::spawn(Arc::clone(engine.catalog()), config.hooks.clone(), Arc::clone(&owns))?;
        let told = Arc::clone(&tell);
        let say = move |failure| told(Input::Notice(failure));
        let writer = Writer::spawn(Arc::clone(&engine), config.prometheus.clone(), Arc::clone(&owns), say)?;
        let told = Arc::clone(&tell);
        let threads = vec![
            std::thread::Builder::new().name("rules".to_owned()).spawn(move || rules.run(&*told))?,
            std::thread::Builder::new().name("live".to_owned()).spawn(move || follower.run())?,
            std::thread::Builder::new().name("lookout".to_owned()).spawn(move || lookout.run(owned, &*tell))?,
            std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keeper.run())?,
        ];
        let settings = config.ingest.clone();
        let replies = Arc::new(crate::ingest::derive::Rules::new(config)?.replies);
        Ok(Self { engine, intake, owner, settings, watch, replies, stop, threads, _beside: (sender, writer) })
    }

    /// Who watches the inbox, if it is another process.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn read_owner(lock: &Path) -> String {
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    if text.trim().is_empty() { "another process".to_owned() } else { text.trim().to_owned() }
}

/// Looks for commits, and for the watching to become free.
struct Lookout {
    engine: Arc<Engine>,
    arrivals: Mutex<Option<ToIntake>>,
    inbox: crate::config::Inbox,
    lock_path: PathBuf,
    /// Set once this process is the owner.
    owns: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// Follows live files for the catalog's owner, on a thread of its own.
struct Follower {
    files: Vec<Live>,
    owns: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    listener: Listener,
}

impl Follower {
    fn run(mut self) {
        while !self.files.is_empty() && !self.stop.load(Ordering::Relaxed) {
            if self.owns.load(Ordering::Relaxed) {
                for file in &mut self.files {
                    file.look(&self.stop, &mut |progress| (self.listener)(progress));
                }
            }
            let until = std::time::Instant::now() + FOLLOW;
            while std::time::Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Does the housekeeping of the catalog's owner, on a thread of its own.
struct Keeper {
    engine: Arc<Engine>,
    retention: crate::config::Retention,
    owns: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    fn run(&self) {
        let (mut seen, mut kept) = (None, None);
        let (mut quiet, mut since) = (Duration::ZERO, Duration::ZERO);
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            (quiet, since) = (quiet + LOOK, since + LOOK);
            let generation = self.engine.catalog().control(|control| control.generation()).ok();
            if generation != seen {
                (seen, quiet) = (generation, Duration::ZERO);
            }
            let due = (quiet >= QUIET && seen != kept) || since >= HOURLY;
            if due && self.owns.load(Ordering::Relaxed) {
                // What cannot be done now is tried again later; nothing depends on it.
                keep(self.engine.catalog(), &self.retention, clock()).ok();
                let stop = || self.stop.load(Ordering::Relaxed);
                pack::tidy(self.engine.catalog(), 1, &stop).ok();
                links::tidy(self.engine.catalog(), &self.engine.links, 1, &stop).ok();
                links::pack(self.engine.catalog(), &self.engine.links, &stop).ok();
                find::tidy(self.engine.catalog(), 1, &stop).ok();
                kept = self.engine.catalog().control(|control| control.generation()).ok();
                (seen, quiet, since) = (kept, Duration::ZERO, Duration::ZERO);
            }
        }
    }
}

impl Lookout {
    fn run(&self, owned: Option<Lock>, tell: &dyn Fn(Input)) {
        let mut owned = owned;
        let mut watching: Option<Inbox> = None;
        let (mut generation, mut seen) = (None, None);
        let mut since_try = Duration::ZERO;
        let mut damage = None;
        while !self.stop.load(Ordering::Relaxed) {
            if owned.is_none() && since_try >= TRY_OWNING {
                since_try = Duration::ZERO;
                owned = Lock::attempt(&self.lock_path).ok().flatten();
            }
            if let Some(lock) = &owned
                && watching.is_none()
                && let Some(arrivals) = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).take()
            {
                self.owns.store(true, Ordering::Relaxed);
                // What an owner before noted as waiting is found again by the first scan.
                self.engine.catalog().control(|control| control.note_queued(&[], true, clock())).ok();
                lock.note(&format!("pmtop process {}", std::process::id()));
                watching = Some(Inbox::watch(&self.inbox, arrivals));
            }
            if let Ok(snapshot) = self.engine.snapshot() {
                if generation == Some(snapshot.generation) {
                    // Another view of the same commit: more is known of its reports.
                    if seen.as_ref().is_some_and(|seen| !Arc::ptr_eq(seen, &snapshot)) {
                        tell(Input::Relinked);
                    }
                } else {
                    generation = Some(snapshot.generation);
                    let now = self.engine.now(&snapshot).ok().flatten();
                    tell(Input::Catalog { generation: snapshot.generation, now });
                }
                seen = Some(snapshot);
            }
            let found = self.engine.damage();
            if found != damage {
                damage.clone_from(&found);
                found.into_iter().for_each(|failure| tell(Input::Notice(failure)));
            }
            std::thread::sleep(LOOK);
            since_try += LOOK;
        }
    }
}

impl Backend for Local {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, Failure>> {
        report::ask(&self.engine, question)
    }

    fn estimate(&self, question: Question) -> BoxFuture<'static, Option<Estimate>> {
        let engine = Arc::clone(&self.engine);
        // Not on the engine's threads: these are busy with the question itself.
        async move { tokio::task::spawn_blocking(move || engine.estimate(&question).ok()).await.ok().flatten() }.boxed()
    }

    fn complete(&self, field: Field, prefix: String) -> BoxFuture<'static, Vec<(String, u64)>> {
        let engine = Arc::clone(&self.engine);
        let work = self.engine.run(async move { engine.complete(field, &prefix, COMPLETIONS).await });
        async move { work.await.unwrap_or_default() }.boxed()
    }

    fn export(&self, question: Question, name: String, format: Format) -> BoxFuture<'static, Result<PathBuf, Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move {
            let (folder, stamp) = here_and_now();
            export::save(engine, question, name, folder, stamp, written(format)).await
        })
    }

    fn export_table(
        &self,
        table: Arc<Table>,
        name: String,
        format: Format,
    ) -> BoxFuture<'static, Result<PathBuf, Failure>> {
        self.engine.run(async move {
            let (folder, stamp) = here_and_now();
            export::save_table(&table, &name, &folder, &stamp, written(format))
        })
    }

    fn sql(&self, statement: String) -> BoxFuture<'static, Result<Table, Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move { engine.sql(&statement).await })
    }

    fn remove_file(&self, path: String, sha256: String) -> BoxFuture<'static, Result<(String, i64), Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move {
            let catalog = engine.catalog();
            let file = file_of(&engine, &path, &sha256)?;
            remove_file(catalog, file.id, clock()).map_err(Failure::from_catalog)?;
            Ok((file.name, file.rows))
        })
    }

    fn rejects(&self, path: String, sha256: String) -> BoxFuture<'static, Result<Vec<Reject>, Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move {
            let Ok(file) = file_of(&engine, &path, &sha256) else { return Ok(Vec::new()) };
            let place = engine.catalog().layout().rejects().join(format!("file-{}.csv", file.id));
            let mut rejects = read_rejects(&place);
            if engine.masks() {
                rejects.iter_mut().for_each(|reject| reject.row = mask::words(&reject.row));
            }
            Ok(rejects)
        })
    }

    fn journey(&self, row: RowId) -> BoxFuture<'static, Result<Journeys, Failure>> {
        let who = Who::Row(row.file, row.row);
        journey::ask(&self.engine, journey::Ask { who, scope: Scope::default(), limit: None })
    }

    fn raw_row(&self, row: RowId) -> BoxFuture<'static, Result<RawRow, String>> {
        let (engine, settings) = (Arc::clone(&self.engine), self.settings.clone());
        let stop = Stop::default();
        let stopped = Arc::clone(&stop.0);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A log may be gigabytes: a thread of its own reads it, and ends when nobody waits any more.
        let started = std::thread::Builder::new().name("original".to_owned()).spawn(move || {
            let found = raw_row(&engine, &settings, row, &stopped);
            sender.send(found).ok();
        });
        async move {
            let _stop = stop;
            match started {
                Ok(_) => receiver.await.unwrap_or_else(|_| Err("it could not be read".to_owned())),
                Err(error) => Err(error.to_string()),
            }
        }
        .boxed()
    }

    fn explain(&self, request: Request) -> BoxFuture<'static, Result<Explanation, Failure>> {
        let (engine, replies) = (Arc::clone(&self.engine), Arc::clone(&self.replies));
        self.engine.run(async move { explain::ask::ask(&engine, &replies, &request).await })
    }

    fn mark(&self, id: String, mark: Mark) -> BoxFuture<'static, Result<Vec<Incident>, Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move {
            note_mark(&engine, &id, &mark).map_err(Failure::from_catalog)?;
            let mut all = stored(engine.catalog())?.unwrap_or_default();
            if engine.masks() {
                all.iter_mut().for_each(|incident| *incident = incident.hidden());
            }
            Ok(all)
        })
    }

    fn replay(&self, rule: String, thresholds: Thresholds) -> BoxFuture<'static, Result<Replay, Failure>> {
        let (engine, watch) = (Arc::clone(&self.engine), Arc::clone(&self.watch));
        // It counts on a thread of its own, and waits there for the rules if these look just now.
        async move {
            let replayed = tokio::task::spawn_blocking(move || {
                let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
                watch.replay(&engine, &rule, thresholds)
            });
            replayed
                .await
                .unwrap_or_else(|_| Err(Failure { what: "it was not replayed".to_owned(), ..Failure::default() }))
        }
        .boxed()
    }

    fn evidence(&self, id: String) -> BoxFuture<'static, Result<(PathBuf, PathBuf), Failure>> {
        let engine = Arc::clone(&self.engine);
        self.engine.run(async move {
            let all = stored(engine.catalog())?.unwrap_or_default();
            let incident = all.iter().find(|incident| incident.id == id).ok_or_else(|| Failure {
                what: "no evidence was written".to_owned(),
                why: "the incident is no more: later files tell otherwise".to_owned(),
                ..Failure::default()
            })?;
            evidence::evidence(&engine, incident).await?.save(&here_and_now().0, clock())
        })
    }

    fn mask(&self, mask: bool) {
        self.engine.set_masks(mask);
    }

    fn add_files(&self, paths: Vec<PathBuf>) {
        self.intake.add(&paths, false);
    }

    fn complete_path(&self, prefix: String) -> BoxFuture<'static, Vec<String>> {
        let work = self.engine.run(async move { Ok(paths_like(&prefix)) });
        async move { work.await.unwrap_or_default() }.boxed()
    }
}

/// Writes down what people do about an incident.
fn note_mark(engine: &Engine, id: &str, mark: &Mark) -> crate::catalog::Result<()> {
    let store = engine.catalog().incidents()?;
    match mark {
        Mark::Acknowledge(takes) => store.acknowledge(id, takes.then(clock)),
        Mark::Silence(Quiet::For(span)) => store.silence(id, Some(clock().saturating_add(*span))),
        Mark::Silence(Quiet::UntilOver) => store.silence(id, Some(FOR_EVER)),
        Mark::Silence(Quiet::NoLonger) => store.silence(id, None),
        Mark::Note(text) => store.note(id, clock(), text),
    }
}

/// Where exports go, and the time for their names.
fn here_and_now() -> (PathBuf, String) {
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let stamp = chrono::DateTime::from_timestamp_micros(clock())
        .map_or_else(String::new, |time| time.format("%Y%m%d-%H%M%S").to_string());
    (folder, stamp)
}

const fn written(format: Format) -> Saved {
    match format {
        Format::Csv => Saved::Text(print::Format::Csv),
        Format::Json => Saved::Text(print::Format::Json),
        Format::Parquet => Saved::Parquet,
    }
}

/// A file of the catalog by path and content; the newest where there are several.
fn file_of(engine: &Engine, path: &str, sha256: &str) -> Result<FileRow, Failure> {
    let files = engine.catalog().files().map_err(Failure::from_catalog)?;
    let found = files
        .into_iter()
        .filter(|file| file.path == path && (sha256.is_empty() || file.sha256.as_deref() == Some(sha256)))
        .max_by_key(|file| file.id);
    found.ok_or_else(|| Failure {
        what: "the file was not found".to_owned(),
        why: format!("the catalog holds no {path} any more"),
        hint: "r asks for the file table again".to_owned(),
        ..Failure::default()
    })
}

/// The first rows that were put aside; none where there is no such file.
fn read_rejects(place: &Path) -> Vec<Reject> {
    let Ok(mut reader) = csv::ReaderBuilder::new().flexible(true).from_path(place) else { return Vec::new() };
    let mut rejects = Vec::new();
    let mut record = csv::ByteRecord::new();
    while rejects.len() < REJECTS && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let cell = |at: usize| {
            let bytes = record.get(at).unwrap_or_default();
            String::from_utf8_lossy(bytes.get(..REJECT_BYTES).unwrap_or(bytes)).into_owned()
        };
        rejects.push(Reject { line: cell(1), offset: cell(2), reason: cell(3), row: cell(4) });
    }
    rejects
}

/// Tells a thread to stop when nobody waits for it any more.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn raw_row(engine: &Engine, settings: &crate::config::Ingest, row: RowId, stop: &AtomicBool) -> Result<RawRow, String> {
    let file = engine.catalog().control(|control| control.file(row.file)).map_err(|error| error.to_string())?;
    let file = file.ok_or_else(|| "the file has left the catalog".to_owned())?;
    let number = u64::try_from(row.row).map_err(|_| "the row has no number".to_owned())?;
    let found = original::row(Path::new(&file.path), &file.name, number, settings, stop)?;
    let text = if engine.masks() { mask::words(&found.text) } else { found.text };
    Ok(RawRow { path: file.path, line: found.line, offset: found.offset, text })
}

/// Paths that begin like a typed one; folders end in `/`.
fn paths_like(typed: &str) -> Vec<String> {
    let expanded = match (typed.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => format!("{}/{rest}", home.display()),
        _ => typed.to_owned(),
    };
    let (folder, start) = match expanded.rfind('/') {
        Some(at) => expanded.split_at(at + 1),
        None => ("", expanded.as_str()),
    };
    let listed = std::fs::read_dir(if folder.is_empty() { "." } else { folder });
    let mut paths: Vec<String> = listed
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let shown = name.starts_with(start) && (!name.starts_with('.') || start.starts_with('.'));
            let slash = if entry.path().is_dir() { "/" } else { "" };
            shown.then(|| format!("{folder}{name}{slash}"))
        })
        .collect();
    paths.sort();
    paths.truncate(COMPLETIONS);
    paths
}

/// A sender that feeds the screen's loop.
pub fn into_inputs(sender: UnboundedSender<Input>) -> impl Fn(Input) + Send + Sync + 'static {
    move |input| {
        // The screen may be gone already; then nobody needs the news.
        sender.send(input).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_paths_are_completed_with_folders_marked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acct-1.csv"), "").unwrap();
        std::fs::create_dir(folder.path().join("archive")).unwrap();
        let typed = format!("{}/a", folder.path().display());
        let found = paths_like(&typed);
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with("/acct-1.csv") && found[1].ends_with("/archive/"), "{found:?}");
    }
}
