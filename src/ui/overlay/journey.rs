//! The life of a message as a timeline over the tab.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::overlay::JourneySheet;
use crate::app::{Geometry, State};
use crate::journey::draw::{Tone, lines};
use crate::ui::format::{clean_lines, wrap};
use crate::ui::overlay::boxed;
use crate::ui::put;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, sheet: &JourneySheet, geometry: &mut Geometry) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, body, state, "Journey: ↑↓ pgdn pgup scroll · esc back to the event");
    let lines = drawn(state, sheet, usize::from(inner.width.saturating_sub(2)));
    geometry.help_end = lines.len().saturating_sub(usize::from(inner.height));
    let top = sheet.scroll.min(geometry.help_end);
    for ((text, style), y) in lines.iter().skip(top).zip(inner.y..inner.bottom()) {
        put(frame.buffer_mut(), inner.x + 1, y, text, usize::from(inner.width.saturating_sub(2)), *style);
    }
    if lines.len() > usize::from(inner.height) {
        let text = format!(" {}–{} of {} ", top + 1, (top + usize::from(inner.height)).min(lines.len()), lines.len());
        put(frame.buffer_mut(), body.x + 2, body.bottom() - 1, &text, usize::from(body.width), theme.muted);
    }
}

fn drawn(state: &State, sheet: &JourneySheet, wide: usize) -> Vec<(String, Style)> {
    let theme = &state.setup.theme;
    let words = |text: &str, style: Style| wrap(text, wide).into_iter().map(|text| (text, style)).collect();
    let found = match &sheet.found {
        None => return words("following the message …", theme.muted),
        Some(Err(failure)) => return words(&clean_lines(&failure.to_string()), theme.danger),
        Some(Ok(found)) => found,
    };
    if found.messages.is_empty() {
        return words("the event says nothing of its message: no id, no recipient, no job", theme.muted);
    }
    let style = |tone: Tone| match tone {
        Tone::Head => theme.title,
        Tone::Good => theme.good,
        Tone::Wait => theme.warn,
        Tone::Bad => theme.danger,
        Tone::Dim => theme.muted,
        Tone::Plain => theme.text,
    };
    let mut out = Vec::new();
    for (at, message) in found.messages.iter().enumerate() {
        if at > 0 {
            out.push((String::new(), theme.text));
        }
        out.extend(lines(message, wide).into_iter().map(|line| (line.text, style(line.tone))));
    }
    out
}
