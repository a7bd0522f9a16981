//! Everything about one file, with the rows that were put aside.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::overlay::FileSheet;
use crate::app::{Geometry, State};
use crate::query::time::iso;
use crate::text::display;
use crate::ui::format::{clean_lines, left, thousands, wrap};
use crate::ui::overlay::boxed;
use crate::ui::put;

/// The column of names.
const NAMES: usize = 16;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, sheet: &FileSheet, geometry: &mut Geometry) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, body, state, "File: ↑↓ pgdn pgup scroll · R takes it in again · D removes it · esc");
    let lines = lines(state, sheet, usize::from(inner.width.saturating_sub(2)));
    geometry.help_end = lines.len().saturating_sub(usize::from(inner.height));
    let top = sheet.scroll.min(geometry.help_end);
    for ((name, text, style), y) in lines.iter().skip(top).zip(inner.y..inner.bottom()) {
        let used = put(frame.buffer_mut(), inner.x + 1, y, &left(name, NAMES), NAMES, theme.muted);
        let x = inner.x + 2 + used;
        put(frame.buffer_mut(), x, y, text, usize::from(inner.right().saturating_sub(x)), *style);
    }
}

fn lines(state: &State, sheet: &FileSheet, wide: usize) -> Vec<(String, String, Style)> {
    let theme = &state.setup.theme;
    let room = wide.saturating_sub(NAMES + 2).max(10);
    let mut lines = Vec::new();
    let mut add = |name: &str, text: &str, style: Style| {
        for (at, part) in wrap(text, room).into_iter().enumerate() {
            lines.push((if at == 0 { name.to_owned() } else { String::new() }, part, style));
        }
    };
    let file = &sheet.file;
    let time = |at: Option<i64>| at.map_or_else(|| "–".to_owned(), iso);
    let (tr, td) = (theme.text, theme.danger);
    add("name", &display(&file.name), tr);
    add("path", &display(&file.path), tr);
    add("status", file.status.map_or("?", crate::ingest::progress::Status::as_str), tr);
    add("type", &display(&file.role), tr);
    add("size", &format!("{} bytes", thousands(file.bytes as f64)), tr);
    add("SHA-256", &display(&file.sha256), tr);
    add("received", &time(file.received_at), tr);
    add("events", &format!("{} – {}", time(file.from), time(file.to)), tr);
    add("rows", &thousands(file.rows as f64), tr);
    add("merged rows", &thousands(file.merged_rows as f64), tr);
    add("rejected rows", &thousands(file.rejected_rows as f64), tr);
    if !file.reading.is_empty() {
        add("read as", &display(&file.reading), tr);
    }
    if !file.error.is_empty() {
        add("error", &clean_lines(&file.error), td);
    }
    match &sheet.rejects {
        None => add("", "reading the rejected rows …", theme.muted),
        Some(Err(failure)) => add("", &clean_lines(&failure.to_string()), td),
        Some(Ok(rejects)) if rejects.is_empty() => add("", "no row was put aside", theme.muted),
        Some(Ok(rejects)) => {
            for reject in rejects {
                add(&format!("line {}", display(&reject.line)), &display(&reject.reason), theme.warn);
                add(&format!("byte {}", display(&reject.offset)), &display(&reject.row), tr);
            }
            if (rejects.len() as f64) < file.rejected_rows as f64 {
                add("", "further rows are in the catalog's folder `rejects`", theme.muted);
            }
        }
    }
    lines
}
