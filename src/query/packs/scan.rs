//! Questions to packs: which table of a pack carries the question, and adding its cells up.

use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::sums::{ROWS, Sums, latency_key};
use super::{Firsts, Loaded, Numbers, OutcomeWords, Packs, lock};
use crate::catalog::Result;
use crate::catalog::interner::Interner;
use crate::catalog::pack::{self, Column, QUARTER, QUARTERS, Section, Table, numbers};
use crate::catalog::rollup::{DIMENSIONS, OUTCOMES};
use crate::event::bounce::ReplyClass;
use crate::event::{Kind, Micros};
use crate::query::cells::GroupKey;
use crate::query::field::Field;
use crate::query::filter::status_allows;
use crate::query::measures::{Counts, Measure, Outcome};
use crate::query::replies::{FirstSeen, ReplyGroup, Span, identity};
use crate::query::scope::{Conditions, Scope};

/// A bucket without time.
const NO_TIME: i32 = i32::MIN;
/// The group of what the filters leave out.
pub(super) const LEFT_OUT: u32 = u32::MAX - 1;
/// The group of everything together.
const ALL: u32 = u32::MAX;
/// Quarters of an hour in a day, as starts are counted.
const DAY: i32 = 96;
/// The dimension `provider`, which small tables carry beside their own.
const PROVIDER: usize = 4;
/// The dimension with fewest values, which stands in for "all mail" by day.
const FEWEST: usize = 6;
/// Parts of the hashes that are looked at one after the other, so that what was seen stays in the cache.
const SHARES: u64 = 64;

/// A segment's part in a question.
#[derive(Debug, Clone)]
pub struct Piece {
    pub(super) loaded: Arc<Loaded>,
    /// Its day; `None`: rows without a time.
    pub(super) date: Option<i32>,
    /// Copies of other segments' events.
    pub(super) hidden: bool,
    /// Reports whose deliveries are known.
    attributed: bool,
    /// Its quarters; `None`: all of them.
    pub(super) quarters: Option<(usize, usize)>,
    /// How many rows it stands for, roughly.
    rows: i64,
}

impl Piece {
    pub(in crate::query) const fn new(
        loaded: Arc<Loaded>,
        date: Option<i32>,
        (hidden, attributed): (bool, bool),
        quarters: Option<(usize, usize)>,
        rows: i64,
    ) -> Self {
        Self { loaded, date, hidden, attributed, quarters, rows }
    }
}

/// What makes rows besides a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Nothing.
    None,
    /// Time: buckets of so many quarters of an hour.
    Quarters(i32),
    /// The reply's class.
    Class,
}

/// What is asked of packs.
#[derive(Debug, Clone, Copy)]
pub struct PackQuery<'a> {
    /// Filters; its time is not looked at.
    pub scope: &'a Scope,
    /// What makes the rows.
    pub group: Option<Field>,
    /// What else makes them.
    pub split: Split,
    /// Providers that send complaint reports.
    pub fbl: &'a [String],
}

/// A question made ready for the words that are known.
pub(in crate::query) struct Ready<'a> {
    allowed: [Option<Vec<bool>>; DIMENSIONS.len()],
    allowed_outcomes: [Option<Vec<bool>>; OUTCOMES.len()],
    status: Option<(Conditions, &'a Interner)>,
    dimension: Option<usize>,
    outcome: Option<usize>,
    split: Split,
    fbl: HashSet<u32>,
    /// The dimensions that filters and the group name, as bits.
    named: u8,
    words: &'a Interner,
}

impl<'a> Ready<'a> {
    pub(in crate::query) fn new(query: &PackQuery<'_>, words: &'a Interner) -> Self {
        let mut ready = Self {
            allowed: Default::default(),
            allowed_outcomes: Default::default(),
            status: None,
            dimension: None,
            outcome: None,
            split: query.split,
            fbl: query.fbl.iter().filter_map(|name| words.find(name)).collect(),
            named: 0,
            words,
        };
        for (field, conditions) in query.scope.by_field() {
            if field == Field::Type {
                continue;
            }
            let allowed = || {
                let test = conditions.test();
                words.all().iter().map(|word| test.allow(word)).collect()
            };
            let is = |name: &&str| *name == field.column_name();
            if let Some(index) = DIMENSIONS.iter().position(is) {
                ready.allowed[index] = Some(allowed());
                ready.named |= 1 << index;
            } else if field == Field::Status {
                ready.status = Some((conditions, words));
            } else if let Some(index) = OUTCOMES.iter().position(is) {
                ready.allowed_outcomes[index] = Some(allowed());
            }
        }
        if let Some(column) = query.group.map(Field::column_name) {
            ready.dimension = DIMENSIONS.iter().position(|name| *name == column);
            ready.outcome = OUTCOMES.iter().position(|name| *name == column);
            ready.named |= ready.dimension.map_or(0, |index| 1 << index);
        }
        ready
    }

    /// The one dimension that a small table must have; `None` where it takes more.
    fn single(&self) -> Option<usize> {
        let others = self.named & !(1 << PROVIDER);
        match others.count_ones() {
            0 => Some(PROVIDER),
            1 => Some(others.trailing_zeros() as usize),
            _ => None,
        }
    }

    /// Whether the outcome of a row matters for which row it adds to.
    fn looks_at_outcomes(&self) -> bool {
        self.outcome.is_some()
            || self.status.is_some()
            || self.split == Split::Class
            || self.allowed_outcomes.iter().any(Option::is_some)
    }

    fn by_day(&self, piece: &Piece) -> bool {
        let whole = match self.split {
            Split::Quarters(width) => width % DAY == 0,
            Split::None | Split::Class => true,
        };
        piece.quarters.is_none() && whole
    }

    fn counts_table(&self, piece: &Piece) -> Table {
        match (self.by_day(piece), self.single()) {
            (true, Some(index)) => Table::DayCounts(u8::try_from(index).unwrap_or_default()),
            (true, None) => Table::DayFull,
            (false, Some(PROVIDER)) => Table::QuarterCounts,
            (false, _) => Table::QuarterFull,
        }
    }

    fn latency_table(&self, piece: &Piece) -> Table {
        let single = match self.named.count_ones() {
            _ if self.looks_at_outcomes() => None,
            0 => Some(FEWEST),
            1 => Some(self.named.trailing_zeros() as usize),
            _ => None,
        };
        match (self.by_day(piece), single) {
            (true, Some(index)) => Table::DayLatency(u8::try_from(index).unwrap_or_default()),
            (true, None) => Table::DayFull,
            (false, Some(FEWEST)) if self.named == 0 => Table::QuarterLatency,
            (false, _) => Table::QuarterFull,
        }
    }

    /// The word of a number. Whoever waits to number new words stops all who ask the packs for theirs, so that nobody may ask twice.
    pub(super) fn word(&self, number: u32) -> Arc<str> {
        self.words.word(number)
    }

    /// The group of each value of a dimension, by the pack's own words.
    fn groups(&self, loaded: &Loaded, index: usize, groups: bool) -> Vec<u32> {
        let allowed = self.allowed[index].as_ref();
        loaded
            .words
            .iter()
            .map(|word| match allowed {
                Some(allowed) if !allowed.get(*word as usize).copied().unwrap_or_default() => LEFT_OUT,
                _ if groups => *word,
                _ => ALL,
            })
            .collect()
    }

    fn covered(&self, loaded: &Loaded) -> Vec<bool> {
        loaded.words.iter().map(|word| self.fbl.contains(word)).collect()
    }

    /// Which outcomes of a pack the filters let through.
    pub(super) fn passes(&self, piece: &Piece) -> Vec<bool> {
        self.outcomes(piece).iter().map(|outcome| outcome.passes).collect()
    }

    fn outcomes(&self, piece: &Piece) -> Vec<OutcomeOf> {
        piece.loaded.outcomes.iter().map(|outcome| self.outcome(piece, outcome)).collect()
    }

    fn outcome(&self, piece: &Piece, outcome: &OutcomeWords) -> OutcomeOf {
        let word = |index: usize| self.words.word(outcome.words[index]);
        let passes = self.allowed_outcomes.iter().zip(outcome.words).all(|(allowed, word)| {
            allowed.as_ref().is_none_or(|allowed| allowed.get(word as usize).copied().unwrap_or_default())
        });
        let status = self
            .status
            .as_ref()
            .is_none_or(|(conditions, _)| status_allows(conditions, &word(6), i64::from(outcome.code)));
        let kind = word(2);
        let mask = if piece.hidden {
            1 << Measure::Merged as u16
        } else {
            let class = word(4);
            let rate_reply = ReplyClass::parse(&word(5)).is_some_and(ReplyClass::is_rb);
            let mask = Outcome { role: &word(0), kind: &kind, bounce_class: &class, rate_reply, fbl: true }.mask();
            if piece.attributed { mask & !(1 << Measure::Unattributed as u16) } else { mask }
        };
        OutcomeOf {
            passes: passes && status,
            mask,
            group: self.outcome.map(|index| outcome.words[index]),
            class: outcome.words[5],
            attempt: Kind::parse(&kind) == Some(Kind::Deferred),
        }
    }

    /// Where the cells of a table are, and the start that they add to.
    fn spans(&self, piece: &Piece, table: Table, starts: &[u32]) -> Vec<(Range<usize>, i32)> {
        let at = |index: usize| starts.get(index).map_or(0, |start| *start as usize);
        let start = |quarter: usize| match (self.split, piece.date) {
            (Split::Quarters(width), Some(date)) => {
                let quarter = date * DAY + i32::try_from(quarter).unwrap_or_default();
                quarter.div_euclid(width) * width
            }
            (Split::Quarters(_), None) => NO_TIME,
            _ => 0,
        };
        if matches!(table, Table::DayFull | Table::DayCounts(_) | Table::DayLatency(_)) {
            return vec![(0..at(1), start(0))];
        }
        let (first, last) = piece.quarters.unwrap_or((0, QUARTERS));
        (first..last).map(|quarter| (at(quarter)..at(quarter + 1), start(quarter))).collect()
    }
}

/// What an outcome means for a question.
#[derive(Debug, Clone, Copy)]
struct OutcomeOf {
    passes: bool,
    mask: u16,
    group: Option<u32>,
    class: u32,
    attempt: bool,
}

/// What is wanted of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Counts of the measures.
    pub counts: bool,
    /// Latencies.
    pub latency: bool,
}

/// Where an answer's rows are, for packs of one question looked at one after the other.
struct Cursor {
    last: (u32, i32),
    slot: u32,
}

impl Cursor {
    const fn new() -> Self {
        Self { last: (LEFT_OUT, NO_TIME), slot: 0 }
    }

    fn slot(&mut self, sums: &mut Sums, group: u32, start: i32) -> u32 {
        if self.last != (group, start) {
            *self = Self { last: (group, start), slot: sums.slot(group, start) };
        }
        self.slot
    }
}

fn narrow(table: Table, column: Column) -> (Section, bool) {
    (Section::Cells(table, column), false)
}

fn wide(table: Table, column: Column) -> (Section, bool) {
    (Section::Cells(table, column), true)
}

impl Packs {
    /// Adds up the cells of some packs, on two threads where there is much to do.
    pub fn add_up(&self, pieces: &[Piece], query: &PackQuery<'_>, want: Want, sums: &mut [Sums; 2]) -> Result<()> {
        let words = self.words();
        let ready = Ready::new(query, &words);
        let part = |from: usize, step: usize, sums: &mut Sums| -> Result<()> {
            pieces.iter().skip(from).step_by(step).try_for_each(|piece| self.add_piece(piece, &ready, want, sums))
        };
        let [mine, others] = sums;
        if pieces.len() < 2 || pieces.iter().map(|piece| piece.rows).sum::<i64>() < 1 << 18 {
            return part(0, 1, mine);
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(|| part(1, 2, others));
            let mine = part(0, 2, mine);
            mine.and(other.join().unwrap_or_else(|_| Err(std::io::Error::other("adding up stopped").into())))
        })
    }

    fn add_piece(&self, piece: &Piece, ready: &Ready<'_>, want: Want, sums: &mut Sums) -> Result<()> {
        let want = Want { latency: want.latency && !piece.hidden, ..want };
        if ready.split == Split::Class && piece.hidden {
            return Ok(());
        }
        let (counts, latency) = (ready.counts_table(piece), ready.latency_table(piece));
        let is_full = |table: Table| matches!(table, Table::DayFull | Table::QuarterFull);
        if want.counts && want.latency && counts == latency {
            return self.add_full(piece, ready, counts, want, sums);
        }
        if want.counts {
            let alone = Want { counts: true, latency: false };
            if is_full(counts) {
                self.add_full(piece, ready, counts, alone, sums)?;
            } else {
                self.add_counts(piece, ready, counts, sums)?;
            }
        }
        if want.latency {
            let alone = Want { counts: false, latency: true };
            if is_full(latency) {
                self.add_full(piece, ready, latency, alone, sums)?;
            } else {
                self.add_latencies(piece, ready, latency, sums)?;
            }
        }
        Ok(())
    }

    /// The group of each combination of dimensions, and whether its provider sends complaint reports.
    pub(super) fn combos(&self, loaded: &Loaded, ready: &Ready<'_>) -> Result<(Vec<u32>, Vec<bool>)> {
        let combo = |index: usize| (Section::Combo(u8::try_from(index).unwrap_or_default()), false);
        let [providers] = self.columns(loaded, [combo(PROVIDER)])?;
        let covered = ready.covered(loaded);
        let is = |word: &u32| covered.get(*word as usize).copied().unwrap_or_default();
        let fbl: Vec<bool> = providers.narrow().iter().map(is).collect();
        let mut groups = vec![ALL; fbl.len()];
        for index in (0..DIMENSIONS.len()).filter(|index| ready.named & 1 << index != 0) {
            let [column] = self.columns(loaded, [combo(index)])?;
            let of = ready.groups(loaded, index, ready.dimension == Some(index));
            for (group, word) in groups.iter_mut().zip(column.narrow()) {
                match of.get(*word as usize).copied().unwrap_or(LEFT_OUT) {
                    LEFT_OUT => *group = LEFT_OUT,
                    ALL => {}
                    found if *group != LEFT_OUT => *group = found,
                    _ => {}
                }
            }
        }
        Ok((groups, fbl))
    }

    fn add_full(&self, piece: &Piece, ready: &Ready<'_>, table: Table, want: Want, sums: &mut Sums) -> Result<()> {
        let loaded = &piece.loaded;
        let (groups, fbl) = self.combos(loaded, ready)?;
        if groups.iter().all(|group| *group == LEFT_OUT) {
            return Ok(());
        }
        let outcomes = ready.outcomes(piece);
        let [starts, who, outcome, n] = self.columns(
            loaded,
            [Column::Starts, Column::Who, Column::Outcome, Column::N].map(|column| narrow(table, column)),
        )?;
        let latency = if want.latency {
            Some(
                self.columns(loaded, [narrow(table, Column::Lat), wide(table, Column::Sum), wide(table, Column::Max)])?,
            )
        } else {
            None
        };
        let (who, outcome, n) = (who.narrow(), outcome.narrow(), n.narrow());
        let mut cursor = Cursor::new();
        for (range, start) in ready.spans(piece, table, starts.narrow()) {
            for cell in range {
                let combo = who[cell] as usize;
                let group = groups[combo];
                if group == LEFT_OUT {
                    continue;
                }
                let outcome = &outcomes[outcome[cell] as usize];
                if !outcome.passes {
                    continue;
                }
                let start = if ready.split == Split::Class { outcome.class.cast_signed() } else { start };
                let slot = cursor.slot(sums, outcome.group.unwrap_or(group), start);
                if want.counts {
                    count(sums, slot, outcome.mask, fbl[combo], n[cell]);
                }
                if let Some([lat, sum, max]) = &latency
                    && lat.narrow()[cell] != 0
                {
                    let key = latency_key(slot, outcome.attempt, lat.narrow()[cell]);
                    let (sum, max) = (sum.wide()[cell].cast_signed(), max.wide()[cell].cast_signed());
                    sums.add_latency(key, i64::from(n[cell]), sum, max);
                }
            }
        }
        Ok(())
    }

    fn add_counts(&self, piece: &Piece, ready: &Ready<'_>, table: Table, sums: &mut Sums) -> Result<()> {
        let loaded = &piece.loaded;
        let own = ready.single().unwrap_or(PROVIDER);
        let groups = ready.groups(loaded, own, ready.dimension == Some(own));
        let providers = ready.groups(loaded, PROVIDER, ready.dimension == Some(PROVIDER));
        let covered = ready.covered(loaded);
        let outcomes = ready.outcomes(piece);
        let [starts, who, outcome, n] = self.columns(
            loaded,
            [Column::Starts, Column::Who, Column::Outcome, Column::N].map(|column| narrow(table, column)),
        )?;
        let provider: Arc<Numbers> = if own == PROVIDER {
            Arc::clone(&who)
        } else {
            let [provider] = self.columns(loaded, [narrow(table, Column::Provider)])?;
            provider
        };
        let (who, provider, outcome, n) = (who.narrow(), provider.narrow(), outcome.narrow(), n.narrow());
        let mut cursor = Cursor::new();
        for (range, start) in ready.spans(piece, table, starts.narrow()) {
            for cell in range {
                let (group, by) = (groups[who[cell] as usize], providers[provider[cell] as usize]);
                let outcome = &outcomes[outcome[cell] as usize];
                if group == LEFT_OUT || by == LEFT_OUT || !outcome.passes {
                    continue;
                }
                let group = outcome.group.unwrap_or(if group == ALL { by } else { group });
                let start = if ready.split == Split::Class { outcome.class.cast_signed() } else { start };
                let slot = cursor.slot(sums, group, start);
                count(sums, slot, outcome.mask, covered[provider[cell] as usize], n[cell]);
            }
        }
        Ok(())
    }

    fn add_latencies(&self, piece: &Piece, ready: &Ready<'_>, table: Table, sums: &mut Sums) -> Result<()> {
        let loaded = &piece.loaded;
        let groups = match table {
            Table::DayLatency(_) if ready.named != 0 => {
                let own = ready.named.trailing_zeros() as usize;
                Some(ready.groups(loaded, own, ready.dimension == Some(own)))
            }
            _ => None,
        };
        let [starts, who, attempt, n, lat] = self.columns(
            loaded,
            [Column::Starts, Column::Who, Column::Outcome, Column::N, Column::Lat].map(|column| narrow(table, column)),
        )?;
        let [sum, max] = self.columns(loaded, [wide(table, Column::Sum), wide(table, Column::Max)])?;
        let (who, attempt, n, lat) = (who.narrow(), attempt.narrow(), n.narrow(), lat.narrow());
        let mut cursor = Cursor::new();
        for (range, start) in ready.spans(piece, table, starts.narrow()) {
            for cell in range {
                let group = groups.as_ref().map_or(ALL, |groups| groups[who[cell] as usize]);
                if group == LEFT_OUT {
                    continue;
                }
                let slot = cursor.slot(sums, group, start);
                let key = latency_key(slot, attempt[cell] != 0, lat[cell]);
                let (sum, max) = (sum.wide()[cell].cast_signed(), max.wide()[cell].cast_signed());
                sums.add_latency(key, i64::from(n[cell]), sum, max);
            }
        }
        Ok(())
    }

    /// Sums by the words of their groups and the times of their buckets.
    pub(in crate::query) fn named(&self, sums: Sums, split: Split) -> HashMap<GroupKey, Counts> {
        let words = self.words();
        sums.named(&|key| name(&words, key, split))
    }

    /// The number of messages (by hash) that were deferred, by group and bucket; `more` are those of rows
    /// without packs.
    pub fn deferred(
        &self,
        pieces: &[Piece],
        query: &PackQuery<'_>,
        more: &HashMap<GroupKey, HashSet<u64>>,
    ) -> Result<HashMap<GroupKey, i64>> {
        let words = self.words();
        let ready = Ready::new(query, &words);
        let mut lists: Vec<Vec<(u64, u32)>> = Vec::new();
        let mut slots: HashMap<(u32, i32), u32> = HashMap::new();
        let mut keys: Vec<GroupKey> = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.hidden) {
            let loaded = &piece.loaded;
            let [hashes] = self.columns(loaded, [(Section::DeferredHash, true)])?;
            if hashes.wide().is_empty() {
                continue;
            }
            let [combos, when] =
                self.columns(loaded, [(Section::DeferredCombo, false), (Section::DeferredWhen, false)])?;
            let (groups, _) = self.combos(loaded, &ready)?;
            let outcomes = ready.outcomes(piece);
            let (first, last) = piece.quarters.unwrap_or((0, QUARTERS));
            let mut list = Vec::with_capacity(hashes.wide().len());
            let mut known = ((LEFT_OUT, NO_TIME), 0);
            for ((hash, combo), when) in hashes.wide().iter().zip(combos.narrow()).zip(when.narrow()) {
                let (outcome, quarter) = (&outcomes[(when >> 7) as usize], (when & 127) as usize);
                let group = groups[*combo as usize];
                if group == LEFT_OUT || !outcome.passes || quarter < first || quarter >= last {
                    continue;
                }
                let start = match (ready.split, piece.date) {
                    (Split::Quarters(width), Some(date)) => {
                        (date * DAY + i32::try_from(quarter).unwrap_or_default()).div_euclid(width) * width
                    }
                    (Split::Quarters(_), None) => NO_TIME,
                    _ => 0,
                };
                let key = (outcome.group.unwrap_or(group), start);
                if known.0 != key {
                    let next = u32::try_from(keys.len()).unwrap_or(u32::MAX);
                    let slot = *slots.entry(key).or_insert(next);
                    if slot == next {
                        keys.push(name(&words, key, ready.split));
                    }
                    known = (key, slot);
                }
                list.push((*hash, known.1));
            }
            lists.push(list);
        }
        let mut named: HashMap<GroupKey, u32> = HashMap::new();
        for (key, slot) in keys.iter().zip(0u32..) {
            named.insert(key.clone(), slot);
        }
        let mut list: Vec<(u64, u32)> = Vec::new();
        for (key, hashes) in more {
            let next = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            let slot = *named.entry(key.clone()).or_insert(next);
            if slot == next {
                keys.push(key.clone());
            }
            list.extend(hashes.iter().map(|hash| (*hash, slot)));
        }
        list.sort_unstable();
        lists.push(list);
        let counts = distinct(&lists, keys.len());
        Ok(keys.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect())
    }

    /// The replies of some packs, grouped. An example is empty where none of the rows that the pack has
    /// verbatim is among those asked for.
    pub(in crate::query) fn replies(&self, pieces: &[Piece], query: &PackQuery<'_>, span: Span) -> Result<Replies> {
        let words = self.words();
        let ready = Ready::new(query, &words);
        let mut groups: HashMap<(u32, u32, u32), ReplyGroup> = HashMap::new();
        for piece in pieces.iter().filter(|piece| !piece.hidden) {
            let loaded = &piece.loaded;
            let [times] = self.columns(loaded, [(Section::ReplyTime, true)])?;
            if times.wide().is_empty() {
                continue;
            }
            let narrow = [Section::ReplyCombo, Section::ReplyOutcome, Section::ReplyTemplate, Section::ExampleRow];
            let [combos, outcomes_of, templates, rows] =
                self.columns(loaded, narrow.map(|section| (section, false)))?;
            let [providers] = self.columns(loaded, [(Section::Combo(4), false)])?;
            let (who, _) = self.combos(loaded, &ready)?;
            let outcomes = ready.outcomes(piece);
            let day = piece.date.map(|date| Micros::from(date) * Micros::from(DAY) * QUARTER);
            let (first, last) = piece.quarters.unwrap_or((0, QUARTERS));
            let bound =
                |quarter: usize| day.unwrap_or_default() + Micros::try_from(quarter).unwrap_or_default() * QUARTER;
            let (from, until) = (bound(first), bound(last));
            let passes = |row: usize| {
                let time = times.wide()[row].cast_signed();
                let inside = day.is_none() || (from..until).contains(&time);
                inside
                    && who[combos.narrow()[row] as usize] != LEFT_OUT
                    && outcomes[outcomes_of.narrow()[row] as usize].passes
            };
            let key = |row: usize| {
                let word = |local: u32| loaded.words.get(local as usize).copied().unwrap_or_default();
                let provider = providers.narrow()[combos.narrow()[row] as usize];
                (word(templates.narrow()[row]), outcomes[outcomes_of.narrow()[row] as usize].class, word(provider))
            };
            for row in (0..times.wide().len()).filter(|row| passes(*row)) {
                let time = (times.wide()[row] != u64::MAX).then(|| times.wide()[row].cast_signed());
                let group = groups.entry(key(row)).or_default();
                group.n += 1;
                if let Some(rows) = time.and_then(|time| group.course.get_mut(span.part(time)?)) {
                    *rows += 1;
                }
                group.first = match (group.first, time) {
                    (Some(known), Some(time)) => Some(known.min(time)),
                    (known, time) => known.or(time),
                };
                group.last = group.last.max(time);
            }
            let texts = Self::texts(loaded, Section::ExampleText)?;
            for (row, text) in rows.narrow().iter().zip(texts) {
                let row = *row as usize;
                if passes(row)
                    && let Some(group) = groups.get_mut(&key(row))
                    && (group.example.is_empty() || text < group.example)
                {
                    group.example = text;
                }
            }
        }
        Ok(groups
            .into_iter()
            .map(|((template, class, provider), group)| {
                let text = |id: u32| words.word(id).as_ref().to_owned();
                ReplyGroup { template: text(template), class: text(class), provider: text(provider), ..group }
            })
            .collect())
    }

    /// When the replies of some packs were first seen. What a pack has of it is found once.
    pub(in crate::query) fn first_replies(&self, packs: &[(&str, Arc<Loaded>)]) -> Result<FirstSeen> {
        let mut first: HashMap<(u32, u32), Micros> = HashMap::new();
        for (path, loaded) in packs {
            for (reply, time) in self.firsts(path, loaded)?.iter() {
                first.entry(*reply).and_modify(|known| *known = (*known).min(*time)).or_insert(*time);
            }
        }
        let words = self.words();
        let named = first
            .into_iter()
            .map(|((template, provider), time)| (identity(&words.word(template), &words.word(provider)), time));
        Ok(named.collect())
    }

    fn firsts(&self, path: &str, loaded: &Loaded) -> Result<Arc<Firsts>> {
        if let Some(known) = lock(&self.firsts).get(path) {
            return Ok(Arc::clone(known));
        }
        // Not by way of the columns in memory: this is a single look at the whole catalog.
        let sections = [Section::ReplyTime, Section::ReplyCombo, Section::ReplyTemplate, Section::Combo(4)];
        let [times, combos, templates, providers] = loaded.read(&sections)?.try_into().unwrap_or_default();
        let (combos, templates, providers) = (numbers(&combos), numbers(&templates), numbers(&providers));
        let mut first: HashMap<(u32, u32), Micros> = HashMap::new();
        for ((time, combo), template) in pack::wide(&times).into_iter().zip(combos).zip(templates) {
            let provider = providers.get(combo as usize).copied().unwrap_or_default();
            if time != u64::MAX {
                let time = time.cast_signed();
                first.entry((template, provider)).and_modify(|known| *known = (*known).min(time)).or_insert(time);
            }
        }
        let word = |local: u32| loaded.words.get(local as usize).copied().unwrap_or_default();
        let firsts: Firsts =
            first.into_iter().map(|((template, provider), time)| ((word(template), word(provider)), time)).collect();
        let firsts = Arc::new(firsts);
        lock(&self.firsts).insert(path.to_owned(), Arc::clone(&firsts));
        Ok(firsts)
    }

    /// Rows with a reply class, by group and class.
    pub fn classes(&self, sums: &Sums) -> HashMap<(Arc<str>, Arc<str>), i64> {
        let words = self.words();
        sums.rows()
            .filter(|((_, class), _)| *class != 0)
            .map(|((group, class), n)| {
                let group = if group == ALL { Arc::from("") } else { words.word(group) };
                ((group, words.word(class.cast_unsigned())), n)
            })
            .collect()
    }

    /// Rows by group.
    pub fn values(&self, sums: &Sums) -> HashMap<Arc<str>, i64> {
        let words = self.words();
        sums.rows().map(|((group, _), n)| (words.word(group), n)).collect()
    }
}

/// Replies, grouped.
pub type Replies = Vec<ReplyGroup>;

fn name(words: &Interner, (group, start): (u32, i32), split: Split) -> GroupKey {
    let group = if group == ALL { Arc::from("") } else { words.word(group) };
    let timed = matches!(split, Split::Quarters(_)) && start != NO_TIME;
    (group, timed.then(|| Micros::from(start) * QUARTER))
}

/// Adds `n` rows to the measures of a mask.
fn count(sums: &mut Sums, slot: u32, mask: u16, fbl: bool, n: u32) {
    let counts = &mut sums.counts[slot as usize];
    let n = i64::from(n);
    counts[ROWS] += n;
    let mut left = if fbl { mask } else { mask & !(1 << Measure::DeliveredFbl as u16) };
    while left != 0 {
        counts[left.trailing_zeros() as usize] += n;
        left &= left - 1;
    }
}

/// What is a hash already is not hashed again.
#[derive(Debug, Default)]
struct Already(u64);

impl Hasher for Already {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// How many different hashes each slot has in lists that are sorted by hash.
fn distinct(lists: &[Vec<(u64, u32)>], slots: usize) -> Vec<i64> {
    let part = |from: u64| {
        let mut counts = vec![0i64; slots];
        let mut seen: HashSet<u64, BuildHasherDefault<Already>> = HashSet::default();
        for share in (from..SHARES).step_by(2) {
            seen.clear();
            let low = share << 58;
            for list in lists {
                let begin = list.partition_point(|(hash, _)| *hash < low);
                for entry in list.iter().skip(begin).take_while(|(hash, _)| hash >> 58 == share) {
                    // The first bits are those of the share: others come to the front.
                    let slot = u64::from(entry.1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    if seen.insert(entry.0.rotate_left(20) ^ slot) {
                        counts[entry.1 as usize] += 1;
                    }
                }
            }
        }
        counts
    };
    if lists.iter().map(Vec::len).sum::<usize>() < 1 << 16 {
        return part(0).into_iter().zip(part(1)).map(|(a, b)| a + b).collect();
    }
    let (other, mine) = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        let mine = part(0);
        (other.join(), mine)
    });
    match other {
        Ok(other) => mine.into_iter().zip(other).map(|(a, b)| a + b).collect(),
        Err(_) => part(0).into_iter().zip(part(1)).map(|(a, b)| a + b).collect(),
    }
}
