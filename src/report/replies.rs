//! What the other side says: replies grouped by what stays the same, each with what it means and what to do,
//! when it was first seen, and whether it was there at the last visit.

use super::{Asked, arrange, group_value, time};
use crate::event::bounce::ReplyClass;
use crate::query::question::Failure;
use crate::query::replies::ReplyGroup;
use crate::query::scope::Scope;
use crate::query::table::{Table, Unit, Value};
use crate::reply::Verdict;

const HEADS: &[(&str, Unit)] = &[
    ("reply", Unit::Text),
    ("n", Unit::Count),
    ("reply_class", Unit::Text),
    ("provider", Unit::Text),
    ("first", Unit::Time),
    ("last", Unit::Time),
    ("example", Unit::Text),
    ("reply_pattern", Unit::Text),
    ("scope", Unit::Text),
    ("meaning", Unit::Text),
    ("advice", Unit::Text),
    ("blocklist", Unit::Text),
    ("listed_ip", Unit::Text),
    ("first_seen", Unit::Time),
    ("new", Unit::Flag),
    ("trend", Unit::Text),
];

impl Asked<'_> {
    /// Rows by template, class and provider.
    pub(super) async fn replies(&self, scope: &Scope) -> Result<Table, Failure> {
        let resolved = self.engine.resolve(self.snapshot, scope, self.now)?;
        let mut groups = self.engine.replies(self.snapshot, &resolved).await?;
        groups.sort_by(|a, b| (&a.template, &a.class, &a.provider).cmp(&(&b.template, &b.class, &b.provider)));
        let first_seen = self.engine.first_replies(self.snapshot)?;
        let mut table = Table::with_heads(HEADS.iter().copied());
        for group in &groups {
            let known = first_seen.as_ref().map(|first| first.get(&group.identity()).copied());
            table.rows.push(self.reply(group, known));
        }
        Ok(arrange(table, self.page, Some("n")))
    }

    /// One row; `first_seen` where all packs that know it are there.
    fn reply(&self, group: &ReplyGroup, first_seen: Option<Option<i64>>) -> Vec<Value> {
        let class = ReplyClass::parse(&group.class);
        let verdict = class.map(|class| self.engine.catalogue().explain(class, &group.provider, &group.example));
        let words = |of: for<'a> fn(&'a Verdict<'a>) -> &'a str| {
            verdict.as_ref().map_or(Value::Null, |verdict| group_value(of(verdict)))
        };
        // Days whose rows have left have their replies no more: then the scope knows as much.
        let known = first_seen.map(|first| first.or(group.first));
        let is_new = known.and_then(|_| self.engine.visit().is_new(group.identity()));
        let trend: Vec<String> = group.course.iter().map(i64::to_string).collect();
        vec![
            Value::text(&group.template),
            Value::Int(group.n),
            group_value(&group.class),
            group_value(&group.provider),
            time(group.first),
            time(group.last),
            Value::text(&group.example),
            Value::text(group.pattern()),
            verdict.as_ref().map_or(Value::Null, |verdict| Value::text(verdict.scope.as_str())),
            words(|verdict| verdict.meaning),
            words(|verdict| verdict.advice),
            words(|verdict| verdict.blocklist.unwrap_or_default()),
            words(|verdict| verdict.listed_ip.as_deref().unwrap_or_default()),
            known.map_or_else(|| Value::Missing("not all packs are built yet".into()), time),
            is_new.map_or(Value::Null, Value::Flag),
            Value::text(trend.join(" ")),
        ]
    }
}
