//! The rollups in memory: cells of counts and of latency as columns of small integers, loaded a file at
//! a time as questions need them and kept. A crash loses nothing but this cache.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use hashbrown::HashMap;

use super::field::Field as ScopeField;
use super::measures::{Counts, Measure, Outcome};
use super::scope::Scope;
use crate::catalog::control::RollupFile;
use crate::catalog::merge::{Shadow, hides};
use crate::catalog::rollup::{COUNT_BUCKET, DIMENSIONS, LATENCY_BUCKET, LATENCY_DIMENSIONS, MEASURES, OUTCOMES};
use crate::catalog::{Error, Result, Snapshot, rollup};
use crate::event::bounce::ReplyClass;
use crate::event::{Micros, Role};

/// A bucket without time.
const NO_TIME: i32 = i32::MIN;

/// Group value and bucket of a row of a report.
pub type GroupKey = (Arc<str>, Option<Micros>);

/// Rows by group and reply class.
pub type ClassCounts = HashMap<(Arc<str>, Arc<str>), i64>;

/// What is asked of the cells.
#[derive(Debug, Clone)]
pub struct CellQuery<'a> {
    /// Filters; its time is not looked at.
    pub scope: &'a Scope,
    /// Buckets from (inclusive); must be on a bucket's edge.
    pub from: Option<Micros>,
    /// Buckets until (exclusive); must be on a bucket's edge.
    pub until: Option<Micros>,
    /// What makes the rows.
    pub group: Option<ScopeField>,
    /// Width of the time buckets that make the rows.
    pub bucket: Option<Micros>,
    /// Roles that the scope allows, as bits.
    pub roles: u8,
}

/// The rollups in memory.
#[derive(Debug, Default)]
pub struct Cells {
    words: RwLock<Words>,
    counts: Mutex<HashMap<String, Arc<CountBlock>>>,
    latency: Mutex<HashMap<String, Arc<LatencyBlock>>>,
}

/// Words and tuples of words that cells refer to; only ever appended to.
#[derive(Debug, Default)]
struct Words {
    words: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, u32>,
    combos: Vec<[u32; 8]>,
    combo_ids: HashMap<[u32; 8], u32>,
    outcomes: Vec<OutcomeWords>,
    outcome_ids: HashMap<OutcomeWords, u32>,
}

/// What happened: words, SMTP code, shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct OutcomeWords {
    words: [u32; OUTCOMES.len()],
    code: i32,
    shadow: Shadow,
}

impl Words {
    fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        let id = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let word: Arc<str> = Arc::from(word);
        self.words.push(Arc::clone(&word));
        self.ids.insert(word, id);
        id
    }

    fn word(&self, id: u32) -> &str {
        self.words.get(id as usize).map_or("", |word| word)
    }

    fn combo(&mut self, combo: [u32; 8]) -> u32 {
        let next = u32::try_from(self.combos.len()).unwrap_or(u32::MAX);
        let id = *self.combo_ids.entry(combo).or_insert(next);
        if id == next {
            self.combos.push(combo);
        }
        id
    }

    fn outcome(&mut self, outcome: OutcomeWords) -> u32 {
        let next = u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX);
        let id = *self.outcome_ids.entry(outcome).or_insert(next);
        if id == next {
            self.outcomes.push(outcome);
        }
        id
    }
}

/// One file of counts: 16 bytes a cell.
#[derive(Debug, Default)]
struct CountBlock {
    bucket: Vec<i32>,
    combo: Vec<u32>,
    outcome: Vec<u32>,
    n: Vec<i32>,
}

/// One file of latencies.
#[derive(Debug, Default)]
struct LatencyBlock {
    rows: Vec<LatencyRow>,
}

#[derive(Debug, Clone, Copy)]
struct LatencyRow {
    hour: i32,
    value: u32,
    role: u32,
    bucket: i32,
    n: i32,
    // Milliseconds: 45 days, which real files hold, are more than 32 bits.
    max: i64,
    sum: i64,
    dimension: u8,
    attempt: bool,
    shadow: Shadow,
}

impl Cells {
    /// Bytes that the cells hold in memory.
    pub fn bytes(&self) -> usize {
        let counts: usize = lock(&self.counts).values().map(|block| block.n.len() * 16).sum();
        let latency: usize = lock(&self.latency).values().map(|block| block.rows.len() * size_of::<LatencyRow>()).sum();
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        counts + latency + words.combos.len() * 80 + words.words.len() * 96
    }

    /// Forgets files that are no longer live.
    pub fn keep_only(&self, snapshot: &Snapshot) {
        let live: std::collections::HashSet<&str> = snapshot.rollups.iter().map(|file| file.path.as_str()).collect();
        lock(&self.counts).retain(|path, _| live.contains(path.as_str()));
        lock(&self.latency).retain(|path, _| live.contains(path.as_str()));
    }

    /// Adds up counts by group and bucket. `fbl` tells which providers send complaint reports.
    pub fn counts(
        &self,
        snapshot: &Snapshot,
        query: &CellQuery<'_>,
        fbl: &dyn Fn(&str) -> bool,
    ) -> Result<HashMap<GroupKey, Counts>> {
        let blocks = self.count_blocks(snapshot, query)?;
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let filter = Filter::new(&words, query);
        let masks = Masks::new(&words, query, fbl);
        let group_of = group_reader(query.group);
        let (from, until) = edges(query, COUNT_BUCKET);
        let width = query.bucket.map(|width| i32::try_from(width / COUNT_BUCKET).unwrap_or(1).max(1));
        let mut sums: HashMap<(u32, i32), Counts> = HashMap::new();
        for block in &blocks {
            for row in 0..block.n.len() {
                let bucket = block.bucket[row];
                if bucket < from || bucket >= until {
                    continue;
                }
                let (combo, outcome) = (block.combo[row] as usize, block.outcome[row] as usize);
                if !filter.combos[combo] || !filter.outcomes[outcome] {
                    continue;
                }
                let group = group_of(&words.combos[combo], &words.outcomes[outcome]);
                let start =
                    width.map_or(0, |width| if bucket == NO_TIME { NO_TIME } else { bucket.div_euclid(width) * width });
                let mask = masks.of(combo, outcome);
                sums.entry((group, start)).or_default().add(mask, i64::from(block.n[row]));
            }
        }
        Ok(named(sums, &words, query, COUNT_BUCKET))
    }

    /// Adds up latencies by one dimension (or all mail) and bucket.
    pub fn latency(
        &self,
        snapshot: &Snapshot,
        query: &CellQuery<'_>,
        dimension: &str,
    ) -> Result<HashMap<GroupKey, Counts>> {
        let blocks = self.latency_blocks(snapshot, query)?;
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = LATENCY_DIMENSIONS.iter().position(|name| *name == dimension) else {
            return Ok(HashMap::new());
        };
        let allowed: Vec<bool> = match field_of(dimension) {
            Some(field) => {
                let conditions = query.scope.conditions(field);
                let test = conditions.test();
                words.words.iter().map(|word| test.allow(word)).collect()
            }
            None => vec![true; words.words.len()],
        };
        let roles: Vec<u8> = words.words.iter().map(|word| Role::parse(word).map_or(0, Role::bit)).collect();
        let (from, until) = edges(query, LATENCY_BUCKET);
        let width = query.bucket.map(|width| i32::try_from(width / LATENCY_BUCKET).unwrap_or(1).max(1));
        let mut sums: HashMap<(u32, i32), Counts> = HashMap::new();
        for row in blocks.iter().flat_map(|block| &block.rows) {
            let right = usize::from(row.dimension) == number
                && row.hour >= from
                && row.hour < until
                && roles[row.role as usize] & query.roles != 0
                && !hides(row.shadow, query.roles)
                && allowed[row.value as usize];
            if !right {
                continue;
            }
            let group = if query.group.is_some() { row.value } else { u32::MAX };
            let start = width.map_or(0, |width| row.hour.div_euclid(width) * width);
            let counts = sums.entry((group, start)).or_default();
            let histogram = if row.attempt { &mut counts.attempt } else { &mut counts.delivery };
            histogram.add(row.bucket, i64::from(row.n), row.sum, row.max);
        }
        Ok(named(sums, &words, query, LATENCY_BUCKET))
    }

    /// Rows with a reply class, by group and class.
    pub fn classes(&self, snapshot: &Snapshot, query: &CellQuery<'_>) -> Result<ClassCounts> {
        let blocks = self.count_blocks(snapshot, query)?;
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let filter = Filter::new(&words, query);
        let group_of = group_reader(query.group);
        let (from, until) = edges(query, COUNT_BUCKET);
        let mut sums: HashMap<(u32, u32), i64> = HashMap::new();
        for block in &blocks {
            for row in 0..block.n.len() {
                let (combo, outcome) = (block.combo[row] as usize, block.outcome[row] as usize);
                let inside = (from..until).contains(&block.bucket[row]);
                let words_of = &words.outcomes[outcome];
                if inside && filter.combos[combo] && filter.outcomes[outcome] && !hides(words_of.shadow, query.roles) {
                    *sums.entry((group_of(&words.combos[combo], words_of), words_of.words[5])).or_default() +=
                        i64::from(block.n[row]);
                }
            }
        }
        Ok(sums
            .into_iter()
            .filter(|((_, class), _)| !words.word(*class).is_empty())
            .map(|((group, class), n)| {
                let group = words.words.get(group as usize).map_or_else(|| Arc::from(""), Arc::clone);
                ((group, Arc::from(words.word(class))), n)
            })
            .collect())
    }

    /// Rows by group.
    pub fn values(&self, snapshot: &Snapshot, query: &CellQuery<'_>) -> Result<HashMap<Arc<str>, i64>> {
        let blocks = self.count_blocks(snapshot, query)?;
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let group_of = group_reader(query.group);
        let mut sums: HashMap<u32, i64> = HashMap::new();
        for block in &blocks {
            for row in 0..block.n.len() {
                let group =
                    group_of(&words.combos[block.combo[row] as usize], &words.outcomes[block.outcome[row] as usize]);
                *sums.entry(group).or_default() += i64::from(block.n[row]);
            }
        }
        Ok(sums.into_iter().map(|(id, n)| (Arc::from(words.word(id)), n)).collect())
    }

    fn count_blocks(&self, snapshot: &Snapshot, query: &CellQuery<'_>) -> Result<Vec<Arc<CountBlock>>> {
        files(snapshot, "counts", query)
            .map(|file| {
                if let Some(block) = lock(&self.counts).get(&file.path) {
                    return Ok(Arc::clone(block));
                }
                let block = Arc::new(self.load_counts(&snapshot.root.join(&file.path))?);
                lock(&self.counts).insert(file.path.clone(), Arc::clone(&block));
                Ok(block)
            })
            .collect()
    }

    fn latency_blocks(&self, snapshot: &Snapshot, query: &CellQuery<'_>) -> Result<Vec<Arc<LatencyBlock>>> {
        files(snapshot, "latency", query)
            .map(|file| {
                if let Some(block) = lock(&self.latency).get(&file.path) {
                    return Ok(Arc::clone(block));
                }
                let block = Arc::new(self.load_latency(&snapshot.root.join(&file.path))?);
                lock(&self.latency).insert(file.path.clone(), Arc::clone(&block));
                Ok(block)
            })
            .collect()
    }

    fn load_counts(&self, path: &Path) -> Result<CountBlock> {
        let mut block = CountBlock::default();
        for batch in rollup::read(path)? {
            let batch = batch?;
            let mut words = self.words.write().unwrap_or_else(PoisonError::into_inner);
            let dimensions = DIMENSIONS.iter().map(|name| ids(&batch, name, &mut words)).collect::<Result<Vec<_>>>()?;
            let outcomes = OUTCOMES.iter().map(|name| ids(&batch, name, &mut words)).collect::<Result<Vec<_>>>()?;
            let buckets = column(&batch, "bucket")?.as_primitive::<TimestampMicrosecondType>();
            let codes = column(&batch, "smtp_code")?.as_primitive::<Int32Type>();
            let shadows = column(&batch, "shadow")?.as_primitive::<UInt32Type>();
            let counts = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let combo = std::array::from_fn(|index| dimensions[index][row]);
                let outcome = OutcomeWords {
                    words: std::array::from_fn(|index| outcomes[index][row]),
                    code: if codes.is_null(row) { 0 } else { codes.value(row) },
                    shadow: shadows.value(row),
                };
                block.bucket.push(if buckets.is_null(row) {
                    NO_TIME
                } else {
                    narrow(buckets.value(row) / COUNT_BUCKET)
                });
                block.combo.push(words.combo(combo));
                block.outcome.push(words.outcome(outcome));
                block.n.push(narrow(counts.value(row)));
            }
        }
        Ok(block)
    }

    fn load_latency(&self, path: &Path) -> Result<LatencyBlock> {
        let mut block = LatencyBlock::default();
        for batch in rollup::read(path)? {
            let batch = batch?;
            let mut words = self.words.write().unwrap_or_else(PoisonError::into_inner);
            let dimension_ids: Vec<u32> = LATENCY_DIMENSIONS.iter().map(|name| words.id(name)).collect();
            let attempt = words.id(MEASURES[1]);
            let dimensions = ids(&batch, "dimension", &mut words)?;
            let values = ids(&batch, "value", &mut words)?;
            let measures = ids(&batch, "measure", &mut words)?;
            let roles = ids(&batch, "event_type", &mut words)?;
            let hours = column(&batch, "bucket")?.as_primitive::<TimestampMicrosecondType>();
            let shadows = column(&batch, "shadow")?.as_primitive::<UInt32Type>();
            let buckets = column(&batch, "latency_bucket")?.as_primitive::<Int32Type>();
            let int = |name: &str| -> Result<_> { Ok(column(&batch, name)?.as_primitive::<Int64Type>().clone()) };
            let (n, sum, max) = (int("n")?, int("sum_ms")?, int("max_ms")?);
            for row in 0..batch.num_rows() {
                block.rows.push(LatencyRow {
                    hour: narrow(hours.value(row) / LATENCY_BUCKET),
                    value: values[row],
                    role: roles[row],
                    bucket: buckets.value(row),
                    n: narrow(n.value(row)),
                    max: max.value(row),
                    sum: sum.value(row),
                    dimension: dimension_ids
                        .iter()
                        .position(|id| *id == dimensions[row])
                        .and_then(|index| u8::try_from(index).ok())
                        .unwrap_or(u8::MAX),
                    attempt: measures[row] == attempt,
                    shadow: shadows.value(row),
                });
            }
        }
        Ok(block)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn narrow(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN + 1 } else { i32::MAX })
}

/// The rollup files of a kind that may hold cells of the range.
fn files<'s>(
    snapshot: &'s Snapshot,
    kind: &'static str,
    query: &CellQuery<'_>,
) -> impl Iterator<Item = &'s RollupFile> {
    const DAY: Micros = 86_400_000_000;
    let (from, until) = (query.from, query.until);
    snapshot.rollups.iter().filter(move |file| {
        let inside = file.date.is_none_or(|date| {
            let start = Micros::from(date) * DAY;
            from.is_none_or(|from| from < start + DAY) && until.is_none_or(|until| start < until)
        });
        file.kind == kind && inside
    })
}

/// The range as numbers of buckets; without bounds, cells without a time are in.
fn edges(query: &CellQuery<'_>, width: Micros) -> (i32, i32) {
    let from = query.from.map_or(NO_TIME, |from| narrow(from.div_euclid(width)));
    let until = query.until.map_or(i32::MAX, |until| narrow(until.div_euclid(width)));
    // A scope that ends somewhere holds no rows without a time.
    let from = if query.from.is_none() && query.until.is_some() { NO_TIME + 1 } else { from };
    (from, until)
}

/// Which combos and outcomes pass the filters of a scope.
struct Filter {
    combos: Vec<bool>,
    outcomes: Vec<bool>,
}

impl Filter {
    fn new(words: &Words, query: &CellQuery<'_>) -> Self {
        let mut combos = vec![true; words.combos.len()];
        let mut outcomes = vec![true; words.outcomes.len()];
        for (field, conditions) in query.scope.by_field() {
            if field == ScopeField::Type {
                continue;
            }
            let test = conditions.test();
            let allowed: Vec<bool> = words.words.iter().map(|word| test.allow(word)).collect();
            if let Some(index) = DIMENSIONS.iter().position(|name| *name == field.column_name()) {
                for (passes, combo) in combos.iter_mut().zip(&words.combos) {
                    *passes &= allowed[combo[index] as usize];
                }
            } else if field == ScopeField::Status {
                for (passes, outcome) in outcomes.iter_mut().zip(&words.outcomes) {
                    *passes &= super::filter::status_allows(
                        &conditions,
                        words.word(outcome.words[6]),
                        i64::from(outcome.code),
                    );
                }
            } else if let Some(index) = OUTCOMES.iter().position(|name| *name == field.column_name()) {
                for (passes, outcome) in outcomes.iter_mut().zip(&words.outcomes) {
                    *passes &= allowed[outcome.words[index] as usize];
                }
            }
        }
        for (passes, outcome) in outcomes.iter_mut().zip(&words.outcomes) {
            let role = Role::parse(words.word(outcome.words[0])).map_or(0, Role::bit);
            *passes &= role & query.roles != 0;
        }
        Self { combos, outcomes }
    }
}

/// The measures of combos and outcomes.
struct Masks {
    outcomes: Vec<u16>,
    fbl: Vec<bool>,
}

impl Masks {
    fn new(words: &Words, query: &CellQuery<'_>, fbl: &dyn Fn(&str) -> bool) -> Self {
        let provider = DIMENSIONS.iter().position(|name| *name == "provider").unwrap_or_default();
        let covered: HashMap<u32, bool> = words
            .combos
            .iter()
            .map(|combo| combo[provider])
            .collect::<std::collections::HashSet<u32>>()
            .into_iter()
            .map(|id| (id, fbl(words.word(id))))
            .collect();
        let outcomes = words
            .outcomes
            .iter()
            .map(|outcome| {
                if hides(outcome.shadow, query.roles) {
                    return 1 << Measure::Merged as u16;
                }
                let rate_reply = ReplyClass::parse(words.word(outcome.words[5])).is_some_and(ReplyClass::is_rb);
                Outcome {
                    role: words.word(outcome.words[0]),
                    kind: words.word(outcome.words[2]),
                    bounce_class: words.word(outcome.words[4]),
                    rate_reply,
                    fbl: true,
                }
                .mask()
            })
            .collect();
        Self { outcomes, fbl: words.combos.iter().map(|combo| covered[&combo[provider]]).collect() }
    }

    fn of(&self, combo: usize, outcome: usize) -> u16 {
        let mask = self.outcomes[outcome];
        if self.fbl[combo] { mask } else { mask & !(1 << Measure::DeliveredFbl as u16) }
    }
}

/// How to find a cell's group; `u32::MAX` stands for "all".
fn group_reader(group: Option<ScopeField>) -> impl Fn(&[u32; 8], &OutcomeWords) -> u32 {
    let column = group.map(ScopeField::column_name);
    let dimension = column.and_then(|column| DIMENSIONS.iter().position(|name| *name == column));
    let outcome = column.and_then(|column| OUTCOMES.iter().position(|name| *name == column));
    move |combo, words| match (dimension, outcome) {
        (Some(index), _) => combo[index],
        (None, Some(index)) => words.words[index],
        (None, None) => u32::MAX,
    }
}

fn named(
    sums: HashMap<(u32, i32), Counts>,
    words: &Words,
    query: &CellQuery<'_>,
    width: Micros,
) -> HashMap<GroupKey, Counts> {
    sums.into_iter()
        .map(|((group, start), counts)| {
            let group = words.words.get(group as usize).map_or_else(|| Arc::from(""), Arc::clone);
            let start = query.bucket.and((start != NO_TIME).then(|| Micros::from(start) * width));
            ((group, start), counts)
        })
        .collect()
}

fn field_of(column: &str) -> Option<ScopeField> {
    super::field::FIELDS.iter().copied().find(|field| field.column_name() == column)
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b arrow::array::ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::Arrow(arrow::error::ArrowError::SchemaError(format!("a rollup has no column `{name}`"))))
}

/// A column of words as ids.
fn ids(batch: &RecordBatch, name: &str, words: &mut Words) -> Result<Vec<u32>> {
    let nothing = words.id("");
    let dictionary = column(batch, name)?.as_dictionary::<Int32Type>();
    let values = dictionary.values().as_string::<i32>();
    let map: Vec<u32> = values.iter().map(|word| words.id(word.unwrap_or_default())).collect();
    let keys = dictionary.keys();
    Ok((0..keys.len())
        .map(|row| if keys.is_null(row) { nothing } else { map[usize::try_from(keys.value(row)).unwrap_or_default()] })
        .collect())
}
