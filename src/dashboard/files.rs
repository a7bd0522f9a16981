//! Files: what came in, how far it is, what was wrong with it, and which hours are covered.

use super::{Ask, Dashboard, Height, Panel, Row, Show};
use crate::query::field::Field;
use crate::query::question::Report;

pub(super) const FILES: Dashboard = Dashboard {
    key: '7',
    title: "Files",
    about: "Every log file, its state, rows, rejected rows and time range; below, which hours of which type are in.",
    rows: &[Row { height: Height::Fill(1), panels: &[TABLE] }, Row { height: Height::Lines(9), panels: &[COVERAGE] }],
};

const TABLE: Panel = Panel {
    name: "files",
    title: "Files",
    asks: &[Ask::of(Report::Files)],
    show: Show::Files,
    drill: Some(Field::File),
    ..Panel::PLAIN
};

const COVERAGE: Panel = Panel {
    name: "coverage",
    title: "Coverage: rows by hour and type",
    asks: &[Ask::of(Report::Coverage)],
    show: Show::Coverage,
    drill: Some(Field::Type),
    ..Panel::PLAIN
};
