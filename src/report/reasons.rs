//! Bounces by category and normalised reason, as `pmtastats` prints its bounce categories.

use super::{Asked, arrange, group_value};
use crate::query::field::Field;
use crate::query::question::Failure;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};

impl Asked<'_> {
    /// Rows by category, reason and, if asked for, a field's value.
    pub(super) async fn categories(&self, scope: &Scope, by: Option<Field>) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let reasons = self.engine.raw().reasons(self.snapshot, &resolved, by).await.map_err(Failure::from_engine)?;
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by(|a, b| a.0.cmp(&b.0));
        let all: i64 = reasons.iter().map(|(_, bounces)| bounces.n).sum();
        let by_name = by.map(Field::report_name);
        let keys = [("bounce_category", Unit::Text), ("reply", Unit::Text), ("bounce_class", Unit::Text)];
        let mut table = Table::with_heads(keys.into_iter().chain(by_name.as_deref().map(|name| (name, Unit::Text))));
        let numbers = [("n", Unit::Count), ("share", Unit::Fraction), ("n_4xx", Unit::Count), ("n_5xx", Unit::Count)];
        table.heads.extend(Table::with_heads(numbers.into_iter().chain([("example", Unit::Text)])).heads);
        for (reason, bounces) in reasons {
            let mut row = vec![group_value(&reason.category), group_value(&reason.reply), group_value(&reason.class)];
            if by.is_some() {
                row.push(group_value(&reason.value));
            }
            #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
            let share = bounces.n as f64 / all.max(1) as f64;
            row.extend([
                Value::Int(bounces.n),
                Value::Float(share),
                Value::Int(bounces.four),
                Value::Int(bounces.five),
                group_value(&bounces.example),
            ]);
            table.rows.push(row);
        }
        Ok(arrange(table, self.page, Some("n")))
    }
}
