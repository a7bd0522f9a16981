//! KPI cards: the number, its change against the period before, its course, what it is made of.
//!
//! ```text
//!  Sent            Delivered       Deferral rate    Bounce rate
//!  1.82M  ▲ 4 %    97.1 %  ▼ 1 %   8.4 %  ▲▲ 3.1× ! 2.6 %  ▲ 12 %
//!  ▁▂▃▅▆▇▇▆▅▃▂▁    ▇▇▇▇▇▇▅▃▃▅▇▇    ▁▁▁▁▁▂▇█▇▃▁▁     ▁▁▁▁▂▂▃▃▂▂▁▁
//!                  1.77M           58.2k            h 1.1k  s 902  b 610
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::State;
use crate::app::board::dashboard;
use crate::app::slot::Slot;
use crate::dashboard::Card;
use crate::query::question::Answer;
use crate::query::table::{Unit, Value};
use crate::text::display;
use crate::ui::format::{Change, MIN_N, Worse, compact, compare_name, fit, rate, spark, value, width};
use crate::ui::show::cell_text;
use crate::ui::{cells, put};

/// All cards of a panel, side by side; numbers alone where there are fewer than four lines.
pub(crate) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, cards: &[Card], index: usize) {
    let Some(answer) = state.answer(index) else { return };
    let course = state.board().slot(dashboard(state.tab), index, 1).and_then(Slot::shown_answer);
    let focused = state.board().focus == index;
    let chosen = state.board().panels.get(index).map_or(0, |panel| panel.cursor.min(cards.len().saturating_sub(1)));
    let drawn: Vec<Drawn> = cards.iter().map(|card| Drawn::of(card, answer, state)).collect();
    for (at, (x, wide)) in columns(area, &drawn).into_iter().enumerate() {
        let (Some(card), Some(drawn)) = (cards.get(at), drawn.get(at)) else { continue };
        let column = Rect { x: area.x + x, width: wide, ..area };
        draw_card(frame, column, state, (card, drawn), answer, course.map(AsRef::as_ref), focused && at == chosen);
    }
    if focused
        && area.height >= 3
        && let Some(card) = cards.get(chosen)
    {
        let line = if area.height >= 5 { area.bottom() - 1 } else { area.y + 2 };
        let text = readout(state, card, answer);
        put(
            frame.buffer_mut(),
            area.x + 1,
            line,
            &text,
            usize::from(area.width.saturating_sub(2)),
            state.setup.theme.muted,
        );
    }
}

/// A card's texts and how they are to look.
struct Drawn {
    title: String,
    number: String,
    number_style: Style,
    change: String,
    change_style: Style,
}

impl Drawn {
    fn of(card: &Card, answer: &Answer, state: &State) -> Self {
        let theme = &state.setup.theme;
        let cell = answer.table.cell(0, card.column);
        let change = answer
            .before
            .as_ref()
            .and_then(|before| Change::of(cell, before.cell(0, card.column), card.unit, card.good));
        let thin = is_thin(answer, card.column);
        let level = change.as_ref().map_or(Worse::No, |change| change.level);
        let (style, mark) = match level {
            _ if thin => (theme.muted, ""),
            Worse::No => (theme.muted, ""),
            Worse::Slightly => (theme.warn, ""),
            Worse::Clearly => (theme.danger, " !"),
        };
        Self {
            title: title(card, answer),
            number: cell_text(&answer.table, 0, card.column, card.unit),
            number_style: if !cell.is_there() || thin { theme.muted } else { theme.title },
            change: change.map_or_else(String::new, |change| format!("{}{mark}", change.text)),
            change_style: style,
        }
    }

    /// The width in which nothing is cut.
    fn natural(&self, short: bool) -> usize {
        let change = if short { self.sign() } else { self.change.clone() };
        width(&self.title).max(width(&self.number) + usize::from(!change.is_empty()) + width(&change))
    }

    fn sign(&self) -> String {
        let bad = if self.change.ends_with('!') { "!" } else { "" };
        self.change.split(' ').next().map_or_else(String::new, |sign| format!("{}{bad}", sign.replace('=', "")))
    }
}

/// Latency falls back to attempts where nothing was delivered, and says so.
fn title(card: &Card, answer: &Answer) -> String {
    let measure = answer.table.cell(0, "latency_measure").as_text().unwrap_or_default();
    if card.column.starts_with("latency") && measure.starts_with("attempt") {
        return format!("{} (attempt)", card.title);
    }
    card.title.to_owned()
}

/// Whether a rate stands on too few to mean much.
fn is_thin(answer: &Answer, column: &str) -> bool {
    answer.table.cell(0, &format!("{column}_of")).number().is_some_and(|of| of < MIN_N)
}

/// Equal columns, or each as wide as it needs where that is all there is.
fn columns(area: Rect, cards: &[Drawn]) -> Vec<(u16, u16)> {
    let count = cells(cards.len()).max(1);
    let equal = area.width / count;
    let fits = |short: bool| cards.iter().all(|card| card.natural(short) + 2 <= usize::from(equal));
    if fits(false) || (area.height >= 4 && equal >= 14) {
        return (0..count).map(|at| (1 + at * equal, equal.saturating_sub(1))).collect();
    }
    let needed: Vec<u16> = cards.iter().map(|card| cells(card.natural(true))).collect();
    let total: u16 = needed.iter().sum();
    let gap = (area.width.saturating_sub(total + 1) / count).min(4);
    let mut x = 1;
    needed
        .into_iter()
        .map(|wide| {
            let place = (x, wide);
            x += wide + gap.max(1);
            place
        })
        .collect()
}

fn draw_card(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (card, drawn): (&Card, &Drawn),
    answer: &Answer,
    course: Option<&Answer>,
    chosen: bool,
) {
    let theme = &state.setup.theme;
    let wide = usize::from(area.width);
    let buffer = frame.buffer_mut();
    let title_style = if chosen { theme.tab } else { theme.muted };
    put(buffer, area.x, area.y, &drawn.title, wide, title_style);
    if area.height < 2 {
        return;
    }
    let used = put(buffer, area.x, area.y + 1, &drawn.number, wide, drawn.number_style);
    let room = wide.saturating_sub(usize::from(used) + 1);
    let change = if width(&drawn.change) <= room { drawn.change.clone() } else { drawn.sign() };
    put(buffer, area.x + used + 1, area.y + 1, &change, room, drawn.change_style);
    if area.height < 4 {
        return;
    }
    if let Some(course) = course {
        let columns = wide.saturating_sub(2);
        put(buffer, area.x, area.y + 2, &spark(&course.table.numbers(card.column), columns), columns, theme.line(0));
    }
    let detail = match answer.table.cell(0, card.column) {
        Value::Missing(reason) => display(reason).into_owned(),
        _ => detail(card, answer, wide.saturating_sub(1)),
    };
    put(buffer, area.x, area.y + 3, &detail, wide.saturating_sub(1), theme.muted);
}

/// The columns below the number, all of them: in full, else by their first digits, else closer together.
fn detail(card: &Card, answer: &Answer, room: usize) -> String {
    let line = |short: bool, gap: &str, space: &str| {
        let parts = card.detail.iter().filter_map(|(label, column, unit)| {
            let cell = answer.table.cell(0, column);
            let text = match cell.number() {
                Some(number) if short && *unit == Unit::Count => compact(number),
                _ if cell.is_there() => value(cell, *unit),
                _ => return None,
            };
            let space = if label.is_empty() { "" } else { space };
            Some(format!("{label}{space}{text}"))
        });
        parts.collect::<Vec<_>>().join(gap)
    };
    let lines = [line(false, "  ", " "), line(true, "  ", " "), line(true, " ", " "), line(true, " ", "")];
    let last = lines.len() - 1;
    lines
        .into_iter()
        .enumerate()
        .find(|(at, text)| *at == last || width(text) <= room)
        .map_or_else(String::new, |(_, text)| fit(&text, room))
}

/// The chosen card in full.
fn readout(state: &State, card: &Card, answer: &Answer) -> String {
    let cell = answer.table.cell(0, card.column);
    let before = answer.before.as_ref().map(|before| before.cell(0, card.column));
    let now = match (cell, card.unit) {
        (Value::Missing(reason), _) => format!("n/a: {}", display(reason)),
        (cell, Unit::Fraction) => {
            let side = |suffix: &str| answer.table.cell(0, &format!("{}_{suffix}", card.column)).number();
            cell.number().map_or_else(
                || cell_text(&answer.table, 0, card.column, card.unit),
                |share| rate(share, side("low"), side("high"), side("of")),
            )
        }
        (cell, unit) => value(cell, unit),
    };
    match before {
        Some(before) if before.is_there() => {
            let against = compare_name(state.compare, state.scope.time).unwrap_or_else(|| "before".to_owned());
            format!("{}: {now} · {against} {}", card.title, value(before, card.unit))
        }
        _ => format!("{}: {now}", card.title),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::Good;
    use crate::query::table::Table;

    #[test]
    fn every_part_of_a_number_fits_below_its_card() {
        const PARTS: &[(&str, &str, Unit)] =
            &[("h", "hard", Unit::Count), ("s", "soft", Unit::Count), ("b", "block", Unit::Count)];
        let card = Card { title: "", column: "bounced", unit: Unit::Count, good: Good::Down, detail: PARTS };
        let shown = |numbers: [i64; 3], room: usize| {
            let mut table = Table::with_heads(["hard", "soft", "block"].map(|name| (name, Unit::Count)));
            table.rows.push(numbers.into_iter().map(Value::Int).collect());
            detail(&card, &Answer { table, ..Answer::default() }, room)
        };
        assert_eq!(shown([333, 34, 55], 20), "h 333  s 34  b 55");
        assert_eq!(shown([20_312, 15_900, 10_980], 20), "h 20k  s 16k  b 11k");
        assert_eq!(shown([1_203_120, 1_590_000, 1_098_000], 20), "h 1.2M s 1.6M b 1.1M");
        assert_eq!(shown([1_203_120, 1_590_000, 1_098_000], 17), "h1.2M s1.6M b1.1M");
    }
}
