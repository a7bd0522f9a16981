//! The SQL prompt: read-only statements over `events`, `copies`, `files` and `incidents`, bounded in rows, memory and
//! time.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;

use super::question::Failure;
use super::table::{Head, Table, Unit, Value};
use super::{Engine, mask};
use crate::catalog::control::FileRow;
use crate::catalog::incidents::Stored;
use crate::catalog::table::SegmentTable;
use crate::event::schema::timestamp;

impl Engine {
    /// Runs one read-only statement.
    pub async fn sql(&self, statement: &str) -> Result<Table, Failure> {
        let limit = Duration::from_secs(self.limits.timeout_seconds);
        let run = async {
            match self.statement(statement).await {
                Err(failure) if self.sets_damage_apart(&failure) => self.statement(statement).await,
                answer => answer,
            }
        };
        tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
            Err(Failure {
                what: "the statement was given up".to_owned(),
                why: format!("it ran for more than {} s", limit.as_secs()),
                hint: "narrow it by date, or raise `query.timeout_seconds`".to_owned(),
                ..Failure::default()
            })
        })
    }

    async fn statement(&self, statement: &str) -> Result<Table, Failure> {
        let snapshot = self.snapshot()?;
        let files = self.catalog().files().map_err(Failure::from_catalog)?;
        // A session of its own: what a statement sees is one generation, and nothing it sets remains.
        let context =
            SessionContext::new_with_config_rt(self.raw().context.copied_config(), self.raw().context.runtime_env());
        let register = |name: &str, table: Arc<dyn datafusion::catalog::TableProvider>| {
            let table = match (self.masks(), name) {
                // The statement knows no other way to the rows than this view.
                (true, "events" | "copies") => hidden(&context, table).map_err(Failure::from_engine)?,
                _ => table,
            };
            context.register_table(name, table).map(|_| ()).map_err(Failure::from_engine)
        };
        register(
            "events",
            Arc::new(SegmentTable::new(&snapshot, |segment| segment.is_events() && !segment.link.is_made())),
        )?;
        register("copies", Arc::new(SegmentTable::new(&snapshot, |segment| !segment.is_events())))?;
        register("files", Arc::new(files_table(&files).map_err(Failure::from_engine)?))?;
        let incidents = self.catalog().incidents().and_then(|incidents| incidents.all()).unwrap_or_default();
        register("incidents", Arc::new(incidents_table(&incidents).map_err(Failure::from_engine)?))?;
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = context.sql_with_options(statement, options).await.map_err(Failure::from_engine)?;
        let schema = Arc::clone(frame.schema().inner());
        let mut stream = frame.execute_stream().await.map_err(Failure::from_engine)?;
        let mut table = empty_table(&schema);
        while let Some(batch) = stream.next().await {
            append(&mut table, &batch.map_err(Failure::from_engine)?)
                .map_err(|error| Failure::from_engine(error.into()))?;
            if table.rows.len() > self.limits.max_rows {
                table.rows.truncate(self.limits.max_rows);
                table.more = true;
                break;
            }
        }
        Ok(table)
    }
}

/// A table of events with recipients hidden.
fn hidden(
    context: &SessionContext,
    table: Arc<dyn datafusion::catalog::TableProvider>,
) -> datafusion::error::Result<Arc<dyn datafusion::catalog::TableProvider>> {
    use datafusion::functions::expr_fn::regexp_replace;
    use datafusion::prelude::{cast as cast_to, ident, lit};
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| {
        let name = field.name().as_str();
        let hide = |text, pattern, kept| regexp_replace(text, lit(pattern), lit(kept), Some(lit("g")));
        if name != mask::SENDER && !mask::COLUMNS.contains(&name) {
            return ident(name);
        }
        let text = hide(cast_to(ident(name), DataType::Utf8), mask::INNER, mask::INNER_KEPT);
        if name == mask::SENDER {
            return text.alias(name);
        }
        hide(text, mask::ADDRESS, mask::ADDRESS_KEPT).alias(name)
    });
    let columns: Vec<_> = columns.collect();
    Ok(context.read_table(table)?.select(columns)?.into_view())
}

fn unit_of(data_type: &DataType) -> Unit {
    match data_type {
        DataType::Boolean => Unit::Flag,
        DataType::Timestamp(..) => Unit::Time,
        data_type if data_type.is_integer() => Unit::Count,
        data_type if data_type.is_numeric() => Unit::Number,
        _ => Unit::Text,
    }
}

/// A table without rows that has the columns of a schema.
pub fn empty_table(schema: &Schema) -> Table {
    let heads = schema
        .fields()
        .iter()
        .map(|field| Head { name: Arc::from(field.name().as_str()), unit: unit_of(field.data_type()) })
        .collect();
    Table { heads, rows: Vec::new(), more: false }
}

/// Appends the rows of a batch.
pub fn append(table: &mut Table, batch: &RecordBatch) -> Result<(), arrow::error::ArrowError> {
    let columns = batch.columns().iter().map(values).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        table.rows.push(columns.iter().map(|column| column[row].clone()).collect());
    }
    Ok(())
}

fn values(column: &arrow::array::ArrayRef) -> Result<Vec<Value>, arrow::error::ArrowError> {
    let data_type = column.data_type();
    let there = |row: usize, value: Value| if column.is_null(row) { Value::Null } else { value };
    let rows = 0..column.len();
    Ok(match unit_of(data_type) {
        Unit::Flag => {
            let flags = column.as_boolean();
            rows.map(|row| there(row, Value::Flag(flags.value(row)))).collect()
        }
        Unit::Time => {
            let times = cast(column, &timestamp())?;
            let times = times.as_primitive::<TimestampMicrosecondType>().clone();
            rows.map(|row| there(row, Value::Time(times.value(row)))).collect()
        }
        Unit::Count => {
            let numbers = cast(column, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>().clone();
            rows.map(|row| there(row, Value::Int(numbers.value(row)))).collect()
        }
        Unit::Number => {
            let numbers = cast(column, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>().clone();
            rows.map(|row| there(row, Value::Float(numbers.value(row)))).collect()
        }
        _ => {
            let text = match cast(column, &DataType::Utf8) {
                Ok(text) => text,
                // Lists, structs and the like are printed.
                Err(_) => {
                    let format = arrow::util::display::FormatOptions::default();
                    let formatter = arrow::util::display::ArrayFormatter::try_new(column, &format)?;
                    return Ok(rows.map(|row| there(row, Value::text(formatter.value(row).to_string()))).collect());
                }
            };
            let text = text.as_string::<i32>().clone();
            rows.map(|row| there(row, Value::text(text.value(row)))).collect()
        }
    })
}

/// Incidents as rules last found them; what they say is read from their JSON.
fn incidents_table(incidents: &[Stored]) -> datafusion::error::Result<MemTable> {
    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    let bodies: Vec<serde_json::Value> =
        incidents.iter().map(|stored| serde_json::from_str(&stored.body).unwrap_or_default()).collect();
    let clock = crate::catalog::clock();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, kind: DataType, column: ArrayRef| {
        fields.push(Field::new(name, kind, true));
        columns.push(column);
    };
    let words = |of: &dyn Fn(&Stored, &serde_json::Value) -> Option<String>| -> ArrayRef {
        Arc::new(incidents.iter().zip(&bodies).map(|(stored, body)| of(stored, body)).collect::<StringArray>())
    };
    let times = |of: fn(&Stored) -> Option<i64>| -> ArrayRef {
        Arc::new(incidents.iter().map(of).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    add("id", DataType::Utf8, words(&|stored, _| Some(stored.id.clone())));
    add("rule", DataType::Utf8, words(&|stored, _| Some(stored.rule.clone())));
    add("severity", DataType::Utf8, words(&|_, body| text(&body["severity"])));
    add("state", DataType::Utf8, words(&|stored, _| Some(stored.state(clock).to_owned())));
    add("opened_at", timestamp(), times(|stored| Some(stored.opened_at)));
    add("closed_at", timestamp(), times(|stored| stored.closed_at));
    add("scope", DataType::Utf8, words(&|_, body| Some(body["scope"].to_string())));
    add("headline", DataType::Utf8, words(&|_, body| text(&body["headline"])));
    for name in ["value", "baseline"] {
        let column: Float64Array = bodies.iter().map(|body| body[name].as_f64()).collect();
        add(name, DataType::Float64, Arc::new(column));
    }
    for name in ["hits", "of"] {
        let column: Int64Array = bodies.iter().map(|body| body[name].as_i64()).collect();
        add(name, DataType::Int64, Arc::new(column));
    }
    for name in ["cause", "reply_class", "status", "reply", "advice"] {
        add(name, DataType::Utf8, words(&|_, body| text(&body["causes"][0][name])));
    }
    let schema = Arc::new(Schema::new(fields));
    MemTable::try_new(Arc::clone(&schema), vec![vec![RecordBatch::try_new(schema, columns)?]])
}

fn files_table(files: &[FileRow]) -> datafusion::error::Result<MemTable> {
    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let int = |name: &str| Field::new(name, DataType::Int64, true);
    let time = |name: &str| Field::new(name, timestamp(), true);
    let schema = Arc::new(Schema::new(vec![
        int("file_id"),
        text("name"),
        text("path"),
        text("type"),
        int("bytes"),
        text("sha256"),
        time("received_at"),
        text("status"),
        int("rows"),
        int("rejected_rows"),
        int("merged_rows"),
        time("from"),
        time("to"),
        text("error"),
    ]));
    let texts = |of: fn(&FileRow) -> Option<&str>| -> arrow::array::ArrayRef {
        Arc::new(files.iter().map(of).collect::<StringArray>())
    };
    let ints = |of: fn(&FileRow) -> i64| -> arrow::array::ArrayRef {
        Arc::new(files.iter().map(|file| Some(of(file))).collect::<Int64Array>())
    };
    let times = |of: fn(&FileRow) -> Option<i64>| -> arrow::array::ArrayRef {
        Arc::new(files.iter().map(of).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            ints(|file| file.id),
            texts(|file| Some(&file.name)),
            texts(|file| Some(&file.path)),
            texts(|file| file.role.as_deref()),
            ints(|file| file.bytes),
            texts(|file| file.sha256.as_deref()),
            times(|file| Some(file.received_at)),
            texts(|file| Some(file.status.as_str())),
            ints(|file| file.rows),
            ints(|file| file.rejected_rows),
            ints(|file| file.merged_rows),
            times(|file| file.min_time),
            times(|file| file.max_time),
            texts(|file| Some(&file.error)),
        ],
    )?;
    MemTable::try_new(schema, vec![vec![batch]])
}
