//! The two lines on top: tabs, ingest, host and "now"; below them the scope and up to when each file
//! type is in.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::files::newest_by_type;
use crate::app::overlay::range_name;
use crate::app::{State, incidents};
use crate::config::Profile;
use crate::event::Role;
use crate::insight::incident::Severity;
use crate::query::time::{DAY, Micros, floor, short};
use crate::text::display;
use crate::ui::format::{compare_name, fit, width};
use crate::ui::{cells, put};

/// Columns that the time of day needs at least.
const CLOCK: usize = 7;

/// The frames of the spinner.
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"];
/// The same for terminals without Unicode.
const SPINNER_ASCII: [&str; 4] = ["|", "/", "-", "\\"];

/// The spinner's present frame.
pub(super) fn spinner(state: &State) -> &'static str {
    let frames: &[&str] = if state.setup.theme.unicode { &SPINNER } else { &SPINNER_ASCII };
    let at = usize::try_from(state.ticks).unwrap_or_default() % frames.len();
    frames.get(at).copied().unwrap_or_default()
}

/// Line 1.
pub(super) fn draw_tabs(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let theme = &state.setup.theme;
    let mut parts = Vec::new();
    if state.incoming.is_active() {
        let (done, total) = state.incoming.counts();
        parts.push((format!("{} {done}/{total}", spinner(state)), theme.busy));
    }
    if state.setup.profile != Profile::Engineer {
        parts.push((state.setup.profile.name().to_owned(), theme.warn));
    }
    if state.masked {
        parts.push(("masked".to_owned(), theme.warn));
    }
    if state.paused {
        parts.push(("‖ paused".to_owned(), theme.warn));
    }
    let needed: usize = parts.iter().map(|(text, _)| width(text) + 2).sum();
    // What helps least leaves first when the screen is narrow: our own name, then the ends of the other tabs' names.
    let fits = |tabs: &Line<'_>| tabs.width() + needed + CLOCK <= usize::from(area.width);
    let tabs =
        [(true, usize::MAX), (false, usize::MAX), (false, 4)].map(|(named, letters)| tabs(state, named, letters));
    let Some(tabs) = tabs.iter().find(|tabs| fits(tabs)).or(tabs.last()).cloned() else { return };
    let room = usize::from(area.width).saturating_sub(tabs.width() + 2);
    frame.render_widget(tabs, area);
    let now = state.now.map_or_else(|| "no data".to_owned(), |now| format!("{} UTC", short(now)));
    let host = display(&state.setup.host);
    let time_only = state.now.map(|now| short(now).chars().skip(7).collect::<String>()).unwrap_or_default();
    let candidates = [format!("{host} · {now}"), now, time_only];
    if let Some(text) = candidates.into_iter().find(|text| needed + width(text) <= room) {
        parts.push((text, theme.muted));
    }
    right_aligned(frame, area, &parts);
}

/// Our name and the tabs; of those that are not open so many letters.
fn tabs(state: &State, named: bool, letters: usize) -> Line<'static> {
    let theme = &state.setup.theme;
    let mut spans = vec![Span::styled(if named { " pmtop " } else { "" }, theme.title)];
    for (tab, dashboard) in state.tabs() {
        spans.push(Span::raw(" "));
        let open = tab == state.tab;
        let title: String = dashboard.title.chars().take(if open { usize::MAX } else { letters }).collect();
        let style = if open { theme.tab } else { theme.text };
        spans.push(Span::styled(format!("{} {title}", dashboard.key), style));
        if let Some((count, worst)) = state.incidents.open().filter(|_| tab == incidents::tab()) {
            let style = if worst == Severity::Warn { theme.warn } else { theme.danger };
            spans.push(Span::styled(format!(" {}{count}", incidents::sign(worst)), style));
        }
    }
    Line::from(spans)
}

/// Line 2.
pub(super) fn draw_scope(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let theme = &state.setup.theme;
    let trust = trust(state, usize::from(area.width) / 2);
    let trust_width: usize = trust.iter().map(|(text, _)| width(text) + 1).sum::<usize>() + 1;
    let room = usize::from(area.width).saturating_sub(trust_width + 1);
    let buffer = frame.buffer_mut();
    let mut x = area.x + 1;
    let mut left = room;
    let mut write = |text: &str, style: Style, left: &mut usize| {
        let used = put(buffer, x, area.y, text, *left, style);
        x += used;
        *left = left.saturating_sub(usize::from(used));
    };
    write(&range_name(state.scope.time), theme.title, &mut left);
    if let Some(against) = compare_name(state.compare, state.scope.time) {
        write(&format!("  vs {against}"), theme.muted, &mut left);
    }
    let filters = state.scope.filters();
    for (at, filter) in filters.iter().enumerate() {
        let text = display(&filter.to_string()).into_owned();
        let behind = if at + 1 < filters.len() { width(" +9") } else { 0 };
        let room = left.saturating_sub(4 + behind).min(36);
        // The last chips are the ones that Backspace takes: say at least how many are hidden.
        if width(&text) > room && room < 12 {
            write(&format!(" +{}", filters.len() - at), theme.warn, &mut left);
            break;
        }
        write("  ", theme.text, &mut left);
        write(&format!(" {} ", fit(&text, room)), theme.chip, &mut left);
    }
    right_aligned(frame, area, &trust);
}

/// Up to when each file type is in; what was never logged says n/a.
fn trust(state: &State, room: usize) -> Vec<(String, Style)> {
    let theme = &state.setup.theme;
    let Some(answer) = state.trust.shown_answer() else { return Vec::new() };
    if answer.table.is_empty() {
        return Vec::new();
    }
    let newest = newest_by_type(&answer.table);
    let now = state.now.unwrap_or_default();
    let parts: Vec<(String, Style)> = Role::ALL
        .iter()
        .map(|role| match newest.get(role.as_str()) {
            Some(to) => (format!("{role} ✔{}", clock(*to, now)), theme.good),
            None => (format!("{role} n/a"), theme.muted),
        })
        .collect();
    let wide = parts.iter().map(|(text, _)| width(text) + 1).sum::<usize>() <= room;
    if wide {
        return parts;
    }
    // Narrow: the types alone, with a sign each.
    Role::ALL
        .iter()
        .map(|role| {
            if newest.contains_key(role.as_str()) {
                (format!("{role}✔"), theme.good)
            } else {
                (format!("{role}–"), theme.muted)
            }
        })
        .collect()
}

/// The time of day, or the date where it is another day: a time alone would be taken for today's.
fn clock(at: Micros, now: Micros) -> String {
    let text = short(at);
    let (skip, keep) = if floor(at, DAY) == floor(now, DAY) { (7, 5) } else { (0, 6) };
    text.chars().skip(skip).take(keep).collect()
}

fn right_aligned(frame: &mut Frame<'_>, area: Rect, parts: &[(String, Style)]) {
    let wide: usize = parts.iter().map(|(text, _)| width(text)).sum::<usize>() + parts.len().saturating_sub(1);
    let Some(start) = usize::from(area.width).checked_sub(wide + 1) else { return };
    let mut x = area.x + cells(start);
    for (text, style) in parts {
        x += put(frame.buffer_mut(), x, area.y, text, usize::MAX, *style) + 1;
    }
}
