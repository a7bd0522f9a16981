//! A column of words → one Parquet column chunk. The rows come as codes into a dictionary already; going
//! through `ArrowWriter` would hash and compare every value again, which was a sixth of all ingest.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Int32Type;
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::Type;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{
    BLOOM_FPP, Compressor, PAGE_ROWS, Pages, With, no_text, number, put_all, put_code_page, put_levels, put_plain,
};
use super::write::ROW_GROUP;

/// A larger dictionary would not help: values are written as they are.
const DICTIONARY_BYTES: usize = 1 << 20;
/// Longer words are left out of the statistics, and with them their column's.
const STATISTICS_BYTES: usize = 128;

/// So many rows at first are taken for the beginning of a whole row group.
const MANY: usize = 8192;

/// "No value" among codes.
const NONE: u32 = u32::MAX;

/// The rows of a column until their row group is complete.
pub(super) struct WordColumn {
    column: ColumnDescPtr,
    with: With,
    words: Vec<Box<str>>,
    bytes: usize,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    codes: Vec<u32>,
}

impl std::fmt::Debug for WordColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordColumn").field("rows", &self.codes.len()).finish_non_exhaustive()
    }
}

impl WordColumn {
    /// An empty column.
    pub(super) fn new(column: ColumnDescPtr, with: With) -> Self {
        Self {
            column,
            with,
            words: Vec::new(),
            bytes: 0,
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            codes: Vec::new(),
        }
    }

    /// Appends rows: strings, or a dictionary of them.
    pub(super) fn push(&mut self, rows: &ArrayRef) -> Result<()> {
        if let Some(dictionary) = rows.as_dictionary_opt::<Int32Type>() {
            let words = dictionary.values().as_string_opt::<i32>().ok_or_else(no_text)?;
            let keys = dictionary.keys();
            if self.codes.is_empty() && keys.len() >= MANY {
                self.codes.reserve_exact(ROW_GROUP);
            }
            self.codes.reserve(keys.len());
            if keys.null_count() == keys.len() {
                self.codes.resize(self.codes.len() + keys.len(), NONE);
                return Ok(());
            }
            let mut known = vec![NONE; words.len()];
            let mut codes = std::mem::take(&mut self.codes);
            let mut code = |key: i32| {
                let key = usize::try_from(key).unwrap_or_default();
                if known[key] == NONE {
                    known[key] = self.code(words.value(key));
                }
                known[key]
            };
            match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
                None => codes.extend(keys.values().iter().map(|key| code(*key))),
                Some(nulls) => {
                    let rows = keys.values().iter().zip(nulls);
                    codes.extend(rows.map(|(key, there)| if there { code(*key) } else { NONE }));
                }
            }
            self.codes = codes;
            return Ok(());
        }
        let words: &StringArray = rows.as_string_opt::<i32>().ok_or_else(no_text)?;
        for word in words {
            let code = word.map_or(NONE, |word| self.code(word));
            self.codes.push(code);
        }
        Ok(())
    }

    fn code(&mut self, word: &str) -> u32 {
        let hash = self.hasher.hash_one(word);
        if let Some(code) = self.table.find(hash, |code| &*self.words[*code as usize] == word) {
            return *code;
        }
        let code = u32::try_from(self.words.len()).unwrap_or(NONE);
        self.bytes += word.len() + size_of::<u32>();
        self.words.push(Box::from(word));
        let (words, hasher) = (&self.words, &self.hasher);
        self.table.insert_unique(hash, code, |code| hasher.hash_one(&*words[*code as usize]));
        code
    }

    /// The column chunk: its bytes and what `parquet` must know to put them into a file.
    pub(super) fn close(self, compressor: &mut Compressor) -> Result<(Bytes, ColumnCloseResult)> {
        let by_code = !self.words.is_empty() && self.bytes <= DICTIONARY_BYTES;
        let mut pages = Pages::new(self.column);
        let mut body = Vec::new();
        if by_code {
            self.words.iter().for_each(|word| put_plain(&mut body, word));
            pages.put_dictionary(&body, self.words.len(), compressor)?;
        }
        let longest = self.words.iter().map(|word| word.len()).max().unwrap_or_default();
        let wanted = self.with.statistics && longest <= STATISTICS_BYTES;
        let mut index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        let mut extremes = Extremes::new(&self.words);
        let (mut there, mut levels, mut nulls) = (Vec::new(), Vec::new(), 0);
        for (page, codes) in (0u32..).zip(self.codes.chunks(PAGE_ROWS)) {
            body.clear();
            let missing = codes.iter().filter(|code| **code == NONE).count();
            let present: &[u32] = if missing == 0 {
                put_all(&mut body, codes.len(), true);
                codes
            } else if missing == codes.len() {
                put_all(&mut body, codes.len(), false);
                &[]
            } else {
                levels.clear();
                levels.extend(codes.iter().map(|code| u32::from(*code != NONE)));
                put_levels(&mut body, &levels);
                there.clear();
                there.extend(codes.iter().filter(|code| **code != NONE));
                &there
            };
            if by_code {
                put_code_page(&mut body, present, self.words.len());
            } else {
                present.iter().for_each(|code| put_plain(&mut body, &self.words[*code as usize]));
            }
            pages.put(&body, codes.len(), compressor)?;
            nulls += missing as u64;
            if wanted {
                let (min, max) = extremes.of_page(page, present);
                index.append(present.is_empty(), bytes_of(min), bytes_of(max), number(missing as u64));
            }
        }
        let (min, max) = (extremes.min.map(ByteArray::from), extremes.max.map(ByteArray::from));
        let statistics = wanted.then(|| (Statistics::byte_array(min, max, None, Some(nulls), false), index));
        pages.close(if self.with.bloom { Some(bloom_of(&self.words)?) } else { None }, statistics)
    }
}

fn bytes_of(word: Option<&str>) -> Vec<u8> {
    word.map_or_else(Vec::new, |word| word.as_bytes().to_vec())
}

fn bloom_of(words: &[Box<str>]) -> Result<Sbbf> {
    let mut filter = Sbbf::new_with_ndv_fpp(words.len().max(1) as u64, BLOOM_FPP)?;
    words.iter().for_each(|word| filter.insert(&**word));
    Ok(filter)
}

/// The smallest and the largest word, of each page and of all.
struct Extremes<'w> {
    words: &'w [Box<str>],
    /// By code: the last page, from 1, in which it was seen.
    seen: Vec<u32>,
    min: Option<&'w str>,
    max: Option<&'w str>,
}

impl<'w> Extremes<'w> {
    fn new(words: &'w [Box<str>]) -> Self {
        let (min, max) = (words.iter().min().map(|word| &**word), words.iter().max().map(|word| &**word));
        Self { words, seen: vec![0; words.len()], min, max }
    }

    fn of_page(&mut self, number: u32, codes: &[u32]) -> (Option<&'w str>, Option<&'w str>) {
        let (mut min, mut max): (Option<&str>, Option<&str>) = (None, None);
        for code in codes {
            let Some(seen) = self.seen.get_mut(*code as usize) else { continue };
            if *seen == number + 1 {
                continue;
            }
            *seen = number + 1;
            let word = &*self.words[*code as usize];
            min = Some(min.map_or(word, |min| min.min(word)));
            max = Some(max.map_or(word, |max| max.max(word)));
        }
        (min, max)
    }
}
