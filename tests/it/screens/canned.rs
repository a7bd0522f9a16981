//! Plausible answers to any question, the same every time: what the screens are drawn from in tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pmtop::ingest::progress::{Progress, Status};
use pmtop::insight::explain::{Baseline, Contributor, Explanation, Metric, ReplyShare, Total, Verdict};
use pmtop::insight::incident::{Cause, Evidence, Incident, Note, Severity, State};
use pmtop::insight::watch::Replay;
use pmtop::query::field::Field;
use pmtop::query::question::{Answer, Bucket, Failure, Page, Question, Report};
use pmtop::query::table::{Head, Table, Unit, Value};
use pmtop::query::time::{HOUR, MINUTE, Micros, TimeRange, Width, floor, parse_time};
use pmtop::report::compare;

/// The newest event: 24 November 2026, 14:32 UTC.
pub fn now() -> Micros {
    parse_time("2026-11-24T14:32:00Z").unwrap()
}

/// Rows that the canned Explorer has.
pub const EVENTS: usize = 1_234;

/// The answer to a question.
pub fn answer(question: &Question) -> Answer {
    let range = question.scope.time.resolve(Some(now()));
    let mut table = match question.report {
        Report::Percentiles | Report::Rates | Report::Categories { .. } => Table::default(),
        Report::Totals => totals(1.0),
        Report::Operations { .. } => over_time(question),
        Report::Latency { by } => grouped(by, 1.0),
        Report::Domains { by } => grouped(by, 1.0),
        Report::Risk { by } => risk(by),
        Report::Replies => replies(),
        Report::Events => events(question),
        Report::Files => files(),
        Report::Heatmap { by, bucket, .. } => heatmap(by, bucket, range, 1.0),
        Report::Distribution => distribution(),
        Report::Changes => changes(),
        Report::Coverage => coverage(range),
    };
    let before_range = question.compare.scope(&question.scope, Some(now())).and_then(|scope| {
        let (from, until) = scope.time.resolve(Some(now()));
        from.zip(until)
    });
    let before =
        before_range.filter(|_| question.report != Report::Changes).map(|(from, until)| match question.report {
            Report::Domains { by } | Report::Latency { by } => grouped(by, 0.4),
            Report::Risk { by } => risk(by),
            Report::Operations { .. } => {
                let mut before = question.clone();
                before.scope.time = TimeRange::Between(Some(from), Some(until));
                calm(over_time(&before))
            }
            Report::Heatmap { by, bucket, .. } => heatmap(by, bucket, (Some(from), Some(until)), 0.0),
            Report::Distribution => distribution(),
            _ => totals(0.4),
        });
    if let (Report::Domains { .. } | Report::Latency { .. } | Report::Risk { .. }, Some(before)) =
        (question.report, &before)
    {
        table = compare::join(question.report, table, before, None, &Page::default());
    }
    sort(&mut table, question);
    Answer { table, before, before_range, range, generation: 418, took_ms: 12 }
}

/// What rules found: two that go on, one that is silenced, one that is over, and one of another day.
pub fn incidents() -> Vec<Incident> {
    let at = |text: &str| parse_time(text).unwrap();
    let cause = |class: &str, share: f64, rows: i64, cause: &str, reply: &str, advice: &str| Cause {
        cause: cause.to_owned(),
        reply_class: class.to_owned(),
        status: String::new(),
        reply: reply.to_owned(),
        blocklist: None,
        advice: advice.to_owned(),
        share,
        rows,
    };
    let incident =
        |id: &str, rule: &str, severity: Severity, from: &str, until: Option<&str>, headline: &str| Incident {
            id: id.to_owned(),
            rule: rule.to_owned(),
            severity,
            state: if until.is_some() { State::Resolved } else { State::Open },
            opened_at: at(from),
            closed_at: until.map(at),
            scope: BTreeMap::new(),
            headline: headline.to_owned(),
            value: 0.412,
            baseline: Some(0.031),
            basis: "same hour of 4 weeks and the 28 days before".to_owned(),
            hits: 31_204,
            of: 75_733,
            causes: Vec::new(),
            evidence: Evidence { rows: 31_204, filters: vec!["kind=deferred".to_owned()] },
            notes: Vec::new(),
            silenced_until: None,
            reopened: 0,
        };
    let scope = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    vec![
        Incident {
            scope: scope(&[("provider", "Google"), ("source_ip", "10.0.3.1")]),
            causes: vec![
                cause(
                    "throttle-reputation",
                    0.94,
                    29_332,
                    "Google slows this address for the reputation of its mail.",
                    "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address <ip>",
                    "Lower the rate to Google from this address, and look for the job that began with it.",
                ),
                cause("throttle", 0.06, 1_872, "Google asks for fewer connections.", "421 4.7.0 Try again later", ""),
            ],
            ..incident(
                "00a1b2c3d4",
                "provider-throttling",
                Severity::Critical,
                "2026-11-24T13:40:12Z",
                None,
                "Google · 10.0.3.1 is slowed: 41.2 % of attempts deferred (usually 3.1 %)",
            )
        },
        Incident {
            state: State::Acknowledged,
            scope: scope(&[("source_ip", "10.0.7.1")]),
            notes: vec![Note { at: at("2026-11-24T12:31:00Z"), text: "delisting asked for".to_owned() }],
            causes: vec![Cause {
                blocklist: Some("Spamhaus ZEN".to_owned()),
                ..cause(
                    "ip-blocklist",
                    1.0,
                    2_304,
                    "The address is on a block list that the receiver asks.",
                    "550 5.7.1 Service unavailable; client [<ip>] blocked using zen.spamhaus.org",
                    "Find what caused the listing, then ask for delisting.",
                )
            }],
            ..incident(
                "11a1b2c3d4",
                "ip-block",
                Severity::High,
                "2026-11-24T12:10:00Z",
                None,
                "10.0.7.1 is refused for its reputation: 12.4 % of attempts (2304 rows, usually 0.10 %)",
            )
        },
        Incident {
            state: State::Silenced,
            silenced_until: Some(i64::MAX),
            scope: scope(&[("domain", "slow.example")]),
            basis: "learning: 3 days of history".to_owned(),
            ..incident(
                "22a1b2c3d4",
                "latency-anomaly",
                Severity::Warn,
                "2026-11-24T09:00:00Z",
                None,
                "slow.example is slow: deliveries take 12 times as long",
            )
        },
        Incident {
            scope: scope(&[("user", "u019")]),
            causes: vec![cause(
                "unknown-user",
                0.97,
                4_120,
                "The mailbox does not exist.",
                "550 5.1.1 \u{1b}]0;x\u{7}<addr> user unknown",
                "Stop the list and clean it.",
            )],
            evidence: Evidence { rows: 4_120, filters: vec!["kind=bounced".to_owned()] },
            ..incident(
                "33a1b2c3d4",
                "bounce-spike",
                Severity::Warn,
                "2026-11-24T08:02:00Z",
                Some("2026-11-24T09:31:00Z"),
                "u019 bounces: 17.1 % of messages (usually 2.0 %)",
            )
        },
        Incident {
            scope: scope(&[("job", "c00388")]),
            ..incident(
                "44a1b2c3d4",
                "complaint-spike",
                Severity::High,
                "2026-11-21T10:00:00Z",
                Some("2026-11-21T18:00:00Z"),
                "c00388 is complained about: 0.41 % (usually 0.06 %)",
            )
        },
    ]
}

/// Why it is so: nearly all of it at one address, to one provider.
pub fn explanation() -> Explanation {
    let contributor = |filters: &[(Field, &str)], share: f64| Contributor {
        filters: filters.iter().map(|(field, value)| (*field, (*value).to_owned())).collect(),
        same_as: Vec::new(),
        within: Vec::new(),
        hits: 830,
        of: 1_000,
        base_hits: 30,
        base_of: 1_000,
        expected: 30.0,
        excess: 800.0,
        share,
        p: 1e-12,
    };
    Explanation {
        metric: Metric::Deferral,
        verdict: Verdict::Found,
        up: true,
        window: (parse_time("2026-11-24T13:40:00Z").unwrap(), now()),
        baseline: Baseline { ranges: Vec::new(), basis: "same hours of the 4 weeks before".to_owned() },
        weight: 0.25,
        slow_ms: None,
        total: Total {
            hits: 900,
            of: 4_000,
            base_hits: 120,
            base_of: 4_000,
            excess: 780.0,
            rate_part: 780.0,
            mix_part: 0.0,
        },
        moved: None,
        focus: None,
        contributors: vec![contributor(&[(Field::Provider, "Google"), (Field::SourceIp, "10.0.3.1")], 0.83)],
        values: vec![contributor(&[(Field::Job, "c00412")], 0.4)],
        not_involved: Vec::new(),
        replies: vec![ReplyShare {
            template: "421 4.7.28 \u{1b}[2J slow down".to_owned(),
            class: "throttle-reputation".to_owned(),
            n: 800,
            excess: 790.0,
            share: 0.95,
            advice: "Lower the rate.".to_owned(),
            ..ReplyShare::default()
        }],
        onset: None,
        series: Vec::new(),
    }
}

/// What other thresholds would have found: one less.
pub fn replay() -> Replay {
    let all = incidents();
    Replay { days: 12, now: vec![all[0].clone(), all[1].clone()], then: vec![all[0].clone()] }
}

/// An answer without rows.
pub fn empty(question: &Question) -> Answer {
    let mut answer = answer(question);
    answer.table.rows.clear();
    answer.table.more = false;
    answer
}

/// A question that failed.
pub fn failure() -> Failure {
    Failure {
        what: "the question was not answered".to_owned(),
        why: "it needs more than 512 MB of memory".to_owned(),
        hint: "narrow the time range, or raise `query.memory`".to_owned(),
        ..Failure::default()
    }
}

/// A file whose header can't be used.
pub fn bad_header(path: &str) -> Progress {
    Progress {
        path: PathBuf::from(path),
        status: Status::Rejected,
        bytes: 412,
        total_bytes: 412,
        rows: 0,
        rejected_rows: 0,
        rows_per_second: 0.0,
        error: "no column `timeLogged` in the header; found: id, name, e-mail, phone. pmtop reads PowerMTA \
                accounting files: add `record-fields` with timeLogged, or check that this is one"
            .to_owned(),
    }
}

/// A file half in.
pub fn half_in(path: &str) -> Progress {
    Progress {
        path: PathBuf::from(path),
        status: Status::Ingesting,
        bytes: 120_000_000,
        total_bytes: 200_000_000,
        rows: 600_000,
        rejected_rows: 3,
        rows_per_second: 400_000.0,
        error: String::new(),
    }
}

fn sort(table: &mut Table, question: &Question) {
    let Some(sort) = &question.page.sort else { return };
    let Some(column) = table.column(&sort.column) else { return };
    let key = |row: &[Value]| (row[column].number().unwrap_or(0.0), row[column].as_text().unwrap_or("").to_owned());
    table.rows.sort_by(|a, b| {
        let order = key(a).partial_cmp(&key(b)).unwrap();
        if sort.descending { order.reverse() } else { order }
    });
}

/// Cells of one row, with the companions of its rates.
struct Row(Vec<(Head, Value)>);

impl Row {
    fn put(&mut self, name: &str, unit: Unit, value: impl Into<Value>) {
        self.0.push((Head { name: name.into(), unit }, value.into()));
    }

    fn count(&mut self, name: &str, number: f64) {
        self.put(name, Unit::Count, number.round() as i64);
    }

    fn rate(&mut self, name: &str, rate: f64, of: f64) {
        let half = 1.96 * (rate * (1.0 - rate) / of.max(1.0)).sqrt();
        self.put(name, Unit::Fraction, rate);
        self.put(&format!("{name}_of"), Unit::Count, of.round() as i64);
        self.put(&format!("{name}_low"), Unit::Fraction, (rate - half).max(0.0));
        self.put(&format!("{name}_high"), Unit::Fraction, (rate + half).min(1.0));
    }
}

fn table(rows: Vec<Row>) -> Table {
    let heads = rows.first().map(|row| row.0.iter().map(|(head, _)| head.clone()).collect()).unwrap_or_default();
    let rows = rows.into_iter().map(|row| row.0.into_iter().map(|(_, value)| value).collect()).collect();
    Table { heads, rows, more: false }
}

fn metrics(row: &mut Row, sent: f64, trouble: f64) {
    row.count("sent", sent);
    row.count("delivered", sent * 0.97);
    row.rate("delivered_rate", 1.0 - 0.012 - 0.02 * trouble, sent);
    row.count("deferrals", sent * 0.08 * trouble);
    row.rate("deferral_rate", 0.084 * trouble, sent * 1.1);
    row.count("bounced_total", sent * 0.026 * trouble);
    row.count("bounced_hard", sent * 0.011 * trouble);
    row.count("bounced_soft", sent * 0.009 * trouble);
    row.count("bounced_block", sent * 0.006 * trouble);
    row.rate("bounce_rate", 0.026 * trouble, sent);
    row.rate("hard_rate", 0.011 * trouble, sent);
    row.rate("block_rate", 0.006 * trouble, sent);
    row.count("rb_events", sent * 0.023 * trouble);
    row.count("rb_events_file", 0.0);
    row.count("rb_events_reply", sent * 0.023 * trouble);
    row.put("rb_frequency", Unit::Number, 23.0 * trouble);
    row.count("complaints", sent * 0.0014 * trouble * 0.4);
    row.rate("complaint_rate", 0.0014 * trouble, sent * 0.4);
    row.put("latency_measure", Unit::Text, "delivery");
    row.count("latency_n", sent * 0.97);
    for (name, ms) in [("avg", 96.0), ("p50", 2.1), ("p90", 240.0), ("p95", 1084.0), ("p99", 2600.0), ("max", 7200.0)] {
        row.put(&format!("latency_{name}_ms"), Unit::Millis, ms * 1000.0 * trouble * trouble);
    }
    row.put("latency_deviation", Unit::Number, 4.9 * trouble);
    row.put("top_reply_class", Unit::Text, if trouble > 0.8 { "throttle-reputation" } else { "unknown-user" });
}

fn totals(trouble: f64) -> Table {
    let mut row = Row(Vec::new());
    metrics(&mut row, 1_820_000.0 * (1.0 - 0.1 * (1.0 - trouble)), trouble);
    row.put("remote_bounces", Unit::Count, Value::Missing("no `rb` record was ever logged".into()));
    table(vec![row])
}

fn over_time(question: &Question) -> Table {
    let (from, until) = question.scope.time.resolve(Some(now()));
    let (from, until) = (from.unwrap_or(now() - 24 * HOUR), until.unwrap_or(now()));
    let width = Width::for_span(until - from).micros();
    let mut rows = Vec::new();
    let mut at = floor(from, width);
    while at < until {
        let share = (at - from) as f64 / (until - from) as f64;
        // Two hours without mail, and an incident behind them.
        if !(0.30..0.38).contains(&share) {
            let trouble = 0.2 + 1.2 * (-((share - 0.75) * 9.0).powi(2)).exp();
            let volume = 20_000.0 * (1.2 + (share * 7.0).sin());
            let mut row = Row(Vec::new());
            row.put("bucket", Unit::Time, Value::Time(at));
            metrics(&mut row, volume, trouble);
            rows.push(row);
        }
        at += width;
    }
    table(rows)
}

fn names(by: Field) -> Vec<&'static str> {
    match by {
        Field::Provider => vec!["Google", "Yahoo", "Microsoft", "Apple", "GMX", "Comcast", "T-Online", ""],
        Field::Domain => vec![
            "gmail.com",
            "yahoo.com",
            "outlook.com",
            "hotmail.com",
            "icloud.com",
            "gmx.de",
            "web.de",
            "aol.com",
            "comcast.net",
            "t-online.de",
            "bücher.example",
            "日本語.example",
            "a-very-long-domain-name-that-never-ends.example",
            "",
        ],
        Field::Job => vec!["c00412_u019", "c00411_u003", "c00409_u019", "newsletter-nov", "reset-mails", "c00398_u002"],
        Field::User => vec!["u019", "u003", "u002", "newsletter"],
        Field::Vmta => vec!["vmta01", "vmta02", "vmta03", "vmta04", "vmta07"],
        Field::SourceIp => vec!["10.0.3.1", "10.0.3.2", "10.0.4.1", "10.0.7.1"],
        _ => vec!["one", "two", "three"],
    }
}

/// How badly the group at a position does.
fn trouble(at: usize) -> f64 {
    [1.0, 0.45, 0.3, 0.42, 0.1, 0.7, 0.05][at % 7]
}

fn grouped(by: Field, scale: f64) -> Table {
    let rows = names(by).into_iter().enumerate().map(|(at, name)| {
        let mut row = Row(Vec::new());
        row.put(&by.report_name(), Unit::Text, name);
        let calm = if at == 0 || at == 5 { scale } else { 1.0 };
        metrics(&mut row, 612_000.0 / ((at + 1) * (at + 1) * (at + 1)) as f64, trouble(at) * calm);
        row
    });
    table(rows.collect())
}

fn risk(by: Field) -> Table {
    let rows = names(by).into_iter().enumerate().map(|(at, name)| {
        let mut row = Row(Vec::new());
        row.put(&by.report_name(), Unit::Text, name);
        let score = 71.0 * trouble(at);
        row.put("risk_score", Unit::Number, score);
        for (name, share) in
            [("complaints", 0.53), ("hard", 0.25), ("block", 0.13), ("remote", 0.04), ("throttle", 0.05)]
        {
            row.put(&format!("risk_{name}"), Unit::Number, score * share);
        }
        let crosses = at == 1;
        let forecast = "at this pace the complaint rate crosses 0.30 % at about 16:40 (15:50–18:30)";
        let when = now() + 2 * HOUR;
        row.put("forecast_at", Unit::Time, if crosses { Value::Time(when) } else { Value::Null });
        row.put("forecast", Unit::Text, if crosses { Value::text(forecast) } else { Value::Null });
        metrics(&mut row, 212_000.0 / ((at * at * 3 + 1) as f64), trouble(at));
        row
    });
    table(rows.collect())
}

/// Replies as they come, one of them with a terminal escape in it.
const REPLIES: &[(&str, &str, &str, &str)] = &[
    (
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address <ip>",
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address *",
        "throttle-reputation",
        "Google",
    ),
    (
        "550 5.1.1 The email account that you tried to reach does not exist",
        "550 5.1.1 The email account*",
        "unknown-user",
        "Google",
    ),
    (
        "421 4.7.0 [TSS04] Messages from <ip> temporarily deferred",
        "421 4.7.0 [TSS04] Messages from * temporarily deferred",
        "throttle",
        "Yahoo",
    ),
    (
        "550 5.7.1 Service unavailable; client host <ip> blocked using Spamhaus",
        "550 5.7.1 Service unavailable*",
        "ip-blocklist",
        "Microsoft",
    ),
    ("452 4.2.2 \u{1b}[31mmailbox full\u{1b}[0m", "452 4.2.2 *", "mailbox-full", "GMX"),
];

fn replies() -> Table {
    let rows = REPLIES.iter().enumerate().map(|(at, (reply, pattern, class, provider))| {
        let mut row = Row(Vec::new());
        row.put("n", Unit::Count, 31_204 / ((at as i64) * 3 + 1));
        row.put("reply_class", Unit::Text, *class);
        row.put("provider", Unit::Text, *provider);
        row.put("reply", Unit::Text, *reply);
        row.put("reply_pattern", Unit::Text, *pattern);
        row.put("scope", Unit::Text, if *class == "ip-blocklist" { "ip" } else { "recipient" });
        row.put("meaning", Unit::Text, format!("What {class} means.").as_str());
        row.put(
            "advice",
            Unit::Text,
            "What to do about it, in a sentence that takes more than one line of a narrow screen.",
        );
        row.put("blocklist", Unit::Text, (*class == "ip-blocklist").then_some("Spamhaus ZEN"));
        row.put("listed_ip", Unit::Text, (*class == "ip-blocklist").then_some("192.0.2.7"));
        row.put("first_seen", Unit::Time, Some(Value::Time(now() - (at as i64) * 40 * HOUR)));
        row.put("new", Unit::Flag, Some(Value::Flag(at == 1)));
        row.put(
            "trend",
            Unit::Text,
            (0..24).map(|part| (part * (at + 3) % 11).to_string()).collect::<Vec<_>>().join(" ").as_str(),
        );
        row
    });
    table(rows.collect())
}

fn events(question: &Question) -> Table {
    let (offset, limit) = (question.page.offset, question.page.limit.unwrap_or(EVENTS));
    let newest_first = question.page.sort.as_ref().is_none_or(|sort| sort.descending);
    let until = (offset + limit).min(EVENTS);
    let rows = (offset..until).map(|at| event(if newest_first { at } else { EVENTS - 1 - at })).collect();
    let mut table = table(rows);
    table.more = until < EVENTS;
    table
}

fn event(at: usize) -> Row {
    let kinds = [
        ("delivered", "d"),
        ("delivered", "d"),
        ("deferred", "t"),
        ("delivered", "d"),
        ("bounced", "b"),
        ("complaint", "f"),
    ];
    let (kind, record) = kinds[at % kinds.len()];
    let (reply, _, class, provider) = REPLIES[at % REPLIES.len()];
    let time = now() - (at as i64) * 7 * 1_000_000;
    let delivered = kind == "delivered";
    let mut row = Row(Vec::new());
    row.put("event_type", Unit::Text, if record == "t" { "tran" } else { "acct" });
    row.put("record_type", Unit::Text, record);
    row.put("kind", Unit::Text, kind);
    row.put("event_time", Unit::Time, Value::Time(time));
    row.put("queued_time", Unit::Time, Value::Time(time - 3 * MINUTE));
    row.put("job_id", Unit::Text, names(Field::Job)[at % 6]);
    row.put("user_id", Unit::Text, names(Field::User)[at % 4]);
    row.put("sender", Unit::Text, "news@shop.example");
    row.put("sender_domain", Unit::Text, "shop.example");
    row.put(
        "recipient",
        Unit::Text,
        format!("user{:07}@{}", at * 7919 % 9_999_991, names(Field::Domain)[at % 9]).as_str(),
    );
    row.put("recipient_domain", Unit::Text, names(Field::Domain)[at % 9]);
    row.put("provider", Unit::Text, provider);
    row.put("vmta", Unit::Text, names(Field::Vmta)[at % 5]);
    row.put("source_ip", Unit::Text, names(Field::SourceIp)[at % 4]);
    row.put("smtp_status", Unit::Text, if delivered { "2.0.0" } else { "4.7.28" });
    row.put("smtp_code", Unit::Count, if delivered { 250 } else { 421 });
    row.put("dsn_diag", Unit::Text, if delivered { "250 2.0.0 OK" } else { reply });
    row.put("reply_class", Unit::Text, if delivered { "" } else { class });
    row.put("bounce_category", Unit::Text, Value::Null);
    row.put("delivery_latency_ms", Unit::Millis, if delivered { Value::Int(180_000) } else { Value::Null });
    row.put("size_bytes", Unit::Bytes, 41_204);
    row.put("headers", Unit::Text, r#"{"header_X-Campaign":"black friday","header_List-Id":"<news.shop.example>"}"#);
    row.put("is_rb", Unit::Flag, Value::Flag(class == "throttle"));
    row
}

fn files() -> Table {
    let listed: [(&str, &str, &str, i64, i64, &str); 5] = [
        ("acct-2026-11-24-1430.csv", "acct", "done", 412_000, 0, ""),
        (
            "tran-2026-11-24-1430.csv",
            "tran",
            "done",
            198_400,
            2,
            "2 bad rows, the first in line 1,204: a quote that is never closed",
        ),
        ("bounce-2026-11-24.csv", "bounce", "done", 18_200, 0, ""),
        ("fbl-2026-11-24.csv.gz", "fbl", "done", 310, 0, ""),
        (
            "contacts.csv",
            "",
            "rejected",
            0,
            0,
            "no column `timeLogged` in the header; found: id, name, e-mail. This is no PowerMTA accounting file",
        ),
    ];
    let rows = listed.iter().enumerate().map(|(at, (name, role, status, rows, rejected, error))| {
        let mut row = Row(Vec::new());
        row.put("name", Unit::Text, *name);
        row.put("path", Unit::Text, format!("/var/spool/pmtop/inbox/{name}").as_str());
        row.put("type", Unit::Text, *role);
        row.put("bytes", Unit::Bytes, rows * 480 + 900);
        row.put("sha256", Unit::Text, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        row.put("received_at", Unit::Time, Value::Time(now() - (at as i64) * 40 * MINUTE));
        row.put("status", Unit::Text, *status);
        row.put("rows", Unit::Count, *rows);
        row.put("rejected_rows", Unit::Count, *rejected);
        row.put("merged_rows", Unit::Count, if at == 2 { 17_998 } else { 0 });
        let done = *status == "done";
        row.put("from", Unit::Time, if done { Value::Time(now() - 24 * HOUR) } else { Value::Null });
        row.put("to", Unit::Time, if done { Value::Time(now() - (at as i64) * 11 * MINUTE) } else { Value::Null });
        row.put("error", Unit::Text, *error);
        row
    });
    table(rows.collect())
}

/// The same day without its incident: three quarters of every number.
fn calm(mut table: Table) -> Table {
    for row in &mut table.rows {
        for (at, cell) in row.iter_mut().enumerate() {
            match cell {
                Value::Int(number) => *number = *number * 3 / 4,
                Value::Float(number) if table.heads[at].unit == Unit::Millis => *number *= 0.5,
                _ => {}
            }
        }
    }
    table
}

/// An incident at the first value in the afternoon, a small one at the second, an hour without mail, and a
/// last value with little mail.
fn heatmap(by: Field, bucket: Bucket, range: (Option<Micros>, Option<Micros>), incident: f64) -> Table {
    let (from, until) = (range.0.unwrap_or(now() - 24 * HOUR), range.1.unwrap_or(now()));
    let width = match bucket {
        Bucket::Fixed(width) => width.micros(),
        Bucket::Auto => Width::for_span(until - from).micros(),
    };
    let mut rows = Vec::new();
    for (line, name) in names(by).into_iter().enumerate() {
        let mut at = floor(from, width);
        while at < until {
            let share = (at - from) as f64 / (until - from) as f64;
            let bump = |middle: f64, wide: f64| (-((share - middle) * wide).powi(2)).exp();
            let trouble = 0.14
                + 0.05 * (share * 40.0 + line as f64).sin()
                + incident
                    * match line {
                        0 => 1.6 * bump(0.75, 9.0),
                        1 => 0.7 * bump(0.3, 20.0),
                        _ => 0.0,
                    };
            if !(0.30..0.33).contains(&share) || line != 2 {
                let mut row = Row(Vec::new());
                row.put(&by.report_name(), Unit::Text, name);
                row.put("bucket", Unit::Time, Value::Time(at));
                metrics(&mut row, 12_000.0 / ((line + 1) * (line + 1)) as f64, trouble);
                rows.push(row);
            }
            at += width;
        }
    }
    table(rows)
}

const SPANS: [i64; 18] =
    [0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800, -1];

fn distribution() -> Table {
    let shares =
        [0.0, 0.18, 0.31, 0.22, 0.12, 0.05, 0.03, 0.02, 0.02, 0.015, 0.02, 0.01, 0.003, 0.001_999, 0.000_001, 0.0, 0.0];
    let mut rows = Vec::new();
    for (measure, n, shift) in [("delivery", 1_765_400.0, 0), ("attempt", 148_200.0, 4)] {
        let mut so_far = 0.0;
        for at in 0..SPANS.len() - 1 {
            let share = if at < shift { 0.0 } else { shares[at - shift] };
            so_far += share;
            let mut row = Row(Vec::new());
            row.put("measure", Unit::Text, measure);
            row.put("from_ms", Unit::Millis, SPANS[at] * 1000);
            row.put(
                "to_ms",
                Unit::Millis,
                if at + 2 < SPANS.len() { Value::Int(SPANS[at + 1] * 1000) } else { Value::Null },
            );
            row.count("n", n * share);
            row.put("share", Unit::Fraction, share);
            row.put("cumulative_share", Unit::Fraction, so_far);
            rows.push(row);
        }
    }
    table(rows)
}

/// Field, value and metric; now and before; rows now and before.
type Changed = (&'static str, &'static str, &'static str, [f64; 2], [i64; 2]);

fn changes() -> Table {
    let listed: [Changed; 7] = [
        ("provider", "Google", "deferral_rate", [0.284, 0.031], [612_000, 598_000]),
        ("source_ip", "10.0.3.1", "deferral_rate", [0.41, 0.03], [220_000, 214_000]),
        ("job", "c00412_u019", "volume", [212_000.0, 0.0], [212_000, 0]),
        ("provider", "Google", "latency_p95_ms", [1_084_000.0, 22_000.0], [590_000, 588_000]),
        ("vmta", "vmta07", "bounce_rate", [0.092, 0.021], [18_200, 17_900]),
        ("user", "newsletter", "volume", [0.0, 31_200.0], [0, 31_200]),
        ("provider", "", "complaint_rate", [0.0008, 0.0031], [9_100, 9_400]),
    ];
    let rows = listed.iter().map(|(field, value, metric, [now, before], [n, n_before])| {
        let mut row = Row(Vec::new());
        row.put("field", Unit::Text, *field);
        row.put("value", Unit::Text, *value);
        row.put("metric", Unit::Text, *metric);
        row.put("now", Unit::Number, *now);
        row.put("before", Unit::Number, *before);
        row.put("change", Unit::Number, now - before);
        row.put("n", Unit::Count, *n);
        row.put("n_before", Unit::Count, *n_before);
        row.put("weight", Unit::Number, (now - before).abs() * *n as f64);
        row
    });
    table(rows.collect())
}

/// acct throughout, tran with a gap of two hours, bounce until some hours ago, fbl now and then, rb never.
fn coverage(range: (Option<Micros>, Option<Micros>)) -> Table {
    let (from, until) = (range.0.unwrap_or(now() - 24 * HOUR), range.1.unwrap_or(now()));
    let mut rows = Vec::new();
    let mut at = floor(from, HOUR);
    let mut hour = 0;
    while at < until {
        let wave = 1.2 + (hour as f64 / 3.0).sin();
        for (role, count) in [
            ("acct", 40_000.0 * wave),
            ("bounce", if hour < 20 { 900.0 * wave } else { 0.0 }),
            ("fbl", if hour % 5 == 2 { 12.0 } else { 3.0 }),
            ("tran", if (13..15).contains(&hour) { 0.0 } else { 7_000.0 * wave }),
        ] {
            if count > 0.0 {
                let mut row = Row(Vec::new());
                row.put("bucket", Unit::Time, Value::Time(at));
                row.put("event_type", Unit::Text, role);
                row.count("rows", count);
                rows.push(row);
            }
        }
        at += HOUR;
        hour += 1;
    }
    table(rows)
}
