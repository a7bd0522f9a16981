//! Risk: who hurts the reputation?

use super::{Ask, Dashboard, Good, Height, Panel, Row, Show, col};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const RISK: Dashboard = Dashboard {
    key: '4',
    title: "Risk",
    about: "Who hurts the reputation? Score 0-100 = complaints + hard bounces + blocks + throttling.",
    rows: &[Row { height: Height::Fill(1), panels: &[RANKING] }],
};

const RANKING: Panel = Panel {
    title: "Risk",
    asks: &[Ask::of(Report::Risk { by: Field::Job })],
    show: Show::Table(&[
        col("*", "job", Unit::Text, Good::Neutral, 0),
        col("risk_score", "score", Unit::Number, Good::Down, 0),
        col("risk_complaints", "=compl.", Unit::Number, Good::Down, 3),
        col("risk_hard", "+hard", Unit::Number, Good::Down, 3),
        col("risk_block", "+block", Unit::Number, Good::Down, 3),
        col("risk_throttle", "+throttle", Unit::Number, Good::Down, 3),
        col("sent", "mail", Unit::Count, Good::Neutral, 1),
        col("complaints", "compl.", Unit::Count, Good::Down, 2),
        col("complaint_rate", "compl. rate", Unit::Fraction, Good::Down, 2),
        col("hard_rate", "hard", Unit::Fraction, Good::Down, 1),
        col("block_rate", "block", Unit::Fraction, Good::Down, 2),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 4),
        col("rb_events", "RB", Unit::Count, Good::Down, 2),
    ]),
    drill: Some(Field::Job),
    variants: &[Field::Job, Field::User, Field::SenderDomain, Field::Sender, Field::SourceIp],
};
