//! The numbers are right: against the generator's truth, rollups against raw rows, screen against report.

use pmtop::demo::{self, LinkTruth};
use pmtop::query::field::Field;
use pmtop::query::question::{Bucket, Compare, Page, Question, Report, Sort};
use pmtop::query::table::Value;
use pmtop::query::time::Width;
use pmtop::report;
use serde_json::Value as Json;

use crate::journey::{Move, moves};
use crate::support::{Desk, scope};

/// A generated day with overlaps, in a catalog, and its truth.
pub fn day(seed: u64, messages: u64) -> (Desk, Json) {
    let (desk, truth, _) = day_with_links(seed, messages);
    (desk, truth)
}

/// The same, and which message each report is about.
fn day_with_links(seed: u64, messages: u64) -> (Desk, Json, Vec<LinkTruth>) {
    let desk = Desk::new();
    let options =
        demo::Options { overlap_rows: 100, max_file_rows: 3000, tail_days: 0, ..demo::Options::day(seed, messages) };
    let (mut files, mut links) = (Vec::new(), Vec::new());
    let truth = demo::generate_with_links(
        &desk.path("inbox"),
        &options,
        None,
        &mut |path| files.push(path.to_owned()),
        &mut |link| links.push(link),
    )
    .unwrap();
    for file in files {
        desk.ingest_path(&file);
    }
    (desk, serde_json::to_value(truth).unwrap(), links)
}

/// Events in all, duplicates merged.
fn events_of(truth: &Json) -> i64 {
    truth["events"].as_object().unwrap().values().map(|rows| rows.as_i64().unwrap()).sum()
}

fn assert_truth(found: &Json, truth: &Json, path: &str) {
    let Json::Object(truth) = truth else { panic!("{path} is no object") };
    for (key, expected) in truth {
        let path = format!("{path}.{key}");
        // `received` is no metric of its own; the scope's bounds are compared by the caller.
        if ["received", "scope"].contains(&key.as_str()) {
            continue;
        }
        match (expected, &found[key]) {
            (Json::Object(_), found) => assert_truth(found, expected, &path),
            (Json::Number(expected), Json::Number(found)) if key.ends_with("_ms") => {
                let (expected, found) = (expected.as_f64().unwrap(), found.as_f64().unwrap());
                assert!((expected - found).abs() <= expected * 0.01 + 0.1, "{path}: {found}, truth {expected}");
            }
            // Nothing of the kind was logged at all: n/a, which is not 0.
            (Json::Number(expected), Json::Null) => assert_eq!(expected.as_i64(), Some(0), "{path}"),
            (expected, found) => assert_eq!(found, expected, "{path}"),
        }
    }
}

#[test]
fn totals_equal_the_truth_of_the_generator() {
    let (desk, truth) = day(11, 6000);
    assert!(truth["merged_duplicates"].as_i64().unwrap() > 100);
    let totals = desk.totals(&[]);
    assert_truth(&totals, &truth["totals"], "totals");
    assert_eq!(totals["merged_duplicates"], truth["merged_duplicates"]);
    assert_eq!(desk.count("select count(*) from events"), events_of(&truth));
}

#[test]
fn every_row_of_operations_equals_the_truth() {
    let (desk, mut truth, links) = day_with_links(12, 5000);
    // Reports count where their delivery does, as far as it was found.
    for Move { dimension, from, to, metrics } in moves(&desk, &links) {
        for (value, sign) in [(from, -1), (to, 1)] {
            for metric in &metrics {
                let cell = &mut truth["by"][dimension][&value][*metric];
                *cell = Json::from(cell.as_i64().unwrap_or(0) + sign);
            }
        }
    }
    for (name, field) in [
        ("domain", Field::Domain),
        ("provider", Field::Provider),
        ("job", Field::Job),
        ("user", Field::User),
        ("vmta", Field::Vmta),
        ("pool", Field::Pool),
        ("source_ip", Field::SourceIp),
    ] {
        let rows = desk.rows(Report::Operations { by: Some(field), bucket: None }, &[]);
        for (value, expected) in truth["by"][name].as_object().unwrap() {
            let value = if value.is_empty() { Json::Null } else { Json::from(value.as_str()) };
            let row = rows.iter().find(|row| row[name] == value);
            for metric in [
                "sent",
                "delivered",
                "deferred",
                "deferrals",
                "remote_bounces",
                "complaints",
                "rb_events",
                "queue_errors",
            ] {
                let found = row.map_or(&Json::Null, |row| &row[metric]).as_i64().unwrap_or(0);
                assert_eq!(found, expected[metric].as_i64().unwrap_or(0), "{name}={value} {metric}");
            }
            for class in ["total", "hard", "soft", "block"] {
                let found = row.map_or(&Json::Null, |row| &row[&format!("bounced_{class}")]).as_i64().unwrap_or(0);
                assert_eq!(found, expected["bounced"][class].as_i64().unwrap_or(0), "{name}={value} bounced_{class}");
            }
        }
    }
}

/// Scopes that rollups can serve, wholly or in part.
const SCOPES: &[&[&str]] = &[
    &[],
    &["domain=gmail.com"],
    &["provider=google", "vmta=mta0*"],
    &["domain!=gmail.com", "domain!=yahoo.com"],
    &["status=5*"],
    &["status=421", "provider=Yahoo"],
    &["kind=bounced", "bounce-class=hard"],
    &["reply-class=throttle*"],
    &["type=bounce"],
    &["type=acct", "type=tran"],
    &["job="],
    &["time=2026-11-23T10:00:00..2026-11-23T12:00:00"],
    &["time=2026-11-23T09:07:13..2026-11-23T15:52:41", "user=a*"],
    &["time=2026-11-23T10:03:00..2026-11-23T10:04:00"],
    &["time=6h", "source-ip=192.0.2.1*"],
];

#[test]
fn rollups_and_raw_rows_give_the_same_numbers() {
    let (desk, _) = day(13, 5000);
    for filters in SCOPES {
        // No rollup carries recipients, so this filter, which everything passes, sends a question to raw rows.
        let raw: Vec<&str> = filters.iter().copied().chain(["recipient!=nobody@nowhere.example"]).collect();
        for report in [
            Report::Totals,
            Report::Operations { by: Some(Field::Provider), bucket: None },
            Report::Operations { by: Some(Field::Job), bucket: Some(Bucket::Fixed(Width::Hour)) },
            Report::Operations { by: None, bucket: Some(Bucket::Fixed(Width::Quarter)) },
        ] {
            let by_rollup = without_sent(desk.rows(report, filters));
            let by_raw = without_sent(desk.rows(report, &raw));
            assert_eq!(by_rollup, by_raw, "{report:?} over {filters:?}");
        }
    }
}

/// `sent` may count other rows when recipients are filtered; everything else must agree.
fn without_sent(mut rows: Vec<Json>) -> Vec<Json> {
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        row.remove("sent");
        row.remove("sent_basis");
    }
    rows.sort_by_key(ToString::to_string);
    rows
}

#[test]
fn the_parts_of_a_day_add_up_to_it() {
    let (desk, _) = day(14, 3000);
    let day = desk.totals(&["time=2026-11-23T03:11:07..2026-11-23T21:49:53"]);
    let parts = ["2026-11-23T03:11:07..2026-11-23T10:00:30", "2026-11-23T10:00:30..2026-11-23T21:49:53"];
    for metric in ["sent", "delivered", "deferrals", "complaints", "rb_events", "queue_errors"] {
        let sum: i64 =
            parts.iter().map(|part| desk.totals(&[&format!("time={part}")])[metric].as_i64().unwrap_or(0)).sum();
        assert_eq!(day[metric].as_i64().unwrap_or(0), sum, "{metric}");
    }
}

#[test]
fn a_role_filter_gives_what_a_catalog_of_that_role_alone_would_give() {
    let (desk, _) = day(15, 3000);
    for role in ["acct", "bounce", "tran", "fbl", "rb"] {
        let alone = Desk::new();
        let mut files: Vec<_> =
            std::fs::read_dir(desk.path("inbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(role)) {
            alone.ingest_path(file);
        }
        let (filtered, expected) = (desk.totals(&[&format!("type={role}")]), alone.totals(&[]));
        for metric in expected.as_object().unwrap().keys().filter(|key| *key != "scope") {
            assert_eq!(filtered[metric], expected[metric], "{role} {metric}");
        }
    }
}

#[test]
fn the_order_in_which_files_come_does_not_matter() {
    let (desk, _) = day(16, 2500);
    let mut files: Vec<_> = std::fs::read_dir(desk.path("inbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let by_domain = Report::Operations { by: Some(Field::Domain), bucket: None };
    let expected = (desk.totals(&[]), desk.rows(by_domain, &[]), desk.totals(&["type=bounce"]));
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..3 {
        rng.shuffle(&mut files);
        let other = Desk::new();
        for file in files.iter().chain(&files[..2]) {
            other.ingest_path(file);
        }
        let found = (other.totals(&[]), other.rows(by_domain, &[]), other.totals(&["type=bounce"]));
        assert_eq!(found, expected, "{files:?}");
    }
}

#[test]
fn events_page_newest_first_without_gaps_or_repeats() {
    let (desk, truth) = day(17, 1500);
    let total = usize::try_from(events_of(&truth)).unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut last = i64::MAX;
    for offset in (0..).step_by(700) {
        let page = Page { offset, limit: Some(700), sort: None };
        let table = desk.ask_page(Report::Events, &scope(&[]), page);
        for row in 0..table.rows.len() {
            let key = (format!("{:?}", table.cell(row, "file_id")), format!("{:?}", table.cell(row, "row_number")));
            assert!(seen.insert(key));
            let pmtop::query::table::Value::Time(time) = *table.cell(row, "event_time") else { panic!("no time") };
            assert!(time <= last);
            last = time;
        }
        assert_eq!(table.more, offset + 700 < total);
        if !table.more {
            break;
        }
    }
    assert_eq!(seen.len(), total);
}

#[test]
fn a_sorted_page_holds_the_greatest() {
    let (desk, _) = day(18, 1000);
    let page = Page {
        offset: 0,
        limit: Some(5),
        sort: Some(Sort { column: "delivery_latency_ms".to_owned(), descending: true }),
    };
    let table = desk.ask_page(Report::Events, &scope(&[]), page);
    let greatest = desk.count("select max(delivery_latency_ms) from events");
    assert_eq!(table.cell(0, "delivery_latency_ms"), &pmtop::query::table::Value::Int(greatest));
}

#[test]
fn the_screen_shows_what_the_report_prints() {
    use pmtop::dashboard::DASHBOARDS;
    let (desk, _) = day(19, 2000);
    for filters in [
        &["domain=gmail.com"][..],
        &["provider=Yahoo", "time=6h"],
        &["job!=a*", "time=2026-11-23T08:00..2026-11-23T18:30"],
    ] {
        let scope = scope(filters);
        for panel in DASHBOARDS.iter().flat_map(|dashboard| dashboard.panels()) {
            for ask in panel.asks {
                let question = ask.question(&scope, None, Compare::Off);
                let shown = desk.engine.block_on(report::ask(&desk.engine, question.clone())).unwrap();
                let printed = desk.ask(question.report, &scope);
                assert_eq!(shown.table, printed, "{} over {filters:?}", panel.title);
            }
        }
    }
}

#[test]
fn every_column_that_a_panel_names_is_in_its_answer() {
    use pmtop::dashboard::{DASHBOARDS, Kind, Show};
    let (desk, _) = day(20, 500);
    for panel in DASHBOARDS.iter().flat_map(|dashboard| dashboard.panels()) {
        let answers: Vec<_> = panel
            .asks
            .iter()
            .map(|ask| desk.ask(ask.question(&scope(&[]), None, Compare::Off).report, &scope(&[])))
            .collect();
        let has = |answer: usize, column: &str| {
            assert!(column == "*" || answers[answer].column(column).is_some(), "{}: {column}", panel.title);
        };
        match &panel.show {
            Show::Cards(cards) => {
                for card in *cards {
                    has(0, card.column);
                    has(1, card.column);
                    card.detail.iter().for_each(|(_, column, _)| has(0, column));
                }
            }
            Show::Trend { lines, .. } => lines.iter().for_each(|line| has(0, line.column)),
            Show::Table(columns) => {
                for column in *columns {
                    match column.kind {
                        Kind::Course => has(1, column.column),
                        Kind::Sum(terms) => terms.iter().for_each(|term| has(0, term)),
                        Kind::Value | Kind::Change | Kind::Trend | Kind::Badge(_) => has(0, column.column),
                    }
                }
            }
            Show::Heatmap(shades) => {
                for shade in *shades {
                    has(0, shade.column);
                    has(0, shade.of);
                }
            }
            Show::Distribution => {
                ["measure", "from_ms", "to_ms", "n", "share", "cumulative_share"].iter().for_each(|name| has(0, name));
            }
            Show::Changes => ["field", "value", "metric", "now", "before", "n"].iter().for_each(|name| has(0, name)),
            Show::Coverage => ["bucket", "event_type", "rows"].iter().for_each(|name| has(0, name)),
            Show::Events | Show::Files => {}
            Show::Insights | Show::Incidents | Show::Timeline | Show::Incident => {}
        }
    }
}

#[test]
fn a_question_that_is_dropped_is_stopped() {
    let (desk, _) = day(21, 500);
    let question = Question::new(Report::Events, scope(&[]));
    drop(report::ask(&desk.engine, question));
    // The engine still answers.
    assert!(desk.totals(&[])["delivered"].as_i64().unwrap() > 0);
}

#[test]
fn a_filter_on_several_files_gives_what_a_catalog_of_those_alone_would_give() {
    let (desk, _) = day(22, 3000);
    let mut files: Vec<_> = std::fs::read_dir(desk.path("inbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    for chosen in [&files[..2], &files[1..4], &files[..files.len() - 1]] {
        let alone = Desk::new();
        for file in chosen {
            alone.ingest_path(file);
        }
        let filters: Vec<String> = chosen.iter().map(|path| format!("file={}", name(path))).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let (found, expected) = (desk.totals(&filters), alone.totals(&[]));
        for metric in ["sent", "delivered", "bounced", "deferrals", "deferred", "complaints", "rb_events", "latency"] {
            assert_eq!(found[metric], expected[metric], "{metric} of {filters:?}");
        }
    }
}

#[test]
fn a_value_and_its_exclusion_leave_nothing() {
    let (desk, _) = day(23, 500);
    for filters in [["domain=gmail.com", "domain!=gmail.com"], ["domain!=gmail.com", "domain=gmail.com"]] {
        assert_eq!(desk.totals(&filters)["delivered"], 0);
    }
}

#[test]
fn replies_tell_what_they_mean_and_since_when_they_are_known() {
    let (desk, _) = day(25, 3000);
    let all = desk.rows(Report::Replies, &[]);
    let events = desk.ask(Report::Events, &scope(&[]));
    let [class, diag, kind] = ["reply_class", "dsn_diag", "kind"].map(|name| events.column(name).unwrap());
    let failed = |row: &&Vec<Value>| {
        ["bounced", "deferred", "queue_error", "remote_bounce"].contains(&row[kind].as_text().unwrap())
    };
    let said = events.rows.iter().filter(failed).filter(|row| row[diag].is_there()).count();
    assert_eq!(all.iter().map(|row| row["n"].as_i64().unwrap()).sum::<i64>(), said as i64);
    assert!(events.rows.iter().any(|row| row[class].is_there()));
    for row in &all {
        let trend: Vec<i64> = row["trend"].as_str().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!((trend.len(), trend.iter().sum::<i64>()), (24, row["n"].as_i64().unwrap()), "{row}");
        assert!(row["first_seen"].as_str() <= row["first"].as_str(), "{row}");
        assert!(row["new"].is_null(), "there was no visit");
        assert!(["meaning", "advice", "scope"].iter().all(|name| row[*name].is_string()), "{row}");
        if row["reply_class"] == "ip-blocklist" {
            assert_eq!(row["scope"], "ip", "{row}");
        }
    }
    // Since when words are known does not depend on what is asked.
    let provider = format!("provider={}", all[0]["provider"].as_str().unwrap());
    let late = desk.rows(Report::Replies, &[provider.as_str(), "status=4.*"]);
    assert!(!late.is_empty());
    for row in late {
        let same = |known: &&serde_json::Value| known["reply"] == row["reply"] && known["provider"] == row["provider"];
        let known = all.iter().filter(same).map(|known| known["first"].as_str().unwrap()).min();
        assert_eq!(row["first_seen"].as_str(), known, "{row}");
    }
}

#[test]
fn replies_that_came_since_the_last_visit_are_new() {
    let (desk, _) = day(26, 500);
    let all = desk.rows(Report::Replies, &[]);
    let seen = desk.engine.visit().seen().unwrap();
    assert!(!seen.is_empty());
    let (gone, kept) = seen.split_first().unwrap();
    desk.engine.visit().remember(kept.iter().copied());
    let new: Vec<_> = desk.rows(Report::Replies, &[]).into_iter().filter(|row| row["new"] == true).collect();
    assert!(!new.is_empty() && new.len() < all.len());
    for row in new {
        let words = row["reply"].as_str().unwrap();
        assert_eq!(pmtop::query::replies::identity(words, row["provider"].as_str().unwrap()), *gone);
    }
}

#[test]
fn a_group_of_replies_leads_to_its_rows() {
    let (desk, _) = day(24, 3000);
    let groups = desk.rows(Report::Replies, &[]);
    assert!(groups.len() > 20);
    for group in groups {
        let filter = format!("reply={}", group["reply_pattern"].as_str().unwrap());
        let found = desk.ask(Report::Events, &scope(&[&filter])).rows.len();
        assert!(found as i64 >= group["n"].as_i64().unwrap(), "{filter}: {found} rows for {group}");
    }
}
