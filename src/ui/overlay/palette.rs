//! The palette: a line, below it what it may mean, with keys and help.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::palette::Palette;
use crate::text::display;
use crate::ui::format::{fit, left, width};
use crate::ui::overlay::{boxed, draw_line, draw_list, middle};
use crate::ui::{cells, put};

/// Most proposals shown at once.
const SHOWN: usize = 14;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, palette: &Palette) {
    let theme = &state.setup.theme;
    let lines = palette.proposals.len().clamp(1, SHOWN);
    let area = middle(body, body.width.min(110), cells(lines + 4));
    let inner = boxed(frame, area, state, "Command: a few letters of its name");
    draw_line(frame, Rect { height: 1, ..inner }, state, ": ", &palette.line);
    if inner.height < 2 {
        return;
    }
    if !palette.error.is_empty() {
        let text = format!("! {}", display(&palette.error));
        put(frame.buffer_mut(), inner.x, inner.y + 1, &text, usize::from(inner.width), theme.danger);
    }
    let list = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
    let room = usize::from(inner.width);
    let names = palette.proposals.iter().map(|proposal| width(&display(&proposal.line))).max().unwrap_or(0);
    let names = names.clamp(8, room / 3);
    let keys = palette.proposals.iter().map(|proposal| width(&proposal.keys)).max().unwrap_or(0).min(room / 4);
    let lines: Vec<_> = palette
        .proposals
        .iter()
        .map(|proposal| {
            let name = left(&fit(&display(&proposal.line), names), names);
            (format!("  {name}  {}  {}", left(&proposal.keys, keys), proposal.help), theme.text)
        })
        .collect();
    if lines.is_empty() {
        put(frame.buffer_mut(), list.x, list.y, "  enter runs the line as it stands", room, theme.muted);
    }
    draw_list(frame, list, state, &lines, (!lines.is_empty()).then_some(palette.chosen));
}
