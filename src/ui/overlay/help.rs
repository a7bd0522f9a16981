//! The help: every key from the table of actions, every tab; what is typed searches in it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::{ACTIONS, Context};
use crate::app::overlay::Help;
use crate::app::{Geometry, State};
use crate::dashboard::DASHBOARDS;
use crate::ui::format::{left, wrap};
use crate::ui::overlay::{boxed, draw_line, middle};
use crate::ui::{cells, put};

/// The column of keys.
const KEYS: usize = 20;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, help: &Help, geometry: &mut Geometry) {
    let inner =
        boxed(frame, middle(body, 110, body.height), state, "Help: type to search, ↑↓ pgup pgdn scroll, esc closes");
    draw_line(frame, Rect { height: 1, ..inner }, state, "› ", &help.line);
    let room = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
    let lines = lines(state, help.line.value(), usize::from(inner.width));
    geometry.help_end = lines.len().saturating_sub(usize::from(room.height));
    let top = help.scroll.min(geometry.help_end);
    for ((text, style, about), y) in lines.iter().skip(top).zip(room.y..room.bottom()) {
        put(frame.buffer_mut(), room.x + 1, y, text, KEYS + 60, *style);
        if !about.is_empty() {
            let x = room.x + 1 + cells(KEYS) + 1;
            put(frame.buffer_mut(), x, y, about, usize::from(room.right().saturating_sub(x)), state.setup.theme.text);
        }
    }
}

/// Keys, their style, what they do.
fn lines(state: &State, search: &str, wide: usize) -> Vec<(String, Style, String)> {
    let theme = &state.setup.theme;
    let search = search.trim().to_lowercase();
    let matches = |texts: &[&str]| search.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&search));
    let room = wide.saturating_sub(KEYS + 3).max(10);
    let mut lines = Vec::new();
    let mut section = |title: &str, entries: Vec<(String, String)>| {
        if entries.is_empty() {
            return;
        }
        if !lines.is_empty() {
            lines.push((String::new(), theme.text, String::new()));
        }
        lines.push((title.to_owned(), theme.title, String::new()));
        for (keys, about) in entries {
            for (at, part) in wrap(&about, room).into_iter().enumerate() {
                let keys = if at == 0 { left(&keys, KEYS) } else { String::new() };
                lines.push((keys, theme.key, part));
            }
        }
    };
    let tabs = DASHBOARDS
        .iter()
        .filter(|tab| matches(&[tab.title, tab.about]))
        .map(|tab| (tab.key.to_string(), format!("{}: {}", tab.title, tab.about)))
        .collect();
    section("Tabs", tabs);
    for context in Context::ALL {
        let entries = ACTIONS
            .iter()
            .filter(|info| info.context == *context)
            .map(|info| {
                let keys =
                    state.setup.keymap.keys(info.action).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                (keys, info)
            })
            .filter(|(keys, info)| matches(&[keys, info.name, info.help]))
            .map(|(keys, info)| (keys, format!("{} ({})", info.help, info.name)))
            .collect();
        section(context.title(), entries);
    }
    if lines.is_empty() {
        lines.push((format!("nothing about `{search}`"), theme.muted, String::new()));
    }
    lines
}
