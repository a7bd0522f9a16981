//! Latency: when did delivery slow down, and to whom?

use super::{Ask, Dashboard, Good, Height, Line, Panel, Row, Shade, Show, change, col};
use crate::query::field::Field;
use crate::query::question::{Bucket, Report};
use crate::query::table::Unit;

pub(super) const LATENCY: Dashboard = Dashboard {
    key: '2',
    title: "Latency",
    about: "When did delivery slow down, and to whom? Delivery latency from d rows, attempt latency from t rows.",
    rows: &[
        Row { height: Height::Fill(3), panels: &[TREND, DISTRIBUTION] },
        Row { height: Height::Fill(3), panels: &[MAP] },
        Row { height: Height::Fill(3), panels: &[SLOWEST] },
    ],
};

const TREND: Panel = Panel {
    name: "latency-trend",
    title: "Latency over time",
    asks: &[Ask::over_time()],
    show: Show::Trend {
        lines: &[
            Line { label: "p50", column: "latency_p50_ms", ghost: false },
            Line { label: "p95", column: "latency_p95_ms", ghost: true },
            Line { label: "p99", column: "latency_p99_ms", ghost: false },
            Line { label: "avg", column: "latency_avg_ms", ghost: false },
        ],
        unit: Unit::Millis,
    },
    ..Panel::PLAIN
};

const DISTRIBUTION: Panel = Panel {
    name: "distribution",
    title: "How long it took",
    asks: &[Ask::compared(Report::Distribution)],
    show: Show::Distribution,
    ..Panel::PLAIN
};

const MAP: Panel = Panel {
    name: "latency-heatmap",
    title: "Heatmap",
    asks: &[Ask::compared(Report::Heatmap { by: Field::Provider, bucket: Bucket::Auto, latency: true })],
    show: Show::Heatmap(&[
        Shade { title: "p95 latency", column: "latency_p95_ms", of: "latency_n", unit: Unit::Millis, limits: None },
        Shade {
            title: "deferral rate",
            column: "deferral_rate",
            of: "deferral_rate_of",
            unit: Unit::Fraction,
            limits: Some([0.05, 0.15, 0.40]),
        },
        Shade {
            title: "bounce rate",
            column: "bounce_rate",
            of: "bounce_rate_of",
            unit: Unit::Fraction,
            limits: Some([0.02, 0.05, 0.15]),
        },
        Shade {
            title: "RB events per 1,000",
            column: "rb_frequency",
            of: "deferral_rate_of",
            unit: Unit::Number,
            limits: Some([5.0, 20.0, 100.0]),
        },
    ]),
    drill: Some(Field::Provider),
    variants: &[Field::Provider, Field::Domain, Field::Vmta, Field::SourceIp, Field::Pool, Field::Job],
    ..Panel::PLAIN
};

const SLOWEST: Panel = Panel {
    name: "latency-slowest",
    title: "Slowest",
    asks: &[Ask::compared(Report::Latency { by: Field::Domain })],
    show: Show::Table(&[
        col("*", "domain", Unit::Text, Good::Neutral, 0),
        col("latency_measure", "measure", Unit::Text, Good::Neutral, 6),
        col("latency_n", "n", Unit::Count, Good::Neutral, 2),
        col("latency_avg_ms", "avg", Unit::Millis, Good::Down, 3),
        col("latency_p50_ms", "p50", Unit::Millis, Good::Down, 1),
        col("latency_p90_ms", "p90", Unit::Millis, Good::Down, 5),
        col("latency_p95_ms", "p95", Unit::Millis, Good::Down, 0),
        change("latency_p95_ms", Unit::Millis, Good::Down, 2),
        col("latency_p99_ms", "p99", Unit::Millis, Good::Down, 4),
        col("latency_max_ms", "max", Unit::Millis, Good::Down, 4),
        col("latency_deviation", "× before", Unit::Number, Good::Down, 1),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 2),
        change("deferral_rate", Unit::Fraction, Good::Down, 5),
    ]),
    drill: Some(Field::Domain),
    variants: &[Field::Domain, Field::Provider, Field::Vmta, Field::SourceIp, Field::Pool, Field::Job, Field::User],
    ..Panel::PLAIN
};
