//! The moment at which files come or go: rows are merged with those of other files, segments and rollups
//! get into place, and one transaction says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::checksum::Sum;
use super::control::{Change, Control, FileDone, FileRow, Leaving, Link, RollupFile, Segment};
use super::keep::{JOINED_ROWS, SMALL_ROWS, join};
use super::layout::{self, Layout};
use super::locks::Lock;
use super::merge::Shadow;
use super::moves::{Source, find_moves, rewrite};
use super::states::Prints;
use super::write::Staged;
use super::{Catalog, Error, Result, rollup};
use crate::event::Micros;
use crate::event::file_status::Status;

/// A file that is ready to become visible.
#[derive(Debug)]
pub struct Incoming {
    /// Its id.
    pub file_id: i64,
    /// What it was found to be.
    pub done: FileDone,
    /// Its rows.
    pub segments: Vec<Staged>,
    /// What they add up to.
    pub rollup: rollup::Builder,
    /// Hashes of beginnings of its content that are as long as visible files are.
    pub beginnings: Vec<(u64, String)>,
    /// Whether its content ends without a newline, so that the last row may lack its end.
    pub cut: bool,
    /// How it comes.
    pub arrival: Arrival,
}

/// How rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A finished file.
    Whole,
    /// The beginning of a file that is followed while it is written, perhaps in place of what was followed
    /// of it before.
    Followed {
        /// That file's id.
        replaces: Option<i64>,
    },
    /// More of a file that is followed.
    More,
}

/// What came of a commit.
#[derive(Debug)]
pub enum Outcome {
    /// The file is visible.
    Done {
        /// The commit's number.
        generation: u64,
        /// Rows of this file that are copies of other files' events.
        merged: i64,
    },
    /// Another file with this content is visible already; nothing was changed.
    Duplicate(Box<FileRow>),
    /// A visible file begins with this content: it is a later state of the same file.
    Contained(Box<FileRow>),
}

/// A folder of its own for files that are being written; removed when dropped, and by the
/// next start after a crash.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    _lock: Lock,
}

impl Staging {
    /// A fresh folder below `staging/`.
    pub fn create(layout: &Layout) -> Result<Self> {
        loop {
            let folder = layout.staging().join(unique());
            // The lock comes first: a folder that is there without a lock belongs to the dead.
            let lock = Lock::wait(&lock_of(&folder))?;
            // A process that starts may have taken the lock file, not yet locked, for one of the dead.
            if lock_of(&folder).exists() {
                layout::make_dir(&folder)?;
                // If the power fails, too, the next start has to see that somebody was at work.
                layout::sync_dir(&layout.staging())?;
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next start.
        fs::remove_dir_all(&self.folder).ok();
        fs::remove_file(lock_of(&self.folder)).ok();
    }
}

/// The lock of a staging folder, beside it.
pub(super) fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// A name that no other process and no earlier run uses.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a file visible. A visible file whose content it begins with leaves in the same commit (SPEC §2.5:
/// a file that grew adds only what is new).
pub fn commit_file(catalog: &Catalog, staging: &Staging, incoming: Incoming, now: Micros) -> Result<Outcome> {
    match commit_files(catalog, staging, vec![incoming], now).pop() {
        Some(Said::Outcome(outcome)) => outcome,
        _ => Err(Error::Overtaken),
    }
}

/// What is said of one of several files.
#[derive(Debug)]
pub enum Said {
    /// What came of it.
    Outcome(Result<Outcome>),
    /// It has to do with another of them: it is to be brought again, now that that one is visible.
    Later(Box<Incoming>),
}

/// Makes files visible in one transaction, as far as they have nothing to do with each other: what comes of each is
/// what would come of it alone.
pub fn commit_files(catalog: &Catalog, staging: &Staging, files: Vec<Incoming>, now: Micros) -> Vec<Said> {
    let mut said: Vec<Option<Said>> = files.iter().map(|_| None).collect();
    if let Err(error) = try_commit(catalog, staging, files, &mut said, now) {
        let left = said.iter().filter(|said| said.is_none()).count();
        let mut error = Some(error);
        let shared = if left > 1 { error.take().map(Arc::new) } else { None };
        for slot in said.iter_mut().filter(|said| said.is_none()) {
            let error = match &shared {
                Some(error) => Error::Together(Arc::clone(error)),
                None => error.take().unwrap_or(Error::Overtaken),
            };
            *slot = Some(Said::Outcome(Err(error)));
        }
    }
    said.into_iter().map(|said| said.unwrap_or(Said::Outcome(Err(Error::Overtaken)))).collect()
}

fn try_commit(
    catalog: &Catalog,
    staging: &Staging,
    files: Vec<Incoming>,
    said: &mut [Option<Said>],
    now: Micros,
) -> Result<()> {
    let layout = catalog.layout();
    let _lock = Lock::wait(&layout.lock("commit"))?;
    let (_, live, _) = catalog.control(Control::live)?;
    let live: Vec<Source> = live.into_iter().map(|segment| Source::live(layout, segment)).collect();
    let floor = catalog.control(|control| control.floor())?;
    let (mut places, mut batch, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
    let mut later: Vec<(usize, Incoming)> = Vec::new();
    for (place, mut incoming) in files.into_iter().enumerate() {
        let others = batch.iter().chain(later.iter().map(|(_, incoming)| incoming));
        if !leaving.is_empty() || are_related(others, &incoming)? {
            later.push((place, incoming));
            continue;
        }
        match judge(catalog, &live, &mut incoming) {
            Ok(Verdict::Known(outcome)) => said[place] = Some(Said::Outcome(Ok(outcome))),
            Ok(Verdict::New(replaced)) if replaced.is_empty() || batch.is_empty() => {
                floor.into_iter().for_each(|floor| leave_out_old(&mut incoming, floor));
                leaving = replaced;
                places.push(place);
                batch.push(incoming);
            }
            Ok(Verdict::New(_)) => later.push((place, incoming)),
            Err(error) => said[place] = Some(Said::Outcome(Err(error))),
        }
    }
    let what = match batch.as_slice() {
        [] => String::new(),
        [file] if file.arrival == Arrival::More => format!("file {} goes on", file.file_id),
        [file] => format!("file {}", file.file_id),
        [first, ..] => format!("{} files, the first is {}", batch.len(), first.file_id),
    };
    if !batch.is_empty() {
        let (generation, merged) = apply(catalog, staging, live, batch, leaving, what, now)?;
        for (place, merged) in places.into_iter().zip(merged) {
            said[place] = Some(Said::Outcome(Ok(Outcome::Done { generation, merged })));
        }
    }
    for (place, incoming) in later {
        said[place] = Some(Said::Later(Box::new(incoming)));
    }
    Ok(())
}

/// What a new file is to those that are visible.
enum Verdict {
    /// Its rows are there.
    Known(Outcome),
    /// It brings rows, and takes the place of some files.
    New(Vec<Leaving>),
}

fn judge(catalog: &Catalog, live: &[Source], incoming: &mut Incoming) -> Result<Verdict> {
    if incoming.arrival == Arrival::More {
        catalog.control(|control| control.add_up(incoming.file_id, &mut incoming.done))?;
        return Ok(Verdict::New(Vec::new()));
    }
    if let Some(known) = catalog.control(|control| control.known_content(&incoming.done.sha256))? {
        return Ok(Verdict::Known(Outcome::Duplicate(Box::new(known))));
    }
    let mut shorter: HashSet<i64> =
        catalog.control(|control| control.grown_from(&incoming.beginnings))?.into_iter().collect();
    if let Arrival::Followed { replaces: Some(id) } = incoming.arrival {
        shorter.insert(id);
    }
    if let Some(longer) = other_states(catalog, live, incoming, &mut shorter)?
        && let Some(known) = catalog.control(|control| control.file(longer))?
    {
        return Ok(Verdict::Known(Outcome::Contained(Box::new(known))));
    }
    if shorter.is_empty() {
        return Ok(Verdict::New(Vec::new()));
    }
    let name = catalog.control(|control| control.file(incoming.file_id))?.map_or_else(String::new, |file| file.name);
    let leaving = shorter.into_iter().map(|id| Leaving {
        id,
        status: Status::Duplicate,
        why: format!("it grew: its rows are in {name}"),
        same_as: Some(incoming.file_id),
    });
    Ok(Verdict::New(leaving.collect()))
}

/// Whether a file has the content of one of some others that are not visible yet, or is another state of it.
fn are_related<'f>(others: impl Iterator<Item = &'f Incoming>, file: &Incoming) -> Result<bool> {
    let begins =
        |short: &Incoming, long: &Incoming| long.beginnings.iter().any(|(_, sha256)| *sha256 == short.done.sha256);
    for other in others {
        if other.done.sha256 == file.done.sha256 || begins(other, file) || begins(file, other) {
            return Ok(true);
        }
        let shared = other.done.marks.len().min(file.done.marks.len());
        if shared == 0 || other.done.marks[shared - 1] != file.done.marks[shared - 1] {
            continue;
        }
        let (short, long) = if other.done.bytes < file.done.bytes { (other, file) } else { (file, other) };
        let prints = |of: &Incoming, last| {
            let fresh: Vec<Source> = of.segments.iter().map(Source::of).collect();
            Prints::of(fresh.iter(), of.file_id, last)
        };
        let own = prints(short, None)?;
        if own.begin(&prints(long, own.last())?, true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the rows of files out of the catalog, and brings back what they had shadowed.
pub fn remove_file(catalog: &Catalog, id: i64, now: Micros) -> Result<()> {
    let layout = catalog.layout();
    let _lock = Lock::wait(&layout.lock("commit"))?;
    let Some(file) = catalog.control(|control| control.file(id))? else { return Ok(()) };
    if file.status != Status::Done {
        return catalog.control(|control| control.hide_file(id));
    }
    if catalog.control(|control| control.hand_over(id, now))? {
        return Ok(());
    }
    let staging = Staging::create(layout)?;
    let (_, live, _) = catalog.control(Control::live)?;
    let live = live.into_iter().map(|segment| Source::live(layout, segment)).collect();
    let leaving = vec![Leaving { id, status: Status::Removed, why: String::new(), same_as: None }];
    apply(catalog, &staging, live, Vec::new(), leaving, format!("file {id} removed"), now)?;
    fs::remove_file(layout.rejects().join(format!("file-{id}.csv"))).ok();
    Ok(())
}

/// Rows of days whose events have left by retention stay out: their rollups are there already.
fn leave_out_old(incoming: &mut Incoming, floor: i32) {
    let (old, kept): (Vec<Staged>, Vec<Staged>) = std::mem::take(&mut incoming.segments)
        .into_iter()
        .partition(|staged| staged.segment.date.is_some_and(|date| date < floor));
    incoming.segments = kept;
    let rows: i64 = old.iter().map(|staged| staged.segment.rows).sum();
    if rows > 0 {
        incoming.rollup.forget_before(floor);
        let done = &mut incoming.done;
        done.rows -= rows;
        if !done.error.is_empty() {
            done.error.push_str("; ");
        }
        done.error.push_str(&format!("{rows} rows are older than what `retention` keeps and were left out"));
    }
}

/// Looks for other states of a new file: the id of a visible one that begins with its content; visible
/// ones that its content begins with are added to `shorter`.
fn other_states(
    catalog: &Catalog,
    live: &[Source],
    incoming: &Incoming,
    shorter: &mut HashSet<i64>,
) -> Result<Option<i64>> {
    let done = &incoming.done;
    let bytes = done.bytes.unsigned_abs();
    if done.rows == 0 {
        return Ok(None);
    }
    let states = catalog.control(|control| control.other_states(bytes, &done.marks))?;
    if states.iter().all(|state| shorter.contains(&state.id)) {
        return Ok(None);
    }
    let fresh: Vec<Source> = incoming.segments.iter().map(Source::of).collect();
    let own = Prints::of(fresh.iter(), incoming.file_id, None)?;
    for state in states {
        if state.bytes > bytes && state.rows + 1 >= done.rows {
            let longer = Prints::of(live.iter(), state.id, own.last())?;
            if own.begin(&longer, incoming.cut) {
                return Ok(Some(state.id));
            }
        } else if state.bytes < bytes && done.rows >= state.rows && !shorter.contains(&state.id) {
            let known = Prints::of(live.iter(), state.id, None)?;
            if known.begin(&own, false) {
                shorter.insert(state.id);
            }
        }
    }
    Ok(None)
}

/// Brings files in and takes files out, in one commit; its number, and how many rows of each new file are
/// copies. To be called under the commit lock.
fn apply(
    catalog: &Catalog,
    staging: &Staging,
    live: Vec<Source>,
    incoming: Vec<Incoming>,
    leaving: Vec<Leaving>,
    what: String,
    now: Micros,
) -> Result<(u64, Vec<i64>)> {
    let layout = catalog.layout();
    let mut sources: Vec<Source> =
        incoming.iter().flat_map(|incoming| incoming.segments.iter().map(Source::of)).collect();
    sources.extend(live);
    let gone: HashSet<i64> = leaving.iter().map(|file| file.id).collect();
    let followed = incoming.iter().any(|incoming| incoming.arrival != Arrival::Whole);
    let (mut files, mut rollup) = (Vec::with_capacity(incoming.len()), rollup::Builder::default());
    for incoming in incoming {
        files.push((incoming.file_id, incoming.done));
        rollup.join(incoming.rollup);
    }
    let moves = find_moves(catalog, &sources, &gone, &files)?;

    let mut change = Change { what, followed, leaving, ..Change::default() };
    let mut places: Vec<Staged> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        match moves.get(&index) {
            Some(moved) => {
                places.extend(rewrite(staging, source, moved, &mut rollup)?);
                if !source.fresh() {
                    change.removed.push(source.segment.path.clone());
                }
            }
            None => places.extend(source.staged.clone()),
        }
    }
    if files.len() > 1 {
        places = join_small(staging, places)?;
    }
    let merged = files
        .iter()
        .map(|(id, _)| {
            let copies = places.iter().filter(|staged| !staged.segment.is_events());
            copies.map(|staged| staged.segment.rows_of(*id)).sum()
        })
        .collect();
    let rollups = rollup.write(staging.path(), &unique())?;
    place(layout, &places, &rollups)?;
    change.sums = sums_of(&places);
    change.files = files;
    change.added = places.into_iter().map(|staged| staged.segment).collect();
    change.rollups = rollups.into_iter().map(|(_, rollup)| rollup).collect();
    let generation = catalog.control(|control| control.commit(&change, now))?;
    Ok((generation, merged))
}

/// What the files of segments hash to, by the paths that they will have.
pub(super) fn sums_of(segments: &[Staged]) -> HashMap<String, Sum> {
    let both = |staged: &Staged| {
        let [rows, keys] = staged.sums;
        [(staged.segment.path.clone(), rows), (staged.segment.keys_path(), keys)]
    };
    segments.iter().flat_map(both).collect()
}

/// Joins what several files bring of one day, role and shadow, so that a burst of small files does not leave as
/// many small segments.
fn join_small(staging: &Staging, places: Vec<Staged>) -> Result<Vec<Staged>> {
    let mut groups: BTreeMap<_, Vec<Staged>> = BTreeMap::new();
    let (small, mut joined): (Vec<Staged>, Vec<Staged>) =
        places.into_iter().partition(|staged| staged.segment.rows < SMALL_ROWS);
    for staged in small {
        let segment = &staged.segment;
        groups.entry((segment.date, segment.role.clone(), segment.shadow)).or_default().push(staged);
    }
    for ((date, role, shadow), mut group) in groups {
        while !group.is_empty() {
            let mut rows = 0;
            let count = group.iter().take_while(|staged| {
                rows += staged.segment.rows;
                rows <= JOINED_ROWS
            });
            let rest = group.split_off(count.count());
            if group.len() == 1 {
                joined.append(&mut group);
            } else {
                let parts: Vec<(PathBuf, PathBuf)> =
                    group.into_iter().map(|staged| (staged.path, staged.keys)).collect();
                joined.push(join(staging, &parts, blank_segment(date, &role, shadow))?);
            }
            group = rest;
        }
    }
    Ok(joined)
}

/// Renames finished files to where the commit will say they are, and makes them and their names durable.
pub(super) fn place(layout: &Layout, segments: &[Staged], rollups: &[(PathBuf, RollupFile)]) -> Result<()> {
    let keys = segments.iter().map(|staged| (&staged.keys, staged.segment.keys_path()));
    let rows = segments.iter().map(|staged| (&staged.path, staged.segment.path.clone()));
    let rollups = rollups.iter().map(|(from, rollup)| (from, rollup.path.clone()));
    let mut folders = layout::Folders::default();
    segments.iter().try_for_each(Staged::sync)?;
    for (from, to) in keys.chain(rows).chain(rollups) {
        let to = layout.absolute(&to);
        folders.publish(from, &to).map_err(|source| Error::Disk { path: to, source })?;
    }
    folders.sync()?;
    Ok(())
}

/// A segment without rows.
pub fn blank_segment(date: Option<i32>, role: &str, shadow: Shadow) -> Segment {
    Segment {
        path: String::new(),
        files: Vec::new(),
        date,
        role: role.to_owned(),
        shadow,
        rows: 0,
        bytes: 0,
        min_time: None,
        max_time: None,
        by_type: [0; 8],
        link: Link::Plain,
    }
}

/// Where a segment belongs: `events/…` or `copies/…`, by date and role.
pub fn segment_path(segment: &Segment, name: &str) -> String {
    let table = if segment.is_events() { "events" } else { "copies" };
    format!("{table}/{}/{name}.parquet", layout::partition(segment.date, &segment.role))
}
