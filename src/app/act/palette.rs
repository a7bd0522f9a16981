//! What the palette proposes, and what a typed line does.

use crate::app::State;
use crate::app::action::{ACTIONS, Action, Context};
use crate::app::board::parse_compare;
use crate::app::effect::{Effect, Format};
use crate::app::fuzzy::fit;
use crate::app::notice::Notice;
use crate::app::overlay::Overlay;
use crate::app::palette::{COMMANDS, Command, Palette, Proposal, Step, Takes};
use crate::config::keys::KeyPress;
use crate::config::theme::{Choice, Theme};
use crate::query::filter::Filter;
use crate::query::question::Sort;
use crate::query::time::parse_range;

impl State {
    pub(in crate::app) fn open_palette(&mut self, line: &str) {
        let mut palette = Palette::on(line);
        palette.proposals = self.proposals(line);
        self.overlay = Some(Overlay::Palette(palette));
    }

    pub(in crate::app) fn palette_key(
        &mut self,
        mut palette: Palette,
        action: Option<Action>,
        key: KeyPress,
    ) -> Vec<Effect> {
        match palette.key(action, key) {
            Step::Nothing => {}
            Step::Changed => palette.proposals = self.proposals(palette.line.value()),
            Step::Run(line) => match self.run_line(&line) {
                Ok(effects) => return effects,
                Err(error) => palette.error = error,
            },
        }
        self.overlay = Some(Overlay::Palette(palette));
        Vec::new()
    }

    /// What a line may mean, the likeliest first.
    pub(in crate::app) fn proposals(&self, line: &str) -> Vec<Proposal> {
        let argument = COMMANDS
            .iter()
            .find_map(|command| Some((command, line.strip_prefix(command.name)?.strip_prefix(' ')?.trim_start())));
        if let Some((command, typed)) = argument {
            return self.arguments(command, typed);
        }
        let mut found: Vec<(usize, Proposal)> = Vec::new();
        let mut offer = |name: &str, also: &str, proposal: Proposal| {
            let weight = match (fit(line, name), fit(line, also)) {
                (Some(own), _) => own,
                // What it does is known by other words, too, but its name comes first.
                (None, Some(other)) if other < 50 && line.trim().len() > 2 => 60 + other,
                _ => return,
            };
            found.push((weight, proposal));
        };
        for (tab, dashboard) in self.tabs() {
            let proposal = Proposal {
                line: dashboard.title.to_lowercase(),
                keys: dashboard.key.to_string(),
                help: dashboard.about.to_owned(),
                whole: true,
            };
            if tab != self.tab {
                offer(dashboard.title, "", proposal);
            }
        }
        for view in &self.views {
            let line = format!("open {}", view.name);
            let proposal =
                Proposal { line: line.clone(), keys: String::new(), help: "saved view".to_owned(), whole: true };
            offer(&view.name, &line, proposal);
        }
        for info in ACTIONS {
            let reachable = !matches!(info.context, Context::Prompt | Context::Detail)
                && !matches!(info.action, Action::Palette | Action::Back | Action::CardNext | Action::CardPrevious)
                && self.allows(info.action);
            if reachable {
                let keys = self.setup.keymap.keys(info.action).iter().map(ToString::to_string).collect::<Vec<_>>();
                let proposal = Proposal {
                    line: info.name.to_owned(),
                    keys: keys.join(" "),
                    help: info.help.to_owned(),
                    whole: true,
                };
                offer(info.name, info.help, proposal);
            }
        }
        for command in COMMANDS.iter().filter(|command| self.allows_command(command.name)) {
            let taken = ACTIONS.iter().any(|info| info.name == command.name);
            let argument = match command.takes {
                Takes::Text => "…".to_owned(),
                Takes::OneOf(words) => words.join("|"),
                Takes::View => "NAME".to_owned(),
                Takes::Column => "COLUMN".to_owned(),
            };
            let proposal =
                Proposal { line: command.name.to_owned(), keys: argument, help: command.help.to_owned(), whole: false };
            // An action of the same name is what the name alone means.
            let name = if taken { format!("{} ", command.name) } else { command.name.to_owned() };
            offer(&name, command.help, proposal);
        }
        found.sort_by_key(|(weight, _)| *weight);
        found.into_iter().map(|(_, proposal)| proposal).collect()
    }

    fn arguments(&self, command: &Command, typed: &str) -> Vec<Proposal> {
        let words: Vec<String> = match command.takes {
            Takes::Text => Vec::new(),
            Takes::OneOf(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Takes::View => self.views.iter().map(|view| view.name.clone()).collect(),
            Takes::Column => self.column_names(self.board().focus),
        };
        let mut found: Vec<(usize, Proposal)> = words
            .into_iter()
            .filter(|word| !word.contains("..") || typed.is_empty())
            .filter_map(|word| {
                let whole = !word.contains("..");
                let line = format!("{} {word}", command.name);
                Some((fit(typed, &word)?, Proposal { line, keys: String::new(), help: command.help.to_owned(), whole }))
            })
            .collect();
        found.sort_by_key(|(weight, _)| *weight);
        found.into_iter().map(|(_, proposal)| proposal).collect()
    }

    /// Runs a line; why not, if it can't be.
    pub(in crate::app) fn run_line(&mut self, line: &str) -> Result<Vec<Effect>, String> {
        let line = line.trim();
        let (name, argument) = line.split_once(' ').map_or((line, ""), |(name, rest)| (name, rest.trim()));
        if argument.is_empty() {
            if let Some((tab, _)) = self.tabs().find(|(_, tab)| tab.title.eq_ignore_ascii_case(name)) {
                return Ok(self.open_tab(tab));
            }
            if let Some(info) = ACTIONS.iter().find(|info| info.name == name && info.context != Context::Prompt) {
                return Ok(match info.action {
                    Action::QuitNow => vec![Effect::Quit],
                    Action::Suspend => vec![Effect::Suspend],
                    Action::Repaint => vec![Effect::Repaint],
                    action => self.act(action),
                });
            }
            if name == "q" {
                return Ok(vec![Effect::Quit]);
            }
        }
        let known = COMMANDS.iter().any(|command| command.name == name);
        if !known {
            return Err(format!("there is no `{name}`; ↑ ↓ choose from the list"));
        }
        if !self.allows_command(name) {
            return Err(self.refusal());
        }
        if argument.is_empty() {
            return Err(format!("`{name}` needs an argument"));
        }
        self.run_command(name, argument)
    }

    fn run_command(&mut self, name: &str, argument: &str) -> Result<Vec<Effect>, String> {
        Ok(match name {
            "save" => self.save_view(argument),
            "open" => self.open_view(argument)?,
            "delete" => self.delete_view(argument)?,
            "export" => self.export(match argument {
                "csv" => Format::Csv,
                "json" => Format::Json,
                "parquet" => Format::Parquet,
                other => return Err(format!("`{other}` is no format: csv, json or parquet")),
            }),
            "copy" => match argument {
                "cell" => self.copy_cell(),
                "row" => self.copy_row(),
                "command" | "cmd" => self.copy_command(),
                "screen" => self.copy_screen(),
                other => return Err(format!("`{other}` cannot be copied: cell, row, command or screen")),
            },
            "compare" => {
                let compare = parse_compare(argument, self.now)?;
                self.set_compare(compare)
            }
            "time" => {
                let range = parse_range(argument).map_err(|error| error.to_string())?;
                self.set_time(range)
            }
            "where" => {
                let filter = Filter::parse(argument).map_err(|error| error.to_string())?;
                let mut scope = self.scope.clone();
                scope.add(filter);
                self.set_scope(scope)
            }
            "sort" => self.sort_by_name(argument)?,
            "find" => {
                self.find = Some(argument.to_owned());
                self.next_match(true)
            }
            "sql" => self.open_sql(Some(argument), true),
            "theme" => {
                let choice = match argument {
                    "dark" => Choice::Dark,
                    "light" => Choice::Light,
                    "mono" => Choice::Mono,
                    other => return Err(format!("`{other}` is no theme: dark, light or mono")),
                };
                if let Some(ability) = self.setup.ability {
                    self.setup.theme = Theme::new(choice, ability);
                }
                Vec::new()
            }
            other => return Err(format!("there is no `{other}`")),
        })
    }

    fn sort_by_name(&mut self, argument: &str) -> Result<Vec<Effect>, String> {
        let (column, descending) = match argument.rsplit_once(':') {
            Some((column, "asc")) => (column, false),
            Some((column, "desc")) => (column, true),
            _ => (argument, true),
        };
        let names = self.column_names(self.board().focus);
        if names.is_empty() {
            return Err("this panel has no columns to sort by".to_owned());
        }
        if !names.iter().any(|name| name == column) {
            return Err(format!("`{column}` is no column of this panel: {}", names.join(", ")));
        }
        self.notice = Some(Notice::done(format!("sorted by {column}")));
        Ok(self.sort_by(Sort { column: column.to_owned(), descending }))
    }
}
