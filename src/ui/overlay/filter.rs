//! The filter bar: a line at the top of the tab, proposals below it.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::filter_bar::FilterBar;
use crate::text::display;
use crate::ui::format::{count, left, right, width};
use crate::ui::overlay::{boxed, draw_line, draw_list};
use crate::ui::{cells, put};

/// Most proposals shown at once.
const SHOWN: usize = 12;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, bar: &FilterBar) {
    let theme = &state.setup.theme;
    let lines = bar.choices.len().clamp(1, SHOWN);
    let area = Rect { height: cells(lines + 4).min(body.height), width: body.width.min(100), ..body };
    let inner = boxed(frame, area, state, "Filter: field=value, field!=value, * for any text");
    draw_line(frame, Rect { height: 1, ..inner }, state, "› ", &bar.line);
    if inner.height < 2 {
        return;
    }
    if !bar.error.is_empty() {
        put(
            frame.buffer_mut(),
            inner.x,
            inner.y + 1,
            &format!("! {}", display(&bar.error)),
            usize::from(inner.width),
            theme.danger,
        );
    }
    let list = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
    let wide = bar
        .choices
        .iter()
        .map(|choice| width(&display(&choice.text)))
        .max()
        .unwrap_or(0)
        .min(usize::from(inner.width) * 2 / 3);
    let lines: Vec<_> = bar
        .choices
        .iter()
        .map(|choice| {
            let beside = choice.count.map_or_else(|| choice.help.to_owned(), |rows| right(&count(rows as f64), 8));
            (format!("  {}  {beside}", left(&display(&choice.text), wide)), theme.text)
        })
        .collect();
    draw_list(frame, list, state, &lines, bar.chosen);
}
