//! One condition of a scope: a field, include or exclude, a value with wildcards. Parsed from flags
//! and from the filter bar, printed as a chip.

use std::fmt;

use crate::query::field::{Compare, FIELDS, Field};
use crate::text::wildcard;

/// One condition of a scope. An empty value stands for "no value in this column".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    /// What is compared.
    pub field: Field,
    /// True: rows with the value are left out.
    pub exclude: bool,
    /// The value; `*` stands for any text.
    pub value: String,
}

/// Why a filter could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No comparison sign in the text.
    #[error("`{0}` is not a filter: write field=value, for example provider=Google or vmta!=vmta07")]
    NoSign(String),
    /// A name that is no field.
    #[error("`{name}` is no field to filter by{}", did_you_mean(.nearest))]
    UnknownField {
        /// The name as typed.
        name: String,
        /// The field whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

impl Filter {
    /// A filter that keeps rows with the value.
    pub fn include(field: Field, value: impl Into<String>) -> Self {
        Self { field, exclude: false, value: value.into() }
    }

    /// A filter that leaves rows with the value out.
    pub fn exclude(field: Field, value: impl Into<String>) -> Self {
        Self { field, exclude: true, value: value.into() }
    }

    /// A flag's value: a leading `!` excludes.
    pub fn from_flag(field: Field, value: &str) -> Self {
        match value.strip_prefix('!') {
            Some(rest) => Self::exclude(field, rest),
            None => Self::include(field, value),
        }
    }

    /// The filter of a typed text: `field=value`, `field!=value` or `field≠value`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let at = text.find(['=', '≠', '!', ':']).ok_or_else(|| Error::NoSign(text.to_owned()))?;
        let (name, rest) = text.split_at(at);
        let field = Field::parse(name)
            .ok_or_else(|| Error::UnknownField { name: name.trim().to_owned(), nearest: nearest_field(name.trim()) })?;
        for (sign, exclude) in [("!=", true), ("≠", true), ("=!", true), ("=", false), (":", false)] {
            if let Some(value) = rest.strip_prefix(sign) {
                let value = value.trim().trim_matches('"').to_owned();
                return Ok(Self { field, exclude, value });
            }
        }
        Err(Error::NoSign(text.to_owned()))
    }

    /// Whether a cell satisfies the pattern, leaving `exclude` aside.
    pub fn matches(&self, cell: &str) -> bool {
        match self.field.compare() {
            Compare::Exact => wildcard(self.value.as_bytes(), cell.as_bytes()),
            _ => wildcard(self.value.to_lowercase().as_bytes(), cell.to_lowercase().as_bytes()),
        }
    }

    /// Whether the value holds a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.value.contains('*')
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.exclude { "≠" } else { "=" };
        let value = if self.value.is_empty() { "\"\"" } else { &self.value };
        write!(f, "{}{sign}{value}", self.field.name())
    }
}

/// Whether a status or an SMTP code (0: none) passes the conditions on [`Field::Status`].
pub fn status_allows(conditions: &crate::query::scope::Conditions, status: &str, code: i64) -> bool {
    let code = if code > 0 { code.to_string() } else { String::new() };
    let hit = |filter: &Filter| {
        if filter.value.is_empty() {
            status.is_empty() && code.is_empty()
        } else {
            filter.matches(status) && !status.is_empty() || filter.matches(&code) && !code.is_empty()
        }
    };
    (conditions.include.is_empty() || conditions.include.iter().any(hit)) && !conditions.exclude.iter().any(hit)
}

fn nearest_field(name: &str) -> Option<&'static str> {
    FIELDS
        .iter()
        .map(|field| (edit_distance(&name.to_lowercase(), field.name()), field.name()))
        .filter(|(distance, field)| *distance <= 1 + field.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, field)| field)
}

/// Levenshtein distance, for suggestions.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_filter_prints_as_its_chip() {
        assert_eq!(Filter::parse("provider=Yahoo").unwrap().to_string(), "provider=Yahoo");
        assert_eq!(Filter::parse(" vmta != vmta07 ").unwrap().to_string(), "vmta≠vmta07");
        assert_eq!(Filter::parse("job=").unwrap().to_string(), "job=\"\"");
    }

    #[test]
    fn a_chip_parses_back_to_its_filter() {
        for filter in [Filter::include(Field::Job, "a*b"), Filter::exclude(Field::Domain, "x.de")] {
            assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
        }
    }

    #[test]
    fn a_misspelt_field_names_the_nearest_one() {
        let error = Filter::parse("provder=Yahoo").unwrap_err().to_string();
        assert!(error.contains("did you mean `provider`?"), "{error}");
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(wildcard(b"5.*", b"5.1.1"));
        assert!(wildcard(b"*a*b", b"xxaayyb"));
        assert!(!wildcard(b"*a*b", b"xxaayybc"));
        assert!(wildcard(b"*", b""));
    }

    #[test]
    fn domains_ignore_case_and_jobs_do_not() {
        assert!(Filter::include(Field::Domain, "Gmail.COM").matches("gmail.com"));
        assert!(!Filter::include(Field::Job, "Job").matches("job"));
    }
}
