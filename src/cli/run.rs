//! Runs the commands that need no screen. Data goes to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write};

use anyhow::bail;
use clap::{CommandFactory as _, ValueEnum as _};

use super::{
    BucketName, Cli, Command, ConfigAction, FilesAction, Output, ReportName, View, engine, ingest, reply, usage,
};
use crate::catalog::Catalog;
use crate::catalog::fsck::fsck;
use crate::config::Config;
use crate::export;
use crate::ingest::derive;
use crate::journey::{self, Who};
use crate::query::field::Field;
use crate::query::question::{Bucket, Compare, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::table::Table;
use crate::report;
use crate::report::print::{self, Format};

/// Runs a command that needs no screen; the exit code.
pub fn run(config: &Config, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Ingest { paths, output } => ingest::ingest(config, &paths, &output),
        Command::Files { action: Some(FilesAction::Remove { files }), .. } => ingest::remove(config, &files),
        Command::Files { action: None, output } => {
            let table = report::files(&Catalog::open(&config.catalog)?.files()?);
            emit(&output, &table)
        }
        Command::Report { name, by, bucket, sort, limit, compare, scope, output } => {
            let report = report_of(name, by, bucket)?;
            let page = Page { offset: 0, limit, sort: sort.as_deref().map(parse_sort) };
            let compare = compare.unwrap_or_default();
            let question = Question { page, compare, ..Question::new(report, scope.scope()?) };
            print_report(config, &question, &output)
        }
        Command::Explain { metric, slower_than, scope, output } => {
            super::explain::explain(config, metric, slower_than, &scope, &output)
        }
        Command::Events { limit, offset, sort, scope, output } => {
            const ON_TERMINAL: usize = 100;
            let default = std::io::stdout().is_terminal().then_some(ON_TERMINAL);
            let page = Page { offset, limit: limit.or(default), sort: sort.as_deref().map(parse_sort) };
            let question = Question { page, ..Question::new(Report::Events, scope.scope()?) };
            check_sort(&question)?;
            let engine = engine(config)?;
            let mut out = std::io::BufWriter::new(std::io::stdout());
            let written = engine.block_on(export::write(&engine, &question, output.format(), output.raw, &mut out));
            warn_of_damage(&engine);
            finish(written.map_err(|failure| anyhow::anyhow!("{failure}")), &mut out)
        }
        Command::Journey { who, limit, scope, output } => {
            let limit = limit.or_else(|| std::io::stdout().is_terminal().then_some(10));
            print_journey(config, &journey::Ask { who: Who::Text(who), scope: scope.scope()?, limit }, &output)
        }
        Command::Export { view, by, bucket, sort, limit, compare, scope, format, raw, out } => {
            if let View::Panel(tab, at) = view
                && let Some((_, panel)) = super::panel(tab, at)
                && panel.asks.is_empty()
            {
                return super::incidents::export(config, panel, &scope.scope()?, (format, raw), out.as_deref());
            }
            if let View::Panel(tab, at) = view {
                let question = panel_question(tab, at, (by, bucket), scope.scope()?)?;
                let sort = sort.as_deref().map(parse_sort).or_else(|| question.page.sort.clone());
                let page = Page { offset: 0, limit, sort };
                let question = Question { page, compare: compare.unwrap_or_default(), ..question };
                check_compare(&question)?;
                return super::export::run(config, &question, &name_of(view), format, raw, out.as_deref());
            }
            let report = match view {
                View::Panel(..) => bail!("internal error: a panel is no report"),
                View::Report(name) => report_of(name, by, bucket)?,
                _ if by.is_some() || bucket.is_some() || compare.is_some() => {
                    return Err(usage("rows take no --by, --bucket or --compare"));
                }
                View::Events => Report::Events,
                View::Files => Report::Files,
            };
            let page = Page { offset: 0, limit, sort: sort.as_deref().map(parse_sort) };
            let compare = compare.unwrap_or_default();
            let question = Question { page, compare, ..Question::new(report, scope.scope()?) };
            check_compare(&question)?;
            if report == Report::Events {
                check_sort(&question)?;
            }
            super::export::run(config, &question, &name_of(view), format, raw, out.as_deref())
        }
        Command::Sql { statement, output } => {
            let engine = engine(config)?;
            if statement.to_lowercase().contains("incidents") {
                super::incidents::look(config, &engine)?;
            }
            let table = engine.block_on(engine.sql(&statement)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
            warn_of_damage(&engine);
            if table.more {
                eprintln!("pmtop: the first {} rows; raise `query.max_rows` for more", table.rows.len());
            }
            emit(&output, &table)
        }
        Command::Incidents { action, which, scope, output } => {
            super::incidents::run(config, action, &which, &scope, &output)
        }
        Command::Insights { scope, output } => super::incidents::insights(config, &scope, &output),
        Command::Reply { provider, texts } => reply::explain(config, provider.as_deref(), &texts),
        Command::Fsck { repair, output } => {
            let findings = fsck(&config.catalog, repair)?;
            emit(&output, &report::findings(&findings))?;
            let open = findings.iter().filter(|finding| !finding.repaired).count();
            eprintln!("pmtop: {} found, {} repaired", findings.len(), findings.len() - open);
            Ok(u8::from(open > 0))
        }
        Command::Hooks { action, output } => super::hooks::run(config, action.as_ref(), &output),
        Command::Prom { out } => super::hooks::prom(config, out.as_deref()),
        Command::Evidence { id, out } => super::evidence::run(config, &id, out.as_deref()),
        Command::Config { action: ConfigAction::Check } => {
            derive::Rules::new(config)?;
            crate::insight::rule::Rule::all(&config.rules)?;
            eprintln!("pmtop: the settings are fine");
            Ok(0)
        }
        Command::Config { action: ConfigAction::Print } => {
            print!("{}", config.print()?);
            Ok(0)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pmtop", &mut std::io::stdout());
            Ok(0)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
            Ok(0)
        }
        Command::Demo { .. } | Command::Watch | Command::Doctor { .. } => {
            bail!("internal error: this command is run elsewhere")
        }
    }
}

/// Says on stderr what is missing from an answer.
pub(super) fn warn_of_damage(engine: &crate::query::Engine) {
    if let Some(damage) = engine.damage() {
        eprintln!("pmtop: {}", crate::text::display(&damage.to_string()));
    }
}

/// What a view is called on the command line, and in the name of its file.
fn name_of(view: View) -> String {
    view.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// What a panel asks of a scope, in the order in which the screen shows it.
fn panel_question(
    tab: usize,
    at: usize,
    (by, bucket): (Option<Field>, Option<BucketName>),
    scope: Scope,
) -> anyhow::Result<Question> {
    let Some((_, panel)) = super::panel(tab, at) else { bail!("internal error: there is no such panel") };
    let Some(ask) = panel.asks.first() else { bail!("internal error: this panel asks nothing") };
    if let Some(field) = by.filter(|field| !panel.variants.contains(field)) {
        let names: Vec<&str> = panel.variants.iter().map(|field| field.name()).collect();
        let instead =
            if names.is_empty() { "it takes no --by".to_owned() } else { format!("one of {}", names.join(", ")) };
        return Err(usage(format!("`{}` cannot group by `{}`; {instead}", panel.name, field.name())));
    }
    let mut question = ask.question(&scope, by, Compare::Off);
    if let Some(width) = bucket.map(BucketName::bucket) {
        question.report = match question.report {
            Report::Operations { by, bucket: Some(_) } => Report::Operations { by, bucket: Some(width) },
            Report::Heatmap { by, latency, .. } => Report::Heatmap { by, bucket: width, latency },
            _ => return Err(usage(format!("`{}` takes no --bucket", panel.name))),
        };
    }
    question.page.sort = panel.order.map(|column| Sort { column: column.to_owned(), descending: true });
    Ok(question)
}

fn report_of(name: ReportName, by: Option<Field>, bucket: Option<BucketName>) -> anyhow::Result<Report> {
    let one_of = |default: Field, allowed: &[Field]| match by {
        None => Ok(default),
        Some(field) if allowed.contains(&field) => Ok(field),
        Some(field) => {
            let names: Vec<&str> = allowed.iter().map(|field| field.name()).collect();
            Err(usage(format!("this report cannot group by `{}`; one of {}", field.name(), names.join(", "))))
        }
    };
    let plain = |report: Report| match by {
        None => Ok(report),
        Some(_) => Err(usage(format!("`report {}` takes no --by; --{} VALUE filters", report.name(), "domain"))),
    };
    let width = bucket.map(BucketName::bucket);
    let operations = |default: Field| Report::Operations { by: Some(by.unwrap_or(default)), bucket: width };
    let risky = [
        Field::User,
        Field::Sender,
        Field::SenderDomain,
        Field::Job,
        Field::SourceIp,
        Field::Vmta,
        Field::Domain,
        Field::Provider,
    ];
    let report = match name {
        ReportName::Totals => plain(Report::Totals)?,
        ReportName::Operations => Report::Operations { by, bucket: width },
        ReportName::Latency => Report::Latency { by: by.unwrap_or(Field::Domain) },
        ReportName::Domains => Report::Domains { by: one_of(Field::Domain, &[Field::Domain, Field::Provider])? },
        ReportName::Risk => Report::Risk { by: one_of(Field::User, &risky)? },
        ReportName::Jobs => operations(Field::Job),
        ReportName::Users => operations(Field::User),
        ReportName::Senders => operations(Field::Sender),
        ReportName::Replies => plain(Report::Replies)?,
        ReportName::Heatmap => {
            Report::Heatmap { by: by.unwrap_or(Field::Domain), bucket: width.unwrap_or(Bucket::Auto), latency: true }
        }
        ReportName::Coverage => plain(Report::Coverage)?,
        ReportName::Distribution => plain(Report::Distribution)?,
        ReportName::Percentiles => plain(Report::Percentiles)?,
        ReportName::Changes => plain(Report::Changes)?,
        ReportName::Rates => plain(Report::Rates)?,
        ReportName::Categories => Report::Categories { by },
    };
    let has_buckets = matches!(report, Report::Operations { .. } | Report::Heatmap { .. });
    if width.is_some() && !has_buckets {
        return Err(usage(format!("`report {}` takes no --bucket; `report operations` does", report.name())));
    }
    Ok(report)
}

fn parse_sort(text: &str) -> Sort {
    match text.rsplit_once(':') {
        Some((column, "asc")) => Sort { column: column.to_owned(), descending: false },
        Some((column, "desc")) => Sort { column: column.to_owned(), descending: true },
        _ => Sort { column: text.to_owned(), descending: true },
    }
}

fn check_sort(question: &Question) -> anyhow::Result<()> {
    match &question.page.sort {
        Some(sort) if crate::event::column_index(&sort.column).is_none() => {
            Err(usage(format!("`{}` is no column of events", sort.column)))
        }
        _ => Ok(()),
    }
}

/// A comparison needs a range with both ends.
fn check_compare(question: &Question) -> anyhow::Result<()> {
    let compare = match (question.compare, question.report) {
        (Compare::Off, Report::Changes) => Compare::Before,
        (Compare::Off, _) => return Ok(()),
        (compare, _) => compare,
    };
    // Whether there is one does not depend on when "now" is.
    if compare.scope(&question.scope, Some(0)).is_none() {
        return Err(usage(
            "there is nothing before all time: name a range with --last 24h, or with --since and --until, or compare \
             with a range of its own (--compare FROM..UNTIL)",
        ));
    }
    Ok(())
}

fn print_report(config: &Config, question: &Question, output: &Output) -> anyhow::Result<u8> {
    check_compare(question)?;
    let engine = engine(config)?;
    let answer = engine.block_on(report::answer(&engine, question)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    warn_of_damage(&engine);
    if let Some(sort) = &question.page.sort
        && answer.table.column(&sort.column).is_none()
    {
        return Err(usage(format!("`{}` is no column of this report", sort.column)));
    }
    if question.report != Report::Totals {
        return emit(output, &answer.table);
    }
    match output.format() {
        Format::Json => {
            let mut out = std::io::stdout().lock();
            let written = print::line(&mut out, &print::totals_object(&answer.table, answer.before_range));
            finish(written.map_err(Into::into), &mut out)
        }
        Format::Csv => emit(output, &answer.table),
        Format::Table | Format::Md => emit(output, &print::upright(&answer.table)),
    }
}

/// Prints the lives of messages; exit code 1 if there are none.
fn print_journey(config: &Config, ask: &journey::Ask, output: &Output) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let found = engine.block_on(journey::ask(&engine, ask.clone())).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    warn_of_damage(&engine);
    if found.messages.is_empty() {
        eprintln!("pmtop: no message of that id or recipient in this scope");
    }
    if found.more > 0 {
        eprintln!("pmtop: {} more messages; raise --limit or narrow the time", found.more);
    }
    let none = u8::from(found.messages.is_empty());
    let written = match output.format() {
        Format::Table => {
            let mut out = std::io::BufWriter::new(std::io::stdout());
            let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
            let width = if columns == 0 { 120 } else { columns.clamp(60, 160) };
            let drawn = found.messages.iter().enumerate().try_for_each(|(at, message)| {
                if at > 0 {
                    writeln!(out)?;
                }
                journey::draw::lines(message, width).iter().try_for_each(|line| writeln!(out, "{}", line.text))
            });
            finish(drawn.map_err(Into::into), &mut out)?
        }
        Format::Json => {
            let mut out = std::io::BufWriter::new(std::io::stdout());
            let written = print::line(&mut out, &journey::objects(&found));
            finish(written.map_err(Into::into), &mut out)?
        }
        Format::Csv | Format::Md => emit(output, &journey::table(&found))?,
    };
    Ok(written.max(none))
}

pub(super) fn emit(output: &Output, table: &Table) -> anyhow::Result<u8> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let written = print::print(&mut out, table, output.format(), output.raw);
    finish(written.map_err(Into::into), &mut out)
}

/// A reader that has seen enough (`| head`) is no failure.
pub(super) fn finish(written: anyhow::Result<()>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let outcome = written.and_then(|()| out.flush().map_err(Into::into));
    match outcome {
        Err(error) if is_broken_pipe(&error) => Ok(0),
        Err(error) => Err(error),
        Ok(()) => Ok(0),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }) || error.to_string().contains("Broken pipe")
}
