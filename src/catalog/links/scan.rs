//! Deliveries that reports may be about: one pass over a segment's deliveries for the reports of many segments.

use std::path::Path;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::rule::{Facts, Key, Limits, keys, recipient};
use crate::catalog::pack::message_hash;
use crate::catalog::{Result, peek};
use crate::event::{Kind, Micros};

/// What a report takes from its delivery.
pub const VALUES: [&str; 10] = [
    "job_id",
    "user_id",
    "sender",
    "sender_domain",
    "recipient",
    "recipient_domain",
    "provider",
    "vmta",
    "vmta_pool",
    "source_ip",
];

/// Messages that a key keeps of one segment: beyond two it is ambiguous anyhow.
const KEPT: u8 = 3;

/// A row that tells of a message after its delivery, with what it says of it.
#[derive(Debug, Clone, Default)]
pub struct ReportRow {
    /// Its number among the rows of its segment.
    pub row: u32,
    message_id: String,
    recipient: String,
    job: String,
    custom_header: String,
    sender: String,
    env_id: String,
    time: Micros,
}

impl ReportRow {
    /// What it says.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            message_id: &self.message_id,
            recipient: &self.recipient,
            job: &self.job,
            custom_header: &self.custom_header,
            sender: &self.sender,
            env_id: &self.env_id,
            time: self.time,
        }
    }
}

/// A delivery that a report may be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The report's row.
    pub row: u32,
    /// The keys that tell so, as bits.
    pub keys: u8,
    /// The message's hash.
    pub message: u64,
    /// The number of the segment of deliveries.
    pub send: u32,
    /// [`VALUES`], as numbers of words.
    pub values: [u32; VALUES.len()],
}

const FACTS: [&str; 7] = ["message_id", "recipient", "job_id", "custom_header", "sender", "env_id", "event_time"];

/// The reports of a segment that say anything of their message.
pub fn reports(path: &Path) -> Result<Vec<ReportRow>> {
    let mut out = Vec::new();
    let mut row = 0;
    peek::each(path, &FACTS, None, |cells| {
        for at in 0..cells.len {
            let text = |column| cells.text(column, at).to_owned();
            if let Some(time) = cells.number(6, at) {
                let report = ReportRow {
                    row,
                    message_id: text(0),
                    recipient: recipient(cells.text(1, at)),
                    job: text(2),
                    custom_header: text(3),
                    sender: cells.text(4, at).to_lowercase(),
                    env_id: text(5),
                    time,
                };
                out.push(report);
            }
            row += 1;
        }
        Ok(())
    })?;
    Ok(out)
}

/// Reports of several segments, found by what they say.
#[derive(Debug, Default)]
pub struct Index<'r> {
    rows: Vec<(usize, &'r ReportRow)>,
    by: HashMap<(u8, u64), Vec<u32>>,
}

/// What reports are looked up by.
const ID: u8 = 0;
const RECIPIENT: u8 = 1;
const SENDER: u8 = 2;
const HEADER: u8 = 3;

impl<'r> Index<'r> {
    /// The reports of some segments.
    pub fn new(segments: impl IntoIterator<Item = (usize, &'r [ReportRow])>) -> Self {
        let mut index = Self::default();
        for (segment, reports) in segments {
            for report in reports {
                index.add(segment, report);
            }
        }
        index
    }

    fn add(&mut self, segment: usize, report: &'r ReportRow) {
        let at = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let mut note = |what: u8, text: &str| {
            if !text.is_empty() {
                self.by.entry((what, xxh3_64(text.as_bytes()))).or_default().push(at);
            }
        };
        note(ID, &report.message_id);
        note(RECIPIENT, &report.recipient);
        if report.recipient.is_empty() {
            note(SENDER, &report.sender);
            note(HEADER, &report.custom_header);
        }
        self.rows.push((segment, report));
    }

    fn look<'a>(&'a self, what: u8, text: &str) -> &'a [u32] {
        if text.is_empty() {
            return &[];
        }
        self.by.get(&(what, xxh3_64(text.as_bytes()))).map_or(&[], Vec::as_slice)
    }
}

/// Words, each once.
#[derive(Debug, Default)]
pub struct Words {
    ids: HashMap<String, u32>,
    /// In the order of their numbers.
    pub all: Vec<String>,
}

impl Words {
    /// Words that are numbered already.
    pub fn of(all: Vec<String>) -> Self {
        let ids = all.iter().zip(0..).map(|(word, id)| (word.clone(), id)).collect();
        Self { ids, all }
    }

    /// The number of a word.
    pub fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.ids.insert(word.to_owned(), id);
        self.all.push(word.to_owned());
        id
    }
}

/// A delivery that was found for a report, with its values as they stand.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The number of the report's segment.
    pub segment: usize,
    /// The report's row.
    pub row: u32,
    /// The keys, as bits.
    pub keys: u8,
    /// The message's hash.
    pub message: u64,
    /// [`VALUES`].
    pub values: [String; VALUES.len()],
}

/// The deliveries of a segment that reports may be about, in the order of their rows.
pub fn deliveries(path: &Path, index: &Index<'_>, limits: &Limits) -> Result<Vec<Hit>> {
    let others = ["kind", "queued_time"];
    let names: Vec<&str> = FACTS.iter().chain(&others).chain(&VALUES).copied().collect();
    let first_value = FACTS.len() + others.len();
    let mut hits = Vec::new();
    // By report: how many messages each key has found here.
    let mut kept: HashMap<(u32, u8), (u8, u64)> = HashMap::new();
    let mut near: Vec<u32> = Vec::new();
    peek::each(path, &names, None, |cells| {
        for at in 0..cells.len {
            if cells.text(7, at) != Kind::Delivered.as_str() {
                continue;
            }
            let (recipient, sender) = (recipient(cells.text(1, at)), cells.text(4, at).to_lowercase());
            near.clear();
            near.extend_from_slice(index.look(ID, cells.text(0, at)));
            near.extend_from_slice(index.look(RECIPIENT, &recipient));
            near.extend_from_slice(index.look(SENDER, &sender));
            near.extend_from_slice(index.look(HEADER, cells.text(3, at)));
            if near.is_empty() {
                continue;
            }
            near.sort_unstable();
            near.dedup();
            let Some(time) = cells.number(6, at) else { continue };
            let send = Facts {
                message_id: cells.text(0, at),
                recipient: &recipient,
                job: cells.text(2, at),
                custom_header: cells.text(3, at),
                sender: &sender,
                env_id: cells.text(5, at),
                time,
            };
            for report in &near {
                let Some((segment, row)) = index.rows.get(*report as usize) else { continue };
                let found = keys(&row.facts(), &send, limits);
                if found == 0 {
                    continue;
                }
                let message = hash_of(&send, cells.text(1, at), cells.text(4, at), cells.number(8, at));
                if !is_wanted(&mut kept, *report, found, message) {
                    continue;
                }
                hits.push(Hit {
                    segment: *segment,
                    row: row.row,
                    keys: found,
                    message,
                    values: std::array::from_fn(|value| cells.text(first_value + value, at).to_owned()),
                });
            }
        }
        Ok(())
    })?;
    Ok(hits)
}

/// The message that a delivery is of (SPEC §4).
fn hash_of(send: &Facts<'_>, recipient: &str, sender: &str, queued: Option<Micros>) -> u64 {
    let id = (!send.message_id.is_empty()).then_some(send.message_id);
    message_hash(id, recipient, sender, queued, send.job)
}

/// Whether another message tells anything: a key that has found a few already is ambiguous.
fn is_wanted(kept: &mut HashMap<(u32, u8), (u8, u64)>, report: u32, found: u8, message: u64) -> bool {
    let mut wanted = false;
    for key in Key::ALL.into_iter().filter(|key| found & key.bit() != 0) {
        let (count, last) = kept.entry((report, key.bit())).or_default();
        if *count < KEPT && (*count == 0 || *last != message) {
            *count += 1;
            *last = message;
            wanted = true;
        }
    }
    wanted
}
