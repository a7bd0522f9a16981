//! `pmtop fsck`: proves that the control database, the files that it names and the logs for other readers
//! agree, and says what does not. [`super::repair`] puts right what can be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt32Type};
use parquet::arrow::ProjectionMask;
use rusqlite::Connection;
use serde_json::{Map, Value};

use super::commit::Staging;
use super::control::{self, RollupFile, Segment};
use super::layout::{self, Layout};
use super::locks::Lock;
use super::merge::Shadow;
use super::{Error, Result, checkpoint, checksum, delta, keys, pack, repair, rollup, twice};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, below the catalog's folder.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// What that means for the numbers.
    pub meaning: &'static str,
    /// What `--repair` does about it.
    pub repair: &'static str,
    /// Whether it was done.
    pub repaired: bool,
    pub(super) fix: Fix,
}

/// How a finding is put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// The control database is made anew from the logs.
    Control,
    /// A segment is taken out.
    Segment(Box<Segment>),
    /// The keys of a segment are written anew.
    Keys(Box<Segment>),
    /// The rollups of a day are written anew.
    Rollups(Option<i32>),
    /// An entry of a log is written anew from the control database.
    Entry(&'static str, i64),
    /// An entry of a log is taken over into the control database.
    Payload(&'static str, i64),
    /// The log is told what is visible.
    State(&'static str),
    /// A row of the control database is taken from the log.
    Row { table: &'static str, row: Map<String, Value> },
    /// Rows of a table of the control database are taken as they are.
    Again(&'static str),
    /// A checkpoint is written anew.
    Checkpoint(&'static str),
    /// A pack goes; it is built again when it is asked for.
    Pack,
    /// A file that nothing names goes.
    Orphan,
    /// A file of another program is set aside.
    Aside,
    /// The incidents' database is set aside.
    Incidents,
}

impl Fix {
    const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Control => ("pmtop cannot work on this catalog", "build it anew from the logs in `_delta_log`"),
            Self::Segment(_) => (
                "its rows are lost until their log file is read again",
                "set it aside, serve the rest, and queue its log file again if that is still there",
            ),
            Self::Keys(_) => ("duplicates of its rows may not be recognised", "write it anew from its segment"),
            Self::Rollups(_) => ("counts and latencies of the day may be wrong", "add the day up anew from its rows"),
            Self::Entry(..) => ("other readers may fail or see other rows", "write it anew from control.db"),
            Self::Payload(..) => ("the log cannot be written anew", "take the entry over from `_delta_log`"),
            Self::State(_) => {
                ("other readers see other rows than pmtop", "add a version to the log that puts it right")
            }
            Self::Row { .. } => ("pmtop may count wrongly", "take the row over from the log"),
            Self::Again(_) => ("what is told of a file may be wrong", "take the row as it is"),
            Self::Checkpoint(_) => ("other readers may fail", "write a new checkpoint"),
            Self::Pack => ("answers about its rows may be wrong", "remove it; it is built again from the rows"),
            Self::Orphan => ("it only takes up space", "remove it"),
            Self::Aside => ("the log is not continued", "move it to `damaged/`"),
            Self::Incidents => (
                "incidents cannot be shown; what people noted and what hooks had to tell is in it",
                "move it to `damaged/`; rules find incidents again",
            ),
        }
    }
}

impl Finding {
    fn new(path: impl Into<String>, problem: impl Into<String>, fix: Fix) -> Self {
        let (meaning, repair) = fix.words();
        Self { path: path.into(), problem: problem.into(), meaning, repair, repaired: false, fix }
    }
}

/// What is wrong with the catalog in a folder; with `repair`, what could be put right has been.
pub fn fsck(root: &Path, repair: bool) -> Result<Vec<Finding>> {
    if !root.join("control.db").exists() && !delta::log_folder(root, "events").exists() {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no catalog here");
        return Err(Error::Disk { path: root.to_owned(), source });
    }
    let layout = Layout::create(root).map_err(|source| Error::Disk { path: root.to_owned(), source })?;
    let root = layout.root();
    let readers = layout.lock("readers");
    let readers = if repair { Lock::attempt(&readers)?.ok_or(Error::InUse)? } else { Lock::shared(&readers)? };
    // Nothing becomes visible while this looks on.
    let commit = Lock::wait(&layout.lock("commit"))?;
    control::refuse_newer(&layout.control())?;
    let mut findings = Vec::new();
    let db = match sound(root) {
        Ok(db) => db,
        Err(problem) => {
            let mut finding = Finding::new("control.db", problem, Fix::Control);
            if repair {
                repair::rebuild_control(root)?;
                finding.repaired = true;
            }
            findings.push(finding);
            match (repair, sound(root)) {
                (true, Ok(db)) => db,
                _ => return Ok(findings),
            }
        }
    };
    let mut found = match examine(&layout, &db) {
        Ok(found) => found,
        Err(error) => vec![Finding::new("control.db", format!("it cannot be read: {error}"), Fix::Control)],
    };
    if repair {
        let staging = Staging::create(&layout)?;
        let again = repair::apply(&layout, &staging, &db, &mut found, !findings.is_empty())?;
        drop((staging, db, commit, readers));
        repair::queue_again(root, &again)?;
    }
    findings.extend(found);
    Ok(findings)
}

/// The control database if SQLite finds it whole.
fn sound(root: &Path) -> std::result::Result<Connection, String> {
    if !root.join("control.db").is_file() {
        return Err("the file is missing".to_owned());
    }
    let open = || -> rusqlite::Result<(Connection, String)> {
        let db = Connection::open(root.join("control.db"))?;
        db.busy_timeout(std::time::Duration::from_secs(30))?;
        let verdict = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        db.execute_batch(checksum::SCHEMA)?;
        Ok((db, verdict))
    };
    match open() {
        Ok((db, verdict)) if verdict == "ok" => match control::lacks(&db) {
            Ok(None) => Ok(db),
            Ok(Some(column)) => Err(format!("there is no column {column}")),
            Err(error) => Err(error.to_string()),
        },
        Ok((_, verdict)) => Err(verdict.replace('\n', "; ")),
        Err(error) => Err(error.to_string()),
    }
}

fn examine(layout: &Layout, db: &Connection) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for table in delta::TABLES {
        check_log(layout.root(), db, table, &mut findings)?;
        check_checkpoints(layout.root(), db, table, &mut findings)?;
    }
    if let Some(problem) = super::incidents::fault(&layout.incidents()) {
        findings.push(Finding::new("incidents.db", problem, Fix::Incidents));
    }
    let segments = live_segments(db)?;
    let mut sums = Sums::default();
    let mut damaged_days = BTreeSet::new();
    for segment in &segments {
        if let Some(problem) = segment_fault(layout, db, segment, &mut sums)? {
            damaged_days.insert(segment.date);
            findings.push(Finding::new(&segment.path, problem, Fix::Segment(Box::new(segment.clone()))));
            continue;
        }
        if !pack::is_right(layout.root(), segment)? {
            let problem = "it is not what the rows of its segment add up to";
            findings.push(Finding::new(pack::path_of(segment), problem, Fix::Pack));
        }
        let path = segment.keys_path();
        let problem = match checksum::fault(db, layout.root(), &path)? {
            Some(problem) => Some(problem),
            None => rows_fault(&layout.absolute(&path), segment.rows),
        };
        if let Some(problem) = problem {
            findings.push(Finding::new(path, problem, Fix::Keys(Box::new(segment.clone()))));
        }
    }
    for (table, key) in twice::differing(db)? {
        let problem = format!("row {key} of `{table}` is not what was written");
        findings.push(Finding::new("control.db", problem, Fix::Again(table)));
    }
    check_rollups(layout, db, &sums, &damaged_days, &mut findings)?;
    check_orphans(layout, db, &mut findings)?;
    Ok(findings)
}

/// Every live segment, as the control database has it.
pub(super) fn live_segments(db: &Connection) -> Result<Vec<Segment>> {
    let mut statement = db.prepare(
        "SELECT path, date, role, shadow, rows, bytes FROM segments WHERE seq_removed IS NULL ORDER BY date, path",
    )?;
    let rows = statement.query_map([], |row| {
        let role: String = row.get(2)?;
        let blank = super::commit::blank_segment(row.get(1)?, &role, row.get(3)?);
        Ok(Segment { path: row.get(0)?, rows: row.get(4)?, bytes: row.get(5)?, ..blank })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn live_rollups(db: &Connection) -> Result<Vec<RollupFile>> {
    let mut statement =
        db.prepare("SELECT path, kind, date, rows FROM rollups WHERE seq_removed IS NULL ORDER BY date, path")?;
    let rows = statement.query_map([], |row| {
        Ok(RollupFile { path: row.get(0)?, kind: row.get(1)?, date: row.get(2)?, rows: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Rows of each day.
#[derive(Debug, Default)]
struct Sums(BTreeMap<Option<i32>, Day>);

/// Rows of one day by shadow, role and kind.
type Day = HashMap<(Shadow, String, String), i64>;

impl Sums {
    fn add(&mut self, date: Option<i32>, shadow: Shadow, role: &str, kind: &str, n: i64) {
        *self.0.entry(date).or_default().entry((shadow, role.to_owned(), kind.to_owned())).or_default() += n;
    }

    fn day(&self, date: Option<i32>) -> Day {
        let mut day = self.0.get(&date).cloned().unwrap_or_default();
        day.retain(|_, n| *n != 0);
        day
    }
}

fn segment_fault(layout: &Layout, db: &Connection, segment: &Segment, sums: &mut Sums) -> Result<Option<String>> {
    if let Some(problem) = checksum::fault(db, layout.root(), &segment.path)? {
        return Ok(Some(problem));
    }
    let path = layout.absolute(&segment.path);
    let size = fs::metadata(&path).map_or(-1, |meta| i64::try_from(meta.len()).unwrap_or(-1));
    if size != segment.bytes {
        return Ok(Some(format!("it has {size} bytes and not {}", segment.bytes)));
    }
    if let Some(problem) = rows_fault(&path, segment.rows) {
        return Ok(Some(problem));
    }
    match count_kinds(&path) {
        Ok(kinds) => {
            for (kind, n) in kinds {
                sums.add(segment.date, segment.shadow, &segment.role, &kind, n);
            }
            Ok(None)
        }
        Err(error) => Ok(Some(format!("it cannot be read: {error}"))),
    }
}

/// Reads every page and counts rows by kind.
fn count_kinds(path: &Path) -> Result<HashMap<String, i64>> {
    let mut kinds = HashMap::new();
    for batch in keys::open(path)?.with_batch_size(1 << 14).build()? {
        let batch = batch?;
        let words = text_column(&batch, "kind")?;
        for kind in words.as_string::<i32>().iter() {
            *kinds.entry(kind.unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    Ok(kinds)
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<arrow::array::ArrayRef> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| arrow::error::ArrowError::SchemaError(format!("there is no column `{name}`")))?;
    Ok(cast(column, &DataType::Utf8)?)
}

fn rows_fault(path: &Path, rows: i64) -> Option<String> {
    match keys::open(path) {
        Err(error) => Some(format!("it is no Parquet file any more: {error}")),
        Ok(reader) => {
            let found = reader.metadata().file_metadata().num_rows();
            (found != rows).then(|| format!("it has {found} rows and not {rows}"))
        }
    }
}

fn check_rollups(
    layout: &Layout,
    db: &Connection,
    sums: &Sums,
    damaged: &BTreeSet<Option<i32>>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut found = Sums::default();
    let mut broken = damaged.clone();
    for file in live_rollups(db)? {
        let path = layout.absolute(&file.path);
        let mut problem = checksum::fault(db, layout.root(), &file.path)?.or_else(|| rows_fault(&path, file.rows));
        if problem.is_none() {
            problem = sum_rollup(&path, &file, &mut found).err().map(|error| format!("it cannot be read: {error}"));
        }
        if let Some(problem) = problem {
            broken.insert(file.date);
            findings.push(Finding::new(file.path, problem, Fix::Rollups(file.date)));
        }
    }
    // Rollups are kept for longer than rows: days without any are not compared.
    for date in sums.0.keys().filter(|date| !broken.contains(date)) {
        if sums.day(*date) != found.day(*date) {
            let path = format!("rollups/{}", layout::date_folder(*date));
            let problem = "its counts are not those of the rows of the day";
            findings.push(Finding::new(path, problem, Fix::Rollups(*date)));
        }
    }
    Ok(())
}

fn sum_rollup(path: &Path, file: &RollupFile, sums: &mut Sums) -> Result<()> {
    if file.kind != "counts" {
        // Latencies are read for faults in them; their sums hang on rows without a latency.
        for batch in rollup::read(path)? {
            batch?;
        }
        return Ok(());
    }
    let reader = keys::open(path)?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["event_type", "kind", "shadow", "n"]);
    for batch in reader.with_projection(mask).build()? {
        let batch = batch?;
        let (roles, kinds) = (text_column(&batch, "event_type")?, text_column(&batch, "kind")?);
        let (Some(shadows), Some(counts)) = (batch.column_by_name("shadow"), batch.column_by_name("n")) else {
            return Ok(());
        };
        let (roles, kinds) = (roles.as_string::<i32>(), kinds.as_string::<i32>());
        let shadows = cast(shadows, &DataType::UInt32)?;
        for row in 0..batch.num_rows() {
            let word = |words: &arrow::array::StringArray| {
                if words.is_null(row) { String::new() } else { words.value(row).to_owned() }
            };
            let shadow = shadows.as_primitive::<UInt32Type>().value(row);
            sums.add(file.date, shadow, &word(roles), &word(kinds), counts.as_primitive::<Int64Type>().value(row));
        }
    }
    Ok(())
}

/// The entries of a log against those in the control database, and where they lead against what is visible.
fn check_log(root: &Path, db: &Connection, table: &'static str, findings: &mut Vec<Finding>) -> Result<()> {
    let folder = delta::log_folder(root, table);
    let last = delta::last_version(db, table)?.unwrap_or(-1);
    let name = |version: i64| format!("{table}/_delta_log/{version:020}.json");
    let mut replay = delta::Replay::default();
    for version in 0..=last {
        let kept = delta::entry(db, table, version).ok().flatten().filter(|bytes| delta::is_entry(bytes));
        let shown = fs::read(delta::entry_path(&folder, version)).ok();
        match (&kept, &shown) {
            (Some(kept), Some(shown)) if kept == shown => {}
            (Some(_), None) => {
                findings.push(Finding::new(name(version), "the file is missing", Fix::Entry(table, version)));
            }
            (Some(_), Some(_)) => {
                findings.push(Finding::new(name(version), "it is not what was written", Fix::Entry(table, version)))
            }
            (None, _) => findings.push(Finding::new(
                "control.db",
                format!("its copy of version {version} of {table} is damaged"),
                Fix::Payload(table, version),
            )),
        }
        if let Some(bytes) = kept.or(shown) {
            replay.apply(&bytes);
        }
    }
    for path in folder_files(&folder) {
        let stem = path.strip_suffix(".json").and_then(|stem| stem.parse::<i64>().ok());
        if stem.is_some_and(|version| version > last) {
            let path = format!("{table}/_delta_log/{path}");
            findings.push(Finding::new(path, "another program has written this entry", Fix::Aside));
        } else if path.starts_with(".tmp-") {
            findings.push(Finding::new(format!("{table}/_delta_log/{path}"), "an unfinished file", Fix::Orphan));
        }
    }
    compare_state(db, table, &replay, findings)
}

/// Rows of files that a commit decides once and for all.
const FILE_FACTS: [&str; 7] = ["role", "bytes", "sha256", "rows", "min_time", "max_time", "filled"];

fn compare_state(
    db: &Connection,
    table: &'static str,
    replay: &delta::Replay,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let rows = delta::objects(
        db,
        "SELECT * FROM segments WHERE path LIKE ?1 AND seq_removed IS NULL",
        [format!("{table}/%")],
    )?;
    let mut live = HashSet::new();
    let mut newest: HashMap<i64, (i64, &delta::Object)> = HashMap::new();
    for row in rows {
        let path = row.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        live.insert(path.clone());
        let Some(delta::Rows { segment, files, parts }) = replay.live.get(&path) else {
            findings.push(Finding::new(path, "pmtop sees it, and the log does not name it", Fix::State(table)));
            continue;
        };
        let id = row.get("id").and_then(Value::as_i64).unwrap_or_default();
        let known = delta::objects(db, "SELECT * FROM segment_files WHERE segment_id = ?1", [id])?;
        for part in parts.iter().filter(|part| !known.contains(part)) {
            let problem = format!("whose rows are in segment {path} is not what was written");
            findings.push(Finding::new("control.db", problem, Fix::Row { table: "segment_files", row: part.clone() }));
        }
        if let Some(column) = segment.keys().find(|key| row.get(*key).is_some_and(|value| *value != segment[*key])) {
            let problem = format!("column {column} of segment {path} is not what was written");
            findings.push(Finding::new("control.db", problem, Fix::Row { table: "segments", row: segment.clone() }));
        }
        // A file that is followed grows: what its newest segment says of it holds.
        let added = segment.get("id").and_then(Value::as_i64).unwrap_or_default();
        for file in files {
            let id = file.get("id").and_then(Value::as_i64).unwrap_or_default();
            if newest.get(&id).is_none_or(|(known, _)| *known < added) {
                newest.insert(id, (added, file));
            }
        }
    }
    let done = |file: &delta::Object| {
        file.get("status").and_then(Value::as_str) == Some("done") && file.get("followed") == Some(&Value::from(0))
    };
    for (id, (_, file)) in newest.into_iter().filter(|(_, (_, file))| done(file)) {
        let known = delta::objects(db, "SELECT * FROM files WHERE id = ?1", [id])?.pop().unwrap_or_default();
        let wrong = FILE_FACTS.iter().find(|fact| file.contains_key(**fact) && known.get(**fact) != file.get(**fact));
        if let Some(column) = wrong {
            let problem = format!("column {column} of file {id} is not what was written");
            findings.push(Finding::new("control.db", problem, Fix::Row { table: "files", row: file.clone() }));
        }
    }
    for path in replay.live.keys().filter(|path| !live.contains(*path)) {
        findings.push(Finding::new(path, "the log names it, and pmtop does not see it", Fix::State(table)));
    }
    Ok(())
}

fn check_checkpoints(root: &Path, db: &Connection, table: &'static str, findings: &mut Vec<Finding>) -> Result<()> {
    let prefix = format!("{table}/_delta_log/");
    let mut statement = db.prepare("SELECT path FROM checksums WHERE path LIKE ?1")?;
    let noted: Vec<String> =
        statement.query_map([format!("{prefix}%")], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for path in noted {
        if let Some(problem) = checksum::fault(db, root, &path)? {
            findings.push(Finding::new(path, problem, Fix::Checkpoint(table)));
        }
    }
    let folder = delta::log_folder(root, table);
    let pointer = folder.join(checkpoint::POINTER);
    if pointer.exists()
        && checkpoint::newest(&folder).is_none_or(|version| !checkpoint::path(&folder, version).exists())
    {
        let problem = "it names no checkpoint that is there";
        findings.push(Finding::new(format!("{prefix}{}", checkpoint::POINTER), problem, Fix::Checkpoint(table)));
    }
    Ok(())
}

fn folder_files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn check_orphans(layout: &Layout, db: &Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let mut statement = db.prepare(
        "SELECT path FROM segments UNION ALL SELECT 'keys/' || path FROM segments UNION ALL SELECT path FROM rollups",
    )?;
    let named: HashSet<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut folders = vec!["events".to_owned(), "copies".to_owned(), "rollups".to_owned(), "keys".to_owned()];
    while let Some(folder) = folders.pop() {
        for name in folder_files(&layout.absolute(&folder)) {
            let path = format!("{folder}/{name}");
            if name == "_delta_log" {
                continue;
            }
            if layout.absolute(&path).is_dir() {
                folders.push(path);
            } else if !named.contains(&path) {
                findings.push(Finding::new(path, "nothing names this file", Fix::Orphan));
            }
        }
    }
    Ok(())
}
