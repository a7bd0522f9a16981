//! Rows of a segment → a pack.

use std::path::Path;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::rows::{Rows, each};
use super::{Column, Packer, QUARTER, QUARTERS, Section, Table};
use crate::catalog::Result;
use crate::catalog::control::Segment;
use crate::catalog::interner::Interner;
use crate::catalog::rollup::{DIMENSIONS, latency_bucket};
use crate::event::{Kind, Micros, RecordType};

/// A segment with more rows has no pack; a day of it is answered from rollups and rows.
pub const MOST_ROWS: i64 = 50_000_000;

const DAY: Micros = 86_400_000_000;
/// Bits of a cell's key: quarter, combination, outcome, latency.
const COMBO_BITS: u32 = 24;
const OUTCOME_BITS: u32 = 16;
const LAT_BITS: u32 = 12;
/// Cells between two rounds of adding up.
const ROUND: usize = 1 << 20;

/// The hash of a message (SPEC §4: message id and recipient, else sender, recipient, queued time and job).
pub fn message_hash(id: Option<&str>, recipient: &str, sender: &str, queued: Option<Micros>, job: &str) -> u64 {
    let recipient = recipient.to_lowercase();
    let message = match id {
        Some(id) => format!("{id}\u{1f}{recipient}"),
        None => {
            let queued = queued.map_or_else(String::new, |queued| queued.to_string());
            format!("{sender}\u{1f}{recipient}\u{1f}{queued}\u{1f}{job}")
        }
    };
    xxhash_rust::xxh3::xxh3_64(message.as_bytes())
}

/// The hash of a text's lower case.
pub fn lower_hash(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.to_lowercase().as_bytes())
}

/// Rows that are alike.
#[derive(Debug, Clone, Copy)]
struct Cell {
    key: u64,
    n: u32,
    sum: u64,
    max: u64,
}

impl Cell {
    const fn lat(&self) -> u64 {
        self.key & ((1 << LAT_BITS) - 1)
    }

    const fn outcome(&self) -> u64 {
        self.key >> LAT_BITS & ((1 << OUTCOME_BITS) - 1)
    }

    const fn combo(&self) -> u64 {
        self.key >> (LAT_BITS + OUTCOME_BITS) & ((1 << COMBO_BITS) - 1)
    }

    const fn quarter(&self) -> u64 {
        self.key >> (LAT_BITS + OUTCOME_BITS + COMBO_BITS)
    }
}

/// Sorts cells and adds up those with equal keys.
fn add_up(cells: &mut Vec<Cell>) {
    cells.sort_unstable_by_key(|cell| cell.key);
    cells.dedup_by(|next, kept| {
        let same = next.key == kept.key;
        if same {
            kept.n += next.n;
            kept.sum += next.sum;
            kept.max = kept.max.max(next.max);
        }
        same
    });
}

/// Tuples → numbers in the order in which they were met.
#[derive(Debug)]
struct Tuples<const N: usize> {
    ids: HashMap<[u32; N], u32>,
    tuples: Vec<[u32; N]>,
}

impl<const N: usize> Tuples<N> {
    fn new() -> Self {
        Self { ids: HashMap::new(), tuples: Vec::new() }
    }

    fn id(&mut self, tuple: [u32; N]) -> u32 {
        let next = u32::try_from(self.tuples.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(tuple).or_insert(next);
        if id == next {
            self.tuples.push(tuple);
        }
        id
    }
}

/// A row whose reply is no success.
struct Reply {
    time: u64,
    combo: u32,
    outcome: u32,
    template: u32,
}

struct Builder {
    date: i64,
    combos: Tuples<8>,
    outcomes: Tuples<10>,
    cells: Vec<Cell>,
    /// Cells after the last round.
    settled: usize,
    deferred: Vec<(u64, u32, u32)>,
    mixed_case: Vec<u64>,
    replies: Vec<Reply>,
    /// By template, outcome's class, dimension and its word: the smallest text, and the row that has it.
    examples: HashMap<(u32, u32, u8, u32), usize>,
    texts: Vec<String>,
    templates: HashMap<String, u32>,
    fits: bool,
}

/// The pack of a segment's rows, or of those in a range of time; `None` where they are too many or too
/// different for one.
pub fn build(
    root: &Path,
    segment: &Segment,
    range: Option<(Option<Micros>, Option<Micros>)>,
) -> Result<Option<Vec<u8>>> {
    if segment.rows > MOST_ROWS {
        return Ok(None);
    }
    let mut builder = Builder {
        date: i64::from(segment.date.unwrap_or_default()) * DAY,
        combos: Tuples::new(),
        outcomes: Tuples::new(),
        cells: Vec::new(),
        settled: 0,
        deferred: Vec::new(),
        mixed_case: Vec::new(),
        replies: Vec::new(),
        examples: HashMap::new(),
        texts: Vec::new(),
        templates: HashMap::new(),
        fits: true,
    };
    let mut words = Interner::default();
    let kinds =
        [Kind::Bounced, Kind::Deferred, Kind::QueueError, Kind::RemoteBounce].map(|kind| words.id(kind.as_str()));
    let delivered = words.id(Kind::Delivered.as_str());
    // Deliveries and receipts need no texts.
    let plain = 1 << RecordType::D.index() | 1 << RecordType::R.index() | 1 << RecordType::F.index();
    let texts = segment.holds(!plain);
    let total = usize::try_from(segment.rows).unwrap_or_default();
    each(&root.join(&segment.path), total, range, texts, &mut words, |rows, words| {
        builder.add(rows, words, kinds, delivered);
        Ok(())
    })?;
    builder.fits &= builder.combos.tuples.len() < 1 << COMBO_BITS
        && builder.outcomes.tuples.len() < 1 << OUTCOME_BITS
        && words.all().len() < 1 << COMBO_BITS;
    if !builder.fits {
        return Ok(None);
    }
    Ok(Some(builder.finish(&words, u64::try_from(segment.rows).unwrap_or_default(), kinds[1])))
}

impl Builder {
    fn add(&mut self, rows: &Rows, words: &mut Interner, kinds: [u32; 4], delivered: u32) {
        let deferred = kinds[1];
        let mut last = ([u32::MAX; 8], 0);
        let mut last_outcome = ([u32::MAX; 10], 0);
        for row in 0..rows.len {
            let combo: [u32; 8] = std::array::from_fn(|index| rows.dimensions[index][row]);
            if combo != last.0 {
                last = (combo, self.combos.id(combo));
            }
            let mut outcome = [0; 10];
            for (slot, ids) in outcome.iter_mut().zip(&rows.outcomes) {
                *slot = ids[row];
            }
            outcome[7] = rows.codes[row];
            if outcome != last_outcome.0 {
                last_outcome = (outcome, self.outcomes.id(outcome));
            }
            let (combo_id, outcome_id, kind) = (last.1, last_outcome.1, outcome[2]);
            let quarter = match rows.times[row] {
                Some(time) => (time - self.date).div_euclid(QUARTER),
                None => 0,
            };
            let quarter = u64::try_from(quarter).unwrap_or(u64::MAX);
            self.fits &= quarter < QUARTERS as u64;
            let latency = rows.latencies[row].filter(|_| kind == delivered || kind == deferred);
            let ms = latency.map_or(0, |ms| u64::try_from(ms).unwrap_or_default());
            let lat = latency.map_or(0, |ms| u64::try_from(latency_bucket(ms) + 2).unwrap_or_default());
            self.fits &= lat < 1 << LAT_BITS;
            let key = ((quarter << COMBO_BITS | u64::from(combo_id)) << OUTCOME_BITS | u64::from(outcome_id))
                << LAT_BITS
                | lat;
            self.cells.push(Cell { key, n: 1, sum: ms, max: ms });
            let recipient = rows.recipient(row);
            let plain = recipient.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            if !plain && recipient.to_lowercase() != recipient {
                self.mixed_case.push(lower_hash(recipient));
            }
            if kinds.contains(&kind) {
                if kind == deferred {
                    let job = words.all()[combo[0] as usize].as_ref();
                    let sender = rows.sender(row);
                    let hash = message_hash(rows.message_id(row), recipient, sender, rows.queued(row), job);
                    self.deferred.push((hash, combo_id, outcome_id << 7 | u32::try_from(quarter).unwrap_or_default()));
                }
                if let Some(text) = rows.reply(row) {
                    self.reply(text, rows.times[row], (combo_id, combo), (outcome_id, outcome[5]), words);
                }
            }
            if !self.fits {
                return;
            }
        }
        if self.cells.len() > self.settled + ROUND {
            add_up(&mut self.cells);
            self.settled = self.cells.len();
        }
    }

    fn reply(
        &mut self,
        text: &str,
        time: Option<Micros>,
        (combo, dimensions): (u32, [u32; 8]),
        (outcome, class): (u32, u32),
        words: &mut Interner,
    ) {
        let template = match self.templates.get(text) {
            Some(template) => *template,
            None => {
                let template = words.id(&crate::reply::template(text));
                // Texts with an id of their own would only fill the memory.
                if self.templates.len() < 20_000 {
                    self.templates.insert(text.to_owned(), template);
                }
                template
            }
        };
        let row = self.replies.len();
        let mut kept = false;
        for (dimension, word) in (0u8..).zip(dimensions) {
            match self.examples.entry((template, class, dimension, word)) {
                Entry::Vacant(entry) => {
                    entry.insert(row);
                    kept = true;
                }
                Entry::Occupied(mut entry) => {
                    if text < self.texts[*entry.get()].as_str() {
                        entry.insert(row);
                        kept = true;
                    }
                }
            }
        }
        self.texts.push(if kept { text.to_owned() } else { String::new() });
        let time = time.map_or(u64::MAX, |time| time.cast_unsigned());
        self.replies.push(Reply { time, combo, outcome, template });
    }

    fn finish(mut self, words: &Interner, rows: u64, deferred: u32) -> Vec<u8> {
        let mut packer = Packer::default();
        packer.texts(Section::Words, words.all().iter().map(AsRef::as_ref));
        for dimension in 0..DIMENSIONS.len() {
            let section = Section::Combo(u8::try_from(dimension).unwrap_or_default());
            packer.numbers(section, self.combos.tuples.iter().map(|combo| combo[dimension]));
        }
        packer.numbers(Section::Outcomes, self.outcomes.tuples.iter().flatten().copied());
        add_up(&mut self.cells);
        pack_cells(&mut packer, Table::QuarterFull, &self.cells, true, &|cell| cell.combo());
        self.small(&mut packer, deferred);
        self.deferred.sort_unstable();
        self.deferred.dedup();
        packer.wide(Section::DeferredHash, self.deferred.iter().map(|row| row.0));
        packer.numbers(Section::DeferredCombo, self.deferred.iter().map(|row| row.1));
        packer.numbers(Section::DeferredWhen, self.deferred.iter().map(|row| row.2));
        self.mixed_case.sort_unstable();
        self.mixed_case.dedup();
        packer.wide(Section::MixedCase, self.mixed_case.iter().copied());
        packer.wide(Section::ReplyTime, self.replies.iter().map(|row| row.time));
        packer.numbers(Section::ReplyCombo, self.replies.iter().map(|row| row.combo));
        packer.numbers(Section::ReplyOutcome, self.replies.iter().map(|row| row.outcome));
        packer.numbers(Section::ReplyTemplate, self.replies.iter().map(|row| row.template));
        let mut examples: Vec<usize> = self.examples.values().copied().collect();
        examples.sort_unstable();
        examples.dedup();
        packer.numbers(Section::ExampleRow, examples.iter().map(|row| u32::try_from(*row).unwrap_or_default()));
        packer.texts(Section::ExampleText, examples.iter().map(|row| self.texts[*row].as_str()));
        packer.finish(rows)
    }

    /// The tables that are made of others.
    fn small(&self, packer: &mut Packer, deferred: u32) {
        let provider_index = DIMENSIONS.iter().position(|name| *name == "provider").unwrap_or_default();
        let provider = |cell: &Cell| u64::from(self.combos.tuples[cell.combo() as usize][provider_index]);
        let is_attempt = |cell: &Cell| u64::from(self.outcomes.tuples[cell.outcome() as usize][2] == deferred);
        let quarters = |key: &dyn Fn(&Cell) -> Option<u64>| mapped(&self.cells, key);
        let counts = |who: u64, cell: &Cell| (who << OUTCOME_BITS | cell.outcome()) << LAT_BITS;
        let latency = |who: u64, cell: &Cell| {
            (cell.lat() != 0).then(|| (who << OUTCOME_BITS | is_attempt(cell)) << LAT_BITS | cell.lat())
        };
        let at = |cell: &Cell, key: u64| cell.quarter() << (LAT_BITS + OUTCOME_BITS + COMBO_BITS) | key;
        let cells = quarters(&|cell| Some(at(cell, counts(provider(cell), cell))));
        pack_cells(packer, Table::QuarterCounts, &cells, true, &|cell| cell.combo());
        let cells = quarters(&|cell| latency(0, cell).map(|key| at(cell, key)));
        pack_cells(packer, Table::QuarterLatency, &cells, true, &|cell| cell.combo());
        let day = quarters(&|cell| Some(at(cell, 0) ^ cell.key));
        pack_cells(packer, Table::DayFull, &day, false, &|cell| cell.combo());
        for dimension in 0..DIMENSIONS.len() {
            let word = |cell: &Cell| u64::from(self.combos.tuples[cell.combo() as usize][dimension]);
            let number = u8::try_from(dimension).unwrap_or_default();
            // Pairs of a word and a provider, numbered.
            let mut pairs = Tuples::<2>::new();
            let ids: Vec<u64> = self
                .combos
                .tuples
                .iter()
                .map(|combo| u64::from(pairs.id([combo[dimension], combo[provider_index]])))
                .collect();
            let cells = mapped(&day, &|cell| Some(counts(ids[cell.combo() as usize], cell)));
            let table = Table::DayCounts(number);
            let pair = |cell: &Cell| pairs.tuples[cell.combo() as usize];
            pack_cells(packer, table, &cells, false, &|cell| u64::from(pair(cell)[0]));
            packer.numbers(Section::Cells(table, Column::Provider), cells.iter().map(|cell| pair(cell)[1]));
            let cells = mapped(&day, &|cell| latency(word(cell), cell));
            pack_cells(packer, Table::DayLatency(number), &cells, false, &|cell| cell.combo());
        }
    }
}

/// Cells under other keys; those without one are left out.
fn mapped(cells: &[Cell], key: &dyn Fn(&Cell) -> Option<u64>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = cells.iter().filter_map(|cell| key(cell).map(|key| Cell { key, ..*cell })).collect();
    add_up(&mut cells);
    cells
}

/// Writes the columns of a table.
fn pack_cells(packer: &mut Packer, table: Table, cells: &[Cell], by_quarter: bool, who: &dyn Fn(&Cell) -> u64) {
    let column = |column| Section::Cells(table, column);
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let starts: Vec<u32> = if by_quarter {
        (0..=QUARTERS as u64)
            .map(|quarter| number(cells.partition_point(|cell| cell.quarter() < quarter) as u64))
            .collect()
    } else {
        vec![0, number(cells.len() as u64)]
    };
    packer.numbers(column(Column::Starts), starts);
    packer.numbers(column(Column::Who), cells.iter().map(|cell| number(who(cell))));
    packer.numbers(column(Column::Outcome), cells.iter().map(|cell| number(cell.outcome())));
    packer.numbers(column(Column::N), cells.iter().map(|cell| cell.n));
    if !matches!(table, Table::QuarterCounts | Table::DayCounts(_)) {
        packer.numbers(column(Column::Lat), cells.iter().map(|cell| number(cell.lat())));
        packer.wide(column(Column::Sum), cells.iter().map(|cell| cell.sum));
        packer.wide(column(Column::Max), cells.iter().map(|cell| cell.max));
    }
}
