//! The SQL prompt: the statement as many lines as it needs, below it its rows under a cursor.
//!
//! ```text
//!  ┌ SQL: read-only · enter runs · ↑↓ history · tab completes · esc ──┐
//!  │ select provider, count(*) from events group by 1                 │
//!  │ 12 rows · 31 ms                                                  │
//!  │ provider      count(*)                                           │
//!  │ Google         412,004                                           │
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::sql_prompt::SqlPrompt;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::iso;
use crate::text::display;
use crate::ui::format::{clean_lines, left, right, thousands, value, width, wrap};
use crate::ui::header::spinner;
use crate::ui::overlay::boxed;
use crate::ui::{cells, put};

/// Most lines of the statement.
const LINES: usize = 8;
/// The widest column.
const WIDEST: usize = 44;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, prompt: &SqlPrompt) {
    let title = if prompt.in_rows {
        "SQL rows: y Y copy · e export · tab edits the statement · esc"
    } else if body.width < 100 {
        "SQL, read-only: enter runs · ↑↓ history · tab · esc"
    } else {
        "SQL, read-only: events, copies, files · enter runs · ↑↓ history · tab completes · esc cancels, closes"
    };
    let inner = boxed(frame, body, state, title);
    if inner.height < 3 || inner.width < 8 {
        return;
    }
    let used = draw_statement(frame, inner, state, prompt);
    let mut y = inner.y + used;
    let room = usize::from(inner.width);
    let theme = &state.setup.theme;
    let (text, style) = match prompt.running {
        Some((_, ticks)) => {
            (format!("{} running {:.1} s · esc cancels", spinner(state), f64::from(ticks) / 10.0), theme.busy)
        }
        None if !prompt.choices.is_empty() && !prompt.in_rows => (prompt.choices.join("  "), theme.key),
        None => (said(prompt), theme.muted),
    };
    put(frame.buffer_mut(), inner.x, y, &text, room, style);
    y += 1;
    if let Some(failure) = &prompt.failure {
        for (line, y) in wrap(&clean_lines(&failure.to_string()), room).iter().zip(y..inner.bottom()) {
            put(frame.buffer_mut(), inner.x, y, line, room, theme.danger);
        }
    } else if let Some(table) = &prompt.rows {
        draw_rows(frame, Rect { y, height: inner.bottom().saturating_sub(y), ..inner }, state, prompt, table);
    }
}

fn said(prompt: &SqlPrompt) -> String {
    let rows = prompt.rows.as_ref().map(|table| {
        let more = if table.more { ", the first ones: `query.max_rows`" } else { "" };
        format!("{} rows{more} · {} ms", thousands(table.rows.len() as f64), prompt.took_ms)
    });
    [rows.unwrap_or_default(), prompt.note.clone()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

/// The statement, cut into lines by letters; how many lines it takes.
fn draw_statement(frame: &mut Frame<'_>, area: Rect, state: &State, prompt: &SqlPrompt) -> u16 {
    let theme = &state.setup.theme;
    let room = usize::from(area.width.saturating_sub(3)).max(1);
    let mut lines = vec![String::new()];
    let mut cursor = (0, 0);
    for (at, letter) in prompt.line.value().chars().chain([' ']).enumerate() {
        let shown = display(letter.encode_utf8(&mut [0; 4])).into_owned();
        if lines.last().is_some_and(|line| width(line) + width(&shown) > room) {
            lines.push(String::new());
        }
        if at == prompt.line.cursor() {
            cursor = (lines.len() - 1, lines.last().map_or(0, |line| width(line)));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&shown);
        }
    }
    let most = LINES.min(usize::from(area.height) / 2).max(1);
    let top = (cursor.0 + 1).saturating_sub(most);
    let shown = lines.iter().skip(top).take(most);
    let style = if prompt.in_rows { theme.muted } else { theme.text };
    let mut count = 0;
    for (at, line) in shown.enumerate() {
        let y = area.y + cells(at);
        put(frame.buffer_mut(), area.x, y, if at + top == 0 { "; " } else { "  " }, 2, theme.key);
        put(frame.buffer_mut(), area.x + 2, y, line, room, style);
        count += 1;
    }
    if !prompt.in_rows {
        frame.set_cursor_position((area.x + 2 + cells(cursor.1), area.y + cells(cursor.0 - top)));
    }
    count
}

fn cell(value_of: &Value, unit: Unit) -> String {
    match (value_of, unit) {
        (Value::Time(at), _) => iso(*at),
        (Value::Null, _) => String::new(),
        (Value::Int(number), _) => number.to_string(),
        (Value::Float(number), _) => format!("{number}"),
        (cell, unit) => value(cell, unit),
    }
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, state: &State, prompt: &SqlPrompt, table: &Table) {
    let theme = &state.setup.theme;
    let rows = usize::from(area.height.saturating_sub(1));
    let top = (prompt.cursor + 1).saturating_sub(rows.max(1));
    let is_number = |unit: Unit| !matches!(unit, Unit::Text | Unit::Time | Unit::Flag);
    let shown = table.rows.iter().enumerate().skip(top).take(rows);
    let widths: Vec<usize> = table
        .heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            let widest =
                shown.clone().filter_map(|(_, row)| row.get(at)).map(|value| width(&cell(value, head.unit))).max();
            widest.unwrap_or(0).max(width(&display(&head.name))).clamp(3, WIDEST)
        })
        .collect();
    // The columns in sight begin so that the one under the cursor is there.
    let room = usize::from(area.width);
    let mut first = 0;
    while first < prompt.column
        && widths.get(first..=prompt.column).unwrap_or_default().iter().map(|w| w + 2).sum::<usize>() > room
    {
        first += 1;
    }
    let mut x = 0;
    for (at, head) in table.heads.iter().enumerate().skip(first) {
        let wide = widths.get(at).copied().unwrap_or(3).min(room.saturating_sub(x));
        if wide == 0 {
            break;
        }
        let place = |text: &str| if is_number(head.unit) { right(text, wide) } else { left(text, wide) };
        put(frame.buffer_mut(), area.x + cells(x), area.y, &place(&display(&head.name)), wide, theme.title);
        for (row, cells_of) in shown.clone() {
            let y = area.y + 1 + cells(row - top);
            let on = prompt.in_rows && row == prompt.cursor;
            let mut style = theme.text;
            if on {
                style = style.patch(theme.selected);
                if at == prompt.column {
                    style = style.patch(theme.cell);
                }
            }
            let text = cells_of.get(at).map(|value| cell(value, head.unit)).unwrap_or_default();
            put(frame.buffer_mut(), area.x + cells(x), y, &place(&text), wide, style);
        }
        x += wide + 2;
    }
}
