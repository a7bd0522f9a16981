//! What `pmtop fsck --repair` does; it is alone in the catalog while it does.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::{Map, Value};

use super::commit::{self, Staging, unique};
use super::control::{self, Segment};
use super::fsck::{Finding, Fix, live_segments};
use super::layout::{self, Layout};
use super::merge::core_key_hash;
use super::{Catalog, Error, Result, checkpoint, checksum, clock, delta, keys, rollup, twice, write};
use crate::event::Kind;
use crate::event::schema::timestamp;

/// Puts right what was found, what others depend on first. `rebuilt`: the control database was made anew, so that
/// what nothing names may be what a damaged log does not tell of any more.
pub(super) fn apply(
    layout: &Layout,
    staging: &Staging,
    db: &Connection,
    findings: &mut [Finding],
    rebuilt: bool,
) -> Result<BTreeSet<i64>> {
    let root = layout.root();
    let mut days = BTreeSet::new();
    let mut again = BTreeSet::new();
    for finding in &mut *findings {
        match &finding.fix {
            Fix::Row { table, row } => restore_row(db, table, row)?,
            Fix::Payload(table, version) => take_over(root, db, table, *version)?,
            Fix::Entry(table, version) => {
                set_aside(layout, &finding.path)?;
                if let Some(bytes) = delta::entry(db, table, *version)? {
                    delta::link(root, table, *version, &bytes)?;
                }
            }
            Fix::Aside => set_aside(layout, &finding.path)?,
            Fix::Incidents => {
                set_aside(layout, &finding.path)?;
                // What SQLite kept beside it belongs to it.
                for ending in ["-wal", "-shm"] {
                    fs::remove_file(layout.absolute(&format!("{}{ending}", finding.path))).ok();
                }
            }
            Fix::Orphan if rebuilt => set_aside(layout, &finding.path)?,
            Fix::Orphan | Fix::Pack => fs::remove_file(layout.absolute(&finding.path))?,
            _ => continue,
        }
        finding.repaired = true;
    }
    for finding in &mut *findings {
        match &finding.fix {
            Fix::Segment(segment) => {
                days.insert(segment.date);
                again.extend(take_out(layout, db, segment)?);
            }
            Fix::Keys(segment) => rebuild_keys(layout, staging, db, segment)?,
            Fix::Rollups(date) => {
                days.insert(*date);
            }
            _ => continue,
        }
        finding.repaired = true;
    }
    for date in days {
        rebuild_rollups(layout, staging, db, date)?;
    }
    for finding in &mut *findings {
        match finding.fix {
            Fix::State(table) => restate(db, table)?,
            Fix::Again(table) => twice::again(db, table)?,
            Fix::Checkpoint(table) => {
                forget_checkpoint(layout, db, &finding.path)?;
                delta::publish(root, db)?;
                checkpoint::write(root, db, table)?;
            }
            _ => continue,
        }
        finding.repaired = true;
    }
    delta::publish(root, db)?;
    Ok(again)
}

/// Moves a file to `damaged/`, where nothing looks; what is not there needs no move.
fn set_aside(layout: &Layout, path: &str) -> Result<()> {
    let folder = layout.absolute("damaged");
    layout::make_dir(&folder)?;
    let from = layout.absolute(path);
    let to = folder.join(format!("{}-{}", unique(), path.replace('/', "-")));
    match fs::rename(&from, to) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Disk { path: from, source }),
        _ => Ok(()),
    }
}

fn begin(db: &Connection, what: &str) -> Result<i64> {
    let seq: i64 = db.query_row("SELECT coalesce(max(seq), 0) + 1 FROM commits", [], |row| row.get(0))?;
    db.execute("INSERT INTO commits (seq, at, what) VALUES (?1, ?2, ?3)", params![seq, clock(), what])?;
    Ok(seq)
}

fn end(db: &Connection, root: &Path, seq: i64) -> Result<()> {
    checksum::record(db, root, seq, &HashMap::new())?;
    delta::record(db, seq, clock())
}

/// Takes a damaged segment out; the ids of the files that it had rows of.
fn take_out(layout: &Layout, db: &Connection, segment: &Segment) -> Result<Vec<i64>> {
    let tx = db.unchecked_transaction()?;
    let files: Vec<(i64, i64)> = tx
        .prepare(
            "SELECT p.file_id, p.rows FROM segment_files p JOIN segments s ON s.id = p.segment_id WHERE s.path = ?1",
        )?
        .query_map([&segment.path], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let seq = begin(&tx, "fsck: a damaged segment is taken out")?;
    tx.execute("UPDATE segments SET seq_removed = ?1 WHERE path = ?2", params![seq, segment.path])?;
    for (id, rows) in &files {
        let error = format!("{rows} rows are lost: their segment was damaged");
        tx.execute("UPDATE files SET error = ?2 WHERE id = ?1", params![id, error])?;
    }
    end(&tx, layout.root(), seq)?;
    tx.commit()?;
    set_aside(layout, &segment.path)?;
    Ok(files.into_iter().map(|(id, _)| id).collect())
}

/// Takes what is left of damaged files out, so that they are read again, where they are still in place.
pub(super) fn queue_again(root: &Path, files: &BTreeSet<i64>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let catalog = Catalog::open(root)?;
    for id in files {
        let file = catalog.control(|control| control.file(*id))?;
        // A member of an archive is named below the archive.
        if !file.is_some_and(|file| Path::new(&file.path).ancestors().any(Path::is_file)) {
            continue;
        }
        commit::remove_file(&catalog, *id, clock())?;
        catalog.control(|control| control.queue_again(*id))?;
    }
    Ok(())
}

/// Adds a day up anew from its rows.
fn rebuild_rollups(layout: &Layout, staging: &Staging, db: &Connection, date: Option<i32>) -> Result<()> {
    let mut builder = rollup::Builder::default();
    for segment in live_segments(db)?.iter().filter(|segment| segment.date == date) {
        for batch in keys::open(&layout.absolute(&segment.path))?.with_batch_size(1 << 16).build()? {
            builder.add(&batch?, segment.shadow, 1)?;
        }
    }
    let files = builder.write(staging.path(), &format!("f-{}", unique()))?;
    for (from, file) in &files {
        layout::publish(from, &layout.absolute(&file.path))?;
    }
    let tx = db.unchecked_transaction()?;
    let seq = begin(&tx, "fsck: rollups of a day are built anew")?;
    tx.execute("UPDATE rollups SET seq_removed = ?1 WHERE seq_removed IS NULL AND date IS ?2", params![seq, date])?;
    for (_, file) in &files {
        tx.execute(
            "INSERT INTO rollups (path, kind, date, rows, seq_added) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![file.path, file.kind, file.date, file.rows, seq],
        )?;
    }
    end(&tx, layout.root(), seq)?;
    tx.commit()?;
    Ok(())
}

fn rebuild_keys(layout: &Layout, staging: &Staging, db: &Connection, segment: &Segment) -> Result<()> {
    let mut hashes = Vec::new();
    for batch in keys::open(&layout.absolute(&segment.path))?.with_batch_size(1 << 16).build()? {
        hashes.extend(key_hashes(&batch?)?);
    }
    let column: ArrayRef = Arc::new(UInt64Array::from(hashes));
    let from = staging.path().join(format!("{}.keys.parquet", unique()));
    write::write_rollup(&from, &RecordBatch::try_new(write::keys_schema(), vec![column])?)?;
    layout::publish(&from, &layout.absolute(&segment.keys_path()))?;
    checksum::note(db, layout.root(), &segment.keys_path())
}

/// The hashes that were written beside the rows when they came in.
fn key_hashes(batch: &RecordBatch) -> Result<Vec<u64>> {
    let column = |name: &str, kind: &DataType| -> Result<ArrayRef> {
        let column = batch
            .column_by_name(name)
            .ok_or_else(|| arrow::error::ArrowError::SchemaError(format!("there is no column `{name}`")))?;
        Ok(cast(column, kind)?)
    };
    let times = column("event_time", &timestamp())?;
    let words = ["kind", "recipient", "queue"].map(|name| column(name, &DataType::Utf8));
    let [kinds, recipients, queues] = words;
    let (kinds, recipients, queues) = (kinds?, recipients?, queues?);
    let (kinds, recipients, queues) =
        (kinds.as_string::<i32>(), recipients.as_string::<i32>(), queues.as_string::<i32>());
    let hash = |(row, time): (usize, Option<i64>)| {
        let queue_error = kinds.value(row) == Kind::QueueError.as_str();
        // A cell without a value is empty here.
        let who = if queue_error { queues.value(row) } else { recipients.value(row) };
        Kind::parse(kinds.value(row)).map_or(0, |kind| core_key_hash(kind, time, who))
    };
    Ok(times.as_primitive::<TimestampMicrosecondType>().iter().enumerate().map(hash).collect())
}

/// Adds a version to a log that leads to what is visible.
fn restate(db: &Connection, table: &str) -> Result<()> {
    let tx = db.unchecked_transaction()?;
    let mut replay = delta::Replay::default();
    for version in 0..=delta::last_version(&tx, table)?.unwrap_or(-1) {
        if let Some(bytes) = delta::entry(&tx, table, version)? {
            replay.apply(&bytes);
        }
    }
    let seq = begin(&tx, "fsck: the log is told what is visible")?;
    delta::restate(&tx, table, &replay, seq, clock())?;
    tx.commit()?;
    Ok(())
}

fn forget_checkpoint(layout: &Layout, db: &Connection, path: &str) -> Result<()> {
    set_aside(layout, path)?;
    db.execute("DELETE FROM checksums WHERE path = ?1", [path])?;
    Ok(())
}

fn take_over(root: &Path, db: &Connection, table: &str, version: i64) -> Result<()> {
    let bytes = fs::read(delta::entry_path(&delta::log_folder(root, table), version)).unwrap_or_default();
    if delta::is_entry(&bytes) {
        delta::insert(db, table, version, delta::seq_of(&bytes), &bytes)?;
    }
    Ok(())
}

/// Writes a row into the control database, as far as its table has the columns.
fn restore_row(db: &Connection, table: &str, row: &Map<String, Value>) -> Result<()> {
    let known: BTreeSet<String> = db
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let columns: Vec<&String> = row.keys().filter(|column| known.contains(*column)).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let values = columns.iter().map(|column| match &row[*column] {
        Value::Number(number) => number.as_i64().map_or(Cell::Null, Cell::Integer),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Bool(flag) => Cell::Integer(i64::from(*flag)),
        _ => Cell::Null,
    });
    let key = if known.contains("id") { "id" } else { "segment_id, file_id" };
    let updates: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {}",
        names.join(", "),
        updates.join(", ")
    );
    if columns.is_empty() {
        return Ok(());
    }
    match db.execute(&sql, params_from_iter(values)) {
        // A damaged log may tell of half a row: it is left out, and what it stood for is set aside.
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::ConstraintViolation => {
            Ok(())
        }
        other => Ok(other.map(|_| ())?),
    }
}

/// Makes the control database anew from the logs: files, segments, commits. The damaged one is set aside;
/// rollups are built from the rows.
pub(super) fn rebuild_control(root: &Path) -> Result<()> {
    let layout = Layout::create(root)?;
    let fresh: PathBuf = layout.absolute(&format!("control.db.{}", unique()));
    let db = Connection::open(&fresh)?;
    let tx = db.unchecked_transaction()?;
    control::create_tables(&tx)?;
    for table in delta::TABLES {
        let folder = delta::log_folder(root, table);
        let mut replay = delta::Replay::default();
        for version in 0.. {
            let Ok(bytes) = fs::read(delta::entry_path(&folder, version)) else { break };
            if !delta::is_entry(&bytes) {
                break;
            }
            let seq = delta::seq_of(&bytes);
            delta::insert(&tx, table, version, seq, &bytes)?;
            tx.execute(
                "INSERT OR IGNORE INTO commits (seq, at, what) VALUES (?1, ?2, 'from the log')",
                params![seq, delta::time_of(&bytes)],
            )?;
            replay.apply(&bytes);
        }
        delta::adopt(&tx, table, &replay)?;
        // In the order in which they were added: what the newest segment says of a file holds.
        let mut live: Vec<&delta::Rows> = replay.live.values().collect();
        live.sort_by_key(|rows| rows.segment.get("id").and_then(Value::as_i64));
        for delta::Rows { segment, parts, files } in live {
            for file in files {
                restore_row(&tx, "files", file)?;
            }
            restore_row(&tx, "segments", segment)?;
            for part in parts {
                restore_row(&tx, "segment_files", part)?;
            }
            if let Some(path) = segment.get("path").and_then(Value::as_str) {
                for path in [path.to_owned(), format!("keys/{path}")] {
                    // What is not there is found by the check that follows.
                    checksum::note(&tx, root, &path).ok();
                }
            }
        }
    }
    tx.commit()?;
    drop(db);
    for name in ["control.db", "control.db-wal", "control.db-shm"] {
        set_aside(&layout, name)?;
    }
    layout::publish(&fresh, &layout.control())?;
    Ok(())
}
