//! What can be done with an incident: silencing it, writing beside it, trying other thresholds.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::State;
use crate::app::incidents::{sign, times};
use crate::app::overlay::{NotePrompt, SILENCES, Silence};
use crate::app::tuning::{KNOBS, Tune};
use crate::insight::incident::Incident;
use crate::insight::watch::Replay;
use crate::text::display;
use crate::ui::format::{clean_lines, fit, left, right, wrap};
use crate::ui::header::spinner;
use crate::ui::overlay::{boxed, draw_line, draw_list, middle};
use crate::ui::{cells, put};

pub(super) fn draw_silence(frame: &mut Frame<'_>, body: Rect, state: &State, silence: &Silence) {
    let theme = &state.setup.theme;
    let area = middle(body, 74, cells(SILENCES.len() + 4));
    let inner = boxed(frame, area, state, "Mute: ↑↓ choose, enter");
    put(frame.buffer_mut(), inner.x + 1, inner.y, &display(&silence.headline), usize::from(inner.width), theme.muted);
    let lines: Vec<(String, Style)> = SILENCES.iter().map(|(text, _)| (format!("  {text}"), theme.text)).collect();
    let list = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2), ..inner };
    draw_list(frame, list, state, &lines, Some(silence.chosen));
}

pub(super) fn draw_note(frame: &mut Frame<'_>, body: Rect, state: &State, prompt: &NotePrompt) {
    let theme = &state.setup.theme;
    let inner = boxed(frame, middle(body, 90, 5), state, "Note: enter keeps it, esc leaves it");
    put(frame.buffer_mut(), inner.x, inner.y, &display(&prompt.headline), usize::from(inner.width), theme.muted);
    let line = Rect { y: inner.y + 1, height: 1, ..inner };
    if inner.height > 1 {
        draw_line(frame, line, state, "› ", &prompt.line);
    }
}

pub(super) fn draw_tune(frame: &mut Frame<'_>, body: Rect, state: &State, tune: &Tune) {
    let theme = &state.setup.theme;
    let wide = body.width.saturating_sub(4).min(110);
    let room = usize::from(wide.saturating_sub(4));
    let settings: Vec<String> = tune.settings().lines().map(str::to_owned).collect();
    let said = said(state, tune, room);
    let height = cells(KNOBS.len() + settings.len() + said.len() + 6).min(body.height);
    let title = format!("Tune: {} · ↑↓ choose · +/- turn · r as it was · y copies the settings · esc", tune.title);
    let inner = boxed(frame, middle(body, wide, height), state, &fit(&title, room));
    let mut lines: Vec<(String, Style)> = KNOBS
        .iter()
        .map(|knob| {
            let (now, then) = (knob.text(&tune.now), knob.text(&tune.then));
            let changed = if now == then { left("", 12) } else { left(&format!("was {now}"), 12) };
            let style = if now == then { theme.text } else { theme.warn };
            (format!("{} {}  {changed} {}", left(knob.name, 11), right(&then, 8), knob.help), style)
        })
        .collect();
    draw_list(frame, Rect { height: cells(KNOBS.len()).min(inner.height), ..inner }, state, &lines, Some(tune.chosen));
    lines.clear();
    lines.push((String::new(), theme.text));
    lines.extend(said);
    if !settings.is_empty() {
        lines.push((String::new(), theme.text));
        lines.push(("for the configuration:".to_owned(), theme.muted));
        lines.extend(settings.into_iter().map(|line| (line, theme.key)));
    }
    let from = inner.y + cells(KNOBS.len());
    for ((text, style), y) in lines.iter().zip(from..inner.bottom()) {
        put(frame.buffer_mut(), inner.x, y, text, usize::from(inner.width), *style);
    }
}

/// What other thresholds would have found: how often, and what would be new or gone.
fn said(state: &State, tune: &Tune, room: usize) -> Vec<(String, Style)> {
    /// Most incidents that are named.
    const MOST: usize = 8;
    let theme = &state.setup.theme;
    match &tune.replay {
        None => vec![(format!("{} replaying all history", spinner(state)), theme.busy)],
        Some(Err(failure)) => {
            wrap(&clean_lines(&failure.to_string()), room).into_iter().map(|text| (text, theme.danger)).collect()
        }
        Some(Ok(replay)) => {
            let sentence = replay.sentence(&tune.rule);
            let mut lines: Vec<(String, Style)> =
                wrap(&sentence, room).into_iter().map(|text| (text, theme.title)).collect();
            let differences = differences(replay);
            let more = differences.len().saturating_sub(MOST);
            lines.extend(differences.into_iter().take(MOST).map(|(mark, incident)| {
                let (sign, when) = (sign(incident.severity), times(incident));
                let text = format!("{mark} {sign} {when}  {}", display(&incident.headline));
                (fit(&text, room), if mark == "=" { theme.text } else { theme.warn })
            }));
            if more > 0 {
                lines.push((format!("  and {more} more"), theme.muted));
            }
            lines
        }
    }
}

/// What would be new (+), gone (-), and as it is (=).
fn differences(replay: &Replay) -> Vec<(&'static str, &Incident)> {
    let meets = |a: &Incident, b: &Incident| {
        let end = |incident: &Incident| incident.closed_at.unwrap_or(i64::MAX);
        a.scope == b.scope && a.opened_at <= end(b) && b.opened_at <= end(a)
    };
    let new = replay.then.iter().filter(|then| !replay.now.iter().any(|now| meets(now, then)));
    let gone = replay.now.iter().filter(|now| !replay.then.iter().any(|then| meets(now, then)));
    let same = replay.then.iter().filter(|then| replay.now.iter().any(|now| meets(now, then)));
    new.map(|one| ("+", one)).chain(gone.map(|one| ("-", one))).chain(same.map(|one| ("=", one))).collect()
}
