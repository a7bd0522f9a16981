//! Hiding recipients (SPEC §12): of every address the first letter and the domain stay. `a*@example.com` is a
//! pattern too, so that a filter taken from it still finds the rows.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::table::{Table, Value};

/// An address in a text: what is kept of it is in the groups.
pub const ADDRESS: &str = r#"(?:"[^"@]*"|([^\s<>()\[\],;:"@=])[^\s<>()\[\],;:"@=]*)@"#;
/// What takes its place, as SQL's `regexp_replace` writes it.
pub const ADDRESS_KEPT: &str = r"\1*@";
/// A recipient inside of an envelope sender (VERP).
pub const INNER: &str = r#"[^@\s+,;:<>"-]+=[^@\s,;:<>"]+@"#;
/// What takes its place.
pub const INNER_KEPT: &str = "*@";

/// The columns of `events` that may hold a recipient.
pub const COLUMNS: &[&str] = &["recipient", "dsn_diag", "headers", "custom_header"];
/// The column that may hold one inside of an address that is not hidden.
pub const SENDER: &str = "sender";

/// Columns whose addresses are none of recipients.
const OURS: &[&str] = &["message_id", "env_id", "path", "name", "sha256", "file"];

static ADDRESSES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(ADDRESS).ok());
static GROUPED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"[^@\s+,;:<>"*=(-]+=(<address>|\*)"#).ok());
static INNERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(INNER).ok());

/// A text with every address in it hidden.
pub fn words(text: &str) -> String {
    replaced(&ADDRESSES, &sender(text), "${1}*@")
}

/// A sender with a recipient inside of it hidden.
pub fn sender(text: &str) -> String {
    replaced(&INNERS, text, INNER_KEPT)
}

/// A group of replies: grouping put something else in the place of addresses, but not of a recipient's name
/// before it.
fn template(text: &str) -> String {
    replaced(&GROUPED, &words(text), "*=${1}")
}

fn replaced(pattern: &LazyLock<Option<Regex>>, text: &str, kept: &str) -> String {
    match &**pattern {
        Some(pattern) => pattern.replace_all(text, kept).into_owned(),
        // The patterns are constants and tested; if one were wrong, nothing may be seen.
        None => "*".to_owned(),
    }
}

/// Hides recipients in all cells of a table.
pub fn table(table: &mut Table) {
    for (at, head) in table.heads.iter().enumerate() {
        if OURS.contains(&&*head.name) {
            continue;
        }
        let hide = match &*head.name {
            SENDER => sender,
            "reply" | "reply_pattern" => template,
            _ => words,
        };
        for row in &mut table.rows {
            if let Some(Value::Text(text)) = row.get_mut(at)
                && text.contains(['@', '='])
            {
                *text = Arc::from(hide(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::table::Unit;

    #[test]
    fn addresses_keep_their_first_letter_and_domain() {
        assert_eq!(words("alice@example.com"), "a*@example.com");
        assert_eq!(words("550 <Bob.B+x@x.de>: RCPT TO:<c@y.org> unknown"), "550 <B*@x.de>: RCPT TO:<c*@y.org> unknown");
        assert_eq!(words(r#"{"to":"dora@z.net"}"#), r#"{"to":"d*@z.net"}"#);
        assert_eq!(words("\"john doe\"@x.de o'neil/b@y.ie"), "*@x.de o*@y.ie");
        assert_eq!(words("d,b+1=alice=z.net@news.net,alice@z.net"), "d,b*@news.net,a*@z.net");
        assert_eq!(words("no address"), "no address");
    }

    #[test]
    fn a_recipient_within_a_sender_is_hidden_and_the_sender_is_not() {
        assert_eq!(sender("bounce-alice=example.com@news.net"), "bounce-*@news.net");
        assert_eq!(sender("info@news.net"), "info@news.net");
    }

    #[test]
    fn every_text_of_a_table_is_hidden_but_ids() {
        let mut rows = Table::with_heads([("recipient", Unit::Text), ("message_id", Unit::Text)]);
        rows.rows.push(vec![Value::text("alice@example.com"), Value::text("<1.2@mta>")]);
        table(&mut rows);
        assert_eq!(rows.rows[0], [Value::text("a*@example.com"), Value::text("<1.2@mta>")]);
    }
}
