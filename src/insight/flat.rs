//! Incidents as rows under named columns: what is printed, exported and copied.

use super::incident::{Cause, Incident};
use crate::query::table::{Table, Unit, Value};
use crate::query::time;

/// Incidents as flat rows.
pub fn table(incidents: &[Incident]) -> Table {
    let mut table = Table::with_heads([
        ("id", Unit::Text),
        ("severity", Unit::Text),
        ("state", Unit::Text),
        ("opened_at", Unit::Time),
        ("closed_at", Unit::Time),
        ("rule", Unit::Text),
        ("scope", Unit::Text),
        ("headline", Unit::Text),
        ("cause", Unit::Text),
        ("reply_class", Unit::Text),
        ("reply", Unit::Text),
        ("value", Unit::Number),
        ("baseline", Unit::Number),
        ("hits", Unit::Count),
        ("of", Unit::Count),
        ("basis", Unit::Text),
    ]);
    for incident in incidents {
        let cause = incident.causes.first();
        let of_cause = |part: fn(&Cause) -> &str| cause.map_or(Value::Null, |cause| Value::text(part(cause)));
        table.rows.push(vec![
            Value::text(&incident.id),
            Value::text(incident.severity.as_str()),
            Value::text(incident.state.as_str()),
            Value::Time(incident.opened_at),
            incident.closed_at.map_or(Value::Null, Value::Time),
            Value::text(&incident.rule),
            Value::text(incident.whom()),
            Value::text(&incident.headline),
            of_cause(|cause| &cause.cause),
            of_cause(|cause| &cause.reply_class),
            of_cause(|cause| &cause.reply),
            Value::Float(incident.value),
            incident.baseline.map_or(Value::Null, Value::Float),
            Value::Int(incident.hits),
            Value::Int(incident.of),
            Value::text(&incident.basis),
        ]);
    }
    table
}

/// Incidents as lines to read.
pub fn faces(incidents: &[Incident]) -> Table {
    let heads = ["severity", "headline", "when", "state", "cause", "advice", "id"];
    let mut table = Table::with_heads(heads.map(|name| (name, Unit::Text)));
    for incident in incidents {
        let until = incident.closed_at.map_or_else(|| "now".to_owned(), time::short);
        let cause = incident.causes.first();
        table.rows.push(vec![
            Value::text(incident.severity.as_str()),
            Value::text(&incident.headline),
            Value::text(format!("{}–{until}", time::short(incident.opened_at))),
            Value::text(incident.state.as_str()),
            cause.map_or(Value::Null, |cause| Value::text(&cause.cause)),
            cause.map_or(Value::Null, |cause| Value::text(&cause.advice)),
            Value::text(&incident.id),
        ]);
    }
    table
}
