//! `pmtop explain`: sentences and bars for people, the same as data for programs.

use std::io::Write;

use clap::ValueEnum;

use super::{Output, ScopeFlags, engine, run, usage};
use crate::config::Config;
use crate::ingest::derive;
use crate::insight::explain::ask::{Request, ask};
use crate::insight::explain::{Contributor, Explanation, Metric, flat, sentences};
use crate::report::print::{self, Format};
use crate::text::display;

/// The widest a bar is.
const BAR: f64 = 20.0;
/// The width of a line of prose.
const LINE: usize = 100;

impl ValueEnum for Metric {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<Metric>> = std::sync::LazyLock::new(|| Metric::all().collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()).help(self.about()))
    }
}

/// Runs the command.
pub fn explain(
    config: &Config,
    metric: Option<Metric>,
    slow: Option<i64>,
    scope: &ScopeFlags,
    output: &Output,
) -> anyhow::Result<u8> {
    if slow.is_some() && metric != Some(Metric::Latency) {
        return Err(usage("--slower-than is about latency: add --metric latency"));
    }
    let request = Request { scope: scope.scope()?, metric, slow_ms: slow.map(|micros| micros / 1000) };
    let engine = engine(config)?;
    let rules = derive::Rules::new(config)?;
    let found =
        engine.block_on(ask(&engine, &rules.replies, &request)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    run::warn_of_damage(&engine);
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let written = match output.format() {
        Format::Json => print::line(&mut out, &flat::object(&found)),
        Format::Csv => print::csv(&mut out, &flat::table(&found), output.raw),
        Format::Md => markdown(&mut out, &found),
        Format::Table => for_people(&mut out, &found),
    };
    run::finish(written.map_err(Into::into), &mut out)
}

fn markdown(out: &mut dyn Write, found: &Explanation) -> std::io::Result<()> {
    for sentence in sentences(found) {
        writeln!(out, "- {}", display(&sentence))?;
    }
    writeln!(out)?;
    print::print(out, &flat::table(found), Format::Md, false)
}

fn for_people(out: &mut dyn Write, found: &Explanation) -> std::io::Result<()> {
    for sentence in sentences(found) {
        wrapped(out, &display(&sentence))?;
    }
    let values: Vec<&Contributor> = found.values.iter().collect();
    for (title, rows) in [("Where it is", found.contributors.iter().collect()), ("By single value", values)] {
        if !rows.is_empty() {
            writeln!(out, "\n{title}")?;
            bars(out, &rows)?;
        }
    }
    Ok(())
}

fn wrapped(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= LINE {
            writeln!(out, "{}", line.trim_end())?;
            line = "  ".to_owned();
        }
        line.extend([word, " "]);
    }
    writeln!(out, "{}", line.trim_end())
}

fn bars(out: &mut dyn Write, rows: &[&Contributor]) -> std::io::Result<()> {
    let courses: Vec<String> = rows.iter().map(|row| row.course()).collect();
    let width = courses.iter().map(|course| course.chars().count()).max().unwrap_or_default();
    for (row, course) in rows.iter().zip(&courses) {
        let gap = " ".repeat(width - course.chars().count());
        let lift = row.lift().map_or_else(String::new, |lift| format!("{lift:.1}×"));
        let share = row.share * 100.0;
        writeln!(out, "{} {share:>4.0} %  {course}{gap}  {lift:>8}  {}", bar(row.share), display(&row.whom()))?;
    }
    Ok(())
}

/// A bar of eighths of a cell.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * BAR * 8.0).round() as usize;
    let text = "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    let gap = " ".repeat((BAR as usize).saturating_sub(text.chars().count()));
    text + &gap
}
