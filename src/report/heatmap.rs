//! The leading values of a field by time: every metric by value and bucket, for heatmaps and sparklines.

use super::{Asked, group_table, group_value, metrics, time};
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::measures::Measure;
use crate::query::planner::Needs;
use crate::query::question::{Bucket, Failure};
use crate::query::scope::Scope;
use crate::query::table::{Table, Value};
use crate::query::time::Width;

/// Values shown unless a page says otherwise.
const LEADING: usize = 20;

impl Asked<'_> {
    /// Rows by value (most rows first) and bucket.
    pub(super) async fn heatmap(
        &self,
        scope: &Scope,
        by: Field,
        bucket: Bucket,
        latency: bool,
    ) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let counted = Needs { latency: false, deferred: false };
        let mut values: Vec<(i64, std::sync::Arc<str>)> = self
            .grouped(&resolved, Some(by), None, counted)
            .await?
            .into_iter()
            .filter(|(_, counts)| !counts.is_empty())
            .map(|(key, counts)| (counts.get(Measure::Rows), key.0))
            .collect();
        values.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let limit = self.page.limit.unwrap_or(LEADING);
        let more = values.len() > limit.saturating_add(self.page.offset);
        let values: Vec<std::sync::Arc<str>> =
            values.into_iter().skip(self.page.offset).take(limit).map(|(_, value)| value).collect();
        let width = self.width(bucket);
        let mut table = group_table(Some(by), true);
        table.more = more;
        if values.is_empty() {
            return Ok(table);
        }
        let context = self.context(&resolved, Some(by))?;
        let mut narrowed = Scope::new(scope.time, scope.filters().iter().filter(|known| known.field != by).cloned());
        for value in &values {
            narrowed.add(Filter::include(by, &**value));
        }
        let resolved = self.engine.resolve(self.snapshot, &narrowed, self.now)?;
        let needs = Needs { latency, deferred: false };
        let mut rows: Vec<_> = self
            .grouped(&resolved, Some(by), Some(Width::micros(width)), needs)
            .await?
            .into_iter()
            .filter(|(_, counts)| !counts.is_empty())
            .filter_map(|(key, counts)| {
                let rank = values.iter().position(|value| *value == key.0)?;
                Some((rank, key, counts))
            })
            .collect();
        rows.sort_by_key(|(rank, key, _)| (*rank, key.1));
        for (_, key, counts) in rows {
            let mut row: Vec<Value> = vec![group_value(&key.0), time(key.1)];
            row.extend(metrics::all().map(|metric| metric.value(&counts, &context)));
            table.rows.push(row);
        }
        Ok(table)
    }
}
