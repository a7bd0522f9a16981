//! A table on its way out: aligned text, CSV, JSON or Markdown. Text from log files passes the gate of
//! [`crate::text`]; CSV cells that a spreadsheet would run are defused.

use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};
use unicode_width::UnicodeWidthStr as _;

use super::compare::{BEFORE, CHANGE, is_added};
use crate::query::table::{Table, Unit, Value};
use crate::query::time::{Micros, iso};
use crate::text::{defuse_formula, display};

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, for people.
    Table,
    /// Comma separated.
    Csv,
    /// One array of flat objects.
    Json,
    /// A Markdown table.
    Md,
}

/// Writes a table. `raw`: CSV cells are not defused.
pub fn print(out: &mut dyn Write, table: &Table, format: Format, raw: bool) -> io::Result<()> {
    match format {
        Format::Table => aligned(out, table),
        Format::Csv => csv(out, table, raw),
        Format::Json => {
            let rows: Vec<Json> = (0..table.rows.len()).map(|row| Json::Object(object(table, row))).collect();
            line(out, &Json::Array(rows))
        }
        Format::Md => markdown(out, table),
    }
}

/// Writes one JSON value and a newline.
pub fn line(out: &mut dyn Write, value: &Json) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// One row as a flat object.
pub fn object(table: &Table, row: usize) -> Map<String, Json> {
    table.heads.iter().zip(&table.rows[row]).map(|(head, cell)| (head.name.to_string(), json_cell(cell))).collect()
}

/// One cell as JSON; what is not available is null.
pub fn json_cell(cell: &Value) -> Json {
    match cell {
        Value::Null | Value::Missing(_) => Json::Null,
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        // JSON escapes control characters by itself.
        Value::Text(words) => json!(&**words),
        Value::Time(time) => json!(iso(*time)),
        Value::Flag(flag) => json!(flag),
    }
}

/// One cell as plain text; what is not available is empty.
pub fn text_cell(cell: &Value) -> String {
    match cell {
        Value::Null | Value::Missing(_) => String::new(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(words) => words.to_string(),
        Value::Time(time) => iso(*time),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// Writes CSV. Line breaks and control characters in cells become visible symbols.
pub fn csv(out: &mut dyn Write, table: &Table, raw: bool) -> io::Result<()> {
    let mut writer = ::csv::Writer::from_writer(out);
    writer.write_record(table.heads.iter().map(|head| &*head.name)).map_err(io::Error::other)?;
    write_rows(&mut writer, table, raw)
}

/// Writes the rows of a table as CSV, without the head line.
pub fn csv_rows(out: &mut dyn Write, table: &Table, raw: bool) -> io::Result<()> {
    write_rows(&mut ::csv::Writer::from_writer(out), table, raw)
}

fn write_rows(writer: &mut ::csv::Writer<&mut dyn Write>, table: &Table, raw: bool) -> io::Result<()> {
    for row in &table.rows {
        let cells = row.iter().map(|cell| csv_cell(cell, raw));
        writer.write_record(cells).map_err(io::Error::other)?;
    }
    writer.flush()
}

fn csv_cell(cell: &Value, raw: bool) -> String {
    let text = text_cell(cell);
    match cell {
        Value::Text(_) if !raw => defuse_formula(&display(&text)).into_owned(),
        _ => text,
    }
}

fn aligned(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    let cells: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().zip(&table.heads).map(|(cell, head)| people(cell, head.unit)).collect())
        .collect();
    let widths: Vec<usize> = table
        .heads
        .iter()
        .enumerate()
        .map(|(column, head)| cells.iter().map(|row| row[column].width()).chain([head.name.width()]).max().unwrap_or(0))
        .collect();
    let mut write_row = |cells: &mut dyn Iterator<Item = &str>| -> io::Result<()> {
        let mut text = String::new();
        for ((cell, width), head) in cells.zip(&widths).zip(&table.heads) {
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            let left = matches!(head.unit, Unit::Text | Unit::Time | Unit::Flag);
            if left { text.extend([cell, &gap, "  "]) } else { text.extend([&*gap, cell, "  "]) }
        }
        writeln!(out, "{}", text.trim_end())
    };
    write_row(&mut table.heads.iter().map(|head| &*head.name))?;
    for row in &cells {
        write_row(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

fn markdown(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    let escape = |cell: String| cell.replace('|', "\\|");
    let heads: Vec<&str> = table.heads.iter().map(|head| &*head.name).collect();
    writeln!(out, "| {} |", heads.join(" | "))?;
    let rules: Vec<&str> = table
        .heads
        .iter()
        .map(|head| if matches!(head.unit, Unit::Text | Unit::Time | Unit::Flag) { "---" } else { "---:" })
        .collect();
    writeln!(out, "| {} |", rules.join(" | "))?;
    for row in &table.rows {
        let cells: Vec<String> =
            row.iter().zip(&table.heads).map(|(cell, head)| escape(people(cell, head.unit))).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// One cell for people: rates as percent, n/a where a number is not available.
fn people(cell: &Value, unit: Unit) -> String {
    match (cell, unit) {
        (Value::Missing(_), _) => "n/a".to_owned(),
        (Value::Float(share), Unit::Fraction) => format!("{:.2} %", share * 100.0),
        (Value::Float(number), _) if *number != 0.0 && number.abs() < 1.0 => format!("{number:.4}"),
        (Value::Float(number), _) => format!("{number:.1}"),
        (cell, _) => display(&text_cell(cell)).into_owned(),
    }
}

/// The object of `report totals` (SPEC §7), from its one row; what it is compared with stands flat at the end.
pub fn totals_object(table: &Table, compared_with: Option<(Micros, Micros)>) -> Json {
    let cell = |name: &str| json_cell(table.cell(0, name));
    let latency = |measure: &str| {
        let keys = ["n", "avg_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"];
        Json::Object(keys.iter().map(|key| ((*key).to_owned(), cell(&format!("latency_{measure}_{key}")))).collect())
    };
    let mut totals = Map::new();
    totals.insert("scope".to_owned(), json!({ "from": cell("from"), "to": cell("to") }));
    let nested = ["bounced_total", "bounced_hard", "bounced_soft", "bounced_block"];
    let heads = || table.heads.iter().filter(|head| !is_added(&head.name));
    for head in heads().filter(|head| !["from", "to"].contains(&&*head.name)) {
        if &*head.name == "bounced_total" {
            let bounced = ["total", "hard", "soft", "block"];
            let bounced = bounced.iter().map(|key| ((*key).to_owned(), cell(&format!("bounced_{key}"))));
            totals.insert("bounced".to_owned(), Json::Object(bounced.collect()));
        }
        let in_object = nested.contains(&&*head.name) || head.name.starts_with("latency_");
        if !in_object {
            totals.insert(head.name.to_string(), cell(&head.name));
        }
    }
    totals.insert("latency".to_owned(), json!({ "delivery": latency("delivery"), "attempt": latency("attempt") }));
    let mut unavailable = Map::new();
    for (head, cell) in table.heads.iter().zip(table.rows.first().into_iter().flatten()) {
        if let Value::Missing(reason) = cell
            && !is_added(&head.name)
        {
            unavailable.insert(head.name.to_string(), json!(&**reason));
        }
    }
    totals.insert("unavailable".to_owned(), Json::Object(unavailable));
    if let Some((from, until)) = compared_with {
        totals.insert("compared_with".to_owned(), json!({ "from": iso(from), "to": iso(until) }));
        for head in table.heads.iter().filter(|head| is_added(&head.name)) {
            totals.insert(head.name.to_string(), cell(&head.name));
        }
    }
    Json::Object(totals)
}

/// The one row of `report totals` as name and value, for people; with what it was, if that was asked.
pub fn upright(table: &Table) -> Table {
    let compared = table.heads.iter().any(|head| is_added(&head.name));
    let names = ["metric", "value", "before", "change"].map(|name| (name, Unit::Text));
    let mut out = Table::with_heads(names.into_iter().take(if compared { 4 } else { 2 }));
    let heads = table.heads.iter().filter(|head| !is_added(&head.name));
    for (head, cell) in heads.zip(table.rows.first().into_iter().flatten()) {
        let value = match cell {
            Value::Missing(reason) => format!("n/a: {reason}"),
            cell => people(cell, head.unit),
        };
        let mut row = vec![Value::text(&*head.name), Value::text(value)];
        if compared {
            let of = |end: &str| people(table.cell(0, &format!("{}{end}", head.name)), head.unit);
            row.extend([Value::text(of(BEFORE)), Value::text(of(CHANGE))]);
        }
        out.rows.push(row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::with_heads([("name", Unit::Text), ("rate", Unit::Fraction), ("n", Unit::Count)]);
        table.rows.push(vec![Value::text("=cmd|\u{1b}[31m"), Value::Float(0.5), Value::Int(-3)]);
        table.rows.push(vec![Value::Null, Value::Missing("no f".into()), Value::Int(10)]);
        table
    }

    fn printed(format: Format, raw: bool) -> String {
        let mut out = Vec::new();
        print(&mut out, &table(), format, raw).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_is_defused_and_numbers_are_not_touched() {
        assert_eq!(printed(Format::Csv, false), "name,rate,n\n'=cmd|␛[31m,0.5,-3\n,,10\n");
        assert!(printed(Format::Csv, true).contains("\n=cmd|\u{1b}[31m,"));
    }

    #[test]
    fn json_keeps_numbers_and_says_null_where_there_is_none() {
        let json: Json = serde_json::from_str(&printed(Format::Json, false)).unwrap();
        assert_eq!(json[0]["rate"], 0.5);
        assert_eq!(json[1]["rate"], Json::Null);
        assert_eq!(json[1]["n"], 10);
    }

    #[test]
    fn people_read_percent_and_na() {
        let text = printed(Format::Table, false);
        assert!(text.contains("50.00 %") && text.contains("n/a") && !text.contains('\u{1b}'), "{text}");
        assert!(printed(Format::Md, false).contains("\\|"));
    }
}
