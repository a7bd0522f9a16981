//! The add-files prompt: a line with path completion, and what became of the files added in it.

use std::path::Path;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::State;
use crate::app::files::{FileRow, belongs, rows};
use crate::app::overlay::AddFiles;
use crate::ingest::progress::Status;
use crate::text::display;
use crate::ui::format::{clean_lines, count, width, wrap};
use crate::ui::overlay::{boxed, draw_line, draw_list, middle};
use crate::ui::show::files::{progress, status};
use crate::ui::{cells, put};

/// Most proposals shown at once.
const SHOWN: u16 = 8;

pub(super) fn draw(frame: &mut Frame<'_>, body: Rect, state: &State, prompt: &AddFiles) {
    let theme = &state.setup.theme;
    let wide = body.width.saturating_sub(4).min(110).max(body.width.min(40));
    let added = added_lines(state, prompt, usize::from(wide.saturating_sub(4)));
    // What became of the files matters more than which others there are.
    let most = if added.is_empty() { SHOWN } else { SHOWN / 2 };
    let choices = cells(prompt.choices.len()).min(most);
    let height = (5 + choices + cells(added.len())).max(8);
    let inner = boxed(frame, middle(body, wide, height), state, "Add files, folders or archives (.gz .zst .zip)");
    draw_line(frame, Rect { height: 1, ..inner }, state, "› ", &prompt.line);
    let hints = [
        "enter adds · tab completes · several paths with blanks between them · esc closes",
        "enter adds · tab completes · blanks between paths · esc closes",
    ];
    let hint = hints.into_iter().find(|hint| width(hint) <= usize::from(inner.width)).unwrap_or(hints[1]);
    if inner.height > 1 {
        put(frame.buffer_mut(), inner.x, inner.y + 1, hint, usize::from(inner.width), theme.muted);
    }
    let lines: Vec<(String, Style)> =
        prompt.choices.iter().map(|path| (format!("  {}", display(path)), theme.text)).collect();
    let below = cells(added.len() + 1).min(inner.height.saturating_sub(2));
    let room = inner.height.saturating_sub(2 + below);
    let list = Rect { y: inner.y + 2, height: choices.min(room), ..inner };
    draw_list(frame, list, state, &lines, prompt.chosen);
    let top = list.bottom() + u16::from(choices > 0);
    for ((text, style), y) in added.into_iter().zip(top..inner.bottom()) {
        put(frame.buffer_mut(), inner.x + 1, y, &text, usize::from(inner.width.saturating_sub(2)), style);
    }
}

/// Every file of what was added, trouble with all its words first.
fn added_lines(state: &State, prompt: &AddFiles, wide: usize) -> Vec<(String, Style)> {
    let theme = &state.setup.theme;
    let table = state.trust.shown_answer().map(|answer| &answer.table);
    let mut lines = Vec::new();
    if prompt.added.is_empty() {
        return lines;
    }
    let (coming, known) = (rows(None, state.incoming.live(), None), rows(table, &[], None));
    for added in prompt.added.iter().rev() {
        let of = |files: &'_ [FileRow]| -> Vec<FileRow> {
            files.iter().filter(|file| belongs(Path::new(&file.path), added)).cloned().collect()
        };
        // What comes in says it first; once it is in, the file table does.
        let mut ours = of(&coming);
        if ours.is_empty() {
            ours = of(&known);
        }
        ours.sort_by_key(|file| !is_trouble(file));
        if ours.is_empty() {
            lines.push((format!("· {} waiting", display(&added.display().to_string())), theme.muted));
        }
        for file in ours.iter().take(50) {
            let rest = match file.status {
                Some(Status::Ingesting) => progress(file, 40),
                _ if file.rows == 0 && file.status != Some(Status::Done) => String::new(),
                _ => format!("{} rows, {} bad", count(file.rows as f64), count(file.rejected_rows as f64)),
            };
            let style = match file.status {
                _ if is_trouble(file) => theme.danger,
                Some(Status::Done) => theme.good,
                Some(Status::Ingesting) => theme.busy,
                _ => theme.muted,
            };
            lines.push((format!("{}  {}  {rest}", status(file.status), display(&file.name)), style));
            if !file.error.is_empty() {
                lines.extend(
                    wrap(&clean_lines(&file.error), wide).into_iter().map(|line| (format!("  {line}"), theme.text)),
                );
            }
        }
    }
    lines
}

fn is_trouble(file: &FileRow) -> bool {
    matches!(file.status, Some(Status::Rejected | Status::Failed | Status::Interrupted))
}
