//! What the screen needs of the rest of the program, and nothing more.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::app::effect::{Format, Mark, RowId};
use crate::app::explorer::RawRow;
use crate::app::files::Reject;
use crate::insight::explain::Explanation;
use crate::insight::explain::ask::Request;
use crate::insight::incident::Incident;
use crate::insight::rule::Thresholds;
use crate::insight::watch::Replay;
use crate::journey::Journeys;
use crate::query::estimate::Estimate;
use crate::query::field::Field;
use crate::query::question::{Answer, Failure, Question};
use crate::query::table::Table;

/// The outside of the screen. Its futures only wait: the work is done on threads of its own, and a
/// future that is dropped is cancelled.
pub trait Backend: Send + Sync + 'static {
    /// Answers a question.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, Failure>>;

    /// What a question that takes its time will cost; `None` where nobody knows.
    fn estimate(&self, question: Question) -> BoxFuture<'static, Option<Estimate>>;

    /// Values of a field that begin like this, with counts, for the filter bar.
    fn complete(&self, field: Field, prefix: String) -> BoxFuture<'static, Vec<(String, u64)>>;

    /// Writes a whole answer to a file, all of it or nothing; the path it wrote.
    fn export(&self, question: Question, name: String, format: Format) -> BoxFuture<'static, Result<PathBuf, Failure>>;

    /// Writes rows that are here already, all of them or nothing; the path it wrote.
    fn export_table(
        &self,
        table: Arc<Table>,
        name: String,
        format: Format,
    ) -> BoxFuture<'static, Result<PathBuf, Failure>>;

    /// Runs one read-only statement.
    fn sql(&self, statement: String) -> BoxFuture<'static, Result<Table, Failure>>;

    /// Takes the rows of a file out of the catalog; its name and rows.
    fn remove_file(&self, path: String, sha256: String) -> BoxFuture<'static, Result<(String, i64), Failure>>;

    /// The first rows of a file that were put aside.
    fn rejects(&self, path: String, sha256: String) -> BoxFuture<'static, Result<Vec<Reject>, Failure>>;

    /// A row as it stands in its log file; why not, if it can't be shown.
    fn raw_row(&self, row: RowId) -> BoxFuture<'static, Result<RawRow, String>>;

    /// The life of the message that a row tells of.
    fn journey(&self, row: RowId) -> BoxFuture<'static, Result<Journeys, Failure>>;
    /// Why something is so.
    fn explain(&self, request: Request) -> BoxFuture<'static, Result<Explanation, Failure>>;

    /// Writes down what people do about an incident; all incidents after it.
    fn mark(&self, id: String, mark: Mark) -> BoxFuture<'static, Result<Vec<Incident>, Failure>>;

    /// What a rule would have found with other thresholds.
    fn replay(&self, rule: String, thresholds: Thresholds) -> BoxFuture<'static, Result<Replay, Failure>>;

    /// Writes a ticket for the provider's postmaster out of an incident; its path, and that of its rows.
    fn evidence(&self, id: String) -> BoxFuture<'static, Result<(PathBuf, PathBuf), Failure>>;

    /// Hides recipients in everything from now on, or shows them.
    fn mask(&self, mask: bool);

    /// Queues files, folders and archives; progress comes back as `Input::Ingest`.
    fn add_files(&self, paths: Vec<PathBuf>);

    /// Paths that begin like this, for the add-files prompt; folders end in `/`.
    fn complete_path(&self, prefix: String) -> BoxFuture<'static, Vec<String>>;
}
