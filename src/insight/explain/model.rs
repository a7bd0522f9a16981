//! What was to be expected of each combination of values: the baseline's rate, times what each value and each pair of
//! the usual suspects did to it there. So mail that only moved to where things were bad before is nobody's fault.

use std::sync::Arc;

use hashbrown::HashMap;

use super::metric::Gauge;
use crate::catalog::rollup::DIMENSIONS;
use crate::query::field::Field;
use crate::query::joint::{Joint, Who, dimension};

/// How many dimensions a cell has.
pub(super) const WIDTH: usize = DIMENSIONS.len();

/// Hits that a value is credited with as usual before it counts as special in the baseline.
const PRIOR: f64 = 3.0;

/// What numbers in cells mean.
pub struct Words<'a> {
    /// The word of a number.
    pub word: &'a dyn Fn(u32) -> Arc<str>,
    /// Whether a provider sends complaint reports.
    pub fbl: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

/// What was seen of something.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// What counted in the window.
    pub hits: f64,
    /// Out of what.
    pub of: f64,
    /// What counted in the baseline.
    pub base_hits: f64,
    /// Out of what.
    pub base_of: f64,
    /// What was to be expected in the window.
    pub expected: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.of += other.of;
        self.base_hits += other.base_hits;
        self.base_of += other.base_of;
        self.expected += other.expected;
    }

    pub(super) fn excess(&self) -> f64 {
        self.hits - self.expected
    }

    /// How much there is of it, for comparing sets: rows, or messages of both times.
    pub(super) fn mass(&self) -> f64 {
        if self.of > 0.0 || self.base_of > 0.0 { self.of + self.hits } else { self.hits + self.expected }
    }
}

/// One combination of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// By dimension, the place of its value in [`Contrast::values`].
    pub at: [u32; WIDTH],
    pub sums: Sums,
}

/// A window beside its baseline.
#[derive(Debug, Default)]
pub(super) struct Contrast {
    pub rows: Vec<Row>,
    /// By dimension, the numbers of its values.
    pub values: [Vec<u32>; WIDTH],
    pub all: Sums,
    /// Whether the baseline has anything.
    pub has_base: bool,
    /// By dimension and place, whether the value is the empty word.
    pub empty: [Vec<bool>; WIDTH],
    /// By dimension, whether the rows that count carry it.
    pub carried: [bool; WIDTH],
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
const fn float(n: i64) -> f64 {
    n as f64
}

impl Contrast {
    /// Puts window and baseline beside each other. `weight`: the length of the window over that of the baseline.
    pub(super) fn new(window: &Joint, base: &Joint, weight: f64, gauge: &Gauge, words: &Words<'_>) -> Self {
        let provider = dimension(Field::Provider).unwrap_or_default();
        let mut fbl: HashMap<u32, bool> = HashMap::new();
        let mut sums: HashMap<Who, Sums> = HashMap::new();
        for (joint, is_window) in [(window, true), (base, false)] {
            for cell in &joint.cells {
                let name = cell.who[provider];
                let fbl = *fbl.entry(name).or_insert_with(|| (words.fbl)(&(words.word)(name)));
                let (hits, of) = gauge.count(cell, fbl);
                if hits == 0 && of == 0 {
                    continue;
                }
                let sums = sums.entry(cell.who).or_default();
                if is_window {
                    sums.hits += float(hits);
                    sums.of += float(of);
                } else {
                    sums.base_hits += float(hits);
                    sums.base_of += float(of);
                }
            }
        }
        let mut contrast = Self::default();
        let mut places: [HashMap<u32, u32>; WIDTH] = std::array::from_fn(|_| HashMap::new());
        contrast.rows = sums
            .into_iter()
            .map(|(who, sums)| {
                let at = std::array::from_fn(|index| {
                    *places[index].entry(who[index]).or_insert_with(|| {
                        contrast.values[index].push(who[index]);
                        u32::try_from(contrast.values[index].len() - 1).unwrap_or_default()
                    })
                });
                Row { at, sums }
            })
            .collect();
        contrast.expect(weight, gauge, words);
        contrast
    }

    /// Fills in what was to be expected.
    fn expect(&mut self, weight: f64, gauge: &Gauge, words: &Words<'_>) {
        let mut all = Sums::default();
        self.rows.iter().for_each(|row| all.add(&row.sums));
        let is_rate = gauge.metric.is_rate();
        self.has_base = if is_rate { all.base_of > 0.0 } else { all.base_hits > 0.0 };
        self.empty = std::array::from_fn(|index| {
            self.values[index].iter().map(|value| (words.word)(*value).is_empty()).collect()
        });
        self.carried = self.carried_by_hits(&all);
        if !is_rate {
            self.rows.iter_mut().for_each(|row| row.sums.expected = row.sums.base_hits * weight);
        } else if self.has_base {
            let rates = self.usual_rates(&all);
            for (row, rate) in self.rows.iter_mut().zip(rates) {
                row.sums.expected = row.sums.of * rate;
            }
        } else {
            // Nothing is known of before: everyone is held against all.
            let rate = if all.of > 0.0 { all.hits / all.of } else { 0.0 };
            self.rows.iter_mut().for_each(|row| row.sums.expected = row.sums.of * rate);
        }
        all.expected = self.rows.iter().map(|row| row.sums.expected).sum();
        self.all = all;
    }

    /// Complaints may lack what deliveries have; such a field explains nothing.
    fn carried_by_hits(&self, all: &Sums) -> [bool; WIDTH] {
        std::array::from_fn(|index| {
            let without: f64 = self
                .rows
                .iter()
                .filter(|row| self.empty[index][row.at[index] as usize])
                .map(|row| row.sums.hits + row.sums.base_hits)
                .sum();
            without <= 0.3 * (all.hits + all.base_hits)
        })
    }

    /// The usual rate of each row, by proportional fitting: value by value and pair by pair, expected hits of the
    /// baseline are brought to those that were seen there.
    fn usual_rates(&self, all: &Sums) -> Vec<f64> {
        let overall = (all.base_hits + 0.5) / (all.base_of + 1.0);
        let mut rates = vec![overall.min(1.0); self.rows.len()];
        let place = |field| dimension(field).unwrap_or_default();
        let groups: Vec<Vec<usize>> = [
            &[Field::Provider][..],
            &[Field::Domain],
            &[Field::User],
            &[Field::SenderDomain],
            &[Field::SourceIp],
            &[Field::Vmta],
            &[Field::Pool],
            &[Field::Job],
            &[Field::Provider, Field::SourceIp],
            &[Field::Provider, Field::User],
            &[Field::Provider, Field::SenderDomain],
        ]
        .iter()
        .map(|fields| fields.iter().map(|field| place(*field)).collect::<Vec<usize>>())
        .filter(|group| group.iter().all(|index| self.carried[*index] && self.values[*index].len() > 1))
        .collect();
        let keys: Vec<(Vec<u32>, usize)> = groups.iter().map(|group| self.keys(group)).collect();
        for _ in 0..2 {
            for (keys, many) in &keys {
                let mut seen = vec![(0.0, 0.0); *many];
                for ((row, key), rate) in self.rows.iter().zip(keys).zip(&rates) {
                    let slot = &mut seen[*key as usize];
                    slot.0 += row.sums.base_hits;
                    slot.1 += row.sums.base_of * rate;
                }
                for (key, rate) in keys.iter().zip(&mut rates) {
                    let (hits, expected) = seen[*key as usize];
                    if expected > 0.0 {
                        *rate = (*rate * (hits + PRIOR) / (expected + PRIOR)).min(1.0);
                    }
                }
            }
        }
        rates
    }

    /// By row, the place of its values among all such combinations; and how many there are.
    fn keys(&self, group: &[usize]) -> (Vec<u32>, usize) {
        if let [index] = group {
            return (self.rows.iter().map(|row| row.at[*index]).collect(), self.values[*index].len());
        }
        let mut places: HashMap<u64, u32> = HashMap::new();
        let keys = self
            .rows
            .iter()
            .map(|row| {
                let key = group.iter().fold(0u64, |key, index| key << 32 | u64::from(row.at[*index]));
                let next = u32::try_from(places.len()).unwrap_or_default();
                *places.entry(key).or_insert(next)
            })
            .collect();
        (keys, places.len())
    }

    /// The sums of each value of a dimension, over the rows that are asked for.
    pub(super) fn by_value(&self, index: usize, wanted: impl Fn(usize, &Row) -> bool) -> Vec<Sums> {
        let mut sums = vec![Sums::default(); self.values[index].len()];
        for (at, row) in self.rows.iter().enumerate() {
            if wanted(at, row) {
                sums[row.at[index] as usize].add(&row.sums);
            }
        }
        sums
    }
}
