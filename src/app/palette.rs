//! The command line of the screen: actions, tabs, saved views and commands with an argument, found by a few
//! of their letters.

use tui_input::Input as Line;

use crate::app::action::Action;
use crate::app::overlay::edit;
use crate::config::keys::KeyPress;

/// What stands behind a command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Any text.
    Text,
    /// One of these, or with `…` any text of that kind.
    OneOf(&'static [&'static str]),
    /// The name of a saved view.
    View,
    /// A column of the panel, `:asc` for smallest first.
    Column,
}

/// A command with an argument.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What stands behind it.
    pub takes: Takes,
    /// What it does.
    pub help: &'static str,
}

const fn command(name: &'static str, takes: Takes, help: &'static str) -> Command {
    Command { name, takes, help }
}

/// Every command with an argument.
pub const COMMANDS: &[Command] = &[
    command("open", Takes::View, "open a saved view"),
    command("save", Takes::Text, "save tab, scope, order and columns under a name"),
    command("delete", Takes::View, "delete a saved view"),
    command("export", Takes::OneOf(&["csv", "json", "parquet"]), "write the focused panel's whole answer to a file"),
    command(
        "copy",
        Takes::OneOf(&["cell", "row", "command", "screen"]),
        "copy the cell, the row as JSON, or a shell command",
    ),
    command(
        "compare",
        Takes::OneOf(&["off", "before", "week", "FROM..UNTIL"]),
        "compare with nothing, the period before, a week ago, a range",
    ),
    command("time", Takes::OneOf(&["15m", "1h", "6h", "24h", "7d", "30d", "all", "FROM..UNTIL"]), "the time range"),
    command("where", Takes::Text, "add a filter: field=value, field!=value"),
    command("sort", Takes::Column, "sort the panel by a column; `:asc` for smallest first"),
    command("find", Takes::Text, "find text in the table"),
    command("sql", Takes::Text, "run a read-only statement"),
    command("theme", Takes::OneOf(&["dark", "light", "mono"]), "colours"),
];

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The line that it stands for.
    pub line: String,
    /// Its keys, for those that have some.
    pub keys: String,
    /// What it does.
    pub help: String,
    /// Whether nothing more needs to be typed.
    pub whole: bool,
}

/// The open palette.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    /// The line.
    pub line: Line,
    /// What it may mean, the likeliest first.
    pub proposals: Vec<Proposal>,
    /// The proposal under the cursor.
    pub chosen: usize,
    /// Whether the cursor was moved since the last letter.
    pub moved: bool,
    /// Why the line could not be run.
    pub error: String,
}

/// What should become of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing more.
    Nothing,
    /// The text changed: propose anew.
    Changed,
    /// Run this line.
    Run(String),
}

impl Palette {
    /// Open on a line.
    pub fn on(line: &str) -> Self {
        Self { line: Line::new(line.to_owned()), ..Self::default() }
    }

    /// A key was pressed.
    pub fn key(&mut self, action: Option<Action>, key: KeyPress) -> Step {
        let last = self.proposals.len().saturating_sub(1);
        match action {
            Some(Action::PreviousChoice) => (self.chosen, self.moved) = (self.chosen.saturating_sub(1), true),
            Some(Action::NextChoice) => (self.chosen, self.moved) = ((self.chosen + 1).min(last), true),
            Some(Action::Complete) => {
                if let Some(proposal) = self.proposals.get(self.chosen) {
                    let blank = if proposal.whole { "" } else { " " };
                    self.line = Line::new(format!("{}{blank}", proposal.line));
                    return self.changed();
                }
            }
            Some(Action::Accept) => return self.accept(),
            _ => {
                if edit(&mut self.line, key) {
                    return self.changed();
                }
            }
        }
        Step::Nothing
    }

    /// The text changed.
    pub fn changed(&mut self) -> Step {
        self.error.clear();
        (self.chosen, self.moved) = (0, false);
        Step::Changed
    }

    fn accept(&mut self) -> Step {
        let typed = self.line.value().trim().to_owned();
        let Some(proposal) = self.proposals.get(self.chosen) else {
            return if typed.is_empty() { Step::Nothing } else { Step::Run(typed) };
        };
        // An argument that was typed in full counts as it stands.
        let has_argument = typed.split_once(' ').is_some_and(|(_, rest)| !rest.trim().is_empty());
        if has_argument && !self.moved && COMMANDS.iter().any(|command| typed.starts_with(command.name)) {
            let begun = proposal.whole && proposal.line.starts_with(&typed);
            return Step::Run(if begun { proposal.line.clone() } else { typed });
        }
        if proposal.whole {
            return Step::Run(proposal.line.clone());
        }
        self.line = Line::new(format!("{} ", proposal.line));
        self.changed()
    }
}
