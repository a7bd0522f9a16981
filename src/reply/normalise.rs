//! Brings a `dsnDiag` cell into the form that the catalogue's patterns are written for: one line, lower case, without
//! diagnostic type, repeated reply codes, addresses and IPv4 numbers.

use crate::event::status::reply_of;

/// What stands in the text for any mail address: words inside an address must not be taken for the server's.
const ADDRESS: u8 = b'@';

/// What stands for any IPv4 address, so that `64.4.7.1` is not read as 4.7.1.
const IPV4: &[u8] = b"0.0.0.0";

/// The text that patterns are matched against; bytes, because only ASCII is folded.
pub(super) fn normalised(diag: &str) -> Vec<u8> {
    let reply = reply_of(diag).as_bytes();
    let code = leading_code(reply);
    let mut out = Vec::with_capacity(reply.len() + 8);
    let mut token = 0;
    for &byte in reply {
        if byte <= b' ' || byte == 0x7f {
            close(&mut out, &mut token, code);
            if out.last().is_some_and(|last| *last != b' ') {
                out.push(b' ');
            }
            token = out.len();
        } else if is_delimiter(byte) {
            close(&mut out, &mut token, code);
            out.push(byte);
            token = out.len();
        } else {
            out.push(byte.to_ascii_lowercase());
        }
    }
    close(&mut out, &mut token, code);
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out
}

/// Ends the token that began at `token`: masks it, or splits a reply code from what follows.
fn close(out: &mut Vec<u8>, token: &mut usize, code: Option<[u8; 3]>) {
    let start = *token;
    let Some(word) = out.get(start..).filter(|word| !word.is_empty()) else {
        return;
    };
    if word.len() > 1 && word.contains(&b'@') {
        out.truncate(start);
        out.push(ADDRESS);
    } else if is_ipv4(word) {
        out.truncate(start);
        out.extend_from_slice(IPV4);
    } else if let Some(code) = code
        && word.starts_with(&code)
        && (start == 0 || out.get(start - 1) == Some(&b' '))
    {
        settle_code(out, start);
    }
    *token = out.len();
}

/// `550-5.7.1` at the start becomes `550 5.7.1`; a repeat of the code further on goes away.
fn settle_code(out: &mut Vec<u8>, start: usize) {
    let separator = out.get(start + 3).copied();
    if start == 0 {
        if separator == Some(b'-')
            && let Some(byte) = out.get_mut(3)
        {
            *byte = b' ';
        }
        return;
    }
    match separator {
        None => out.truncate(start),
        Some(b'-') => {
            out.drain(start..start + 4);
            // The enhanced code is repeated with the reply code.
            if out.get(start..).is_some_and(is_enhanced) {
                out.truncate(start);
            }
        }
        Some(_) => {}
    }
}

fn leading_code(reply: &[u8]) -> Option<[u8; 3]> {
    let &[a @ b'2'..=b'5', b, c, ..] = reply else {
        return None;
    };
    (b.is_ascii_digit() && c.is_ascii_digit() && !reply.get(3).is_some_and(u8::is_ascii_digit)).then_some([a, b, c])
}

fn is_enhanced(word: &[u8]) -> bool {
    let mut parts = word.split(|b| *b == b'.');
    matches!(parts.next(), Some(b"2" | b"4" | b"5")) && parts.clone().count() == 2 && parts.all(is_short_number)
}

fn is_ipv4(word: &[u8]) -> bool {
    word.len() <= 16 && {
        let word = word.strip_suffix(b".").unwrap_or(word);
        word.split(|b| *b == b'.').count() == 4 && word.split(|b| *b == b'.').all(is_short_number)
    }
}

fn is_short_number(part: &[u8]) -> bool {
    (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
}

/// What ends a word within a reply. `=` does not: VERP addresses hold it.
pub(super) const fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'<' | b'>'
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b','
            | b';'
            | b':'
            | b'"'
            | b'\''
            | b'|'
            | b'/'
            | b'?'
            | b'&'
            | b'!'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(diag: &str) -> String {
        String::from_utf8(normalised(diag)).unwrap()
    }

    #[test]
    fn prefixes_repeats_and_blanks_go_away() {
        assert_eq!(
            text("smtp;550-5.7.1 Text one 550-5.7.1 more\r\n550 5.7.1  end - gsmtp"),
            "550 5.7.1 text one more 5.7.1 end - gsmtp"
        );
        assert_eq!(text("SMTP; 552-5.2.3 Too large"), "552 5.2.3 too large");
        assert_eq!(text("554-gmx.net No 554-No SMTP service 554 For"), "554 gmx.net no no smtp service for");
        assert_eq!(text(""), "");
        assert_eq!(text("smtp;"), "");
    }

    #[test]
    fn addresses_and_numbers_of_hosts_are_masked() {
        assert_eq!(text("550 5.1.1 <Spam.Virus@example.com>: no such user"), "550 5.1.1 <@>: no such user");
        assert_eq!(text("421 4.7.0 [64.4.7.1] slow"), "421 4.7.0 [0.0.0.0] slow");
        assert_eq!(text("421 4.16.55.1; see 4.16.50"), "421 0.0.0.0; see 4.16.50");
        assert_eq!(
            text("see https://www.spamhaus.org/query/ip/192.0.2.1"),
            "see https://www.spamhaus.org/query/ip/0.0.0.0"
        );
    }
}
