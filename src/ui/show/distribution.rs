//! How long delivery took: a bar for each span of latency, the share of messages in it and the share that
//! was at most as slow; delivery and attempt latency beside each other, never mixed.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::distribution::{MEASURES, Span, spans};
use crate::app::{Geometry, State, View};
use crate::query::question::Answer;
use crate::query::table::Unit;
use crate::ui::format::{compact, compare_name, left, number, percent, right, thousands, width};
use crate::ui::show::scroll;
use crate::ui::{cells, panel, put};

/// The bars; the span under the cursor read out.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let answer = state.answer(index)?;
    let spans = spans(answer);
    if spans.is_empty() {
        panel::draw_empty(frame, area, state, "No message with a latency in this scope");
        return None;
    }
    let theme = &state.setup.theme;
    let cursor = state.board().panels.get(index).map_or(0, |panel| panel.cursor).min(spans.len() - 1);
    let rows = usize::from(area.height.saturating_sub(1));
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, spans.len());
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });

    let names: Vec<String> = spans.iter().map(name).collect();
    let names_wide = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let measures: Vec<usize> =
        (0..MEASURES.len()).filter(|measure| spans.iter().any(|span| span.rows[*measure].is_some())).collect();
    let room = usize::from(area.width).saturating_sub(names_wide + 3);
    let wide = room / measures.len().max(1);
    let most = |measure: usize| spans.iter().filter_map(|span| share(answer, span, measure)).fold(0.0, f64::max);
    for (at, measure) in measures.iter().enumerate() {
        let x = area.x + cells(names_wide + 3 + at * wide);
        put(frame.buffer_mut(), x, area.y, &head(*measure, wide), wide, theme.muted);
    }
    for (line, at) in (top..spans.len()).take(rows).enumerate() {
        let (Some(span), Some(name)) = (spans.get(at), names.get(at)) else { continue };
        let y = area.y + 1 + cells(line);
        if state.board().focus == index && at == cursor {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        put(frame.buffer_mut(), area.x + 1, y, &right(name, names_wide), names_wide, theme.text);
        for (place, measure) in measures.iter().enumerate() {
            let column = Rect { x: area.x + cells(names_wide + 3 + place * wide), y, width: cells(wide), height: 1 };
            draw_bar(frame, column, state, answer, (span, *measure, most(*measure)), theme.line(place));
        }
    }
    spans.get(cursor).map(|span| readout(state, answer, span))
}

fn name(span: &Span) -> String {
    let bound = |ms: f64| {
        number(ms, Unit::Millis).replace(".0s", "s").replace(" 00s", "").replace(" 00m", "").replace(" 00h", "")
    };
    match span.to {
        Some(to) if span.from <= 0.0 => format!("< {}", bound(to)),
        Some(to) => format!("{} – {}", bound(span.from), bound(to)),
        None => format!("≥ {}", bound(span.from)),
    }
}

/// Columns behind a bar: share, share so far, and the number where there is room for it.
const fn numbers_wide(wide: usize) -> usize {
    if wide >= 32 { 8 + 8 + 7 } else { 8 + 8 }
}

fn head(measure: usize, wide: usize) -> String {
    let bar = wide.saturating_sub(numbers_wide(wide) + 2);
    let title = MEASURES.get(measure).copied().unwrap_or_default();
    let n = if numbers_wide(wide) > 16 { right("n", 7) } else { String::new() };
    if bar < width(title) {
        return format!("{}{}", right(title, bar + 9), right("so far", 8));
    }
    format!("{} {}{}{n}", left(title, bar), right("share", 8), right("so far", 8))
}

fn share(answer: &Answer, span: &Span, measure: usize) -> Option<f64> {
    answer.table.cell(span.rows[measure]?, "share").number()
}

fn draw_bar(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    answer: &Answer,
    (span, measure, most): (&Span, usize, f64),
    style: Style,
) {
    let Some(row) = span.rows[measure] else { return };
    let table = &answer.table;
    let share = table.cell(row, "share").number().unwrap_or(0.0);
    let so_far = table.cell(row, "cumulative_share").number().unwrap_or(0.0);
    let n = table.cell(row, "n").number().unwrap_or(0.0);
    let numbers_wide = numbers_wide(usize::from(area.width));
    let wide = usize::from(area.width).saturating_sub(numbers_wide + 2);
    let bar = bar(share / most.max(f64::MIN_POSITIVE), wide);
    let used = put(frame.buffer_mut(), area.x, area.y, &bar, wide, style);
    let n_text = if numbers_wide > 16 { right(&compact(n), 7) } else { String::new() };
    let numbers = format!("{}{}{n_text}", right(&percent(share), 8), right(&percent(so_far), 8));
    let x = area.x + cells(wide) + 1;
    let muted = if n > 0.0 { state.setup.theme.text } else { state.setup.theme.muted };
    put(frame.buffer_mut(), x.max(area.x + used), area.y, &numbers, numbers_wide, muted);
}

/// A bar in eighths of a column; something is never nothing.
fn bar(share: f64, wide: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short bar")]
    let eighths = (share.clamp(0.0, 1.0) * wide as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

fn readout(state: &State, answer: &Answer, span: &Span) -> String {
    let mut text = name(span);
    for (measure, title) in MEASURES.iter().enumerate() {
        let Some(row) = span.rows[measure] else { continue };
        let table = &answer.table;
        let n = table.cell(row, "n").number().unwrap_or(0.0);
        let (share, so_far) = (table.cell(row, "share").number(), table.cell(row, "cumulative_share").number());
        let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
        write!(text, " · {title} {} ({}), {} so far", percent(share), thousands(n), percent(so_far)).ok();
        if let Some(old) = before(answer, span, title) {
            let name = compare_name(state.compare, state.scope.time).unwrap_or_default();
            write!(text, ", {name} {}", percent(Some(old))).ok();
        }
    }
    text
}

/// The share of the same span in what is compared with.
fn before(answer: &Answer, span: &Span, measure: &str) -> Option<f64> {
    let before = answer.before.as_ref()?;
    (0..before.rows.len())
        .find(|row| {
            before.cell(*row, "measure").as_text() == Some(measure)
                && before.cell(*row, "from_ms").number() == Some(span.from)
        })
        .and_then(|row| before.cell(row, "share").number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_message_leaves_a_trace() {
        assert_eq!(bar(1e-9, 10), "▏");
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(1.0, 3), "███");
    }

    #[test]
    fn spans_are_named_by_round_bounds() {
        let span = |from, to| Span { from, to, rows: [None; 2] };
        let names = [span(0.0, Some(1e3)), span(30e3, Some(60e3)), span(3_600e3, None)].map(|span| name(&span));
        assert_eq!(names, ["< 1s", "30s – 1m", "≥ 1h"]);
    }
}
