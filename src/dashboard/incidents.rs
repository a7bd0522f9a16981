//! Incidents: what went wrong, of whom, since when, and why.

use super::{Dashboard, Height, Panel, Row, Show};

pub(super) const INCIDENTS: Dashboard = Dashboard {
    key: '6',
    title: "Incidents",
    about: "What rules found: how bad, of whom, since when and why; Enter leads to the rows that show it.",
    rows: &[
        Row { height: Height::Fill(5), panels: &[TABLE] },
        Row { height: Height::Fill(4), panels: &[TIMELINE] },
        Row { height: Height::Fill(8), panels: &[DETAIL] },
    ],
};

const TABLE: Panel = Panel { name: "incidents", title: "Incidents", show: Show::Incidents, ..Panel::PLAIN };

const TIMELINE: Panel = Panel { name: "incident-times", title: "Timeline", show: Show::Timeline, ..Panel::PLAIN };

const DETAIL: Panel = Panel { name: "incident", title: "Why, and what to do", show: Show::Incident, ..Panel::PLAIN };
