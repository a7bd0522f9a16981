//! Effect → the call that performs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::app::effect::Effect;
use crate::app::input::Input;
use crate::runtime::asks::Asks;
use crate::runtime::backend::Backend;
use crate::runtime::store::Store;

/// How long a completion waits for the next letter.
const TYPING: Duration = Duration::from_millis(60);
/// How long a replay waits for the next turn of a threshold.
const TURNING: Duration = Duration::from_millis(200);

/// What the loop must do itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    GoOn,
    /// Stop until resumed.
    Suspend,
    /// Paint everything.
    Repaint,
    /// Put text into the clipboard.
    Copy(String),
    /// Leave.
    Quit,
}

/// Performs effects.
pub(super) struct Effects {
    backend: Arc<dyn Backend>,
    back: UnboundedSender<Input>,
    /// Questions in flight.
    pub(super) asks: Asks,
    completing: Option<AbortHandle>,
    exporting: Option<AbortHandle>,
    querying: Option<AbortHandle>,
    reading: Option<AbortHandle>,
    explaining: Option<AbortHandle>,
    replaying: Option<AbortHandle>,
    store: Store,
    home: Option<PathBuf>,
}

impl Effects {
    /// What comes of them comes back through a channel.
    pub(super) fn new(backend: Arc<dyn Backend>, back: UnboundedSender<Input>, store: Store) -> Self {
        let asks = Asks::new(Arc::clone(&backend), back.clone());
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Self {
            backend,
            back,
            asks,
            completing: None,
            exporting: None,
            querying: None,
            reading: None,
            explaining: None,
            replaying: None,
            store,
            home,
        }
    }

    /// Performs one.
    pub(super) fn perform(&mut self, effect: Effect) -> Order {
        match effect {
            Effect::Ask { ticket, question, urgency } => self.asks.ask(ticket, question, urgency),
            Effect::Forget(slot) => self.asks.forget(slot),
            Effect::Complete { serial, field, prefix } => {
                let backend = Arc::clone(&self.backend);
                self.complete(async move { Input::Completed(serial, backend.complete(field, prefix).await) });
            }
            Effect::CompletePath { serial, prefix } => {
                let (backend, prefix) = (Arc::clone(&self.backend), self.at_home(&prefix));
                self.complete(async move { Input::PathsCompleted(serial, backend.complete_path(prefix).await) });
            }
            Effect::Export { question, name, format } => {
                let (future, back) = (self.backend.export(question, name, format), self.back.clone());
                let running = tokio::spawn(async move {
                    // Nobody listens only when the screen is gone.
                    back.send(Input::Exported(future.await)).ok();
                });
                self.exporting = Some(running.abort_handle());
            }
            Effect::ForgetExport => abort(&mut self.exporting),
            Effect::ExportTable { table, name, format } => {
                let (future, back) = (self.backend.export_table(table, name, format), self.back.clone());
                let running = tokio::spawn(async move {
                    back.send(Input::Exported(future.await)).ok();
                });
                self.exporting = Some(running.abort_handle());
            }
            Effect::Query { serial, statement } => {
                abort(&mut self.querying);
                let (future, back) = (self.backend.sql(statement), self.back.clone());
                let running = tokio::spawn(async move {
                    let began = Instant::now();
                    let result = future.await.map(Arc::new);
                    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    back.send(Input::Queried(serial, result, took)).ok();
                });
                self.querying = Some(running.abort_handle());
            }
            Effect::ForgetQuery => abort(&mut self.querying),
            Effect::Remember(statement) => self.store.remember(&statement),
            Effect::Copy(text) => {
                let kept = self.store.copy(&text);
                self.back.send(Input::Copied(kept)).ok();
                return Order::Copy(text);
            }
            Effect::SaveView(view) => {
                self.back.send(Input::Views(self.store.save_view(view))).ok();
            }
            Effect::DeleteView(name) => {
                self.back.send(Input::Views(self.store.delete_view(&name))).ok();
            }
            Effect::RemoveFile { path, sha256 } => {
                let future = self.backend.remove_file(path, sha256);
                self.tell(async move { Input::Removed(future.await) });
            }
            Effect::Rejects { serial, path, sha256 } => {
                let future = self.backend.rejects(path, sha256);
                self.tell(async move { Input::Rejects(serial, future.await) });
            }
            Effect::Journey { serial, row } => {
                let future = self.backend.journey(row);
                self.tell(async move { Input::Journeys(serial, future.await.map(Arc::new)) });
            }
            Effect::RawRow { row } => {
                abort(&mut self.reading);
                let (backend, back) = (Arc::clone(&self.backend), self.back.clone());
                let running = tokio::spawn(async move {
                    tokio::time::sleep(TYPING).await;
                    back.send(Input::RawRow(row, backend.raw_row(row).await)).ok();
                });
                self.reading = Some(running.abort_handle());
            }
            Effect::ForgetRawRow => abort(&mut self.reading),
            Effect::Explain { serial, request } => {
                abort(&mut self.explaining);
                let (future, back) = (self.backend.explain(request), self.back.clone());
                let running = tokio::spawn(async move {
                    back.send(Input::Explained(serial, future.await.map(Arc::new))).ok();
                });
                self.explaining = Some(running.abort_handle());
            }
            Effect::ForgetExplain => abort(&mut self.explaining),
            Effect::Mark { id, mark } => {
                let future = self.backend.mark(id, mark.clone());
                self.tell(async move { Input::Marked(mark, future.await.map(Arc::new)) });
            }
            Effect::Replay { serial, rule, thresholds } => {
                abort(&mut self.replaying);
                let (backend, back) = (Arc::clone(&self.backend), self.back.clone());
                let running = tokio::spawn(async move {
                    tokio::time::sleep(TURNING).await;
                    back.send(Input::Replayed(serial, backend.replay(rule, thresholds).await)).ok();
                });
                self.replaying = Some(running.abort_handle());
            }
            Effect::ForgetReplay => abort(&mut self.replaying),
            Effect::Evidence { id } => {
                let (future, back) = (self.backend.evidence(id), self.back.clone());
                let running = tokio::spawn(async move {
                    back.send(Input::Evidence(future.await)).ok();
                });
                self.exporting = Some(running.abort_handle());
            }
            Effect::Mask(mask) => {
                abort(&mut self.explaining);
                abort(&mut self.querying);
                abort(&mut self.completing);
                self.asks.forget_all();
                self.backend.mask(mask);
            }
            Effect::AddFiles(paths) => {
                let paths = paths.iter().map(|path| PathBuf::from(self.at_home(&path.to_string_lossy()))).collect();
                self.backend.add_files(paths);
            }
            Effect::Suspend => return Order::Suspend,
            Effect::Repaint => return Order::Repaint,
            Effect::Quit => return Order::Quit,
        }
        Order::GoOn
    }

    /// Waits for something short, which is not cancelled.
    fn tell(&self, future: impl Future<Output = Input> + Send + 'static) {
        let back = self.back.clone();
        tokio::spawn(async move {
            back.send(future.await).ok();
        });
    }

    fn complete(&mut self, future: impl Future<Output = Input> + Send + 'static) {
        abort(&mut self.completing);
        let back = self.back.clone();
        let running = tokio::spawn(async move {
            tokio::time::sleep(TYPING).await;
            back.send(future.await).ok();
        });
        self.completing = Some(running.abort_handle());
    }

    /// `~/` stands for the home folder, as in a shell.
    fn at_home(&self, path: &str) -> String {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
            _ => path.to_owned(),
        }
    }

    /// Cancels everything.
    pub(super) fn stop(&mut self) {
        self.asks.stop();
        abort(&mut self.completing);
        abort(&mut self.exporting);
        abort(&mut self.querying);
        abort(&mut self.reading);
        abort(&mut self.explaining);
        abort(&mut self.replaying);
    }
}

fn abort(running: &mut Option<AbortHandle>) {
    if let Some(running) = running.take() {
        running.abort();
    }
}
