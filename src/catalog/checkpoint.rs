//! Checkpoints of the Delta Lake logs: the state of a table at one version as Parquet, so that a reader need
//! not go through the whole log. Every entry of the log is kept all the same.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Result, checksum, delta, layout};

/// The file that names the newest checkpoint.
pub const POINTER: &str = "_last_checkpoint";

/// Versions between two checkpoints.
pub const EVERY: i64 = 50;

/// Actions that are decoded at once.
const BATCH: usize = 8192;

/// Whether a table with this newest version wants a checkpoint.
pub fn is_due(folder: &Path, last: i64) -> bool {
    last - newest(folder).unwrap_or(0) >= EVERY
}

/// The version of the newest checkpoint.
pub fn newest(folder: &Path) -> Option<i64> {
    let pointer: Value = serde_json::from_slice(&fs::read(folder.join(POINTER)).ok()?).ok()?;
    pointer.get("version")?.as_i64()
}

/// Writes a checkpoint of a table as it is now, whole or not at all, and points to it.
pub fn write(root: &Path, db: &Connection, table: &str) -> Result<()> {
    let folder = delta::log_folder(root, table);
    // One transaction: the version and the files that belong to it.
    let tx = db.unchecked_transaction()?;
    let Some(version) = delta::last_version(&tx, table)? else { return Ok(()) };
    let actions = delta::state(&tx, table)?;
    tx.commit()?;
    // Another process may have committed in between; it will publish, and write the next checkpoint.
    if !delta::entry_path(&folder, version).exists() {
        return Ok(());
    }
    let batches = decode(&actions)?;
    layout::replace(&path(&folder, version), |file| write_parquet(file, &batches))?;
    let pointer = json!({"version": version, "size": actions.len()}).to_string();
    layout::replace(&folder.join(POINTER), |file| io::Write::write_all(file, pointer.as_bytes()))?;
    checksum::note(db, root, &format!("{table}/_delta_log/{version:020}.checkpoint.parquet"))?;
    checksum::note(db, root, &format!("{table}/_delta_log/{POINTER}"))
}

/// The checkpoint of a version.
pub fn path(folder: &Path, version: i64) -> PathBuf {
    folder.join(format!("{version:020}.checkpoint.parquet"))
}

fn write_parquet(file: &mut File, batches: &[RecordBatch]) -> io::Result<()> {
    let mut writer = ArrowWriter::try_new(file, schema(), None).map_err(io::Error::other)?;
    for batch in batches {
        writer.write(batch).map_err(io::Error::other)?;
    }
    writer.close().map_err(io::Error::other)?;
    Ok(())
}

fn decode(actions: &[Value]) -> Result<Vec<RecordBatch>> {
    let mut decoder = arrow::json::ReaderBuilder::new(schema()).with_batch_size(BATCH).build_decoder()?;
    let mut batches = Vec::new();
    for part in actions.chunks(BATCH) {
        decoder.serialize(part)?;
        batches.extend(decoder.flush()?);
    }
    Ok(batches)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn int(name: &str) -> Field {
    Field::new(name, DataType::Int32, true)
}

fn flag(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

fn map(name: &str) -> Field {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), text("value")]);
    Field::new(name, DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false), true)
}

fn list(name: &str) -> Field {
    Field::new(name, DataType::List(Arc::new(text("element"))), true)
}

fn group(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(Fields::from(fields)), true)
}

/// The columns of a checkpoint, one for each kind of action.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                map("tags"),
                text("stats"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                long("size"),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                list("partitionColumns"),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
    ]))
}
