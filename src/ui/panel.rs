//! Any panel in any condition: asking, stale, empty, failed, answered. The border says what it is, its
//! lower edge reads out what is under the cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use crate::app::action::Action;
use crate::app::board::{dashboard, group, shared};
use crate::app::slot::{Shown, Slot};
use crate::app::{Geometry, State};
use crate::dashboard::{Panel, Show};
use crate::query::estimate::Estimate;
use crate::query::field::Field;
use crate::query::question::Failure;
use crate::text::display;
use crate::ui::format::{bytes, clean_lines, count, left, millis, width, wrap};
use crate::ui::header::spinner;
use crate::ui::show;
use crate::ui::{cells, put};

/// One panel at its place.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, index: usize, geometry: &mut Geometry) {
    let Some(panel) = dashboard(state.tab).panels().nth(index) else { return };
    if area.width < 2 || area.height == 0 {
        return;
    }
    let is_cards = matches!(panel.show, Show::Cards(_));
    let inner = if is_cards || area.height < 4 { area } else { draw_border(frame, area, state, panel, index) };
    draw_inside(frame, inner, area, state, (panel, index), geometry);
}

fn draw_border(frame: &mut Frame<'_>, area: Rect, state: &State, panel: &Panel, index: usize) -> Rect {
    let theme = &state.setup.theme;
    let focused = state.board().focus == index;
    let (border, title) = if focused { (theme.border_focus, theme.title) } else { (theme.border, theme.muted) };
    let mut block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(border)
        .title(Line::from(Span::styled(format!(" {} ", title_of(state, panel, index)), title)));
    if let Some(next) = next_variant(state, panel, index).filter(|_| focused && area.width >= 60) {
        block = block.title(Line::from(Span::styled(format!(" {next} "), theme.muted)));
    }
    if let Some(slot) = slot(state, panel, index).filter(|slot| slot.is_slow()) {
        // After half a second it is worth knowing for how long, and how to stop it.
        let text = match slot.waited_seconds() {
            seconds if seconds >= 0.5 => {
                let base = format!(" {} asking {seconds:.1} s · esc cancels ", spinner(state));
                let taken = width(&title_of(state, panel, index)) + width(&base) + 6;
                let room = usize::from(area.width).saturating_sub(taken);
                let cost = slot
                    .estimate()
                    .and_then(|estimate| costs(estimate).into_iter().find(|cost| width(cost) + 2 <= room));
                cost.map_or_else(|| base.clone(), |cost| format!("{base}· {cost} "))
            }
            _ => format!(" {} asking ", spinner(state)),
        };
        block = block.title(Line::from(Span::styled(text, theme.busy)).right_aligned());
    }
    // Without room for all panels, say where Tab leads.
    let panels = state.board().panels.len();
    if state.geometry.compact && panels > 1 {
        let text = format!(" tab {}/{panels} ", state.board().focus + 1);
        block = block.title(Line::from(Span::styled(text, theme.muted)).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// What a question will cost, from the whole to the shortest.
fn costs(estimate: Estimate) -> [String; 2] {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded to three digits")]
    let (rows, size, ms) = (estimate.rows as f64, estimate.bytes as f64, estimate.ms as f64);
    let time = format!("about {}", millis(ms));
    [format!("{} rows, {}, {time}", count(rows), bytes(size)), time]
}

fn title_of(state: &State, panel: &Panel, index: usize) -> String {
    let panel_state = state.board().panels.get(index).cloned().unwrap_or_default();
    let mut title = panel.title.to_owned();
    if panel.variants.len() > 1
        && let Some(field) = group(panel, &panel_state)
    {
        // A panel named after what it groups by is renamed with it; any other says it behind its name.
        let is_plural = panel.variants.iter().any(|field| plural(*field) == title);
        title = if is_plural { plural(field) } else { format!("{title} by {}", words(field)) };
    }
    if let Some((_, value)) = panel.follows.and_then(|followed| state.followed_value(followed)) {
        title = format!("{title}: {}", display(&value));
    }
    let trail: Vec<&str> = state.trail.tabs().iter().map(|tab| dashboard(*tab).title).collect();
    if matches!(panel.show, Show::Events) && !trail.is_empty() {
        title = format!("{} › {title}", trail.join(" › "));
    }
    title
}

/// What `v` leads to.
fn next_variant(state: &State, panel: &Panel, index: usize) -> Option<String> {
    let at = state.board().panels.get(index)?.variant;
    let next = panel.variants.get((at + 1) % panel.variants.len().max(1)).filter(|_| panel.variants.len() > 1)?;
    let key = state.setup.keymap.keys(Action::Variant).first()?;
    Some(format!("{key} by {}", words(*next)))
}

/// A field's name in a sentence.
fn words(field: Field) -> String {
    match field {
        Field::Vmta => "VMTA".to_owned(),
        Field::SourceIp => "source IP".to_owned(),
        field => field.name().replace('-', " "),
    }
}

/// The same for many, at the beginning of a title.
fn plural(field: Field) -> String {
    let words = words(field);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}s", first.to_ascii_uppercase(), letters.as_str()))
}

/// The slot of a panel's main answer.
fn slot<'a>(state: &'a State, panel: &Panel, index: usize) -> Option<&'a Slot> {
    if matches!(panel.show, Show::Events) {
        let cursor = state.board().panels.get(index).map_or(0, |panel| panel.cursor);
        return state.explorer.slot(cursor).or_else(|| state.explorer.slot(0));
    }
    state.board().slot(dashboard(state.tab), index, 0)
}

fn draw_inside(
    frame: &mut Frame<'_>,
    inner: Rect,
    outer: Rect,
    state: &State,
    (panel, index): (&Panel, usize),
    geometry: &mut Geometry,
) {
    if panel.asks.is_empty() {
        let readout = draw_incidents(frame, inner, state, (panel, index), geometry);
        if let Some(text) = readout.filter(|_| inner != outer) {
            draw_readout(frame, outer, state, &text);
        }
        return;
    }
    let slot = slot(state, panel, index);
    let live_files = matches!(panel.show, Show::Files) && !state.incoming.live().is_empty();
    match slot.map(Slot::shown) {
        Some(Shown::Failed(failure, _)) if !live_files => {
            draw_failure(frame, inner, state, failure);
            return;
        }
        Some(Shown::Answer(..)) => {}
        _ if live_files => {}
        _ => {
            draw_asking(frame, inner, state, slot);
            return;
        }
    }
    let readout = match panel.show {
        Show::Cards(cards) => {
            show::cards::draw(frame, inner, state, cards, index);
            None
        }
        Show::Trend { lines, unit } => show::trend::draw(frame, inner, state, (lines, unit, index), geometry),
        Show::Table(columns) => show::table::draw(frame, inner, state, (panel, columns, index), geometry),
        Show::Events => show::events::draw(frame, inner, state, index, geometry),
        Show::Files => show::files::draw(frame, inner, state, index, geometry),
        Show::Heatmap(shades) => show::heatmap::draw(frame, inner, state, (panel, shades, index), geometry),
        Show::Distribution => show::distribution::draw(frame, inner, state, index, geometry),
        Show::Changes => show::changes::draw(frame, inner, state, index, geometry),
        Show::Coverage => show::coverage::draw(frame, inner, state, index, geometry),
        Show::Insights | Show::Incidents | Show::Timeline | Show::Incident => None,
    };
    if let Some(text) = readout.filter(|_| inner != outer) {
        draw_readout(frame, outer, state, &text);
    }
    if is_stale(state, panel, index) {
        dim(frame, inner, state.setup.theme.stale);
    }
}

/// Panels that ask nothing: what rules found is here already.
fn draw_incidents(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (panel, index): (&Panel, usize),
    geometry: &mut Geometry,
) -> Option<String> {
    match panel.show {
        Show::Insights => show::insights::draw(frame, area, state, index, geometry),
        Show::Incidents => show::incidents::draw(frame, area, state, index, geometry),
        Show::Timeline => show::timeline::draw(frame, area, state, index, geometry),
        Show::Incident => show::incident::draw(frame, area, state, index, geometry),
        _ => None,
    }
}

fn is_stale(state: &State, panel: &Panel, index: usize) -> bool {
    let dashboard = dashboard(state.tab);
    if matches!(panel.show, Show::Events) {
        return slot(state, panel, index).is_some_and(Slot::is_stale);
    }
    // The file table's live rows are never stale.
    !matches!(panel.show, Show::Files)
        && (0..panel.asks.len()).any(|ask| {
            let at = shared(dashboard, index, ask);
            state.board().slots.get(&at).is_some_and(Slot::is_stale)
        })
}

/// An answer to an older question, until the new one is there.
fn dim(frame: &mut Frame<'_>, area: Rect, style: Style) {
    let area = area.intersection(frame.area());
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = frame.buffer_mut().cell_mut((x, y)) {
                cell.set_style(Style::reset().patch(style));
            }
        }
    }
}

fn draw_readout(frame: &mut Frame<'_>, outer: Rect, state: &State, text: &str) {
    let theme = &state.setup.theme;
    let y = outer.bottom().saturating_sub(1);
    let room = usize::from(outer.width.saturating_sub(4));
    put(frame.buffer_mut(), outer.x + 2, y, &format!(" {text} "), room, theme.text);
}

fn draw_asking(frame: &mut Frame<'_>, area: Rect, state: &State, slot: Option<&Slot>) {
    let theme = &state.setup.theme;
    match slot {
        Some(slot) if slot.is_slow() => {
            let mut lines = vec![(format!("{} asking …  esc cancels", spinner(state)), theme.busy)];
            if let Some(estimate) = slot.estimate() {
                let room = usize::from(area.width);
                lines.extend(
                    costs(estimate).into_iter().find(|cost| width(cost) <= room).map(|cost| (cost, theme.muted)),
                );
            }
            centered(frame, area, &lines);
        }
        Some(slot) if !slot.is_asking() => {
            centered(frame, area, &[("not asked: r asks".to_owned(), theme.muted)]);
        }
        _ => {}
    }
}

fn draw_failure(frame: &mut Frame<'_>, area: Rect, state: &State, failure: &Failure) {
    let theme = &state.setup.theme;
    let width = usize::from(area.width.saturating_sub(4)).max(1);
    let mut lines = Vec::new();
    let mut add = |text: &str, style: Style| {
        lines.extend(wrap(&clean_lines(text), width).into_iter().map(|line| (line, style)));
    };
    add(&format!("! {}", failure.what), theme.danger);
    add(&failure.why, theme.text);
    if !failure.hint.is_empty() {
        add(&format!("→ {}", failure.hint), theme.muted);
    }
    add("r asks again", theme.muted);
    centered(frame, area, &lines);
}

/// What to do next, where there is nothing to show.
pub(super) fn draw_empty(frame: &mut Frame<'_>, area: Rect, state: &State, what: &str) {
    let theme = &state.setup.theme;
    let mut lines = vec![(what.to_owned(), theme.text)];
    let key = |action: Action| state.setup.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default();
    let next = if state.scope.filters().is_empty() {
        format!("{} another time range", key(Action::Time))
    } else {
        format!(
            "{} takes the last filter away, {} all of them, {} another time range",
            key(Action::DropChip),
            key(Action::ClearChips),
            key(Action::Time)
        )
    };
    lines.push((next, theme.muted));
    centered(frame, area, &lines);
}

/// Nothing was ever taken in.
pub(super) fn draw_welcome(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let theme = &state.setup.theme;
    let mut lines = vec![("No log files yet".to_owned(), theme.title), (String::new(), theme.text)];
    if state.incoming.is_active() {
        let (done, total) = state.incoming.counts();
        lines.push((format!("{} taking in {total} files, {done} done · 7 shows them", spinner(state)), theme.busy));
    }
    match (&state.setup.owner, state.setup.inboxes.as_slice()) {
        (_, []) => {
            lines.push((
                "No inbox is watched. To watch the folder PowerMTA writes its files to, start".to_owned(),
                theme.text,
            ));
            lines.push(("  pmtop --inbox /var/log/pmta".to_owned(), theme.key));
            lines.push(("or set PMTOP_INBOX, or `inbox.folders` in config.toml".to_owned(), theme.text));
        }
        (owner, inboxes) => {
            let watcher = owner.as_ref().map_or_else(String::new, |owner| format!(" by {}", display(owner)));
            lines.push((format!("Watched{watcher}: copy PowerMTA's CSV accounting files into"), theme.text));
            for inbox in inboxes.iter().take(5) {
                lines.push((format!("  {}", display(&inbox.display().to_string())), theme.key));
            }
            lines.push(("A file is read once it stops growing.".to_owned(), theme.muted));
        }
    }
    lines.push((String::new(), theme.text));
    for (action, what) in [
        (Action::AddFiles, "adds files, folders or archives from anywhere"),
        (Action::Help, "shows every key"),
        (Action::Quit, "leaves; `pmtop demo` shows a day of made-up mail"),
    ] {
        let key = state.setup.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default();
        lines.push((format!("{key}  {what}"), theme.muted));
    }
    let width = lines.iter().map(|(text, _)| width(text)).max().unwrap_or_default();
    let lines: Vec<(String, Style)> = lines.into_iter().map(|(text, style)| (left(&text, width), style)).collect();
    centered(frame, area, &lines);
}

pub(super) fn centered(frame: &mut Frame<'_>, area: Rect, lines: &[(String, Style)]) {
    let height = cells(lines.len()).min(area.height);
    let top = area.y + (area.height - height) / 3;
    for (line, y) in lines.iter().zip(top..top + height) {
        let paragraph = Paragraph::new(Line::from(Span::styled(line.0.as_str(), line.1))).centered();
        frame.render_widget(paragraph, Rect { y, height: 1, ..area });
    }
}
