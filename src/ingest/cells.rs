//! One record → its cells, without copying: only a cell with doubled quotes is rewritten.

use std::borrow::Cow;

/// The cells of one record; reused from record to record.
#[derive(Debug, Default)]
pub struct Cells {
    cells: Vec<Cell>,
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
        let mut at = 0;
        loop {
            let (cell, next) = if record.get(at) == Some(&b'"') {
                quoted(record, at, delimiter)
            } else {
                let end = memchr::memchr(delimiter, &record[at..]).map_or(record.len(), |found| at + found);
                (Cell { start: at, end, rewrite: false }, end)
            };
            self.cells.push(cell);
            if next >= record.len() {
                return;
            }
            at = next + 1;
        }
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

    #[test]
    fn it_splits_as_the_csv_library_does() {
        for record in [r#"a,"b,c""d",e"#, r#""",x"#, "x,y,z", r#""","""",""#] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let expected: Vec<String> = reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect();
            assert_eq!(split(record), expected, "{record}");
        }
    }
}
