//! A field's leading values by time: where and when it went wrong. The cursor reads out value, number and
//! what was usual there.

use std::collections::HashMap;
use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::board::{filter_text, group};
use crate::app::map::{BUCKET, Map};
use crate::app::{Geometry, State};
use crate::dashboard::{Panel, Shade};
use crate::query::question::Answer;
use crate::query::table::{Unit, Value};
use crate::query::time::{Micros, span};
use crate::text::display;
use crate::ui::format::{MIN_N, compare_name, number, rate, thousands};
use crate::ui::show::map::{Drawing, Level, Shown, draw as draw_map, time_name};
use crate::ui::show::trend::DECADES;
use crate::ui::{panel, show};

/// The map; the cell under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (panel, shades, index): (&Panel, &[Shade], usize),
    geometry: &mut Geometry,
) -> Option<String> {
    let answer = state.answer(index)?;
    let Some(map) = state.map(index) else {
        panel::draw_empty(frame, area, state, "Nothing in this scope");
        return None;
    };
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let shade = shades.get(panel_state.shade).or_else(|| shades.first())?;
    let table = &answer.table;
    let (column, of) = (table.column(shade.column), table.column(shade.of));
    let cell = |row: usize, column: Option<usize>| {
        column.and_then(|column| table.rows.get(row)?.get(column)).and_then(Value::number)
    };
    if let Some(Value::Missing(reason)) = column.and_then(|column| table.rows.first()?.get(column)) {
        panel::draw_empty(frame, area, state, &format!("{}: n/a, {}", shade.title, display(reason)));
        return None;
    }
    let limits = shade.limits.unwrap_or_else(|| limits(&table.numbers(shade.column)));
    let named = group(panel, &panel_state).map_or_else(String::new, |field| field.report_name());
    let labels = map
        .values
        .iter()
        .map(|value| if value.is_empty() { show::nameless(&named) } else { display(value).into_owned() })
        .collect();
    let shown = |line: usize, at: usize| {
        let row = map.row(line, at);
        let level = row.and_then(|row| cell(row, column)).map_or(Level::Nothing, |number| Level::of(number, limits));
        let thin = row.and_then(|row| cell(row, of)).is_some_and(|of| of < MIN_N);
        Shown { level, thin, sign: None, style: None }
    };
    let legend = legend(state, shade, limits, map.width);
    let drawing = Drawing { map: &map, labels, cell: &shown, legend };
    let step = draw_map(frame, area, state, index, &drawing, geometry);
    Some(readout(state, answer, &map, shade, (index, step)))
}

/// Where the shades of a map without fixed limits begin: at the round spans above its median.
fn limits(numbers: &[Option<f64>]) -> [f64; 3] {
    let usual = median(numbers.iter().flatten().copied().collect()).unwrap_or(0.0);
    let mut above = DECADES.iter().copied().filter(|mark| *mark > usual * 1.5);
    let first = above.next().unwrap_or(f64::INFINITY);
    let second = above.next().unwrap_or(f64::INFINITY);
    [first, second, above.next().unwrap_or(f64::INFINITY)]
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

fn legend(state: &State, shade: &Shade, limits: [f64; 3], width: Micros) -> Vec<(String, Style)> {
    let theme = &state.setup.theme;
    let round = |limit: f64| number(limit, shade.unit).replace(".0 %", " %").replace(".0s", "s").replace(" 00s", "");
    let mut parts = vec![(format!("{}, {} cells   ", shade.title, span(width)), theme.title)];
    let named = [
        (Level::Calm, format!("<{}", round(limits[0]))),
        (Level::Raised, format!("<{}", round(limits[1]))),
        (Level::High, format!("<{}", round(limits[2]))),
        (Level::Worst, format!("≥{}", round(limits[2]))),
        (Level::Nothing, "no mail".to_owned()),
    ];
    for (level, name) in named {
        parts.push((format!("{} ", level.sign()), level.style(state)));
        parts.push((format!("{name}  "), theme.muted));
    }
    parts.push((" grey: few".to_owned(), theme.muted));
    parts
}

/// Value, number, what was usual.
fn readout(state: &State, answer: &Answer, map: &Map, shade: &Shade, (index, step): (usize, usize)) -> String {
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    if let Some(selection) = map.selection(&panel_state) {
        let (from, last) = (map.times.get(selection.columns.0), map.times.get(selection.columns.1));
        let rows = selection.rows.1 - selection.rows.0 + 1;
        let time = from.zip(last).map_or_else(String::new, |(from, last)| time_name(*from, last - from + map.width));
        return format!("box: {rows} of {} rows, {time} · enter keeps it, z zooms, esc gives up", map.values.len());
    }
    let (line, column) = map.cursor(&panel_state);
    let Some(time) = map.times.get(column) else { return String::new() };
    let name = map.values.get(line).map(|value| display(value).into_owned()).unwrap_or_default();
    let mut text = format!("{} {name}", time_name(*time, map.width));
    let table = &answer.table;
    let Some(row) = map.row(line, column) else {
        text.push_str(" · no mail");
        return text;
    };
    let of = table.cell(row, shade.of).number();
    let now = table.cell(row, shade.column).number();
    let thin = if of.is_some_and(|of| of < MIN_N) { "~" } else { "" };
    match now {
        Some(now) if shade.unit == Unit::Fraction => {
            let side = |suffix: &str| table.cell(row, &format!("{}_{suffix}", shade.column)).number();
            write!(text, " · {} {thin}{}", shade.title, rate(now, side("low"), side("high"), of)).ok();
        }
        Some(now) => {
            let of = of.map_or_else(String::new, |of| format!(", n {}", thousands(of)));
            write!(text, " · {} {thin}{}{of}", shade.title, number(now, shade.unit)).ok();
        }
        None => write!(text, " · {} –", shade.title).ok().unwrap_or_default(),
    }
    if let Some((usual, what)) = usual(state, answer, map, shade, (line, column)) {
        write!(text, " · {what} {}", number(usual, shade.unit)).ok();
        if let Some(ratio) = now.filter(|_| usual > 0.0).map(|now| now / usual).filter(|ratio| *ratio >= 1.5) {
            write!(text, ", ×{ratio:.1}").ok();
        }
    }
    if step > 1 {
        write!(text, " · a column shows the worst of {step} cells").ok();
    }
    text
}

/// What was usual for a cell: the same one in what is compared with, else the median of its row.
fn usual(state: &State, answer: &Answer, map: &Map, shade: &Shade, at: (usize, usize)) -> Option<(f64, String)> {
    let value = map.values.get(at.0)?;
    let time = map.times.get(at.1)?;
    if let (Some(before), Some((from, _)), Some(began)) = (&answer.before, answer.before_range, answer.range.0) {
        let key = before.heads.first()?.name.clone();
        let then = time - (began - from);
        let rows: HashMap<Micros, usize> = (0..before.rows.len())
            .filter(|row| filter_text(before.cell(*row, &key)) == *value)
            .filter_map(|row| match before.cell(row, BUCKET) {
                Value::Time(at) | Value::Int(at) => Some((*at, row)),
                _ => None,
            })
            .collect();
        let row = rows.iter().find(|(begin, _)| **begin <= then && then < **begin + map.width).map(|(_, row)| *row);
        if let Some(number) = row.and_then(|row| before.cell(row, shade.column).number()) {
            let name = compare_name(state.compare, state.scope.time).unwrap_or_default();
            return Some((number, name));
        }
    }
    let row = (0..map.times.len())
        .filter(|column| *column != at.1)
        .filter_map(|column| answer.table.cell(map.row(at.0, column)?, shade.column).number())
        .collect();
    median(row).map(|number| (number, "row's median".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_begin_above_what_is_usual() {
        assert_eq!(limits(&[Some(22e3), Some(20e3), None, Some(900e3)]), [60e3, 300e3, 600e3]);
        assert_eq!(limits(&[]), [10.0, 30.0, 100.0]);
    }
}
