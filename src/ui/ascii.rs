//! For terminals without Unicode: every sign of ours becomes the ASCII sign nearest to it, every other
//! foreign letter a question mark. One pass over the finished screen, so no drawing knows of it.

use ratatui::buffer::Buffer;

/// Signs and what stands for them.
const SIGNS: &[(&str, &[char])] = &[
    ("-", &['─', '━', '–', '—']),
    ("|", &['│', '┃', '▏', '▎', '▍', '┆', '‖']),
    ("+", &['┌', '┐', '└', '┘', '╭', '╮', '╰', '╯', '├', '┤', '┬', '┴', '┼', '✔']),
    ("^", &['▲', '↑', '▴', 'Δ']),
    ("v", &['▼', '↓', '▾']),
    ("<", &['←', '‹', '◂']),
    (">", &['→', '›', '↵', '▸']),
    ("x", &['✕', '×']),
    ("*", &['●', '▅', '▆']),
    ("o", &['○', '▒']),
    ("%", &['▓']),
    (":", &['░', '┊']),
    (".", &['·', '…', '▂', '⋯']),
    ("_", &['▁']),
    ("=", &['▃', '▄', '≥']),
    ("#", &['▇', '█', '▉', '▊', '▋', '▌', '■']),
    ("!", &['≠']),
    ("~", &['≈']),
];

/// Puts ASCII in the place of everything else.
pub(super) fn reduce(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let letter = cell.symbol().chars().next().unwrap_or('?');
        let sign = match letter {
            '\u{2800}'..='\u{28ff}' => braille(u32::from(letter) - 0x2800),
            letter => SIGNS.iter().find(|(_, letters)| letters.contains(&letter)).map_or("?", |(sign, _)| *sign),
        };
        cell.set_symbol(sign);
    }
}

/// The upper, lower or both halves of a braille cell.
fn braille(dots: u32) -> &'static str {
    let (upper, lower) = (dots & 0x1b != 0, dots & 0xe4 != 0);
    match (upper, lower) {
        (true, true) => ":",
        (true, false) => "'",
        (false, true) => ".",
        (false, false) => " ",
    }
}
