//! Where a question is answered from: whole buckets from the rollups, ragged edges and everything that
//! the rollups do not carry from raw Parquet. The parts are added up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use hashbrown::{HashMap, HashSet};

use super::Engine;
use super::cells::{CellQuery, ClassCounts, GroupKey};
use super::field::Field;
use super::measures::Counts;
use super::packs::scan::{self as packs, PackQuery, Piece, Want};
use super::packs::sums::Sums;
use super::question::Failure;
use super::raw::Resolved;
use super::replies::{FirstSeen, ReplyGroup, Span};
use super::scope::Scope;
use super::time::{DAY, HOUR};
use crate::catalog::control::{Link, Segment};
use crate::catalog::rollup::{COUNT_BUCKET, LATENCY_BUCKET, LATENCY_DIMENSIONS};
use crate::catalog::{Snapshot, pack};
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

/// What answers a question: packs, and ranges of time for which there are none.
#[derive(Debug, Default)]
struct Sources {
    pieces: Vec<Piece>,
    rest: Vec<Part>,
}

/// Packs that are added up before a question can be dropped.
const AT_ONCE: usize = 32;

impl Plan<'_> {
    fn split(&self) -> packs::Split {
        match self.bucket {
            None => packs::Split::None,
            Some(width) => packs::Split::Quarters(i32::try_from(width / COUNT_BUCKET).unwrap_or(i32::MAX).max(1)),
        }
    }
}

impl Engine {
    /// Counts by group and bucket, with what else is needed.
    pub async fn counts(&self, plan: &Plan<'_>, needs: Needs) -> Result<HashMap<GroupKey, Counts>, Failure> {
        let sources = self.sources(plan)?;
        let query = self.pack_query(plan, plan.split());
        let want = Want { counts: true, latency: needs.latency };
        let mut sums = self.packs.named(self.packed(&sources.pieces, &query, want).await?, query.split);
        for part in &sources.rest {
            let resolved = plan.resolved.between(part.from, part.until);
            let plan = Plan { resolved: &resolved, ..plan.clone() };
            merge(&mut sums, self.count_part(&plan).await?);
            if needs.latency {
                merge(&mut sums, self.latency_part(&plan).await?);
            }
        }
        if needs.deferred {
            let mut more = HashMap::new();
            for part in &sources.rest {
                let resolved = plan.resolved.between(part.from, part.until);
                let found = self.raw.deferred(plan.snapshot, &resolved, plan.group, plan.bucket).await;
                for (key, hashes) in found.map_err(Failure::from_engine)? {
                    more.entry(key).or_insert_with(HashSet::new).extend(hashes);
                }
            }
            let deferred = self.packs.deferred(&sources.pieces, &query, &more).map_err(Failure::from_catalog)?;
            for counts in sums.values_mut() {
                counts.deferred = Some(0);
            }
            for (key, n) in deferred {
                sums.entry(key).or_default().deferred = Some(n);
            }
        }
        Ok(sums)
    }

    /// What packs add up to; between some of them the question can be dropped.
    async fn packed(&self, pieces: &[Piece], query: &PackQuery<'_>, want: Want) -> Result<Sums, Failure> {
        let mut parts = [Sums::default(), Sums::default()];
        for pieces in pieces.chunks(AT_ONCE) {
            self.packs.add_up(pieces, query, want, &mut parts).map_err(Failure::from_catalog)?;
            tokio::task::yield_now().await;
        }
        Ok(joined(parts))
    }

    /// The counts of packs, at once.
    fn packed_now(&self, pieces: &[Piece], query: &PackQuery<'_>) -> Result<Sums, Failure> {
        let mut parts = [Sums::default(), Sums::default()];
        let want = Want { counts: true, latency: false };
        self.packs.add_up(pieces, query, want, &mut parts).map_err(Failure::from_catalog)?;
        Ok(joined(parts))
    }

    /// Counts at once, of what packs and rollups hold: for questions about whole columns.
    pub(super) fn count_now(&self, plan: &Plan<'_>) -> Result<HashMap<GroupKey, Counts>, Failure> {
        let sources = self.sources(plan)?;
        let query = self.pack_query(plan, plan.split());
        let mut sums = self.packs.named(self.packed_now(&sources.pieces, &query)?, query.split);
        for part in sources.rest {
            let found = self.cells.counts(plan.snapshot, &plan.cells(part), &|provider| self.is_fbl(provider));
            merge(&mut sums, found.map_err(Failure::from_catalog)?);
        }
        Ok(sums)
    }

    /// Values of the group that contain a text: those that begin with it first, then by rows.
    pub(super) fn values_now(&self, plan: &Plan<'_>, text: &str, most: usize) -> Result<Vec<(String, u64)>, Failure> {
        let sources = self.sources(plan)?;
        let query = self.pack_query(plan, packs::Split::None);
        let mut sums = self.packs.values(&self.packed_now(&sources.pieces, &query)?);
        for part in sources.rest {
            let found = self.cells.values(plan.snapshot, &plan.cells(part)).map_err(Failure::from_catalog)?;
            for (value, n) in found {
                *sums.entry(value).or_default() += n;
            }
        }
        let text = text.to_lowercase();
        let mut found: Vec<(String, u64)> = sums
            .into_iter()
            .filter(|(word, n)| *n > 0 && !word.is_empty() && word.to_lowercase().contains(&text))
            .map(|(word, n)| (word.as_ref().to_owned(), n.unsigned_abs()))
            .collect();
        found.sort_by(|a, b| {
            let starts = |word: &str| !word.to_lowercase().starts_with(&text);
            (starts(&a.0), std::cmp::Reverse(a.1), &a.0).cmp(&(starts(&b.0), std::cmp::Reverse(b.1), &b.0))
        });
        found.truncate(most);
        Ok(found)
    }

    /// Rows with a reply class, by value of a field and class.
    pub async fn classes(&self, snapshot: &Snapshot, resolved: &Resolved, by: Field) -> Result<ClassCounts, Failure> {
        let plan = Plan { snapshot, resolved, group: Some(by), bucket: None };
        let sources = self.sources(&plan)?;
        let query = self.pack_query(&plan, packs::Split::Class);
        let want = Want { counts: true, latency: false };
        let mut sums = self.packs.classes(&self.packed(&sources.pieces, &query, want).await?);
        for part in sources.rest {
            let resolved = resolved.between(part.from, part.until);
            let plan = Plan { resolved: &resolved, ..plan.clone() };
            let split = plan.count_split();
            if let Some(part) = split.buckets {
                let found = self.cells().classes(snapshot, &plan.cells(part)).map_err(Failure::from_catalog)?;
                for (key, n) in found {
                    *sums.entry(key).or_default() += n;
                }
            }
            for edge in split.edges {
                let resolved = resolved.between(edge.from, edge.until);
                for (key, n) in self.raw().classes(snapshot, &resolved, by).await.map_err(Failure::from_engine)? {
                    *sums.entry(key).or_insert(0) += n;
                }
            }
        }
        Ok(sums)
    }

    /// The replies of a scope, grouped; in no order.
    pub async fn replies(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Vec<ReplyGroup>, Failure> {
        let plan = Plan { snapshot, resolved, group: None, bucket: None };
        let (oldest, newest) = snapshot.bounds().unzip();
        let until = resolved.until.or(newest.map(|newest| newest + 1)).unwrap_or_default();
        let span = Span::new(resolved.from.or(oldest).unwrap_or_default(), until);
        let sources = self.sources(&plan)?;
        let query = self.pack_query(&plan, packs::Split::None);
        let mut found = self.packs.replies(&sources.pieces, &query, span).map_err(Failure::from_catalog)?;
        if found.iter().any(|group| group.example.is_empty()) {
            // A group whose rows were all passed over for others: rare, and asked of the rows themselves.
            return self.raw.replies(snapshot, resolved, span).await.map_err(Failure::from_engine);
        }
        for part in sources.rest {
            let resolved = resolved.between(part.from, part.until);
            found.extend(self.raw.replies(snapshot, &resolved, span).await.map_err(Failure::from_engine)?);
        }
        Ok(ReplyGroup::joined(found))
    }

    /// When each reply was first seen in the whole catalog, by its identity. Packs know; `None` while some are
    /// still to be built, since rows are not read for this.
    pub fn first_replies(&self, snapshot: &Snapshot) -> Result<Option<Arc<FirstSeen>>, Failure> {
        let lock = || self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = lock().as_ref().filter(|(generation, _)| *generation == snapshot.generation) {
            return Ok(Some(Arc::clone(known)));
        }
        let resolved = self.resolve(snapshot, &Scope::default(), None)?;
        let mut loaded = Vec::new();
        let mut fresh = 0;
        for segment in snapshot.segments.iter().filter(|segment| resolved.admits(segment) && resolved.holds(segment)) {
            let pack = match self.packs.find(&snapshot.root, segment) {
                Some(pack) => Some(pack),
                None if fresh + segment.rows <= pack::FRESH_ROWS => {
                    fresh += segment.rows;
                    self.packs.build(&snapshot.root, segment).map_err(Failure::from_catalog)?
                }
                None => None,
            };
            let Some(pack) = pack else { return Ok(None) };
            loaded.push((segment.path.as_str(), pack));
        }
        let found = Arc::new(self.packs.first_replies(&loaded).map_err(Failure::from_catalog)?);
        self.visit.saw(found.keys().copied().collect());
        *lock() = Some((snapshot.generation, Arc::clone(&found)));
        Ok(Some(found))
    }

    fn pack_query<'q>(&'q self, plan: &Plan<'q>, split: packs::Split) -> PackQuery<'q> {
        PackQuery { scope: &plan.resolved.scope, group: plan.group, split, fbl: &self.fbl_providers }
    }

    /// The ranges of a question that packs do not answer; packs are not built for this.
    pub(super) fn without_packs(&self, plan: &Plan<'_>) -> Vec<(Option<Micros>, Option<Micros>)> {
        let whole = vec![(plan.resolved.from, plan.resolved.until)];
        if !plan.counts_in_rollup() {
            return whole;
        }
        let root = &plan.snapshot.root;
        let mut dates = BTreeMap::new();
        for segment in &plan.snapshot.segments {
            if let Some(date) = segment.date
                && plan.resolved.admits(segment)
                && plan.resolved.overlaps(segment)
            {
                *dates.entry(date).or_insert(true) &= self.packs.find(root, segment).is_some();
            }
        }
        let packed: Vec<i32> = dates.into_iter().filter(|(_, packed)| *packed).map(|(date, _)| date).collect();
        if packed.is_empty() { whole } else { gaps(plan, &packed).iter().map(|gap| (gap.from, gap.until)).collect() }
    }

    /// What answers a question. Days of which each segment has a pack are answered from packs; for few rows
    /// one is built on the way.
    fn sources(&self, plan: &Plan<'_>) -> Result<Sources, Failure> {
        let resolved = plan.resolved;
        let whole = Part { from: resolved.from, until: resolved.until };
        if !plan.counts_in_rollup() {
            return Ok(Sources { pieces: Vec::new(), rest: vec![whole] });
        }
        let mut days: BTreeMap<Option<i32>, Vec<&Segment>> = BTreeMap::new();
        for segment in &plan.snapshot.segments {
            if resolved.admits(segment) && resolved.overlaps(segment) {
                days.entry(segment.date).or_default().push(segment);
            }
        }
        let mut fresh = 0;
        let mut packed: BTreeMap<Option<i32>, Vec<Piece>> = BTreeMap::new();
        for (date, segments) in days.iter().rev() {
            if let Some(pieces) = self.pieces(plan, segments, &mut fresh)? {
                packed.insert(*date, pieces);
            }
        }
        // Rows without a time belong to no range: they are all in packs or all in rollups.
        if days.contains_key(&None) && !packed.contains_key(&None) {
            return Ok(Sources { pieces: Vec::new(), rest: vec![whole] });
        }
        let dates: Vec<i32> = packed.keys().filter_map(|date| *date).collect();
        if dates.is_empty() {
            return Ok(Sources { pieces: Vec::new(), rest: vec![whole] });
        }
        Ok(Sources { pieces: packed.into_values().flatten().collect(), rest: gaps(plan, &dates) })
    }

    /// The packs of every day that has rows in the range; missing ones are built now.
    pub(super) fn all_pieces(&self, plan: &Plan<'_>) -> Result<Vec<Piece>, Failure> {
        let mut days: BTreeMap<Option<i32>, Vec<&Segment>> = BTreeMap::new();
        let inside =
            |segment: &&Segment| plan.resolved.admits(segment) && plan.resolved.overlaps(segment) && segment.rows > 0;
        for segment in plan.snapshot.segments.iter().filter(inside) {
            days.entry(segment.date).or_default().push(segment);
        }
        let mut pieces = Vec::new();
        for segments in days.values() {
            // However many rows are missing.
            let mut fresh = i64::MIN / 2;
            pieces.extend(self.pieces(plan, segments, &mut fresh)?.unwrap_or_default());
        }
        Ok(pieces)
    }

    /// The packs of a day's segments; `None` if one is missing that would take long to build.
    fn pieces(&self, plan: &Plan<'_>, segments: &[&Segment], fresh: &mut i64) -> Result<Option<Vec<Piece>>, Failure> {
        let root = &plan.snapshot.root;
        let (from, until) = (plan.resolved.from, plan.resolved.until);
        let mut found = Vec::new();
        let mut missing = 0;
        for segment in segments {
            let pack = self.packs.find(root, segment);
            if pack.is_none() {
                missing += segment.rows;
            }
            found.push(pack);
        }
        if *fresh + missing > pack::FRESH_ROWS && segments.iter().all(|segment| segment.date.is_some()) {
            return Ok(None);
        }
        *fresh += missing;
        let mut pieces = Vec::new();
        for (segment, pack) in segments.iter().zip(found) {
            let pack = match pack {
                Some(pack) => Some(pack),
                None => self.packs.build(root, segment).map_err(Failure::from_catalog)?,
            };
            let Some(pack) = pack else { return Ok(None) };
            // A role filter shows copies that are events among those roles alone.
            let hidden = !plan.resolved.holds(segment);
            let attributed = segment.link == Link::Attributed;
            let piece = |pack, quarters, rows| Piece::new(pack, segment.date, (hidden, attributed), quarters, rows);
            let inside = match (segment.min_time, segment.max_time) {
                (Some(min), Some(max)) => from.is_none_or(|from| from <= min) && until.is_none_or(|until| max < until),
                _ => true,
            };
            let Some(day) = segment.date.map(|date| Micros::from(date) * DAY).filter(|_| !inside) else {
                pieces.push(piece(pack, None, segment.rows));
                continue;
            };
            let (first, last) = (from.unwrap_or(day).max(day), until.unwrap_or(day + DAY).min(day + DAY));
            let quarter = |time: Micros| usize::try_from((time - day).div_euclid(COUNT_BUCKET)).unwrap_or_default();
            let ragged = |time: Micros| (time - day).rem_euclid(COUNT_BUCKET) != 0;
            let (begin, end) = (quarter(first) + usize::from(ragged(first)), quarter(last));
            let mut edge = |from: Micros, until: Micros| -> Result<bool, Failure> {
                let Some(pack) =
                    self.packs.edge(root, segment, Some(from), Some(until)).map_err(Failure::from_catalog)?
                else {
                    return Ok(false);
                };
                pieces.push(piece(pack, None, 0));
                Ok(true)
            };
            let at = |quarter: usize| day + Micros::try_from(quarter).unwrap_or_default() * COUNT_BUCKET;
            let edges: &[(Micros, Micros)] =
                if begin > end { &[(first, last)] } else { &[(first, at(begin)), (at(end), last)] };
            for (from, until) in edges {
                let reached =
                    segment.min_time.is_none_or(|min| min < *until) && segment.max_time.is_none_or(|max| *from <= max);
                if from < until && reached && !edge(*from, *until)? {
                    return Ok(None);
                }
            }
            if begin < end {
                let share = i64::try_from(end - begin).unwrap_or_default();
                pieces.push(piece(pack, Some((begin, end)), segment.rows * share / 96));
            }
        }
        Ok(Some(pieces))
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

fn joined(parts: [Sums; 2]) -> Sums {
    let [mut sums, others] = parts;
    sums.merge(others);
    sums
}

/// The ranges between days that are answered from packs, as far as anything is in them.
fn gaps(plan: &Plan<'_>, packed: &[i32]) -> Vec<Part> {
    let (from, until) = (plan.resolved.from, plan.resolved.until);
    let start = |date: i32| Micros::from(date) * DAY;
    let mut gaps = Vec::new();
    let mut begin = from;
    for date in packed {
        if begin.is_none_or(|begin| begin < start(*date)) {
            gaps.push(Part { from: begin, until: Some(start(*date)) });
        }
        begin = Some(begin.map_or(start(*date) + DAY, |begin| begin.max(start(*date) + DAY)));
    }
    if until.is_none_or(|until| begin.is_none_or(|begin| begin < until)) {
        gaps.push(Part { from: begin, until });
    }
    let dates: BTreeSet<i32> = plan
        .snapshot
        .segments
        .iter()
        .map(|segment| segment.date)
        .chain(plan.snapshot.rollups.iter().map(|rollup| rollup.date))
        .flatten()
        .collect();
    gaps.retain(|gap| {
        let (first, last) = days(gap.from, gap.until);
        first <= last && dates.range(first..=last).any(|date| packed.binary_search(date).is_err())
    });
    gaps
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
