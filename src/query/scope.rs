//! What a question is about: a time range and filters, the same on every tab, report and export.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::query::field::{Compare, Field};
use crate::query::filter::Filter;
use crate::query::time::{Micros, TimeRange, iso, span};

/// A time range and filters. Values of one field are ORed, exclusions ANDed, fields ANDed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Scope {
    /// Which time.
    pub time: TimeRange,
    /// The conditions, each once, in the order in which they were added.
    filters: Vec<Filter>,
}

/// The conditions on one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// One of these must match, if there are any.
    pub include: Vec<Filter>,
    /// None of these may match.
    pub exclude: Vec<Filter>,
}

impl Conditions {
    /// The conditions, ready for many cells.
    pub fn test(&self) -> Test<'_> {
        Test { include: Values::of(&self.include), exclude: Values::of(&self.exclude) }
    }

    /// Whether a cell passes all conditions.
    pub fn allow(&self, cell: &str) -> bool {
        self.test().allow(cell)
    }
}

/// Conditions made ready for many cells: hundreds of values are looked up at once instead of one by one.
#[derive(Debug)]
pub struct Test<'a> {
    include: Values<'a>,
    exclude: Values<'a>,
}

/// The values of filters on one field.
#[derive(Debug, Default)]
struct Values<'a> {
    exact: HashSet<Cow<'a, str>>,
    patterns: Vec<&'a Filter>,
    ignore_case: bool,
}

impl<'a> Values<'a> {
    fn of(filters: &'a [Filter]) -> Self {
        let ignore_case = filters.first().is_some_and(|filter| filter.field.compare() != Compare::Exact);
        let (patterns, exact): (Vec<&Filter>, Vec<&Filter>) = filters.iter().partition(|filter| filter.has_wildcard());
        Self {
            exact: exact.into_iter().map(|filter| fold(&filter.value, ignore_case)).collect(),
            patterns,
            ignore_case,
        }
    }

    fn hit(&self, cell: &str) -> bool {
        (!self.exact.is_empty() && self.exact.contains(&*fold(cell, self.ignore_case)))
            || self.patterns.iter().any(|filter| filter.matches(cell))
    }
}

fn fold(text: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

impl Test<'_> {
    /// Whether a cell passes all conditions.
    pub fn allow(&self, cell: &str) -> bool {
        let all = self.include.exact.is_empty() && self.include.patterns.is_empty();
        (all || self.include.hit(cell)) && !self.exclude.hit(cell)
    }
}

impl Scope {
    /// A scope over a time range, with filters.
    pub fn new(time: TimeRange, filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut scope = Self { time, filters: Vec::new() };
        for filter in filters {
            // A value and its exclusion may both be asked for; then nothing passes.
            if !scope.filters.contains(&filter) {
                scope.filters.push(filter);
            }
        }
        scope
    }

    /// The conditions, in the order in which they were added.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Adds a condition; the opposite of one that is there replaces it.
    pub fn add(&mut self, filter: Filter) {
        self.filters.retain(|known| known.field != filter.field || known.value != filter.value);
        self.filters.push(filter);
    }

    /// Narrows a field to one value, whatever it was limited to before.
    pub fn only(&mut self, filter: Filter) {
        self.filters.retain(|known| known.field != filter.field);
        self.filters.push(filter);
    }

    /// Takes the condition at a position away.
    pub fn remove(&mut self, index: usize) {
        if index < self.filters.len() {
            self.filters.remove(index);
        }
    }

    /// Takes every condition away; the time range stays.
    pub fn clear(&mut self) {
        self.filters.clear();
    }

    /// The conditions by field.
    pub fn by_field(&self) -> BTreeMap<Field, Conditions> {
        let mut fields: BTreeMap<Field, Conditions> = BTreeMap::new();
        for filter in &self.filters {
            let conditions = fields.entry(filter.field).or_default();
            if filter.exclude {
                conditions.exclude.push(filter.clone());
            } else {
                conditions.include.push(filter.clone());
            }
        }
        fields
    }

    /// The conditions on one field.
    pub fn conditions(&self, field: Field) -> Conditions {
        self.by_field().remove(&field).unwrap_or_default()
    }

    /// The same filters over another range.
    pub fn between(&self, from: Micros, until: Micros) -> Self {
        Self { time: TimeRange::Between(Some(from), Some(until)), filters: self.filters.clone() }
    }

    /// The same filters over the period of equal length just before; `None` where the range has no
    /// beginning or no end.
    pub fn before(&self, now: Option<Micros>) -> Option<Self> {
        match self.time.resolve(now) {
            (Some(from), Some(until)) if until > from => Some(Self {
                time: TimeRange::Between(Some(from - (until - from)), Some(from)),
                filters: self.filters.clone(),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            TimeRange::All => write!(f, "all time")?,
            TimeRange::Last(micros) => write!(f, "last {}", span(micros))?,
            TimeRange::Between(from, until) => {
                let side = |bound: Option<Micros>| bound.map_or_else(|| "…".to_owned(), iso);
                write!(f, "{}..{}", side(from), side(until))?;
            }
        }
        for filter in &self.filters {
            write!(f, " {filter}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::time::DAY;

    #[test]
    fn values_of_a_field_are_ored_and_exclusions_anded() {
        let scope = Scope::new(TimeRange::All, ["job=a*", "job=b", "job!=a9"].map(|text| Filter::parse(text).unwrap()));
        let job = scope.conditions(Field::Job);
        assert!(job.allow("a1") && job.allow("b"));
        assert!(!job.allow("a9") && !job.allow("c"));
    }

    #[test]
    fn including_a_value_ends_its_exclusion() {
        let mut scope = Scope::default();
        scope.add(Filter::exclude(Field::Vmta, "v1"));
        scope.add(Filter::include(Field::Vmta, "v1"));
        assert_eq!(scope.filters(), [Filter::include(Field::Vmta, "v1")]);
    }

    #[test]
    fn the_period_before_has_the_same_length() {
        let scope = Scope::new(TimeRange::Between(Some(3 * DAY), Some(5 * DAY)), []);
        assert_eq!(scope.before(None).unwrap().time, TimeRange::Between(Some(DAY), Some(3 * DAY)));
        assert_eq!(Scope::default().before(None), None);
    }
}
