//! Latency: when did delivery slow down, and to whom?

use super::{Ask, Dashboard, Good, Height, Line, Panel, Row, Show, col};
use crate::query::field::Field;
use crate::query::question::Report;
use crate::query::table::Unit;

pub(super) const LATENCY: Dashboard = Dashboard {
    key: '2',
    title: "Latency",
    about: "When did delivery slow down, and to whom? Delivery latency from d rows, attempt latency from t rows.",
    rows: &[Row { height: Height::Fill(2), panels: &[TREND] }, Row { height: Height::Fill(3), panels: &[SLOWEST] }],
};

const TREND: Panel = Panel {
    title: "Latency over time",
    asks: &[Ask::over_time()],
    show: Show::Trend {
        lines: &[
            Line { label: "p50", column: "latency_p50_ms" },
            Line { label: "p95", column: "latency_p95_ms" },
            Line { label: "avg", column: "latency_avg_ms" },
        ],
        unit: Unit::Millis,
    },
    drill: None,
    variants: &[],
};

const SLOWEST: Panel = Panel {
    title: "Slowest",
    asks: &[Ask::of(Report::Latency { by: Field::Domain })],
    show: Show::Table(&[
        col("*", "domain", Unit::Text, Good::Neutral, 0),
        col("latency_measure", "measure", Unit::Text, Good::Neutral, 6),
        col("latency_n", "n", Unit::Count, Good::Neutral, 2),
        col("latency_avg_ms", "avg", Unit::Millis, Good::Down, 3),
        col("latency_p50_ms", "p50", Unit::Millis, Good::Down, 1),
        col("latency_p90_ms", "p90", Unit::Millis, Good::Down, 5),
        col("latency_p95_ms", "p95", Unit::Millis, Good::Down, 0),
        col("latency_p99_ms", "p99", Unit::Millis, Good::Down, 4),
        col("latency_max_ms", "max", Unit::Millis, Good::Down, 4),
        col("latency_deviation", "× before", Unit::Number, Good::Down, 1),
        col("deferral_rate", "deferral", Unit::Fraction, Good::Down, 2),
    ]),
    drill: Some(Field::Domain),
    variants: &[Field::Domain, Field::Provider, Field::Vmta, Field::SourceIp, Field::Pool, Field::Job, Field::User],
};
