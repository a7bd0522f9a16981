//! Opens the screen on a catalog, or watches the inbox without one: wires engine, intake and terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;

use crate::app::input::Input;
use crate::cli;
use crate::cli::view::View;
use crate::config::Config;
use crate::event::file_status::Status;
use crate::ingest::progress::Progress;
use crate::insight::incident::{Happening, Step};
use crate::insight::rule::Rule;
use crate::query::time::iso;
use crate::runtime::local::{Local, into_inputs};
use crate::runtime::store::{self, Store};
use crate::runtime::{self, Opening, Options};

/// Opens the screen until the user leaves.
pub fn open(config: &Config, view: &View) -> anyhow::Result<u8> {
    if !std::io::stdout().is_terminal() {
        bail!(
            "the screen needs a terminal; without one use a command such as `pmtop report totals` (see `pmtop --help`)"
        );
    }
    let engine = cli::engine(config)?;
    let visit = Arc::clone(engine.visit());
    let (sender, inputs) = tokio::sync::mpsc::unbounded_channel();
    let local = Arc::new(Local::start(config, engine, into_inputs(sender))?);
    let options = Options {
        host: host_name(config),
        inboxes: config.inbox.folders.clone(),
        owner: local.owner().map(str::to_owned),
        refresh: Duration::from_secs(config.ui.refresh_seconds),
        scope: view.scope.clone(),
        opening: Opening { tab: view.tab.clone(), compare: view.compare, anew: view.anew },
        profile: config.profile,
        rules: Rule::all(&config.rules)?,
        masked: config.masks(),
        restores: config.ui.restore,
        state: store::default_folder(),
        catalog: config.catalog.display().to_string(),
        keys: config.keys.clone(),
        theme: config.ui.theme,
        ..Options::default()
    };
    let ui = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    ui.block_on(runtime::run(local, inputs, options))?;
    if let Some(replies) = visit.seen() {
        Store::new(store::default_folder()).keep_visit(&config.catalog, replies);
    }
    Ok(0)
}

/// Watches the inbox without a screen until asked to stop; tells of each file on stderr.
pub fn watch(config: &Config) -> anyhow::Result<u8> {
    if config.inbox.folders.is_empty() && config.inbox.live.is_empty() {
        bail!("no inbox to watch: give --inbox DIR, or set `inbox.folders` or `inbox.live` in the configuration");
    }
    let engine = cli::engine(config)?;
    let local = Local::start(config, engine, |input| match input {
        Input::Ingest(progress) => tell(&progress),
        Input::Happened(happened) => happened.iter().for_each(tell_of_incident),
        Input::Notice(failure) => eprintln!("pmtop: {}", crate::text::display(&failure.to_string())),
        _ => {}
    })?;
    match local.owner() {
        Some(owner) => eprintln!("pmtop: {owner} watches already; waiting to take over"),
        None => eprintln!("pmtop: watching"),
    }
    let stop = Arc::new(AtomicBool::new(false));
    cli::stop_on_signals(&stop)?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(0)
}

fn tell(progress: &Progress) {
    if matches!(progress.status, Status::Queued | Status::Ingesting) {
        return;
    }
    let error = if progress.error.is_empty() { String::new() } else { format!(": {}", progress.error) };
    let line = format!("{} {} ({} rows){error}", progress.status.as_str(), progress.path.display(), progress.rows);
    eprintln!("pmtop: {}", crate::text::display(&line));
}

fn tell_of_incident(happening: &Happening) {
    let incident = &happening.incident;
    let at = match happening.step {
        Step::Resolved => incident.closed_at.unwrap_or(incident.opened_at),
        _ => incident.opened_at,
    };
    let line = format!(
        "incident {} {} {} {}: {} [{}]",
        happening.step.as_str(),
        incident.severity.as_str(),
        iso(at),
        incident.rule,
        incident.headline,
        incident.id,
    );
    eprintln!("pmtop: {}", crate::text::display(&line));
}

fn host_name(config: &Config) -> String {
    if config.host.is_empty() {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_owned()
    } else {
        config.host.clone()
    }
}
