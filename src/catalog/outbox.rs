//! What hooks still have to tell and how it ended: the outbox of the incidents' database, in the order in which it was
//! filled.

use rusqlite::{OptionalExtension as _, Row, params};

use super::Result;
use super::incidents::Incidents;
use crate::event::Micros;

/// How it ended: the hook took it.
pub const DELIVERED: &str = "delivered";
/// How it ended: it was tried for as long as the settings say.
pub const GIVEN_UP: &str = "given-up";

/// Something that a hook has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The same for the same happening, however often it is tried.
    pub event_id: String,
    /// The hook's name.
    pub hook: String,
    /// What is told, as JSON.
    pub body: String,
    /// When it is tried first.
    pub next_at: Micros,
}

/// Something told or to be told, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The same for the same happening, however often it is tried.
    pub event_id: String,
    /// The hook's name.
    pub hook: String,
    /// When it was queued.
    pub created_at: Micros,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: Micros,
    /// How it ended: [`DELIVERED`] or [`GIVEN_UP`]; none while it is tried.
    pub outcome: Option<String>,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// Why the last try failed.
    pub error: Option<String>,
}

const COLUMNS: &str = "event_id, hook, created_at, attempts, next_at, outcome, finished_at, error";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        event_id: row.get(0)?,
        hook: row.get(1)?,
        created_at: row.get(2)?,
        attempts: row.get(3)?,
        next_at: row.get(4)?,
        outcome: row.get(5)?,
        finished_at: row.get(6)?,
        error: row.get(7)?,
    })
}

impl Incidents {
    /// What is remembered under a name; the value given, if nothing was until now.
    pub fn settle(&self, name: &str, value: &str) -> Result<String> {
        self.with(|db| {
            db.execute("INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", [name, value])?;
            db.query_row("SELECT value FROM facts WHERE name = ?", [name], |row| row.get(0))
        })
    }

    /// What one hook has to tell and has not, in the order in which it was queued.
    pub fn waiting(&self, hook: &str) -> Result<Vec<Entry>> {
        self.with(|db| {
            let sql = format!("SELECT {COLUMNS} FROM outbox WHERE hook = ? AND outcome IS NULL ORDER BY rowid");
            db.prepare_cached(&sql)?.query_map([hook], entry)?.collect()
        })
    }

    /// Everything that was told or is to be told, the oldest first.
    pub fn told(&self) -> Result<Vec<Entry>> {
        self.with(|db| {
            let sql = format!("SELECT {COLUMNS} FROM outbox ORDER BY rowid");
            db.prepare_cached(&sql)?.query_map([], entry)?.collect()
        })
    }

    /// What an entry says, as JSON.
    pub fn body(&self, event_id: &str, hook: &str) -> Result<Option<String>> {
        self.with(|db| {
            let sql = "SELECT body FROM outbox WHERE event_id = ? AND hook = ?";
            db.query_row(sql, [event_id, hook], |row| row.get(0)).optional()
        })
    }

    /// Whatever was not delivered to a hook (none named: to any) is tried again from now on; how many.
    pub fn try_again(&self, hook: Option<&str>, now: Micros) -> Result<usize> {
        self.with(|db| {
            db.execute(
                "UPDATE outbox SET outcome = NULL, finished_at = NULL, attempts = 0, created_at = ?1, next_at = ?1
                 WHERE (outcome IS NULL OR outcome = ?2) AND (?3 IS NULL OR hook = ?3)",
                params![now, GIVEN_UP, hook],
            )
        })
    }

    /// A try ended, well or for good: one outcome is recorded for each event and hook.
    pub fn finish(&self, event_id: &str, hook: &str, outcome: &str, at: Micros, error: Option<&str>) -> Result<()> {
        self.with(|db| {
            db.execute(
                "UPDATE outbox SET outcome = ?3, finished_at = ?4, error = ?5, attempts = attempts + 1
                 WHERE event_id = ?1 AND hook = ?2 AND outcome IS NULL",
                params![event_id, hook, outcome, at, error],
            )
            .map(drop)
        })
    }

    /// A try failed; there will be another.
    pub fn again(&self, event_id: &str, hook: &str, next_at: Micros, error: &str) -> Result<()> {
        self.with(|db| {
            db.execute(
                "UPDATE outbox SET attempts = attempts + 1, next_at = ?3, error = ?4
                 WHERE event_id = ?1 AND hook = ?2 AND outcome IS NULL",
                params![event_id, hook, next_at, error],
            )
            .map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(event_id: &str) -> Outgoing {
        Outgoing { event_id: event_id.to_owned(), hook: "h".to_owned(), body: "{}".to_owned(), next_at: 5 }
    }

    #[test]
    fn a_happening_is_queued_once_and_has_one_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let db = Incidents::open(&dir.path().join("incidents.db")).unwrap();
        db.replace(&[], &[outgoing("a.opened")], &[]).unwrap();
        db.replace(&[], &[outgoing("a.opened")], &[]).unwrap();
        let waiting = db.waiting("h").unwrap();
        assert_eq!((waiting.len(), waiting[0].next_at), (1, 5));
        db.again("a.opened", "h", 60, "refused").unwrap();
        assert_eq!(db.waiting("h").unwrap()[0].next_at, 60);
        let now = crate::catalog::clock();
        db.finish("a.opened", "h", DELIVERED, now, None).unwrap();
        db.finish("a.opened", "h", GIVEN_UP, now + 1, Some("late")).unwrap();
        db.replace(&[], &[outgoing("a.opened")], &[]).unwrap();
        assert_eq!(db.waiting("h").unwrap(), []);
        assert_eq!(db.told().unwrap()[0].outcome.as_deref(), Some(DELIVERED));
    }

    #[test]
    fn what_was_told_long_ago_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let db = Incidents::open(&dir.path().join("incidents.db")).unwrap();
        db.replace(&[], &["old", "new", "waiting"].map(outgoing), &[]).unwrap();
        let now = crate::catalog::clock();
        db.finish("old", "h", DELIVERED, now - 91 * 86_400_000_000, None).unwrap();
        db.finish("new", "h", GIVEN_UP, now, None).unwrap();
        db.replace(&[], &[], &[]).unwrap();
        let told: Vec<String> = db.told().unwrap().into_iter().map(|entry| entry.event_id).collect();
        assert_eq!(told, ["new", "waiting"]);
    }

    #[test]
    fn what_was_given_up_is_tried_again_and_what_was_delivered_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let db = Incidents::open(&dir.path().join("incidents.db")).unwrap();
        // An escalation sorts before its opening by name, and must not by order.
        let queued = ["b.opened", "b.escalated.high", "a.opened"];
        db.replace(&[], &queued.map(outgoing), &[]).unwrap();
        let waiting = |db: &Incidents| -> Vec<String> {
            db.waiting("h").unwrap().into_iter().map(|entry| entry.event_id).collect()
        };
        assert_eq!(waiting(&db), queued);
        db.finish("b.opened", "h", DELIVERED, 6, None).unwrap();
        db.finish("a.opened", "h", GIVEN_UP, 7, Some("refused")).unwrap();
        assert_eq!(waiting(&db), ["b.escalated.high"]);
        assert_eq!(db.try_again(Some("other"), 8).unwrap(), 0);
        assert_eq!(db.try_again(None, 8).unwrap(), 2);
        assert_eq!(waiting(&db), ["b.escalated.high", "a.opened"]);
        assert_eq!(db.told().unwrap()[0].outcome.as_deref(), Some(DELIVERED));
    }
}
