//! One file for each way to show an answer.

pub(super) mod cards;
pub(super) mod changes;
pub(super) mod coverage;
pub(super) mod distribution;
pub(super) mod events;
pub(super) mod files;
pub(super) mod heatmap;
pub(super) mod incident;
pub(super) mod incidents;
pub(super) mod insights;
mod map;
pub(super) mod table;
pub(super) mod timeline;
pub(super) mod trend;

use crate::app::View;
use crate::query::table::{Table, Unit, Value};
use crate::ui::format::value;

/// A cell; a rate over nothing says what there was nothing of where that is worth knowing.
fn cell_text(table: &Table, row: usize, column: &str, unit: Unit) -> String {
    let cell = table.cell(row, column);
    let number = |column: &str| table.cell(row, column).number().unwrap_or(-1.0);
    // Mail was delivered, and none of it to a provider that reports complaints.
    if column == "complaint_rate"
        && *cell == Value::Null
        && number("complaint_rate_of") == 0.0
        && number("delivered") > 0.0
    {
        return "no FBL".to_owned();
    }
    value(cell, unit)
}

/// What rows without a value of the grouping column are called: `(no provider)`.
fn nameless(column: &str) -> String {
    format!("(no {})", column.replace('_', " "))
}

/// The first row to show, so that the cursor is in sight and the table moves as little as it can.
fn scroll(view: &View, cursor: usize, rows: usize, total: usize) -> usize {
    if rows == 0 {
        return 0;
    }
    let top = view.top.min(total.saturating_sub(rows));
    if cursor < top {
        cursor
    } else if cursor >= top + rows {
        cursor + 1 - rows
    } else {
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_rate_of_mail_without_feedback_loop_says_so() {
        let mut table =
            Table::with_heads(["delivered", "complaint_rate", "complaint_rate_of"].map(|name| (name, Unit::Count)));
        table.rows.push(vec![Value::Int(7), Value::Null, Value::Int(0)]);
        table.rows.push(vec![Value::Int(0), Value::Null, Value::Int(0)]);
        assert_eq!(cell_text(&table, 0, "complaint_rate", Unit::Fraction), "no FBL");
        assert_eq!(cell_text(&table, 1, "complaint_rate", Unit::Fraction), "–");
    }

    #[test]
    fn a_table_moves_only_when_the_cursor_leaves_it() {
        let view = View { rows: 10, top: 5, left: 0, step: 0 };
        assert_eq!(scroll(&view, 7, 10, 100), 5);
        assert_eq!(scroll(&view, 3, 10, 100), 3);
        assert_eq!(scroll(&view, 15, 10, 100), 6);
        assert_eq!(scroll(&view, 0, 0, 0), 0);
    }
}
