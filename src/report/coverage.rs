//! Rows by hour and type of file, hours without any among them: where something is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Asked, arrange, time};
use crate::catalog::clock;
use crate::catalog::control::FileRow;
use crate::event::{Micros, Role};
use crate::query::field::Field;
use crate::query::measures::Measure;
use crate::query::planner::Needs;
use crate::query::question::Failure;
use crate::query::raw::Resolved;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::{DAY, HOUR, MINUTE, floor};

/// Rows are counted by quarters of an hour, so that an hour that is half there can be told.
const QUARTER: Micros = 15 * MINUTE;

/// Of longer ranges only hours with rows are listed: one stray row of years ago is no gap of years.
const MOST_GAPS: Micros = 400 * DAY;

/// What is there of an hour.
#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    rows: i64,
    /// Rows that count as events of another type's file.
    merged: i64,
    quarters: i64,
    first: Option<Micros>,
    last: Option<Micros>,
}

impl Asked<'_> {
    /// Rows by hour and type; a type that was never logged has one row without an hour.
    pub(super) async fn coverage(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let grouped = self.grouped(&resolved, Some(Field::Type), Some(QUARTER), Needs::default()).await?;
        let mut hours: BTreeMap<(Micros, Role), Hour> = BTreeMap::new();
        for ((role, quarter), counts) in &grouped {
            let rows = counts.get(Measure::Rows);
            let merged = counts.get(Measure::Merged);
            let quarter = quarter.filter(|_| rows + merged > 0);
            let (Some(role), Some(quarter)) = (Role::parse(role), quarter) else { continue };
            let hour = hours.entry((floor(quarter, HOUR), role)).or_default();
            hour.merged += merged;
            if rows == 0 {
                continue;
            }
            hour.rows += rows;
            hour.quarters += 1;
            hour.first = Some(hour.first.map_or(quarter, |first| first.min(quarter)));
            hour.last = hour.last.max(Some(quarter));
        }
        let files = self.engine.catalog().files().map_err(Failure::from_catalog)?;
        let roles: Vec<Role> = Role::ALL.iter().copied().filter(|role| resolved.roles & role.bit() != 0).collect();
        let (logged, never): (Vec<Role>, Vec<Role>) = roles.into_iter().partition(|role| {
            self.snapshot.segments.iter().any(|segment| segment.role == role.as_str() && resolved.admits(segment))
        });
        for hour in self.hours() {
            for role in &logged {
                hours.entry((hour, *role)).or_default();
            }
        }
        let mut table = Table::with_heads([
            ("bucket", Unit::Time),
            ("event_type", Unit::Text),
            ("rows", Unit::Count),
            ("quarters", Unit::Count),
            ("first", Unit::Time),
            ("last", Unit::Time),
            ("files", Unit::Count),
            ("rejected_rows", Unit::Count),
            ("merged_rows", Unit::Count),
        ]);
        let files = self.files_by_role(&resolved, &files);
        for ((bucket, role), hour) in hours {
            let (n, rejected) = files.of(role, bucket);
            table.rows.push(vec![
                time(Some(bucket)),
                Value::text(role.as_str()),
                Value::Int(hour.rows),
                Value::Int(hour.quarters),
                time(hour.first),
                time(hour.last),
                Value::Int(n),
                Value::Int(rejected),
                Value::Int(hour.merged),
            ]);
        }
        for role in never {
            let missing = || Value::Missing(Arc::from(format!("no rows of type {role} were ever logged")));
            let mut row = vec![Value::Null, Value::text(role.as_str()), missing(), missing()];
            row.extend([Value::Null, Value::Null, missing(), missing(), missing()]);
            table.rows.push(row);
        }
        Ok(arrange(table, self.page, None))
    }

    /// The hours of the scope between the oldest event and the newest, or the scope's end if that is later.
    fn hours(&self) -> impl Iterator<Item = Micros> + use<> {
        let bounds = self.snapshot.bounds().map(|(oldest, newest)| {
            let from = self.range.0.map_or(oldest, |from| from.max(oldest));
            let until = self.range.1.map_or(newest + 1, |until| until.min(clock().max(newest + 1)));
            (floor(from, HOUR), until)
        });
        let (from, until) = bounds.filter(|(from, until)| until - from <= MOST_GAPS).unwrap_or((0, 0));
        (0..).map(move |hour| from + hour * HOUR).take_while(move |hour| *hour < until)
    }
}

/// Files by role and time.
struct FilesByRole(Vec<FileSpan>);

struct FileSpan {
    role: Role,
    from: Micros,
    until: Micros,
    /// Its rejected rows; of a file with rows of several roles only under one of them.
    rejected: i64,
}

impl Asked<'_> {
    fn files_by_role(&self, resolved: &Resolved, files: &[FileRow]) -> FilesByRole {
        let held: BTreeSet<(i64, Role)> = self
            .snapshot
            .segments
            .iter()
            .filter(|segment| resolved.admits(segment))
            .filter_map(|segment| Some((segment, Role::parse(&segment.role)?)))
            .flat_map(|(segment, role)| segment.files.iter().map(move |file| (file.id, role)))
            .collect();
        let by_id: BTreeMap<i64, &FileRow> = files.iter().map(|file| (file.id, file)).collect();
        let mut told = BTreeSet::new();
        let span = |(id, role): (i64, Role)| {
            let file = by_id.get(&id)?;
            let rejected = if told.insert(id) { file.rejected_rows } else { 0 };
            Some(FileSpan { role, from: file.min_time?, until: file.max_time?, rejected })
        };
        FilesByRole(held.into_iter().filter_map(span).collect())
    }
}

impl FilesByRole {
    /// How many files of a role reach into an hour, and the rejected rows of those that begin in it.
    fn of(&self, role: Role, hour: Micros) -> (i64, i64) {
        self.0
            .iter()
            .filter(|file| file.role == role && file.from < hour + HOUR && file.until >= hour)
            .fold((0, 0), |(n, rejected), file| (n + 1, rejected + if file.from >= hour { file.rejected } else { 0 }))
    }
}
