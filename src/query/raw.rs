//! Questions that go to raw Parquet: a scope as DataFusion expressions over exactly the segments that may
//! hold its rows. No text is pasted into SQL.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions::expr_fn::{date_bin, lower};
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, SortExpr, cast as cast_expr, lit, when};
use datafusion::prelude::{SessionContext, col, ident};

use futures::StreamExt as _;
use hashbrown::{HashMap, HashSet};

use super::cells::{ClassCounts, GroupKey};
use super::field::{Compare, Field};
use super::filter::Filter;
use super::measures::{Counts, Measure, Outcome};
use super::question::Sort;
use super::scope::{Conditions, Scope};
use crate::catalog::control::{Link, Segment};
use crate::catalog::keys::{Subset, subset};
use crate::catalog::links::roles_of_deliveries;
use crate::catalog::merge::hides;
use crate::catalog::pack::message_hash;
use crate::catalog::rollup::log_gamma;
use crate::catalog::table::SegmentTable;
use crate::catalog::{Catalog, Snapshot};
use crate::event::bounce::ReplyClass;
use crate::event::schema::{QUERIED, timestamp};
use crate::event::{Kind, Micros, RecordType, Role};

/// A scope made ready: its bounds resolved, its files and roles looked up.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The filters (their time is not looked at).
    pub scope: Scope,
    /// From (inclusive).
    pub from: Option<Micros>,
    /// Until (exclusive).
    pub until: Option<Micros>,
    /// Roles that pass, as bits.
    pub roles: u8,
    /// Files that pass; `None`: all.
    pub files: Option<Vec<i64>>,
    /// Whether reports stand for what their deliveries say: not in a scope that leaves files or roles with
    /// deliveries out, since a catalog of the others alone would not know them.
    attributes: bool,
    /// What is otherwise among several files alone.
    subset: Arc<Subset>,
    /// Segments in which the recipients asked for stand in lower case only, so that a plain comparison, which
    /// Bloom filters serve, finds them.
    pub(super) lower: Arc<HashSet<String>>,
}

impl Resolved {
    /// Resolves a scope against the catalog.
    pub fn new(
        catalog: &Catalog,
        snapshot: &Snapshot,
        scope: &Scope,
        now: Option<Micros>,
    ) -> crate::catalog::Result<Self> {
        let (from, until) = scope.time.resolve(now);
        let types = scope.conditions(Field::Type);
        let roles =
            Role::ALL.iter().filter(|role| types.allow(role.as_str())).fold(0, |roles, role| roles | role.bit());
        let file_conditions = scope.conditions(Field::File);
        let files = if file_conditions == Conditions::default() {
            None
        } else {
            let names = catalog.control(|control| control.file_names())?;
            Some(
                names
                    .into_iter()
                    .filter(|(id, name, path)| file_passes(&file_conditions, *id, name, path))
                    .map(|(id, _, _)| id)
                    .collect(),
            )
        };
        let mut resolved = Self {
            scope: scope.clone(),
            from,
            until,
            roles,
            attributes: files.is_none() && roles_of_deliveries(snapshot) & !roles == 0,
            files,
            subset: Arc::default(),
            lower: Arc::default(),
        };
        if resolved.files.as_ref().is_some_and(|files| files.len() > 1) {
            let chosen: Vec<&Segment> = snapshot
                .segments
                .iter()
                .filter(|segment| resolved.admits(segment) && resolved.overlaps(segment))
                .collect();
            let files = resolved.files.as_deref().unwrap_or_default();
            resolved.subset = Arc::new(subset(catalog, &chosen, files)?);
        }
        Ok(resolved)
    }

    /// The same filters over other bounds.
    pub fn between(&self, from: Option<Micros>, until: Option<Micros>) -> Self {
        Self { from, until, ..self.clone() }
    }

    /// Whether a segment's rows count in this scope (SPEC §2.6): a role filter gives what a catalog of
    /// those roles alone would give, a file filter the file's own rows.
    pub fn holds(&self, segment: &Segment) -> bool {
        let role = Role::parse(&segment.role).map_or(0, Role::bit);
        if role & self.roles == 0 || !self.reads(segment) {
            return false;
        }
        match &self.files {
            None => !hides(segment.shadow, self.roles),
            // Nothing merges within one file; of several, what is otherwise among them stands apart.
            Some(files) if files.len() == 1 => is_among(files, segment),
            Some(files) => {
                is_among(files, segment) && segment.is_events() && !self.subset.replaced.contains(&segment.path)
            }
        }
    }

    /// Reports that are known stand in two ways; one of them is read.
    fn reads(&self, segment: &Segment) -> bool {
        match segment.link {
            Link::Plain => true,
            Link::Stored => !self.attributes,
            Link::Attributed | Link::Unattributed => self.attributes,
        }
    }

    /// Whether a segment's rows pass the role and file filters, copies or not.
    pub fn admits(&self, segment: &Segment) -> bool {
        Role::parse(&segment.role).is_some_and(|role| role.bit() & self.roles != 0)
            && self.reads(segment)
            && self.files.as_ref().is_none_or(|files| is_among(files, segment))
    }

    /// The record types in a segment, of the scope's files alone, as bits.
    pub fn types_of(&self, segment: &Segment) -> u8 {
        segment
            .files
            .iter()
            .filter(|file| self.files.as_ref().is_none_or(|files| files.contains(&file.id)))
            .flat_map(|file| (0..8).filter(|index| file.by_type[*index] > 0))
            .fold(0, |types, index| types | 1 << index)
    }

    /// Whether a segment's time overlaps the scope's.
    pub fn overlaps(&self, segment: &Segment) -> bool {
        match (segment.min_time, segment.max_time) {
            (Some(min), Some(max)) => {
                self.from.is_none_or(|from| from <= max) && self.until.is_none_or(|until| min < until)
            }
            _ => self.from.is_none() && self.until.is_none(),
        }
    }

    /// The conditions as one expression; `None` where everything passes. `lower`: recipients are in lower case.
    fn predicate(&self, lower: bool) -> Option<Expr> {
        let time = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::from("UTC"))));
        let mut parts = Vec::new();
        if let Some(from) = self.from {
            parts.push(col("event_time").gt_eq(time(from)));
        }
        if let Some(until) = self.until {
            parts.push(col("event_time").lt(time(until)));
        }
        if let Some(files) = &self.files {
            parts.push(col("file_id").in_list(files.iter().map(|id| lit(*id)).collect(), false));
        }
        for (field, conditions) in self.scope.by_field() {
            if !matches!(field, Field::Type | Field::File) {
                parts.extend(condition(field, &conditions, lower && field == Field::Recipient));
            }
        }
        parts.into_iter().reduce(Expr::and)
    }
}

fn is_among(files: &[i64], segment: &Segment) -> bool {
    files.iter().any(|id| segment.holds_file(*id))
}

fn file_passes(conditions: &Conditions, id: i64, name: &str, path: &str) -> bool {
    let id = id.to_string();
    let hit = |filter: &Filter| [name, path, &id].iter().any(|text| filter.matches(text));
    (conditions.include.is_empty() || conditions.include.iter().any(hit)) && !conditions.exclude.iter().any(hit)
}

/// The conditions on one field.
fn condition(field: Field, conditions: &Conditions, lower: bool) -> Vec<Expr> {
    let mut parts: Vec<Expr> = conditions.exclude.iter().map(|filter| is_not(field, filter, lower)).collect();
    // Many plain values are one look-up in a set; the rest are compared one by one.
    let (plain, others): (Vec<&Filter>, Vec<&Filter>) = conditions.include.iter().partition(|filter| {
        conditions.include.len() > 3 && field != Field::Status && !filter.has_wildcard() && !filter.value.is_empty()
    });
    let set = (!plain.is_empty()).then(|| is_one_of(field, &plain, lower));
    if let Some(any) = others.into_iter().map(|filter| is(field, filter, lower)).chain(set).reduce(Expr::or) {
        parts.push(any);
    }
    parts
}

/// Rows without a value are NULL, and `NOT NULL = x` must keep them.
fn is_not(field: Field, filter: &Filter, lower: bool) -> Expr {
    let found = is(field, filter, lower);
    when(found.clone(), lit(false)).otherwise(lit(true)).unwrap_or_else(|_| Expr::Not(Box::new(found)))
}

/// `lower`: the column is in lower case.
fn is(field: Field, filter: &Filter, lower: bool) -> Expr {
    let column = ident(field.column_name());
    if field == Field::Status {
        let code = cast_expr(col("smtp_code"), DataType::Utf8View);
        if filter.value.is_empty() {
            return column.is_null().and(col("smtp_code").is_null());
        }
        return text_is(column, &filter.value, false).or(text_is(code, &filter.value, false));
    }
    if filter.value.is_empty() {
        return column.is_null();
    }
    match field.compare() {
        Compare::IgnoreCase if lower || is_stored_lower(field) => text_is(column, &filter.value.to_lowercase(), false),
        Compare::IgnoreCase => text_is(column, &filter.value.to_lowercase(), true),
        _ => text_is(column, &filter.value, false),
    }
}

fn is_one_of(field: Field, filters: &[&Filter], is_lower: bool) -> Expr {
    let column = ident(field.column_name());
    let ignore_case = field.compare() == Compare::IgnoreCase;
    let value = |filter: &&Filter| lit(if ignore_case { filter.value.to_lowercase() } else { filter.value.clone() });
    let column = if ignore_case && !is_lower && !is_stored_lower(field) { lower(column) } else { column };
    column.in_list(filters.iter().map(value).collect(), false)
}

/// Columns that are stored in lower case, so that an equality can use statistics and dictionaries.
const fn is_stored_lower(field: Field) -> bool {
    matches!(field, Field::Domain | Field::SenderDomain | Field::Kind | Field::RecordType)
}

/// Equality, or LIKE where the value holds `*`.
fn text_is(column: Expr, value: &str, lower_first: bool) -> Expr {
    let column = if lower_first { lower(column) } else { column };
    if value.contains('*') { column.like(lit(like_pattern(value))) } else { column.eq(lit(value)) }
}

fn like_pattern(value: &str) -> String {
    let mut pattern = String::with_capacity(value.len() + 8);
    for letter in value.chars() {
        match letter {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => {
                pattern.push('\\');
                pattern.push(letter);
            }
            letter => pattern.push(letter),
        }
    }
    pattern
}

/// Rows of raw Parquet.
#[derive(Clone)]
pub struct Raw {
    /// A session with the limits of the settings.
    pub context: SessionContext,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").finish_non_exhaustive()
    }
}

impl Raw {
    /// The rows of a scope from segments that also satisfy a condition.
    pub(super) fn rows(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        keep: impl Fn(&Segment) -> bool,
    ) -> DataFusionResult<DataFrame> {
        let part = |lower: bool| {
            SegmentTable::new(snapshot, |segment| {
                resolved.overlaps(segment) && keep(segment) && resolved.lower.contains(&segment.path) == lower
            })
        };
        let mut frame = self.context.read_table(Arc::new(part(false)))?;
        if !resolved.subset.rows.is_empty() {
            let batches = resolved.subset.rows.iter().map(as_queried).collect::<DataFusionResult<Vec<_>>>()?;
            frame = frame.union(self.context.read_batches(batches)?)?;
        }
        let filtered = |frame: DataFrame, lower: bool| match resolved.predicate(lower) {
            Some(predicate) => frame.filter(predicate),
            None => Ok(frame),
        };
        let frame = filtered(frame, false)?;
        if resolved.lower.is_empty() {
            return Ok(frame);
        }
        frame.union(filtered(self.context.read_table(Arc::new(part(true)))?, true)?)
    }

    /// Counts by group and bucket.
    pub async fn counts(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
        fbl: &[String],
    ) -> DataFusionResult<HashMap<GroupKey, Counts>> {
        let mut sums: HashMap<GroupKey, Counts> = HashMap::new();
        let covered = col("provider").in_list(fbl.iter().map(lit).collect(), false);
        let frame = self.rows(snapshot, resolved, |segment| resolved.holds(segment))?.aggregate(
            vec![
                group_expr(group).alias("g"),
                bucket_expr(bucket).alias("b"),
                col("event_type"),
                col("kind"),
                col("bounce_class"),
                col("reply_class"),
                covered.alias("fbl"),
            ],
            vec![count(lit(1)).alias("n")],
        )?;
        for batch in frame.collect().await? {
            let rows = Rows::of(&batch)?;
            let text = |name: &str| text_column(&batch, name);
            let (role, kind, class, reply) =
                (text("event_type")?, text("kind")?, text("bounce_class")?, text("reply_class")?);
            let fbl = cast(column(&batch, "fbl")?, &DataType::Boolean)?;
            let fbl = fbl.as_boolean();
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let outcome = Outcome {
                    role: value(&role, row),
                    kind: value(&kind, row),
                    bounce_class: value(&class, row),
                    rate_reply: ReplyClass::parse(value(&reply, row)).is_some_and(ReplyClass::is_rb),
                    fbl: !fbl.is_null(row) && fbl.value(row),
                };
                sums.entry(rows.key(row)).or_default().add(outcome.mask(), n.value(row));
            }
        }
        self.add_merged(snapshot, resolved, group, bucket, &mut sums).await?;
        self.take_attributed(snapshot, resolved, group, bucket, &mut sums).await?;
        Ok(sums)
    }

    /// Takes complaints whose delivery is known from the number of those whose delivery is not.
    async fn take_attributed(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
        sums: &mut HashMap<GroupKey, Counts>,
    ) -> DataFusionResult<()> {
        let known = |segment: &Segment| {
            segment.link == Link::Attributed && segment.holds(1 << RecordType::F.index()) && resolved.holds(segment)
        };
        if !snapshot.segments.iter().any(|segment| known(segment) && resolved.overlaps(segment)) {
            return Ok(());
        }
        let frame =
            self.rows(snapshot, resolved, known)?.filter(col("kind").eq(lit(Kind::Complaint.as_str())))?.aggregate(
                vec![group_expr(group).alias("g"), bucket_expr(bucket).alias("b")],
                vec![count(lit(1)).alias("n")],
            )?;
        for batch in frame.collect().await? {
            let rows = Rows::of(&batch)?;
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                sums.entry(rows.key(row)).or_default().add(1 << Measure::Unattributed as u16, -n.value(row));
            }
        }
        Ok(())
    }

    /// Adds the number of copies that the scope's events stand for.
    async fn add_merged(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
        sums: &mut HashMap<GroupKey, Counts>,
    ) -> DataFusionResult<()> {
        let copies = |segment: &Segment| resolved.admits(segment) && hides(segment.shadow, resolved.roles);
        if resolved.files.is_some()
            || !snapshot.segments.iter().any(|segment| copies(segment) && resolved.overlaps(segment))
        {
            return Ok(());
        }
        let frame = self.rows(snapshot, resolved, copies)?.aggregate(
            vec![group_expr(group).alias("g"), bucket_expr(bucket).alias("b")],
            vec![count(lit(1)).alias("n")],
        )?;
        for batch in frame.collect().await? {
            let rows = Rows::of(&batch)?;
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                sums.entry(rows.key(row)).or_default().add(1 << Measure::Merged as u16, n.value(row));
            }
        }
        Ok(())
    }

    /// Latencies by group and bucket.
    pub async fn latency(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
    ) -> DataFusionResult<HashMap<GroupKey, Counts>> {
        let types = 1 << RecordType::D.index() | 1 << RecordType::T.index();
        let ms = col("delivery_latency_ms");
        let cell = datafusion::functions::expr_fn::ceil(
            datafusion::functions::expr_fn::ln(cast_expr(ms.clone(), DataType::Float64)) / lit(log_gamma()),
        );
        let cell = when(ms.clone().lt_eq(lit(0i64)), lit(-1i64)).otherwise(cast_expr(cell, DataType::Int64))?;
        let frame =
            self.rows(snapshot, resolved, |segment| resolved.holds(segment) && segment.holds(types))?
                .filter(ms.clone().is_not_null().and(
                    col("kind").in_list(vec![lit(Kind::Delivered.as_str()), lit(Kind::Deferred.as_str())], false),
                ))?
                .aggregate(
                    vec![group_expr(group).alias("g"), bucket_expr(bucket).alias("b"), col("kind"), cell.alias("cell")],
                    vec![count(lit(1)).alias("n"), sum(ms.clone()).alias("sum"), max(ms).alias("max")],
                )?;
        let mut sums: HashMap<GroupKey, Counts> = HashMap::new();
        for batch in frame.collect().await? {
            let rows = Rows::of(&batch)?;
            let kind = text_column(&batch, "kind")?;
            let int =
                |name: &str| -> DataFusionResult<_> { Ok(column(&batch, name)?.as_primitive::<Int64Type>().clone()) };
            let (cell, n, sum, max) = (int("cell")?, int("n")?, int("sum")?, int("max")?);
            for row in 0..batch.num_rows() {
                let counts = sums.entry(rows.key(row)).or_default();
                let histogram = if value(&kind, row) == Kind::Deferred.as_str() {
                    &mut counts.attempt
                } else {
                    &mut counts.delivery
                };
                let bucket = i32::try_from(cell.value(row)).unwrap_or(i32::MAX);
                histogram.add(bucket, n.value(row), sum.value(row), max.value(row));
            }
        }
        Ok(sums)
    }

    /// The messages (by hash) with at least one deferral, by group and bucket (SPEC §4).
    pub async fn deferred(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Option<Field>,
        bucket: Option<Micros>,
    ) -> DataFusionResult<HashMap<GroupKey, HashSet<u64>>> {
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment) && segment.holds(1 << RecordType::T.index()))?
            .filter(col("kind").eq(lit(Kind::Deferred.as_str())))?
            .select(vec![
                group_expr(group).alias("g"),
                bucket_expr(bucket).alias("b"),
                col("message_id"),
                col("recipient"),
                col("sender"),
                col("queued_time"),
                col("job_id"),
            ])?;
        let mut found: HashMap<GroupKey, HashSet<u64>> = HashMap::new();
        let mut stream = frame.execute_stream().await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let rows = Rows::of(&batch)?;
            let text = |name: &str| text_column(&batch, name);
            let (id, recipient, sender, job) =
                (text("message_id")?, text("recipient")?, text("sender")?, text("job_id")?);
            let queued = cast(column(&batch, "queued_time")?, &timestamp())?;
            let queued = queued.as_primitive::<TimestampMicrosecondType>();
            for row in 0..batch.num_rows() {
                let hash = message_hash(
                    (!id.is_null(row)).then(|| value(&id, row)),
                    value(&recipient, row),
                    value(&sender, row),
                    (!queued.is_null(row)).then(|| queued.value(row)),
                    value(&job, row),
                );
                found.entry(rows.key(row)).or_default().insert(hash);
            }
        }
        Ok(found)
    }

    /// Rows with a reply class, by group and class.
    pub async fn classes(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        group: Field,
    ) -> DataFusionResult<ClassCounts> {
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment))?
            .filter(col("reply_class").is_not_null())?
            .aggregate(vec![group_expr(Some(group)).alias("g"), col("reply_class")], vec![count(lit(1)).alias("n")])?;
        let mut sums = HashMap::new();
        for batch in frame.collect().await? {
            let (groups, classes) = (text_column(&batch, "g")?, text_column(&batch, "reply_class")?);
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                sums.insert((Arc::from(value(&groups, row)), Arc::from(value(&classes, row))), n.value(row));
            }
        }
        Ok(sums)
    }

    /// A page of events, newest first unless sorted otherwise.
    pub async fn events(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        sort: Option<&Sort>,
        offset: usize,
        limit: Option<usize>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let frame = self.rows(snapshot, resolved, |segment| resolved.holds(segment))?;
        let order = |column: &str, ascending: bool| SortExpr::new(ident(column), ascending, false);
        let mut sorts: Vec<SortExpr> = Vec::new();
        if let Some(sort) = sort {
            sorts.push(order(&sort.column, !sort.descending));
        }
        sorts.extend([order("event_time", false), order("file_id", false), order("row_number", false)]);
        frame.sort(sorts)?.limit(offset, limit)?.execute_stream().await
    }

    /// Values of a column that contain a text, most frequent first.
    pub async fn values(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        field: Field,
        text: &str,
        most: usize,
    ) -> DataFusionResult<Vec<(String, u64)>> {
        let column_expr = ident(field.column_name());
        let pattern = format!("%{}%", like_pattern(&text.to_lowercase().replace('*', "")));
        let wanted = if pattern == "%%" {
            column_expr.clone().is_not_null()
        } else {
            lower(column_expr.clone()).like(lit(pattern))
        };
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment))?
            .filter(wanted)?
            .aggregate(vec![column_expr.alias("v")], vec![count(lit(1)).alias("n")])?;
        // There may be a value per message: the aggregation goes to disk where it must, and only the
        // leading ones are kept.
        let mut leading: Vec<(u64, String)> = Vec::new();
        let mut least = (0, String::new());
        let mut stream = frame.execute_stream().await?;
        let order = |a: &(u64, String), b: &(u64, String)| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1));
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let values = text_column(&batch, "v")?;
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let n = n.value(row).unsigned_abs();
                if n < least.0 || n == least.0 && value(&values, row) > least.1.as_str() {
                    continue;
                }
                leading.push((n, value(&values, row).to_owned()));
                if leading.len() >= most.saturating_mul(2).max(1 << 12) {
                    leading.sort_unstable_by(order);
                    leading.truncate(most);
                    least = leading.last().cloned().unwrap_or_default();
                }
            }
        }
        leading.sort_unstable_by(order);
        leading.truncate(most);
        Ok(leading.into_iter().map(|(n, value)| (value, n)).collect())
    }
}

/// A batch with the column types that queries read.
fn as_queried(batch: &RecordBatch) -> DataFusionResult<RecordBatch> {
    let columns = QUERIED
        .fields()
        .iter()
        .map(|field| Ok(cast(column(batch, field.name())?, field.data_type())?))
        .collect::<DataFusionResult<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(&QUERIED), columns)?)
}

pub(super) fn group_expr(group: Option<Field>) -> Expr {
    group.map_or_else(|| lit(""), |field| ident(field.column_name()))
}

pub(super) fn bucket_expr(bucket: Option<Micros>) -> Expr {
    let nothing = ScalarValue::TimestampMicrosecond(None, Some(Arc::from("UTC")));
    match bucket {
        None => lit(nothing),
        Some(width) => date_bin(
            lit(ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(
                0,
                0,
                width * 1000,
            )))),
            col("event_time"),
            lit(ScalarValue::TimestampMicrosecond(Some(0), Some(Arc::from("UTC")))),
        ),
    }
}

/// The group and bucket columns of an answer.
struct Rows {
    groups: arrow::array::ArrayRef,
    buckets: arrow::array::ArrayRef,
}

impl Rows {
    fn of(batch: &RecordBatch) -> DataFusionResult<Self> {
        Ok(Self { groups: text_column(batch, "g")?, buckets: cast(column(batch, "b")?, &timestamp())? })
    }

    fn key(&self, row: usize) -> GroupKey {
        let buckets = self.buckets.as_primitive::<TimestampMicrosecondType>();
        (Arc::from(value(&self.groups, row)), (!buckets.is_null(row)).then(|| buckets.value(row)))
    }
}

/// A column of an answer by name.
pub fn column<'b>(batch: &'b RecordBatch, name: &str) -> DataFusionResult<&'b arrow::array::ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| datafusion::error::DataFusionError::Internal(format!("the answer has no column `{name}`")))
}

/// A column of an answer as text.
pub fn text_column(batch: &RecordBatch, name: &str) -> DataFusionResult<arrow::array::ArrayRef> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?)
}

/// A cell of a text column; empty where there is none.
pub fn value(column: &arrow::array::ArrayRef, row: usize) -> &str {
    let column = column.as_string::<i32>();
    if column.is_null(row) { "" } else { column.value(row) }
}
