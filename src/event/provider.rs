//! Who runs the recipient's mailboxes, told from the host that answered, the queue, then the address.
//! Asked once for each distinct combination of cells while a file is decoded.

use hashbrown::HashMap;
use serde::Deserialize;

/// The name of everyone the table does not know.
pub const OTHER: &str = "other";

const BUILTIN: &str = include_str!("../../assets/providers.toml");

/// The longest host name of RFC 1035; longer cells are no host names.
const HOST_LIMIT: usize = 255;

/// How many labels of a name are looked up: no suffix in the table has more.
const LABEL_LIMIT: usize = 5;

/// Second-level labels under which a country registers names, as in `yahoo.co.uk`.
const SECOND_LEVEL: &[&[u8]] = &[b"co", b"com", b"net", b"org", b"ne", b"or", b"ac", b"go"];

/// What operators append to a domain when they name a queue roll-up.
const ROLLUP_ENDINGS: &[&[u8]] = &[b".rollup", b".rollups", b".queue", b".queues", b".group", b".pool", b".mx"];

/// One provider of the table, also as it is written in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// The name in the column `provider`.
    pub name: String,
    /// Suffixes of the MX host.
    pub mx: Vec<String>,
    /// Recipient domains; `yahoo.*` stands for every public ending.
    pub domains: Vec<String>,
    /// Names of queue roll-ups, without their ending.
    pub rollups: Vec<String>,
    /// Whether the provider sends complaints message by message; none in an override keeps what was said before.
    pub fbl: Option<bool>,
}

/// Why a table of providers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TOML text is not a table of providers.
    #[error("provider table: {0}")]
    Syntax(#[from] toml::de::Error),
    /// An entry has no name.
    #[error("provider {0} of the table has no name")]
    Nameless(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    provider: Vec<Provider>,
}

/// The table of providers, ready for look-ups.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    list: Vec<Provider>,
    mx: HashMap<Box<[u8]>, usize>,
    domains: HashMap<Box<[u8]>, usize>,
    families: HashMap<Box<[u8]>, usize>,
    rollups: HashMap<Box<[u8]>, usize>,
}

impl Providers {
    /// The table that comes with the program.
    pub fn builtin() -> Self {
        // A test holds the asset to be sound; a broken one would only mean that everyone is `other`.
        Self::parse(BUILTIN).unwrap_or_default()
    }

    /// Reads a table written like `assets/providers.toml`.
    ///
    /// # Errors
    /// When the text is no such table or an entry has no name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let table: Table = toml::from_str(text)?;
        let mut providers = Self::default();
        providers.extend(table.provider)?;
        Ok(providers)
    }

    /// The table of the program with entries that extend it and win over it.
    ///
    /// # Errors
    /// When an entry has no name.
    pub fn with_overrides(overrides: Vec<Provider>) -> Result<Self, Error> {
        let mut providers = Self::builtin();
        providers.extend(overrides)?;
        Ok(providers)
    }

    fn extend(&mut self, entries: Vec<Provider>) -> Result<(), Error> {
        for (number, entry) in entries.into_iter().enumerate() {
            if entry.name.trim().is_empty() {
                return Err(Error::Nameless(number + 1));
            }
            let at = self.place(&entry);
            let lower =
                |text: &String| text.trim().trim_matches('.').to_ascii_lowercase().into_bytes().into_boxed_slice();
            self.mx.extend(entry.mx.iter().map(|suffix| (lower(suffix), at)));
            self.rollups.extend(entry.rollups.iter().map(|name| (lower(name), at)));
            for domain in &entry.domains {
                match domain.trim().strip_suffix(".*") {
                    Some(family) => {
                        self.families.insert(family.to_ascii_lowercase().into_bytes().into_boxed_slice(), at)
                    }
                    None => self.domains.insert(lower(domain), at),
                };
            }
        }
        Ok(())
    }

    /// Joins an entry to the one of its name, or appends it; answers its position.
    fn place(&mut self, entry: &Provider) -> usize {
        let Some(at) = self.list.iter().position(|known| known.name.eq_ignore_ascii_case(entry.name.trim())) else {
            self.list.push(Provider { name: entry.name.trim().to_owned(), ..entry.clone() });
            return self.list.len() - 1;
        };
        if let Some(known) = self.list.get_mut(at) {
            known.mx.extend_from_slice(&entry.mx);
            known.domains.extend_from_slice(&entry.domains);
            known.rollups.extend_from_slice(&entry.rollups);
            known.fbl = entry.fbl.or(known.fbl);
        }
        at
    }

    /// The provider behind a `host (ip)` cell, else behind the queue, else behind the recipient's domain; else `other`.
    pub fn provider_of(&self, dsn_mta: &str, queue: &str, domain: &str) -> &str {
        self.by_host(dsn_mta)
            .or_else(|| self.by_queue(queue))
            .or_else(|| self.by_domain(domain.trim().as_bytes()))
            .and_then(|at| self.list.get(at))
            .map_or(OTHER, |provider| provider.name.as_str())
    }

    /// Whether the provider sends complaints message by message, so that a complaint rate means something.
    pub fn fbl(&self, name: &str) -> bool {
        self.get(name).and_then(|provider| provider.fbl).unwrap_or(false)
    }

    /// The entry of a name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.list.iter().find(|provider| provider.name.eq_ignore_ascii_case(name))
    }

    /// Every entry, in the order of the table.
    pub fn all(&self) -> &[Provider] {
        &self.list
    }

    fn by_host(&self, cell: &str) -> Option<usize> {
        let host = cell.trim().trim_start_matches("dns;").trim_start();
        let host = host.split(|c: char| c.is_whitespace() || c == '(').next()?;
        let mut buffer = [0; HOST_LIMIT];
        by_suffix(&self.mx, lowered(host.trim_matches('.').as_bytes(), &mut buffer)?)
    }

    fn by_queue(&self, queue: &str) -> Option<usize> {
        let domain = queue.trim().split('/').next().unwrap_or_default().trim_start_matches("[*.]");
        let mut buffer = [0; HOST_LIMIT];
        let name = lowered(domain.as_bytes(), &mut buffer)?;
        for ending in ROLLUP_ENDINGS {
            if let Some(stem) = name.strip_suffix(*ending) {
                return self.rollups.get(stem).copied().or_else(|| self.by_domain(stem));
            }
        }
        self.by_domain(name).or_else(|| self.rollups.get(name).copied())
    }

    fn by_domain(&self, domain: &[u8]) -> Option<usize> {
        let mut buffer = [0; HOST_LIMIT];
        let name = lowered(domain.strip_suffix(b".").unwrap_or(domain), &mut buffer)?;
        by_suffix(&self.domains, name).or_else(|| {
            let dot = name.iter().position(|b| *b == b'.')?;
            let (family, ending) = (name.get(..dot)?, name.get(dot + 1..)?);
            if is_public_ending(ending) { self.families.get(family).copied() } else { None }
        })
    }
}

/// A lower-case copy on the stack, or none for what is empty or too long to be a name.
fn lowered<'a>(name: &[u8], buffer: &'a mut [u8; HOST_LIMIT]) -> Option<&'a [u8]> {
    let copy = buffer.get_mut(..name.len()).filter(|copy| !copy.is_empty())?;
    copy.copy_from_slice(name);
    copy.make_ascii_lowercase();
    Some(copy)
}

/// The entry of the longest suffix of whole labels.
fn by_suffix(table: &HashMap<Box<[u8]>, usize>, name: &[u8]) -> Option<usize> {
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'.', name).map(|at| at + 1));
    let skip = memchr::memchr_iter(b'.', name).count().saturating_sub(LABEL_LIMIT - 1);
    starts.skip(skip).filter_map(|start| name.get(start..)).find_map(|suffix| table.get(suffix).copied())
}

/// `fr`, `com`, `co.uk`, `com.br`: what may follow the name of a family such as `yahoo`.
fn is_public_ending(ending: &[u8]) -> bool {
    let top = |label: &[u8]| (2..=4).contains(&label.len()) && label.iter().all(u8::is_ascii_alphabetic);
    match ending.iter().position(|b| *b == b'.') {
        None => top(ending),
        Some(dot) => {
            let (second, country) = ending.split_at(dot);
            let country = country.get(1..).unwrap_or_default();
            SECOND_LEVEL.contains(&second) && country.len() == 2 && top(country)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_program_is_sound_and_has_the_names_that_replies_use() {
        let providers = Providers::parse(BUILTIN).unwrap();
        for name in [
            "Google",
            "Yahoo",
            "Microsoft",
            "Apple",
            "GMX",
            "Orange",
            "Comcast",
            "T-Online",
            "Mail.ru",
            "Yandex",
            "QQ",
            "NetEase",
            "AT&T",
            "Cox",
            "Spectrum",
            "Proofpoint",
            "Mimecast",
            "Barracuda",
        ] {
            assert!(providers.get(name).is_some(), "{name}");
        }
        assert!(providers.all().iter().all(|provider| provider.fbl.is_some()));
        let deepest = providers
            .mx
            .keys()
            .chain(providers.domains.keys())
            .map(|key| key.iter().filter(|b| **b == b'.').count() + 1)
            .max();
        assert!(deepest <= Some(LABEL_LIMIT));
    }

    #[test]
    fn the_host_that_answered_decides_before_queue_and_address() {
        let providers = Providers::builtin();
        for (mta, queue, domain, name) in [
            ("gmail-smtp-in.l.google.com (142.250.1.26)", "", "", "Google"),
            ("ASPMX.L.GOOGLE.COM. (142.250.1.26)", "corp.example/v1", "corp.example", "Google"),
            ("mta5.am0.yahoodns.net (67.195.1.1)", "", "aol.com", "Yahoo"),
            ("corp-example.mail.protection.outlook.com (52.1.1.1)", "", "corp.example", "Microsoft"),
            ("outlook-com.olc.protection.outlook.com (52.1.1.1)", "", "", "Microsoft"),
            ("x.y.mx.microsoft (1.2.3.4)", "", "", "Microsoft"),
            ("mxa-001.gslb.pphosted.com (1.2.3.4)", "", "gmail.com", "Proofpoint"),
            ("al-ip4-mx-vip1.prodigy.net (1.2.3.4)", "", "att.net", "AT&T"),
            ("notgoogle.com (1.2.3.4)", "", "", "other"),
            ("mx.example.org (1.2.3.4)", "", "hotmail.fr", "Microsoft"),
            ("", "yahoo.rollup/vmta1", "corp.example", "Yahoo"),
            ("", "hotmail.queue/vmta1", "", "Microsoft"),
            ("", "hotmail.com.rollup/vmta1", "", "Microsoft"),
            ("", "[*.]gmail.com/vmta1", "", "Google"),
            ("", "gmail.com/vmta1", "", "Google"),
            ("", "{bounce}/v", "web.de", "GMX"),
            ("(1.2.3.4)", "", "yahoo.co.uk", "Yahoo"),
            ("[1.2.3.4] (1.2.3.4)", "", "maine.rr.com", "Spectrum"),
            ("", "", "LIVE.com.au", "Microsoft"),
            ("", "", "live.example.com", "other"),
            ("", "", "vip.qq.com", "QQ"),
            ("", "", "", "other"),
        ] {
            assert_eq!(providers.provider_of(mta, queue, domain), name, "{mta} {queue} {domain}");
        }
    }

    #[test]
    fn an_override_extends_a_provider_and_adds_new_ones() {
        let overrides = vec![
            Provider {
                name: "google".into(),
                domains: vec!["corp.example".into()],
                fbl: Some(true),
                ..Provider::default()
            },
            Provider { name: "House".into(), mx: vec![".house.example".into()], ..Provider::default() },
        ];
        let providers = Providers::with_overrides(overrides).unwrap();
        assert_eq!(providers.provider_of("", "", "corp.example"), "Google");
        assert_eq!(providers.provider_of("mx1.house.example (192.0.2.1)", "", ""), "House");
        assert!(providers.fbl("Google") && !providers.fbl("House") && providers.fbl("Yahoo"));
        assert!(Providers::with_overrides(vec![Provider::default()]).is_err());
    }

    #[test]
    fn long_and_foreign_names_are_other() {
        let providers = Providers::builtin();
        assert_eq!(providers.provider_of(&"é.".repeat(400), &"x".repeat(999), "bücher.de"), OTHER);
    }
}
