//! `pmtop incidents` and `pmtop insights`: what rules found, what people do about it, and what other thresholds would
//! have found.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::run::{emit, finish};
use super::{FileFormat, Output, ScopeFlags, engine, usage};
use crate::catalog::clock;
use crate::catalog::incidents::FOR_EVER;
use crate::config::Config;
use crate::dashboard::{Panel, Show};
use crate::hook;
use crate::insight::flat::{faces, table};
use crate::insight::incident::{Incident, State};
use crate::insight::rule::Thresholds;
use crate::insight::watch::Watch;
use crate::query::Engine;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::report::print::{Format, line};

/// Which incidents.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those of a rule.
    #[arg(long)]
    rule: Vec<String>,
    /// Only those in a state: open, acknowledged, silenced, resolved.
    #[arg(long)]
    state: Vec<String>,
    /// Only those that were this bad at least: warn, high, critical.
    #[arg(long)]
    severity: Option<String>,
}

/// What to do with incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentsAction {
    /// Somebody knows of it.
    Ack {
        /// The incident.
        id: String,
        /// Take it back.
        #[arg(long)]
        undo: bool,
    },
    /// Nobody wants to hear of it for a while; hooks are not told either.
    Silence {
        /// The incident.
        id: String,
        /// For how long: 1h, 4h, 2d; until it is over, if not named.
        #[arg(long = "for", value_parser = super::parse_duration)]
        span: Option<i64>,
        /// Take it back.
        #[arg(long)]
        undo: bool,
    },
    /// Write something beside it.
    Note {
        /// The incident.
        id: String,
        /// The text.
        text: String,
    },
    /// Replay a rule with other thresholds over all history, and say how often it would have fired. Nothing is changed.
    Tune {
        /// The rule.
        rule: String,
        /// From here on it is worth a look.
        #[arg(long)]
        warn: Option<f64>,
        /// From here on someone is needed today.
        #[arg(long)]
        high: Option<f64>,
        /// From here on someone is needed now.
        #[arg(long)]
        critical: Option<f64>,
        /// So many times the usual.
        #[arg(long)]
        times_base: Option<f64>,
        /// Fewer rows that speak against somebody are nothing.
        #[arg(long)]
        min_hits: Option<i64>,
        /// Nor is anything of fewer rows.
        #[arg(long)]
        min_of: Option<i64>,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
}

/// The rules with the settings' thresholds.
pub fn watch(config: &Config) -> anyhow::Result<Watch> {
    let catalogue = crate::reply::Catalogue::with_entries(config.replies.clone())?;
    Watch::new(config, catalogue).map_err(anyhow::Error::from)
}

/// All incidents as of now; what was not evaluated yet is evaluated first.
pub fn look(config: &Config, engine: &Engine) -> anyhow::Result<Vec<Incident>> {
    // What is found here is found once: hooks are told of it by the owner, or by `pmtop hooks retry`.
    let found = watch(config)?.look(engine, &hook::teller(engine, config)).map_err(said)?;
    Ok(found.incidents)
}

fn said(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

pub(super) fn run(
    config: &Config,
    action: Option<IncidentsAction>,
    which: &Which,
    scope: &ScopeFlags,
    output: &Output,
) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    match action {
        None => {
            let incidents = chosen(look(config, &engine)?, which, &scope.scope()?, &engine)?;
            print(&incidents, output)
        }
        Some(IncidentsAction::Ack { id, undo }) => {
            let incident = one(config, &engine, &id)?;
            engine.catalog().incidents()?.acknowledge(&incident.id, (!undo).then(clock))?;
            say(if undo { "no longer acknowledged" } else { "acknowledged" }, &incident)
        }
        Some(IncidentsAction::Silence { id, span, undo }) => {
            let incident = one(config, &engine, &id)?;
            let until = if undo { None } else { Some(span.map_or(FOR_EVER, |span| clock().saturating_add(span))) };
            engine.catalog().incidents()?.silence(&incident.id, until)?;
            say(if undo { "no longer silenced" } else { "silenced" }, &incident)
        }
        Some(IncidentsAction::Note { id, text }) => {
            let incident = one(config, &engine, &id)?;
            engine.catalog().incidents()?.note(&incident.id, clock(), &text)?;
            say("noted beside", &incident)
        }
        Some(IncidentsAction::Tune { rule, warn, high, critical, times_base, min_hits, min_of, output }) => {
            let mut watch = watch(config)?;
            let known = watch.rules().iter().find(|known| known.id == rule).map(crate::insight::rule::Rule::thresholds);
            let Some(now) = known else {
                let names: Vec<&str> = watch.rules().iter().map(|rule| rule.id.as_str()).collect();
                return Err(usage(format!("there is no rule `{rule}`; there are {}", names.join(", "))));
            };
            let then = Thresholds {
                warn: warn.unwrap_or(now.warn),
                high: high.unwrap_or(now.high),
                critical: critical.unwrap_or(now.critical),
                times_base: times_base.unwrap_or(now.times_base),
                min_hits: min_hits.unwrap_or(now.min_hits),
                min_of: min_of.unwrap_or(now.min_of),
            };
            let replay = watch.replay(&engine, &rule, then).map_err(said)?;
            eprintln!("pmtop: {}", replay.sentence(&rule));
            print(&replay.then, &output)
        }
    }
}

fn say(what: &str, incident: &Incident) -> anyhow::Result<u8> {
    println!("{what}: {}  {}", incident.id, crate::text::display(&incident.headline));
    Ok(0)
}

/// An incident by its id or the beginning of it.
pub(super) fn one(config: &Config, engine: &Engine, id: &str) -> anyhow::Result<Incident> {
    let mut found: Vec<Incident> =
        look(config, engine)?.into_iter().filter(|incident| incident.id.starts_with(id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(incident), true) => Ok(incident),
        (None, _) => Err(anyhow::anyhow!("no incident is called {id}")).context("`pmtop incidents` lists them"),
        _ => Err(usage(format!("several incidents begin with {id}"))),
    }
}

/// The incidents that are asked for: those whose time and scope touch what is asked.
fn chosen(all: Vec<Incident>, which: &Which, scope: &Scope, engine: &Engine) -> anyhow::Result<Vec<Incident>> {
    for state in &which.state {
        if !["open", "acknowledged", "silenced", "resolved"].contains(&state.as_str()) {
            return Err(usage(format!("`{state}` is no state: open, acknowledged, silenced, resolved")));
        }
    }
    let least = match which.severity.as_deref() {
        None => None,
        Some(word) => Some(
            serde_json::from_value::<crate::insight::incident::Severity>(serde_json::json!(word))
                .map_err(|_| usage(format!("`{word}` is no severity: warn, high, critical")))?,
        ),
    };
    let snapshot = engine.snapshot().map_err(said)?;
    let range = scope.time.resolve(engine.now(&snapshot).map_err(said)?);
    let fields = scope.by_field();
    let wanted = |incident: &Incident| {
        incident.touches(range, &fields)
            && (which.rule.is_empty() || which.rule.contains(&incident.rule))
            && (which.state.is_empty() || which.state.iter().any(|state| state == incident.state.as_str()))
            && least.is_none_or(|least| incident.severity >= least)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn print(incidents: &[Incident], output: &Output) -> anyhow::Result<u8> {
    if output.format() == Format::Json {
        let mut out = std::io::stdout().lock();
        let written = line(&mut out, &serde_json::to_value(incidents)?);
        return finish(written.map_err(Into::into), &mut out);
    }
    emit(output, &table(incidents))
}

/// The one-line faces of incidents: those that go on first, the worst first.
pub(super) fn insights(config: &Config, scope: &ScopeFlags, output: &Output) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let which = Which { rule: Vec::new(), state: Vec::new(), severity: None };
    let mut incidents = chosen(look(config, &engine)?, &which, &scope.scope()?, &engine)?;
    incidents.retain(|incident| incident.state != State::Silenced);
    incidents.sort_by_key(|incident| {
        (incident.closed_at.is_some(), std::cmp::Reverse(incident.severity), std::cmp::Reverse(incident.opened_at))
    });
    emit(output, &faces(&incidents))
}

/// Writes what a panel shows of incidents to a file.
pub(super) fn export(
    config: &Config,
    panel: &Panel,
    scope: &Scope,
    written: (FileFormat, bool),
    out: Option<&std::path::Path>,
) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let which = Which { rule: Vec::new(), state: Vec::new(), severity: None };
    let incidents = chosen(look(config, &engine)?, &which, scope, &engine)?;
    let table = if matches!(panel.show, Show::Insights) { faces(&incidents) } else { table(&incidents) };
    super::export::table(&table, panel.name, scope, written, out)
}
