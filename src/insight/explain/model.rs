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
    pub word: &'a (dyn Fn(u32) -> Arc<str> + Sync),
    /// Whether a provider sends complaint reports.
    pub fbl: &'a (dyn Fn(&str) -> bool + Sync),
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

    pub(super) fn less(&self, other: &Self) -> Self {
        Self {
            hits: self.hits - other.hits,
            of: self.of - other.of,
            base_hits: self.base_hits - other.base_hits,
            base_of: self.base_of - other.base_of,
            expected: self.expected - other.expected,
        }
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
    pub at: [u8; WIDTH],
    pub sums: Sums,
}

/// A window beside its baseline.
#[derive(Debug, Default)]
pub(super) struct Contrast {
    pub rows: Vec<Row>,
    /// By dimension, the numbers of its values; 0 for what is no value.
    pub values: [Vec<u32>; WIDTH],
    pub all: Sums,
    /// Whether the baseline has anything.
    pub has_base: bool,
    /// By dimension and place, whether it is no value.
    pub empty: [Vec<bool>; WIDTH],
    /// By dimension, whether rows differ in it.
    pub several: [bool; WIDTH],
    /// By dimension, whether the rows that count carry it.
    pub carried: [bool; WIDTH],
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
const fn float(n: i64) -> f64 {
    n as f64
}

/// Values of a dimension that keep their names: those with most hits, and those with most rows. The others cannot be
/// what a change hangs on, and are one value together.
const BY_HITS: usize = 190;
const BY_ROWS: usize = 60;

/// The places of what is no value: all others together, and nothing.
const REST: u8 = 0;
const NOTHING: u8 = 1;

/// What counts of a cell.
struct Counted<'a> {
    who: &'a Who,
    is_window: bool,
    hits: f64,
    of: f64,
}

fn counted<'a>(window: &'a Joint, base: &'a Joint, gauge: &Gauge, words: &Words<'_>) -> Vec<Counted<'a>> {
    let provider = dimension(Field::Provider).unwrap_or_default();
    let mut fbl: HashMap<u32, bool> = HashMap::new();
    let mut out = Vec::new();
    for (joint, is_window) in [(window, true), (base, false)] {
        for cell in &joint.cells {
            let name = cell.who[provider];
            let fbl = *fbl.entry(name).or_insert_with(|| (words.fbl)(&(words.word)(name)));
            let (hits, of) = gauge.count(cell, fbl);
            if hits != 0 || of != 0 {
                out.push(Counted { who: &cell.who, is_window, hits: float(hits), of: float(of) });
            }
        }
    }
    out
}

/// By number of a word, its place among the values of a dimension that keep their names; and these values.
fn places(cells: &[Counted<'_>], index: usize, weight: f64, words: &Words<'_>) -> (Vec<u8>, Vec<u32>) {
    let most = cells.iter().map(|cell| cell.who[index] as usize).max().unwrap_or_default();
    // Hits, or those of the baseline where there are more; and rows.
    let mut sums = vec![(0.0, 0.0, 0.0); most + 1];
    for cell in cells {
        let sum = &mut sums[cell.who[index] as usize];
        if cell.is_window {
            sum.0 += cell.hits;
            sum.1 += cell.of;
        } else {
            sum.2 += (cell.hits + cell.of) * weight;
        }
    }
    let mut seen: Vec<(u32, f64, f64)> = (0u32..)
        .zip(&sums)
        .filter(|(number, sum)| *number != 0 && (sum.0 > 0.0 || sum.1 > 0.0 || sum.2 > 0.0))
        .map(|(number, sum)| (number, sum.0, if sum.1 > 0.0 { sum.1 } else { sum.2 }))
        .collect();
    let mut kept: Vec<u32> = Vec::new();
    if seen.len() <= BY_HITS + BY_ROWS {
        kept.extend(seen.iter().map(|(number, ..)| *number));
    } else {
        // Numbers of words are as they happened to be met: ties are broken by the words.
        for (most, pick) in [(BY_HITS, false), (BY_ROWS, true)] {
            let key = |value: &(u32, f64, f64)| if pick { value.2 } else { value.1 };
            seen.retain(|(number, ..)| !kept.contains(number));
            seen.sort_by(|a, b| key(b).total_cmp(&key(a)));
            let limit = seen.get(most).map_or(0.0, key);
            kept.extend(seen.iter().take_while(|value| key(value) > limit).map(|(number, ..)| *number));
            let room = (most + if pick { BY_HITS } else { 0 }).saturating_sub(kept.len());
            let mut tied: Vec<(Arc<str>, u32)> = seen
                .iter()
                .skip_while(|value| key(value) > limit)
                .take_while(|value| key(value) >= limit && limit > 0.0)
                .map(|(number, ..)| ((words.word)(*number), *number))
                .collect();
            tied.sort();
            kept.extend(tied.into_iter().take(room).map(|(_, number)| number));
        }
    }
    let mut places = vec![REST; most + 1];
    places[0] = NOTHING;
    for (place, number) in (NOTHING + 1..=u8::MAX).zip(&kept) {
        places[*number as usize] = place;
    }
    (places, [0, 0].into_iter().chain(kept).collect())
}

impl Contrast {
    /// Puts window and baseline beside each other. `weight`: the length of the window over that of the baseline.
    pub(super) fn new(window: &Joint, base: &Joint, weight: f64, gauge: &Gauge, words: &Words<'_>) -> Self {
        let cells = counted(window, base, gauge, words);
        let mut contrast = Self::default();
        let mut all: [Vec<u8>; WIDTH] = Default::default();
        for (index, all) in all.iter_mut().enumerate() {
            let (places, values) = places(&cells, index, weight, words);
            contrast.values[index] = values;
            *all = places;
        }
        let mut at: HashMap<[u8; WIDTH], u32> = HashMap::new();
        for cell in &cells {
            let who: [u8; WIDTH] = std::array::from_fn(|index| all[index][cell.who[index] as usize]);
            let next = u32::try_from(contrast.rows.len()).unwrap_or_default();
            let place = *at.entry(who).or_insert_with(|| {
                contrast.rows.push(Row { at: who, sums: Sums::default() });
                next
            });
            let sums = &mut contrast.rows[place as usize].sums;
            if cell.is_window {
                sums.hits += cell.hits;
                sums.of += cell.of;
            } else {
                sums.base_hits += cell.hits;
                sums.base_of += cell.of;
            }
        }
        for index in 0..WIDTH {
            let mut there = [false; 256];
            contrast.rows.iter().for_each(|row| there[usize::from(row.at[index])] = true);
            contrast.several[index] = there.iter().filter(|there| **there).count() > 1;
            contrast.empty[index] = contrast.values[index].iter().map(|value| *value == 0).collect();
        }
        contrast.expect(weight, gauge);
        contrast
    }

    /// Fills in what was to be expected.
    fn expect(&mut self, weight: f64, gauge: &Gauge) {
        let mut all = Sums::default();
        self.rows.iter().for_each(|row| all.add(&row.sums));
        let is_rate = gauge.metric.is_rate();
        self.has_base = if is_rate { all.base_of > 0.0 } else { all.base_hits > 0.0 };
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
                .filter(|row| row.at[index] == NOTHING)
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
        .filter(|group| group.iter().all(|index| self.carried[*index] && self.several[*index]))
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

    /// By row, the place of its values among all combinations of one or two; and how many there may be.
    fn keys(&self, group: &[usize]) -> (Vec<u32>, usize) {
        let key = |row: &Row| group.iter().fold(0, |key, index| key << 8 | u32::from(row.at[*index]));
        (self.rows.iter().map(key).collect(), 1 << (8 * group.len()))
    }

    /// The sums of each value of a dimension, over the rows that are asked for.
    pub(super) fn by_value(&self, index: usize, wanted: impl Fn(&Row) -> bool) -> Vec<Sums> {
        sums_by_value(&self.rows, index, self.values[index].len(), |_, row| wanted(row))
    }

    /// The rows with other values than some as one value: far fewer. `kept`: by dimension and place.
    pub(super) fn coarse(&self, kept: &[[bool; 256]; WIDTH]) -> Vec<Row> {
        let mut at: HashMap<[u8; WIDTH], u32> = HashMap::new();
        let mut rows: Vec<Row> = Vec::new();
        for row in &self.rows {
            let who: [u8; WIDTH] = std::array::from_fn(|index| {
                let place = row.at[index];
                if kept[index][usize::from(place)] { place } else { REST }
            });
            let next = u32::try_from(rows.len()).unwrap_or_default();
            let place = *at.entry(who).or_insert_with(|| {
                rows.push(Row { at: who, sums: Sums::default() });
                next
            });
            rows[place as usize].sums.add(&row.sums);
        }
        rows
    }
}

/// The sums of each value of a dimension.
pub(super) fn sums_by_value(
    rows: &[Row],
    index: usize,
    values: usize,
    wanted: impl Fn(usize, &Row) -> bool,
) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); values];
    for (at, row) in rows.iter().enumerate() {
        if wanted(at, row) {
            sums[usize::from(row.at[index])].add(&row.sums);
        }
    }
    sums
}
