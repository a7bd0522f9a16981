//! The risk score by an arithmetic of its own, and forecasts by what then happens.

use pmtop::query::field::Field;
use pmtop::query::question::Report;
use pmtop::query::time::{MINUTE, parse_time};

use crate::support::Desk;

const HEADER: &str = "type,timeLogged,timeQueued,orig,rcpt,jobId,dsnStatus,dsnDiag,bounceCat,dlvType,vmta\n";
const FBL_HEADER: &str = "type,timeLogged,format,feedbackType,rcpt,jobId\n";

fn rows(kind: &str, (day, minute): (u32, u32), job: &str, many: u32) -> String {
    let (status, category) = if kind == "d" { ("2.0.0", "success") } else { ("5.1.1", "bad-mailbox") };
    let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
    (0..many)
        .map(|n| {
            format!(
                "{kind},2026-11-{day:02} {clock}:{:02}+0000,2026-11-{day:02} 00:00:00+0000,s@own.example,\
                 {kind}{day}-{minute}-{n}@yahoo.com,{job},{status},,{category},smtp,v1\n",
                n % 60
            )
        })
        .collect()
}

fn complaints((day, minute): (u32, u32), job: &str, many: u32) -> String {
    let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
    (0..many)
        .map(|n| {
            format!("f,2026-11-{day:02} {clock}:{:02}+0000,arf,abuse,c{day}-{minute}-{n}@yahoo.com,{job}\n", n % 60)
        })
        .collect()
}

/// The lower end of Wilson's interval, from the textbook.
fn low(hits: f64, n: f64) -> f64 {
    let (p, z) = (hits / n, 1.959_963_984_540_054);
    (p + z * z / (2.0 * n) - z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt()) / (1.0 + z * z / n)
}

#[test]
fn bounces_of_three_days_ago_count_half() {
    let desk = Desk::new();
    let mut text = HEADER.to_owned();
    text += &rows("d", (20, 600), "old", 800);
    text += &rows("b", (20, 620), "old", 200);
    text += &rows("d", (23, 600), "old", 1000);
    text += &rows("d", (20, 600), "new", 1000);
    text += &rows("d", (23, 600), "new", 800);
    text += &rows("b", (23, 620), "new", 200);
    desk.ingest("acct.csv", text);
    let found = desk.rows(Report::Risk { by: Field::Job }, &[]);
    let points = |job: &str| {
        found.iter().find(|row| row["job"] == job).unwrap_or_else(|| panic!("{job} is missing"))["risk_hard"]
            .as_f64()
            .unwrap()
    };
    // Weighted by age, of 1,500 rows and 50 credited ones; 10 % is worth 20 points.
    assert!((points("old") - (low(100.0, 1550.0) / 0.10 * 20.0)).abs() < 0.06, "{}", points("old"));
    assert!((points("new") - 20.0).abs() < 0.06 || (points("new") - low(200.0, 1550.0) / 0.10 * 20.0).abs() < 0.06);
    assert!(points("new") > 1.5 * points("old"));
    let old = found.iter().find(|row| row["job"] == "old").unwrap();
    assert_eq!(old["bounced_hard"], 200, "only the score is weighted");
}

#[test]
fn a_forecast_is_what_then_happens() {
    let desk = Desk::new();
    let (mut sent, mut reports) = (HEADER.to_owned(), FBL_HEADER.to_owned());
    // A clean morning; from eleven on 1 % of 20 messages every two minutes, until 14:58.
    for minute in (0..900).step_by(2) {
        sent += &rows("d", (23, minute), "j", 20);
        if minute >= 660 && minute % 10 == 0 {
            reports += &complaints((23, minute), "j", 1);
        }
    }
    desk.ingest("acct.csv", sent);
    desk.ingest("fbl.csv", reports);
    let at = |filters: &[&str]| desk.rows(Report::Risk { by: Field::Job }, filters).remove(0);
    let forecast = at(&["time=2026-11-23..2026-11-23T15:00"]);
    assert_eq!(forecast["complaints"], 24);
    assert_eq!(forecast["forecast_metric"], "complaint_rate");
    let time = |name: &str| parse_time(forecast[name].as_str().unwrap()).unwrap();
    // The pace is that of the last quarter, in whole hours: since 11:00. 24 + 0.1 m = 0.003 (9,000 + 10 m), m minutes
    // after the newest event: m = 42.9.
    let told = parse_time("2026-11-23T15:41:12Z").unwrap();
    assert!((time("forecast_at") - told).abs() < 5 * MINUTE, "{}", forecast["forecast_at"]);
    assert!(time("forecast_low_at") < time("forecast_at"));
    let sentence = forecast["forecast"].as_str().unwrap();
    assert!(sentence.starts_with("at this pace the complaint rate crosses 0.30 % at about 15:4"), "{sentence}");
    // Nothing is forecast of the clean morning.
    assert_eq!(at(&["time=2026-11-23..2026-11-23T11:00"])["forecast_at"], serde_json::Value::Null);
}

#[test]
fn complaints_about_earlier_mail_do_not_put_a_handful_of_messages_on_top() {
    let desk = Desk::new();
    let mut sent = HEADER.to_owned();
    sent += &rows("d", (23, 600), "handful", 8);
    sent += &rows("d", (23, 600), "large", 5000);
    let reports = FBL_HEADER.to_owned() + &complaints((23, 610), "handful", 5) + &complaints((23, 610), "large", 12);
    desk.ingest("acct.csv", sent);
    desk.ingest("fbl.csv", reports);
    let found = desk.rows(Report::Risk { by: Field::Job }, &[]);
    assert_eq!(found[0]["job"], "large");
    assert!(found[1]["risk_score"].as_f64().unwrap() < 1.0, "{}", found[1]["risk_score"]);
}
