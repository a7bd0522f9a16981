//! A message's life as lines of a timeline: gaps to scale, replies verbatim.

use unicode_width::UnicodeWidthStr as _;

use super::{Journey, Key, Step};
use crate::event::{Kind, Micros};
use crate::query::time::iso;
use crate::text::display;

/// How a line is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Whose life it is.
    Head,
    /// All is well.
    Good,
    /// It waits.
    Wait,
    /// It went wrong.
    Bad,
    /// Time that passes, and other small print.
    Dim,
    /// Anything else.
    Plain,
}

/// A line of the timeline, fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it is to be seen.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;
const HOUR: Micros = 60 * MINUTE;
const DAY: Micros = 24 * HOUR;

/// Where what happened begins, behind the time.
const INDENT: usize = 11;

/// A message's life in lines of at most so many columns; words longer than a line stay whole.
pub fn lines(message: &Journey, width: usize) -> Vec<Line> {
    let mut out = head(message, width);
    let begin = message.begins();
    let mut last = None;
    for step in &message.steps {
        if let (Some(last), Some(time)) = (last, step.time) {
            out.extend(gap(time - last));
        }
        last = step.time.or(last);
        out.extend(step_lines(step, begin, width));
    }
    out
}

fn line(tone: Tone, text: impl Into<String>) -> Line {
    Line { tone, text: text.into() }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { display(text).into_owned() }
}

fn head(message: &Journey, width: usize) -> Vec<Line> {
    let id = if message.message_id.is_empty() { "no message id" } else { &message.message_id };
    let who = format!("{} → {}", display(id), or_dash(&message.recipient));
    let count = message.steps.len();
    let events = if count == 1 { "1 event".to_owned() } else { format!("{count} events") };
    let keys: Vec<&str> = message.keys().into_iter().map(Key::title).collect();
    let linked = match keys.as_slice() {
        [] => format!("{events}, nothing links to it"),
        _ => format!("linked by {} ({events})", keys.join(", ")),
    };
    let gap = width.saturating_sub(who.width() + linked.width());
    if gap > 1 {
        return vec![line(Tone::Head, format!("{who}{}{linked}", " ".repeat(gap)))];
    }
    vec![line(Tone::Head, who), line(Tone::Dim, format!("  {linked}"))]
}

/// Time that passes: a line from a minute on, one more from an hour and from a day on.
fn gap(micros: Micros) -> Vec<Line> {
    let marks = [MINUTE, HOUR, DAY].iter().filter(|limit| micros >= **limit).count();
    (0..marks)
        .map(|at| {
            let label = if at == 0 { format!(" {}", span(micros)) } else { String::new() };
            line(Tone::Dim, format!("      ┆{label}"))
        })
        .collect()
}

/// A span of time for people: the two greatest units.
pub fn span(micros: Micros) -> String {
    let part = |unit: Micros, name: &str| format!("{}{name}", micros / unit);
    let rest = |unit: Micros, of: Micros, name: &str| {
        let rest = micros % of / unit;
        if rest == 0 { String::new() } else { format!(" {rest}{name}") }
    };
    match micros {
        ..0 => format!("-{}", span(-micros)),
        DAY.. => part(DAY, "d") + &rest(HOUR, DAY, "h"),
        HOUR.. => part(HOUR, "h") + &rest(MINUTE, HOUR, "m"),
        MINUTE.. => part(MINUTE, "m") + &rest(SECOND, MINUTE, "s"),
        _ => part(SECOND, "s"),
    }
}

fn since(step: &Step, begin: Option<Micros>) -> String {
    match (step.time, begin) {
        (Some(time), Some(begin)) if time != begin => format!("+{}", span(time - begin)),
        (Some(time), _) => iso(time).get(11..19).unwrap_or_default().to_owned(),
        _ => "?".to_owned(),
    }
}

/// The sign, the name and the tone of what happened.
fn what(step: &Step) -> (&'static str, String, Tone) {
    let attempt = |name: &str| match step.attempt {
        Some(attempt) if name == "attempt" => format!("attempt {attempt}"),
        _ => name.to_owned(),
    };
    match Kind::parse(&step.kind) {
        Some(Kind::Received) => ("●", attempt("received"), Tone::Good),
        Some(Kind::Delivered) => ("●", attempt("delivered"), Tone::Good),
        Some(Kind::Deferred) => ("○", attempt("attempt"), Tone::Wait),
        Some(Kind::Bounced) => ("✕", attempt("bounced"), Tone::Bad),
        Some(Kind::RemoteBounce) => ("!", attempt("then bounced"), Tone::Bad),
        Some(Kind::Complaint) => ("!", attempt("complaint"), Tone::Bad),
        _ => ("·", display(&step.kind).into_owned(), Tone::Plain),
    }
}

/// What there is to say about a step besides its reply.
fn about(step: &Step, message_begins: bool) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut put = |text: &str| {
        if !text.is_empty() {
            parts.push(display(text).into_owned());
        }
    };
    let kind = Kind::parse(&step.kind);
    put(&step.vmta);
    put(&step.source_ip);
    match kind {
        Some(Kind::Received) => put(&if step.job.is_empty() { String::new() } else { format!("job {}", step.job) }),
        Some(Kind::Complaint) => put(format!("{} feedback loop", step.provider).trim_start()),
        Some(Kind::Bounced) => put(&step.bounce_class),
        _ => {}
    }
    put(&step.reply_class);
    if let (Some(ms), Some(Kind::Delivered)) = (step.latency_ms, kind) {
        put(&format!("delivery latency {}", span(ms * 1000)));
    }
    if let Some(bytes) = step.size_bytes {
        put(&format!("size {}", size(bytes)));
    }
    if message_begins && let Some(time) = step.time {
        put(iso(time).get(..10).unwrap_or_default());
    }
    if let Some(key) = step.key.filter(|key| *key != Key::MessageId) {
        put(&format!("by {}", key.title()));
    }
    parts
}

fn size(bytes: i64) -> String {
    if bytes < 1000 { format!("{bytes} B") } else { format!("{} kB", (bytes + 500) / 1000) }
}

fn step_lines(step: &Step, begin: Option<Micros>, width: usize) -> Vec<Line> {
    let (sign, name, tone) = what(step);
    let about = about(step, step.time.is_some() && step.time == begin).join("  ");
    let first = format!("{:>9} {sign} {name:<12} {about}", since(step, begin));
    let mut out = vec![line(tone, first.trim_end())];
    let indent = " ".repeat(INDENT + 2);
    for text in wrapped(&display(&step.reply), width.saturating_sub(INDENT + 2)) {
        out.push(line(Tone::Plain, format!("{indent}{text}")));
    }
    if step.ambiguous {
        let text = format!("may as well belong to: {}", display(&step.candidates.join(", ")));
        out.extend(
            wrapped(&text, width.saturating_sub(INDENT + 2))
                .into_iter()
                .map(|text| line(Tone::Wait, format!("{indent}{text}"))),
        );
    }
    out
}

/// A text in lines; a word that is longer than a line is cut into several.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let space = usize::from(!line.is_empty());
        if !line.is_empty() && line.width() + space + word.width() > width {
            out.push(std::mem::take(&mut line));
        } else if space == 1 {
            line.push(' ');
        }
        for letter in word.chars() {
            if line.width() >= width {
                out.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    if !line.is_empty() {
        out.push(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: &str, minutes: i64) -> Step {
        Step { time: Some(minutes * MINUTE), kind: kind.to_owned(), key: Some(Key::MessageId), ..Step::default() }
    }

    fn drawn(steps: Vec<Step>) -> String {
        let message = Journey { recipient: "a@b.de".to_owned(), steps, ..Journey::default() };
        lines(&message, 80).into_iter().map(|line| line.text + "\n").collect()
    }

    #[test]
    fn longer_gaps_take_more_lines() {
        let count = |minutes: i64| drawn(vec![step("received", 0), step("delivered", minutes)]).matches('┆').count();
        assert_eq!([count(0), count(5), count(90), count(3000)], [0, 1, 2, 3]);
    }

    #[test]
    fn replies_stand_verbatim_and_harmless() {
        let reply = format!("421-4.7.28 {}\u{1b}[31m end", "word ".repeat(40));
        let text = drawn(vec![Step { reply, ..step("deferred", 0) }]);
        assert!(!text.contains('\u{1b}') && text.contains("␛[31m end"), "{text}");
        assert_eq!(text.matches("word").count(), 40);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(
            [span(5 * SECOND), span(72 * SECOND), span(52 * HOUR), span(-SECOND)],
            ["5s", "1m 12s", "2d 4h", "-1s"]
        );
    }
}
