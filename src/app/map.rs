//! A map of values by time, from an answer's rows: which rows and columns it has, gaps included, where
//! its cursor stands, and what a box on it selects. Moving and drawing both read it here.

use std::collections::HashMap;

use crate::app::board::{PanelState, filter_text};
use crate::event::Role;
use crate::query::question::{Answer, Bucket, Question, Report};
use crate::query::time::{HOUR, Micros, TimeRange, floor};

/// The column with the beginning of each cell's time.
pub const BUCKET: &str = "bucket";

/// Most cells beside each other; beyond them a map says nothing any more.
const MOST_TIMES: usize = 10_000;

/// A map of values by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// The values, from the top; empty for rows that have none.
    pub values: Vec<String>,
    /// The beginnings of the cells, from the left, without gaps.
    pub times: Vec<Micros>,
    /// How much time a cell is.
    pub width: Micros,
    rows: HashMap<(usize, usize), usize>,
}

/// A box on a map, or the stretch of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The first and last row.
    pub rows: (usize, usize),
    /// The first and last column.
    pub columns: (usize, usize),
}

impl Map {
    /// The map of an answer; `None` where it holds nothing.
    pub fn of(answer: &Answer, question: &Question) -> Option<Self> {
        let table = &answer.table;
        let key = match question.report {
            Report::Heatmap { by, .. } => Some(by.report_name()),
            Report::Coverage => Some("event_type".to_owned()),
            _ => None,
        };
        let bucket = table.column(BUCKET)?;
        let at = |row: usize| table.rows.get(row).and_then(|cells| cells.get(bucket)).and_then(time_of);
        let first = (0..table.rows.len()).filter_map(at).min()?;
        let last = (0..table.rows.len()).filter_map(at).max()?;
        let width = match question.report {
            Report::Coverage => HOUR,
            Report::Heatmap { bucket: Bucket::Fixed(width), .. } => width.micros(),
            _ => narrowest((0..table.rows.len()).filter_map(at)),
        };
        let from = answer.range.0.map_or(first, |from| floor(from, width)).min(first);
        let until = answer.range.1.unwrap_or(last + 1).max(last + 1);
        let from = from.max(until - width.saturating_mul(Micros::try_from(MOST_TIMES).unwrap_or(Micros::MAX)));
        let mut times = Vec::new();
        let mut time = from;
        while time < until && times.len() < MOST_TIMES {
            times.push(time);
            time += width;
        }
        let mut values: Vec<String> = match question.report {
            Report::Coverage => Role::ALL.iter().map(|role| role.as_str().to_owned()).collect(),
            _ => Vec::new(),
        };
        let mut known: HashMap<String, usize> =
            values.iter().enumerate().map(|(at, value)| (value.clone(), at)).collect();
        let key = key.and_then(|key| table.column(&key));
        let mut rows = HashMap::new();
        for (row, cells) in table.rows.iter().enumerate() {
            let Some(time) = cells.get(bucket).and_then(time_of) else { continue };
            let value = key.and_then(|key| cells.get(key)).map(filter_text).unwrap_or_default();
            let line = *known.entry(value).or_insert_with_key(|value| {
                values.push(value.clone());
                values.len() - 1
            });
            if let Ok(column) = usize::try_from((time - from).div_euclid(width)) {
                rows.insert((line, column), row);
            }
        }
        Some(Self { values, times, width, rows })
    }

    /// The answer's row behind a cell.
    pub fn row(&self, line: usize, column: usize) -> Option<usize> {
        self.rows.get(&(line, column)).copied()
    }

    /// The column of a time; the newest where none is chosen.
    pub fn column(&self, time: Option<Micros>) -> usize {
        let last = self.times.len().saturating_sub(1);
        time.map_or(last, |time| self.times.partition_point(|begin| *begin <= time).saturating_sub(1).min(last))
    }

    /// The cell under the cursor.
    pub fn cursor(&self, state: &PanelState) -> (usize, usize) {
        (state.cursor.min(self.values.len().saturating_sub(1)), self.column(state.time))
    }

    /// What the box from the mark to the cursor holds, if there is a mark.
    pub fn selection(&self, state: &PanelState) -> Option<Selection> {
        let (row, time) = state.mark?;
        let (at, column) = self.cursor(state);
        let (row, from) = (row.min(self.values.len().saturating_sub(1)), self.column(Some(time)));
        Some(Selection { rows: (row.min(at), row.max(at)), columns: (from.min(column), from.max(column)) })
    }

    /// The time range of columns.
    pub fn range(&self, columns: (usize, usize)) -> Option<TimeRange> {
        let (from, last) = (*self.times.get(columns.0)?, *self.times.get(columns.1)?);
        Some(TimeRange::Between(Some(from), Some(last + self.width)))
    }
}

fn time_of(value: &crate::query::table::Value) -> Option<Micros> {
    use crate::query::table::Value;
    match value {
        Value::Time(at) | Value::Int(at) => Some(*at),
        _ => None,
    }
}

/// The smallest distance between two times.
fn narrowest(times: impl Iterator<Item = Micros>) -> Micros {
    let mut times: Vec<Micros> = times.collect();
    times.sort_unstable();
    times.dedup();
    times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::field::Field;
    use crate::query::scope::Scope;
    use crate::query::table::{Table, Unit, Value};
    use crate::query::time::Width;

    fn map() -> Map {
        let mut table = Table::with_heads([("provider", Unit::Text), (BUCKET, Unit::Time)]);
        for (value, hour) in [("Yahoo", 1), ("Yahoo", 4), ("", 2)] {
            table.rows.push(vec![Value::text(value), Value::Time(hour * HOUR)]);
        }
        let answer = Answer { table, range: (Some(HOUR / 2), Some(6 * HOUR)), ..Answer::default() };
        let report = Report::Heatmap { by: Field::Provider, bucket: Bucket::Fixed(Width::Hour), latency: true };
        Map::of(&answer, &Question::new(report, Scope::default())).unwrap()
    }

    #[test]
    fn hours_without_rows_have_their_place() {
        let map = map();
        assert_eq!(map.times, (0..6).map(|hour| hour * HOUR).collect::<Vec<_>>());
        assert_eq!(map.values, ["Yahoo", ""]);
        assert_eq!((map.row(0, 4), map.row(0, 3), map.row(1, 2)), (Some(1), None, Some(2)));
    }

    #[test]
    fn a_box_spans_from_its_mark_to_the_cursor() {
        let map = map();
        let state = PanelState { cursor: 1, time: Some(2 * HOUR), mark: Some((0, 4 * HOUR)), ..PanelState::default() };
        let selection = map.selection(&state).unwrap();
        assert_eq!(selection, Selection { rows: (0, 1), columns: (2, 4) });
        assert_eq!(map.range(selection.columns), Some(TimeRange::Between(Some(2 * HOUR), Some(5 * HOUR))));
    }

    #[test]
    fn without_a_choice_the_cursor_stands_on_the_newest_cell() {
        assert_eq!(map().cursor(&PanelState::default()), (0, 5));
    }
}
