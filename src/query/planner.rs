//! Where a question is answered from: whole buckets from the rollups, ragged edges and everything that
//! the rollups do not carry from raw Parquet. The parts are added up.

use hashbrown::HashMap;

use super::Engine;
use super::cells::{CellQuery, ClassCounts, GroupKey};
use super::field::Field;
use super::measures::Counts;
use super::question::Failure;
use super::raw::Resolved;
use super::time::{DAY, HOUR};
use crate::catalog::Snapshot;
use crate::catalog::rollup::{COUNT_BUCKET, LATENCY_BUCKET, LATENCY_DIMENSIONS};
use crate::event::Micros;

/// A range of time that one source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From (inclusive).
    pub from: Option<Micros>,
    /// Until (exclusive).
    pub until: Option<Micros>,
}

/// How a range is split between rollups (whole buckets) and raw rows (the edges).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Whole buckets.
    pub buckets: Option<Part>,
    /// What is left before and after them.
    pub edges: Vec<Part>,
}

/// Splits a range. `oldest` and `newest` are the bounds of all events: a range that reaches beyond them
/// has no edge there.
pub fn split(from: Option<Micros>, until: Option<Micros>, width: Micros, bounds: Option<(Micros, Micros)>) -> Split {
    let Some((oldest, newest)) = bounds else {
        return Split { buckets: Some(Part { from, until }), edges: Vec::new() };
    };
    let up = |time: Micros| time.div_euclid(width) * width + if time.rem_euclid(width) == 0 { 0 } else { width };
    let down = |time: Micros| time.div_euclid(width) * width;
    // A bound beyond all events may be moved to the edge of its bucket.
    let (first, first_edge) = match from {
        None => (None, None),
        Some(from) if from <= oldest => (Some(down(from)), None),
        Some(from) => (Some(up(from)), (up(from) != from).then_some(from)),
    };
    let (last, last_edge) = match until {
        None => (None, None),
        Some(until) if until > newest => (Some(up(until)), None),
        Some(until) => (Some(down(until)), (down(until) != until).then_some(until)),
    };
    if let (Some(first), Some(last)) = (first, last)
        && first >= last
    {
        return Split { buckets: None, edges: vec![Part { from, until }] };
    }
    let mut edges = Vec::new();
    if let Some(from) = first_edge {
        edges.push(Part { from: Some(from), until: first });
    }
    if let Some(until) = last_edge {
        edges.push(Part { from: last, until: Some(until) });
    }
    Split { buckets: Some(Part { from: first, until: last }), edges }
}

/// What is asked of the planner.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// What is visible.
    pub snapshot: &'a Snapshot,
    /// The scope.
    pub resolved: &'a Resolved,
    /// What makes the rows.
    pub group: Option<Field>,
    /// Width of the time buckets that make the rows.
    pub bucket: Option<Micros>,
}

/// What a question needs counted, besides counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Latency histograms.
    pub latency: bool,
    /// Distinct deferred messages.
    pub deferred: bool,
}

impl Plan<'_> {
    /// Whether rollups of counts carry every field of the question.
    fn counts_in_rollup(&self) -> bool {
        self.resolved.files.is_none()
            && self.group.is_none_or(Field::in_rollup)
            && self.group != Some(Field::Status)
            && self.bucket.is_none_or(|width| width % COUNT_BUCKET == 0)
            && self.resolved.scope.filters().iter().all(|filter| filter.field.in_rollup())
    }

    fn count_split(&self) -> Split {
        let (from, until) = (self.resolved.from, self.resolved.until);
        if self.counts_in_rollup() {
            split(from, until, COUNT_BUCKET, self.snapshot.bounds())
        } else {
            Split { buckets: None, edges: vec![Part { from, until }] }
        }
    }

    /// The latency dimension that carries the question, if one does.
    fn latency_dimension(&self) -> Option<&'static str> {
        if self.resolved.files.is_some() || self.bucket.is_some_and(|width| width % LATENCY_BUCKET != 0) {
            return None;
        }
        let mut dimensions: Vec<Field> = self
            .resolved
            .scope
            .filters()
            .iter()
            .map(|filter| filter.field)
            .filter(|field| *field != Field::Type)
            .chain(self.group)
            .collect();
        dimensions.sort_unstable();
        dimensions.dedup();
        let wanted = match dimensions.as_slice() {
            [] => "",
            [field] => field.column_name(),
            _ => return None,
        };
        LATENCY_DIMENSIONS.iter().copied().find(|name| *name == wanted)
    }

    fn cells<'q>(&'q self, part: Part) -> CellQuery<'q> {
        CellQuery {
            scope: &self.resolved.scope,
            from: part.from,
            until: part.until,
            group: self.group,
            bucket: self.bucket,
            roles: self.resolved.roles,
        }
    }
}

impl Engine {
    /// Counts by group and bucket, with what else is needed.
    pub async fn counts(&self, plan: &Plan<'_>, needs: Needs) -> Result<HashMap<GroupKey, Counts>, Failure> {
        let latency = async { if needs.latency { self.latency_part(plan).await } else { Ok(HashMap::new()) } };
        let deferred = async {
            if needs.deferred {
                self.raw
                    .deferred(plan.snapshot, plan.resolved, plan.group, plan.bucket)
                    .await
                    .map_err(Failure::from_engine)
            } else {
                Ok(HashMap::new())
            }
        };
        let (counts, latency, deferred) = tokio::join!(self.count_part(plan), latency, deferred);
        let mut sums = counts?;
        for (key, part) in latency? {
            sums.entry(key).or_default().merge(&part);
        }
        let deferred = deferred?;
        if needs.deferred {
            for counts in sums.values_mut() {
                counts.deferred = Some(0);
            }
        }
        for (key, n) in deferred {
            sums.entry(key).or_default().deferred = Some(n);
        }
        Ok(sums)
    }

    /// Rows with a reply class, by value of a field and class.
    pub async fn classes(&self, snapshot: &Snapshot, resolved: &Resolved, by: Field) -> Result<ClassCounts, Failure> {
        let plan = Plan { snapshot, resolved, group: Some(by), bucket: None };
        let split = plan.count_split();
        let mut sums = match split.buckets {
            Some(part) => self.cells().classes(snapshot, &plan.cells(part)).map_err(Failure::from_catalog)?,
            None => HashMap::new(),
        };
        for edge in split.edges {
            let resolved = resolved.between(edge.from, edge.until);
            for (key, n) in self.raw().classes(snapshot, &resolved, by).await.map_err(Failure::from_engine)? {
                *sums.entry(key).or_insert(0) += n;
            }
        }
        Ok(sums)
    }

    async fn count_part(&self, plan: &Plan<'_>) -> Result<HashMap<GroupKey, Counts>, Failure> {
        let resolved = plan.resolved;
        let split = plan.count_split();
        let mut sums = match split.buckets {
            Some(part) => self
                .cells
                .counts(plan.snapshot, &plan.cells(part), &|provider| self.is_fbl(provider))
                .map_err(Failure::from_catalog)?,
            None => HashMap::new(),
        };
        for edge in split.edges {
            let resolved = resolved.between(edge.from, edge.until);
            let part = self.raw.counts(plan.snapshot, &resolved, plan.group, plan.bucket, &self.fbl_providers).await;
            merge(&mut sums, part.map_err(Failure::from_engine)?);
        }
        Ok(sums)
    }

    async fn latency_part(&self, plan: &Plan<'_>) -> Result<HashMap<GroupKey, Counts>, Failure> {
        let resolved = plan.resolved;
        let dimension = plan.latency_dimension();
        let split = match dimension {
            Some(_) => split(resolved.from, resolved.until, LATENCY_BUCKET, plan.snapshot.bounds()),
            None => Split { buckets: None, edges: vec![Part { from: resolved.from, until: resolved.until }] },
        };
        let mut sums = match (split.buckets, dimension) {
            (Some(part), Some(dimension)) => {
                self.cells.latency(plan.snapshot, &plan.cells(part), dimension).map_err(Failure::from_catalog)?
            }
            _ => HashMap::new(),
        };
        for edge in split.edges {
            let resolved = resolved.between(edge.from, edge.until);
            let part = self.raw.latency(plan.snapshot, &resolved, plan.group, plan.bucket).await;
            merge(&mut sums, part.map_err(Failure::from_engine)?);
        }
        Ok(sums)
    }
}

fn merge(sums: &mut HashMap<GroupKey, Counts>, part: HashMap<GroupKey, Counts>) {
    for (key, counts) in part {
        sums.entry(key).or_default().merge(&counts);
    }
}

/// The days (since 1970) that a range touches.
pub fn days(from: Option<Micros>, until: Option<Micros>) -> (i32, i32) {
    let day = |time: Micros| i32::try_from(time.div_euclid(DAY)).unwrap_or(i32::MAX);
    (from.map_or(i32::MIN, day), until.map_or(i32::MAX, |until| day(until - 1)))
}

/// Only whole hours may be asked of latency rollups.
const _: () = assert!(LATENCY_BUCKET == HOUR);

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Option<(Micros, Micros)> = Some((1000, 9000));

    #[test]
    fn whole_buckets_need_no_raw_rows() {
        let found = split(Some(2000), Some(4000), 1000, BOUNDS);
        assert_eq!(found, Split { buckets: Some(Part { from: Some(2000), until: Some(4000) }), edges: vec![] });
    }

    #[test]
    fn ragged_edges_are_answered_from_raw_rows() {
        let found = split(Some(2500), Some(4500), 1000, BOUNDS);
        assert_eq!(found.buckets, Some(Part { from: Some(3000), until: Some(4000) }));
        assert_eq!(
            found.edges,
            [Part { from: Some(2500), until: Some(3000) }, Part { from: Some(4000), until: Some(4500) }]
        );
    }

    #[test]
    fn a_range_within_one_bucket_is_raw() {
        let found = split(Some(2100), Some(2200), 1000, BOUNDS);
        assert_eq!(found, Split { buckets: None, edges: vec![Part { from: Some(2100), until: Some(2200) }] });
    }

    #[test]
    fn a_range_that_ends_behind_the_newest_event_has_no_edge_there() {
        let found = split(Some(3000), Some(9001), 1000, BOUNDS);
        assert_eq!(found, Split { buckets: Some(Part { from: Some(3000), until: Some(10_000) }), edges: vec![] });
    }
}
