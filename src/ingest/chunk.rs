//! Rows of one partition on their way to Parquet: a buffer a column, filled row by row and turned into
//! a `RecordBatch` when it is large enough.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, DictionaryArray, Int32Array, Int64Builder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::event::schema::DECODED;
use crate::event::{COLUMNS, Store};

/// "No value" among codes.
pub const NONE: i32 = -1;

/// The distinct words of one column of one file, as dense codes.
#[derive(Debug, Default)]
pub struct Words {
    values: Vec<Box<str>>,
    table: HashTable<i32>,
    hasher: DefaultHashBuilder,
    last: i32,
    frozen: Option<Arc<StringArray>>,
}

impl Words {
    /// The code of a word; [`NONE`] for the empty one. Rows tend to repeat the word before.
    pub fn code(&mut self, word: &str) -> i32 {
        if word.is_empty() {
            return NONE;
        }
        if self.values.get(usize::try_from(self.last).unwrap_or(usize::MAX)).is_some_and(|last| **last == *word) {
            return self.last;
        }
        let hash = self.hasher.hash_one(word);
        if let Some(code) = self.table.find(hash, |code| &*self.values[*code as usize] == word) {
            self.last = *code;
            return *code;
        }
        let code = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
        self.values.push(Box::from(word));
        let (values, hasher) = (&self.values, &self.hasher);
        self.table.insert_unique(hash, code, |code| hasher.hash_one(&*values[*code as usize]));
        self.last = code;
        code
    }

    /// The word of a code; empty for [`NONE`].
    pub fn word(&self, code: i32) -> &str {
        usize::try_from(code).ok().and_then(|code| self.values.get(code)).map_or("", |word| word)
    }

    fn array(&mut self) -> Arc<StringArray> {
        match &self.frozen {
            Some(array) if arrow::array::Array::len(array.as_ref()) == self.values.len() => Arc::clone(array),
            _ => {
                let array = Arc::new(StringArray::from_iter_values(self.values.iter()));
                self.frozen = Some(Arc::clone(&array));
                array
            }
        }
    }
}

/// The dictionaries of a file, one for each column of words.
#[derive(Debug)]
pub struct Dictionaries {
    words: Vec<Words>,
}

impl Default for Dictionaries {
    fn default() -> Self {
        Self { words: COLUMNS.iter().map(|_| Words::default()).collect() }
    }
}

impl std::ops::Index<usize> for Dictionaries {
    type Output = Words;
    fn index(&self, column: usize) -> &Words {
        &self.words[column]
    }
}

impl std::ops::IndexMut<usize> for Dictionaries {
    fn index_mut(&mut self, column: usize) -> &mut Words {
        &mut self.words[column]
    }
}

/// One column's buffer.
#[derive(Debug)]
pub enum Buffer {
    /// Codes into the file's dictionary.
    Word(Vec<i32>),
    /// Text.
    Text(StringBuilder),
    /// Microseconds since 1970.
    Time(TimestampMicrosecondBuilder),
    /// Days since 1970.
    Date(Date32Builder),
    /// Integers.
    Int(Int64Builder),
    /// Flags.
    Flag(BooleanBuilder),
}

/// Rows of one partition.
#[derive(Debug)]
pub struct Chunk {
    /// A buffer for each column of `events`.
    pub buffers: Vec<Buffer>,
    /// The hash of each row's core key; 0 where nothing merges (SPEC §2.6).
    pub key_hashes: Vec<u64>,
    /// Rows so far.
    pub rows: usize,
    /// Bytes of text so far.
    pub text_bytes: usize,
}

/// How large a chunk became: the next one is made as large from the start, since growing copies all of it again.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    rows: usize,
    /// Bytes of text, by column.
    text: [usize; COLUMNS.len()],
}

impl Default for Size {
    fn default() -> Self {
        Self { rows: 0, text: [0; COLUMNS.len()] }
    }
}

impl Chunk {
    /// A chunk with room for as much as another one held.
    pub fn with_room(size: &Size) -> Self {
        let rows = size.rows;
        let buffers = COLUMNS
            .iter()
            .zip(size.text)
            .map(|(column, text)| match column.store {
                Store::Word => Buffer::Word(Vec::with_capacity(rows)),
                Store::Text => Buffer::Text(StringBuilder::with_capacity(rows, text + text / 16)),
                Store::Time => Buffer::Time(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC")),
                Store::Date => Buffer::Date(Date32Builder::with_capacity(rows)),
                Store::Int => Buffer::Int(Int64Builder::with_capacity(rows)),
                Store::Flag => Buffer::Flag(BooleanBuilder::with_capacity(rows)),
            })
            .collect();
        Self { buffers, key_hashes: Vec::with_capacity(rows), rows: 0, text_bytes: 0 }
    }

    /// How large it became.
    pub fn size(&self) -> Size {
        let mut size = Size { rows: self.rows, ..Size::default() };
        for (text, buffer) in size.text.iter_mut().zip(&self.buffers) {
            if let Buffer::Text(builder) = buffer {
                *text = builder.values_slice().len();
            }
        }
        size
    }
}

impl Chunk {
    /// Appends a code to a column of words.
    pub fn push_code(&mut self, column: usize, code: i32) {
        if let Buffer::Word(codes) = &mut self.buffers[column] {
            codes.push(code);
        }
    }

    /// Appends text to a column of text; the empty one is null.
    pub fn push_text(&mut self, column: usize, text: &str) {
        if let Buffer::Text(builder) = &mut self.buffers[column] {
            if text.is_empty() {
                builder.append_null();
            } else {
                self.text_bytes += text.len();
                builder.append_value(text);
            }
        }
    }

    /// Appends a time.
    pub fn push_time(&mut self, column: usize, time: Option<i64>) {
        if let Buffer::Time(builder) = &mut self.buffers[column] {
            builder.append_option(time);
        }
    }

    /// Appends a date.
    pub fn push_date(&mut self, column: usize, date: Option<i32>) {
        if let Buffer::Date(builder) = &mut self.buffers[column] {
            builder.append_option(date);
        }
    }

    /// Appends an integer.
    pub fn push_int(&mut self, column: usize, number: Option<i64>) {
        if let Buffer::Int(builder) = &mut self.buffers[column] {
            builder.append_option(number);
        }
    }

    /// Appends a flag.
    pub fn push_flag(&mut self, column: usize, flag: bool) {
        if let Buffer::Flag(builder) = &mut self.buffers[column] {
            builder.append_value(flag);
        }
    }

    /// Roughly the bytes that the rows hold in memory.
    pub fn bytes(&self) -> usize {
        self.text_bytes + self.rows * COLUMNS.len() * 6
    }

    /// The rows as a batch of schema [`DECODED`], with the hashes of their keys.
    pub fn finish(mut self, dictionaries: &mut Dictionaries) -> Result<(RecordBatch, Vec<u64>), ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(COLUMNS.len());
        for (column, buffer) in self.buffers.iter_mut().enumerate() {
            arrays.push(match buffer {
                Buffer::Word(codes) => {
                    let codes = std::mem::take(codes);
                    let there = BooleanBuffer::collect_bool(codes.len(), |row| codes[row] != NONE);
                    let keys = Int32Array::new(codes.into(), Some(NullBuffer::new(there)));
                    let values = dictionaries[column].array();
                    Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?)
                }
                Buffer::Text(builder) => Arc::new(builder.finish()),
                Buffer::Time(builder) => Arc::new(builder.finish()),
                Buffer::Date(builder) => Arc::new(builder.finish()),
                Buffer::Int(builder) => Arc::new(builder.finish()),
                Buffer::Flag(builder) => Arc::new(builder.finish()),
            });
        }
        Ok((RecordBatch::try_new(Arc::clone(&DECODED), arrays)?, self.key_hashes))
    }
}
