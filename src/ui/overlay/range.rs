//! A range to compare with.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::overlay::RangePrompt;
use crate::text::display;
use crate::ui::overlay::{boxed, draw_line, middle};
use crate::ui::put;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, prompt: &RangePrompt) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, middle(body, 74, 5), state, "Compare with a range of its own");
    draw_line(frame, Rect { height: 1, ..inner }, state, "› ", &prompt.line);
    let room = usize::from(inner.width);
    let hint = "2026-11-16, 2026-11-16T14:00..2026-11-16T16:00 · empty: with nothing";
    let (text, style) = if prompt.error.is_empty() {
        (hint.to_owned(), theme.muted)
    } else {
        (format!("! {}", display(&prompt.error)), theme.danger)
    };
    for (line, y) in crate::ui::format::wrap(&text, room).iter().zip(inner.y + 1..inner.bottom()) {
        put(frame.buffer_mut(), inner.x, y, line, room, style);
    }
}
