//! A snapshot as a DataFusion table: exactly the segments of one generation, pruned by date, time, role,
//! record type and file before anything is opened.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use super::Snapshot;
use super::control::Segment;
use crate::event::schema::QUERIED;

/// Segments that are read as one table with the columns of `events`.
#[derive(Debug)]
pub struct SegmentTable {
    root: std::path::PathBuf,
    segments: Vec<Segment>,
}

impl SegmentTable {
    /// A table over the segments of a snapshot that satisfy a condition.
    pub fn new(snapshot: &Snapshot, keep: impl Fn(&Segment) -> bool) -> Self {
        Self {
            root: snapshot.root.clone(),
            segments: snapshot.segments.iter().filter(|segment| keep(segment)).cloned().collect(),
        }
    }

    /// The segments that may hold rows which satisfy the filters.
    fn pruned(&self, filters: &[Expr]) -> Vec<&Segment> {
        let bounds = Bounds::of(filters);
        self.segments.iter().filter(|segment| bounds.may_hold(segment)).collect()
    }
}

/// What filters say about whole segments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bounds {
    from: Option<i64>,
    until: Option<i64>,
    dates: Option<(i32, i32)>,
    role: Option<String>,
}

impl Bounds {
    fn of(filters: &[Expr]) -> Self {
        let mut bounds = Self::default();
        for filter in filters {
            bounds.note(filter);
        }
        bounds
    }

    fn note(&mut self, filter: &Expr) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return };
        if *op == Operator::And {
            self.note(left);
            self.note(right);
            return;
        }
        let (column, literal, op) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(literal, _)) => (column, literal, *op),
            (Expr::Literal(literal, _), Expr::Column(column)) => match op.swap() {
                Some(op) => (column, literal, op),
                None => return,
            },
            _ => return,
        };
        match (column.name.as_str(), literal) {
            ("event_time", ScalarValue::TimestampMicrosecond(Some(time), _)) => self.note_time(op, *time),
            ("date", ScalarValue::Date32(Some(day))) => self.note_date(op, *day),
            ("event_type", literal) if op == Operator::Eq => {
                self.role = literal.try_as_str().flatten().map(str::to_owned);
            }
            _ => {}
        }
    }

    fn note_time(&mut self, op: Operator, time: i64) {
        let raise = |bound: Option<i64>, time: i64| Some(bound.map_or(time, |bound| bound.max(time)));
        let lower = |bound: Option<i64>, time: i64| Some(bound.map_or(time, |bound| bound.min(time)));
        match op {
            Operator::GtEq | Operator::Gt => self.from = raise(self.from, time),
            Operator::LtEq | Operator::Lt => self.until = lower(self.until, time),
            Operator::Eq => {
                self.from = raise(self.from, time);
                self.until = lower(self.until, time);
            }
            _ => {}
        }
    }

    fn note_date(&mut self, op: Operator, day: i32) {
        let (from, until) = self.dates.unwrap_or((i32::MIN, i32::MAX));
        self.dates = match op {
            Operator::Eq => Some((from.max(day), until.min(day))),
            Operator::GtEq | Operator::Gt => Some((from.max(day), until)),
            Operator::LtEq | Operator::Lt => Some((from, until.min(day))),
            _ => self.dates,
        };
    }

    fn may_hold(&self, segment: &Segment) -> bool {
        let time = match (segment.min_time, segment.max_time) {
            (Some(min), Some(max)) => {
                self.from.is_none_or(|from| from <= max) && self.until.is_none_or(|until| min <= until)
            }
            // A segment without any time satisfies no condition on time.
            _ => self.from.is_none() && self.until.is_none(),
        };
        let date = match (self.dates, segment.date) {
            (Some((from, until)), Some(date)) => (from..=until).contains(&date),
            (Some(_), None) => false,
            (None, _) => true,
        };
        time && date && self.role.as_ref().is_none_or(|role| *role == segment.role)
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&QUERIED)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        // Inexact: the filter is used to skip segments, row groups and pages, and applied again above.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let segments = self.pruned(filters);
        let schema = self.schema();
        if segments.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(schema.project(columns)?),
                None => schema,
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut source =
            ParquetSource::new(Arc::clone(&schema)).with_enable_page_index(true).with_bloom_filter_on_read(true);
        if let Some(predicate) = filters.iter().cloned().reduce(Expr::and) {
            let schema = datafusion::common::DFSchema::try_from(Arc::clone(&schema))?;
            source = source.with_predicate(state.create_physical_expr(predicate, &schema)?);
        }
        let partitions = state.config().target_partitions().max(1);
        let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); partitions.min(segments.len())];
        let mut sizes = vec![0i64; groups.len()];
        for segment in segments {
            // The next file goes to the group that has least to do.
            let group = sizes.iter().enumerate().min_by_key(|(_, size)| **size).map_or(0, |(index, _)| index);
            sizes[group] += segment.bytes;
            groups[group].push(partitioned_file(&self.root, segment)?);
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn partitioned_file(root: &std::path::Path, segment: &Segment) -> DataFusionResult<PartitionedFile> {
    let path = ObjectPath::from_absolute_path(root.join(&segment.path))
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location: path,
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: segment.bytes.unsigned_abs(),
        e_tag: None,
        version: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    #[test]
    fn a_time_range_bounds_the_segments() {
        let time = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::from("UTC"))));
        let filters =
            [col("event_time").gt_eq(time(10)).and(col("event_time").lt(time(20))), col("event_type").eq(lit("acct"))];
        let bounds = Bounds::of(&filters);
        assert_eq!((bounds.from, bounds.until, bounds.role.as_deref()), (Some(10), Some(20), Some("acct")));
        let segment = |min, max, role: &str| Segment {
            min_time: Some(min),
            max_time: Some(max),
            ..super::super::commit::blank_segment(Some(0), role, 0)
        };
        assert!(bounds.may_hold(&segment(15, 30, "acct")));
        assert!(!bounds.may_hold(&segment(21, 30, "acct")));
        assert!(!bounds.may_hold(&segment(15, 30, "tran")));
    }
}
