//! What comes back from a question: rows under named columns, free of Arrow, ready for screen,
//! report and export alike.

use std::sync::Arc;

/// What a column's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Words.
    Text,
    /// Whole things.
    Count,
    /// A share between 0 and 1.
    Fraction,
    /// Any other number.
    Number,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
    /// Microseconds since 1970, UTC.
    Time,
    /// True or false.
    Flag,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing there.
    #[default]
    Null,
    /// Not available, and why (SPEC §4: n/a is not 0).
    Missing(Arc<str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Words; may hold anything a log file holds, so it is sanitised where it leaves the program.
    Text(Arc<str>),
    /// Microseconds since 1970, UTC.
    Time(i64),
    /// True or false.
    Flag(bool),
}

impl Value {
    /// A cell of words.
    pub fn text(words: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(words.as_ref()))
    }

    /// The cell as a number, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Time(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The cell as words, if it is some.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(words) => Some(words),
            _ => None,
        }
    }

    /// Whether there is a value.
    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::Null | Self::Missing(_))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for Value {
    fn from(words: &str) -> Self {
        Self::text(words)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column's name and unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The name in JSON and CSV.
    pub name: Arc<str>,
    /// What its cells are.
    pub unit: Unit,
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The columns.
    pub heads: Vec<Head>,
    /// The rows, each as long as `heads`.
    pub rows: Vec<Vec<Value>>,
    /// Whether the catalog holds more rows than these.
    pub more: bool,
}

impl Table {
    /// An empty table with columns.
    pub fn with_heads<'a>(heads: impl IntoIterator<Item = (&'a str, Unit)>) -> Self {
        let heads = heads.into_iter().map(|(name, unit)| Head { name: Arc::from(name), unit }).collect();
        Self { heads, rows: Vec::new(), more: false }
    }

    /// The position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.heads.iter().position(|head| &*head.name == name)
    }

    /// A cell by row and column name; [`Value::Null`] where either is not there.
    pub fn cell(&self, row: usize, column: &str) -> &Value {
        const NOTHING: &Value = &Value::Null;
        match (self.column(column), self.rows.get(row)) {
            (Some(index), Some(cells)) => cells.get(index).unwrap_or(NOTHING),
            _ => NOTHING,
        }
    }

    /// Every number of a column, `None` where a row has none.
    pub fn numbers(&self, column: &str) -> Vec<Option<f64>> {
        match self.column(column) {
            Some(index) => self.rows.iter().map(|row| row[index].number()).collect(),
            None => Vec::new(),
        }
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
