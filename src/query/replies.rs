//! What the other side says: replies that are no success, grouped by the words that stay the same.

use std::collections::HashMap;

use arrow::array::Array as _;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{cast, lit};
use datafusion::prelude::col;

use super::raw::{Raw, Resolved, column, text_column, value};
use crate::catalog::Snapshot;
use crate::event::{Kind, Micros};

/// What stands in a template for what differs from message to message.
const PLACEHOLDERS: [&str; 6] = ["<address>", "<ip>", "<host>", "<id>", "<date>", "<n>"];

/// The parts of a course: an hour each over a day, and what a sparkline shows.
pub const PARTS: usize = 24;

/// The time that courses are over, in [`PARTS`] of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    from: Micros,
    part: Micros,
}

impl Span {
    /// From (inclusive) until (exclusive).
    pub fn new(from: Micros, until: Micros) -> Self {
        let (parts, length) = (Micros::try_from(PARTS).unwrap_or(1), (until - from).max(1));
        Self { from, part: length / parts + Micros::from(length % parts != 0) }
    }

    /// The part that a time falls into.
    pub fn part(self, time: Micros) -> Option<usize> {
        usize::try_from((time - self.from).div_euclid(self.part)).ok().filter(|part| *part < PARTS)
    }
}

/// Replies that say the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyGroup {
    /// The words, with placeholders.
    pub template: String,
    /// Its reply class; may be empty.
    pub class: String,
    /// Who said it.
    pub provider: String,
    /// Rows.
    pub n: i64,
    /// First seen.
    pub first: Option<Micros>,
    /// Last seen.
    pub last: Option<Micros>,
    /// One of them, verbatim.
    pub example: String,
    /// Rows by part of the time asked for.
    pub course: [i64; PARTS],
}

/// When replies were first seen, by identity.
pub type FirstSeen = HashMap<u64, Micros>;

/// What makes words of a provider the same words at another time, whatever their class was then.
pub fn identity(template: &str, provider: &str) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in [template, provider] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.digest()
}

impl ReplyGroup {
    /// What makes it the same at another time.
    pub fn identity(&self) -> u64 {
        identity(&self.template, &self.provider)
    }

    /// A filter value that finds the rows of the group: its words in their order. What is between them may
    /// differ, since a template is free of the codes that every line of a long reply repeats.
    pub fn pattern(&self) -> String {
        let words = PLACEHOLDERS.iter().fold(self.template.clone(), |text, placeholder| text.replace(placeholder, " "));
        let words: Vec<&str> = words.split_whitespace().collect();
        format!("*{}*", words.join("*"))
    }

    /// Groups that say the same, as one.
    pub fn joined(groups: Vec<Self>) -> Vec<Self> {
        let mut out: HashMap<(String, String, String), Self> = HashMap::new();
        for group in groups {
            let key = (group.template.clone(), group.class.clone(), group.provider.clone());
            match out.entry(key) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(group);
                }
                std::collections::hash_map::Entry::Occupied(mut entry) => {
                    let known = entry.get_mut();
                    known.n += group.n;
                    known.course.iter_mut().zip(group.course).for_each(|(known, n)| *known += n);
                    known.first = known.first.into_iter().chain(group.first).min();
                    known.last = known.last.max(group.last);
                    if group.example < known.example {
                        known.example = group.example;
                    }
                }
            }
        }
        out.into_values().collect()
    }
}

impl Raw {
    /// The replies of a scope, grouped; in no order.
    pub async fn replies(&self, snapshot: &Snapshot, resolved: &Resolved, span: Span) -> Result<Vec<ReplyGroup>> {
        let kinds = [Kind::Bounced, Kind::Deferred, Kind::QueueError, Kind::RemoteBounce];
        let kinds = kinds.iter().map(|kind| lit(kind.as_str())).collect();
        let time = cast(col("event_time"), DataType::Int64);
        let part = (time - lit(span.from)) / lit(span.part);
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment))?
            .filter(col("dsn_diag").is_not_null().and(col("kind").in_list(kinds, false)))?
            .aggregate(
                vec![col("dsn_diag"), col("reply_class"), col("provider"), part.alias("part")],
                vec![
                    count(lit(1)).alias("n"),
                    min(col("event_time")).alias("first"),
                    max(col("event_time")).alias("last"),
                ],
            )?;
        let mut groups: HashMap<(String, String, String), ReplyGroup> = HashMap::new();
        for batch in frame.collect().await? {
            let diag = text_column(&batch, "dsn_diag")?;
            let (class, provider) = (text_column(&batch, "reply_class")?, text_column(&batch, "provider")?);
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            let first = column(&batch, "first")?.as_primitive::<TimestampMicrosecondType>();
            let last = column(&batch, "last")?.as_primitive::<TimestampMicrosecondType>();
            let part = column(&batch, "part")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let text = value(&diag, row);
                let (class, provider) = (value(&class, row).to_owned(), value(&provider, row).to_owned());
                let key = (crate::reply::template(text), class, provider);
                let group = groups.entry(key).or_default();
                group.n += n.value(row);
                let at = if part.is_null(row) { None } else { usize::try_from(part.value(row)).ok() };
                if let Some(rows) = at.and_then(|at| group.course.get_mut(at)) {
                    *rows += n.value(row);
                }
                group.first = group.first.map_or(Some(first.value(row)), |known| Some(known.min(first.value(row))));
                group.last = group.last.max(Some(last.value(row)));
                if group.example.is_empty() || text < group.example.as_str() {
                    text.clone_into(&mut group.example);
                }
            }
        }
        let named = |((template, class, provider), group)| ReplyGroup { template, class, provider, ..group };
        Ok(groups.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_parts_of_equal_length() {
        let day = Span::new(0, 86_400_000_000);
        assert_eq!([0, 3_599_999_999, 3_600_000_000].map(|time| day.part(time)), [Some(0), Some(0), Some(1)]);
        assert_eq!([-1, 86_399_999_999, 86_400_000_000].map(|time| day.part(time)), [None, Some(23), None]);
        // No time is left out where the parts do not come out even, and none is divided by zero.
        assert_eq!(Span::new(10, 35).part(34), Some(12));
        assert_eq!(Span::new(10, 10).part(10), Some(0));
    }

    #[test]
    fn the_pattern_of_a_group_finds_its_replies() {
        use crate::text::wildcard;
        for text in [
            "smtp;421 4.7.28 [192.0.2.1] Our system has detected an unusual rate",
            "smtp;421-4.7.28 [192.0.2.1] Our system has detected 421-4.7.28 an unusual rate. 421 4.7.28 Visit x - gsmtp",
            "smtp; 554-gmx.net (mxgmx104) Nemesis ESMTP Service not available 554-No SMTP service 554 IP is listed.",
        ] {
            let group = ReplyGroup { template: crate::reply::template(text), ..ReplyGroup::default() };
            let pattern = group.pattern().to_lowercase();
            assert!(wildcard(pattern.as_bytes(), text.to_lowercase().as_bytes()), "{pattern}");
        }
    }
}
