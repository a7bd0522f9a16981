//! `pmtop ingest`: files in the order given, one line each, and a total.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context as _;

use super::Output;
use super::run::emit;
use crate::catalog::commit::remove_file;
use crate::catalog::control::FileRow;
use crate::catalog::keep::keep;
use crate::catalog::{Catalog, clock, find, links, pack};
use crate::config::Config;
use crate::event::file_status::Status;
use crate::ingest::{Ingest, TOGETHER, intake, is_small};
use crate::query::limits_of;
use crate::report;

/// Whether a file counts as taken in.
pub const fn is_in(status: Status) -> bool {
    matches!(status, Status::Done | Status::Duplicate)
}

pub(super) fn ingest(config: &Config, paths: &[PathBuf], output: &Output) -> anyhow::Result<u8> {
    let catalog = Catalog::open(&config.catalog)?;
    let ingest = Ingest::new(catalog, config)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut rows: Vec<FileRow> = Vec::new();
    let mut say = |row: FileRow| {
        if output.format.is_none() {
            println!("{}", ingest_line(&row));
        }
        rows.push(row);
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            side_by_side(&ingest, &std::mem::take(&mut files), &stop, &mut say);
            ingest.stream(std::io::stdin(), "stdin", &stop, &mut |_| {}).into_iter().for_each(&mut say);
            continue;
        }
        let found = intake::files_of(path);
        if found.is_empty() {
            eprintln!("pmtop: {}: no files in this folder", crate::text::display(&path.to_string_lossy()));
        }
        files.extend(found);
    }
    side_by_side(&ingest, &files, &stop, &mut say);
    // What cannot be tidied up now is left for the next time.
    if !stop.load(Ordering::Relaxed) {
        keep(ingest.catalog(), &config.retention, clock()).ok();
        // After a backlog questions would have to wait for this; after a few files they do it themselves.
        let stopped = || stop.load(Ordering::Relaxed);
        if pack::missing(ingest.catalog()).is_ok_and(|rows| rows > pack::FRESH_ROWS) {
            pack::tidy(ingest.catalog(), intake::cores(), &stopped).ok();
            find::tidy(ingest.catalog(), intake::cores(), &stopped).ok();
        }
        let limits = limits_of(&config.journey);
        if ingest.catalog().snapshot().is_ok_and(|now| links::attach(&now, &limits).missing > links::FRESH_ROWS) {
            links::tidy(ingest.catalog(), &limits, intake::cores(), &stopped).ok();
            links::pack(ingest.catalog(), &limits, &stopped).ok();
        }
    }
    ingest.leave();
    let failed = rows.iter().filter(|row| !is_in(row.status)).count();
    match output.format {
        Some(_) => {
            emit(output, &report::files(&rows))?;
        }
        None => println!("{}", ingest_total(&rows)),
    }
    Ok(u8::from(failed > 0 || stop.load(Ordering::Relaxed)))
}

/// Takes files in, several at a time; `say` is told of each in the order given.
fn side_by_side(ingest: &Ingest, files: &[PathBuf], stop: &AtomicBool, say: &mut dyn FnMut(FileRow)) {
    let batches = batches(files);
    let next = AtomicUsize::new(0);
    let (sender, reports) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..intake::cores().min(batches.len()) {
            let (sender, next, batches) = (sender.clone(), &next, &batches);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(index) else { break };
                    let rows = ingest.files(batch, true, stop, &mut |_| {});
                    if sender.send((index, rows.into_iter().flatten().collect::<Vec<_>>())).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (index, rows) in reports {
            waiting.insert(index, rows);
            while let Some(rows) = waiting.remove(&due) {
                rows.into_iter().for_each(&mut *say);
                due += 1;
            }
        }
        waiting.into_values().flatten().for_each(say);
    });
}

/// Neighbouring small files that can become visible together, few enough that all cores have some; a larger file
/// is alone.
fn batches(files: &[PathBuf]) -> Vec<&[PathBuf]> {
    let most = files.len().div_ceil(intake::cores()).clamp(1, TOGETHER);
    let mut batches = Vec::new();
    for run in files.chunk_by(|a, b| is_small(a) && is_small(b)) {
        batches.extend(run.chunks(most));
    }
    batches
}

fn ingest_line(row: &FileRow) -> String {
    let mut line = format!("{:<11} {}", row.status.as_str(), row.name);
    if row.status == Status::Done {
        line += &format!("  {} rows", row.rows);
        if !row.reading.is_empty() {
            line += &format!(", {}", row.reading);
        }
        if row.merged_rows > 0 {
            line += &format!(", {} merged", row.merged_rows);
        }
        if row.rejected_rows > 0 {
            line += &format!(", {} rejected", row.rejected_rows);
        }
    }
    if !row.error.is_empty() {
        line += &format!("  ({})", row.error);
    }
    crate::text::display(&line).into_owned()
}

fn ingest_total(rows: &[FileRow]) -> String {
    let count = |statuses: &[Status]| rows.iter().filter(|row| statuses.contains(&row.status)).count();
    let sum = |of: fn(&FileRow) -> i64| rows.iter().filter(|row| row.status == Status::Done).map(of).sum::<i64>();
    format!(
        "{} files: {} taken in, {} duplicates, {} rejected or failed; {} rows, {} merged, {} rejected",
        rows.len(),
        count(&[Status::Done]),
        count(&[Status::Duplicate]),
        rows.len() - count(&[Status::Done, Status::Duplicate]),
        sum(|row| row.rows),
        sum(|row| row.merged_rows),
        sum(|row| row.rejected_rows),
    )
}

/// Sets a flag on SIGINT and SIGTERM; a second one ends the process at once.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let stop = Arc::clone(stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("signals")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return;
                };
                loop {
                    tokio::select! { _ = int.recv() => {} , _ = term.recv() => {} }
                    if stop.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
            });
        })
        .context("signals")?;
    Ok(())
}

/// `pmtop files remove`: takes the rows of files out of the catalog again.
pub(super) fn remove(config: &Config, names: &[String]) -> anyhow::Result<u8> {
    let catalog = Catalog::open(&config.catalog)?;
    let mut missing = 0;
    for name in names {
        let found = catalog.control(|control| control.find_files(name))?;
        if found.is_empty() {
            eprintln!(
                "pmtop: no file of the catalog is called {}; `pmtop files` lists them",
                crate::text::display(name)
            );
            missing += 1;
        }
        let paths: std::collections::BTreeSet<&str> = found.iter().map(|file| file.path.as_str()).collect();
        if paths.len() > 1 {
            let shown = crate::text::display(name).into_owned();
            eprintln!("pmtop: {shown} stands for {} files; name one by its path or its SHA-256:", paths.len());
            for path in paths {
                eprintln!("  {}", crate::text::display(path));
            }
            missing += 1;
            continue;
        }
        for file in found {
            remove_file(&catalog, file.id, clock())?;
            println!("removed     {}  {} rows", crate::text::display(&file.name), file.rows);
        }
    }
    Ok(u8::from(missing > 0))
}
