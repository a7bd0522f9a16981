//! What to search for, and where.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::overlay::Search;
use crate::text::display;
use crate::ui::cells;
use crate::ui::overlay::{boxed, draw_line, draw_list, middle};

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, search: &Search) {
    let theme = &state.setup.theme;
    let area = middle(body, 74, cells(search.places.len() + 4));
    let inner = boxed(frame, area, state, "Search: ↑↓ choose where, enter searches");
    draw_line(frame, Rect { height: 1, ..inner }, state, "› ", &search.line);
    let typed = search.line.value().trim();
    let shown = if typed.is_empty() { "…" } else { typed };
    let shown = display(shown);
    let lines: Vec<_> = search
        .places
        .iter()
        .map(|place| match place {
            None => (format!("  the next row that holds {shown}  (n N go on)"), theme.text),
            Some(field) => (format!("  all rows with {}=*{shown}*", field.name()), theme.text),
        })
        .collect();
    let list = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
    draw_list(frame, list, state, &lines, Some(search.chosen));
}
