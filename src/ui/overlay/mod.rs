//! What lies over a tab. One file for each kind.

mod add_files;
mod columns;
mod confirm;
pub(super) mod detail;
mod explain;
mod file;
mod filter;
mod help;
mod incident;
mod journey;
mod palette;
mod range;
mod reply;
mod search;
mod sql;
mod time;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear};
use tui_input::Input as TextLine;

use crate::app::overlay::Overlay;
use crate::app::{Geometry, State};
use crate::text::display;
use crate::ui::format::width;
use crate::ui::{cells, put};

/// The open overlay, if there is one.
pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, geometry: &mut Geometry) {
    if body.width < 4 || body.height < 3 {
        return;
    }
    match &state.overlay {
        Some(Overlay::Filter(bar)) => filter::draw(frame, body, state, bar),
        Some(Overlay::Time(picker)) => time::draw(frame, body, state, picker),
        Some(Overlay::Help(help)) => help::draw(frame, body, state, help, geometry),
        Some(Overlay::AddFiles(prompt)) => add_files::draw(frame, body, state, prompt),
        Some(Overlay::Palette(palette)) => palette::draw(frame, body, state, palette),
        Some(Overlay::Range(prompt)) => range::draw(frame, body, state, prompt),
        Some(Overlay::Sql(prompt)) => sql::draw(frame, body, state, prompt),
        Some(Overlay::Search(search)) => search::draw(frame, body, state, search),
        Some(Overlay::Columns(chooser)) => columns::draw(frame, body, state, chooser),
        Some(Overlay::Confirm(confirm)) => confirm::draw(frame, body, state, confirm),
        Some(Overlay::File(sheet)) => file::draw(frame, body, state, sheet, geometry),
        Some(Overlay::Reply(sheet)) => reply::draw(frame, body, state, sheet, geometry),
        Some(Overlay::Journey(sheet)) => journey::draw(frame, body, state, sheet, geometry),
        Some(Overlay::Explain(explaining)) => explain::draw(frame, body, state, explaining),
        Some(Overlay::Silence(silence)) => incident::draw_silence(frame, body, state, silence),
        Some(Overlay::Note(prompt)) => incident::draw_note(frame, body, state, prompt),
        Some(Overlay::Tune(tune)) => incident::draw_tune(frame, body, state, tune),
        None => {}
    }
}

/// A cleared box; what is inside of it.
fn boxed(frame: &mut Frame<'_>, area: Rect, state: &State, title: &str) -> Rect {
    let theme = &state.setup.theme;
    frame.render_widget(Clear, area);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.border_focus)
        .title(Line::from(Span::styled(format!(" {title} "), theme.title)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A box of a size in the middle of another.
fn middle(area: Rect, wide: u16, high: u16) -> Rect {
    let (wide, high) = (wide.min(area.width), high.min(area.height));
    Rect { x: area.x + (area.width - wide) / 2, y: area.y + (area.height - high) / 3, width: wide, height: high }
}

/// A line being typed, with the terminal's cursor in it.
fn draw_line(frame: &mut Frame<'_>, area: Rect, state: &State, prompt: &str, line: &TextLine) {
    let theme = &state.setup.theme;
    let used = put(frame.buffer_mut(), area.x, area.y, prompt, usize::from(area.width), theme.key);
    let room = usize::from(area.width.saturating_sub(used + 1));
    // Scrolled by letters, so that a cut never falls into one.
    let before: String = line.value().chars().take(line.cursor()).collect();
    let mut skip = 0;
    while width(&display(&before.chars().skip(skip).collect::<String>())) > room && skip < line.cursor() {
        skip += 1;
    }
    let seen: String = line.value().chars().skip(skip).collect();
    put(frame.buffer_mut(), area.x + used, area.y, &display(&seen), room, theme.text);
    let at = width(&display(&before.chars().skip(skip).collect::<String>()));
    let x = area.x + used + cells(at.min(room));
    if x < area.right() {
        frame.set_cursor_position((x, area.y));
    }
}

/// A list with a cursor; it scrolls to keep the cursor in sight.
fn draw_list(frame: &mut Frame<'_>, area: Rect, state: &State, lines: &[(String, Style)], chosen: Option<usize>) {
    let theme = &state.setup.theme;
    let rows = usize::from(area.height);
    let top = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(rows));
    for (at, (text, style)) in lines.iter().enumerate().skip(top).take(rows) {
        let y = area.y + cells(at - top);
        let on = chosen == Some(at);
        if on {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let style = if on { style.patch(theme.title) } else { *style };
        put(frame.buffer_mut(), area.x, y, text, usize::from(area.width), style);
    }
}
