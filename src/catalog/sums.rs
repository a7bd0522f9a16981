//! Cells while they are added up. Rows come roughly in order of time, and so do the cells that they touch: only
//! those of late are looked for, in a table small enough for the nearest cache. A cell that comes again after it
//! was forgotten there stands twice, which is put right when the cells are sorted.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Cells that are looked for: as many as fill a table of 8,192 places.
const LATE: usize = 7168;
/// Cells from which on those that stand twice are looked for.
const MANY: usize = 1 << 18;

/// What a cell holds.
pub(super) trait Sum: Copy + Default {
    /// Adds what another cell of the same key holds.
    fn add(&mut self, more: Self);
}

impl Sum for i64 {
    fn add(&mut self, more: Self) {
        *self += more;
    }
}

/// What a cell is of: three ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) [u32; 3]);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[0]) << 32 | u64::from(self.0[1]));
        state.write_u32(self.0[2]);
    }
}

/// Cells in the order in which they were met.
#[derive(Debug)]
pub(super) struct Sums<V> {
    hasher: DefaultHashBuilder,
    late: HashTable<u32>,
    cells: Vec<(Key, V)>,
    /// Cells at which those that stand twice are looked for.
    most: usize,
}

impl<V> Default for Sums<V> {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), late: HashTable::new(), cells: Vec::new(), most: MANY }
    }
}

impl<V: Sum> Sums<V> {
    /// Adds to a cell.
    pub(super) fn add(&mut self, key: Key, more: V) {
        let hash = self.hasher.hash_one(key);
        if let Some(number) = self.late.find(hash, |number| self.cells[*number as usize].0 == key) {
            self.cells[*number as usize].1.add(more);
            return;
        }
        if self.cells.len() >= self.most {
            self.join();
        }
        if self.late.len() == LATE {
            self.late.clear();
        }
        let number = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        self.cells.push((key, more));
        let (cells, hasher) = (&self.cells, &self.hasher);
        self.late.insert_unique(hash, number, |number| hasher.hash_one(cells[*number as usize].0));
    }

    /// Makes one of cells with the same key.
    fn join(&mut self) {
        self.late.clear();
        sort_and_join(&mut self.cells);
        self.most = (self.cells.len() * 2).max(MANY);
    }

    /// Takes over cells of others as they stand.
    pub(super) fn extend(&mut self, cells: impl Iterator<Item = (Key, V)>) {
        self.cells.extend(cells);
    }

    /// All cells; a key may come more than once.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Key, V)> {
        self.cells.iter()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Keeps only some.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&Key) -> bool) {
        self.late.clear();
        self.cells.retain(|(key, _)| wanted(key));
    }
}

/// Sorts cells by their keys and makes one of those with the same key.
pub(super) fn sort_and_join<K: Copy + Ord, V: Sum>(cells: &mut Vec<(K, V)>) {
    cells.sort_unstable_by_key(|(key, _)| *key);
    cells.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1.add(next.1);
        }
        same
    });
}

/// Things → dense ids.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    things: Vec<T>,
    last: Option<(T, u32)>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), table: HashTable::new(), things: Vec::new(), last: None }
    }
}

impl<T: Copy + Eq + Hash> Numbered<T> {
    /// The id of a thing; the next one is often the same.
    pub(super) fn id(&mut self, thing: T) -> u32 {
        if let Some((last, id)) = self.last
            && last == thing
        {
            return id;
        }
        let hash = self.hasher.hash_one(thing);
        let id = if let Some(id) = self.table.find(hash, |id| self.things[*id as usize] == thing) {
            *id
        } else {
            let id = u32::try_from(self.things.len()).unwrap_or(u32::MAX);
            self.things.push(thing);
            let (things, hasher) = (&self.things, &self.hasher);
            self.table.insert_unique(hash, id, |id| hasher.hash_one(things[*id as usize]));
            id
        };
        self.last = Some((thing, id));
        id
    }

    /// The thing of an id.
    pub(super) fn get(&self, id: u32) -> &T {
        &self.things[id as usize]
    }

    /// All things, in the order of their ids.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.things.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_cells_than_are_looked_for_add_up_all_the_same() {
        let mut sums: Sums<i64> = Sums::default();
        for round in 1..=40i64 {
            for id in 0..10_000 {
                sums.add(Key([id % 7, id, 3]), round);
            }
        }
        // Cells that stand twice must not pile up.
        assert!(sums.iter().count() <= MANY, "{}", sums.iter().count());
        sums.retain(|key| key.0[1] % 2 == 0);
        let mut cells: Vec<(Key, i64)> = sums.iter().copied().collect();
        sort_and_join(&mut cells);
        assert_eq!(cells.len(), 5_000);
        assert!(cells.iter().all(|(_, n)| *n == 820));
    }

    #[test]
    fn an_id_leads_back_to_its_thing() {
        let mut numbered = Numbered::default();
        let ids: Vec<u32> = ["a", "b", "b", "a", "c"].into_iter().map(|thing| numbered.id(thing)).collect();
        assert_eq!(ids, [0, 1, 1, 0, 2]);
        assert_eq!(numbered.get(2), &"c");
    }
}
