//! Keys lead to screens: what is pressed, and what must be seen or asked after it.

use pmtop::app::effect::{Effect, Format};
use pmtop::app::input::Input;
use pmtop::app::overlay::Overlay;
use pmtop::ingest::progress::Status;
use pmtop::query::estimate::Estimate;
use pmtop::query::field::Field;
use pmtop::query::filter::Filter;
use pmtop::query::question::{Bucket, Compare, Report, Sort};
use pmtop::query::table::{Table, Unit, Value};
use pmtop::query::time::{DAY, HOUR, TimeRange, Width};

use crate::screens::Screen;
use crate::screens::canned;

fn chips(screen: &Screen) -> Vec<String> {
    screen.state.scope.filters().iter().map(ToString::to_string).collect()
}

fn tab(screen: &Screen) -> &'static str {
    pmtop::dashboard::DASHBOARDS[screen.state.tab].title
}

#[test]
fn keys_lead_to_the_expected_scope() {
    let journeys = [
        ("f 'provider=Yahoo' enter", vec!["provider=Yahoo"]),
        ("/ 'prov' tab 'Yahoo' enter", vec!["provider=Yahoo"]),
        ("f 'vmta!=vmta07' enter f 'job=c00412*' enter", vec!["vmta≠vmta07", "job=c00412*"]),
        ("f 'a@b.example' enter", vec!["recipient=a@b.example"]),
        ("f 'provider=Yahoo' esc", vec![]),
        ("f 'job=a' enter f 'job=b' enter backspace", vec!["job=a"]),
        ("f 'job=a' enter f 'job=b' enter ctrl-r", vec![]),
        ("f 'job=a' enter f 'job=b' enter [ [ ]", vec!["job=a"]),
        ("3 down +", vec!["domain=yahoo.com"]),
        ("3 down - down -", vec!["domain≠yahoo.com", "domain≠outlook.com"]),
        ("3 f 'domain=aol.com' enter =", vec!["domain=gmail.com"]),
        ("3 v down enter", vec!["provider=Yahoo"]),
        ("3 l l l enter", vec!["domain=gmail.com", "kind=delivered"]),
        ("tab tab tab tab enter", vec!["provider=Google"]),
        ("l enter", vec!["kind=delivered"]),
        ("l l l enter", vec!["kind=bounced"]),
        ("5 l +", vec!["kind=delivered"]),
        ("5 l l down -", vec!["recipient≠user0007919@yahoo.com"]),
        ("7 down enter", vec!["file=tran-2026-11-24-1430.csv"]),
        (
            "tab tab tab tab tab enter",
            vec![
                "reply=421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address *",
                "provider=Google",
            ],
        ),
    ];
    for (keys, expected) in journeys {
        let mut screen = Screen::answered(160, 50);
        for key in keys.split_whitespace() {
            screen.keys(key).answer();
        }
        assert_eq!(chips(&screen), expected, "{keys}");
    }
}

#[test]
fn keys_lead_to_the_expected_time() {
    let now = canned::now();
    let journeys = [
        ("t up up enter", TimeRange::Last(HOUR)),
        ("t 'all' enter", TimeRange::All),
        ("t '3h15m' enter", TimeRange::Last(3 * HOUR + HOUR / 4)),
        ("z", TimeRange::Last(DAY / 2)),
        ("Z", TimeRange::Last(2 * DAY)),
        ("z Z", TimeRange::Last(DAY)),
        (
            "t '2026-11-23' enter",
            TimeRange::Between(Some(now - 38 * HOUR - 32 * 60_000_000), Some(now - 14 * HOUR - 32 * 60_000_000)),
        ),
        ("2 {", TimeRange::Between(Some(now - 30 * HOUR), Some(now - 6 * HOUR + 60_000_000))),
        ("t 'nonsense' enter esc", TimeRange::Last(DAY)),
    ];
    for (keys, expected) in journeys {
        let mut screen = Screen::answered(160, 50);
        for key in keys.split_whitespace() {
            screen.keys(key).answer();
        }
        assert_eq!(screen.state.scope.time, expected, "{keys}");
    }
}

#[test]
fn a_typed_filter_is_a_chip_on_every_tab_and_in_every_question() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("f 'provider=Yahoo' enter").answer();
    for dashboard in pmtop::dashboard::DASHBOARDS {
        screen.keys(&dashboard.key.to_string());
        for question in screen.asked() {
            assert_eq!(question.scope.filters(), [Filter::include(Field::Provider, "Yahoo")], "{}", dashboard.title);
        }
        screen.answer();
        assert!(screen.draw().contains("provider=Yahoo"), "{}", dashboard.title);
    }
}

#[test]
fn values_are_completed_from_the_catalog() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("f 'provider=Ya'");
    let Some(Effect::Complete { serial, field, prefix }) = screen.effects.pop() else { panic!("nothing is completed") };
    assert_eq!((field, prefix.as_str()), (Field::Provider, "Ya"));
    screen.input(Input::Completed(serial - 1, vec![("Yak".to_owned(), 1)]));
    assert!(!screen.draw().contains("Yak"), "an answer to an older text");
    screen.input(Input::Completed(serial, vec![("Yahoo".to_owned(), 271_000), ("Yandex".to_owned(), 1_200)]));
    insta::assert_snapshot!("filter_bar_80x24", screen.draw());
    screen.keys("down down enter");
    assert_eq!(chips(&screen), ["provider=Yandex"]);
}

#[test]
fn drilling_down_and_coming_back_restores_the_cursor() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("down down down l l l l l > s").answer().keys("down down");
    let before = (screen.state.scope.clone(), screen.state.board().panels.clone());
    screen.keys("enter").answer();
    assert_eq!(tab(&screen), "Explorer");
    screen.keys("down down enter");
    assert!(screen.state.detail.is_some());
    screen.keys("esc");
    assert!(screen.state.detail.is_none());
    assert_eq!(tab(&screen), "Explorer");
    screen.keys("esc").answer();
    assert_eq!(tab(&screen), "Domains");
    assert_eq!((screen.state.scope.clone(), screen.state.board().panels.clone()), before);
    screen.keys("esc esc esc");
    assert!(!screen.effects.contains(&Effect::Quit), "esc never quits");
}

#[test]
fn an_overtaken_answer_is_dropped_and_the_newer_question_cancels_the_older() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("f 'job=a' enter");
    let older = std::mem::take(&mut screen.effects);
    screen.keys("f 'job=b' enter");
    let Some(Effect::Ask { ticket, question, .. }) = older.last().cloned() else { panic!("nothing was asked") };
    let Some(Effect::Ask { ticket: newer, .. }) = screen.effects.last().cloned() else { panic!("nothing was asked") };
    // The same slot is asked, which cancels what it asked before.
    assert_eq!(newer.slot, ticket.slot);
    let mut late = canned::answer(&question);
    late.generation = 1;
    screen.input(Input::Answered(ticket, Ok(late.into())));
    assert_eq!(screen.state.answer(0).unwrap().generation, 418, "the late answer is not shown");
}

#[test]
fn leaving_a_tab_cancels_what_it_asked() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("2");
    screen.effects.clear();
    screen.keys("3");
    assert!(screen.effects.iter().filter(|effect| matches!(effect, Effect::Forget(_))).count() >= 2);
}

#[test]
fn a_tab_that_is_answered_is_not_asked_again() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("1 3 1 3");
    assert!(screen.asked().is_empty());
    screen.keys("r");
    assert_eq!(screen.asked().len(), 3, "the table, its courses, and the replies of the row under the cursor");
}

#[test]
fn a_commit_asks_the_visible_tab_only_and_a_pause_holds_it() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer();
    screen.input(Input::Catalog { generation: 419, now: Some(canned::now()) });
    let reports: Vec<Report> = screen.asked().iter().map(|question| question.report).collect();
    let courses = Report::Heatmap { by: Field::Domain, bucket: Bucket::Fixed(Width::Hour), latency: false };
    assert_eq!(reports, [Report::Domains { by: Field::Domain }, courses, Report::Replies, Report::Files]);
    screen.answer().keys("p");
    screen.input(Input::Catalog { generation: 420, now: Some(canned::now()) });
    assert_eq!(screen.asked().len(), 1, "the trust bar goes on");
    assert!(screen.draw().contains("paused"));
    screen.answer().keys("p");
    assert_eq!(screen.asked().len(), 3);
}

#[test]
fn the_answers_of_an_empty_catalog_are_gone_with_the_first_data() {
    let mut screen = Screen::new(80, 24);
    screen.answer_with(|question| Ok(canned::empty(question)));
    screen.keys("7").answer_with(|question| Ok(canned::empty(question)));
    screen.commit();
    screen.answer();
    screen.keys("1");
    assert!(!screen.draw().contains("n/a"), "{}", screen.draw());
    screen.answer();
    assert!(screen.draw().contains("1.82M"));
}

#[test]
fn sorting_asks_the_backend_for_the_order() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys(">");
    let sort = Some(Sort { column: "sent".to_owned(), descending: true });
    assert_eq!(screen.asked()[0].page.sort, sort);
    screen.answer();
    assert!(screen.draw().contains("volume▾"));
    screen.keys("s").answer();
    assert!(screen.draw().contains("volume▴"));
    screen.keys("<").answer();
    assert!(screen.draw().contains("domain▴"), "names sort from A to Z");
}

#[test]
fn the_explorer_asks_pages_around_its_cursor_and_finds_the_end() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("5");
    let offsets = |screen: &Screen| screen.asked().iter().map(|question| question.page.offset).collect::<Vec<_>>();
    assert_eq!(offsets(&screen), [0]);
    screen.answer();
    for _ in 0..100 {
        screen.keys("pgdn").answer();
    }
    assert_eq!(screen.state.board().panels[0].cursor, canned::EVENTS - 1);
    assert!(screen.state.explorer.pages.len() <= 3);
    assert!(screen.draw().contains("row 1,234 of 1,234"));
    screen.keys("g").answer();
    assert_eq!(screen.state.board().panels[0].cursor, 0);
}

#[test]
fn the_last_row_of_an_explorer_of_unknown_length_is_the_first_of_the_other_order() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("5").answer().keys("G");
    assert_eq!(screen.asked()[0].page.sort, Some(Sort { column: "event_time".to_owned(), descending: false }));
    assert!(screen.draw().contains("order turned around"));
}

#[test]
fn new_rows_do_not_push_the_explorer_away_under_the_cursor() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("5").answer().keys("down down");
    screen.input(Input::Catalog { generation: 419, now: Some(canned::now()) });
    assert!(screen.asked().iter().all(|question| question.report == Report::Files));
    screen.answer();
    assert!(screen.draw().contains("newer rows came in"));
    screen.keys("r").answer();
    assert!(!screen.draw().contains("newer rows came in"));
}

#[test]
fn a_reply_tells_what_it_means_and_what_to_do() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut screen = Screen::answered(width, height);
        screen.keys("tab tab tab tab tab");
        assert!(screen.draw().contains("What throttle-reputation means."), "{}", screen.draw());
        screen.keys("down l");
        assert!(screen.draw().contains("new since the last visit, first seen"), "{}", screen.draw());
        screen.keys("down down i");
        let shown = screen.draw();
        for words in ["What ip-blocklist means.", "What to do about it", "Spamhaus ZEN", "192.0.2.7", "first seen"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        screen.keys("esc");
        assert!(screen.state.overlay.is_none());
        screen.keys("tab i");
        assert!(screen.state.overlay.is_none(), "no reply is under the cursor");
    }
}

#[test]
fn an_event_is_shown_with_every_cell() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut screen = Screen::answered(width, height);
        screen.keys("5").answer().keys("down down enter");
        insta::assert_snapshot!(format!("event_{width}x{height}"), screen.draw());
    }
}

#[test]
fn a_bad_header_of_an_added_file_is_told_in_the_prompt_and_after_it() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("a '/tmp/contacts.csv' enter");
    assert!(screen.effects.contains(&Effect::AddFiles(vec!["/tmp/contacts.csv".into()])));
    screen.input(Input::Ingest(canned::bad_header("/tmp/contacts.csv")));
    insta::assert_snapshot!("add_files_bad_header_80x24", screen.draw());
    screen.keys("'/tmp/two.csv' enter esc");
    screen.input(Input::Ingest(canned::bad_header("/tmp/two.csv")));
    let said = screen.draw();
    assert!(said.contains("no column `timeLogged`") && said.contains("check that this is one"), "{said}");
    screen.keys("esc");
    assert!(!screen.draw().contains("timeLogged"));
}

#[test]
fn several_files_are_added_at_once_and_a_path_is_completed() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("a");
    screen.input(Input::Pasted("/in/one.csv '/in/two three.csv'\n".to_owned()));
    screen.keys("enter");
    let added = vec!["/in/one.csv".into(), "/in/two three.csv".into()];
    assert!(screen.effects.contains(&Effect::AddFiles(added)));
    screen.keys("'/in/ac'");
    let Some(Effect::CompletePath { serial, prefix }) = screen.effects.pop() else { panic!("nothing is completed") };
    assert_eq!(prefix, "/in/ac");
    screen.input(Input::PathsCompleted(serial, vec!["/in/acct-1.csv".to_owned(), "/in/acct-2.csv".to_owned()]));
    screen.keys("tab");
    let Some(Overlay::AddFiles(prompt)) = &screen.state.overlay else { panic!("the prompt is closed") };
    assert_eq!(prompt.line.value(), "/in/acct-");
}

#[test]
fn files_on_their_way_in_are_counted_above_and_shown_first() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("7").answer();
    let mut queued = canned::half_in("/var/spool/pmtop/inbox/tran-2026-11-24-1500.csv");
    queued.status = Status::Queued;
    queued.bytes = 0;
    queued.rows = 0;
    queued.rows_per_second = 0.0;
    screen.input(Input::Ingest(canned::half_in("/var/spool/pmtop/inbox/acct-2026-11-24-1500.csv")));
    screen.input(Input::Ingest(queued));
    let shown = screen.draw();
    assert!(shown.lines().next().unwrap().contains("0/2"));
    insta::assert_snapshot!("files_coming_in_160x50", shown);
    screen.keys("G");
    assert!(screen.draw().contains("This is no PowerMTA accounting file"), "the error in full below");
}

#[test]
fn the_help_is_searched_by_typing() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("?");
    insta::assert_snapshot!("help_80x24", screen.draw());
    screen.keys("'zoom'");
    let shown = screen.draw();
    assert!(shown.contains("zoom-in") && !shown.contains("drop-chip"));
    screen.keys("esc");
    assert!(screen.state.overlay.is_none());
}

#[test]
fn an_export_is_named_after_its_view_and_tells_where_it_went() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("3").answer().keys("f 'provider=Yahoo' enter").answer().keys("e");
    let Some(Effect::Export { question, name, .. }) = screen.effects.pop() else { panic!("nothing is exported") };
    assert_eq!(name, "domains");
    assert_eq!((question.page.limit, question.page.offset), (None, 0));
    assert!(screen.draw().contains("exporting"));
    screen.input(Input::Exported(Ok(format!("/home/op/{name}.csv").into())));
    assert!(screen.draw().contains("exported to /home/op/domains.csv"));
    screen.keys("down");
    assert!(!screen.draw().contains("exported to"));
    screen.keys("e esc");
    assert!(screen.effects.contains(&Effect::ForgetExport));
    screen.input(Input::Exported(Err(canned::failure())));
    assert!(screen.draw().contains("raise `query.memory`"));
}

#[test]
fn a_slow_question_is_cancelled_by_esc() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("3").answer().keys("z");
    screen.effects.clear();
    screen.input(Input::Tick(canned::now()));
    screen.keys("esc");
    assert!(!screen.effects.is_empty() && screen.effects.iter().all(|effect| matches!(effect, Effect::Forget(_))));
    assert!(screen.draw().contains("r asks again"));
}

#[test]
fn quitting_is_asked_for_by_q_and_by_ctrl_c_from_anywhere() {
    for keys in ["q", "ctrl-c", "f 'q' ctrl-c", "? ctrl-c", "5 enter ctrl-c"] {
        let mut screen = Screen::answered(80, 24);
        screen.keys(keys);
        assert!(screen.effects.contains(&Effect::Quit), "{keys}");
    }
    let mut screen = Screen::answered(80, 24);
    screen.keys("f 'q'");
    assert!(!screen.effects.contains(&Effect::Quit), "q is a letter while typing");
}

#[test]
fn the_rate_under_the_cursor_is_read_out_with_its_interval() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("3").answer().keys("down");
    assert!(screen.draw().contains("deferral: 3.8 % (3.7–3.9)  3,181/84,150"), "{}", screen.draw());
}

fn copied(screen: &mut Screen, keys: &str) -> String {
    screen.keys(keys);
    match screen.effects.pop() {
        Some(Effect::Copy(text)) => text,
        other => panic!("{keys}: nothing is copied, but {other:?}"),
    }
}

/// Types a line into the palette.
fn command(screen: &mut Screen, line: &str) {
    screen.keys(":");
    screen.input(Input::Pasted(line.to_owned()));
    screen.keys("enter");
}

#[test]
fn the_comparison_goes_round_and_takes_a_range_of_its_own() {
    let mut screen = Screen::answered(160, 50);
    assert_eq!(screen.state.compare, Compare::Before);
    screen.keys("c");
    assert_eq!(screen.state.compare, Compare::Week);
    assert!(screen.asked().iter().any(|question| question.compare == Compare::Week), "asked anew");
    screen.answer().keys("c 'nonsense' enter");
    assert!(screen.draw().contains("nonsense"), "said in the prompt");
    screen.keys("ctrl-u '2026-11-16' enter");
    assert!(matches!(screen.state.compare, Compare::Range(from, until) if until - from == DAY));
    screen.answer().keys("c");
    assert_eq!(screen.state.compare, Compare::Off);
    command(&mut screen, "compare week");
    assert_eq!(screen.state.compare, Compare::Week);
}

#[test]
fn the_palette_finds_commands_by_some_letters_and_shows_their_keys() {
    let mut screen = Screen::answered(80, 24);
    screen.keys(":");
    insta::assert_snapshot!("palette_80x24", screen.draw());
    screen.keys("'zomi'");
    let shown = screen.draw();
    assert!(shown.contains("zoom-in") && shown.contains("Half the time range"), "{shown}");
    screen.keys("enter");
    assert_eq!(screen.state.scope.time, TimeRange::Last(DAY / 2));
    screen.answer().keys(": 'doma' enter");
    assert_eq!(tab(&screen), "Domains");
    screen.answer();
    command(&mut screen, "nonsense now");
    assert!(screen.draw().contains("there is no `nonsense`"), "{}", screen.draw());
    screen.keys("esc");
    command(&mut screen, "where provider=Yahoo");
    command(&mut screen, "time 7d");
    assert_eq!(chips(&screen), ["provider=Yahoo"]);
    assert_eq!(screen.state.scope.time, TimeRange::Last(7 * DAY));
    screen.answer();
    command(&mut screen, "sort bounced:asc");
    let wanted = Some(Sort { column: "bounced".to_owned(), descending: false });
    let sorted = screen.state.board().panels.first().map(|panel| panel.sort.clone());
    if sorted != Some(wanted) {
        assert!(screen.draw().contains("is no column of this panel"), "{}", screen.draw());
        screen.keys("esc");
    }
    command(&mut screen, "export json");
    assert!(screen.effects.iter().any(|effect| matches!(effect, Effect::Export { format: Format::Json, .. })));
    command(&mut screen, "quit");
    assert!(screen.effects.contains(&Effect::Quit));
}

#[test]
fn a_cell_a_row_and_the_command_of_a_view_are_copied() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer();
    assert_eq!(copied(&mut screen, "y"), "gmail.com");
    let row: serde_json::Value = serde_json::from_str(&copied(&mut screen, "Y")).unwrap();
    assert_eq!(row["domain"], "gmail.com");
    screen.keys("f 'job=a;rm*' enter").answer();
    let text = copied(&mut screen, "ctrl-y");
    assert!(text.starts_with("pmtop report domains --by domain --last 24h --job 'a;rm*'"), "{text}");
    command(&mut screen, "copy screen");
    let text = screen.effects.pop();
    let Some(Effect::Copy(text)) = text else { panic!("{text:?}") };
    assert_eq!(text, "pmtop --tab domains --last 24h --where 'job=a;rm*' --compare before");
    screen.keys("5").answer();
    assert!(copied(&mut screen, "ctrl-y").starts_with("pmtop events --last 24h"));
    assert!(copied(&mut screen, "Y").contains("\"recipient\":"));
    screen.input(Input::Copied(Ok(Some("/home/op/.local/state/pmtop/copied.txt".into()))));
    assert!(screen.draw().contains("copied.txt"));
}

#[test]
fn a_statement_is_typed_run_looked_at_and_cancelled() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("; 'select' space 'recip' tab enter");
    let Some((serial, statement)) = screen.effects.iter().find_map(|effect| match effect {
        Effect::Query { serial, statement } => Some((*serial, statement.clone())),
        _ => None,
    }) else {
        panic!("nothing is run: {:?}", screen.effects)
    };
    assert_eq!(statement, "select recipient");
    assert!(screen.effects.contains(&Effect::Remember("select recipient".to_owned())));
    assert!(screen.draw().contains("esc cancels"));
    assert!(screen.state.is_animated());
    screen.effects.clear();
    screen.keys("esc");
    assert_eq!(screen.effects, [Effect::ForgetQuery]);
    assert!(!screen.state.is_animated());
    let mut table = Table::with_heads([("recipient", Unit::Text), ("n", Unit::Count)]);
    for at in 0..50 {
        table.rows.push(vec![Value::text(format!("user{at}\u{1b}[31m@x.de")), Value::Int(at)]);
    }
    screen.input(Input::Queried(serial, Ok(table.clone().into()), 3));
    assert!(!screen.draw().contains("user0"), "it was cancelled");
    screen.effects.clear();
    screen.keys("enter");
    let Some(Effect::Query { serial, .. }) = screen.effects.first().cloned() else { panic!("not run again") };
    screen.input(Input::Queried(serial, Ok(table.into()), 3));
    insta::assert_snapshot!("sql_80x24", screen.draw());
    screen.effects.clear();
    assert_eq!(copied(&mut screen, "G y"), "user49␛[31m@x.de");
    screen.keys("e");
    assert!(matches!(screen.effects.last(), Some(Effect::ExportTable { .. })));
    // Back to the line, then out; what was asked is there again, and the history too.
    screen.keys("esc esc");
    assert!(screen.state.overlay.is_none());
    screen.keys("; up");
    assert!(screen.draw().contains("select recipient"));
}

#[test]
fn a_statement_that_fails_says_why() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("; 'selct' enter");
    let Some(Effect::Query { serial, .. }) = screen.effects.first().cloned() else { panic!("nothing is run") };
    screen.input(Input::Queried(serial, Err(canned::failure()), 3));
    assert!(screen.draw().contains("raise `query.memory`"), "{}", screen.draw());
}

#[test]
fn the_sql_of_a_panel_is_there_to_be_run() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("f 'provider=Yahoo' enter").answer().keys("S");
    assert!(screen.draw().contains("select recipient_domain as domain"));
    let Some(Overlay::Sql(prompt)) = &screen.state.overlay else { panic!("the prompt is closed") };
    let statement = prompt.line.value().to_owned();
    assert!(statement.contains("lower(coalesce(provider, '')) = 'yahoo'"), "{statement}");
    screen.keys("esc f 'type=bounce' enter").answer().keys("S");
    assert!(screen.draw().contains("copies"), "what cannot be told is not told wrongly");
}

#[test]
fn a_view_is_saved_opened_and_deleted_by_name() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("f 'provider=Yahoo' enter").answer().keys("l l s").answer();
    command(&mut screen, "save yahoo slow");
    let Some(Effect::SaveView(view)) = screen.effects.pop() else { panic!("nothing is saved") };
    assert_eq!((view.name.as_str(), view.tab.as_str()), ("yahoo slow", "domains"));
    let order = screen.state.board().panels[0].sort.clone();
    screen.input(Input::Views(Ok(vec![view])));
    screen.keys("ctrl-r 1").answer();
    screen.keys("V enter");
    assert_eq!((tab(&screen), chips(&screen)), ("Domains", vec!["provider=Yahoo".to_owned()]));
    assert_eq!(screen.state.board().panels[0].sort, order);
    // As any other step it can be taken back.
    screen.answer().keys("[").answer();
    assert_eq!(tab(&screen), "Health");
    command(&mut screen, "delete yahoo slow");
    assert!(screen.effects.contains(&Effect::DeleteView("yahoo slow".to_owned())));
}

#[test]
fn the_screen_opens_as_it_was_left_unless_it_is_told_otherwise() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("5").answer().keys("f 'job=a' enter").answer().keys("C space enter");
    let left = screen.state.view("");
    assert!(!left.columns.is_empty() && !left.columns.contains(&"event_time".to_owned()));
    let mut next = Screen::new(160, 50);
    next.state.open_as(Some(&left), None, None, false);
    assert_eq!((tab(&next), chips(&next)), ("Explorer", vec!["job=a".to_owned()]));
    assert_eq!(next.state.view("").columns, left.columns);
    let mut told = Screen::new(160, 50);
    told.state.open_as(Some(&left), Some("latency"), Some(Compare::Week), true);
    assert_eq!((tab(&told), chips(&told)), ("Latency", vec![]));
    assert_eq!((told.state.compare, told.state.view("").columns), (Compare::Week, left.columns));
}

#[test]
fn the_explorers_columns_are_chosen_and_moved() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("5").answer().keys("C");
    insta::assert_snapshot!("columns_80x24", screen.draw());
    // The kind is hidden, the recipient goes to the front.
    screen.keys("down space K K enter");
    let names = screen.state.column_names(0);
    assert_eq!(names[..2], ["recipient", "event_time"]);
    assert!(!names.contains(&"kind".to_owned()));
    // The cursor's cell is that of the column seen, and so is the filter.
    screen.keys("+").answer();
    assert_eq!(screen.state.scope.filters()[0].field, Field::Recipient);
    screen.keys("C K esc");
    assert_eq!(screen.state.column_names(0)[0], "recipient", "esc changes nothing");
}

#[test]
fn text_is_found_in_rows_and_made_a_filter() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("ctrl-f 'aol' enter");
    let row = screen.state.board().panels[0].cursor;
    assert_eq!(screen.state.answer(0).unwrap().table.cell(row, "domain").as_text(), Some("aol.com"));
    screen.keys("g n");
    assert_eq!(screen.state.board().panels[0].cursor, row);
    screen.keys("ctrl-f 'nowhere' enter");
    assert!(screen.draw().contains("no other row holds `nowhere`"));
    screen.keys("5").answer().keys("l l ctrl-f 'user00' down enter").answer();
    assert_eq!(chips(&screen), ["recipient=*user00*"]);
}

#[test]
fn a_file_is_removed_after_a_question_that_names_it() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("7").answer().keys("down D");
    let shown = screen.draw();
    assert!(shown.contains("tran-2026-11-24-1430.csv") && shown.contains("rows leave the catalog"), "{shown}");
    screen.keys("enter");
    assert!(
        !screen.effects.iter().any(|effect| matches!(effect, Effect::RemoveFile { .. })),
        "enter alone is not enough"
    );
    screen.keys("n D y");
    assert!(
        matches!(screen.effects.last(), Some(Effect::RemoveFile { path, .. }) if path.ends_with("tran-2026-11-24-1430.csv"))
    );
    screen.input(Input::Removed(Ok(("tran-2026-11-24-1430.csv".to_owned(), 5))));
    assert!(screen.draw().contains("removed with 5 rows"));
}

#[test]
fn a_file_is_shown_with_its_rejected_rows_and_taken_in_again() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("7").answer().keys("G i");
    let Some(Effect::Rejects { serial, .. }) = screen.effects.last().cloned() else { panic!("nothing is read") };
    let reject = pmtop::app::files::Reject {
        line: "17".to_owned(),
        offset: "912".to_owned(),
        reason: "no time".to_owned(),
        row: "d,\u{1b}[2J,x".to_owned(),
    };
    screen.input(Input::Rejects(serial, Ok(vec![reject])));
    screen.keys("pgdn pgdn pgdn pgdn");
    let shown = screen.draw();
    assert!(shown.contains("line 17") && shown.contains("no time") && shown.contains("␛[2J"), "{shown}");
    screen.keys("R");
    assert!(screen.effects.iter().any(|effect| matches!(effect, Effect::AddFiles(_))));
}

#[test]
fn hiding_recipients_drops_whatever_was_seen() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("5").answer().keys("P");
    assert!(screen.effects.contains(&Effect::Mask(true)));
    let shown = screen.draw();
    assert!(!shown.contains("@yahoo.com") && shown.contains("masked"), "{shown}");
    assert!(!screen.asked().is_empty(), "asked anew");
}

fn seen_by(profile: pmtop::config::Profile) -> Screen {
    let mut screen = Screen::answered(160, 50);
    screen.state.setup.profile = profile;
    screen.state.open_as(None, None, None, false);
    screen
}

#[test]
fn each_profile_shows_what_is_meant_for_it() {
    use pmtop::config::Profile;
    let mut screen = Screen::answered(160, 50);
    screen.keys("f 'provider=Yahoo' enter").answer();
    let left = screen.state.view("");
    screen.state.setup.profile = Profile::Support;
    // What was looked at before must not hide the recipient of a ticket.
    screen.state.open_as(Some(&left), None, None, false);
    screen.keys("'alice@x.de' enter").answer();
    assert_eq!((tab(&screen), chips(&screen)), ("Explorer", vec!["recipient=alice@x.de".to_owned()]));
    let mut screen = seen_by(Profile::Viewer);
    screen.keys("P");
    assert!(screen.effects.is_empty() && screen.draw().contains("does not show this"));
    let mut screen = seen_by(Profile::Management);
    for keys in ["5", "7", "enter", ";", "S", "a"] {
        screen.keys(keys);
        assert_eq!((tab(&screen), screen.state.overlay.is_none()), ("Health", true), "{keys}");
    }
    let shown = screen.draw();
    assert!(!shown.contains("Explorer") && shown.contains("management"), "{shown}");
    screen.keys(":");
    assert!(!screen.draw().contains("sql"), "{}", screen.draw());
}

#[test]
fn the_row_of_an_event_is_shown_as_it_stands_in_its_log() {
    let mut screen = Screen::answered(80, 24);
    screen.keys("5");
    screen.answer_with(|question| {
        let mut answer = canned::answer(question);
        for (name, number) in [("file_id", 3), ("row_number", 4709)] {
            answer.table.heads.push(pmtop::query::table::Head { name: name.into(), unit: Unit::Count });
            answer.table.rows.iter_mut().for_each(|row| row.push(Value::Int(number)));
        }
        Ok(answer)
    });
    screen.keys("enter");
    let asked = screen.effects.iter().find_map(|effect| match effect {
        Effect::RawRow { row } => Some(*row),
        _ => None,
    });
    let Some(row) = asked else { panic!("nothing is read: {:?}", screen.effects) };
    let raw = pmtop::app::explorer::RawRow {
        path: "/in/acct.csv".to_owned(),
        line: 4711,
        offset: 99,
        text: "b,2026-11-24,\u{1b}]0;x\u{7}".to_owned(),
    };
    screen.input(Input::RawRow(row, Ok(raw)));
    screen.keys("pgdn pgdn pgdn pgdn pgdn pgdn");
    let shown = screen.draw();
    assert!(shown.contains("line 4711") && shown.contains("␛]0;x␇"), "{shown}");
    screen.effects.clear();
    screen.keys("esc");
    assert!(screen.effects.contains(&Effect::ForgetRawRow));
}

#[test]
fn a_cell_about_another_field_than_its_row_filters_by_that_field() {
    let mut screen = Screen::answered(160, 50);
    // The replies of Health have a column with their provider.
    screen.keys("tab tab tab tab tab");
    let names = screen.state.column_names(screen.state.board().focus);
    let Some(at) = names.iter().position(|name| name == "provider") else { panic!("{names:?}") };
    for _ in 0..at {
        screen.keys("l");
    }
    screen.keys("=");
    assert_eq!(chips(&screen), ["provider=Google"]);
}

#[test]
fn a_question_that_takes_its_time_says_for_how_long() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("z");
    for _ in 0..7 {
        screen.input(Input::Tick(canned::now()));
    }
    assert!(screen.draw().contains("asking 0.7 s · esc cancels"), "{}", screen.draw());
}

#[test]
fn a_question_that_takes_its_time_says_what_it_costs() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("3").answer().keys("z");
    let asked = |effect: &Effect| match effect {
        Effect::Ask { ticket, .. } => Some(*ticket),
        _ => None,
    };
    let tickets: Vec<_> = screen.effects.iter().filter_map(asked).collect();
    for _ in 0..7 {
        screen.input(Input::Tick(canned::now()));
    }
    assert!(!screen.draw().contains(" rows, "), "nobody knows yet");
    for ticket in &tickets {
        screen.input(Input::Estimated(*ticket, Estimate { rows: 12_300_000, bytes: 840_000_000, ms: 4_200 }));
    }
    let shown = screen.draw();
    assert!(shown.contains("asking 0.7 s · esc cancels · 12.3M rows, 840 MB, about 4.2s"), "{shown}");
    // What packs answer has nothing to tell, and a question that is over takes its estimate along.
    for ticket in &tickets {
        screen.input(Input::Estimated(*ticket, Estimate { rows: 0, bytes: 0, ms: 300 }));
    }
    assert!(!screen.draw().contains("about"));
    screen.answer().keys("z");
    screen.effects.clear();
    for ticket in &tickets {
        screen.input(Input::Estimated(*ticket, Estimate { rows: 12_300_000, bytes: 840_000_000, ms: 4_200 }));
    }
    for _ in 0..7 {
        screen.input(Input::Tick(canned::now()));
    }
    assert!(!screen.draw().contains("12.3M rows"), "an estimate of an older question");
}

#[test]
fn a_removed_file_does_not_stay_as_news() {
    let mut screen = Screen::answered(160, 50);
    screen.keys("7").answer();
    let mut refused = canned::bad_header("/tmp/again.csv");
    refused.status = Status::Duplicate;
    screen.input(Input::Ingest(refused));
    let row = screen.state.file_rows().iter().position(|file| file.name == "again.csv").unwrap();
    screen.keys("g");
    for _ in 0..row {
        screen.keys("down");
    }
    screen.keys("D y");
    screen.input(Input::Removed(Ok(("again.csv".to_owned(), 0))));
    assert!(!screen.state.file_rows().iter().any(|file| file.name == "again.csv"));
}
