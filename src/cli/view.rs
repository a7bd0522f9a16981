//! How the screen opens: what `pmtop` alone takes.

use clap::Args;

use super::{parse_time, usage};
use crate::app::board::parse_compare;
use crate::config::{Config, Profile};
use crate::dashboard::DASHBOARDS;
use crate::query::filter::Filter;
use crate::query::question::Compare;
use crate::query::scope::Scope;
use crate::query::time::{TimeRange, between, parse_range};

/// How the screen opens.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How the screen opens")]
pub struct ViewFlags {
    /// On this tab: health, latency, domains, risk, explorer, incidents, files.
    #[arg(long, value_parser = parse_tab)]
    tab: Option<String>,
    /// From (inclusive).
    #[arg(long, value_parser = parse_time)]
    since: Option<i64>,
    /// Until (exclusive).
    #[arg(long, value_parser = parse_time)]
    until: Option<i64>,
    /// The time up to the newest event: 15m, 24h, 7d, all.
    #[arg(long, conflicts_with_all = ["since", "until"])]
    last: Option<String>,
    /// With a filter as the filter bar takes it: provider=Yahoo, vmta!=vmta07; may be given several times.
    #[arg(long = "where", value_name = "FILTER", value_parser = parse_filter)]
    filters: Vec<Filter>,
    /// Compared with: off, before, week, or FROM..UNTIL.
    #[arg(long, value_parser = parse_comparison)]
    compare: Option<Compare>,
    /// Who looks: engineer, support, viewer (recipients hidden), management (health and incidents).
    #[arg(long, value_parser = parse_profile)]
    profile: Option<Profile>,
}

/// How the screen opens, worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The tab's name.
    pub tab: Option<String>,
    /// What is asked at first.
    pub scope: Scope,
    /// Whether anything of the scope was asked for.
    pub anew: bool,
    /// What numbers are compared with.
    pub compare: Option<Compare>,
}

impl ViewFlags {
    /// Whether none was given.
    pub const fn is_empty(&self) -> bool {
        self.tab.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.last.is_none()
            && self.filters.is_empty()
            && self.compare.is_none()
            && self.profile.is_none()
    }

    /// The settings with the profile asked for. A profile that hides recipients is not left by a flag.
    pub fn settings(&self, config: &Config) -> anyhow::Result<Config> {
        let mut config = config.clone();
        if let Some(profile) = self.profile {
            if config.profile.hides_recipients() && profile != config.profile {
                return Err(usage(format!("the settings fix the profile `{}`", config.profile.name())));
            }
            config.profile = profile;
        }
        Ok(config)
    }

    /// The view, with the time range of the settings where none is asked for.
    pub fn view(&self, config: &Config) -> anyhow::Result<View> {
        let asked = match &self.last {
            Some(text) => Some(parse_range(text).map_err(usage)?),
            None if self.since.is_some() || self.until.is_some() => {
                Some(between(self.since, self.until).map_err(usage)?)
            }
            None => None,
        };
        let time: TimeRange = match asked {
            Some(range) => range,
            None => parse_range(&config.ui.range)?,
        };
        Ok(View {
            tab: self.tab.clone(),
            anew: asked.is_some() || !self.filters.is_empty() || self.tab.is_some(),
            scope: Scope::new(time, self.filters.iter().cloned()),
            compare: self.compare,
        })
    }
}

fn parse_tab(text: &str) -> Result<String, String> {
    let names = || DASHBOARDS.iter().map(|tab| tab.title.to_lowercase()).collect::<Vec<_>>().join(", ");
    let found = DASHBOARDS.iter().find(|tab| tab.title.eq_ignore_ascii_case(text) || text == tab.key.to_string());
    found.map(|tab| tab.title.to_lowercase()).ok_or_else(|| format!("there is no such tab; one of {}", names()))
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| error.to_string())
}

fn parse_comparison(text: &str) -> Result<Compare, String> {
    parse_compare(text, None)
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    [Profile::Engineer, Profile::Support, Profile::Viewer, Profile::Management]
        .into_iter()
        .find(|profile| profile.name() == text)
        .ok_or_else(|| "one of engineer, support, viewer, management".to_owned())
}
