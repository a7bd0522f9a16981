//! Seeded damage to good files: no good row is lost or changed, every bad one is reported where it stands.
//!
//! `PMTOP_MUTANTS=10000 cargo test --test it mutants` for a long run, `PMTOP_SEED` for another one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pmtop::catalog::commit::Staging;
use pmtop::config::Config;
use pmtop::demo;
use pmtop::ingest::Error;
use pmtop::ingest::derive::Rules;
use pmtop::ingest::header::Names;
use pmtop::ingest::open::Member;
use pmtop::ingest::stage::{Context, Place, stage};

use crate::support::Desk;

/// The longest record of these runs.
const MAX_RECORD: usize = 64 << 10;
/// Rows of a file that is damaged.
const ROWS: usize = 40;

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}

/// What a line of a mutant must become.
#[derive(Debug, Clone)]
enum Fate {
    /// The event of this row.
    Row(usize),
    /// A reject.
    Bad,
    /// Nothing.
    Silent,
}

type Lines = Vec<(Vec<u8>, Fate)>;

/// Reads files without a catalog's commit.
struct Bench {
    desk: Desk,
    config: Config,
    rules: Rules,
}

impl Bench {
    fn new() -> Self {
        let config = Config::default();
        Self { desk: Desk::new(), rules: Rules::new(&config).unwrap(), config }
    }

    /// The events, as text, in the order of their rows; and line and offset of every reject.
    fn read(&self, content: &[u8]) -> (Vec<String>, Vec<(u64, u64)>) {
        let names = Names::new(&self.config.ingest);
        let (mut roles, mut in_order) = (None, false);
        loop {
            let staging = Staging::create(self.desk.catalog().layout()).unwrap();
            let member = Member {
                name: "mutant".to_owned(),
                reader: Box::new(std::io::Cursor::new(content.to_vec())),
                position: Arc::new(AtomicU64::new(0)),
                total: content.len() as u64,
                plain: true,
            };
            let context = Context {
                rules: &self.rules,
                names: &names,
                max_record: MAX_RECORD,
                staging: &staging,
                file_id: 1,
                in_order,
                known_lengths: &[],
                first: Place::default(),
                stop: &AtomicBool::new(false),
            };
            match stage(context, member, roles, &mut |_, _| {}) {
                Err(Error::Roles(right)) => roles = Some(right),
                Err(Error::Headers) => in_order = true,
                Err(error) => panic!("{error}"),
                Ok(staged) => {
                    let place = staging.path().join("rejected.csv");
                    staged.rejects.finish(&place).unwrap();
                    let mut events: Vec<(i64, String)> =
                        staged.segments.iter().flat_map(|segment| rows_of(&segment.path)).collect();
                    events.sort_unstable();
                    return (events.into_iter().map(|event| event.1).collect(), places(&place));
                }
            }
        }
    }
}

/// Row number and text of every event of a segment. `event_type` depends on the other rows of the file.
fn rows_of(path: &Path) -> Vec<(i64, String)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let options = FormatOptions::default();
        let schema = batch.schema();
        let columns: Vec<(&String, ArrayFormatter<'_>)> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| (field.name(), ArrayFormatter::try_new(column, &options).unwrap()))
            .collect();
        for row in 0..batch.num_rows() {
            let mut number = 0;
            let mut text = String::new();
            for (name, column) in &columns {
                let value = column.value(row).to_string();
                match name.as_str() {
                    "row_number" => number = value.parse().unwrap(),
                    "event_type" | "file_id" => {}
                    // The order of the columns is no matter.
                    "headers" if !value.is_empty() => {
                        let parts: std::collections::BTreeMap<String, serde_json::Value> =
                            serde_json::from_str(&value).unwrap();
                        text += &format!("{name}={parts:?}|");
                    }
                    _ => text += &format!("{name}={value}|"),
                }
            }
            rows.push((number, text));
        }
    }
    rows
}

fn places(path: &Path) -> Vec<(u64, u64)> {
    let Ok(text) = std::fs::read(path) else { return Vec::new() };
    let mut reader = csv::Reader::from_reader(&text[..]);
    let number = |cell: &[u8]| std::str::from_utf8(cell).unwrap().parse().unwrap();
    reader.byte_records().map(Result::unwrap).map(|record| (number(&record[1]), number(&record[2]))).collect()
}

/// A good file: its header, rows and what these become.
struct Good {
    name: String,
    header: Vec<u8>,
    rows: Vec<Vec<u8>>,
    events: Vec<String>,
}

fn good_files(bench: &Bench) -> Vec<Good> {
    let folder = tempfile::tempdir().unwrap();
    let options = demo::Options { received: true, ..demo::Options::day(7, 6000) };
    demo::generate(folder.path(), &options, None, &mut |_| {}).unwrap();
    let mut texts: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            texts.push((
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(path).unwrap(),
            ));
        }
    }
    texts.sort();
    for (name, header, row) in [
        (
            "rs",
            "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId",
            "rs,2026-11-23 10:00:01+0000,a@b.example,\"\"\"c d\"\"@y.example\",,2.0.0 (ok),\"smtp;250 2.0.0, ok\",mx,rep,,smtp,h,env",
        ),
        (
            "rb",
            "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId",
            "rb,2026-11-23 10:00:01+0000,a@b.example,c@y.example,,5.1.1 (bad),\"smtp;550 5.1.1 \"\"no\"\", such\",mx (192.0.2.1),rep,bad-mailbox,smtp,h,",
        ),
        (
            "f",
            "type,timeLogged,repSourceIp,feedbackType,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp,reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject",
            "f,2026-11-23 10:00:01+0000,192.0.2.1,abuse,arf,AOL SComp,,a@b.example,,rep,198.51.100.1,b.example,\"\"\"Lee, Ann\"\" <a@b.example>\",<a@b.example>,camp-1,\"Hello, you\"",
        ),
    ] {
        let rows: String =
            (0..20).map(|second| row.replace("10:00:01", &format!("10:00:{second:02}")) + "\n").collect();
        texts.push((name.to_owned(), format!("{header}\n{rows}")));
    }
    texts
        .into_iter()
        .filter_map(|(name, text)| {
            let mut lines = text.lines().map(|line| line.as_bytes().to_vec());
            let header = lines.next()?;
            let rows: Vec<Vec<u8>> = lines.collect();
            let step = (rows.len() / ROWS).max(1);
            let rows: Vec<Vec<u8>> = rows.into_iter().step_by(step).take(ROWS).collect();
            if rows.len() < 10 {
                return None;
            }
            let (events, rejects) = bench.read(&joined(&header, &rows));
            assert_eq!((events.len(), rejects.len()), (rows.len(), 0), "{name}");
            Some(Good { name, header, rows, events })
        })
        .collect()
}

fn joined(header: &[u8], rows: &[Vec<u8>]) -> Vec<u8> {
    let mut content = header.to_vec();
    for row in rows {
        content.push(b'\n');
        content.extend_from_slice(row);
    }
    content.push(b'\n');
    content
}

/// Where the cells of a line begin and end; quotes are part of them.
fn cells(line: &[u8]) -> Vec<(usize, usize)> {
    let (mut out, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                out.push((start, at));
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push((start, line.len()));
    out
}

/// Damages one row; `None` where this damage would not show.
fn damaged(dice: &mut Dice, row: &[u8]) -> Option<Vec<u8>> {
    if row.first() == Some(&0) {
        return None;
    }
    let places = cells(row);
    let mut out = row.to_vec();
    let any = places[dice.roll(places.len())];
    let (time_start, time_end) = places[1];
    match dice.roll(12) {
        // A quote that is opened and not closed.
        0 | 1 => {
            if row[any.0..any.1].contains(&b'"') {
                return None;
            }
            out.insert(any.0, b'"');
            // Before a lone quoted cell that is empty, or at the end of the line, it closes again.
            if any.0 == any.1 && row.get(any.1 + 1) == Some(&b'"') {
                return None;
            }
        }
        // The type, the time, or both are gone.
        2 => drop(out.drain(..places[0].1 + 1)),
        3 => drop(out.drain(..places[1].1 + 1)),
        // Cells too many.
        4 => drop(out.splice(0..0, *b"x,")),
        5 => drop(out.splice(time_start..time_start, *b"x,y,")),
        6 => out.extend(b",x,y,z"),
        // What has no place in a type or a time.
        7 => drop(out.splice(time_start..time_start, [0, 0, 0])),
        8 => drop(out.splice(time_start..time_end, *b"\xff\xfe\x80")),
        9 => out[0] = 0xc3,
        10 => drop(out.splice(time_start + 4..time_start + 4, *b"\r")),
        _ => {
            // Cut in its middle, with a line end.
            let last = places[places.len() - 2].0;
            out.truncate(dice.roll(last.max(2)).max(1));
            if out.contains(&b'"') || out.iter().all(|byte| *byte == b',') {
                return None;
            }
        }
    }
    Some(out)
}

/// One mutant: its lines, and whether the last one has no line end.
fn mutant(dice: &mut Dice, good: &Good) -> (Lines, bool, Vec<&'static str>) {
    let mut lines: Lines = vec![(good.header.clone(), Fate::Silent)];
    lines.extend(good.rows.iter().cloned().enumerate().map(|(index, row)| (row, Fate::Row(index))));
    let mut told = Vec::new();
    let mut cut = false;
    for _ in 0..1 + dice.roll(4) {
        let at = 1 + dice.roll(lines.len() - 1);
        match dice.roll(10) {
            0..=3 => {
                if let (row, Fate::Row(_)) = &lines[at]
                    && let Some(bad) = damaged(dice, row)
                {
                    lines[at] = (bad, Fate::Bad);
                    told.push("damaged row");
                }
            }
            4 => {
                let junk: &[&[u8]] =
                    &[b"garbage", b"-----", b"x,y,z", b"\"open,and,not,closed", b"<html>", b"zz,1,\"2\",3"];
                lines.insert(at, (junk[dice.roll(junk.len())].to_vec(), Fate::Bad));
                told.push("junk line");
            }
            5 => {
                let quiet: &[&[u8]] = &[b"", b"\r", b"  ", b"\0\0\0\0", b"# a comment", b"\r\r"];
                lines.insert(at, (quiet[dice.roll(quiet.len())].to_vec(), Fate::Silent));
                told.push("quiet line");
            }
            6 => {
                let mut header = good.header.clone();
                if dice.roll(2) == 0 {
                    header.splice(0..0, "\u{feff}".bytes());
                }
                lines.insert(at, (header, Fate::Silent));
                told.push("header again");
            }
            7 => {
                let line = lines[at].clone();
                lines.insert(at, line);
                told.push("line twice");
            }
            8 => {
                let mut long = b"d,".to_vec();
                long.resize(MAX_RECORD * (1 + dice.roll(20)) + 1, b'x');
                lines.insert(at, (long, Fate::Bad));
                told.push("endless line");
            }
            _ => {
                if matches!(lines[at].1, Fate::Row(_)) {
                    let nuls = vec![0; 1 + dice.roll(5000)];
                    lines[at].0.splice(0..0, nuls);
                    told.push("hole of NULs");
                }
            }
        }
    }
    if dice.roll(4) == 0 {
        // Another header, with the columns of the rows below in another order.
        let at = 1 + dice.roll(lines.len() - 1);
        let width = cells(&good.header).len();
        let mut order: Vec<usize> = (0..width).collect();
        for index in (2..width).rev() {
            order.swap(index, 1 + dice.roll(index));
        }
        let turned = |line: &[u8]| {
            let places = cells(line);
            let parts: Vec<&[u8]> = order.iter().map(|cell| &line[places[*cell].0..places[*cell].1]).collect();
            parts.join(&b","[..])
        };
        let mut still_first = true;
        for (line, fate) in &mut lines[at..] {
            match fate {
                Fate::Row(_) if cells(line).len() == width && !line.starts_with(&[0]) => *line = turned(line),
                Fate::Silent if line.ends_with(&good.header) => *line = turned(&good.header),
                Fate::Silent => {}
                Fate::Row(_) | Fate::Bad => still_first = false,
            }
        }
        // Bad rows stay bad under any order only where their kind is known: leave those mutants as they are.
        if still_first {
            lines.insert(at, (turned(&good.header), Fate::Silent));
            told.push("another header");
        } else {
            return mutant(dice, good);
        }
    }
    if dice.roll(4) == 0 {
        let place = lines.len() - 1;
        if let (row, Fate::Row(_)) = &lines[place]
            && cells(row).len() == cells(&good.header).len()
        {
            let last = cells(row)[cells(row).len() - 1].0;
            let length = 1 + dice.roll(last.max(2) - 1);
            if !row.starts_with(&[0]) && length < last {
                lines[place].0.truncate(length);
                lines[place].1 = Fate::Bad;
                told.push("cut at its end");
                cut = true;
            }
        }
    }
    (lines, cut, told)
}

#[test]
fn mutants_cost_their_own_rows_alone() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"));
    let (count, seed) = (number("PMTOP_MUTANTS", 300), number("PMTOP_SEED", 20_261_124));
    let bench = Bench::new();
    let files = good_files(&bench);
    let mut types = BTreeSet::new();
    for good in &files {
        types.extend(good.rows.iter().map(|row| String::from_utf8_lossy(&row[..cells(row)[0].1]).into_owned()));
    }
    println!("files {:?}, types {types:?}", files.iter().map(|file| &file.name).collect::<Vec<_>>());
    let (mut good_rows, mut bad_rows, mut failures) = (0, 0, Vec::new());
    for index in 0..count {
        let mut dice = Dice(seed.wrapping_add(index.wrapping_mul(0x1234_5678_9abc_def1)));
        let good = &files[dice.roll(files.len())];
        let (lines, cut, told) = mutant(&mut dice, good);
        let crlf = dice.roll(3);
        let (mut content, mut events, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (line, fate)) in lines.iter().enumerate() {
            match fate {
                Fate::Row(row) => events.push(good.events[*row].clone()),
                Fate::Bad => rejects.push((at as u64 + 1, content.len() as u64)),
                Fate::Silent => {}
            }
            content.extend_from_slice(line);
            if at + 1 == lines.len() && (cut || dice.roll(3) == 0) {
                break;
            }
            // Line ends of one kind, of the other, or as it comes.
            if crlf == 1 || (crlf == 2 && dice.roll(2) == 0) {
                content.push(b'\r');
            }
            content.push(b'\n');
        }
        good_rows += events.len();
        bad_rows += rejects.len();
        let found = bench.read(&content);
        if found.0 != events || found.1 != rejects {
            let lost = events.iter().filter(|event| !found.0.contains(event)).count();
            let wrong: Vec<&String> = found.0.iter().filter(|event| !events.contains(event)).collect();
            let missed: Vec<String> = rejects
                .iter()
                .filter(|reject| !found.1.contains(reject))
                .map(|(_, offset)| {
                    let from = usize::try_from(*offset).unwrap();
                    let line = content[from..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                    String::from_utf8_lossy(&line[..line.len().min(400)]).into_owned()
                })
                .collect();
            let surplus: Vec<_> = found.1.iter().filter(|reject| !rejects.contains(reject)).collect();
            failures.push(format!(
                "mutant {index} of {} ({told:?}): {lost} lost, wrong {wrong:#?}, not reported {missed:#?}, reported {surplus:?}",
                good.name
            ));
        }
    }
    println!("{count} mutants, {good_rows} good rows, {bad_rows} bad rows, {} failures", failures.len());
    assert!(
        failures.is_empty(),
        "{} failures of {count}:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
}
