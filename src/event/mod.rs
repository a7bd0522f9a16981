//! What one row of a PowerMTA log is: the vocabulary that every later stop shares, without I/O.
//!
//! [`COLUMNS`] is the one table of the `events` columns: schema, header mapping, detail pane and
//! completion are loops over it.

pub mod bounce;
pub mod file_status;
pub mod provider;
pub mod schema;
pub mod status;

/// A point in time: microseconds since 1970, UTC.
pub type Micros = i64;

/// Declares an enum of fixed words with `as_str`, `parse`, `ALL` and a dense `index`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* #[doc = concat!("`", $word, "`")] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands in `events` and in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word, whatever its case.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(word))
            }

            /// The position in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// A file's role (`event_type`), which every row of it takes (SPEC §3). The order is the rank of
    /// SPEC §2.6 when files fill equally many key columns.
    Role { Acct = "acct", Bounce = "bounce", Tran = "tran", Fbl = "fbl", Rb = "rb" }
}

impl Role {
    /// The role's bit in a set of roles.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

words! {
    /// PowerMTA's own record code, the first cell of a row.
    RecordType {
        /// Delivery.
        D = "d",
        /// Local bounce.
        B = "b",
        /// Transient failure of one attempt.
        T = "t",
        /// Transient failure of a queue.
        Tq = "tq",
        /// Receipt: accepted for delivery.
        R = "r",
        /// Feedback-loop report.
        F = "f",
        /// Remote (asynchronous) bounce.
        Rb = "rb",
        /// Remote status.
        Rs = "rs",
    }
}

impl RecordType {
    /// The record type of a `type` cell: PowerMTA's short code or the long name that a
    /// configuration may use for it.
    pub fn of_cell(cell: &str) -> Option<Self> {
        const LONG: &[(&str, RecordType)] = &[
            ("delivery", RecordType::D),
            ("delivered", RecordType::D),
            ("bounce", RecordType::B),
            ("transient", RecordType::T),
            ("transient-queue", RecordType::Tq),
            ("receipt", RecordType::R),
            ("received", RecordType::R),
            ("feedback-loop", RecordType::F),
            ("fbl", RecordType::F),
            ("remote-bounce", RecordType::Rb),
            ("remote-status", RecordType::Rs),
        ];
        let cell = cell.trim();
        Self::parse(cell)
            .or_else(|| LONG.iter().find(|(name, _)| name.eq_ignore_ascii_case(cell)).map(|(_, record)| *record))
    }
}

words! {
    /// What happened, in one word (SPEC §3).
    Kind {
        Delivered = "delivered",
        Bounced = "bounced",
        Deferred = "deferred",
        Complaint = "complaint",
        RemoteBounce = "remote_bounce",
        RateBlock = "rate_block",
        Received = "received",
        QueueError = "queue_error",
        /// Inbound `d` rows, `rs` rows, `b` rows of category success, reports that are no complaint.
        Status = "status",
    }
}

/// How a column of `events` is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// UTF-8 text with few distinct values in a file: kept as a dictionary while in memory.
    Word,
    /// UTF-8 text, mostly distinct.
    Text,
    /// Microseconds since 1970, UTC.
    Time,
    /// Days since 1970, UTC.
    Date,
    /// 64-bit integer.
    Int,
    /// True or false.
    Flag,
}

/// One column of `events`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in SQL, exports and the detail pane.
    pub name: &'static str,
    /// How it is stored.
    pub store: Store,
    /// The PowerMTA columns that fill it, most trusted first; compared without case. Empty: derived.
    pub sources: &'static [&'static str],
}

const fn column(name: &'static str, store: Store, sources: &'static [&'static str]) -> Column {
    Column { name, store, sources }
}

/// The columns of `events` (SPEC §3). Names besides PowerMTA's own are those of acctfind and of
/// vendor-style exports (`reference/powermta-files.md` §3, §6).
pub const COLUMNS: &[Column] = &[
    column("event_type", Store::Word, &[]),
    column("record_type", Store::Word, &["type"]),
    column("kind", Store::Word, &[]),
    column("event_time", Store::Time, &["timeLogged", "timeDelivered", "timestamp"]),
    column("queued_time", Store::Time, &["timeQueued"]),
    column("date", Store::Date, &[]),
    column("job_id", Store::Word, &["jobId"]),
    column("user_id", Store::Word, &["rcvSmtpUser"]),
    column("sender", Store::Text, &["orig", "from"]),
    column("sender_domain", Store::Word, &[]),
    column("recipient", Store::Text, &["rcpt", "to"]),
    column("recipient_domain", Store::Word, &["domain"]),
    column("provider", Store::Word, &[]),
    column("vmta", Store::Word, &["vmta"]),
    column("vmta_pool", Store::Word, &["vmtaPool"]),
    column("source_ip", Store::Word, &["dlvSourceIp"]),
    column("destination_ip", Store::Word, &["dlvDestinationIp", "dstIp"]),
    column("env_id", Store::Text, &["envId"]),
    column("message_id", Store::Text, &[]),
    column("custom_header", Store::Text, &[]),
    column("queue", Store::Word, &["queue"]),
    column("smtp_status", Store::Word, &["dsnStatus"]),
    column("smtp_code", Store::Int, &[]),
    column("dsn_action", Store::Word, &["dsnAction"]),
    column("dsn_diag", Store::Text, &["dsnDiag"]),
    column("dsn_mta", Store::Word, &["dsnMta"]),
    column("bounce_category", Store::Word, &["bounceCat"]),
    column("bounce_class", Store::Word, &[]),
    column("reply_class", Store::Word, &[]),
    column("is_rb", Store::Flag, &[]),
    column("host", Store::Word, &["userString"]),
    column("delivery_latency_ms", Store::Int, &[]),
    column("size_bytes", Store::Int, &["dlvSize"]),
    column("headers", Store::Text, &[]),
    column("file_id", Store::Int, &[]),
    column("row_number", Store::Int, &[]),
];

/// The position of a column in [`COLUMNS`].
pub fn column_index(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// The part of an address behind its last `@`, in lower case; empty where there is none.
pub fn domain_of(address: &str) -> String {
    let address = address.trim().trim_end_matches('>');
    match address.rsplit_once('@') {
        Some((_, domain)) => domain.trim_end_matches('.').to_lowercase(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_cell_may_hold_the_short_code_or_the_long_name() {
        assert_eq!(RecordType::of_cell("tq"), Some(RecordType::Tq));
        assert_eq!(RecordType::of_cell("Feedback-Loop"), Some(RecordType::F));
        assert_eq!(RecordType::of_cell("type"), None);
    }

    #[test]
    fn the_domain_of_an_address_is_what_follows_the_last_at() {
        assert_eq!(domain_of("\"a@b\"@Example.COM"), "example.com");
        assert_eq!(domain_of("nobody"), "");
    }
}
