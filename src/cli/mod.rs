//! The command line: what can be asked for, in which words.

mod doctor;
mod evidence;
mod explain;
mod export;
mod hooks;
pub mod incidents;
mod ingest;
mod reply;
mod run;
pub mod view;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::dashboard::{DASHBOARDS, Dashboard, Panel};
use crate::event::provider::Providers;
use crate::ingest::derive;
use crate::insight::explain::Metric;
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::{Bucket, Compare};
use crate::query::scope::Scope;
use crate::query::time::{self, TimeRange, Width};
use crate::report::print::Format;
use crate::runtime::store::{self, Store};

pub use doctor::doctor;
pub use export::FileFormat;
pub use ingest::{is_in, stop_on_signals};
pub use run::run;

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
    /// How the screen opens.
    #[command(flatten)]
    pub view: view::ViewFlags,
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
        /// What to do; without it the table is printed.
        #[command(subcommand)]
        action: Option<FilesAction>,
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
        /// Beside every number what it was, and its change: `before` (the period before), `week` (a week before),
        /// or a range FROM..UNTIL.
        #[arg(long, value_parser = parse_compare, value_name = "WITH")]
        compare: Option<Compare>,
        /// Time range and filters.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// What is behind a change: where it is, since when, what the other side says, and what it is not. A window
    /// (the last 24 hours, if none is given) against the same hours of earlier weeks or days.
    Explain {
        /// What changed; if not named, whatever changed most.
        #[arg(long, value_enum)]
        metric: Option<Metric>,
        /// For latency: what is slow, as 90s or 5m; otherwise what one delivery in twenty took before.
        #[arg(long, value_parser = parse_duration, value_name = "TIME")]
        slower_than: Option<i64>,
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
    /// The life of one message: received, attempts, delivered or bounced, remote bounce, complaint.
    Journey {
        /// A message id, an envelope id or a recipient.
        #[arg(value_name = "ID|RECIPIENT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        who: String,
        /// Most messages, the newest first; 10 on a terminal, all if piped.
        #[arg(long)]
        limit: Option<usize>,
        /// Time range and filters; one event of a message must pass them.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Write a view to a file, whole or not at all.
    Export {
        /// Which view: a report, `events`, `files`, or a panel of a tab as the screen asks it.
        view: View,
        /// Group by a field, as `report` does.
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
        /// Beside every number what it was, and its change, as `report` does.
        #[arg(long, value_parser = parse_compare, value_name = "WITH")]
        compare: Option<Compare>,
        /// Time range and filters.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How the file is written.
        #[arg(long, default_value = "csv")]
        format: FileFormat,
        /// CSV cells as they are, even those that a spreadsheet would run as formulas.
        #[arg(long)]
        raw: bool,
        /// Where to; `-` is standard output. By default a name after view, scope and time, here.
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
    },
    /// Read-only SQL over `events`, `copies`, `files` and `incidents`.
    Sql {
        /// One statement.
        statement: String,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// What rules found: throttling, blocks, bounces, complaints, outages, … with their causes.
    Incidents {
        /// What to do; without it incidents are listed.
        #[command(subcommand)]
        action: Option<incidents::IncidentsAction>,
        /// Which of them.
        #[command(flatten)]
        which: incidents::Which,
        /// Time range and filters: those that touch them.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How they are printed.
        #[command(flatten)]
        output: Output,
    },
    /// Incidents in one line each: what goes on first.
    Insights {
        /// Time range and filters.
        #[command(flatten)]
        scope: ScopeFlags,
        /// How they are printed.
        #[command(flatten)]
        output: Output,
    },
    /// What SMTP replies mean: provider, class, whom it is held against, meaning, advice, template; one JSON object a line.
    Reply {
        /// Who answered: a provider, or its domain; told from the reply where it is not said.
        #[arg(long)]
        provider: Option<String>,
        /// The reply, or several in quotes; without any, or with `-`, one a line from standard input.
        #[arg(value_name = "TEXT")]
        texts: Vec<String>,
    },
    /// Prove that the catalog is whole; exit code 1 with a line for everything that is not.
    Fsck {
        /// Put right what can be; needs the catalog alone.
        #[arg(long)]
        repair: bool,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Look whether all is well: settings, catalog, disk, inbox, terminal; exit code 1 if something is not.
    Doctor {
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// What hooks were told of incidents, and what waits; docs/hooks.md.
    Hooks {
        /// What to do; without it the list is printed.
        #[command(subcommand)]
        action: Option<HooksAction>,
        /// How it is printed.
        #[command(flatten)]
        output: Output,
    },
    /// Numbers for Prometheus, in its text format.
    Prom {
        /// Where to, whole or not at all and readable by everyone; standard output, if not named.
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
    },
    /// A ticket for the provider's postmaster from an incident: Markdown, and its rows as CSV; recipients are hidden.
    Evidence {
        /// The incident's id.
        id: String,
        /// The folder for both files; this one, if not named.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
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

/// What to do with files of the catalog.
#[derive(Debug, Subcommand)]
pub enum FilesAction {
    /// Take the rows of files out of the catalog; events that stood behind them come back.
    Remove {
        /// Name, path, id, or the beginning of the SHA-256.
        #[arg(required = true)]
        files: Vec<String>,
    },
}

/// What to do with hooks.
#[derive(Debug, Clone, Subcommand)]
pub enum HooksAction {
    /// Tell a hook of a sample now, and print what came back; exit code 1 if it was not taken.
    Test {
        /// Its name in the settings.
        name: String,
    },
    /// Try again what waits or was given up; exit code 1 if something was not taken.
    Retry {
        /// One hook by its name; all, if not named.
        name: Option<String>,
    },
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
    /// The leading values of a field by time.
    Heatmap,
    /// Rows by hour and type of file, with the hours that have none.
    Coverage,
    /// Messages by spans of latency.
    Distribution,
    /// Mean and slowest of the fastest half, 55 %, … of all messages.
    Percentiles,
    /// What changed most.
    Changes,
    /// The busiest minute, five minutes and hour.
    Rates,
    /// Bounces by category and reason.
    Categories,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A report.
    Report(ReportName),
    /// Rows of the Explorer.
    Events,
    /// The file table.
    Files,
    /// A panel, by its tab and its place there.
    Panel(usize, usize),
}

/// A panel by its tab and its place there.
fn panel(tab: usize, at: usize) -> Option<(&'static Dashboard, &'static Panel)> {
    let dashboard = DASHBOARDS.get(tab)?;
    Some((dashboard, dashboard.panels().nth(at)?))
}

/// Every panel that no report is named like, by tab and place.
fn panels() -> impl Iterator<Item = View> {
    let reports: Vec<String> = ReportName::value_variants()
        .iter()
        .filter_map(|name| Some(name.to_possible_value()?.get_name().to_owned()))
        .chain(["events".to_owned(), "files".to_owned()])
        .collect();
    DASHBOARDS.iter().enumerate().flat_map(move |(tab, dashboard)| {
        let own: Vec<View> = dashboard
            .panels()
            .enumerate()
            .filter(|(_, panel)| reports.iter().all(|name| name != panel.name))
            .map(|(at, _)| View::Panel(tab, at))
            .collect();
        own
    })
}

impl ValueEnum for View {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<View>> = std::sync::LazyLock::new(|| {
            let reports = ReportName::value_variants().iter().map(|name| View::Report(*name));
            reports.chain([View::Events, View::Files]).chain(panels()).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            Self::Report(name) => name.to_possible_value(),
            Self::Events => Some(clap::builder::PossibleValue::new("events").help("Rows of the Explorer")),
            Self::Files => Some(clap::builder::PossibleValue::new("files").help("The file table")),
            Self::Panel(tab, at) => {
                let (dashboard, panel) = panel(*tab, *at)?;
                let title = if panel.title.is_empty() { "the numbers above" } else { panel.title };
                let help = format!("Tab {}: {title}", dashboard.title);
                Some(clap::builder::PossibleValue::new(panel.name).help(help))
            }
        }
    }
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

fn parse_compare(text: &str) -> Result<Compare, String> {
    match text.trim() {
        "off" => Ok(Compare::Off),
        "before" => Ok(Compare::Before),
        "week" => Ok(Compare::Week),
        range => match time::parse_range(range) {
            Ok(TimeRange::Between(Some(from), Some(until))) => Ok(Compare::Range(from, until)),
            Ok(_) => Err("write before, week, or a range with both ends: 2026-11-16..2026-11-17".to_owned()),
            Err(error) => Err(format!("write before, week, or a range FROM..UNTIL ({error})")),
        },
    }
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

/// Flags that open the screen in a view, before a command that has none.
pub fn misplaced_view() -> anyhow::Error {
    usage(
        "--tab, --since, --until, --last, --where, --compare and --profile before a command are for the screen; write them behind the command",
    )
}

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
    config.catalog = without_dots(&config.catalog);
    Ok(config)
}

/// A path without `..`, which the reader of Parquet files refuses: its folders, or the folder it will be in, looked up.
fn without_dots(path: &Path) -> PathBuf {
    let dots = path.components().any(|part| part == std::path::Component::ParentDir);
    let parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let found = if dots { path.canonicalize().ok().or_else(parent) } else { None };
    found.unwrap_or_else(|| path.to_path_buf())
}

/// Opens the catalog and an engine on it.
pub fn engine(config: &Config) -> anyhow::Result<Arc<Engine>> {
    let catalog = Catalog::open(&config.catalog)?;
    let providers =
        Providers::with_overrides(derive::own_providers(config)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let engine = Engine::new(catalog, config, providers).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    if let Some(replies) = Store::new(store::default_folder()).visit(&config.catalog) {
        engine.visit().remember(replies);
    }
    Ok(engine)
}
