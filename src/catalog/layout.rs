//! Every path on disk, built here and nowhere else; folders are 0700 and files 0600 (SPEC §12).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name that Hive-style readers use for "no value".
pub const NO_DATE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The catalog's folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below a folder; creates what is missing.
    pub fn create(root: &Path) -> io::Result<Self> {
        let layout = Self { root: std::path::absolute(root)? };
        for folder in ["", "locks", "staging", "events", "copies", "keys", "rollups", "rejects"] {
            make_dir(&layout.root.join(folder))?;
        }
        Ok(layout)
    }

    /// The catalog's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The control database.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.db")
    }

    /// A lock file by name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// Where unfinished files are written.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Rows that could not be read, one file a log file.
    pub fn rejects(&self) -> PathBuf {
        self.root.join("rejects")
    }

    /// A path of the catalog, given relative to its root.
    pub fn absolute(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

/// `date=…/event_type=…` of a partition.
pub fn partition(date: Option<i32>, role: &str) -> String {
    format!("{}/event_type={role}", date_folder(date))
}

/// `date=…` of a day (days since 1970).
pub fn date_folder(date: Option<i32>) -> String {
    let name = date
        .and_then(|days| chrono::DateTime::from_timestamp(i64::from(days) * 86_400, 0))
        .map_or_else(|| NO_DATE.to_owned(), |day| day.format("%Y-%m-%d").to_string());
    format!("date={name}")
}

/// Creates a folder and its parents with mode 0700.
pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a file with mode 0600; it must not exist.
pub fn create_new(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(path)
}

/// Makes a folder's entries durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Renames a durable file into place and makes the name durable, with the folders that were new.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    let Some(folder) = to.parent() else {
        return fs::rename(from, to);
    };
    let mut fresh = Vec::new();
    let mut missing = folder;
    while !missing.exists() {
        fresh.push(missing.to_owned());
        match missing.parent() {
            Some(parent) => missing = parent,
            None => break,
        }
    }
    make_dir(folder)?;
    fs::rename(from, to)?;
    sync_dir(folder)?;
    for new in fresh {
        if let Some(parent) = new.parent() {
            sync_dir(parent)?;
        }
    }
    Ok(())
}

/// Writes a file whole or not at all: a temporary file beside it, made durable, then renamed.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(folder)
}
