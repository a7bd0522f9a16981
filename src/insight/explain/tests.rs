//! Hand-made joints: what a person would say of each, the function must say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::event::Kind;
use crate::event::bounce::{BounceClass, ReplyClass};
use crate::query::joint::{Cell, What, Who, dimension};
use crate::query::time::{DAY, HOUR};

/// Numbers of words, and words of numbers.
type Numbers = (HashMap<String, u32>, Vec<Arc<str>>);

/// A world of words and cells.
#[derive(Default)]
struct World {
    words: Mutex<Numbers>,
    window: Joint,
    base: Joint,
}

const RANGE: (Micros, Micros) = (100 * DAY, 100 * DAY + 2 * HOUR);

const DEFERRED: What = What { kind: Kind::Deferred, bounce: None, reply: Some(ReplyClass::Throttle) };
const DELIVERED: What = What { kind: Kind::Delivered, bounce: None, reply: None };
const HARD: What = What { kind: Kind::Bounced, bounce: Some(BounceClass::Hard), reply: Some(ReplyClass::UnknownUser) };

impl World {
    fn number(&self, word: &str) -> u32 {
        let mut words = self.words.lock().unwrap();
        if words.1.is_empty() {
            words.1.push(Arc::from(""));
            words.0.insert(String::new(), 0);
        }
        if let Some(known) = words.0.get(word) {
            return *known;
        }
        let next = words.1.len() as u32;
        words.1.push(Arc::from(word));
        words.0.insert(word.to_owned(), next);
        next
    }

    fn who(&self, values: &[(Field, &str)]) -> Who {
        let mut who = Who::default();
        for (field, value) in values {
            who[dimension(*field).unwrap()] = self.number(value);
        }
        who
    }

    /// Rows of a combination: `hits` of one kind and the rest delivered.
    fn add(&mut self, is_window: bool, who: Who, what: What, hits: i64, of: i64) {
        let joint = if is_window { &mut self.window } else { &mut self.base };
        for (what, n) in [(what, hits), (DELIVERED, of - hits)] {
            if n > 0 {
                joint.cells.push(Cell { who, what, quarter: 0, latency: 0, n });
            }
        }
    }

    fn explain(&self, metric: Metric) -> Explanation {
        let word = |number: u32| Arc::clone(&self.words.lock().unwrap().1[number as usize]);
        let fbl = |provider: &str| provider != "Google";
        let ranges = (1..=4).map(|week| (RANGE.0 - week * 7 * DAY, RANGE.1 - week * 7 * DAY)).collect();
        let baseline = Baseline { ranges, basis: "the same hours of the 4 weeks before".to_owned() };
        explain(&self.window, &self.base, (RANGE, baseline), &Gauge::of(metric), &Words { word: &word, fbl: &fbl })
    }
}

const PROVIDERS: [(&str, &str, f64); 4] = [
    ("Google", "gmail.com", 0.02),
    ("Yahoo", "yahoo.com", 0.05),
    ("Microsoft", "outlook.com", 0.04),
    ("Other", "example.net", 0.08),
];

/// Eight VMTAs with an IP each, in two pools; three users with two jobs each, jobs of the window not known before.
/// `rate` says what becomes of a combination in the window, given what is usual.
fn world(what: What, rate: impl Fn(&Named<'_>, f64) -> f64) -> World {
    let mut world = World::default();
    for (provider, domain, usual) in PROVIDERS {
        for ip in 0..8 {
            for user in 0..3 {
                for job in 0..2 {
                    for is_window in [true, false] {
                        let time = if is_window { "now" } else { "then" };
                        let (vmta, address) = (format!("v{ip}"), format!("192.0.2.{ip}"));
                        let pool = if ip < 4 { "pool-a" } else { "pool-b" };
                        let (user, job) = (format!("user{user}"), format!("u{user}-{job}-{time}"));
                        let sender = format!("{user}.example");
                        let named = Named { provider, ip, pool, user: &user, job: &job, sender: &sender };
                        let who = world.who(&[
                            (Field::Provider, provider),
                            (Field::Domain, domain),
                            (Field::Vmta, &vmta),
                            (Field::SourceIp, &address),
                            (Field::Pool, pool),
                            (Field::User, &user),
                            (Field::Job, &job),
                            (Field::SenderDomain, &sender),
                        ]);
                        // Something uneven, so that sums are not too smooth.
                        let of = 200 + (ip * 37 + job.len() * 13 + domain.len() * 7) as i64 % 60;
                        let rate = if is_window { rate(&named, usual) } else { usual };
                        let times = if is_window { 1 } else { 4 };
                        let hits = (of as f64 * rate).round() as i64;
                        world.add(is_window, who, what, hits * times, of * times);
                    }
                }
            }
        }
    }
    world
}

struct Named<'a> {
    provider: &'a str,
    ip: usize,
    pool: &'a str,
    user: &'a str,
    job: &'a str,
    sender: &'a str,
}

fn first(found: &Explanation) -> Vec<(Field, &str)> {
    found
        .contributors
        .first()
        .map(|first| first.filters.iter().map(|(field, value)| (*field, value.as_str())).collect())
        .unwrap_or_default()
}

fn has(found: &[(Field, &str)], wanted: &[(Field, &str)]) -> bool {
    found.len() == wanted.len() && wanted.iter().all(|pair| found.contains(pair))
}

#[test]
fn one_ip_at_one_provider() {
    let found = world(DEFERRED, |who, usual| if who.provider == "Yahoo" && who.ip == 3 { 0.6 } else { usual })
        .explain(Metric::Deferral);
    assert_eq!(found.verdict, Verdict::Found);
    let filters = first(&found);
    assert!(has(&filters, &[(Field::Provider, "Yahoo"), (Field::SourceIp, "192.0.2.3")]), "{filters:?}");
    let contributor = &found.contributors[0];
    assert!(contributor.share > 0.95 && contributor.p < 1e-9, "{contributor:?}");
    assert!(contributor.same_as.contains(&(Field::Vmta, "v3".to_owned())), "{contributor:?}");
    assert_eq!(found.contributors.len(), 1);
    // Other IPs to Yahoo, and this IP elsewhere, are as usual; users are hit alike.
    let siblings: Vec<Field> = found.not_involved.iter().filter(|part| !part.alike).map(|part| part.field).collect();
    assert!(siblings.contains(&Field::SourceIp) && siblings.contains(&Field::Provider), "{siblings:?}");
    let alike: Vec<Field> = found.not_involved.iter().filter(|part| part.alike).map(|part| part.field).collect();
    assert!(alike.contains(&Field::User), "{alike:?}");
    let text = sentences(&found).join("\n");
    assert!(text.contains("provider Yahoo × source IP 192.0.2.3 (5.2 % → 60 %, 12×, p < 1e-9)"), "{text}");
    assert!(text.contains("other IPs with provider Yahoo unchanged (5.0 % → 5.0 %)"), "{text}");
    assert!(text.contains("⇒ it is provider Yahoo × source IP 192.0.2.3"), "{text}");
}

#[test]
fn a_pool_at_one_provider() {
    let found = world(DEFERRED, |who, usual| if who.provider == "Yahoo" && who.pool == "pool-a" { 0.4 } else { usual })
        .explain(Metric::Deferral);
    let filters = first(&found);
    assert!(has(&filters, &[(Field::Provider, "Yahoo"), (Field::Pool, "pool-a")]), "{filters:?}");
    let alike: Vec<Field> = found.not_involved.iter().filter(|part| part.alike).map(|part| part.field).collect();
    assert!(alike.contains(&Field::SourceIp), "its IPs are hit alike: {alike:?}");
}

#[test]
fn one_ip_at_all_providers_though_not_all_read_the_list() {
    let even = world(DEFERRED, |who, usual| if who.ip == 5 { usual + 0.3 } else { usual }).explain(Metric::Deferral);
    assert!(has(&first(&even), &[(Field::SourceIp, "192.0.2.5")]), "{:?}", first(&even));
    let uneven = world(DEFERRED, |who, usual| match (who.ip, who.provider) {
        (5, "Microsoft") => 0.7,
        (5, "Other") => 0.5,
        (5, "Yahoo") => 0.3,
        _ => usual,
    })
    .explain(Metric::Deferral);
    assert!(has(&first(&uneven), &[(Field::SourceIp, "192.0.2.5")]), "{:?}", first(&uneven));
}

#[test]
fn a_provider_as_a_whole() {
    let found =
        world(DEFERRED, |who, usual| if who.provider == "Google" { 0.3 } else { usual }).explain(Metric::Deferral);
    assert!(has(&first(&found), &[(Field::Provider, "Google")]), "{:?}", first(&found));
    // Its only domain cannot be told from it.
    assert!(found.contributors[0].same_as.contains(&(Field::Domain, "gmail.com".to_owned())));
    let alike: Vec<Field> = found.not_involved.iter().filter(|part| part.alike).map(|part| part.field).collect();
    assert!(alike.contains(&Field::SourceIp) && alike.contains(&Field::User), "{alike:?}");
}

#[test]
fn one_job_of_one_user_that_was_not_there_before() {
    let found = world(HARD, |who, usual| if who.job == "u1-0-now" { 0.3 } else { usual }).explain(Metric::Hard);
    assert!(has(&first(&found), &[(Field::Job, "u1-0-now")]), "{:?}", first(&found));
    assert!(found.contributors[0].within.contains(&(Field::User, "user1".to_owned())), "{:?}", found.contributors[0]);
}

#[test]
fn all_jobs_of_a_user_are_the_user() {
    let found = world(HARD, |who, usual| if who.user == "user2" { 0.25 } else { usual }).explain(Metric::Hard);
    assert!(has(&first(&found), &[(Field::User, "user2")]), "{:?}", first(&found));
}

#[test]
fn a_sender_domain_at_some_providers_is_named_where_it_is_about_authentication() {
    let auth = What { kind: Kind::Bounced, bounce: Some(BounceClass::Block), reply: Some(ReplyClass::Auth) };
    let found = world(auth, |who, _| {
        let failing = who.sender == "user0.example" && matches!(who.provider, "Google" | "Yahoo" | "Microsoft");
        if failing { 0.5 } else { 0.0 }
    })
    .explain(Metric::Auth);
    assert!(has(&first(&found), &[(Field::SenderDomain, "user0.example")]), "{:?}", first(&found));
    assert!(found.contributors[0].same_as.contains(&(Field::User, "user0".to_owned())));
}

#[test]
fn nothing_in_particular() {
    let found = world(DEFERRED, |who, usual| usual + (who.ip as f64 - 3.5) * 0.002).explain(Metric::Deferral);
    assert_eq!((found.verdict, found.contributors.len()), (Verdict::Unchanged, 0), "{:?}", found.contributors);
}

#[test]
fn all_mail_alike() {
    let found = world(DEFERRED, |_, usual| usual * 3.0).explain(Metric::Deferral);
    assert_eq!(found.verdict, Verdict::Everywhere, "{:?}", found.contributors);
}

#[test]
fn mail_that_moved_to_where_rates_are_high_is_nobodys_fault() {
    let mut world = World::default();
    for (provider, _, usual) in PROVIDERS {
        for user in ["a", "b"] {
            let who = world.who(&[(Field::Provider, provider), (Field::User, user)]);
            let hits = |of: i64| (of as f64 * usual).round() as i64;
            world.add(false, who, DEFERRED, hits(40_000), 40_000);
            let of = if provider == "Other" { 60_000 } else { 4_000 };
            world.add(true, who, DEFERRED, hits(of), of);
        }
    }
    let found = world.explain(Metric::Deferral);
    assert_eq!(found.verdict, Verdict::Mix, "{found:?}");
    assert!(found.total.excess > 3000.0 && found.total.rate_part.abs() < 100.0, "{:?}", found.total);
    let moved = found.moved.as_ref().unwrap();
    assert_eq!((moved.field, moved.value.as_str()), (Field::Provider, "Other"));
    let text = sentences(&found).join("\n");
    assert!(text.contains("provider Other has 83 % of it, before 25 %"), "{text}");
}

#[test]
fn a_rise_everywhere_that_the_sum_hides_is_found() {
    // Simpson: both providers become worse, all mail together becomes better, since most is now for the better one.
    let mut world = World::default();
    for (provider, then, now) in [("Good", (20_000, 0.02), (90_000, 0.06)), ("Bad", (80_000, 0.20), (10_000, 0.40))] {
        for user in ["a", "b"] {
            let who = world.who(&[(Field::Provider, provider), (Field::User, user)]);
            let hits = |(of, rate): (i64, f64)| ((of as f64 * rate).round() as i64, of);
            let (then, now) = (hits(then), hits(now));
            world.add(false, who, DEFERRED, then.0, then.1);
            world.add(true, who, DEFERRED, now.0, now.1);
        }
    }
    let found = world.explain(Metric::Deferral);
    assert!(found.total.excess < 0.0, "{:?}", found.total);
    assert!(found.up && found.total.rate_part > 0.0 && found.total.mix_part < 0.0, "{:?}", found.total);
    assert!(!found.contributors.is_empty());
}

#[test]
fn a_new_job_to_a_bad_provider_is_not_to_blame() {
    let mut world = World::default();
    for (provider, usual) in [("Good", 0.01), ("Bad", 0.30)] {
        let who = world.who(&[(Field::Provider, provider), (Field::User, "a"), (Field::Job, "old")]);
        world.add(false, who, HARD, (50_000.0 * usual) as i64, 50_000);
        world.add(true, who, HARD, (50_000.0 * usual) as i64, 50_000);
    }
    let who = world.who(&[(Field::Provider, "Bad"), (Field::User, "a"), (Field::Job, "new")]);
    world.add(true, who, HARD, 3000, 10_000);
    let found = world.explain(Metric::Hard);
    assert_eq!(found.contributors, [], "its rate is Bad's");
}

#[test]
fn two_causes_are_two_contributors() {
    let found = world(DEFERRED, |who, usual| match (who.provider, who.ip) {
        ("Yahoo", 3) => 0.7,
        ("Microsoft", 6) => 0.4,
        _ => usual,
    })
    .explain(Metric::Deferral);
    assert_eq!(found.contributors.len(), 2, "{:?}", found.contributors);
    assert!(has(&first(&found), &[(Field::Provider, "Yahoo"), (Field::SourceIp, "192.0.2.3")]));
    let sum: f64 = found.contributors.iter().map(|found| found.share).sum();
    assert!((0.95..=1.001).contains(&sum), "{sum}");
}

#[test]
fn volume_drops_and_rises() {
    let mut world = World::default();
    for (provider, domain, _) in PROVIDERS {
        for user in ["a", "b", "c"] {
            let who = world.who(&[(Field::Provider, provider), (Field::Domain, domain), (Field::User, user)]);
            world.add(false, who, HARD, 0, 4000);
            world.add(true, who, HARD, 0, if user == "b" { 50 } else { 1000 });
        }
    }
    let found = world.explain(Metric::Volume);
    assert!(!found.up);
    assert!(has(&first(&found), &[(Field::User, "b")]), "{:?}", first(&found));
    assert_eq!(found.contributors[0].hits, 200);
    let text = sentences(&found).join("\n");
    assert!(text.contains("missing messages: user b (4,000 → 200"), "{text}");
}

#[test]
fn complaints_are_held_against_deliveries_where_they_are_reported() {
    let mut world = World::default();
    let complaint = What { kind: Kind::Complaint, bounce: None, reply: None };
    for (provider, _, _) in PROVIDERS {
        for job in ["j1", "j2", "j3"] {
            let who = world.who(&[(Field::Provider, provider), (Field::Job, job)]);
            for (is_window, of) in [(false, 40_000), (true, 10_000)] {
                world.add(is_window, who, HARD, 0, of);
                if provider != "Google" {
                    let n = if is_window && job == "j2" { 60 } else { of / 2000 };
                    let joint = if is_window { &mut world.window } else { &mut world.base };
                    joint.cells.push(Cell { who, what: complaint, quarter: 0, latency: 0, n });
                }
            }
        }
    }
    let found = world.explain(Metric::Complaint);
    assert!(has(&first(&found), &[(Field::Job, "j2")]), "{:?}", found.contributors);
    assert_eq!(found.total.of, 90_000, "Google reports nothing");
}

#[test]
fn complaints_that_do_not_carry_a_field_are_not_explained_by_it() {
    let mut world = World::default();
    let complaint = What { kind: Kind::Complaint, bounce: None, reply: None };
    for (is_window, bad) in [(false, 20), (true, 400)] {
        for (provider, n) in [("Yahoo", bad), ("Microsoft", 20)] {
            let sent = world.who(&[(Field::Provider, provider), (Field::Job, "j"), (Field::SourceIp, "192.0.2.1")]);
            world.add(is_window, sent, HARD, 0, 40_000);
            let other = world.who(&[(Field::Provider, provider), (Field::Job, "j"), (Field::SourceIp, "192.0.2.2")]);
            world.add(is_window, other, HARD, 0, 40_000);
            let who = world.who(&[(Field::Provider, provider), (Field::Job, "j")]);
            let joint = if is_window { &mut world.window } else { &mut world.base };
            joint.cells.push(Cell { who, what: complaint, quarter: 0, latency: 0, n });
        }
    }
    let found = world.explain(Metric::Complaint);
    assert!(has(&first(&found), &[(Field::Provider, "Yahoo")]), "{:?}", found.contributors);
}

#[test]
fn without_a_baseline_what_is_above_the_rest_is_told() {
    let mut world = world(DEFERRED, |who, usual| if who.provider == "Yahoo" { 0.6 } else { usual });
    world.base = Joint::default();
    let found = world.explain(Metric::Deferral);
    assert_eq!(found.verdict, Verdict::NoBaseline);
    assert!(has(&first(&found), &[(Field::Provider, "Yahoo")]), "{:?}", first(&found));
}

#[test]
fn few_rows_and_nothing_at_all_are_said_to_be() {
    let mut few = World::default();
    let who = few.who(&[(Field::Provider, "Yahoo")]);
    few.add(true, who, DEFERRED, 9, 12);
    few.add(false, who, DEFERRED, 0, 900);
    let found = few.explain(Metric::Deferral);
    assert_eq!((found.verdict, found.contributors.len()), (Verdict::Few, 0));
    assert!(sentences(&found)[1].contains("too few"));
    let none = world(DEFERRED, |_, usual| usual).explain(Metric::Auth);
    assert_eq!(none.verdict, Verdict::Nothing);
    assert_eq!(sentences(&none), ["No authentication failures in the window, and none before."]);
    assert_eq!(World::default().explain(Metric::Deferral).verdict, Verdict::Nothing);
}

#[test]
fn rows_in_any_order_give_the_same_words() {
    let mut one = world(DEFERRED, |who, usual| if who.provider == "Yahoo" && who.ip == 3 { 0.6 } else { usual });
    let before = sentences(&one.explain(Metric::Deferral));
    one.window.cells.reverse();
    one.base.cells.rotate_left(77);
    assert_eq!(sentences(&one.explain(Metric::Deferral)), before);
}
