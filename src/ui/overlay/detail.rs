//! One event with every cell that holds something: replies wrapped, headers as JSON in lines.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::explorer::EVENT_COLUMNS;
use crate::app::{Geometry, State};
use crate::query::table::Value;
use crate::text::display;
use crate::ui::format::{clean_lines, left, wrap};
use crate::ui::overlay::boxed;
use crate::ui::put;
use crate::ui::show::events::in_full;

/// The column of names.
const NAMES: usize = 20;

/// The event of a row of the Explorer.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    row: usize,
    scroll: usize,
    geometry: &mut Geometry,
) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, area, state, "Event: every cell · j k next · pgdn pgup scroll · esc");
    let lines = lines(state, row, usize::from(inner.width.saturating_sub(2)));
    geometry.detail_end = lines.len().saturating_sub(usize::from(inner.height));
    let top = scroll.min(geometry.detail_end);
    for ((name, text, style), y) in lines.iter().skip(top).zip(inner.y..inner.bottom()) {
        let used = put(frame.buffer_mut(), inner.x + 1, y, &left(name, NAMES), NAMES, theme.muted);
        let x = inner.x + 2 + used;
        put(frame.buffer_mut(), x, y, text, usize::from(inner.right().saturating_sub(x)), *style);
    }
    if lines.len() > usize::from(inner.height) {
        let text = format!(" {}–{} of {} ", top + 1, (top + usize::from(inner.height)).min(lines.len()), lines.len());
        put(frame.buffer_mut(), area.x + 2, area.bottom() - 1, &text, usize::from(area.width), theme.muted);
    }
}

fn lines(state: &State, row: usize, wide: usize) -> Vec<(String, String, Style)> {
    let theme = &state.setup.theme;
    let room = wide.saturating_sub(NAMES + 2).max(8);
    let mut lines = Vec::new();
    if state.explorer.row(row).is_none() {
        return vec![(String::new(), "…".to_owned(), theme.muted)];
    }
    for column in EVENT_COLUMNS {
        let Some(cell) = state.explorer.cell(row, column.name) else { continue };
        let empty = matches!(cell, Value::Text(words) if words.is_empty());
        if !cell.is_there() || empty {
            continue;
        }
        let text = match (column.name, cell) {
            ("headers", Value::Text(json)) => pretty(json),
            ("dsn_diag", Value::Text(reply)) => clean_lines(reply),
            (name, cell) => in_full(name, cell),
        };
        for (at, part) in wrap(&text, room).into_iter().enumerate() {
            let name = if at == 0 { column.name.to_owned() } else { String::new() };
            lines.push((name, part, theme.text));
        }
    }
    lines.extend(raw_row(state, row, wide));
    lines
}

/// The row as it stands in its log file.
fn raw_row(state: &State, row: usize, wide: usize) -> Vec<(String, String, Style)> {
    let theme = &state.setup.theme;
    let room = wide.saturating_sub(NAMES + 2).max(8);
    let mut lines = vec![(String::new(), String::new(), theme.text)];
    let known = state.explorer.row_id(row);
    let mut add = |name: &str, text: &str, style: Style| {
        for (at, part) in wrap(text, room).into_iter().enumerate() {
            lines.push((if at == 0 { name.to_owned() } else { String::new() }, part, style));
        }
    };
    match &state.explorer.raw {
        Some((id, Ok(raw))) if Some(*id) == known => {
            let place = format!("{} · line {} · byte {}", display(&raw.path), raw.line, raw.offset);
            add("in the log", &place, theme.muted);
            add("as written", &clean_lines(&raw.text), theme.text);
        }
        Some((id, Err(why))) if Some(*id) == known => add("in the log", &display(why), theme.muted),
        _ if known.is_some() => add("in the log", "…", theme.muted),
        _ => {}
    }
    lines
}

/// JSON with a line for each entry; anything else as it is.
fn pretty(json: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(json).and_then(|value| serde_json::to_string_pretty(&value)) {
        Ok(text) => clean_lines(&text),
        Err(_) => clean_lines(json),
    }
}
