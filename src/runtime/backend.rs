//! What the screen needs of the rest of the program, and nothing more.

use std::path::PathBuf;

use futures::future::BoxFuture;

use crate::query::field::Field;
use crate::query::question::{Answer, Failure, Question};

/// The outside of the screen. Its futures only wait: the work is done on threads of its own, and a
/// future that is dropped is cancelled.
pub trait Backend: Send + Sync + 'static {
    /// Answers a question.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, Failure>>;

    /// Values of a field that begin like this, with counts, for the filter bar.
    fn complete(&self, field: Field, prefix: String) -> BoxFuture<'static, Vec<(String, u64)>>;

    /// Writes a whole answer as CSV, all of it or nothing; the path it wrote.
    fn export(&self, question: Question, name: String) -> BoxFuture<'static, Result<PathBuf, Failure>>;

    /// Queues files, folders and archives; progress comes back as `Input::Ingest`.
    fn add_files(&self, paths: Vec<PathBuf>);

    /// Paths that begin like this, for the add-files prompt; folders end in `/`.
    fn complete_path(&self, prefix: String) -> BoxFuture<'static, Vec<String>>;
}
