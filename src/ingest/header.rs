//! A header line → a plan: which cell fills which column of `events`, in any order, with extras, gaps,
//! repeated names and names that differ only in case. Without a header, PowerMTA's own layouts serve.

use std::collections::HashMap;

use crate::config;
use crate::event::{COLUMNS, RecordType, column_index};

/// Where the cells of a record go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Cells in a record.
    pub width: usize,
    /// By column of `events`: the cells that may fill it, most trusted first.
    pub sources: Vec<Vec<usize>>,
    /// Cells that no column takes, with the JSON key (`"orcpt":`) that they get in `headers`.
    pub extras: Vec<(usize, String)>,
    /// The `type` cell.
    pub record_type: Option<usize>,
    /// `dlvType`.
    pub dlv_type: Option<usize>,
    /// `feedbackType`.
    pub feedback_type: Option<usize>,
    /// Cells up to the last that has a name.
    pub named: usize,
    /// The record type of rows without a `type` cell, where the columns are those of one type alone.
    pub implied: Option<RecordType>,
    /// `rbType`, of an operator's own rate-block file.
    pub rb_type: Option<usize>,
    /// `header_X-Job`, the job of rows that have no `jobId` column (f, rb).
    pub job_header: Option<usize>,
    /// The configured user column.
    pub user_header: Option<usize>,
}

/// Which columns the configuration names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    message_id: String,
    custom_header: String,
    user_header: String,
}

impl Names {
    /// The names in the settings, in lower case.
    pub fn new(config: &config::Ingest) -> Self {
        Self {
            message_id: config.message_id.to_lowercase(),
            custom_header: config.custom_header.to_lowercase(),
            user_header: config.user_header.to_lowercase(),
        }
    }
}

/// A header that cannot be used: what is missing, what was found, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No column that PowerMTA writes.
    #[error(
        "this is no PowerMTA accounting file: none of its {count} columns is known (found: {found}); \
         expected a header such as `type,timeLogged,orig,rcpt,dsnStatus,…`"
    )]
    Unknown {
        /// How many columns there are.
        count: usize,
        /// Their names.
        found: String,
    },
    /// Neither a `type` column nor a file name that tells the record type.
    #[error(
        "column `type` is missing (found: {found}) and the file name tells no record type; \
         add `type` to the acct-file's record-fields, or name the file acct…, tran…, bounce…, fbl… or rb…"
    )]
    NoType {
        /// The names of the columns.
        found: String,
    },
    /// An essential column is missing, and another one is written nearly like it.
    #[error(
        "column {column} is called `{found}`, and column `{meant}` is missing (all columns: {all}); \
         if it is meant, correct its name in the header line"
    )]
    Misspelt {
        /// Its position, from 1.
        column: usize,
        /// Its name.
        found: String,
        /// The name that PowerMTA writes.
        meant: &'static str,
        /// The names of all columns.
        all: String,
    },
    /// Rows without a header, and not in PowerMTA's default layout.
    #[error(
        "there is no header line, and a `{record}` row of {count} cells is in none of PowerMTA's default layouts; \
         put the header line of the acct-file (`type,timeLogged,…`) first"
    )]
    NoHeader {
        /// The record type.
        record: RecordType,
        /// Cells in the row.
        count: usize,
    },
}

/// Characters between cells, in the order in which they are tried.
const DELIMITERS: [u8; 4] = *b",\t;|";

/// The delimiter of a header line: the one that makes most known names, then most cells.
pub fn delimiter_of(line: &[u8]) -> u8 {
    let names = |delimiter: &u8| {
        let cells = line.split(|byte| byte == delimiter);
        let known = cells.filter(|cell| known(String::from_utf8_lossy(cell).trim_matches('"'))).count();
        (known, memchr::memchr_iter(*delimiter, line).count())
    };
    DELIMITERS.iter().copied().rev().max_by_key(names).unwrap_or(b',')
}

/// Whether a first cell marks a header line: `type` or `#type`, with or without a byte order mark.
pub fn is_type_cell(cell: &str) -> bool {
    cell.trim_start_matches(['\u{feff}', '#']).trim().eq_ignore_ascii_case("type")
}

/// Whether cells are names of columns rather than values.
pub fn looks_like_header(cells: &[String]) -> bool {
    let first = cells.first().map_or("", String::as_str);
    is_type_cell(first)
        || (RecordType::of_cell(first).is_none() && cells.iter().filter(|cell| known(cell)).count() >= 2)
}

/// Whether a name is one of PowerMTA's that fills a column.
pub fn known(name: &str) -> bool {
    let name = plain(name);
    COLUMNS.iter().any(|column| column.sources.iter().any(|source| source.eq_ignore_ascii_case(&name)))
}

/// Further names that mean the same as PowerMTA's: vendor-style files, and misprints of documentation.
const ALIASES: &[(&str, &str)] = &[
    ("reportedip", "dlvsourceip"),
    ("dlvdesintationip", "dlvdestinationip"),
    ("recipient", "rcpt"),
    ("sender", "orig"),
];

/// Columns without which rows say little; a misspelt one is asked about.
const ESSENTIAL: [&str; 3] = ["type", "timeLogged", "rcpt"];

/// Documented names that fill no column, and are no misspelling of another.
const OTHERS: &str = "timeImprinted,timeImpinted,timeFirstAttempt,totalSecondsQueued,orcpt,dsnReportingMta,srcType,srcMta,\
    rcvSourceIp,rcvDestinationIp,dlvType,dlvEsmtpAvailable,dlvTlsProtocol,dlvTlsCipher,repSourceIp,feedbackType,format,\
    userAgent,reportingMta,reportedDomain,rbType,rbLimit,rbValue,rbDuration";

/// A name as it is compared: in lower case, without byte order mark, `#`, and what some exports put
/// between words; acctfind's `header:x` is PowerMTA's `header_x`.
fn plain(name: &str) -> String {
    let name = name.trim().trim_start_matches(['\u{feff}', '#']).trim().to_lowercase();
    if let Some(header) = name.strip_prefix("header:") {
        return format!("header_{header}");
    }
    if name.starts_with("header_") || name.starts_with("arf_") {
        return name;
    }
    let name: String = name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).collect();
    ALIASES.iter().find(|alias| alias.0 == name).map_or(name, |alias| alias.1.to_owned())
}

/// How many letters differ between two words, if that is few enough to be a slip.
fn nearly(word: &str, meant: &str) -> bool {
    let most = if meant.len() < 6 { 1 } else { 2 };
    let (word, meant) = (word.as_bytes(), meant.as_bytes());
    if word.len().abs_diff(meant.len()) > most || word.first() != meant.first() {
        return false;
    }
    // Damerau and Levenshtein's distance: two neighbours that changed places are one slip.
    let mut rows: Vec<Vec<usize>> = vec![(0..=meant.len()).collect()];
    for (at, letter) in word.iter().enumerate() {
        let mut row = vec![at + 1];
        for (other, wanted) in meant.iter().enumerate() {
            let same = rows[at][other] + usize::from(letter != wanted);
            let mut best = same.min(rows[at][other + 1] + 1).min(row[other] + 1);
            if at > 0 && other > 0 && word[at - 1] == *wanted && meant[other - 1] == *letter {
                best = best.min(rows[at - 1][other - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[word.len()][meant.len()] <= most
}

impl Plan {
    /// Whether a header lacks an essential column and has one that is written nearly like it.
    pub fn spelling(cells: &[String]) -> Result<(), Error> {
        let names: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
        for meant in ESSENTIAL {
            let column = COLUMNS.iter().find(|column| column.sources.contains(&meant));
            let there = |name: &String| {
                column.is_some_and(|column| column.sources.iter().any(|source| source.eq_ignore_ascii_case(name)))
            };
            if names.iter().any(there) {
                continue;
            }
            let wanted = meant.to_lowercase();
            let slip = names.iter().position(|name| {
                nearly(name, &wanted)
                    && !known(name)
                    && !OTHERS.split(',').any(|other| other.trim().eq_ignore_ascii_case(name))
            });
            if let Some(index) = slip {
                return Err(Error::Misspelt {
                    column: index + 1,
                    found: cells[index].trim().to_owned(),
                    meant,
                    all: listed(cells),
                });
            }
        }
        Ok(())
    }

    /// The plan of a header line. `typed_by_name`: the file's name tells the record type.
    pub fn of_header(cells: &[String], names: &Names, typed_by_name: bool) -> Result<Self, Error> {
        let found = || listed(cells);
        let plan = Self::build(cells, names);
        let filled = plan.sources.iter().filter(|cells| !cells.is_empty()).count();
        if plan.record_type.is_none() && plan.rb_type.is_none() {
            if filled == 0 {
                return Err(Error::Unknown { count: cells.len(), found: found() });
            }
            if !typed_by_name && plan.implied.is_none() {
                return Err(Error::NoType { found: found() });
            }
        }
        Ok(plan)
    }

    /// The plan of a record without a header, from PowerMTA's default layout for its type and width.
    /// `imprinted`: its fourth cell is that of `timeImprinted`, as PowerMTA before 4.5 wrote.
    pub fn of_layout(record_type: RecordType, width: usize, imprinted: bool, names: &Names) -> Option<Self> {
        let layout = LAYOUTS.iter().find(|(types, columns)| {
            let count = columns.split(',').count();
            types.contains(&record_type)
                && (count == width || count == width + 1)
                && (!imprinted || width != OLD_WIDTH || columns.contains("timeImprinted"))
        })?;
        let cells: Vec<String> = layout.1.split(',').map(str::to_owned).collect();
        Some(Self::build(&cells, names))
    }

    fn build(cells: &[String], names: &Names) -> Self {
        let mut plan = Self {
            width: cells.len(),
            sources: vec![Vec::new(); COLUMNS.len()],
            extras: Vec::new(),
            record_type: None,
            dlv_type: None,
            feedback_type: None,
            named: cells.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1),
            implied: implied(cells),
            rb_type: None,
            job_header: None,
            user_header: None,
        };
        // By column: (trust, cell); the most trusted source first, then the leftmost.
        let mut ranked: Vec<Vec<(usize, usize)>> = vec![Vec::new(); COLUMNS.len()];
        let by_name = column_names();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, cell) in cells.iter().enumerate() {
            let name = cell.trim().trim_start_matches(['\u{feff}', '#']).trim();
            let lower = plain(name);
            let lower = lower.as_str();
            plan.note_special(lower, index, names);
            let mut taken = lower == "type";
            if let Some((column, trust)) = by_name.get(lower) {
                ranked[*column].push((*trust, index));
                taken = true;
            }
            for (configured, column) in [(&names.message_id, "message_id"), (&names.custom_header, "custom_header")] {
                if !configured.is_empty()
                    && lower == configured
                    && let Some(column) = column_index(column)
                {
                    ranked[column].push((0, index));
                    taken = true;
                }
            }
            if !taken {
                let unnamed;
                let name = if name.is_empty() {
                    unnamed = format!("column_{}", index + 1);
                    &unnamed
                } else {
                    name
                };
                let count = seen.entry(name.to_owned()).or_insert(0);
                *count += 1;
                let key = if *count == 1 { name.to_owned() } else { format!("{name}_{count}") };
                plan.extras.push((index, format!("{}:", serde_json::Value::String(key))));
            }
        }
        for (column, mut cells) in ranked.into_iter().enumerate() {
            cells.sort_unstable();
            plan.sources[column] = cells.into_iter().map(|(_, cell)| cell).collect();
        }
        plan
    }

    fn note_special(&mut self, lower: &str, index: usize, names: &Names) {
        let slot = match lower {
            "type" => &mut self.record_type,
            "dlvtype" => &mut self.dlv_type,
            "feedbacktype" => &mut self.feedback_type,
            "rbtype" => &mut self.rb_type,
            "header_x-job" => &mut self.job_header,
            _ => {
                if !names.user_header.is_empty() && lower == names.user_header {
                    self.user_header.get_or_insert(index);
                }
                return;
            }
        };
        slot.get_or_insert(index);
    }
}

/// The record type that alone has one of these columns.
fn implied(cells: &[String]) -> Option<RecordType> {
    let has = |wanted: &str| cells.iter().any(|cell| plain(cell) == wanted);
    if has("feedbacktype") || has("reporteddomain") {
        Some(RecordType::F)
    } else if has("dsnreportingmta") {
        Some(RecordType::Rb)
    } else if has("rcvsourceip") && !has("dsnstatus") && !has("dlvsourceip") {
        Some(RecordType::R)
    } else {
        None
    }
}

/// Names of columns for a message.
fn listed(cells: &[String]) -> String {
    const MOST: usize = 30;
    let mut names: Vec<String> = cells.iter().take(MOST).map(|cell| cell.trim().chars().take(40).collect()).collect();
    if cells.len() > MOST {
        names.push(format!("and {} more", cells.len() - MOST));
    }
    names.join(", ")
}

/// Lower-case source name → column and trust.
fn column_names() -> HashMap<String, (usize, usize)> {
    let mut names = HashMap::new();
    for (index, column) in COLUMNS.iter().enumerate() {
        for (trust, source) in column.sources.iter().enumerate() {
            names.insert(source.to_lowercase(), (index, trust));
        }
    }
    names
}

/// Cells of d and b rows before PowerMTA 4.5; those of today have as many if the last one is missing.
const OLD_WIDTH: usize = 22;

/// Whether the cells of a row without a usable header are those of a layout with `timeImprinted`: that
/// is empty or a time where the sender would be, and the recipient stands two cells behind.
pub fn is_imprinted(width: usize, fourth: &str, sixth: &str) -> bool {
    width == OLD_WIDTH && (fourth.is_empty() || super::time::parse(fourth).is_some()) && sixth.contains('@')
}

/// PowerMTA's default layouts (`reference/powermta-files.md` §2), the current era first.
const LAYOUTS: &[(&[RecordType], &str)] = &[
    (
        &[RecordType::D, RecordType::B, RecordType::T],
        "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool",
    ),
    (
        &[RecordType::D, RecordType::B],
        "type,timeLogged,timeQueued,timeImprinted,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId",
    ),
    (&[RecordType::Tq], "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue"),
    (
        &[RecordType::R],
        "type,timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId,vmtaPool",
    ),
    (
        &[RecordType::Rb, RecordType::Rs],
        "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId",
    ),
    (
        &[RecordType::F],
        "type,timeLogged,repSourceIp,feedbackType,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp,reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject",
    ),
    (&[RecordType::F], "type,timeLogged,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(header: &str) -> Result<Plan, Error> {
        let cells: Vec<String> = header.split(',').map(str::to_owned).collect();
        Plan::of_header(&cells, &Names::new(&config::Ingest::default()), false)
    }

    #[test]
    fn columns_are_found_in_any_order_and_case() {
        let plan = plan("RCPT,#type,TimeLogged,orcpt,header_message-ID").unwrap();
        assert_eq!(plan.sources[column_index("recipient").unwrap()], [0]);
        assert_eq!(plan.record_type, Some(1));
        assert_eq!(plan.sources[column_index("message_id").unwrap()], [4]);
        assert_eq!(plan.extras, [(3, "\"orcpt\":".to_owned())]);
    }

    #[test]
    fn a_repeated_name_keeps_both_cells() {
        let plan = plan("type,rcvSourceIp,rcvSourceIp,jobId,jobId").unwrap();
        assert_eq!(plan.extras[1], (2, "\"rcvSourceIp_2\":".to_owned()));
        assert_eq!(plan.sources[column_index("job_id").unwrap()], [3, 4]);
    }

    #[test]
    fn a_foreign_header_is_refused_with_what_was_found() {
        let message = plan("id,name,price").unwrap_err().to_string();
        assert!(message.contains("id, name, price") && message.contains("timeLogged"), "{message}");
        let message = plan("timeLogged,rcpt").unwrap_err().to_string();
        assert!(message.contains("column `type` is missing"), "{message}");
    }

    #[test]
    fn the_delimiter_is_the_one_that_makes_most_cells() {
        assert_eq!(delimiter_of(b"type\ttimeLogged\trcpt"), b'\t');
        assert_eq!(delimiter_of(b"type;timeLogged;rcpt"), b';');
        assert_eq!(delimiter_of(b"type,timeLogged;x,rcpt"), b',');
    }

    #[test]
    fn a_row_without_header_finds_the_layout_of_its_type() {
        let names = Names::default();
        let rb = Plan::of_layout(RecordType::Rb, 13, false, &names).unwrap();
        assert_eq!(rb.sources[column_index("smtp_status").unwrap()], [5]);
        assert!(Plan::of_layout(RecordType::D, 22, false, &names).is_some());
        assert!(Plan::of_layout(RecordType::Tq, 4, false, &names).is_none());
    }
}
