//! A table with a cursor: numbers to the right, the worst marked, columns dropped by priority where the
//! screen is narrow, never the name.

use std::collections::HashMap;
use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::board::{PanelState, before_rows, column_names, dashboard, filter_text, group, is_shown};
use crate::app::map::BUCKET;
use crate::app::slot::Slot;
use crate::app::{Geometry, State, View};
use crate::dashboard::{Col, Good, Kind, Panel};
use crate::query::question::Answer;
use crate::query::table::{Table, Unit, Value};
use crate::text::display;
use crate::ui::format::{Change, MIN_N, Worse, compare_name, left, rate, right, spark, thousands, value, width};
use crate::ui::show::{cell_text, nameless, scroll};
use crate::ui::{cells, panel, put};

/// Numbers that are judged by themselves: from here on worth a look, from there on bad.
const LIMITS: &[(&str, f64, f64)] = &[("latency_deviation", 2.0, 5.0), ("risk_score", 30.0, 60.0)];

/// Fewer than these are too few to call a change.
const FEW: f64 = 20.0;

/// No column of words is wider than this, unless there is room to spare.
const WORDS: usize = 32;

/// From this width on changes have columns of their own; below it a sign stands beside the number.
const CHANGES_FROM: u16 = 90;

struct Cell {
    text: String,
    /// A sign beside the number, in a column of its own so that digits stay below digits.
    mark: String,
    style: Option<Style>,
}

/// What the rows of a table are drawn with besides themselves.
struct Beside<'a> {
    /// The key column.
    key: &'a str,
    /// Rows of what is compared with, by the text in the key column.
    before: HashMap<String, usize>,
    /// Whether changes have columns of their own.
    changes: bool,
    /// The courses of the leading rows.
    courses: Option<Courses<'a>>,
    /// Columns of a sparkline.
    spark: usize,
}

impl Beside<'_> {
    fn before(&self, answer: &Answer, row: usize) -> Option<usize> {
        self.before.get(&filter_text(answer.table.cell(row, self.key))).copied()
    }
}

/// Values by time of the leading rows: each row's places in another answer, by its name.
struct Courses<'a> {
    answer: &'a Answer,
    rows: HashMap<String, Vec<(i64, usize)>>,
    times: Vec<i64>,
}

impl<'a> Courses<'a> {
    fn of(answer: &'a Answer, key: &str) -> Option<Self> {
        let (key, bucket) = (answer.table.column(key)?, answer.table.column(BUCKET)?);
        let mut rows: HashMap<String, Vec<(i64, usize)>> = HashMap::new();
        let mut times = Vec::new();
        for (row, cells) in answer.table.rows.iter().enumerate() {
            let Some(Value::Time(at) | Value::Int(at)) = cells.get(bucket) else { continue };
            rows.entry(cells.get(key).map(filter_text).unwrap_or_default()).or_default().push((*at, row));
            times.push(*at);
        }
        times.sort_unstable();
        times.dedup();
        Some(Self { answer, rows, times })
    }

    /// The bars of a row's column; nothing for rows behind the leading ones.
    fn spark(&self, name: &str, column: &str, columns: usize) -> String {
        let Some(rows) = self.rows.get(name) else { return String::new() };
        let by_time: HashMap<i64, usize> = rows.iter().copied().collect();
        let numbers: Vec<Option<f64>> = self
            .times
            .iter()
            .map(|at| by_time.get(at).and_then(|row| self.answer.table.cell(*row, column).number()))
            .collect();
        spark(&numbers, columns)
    }
}

/// The table; what is under the cursor, read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (panel, columns, index): (&Panel, &[Col], usize),
    geometry: &mut Geometry,
) -> Option<String> {
    let answer = state.answer(index)?;
    let table = &answer.table;
    if table.is_empty() {
        panel::draw_empty(frame, area, state, "Nothing in this scope");
        return None;
    }
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let names = column_names(panel, &panel_state);
    let focused = state.board().focus == index;
    let rows = usize::from(area.height.saturating_sub(1));
    let cursor = panel_state.cursor.min(table.rows.len() - 1);
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, table.rows.len());
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });

    let key = names.first().map_or("", String::as_str);
    let courses = state.board().slot(dashboard(state.tab), index, 1).and_then(Slot::shown_answer);
    let beside = Beside {
        key,
        before: before_rows(answer, key),
        changes: columns.iter().any(|column| column.kind == Kind::Change) && area.width >= CHANGES_FROM,
        courses: courses.and_then(|answer| Courses::of(answer, key)),
        spark: usize::from(area.width / 9).clamp(8, 24),
    };
    let shown: Vec<usize> = (top..table.rows.len().min(top + rows)).collect();
    let grid: Vec<Vec<Cell>> = shown
        .iter()
        .map(|row| {
            columns
                .iter()
                .zip(&names)
                .map(|(column, name)| cell(state, answer, *row, (column, name), &beside))
                .collect()
        })
        .collect();
    let grid = align_marks(grid);
    let titles: Vec<String> = columns
        .iter()
        .zip(&names)
        .map(|(column, name)| {
            let title = match group(panel, &panel_state) {
                Some(field) if column.column == "*" => field.name(),
                _ => column.title,
            };
            let mark =
                if matches!(column.kind, Kind::Value | Kind::Change) { sort_mark(&panel_state, name) } else { "" };
            format!("{title}{mark}")
        })
        .collect();
    let mut kept = keep(area, columns, &widths(&titles, &grid), &panel_state, &names);
    let narrow = area.width < CHANGES_FROM;
    kept.retain(|(at, _)| {
        columns.get(*at).is_some_and(|column| {
            is_shown(column, state.compare) && !(narrow && column.kind == Kind::Change && *at != panel_state.column)
        })
    });
    draw_grid(
        frame,
        area,
        state,
        columns,
        &titles,
        &grid,
        &kept,
        focused.then_some((cursor - top, panel_state.column)),
    );
    readout(state, answer, cursor, (columns, &names, panel_state.column), &beside)
}

fn sort_mark(state: &PanelState, name: &str) -> &'static str {
    match &state.sort {
        Some(sort) if sort.column == name => {
            if sort.descending {
                "▾"
            } else {
                "▴"
            }
        }
        _ => "",
    }
}

/// The text of a grouping value; empty where the rows have none.
fn name(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::Text(words) if words.is_empty() => String::new(),
        cell => value(cell, Unit::Text),
    }
}

fn cell(state: &State, answer: &Answer, row: usize, (column, column_name): (&Col, &str), beside: &Beside<'_>) -> Cell {
    let theme = &state.setup.theme;
    let table = &answer.table;
    let cell = table.cell(row, column_name);
    if column.column == "*" {
        let text = name(cell);
        let (text, style) = if text.is_empty() { (nameless(column_name), Some(theme.muted)) } else { (text, None) };
        return Cell { text, mark: String::new(), style };
    }
    match column.kind {
        Kind::Change => return change_cell(state, answer, row, column, beside),
        Kind::Course => {
            let name = filter_text(table.cell(row, beside.key));
            let text = beside.courses.as_ref().map(|courses| courses.spark(&name, column.column, beside.spark));
            return Cell { text: text.unwrap_or_default(), mark: String::new(), style: Some(theme.line(0)) };
        }
        Kind::Trend => {
            let numbers: Vec<Option<f64>> =
                cell.as_text().unwrap_or_default().split_whitespace().map(|number| number.parse().ok()).collect();
            return Cell { text: spark(&numbers, beside.spark), mark: String::new(), style: Some(theme.line(0)) };
        }
        Kind::Badge(letter) => {
            let text = if *cell == Value::Flag(true) { letter } else { "" };
            let style = if column.good == Good::Down { theme.warn } else { theme.text };
            return Cell { text: text.to_owned(), mark: String::new(), style: Some(style) };
        }
        // A row that was there only before has no score, so no sum either.
        Kind::Sum(_) if !answer.table.cell(row, column.column).is_there() => {
            return Cell { text: String::new(), mark: String::new(), style: None };
        }
        Kind::Sum(terms) => {
            let terms: Vec<String> = terms.iter().map(|term| value(table.cell(row, term), Unit::Number)).collect();
            return Cell { text: format!("= {}", terms.join(" + ")), mark: String::new(), style: Some(theme.muted) };
        }
        Kind::Value => {}
    }
    let mut text = cell_text(table, row, column_name, column.unit);
    if !cell.is_there() {
        return Cell { text, mark: String::new(), style: Some(theme.muted) };
    }
    // A percentile of a handful is one message's bad luck.
    let thin = is_thin(answer, row, column);
    if thin {
        text.insert(0, '~');
    }
    let few = column.unit == Unit::Count && cell.number().is_some_and(|number| number < FEW);
    let mut level = Worse::No;
    let mut mark = String::new();
    if column.unit != Unit::Text && column.good != Good::Neutral {
        let old = answer.before.as_ref().zip(beside.before(answer, row));
        let change =
            old.and_then(|(table, row)| Change::of(cell, table.cell(row, column_name), column.unit, column.good));
        if let Some(change) = change.filter(|change| change.level != Worse::No && !thin && !few) {
            level = change.level;
            if !beside.changes {
                change.sign().clone_into(&mut mark);
            }
        }
    }
    if let (Some((_, look, bad)), Some(number)) =
        (LIMITS.iter().find(|(limited, ..)| *limited == column_name), cell.number())
        && number >= *look
    {
        level = if number >= *bad { Worse::Clearly } else { Worse::Slightly };
        let sign = if number >= *bad { "!" } else { "▲" };
        if thin { "" } else { sign }.clone_into(&mut mark);
    }
    let style = match level {
        _ if thin => Some(theme.muted),
        Worse::No => None,
        Worse::Slightly => Some(theme.warn),
        Worse::Clearly => Some(theme.danger),
    };
    Cell { text, mark, style }
}

/// Whether a rate or percentile stands on too few to mean much: a percentile of a handful is one message's
/// bad luck.
fn is_thin(answer: &Answer, row: usize, column: &Col) -> bool {
    let name = column.column;
    let of = if name.starts_with("latency_") && column.unit != Unit::Count {
        answer.table.cell(row, "latency_n").number()
    } else {
        answer.table.cell(row, &format!("{name}_of")).number()
    };
    of.is_some_and(|of| of < MIN_N)
}

/// How a number changed, in words that need no colour.
fn change_cell(state: &State, answer: &Answer, row: usize, column: &Col, beside: &Beside<'_>) -> Cell {
    let theme = &state.setup.theme;
    let quiet = |text: &str| Cell { text: text.to_owned(), mark: String::new(), style: Some(theme.muted) };
    let Some(before) = &answer.before else { return quiet("") };
    let cell = answer.table.cell(row, column.column);
    // Before the first log nothing is new.
    if before.is_empty() {
        return quiet("");
    }
    let Some(old) = beside.before(answer, row) else {
        return quiet(if cell.number().is_some_and(|now| now > 0.0) { "new" } else { "" });
    };
    let Some(change) = Change::of(cell, before.cell(old, column.column), column.unit, column.good) else {
        return quiet("");
    };
    let few = column.unit == Unit::Count && cell.number().is_some_and(|number| number < FEW);
    if is_thin(answer, row, column) || few {
        return quiet(&change.text);
    }
    let (style, mark) = match change.level {
        Worse::No => (theme.muted, ""),
        Worse::Slightly => (theme.warn, ""),
        Worse::Clearly => (theme.danger, "!"),
    };
    if change.text.starts_with('=') {
        return quiet("=");
    }
    Cell { text: change.text, mark: mark.to_owned(), style: Some(style) }
}

/// Puts each mark behind its number, and blanks behind the numbers beside it.
fn align_marks(mut grid: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let columns = grid.first().map_or(0, Vec::len);
    for at in 0..columns {
        let wide = grid.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.mark)).max().unwrap_or(0);
        if wide == 0 {
            continue;
        }
        for cell in grid.iter_mut().filter_map(|row| row.get_mut(at)) {
            cell.text = format!("{} {}", cell.text, left(&cell.mark, wide));
        }
    }
    grid
}

fn widths(titles: &[String], grid: &[Vec<Cell>]) -> Vec<usize> {
    let widest = |at: usize| grid.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text)).max();
    titles.iter().enumerate().map(|(at, title)| width(title).max(widest(at).unwrap_or(0))).collect()
}

/// The columns that fit, each with its width.
fn keep(area: Rect, columns: &[Col], wanted: &[usize], state: &PanelState, names: &[String]) -> Vec<(usize, usize)> {
    const GAP: usize = 2;
    let room = usize::from(area.width.saturating_sub(2));
    let is_words =
        |at: usize| columns.get(at).is_some_and(|column| column.unit == Unit::Text && column.kind == Kind::Value);
    let mut kept: Vec<(usize, usize)> = wanted
        .iter()
        .enumerate()
        .map(|(at, wide)| (at, if is_words(at) { (*wide).min(WORDS) } else { *wide }))
        .collect();
    let total = |kept: &[(usize, usize)]| kept.iter().map(|(_, wide)| wide + GAP).sum::<usize>().saturating_sub(GAP);
    let sorted = state.sort.as_ref().and_then(|sort| names.iter().position(|name| *name == sort.column));
    let priority = |at: usize| {
        // What the user stands on or sorts by stays in sight.
        if at == state.column || Some(at) == sorted { 0 } else { columns.get(at).map_or(0, |column| column.priority) }
    };
    while total(&kept) > room {
        let Some(drop) =
            kept.iter().map(|(at, _)| *at).filter(|at| priority(*at) > 0).max_by_key(|at| (priority(*at), *at))
        else {
            break;
        };
        kept.retain(|(at, _)| *at != drop);
    }
    let over = total(&kept).saturating_sub(room);
    if over > 0 {
        // Words give way, numbers don't.
        if let Some(widest) = kept.iter_mut().filter(|(at, _)| is_words(*at)).max_by_key(|(_, wide)| *wide) {
            widest.1 = widest.1.saturating_sub(over).max(6);
        }
    }
    let mut spare = room.saturating_sub(total(&kept));
    for (at, wide) in kept.iter_mut().rev() {
        let missing = wanted.get(*at).map_or(0, |wanted| wanted.saturating_sub(*wide)).min(spare);
        *wide += missing;
        spare -= missing;
    }
    kept
}

#[expect(clippy::too_many_arguments, reason = "all of it is one drawing")]
fn draw_grid(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    columns: &[Col],
    titles: &[String],
    grid: &[Vec<Cell>],
    kept: &[(usize, usize)],
    cursor: Option<(usize, usize)>,
) {
    let theme = &state.setup.theme;
    let align = |at: usize, text: &str, wide: usize| match columns.get(at) {
        Some(column) if matches!(column.unit, Unit::Text | Unit::Flag) || column.kind == Kind::Course => {
            left(text, wide)
        }
        _ => right(text, wide),
    };
    let end = area.right();
    let mut x = area.x + 1;
    for (at, wide) in kept {
        let title = titles.get(*at).map_or("", String::as_str);
        put(frame.buffer_mut(), x, area.y, &align(*at, title, *wide), usize::from(end.saturating_sub(x)), theme.muted);
        x += cells(*wide) + 2;
    }
    for (line, row) in grid.iter().enumerate() {
        let y = area.y + 1 + cells(line);
        let on = cursor.is_some_and(|(at, _)| at == line);
        if on {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let mut x = area.x + 1;
        for (at, wide) in kept {
            let Some(cell) = row.get(*at) else { continue };
            let mut style = cell.style.unwrap_or(theme.text);
            if cursor == Some((line, *at)) {
                style = style.patch(theme.cell);
            }
            put(frame.buffer_mut(), x, y, &align(*at, &cell.text, *wide), usize::from(end.saturating_sub(x)), style);
            x += cells(*wide) + 2;
        }
    }
}

/// The cell under the cursor in full; on the name, the first rate of the row.
fn readout(
    state: &State,
    answer: &Answer,
    row: usize,
    (columns, names, at): (&[Col], &[String], usize),
    beside: &Beside<'_>,
) -> Option<String> {
    let table = &answer.table;
    let position = format!("{}/{}{}", row + 1, table.rows.len(), if table.more { "+" } else { "" });
    if let (Some("*"), Some(column)) = (columns.get(at).map(|column| column.column), names.get(at))
        && name(table.cell(row, column)).is_empty()
    {
        return Some(format!("{position} · rows that name no {}", column.replace('_', " ")));
    }
    // When a limit will be crossed stands behind the name, the score and the time itself.
    let tells_forecast =
        columns.get(at).is_some_and(|column| matches!(column.column, "*" | "risk_score" | "forecast_at"));
    let at = match columns.get(at) {
        Some(column) if column.column == "*" => columns
            .iter()
            .position(|column| column.unit == Unit::Fraction && column.priority == 0)
            .or_else(|| columns.iter().position(|column| column.unit == Unit::Fraction))
            .unwrap_or(at),
        _ => at,
    };
    let column = columns.get(at)?;
    let name = if column.kind == Kind::Value { names.get(at)?.as_str() } else { column.column };
    let cell = table.cell(row, name);
    let text = match (cell, column.unit) {
        _ if matches!(column.kind, Kind::Sum(_)) => sum(answer, row, column),
        _ if matches!(column.kind, Kind::Badge(_) | Kind::Trend) => newness(table, row),
        (Value::Missing(reason), _) => format!("n/a: {}", display(reason)),
        (cell, Unit::Fraction) => {
            let side = |suffix: &str| table.cell(row, &format!("{name}_{suffix}")).number();
            cell.number().map_or_else(
                || cell_text(table, row, name, column.unit),
                |share| rate(share, side("low"), side("high"), side("of")),
            )
        }
        (cell, Unit::Millis) => {
            let of = table.cell(row, "latency_n").number().filter(|_| name.starts_with("latency_"));
            let of = of.map_or_else(String::new, |of| format!(" of {}", thousands(of)));
            format!("{}{of}", value(cell, column.unit))
        }
        (cell, unit) => value(cell, unit),
    };
    let mut title = column.title;
    if matches!(column.kind, Kind::Change | Kind::Course) {
        let value = columns.iter().find(|other| other.column == column.column && other.kind == Kind::Value);
        title = value.map_or(title, |value| value.title);
    }
    let mut out = format!("{position} · {title}: {text}");
    if let Some(meaning) = table.cell(row, "meaning").as_text().filter(|_| name != "reply") {
        write!(out, " · {} · i tells more", display(meaning)).ok();
    }
    if let (true, Some(forecast)) = (tells_forecast, table.cell(row, "forecast").as_text()) {
        write!(out, " · {}", display(forecast)).ok();
    }
    if let (Some(before), Some(against)) = (&answer.before, compare_name(state.compare, state.scope.time))
        && column.unit != Unit::Text
    {
        let old = beside
            .before(answer, row)
            .map_or_else(|| "no such row".to_owned(), |row| cell_text(before, row, name, column.unit));
        write!(out, " · {against} {old}").ok();
    }
    Some(out)
}

/// Since when a reply is known.
fn newness(table: &Table, row: usize) -> String {
    let since = match table.cell(row, "first_seen") {
        Value::Missing(reason) => format!("n/a: {}", display(reason)),
        seen => format!("first seen {}", value(seen, Unit::Time)),
    };
    let new = *table.cell(row, "new") == Value::Flag(true);
    if new { format!("new since the last visit, {since}") } else { since }
}

/// A sum with its terms: `71 = 38 complaints + 19 hard + …`.
fn sum(answer: &Answer, row: usize, column: &Col) -> String {
    let Kind::Sum(terms) = column.kind else { return String::new() };
    let table = &answer.table;
    let named = terms.iter().map(|term| {
        let name = term.rsplit('_').next().unwrap_or(term);
        format!("{} {name}", value(table.cell(row, term), Unit::Number))
    });
    format!("{} = {}", value(table.cell(row, column.column), Unit::Number), named.collect::<Vec<_>>().join(" + "))
}
