//! Incidents: the table, and what all of their panels say where there is nothing to show.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::incidents::{INCIDENT_COLUMNS, IncidentColumn, cause, cell, spell};
use crate::app::{Geometry, State, View};
use crate::insight::baseline::{LEARNING, VOLUME_WEEKS};
use crate::insight::incident::{Incident, Severity, State as Fate};
use crate::query::time::short;
use crate::text::display;
use crate::ui::format::{left, right, width, wrap};
use crate::ui::show::{incident, scroll};
use crate::ui::{cells, panel, put};

/// Columns that take what room is left, and the least that they need.
const FLEXIBLE: [(&str, usize); 2] = [("headline", 32), ("cause", 20)];

/// How bad an incident is, as a style; one that is over no longer stands out.
pub(crate) fn style(state: &State, incident: &Incident) -> Style {
    let theme = &state.setup.theme;
    match (incident.state, incident.severity) {
        (Fate::Resolved | Fate::Silenced, _) => theme.muted,
        (_, Severity::Warn) => theme.warn,
        (_, Severity::High | Severity::Critical) => theme.danger,
    }
}

/// What is said where no incident is to be shown: that all is quiet, for how long, and what is still being learned.
pub(crate) fn draw_quiet(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let theme = &state.setup.theme;
    let Some(all) = state.incidents.all() else {
        let lines = [("Rules have not looked at the catalog yet".to_owned(), theme.muted)];
        panel::centered(frame, area, &lines);
        return;
    };
    if !all.is_empty() && (!state.scope.filters().is_empty() || all.iter().any(|one| one.closed_at.is_none())) {
        panel::draw_empty(frame, area, state, "No incident in this scope");
        return;
    }
    let mut lines = vec![("✔ all is quiet: no rule has found anything in this time".to_owned(), theme.good)];
    match (state.quiet_since(), state.now, state.history_days()) {
        (Some(since), Some(now), _) if now > since => {
            lines.push((format!("for {}: the last incident ended {}", spell(now - since), short(since)), theme.text));
        }
        (_, _, Some(days)) => lines.push((format!("nothing in {}", days_of(days)), theme.text)),
        _ => {}
    }
    lines.extend(learning(state, usize::MAX).map(|text| (text, theme.muted)));
    let room = usize::from(area.width.saturating_sub(2));
    let lines: Vec<(String, Style)> = lines
        .into_iter()
        .flat_map(|(text, style)| wrap(&text, room).into_iter().map(move |line| (line, style)).collect::<Vec<_>>())
        .collect();
    panel::centered(frame, area, &lines);
}

fn days_of(days: i64) -> String {
    if days == 1 { "1 day of history".to_owned() } else { format!("{days} days of history") }
}

/// What rules do not know yet, in as many words as there is room for.
pub(crate) fn learning(state: &State, room: usize) -> Option<String> {
    let days = state.history_days()?;
    let short = format!("learning: {}", days_of(days));
    let long = if days < i64::from(LEARNING) {
        format!("{short}; what is usual at an hour is known after a week, volumes after {VOLUME_WEEKS} weeks")
    } else if days < i64::from(VOLUME_WEEKS) * 7 {
        format!("{short}; a drop of volume is told from {VOLUME_WEEKS} weeks on")
    } else {
        return None;
    };
    Some(if width(&long) <= room { long } else { short })
}

/// The table; the cause of the one under the cursor read out.
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
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let cursor = panel_state.cursor.min(listed.len() - 1);
    let below = below_height(area, listed.len(), geometry.compact);
    let (whole, area) = (area, Rect { height: area.height - below, ..area });
    let rows = usize::from(area.height.saturating_sub(1));
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, listed.len());
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });
    let shown: Vec<&Incident> = listed.iter().copied().skip(top).take(rows).collect();
    let kept = keep(state, usize::from(area.width.saturating_sub(2)), &shown);
    let focused = state.board().focus == index;
    let mut x = area.x + 1;
    for (at, column, wide) in &kept {
        let mark = match &panel_state.sort {
            Some(sort) if sort.column == column.name => {
                if sort.descending {
                    "▾"
                } else {
                    "▴"
                }
            }
            _ => "",
        };
        let style = if focused && *at == panel_state.column { theme.key } else { theme.muted };
        let title = format!("{}{mark}", column.title);
        let title = if column.name == "lasted" { right(&title, *wide) } else { left(&title, *wide) };
        put(frame.buffer_mut(), x, area.y, &title, *wide, style);
        x += cells(*wide) + 2;
    }
    for (line, incident) in shown.iter().enumerate() {
        let y = area.y + 1 + cells(line);
        if top + line == cursor {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let mut x = area.x + 1;
        for (_, column, wide) in &kept {
            let text = text_of(state, column, incident);
            let text = if column.name == "lasted" { right(&text, *wide) } else { left(&text, *wide) };
            put(frame.buffer_mut(), x, y, &text, *wide, style_of(state, column, incident));
            x += cells(*wide) + 2;
        }
    }
    if below > 0
        && let Some(incident) = listed.get(cursor)
    {
        draw_below(frame, Rect { y: area.bottom(), height: below, ..whole }, state, incident);
    }
    let said = listed.get(cursor).map_or_else(String::new, |incident| {
        let cause = display(cause(incident)).into_owned();
        if cause.is_empty() { display(&incident.basis).into_owned() } else { cause }
    });
    Some(format!("{}/{} · {said}", cursor + 1, listed.len()))
}

/// Where one panel is shown at a time the sheet of the incident takes what the table leaves.
fn below_height(area: Rect, incidents: usize, compact: bool) -> u16 {
    let below = area.height.saturating_sub(1).saturating_sub(cells(incidents));
    if compact && below >= 6 { below } else { 0 }
}

fn draw_below(frame: &mut Frame<'_>, area: Rect, state: &State, incident: &Incident) {
    let theme = &state.setup.theme;
    let wide = usize::from(area.width.saturating_sub(2));
    put(frame.buffer_mut(), area.x + 1, area.y, &"─".repeat(wide), wide, theme.border);
    let lines = incident::lines(state, incident, wide);
    for ((name, text, style), y) in lines.iter().zip(area.y + 1..area.bottom()) {
        incident::draw_line(frame, Rect { y, height: 1, ..area }, state, (name.as_str(), text.as_str(), *style));
    }
}

fn text_of(state: &State, column: &IncidentColumn, incident: &Incident) -> String {
    display(&cell(column.name, incident, &state.setup.rules, state.now)).into_owned()
}

fn style_of(state: &State, column: &IncidentColumn, incident: &Incident) -> Style {
    let theme = &state.setup.theme;
    match column.name {
        "severity" => style(state, incident),
        "state" if incident.state == Fate::Open => theme.title,
        "state" | "rule" | "cause" => theme.muted,
        _ => theme.text,
    }
}

/// The columns that fit, with their places and widths.
fn keep(state: &State, room: usize, shown: &[&Incident]) -> Vec<(usize, &'static IncidentColumn, usize)> {
    let natural = |column: &IncidentColumn| {
        let widest = shown.iter().map(|incident| width(&text_of(state, column, incident))).max().unwrap_or(0);
        widest.max(width(column.title) + 1)
    };
    let least = |column: &IncidentColumn| {
        let least = FLEXIBLE.iter().find(|(name, _)| *name == column.name).map(|(_, least)| *least);
        least.map_or_else(|| natural(column).min(34), |least| natural(column).min(least))
    };
    let mut kept: Vec<(usize, &'static IncidentColumn, usize)> =
        INCIDENT_COLUMNS.iter().enumerate().map(|(at, column)| (at, column, least(column))).collect();
    let total = |kept: &[(usize, &IncidentColumn, usize)]| kept.iter().map(|(.., wide)| wide + 2).sum::<usize>();
    while total(&kept) > room + 2 {
        let worst = kept.iter().map(|(at, column, _)| (column.priority, *at)).max();
        let Some((_, drop)) = worst.filter(|(priority, _)| *priority > 0) else { break };
        kept.retain(|(at, ..)| *at != drop);
    }
    for (name, _) in FLEXIBLE {
        let used = total(&kept);
        if let Some((_, column, wide)) = kept.iter_mut().find(|(_, column, _)| column.name == name) {
            *wide = (*wide + (room + 2).saturating_sub(used)).min(natural(column));
        }
    }
    let over = total(&kept).saturating_sub(room + 2);
    if let Some((.., wide)) = kept.iter_mut().find(|(_, column, _)| column.name == "headline") {
        *wide = wide.saturating_sub(over).max(6);
    }
    kept
}
