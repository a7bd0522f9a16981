//! The command line: what can be asked without a screen. Data goes to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::catalog::Catalog;
use crate::catalog::control::FileRow;
use crate::config::Config;
use crate::event::file_status::Status;
use crate::event::provider::Providers;
use crate::export;
use crate::ingest::progress::Progress;
use crate::ingest::{Ingest, derive, intake};
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::{Bucket, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::time::{self, TimeRange, Width};
use crate::report;
use crate::report::print::{self, Format};

/// What happened to the mail that PowerMTA sent, in your terminal.
///
/// Without a command the screen opens and the inbox is watched:
///
///   pmtop --inbox /var/log/pmta        watch a folder and look at it
///   pmtop demo                         a day of invented mail, to look around
///   pmtop ingest acct-2026-11-23*.csv  take files in
///   pmtop report operations --by domain --last 24h
///   pmtop sql 'select kind, count(*) from events group by kind'
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Cli {
    /// Settings and places, for every command.
    #[command(flatten)]
    pub places: Places,
    /// What to do; the screen, if nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where things are.
#[derive(Debug, Args)]
pub struct Places {
    /// Folder to watch for log files; may be given several times.
    #[arg(long, env = "PMTOP_INBOX", value_delimiter = ':', global = true)]
    pub inbox: Vec<PathBuf>,
    /// Folder of the catalog.
    #[arg(long, env = "PMTOP_CATALOG", global = true)]
    pub catalog: Option<PathBuf>,
    /// Configuration file.
    #[arg(long, env = "PMTOP_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// A command without a screen.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a day of invented logs with an incident hidden in it, and open the screen on it.
    Demo {
        /// Where the logs and the catalog go; a temporary folder that is removed afterwards, if not named.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Take in files, folders and archives; `-` is standard input. Exit code 1 if one was rejected or failed.
    Ingest {
        /// What to take in.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Watch the inbox without a screen (for systemd); one line a file on stderr.
    Watch,
    /// The file table: state, rows, rejected and merged rows, time range, error.
    Files {
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// The numbers of any panel.
    Report {
        /// Which report.
        name: ReportName,
        /// Group by: job, user, sender, sender-domain, domain, provider, vmta, pool, source-ip, …
        #[arg(long, value_parser = parse_group)]
        by: Option<Field>,
        /// Time buckets.
        #[arg(long)]
        bucket: Option<BucketName>,
        /// Sort by a column, greatest first; `column:asc` for smallest first.
        #[arg(long)]
        sort: Option<String>,
        /// Most rows.
        #[arg(long)]
        limit: Option<usize>,
        /// Time range and filters.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Rows of the Explorer, newest first.
    Events {
        /// Most rows; all if piped, 100 on a terminal.
        #[arg(long)]
        limit: Option<usize>,
        /// Rows to pass over.
        #[arg(long, default_value_t = 0)]
        offset: usize,
        /// Sort by a column, greatest first; `column:asc` for smallest first.
        #[arg(long)]
        sort: Option<String>,
        /// Time range and filters.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Read-only SQL over `events`, `copies` and `files`.
    Sql {
        /// One statement.
        statement: String,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// The settings.
    Config {
        /// What to do with them.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Check the file; exit code 1 with the line if it is wrong.
    Check,
    /// Print every setting in force.
    Print,
}

/// The reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportName {
    /// Every number of the scope.
    Totals,
    /// Every number by a field, by time, or both.
    Operations,
    /// Latency by a field, slowest first.
    Latency,
    /// Domains (or providers) compared.
    Domains,
    /// Risk score by a field.
    Risk,
    /// Jobs by volume.
    Jobs,
    /// Users by volume.
    Users,
    /// Senders by volume.
    Senders,
    /// Replies, grouped by what they say.
    Replies,
}

/// Widths of time buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BucketName {
    /// One minute.
    Minute,
    /// A quarter of an hour.
    Quarter,
    /// One hour.
    Hour,
    /// One day.
    Day,
}

impl BucketName {
    const fn bucket(self) -> Bucket {
        Bucket::Fixed(match self {
            Self::Minute => Width::Minute,
            Self::Quarter => Width::Quarter,
            Self::Hour => Width::Hour,
            Self::Day => Width::Day,
        })
    }
}

/// How data is printed.
#[derive(Debug, Args)]
pub struct Output {
    /// Format: table on a terminal, csv when piped.
    #[arg(long)]
    pub format: Option<Format>,
    /// CSV cells as they are, even those that a spreadsheet would run as formulas.
    #[arg(long)]
    pub raw: bool,
}

impl Output {
    fn format(&self) -> Format {
        let default = if std::io::stdout().is_terminal() { Format::Table } else { Format::Csv };
        self.format.unwrap_or(default)
    }
}

macro_rules! scope_flags {
    ($($name:ident: $field:ident),+ $(,)?) => {
        /// Time range and filters. Values of one flag are ORed, `!value` excludes, `*` is a wildcard.
        #[derive(Debug, Args)]
        pub struct ScopeFlags {
            /// From (inclusive): 2026-11-23 or 2026-11-23T14:30, UTC unless an offset is given.
            #[arg(long, value_parser = parse_time)]
            since: Option<i64>,
            /// Until (exclusive).
            #[arg(long, value_parser = parse_time)]
            until: Option<i64>,
            /// The time up to the newest event: 15m, 24h, 7d.
            #[arg(long, value_parser = parse_duration, conflicts_with_all = ["since", "until"])]
            last: Option<i64>,
            /// Count distinct messages exactly (they are; accepted for scripts).
            #[arg(long)]
            exact: bool,
            $(#[arg(long, help = Field::$field.help(), value_name = "VALUE", help_heading = "Filters")]
            $name: Vec<String>,)+
        }

        impl ScopeFlags {
            fn filters(&self) -> Vec<Filter> {
                let mut filters = Vec::new();
                $(filters.extend(self.$name.iter().map(|value| Filter::from_flag(Field::$field, value)));)+
                filters
            }
        }
    };
}

scope_flags! {
    job: Job, user: User, sender: Sender, sender_domain: SenderDomain, domain: Domain, provider: Provider, vmta: Vmta,
    pool: Pool, source_ip: SourceIp, r#type: Type, kind: Kind, record_type: RecordType, bounce_category: BounceCategory,
    bounce_class: BounceClass, reply_class: ReplyClass, status: Status, recipient: Recipient, message_id: MessageId,
    custom_header: CustomHeader, env_id: EnvId, queue: Queue, dsn_mta: DsnMta, reply: Reply, host: Host, file: File,
}

impl ScopeFlags {
    fn scope(&self) -> anyhow::Result<Scope> {
        let range = match self.last {
            Some(span) => TimeRange::Last(span),
            None => time::between(self.since, self.until).map_err(usage)?,
        };
        Ok(Scope::new(range, self.filters()))
    }
}

fn parse_time(text: &str) -> Result<i64, String> {
    time::parse_time(text).map_err(|error| error.to_string())
}

fn parse_duration(text: &str) -> Result<i64, String> {
    time::parse_duration(text).map_err(|error| error.to_string())
}

fn parse_group(text: &str) -> Result<Field, String> {
    let groups = || {
        let names: Vec<&str> =
            crate::query::field::FIELDS.iter().filter(|field| field.groups()).map(|field| field.name()).collect();
        names.join(", ")
    };
    Field::parse(text).filter(|field| field.groups()).ok_or_else(|| format!("cannot group by it; one of {}", groups()))
}

/// A mistake in how the command was called; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

fn usage(error: impl std::fmt::Display) -> anyhow::Error {
    Usage(error.to_string()).into()
}

/// The settings: flags > environment > file > defaults (clap has put the environment into the flags).
pub fn settings(places: &Places) -> anyhow::Result<Config> {
    let mut config = Config::load(places.config.as_deref())?;
    if let Some(catalog) = &places.catalog {
        config.catalog.clone_from(catalog);
    }
    if !places.inbox.is_empty() {
        config.inbox.folders.clone_from(&places.inbox);
    }
    Ok(config)
}

/// Opens the catalog and an engine on it.
pub fn engine(config: &Config) -> anyhow::Result<Arc<Engine>> {
    let catalog = Catalog::open(&config.catalog)?;
    let providers =
        Providers::with_overrides(derive::own_providers(config)).map_err(|error| anyhow::anyhow!("{error}"))?;
    Engine::new(catalog, config, providers).map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// Runs a command that needs no screen; the exit code.
pub fn run(config: &Config, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Ingest { paths, output } => ingest(config, &paths, &output),
        Command::Files { output } => {
            let table = report::files(&Catalog::open(&config.catalog)?.files()?);
            emit(&output, &table)
        }
        Command::Report { name, by, bucket, sort, limit, scope, output } => {
            let report = report_of(name, by, bucket)?;
            let page = Page { offset: 0, limit, sort: sort.as_deref().map(parse_sort) };
            let question = Question { page, ..Question::new(report, scope.scope()?) };
            print_report(config, &question, &output)
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
            finish(written.map_err(|failure| anyhow::anyhow!("{failure}")), &mut out)
        }
        Command::Sql { statement, output } => {
            let engine = engine(config)?;
            let table = engine.block_on(engine.sql(&statement)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
            if table.more {
                eprintln!("pmtop: the first {} rows; raise `query.max_rows` for more", table.rows.len());
            }
            emit(&output, &table)
        }
        Command::Config { action: ConfigAction::Check } => {
            derive::Rules::new(config)?;
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
        Command::Demo { .. } | Command::Watch => bail!("internal error: this command is run elsewhere"),
    }
}

fn report_of(name: ReportName, by: Option<Field>, bucket: Option<BucketName>) -> anyhow::Result<Report> {
    let one_of = |by: Option<Field>, default: Field, allowed: &[Field]| match by {
        None => Ok(default),
        Some(field) if allowed.contains(&field) => Ok(field),
        Some(field) => {
            let names: Vec<&str> = allowed.iter().map(|field| field.name()).collect();
            Err(usage(format!("this report cannot group by `{}`; one of {}", field.name(), names.join(", "))))
        }
    };
    let operations =
        |default: Field| Report::Operations { by: Some(by.unwrap_or(default)), bucket: bucket.map(BucketName::bucket) };
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
    Ok(match name {
        ReportName::Totals => Report::Totals,
        ReportName::Operations => Report::Operations { by, bucket: bucket.map(BucketName::bucket) },
        ReportName::Latency => Report::Latency { by: by.unwrap_or(Field::Domain) },
        ReportName::Domains => Report::Domains { by: one_of(by, Field::Domain, &[Field::Domain, Field::Provider])? },
        ReportName::Risk => Report::Risk { by: one_of(by, Field::User, &risky)? },
        ReportName::Jobs => operations(Field::Job),
        ReportName::Users => operations(Field::User),
        ReportName::Senders => operations(Field::Sender),
        ReportName::Replies => Report::Replies,
    })
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

fn print_report(config: &Config, question: &Question, output: &Output) -> anyhow::Result<u8> {
    let engine = engine(config)?;
    let answer = engine.block_on(report::answer(&engine, question)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
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
            let written = print::line(&mut out, &print::totals_object(&answer.table));
            finish(written.map_err(Into::into), &mut out)
        }
        Format::Csv => emit(output, &answer.table),
        Format::Table | Format::Md => emit(output, &print::upright(&answer.table)),
    }
}

fn emit(output: &Output, table: &crate::query::table::Table) -> anyhow::Result<u8> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let written = print::print(&mut out, table, output.format(), output.raw);
    finish(written.map_err(Into::into), &mut out)
}

/// A reader that has seen enough (`| head`) is no failure.
fn finish(written: anyhow::Result<()>, out: &mut dyn Write) -> anyhow::Result<u8> {
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

/// Whether a file counts as taken in.
pub const fn is_in(status: Status) -> bool {
    matches!(status, Status::Done | Status::Duplicate)
}

fn ingest(config: &Config, paths: &[PathBuf], output: &Output) -> anyhow::Result<u8> {
    let catalog = Catalog::open(&config.catalog)?;
    let ingest = Ingest::new(catalog, config)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut rows: Vec<FileRow> = Vec::new();
    let mut quiet = |_: Progress| {};
    for path in paths {
        if path.as_os_str() == "-" {
            rows.extend(ingest.stream(std::io::stdin(), "stdin", &stop, &mut quiet));
        } else {
            let files = intake::files_of(path);
            if files.is_empty() {
                eprintln!("pmtop: {}: no files in this folder", path.display());
            }
            for file in files {
                for row in ingest.file(&file, true, &stop, &mut quiet) {
                    if output.format.is_none() {
                        println!("{}", ingest_line(&row));
                    }
                    rows.push(row);
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }
    let failed = rows.iter().filter(|row| !is_in(row.status)).count();
    match output.format {
        Some(_) => {
            emit(output, &report::files(&rows))?;
        }
        None => println!("{}", ingest_total(&rows)),
    }
    Ok(u8::from(failed > 0 || stop.load(Ordering::Relaxed)))
}

fn ingest_line(row: &FileRow) -> String {
    let mut line = format!("{:<11} {}", row.status.as_str(), row.name);
    if row.status == Status::Done {
        line += &format!("  {} rows", row.rows);
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
