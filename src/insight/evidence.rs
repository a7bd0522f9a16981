//! A ticket for the provider's postmaster out of an incident: who, when, how much and what was replied, with recipients
//! hidden whatever the settings say; as Markdown, and the rows as CSV.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::incident::Incident;
use super::postmaster::{self, Postmaster};
use crate::catalog::layout;
use crate::event::Micros;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::{Bucket, Failure, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::table::{Head, Table, Value};
use crate::query::time::{DAY, HOUR, Width, iso};
use crate::query::{Engine, mask};
use crate::report;
use crate::report::print::{self, Format};
use crate::text::display;

/// Most rows of the CSV, the oldest.
const ROWS: usize = 1000;
/// Most replies that are quoted.
const REPLIES: usize = 5;
/// Most IPs, domains and hosts that are listed.
const LISTED: usize = 20;
/// The share of the replies that one provider must have for the ticket to be about it alone, where the incident is about
/// no provider.
const MOSTLY: f64 = 0.8;

/// Columns of volumes: of the report, and as a postmaster reads them.
const VOLUMES: &[(&str, &str)] = &[
    ("deferral_rate_of", "attempts"),
    ("delivered", "delivered"),
    ("deferrals", "deferred attempts"),
    ("bounced_total", "bounced"),
];
/// Columns of rows: of `events`.
const CELLS: &[&str] = &[
    "event_time",
    "kind",
    "source_ip",
    "vmta",
    "sender_domain",
    "recipient",
    "dsn_mta",
    "smtp_status",
    "dsn_diag",
    "message_id",
];

/// What is known for a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it is about.
    pub incident: Incident,
    /// Whom it goes to.
    pub postmaster: Postmaster,
    /// When it began and ended; up to the newest event, where it goes on.
    pub range: (Option<Micros>, Option<Micros>),
    /// All volumes: one row.
    pub totals: Table,
    /// Volumes by our IPs.
    pub ips: Table,
    /// Volumes by our domains.
    pub domains: Table,
    /// Volumes by time.
    pub times: Table,
    /// What was replied: `n`, `first`, `last`, `example`.
    pub replies: Table,
    /// Rows that show it.
    pub rows: Table,
}

/// Asks for all that belongs into the ticket of an incident.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn evidence(engine: &Engine, incident: &Incident) -> Result<Evidence, Failure> {
    let (mut view, mut shown) = (incident.view(), incident.rows());
    let replies = ask(engine, Report::Replies, &shown, Some("n"), None).await?.0;
    let provider = match incident.scope.get("provider") {
        Some(provider) => provider.clone(),
        None => {
            let provider = prevailing(&replies);
            if !provider.is_empty() {
                let filter = Filter::include(Field::Provider, provider.as_str());
                view.add(filter.clone());
                shown.add(filter);
            }
            provider
        }
    };
    let by = |field| Report::Operations { by: Some(field), bucket: None };
    let (totals, range) = ask(engine, Report::Totals, &view, None, None).await?;
    let ips = ask(engine, by(Field::SourceIp), &view, Some("deferral_rate_of"), Some(LISTED)).await?.0;
    let domains = ask(engine, by(Field::SenderDomain), &view, Some("deferral_rate_of"), Some(LISTED)).await?.0;
    let (ips, domains) = (with_attempts(ips), with_attempts(domains));
    let newest = match totals.cell(0, "to") {
        Value::Time(time) => Some(*time),
        _ => None,
    };
    let range = (range.0.or(Some(incident.opened_at)), range.1.or(newest));
    let width = match range {
        (Some(from), Some(until)) if until - from <= 6 * HOUR => Width::Quarter,
        (Some(from), Some(until)) if until - from <= 4 * DAY => Width::Hour,
        _ => Width::Day,
    };
    let times = Report::Operations { by: None, bucket: Some(Bucket::Fixed(width)) };
    let times = ask(engine, times, &view, None, None).await?.0;
    let quoted = ask(engine, Report::Replies, &shown, Some("n"), Some(REPLIES)).await?.0;
    let oldest = Some(Sort { column: "event_time".to_owned(), descending: false });
    let page = Page { offset: 0, limit: Some(ROWS), sort: oldest };
    let rows = report::answer(engine, &Question { page, ..Question::new(Report::Events, shown) }).await?.table;
    let mut incident = incident.clone();
    hide(&mut incident);
    Ok(Evidence {
        incident,
        postmaster: postmaster::of(&provider),
        range,
        totals,
        ips,
        domains,
        times,
        replies: quoted,
        rows: hidden(select(&rows, CELLS)),
    })
}

type Range = (Option<Micros>, Option<Micros>);

/// The answer with recipients hidden, and the time that it is about.
async fn ask(
    engine: &Engine,
    report: Report,
    scope: &Scope,
    order: Option<&str>,
    limit: Option<usize>,
) -> Result<(Table, Range), Failure> {
    let sort = order.map(|column| Sort { column: column.to_owned(), descending: true });
    let page = Page { offset: 0, limit, sort };
    let answer = report::answer(engine, &Question { page, ..Question::new(report, scope.clone()) }).await?;
    Ok((hidden(answer.table), answer.range))
}

/// The rows that tried to send; a complaint has neither IP nor attempt.
fn with_attempts(mut table: Table) -> Table {
    let attempts = table.column("deferral_rate_of");
    let tried = |row: &Vec<Value>| attempts.and_then(|at| row.get(at)?.number()).is_none_or(|count| count > 0.0);
    table.rows.retain(tried);
    table
}

fn hidden(mut table: Table) -> Table {
    mask::table(&mut table);
    table
}

/// Recipients in what is told of the incident itself.
fn hide(incident: &mut Incident) {
    incident.headline = mask::words(&incident.headline);
    incident.scope.values_mut().for_each(|value| *value = mask::words(value));
    for cause in &mut incident.causes {
        for text in [&mut cause.cause, &mut cause.reply, &mut cause.advice] {
            *text = mask::words(text);
        }
    }
    incident.notes.iter_mut().for_each(|note| note.text = mask::words(&note.text));
}

/// The provider that most of the replies come from; empty if none has nearly all.
fn prevailing(replies: &Table) -> String {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for row in 0..replies.rows.len() {
        let provider = replies.cell(row, "provider").as_text().unwrap_or_default().to_owned();
        let n = replies.cell(row, "n").number().unwrap_or_default();
        match sums.iter_mut().find(|(known, _)| *known == provider) {
            Some((_, sum)) => *sum += n,
            None => sums.push((provider, n)),
        }
    }
    let all: f64 = sums.iter().map(|(_, sum)| sum).sum();
    sums.into_iter()
        .find(|(_, sum)| *sum >= all * MOSTLY && all > 0.0)
        .map_or_else(String::new, |(provider, _)| provider)
}

/// Some columns of a table, in this order.
fn select(table: &Table, names: &[&str]) -> Table {
    let found: Vec<(usize, &Head)> =
        names.iter().filter_map(|name| table.column(name)).filter_map(|at| Some((at, table.heads.get(at)?))).collect();
    Table {
        heads: found.iter().map(|(_, head)| (*head).clone()).collect(),
        rows: table
            .rows
            .iter()
            .map(|row| found.iter().map(|(at, _)| row.get(*at).cloned().unwrap_or_default()).collect())
            .collect(),
        more: table.more,
    }
}

/// Volumes under the words that a postmaster reads, behind the column that names the rows.
fn volumes(table: &Table, key: Option<(&str, &str)>) -> Table {
    let columns: Vec<(&str, &str)> = key.into_iter().chain(VOLUMES.iter().copied()).collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut picked = select(table, &names);
    for head in &mut picked.heads {
        if let Some((_, words)) = columns.iter().find(|(name, _)| *name == &*head.name) {
            head.name = (*words).into();
        }
    }
    picked
}

impl Evidence {
    /// The ticket.
    pub fn markdown(&self) -> String {
        let provider = self.postmaster.provider.as_str();
        let whom =
            if provider.is_empty() { "the postmaster".to_owned() } else { format!("the postmaster of {provider}") };
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.preface(&mut out, &whom).and_then(|()| self.ticket(&mut out, &whom));
        out
    }

    /// What is for the sender alone, before the ticket.
    fn preface(&self, out: &mut String, whom: &str) -> std::fmt::Result {
        let (incident, postmaster) = (&self.incident, &self.postmaster);
        writeln!(out, "# Ticket for {}: {}\n", whom, plain(&incident.headline))?;
        writeln!(
            out,
            "*Made by pmtop from incident {}. This part is for you; the ticket begins below the line.*\n",
            plain(&incident.id)
        )?;
        if postmaster.form.is_empty() {
            writeln!(out, "- Where it goes: no form is known; see below")?;
        } else {
            writeln!(out, "- Where it goes: <{}>", postmaster.form)?;
        }
        if !postmaster.tools.is_empty() {
            writeln!(out, "- What they show of you: <{}>", postmaster.tools)?;
        }
        for step in &postmaster.before {
            writeln!(out, "- [ ] {step}")?;
        }
        if let Some(cause) = incident.causes.first() {
            writeln!(out, "- Probable cause: {} {}", plain(&cause.cause), plain(&cause.advice))?;
            if let Some(list) = &cause.blocklist {
                writeln!(
                    out,
                    "- The replies name the block list {}: removal is asked for there, not here",
                    plain(list)
                )?;
            }
        }
        for note in &incident.notes {
            writeln!(out, "- Your note of {}: {}", iso(note.at), plain(&note.text))?;
        }
        writeln!(out, "\n---\n")
    }

    fn ticket(&self, out: &mut String, whom: &str) -> std::fmt::Result {
        let end = match (self.incident.closed_at, self.range.1) {
            (Some(closed), _) => iso(closed),
            (None, Some(newest)) => format!("{} (still going on)", iso(newest)),
            (None, None) => "now (still going on)".to_owned(),
        };
        let begin = self.range.0.map_or_else(String::new, iso);
        writeln!(out, "To {whom},\n")?;
        writeln!(out, "mail of ours to your users has not been accepted as usual. What we see (all times are UTC):\n")?;
        writeln!(out, "- **Time**: {begin} to {end}")?;
        writeln!(out, "- **Our IPs**: {}", listed(&self.ips, "source_ip"))?;
        writeln!(out, "- **Our domains** (envelope sender): {}", listed(&self.domains, "sender_domain"))?;
        writeln!(out, "\n## Volumes\n\n{}", markdown(&volumes(&self.totals, None)))?;
        if self.ips.rows.len() > 1 {
            writeln!(out, "By IP:\n\n{}", markdown(&volumes(&self.ips, Some(("source_ip", "our IP")))))?;
        }
        writeln!(out, "By time:\n\n{}", markdown(&volumes(&self.times, Some(("bucket", "from (UTC)")))))?;
        writeln!(out, "## Your replies, word by word\n")?;
        if self.replies.is_empty() {
            writeln!(out, "None: the connections ended without one.\n")?;
        } else {
            writeln!(out, "Recipients are hidden; one example of each.\n")?;
        }
        for row in 0..self.replies.rows.len() {
            let cell = |column: &str| print::text_cell(self.replies.cell(row, column));
            writeln!(out, "{} × ({} to {}):\n\n{}", cell("n"), cell("first"), cell("last"), quoted(&cell("example")))?;
        }
        writeln!(
            out,
            "## What we have done\n\n- … (fill in: what was paused, slowed down, cleaned or set right, and when)\n"
        )?;
        writeln!(out, "## What we ask for\n\n{}\n", self.postmaster.ask)?;
        let more = if self.rows.more { format!("the first {ROWS}") } else { "all".to_owned() };
        writeln!(out, "The file beside this one has {more} of the rows concerned ({} in it).", self.rows.rows.len())
    }

    /// The rows that show it; cells that a spreadsheet would run are defused.
    pub fn csv(&self) -> String {
        let mut out = Vec::new();
        // Writing to memory cannot fail.
        print::print(&mut out, &self.rows, Format::Csv, false).ok();
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Writes both files into a folder, whole or not at all and for the user alone; their paths. `at` is the clock.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn save(&self, folder: &Path, at: Micros) -> Result<(PathBuf, PathBuf), Failure> {
        let failed = |error: io::Error| Failure {
            what: format!("the evidence was not written to {}", folder.display()),
            why: error.to_string(),
            hint: "name a folder that exists and may be written to".to_owned(),
            ..Failure::default()
        };
        let stem = self.stem(at);
        let staged = |text: &str| -> io::Result<tempfile::NamedTempFile> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let ticket = staged(&self.markdown()).map_err(failed)?;
        let rows = staged(&self.csv()).map_err(failed)?;
        for count in 1.. {
            let stem = if count == 1 { stem.clone() } else { format!("{stem}-{count}") };
            let [md, csv] = ["md", "csv"].map(|ending| folder.join(format!("{stem}.{ending}")));
            if md.exists() || csv.exists() {
                continue;
            }
            rows.persist_noclobber(&csv).map_err(|error| failed(error.error))?;
            if let Err(error) = ticket.persist_noclobber(&md) {
                std::fs::remove_file(&csv).ok();
                return Err(failed(error.error));
            }
            layout::sync_dir(folder).map_err(failed)?;
            return Ok((md, csv));
        }
        Err(failed(io::Error::other("every name is taken")))
    }

    /// What the files are called: the incident and the time, without anything that a shell would act on.
    fn stem(&self, at: Micros) -> String {
        let stamp: String = iso(at).chars().filter(char::is_ascii_digit).take(14).collect();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let id: String =
            self.incident.id.chars().take(80).map(|letter| if plain(letter) { letter } else { '-' }).collect();
        format!("pmtop-evidence-{}-{stamp}", id.trim_matches(['-', '.']))
    }
}

/// The values of a column, in a line.
fn listed(table: &Table, column: &str) -> String {
    let names: Vec<String> = (0..table.rows.len())
        .filter_map(|row| table.cell(row, column).as_text().map(plain))
        .filter(|name| !name.is_empty())
        .collect();
    match (names.is_empty(), table.more) {
        (true, _) => "not logged".to_owned(),
        (false, true) => format!("{}, and more", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

/// Text of a log within a line of Markdown: nothing in it is markup.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for letter in display(text).chars() {
        if matches!(letter, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Text of a log as it stands, in a block whose fence does not occur in it.
fn quoted(text: &str) -> String {
    let text = display(text);
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{text}\n{fence}\n")
}

/// A table as Markdown; the printer takes care of `|`.
fn markdown(table: &Table) -> String {
    let mut table = table.clone();
    for cell in table.rows.iter_mut().flatten() {
        if let Value::Text(text) = cell {
            *cell = Value::text(plain(text).replace("\\|", "|"));
        }
    }
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    print::print(&mut out, &table, Format::Md, false).ok();
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::table::Unit;

    #[test]
    fn text_of_a_log_is_no_markup() {
        assert_eq!(plain("[x](http://a) *b* `c`\u{1b}"), "\\[x\\](http://a) \\*b\\* \\`c\\`␛");
        let block = quoted("550 ```\n# no heading");
        assert!(block.starts_with("````text\n") && block.trim_end().ends_with("````"), "{block}");
        assert!(!block.contains("\n# no"), "{block}");
    }

    #[test]
    fn one_provider_prevails_or_none() {
        let mut replies = Table::with_heads([("provider", Unit::Text), ("n", Unit::Count)]);
        for (provider, n) in [("Yahoo", 81), ("Google", 9), ("Yahoo", 10)] {
            replies.rows.push(vec![Value::text(provider), Value::Int(n)]);
        }
        assert_eq!(prevailing(&replies), "Yahoo");
        replies.rows.push(vec![Value::text("Google"), Value::Int(30)]);
        assert_eq!(prevailing(&replies), "");
        assert_eq!(prevailing(&Table::default()), "");
    }
}
