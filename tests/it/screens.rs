//! Every tab in every condition, at 80×24, 120×40 and 200×60, drawn from canned answers.

pub mod canned;

use std::collections::BTreeMap;
use std::sync::Arc;

use pmtop::app::effect::Effect;
use pmtop::app::input::Input;
use pmtop::app::keymap::Keymap;
use pmtop::app::{Setup, State, action, update};
use pmtop::config::keys::KeyPress;
use pmtop::config::theme::{Ability, Choice, Depth, Theme};
use pmtop::dashboard::DASHBOARDS;
use pmtop::insight::rule::Rule;
use pmtop::query::question::{Answer, Failure, Question};
use pmtop::query::scope::Scope;
use pmtop::query::time::{DAY, TimeRange};
use pmtop::ui;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// A screen without a terminal: keys go in, effects are kept, answers come when they are asked for.
pub struct Screen {
    pub state: State,
    /// Effects that nobody performed yet.
    pub effects: Vec<Effect>,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    pub fn new(width: u16, height: u16) -> Self {
        Self::with(width, height, Ability { depth: Depth::True, unicode: true })
    }

    pub fn with(width: u16, height: u16, ability: Ability) -> Self {
        let setup = Setup {
            host: "mta3".to_owned(),
            inboxes: vec!["/var/spool/pmtop/inbox".into()],
            owner: None,
            keymap: Keymap::new(&BTreeMap::new()).unwrap(),
            theme: Theme::new(Choice::Dark, ability),
            rules: Rule::all(&BTreeMap::new()).unwrap(),
            ..Setup::default()
        };
        let mut state = State::new(setup, Scope::new(TimeRange::Last(DAY), []));
        let effects = state.start();
        let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        Self { state, effects, terminal }
    }

    /// A screen whose catalog holds the canned day.
    pub fn answered(width: u16, height: u16) -> Self {
        let mut screen = Self::new(width, height);
        screen.commit();
        screen.input(Input::Incidents(Arc::new(canned::incidents())));
        screen.answer();
        screen
    }

    pub fn input(&mut self, input: Input) {
        let effects = update(&mut self.state, input);
        self.effects.extend(effects);
    }

    pub fn commit(&mut self) {
        self.input(Input::Catalog { generation: 418, now: Some(canned::now()) });
    }

    /// Presses keys: words of `KeyPress` separated by blanks; `'…'` is typed letter by letter.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for word in keys.split_whitespace() {
            match word.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
                Some(text) => text.chars().for_each(|letter| {
                    self.input(Input::Key(KeyPress::parse(&letter.to_string()).unwrap()));
                }),
                None => self.input(Input::Key(KeyPress::parse(word).unwrap())),
            }
            self.draw();
        }
        self
    }

    /// Answers everything that was asked, until nothing more is asked.
    pub fn answer(&mut self) -> &mut Self {
        self.answer_with(|question| Ok(canned::answer(question)))
    }

    pub fn answer_with(&mut self, reply: impl Fn(&Question) -> Result<Answer, Failure>) -> &mut Self {
        for _ in 0..20 {
            if self.effects.is_empty() {
                return self;
            }
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Ask { ticket, question, .. } => {
                        self.input(Input::Answered(ticket, reply(&question).map(Arc::new)));
                    }
                    Effect::Explain { serial, .. } => {
                        self.input(Input::Explained(serial, Ok(Arc::new(canned::explanation()))));
                    }
                    Effect::Replay { serial, .. } => self.input(Input::Replayed(serial, Ok(canned::replay()))),
                    _ => {}
                }
            }
        }
        panic!("questions are asked in a circle: {:?}", self.effects)
    }

    /// Questions that wait for an answer.
    pub fn asked(&self) -> Vec<&Question> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Ask { question, .. } => Some(question),
                _ => None,
            })
            .collect()
    }

    pub fn draw(&mut self) -> String {
        let Self { state, terminal, .. } = self;
        let mut geometry = state.geometry.clone();
        terminal.draw(|frame| geometry = ui::draw(frame, state)).unwrap();
        state.geometry = geometry;
        self.text()
    }

    fn text(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(buffer.area.width.max(1))).map(|cells| {
            let mut line = String::new();
            let mut covered = 0;
            for cell in cells {
                // The cell behind a wide letter holds nothing of its own.
                if covered == 0 {
                    line.push_str(cell.symbol());
                    covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
                } else {
                    covered -= 1;
                }
            }
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The screen, and below it which style each cell has, as letters that are explained at the end.
    pub fn text_and_styles(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let mut known: Vec<String> = Vec::new();
        let mut map = Vec::new();
        for cells in buffer.content.chunks(usize::from(buffer.area.width.max(1))) {
            let mut line = String::new();
            for cell in cells {
                let style = style_name(cell);
                let blank =
                    style.is_empty() || (cell.symbol() == " " && !style.contains("on ") && !style.contains("REVERSED"));
                let letter = if blank {
                    ' '
                } else {
                    let at = known.iter().position(|name| *name == style).unwrap_or_else(|| {
                        known.push(style.clone());
                        known.len() - 1
                    });
                    char::from(b'a' + u8::try_from(at).unwrap())
                };
                line.push(letter);
            }
            map.push(line.trim_end().to_owned());
        }
        let legend: Vec<String> =
            known.iter().enumerate().map(|(at, name)| format!("{} = {name}", char::from(b'a' + at as u8))).collect();
        format!("{}\n\nstyles:\n{}\n\n{}", self.text(), map.join("\n"), legend.join("\n"))
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.input(Input::Resized);
    }
}

fn style_name(cell: &ratatui::buffer::Cell) -> String {
    use ratatui::style::Color;
    let mut words = Vec::new();
    if cell.fg != Color::Reset {
        words.push(cell.fg.to_string());
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", cell.bg));
    }
    if !cell.modifier.is_empty() {
        words.push(format!("{:?}", cell.modifier));
    }
    words.join(" ")
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

#[derive(Clone, Copy)]
enum Condition {
    Empty,
    Asking,
    Stale,
    Failed,
    Answered,
}

const COLOURS: Ability = Ability { depth: Depth::True, unicode: true };
const NO_COLOR: Ability = Ability { depth: Depth::None, unicode: true };

fn screen(condition: Condition, key: char, (width, height): (u16, u16), ability: Ability) -> Screen {
    let mut screen = Screen::with(width, height, ability);
    screen.commit();
    let open = key.to_string();
    match condition {
        Condition::Answered => {
            screen.input(Input::Incidents(Arc::new(canned::incidents())));
            screen.answer().keys(&open).answer();
        }
        Condition::Empty => {
            screen.input(Input::Incidents(Arc::default()));
            screen.keys(&open).answer_with(|question| match question.report {
                // The trust bar's file table is not empty: mail came in, only not in this scope.
                pmtop::query::question::Report::Files if key != '7' => Ok(canned::answer(question)),
                _ => Ok(canned::empty(question)),
            });
        }
        Condition::Failed => {
            screen.keys(&open).answer_with(|_| Err(canned::failure()));
        }
        Condition::Asking => {
            screen.keys(&open);
            screen.input(Input::Tick(canned::now()));
        }
        Condition::Stale => {
            screen.input(Input::Incidents(Arc::new(canned::incidents())));
            screen.answer().keys(&open).answer().keys("t down down enter");
            screen.input(Input::Tick(canned::now()));
        }
    }
    screen.draw();
    screen
}

/// Text alone, at two sizes: how much space there is changes nothing about these conditions.
fn all_tabs(condition: Condition, name: &str) {
    for dashboard in DASHBOARDS {
        for size in &SIZES[..2] {
            let name = format!("{}_{name}_{}x{}", dashboard.title.to_lowercase(), size.0, size.1);
            insta::assert_snapshot!(name, screen(condition, dashboard.key, *size, COLOURS).text());
        }
    }
}

#[test]
fn every_tab_answered() {
    for dashboard in DASHBOARDS {
        for (width, height) in SIZES {
            for (ability, kind) in [(COLOURS, "answered"), (NO_COLOR, "no_color")] {
                let screen = screen(Condition::Answered, dashboard.key, (width, height), ability);
                let name = format!("{}_{kind}_{width}x{height}", dashboard.title.to_lowercase());
                insta::assert_snapshot!(name, screen.text_and_styles());
            }
        }
    }
}

/// Panels that 80×24 shows one at a time.
#[test]
fn every_panel_fills_a_small_screen() {
    for dashboard in DASHBOARDS {
        let mut screen = Screen::answered(80, 24);
        screen.keys(&dashboard.key.to_string()).answer();
        for (index, panel) in dashboard.panels().enumerate().skip(1) {
            screen.keys("tab").answer();
            let text = screen.draw();
            assert_eq!(screen.state.board().focus, index);
            assert!(text.contains(panel.title.split(':').next().unwrap_or_default()), "{}\n{text}", panel.title);
            insta::assert_snapshot!(format!("{}_panel{}_80x24", dashboard.title.to_lowercase(), index + 1), text);
        }
    }
}

#[test]
fn every_tab_empty() {
    all_tabs(Condition::Empty, "empty");
}

#[test]
fn every_tab_asking() {
    all_tabs(Condition::Asking, "asking");
}

#[test]
fn every_tab_stale() {
    all_tabs(Condition::Stale, "stale");
}

#[test]
fn every_tab_failed() {
    all_tabs(Condition::Failed, "failed");
}

#[test]
fn nothing_was_ever_taken_in() {
    for (width, height) in SIZES {
        let mut screen = Screen::new(width, height);
        screen.answer_with(|question| Ok(canned::empty(question)));
        insta::assert_snapshot!(format!("welcome_{width}x{height}"), screen.draw());
        screen.state.setup.inboxes.clear();
        insta::assert_snapshot!(format!("welcome_without_inbox_{width}x{height}"), screen.draw());
    }
}

#[test]
fn without_colours_every_sign_stays() {
    for dashboard in DASHBOARDS {
        let plain = screen(Condition::Answered, dashboard.key, (160, 50), NO_COLOR);
        let buffer = plain.terminal.backend().buffer();
        let reset = ratatui::style::Color::Reset;
        assert!(buffer.content.iter().all(|cell| (cell.fg, cell.bg) == (reset, reset)));
        let coloured = screen(Condition::Answered, dashboard.key, (160, 50), COLOURS);
        assert_eq!(plain.text(), coloured.text(), "what colours say is said by signs, too");
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii_only() {
    let mut screen = Screen::with(80, 24, Ability { depth: Depth::Sixteen, unicode: false });
    screen.commit();
    screen.input(Input::Incidents(Arc::new(canned::incidents())));
    screen.answer();
    let health = screen.draw();
    assert!(health.is_ascii(), "{health}");
    insta::assert_snapshot!("health_ascii_80x24", health);
    for dashboard in DASHBOARDS {
        screen.keys(&dashboard.key.to_string()).answer();
        assert!(screen.draw().is_ascii(), "{}", dashboard.title);
    }
}

#[test]
fn dimmed_answers_are_those_of_another_scope() {
    let mut screen = Screen::answered(160, 50);
    let count = |screen: &mut Screen| {
        screen.draw();
        let stale = screen.state.setup.theme.stale;
        screen.terminal.backend().buffer().content.iter().filter(|cell| Some(cell.fg) == stale.fg).count()
    };
    assert_eq!(count(&mut screen), 0);
    screen.keys("z");
    assert!(count(&mut screen) > 500, "a new scope dims at once");
    screen.answer();
    screen.input(Input::Catalog { generation: 419, now: Some(canned::now()) });
    assert_eq!(count(&mut screen), 0, "a refresh does not flicker");
    screen.input(Input::Tick(canned::now()));
    assert!(count(&mut screen) > 500, "a slow refresh dims");
}

#[test]
fn nothing_of_a_log_file_reaches_the_terminal_as_a_control_sequence() {
    for key in ['1', '5', '6'] {
        let mut screen = Screen::answered(160, 50);
        screen.keys(&key.to_string()).answer().keys("down down down down enter");
        assert!(!screen.draw().chars().any(|letter| letter.is_control() && letter != '\n'));
    }
}

#[test]
fn no_size_panics() {
    let sizes = [
        (1, 1),
        (2, 1),
        (1, 60),
        (3, 3),
        (5, 4),
        (10, 7),
        (20, 9),
        (39, 11),
        (60, 20),
        (99, 29),
        (100, 30),
        (120, 40),
        (200, 60),
    ];
    for dashboard in DASHBOARDS {
        for overlay in ["", "f 'prov'", "t", "?", "a '/tmp/x' enter", "enter", "e", "x", "M", "w", "T"] {
            let mut screen = Screen::answered(80, 24);
            screen.keys(&dashboard.key.to_string()).answer().keys(overlay);
            screen.input(Input::Ingest(canned::bad_header("/tmp/x")));
            screen.input(Input::Ingest(canned::half_in("/tmp/y.csv")));
            for (width, height) in sizes {
                screen.resize(width, height);
                screen.draw();
                screen.answer();
                screen.draw();
            }
        }
    }
}

#[test]
fn every_answered_tab_survives_every_small_size() {
    for dashboard in DASHBOARDS {
        let mut screen = Screen::answered(80, 24);
        screen.keys(&dashboard.key.to_string()).answer();
        for width in (1..48).step_by(3) {
            for height in 1..16 {
                screen.resize(width, height);
                screen.draw();
            }
        }
    }
}

#[test]
fn the_document_of_keys_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, action::document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, action::document(), "run the tests once with UPDATE=1");
}
