//! A view as shell commands that give it again. Values come from log files, so that nothing in them may mean
//! anything to a shell.

use std::fmt::Write as _;

use crate::query::filter::Filter;
use crate::query::question::{Bucket, Compare, Question, Report, Sort};
use crate::query::scope::Scope;
use crate::query::time::{TimeRange, Width, iso, span};
use crate::text::display;

/// A word as a shell reads it back, on one line whatever it holds.
pub fn quote(word: &str) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_safe) {
        return word.to_owned();
    }
    if display(word) == word {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    // Control and invisible characters: bash, zsh and ksh read these escapes.
    let mut out = String::from("$'");
    for letter in word.chars() {
        let alone = letter.to_string();
        match letter {
            '\'' | '\\' => out.extend(['\\', letter]),
            letter if display(&alone) == alone => out.push(letter),
            letter => {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    // Octal, always of three digits, so that a digit behind it is not taken for its own.
                    write!(out, "\\{byte:03o}").ok();
                }
            }
        }
    }
    out.push('\'');
    out
}

fn flag(out: &mut String, name: &str, value: &str) {
    // A value that begins with a dash would be taken for a flag.
    if value.starts_with('-') {
        write!(out, " {}", quote(&format!("--{name}={value}"))).ok();
    } else {
        write!(out, " --{name} {}", quote(value)).ok();
    }
}

fn time(out: &mut String, time: TimeRange) {
    match time {
        TimeRange::All => {}
        TimeRange::Last(micros) => flag(out, "last", &span(micros)),
        TimeRange::Between(from, until) => {
            if let Some(from) = from {
                flag(out, "since", &iso(from));
            }
            if let Some(until) = until {
                flag(out, "until", &iso(until));
            }
        }
    }
}

fn scope(out: &mut String, scope: &Scope) {
    time(out, scope.time);
    for filter in scope.filters() {
        let sign = if filter.exclude { "!" } else { "" };
        flag(out, filter.field.name(), &format!("{sign}{}", filter.value));
    }
}

fn sort(out: &mut String, sort: Option<&Sort>) {
    if let Some(sort) = sort {
        let order = if sort.descending { "" } else { ":asc" };
        flag(out, "sort", &format!("{}{order}", sort.column));
    }
}

/// The name of a comparison in `--compare`.
pub fn compare_name(compare: Compare) -> Option<String> {
    match compare {
        Compare::Off => None,
        Compare::Before => Some("before".to_owned()),
        Compare::Week => Some("week".to_owned()),
        Compare::Range(from, until) => Some(format!("{}..{}", iso(from), iso(until))),
    }
}

/// The command that prints the rows of a question.
pub fn command(question: &Question) -> String {
    let mut out = match question.report {
        Report::Events => "pmtop events".to_owned(),
        Report::Files => return "pmtop files".to_owned(),
        report => format!("pmtop report {}", report.name()),
    };
    let (by, bucket) = match question.report {
        Report::Operations { by, bucket } => (by, bucket),
        Report::Latency { by } | Report::Domains { by } | Report::Risk { by } => (Some(by), None),
        Report::Heatmap { by, bucket, .. } => (Some(by), Some(bucket)),
        _ => (None, None),
    };
    if let Some(by) = by {
        flag(&mut out, "by", by.name());
    }
    if let Some(bucket) = bucket {
        flag(&mut out, "bucket", width_name(bucket, &question.scope));
    }
    scope(&mut out, &question.scope);
    if let Some(name) = compare_name(question.compare) {
        flag(&mut out, "compare", &name);
    }
    sort(&mut out, question.page.sort.as_ref());
    out
}

fn width_name(bucket: Bucket, scope: &Scope) -> &'static str {
    let width = match (bucket, scope.time) {
        (Bucket::Fixed(width), _) => width,
        (Bucket::Auto, TimeRange::Last(span)) => Width::for_span(span),
        (Bucket::Auto, TimeRange::Between(Some(from), Some(until))) => Width::for_span(until - from),
        (Bucket::Auto, _) => Width::Day,
    };
    width.name()
}

/// The command that opens the screen on a tab over a scope.
pub fn screen(tab: &str, view: &Scope, compare: Compare) -> String {
    let mut out = format!("pmtop --tab {}", quote(&tab.to_lowercase()));
    time(&mut out, view.time);
    if view.time == TimeRange::All {
        flag(&mut out, "last", "all");
    }
    for filter in view.filters() {
        flag(&mut out, "where", &typed(filter));
    }
    flag(&mut out, "compare", &compare_name(compare).unwrap_or_else(|| "off".to_owned()));
    out
}

/// A filter as the filter bar reads it.
fn typed(filter: &Filter) -> String {
    let sign = if filter.exclude { "!=" } else { "=" };
    format!("{}{sign}{}", filter.field.name(), filter.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::field::Field;
    use crate::query::time::DAY;

    #[test]
    fn a_word_with_shell_text_is_inert() {
        assert_eq!(quote("gmail.com"), "gmail.com");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("$(reboot)`x`;it's"), r"'$(reboot)`x`;it'\''s'");
        assert_eq!(quote("a\nrm -rf ~\u{1b}[1m7"), r"$'a\012rm -rf ~\033[1m7'");
        assert_eq!(quote("!x"), "'!x'");
    }

    #[test]
    fn a_view_is_a_command() {
        let scope = Scope::new(
            TimeRange::Last(DAY),
            [Filter::include(Field::Provider, "Yahoo"), Filter::exclude(Field::Job, "-a b")],
        );
        let question = Question::new(Report::Domains { by: Field::Domain }, scope.clone());
        assert_eq!(command(&question), "pmtop report domains --by domain --last 24h --provider Yahoo --job '!-a b'");
        assert_eq!(
            screen("Latency", &scope, Compare::Week),
            "pmtop --tab latency --last 24h --where provider=Yahoo --where 'job!=-a b' --compare week"
        );
    }
}
