//! Which message a report is about (SPEC §5): message id and recipient, then job and recipient, then the custom
//! header, then sender, recipient and a window of time; the first key that leaves one message wins.

use crate::event::Micros;

/// What tells that two rows belong together, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Message id and recipient.
    MessageId,
    /// Job and recipient.
    Job,
    /// The configured header.
    CustomHeader,
    /// Sender, recipient and a window of time.
    Window,
}

impl Key {
    /// Every key, the most trusted first.
    pub const ALL: [Self; 4] = [Self::MessageId, Self::Job, Self::CustomHeader, Self::Window];

    /// Its name in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessageId => "message_id",
            Self::Job => "job_id",
            Self::CustomHeader => "custom_header",
            Self::Window => "window",
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::MessageId => "message id",
            Self::Job => "job and recipient",
            Self::CustomHeader => "custom header",
            Self::Window => "sender and time",
        }
    }

    /// The key of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == name)
    }

    /// Its bit in a set of keys.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// How far apart a report and its message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// For the key of sender, recipient and time.
    pub window: Micros,
    /// For every other key.
    pub reach: Micros,
}

/// Clocks of several hosts may differ by so much: a report may be logged before its delivery.
pub const SLACK: Micros = 5 * 60 * 1_000_000;

/// What a row says of the message that it belongs to; what it does not say is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Message id.
    pub message_id: &'a str,
    /// Recipient in lower case; see [`recipient`].
    pub recipient: &'a str,
    /// Job.
    pub job: &'a str,
    /// The configured header.
    pub custom_header: &'a str,
    /// Envelope sender in lower case.
    pub sender: &'a str,
    /// Envelope id.
    pub env_id: &'a str,
    /// When it happened.
    pub time: Micros,
}

/// A recipient in lower case; one that was made unreadable names nobody.
pub fn recipient(address: &str) -> String {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let redacted = local.chars().all(|letter| matches!(letter, '.' | '*'));
    if redacted { String::new() } else { address.to_lowercase() }
}

/// Both say it, and the same.
const fn same(a: &str, b: &str) -> bool {
    !a.is_empty() && a.len() == b.len() && equal(a.as_bytes(), b.as_bytes())
}

/// Both say it, and not the same.
const fn differs(a: &str, b: &str) -> bool {
    !a.is_empty() && !b.is_empty() && !same(a, b)
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The keys by which a report may be about a message that was sent, as bits.
pub fn keys(report: &Facts<'_>, send: &Facts<'_>, limits: &Limits) -> u8 {
    let age = report.time - send.time;
    if age < -SLACK || age > limits.reach || differs(report.recipient, send.recipient) {
        return 0;
    }
    if same(report.message_id, send.message_id) {
        return Key::MessageId.bit();
    }
    if differs(report.message_id, send.message_id)
        || differs(report.job, send.job)
        || differs(report.env_id, send.env_id)
    {
        return 0;
    }
    let recipient = same(report.recipient, send.recipient);
    let mut keys = 0;
    if recipient && same(report.job, send.job) {
        keys |= Key::Job.bit();
    }
    if same(report.custom_header, send.custom_header) {
        keys |= Key::CustomHeader.bit();
    }
    // A sender of its own for each message (VERP) stands for the recipient where the report names none.
    if (recipient || report.recipient.is_empty()) && same(report.sender, send.sender) && age <= limits.window {
        keys |= Key::Window.bit();
    }
    keys
}

/// What a report is found to be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One message, and what tells so: the position of the candidate.
    Linked(usize, Key),
    /// Several messages, by the most trusted key that found any; the positions of one candidate each.
    Ambiguous(Vec<usize>, Key),
    /// None.
    Unknown,
}

/// Decides among candidates: the keys of each, and the message that it is a row of.
pub fn decide(candidates: &[(u8, u64)]) -> Verdict {
    let mut first = None;
    for key in Key::ALL {
        let mut messages: Vec<(u64, usize)> = candidates
            .iter()
            .enumerate()
            .filter(|(_, (keys, _))| keys & key.bit() != 0)
            .map(|(at, (_, message))| (*message, at))
            .collect();
        messages.sort_unstable();
        messages.dedup_by_key(|(message, _)| *message);
        match messages.as_slice() {
            [] => {}
            [(_, at)] => return Verdict::Linked(*at, key),
            several => {
                first.get_or_insert_with(|| Verdict::Ambiguous(several.iter().map(|(_, at)| *at).collect(), key));
            }
        }
    }
    first.unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3_600_000_000;
    const LIMITS: Limits = Limits { window: 72 * HOUR, reach: 240 * HOUR };

    fn send() -> Facts<'static> {
        Facts { message_id: "<1@a>", recipient: "x@y.de", job: "j1", sender: "b@a.de", time: 0, ..Facts::default() }
    }

    fn found(report: &Facts<'_>) -> u8 {
        keys(&Facts { time: HOUR, ..*report }, &send(), &LIMITS)
    }

    #[test]
    fn the_message_id_needs_no_recipient_but_none_that_differs() {
        assert_eq!(found(&Facts { message_id: "<1@a>", ..Facts::default() }), Key::MessageId.bit());
        assert_eq!(found(&Facts { message_id: "<1@a>", recipient: "z@y.de", ..Facts::default() }), 0);
        assert_eq!(found(&Facts { message_id: "<2@a>", recipient: "x@y.de", job: "j1", ..Facts::default() }), 0);
    }

    #[test]
    fn a_job_needs_its_recipient_and_a_sender_its_window() {
        assert_eq!(found(&Facts { recipient: "x@y.de", job: "j1", ..Facts::default() }), Key::Job.bit());
        assert_eq!(found(&Facts { job: "j1", ..Facts::default() }), 0);
        let by_sender = Facts { recipient: "x@y.de", sender: "b@a.de", ..Facts::default() };
        assert_eq!(found(&by_sender), Key::Window.bit());
        assert_eq!(keys(&Facts { time: 73 * HOUR, ..by_sender }, &send(), &LIMITS), 0);
        assert_eq!(keys(&Facts { time: -HOUR, ..by_sender }, &send(), &LIMITS), 0);
    }

    #[test]
    fn the_first_key_that_leaves_one_message_wins() {
        let (job, window) = (Key::Job.bit(), Key::Window.bit());
        assert_eq!(decide(&[(job | window, 7), (window, 8), (job, 7)]), Verdict::Linked(0, Key::Job));
        assert_eq!(decide(&[(job, 7), (job | window, 8)]), Verdict::Linked(1, Key::Window));
        assert_eq!(decide(&[(window, 7), (window, 8)]), Verdict::Ambiguous(vec![0, 1], Key::Window));
        assert_eq!(decide(&[]), Verdict::Unknown);
    }

    #[test]
    fn a_recipient_made_unreadable_names_nobody() {
        assert_eq!(recipient("...@gmail.com"), "");
        assert_eq!(recipient("Ann@Example.com"), "ann@example.com");
    }
}
