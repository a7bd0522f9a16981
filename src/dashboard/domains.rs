//! Domains: the receivers compared, failure and throttling side by side, and what the one under the
//! cursor says.

use super::{Ask, Dashboard, Good, Height, Panel, Row, Show, badge, change, col, course, trend};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const DOMAINS: Dashboard = Dashboard {
    key: '3',
    title: "Domains",
    about: "Receivers compared: volume, deferrals, bounces, rate blocking, complaints, latency; below, what the one under the cursor says.",
    rows: &[
        Row { height: Height::Fill(3), panels: &[COMPARISON] },
        Row { height: Height::Fill(1), panels: &[REPLIES] },
    ],
};

const COMPARISON: Panel = Panel {
    name: "domains",
    title: "Domains",
    asks: &[Ask::compared(Report::Domains { by: Field::Domain }), Ask::courses(Field::Domain)],
    show: Show::Table(&[
        col("*", "domain", Unit::Text, Good::Neutral, 0),
        col("sent", "volume", Unit::Count, Good::Neutral, 1),
        change("sent", Unit::Count, Good::Neutral, 6),
        col("delivered_rate", "delivered", Unit::Fraction, Good::Up, 2),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 0),
        change("deferral_rate", Unit::Fraction, Good::Down, 2),
        col("bounce_rate", "bounce", Unit::Fraction, Good::Down, 1),
        change("bounce_rate", Unit::Fraction, Good::Down, 5),
        col("bounced_hard", "hard", Unit::Count, Good::Down, 4),
        col("bounced_soft", "soft", Unit::Count, Good::Down, 5),
        col("bounced_block", "block", Unit::Count, Good::Down, 3),
        col("rb_events", "RB", Unit::Count, Good::Down, 2),
        col("rb_frequency", "RB/1k", Unit::Number, Good::Down, 6),
        col("complaints", "complaints", Unit::Count, Good::Down, 5),
        col("complaint_rate", "compl. rate", Unit::Fraction, Good::Down, 4),
        col("latency_p95_ms", "p95", Unit::Millis, Good::Down, 1),
        change("latency_p95_ms", Unit::Millis, Good::Down, 3),
        course("deferral_rate", "deferral over time", Unit::Fraction, 4),
        col("top_reply_class", "mostly", Unit::Text, Good::Neutral, 6),
    ]),
    drill: Some(Field::Domain),
    variants: &[Field::Domain, Field::Provider],
    ..Panel::PLAIN
};

const REPLIES: Panel = Panel {
    name: "domain-replies",
    title: "What they say",
    asks: &[Ask::of(Report::Replies)],
    show: Show::Table(&[
        col("n", "rows", Unit::Count, Good::Down, 0),
        badge("new", "N", Good::Down),
        trend("trend", "over time", 3),
        col("reply_class", "class", Unit::Text, Good::Neutral, 1),
        col("scope", "held against", Unit::Text, Good::Neutral, 4),
        col("provider", "provider", Unit::Text, Good::Neutral, 3),
        col("blocklist", "list", Unit::Text, Good::Neutral, 6),
        col("first_seen", "first seen", Unit::Time, Good::Neutral, 5),
        col("last", "last", Unit::Time, Good::Neutral, 2),
        col("reply", "reply", Unit::Text, Good::Neutral, 0),
    ]),
    drill: Some(Field::Reply),
    follows: Some(0),
    ..Panel::PLAIN
};
