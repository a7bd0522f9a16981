//! The `events` columns as an Arrow schema.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{COLUMNS, Store};

/// `Timestamp(µs, UTC)`, which Delta Lake and Spark read as well.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

fn schema_with(word: &DataType, text: &DataType) -> SchemaRef {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .map(|column| {
            let data_type = match column.store {
                Store::Word => word.clone(),
                Store::Text => text.clone(),
                Store::Time => timestamp(),
                Store::Date => DataType::Date32,
                Store::Int => DataType::Int64,
                Store::Flag => DataType::Boolean,
            };
            Field::new(column.name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// As rows are decoded: words are dictionaries.
pub static DECODED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    schema_with(&word, &DataType::Utf8)
});

/// As queries read it: strings as views, which DataFusion handles fastest.
pub static QUERIED: LazyLock<SchemaRef> = LazyLock::new(|| schema_with(&DataType::Utf8View, &DataType::Utf8View));
