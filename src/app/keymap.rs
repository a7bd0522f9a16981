//! From a key and the place it is pressed in to an action. Defaults come from [`ACTIONS`], the
//! configuration may give any action other keys.

use std::collections::{BTreeMap, HashMap};

use crate::app::action::{ACTIONS, Action, Context};
use crate::config::keys::{KeyPress, NoKey};

/// Why the `[keys]` table of the configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that is no action.
    #[error("keys.{0}: there is no such action; `?` on the screen lists their names")]
    NoAction(String),
    /// A word that is no key.
    #[error("keys.{0}: {1}")]
    NoKey(String, NoKey),
    /// Two actions of one place on the same key.
    #[error("keys.{first} and keys.{second} are both on `{key}`")]
    Twice {
        /// One action.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// The key.
        key: String,
    },
}

/// Which key does what.
#[derive(Debug, Clone, Default)]
pub struct Keymap {
    actions: HashMap<(Context, KeyPress), Action>,
    keys: HashMap<Action, Vec<KeyPress>>,
}

impl Keymap {
    /// The default keys, with those of the configuration in their place.
    ///
    /// # Errors
    /// When a name is no action, a word no key, or two actions share a key.
    pub fn new(overrides: &BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        if let Some(name) = overrides.keys().find(|name| ACTIONS.iter().all(|info| info.name != **name)) {
            return Err(Error::NoAction(name.clone()));
        }
        let mut keymap = Self::default();
        for info in ACTIONS {
            let words: Vec<&str> = match overrides.get(info.name) {
                Some(words) => words.iter().map(String::as_str).collect(),
                None => info.keys.to_vec(),
            };
            let mut keys = Vec::new();
            for word in words {
                let key = KeyPress::parse(word).map_err(|error| Error::NoKey(info.name.to_owned(), error))?;
                if let Some(other) = keymap.actions.insert((info.context, key), info.action)
                    && other != info.action
                {
                    let first = other.info().map_or("", |info| info.name);
                    return Err(Error::Twice { first, second: info.name, key: key.to_string() });
                }
                keys.push(key);
            }
            keymap.keys.insert(info.action, keys);
        }
        Ok(keymap)
    }

    /// The action of a key; the first place that knows the key decides.
    pub fn action(&self, contexts: &[Context], key: KeyPress) -> Option<Action> {
        contexts.iter().find_map(|context| self.actions.get(&(*context, key)).copied())
    }

    /// The keys of an action.
    pub fn keys(&self, action: Action) -> &[KeyPress] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(name: &str, key: &str) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(name.to_owned(), vec![key.to_owned()])])
    }

    #[test]
    fn the_defaults_do_not_clash() {
        let keymap = Keymap::new(&BTreeMap::new()).unwrap();
        let key = KeyPress::parse("e").unwrap();
        assert_eq!(keymap.action(&[Context::Table, Context::View], key), Some(Action::Export));
    }

    #[test]
    fn an_inner_place_is_asked_first() {
        let keymap = Keymap::new(&BTreeMap::new()).unwrap();
        let left = KeyPress::parse("left").unwrap();
        assert_eq!(keymap.action(&[Context::Cards, Context::View], left), Some(Action::CardPrevious));
        assert_eq!(keymap.action(&[Context::Table, Context::View], left), Some(Action::Left));
    }

    #[test]
    fn other_keys_replace_the_defaults() {
        let keymap = Keymap::new(&overrides("export", "ctrl-s")).unwrap();
        let find = |word| keymap.action(&[Context::View], KeyPress::parse(word).unwrap());
        assert_eq!((find("ctrl-s"), find("e")), (Some(Action::Export), None));
    }

    #[test]
    fn a_wrong_name_key_or_clash_is_said() {
        assert!(matches!(Keymap::new(&overrides("exprot", "x")), Err(Error::NoAction(_))));
        assert!(matches!(Keymap::new(&overrides("export", "xx")), Err(Error::NoKey(..))));
        assert!(matches!(Keymap::new(&overrides("export", "t")), Err(Error::Twice { .. })));
    }
}
