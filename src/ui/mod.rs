//! Draws: reads the state, never changes it.
//!
//! ```text
//!  pmtop  1 Health  2 Latency  …  7 Files ⠹ 3/27                mta3 · 24 Nov 14:32 UTC    header
//!  last 24h  provider=Yahoo                          acct ✔14:31 tran ✔14:31 … rb n/a      scope, trust
//!  ┌ panels, by the tab's description ──────────────────────────────────────────────┐
//!  └────────────────────────────────────────────────────────────────────────────────┘
//!  ↵ drill  f filter  t time  e export  ? help                          12 ms · gen 418    footer
//! ```

mod ascii;
mod footer;
pub mod format;
mod header;
mod overlay;
mod panel;
mod show;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;

use crate::app::board::dashboard;
use crate::app::{Geometry, State};
use crate::dashboard::{Height, Show};

/// Below this width or height the KPI row folds to numbers and one panel is shown at a time.
const FULL: (u16, u16) = (100, 30);

/// Paints the whole screen; what it returns tells `app` how far a page is and where rows begin.
pub fn draw(frame: &mut Frame<'_>, state: &State) -> Geometry {
    let mut geometry = state.geometry.clone();
    let area = frame.area();
    geometry.compact = area.width < FULL.0 || area.height < FULL.1;
    if area.width == 0 || area.height == 0 {
        return geometry;
    }
    let (mut top, mut bottom) = (area.y, area.bottom());
    if area.height >= 3 {
        header::draw_tabs(frame, line(area, top), state);
        top += 1;
        bottom -= 1;
        footer::draw(frame, line(area, bottom), state);
    }
    if area.height >= 6 {
        header::draw_scope(frame, line(area, top), state);
        top += 1;
    }
    let body = Rect { y: top, height: bottom.saturating_sub(top), ..area };
    draw_body(frame, body, state, &mut geometry);
    footer::draw_notice(frame, body, state);
    overlay::draw(frame, body, state, &mut geometry);
    if !state.setup.theme.unicode {
        ascii::reduce(frame.buffer_mut());
    }
    geometry
}

fn line(area: Rect, y: u16) -> Rect {
    Rect { y, height: 1, ..area }
}

fn draw_body(frame: &mut Frame<'_>, area: Rect, state: &State, geometry: &mut Geometry) {
    let dashboard = dashboard(state.tab);
    let files_tab = dashboard.panels().any(|panel| matches!(panel.show, Show::Files));
    if state.is_catalog_empty() && (!files_tab || state.incoming.live().is_empty()) {
        panel::draw_welcome(frame, area, state);
        return;
    }
    for (index, area) in places(area, state, geometry.compact) {
        panel::draw(frame, area, state, index, geometry);
    }
}

/// Where each visible panel goes.
fn places(area: Rect, state: &State, compact: bool) -> Vec<(usize, Rect)> {
    let dashboard = dashboard(state.tab);
    if compact {
        return compact_places(area, state);
    }
    let heights = dashboard.rows.iter().map(|row| match row.height {
        Height::Lines(lines) => Constraint::Length(lines),
        Height::Fill(share) => Constraint::Fill(share),
    });
    let mut places = Vec::new();
    let mut index = 0;
    for (row, area) in dashboard.rows.iter().zip(Layout::vertical(heights).split(area).iter()) {
        let columns = Layout::horizontal(row.panels.iter().map(|_| Constraint::Fill(1))).split(*area);
        for area in columns.iter() {
            places.push((index, *area));
            index += 1;
        }
    }
    places
}

fn compact_places(area: Rect, state: &State) -> Vec<(usize, Rect)> {
    let is_cards: Vec<bool> = dashboard(state.tab).panels().map(|panel| matches!(panel.show, Show::Cards(_))).collect();
    let focus = state.board().focus;
    let cards = is_cards.iter().position(|cards| *cards);
    let other = if is_cards.get(focus) == Some(&true) { is_cards.iter().position(|cards| !cards) } else { Some(focus) };
    match (cards, other) {
        (Some(cards), Some(other)) if area.height >= 8 => {
            let head = Rect { height: 3, ..area };
            let rest = Rect { y: area.y + 3, height: area.height - 3, ..area };
            vec![(cards, head), (other, rest)]
        }
        (Some(cards), _) if cards == focus => vec![(cards, area)],
        (_, Some(other)) => vec![(other, area)],
        (Some(cards), None) => vec![(cards, area)],
        (None, None) => Vec::new(),
    }
}

/// Writes text at a place and cuts it there; the columns used.
fn put(buffer: &mut Buffer, x: u16, y: u16, text: &str, columns: usize, style: Style) -> u16 {
    if !buffer.area.contains((x, y).into()) || columns == 0 {
        return 0;
    }
    let room = usize::from(buffer.area.right().saturating_sub(x)).min(columns);
    let (end, _) = buffer.set_stringn(x, y, format::fit(text, room), room, style);
    end.saturating_sub(x)
}

/// A number of terminal columns or rows.
fn cells(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
