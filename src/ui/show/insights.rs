//! Cards on Health: the faces of incidents, what goes on first. Two lines each where there is room.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::incidents::{cause, sign, times_by};
use crate::app::{Geometry, State, View};
use crate::insight::incident::{Incident, State as Fate};
use crate::text::display;
use crate::ui::format::{left, width};
use crate::ui::show::incidents::{draw_quiet, learning, style};
use crate::ui::show::scroll;
use crate::ui::{cells, put};

/// The cards; what the one under the cursor leads to read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let listed = state.listed(state.tab, index);
    if listed.is_empty() {
        draw_quiet(frame, area, state);
        return None;
    }
    let theme = &state.setup.theme;
    let focused = state.board().focus == index;
    let cursor = state.board().panels.get(index).map_or(0, |panel| panel.cursor).min(listed.len() - 1);
    let lines = usize::from(area.height);
    let each = if listed.len() * 2 <= lines { 2 } else { 1 };
    let rows = (lines / each).max(1);
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, listed.len());
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });
    let shown = || listed.iter().copied().skip(top).take(rows);
    let when = shown().map(|incident| width(&times_by(incident, state.now))).max().unwrap_or(0);
    let room = usize::from(area.width.saturating_sub(2));
    for (at, incident) in shown().enumerate() {
        let y = area.y + cells(at * each);
        if focused && top + at == cursor {
            frame.buffer_mut().set_style(Rect { y, height: cells(each), ..area }, theme.selected);
        }
        let mut x = area.x + 1;
        x += put(frame.buffer_mut(), x, y, sign(incident.severity), 1, style(state, incident)) + 1;
        x += put(frame.buffer_mut(), x, y, &left(&times_by(incident, state.now), when), when, theme.muted) + 2;
        let rest = usize::from(area.right().saturating_sub(x + 1));
        let head = if incident.state == Fate::Resolved { theme.text } else { theme.title };
        let text = if each == 1 {
            format!("{} · {}", headline(incident), display(cause(incident)))
        } else {
            headline(incident)
        };
        put(frame.buffer_mut(), x, y, text.trim_end_matches(" · "), rest, head);
        if each == 2 {
            put(frame.buffer_mut(), area.x + 3, y + 1, &why(incident), room.saturating_sub(2), theme.muted);
        }
    }
    let below = area.y + cells(listed.len() * each);
    if let Some(text) = learning(state, room).filter(|_| top == 0 && below + 1 < area.bottom()) {
        put(frame.buffer_mut(), area.x + 1, area.bottom() - 1, &text, room, theme.muted);
    }
    let open = listed.iter().filter(|incident| incident.closed_at.is_none()).count();
    Some(format!("{}/{} · {open} going on · enter opens it, x explains", cursor + 1, listed.len()))
}

/// What happened; that somebody knows, where somebody does.
fn headline(incident: &Incident) -> String {
    let known = if incident.state == Fate::Acknowledged { "(acknowledged) " } else { "" };
    format!("{known}{}", display(&incident.headline))
}

/// The likeliest cause and what to do about it.
fn why(incident: &Incident) -> String {
    let advice = incident.causes.first().map_or("", |cause| cause.advice.as_str());
    let cause = display(cause(incident)).into_owned();
    match (cause.is_empty(), advice.is_empty()) {
        (true, _) => display(&incident.basis).into_owned(),
        (false, true) => cause,
        (false, false) => format!("{cause} → {}", display(advice)),
    }
}
