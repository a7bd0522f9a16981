//! The Explorer: rows of `events` with a cursor on a cell; one event in full beside or over them.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::explorer::{EVENT_COLUMNS, EventColumn};
use crate::app::{Geometry, State, View};
use crate::event::Kind;
use crate::query::table::{Unit, Value};
use crate::query::time::{iso, short};
use crate::text::display;
use crate::ui::format::{bytes, left, millis, right, thousands, value, width};
use crate::ui::show::scroll;
use crate::ui::{cells, overlay, panel, put};

/// Below this width the columns before the reply are fitted to what is in them.
const NARROW: u16 = 110;

/// The letters of `23 Nov ` before the time of day.
const DAY_LETTERS: usize = 7;

/// From this width on an event in full stands beside the rows.
const SIDE_BY_SIDE: u16 = 138;

/// The rows; where the cursor is.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    if state.explorer.is_empty() {
        panel::draw_empty(frame, area, state, "No events in this scope");
        return None;
    }
    let (rows_area, pane) = match state.detail {
        Some(_) if area.width >= SIDE_BY_SIDE => {
            let wide = area.width / 2;
            let pane = Rect { x: area.right() - wide, width: wide, ..area };
            (Rect { width: area.width - wide, ..area }, Some(pane))
        }
        Some(_) => (area, Some(area)),
        None => (area, None),
    };
    let text = draw_rows(frame, rows_area, state, index, geometry);
    if let (Some(pane), Some(scroll_by)) = (pane, state.detail) {
        let cursor = state.board().panels.get(index).map_or(0, |panel| panel.cursor);
        overlay::detail::draw(frame, pane, state, cursor, scroll_by, geometry);
    }
    Some(text)
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, state: &State, index: usize, geometry: &mut Geometry) -> String {
    let theme = &state.setup.theme;
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let rows = usize::from(area.height.saturating_sub(1));
    let total = state.explorer.last_row() + 1;
    let cursor = panel_state.cursor.min(total - 1);
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, total);
    let narrow = if area.width < NARROW { Narrow::of(state, top, rows) } else { Narrow::default() };
    let shown: Vec<&EventColumn> = state.explorer.shown().iter().filter_map(|at| EVENT_COLUMNS.get(*at)).collect();
    let columns = columns(area, &shown, panel_state.column, view.left, &|column| narrow.width(column));
    let left_column = columns.get(1).map_or(0, |(at, ..)| *at);
    geometry.views.insert((state.tab, index), View { rows, top, left: left_column, ..View::default() });

    for (_, column, x, wide) in &columns {
        let mark = match &panel_state.sort {
            Some(sort) if sort.column == column.name => {
                if sort.descending {
                    "▾"
                } else {
                    "▴"
                }
            }
            None if column.name == "event_time" => "▾",
            _ => "",
        };
        let title = match &narrow.day {
            Some(day) if column.name == "event_time" => day,
            _ => column.title,
        };
        put(frame.buffer_mut(), *x, area.y, &left(&format!("{title}{mark}"), *wide), *wide, theme.muted);
    }
    for line in 0..rows {
        let row = top + line;
        let y = area.y + 1 + cells(line);
        if state.explorer.end.is_some_and(|end| row >= end) {
            break;
        }
        let on = row == cursor;
        if on {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        if state.explorer.row(row).is_none() {
            put(frame.buffer_mut(), area.x + 1, y, "⋯", 1, theme.muted);
            continue;
        }
        for (at, column, x, wide) in &columns {
            let cell = state.explorer.cell(row, column.name).unwrap_or(&Value::Null);
            let (mut text, mut style) = draw_cell(state, column.name, cell);
            if narrow.day.is_some() && column.name == "event_time" {
                text = text.chars().skip(DAY_LETTERS).collect();
            }
            if on && *at == panel_state.column {
                style = style.patch(theme.cell);
            }
            let text = if is_number(column.name) { right(&text, *wide) } else { left(&text, *wide) };
            put(frame.buffer_mut(), *x, y, &text, *wide, style);
        }
    }
    position(state, cursor)
}

fn position(state: &State, cursor: usize) -> String {
    let of = match state.explorer.end {
        Some(end) => format!(" of {}", thousands(end as f64)),
        None => format!(" of {}+", thousands(state.explorer.known_rows() as f64)),
    };
    let mut text = format!("row {}{of}", thousands((cursor + 1) as f64));
    if state.explorer.generation.is_some_and(|generation| generation != state.generation) {
        text.push_str(" · newer rows came in: r");
    }
    if let Some((column, cell)) = state.event_cell().filter(|(_, cell)| cell.is_there()) {
        write!(text, " · {column}: {}", in_full(column, cell)).ok();
    }
    text
}

/// On a narrow screen the day stands once in the head line while all rows are of one, and the columns before
/// the reply are as narrow as what is in them.
#[derive(Debug, Default)]
struct Narrow {
    day: Option<String>,
    kind: Option<usize>,
    recipient: Option<usize>,
}

impl Narrow {
    /// From the rows in sight.
    fn of(state: &State, top: usize, rows: usize) -> Self {
        let seen = |column: &'static str| (top..top + rows).filter_map(move |row| state.explorer.cell(row, column));
        let widest = |column| seen(column).map(|cell| width(&draw_cell(state, column, cell).0)).max().unwrap_or(0);
        let mut days = seen("event_time").filter_map(|cell| match cell {
            Value::Time(at) | Value::Int(at) => Some(short(*at).chars().take(DAY_LETTERS - 1).collect::<String>()),
            _ => None,
        });
        let day = days.next().filter(|first| days.all(|day| day == *first));
        Self { day, kind: Some(widest("kind").max(5)), recipient: Some(widest("recipient").clamp(10, 24)) }
    }

    fn width(&self, column: &EventColumn) -> usize {
        let own = usize::from(column.width);
        match column.name {
            "event_time" if self.day.is_some() => own - DAY_LETTERS,
            "kind" => self.kind.unwrap_or(own).min(own),
            "recipient" => self.recipient.unwrap_or(own),
            _ => own,
        }
    }
}

/// A column's width in terminal columns.
type Width<'a> = &'a dyn Fn(&EventColumn) -> usize;

/// Which columns are in sight: the first one always, then a window that the cursor is in.
fn columns(
    area: Rect,
    all: &[&'static EventColumn],
    cursor: usize,
    first: usize,
    width_of: Width<'_>,
) -> Vec<(usize, &'static EventColumn, u16, usize)> {
    let room = usize::from(area.width.saturating_sub(2));
    let Some(time) = all.first().copied() else { return Vec::new() };
    let mut first = first.max(1);
    if cursor > 0 && cursor < first {
        first = cursor;
    }
    loop {
        let mut shown = vec![(0, time, area.x + 1, width_of(time).min(room))];
        let mut used = width_of(time) + 1;
        for (at, column) in all.iter().copied().enumerate().skip(first) {
            let mut wide = width_of(column);
            if used + wide > room {
                wide = room.saturating_sub(used);
                if wide < 6.min(width_of(column)) {
                    break;
                }
            }
            shown.push((at, column, area.x + 1 + cells(used), wide));
            used += wide + 1;
        }
        // The cursor's column must be there, and whole unless it is alone.
        let seen = shown.iter().find(|(at, ..)| *at == cursor);
        let whole = seen.is_some_and(|(_, column, _, wide)| *wide >= width_of(column).min(20));
        if cursor == 0 || whole || first >= cursor {
            return shown;
        }
        first += 1;
    }
}

fn is_number(column: &str) -> bool {
    matches!(column, "delivery_latency_ms" | "size_bytes" | "smtp_code" | "row_number" | "file_id")
}

fn draw_cell(state: &State, column: &str, cell: &Value) -> (String, Style) {
    let theme = &state.setup.theme;
    match (column, cell) {
        (_, Value::Null) => (String::new(), theme.muted),
        ("kind", Value::Text(word)) => {
            let (sign, style) = match Kind::parse(word) {
                Some(Kind::Delivered) => ("●", theme.good),
                Some(Kind::Bounced | Kind::Complaint | Kind::RemoteBounce) => ("!", theme.danger),
                Some(Kind::Deferred | Kind::RateBlock | Kind::QueueError) => ("○", theme.warn),
                _ => ("·", theme.muted),
            };
            (format!("{sign} {}", value(cell, Unit::Text)), style)
        }
        ("event_time" | "queued_time", Value::Time(at) | Value::Int(at)) => (with_seconds(*at), theme.text),
        ("delivery_latency_ms", cell) if cell.number().is_some() => {
            (millis(cell.number().unwrap_or_default()), theme.text)
        }
        ("size_bytes", cell) if cell.number().is_some() => (bytes(cell.number().unwrap_or_default()), theme.text),
        // Every reply begins with it; the event in full shows it.
        ("dsn_diag", Value::Text(reply)) => {
            (display(reply.strip_prefix("smtp;").unwrap_or(reply)).into_owned(), theme.text)
        }
        (_, Value::Int(number)) => (number.to_string(), theme.text),
        _ => (value(cell, Unit::Text), theme.text),
    }
}

/// `23 Nov 14:30:05`.
fn with_seconds(at: i64) -> String {
    let seconds: String = iso(at).chars().skip(16).take(3).collect();
    format!("{}{seconds}", short(at))
}

/// A cell of an event with everything in it.
pub(crate) fn in_full(column: &str, cell: &Value) -> String {
    match (column, cell) {
        ("event_time" | "queued_time", Value::Time(at) | Value::Int(at)) => iso(*at),
        ("delivery_latency_ms", cell) => match cell.number() {
            Some(ms) => format!("{} ({} ms)", millis(ms), thousands(ms)),
            None => value(cell, Unit::Text),
        },
        ("size_bytes", cell) => match cell.number() {
            Some(size) => format!("{} ({} bytes)", bytes(size), thousands(size)),
            None => value(cell, Unit::Text),
        },
        (_, Value::Int(number)) => number.to_string(),
        _ => value(cell, Unit::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_under_the_cursor_is_in_sight() {
        let area = Rect::new(0, 0, 80, 10);
        let all: Vec<&EventColumn> = EVENT_COLUMNS.iter().collect();
        for cursor in 0..EVENT_COLUMNS.len() {
            let shown = columns(area, &all, cursor, 1, &|column| usize::from(column.width));
            assert!(shown.iter().any(|(at, ..)| *at == cursor), "{cursor}");
            assert!(shown.iter().all(|(_, _, x, wide)| usize::from(*x) + wide <= 80));
        }
    }
}
