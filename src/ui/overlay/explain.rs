//! Why: sentences, then what the change hangs on with bars, the onset's course, and what the other side says.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::State;
use crate::app::explaining::Explaining;
use crate::insight::explain::{Contributor, Explanation, sentences};
use crate::text::display;
use crate::ui::format::{clean_lines, fit, left, percent, right, spark, width, wrap};
use crate::ui::header::spinner;
use crate::ui::overlay::boxed;
use crate::ui::put;

/// The widest bar.
const BAR: usize = 14;

/// A line, and which contributor it is.
struct Line {
    text: String,
    style: Style,
    row: Option<usize>,
}

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, explaining: &Explaining) {
    let theme = &state.setup.theme;
    let keys = " ↑↓ more · enter filters by it · o its rows · m next number · esc ";
    let about = display(&explaining.about).into_owned();
    let room = usize::from(body.width.saturating_sub(4));
    let inner = boxed(frame, body, state, &fit(&format!("Why? {about}"), room));
    put(frame.buffer_mut(), body.x + 2, body.bottom() - 1, keys, room, theme.muted);
    let wide = usize::from(inner.width.saturating_sub(2));
    let lines = match &explaining.found {
        None => {
            let seconds = f64::from(explaining.waited) / 10.0;
            let text = format!("{} comparing with what is usual {seconds:.1} s · esc cancels", spinner(state));
            vec![Line { text, style: theme.busy, row: None }]
        }
        Some(Err(failure)) => wrap(&clean_lines(&failure.to_string()), wide)
            .into_iter()
            .map(|text| Line { text, style: theme.danger, row: None })
            .collect(),
        Some(Ok(found)) => lines(state, found, wide),
    };
    // The cursor stays in sight; what is above it goes first.
    let rows = usize::from(inner.height);
    let at = lines.iter().position(|line| line.row == Some(explaining.chosen)).unwrap_or(0);
    let last = lines.iter().filter_map(|line| line.row).max().unwrap_or(0);
    let top = match explaining.chosen {
        0 => 0,
        // Below the last one stands what the other side says.
        chosen if chosen == last => lines.len().saturating_sub(rows).min(at),
        _ => (at + 2).saturating_sub(rows),
    };
    for (line, y) in lines.iter().skip(top).zip(inner.y..inner.bottom()) {
        if line.row == Some(explaining.chosen) {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..inner }, theme.selected);
        }
        put(frame.buffer_mut(), inner.x + 1, y, &line.text, wide, line.style);
    }
}

fn lines(state: &State, found: &Explanation, wide: usize) -> Vec<Line> {
    let theme = &state.setup.theme;
    let mut lines = Vec::new();
    for (at, sentence) in sentences(found).iter().enumerate() {
        let style = if at == 0 { theme.title } else { theme.text };
        let wrapped = wrap(&clean_lines(sentence), wide.saturating_sub(2).max(8));
        lines.extend(wrapped.into_iter().enumerate().map(|(part, text)| {
            let indent = if part == 0 { "" } else { "  " };
            Line { text: format!("{indent}{text}"), style, row: None }
        }));
    }
    let mut row = 0;
    for (title, contributors) in [("Where it is", &found.contributors), ("By single value", &found.values)] {
        if contributors.is_empty() {
            continue;
        }
        lines.push(Line { text: String::new(), style: theme.text, row: None });
        lines.push(Line { text: title.to_owned(), style: theme.muted, row: None });
        for text in bars(contributors, wide) {
            lines.push(Line { text, style: theme.text, row: Some(row) });
            row += 1;
        }
    }
    let hits: Vec<Option<f64>> = found.series.iter().map(|beat| Some(beat.hits as f64)).collect();
    if hits.len() > 1 {
        let text = format!("its course  {}", spark(&hits, wide.saturating_sub(14).min(96)));
        lines.push(Line { text: String::new(), style: theme.text, row: None });
        lines.push(Line { text, style: theme.muted, row: None });
    }
    // What hardly anybody says is no cause.
    let is_said = found.replies.iter().any(|reply| reply.share >= 0.01);
    if is_said {
        lines.push(Line { text: String::new(), style: theme.text, row: None });
        lines.push(Line { text: "What the other side says".to_owned(), style: theme.muted, row: None });
    }
    for reply in found.replies.iter().filter(|reply| reply.share >= 0.01).take(3) {
        let words = if reply.example.is_empty() { &reply.template } else { &reply.example };
        let head = format!("{} {}: {}", percent(reply.share), display(&reply.class), clean_lines(words));
        lines.extend(wrap(&head, wide).into_iter().map(|text| Line { text, style: theme.muted, row: None }));
        if !reply.advice.is_empty() {
            let text = format!("  → {}", display(&reply.advice));
            lines.extend(wrap(&text, wide).into_iter().map(|text| Line { text, style: theme.good, row: None }));
        }
    }
    lines
}

/// A bar, the share, how the rate changed, by how much, and what it is.
fn bars(rows: &[Contributor], wide: usize) -> Vec<String> {
    let courses: Vec<String> = rows.iter().map(Contributor::course).collect();
    let course_width = courses.iter().map(|course| width(course)).max().unwrap_or(0);
    rows.iter()
        .zip(&courses)
        .map(|(row, course)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short bar")]
            let full = ((row.share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
            let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
            let lift = row.lift().map_or_else(String::new, |lift| format!("{lift:.1}×"));
            let text = format!(
                "{bar} {}  {}  {}  {}",
                right(&percent(row.share), 7),
                left(course, course_width),
                right(&lift, 7),
                display(&row.whom())
            );
            fit(&text, wide)
        })
        .collect()
}
