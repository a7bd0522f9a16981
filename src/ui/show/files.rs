//! The Files tab: every file with its state, progress while it comes in, and what was wrong with the one
//! under the cursor in full below.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::files::{FILE_COLUMNS, FileColumn, FileRow};
use crate::app::{Geometry, State, View};
use crate::ingest::progress::Status;
use crate::query::time::short;
use crate::text::display;
use crate::ui::format::{bytes, clean_lines, count, left, millis, right, thousands, width, wrap};
use crate::ui::show::scroll;
use crate::ui::{cells, panel, put};

/// The file table; how many there are.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    index: usize,
    geometry: &mut Geometry,
) -> Option<String> {
    let files = state.file_rows();
    if files.is_empty() {
        panel::draw_empty(frame, area, state, "No files in this scope");
        return None;
    }
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let cursor = panel_state.cursor.min(files.len() - 1);
    let below = files
        .get(cursor)
        .map(|file| details(state, file, usize::from(area.width.saturating_sub(2))))
        .unwrap_or_default();
    let below_height = cells(below.len()).min(area.height / 2);
    let table = Rect { height: area.height - below_height, ..area };
    let rows = usize::from(table.height.saturating_sub(1));
    let view = geometry.views.get(&(state.tab, index)).copied().unwrap_or_default();
    let top = scroll(&view, cursor, rows, files.len());
    geometry.views.insert((state.tab, index), View { rows, top, ..View::default() });

    let shown: Vec<&FileRow> = files.iter().skip(top).take(rows).collect();
    let kept = keep(table, &shown);
    draw_table(frame, table, state, &shown, &kept, cursor - top);
    for (at, (text, style)) in below.iter().take(usize::from(below_height)).enumerate() {
        put(frame.buffer_mut(), area.x + 1, table.bottom() + cells(at), text, usize::from(area.width - 2), *style);
    }
    let watcher = match (&state.setup.owner, state.setup.inboxes.first()) {
        (Some(owner), _) => format!(" · watched by {}", display(owner)),
        (None, Some(inbox)) => format!(" · watching {}", display(&inbox.display().to_string())),
        (None, None) => String::new(),
    };
    Some(format!("{}/{} files{watcher}", cursor + 1, files.len()))
}

fn keep(area: Rect, files: &[&FileRow]) -> Vec<(usize, &'static FileColumn, usize)> {
    let room = usize::from(area.width.saturating_sub(2));
    let busy = files.iter().any(|file| file.status == Some(Status::Ingesting));
    let mut kept: Vec<(usize, &FileColumn, usize)> = FILE_COLUMNS
        .iter()
        .enumerate()
        .filter(|(_, column)| busy || column.name != "progress")
        .map(|(at, column)| {
            let widest = files.iter().map(|file| width(&cell_text(file, column.name))).max().unwrap_or(0);
            let least = match column.name {
                "progress" => 30,
                "status" => 13,
                _ => 0,
            };
            (at, column, widest.max(width(column.title)).max(least).min(48))
        })
        .collect();
    let total = |kept: &[(usize, &FileColumn, usize)]| kept.iter().map(|(.., wide)| wide + 2).sum::<usize>();
    while total(&kept) > room {
        let Some(drop) =
            kept.iter().map(|(at, column, _)| (column.priority, *at)).max().filter(|(priority, _)| *priority > 0)
        else {
            break;
        };
        kept.retain(|(at, ..)| *at != drop.1);
    }
    let over = total(&kept).saturating_sub(room);
    if let Some(name) = kept.iter_mut().find(|(_, column, _)| column.name == "name") {
        name.2 = name.2.saturating_sub(over).max(8);
    }
    kept
}

fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    files: &[&FileRow],
    kept: &[(usize, &'static FileColumn, usize)],
    cursor: usize,
) {
    let theme = &state.setup.theme;
    let panel_state = state.board().panels.get(state.board().focus).cloned().unwrap_or_default();
    let mut x = area.x + 1;
    for (_, column, wide) in kept {
        let mark = match &panel_state.sort {
            Some(sort) if sort.column == column.name => {
                if sort.descending {
                    "▾"
                } else {
                    "▴"
                }
            }
            _ => "",
        };
        let title = format!("{}{mark}", column.title);
        let title = if is_number(column.name) { right(&title, *wide) } else { left(&title, *wide) };
        put(frame.buffer_mut(), x, area.y, &title, *wide, theme.muted);
        x += cells(*wide) + 2;
    }
    for (line, file) in files.iter().enumerate() {
        let y = area.y + 1 + cells(line);
        if line == cursor {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, theme.selected);
        }
        let mut x = area.x + 1;
        for (_, column, wide) in kept {
            let text = if column.name == "progress" { progress(file, *wide) } else { cell_text(file, column.name) };
            let text = if is_number(column.name) { right(&text, *wide) } else { left(&text, *wide) };
            put(frame.buffer_mut(), x, y, &text, *wide, style(state, file, column.name));
            x += cells(*wide) + 2;
        }
    }
}

fn is_number(column: &str) -> bool {
    matches!(column, "bytes" | "rows" | "rejected_rows" | "merged_rows")
}

fn style(state: &State, file: &FileRow, column: &str) -> Style {
    let theme = &state.setup.theme;
    match (column, file.status) {
        ("status", Some(Status::Done)) => theme.good,
        ("status", Some(Status::Rejected | Status::Failed | Status::Interrupted)) => theme.danger,
        ("status" | "progress", Some(Status::Ingesting)) => theme.busy,
        ("status" | "received_at" | "merged_rows", _) => theme.muted,
        ("rejected_rows", _) if file.rejected_rows > 0 => theme.warn,
        _ => theme.text,
    }
}

/// A state with its sign, so that no colour is needed.
pub(crate) fn status(status: Option<Status>) -> String {
    let sign = match status {
        Some(Status::Done) => "✔",
        Some(Status::Rejected | Status::Failed | Status::Interrupted) => "!",
        Some(Status::Ingesting) => "▸",
        Some(Status::Duplicate) => "=",
        Some(Status::Removed) => "-",
        Some(Status::Queued) | None => "·",
    };
    format!("{sign} {}", status.map_or("unknown", Status::as_str))
}

fn cell_text(file: &FileRow, column: &str) -> String {
    let time = |at: Option<i64>| at.map_or_else(|| "–".to_owned(), short);
    let number = |number: i64| if number == 0 { "0".to_owned() } else { count(number as f64) };
    match column {
        "status" => status(file.status),
        "name" => display(&file.name).into_owned(),
        "type" => {
            if file.role.is_empty() {
                "–".to_owned()
            } else {
                display(&file.role).into_owned()
            }
        }
        "bytes" => bytes(file.bytes as f64),
        "rows" => number(file.rows),
        "rejected_rows" => number(file.rejected_rows),
        "merged_rows" => number(file.merged_rows),
        "from" => time(file.from),
        "to" => time(file.to),
        "received_at" => time(file.received_at),
        _ => String::new(),
    }
}

/// A bar, rows a second, time left.
pub(crate) fn progress(file: &FileRow, wide: usize) -> String {
    if file.status != Some(Status::Ingesting) {
        return String::new();
    }
    let share = if file.bytes == 0 { 0.0 } else { file.read as f64 / file.bytes as f64 };
    let speed = if file.rows_per_second > 0.0 { format!(" {}/s", count(file.rows_per_second)) } else { String::new() };
    let eta = file.seconds_left().map_or_else(String::new, |left| match left {
        left if left < 1.0 => " <1s".to_owned(),
        left => format!(" {}", millis(left.round() * 1000.0).replace(".0s", "s")),
    });
    let text = format!(" {:>3.0} %{speed}{eta}", share * 100.0);
    let bar = wide.saturating_sub(width(&text)).clamp(4, 20);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short bar")]
    let full = ((share.clamp(0.0, 1.0)) * bar as f64).round() as usize;
    format!("{}{}{text}", "█".repeat(full), "░".repeat(bar - full.min(bar)))
}

/// The file under the cursor: where it is, and what was wrong, to the last word.
fn details(state: &State, file: &FileRow, wide: usize) -> Vec<(String, Style)> {
    let theme = &state.setup.theme;
    let mut head = display(&file.path).into_owned();
    if !file.reading.is_empty() {
        write!(head, " · {}", display(&file.reading)).ok();
    }
    if file.rejected_rows > 0 {
        write!(head, " · {} bad rows put aside in rejects/", thousands(file.rejected_rows as f64)).ok();
    }
    if !file.sha256.is_empty() {
        write!(head, " · sha256 {}", display(&file.sha256.chars().take(12).collect::<String>())).ok();
    }
    let mut lines = vec![("─".repeat(wide), theme.border)];
    lines.extend(wrap(&head, wide).into_iter().map(|line| (line, theme.muted)));
    if !file.error.is_empty() {
        let failed = matches!(file.status, Some(Status::Rejected | Status::Failed | Status::Interrupted));
        let style = if failed { theme.danger } else { theme.warn };
        lines.extend(wrap(&format!("! {}", clean_lines(&file.error)), wide).into_iter().map(|line| (line, style)));
    }
    lines
}
