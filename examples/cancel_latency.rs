//! How long a question goes on after nobody wants it any more, while a large file comes in: prints the
//! time from abort to end of 50 heavy questions (raw rows, sorted by reply text) as p50, p95 and maximum.
//!
//!     cargo run --release --example cancel_latency -- CATALOG BIG.csv

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use pmtop::cli;
use pmtop::config::Config;
use pmtop::ingest::Ingest;
use pmtop::query::question::{Page, Question, Report, Sort};
use pmtop::query::scope::Scope;
use pmtop::report;

const QUESTIONS: u32 = 50;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let catalog = arguments.next().context("which catalog?")?;
    let big = arguments.next().context("which file?")?;
    let config = Config { catalog, ..Config::default() };
    let engine = cli::engine(&config)?;
    let ingest = Ingest::new(Arc::clone(engine.catalog()), &config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let reading = Arc::new(AtomicBool::new(true));
    let (halt, busy) = (Arc::clone(&stop), Arc::clone(&reading));
    let writer = std::thread::spawn(move || {
        let rows = ingest.file(&big, true, &halt, &mut |_| {});
        busy.store(false, Ordering::Relaxed);
        rows
    });
    let sort = Some(Sort { column: "dsn_diag".to_owned(), descending: true });
    let question = Question {
        page: Page { offset: 0, limit: Some(200), sort },
        ..Question::new(Report::Events, Scope::default())
    };
    let mut times = Vec::new();
    let mut during = 0;
    for turn in 0..QUESTIONS {
        let (asked, shared) = (question.clone(), Arc::clone(&engine));
        let took = engine.block_on(async move {
            let task = tokio::spawn(async move { report::answer(&shared, &asked).await.is_ok() });
            tokio::time::sleep(Duration::from_millis(40 + u64::from(turn * 7 % 60))).await;
            let ended = task.is_finished();
            let began = Instant::now();
            task.abort();
            let outcome = task.await;
            (!ended && outcome.is_err()).then(|| began.elapsed())
        });
        during += u32::from(reading.load(Ordering::Relaxed));
        times.extend(took);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().ok();
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)));
    println!(
        "{} of {QUESTIONS} questions cut off ({during} while the file came in): p50 {:?}, p95 {:?}, max {:?}",
        times.len(),
        at(0.5).copied().unwrap_or_default(),
        at(0.95).copied().unwrap_or_default(),
        times.last().copied().unwrap_or_default()
    );
    Ok(())
}
