//! Explorer: the rows themselves, to the last cell.

use super::{Ask, Dashboard, Height, Panel, Row, Show};
use crate::query::question::Report;

pub(super) const EXPLORER: Dashboard = Dashboard {
    key: '5',
    title: "Explorer",
    about: "The rows behind every number, newest first; Enter opens one with every cell.",
    rows: &[Row { height: Height::Fill(1), panels: &[EVENTS] }],
};

const EVENTS: Panel =
    Panel { name: "events", title: "Events", asks: &[Ask::of(Report::Events)], show: Show::Events, ..Panel::PLAIN };
