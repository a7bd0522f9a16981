//! The distribution of latencies: the spans between the fastest and the slowest message, each with its
//! rows of both measures.

use crate::query::question::Answer;
use crate::query::table::Table;

/// Both measures, in the order of their columns.
pub const MEASURES: [&str; 2] = ["delivery", "attempt"];

/// One span of latencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// From as many milliseconds.
    pub from: f64,
    /// Below as many; `None`: and everything above.
    pub to: Option<f64>,
    /// The answer's row of each measure.
    pub rows: [Option<usize>; 2],
}

/// The spans that hold something, and those between them.
pub fn spans(answer: &Answer) -> Vec<Span> {
    let mut spans = all(&answer.table);
    let holds = |span: &Span| {
        span.rows.iter().flatten().any(|row| answer.table.cell(*row, "n").number().is_some_and(|n| n > 0.0))
    };
    while spans.last().is_some_and(|span| !holds(span)) {
        spans.pop();
    }
    let empty = spans.iter().take_while(|span| !holds(span)).count();
    spans.drain(..empty);
    spans
}

fn all(table: &Table) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for row in 0..table.rows.len() {
        let Some(from) = table.cell(row, "from_ms").number() else { continue };
        let measure = table.cell(row, "measure").as_text();
        let Some(at) = MEASURES.iter().position(|name| Some(*name) == measure) else { continue };
        #[expect(clippy::float_cmp, reason = "both are the same whole number of milliseconds")]
        let known = spans.iter_mut().find(|span| span.from == from);
        match known {
            Some(span) => span.rows[at] = Some(row),
            None => {
                let mut rows = [None; 2];
                rows[at] = Some(row);
                spans.push(Span { from, to: table.cell(row, "to_ms").number(), rows });
            }
        }
    }
    spans.sort_by(|a, b| a.from.total_cmp(&b.from));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::table::{Unit, Value};

    #[test]
    fn empty_ends_are_left_out_and_empty_middles_stay() {
        let mut table = Table::with_heads([
            ("measure", Unit::Text),
            ("from_ms", Unit::Millis),
            ("to_ms", Unit::Millis),
            ("n", Unit::Count),
        ]);
        for (measure, from, n) in [
            ("delivery", 0, 0),
            ("delivery", 1000, 3),
            ("delivery", 2000, 0),
            ("delivery", 5000, 0),
            ("attempt", 5000, 1),
            ("attempt", 9000, 0),
        ] {
            table.rows.push(vec![Value::text(measure), Value::Int(from), Value::Null, Value::Int(n)]);
        }
        let spans = spans(&Answer { table, ..Answer::default() });
        assert_eq!(spans.iter().map(|span| span.from).collect::<Vec<_>>(), [1000.0, 2000.0, 5000.0]);
        assert_eq!(spans[2].rows, [Some(3), Some(4)]);
    }
}
