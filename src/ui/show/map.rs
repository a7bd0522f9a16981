//! A map of values by time: one glyph and colour a cell, darker for worse, with a cursor that is read out
//! and a box that can be drawn. Heatmaps and the coverage of files are both drawn here.
//!
//! ```text
//!  p95 latency · 1h cells        ░ <1m ▒ <5m ▓ <10m █ ≥10m · no mail
//!  Google     ░░░░░░░░░░░░░░░░░░░▒▓███▓▒░░░░░
//!  Yahoo      ░░░░░░░░░▒▒░░░░░░░░░░░░░░░░░░░░
//!             00:00   04:00   08:00   12:00
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::map::Map;
use crate::app::{Geometry, State, View};
use crate::query::time::{Micros, axis, floor, short};
use crate::ui::format::{left, width};
use crate::ui::show::scroll;
use crate::ui::show::trend::time_step;
use crate::ui::{cells, put};

/// How bad a cell is, from nothing known to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing happened there.
    Nothing,
    /// As it should be.
    Calm,
    /// A little more.
    Raised,
    /// Worth a look.
    High,
    /// Bad.
    Worst,
}

impl Level {
    /// A number against three limits.
    pub(super) fn of(number: f64, limits: [f64; 3]) -> Self {
        match number {
            number if number >= limits[2] => Self::Worst,
            number if number >= limits[1] => Self::High,
            number if number >= limits[0] => Self::Raised,
            _ => Self::Calm,
        }
    }

    /// Its sign, which is told apart without colours.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Nothing => "·",
            Self::Calm => "░",
            Self::Raised => "▒",
            Self::High => "▓",
            Self::Worst => "█",
        }
    }

    /// Its colour.
    pub(super) fn style(self, state: &State) -> Style {
        let theme = &state.setup.theme;
        match self {
            Self::Nothing => theme.border,
            Self::Calm => theme.good,
            Self::Raised => theme.busy,
            Self::High => theme.warn,
            Self::Worst => theme.danger,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub level: Level,
    /// It stands on too few to mean much.
    pub thin: bool,
    /// Another sign than its level's.
    pub sign: Option<&'static str>,
    /// Another style than its level's.
    pub style: Option<Style>,
}

/// What is drawn of a map.
pub(super) struct Drawing<'a> {
    pub map: &'a Map,
    /// The words before each row.
    pub labels: Vec<String>,
    /// What is drawn for a cell; of several in one column of the terminal the worst is shown.
    pub cell: &'a dyn Fn(usize, usize) -> Shown,
    /// The line above: parts with their styles.
    pub legend: Vec<(String, Style)>,
}

/// Most terminal columns that one cell takes.
const WIDEST: usize = 6;

/// The map; cells of the answer that one column of the terminal stands for.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    drawing: &Drawing<'_>,
    geometry: &mut Geometry,
) -> usize {
    let map = drawing.map;
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let (row, column) = map.cursor(&panel_state);
    let focused = state.board().focus == index;
    let names = drawing.labels.iter().map(|label| width(label)).max().unwrap_or(0).min(usize::from(area.width) / 4);
    let room = usize::from(area.width).saturating_sub(names + 4).max(1);
    let step = map.times.len().div_ceil(room).max(1);
    let wide = (room / map.times.len().div_ceil(step).max(1)).clamp(1, WIDEST);
    let head = u16::from(area.height >= 4);
    let foot = u16::from(area.height >= 3);
    let lines = usize::from(area.height.saturating_sub(head + foot));
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, row, lines, map.values.len());
    geometry.views.insert((state.tab, index), View { rows: lines, top, left: 0, step });

    if head > 0 {
        draw_legend(frame, area, &drawing.legend);
    }
    let start = area.x + 1 + cells(names) + 2;
    let selection = map.selection(&panel_state);
    for (line, value) in (top..map.values.len()).take(lines).enumerate() {
        let y = area.y + head + cells(line);
        let theme = &state.setup.theme;
        let on = focused && value == row;
        let label = drawing.labels.get(value).map_or("", String::as_str);
        let style = if on { theme.title } else { theme.text };
        put(frame.buffer_mut(), area.x + 1, y, &left(label, names), names, style);
        if on {
            put(frame.buffer_mut(), area.x, y, "▸", 1, theme.key);
        }
        for (at, first) in (0..map.times.len()).step_by(step).enumerate() {
            let last = (first + step).min(map.times.len());
            let shown = (first..last)
                .map(|column| (drawing.cell)(value, column))
                .max_by_key(|shown| (shown.sign.is_some(), shown.level));
            let Some(shown) = shown else { continue };
            let mut style = shown.style.unwrap_or_else(|| shown.level.style(state));
            if shown.thin {
                style = theme.muted;
            }
            let boxed = selection.is_some_and(|selection| {
                (selection.rows.0..=selection.rows.1).contains(&value)
                    && first <= selection.columns.1
                    && last > selection.columns.0
            });
            let here = on && (first..last).contains(&column);
            if boxed {
                style = style.patch(theme.selected);
            }
            if here {
                style = style.patch(theme.tab);
            }
            let sign = shown.sign.unwrap_or(shown.level.sign()).repeat(wide);
            put(frame.buffer_mut(), start + cells(at * wide), y, &sign, wide, style);
        }
    }
    if foot > 0 {
        let y = area.y + head + cells(lines.min(map.values.len() - top));
        draw_axis(frame, Rect { y, height: 1, ..area }, start, state, map, (step, wide));
    }
    step
}

fn draw_legend(frame: &mut Frame<'_>, area: Rect, legend: &[(String, Style)]) {
    let mut x = area.x + 1;
    for (text, style) in legend {
        if usize::from(x - area.x) + width(text) > usize::from(area.width) {
            break;
        }
        x += put(frame.buffer_mut(), x, area.y, text, usize::MAX, *style);
    }
}

fn draw_axis(frame: &mut Frame<'_>, area: Rect, start: u16, state: &State, map: &Map, (step, wide): (usize, usize)) {
    let (Some(from), Some(last)) = (map.times.first(), map.times.last()) else { return };
    let until = last + map.width;
    let columns = cells(map.times.len().div_ceil(step) * wide);
    let distance = time_step(*from, until, columns).max(map.width);
    let mut at = floor(from + distance - 1, distance);
    let mut free = start;
    while at < until {
        let x = start + cells(map.column(Some(at)) / step * wide);
        let text = axis(at);
        let end = x + cells(width(&text));
        if x >= free && end <= area.right() {
            put(frame.buffer_mut(), x, area.y, &text, usize::MAX, state.setup.theme.muted);
            free = end + 1;
        }
        at += distance;
    }
}

/// The time of a cell: `24 Nov 13:00–14:00`.
pub(super) fn time_name(at: Micros, width: Micros) -> String {
    let end: String = short(at + width).chars().skip(7).collect();
    format!("{}–{end}", short(at))
}
