//! What is added up at ingest: counts by quarter of an hour × dimensions × outcome, and latency
//! histograms by hour × one dimension. A later commit that makes an event a copy writes cells with
//! negative counts; sums over all files of a day are what counts.
//!
//! `counts` answers every combination of the dimensions, filters and groups alike; `latency` answers
//! one dimension, filtered and grouped by itself or by time. Everything else goes to raw Parquet.

use std::fs::File;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::control::RollupFile;
use super::interner::Interner;
use super::merge::Shadow;
use super::sums::{Key, Numbered, Sum, Sums, sort_and_join};
use super::{Result, layout, write};
use crate::event::schema::timestamp;
use crate::event::{Kind, Micros, column_index};

/// Width of a bucket of counts.
pub const COUNT_BUCKET: Micros = 15 * 60 * 1_000_000;
/// Width of a bucket of latencies.
pub const LATENCY_BUCKET: Micros = 60 * 60 * 1_000_000;

/// The dimensions that counts carry, as columns of `events`.
pub const DIMENSIONS: [&str; 8] =
    ["job_id", "user_id", "sender_domain", "recipient_domain", "provider", "vmta", "vmta_pool", "source_ip"];

/// What happened, as columns of `events`, besides `smtp_code` and `is_rb`.
pub const OUTCOMES: [&str; 7] =
    ["event_type", "record_type", "kind", "bounce_category", "bounce_class", "reply_class", "smtp_status"];

/// The dimensions of `latency`; the empty name stands for all mail together.
pub const LATENCY_DIMENSIONS: [&str; 8] =
    ["", "job_id", "user_id", "recipient_domain", "provider", "vmta", "vmta_pool", "source_ip"];

/// Relative accuracy of latency buckets: half of the 1 % that SPEC §4 allows, since a bucket answers
/// with the mean of its values.
const ALPHA: f64 = 0.005;

/// The histogram bucket of a latency: `ceil(ln ms / ln γ)`, γ = (1+α)/(1-α) (DDSketch, Masson et al.
/// 2019); zero has a bucket of its own.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "latencies are far below 2^52 ms")]
pub fn latency_bucket(ms: i64) -> i32 {
    if ms <= 0 { -1 } else { ((ms as f64).ln() / log_gamma()).ceil() as i32 }
}

/// ln γ.
pub fn log_gamma() -> f64 {
    ((1.0 + ALPHA) / (1.0 - ALPHA)).ln()
}

/// When events that are counted together happened, and where they are copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Quarter {
    date: Option<i32>,
    begins: Option<Micros>,
    shadow: Shadow,
}

/// Of what latencies a histogram is, but for the dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Hour {
    date: Option<i32>,
    begins: Micros,
    attempt: bool,
    role: u32,
    shadow: Shadow,
}

/// A dimension and a bucket, the one that stands for zero moved up to 0.
fn place_of(dimension: u32, bucket: i32) -> u32 {
    dimension << 16 | bucket.saturating_add(1).cast_unsigned() & 0xffff
}

/// The dimension and the bucket of a place.
fn parts_of(place: u32) -> (usize, i32) {
    ((place >> 16) as usize, (place & 0xffff).cast_signed() - 1)
}

/// The names of the two latency measures (SPEC §4).
pub const MEASURES: [&str; 2] = ["delivery", "attempt"];

#[derive(Debug, Clone, Copy, Default)]
struct LatencyCell {
    n: i64,
    sum: i64,
    max: i64,
}

/// Adds up batches of events.
#[derive(Debug, Default)]
pub struct Builder {
    words: Interner,
    combos: Numbered<[u32; 8]>,
    outcomes: Numbered<[u32; 9]>,
    quarters: Numbered<Quarter>,
    hours: Numbered<Hour>,
    /// By quarter, combination and outcome.
    counts: Sums<i64>,
    /// By hour, value, and dimension with bucket.
    latency: Sums<LatencyCell>,
}

impl Sum for LatencyCell {
    fn add(&mut self, more: Self) {
        self.n += more.n;
        self.sum += more.sum;
        self.max = self.max.max(more.max);
    }
}

/// One column of a batch as ids of the builder.
struct Ids {
    ids: Vec<u32>,
}

impl Ids {
    /// `known`: the ids of the words of the column's dictionary, as far as they were asked for.
    fn of(column: &ArrayRef, words: &mut Interner, known: Option<&mut Vec<u32>>) -> Result<Self> {
        let ids = if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
            let values = cast(dictionary.values(), &DataType::Utf8)?;
            let values = values.as_string::<i32>();
            let keys = dictionary.keys();
            if keys.null_count() == keys.len() {
                return Ok(Self { ids: vec![0; keys.len()] });
            }
            // Only words that rows use are taken over.
            let mut own = Vec::new();
            let known = known.unwrap_or(&mut own);
            known.resize(values.len(), u32::MAX);
            let mut id = |key: i32| {
                let key = usize::try_from(key).unwrap_or_default();
                if known[key] == u32::MAX {
                    known[key] = words.id(values.value(key));
                }
                known[key]
            };
            match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
                None => keys.values().iter().map(|key| id(*key)).collect(),
                Some(nulls) => {
                    keys.values().iter().zip(nulls).map(|(key, there)| if there { id(*key) } else { 0 }).collect()
                }
            }
        } else {
            let values = cast(column, &DataType::Utf8)?;
            values.as_string::<i32>().iter().map(|word| words.id(word.unwrap_or_default())).collect()
        };
        Ok(Self { ids })
    }
}

/// The ids that a builder has for the words of dictionaries that only grow, by column.
#[derive(Debug, Default)]
pub struct Known {
    ids: [Vec<u32>; DIMENSIONS.len() + OUTCOMES.len()],
}

impl Builder {
    /// Adds what another builder holds.
    pub fn join(&mut self, other: Self) {
        if self.counts.is_empty() {
            *self = other;
            return;
        }
        let words: Vec<u32> = other.words.all().iter().map(|word| self.words.id(word)).collect();
        let word = |id: u32| words[id as usize];
        let combos: Vec<u32> = other.combos.iter().map(|combo| self.combos.id(combo.map(word))).collect();
        let outcomes: Vec<u32> = other
            .outcomes
            .iter()
            .map(|outcome| {
                // The last two are numbers, not words.
                let mut mapped = *outcome;
                mapped[..OUTCOMES.len()].iter_mut().for_each(|id| *id = word(*id));
                self.outcomes.id(mapped)
            })
            .collect();
        let quarters: Vec<u32> = other.quarters.iter().map(|quarter| self.quarters.id(*quarter)).collect();
        let hours: Vec<u32> =
            other.hours.iter().map(|hour| self.hours.id(Hour { role: word(hour.role), ..*hour })).collect();
        self.counts.extend(other.counts.iter().map(|(Key([quarter, combo, outcome]), n)| {
            (Key([quarters[*quarter as usize], combos[*combo as usize], outcomes[*outcome as usize]]), *n)
        }));
        self.latency.extend(
            other
                .latency
                .iter()
                .map(|(Key([hour, value, place]), cell)| (Key([hours[*hour as usize], word(*value), *place]), *cell)),
        );
    }

    /// Adds rows (`sign` 1) or takes them back (`sign` -1). `shadow`: where they are copies.
    pub fn add(&mut self, batch: &RecordBatch, shadow: Shadow, sign: i64) -> Result<()> {
        self.add_known(batch, shadow, sign, &mut Known::default())
    }

    /// Adds rows just decoded; `known` is what was learnt of their dictionaries from the batches before.
    pub fn add_fresh(&mut self, batch: &RecordBatch, known: &mut Known) -> Result<()> {
        self.add_known(batch, 0, 1, known)
    }

    fn add_known(&mut self, batch: &RecordBatch, shadow: Shadow, sign: i64, known: &mut Known) -> Result<()> {
        let column = |name: &str| batch.column(column_index(name).unwrap_or_default());
        let mut known = known.ids.iter_mut();
        let mut ids_of = |name: &str| Ids::of(column(name), &mut self.words, known.next());
        let dimensions = DIMENSIONS.iter().map(|name| ids_of(name)).collect::<Result<Vec<_>>>()?;
        let outcomes = OUTCOMES.iter().map(|name| ids_of(name)).collect::<Result<Vec<_>>>()?;
        let times = cast(column("event_time"), &timestamp())?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let dates = cast(column("date"), &DataType::Int32)?;
        let dates = dates.as_primitive::<Int32Type>();
        let codes = column("smtp_code").as_primitive::<Int64Type>();
        let latencies = column("delivery_latency_ms").as_primitive::<Int64Type>();
        let is_rb = column("is_rb").as_boolean();
        let (delivered, deferred) = (self.words.id(Kind::Delivered.as_str()), self.words.id(Kind::Deferred.as_str()));

        let sources = LATENCY_DIMENSIONS.map(|name| DIMENSIONS.iter().position(|dimension| *dimension == name));
        for row in 0..batch.num_rows() {
            let mut combo = [0; 8];
            for (slot, ids) in combo.iter_mut().zip(&dimensions) {
                *slot = ids.ids[row];
            }
            let mut outcome = [0; 9];
            for (slot, ids) in outcome.iter_mut().zip(&outcomes) {
                *slot = ids.ids[row];
            }
            outcome[7] = if codes.is_null(row) { 0 } else { u32::try_from(codes.value(row)).unwrap_or_default() };
            outcome[8] = u32::from(is_rb.value(row));
            let date = if dates.is_null(row) { None } else { Some(dates.value(row)) };
            let time = if times.is_null(row) { None } else { Some(times.value(row)) };
            let begins = time.map(|time| time.div_euclid(COUNT_BUCKET) * COUNT_BUCKET);
            let quarter = self.quarters.id(Quarter { date, begins, shadow });
            self.counts.add(Key([quarter, self.combos.id(combo), self.outcomes.id(outcome)]), sign);

            let Some(time) = time else { continue };
            let kind = outcome[2];
            if latencies.is_null(row) || (kind != delivered && kind != deferred) {
                continue;
            }
            let begins = time.div_euclid(LATENCY_BUCKET) * LATENCY_BUCKET;
            let attempt = kind == deferred;
            let hour = self.hours.id(Hour { date, begins, attempt, role: outcome[0], shadow });
            let ms = latencies.value(row);
            let bucket = latency_bucket(ms);
            let cell = LatencyCell { n: sign, sum: sign * ms, max: ms };
            for (dimension, source) in (0u32..).zip(sources) {
                let value = source.map_or(0, |source| combo[source]);
                self.latency.add(Key([hour, value, place_of(dimension, bucket)]), cell);
            }
        }
        Ok(())
    }

    /// Forgets the cells of days before one.
    pub fn forget_before(&mut self, day: i32) {
        let late = |date: Option<i32>| date.is_none_or(|date| date >= day);
        self.counts.retain(|key| late(self.quarters.get(key.0[0]).date));
        self.latency.retain(|key| late(self.hours.get(key.0[0]).date));
    }

    /// Writes the cells into `staging/`, a file for each day and kind; returns where each will be.
    pub fn write(&mut self, staging: &Path, name: &str) -> Result<Vec<(std::path::PathBuf, RollupFile)>> {
        let mut days: Vec<Option<i32>> = self.quarters.iter().map(|quarter| quarter.date).collect();
        days.sort_unstable();
        days.dedup();
        let this = &*self;
        let write_kind = |kind: &str| -> Result<Vec<_>> {
            let mut out = Vec::new();
            for (index, date) in days.iter().enumerate() {
                let batch = if kind == "counts" { this.counts_batch(*date)? } else { this.latency_batch(*date)? };
                if batch.num_rows() == 0 {
                    continue;
                }
                let path = staging.join(format!("{name}-{index}.{kind}.parquet"));
                write::write_rollup(&path, &batch)?;
                let rollup = RollupFile {
                    path: format!("rollups/{}/{name}-{index}.{kind}.parquet", layout::date_folder(*date)),
                    kind: kind.to_owned(),
                    date: *date,
                    rows: i64::try_from(batch.num_rows()).unwrap_or(i64::MAX),
                };
                out.push((path, rollup));
            }
            Ok(out)
        };
        // A commit waits for these files: they are written, and made durable, side by side.
        let (counts, latency) = std::thread::scope(|scope| {
            let latency = scope.spawn(|| write_kind("latency"));
            (write_kind("counts"), latency.join())
        });
        let mut out = counts?;
        out.extend(latency.unwrap_or_else(|_| Err(std::io::Error::other("writing rollups stopped").into()))?);
        Ok(out)
    }

    fn counts_batch(&self, date: Option<i32>) -> Result<RecordBatch> {
        let (quarters, ranks) = ranked(&self.quarters, |quarter| quarter.date == date);
        let mut rows: Vec<([u32; 3], i64)> = self
            .counts
            .iter()
            .filter_map(|(Key([quarter, combo, outcome]), n)| Some(([ranks[*quarter as usize]?, *combo, *outcome], *n)))
            .collect();
        sort_and_join(&mut rows);
        rows.retain(|(_, n)| *n != 0);
        let words = self.all_words();
        let quarter = |key: &[u32; 3]| quarters[key[0] as usize];
        let combo = |key: &[u32; 3], index: usize| self.combos.get(key[1])[index];
        let outcome = |key: &[u32; 3], index: usize| self.outcomes.get(key[2])[index];
        let buckets: TimestampMicrosecondArray = rows.iter().map(|(key, _)| quarter(key).begins).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(buckets.with_timezone("UTC"))];
        for dimension in 0..DIMENSIONS.len() {
            columns.push(self.word_column(&words, rows.iter().map(|(key, _)| combo(key, dimension)))?);
        }
        for word in 0..OUTCOMES.len() {
            columns.push(self.word_column(&words, rows.iter().map(|(key, _)| outcome(key, word)))?);
        }
        columns.push(Arc::new(rows.iter().map(|(key, _)| i32::try_from(outcome(key, 7)).ok()).collect::<Int32Array>()));
        columns.push(Arc::new(rows.iter().map(|(key, _)| Some(outcome(key, 8) == 1)).collect::<BooleanArray>()));
        columns.push(Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(key, _)| quarter(key).shadow))));
        columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, n)| *n))));
        Ok(RecordBatch::try_new(with_words(&counts_schema()), columns)?)
    }

    fn latency_batch(&self, date: Option<i32>) -> Result<RecordBatch> {
        let (hours, ranks) = ranked(&self.hours, |hour| hour.date == date);
        // By dimension, value, hour and bucket.
        let mut rows: Vec<([u32; 4], LatencyCell)> = self
            .latency
            .iter()
            .filter_map(|(Key([hour, value, place]), cell)| {
                Some(([place >> 16, *value, ranks[*hour as usize]?, *place], *cell))
            })
            .collect();
        sort_and_join(&mut rows);
        rows.retain(|(_, cell)| cell.n != 0 || cell.sum != 0);
        let words = self.all_words();
        let hour = |key: &[u32; 4]| hours[key[2] as usize];
        let begins = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(key, _)| hour(key).begins));
        let dimensions = rows.iter().map(|(key, _)| LATENCY_DIMENSIONS[parts_of(key[3]).0]);
        let measures = rows.iter().map(|(key, _)| MEASURES[usize::from(hour(key).attempt)]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(begins.with_timezone("UTC")),
            few(dimensions),
            self.word_column(&words, rows.iter().map(|(key, _)| key[1]))?,
            few(measures),
            self.word_column(&words, rows.iter().map(|(key, _)| hour(key).role))?,
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(key, _)| hour(key).shadow))),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|(key, _)| parts_of(key[3]).1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, cell)| cell.n))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, cell)| cell.sum))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, cell)| cell.max))),
        ];
        Ok(RecordBatch::try_new(with_words(&latency_schema()), columns)?)
    }

    fn word_column(&self, words: &ArrayRef, ids: impl Iterator<Item = u32>) -> Result<ArrayRef> {
        let keys: Int32Array = ids.map(|id| if id == 0 { None } else { i32::try_from(id).ok() }).collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(words))?))
    }

    fn all_words(&self) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(self.words.all()))
    }
}

/// Those of some things that are wanted, in their order, and by id the place of each among them.
fn ranked<T: Copy + Eq + Hash + Ord>(things: &Numbered<T>, wanted: impl Fn(&T) -> bool) -> (Vec<T>, Vec<Option<u32>>) {
    let mut chosen: Vec<(T, usize)> =
        things.iter().enumerate().filter(|(_, thing)| wanted(thing)).map(|(id, thing)| (*thing, id)).collect();
    chosen.sort_unstable();
    let mut ranks = vec![None; things.iter().len()];
    for (rank, (_, id)) in (0u32..).zip(&chosen) {
        ranks[*id] = Some(rank);
    }
    (chosen.into_iter().map(|(thing, _)| thing).collect(), ranks)
}

/// A column of few words.
fn few(words: impl Iterator<Item = &'static str>) -> ArrayRef {
    Arc::new(words.collect::<DictionaryArray<Int32Type>>())
}

/// A schema whose words are dictionaries.
fn with_words(schema: &Schema) -> SchemaRef {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => Field::new(field.name(), dictionary.clone(), field.is_nullable()),
            _ => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a `counts` file.
pub fn counts_schema() -> SchemaRef {
    let word = |name: &str| Field::new(name, DataType::Utf8, true);
    let mut fields = vec![Field::new("bucket", timestamp(), true)];
    fields.extend(DIMENSIONS.iter().map(|name| word(name)));
    fields.extend(OUTCOMES.iter().map(|name| word(name)));
    fields.extend([
        Field::new("smtp_code", DataType::Int32, true),
        Field::new("is_rb", DataType::Boolean, true),
        Field::new("shadow", DataType::UInt32, true),
        Field::new("n", DataType::Int64, true),
    ]);
    Arc::new(Schema::new(fields))
}

/// The columns of a `latency` file.
pub fn latency_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("bucket", timestamp(), true),
        Field::new("dimension", DataType::Utf8, true),
        Field::new("value", DataType::Utf8, true),
        Field::new("measure", DataType::Utf8, true),
        Field::new("event_type", DataType::Utf8, true),
        Field::new("shadow", DataType::UInt32, true),
        Field::new("latency_bucket", DataType::Int32, true),
        Field::new("n", DataType::Int64, true),
        Field::new("sum_ms", DataType::Int64, true),
        Field::new("max_ms", DataType::Int64, true),
    ]))
}

/// Reads a rollup file with its words as dictionaries.
pub fn read(path: &Path) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(|source| super::Error::Disk { path: path.to_owned(), source })?;
    let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let options = ArrowReaderOptions::new().with_schema(with_words(plain.schema()));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(1 << 16).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_bucket_is_at_most_one_percent_wide_on_either_side() {
        for ms in [1i64, 999, 1000, 60_000, 3_600_000, 86_400_000] {
            let bucket = latency_bucket(ms);
            let upper = (f64::from(bucket) * log_gamma()).exp();
            let lower = (f64::from(bucket - 1) * log_gamma()).exp();
            assert!(lower <= ms as f64 * 1.000_001 && ms as f64 <= upper * 1.000_001, "{ms}");
            assert!(upper / lower < 1.0101);
        }
        assert_eq!(latency_bucket(0), -1);
    }

    #[test]
    fn whole_seconds_below_a_minute_and_a_half_have_buckets_of_their_own() {
        for second in 1..95 {
            assert_ne!(latency_bucket(second * 1000), latency_bucket((second + 1) * 1000), "{second}");
        }
    }
}
