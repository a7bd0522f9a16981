//! Which questions a screen asks and how their answers are drawn: one description a tab. Nothing here
//! draws, fetches or handles keys; a new panel is one more constant.

mod domains;
mod explorer;
mod files;
mod health;
mod incidents;
mod latency;
mod risk;

use crate::query::field::Field;
use crate::query::question::{Bucket, Compare, Question, Report};
use crate::query::scope::Scope;
use crate::query::table::Unit;
use crate::query::time::{DAY, HOUR, TimeRange, Width};

/// Every tab, in the order of its digit key.
pub const DASHBOARDS: &[&Dashboard] = &[
    &health::HEALTH,
    &latency::LATENCY,
    &domains::DOMAINS,
    &risk::RISK,
    &explorer::EXPLORER,
    &incidents::INCIDENTS,
    &files::FILES,
];

/// One tab.
#[derive(Debug)]
pub struct Dashboard {
    /// The digit that opens it.
    pub key: char,
    /// The name in the tab bar.
    pub title: &'static str,
    /// What it is for, in a sentence for the help overlay.
    pub about: &'static str,
    /// Its panels, by rows from the top.
    pub rows: &'static [Row],
}

impl Dashboard {
    /// Its panels, in reading order.
    pub fn panels(&self) -> impl Iterator<Item = &'static Panel> {
        self.rows.iter().flat_map(|row| row.panels.iter())
    }
}

/// Panels side by side.
#[derive(Debug)]
pub struct Row {
    /// How tall the row is.
    pub height: Height,
    /// Its panels, left to right, equally wide.
    pub panels: &'static [Panel],
}

/// How tall a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Height {
    /// As many lines.
    Lines(u16),
    /// A share of what is left.
    Fill(u16),
}

/// One box.
#[derive(Debug)]
pub struct Panel {
    /// What `pmtop export` calls it; no other panel has the same name.
    pub name: &'static str,
    /// The name in its border.
    pub title: &'static str,
    /// What it asks; the first answer is the main one.
    pub asks: &'static [Ask],
    /// How the answers are drawn.
    pub show: Show,
    /// The field that Enter narrows the scope by, from the row under the cursor.
    pub drill: Option<Field>,
    /// The names of the variants that `v` cycles through, when the panel groups by a field.
    pub variants: &'static [Field],
    /// The column whose greatest values come first; `None`: the report's own order.
    pub order: Option<&'static str>,
    /// The panel of this tab whose row under the cursor narrows what is asked.
    pub follows: Option<usize>,
}

impl Panel {
    /// A panel that groups by nothing and leads nowhere: what the constants of the tabs begin with.
    const PLAIN: Self = Self {
        name: "",
        title: "",
        asks: &[],
        show: Show::Events,
        drill: None,
        variants: &[],
        order: None,
        follows: None,
    };
}

/// A question without its scope.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// What is asked.
    pub report: Report,
    /// Whether it is wanted too for what the user compares with.
    pub compare: bool,
}

impl Ask {
    /// Over the scope alone.
    pub const fn of(report: Report) -> Self {
        Self { report, compare: false }
    }

    /// Over the scope and the period before.
    pub const fn compared(report: Report) -> Self {
        Self { report, compare: true }
    }

    /// Every number by time, in buckets that make a readable chart, beside what is compared with.
    pub const fn over_time() -> Self {
        Self::compared(Report::Operations { by: None, bucket: Some(Bucket::Auto) })
    }

    /// The course of every row of a table: what its sparklines are drawn from.
    pub const fn courses(by: Field) -> Self {
        Self::of(Report::Heatmap { by, bucket: Bucket::Auto, latency: false })
    }

    /// The question over a scope, grouped by another field if one is chosen.
    pub fn question(self, scope: &Scope, variant: Option<Field>, compare: Compare) -> Question {
        let report = match (self.report, variant) {
            (Report::Operations { by: Some(_), bucket }, Some(by)) => Report::Operations { by: Some(by), bucket },
            (Report::Latency { .. }, Some(by)) => Report::Latency { by },
            (Report::Domains { .. }, Some(by)) => Report::Domains { by },
            (Report::Risk { .. }, Some(by)) => Report::Risk { by },
            (Report::Heatmap { bucket, latency, .. }, Some(by)) => Report::Heatmap { by, bucket, latency },
            (report, _) => report,
        };
        let report = match report {
            Report::Heatmap { by, bucket: Bucket::Auto, latency } => {
                Report::Heatmap { by, bucket: map_bucket(scope.time), latency }
            }
            report => report,
        };
        // A field outside the rollups may have a value per message: what was before is not worth reading
        // them all once more.
        let compare = if self.compare && groups(report).is_none_or(Field::in_rollup) { compare } else { Compare::Off };
        Question { compare, ..Question::new(report, scope.clone()) }
    }
}

/// The field that a report groups by.
fn groups(report: Report) -> Option<Field> {
    match report {
        Report::Operations { by, .. } => by,
        Report::Latency { by } | Report::Domains { by } | Report::Risk { by } | Report::Heatmap { by, .. } => Some(by),
        _ => None,
    }
}

/// Time cells of a map: few enough to be told apart, and none under an hour where hours will do, since
/// latencies are held by the hour.
fn map_bucket(time: TimeRange) -> Bucket {
    let span = match time {
        TimeRange::Last(span) => span,
        TimeRange::Between(Some(from), Some(until)) => until - from,
        _ => return Bucket::Auto,
    };
    Bucket::Fixed(match span {
        span if span <= HOUR => Width::Minute,
        span if span <= 6 * HOUR => Width::Quarter,
        span if span <= 8 * DAY => Width::Hour,
        _ => Width::Day,
    })
}

/// How answers are drawn.
#[derive(Debug)]
pub enum Show {
    /// KPI cards: the first ask is `totals` compared, the second `operations` over time.
    Cards(&'static [Card]),
    /// Lines over time, from an ask over time.
    Trend {
        /// What is drawn.
        lines: &'static [Line],
        /// The unit of the vertical axis.
        unit: Unit,
    },
    /// A table with a cursor.
    Table(&'static [Col]),
    /// The Explorer: rows of `events`, paged, with a detail pane.
    Events,
    /// The file table with progress bars.
    Files,
    /// Values of a field by time, coloured by one of some measures.
    Heatmap(&'static [Shade]),
    /// Messages by spans of latency, both measures.
    Distribution,
    /// What changed most.
    Changes,
    /// Rows by hour and type of file.
    Coverage,
    /// The faces of incidents: what goes on first, then what the scope's time saw. It asks nothing.
    Insights,
    /// The table of incidents. It asks nothing.
    Incidents,
    /// Incidents over time, a line each. It asks nothing.
    Timeline,
    /// All that is known of the incident under the cursor. It asks nothing.
    Incident,
}

/// A number that a heatmap is coloured by.
#[derive(Debug)]
pub struct Shade {
    /// Its name.
    pub title: &'static str,
    /// The column with it.
    pub column: &'static str,
    /// The column with how many it stands on.
    pub of: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// From where on the second, third and fourth shade begin; `None`: by the map's median.
    pub limits: Option<[f64; 3]>,
}

/// Which way of a number is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// More is better.
    Up,
    /// Less is better.
    Down,
    /// Neither.
    Neutral,
}

/// One KPI card.
#[derive(Debug)]
pub struct Card {
    /// Its name.
    pub title: &'static str,
    /// The column with its number, in `totals` and over time.
    pub column: &'static str,
    /// The number's unit.
    pub unit: Unit,
    /// Which way is bad.
    pub good: Good,
    /// A second line of columns: label and column each.
    pub detail: &'static [(&'static str, &'static str, Unit)],
}

/// One line of a trend.
#[derive(Debug)]
pub struct Line {
    /// Its name in the legend.
    pub label: &'static str,
    /// The column with its numbers.
    pub column: &'static str,
    /// Whether its course in what is compared with is drawn below it.
    pub ghost: bool,
}

/// One column of a table panel.
#[derive(Debug)]
pub struct Col {
    /// The column of the answer; `*` stands for the field that the panel groups by.
    pub column: &'static str,
    /// Its name in the head line.
    pub title: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Which way is bad.
    pub good: Good,
    /// Columns with a greater number are dropped first when the screen is narrow.
    pub priority: u8,
    /// What of the column is shown.
    pub kind: Kind,
}

/// What a table shows of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its value.
    Value,
    /// How it changed against what is compared with; not there where nothing is.
    Change,
    /// Its course over the time range, from another ask.
    Course,
    /// A course that stands in the column itself, as numbers.
    Trend,
    /// A letter where it is true.
    Badge(&'static str),
    /// The columns that it is the sum of.
    Sum(&'static [&'static str]),
}

/// A table column, for the constants of the tabs.
const fn col(column: &'static str, title: &'static str, unit: Unit, good: Good, priority: u8) -> Col {
    Col { column, title, unit, good, priority, kind: Kind::Value }
}

/// The change of a column that is less good the greater it is.
const fn change(column: &'static str, unit: Unit, good: Good, priority: u8) -> Col {
    Col { column, title: "Δ", unit, good, priority, kind: Kind::Change }
}

/// The course of a column.
const fn course(column: &'static str, title: &'static str, unit: Unit, priority: u8) -> Col {
    Col { column, title, unit, good: Good::Neutral, priority, kind: Kind::Course }
}

/// A letter where a column is true.
const fn badge(column: &'static str, letter: &'static str, good: Good) -> Col {
    Col { column, title: letter, unit: Unit::Flag, good, priority: 0, kind: Kind::Badge(letter) }
}

/// A course that stands in the column itself.
const fn trend(column: &'static str, title: &'static str, priority: u8) -> Col {
    Col { column, title, unit: Unit::Text, good: Good::Neutral, priority, kind: Kind::Trend }
}
