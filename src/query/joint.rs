//! Several dimensions at once: what happened to whom, in a range of time. Rules and explanations are counted from this;
//! reports, which know one group at a time, are not.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{cast, lit};
use datafusion::prelude::col;
use hashbrown::HashMap;

use super::Engine;
use super::packs::scan::{self, PackQuery};
use super::planner::Plan;
use super::question::Failure;
use super::raw::{Raw, Resolved, column, text_column, value};
use crate::catalog::Snapshot;
use crate::catalog::rollup::DIMENSIONS;
use crate::event::bounce::{BounceClass, ReplyClass};
use crate::event::{Kind, Micros, RecordType};
use crate::query::field::Field;

/// One word for each of [`DIMENSIONS`], as numbers of [`Engine::word`]; 0 is the empty word.
pub type Who = [u32; DIMENSIONS.len()];

/// What happened to some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct What {
    /// In one word.
    pub kind: Kind,
    /// Whose fault a bounce is.
    pub bounce: Option<BounceClass>,
    /// What the reply was about.
    pub reply: Option<ReplyClass>,
}

/// Rows that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Whose they are.
    pub who: Who,
    /// What happened.
    pub what: What,
    /// The quarter of an hour, counted since 1970 (UTC), if quarters were wished for; else 0.
    pub quarter: i32,
    /// The latency, if it was wished for: 0 none, else its bucket ([`crate::catalog::rollup::latency_bucket`]) + 2.
    pub latency: u16,
    /// How many.
    pub n: i64,
}

/// Rows by everything that was wished for.
#[derive(Debug, Clone, Default)]
pub struct Joint {
    /// The cells, in no order.
    pub cells: Vec<Cell>,
}

/// What the cells tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The dimensions, as bits by their place in [`DIMENSIONS`].
    pub dimensions: u8,
    /// Quarters of an hour.
    pub quarters: bool,
    /// Latencies.
    pub latency: bool,
}

/// A row whose reply is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedRow {
    /// When.
    pub time: Micros,
    /// Whose.
    pub who: Who,
    /// What happened.
    pub what: What,
    /// The words of the reply's template.
    pub template: u32,
}

/// A message that was delivered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery {
    /// When.
    pub time: Micros,
    /// How long that took, in milliseconds.
    pub latency: f64,
}

/// The place of a field among [`DIMENSIONS`].
pub fn dimension(field: Field) -> Option<usize> {
    DIMENSIONS.iter().position(|name| *name == field.column_name())
}

/// The field of a place among [`DIMENSIONS`].
pub fn field_of(dimension: usize) -> Option<Field> {
    Field::parse(DIMENSIONS.get(dimension)?)
}

impl Raw {
    /// Queue errors, and attempts and bounces for lack of a connection.
    async fn unreached(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Unreached, DataFusionError> {
        let lost = lit(ReplyClass::Connection.as_str());
        let tried = [Kind::Deferred, Kind::Bounced].map(|kind| lit(kind.as_str())).to_vec();
        let kinds = col("kind").eq(lit(Kind::QueueError.as_str()));
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment))?
            .filter(kinds.or(col("kind").in_list(tried, false).and(col("reply_class").eq(lost))))?
            .select(vec![col("event_time"), col("kind"), col("queue"), col("provider")])?;
        let mut rows = Vec::new();
        let mut destinations: HashMap<(String, String), usize> = HashMap::new();
        for batch in frame.collect().await? {
            let (kinds, names) = (text_column(&batch, "kind")?, text_column(&batch, "queue")?);
            let providers = text_column(&batch, "provider")?;
            let times = column(&batch, "event_time")?.as_primitive::<TimestampMicrosecondType>();
            for row in (0..batch.num_rows()).filter(|row| !times.is_null(*row)) {
                let kind = Kind::parse(value(&kinds, row)).unwrap_or(Kind::Status);
                let what = What { kind, bounce: None, reply: Some(ReplyClass::Connection) };
                rows.push(FailedRow { time: times.value(row), who: Who::default(), what, template: 0 });
                // PowerMTA's queues are domain/vmta.
                let domain = value(&names, row).split('/').next().unwrap_or_default().to_lowercase();
                *destinations.entry((domain, value(&providers, row).to_owned())).or_default() += 1;
            }
        }
        rows.sort_unstable_by_key(|row| row.time);
        Ok(Unreached { rows, destinations })
    }

    async fn deliveries(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Vec<Delivery>, DataFusionError> {
        let types = 1 << RecordType::D.index();
        let delivered = col("kind").eq(lit(Kind::Delivered.as_str())).and(col("delivery_latency_ms").is_not_null());
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment) && segment.holds(types))?
            .filter(delivered)?
            .select(vec![col("event_time"), cast(col("delivery_latency_ms"), DataType::Float64).alias("latency")])?;
        let mut found = Vec::new();
        for batch in frame.collect().await? {
            let times = column(&batch, "event_time")?.as_primitive::<TimestampMicrosecondType>();
            let latencies = column(&batch, "latency")?.as_primitive::<Float64Type>();
            found.extend(times.iter().zip(latencies).filter_map(|own| {
                let (time, latency) = own.0.zip(own.1)?;
                Some(Delivery { time, latency })
            }));
        }
        found.sort_unstable_by_key(|delivery| delivery.time);
        Ok(found)
    }
}

/// Rows that reached nobody.
#[derive(Debug, Clone, Default)]
pub struct Unreached {
    /// The rows, in the order of time.
    pub rows: Vec<FailedRow>,
    /// How many there are of each destination: the domain of the queue, and who runs its mail.
    pub destinations: HashMap<(String, String), usize>,
}

impl Unreached {
    /// The domain whose queues have all of the rows, but for one in two hundred.
    pub fn destination(&self) -> Option<&str> {
        let mut domains: HashMap<&str, usize> = HashMap::new();
        for ((domain, _), n) in &self.destinations {
            *domains.entry(domain.as_str()).or_default() += n;
        }
        domains.into_iter().find(|(name, n)| !name.is_empty() && n * 200 >= self.rows.len() * 199).map(|(name, _)| name)
    }
}

impl Engine {
    /// The cells of a scope. Days of which no pack is on disk are packed now, however many rows they have; days whose
    /// events have left are not in it.
    pub fn joint(&self, snapshot: &Snapshot, resolved: &Resolved, wish: Wish) -> Result<Joint, Failure> {
        let plan = Plan { snapshot, resolved, group: None, bucket: None };
        let pieces = self.all_pieces(&plan)?;
        let words = self.packs().words();
        let query = PackQuery { scope: &resolved.scope, group: None, split: scan::Split::None, fbl: &[] };
        let ready = scan::Ready::new(&query, &words);
        self.packs().joint(&pieces, &ready, wish).map_err(Failure::from_catalog)
    }

    /// The rows of a scope whose reply is no success, one by one, in no order.
    pub fn failed_rows(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Vec<FailedRow>, Failure> {
        let plan = Plan { snapshot, resolved, group: None, bucket: None };
        let pieces = self.all_pieces(&plan)?;
        let words = self.packs().words();
        let query = PackQuery { scope: &resolved.scope, group: None, split: scan::Split::None, fbl: &[] };
        let ready = scan::Ready::new(&query, &words);
        self.packs().failed_rows(&pieces, &ready).map_err(Failure::from_catalog)
    }

    /// The rows of a scope that reached nobody, in the order of time; whose they are is left to the scope's filters. They
    /// have no reply, so packs do not know them one by one.
    pub fn unreached(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Unreached, Failure> {
        self.aside(|| self.block_on(self.raw().unreached(snapshot, resolved)))
    }

    /// The deliveries of a scope whose latency is known, one by one, in the order of time.
    pub fn deliveries(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<Vec<Delivery>, Failure> {
        self.aside(|| self.block_on(self.raw().deliveries(snapshot, resolved)))
    }

    /// What a question says, asked by a thread of its own: whoever asks may be one of the engine's.
    fn aside<T: Default + Send>(&self, ask: impl FnOnce() -> Result<T, DataFusionError> + Send) -> Result<T, Failure> {
        std::thread::scope(|scope| scope.spawn(ask).join())
            .map_or_else(|_| Ok(T::default()), |found| found.map_err(Failure::from_engine))
    }

    /// The word of a number in [`Who`] or of a template. Numbers hold as long as the process.
    pub fn word(&self, number: u32) -> Arc<str> {
        self.packs().words().word(number)
    }

    /// The number of a word, if any pack that was looked at has it.
    pub fn number(&self, word: &str) -> Option<u32> {
        self.packs().words().find(word)
    }
}
