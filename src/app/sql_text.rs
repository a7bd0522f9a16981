//! A question as SQL over `events` that gives the same counts: to look at, to change, to run anywhere the
//! Parquet files can be read.

use crate::query::field::{Compare as How, Field};
use crate::query::filter::Filter;
use crate::query::question::{Bucket, Question, Report};
use crate::query::scope::Scope;
use crate::query::time::{DAY, HOUR, MINUTE, Micros, TimeRange, Width, iso};

/// A statement, and what to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlText {
    /// The statement, on one line.
    pub statement: String,
    /// What it leaves out or does otherwise; may be empty.
    pub note: String,
}

/// The counts that rows of `events` give by themselves.
const COUNTS: &[(&str, &str)] = &[
    ("delivered", "kind = 'delivered'"),
    ("bounced", "kind = 'bounced'"),
    ("bounced_hard", "kind = 'bounced' and bounce_class = 'hard'"),
    ("bounced_soft", "kind = 'bounced' and bounce_class = 'soft'"),
    ("bounced_block", "kind = 'bounced' and bounce_class = 'block'"),
    ("deferrals", "kind = 'deferred'"),
    ("remote_bounces", "kind = 'remote_bounce'"),
    ("rb_events", "is_rb"),
    ("queue_errors", "kind = 'queue_error'"),
];

/// The statement of a question over a resolved time range.
///
/// # Errors
/// When rows of `events` alone cannot tell; why, for people.
pub fn of(
    question: &Question,
    range: (Option<Micros>, Option<Micros>),
    now: Option<Micros>,
) -> Result<SqlText, String> {
    if question.report == Report::Files {
        return Ok(SqlText {
            statement: "select name, type, status, rows, rejected_rows, merged_rows, bytes, received_at from files order by received_at desc".to_owned(),
            note: String::new(),
        });
    }
    let by_role = question.scope.filters().iter().find(|filter| matches!(filter.field, Field::Type | Field::File));
    if let Some(filter) = by_role {
        return Err(format!(
            "the filter {filter} counts copies of events too, which no statement over `events` can tell; take it away first"
        ));
    }
    let condition = condition(&question.scope, range);
    let counts = counts();
    let (statement, note) = match question.report {
        Report::Events => {
            let order = question.page.sort.as_ref().map_or_else(
                || "event_time desc".to_owned(),
                |sort| format!("{} {}", sort.column, if sort.descending { "desc" } else { "asc" }),
            );
            let columns =
                "event_time, kind, recipient, smtp_status, dsn_diag, job_id, vmta, source_ip, sender, provider";
            (format!("select {columns} from events{condition} order by {order} limit 1000"), "")
        }
        Report::Totals => (format!("select {counts} from events{condition}"), OTHERS),
        Report::Operations { by, bucket } => {
            let bucket = bucket.map(|bucket| width(bucket, question.scope.time, now));
            (grouped(&counts, &condition, by, bucket), OTHERS)
        }
        Report::Heatmap { by, bucket, .. } => {
            let bucket = width(bucket, question.scope.time, now);
            (grouped(&counts, &condition, Some(by), Some(bucket)), OTHERS)
        }
        Report::Latency { by } | Report::Domains { by } | Report::Risk { by } => {
            (grouped(&counts, &condition, Some(by), None), OTHERS)
        }
        Report::Replies => (
            format!(
                "select dsn_diag, provider, reply_class, count(*) as n, min(event_time) as first, max(event_time) as last from events{} group by dsn_diag, provider, reply_class order by n desc limit 1000",
                and(&condition, "dsn_diag is not null")
            ),
            "word by word; the panel joins replies that say the same",
        ),
        Report::Coverage => (
            format!(
                "select date_trunc('hour', event_time) as bucket, event_type, count(*) as rows from events{condition} group by 1, 2 order by 1 desc, 2"
            ),
            "events once each; the panel counts rows of every file",
        ),
        Report::Distribution => (
            format!(
                "select round(ln(greatest(delivery_latency_ms, 1)) / ln(2)) as power_of_two_ms, count(*) as n from events{} group by 1 order by 1",
                and(&condition, "kind = 'delivered'")
            ),
            "by powers of two milliseconds",
        ),
        Report::Categories { .. } => (
            format!(
                "select bounce_category, bounce_class, count(*) as n from events{} group by 1, 2 order by n desc",
                and(&condition, "kind = 'bounced'")
            ),
            "the panel joins what replies say, too",
        ),
        Report::Percentiles | Report::Rates => {
            return Err(
                "percentiles and top rates come from sketches and buckets, they have no statement of their own"
                    .to_owned(),
            );
        }
        Report::Changes => {
            return Err("what changed most is drawn from many questions, it has no statement of its own".to_owned());
        }
        Report::Files => return Err("the file table is asked apart".to_owned()),
    };
    Ok(SqlText { statement, note: note.to_owned() })
}

const OTHERS: &str = "counts; rates follow from them, percentiles and distinct messages come from sketches";

fn counts() -> String {
    let counts = COUNTS.iter().map(|(name, when)| format!("count(*) filter (where {when}) as {name}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn grouped(counts: &str, condition: &str, by: Option<Field>, width: Option<Width>) -> String {
    let mut columns = Vec::new();
    if let Some(by) = by {
        columns.push(format!("{} as {}", by.column_name(), by.report_name()));
    }
    if let Some(width) = width {
        let step = match width.micros() {
            micros if micros % DAY == 0 => format!("{} days", micros / DAY),
            micros if micros % HOUR == 0 => format!("{} hours", micros / HOUR),
            micros => format!("{} minutes", micros / MINUTE),
        };
        columns.push(format!("date_bin(interval '{step}', event_time) as bucket"));
    }
    let groups: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
    if groups.is_empty() {
        return format!("select {counts} from events{condition}");
    }
    let order = if width.is_some() { "bucket".to_owned() } else { "delivered + bounced desc".to_owned() };
    let order = order.replace("delivered + bounced", "count(*) filter (where kind in ('delivered', 'bounced'))");
    format!(
        "select {}, {counts} from events{condition} group by {} order by {order}",
        columns.join(", "),
        groups.join(", ")
    )
}

fn width(bucket: Bucket, time: TimeRange, now: Option<Micros>) -> Width {
    match bucket {
        Bucket::Fixed(width) => width,
        Bucket::Auto => match time.resolve(now) {
            (Some(from), Some(until)) => Width::for_span(until - from),
            _ => Width::Day,
        },
    }
}

fn and(condition: &str, more: &str) -> String {
    if condition.is_empty() { format!(" where {more}") } else { format!("{condition} and {more}") }
}

/// ` where …` of a scope; empty if everything passes.
fn condition(scope: &Scope, (from, until): (Option<Micros>, Option<Micros>)) -> String {
    let mut parts = Vec::new();
    if let Some(from) = from {
        parts.push(format!("event_time >= timestamp '{}'", iso(from)));
    }
    if let Some(until) = until {
        parts.push(format!("event_time < timestamp '{}'", iso(until)));
    }
    for (field, conditions) in scope.by_field() {
        let included: Vec<String> = conditions.include.iter().map(|filter| matches(field, filter)).collect();
        match included.as_slice() {
            [] => {}
            [one] => parts.push(one.clone()),
            many => parts.push(format!("({})", many.join(" or "))),
        }
        parts.extend(conditions.exclude.iter().map(|filter| format!("not {}", matches(field, filter))));
    }
    if parts.is_empty() { String::new() } else { format!(" where {}", parts.join(" and ")) }
}

/// Whether a row passes one filter, leaving `exclude` aside; never null.
fn matches(field: Field, filter: &Filter) -> String {
    let column = format!("coalesce({}, '')", field.column_name());
    match field.compare() {
        How::Status if filter.value.is_empty() => {
            "(coalesce(smtp_status, '') = '' and coalesce(smtp_code, 0) = 0)".to_owned()
        }
        How::Status => {
            let code = "coalesce(cast(smtp_code as varchar), '')";
            let status = format!(
                "(coalesce(smtp_status, '') <> '' and {})",
                like("coalesce(smtp_status, '')", &filter.value.to_lowercase())
            );
            format!("({status} or (coalesce(smtp_code, 0) > 0 and {}))", like(code, &filter.value))
        }
        How::Exact | How::File => like(&column, &filter.value),
        How::IgnoreCase => like(&format!("lower({column})"), &filter.value.to_lowercase()),
    }
}

fn like(column: &str, value: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    if !value.contains('*') {
        return format!("{column} = {}", quoted(value));
    }
    let pattern = value.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_").replace('*', "%");
    format!("{column} like {}", quoted(&pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_quotes_and_signs_of_patterns_stays_a_value() {
        let filter = Filter::include(Field::Job, "it's 5%_*");
        assert_eq!(matches(Field::Job, &filter), r"coalesce(job_id, '') like 'it''s 5\%\_%'");
    }

    #[test]
    fn a_filter_that_counts_copies_is_refused() {
        let scope = Scope::new(TimeRange::All, [Filter::include(Field::Type, "bounce")]);
        assert!(of(&Question::new(Report::Totals, scope), (None, None), None).unwrap_err().contains("copies"));
    }
}
