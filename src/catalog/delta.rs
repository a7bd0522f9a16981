//! The catalog as two Delta Lake tables, `events/` and `copies/`, which other readers open. The bytes of
//! each log entry are part of the transaction that makes a change visible; [`publish`] then links them into
//! place, and does so again after a crash. Nothing of this is read back by pmtop, except by `fsck`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value, json};

use super::{Error, Result, checkpoint, layout};
use crate::event::{COLUMNS, Micros, Store};

/// The two tables: the folder that each is.
pub const TABLES: [&str; 2] = ["events", "copies"];

/// Columns that name the folder of a segment.
const PARTITIONS: [&str; 2] = ["date", "event_type"];

/// The table of log entries; `payload` is compressed.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS delta_log (
  name TEXT NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (name, version))";

/// Makes sure that both tables have a first version with all that is visible, and the columns of today. A
/// catalog from before there was a log gets one here.
pub fn prepare(db: &Connection, now: Micros) -> Result<()> {
    db.execute_batch(SCHEMA)?;
    let schema = schema_string();
    for table in TABLES {
        let last = last_version(db, table)?;
        let known: Option<String> = meta(db, &format!("delta_schema_{table}"))?;
        if last.is_some() && known.as_deref() == Some(&schema) {
            continue;
        }
        let mut actions = vec![commit_info(now, "CREATE TABLE", 0), metadata(db, table, now)?];
        if last.is_none() {
            actions.insert(1, protocol());
            actions.extend(adds(db, table, "seq_removed IS NULL", 0)?);
        }
        let seq: i64 = db.query_row("SELECT coalesce(max(seq), 0) FROM commits", [], |row| row.get(0))?;
        append(db, table, seq, &actions)?;
        set_meta(db, &format!("delta_schema_{table}"), &schema)?;
    }
    Ok(())
}

/// Adds what one commit changed to the logs, within its transaction. A table that it does not touch gets
/// no version.
pub fn record(db: &Connection, seq: i64, now: Micros) -> Result<()> {
    for table in TABLES {
        let added = adds(db, table, "seq_added = ?1", seq)?;
        let removed = removes(db, table, seq, now)?;
        if added.is_empty() && removed.is_empty() {
            continue;
        }
        let operation = if removed.is_empty() { "WRITE" } else { "MERGE" };
        let mut actions = vec![commit_info(now, operation, seq)];
        actions.extend(removed);
        actions.extend(added);
        append(db, table, seq, &actions)?;
    }
    Ok(())
}

/// Writes the log entries that are not yet in their folders, in order, and a checkpoint when it is time.
/// Any process may do this at any moment.
pub fn publish(root: &Path, db: &Connection) -> Result<()> {
    for table in TABLES {
        let folder = log_folder(root, table);
        let Some(last) = last_version(db, table)? else { continue };
        // Entries are linked in order, so the newest one that is there has all before it.
        let mut first = last + 1;
        while first > 0 && !entry_path(&folder, first - 1).exists() {
            first -= 1;
        }
        for version in first..=last {
            if let Some(bytes) = entry(db, table, version)? {
                link(root, table, version, &bytes)?;
            }
        }
        if checkpoint::is_due(&folder, last) {
            checkpoint::write(root, db, table)?;
        }
    }
    Ok(())
}

/// Puts one entry into its folder, unless it is there already; then it must be the same.
pub fn link(root: &Path, table: &str, version: i64, bytes: &[u8]) -> Result<()> {
    let folder = log_folder(root, table);
    let path = entry_path(&folder, version);
    let disk = |source| Error::Disk { path: path.clone(), source };
    make_folder(&folder).map_err(disk)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(&folder).map_err(disk)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(disk)?;
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read(&path).map_err(disk)? != bytes {
                return Err(Error::ForeignLog { path });
            }
        }
        Err(error) => return Err(disk(error.error)),
    }
    layout::sync_dir(&folder).map_err(disk)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    layout::make_dir(folder)?;
    folder.parent().map_or(Ok(()), layout::sync_dir)
}

/// The folder of a table's log.
pub fn log_folder(root: &Path, table: &str) -> PathBuf {
    root.join(table).join("_delta_log")
}

/// The file of one version.
pub fn entry_path(folder: &Path, version: i64) -> PathBuf {
    folder.join(format!("{version:020}.json"))
}

/// The newest version of a table.
pub fn last_version(db: &Connection, table: &str) -> Result<Option<i64>> {
    Ok(db.query_row("SELECT max(version) FROM delta_log WHERE name = ?1", [table], |row| row.get(0))?)
}

/// The bytes of one version.
pub fn entry(db: &Connection, table: &str, version: i64) -> Result<Option<Vec<u8>>> {
    let packed: Option<Vec<u8>> = db
        .query_row("SELECT payload FROM delta_log WHERE name = ?1 AND version = ?2", params![table, version], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(packed.map(|packed| zstd::decode_all(packed.as_slice())).transpose()?)
}

/// Adds a version that takes a table from where its log leads to what is visible.
pub(super) fn restate(db: &Connection, table: &str, replay: &Replay, seq: i64, now: Micros) -> Result<()> {
    let mut actions = vec![commit_info(now, "FSCK", seq)];
    let mut live = HashSet::new();
    for action in adds(db, table, "seq_removed IS NULL", 0)? {
        let path = format!("{table}/{}", action["add"]["path"].as_str().unwrap_or_default());
        if !replay.live.contains_key(&path) {
            actions.push(action);
        }
        live.insert(path);
    }
    for (_, rows) in replay.live.iter().filter(|(path, _)| !live.contains(*path)) {
        actions.push(remove(table, &rows.segment, now));
    }
    if actions.len() > 1 {
        append(db, table, seq, &actions)?;
    }
    Ok(())
}

/// Takes over what the log says of the table itself.
pub(super) fn adopt(db: &Connection, table: &str, replay: &Replay) -> Result<()> {
    let Some(data) = &replay.metadata else { return Ok(()) };
    let (id, created) = (data["id"].as_str().unwrap_or_default(), data["createdTime"].as_i64().unwrap_or_default());
    set_meta(db, &format!("delta_table_{table}"), &format!("{id} {created}"))?;
    set_meta(db, &format!("delta_schema_{table}"), data["schemaString"].as_str().unwrap_or_default())
}

/// A row of the control database, by column.
pub(super) type Object = Map<String, Value>;

/// What the tags of a segment hold.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Its row in `segments`.
    pub(super) segment: Object,
    /// Its rows in `segment_files`.
    pub(super) parts: Vec<Object>,
    /// The rows in `files` of the files that it has rows of.
    pub(super) files: Vec<Object>,
}

/// What a log leads to: rows of the control database for each live segment and its file.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Path below the catalog's folder → rows of the control database.
    pub(super) live: BTreeMap<String, Rows>,
    metadata: Option<Value>,
}

impl Replay {
    /// Takes in one entry.
    pub(super) fn apply(&mut self, bytes: &[u8]) {
        for mut action in actions(bytes) {
            if let Some(data) = action.get_mut("metaData") {
                self.metadata = Some(data.take());
            } else if let Some(add) = action.get("add") {
                let rows = Rows {
                    segment: tag(add, "pmtop.segment"),
                    parts: tag(add, "pmtop.parts"),
                    files: tag(add, "pmtop.files"),
                };
                let path = rows.segment.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
                // What a damaged entry does not say of itself cannot be used.
                if path.split_once('/').is_some_and(|(_, relative)| add["path"] == *relative) {
                    self.live.insert(path, rows);
                }
            } else if let Some(path) = action["remove"]["path"].as_str() {
                self.live.retain(|live, _| live.split_once('/').is_none_or(|(_, relative)| relative != path));
            }
        }
    }
}

fn tag<T: serde::de::DeserializeOwned + Default>(add: &Value, name: &str) -> T {
    add["tags"][name].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn actions(bytes: &[u8]) -> impl Iterator<Item = Value> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Whether bytes are a whole entry.
pub(super) fn is_entry(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    lines > 0 && actions(bytes).count() == lines
}

/// The commit that an entry belongs to.
pub(super) fn seq_of(bytes: &[u8]) -> i64 {
    let info = actions(bytes).next().unwrap_or_default();
    info["commitInfo"]["operationParameters"]["seq"].as_str().and_then(|seq| seq.parse().ok()).unwrap_or_default()
}

/// When an entry was made.
pub(super) fn time_of(bytes: &[u8]) -> Micros {
    let info = actions(bytes).next().unwrap_or_default();
    info["commitInfo"]["timestamp"].as_i64().unwrap_or_default() * 1000
}

fn append(db: &Connection, table: &str, seq: i64, actions: &[Value]) -> Result<()> {
    let version = last_version(db, table)?.map_or(0, |last| last + 1);
    let mut lines = String::new();
    for action in actions {
        lines.push_str(&action.to_string());
        lines.push('\n');
    }
    insert(db, table, version, seq, lines.as_bytes())
}

/// Keeps the bytes of one version.
pub(super) fn insert(db: &Connection, table: &str, version: i64, seq: i64, bytes: &[u8]) -> Result<()> {
    let mut packer = zstd::Encoder::new(Vec::new(), 3)?;
    packer.include_checksum(true)?;
    packer.write_all(bytes)?;
    let packed = packer.finish()?;
    db.execute(
        "INSERT OR REPLACE INTO delta_log (name, version, seq, payload) VALUES (?1, ?2, ?3, ?4)",
        params![table, version, seq, packed],
    )?;
    Ok(())
}

/// The actions that a reader needs who knows nothing: protocol, columns, and every file there is now.
pub fn state(db: &Connection, table: &str) -> Result<Vec<Value>> {
    let mut actions = vec![protocol(), metadata(db, table, 0)?];
    actions.extend(adds(db, table, "seq_removed IS NULL", 0)?);
    Ok(actions)
}

fn protocol() -> Value {
    json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
}

fn commit_info(now: Micros, operation: &str, seq: i64) -> Value {
    json!({"commitInfo": {
        "timestamp": now / 1000, "operation": operation, "operationParameters": {"seq": seq.to_string()},
        "engineInfo": concat!("pmtop/", env!("CARGO_PKG_VERSION")),
    }})
}

/// The columns; the table keeps its id and its day of creation for ever.
fn metadata(db: &Connection, table: &str, now: Micros) -> Result<Value> {
    let key = format!("delta_table_{table}");
    let known = meta(db, &key)?.and_then(|text| {
        let (id, created) = text.split_once(' ')?;
        Some((id.to_owned(), created.parse::<i64>().ok()?))
    });
    let (id, created) = match known {
        Some(known) => known,
        None => {
            let made = (table_id(table), now / 1000);
            set_meta(db, &key, &format!("{} {}", made.0, made.1))?;
            made
        }
    };
    Ok(json!({"metaData": {
        "id": id, "name": table, "format": {"provider": "parquet", "options": {}}, "schemaString": schema_string(),
        "partitionColumns": PARTITIONS, "configuration": {}, "createdTime": created,
    }}))
}

fn table_id(table: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(format!("{table} {}", super::commit::unique()).as_bytes());
    let part = |shift: u32, bits: u32| hash >> shift & ((1 << bits) - 1);
    let (a, b, c, d, e) = (part(96, 32), part(80, 16), part(64, 12), part(48, 12), part(0, 48));
    format!("{a:08x}-{b:04x}-4{c:03x}-8{d:03x}-{e:012x}")
}

/// The columns of `events` as Delta Lake writes them.
fn schema_string() -> String {
    let fields: Vec<Value> = COLUMNS
        .iter()
        .map(|column| {
            let kind = match column.store {
                Store::Word | Store::Text => "string",
                Store::Time => "timestamp",
                Store::Date => "date",
                Store::Int => "long",
                Store::Flag => "boolean",
            };
            json!({"name": column.name, "type": kind, "nullable": true, "metadata": {}})
        })
        .collect();
    json!({"type": "struct", "fields": fields}).to_string()
}

/// `add` actions of the segments that satisfy a condition (`?1`: a commit's number).
fn adds(db: &Connection, table: &str, condition: &str, seq: i64) -> Result<Vec<Value>> {
    let sql = format!("SELECT * FROM segments WHERE path LIKE ?2 AND {condition} AND ?1 = ?1 ORDER BY id");
    let segments = objects(db, &sql, params![seq, format!("{table}/%")])?;
    let mut files: HashMap<i64, Value> = HashMap::new();
    let mut out = Vec::with_capacity(segments.len());
    for segment in segments {
        let parts = objects(db, "SELECT * FROM segment_files WHERE segment_id = ?1", [int(&segment, "id")])?;
        for part in &parts {
            let file_id = int(part, "file_id");
            if let Entry::Vacant(slot) = files.entry(file_id) {
                let file = objects(db, "SELECT * FROM files WHERE id = ?1", [file_id])?.pop();
                slot.insert(file.unwrap_or_default().into());
            }
        }
        let of: Vec<&Value> = parts.iter().filter_map(|part| files.get(&int(part, "file_id"))).collect();
        let tags = json!({
            "pmtop.files": json!(of).to_string(),
            "pmtop.parts": json!(parts).to_string(),
            "pmtop.segment": Value::from(segment.clone()).to_string(),
        });
        let at: Option<i64> = db
            .query_row("SELECT at FROM commits WHERE seq = ?1", [int(&segment, "seq_added")], |row| row.get(0))
            .optional()?;
        out.push(add(table, &segment, tags, at.unwrap_or_default()));
    }
    Ok(out)
}

/// One `add`; its tags hold the rows of the control database, which can be rebuilt from them.
fn add(table: &str, segment: &Map<String, Value>, tags: Value, at: Micros) -> Value {
    let rows = int(segment, "rows");
    let (min, max) = (time(segment, "min_time"), time(segment, "max_time"));
    let mut stats = json!({
        "numRecords": rows, "minValues": {}, "maxValues": {},
        "nullCount": {"event_time": if min.is_none() { rows } else { 0 }},
    });
    // Statistics are to the millisecond; a bound may be wider than the values, but not narrower.
    if let (Some(min), Some(max)) = (min, max) {
        stats["minValues"]["event_time"] = iso(min.div_euclid(1000)).into();
        stats["maxValues"]["event_time"] = iso((max + 999).div_euclid(1000)).into();
    }
    json!({"add": {
        "path": relative(table, segment), "partitionValues": partition_values(segment), "size": int(segment, "bytes"),
        "modificationTime": at / 1000, "dataChange": true, "stats": stats.to_string(), "tags": tags,
    }})
}

fn removes(db: &Connection, table: &str, seq: i64, now: Micros) -> Result<Vec<Value>> {
    let segments = objects(
        db,
        "SELECT * FROM segments WHERE path LIKE ?2 AND seq_removed = ?1 AND seq_added < ?1 ORDER BY id",
        params![seq, format!("{table}/%")],
    )?;
    Ok(segments.iter().map(|segment| remove(table, segment, now)).collect())
}

fn remove(table: &str, segment: &Map<String, Value>, now: Micros) -> Value {
    json!({"remove": {
        "path": relative(table, segment), "deletionTimestamp": now / 1000, "dataChange": true,
        "extendedFileMetadata": true, "partitionValues": partition_values(segment), "size": int(segment, "bytes"),
    }})
}

fn partition_values(segment: &Map<String, Value>) -> Value {
    let day = segment
        .get("date")
        .and_then(Value::as_i64)
        .and_then(|days| chrono::DateTime::from_timestamp(days * 86_400, 0))
        .map(|day| day.format("%Y-%m-%d").to_string());
    json!({"date": day, "event_type": segment.get("role")})
}

fn relative(table: &str, segment: &Map<String, Value>) -> String {
    let path = segment.get("path").and_then(Value::as_str).unwrap_or_default();
    path.strip_prefix(table).unwrap_or(path).trim_start_matches('/').to_owned()
}

fn iso(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}

fn int(object: &Map<String, Value>, name: &str) -> i64 {
    object.get(name).and_then(Value::as_i64).unwrap_or_default()
}

fn time(object: &Map<String, Value>, name: &str) -> Option<Micros> {
    object.get(name).and_then(Value::as_i64)
}

/// Rows of the control database as JSON, whatever columns they have.
pub(super) fn objects(db: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Map<String, Value>>> {
    let mut statement = db.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map(values, |row| object(row, &names))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn object(row: &Row<'_>, names: &[String]) -> rusqlite::Result<Map<String, Value>> {
    let mut object = Map::new();
    for (index, name) in names.iter().enumerate() {
        let value = match row.get_ref(index)? {
            ValueRef::Integer(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        };
        object.insert(name.clone(), value);
    }
    Ok(object)
}

fn meta(db: &Connection, key: &str) -> Result<Option<String>> {
    Ok(db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

fn set_meta(db: &Connection, key: &str, value: &str) -> Result<()> {
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, value])?;
    Ok(())
}
