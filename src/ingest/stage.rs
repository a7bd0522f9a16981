//! One stream, start to finish: read, hash, frame and decode on this thread, sort, add up and encode on
//! another; nothing becomes visible here.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::decode::{Decoder, NameRole, Partition, RolePlan, Tally};
use super::derive::Rules;
use super::frame::{Content, Frame, Framer};
use super::header::{self, Names, Plan, delimiter_of, is_type_cell, looks_like_header};
use super::json;
use super::open::Member;
use super::reject::Rejects;
use super::{Error, Result};
use crate::catalog::commit::{Staging, blank_segment, segment_path, unique};
use crate::catalog::control::Segment;
use crate::catalog::rollup;
use crate::catalog::write::{SegmentWriter, Staged};
use crate::event::RecordType;
use crate::event::schema::DECODED;

/// Rows that go to the encoder at a time: few enough that both threads are busy within one file.
const CHUNK_ROWS: usize = 16 * 1024;
/// Bytes that decoded rows may hold before the largest partition is written.
const CHUNK_BYTES: usize = 96 << 20;
/// Segments that are open at a time; files with many dates close and reopen.
const OPEN_SEGMENTS: usize = 24;
/// Rows between looks at the clock.
const TICK_ROWS: u64 = 2048;
/// Time between progress reports.
const TICK: Duration = Duration::from_millis(100);

/// What a stream was found to be; its rows are on disk, not yet visible.
#[derive(Debug)]
pub struct StagedFile {
    /// Its segments.
    pub segments: Vec<Staged>,
    /// What its rows add up to.
    pub rollup: rollup::Builder,
    /// Counts.
    pub tally: Tally,
    /// How its rows got their role.
    pub roles: RolePlan,
    /// Rows put aside.
    pub rejects: Rejects,
    /// What the stream was found to hold.
    pub content: Content,
}

/// What is needed to read a stream.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What rows mean.
    pub rules: &'a Rules,
    /// Configured column names.
    pub names: &'a Names,
    /// The longest record.
    pub max_record: usize,
    /// Where unfinished files go.
    pub staging: &'a Staging,
    /// The file's id.
    pub file_id: i64,
    /// Lengths of known contents; the stream may be one of them, grown.
    pub known_lengths: &'a [u64],
    /// Where the stream begins, if it is the continuation of another.
    pub first: Place,
    /// Set when the program is asked to stop.
    pub stop: &'a AtomicBool,
}

/// A place in a file: how many rows, lines and bytes are before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Rows, those put aside included.
    pub row: u64,
    /// Lines.
    pub line: u64,
    /// Bytes.
    pub offset: u64,
}

/// Rows and rejected rows so far, for progress.
pub type Tick<'t> = &'t mut dyn FnMut(u64, u64);

/// Reads a stream. `roles`: how rows get their role, or `None` to tell from its beginning; if its end
/// tells otherwise, [`Error::Roles`] says what is right.
pub fn stage(context: Context<'_>, member: Member, roles: Option<RolePlan>, tick: Tick<'_>) -> Result<StagedFile> {
    let name_role = NameRole::of(&member.name);
    let name = member.name.clone();
    let mut framer = Framer::new(member.reader, context.max_record);
    framer.mark(context.known_lengths.to_vec());
    let beginning = framer.peek().map_err(Error::Read)?;
    let skipped = prologue(beginning)?;
    framer.skip(skipped);
    let beginning = framer.peek().map_err(Error::Read)?;
    let start = Start::of(beginning, context.names, name_role)?;
    let roles = roles.unwrap_or_else(|| RolePlan::of(start.types, name_role));
    framer.expect(start.delimiter, start.plan.width);
    let (header, json) = (start.header, start.json);
    let mut decoder =
        Decoder::new(context.rules, context.names, start.plan, start.delimiter, roles, name_role, context.file_id);
    let mut rejects = Rejects::new(&context.staging.path().join(format!("{}.rejects.csv", unique())), &name);
    rejects.before = (context.first.line, context.first.offset);
    decoder.first_row = context.first.row;

    let (sender, receiver) = sync_channel(1);
    let staging = context.staging.path();
    let (read, encoded) = std::thread::scope(|scope| {
        let encoder = scope.spawn(move || encode(staging, &receiver));
        let read = if json {
            read_objects(context, &mut framer, &mut decoder, &mut rejects, &sender, tick)
        } else {
            read_rows(context, &header, &mut framer, &mut decoder, &mut rejects, &sender, tick)
        };
        drop(sender);
        let encoded = encoder.join().unwrap_or_else(|_| Err(Error::Broken("the encoder stopped unexpectedly")));
        (read, encoded)
    });
    // The encoder's error explains why the reader could not hand over its rows.
    let (segments, rollup) = encoded?;
    read?;
    let tally = decoder.tally.clone();
    let right = RolePlan::of(tally.types(), name_role);
    if tally.rows > 0 && right != roles {
        return Err(Error::Roles(right));
    }
    let content = framer.finish().map_err(Error::Read)?;
    Ok(StagedFile { segments, rollup, tally, roles, rejects, content })
}

type Batch = (Partition, RecordBatch, Vec<u64>);

fn read_rows<R: std::io::Read>(
    context: Context<'_>,
    header: &[u8],
    framer: &mut Framer<R>,
    decoder: &mut Decoder<'_>,
    rejects: &mut Rejects,
    sender: &SyncSender<Batch>,
    tick: Tick<'_>,
) -> Result<()> {
    let mut last = Instant::now();
    let mut count = 0u64;
    loop {
        count += 1;
        if count.is_multiple_of(TICK_ROWS) {
            if context.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if last.elapsed() >= TICK {
                last = Instant::now();
                tick(decoder.tally.rows, rejects.count);
            }
        }
        let (span, reason) = match framer.next_frame().map_err(Error::Read)? {
            Frame::End => break,
            Frame::Record(span) => {
                let record = without_hole(framer.bytes(&span));
                let delimiter = decoder.delimiter();
                if record.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0) || *byte == delimiter)
                    || (!header.is_empty() && record == header)
                {
                    continue;
                }
                if begins_like_header(record) {
                    if let Some(width) = follow_header(context.names, decoder, record) {
                        framer.expect(decoder.delimiter(), width);
                    }
                    continue;
                }
                match decoder.decode(record, span.terminated) {
                    Ok(()) => {
                        if let Some(partition) = decoder.full_chunk(CHUNK_ROWS, CHUNK_BYTES) {
                            hand_over(decoder, partition, sender)?;
                        }
                        continue;
                    }
                    Err(_) if looks_like_header(&decoder.cells_of(record)) => {
                        if let Some(width) = follow_header(context.names, decoder, record) {
                            framer.expect(decoder.delimiter(), width);
                        }
                        continue;
                    }
                    Err(_) if is_remark(record) => continue,
                    Err(reason) if span.terminated => (span, reason),
                    Err(reason) => (span, format!("the last line is cut off: {reason}")),
                }
            }
            Frame::Unterminated(span) => (span, "a quote is opened and not closed".to_owned()),
            Frame::TooLong(span) => {
                (span, format!("longer than {} bytes (`ingest.max_record_bytes`)", context.max_record))
            }
        };
        rejects.push(span.line, span.offset, &reason, framer.bytes(&span)).map_err(Error::Rejects)?;
    }
    for partition in decoder.partitions() {
        hand_over(decoder, partition, sender)?;
    }
    Ok(())
}

/// As [`read_rows`], of JSON.
fn read_objects<R: std::io::Read>(
    context: Context<'_>,
    framer: &mut Framer<R>,
    decoder: &mut Decoder<'_>,
    rejects: &mut Rejects,
    sender: &SyncSender<Batch>,
    tick: Tick<'_>,
) -> Result<()> {
    let mut objects = json::Objects::default();
    let mut transcoder = json::Transcoder::default();
    let mut last = Instant::now();
    let typed_by_name = decoder.name_role() != NameRole::Silent;
    for count in 1u64.. {
        if count.is_multiple_of(TICK_ROWS) {
            if context.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if last.elapsed() >= TICK {
                last = Instant::now();
                tick(decoder.tally.rows, rejects.count);
            }
        }
        let span = match objects.next(framer, context.max_record).map_err(Error::Read)? {
            json::Found::End => break,
            json::Found::Object(span) => span,
            json::Found::Bad(bad) => {
                rejects.push(bad.line, bad.offset, &bad.reason, &bad.text).map_err(Error::Rejects)?;
                continue;
            }
        };
        let object = framer.bytes(&span);
        let outcome = transcoder.record(object, context.names, typed_by_name).and_then(|(record, plan)| {
            if let Some(plan) = plan {
                decoder.set_plan(plan.clone());
            }
            decoder.decode(record, true)
        });
        if let Err(reason) = outcome {
            rejects.push(span.line, span.offset, &reason, object).map_err(Error::Rejects)?;
        } else if let Some(partition) = decoder.full_chunk(CHUNK_ROWS, CHUNK_BYTES) {
            hand_over(decoder, partition, sender)?;
        }
    }
    for partition in decoder.partitions() {
        hand_over(decoder, partition, sender)?;
    }
    Ok(())
}

fn hand_over(decoder: &mut Decoder<'_>, partition: Partition, sender: &SyncSender<Batch>) -> Result<()> {
    if let Some((batch, keys)) = decoder.take(partition)? {
        sender.send((partition, batch, keys)).map_err(|_| Error::Broken("the encoder stopped"))?;
    }
    Ok(())
}

/// A record without what a truncated or joined file leaves before it: NULs, or a byte order mark.
fn without_hole(record: &[u8]) -> &[u8] {
    let nuls = record.iter().take_while(|byte| **byte == 0).count();
    let record = record.get(nuls..).unwrap_or_default();
    record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record)
}

/// Whether a line that is no row is a comment, or Excel's line that names the delimiter.
fn is_remark(record: &[u8]) -> bool {
    record.starts_with(b"#") || (record.len() == 5 && record.starts_with(b"sep="))
}

/// Whether a line starts with `type` or `#type` as its first cell.
pub(super) fn begins_like_header(record: &[u8]) -> bool {
    let record = record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record);
    let record = record.strip_prefix(b"\"").unwrap_or(record);
    let record = record.strip_prefix(b"#").unwrap_or(record);
    record.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"type"))
        && record.get(4).is_none_or(|next| !next.is_ascii_alphanumeric())
}

/// A header in mid-stream: the same again is passed over, another one takes effect from here on.
fn follow_header(names: &Names, decoder: &mut Decoder<'_>, record: &[u8]) -> Option<usize> {
    let cells = decoder.cells_of(record);
    let plan = Plan::of_header(&cells, names, true).ok()?;
    if plan == *decoder.plan() {
        return None;
    }
    let width = plan.width;
    decoder.set_plan(plan);
    Some(width)
}

/// Bytes before the first record: a byte order mark, or a hole of NULs that a truncated file left.
/// Content that is no CSV is refused here.
fn prologue(beginning: &[u8]) -> Result<usize> {
    let refuse = |what: &str, hint: &str| Err(Error::NotCsv { what: what.to_owned(), hint: hint.to_owned() });
    if let Some((what, hint)) = super::open::foreign(beginning) {
        return refuse(what, hint);
    }
    if beginning.trim_ascii_start().starts_with(b"<") {
        return refuse("it is XML or HTML", "let PowerMTA write CSV accounting files");
    }
    if beginning.starts_with("\u{feff}".as_bytes()) {
        return Ok(3);
    }
    if memchr::memchr(b'\n', beginning).is_none()
        && beginning.split(|byte| *byte == b'\r').filter(|line| !line.is_empty()).count() > 1
    {
        return refuse(
            "its lines end with a carriage return alone",
            "convert the line ends, for example with `mac2unix`",
        );
    }
    let nuls = beginning.iter().take_while(|byte| **byte == 0).count();
    // The first line decides: holes further down are no reason to doubt the rest.
    let sample = beginning[nuls..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let sample = &sample[..sample.len().min(4096)];
    let binary = sample.iter().filter(|byte| **byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x1b)).count();
    if binary * 10 > sample.len() {
        return refuse("it is binary", "old PowerMTA releases wrote binary accounting; use CSV");
    }
    Ok(nuls)
}

/// What the first lines tell.
struct Start {
    plan: Plan,
    delimiter: u8,
    types: u8,
    /// The header line; empty where there is none.
    header: Vec<u8>,
    /// Rows are JSON objects.
    json: bool,
}

/// Lines that may stand before the header or the first row: comments, and the rest of a row that was cut.
const LINES_BEFORE: usize = 50;

impl Start {
    fn of(beginning: &[u8], names: &Names, name_role: NameRole) -> Result<Self> {
        let typed_by_name = name_role != NameRole::Silent;
        if json::is_json(beginning) {
            let (plan, types) =
                json::start(beginning, names, typed_by_name).map_err(|(line, error)| Error::Header { line, error })?;
            return Ok(Self { plan, delimiter: b',', types, header: Vec::new(), json: true });
        }
        let lines = || {
            let lines = beginning.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            lines.map(without_hole).enumerate().filter(|(_, line)| !line.is_empty())
        };
        let mut first = None;
        for (index, line) in lines().take(LINES_BEFORE) {
            let delimiter = delimiter_of(line);
            let cells = split(line, delimiter);
            let refuse = |error| Error::Header { line: index + 1, error };
            if looks_like_header(&cells) {
                Plan::spelling(&cells).map_err(refuse)?;
                let plan = Plan::of_header(&cells, names, typed_by_name).map_err(refuse)?;
                let types = types(lines().map(|(_, line)| line), &plan, delimiter);
                return Ok(Self { plan, delimiter, types, header: line.to_vec(), json: false });
            }
            let count = cells.len();
            let cell = |index: usize| cells.get(index).map_or("", String::as_str);
            if let Some(record) = RecordType::of_cell(cell(0)) {
                let imprinted = header::is_imprinted(count, cell(3), cell(5));
                if let Some(plan) = Plan::of_layout(record, count, imprinted, names) {
                    let types = types(lines().map(|(_, line)| line), &plan, delimiter);
                    return Ok(Self { plan, delimiter, types, header: Vec::new(), json: false });
                }
            }
            if first.is_none() && !is_remark(line) {
                let error = match RecordType::of_cell(cell(0)) {
                    Some(record) if count > 1 => header::Error::NoHeader { record, count },
                    _ => Plan::spelling(&cells)
                        .err()
                        .unwrap_or_else(|| header::Error::Unknown { count, found: shown(&cells) }),
                };
                first = Some(refuse(error));
            }
        }
        match first {
            Some(error) => Err(error),
            None => Ok(Self { plan: Plan::default(), delimiter: b',', types: 0, header: Vec::new(), json: false }),
        }
    }
}

/// The record types of whole lines.
fn types<'a>(lines: impl Iterator<Item = &'a [u8]>, plan: &Plan, delimiter: u8) -> u8 {
    let mut types = 0;
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        // The last line of the block may be cut.
        if lines.peek().is_none() {
            break;
        }
        let cell = split(line, delimiter).into_iter().nth(plan.record_type.unwrap_or_default()).unwrap_or_default();
        if let Some(record) = RecordType::of_cell(&cell)
            && !is_type_cell(&cell)
        {
            types |= 1 << record.index();
        }
    }
    types
}

fn shown(cells: &[String]) -> String {
    cells.iter().take(12).map(|cell| cell.chars().take(40).collect::<String>()).collect::<Vec<_>>().join(", ")
}

fn split(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut cells = super::cells::Cells::default();
    cells.split(line, delimiter);
    (0..cells.len()).map(|index| cells.text(line, index).into_owned()).collect()
}

/// The encoder's thread: batches → segments and rollup cells.
fn encode(staging: &Path, receiver: &Receiver<Batch>) -> Result<(Vec<Staged>, rollup::Builder)> {
    let mut writers: HashMap<Partition, SegmentWriter> = HashMap::new();
    let mut finished = Vec::new();
    let mut rollup = rollup::Builder::default();
    for (partition, batch, keys) in receiver {
        rollup.add(&batch, 0, 1)?;
        if !writers.contains_key(&partition) {
            if writers.len() >= OPEN_SEGMENTS {
                for (_, writer) in writers.drain() {
                    finished.push(writer.finish()?);
                }
            }
            let (date, role) = partition;
            let name = unique();
            let segment = blank_segment(date, role.as_str(), 0);
            let segment = Segment { path: segment_path(&segment, &name), ..segment };
            writers.insert(partition, SegmentWriter::create(staging, &name, segment, &DECODED)?);
        }
        if let Some(writer) = writers.get_mut(&partition) {
            writer.write(&batch, keys)?;
        }
    }
    for (_, writer) in writers {
        finished.push(writer.finish()?);
    }
    Ok((finished, rollup))
}
