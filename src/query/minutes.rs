//! Mail by minute, with its bytes, from raw rows: how fast it went at its fastest.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::lit;
use datafusion::prelude::col;

use super::raw::{Raw, Resolved, bucket_expr, column, text_column, value};
use super::time::MINUTE;
use crate::catalog::Snapshot;
use crate::event::schema::timestamp;
use crate::event::{Kind, Micros, RecordType};

/// What happened in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    /// Deliveries.
    pub delivered: i64,
    /// Bounces.
    pub bounced: i64,
    /// Bytes delivered, where the log says so.
    pub bytes: i64,
}

impl Raw {
    /// Deliveries and bounces of a scope by minute.
    pub async fn minutes(&self, snapshot: &Snapshot, resolved: &Resolved) -> Result<BTreeMap<Micros, Minute>> {
        let types = 1 << RecordType::D.index() | 1 << RecordType::B.index();
        let kinds = vec![lit(Kind::Delivered.as_str()), lit(Kind::Bounced.as_str())];
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment) && segment.holds(types))?
            .filter(col("kind").in_list(kinds, false))?
            .aggregate(
                vec![bucket_expr(Some(MINUTE)).alias("b"), col("kind")],
                vec![count(lit(1)).alias("n"), sum(col("size_bytes")).alias("bytes")],
            )?;
        let mut minutes: BTreeMap<Micros, Minute> = BTreeMap::new();
        for batch in frame.collect().await? {
            let kind = text_column(&batch, "kind")?;
            let buckets = cast(column(&batch, "b")?, &timestamp())?;
            let buckets = buckets.as_primitive::<TimestampMicrosecondType>();
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            let bytes = column(&batch, "bytes")?.as_primitive::<Int64Type>();
            for row in (0..batch.num_rows()).filter(|row| !buckets.is_null(*row)) {
                let minute = minutes.entry(buckets.value(row)).or_default();
                if value(&kind, row) == Kind::Bounced.as_str() {
                    minute.bounced += n.value(row);
                } else {
                    minute.delivered += n.value(row);
                    minute.bytes += if bytes.is_null(row) { 0 } else { bytes.value(row) };
                }
            }
        }
        Ok(minutes)
    }
}
