//! Rows that could not be read: put aside into `rejects/` with file, line, byte offset, reason and text.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::catalog::layout;

/// The longest piece of a row that is kept.
const LONGEST: usize = 64 << 10;
/// Rows kept from one file; further ones are only counted.
const MOST: u64 = 100_000;

/// Collects the rejected rows of one file; the file on disk appears with the first of them.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    name: String,
    /// Lines and bytes of the file that are before what is read.
    pub before: (u64, u64),
    writer: Option<csv::Writer<BufWriter<File>>>,
    /// Rows put aside.
    pub count: u64,
    /// The first reason, with its line.
    pub first: Option<(u64, String)>,
}

impl Rejects {
    /// A collection that will be written to a path.
    pub fn new(path: &Path, name: &str) -> Self {
        Self { path: path.to_owned(), name: name.to_owned(), before: (0, 0), writer: None, count: 0, first: None }
    }

    /// Puts a row aside.
    pub fn push(&mut self, line: u64, offset: u64, reason: &str, row: &[u8]) -> io::Result<()> {
        let (line, offset) = (line + self.before.0, offset + self.before.1);
        self.count += 1;
        if self.first.is_none() {
            self.first = Some((line, reason.to_owned()));
        }
        if self.count > MOST {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            slot => {
                let file = layout::create_new(&self.path)?;
                let mut writer = csv::Writer::from_writer(BufWriter::new(file));
                writer.write_record(["file", "line", "offset", "reason", "row"]).map_err(io::Error::other)?;
                slot.insert(writer)
            }
        };
        let kept = &row[..row.len().min(LONGEST)];
        writer
            .write_record([
                self.name.as_bytes(),
                line.to_string().as_bytes(),
                offset.to_string().as_bytes(),
                reason.as_bytes(),
                kept,
            ])
            .map_err(io::Error::other)
    }

    /// Makes the rows durable and moves them to their place.
    pub fn finish(self, place: &Path) -> io::Result<()> {
        let Some(mut writer) = self.writer else { return Ok(()) };
        writer.flush()?;
        let mut inner = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        inner.flush()?;
        inner.get_ref().sync_all()?;
        layout::publish(&self.path, place)
    }
}
