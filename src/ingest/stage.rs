//! One stream, start to finish: what its beginning tells, then all its records, by one worker or by several;
//! nothing becomes visible here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::blocks::in_blocks;
use super::cells::Cells;
use super::decode::{Decoder, NameRole, RolePlan, Tally};
use super::derive::Rules;
use super::frame::{Content, Frame, Framer, Span};
use super::header::{self, Names, Plan, delimiter_of, is_type_cell, looks_like_header};
use super::json;
use super::open::Member;
use super::reject::Rejects;
use super::worker::{Fate, Part, Worker};
use super::{Error, Result};
use crate::catalog::commit::{Staging, unique};
use crate::catalog::rollup;
use crate::catalog::write::Staged;
use crate::event::RecordType;

/// Bytes below which a file has one worker and one segment a partition: more would cost more than it gains.
const SMALL: u64 = 4 << 20;
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
    /// Whether records are to be decoded in their order, by one worker: a header in mid-stream asks for it.
    pub in_order: bool,
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
    let mut framer = Framer::new(member.reader, context.max_record);
    framer.mark(context.known_lengths.to_vec());
    let beginning = framer.peek().map_err(Error::Read)?;
    let skipped = prologue(beginning)?;
    framer.skip(skipped);
    let beginning = framer.peek().map_err(Error::Read)?;
    let start = Start::of(beginning, context.names, name_role)?;
    let roles = roles.unwrap_or_else(|| RolePlan::of(start.types, name_role));
    framer.expect(start.delimiter, start.plan.width);
    let small = framer.is_whole() || (member.plain && member.total < SMALL);
    let count = if small || start.json || context.in_order { 1 } else { super::intake::cores() };
    let mut workers = (0..count).map(|_| {
        let (rules, names, plan) = (context.rules, context.names, start.plan.clone());
        let decoder = Decoder::new(rules, names, plan, start.delimiter, roles, name_role, context.file_id);
        Worker::new(context, decoder, count)
    });
    let mut rejects = Rejects::new(&context.staging.path().join(format!("{}.rejects.csv", unique())), &member.name);
    rejects.before = (context.first.line, context.first.offset);
    let mut clock = Clock { context, header: &start.header, tick, last: Instant::now() };
    let part = if start.json {
        objects(&mut framer, workers.next(), &mut rejects, &mut clock)?
    } else if count == 1 {
        one_by_one(&mut framer, workers.next(), &mut rejects, &mut clock)?
    } else {
        in_blocks(&mut framer, workers.collect(), &mut rejects, &mut clock)?
    };
    let Part { segments, rollup, tally } = part;
    let right = RolePlan::of(tally.types(), name_role);
    if tally.rows > 0 && right != roles {
        return Err(Error::Roles(right));
    }
    let content = framer.finish().map_err(Error::Read)?;
    Ok(StagedFile { segments, rollup, tally, roles, rejects, content })
}

/// Looks now and then whether to stop or to tell how far things are.
pub(super) struct Clock<'a, 't> {
    pub(super) context: Context<'a>,
    /// The header line; empty where there is none.
    header: &'a [u8],
    tick: Tick<'t>,
    last: Instant,
}

impl Clock<'_, '_> {
    pub(super) fn look(&mut self, rows: u64, rejected: u64) -> Result<()> {
        if self.context.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if self.last.elapsed() >= TICK {
            self.last = Instant::now();
            (self.tick)(rows, rejected);
        }
        Ok(())
    }
}

/// What comes next, blank lines left out.
pub(super) enum Next {
    /// A record, to be decoded.
    Record(Span),
    /// A line that begins like a header.
    Header(Span),
    /// What is no record, and why.
    Refused(Span, String),
    /// Nothing.
    End,
}

/// The next record, header or refused line.
pub(super) fn next_record<R: std::io::Read>(framer: &mut Framer<R>, clock: &Clock<'_, '_>) -> Result<Next> {
    loop {
        return Ok(match framer.next_frame().map_err(Error::Read)? {
            Frame::End => Next::End,
            Frame::Record(span) => {
                let record = without_hole(framer.bytes(&span));
                let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | 0) || *byte == framer.delimiter();
                if record.iter().all(blank) {
                    continue;
                }
                if begins_like_header(record) || (!clock.header.is_empty() && record == clock.header) {
                    Next::Header(span)
                } else {
                    Next::Record(span)
                }
            }
            Frame::Unterminated(span) => Next::Refused(span, "a quote is opened and not closed".to_owned()),
            Frame::TooLong(span) => {
                let most = clock.context.max_record;
                Next::Refused(span, format!("longer than {most} bytes (`ingest.max_record_bytes`)"))
            }
        });
    }
}

/// All records on this thread, so that a header in mid-stream takes effect with the next record.
fn one_by_one<R: std::io::Read>(
    framer: &mut Framer<R>,
    worker: Option<Worker<'_>>,
    rejects: &mut Rejects,
    clock: &mut Clock<'_, '_>,
) -> Result<Part> {
    let Some(mut worker) = worker else { return Ok(Part::default()) };
    let delimiter = worker.decoder.delimiter();
    let names = clock.context.names;
    let mut number = clock.context.first.row;
    loop {
        let (span, reason) = match next_record(framer, clock)? {
            Next::End => return worker.finish(),
            Next::Refused(span, reason) => (span, Some(reason)),
            Next::Header(span) => (span, None),
            Next::Record(span) => match worker.record(without_hole(framer.bytes(&span)), span.terminated, number)? {
                Fate::Event => {
                    number += 1;
                    if number.is_multiple_of(TICK_ROWS) {
                        clock.look(worker.decoder.tally.rows, rejects.count)?;
                    }
                    continue;
                }
                Fate::Rejected(reason) => (span, Some(reason)),
                Fate::Header => (span, None),
                Fate::Remark => continue,
            },
        };
        if let Some(reason) = reason {
            number += 1;
            rejects.push(span.line, span.offset, &reason, framer.bytes(&span)).map_err(Error::Rejects)?;
            if number.is_multiple_of(TICK_ROWS) {
                clock.look(worker.decoder.tally.rows, rejects.count)?;
            }
        } else if let Some(plan) = plan_of(names, without_hole(framer.bytes(&span)), delimiter, worker.decoder.plan()) {
            framer.expect(delimiter, plan.width);
            worker.decoder.set_plan(plan);
        }
    }
}

/// As [`one_by_one`], of JSON.
fn objects<R: std::io::Read>(
    framer: &mut Framer<R>,
    worker: Option<Worker<'_>>,
    rejects: &mut Rejects,
    clock: &mut Clock<'_, '_>,
) -> Result<Part> {
    let Some(mut worker) = worker else { return Ok(Part::default()) };
    let mut objects = json::Objects::default();
    let mut transcoder = json::Transcoder::default();
    let typed_by_name = worker.decoder.name_role() != NameRole::Silent;
    for number in clock.context.first.row.. {
        if number.is_multiple_of(TICK_ROWS) {
            clock.look(worker.decoder.tally.rows, rejects.count)?;
        }
        let span = match objects.next(framer, clock.context.max_record).map_err(Error::Read)? {
            json::Found::End => break,
            json::Found::Object(span) => span,
            json::Found::Bad(bad) => {
                rejects.push(bad.line, bad.offset, &bad.reason, &bad.text).map_err(Error::Rejects)?;
                continue;
            }
        };
        let object = framer.bytes(&span);
        let reason = match transcoder.record(object, clock.context.names, typed_by_name) {
            Ok((record, plan)) => {
                if let Some(plan) = plan {
                    worker.decoder.set_plan(plan.clone());
                }
                worker.object(record, number)?
            }
            Err(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            rejects.push(span.line, span.offset, &reason, object).map_err(Error::Rejects)?;
        }
    }
    worker.finish()
}

/// A record without what a truncated or joined file leaves before it: NULs, or a byte order mark.
pub(super) fn without_hole(record: &[u8]) -> &[u8] {
    let nuls = record.iter().take_while(|byte| **byte == 0).count();
    let record = record.get(nuls..).unwrap_or_default();
    record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record)
}

/// Whether a line that is no row is a comment, or Excel's line that names the delimiter.
pub(super) fn is_remark(record: &[u8]) -> bool {
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

/// The plan of a header in mid-stream, if it is another one than that in force.
pub(super) fn plan_of(names: &Names, record: &[u8], delimiter: u8, current: &Plan) -> Option<Plan> {
    Plan::of_header(&split(record, delimiter), names, true).ok().filter(|plan| plan != current)
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
    let mut cells = Cells::default();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        // The last line of the block may be cut.
        if lines.peek().is_none() {
            break;
        }
        cells.split(line, delimiter);
        let cell = cells.text(line, plan.record_type.unwrap_or_default());
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
    let mut cells = Cells::default();
    cells.split(line, delimiter);
    (0..cells.len()).map(|index| cells.text(line, index).into_owned()).collect()
}
