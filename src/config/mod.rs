//! Settings: flags > environment `PMTOP_*` > `config.toml` > defaults. `config.example.toml` documents
//! every key and a test keeps it equal to the defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::bounce::BounceOverrides;
use crate::event::provider::{OTHER, Providers};
use crate::reply::{Catalogue, Entry};

pub mod hooks;
pub mod keys;
pub mod theme;

/// Why the settings could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: cannot read the configuration: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not valid; the message names line and column.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// A value that cannot work.
    #[error("setting `{key}`: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what to write instead.
        why: String,
    },
}

/// What becomes of a source file once it is in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Afterwards {
    /// It stays where it is.
    Keep,
    /// It moves into `inbox.processed`.
    Move,
    /// It is deleted.
    Delete,
}

/// What becomes of a file whose content is in the catalog already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// Status `duplicate`, exit code 0.
    Skip,
    /// Status `rejected`, exit code 1.
    Reject,
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the catalog is kept.
    pub catalog: PathBuf,
    /// Name of this host in the `host` column, where the rows carry no `userString`.
    pub host: String,
    /// Who looks: what the screen shows and hides.
    pub profile: Profile,
    /// What is hidden.
    pub privacy: Privacy,
    /// Folders that are watched, and how.
    pub inbox: Inbox,
    /// How files are read.
    pub ingest: Ingest,
    /// What is kept, and for how long.
    pub retention: Retention,
    /// How questions are answered.
    pub query: Query,
    /// How events of one message find each other.
    pub journey: Journey,
    /// The screen.
    pub ui: Ui,
    /// Numbers for Prometheus.
    pub prometheus: Prometheus,
    /// Who is told of incidents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<hooks::Hook>,
    /// Further providers, before the built-in ones: name → MX suffixes and domains.
    pub providers: BTreeMap<String, Provider>,
    /// Reply classes, statuses or bounce categories → hard, soft, block; before the built-in table.
    pub bounce_classes: BounceOverrides,
    /// Thresholds of rules, by the rule's name; what is not named keeps the rule's own.
    pub rules: BTreeMap<String, Rule>,
    /// What replies mean, before the built-in catalogue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Entry>,
    /// Action name → keys.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// What is changed of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// From here on it is worth a look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// From here on someone is needed today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// From here on someone is needed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// And it must be so many times the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_base: Option<f64>,
    /// Fewer rows that speak against somebody are nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_hits: Option<i64>,
    /// Nor is anything of fewer rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_of: Option<i64>,
    /// Thresholds for some mail only; the last that fits holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<RuleFor>,
}

impl Rule {
    /// The thresholds that are changed for all mail.
    pub const fn thresholds(&self) -> RuleOverride {
        RuleOverride {
            warn: self.warn,
            high: self.high,
            critical: self.critical,
            times_base: self.times_base,
            min_hits: self.min_hits,
            min_of: self.min_of,
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            enabled: true,
            warn: None,
            high: None,
            critical: None,
            times_base: None,
            min_hits: None,
            min_of: None,
            only: Vec::new(),
        }
    }
}

/// Thresholds for some mail only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleFor {
    /// The thresholds.
    #[serde(flatten)]
    pub thresholds: RuleOverride,
    /// Of whom: field → value; `*` is a wildcard.
    #[serde(flatten)]
    pub of: BTreeMap<String, String>,
}

/// Thresholds that are changed; what is left out stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleOverride {
    /// From here on it is worth a look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// From here on someone is needed today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// From here on someone is needed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// And it must be so many times the usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_base: Option<f64>,
    /// Fewer rows that speak against somebody are nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_hits: Option<i64>,
    /// Nor is anything of fewer rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_of: Option<i64>,
}

/// Who looks (SPEC §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Everything.
    #[default]
    Engineer,
    /// Everything; opens on the search for a recipient.
    Support,
    /// Everything with recipients hidden.
    Viewer,
    /// Health and incidents alone, no rows and no recipients.
    Management,
}

impl Profile {
    /// Its name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engineer => "engineer",
            Self::Support => "support",
            Self::Viewer => "viewer",
            Self::Management => "management",
        }
    }

    /// Whether recipients are always hidden from it.
    pub const fn hides_recipients(self) -> bool {
        matches!(self, Self::Viewer | Self::Management)
    }
}

/// What is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Recipients are hidden on screen, in exports and in everything that is printed.
    pub mask: bool,
}

/// Folders that are watched, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbox {
    /// The folders.
    pub folders: Vec<PathBuf>,
    /// Accounting files that PowerMTA is writing: followed line by line, across rotation.
    pub live: Vec<PathBuf>,
    /// Seconds that a file's size and time must be at rest before it is taken in.
    pub settle_seconds: u64,
    /// Seconds between full scans, for network filesystems and missed events.
    pub rescan_seconds: u64,
    /// What becomes of a file once it is in the catalog.
    pub afterwards: Afterwards,
    /// Where files go with `afterwards = "move"`.
    pub processed: PathBuf,
}

/// How files are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// What becomes of a file whose content is known.
    pub duplicates: Duplicates,
    /// Column that holds the message id; compared without case.
    pub message_id: String,
    /// Column that fills `custom_header`; compared without case.
    pub custom_header: String,
    /// Regular expression with a group `user`, applied to the job id.
    pub user_from_job: String,
    /// Column that holds the user, tried last; empty: none.
    pub user_header: String,
    /// CSV file with the columns `job,user`; `*` is a wildcard in `job`. Empty: none.
    pub user_mapping: PathBuf,
    /// Longest record in bytes; a longer one is put aside.
    pub max_record_bytes: usize,
    /// Largest decompressed size of one archive member in bytes.
    pub max_member_bytes: u64,
}

/// What is kept, and for how long. Days are counted from the newest event, so that old logs can be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days for which events are kept; 0: for ever.
    pub events_days: u32,
    /// Days for which rollups are kept; 0: for ever.
    pub rollups_days: u32,
    /// Gigabytes (10⁹ bytes) that events may take on disk; the oldest days go first. 0: no limit.
    pub max_gb: f64,
    /// Hours for which a file that has left the catalog stays on disk, for other programs that are in the
    /// middle of a query on the published tables. Meanwhile reading all Parquet files of a folder, instead
    /// of the table, counts replaced rows twice.
    pub grace_hours: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events_days: 90, rollups_days: 400, max_gb: 0.0, grace_hours: 0 }
    }
}

/// How questions are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Megabytes that queries may hold in memory.
    pub memory_mb: usize,
    /// Most rows that `pmtop sql` and the SQL prompt return.
    pub max_rows: usize,
    /// Seconds after which a statement is given up.
    pub timeout_seconds: u64,
    /// Rates over fewer than this are shown dimmed.
    pub min_n: i64,
}

/// How events of one message find each other (SPEC §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journey {
    /// Hours within which sender and recipient tell that two rows belong together.
    pub window_hours: u32,
    /// Days after a delivery in which its complaints and remote bounces are looked for by every other key.
    pub reach_days: u32,
}

impl Default for Journey {
    fn default() -> Self {
        Self { window_hours: 72, reach_days: 14 }
    }
}

/// The screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ui {
    /// `dark`, `light` or `mono`.
    pub theme: theme::Choice,
    /// The time range at the first start: `24h`, `7d`, `all`, …
    pub range: String,
    /// Seconds between refreshes while files come in.
    pub refresh_seconds: u64,
    /// Whether the screen opens as it was left: tab, scope, orders and columns.
    pub restore: bool,
}

/// Numbers for Prometheus, by the textfile collector of its node exporter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// The file that the owner of the catalog keeps current; empty: none.
    pub textfile: PathBuf,
    /// Least seconds between two writes.
    pub every_seconds: u64,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self { textfile: PathBuf::new(), every_seconds: 30 }
    }
}

/// A mailbox provider of the user's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Suffixes of its mail hosts.
    pub mx: Vec<String>,
    /// Its recipient domains.
    pub domains: Vec<String>,
    /// Names of its queue roll-ups, without their ending.
    pub rollups: Vec<String>,
    /// Whether it sends complaint reports; none keeps what the built-in table says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fbl: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            catalog: data_home().join("catalog"),
            host: String::new(),
            profile: Profile::default(),
            privacy: Privacy::default(),
            inbox: Inbox::default(),
            ingest: Ingest::default(),
            retention: Retention::default(),
            query: Query::default(),
            journey: Journey::default(),
            ui: Ui::default(),
            prometheus: Prometheus::default(),
            hooks: Vec::new(),
            providers: BTreeMap::new(),
            bounce_classes: BounceOverrides::default(),
            rules: BTreeMap::new(),
            replies: Vec::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            live: Vec::new(),
            settle_seconds: 2,
            rescan_seconds: 30,
            afterwards: Afterwards::Keep,
            processed: PathBuf::from("processed"),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            duplicates: Duplicates::Skip,
            message_id: "header_Message-Id".to_owned(),
            custom_header: "header_X-Job".to_owned(),
            user_from_job: "^(?P<user>[^-_.]+)".to_owned(),
            user_header: String::new(),
            user_mapping: PathBuf::new(),
            max_record_bytes: 1 << 20,
            max_member_bytes: 8 << 30,
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { memory_mb: 256, max_rows: 100_000, timeout_seconds: 60, min_n: 100 }
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self { theme: theme::Choice::Dark, range: "24h".to_owned(), refresh_seconds: 1, restore: true }
    }
}

fn data_home() -> PathBuf {
    dirs::data_dir().unwrap_or_else(|| PathBuf::from(".")).join("pmtop")
}

/// Where `config.toml` is looked for when none is named.
pub fn default_path() -> PathBuf {
    dirs::config_dir().unwrap_or_else(|| PathBuf::from(".")).join("pmtop").join("config.toml")
}

impl Config {
    /// The settings of a file; without a name the default place is tried and may be absent.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let (path, required) = match path {
            Some(path) => (path.to_owned(), true),
            None => (default_path(), false),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// The settings of a text; the path is for messages only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let config: Self =
            toml::from_str(text).map_err(|error| Error::Parse { path: path.to_owned(), message: error.to_string() })?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that cannot work, naming the key and what to write.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |key, why: String| Err(Error::Value { key, why });
        match regex::Regex::new(&self.ingest.user_from_job) {
            Err(error) => return refuse("ingest.user_from_job", error.to_string()),
            Ok(regex) if regex.capture_names().flatten().all(|name| name != "user") => {
                return refuse("ingest.user_from_job", "needs a group named `user`: (?P<user>…)".to_owned());
            }
            Ok(_) => {}
        }
        if self.query.memory_mb < 32 {
            return refuse("query.memory_mb", format!("{} is too little; at least 32", self.query.memory_mb));
        }
        let textfile = &self.prometheus.textfile;
        if !textfile.as_os_str().is_empty() && textfile.extension().is_none_or(|ending| ending != "prom") {
            return refuse("prometheus.textfile", "the collector reads files that end in .prom only".to_owned());
        }
        hooks::check(&self.hooks).or_else(|why| refuse("hooks", why))?;
        self.check_replies()
    }

    /// Refuses rules for replies that would never count, or always.
    fn check_replies(&self) -> Result<(), Error> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let refuse = |why: String| Error::Value { key: "replies", why };
        let providers = Providers::builtin();
        for (number, entry) in (1..).zip(&self.replies) {
            let nth = |why: &dyn std::fmt::Display| refuse(format!("entry {number}: {why}"));
            entry.check().map_err(|error| nth(&error))?;
            let Some(name) = &entry.provider else { continue };
            let is_own = self.providers.keys().any(|own| own.eq_ignore_ascii_case(name));
            if !is_own && providers.get(name).is_none() && !name.eq_ignore_ascii_case(OTHER) {
                let all: Vec<&str> = providers.all().iter().map(|known| known.name.as_str()).collect();
                return Err(nth(&format!(
                    "no provider is called {name:?}; write {}, {OTHER}, or describe it under [providers.{name:?}]",
                    all.join(", ")
                )));
            }
        }
        // Each may be fine, and all together too much.
        Catalogue::with_entries(self.replies.clone()).map(drop).map_err(|error| refuse(error.to_string()))
    }

    /// Whether recipients are hidden at the start.
    pub fn masks(&self) -> bool {
        self.privacy.mask || self.profile.hides_recipients()
    }

    /// Every setting as TOML.
    pub fn print(&self) -> Result<String, Error> {
        toml::to_string_pretty(self).map_err(|error| Error::Value { key: "config", why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = Config::parse("host = \"a\"\ncatalogue = \"x\"\n", Path::new("c.toml")).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("c.toml") && message.contains("line 2") && message.contains("catalogue"), "{message}");
    }

    #[test]
    fn a_user_pattern_without_its_group_is_refused() {
        let error = Config::parse("[ingest]\nuser_from_job = \"^.\"\n", Path::new("c")).unwrap_err();
        assert!(error.to_string().contains("(?P<user>"), "{error}");
    }

    #[test]
    fn a_rule_for_replies_is_refused_by_its_number_and_reason() {
        let refused = |rule: &str| {
            let good = "[[replies]]\nprovider = 'google'\nmatch = 'frobnicated'\nclass = 'policy'\n";
            assert!(Config::parse(good, Path::new("c")).is_ok());
            Config::parse(&format!("{good}[[replies]]\n{rule}"), Path::new("c")).unwrap_err().to_string()
        };
        for (rule, words) in [
            ("match = '(x'\nclass = 'policy'", vec!["`replies`: entry 2", "(x"]),
            ("match = ''\nclass = 'policy'", vec!["entry 2", "every reply"]),
            ("match = 'a|'\nclass = 'policy'", vec!["entry 2", "every reply"]),
            ("match = 'a'\nclass = 'polity'", vec!["polity", "line", "greylist"]),
            ("match = 'a'\nclass = 'policy'\nscope = 'us'", vec!["us", "configuration"]),
            ("match = 'a'\nclass = 'policy'\nadvise = 'x'", vec!["advise", "advice"]),
            ("match = 'a'\nclass = 'policy'\nprovider = 'Gmail'", vec!["entry 2", "Gmail", "Google"]),
            ("class = 'policy'", vec!["match"]),
        ] {
            let message = refused(rule);
            assert!(words.iter().all(|word| message.contains(word)), "{rule}: {message}");
        }
        let own =
            "[providers.Ours]\nmx = ['.mx.example']\n[[replies]]\nprovider = 'ours'\nmatch = 'a'\nclass = 'tls'\n";
        let config = Config::parse(own, Path::new("c")).unwrap();
        assert_eq!(Config::parse(&config.print().unwrap(), Path::new("c")).unwrap(), config);
    }

    #[test]
    fn what_is_printed_parses_to_the_same_settings() {
        let config = Config::default();
        assert_eq!(Config::parse(&config.print().unwrap(), Path::new("c")).unwrap(), config);
    }
}
