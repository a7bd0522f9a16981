//! What complaints and remote bounces are about (SPEC §5): beside each segment of such reports, the same rows once more
//! with the job, user, sender, VMTA, pool and source IP of the delivery that they belong to, apart for those that
//! have found one and those that have not. Questions read these instead of what the reports say themselves.
//!
//! A cache like packs: candidates are a function of a segment of reports and one of deliveries, both of which never
//! change; which of them win depends on the set of segments alone. What is missing or damaged is found again.

pub mod rule;
mod scan;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

pub use rule::{Key, Limits};
pub use write::{MESSAGE, MESSAGES, TELLS};

use super::control::{Link, Segment, SegmentFile};
use super::locks::Lock;
use super::{Catalog, Result, Snapshot, layout};
use crate::event::{Micros, RecordType, Role};
use scan::{Candidate, Index, ReportRow, Words};

/// Raised when candidates or files are made otherwise: what was made before is made again.
const VERSION: u32 = 1;

/// Rows that a question looks through itself while it waits.
pub const FRESH_ROWS: i64 = 250_000;

const REPORTS: u8 = 1 << RecordType::F.index() | 1 << RecordType::Rb.index() | 1 << RecordType::Rs.index();
const DELIVERIES: u8 = 1 << RecordType::D.index();

/// A file with some of a segment's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Part {
    path: String,
    attributed: bool,
    rows: i64,
    bytes: i64,
    min_time: Option<Micros>,
    max_time: Option<Micros>,
    by_type: [i64; 8],
    files: Vec<(i64, [i64; 8])>,
}

/// What is known of a segment of reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Entry {
    /// The segments of deliveries that were looked through, as hashes of their paths; and by which rule.
    sends: Vec<u64>,
    rule: String,
    parts: Vec<Part>,
}

/// Everything that is known, by the path of the segment of reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Manifest {
    reports: BTreeMap<String, Entry>,
}

/// The candidates of a segment of reports.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Found {
    rule: String,
    rows: i64,
    sends: Vec<String>,
    words: Vec<String>,
    candidates: Vec<Candidate>,
}

fn manifest_path(root: &Path) -> PathBuf {
    root.join("links/manifest.json")
}

/// What is below `links/` for a segment of reports, without an ending.
fn base(segment: &str) -> String {
    format!("links/{}", segment.trim_end_matches(".parquet"))
}

/// The hash of a path.
fn mark(path: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(path.as_bytes())
}

fn rule_name(limits: &Limits) -> String {
    format!("{VERSION}-{}-{}", limits.window, limits.reach)
}

impl Manifest {
    fn read(root: &Path) -> Self {
        let read = std::fs::read(manifest_path(root)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn save(&self, root: &Path) -> Result<()> {
        save(&manifest_path(root), &serde_json::to_vec(self).map_err(std::io::Error::other)?)
    }
}

/// Writes a file: whole or not at all. It need not survive a power cut.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    layout::make_dir(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl Found {
    fn read(root: &Path, segment: &Segment, rule: &str) -> Self {
        let blank = || Self { rule: rule.to_owned(), rows: segment.rows, ..Self::default() };
        let Ok(file) = std::fs::File::open(root.join(base(&segment.path) + ".candidates")) else { return blank() };
        let mut bytes = Vec::new();
        let read = lz4_flex::frame::FrameDecoder::new(file).read_to_end(&mut bytes);
        let found = read.ok().and_then(|_| serde_json::from_slice::<Self>(&bytes).ok());
        found.filter(|found| found.rule == rule && found.rows == segment.rows).unwrap_or_else(blank)
    }

    fn save(&self, root: &Path, segment: &Segment) -> Result<()> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        serde_json::to_writer(&mut encoder, self).map_err(std::io::Error::other)?;
        let bytes = encoder.finish().map_err(std::io::Error::other)?;
        save(&root.join(base(&segment.path) + ".candidates"), &bytes)
    }

    /// Forgets what was found in segments that are gone.
    fn keep_only(&mut self, needed: &HashSet<&str>) {
        let numbers: Vec<Option<u32>> = {
            let mut next = 0..;
            self.sends.iter().map(|path| needed.contains(path.as_str()).then(|| next.next()).flatten()).collect()
        };
        self.sends.retain(|path| needed.contains(path.as_str()));
        self.candidates.retain_mut(|candidate| {
            let number = numbers.get(candidate.send as usize).copied().flatten();
            candidate.send = number.unwrap_or_default();
            number.is_some()
        });
    }
}

/// A segment of reports and the segments of deliveries that they may be about.
struct Wanted<'s> {
    report: &'s Segment,
    sends: Vec<&'s Segment>,
}

/// Which deliveries each segment of reports may be about: by time alone.
fn wanted<'s>(snapshot: &'s Snapshot, limits: &Limits) -> Vec<Wanted<'s>> {
    let plain = || snapshot.segments.iter().filter(|segment| segment.is_events() && !segment.link.is_made());
    let mut sends: Vec<&Segment> = plain().filter(|segment| segment.holds(DELIVERIES)).collect();
    sends.sort_by(|a, b| (a.min_time, &a.path).cmp(&(b.min_time, &b.path)));
    let reports = plain().filter(|segment| segment.holds(REPORTS));
    reports
        .map(|report| {
            let (Some(first), Some(last)) = (report.min_time, report.max_time) else {
                return Wanted { report, sends: Vec::new() };
            };
            let (from, until) = (first - limits.reach, last + rule::SLACK);
            let near = |send: &&&Segment| {
                send.min_time.is_some_and(|min| min <= until) && send.max_time.is_some_and(|max| from <= max)
            };
            Wanted { report, sends: sends.iter().filter(near).copied().collect() }
        })
        .collect()
}

impl Entry {
    fn is_of(&self, wanted: &Wanted<'_>, rule: &str) -> bool {
        self.rule == rule
            && self.sends.len() == wanted.sends.len()
            && self.sends.iter().zip(&wanted.sends).all(|(known, send)| *known == mark(&send.path))
    }

    /// Rows of deliveries that were not looked through.
    fn missing<'s>(&self, wanted: &Wanted<'s>, rule: &str) -> Vec<&'s Segment> {
        let known: HashSet<u64> = if self.rule == rule { self.sends.iter().copied().collect() } else { HashSet::new() };
        wanted.sends.iter().filter(|send| !known.contains(&mark(&send.path))).copied().collect()
    }
}

/// What a snapshot looks like with what is known of its reports.
#[derive(Debug)]
pub struct Attached {
    /// The snapshot; reports that are known stand in it twice, as [`Link`] tells.
    pub snapshot: Snapshot,
    /// Whether something is not known, or known of other deliveries than there are now.
    pub is_stale: bool,
    /// Rows that would have to be looked through to know it.
    pub missing: i64,
}

/// A snapshot with what is known of its reports.
pub fn attach(snapshot: &Snapshot, limits: &Limits) -> Attached {
    let (manifest, rule) = (Manifest::read(&snapshot.root), rule_name(limits));
    let wanted = wanted(snapshot, limits);
    let none = Entry::default();
    let mut unseen: HashMap<&str, i64> = HashMap::new();
    let mut is_stale = false;
    let mut made: HashMap<&str, Vec<Segment>> = HashMap::new();
    for wanted in &wanted {
        let entry = manifest.reports.get(&wanted.report.path).unwrap_or(&none);
        if !entry.is_of(wanted, &rule) {
            is_stale = true;
            unseen.extend(entry.missing(wanted, &rule).iter().map(|send| (send.path.as_str(), send.rows)));
            unseen.insert(&wanted.report.path, wanted.report.rows);
        }
        let rows: i64 = entry.parts.iter().map(|part| part.rows).sum();
        if !entry.parts.is_empty() && rows == wanted.report.rows {
            let parts = entry.parts.iter().map(|part| part.segment(wanted.report)).collect();
            made.insert(&wanted.report.path, parts);
        }
    }
    let missing = unseen.values().sum();
    let mut segments = Vec::with_capacity(snapshot.segments.len() + made.len());
    for segment in &snapshot.segments {
        match made.remove(segment.path.as_str()) {
            Some(parts) => {
                segments.push(Segment { link: Link::Stored, ..segment.clone() });
                segments.extend(parts);
            }
            None => segments.push(segment.clone()),
        }
    }
    Attached { snapshot: Snapshot { segments, ..snapshot.clone() }, is_stale, missing }
}

impl Part {
    fn segment(&self, report: &Segment) -> Segment {
        Segment {
            path: self.path.clone(),
            files: self.files.iter().map(|(id, by_type)| SegmentFile { id: *id, by_type: *by_type }).collect(),
            rows: self.rows,
            bytes: self.bytes,
            min_time: self.min_time,
            max_time: self.max_time,
            by_type: self.by_type,
            link: if self.attributed { Link::Attributed } else { Link::Unattributed },
            ..report.clone()
        }
    }
}

/// When what is known changed last; for telling whether it did.
pub fn stamp(root: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(manifest_path(root)).and_then(|metadata| metadata.modified()).ok()
}

/// The roles whose files hold deliveries, as bits: a scope without one of them is about fewer deliveries.
pub fn roles_of_deliveries(snapshot: &Snapshot) -> u8 {
    let sends = snapshot.segments.iter().filter(|segment| segment.is_events() && segment.holds(DELIVERIES));
    sends.filter_map(|segment| Role::parse(&segment.role)).fold(0, |roles, role| roles | role.bit())
}

/// Forgets everything, since some of it cannot be read; whether there was anything.
pub fn forget(root: &Path) -> bool {
    std::fs::remove_file(manifest_path(root)).is_ok()
}

/// Finds what is not known, on as many threads; `stop` is asked between segments. How many segments of reports were
/// made anew. Whoever comes second while another process is at it does nothing.
pub fn tidy(catalog: &Catalog, limits: &Limits, threads: usize, stop: &(dyn Fn() -> bool + Sync)) -> Result<usize> {
    let Some(_alone) = Lock::attempt(&catalog.layout().lock("links"))? else { return Ok(0) };
    let snapshot = catalog.snapshot()?;
    let root = catalog.layout().root();
    let (mut manifest, rule) = (Manifest::read(root), rule_name(limits));
    let wanted = wanted(&snapshot, limits);
    let is_known =
        |wanted: &Wanted<'_>| manifest.reports.get(&wanted.report.path).is_some_and(|entry| entry.is_of(wanted, &rule));
    let stale: Vec<&Wanted<'_>> = wanted.iter().filter(|wanted| !is_known(wanted)).collect();
    let live: HashSet<&str> = wanted.iter().map(|wanted| wanted.report.path.as_str()).collect();
    let gone = manifest.reports.keys().any(|path| !live.contains(path.as_str()));
    if stale.is_empty() && !gone {
        return Ok(0);
    }
    let Some(found) = look(root, &stale, limits, &rule, threads, stop)? else { return Ok(0) };
    for (wanted, found) in stale.iter().zip(&found) {
        let parts = write::parts(root, wanted.report, found)?;
        let sends = wanted.sends.iter().map(|send| mark(&send.path)).collect();
        manifest.reports.insert(wanted.report.path.clone(), Entry { sends, rule: rule.clone(), parts });
    }
    manifest.reports.retain(|path, _| live.contains(path.as_str()));
    manifest.save(root)?;
    sweep(root, &manifest);
    Ok(stale.len())
}

/// The candidates of some segments of reports; `None` where it was stopped.
fn look(
    root: &Path,
    stale: &[&Wanted<'_>],
    limits: &Limits,
    rule: &str,
    threads: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Found>>> {
    let mut found: Vec<Found> = stale.iter().map(|wanted| Found::read(root, wanted.report, rule)).collect();
    // By segment of deliveries, in the order of time: the segments of reports that have not seen it.
    let mut todo: BTreeMap<(Option<Micros>, &str), Vec<usize>> = BTreeMap::new();
    for (at, (wanted, found)) in stale.iter().zip(&mut found).enumerate() {
        found.keep_only(&wanted.sends.iter().map(|send| send.path.as_str()).collect());
        let known: HashSet<&str> = found.sends.iter().map(String::as_str).collect();
        for send in wanted.sends.iter().filter(|send| !known.contains(send.path.as_str())) {
            todo.entry((send.min_time, &send.path)).or_default().push(at);
        }
    }
    let mut words: Vec<Words> = found.iter_mut().map(|found| Words::of(std::mem::take(&mut found.words))).collect();
    let mut rows: HashMap<usize, Vec<ReportRow>> = HashMap::new();
    let todo: Vec<(&str, Vec<usize>)> = todo.into_iter().map(|((_, path), reports)| (path, reports)).collect();
    // Segments that the same reports have not seen are looked through with one index.
    for group in todo.chunk_by(|a, b| a.1 == b.1) {
        let Some((_, reports)) = group.first() else { continue };
        rows.retain(|at, _| reports.contains(at));
        for at in reports {
            if !rows.contains_key(at)
                && let Some(wanted) = stale.get(*at)
            {
                rows.insert(*at, scan::reports(&root.join(&wanted.report.path))?);
            }
        }
        let index = Index::new(reports.iter().filter_map(|at| Some((*at, rows.get(at)?.as_slice()))));
        let paths: Vec<&str> = group.iter().map(|(path, _)| *path).collect();
        let Some(hits) = through(root, &paths, &index, limits, threads, stop)? else { return Ok(None) };
        for (path, hits) in paths.iter().zip(hits) {
            for at in reports {
                found[*at].sends.push((*path).to_owned());
            }
            for hit in hits {
                let (into, words) = (&mut found[hit.segment], &mut words[hit.segment]);
                into.candidates.push(Candidate {
                    row: hit.row,
                    keys: hit.keys,
                    message: hit.message,
                    send: u32::try_from(into.sends.len() - 1).unwrap_or(u32::MAX),
                    values: hit.values.map(|value| words.id(&value)),
                });
            }
        }
    }
    for ((wanted, found), words) in stale.iter().zip(&mut found).zip(words) {
        found.words = words.all;
        found.save(root, wanted.report)?;
    }
    Ok(Some(found))
}

/// Looks through some segments of deliveries, on as many threads; `None` where it was stopped.
fn through(
    root: &Path,
    paths: &[&str],
    index: &Index<'_>,
    limits: &Limits,
    threads: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Vec<scan::Hit>>>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Vec<scan::Hit>)>> {
        let mut out = Vec::new();
        while !stop() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(at) else { return Ok(out) };
            out.push((at, scan::deliveries(&root.join(path), index, limits)?));
        }
        Ok(out)
    };
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(paths.len())).map(|_| scope.spawn(work)).collect();
        let mut found = work()?;
        for other in others {
            let other = other.join().unwrap_or_else(|_| Err(std::io::Error::other("looking for links stopped").into()));
            found.extend(other?);
        }
        Ok::<_, super::Error>(found)
    })?;
    found.sort_by_key(|(at, _)| *at);
    Ok((found.len() == paths.len()).then(|| found.into_iter().map(|(_, hits)| hits).collect()))
}

/// Removes what belongs to no segment any more; what was replaced just now may still be read and stays for a while.
fn sweep(root: &Path, manifest: &Manifest) {
    const STAY: std::time::Duration = std::time::Duration::from_secs(600);
    let mut live: HashSet<PathBuf> = HashSet::from([manifest_path(root)]);
    for (path, entry) in &manifest.reports {
        live.insert(root.join(base(path) + ".candidates"));
        for part in &entry.parts {
            live.insert(root.join(&part.path));
            live.insert(root.join(format!("packs/{}", part.path.replace(".parquet", ".pack"))));
        }
    }
    let mut folders = vec![root.join("links"), root.join("packs/links")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_old = || {
                let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
                written.and_then(|written| written.elapsed().ok()).is_some_and(|age| age > STAY)
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if !live.contains(&path) && is_old() {
                std::fs::remove_file(&path).ok();
            }
        }
    }
}

/// Builds the packs of what is known, so that no question has to.
pub fn pack(catalog: &Catalog, limits: &Limits, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
    let attached = attach(&*catalog.snapshot()?, limits).snapshot;
    let made = attached.segments.iter().filter(|segment| segment.link.is_made());
    for segment in made.filter(|segment| segment.rows <= super::pack::MOST_ROWS) {
        let path = attached.root.join(super::pack::path_of(segment));
        if stop() {
            return Ok(());
        }
        if super::pack::Pack::open(path, segment.rows).is_none()
            && let Some(bytes) = super::pack::build(&attached.root, segment, None)?
        {
            super::pack::save(&attached.root, segment, &bytes)?;
        }
    }
    Ok(())
}

/// The snapshot with what is known, made known first where that is little work.
pub fn fresh(catalog: &Catalog, snapshot: &Arc<Snapshot>, limits: &Limits) -> Attached {
    let attached = attach(snapshot, limits);
    if !attached.is_stale || attached.missing > FRESH_ROWS {
        return attached;
    }
    // What cannot be written, as on a full disk, only leaves reports as they are.
    match tidy(catalog, limits, 2, &|| false) {
        Ok(_) => attach(snapshot, limits),
        Err(_) => attached,
    }
}
