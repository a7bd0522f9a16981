//! Files on their way in and files in the catalog, as one list: live progress beside the file table.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::ingest::progress::{Progress, Status};
use crate::query::question::Sort;
use crate::query::table::{Table, Value};

/// One column of the Files tab.
#[derive(Debug)]
pub struct FileColumn {
    /// Its name in the report.
    pub name: &'static str,
    /// Its name in the head line.
    pub title: &'static str,
    /// Columns with a greater number are dropped first when the screen is narrow.
    pub priority: u8,
}

const fn column(name: &'static str, title: &'static str, priority: u8) -> FileColumn {
    FileColumn { name, title, priority }
}

/// The columns of the Files tab.
pub const FILE_COLUMNS: &[FileColumn] = &[
    column("status", "status", 0),
    column("name", "name", 0),
    column("type", "type", 2),
    column("bytes", "size", 2),
    column("progress", "progress", 1),
    column("rows", "rows", 1),
    column("rejected_rows", "bad rows", 1),
    column("merged_rows", "merged", 5),
    column("from", "from", 3),
    column("to", "to", 3),
    column("received_at", "received", 4),
];

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its role; empty while unknown.
    pub role: String,
    /// How it was read where that may surprise; else empty.
    pub reading: String,
    /// Its state; `None` for a word we don't know.
    pub status: Option<Status>,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes read so far, while it is read.
    pub read: u64,
    /// Rows.
    pub rows: i64,
    /// Rows put aside.
    pub rejected_rows: i64,
    /// Rows that other files hold too.
    pub merged_rows: i64,
    /// Rows per second, while it is read.
    pub rows_per_second: f64,
    /// When it came.
    pub received_at: Option<i64>,
    /// Its first event.
    pub from: Option<i64>,
    /// Its last event.
    pub to: Option<i64>,
    /// SHA-256 of its content.
    pub sha256: String,
    /// What went wrong, in full.
    pub error: String,
}

impl FileRow {
    /// Seconds until it is in, while that can be told.
    pub fn seconds_left(&self) -> Option<f64> {
        let rows = self.rows as f64;
        if self.rows_per_second <= 0.0 || rows <= 0.0 || self.read == 0 || self.bytes <= self.read {
            return None;
        }
        let bytes_per_second = self.rows_per_second * self.read as f64 / rows;
        Some((self.bytes - self.read) as f64 / bytes_per_second)
    }

    /// Active files first, then those in trouble or done.
    const fn rank(&self) -> u8 {
        match self.status {
            Some(Status::Ingesting) => 0,
            Some(Status::Queued) => 1,
            _ => 2,
        }
    }
}

/// A row that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reject {
    /// Its line.
    pub line: String,
    /// Its offset in bytes.
    pub offset: String,
    /// Why.
    pub reason: String,
    /// What it says.
    pub row: String,
}

/// Whether a state is the last one.
pub const fn is_final(status: Status) -> bool {
    !matches!(status, Status::Queued | Status::Ingesting)
}

/// Files on their way in.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    live: Vec<Progress>,
    index: HashMap<PathBuf, usize>,
    total: usize,
    finished: usize,
}

impl Incoming {
    /// A file is further; true if it just reached its last state.
    pub fn take(&mut self, progress: Progress) -> bool {
        let ended = is_final(progress.status);
        let known = self.index.get(&progress.path).copied();
        let was_open = known.and_then(|at| self.live.get(at)).is_some_and(|file| !is_final(file.status));
        // What ended may be said twice; it is no other file then.
        if !was_open && !ended {
            if self.finished == self.total {
                (self.finished, self.total) = (0, 0);
            }
            self.total += 1;
        }
        if was_open && ended {
            self.finished += 1;
        }
        if let Some(file) = known.and_then(|at| self.live.get_mut(at)) {
            *file = progress;
        } else {
            self.index.insert(progress.path.clone(), self.live.len());
            self.live.push(progress);
        }
        ended
    }

    /// The file table came: ended files that it holds are no longer news.
    pub fn settle(&mut self, table: &Table) {
        let in_table: HashMap<&str, &str> = (0..table.rows.len())
            .filter_map(|row| Some((table.cell(row, "path").as_text()?, table.cell(row, "status").as_text()?)))
            .collect();
        self.live.retain(|file| {
            let listed = in_table.get(file.path.to_string_lossy().as_ref());
            !is_final(file.status) || listed.and_then(|word| Status::parse(word)).is_none_or(|status| !is_final(status))
        });
        self.index = self.live.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
    }

    /// A file was removed: what it ended as is no news any more.
    pub fn forget(&mut self, path: &Path) {
        self.live.retain(|file| file.path != path || !is_final(file.status));
        self.index = self.live.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
    }

    /// Whether a file is on its way.
    pub const fn is_active(&self) -> bool {
        self.finished < self.total
    }

    /// Files ended and files in all, since nothing was on its way.
    pub const fn counts(&self) -> (usize, usize) {
        (self.finished, self.total)
    }

    /// Every file that is on its way or ended lately.
    pub fn live(&self) -> &[Progress] {
        &self.live
    }
}

/// Whether a progress is about a path that was added: the file itself, or a file below a folder or
/// within an archive.
pub fn belongs(progress: &Path, added: &Path) -> bool {
    progress == added
        || progress.starts_with(added)
        || progress.to_string_lossy().starts_with(added.to_string_lossy().as_ref())
        || (progress.file_name().is_some() && progress.file_name() == added.file_name())
}

/// The file table with live progress in it: active files first, then the newest.
pub fn rows(table: Option<&Table>, live: &[Progress], sort: Option<&Sort>) -> Vec<FileRow> {
    let mut rows: Vec<FileRow> = Vec::new();
    let mut by_path: HashMap<String, usize> = HashMap::new();
    if let Some(table) = table {
        for row in 0..table.rows.len() {
            let file = from_table(table, row);
            by_path.entry(file.path.clone()).or_insert(rows.len());
            rows.push(file);
        }
    }
    for progress in live {
        let path = progress.path.to_string_lossy().into_owned();
        if let Some(file) = by_path.get(&path).and_then(|at| rows.get_mut(*at)) {
            overlay(file, progress);
        } else {
            let mut file = blank(&path);
            overlay(&mut file, progress);
            rows.push(file);
        }
    }
    match sort {
        Some(sort) => {
            rows.sort_by(|a, b| {
                let order =
                    key(a, &sort.column).partial_cmp(&key(b, &sort.column)).unwrap_or(std::cmp::Ordering::Equal);
                if sort.descending { order.reverse() } else { order }
            });
        }
        None => rows.sort_by(|a, b| {
            let newest = |file: &FileRow| std::cmp::Reverse(file.received_at.unwrap_or(i64::MAX));
            a.rank().cmp(&b.rank()).then_with(|| newest(a).cmp(&newest(b)))
        }),
    }
    rows
}

/// What a column is sorted by: numbers first, then words.
fn key(file: &FileRow, column: &str) -> (f64, String) {
    let words = |text: &str| (0.0, text.to_lowercase());
    let number = |number: f64| (number, String::new());
    match column {
        "name" => words(&file.name),
        "type" => words(&file.role),
        "status" => words(file.status.map_or("", Status::as_str)),
        "bytes" => number(file.bytes as f64),
        "progress" => number(file.rows_per_second),
        "rows" => number(file.rows as f64),
        "rejected_rows" => number(file.rejected_rows as f64),
        "merged_rows" => number(file.merged_rows as f64),
        "from" => number(file.from.unwrap_or(0) as f64),
        "to" => number(file.to.unwrap_or(0) as f64),
        _ => number(file.received_at.unwrap_or(i64::MAX) as f64),
    }
}

fn blank(path: &str) -> FileRow {
    let name = Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned());
    FileRow {
        name,
        path: path.to_owned(),
        role: String::new(),
        reading: String::new(),
        status: None,
        bytes: 0,
        read: 0,
        rows: 0,
        rejected_rows: 0,
        merged_rows: 0,
        rows_per_second: 0.0,
        received_at: None,
        from: None,
        to: None,
        sha256: String::new(),
        error: String::new(),
    }
}

fn overlay(file: &mut FileRow, progress: &Progress) {
    file.status = Some(progress.status);
    file.read = progress.bytes;
    file.bytes = progress.total_bytes.max(progress.bytes).max(file.bytes);
    file.rows = i64::try_from(progress.rows).unwrap_or(i64::MAX);
    file.rejected_rows = i64::try_from(progress.rejected_rows).unwrap_or(i64::MAX);
    file.rows_per_second = progress.rows_per_second;
    file.error.clone_from(&progress.error);
}

fn from_table(table: &Table, row: usize) -> FileRow {
    let words = |column: &str| table.cell(row, column).as_text().unwrap_or_default().to_owned();
    let int = |column: &str| match table.cell(row, column) {
        Value::Int(number) | Value::Time(number) => Some(*number),
        _ => None,
    };
    FileRow {
        name: words("name"),
        role: words("type"),
        reading: words("reading"),
        status: Status::parse(&words("status")),
        bytes: int("bytes").and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        rows: int("rows").unwrap_or_default(),
        rejected_rows: int("rejected_rows").unwrap_or_default(),
        merged_rows: int("merged_rows").unwrap_or_default(),
        received_at: int("received_at"),
        from: int("from"),
        to: int("to"),
        sha256: words("sha256"),
        error: words("error"),
        ..blank(&words("path"))
    }
}

/// Up to when each file type is in: the newest `to` of its files.
pub fn newest_by_type(table: &Table) -> HashMap<String, i64> {
    let mut newest: HashMap<String, i64> = HashMap::new();
    for row in 0..table.rows.len() {
        if let (Some(role), Value::Int(to) | Value::Time(to)) =
            (table.cell(row, "type").as_text(), table.cell(row, "to"))
        {
            let known = newest.entry(role.to_owned()).or_insert(*to);
            *known = (*known).max(*to);
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(path: &str, status: Status) -> Progress {
        Progress {
            path: PathBuf::from(path),
            status,
            bytes: 50,
            total_bytes: 100,
            rows: 10,
            rejected_rows: 0,
            rows_per_second: 5.0,
            error: String::new(),
        }
    }

    #[test]
    fn a_batch_counts_its_files_and_begins_anew_when_all_ended() {
        let mut incoming = Incoming::default();
        incoming.take(progress("a", Status::Queued));
        incoming.take(progress("b", Status::Queued));
        incoming.take(progress("a", Status::Ingesting));
        assert!(incoming.take(progress("a", Status::Done)));
        incoming.take(progress("a", Status::Done));
        assert_eq!((incoming.counts(), incoming.is_active()), ((1, 2), true));
        incoming.take(progress("b", Status::Done));
        assert!(!incoming.is_active());
        incoming.take(progress("c", Status::Queued));
        assert_eq!(incoming.counts(), (0, 1));
    }

    #[test]
    fn the_time_left_follows_from_rows_per_second_and_bytes_a_row() {
        let rows = rows(None, &[progress("in/a.csv", Status::Ingesting)], None);
        assert_eq!(rows[0].name, "a.csv");
        assert_eq!(rows[0].seconds_left(), Some(2.0));
    }
}
