//! Named roles (danger, muted, selected …) → styles, from `assets/themes/*.toml`, brought down to what
//! the terminal can show: 24-bit, 256, 16 colours or none, Unicode or ASCII.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

/// Which theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// For dark backgrounds.
    #[default]
    Dark,
    /// For light backgrounds.
    Light,
    /// Without colours.
    Mono,
}

impl Choice {
    const fn source(self) -> &'static str {
        match self {
            Self::Dark => include_str!("../../assets/themes/dark.toml"),
            Self::Light => include_str!("../../assets/themes/light.toml"),
            Self::Mono => include_str!("../../assets/themes/mono.toml"),
        }
    }
}

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: `NO_COLOR`, or a dumb terminal.
    None,
    /// The 16 of the terminal's palette.
    Sixteen,
    /// The xterm cube.
    Indexed,
    /// 24 bits.
    True,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ability {
    /// Colours.
    pub depth: Depth,
    /// Whether signs beyond ASCII can be shown.
    pub unicode: bool,
}

impl Ability {
    /// Found out from the environment, read through `get`.
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        let word = |name: &str| get(name).unwrap_or_default();
        let term = word("TERM");
        let color = word("COLORTERM").to_lowercase();
        let depth = if !word("NO_COLOR").is_empty() || term == "dumb" {
            Depth::None
        } else if term == "linux" || term.starts_with("vt") || term == "ansi" {
            Depth::Sixteen
        } else if color.contains("truecolor") || color.contains("24bit") || term.contains("direct") {
            Depth::True
        } else if term.contains("256") || term.is_empty() {
            Depth::Indexed
        } else {
            Depth::Sixteen
        };
        // POSIX: LC_ALL beats LC_CTYPE beats LANG.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().map(|name| word(name)).find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        Self { depth, unicode: utf8 && term != "linux" && term != "dumb" }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    text: String,
    muted: String,
    title: String,
    border: String,
    border_focus: String,
    selected: String,
    cell: String,
    tab: String,
    key: String,
    chip: String,
    good: String,
    warn: String,
    danger: String,
    busy: String,
    stale: String,
    series: Vec<String>,
}

/// Roles and their styles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Plain text.
    pub text: Style,
    /// Labels, units, what matters less.
    pub muted: Style,
    /// Titles and heads.
    pub title: Style,
    /// A box.
    pub border: Style,
    /// The box with the focus.
    pub border_focus: Style,
    /// The row under the cursor.
    pub selected: Style,
    /// The cell under the cursor.
    pub cell: Style,
    /// The open tab.
    pub tab: Style,
    /// A key in the footer.
    pub key: Style,
    /// A filter of the scope.
    pub chip: Style,
    /// As it should be.
    pub good: Style,
    /// Worth a look.
    pub warn: Style,
    /// Bad.
    pub danger: Style,
    /// Under way.
    pub busy: Style,
    /// Answers that are being asked anew.
    pub stale: Style,
    /// The lines of a chart.
    pub series: Vec<Style>,
    /// Whether signs beyond ASCII can be shown.
    pub unicode: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self::new(Choice::Dark, Ability { depth: Depth::True, unicode: true })
    }
}

impl Theme {
    /// A theme as a terminal can show it.
    pub fn new(choice: Choice, ability: Ability) -> Self {
        let choice = if ability.depth == Depth::None { Choice::Mono } else { choice };
        match toml::from_str::<Source>(choice.source()) {
            Ok(source) => Self::from_source(&source, ability),
            // The themes are compiled in and tested; a plain screen is still a screen.
            Err(_) => Self::from_source(&Source::blank(), ability),
        }
    }

    fn from_source(source: &Source, ability: Ability) -> Self {
        let style = |text: &String| parse_style(text, ability.depth);
        Self {
            text: style(&source.text),
            muted: style(&source.muted),
            title: style(&source.title),
            border: style(&source.border),
            border_focus: style(&source.border_focus),
            selected: style(&source.selected),
            cell: style(&source.cell),
            tab: style(&source.tab),
            key: style(&source.key),
            chip: style(&source.chip),
            good: style(&source.good),
            warn: style(&source.warn),
            danger: style(&source.danger),
            busy: style(&source.busy),
            stale: style(&source.stale),
            series: source.series.iter().map(style).collect(),
            unicode: ability.unicode,
        }
    }

    /// What a line of a chart is when it stands for something else than now.
    pub fn ghost(&self) -> Style {
        Style::default().add_modifier(Modifier::DIM)
    }

    /// The style of a chart's line.
    pub fn line(&self, index: usize) -> Style {
        match self.series.len() {
            0 => self.text,
            count => self.series.get(index % count).copied().unwrap_or(self.text),
        }
    }
}

impl Source {
    fn blank() -> Self {
        let none = String::new;
        Self {
            text: none(),
            muted: none(),
            title: none(),
            border: none(),
            border_focus: none(),
            selected: "reversed".to_owned(),
            cell: "bold underlined".to_owned(),
            tab: "reversed".to_owned(),
            key: none(),
            chip: none(),
            good: none(),
            warn: none(),
            danger: none(),
            busy: none(),
            stale: none(),
            series: Vec::new(),
        }
    }
}

fn parse_style(text: &str, depth: Depth) -> Style {
    let mut style = Style::default();
    let mut background = false;
    for word in text.split_whitespace() {
        let modifier = match word {
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underlined" => Modifier::UNDERLINED,
            "reversed" => Modifier::REVERSED,
            "on" => {
                background = true;
                continue;
            }
            _ => {
                let Some(color) = word.parse::<Color>().ok().and_then(|color| reduce(color, depth)) else { continue };
                // Sixteen colours have no quiet background; reversal is seen on every one.
                style = match (background, depth) {
                    (true, Depth::Sixteen) => style.add_modifier(Modifier::REVERSED),
                    (true, _) => style.bg(color),
                    (false, _) => style.fg(color),
                };
                continue;
            }
        };
        style = style.add_modifier(modifier);
    }
    if depth == Depth::Sixteen && style.add_modifier.contains(Modifier::REVERSED) {
        style.fg = None;
    }
    style
}

/// The nearest colour that the terminal has.
fn reduce(color: Color, depth: Depth) -> Option<Color> {
    let Color::Rgb(r, g, b) = color else { return (depth != Depth::None).then_some(color) };
    match depth {
        Depth::True => Some(color),
        Depth::Indexed => Some(Color::Indexed(cube(r, g, b))),
        Depth::Sixteen => Some(sixteen(r, g, b)),
        Depth::None => None,
    }
}

/// The steps of the xterm colour cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn cube(r: u8, g: u8, b: u8) -> u8 {
    let gray = r.abs_diff(g) < 8 && g.abs_diff(b) < 8;
    if gray && (8..=238).contains(&r) {
        return 232 + (r - 8) / 10;
    }
    let step = |value: u8| {
        (0u8..6).min_by_key(|at| STEPS.get(usize::from(*at)).map_or(u8::MAX, |step| step.abs_diff(value))).unwrap_or(0)
    };
    16 + 36 * step(r) + 6 * step(g) + step(b)
}

fn sixteen(r: u8, g: u8, b: u8) -> Color {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high - low < 32 {
        return match high {
            0..=60 => Color::Black,
            61..=150 => Color::DarkGray,
            151..=210 => Color::Gray,
            _ => Color::White,
        };
    }
    let on = |value: u8| u16::from(value) * 3 > u16::from(high) * 2;
    match (on(r), on(g), on(b)) {
        (true, false, false) => Color::Red,
        (false, true, false) => Color::Green,
        (true, true, _) => Color::Yellow,
        (false, false, true) => Color::Blue,
        (true, false, true) => Color::Magenta,
        (false, true, true) => Color::Cyan,
        (false, false, false) => Color::Gray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ability(pairs: &[(&str, &str)]) -> Ability {
        Ability::detect(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_tells_what_the_terminal_shows() {
        let term = |term, color| ability(&[("TERM", term), ("COLORTERM", color), ("LANG", "C.UTF-8")]);
        assert_eq!(term("xterm-256color", "truecolor"), Ability { depth: Depth::True, unicode: true });
        assert_eq!(term("xterm-256color", "").depth, Depth::Indexed);
        assert_eq!(term("linux", ""), Ability { depth: Depth::Sixteen, unicode: false });
        assert_eq!(ability(&[("TERM", "xterm"), ("NO_COLOR", "1")]), Ability { depth: Depth::None, unicode: false });
        assert!(!ability(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8"), ("TERM", "xterm")]).unicode);
    }

    #[test]
    fn every_theme_parses_at_every_depth() {
        for choice in [Choice::Dark, Choice::Light, Choice::Mono] {
            assert!(toml::from_str::<Source>(choice.source()).is_ok(), "{choice:?}");
            for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
                assert!(!Theme::new(choice, Ability { depth, unicode: true }).series.is_empty());
            }
        }
    }

    #[test]
    fn without_colours_no_colour_is_left() {
        let theme = Theme::new(Choice::Dark, Ability { depth: Depth::None, unicode: true });
        for style in [theme.danger, theme.selected, theme.chip, theme.line(1)] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn colours_come_down_to_the_nearest() {
        assert_eq!(cube(255, 95, 95), 203);
        assert_eq!(sixteen(255, 95, 95), Color::Red);
        assert_eq!(sixteen(255, 175, 0), Color::Yellow);
    }
}
