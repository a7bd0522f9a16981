//! Rows by hour and type of file: where something is missing.

use super::{Asked, time};
use crate::query::field::Field;
use crate::query::measures::Measure;
use crate::query::planner::Needs;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::HOUR;

impl Asked<'_> {
    /// Rows by hour and type.
    pub(super) async fn coverage(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let needs = Needs { latency: false, deferred: false };
        let mut rows: Vec<_> = self
            .grouped(&resolved, Some(Field::Type), Some(HOUR), needs)
            .await?
            .into_iter()
            .map(|((role, hour), counts)| (hour, role, counts.get(Measure::Rows)))
            .filter(|(_, _, rows)| *rows > 0)
            .collect();
        rows.sort();
        let mut table = Table::with_heads([("bucket", Unit::Time), ("event_type", Unit::Text), ("rows", Unit::Count)]);
        for (hour, role, rows) in rows {
            table.rows.push(vec![time(hour), Value::text(role), Value::Int(rows)]);
        }
        Ok(table)
    }
}
