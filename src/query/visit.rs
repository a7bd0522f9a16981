//! The visit before this one: which replies were there when the screen was last left, so that those that came
//! since can be told apart.

use std::sync::{Mutex, OnceLock, PoisonError};

use hashbrown::HashSet;

/// What was there at the last visit, and what was seen in this one.
#[derive(Debug, Default)]
pub struct Visit {
    before: OnceLock<HashSet<u64>>,
    seen: Mutex<Option<Vec<u64>>>,
}

impl Visit {
    /// Says what was there when the screen was last left. Without it nothing is new.
    pub fn remember(&self, replies: impl IntoIterator<Item = u64>) {
        self.before.get_or_init(|| replies.into_iter().collect());
    }

    /// Whether a reply was not there at the last visit; `None` where there was none.
    pub fn is_new(&self, reply: u64) -> Option<bool> {
        self.before.get().map(|before| !before.contains(&reply))
    }

    /// Takes down what is in the catalog now, where someone looked at it.
    pub(super) fn saw(&self, replies: Vec<u64>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(replies);
    }

    /// All replies that were in the catalog when they were last looked at; `None` where nobody did.
    pub fn seen(&self) -> Option<Vec<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_new_at_the_first_visit() {
        let visit = Visit::default();
        assert_eq!(visit.is_new(1), None);
        visit.remember([1]);
        assert_eq!([1, 2].map(|reply| visit.is_new(reply)), [Some(false), Some(true)]);
        assert_eq!(visit.seen(), None);
        visit.saw(vec![1, 2]);
        assert_eq!(visit.seen(), Some(vec![1, 2]));
    }
}
