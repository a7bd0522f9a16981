//! Charts, heatmaps, changes: where their cursors stand, what a box selects, and what is said of it.

use pmtop::dashboard::{DASHBOARDS, Show};
use pmtop::query::question::{Compare, Report};
use pmtop::query::time::{HOUR, MINUTE, TimeRange, parse_time};

use crate::screens::Screen;
use crate::screens::canned;

/// A tab with a panel in focus, by keys.
fn screen(size: (u16, u16), keys: &str) -> Screen {
    let mut screen = Screen::answered(size.0, size.1);
    for key in keys.split_whitespace() {
        screen.keys(key).answer();
    }
    screen
}

fn chips(screen: &Screen) -> Vec<String> {
    screen.state.scope.filters().iter().map(ToString::to_string).collect()
}

/// The last line of the panel with the focus on a small screen.
fn readout(screen: &mut Screen) -> String {
    screen.draw().lines().rev().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_chart_reads_out_the_time_under_its_cursor_with_what_it_is_compared_with() {
    let mut screen = screen((120, 24), "2");
    let newest = readout(&mut screen);
    assert!(newest.contains("24 Nov 14:30"), "{newest}");
    assert!(newest.contains("day before (dotted): p95"), "{newest}");
    screen.keys("left left left left");
    let earlier = readout(&mut screen);
    assert!(earlier.contains("24 Nov 13:30") && earlier.contains("n "), "{earlier}");
    screen.keys("enter").answer();
    let from = parse_time("2026-11-24T13:30:00Z").unwrap();
    assert_eq!(DASHBOARDS[screen.state.tab].title, "Explorer");
    assert_eq!(screen.state.scope.time, TimeRange::Between(Some(from), Some(from + 15 * MINUTE)));
    screen.keys("esc").answer();
    assert_eq!(readout(&mut screen), earlier, "back where it was");
}

#[test]
fn a_box_on_a_chart_zooms_to_its_time() {
    for end in ["enter", "z"] {
        let mut screen = screen((120, 24), &format!("2 left left space left left {end}"));
        let until = parse_time("2026-11-24T14:15:00Z").unwrap();
        assert_eq!(screen.state.scope.time, TimeRange::Between(Some(until - 45 * MINUTE), Some(until)), "{end}");
        assert_eq!(DASHBOARDS[screen.state.tab].title, "Latency");
        assert!(!readout(&mut screen).contains("box"));
    }
    let mut screen = screen((120, 24), "2 space left left");
    assert!(readout(&mut screen).contains("box: 24 Nov 14:00–14:45"), "{}", readout(&mut screen));
    screen.keys("esc").answer();
    assert_eq!(screen.state.scope.time, TimeRange::Last(24 * HOUR));
    assert!(!readout(&mut screen).contains("box"));
}

#[test]
fn a_heatmap_cell_is_read_out_and_leads_to_its_rows() {
    let mut screen = screen((120, 24), "2 tab tab left left left left");
    let text = readout(&mut screen);
    assert!(text.contains("24 Nov 10:00–11:00 Google · p95 latency") && text.contains(", n 11,640"), "{text}");
    assert!(text.contains("day before") && text.contains('×'), "{text}");
    screen.keys("enter").answer();
    assert_eq!(chips(&screen), ["provider=Google", "kind=delivered"]);
    let from = parse_time("2026-11-24T10:00:00Z").unwrap();
    assert_eq!(screen.state.scope.time, TimeRange::Between(Some(from), Some(from + HOUR)));
}

#[test]
fn without_a_comparison_a_cell_stands_beside_the_median_of_its_row() {
    let mut screen = screen((120, 24), "2 tab tab left left left left");
    screen.state.compare = Compare::Off;
    screen.keys("r").answer();
    let text = readout(&mut screen);
    assert!(text.contains("row's median"), "{text}");
    assert!(!screen.draw().contains("vs day before"));
}

#[test]
fn a_box_on_a_heatmap_narrows_the_scope_to_its_values_and_time() {
    let screen = screen((120, 24), "2 tab tab left left space down left left enter");
    assert_eq!(chips(&screen), ["provider=Google", "provider=Yahoo"]);
    let from = parse_time("2026-11-24T10:00:00Z").unwrap();
    assert_eq!(screen.state.scope.time, TimeRange::Between(Some(from), Some(from + 3 * HOUR)));
    assert_eq!(DASHBOARDS[screen.state.tab].title, "Latency", "the same tab, narrower");
}

#[test]
fn a_heatmap_changes_its_measure_and_its_field() {
    let mut screen = screen((120, 24), "2 tab tab m");
    assert!(screen.draw().contains("deferral rate, 1h cells"));
    assert!(readout(&mut screen).contains(" %"), "a rate with its interval");
    screen.keys("v").answer();
    assert!(screen.draw().contains("gmail.com"));
    screen.keys("+").answer();
    assert_eq!(chips(&screen), ["domain=gmail.com"]);
}

#[test]
fn levels_of_a_heatmap_are_told_apart_without_colours_and_without_unicode() {
    use pmtop::config::theme::{Ability, Depth};
    let mut screen = Screen::with(120, 24, Ability { depth: Depth::Sixteen, unicode: false });
    screen.commit();
    screen.answer();
    for key in ["2", "tab", "tab"] {
        screen.keys(key).answer();
    }
    let text = screen.draw();
    let legend = text.lines().find(|line| line.contains("no mail")).unwrap().to_owned();
    let sign = |before: &str| legend.split(before).next().unwrap().trim_end().chars().next_back().unwrap();
    let signs = [sign("<1m"), sign("<5m"), sign("<10m"), sign("no mail")];
    assert!(signs.iter().enumerate().all(|(at, sign)| !signs[..at].contains(sign)), "{legend}");
}

#[test]
fn what_changed_leads_to_the_rows_of_its_number() {
    let mut screen = screen((120, 24), "tab tab tab");
    assert!(screen.draw().contains("3.1 % → 28.4 %"));
    screen.keys("enter").answer();
    assert_eq!(chips(&screen), ["provider=Google", "kind=deferred"]);
    screen.keys("esc").answer().keys("down down down down down enter").answer();
    assert_eq!(chips(&screen), ["user=newsletter"], "mail that is gone leads to what is left");
}

#[test]
fn replies_follow_the_domain_under_the_cursor() {
    let mut screen = screen((160, 50), "3 down");
    assert!(screen.draw().contains("What they say: yahoo.com"));
    screen.keys("down");
    let asked: Vec<_> = screen.asked().into_iter().filter(|question| question.report == Report::Replies).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].scope.filters()[0].to_string(), "domain=outlook.com");
    assert!(chips(&screen).is_empty(), "the scope itself stays");
}

#[test]
fn a_table_is_sorted_by_how_much_a_number_changed() {
    let mut screen = screen((160, 50), "3 > >");
    let first = |screen: &mut Screen| {
        let text = screen.draw();
        let line = text.lines().nth(4).unwrap_or_default().to_owned();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    // Volume, then its change; then deferral.
    assert!(screen.draw().contains("Δ▾"), "{}", screen.draw());
    screen.keys("> > >").answer();
    let text = screen.draw();
    assert!(text.contains("Δ▾"), "{text}");
    assert_eq!(first(&mut screen), "gmail.com", "5 points more deferrals than the day before");
    screen.keys("s").answer();
    assert_ne!(first(&mut screen), "gmail.com");
    screen.state.compare = Compare::Off;
    screen.keys("r").answer();
    assert!(!screen.draw().contains('Δ'), "without a comparison there are no changes");
}

#[test]
fn numbers_that_stand_on_few_say_so() {
    let mut screen = Screen::new(120, 40);
    screen.commit();
    screen.answer_with(|question| {
        let mut answer = canned::answer(question);
        for name in ["deferral_rate_of", "latency_n"] {
            if let Some(column) = answer.table.column(name) {
                answer.table.rows.iter_mut().for_each(|row| row[column] = 12.into());
            }
        }
        Ok(answer)
    });
    let text = screen.draw();
    assert!(text.contains("~8.4 %"), "{text}");
    assert!(text.contains("~18m 04s"), "{text}");
}

#[test]
fn a_gap_between_hours_with_rows_is_seen_and_named() {
    let mut screen = screen((120, 24), "7 tab down down");
    let text = screen.draw();
    assert!(text.contains("rb n/a"), "{text}");
    let tran = text.lines().find(|line| line.contains("▸tran")).unwrap().to_owned();
    assert!(tran.contains("!!"), "{tran}");
    screen.keys(&"left ".repeat(10));
    assert!(readout(&mut screen).contains("a gap"), "{}", readout(&mut screen));
    screen.keys("left left left enter").answer();
    assert_eq!(chips(&screen), ["type=tran"]);
}

#[test]
fn every_panel_of_every_tab_has_something_to_show() {
    for dashboard in DASHBOARDS {
        for panel in dashboard.panels() {
            // The Explorer asks by page, and what rules found is told, not asked for.
            let is_told = matches!(panel.show, Show::Insights | Show::Incidents | Show::Timeline | Show::Incident);
            assert_eq!(panel.asks.is_empty(), is_told, "{}", panel.title);
        }
    }
}

#[test]
fn the_document_of_screens_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/screens.md");
    let text = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "run the tests once with UPDATE=1");
}

const SECTIONS: &[(&str, &str, &str)] = &[
    (
        "Health",
        "1",
        "The whole day in seven numbers, each with its change against what `c` chooses; what is worth a look; mail over time \
         (what is compared with is dotted), what changed most, providers, and what the other side says.",
    ),
    (
        "Latency",
        "2 tab tab left left left left",
        "Percentiles over time, how long it took, and the heatmap: `v` groups it by another field, `m` colours it by another \
         measure, `space` begins a box that `enter` narrows the scope to.",
    ),
    (
        "Domains",
        "3",
        "Receivers side by side; below, what the one under the cursor says. `v` shows providers, `<` and `>` sort, by changes too.",
    ),
    (
        "Risk",
        "4",
        "The score as the sum of its terms; below, who is complained about, who bounces, who is rate blocked.",
    ),
    ("Explorer", "5", "The rows behind every number."),
    (
        "Incidents",
        "6",
        "What rules found: how bad, since when, of whom and why; below, when each was, and all that is known of the one under \
         the cursor. `enter` shows its rows, `x` explains it, `A` says that somebody knows, `M` silences it, `E` writes a ticket \
         for the provider's postmaster, `T` tries other thresholds.",
    ),
    (
        "Why?",
        "6 x",
        "`x` on anything: where the change is, with bars; since when; what the other side says; what has nothing to do with it. \
         `enter` filters by the line under the cursor, `o` shows its rows.",
    ),
    (
        "Other thresholds",
        "6 T + + +",
        "How often the rule would have fired with them over all history: `+` is new, `-` would not be found, `=` stays.",
    ),
    ("Files", "7", "Every file, and which hours of which type are in: `!` is a gap, n/a was never logged."),
];

fn document() -> String {
    use std::fmt::Write as _;
    let mut out = String::from(
        "# Screens\n\nThe screen as text, drawn from the answers that its tests use, each with the keys that lead to it; made by a\n\
         test (`UPDATE=1 cargo test the_document_of_screens`). Colours are not shown; every mark that they carry is there as a\n\
         sign too. On 80×24 one panel is shown at a time, `tab` leads to the next. At the end the demo's hidden incident is solved\n\
         by keys.\n",
    );
    let mut empty = Screen::new(80, 24);
    empty.answer_with(|question| Ok(canned::empty(question)));
    write!(
        out,
        "\n## Start on an empty inbox\n\nNothing was taken in yet: the screen says what is missing and the next step.\n\n```text\n{}\n```\n",
        empty.draw()
    )
    .unwrap();
    for (title, keys, about) in SECTIONS {
        write!(out, "\n## {title}\n\n`{keys}`: {about}\n").unwrap();
        for (width, height) in [(80, 24), (160, 50)] {
            let mut screen = screen((width, height), keys);
            write!(out, "\n{width}×{height}:\n\n```text\n{}\n```\n", screen.draw()).unwrap();
        }
    }
    // Captured by the story that tests play by keys (`tests/terminal/stories.py --solved`).
    let solved = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal/solved.md");
    for line in std::fs::read_to_string(solved).unwrap().lines() {
        let deeper =
            if line.starts_with("# ") || line.starts_with("## `") || line.starts_with("## The") { "#" } else { "" };
        write!(out, "\n{deeper}{line}").unwrap();
    }
    out.push('\n');
    out
}
