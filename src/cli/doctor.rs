//! `pmtop doctor`: whether everything is as it should be, and what to do where it is not. It only looks:
//! nothing is created, and what is told are places, counts and states, nothing of the mail.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Output, Places, run, settings};
use crate::catalog::clock;
use crate::catalog::look::{self, Look};
use crate::config::theme::{Ability, Depth};
use crate::config::{Config, default_path};
use crate::event::provider::Providers;
use crate::inbox;
use crate::ingest::derive;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::{self, DAY, HOUR};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One line of the table.
#[derive(Debug)]
struct Check {
    name: String,
    state: State,
    found: String,
    to_do: String,
}

/// What was looked at so far.
#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, State::Ok, found, "");
    }

    fn warn(&mut self, name: &str, found: impl Into<String>, to_do: impl Into<String>) {
        self.add(name, State::Warn, found, to_do);
    }

    fn fail(&mut self, name: &str, found: impl Into<String>, to_do: impl Into<String>) {
        self.add(name, State::Fail, found, to_do);
    }

    fn add(&mut self, name: &str, state: State, found: impl Into<String>, to_do: impl Into<String>) {
        self.0.push(Check { name: name.to_owned(), state, found: found.into(), to_do: to_do.into() });
    }

    fn table(&self) -> Table {
        let mut table = Table::with_heads(["check", "state", "found", "to_do"].map(|name| (name, Unit::Text)));
        for check in &self.0 {
            let state = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "fail",
            };
            let cells = [check.name.as_str(), state, &check.found, &check.to_do];
            table.rows.push(cells.map(Value::text).into());
        }
        table
    }
}

/// Looks at everything and prints it; 1 if something fails.
pub fn doctor(places: &Places, output: &Output) -> anyhow::Result<u8> {
    let mut checks = Checks::default();
    checks.ok("version", format!("pmtop {}", env!("CARGO_PKG_VERSION")));
    let config = check_settings(places, &mut checks);
    check_catalog(&config, &mut checks);
    check_inbox(&config, &mut checks);
    check_live(&config, &mut checks);
    check_terminal(&mut checks);
    run::emit(output, &checks.table())?;
    Ok(u8::from(checks.0.iter().any(|check| check.state == State::Fail)))
}

/// The settings in force; where they cannot be used, those that flags and defaults give.
fn check_settings(places: &Places, checks: &mut Checks) -> Config {
    let path = places.config.clone().unwrap_or_else(default_path);
    let there = path.exists();
    let found = settings(places).and_then(|config| {
        derive::Rules::new(&config)?;
        Providers::with_overrides(derive::own_providers(&config)).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(config)
    });
    match found {
        Ok(config) => {
            let what = if there { path.display().to_string() } else { format!("defaults; no {}", path.display()) };
            checks.ok("settings", what);
            config
        }
        Err(error) => {
            checks.fail(
                "settings",
                format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "),
                "correct the file; `pmtop config check` names the line. All below is looked at without it",
            );
            let bare = Places { inbox: places.inbox.clone(), catalog: places.catalog.clone(), config: None };
            let mut config = Config::default();
            config.inbox.folders = bare.inbox;
            if let Some(catalog) = bare.catalog {
                config.catalog = catalog;
            }
            config
        }
    }
}

fn check_catalog(config: &Config, checks: &mut Checks) {
    let root = &config.catalog;
    let shown = root.display().to_string();
    let near = look::nearest(root);
    match look::network(&near) {
        Ok(None) => checks.ok("local disk", near.display().to_string()),
        Ok(Some(kind)) => {
            checks.fail("local disk", format!("{} is on {kind}", near.display()), "name a local folder with `catalog`");
        }
        Err(error) => checks.fail("local disk", format!("{}: {error}", near.display()), "look at the disk"),
    }
    if !root.join("control.db").exists() {
        let lost = ["events", "copies"].iter().any(|folder| root.join(folder).join("_delta_log").is_dir());
        if lost {
            checks.fail("catalog", format!("{shown} has lost its control.db"), "pmtop fsck --repair");
        } else if root.exists() && !root.is_dir() {
            checks.fail("catalog", format!("{shown} is no folder"), "name a folder with `catalog`");
        } else {
            checks.warn(
                "catalog",
                format!("none yet at {shown}"),
                "`pmtop ingest FILE` or `pmtop --inbox DIR` makes it",
            );
        }
        check_disk(config, &near, None, checks);
        return;
    }
    match fs::metadata(root).map(|meta| meta.permissions().mode() & 0o777) {
        Ok(0o700) => checks.ok("catalog", format!("{shown}, mode 0700")),
        Ok(mode) => checks.warn(
            "catalog",
            format!("{shown}, mode {mode:04o}: others may look into it"),
            "chmod 700, unless other programs should read it",
        ),
        Err(error) => checks.fail("catalog", format!("{shown}: {error}"), "run as the user who owns it"),
    }
    match look::owner(root) {
        Ok(Some(owner)) => checks.ok("owner", owner),
        Ok(None) if config.inbox.folders.is_empty() && config.inbox.live.is_empty() => {
            checks.ok("owner", "nobody watches an inbox");
        }
        Ok(None) => checks.warn("owner", "nobody watches the inbox", "start `pmtop watch`, or the screen"),
        Err(error) => checks.fail("owner", error.to_string(), "run as the user who owns the catalog"),
    }
    match look::look(root) {
        Ok(Some(found)) => {
            check_contents(config, &found, checks);
            check_disk(config, &near, Some(&found), checks);
        }
        Ok(None) => {}
        Err(error) => {
            let to_do = "`pmtop fsck` says what is wrong; a catalog of a newer pmtop needs that pmtop";
            checks.fail("control database", error.to_string(), to_do);
            check_disk(config, &near, None, checks);
        }
    }
}

fn check_contents(config: &Config, look: &Look, checks: &mut Checks) {
    checks.ok("schema", format!("{} (this pmtop writes {})", look.schema, look.known_schema));
    checks.ok(
        "rows",
        format!(
            "{} events on {} days, {} copies, {} segments; generation {}",
            look.events, look.days, look.copies, look.segments, look.generation
        ),
    );
    let states: Vec<String> = look.files.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    let count = |state: &str| look.files.get(state).copied().unwrap_or_default();
    if count("rejected") + count("failed") > 0 {
        checks.warn("files", states, "`pmtop files` says why some are not in");
    } else {
        checks.ok("files", states);
    }
    match look.damaged.split_first() {
        None => checks.ok("segments", "all there, by length and ends; `pmtop fsck` reads every byte"),
        Some(((path, why), more)) => {
            let others = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
            checks.fail("segments", format!("{path}: {why}{others}"), "`pmtop fsck`, then `pmtop fsck --repair`");
        }
    }
    let root = &config.catalog;
    let parts: Vec<String> = ["events", "copies", "packs", "find", "links", "rollups", "keys", "rejects"]
        .iter()
        .map(|part| format!("{part} {}", size(look::bytes_below(&root.join(part)))))
        .collect();
    checks.ok("size", format!("{}: {}", size(look::bytes_below(root)), parts.join(", ")));
    let Some(newest) = look.newest else { return };
    let (age, at) = (clock() - newest, time::iso(newest));
    let expects = !config.inbox.folders.is_empty() || !config.inbox.live.is_empty();
    if age < -HOUR {
        let found = format!("the newest event is of {at}, {} ahead", span(-age));
        checks.warn("clock", found, "set the clock (`timedatectl`), here or where the logs are written");
    } else if age > DAY && expects {
        let found = format!("the newest event is of {at}, {} ago", span(age));
        checks.warn("clock", found, "see whether PowerMTA writes into the inbox that is watched, and the clock");
    } else {
        checks.ok("clock", format!("the newest event is of {at}, {} ago", span(age.max(0))));
    }
}

/// Free disk against what is still to come within the retention, judged by the days that are here.
fn check_disk(config: &Config, near: &Path, look: Option<&Look>, checks: &mut Checks) {
    const LEAST: u64 = 200_000_000;
    const COMFORT: u64 = 1_000_000_000;
    let free = match look::free_bytes(near) {
        Ok(free) => free,
        Err(error) => return checks.fail("disk", error.to_string(), "look at the disk"),
    };
    let kept = i64::from(config.retention.events_days);
    let mut needed = COMFORT;
    if let Some(look) = look.filter(|look| look.days > 0 && kept > look.days) {
        let coming = u64::try_from(look.bytes / look.days * (kept - look.days)).unwrap_or_default();
        needed = needed.max(coming);
    }
    let budget = config.retention.max_gb;
    if budget > 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes, never below 0")]
        let budget = (budget * 1e9) as u64;
        let used = look.map_or(0, |look| look.bytes.unsigned_abs());
        needed = needed.min(budget.saturating_sub(used).max(LEAST));
    }
    let found = format!("{} free, about {} needed", size(free), size(needed));
    let to_do = "free some, or set `retention.max_gb` or fewer `retention.events_days`";
    if free < LEAST {
        checks.fail("disk", found, to_do);
    } else if free < needed {
        checks.warn("disk", found, to_do);
    } else {
        checks.ok("disk", found);
    }
}

fn check_inbox(config: &Config, checks: &mut Checks) {
    if config.inbox.folders.is_empty() {
        checks.ok("inbox", "none named; files are taken in by hand, or from `live`");
        return;
    }
    for folder in &config.inbox.folders {
        let shown = folder.display();
        match fs::read_dir(folder) {
            Err(error) => {
                let to_do = "make the folder, or let this user read it; `inbox.folders` names it";
                checks.fail("inbox", format!("{shown}: {error}"), to_do);
                continue;
            }
            Ok(_) => {
                let files = inbox::files_in(folder);
                let closed = files.iter().filter(|file| File::open(file).is_err()).count();
                if closed > 0 {
                    let found = format!("{shown}: {closed} of {} files cannot be read", files.len());
                    checks.fail("inbox", found, "let this user read them (group of PowerMTA, ACL)");
                } else {
                    checks.ok("inbox", format!("{shown}: {} files", files.len()));
                }
            }
        }
        match inbox::can_watch(folder) {
            Ok(()) => checks.ok("watching", format!("{shown}: changes are told by the system")),
            Err(why) => checks.warn(
                "watching",
                format!("{shown}: {why}; looked at every {} s", config.inbox.rescan_seconds.max(1)),
                "raise fs.inotify.max_user_watches and max_user_instances (sysctl)",
            ),
        }
    }
}

fn check_live(config: &Config, checks: &mut Checks) {
    for path in &config.inbox.live {
        match File::open(path).and_then(|file| file.metadata()) {
            Ok(meta) if meta.is_file() => checks.ok("live", format!("{}: {}", path.display(), size(meta.len()))),
            Ok(_) => checks.fail("live", format!("{} is no file", path.display()), "name the file in `inbox.live`"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => checks.warn(
                "live",
                format!("{} is not there", path.display()),
                "fine before PowerMTA writes it; else compare with its acct-file directive",
            ),
            Err(error) => {
                checks.fail("live", format!("{}: {error}", path.display()), "let this user read it (group, ACL)");
            }
        }
    }
}

fn check_terminal(checks: &mut Checks) {
    let get = |name: &str| std::env::var(name).ok();
    let ability = Ability::detect(get);
    let colours = match ability.depth {
        Depth::None => "no colours",
        Depth::Sixteen => "16 colours",
        Depth::Indexed => "256 colours",
        Depth::True => "24 bit colours",
    };
    let term = get("TERM").filter(|term| !term.is_empty());
    let shown = term.as_deref().unwrap_or("unset");
    let size = [rustix::termios::tcgetwinsize(std::io::stdout()), rustix::termios::tcgetwinsize(std::io::stdin())]
        .into_iter()
        .find_map(|size| size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0));
    let sides = size.map_or_else(|| "no terminal".to_owned(), |size| format!("{}×{}", size.ws_col, size.ws_row));
    let signs = if ability.unicode { "UTF-8" } else { "ASCII alone" };
    let found = format!("TERM {shown}, {colours}, {signs}, {sides}");
    let small = size.is_some_and(|size| size.ws_col < 80 || size.ws_row < 24);
    if small {
        checks.warn("terminal", found, "make it 80×24 or larger");
    } else if size.is_some() && (term.is_none() || term.as_deref() == Some("dumb")) {
        checks.warn("terminal", found, "set TERM, for example to xterm-256color");
    } else if size.is_some() && !ability.unicode {
        checks.warn("terminal", found, "charts are finer in UTF-8: LANG=C.UTF-8");
    } else {
        checks.ok("terminal", found);
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded to a digit")]
fn size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if number < 1000.0 {
            break;
        }
        (number, unit) = (number / 1000.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

fn span(micros: i64) -> String {
    let minutes = micros / 60_000_000;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
