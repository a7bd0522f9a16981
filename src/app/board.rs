//! An open tab: which panel has the focus, where each cursor is, how each table is sorted and grouped,
//! and the slots that hold its answers.

use std::collections::{BTreeMap, HashMap};

use crate::app::explorer::EVENT_COLUMNS;
use crate::app::files::FILE_COLUMNS;
use crate::app::incidents::INCIDENT_COLUMNS;
use crate::app::slot::Slot;
use crate::dashboard::{Col, DASHBOARDS, Dashboard, Kind, Panel, Show};
use crate::query::field::Field;
use crate::query::question::{Answer, Compare, Page, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::table::{Table, Value};
use crate::query::time::{Micros, TimeRange, parse_range, short};

/// Most rows that a table panel shows; an export writes all.
pub const TABLE_ROWS: usize = 1000;

/// Where the user is in a panel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PanelState {
    /// The row (or card) under the cursor; may lie behind the last one until it is used.
    pub cursor: usize,
    /// The column under the cursor.
    pub column: usize,
    /// The order that was picked; `None`: the report's own.
    pub sort: Option<Sort>,
    /// Which of the panel's grouping fields.
    pub variant: usize,
    /// The time under the cursor of a chart or map; `None`: the newest.
    pub time: Option<Micros>,
    /// The corner of a box that is being drawn on a chart or map: its row and time.
    pub mark: Option<(usize, Micros)>,
    /// Which of a map's measures it is coloured by.
    pub shade: usize,
}

/// An open tab.
#[derive(Debug, Clone)]
pub struct Board {
    /// The panel with the focus.
    pub focus: usize,
    /// One for each panel.
    pub panels: Vec<PanelState>,
    /// Answers, by panel and ask.
    pub slots: BTreeMap<(usize, usize), Slot>,
}

impl Board {
    /// A tab that was never looked at.
    pub fn new(dashboard: &Dashboard) -> Self {
        let count = dashboard.panels().count();
        Self { focus: 0, panels: vec![PanelState::default(); count], slots: BTreeMap::new() }
    }

    /// The slot that answers an ask; equal asks of one tab share it.
    pub fn slot(&self, dashboard: &Dashboard, panel: usize, ask: usize) -> Option<&Slot> {
        self.slots.get(&shared(dashboard, panel, ask))
    }

    /// The panels with the tab's focus moved on.
    pub fn move_focus(&mut self, next: bool) {
        let count = self.panels.len().max(1);
        self.focus = (self.focus + if next { 1 } else { count - 1 }) % count;
    }
}

/// The tab at a position.
pub fn dashboard(tab: usize) -> &'static Dashboard {
    DASHBOARDS.get(tab).copied().unwrap_or(DASHBOARDS[0])
}

/// The panel at a position.
pub fn panel(tab: usize, panel: usize) -> Option<&'static Panel> {
    dashboard(tab).panels().nth(panel)
}

/// The first panel and ask of a tab with the same question, so that it is asked once.
pub fn shared(dashboard: &Dashboard, panel: usize, ask: usize) -> (usize, usize) {
    let own = dashboard.panels().nth(panel).filter(|panel| panel.variants.is_empty());
    let own = own.filter(|panel| panel.follows.is_none());
    let Some(wanted) = own.and_then(|panel| panel.asks.get(ask)) else { return (panel, ask) };
    for (p, candidate) in dashboard.panels().enumerate() {
        if !candidate.variants.is_empty() {
            continue;
        }
        for (a, other) in candidate.asks.iter().enumerate() {
            let same = other.report == wanted.report && other.compare == wanted.compare;
            if same && candidate.order == own.and_then(|panel| panel.order) && candidate.follows.is_none() {
                return (p, a);
            }
        }
    }
    (panel, ask)
}

/// The field that a panel groups by.
pub fn group(panel: &Panel, state: &PanelState) -> Option<Field> {
    panel.variants.get(state.variant).copied().or(panel.drill)
}

/// The question of an ask over a scope, as the panel is sorted and grouped now.
pub fn question(panel: &Panel, ask: usize, state: &PanelState, scope: &Scope, compare: Compare) -> Option<Question> {
    let (first, ask) = (ask == 0, panel.asks.get(ask)?);
    let mut question = ask.question(scope, panel.variants.get(state.variant).copied(), compare);
    match panel.show {
        Show::Table(_) if first => {
            let order = |column: &str| Sort { column: column.to_owned(), descending: true };
            let sort = match &state.sort {
                Some(sort) => Some(sort.clone()),
                None => panel.order.map(order),
            };
            question.page = Page { offset: 0, limit: Some(TABLE_ROWS), sort };
        }
        // One for each line of a tall screen; a table of thousands has courses for the leading ones.
        Show::Table(_) => match question.report {
            Report::Heatmap { by, .. } if by.in_rollup() => question.page.limit = Some(COURSES),
            _ => return None,
        },
        // The file table is about files, not events: a file without a readable row has no time range
        // and must be seen all the same.
        Show::Files => question.scope.time = TimeRange::All,
        _ => {}
    }
    debug_assert!(question.report != Report::Events, "the explorer asks by page");
    Some(question)
}

/// Rows of a table that have a sparkline.
const COURSES: usize = 60;

/// Whether a column of a table can be shown: changes only where something is compared with.
pub fn is_shown(column: &Col, compare: Compare) -> bool {
    column.kind != Kind::Change || compare != Compare::Off
}

/// Rows of what is compared with, by the text in their key column.
pub fn before_rows(answer: &Answer, key: &str) -> HashMap<String, usize> {
    let Some(before) = &answer.before else { return HashMap::new() };
    (0..before.rows.len()).map(|row| (filter_text(before.cell(row, key)), row)).collect()
}

/// The answer's column behind each column of a panel.
pub fn column_names(panel: &Panel, state: &PanelState) -> Vec<String> {
    match panel.show {
        Show::Table(columns) => columns
            .iter()
            .map(|column| match (column.column, group(panel, state)) {
                ("*", Some(field)) => field.report_name(),
                (name, _) if column.kind == Kind::Change => format!("{name}_change"),
                (name, _) => name.to_owned(),
            })
            .collect(),
        Show::Events => EVENT_COLUMNS.iter().map(|column| column.name.to_owned()).collect(),
        Show::Files => FILE_COLUMNS.iter().map(|column| column.name.to_owned()).collect(),
        Show::Incidents => INCIDENT_COLUMNS.iter().map(|column| column.name.to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// The value that a row of a panel stands for, as a filter takes it.
pub fn row_value(panel: &Panel, state: &PanelState, table: &Table, row: usize) -> Option<(Field, String)> {
    let field = group(panel, state)?;
    table.rows.get(row)?;
    let mut value = table.cell(row, &field.report_name());
    if field == Field::Reply {
        let pattern = table.cell(row, "reply_pattern");
        if pattern.is_there() {
            value = pattern;
        }
    }
    Some((field, filter_text(value)))
}

/// A cell as the value of a filter; nothing there is the empty value.
pub fn filter_text(value: &Value) -> String {
    match value {
        Value::Null | Value::Missing(_) => String::new(),
        Value::Int(number) | Value::Time(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(words) => words.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// A comparison in words.
pub fn compare_words(compare: Compare) -> String {
    match compare {
        Compare::Off => "compared with nothing".to_owned(),
        Compare::Before => "compared with the period before".to_owned(),
        Compare::Week => "compared with the same time a week before".to_owned(),
        Compare::Range(from, until) => format!("compared with {} – {}", short(from), short(until)),
    }
}

/// A comparison as typed: `off`, `before`, `week`, or a range of its own.
///
/// # Errors
/// When the text is none of these; why, for people.
pub fn parse_compare(text: &str, now: Option<Micros>) -> Result<Compare, String> {
    match text.trim().to_lowercase().as_str() {
        "off" | "none" => return Ok(Compare::Off),
        "before" => return Ok(Compare::Before),
        "week" => return Ok(Compare::Week),
        _ => {}
    }
    let range = parse_range(text).map_err(|error| error.to_string())?;
    match range.resolve(now) {
        (Some(from), Some(until)) if until > from => Ok(Compare::Range(from, until)),
        _ => Err("a range to compare with needs a beginning and an end: 2026-11-16, or FROM..UNTIL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_asks_of_a_tab_share_one_slot() {
        let health = dashboard(0);
        assert_eq!(shared(health, 0, 1), (0, 1));
        assert_eq!(shared(health, 2, 0), (0, 1), "the trend asks what the sparklines ask");
        assert_eq!(shared(health, 3, 0), (3, 0));
        assert_eq!(shared(dashboard(3), 3, 0), (3, 0), "the same report in another order is another question");
    }

    #[test]
    fn the_star_column_is_named_after_the_grouping_field() {
        let latency = panel(1, 3).unwrap();
        let state = PanelState { variant: 3, ..PanelState::default() };
        assert_eq!(column_names(latency, &state)[0], "source_ip");
    }

    #[test]
    fn a_reply_row_filters_by_its_pattern() {
        let replies = panel(0, 5).unwrap();
        let mut table = Table::with_heads([
            ("reply", crate::query::table::Unit::Text),
            ("reply_pattern", crate::query::table::Unit::Text),
        ]);
        table.rows.push(vec![Value::text("550 user <…> unknown"), Value::text("550 user * unknown")]);
        let found = row_value(replies, &PanelState::default(), &table, 0);
        assert_eq!(found, Some((Field::Reply, "550 user * unknown".to_owned())));
    }
}
