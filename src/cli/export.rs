//! `pmtop export`: a view to a file, whole or not at all.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::{engine, usage};
use crate::catalog::{clock, layout};
use crate::config::Config;
use crate::export;
use crate::query::Engine;
use crate::query::question::{Failure, Question};
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::report::print::{self, Format};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// Comma separated.
    Csv,
    /// One array of flat objects.
    Json,
    /// Parquet, with types.
    Parquet,
}

impl FileFormat {
    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// Writes the answer; where to is said on stderr. `-` is standard output.
pub(super) fn run(
    config: &Config,
    question: &Question,
    view: &str,
    format: FileFormat,
    raw: bool,
    out: Option<&Path>,
) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let code =
        to(out, &name(view, &question.scope, format), format, &mut |to| write(&engine, question, format, raw, to));
    super::run::warn_of_damage(&engine);
    code
}

/// Writes a table that no question asks for, as [`run`] does.
pub(super) fn table(
    table: &Table,
    view: &str,
    scope: &Scope,
    (format, raw): (FileFormat, bool),
    out: Option<&Path>,
) -> anyhow::Result<u8> {
    let failed = |error: std::io::Error| Failure {
        what: "the table was not written".to_owned(),
        why: error.to_string(),
        ..Failure::default()
    };
    to(out, &name(view, scope, format), format, &mut |to| match format {
        FileFormat::Csv => print::print(to, table, Format::Csv, raw).map_err(failed),
        FileFormat::Json => print::print(to, table, Format::Json, raw).map_err(failed),
        FileFormat::Parquet => export::parquet::table(table, to),
    })
}

/// Writes a view, whole or not at all.
fn to(
    out: Option<&Path>,
    name: &str,
    format: FileFormat,
    write: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<(), Failure>,
) -> anyhow::Result<u8> {
    if out.is_some_and(|out| out.as_os_str() == "-") {
        if format == FileFormat::Parquet && std::io::stdout().is_terminal() {
            return Err(usage("Parquet is not for a terminal; name a file with --out"));
        }
        let mut stdout = BufWriter::new(std::io::stdout());
        let written = write(&mut stdout);
        return super::run::finish(written.map_err(|failure| anyhow::anyhow!("{failure}")), &mut stdout);
    }
    let path = out.map_or_else(|| PathBuf::from(name), Path::to_path_buf);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let failed = |error: std::io::Error| anyhow::anyhow!("{} was not written: {error}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    writer.flush().map_err(failed)?;
    drop(writer);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    layout::sync_dir(folder).map_err(failed)?;
    eprintln!("pmtop: {} written", crate::text::display(&path.display().to_string()));
    Ok(0)
}

fn write(
    engine: &Engine,
    question: &Question,
    format: FileFormat,
    raw: bool,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    engine.block_on(async {
        match format {
            FileFormat::Csv => export::write(engine, question, Format::Csv, raw, out).await,
            FileFormat::Json => export::write(engine, question, Format::Json, raw, out).await,
            FileFormat::Parquet => export::parquet::write(engine, question, out).await,
        }
    })
}

/// A name that says view, scope and time, without anything that a shell would act on.
fn name(view: &str, scope: &Scope, format: FileFormat) -> String {
    let stamp: String = crate::query::time::iso(clock()).chars().filter(char::is_ascii_digit).take(14).collect();
    let text = format!("pmtop-{view}-{scope}");
    let mut name = String::new();
    for letter in text.chars().take(120) {
        if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_') {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    format!("{}-{stamp}.{}", name.trim_matches('-'), format.ending())
}
