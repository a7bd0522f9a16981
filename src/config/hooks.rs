//! Who is told of incidents, and how: `[[hooks]]`. What is wrong with an entry is said with what to write instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// It was found.
    Opened,
    /// It became worse.
    Escalated,
    /// It ended.
    Resolved,
}

/// The least that a hook is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Least {
    /// Everything.
    Warn,
    /// What needs someone today.
    High,
    /// What needs someone now.
    Critical,
}

/// How the body of a webhook looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The JSON of `docs/hooks.md`.
    Plain,
    /// `{"text": …}`, as Slack and Mattermost want it.
    Slack,
}

/// Someone who is told of incidents: a command or a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// Its name; what it was told is remembered by it.
    pub name: String,
    /// Of what it is told.
    pub on: Vec<When>,
    /// The least severity that it is told of.
    pub min_severity: Least,
    /// The rules that it is told of; empty: all.
    pub rules: Vec<String>,
    /// A program and its arguments; the JSON comes on its standard input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where the JSON is posted to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// How the body of the post looks.
    pub preset: Preset,
    /// Further headers of the post.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A file that holds the token of `Authorization: Bearer …`; read at each try. Empty: none.
    pub token_file: PathBuf,
    /// Certificates (PEM) of who may sign for the server, instead of the public ones. Empty: the public ones.
    pub ca_file: PathBuf,
    /// Seconds that a try may take.
    pub timeout_seconds: f64,
    /// Seconds that connecting may take.
    pub connect_seconds: f64,
    /// Seconds until a failed try is repeated; doubled each time.
    pub retry_seconds: f64,
    /// Most seconds between two tries.
    pub retry_most_seconds: f64,
    /// Hours after which a try that fails is the last.
    pub give_up_hours: f64,
    /// Most tries; 0: as many as fit.
    pub attempts: u32,
    /// Most incidents told one by one at a time; the rest is summed up. 0: no limit.
    pub most_at_once: usize,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            name: String::new(),
            on: vec![When::Opened, When::Escalated, When::Resolved],
            min_severity: Least::Warn,
            rules: Vec::new(),
            command: Vec::new(),
            url: String::new(),
            preset: Preset::Plain,
            headers: BTreeMap::new(),
            token_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            timeout_seconds: 10.0,
            connect_seconds: 5.0,
            retry_seconds: 1.0,
            retry_most_seconds: 600.0,
            give_up_hours: 24.0,
            attempts: 0,
            most_at_once: 20,
        }
    }
}

/// Headers that are pmtop's own.
const OURS: [&str; 6] =
    ["content-type", "content-length", "host", "x-pmtop-event-id", "transfer-encoding", "connection"];

/// A duration of a setting that has been checked.
pub fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

/// What is wrong with the hooks, if something is.
pub fn check(hooks: &[Hook]) -> Result<(), String> {
    for (at, hook) in hooks.iter().enumerate() {
        let called = if hook.name.is_empty() { format!("entry {}", at + 1) } else { format!("`{}`", hook.name) };
        hook.check().map_err(|why| format!("{called}: {why}"))?;
        if hooks.iter().take(at).any(|other| other.name == hook.name) {
            return Err(format!("{called}: two hooks have this name; what was told is remembered by it"));
        }
    }
    Ok(())
}

impl Hook {
    fn check(&self) -> Result<(), String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err("needs a `name` of letters, digits, `-`, `_` and `.`".to_owned());
        }
        if self.on.is_empty() {
            return Err("`on` is empty, so it would never be told; write [\"opened\", \"resolved\"]".to_owned());
        }
        match (self.command.first(), self.url.as_str()) {
            (None, "") => return Err("needs `command` or `url`".to_owned()),
            (Some(_), url) if !url.is_empty() => {
                return Err("has both `command` and `url`; make two hooks of it".to_owned());
            }
            (Some(program), _) if !program.starts_with('/') => {
                return Err(format!("`command` begins with {program:?}; write the whole path of the program"));
            }
            (Some(_), _) => {}
            (None, url) => check_url(url)?,
        }
        self.check_headers()?;
        let spans = [
            ("timeout_seconds", self.timeout_seconds, 3600.0),
            ("connect_seconds", self.connect_seconds, 3600.0),
            ("retry_seconds", self.retry_seconds, 86_400.0),
            ("retry_most_seconds", self.retry_most_seconds, 86_400.0),
        ];
        for (key, value, most) in spans {
            // Not a number is neither above nor below.
            if !(value > 0.0 && value <= most) {
                return Err(format!("`{key}` is {value}; write a number above 0 and up to {most}"));
            }
        }
        if !(0.0..=8760.0).contains(&self.give_up_hours) {
            return Err(format!("`give_up_hours` is {}; write a number from 0 to 8760", self.give_up_hours));
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), String> {
        for (name, value) in &self.headers {
            let token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
            if name.is_empty() || !name.chars().all(token) {
                return Err(format!("`{name}` is no name of a header"));
            }
            if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(format!("the header `{name}` is set by pmtop"));
            }
            if !value.chars().all(|letter| letter == ' ' || letter.is_ascii_graphic()) {
                return Err(format!("the header `{name}` may hold visible ASCII characters and spaces only"));
            }
        }
        Ok(())
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("`url` must begin with https:// (or with http:// for this machine)".to_owned()),
    };
    if !url.chars().all(|letter| letter.is_ascii_graphic()) {
        return Err("`url` holds a space or a character that must be written as %XX".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err("`url` names no host".to_owned());
    }
    if authority.contains('@') {
        return Err("`url` holds a user or password; write a token into a file and name it in `token_file`".to_owned());
    }
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !secure && !here {
        return Err(format!("`url` would send incidents to {host} unencrypted; write https://"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let hooks: BTreeMap<String, Vec<Hook>> = toml::from_str(text).unwrap();
        check(&hooks["hooks"]).unwrap_err()
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let one = |line: &str| wrong(&format!("[[hooks]]\nname = \"a\"\n{line}\n"));
        assert!(one("").contains("`a`: needs `command` or `url`"));
        assert!(one("url = \"https://x.example\"\ncommand = [\"/bin/true\"]").contains("both"));
        assert!(one("command = [\"true\"]").contains("whole path"));
        assert!(one("url = \"ftp://x\"").contains("https://"));
        assert!(one("url = \"http://x.example/\"").contains("unencrypted"));
        assert!(one("url = \"http://127.0.0.1.x.example/\"").contains("unencrypted"));
        assert!(one("url = \"https://me:pw@x.example/\"").contains("token_file"));
        assert!(one("url = \"https://x.example\"\non = []").contains("never"));
        assert!(one("url = \"https://x.example\"\ntimeout_seconds = 0").contains("timeout_seconds"));
        assert!(one("url = \"https://x.example\"\nretry_seconds = nan").contains("retry_seconds"));
        assert!(one("url = \"https://x.example\"\nheaders = { \"Content-Type\" = \"a\" }").contains("set by pmtop"));
        assert!(one("url = \"https://x.example\"\nheaders = { A = \"a\\nB: c\" }").contains("visible"));
        assert!(wrong("[[hooks]]\nurl = \"https://x\"\n").contains("entry 1"));
        let twice = "[[hooks]]\nname = \"a\"\nurl = \"https://x\"\n";
        assert!(wrong(&format!("{twice}{twice}")).contains("two hooks"));
    }

    #[test]
    fn what_can_work_is_let_through() {
        for line in [
            "url = \"https://hooks.example/services/T0\"",
            "url = \"http://127.0.0.1:9093/api\"",
            "url = \"http://[::1]:8080/\"",
            "url = \"http://localhost\"",
            "command = [\"/usr/local/bin/page\", \"--team\", \"mail\"]",
        ] {
            let text = format!("[[hooks]]\nname = \"a\"\n{line}\n");
            let hooks: BTreeMap<String, Vec<Hook>> = toml::from_str(&text).unwrap();
            assert_eq!(check(&hooks["hooks"]), Ok(()), "{line}");
        }
    }

    #[test]
    fn an_unknown_step_is_named_with_those_that_are_known() {
        let error = toml::from_str::<Hook>("on = [\"closed\"]").unwrap_err().to_string();
        assert!(error.contains("closed") && error.contains("`resolved`"), "{error}");
    }
}
