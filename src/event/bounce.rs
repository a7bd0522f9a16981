//! What a reply was about and whose fault a bounce is: the words of `reply_class` and `bounce_class`, and the table
//! that leads from one to the other.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use serde::{Deserialize, Deserializer, Serialize};

const BUILTIN: &str = include_str!("../../assets/bounce-classes.toml");

/// What a reply was about, the column `reply_class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplyClass {
    /// Too fast or too many connections.
    Throttle,
    /// Slowed because of complaints or reputation.
    ThrottleReputation,
    /// The address stands on a named list or on the provider's own.
    IpBlocklist,
    /// The address is refused for its past.
    IpReputation,
    /// The sending domain is refused for its past.
    DomainReputation,
    /// The sending domain stands on a list.
    DomainBlocklist,
    /// The message looks like spam.
    ContentSpam,
    /// A link in the message stands on a list.
    ContentUrlBlocklist,
    /// A virus, or what looks like one.
    ContentMalware,
    /// An attachment or content that the receiver never takes.
    ContentPolicy,
    /// SPF, DKIM or DMARC.
    Auth,
    /// Reverse DNS or HELO.
    DnsPtr,
    /// Encryption is missing or failed.
    Tls,
    /// A rule of the receiver, without a cause.
    Policy,
    /// No such recipient.
    UnknownUser,
    /// The mailbox exists but is switched off.
    InactiveMailbox,
    /// The mailbox has no room.
    MailboxFull,
    /// This recipient gets too much mail at the moment.
    RcptRate,
    /// The mailbox cannot take mail just now.
    MailboxTemp,
    /// First contact is put off on purpose.
    Greylist,
    /// The recipient's domain does not exist or takes no mail.
    BadDomain,
    /// The receiver's mail routing is broken or loops.
    Routing,
    /// The server does not take mail for this domain.
    RelayDenied,
    /// The envelope sender is not accepted.
    SenderInvalid,
    /// The message is larger than allowed.
    MsgTooBig,
    /// The message breaks the format rules.
    Format,
    /// The SMTP dialogue went wrong.
    Protocol,
    /// A fault at the receiver that passes.
    RemoteTemp,
    /// No connection, or it was lost.
    Connection,
    /// PowerMTA gave up after its time limit.
    Expired,
    /// PowerMTA or its operator, not the receiver.
    Local,
    /// Nothing known matched.
    Other,
}

/// Every reply class with its word, in the order of declaration.
const REPLY_WORDS: &[(ReplyClass, &str)] = &[
    (ReplyClass::Throttle, "throttle"),
    (ReplyClass::ThrottleReputation, "throttle-reputation"),
    (ReplyClass::IpBlocklist, "ip-blocklist"),
    (ReplyClass::IpReputation, "ip-reputation"),
    (ReplyClass::DomainReputation, "domain-reputation"),
    (ReplyClass::DomainBlocklist, "domain-blocklist"),
    (ReplyClass::ContentSpam, "content-spam"),
    (ReplyClass::ContentUrlBlocklist, "content-url-blocklist"),
    (ReplyClass::ContentMalware, "content-malware"),
    (ReplyClass::ContentPolicy, "content-policy"),
    (ReplyClass::Auth, "auth"),
    (ReplyClass::DnsPtr, "dns-ptr"),
    (ReplyClass::Tls, "tls"),
    (ReplyClass::Policy, "policy"),
    (ReplyClass::UnknownUser, "unknown-user"),
    (ReplyClass::InactiveMailbox, "inactive-mailbox"),
    (ReplyClass::MailboxFull, "mailbox-full"),
    (ReplyClass::RcptRate, "rcpt-rate"),
    (ReplyClass::MailboxTemp, "mailbox-temp"),
    (ReplyClass::Greylist, "greylist"),
    (ReplyClass::BadDomain, "bad-domain"),
    (ReplyClass::Routing, "routing"),
    (ReplyClass::RelayDenied, "relay-denied"),
    (ReplyClass::SenderInvalid, "sender-invalid"),
    (ReplyClass::MsgTooBig, "msg-too-big"),
    (ReplyClass::Format, "format"),
    (ReplyClass::Protocol, "protocol"),
    (ReplyClass::RemoteTemp, "remote-temp"),
    (ReplyClass::Connection, "connection"),
    (ReplyClass::Expired, "expired"),
    (ReplyClass::Local, "local"),
    (ReplyClass::Other, "other"),
];

impl ReplyClass {
    /// How many classes there are.
    pub const COUNT: usize = REPLY_WORDS.len();

    /// Every class, in the order of declaration.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        REPLY_WORDS.iter().map(|(class, _)| *class)
    }

    /// The word as it stands in `events` and in reports.
    pub fn as_str(self) -> &'static str {
        REPLY_WORDS.get(self.index()).map_or("other", |(_, word)| word)
    }

    /// The class of a word, whatever its case.
    pub fn parse(word: &str) -> Option<Self> {
        REPLY_WORDS.iter().find(|(_, known)| known.eq_ignore_ascii_case(word.trim())).map(|(class, _)| *class)
    }

    /// The position in the order of declaration.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether a reply of this class counts as reputation or rate blocking (RB events, SPEC §4).
    pub const fn is_rb(self) -> bool {
        matches!(
            self,
            Self::Throttle
                | Self::ThrottleReputation
                | Self::IpBlocklist
                | Self::IpReputation
                | Self::DomainReputation
                | Self::DomainBlocklist
        )
    }
}

impl fmt::Display for ReplyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ReplyClass {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReplyClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::parse(&word).ok_or_else(|| {
            let all: Vec<&str> = Self::all().map(Self::as_str).collect();
            serde::de::Error::custom(format!("unknown reply class {word:?}; one of {}", all.join(", ")))
        })
    }
}

/// Whose fault a bounce is, the column `bounce_class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BounceClass {
    /// The address is gone.
    Hard,
    /// It may work later.
    Soft,
    /// The sender was refused.
    Block,
}

impl BounceClass {
    /// Every class, in the order of declaration.
    pub const ALL: &'static [Self] = &[Self::Hard, Self::Soft, Self::Block];

    /// The word as it stands in `events` and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Block => "block",
        }
    }

    /// The class of a word, whatever its case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.as_str().eq_ignore_ascii_case(word.trim()))
    }

    /// The position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The class that a bounce category names itself: `hard`, `Soft`, `hard-bounce`, `block_bounce`, `blocked`.
    pub fn of_category(category: &str) -> Option<Self> {
        let word = category.trim();
        let stem = ["bounces", "bounced", "bounce"]
            .iter()
            .find_map(|ending| strip_suffix_ignoring_case(word, ending))
            .unwrap_or(word);
        let stem = stem.trim_end_matches(['-', '_', ' ', '.']);
        if stem.eq_ignore_ascii_case("blocked") { Some(Self::Block) } else { Self::parse(stem) }
    }
}

impl fmt::Display for BounceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn strip_suffix_ignoring_case<'a>(word: &'a str, ending: &str) -> Option<&'a str> {
    let (head, tail) = word.split_at_checked(word.len().checked_sub(ending.len())?)?;
    tail.eq_ignore_ascii_case(ending).then_some(head)
}

/// The part of `assets/bounce-classes.toml` that a configuration wants otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BounceOverrides {
    /// By reply class.
    pub reply: BTreeMap<String, BounceClass>,
    /// By enhanced status code or a leading part of it.
    pub status: BTreeMap<String, BounceClass>,
    /// By bounce category.
    pub category: BTreeMap<String, BounceClass>,
    /// By the first digit of the status, after the category was asked.
    pub last: BTreeMap<String, BounceClass>,
}

/// Why a table of bounce classes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TOML text is not such a table.
    #[error("bounce classes: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A key of `reply` is no reply class.
    #[error("bounce classes: {0:?} is no reply class")]
    UnknownReply(String),
}

/// The table that decides between hard, soft and block.
#[derive(Debug, Clone)]
pub struct BounceClasses {
    reply: [Option<BounceClass>; ReplyClass::COUNT],
    status: HashMap<String, BounceClass>,
    category: HashMap<String, BounceClass>,
    last: HashMap<String, BounceClass>,
}

impl Default for BounceClasses {
    fn default() -> Self {
        Self {
            reply: [None; ReplyClass::COUNT],
            status: HashMap::new(),
            category: HashMap::new(),
            last: HashMap::new(),
        }
    }
}

impl BounceClasses {
    /// The table that comes with the program.
    pub fn builtin() -> Self {
        // A test holds the asset to be sound; a broken one would only mean that every bounce is soft.
        Self::parse(BUILTIN).unwrap_or_default()
    }

    /// Reads a table written like `assets/bounce-classes.toml`.
    ///
    /// # Errors
    /// When the text is no such table or names an unknown reply class.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut classes = Self::default();
        classes.extend(toml::from_str(text)?)?;
        Ok(classes)
    }

    /// The table of the program with entries that win over it.
    ///
    /// # Errors
    /// When an entry names an unknown reply class.
    pub fn with_overrides(overrides: BounceOverrides) -> Result<Self, Error> {
        let mut classes = Self::builtin();
        classes.extend(overrides)?;
        Ok(classes)
    }

    fn extend(&mut self, table: BounceOverrides) -> Result<(), Error> {
        for (word, class) in table.reply {
            let reply = ReplyClass::parse(&word).ok_or(Error::UnknownReply(word))?;
            if let Some(slot) = self.reply.get_mut(reply.index()) {
                *slot = Some(class);
            }
        }
        self.status.extend(table.status);
        self.category.extend(table.category.into_iter().map(|(name, class)| (name.to_ascii_lowercase(), class)));
        self.last.extend(table.last);
        Ok(())
    }

    /// The class of a bounce from its reply class, its status (`5.1.1`, or a bare `550`) and its category.
    pub fn class_of(&self, reply: Option<ReplyClass>, status: &str, category: &str) -> BounceClass {
        if let Some(explicit) = BounceClass::of_category(category) {
            return explicit;
        }
        let status =
            status.split(|c: char| c.is_whitespace() || c == '(').find(|part| !part.is_empty()).unwrap_or_default();
        let by_status = self.by_status(status);
        if reply == Some(ReplyClass::Local) && by_status == Some(BounceClass::Hard) {
            return BounceClass::Hard;
        }
        reply
            .and_then(|reply| self.reply.get(reply.index()).copied().flatten())
            .or(by_status)
            .or_else(|| self.by_category(category))
            .or_else(|| self.last.get(status.get(..1)?).copied())
            .unwrap_or(BounceClass::Soft)
    }

    /// The entry of the longest leading part: 5.1.1, 5.1, 5; of a bare 450 the first digit.
    fn by_status(&self, status: &str) -> Option<BounceClass> {
        let mut part = status;
        loop {
            if let Some(class) = self.status.get(part) {
                return Some(*class);
            }
            let Some((shorter, _)) = part.rsplit_once('.') else {
                break;
            };
            part = shorter;
        }
        self.status.get(part.get(..1)?).copied()
    }

    fn by_category(&self, category: &str) -> Option<BounceClass> {
        let category = category.trim();
        self.category.get(category).or_else(|| self.category.get(&category.to_ascii_lowercase())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_class_has_its_word_and_back() {
        for (at, class) in ReplyClass::all().enumerate() {
            assert_eq!(class.index(), at);
            assert_eq!(ReplyClass::parse(&class.as_str().to_uppercase()), Some(class));
        }
        assert_eq!(ReplyClass::Other.index() + 1, ReplyClass::COUNT);
        assert_eq!(ReplyClass::all().filter(|class| class.is_rb()).count(), 6);
    }

    #[test]
    fn an_explicit_category_decides_before_everything() {
        let classes = BounceClasses::builtin();
        for (category, class) in [
            ("hard", BounceClass::Hard),
            ("Soft", BounceClass::Soft),
            ("block", BounceClass::Block),
            ("Hard-Bounce", BounceClass::Hard),
            ("soft_bounce", BounceClass::Soft),
            ("SoftBounce", BounceClass::Soft),
            ("blocked", BounceClass::Block),
        ] {
            assert_eq!(classes.class_of(Some(ReplyClass::Throttle), "4.7.0", category), class, "{category}");
        }
        assert_eq!(BounceClass::of_category("bad-mailbox"), None);
        assert_eq!(BounceClass::of_category("bounce"), None);
        assert_eq!(BounceClass::of_category("é"), None);
    }

    #[test]
    fn reply_then_status_then_category_decide() {
        let classes = BounceClasses::parse(BUILTIN).unwrap();
        for (reply, status, category, class) in [
            (Some(ReplyClass::UnknownUser), "5.7.1", "spam-related", BounceClass::Hard),
            (Some(ReplyClass::IpBlocklist), "5.1.1", "bad-mailbox", BounceClass::Block),
            (Some(ReplyClass::MailboxFull), "5.2.2", "bad-mailbox", BounceClass::Soft),
            (Some(ReplyClass::Other), "5.1.1 (bad destination)", "", BounceClass::Hard),
            (None, "5.1.1", "spam-related", BounceClass::Hard),
            (None, "5.7.606", "", BounceClass::Block),
            (None, "5.7.13", "", BounceClass::Hard),
            (None, "4.4.7", "bad-mailbox", BounceClass::Soft),
            (None, "450", "", BounceClass::Soft),
            (None, "5.0.0", "spam-related", BounceClass::Block),
            (None, "5.0.0", "Bad-Mailbox", BounceClass::Hard),
            (None, "5.3.0", "", BounceClass::Hard),
            (None, "550", "", BounceClass::Hard),
            (None, "550", "quota-issues", BounceClass::Soft),
            (None, "", "bad-mailbox", BounceClass::Hard),
            (None, "", "something-else", BounceClass::Soft),
            (None, "", "", BounceClass::Soft),
            (None, "é", "é", BounceClass::Soft),
        ] {
            assert_eq!(classes.class_of(reply, status, category), class, "{reply:?} {status} {category}");
        }
    }

    #[test]
    fn what_the_operator_did_is_soft_unless_the_status_says_the_address_is_gone() {
        let classes = BounceClasses::builtin();
        assert_eq!(classes.class_of(Some(ReplyClass::Local), "5.7.1", "policy-related"), BounceClass::Soft);
        assert_eq!(classes.class_of(Some(ReplyClass::Local), "5.1.1", ""), BounceClass::Hard);
    }

    #[test]
    fn the_configuration_wins_over_the_table() {
        let overrides =
            toml::from_str("reply = { policy = 'soft' }\nstatus = { '5' = 'block' }\ncategory = { custom = 'hard' }")
                .unwrap();
        let classes = BounceClasses::with_overrides(overrides).unwrap();
        assert_eq!(classes.class_of(Some(ReplyClass::Policy), "5.7.1", ""), BounceClass::Soft);
        assert_eq!(classes.class_of(None, "5.0.0", "bad-mailbox"), BounceClass::Block);
        assert_eq!(classes.class_of(None, "", "custom"), BounceClass::Hard);
        let wrong: BounceOverrides = toml::from_str("reply = { nonsense = 'soft' }").unwrap();
        assert!(BounceClasses::with_overrides(wrong).is_err());
    }
}
