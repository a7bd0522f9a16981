//! Cells of packs with several dimensions at once, for rules and explanations: what happened to whom, by quarter of an
//! hour or in all, and the failing replies one by one.

use hashbrown::HashMap;

use super::scan::{LEFT_OUT, Piece, Ready};
use super::{Loaded, Packs};
use crate::catalog::Result;
use crate::catalog::pack::{Column, QUARTER, QUARTERS, Section, Table};
use crate::catalog::rollup::DIMENSIONS;
use crate::event::bounce::{BounceClass, ReplyClass};
use crate::event::{Kind, Micros};
use crate::query::joint::{Cell, FailedRow, Joint, What, Who, Wish};

impl Packs {
    /// The cells of some packs, those alike as one; in no order.
    pub(in crate::query) fn joint(&self, pieces: &[Piece], ready: &Ready<'_>, wish: Wish) -> Result<Joint> {
        let mut who: HashMap<Who, u32> = HashMap::new();
        let mut sums: HashMap<(u32, What, i32, u16), i64> = HashMap::new();
        for piece in pieces.iter().filter(|piece| !piece.hidden) {
            let loaded = &piece.loaded;
            let places = self.places(loaded, ready, wish.dimensions, &mut who)?;
            if places.iter().all(|place| *place == LEFT_OUT) {
                continue;
            }
            let outcomes: Vec<Option<What>> = Self::what(piece, ready);
            let whole = piece.quarters.is_none() && !wish.quarters;
            let table = if whole { Table::DayFull } else { Table::QuarterFull };
            let column = |column| (Section::Cells(table, column), false);
            let [starts, combos, outcome, n] =
                self.columns(loaded, [Column::Starts, Column::Who, Column::Outcome, Column::N].map(column))?;
            let lat = if wish.latency { Some(self.columns(loaded, [column(Column::Lat)])?) } else { None };
            let (starts, combos, outcome, n) = (starts.narrow(), combos.narrow(), outcome.narrow(), n.narrow());
            let (first, last) = if whole { (0, 1) } else { piece.quarters.unwrap_or((0, QUARTERS)) };
            for quarter in first..last {
                let bounds = starts.get(quarter).zip(starts.get(quarter + 1));
                let Some((begin, end)) = bounds.map(|(begin, end)| (*begin as usize, *end as usize)) else { continue };
                let when = piece.date.filter(|_| wish.quarters).map_or(0, |date| {
                    date.saturating_mul(96).saturating_add(i32::try_from(quarter).unwrap_or_default())
                });
                for cell in begin..end {
                    let place = places.get(combos[cell] as usize).copied().unwrap_or(LEFT_OUT);
                    let Some(what) = outcomes.get(outcome[cell] as usize).copied().flatten() else { continue };
                    if place == LEFT_OUT {
                        continue;
                    }
                    let slow = lat.as_ref().map_or(0, |[lat]| {
                        lat.narrow().get(cell).map_or(0, |lat| u16::try_from(*lat & 0xffff).unwrap_or(u16::MAX))
                    });
                    *sums.entry((place, what, when, slow)).or_default() += i64::from(n[cell]);
                }
            }
        }
        let mut names: Vec<Who> = vec![Who::default(); who.len()];
        for (who, place) in who {
            if let Some(slot) = names.get_mut(place as usize) {
                *slot = who;
            }
        }
        let cell = |((place, what, quarter, latency), n): ((u32, What, i32, u16), i64)| Cell {
            who: names.get(place as usize).copied().unwrap_or_default(),
            what,
            quarter,
            latency,
            n,
        };
        Ok(Joint { cells: sums.into_iter().map(cell).collect() })
    }

    /// The rows of some packs whose reply is no success, in no order.
    pub(in crate::query) fn failed_rows(&self, pieces: &[Piece], ready: &Ready<'_>) -> Result<Vec<FailedRow>> {
        let mut rows = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.hidden) {
            let loaded = &piece.loaded;
            let [times] = self.columns(loaded, [(Section::ReplyTime, true)])?;
            if times.wide().is_empty() {
                continue;
            }
            let narrow = [Section::ReplyCombo, Section::ReplyOutcome, Section::ReplyTemplate];
            let [combos, outcome, template] = self.columns(loaded, narrow.map(|section| (section, false)))?;
            let mut who: HashMap<Who, u32> = HashMap::new();
            let places = self.places(loaded, ready, u8::MAX, &mut who)?;
            let mut names = vec![Who::default(); who.len()];
            for (who, place) in who {
                if let Some(slot) = names.get_mut(place as usize) {
                    *slot = who;
                }
            }
            let outcomes = Self::what(piece, ready);
            let day = piece.date.map(|date| Micros::from(date) * 96 * QUARTER);
            let (first, last) = piece.quarters.unwrap_or((0, QUARTERS));
            let at = |quarter: usize| day.unwrap_or_default() + Micros::try_from(quarter).unwrap_or_default() * QUARTER;
            let inside = at(first)..at(last);
            for (row, time) in times.wide().iter().enumerate() {
                let time = time.cast_signed();
                let place = places.get(combos.narrow()[row] as usize).copied().unwrap_or(LEFT_OUT);
                let what = outcomes.get(outcome.narrow()[row] as usize).copied().flatten();
                let (Some(what), true) = (what, day.is_some() && inside.contains(&time)) else { continue };
                if place == LEFT_OUT {
                    continue;
                }
                let template = loaded.words.get(template.narrow()[row] as usize).copied().unwrap_or_default();
                rows.push(FailedRow {
                    time,
                    who: names.get(place as usize).copied().unwrap_or_default(),
                    what,
                    template,
                });
            }
        }
        Ok(rows)
    }

    /// The place of each combination of a pack among those of all packs; [`LEFT_OUT`] where filters say so.
    fn places(
        &self,
        loaded: &Loaded,
        ready: &Ready<'_>,
        dimensions: u8,
        who: &mut HashMap<Who, u32>,
    ) -> Result<Vec<u32>> {
        let (groups, _) = self.combos(loaded, ready)?;
        let mut names: Vec<Who> = vec![Who::default(); groups.len()];
        for index in (0..DIMENSIONS.len()).filter(|index| dimensions & 1 << index != 0) {
            let section = Section::Combo(u8::try_from(index).unwrap_or_default());
            let [column] = self.columns(loaded, [(section, false)])?;
            for (name, word) in names.iter_mut().zip(column.narrow()) {
                name[index] = loaded.words.get(*word as usize).copied().unwrap_or_default();
            }
        }
        let place = |(group, name): (&u32, &Who)| {
            if *group == LEFT_OUT {
                return LEFT_OUT;
            }
            let next = u32::try_from(who.len()).unwrap_or(LEFT_OUT);
            *who.entry(*name).or_insert(next)
        };
        Ok(groups.iter().zip(&names).map(place).collect())
    }

    /// What each outcome of a pack means; `None` where filters leave it out.
    fn what(piece: &Piece, ready: &Ready<'_>) -> Vec<Option<What>> {
        let of = |(outcome, passes): (&super::OutcomeWords, bool)| {
            let word = |index: usize| ready.word(outcome.words[index]);
            passes.then(|| What {
                kind: Kind::parse(&word(2)).unwrap_or(Kind::Status),
                bounce: BounceClass::parse(&word(4)),
                reply: ReplyClass::parse(&word(5)),
            })
        };
        let passes: Vec<bool> = ready.passes(piece);
        piece.loaded.outcomes.iter().zip(passes).map(of).collect()
    }
}
