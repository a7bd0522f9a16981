//! One record → its cells, without copying: only a cell with doubled quotes is rewritten.

use std::borrow::Cow;

/// The cells of one record; reused from record to record.
#[derive(Debug, Default)]
pub struct Cells {
    cells: Vec<Cell>,
    /// A cell is to be rewritten.
    rewritten: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    start: usize,
    end: usize,
    /// Doubled quotes inside, or text behind the closing quote.
    rewrite: bool,
}

impl Cells {
    /// Splits a record. A quote opens a cell only as its first byte; text behind a closing quote is
    /// kept as it stands.
    pub fn split(&mut self, record: &[u8], delimiter: u8) {
        self.cells.clear();
        self.rewritten = false;
        let mut at = 0;
        // The cell at `at` is in quotes and pushed already; its delimiter stands here.
        let mut behind = self.quoted(record, at, delimiter);
        each(delimiter, record, |found| {
            match behind {
                Some(next) if found < next => return,
                Some(_) => {}
                None => self.cells.push(Cell { start: at, end: found, rewrite: false }),
            }
            at = found + 1;
            behind = self.quoted(record, at, delimiter);
        });
        if behind.is_none() {
            self.cells.push(Cell { start: at, end: record.len(), rewrite: false });
        }
    }

    /// Takes the cell in quotes that begins here, if there is one, and says where its delimiter stands.
    fn quoted(&mut self, record: &[u8], at: usize, delimiter: u8) -> Option<usize> {
        if record.get(at) != Some(&b'"') {
            return None;
        }
        let (cell, next) = quoted(record, at, delimiter);
        self.cells.push(cell);
        self.rewritten |= cell.rewrite;
        Some(next)
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The bytes of a cell; empty where the record has no such cell.
    pub fn bytes<'a>(&self, record: &'a [u8], index: usize) -> Cow<'a, [u8]> {
        let Some(cell) = self.cells.get(index) else {
            return Cow::Borrowed(&[]);
        };
        let bytes = &record[cell.start..cell.end];
        if cell.rewrite { Cow::Owned(unquote(bytes)) } else { Cow::Borrowed(bytes) }
    }

    /// The text of a cell; bytes that are no UTF-8 become U+FFFD.
    pub fn text<'a>(&self, record: &'a [u8], index: usize) -> Cow<'a, str> {
        match self.bytes(record, index) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(
                String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }

    /// The record as text in which each cell stands as it is meant, for [`Self::of_text`]. Almost every record
    /// is that already; one with doubled quotes or with bytes that are no UTF-8 is written anew into `spare`.
    pub fn settle<'a>(&mut self, record: &'a [u8], spare: &'a mut String) -> &'a str {
        if !self.rewritten
            && let Ok(text) = std::str::from_utf8(record)
        {
            return text;
        }
        spare.clear();
        for index in 0..self.cells.len() {
            let start = spare.len();
            spare.push_str(&self.text(record, index));
            self.cells[index] = Cell { start, end: spare.len(), rewrite: false };
        }
        spare
    }

    /// The text of a cell of a settled record; empty where there is no such cell.
    pub fn of_text<'a>(&self, text: &'a str, index: usize) -> &'a str {
        self.cells.get(index).and_then(|cell| text.get(cell.start..cell.end)).unwrap_or_default()
    }
}

/// Calls back for each place of a byte. Cells are short: eight bytes at a time without any start-up cost beat
/// `memchr`, which sets out anew for each of them, threefold.
fn each(wanted: u8, bytes: &[u8], mut found: impl FnMut(usize)) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let pattern = u64::from_ne_bytes([wanted; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (at, eight) in (0..).step_by(8).zip(eights) {
        let other = u64::from_le_bytes(*eight) ^ pattern;
        // The highest bit of each byte that is wanted.
        let mut hits = !(((other & LOW) + LOW) | other | LOW);
        while hits != 0 {
            found(at + hits.trailing_zeros() as usize / 8);
            hits &= hits - 1;
        }
    }
    let start = bytes.len() - rest.len();
    rest.iter().enumerate().filter(|(_, byte)| **byte == wanted).for_each(|(at, _)| found(start + at));
}

/// The cell whose opening quote is at `at`, and where its delimiter stands.
fn quoted(record: &[u8], at: usize, delimiter: u8) -> (Cell, usize) {
    let start = at + 1;
    let mut from = start;
    let mut rewrite = false;
    while let Some(found) = memchr::memchr(b'"', &record[from..]) {
        let quote = from + found;
        match record.get(quote + 1) {
            Some(b'"') => {
                rewrite = true;
                from = quote + 2;
            }
            None => return (Cell { start, end: quote, rewrite }, record.len()),
            Some(next) if *next == delimiter => return (Cell { start, end: quote, rewrite }, quote + 1),
            Some(_) => {
                let end = memchr::memchr(delimiter, &record[quote..]).map_or(record.len(), |found| quote + found);
                return (Cell { start, end, rewrite: true }, end);
            }
        }
    }
    (Cell { start, end: record.len(), rewrite }, record.len())
}

/// Doubled quotes become one; a lone quote (malformed) is dropped.
fn unquote(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'"' {
            if rest.next_if_eq(&b'"').is_some() {
                out.push(b'"');
            }
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(record: &str) -> Vec<String> {
        let mut cells = Cells::default();
        cells.split(record.as_bytes(), b',');
        (0..cells.len()).map(|index| cells.text(record.as_bytes(), index).into_owned()).collect()
    }

    #[test]
    fn commas_and_quotes_inside_quotes_belong_to_the_cell() {
        assert_eq!(split(r#"d,"a,b","say ""hi""",,x"#), ["d", "a,b", "say \"hi\"", "", "x"]);
        assert_eq!(split(""), [""]);
        assert_eq!(split("a,"), ["a", ""]);
        assert_eq!(split("\"a\","), ["a", ""]);
        assert_eq!(split("5\" disk,b"), ["5\" disk", "b"]);
    }

    /// The rule without any shortcut: byte by byte.
    fn by_the_rule(record: &[u8], delimiter: u8) -> Vec<String> {
        let mut cells = Vec::new();
        let mut at = 0;
        loop {
            let mut cell = Vec::new();
            if record.get(at) == Some(&b'"') {
                at += 1;
                while at < record.len() {
                    if record[at] != b'"' {
                        cell.push(record[at]);
                    } else if record.get(at + 1) == Some(&b'"') {
                        cell.push(b'"');
                        at += 1;
                    } else {
                        break;
                    }
                    at += 1;
                }
                at += 1;
                let mut quotes = 0;
                while at < record.len() && record[at] != delimiter {
                    quotes = if record[at] == b'"' { quotes + 1 } else { 0 };
                    if quotes == 0 {
                        cell.push(record[at]);
                    } else if quotes == 2 {
                        cell.push(b'"');
                        quotes = 0;
                    }
                    at += 1;
                }
            } else {
                while at < record.len() && record[at] != delimiter {
                    cell.push(record[at]);
                    at += 1;
                }
            }
            cells.push(String::from_utf8_lossy(&cell).into_owned());
            if at >= record.len() {
                return cells;
            }
            at += 1;
        }
    }

    proptest::proptest! {
        #[test]
        fn the_fast_way_splits_as_the_rule_says(bytes in proptest::collection::vec(0usize..9, 0..40)) {
            const LETTERS: [&[u8]; 9] = [b"a", b"\"", b"\"\"", b",", b",\"", b"\",", b"\r", "é".as_bytes(), b"\xff"];
            let record: Vec<u8> = bytes.iter().flat_map(|letter| LETTERS[*letter]).copied().collect();
            let mut cells = Cells::default();
            cells.split(&record, b',');
            let careful: Vec<String> = (0..cells.len()).map(|index| cells.text(&record, index).into_owned()).collect();
            let mut spare = String::new();
            let text = cells.settle(&record, &mut spare);
            let fast: Vec<&str> = (0..cells.len()).map(|index| cells.of_text(text, index)).collect();
            proptest::prop_assert_eq!(&fast, &careful);
            proptest::prop_assert_eq!(fast, by_the_rule(&record, b','));
        }
    }

    #[test]
    fn it_splits_as_the_csv_library_does() {
        for record in [r#"a,"b,c""d",e"#, r#""",x"#, "x,y,z", r#""","""",""#] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let expected: Vec<String> = reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect();
            assert_eq!(split(record), expected, "{record}");
        }
    }
}
