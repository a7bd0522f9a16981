//! What a row means beyond its own cells: kind, user, provider, reply class, bounce class. Each answer
//! is found once per distinct input and then remembered.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use regex::Regex;

use crate::config::Config;
use crate::event::bounce::{BounceClasses, ReplyClass};
use crate::event::provider::{Provider, Providers};
use crate::event::{Kind, RecordType};
use crate::reply::Catalogue;
use crate::text::wildcard;

/// Distinct replies remembered before the memory is emptied.
const REMEMBERED_REPLIES: usize = 1 << 16;

/// Everything that decides what rows mean; made once from the settings and shared by all files.
#[derive(Debug)]
pub struct Rules {
    /// Who runs the mailboxes.
    pub providers: Providers,
    /// Hard, soft or block.
    pub bounces: BounceClasses,
    /// What replies mean.
    pub replies: Catalogue,
    /// Classes that were found, by provider, status, category and gist; for all files and workers.
    classes: Mutex<HashMap<u64, Option<ReplyClass>>>,
    user_from_job: Regex,
    user_mapping: Vec<(String, String)>,
    /// The host of rows that carry no `userString`.
    pub host: String,
}

/// Why the rules could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job mapping cannot be read.
    #[error("{path}: cannot read the job mapping: {why}; expected CSV with the columns job,user")]
    Mapping {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        why: String,
    },
    /// A setting that cannot work.
    #[error("setting `{key}`: {why}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Rules {
    /// The rules of the settings.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let user_from_job = Regex::new(&config.ingest.user_from_job)
            .map_err(|error| Error::Setting { key: "ingest.user_from_job", why: error.to_string() })?;
        let mapping = &config.ingest.user_mapping;
        Ok(Self {
            providers: Providers::with_overrides(own_providers(config))
                .map_err(|error| Error::Setting { key: "providers", why: error.to_string() })?,
            bounces: BounceClasses::with_overrides(config.bounce_classes.clone())
                .map_err(|error| Error::Setting { key: "bounce_classes", why: error.to_string() })?,
            replies: Catalogue::with_entries(config.replies.clone())
                .map_err(|error| Error::Setting { key: "replies", why: error.to_string() })?,
            classes: Mutex::default(),
            user_from_job,
            user_mapping: if mapping.as_os_str().is_empty() { Vec::new() } else { read_mapping(mapping)? },
            host: config.host.clone(),
        })
    }

    /// The class of a reply.
    fn class_of(&self, provider: &str, diag: &str, status: &str, category: &str) -> Option<ReplyClass> {
        let key = hash_of([provider, status, category].map(str::as_bytes).into_iter().chain([&*Catalogue::gist(diag)]));
        let classes = || self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = classes().get(&key) {
            return *class;
        }
        let class =
            self.replies.class_of(provider, diag, if status.is_empty() { None } else { Some(status) }, category);
        let mut classes = classes();
        if classes.len() >= REMEMBERED_REPLIES {
            classes.clear();
        }
        classes.insert(key, class);
        class
    }

    /// The user of a job: the mapping decides, then the pattern.
    pub fn user_of_job(&self, job: &str) -> String {
        if let Some((_, user)) =
            self.user_mapping.iter().find(|(pattern, _)| wildcard(pattern.as_bytes(), job.as_bytes()))
        {
            return user.clone();
        }
        self.user_from_job
            .captures(job)
            .and_then(|found| found.name("user"))
            .map_or_else(String::new, |user| user.as_str().to_owned())
    }
}

/// The providers of the settings.
pub fn own_providers(config: &Config) -> Vec<Provider> {
    config
        .providers
        .iter()
        .map(|(name, provider)| Provider {
            name: name.clone(),
            mx: provider.mx.clone(),
            domains: provider.domains.clone(),
            rollups: provider.rollups.clone(),
            fbl: provider.fbl,
        })
        .collect()
}

fn read_mapping(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let wrong = |why: String| Error::Mapping { path: path.to_owned(), why };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|error| wrong(error.to_string()))?;
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|header| header.eq_ignore_ascii_case(name))
            .ok_or_else(|| wrong(format!("line 1: column `{name}` is missing")))
    };
    let (job, user) = (column("job")?, column("user")?);
    reader
        .records()
        .map(|record| {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let cell = |index: usize| record.get(index).unwrap_or_default().to_owned();
            Ok((cell(job), cell(user)))
        })
        .collect()
}

/// The kind of a row (SPEC §3, §4): inbound deliveries, reports that are no complaint and bounces of
/// category success are `status`.
pub fn kind_of(record: RecordType, dlv_type: &str, feedback: &str, category: &str, rate_block: bool) -> Kind {
    match record {
        RecordType::D if dlv_type.is_empty() || dlv_type.eq_ignore_ascii_case("smtp") => Kind::Delivered,
        RecordType::B if !category.eq_ignore_ascii_case("success") => Kind::Bounced,
        RecordType::T => Kind::Deferred,
        RecordType::Tq => Kind::QueueError,
        RecordType::R => Kind::Received,
        RecordType::F if feedback.is_empty() || feedback.eq_ignore_ascii_case("abuse") => Kind::Complaint,
        RecordType::Rb if rate_block => Kind::RateBlock,
        RecordType::Rb => Kind::RemoteBounce,
        RecordType::D | RecordType::B | RecordType::F | RecordType::Rs => Kind::Status,
    }
}

/// One hash of several texts.
fn hash_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        hasher.update(part);
        hasher.update(&[0]);
    }
    hasher.digest()
}

/// Reply classes of one file's replies, found once per distinct text.
#[derive(Debug, Default)]
pub struct ReplyMemory {
    classes: HashMap<u64, Option<ReplyClass>>,
}

impl ReplyMemory {
    /// The class of a reply.
    pub fn class(
        &mut self,
        rules: &Rules,
        provider: &str,
        diag: &str,
        status: &str,
        category: &str,
    ) -> Option<ReplyClass> {
        let key = hash_of([provider, status, category, diag].map(str::as_bytes).into_iter());
        if let Some(class) = self.classes.get(&key) {
            return *class;
        }
        let class = rules.class_of(provider, diag, status, category);
        if self.classes.len() >= REMEMBERED_REPLIES {
            self.classes.clear();
        }
        self.classes.insert(key, class);
        class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_smtp_deliveries_count_as_delivered() {
        assert_eq!(kind_of(RecordType::D, "", "", "success", false), Kind::Delivered);
        assert_eq!(kind_of(RecordType::D, "smtp", "", "", false), Kind::Delivered);
        assert_eq!(kind_of(RecordType::D, "pipe", "", "", false), Kind::Status);
        assert_eq!(kind_of(RecordType::B, "", "", "success", false), Kind::Status);
        assert_eq!(kind_of(RecordType::F, "", "not-spam", "", false), Kind::Status);
    }
}
