//! A table as Arrow columns, each with the type of its unit: what Parquet exports are written from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::table::{Table, Unit, Value};
use crate::event::schema::timestamp;

/// The schema of a table: counts and bytes as integers, times in UTC, every other number as a float.
pub fn schema(table: &Table) -> SchemaRef {
    let field = |name: &str, unit| {
        let data_type = match unit {
            Unit::Text => DataType::Utf8,
            Unit::Count | Unit::Bytes => DataType::Int64,
            Unit::Fraction | Unit::Number | Unit::Millis => DataType::Float64,
            Unit::Time => timestamp(),
            Unit::Flag => DataType::Boolean,
        };
        Field::new(name, data_type, true)
    };
    Arc::new(Schema::new(table.heads.iter().map(|head| field(&head.name, head.unit)).collect::<Vec<_>>()))
}

/// The rows of a table; what is not available is null.
pub fn batch(table: &Table) -> Result<RecordBatch, ArrowError> {
    let columns = table.heads.iter().enumerate().map(|(index, head)| column(table, index, head.unit)).collect();
    RecordBatch::try_new(schema(table), columns)
}

fn column(table: &Table, index: usize, unit: Unit) -> ArrayRef {
    let cells = || table.rows.iter().map(|row| &row[index]);
    let whole = |cell: &Value| match cell {
        Value::Int(number) | Value::Time(number) => Some(*number),
        _ => None,
    };
    match unit {
        Unit::Text => Arc::new(cells().map(Value::as_text).collect::<StringArray>()),
        Unit::Count | Unit::Bytes => Arc::new(cells().map(whole).collect::<Int64Array>()),
        Unit::Fraction | Unit::Number | Unit::Millis => Arc::new(cells().map(Value::number).collect::<Float64Array>()),
        Unit::Time => Arc::new(cells().map(whole).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Unit::Flag => Arc::new(
            cells()
                .map(|cell| match cell {
                    Value::Flag(flag) => Some(*flag),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
    }
}
