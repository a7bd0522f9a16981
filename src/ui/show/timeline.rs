//! Incidents over time: a line each, a bar from its beginning to its end.
//!
//! ```text
//! ! Blocked: 10.0.7.1                 !███████
//! ▲ Throttling: Google · 10.0.3.1                 ▲▓▓▓▓▓▓▓▓▓▓▓▓▸
//!                           └────┬─────────┬─────────┬─────────
//! ```

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::incidents::{sign, times, title};
use crate::app::{Geometry, State, View};
use crate::insight::incident::{Incident, Severity};
use crate::query::time::{MINUTE, Micros, axis, floor, short};
use crate::text::display;
use crate::ui::format::{left, width};
use crate::ui::show::incidents::{draw_quiet, style};
use crate::ui::show::scroll;
use crate::ui::show::trend::{column_of, time_step};
use crate::ui::{cells, put};

/// The lines; which go on at the time under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let table = state.incident_panel(state.tab, index)?;
    let listed = state.listed(state.tab, table);
    if listed.is_empty() {
        draw_quiet(frame, area, state);
        return None;
    }
    let (from, until) = state.resolved()?;
    let theme = &state.setup.theme;
    let labels: Vec<String> = listed.iter().map(|incident| label(state, incident)).collect();
    let wide = labels.iter().map(|label| width(label)).max().unwrap_or(0).min(usize::from(area.width) / 3);
    let plot = Rect {
        x: area.x + cells(wide) + 2,
        width: area.width.saturating_sub(cells(wide) + 3),
        height: area.height.saturating_sub(2),
        ..area
    };
    if plot.width < 4 || plot.height == 0 {
        return None;
    }
    let cursor = state.board().panels.get(table).map_or(0, |panel| panel.cursor).min(listed.len() - 1);
    let rows = usize::from(plot.height);
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, listed.len());
    let step = usize::try_from((until - from) / MINUTE / i64::from(plot.width)).unwrap_or(1).max(1);
    geometry.views.insert((state.tab, index), View { rows, top, step, ..View::default() });
    for (at, incident) in listed.iter().enumerate().skip(top).take(rows) {
        let y = plot.y + cells(at - top);
        if at == cursor {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let text = labels.get(at).map_or("", String::as_str);
        put(frame.buffer_mut(), area.x + 1, y, &left(text, wide), wide, theme.text);
        draw_bar(frame.buffer_mut(), Rect { y, height: 1, ..plot }, state, incident, (from, until));
    }
    draw_axis(frame.buffer_mut(), plot, state, (from, until));
    let at = state.board().panels.get(index).and_then(|panel| panel.time);
    if state.board().focus == index {
        let x = plot.x + column_of(at.unwrap_or(until), from, until, plot.width);
        for y in plot.y..plot.bottom() {
            if let Some(cell) = frame.buffer_mut().cell_mut((x, y)).filter(|cell| cell.symbol() == " ") {
                cell.set_symbol("┊").set_style(theme.key);
            }
        }
        put(frame.buffer_mut(), x, plot.bottom(), "▲", 1, theme.key);
    }
    Some(readout(&listed, at.unwrap_or(until - 1), listed.get(cursor).copied()))
}

fn label(state: &State, incident: &Incident) -> String {
    let whom: Vec<&str> = incident.scope.values().map(String::as_str).collect();
    let whom = if whom.is_empty() { "all mail".to_owned() } else { whom.join(" · ") };
    display(&format!("{} {}: {whom}", sign(incident.severity), title(&state.setup.rules, incident))).into_owned()
}

/// A bar begins with its sign and is denser the worse it is; one that goes on ends in an arrow.
fn draw_bar(buffer: &mut Buffer, line: Rect, state: &State, incident: &Incident, (from, until): (Micros, Micros)) {
    let body = match incident.severity {
        Severity::Warn => "▒",
        Severity::High => "▓",
        Severity::Critical => "█",
    };
    let style = style(state, incident);
    let place = |at: Micros| line.x + column_of(at, from, until, line.width);
    let (first, last) = (place(incident.opened_at), place(incident.closed_at.unwrap_or(until)));
    for x in first..=last {
        put(buffer, x, line.y, body, 1, style);
    }
    if incident.opened_at >= from {
        put(buffer, first, line.y, sign(incident.severity), 1, style);
    } else {
        put(buffer, first, line.y, "◂", 1, style);
    }
    if last > first && incident.closed_at.is_none_or(|closed| closed > until) {
        put(buffer, last, line.y, "▸", 1, style);
    }
}

fn draw_axis(buffer: &mut Buffer, plot: Rect, state: &State, (from, until): (Micros, Micros)) {
    let theme = &state.setup.theme;
    let base = plot.bottom();
    let line = "─".repeat(usize::from(plot.width));
    put(buffer, plot.x, base, &line, usize::from(plot.width), theme.border);
    let step = time_step(from, until, plot.width);
    let mut at = floor(from + step - 1, step);
    let mut free = plot.x;
    while at < until {
        let x = plot.x + column_of(at, from, until, plot.width);
        put(buffer, x, base, "┬", 1, theme.border);
        let text = axis(at);
        let start = x.saturating_sub(cells(width(&text) / 2));
        let end = start + cells(width(&text));
        if start >= free && end <= plot.right() + 1 {
            put(buffer, start, base + 1, &text, usize::MAX, theme.muted);
            free = end + 1;
        }
        at += step;
    }
}

/// Which went on at a time, and when that under the cursor was.
fn readout(listed: &[&Incident], at: Micros, chosen: Option<&Incident>) -> String {
    let on: Vec<String> = listed
        .iter()
        .filter(|incident| incident.opened_at <= at && incident.closed_at.is_none_or(|closed| closed >= at))
        .map(|incident| {
            let whom: Vec<&str> = incident.scope.values().map(String::as_str).collect();
            format!(
                "{} {}",
                sign(incident.severity),
                if whom.is_empty() { "all mail".to_owned() } else { whom.join(" · ") }
            )
        })
        .collect();
    let going_on = match on.len() {
        0 => "nothing going on".to_owned(),
        n => format!("{n} going on: {}", on.join(", ")),
    };
    let chosen = chosen.map_or_else(String::new, |incident| format!(" │ chosen: {}", times(incident)));
    display(&format!("{} · {going_on}{chosen}", short(at))).into_owned()
}
