//! What is done to records after framing: decode, add up, sort and encode, all on one thread. A file of
//! some size has several workers, each with segments of its own.

use hashbrown::HashMap;

use super::decode::{Decoder, Partition, Tally};
use super::header::{Plan, looks_like_header};
use super::stage::{Context, is_remark};
use super::{Error, Result};
use crate::catalog::commit::{blank_segment, segment_path, unique};
use crate::catalog::control::Segment;
use crate::catalog::rollup;
use crate::catalog::write::{SegmentWriter, Staged};
use crate::event::schema::DECODED;

/// Rows that are encoded at a time.
const CHUNK_ROWS: usize = 16 * 1024;
/// Bytes that decoded rows of a file may hold before the largest partition is written.
const CHUNK_BYTES: usize = 96 << 20;
/// Segments that a worker has open at a time; files with many dates close and reopen.
const OPEN_SEGMENTS: usize = 24;

/// What became of a record.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is an event.
    Event,
    /// It cannot be read, for this reason.
    Rejected(String),
    /// It is a header that does not begin with `type`.
    Header,
    /// It is a comment.
    Remark,
}

/// What one worker made of its records; on disk, not yet visible.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) segments: Vec<Staged>,
    pub(super) rollup: rollup::Builder,
    pub(super) tally: Tally,
}

impl Part {
    /// Adds another worker's part of the same file.
    pub(super) fn join(&mut self, other: Self) {
        self.segments.extend(other.segments);
        self.rollup.join(other.rollup);
        self.tally.join(&other.tally);
    }
}

/// Turns records into segments and rollup cells.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    context: Context<'a>,
    pub(super) decoder: Decoder<'a>,
    writers: HashMap<Partition, SegmentWriter>,
    finished: Vec<Staged>,
    rollup: rollup::Builder,
    known: rollup::Known,
    most_bytes: usize,
}

impl<'a> Worker<'a> {
    /// One of so many workers on a file.
    pub(super) fn new(context: Context<'a>, decoder: Decoder<'a>, workers: usize) -> Self {
        Self {
            context,
            decoder,
            writers: HashMap::new(),
            finished: Vec::new(),
            rollup: rollup::Builder::default(),
            known: rollup::Known::default(),
            most_bytes: CHUNK_BYTES / workers,
        }
    }

    /// Takes a record, with its number among the file's rows.
    pub(super) fn record(&mut self, record: &[u8], terminated: bool, number: u64) -> Result<Fate> {
        match self.decoder.decode(record, terminated, number) {
            Ok(()) => {
                self.write_full()?;
                Ok(Fate::Event)
            }
            Err(_) if looks_like_header(&self.decoder.cells_of(record)) => Ok(Fate::Header),
            Err(_) if is_remark(record) => Ok(Fate::Remark),
            Err(reason) if terminated => Ok(Fate::Rejected(reason)),
            Err(reason) => Ok(Fate::Rejected(format!("the last line is cut off: {reason}"))),
        }
    }

    /// Takes a record made of an object; the reason if it cannot be read.
    pub(super) fn object(&mut self, record: &[u8], number: u64) -> Result<Option<String>> {
        match self.decoder.decode(record, true, number) {
            Ok(()) => self.write_full().map(|()| None),
            Err(reason) => Ok(Some(reason)),
        }
    }

    fn write_full(&mut self) -> Result<()> {
        match self.decoder.full_chunk(CHUNK_ROWS, self.most_bytes) {
            Some(partition) => self.write(partition),
            None => Ok(()),
        }
    }

    /// Another header is in force.
    pub(super) fn follow(&mut self, plan: &Plan) {
        if plan != self.decoder.plan() {
            self.decoder.set_plan(plan.clone());
        }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<Part> {
        for partition in self.decoder.partitions() {
            self.write(partition)?;
        }
        self.close()?;
        Ok(Part { segments: self.finished, rollup: self.rollup, tally: self.decoder.tally })
    }

    fn close(&mut self) -> Result<()> {
        for (_, writer) in self.writers.drain() {
            self.finished.push(writer.finish()?);
        }
        Ok(())
    }

    fn write(&mut self, partition: Partition) -> Result<()> {
        let Some((batch, keys)) = self.decoder.take(partition)? else { return Ok(()) };
        self.rollup.add_fresh(&batch, &mut self.known)?;
        if !self.writers.contains_key(&partition) {
            if self.writers.len() >= OPEN_SEGMENTS {
                self.close()?;
            }
            let writer = self.segment(partition)?;
            self.writers.insert(partition, writer);
        }
        match self.writers.get_mut(&partition) {
            Some(writer) => Ok(writer.write(&batch, keys)?),
            None => Err(Error::Broken("a segment was lost")),
        }
    }

    fn segment(&self, (date, role): Partition) -> Result<SegmentWriter> {
        let name = unique();
        let segment = blank_segment(date, role.as_str(), 0);
        let segment = Segment { path: segment_path(&segment, &name), ..segment };
        Ok(SegmentWriter::create(self.context.staging.path(), &name, segment, &DECODED)?)
    }
}
