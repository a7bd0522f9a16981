//! A live accounting file, followed while PowerMTA writes it. What has been added since the last look, up to
//! the last whole line, joins the rows of the same file; so each row counts once, and equal rows of one
//! file stay apart. When the file is rotated, it is read once more as a whole and takes the place of what
//! was followed, as any file does that grew: the result is that of the finished file, however it came in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use sha2::{Digest as _, Sha256};

use super::decode::RolePlan;
use super::frame::hex;
use super::open::Member;
use super::progress::Progress;
use super::stage::{Context, stage};
use super::{Error, Ingest, Reports, Result, mark_lengths, remark_of, role_name};
use crate::catalog::commit::{Arrival, Incoming, Outcome, Staging, commit_file};
use crate::catalog::control::{FileDone, FileRow, Marks};
use crate::catalog::locks::Lock;
use crate::catalog::{self, clock};

/// Bytes looked at together.
const BLOCK: usize = 1 << 20;
/// A line end inside quotes is waited for no longer than this.
const LONGEST_QUOTE: u64 = 1 << 20;
/// Files beside a live one that are looked at for its rotated state.
const MOST_SIBLINGS: usize = 50;
/// Digits of a mark's hash.
const DIGITS: usize = 16;

/// Follows one path of the configuration.
#[derive(Debug)]
pub struct Live {
    ingest: Arc<Ingest>,
    path: PathBuf,
    current: Option<Current>,
}

/// The file that is being written now.
#[derive(Debug)]
struct Current {
    file: File,
    inode: (u64, u64),
    place: PathBuf,
    /// Its id, once rows of it are in the catalog.
    id: Option<i64>,
    /// Record types taken in, as bits.
    types: u8,
    /// How its rows get their role.
    roles: Option<RolePlan>,
    /// What was taken in.
    taken: Taken,
    /// A length at which there was nothing to take in.
    idle_at: Option<u64>,
}

/// The beginning of a file that was taken in.
#[derive(Debug, Clone, Default)]
struct Taken {
    bytes: u64,
    lines: u64,
    rows: u64,
    /// The header in force at its end, without line end.
    header: Vec<u8>,
    hasher: Sha256,
    marks: Marks,
}

impl Taken {
    fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Goes on to `end`, which is behind a line end or the end of the file.
    fn advance(&mut self, file: &File, end: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        // A line that began in the block before.
        let mut line: Vec<u8> = Vec::new();
        while self.bytes < end {
            let next_mark = mark_lengths().find(|at| *at > self.bytes).unwrap_or(u64::MAX).min(end);
            let wanted = usize::try_from(next_mark - self.bytes).unwrap_or(BLOCK).min(BLOCK);
            let read = file.read_at(&mut block[..wanted], self.bytes)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = &block[..read];
            self.hasher.update(bytes);
            self.bytes += read as u64;
            if mark_lengths().any(|at| at == self.bytes) {
                self.marks.push((self.bytes, self.sha256().chars().take(DIGITS).collect()));
            }
            let mut from = 0;
            for at in memchr::memchr_iter(b'\n', bytes) {
                if line.is_empty() {
                    self.note(&bytes[from..at]);
                } else {
                    line.extend_from_slice(&bytes[from..at]);
                    self.note(&std::mem::take(&mut line));
                }
                self.lines += 1;
                from = at + 1;
            }
            line.extend_from_slice(&bytes[from..]);
        }
        Ok(())
    }

    fn note(&mut self, line: &[u8]) {
        if self.lines == 0 || super::stage::begins_like_header(line) {
            self.header = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        }
    }
}

/// A part of a file, with a header before it.
struct Slice {
    header: io::Cursor<Vec<u8>>,
    file: File,
    at: u64,
    end: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.header.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Live {
    /// A follower of a path: the accounting file itself, or the name in PowerMTA's configuration, to which
    /// PowerMTA adds date and counter.
    pub fn new(ingest: Arc<Ingest>, path: &Path) -> Self {
        Self { ingest, path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), current: None }
    }

    /// Takes in what is new, and the whole file once it has been rotated. What was done is reported, as far
    /// as anything was.
    pub fn look(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Progress)) -> Reports {
        let mut reports = Vec::new();
        let newest = newest_of(&self.path);
        if let Some(mut current) = self.current.take() {
            let length = current.file.metadata().map_or(0, |meta| meta.len());
            let rotated = newest.as_deref().and_then(inode_of).is_some_and(|inode| inode != current.inode);
            if length < current.taken.bytes {
                // Truncated in place: what was taken in stays, and is replaced if a copy of it comes in.
                self.ingest.unfollow(&current.place);
            } else if rotated {
                self.ingest.unfollow(&current.place);
                reports.extend(self.finish(&current, stop, report));
            } else {
                reports.extend(self.take_in(&mut current, stop));
                self.current = Some(current);
            }
        }
        if self.current.is_none()
            && let Some(place) = newest
        {
            match self.begin(place.clone(), stop, report, &mut reports) {
                Ok(mut current) => {
                    reports.extend(self.take_in(&mut current, stop));
                    self.current = Some(current);
                }
                Err(error) => reports.push(super::unread(&place, super::Status::Failed, &error)),
            }
        }
        for row in &reports {
            let mut progress = super::progress::Progress::of(Path::new(&row.path), row.status);
            progress.rows = row.rows.unsigned_abs();
            progress.rejected_rows = row.rejected_rows.unsigned_abs();
            progress.error.clone_from(&row.error);
            report(progress);
        }
        reports
    }

    /// Opens the file that is written now; after a restart it goes on where it was left.
    fn begin(
        &self,
        place: PathBuf,
        stop: &AtomicBool,
        report: &mut dyn FnMut(Progress),
        reports: &mut Reports,
    ) -> Result<Current> {
        let file = File::open(&place).map_err(Error::Read)?;
        let meta = file.metadata().map_err(Error::Read)?;
        let mut current = Current {
            inode: (meta.dev(), meta.ino()),
            file,
            place: place.clone(),
            id: None,
            types: 0,
            roles: None,
            taken: Taken::default(),
            idle_at: None,
        };
        self.ingest.follow(&place);
        let followed = self.ingest.catalog.control(|control| control.followed())?;
        for row in followed.into_iter().filter(|row| family(&self.path, Path::new(&row.path))) {
            let bytes = row.bytes.unsigned_abs();
            if row.path == place.to_string_lossy() && meta.len() >= bytes {
                let mut taken = Taken::default();
                taken.advance(&current.file, bytes).map_err(Error::Read)?;
                if Some(taken.sha256()) == row.sha256 {
                    taken.rows = (row.rows + row.rejected_rows).unsigned_abs();
                    current.types = self.ingest.catalog.control(|control| control.types_of(row.id))?;
                    current.roles = role_plan(row.role.as_deref());
                    (current.id, current.taken) = (Some(row.id), taken);
                    continue;
                }
            }
            // It was rotated while nobody looked: its whole is somewhere beside.
            if let Some(rotated) = rotated_state(&self.path, &place, bytes, row.sha256.as_deref().unwrap_or_default()) {
                reports.extend(self.ingest.file(&rotated, true, stop, report));
            }
        }
        Ok(current)
    }

    /// The rotated file as a whole.
    fn finish(&self, current: &Current, stop: &AtomicBool, report: &mut dyn FnMut(Progress)) -> Reports {
        use std::os::fd::AsRawFd as _;
        // Where it is now, whatever it was renamed to.
        let link = PathBuf::from(format!("/proc/self/fd/{}", current.file.as_raw_fd()));
        let place = fs::read_link(link).ok().filter(|place| inode_of(place) == Some(current.inode));
        if let Some(place) = place {
            return self.ingest.file(&place, true, stop, report);
        }
        let (Ok(file), Ok(meta)) = (current.file.try_clone(), current.file.metadata()) else { return Vec::new() };
        let whole = Slice { header: io::Cursor::default(), file, at: 0, end: meta.len() };
        let name = current.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.ingest.stream(whole, &name, stop, report)
    }

    /// Takes in the whole lines that are new.
    fn take_in(&self, current: &mut Current, stop: &AtomicBool) -> Option<FileRow> {
        let length = current.file.metadata().ok()?.len();
        if current.idle_at == Some(length) {
            return None;
        }
        match self.slice(current, length, stop) {
            Ok(Some(row)) => Some(row),
            Ok(None) => {
                current.idle_at = Some(length);
                None
            }
            Err(Error::Stopped) => None,
            Err(error) => {
                current.idle_at = Some(length);
                let at =
                    format!("{} bytes are in the catalog; it is tried again when the file grows", current.taken.bytes);
                let mut row = super::unread(&current.place, super::Status::Failed, &error);
                row.error = format!("{}; {at}", row.error);
                Some(row)
            }
        }
    }

    fn slice(&self, current: &mut Current, length: u64, stop: &AtomicBool) -> Result<Option<FileRow>> {
        let Some(end) = last_line_end(&current.file, current.taken.bytes, length).map_err(Error::Read)? else {
            return Ok(None);
        };
        let mut replaces = None;
        loop {
            match self.append(current, end, replaces, stop) {
                // Rows of another type came: the role of all of them is another one.
                Err(Error::Roles(right)) => {
                    replaces = replaces.or(current.id.take());
                    (current.roles, current.types, current.taken) = (Some(right), 0, Taken::default());
                }
                // The rows went by another way; the file is followed from its beginning.
                Err(Error::Catalog(catalog::Error::LostClaim { .. })) if current.id.is_some() => {
                    (current.id, current.types, current.taken) = (None, 0, Taken::default());
                }
                other => return other,
            }
        }
    }

    /// Brings the lines up to `end` in.
    fn append(
        &self,
        current: &mut Current,
        end: u64,
        replaces: Option<i64>,
        stop: &AtomicBool,
    ) -> Result<Option<FileRow>> {
        let (ingest, catalog) = (&self.ingest, &self.ingest.catalog);
        let name = current.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = current.place.to_string_lossy().into_owned();
        let first = current.id.is_none();
        let id = match current.id {
            Some(id) => id,
            None => catalog.control(|control| control.begin_file(&name, &path, None, clock()))?,
        };
        let lock = catalog.layout().lock(&format!("file-{id}"));
        let _held = Lock::wait(&lock).map_err(|source| catalog::Error::Disk { path: lock, source })?;
        let mut header = if first { Vec::new() } else { current.taken.header.clone() };
        if !header.is_empty() {
            header.push(b'\n');
        }
        let before = (u64::from(!header.is_empty()), header.len() as u64);
        let staging = Staging::create(catalog.layout())?;
        let known_lengths = catalog.control(|control| control.known_lengths(Some(end)))?;
        let context = Context {
            known_lengths: if first { &known_lengths } else { &[] },
            first: super::stage::Place {
                row: current.taken.rows,
                line: current.taken.lines.saturating_sub(before.0),
                offset: current.taken.bytes.saturating_sub(before.1),
            },
            rules: &ingest.rules,
            names: &ingest.names,
            max_record: ingest.config.ingest.max_record_bytes,
            staging: &staging,
            file_id: id,
            in_order: true,
            stop,
        };
        let slice = Slice {
            header: io::Cursor::new(header),
            file: current.file.try_clone().map_err(Error::Read)?,
            at: current.taken.bytes,
            end,
        };
        let member = Member {
            name: name.clone(),
            reader: Box::new(slice),
            position: Arc::new(AtomicU64::new(0)),
            total: end - current.taken.bytes,
            plain: true,
        };
        let staged = match stage(context, member, current.roles, &mut |_, _| {}) {
            Err(error) if first => {
                catalog.control(|control| control.give_up(id))?;
                return Err(error);
            }
            other => other?,
        };
        let types = current.types | staged.tally.types();
        let right = RolePlan::of(types, super::decode::NameRole::of(&name));
        if !first && right != staged.roles && types != 0 {
            return Err(Error::Roles(right));
        }
        let mut taken = current.taken.clone();
        taken.advance(&current.file, end).map_err(Error::Read)?;
        taken.rows += staged.tally.rows + staged.rejects.count;
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let done = FileDone {
            role: role_name(&staged),
            bytes: number(end),
            sha256: taken.sha256(),
            rows: number(staged.tally.rows),
            rejected_rows: number(staged.rejects.count),
            min_time: staged.tally.min_time,
            max_time: staged.tally.max_time,
            filled: staged.tally.filled,
            marks: taken.marks.clone(),
            same_as: None,
            reading: match staged.tally.reading(staged.roles) {
                "" => "followed while it is written".to_owned(),
                reading => format!("followed while it is written, {reading}"),
            },
            error: if staged.rejects.count > 0 { remark_of(&staged) } else { String::new() },
        };
        let rejects = catalog.layout().rejects().join(format!("file-{id}.{:020}.csv", current.taken.bytes));
        let roles = staged.roles;
        staged.rejects.finish(&rejects).map_err(Error::Rejects)?;
        let incoming = Incoming {
            file_id: id,
            done,
            segments: staged.segments,
            rollup: staged.rollup,
            beginnings: staged.content.beginnings,
            cut: false,
            arrival: if first { Arrival::Followed { replaces } } else { Arrival::More },
        };
        match commit_file(catalog, &staging, incoming, clock())? {
            Outcome::Done { .. } => {
                current.types = types;
                if types != 0 {
                    current.roles = Some(roles);
                }
                (current.id, current.taken, current.idle_at) = (Some(id), taken, None);
                Ok(catalog.control(|control| control.file(id))?)
            }
            // A whole file with this content was quicker.
            Outcome::Duplicate(_) | Outcome::Contained(_) => {
                fs::remove_file(rejects).ok();
                catalog.control(|control| control.give_up(id))?;
                Ok(None)
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            self.ingest.unfollow(&current.place);
        }
    }
}

fn role_plan(role: Option<&str>) -> Option<RolePlan> {
    match role {
        None | Some("") => None,
        Some("mixed") => Some(RolePlan::Rows),
        Some(role) => crate::event::Role::parse(role).map(RolePlan::File),
    }
}

fn inode_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|meta| (meta.dev(), meta.ino()))
}

/// The end of the last whole line behind `from`: behind a newline that is not inside quotes.
fn last_line_end(file: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; BLOCK];
    let (mut at, mut open, mut end, mut last_newline) = (from, false, None, None);
    while at < length {
        let wanted = usize::try_from(length - at).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read_at(&mut block[..wanted], at)?;
        if read == 0 {
            break;
        }
        for found in memchr::memchr2_iter(b'\n', b'"', &block[..read]) {
            if block[found] == b'"' {
                open = !open;
            } else {
                let behind = at + found as u64 + 1;
                last_newline = Some(behind);
                if !open {
                    end = Some(behind);
                }
            }
        }
        at += read as u64;
    }
    // A quote that is never closed must not hold up everything behind it.
    match (end.unwrap_or(from), last_newline) {
        (ended, Some(newline)) if newline.saturating_sub(ended) > LONGEST_QUOTE => Ok(Some(newline)),
        _ => Ok(end),
    }
}

/// The file that is written under a name of PowerMTA's configuration: the file of that name, else the newest of
/// those with date and counter before the extension (`acct.csv` → `acct-2026-11-23-0001.csv`).
fn newest_of(path: &Path) -> Option<PathBuf> {
    if inode_of(path).is_some() {
        return Some(path.to_owned());
    }
    let entries = fs::read_dir(path.parent()?).ok()?;
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|other| is_dated(path, other) && inode_of(other).is_some())
        .collect();
    names.sort();
    names.pop()
}

/// Whether a name is another with date and counter before its extension.
fn is_dated(path: &Path, other: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let other_stem = other.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    path.parent() == other.parent()
        && path.extension() == other.extension()
        && other_stem.strip_prefix(&stem).is_some_and(|rest| {
            rest.len() >= "-2026-11-23-0000".len()
                && rest
                    .chars()
                    .zip("-dddd-dd-dd-dddd".chars().chain(std::iter::repeat('d')))
                    .all(|(letter, kind)| if kind == 'd' { letter.is_ascii_digit() } else { letter == kind })
        })
}

/// Whether a path is that of the configuration or of its family.
fn family(path: &Path, other: &Path) -> bool {
    path == other || is_dated(path, other)
}

/// The file beside the live one that begins with these bytes: its rotated state.
fn rotated_state(path: &Path, live: &Path, bytes: u64, sha256: &str) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let mut siblings: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(path.parent()?)
        .ok()?
        .flatten()
        .filter(|entry| entry.path() != live && entry.file_name().to_string_lossy().starts_with(&stem))
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(|meta| meta.is_file() && meta.len() >= bytes)?;
            Some((meta.modified().ok()?, entry.path()))
        })
        .collect();
    siblings.sort();
    siblings.into_iter().rev().take(MOST_SIBLINGS).map(|(_, path)| path).find(|path| {
        let mut taken = Taken::default();
        File::open(path).and_then(|file| taken.advance(&file, bytes)).is_ok() && taken.sha256() == sha256
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_a_name_has_date_and_counter() {
        let path = Path::new("/log/acct.csv");
        assert!(is_dated(path, Path::new("/log/acct-2026-11-23-0000.csv")));
        assert!(is_dated(path, Path::new("/log/acct-2026-11-23-10000.csv")));
        for other in
            ["/log/acct-2.csv", "/log/acct-2026-11-23-0000.csv.gz", "/x/acct-2026-11-23-0000.csv", "/log/acct.csv"]
        {
            assert!(!is_dated(path, Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_line_end_inside_quotes_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let end = |text: &str, from: u64| {
            fs::write(&path, text).unwrap();
            last_line_end(&File::open(&path).unwrap(), from, text.len() as u64).unwrap()
        };
        assert_eq!(end("type\nd,1\nd,", 0), Some(9));
        assert_eq!(end("type\nd,\"1\n2", 5), None);
        assert_eq!(end("type\nd,\"1\n2\"\n", 5), Some(13));
        assert_eq!(end("type\n", 5), None);
    }
}
