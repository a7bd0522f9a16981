//! Incidents on the screen: where keys lead, what people do about them, and why they are.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use pmtop::app::effect::{Effect, Mark, Quiet};
use pmtop::app::input::Input;
use pmtop::config::Profile;
use pmtop::insight::explain::Metric;
use pmtop::insight::explain::ask::Request;
use pmtop::insight::incident::{Happening, Incident, Severity, State, Step};
use pmtop::insight::watch::Replay;
use pmtop::query::question::Failure;
use pmtop::query::time::{TimeRange, parse_time};
use pmtop::runtime::backend::Backend as _;
use pmtop::runtime::local::Local;

use crate::screens::{Screen, canned};

fn tab(screen: &Screen) -> &'static str {
    pmtop::dashboard::DASHBOARDS[screen.state.tab].title
}

fn chips(screen: &Screen) -> Vec<String> {
    screen.state.scope.filters().iter().map(ToString::to_string).collect()
}

/// The last effect that is not a question.
fn done(screen: &mut Screen) -> Effect {
    let effects = std::mem::take(&mut screen.effects);
    effects.into_iter().rfind(|effect| !matches!(effect, Effect::Ask { .. } | Effect::Forget(_))).expect("an effect")
}

fn selected(screen: &Screen) -> &str {
    &screen.state.incident().expect("an incident").id
}

fn lines(text: &str, with: &str) -> usize {
    text.lines().filter(|line| line.contains(with)).count()
}

#[test]
fn the_tab_says_how_many_go_on_that_nobody_has_taken_and_how_bad_the_worst_is() {
    let mut screen = Screen::answered(160, 50);
    assert!(screen.draw().contains("6 Incidents !1"), "{}", screen.draw());
    let mut worse = canned::incidents();
    worse[1].state = State::Open;
    screen.input(Input::Incidents(Arc::new(worse)));
    assert!(screen.draw().contains("6 Incidents !2"));
    let calm: Vec<Incident> = canned::incidents().into_iter().filter(|one| one.closed_at.is_some()).collect();
    screen.input(Input::Incidents(Arc::new(calm)));
    assert!(screen.draw().contains("6 Incidents 7 Files"), "{}", screen.draw());
    // Every tab stays reachable by sight on a narrow screen, and the time with them.
    let mut narrow = Screen::answered(80, 24);
    let head = narrow.draw().lines().next().unwrap().to_owned();
    assert!(head.contains("1 Health") && head.contains("6 Inc") && head.contains("7 Fil"), "{head}");
    assert!(head.contains("!1") && head.contains("14:32"), "{head}");
}

#[test]
fn from_the_card_to_the_incident_to_its_rows_and_back() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("tab enter").answer();
    assert_eq!((tab(&screen), selected(&screen)), ("Incidents", "00a1b2c3d4"));
    screen.keys("enter").answer();
    assert_eq!(tab(&screen), "Explorer");
    assert_eq!(chips(&screen), ["provider=Google", "source-ip=10.0.3.1", "kind=deferred"]);
    assert_eq!(screen.state.scope.time, TimeRange::Between(parse_time("2026-11-24T13:40:12Z").ok(), None));
    screen.keys("esc").answer();
    assert_eq!((tab(&screen), selected(&screen)), ("Incidents", "00a1b2c3d4"));
    screen.keys("esc").answer();
    assert_eq!((tab(&screen), screen.state.board().focus), ("Health", 1));
    // The second card leads to the second incident, whatever the order of the table.
    screen.keys("6").answer().keys("G 1").answer().keys("down enter").answer();
    assert_eq!(selected(&screen), "11a1b2c3d4");
    // The tab that shows it, with time around it.
    screen.keys("G").keys("o").answer();
    assert_eq!((tab(&screen), chips(&screen)), ("Risk", vec!["user=u019".to_owned()]));
    let TimeRange::Between(Some(from), Some(until)) = screen.state.scope.time else { panic!("no time") };
    assert!(from < parse_time("2026-11-24T08:02:00Z").unwrap() && until > parse_time("2026-11-24T09:31:00Z").unwrap());
    screen.keys("esc").answer();
    assert_eq!((tab(&screen), selected(&screen)), ("Incidents", "33a1b2c3d4"));
}

#[test]
fn the_last_row_of_an_incident_belongs_to_its_rows() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer().keys("G enter").answer();
    let end = parse_time("2026-11-24T09:31:00Z").unwrap();
    assert_eq!(screen.state.scope.time.resolve(None).1, Some(end + 1), "the end of a range is outside of it");
}

#[test]
fn what_goes_on_comes_first_and_the_scope_decides_what_is_shown() {
    let mut screen = Screen::answered(160, 50);
    let ids = |screen: &Screen, tab: usize, panel: usize| -> Vec<String> {
        screen.state.listed(tab, panel).iter().map(|one| one.id[..2].to_owned()).collect()
    };
    assert_eq!(ids(&screen, 5, 0), ["00", "11", "22", "33"], "that of another day is not of the last 24 h");
    assert_eq!(ids(&screen, 0, 1), ["00", "11", "33"], "what is silenced is no card");
    screen.keys("t '7d' enter").answer();
    assert_eq!(ids(&screen, 5, 0), ["00", "11", "22", "44", "33"]);
    screen.keys("f 'source-ip=10.0.7.1' enter").answer();
    assert_eq!(ids(&screen, 5, 0), ["11", "22", "44", "33"], "what is limited to another address is left out");
    screen.keys("f 'user!=u019' enter").answer();
    assert_eq!(ids(&screen, 5, 0), ["11", "22", "44"]);
    screen.keys("ctrl-r 6").answer().keys("l l > s").answer();
    assert_eq!(ids(&screen, 5, 0), ["44", "33", "22", "11", "00"], "by when they began");
    // A value of an incident is a filter like that of any row.
    screen.keys("G +");
    assert_eq!(chips(&screen), ["provider=Google"]);
}

#[test]
fn the_cursor_stays_on_its_incident_when_others_come() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer().keys("down down down");
    assert_eq!(selected(&screen), "33a1b2c3d4");
    let mut more = canned::incidents();
    more.insert(0, Incident { id: "99".to_owned(), ..more[0].clone() });
    screen.input(Input::Incidents(Arc::new(more)));
    assert_eq!(selected(&screen), "33a1b2c3d4");
}

#[test]
fn everything_known_of_the_incident_under_the_cursor_is_there_and_harmless() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer();
    let shown = screen.draw();
    for words in [
        "94.0 % · 29,332 rows · throttle-reputation",
        "unusual rate of unsolicited mail",
        "Lower the rate to Google from this address",
        "31,204 of 75,733 rows",
        "same hour of 4 weeks",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    screen.keys("down");
    let shown = screen.draw();
    assert!(shown.contains("delisting asked for") && shown.contains("list Spamhaus ZEN"), "{shown}");
    screen.keys("down");
    assert!(screen.draw().contains("learning: 3 days of history") && screen.draw().contains("until it is over"));
    screen.keys("down");
    let shown = screen.draw();
    assert!(shown.contains("␛]0;x␇"), "{shown}");
}

#[test]
fn the_timeline_reads_out_what_went_on_at_a_time() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6 tab").answer();
    let shown = screen.draw();
    assert!(shown.contains("3 going on"), "{shown}");
    assert_eq!(lines(&shown, "▸"), 3, "what goes on ends in an arrow\n{shown}");
    screen.keys(&"left ".repeat(30));
    let shown = screen.draw();
    assert!(shown.contains("● u019") && shown.contains("going on"), "{shown}");
    screen.keys("down");
    assert_eq!(selected(&screen), "11a1b2c3d4", "its lines are the rows of the table");
    screen.keys("enter").answer();
    assert_eq!(tab(&screen), "Explorer");
}

#[test]
fn what_people_do_is_written_down_and_seen() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer().keys("A");
    let id = "00a1b2c3d4".to_owned();
    assert_eq!(done(&mut screen), Effect::Mark { id: id.clone(), mark: Mark::Acknowledge(true) });
    let mut known = canned::incidents();
    known[0].state = State::Acknowledged;
    screen.input(Input::Marked(Mark::Acknowledge(true), Ok(Arc::new(known))));
    assert!(screen.draw().contains("acknowledged: everybody sees"), "{}", screen.draw());
    assert!(!screen.draw().contains("6 Incidents !"), "{}", screen.draw());
    screen.keys("g A");
    assert!(matches!(done(&mut screen), Effect::Mark { mark: Mark::Acknowledge(false), .. }));
    screen.keys("M");
    assert!(screen.draw().contains("until it is over"));
    screen.keys("down enter");
    assert!(
        matches!(done(&mut screen), Effect::Mark { mark: Mark::Silence(Quiet::For(span)), .. } if span == 14_400_000_000)
    );
    screen.keys("w 'called'").keys("enter");
    assert!(matches!(done(&mut screen), Effect::Mark { mark: Mark::Note(text), .. } if text == "called"));
    screen.keys("w 'x' esc");
    assert!(screen.effects.is_empty(), "given up");
    // Nothing can be taken or silenced that is over.
    screen.keys("G A");
    assert!(screen.effects.is_empty() && screen.draw().contains("it is over"), "{}", screen.draw());
    screen.input(Input::Marked(Mark::Acknowledge(true), Err(canned::failure())));
    assert!(screen.draw().contains("it needs more than 512 MB"), "{}", screen.draw());
}

#[test]
fn evidence_is_written_and_its_files_are_named() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("tab E");
    assert_eq!(done(&mut screen), Effect::Evidence { id: "00a1b2c3d4".to_owned() });
    assert!(screen.state.is_animated());
    screen.input(Input::Evidence(Ok(("/tmp/evidence.md".into(), "/tmp/evidence.csv".into()))));
    let shown = screen.draw();
    assert!(shown.contains("/tmp/evidence.md") && shown.contains("/tmp/evidence.csv"), "{shown}");
    screen.keys("E esc");
    assert!(screen.effects.contains(&Effect::ForgetExport));
}

fn asked_why(screen: &mut Screen) -> (u64, Request) {
    match done(screen) {
        Effect::Explain { serial, request } => (serial, request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_is_under_the_cursor_can_be_explained() {
    let chips =
        |request: &Request| -> Vec<String> { request.scope.filters().iter().map(ToString::to_string).collect() };
    let journeys: &[(&str, &[&str], Option<Metric>)] = &[
        ("x", &[], Some(Metric::Volume)),
        ("l l x", &[], Some(Metric::Deferral)),
        ("tab x", &[], Some(Metric::Deferral)),
        ("tab tab tab x", &["provider=Google"], Some(Metric::Deferral)),
        ("2 x", &[], Some(Metric::Latency)),
        ("2 tab tab x", &["provider=Google"], Some(Metric::Latency)),
        ("3 l l l l x", &["domain=gmail.com"], Some(Metric::Deferral)),
        ("3 > x", &["domain=gmail.com"], Some(Metric::Volume)),
        ("4 x", &["job=c00412_u019"], None),
        ("5 x", &[], None),
        ("6 down x", &[], Some(Metric::Block)),
    ];
    for (keys, filters, metric) in journeys {
        let mut screen = Screen::answered(160, 50);
        for key in keys.split_whitespace() {
            screen.keys(key);
            if key != "x" {
                screen.answer();
            }
        }
        let (_, request) = asked_why(&mut screen);
        assert_eq!(chips(&request), *filters, "{keys}");
        assert_eq!(request.metric, *metric, "{keys}");
    }
    // An incident is explained in its time, out of all mail.
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer().keys("x");
    let (_, request) = asked_why(&mut screen);
    assert_eq!(request.scope.time.resolve(None).0, parse_time("2026-11-24T13:40:12Z").ok());
    // A box is explained as it is drawn.
    let mut screen = Screen::answered(160, 50);
    screen.keys("2 tab tab").answer().keys("left left space down left left x");
    let (_, request) = asked_why(&mut screen);
    assert_eq!(request.scope.filters().len(), 2);
    let (from, until) = request.scope.time.resolve(None);
    assert_eq!(until.unwrap() - from.unwrap(), 3 * 3_600_000_000);
}

#[test]
fn an_explanation_shows_where_it_is_and_enter_filters_by_it() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("6").answer().keys("x");
    let (serial, _) = asked_why(&mut screen);
    screen.input(Input::Tick(0));
    assert!(screen.draw().contains("esc cancels") && screen.state.is_animated());
    screen.input(Input::Explained(serial - 1, Err(canned::failure())));
    assert!(screen.draw().contains("esc cancels"), "an overtaken answer");
    screen.input(Input::Explained(serial, Ok(Arc::new(canned::explanation()))));
    let shown = screen.draw();
    assert!(shown.contains("provider Google × source IP 10.0.3.1") && shown.contains("83.0 %"), "{shown}");
    assert!(shown.contains("By single value") && shown.contains("Lower the rate."), "{shown}");
    assert!(shown.contains("␛[2J"), "{shown}");
    insta::assert_snapshot!("explain_160x50", shown);
    screen.keys("enter").answer();
    assert_eq!(chips(&screen), ["provider=Google", "source-ip=10.0.3.1"]);
    assert_eq!(tab(&screen), "Incidents");
    // Another contributor, and its rows.
    screen.keys("ctrl-r").answer().keys("x");
    let (serial, _) = asked_why(&mut screen);
    screen.input(Input::Explained(serial, Ok(Arc::new(canned::explanation()))));
    screen.keys("down o").answer();
    assert_eq!((tab(&screen), chips(&screen)), ("Explorer", vec!["job=c00412".to_owned(), "kind=deferred".to_owned()]));
}

#[test]
fn an_explanation_is_cancelled_and_asked_for_another_number() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("x");
    let (serial, request) = asked_why(&mut screen);
    assert_eq!(request.metric, Some(Metric::Volume));
    screen.input(Input::Explained(serial, Ok(Arc::new(canned::explanation()))));
    screen.keys("m");
    let (_, request) = asked_why(&mut screen);
    assert_eq!(request.metric, Some(Metric::Block), "the one after deferrals");
    screen.keys("esc");
    assert_eq!(done(&mut screen), Effect::ForgetExplain);
    assert!(screen.state.overlay.is_none());
    screen.keys("x");
    let (serial, _) = asked_why(&mut screen);
    let failure = Failure { what: "there is nothing to explain".to_owned(), ..Failure::default() };
    screen.input(Input::Explained(serial, Err(failure)));
    assert!(screen.draw().contains("there is nothing to explain"));
}

#[test]
fn a_rule_is_tuned_by_turning_its_thresholds() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("6").answer().keys("T");
    let Effect::Replay { serial, rule, thresholds } = done(&mut screen) else { panic!("no replay") };
    assert_eq!(rule, "provider-throttling");
    let before = thresholds.warn;
    screen.keys("+");
    let Effect::Replay { serial: newer, thresholds, .. } = done(&mut screen) else { panic!("no replay") };
    assert!(thresholds.warn > before);
    screen.input(Input::Replayed(serial, Ok(Replay::default())));
    assert!(screen.draw().contains("replaying all history"), "an overtaken answer");
    screen.input(Input::Replayed(newer, Ok(canned::replay())));
    let shown = screen.draw();
    assert!(shown.contains("fired 2 times; with") && shown.contains("would have fired once"), "{shown}");
    assert!(shown.contains("[rules.provider-throttling]") && shown.contains("warn = 0.06"), "{shown}");
    assert!(shown.contains("- ▲"), "what would no longer be found\n{shown}");
    insta::assert_snapshot!("tune_80x24", shown);
    screen.keys("y");
    assert_eq!(done(&mut screen), Effect::Copy("[rules.provider-throttling]\nwarn = 0.06".to_owned()));
    screen.keys("esc");
    assert_eq!(done(&mut screen), Effect::ForgetReplay);
}

#[test]
fn the_management_sees_health_and_incidents_without_rows_or_recipients() {
    let mut screen = Screen::answered(160, 50);
    screen.state.setup.profile = Profile::Management;
    screen.keys("tab enter").answer();
    assert_eq!(tab(&screen), "Incidents", "from the card to the incident");
    for keys in ["enter", "E", "A", "M", "w", "T", "o", "5", "7"] {
        screen.keys(keys);
        assert_eq!((tab(&screen), screen.state.overlay.is_none()), ("Incidents", true), "{keys}");
        assert!(screen.effects.is_empty(), "{keys}: {:?}", screen.effects);
    }
    let shown = screen.draw();
    assert!(!shown.contains("Explorer") && shown.contains("1 Health"), "{shown}");
    screen.keys("x");
    let (serial, _) = asked_why(&mut screen);
    screen.input(Input::Explained(serial, Ok(Arc::new(canned::explanation()))));
    screen.keys("o");
    assert_eq!(tab(&screen), "Incidents", "no rows");
}

#[test]
fn hiding_recipients_hides_them_in_incidents_at_once() {
    let mut screen = Screen::answered(160, 50);
    let mut all = canned::incidents();
    all[0].causes[0].reply = "421-4.7.28 <alice@gmail.com> slow down".to_owned();
    screen.input(Input::Incidents(Arc::new(all)));
    screen.keys("6").answer();
    assert!(screen.draw().contains("alice@gmail.com"));
    screen.keys("P");
    assert!(!screen.draw().contains("alice@gmail.com"), "{}", screen.draw());
}

#[test]
fn a_bad_incident_that_has_just_begun_is_told_on_whatever_tab() {
    let incident = |severity: Severity, closed_at: Option<i64>| {
        let known = canned::incidents().into_iter().next().unwrap();
        Incident { severity, closed_at, state: State::Open, headline: "192.0.2.1 is slowed".to_owned(), ..known }
    };
    let shown = |step: Step, incident: Incident| {
        let mut screen = Screen::answered(120, 40);
        screen.keys("3").answer();
        screen.input(Input::Happened(Arc::new(vec![Happening::new(step, &incident)])));
        screen.draw()
    };
    let told = shown(Step::Opened, incident(Severity::Critical, None));
    assert!(told.contains("critical: 192.0.2.1 is slowed · 6 shows it"), "{told}");
    // Neither what is over already, nor what is small, nor that it is over.
    for (step, severity, closed_at) in [
        (Step::Opened, Severity::Critical, Some(1)),
        (Step::Opened, Severity::Warn, None),
        (Step::Resolved, Severity::Critical, Some(1)),
    ] {
        assert!(!shown(step, incident(severity, closed_at)).contains("shows it"));
    }
}

#[test]
fn quiet_is_said_with_for_how_long_and_what_is_not_known_yet() {
    let mut screen = Screen::answered(160, 50);
    let over: Vec<Incident> = canned::incidents().into_iter().filter(|one| one.id.starts_with("44")).collect();
    screen.input(Input::Incidents(Arc::new(over)));
    let shown = screen.draw();
    assert!(shown.contains("all is quiet") && shown.contains("the last incident ended 21 Nov 18:00"), "{shown}");
    assert!(shown.contains("learning: "), "{shown}");
    screen.input(Input::Incidents(Arc::default()));
    assert!(screen.draw().contains("of history"), "{}", screen.draw());
    screen.input(Input::Incidents(Arc::new(canned::incidents())));
    screen.keys("f 'provider=Yahoo' enter f 'source-ip=10.9.9.9' enter f 'user=u1' enter f 'domain=x' enter").answer();
    assert!(screen.draw().contains("No incident in this scope"), "{}", screen.draw());
}

/// A backend on a catalog, and what it tells.
fn backend(config: &pmtop::config::Config) -> (Local, Receiver<Input>) {
    let (sender, told) = std::sync::mpsc::channel();
    let engine = pmtop::cli::engine(config).unwrap();
    (Local::start(config, engine, move |input| sender.send(input).unwrap_or_default()).unwrap(), told)
}

/// The first thing told that fits, within two minutes.
fn wait<T>(told: &Receiver<Input>, fits: impl Fn(&Input) -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Some(found) = fits(&told.recv_timeout(left).expect("it is told in time")) {
            return found;
        }
    }
}

fn incidents(input: &Input) -> Option<Arc<Vec<Incident>>> {
    match input {
        Input::Incidents(all) if !all.is_empty() => Some(Arc::clone(all)),
        _ => None,
    }
}

#[test]
fn rules_at_work_behind_one_screen_tell_every_screen() {
    let desk = crate::support::Desk::with(|config| config.inbox.settle_seconds = 0);
    let mut config = desk.config.clone();
    let inbox = desk.path("inbox");
    std::fs::create_dir(&inbox).unwrap();
    config.inbox.folders = vec![inbox.clone()];
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let options = pmtop::demo::Options { messages_per_day: 30_000, ..pmtop::demo::Options::demo(day) };
    pmtop::demo::generate(&inbox, &options, None, &mut |_| {}).unwrap();
    let (owner, told) = backend(&config);
    let mut happened = Vec::new();
    let found = wait(&told, |input| match input {
        Input::Happened(of) => {
            Some(of.iter().map(|one| one.incident.rule.clone()).collect::<Vec<_>>()).filter(|rules| !rules.is_empty())
        }
        _ => None,
    });
    happened.extend(found);
    // A screen beside it sees what is written down, though it evaluates nothing.
    let (beside, seen) = backend(&config);
    assert!(beside.owner().is_some());
    let all = wait(&seen, incidents);
    assert!(happened.iter().any(|rule| all.iter().any(|one| one.rule == *rule)), "{happened:?}");
    // What somebody does on one is seen on the other.
    let id = all[0].id.clone();
    let note = owner.mark(id.clone(), Mark::Note("seen".to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let after = runtime.block_on(note).unwrap();
    assert_eq!(after.iter().find(|one| one.id == id).unwrap().notes[0].text, "seen");
    let noted = |input: &Input| incidents(input)?.iter().find(|one| one.id == id)?.notes.first().map(|_| ());
    wait(&seen, noted);
}
