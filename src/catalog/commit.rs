//! The moment at which files come or go: rows are merged with those of other files, segments and rollups
//! get into place, and one transaction says so.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::checksum::Sum;
use super::control::{Change, Control, FileDone, FileRow, Leaving, RollupFile, Segment};
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
pub fn commit_file(catalog: &Catalog, staging: &Staging, mut incoming: Incoming, now: Micros) -> Result<Outcome> {
    let layout = catalog.layout();
    let _lock = Lock::wait(&layout.lock("commit"))?;
    if incoming.arrival != Arrival::More
        && let Some(known) = catalog.control(|control| control.known_content(&incoming.done.sha256))?
    {
        return Ok(Outcome::Duplicate(Box::new(known)));
    }
    let (_, live, _) = catalog.control(Control::live)?;
    let live: Vec<Source> = live.into_iter().map(|segment| Source::live(layout, segment)).collect();
    if incoming.arrival == Arrival::More {
        let what = format!("file {} goes on", incoming.file_id);
        catalog.control(|control| control.add_up(incoming.file_id, &mut incoming.done))?;
        let (generation, merged) = apply(catalog, staging, live, Some(incoming), Vec::new(), what, now)?;
        return Ok(Outcome::Done { generation, merged });
    }
    let mut shorter: HashSet<i64> =
        catalog.control(|control| control.grown_from(&incoming.beginnings))?.into_iter().collect();
    if let Arrival::Followed { replaces: Some(id) } = incoming.arrival {
        shorter.insert(id);
    }
    if let Some(longer) = other_states(catalog, &live, &incoming, &mut shorter)?
        && let Some(known) = catalog.control(|control| control.file(longer))?
    {
        return Ok(Outcome::Contained(Box::new(known)));
    }
    let name = catalog.control(|control| control.file(incoming.file_id))?.map_or_else(String::new, |file| file.name);
    let leaving = shorter
        .into_iter()
        .map(|id| Leaving {
            id,
            status: Status::Duplicate,
            why: format!("it grew: its rows are in {name}"),
            same_as: Some(incoming.file_id),
        })
        .collect();
    catalog.control(|control| control.floor())?.into_iter().for_each(|floor| leave_out_old(&mut incoming, floor));
    let what = format!("file {}", incoming.file_id);
    let (generation, merged) = apply(catalog, staging, live, Some(incoming), leaving, what, now)?;
    Ok(Outcome::Done { generation, merged })
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
    apply(catalog, &staging, live, None, leaving, format!("file {id} removed"), now)?;
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

/// Brings a file in and takes files out, in one commit; its number, and how many rows of the new file are
/// copies. To be called under the commit lock.
fn apply(
    catalog: &Catalog,
    staging: &Staging,
    live: Vec<Source>,
    incoming: Option<Incoming>,
    leaving: Vec<Leaving>,
    what: String,
    now: Micros,
) -> Result<(u64, i64)> {
    let layout = catalog.layout();
    let nothing = FileDone::default();
    let mut sources: Vec<Source> =
        incoming.iter().flat_map(|incoming| incoming.segments.iter().map(Source::of)).collect();
    sources.extend(live);
    let gone: HashSet<i64> = leaving.iter().map(|file| file.id).collect();
    let coming = incoming.as_ref().map_or((-1, &nothing), |incoming| (incoming.file_id, &incoming.done));
    let moves = find_moves(catalog, &sources, &gone, coming)?;

    let followed = incoming.as_ref().is_some_and(|incoming| incoming.arrival != Arrival::Whole);
    let (file, mut rollup) = match incoming {
        Some(incoming) => (Some((incoming.file_id, incoming.done)), incoming.rollup),
        None => (None, rollup::Builder::default()),
    };
    let new_file = file.as_ref().map_or(-1, |(id, _)| *id);
    let mut change = Change { what, file, followed, leaving, ..Change::default() };
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
    let merged =
        places.iter().filter(|staged| !staged.segment.is_events()).map(|staged| staged.segment.rows_of(new_file)).sum();
    let rollups = rollup.write(staging.path(), &unique())?;
    place(layout, &places, &rollups)?;
    change.sums = sums_of(&places);
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

/// Renames finished files, once they are durable, to where the commit will say they are, and makes their names durable.
pub(super) fn place(layout: &Layout, segments: &[Staged], rollups: &[(PathBuf, RollupFile)]) -> Result<()> {
    segments.iter().try_for_each(|staged| staged.durable.wait())?;
    let keys = segments.iter().map(|staged| (&staged.keys, staged.segment.keys_path()));
    let rows = segments.iter().map(|staged| (&staged.path, staged.segment.path.clone()));
    let rollups = rollups.iter().map(|(from, rollup)| (from, rollup.path.clone()));
    let mut folders = layout::Folders::default();
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
    }
}

/// Where a segment belongs: `events/…` or `copies/…`, by date and role.
pub fn segment_path(segment: &Segment, name: &str) -> String {
    let table = if segment.is_events() { "events" } else { "copies" };
    format!("{table}/{}/{name}.parquet", layout::partition(segment.date, &segment.role))
}
