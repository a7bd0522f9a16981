//! Typing a filter: fields are completed from their table, values from the catalog.

use tui_input::Input as Line;

use crate::app::action::Action;
use crate::app::overlay::edit;
use crate::config::keys::KeyPress;
use crate::query::field::{FIELDS, Field};
use crate::query::filter::Filter;

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// A field's name or a value.
    pub text: String,
    /// What the field is, or nothing.
    pub help: &'static str,
    /// How many rows have the value.
    pub count: Option<u64>,
}

/// The filter bar.
#[derive(Debug, Clone, Default)]
pub struct FilterBar {
    /// The line.
    pub line: Line,
    /// What can be taken over.
    pub choices: Vec<Choice>,
    /// The proposal under the cursor.
    pub chosen: Option<usize>,
    /// Why the line can't be used.
    pub error: String,
    /// The serial of the latest completion asked for.
    pub serial: u64,
}

/// What should become of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more.
    Nothing,
    /// The text changed: values must be completed again.
    Changed,
    /// A filter was typed.
    Typed(Filter),
    /// The bar is done without one.
    Closed,
}

impl FilterBar {
    /// An open bar that proposes every field.
    pub fn new() -> Self {
        let mut bar = Self::default();
        bar.propose_fields();
        bar
    }

    /// The field and the beginning of the value, once a sign is typed.
    pub fn value_wanted(&self) -> Option<(Field, String)> {
        let filter = Filter::parse(self.line.value()).ok()?;
        Some((filter.field, filter.value))
    }

    /// A key was pressed.
    pub fn key(&mut self, action: Option<Action>, key: KeyPress) -> Outcome {
        match action {
            Some(Action::PreviousChoice) => self.choose(false),
            Some(Action::NextChoice) => self.choose(true),
            Some(Action::Complete) => return self.complete(self.chosen.unwrap_or(0)),
            Some(Action::Accept) => return self.accept(),
            _ => {
                if edit(&mut self.line, key) {
                    return self.changed();
                }
            }
        }
        Outcome::Nothing
    }

    /// The text changed; proposals follow.
    pub fn changed(&mut self) -> Outcome {
        self.error.clear();
        self.chosen = None;
        if has_sign(self.line.value()) {
            self.choices.clear();
        } else {
            self.propose_fields();
        }
        Outcome::Changed
    }

    /// Values came from the catalog.
    pub fn completed(&mut self, serial: u64, values: Vec<(String, u64)>) {
        if serial == self.serial && has_sign(self.line.value()) {
            self.chosen = None;
            self.choices =
                values.into_iter().map(|(text, count)| Choice { text, help: "", count: Some(count) }).collect();
        }
    }

    fn propose_fields(&mut self) {
        let typed = self.line.value().trim().to_lowercase().replace('_', "-");
        let choice = |field: &Field| Choice { text: field.name().to_owned(), help: field.help(), count: None };
        let (mut first, rest): (Vec<&Field>, Vec<&Field>) =
            FIELDS.iter().partition(|field| field.name().starts_with(&typed));
        first.extend(rest.into_iter().filter(|field| field.name().contains(&typed)));
        self.choices = first.into_iter().map(choice).collect();
    }

    fn choose(&mut self, next: bool) {
        let last = self.choices.len().saturating_sub(1);
        self.chosen = match (self.chosen, next) {
            _ if self.choices.is_empty() => None,
            (None, true) => Some(0),
            (None, false) => Some(last),
            (Some(at), true) => Some((at + 1).min(last)),
            (Some(0), false) => None,
            (Some(at), false) => Some(at - 1),
        };
    }

    /// Takes a proposal over into the line.
    fn complete(&mut self, index: usize) -> Outcome {
        let Some(choice) = self.choices.get(index) else { return Outcome::Nothing };
        let text = match sign_end(self.line.value()) {
            Some(end) => format!("{}{}", self.line.value().get(..end).unwrap_or_default(), choice.text),
            None => format!("{}=", choice.text),
        };
        self.line = Line::new(text);
        self.changed()
    }

    fn accept(&mut self) -> Outcome {
        let text = self.line.value().trim().to_owned();
        if let Some(index) = self.chosen {
            let was_value = has_sign(&text);
            let outcome = self.complete(index);
            if !was_value {
                return outcome;
            }
            return self.parse_line();
        }
        if text.is_empty() {
            return Outcome::Closed;
        }
        if !has_sign(&text) {
            // An address alone can only mean one thing.
            if text.contains('@') {
                return Outcome::Typed(Filter::include(Field::Recipient, text));
            }
            // What begins like a field means the field.
            if self.choices.first().is_some_and(|choice| choice.text.starts_with(&text.to_lowercase())) {
                return self.complete(0);
            }
        } else if self.is_begun() {
            self.complete(0);
            return self.parse_line();
        }
        self.parse(&text)
    }

    /// Whether the value is the beginning of the only value there is: alone it would match nothing.
    fn is_begun(&self) -> bool {
        let (Some((_, value)), [choice]) = (self.value_wanted(), self.choices.as_slice()) else { return false };
        !value.is_empty() && !value.contains('*') && choice.text.to_lowercase().starts_with(&value.to_lowercase())
    }

    fn parse_line(&mut self) -> Outcome {
        let text = self.line.value().to_owned();
        self.parse(&text)
    }

    fn parse(&mut self, text: &str) -> Outcome {
        match Filter::parse(text) {
            Ok(filter) => Outcome::Typed(filter),
            Err(error) => {
                self.error = error.to_string();
                Outcome::Nothing
            }
        }
    }
}

fn has_sign(text: &str) -> bool {
    sign_end(text).is_some()
}

/// Where the value begins.
fn sign_end(text: &str) -> Option<usize> {
    let at = text.find(['=', '≠', '!', ':'])?;
    let rest = text.get(at..)?;
    let sign = ["!=", "=!", "≠", "=", ":"].into_iter().find(|sign| rest.starts_with(sign))?;
    Some(at + sign.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Key;

    fn typed(text: &str) -> FilterBar {
        let mut bar = FilterBar::new();
        for letter in text.chars() {
            bar.key(None, KeyPress::plain(Key::Char(letter)));
        }
        bar
    }

    const ENTER: KeyPress = KeyPress::plain(Key::Enter);

    #[test]
    fn a_beginning_of_a_field_is_completed_by_tab_and_by_enter() {
        let mut bar = typed("prov");
        bar.key(Some(Action::Complete), KeyPress::plain(Key::Tab));
        assert_eq!(bar.line.value(), "provider=");
        let mut bar = typed("vm");
        bar.key(Some(Action::Accept), ENTER);
        assert_eq!(bar.line.value(), "vmta=");
    }

    #[test]
    fn a_chosen_value_keeps_the_sign_that_was_typed() {
        let mut bar = typed("provider!=Ya");
        bar.completed(0, vec![("Yahoo".to_owned(), 12)]);
        bar.key(Some(Action::NextChoice), KeyPress::plain(Key::Down));
        assert_eq!(bar.key(Some(Action::Accept), ENTER), Outcome::Typed(Filter::exclude(Field::Provider, "Yahoo")));
    }

    #[test]
    fn values_that_were_asked_for_an_older_text_are_dropped() {
        let mut bar = typed("job=a");
        bar.serial = 3;
        bar.completed(2, vec![("old".to_owned(), 1)]);
        assert!(bar.choices.is_empty());
    }

    #[test]
    fn a_wrong_field_is_said_and_the_text_stays() {
        let mut bar = typed("provder=x");
        assert_eq!(bar.key(Some(Action::Accept), ENTER), Outcome::Nothing);
        assert!(bar.error.contains("provider"));
        assert_eq!(bar.line.value(), "provder=x");
    }
}
