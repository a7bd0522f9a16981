//! `pmtop hooks`: what was told and what waits, a sample, and another try; `pmtop prom`: numbers for Prometheus.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::run::{emit, finish, warn_of_damage};
use super::{HooksAction, Output, engine, stop_on_signals, usage};
use crate::catalog::outbox::{DELIVERED, Entry};
use crate::catalog::{Catalog, clock};
use crate::config::Config;
use crate::config::hooks::Hook;
use crate::hook::{self, Try};
use crate::prom;
use crate::query::table::{Table, Unit, Value};
use crate::text::display;

/// Runs `pmtop hooks`.
pub(super) fn run(config: &Config, action: Option<&HooksAction>, output: &Output) -> anyhow::Result<u8> {
    match action {
        None => emit(output, &list(config, &Catalog::open(&config.catalog)?.incidents()?.told()?)),
        Some(HooksAction::Test { name }) => test(config, named(config, name)?),
        Some(HooksAction::Retry { name }) => {
            name.as_deref().map(|name| named(config, name)).transpose()?;
            retry(config, name.as_deref())
        }
    }
}

fn named<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a Hook> {
    config.hooks.iter().find(|hook| hook.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.hooks.iter().map(|hook| hook.name.as_str()).collect();
        let known = if names.is_empty() { "the settings have none".to_owned() } else { names.join(", ") };
        usage(format!("no hook is called `{name}` ({known})"))
    })
}

/// Everything that was told or waits, the newest first.
fn list(config: &Config, told: &[Entry]) -> Table {
    let mut table = Table::with_heads([
        ("hook", Unit::Text),
        ("event_id", Unit::Text),
        ("outcome", Unit::Text),
        ("queued", Unit::Time),
        ("attempts", Unit::Count),
        ("next_try", Unit::Time),
        ("finished", Unit::Time),
        ("last_error", Unit::Text),
    ]);
    for entry in told.iter().rev() {
        let known = config.hooks.iter().any(|hook| hook.name == entry.hook);
        let outcome = match (&entry.outcome, known) {
            (Some(outcome), _) => outcome.as_str(),
            (None, true) => "waiting",
            (None, false) => "waiting (no such hook in the settings)",
        };
        let next = if entry.outcome.is_none() && known { Value::Time(entry.next_at) } else { Value::Null };
        table.rows.push(vec![
            Value::text(&entry.hook),
            Value::text(&entry.event_id),
            Value::text(outcome),
            Value::Time(entry.created_at),
            Value::Int(i64::from(entry.attempts)),
            next,
            entry.finished_at.map_or(Value::Null, Value::Time),
            entry.error.as_deref().into(),
        ]);
    }
    table
}

fn test(config: &Config, hook: &Hook) -> anyhow::Result<u8> {
    let (id, body) = hook::sample(config, hook, clock());
    let began = Instant::now();
    let tried = hook::try_once(hook, &id, &body, &AtomicBool::new(false));
    let (said, code) = match tried {
        Try::Told(said) => (format!("told: {said}"), 0),
        Try::Again(why, _) => (format!("not told, would be tried again: {why}"), 1),
        Try::Never(why) => (format!("refused for good: {why}"), 1),
    };
    println!("{} {id} {} ({} ms)", hook.name, display(&said), began.elapsed().as_millis());
    Ok(code)
}

/// Makes everything due. Where no other process sends, it is sent here, once.
fn retry(config: &Config, name: Option<&str>) -> anyhow::Result<u8> {
    let catalog = Catalog::open(&config.catalog)?;
    let incidents = catalog.incidents()?;
    let due = incidents.try_again(name, clock())?;
    let hooks: Vec<Hook> =
        config.hooks.iter().filter(|hook| name.is_none_or(|name| hook.name == name)).cloned().collect();
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    if !hook::run_due(&catalog, &hooks, &stop)? {
        eprintln!("pmtop: {due} to be told; the process that owns the catalog does so from now on");
        return Ok(0);
    }
    let told = incidents.told()?;
    let missing: Vec<&Entry> = told
        .iter()
        .filter(|entry| hooks.iter().any(|hook| hook.name == entry.hook))
        .filter(|entry| entry.outcome.as_deref() != Some(DELIVERED))
        .collect();
    for hook in &hooks {
        let error = missing.iter().find(|entry| entry.hook == hook.name).and_then(|entry| entry.error.as_deref());
        if let Some(error) = error {
            eprintln!("pmtop: {}: {}", hook.name, display(error));
        }
    }
    eprintln!("pmtop: {due} to be told, {} of them not taken", missing.len());
    Ok(u8::from(!missing.is_empty()))
}

/// Writes the numbers once.
pub(super) fn prom(config: &Config, out: Option<&Path>) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    super::incidents::look(config, &engine)?;
    let text = engine.block_on(prom::text(&engine)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    warn_of_damage(&engine);
    match out.filter(|out| out.as_os_str() != "-") {
        Some(path) => {
            prom::write(path, &text).map_err(|failure| anyhow::anyhow!("{failure}"))?;
            Ok(0)
        }
        None => {
            let mut stdout = std::io::stdout().lock();
            let written = stdout.write_all(text.as_bytes());
            finish(written.map_err(Into::into), &mut stdout)
        }
    }
}
