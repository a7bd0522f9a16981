//! Whether something is really meant.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::overlay::Confirm;
use crate::text::display;
use crate::ui::format::wrap;
use crate::ui::overlay::{boxed, middle};
use crate::ui::{cells, put};

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, confirm: &Confirm) {
    let theme = &state.setup.theme;
    let wide = body.width.saturating_sub(4).min(90);
    let room = usize::from(wide.saturating_sub(4));
    let lines: Vec<String> = confirm.lines.iter().flat_map(|line| wrap(&display(line), room)).collect();
    let inner = boxed(frame, middle(body, wide, cells(lines.len() + 4)), state, &display(&confirm.title));
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        put(frame.buffer_mut(), inner.x + 1, y, line, room, theme.text);
    }
    let y = inner.bottom().saturating_sub(1);
    put(frame.buffer_mut(), inner.x + 1, y, "y does it · n or esc leaves it", room, theme.key);
}
