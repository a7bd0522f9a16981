//! Keys as words: "ctrl-f", "<tab>", "G" ↔ [`KeyPress`]. The configuration, the help and the footer all
//! speak these words; nothing here knows a terminal.

use std::fmt;

/// A key without its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A letter, digit or sign, as typed (shift is in the letter).
    Char(char),
    /// Enter or Return.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// A function key.
    F(u8),
}

/// The words of keys that are no single character.
const NAMES: &[(&str, Key)] = &[
    ("enter", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("shift-tab", Key::BackTab),
    ("backspace", Key::Backspace),
    ("delete", Key::Delete),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("home", Key::Home),
    ("end", Key::End),
    ("pgup", Key::PageUp),
    ("pgdn", Key::PageDown),
    ("space", Key::Char(' ')),
];

/// Other spellings that a configuration may use.
const ALIASES: &[(&str, Key)] = &[
    ("return", Key::Enter),
    ("escape", Key::Esc),
    ("backtab", Key::BackTab),
    ("pageup", Key::PageUp),
    ("pagedown", Key::PageDown),
    ("del", Key::Delete),
];

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPress {
    /// Which key.
    pub key: Key,
    /// With Ctrl.
    pub ctrl: bool,
    /// With Alt.
    pub alt: bool,
}

/// Why a word is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: write a character, enter, esc, tab, up, pgdn, f1, ctrl-r or alt-left")]
pub struct NoKey(pub String);

impl KeyPress {
    /// A key without Ctrl or Alt.
    pub const fn plain(key: Key) -> Self {
        Self { key, ctrl: false, alt: false }
    }

    /// The key of a word; `<tab>` and `tab` are the same.
    ///
    /// # Errors
    /// When the word is no key.
    pub fn parse(word: &str) -> Result<Self, NoKey> {
        let wrong = || NoKey(word.to_owned());
        let mut rest = word.trim();
        if rest.chars().count() > 2 {
            rest = rest.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(rest);
        }
        let (mut ctrl, mut alt) = (false, false);
        loop {
            let lower = rest.to_ascii_lowercase();
            let skip = if lower.starts_with("ctrl-") {
                ctrl = true;
                5
            } else if lower.starts_with("alt-") {
                alt = true;
                4
            } else {
                break;
            };
            rest = rest.get(skip..).unwrap_or_default();
        }
        let key = key_of(rest).ok_or_else(wrong)?;
        let key = match key {
            Key::Char(letter) if ctrl => Key::Char(letter.to_ascii_lowercase()),
            key => key,
        };
        Ok(Self { key, ctrl, alt })
    }
}

fn key_of(word: &str) -> Option<Key> {
    let mut letters = word.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        return Some(Key::Char(letter));
    }
    let lower = word.to_ascii_lowercase();
    if let Some(number) = lower.strip_prefix('f').and_then(|digits| digits.parse().ok()) {
        return (1..=24).contains(&number).then_some(Key::F(number));
    }
    NAMES.iter().chain(ALIASES).find(|(name, _)| *name == lower).map(|(_, key)| *key)
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            write!(f, "ctrl-")?;
        }
        if self.alt {
            write!(f, "alt-")?;
        }
        match self.key {
            Key::F(number) => write!(f, "f{number}"),
            Key::Char(letter) if letter != ' ' => write!(f, "{letter}"),
            key => {
                let name = NAMES.iter().find(|(_, known)| *known == key).map_or("?", |(name, _)| *name);
                write!(f, "{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_as_the_word_it_was_read_from() {
        for word in ["ctrl-f", "tab", "shift-tab", "G", "?", "-", "f1", "alt-left", "space", "<", ">"] {
            assert_eq!(KeyPress::parse(word).unwrap().to_string(), word);
        }
        assert_eq!(KeyPress::parse("<tab>"), KeyPress::parse("tab"));
        assert_eq!(KeyPress::parse("Ctrl-R"), KeyPress::parse("ctrl-r"));
    }

    #[test]
    fn a_word_that_is_no_key_is_refused() {
        for word in ["", "hyper-x", "f99", "ctrl-"] {
            assert!(KeyPress::parse(word).is_err(), "{word}");
        }
    }
}
