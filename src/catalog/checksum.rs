//! What each file of the catalog hashes to, so that a flipped bit is found; Parquet pages that are written
//! here carry no checksums of their own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Error, Result, layout};

/// The size and the hash of a file.
pub type Sum = (i64, i64);

/// The table of hashes, by path below the catalog's folder.
pub const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS checksums (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, xxh3 INTEGER NOT NULL)";

/// A new file that is hashed while it is written, from its beginning to its end.
pub(super) struct Hashed {
    file: File,
    hasher: xxhash_rust::xxh3::Xxh3,
    bytes: i64,
}

impl Hashed {
    /// Creates a file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: layout::create_new(path)?, hasher: xxhash_rust::xxh3::Xxh3::new(), bytes: 0 })
    }

    /// The file and what it hashes to.
    pub(super) fn end(self) -> (File, Sum) {
        (self.file, (self.bytes, self.hasher.digest().cast_signed()))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += i64::try_from(written).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Notes the files that a commit brought, and forgets those that it took away. `known`: what some of them
/// hash to, found while they were written.
pub fn record(db: &Connection, root: &Path, seq: i64, known: &HashMap<String, Sum>) -> Result<()> {
    const PATHS: &str = "SELECT path FROM segments WHERE seq_CHANGE = ?1
       UNION ALL SELECT 'keys/' || path FROM segments WHERE seq_CHANGE = ?1
       UNION ALL SELECT path FROM rollups WHERE seq_CHANGE = ?1";
    for path in paths(db, &PATHS.replace("CHANGE", "added"), seq)? {
        let sum = known.get(&path).map_or_else(|| hash_file(&root.join(&path)), |sum| Ok(*sum))?;
        put(db, &path, sum)?;
    }
    for path in paths(db, &PATHS.replace("CHANGE", "removed"), seq)? {
        db.execute("DELETE FROM checksums WHERE path = ?1", [path])?;
    }
    Ok(())
}

fn paths(db: &Connection, sql: &str, seq: i64) -> Result<Vec<String>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([seq], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes what a file hashes to now.
pub fn note(db: &Connection, root: &Path, path: &str) -> Result<()> {
    put(db, path, hash_file(&root.join(path))?)
}

fn put(db: &Connection, path: &str, (bytes, hash): (i64, i64)) -> Result<()> {
    db.execute("INSERT OR REPLACE INTO checksums (path, bytes, xxh3) VALUES (?1, ?2, ?3)", params![path, bytes, hash])?;
    Ok(())
}

/// The size and the hash of a file.
pub fn hash_file(path: &Path) -> Result<(i64, i64)> {
    let disk = |source| Error::Disk { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(disk)?;
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(disk)?;
        if read == 0 {
            return Ok((bytes, hasher.digest().cast_signed()));
        }
        bytes += i64::try_from(read).unwrap_or_default();
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// What is wrong with a file, if something is; `None` also where nothing was noted about it.
pub fn fault(db: &Connection, root: &Path, path: &str) -> Result<Option<String>> {
    if !root.join(path).is_file() {
        return Ok(Some("the file is missing".to_owned()));
    }
    let noted: Option<(i64, i64)> = db
        .query_row("SELECT bytes, xxh3 FROM checksums WHERE path = ?1", [path], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((bytes, hash)) = noted else { return Ok(None) };
    Ok(match hash_file(&root.join(path)) {
        Err(error) => Some(format!("it cannot be read: {error}")),
        Ok((found, _)) if found != bytes => Some(format!("it has {found} bytes and not {bytes}")),
        Ok((_, found)) if found != hash => Some("its content is not what was written (checksum)".to_owned()),
        Ok(_) => None,
    })
}
