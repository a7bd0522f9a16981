//! What a rule counts: which rows speak against whom, and of which rows they are a part.

use serde::{Deserialize, Serialize};

use crate::event::Kind;
use crate::event::bounce::{BounceClass, ReplyClass};
use crate::query::joint::What;

/// A kind of trouble that is counted row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// `t` rows by which the receiver slows the sender, of all attempts.
    Deferral,
    /// Refusals for the reputation or the listing of an IP or a domain, of all attempts.
    Block,
    /// Other bounces, of all messages with an outcome.
    Bounce,
    /// Replies about SPF, DKIM and DMARC, of all attempts.
    Auth,
    /// Attempts and queues that reached nobody, of all attempts.
    Connection,
    /// Complaints, of deliveries to providers that send them.
    Complaint,
    /// Remote bounces, of deliveries.
    RemoteBounce,
    /// Deliveries that took longer than usual, of all deliveries.
    Latency,
    /// Messages with an outcome; too few of them is the trouble.
    Volume,
    /// Messages with an outcome; far more of them than ever is the trouble.
    Surge,
    /// Replies about reputation, lists or authentication that come where they were not seen for weeks.
    KnownCode,
    /// Replies that nobody has seen before.
    NewReply,
    /// Files; none of them is the trouble.
    Files,
}

impl Signal {
    /// The signal by whose series it is told: too much mail is counted as too little of it is.
    pub const fn counted_as(self) -> Self {
        match self {
            Self::Surge => Self::Volume,
            signal => signal,
        }
    }

    /// Whether it is told by counts of rows by quarter of an hour.
    pub const fn is_counted(self) -> bool {
        !matches!(self, Self::Latency | Self::KnownCode | Self::NewReply | Self::Files)
    }

    /// Whether it is about how much mail there is.
    pub const fn is_of_volume(self) -> bool {
        matches!(self, Self::Volume | Self::Surge)
    }

    /// Whether rows of a kind are a part of what the signal is a rate of.
    pub fn is_of(self, what: What) -> bool {
        match self {
            Self::Deferral | Self::Block | Self::Auth => {
                matches!(what.kind, Kind::Delivered | Kind::Bounced | Kind::Deferred)
            }
            Self::Connection => {
                matches!(what.kind, Kind::Delivered | Kind::Bounced | Kind::Deferred | Kind::QueueError)
            }
            Self::Bounce | Self::Volume | Self::Surge => matches!(what.kind, Kind::Delivered | Kind::Bounced),
            Self::Complaint | Self::RemoteBounce | Self::Latency => what.kind == Kind::Delivered,
            Self::NewReply | Self::KnownCode => {
                matches!(what.kind, Kind::Bounced | Kind::Deferred | Kind::QueueError)
            }
            Self::Files => false,
        }
    }

    /// Whether rows of a kind speak against somebody.
    pub fn is_hit(self, what: What) -> bool {
        match self {
            Self::Deferral => what.kind == Kind::Deferred && what.reply.is_none_or(slows),
            Self::Block => {
                let refused = matches!(what.kind, Kind::Bounced) && what.reply.is_some_and(is_reputation);
                refused || (what.kind == Kind::Deferred && what.reply.is_some_and(is_listing))
            }
            Self::Bounce => {
                what.kind == Kind::Bounced
                    && !what.reply.is_some_and(|reply| {
                        is_reputation(reply)
                            || matches!(
                                reply,
                                ReplyClass::Auth | ReplyClass::Connection | ReplyClass::Expired | ReplyClass::Local
                            )
                    })
            }
            Self::Auth => matches!(what.kind, Kind::Bounced | Kind::Deferred) && what.reply == Some(ReplyClass::Auth),
            Self::Connection => {
                what.kind == Kind::QueueError
                    || (matches!(what.kind, Kind::Deferred | Kind::Bounced)
                        && what.reply == Some(ReplyClass::Connection))
            }
            Self::Volume | Self::Surge => self.is_of(what),
            Self::Complaint => what.kind == Kind::Complaint,
            Self::RemoteBounce => what.kind == Kind::RemoteBounce,
            Self::NewReply | Self::KnownCode => self.is_of(what),
            Self::Latency | Self::Files => false,
        }
    }

    /// Filters, as `field=value`, that find the rows that speak against somebody, as nearly as filters can.
    pub fn filters(self, classes: &[String]) -> Vec<String> {
        let mut filters: Vec<String> = match self {
            Self::Deferral => vec!["kind=deferred".to_owned()],
            Self::Block | Self::Auth => vec!["kind=bounced".to_owned(), "kind=deferred".to_owned()],
            Self::Bounce => vec!["kind=bounced".to_owned()],
            Self::Connection => ["kind=queue_error", "kind=deferred", "kind=bounced"].map(str::to_owned).to_vec(),
            Self::Complaint => vec!["kind=complaint".to_owned()],
            Self::RemoteBounce => vec!["kind=remote_bounce".to_owned()],
            Self::Latency | Self::Volume | Self::Surge => vec!["kind=delivered".to_owned()],
            Self::NewReply | Self::KnownCode | Self::Files => Vec::new(),
        };
        filters.extend(classes.iter().filter(|class| !class.is_empty()).map(|class| format!("reply-class={class}")));
        filters
    }
}

/// The classes by which a receiver slows a sender; not those that are about one recipient, the network or
/// authentication, which have signals of their own.
fn slows(reply: ReplyClass) -> bool {
    !is_listing(reply)
        && !matches!(
            reply,
            ReplyClass::Auth
                | ReplyClass::Connection
                | ReplyClass::Greylist
                | ReplyClass::UnknownUser
                | ReplyClass::InactiveMailbox
                | ReplyClass::MailboxFull
                | ReplyClass::MailboxTemp
                | ReplyClass::RcptRate
                | ReplyClass::BadDomain
                | ReplyClass::Routing
                | ReplyClass::Local
        )
}

const fn is_listing(reply: ReplyClass) -> bool {
    matches!(reply, ReplyClass::IpBlocklist | ReplyClass::DomainBlocklist)
}

const fn is_reputation(reply: ReplyClass) -> bool {
    is_listing(reply) || matches!(reply, ReplyClass::IpReputation | ReplyClass::DomainReputation)
}

/// The classes of replies that speak of our reputation, of lists or of authentication.
pub(super) fn is_about_us(reply: ReplyClass) -> bool {
    is_reputation(reply) || matches!(reply, ReplyClass::ThrottleReputation | ReplyClass::Auth)
}

/// Whether a bounce is one of an address that does not exist.
pub fn is_hard(what: What) -> bool {
    what.kind == Kind::Bounced && what.bounce == Some(BounceClass::Hard)
}
