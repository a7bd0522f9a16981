//! Risk: who hurts the reputation?

use super::{Ask, Col, Dashboard, Good, Height, Kind, Panel, Row, Show, change, col, course};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const RISK: Dashboard = Dashboard {
    key: '4',
    title: "Risk",
    about: "Who hurts the reputation? Score 0-100 = complaints + hard and remote bounces + blocks + throttling.",
    rows: &[
        Row { height: Height::Fill(3), panels: &[RANKING] },
        Row { height: Height::Fill(2), panels: &[COMPLAINED, BOUNCED, BLOCKED] },
    ],
};

const RANKING: Panel = Panel {
    name: "risk-jobs",
    title: "Risk",
    asks: &[Ask::compared(Report::Risk { by: Field::Job }), Ask::courses(Field::Job)],
    show: Show::Table(&[
        col("*", "job", Unit::Text, Good::Neutral, 0),
        col("risk_score", "score", Unit::Number, Good::Down, 0),
        Col {
            column: "risk_score",
            title: "= compl. + hard + block + remote + thr.",
            unit: Unit::Text,
            good: Good::Neutral,
            priority: 3,
            kind: Kind::Sum(&["risk_complaints", "risk_hard", "risk_block", "risk_remote", "risk_throttle"]),
        },
        change("risk_score", Unit::Number, Good::Down, 4),
        col("sent", "mail", Unit::Count, Good::Neutral, 1),
        col("complaints", "compl.", Unit::Count, Good::Down, 5),
        col("complaint_rate", "compl. rate", Unit::Fraction, Good::Down, 2),
        change("complaint_rate", Unit::Fraction, Good::Down, 6),
        col("hard_rate", "hard", Unit::Fraction, Good::Down, 1),
        col("block_rate", "block", Unit::Fraction, Good::Down, 2),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 4),
        col("rb_events", "RB", Unit::Count, Good::Down, 2),
        col("forecast_at", "crosses", Unit::Time, Good::Neutral, 3),
        course("bounce_rate", "bounces over time", Unit::Fraction, 4),
    ]),
    drill: Some(Field::Job),
    variants: &[Field::Job, Field::User, Field::SenderDomain, Field::Sender, Field::SourceIp],
    ..Panel::PLAIN
};

// Ordered by the lower end of the interval: one complaint of ten is no proof.
const COMPLAINED: Panel = Panel {
    name: "complaints",
    title: "Most complaints: users",
    asks: &[Ask::of(Report::Risk { by: Field::User })],
    show: Show::Table(&[
        col("*", "user", Unit::Text, Good::Neutral, 0),
        col("complaint_rate", "rate", Unit::Fraction, Good::Down, 0),
        col("complaints", "compl.", Unit::Count, Good::Down, 1),
        col("complaint_rate_of", "of FBL", Unit::Count, Good::Neutral, 2),
        col("complaints_unattributed", "unattr.", Unit::Count, Good::Neutral, 4),
    ]),
    drill: Some(Field::User),
    order: Some("complaint_rate_low"),
    ..Panel::PLAIN
};

const BOUNCED: Panel = Panel {
    name: "bounces",
    title: "Most bounces: sender domains",
    asks: &[Ask::of(Report::Risk { by: Field::SenderDomain })],
    show: Show::Table(&[
        col("*", "sender domain", Unit::Text, Good::Neutral, 0),
        col("hard_rate", "hard", Unit::Fraction, Good::Down, 0),
        col("block_rate", "block", Unit::Fraction, Good::Down, 1),
        col("bounced_total", "bounced", Unit::Count, Good::Down, 2),
        col("bounce_rate_of", "of", Unit::Count, Good::Neutral, 3),
    ]),
    drill: Some(Field::SenderDomain),
    order: Some("hard_rate_low"),
    ..Panel::PLAIN
};

const BLOCKED: Panel = Panel {
    name: "rate-blocking",
    title: "Rate blocking: jobs",
    asks: &[Ask::of(Report::Risk { by: Field::Job })],
    show: Show::Table(&[
        col("*", "job", Unit::Text, Good::Neutral, 0),
        col("rb_events", "RB", Unit::Count, Good::Down, 0),
        col("rb_frequency", "per 1,000", Unit::Number, Good::Down, 1),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 2),
    ]),
    drill: Some(Field::Job),
    order: Some("rb_events"),
    ..Panel::PLAIN
};
