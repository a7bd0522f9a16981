//! What changed most: values of several fields with the number that moved, what it was and what it is.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::{Geometry, State, View};
use crate::dashboard::Good;
use crate::query::question::{Answer, Compare};
use crate::query::table::{Unit, Value};
use crate::text::display;
use crate::ui::format::{Change, Worse, compact, compare_name, left, number, right, thousands, width};
use crate::ui::show::scroll;
use crate::ui::{cells, panel, put};

/// One line in words.
struct Line {
    parts: [String; 6],
    level: Worse,
}

/// The list; the line under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    if state.compare == Compare::Off {
        panel::draw_empty(frame, area, state, "Nothing is compared with: c chooses what");
        return None;
    }
    let answer = state.answer(index)?;
    let total = answer.table.rows.len();
    if total == 0 {
        panel::draw_empty(frame, area, state, "Nothing changed by more than chance");
        return None;
    }
    let theme = &state.setup.theme;
    let rows = usize::from(area.height);
    let cursor = state.board().panels.get(index).map_or(0, |panel| panel.cursor).min(total - 1);
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, total);
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });
    let lines: Vec<Line> = (top..total).take(rows).map(|row| line(answer, row)).collect();
    let widths = widths(&lines, usize::from(area.width.saturating_sub(2)));
    for (at, line) in lines.iter().enumerate() {
        let y = area.y + cells(at);
        if state.board().focus == index && top + at == cursor {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let mut x = area.x + 1;
        for (part, (text, wide)) in line.parts.iter().zip(widths).enumerate() {
            let style = match (part, line.level) {
                (0 | 2, _) => theme.muted,
                (5, Worse::Clearly) => theme.danger,
                (5, Worse::Slightly) => theme.warn,
                _ => theme.text,
            };
            let text = if part == 3 { right(text, wide) } else { left(text, wide) };
            put(frame.buffer_mut(), x, y, &text, wide, style);
            x += cells(wide) + u16::from(wide > 0) * if matches!(part, 3 | 4) { 1 } else { 2 };
        }
    }
    let against = compare_name(state.compare, state.scope.time).unwrap_or_default();
    Some(readout(answer, cursor, &against))
}

/// What a metric is measured in, and which way is bad.
fn kind(metric: &str) -> (Unit, Good) {
    match metric {
        "delivered_rate" => (Unit::Fraction, Good::Up),
        metric if metric.ends_with("_rate") => (Unit::Fraction, Good::Down),
        metric if metric.ends_with("_ms") => (Unit::Millis, Good::Down),
        metric if metric.ends_with("frequency") => (Unit::Number, Good::Down),
        "volume" | "sent" | "delivered" => (Unit::Count, Good::Neutral),
        _ => (Unit::Count, Good::Down),
    }
}

fn words(cell: &Value) -> String {
    cell.as_text().map_or_else(String::new, |text| display(text).into_owned())
}

fn line(answer: &Answer, row: usize) -> Line {
    let table = &answer.table;
    let metric = words(table.cell(row, "metric"));
    let (unit, good) = kind(&metric);
    let (now, before) = (table.cell(row, "now"), table.cell(row, "before"));
    let text = |cell: &Value| cell.number().map_or_else(|| "–".to_owned(), |value| number(value, unit));
    let change = Change::of(now, before, unit, good);
    let gone = now.number() == Some(0.0) && unit == Unit::Count;
    let (said, level) = match change {
        Some(change) if gone => ("▼▼ gone".to_owned(), change.level.max(Worse::Slightly)),
        Some(change) => (change.text, change.level),
        None => (String::new(), Worse::No),
    };
    let said = if level == Worse::Clearly { format!("{said} !") } else { said };
    let mut field = words(table.cell(row, "field"));
    let mut value = words(table.cell(row, "value"));
    if field == "all" {
        (field, value) = (String::new(), "all mail".to_owned());
    } else if value.is_empty() {
        value = super::nameless(&field);
    }
    let metric = metric.trim_end_matches("_ms").replace('_', " ");
    Line { parts: [field.replace('_', " "), value, metric, text(before), format!("→ {}", text(now)), said], level }
}

/// Columns as wide as they need; where that is too much, the field goes and the value is cut.
fn widths(lines: &[Line], room: usize) -> [usize; 6] {
    let mut widths = [0; 6];
    for line in lines {
        for (wide, part) in widths.iter_mut().zip(&line.parts) {
            *wide = (*wide).max(width(part));
        }
    }
    let total = |widths: &[usize; 6]| widths.iter().sum::<usize>() + 9;
    if total(&widths) > room {
        widths[1] = widths[1].saturating_sub(total(&widths) - room).max(10.min(widths[1]));
    }
    if total(&widths) > room {
        widths[0] = 0;
    }
    widths
}

fn readout(answer: &Answer, row: usize, against: &str) -> String {
    let table = &answer.table;
    let position = format!("{}/{}", row + 1, table.rows.len());
    let n = |column: &str| {
        table.cell(row, column).number().map_or_else(
            || "–".to_owned(),
            |n| match n {
                n if n < 1e6 => thousands(n),
                n => compact(n),
            },
        )
    };
    format!("{position} · {against} → now · of {} → {} · enter shows its rows", n("n_before"), n("n"))
}
