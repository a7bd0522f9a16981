//! Writes seeded PowerMTA logs into a folder, and the truth about them beside it: what benchmarks and tests feed on.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::NaiveDate;
use clap::{Parser, ValueEnum};
use pmtop::demo::{self, Incident, Options};

/// Writes seeded PowerMTA logs into a folder, and the truth about them beside it.
#[derive(Parser)]
struct Arguments {
    /// The folder; made if it isn't there.
    #[arg(long)]
    dir: PathBuf,
    /// Days of mail.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Messages a day [default: 60000, or the seed's own size with --vary].
    #[arg(long)]
    messages: Option<u64>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first day [default: so that the logs' last day of mail is yesterday].
    #[arg(long)]
    start: Option<NaiveDate>,
    /// Days after the last one on which late events are still logged; with --vary or an incident other than the demo's,
    /// mail goes on in them.
    #[arg(long, default_value_t = 2)]
    tail_days: u32,
    #[arg(long, value_enum, default_value_t = Hidden::None)]
    incident: Hidden,
    /// An installation of the seed's own: its size, who sends on which weekdays, its usual troubles and small bumps.
    #[arg(long)]
    vary: bool,
    /// Where the truth goes [default: truth.json beside the folder].
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Where the truth about reports goes: a CSV that says of each complaint and remote bounce which message it is about.
    #[arg(long)]
    links: Option<PathBuf>,
    /// Rows after which a new file starts; 0: only at midnight.
    #[arg(long, default_value_t = 0)]
    max_file_rows: u64,
    /// Rows that the next acct or tran file repeats.
    #[arg(long, default_value_t = 0)]
    overlap: u64,
    /// No r rows.
    #[arg(long)]
    no_received: bool,
    /// Unix seconds instead of ISO times.
    #[arg(long)]
    epoch: bool,
    /// CRLF line ends.
    #[arg(long)]
    crlf: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Hidden {
    None,
    Demo,
    GoogleThrottle,
    #[value(name = "yahoo-tss04")]
    YahooTss04,
    Spamhaus,
    DirtyList,
    Complaints,
    Dmarc,
    LatencyCreep,
    Outage,
    VolumeDrop,
}

impl Hidden {
    fn incident(self) -> Incident {
        match self {
            Self::None => Incident::None,
            Self::Demo => Incident::Demo,
            Self::GoogleThrottle => Incident::GoogleThrottle,
            Self::YahooTss04 => Incident::YahooTss04,
            Self::Spamhaus => Incident::Spamhaus,
            Self::DirtyList => Incident::DirtyList,
            Self::Complaints => Incident::Complaints,
            Self::Dmarc => Incident::Dmarc,
            Self::LatencyCreep => Incident::LatencyCreep,
            Self::Outage => Incident::Outage,
            Self::VolumeDrop => Incident::VolumeDrop,
        }
    }
}

impl Arguments {
    fn options(&self) -> Options {
        let defaults = Options { seed: self.seed, ..Options::default() };
        let defaults = if self.vary { defaults.varied() } else { Options { messages_per_day: 60_000, ..defaults } };
        let first = chrono::Utc::now().date_naive().checked_sub_days(chrono::Days::new(u64::from(self.days)));
        Options {
            seed: self.seed,
            start: self.start.or(first).unwrap_or(defaults.start),
            days: self.days,
            tail_days: self.tail_days,
            messages_per_day: self.messages.unwrap_or(defaults.messages_per_day),
            incident: self.incident.incident(),
            received: defaults.received && !self.no_received,
            max_file_rows: self.max_file_rows,
            overlap_rows: self.overlap,
            epoch: self.epoch,
            crlf: self.crlf,
            ..defaults
        }
    }
}

fn write_links(path: &std::path::Path, links: &[demo::LinkTruth]) -> csv::Result<()> {
    let mut out = csv::Writer::from_path(path)?;
    links.iter().try_for_each(|link| out.serialize(link))?;
    Ok(out.flush()?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let truth = arguments.truth.clone().unwrap_or_else(|| demo::truth_path(&arguments.dir));
    let began = std::time::Instant::now();
    let mut links = Vec::new();
    let written = demo::generate_with_links(
        &arguments.dir,
        &arguments.options(),
        Some(&truth),
        &mut |file| println!("{}", file.display()),
        &mut |link| {
            if arguments.links.is_some() {
                links.push(link);
            }
        },
    );
    match written {
        Ok(result) => {
            if let Some(path) = &arguments.links
                && let Err(error) = write_links(path, &links)
            {
                eprintln!("cannot write {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
            let rows: u64 = result.rows_written.values().sum();
            let seconds = began.elapsed().as_secs_f64();
            let rate = rows as f64 / seconds.max(0.001);
            eprintln!("{rows} rows in {seconds:.1} s ({rate:.0} rows/s), truth in {}", truth.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
