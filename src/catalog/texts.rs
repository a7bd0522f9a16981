//! A column of text that hardly repeats → one Parquet column chunk: each value as it stands, once copied.

use arrow::array::{Array, ArrayRef, AsArray};
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{BLOOM_FPP, Compressor, PAGE_ROWS, Pages, no_text, put_all, put_levels, put_plain};

/// Bytes of text in a page.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes kept free before a page's text.
const FRONT: usize = 16;

/// The rows of a column until their row group is complete; all but the last page is compressed already.
pub(super) struct TextColumn {
    pages: Pages,
    bloom: Option<Sbbf>,
    /// The values of the page, behind [`FRONT`] bytes for its levels.
    plain: Vec<u8>,
    /// By row of the page: 1 where there is a value.
    levels: Vec<u32>,
    /// Rows of the page that have a value.
    there: usize,
}

impl TextColumn {
    /// An empty column; `bloom`: the rows for which its Bloom filter is made, if it is to have one.
    pub(super) fn new(column: ColumnDescPtr, bloom: Option<usize>) -> Result<Self> {
        let bloom = bloom.map(|rows| Sbbf::new_with_ndv_fpp(rows as u64, BLOOM_FPP)).transpose()?;
        Ok(Self { pages: Pages::new(column), bloom, plain: vec![0; FRONT], levels: Vec::new(), there: 0 })
    }

    /// Appends rows.
    pub(super) fn push(&mut self, rows: &ArrayRef, compressor: &mut Compressor) -> Result<()> {
        let text = rows.as_string_opt::<i32>().ok_or_else(no_text)?;
        for row in 0..text.len() {
            let there = text.is_valid(row);
            self.levels.push(u32::from(there));
            if there {
                self.there += 1;
                let value = text.value(row);
                put_plain(&mut self.plain, value);
                if let Some(bloom) = &mut self.bloom {
                    bloom.insert(value);
                }
            }
            if self.levels.len() == PAGE_ROWS || self.plain.len() >= PAGE_BYTES {
                self.end_page(compressor)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, compressor: &mut Compressor) -> Result<()> {
        let (rows, mut levels) = (self.levels.len(), Vec::new());
        if self.there == rows || self.there == 0 {
            put_all(&mut levels, rows, self.there > 0);
        } else {
            put_levels(&mut levels, &self.levels);
        }
        // The levels come first; where they are short, the text need not be moved for them.
        let body = match FRONT.checked_sub(levels.len()) {
            Some(from) => {
                self.plain[from..FRONT].copy_from_slice(&levels);
                &self.plain[from..]
            }
            None => {
                levels.extend_from_slice(&self.plain[FRONT..]);
                &levels[..]
            }
        };
        self.pages.put(body, rows, compressor)?;
        self.plain.truncate(FRONT);
        self.levels.clear();
        self.there = 0;
        Ok(())
    }

    /// The column chunk: its bytes and what `parquet` must know to put them into a file.
    pub(super) fn close(mut self, compressor: &mut Compressor) -> Result<(Bytes, ColumnCloseResult)> {
        if !self.levels.is_empty() {
            self.end_page(compressor)?;
        }
        if let Some(bloom) = &mut self.bloom {
            bloom.fold_to_target_fpp(BLOOM_FPP);
        }
        self.pages.close(self.bloom, None)
    }
}
