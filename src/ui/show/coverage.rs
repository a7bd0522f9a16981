//! Which hours of which type of file are in: gaps are seen as gaps, types that were never logged are named.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::map::Map;
use crate::app::{Geometry, State};
use crate::query::question::Answer;
use crate::query::table::Table;
use crate::query::time::HOUR;
use crate::ui::format::thousands;
use crate::ui::panel;
use crate::ui::show::map::{Drawing, Level, Shown, draw as draw_map, time_name};

/// The map; the cell under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let answer = state.answer(index)?;
    let Some(map) = state.map(index) else {
        panel::draw_empty(frame, area, state, "No rows in this scope");
        return None;
    };
    let rows = Rows::of(answer, &map);
    let labels = map
        .values
        .iter()
        .enumerate()
        .map(|(line, value)| if rows.is_empty(line) { format!("{value} n/a") } else { value.clone() })
        .collect();
    let theme = &state.setup.theme;
    let cell = |line: usize, column: usize| {
        let shown = rows.cell(line, column);
        // Many rows are nothing bad.
        let calm = shown.sign.is_none() && shown.level != Level::Nothing;
        Shown { style: calm.then_some(theme.good), ..shown }
    };
    let mut legend = vec![("rows an hour  ".to_owned(), theme.title)];
    for (level, name) in
        [(Level::Calm, "few"), (Level::Raised, "some"), (Level::High, "many"), (Level::Worst, "most of its type")]
    {
        legend.push((format!("{} ", level.sign()), theme.good));
        legend.push((format!("{name}  "), theme.muted));
    }
    legend.push((format!("{GAP} "), theme.danger));
    legend.push(("gap  ".to_owned(), theme.muted));
    legend.push(("· none yet, or no longer".to_owned(), theme.muted));
    let drawing = Drawing { map: &map, labels, cell: &cell, legend };
    let step = draw_map(frame, area, state, index, &drawing, geometry);
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let (line, column) = map.cursor(&panel_state);
    let (value, time) = (map.values.get(line)?, map.times.get(column)?);
    let what = match rows.count(line, column) {
        _ if rows.is_empty(line) => "never logged in this range: numbers that need it are n/a".to_owned(),
        0.0 if rows.is_gap(line, column) => "no rows, with rows before and after: a gap".to_owned(),
        0.0 => "no rows".to_owned(),
        count => format!("{} rows", thousands(count)),
    };
    let merged = if step > 1 { format!(" · a column is {step} h, gaps first") } else { String::new() };
    Some(format!("{} {value}: {what}{merged}", time_name(*time, HOUR)))
}

/// The sign of an hour without rows between hours with some.
const GAP: &str = "!";

/// Rows by line and column.
struct Rows {
    counts: Vec<Vec<f64>>,
    /// First and last column with rows, and the greatest number, by line.
    bounds: Vec<Option<(usize, usize, f64)>>,
}

impl Rows {
    fn of(answer: &Answer, map: &Map) -> Self {
        let table: &Table = &answer.table;
        // A row that counts as another file's event came in all the same.
        let columns = ["rows", "merged_rows"].map(|name| table.column(name));
        let counts: Vec<Vec<f64>> = (0..map.values.len())
            .map(|line| {
                (0..map.times.len())
                    .map(|at| {
                        let row = map.row(line, at).and_then(|row| table.rows.get(row));
                        let number = |column: &Option<usize>| row?.get((*column)?)?.number();
                        columns.iter().filter_map(number).sum()
                    })
                    .collect()
            })
            .collect();
        let bounds = counts
            .iter()
            .map(|counts| {
                let first = counts.iter().position(|count| *count > 0.0)?;
                let last = counts.iter().rposition(|count| *count > 0.0)?;
                Some((first, last, counts.iter().copied().fold(0.0, f64::max)))
            })
            .collect();
        Self { counts, bounds }
    }

    fn bound(&self, line: usize) -> Option<(usize, usize, f64)> {
        self.bounds.get(line).copied().flatten()
    }

    fn is_empty(&self, line: usize) -> bool {
        self.bound(line).is_none()
    }

    fn count(&self, line: usize, column: usize) -> f64 {
        self.counts.get(line).and_then(|counts| counts.get(column)).copied().unwrap_or(0.0)
    }

    fn is_gap(&self, line: usize, column: usize) -> bool {
        self.count(line, column) <= 0.0
            && self.bound(line).is_some_and(|(first, last, _)| (first..last).contains(&column))
    }

    fn cell(&self, line: usize, column: usize) -> Shown {
        let most = self.bound(line).map_or(0.0, |(.., most)| most);
        let count = self.count(line, column);
        if self.is_gap(line, column) {
            return Shown { level: Level::Worst, thin: false, sign: Some(GAP), style: None };
        }
        let level = if count <= 0.0 { Level::Nothing } else { Level::of(count, [most * 0.1, most * 0.4, most * 0.8]) };
        Shown { level, thin: false, sign: None, style: None }
    }
}
