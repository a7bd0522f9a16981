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
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::catalog::commit::{Arrival, Incoming, Outcome, Staging, commit_file};
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
/// Files after which small segments are joined in the middle of a backlog.
const TIDY_AFTER: usize = 100;
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
    /// Files that became visible since the catalog was last tidied.
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

    /// Takes in a stream that can be read only once, such as standard input.
    pub fn stream(
        &self,
        mut input: impl Read,
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
        let identity = if shown.is_some() { None } else { identity(path) };
        // The file table tells of it from here on; a note that stays behind is only untidy.
        self.catalog.control(|control| control.unqueue(&path.to_string_lossy())).ok();
        if let Some(identity) = &identity {
            let text = path.to_string_lossy();
            match self.catalog.control(|control| control.known_identity(&text, identity)) {
                Ok(Some(known)) => return vec![self.known(known)],
                Ok(None) => {}
                Err(error) => return vec![unread(path, Status::Failed, &error.into())],
            }
        }
        let members = match open::members(path) {
            Ok(members) => members,
            Err(error) => return vec![self.refused(path, &error.into())],
        };
        let mut reports = Vec::new();
        for member in members {
            let name = shown.map_or_else(|| member.name.clone(), str::to_owned);
            let job = Job { source: path, member: &member, name, identity: identity.as_deref(), stop };
            reports.push(self.member(&job, report));
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        reports
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

    fn member(&self, job: &Job<'_>, report: &mut dyn FnMut(Progress)) -> FileRow {
        let path = job.path();
        let begun = self
            .catalog
            .control(|control| control.begin_file(&job.name, &path.to_string_lossy(), job.identity, clock()));
        let id = match begun {
            Ok(id) => id,
            Err(error) => return unread(&path, Status::Failed, &error.into()),
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
        let outcome = self.attempts(job, id, &mut progress, report);
        let closed = match outcome {
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

    /// Reads until the source holds still and its role is known. `None`: the commit closed the file.
    fn attempts(
        &self,
        job: &Job<'_>,
        id: i64,
        progress: &mut Progress,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Option<(Status, FileDone)>> {
        let (mut roles, mut in_order) = (None, false);
        for _ in 0..ATTEMPTS {
            let before = identity(job.source);
            let member = job.member.open(self.config.ingest.max_member_bytes)?;
            progress.total_bytes = member.total;
            if let Some(duplicate) = self.known_by_hash(job.source, &member)? {
                return Ok(Some(self.duplicate(&duplicate)));
            }
            let staging = Staging::create(self.catalog.layout())?;
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
                Ok(staged) => return self.commit(id, &staging, staged),
            }
        }
        Err(Error::Changed)
    }

    fn commit(&self, id: i64, staging: &Staging, staged: StagedFile) -> Result<Option<(Status, FileDone)>> {
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
        let place = self.catalog.layout().rejects().join(format!("file-{id}.csv"));
        staged.rejects.finish(&place).map_err(Error::Rejects)?;
        let incoming = Incoming {
            file_id: id,
            done,
            segments: staged.segments,
            rollup: staged.rollup,
            beginnings: staged.content.beginnings,
            cut: !staged.content.terminated,
            arrival: Arrival::Whole,
        };
        match commit_file(&self.catalog, staging, incoming, clock())? {
            Outcome::Done { .. } => {
                // Each commit looks at all segments near it; a backlog of small files must not pile them up.
                if self.untidy.fetch_add(1, Ordering::Relaxed) + 1 >= TIDY_AFTER {
                    self.untidy.store(0, Ordering::Relaxed);
                    // What cannot be tidied up now is left for the next time.
                    keep(&self.catalog, &self.config.retention, clock()).ok();
                }
                Ok(None)
            }
            Outcome::Duplicate(known) => {
                fs::remove_file(place).ok();
                Ok(Some(self.duplicate(&known)))
            }
            Outcome::Contained(longer) => {
                fs::remove_file(place).ok();
                let (status, mut done) = self.duplicate(&longer);
                done.bytes = number(staged.content.bytes);
                done.sha256 = staged.content.sha256;
                done.error = format!("the beginning of {}", longer.name);
                Ok(Some((status, done)))
            }
        }
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
