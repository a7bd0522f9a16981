//! A catalog in a temporary folder, filled from texts, and reports from it as JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pmtop::catalog::Catalog;
use pmtop::catalog::control::FileRow;
use pmtop::cli;
use pmtop::config::Config;
use pmtop::ingest::Ingest;
use pmtop::query::Engine;
use pmtop::query::filter::Filter;
use pmtop::query::question::{Page, Question, Report};
use pmtop::query::scope::Scope;
use pmtop::query::table::Table;
use pmtop::query::time::{TimeRange, parse_range};
use pmtop::report;
use pmtop::report::print;
use serde_json::Value as Json;

/// A catalog of its own, gone with the test.
pub struct Desk {
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub engine: Arc<Engine>,
}

impl Desk {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With settings of its own.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { catalog: folder.path().join("catalog"), ..Config::default() };
        change(&mut config);
        let engine = cli::engine(&config).unwrap();
        Self { folder, config, engine }
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        self.engine.catalog()
    }

    /// Where a file of this name stands.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and takes it in.
    pub fn ingest(&self, name: &str, content: impl AsRef<[u8]>) -> FileRow {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        self.ingest_path(&path)
    }

    /// Takes a file in; the report on its last member.
    pub fn ingest_path(&self, path: &Path) -> FileRow {
        self.ingest_all(path).pop().unwrap()
    }

    /// Takes a file in; one report a member.
    pub fn ingest_all(&self, path: &Path) -> Vec<FileRow> {
        let ingest = Ingest::new(Arc::clone(self.catalog()), &self.config).unwrap();
        ingest.file(path, true, &AtomicBool::new(false), &mut |_| {})
    }

    pub fn ask(&self, report: Report, scope: &Scope) -> Table {
        self.ask_page(report, scope, Page::default())
    }

    pub fn ask_page(&self, report: Report, scope: &Scope, page: Page) -> Table {
        let question = Question { page, ..Question::new(report, scope.clone()) };
        self.engine.block_on(report::answer(&self.engine, &question)).unwrap().table
    }

    /// `report totals` as JSON.
    pub fn totals(&self, filters: &[&str]) -> Json {
        print::totals_object(&self.ask(Report::Totals, &scope(filters)), None)
    }

    /// A report as JSON rows.
    pub fn rows(&self, report: Report, filters: &[&str]) -> Vec<Json> {
        let table = self.ask(report, &scope(filters));
        (0..table.rows.len()).map(|row| Json::Object(print::object(&table, row))).collect()
    }

    /// One number by SQL.
    pub fn count(&self, sql: &str) -> i64 {
        let table = self.engine.block_on(self.engine.sql(sql)).unwrap();
        match table.rows[0][0] {
            pmtop::query::table::Value::Int(number) => number,
            ref other => panic!("{sql}: {other:?}"),
        }
    }
}

/// A scope of filters as typed; `time=RANGE` sets the time.
pub fn scope(filters: &[&str]) -> Scope {
    let mut time = TimeRange::All;
    let mut parsed = Vec::new();
    for text in filters {
        match text.strip_prefix("time=") {
            Some(range) => time = parse_range(range).unwrap(),
            None => parsed.push(Filter::parse(text).unwrap()),
        }
    }
    Scope::new(time, parsed)
}

/// A log file of `tests/fixtures/logs`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs").join(name)
}
