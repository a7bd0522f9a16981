//! Arguments → settings → what was asked for → exit code (0 fine, 1 failure, 2 usage); nothing else.

use std::process::ExitCode;

use clap::Parser as _;
use pmtop::cli::{self, Cli, Command};
use pmtop::config::Profile;
use pmtop::{demo_day, screen};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("pmtop: {}", pmtop::text::display(&format!("{error:#}")));
            ExitCode::from(if error.is::<cli::Usage>() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    if let (Some(Command::Doctor { output }), true) = (&cli.command, cli.view.is_empty()) {
        // Settings that cannot be used are something it tells.
        return cli::doctor(&cli.places, output);
    }
    let config = cli::settings(&cli.places)?;
    if cli.command.is_some() && !cli.view.is_empty() {
        return Err(cli::misplaced_view());
    }
    match cli.command {
        None => {
            let config = cli.view.settings(&config)?;
            let view = cli.view.view(&config)?;
            screen::open(&config, &view)
        }
        Some(
            Command::Events { .. }
            | Command::Sql { .. }
            | Command::Evidence { .. }
            | Command::Export { view: cli::View::Events, .. },
        ) if config.profile == Profile::Management => {
            anyhow::bail!("the profile `management` shows no rows; `profile` in the settings changes it")
        }
        Some(Command::Demo { dir }) => demo_day::run(&config, dir.as_deref()),
        Some(Command::Watch) => screen::watch(&config),
        Some(command) => cli::run(&config, command),
    }
}
