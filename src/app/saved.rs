//! A view that is kept under a name, and the one that the screen was left in: plain data.

use serde::{Deserialize, Serialize};

use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::question::{Compare, Sort};
use crate::query::scope::Scope;
use crate::query::time::{Micros, TimeRange};

/// A kept view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedView {
    /// Its name; empty for the one that the screen was left in.
    pub name: String,
    /// The catalog that it was seen on; for the one that the screen was left in.
    pub catalog: String,
    /// The tab's name.
    pub tab: String,
    /// The time range.
    pub time: SavedTime,
    /// The filters.
    pub filters: Vec<SavedFilter>,
    /// What numbers are compared with.
    pub compare: SavedCompare,
    /// The panel with the focus.
    pub focus: usize,
    /// Order and grouping of each panel.
    pub panels: Vec<SavedPanel>,
    /// The Explorer's columns in their order; empty: all.
    pub columns: Vec<String>,
}

/// A kept time range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedTime {
    /// Everything.
    #[default]
    All,
    /// Up to the newest event, microseconds.
    Last(Micros),
    /// Between two times.
    Between(Option<Micros>, Option<Micros>),
}

/// A kept comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedCompare {
    /// Nothing.
    Off,
    /// The period before.
    #[default]
    Before,
    /// A week before.
    Week,
    /// A range of its own.
    Range(Micros, Micros),
}

/// A kept filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFilter {
    /// The field's name.
    pub field: String,
    /// Whether rows with the value are left out.
    #[serde(default)]
    pub exclude: bool,
    /// The value.
    pub value: String,
}

/// A kept panel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedPanel {
    /// The column that it is sorted by; empty: the report's own order.
    pub sort: String,
    /// Greatest first.
    pub descending: bool,
    /// Which of its grouping fields.
    pub variant: usize,
}

impl SavedView {
    /// The scope; a field that this version does not know is left out.
    pub fn scope(&self) -> Scope {
        let time = match self.time {
            SavedTime::All => TimeRange::All,
            SavedTime::Last(span) => TimeRange::Last(span),
            SavedTime::Between(from, until) => TimeRange::Between(from, until),
        };
        let filters = self.filters.iter().filter_map(|filter| {
            let field = Field::parse(&filter.field)?;
            Some(Filter { field, exclude: filter.exclude, value: filter.value.clone() })
        });
        Scope::new(time, filters)
    }

    /// Keeps a scope.
    pub fn set_scope(&mut self, scope: &Scope) {
        self.time = match scope.time {
            TimeRange::All => SavedTime::All,
            TimeRange::Last(span) => SavedTime::Last(span),
            TimeRange::Between(from, until) => SavedTime::Between(from, until),
        };
        let keep = |filter: &Filter| SavedFilter {
            field: filter.field.name().to_owned(),
            exclude: filter.exclude,
            value: filter.value.clone(),
        };
        self.filters = scope.filters().iter().map(keep).collect();
    }
}

impl From<Compare> for SavedCompare {
    fn from(compare: Compare) -> Self {
        match compare {
            Compare::Off => Self::Off,
            Compare::Before => Self::Before,
            Compare::Week => Self::Week,
            Compare::Range(from, until) => Self::Range(from, until),
        }
    }
}

impl From<SavedCompare> for Compare {
    fn from(compare: SavedCompare) -> Self {
        match compare {
            SavedCompare::Off => Self::Off,
            SavedCompare::Before => Self::Before,
            SavedCompare::Week => Self::Week,
            SavedCompare::Range(from, until) => Self::Range(from, until),
        }
    }
}

impl SavedPanel {
    /// The order.
    pub fn order(&self) -> Option<Sort> {
        (!self.sort.is_empty()).then(|| Sort { column: self.sort.clone(), descending: self.descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::time::DAY;

    #[test]
    fn a_scope_with_odd_values_is_kept_letter_by_letter() {
        let scope = Scope::new(
            TimeRange::Last(DAY),
            [Filter::include(Field::Reply, " \"421 * \""), Filter::exclude(Field::Job, "")],
        );
        let mut view = SavedView::default();
        view.set_scope(&scope);
        let text = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<SavedView>(&text).unwrap().scope(), scope);
    }

    #[test]
    fn a_view_of_another_version_is_read_as_far_as_it_is_known() {
        let text = r#"{"name":"x","tab":"latency","filters":[{"field":"nonsense","value":"1"}],"later":true}"#;
        let view: SavedView = serde_json::from_str(text).unwrap();
        assert_eq!((view.tab.as_str(), view.scope()), ("latency", Scope::default()));
    }
}
