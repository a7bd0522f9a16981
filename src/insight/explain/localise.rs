//! Where a change is: the value, or pair of values, whose rows deviate most from what was to be expected of them
//! (a spatial scan statistic, Kulldorff 1997). A set that is too wide dilutes the change, one that is too narrow loses part of it.

use std::cmp::Reverse;
use std::sync::Arc;

use super::metric::Gauge;
use super::model::{Contrast, Row, Sums, WIDTH, Words, sums_by_value};
use crate::query::field::Field;
use crate::query::joint::{Joint, dimension, field_of};

/// A value that a change hangs on, or two together.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributor {
    /// The value, or two; none where all mail is concerned alike.
    pub filters: Vec<(Field, String)>,
    /// Values that cannot be told from one of these: they have the same rows.
    pub same_as: Vec<(Field, String)>,
    /// Values that all these rows have, but others, too.
    pub within: Vec<(Field, String)>,
    /// What counted in the window.
    pub hits: i64,
    /// Out of what; 0 for a volume.
    pub of: i64,
    /// What counted in the baseline.
    pub base_hits: i64,
    /// Out of what.
    pub base_of: i64,
    /// What was to be expected in the window.
    pub expected: f64,
    /// `hits` − `expected`.
    pub excess: f64,
    /// The part of the whole change that it is, 0–1.
    pub share: f64,
    /// Two-proportion G-test, corrected for the number of sets looked at (Benjamini–Hochberg).
    pub p: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn over(hits: i64, of: i64) -> Option<f64> {
    (of > 0).then(|| hits as f64 / of as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
impl Contributor {
    /// The rate in the window.
    pub fn rate(&self) -> Option<f64> {
        over(self.hits, self.of)
    }

    /// The rate in the baseline.
    pub fn base_rate(&self) -> Option<f64> {
        over(self.base_hits, self.base_of)
    }

    /// The rate that was to be expected.
    pub fn usual_rate(&self) -> Option<f64> {
        (self.of > 0).then(|| self.expected / self.of as f64)
    }

    /// How many times as much as expected.
    pub fn lift(&self) -> Option<f64> {
        (self.expected > 0.0).then(|| self.hits as f64 / self.expected)
    }
}

/// Rows of a set below which nothing is said of it.
const FEW: f64 = 30.0;
/// Hits below which an excess is chance.
const FEW_HITS: f64 = 5.0;
/// The log likelihood by which a change must be better than none. Among a thousand sets, chance reaches 8.
const NOTABLE: f64 = 12.0;
/// A change by less than this factor is no news, however sure.
const LEAST_LIFT: f64 = 1.15;
/// The least part of the whole change that a further contributor holds.
const LEAST_SHARE: f64 = 0.05;
/// A set is only part of the story if the rest of a value that holds it has at least this part of the value's change, and
/// at least so many times what is usual.
const REST_SHARE: f64 = 0.08;
const REST_LIFT: f64 = 3.0;
/// Sets are about as good if they are worse than the best by no more than this part; and those of as many values.
const NEAR: f64 = 0.005;
const NEAR_ALIKE: f64 = 0.03;
/// The most contributors.
const MOST: usize = 8;
/// Values of each dimension and direction that are looked at more than once.
const KEPT: usize = 16;
/// Values of each dimension that are tried in pairs.
const TRIED: usize = 8;
const ALL_TRIED: usize = TRIED * WIDTH;

/// Values by field, in words.
type Named = Vec<(Field, String)>;

/// Values by dimension and place; none: all rows.
pub(super) type Set = Vec<(usize, u8)>;

#[derive(Debug, Clone)]
struct Candidate {
    set: Set,
    sums: Sums,
    gain: f64,
}

/// By how much a set deviates in a direction: the log likelihood over that of no change.
pub(super) fn gain(hits: f64, expected: f64, up: bool) -> f64 {
    if (hits > expected) != up || hits == expected {
        return 0.0;
    }
    let expected = expected.max(1e-9);
    let seen = if hits > 0.0 { hits * (hits / expected).ln() } else { 0.0 };
    (seen - (hits - expected)).max(0.0)
}

/// Whether a change is worth a word.
pub(super) fn is_notable(sums: &Sums, up: bool) -> bool {
    let (least, most) = if up { (sums.expected, sums.hits) } else { (sums.hits, sums.expected) };
    gain(sums.hits, sums.expected, up) >= NOTABLE
        && sums.excess().abs() >= FEW_HITS
        && most >= least.max(1e-9) * LEAST_LIFT
}

pub(super) fn is_in(row: &Row, set: &Set) -> bool {
    set.iter().all(|(index, place)| row.at[*index] == *place)
}

/// Numbers that differ by less than this are the same, in whatever order they were added up.
#[expect(clippy::cast_possible_truncation, reason = "a float is cut at the ends of the range")]
fn steady(x: f64) -> i64 {
    (x * 1e6).round() as i64
}

/// Looks for where a change is.
pub(super) struct Finder<'a> {
    pub contrast: &'a Contrast,
    /// The rows, with values that deviate least as one value.
    rows: Arc<[Row]>,
    pub words: &'a Words<'a>,
    /// Places of the dimensions that may be named, the preferred ones first.
    pub allowed: Vec<usize>,
    pub up: bool,
}

impl<'a> Finder<'a> {
    fn new(contrast: &'a Contrast, rows: Arc<[Row]>, words: &'a Words<'a>, allowed: &[usize], up: bool) -> Self {
        Self { contrast, rows, words, allowed: allowed.to_vec(), up }
    }

    /// Looks for a rise or a drop with what holds it; where that is open for both, and keeps what is greater.
    pub(super) fn of(
        contrast: &'a Contrast,
        words: &'a Words<'a>,
        allowed: &[Field],
        is_rise: Option<bool>,
    ) -> (Self, Vec<(Set, Contributor)>) {
        let is_open = |index: &usize| contrast.carried[*index] && contrast.several[*index];
        let allowed: Vec<usize> = allowed.iter().filter_map(|field| dimension(*field)).filter(is_open).collect();
        let rows: Arc<[Row]> = contrast.coarse(&notable_values(contrast, words, &allowed)).into();
        let [up, down] = [true, false].map(|up| Self::new(contrast, Arc::clone(&rows), words, &allowed, up));
        let active = vec![true; rows.len()];
        let held = |finder: &Self| finder.best(&active, &mut Vec::new()).map(|best| steady(best.sums.excess().abs()));
        let finder = match is_rise {
            Some(true) => up,
            Some(false) => down,
            None => match (held(&up), held(&down)) {
                (rise, drop) if rise > drop => up,
                (None, None) if contrast.all.excess() >= 0.0 => up,
                _ => down,
            },
        };
        let found = finder.contributors();
        (finder, found)
    }

    pub(super) fn word(&self, index: usize, place: u8) -> Arc<str> {
        (self.words.word)(self.contrast.values[index].get(usize::from(place)).copied().unwrap_or_default())
    }

    pub(super) fn named(&self, set: &Set) -> Vec<(Field, String)> {
        set.iter()
            .filter_map(|(index, place)| Some((field_of(*index)?, self.word(*index, *place).as_ref().to_owned())))
            .collect()
    }

    /// Whether a set is worth looking at. Complaints may carry what no delivery has: that is out of nothing.
    fn enough(&self, sums: &Sums) -> bool {
        if self.contrast.all.of > 0.0 { sums.of >= FEW } else { sums.hits.max(sums.expected) >= FEW }
    }

    fn candidate(&self, set: Set, sums: Sums) -> Candidate {
        let gain = gain(sums.hits, sums.expected, self.up);
        Candidate { set, sums, gain }
    }

    /// The values of a dimension that deviate, the farthest first.
    fn singles(&self, index: usize, active: &[bool]) -> Vec<Candidate> {
        let sums = sums_by_value(&self.rows, index, self.contrast.values[index].len(), |at, _| active[at]);
        let mut found: Vec<Candidate> = (0u8..=u8::MAX)
            .zip(sums)
            .filter(|(place, sums)| !self.contrast.empty[index][usize::from(*place)] && self.enough(sums))
            .map(|(place, sums)| self.candidate(vec![(index, place)], sums))
            .filter(|candidate| candidate.gain > 0.0)
            .collect();
        found.sort_by_cached_key(|found| (Reverse(steady(found.gain)), self.named(&found.set)));
        found
    }

    /// Pairs of values that deviate.
    fn pairs(&self, tried: &[(usize, u8)], active: &[bool]) -> Vec<Candidate> {
        let mut number: [Vec<u8>; WIDTH] =
            std::array::from_fn(|index| vec![u8::MAX; self.contrast.values[index].len()]);
        for (at, (index, place)) in (0u8..).zip(tried) {
            number[*index][usize::from(*place)] = at;
        }
        let mut sums = vec![Sums::default(); ALL_TRIED * ALL_TRIED];
        for (_, row) in self.rows.iter().enumerate().filter(|(at, _)| active[*at]) {
            let mut held = [0usize; WIDTH];
            let mut many = 0;
            for index in 0..WIDTH {
                let at = number[index][usize::from(row.at[index])];
                if at != u8::MAX {
                    held[many] = usize::from(at);
                    many += 1;
                }
            }
            for first in 0..many {
                for second in first + 1..many {
                    let (a, b) = (held[first].min(held[second]), held[first].max(held[second]));
                    sums[a * ALL_TRIED + b].add(&row.sums);
                }
            }
        }
        let mut found = Vec::new();
        for (a, first) in tried.iter().enumerate() {
            for (b, second) in tried.iter().enumerate().skip(a + 1) {
                let sums = sums[a * ALL_TRIED + b];
                if first.0 != second.0 && self.enough(&sums) {
                    found.push(self.candidate(vec![*first, *second], sums));
                }
            }
        }
        found.retain(|candidate| candidate.gain > 0.0);
        found
    }

    /// How well a set reads: few filters, and of the fields that are preferred.
    fn awkwardness(&self, set: &Set) -> (usize, usize, Vec<(Field, String)>) {
        let rank = |index: &usize| self.allowed.iter().position(|known| known == index).unwrap_or(WIDTH);
        // A value that has nearly all mail says more than none.
        let filters = if set.is_empty() { 3 } else { set.len() };
        (filters, set.iter().map(|(index, _)| rank(index)).sum(), self.named(set))
    }

    /// The set that deviates most among the active rows.
    fn best(&self, active: &[bool], tested: &mut Vec<f64>) -> Option<Candidate> {
        let mut all = Sums::default();
        let rows = self.rows.iter().enumerate();
        rows.filter(|(at, _)| active[*at]).for_each(|(_, row)| all.add(&row.sums));
        let mut candidates = vec![self.candidate(Vec::new(), all)];
        let mut tried = Vec::new();
        for index in &self.allowed {
            let singles = self.singles(*index, active);
            tried.extend(singles.iter().take(TRIED).flat_map(|single| single.set.first().copied()));
            candidates.extend(singles);
        }
        candidates.extend(self.pairs(&tried, active));
        tested.extend(candidates.iter().map(|candidate| self.chance(&candidate.sums)));
        candidates.retain(|candidate| is_notable(&candidate.sums, self.up));
        let most = candidates.iter().map(|candidate| candidate.gain).fold(0.0, f64::max);
        // Sets that are about as good are told apart by how they read.
        let first = candidates.iter().max_by_key(|candidate| steady(candidate.gain))?;
        let near = candidates.iter().filter(|candidate| {
            // Which of two values is named matters less than how many are.
            let slack = if candidate.set.len() == first.set.len() { NEAR_ALIKE } else { NEAR };
            candidate.gain >= most - 4.0 - slack * most
        });
        let best = near.min_by_key(|candidate| {
            let (filters, rank, named) = self.awkwardness(&candidate.set);
            (filters, rank, Reverse(steady(candidate.gain)), named)
        })?;
        Some(self.whole_of(best, &candidates).unwrap_or(best).clone())
    }

    /// A value that holds a set and whose other rows are hit, too: an address that some providers have listed is the address.
    fn whole_of<'c>(&self, part: &Candidate, candidates: &'c [Candidate]) -> Option<&'c Candidate> {
        let holds = |value: &(usize, u8)| match &*part.set {
            [] => false,
            // Of one value by what both have together: all that the part has.
            [own] => {
                let both = |other: &&Candidate| matches!(&*other.set, [a, b] if (a == own && b == value) || (a == value && b == own));
                let shared = candidates.iter().find(both);
                own.0 != value.0 && shared.is_some_and(|shared| shared.sums.mass() >= 0.995 * part.sums.mass())
            }
            pair => pair.contains(value),
        };
        let is_whole = |whole: &&Candidate| {
            let rest = whole.sums.less(&part.sums);
            let (least, most) = if self.up { (rest.expected, rest.hits) } else { (rest.hits, rest.expected) };
            is_notable(&rest, self.up)
                && most >= REST_LIFT * least
                && rest.excess().abs() >= REST_SHARE * whole.sums.excess().abs()
        };
        let wholes = candidates.iter().filter(|other| matches!(&*other.set, [value] if holds(value)));
        wholes.filter(is_whole).max_by_key(|whole| steady(whole.gain))
    }

    /// The chance that window and baseline (or expectation, where there is no baseline) are alike.
    pub(super) fn chance(&self, sums: &Sums) -> f64 {
        let known = self.contrast.has_base && sums.of > 0.0 && sums.base_of >= FEW;
        let g = if known {
            two_proportions(sums.hits, sums.of, sums.base_hits, sums.base_of)
        } else {
            2.0 * gain(sums.hits, sums.expected, sums.hits > sums.expected)
        };
        erfc((g / 2.0).max(0.0).sqrt())
    }

    /// Sets that hold the change, the greatest first; none has a row of another.
    pub(super) fn contributors(&self) -> Vec<(Set, Contributor)> {
        let mut active = vec![true; self.rows.len()];
        let mut tested = Vec::new();
        let mut found: Vec<(Set, Sums)> = Vec::new();
        while found.len() < MOST {
            let Some(best) = self.best(&active, &mut tested) else { break };
            let held: f64 = found.iter().map(|(_, sums)| sums.excess().abs()).sum();
            let whole = self.contrast.all.excess().abs().max(held + best.sums.excess().abs());
            if !found.is_empty() && best.sums.excess().abs() < LEAST_SHARE * whole {
                break;
            }
            for (active, row) in active.iter_mut().zip(self.rows.iter()) {
                *active &= !is_in(row, &best.set);
            }
            let is_all = best.set.is_empty();
            found.push((best.set, best.sums));
            if is_all {
                break;
            }
        }
        let held: f64 = found.iter().map(|(_, sums)| sums.excess().abs()).sum();
        let whole = self.contrast.all.excess().abs().max(held);
        tested.sort_by(f64::total_cmp);
        let mut out: Vec<(Set, Contributor)> = found
            .into_iter()
            .map(|(set, sums)| {
                let mut contributor = self.contributor(&set, &sums, whole);
                contributor.p = corrected(self.chance(&sums), &tested);
                (self.same_and_within(&set), (set, contributor))
            })
            .map(|((same_as, within), (set, contributor))| (set, Contributor { same_as, within, ..contributor }))
            .collect();
        out.sort_by_cached_key(|(_, found)| (Reverse(steady(found.excess.abs())), found.filters.clone()));
        out
    }

    /// The single values that deviate most; they overlap.
    pub(super) fn values(&self, most: usize, whole: f64) -> Vec<Contributor> {
        let active = vec![true; self.rows.len()];
        let mut found: Vec<Candidate> = Vec::new();
        let mut tested = Vec::new();
        for index in &self.allowed {
            let singles = self.singles(*index, &active);
            tested.extend(singles.iter().map(|single| self.chance(&single.sums)));
            found.extend(singles.into_iter().filter(|single| is_notable(&single.sums, self.up)).take(most));
        }
        tested.sort_by(f64::total_cmp);
        found.sort_by_cached_key(|found| (Reverse(steady(found.gain)), self.named(&found.set)));
        found.truncate(most);
        found
            .iter()
            .map(|found| {
                let p = corrected(self.chance(&found.sums), &tested);
                Contributor { p, ..self.contributor(&found.set, &found.sums, whole) }
            })
            .collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "these are counts")]
    pub(super) fn contributor(&self, set: &Set, sums: &Sums, whole: f64) -> Contributor {
        let count = |x: f64| x.round() as i64;
        Contributor {
            filters: self.named(set),
            same_as: Vec::new(),
            within: Vec::new(),
            hits: count(sums.hits),
            of: count(sums.of),
            base_hits: count(sums.base_hits),
            base_of: count(sums.base_of),
            expected: sums.expected,
            excess: sums.excess(),
            share: if whole > 0.0 { (sums.excess().abs() / whole).min(1.0) } else { 0.0 },
            p: self.chance(sums),
        }
    }

    /// Values that have the rows of a set and no others, and values that have others, too.
    fn same_and_within(&self, set: &Set) -> (Named, Named) {
        let (mut same, mut within) = (Vec::new(), Vec::new());
        if set.is_empty() {
            return (same, within);
        }
        let rows = &self.contrast.rows;
        let mass = |set: &Set| -> f64 { rows.iter().filter(|row| is_in(row, set)).map(|row| row.sums.mass()).sum() };
        let own = mass(set);
        for index in 0..WIDTH {
            if set.iter().any(|(known, _)| *known == index)
                || !self.contrast.carried[index]
                || !self.contrast.several[index]
            {
                continue;
            }
            let sums = self.contrast.by_value(index, |row| is_in(row, set));
            let Some((place, most)) = (0u8..=u8::MAX)
                .zip(sums.iter().map(Sums::mass))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .filter(|(place, most)| *most >= 0.98 * own && !self.contrast.empty[index][usize::from(*place)])
            else {
                continue;
            };
            let is_same = (0..set.len()).any(|at| {
                let mut other = set.clone();
                other[at] = (index, place);
                mass(&other) <= 1.05 * most.max(1.0)
            });
            if is_same { &mut same } else { &mut within }.extend(self.named(&vec![(index, place)]));
        }
        (same, within)
    }
}

/// By dimension and place, the values that deviate most, up or down.
fn notable_values(contrast: &Contrast, words: &Words<'_>, allowed: &[usize]) -> [[bool; 256]; WIDTH] {
    let mut kept = [[false; 256]; WIDTH];
    for index in allowed {
        let sums = contrast.by_value(*index, |_| true);
        for up in [true, false] {
            let mut found: Vec<(Reverse<i64>, Arc<str>, usize)> = sums
                .iter()
                .enumerate()
                .filter(|(place, _)| !contrast.empty[*index][*place])
                .map(|(place, sums)| (steady(gain(sums.hits, sums.expected, up)), place))
                .filter(|(gain, _)| *gain > 0)
                .map(|(gain, place)| (Reverse(gain), (words.word)(contrast.values[*index][place]), place))
                .collect();
            found.sort();
            found.iter().take(KEPT).for_each(|(.., place)| kept[*index][*place] = true);
        }
    }
    kept
}

/// G of two proportions, one degree of freedom.
fn two_proportions(hits: f64, of: f64, base_hits: f64, base_of: f64) -> f64 {
    let (n, all) = (of + base_of, hits + base_hits);
    let cell = |seen: f64, side: f64, part: f64| {
        let expected = side * part / n;
        if seen > 0.0 && expected > 0.0 { seen * (seen / expected).ln() } else { 0.0 }
    };
    2.0 * (cell(hits, of, all)
        + cell(of - hits, of, n - all)
        + cell(base_hits, base_of, all)
        + cell(base_of - base_hits, base_of, n - all))
}

/// The complementary error function, to a relative 1.2e-7 (Press et al., Numerical Recipes, §6.2).
fn erfc(x: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let series = C.iter().rev().fold(0.0, |sum, c| sum * t + c);
    (t * (series - x * x).exp()).min(1.0)
}

/// A chance corrected for how many were looked at; `tested` is sorted.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn corrected(p: f64, tested: &[f64]) -> f64 {
    let many = tested.len().max(1) as f64;
    let rank = tested.partition_point(|other| *other <= p).max(1);
    let later = tested.iter().enumerate().skip(rank.saturating_sub(1));
    later.map(|(at, other)| other * many / (at as f64 + 1.0)).fold(p * many / rank as f64, f64::min).min(1.0)
}

/// Where a change is: sets of one or two values among `allowed` (the preferred fields first), the greatest first.
/// `weight`: the length of the window over that of the baseline. `is_rise`: whether a rise or a drop is looked for, if
/// that is known.
pub fn localise(
    (window, base, weight): (&Joint, &Joint, f64),
    gauge: &Gauge,
    allowed: &[Field],
    is_rise: Option<bool>,
    words: &Words<'_>,
) -> Vec<Contributor> {
    let contrast = Contrast::new(window, base, weight, gauge, words);
    let (_, found) = Finder::of(&contrast, words, allowed, is_rise);
    found.into_iter().map(|(_, contributor)| contributor).collect()
}
