//! What cells add up to, by group and time.

use hashbrown::HashMap;

use crate::query::cells::GroupKey;
use crate::query::measures::{Counts, MEASURES};

/// Rows, besides the measures.
pub(super) const ROWS: usize = MEASURES;

/// Sums by group (the number of a word; [`u32::MAX`]: all) and start (a quarter of an hour since 1970, or the
/// number of a word).
#[derive(Debug, Default)]
pub struct Sums {
    slots: HashMap<(u32, i32), u32>,
    keys: Vec<(u32, i32)>,
    pub(super) counts: Vec<[i64; MEASURES + 1]>,
    /// By slot, measure and bucket: how many, their sum, the greatest.
    latency: HashMap<u64, (i64, i64, i64)>,
}

/// Where a cell of latencies is: the slot, whether it is of attempts, the bucket.
pub(super) const fn latency_key(slot: u32, attempt: bool, lat: u32) -> u64 {
    (slot as u64) << 13 | (attempt as u64) << 12 | lat as u64
}

impl Sums {
    pub(super) fn slot(&mut self, group: u32, start: i32) -> u32 {
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let slot = *self.slots.entry((group, start)).or_insert(next);
        if slot == next {
            self.keys.push((group, start));
            self.counts.push([0; MEASURES + 1]);
        }
        slot
    }

    pub(super) fn add_latency(&mut self, key: u64, n: i64, sum: i64, max: i64) {
        let cell = self.latency.entry(key).or_default();
        cell.0 += n;
        cell.1 += sum;
        cell.2 = cell.2.max(max);
    }

    /// Adds what another part of a question found.
    pub(in crate::query) fn merge(&mut self, other: Self) {
        if self.keys.is_empty() {
            *self = other;
            return;
        }
        let slots: Vec<u32> = other.keys.iter().map(|(group, start)| self.slot(*group, *start)).collect();
        for (slot, counts) in slots.iter().zip(&other.counts) {
            for (mine, others) in self.counts[*slot as usize].iter_mut().zip(counts) {
                *mine += others;
            }
        }
        for (key, (n, sum, max)) in other.latency {
            let slot = slots[usize::try_from(key >> 13).unwrap_or_default()];
            self.add_latency(u64::from(slot) << 13 | key & 0x1fff, n, sum, max);
        }
    }

    /// Groups and starts, with their rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = ((u32, i32), i64)> {
        self.keys.iter().zip(&self.counts).map(|(key, counts)| (*key, counts[ROWS]))
    }

    /// Counts by the words of their groups and the times of their buckets.
    pub(super) fn named(self, name: &dyn Fn((u32, i32)) -> GroupKey) -> HashMap<GroupKey, Counts> {
        let mut out: Vec<Counts> = self.counts.iter().map(|counts| Counts::of(counts)).collect();
        let mut latency: Vec<(u64, (i64, i64, i64))> = self.latency.into_iter().collect();
        latency.sort_unstable_by_key(|(key, _)| *key);
        for (key, (n, sum, max)) in latency {
            let counts = &mut out[usize::try_from(key >> 13).unwrap_or_default()];
            let histogram = if key & 1 << 12 == 0 { &mut counts.delivery } else { &mut counts.attempt };
            histogram.add(i32::try_from(key & 0xfff).unwrap_or_default() - 2, n, sum, max);
        }
        let mut named: HashMap<GroupKey, Counts> = HashMap::with_capacity(out.len());
        for (key, counts) in self.keys.into_iter().zip(out) {
            named.entry(name(key)).or_default().merge(&counts);
        }
        named
    }
}
