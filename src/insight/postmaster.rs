//! Whom a ticket goes to, and in which words: `assets/postmasters.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

/// The postmaster of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postmaster {
    /// The provider; empty for all others.
    pub provider: String,
    /// Where the ticket goes; may be empty.
    pub form: String,
    /// Where the provider shows what it thinks of a sender; may be empty.
    #[serde(default)]
    pub tools: String,
    /// What has to be right first.
    pub before: Vec<String>,
    /// What is asked for.
    pub ask: String,
}

#[derive(Deserialize)]
struct File {
    postmaster: Vec<Postmaster>,
}

static ALL: LazyLock<Vec<Postmaster>> = LazyLock::new(|| {
    // Compiled in and tested.
    toml::from_str::<File>(include_str!("../../assets/postmasters.toml"))
        .map(|file| file.postmaster)
        .unwrap_or_default()
});

/// The postmaster of a provider; what is said of all others, if it has no entry.
pub fn of(provider: &str) -> Postmaster {
    let found = |name: &str| ALL.iter().find(|entry| entry.provider.eq_ignore_ascii_case(name)).cloned();
    found(provider).or_else(|| found("")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::provider::Providers;

    #[test]
    fn every_entry_is_whole_and_about_a_provider_that_is_known() {
        let known = Providers::with_overrides(Vec::new()).unwrap();
        assert!(ALL.len() > 8);
        for entry in ALL.iter() {
            assert!(!entry.before.is_empty() && !entry.ask.is_empty(), "{}", entry.provider);
            if !entry.provider.is_empty() {
                assert!(known.all().iter().any(|provider| provider.name == entry.provider), "{}", entry.provider);
                assert!(entry.form.starts_with("https://") || entry.form.starts_with("mailto:"), "{}", entry.form);
            }
        }
        assert_eq!(of("yahoo").provider, "Yahoo");
        assert_eq!(of("nobody.example").provider, "");
        assert!(!of("nobody.example").ask.is_empty());
    }
}
