//! One incident with all that is known of it: causes with their shares, what was replied, what to do, what it was
//! measured against, and what people wrote.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::incidents::{lasted, sign, spell, times, title};
use crate::app::{Geometry, State, View};
use crate::insight::incident::{Cause, Incident};
use crate::insight::signal::Signal;
use crate::query::table::Unit;
use crate::query::time::{Micros, iso, short};
use crate::text::display;
use crate::ui::format::{clean_lines, left, number, percent, thousands, wrap};
use crate::ui::put;
use crate::ui::show::incidents::{draw_quiet, style};

/// The column of names.
const NAMES: usize = 10;
/// The widest bar of a share.
const BAR: usize = 12;

type Line = (String, String, Style);

/// The sheet of the incident under the cursor.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let Some(incident) = state.incident_at(index) else {
        draw_quiet(frame, area, state);
        return None;
    };
    let lines = lines(state, incident, usize::from(area.width.saturating_sub(2)));
    let rows = usize::from(area.height);
    geometry.detail_end = lines.len().saturating_sub(rows);
    let scroll = state.board().panels.get(index).map_or(0, |panel| panel.cursor);
    let top = scroll.min(geometry.detail_end);
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });
    for ((name, text, style), y) in lines.iter().skip(top).zip(area.y..area.bottom()) {
        draw_line(frame, Rect { y, height: 1, ..area }, state, (name.as_str(), text.as_str(), *style));
    }
    if lines.len() > rows {
        return Some(format!("lines {}–{} of {}", top + 1, (top + rows).min(lines.len()), lines.len()));
    }
    Some(format!("{} · {}", incident.id, incident.rule))
}

/// A line of the sheet: its name, and what is said.
pub(super) fn draw_line(frame: &mut Frame<'_>, area: Rect, state: &State, (name, text, style): (&str, &str, Style)) {
    let muted = state.setup.theme.muted;
    let used = put(frame.buffer_mut(), area.x + 1, area.y, &left(name, NAMES), NAMES, muted);
    let x = area.x + 2 + used;
    put(frame.buffer_mut(), x, area.y, text, usize::from(area.right().saturating_sub(x)), style);
}

/// All that is known of an incident, line by line.
pub(super) fn lines(state: &State, incident: &Incident, wide: usize) -> Vec<Line> {
    let theme = &state.setup.theme;
    let room = wide.saturating_sub(NAMES + 1).max(8);
    let mut lines: Vec<Line> = Vec::new();
    let mut add = |name: &str, text: &str, style: Style| {
        for (at, part) in wrap(text, room).into_iter().enumerate() {
            lines.push((if at == 0 { name.to_owned() } else { String::new() }, part, style));
        }
    };
    let head = format!("{} {}", sign(incident.severity), display(&incident.headline));
    add(incident.severity.as_str(), &head, style(state, incident));
    add("state", &fate(incident), theme.text);
    let lasted = spell(lasted(incident, state.now));
    let so_far = if incident.closed_at.is_some() { "" } else { " so far" };
    add("when", &format!("{} · {lasted}{so_far}", times(incident)), theme.text);
    add("whom", &display(&incident.whom()), theme.text);
    add("measured", &measured(state, incident), theme.text);
    for cause in &incident.causes {
        cause_lines(state, cause, &mut add);
    }
    let advice = state.rule_of(incident).map_or("", |rule| rule.advice.as_str());
    if incident.causes.iter().all(|cause| cause.advice != advice) && !advice.is_empty() {
        add("to do", advice, theme.good);
    }
    let filters = incident.evidence.filters.join(" ");
    let rows = format!("{} rows · {} · enter shows them", thousands(incident.evidence.rows as f64), display(&filters));
    add("evidence", &rows, theme.text);
    for note in &incident.notes {
        add("note", &format!("{}: {}", short(note.at), clean_lines(&note.text)), theme.title);
    }
    lines
}

/// What has become of it, and what people did.
fn fate(incident: &Incident) -> String {
    let state = incident.state.as_str();
    match incident.silenced_until {
        Some(until) if incident.closed_at.is_none() && until == Micros::MAX => format!("{state} until it is over"),
        Some(until) if incident.closed_at.is_none() => format!("{state}, silence until {}", iso(until)),
        _ => state.to_owned(),
    }
}

/// The number, what is usual, and where that was learned.
fn measured(state: &State, incident: &Incident) -> String {
    let unit = match state.rule_of(incident).map(|rule| rule.signal) {
        Some(Signal::Files | Signal::Latency) => Unit::Millis,
        Some(Signal::NewReply | Signal::KnownCode | Signal::Surge) => Unit::Number,
        _ => Unit::Fraction,
    };
    let usual = incident.baseline.map_or_else(String::new, |usual| format!(", usually {}", number(usual, unit)));
    let of = if incident.of > 0 {
        format!(" · {} of {} rows", thousands(incident.hits as f64), thousands(incident.of as f64))
    } else {
        String::new()
    };
    let rule = title(&state.setup.rules, incident);
    // "learning: 1 day of history" says by itself what it is.
    let basis = display(&incident.basis);
    let against = if basis.starts_with("learning") { "" } else { "against " };
    format!("{}{usual}{of} · {against}{basis} · rule: {rule}", number(incident.value, unit))
}

fn cause_lines(state: &State, cause: &Cause, add: &mut dyn FnMut(&str, &str, Style)) {
    let theme = &state.setup.theme;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short bar")]
    let full = ((cause.share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let class = [cause.reply_class.as_str(), cause.status.as_str()].into_iter().filter(|part| !part.is_empty());
    let class: Vec<String> = class.map(|part| display(part).into_owned()).collect();
    let class = if class.is_empty() { String::new() } else { format!(" · {}", class.join(" ")) };
    let list = cause.blocklist.as_ref().map_or_else(String::new, |list| format!(" · list {}", display(list)));
    let share = percent(cause.share);
    let rows = thousands(cause.rows as f64);
    add("cause", &format!("{bar} {share} · {rows} rows{class}{list}"), theme.text);
    add("", &display(&cause.cause), theme.title);
    let reply = &cause.reply;
    if !reply.is_empty() {
        add("reply", &clean_lines(reply), theme.muted);
    }
    if !cause.advice.is_empty() {
        add("to do", &display(&cause.advice), theme.good);
    }
}
