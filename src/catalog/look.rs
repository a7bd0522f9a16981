//! A look at a catalog from outside, for `pmtop doctor`: nothing is created, repaired or waited for.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::control::{self, SCHEMA_VERSION};
use super::{Result, layout};
use crate::event::Micros;

/// What the control database says, and whether the files are there that it names.
#[derive(Debug, Default)]
pub struct Look {
    /// The schema of the control database.
    pub schema: i64,
    /// The schema that this program writes.
    pub known_schema: i64,
    /// The number of the last commit.
    pub generation: i64,
    /// Visible rows of events.
    pub events: i64,
    /// Rows that stand behind others.
    pub copies: i64,
    /// Days that have events.
    pub days: i64,
    /// Bytes of the visible segments.
    pub bytes: i64,
    /// Files by state.
    pub files: BTreeMap<String, i64>,
    /// The latest event.
    pub newest: Option<Micros>,
    /// How many segments are visible.
    pub segments: usize,
    /// Segments that are missing, cut off or no Parquet, with what is wrong.
    pub damaged: Vec<(String, String)>,
}

/// Looks at the catalog in a folder; `None` if there is none.
pub fn look(root: &Path) -> Result<Option<Look>> {
    let path = root.join("control.db");
    if !path.is_file() {
        return Ok(None);
    }
    control::refuse_newer(&path)?;
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default);
    let mut look = Look {
        schema: number("PRAGMA user_version")?,
        known_schema: SCHEMA_VERSION,
        generation: number("SELECT max(seq) FROM commits")?,
        days: number("SELECT count(DISTINCT date) FROM segments WHERE seq_removed IS NULL")?,
        ..Look::default()
    };
    let mut statement = db.prepare("SELECT status, count(*) FROM files GROUP BY status")?;
    look.files = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut statement = db.prepare("SELECT path, rows, bytes, max_time FROM segments WHERE seq_removed IS NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (path, count, bytes): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        look.newest = look.newest.max(row.get(3)?);
        look.segments += 1;
        look.bytes += bytes;
        *(if path.starts_with("copies/") { &mut look.copies } else { &mut look.events }) += count;
        if let Err(why) = looks_whole(&root.join(&path), bytes.unsigned_abs()) {
            look.damaged.push((path, why.to_string()));
        }
    }
    drop(rows);
    drop(statement);
    // A segment that a commit replaced meanwhile is no damage.
    let mut visible = db.prepare("SELECT count(*) FROM segments WHERE path = ?1 AND seq_removed IS NULL")?;
    let mut still = Vec::new();
    for (path, why) in std::mem::take(&mut look.damaged) {
        if visible.query_row([&path], |row| row.get::<_, i64>(0))? > 0 {
            still.push((path, why));
        }
    }
    look.damaged = still;
    Ok(Some(look))
}

/// Whether a Parquet file has its length and its magic words; its pages are for `fsck`.
fn looks_whole(path: &Path, bytes: u64) -> io::Result<()> {
    let wrong = |why: String| Err(io::Error::other(why));
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != bytes {
        return wrong(format!("{found} bytes instead of {bytes}"));
    }
    let (mut head, mut tail) = ([0; 4], [0; 4]);
    file.read_exact(&mut head)?;
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut tail)?;
    if &head != b"PAR1" || &tail != b"PAR1" {
        return wrong("it is no Parquet file".to_owned());
    }
    Ok(())
}

/// Who watches the inbox of a catalog, as its lock tells; `None` where nobody does.
pub fn owner(root: &Path) -> io::Result<Option<String>> {
    let path = root.join("locks").join("owner");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let note = fs::read_to_string(&path).unwrap_or_default();
            Ok(Some(if note.trim().is_empty() { "another process".to_owned() } else { note.trim().to_owned() }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Bytes on disk of everything below a folder; 0 if it is not there.
pub fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
            _ => 0,
        })
        .sum()
}

/// The folder itself, or the nearest one above it that is there.
pub fn nearest(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// The kind of network filesystem that a folder is on, if it is on one.
pub fn network(folder: &Path) -> io::Result<Option<&'static str>> {
    layout::Layout::at(folder)?.network()
}

/// Bytes that may still be written to the filesystem of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
