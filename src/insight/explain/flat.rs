//! An explanation as data for other programs: one object with flat arrays, and its contributors as a table.

use serde_json::{Map, Value as Json, json};

use super::{Contributor, Explanation, sentences};
use crate::query::field::Field;
use crate::query::table::{Table, Unit, Value};
use crate::query::time::iso;

/// The fields that contributors have a column for: each has at most one value of each.
pub const FIELDS: [Field; 8] = [
    Field::Provider,
    Field::Domain,
    Field::SourceIp,
    Field::Vmta,
    Field::Pool,
    Field::Job,
    Field::User,
    Field::SenderDomain,
];

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
fn ratio(hits: i64, of: i64) -> Option<f64> {
    (of > 0).then(|| hits as f64 / of as f64)
}

/// `provider=Yahoo source-ip=192.0.2.1`, as filters are written.
fn written(filters: &[(Field, String)]) -> String {
    filters.iter().map(|(field, value)| format!("{}={value}", field.name())).collect::<Vec<_>>().join(" ")
}

/// Columns of a contributor, without its fields.
fn numbers(found: &Contributor) -> [(&'static str, Unit, Value); 11] {
    let float = |x: f64| Value::Float((x * 1000.0).round() / 1000.0);
    let is_rate = found.of > 0 || found.base_of > 0;
    let of = |of: i64| if is_rate { Value::Int(of) } else { Value::Null };
    [
        ("share", Unit::Fraction, Value::Float(found.share)),
        ("hits", Unit::Count, Value::Int(found.hits)),
        ("of", Unit::Count, of(found.of)),
        ("rate", Unit::Fraction, found.rate().into()),
        ("expected", Unit::Number, float(found.expected)),
        ("base_hits", Unit::Count, Value::Int(found.base_hits)),
        ("base_of", Unit::Count, of(found.base_of)),
        ("base_rate", Unit::Fraction, found.base_rate().into()),
        ("excess", Unit::Number, float(found.excess)),
        ("lift", Unit::Number, found.lift().map(|lift| (lift * 1000.0).round() / 1000.0).into()),
        // Smaller ones are as good as none, and hard to read.
        ("p", Unit::Number, Value::Float(found.p.max(1e-15))),
    ]
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        _ => Json::Null,
    }
}

fn contributor(found: &Contributor) -> Json {
    let mut object = Map::new();
    for field in FIELDS {
        let value = found.filters.iter().find(|(known, _)| *known == field).map(|(_, value)| value.as_str());
        object.insert(field.report_name(), json!(value));
    }
    object.extend(numbers(found).map(|(name, _, value)| (name.to_owned(), json_of(&value))));
    object.insert("same_as".to_owned(), json!(written(&found.same_as)));
    object.insert("within".to_owned(), json!(written(&found.within)));
    Json::Object(object)
}

/// One object; its keys are those of `docs/explain.md`.
pub fn object(what: &Explanation) -> Json {
    let total = &what.total;
    let is_rate = what.metric.is_rate();
    let of = |of: i64| is_rate.then_some(of);
    json!({
        "metric": what.metric.name(),
        "verdict": what.verdict.as_str(),
        "direction": if what.up { "up" } else { "down" },
        "from": iso(what.window.0),
        "to": iso(what.window.1),
        "basis": what.baseline.basis,
        "slow_ms": what.slow_ms,
        "hits": total.hits,
        "of": of(total.of),
        "rate": ratio(total.hits, total.of),
        "base_hits": total.base_hits,
        "base_of": of(total.base_of),
        "base_rate": ratio(total.base_hits, total.base_of),
        "excess": (total.excess * 1000.0).round() / 1000.0,
        "excess_by_rate": (total.rate_part * 1000.0).round() / 1000.0,
        "excess_by_mix": (total.mix_part * 1000.0).round() / 1000.0,
        "began_at": what.onset.map(|onset| iso(onset.from)),
        "began_exact": what.onset.map(|onset| onset.exact),
        "began_earlier": what.onset.map(|onset| onset.earlier),
        "ended_at": what.onset.and_then(|onset| onset.until).map(iso),
        "last_seen_at": what.onset.map(|onset| iso(onset.last)),
        "hits_since": what.onset.map(|onset| onset.hits),
        "of_since": what.onset.and_then(|onset| of(onset.of)),
        "focus_from": what.focus.as_ref().map(|((from, _), _)| iso(*from)),
        "focus_to": what.focus.as_ref().map(|((_, to), _)| iso(*to)),
        "sentences": sentences(what),
        "baseline": what.baseline.ranges.iter()
            .map(|(from, to)| json!({"from": iso(*from), "to": iso(*to)})).collect::<Vec<_>>(),
        "contributors": what.contributors.iter().map(contributor).collect::<Vec<_>>(),
        "values": what.values.iter().map(contributor).collect::<Vec<_>>(),
        "not_involved": what.not_involved.iter().map(|part| json!({
            "field": part.field.report_name(),
            "beside": written(&part.beside),
            "how": if part.alike { "alike" } else { "unchanged" },
            "values": part.values,
            "hits": part.hits,
            "of": of(part.of),
            "expected": (part.expected * 1000.0).round() / 1000.0,
        })).collect::<Vec<_>>(),
        "moved": what.moved.iter().map(|moved| json!({
            "field": moved.field.report_name(),
            "value": moved.value,
            "share": moved.share,
            "base_share": moved.base_share,
            "base_rate": moved.base_rate,
        })).collect::<Vec<_>>(),
        "replies": what.replies.iter().map(|reply| json!({
            "reply": reply.template,
            "reply_class": reply.class,
            "n": reply.n,
            "excess": (reply.excess * 1000.0).round() / 1000.0,
            "share": reply.share,
            "meaning": reply.meaning,
            "advice": reply.advice,
            "example": reply.example,
        })).collect::<Vec<_>>(),
        "series": what.series.iter().map(|beat| json!({
            "bucket": iso(beat.at),
            "hits": beat.hits,
            "of": of(beat.of),
            "expected": (beat.expected * 1000.0).round() / 1000.0,
        })).collect::<Vec<_>>(),
    })
}

/// Contributors and single values, a row each; `part` says which.
pub fn table(what: &Explanation) -> Table {
    let mut table = Table::with_heads([("part", Unit::Text)]);
    table.heads.extend(Table::with_heads(FIELDS.map(|field| (field.column_name(), Unit::Text))).heads);
    for (head, field) in table.heads.iter_mut().skip(1).zip(FIELDS) {
        head.name = field.report_name().into();
    }
    let empty = Contributor {
        filters: Vec::new(),
        same_as: Vec::new(),
        within: Vec::new(),
        hits: 0,
        of: 0,
        base_hits: 0,
        base_of: 0,
        expected: 0.0,
        excess: 0.0,
        share: 0.0,
        p: 1.0,
    };
    table.heads.extend(Table::with_heads(numbers(&empty).map(|(name, unit, _)| (name, unit))).heads);
    for (part, found) in [("contributor", &what.contributors), ("value", &what.values)] {
        for found in found {
            let mut row = vec![Value::text(part)];
            row.extend(FIELDS.map(|field| {
                let value = found.filters.iter().find(|(known, _)| *known == field);
                value.map_or(Value::Null, |(_, value)| Value::text(value))
            }));
            row.extend(numbers(found).map(|(_, _, value)| value));
            table.rows.push(row);
        }
    }
    table
}
