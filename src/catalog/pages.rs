//! The pages of one Parquet column chunk and what `parquet` must know of them to put the chunk into a file.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows in a page: what a reader skips by the page index.
pub(super) const PAGE_ROWS: usize = 16 * 1024;
/// False positives of a Bloom filter, as `parquet` has it.
pub(super) const BLOOM_FPP: f64 = 0.05;

/// Compresses pages; one for many, since setting up zstd costs more than most pages.
pub(super) enum Compressor {
    Zstd(zstd::bulk::Compressor<'static>, i32),
    Lz4,
}

impl Compressor {
    pub(super) fn zstd(level: i32) -> std::io::Result<Self> {
        Ok(Self::Zstd(zstd::bulk::Compressor::new(level)?, level))
    }

    fn compress(&mut self, page: &[u8]) -> Result<Bytes> {
        Ok(match self {
            Self::Zstd(zstd, _) => zstd.compress(page)?.into(),
            Self::Lz4 => lz4_flex::block::compress(page).into(),
        })
    }

    /// What stands in the file's metadata.
    pub(super) fn name(&self) -> Compression {
        match self {
            Self::Zstd(_, level) => Compression::ZSTD(ZstdLevel::try_new(*level).unwrap_or_default()),
            Self::Lz4 => Compression::LZ4_RAW,
        }
    }
}

/// What a column chunk carries besides its values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct With {
    /// A Bloom filter.
    pub(super) bloom: bool,
    /// The least and the greatest value, of each page and of all.
    pub(super) statistics: bool,
}

/// The pages of a column chunk, in memory.
pub(super) struct Pages {
    column: ColumnDescPtr,
    sink: TrackedWrite<Vec<u8>>,
    encodings: Vec<Encoding>,
    rows: usize,
    uncompressed: usize,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    places: OffsetIndexBuilder,
    compression: Compression,
    /// Of data pages, where there is no dictionary.
    encoding: Encoding,
}

impl Pages {
    pub(super) fn new(column: ColumnDescPtr) -> Self {
        Self {
            column,
            sink: TrackedWrite::new(Vec::new()),
            encodings: vec![Encoding::PLAIN, Encoding::RLE],
            rows: 0,
            uncompressed: 0,
            dictionary_at: None,
            data_at: None,
            places: OffsetIndexBuilder::new(),
            compression: Compression::UNCOMPRESSED,
            encoding: Encoding::PLAIN,
        }
    }

    /// As it is, but for how data pages are encoded.
    pub(super) fn in_encoding(self, encoding: Encoding) -> Self {
        Self { encoding, encodings: vec![encoding, Encoding::RLE], ..self }
    }

    /// The dictionary, which comes first.
    pub(super) fn put_dictionary(&mut self, plain: &[u8], words: usize, compressor: &mut Compressor) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: compressor.compress(plain)?,
            num_values: count(words),
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, plain.len()))?;
        self.uncompressed += spec.uncompressed_size;
        self.dictionary_at = Some(number(spec.offset));
        self.encodings.push(Encoding::RLE_DICTIONARY);
        Ok(())
    }

    /// A data page of so many rows.
    pub(super) fn put(&mut self, body: &[u8], rows: usize, compressor: &mut Compressor) -> Result<()> {
        let page = Page::DataPage {
            buf: compressor.compress(body)?,
            num_values: count(rows),
            encoding: if self.dictionary_at.is_some() { Encoding::RLE_DICTIONARY } else { self.encoding },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, body.len()))?;
        self.uncompressed += spec.uncompressed_size;
        self.data_at.get_or_insert(number(spec.offset));
        let size = i32::try_from(spec.compressed_size)
            .map_err(|_| ParquetError::General("a page is larger than Parquet allows".to_owned()))?;
        self.places.append_offset_and_size(number(spec.offset), size);
        self.places.append_row_count(number(rows as u64));
        self.rows += rows;
        self.compression = compressor.name();
        Ok(())
    }

    /// The chunk's bytes, and what belongs into the file's footer.
    pub(super) fn close(
        self,
        bloom_filter: Option<Sbbf>,
        statistics: Option<(Statistics, ColumnIndexBuilder)>,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let bytes = Bytes::from(self.sink.into_inner()?);
        let mut metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(self.compression)
            .set_encodings(self.encodings)
            .set_num_values(number(self.rows as u64))
            .set_dictionary_page_offset(self.dictionary_at)
            .set_data_page_offset(self.data_at.unwrap_or_default())
            .set_total_uncompressed_size(number(self.uncompressed as u64))
            .set_total_compressed_size(number(bytes.len() as u64));
        let mut column_index = None;
        if let Some((statistics, index)) = statistics {
            metadata = metadata.set_statistics(statistics);
            column_index = Some(index.build()?);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter,
            column_index,
            offset_index: Some(self.places.build()),
        };
        Ok((bytes, close))
    }
}

pub(super) fn no_text() -> ParquetError {
    ParquetError::General("a column of text holds something else".to_owned())
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The definition levels that open a data page: 1 where there is a value. They stand behind their length.
pub(super) fn put_levels(out: &mut Vec<u8>, levels: &[u32]) {
    let at = out.len();
    out.extend([0; 4]);
    put_hybrid(out, levels, 1);
    let length = count(out.len() - at - 4);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// As [`put_levels`], where all rows have a value or none has.
pub(super) fn put_all(out: &mut Vec<u8>, rows: usize, there: bool) {
    let at = out.len();
    out.extend([0; 4]);
    put_varint(out, rows << 1);
    out.push(u8::from(there));
    let length = count(out.len() - at - 4);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// A string as Parquet's PLAIN encoding has it.
pub(super) fn put_plain(out: &mut Vec<u8>, word: &str) {
    out.extend(count(word.len()).to_le_bytes());
    out.extend(word.as_bytes());
}

/// The codes of a page, behind their width.
pub(super) fn put_code_page(out: &mut Vec<u8>, codes: &[u32], words: usize) {
    let width = (u32::BITS - count(words.saturating_sub(1)).leading_zeros()).max(1);
    out.push(width.to_le_bytes()[0]);
    put_hybrid(out, codes, width);
}

/// Numbers as Parquet's DELTA_BINARY_PACKED has them: differences in blocks, four groups a block, each group as
/// wide as it needs to be.
pub(super) fn put_delta(out: &mut Vec<u8>, numbers: &[i64]) {
    const BLOCK: usize = 128;
    const GROUP: usize = BLOCK / 4;
    put_varint(out, BLOCK);
    put_varint(out, BLOCK / GROUP);
    put_varint(out, numbers.len());
    put_zigzag(out, numbers.first().copied().unwrap_or_default());
    let mut deltas = [0i64; BLOCK];
    let mut at = 1;
    while at < numbers.len() {
        let length = (numbers.len() - at).min(BLOCK);
        for (delta, pair) in deltas.iter_mut().zip(numbers[at - 1..at + length].windows(2)) {
            *delta = pair[1].wrapping_sub(pair[0]);
        }
        let least = deltas[..length].iter().copied().min().unwrap_or_default();
        put_zigzag(out, least);
        let widths = out.len();
        out.extend([0; BLOCK / GROUP]);
        for (group, deltas) in deltas[..length].chunks(GROUP).enumerate() {
            let above = |delta: &i64| delta.wrapping_sub(least).cast_unsigned();
            let width = u64::BITS - deltas.iter().fold(0, |bits, delta| bits | above(delta)).leading_zeros();
            out[widths + group] = width.to_le_bytes()[0];
            let end = out.len() + GROUP / 8 * width as usize;
            let (mut bits, mut filled) = (0u128, 0);
            for delta in deltas {
                bits |= u128::from(above(delta)) << filled;
                filled += width;
                while filled >= u32::BITS {
                    out.extend(&bits.to_le_bytes()[..4]);
                    bits >>= u32::BITS;
                    filled -= u32::BITS;
                }
            }
            out.extend(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
            out.resize(end, 0);
        }
        at += length;
    }
}

fn put_zigzag(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Parquet's mix of runs and of packed groups of eight values, each `width` bits wide.
pub(super) fn put_hybrid(out: &mut Vec<u8>, values: &[u32], width: u32) {
    const GROUP: usize = 8;
    let (mut packed_from, mut at) = (0, 0);
    while let Some(value) = values.get(at) {
        let run = values[at..].iter().take_while(|next| *next == value).count();
        // Packed values come in whole groups; the run gives what is missing in the last one.
        let lent = (at - packed_from).next_multiple_of(GROUP) - (at - packed_from);
        if run >= GROUP + lent {
            put_packed(out, &values[packed_from..at + lent], width);
            put_varint(out, (run - lent) << 1);
            out.extend(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
            packed_from = at + run;
        }
        at += run;
    }
    put_packed(out, &values[packed_from..], width);
}

fn put_packed(out: &mut Vec<u8>, values: &[u32], width: u32) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    put_varint(out, groups << 1 | 1);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut filled) = (0u64, 0);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += width;
        if filled >= u32::BITS {
            out.extend(&bits.to_le_bytes()[..4]);
            bits >>= u32::BITS;
            filled -= u32::BITS;
        }
    }
    out.extend(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
