//! The control database: files, segments, rollups, rejects and commits. It alone says what counts; a
//! file's rows become visible by one transaction here (`reference/storage-and-faults.md` 1.4).

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::merge::{ALL_ROLES, FillMask, KeyColumn, Shadow, hides};
use super::{Error, Result, checksum, clock, delta, layout, twice};
use crate::event::file_status::Status;
use crate::event::{Micros, RecordType};

/// Bumped when the tables change; a newer catalog is refused.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Bytes of a content's shortest mark.
pub const FIRST_MARK: u64 = 16;

/// The logs for other readers are written no more often than this.
const PUBLISH: Duration = Duration::from_secs(1);

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(30);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, path TEXT NOT NULL, identity TEXT,
  role TEXT, bytes INTEGER NOT NULL DEFAULT 0, sha256 TEXT, received_at INTEGER NOT NULL,
  status TEXT NOT NULL, rows INTEGER NOT NULL DEFAULT 0, rejected_rows INTEGER NOT NULL DEFAULT 0,
  min_time INTEGER, max_time INTEGER, filled TEXT, marks TEXT, same_as INTEGER,
  followed INTEGER NOT NULL DEFAULT 0, reading TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', seq INTEGER);
CREATE INDEX IF NOT EXISTS files_by_sha ON files (sha256) WHERE status = 'done';
CREATE INDEX IF NOT EXISTS files_by_path ON files (path);
CREATE INDEX IF NOT EXISTS files_by_bytes ON files (bytes) WHERE status = 'done';
CREATE INDEX IF NOT EXISTS files_by_marks ON files (marks, bytes) WHERE status = 'done' AND rows > 0;
CREATE TABLE IF NOT EXISTS segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE,
  date INTEGER, role TEXT NOT NULL, shadow INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  min_time INTEGER, max_time INTEGER, types TEXT NOT NULL, seq_added INTEGER NOT NULL, seq_removed INTEGER);
CREATE INDEX IF NOT EXISTS segments_live ON segments (seq_removed, date);
CREATE TABLE IF NOT EXISTS segment_files (
  segment_id INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE, file_id INTEGER NOT NULL, rows INTEGER NOT NULL,
  types TEXT NOT NULL, PRIMARY KEY (segment_id, file_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS segment_files_by_file ON segment_files (file_id);
CREATE TABLE IF NOT EXISTS rollups (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, date INTEGER,
  rows INTEGER NOT NULL, seq_added INTEGER NOT NULL, seq_removed INTEGER);
";

/// A file as the table of SPEC §2.4 shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// `file_id` in `events`.
    pub id: i64,
    /// Name without folders; `archive.zip/member.csv` in an archive.
    pub name: String,
    /// Full path.
    pub path: String,
    /// Its role, or `mixed`.
    pub role: Option<String>,
    /// Bytes of the decompressed content.
    pub bytes: i64,
    /// SHA-256 of the decompressed content.
    pub sha256: Option<String>,
    /// When pmtop took it up.
    pub received_at: Micros,
    /// Its state.
    pub status: Status,
    /// Rows in the catalog, merged ones included.
    pub rows: i64,
    /// Rows put aside.
    pub rejected_rows: i64,
    /// Rows that are copies of other files' events.
    pub merged_rows: i64,
    /// Earliest event.
    pub min_time: Option<Micros>,
    /// Latest event.
    pub max_time: Option<Micros>,
    /// What went wrong.
    pub error: String,
    /// How it was read where that may surprise: as rate blocks for `rb`, or while it is written; else empty.
    pub reading: String,
}

/// One Parquet file of events or copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Path below the catalog's root.
    pub path: String,
    /// The log files that its rows came from: one, or several in a compacted segment.
    pub files: Vec<SegmentFile>,
    /// Day of its rows (since 1970).
    pub date: Option<i32>,
    /// Role of its rows.
    pub role: String,
    /// In which catalogs its rows are copies ([`super::merge::Shadow`]).
    pub shadow: Shadow,
    /// Rows.
    pub rows: i64,
    /// Bytes on disk.
    pub bytes: i64,
    /// Earliest event.
    pub min_time: Option<Micros>,
    /// Latest event.
    pub max_time: Option<Micros>,
    /// Rows by record type.
    pub by_type: [i64; 8],
    /// Whether it stands for reports with what their deliveries say.
    pub link: Link,
}

/// What a segment has to do with the deliveries that reports are about (see [`super::links`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// Nothing, or nothing that is known.
    #[default]
    Plain,
    /// Its rows stand in two more segments, with what their deliveries say.
    Stored,
    /// Reports whose deliveries are known.
    Attributed,
    /// Reports whose deliveries are not.
    Unattributed,
}

impl Link {
    /// Whether it was made from a segment of the catalog.
    pub const fn is_made(self) -> bool {
        matches!(self, Self::Attributed | Self::Unattributed)
    }
}

/// The rows of one log file in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// `file_id` in `events`.
    pub id: i64,
    /// Rows by record type.
    pub by_type: [i64; 8],
}

impl SegmentFile {
    /// How many rows of the file are in the segment.
    pub fn rows(&self) -> i64 {
        self.by_type.iter().sum()
    }
}

impl Segment {
    /// Counts a row of a log file.
    pub fn count(&mut self, file: i64, record: RecordType) {
        self.by_type[record.index()] += 1;
        let part = match self.files.iter().rposition(|part| part.id == file) {
            Some(index) => index,
            None => {
                self.files.push(SegmentFile { id: file, by_type: [0; 8] });
                self.files.len() - 1
            }
        };
        self.files[part].by_type[record.index()] += 1;
    }

    /// Whether rows of a log file are in it.
    pub fn holds_file(&self, id: i64) -> bool {
        self.files.iter().any(|file| file.id == id)
    }

    /// How many rows of a log file are in it.
    pub fn rows_of(&self, id: i64) -> i64 {
        self.files.iter().filter(|file| file.id == id).map(SegmentFile::rows).sum()
    }

    /// Whether its rows hold one of the record types (bits).
    pub fn holds(&self, types: u8) -> bool {
        self.by_type.iter().enumerate().any(|(index, rows)| *rows > 0 && types & (1 << index) != 0)
    }

    /// Whether its rows are events of the whole catalog, and not copies.
    pub const fn is_events(&self) -> bool {
        !hides(self.shadow, ALL_ROLES)
    }

    /// Where the hashes of its rows' keys are.
    pub fn keys_path(&self) -> String {
        format!("keys/{}", self.path)
    }
}

/// One Parquet file of rollups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupFile {
    /// Path below the catalog's root.
    pub path: String,
    /// `counts` or `latency`.
    pub kind: String,
    /// Day of its cells.
    pub date: Option<i32>,
    /// Cells.
    pub rows: i64,
}

/// What a file was found to be, at its commit.
#[derive(Debug, Clone, Default)]
pub struct FileDone {
    /// Role, or `mixed`.
    pub role: String,
    /// Bytes of the decompressed content.
    pub bytes: i64,
    /// SHA-256 of the decompressed content.
    pub sha256: String,
    /// Rows.
    pub rows: i64,
    /// Rows put aside.
    pub rejected_rows: i64,
    /// Earliest event.
    pub min_time: Option<Micros>,
    /// Latest event.
    pub max_time: Option<Micros>,
    /// Key columns filled, by record type.
    pub filled: [FillMask; 8],
    /// Hashes of its first 16, 32, 64 … bytes, by which a shorter state of the same file is found.
    pub marks: Marks,
    /// The file whose rows stand for those of this one.
    pub same_as: Option<i64>,
    /// How it was read where that may surprise; else empty.
    pub reading: String,
    /// A remark for the file table.
    pub error: String,
}

/// Hashes of a content's first 2ⁿ bytes: (bytes, hash in hexadecimal), ascending.
pub type Marks = Vec<(u64, String)>;

/// A visible file as another state of the same file knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownState {
    /// Its id.
    pub id: i64,
    /// Bytes of its content.
    pub bytes: u64,
    /// Rows.
    pub rows: i64,
}

/// A file whose rows leave the catalog.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Its id.
    pub id: i64,
    /// What becomes of it in the file table.
    pub status: Status,
    /// Why, for the file table.
    pub why: String,
    /// The file whose rows stand for its rows from now on.
    pub same_as: Option<i64>,
}

/// What one commit changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The files that became visible, and what they were found to be.
    pub files: Vec<(i64, FileDone)>,
    /// Whether they are followed while they are written: such a file may be visible already, and a finished
    /// file with its content takes its place.
    pub followed: bool,
    /// Segments that come.
    pub added: Vec<Segment>,
    /// Paths of segments that go.
    pub removed: Vec<String>,
    /// Rollup files that come.
    pub rollups: Vec<RollupFile>,
    /// Paths of rollup files that go.
    pub removed_rollups: Vec<String>,
    /// What some of the files that come hash to, by path; others are read for it.
    pub sums: HashMap<String, checksum::Sum>,
    /// Files whose rows go.
    pub leaving: Vec<Leaving>,
    /// The first day whose events are kept from now on.
    pub floor: Option<i32>,
    /// What happened, for people who read the log.
    pub what: String,
}

/// A connection to the control database.
#[derive(Debug)]
pub struct Control {
    db: Connection,
    /// The catalog's folder, where the logs for other readers are.
    root: PathBuf,
    /// When the logs were last written.
    published: Option<Instant>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.publish().ok();
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// Whether SQLite could not create or grow the shared-memory file beside the database (`SQLITE_IOERR_SHM…`).
fn lacks_room(error: &rusqlite::Error) -> bool {
    const SHMOPEN: i32 = 4618;
    const SHMSIZE: i32 = 4874;
    const SHMMAP: i32 = 5386;
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SHMOPEN | SHMSIZE | SHMMAP))
}

impl Control {
    /// Opens the database, creating it if it is not there.
    pub fn open(path: &Path) -> Result<Self> {
        let began = Instant::now();
        loop {
            match Self::attempt(path, false) {
                // While the last other process closes the database it is locked without a queue.
                Err(Error::Control(error)) if is_busy(&error) && began.elapsed() < BUSY => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                // On a full disk there is no room for the file that processes share; alone it can be read.
                Err(Error::Control(error)) if lacks_room(&error) => return Self::attempt(path, true),
                other => return other,
            }
        }
    }

    fn attempt(path: &Path, alone: bool) -> Result<Self> {
        refuse_newer(path)?;
        if !path.exists() {
            // SQLite gives its other files the same mode.
            layout::create_new(path).ok();
        }
        let db = Connection::open(path)?;
        // The time-out comes first: switching to WAL may have to wait for another process.
        db.busy_timeout(BUSY)?;
        if alone {
            db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        db.pragma_update(None, "journal_mode", "WAL")?;
        // What is only told of files may be lost with the power; commits are made durable one by one.
        db.pragma_update(None, "foreign_keys", "ON")?;
        let root = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut control = Self { db, root, published: None };
        // The first entries of the logs are made here and must not be lost once they are published.
        control.db.pragma_update(None, "synchronous", "FULL")?;
        control.migrate(path)?;
        control.db.pragma_update(None, "synchronous", "NORMAL")?;
        control.publish().ok();
        Ok(control)
    }

    fn migrate(&mut self, path: &Path) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION });
        }
        if version < SCHEMA_VERSION {
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        tx.execute_batch(checksum::SCHEMA)?;
        twice::prepare(&tx)?;
        delta::prepare(&tx, clock())?;
        tx.commit()?;
        Ok(())
    }

    /// The number of the last commit; 0 before the first.
    pub fn generation(&self) -> Result<u64> {
        let seq: Option<i64> = self.db.query_row("SELECT max(seq) FROM commits", [], |row| row.get(0))?;
        Ok(seq.unwrap_or(0).cast_unsigned())
    }

    /// Takes up a file: a row with status `ingesting`. Earlier attempts at the path that did not become
    /// visible go: whoever has an identity for the path also holds its lock, so none of them lives.
    pub fn begin_file(&mut self, name: &str, path: &str, identity: Option<&str>, now: Micros) -> Result<i64> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "DELETE FROM files WHERE path = ?1 AND seq IS NULL AND status != 'duplicate' AND (status != 'ingesting' OR ?2)",
            params![path, identity.is_some()],
        )?;
        tx.execute(
            "INSERT INTO files (name, path, identity, received_at, status) VALUES (?1, ?2, ?3, ?4, 'ingesting')",
            params![name, path, identity, now],
        )?;
        let id = tx.last_insert_rowid();
        tx.commit()?;
        Ok(id)
    }

    /// Notes files that wait for their turn, in place of those that waited before if `all`.
    pub fn note_queued(&mut self, files: &[(String, String)], all: bool, now: Micros) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if all {
            tx.execute("DELETE FROM files WHERE status = 'queued'", [])?;
        }
        for (name, path) in files {
            tx.execute(
                "INSERT INTO files (name, path, received_at, status)
                 SELECT ?1, ?2, ?3, 'queued' WHERE NOT EXISTS (SELECT 1 FROM files WHERE path = ?2 AND status = 'queued')",
                params![name, path, now],
            )?;
        }
        tx.commit()?;
        Ok(())
    }

    /// A file waits no longer.
    pub fn unqueue(&self, path: &str) -> Result<()> {
        self.db.execute("DELETE FROM files WHERE path = ?1 AND status = 'queued'", [path])?;
        Ok(())
    }

    /// Forgets a file that was taken up and is not to be told of.
    pub fn give_up(&self, id: i64) -> Result<()> {
        self.db.execute("DELETE FROM files WHERE id = ?1 AND seq IS NULL", [id])?;
        Ok(())
    }

    /// Closes a file that did not become visible.
    pub fn end_file(&mut self, id: i64, status: Status, done: &FileDone) -> Result<()> {
        let sha256 = if done.sha256.is_empty() { None } else { Some(&done.sha256) };
        let role = if done.role.is_empty() { None } else { Some(&done.role) };
        self.db.execute(
            "UPDATE files SET status = ?2, error = ?3, bytes = ?4, sha256 = ?5, rows = ?6, rejected_rows = ?7, role = ?8,
             same_as = ?9 WHERE id = ?1",
            params![
                id, status.as_str(), done.error, done.bytes, sha256, done.rows, done.rejected_rows, role, done.same_as
            ],
        )?;
        Ok(())
    }

    /// The file with this path and identity (size, times, inode) whose content the catalog has read.
    pub fn known_identity(&self, path: &str, identity: &str) -> Result<Option<FileRow>> {
        self.one_file(
            "f.path = ?1 AND f.identity = ?2 AND f.status IN ('done', 'duplicate') LIMIT 1",
            params![path, identity],
        )
    }

    /// Whether the file with this path and identity needs no further look: read, or found unusable.
    pub fn is_settled(&self, path: &str, identity: &str) -> Result<bool> {
        let found: Option<i64> = self
            .db
            .query_row(
                "SELECT 1 FROM files WHERE path = ?1 AND identity = ?2 AND status IN ('done', 'duplicate', 'rejected', 'removed') LIMIT 1",
                params![path, identity],
                |row| row.get(0),
            )
            .optional()?;
        Ok(found.is_some())
    }

    /// Sizes of visible contents, in bytes, up to that of a new file if it is known.
    pub fn known_lengths(&self, below: Option<u64>) -> Result<Vec<u64>> {
        let below = below.map_or(i64::MAX, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut statement =
            self.db.prepare("SELECT DISTINCT bytes FROM files WHERE status = 'done' AND bytes > 0 AND bytes <= ?1")?;
        let rows = statement.query_map([below], |row| row.get::<_, i64>(0))?;
        Ok(rows.map(|bytes| bytes.map(i64::cast_unsigned)).collect::<rusqlite::Result<_>>()?)
    }

    /// The visible files whose whole content is a beginning of another, given the hashes of that one's
    /// beginnings.
    pub fn grown_from(&self, beginnings: &[(u64, String)]) -> Result<Vec<i64>> {
        let mut statement = self.db.prepare("SELECT id FROM files WHERE sha256 = ?1 AND status = 'done'")?;
        let mut found = Vec::new();
        for (_, sha256) in beginnings {
            let ids = statement.query_map([sha256], |row| row.get(0))?;
            found.extend(ids.collect::<rusqlite::Result<Vec<i64>>>()?);
        }
        Ok(found)
    }

    /// The visible files that may be another state of the same file: the longest common power of two of
    /// their first bytes has the same hash.
    pub fn other_states(&self, bytes: u64, marks: &Marks) -> Result<Vec<KnownState>> {
        // As text the shorter list of marks is a beginning of the longer, so that an index finds them.
        const COLUMNS: &str = "SELECT id, bytes, rows FROM files WHERE status = 'done' AND rows > 0 AND bytes != ?1";
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let state = |row: &Row<'_>| {
            let bytes: i64 = row.get(1)?;
            Ok(KnownState { id: row.get(0)?, bytes: bytes.cast_unsigned(), rows: row.get(2)? })
        };
        let mut states: Vec<KnownState> = Vec::new();
        let mut same = self.db.prepare_cached(&format!("{COLUMNS} AND marks = ?2"))?;
        for count in 1..marks.len() {
            let found = same.query_map(params![bytes, print_marks(&marks[..count])], state)?;
            states.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        if !marks.is_empty() {
            let own = print_marks(marks);
            let mut longer = self.db.prepare_cached(&format!("{COLUMNS} AND marks >= ?2 AND marks < ?3"))?;
            let found = longer.query_map(params![bytes, own, format!("{own}~")], state)?;
            states.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(states)
    }

    /// The visible file with this content.
    pub fn known_content(&self, sha256: &str) -> Result<Option<FileRow>> {
        self.one_file("f.sha256 = ?1 AND f.status = 'done' AND NOT f.followed LIMIT 1", params![sha256])
    }

    /// Whether a visible file has this many bytes, so that hashing first may save decoding.
    pub fn has_size(&self, bytes: u64) -> Result<bool> {
        let found: Option<i64> = self
            .db
            .query_row(
                "SELECT 1 FROM files WHERE bytes = ?1 AND status = 'done' LIMIT 1",
                [i64::try_from(bytes).unwrap_or(i64::MAX)],
                |row| row.get(0),
            )
            .optional()?;
        Ok(found.is_some())
    }

    /// Ids of files that some process, perhaps a dead one, is reading.
    pub fn being_read(&self) -> Result<Vec<i64>> {
        let mut statement = self.db.prepare("SELECT id FROM files WHERE status = 'ingesting'")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Marks a file whose reader is dead.
    pub fn interrupt(&self, id: i64) -> Result<()> {
        self.db.execute(
            "UPDATE files SET status = 'interrupted', error = 'cut off; it will be taken in again'
             WHERE id = ?1 AND status = 'ingesting'",
            [id],
        )?;
        Ok(())
    }

    /// What a visible file fills, and its SHA-256.
    pub fn file_keys(&self, id: i64) -> Result<(String, [FillMask; 8])> {
        let (sha, filled): (Option<String>, Option<String>) =
            self.db.query_row("SELECT sha256, filled FROM files WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        Ok((sha.unwrap_or_default(), parse_filled(&filled.unwrap_or_default())))
    }

    /// Whether one of some visible files fills a key column for a record type.
    pub fn some_file_fills(&self, record: RecordType, column: KeyColumn, among: impl Fn(i64) -> bool) -> Result<bool> {
        let mut statement =
            self.db.prepare_cached("SELECT id, filled FROM files WHERE status = 'done' AND rows > 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let filled: Option<String> = row.get(1)?;
            if among(row.get(0)?) && parse_filled(&filled.unwrap_or_default())[record.index()].holds(column) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files that are followed while they are written.
    pub fn followed(&self) -> Result<Vec<FileRow>> {
        self.some_files("f.followed AND f.status = 'done'", params![])
    }

    /// Adds what is known of a followed file to what more of it was found to be.
    pub fn add_up(&self, id: i64, more: &mut FileDone) -> Result<()> {
        let Some(known) = self.one_file("f.id = ?1 AND f.followed AND f.status = 'done'", params![id])? else {
            return Err(Error::LostClaim { id });
        };
        let (_, filled) = self.file_keys(id)?;
        more.rows += known.rows;
        more.rejected_rows += known.rejected_rows;
        more.min_time = known.min_time.into_iter().chain(more.min_time).min();
        more.max_time = known.max_time.max(more.max_time);
        if more.role.is_empty() {
            more.role = known.role.unwrap_or_default();
        }
        for (more, known) in more.filled.iter_mut().zip(filled) {
            more.join(known);
        }
        Ok(())
    }

    /// The record types of a file's visible rows, as bits.
    pub fn types_of(&self, id: i64) -> Result<u8> {
        let mut statement = self.db.prepare(
            "SELECT p.types FROM segment_files p JOIN segments s ON s.id = p.segment_id
             WHERE p.file_id = ?1 AND s.seq_removed IS NULL",
        )?;
        let rows = statement.query_map([id], |row| row.get::<_, String>(0))?;
        let mut types = 0;
        for counts in rows {
            let counts = parse_counts(&counts?);
            types |= (0..8).filter(|index| counts[*index] > 0).fold(0, |types, index| types | 1 << index);
        }
        Ok(types)
    }

    /// A file by its id.
    pub fn file(&self, id: i64) -> Result<Option<FileRow>> {
        self.one_file("f.id = ?1", params![id])
    }

    /// All files, the newest first.
    pub fn files(&self) -> Result<Vec<FileRow>> {
        self.some_files("f.status != 'removed' ORDER BY f.id DESC", params![])
    }

    /// When each visible file came in.
    pub fn received(&self) -> Result<Vec<(i64, Micros)>> {
        let mut statement = self.db.prepare("SELECT id, received_at FROM files WHERE status = 'done'")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Id, name and path of every visible file.
    pub fn file_names(&self) -> Result<Vec<(i64, String, String)>> {
        let mut statement = self.db.prepare("SELECT id, name, path FROM files WHERE status = 'done'")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn one_file(&self, condition: &str, values: impl rusqlite::Params) -> Result<Option<FileRow>> {
        Ok(self.some_files(condition, values)?.into_iter().next())
    }

    fn some_files(&self, condition: &str, values: impl rusqlite::Params) -> Result<Vec<FileRow>> {
        let sql = format!(
            "SELECT f.id, f.name, f.path, f.role, f.bytes, f.sha256, f.received_at, f.status, f.rows, f.rejected_rows,
               (SELECT coalesce(sum(p.rows), 0) FROM segment_files p JOIN segments s ON s.id = p.segment_id
                WHERE p.file_id = f.id AND (s.shadow >> 31) & 1 = 1 AND s.seq_removed IS NULL),
               f.min_time, f.max_time, f.error, f.reading FROM files f WHERE {condition}"
        );
        let mut statement = self.db.prepare(&sql)?;
        let rows = statement.query_map(values, file_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The live segments and rollups, and the generation they belong to, as of one moment.
    pub fn live(&mut self) -> Result<(u64, Vec<Segment>, Vec<RollupFile>)> {
        let tx = self.db.transaction()?;
        let seq: Option<i64> = tx.query_row("SELECT max(seq) FROM commits", [], |row| row.get(0))?;
        let segments = {
            let mut statement = tx.prepare(
                "SELECT p.segment_id, p.file_id, p.types FROM segment_files p JOIN segments s ON s.id = p.segment_id
                 WHERE s.seq_removed IS NULL ORDER BY p.segment_id, p.file_id",
            )?;
            let mut parts: HashMap<i64, Vec<SegmentFile>> = HashMap::new();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let types: String = row.get(2)?;
                let part = SegmentFile { id: row.get(1)?, by_type: parse_counts(&types) };
                parts.entry(row.get(0)?).or_default().push(part);
            }
            let mut statement = tx.prepare(
                "SELECT path, id, date, role, shadow, rows, bytes, min_time, max_time, types
                 FROM segments WHERE seq_removed IS NULL ORDER BY date, min_time, path",
            )?;
            statement
                .query_map([], |row| {
                    let files = parts.remove(&row.get(1)?).unwrap_or_default();
                    segment_row(row, files)
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?
        };
        let rollups = {
            let mut statement =
                tx.prepare("SELECT path, kind, date, rows FROM rollups WHERE seq_removed IS NULL ORDER BY id")?;
            let rows = statement.query_map([], |row| {
                Ok(RollupFile { path: row.get(0)?, kind: row.get(1)?, date: row.get(2)?, rows: row.get(3)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        tx.commit()?;
        Ok((seq.unwrap_or(0).cast_unsigned(), segments, rollups))
    }

    /// Makes a change visible, whole or not at all; returns its number.
    pub fn commit(&mut self, change: &Change, now: Micros) -> Result<u64> {
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let committed = self.transact(change, now);
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let seq = committed?;
        // The change is visible. A backlog of small files need not wait for the logs each time; one that
        // cannot be written now (a full disk) is written by the next commit or the next start.
        if self.published.is_none_or(|at| at.elapsed() >= PUBLISH) {
            self.publish().ok();
            self.published = Some(Instant::now());
        }
        Ok(seq)
    }

    fn transact(&mut self, change: &Change, now: Micros) -> Result<u64> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seq: i64 = tx.query_row("SELECT coalesce(max(seq), 0) + 1 FROM commits", [], |row| row.get(0))?;
        tx.execute("INSERT INTO commits (seq, at, what) VALUES (?1, ?2, ?3)", params![seq, now, change.what])?;
        for (id, done) in &change.files {
            tx.execute(
                "UPDATE files SET status = 'done', role = ?2, bytes = ?3, sha256 = ?4, rows = ?5, rejected_rows = ?6,
                 min_time = ?7, max_time = ?8, filled = ?9, error = ?10, seq = ?11, marks = ?12,
                 followed = ?13, reading = ?14 WHERE id = ?1 AND (status IN ('ingesting', 'interrupted') OR followed AND status = 'done')",
                params![
                    id,
                    done.role,
                    done.bytes,
                    done.sha256,
                    done.rows,
                    done.rejected_rows,
                    done.min_time,
                    done.max_time,
                    print_filled(&done.filled),
                    done.error,
                    seq,
                    print_marks(&done.marks),
                    change.followed,
                    done.reading
                ],
            )?;
            if tx.changes() != 1 {
                return Err(Error::LostClaim { id: *id });
            }
        }
        if let Some(floor) = change.floor {
            tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('events_from', ?1)", [floor.to_string()])?;
        }
        for file in &change.leaving {
            // What was followed of a file is no file of its own.
            tx.execute(
                "DELETE FROM files WHERE id = ?1 AND followed AND ?2",
                params![file.id, file.same_as.is_some()],
            )?;
            tx.execute(
                "UPDATE files SET status = ?2, error = ?3, same_as = ?4, rows = 0, rejected_rows = 0, seq = NULL WHERE id = ?1",
                params![file.id, file.status.as_str(), file.why, file.same_as],
            )?;
            // What stood behind it stands behind what takes its place …
            tx.execute(
                "UPDATE files SET same_as = ?2 WHERE same_as = ?1 AND status = 'duplicate' AND ?2 IS NOT NULL",
                params![file.id, file.same_as],
            )?;
            // … or has no rows in the catalog any more.
            tx.execute(
                "UPDATE files SET status = 'interrupted', identity = NULL, same_as = NULL,
                 error = 'the file that held its rows was removed; it will be taken in again'
                 WHERE same_as = ?1 AND status = 'duplicate' AND ?2",
                params![file.id, file.status == Status::Removed],
            )?;
        }
        for path in &change.removed {
            let gone = tx.execute(
                "UPDATE segments SET seq_removed = ?2 WHERE path = ?1 AND seq_removed IS NULL",
                params![path, seq],
            )?;
            if gone != 1 {
                return Err(Error::Overtaken);
            }
        }
        for path in &change.removed_rollups {
            let gone = tx.execute(
                "UPDATE rollups SET seq_removed = ?2 WHERE path = ?1 AND seq_removed IS NULL",
                params![path, seq],
            )?;
            if gone != 1 {
                return Err(Error::Overtaken);
            }
        }
        for segment in &change.added {
            tx.execute(
                "INSERT INTO segments (path, date, role, shadow, rows, bytes, min_time, max_time, types, seq_added)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    segment.path,
                    segment.date,
                    segment.role,
                    segment.shadow,
                    segment.rows,
                    segment.bytes,
                    segment.min_time,
                    segment.max_time,
                    print_counts(&segment.by_type),
                    seq
                ],
            )?;
            let id = tx.last_insert_rowid();
            for part in &segment.files {
                tx.execute(
                    "INSERT INTO segment_files (segment_id, file_id, rows, types) VALUES (?1, ?2, ?3, ?4)",
                    params![id, part.id, part.rows(), print_counts(&part.by_type)],
                )?;
            }
        }
        for rollup in &change.rollups {
            tx.execute(
                "INSERT INTO rollups (path, kind, date, rows, seq_added) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![rollup.path, rollup.kind, rollup.date, rollup.rows, seq],
            )?;
        }
        checksum::record(&tx, &self.root, seq, &change.sums)?;
        delta::record(&tx, seq, now)?;
        tx.commit()?;
        Ok(seq.cast_unsigned())
    }

    /// The first day whose events retention has kept, if it ever let go of some.
    pub fn floor(&self) -> Result<Option<i32>> {
        let text: Option<String> =
            self.db.query_row("SELECT value FROM meta WHERE key = 'events_from'", [], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// What is wrong with a file of the catalog, if it is not what was written.
    pub fn fault(&self, root: &Path, path: &str) -> Result<Option<String>> {
        checksum::fault(&self.db, root, path)
    }

    /// Writes what the logs for other readers do not have yet.
    pub fn publish(&self) -> Result<()> {
        delta::publish(&self.root, &self.db)
    }

    /// Every path that some segment or rollup names, visible or not.
    pub fn all_paths(&self) -> Result<std::collections::HashSet<String>> {
        let mut statement = self.db.prepare("SELECT path FROM segments UNION ALL SELECT path FROM rollups")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Paths of segments and rollups that went by a commit no later than one generation and one moment.
    pub fn removed_paths(&self, generation: u64, before: Micros) -> Result<Vec<String>> {
        let mut statement = self.db.prepare(
            "SELECT r.path FROM (SELECT path, seq_removed FROM segments UNION ALL SELECT path, seq_removed FROM rollups) r
             JOIN commits c ON c.seq = r.seq_removed WHERE r.seq_removed <= ?1 AND c.at <= ?2",
        )?;
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![generation, before], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Lets a file that was removed for damage be read again.
    pub fn queue_again(&self, id: i64) -> Result<()> {
        self.db.execute(
            "UPDATE files SET status = 'interrupted', seq = NULL, identity = NULL,
               error = 'its rows in the catalog were damaged; it will be taken in again' WHERE id = ?1 AND status = 'removed'",
            [id],
        )?;
        Ok(())
    }

    /// Forgets segments and rollups that are gone from disk.
    pub fn forget(&mut self, paths: &[String]) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for path in paths {
            tx.execute("DELETE FROM segments WHERE path = ?1 AND seq_removed IS NOT NULL", [path])?;
            tx.execute("DELETE FROM rollups WHERE path = ?1 AND seq_removed IS NOT NULL", [path])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// The files that a name, a path, an id or the beginning of a SHA-256 stands for.
    pub fn find_files(&self, text: &str) -> Result<Vec<FileRow>> {
        self.some_files(
            "f.status NOT IN ('removed', 'ingesting') AND (f.path = ?1 OR f.name = ?1 OR CAST(f.id AS TEXT) = ?1
             OR (length(?1) >= 8 AND substr(f.sha256, 1, length(?1)) = lower(?1))) ORDER BY f.id",
            params![text],
        )
    }

    /// Hands the rows of a visible file to a duplicate of it, which takes its place in the file table; the
    /// file itself counts as removed. False if it has no duplicate.
    pub fn hand_over(&mut self, id: i64, now: Micros) -> Result<bool> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let heir: Option<i64> = tx
            .query_row(
                "SELECT d.id FROM files d JOIN files f ON f.sha256 = d.sha256 AND f.bytes = d.bytes
                 WHERE f.id = ?1 AND f.status = 'done' AND d.status = 'duplicate' ORDER BY d.id LIMIT 1",
                [id],
                |row| row.get(0),
            )
            .optional()?;
        let Some(heir) = heir else { return Ok(false) };
        type Face = (String, String, Option<String>, i64);
        let face = |id: i64| {
            tx.query_row("SELECT name, path, identity, received_at FROM files WHERE id = ?1", [id], |row| {
                Ok::<Face, _>((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
        };
        let (own, other) = (face(id)?, face(heir)?);
        for (row, (name, path, identity, received), status) in [(id, other, "done"), (heir, own, "removed")] {
            tx.execute(
                "UPDATE files SET name = ?2, path = ?3, identity = ?4, received_at = ?5, status = ?6, error = '' WHERE id = ?1",
                params![row, name, path, identity, received, status],
            )?;
        }
        tx.execute(
            "INSERT INTO commits (seq, at, what) SELECT coalesce(max(seq), 0) + 1, ?1, ?2 FROM commits",
            params![now, format!("file {id} handed over to its duplicate")],
        )?;
        tx.commit()?;
        Ok(true)
    }

    /// Takes a file that holds no rows out of the file table; it is not taken in from the inbox again.
    pub fn hide_file(&self, id: i64) -> Result<()> {
        self.db.execute(
            "UPDATE files SET status = 'removed' WHERE id = ?1 AND status NOT IN ('done', 'ingesting')",
            [id],
        )?;
        Ok(())
    }
}

fn print_marks(marks: &[(u64, String)]) -> String {
    marks.iter().map(|(_, hash)| hash.as_str()).collect::<Vec<_>>().join(",")
}

/// Refuses a catalog of a later pmtop before anything is written. A version that is still in the log of SQLite is
/// seen by [`Control::migrate`].
pub(super) fn refuse_newer(path: &Path) -> Result<()> {
    // `user_version`, in the header of an SQLite database.
    const AT: usize = 60;
    let mut header = [0; AT + 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if read.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Ok(());
    }
    let found = i64::from(u32::from_be_bytes([header[AT], header[AT + 1], header[AT + 2], header[AT + 3]]));
    // What no pmtop would write is damage, for `fsck` to tell.
    if (SCHEMA_VERSION + 1..=1000).contains(&found) {
        return Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// A column that a database of this version must have and has not; SQLite does not notice a changed name.
pub(super) fn lacks(db: &Connection) -> Result<Option<String>> {
    const COLUMNS: &str =
        "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        return Ok(None);
    }
    let blank = Connection::open_in_memory()?;
    create_tables(&blank)?;
    let columns = |db: &Connection| -> Result<std::collections::BTreeSet<String>> {
        Ok(db.prepare(COLUMNS)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    };
    let (wanted, found) = (columns(&blank)?, columns(db)?);
    Ok(wanted.difference(&found).next().cloned())
}

/// The tables of an empty control database.
pub(super) fn create_tables(db: &Connection) -> Result<()> {
    db.execute_batch(SCHEMA)?;
    db.execute_batch(checksum::SCHEMA)?;
    db.execute_batch(delta::SCHEMA)?;
    twice::prepare(db)?;
    db.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

fn file_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let status: String = row.get(7)?;
    Ok(FileRow {
        id: row.get(0)?,
        name: row.get(1)?,
        path: row.get(2)?,
        role: row.get(3)?,
        bytes: row.get(4)?,
        sha256: row.get(5)?,
        received_at: row.get(6)?,
        status: Status::parse(&status).unwrap_or(Status::Failed),
        rows: row.get(8)?,
        rejected_rows: row.get(9)?,
        merged_rows: row.get(10)?,
        min_time: row.get(11)?,
        max_time: row.get(12)?,
        error: row.get(13)?,
        reading: row.get(14)?,
    })
}

fn segment_row(row: &Row<'_>, files: Vec<SegmentFile>) -> rusqlite::Result<Segment> {
    let types: String = row.get(9)?;
    Ok(Segment {
        path: row.get(0)?,
        files,
        date: row.get(2)?,
        role: row.get(3)?,
        shadow: row.get(4)?,
        rows: row.get(5)?,
        bytes: row.get(6)?,
        min_time: row.get(7)?,
        max_time: row.get(8)?,
        by_type: parse_counts(&types),
        link: Link::Plain,
    })
}

fn print_counts(counts: &[i64; 8]) -> String {
    counts.map(|count| count.to_string()).join(",")
}

fn parse_counts(text: &str) -> [i64; 8] {
    let mut counts = [0; 8];
    for (slot, part) in counts.iter_mut().zip(text.split(',')) {
        *slot = part.parse().unwrap_or(0);
    }
    counts
}

fn print_filled(filled: &[FillMask; 8]) -> String {
    filled.map(|mask| mask.0.to_string()).join(",")
}

fn parse_filled(text: &str) -> [FillMask; 8] {
    let mut filled = [FillMask::default(); 8];
    for (slot, part) in filled.iter_mut().zip(text.split(',')) {
        slot.0 = part.parse().unwrap_or(0);
    }
    filled
}
