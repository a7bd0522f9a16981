//! Why mail bounced: PowerMTA's category, and the reason with what differs from message to message gone.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::lit;
use datafusion::prelude::col;

use super::field::Field;
use super::raw::{Raw, Resolved, column, group_expr, text_column, value};
use crate::catalog::Snapshot;
use crate::event::{Kind, RecordType};

/// What bounces have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// PowerMTA's category.
    pub category: String,
    /// The reply, with placeholders; the words of the status where there was no reply.
    pub reply: String,
    /// Hard, soft or block.
    pub class: String,
    /// The value of the field beside it.
    pub value: String,
}

/// Bounces with one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounces {
    /// How many.
    pub n: i64,
    /// Of these with a status 4.x.x: given up after the last try.
    pub four: i64,
    /// Of these with a status 5.x.x.
    pub five: i64,
    /// One of the replies, verbatim.
    pub example: String,
}

impl Raw {
    /// The bounces of a scope by reason; in no order.
    pub async fn reasons(
        &self,
        snapshot: &Snapshot,
        resolved: &Resolved,
        by: Option<Field>,
    ) -> Result<HashMap<Reason, Bounces>> {
        let keep = 1 << RecordType::B.index();
        let names = ["bounce_category", "bounce_class", "smtp_status", "dsn_diag"];
        let groups = std::iter::once(group_expr(by).alias("g")).chain(names.iter().map(|name| col(*name)));
        let frame = self
            .rows(snapshot, resolved, |segment| resolved.holds(segment) && segment.holds(keep))?
            .filter(col("kind").eq(lit(Kind::Bounced.as_str())))?
            .aggregate(groups.collect(), vec![count(lit(1)).alias("n")])?;
        let mut reasons: HashMap<Reason, Bounces> = HashMap::new();
        for batch in frame.collect().await? {
            let group = text_column(&batch, "g")?;
            let [category, class, status, diag] = names.map(|name| text_column(&batch, name));
            let (category, class, status, diag) = (category?, class?, status?, diag?);
            let n = column(&batch, "n")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let (text, code) = (value(&diag, row), value(&status, row));
                let reply = if text.is_empty() { code.to_owned() } else { crate::reply::template(text) };
                let reason = Reason {
                    category: value(&category, row).to_owned(),
                    reply,
                    class: value(&class, row).to_owned(),
                    value: value(&group, row).to_owned(),
                };
                let bounces = reasons.entry(reason).or_default();
                let n = n.value(row);
                bounces.n += n;
                bounces.four += if code.starts_with('4') { n } else { 0 };
                bounces.five += if code.starts_with('5') { n } else { 0 };
                if bounces.example.is_empty() || (!text.is_empty() && text < bounces.example.as_str()) {
                    text.clone_into(&mut bounces.example);
                }
            }
        }
        Ok(reasons)
    }
}
