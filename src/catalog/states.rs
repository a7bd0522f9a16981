//! Two contents that are states of one growing file: the shorter is a beginning of the longer. Hashes of
//! the first 2ⁿ bytes tell which may be; the rows tell which are.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::ProjectionMask;

use super::Result;
use super::keys::open;
use super::moves::Source;

/// The columns that come from the cells alone, whatever the settings say.
const SAID: [&str; 18] = [
    "record_type",
    "event_time",
    "queued_time",
    "job_id",
    "sender",
    "recipient",
    "vmta",
    "vmta_pool",
    "destination_ip",
    "env_id",
    "message_id",
    "queue",
    "smtp_status",
    "dsn_action",
    "dsn_diag",
    "dsn_mta",
    "bounce_category",
    "headers",
];

/// The rows of one file: a hash of each by its number, and the cells of the last one.
#[derive(Debug, Default)]
pub(super) struct Prints {
    rows: HashMap<i64, u64>,
    last: Option<(i64, Vec<String>)>,
}

impl Prints {
    /// The rows of a file in some segments. `last`: whose cells are kept; `None`: those of the last row.
    pub(super) fn of<'s>(sources: impl Iterator<Item = &'s Source>, file: i64, last: Option<i64>) -> Result<Self> {
        let mut prints = Self::default();
        for source in sources.filter(|source| source.segment.holds_file(file)) {
            let builder = open(&source.path)?;
            let names = SAID.into_iter().chain(["file_id", "row_number"]);
            let mask = ProjectionMask::columns(builder.parquet_schema(), names);
            for batch in builder.with_projection(mask).with_batch_size(1 << 13).build()? {
                prints.add(&batch?, file, last)?;
            }
        }
        Ok(prints)
    }

    fn add(&mut self, batch: &RecordBatch, file: i64, last: Option<i64>) -> Result<()> {
        let numbers = |name: &str| batch.column_by_name(name).map(|column| column.as_primitive::<Int64Type>().clone());
        let (Some(owners), Some(rows)) = (numbers("file_id"), numbers("row_number")) else { return Ok(()) };
        let mut columns = Vec::new();
        for name in SAID {
            if let Some(column) = batch.column_by_name(name) {
                columns.push(cast(column, &DataType::Utf8)?);
            }
        }
        for index in (0..batch.num_rows()).filter(|index| owners.value(*index) == file) {
            let mut hasher = xxhash_rust::xxh3::Xxh3::new();
            let cell = |column: usize| {
                let cells = columns[column].as_string::<i32>();
                if cells.is_null(index) { "" } else { cells.value(index) }
            };
            for column in 0..columns.len() {
                hasher.update(cell(column).as_bytes());
                hasher.update(&[0]);
            }
            let row = rows.value(index);
            self.rows.insert(row, hasher.digest());
            let keep =
                last.map_or_else(|| self.last.as_ref().is_none_or(|(known, _)| row > *known), |wanted| wanted == row);
            if keep {
                self.last = Some((row, (0..columns.len()).map(|column| cell(column).to_owned()).collect()));
            }
        }
        Ok(())
    }

    /// The number of the row whose cells are kept.
    pub(super) fn last(&self) -> Option<i64> {
        self.last.as_ref().map(|(row, _)| *row)
    }

    /// Whether these rows are the first of another file. `cut`: the last of them may lack its end.
    pub(super) fn begin(&self, longer: &Self, cut: bool) -> bool {
        if self.rows.is_empty() || self.rows.len() > longer.rows.len() {
            return false;
        }
        let differing: Vec<i64> =
            self.rows.iter().filter(|(row, hash)| longer.rows.get(*row) != Some(*hash)).map(|(row, _)| *row).collect();
        match (differing.as_slice(), &self.last, &longer.last) {
            ([], _, _) => true,
            ([row], Some((last, short)), Some((same, long))) if cut && row == last && last == same => {
                short.iter().zip(long).all(|(short, long)| long.starts_with(short.as_str()))
            }
            _ => false,
        }
    }
}
