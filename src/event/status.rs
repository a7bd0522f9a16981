//! Reads the two cells in which PowerMTA keeps the outcome of an attempt, `dsnStatus` and `dsnDiag`.
//! Everything borrows: these functions run for each distinct cell while a file is decoded.

/// What one cell says about the outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status<'a> {
    /// The enhanced status code of RFC 3463, such as `5.1.1`.
    pub enhanced: Option<&'a str>,
    /// The three-digit reply code of RFC 5321, such as 550.
    pub code: Option<u16>,
}

/// Reads a `dsnStatus` cell: `5.1.1 (bad destination mailbox address)`, `2.0.0(success)`, `550`.
pub fn parse_status(cell: &str) -> Status<'_> {
    let cell = unquote(cell);
    let code = leading_code(cell);
    let rest = if code.is_some() { after_code(cell) } else { cell };
    // The words in brackets are RFC 3463's names, never a second code.
    let rest = rest.split('(').next().unwrap_or_default();
    Status { enhanced: leading_enhanced(rest).or_else(|| find_enhanced(rest)), code }
}

/// Reads a `dsnDiag` cell: `smtp;550-5.7.1 text`, `SMTP; 552-5.2.3 text`, `421 4.7.0 text`, PowerMTA's own text.
pub fn parse_diag(diag: &str) -> Status<'_> {
    let reply = reply_of(diag);
    let Some(code) = leading_code(reply) else {
        return Status { enhanced: leading_enhanced(reply).or_else(|| marked_enhanced(reply)), code: None };
    };
    let text = after_code(reply);
    Status { enhanced: leading_enhanced(text).or_else(|| marked_enhanced(text)), code: Some(code) }
}

/// The enhanced code of an event: that of `dsnStatus`, else that of the reply.
pub fn smtp_status<'a>(status_cell: &'a str, diag: &'a str) -> Option<&'a str> {
    parse_status(status_cell).enhanced.or_else(|| parse_diag(diag).enhanced)
}

/// The reply code of an event: the three digits of the reply, else those of a numeric `dsnStatus`.
pub fn smtp_code(status_cell: &str, diag: &str) -> Option<u16> {
    if diag.is_empty() {
        return parse_status(status_cell).code;
    }
    // What nearly every diagnosis begins with; the long way says the same of it.
    if let Some(code) = diag.strip_prefix("smtp;").and_then(leading_code) {
        return Some(code);
    }
    parse_diag(diag).code.or_else(|| parse_status(status_cell).code)
}

/// The server's own words in a `dsnDiag` cell: without the diagnostic type, quotes and, in forwarded
/// bounces, what another mailer put before `said:`.
pub fn reply_of(diag: &str) -> &str {
    let mut text = unquote(diag);
    if let Some((kind, rest)) = text.split_once(';')
        && is_diagnostic_type(kind.trim())
    {
        text = unquote(rest);
    }
    if leading_code(text).is_none()
        && let Some((_, said)) = text.split_once(" said: ")
        && leading_code(unquote(said)).is_some()
    {
        text = unquote(said);
    }
    text
}

fn unquote(cell: &str) -> &str {
    cell.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\u{feff}'))
        .trim_end_matches(|c: char| c.is_whitespace() || c == '"')
}

/// `smtp`, `x-unix`, `X-Postfix`: a diagnostic type of RFC 3464, with the letters and hyphens it may hold.
fn is_diagnostic_type(word: &str) -> bool {
    word.eq_ignore_ascii_case("smtp")
        || word.eq_ignore_ascii_case("lmtp")
        || (word.len() <= 24
            && word.starts_with(['x', 'X'])
            && word.as_bytes().get(1) == Some(&b'-')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn leading_code(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let &[a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] = bytes else {
        return None;
    };
    // `5.1.1` and `4210` are no reply codes; `421dynt1` and `550<a@b>` are.
    match bytes.get(3) {
        Some(b'0'..=b'9') => None,
        Some(b'.') if bytes.get(4).is_some_and(u8::is_ascii_digit) => None,
        _ => Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')),
    }
}

/// What follows a reply code that [`leading_code`] found.
fn after_code(text: &str) -> &str {
    text.get(3..).unwrap_or_default().trim_start_matches([' ', '-', '\t'])
}

/// The enhanced code at the start, also as qmail writes it: `#5.1.1`.
fn leading_enhanced(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches(['#', '(', '[']);
    let length = enhanced_length(text.as_bytes())?;
    text.get(..length)
}

/// An enhanced code elsewhere in the text, only where a `#` marks it: other dotted numbers are addresses or versions.
fn marked_enhanced(text: &str) -> Option<&str> {
    text.match_indices('#').find_map(|(at, _)| leading_enhanced(text.get(at..)?))
}

fn find_enhanced(text: &str) -> Option<&str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | ':')).find_map(leading_enhanced)
}

/// The length of the enhanced code that opens the text, or none.
fn enhanced_length(bytes: &[u8]) -> Option<usize> {
    if !matches!(bytes.first(), Some(b'2' | b'4' | b'5')) || bytes.get(1) != Some(&b'.') {
        return None;
    }
    let subject = digits(bytes.get(2..)?)?;
    if bytes.get(2 + subject) != Some(&b'.') {
        return None;
    }
    let length = 3 + subject + digits(bytes.get(3 + subject..)?)?;
    let more = bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
    // A fourth part makes it an IPv4 address.
    (!more).then_some(length)
}

/// How many digits open the text, if one to three.
fn digits(bytes: &[u8]) -> Option<usize> {
    let count = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=3).contains(&count).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_cell_yields_its_leading_code_only() {
        for (cell, enhanced, code) in [
            ("5.1.1 (bad destination mailbox address)", Some("5.1.1"), None),
            ("2.0.0(success)", Some("2.0.0"), None),
            ("2.0.0 (success)", Some("2.0.0"), None),
            ("550", None, Some(550)),
            ("550 5.7.1", Some("5.7.1"), Some(550)),
            ("5.7.606 (x)", Some("5.7.606"), None),
            ("4.4.1 (no answer from host, see 5.1.1)", Some("4.4.1"), None),
            (" \"4.7.0\" ", Some("4.7.0"), None),
            ("", None, None),
            ("5", None, None),
            ("5.1", None, None),
            ("6.1.1", None, None),
            ("5.1.1234", None, None),
            ("failed", None, None),
            ("5.1.1.4", None, None),
        ] {
            assert_eq!(parse_status(cell), Status { enhanced, code }, "{cell}");
        }
    }

    #[test]
    fn a_diag_cell_is_read_behind_any_prefix() {
        for (diag, enhanced, code) in [
            ("smtp;550-5.7.1 [192.0.2.1] text", Some("5.7.1"), Some(550)),
            ("smtp;550 5.1.1 no such user", Some("5.1.1"), Some(550)),
            ("smtp; 421 too busy", None, Some(421)),
            ("SMTP; 552-5.2.3 too large", Some("5.2.3"), Some(552)),
            ("550 #5.1.0 Address rejected", Some("5.1.0"), Some(550)),
            ("554 rejected (#5.7.1)", Some("5.7.1"), Some(554)),
            ("\"smtp;421 4.7.0 later\"", Some("4.7.0"), Some(421)),
            ("smtp;421dynt1", None, Some(421)),
            ("421 10.0.0.1 throttled", None, Some(421)),
            ("554 5.1.1.9 listed", None, Some(554)),
            ("x-postfix; host mx.example[192.0.2.1] said: 550 5.1.1 unknown", Some("5.1.1"), Some(550)),
            ("delivery not authorized", None, None),
            ("4.4.7 message expired", Some("4.4.7"), None),
            ("", None, None),
            ("smtp;", None, None),
            ("55", None, None),
            ("é50 x", None, None),
        ] {
            assert_eq!(parse_diag(diag), Status { enhanced, code }, "{diag}");
        }
    }

    #[test]
    fn the_status_cell_wins_for_the_enhanced_code_and_the_reply_for_the_digits() {
        assert_eq!(smtp_status("5.1.1 (x)", "smtp;550 5.7.1 y"), Some("5.1.1"));
        assert_eq!(smtp_status("550", "smtp;550 5.7.1 y"), Some("5.7.1"));
        assert_eq!(smtp_code("550", "smtp;554 y"), Some(554));
        assert_eq!(smtp_code("550", ""), Some(550));
        assert_eq!(smtp_code("", ""), None);
    }
}
