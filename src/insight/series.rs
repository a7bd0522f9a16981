//! What rules look at: for each signal and each set of fields, who had how many hits of how many rows in each quarter of
//! an hour. Kept by day, so that a commit changes only the days it touched.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::rule::Rule;
use super::signal::Signal;
use crate::catalog::Snapshot;
use crate::catalog::rollup::DIMENSIONS;
use crate::event::{Kind, Micros};
use crate::query::Engine;
use crate::query::field::Field;
use crate::query::joint::{Cell, FailedRow, Wish, dimension};
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::time::DAY;

/// Quarters of an hour in a day.
pub const QUARTERS: i32 = 96;
/// A quarter of an hour.
pub const QUARTER: Micros = DAY / 96;
/// The latency buckets that series keep are so many of the catalog's: steps of 8 %.
const COARSE: u16 = 8;

/// The words of up to two fields; 0 where there is none.
pub type Key = [u32; 2];

/// The place of a field that rules may be about.
pub fn place(field: Field) -> Option<usize> {
    dimension(field)
}

/// What a table of series is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// What is counted.
    pub signal: Signal,
    /// Of whom.
    pub fields: Vec<Field>,
}

impl Slot {
    /// The words of a cell that make its key.
    fn key(&self, who: &[u32; DIMENSIONS.len()]) -> Key {
        let mut key = [0; 2];
        for (slot, place) in key.iter_mut().zip(self.fields.iter().filter_map(|field| place(*field))) {
            *slot = who[place];
        }
        key
    }

    fn is_of_domains(&self) -> bool {
        self.fields.contains(&Field::Domain)
    }
}

/// Hits of rows in a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// The quarter, counted since 1970.
    pub quarter: i32,
    /// Rows that speak against somebody.
    pub hits: u32,
    /// Of so many.
    pub of: u32,
}

/// Deliveries of a quarter of an hour that took alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slow {
    /// The quarter, counted since 1970.
    pub quarter: i32,
    /// How long: a coarse latency bucket.
    pub bucket: u16,
    /// How many.
    pub n: u32,
}

impl Slow {
    /// Milliseconds at the upper end of a bucket.
    pub fn ms(bucket: u16) -> f64 {
        (f64::from(bucket) * f64::from(COARSE) * crate::catalog::rollup::log_gamma()).exp()
    }
}

/// A reply that was seen on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who said it.
    pub provider: u32,
    /// When it was seen, in the order of time: at most [`SEEN`] times.
    pub times: Vec<Micros>,
}

/// Sightings of a reply that are kept for a day: enough to tell how many there were in its first hour.
const SEEN: usize = 2_000;

/// What a day says.
#[derive(Debug, Clone, Default)]
pub struct Day {
    fingerprint: u64,
    /// By slot.
    counts: Vec<HashMap<Key, Vec<Count>>>,
    /// By slot of latencies.
    slow: Vec<HashMap<Key, Vec<Slow>>>,
    /// By template.
    replies: HashMap<u32, Seen>,
}

/// The series of a catalog.
#[derive(Debug, Default)]
pub struct Series {
    slots: Vec<Slot>,
    slow_slots: Vec<Slot>,
    days: BTreeMap<i32, Day>,
}

/// Who changed since the last look.
#[derive(Debug, Default)]
pub struct Changes {
    /// Slots (counts first, then latencies) and keys.
    pub keys: HashSet<(Slot, Key)>,
    /// The days that changed.
    pub days: Vec<i32>,
}

impl Series {
    /// Series for some rules, of no day yet.
    pub fn new(rules: &[Rule]) -> Self {
        let mut series = Self::default();
        for rule in rules {
            for fields in rule.fields() {
                let slot = Slot { signal: rule.signal.counted_as(), fields };
                if rule.signal == Signal::Latency {
                    series.slow_slots.push(slot);
                } else if rule.signal.is_counted() && !series.slots.contains(&slot) {
                    series.slots.push(slot);
                }
            }
            // What is usual for all mail is asked of every signal.
            let all = Slot { signal: rule.signal.counted_as(), fields: Vec::new() };
            if rule.signal.is_counted() && !series.slots.contains(&all) {
                series.slots.push(all);
            }
        }
        series
    }

    /// Looks at what is visible now; days that are as they were are not read again.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn look(&mut self, engine: &Engine, snapshot: &Snapshot) -> Result<Changes, Failure> {
        let mut fingerprints: BTreeMap<i32, Vec<(&str, i64)>> = BTreeMap::new();
        for segment in &snapshot.segments {
            if let Some(date) = segment.date {
                fingerprints.entry(date).or_default().push((segment.path.as_str(), segment.rows));
            }
        }
        let mut changes = Changes::default();
        let gone: Vec<i32> = self.days.keys().copied().filter(|date| !fingerprints.contains_key(date)).collect();
        for date in gone {
            if let Some(day) = self.days.remove(&date) {
                self.differ(&day, &Day::default(), &mut changes);
                changes.days.push(date);
            }
        }
        for (date, mut segments) in fingerprints {
            segments.sort_unstable();
            let fingerprint = fingerprint(&segments);
            if self.days.get(&date).is_some_and(|day| day.fingerprint == fingerprint) {
                continue;
            }
            let day = self.read(engine, snapshot, date, fingerprint)?;
            let before = self.days.remove(&date).unwrap_or_default();
            self.differ(&before, &day, &mut changes);
            self.days.insert(date, day);
            changes.days.push(date);
        }
        changes.days.sort_unstable();
        Ok(changes)
    }

    /// Who is not the same on two states of a day.
    fn differ(&self, before: &Day, after: &Day, changes: &mut Changes) {
        for (index, slot) in self.slots.iter().enumerate() {
            let none = HashMap::new();
            let (old, new) = (before.counts.get(index).unwrap_or(&none), after.counts.get(index).unwrap_or(&none));
            let differs = |key: &&Key| old.get(*key) != new.get(*key);
            changes.keys.extend(old.keys().chain(new.keys()).filter(differs).map(|key| (slot.clone(), *key)));
        }
        for (index, slot) in self.slow_slots.iter().enumerate() {
            let none = HashMap::new();
            let (old, new) = (before.slow.get(index).unwrap_or(&none), after.slow.get(index).unwrap_or(&none));
            let differs = |key: &&Key| old.get(*key) != new.get(*key);
            changes.keys.extend(old.keys().chain(new.keys()).filter(differs).map(|key| (slot.clone(), *key)));
        }
    }

    fn read(&self, engine: &Engine, snapshot: &Snapshot, date: i32, fingerprint: u64) -> Result<Day, Failure> {
        let begin = Micros::from(date) * DAY;
        let whole = engine.resolve(snapshot, &Scope::default(), None)?.between(Some(begin), Some(begin + DAY));
        let domain = 1 << place(Field::Domain).unwrap_or_default();
        let mut day = Day { fingerprint, ..Day::default() };
        let cells = engine.joint(snapshot, &whole, Wish { dimensions: !domain, quarters: true, latency: false })?.cells;
        let by_domain = if self.slots.iter().any(Slot::is_of_domains) {
            engine.joint(snapshot, &whole, Wish { dimensions: domain, quarters: true, latency: false })?.cells
        } else {
            Vec::new()
        };
        let fbl = Covered::new(engine, &cells);
        day.counts = self
            .slots
            .iter()
            .map(|slot| if slot.is_of_domains() { failing(slot, &by_domain) } else { folded(slot, &cells, &fbl) })
            .collect();
        if !self.slow_slots.is_empty() {
            let mut dimensions = 0;
            for place in self.slow_slots.iter().flat_map(|slot| &slot.fields).filter_map(|field| place(*field)) {
                dimensions |= 1 << place;
            }
            let cells = engine.joint(snapshot, &whole, Wish { dimensions, quarters: true, latency: true })?.cells;
            day.slow = self.slow_slots.iter().map(|slot| slow(slot, &cells)).collect();
        }
        day.replies = replies(&engine.failed_rows(snapshot, &whole)?);
        Ok(day)
    }

    /// The first and the last day.
    pub fn bounds(&self) -> Option<(i32, i32)> {
        Some((*self.days.first_key_value()?.0, *self.days.last_key_value()?.0))
    }

    /// The days.
    pub fn dates(&self) -> impl Iterator<Item = i32> + '_ {
        self.days.keys().copied()
    }

    /// The tables of counts.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The counts of somebody, in the order of time.
    pub fn counts(&self, slot: &Slot, key: Key) -> Vec<Count> {
        let Some(index) = self.slots.iter().position(|known| known == slot) else { return Vec::new() };
        let of_day = |day: &Day| day.counts.get(index).and_then(|keys| keys.get(&key)).cloned().unwrap_or_default();
        self.days.values().flat_map(of_day).collect()
    }

    /// Everybody in a table.
    pub fn keys(&self, slot: &Slot) -> HashSet<Key> {
        if let Some(index) = self.slots.iter().position(|known| known == slot) {
            return self
                .days
                .values()
                .filter_map(|day| day.counts.get(index))
                .flat_map(HashMap::keys)
                .copied()
                .collect();
        }
        let Some(index) = self.slow_slots.iter().position(|known| known == slot) else { return HashSet::new() };
        self.days.values().filter_map(|day| day.slow.get(index)).flat_map(HashMap::keys).copied().collect()
    }

    /// The latencies of somebody, in the order of time.
    pub fn latencies(&self, slot: &Slot, key: Key) -> Vec<Slow> {
        let Some(index) = self.slow_slots.iter().position(|known| known == slot) else { return Vec::new() };
        let of_day = |day: &Day| day.slow.get(index).and_then(|keys| keys.get(&key)).cloned().unwrap_or_default();
        self.days.values().flat_map(of_day).collect()
    }

    /// The days on which a reply was seen that was not seen in so many days before, with what was seen of it then; in the
    /// order of time.
    pub fn first_seen(&self, days: i32) -> Vec<(u32, i32, &Seen)> {
        let mut last: HashMap<u32, i32> = HashMap::new();
        let mut first = Vec::new();
        for (date, day) in &self.days {
            for (template, seen) in &day.replies {
                if last.insert(*template, *date).is_none_or(|known| date.saturating_sub(known) > days) {
                    first.push((*template, *date, seen));
                }
            }
        }
        first
    }

    /// The sightings of a reply on a day.
    pub fn seen(&self, date: i32, template: u32) -> Option<&Seen> {
        self.days.get(&date)?.replies.get(&template)
    }
}

fn fingerprint(segments: &[(&str, i64)]) -> u64 {
    let mut text = Vec::new();
    for (path, rows) in segments {
        text.extend_from_slice(path.as_bytes());
        text.push(0);
        text.extend_from_slice(&rows.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&text)
}

/// Which providers send complaint reports.
struct Covered {
    providers: HashSet<u32>,
}

impl Covered {
    fn new(engine: &Engine, cells: &[Cell]) -> Self {
        let at = place(Field::Provider).unwrap_or_default();
        let mut known: HashMap<u32, bool> = HashMap::new();
        for cell in cells {
            known.entry(cell.who[at]).or_insert_with_key(|word| engine.is_fbl(&engine.word(*word)));
        }
        Self { providers: known.into_iter().filter(|(_, fbl)| *fbl).map(|(word, _)| word).collect() }
    }

    fn is_of(&self, signal: Signal, cell: &Cell) -> bool {
        let at = place(Field::Provider).unwrap_or_default();
        signal.is_of(cell.what) && (signal != Signal::Complaint || self.providers.contains(&cell.who[at]))
    }
}

fn folded(slot: &Slot, cells: &[Cell], fbl: &Covered) -> HashMap<Key, Vec<Count>> {
    let mut sums: HashMap<(Key, i32), (i64, i64)> = HashMap::new();
    for cell in cells {
        let (hit, of) = (slot.signal.is_hit(cell.what), fbl.is_of(slot.signal, cell));
        if !hit && !of {
            continue;
        }
        let sum = sums.entry((slot.key(&cell.who), cell.quarter)).or_default();
        sum.0 += if hit { cell.n } else { 0 };
        sum.1 += if of { cell.n } else { 0 };
    }
    by_key(sums)
}

/// Series of domains: of those only that fail on this day, since most domains have a row or two a day.
fn failing(slot: &Slot, cells: &[Cell]) -> HashMap<Key, Vec<Count>> {
    let failing: HashSet<Key> =
        cells.iter().filter(|cell| slot.signal.is_hit(cell.what)).map(|cell| slot.key(&cell.who)).collect();
    let mut sums: HashMap<(Key, i32), (i64, i64)> = HashMap::new();
    for cell in cells.iter().filter(|cell| failing.contains(&slot.key(&cell.who))) {
        if slot.signal.is_of(cell.what) {
            let sum = sums.entry((slot.key(&cell.who), cell.quarter)).or_default();
            sum.0 += if slot.signal.is_hit(cell.what) { cell.n } else { 0 };
            sum.1 += cell.n;
        }
    }
    by_key(sums)
}

fn by_key(sums: HashMap<(Key, i32), (i64, i64)>) -> HashMap<Key, Vec<Count>> {
    let small = |n: i64| u32::try_from(n).unwrap_or(if n < 0 { 0 } else { u32::MAX });
    let mut keys: HashMap<Key, Vec<Count>> = HashMap::new();
    for ((key, quarter), (hits, of)) in sums {
        keys.entry(key).or_default().push(Count { quarter, hits: small(hits), of: small(of) });
    }
    keys.values_mut().for_each(|counts| counts.sort_unstable_by_key(|count| count.quarter));
    keys
}

fn slow(slot: &Slot, cells: &[Cell]) -> HashMap<Key, Vec<Slow>> {
    let mut sums: HashMap<(Key, i32, u16), i64> = HashMap::new();
    for cell in cells.iter().filter(|cell| cell.what.kind == Kind::Delivered && cell.latency > 0) {
        // Buckets below zero (no time at all) are the lowest.
        let bucket = cell.latency.saturating_sub(2).div_ceil(COARSE);
        *sums.entry((slot.key(&cell.who), cell.quarter, bucket)).or_default() += cell.n;
    }
    let mut keys: HashMap<Key, Vec<Slow>> = HashMap::new();
    for ((key, quarter, bucket), n) in sums {
        keys.entry(key).or_default().push(Slow { quarter, bucket, n: u32::try_from(n).unwrap_or_default() });
    }
    keys.values_mut().for_each(|slow| slow.sort_unstable());
    keys
}

fn replies(rows: &[FailedRow]) -> HashMap<u32, Seen> {
    let at = place(Field::Provider).unwrap_or_default();
    let mut rows: Vec<&FailedRow> = rows.iter().filter(|row| row.template != 0).collect();
    rows.sort_unstable_by_key(|row| row.time);
    let mut seen: HashMap<u32, Seen> = HashMap::new();
    for row in rows {
        let known = seen.entry(row.template).or_insert_with(|| Seen { provider: row.who[at], times: Vec::new() });
        if known.times.len() < SEEN {
            known.times.push(row.time);
        }
    }
    seen
}
