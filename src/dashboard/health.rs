//! Health: is mail flowing, and if not, what stops it?

use super::{Ask, Card, Dashboard, Good, Height, Line, Panel, Row, Show, badge, change, col, trend};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const HEALTH: Dashboard = Dashboard {
    key: '1',
    title: "Health",
    about: "Is mail flowing, and if not, what stops it? Each card compares with what `c` chooses.",
    rows: &[
        Row { height: Height::Lines(5), panels: &[CARDS] },
        Row { height: Height::Fill(3), panels: &[INSIGHTS, OUTCOMES] },
        Row { height: Height::Fill(3), panels: &[CHANGES, PROVIDERS] },
        Row { height: Height::Fill(2), panels: &[REPLIES] },
    ],
};

const CARDS: Panel = Panel {
    name: "health",
    title: "",
    asks: &[Ask::compared(Report::Totals), Ask::over_time()],
    show: Show::Cards(&[
        Card { title: "Sent", column: "sent", unit: Unit::Count, good: Good::Neutral, detail: &[] },
        Card {
            title: "Delivered",
            column: "delivered_rate",
            unit: Unit::Fraction,
            good: Good::Up,
            detail: &[("", "delivered", Unit::Count)],
        },
        Card {
            title: "Deferral rate",
            column: "deferral_rate",
            unit: Unit::Fraction,
            good: Good::Down,
            detail: &[("", "deferrals", Unit::Count)],
        },
        Card {
            title: "Bounce rate",
            column: "bounce_rate",
            unit: Unit::Fraction,
            good: Good::Down,
            detail: &[
                ("h", "bounced_hard", Unit::Count),
                ("s", "bounced_soft", Unit::Count),
                ("b", "bounced_block", Unit::Count),
            ],
        },
        Card {
            title: "Complaints",
            column: "complaint_rate",
            unit: Unit::Fraction,
            good: Good::Down,
            detail: &[
                ("", "complaints", Unit::Count),
                ("of FBL", "complaint_rate_of", Unit::Count),
                ("attr.", "complaints_attributed_rate", Unit::Fraction),
            ],
        },
        Card {
            title: "RB events",
            column: "rb_events",
            unit: Unit::Count,
            good: Good::Down,
            detail: &[("reply", "rb_events_reply", Unit::Count), ("file", "rb_events_file", Unit::Count)],
        },
        Card {
            title: "p95 latency",
            column: "latency_p95_ms",
            unit: Unit::Millis,
            good: Good::Down,
            detail: &[("p50", "latency_p50_ms", Unit::Millis)],
        },
    ]),
    ..Panel::PLAIN
};

const INSIGHTS: Panel = Panel { name: "insights", title: "Worth a look", show: Show::Insights, ..Panel::PLAIN };

const OUTCOMES: Panel = Panel {
    name: "outcomes",
    title: "Mail by outcome",
    asks: &[Ask::over_time()],
    show: Show::Trend {
        lines: &[
            Line { label: "delivered", column: "delivered", ghost: true },
            Line { label: "deferrals", column: "deferrals", ghost: true },
            Line { label: "bounced", column: "bounced_total", ghost: false },
        ],
        unit: Unit::Count,
    },
    ..Panel::PLAIN
};

const CHANGES: Panel = Panel {
    name: "changes",
    title: "What changed most",
    asks: &[Ask::compared(Report::Changes)],
    show: Show::Changes,
    ..Panel::PLAIN
};

const PROVIDERS: Panel = Panel {
    name: "providers",
    title: "Providers",
    asks: &[Ask::compared(Report::Domains { by: Field::Provider })],
    show: Show::Table(&[
        col("*", "provider", Unit::Text, Good::Neutral, 0),
        col("sent", "volume", Unit::Count, Good::Neutral, 2),
        change("sent", Unit::Count, Good::Neutral, 4),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 0),
        change("deferral_rate", Unit::Fraction, Good::Down, 3),
        col("bounce_rate", "bounce", Unit::Fraction, Good::Down, 1),
        col("rb_events", "RB", Unit::Count, Good::Down, 3),
        col("latency_p95_ms", "p95", Unit::Millis, Good::Down, 1),
    ]),
    drill: Some(Field::Provider),
    variants: &[Field::Provider, Field::Domain, Field::Vmta, Field::Pool, Field::SourceIp],
    ..Panel::PLAIN
};

const REPLIES: Panel = Panel {
    name: "replies",
    title: "What the other side says",
    asks: &[Ask::of(Report::Replies)],
    show: Show::Table(&[
        col("n", "rows", Unit::Count, Good::Down, 0),
        badge("new", "N", Good::Down),
        trend("trend", "over time", 4),
        col("reply_class", "class", Unit::Text, Good::Neutral, 1),
        col("provider", "provider", Unit::Text, Good::Neutral, 2),
        col("first_seen", "first seen", Unit::Time, Good::Neutral, 5),
        col("reply", "reply", Unit::Text, Good::Neutral, 0),
    ]),
    drill: Some(Field::Reply),
    ..Panel::PLAIN
};
