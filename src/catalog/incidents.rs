//! The incidents' database, `incidents.db` beside the control database: what rules found, what people did about it, and
//! what hooks still have to tell. Kept apart from `control.db`, since nothing in it decides which rows count, and a
//! reader of incidents must never hold up a commit.
//!
//! What an incident says is JSON that only `insight` reads; this knows its name, its time and its fate.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::outbox::Outgoing;
use super::{Error, Result, layout};
use crate::event::Micros;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS incidents (
  id TEXT PRIMARY KEY, rule TEXT NOT NULL, opened_at INTEGER NOT NULL, closed_at INTEGER, body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS marks (
  incident TEXT PRIMARY KEY, acknowledged_at INTEGER, silenced_until INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS notes (
  incident TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
  event_id TEXT NOT NULL, hook TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL, outcome TEXT, finished_at INTEGER, error TEXT,
  PRIMARY KEY (event_id, hook)
) STRICT;
";

/// Silenced until somebody says otherwise.
pub const FOR_EVER: Micros = i64::MAX;

/// An incident as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: String,
    /// The rule that found it.
    pub rule: String,
    /// When it began.
    pub opened_at: Micros,
    /// When it ended.
    pub closed_at: Option<Micros>,
    /// What it says, as JSON.
    pub body: String,
    /// Since when somebody knows.
    pub acknowledged_at: Option<Micros>,
    /// Until when nobody wants to hear of it.
    pub silenced_until: Option<Micros>,
    /// What people wrote: when and what.
    pub notes: Vec<(Micros, String)>,
}

impl Stored {
    /// What has become of it: `open`, `acknowledged`, `silenced` or `resolved`.
    pub fn state(&self, clock: Micros) -> &'static str {
        if self.closed_at.is_some() {
            "resolved"
        } else if self.silenced_until.is_some_and(|until| until > clock) {
            "silenced"
        } else if self.acknowledged_at.is_some() {
            "acknowledged"
        } else {
            "open"
        }
    }
}

/// What is wrong with a database of incidents; none where there is none yet.
pub(super) fn fault(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let look = || -> rusqlite::Result<String> {
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0))
    };
    match look() {
        Ok(verdict) if verdict == "ok" => None,
        Ok(verdict) => Some(verdict.replace('\n', "; ")),
        Err(error) => Some(format!("it cannot be read: {error}")),
    }
}

/// What was told stands in the outbox for so long after it: three months, as events do by default.
const TOLD_KEPT: Micros = 90 * 86_400_000_000;

/// The database of one catalog.
#[derive(Debug)]
pub struct Incidents {
    db: Mutex<Connection>,
}

impl Incidents {
    /// Opens the database, creating it if it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or is of a newer pmtop.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            layout::create_new(path).ok();
        }
        let mut db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // What was told to somebody must not be forgotten with the power, or it would be told twice.
        db.pragma_update(None, "synchronous", "FULL")?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION });
        }
        if version < SCHEMA_VERSION {
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        tx.commit()?;
        Ok(Self { db: Mutex::new(db) })
    }

    pub(super) fn with<T>(&self, run: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        Ok(run(&mut self.db.lock().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// Every incident, the newest first.
    pub fn all(&self) -> Result<Vec<Stored>> {
        self.with(|db| {
            let mut notes = db.prepare_cached("SELECT at, text FROM notes WHERE incident = ? ORDER BY at")?;
            let mut found = db.prepare_cached(
                "SELECT id, rule, opened_at, closed_at, body, acknowledged_at, silenced_until FROM incidents
                 LEFT JOIN marks ON marks.incident = id ORDER BY opened_at DESC, id",
            )?;
            let rows = found.query_map([], |row| {
                Ok(Stored {
                    id: row.get(0)?,
                    rule: row.get(1)?,
                    opened_at: row.get(2)?,
                    closed_at: row.get(3)?,
                    body: row.get(4)?,
                    acknowledged_at: row.get(5)?,
                    silenced_until: row.get(6)?,
                    notes: Vec::new(),
                })
            })?;
            let mut all = rows.collect::<rusqlite::Result<Vec<Stored>>>()?;
            for stored in &mut all {
                let written = notes.query_map([&stored.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                stored.notes = written.collect::<rusqlite::Result<_>>()?;
            }
            Ok(all)
        })
    }

    /// Replaces what rules found: these are all incidents there are. What hooks have to tell of it is queued in the same
    /// transaction; `facts` are remembered with it.
    pub fn replace(&self, all: &[Stored], tell: &[Outgoing], facts: &[(&str, String)]) -> Result<()> {
        self.with(|db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut known = tx.prepare_cached("SELECT id FROM incidents")?;
                let known = known.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                let live: std::collections::HashSet<&str> = all.iter().map(|stored| stored.id.as_str()).collect();
                let mut delete = tx.prepare_cached("DELETE FROM incidents WHERE id = ?")?;
                for id in known.iter().filter(|id| !live.contains(id.as_str())) {
                    delete.execute([id])?;
                }
                let mut put = tx.prepare_cached(
                    "INSERT INTO incidents (id, rule, opened_at, closed_at, body) VALUES (?, ?, ?, ?, ?)
                     ON CONFLICT (id) DO UPDATE SET rule = excluded.rule, opened_at = excluded.opened_at,
                       closed_at = excluded.closed_at, body = excluded.body
                     WHERE body <> excluded.body",
                )?;
                for stored in all {
                    put.execute(params![stored.id, stored.rule, stored.opened_at, stored.closed_at, stored.body])?;
                }
                let mut queue = tx.prepare_cached(
                    "INSERT INTO outbox (event_id, hook, body, created_at, next_at) VALUES (?1, ?2, ?3, ?4, ?4)
                     ON CONFLICT DO NOTHING",
                )?;
                for outgoing in tell {
                    queue.execute(params![outgoing.event_id, outgoing.hook, outgoing.body, outgoing.next_at])?;
                }
                tx.prepare_cached("DELETE FROM outbox WHERE finished_at < ?")?.execute([super::clock() - TOLD_KEPT])?;
                let mut fact = tx.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)")?;
                for (name, value) in facts {
                    fact.execute(params![name, value])?;
                }
            }
            tx.commit()
        })
    }

    /// Remembers something.
    pub fn remember(&self, facts: &[(&str, String)]) -> Result<()> {
        self.with(|db| {
            let mut fact = db.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)")?;
            facts.iter().try_for_each(|(name, value)| fact.execute(params![name, value]).map(drop))
        })
    }

    /// A number that changes whenever another process writes.
    pub fn version(&self) -> Result<i64> {
        self.with(|db| db.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    /// Something remembered.
    pub fn fact(&self, name: &str) -> Result<Option<String>> {
        self.with(|db| db.query_row("SELECT value FROM facts WHERE name = ?", [name], |row| row.get(0)).optional())
    }

    /// Somebody knows of an incident, or takes that back.
    pub fn acknowledge(&self, id: &str, at: Option<Micros>) -> Result<()> {
        self.with(|db| {
            db.execute(
                "INSERT INTO marks (incident, acknowledged_at) VALUES (?1, ?2)
                 ON CONFLICT (incident) DO UPDATE SET acknowledged_at = excluded.acknowledged_at",
                params![id, at],
            )
            .map(drop)
        })
    }

    /// Nobody wants to hear of an incident for a while, or does again.
    pub fn silence(&self, id: &str, until: Option<Micros>) -> Result<()> {
        self.with(|db| {
            db.execute(
                "INSERT INTO marks (incident, silenced_until) VALUES (?1, ?2)
                 ON CONFLICT (incident) DO UPDATE SET silenced_until = excluded.silenced_until",
                params![id, until],
            )
            .map(drop)
        })
    }

    /// Writes something beside an incident.
    pub fn note(&self, id: &str, at: Micros, text: &str) -> Result<()> {
        self.with(|db| {
            db.execute("INSERT INTO notes (incident, at, text) VALUES (?, ?, ?)", params![id, at, text]).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: &str, body: &str) -> Stored {
        Stored {
            id: id.to_owned(),
            rule: "r".to_owned(),
            opened_at: 1,
            closed_at: None,
            body: body.to_owned(),
            acknowledged_at: None,
            silenced_until: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_people_did_outlives_what_rules_say_anew() {
        let dir = tempfile::tempdir().unwrap();
        let db = Incidents::open(&dir.path().join("incidents.db")).unwrap();
        db.replace(&[stored("a", "1"), stored("b", "1")], &[], &[]).unwrap();
        db.acknowledge("a", Some(7)).unwrap();
        db.silence("a", Some(FOR_EVER)).unwrap();
        db.note("a", 8, "called Google").unwrap();
        db.replace(&[stored("a", "2")], &[], &[("generation", "4".to_owned())]).unwrap();
        let again = Incidents::open(&dir.path().join("incidents.db")).unwrap();
        let all = again.all().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].body.as_str(), all[0].acknowledged_at, all[0].silenced_until),
            ("2", Some(7), Some(FOR_EVER))
        );
        assert_eq!(all[0].notes, [(8, "called Google".to_owned())]);
        assert_eq!(again.fact("generation").unwrap().as_deref(), Some("4"));
    }
}
