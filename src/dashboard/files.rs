//! Files: what came in, how far it is, what was wrong with it.

use super::{Ask, Dashboard, Height, Panel, Row, Show};
use crate::query::field::Field;
use crate::query::question::Report;

pub(super) const FILES: Dashboard = Dashboard {
    key: '7',
    title: "Files",
    about: "Every log file, its state, rows, rejected rows and time range.",
    rows: &[Row { height: Height::Fill(1), panels: &[TABLE] }],
};

const TABLE: Panel = Panel {
    title: "Files",
    asks: &[Ask::of(Report::Files)],
    show: Show::Files,
    drill: Some(Field::File),
    variants: &[],
};
