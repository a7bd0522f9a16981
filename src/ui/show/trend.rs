//! Lines over time: braille dots, the unit on the left, UTC below, each line named at its end, gaps where
//! nothing is known. Counts stand on a linear scale from zero, latencies on a logarithmic one: seconds
//! in the day and hours in the night must both be readable.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::board::PanelState;
use crate::app::map::{BUCKET, Map};
use crate::app::{Geometry, State, View};
use crate::dashboard::Line;
use crate::query::question::Answer;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::{DAY, HOUR, MINUTE, Micros, axis, floor, short};
use crate::ui::format::{MIN_N, compact, compare_name, left, number, right, thousands, width};
use crate::ui::show::map::time_name;
use crate::ui::{cells, panel, put};

/// Distances between labels of the time axis.
const STEPS: &[Micros] = &[
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    4 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
    365 * DAY,
];

/// Values that a latency axis is labelled with, in milliseconds: each some three times the one before.
pub(super) const DECADES: &[f64] = &[
    10.0,
    30.0,
    100.0,
    300.0,
    1e3,
    3e3,
    10e3,
    30e3,
    60e3,
    300e3,
    600e3,
    1_800e3,
    3_600e3,
    10_800e3,
    36_000e3,
    86_400e3,
    259_200e3,
    864_000e3,
    2_592_000e3,
];

/// A line's points in time order; `None` ends a stretch.
type Course = Vec<(Micros, Option<f64>)>;

/// The chart with what is compared with dotted below it; the values under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (lines, unit, index): (&[Line], Unit, usize),
    geometry: &mut Geometry,
) -> Option<String> {
    let answer = state.answer(index)?;
    let courses: Vec<Course> = lines.iter().map(|line| course(&answer.table, line.column)).collect();
    let ghosts: Vec<Course> =
        lines.iter().map(|line| if line.ghost { ghost(answer, line.column) } else { Course::new() }).collect();
    let top = courses.iter().chain(&ghosts).flatten().filter_map(|(_, number)| *number).fold(0.0, f64::max);
    let known = courses.iter().flatten().any(|(_, number)| number.is_some());
    if !known {
        panel::draw_empty(frame, area, state, &reason(answer, lines));
        return None;
    }
    let (from, until) = bounds(answer, &courses)?;
    // PowerMTA writes whole seconds: none at all is less than one, not infinitely less.
    let above_zero = |number: &f64| *number > 0.0;
    let least = courses.iter().flatten().filter_map(|(_, number)| *number).filter(above_zero).fold(top, f64::min);
    let scale = Scale::new(least, top, usize::from(area.height.saturating_sub(2)), unit);
    let ticks = scale.ticks(unit);
    let margin = ticks.iter().map(|(_, text)| width(text)).max().unwrap_or(1) + 1;
    let names = lines.iter().map(|line| width(line.label)).max().unwrap_or(0);
    let legend = if area.width >= 60 { names + 2 } else { 1 };
    let plot = Rect {
        x: area.x + cells(margin + 1),
        y: area.y,
        width: area.width.saturating_sub(cells(margin + 1 + legend)),
        height: area.height.saturating_sub(2),
    };
    if plot.width < 4 || plot.height < 1 {
        return None;
    }
    draw_axes(frame, plot, state, &ticks, margin, (from, until, &scale));
    for (at, course) in ghosts.iter().enumerate() {
        let style = state.setup.theme.line(at).patch(state.setup.theme.ghost());
        draw_dots(frame.buffer_mut(), plot, course, (from, until, &scale), style);
    }
    let mut ends = Vec::new();
    for (at, course) in courses.iter().enumerate() {
        let style = state.setup.theme.line(at);
        if let Some(end) = draw_line(frame.buffer_mut(), plot, course, (from, until, &scale), style) {
            ends.push((end, lines.get(at).map_or("", |line| line.label), style));
        }
    }
    if legend > 1 {
        draw_names(frame.buffer_mut(), plot, ends, names);
    }
    let map = state.map(index)?;
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let (_, at) = map.cursor(&panel_state);
    let step = map.times.len().div_ceil(usize::from(plot.width) * 2).max(1);
    geometry.views.insert((state.tab, index), View { step, ..View::default() });
    let place = |at: Micros| plot.x + column_of(at, from, until, plot.width);
    if let Some((first, last)) = map.selection(&panel_state).map(|selection| selection.columns)
        && let (Some(first), Some(last)) = (map.times.get(first), map.times.get(last))
    {
        let (left, right) = (place(*first), place(last + map.width));
        let area = Rect { x: left, width: (right - left).max(1), ..plot };
        frame.buffer_mut().set_style(area, state.setup.theme.selected);
    }
    if let Some(time) = map.times.get(at).filter(|_| state.board().focus == index) {
        draw_cursor(frame.buffer_mut(), plot, place(*time), state);
    }
    Some(readout(state, answer, (lines, &courses, &ghosts, unit), &map, &panel_state))
}

fn course(table: &Table, column: &str) -> Course {
    (0..table.rows.len())
        .filter_map(|row| match table.cell(row, BUCKET) {
            Value::Time(at) | Value::Int(at) => Some((*at, table.cell(row, column).number())),
            _ => None,
        })
        .collect()
}

/// The course of what is compared with, moved onto this range.
fn ghost(answer: &Answer, column: &str) -> Course {
    let (Some(before), Some((began, _)), Some(from)) = (&answer.before, answer.before_range, answer.range.0) else {
        return Course::new();
    };
    let until = answer.range.1.unwrap_or(Micros::MAX);
    let moved = course(before, column).into_iter().map(|(at, number)| (at + (from - began), number));
    moved.filter(|(at, _)| (from..until).contains(at)).collect()
}

/// A line where the cursor is, behind everything else.
fn draw_cursor(buffer: &mut Buffer, plot: Rect, x: u16, state: &State) {
    for y in plot.y..plot.bottom() {
        if let Some(cell) = buffer.cell_mut((x, y)).filter(|cell| cell.symbol() == " ") {
            cell.set_symbol("┊").set_style(state.setup.theme.key);
        }
    }
    put(buffer, x, plot.bottom(), "▲", 1, state.setup.theme.key);
}

/// Why there is nothing to draw.
fn reason(answer: &Answer, lines: &[Line]) -> String {
    let cells = lines.iter().map(|line| answer.table.cell(0, line.column));
    let missing = cells.filter_map(|cell| match cell {
        Value::Missing(reason) => Some(crate::text::display(reason).into_owned()),
        _ => None,
    });
    missing.into_iter().next().unwrap_or_else(|| "Nothing in this time range".to_owned())
}

fn bounds(answer: &Answer, courses: &[Course]) -> Option<(Micros, Micros)> {
    let times = || courses.iter().flatten().map(|(at, _)| *at);
    let (first, last) = (times().min()?, times().max()?);
    let width = bucket_width(courses);
    let from = answer.range.0.map_or(first, |from| from.min(first));
    let until = answer.range.1.map_or(last + width, |until| until.max(last + 1));
    (until > from).then_some((from, until))
}

/// The smallest distance between two buckets.
fn bucket_width(courses: &[Course]) -> Micros {
    courses
        .iter()
        .flat_map(|course| course.windows(2).map(|pair| pair[1].0 - pair[0].0))
        .filter(|distance| *distance > 0)
        .min()
        .unwrap_or(MINUTE)
}

/// A round distance between labels of the value axis.
fn round_step(top: f64, height: usize, unit: Unit) -> f64 {
    let wanted = top / (height as f64 / 3.0).clamp(1.0, 6.0);
    if wanted <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(wanted.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= wanted).unwrap_or(wanted);
    if unit == Unit::Count { step.max(1.0) } else { step }
}

/// The value axis.
#[derive(Debug)]
enum Scale {
    /// From zero to a multiple of a step.
    Linear { ceiling: f64, step: f64 },
    /// Between two values above zero, with the round values in between.
    Log { floor: f64, ceiling: f64, marks: Vec<f64> },
}

impl Scale {
    /// The scale for values between two.
    fn new(least: f64, top: f64, height: usize, unit: Unit) -> Self {
        if unit == Unit::Millis && top > 0.0 {
            let floor = DECADES.iter().copied().rfind(|mark| *mark <= least).unwrap_or(DECADES[0]);
            let ceiling = DECADES.iter().copied().find(|mark| *mark >= top && *mark > floor).unwrap_or(top);
            let marks: Vec<f64> = DECADES.iter().copied().filter(|mark| (floor..=ceiling).contains(mark)).collect();
            // As many labels as there is room for, the upper one always.
            let every = (marks.len() * 2).div_ceil(height.max(1)).max(1);
            let marks = marks.into_iter().rev().step_by(every).collect();
            return Self::Log { floor, ceiling, marks };
        }
        let step = round_step(top, height, unit);
        Self::Linear { ceiling: ((top / step).ceil().max(1.0)) * step, step }
    }

    /// Where a value stands, from 0 at the bottom to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { ceiling, .. } => value / ceiling,
            Self::Log { floor, ceiling, .. } => (value.max(*floor) / floor).ln() / (ceiling / floor).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The labelled values.
    fn ticks(&self, unit: Unit) -> Vec<(f64, String)> {
        let label = |value: f64| match unit {
            _ if value == 0.0 => "0".to_owned(),
            // A round number needs no digits behind the point, a round span no second unit.
            Unit::Count => compact(value).replace(".0", ""),
            _ => number(value, unit).replace(".0s", "s").replace(" 00s", "").replace(" 00m", "").replace(" 00h", ""),
        };
        match self {
            Self::Linear { ceiling, step } => {
                let mut ticks = Vec::new();
                let mut value = 0.0;
                while value <= ceiling * 1.001 && ticks.len() < 20 {
                    ticks.push((value, label(value)));
                    value += step;
                }
                ticks
            }
            Self::Log { marks, .. } => marks.iter().map(|mark| (*mark, label(*mark))).collect(),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the area")]
    fn row(&self, value: f64, rows: u16) -> u16 {
        ((1.0 - self.share(value)) * f64::from(rows.saturating_sub(1))).round() as u16
    }
}

fn draw_axes(
    frame: &mut Frame<'_>,
    plot: Rect,
    state: &State,
    ticks: &[(f64, String)],
    margin: usize,
    (from, until, scale): (Micros, Micros, &Scale),
) {
    let theme = &state.setup.theme;
    let buffer = frame.buffer_mut();
    let line = plot.x - 1;
    for y in plot.y..plot.bottom() {
        put(buffer, line, y, "│", 1, theme.border);
    }
    for (value, text) in ticks {
        let y = plot.y + scale.row(*value, plot.height);
        put(buffer, line.saturating_sub(cells(margin)), y, &right(text, margin), margin, theme.muted);
        put(buffer, line, y, "┤", 1, theme.border);
    }
    let base = plot.bottom();
    put(
        buffer,
        line,
        base,
        &format!("└{}", "─".repeat(usize::from(plot.width))),
        usize::from(plot.width) + 1,
        theme.border,
    );
    let step = time_step(from, until, plot.width);
    let mut at = floor(from + step - 1, step);
    let mut free = plot.x;
    while at < until {
        let x = plot.x + column_of(at, from, until, plot.width);
        put(buffer, x, base, "┬", 1, theme.border);
        let text = axis(at);
        let start = x.saturating_sub(cells(width(&text) / 2));
        let end = start + cells(width(&text));
        if start >= free && end <= plot.right() + 4 && end <= frame_right(plot) {
            put(buffer, start, base + 1, &text, usize::MAX, theme.muted);
            free = end + 1;
        }
        at += step;
    }
}

/// Labels may reach a little beyond the plot, not beyond the panel.
fn frame_right(plot: Rect) -> u16 {
    plot.right().saturating_add(1)
}

pub(super) fn time_step(from: Micros, until: Micros, columns: u16) -> Micros {
    let most = Micros::from((columns / 9).max(1));
    STEPS.iter().copied().find(|step| (until - from) / step <= most).unwrap_or(365 * DAY)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the area")]
pub(super) fn column_of(at: Micros, from: Micros, until: Micros, columns: u16) -> u16 {
    let share = ((at - from) as f64 / (until - from) as f64).clamp(0.0, 1.0);
    (share * f64::from(columns.saturating_sub(1))).round() as u16
}

/// Draws a line; the row of its last point.
fn draw_line(
    buffer: &mut Buffer,
    plot: Rect,
    course: &Course,
    (from, until, scale): (Micros, Micros, &Scale),
    style: Style,
) -> Option<u16> {
    let (dots_x, dots_y) = (i32::from(plot.width) * 2, i32::from(plot.height) * 4);
    let gap = bucket_width(std::slice::from_ref(course)) * 3 / 2;
    let mut last: Option<(Micros, i32, i32)> = None;
    for (at, number) in course {
        let Some(number) = number else {
            last = None;
            continue;
        };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the area")]
        let place = |share: f64, dots: i32| (share.clamp(0.0, 1.0) * f64::from(dots - 1)).round() as i32;
        let x = place((at - from) as f64 / (until - from) as f64, dots_x);
        let y = place(1.0 - scale.share(*number), dots_y);
        match last {
            Some((before, from_x, from_y)) if at - before <= gap => {
                stroke(buffer, plot, (from_x, from_y), (x, y), style);
            }
            _ => dot(buffer, plot, x, y, style),
        }
        last = Some((*at, x, y));
    }
    let end = course.iter().rev().find_map(|(_, number)| *number)?;
    Some(plot.y + scale.row(end, plot.height))
}

/// A straight line between two dots.
fn stroke(buffer: &mut Buffer, plot: Rect, from: (i32, i32), until: (i32, i32), style: Style) {
    let steps = (until.0 - from.0).abs().max((until.1 - from.1).abs()).max(1);
    for step in 0..=steps {
        let along = |a: i32, b: i32| a + (b - a) * step / steps;
        dot(buffer, plot, along(from.0, until.0), along(from.1, until.1), style);
    }
}

/// A course as loose dots, one a column.
fn draw_dots(
    buffer: &mut Buffer,
    plot: Rect,
    course: &Course,
    (from, until, scale): (Micros, Micros, &Scale),
    style: Style,
) {
    let (dots_x, dots_y) = (i32::from(plot.width) * 2, i32::from(plot.height) * 4);
    for (at, number) in course {
        let Some(number) = number else { continue };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the area")]
        let place = |share: f64, dots: i32| (share.clamp(0.0, 1.0) * f64::from(dots - 1)).round() as i32;
        let x = place((at - from) as f64 / (until - from) as f64, dots_x);
        dot(buffer, plot, x, place(1.0 - scale.share(*number), dots_y), style);
    }
}

fn dot(buffer: &mut Buffer, plot: Rect, x: i32, y: i32, style: Style) {
    /// Bits of a braille cell by column and row of the dot.
    const BITS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else { return };
    let Some(cell) = buffer.cell_mut((plot.x + x / 2, plot.y + y / 4)) else { return };
    let known = match cell.symbol().chars().next() {
        Some(letter @ '\u{2800}'..='\u{28ff}') => u32::from(letter) - 0x2800,
        _ => 0,
    };
    let bit = BITS[usize::from(x % 2)][usize::from(y % 4)];
    if let Some(letter) = char::from_u32(0x2800 + (known | bit)) {
        cell.set_char(letter).set_style(style);
    }
}

/// Each line's name beside its last point, one below the other where they would meet.
fn draw_names(buffer: &mut Buffer, plot: Rect, mut ends: Vec<(u16, &str, Style)>, names: usize) {
    ends.sort_by_key(|(y, ..)| *y);
    let count = ends.len();
    let mut free = plot.y;
    for (at, (y, name, style)) in ends.into_iter().enumerate() {
        let below = cells(count - at - 1);
        let y = y.max(free).min(plot.bottom().saturating_sub(1 + below)).max(free);
        put(buffer, plot.right() + 1, y, &left(name, names), names, style);
        free = y + 1;
    }
}

/// The values at the cursor, or what a box holds.
fn readout(
    state: &State,
    answer: &Answer,
    (lines, courses, ghosts, unit): (&[Line], &[Course], &[Course], Unit),
    map: &Map,
    panel_state: &PanelState,
) -> String {
    if let Some((first, last)) = map.selection(panel_state).map(|selection| selection.columns)
        && let (Some(first), Some(last)) = (map.times.get(first), map.times.get(last))
    {
        let time = time_name(*first, last - first + map.width);
        return format!("box: {time} · enter or z zooms to it, esc gives up");
    }
    let newest = courses.iter().flatten().filter(|(_, number)| number.is_some()).map(|(at, _)| *at).max();
    let at = match panel_state.time {
        Some(_) => map.times.get(map.cursor(panel_state).1).copied(),
        None => newest,
    };
    let mut out = at.map_or_else(String::new, short);
    let value = |course: &Course| course.iter().find(|(begin, _)| Some(*begin) == at).and_then(|(_, number)| *number);
    for (line, course) in lines.iter().zip(courses) {
        let text = match (value(course), answer.table.cell(0, line.column)) {
            (Some(value), _) => number(value, unit),
            (None, Value::Missing(_)) => "n/a".to_owned(),
            (None, _) => "–".to_owned(),
        };
        write!(out, " · {} {text}", line.label).ok();
    }
    if unit == Unit::Millis
        && let Some(n) = value(&course(&answer.table, "latency_n"))
    {
        let thin = if n < MIN_N { "~" } else { "" };
        write!(out, " · {thin}n {}", thousands(n)).ok();
    }
    let olds: Vec<String> = lines
        .iter()
        .zip(ghosts)
        .filter_map(|(line, ghost)| value(ghost).map(|old| format!("{} {}", line.label, number(old, unit))))
        .collect();
    if let Some(against) = compare_name(state.compare, state.scope.time).filter(|_| !olds.is_empty()) {
        write!(out, " · {against} (dotted): {}", olds.join(", ")).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_hours_are_apart_on_a_latency_axis() {
        let scale = Scale::new(900.0, 33_000e3, 15, Unit::Millis);
        let labels: Vec<String> = scale.ticks(Unit::Millis).into_iter().map(|(_, label)| label).collect();
        assert_eq!((labels.first().map(String::as_str), labels.last().map(String::as_str)), (Some("10h"), Some("1s")));
        assert!(scale.row(1e3, 15) > scale.row(60e3, 15) && scale.row(60e3, 15) > scale.row(3_600e3, 15));
    }

    #[test]
    fn axes_have_round_steps() {
        assert!((round_step(43_000.0, 12, Unit::Count) - 20_000.0).abs() < 1.0);
        assert_eq!(time_step(0, DAY, 60), 4 * HOUR);
    }
}
