//! A row as it stands in its log file: the stream is read again up to the record of its number.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::frame::{Frame, Framer};
use super::open;
use super::stage::begins_like_header;
use crate::config;

/// The longest piece of a row that is shown.
const LONGEST: usize = 64 << 10;

/// A row of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The line that it begins on.
    pub line: u64,
    /// The byte that it begins at, in the decompressed content.
    pub offset: u64,
    /// Its text.
    pub text: String,
}

/// The row of a number, of the file (or the member of an archive) that has a name.
///
/// # Errors
/// When the file is gone, is no CSV, or has no such row; why, for people.
pub fn row(
    path: &Path,
    name: &str,
    number: u64,
    settings: &config::Ingest,
    stop: &AtomicBool,
) -> Result<Original, String> {
    let gone = |why: String| format!("its log file cannot be read any more: {why}");
    // A member of an archive is known by the archive's path with the member's name behind it.
    let on_disk = path.ancestors().find(|path| path.is_file());
    let on_disk = on_disk.ok_or_else(|| gone(format!("{} is not there", path.display())))?;
    let members = open::members(on_disk).map_err(|error| gone(error.to_string()))?;
    let member =
        members.iter().find(|member| member.name == name).or_else(|| members.first().filter(|_| members.len() == 1));
    let member = member.ok_or_else(|| gone(format!("{name} is not in it")))?;
    let opened = member.open(settings.max_member_bytes).map_err(|error| gone(error.to_string()))?;
    find(opened.reader, number, settings.max_record_bytes, stop)
}

fn find(reader: impl Read, number: u64, max_record: usize, stop: &AtomicBool) -> Result<Original, String> {
    let failed = |error: std::io::Error| format!("its log file cannot be read any more: {error}");
    let mut framer = Framer::new(reader, max_record);
    let beginning = framer.peek().map_err(failed)?;
    if beginning.starts_with(b"\xef\xbb\xbf") {
        framer.skip(3);
    }
    let beginning = framer.peek().map_err(failed)?;
    if matches!(beginning.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'[')) {
        return Err("rows of JSON logs are not looked up".to_owned());
    }
    let first: Vec<u8> = beginning.iter().copied().take_while(|byte| *byte != b'\n').collect();
    let count = |sign: u8| first.iter().filter(|byte| **byte == sign).count();
    let delimiter = [b',', b';', b'\t', b'|'].into_iter().max_by_key(|sign| count(*sign)).unwrap_or(b',');
    framer.expect(delimiter, count(delimiter) + 1);
    let mut rows = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err("cancelled".to_owned());
        }
        let (span, is_record) = match framer.next_frame().map_err(failed)? {
            Frame::End => return Err("its log file has become shorter since".to_owned()),
            Frame::Record(span) => (span, true),
            Frame::Unterminated(span) | Frame::TooLong(span) => (span, false),
        };
        let bytes = framer.bytes(&span);
        let is_blank = bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0) || *byte == delimiter);
        if is_record && (is_blank || begins_like_header(bytes) || (!first.is_empty() && rows == 0 && is_header(bytes)))
        {
            continue;
        }
        if rows == number {
            let kept = bytes.get(..LONGEST).unwrap_or(bytes);
            let text = String::from_utf8_lossy(kept).trim_end_matches('\r').to_owned();
            return Ok(Original { line: span.line, offset: span.offset, text });
        }
        rows += 1;
    }
}

/// Whether the first record names columns in an order of its own.
fn is_header(record: &[u8]) -> bool {
    let text = String::from_utf8_lossy(record).to_lowercase();
    ["timelogged", "timequeued", "dlvtype", "rbtype", "feedbacktype", "bouncecat"]
        .iter()
        .any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_when_they_were_taken_in() {
        let text = "type,timeLogged,rcpt\nd,1,a@x\n\nd,2,\"b\n@x\"\ntype,timeLogged,rcpt\nd,3,c@x\n";
        let stop = AtomicBool::new(false);
        let row = |number| find(text.as_bytes(), number, 1 << 20, &stop).unwrap();
        assert_eq!(row(0), Original { line: 2, offset: 21, text: "d,1,a@x".to_owned() });
        assert_eq!((row(1).line, row(1).text.as_str()), (4, "d,2,\"b\n@x\""));
        assert_eq!((row(2).line, row(2).text.as_str()), (7, "d,3,c@x"));
        assert!(find(text.as_bytes(), 3, 1 << 20, &stop).unwrap_err().contains("shorter"));
    }
}
