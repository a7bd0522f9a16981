//! Rows of the control database that nothing else can be compared with (files without rows, names, times of
//! receipt, the list of commits) are kept twice, by triggers, so that `fsck` finds a flipped bit in them.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::Result;

/// Table, its key as text, and its columns.
const TABLES: [(&str, &str, &[&str]); 4] = [
    (
        "files",
        "id",
        &[
            "id",
            "name",
            "path",
            "identity",
            "role",
            "bytes",
            "sha256",
            "received_at",
            "status",
            "rows",
            "rejected_rows",
            "min_time",
            "max_time",
            "filled",
            "marks",
            "same_as",
            "followed",
            "reading",
            "error",
            "seq",
        ],
    ),
    ("commits", "seq", &["seq", "at", "what"]),
    ("meta", "key", &["key", "value"]),
    ("rollups", "id", &["id", "path", "kind", "date", "rows", "seq_added", "seq_removed"]),
];

/// What a row says, as an expression.
fn said(prefix: &str, columns: &[&str]) -> String {
    columns.iter().map(|column| format!("quote({prefix}{column})")).collect::<Vec<_>>().join(" || ',' || ")
}

/// Makes sure that rows are kept twice from now on; of tables of which none was, all rows are taken as they are.
pub(super) fn prepare(db: &Connection) -> Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS twice (name TEXT NOT NULL, key TEXT NOT NULL, said TEXT NOT NULL, PRIMARY KEY (name, key))
           WITHOUT ROWID",
    )?;
    for (table, key, columns) in TABLES {
        let there: bool = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1)",
            [format!("{table}_deleted")],
            |row| row.get(0),
        )?;
        if there {
            continue;
        }
        let said = said("new.", columns);
        let forget =
            |row: &str| format!("DELETE FROM twice WHERE name = '{table}' AND key = CAST({row}.{key} AS TEXT);");
        let note = format!("INSERT INTO twice VALUES ('{table}', CAST(new.{key} AS TEXT), {said});");
        db.execute_batch(&format!(
            "CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {} {note} END;
             CREATE TRIGGER {table}_updated AFTER UPDATE ON {table} BEGIN {} {} {note} END;
             CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN {} END;",
            forget("new"),
            forget("old"),
            forget("new"),
            forget("old"),
        ))?;
        again(db, table)?;
    }
    Ok(())
}

/// Takes all rows of a table as they are.
pub(super) fn again(db: &Connection, table: &str) -> Result<()> {
    if table == "twice" {
        let known = TABLES.map(|(name, _, _)| format!("'{name}'")).join(", ");
        db.execute(&format!("DELETE FROM twice WHERE name NOT IN ({known})"), [])?;
    }
    for (name, key, columns) in TABLES.iter().filter(|(name, _, _)| *name == table) {
        restore_text(db, name, key, columns)?;
        db.execute("DELETE FROM twice WHERE name = ?1", [name])?;
        let said = said("", columns);
        db.execute(&format!("INSERT INTO twice SELECT '{name}', CAST({key} AS TEXT), {said} FROM {name}"), [])?;
    }
    Ok(())
}

/// Rows with text that is no UTF-8 any more cannot be read at all: they are set to what was written. `said` is a list of
/// SQL literals, made by SQLite's `quote`.
fn restore_text(db: &Connection, table: &str, key: &str, columns: &[&str]) -> Result<()> {
    let names = columns.join(", ");
    let mut broken = Vec::new();
    let mut statement = db.prepare(&format!("SELECT CAST({key} AS TEXT), {names} FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let is_broken = |column: usize| {
            row.get_ref(column)
                .is_ok_and(|value| matches!(value, ValueRef::Text(text) if std::str::from_utf8(text).is_err()))
        };
        if (1..=columns.len()).any(is_broken)
            && let Ok(key) = row.get::<_, String>(0)
        {
            broken.push(key);
        }
    }
    for found in broken {
        let said = "SELECT said FROM twice WHERE name = ?1 AND key = ?2";
        if let Ok(said) = db.query_row(said, [table, &found], |row| row.get::<_, String>(0)) {
            let update = format!("UPDATE {table} SET ({names}) = ({said}) WHERE CAST({key} AS TEXT) = ?1");
            db.execute(&update, [found])?;
        }
    }
    Ok(())
}

/// Rows that are not what was written: table, and key.
pub(super) fn differing(db: &Connection) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for (table, key, columns) in TABLES {
        let said = said("r.", columns);
        let mut statement = db.prepare(&format!(
            "SELECT CAST(r.{key} AS TEXT) FROM {table} r LEFT JOIN twice t ON t.name = ?1 AND t.key = CAST(r.{key} AS TEXT)
               WHERE t.said IS NOT ({said})
             UNION SELECT t.key FROM twice t WHERE t.name = ?1
               AND NOT EXISTS (SELECT 1 FROM {table} r WHERE CAST(r.{key} AS TEXT) = t.key)",
        ))?;
        let keys = statement.query_map(params![table], |row| row.get::<_, String>(0))?;
        for key in keys {
            found.push((table, key?));
        }
    }
    let known: Vec<&str> = TABLES.iter().map(|(table, _, _)| *table).collect();
    let mut statement = db.prepare("SELECT name, key FROM twice")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows {
        let (name, key) = row?;
        if !known.contains(&name.as_str()) {
            found.push(("twice", key));
        }
    }
    Ok(found)
}
