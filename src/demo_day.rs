//! `pmtop demo`: a day of invented logs that come in while you look; without a terminal, its totals.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::ingest::Ingest;
use crate::insight::flat;
use crate::query::question::{Question, Report};
use crate::query::scope::Scope;
use crate::report::print::{self, Format};
use crate::{cli, demo, report, screen};

/// Runs the demo in a folder, or in a temporary one that is removed afterwards.
pub fn run(config: &Config, dir: Option<&Path>) -> anyhow::Result<u8> {
    let temporary = if dir.is_some() { None } else { Some(tempfile::tempdir().context("a temporary folder")?) };
    let root = match (dir, &temporary) {
        (Some(dir), _) => dir.to_owned(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    let inbox = root.join("inbox");
    std::fs::create_dir_all(&inbox).with_context(|| inbox.display().to_string())?;
    let mut config = config.clone();
    config.catalog = root.join("catalog");
    config.inbox.folders = vec![inbox.clone()];
    // Invented mail is no place to come back to.
    config.ui.restore = false;
    // The generator renames complete files into the inbox: there is nothing to wait for.
    config.inbox.settle_seconds = 0;
    let options = demo::Options::demo(chrono::Utc::now().date_naive());
    if std::io::stdout().is_terminal() {
        let writer = std::thread::spawn(move || demo::generate(&inbox, &options, None, &mut |_| {}).map(|_| ()));
        let code = screen::open(&config, &cli::view::ViewFlags::default().view(&config)?)?;
        writer.join().ok();
        return Ok(code);
    }
    let mut files = Vec::new();
    demo::generate(&inbox, &options, None, &mut |path| files.push(path.to_owned()))?;
    totals(&config, &files)
}

fn totals(config: &Config, files: &[PathBuf]) -> anyhow::Result<u8> {
    let ingest = Ingest::new(Catalog::open(&config.catalog)?, config)?;
    let stop = AtomicBool::new(false);
    for file in files {
        for row in ingest.file(file, true, &stop, &mut |_| {}) {
            eprintln!("{:<10} {}  {} rows", row.status.as_str(), row.name, row.rows);
        }
    }
    let engine = cli::engine(config)?;
    let question = Question::new(Report::Totals, Scope::default());
    let answer = engine.block_on(report::answer(&engine, &question)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    print::print(&mut std::io::stdout(), &print::upright(&answer.table), Format::Table, false)?;
    println!();
    let incidents = cli::incidents::look(config, &engine)?;
    print::print(&mut std::io::stdout(), &flat::faces(&incidents), Format::Table, false)?;
    Ok(0)
}
