//! The last line: which keys are valid here, how long the answer took; above it the latest message.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Paragraph};

use crate::app::State;
use crate::app::action::{Action, Context};
use crate::app::board::dashboard;
use crate::app::notice::Level;
use crate::app::overlay::Overlay;
use crate::dashboard::Show;
use crate::ui::format::{clean_lines, width, wrap};
use crate::ui::header::spinner;
use crate::ui::{cells, put};

/// The order in which keys are worth their room.
const ORDER: &[Action] = &[
    Action::Accept,
    Action::Cancel,
    Action::Complete,
    Action::PreviousChoice,
    Action::Journey,
    Action::CloseDetail,
    Action::ScrollDown,
    Action::Drill,
    Action::Acknowledge,
    Action::Silence,
    Action::Explain,
    Action::Filter,
    Action::CardPrevious,
    Action::Mark,
    Action::Shade,
    Action::Evidence,
    Action::Tune,
    Action::Note,
    Action::ShowIncident,
    Action::Include,
    Action::Time,
    Action::Export,
    Action::Variant,
    Action::NextPanel,
    Action::SortNext,
    Action::ZoomIn,
    Action::PanEarlier,
    Action::AddFiles,
    Action::Compare,
    Action::CopyCell,
    Action::Palette,
];

/// Keys on the left, the answer's cost on the right.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let theme = &state.setup.theme;
    let cost = cost(state);
    let room = usize::from(area.width).saturating_sub(width(&cost) + 3);
    // Help is the way to everything that does not fit, so its room is kept.
    let help = hint(state, Action::Help).filter(|_| state.overlay.is_none());
    let wide = |(keys, word): &(String, String)| width(keys) + 1 + width(word) + 2;
    let mut used = 1 + help.as_ref().map_or(0, wide);
    let mut shown = Vec::new();
    for hint in hints(state) {
        if used + wide(&hint) <= room {
            used += wide(&hint);
            shown.push(hint);
        }
    }
    let mut x = area.x + 1;
    for (keys, word) in shown.into_iter().chain(help) {
        x += put(frame.buffer_mut(), x, area.y, &keys, usize::MAX, theme.key);
        x += put(frame.buffer_mut(), x, area.y, &format!(" {word}  "), usize::MAX, theme.muted);
    }
    if let Some(start) = usize::from(area.width).checked_sub(width(&cost) + 1) {
        put(frame.buffer_mut(), area.x + cells(start), area.y, &cost, usize::MAX, theme.muted);
    }
}

fn cost(state: &State) -> String {
    if state.is_catalog_empty() {
        return String::new();
    }
    let answer = if state.in_explorer() {
        let cursor = state.board().panels.first().map_or(0, |panel| panel.cursor);
        state.explorer.slot(cursor).and_then(|slot| slot.shown_answer())
    } else {
        state.answer(state.board().focus)
    };
    answer.map_or_else(String::new, |answer| format!("{} ms · gen {}", answer.took_ms, answer.generation))
}

/// The keys that are worth knowing here.
fn hints(state: &State) -> Vec<(String, String)> {
    let contexts = state.contexts();
    let panel = state.focused();
    let mut hints = Vec::new();
    if contexts.first() != Some(&Context::Prompt)
        && state.detail.is_none()
        && let Some(tab) = state.trail.tabs().last()
    {
        hints.push((key_of(state, Action::Back), format!("‹ {}", dashboard(*tab).title)));
    }
    for action in ORDER {
        let Some(info) = action.info().filter(|info| contexts.contains(&info.context)) else { continue };
        let useful = match info.action {
            action if !state.allows(action) => false,
            // Nothing to ask about yet.
            action if state.is_catalog_empty() && state.overlay.is_none() => action == Action::AddFiles,
            Action::Drill => state.detail.is_none(),
            // What is over needs nobody to take it.
            Action::Acknowledge | Action::Silence => {
                state.incident().is_some_and(|incident| incident.closed_at.is_none())
            }
            Action::Evidence | Action::Tune | Action::Note | Action::ShowIncident => state.incident().is_some(),
            Action::Variant => panel.is_some_and(|panel| panel.variants.len() > 1),
            Action::Mark => panel.is_some_and(|panel| matches!(panel.show, Show::Trend { .. } | Show::Heatmap(_))),
            Action::Shade => panel.is_some_and(|panel| matches!(panel.show, Show::Heatmap(_))),
            Action::SortNext => panel.is_some_and(|panel| {
                matches!(panel.show, Show::Table(_) | Show::Events | Show::Files | Show::Incidents)
            }),
            Action::NextPanel => state.board().panels.len() > 1,
            Action::Accept | Action::Complete => !matches!(state.overlay, Some(Overlay::Help(_))),
            _ => true,
        };
        if useful {
            hints.extend(hint(state, *action));
        }
    }
    hints
}

/// A hint that names its own keys (`</>/s sort`) is shown as it is while those keys are the defaults.
fn hint(state: &State, action: Action) -> Option<(String, String)> {
    let info = action.info().filter(|info| !info.hint.is_empty())?;
    let key = key_of(state, action);
    let is_default = info.keys.first().is_some_and(|word| *word == key);
    match info.hint.split_once(' ') {
        Some((keys, word)) if keys.contains('/') && is_default => Some((keys.to_owned(), word.to_owned())),
        Some((keys, word)) if keys.contains('/') => Some((pretty(state, &key), word.to_owned())),
        _ => Some((pretty(state, &key), info.hint.to_owned())),
    }
}

fn key_of(state: &State, action: Action) -> String {
    state.setup.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default()
}

fn pretty(state: &State, key: &str) -> String {
    if key == "enter" && state.setup.theme.unicode { "↵".to_owned() } else { key.to_owned() }
}

/// The latest message, over the lower edge of the tab; as many lines as it needs.
pub(super) fn draw_notice(frame: &mut Frame<'_>, body: Rect, state: &State) {
    let Some(notice) = &state.notice else { return };
    let theme = &state.setup.theme;
    let (sign, style) = match notice.level {
        Level::Done => ("✔", theme.good),
        Level::Busy => (spinner(state), theme.busy),
        Level::Error => ("!", theme.danger),
    };
    let text = if notice.level == Level::Error {
        format!("{sign} {}  (esc)", clean_lines(&notice.text))
    } else {
        format!("{sign} {}", clean_lines(&notice.text))
    };
    let lines = wrap(&text, usize::from(body.width.saturating_sub(2)));
    let height = cells(lines.len()).min(body.height);
    let area = Rect { y: body.bottom() - height, height, ..body };
    frame.render_widget(Clear, area);
    let lines: Vec<String> = lines.iter().map(|line| format!(" {line}")).collect();
    frame.render_widget(Paragraph::new(lines.join("\n")).style(style), area);
}
