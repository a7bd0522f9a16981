//! What numbers are compared with.

use crate::app::State;
use crate::app::board::compare_words;
use crate::app::effect::{Effect, Urgency};
use crate::app::notice::Notice;
use crate::app::overlay::{Overlay, RangePrompt};
use crate::query::question::Compare;

impl State {
    /// Off → the period before → the same weekday last week → a range of its own → off.
    pub(in crate::app) fn next_compare(&mut self) -> Vec<Effect> {
        match self.compare {
            Compare::Off => self.set_compare(Compare::Before),
            Compare::Before => self.set_compare(Compare::Week),
            Compare::Week => {
                self.overlay = Some(Overlay::Range(RangePrompt::default()));
                Vec::new()
            }
            Compare::Range(..) => self.set_compare(Compare::Off),
        }
    }

    pub(in crate::app) fn set_compare(&mut self, compare: Compare) -> Vec<Effect> {
        self.compare = compare;
        let nothing = compare != Compare::Off && compare.scope(&self.scope, self.now).is_none();
        let words = compare_words(compare);
        self.notice = Some(Notice::done(if nothing {
            format!("{words}: there is none for this time range; t picks another")
        } else {
            words
        }));
        self.ask_visible(Urgency::Now)
    }
}
