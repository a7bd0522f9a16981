//! Questions and their answers: a report over a scope, planned onto rollups or raw Parquet.

pub mod cells;
pub mod columns;
pub mod estimate;
pub mod field;
pub mod filter;
pub mod joint;
pub mod mask;
pub mod measures;
pub mod minutes;
pub mod packs;
pub mod planner;
pub mod question;
pub mod raw;
pub mod reasons;
pub mod replies;
pub mod scope;
pub mod sql;
pub mod table;
pub mod time;
pub mod visit;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::BoxFuture;
use hashbrown::HashMap;

use crate::catalog::control::Control;
use crate::catalog::links::{self, Limits};
use crate::catalog::merge::KeyColumn;
use crate::catalog::{Catalog, Snapshot};
use crate::config::Config;
use crate::event::provider::Providers;
use crate::event::{Micros, RecordType};
use crate::reply::Catalogue;
use cells::Cells;
use field::Field;
use packs::Packs;
use planner::Plan;
use question::Failure;
use raw::{Raw, Resolved};
use replies::FirstSeen;
use scope::Scope;
use time::{DAY, HOUR, MINUTE};
use visit::Visit;

/// "Now" is the clock if the newest event is at most this old (SPEC §4).
const FRESH: Micros = 15 * MINUTE;

/// Answers questions over one catalog; shared by screen, reports and exports.
#[derive(Debug)]
pub struct Engine {
    catalog: Arc<Catalog>,
    cells: Cells,
    packs: Packs,
    raw: Raw,
    providers: Providers,
    fbl_providers: Vec<String>,
    workers: tokio::runtime::Runtime,
    /// Settings of `[query]`.
    pub limits: crate::config::Query,
    trimmed: AtomicU64,
    masks: AtomicBool,
    /// What replies mean.
    catalogue: Catalogue,
    /// When replies were first seen, as of one generation.
    first_seen: Mutex<Option<(u64, Arc<FirstSeen>)>>,
    visit: Arc<Visit>,
    /// How events of one message find each other.
    pub links: Limits,
    /// What is visible, with what is known of reports; and when that was written.
    attached: Mutex<Option<Attachment>>,
    /// Which columns received rows fill, as of one generation.
    carried: Mutex<(u64, HashMap<Field, bool>)>,
}

/// A snapshot with what is known of reports: what it was made from, and when that was written.
type Attachment = (Weak<Snapshot>, Option<std::time::SystemTime>, Weak<Snapshot>);

/// A task that is stopped when it is no longer wanted.
struct Wanted<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Engine {
    /// An engine with threads of its own, so that no question can hold up the screen.
    pub fn new(catalog: Arc<Catalog>, config: &Config, providers: Providers) -> Result<Arc<Self>, Failure> {
        let failed = |why: String| Failure {
            what: "the query engine cannot start".to_owned(),
            why,
            hint: String::new(),
            ..Failure::default()
        };
        let workers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
            .thread_name("query")
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(config.query.memory_mb << 20)))
            .build_arc()
            .map_err(|error| failed(error.to_string()))?;
        let mut session = SessionConfig::new().with_information_schema(true);
        session.options_mut().execution.parquet.pushdown_filters = false;
        let context = SessionContext::new_with_config_rt(session, runtime);
        let fbl_providers =
            providers.all().iter().map(|provider| provider.name.clone()).filter(|name| providers.fbl(name)).collect();
        Ok(Arc::new(Self {
            catalog,
            cells: Cells::default(),
            packs: Packs::default(),
            carried: Mutex::default(),
            catalogue: Catalogue::with_entries(config.replies.clone()).map_err(|error| failed(error.to_string()))?,
            first_seen: Mutex::default(),
            visit: Arc::default(),
            raw: Raw { context },
            providers,
            fbl_providers,
            workers,
            limits: config.query.clone(),
            links: limits_of(&config.journey),
            attached: Mutex::default(),
            trimmed: AtomicU64::new(0),
            masks: AtomicBool::new(config.masks()),
        }))
    }

    /// Whether recipients are hidden in whatever is answered.
    pub fn masks(&self) -> bool {
        self.masks.load(Ordering::Relaxed)
    }

    /// Hides recipients from now on, or shows them.
    pub fn set_masks(&self, masks: bool) {
        self.masks.store(masks, Ordering::Relaxed);
    }

    /// What replies mean.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What was there at the last visit.
    pub const fn visit(&self) -> &Arc<Visit> {
        &self.visit
    }

    /// The catalog that is asked.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Runs work on the engine's threads; dropping the future stops it.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let mut task = Wanted(self.workers.spawn(work));
        Box::pin(async move {
            (&mut task.0).await.unwrap_or_else(|error| {
                Err(Failure {
                    what: "the question was not answered".to_owned(),
                    why: if error.is_cancelled() { "it was cancelled".to_owned() } else { error.to_string() },
                    hint: String::new(),
                    ..Failure::default()
                })
            })
        })
    }

    /// Waits for work on the engine's threads.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.workers.block_on(work)
    }

    /// What is visible now; rollups that are gone leave the memory. Reports stand in it with what their deliveries
    /// say, too; where little work is missing for that, it is done first.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Failure> {
        let plain = self.catalog.snapshot().map_err(Failure::from_catalog)?;
        let snapshot = self.attached(&plain);
        if self.trimmed.swap(snapshot.generation, Ordering::Relaxed) != snapshot.generation {
            self.cells.keep_only(&snapshot);
            self.packs.keep_only(&snapshot.segments);
        }
        Ok(snapshot)
    }

    fn attached(&self, plain: &Arc<Snapshot>) -> Arc<Snapshot> {
        let mut known = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = links::stamp(&plain.root);
        // One generation may be seen twice: damaged segments leave it.
        if let Some((from, written, snapshot)) = known.as_ref()
            && from.ptr_eq(&Arc::downgrade(plain))
            && *written == stamp
            && let Some(snapshot) = snapshot.upgrade()
        {
            return snapshot;
        }
        let snapshot = Arc::new(links::fresh(&self.catalog, plain, &self.links).snapshot);
        // The catalog lets go of it with the snapshot that it was made from, so that nothing stays pinned for it.
        self.catalog.keep_beside(plain, &snapshot);
        *known = Some((Arc::downgrade(plain), links::stamp(&plain.root), Arc::downgrade(&snapshot)));
        snapshot
    }

    /// "Now" of SPEC §4: the newest event that is not over a day after its file came in; the clock, if
    /// that is close.
    pub fn now(&self, snapshot: &Snapshot) -> Result<Option<Micros>, Failure> {
        let newest = self.catalog.newest(snapshot).map_err(Failure::from_catalog)?;
        let clock = crate::catalog::clock();
        Ok(newest.map(|newest| if (clock - FRESH..=clock).contains(&newest) { clock } else { newest }))
    }

    /// After a failure: looks whether segments are damaged. True if some are that were not known of; they
    /// are left out from now on, and the question is worth asking again.
    pub fn sets_damage_apart(&self, failure: &Failure) -> bool {
        // What was made of reports is made again; it is no damage.
        failure.unreadable
            && (self.catalog.look_for_damage().is_ok_and(|found| found > 0)
                || links::forget(self.catalog.layout().root()))
    }

    /// What is left out of all answers because it cannot be read; for people. Empty where all is well.
    pub fn damage(&self) -> Option<Failure> {
        let damaged = self.catalog.damaged();
        let (first, why) = damaged.first()?;
        let rest = if damaged.len() > 1 { format!(", and {} more files", damaged.len() - 1) } else { String::new() };
        Some(Failure {
            what: "some events are left out".to_owned(),
            why: format!("{first}: {why}{rest}"),
            hint: "`pmtop fsck --repair` takes their log files in again".to_owned(),
            unreadable: true,
        })
    }

    /// Whether a provider sends complaint reports.
    pub fn is_fbl(&self, provider: &str) -> bool {
        self.providers.fbl(provider)
    }

    /// A scope resolved against what is visible.
    pub fn resolve(&self, snapshot: &Snapshot, scope: &Scope, now: Option<Micros>) -> Result<Resolved, Failure> {
        let mut resolved = Resolved::new(&self.catalog, snapshot, scope, now).map_err(Failure::from_catalog)?;
        let recipients: Vec<&filter::Filter> =
            scope.filters().iter().filter(|filter| filter.field == Field::Recipient).collect();
        if !recipients.is_empty() && recipients.iter().all(|filter| !filter.has_wildcard() && !filter.value.is_empty())
        {
            let hashes: Vec<u64> =
                recipients.iter().map(|filter| crate::catalog::pack::lower_hash(&filter.value)).collect();
            let lower = |segment: &&crate::catalog::control::Segment| {
                resolved.admits(segment)
                    && resolved.overlaps(segment)
                    && self.packs.only_lower(&snapshot.root, segment, &hashes)
            };
            let paths = snapshot.segments.iter().filter(lower).map(|segment| segment.path.clone()).collect();
            resolved.lower = Arc::new(paths);
        }
        Ok(resolved)
    }

    /// The record types that were logged on the days of a scope, as bits.
    pub fn logged(&self, snapshot: &Snapshot, resolved: &Resolved) -> u8 {
        let (first, last) = planner::days(resolved.from, resolved.until);
        snapshot
            .segments
            .iter()
            .filter(|segment| {
                resolved.admits(segment) && segment.date.is_none_or(|date| (first..=last).contains(&date))
            })
            .fold(0, |types, segment| types | resolved.types_of(segment))
    }

    /// Whether `sent` counts received rows (SPEC §4): `r` rows exist on every day that has d or b rows,
    /// and carry every filter and grouping column.
    pub fn sent_by_received(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
    ) -> Result<bool, Failure> {
        let (first, last) = planner::days(resolved.from, resolved.until);
        let mut days: std::collections::BTreeMap<Option<i32>, (bool, bool)> = std::collections::BTreeMap::new();
        for segment in snapshot.segments.iter().filter(|segment| resolved.admits(segment)) {
            if segment.date.is_some_and(|date| (first..=last).contains(&date)) {
                let day = days.entry(segment.date).or_default();
                let types = resolved.types_of(segment);
                day.0 |= types & (1 << RecordType::D.index() | 1 << RecordType::B.index()) != 0;
                day.1 |= types & 1 << RecordType::R.index() != 0;
            }
        }
        let every_day = days.values().any(|(_, received)| *received)
            && days.values().all(|(outcome, received)| !outcome || *received);
        if !every_day {
            return Ok(false);
        }
        let fields = resolved.scope.filters().iter().map(|filter| filter.field).chain(group);
        for field in fields {
            if !self.received_rows_carry(snapshot, resolved, field)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether `r` rows fill a field's column. Their provider is known by the domain alone, without the
    /// host that answered, so it does not count.
    fn received_rows_carry(&self, snapshot: &Snapshot, resolved: &Resolved, field: Field) -> Result<bool, Failure> {
        match field {
            // Told by what files fill, copies or not, so that a filter on files says what a catalog of only those
            // would say.
            Field::Job => {
                let among = |id: i64| resolved.files.as_ref().is_none_or(|files| files.contains(&id));
                let fills = |control: &mut Control| control.some_file_fills(RecordType::R, KeyColumn::Job, among);
                self.catalog.control(fills).map_err(Failure::from_catalog)
            }
            Field::Type | Field::File | Field::Sender | Field::SenderDomain | Field::Domain | Field::Recipient => {
                Ok(true)
            }
            Field::User | Field::Vmta | Field::Pool => {
                let scope = Scope::new(
                    time::TimeRange::All,
                    [
                        filter::Filter::include(Field::RecordType, RecordType::R.as_str()),
                        filter::Filter::exclude(field, ""),
                    ],
                );
                let known = |carried: &(u64, HashMap<Field, bool>)| {
                    carried.1.get(&field).copied().filter(|_| carried.0 == snapshot.generation)
                };
                let lock = || self.carried.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = known(&lock()) {
                    return Ok(known);
                }
                let all = self.resolve(snapshot, &scope, None)?;
                let plan = Plan { snapshot, resolved: &all, group: None, bucket: None };
                let found = self.count_now(&plan)?;
                let carry = found.values().any(|counts| counts.get(measures::Measure::Received) > 0);
                let mut carried = lock();
                if carried.0 != snapshot.generation {
                    *carried = (snapshot.generation, HashMap::new());
                }
                carried.1.insert(field, carry);
                Ok(carry)
            }
            _ => Ok(false),
        }
    }

    /// Values of a field that contain a text, most frequent first, over the newest days.
    pub async fn complete(&self, field: Field, text: &str, most: usize) -> Result<Vec<(String, u64)>, Failure> {
        let hides =
            self.masks() && matches!(field, Field::Recipient | Field::Reply | Field::CustomHeader | Field::Sender);
        if !hides {
            return self.values(field, text, most).await;
        }
        // What is typed must not find a hidden value: the whole list is hidden first.
        let typed = text.to_lowercase();
        let hide = if field == Field::Sender { mask::sender } else { mask::words };
        let mut found: Vec<(String, u64)> = Vec::new();
        for (value, count) in self.values(field, "", most * 20).await? {
            let value = hide(&value);
            match found.iter_mut().find(|(known, _)| *known == value) {
                Some((_, sum)) => *sum += count,
                None => found.push((value, count)),
            }
        }
        found.retain(|(value, _)| value.to_lowercase().contains(&typed));
        found.truncate(most);
        Ok(found)
    }

    async fn values(&self, field: Field, text: &str, most: usize) -> Result<Vec<(String, u64)>, Failure> {
        let snapshot = self.snapshot()?;
        if field == Field::File {
            let names = self.catalog.control(|control| control.file_names()).map_err(Failure::from_catalog)?;
            let text = text.to_lowercase();
            return Ok(names
                .into_iter()
                .rev()
                .filter(|(_, name, _)| name.to_lowercase().contains(&text))
                .map(|(_, name, _)| (name, 0))
                .take(most)
                .collect());
        }
        let scope = Scope::default();
        let from = self.now(&snapshot)?.map(|now| time::floor(now - 7 * DAY, DAY));
        let resolved = self.resolve(&snapshot, &scope, None)?.between(from, None);
        if field.in_rollup() {
            let plan = Plan { snapshot: &snapshot, resolved: &resolved, group: Some(field), bucket: None };
            return self.values_now(&plan, text, most);
        }
        self.raw.values(&snapshot, &resolved, field, text, most).await.map_err(Failure::from_engine)
    }

    /// Rows of raw Parquet.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The rollups in memory.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The packs in memory.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }
}

/// How far apart a report and its delivery may be.
pub fn limits_of(settings: &crate::config::Journey) -> Limits {
    Limits { window: Micros::from(settings.window_hours) * HOUR, reach: Micros::from(settings.reach_days) * DAY }
}

impl Failure {
    /// The catalog could not be read.
    #[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
    pub fn from_catalog(error: crate::catalog::Error) -> Self {
        Self {
            what: "the catalog cannot be read".to_owned(),
            why: error.to_string(),
            hint: "check the disk, and who may read the catalog's folder; `pmtop fsck` tells what is damaged"
                .to_owned(),
            unreadable: true,
        }
    }

    /// The query engine gave up.
    #[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
    pub fn from_engine(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError;
        let root = error.find_root();
        let hint = match root {
            DataFusionError::ResourcesExhausted(_) => "narrow the time range, or raise `query.memory_mb`",
            DataFusionError::SchemaError(..) => "`pmtop sql 'describe events'` lists the columns",
            _ => "",
        };
        let unreadable = matches!(
            root,
            DataFusionError::ParquetError(_)
                | DataFusionError::ObjectStore(_)
                | DataFusionError::IoError(_)
                | DataFusionError::ArrowError(..)
                | DataFusionError::External(_)
        );
        let hint = if unreadable && hint.is_empty() { "`pmtop fsck` tells what is damaged" } else { hint };
        Self {
            what: "the question was not answered".to_owned(),
            why: root.strip_backtrace(),
            hint: hint.to_owned(),
            unreadable,
        }
    }
}
