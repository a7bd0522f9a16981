//! A view as Parquet: rows of events as they come, everything else as one table.

use std::io::Write;

use futures::StreamExt as _;

use crate::catalog::sheet::Sheet;
use crate::query::question::{Failure, Question, Report};
use crate::query::table::Table;
use crate::query::{Engine, columns, mask, sql};
use crate::report;

/// Writes the whole answer of a question; counts are integers, rates floats, times UTC.
pub async fn write(engine: &Engine, question: &Question, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    if question.report != Report::Events {
        return table(&report::answer(engine, question).await?.table, out);
    }
    let snapshot = engine.snapshot()?;
    let resolved = engine.resolve(&snapshot, &question.scope, engine.now(&snapshot)?)?;
    let page = &question.page;
    let mut batches = engine
        .raw()
        .events(&snapshot, &resolved, page.sort.as_ref(), page.offset, page.limit)
        .await
        .map_err(Failure::from_engine)?;
    let empty = sql::empty_table(&crate::event::schema::QUERIED);
    let mut sheet = Sheet::new(out, columns::schema(&empty)).map_err(not_written)?;
    while let Some(batch) = batches.next().await {
        let mut rows = empty.clone();
        let batch = batch.map_err(Failure::from_engine)?;
        sql::append(&mut rows, &batch).map_err(not_written)?;
        if engine.masks() {
            mask::table(&mut rows);
        }
        sheet.write(&columns::batch(&rows).map_err(not_written)?).map_err(not_written)?;
    }
    sheet.close().map_err(not_written)
}

/// Writes rows that are here already.
pub fn table(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let mut sheet = Sheet::new(out, columns::schema(table)).map_err(not_written)?;
    sheet.write(&columns::batch(table).map_err(not_written)?).map_err(not_written)?;
    sheet.close().map_err(not_written)
}

fn not_written(error: impl std::fmt::Display) -> Failure {
    Failure {
        what: "the answer was not written".to_owned(),
        why: error.to_string(),
        hint: "check that the disk is not full".to_owned(),
        ..Failure::default()
    }
}
