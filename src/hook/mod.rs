//! Hooks: commands and webhooks that are told when an incident opens, becomes worse or ends. What is to be told is
//! queued with the incidents themselves ([`tell`]) and sent from there ([`Sender`]) at least once, with an id that stays
//! the same, so that a receiver that drops repeated ids has everything exactly once.

mod command;
mod send;
mod tell;
mod webhook;

pub use send::{Sender, run_due, try_once};
pub use tell::{Times, sample, tell, teller};

use std::time::Duration;

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// It was taken; what was answered.
    Told(String),
    /// It was not, and may be another time; why, and the least time until then if the receiver named one.
    Again(String, Option<Duration>),
    /// It was refused for good; why.
    Never(String),
}

/// What came back, short enough to be kept and free of what a terminal would act on.
fn brief(text: &str) -> String {
    const LONGEST: usize = 200;
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut short: String = crate::text::display(&words.join(" ")).chars().take(LONGEST).collect();
    if words.join(" ").chars().count() > LONGEST {
        short.push('…');
    }
    short
}
