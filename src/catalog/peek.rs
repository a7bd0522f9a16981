//! Some columns of some rows of a segment, as cells.

use std::ops::Range;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;

use super::Result;
use super::pack::words_reader;

/// Cells of a batch of rows, by the position of the column among those asked for.
#[derive(Debug)]
pub struct Cells {
    /// How many rows.
    pub len: usize,
    columns: Vec<Option<ArrayRef>>,
}

impl Cells {
    /// A cell as text; empty where there is none, or where the column holds no text.
    pub fn text(&self, column: usize, row: usize) -> &str {
        let Some(Some(array)) = self.columns.get(column) else { return "" };
        if array.is_null(row) {
            return "";
        }
        if let Some(texts) = array.as_string_opt::<i32>() {
            return texts.value(row);
        }
        let Some(words) = array.as_dictionary_opt::<Int32Type>() else { return "" };
        let key = usize::try_from(words.keys().value(row)).unwrap_or_default();
        words.values().as_string_opt::<i32>().map_or("", |values| values.value(key))
    }

    /// A cell as a number or a time.
    pub fn number(&self, column: usize, row: usize) -> Option<i64> {
        let array = self.columns.get(column)?.as_ref()?;
        if array.is_null(row) {
            return None;
        }
        match array.data_type() {
            DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row)),
            DataType::Timestamp(..) => Some(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)),
            _ => None,
        }
    }
}

/// Hands the cells of a file over, batch by batch: of all rows, or of some ranges of them. Columns that the file has
/// not are empty.
pub fn each(
    path: &Path,
    names: &[&str],
    ranges: Option<(Vec<Range<usize>>, usize)>,
    mut take: impl FnMut(&Cells) -> Result<()>,
) -> Result<()> {
    let mut builder = words_reader(path)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
    if let Some((ranges, total)) = ranges {
        builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges.into_iter(), total));
    }
    for batch in builder.with_projection(mask).with_batch_size(1 << 15).build()? {
        let batch = batch?;
        let columns = names.iter().map(|name| batch.column_by_name(name).cloned()).collect();
        take(&Cells { len: batch.num_rows(), columns })?;
    }
    Ok(())
}
