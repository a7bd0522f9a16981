//! When is a file complete? When its size and time have been at rest for a while. Pure: the clock is given.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a file on disk looks like.
pub type Look = (u64, i64, i64);

/// Watches files until they are at rest.
#[derive(Debug, Default)]
pub struct Settle {
    seen: HashMap<PathBuf, (Look, Instant)>,
}

impl Settle {
    /// Notes what a file looks like now; true once it has looked so for as long as `rest`.
    pub fn is_at_rest(&mut self, path: &Path, look: Look, now: Instant, rest: Duration) -> bool {
        match self.seen.get_mut(path) {
            Some((known, since)) if *known == look => now.saturating_duration_since(*since) >= rest,
            Some(entry) => {
                *entry = (look, now);
                false
            }
            None => {
                self.seen.insert(path.to_owned(), (look, now));
                rest.is_zero()
            }
        }
    }

    /// Whether a file was seen before.
    pub fn knows(&self, path: &Path) -> bool {
        self.seen.contains_key(path)
    }

    /// Forgets files that are gone.
    pub fn keep_only(&mut self, exists: impl Fn(&Path) -> bool) {
        self.seen.retain(|path, _| exists(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_still_grows_is_left_alone() {
        let (mut settle, start, rest) = (Settle::default(), Instant::now(), Duration::from_secs(2));
        let path = Path::new("a.csv");
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!settle.is_at_rest(path, (1, 0, 0), at(0), rest));
        assert!(!settle.is_at_rest(path, (2, 0, 0), at(3), rest));
        assert!(!settle.is_at_rest(path, (2, 0, 0), at(4), rest));
        assert!(settle.is_at_rest(path, (2, 0, 0), at(5), rest));
    }
}
