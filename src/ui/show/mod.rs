//! One file for each way to show an answer.

pub(super) mod cards;
pub(super) mod events;
pub(super) mod files;
pub(super) mod table;
pub(super) mod trend;

use crate::app::View;

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
    fn a_table_moves_only_when_the_cursor_leaves_it() {
        let view = View { rows: 10, top: 5, left: 0 };
        assert_eq!(scroll(&view, 7, 10, 100), 5);
        assert_eq!(scroll(&view, 3, 10, 100), 3);
        assert_eq!(scroll(&view, 15, 10, 100), 6);
        assert_eq!(scroll(&view, 0, 0, 0), 0);
    }
}
