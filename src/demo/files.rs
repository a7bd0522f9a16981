//! The five families of accounting files on disk: each file is written under a hidden name and renamed when it is
//! whole, so that a watched inbox sees only complete files. Turns over at midnight and at a number of rows.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::truth::FileTruth;
use super::{Error, Options};

const SECONDS_PER_DAY: u32 = 86_400;
const BUFFER: usize = 1 << 20;

/// The families, in the order of their index.
pub(super) const FAMILIES: [&str; 5] = ["acct", "tran", "bounce", "fbl", "rb"];
pub(super) const ACCT: usize = 0;
pub(super) const TRAN: usize = 1;
pub(super) const BOUNCE: usize = 2;
pub(super) const FBL: usize = 3;
pub(super) const RB: usize = 4;

/// The record types, in the order of their index.
pub(super) const RECORDS: [&str; 8] = ["d", "b", "t", "tq", "r", "f", "rb", "rs"];

/// One file being written.
struct Open {
    file: File,
    buffer: Vec<u8>,
    hidden: PathBuf,
    name: String,
    rows: u64,
    own_rows: u64,
    records: [u64; 8],
    first: Option<u32>,
    last: u32,
}

/// One family: the file at hand, and the rows the next one will repeat.
#[derive(Default)]
struct Family {
    open: Option<Open>,
    day: u32,
    number: u32,
    tail: VecDeque<(usize, u32, Vec<u8>)>,
}

/// All files of a run.
pub(super) struct Files<'a> {
    dir: &'a Path,
    options: &'a Options,
    headers: [String; 5],
    families: [Family; 5],
    on_file: &'a mut dyn FnMut(&Path),
    /// What was written, by file name.
    pub written: BTreeMap<String, FileTruth>,
}

impl<'a> Files<'a> {
    /// Makes the folder when it isn't there.
    pub fn create(
        dir: &'a Path,
        options: &'a Options,
        headers: [String; 5],
        on_file: &'a mut dyn FnMut(&Path),
    ) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(|source| Error::write(dir, source))?;
        let families = Default::default();
        Ok(Self { dir, options, headers, families, on_file, written: BTreeMap::new() })
    }

    /// Adds a row (without its line end) to a family; starts a new file when the day or the row limit asks for it.
    pub fn row(&mut self, family: usize, record: usize, at: u32, row: &[u8]) -> Result<(), Error> {
        let day = at / SECONDS_PER_DAY;
        let limit = self.options.max_file_rows;
        if let Some(open) = &self.families[family].open {
            // Only between seconds: equal rows of one second must share a file, or they would count as one.
            let full = limit > 0 && open.own_rows >= limit && open.last != at;
            if full || self.families[family].day != day {
                self.close(family)?;
            }
        }
        if self.families[family].open.is_none() {
            self.open(family, day)?;
        }
        let keep = self.overlap(family);
        let line_end = self.line_end();
        let state = &mut self.families[family];
        if let Some(open) = &mut state.open {
            open.own_rows += 1;
            open.put(record, at, row, line_end)?;
        }
        if keep > 0 {
            let mut kept =
                if state.tail.len() >= keep { state.tail.pop_front().unwrap_or_default() } else { Default::default() };
            kept.0 = record;
            kept.1 = at;
            kept.2.clear();
            kept.2.extend_from_slice(row);
            state.tail.push_back(kept);
        }
        Ok(())
    }

    /// The file that a family writes at the moment, and how many rows it has.
    pub fn place(&self, family: usize) -> Option<(&str, u64)> {
        self.families[family].open.as_ref().map(|open| (open.name.as_str(), open.rows))
    }

    /// Closes what is open, so that a day's files are complete at midnight.
    pub fn close_all(&mut self) -> Result<(), Error> {
        (0..FAMILIES.len()).try_for_each(|family| self.close(family))
    }

    fn overlap(&self, family: usize) -> usize {
        if family == ACCT || family == TRAN {
            usize::try_from(self.options.overlap_rows).unwrap_or(usize::MAX)
        } else {
            0
        }
    }

    fn line_end(&self) -> &'static [u8] {
        if self.options.crlf { b"\r\n" } else { b"\n" }
    }

    fn open(&mut self, family: usize, day: u32) -> Result<(), Error> {
        let line_end = self.line_end();
        let state = &mut self.families[family];
        if state.day != day {
            state.day = day;
            state.number = 0;
        }
        let date = self.options.start + chrono::Days::new(u64::from(day));
        let name = format!("{}-{}-{:04}.csv", FAMILIES[family], date.format("%Y-%m-%d"), state.number);
        state.number += 1;
        let hidden = self.dir.join(format!(".{name}.part"));
        let file = File::create(&hidden).map_err(|source| Error::write(&hidden, source))?;
        let mut open = Open {
            file,
            buffer: Vec::with_capacity(BUFFER + 4_096),
            hidden,
            name,
            rows: 0,
            own_rows: 0,
            records: [0; 8],
            first: None,
            last: 0,
        };
        open.buffer.extend_from_slice(self.headers[family].as_bytes());
        open.buffer.extend_from_slice(line_end);
        for (record, at, row) in &state.tail {
            open.put(*record, *at, row, line_end)?;
        }
        state.open = Some(open);
        Ok(())
    }

    fn close(&mut self, family: usize) -> Result<(), Error> {
        let Some(mut open) = self.families[family].open.take() else {
            return Ok(());
        };
        open.flush()?;
        let path = self.dir.join(&open.name);
        fs::rename(&open.hidden, &path).map_err(|source| Error::write(&path, source))?;
        let truth = FileTruth {
            family: FAMILIES[family].to_owned(),
            rows: open.rows,
            records: by_record(&open.records),
            from: self.options.iso(open.first.unwrap_or(open.last)),
            to: self.options.iso(open.last),
        };
        self.written.insert(std::mem::take(&mut open.name), truth);
        (self.on_file)(&path);
        Ok(())
    }
}

impl Open {
    fn put(&mut self, record: usize, at: u32, row: &[u8], line_end: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(row);
        self.buffer.extend_from_slice(line_end);
        self.rows += 1;
        self.records[record] += 1;
        self.first.get_or_insert(at);
        self.last = at;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all(&self.buffer).map_err(|source| Error::write(&self.hidden, source))?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // After the rename there is nothing under this name; after a failure the half file goes.
        let _ = fs::remove_file(&self.hidden);
    }
}

/// Counts by record type, without those that never came.
pub(super) fn by_record(counts: &[u64; 8]) -> BTreeMap<String, u64> {
    RECORDS.iter().zip(counts).filter(|(_, n)| **n > 0).map(|(name, n)| ((*name).to_owned(), *n)).collect()
}
