//! Lines over time: braille dots on a linear scale from zero, the unit on the left, UTC below, each
//! line named at its end, gaps where nothing is known.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::State;
use crate::dashboard::Line;
use crate::query::question::Answer;
use crate::query::table::{Unit, Value};
use crate::query::time::{DAY, HOUR, MINUTE, Micros, axis, floor, short};
use crate::ui::format::{left, number, right, width};
use crate::ui::{cells, panel, put};

/// The column with the beginning of each bucket.
const BUCKET: &str = "bucket";

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

/// Round values of a latency axis, in milliseconds.
const ROUND_MILLIS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 20e3, 30e3, 60e3, 120e3, 300e3, 600e3,
    1_200e3, 1_800e3, 3_600e3, 7_200e3, 14_400e3, 21_600e3, 43_200e3, 86_400e3, 172_800e3, 432_000e3, 864_000e3,
];

/// A line's points in time order; `None` ends a stretch.
type Course = Vec<(Micros, Option<f64>)>;

/// The chart; the newest values read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    lines: &[Line],
    unit: Unit,
    index: usize,
) -> Option<String> {
    let answer = state.answer(index)?;
    let courses: Vec<Course> = lines.iter().map(|line| course(answer, line.column)).collect();
    let top = courses.iter().flatten().filter_map(|(_, number)| *number).fold(0.0, f64::max);
    let known = courses.iter().flatten().any(|(_, number)| number.is_some());
    if !known {
        panel::draw_empty(frame, area, state, &reason(answer, lines));
        return None;
    }
    let (from, until) = bounds(answer, &courses)?;
    let step = round_step(top, usize::from(area.height.saturating_sub(2)), unit);
    let ceiling = ((top / step).ceil().max(1.0)) * step;
    let label = |value: f64| match number(value, unit) {
        _ if value == 0.0 => "0".to_owned(),
        // A round number needs no digits behind the point, a round span no second unit.
        text => {
            text.replace(".0k", "k").replace(".00M", "M").replace(".0M", "M").replace(" 00s", "").replace(" 00m", "")
        }
    };
    let margin = tick_labels(ceiling, step, &label).iter().map(|(_, text)| width(text)).max().unwrap_or(1) + 1;
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
    draw_axes(frame, plot, state, &tick_labels(ceiling, step, &label), margin, (from, until, ceiling));
    let mut ends = Vec::new();
    for (at, course) in courses.iter().enumerate() {
        let style = state.setup.theme.line(at);
        if let Some(end) = draw_line(frame.buffer_mut(), plot, course, (from, until, ceiling), style) {
            ends.push((end, lines.get(at).map_or("", |line| line.label), style));
        }
    }
    if legend > 1 {
        draw_names(frame.buffer_mut(), plot, ends, names);
    }
    Some(readout(lines, &courses, unit))
}

fn course(answer: &Answer, column: &str) -> Course {
    let table = &answer.table;
    (0..table.rows.len())
        .filter_map(|row| match table.cell(row, BUCKET) {
            Value::Time(at) | Value::Int(at) => Some((*at, table.cell(row, column).number())),
            _ => None,
        })
        .collect()
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
    if unit == Unit::Millis {
        return ROUND_MILLIS.iter().copied().find(|step| *step >= wanted).unwrap_or(864_000e3);
    }
    if wanted <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(wanted.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= wanted).unwrap_or(wanted);
    if unit == Unit::Count { step.max(1.0) } else { step }
}

fn tick_labels(ceiling: f64, step: f64, label: &dyn Fn(f64) -> String) -> Vec<(f64, String)> {
    let mut ticks = Vec::new();
    let mut value = 0.0;
    while value <= ceiling * 1.001 && ticks.len() < 20 {
        ticks.push((value, label(value)));
        value += step;
    }
    ticks
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the area")]
fn row_of(value: f64, ceiling: f64, rows: u16) -> u16 {
    let share = (value / ceiling).clamp(0.0, 1.0);
    ((1.0 - share) * f64::from(rows.saturating_sub(1))).round() as u16
}

fn draw_axes(
    frame: &mut Frame<'_>,
    plot: Rect,
    state: &State,
    ticks: &[(f64, String)],
    margin: usize,
    (from, until, ceiling): (Micros, Micros, f64),
) {
    let theme = &state.setup.theme;
    let buffer = frame.buffer_mut();
    let line = plot.x - 1;
    for y in plot.y..plot.bottom() {
        put(buffer, line, y, "│", 1, theme.border);
    }
    for (value, text) in ticks {
        let y = plot.y + row_of(*value, ceiling, plot.height);
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

fn time_step(from: Micros, until: Micros, columns: u16) -> Micros {
    let most = Micros::from((columns / 9).max(1));
    STEPS.iter().copied().find(|step| (until - from) / step <= most).unwrap_or(365 * DAY)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the area")]
fn column_of(at: Micros, from: Micros, until: Micros, columns: u16) -> u16 {
    let share = ((at - from) as f64 / (until - from) as f64).clamp(0.0, 1.0);
    (share * f64::from(columns.saturating_sub(1))).round() as u16
}

/// Draws a line; the row of its last point.
fn draw_line(
    buffer: &mut Buffer,
    plot: Rect,
    course: &Course,
    (from, until, ceiling): (Micros, Micros, f64),
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
        let y = place(1.0 - number / ceiling, dots_y);
        match last {
            Some((before, from_x, from_y)) if at - before <= gap => {
                stroke(buffer, plot, (from_x, from_y), (x, y), style)
            }
            _ => dot(buffer, plot, x, y, style),
        }
        last = Some((*at, x, y));
    }
    let end = course.iter().rev().find_map(|(_, number)| *number)?;
    Some(plot.y + row_of(end, ceiling, plot.height))
}

/// A straight line between two dots.
fn stroke(buffer: &mut Buffer, plot: Rect, from: (i32, i32), until: (i32, i32), style: Style) {
    let steps = (until.0 - from.0).abs().max((until.1 - from.1).abs()).max(1);
    for step in 0..=steps {
        let along = |a: i32, b: i32| a + (b - a) * step / steps;
        dot(buffer, plot, along(from.0, until.0), along(from.1, until.1), style);
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

fn readout(lines: &[Line], courses: &[Course], unit: Unit) -> String {
    let newest = courses.iter().flatten().filter(|(_, number)| number.is_some()).map(|(at, _)| *at).max();
    let mut out = newest.map_or_else(String::new, short);
    for (line, course) in lines.iter().zip(courses) {
        let last = course.iter().rev().find(|(at, _)| Some(*at) == newest).and_then(|(_, number)| *number);
        let text = last.map_or_else(|| "–".to_owned(), |last| number(last, unit));
        write!(out, " · {} {text}", line.label).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        assert!((round_step(43_000.0, 12, Unit::Count) - 20_000.0).abs() < 1.0);
        assert!((round_step(1_084_000.0, 12, Unit::Millis) - 300e3).abs() < 1.0);
        assert_eq!(time_step(0, DAY, 60), 4 * HOUR);
    }
}
