//! How we got here: the way down by drilling (Esc goes back up), and the scopes before and after this
//! one (`[` and `]`).

use std::sync::Arc;

use crate::app::board::PanelState;
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::Sort;
use crate::query::scope::Scope;

/// Where the user was.
#[derive(Debug, Clone)]
pub struct Place {
    /// The tab.
    pub tab: usize,
    /// The scope.
    pub scope: Scope,
    /// The panel with the focus.
    pub focus: usize,
    /// Cursors, orders and groupings of the tab's panels.
    pub panels: Vec<PanelState>,
    /// The detail pane's scroll, if it was open.
    pub detail: Option<usize>,
    /// The place that this one was drilled from.
    pub from: Option<Arc<Place>>,
}

/// The way here.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// The place that the present one was drilled from.
    pub from: Option<Arc<Place>>,
    past: Vec<Place>,
    future: Vec<Place>,
}

/// Most places that the history keeps.
const KEPT: usize = 100;

impl Trail {
    /// The present place is about to be left for another scope.
    pub fn leave(&mut self, place: Place) {
        self.future.clear();
        self.past.push(place);
        if self.past.len() > KEPT {
            self.past.remove(0);
        }
    }

    /// The present place is about to be drilled into.
    pub fn descend(&mut self, place: Place) {
        self.leave(place.clone());
        self.from = Some(Arc::new(place));
    }

    /// The place one level up.
    pub fn ascend(&mut self) -> Option<Place> {
        let place = self.from.take()?;
        self.from.clone_from(&place.from);
        Some(Arc::unwrap_or_clone(place))
    }

    /// The place before, given the present one.
    pub fn back(&mut self, present: Place) -> Option<Place> {
        let place = self.past.pop()?;
        self.future.push(present);
        self.from.clone_from(&place.from);
        Some(place)
    }

    /// The place after, given the present one.
    pub fn forward(&mut self, present: Place) -> Option<Place> {
        let place = self.future.pop()?;
        self.past.push(present);
        self.from.clone_from(&place.from);
        Some(place)
    }

    /// The tabs on the way down, the first one first.
    pub fn tabs(&self) -> Vec<usize> {
        let mut tabs = Vec::new();
        let mut place = self.from.as_ref();
        while let Some(here) = place {
            tabs.push(here.tab);
            place = here.from.as_ref();
        }
        tabs.reverse();
        tabs
    }
}

/// The rows behind a number: filters by the beginning of its column's name, most exact first.
const BEHIND: &[(&str, &[(Field, &str)])] = &[
    ("bounced_hard", &[(Field::Kind, "bounced"), (Field::BounceClass, "hard")]),
    ("hard_rate", &[(Field::Kind, "bounced"), (Field::BounceClass, "hard")]),
    ("risk_hard", &[(Field::Kind, "bounced"), (Field::BounceClass, "hard")]),
    ("bounced_soft", &[(Field::Kind, "bounced"), (Field::BounceClass, "soft")]),
    ("soft_rate", &[(Field::Kind, "bounced"), (Field::BounceClass, "soft")]),
    ("bounced_block", &[(Field::Kind, "bounced"), (Field::BounceClass, "block")]),
    ("block_rate", &[(Field::Kind, "bounced"), (Field::BounceClass, "block")]),
    ("risk_block", &[(Field::Kind, "bounced"), (Field::BounceClass, "block")]),
    ("bounce", &[(Field::Kind, "bounced")]),
    ("delivered", &[(Field::Kind, "delivered")]),
    ("defer", &[(Field::Kind, "deferred")]),
    ("complaint", &[(Field::Kind, "complaint")]),
    ("risk_complaints", &[(Field::Kind, "complaint")]),
    // The classes that SPEC §4 counts as RB events.
    ("rb_", &[(Field::ReplyClass, "throttle*"), (Field::ReplyClass, "ip-*"), (Field::ReplyClass, "domain-*")]),
    ("risk_remote", &[(Field::Kind, "remote_bounce")]),
    ("risk_throttle", &[(Field::ReplyClass, "throttle*")]),
    ("latency", &[(Field::Kind, "delivered")]),
];

/// The filters that lead to the rows behind a number.
pub fn behind(column: &str) -> Vec<Filter> {
    BEHIND
        .iter()
        .find(|(name, _)| column.starts_with(name))
        .map(|(_, filters)| filters.iter().map(|(field, value)| Filter::include(*field, *value)).collect())
        .unwrap_or_default()
}

/// The order in which the rows behind a number say most: the slowest first for latencies.
pub fn order_behind(column: &str) -> Option<Sort> {
    column.starts_with("latency").then(|| Sort { column: "delivery_latency_ms".to_owned(), descending: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tab: usize, from: Option<Arc<Place>>) -> Place {
        Place { tab, scope: Scope::default(), focus: 0, panels: Vec::new(), detail: None, from }
    }

    #[test]
    fn going_up_leads_back_the_way_we_came_down() {
        let mut trail = Trail::default();
        trail.descend(place(0, None));
        trail.descend(place(2, trail.from.clone()));
        assert_eq!(trail.tabs(), [0, 2]);
        assert_eq!(trail.ascend().map(|place| place.tab), Some(2));
        assert_eq!(trail.ascend().map(|place| place.tab), Some(0));
        assert!(trail.ascend().is_none());
    }

    #[test]
    fn the_history_goes_both_ways_until_something_new_happens() {
        let mut trail = Trail::default();
        trail.leave(place(0, None));
        assert_eq!(trail.back(place(1, None)).map(|place| place.tab), Some(0));
        assert_eq!(trail.forward(place(0, None)).map(|place| place.tab), Some(1));
        trail.leave(place(3, None));
        assert!(trail.forward(place(4, None)).is_none());
    }

    #[test]
    fn a_number_leads_to_its_rows() {
        assert_eq!(behind("bounced_hard").len(), 2);
        assert_eq!(behind("delivered_rate"), [Filter::include(Field::Kind, "delivered")]);
        assert!(behind("sent").is_empty());
    }
}
