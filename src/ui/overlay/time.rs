//! The time picker: spans up to the newest event, and a line for any other range.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::overlay::{PRESETS, TimePicker};
use crate::text::display;
use crate::ui::format::{left, wrap};
use crate::ui::overlay::{boxed, draw_line, draw_list, middle};
use crate::ui::{cells, put};

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, picker: &TimePicker) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, middle(body, 64, cells(PRESETS.len() + 8)), state, "Time range (UTC)");
    let lines: Vec<_> =
        PRESETS.iter().map(|(name, about, _)| (format!("  {} {about}", left(name, 5)), theme.text)).collect();
    let list = Rect { height: cells(lines.len()).min(inner.height), ..inner };
    let chosen = picker.line.value().is_empty().then_some(picker.chosen);
    draw_list(frame, list, state, &lines, chosen);
    let at = inner.y + list.height + 1;
    if at < inner.bottom() {
        draw_line(frame, Rect { y: at, height: 1, ..inner }, state, "› ", &picker.line);
    }
    let below = if picker.error.is_empty() {
        vec![
            ("3h15m · 2026-11-23 · 2026-11-23T14:00..2026-11-23T16:30".to_owned(), theme.muted),
            ("2026-11-20.. · ..2026-11-23".to_owned(), theme.muted),
        ]
    } else {
        wrap(&format!("! {}", display(&picker.error)), usize::from(inner.width).saturating_sub(2))
            .into_iter()
            .map(|line| (line, theme.danger))
            .collect()
    };
    for (line, y) in below.iter().zip(at + 1..inner.bottom()) {
        put(frame.buffer_mut(), inner.x + 2, y, &line.0, usize::from(inner.width.saturating_sub(2)), line.1);
    }
}
