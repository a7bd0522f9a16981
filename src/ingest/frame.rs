//! A stream of bytes → records. Hashes what it reads, keeps count of lines and offsets, and holds no
//! more than one block and one record in memory.
//!
//! A record ends at a newline outside quotes. A quoted cell may span lines, but only if it closes
//! properly and the record then has as many cells as the header: else the first line alone is bad, so
//! that an unterminated quote does not swallow the rows after it.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;
/// A quoted cell may run over this many bytes …
const QUOTED_BYTES: usize = 64 << 10;
/// … and this many lines (`reference/storage-and-faults.md` §3.2).
const QUOTED_LINES: usize = 100;

/// Where a record stands in the file, and where its bytes are in the framer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Line of its first byte, from 1.
    pub line: u64,
    /// Offset of its first byte in the decompressed content.
    pub offset: u64,
    start: usize,
    end: usize,
    /// Whether a newline followed.
    pub terminated: bool,
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A whole record, without its line end.
    Record(Span),
    /// A line that opens a quote and never closes it.
    Unterminated(Span),
    /// A line longer than allowed; the span holds its beginning.
    TooLong(Span),
    /// The stream has ended.
    End,
}

/// What a stream was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of all bytes.
    pub sha256: String,
    /// How many.
    pub bytes: u64,
    /// SHA-256 of the first bytes, for each marked length that was reached.
    pub beginnings: Vec<(u64, String)>,
    /// Whether the last byte is a newline.
    pub terminated: bool,
}

/// Splits a stream into records.
pub struct Framer<R> {
    reader: R,
    buf: Vec<u8>,
    filled: usize,
    pos: usize,
    base: u64,
    line: u64,
    ended: bool,
    last_byte: u8,
    hasher: Sha256,
    /// Lengths at which the hash so far is wanted, ascending, and the hashes found.
    marks: Vec<u64>,
    found: Vec<(u64, String)>,
    max_record: usize,
    delimiter: u8,
    width: usize,
}

impl<R> std::fmt::Debug for Framer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framer").field("line", &self.line).finish_non_exhaustive()
    }
}

impl<R: Read> Framer<R> {
    /// A framer over a stream; records longer than `max_record` bytes are reported, not kept.
    pub fn new(reader: R, max_record: usize) -> Self {
        Self {
            reader,
            buf: vec![0; BLOCK + max_record.min(BLOCK)],
            filled: 0,
            pos: 0,
            base: 0,
            line: 1,
            ended: false,
            last_byte: b'\n',
            hasher: Sha256::new(),
            marks: Vec::new(),
            found: Vec::new(),
            max_record,
            delimiter: b',',
            width: 0,
        }
    }

    /// Tells what separates cells and how many a record should have (0: not known).
    pub fn expect(&mut self, delimiter: u8, width: usize) {
        self.delimiter = delimiter;
        self.width = width;
    }

    /// What separates cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Asks for the hashes of the first bytes of the content, of these lengths: they tell whether the
    /// content is that of a shorter file, grown. To be called before anything is read.
    pub fn mark(&mut self, mut lengths: Vec<u64>) {
        lengths.sort_unstable();
        lengths.dedup();
        self.marks = lengths;
    }

    /// The bytes of a record.
    pub fn bytes(&self, span: &Span) -> &[u8] {
        &self.buf[span.start..span.end]
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// The first bytes of the stream, up to one block, without consuming them.
    pub fn peek(&mut self) -> io::Result<&[u8]> {
        while self.filled - self.pos < BLOCK && !self.ended {
            self.fill()?;
        }
        let end = self.filled.min(self.pos + BLOCK);
        Ok(&self.buf[self.pos..end])
    }

    /// Whether all of the stream has been read.
    pub fn is_whole(&self) -> bool {
        self.ended
    }

    /// Passes over bytes that are no part of a record (a byte order mark, a hole of NULs).
    pub fn skip(&mut self, bytes: usize) {
        self.pos = (self.pos + bytes).min(self.filled);
    }

    /// What comes next, without consuming it: at least `want` bytes unless the stream ends before.
    pub fn ahead(&mut self, want: usize) -> io::Result<&[u8]> {
        while self.filled - self.pos < want && !self.ended {
            self.fill()?;
        }
        Ok(&self.buf[self.pos..self.filled])
    }

    /// Moves over bytes that [`Self::ahead`] showed, with the lines in them.
    pub fn advance(&mut self, bytes: usize) {
        let end = (self.pos + bytes).min(self.filled);
        self.line += memchr::memchr_iter(b'\n', &self.buf[self.pos..end]).count() as u64;
        self.pos = end;
    }

    /// The next bytes as a record, whatever lines they span.
    pub fn take_bytes(&mut self, length: usize) -> Span {
        let (start, line, offset) = (self.pos, self.line, self.offset());
        self.advance(length);
        Span { line, offset, start, end: self.pos, terminated: true }
    }

    /// Line and offset of what comes next.
    pub fn place(&self) -> (u64, u64) {
        (self.line, self.offset())
    }

    /// Reads what is left and returns what all the content is.
    pub fn finish(mut self) -> io::Result<Content> {
        while !self.ended {
            self.pos = self.filled;
            self.fill()?;
        }
        let length = self.base + self.filled as u64;
        Ok(Content {
            sha256: hex(&self.hasher.finalize()),
            bytes: length,
            beginnings: self.found,
            terminated: self.last_byte == b'\n',
        })
    }

    /// The next record.
    pub fn next_frame(&mut self) -> io::Result<Frame> {
        let Some(end) = self.find_newline(0)? else {
            return self.last_line();
        };
        if end > self.max_record {
            return self.too_long();
        }
        let line = &self.buf[self.pos..self.pos + end];
        if is_plain(line, self.delimiter) {
            return Ok(Frame::Record(self.take(end, 1, true)));
        }
        let scan = scan_quotes(line, self.delimiter);
        match scan.state {
            State::Closed if scan.swallowed => Ok(Frame::Unterminated(self.take(end, 1, true))),
            State::Closed => Ok(Frame::Record(self.take(end, 1, true))),
            State::Open => self.quoted(end),
        }
    }

    /// A record whose first line (of `first` bytes) ends inside quotes.
    fn quoted(&mut self, first: usize) -> io::Result<Frame> {
        let mut end = first;
        for lines in 2..=QUOTED_LINES as u64 {
            let more = self.find_newline(end + 1)?;
            let (stop, terminated) = match more {
                Some(at) => (at, true),
                None => (self.filled - self.pos, false),
            };
            if stop > QUOTED_BYTES.min(self.max_record).max(first) || stop <= end {
                break;
            }
            let scan = scan_quotes(&self.buf[self.pos..self.pos + stop], self.delimiter);
            if scan.malformed {
                break;
            }
            if scan.state == State::Closed {
                if self.width != 0 && scan.cells != self.width {
                    break;
                }
                return Ok(Frame::Record(self.take(stop, lines, terminated)));
            }
            if !terminated {
                break;
            }
            end = stop;
        }
        Ok(Frame::Unterminated(self.take(first, 1, true)))
    }

    fn last_line(&mut self) -> io::Result<Frame> {
        let left = self.filled - self.pos;
        if left == 0 {
            return Ok(Frame::End);
        }
        if left > self.max_record {
            return self.too_long();
        }
        let scan = scan_quotes(&self.buf[self.pos..self.filled], self.delimiter);
        let open = scan.state == State::Open || scan.swallowed;
        let span = self.take(left, 1, false);
        Ok(if open { Frame::Unterminated(span) } else { Frame::Record(span) })
    }

    /// Passes over a line that is too long, in constant memory.
    fn too_long(&mut self) -> io::Result<Frame> {
        const SAMPLE: usize = 4096;
        let (line, offset) = (self.line, self.offset());
        let sample = self.buf[self.pos..self.filled.min(self.pos + SAMPLE)].to_vec();
        loop {
            match memchr::memchr(b'\n', &self.buf[self.pos..self.filled]) {
                Some(at) => {
                    self.pos += at + 1;
                    break;
                }
                None => {
                    self.pos = self.filled;
                    if self.ended {
                        break;
                    }
                    self.fill()?;
                }
            }
        }
        self.line += 1;
        // The sample is put back right before the next line, where the buffer is free to be used.
        let start = self.pos.saturating_sub(sample.len());
        let kept = self.pos - start;
        self.buf[start..self.pos].copy_from_slice(&sample[..kept]);
        Ok(Frame::TooLong(Span { line, offset, start, end: self.pos, terminated: true }))
    }

    /// The distance from the current position to the next newline at or after `from`.
    fn find_newline(&mut self, from: usize) -> io::Result<Option<usize>> {
        let mut from = from;
        loop {
            let window = &self.buf[(self.pos + from).min(self.filled)..self.filled];
            if let Some(at) = memchr::memchr(b'\n', window) {
                return Ok(Some(from + at));
            }
            from = self.filled - self.pos;
            if self.ended {
                return Ok(None);
            }
            if from > self.max_record {
                // Longer than a record may be: the caller sees it by this distance.
                return Ok(Some(from));
            }
            self.fill()?;
        }
    }

    /// Hands out `length` bytes as a record of `lines` lines and moves behind its newline.
    fn take(&mut self, length: usize, lines: u64, terminated: bool) -> Span {
        let start = self.pos;
        let mut end = start + length;
        let span_line = self.line;
        let offset = self.offset();
        self.pos = end + usize::from(terminated);
        self.line += lines;
        if end > start && self.buf[end - 1] == b'\r' {
            end -= 1;
        }
        Span { line: span_line, offset, start, end, terminated }
    }

    /// Hashes fresh bytes, with a look at the hash at every length that is marked.
    fn hash(&mut self, at: usize, length: usize) {
        let begins = self.base + at as u64;
        let mut from = at;
        while let Some(mark) = self.marks.first().copied().filter(|mark| *mark <= begins + length as u64) {
            let until = at + usize::try_from(mark.saturating_sub(begins)).unwrap_or_default();
            self.hasher.update(&self.buf[from..until]);
            self.found.push((mark, hex(&self.hasher.clone().finalize())));
            from = until;
            self.marks.remove(0);
        }
        self.hasher.update(&self.buf[from..at + length]);
    }

    /// Reads one more block; what is left of the last one moves to the front.
    fn fill(&mut self) -> io::Result<()> {
        if self.pos > 0 {
            self.buf.copy_within(self.pos..self.filled, 0);
            self.base += self.pos as u64;
            self.filled -= self.pos;
            self.pos = 0;
        }
        if self.buf.len() - self.filled < BLOCK {
            self.buf.resize(self.filled + BLOCK, 0);
        }
        let read = loop {
            match self.reader.read(&mut self.buf[self.filled..self.filled + BLOCK]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.hash(self.filled, read);
        self.filled += read;
        if read > 0 {
            self.last_byte = self.buf[self.filled - 1];
        }
        self.ended = read == 0;
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open,
}

struct Scan {
    state: State,
    /// Text stands behind a closing quote.
    malformed: bool,
    /// … and that quote is rather the first one of another cell, so that an open quote ran over it.
    swallowed: bool,
    cells: usize,
}

/// Whether every quoted cell of a line ends where a cell may end, so that there is nothing to decide; looks at
/// nothing but the quotes.
fn is_plain(line: &[u8], delimiter: u8) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'"', &line[at..]) {
        let quote = at + found;
        at = quote + 1;
        if quote > 0 && line[quote - 1] != delimiter {
            continue;
        }
        loop {
            let Some(found) = memchr::memchr(b'"', &line[at..]) else { return false };
            at += found + 1;
            if line.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
        if line.get(at).is_some_and(|next| *next != delimiter && *next != b'\r') {
            return false;
        }
    }
    true
}

/// Follows the quotes of a record (RFC 4180): a quote opens a cell only as its first byte.
fn scan_quotes(record: &[u8], delimiter: u8) -> Scan {
    let mut scan = Scan { state: State::Closed, malformed: false, swallowed: false, cells: 1 };
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            at += 1;
            let begin = at;
            loop {
                match memchr::memchr(b'"', &record[at..]) {
                    None => {
                        scan.state = State::Open;
                        return scan;
                    }
                    Some(quote) if record.get(at + quote + 1) == Some(&b'"') => at += quote + 2,
                    Some(quote) => {
                        at += quote + 1;
                        break;
                    }
                }
            }
            if !matches!(record.get(at), None | Some(b'\r')) && record[at] != delimiter {
                scan.malformed = true;
                let inside = &record[begin..at - 1];
                scan.swallowed |= inside.iter().rfind(|byte| **byte != b'"') == Some(&delimiter);
            }
        }
        match memchr::memchr(delimiter, &record[at..]) {
            Some(next) => {
                at += next + 1;
                scan.cells += 1;
            }
            None => return scan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &[u8], width: usize) -> Vec<(u64, u64, String, &'static str)> {
        let mut framer = Framer::new(text, 4096);
        framer.expect(b',', width);
        let mut out = Vec::new();
        loop {
            let frame = framer.next_frame().unwrap();
            let (span, name) = match frame {
                Frame::End => return out,
                Frame::Record(span) => (span, "record"),
                Frame::Unterminated(span) => (span, "unterminated"),
                Frame::TooLong(span) => (span, "long"),
            };
            let text = String::from_utf8_lossy(framer.bytes(&span)).into_owned();
            out.push((span.line, span.offset, text, name));
        }
    }

    #[test]
    fn lines_are_numbered_and_line_ends_removed() {
        let found = frames(b"a,b\r\nc,d\ne", 2);
        assert_eq!(
            found,
            [(1, 0, "a,b".to_owned(), "record"), (2, 5, "c,d".to_owned(), "record"), (3, 9, "e".to_owned(), "record")]
        );
    }

    #[test]
    fn a_quoted_cell_may_span_lines() {
        let found = frames(b"a,\"b\nc\"\nd,e\n", 2);
        assert_eq!(found[0], (1, 0, "a,\"b\nc\"".to_owned(), "record"));
        assert_eq!(found[1], (3, 8, "d,e".to_owned(), "record"));
    }

    proptest::proptest! {
        #[test]
        fn a_line_is_plain_where_its_scan_finds_nothing(line in "[ab,;\"\r]{0,24}") {
            let scan = scan_quotes(line.as_bytes(), b',');
            let plain = scan.state == State::Closed && !scan.malformed;
            proptest::prop_assert_eq!(is_plain(line.as_bytes(), b','), plain, "{}", line);
        }
    }

    #[test]
    fn an_unterminated_quote_costs_one_line() {
        let found = frames(b"a,\"b\nc,\"d,e\"\nf,g\n", 2);
        assert_eq!(found.iter().map(|frame| frame.3).collect::<Vec<_>>(), ["unterminated", "record", "record"]);
        assert_eq!(found[1].2, "c,\"d,e\"");
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut text = vec![b'x'; 3 << 20];
        text.extend_from_slice(b"\na,b\n");
        let found = frames(&text, 2);
        assert_eq!(found.iter().map(|frame| (frame.0, frame.3)).collect::<Vec<_>>(), [(1, "long"), (2, "record")]);
        assert_eq!(found[1].1, (3 << 20) + 1);
    }

    #[test]
    fn the_hash_is_that_of_the_whole_content() {
        let mut framer = Framer::new(&b"abc"[..], 4096);
        assert!(matches!(framer.next_frame().unwrap(), Frame::Record(_)));
        let content = framer.finish().unwrap();
        assert_eq!(content.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(content.bytes, 3);
    }

    #[test]
    fn the_hashes_of_beginnings_are_those_of_shorter_contents() {
        let text: Vec<u8> = (0..3_000_000u32).map(|index| b"abc,\n"[index as usize % 5]).collect();
        let mut framer = Framer::new(&text[..], 4096);
        framer.mark(vec![2_999_999, 1, 1 << 20, (1 << 20) + 1, 9_000_000]);
        let content = framer.finish().unwrap();
        assert_eq!(content.beginnings.len(), 4);
        for (length, sha) in content.beginnings {
            let shorter = Framer::new(&text[..length as usize], 4096).finish().unwrap();
            assert_eq!(sha, shorter.sha256, "{length}");
        }
    }
}
