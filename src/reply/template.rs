//! The shape of a reply without its particulars, by which unknown replies are grouped; and the address it complains about.

use std::net::IpAddr;

use super::normalise::is_delimiter;
use crate::event::status::reply_of;

/// Words of host names that stay in a template: they name the list that refused, not one server among many.
const KEPT_HOSTS: &[&str] = &[
    "spamhaus",
    "spamcop",
    "sorbs",
    "barracuda",
    "uceprotect",
    "surbl",
    "uribl",
    "cloudmark",
    "proofpoint",
    "invaluement",
    "mimecast",
    "abuseat",
    "mailspike",
    "senderscore",
];

const WEEKDAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The reply with `<address>`, `<ip>`, `<host>`, `<id>`, `<date>` and `<n>` in place of what differs from message to message.
pub fn template(diag: &str) -> String {
    let (code, text) = split_code(reply_of(diag));
    let mut out = String::with_capacity(code.len() + text.len());
    out.push_str(code);
    let mut repeated = false;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let rest = without_repeat(word, code);
        // The enhanced code comes again with the reply code.
        let again = (repeated || rest.len() < word.len()) && (rest.is_empty() || is_enhanced(rest));
        repeated = again && rest.is_empty();
        if again {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, rest);
    }
    out
}

/// The reply code and what follows it.
fn split_code(reply: &str) -> (&str, &str) {
    match reply.split_at_checked(3) {
        Some((code, text))
            if code.bytes().all(|b| b.is_ascii_digit())
                && !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') =>
        {
            (code, text.trim_start_matches('-'))
        }
        _ => ("", reply),
    }
}

/// A word without the reply code in front of it, which joined lines of one reply repeat: `550-5.7.1`, `550`.
fn without_repeat<'a>(word: &'a str, code: &str) -> &'a str {
    match word.strip_prefix(code) {
        Some("") if !code.is_empty() => "",
        Some(rest) if !code.is_empty() => rest.strip_prefix('-').unwrap_or(word),
        _ => word,
    }
}

/// Writes one word, token by token.
fn push_word(out: &mut String, word: &str) {
    let link = word.contains("://");
    let mut rest = word;
    while !rest.is_empty() {
        let (token, tail) = rest.split_at(token_end(rest));
        push_token(out, token, link);
        let mut chars = tail.chars();
        if let Some(delimiter) = chars.next() {
            out.push(delimiter);
        }
        rest = chars.as_str();
    }
}

/// Where the token at the start ends. A colon inside an IPv6 address or a time belongs to it.
fn token_end(text: &str) -> usize {
    let plain = text.bytes().position(|b| b != b':' && (is_delimiter(b) || b == b'=')).unwrap_or(text.len());
    let whole = text.get(..plain).unwrap_or(text);
    let colons = whole.trim_end_matches(':');
    if colons.parse::<IpAddr>().is_ok() || is_time(colons) || is_date(colons) {
        return colons.len();
    }
    whole.find(':').unwrap_or(plain)
}

fn push_token(out: &mut String, token: &str, link: bool) {
    let bare = token.trim_end_matches(['.', '*']);
    let ending = token.get(bare.len()..).unwrap_or_default();
    let masked = if bare.is_empty() {
        ""
    } else if bare.contains('@') && bare.len() > 1 {
        "<address>"
    } else if bare.parse::<IpAddr>().is_ok() {
        "<ip>"
    } else if is_enhanced(bare) {
        bare
    } else if is_time(bare) || is_date(bare) {
        "<date>"
    } else if is_number(bare) {
        "<n>"
    } else if is_id(bare) {
        "<id>"
    } else if !link && is_host(bare) {
        "<host>"
    } else {
        bare
    };
    out.push_str(masked);
    out.push_str(ending);
}

fn is_enhanced(word: &str) -> bool {
    let mut parts = word.split('.');
    matches!(parts.next(), Some("2" | "4" | "5"))
        && parts.clone().count() == 2
        && parts.all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// `12:30`, `12:30:45`, `12:30:45.123Z`.
fn is_time(word: &str) -> bool {
    word.contains(':')
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z'))
        && word.split(':').all(|part| part.len() >= 2)
}

/// `2024-01-31`, `2024-01-31T12`, names of days and months.
fn is_date(word: &str) -> bool {
    let lower = |list: &[&str]| word.len() == 3 && list.iter().any(|name| name.eq_ignore_ascii_case(word));
    let bytes = word.as_bytes();
    let iso = bytes.len() >= 10
        && bytes.iter().take(10).enumerate().all(
            |(at, b)| {
                if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() }
            },
        );
    iso || lower(WEEKDAYS) || lower(MONTHS)
}

/// A number of two digits and more; a single digit may tell one cause from another.
fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches(['#', '-', '+']);
    word.len() >= 2
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

/// A hex run or another mix of letters and digits: queue ids, session ids, message ids.
fn is_id(word: &str) -> bool {
    if word.len() < 8 || !word.is_ascii() || is_named_code(word) {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let symbols =
        word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'.' | b'~' | b'$' | b'%'));
    let looks_like_host = word.contains('.') && is_host(word);
    (hex && digits >= 1) || (symbols && digits >= 3 && !looks_like_host)
}

/// The documented codes of providers (`RL000001`, `AS16012611`, `OFR005_104`) are what a template is about.
fn is_named_code(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    let rest = word.get(letters..).unwrap_or_default();
    let (number, suffix) = rest.split_once('_').unwrap_or((rest, ""));
    (1..=4).contains(&letters)
        && (1..=8).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && suffix.len() <= 3
        && suffix.bytes().all(|b| b.is_ascii_digit())
}

fn is_host(word: &str) -> bool {
    let Some((labels, top)) = word.rsplit_once('.') else {
        return false;
    };
    let name = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_') || b >= 0x80)
    };
    let known = KEPT_HOSTS
        .iter()
        .any(|kept| memchr::memmem::find(word.to_ascii_lowercase().as_bytes(), kept.as_bytes()).is_some());
    top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic()) && labels.split('.').all(name) && !known
}

/// The first IP address in a reply: where an address is refused, the servers name it first.
pub fn first_ip(diag: &str) -> Option<IpAddr> {
    reply_of(diag)
        .split(|c: char| c.is_whitespace() || (c.is_ascii() && c != ':' && is_delimiter(c as u8)) || c == '=')
        .find_map(|word| {
            let word = word.trim_end_matches(['.', ':']);
            word.parse().ok().or_else(|| word.split_once(':').and_then(|(head, tail)| parse_either(head, tail)))
        })
}

/// `1.2.3.4:25` and `ip:1.2.3.4`.
fn parse_either(head: &str, tail: &str) -> Option<IpAddr> {
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4);
    v4(head).or_else(|| v4(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_message_to_message_is_replaced() {
        for (diag, shape) in [
            ("smtp;550 5.1.1 <joe@example.com>: no such user", "550 5.1.1 <<address>>: no such user"),
            ("smtp;421 4.7.0 [192.0.2.1] slow down", "421 4.7.0 [<ip>] slow down"),
            (
                "550-5.7.1 one 550-5.7.1 two 550 5.7.1 three d9443c01a7336-1f1234si123456pla.123 - gsmtp",
                "550 5.7.1 one two three <id> - gsmtp",
            ),
            (
                "451 4.7.650 limited (S843) [AM6PR01.prod.protection.outlook.com 2024-01-31T12:00:01.123Z 08DC1234ABCD]",
                "451 4.7.650 limited (S843) [<host> <date> <id>]",
            ),
            (
                "421 see http://postmaster.comcast.net/smtp-error-codes.php#RL000003",
                "421 see http://postmaster.comcast.net/smtp-error-codes.php#RL000003",
            ),
            ("421 try again in 237 seconds", "421 try again in <n> seconds"),
            (
                "554 blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7",
                "554 blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/<ip>",
            ),
            ("450 from 2001:db8::1: deferred at 12:30:45", "450 from <ip>: deferred at <date>"),
            ("421 ME Trop de connexions. OFR005_104 [104]", "421 ME Trop de connexions. OFR005_104 [<n>]"),
            ("", ""),
        ] {
            assert_eq!(template(diag), shape, "{diag}");
        }
    }

    #[test]
    fn replies_that_differ_only_in_particulars_share_a_template() {
        assert_eq!(
            template("smtp;554 5.7.1 id 4F1A23C0B12 from [192.0.2.1] refused"),
            template("554 5.7.1 id 9BC0012FFE7 from [198.51.100.9] refused")
        );
    }

    #[test]
    fn the_refused_address_is_found_in_any_dress() {
        for (diag, ip) in [
            ("554 IP=11.22.33.44 - A problem occurred", Some("11.22.33.44")),
            ("550 [1.2.3.4]:24706 is in an RBL", Some("1.2.3.4")),
            ("550 see http://x.example/?ip=1.2.3.4.", Some("1.2.3.4")),
            ("421 host 1.2.3.4:25 slow", Some("1.2.3.4")),
            ("421 [2001:db8::1] slow", Some("2001:db8::1")),
            ("421 4.7.0 slow", None),
        ] {
            assert_eq!(first_ip(diag).map(|ip| ip.to_string()).as_deref(), ip, "{diag}");
        }
    }
}
