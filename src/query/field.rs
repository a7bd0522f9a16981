//! What a scope can filter by and a report can group by: one table, from which flags, chips,
//! completion and SQL are made.

use crate::event::{COLUMNS, Column, column_index};

/// How a filter compares its value with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Letter by letter.
    Exact,
    /// Addresses, domains, providers: without case.
    IgnoreCase,
    /// `--status`: the enhanced status or the three-digit code.
    Status,
    /// `--file`: the name of a file of the catalog.
    File,
}

macro_rules! fields {
    ($($variant:ident { $name:literal, $column:literal, $compare:ident, $group:literal, $rollup:literal, $help:literal }),+ $(,)?) => {
        /// A field that a scope can filter by; some can also group a report.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field { $(#[doc = $help] $variant),+ }

        /// Every field, in the order in which chips and help show them.
        pub const FIELDS: &[Field] = &[$(Field::$variant),+];

        impl Field {
            /// The name in flags, chips and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The column of `events` behind it.
            pub const fn column_name(self) -> &'static str {
                match self { $(Self::$variant => $column),+ }
            }

            /// How values are compared.
            pub const fn compare(self) -> Compare {
                match self { $(Self::$variant => Compare::$compare),+ }
            }

            /// Whether reports may group by it (`--by`).
            pub const fn groups(self) -> bool {
                match self { $(Self::$variant => $group),+ }
            }

            /// Whether the rollups carry it; other fields are answered from raw Parquet.
            pub const fn in_rollup(self) -> bool {
                match self { $(Self::$variant => $rollup),+ }
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),+ }
            }
        }
    };
}

fields! {
    Job { "job", "job_id", Exact, true, true, "job (campaign) id" },
    User { "user", "user_id", Exact, true, true, "user who submitted the mail" },
    Sender { "sender", "sender", IgnoreCase, true, false, "envelope sender (MAIL FROM)" },
    SenderDomain { "sender-domain", "sender_domain", IgnoreCase, true, true, "domain of the envelope sender" },
    Domain { "domain", "recipient_domain", IgnoreCase, true, true, "recipient domain" },
    Provider { "provider", "provider", IgnoreCase, true, true, "who runs the mailboxes: Google, Yahoo, …" },
    Vmta { "vmta", "vmta", Exact, true, true, "virtual MTA" },
    Pool { "pool", "vmta_pool", Exact, true, true, "virtual MTA pool" },
    SourceIp { "source-ip", "source_ip", Exact, true, true, "our sending IP address" },
    Type { "type", "event_type", IgnoreCase, true, true, "file role: acct, tran, bounce, fbl, rb" },
    Kind { "kind", "kind", IgnoreCase, true, true, "delivered, bounced, deferred, complaint, …" },
    RecordType { "record-type", "record_type", IgnoreCase, true, true, "PowerMTA record type: d, b, t, tq, r, f, rb, rs" },
    BounceCategory { "bounce-category", "bounce_category", IgnoreCase, true, true, "PowerMTA's bounceCat" },
    BounceClass { "bounce-class", "bounce_class", IgnoreCase, true, true, "hard, soft or block" },
    ReplyClass { "reply-class", "reply_class", IgnoreCase, true, true, "what the reply means: throttle, ip-blocklist, …" },
    Status { "status", "smtp_status", Status, true, true, "5.1.1, 550 or 5*" },
    Recipient { "recipient", "recipient", IgnoreCase, true, false, "recipient address" },
    MessageId { "message-id", "message_id", Exact, false, false, "message id header" },
    CustomHeader { "custom-header", "custom_header", Exact, true, false, "configured header" },
    EnvId { "env-id", "env_id", Exact, false, false, "envelope id" },
    Queue { "queue", "queue", IgnoreCase, true, false, "PowerMTA queue: domain/vmta" },
    DsnMta { "dsn-mta", "dsn_mta", IgnoreCase, true, false, "the remote host that replied" },
    Reply { "reply", "dsn_diag", IgnoreCase, true, false, "text of the SMTP reply" },
    Host { "host", "host", Exact, true, false, "PowerMTA host" },
    File { "file", "file_id", File, false, false, "name of the log file" },
}

impl Field {
    /// The field of a name; `_` and `-` are the same, SPEC's column names are understood too.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase().replace('_', "-");
        FIELDS.iter().copied().find(|field| field.name() == name || field.column_name().replace('_', "-") == name)
    }

    /// The column's description.
    pub fn column(self) -> &'static Column {
        let index = column_index(self.column_name()).unwrap_or_default();
        &COLUMNS[index]
    }

    /// The column's name in a report: `source-ip` groups under `source_ip`.
    pub fn report_name(self) -> String {
        self.name().replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_on_a_column_of_events() {
        for field in FIELDS {
            assert!(column_index(field.column_name()).is_some(), "{}", field.name());
        }
    }

    #[test]
    fn a_field_is_found_by_its_name_and_by_its_column() {
        assert_eq!(Field::parse("source_ip"), Some(Field::SourceIp));
        assert_eq!(Field::parse("Recipient-Domain"), Some(Field::Domain));
        assert_eq!(Field::parse("nonsense"), None);
    }
}
