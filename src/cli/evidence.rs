//! `pmtop evidence`: an incident as a ticket for the provider's postmaster.

use std::path::Path;

use super::engine;
use crate::catalog::clock;
use crate::config::Config;
use crate::insight::evidence::evidence;
use crate::insight::reconcile::incident_of;
use crate::text::display;

/// Writes both files into a folder; where to is said on standard output.
pub(super) fn run(config: &Config, id: &str, out: Option<&Path>) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let all = engine.catalog().incidents()?.all()?;
    let incident = match all.iter().find(|stored| stored.id == id).and_then(incident_of) {
        Some(incident) => incident,
        None => super::incidents::one(config, &engine, id)?,
    };
    let made = engine.block_on(evidence(&engine, &incident)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    super::run::warn_of_damage(&engine);
    let folder = out.unwrap_or_else(|| Path::new("."));
    let (ticket, rows) = made.save(folder, clock()).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    for path in [ticket, rows] {
        println!("{}", display(&path.display().to_string()));
    }
    if !made.postmaster.form.is_empty() {
        eprintln!("pmtop: it goes to {}; read it first", made.postmaster.form);
    }
    Ok(0)
}
