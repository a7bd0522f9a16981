//! Reports: every number of the screen, headless. Screen, `pmtop report` and exports ask here, so they
//! cannot differ.

mod busiest;
mod changes;
pub mod compare;
mod coverage;
mod distribution;
mod heatmap;
pub mod metrics;
mod percentiles;
pub mod print;
mod reasons;
mod replies;
pub mod risk;

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;

use hashbrown::HashMap;

use crate::catalog::Snapshot;
use crate::catalog::control::FileRow;
use crate::catalog::fsck::Finding;
use crate::event::Micros;
use crate::event::bounce::ReplyClass;
use crate::query::cells::{ClassCounts, GroupKey};
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::measures::Counts;
use crate::query::planner::{Needs, Plan};
use crate::query::question::{Answer, Bucket, Compare, Failure, Page, Question, Report};
use crate::query::raw::Resolved;
use crate::query::scope::Scope;
use crate::query::table::{Head, Table, Unit, Value};
use crate::query::time::Width;
use crate::query::{Engine, mask, sql};
use metrics::Context;

/// Answers a question on the engine's threads; dropping the future stops the work.
pub fn ask(engine: &Arc<Engine>, question: Question) -> futures::future::BoxFuture<'static, Result<Answer, Failure>> {
    let shared = Arc::clone(engine);
    engine.run(async move { answer(&shared, &question).await })
}

/// Answers a question.
pub async fn answer(engine: &Engine, question: &Question) -> Result<Answer, Failure> {
    match answer_once(engine, question).await {
        Err(failure) if engine.sets_damage_apart(&failure) => answer_once(engine, question).await,
        answer => answer,
    }
}

async fn answer_once(engine: &Engine, question: &Question) -> Result<Answer, Failure> {
    let began = Instant::now();
    let snapshot = engine.snapshot()?;
    let now = engine.now(&snapshot)?;
    let (scope, report, page) = (&question.scope, question.report, &question.page);
    let range = scope.time.resolve(now);
    let compared = question.compare.scope(scope, now);
    let by_change = compared.is_some() && page.sort.as_ref().is_some_and(|sort| compare::is_added(&sort.column));
    let whole = Page::default();
    let asked_page = if by_change { &whole } else { page };
    let asked = Asked { engine, snapshot: &snapshot, now, range, page: asked_page, compare: question.compare };
    let mut table = asked.table(report, scope).await?;
    let before = match &compared {
        // Changes are about both already.
        Some(then) if compare::can_compare(report) && report != Report::Changes => {
            let then = compare::narrowed(then, report, &table, asked_page);
            let range = then.time.resolve(now);
            let shift = asked.shift(report, range);
            let same = asked.fixed(report);
            let before = Asked { range, page: &whole, ..asked }.table(same, &then).await?;
            table = compare::join(report, table, &before, shift, asked_page);
            if by_change {
                table = arrange(table, page, None);
            }
            Some(before)
        }
        _ => None,
    };
    let (mut table, mut before) = (table, before);
    if engine.masks() {
        mask::table(&mut table);
        before.iter_mut().for_each(mask::table);
    }
    let before_range = compared.map(|scope| scope.time.resolve(now)).and_then(|(from, until)| from.zip(until));
    Ok(Answer {
        table,
        before,
        before_range,
        range,
        generation: snapshot.generation,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A question on its way: what is visible, and when it is.
#[derive(Clone, Copy)]
struct Asked<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    now: Option<Micros>,
    range: (Option<Micros>, Option<Micros>),
    page: &'a Page,
    compare: Compare,
}

/// More groups than this are cut to the page before the table is made.
const MANY_ROWS: usize = 20_000;
/// Values that are counted in full where there are too many for all.
const LEADING_VALUES: usize = 1000;
/// The most rows of a report without a limit.
const MOST_ROWS: usize = 1_000_000;

/// What is known of users, senders, jobs or IPs.
type Tallies = Vec<(Arc<str>, risk::Tally)>;

/// Rows of counts by group and bucket.
type Grouped = HashMap<GroupKey, Counts>;

impl Asked<'_> {
    async fn table(&self, report: Report, scope: &Scope) -> Result<Table, Failure> {
        match report {
            Report::Totals => self.totals(scope).await,
            Report::Operations { by, bucket } => self.operations(scope, by, bucket).await,
            Report::Latency { by } => self.compared(scope, by, "latency_p95_ms").await,
            Report::Domains { by } => self.compared(scope, by, "sent").await,
            Report::Risk { by } => self.risk(scope, by).await,
            Report::Replies => self.replies(scope).await,
            Report::Heatmap { by, bucket, latency } => self.heatmap(scope, by, bucket, latency).await,
            Report::Distribution => self.distribution(scope).await,
            Report::Percentiles => self.percentiles(scope).await,
            Report::Rates => self.rates(scope).await,
            Report::Categories { by } => self.categories(scope, by).await,
            Report::Changes => self.changes(scope).await,
            Report::Coverage => self.coverage(scope).await,
            Report::Events => self.events(scope).await,
            Report::Files => {
                let rows = self.engine.catalog().files().map_err(Failure::from_catalog)?;
                Ok(arrange(files_with_reading(&rows), self.page, None))
            }
        }
    }

    async fn grouped(
        &self,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
        needs: Needs,
    ) -> Result<Grouped, Failure> {
        let plan = Plan { snapshot: self.snapshot, resolved, group, bucket };
        self.engine.counts(&plan, needs).await
    }

    fn context(&self, resolved: &Resolved, group: Option<Field>) -> Result<Context, Failure> {
        Ok(Context {
            logged: self.engine.logged(self.snapshot, resolved),
            sent_by_received: self.engine.sent_by_received(self.snapshot, resolved, group)?,
        })
    }

    /// One row: the scope's bounds and every metric.
    async fn totals(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let context = self.context(&resolved, None)?;
        let needs = Needs { latency: true, deferred: true };
        let grouped = self.grouped(&resolved, None, None, needs).await?;
        let deferred = grouped.values().find_map(|part| part.deferred).or(Some(0));
        let mut counts = whole(grouped);
        counts.deferred = deferred;
        let mut table = Table::with_heads([("from", Unit::Time), ("to", Unit::Time)]);
        table.heads.extend(metric_heads());
        let mut row: Vec<Value> = vec![
            time(resolved.from.or(self.snapshot.bounds().map(|bounds| bounds.0))),
            time(resolved.until.or(self.snapshot.bounds().map(|bounds| bounds.1))),
        ];
        row.extend(metrics::all().map(|metric| metric.value(&counts, &context)));
        table.rows.push(row);
        Ok(table)
    }

    async fn operations(&self, scope: &Scope, by: Option<Field>, bucket: Option<Bucket>) -> Result<Table, Failure> {
        let (scope, bounded) = self.bounded(scope, by).await?;
        let resolved = self.engine.resolve(self.snapshot, &scope, self.now)?;
        let width = bucket.map(|bucket| self.width(bucket));
        let context = self.context(&resolved, by)?;
        let needs = Needs { latency: true, deferred: true };
        let grouped = self.grouped(&resolved, by, width.map(Width::micros), needs).await?;
        let mut table = group_table(by, width.is_some());
        let (mut rows, more) = self.leading(grouped, "sent", &context)?;
        rows.sort_by(|(a, _), (b, _)| (a.1, &a.0).cmp(&(b.1, &b.0)));
        for (key, counts) in rows {
            let mut row = Vec::with_capacity(table.heads.len());
            if by.is_some() {
                row.push(group_value(&key.0));
            }
            if width.is_some() {
                row.push(time(key.1));
            }
            row.extend(metrics::all().map(|metric| metric.value(&counts, &context)));
            table.rows.push(row);
        }
        let order = if width.is_some() { None } else { Some("sent") };
        let mut table = arrange(table, self.page, order);
        table.more |= more || bounded;
        Ok(table)
    }

    /// A scope that holds no more groups than a page needs. Fields outside the rollups may have a value per
    /// message (VERP senders): then only the values with most rows are counted in full.
    async fn bounded(&self, scope: &Scope, by: Option<Field>) -> Result<(Scope, bool), Failure> {
        let (Some(by), Some(limit)) = (by.filter(|by| !by.in_rollup()), self.page.limit) else {
            return Ok((scope.clone(), false));
        };
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let raw = self.engine.raw();
        let values = raw.values(self.snapshot, &resolved, by, "", MANY_ROWS + 1).await.map_err(Failure::from_engine)?;
        if values.len() <= MANY_ROWS {
            return Ok((scope.clone(), false));
        }
        let wanted = self.page.offset.saturating_add(limit).max(LEADING_VALUES);
        let leading = values.into_iter().take(wanted).map(|(value, _)| Filter::include(by, value));
        Ok((Scope::new(scope.time, scope.filters().iter().cloned().chain(leading)), true))
    }

    /// The rows that a page can show, and whether there are more. Among millions of groups they are picked
    /// before the table is made, since a row of a table has some seventy cells.
    fn leading(
        &self,
        grouped: Grouped,
        order: &str,
        context: &Context,
    ) -> Result<(Vec<(GroupKey, Counts)>, bool), Failure> {
        let mut rows: Vec<(GroupKey, Counts)> = grouped.into_iter().filter(|(_, counts)| !counts.is_empty()).collect();
        let Some(wanted) = self.page.limit.map(|limit| self.page.offset.saturating_add(limit)) else {
            if rows.len() > MOST_ROWS {
                return Err(Failure {
                    what: "the report was not made".to_owned(),
                    why: format!("it has {} rows, more than {MOST_ROWS}", rows.len()),
                    hint: "add --limit, or narrow the scope".to_owned(),
                    ..Failure::default()
                });
            }
            return Ok((rows, false));
        };
        if rows.len() <= wanted.max(MANY_ROWS) {
            return Ok((rows, false));
        }
        let (column, descending) =
            self.page.sort.as_ref().map_or((order, true), |sort| (sort.column.as_str(), sort.descending));
        let metric = metrics::all().find(|metric| metric.name == column);
        let score = |key: &GroupKey, counts: &Counts| match metric {
            Some(metric) => metric.value(counts, context),
            None => Value::Text(Arc::clone(&key.0)),
        };
        let mut scored: Vec<(Value, (GroupKey, Counts))> =
            rows.drain(..).map(|(key, counts)| (score(&key, &counts), (key, counts))).collect();
        scored.select_nth_unstable_by(wanted, |a, b| compare(&a.0, &b.0, descending).then_with(|| a.1.0.cmp(&b.1.0)));
        scored.truncate(wanted);
        Ok((scored.into_iter().map(|(_, row)| row).collect(), true))
    }

    /// Where buckets of another range fall in this one.
    fn shift(&self, report: Report, before: (Option<Micros>, Option<Micros>)) -> Option<compare::Shift> {
        let width = match report {
            Report::Operations { bucket: Some(bucket), .. } | Report::Heatmap { bucket, .. } => self.width(bucket),
            Report::Coverage => Width::Hour,
            _ => return None,
        };
        Some(compare::Shift { width: width.micros(), now: self.range.0?, before: before.0?, until: self.range.1 })
    }

    /// A report with the buckets that it has in this range, whatever the length of another.
    fn fixed(&self, report: Report) -> Report {
        match report {
            Report::Operations { by, bucket: Some(bucket) } => {
                Report::Operations { by, bucket: Some(Bucket::Fixed(self.width(bucket))) }
            }
            Report::Heatmap { by, bucket, latency } => {
                Report::Heatmap { by, bucket: Bucket::Fixed(self.width(bucket)), latency }
            }
            report => report,
        }
    }

    fn width(&self, bucket: Bucket) -> Width {
        match bucket {
            Bucket::Fixed(width) => width,
            Bucket::Auto => {
                let (oldest, newest) = self.snapshot.bounds().unzip();
                match (self.range.0.or(oldest), self.range.1.or(newest)) {
                    (Some(from), Some(until)) => Width::for_span(until - from),
                    _ => Width::Hour,
                }
            }
        }
    }

    /// Rows by one field with the deviation from the period before and the commonest trouble.
    async fn compared(&self, scope: &Scope, by: Field, order: &str) -> Result<Table, Failure> {
        let (scope, bounded) = self.bounded(scope, Some(by)).await?;
        let resolved = self.engine.resolve(self.snapshot, &scope, self.now)?;
        let context = self.context(&resolved, Some(by))?;
        let needs = Needs { latency: true, deferred: true };
        let grouped = self.grouped(&resolved, Some(by), None, needs).await?;
        let baseline = if self.compare == Compare::Off { Compare::Before } else { self.compare };
        let before = match baseline.scope(&scope, self.now) {
            Some(scope) => {
                let resolved = self.engine.resolve(self.snapshot, &scope, self.now)?;
                self.grouped(&resolved, Some(by), None, Needs { latency: true, deferred: false }).await?
            }
            None => Grouped::new(),
        };
        let classes = self.engine.classes(self.snapshot, &resolved, by).await?;
        let troubles = commonest(&classes);
        let mut table = group_table(Some(by), false);
        for (name, unit) in
            [("latency_deviation", Unit::Number), ("top_reply_class", Unit::Text), ("top_reply_class_n", Unit::Count)]
        {
            table.heads.push(Head { name: Arc::from(name), unit });
        }
        let rate_classes: Vec<ReplyClass> = ReplyClass::all().filter(|class| class.is_rb()).collect();
        for (prefix, unit) in [("rb_events", Unit::Count), ("rb_frequency", Unit::Number)] {
            table.heads.extend(
                rate_classes.iter().map(|class| Head {
                    name: Arc::from(format!("{prefix}_{}", class.as_str().replace('-', "_"))),
                    unit,
                }),
            );
        }
        let rb = metrics::all().find(|metric| metric.name == "rb_events").and_then(|metric| metric.missing(&context));
        let (rows, more) = self.leading(grouped, order, &context)?;
        for (key, counts) in rows {
            let mut row = vec![group_value(&key.0)];
            row.extend(metrics::all().map(|metric| metric.value(&counts, &context)));
            row.push(deviation(&counts, before.get(&key)));
            match troubles.get(&key.0) {
                Some((class, n)) => row.extend([Value::text(class), Value::Int(*n)]),
                None => row.extend([Value::Null, Value::Null]),
            }
            let n = |class: &ReplyClass| {
                classes.get(&(Arc::clone(&key.0), Arc::from(class.as_str()))).copied().unwrap_or_default()
            };
            match &rb {
                Some(reason) => {
                    row.extend(std::iter::repeat_n(Value::Missing(Arc::from(reason.as_str())), rate_classes.len() * 2));
                }
                None => {
                    row.extend(rate_classes.iter().map(|class| Value::Int(n(class))));
                    row.extend(rate_classes.iter().map(|class| metrics::per_thousand(n(class), &counts)));
                }
            }
            table.rows.push(row);
        }
        let few = |row: &[Value], column: Option<usize>| {
            column.and_then(|column| row[column].number()).unwrap_or(0.0) < self.engine.limits.min_n as f64
        };
        let mut table = arrange(table, &Page { offset: 0, limit: None, sort: self.page.sort.clone() }, Some(order));
        if order != "sent" && self.page.sort.is_none() {
            // The slowest of many is news; the slowest of two is not.
            let n = table.column("latency_n");
            table.rows.sort_by_key(|row| few(row, n));
        }
        let mut table = cut(table, self.page);
        table.more |= more || bounded;
        Ok(table)
    }

    async fn risk(&self, scope: &Scope, by: Field) -> Result<Table, Failure> {
        let (scope, bounded) = self.bounded(scope, Some(by)).await?;
        let resolved = self.engine.resolve(self.snapshot, &scope, self.now)?;
        let context = self.context(&resolved, Some(by))?;
        let ages = self.ages();
        let needs = Needs { latency: false, deferred: false };
        let grouped = self.grouped(&resolved, Some(by), Some(ages.width), needs).await?;
        let mut tallies: HashMap<Arc<str>, risk::Tally> = HashMap::new();
        for ((value, bucket), counts) in &grouped {
            tallies.entry_ref(value).or_default().add(*bucket, counts, &ages);
        }
        let mut table = group_table(Some(by), false);
        let scores = risk::TERMS.iter().map(|term| (term.name, Unit::Number));
        let forecast = [
            ("forecast_metric", Unit::Text),
            ("forecast_at", Unit::Time),
            ("forecast_low_at", Unit::Time),
            ("forecast_high_at", Unit::Time),
            ("forecast", Unit::Text),
        ];
        let heads = std::iter::once(("risk_score", Unit::Number)).chain(scores).chain(forecast);
        table.heads.extend(Table::with_heads(heads).heads);
        let (rows, more) = self.riskiest(tallies, &context)?;
        for (value, tally) in rows {
            let mut row = vec![group_value(&value)];
            row.extend(metrics::all().map(|metric| metric.value(&tally.counts, &context)));
            row.push(Value::Float(risk::round(tally.score())));
            row.extend(tally.points().map(|points| Value::Float(risk::round(points))));
            match tally.forecast(&ages) {
                Some(forecast) => row.extend([
                    Value::text(forecast.limit.name),
                    Value::Time(forecast.at),
                    Value::Time(forecast.earliest),
                    time(forecast.latest),
                    Value::text(forecast.sentence(&ages)),
                ]),
                None => row.extend(std::iter::repeat_n(Value::Null, forecast.len())),
            }
            table.rows.push(row);
        }
        let mut table = arrange(table, self.page, Some("risk_score"));
        table.more |= more || bounded;
        Ok(table)
    }

    /// How old mail is in this range, which ends where the events end.
    fn ages(&self) -> risk::Ages {
        let (oldest, newest) = self.snapshot.bounds().unwrap_or_default();
        let from = self.range.0.map_or(oldest, |from| from.max(oldest));
        let until = self.range.1.map_or(newest + 1, |until| until.min(newest + 1));
        risk::Ages::of(from, until.max(from + 1))
    }

    /// As [`Self::leading`], of rows with a score.
    fn riskiest(
        &self,
        mut tallies: HashMap<Arc<str>, risk::Tally>,
        context: &Context,
    ) -> Result<(Tallies, bool), Failure> {
        let by_score = self.page.sort.as_ref().is_none_or(|sort| sort.column == "risk_score");
        let descending = self.page.sort.as_ref().is_none_or(|sort| sort.descending);
        let wanted = self.page.limit.map(|limit| self.page.offset.saturating_add(limit).max(MANY_ROWS));
        if let Some(wanted) = wanted.filter(|wanted| by_score && tallies.len() > *wanted) {
            let mut scored: Vec<(Value, (Arc<str>, risk::Tally))> = tallies
                .drain()
                .filter(|(_, tally)| !tally.counts.is_empty())
                .map(|(value, tally)| (Value::Float(tally.score()), (value, tally)))
                .collect();
            let more = scored.len() > wanted;
            scored.sort_by(|a, b| compare(&a.0, &b.0, descending).then_with(|| a.1.0.cmp(&b.1.0)));
            scored.truncate(wanted);
            return Ok((scored.into_iter().map(|(_, row)| row).collect(), more));
        }
        let counts = tallies.iter().map(|(value, tally)| ((Arc::clone(value), None), tally.counts.clone()));
        let (rows, more) = self.leading(counts.collect(), "risk_score", context)?;
        let rows = rows.into_iter().filter_map(|((value, _), _)| tallies.remove_entry(&value)).collect();
        Ok((rows, more))
    }

    async fn events(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let page = self.page;
        let limit = page.limit.map(|limit| limit + 1);
        let mut batches = self
            .engine
            .raw()
            .events(self.snapshot, &resolved, page.sort.as_ref(), page.offset, limit)
            .await
            .map_err(Failure::from_engine)?;
        let mut table = sql::empty_table(&crate::event::schema::QUERIED);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(Failure::from_engine)?;
            sql::append(&mut table, &batch).map_err(|error| Failure::from_engine(error.into()))?;
        }
        if let Some(limit) = page.limit
            && table.rows.len() > limit
        {
            table.rows.truncate(limit);
            table.more = true;
        }
        Ok(table)
    }
}

/// For each value of a field, the reply class that most of its rows have, and how many.
fn commonest(classes: &ClassCounts) -> HashMap<Arc<str>, (Arc<str>, i64)> {
    let mut most: HashMap<Arc<str>, (Arc<str>, i64)> = HashMap::new();
    for ((group, class), n) in classes {
        let best = most.entry(Arc::clone(group)).or_insert_with(|| (Arc::clone(class), *n));
        if (*n, &best.0) > (best.1, class) {
            *best = (Arc::clone(class), *n);
        }
    }
    most
}

/// All groups together; distinct messages are not added up.
fn whole(grouped: Grouped) -> Counts {
    grouped.into_values().fold(Counts::default(), |mut all, part| {
        all.merge(&part);
        all
    })
}

fn time(time: Option<Micros>) -> Value {
    time.map_or(Value::Null, Value::Time)
}

fn group_value(value: &str) -> Value {
    if value.is_empty() { Value::Null } else { Value::text(value) }
}

fn metric_heads() -> impl Iterator<Item = Head> {
    metrics::all().map(|metric| Head { name: Arc::from(metric.name), unit: metric.unit })
}

fn group_table(by: Option<Field>, bucket: bool) -> Table {
    let mut table = Table::default();
    if let Some(by) = by {
        table.heads.push(Head { name: Arc::from(by.report_name()), unit: Unit::Text });
    }
    if bucket {
        table.heads.push(Head { name: Arc::from("bucket"), unit: Unit::Time });
    }
    table.heads.extend(metric_heads());
    table
}

/// p95 over p95 of the period before, of the same measure.
#[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^52")]
fn deviation(counts: &Counts, before: Option<&Counts>) -> Value {
    let Some(before) = before else { return Value::Null };
    let pick = |counts: &Counts| {
        let histogram = if counts.delivery.n > 0 { &counts.delivery } else { &counts.attempt };
        histogram.percentile(0.95)
    };
    match (pick(counts), pick(before)) {
        (Some(now), Some(then)) if then > 0 => Value::Float((now as f64 / then as f64 * 100.0).round() / 100.0),
        _ => Value::Null,
    }
}

/// Sorts and cuts a table; `order` is the report's own column (greatest first).
pub fn arrange(mut table: Table, page: &Page, order: Option<&str>) -> Table {
    let (column, descending) = match (&page.sort, order) {
        (Some(sort), _) => (table.column(&sort.column), sort.descending),
        (None, Some(order)) => (table.column(order), true),
        (None, None) => (None, false),
    };
    if let Some(column) = column {
        table.rows.sort_by(|a, b| {
            let order = compare(&a[column], &b[column], descending);
            // Ties keep a fixed order: by the first cell.
            order.then_with(|| compare(&a[0], &b[0], false))
        });
    }
    cut(table, page)
}

/// The rows of a page.
fn cut(mut table: Table, page: &Page) -> Table {
    let rows = table.rows.len();
    let from = page.offset.min(rows);
    let until = page.limit.map_or(rows, |limit| rows.min(from.saturating_add(limit)));
    table.more = until < rows;
    table.rows = table.rows.drain(from..until).collect();
    table
}

/// Compares cells; cells without a value come last either way.
fn compare(a: &Value, b: &Value, descending: bool) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let order = match (a.is_there(), b.is_there()) {
        (false, false) => return Ordering::Equal,
        (false, true) => return Ordering::Greater,
        (true, false) => return Ordering::Less,
        (true, true) => match (a.number(), b.number()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => a.as_text().unwrap_or_default().cmp(b.as_text().unwrap_or_default()),
        },
    };
    if descending { order.reverse() } else { order }
}

/// The file table with the reading that was taken of ambiguous names, for the screen.
fn files_with_reading(rows: &[FileRow]) -> Table {
    let mut table = files(rows);
    let head = Table::with_heads([("reading", Unit::Text)]).heads;
    table.heads.extend(head);
    for (cells, file) in table.rows.iter_mut().zip(rows) {
        cells.push(Value::text(&file.reading));
    }
    table
}

/// The file table of SPEC §2.4.
pub fn files(files: &[FileRow]) -> Table {
    let mut table = Table::with_heads([
        ("name", Unit::Text),
        ("path", Unit::Text),
        ("type", Unit::Text),
        ("bytes", Unit::Bytes),
        ("sha256", Unit::Text),
        ("received_at", Unit::Time),
        ("status", Unit::Text),
        ("rows", Unit::Count),
        ("rejected_rows", Unit::Count),
        ("merged_rows", Unit::Count),
        ("from", Unit::Time),
        ("to", Unit::Time),
        ("error", Unit::Text),
    ]);
    for file in files {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::text);
        table.rows.push(vec![
            Value::text(&file.name),
            Value::text(&file.path),
            text(&file.role),
            Value::Int(file.bytes),
            text(&file.sha256),
            Value::Time(file.received_at),
            Value::text(file.status.as_str()),
            Value::Int(file.rows),
            Value::Int(file.rejected_rows),
            Value::Int(file.merged_rows),
            time(file.min_time),
            time(file.max_time),
            Value::text(&file.error),
        ]);
    }
    table
}

/// What `fsck` found, one row each.
pub fn findings(findings: &[Finding]) -> Table {
    let heads = ["path", "problem", "meaning", "repair"].map(|name| (name, Unit::Text));
    let mut table = Table::with_heads(heads.into_iter().chain([("repaired", Unit::Flag)]));
    for finding in findings {
        let words = [finding.path.as_str(), &finding.problem, finding.meaning, finding.repair];
        table.rows.push(words.iter().map(Value::text).chain([Value::Flag(finding.repaired)]).collect());
    }
    table
}
