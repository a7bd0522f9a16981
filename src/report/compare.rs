//! Now beside before: the rows of two tables joined by what they are about, with `<name>_before` and
//! `<name>_change` behind every number.

use std::collections::HashMap;
use std::sync::Arc;

use super::cut;
use super::print::text_cell;
use crate::query::field::Field;
use crate::query::question::{Page, Report};
use crate::query::scope::Scope;
use crate::query::table::{Head, Table, Unit, Value};
use crate::query::time::{Micros, floor};

/// The ends of the names of what is added.
pub(super) const BEFORE: &str = "_before";
pub(super) const CHANGE: &str = "_change";

/// Whether a report's rows can be found again in another range.
pub const fn can_compare(report: Report) -> bool {
    !matches!(report, Report::Events | Report::Files)
}

/// Whether a column is one that comparing adds.
pub fn is_added(column: &str) -> bool {
    column.ends_with(BEFORE) || column.ends_with(CHANGE)
}

/// Where the time buckets of both ranges begin.
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    /// Width of the buckets.
    pub width: Micros,
    /// The beginning of the range.
    pub now: Micros,
    /// The beginning of the range compared with.
    pub before: Micros,
    /// The end of the range.
    pub until: Option<Micros>,
}

impl Shift {
    /// A bucket of the range compared with, where it falls in the range: the first on the first.
    const fn bucket(&self, bucket: Micros) -> Micros {
        bucket - floor(self.before, self.width) + floor(self.now, self.width)
    }
}

/// How many columns from the left say what a row is about.
fn keys(report: Report) -> usize {
    match report {
        Report::Totals => 0,
        Report::Operations { by, bucket } => usize::from(by.is_some()) + usize::from(bucket.is_some()),
        Report::Heatmap { .. } | Report::Distribution | Report::Coverage | Report::Percentiles | Report::Rates => 2,
        Report::Replies | Report::Categories { by: None } => 3,
        Report::Categories { by: Some(_) } => 4,
        _ => 1,
    }
}

/// The field whose values make the rows.
pub const fn grouped_by(report: Report) -> Option<Field> {
    match report {
        Report::Operations { by, .. } => by,
        Report::Latency { by } | Report::Domains { by } | Report::Risk { by } | Report::Heatmap { by, .. } => Some(by),
        _ => None,
    }
}

/// Whether a change of a column means anything: numbers, but no bounds and denominators of rates.
fn compares(head: &Head) -> bool {
    let numbers = matches!(head.unit, Unit::Count | Unit::Fraction | Unit::Number | Unit::Millis | Unit::Bytes);
    numbers && !["_of", "_low", "_high", "_deviation"].iter().any(|end| head.name.ends_with(end))
}

/// The text that two rows about the same have in common.
fn key(row: &[Value], columns: &[usize], shift: Option<&Shift>) -> Vec<String> {
    columns
        .iter()
        .map(|column| match (&row[*column], shift) {
            (Value::Time(time), shift) => shift.map_or(*time, |shift| shift.bucket(*time)).to_string(),
            (cell, _) => text_cell(cell),
        })
        .collect()
}

/// `now` with what it was before. A row that was there before only follows behind the others, if `now` is whole.
pub fn join(report: Report, now: Table, before: &Table, shift: Option<Shift>, page: &Page) -> Table {
    let columns: Vec<usize> = match report {
        // `to_ms` of a span follows from `from_ms`.
        Report::Replies => ["reply", "reply_class", "provider"].iter().filter_map(|name| now.column(name)).collect(),
        report => (0..keys(report).min(now.heads.len())).collect(),
    };
    let mut numbers: Vec<usize> =
        (0..now.heads.len()).filter(|column| !columns.contains(column) && compares(&now.heads[*column])).collect();
    if report == Report::Distribution {
        numbers.retain(|column| &*now.heads[*column].name != "to_ms");
    }
    let mut earlier: HashMap<Vec<String>, &Vec<Value>> =
        before.rows.iter().map(|row| (key(row, &columns, shift.as_ref()), row)).collect();
    // What a row without any events says, in either range: 0, or why there is no number.
    let nothing_now: Vec<Value> = (0..now.heads.len()).map(|column| nothing(&now, column)).collect();
    let nothing_before: Vec<Value> = (0..now.heads.len()).map(|column| nothing(before, column)).collect();
    let mut table = Table { heads: now.heads.clone(), rows: Vec::new(), more: now.more };
    for column in &numbers {
        let head = &now.heads[*column];
        for end in [BEFORE, CHANGE] {
            table.heads.push(Head { name: Arc::from(format!("{}{end}", head.name)), unit: head.unit });
        }
    }
    let joined = |mut row: Vec<Value>, then: &[Value]| {
        for column in &numbers {
            let change = change(&row[*column], &then[*column]);
            row.extend([then[*column].clone(), change]);
        }
        row
    };
    for row in now.rows {
        let then = earlier.remove(&key(&row, &columns, None));
        table.rows.push(joined(row, then.unwrap_or(&nothing_before)));
    }
    if now.more || page.offset > 0 {
        return table;
    }
    let mut gone: Vec<&Vec<Value>> = earlier.into_values().collect();
    gone.retain(|row| columns.iter().all(|column| is_inside(&row[*column], shift.as_ref())));
    gone.sort_by_key(|row| before.rows.iter().position(|known| std::ptr::eq(known, *row)));
    for then in gone {
        let mut row = nothing_now.clone();
        for column in &columns {
            row[*column] = match (&then[*column], &shift) {
                (Value::Time(time), Some(shift)) => Value::Time(shift.bucket(*time)),
                (cell, _) => cell.clone(),
            };
        }
        table.rows.push(joined(row, then));
    }
    if page.sort.is_none() {
        in_time(&mut table, report);
    }
    cut(table, &Page { offset: 0, ..page.clone() })
}

/// Puts rows that were added back into the order of time.
fn in_time(table: &mut Table, report: Report) {
    let Some(bucket) = table.column("bucket").filter(|column| *column < keys(report)) else { return };
    let time = |row: &Vec<Value>| match row[bucket] {
        Value::Time(time) => Some(time),
        _ => None,
    };
    if bucket == 1 && matches!(report, Report::Heatmap { .. }) {
        let mut ranks: HashMap<String, usize> = HashMap::new();
        for row in &table.rows {
            let next = ranks.len();
            ranks.entry(text_cell(&row[0])).or_insert(next);
        }
        table.rows.sort_by_key(|row| (ranks.get(&text_cell(&row[0])).copied(), time(row)));
    } else {
        table.rows.sort_by_key(time);
    }
}

/// The range compared with of the values on a page only, where a field may have a value per message.
pub fn narrowed(scope: &Scope, report: Report, now: &Table, page: &Page) -> Scope {
    let mut scope = scope.clone();
    if let Some(by) = grouped_by(report).filter(|by| !by.in_rollup() && page.limit.is_some()) {
        let values = now.rows.iter().filter_map(|row| row.first()).map(text_cell);
        scope = Scope::new(
            scope.time,
            scope
                .filters()
                .iter()
                .filter(|filter| filter.field != by)
                .cloned()
                .chain(values.map(|value| crate::query::filter::Filter::include(by, value))),
        );
    }
    scope
}

/// Whether a cell is no bucket that falls behind the end of the range.
fn is_inside(cell: &Value, shift: Option<&Shift>) -> bool {
    match (cell, shift) {
        (Value::Time(time), Some(shift)) => shift.until.is_none_or(|until| shift.bucket(*time) < until),
        _ => true,
    }
}

fn nothing(table: &Table, column: usize) -> Value {
    let cell = table.rows.first().and_then(|row| row.get(column));
    match (cell, table.heads.get(column).map(|head| head.unit)) {
        (Some(Value::Missing(reason)), _) => Value::Missing(Arc::clone(reason)),
        (Some(_), Some(Unit::Count)) => Value::Int(0),
        _ => Value::Null,
    }
}

fn change(now: &Value, before: &Value) -> Value {
    match (now, before) {
        (Value::Missing(reason), _) | (_, Value::Missing(reason)) => Value::Missing(Arc::clone(reason)),
        (Value::Int(now), Value::Int(before)) => Value::Int(now - before),
        _ => match (now.number(), before.number()) {
            (Some(now), Some(before)) => Value::Float(now - before),
            _ => Value::Null,
        },
    }
}
