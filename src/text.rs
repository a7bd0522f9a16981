//! The one gate through which text from log files leaves the program: control characters, terminal
//! escapes, bidirectional overrides and invisible characters become visible symbols (SPEC §12).

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with nothing left in it that a terminal would act on. `␛` stands for ESC, the other C0
/// controls likewise; C1, bidirectional and zero-width characters become `<U+XXXX>`.
pub fn display(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            letter if is_plain(letter) => out.push(letter),
            '\u{0}'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            letter => {
                // Writing to a String cannot fail.
                let _ = write!(out, "<U+{:04X}>", u32::from(letter));
            }
        }
    }
    Cow::Owned(out)
}

/// Whether a character is safe to print as it is.
fn is_plain(letter: char) -> bool {
    !matches!(letter,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A CSV cell that a spreadsheet will not run as a formula: `= + - @ TAB CR` at its start get a `'`
/// before them (OWASP, CSV injection); plain numbers stay as they are.
pub fn defuse_formula(cell: &str) -> Cow<'_, str> {
    let dangerous = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if dangerous { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Glob match with `*` only; linear, since it backtracks to the last star alone.
pub fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_visible() {
        assert_eq!(display("a\u{1b}[31mb\u{9b}c\u{202e}"), "a␛[31mb<U+009B>c<U+202E>");
        assert!(matches!(display("bücher.de"), Cow::Borrowed(_)));
    }

    #[test]
    fn formulas_are_defused_and_numbers_are_not_touched() {
        assert_eq!(defuse_formula("=1+1"), "'=1+1");
        assert_eq!(defuse_formula("-12.5"), "-12.5");
        assert_eq!(defuse_formula("-cmd"), "'-cmd");
    }
}
