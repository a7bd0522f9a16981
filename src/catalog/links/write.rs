//! Reports with what their deliveries say, as Parquet files with the columns of `events`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimestampMicrosecondType};
use hashbrown::HashMap;

use super::rule::{Verdict, decide, recipient};
use super::scan::{Candidate, VALUES};
use super::{Found, Part, base};
use crate::catalog::control::Segment;
use crate::catalog::keys::open;
use crate::catalog::sheet::Sheet;
use crate::catalog::{Result, commit, layout};
use crate::event::RecordType;
use crate::event::schema::timestamp;

/// Column of the hash of the message that a report belongs to.
pub const MESSAGE: &str = "link_message";
/// Column of the hashes of the messages that it may belong to, each with a blank behind it.
pub const MESSAGES: &str = "link_messages";
/// Column of the key that tells so.
pub const TELLS: &str = "link_key";

/// Columns of the delivery that stand only where the report itself says nothing.
const OWN_FIRST: [&str; 3] = ["recipient", "recipient_domain", "provider"];

/// What is known of a row.
enum Known<'c> {
    Of(&'c Candidate, &'static str),
    Several(String, &'static str),
}

/// Decides for all rows of a segment.
fn decided(found: &Found) -> HashMap<u32, Known<'_>> {
    let mut by_row: HashMap<u32, Vec<&Candidate>> = HashMap::new();
    for candidate in &found.candidates {
        by_row.entry(candidate.row).or_default().push(candidate);
    }
    by_row
        .into_iter()
        .filter_map(|(row, mut candidates)| {
            // The order in which segments came must not matter.
            candidates.sort_by_key(|candidate| (candidate.message, candidate.values.map(|id| word(found, id))));
            let keys: Vec<(u8, u64)> = candidates.iter().map(|candidate| (candidate.keys, candidate.message)).collect();
            match decide(&keys) {
                Verdict::Linked(at, key) => Some((row, Known::Of(candidates.get(at)?, key.as_str()))),
                Verdict::Ambiguous(several, key) => {
                    let messages = several.iter().filter_map(|at| candidates.get(*at));
                    let text: String =
                        messages.map(|candidate| format!("{} ", candidate.message.cast_signed())).collect();
                    Some((row, Known::Several(text, key.as_str())))
                }
                Verdict::Unknown => None,
            }
        })
        .collect()
}

fn word(found: &Found, id: u32) -> &str {
    found.words.get(id as usize).map_or("", String::as_str)
}

/// Writes the rows of a segment of reports anew: those that belong to a delivery, and the others.
pub(super) fn parts(root: &Path, report: &Segment, found: &Found) -> Result<Vec<Part>> {
    let known = decided(found);
    let mut name = found.sends.clone();
    name.sort();
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{} {}", found.rule, name.join(" ")).as_bytes());
    let mut parts = Vec::new();
    for attributed in [true, false] {
        let end = if attributed { "linked" } else { "unlinked" };
        let path = format!("{}.{hash:016x}.{end}.parquet", base(&report.path));
        parts.extend(part(root, report, found, &known, attributed, path)?);
    }
    Ok(parts)
}

/// One of the two; `None` where no row is in it.
fn part(
    root: &Path,
    report: &Segment,
    found: &Found,
    known: &HashMap<u32, Known<'_>>,
    attributed: bool,
    path: String,
) -> Result<Option<Part>> {
    let place = root.join(&path);
    let folder = place.parent().unwrap_or(root);
    layout::make_dir(folder)?;
    let mut blank = commit::blank_segment(report.date, &report.role, report.shadow);
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let mut sheet: Option<Sheet<File>> = None;
    let mut row: u32 = 0;
    for batch in open(&root.join(&report.path))?.with_batch_size(1 << 14).build()? {
        let batch = batch?;
        let rows: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX))
            .filter(|at| matches!(known.get(&(row + at)), Some(Known::Of(..))) == attributed)
            .collect();
        let first = row;
        row += u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        if rows.is_empty() {
            continue;
        }
        let taken = take_record_batch(&batch, &UInt32Array::from(rows.clone()))?;
        let of: Vec<Option<&Known<'_>>> = rows.iter().map(|at| known.get(&(first + at))).collect();
        count(&mut blank, &taken)?;
        let filled = filled(&taken, &of, found)?;
        let sheet = match &mut sheet {
            Some(sheet) => sheet,
            None => sheet.insert(Sheet::new(file.as_file().try_clone()?, filled.schema())?),
        };
        sheet.write(&filled)?;
    }
    let Some(sheet) = sheet else { return Ok(None) };
    sheet.close()?;
    let bytes = i64::try_from(file.as_file().metadata()?.len()).unwrap_or(i64::MAX);
    file.persist(&place).map_err(|error| error.error)?;
    Ok(Some(Part {
        path,
        attributed,
        rows: blank.by_type.iter().sum(),
        bytes,
        min_time: blank.min_time,
        max_time: blank.max_time,
        by_type: blank.by_type,
        files: blank.files.iter().map(|file| (file.id, file.by_type)).collect(),
    }))
}

fn text_of(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    let column = match batch.column_by_name(name) {
        Some(column) => cast(column, &DataType::Utf8)?,
        None => arrow::array::new_null_array(&DataType::Utf8, batch.num_rows()),
    };
    Ok(column.as_string::<i32>().clone())
}

/// Counts rows by file and record type, and their times.
fn count(segment: &mut Segment, batch: &RecordBatch) -> Result<()> {
    let records = text_of(batch, "record_type")?;
    let files = batch.column_by_name("file_id").map(|column| column.as_primitive::<Int64Type>().clone());
    let times = batch.column_by_name("event_time").map(|column| cast(column, &timestamp())).transpose()?;
    for row in 0..batch.num_rows() {
        let record = RecordType::parse(records.value(row)).unwrap_or(RecordType::F);
        segment.count(files.as_ref().map_or(0, |files| files.value(row)), record);
        let times = times.as_ref().map(|times| times.as_primitive::<TimestampMicrosecondType>());
        if let Some(time) = times.filter(|times| !times.is_null(row)).map(|times| times.value(row)) {
            segment.min_time = Some(segment.min_time.map_or(time, |min| min.min(time)));
            segment.max_time = segment.max_time.max(Some(time));
        }
    }
    Ok(())
}

/// Rows with the values of their deliveries, and what is known of them.
fn filled(batch: &RecordBatch, known: &[Option<&Known<'_>>], found: &Found) -> Result<RecordBatch> {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (value, name) in VALUES.iter().enumerate() {
        let Ok(at) = batch.schema().index_of(name) else { continue };
        let own = text_of(batch, name)?;
        let cell = |row: usize| -> Option<&str> {
            let own = (!own.is_null(row)).then(|| own.value(row)).filter(|own| !own.is_empty());
            // A recipient that was made unreadable says less than the delivery's.
            let readable = |own: &&str| *name != "recipient" || !recipient(own).is_empty();
            match known.get(row) {
                Some(Some(Known::Of(candidate, _))) => {
                    let theirs = Some(word(found, candidate.values[value])).filter(|theirs| !theirs.is_empty());
                    if OWN_FIRST.contains(name) { own.filter(readable).or(theirs).or(own) } else { theirs.or(own) }
                }
                _ => own,
            }
        };
        columns[at] = Arc::new((0..batch.num_rows()).map(cell).collect::<StringArray>());
        fields[at] = Field::new(*name, DataType::Utf8, true);
    }
    let message = known.iter().map(|known| match known {
        Some(Known::Of(candidate, _)) => Some(candidate.message.cast_signed()),
        _ => None,
    });
    let messages = known.iter().map(|known| match known {
        Some(Known::Several(messages, _)) => Some(messages.as_str()),
        _ => None,
    });
    let tells = known.iter().map(|known| {
        known.map(|known| match known {
            Known::Of(_, key) | Known::Several(_, key) => *key,
        })
    });
    columns.push(Arc::new(message.collect::<Int64Array>()));
    columns.push(Arc::new(messages.collect::<StringArray>()));
    columns.push(Arc::new(tells.collect::<StringArray>()));
    fields.extend([
        Field::new(MESSAGE, DataType::Int64, true),
        Field::new(MESSAGES, DataType::Utf8, true),
        Field::new(TELLS, DataType::Utf8, true),
    ]);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
