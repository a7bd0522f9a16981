//! Words → dense numbers, only ever appended to.

use std::sync::Arc;

use hashbrown::HashMap;

/// Words and their numbers; 0 is the empty word, "no value".
#[derive(Debug)]
pub struct Interner {
    ids: HashMap<Arc<str>, u32>,
    words: Vec<Arc<str>>,
}

impl Default for Interner {
    fn default() -> Self {
        let nothing: Arc<str> = Arc::from("");
        Self { ids: HashMap::from_iter([(Arc::clone(&nothing), 0)]), words: vec![nothing] }
    }
}

impl Interner {
    /// The number of a word, which it gets now if it has none.
    pub fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        let word: Arc<str> = Arc::from(word);
        let id = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(Arc::clone(&word));
        self.ids.insert(word, id);
        id
    }

    /// The number of a word, if it has one.
    pub fn find(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The word of a number; the empty one where there is none.
    pub fn word(&self, id: u32) -> Arc<str> {
        self.words.get(id as usize).map_or_else(|| Arc::from(""), Arc::clone)
    }

    /// Every word, by its number.
    pub fn all(&self) -> &[Arc<str>] {
        &self.words
    }
}
