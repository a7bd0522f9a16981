//! Domains: the receivers compared, failure and throttling side by side.

use super::{Ask, Dashboard, Good, Height, Panel, Row, Show, col};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const DOMAINS: Dashboard = Dashboard {
    key: '3',
    title: "Domains",
    about: "Receivers compared: volume, deferrals, bounces, rate blocking, complaints, latency.",
    rows: &[Row { height: Height::Fill(1), panels: &[COMPARISON] }],
};

const COMPARISON: Panel = Panel {
    title: "Domains",
    asks: &[Ask::compared(Report::Domains { by: Field::Domain })],
    show: Show::Table(&[
        col("*", "domain", Unit::Text, Good::Neutral, 0),
        col("sent", "volume", Unit::Count, Good::Neutral, 1),
        col("delivered_rate", "delivered", Unit::Fraction, Good::Up, 2),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 0),
        col("bounce_rate", "bounce", Unit::Fraction, Good::Down, 1),
        col("bounced_hard", "hard", Unit::Count, Good::Down, 4),
        col("bounced_soft", "soft", Unit::Count, Good::Down, 5),
        col("bounced_block", "block", Unit::Count, Good::Down, 3),
        col("rb_events", "RB", Unit::Count, Good::Down, 2),
        col("rb_frequency", "RB/1k", Unit::Number, Good::Down, 6),
        col("complaints", "complaints", Unit::Count, Good::Down, 4),
        col("complaint_rate", "compl. rate", Unit::Fraction, Good::Down, 5),
        col("latency_p95_ms", "p95", Unit::Millis, Good::Down, 1),
        col("latency_deviation", "× before", Unit::Number, Good::Down, 5),
        col("top_reply_class", "mostly", Unit::Text, Good::Neutral, 6),
    ]),
    drill: Some(Field::Domain),
    variants: &[Field::Domain, Field::Provider],
};
