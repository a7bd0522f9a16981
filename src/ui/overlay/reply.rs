//! What a reply means and what to do about it.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::overlay::ReplySheet;
use crate::app::{Geometry, State};
use crate::query::table::{Unit, Value};
use crate::ui::format::{clean_lines, left, value, wrap};
use crate::ui::overlay::boxed;
use crate::ui::put;

/// The column of names.
const NAMES: usize = 14;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, sheet: &ReplySheet, geometry: &mut Geometry) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, body, state, "Reply: ↑↓ pgdn pgup scroll · esc");
    let lines = lines(sheet, usize::from(inner.width.saturating_sub(2)));
    geometry.help_end = lines.len().saturating_sub(usize::from(inner.height));
    let top = sheet.scroll.min(geometry.help_end);
    for ((name, text), y) in lines.iter().skip(top).zip(inner.y..inner.bottom()) {
        let used = put(frame.buffer_mut(), inner.x + 1, y, &left(name, NAMES), NAMES, theme.muted);
        let x = inner.x + 2 + used;
        put(frame.buffer_mut(), x, y, text, usize::from(inner.right().saturating_sub(x)), theme.text);
    }
}

fn lines(sheet: &ReplySheet, wide: usize) -> Vec<(String, String)> {
    let room = wide.saturating_sub(NAMES + 2).max(10);
    let mut lines = Vec::new();
    for (name, cell, unit) in &sheet.cells {
        let text = match (cell, unit) {
            (Value::Text(words), Unit::Text) => clean_lines(words),
            (cell, unit) => value(cell, *unit),
        };
        for (at, part) in wrap(&text, room).into_iter().enumerate() {
            lines.push((if at == 0 { (*name).to_owned() } else { String::new() }, part));
        }
    }
    lines
}
