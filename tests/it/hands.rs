//! What the screen's hands do outside, on a real catalog: SQL of a panel, hiding recipients, raw rows.

use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use pmtop::app::{shell, sql_text};
use pmtop::cli::Cli;
use pmtop::config::Config;
use pmtop::ingest::original;
use pmtop::query::field::Field;
use pmtop::query::question::{Bucket, Compare, Page, Question, Report, Sort};
use pmtop::query::scope::Scope;
use pmtop::query::table::{Table, Value};
use pmtop::query::time::{TimeRange, Width};
use pmtop::report::print::{self, Format};

use crate::support::{Desk, scope};

const ACCT: &str = "\
type,timeLogged,timeQueued,orig,rcpt,dlvType,jobId,vmta,dlvSourceIp,dsnStatus,dsnDiag,bounceCat
d,2026-11-23 10:00:01+0000,2026-11-23 10:00:00+0000,bounce-alice=gmail.com@news.net,alice@gmail.com,smtp,it's_1,v1,10.0.0.1,2.0.0,smtp;250 OK,
d,2026-11-23 11:00:01+0000,2026-11-23 10:59:00+0000,info@news.net,bob@yahoo.com,smtp,j%2,v1,10.0.0.1,2.0.0,smtp;250 OK,
b,2026-11-23 11:30:00+0000,2026-11-23 11:29:00+0000,info@news.net,carol@yahoo.com,smtp,it's_1,v2,10.0.0.2,5.1.1,smtp;550 5.1.1 <carol@yahoo.com> (from b-carol=yahoo.com@news.net) user unknown,bad-mailbox
b,2026-11-23 12:30:00+0000,2026-11-23 12:29:00+0000,info@news.net,dora@gmail.com,smtp,j2,,10.0.0.2,5.7.1,smtp;550 5.7.1 blocked using zen.spamhaus.org,spam-related
not a row
d,2026-11-23 13:00:01+0000,2026-11-23 13:00:00+0000,info@news.net,\"erik@gmx.de\",smtp,j2,v2,10.0.0.2,2.0.0,smtp;250 OK,
";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.ingest("acct-1.csv", ACCT);
    desk
}

/// The rows of a table as text, sorted, with the columns that both tables have.
fn common(one: &Table, other: &Table) -> (Vec<String>, Vec<String>) {
    let names: Vec<&str> =
        one.heads.iter().map(|head| &*head.name).filter(|name| other.column(name).is_some()).collect();
    let lines = |table: &Table| {
        let cell = |row: usize, name: &str| match table.cell(row, name) {
            // No value and an empty one are the same group.
            Value::Null => String::new(),
            cell => format!("{cell:?}"),
        };
        let mut lines: Vec<String> = (0..table.rows.len())
            .map(|row| names.iter().map(|name| format!("{name}={}", cell(row, name))).collect::<Vec<_>>().join(" "))
            .collect();
        lines.sort();
        lines
    };
    assert!(names.len() >= 5, "{names:?}");
    (lines(one), lines(other))
}

#[test]
fn the_sql_of_a_panel_gives_the_panels_counts() {
    let desk = desk();
    let reports = [
        Report::Totals,
        Report::Operations { by: Some(Field::Domain), bucket: None },
        Report::Operations { by: Some(Field::Vmta), bucket: Some(Bucket::Fixed(Width::Hour)) },
        Report::Operations { by: None, bucket: Some(Bucket::Fixed(Width::Quarter)) },
        Report::Domains { by: Field::Provider },
        Report::Latency { by: Field::SourceIp },
        Report::Risk { by: Field::Job },
    ];
    let scopes = [
        vec![],
        vec!["job=it's_1"],
        vec!["job=it's*", "job=j%2"],
        vec!["job=j%*"],
        vec!["domain!=GMAIL.com", "time=2026-11-23T10:59:59..2026-11-23T13:00:01"],
        vec!["status=5*", "vmta="],
        vec!["status=550"],
        vec!["status!=5*"],
        vec!["recipient=*@yahoo.com", "vmta!="],
    ];
    for report in reports {
        for filters in &scopes {
            let question = Question::new(report, scope(filters));
            let answer = desk.engine.block_on(pmtop::report::answer(&desk.engine, &question)).unwrap();
            let text = sql_text::of(&question, answer.range, None).unwrap();
            let found = desk.engine.block_on(desk.engine.sql(&text.statement)).unwrap_or_else(|failure| {
                panic!("{}: {failure}", text.statement);
            });
            let (told, asked) = common(&answer.table, &found);
            // A report without any row in its scope says so in its own way.
            if asked.iter().all(|line| line.contains("delivered=Int(0)") && line.contains("bounced=Int(0)")) {
                continue;
            }
            let counted = |lines: &[String]| {
                lines.iter().map(|line| line.replace("Missing(\"", "Int(0) (\"")).collect::<Vec<_>>()
            };
            for (a, b) in counted(&told).iter().zip(&counted(&asked)) {
                let counts = |line: &str, name: &str| {
                    line.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")).map(str::to_owned))
                };
                for name in ["delivered", "bounced", "bounced_hard", "bounced_block", "domain", "provider", "job"] {
                    assert_eq!(
                        counts(a, name),
                        counts(b, name),
                        "{filters:?} {}\n{told:#?}\n{asked:#?}",
                        text.statement
                    );
                }
            }
            assert_eq!(told.len(), asked.len(), "{filters:?} {}", text.statement);
        }
    }
    for report in [Report::Events, Report::Replies, Report::Coverage, Report::Distribution, Report::Files] {
        let text = sql_text::of(&Question::new(report, scope(&["job=j2"])), (None, None), None).unwrap();
        let found = desk.engine.block_on(desk.engine.sql(&text.statement)).unwrap_or_else(|failure| {
            panic!("{}: {failure}", text.statement);
        });
        assert!(!found.is_empty(), "{}", text.statement);
    }
}

/// Everything that leaves a catalog by any way.
fn whatever_leaves(desk: &Desk) -> String {
    let mut out = Vec::new();
    for report in [Report::Events, Report::Replies, Report::Operations { by: Some(Field::Recipient), bucket: None }] {
        let question = Question::new(report, Scope::default());
        for format in [Format::Csv, Format::Json, Format::Table] {
            let work = pmtop::export::write(&desk.engine, &question, format, true, &mut out);
            desk.engine.block_on(work).unwrap();
        }
    }
    let rows = Question::new(Report::Events, Scope::default());
    let work = pmtop::export::parquet::write(&desk.engine, &rows, &mut out);
    desk.engine.block_on(work).unwrap();
    for statement in [
        "select * from events",
        "select upper(recipient) as x, substr(dsn_diag, 10) as y from events",
        "select e.recipient from public.events e union all select recipient from copies",
        "with events as (select * from datafusion.public.events) select * from events",
    ] {
        let table = desk.engine.block_on(desk.engine.sql(statement)).unwrap();
        print::print(&mut out, &table, Format::Csv, true).unwrap();
    }
    for field in [Field::Recipient, Field::Reply, Field::Sender] {
        for typed in ["", "a", "carol", "erik@"] {
            let values = desk.engine.block_on(desk.engine.complete(field, typed, 50)).unwrap();
            out.extend(values.into_iter().flat_map(|(value, _)| format!("{value}\n").into_bytes()));
        }
    }
    String::from_utf8_lossy(&out).to_lowercase()
}

#[test]
fn a_hidden_recipient_leaves_by_no_way() {
    let desk = desk();
    let names = ["alice", "bob@", "carol", "dora@", "erik@"];
    let seen = whatever_leaves(&desk);
    assert!(names.iter().all(|name| seen.contains(name)), "{seen}");
    desk.engine.set_masks(true);
    let hidden = whatever_leaves(&desk);
    for name in names {
        assert!(!hidden.contains(name), "{name}: {:?}", hidden.lines().find(|line| line.contains(name)));
    }
    assert!(hidden.contains("a*@gmail.com") && hidden.contains("info@news.net"), "{hidden}");
    // What is shown still finds its rows.
    assert_eq!(desk.ask(Report::Events, &scope(&["recipient=a*@gmail.com"])).rows.len(), 1);
}

#[test]
fn the_settings_hide_recipients_everywhere() {
    let desk = Desk::with(|config| config.profile = pmtop::config::Profile::Viewer);
    desk.ingest("acct-1.csv", ACCT);
    assert!(!whatever_leaves(&desk).contains("carol"));
    assert!(Config::parse("profile = \"viewer\"\n", std::path::Path::new("c")).unwrap().masks());
}

#[test]
fn a_row_is_found_as_it_stands_in_its_file() {
    let desk = desk();
    let events = desk.ask(Report::Events, &Scope::default());
    let settings = Config::default().ingest;
    for row in 0..events.rows.len() {
        let Value::Int(number) = events.cell(row, "row_number") else { panic!("no number") };
        let recipient = events.cell(row, "recipient").as_text().unwrap();
        let path = desk.path("acct-1.csv");
        let number = u64::try_from(*number).unwrap();
        let found = original::row(&path, "acct-1.csv", number, &settings, &AtomicBool::new(false)).unwrap();
        assert!(found.text.contains(recipient), "{number}: {found:?}");
        let line = ACCT.lines().nth(usize::try_from(found.line).unwrap() - 1).unwrap();
        assert_eq!(line, found.text);
        assert_eq!(&ACCT.as_bytes()[usize::try_from(found.offset).unwrap()..][..line.len()], line.as_bytes());
    }
    std::fs::remove_file(desk.path("acct-1.csv")).unwrap();
    let gone = original::row(&desk.path("acct-1.csv"), "acct-1.csv", 0, &settings, &AtomicBool::new(false));
    assert!(gone.unwrap_err().contains("not there"));
}

/// A shell's words.
fn words(command: &str) -> Vec<String> {
    let print = format!("for word in {command}; do printf '%s\\0' \"$word\"; done");
    let output = std::process::Command::new("bash").args(["-c", &print]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn a_copied_command_is_read_back_by_shell_and_program() {
    let odd = "it's $(touch /tmp/never) `x`; a\nb\u{1b}[2J\u{9b}7 é !x \\ \"q\" *";
    let filters = [
        pmtop::query::filter::Filter::include(Field::Job, odd),
        pmtop::query::filter::Filter::exclude(Field::SourceIp, "-1"),
        pmtop::query::filter::Filter::include(Field::Vmta, ""),
    ];
    let asked = Scope::new(TimeRange::Between(Some(1_764_000_000_000_001), None), filters);
    let sort = Some(Sort { column: "bounced".to_owned(), descending: false });
    let page = Page { sort, ..Page::default() };
    for report in [
        Report::Totals,
        Report::Domains { by: Field::Provider },
        Report::Operations { by: Some(Field::SenderDomain), bucket: Some(Bucket::Fixed(Width::Hour)) },
        Report::Events,
        Report::Files,
    ] {
        let command = shell::command(&Question { page: page.clone(), ..Question::new(report, asked.clone()) });
        assert!(command.chars().all(|letter| !letter.is_control()), "{command:?}");
        let words = words(&command);
        Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        if report == Report::Totals {
            assert!(words.contains(&odd.to_owned()), "{words:?}");
        }
    }
    let command = shell::screen("Latency", &asked, Compare::Week);
    let cli = Cli::try_parse_from(words(&command)).unwrap();
    let view = cli.view.view(&Config::default()).unwrap();
    assert_eq!((view.tab.as_deref(), &view.scope, view.compare), (Some("latency"), &asked, Some(Compare::Week)));
}
