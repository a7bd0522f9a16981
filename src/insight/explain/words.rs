//! An explanation in sentences.

use super::{Contributor, Explanation, NotInvolved, Verdict};
use crate::event::Micros;
use crate::query::field::Field;
use crate::query::time;

/// `4.1 %`; two digits below one per cent.
pub(super) fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    match hundred.abs() {
        size if size >= 99.95 || size == 0.0 => format!("{hundred:.0} %"),
        size if size >= 10.0 => format!("{hundred:.0} %"),
        size if size >= 1.0 => format!("{hundred:.1} %"),
        size if size >= 0.01 => format!("{hundred:.2} %"),
        _ => format!("{hundred:.1e} %"),
    }
}

/// `12,345`.
pub(super) fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if n < 0 { format!("-{out}") } else { out }
}

#[expect(clippy::cast_possible_truncation, reason = "these are counts")]
fn rounded(n: f64) -> String {
    thousands(n.round() as i64)
}

/// `14×`, `1.3×`.
fn times(lift: f64) -> String {
    match lift {
        lift if lift >= 1000.0 => "over 1,000×".to_owned(),
        lift if lift >= 10.0 => format!("{lift:.0}×"),
        lift if lift >= 0.1 => format!("{lift:.1}×"),
        lift => format!("{lift:.2}×"),
    }
}

fn chance(p: f64) -> String {
    match p {
        p if p < 1e-9 => "p < 1e-9".to_owned(),
        p if p < 0.001 => format!("p = {p:.0e}"),
        p => format!("p = {p:.3}"),
    }
}

fn field(field: Field) -> &'static str {
    match field {
        Field::SourceIp => "source IP",
        Field::Vmta => "VMTA",
        Field::SenderDomain => "sender domain",
        other => other.name(),
    }
}

fn fields(of: Field) -> &'static str {
    match of {
        Field::Job => "jobs",
        Field::User => "users",
        Field::SenderDomain => "sender domains",
        Field::Domain => "domains",
        Field::Provider => "providers",
        Field::Vmta => "VMTAs",
        Field::Pool => "pools",
        Field::SourceIp => "IPs",
        other => other.name(),
    }
}

/// `provider Yahoo × source IP 203.0.113.7`.
pub(super) fn named(filters: &[(Field, String)]) -> String {
    if filters.is_empty() {
        return "all mail".to_owned();
    }
    let parts: Vec<String> = filters.iter().map(|(of, value)| format!("{} {value}", field(*of))).collect();
    parts.join(" × ")
}

/// `at 14:10`, with the day where that is not the window's last.
fn clock(at: Micros, until: Micros) -> String {
    let text = time::iso(at);
    let clock = text.get(11..16).unwrap_or_default();
    if time::floor(at, time::DAY) == time::floor(until - 1, time::DAY) {
        format!("{clock} UTC")
    } else {
        format!("{} UTC", time::short(at))
    }
}

impl Contributor {
    /// From what to what: `4.1 % → 58 %`, `12,000 → 300`.
    pub fn course(&self) -> String {
        match (self.usual_rate(), self.rate()) {
            (Some(usual), Some(rate)) => format!("{} → {}", percent(usual), percent(rate)),
            _ => format!("{} → {}", rounded(self.expected), thousands(self.hits)),
        }
    }

    /// What it is: `provider Yahoo × source IP 203.0.113.7`.
    pub fn whom(&self) -> String {
        named(&self.filters)
    }
}

fn opening(what: &Explanation) -> String {
    let (metric, total) = (what.metric, &what.total);
    let rate = |hits: i64, of: i64| if of > 0 { percent(hits as f64 / of as f64) } else { "none".to_owned() };
    let name = capital(metric.rate());
    if !metric.is_rate() {
        let usual = rounded(total.hits as f64 - total.excess);
        return format!("{name}: {} messages, usually {usual}.", thousands(total.hits));
    }
    let now = format!("{} of {} {}", thousands(total.hits), thousands(total.of), metric.of());
    let limit = what.slow_ms.map_or_else(String::new, |ms| format!(" (over {})", time::span(ms * 1000)));
    if total.base_of == 0 {
        return format!("{name}{limit}: {} ({now}).", rate(total.hits, total.of));
    }
    let course = format!("{} → {} ({now})", rate(total.base_hits, total.base_of), rate(total.hits, total.of));
    let more = if total.excess >= 0.0 { "more" } else { "fewer" };
    format!("{name}{limit}: {course}, {} {more} than at the earlier rate.", rounded(total.excess.abs()))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn contributor(what: &Explanation, found: &Contributor, is_first: bool) -> String {
    let change = match (what.verdict, what.up) {
        (Verdict::NoBaseline, _) => format!("above-average {}", what.metric.hits()),
        (_, true) => format!("extra {}", what.metric.hits()),
        (_, false) => format!("missing {}", what.metric.hits()),
    };
    let lift = found.lift().map_or_else(String::new, |lift| format!(", {}", times(lift)));
    let sure = format!("({}{lift}, {})", found.course(), chance(found.p));
    let mut text = if is_first {
        format!("{} of the {change}: {} {sure}", percent(found.share), found.whom())
    } else {
        format!("{} {} {sure}", percent(found.share), found.whom())
    };
    if is_first && !found.same_as.is_empty() {
        let same: Vec<String> = found.same_as.iter().map(|(of, value)| format!("{} {value}", field(*of))).collect();
        text += &format!("; the same mail: {}", same.join(", "));
    }
    if is_first && !found.within.is_empty() {
        let within: Vec<String> = found.within.iter().map(|(of, value)| format!("{} {value}", field(*of))).collect();
        text += &format!("; all of it {}", within.join(", "));
    }
    text
}

/// `other IPs to provider Yahoo unchanged (4.0 % → 4.1 %)`.
fn sibling(part: &NotInvolved) -> String {
    let what = if part.values == 1 {
        format!("the other {}", field(part.field))
    } else {
        format!("other {}", fields(part.field))
    };
    let beside = if part.beside.is_empty() { String::new() } else { format!(" with {}", named(&part.beside)) };
    let course = if part.of > 0 {
        format!("{} → {}", percent(part.expected / part.of as f64), percent(part.hits as f64 / part.of as f64))
    } else {
        format!("{} → {}", rounded(part.expected), thousands(part.hits))
    };
    format!("{what}{beside} unchanged ({course})")
}

fn not_involved(what: &Explanation) -> Option<String> {
    let siblings: Vec<String> = what.not_involved.iter().filter(|part| !part.alike).map(sibling).collect();
    let alike: Vec<String> = what
        .not_involved
        .iter()
        .filter(|part| part.alike)
        .map(|part| format!("{} {}", part.values, fields(part.field)))
        .collect();
    let first = what.contributors.first()?;
    let mut parts = siblings;
    if !alike.is_empty() {
        parts.push(format!("hit alike there: {}", alike.join(", ")));
    }
    if parts.is_empty() {
        return None;
    }
    let all_known = what.not_involved.iter().filter(|part| !part.alike).count() == first.filters.len();
    let so =
        if all_known && !first.filters.is_empty() { format!(" ⇒ it is {}", first.whom()) } else { String::new() };
    Some(format!("Not involved: {}{so}.", parts.join("; ")))
}

fn began(what: &Explanation) -> Option<String> {
    let onset = what.onset?;
    let until = what.window.1;
    let begin = match (onset.earlier, onset.exact) {
        (true, _) => format!("It was so before {} already", clock(onset.from, until)),
        (false, true) => format!("Began {}", clock(onset.from, until)),
        (false, false) => format!("Began about {}", clock(onset.from, until)),
    };
    let end = match onset.until {
        Some(end) => format!(", over by {}", clock(end, until)),
        None if onset.last < until => {
            format!(", last seen before {}; hardly any such mail since", clock(onset.last, until))
        }
        None => ", goes on at the end of the window".to_owned(),
    };
    let during = if onset.of > 0 && what.focus.is_none() {
        format!("; {} in that time", percent(onset.hits as f64 / onset.of as f64))
    } else {
        String::new()
    };
    Some(format!("{begin}{end}{during}."))
}

fn reply(what: &Explanation) -> Option<String> {
    let reply = what.replies.first()?;
    let kind = if reply.excess > 0.0 { "new" } else { "all" };
    let mut text = format!("Reply ({} of what is {kind}): \"{}\"", percent(reply.share), reply.template);
    if !reply.meaning.is_empty() {
        text += &format!(": {}", reply.meaning.trim_end_matches('.'));
    }
    if !reply.advice.is_empty() {
        text += &format!(". Next: {}", reply.advice.trim_end_matches('.'));
    }
    Some(text + ".")
}

fn moved(what: &Explanation) -> Option<String> {
    let (total, moved) = (&what.total, what.moved.as_ref()?);
    let large = total.mix_part.abs() >= 0.25 * total.rate_part.abs().max(1.0) || what.verdict == Verdict::Mix;
    large.then(|| {
        format!(
            "Mail that moved accounts for {} {}: {} {} has {} of it, before {} (its rate then: {}).",
            rounded(total.mix_part.abs()),
            if total.mix_part >= 0.0 { "more" } else { "fewer" },
            field(moved.field),
            moved.value,
            percent(moved.share),
            percent(moved.base_share),
            percent(moved.base_rate),
        )
    })
}

/// What it comes to, for people: the change, where it is, what the other side says, since when, and what it is not.
/// Values stand as they are in the logs.
pub fn sentences(what: &Explanation) -> Vec<String> {
    let mut out = vec![opening(what)];
    match what.verdict {
        Verdict::Nothing => {
            return vec![format!("No {} in the window, and none before.", what.metric.hits())];
        }
        Verdict::Few => {
            out.push("These are too few to say anything of: widen the time or drop a filter.".to_owned());
            return out;
        }
        Verdict::Unchanged => out.push("That is as usual: no value of any field stands out.".to_owned()),
        Verdict::Mix => out.push("Rates are as usual everywhere; other mail was sent.".to_owned()),
        Verdict::Everywhere => out.push("All mail has changed alike: no field stands out.".to_owned()),
        Verdict::NoBaseline => out.push("There is no mail to compare with; these are above the rest:".to_owned()),
        Verdict::Found => {}
    }
    let mut found = what.contributors.iter();
    if let Some(first) = found.next().filter(|_| what.verdict != Verdict::Everywhere) {
        let when = what.focus.as_ref().map_or_else(String::new, |((from, until), _)| {
            let (_, end) = what.window;
            match clock(*from, end) {
                from if *until >= end => format!("From {from} on "),
                from => format!("Between {from} and {} ", clock(*until, end)),
            }
        });
        out.push(when + &contributor(what, first, true) + ".");
        let rest: Vec<String> = found.take(3).map(|found| contributor(what, found, false)).collect();
        if !rest.is_empty() {
            out.push(format!("Beside it: {}.", rest.join("; ")));
        }
    }
    out.extend(reply(what));
    out.extend(began(what));
    out.extend(not_involved(what));
    out.extend(moved(what));
    if what.verdict != Verdict::NoBaseline {
        out.push(format!("Compared with {}.", what.baseline.basis));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0.58, 0.041, 0.003, 1.0, 0.0].map(percent), ["58 %", "4.1 %", "0.30 %", "100 %", "0 %"]);
        assert_eq!([-1234, 999, 1_234_567].map(thousands), ["-1,234", "999", "1,234,567"]);
        assert_eq!([14.2, 1.33, 0.05].map(times), ["14×", "1.3×", "0.05×"]);
    }
}
