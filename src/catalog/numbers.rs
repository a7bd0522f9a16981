//! A column of 64-bit numbers or times → one Parquet column chunk: by differences where it rises, else by codes
//! where values repeat and as it stands where they do not.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::{Encoding, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{Compressor, PAGE_ROWS, Pages, no_text, number, put_all, put_code_page, put_delta, put_levels};

/// "No value" among codes.
const NONE: u32 = u32::MAX;

/// Whether columns of a type are written here.
pub(super) fn is_number(kind: &DataType) -> bool {
    matches!(kind, DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _))
}

/// The values of a column; those of rows without one mean nothing.
fn values_of(rows: &ArrayRef) -> Result<&[i64]> {
    if let Some(numbers) = rows.as_primitive_opt::<Int64Type>() {
        return Ok(numbers.values());
    }
    rows.as_primitive_opt::<TimestampMicrosecondType>().map(|times| &**times.values()).ok_or_else(no_text)
}

/// The least and the greatest value, of each page and of all.
struct Extremes {
    wanted: bool,
    index: ColumnIndexBuilder,
    all: Option<(i64, i64)>,
    nulls: u64,
}

impl Extremes {
    fn new(wanted: bool) -> Self {
        Self { wanted, index: ColumnIndexBuilder::new(Type::INT64), all: None, nulls: 0 }
    }

    fn page(&mut self, present: impl Iterator<Item = i64>, missing: usize) {
        self.nulls += missing as u64;
        if !self.wanted {
            return;
        }
        let wider = |so_far: Option<(i64, i64)>, value: i64| match so_far {
            Some((min, max)) => Some((min.min(value), max.max(value))),
            None => Some((value, value)),
        };
        let page = present.fold(None, wider);
        let bytes = |end: Option<i64>| end.map_or_else(Vec::new, |end| end.to_le_bytes().to_vec());
        let (min, max) = (page.map(|(min, _)| min), page.map(|(_, max)| max));
        self.index.append(page.is_none(), bytes(min), bytes(max), number(missing as u64));
        self.all = min.into_iter().chain(max).fold(self.all, wider);
    }

    fn close(self) -> Option<(Statistics, ColumnIndexBuilder)> {
        let (min, max) = (self.all.map(|(min, _)| min), self.all.map(|(_, max)| max));
        self.wanted.then(|| (Statistics::int64(min, max, None, Some(self.nulls), false), self.index))
    }
}

/// Numbers that rise, such as times; all but the last page is compressed already.
pub(super) struct RisingColumn {
    pages: Pages,
    nullable: bool,
    extremes: Extremes,
    /// The values of the page.
    page: Vec<i64>,
    /// By row of the page: 1 where there is a value.
    levels: Vec<u32>,
    body: Vec<u8>,
}

impl RisingColumn {
    /// An empty column.
    pub(super) fn new(column: ColumnDescPtr, statistics: bool) -> Self {
        let nullable = column.max_def_level() > 0;
        let pages = Pages::new(column).in_encoding(Encoding::DELTA_BINARY_PACKED);
        let extremes = Extremes::new(statistics);
        Self { pages, nullable, extremes, page: Vec::new(), levels: Vec::new(), body: Vec::new() }
    }

    /// Appends rows.
    pub(super) fn push(&mut self, rows: &ArrayRef, compressor: &mut Compressor) -> Result<()> {
        let values = values_of(rows)?;
        let nulls = rows.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut from = 0;
        while from < values.len() {
            let until = values.len().min(from + PAGE_ROWS - self.levels.len());
            let part = &values[from..until];
            match nulls {
                None => {
                    self.page.extend_from_slice(part);
                    self.levels.resize(self.levels.len() + part.len(), 1);
                }
                Some(nulls) => {
                    for (row, value) in (from..).zip(part) {
                        let there = nulls.is_valid(row);
                        self.levels.push(u32::from(there));
                        if there {
                            self.page.push(*value);
                        }
                    }
                }
            }
            from = until;
            if self.levels.len() == PAGE_ROWS {
                self.end_page(compressor)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, compressor: &mut Compressor) -> Result<()> {
        let rows = self.levels.len();
        self.body.clear();
        if self.nullable {
            if self.page.len() == rows || self.page.is_empty() {
                put_all(&mut self.body, rows, !self.page.is_empty());
            } else {
                put_levels(&mut self.body, &self.levels);
            }
        }
        put_delta(&mut self.body, &self.page);
        self.pages.put(&self.body, rows, compressor)?;
        self.extremes.page(self.page.iter().copied(), rows - self.page.len());
        self.page.clear();
        self.levels.clear();
        Ok(())
    }

    /// The column chunk: its bytes and what `parquet` must know to put them into a file.
    pub(super) fn close(mut self, compressor: &mut Compressor) -> Result<(Bytes, ColumnCloseResult)> {
        if !self.levels.is_empty() {
            self.end_page(compressor)?;
        }
        self.pages.close(None, self.extremes.close())
    }
}

/// Other numbers, until their row group is complete.
pub(super) struct NumberColumn {
    column: ColumnDescPtr,
    statistics: bool,
    values: Vec<i64>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    codes: Vec<u32>,
}

impl NumberColumn {
    /// An empty column.
    pub(super) fn new(column: ColumnDescPtr, statistics: bool) -> Self {
        let (values, codes, table) = (Vec::new(), Vec::new(), HashTable::new());
        Self { column, statistics, values, table, hasher: DefaultHashBuilder::default(), codes }
    }

    /// Appends rows.
    pub(super) fn push(&mut self, rows: &ArrayRef) -> Result<()> {
        let values = values_of(rows)?;
        let nulls: Option<&NullBuffer> = rows.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut last = (0, NONE);
        for (row, value) in values.iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                self.codes.push(NONE);
                continue;
            }
            if last.1 == NONE || last.0 != *value {
                last = (*value, self.code(*value));
            }
            self.codes.push(last.1);
        }
        Ok(())
    }

    fn code(&mut self, value: i64) -> u32 {
        let hash = self.hasher.hash_one(value);
        if let Some(code) = self.table.find(hash, |code| self.values[*code as usize] == value) {
            return *code;
        }
        let code = u32::try_from(self.values.len()).unwrap_or(NONE);
        self.values.push(value);
        let (values, hasher) = (&self.values, &self.hasher);
        self.table.insert_unique(hash, code, |code| hasher.hash_one(values[*code as usize]));
        code
    }

    /// The column chunk: its bytes and what `parquet` must know to put them into a file.
    pub(super) fn close(self, compressor: &mut Compressor) -> Result<(Bytes, ColumnCloseResult)> {
        let nullable = self.column.max_def_level() > 0;
        let mut pages = Pages::new(self.column);
        let mut body = Vec::new();
        let by_code = !self.values.is_empty() && self.values.len() * 2 <= self.codes.len();
        if by_code {
            self.values.iter().for_each(|value| body.extend(value.to_le_bytes()));
            pages.put_dictionary(&body, self.values.len(), compressor)?;
        }
        let mut extremes = Extremes::new(self.statistics);
        let mut there = Vec::new();
        for codes in self.codes.chunks(PAGE_ROWS) {
            body.clear();
            there.clear();
            there.extend(codes.iter().copied().filter(|code| *code != NONE));
            let value = |code: &u32| self.values[*code as usize];
            if nullable {
                if there.len() == codes.len() || there.is_empty() {
                    put_all(&mut body, codes.len(), !there.is_empty());
                } else {
                    let levels: Vec<u32> = codes.iter().map(|code| u32::from(*code != NONE)).collect();
                    put_levels(&mut body, &levels);
                }
            }
            if by_code {
                put_code_page(&mut body, &there, self.values.len());
            } else {
                there.iter().for_each(|code| body.extend(value(code).to_le_bytes()));
            }
            pages.put(&body, codes.len(), compressor)?;
            extremes.page(there.iter().map(value), codes.len() - there.len());
        }
        pages.close(None, extremes.close())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::write::write_numbers_for_tests;
    use super::*;

    fn there_and_back(numbers: &[Option<i64>]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("numbers.parquet");
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let certain: Vec<i64> = numbers.iter().map(|number| number.unwrap_or(7)).collect();
        let schema = Arc::new(Schema::new(vec![
            Field::new("event_time", zone, true),
            Field::new("size_bytes", DataType::Int64, true),
            Field::new("row_number", DataType::Int64, false),
            Field::new("file_id", DataType::Int64, false),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(numbers.to_vec()).with_timezone("UTC")),
            Arc::new(Int64Array::from(numbers.to_vec())),
            Arc::new(Int64Array::from(certain.clone())),
            Arc::new(Int64Array::from(certain)),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        write_numbers_for_tests(&file, &batch);
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
        let statistics = reader.metadata().row_group(0).column(1).statistics().unwrap().clone();
        let (min, max) = (numbers.iter().flatten().min(), numbers.iter().flatten().max());
        if let Statistics::Int64(found) = &statistics {
            assert_eq!((found.min_opt(), found.max_opt()), (min, max));
        }
        let missing = numbers.iter().filter(|number| number.is_none()).count();
        assert_eq!(statistics.null_count_opt(), Some(missing as u64));
        let back: Vec<RecordBatch> =
            reader.with_batch_size(1 << 20).build().unwrap().map(|batch| batch.unwrap()).collect();
        assert_eq!(back.len(), 1);
        for column in 0..4 {
            assert_eq!(back[0].column(column).to_data(), batch.column(column).to_data(), "{column}");
        }
    }

    proptest::proptest! {
        #[test]
        fn numbers_are_read_back_as_they_were(
            numbers in proptest::collection::vec(proptest::option::weighted(0.9, proptest::num::i64::ANY), 1..400),
            narrow in 0u32..64,
        ) {
            let numbers: Vec<Option<i64>> = numbers.iter().map(|number| number.map(|number| number >> narrow)).collect();
            there_and_back(&numbers);
        }
    }

    #[test]
    fn pages_without_values_and_pages_of_one_value_are_read_back_too() {
        let rows = PAGE_ROWS as i64;
        there_and_back(&(0..rows * 3 + 5).map(|row| (row / rows != 1).then_some(row)).collect::<Vec<_>>());
        there_and_back(&vec![Some(5); PAGE_ROWS + 1]);
        there_and_back(&[None, None, None]);
        there_and_back(&[Some(i64::MIN), Some(i64::MAX), Some(i64::MIN), Some(0)]);
    }
}
