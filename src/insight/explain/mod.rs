//! What a window has in common that its baseline had not: where a change is, since when, what the other side says, and
//! what has nothing to do with it. Pure; [`ask`] counts what it needs.

pub mod ask;
pub mod baseline;
pub mod flat;
mod localise;
pub mod metric;
mod model;
pub mod onset;
#[cfg(test)]
mod tests;
mod words;

pub use localise::{Contributor, localise};
pub use metric::{Gauge, Metric};
pub use model::Words;
pub use onset::{Beat, Onset};
pub use words::sentences;

use crate::event::Micros;
use crate::query::field::Field;
use crate::query::joint::{Joint, field_of};
use localise::{Finder, Set, is_in, is_notable};
use model::{Contrast, Sums};

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The change is at the contributors.
    Found,
    /// All mail has changed alike.
    Everywhere,
    /// Rates are as they were; more mail went where they are high, or low.
    Mix,
    /// Nothing has changed.
    Unchanged,
    /// There is no baseline: the contributors are above the rest.
    NoBaseline,
    /// There are too few rows to tell.
    Few,
    /// Nothing of the kind happened, before or now.
    Nothing,
}

impl Verdict {
    /// The word as it stands in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Everywhere => "everywhere",
            Self::Mix => "mix",
            Self::Unchanged => "unchanged",
            Self::NoBaseline => "no-baseline",
            Self::Few => "few",
            Self::Nothing => "nothing",
        }
    }
}

/// Window and baseline in all.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Total {
    /// What counted in the window.
    pub hits: i64,
    /// Out of what; 0 for a volume.
    pub of: i64,
    /// What counted in the baseline.
    pub base_hits: i64,
    /// Out of what.
    pub base_of: i64,
    /// More than the baseline's rate (for a volume: its number) would have given.
    pub excess: f64,
    /// The part of it that is rates which changed.
    pub rate_part: f64,
    /// The part of it that is mail which went where rates are otherwise.
    pub mix_part: f64,
}

/// Mail that moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The field.
    pub field: Field,
    /// The value that has more of the mail, or less.
    pub value: String,
    /// Its share of the mail in the window.
    pub share: f64,
    /// Its share before.
    pub base_share: f64,
    /// Its rate before.
    pub base_rate: f64,
}

/// Something that has nothing to do with a change.
#[derive(Debug, Clone, PartialEq)]
pub struct NotInvolved {
    /// What was looked at.
    pub field: Field,
    /// Where: the contributor's values but that of `field`.
    pub beside: Vec<(Field, String)>,
    /// True: the values of the field are hit alike within the contributor. False: the other values are as usual.
    pub alike: bool,
    /// How many values.
    pub values: usize,
    /// What counted there.
    pub hits: i64,
    /// Out of what.
    pub of: i64,
    /// What was to be expected.
    pub expected: f64,
}

/// Replies that say the same.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplyShare {
    /// The words, with placeholders.
    pub template: String,
    /// What they are about.
    pub class: String,
    /// Rows in the window.
    pub n: i64,
    /// More than before, for as much mail.
    pub excess: f64,
    /// Of all that is more than before, 0–1.
    pub share: f64,
    /// What they mean.
    pub meaning: String,
    /// What to do.
    pub advice: String,
    /// One of them, verbatim.
    pub example: String,
}

/// What a window is compared with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Baseline {
    /// Its ranges, the newest first.
    pub ranges: Vec<(Micros, Micros)>,
    /// In words: `same hours of the 4 weeks before`.
    pub basis: String,
}

/// An explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Of what.
    pub metric: Metric,
    /// What became of it.
    pub verdict: Verdict,
    /// Whether there is more than before.
    pub up: bool,
    /// The window.
    pub window: (Micros, Micros),
    /// What it is compared with.
    pub baseline: Baseline,
    /// The length of the window over that of the baseline.
    pub weight: f64,
    /// The part of the window, with what it is compared with, that contributors are about, where the change took only a part.
    pub focus: Option<((Micros, Micros), Baseline)>,
    /// For latency: a delivery slower than this is slow, in milliseconds.
    pub slow_ms: Option<i64>,
    /// In all.
    pub total: Total,
    /// The mail that moved most, where that matters.
    pub moved: Option<Moved>,
    /// Where the change is, the greatest part first; no row is in two of them.
    pub contributors: Vec<Contributor>,
    /// The single values that deviate most; they overlap.
    pub values: Vec<Contributor>,
    /// What has nothing to do with the first contributor.
    pub not_involved: Vec<NotInvolved>,
    /// What the other side says at the first contributor, what is new first.
    pub replies: Vec<ReplyShare>,
    /// When the first contributor began.
    pub onset: Option<Onset>,
    /// The first contributor by quarter of an hour.
    pub series: Vec<Beat>,
}

/// Values in [`Explanation::values`].
const MOST_VALUES: usize = 12;
/// Rows (or messages) below which nothing is said.
const FEW: i64 = 30;
/// Values of a field are alike if no more than this part of what is too much would have to change places.
const ALIKE: f64 = 0.15;

/// Explains a metric from the cells of a window and its baseline; replies and onset are left open.
pub fn explain(
    window: &Joint,
    base: &Joint,
    (range, baseline): ((Micros, Micros), Baseline),
    gauge: &Gauge,
    words: &Words<'_>,
) -> Explanation {
    let weight = weight(range, &baseline);
    let contrast = Contrast::new(window, base, weight, gauge, words);
    let total = total(&contrast, gauge.metric, weight);
    // A volume is asked of as a whole; of a rate, what became worse may hide behind what became better.
    let is_rise = if gauge.metric.is_rate() { None } else { Some(total.excess >= 0.0) };
    let (finder, found) = Finder::of(&contrast, words, gauge.metric.fields(), is_rise);
    let verdict = verdict(&contrast, gauge.metric, &total, &found);
    let held: f64 = found.iter().map(|(_, found)| found.excess.abs()).sum();
    let whole = contrast.all.excess().abs().max(held);
    let said = !matches!(verdict, Verdict::Few | Verdict::Nothing);
    let not_involved = match found.first() {
        Some((set, _)) if said => not_involved(&finder, set),
        _ => Vec::new(),
    };
    Explanation {
        metric: gauge.metric,
        verdict,
        up: if found.is_empty() { total.excess >= 0.0 } else { finder.up },
        window: range,
        baseline,
        weight,
        focus: None,
        slow_ms: None,
        moved: if said && gauge.metric.is_rate() && contrast.has_base { moved(&finder) } else { None },
        values: if said { finder.values(MOST_VALUES, whole) } else { Vec::new() },
        not_involved,
        replies: Vec::new(),
        onset: None,
        series: Vec::new(),
        contributors: if said { found.into_iter().map(|(_, found)| found).collect() } else { Vec::new() },
        total,
    }
}

/// The length of a window over that of its baseline.
#[expect(clippy::cast_precision_loss, reason = "microseconds of years stay below 2^52")]
pub fn weight((from, until): (Micros, Micros), baseline: &Baseline) -> f64 {
    let long: Micros = baseline.ranges.iter().map(|(from, until)| until - from).sum();
    if long > 0 { (until - from) as f64 / long as f64 } else { 0.0 }
}

#[expect(clippy::cast_possible_truncation, reason = "these are counts")]
fn count(x: f64) -> i64 {
    x.round() as i64
}

fn total(contrast: &Contrast, metric: Metric, weight: f64) -> Total {
    let all = &contrast.all;
    let usual = match () {
        () if !metric.is_rate() => all.base_hits * weight,
        () if all.base_of > 0.0 => all.base_hits / all.base_of * all.of,
        () => all.expected,
    };
    Total {
        hits: count(all.hits),
        of: count(all.of),
        base_hits: count(all.base_hits),
        base_of: count(all.base_of),
        excess: all.hits - usual,
        rate_part: all.excess(),
        mix_part: all.expected - usual,
    }
}

fn verdict(contrast: &Contrast, metric: Metric, total: &Total, found: &[(Set, Contributor)]) -> Verdict {
    let rows = if metric.is_rate() { total.of.max(total.hits) } else { total.hits.max(count(contrast.all.expected)) };
    match found.first() {
        _ if total.hits == 0 && total.base_hits == 0 => Verdict::Nothing,
        _ if rows < FEW => Verdict::Few,
        _ if !contrast.has_base => Verdict::NoBaseline,
        Some((set, _)) if set.is_empty() => Verdict::Everywhere,
        Some(_) => Verdict::Found,
        None => {
            let up = total.excess >= 0.0;
            let usual = Sums { hits: contrast.all.hits, expected: contrast.all.hits - total.excess, ..contrast.all };
            let is_mix = is_notable(&usual, up) && total.mix_part.abs() >= total.excess.abs() / 2.0;
            if is_mix { Verdict::Mix } else { Verdict::Unchanged }
        }
    }
}

/// The value whose share of the mail changed with most effect on the rate.
fn moved(finder: &Finder<'_>) -> Option<Moved> {
    let all = &finder.contrast.all;
    let overall = all.base_hits / all.base_of;
    let mut best: Option<(f64, usize, u8, Sums)> = None;
    for index in &finder.allowed {
        for (place, sums) in (0u8..=u8::MAX).zip(finder.contrast.by_value(*index, |_| true)) {
            if sums.base_of < 30.0 || finder.contrast.empty[*index][usize::from(place)] {
                continue;
            }
            let effect = (sums.base_hits / sums.base_of - overall) * (sums.of - sums.base_of / all.base_of * all.of);
            // Of values that are about as good the first one: fields are in the order of preference.
            if best.as_ref().is_none_or(|(known, ..)| effect.abs() > known.abs() * 1.05) {
                best = Some((effect, *index, place, sums));
            }
        }
    }
    let (_, index, place, sums) = best.filter(|(effect, ..)| effect.abs() >= 0.02 * all.hits.max(1.0))?;
    Some(Moved {
        field: field_of(index)?,
        value: finder.word(index, place).as_ref().to_owned(),
        share: if all.of > 0.0 { sums.of / all.of } else { 0.0 },
        base_share: sums.base_of / all.base_of,
        base_rate: sums.base_hits / sums.base_of,
    })
}

/// What has nothing to do with a set: its siblings that are as usual, and fields whose values are hit alike.
fn not_involved(finder: &Finder<'_>, set: &Set) -> Vec<NotInvolved> {
    let contrast = finder.contrast;
    let mut out = Vec::new();
    for (at, (index, place)) in set.iter().enumerate() {
        let beside: Set = set.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, pair)| *pair).collect();
        let is_sibling = |row: &model::Row| is_in(row, &beside) && row.at[*index] != *place;
        let by_value = contrast.by_value(*index, is_sibling);
        let values = by_value.iter().filter(|sums| sums.of + sums.hits + sums.expected > 0.0).count();
        let mut sums = Sums::default();
        by_value.iter().for_each(|value| sums.add(value));
        let enough = sums.of >= 30.0 || sums.of <= 0.0 && sums.expected >= 30.0;
        let (Some(field), true) = (field_of(*index), enough && !is_notable(&sums, finder.up)) else { continue };
        out.push(NotInvolved {
            field,
            beside: finder.named(&beside),
            alike: false,
            values,
            hits: count(sums.hits),
            of: count(sums.of),
            expected: sums.expected,
        });
    }
    for index in &finder.allowed {
        if set.iter().any(|(known, _)| known == index) {
            continue;
        }
        let by_value = contrast.by_value(*index, |row| is_in(row, set));
        let mut all = Sums::default();
        by_value.iter().for_each(|value| all.add(value));
        let size = |sums: &Sums| if all.of > 0.0 { sums.of } else { sums.expected };
        let rows = size(&all);
        let large: Vec<&Sums> = by_value.iter().filter(|sums| size(sums) >= 30.0).collect();
        let covered: f64 = large.iter().map(|sums| size(sums)).sum();
        let displaced: f64 = large.iter().map(|sums| (sums.excess() / all.excess() - size(sums) / rows).abs()).sum();
        let (Some(field), true) = (field_of(*index), large.len() > 1 && covered >= 0.7 * rows) else { continue };
        if displaced / 2.0 <= ALIKE {
            out.push(NotInvolved {
                field,
                beside: finder.named(set),
                alike: true,
                values: large.len(),
                hits: count(all.hits),
                of: count(all.of),
                expected: all.expected,
            });
        }
    }
    out
}
