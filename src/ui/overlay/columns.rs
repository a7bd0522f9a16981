//! The Explorer's columns: which, and in which order.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::State;
use crate::app::explorer::EVENT_COLUMNS;
use crate::app::overlay::Chooser;
use crate::ui::cells;
use crate::ui::format::left;
use crate::ui::overlay::{boxed, draw_list, middle};
use crate::ui::put;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, chooser: &Chooser) {
    let theme = &state.setup.theme;
    let area = middle(body, 62, cells(chooser.columns.len() + 3));
    let inner = boxed(frame, area, state, "Columns");
    let hint = "space shows or hides · J K move · a all · d default · enter";
    put(frame.buffer_mut(), inner.x, inner.y, hint, usize::from(inner.width), theme.muted);
    let lines: Vec<_> = chooser
        .columns
        .iter()
        .filter_map(|(at, shown)| {
            let column = EVENT_COLUMNS.get(*at)?;
            let (mark, style) = if *shown { ("[x]", theme.text) } else { ("[ ]", theme.muted) };
            Some((format!(" {mark} {} {}", left(column.title, 16), column.name), style))
        })
        .collect();
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    draw_list(frame, list, state, &lines, Some(chooser.chosen));
}
