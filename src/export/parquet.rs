//! A view as Parquet: rows of events as they come, everything else as one table.

use std::io::Write;

use super::{each_batch, not_written};
use crate::catalog::sheet::Sheet;
use crate::query::question::{Failure, Question, Report};
use crate::query::table::Table;
use crate::query::{Engine, columns, sql};
use crate::report;

/// Writes the whole answer of a question; counts are integers, rates floats, times UTC.
pub async fn write(engine: &Engine, question: &Question, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    if question.report != Report::Events {
        return table(&report::answer(engine, question).await?.table, out);
    }
    let empty = sql::empty_table(&crate::event::schema::QUERIED);
    let mut sheet = Sheet::new(out, columns::schema(&empty)).map_err(not_written)?;
    each_batch(engine, question, &mut |rows| {
        sheet.write(&columns::batch(rows).map_err(not_written)?).map_err(not_written)
    })
    .await?;
    sheet.close().map_err(not_written)
}

/// Writes rows that are here already.
pub fn table(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let mut sheet = Sheet::new(out, columns::schema(table)).map_err(not_written)?;
    sheet.write(&columns::batch(table).map_err(not_written)?).map_err(not_written)?;
    sheet.close().map_err(not_written)
}
