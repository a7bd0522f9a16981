//! What can be explained: which rows count against a metric, and out of which.

use crate::event::Kind;
use crate::event::bounce::{BounceClass, ReplyClass};
use crate::query::field::Field;
use crate::query::filter::Filter;
use crate::query::joint::Cell;

/// What is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Attempts that were put off.
    Deferral,
    /// Bounces by which the sender was refused.
    Block,
    /// Bounces of all classes.
    Bounce,
    /// Bounces of addresses that are gone.
    Hard,
    /// Complaints of recipients.
    Complaint,
    /// Replies about SPF, DKIM and DMARC.
    Auth,
    /// Connections that failed.
    Connection,
    /// Deliveries slower than usual.
    Latency,
    /// Messages.
    Volume,
}

/// A metric in words.
#[derive(Debug)]
struct Words {
    metric: Metric,
    name: &'static str,
    hits: &'static str,
    of: &'static str,
    rate: &'static str,
    about: &'static str,
    /// Filters that find the rows which count, as `field=value`.
    filters: &'static [&'static str],
}

/// Every metric: its name, what counts, out of what.
const TABLE: &[Words] = &[
    Words {
        metric: Metric::Deferral,
        name: "deferral",
        hits: "deferrals",
        of: "attempts",
        rate: "deferral rate",
        about: "`t` rows over attempts (delivered + bounced + `t`)",
        filters: &["kind=deferred"],
    },
    Words {
        metric: Metric::Block,
        name: "block",
        hits: "blocks",
        of: "delivered + bounced",
        rate: "block rate",
        about: "`b` rows of class block, or with a reply about rate or reputation, over delivered + bounced",
        filters: &["kind=bounced", "bounce-class=block"],
    },
    Words {
        metric: Metric::Bounce,
        name: "bounce",
        hits: "bounces",
        of: "delivered + bounced",
        rate: "bounce rate",
        about: "`b` rows over delivered + bounced",
        filters: &["kind=bounced"],
    },
    Words {
        metric: Metric::Hard,
        name: "hard",
        hits: "hard bounces",
        of: "delivered + bounced",
        rate: "hard bounce rate",
        about: "`b` rows of class hard over delivered + bounced",
        filters: &["kind=bounced", "bounce-class=hard"],
    },
    Words {
        metric: Metric::Complaint,
        name: "complaint",
        hits: "complaints",
        of: "delivered to providers with feedback loops",
        rate: "complaint rate",
        about: "complaints over delivered to providers with feedback loops, both by the time they were logged",
        filters: &["kind=complaint"],
    },
    Words {
        metric: Metric::Auth,
        name: "auth",
        hits: "authentication failures",
        of: "attempts",
        rate: "share of authentication failures",
        about: "`b` and `t` rows of reply class auth over attempts",
        filters: &["reply-class=auth"],
    },
    Words {
        metric: Metric::Connection,
        name: "connection",
        hits: "connection errors",
        of: "attempts and queue errors",
        rate: "share of connection errors",
        about: "`b` and `t` rows of reply class connection and `tq` rows, over attempts and `tq` rows",
        filters: &["reply-class=connection"],
    },
    Words {
        metric: Metric::Latency,
        name: "latency",
        hits: "slow deliveries",
        of: "delivered",
        rate: "share of slow deliveries",
        about: "delivered rows slower than a limit, the baseline's p95 unless one is given, over delivered",
        filters: &["kind=delivered"],
    },
    Words {
        metric: Metric::Volume,
        name: "volume",
        hits: "messages",
        of: "",
        rate: "volume",
        about: "delivered + bounced, against the same length of the baseline; rises and drops",
        filters: &[],
    },
];

impl Metric {
    /// Every metric, in the order of help.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|words| words.metric)
    }

    fn words(self) -> &'static Words {
        &TABLE[self as usize]
    }

    /// The name in `--metric`.
    pub fn name(self) -> &'static str {
        self.words().name
    }

    /// The metric of a name.
    pub fn parse(name: &str) -> Option<Self> {
        TABLE.iter().find(|words| words.name.eq_ignore_ascii_case(name.trim())).map(|words| words.metric)
    }

    /// What counts, in the plural: `deferrals`.
    pub fn hits(self) -> &'static str {
        self.words().hits
    }

    /// Out of what: `attempts`; empty where there is no rate.
    pub fn of(self) -> &'static str {
        self.words().of
    }

    /// What the rate is called.
    pub fn rate(self) -> &'static str {
        self.words().rate
    }

    /// What it means, for `docs/explain.md`.
    pub fn about(self) -> &'static str {
        self.words().about
    }

    /// Whether it is a rate; else a number.
    pub fn is_rate(self) -> bool {
        self != Self::Volume
    }

    /// Whether the rows that count have replies.
    pub fn has_replies(self) -> bool {
        !matches!(self, Self::Complaint | Self::Latency | Self::Volume)
    }

    /// Filters that find the rows which count.
    pub fn filters(self) -> Vec<Filter> {
        self.words().filters.iter().filter_map(|text| Filter::parse(text).ok()).collect()
    }

    /// The fields in which a cause is looked for; of two that say the same, the earlier is named.
    pub fn fields(self) -> &'static [Field] {
        use Field::{Domain, Job, Pool, Provider, SenderDomain, SourceIp, User, Vmta};
        match self {
            Self::Auth => &[SenderDomain, Provider, SourceIp, Vmta, Pool, User, Job, Domain],
            // What recipients and their addresses say is about who sends.
            Self::Hard | Self::Complaint => &[Job, User, SenderDomain, Provider, SourceIp, Vmta, Pool, Domain],
            // A job ends and another begins: that is no change.
            Self::Volume => &[Provider, User, SenderDomain, SourceIp, Vmta, Pool, Domain],
            _ => &[Provider, SourceIp, Vmta, Pool, Job, User, SenderDomain, Domain],
        }
    }
}

/// How a cell counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// What is explained.
    pub metric: Metric,
    /// For latency: a delivery whose [`Cell::latency`] is greater is slow.
    pub slow: u16,
}

impl Gauge {
    /// A metric that needs no limit.
    pub const fn of(metric: Metric) -> Self {
        Self { metric, slow: u16::MAX }
    }

    /// What counts of a cell, and out of what. `fbl`: its provider sends complaint reports.
    pub fn count(&self, cell: &Cell, fbl: bool) -> (i64, i64) {
        let (kind, reply) = (cell.what.kind, cell.what.reply);
        let outcome = matches!(kind, Kind::Delivered | Kind::Bounced);
        let attempt = outcome || kind == Kind::Deferred;
        let failed = matches!(kind, Kind::Bounced | Kind::Deferred);
        let bounced = kind == Kind::Bounced;
        let queue = kind == Kind::QueueError;
        let (hit, of) = match self.metric {
            Metric::Deferral => (kind == Kind::Deferred, attempt),
            Metric::Block => {
                let blocked = cell.what.bounce == Some(BounceClass::Block) || reply.is_some_and(ReplyClass::is_rb);
                (bounced && blocked, outcome)
            }
            Metric::Bounce => (bounced, outcome),
            Metric::Hard => (bounced && cell.what.bounce == Some(BounceClass::Hard), outcome),
            Metric::Complaint => (kind == Kind::Complaint, kind == Kind::Delivered && fbl),
            Metric::Auth => (failed && reply == Some(ReplyClass::Auth), attempt),
            Metric::Connection => (queue || failed && reply == Some(ReplyClass::Connection), attempt || queue),
            Metric::Latency => {
                let timed = kind == Kind::Delivered && cell.latency > 0;
                (timed && cell.latency > self.slow, timed)
            }
            Metric::Volume => (outcome, false),
        };
        (if hit { cell.n } else { 0 }, if of { cell.n } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_declaration() {
        for (at, metric) in Metric::all().enumerate() {
            assert_eq!(metric as usize, at);
            assert_eq!(Metric::parse(&metric.name().to_uppercase()), Some(metric));
            assert_eq!(metric.filters().len(), metric.words().filters.len(), "{}", metric.name());
        }
    }
}
