//! Ingest: one file at a time from a path to a commit, in bounded memory, each content once.

mod blocks;
pub mod cells;
pub mod chunk;
pub mod decode;
pub mod derive;
pub mod frame;
pub mod header;
pub mod intake;
pub mod json;
pub mod live;
pub mod open;
pub mod original;
pub mod progress;
pub mod reject;
pub mod stage;
pub mod time;
mod worker;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::catalog::commit::{Arrival, Incoming, Outcome, Said, Staging, commit_files};
use crate::catalog::control::{FIRST_MARK, FileDone, FileRow, Marks};
use crate::catalog::keep::keep;
use crate::catalog::locks::Lock;
use crate::catalog::{self, Catalog, clock};
use crate::config::{Config, Duplicates};
use crate::event::file_status::Status;
use decode::RolePlan;
use derive::Rules;
use header::Names;
use open::{Member, MemberRef};
use progress::Progress;
use stage::{Context, StagedFile, stage};

/// The result of a step of ingest.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file does not become visible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// Reading failed on the way.
    #[error("reading failed: {0}")]
    Read(std::io::Error),
    /// The header cannot be used.
    #[error("line {line}: {error}")]
    Header {
        /// Where it stands.
        line: usize,
        /// What is wrong with it.
        error: header::Error,
    },
    /// The content is no CSV.
    #[error("{what}, not CSV text: {hint}")]
    NotCsv {
        /// What it is.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The rejected rows cannot be written.
    #[error("writing the rejected rows failed: {0}")]
    Rejects(std::io::Error),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// Arrow.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The settings.
    #[error(transparent)]
    Rules(#[from] derive::Error),
    /// The file's end tells another role than its beginning; it is read again.
    #[error("the rows have another role than the beginning told: {0:?}")]
    Roles(RolePlan),
    /// A header in mid-stream must take effect before the records behind it; the file is read again in order.
    #[error("a header in mid-stream")]
    Headers,
    /// The source changed while it was read.
    #[error("changed while being read; it will be taken in again once it is at rest")]
    Changed,
    /// The program is stopping.
    #[error("stopped before the end; it will be taken in again")]
    Stopped,
    /// A bug.
    #[error("internal error: {0}")]
    Broken(&'static str),
}

impl Error {
    /// Whether the file itself is at fault, so that trying again would not help.
    fn is_the_files_fault(&self) -> bool {
        matches!(
            self,
            Self::Header { .. }
                | Self::NotCsv { .. }
                | Self::Open(open::Error::Archive { .. } | open::Error::NotAFile { .. })
        ) || matches!(self, Self::Read(error) if error.kind() == std::io::ErrorKind::InvalidData)
    }
}

/// Times that a file is read, since it changed meanwhile or its beginning did not tell what it is.
const ATTEMPTS: usize = 5;
/// Commits after which small segments are joined in the middle of a backlog.
const TIDY_AFTER: usize = 100;
/// Files up to this size may become visible together with others, …
pub const SMALL_FILE: u64 = 256 << 10;
/// … so many of them at most, …
pub const TOGETHER: usize = 64;
/// … or what was read in this time, …
const TOGETHER_FOR: Duration = Duration::from_secs(1);
/// … or so many rows.
const TOGETHER_ROWS: i64 = 64 << 10;
/// Locks that stand for paths; two paths may share one.
const PATH_LOCKS: u64 = 4096;

/// Takes files in.
#[derive(Debug)]
pub struct Ingest {
    catalog: Arc<Catalog>,
    rules: Rules,
    names: Names,
    config: Config,
    /// Files that are followed while they are written; the inbox leaves them alone.
    followed: Mutex<HashSet<PathBuf>>,
    /// Commits since the catalog was last tidied.
    untidy: AtomicUsize,
}

/// What an ingest call did to its caller's file.
pub type Reports = Vec<FileRow>;

impl Ingest {
    /// An ingest into a catalog, with the rules of the settings.
    pub fn new(catalog: Arc<Catalog>, config: &Config) -> Result<Self> {
        Ok(Self {
            catalog,
            rules: Rules::new(config)?,
            names: Names::new(&config.ingest),
            config: config.clone(),
            followed: Mutex::default(),
            untidy: AtomicUsize::new(0),
        })
    }

    /// The catalog that files go into.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Ends it where the process ends, too: what the rules hold is not given back piece by piece before.
    pub fn leave(self) {
        std::mem::forget(self.rules);
    }

    /// A file is followed from now on.
    fn follow(&self, path: &Path) {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// A file is no longer followed.
    fn unfollow(&self, path: &Path) {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// Notes in the file table that files wait for their turn; with `all`, none else does.
    pub fn note_queued(&self, paths: &[PathBuf], all: bool) {
        let named: Vec<(String, String)> = paths
            .iter()
            .map(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (name, path.to_string_lossy().into_owned())
            })
            .collect();
        // The folder is the queue; what is noted only tells people of it.
        self.catalog.control(|control| control.note_queued(&named, all, clock())).ok();
    }

    /// Whether this very file (path, size, times, inode) was read before, found unusable, or is followed.
    pub fn is_known(&self, path: &Path) -> bool {
        let Some(identity) = identity(path) else { return false };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if self.followed.lock().unwrap_or_else(PoisonError::into_inner).contains(&path) {
            return true;
        }
        let path = path.to_string_lossy();
        self.catalog.control(|control| control.is_settled(&path, &identity)).unwrap_or(false)
    }

    /// Takes in a file with all its members; one report for each. `wait`: a file that another process
    /// is reading is waited for, else passed over (no report).
    pub fn file(&self, path: &Path, wait: bool, stop: &AtomicBool, report: &mut dyn FnMut(Progress)) -> Reports {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match self.claim(&path, wait) {
            Ok(None) => Vec::new(),
            Ok(Some(_claim)) => self.claimed(&path, None, stop, report),
            Err(error) => vec![unread(&path, Status::Failed, &error)],
        }
    }

    /// Takes in several small files as [`Ingest::file`] does, a report on each; they become visible together, which
    /// costs one round of waiting for the disk and not one each.
    pub fn files(
        &self,
        paths: &[PathBuf],
        wait: bool,
        stop: &AtomicBool,
        report: &mut dyn FnMut(Progress),
    ) -> Vec<Reports> {
        let staging = match paths {
            [] | [_] => None,
            _ => Staging::create(self.catalog.layout()).ok().map(Arc::new),
        };
        let mut reports: Vec<Reports> = paths.iter().map(|_| Vec::new()).collect();
        let mut alone: Vec<usize> = Vec::new();
        match &staging {
            Some(staging) => alone = self.together(paths, staging, stop, &mut reports, report),
            None => alone.extend(0..paths.len()),
        }
        for index in alone {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            reports[index] = self.file(&paths[index], wait, stop, report);
        }
        reports
    }

    /// Takes files in together; those that are to be taken in alone.
    fn together(
        &self,
        paths: &[PathBuf],
        staging: &Arc<Staging>,
        stop: &AtomicBool,
        reports: &mut [Reports],
        report: &mut dyn FnMut(Progress),
    ) -> Vec<usize> {
        let mut alone = Vec::new();
        let mut claimed: Vec<(usize, PathBuf, Opened, Lock)> = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            // To wait with locks in hand would be a way into a deadlock.
            let Ok(Some(claim)) = self.claim(&path, false) else {
                alone.push(index);
                continue;
            };
            match self.take_up(&path, None) {
                Err(row) => reports[index].push(*row),
                Ok(opened) if opened.members.len() == 1 => claimed.push((index, path, opened, claim)),
                Ok(_) => alone.push(index),
            }
        }
        let mut ready: Vec<(usize, Ready)> = Vec::new();
        let mut shared = Shared { staging: Arc::clone(staging), lengths: Vec::new() };
        let (mut began, mut rows) = (Instant::now(), 0);
        for (index, path, opened, _) in &claimed {
            let Some(member) = opened.members.first().filter(|_| !stop.load(Ordering::Relaxed)) else { break };
            let identity = opened.identity.as_deref();
            let job = Job { source: path, member, name: member.name.clone(), identity, stop };
            match self.read(&job, Some(&shared), report) {
                Read::Ended(row) => reports[*index].push(*row),
                Read::Ready(file) => {
                    rows += file.incoming.done.rows;
                    shared.lengths.push(file.incoming.done.bytes.unsigned_abs());
                    ready.push((*index, *file));
                }
            }
            if rows >= TOGETHER_ROWS || began.elapsed() >= TOGETHER_FOR {
                self.make_visible(std::mem::take(&mut ready), reports, &mut alone, report);
                (began, rows) = (Instant::now(), 0);
            }
        }
        self.make_visible(ready, reports, &mut alone, report);
        alone.sort_unstable();
        alone
    }

    fn make_visible(
        &self,
        ready: Vec<(usize, Ready)>,
        reports: &mut [Reports],
        alone: &mut Vec<usize>,
        report: &mut dyn FnMut(Progress),
    ) {
        let (indexes, files): (Vec<usize>, Vec<Ready>) = ready.into_iter().unzip();
        for (index, row) in indexes.into_iter().zip(self.commit(files, report)) {
            match row {
                Some(row) => reports[index].push(row),
                None => alone.push(index),
            }
        }
    }

    /// Takes in a stream that can be read only once, such as standard input.
    pub fn stream(
        &self,
        mut input: impl std::io::Read,
        name: &str,
        stop: &AtomicBool,
        report: &mut dyn FnMut(Progress),
    ) -> Reports {
        let mut spool = || -> Result<(Staging, PathBuf)> {
            let staging = Staging::create(self.catalog.layout())?;
            let path = staging.path().join("stream");
            let mut file = catalog::layout::create_new(&path).map_err(Error::Read)?;
            std::io::copy(&mut input, &mut file).map_err(Error::Read)?;
            Ok((staging, path))
        };
        match spool() {
            Ok((_staging, path)) => self.claimed(&path, Some(name), stop, report),
            Err(error) => vec![unread(Path::new(name), Status::Failed, &error)],
        }
    }

    fn claim(&self, path: &Path, wait: bool) -> Result<Option<Lock>> {
        let number = xxhash_rust::xxh3::xxh3_64(path.as_os_str().as_encoded_bytes()) % PATH_LOCKS;
        let lock = self.catalog.layout().lock(&format!("path-{number}"));
        let claimed = if wait { Lock::wait(&lock).map(Some) } else { Lock::attempt(&lock) };
        claimed.map_err(|source| catalog::Error::Disk { path: lock, source }.into())
    }

    fn claimed(
        &self,
        path: &Path,
        shown: Option<&str>,
        stop: &AtomicBool,
        report: &mut dyn FnMut(Progress),
    ) -> Reports {
        let opened = match self.take_up(path, shown) {
            Ok(opened) => opened,
            Err(row) => return vec![*row],
        };
        let mut reports = Vec::new();
        for member in &opened.members {
            let name = shown.map_or_else(|| member.name.clone(), str::to_owned);
            let job = Job { source: path, member, name, identity: opened.identity.as_deref(), stop };
            match self.read(&job, None, report) {
                Read::Ended(row) => reports.push(*row),
                Read::Ready(file) => reports.extend(self.commit(vec![*file], report).into_iter().flatten()),
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        reports
    }

    /// Looks at what a file holds; a report if that is all there is to do.
    fn take_up(&self, path: &Path, shown: Option<&str>) -> std::result::Result<Opened, Box<FileRow>> {
        let identity = if shown.is_some() { None } else { identity(path) };
        // The file table tells of it from here on; a note that stays behind is only untidy.
        self.catalog.control(|control| control.unqueue(&path.to_string_lossy())).ok();
        if let Some(identity) = &identity {
            let text = path.to_string_lossy();
            match self.catalog.control(|control| control.known_identity(&text, identity)) {
                Ok(Some(known)) => return Err(Box::new(self.known(known))),
                Ok(None) => {}
                Err(error) => return Err(Box::new(unread(path, Status::Failed, &error.into()))),
            }
        }
        match open::members(path) {
            Ok(members) => Ok(Opened { identity, members }),
            Err(error) => Err(Box::new(self.refused(path, &error.into()))),
        }
    }

    /// A file that was read before, as a report.
    fn known(&self, known: FileRow) -> FileRow {
        let reject = self.config.ingest.duplicates == Duplicates::Reject;
        FileRow {
            status: if reject { Status::Rejected } else { Status::Duplicate },
            error: "this very file is in the catalog already".to_owned(),
            ..known
        }
    }

    fn refused(&self, path: &Path, error: &Error) -> FileRow {
        let status = if error.is_the_files_fault() { Status::Rejected } else { Status::Failed };
        let fallback = unread(path, status, error);
        let text = path.to_string_lossy().into_owned();
        let identity = identity(path);
        let kept = self.catalog.control(|control| {
            let id = control.begin_file(&fallback.name, &text, identity.as_deref(), clock())?;
            control.end_file(id, status, &FileDone { error: error.to_string(), ..FileDone::default() })?;
            control.file(id)
        });
        kept.ok().flatten().unwrap_or(fallback)
    }

    /// Reads one member, up to where it could become visible. `shared`: what it has in common with others.
    fn read(&self, job: &Job<'_>, shared: Option<&Shared>, report: &mut dyn FnMut(Progress)) -> Read {
        let path = job.path();
        let begun = self
            .catalog
            .control(|control| control.begin_file(&job.name, &path.to_string_lossy(), job.identity, clock()));
        let id = match begun {
            Ok(id) => id,
            Err(error) => return Read::Ended(Box::new(unread(&path, Status::Failed, &error.into()))),
        };
        let lock = Lock::wait(&self.catalog.layout().lock(&format!("file-{id}")));
        let mut progress = Progress {
            path: path.clone(),
            status: Status::Ingesting,
            bytes: 0,
            total_bytes: 0,
            rows: 0,
            rejected_rows: 0,
            rows_per_second: 0.0,
            error: String::new(),
        };
        report(progress.clone());
        let staged = self.attempts(job, id, shared, &mut progress, report);
        let taken = Taken { id, path, progress, _lock: lock.ok() };
        let ended = match staged {
            Ok(Staged::Whole(staging, file)) => match self.incoming(id, *file) {
                Ok(incoming) => return Read::Ready(Box::new(Ready { taken, staging, incoming })),
                Err(error) => Err(error),
            },
            Ok(Staged::Known(status, done)) => Ok(Some((status, *done))),
            Err(error) => Err(error),
        };
        Read::Ended(Box::new(self.close(taken, ended, report)))
    }

    /// Notes in the file table what became of a file (`None`: its commit did so); the report on it.
    fn close(
        &self,
        taken: Taken,
        ended: Result<Option<(Status, FileDone)>>,
        report: &mut dyn FnMut(Progress),
    ) -> FileRow {
        let Taken { id, path, mut progress, _lock: lock } = taken;
        let closed = match ended {
            Ok(None) => Ok(()),
            Ok(Some((status, done))) => self.catalog.control(|control| control.end_file(id, status, &done)),
            Err(error) => {
                let status = match &error {
                    Error::Stopped => Status::Interrupted,
                    error if error.is_the_files_fault() => Status::Rejected,
                    _ => Status::Failed,
                };
                let done = FileDone { error: error.to_string(), ..FileDone::default() };
                self.catalog.control(|control| control.end_file(id, status, &done))
            }
        };
        drop(lock);
        fs::remove_file(self.catalog.layout().lock(&format!("file-{id}"))).ok();
        let row = closed
            .and_then(|()| self.catalog.control(|control| control.file(id)))
            .ok()
            .flatten()
            .unwrap_or_else(|| unread(&path, Status::Failed, &Error::Broken("the control database lost the file")));
        progress.status = row.status;
        progress.rows = row.rows.unsigned_abs();
        progress.rejected_rows = row.rejected_rows.unsigned_abs();
        progress.bytes = progress.total_bytes;
        progress.error.clone_from(&row.error);
        report(progress);
        row
    }

    /// Reads until the source holds still and its role is known.
    fn attempts(
        &self,
        job: &Job<'_>,
        id: i64,
        shared: Option<&Shared>,
        progress: &mut Progress,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Staged> {
        let (mut roles, mut in_order) = (None, false);
        for _ in 0..ATTEMPTS {
            let before = identity(job.source);
            let member = job.member.open(self.config.ingest.max_member_bytes)?;
            progress.total_bytes = member.total;
            if let Some(duplicate) = self.known_by_hash(job.source, &member)? {
                let (status, done) = self.duplicate(&duplicate);
                return Ok(Staged::Known(status, Box::new(done)));
            }
            let staging = match shared {
                Some(shared) => Arc::clone(&shared.staging),
                None => Arc::new(Staging::create(self.catalog.layout())?),
            };
            let began = Instant::now();
            let position = Arc::clone(&member.position);
            let mut tick = |rows: u64, rejected: u64| {
                progress.bytes = position.load(Ordering::Relaxed);
                progress.rows = rows;
                progress.rejected_rows = rejected;
                progress.rows_per_second = rows as f64 / began.elapsed().as_secs_f64().max(1e-3);
                report(progress.clone());
            };
            let mut known_lengths =
                self.catalog.control(|control| control.known_lengths(member.plain.then_some(member.total)))?;
            known_lengths.extend(mark_lengths());
            known_lengths.extend(shared.iter().flat_map(|shared| &shared.lengths));
            let context = Context {
                known_lengths: &known_lengths,
                rules: &self.rules,
                names: &self.names,
                max_record: self.config.ingest.max_record_bytes,
                staging: &staging,
                file_id: id,
                first: stage::Place::default(),
                in_order,
                stop: job.stop,
            };
            let member = Member { name: job.name.clone(), ..member };
            match stage(context, member, roles, &mut tick) {
                Err(Error::Roles(right)) => roles = Some(right),
                Err(Error::Headers) => in_order = true,
                Err(error) => return Err(error),
                Ok(_) if identity(job.source) != before => {}
                Ok(staged) => return Ok(Staged::Whole(staging, Box::new(staged))),
            }
        }
        Err(Error::Changed)
    }

    fn rejects(&self, id: i64) -> PathBuf {
        self.catalog.layout().rejects().join(format!("file-{id}.csv"))
    }

    /// A file that was read, as the catalog takes it.
    fn incoming(&self, id: i64, staged: StagedFile) -> Result<Incoming> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let remark = remark_of(&staged);
        let done = FileDone {
            role: role_name(&staged),
            bytes: number(staged.content.bytes),
            sha256: staged.content.sha256.clone(),
            rows: number(staged.tally.rows),
            rejected_rows: number(staged.rejects.count),
            min_time: staged.tally.min_time,
            max_time: staged.tally.max_time,
            filled: staged.tally.filled,
            marks: marks_of(&staged.content),
            same_as: None,
            reading: staged.tally.reading(staged.roles).to_owned(),
            error: remark,
        };
        staged.rejects.finish(&self.rejects(id)).map_err(Error::Rejects)?;
        Ok(Incoming {
            file_id: id,
            done,
            segments: staged.segments,
            rollup: staged.rollup,
            beginnings: staged.content.beginnings,
            cut: !staged.content.terminated,
            arrival: Arrival::Whole,
        })
    }

    /// Makes files visible and reports on each; `None`: something kept all of them from it, and this one is to be
    /// read again alone.
    fn commit(&self, files: Vec<Ready>, report: &mut dyn FnMut(Progress)) -> Vec<Option<FileRow>> {
        let Some(staging) = files.first().map(|file| Arc::clone(&file.staging)) else { return Vec::new() };
        let mut rows: Vec<Option<FileRow>> = files.iter().map(|_| None).collect();
        let mut waiting: Vec<(usize, Ready)> = files.into_iter().enumerate().collect();
        let mut done = false;
        while !waiting.is_empty() {
            let mut taken = Vec::with_capacity(waiting.len());
            let mut incoming = Vec::with_capacity(waiting.len());
            for (index, file) in waiting.drain(..) {
                let content = (file.incoming.done.bytes, file.incoming.done.sha256.clone());
                taken.push((index, file.taken, content));
                incoming.push(file.incoming);
            }
            let said = commit_files(&self.catalog, &staging, incoming, clock());
            for ((index, taken, content), said) in taken.into_iter().zip(said) {
                match said {
                    Said::Later(incoming) => {
                        waiting.push((index, Ready { taken, staging: Arc::clone(&staging), incoming: *incoming }));
                    }
                    Said::Outcome(outcome) => {
                        done |= matches!(outcome, Ok(Outcome::Done { .. }));
                        rows[index] = self.ended(taken, outcome, content, report);
                    }
                }
            }
        }
        // Each commit looks at all segments near it; a backlog of small files must not pile them up.
        if done && self.untidy.fetch_add(1, Ordering::Relaxed) + 1 >= TIDY_AFTER {
            self.untidy.store(0, Ordering::Relaxed);
            // What cannot be tidied up now is left for the next time.
            keep(&self.catalog, &self.config.retention, clock()).ok();
        }
        rows
    }

    /// Reports on what came of a commit; `None` as for [`Ingest::commit`].
    fn ended(
        &self,
        taken: Taken,
        outcome: catalog::Result<Outcome>,
        (bytes, sha256): (i64, String),
        report: &mut dyn FnMut(Progress),
    ) -> Option<FileRow> {
        if !matches!(outcome, Ok(Outcome::Done { .. })) {
            fs::remove_file(self.rejects(taken.id)).ok();
        }
        let ended = match outcome {
            Ok(Outcome::Done { .. }) => Ok(None),
            Ok(Outcome::Duplicate(known)) => Ok(Some(self.duplicate(&known))),
            Ok(Outcome::Contained(longer)) => {
                let (status, known) = self.duplicate(&longer);
                let error = format!("the beginning of {}", longer.name);
                Ok(Some((status, FileDone { bytes, sha256, error, ..known })))
            }
            Err(catalog::Error::Together(_)) => {
                fs::remove_file(self.catalog.layout().lock(&format!("file-{}", taken.id))).ok();
                return None;
            }
            Err(error) => Err(error.into()),
        };
        Some(self.close(taken, ended, report))
    }

    /// The visible file with this content, found by hashing alone; tried only where a file of the same
    /// size is known, since hashing costs a pass over the bytes.
    fn known_by_hash(&self, path: &Path, member: &Member) -> Result<Option<FileRow>> {
        if !member.plain || !self.catalog.control(|control| control.has_size(member.total))? {
            return Ok(None);
        }
        let mut file = File::open(path).map_err(Error::Read)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            match file.read(&mut block).map_err(Error::Read)? {
                0 => break,
                read => hasher.update(&block[..read]),
            }
        }
        let sha256 = frame::hex(&hasher.finalize());
        Ok(self.catalog.control(|control| control.known_content(&sha256))?)
    }

    fn duplicate(&self, known: &FileRow) -> (Status, FileDone) {
        let status = match self.config.ingest.duplicates {
            Duplicates::Skip => Status::Duplicate,
            Duplicates::Reject => Status::Rejected,
        };
        let done = FileDone {
            role: known.role.clone().unwrap_or_default(),
            bytes: known.bytes,
            sha256: known.sha256.clone().unwrap_or_default(),
            same_as: Some(known.id),
            error: format!("the same content as {}", known.name),
            ..FileDone::default()
        };
        (status, done)
    }
}

/// Lengths of the beginnings whose hashes are kept with every file.
fn mark_lengths() -> impl Iterator<Item = u64> {
    (0..40).map(|power| FIRST_MARK << power)
}

fn marks_of(content: &frame::Content) -> Marks {
    const DIGITS: usize = 16;
    mark_lengths()
        .map_while(|at| content.beginnings.iter().find(|(length, _)| *length == at))
        .map(|(at, hash)| (*at, hash.chars().take(DIGITS).collect()))
        .collect()
}

/// What the file table says of a file's rows.
fn remark_of(staged: &StagedFile) -> String {
    match &staged.rejects.first {
        Some((line, reason)) => {
            format!("{} of the rows put aside; the first: line {line}: {reason}", staged.rejects.count)
        }
        None if staged.tally.rows == 0 => "no rows".to_owned(),
        None => String::new(),
    }
}

/// The role that the file table names; empty without rows.
fn role_name(staged: &StagedFile) -> String {
    match staged.roles {
        _ if staged.tally.rows == 0 => String::new(),
        RolePlan::File(role) => role.as_str().to_owned(),
        RolePlan::Rows => "mixed".to_owned(),
    }
}

/// A file that was looked at.
struct Opened {
    /// `None` for a stream.
    identity: Option<String>,
    members: Vec<MemberRef>,
}

/// A file that is on its way: its row in the file table, and the lock that says that somebody is at it.
struct Taken {
    id: i64,
    path: PathBuf,
    progress: Progress,
    _lock: Option<Lock>,
}

/// What files that become visible together have in common.
struct Shared {
    staging: Arc<Staging>,
    /// Lengths of their contents: one may be a beginning of another.
    lengths: Vec<u64>,
}

/// A file that can become visible.
struct Ready {
    taken: Taken,
    /// Where its rows are.
    staging: Arc<Staging>,
    incoming: Incoming,
}

/// What came of reading a file.
enum Read {
    Ready(Box<Ready>),
    Ended(Box<FileRow>),
}

/// What came of reading a file's content.
enum Staged {
    Whole(Arc<Staging>, Box<StagedFile>),
    /// It needs not be read.
    Known(Status, Box<FileDone>),
}

/// Whether a file may become visible together with others.
pub fn is_small(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= SMALL_FILE)
}

/// One member of one file on its way in.
struct Job<'a> {
    source: &'a Path,
    member: &'a MemberRef,
    name: String,
    identity: Option<&'a str>,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    /// The path shown: that of the source, with the member's name behind it in an archive.
    fn path(&self) -> PathBuf {
        match (self.identity, self.name.split_once('/')) {
            (None, _) => PathBuf::from(&self.name),
            (Some(_), Some((_, inner))) => self.source.join(inner),
            (Some(_), None) => self.source.to_owned(),
        }
    }
}

/// What tells a file on disk from a later state of itself: device, inode, size, and both times.
pub fn identity(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    Some(format!(
        "{}:{}:{}:{}.{}:{}.{}",
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    ))
}

/// A report on a file that the control database does not hold.
fn unread(path: &Path, status: Status, error: &Error) -> FileRow {
    FileRow {
        id: 0,
        name: path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned(),
        path: path.to_string_lossy().into_owned(),
        role: None,
        bytes: fs::metadata(path).map_or(0, |meta| i64::try_from(meta.len()).unwrap_or(i64::MAX)),
        sha256: None,
        received_at: clock(),
        status,
        rows: 0,
        rejected_rows: 0,
        merged_rows: 0,
        min_time: None,
        max_time: None,
        error: error.to_string(),
        reading: String::new(),
    }
}
