//! A view → a file, whole or not at all: rows of events as a stream, everything else as a table.

pub mod parquet;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;

use crate::catalog::layout;
use crate::query::question::{Failure, Question, Report};
use crate::query::table::Table;
use crate::query::{Engine, mask, sql};
use crate::report::print::{self, Format};
use crate::report::{self};

/// Writes the whole answer of a question to a stream. Rows of events are never all in memory.
pub async fn write(
    engine: &Engine,
    question: &Question,
    format: Format,
    raw: bool,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    if question.report == Report::Events && matches!(format, Format::Csv | Format::Json) {
        return events(engine, question, format, raw, out).await;
    }
    let answer = report::answer(engine, question).await?;
    print::print(out, &answer.table, format, raw).map_err(not_written)
}

fn not_written(error: impl std::fmt::Display) -> Failure {
    Failure {
        what: "the answer was not written".to_owned(),
        why: error.to_string(),
        hint: "check that the disk is not full".to_owned(),
        ..Failure::default()
    }
}

async fn events(
    engine: &Engine,
    question: &Question,
    format: Format,
    raw: bool,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let mut rows = Rows { format, raw, written: 0 };
    rows.begin(out, &sql::empty_table(&crate::event::schema::QUERIED)).map_err(not_written)?;
    each_batch(engine, question, &mut |table| rows.write(out, table).map_err(not_written)).await?;
    rows.end(out).map_err(not_written)
}

/// The rows of events as they come, recipients hidden where they must be; never all in memory.
async fn each_batch(
    engine: &Engine,
    question: &Question,
    take: &mut (dyn FnMut(&Table) -> Result<(), Failure> + Send),
) -> Result<(), Failure> {
    let snapshot = engine.snapshot()?;
    let resolved = engine.resolve(&snapshot, &question.scope, engine.now(&snapshot)?)?;
    let page = &question.page;
    let mut batches = engine
        .raw()
        .events(&snapshot, &resolved, page.sort.as_ref(), page.offset, page.limit)
        .await
        .map_err(Failure::from_engine)?;
    let empty = sql::empty_table(&crate::event::schema::QUERIED);
    while let Some(batch) = batches.next().await {
        let mut table = empty.clone();
        let batch = batch.map_err(Failure::from_engine)?;
        sql::append(&mut table, &batch).map_err(|error| Failure::from_engine(error.into()))?;
        if engine.masks() {
            mask::table(&mut table);
        }
        take(&table)?;
    }
    Ok(())
}

/// Rows that are written as they come.
struct Rows {
    format: Format,
    raw: bool,
    written: usize,
}

impl Rows {
    fn begin(&self, out: &mut dyn Write, empty: &Table) -> io::Result<()> {
        match self.format {
            Format::Json => out.write_all(b"["),
            _ => print::csv(out, empty, self.raw),
        }
    }

    fn write(&mut self, out: &mut dyn Write, table: &Table) -> io::Result<()> {
        match self.format {
            Format::Json => {
                for row in 0..table.rows.len() {
                    out.write_all(if self.written == 0 { b"\n" } else { b",\n" })?;
                    serde_json::to_writer(&mut *out, &print::object(table, row))?;
                    self.written += 1;
                }
                Ok(())
            }
            _ => print::csv_rows(out, table, self.raw),
        }
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Json => out.write_all(b"\n]\n"),
            _ => Ok(()),
        }
    }
}

/// Writes rows that are here already into a folder; returns the path.
pub fn save_table(table: &Table, name: &str, folder: &Path, stamp: &str, format: Saved) -> Result<PathBuf, Failure> {
    let name = format!("pmtop-{name}-{stamp}.{}", ending(format));
    let path = free_path(folder, &name);
    let failed = |error: io::Error| Failure {
        what: format!("{} was not written", path.display()),
        why: error.to_string(),
        hint: "choose another folder by starting pmtop there".to_owned(),
        ..Failure::default()
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut out = BufWriter::new(file.as_file_mut());
    match format {
        Saved::Text(format) => print::print(&mut out, table, format, false).map_err(failed)?,
        Saved::Parquet => self::parquet::table(table, &mut out)?,
    }
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
    layout::sync_dir(folder).map_err(failed)?;
    Ok(path)
}

/// How the screen writes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// As text.
    Text(Format),
    /// As Parquet.
    Parquet,
}

const fn ending(format: Saved) -> &'static str {
    match format {
        Saved::Text(Format::Json) => "json",
        Saved::Text(Format::Md) => "md",
        Saved::Text(Format::Table) => "txt",
        Saved::Text(Format::Csv) => "csv",
        Saved::Parquet => "parquet",
    }
}

/// Writes an answer into a folder under a name that says view, scope and time; returns the path.
pub async fn save(
    engine: Arc<Engine>,
    question: Question,
    name: String,
    folder: PathBuf,
    stamp: String,
    format: Saved,
) -> Result<PathBuf, Failure> {
    let path = free_path(&folder, &file_name(&name, &question, &stamp, format));
    let failed = |error: io::Error| Failure {
        what: format!("{} was not written", path.display()),
        why: error.to_string(),
        hint: "choose another folder by starting pmtop there".to_owned(),
        ..Failure::default()
    };
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    {
        let mut out = BufWriter::new(file.as_file_mut());
        match format {
            Saved::Text(format) => write(&engine, &question, format, false, &mut out).await?,
            Saved::Parquet => self::parquet::write(&engine, &question, &mut out).await?,
        }
        out.flush().map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
    layout::sync_dir(&folder).map_err(failed)?;
    Ok(path)
}

fn file_name(name: &str, question: &Question, stamp: &str, format: Saved) -> String {
    let scope: String = question.scope.to_string();
    let text = format!("pmtop-{name}-{scope}-{stamp}");
    let mut out = String::new();
    for letter in text.chars().take(140) {
        let plain = letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_');
        match (plain, out.ends_with('-')) {
            (true, _) => out.push(letter),
            (false, false) => out.push('-'),
            (false, true) => {}
        }
    }
    format!("{}.{}", out.trim_matches('-'), ending(format))
}

fn free_path(folder: &Path, name: &str) -> PathBuf {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let mut path = folder.join(name);
    let mut count = 1;
    while path.exists() {
        count += 1;
        path = folder.join(format!("{stem}-{count}.{ending}"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::Filter;
    use crate::query::scope::Scope;
    use crate::query::time::TimeRange;

    #[test]
    fn a_file_name_holds_nothing_that_a_shell_would_act_on() {
        let scope = Scope::new(TimeRange::All, [Filter::parse("job=../$(rm) x").unwrap()]);
        let name =
            file_name("domains", &Question::new(Report::Files, scope), "20261123-101500", Saved::Text(Format::Csv));
        assert_eq!(name, "pmtop-domains-all-time-job-..-rm-x-20261123-101500.csv");
    }
}
