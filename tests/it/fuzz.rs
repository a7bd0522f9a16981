//! Random and damaged input at every place that reads what others wrote: nothing panics, and what must hold of any
//! input holds. `PMTOP_FUZZ_SECONDS` lets each target run for so long instead of a few cases; a failure names
//! the seed of its case.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use pmtop::catalog::fsck::fsck;
use pmtop::ingest::frame::{Frame, Framer};
use pmtop::ingest::{open, time};
use pmtop::query::filter::Filter;
use pmtop::query::time::{parse_duration, parse_range, parse_time};
use pmtop::text::display;

use crate::support::Desk;

/// Runs a target on one seed after the other.
fn fuzz(target: &str, cases: u64, mut case: impl FnMut(&mut Rng)) {
    let seconds = std::env::var("PMTOP_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let first = std::env::var("PMTOP_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let began = Instant::now();
    let mut seed = first;
    while seconds.map_or(seed < first + cases, |seconds| began.elapsed() < seconds) {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut Rng::with_seed(seed))));
        assert!(found.is_ok(), "{target}: PMTOP_FUZZ_SEED={seed}");
        seed += 1;
    }
    println!("{target}: {} cases", seed - first);
}

/// Text of pieces that mean something somewhere, and of bytes that do not.
fn soup(rng: &mut Rng, pieces: &[&str], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..rng.usize(0..most) {
        match rng.u32(0..20) {
            0 => out.push(rng.u8(..)),
            1 => out.extend(rng.char(..).to_string().bytes()),
            _ => out.extend(pieces[rng.usize(0..pieces.len())].bytes()),
        }
    }
    out
}

fn text_soup(rng: &mut Rng, pieces: &[&str], most: usize) -> String {
    String::from_utf8_lossy(&soup(rng, pieces, most)).into_owned()
}

/// Bits flipped, pieces cut out, doubled or put elsewhere.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(0..bytes.len());
        let to = (at + rng.usize(0..64)).min(bytes.len());
        match rng.u32(0..6) {
            0 => bytes[at] ^= 1 << rng.u32(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let piece = bytes[at..to].to_vec();
                let place = rng.usize(0..=bytes.len());
                bytes.splice(place..place, piece);
            }
            4 => bytes[at..to].iter_mut().for_each(|byte| *byte = rng.u8(..)),
            _ => bytes[at..to].fill([0, 0xff][rng.usize(0..2)]),
        }
    }
}

/// Hands out a few bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len()).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

type Found = Vec<(u8, u64, u64, Vec<u8>)>;

fn frames(reader: impl Read, longest: usize, width: usize) -> (Found, u64) {
    let mut framer = Framer::new(reader, longest);
    framer.expect(b',', width);
    let mut found = Vec::new();
    loop {
        let (kind, span) = match framer.next_frame().unwrap() {
            Frame::End => break,
            Frame::Record(span) => (0, span),
            Frame::Unterminated(span) => (1, span),
            Frame::TooLong(span) => (2, span),
        };
        // What is kept of a line that is too long is a sample.
        let kept = if kind == 2 { Vec::new() } else { framer.bytes(&span).to_vec() };
        found.push((kind, span.line, span.offset, kept));
    }
    (found, framer.finish().unwrap().bytes)
}

#[test]
fn records_are_the_same_however_the_bytes_arrive_and_none_is_lost() {
    const PIECES: [&str; 12] = ["a", "bc", ",", ",", "\"", "\"\"", "\n", "\n", "\r\n", "\0", "\u{feff}", "\",\""];
    fuzz("splitter", 300, |rng| {
        let input = soup(rng, &PIECES, 200);
        let (longest, width) = ([16, 64, 1 << 20][rng.usize(0..3)], rng.usize(0..4));
        let (whole, bytes) = frames(input.as_slice(), longest, width);
        let (drip, _) = frames(Drip(&input, rng.usize(1..9)), longest, width);
        assert_eq!(whole, drip);
        assert_eq!(bytes, input.len() as u64);
        // Each stands where it says, and every line belongs to one of them.
        for (kind, line, offset, kept) in &whole {
            let at = usize::try_from(*offset).unwrap();
            assert!(*kind == 2 || input[at..].starts_with(kept), "at {offset}");
            let lines = 1 + input[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(*line, lines);
        }
        if !input.contains(&b'"') && longest > input.len() {
            let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
            let last = usize::from(!lines.last().unwrap().is_empty());
            assert_eq!(whole.len(), lines.len() - 1 + last);
        }
    });
}

#[test]
fn damaged_archives_are_read_or_refused_within_bounds() {
    const MOST: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let text = "type,timeLogged,rcpt\n".to_owned() + &"d,2026-11-23 10:00:00+0000,a@b.example\n".repeat(40);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in ["a.csv", "b/c.csv"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let packed = [
        gz.finish().unwrap(),
        zip.finish().unwrap().into_inner(),
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
        text.into_bytes(),
    ];
    fuzz("archives", 300, |rng| {
        let mut bytes = packed[rng.usize(0..packed.len())].clone();
        if rng.bool() {
            bytes.extend_from_slice(&packed[rng.usize(0..packed.len())]);
        }
        damage(rng, &mut bytes);
        let path = folder.path().join("acct.csv");
        std::fs::write(&path, &bytes).unwrap();
        for member in open::members(&path).into_iter().flatten().take(50) {
            assert!(!member.name.contains(".."), "{}", member.name);
            if let Ok(mut member) = member.open(MOST) {
                let read = io::copy(&mut member.reader, &mut io::sink());
                assert!(read.unwrap_or(0) <= MOST);
            }
        }
    });
}

#[test]
fn a_time_is_read_alike_with_and_without_memory() {
    const PIECES: [&str; 22] = [
        "2026",
        "-",
        "11",
        "-23",
        " ",
        "10",
        ":",
        "00",
        ":59",
        "+0000",
        "Z",
        "T",
        ".5",
        "1790000000",
        "99",
        "-07:00",
        "e3",
        "/",
        "24",
        "2026-11-23 10:00:00+0000",
        "\u{221e}",
        "9999999999999999999",
    ];
    let mut memory = time::Memory::default();
    fuzz("timestamps", 3000, |rng| {
        let mut cell = text_soup(rng, &PIECES, 7);
        if rng.bool() {
            let mut bytes = b"2026-11-23 10:00:00+0000".to_vec();
            damage(rng, &mut bytes);
            cell = String::from_utf8_lossy(&bytes).into_owned();
        }
        assert_eq!(memory.parse(&cell), time::parse(&cell), "{cell:?}");
        assert_eq!(memory.parse(&cell), time::parse(&cell), "{cell:?}, again");
    });
}

#[test]
fn nothing_that_a_terminal_acts_on_passes_the_gate() {
    const PIECES: [&str; 12] = [
        "\u{1b}[2J",
        "\u{1b}]52;c;",
        "\u{7}",
        "\u{9b}31m",
        "\u{90}",
        "\u{202e}",
        "\u{200b}",
        "\r\n",
        "\t",
        "plain",
        "\u{7f}",
        "é😀",
    ];
    fuzz("display", 3000, |rng| {
        let shown = display(&text_soup(rng, &PIECES, 30)).into_owned();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let hidden = |letter| matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        assert!(!shown.chars().any(hidden), "{shown:?}");
        assert_eq!(display(&shown), shown, "what is shown stays as it is");
    });
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn a_damaged_log_is_named_and_can_be_repaired() {
    let desk = Desk::new();
    desk.ingest("acct.csv", "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\n");
    desk.ingest("more.csv", "type,timeLogged,rcpt\nd,2026-11-23 10:00:01+0000,c@b.example\n");
    let Desk { folder: _folder, config, engine } = desk;
    drop(engine);
    assert_eq!(fsck(&config.catalog, false).unwrap(), []);
    let log = config.catalog.join("events/_delta_log");
    let mut entries: Vec<_> = std::fs::read_dir(&log).unwrap().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let stored: Vec<Vec<u8>> = entries.iter().map(|path| std::fs::read(path).unwrap()).collect();
    fuzz("log reader", 12, |rng| {
        let which = rng.usize(0..entries.len());
        let mut bytes = stored[which].clone();
        damage(rng, &mut bytes);
        std::fs::write(&entries[which], &bytes).unwrap();
        let found = fsck(&config.catalog, rng.bool()).unwrap();
        assert_eq!(found.is_empty(), bytes == stored[which]);
        // Without the control database the logs are all there is; what is damaged in them may be lost.
        if rng.u32(0..4) == 0 {
            let other = tempfile::tempdir().unwrap();
            copy(&config.catalog, other.path());
            std::fs::write(other.path().join("events/_delta_log").join(entries[which].file_name().unwrap()), &bytes)
                .unwrap();
            std::fs::remove_file(other.path().join("control.db")).unwrap();
            fsck(other.path(), true).unwrap();
            fsck(other.path(), false).unwrap();
        }
        fsck(&config.catalog, true).unwrap();
        assert_eq!(fsck(&config.catalog, false).unwrap(), []);
    });
}

#[test]
fn whatever_is_typed_is_understood_or_refused() {
    const PIECES: [&str; 36] = [
        "job",
        "=",
        "!=",
        "≠",
        "*",
        "domain",
        "status",
        "5*",
        "time",
        "..",
        "24h",
        "all",
        "2026-11-23",
        "T10:00",
        "+02:00",
        "w",
        "99999999999d",
        "select ",
        "count(*) ",
        "from ",
        "events ",
        "files ",
        "where ",
        "recipient ",
        "'",
        "\"",
        "(",
        ")",
        ",",
        "1",
        "drop table events",
        ";",
        " order by ",
        " limit ",
        "event_time ",
        "--",
    ];
    let desk = Desk::new();
    desk.ingest("acct.csv", "type,timeLogged,rcpt\nd,2026-11-23 10:00:00+0000,a@b.example\n");
    fuzz("bars", 150, |rng| {
        let typed = text_soup(rng, &PIECES, 9);
        for refused in [
            Filter::parse(&typed).err().map(|error| error.to_string()),
            parse_range(&typed).err().map(|error| error.to_string()),
            parse_duration(&typed).err().map(|error| error.to_string()),
            parse_time(&typed).err().map(|error| error.to_string()),
        ] {
            assert_ne!(refused.as_deref(), Some(""));
        }
        let typed = if rng.bool() { format!("select {typed}") } else { typed };
        desk.engine.block_on(desk.engine.sql(&typed)).ok();
        assert_eq!(desk.catalog().snapshot().unwrap().segments.len(), 1);
    });
    assert_eq!(desk.count("select count(*) from events"), 1);
}
