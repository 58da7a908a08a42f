//! Response heads and field lines, parsed as strictly as RFC 9112 allows: only CRLF ends a line, no
//! folding, no control characters. White space before a colon is removed first (RFC 9112 §5.1).

use crate::http::fields::{Fields, Known};
use crate::http::section::FieldLimits;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not HTTP/1.1; what is wrong.
    Malformed(&'static str),
    /// It exceeds the limits.
    TooLarge,
}

/// What a response head says about the message and the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseLine {
    /// 100 to 599.
    pub status: u16,
    /// The connection ends with this response.
    pub is_last: bool,
    /// It has `transfer-encoding: chunked`.
    pub is_chunked: bool,
}

/// Length of the lines up to and including the empty one, if that has come. `scanned` keeps how far
/// earlier calls looked.
pub fn find_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, HeadError> {
    while let Some(step) = bytes[*scanned..].iter().position(|b| *b == b'\n') {
        let at = *scanned + step;
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(HeadError::Malformed("a line that does not end with CRLF"));
        }
        *scanned = at + 1;
        if at == 1 || bytes[at - 2] == b'\n' {
            return Ok(Some(at + 1));
        }
    }
    *scanned = bytes.len();
    Ok(None)
}

/// Parses a whole response head. `fields` gets `:status` and the end-to-end fields, `named` the
/// names in `connection`, for [`drop_named`].
pub fn parse(text: &[u8], fields: &mut Fields, named: &mut Vec<u8>, limits: FieldLimits) -> Result<ResponseLine, HeadError> {
    fields.clear();
    let end = text.windows(2).position(|pair| pair == b"\r\n").ok_or(HeadError::Malformed("no status line"))?;
    let (status, is_http_10) = parse_status_line(&text[..end])?;
    fields.push_known(Known::Status, b":status", &text[9..12]);
    parse_fields(&text[end + 2..], fields, limits)?;
    let mut line = ResponseLine { status, is_last: is_http_10, is_chunked: false };
    read_connection(fields, &mut line)?;
    if line.is_chunked && is_http_10 {
        return Err(HeadError::Malformed("chunks in HTTP/1.0"));
    }
    drop_connection_fields(fields, named);
    Ok(line)
}

/// `HTTP/1.1 200 OK`; the reason phrase and the space before it may be missing.
fn parse_status_line(line: &[u8]) -> Result<(u16, bool), HeadError> {
    const WRONG: HeadError = HeadError::Malformed("a status line that is none");
    let is_http_10 = match line.get(..9) {
        Some(b"HTTP/1.1 ") => false,
        Some(b"HTTP/1.0 ") => true,
        _ => return Err(WRONG),
    };
    let Some(digits @ [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) = line.get(9..12) else { return Err(WRONG) };
    match line.get(12..) {
        Some([]) => {}
        Some([b' ', phrase @ ..]) if phrase.iter().all(|b| is_text(*b)) => {}
        _ => return Err(WRONG),
    }
    Ok((digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')), is_http_10))
}

/// Parses field lines up to and including the empty line.
pub fn parse_fields(mut text: &[u8], fields: &mut Fields, limits: FieldLimits) -> Result<(), HeadError> {
    loop {
        let end = text.windows(2).position(|pair| pair == b"\r\n").ok_or(HeadError::Malformed("fields without an end"))?;
        if end == 0 {
            return Ok(());
        }
        parse_field(&text[..end], fields, limits)?;
        text = &text[end + 2..];
    }
}

fn parse_field(line: &[u8], fields: &mut Fields, limits: FieldLimits) -> Result<(), HeadError> {
    let colon = line.iter().position(|b| *b == b':').ok_or(HeadError::Malformed("a field without a colon"))?;
    let name = trim_end(&line[..colon]);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(HeadError::Malformed("a field name that is no token"));
    }
    let value = trim(&line[colon + 1..]);
    if !value.iter().all(|b| is_text(*b)) {
        return Err(HeadError::Malformed("a control character in a value"));
    }
    let is_too_long = name.len() > u16::MAX as usize || value.len() > u16::MAX as usize;
    let size = fields.section_size() + name.len() + value.len() + 32;
    if is_too_long || size > limits.max_size || fields.len() >= limits.max_count {
        return Err(HeadError::TooLarge);
    }
    let text = fields.text_mut();
    let start = text.len();
    text.extend(name.iter().map(u8::to_ascii_lowercase));
    text.extend_from_slice(value);
    fields.finish(start, name.len());
    Ok(())
}

fn read_connection(fields: &Fields, line: &mut ResponseLine) -> Result<(), HeadError> {
    let mut has_length = false;
    for field in fields.iter() {
        match field.known {
            // Anything but one plain `chunked` leaves the end of the message in doubt (RFC 9112
            // §6.1).
            Known::TransferEncoding if line.is_chunked || !field.value.eq_ignore_ascii_case(b"chunked") => {
                return Err(HeadError::Malformed("a transfer coding other than chunked"));
            }
            Known::TransferEncoding => line.is_chunked = true,
            Known::ContentLength => has_length = true,
            Known::Connection => line.is_last |= tokens(field.value).any(|token| token.eq_ignore_ascii_case(b"close")),
            _ => {}
        }
    }
    if line.is_chunked && has_length {
        return Err(HeadError::Malformed("content-length beside chunks"));
    }
    Ok(())
}

/// Removes connection-specific fields and those that `connection` names (RFC 9110 §7.6.1), before
/// any edit. The status, and the length that framed the message, stay even if named.
fn drop_connection_fields(fields: &mut Fields, named: &mut Vec<u8>) {
    named.clear();
    for field in fields.iter().filter(|field| field.known == Known::Connection) {
        for token in tokens(field.value).filter(|token| !token.is_empty()) {
            named.extend(token.iter().map(u8::to_ascii_lowercase));
            named.push(b',');
        }
    }
    fields.retain(|field| match field.known {
        Known::Status | Known::ContentLength => true,
        known => !known.is_connection_specific() && !is_named(named, field.name),
    });
}

/// Removes trailer fields that the head's `connection` named.
pub fn drop_named(trailers: &mut Fields, named: &[u8]) {
    trailers.retain(|field| !is_named(named, field.name));
}

fn is_named(named: &[u8], name: &[u8]) -> bool {
    named.split(|b| *b == b',').any(|token| token == name)
}

fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',').map(trim)
}

fn trim(text: &[u8]) -> &[u8] {
    let mut text = trim_end(text);
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// tchar (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes of a value and a reason phrase: visible characters, space, tab, and bytes beyond ASCII.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::Field;

    const LIMITS: FieldLimits = FieldLimits { max_size: 1000, max_count: 10, max_crumbs: 10 };

    fn parsed(text: &str) -> Result<(ResponseLine, Vec<String>), HeadError> {
        parsed_within(text, LIMITS.max_count)
    }

    fn parsed_within(text: &str, max_count: usize) -> Result<(ResponseLine, Vec<String>), HeadError> {
        let mut fields = Fields::new();
        let mut scanned = 0;
        let end = find_end(text.as_bytes(), &mut scanned)?.ok_or(HeadError::Malformed("incomplete"))?;
        let line = parse(&text.as_bytes()[..end], &mut fields, &mut Vec::new(), FieldLimits { max_count, ..LIMITS })?;
        let show = |f: Field<'_>| format!("{}={}", String::from_utf8_lossy(f.name), String::from_utf8_lossy(f.value));
        Ok((line, fields.iter().map(show).collect()))
    }

    #[test]
    fn a_head_becomes_fields_in_lower_case_with_the_status_first() {
        let (line, fields) = parsed("HTTP/1.1 200 OK\r\nContent-Type:  text/plain \r\nX: \r\n\r\n").unwrap();
        assert_eq!(line, ResponseLine { status: 200, is_last: false, is_chunked: false });
        assert_eq!(fields, [":status=200", "content-type=text/plain", "x="]);
        assert_eq!(parsed("HTTP/1.1 404\r\n\r\n").unwrap().0.status, 404);
        assert!(parsed("HTTP/1.0 200 OK\r\n\r\n").unwrap().0.is_last);
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let text = "HTTP/1.1 200 OK\r\nConnection: close, X-Hop, content-length\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 3\r\n\r\n";
        let (line, fields) = parsed(text).unwrap();
        assert!(line.is_last);
        assert_eq!(fields, [":status=200", "content-length=3"]);
    }

    #[test]
    fn connection_names_any_field_but_the_length_and_the_status() {
        let names = ["connection: Set-Cookie ,\tDATE", "Connection: :status,x-forwarded-for, Content-Length,,", "connection: close"];
        let values =
            ["Set-Cookie: a=b", "Date: now", "X-Forwarded-For: 1", "Trailer: x", "TE: x", "Upgrade: h2c", "Proxy-Connection: keep-alive"];
        let lines = [&names[..], &values[..], &["Transfer-Encoding: chunked"]].concat().join("\r\n");
        let (line, fields) = parsed_within(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n"), 20).unwrap();
        assert!(line.is_last && line.is_chunked);
        assert_eq!(fields, [":status=200", "trailer=x"]);
    }

    #[test]
    fn white_space_before_a_colon_is_no_part_of_the_name() {
        let text = "HTTP/1.1 200 OK\r\nA : b\r\nConnection\t: X-Hop\r\nX-Hop \t : 1\r\nContent-Length : 3\r\n\r\n";
        assert_eq!(parsed(text).unwrap().1, [":status=200", "a=b", "content-length=3"]);
        assert!(parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n").unwrap().0.is_chunked);
    }

    #[test]
    fn what_leaves_a_doubt_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA b : c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\x0b: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length\t: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding \t: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(matches!(parsed(bad), Err(HeadError::Malformed(_))), "{bad:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(11));
        assert_eq!(parsed(&many), Err(HeadError::TooLarge));
        let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1000));
        assert_eq!(parsed(&long), Err(HeadError::TooLarge));
    }

    #[test]
    fn the_end_is_found_whatever_the_pieces() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest";
        let mut scanned = 0;
        for len in 0..text.len() {
            let found = find_end(&text[..len], &mut scanned).unwrap();
            assert_eq!(found, (len >= 25).then_some(25), "{len}");
            if found.is_some() {
                break;
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_parsed_and_never_more(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            text.extend(bytes);
            text.extend(b"\r\n\r\n");
            let mut scanned = 0;
            if let Ok(Some(end)) = find_end(&text, &mut scanned) {
                let _ = parse(&text[..end], &mut Fields::new(), &mut Vec::new(), LIMITS);
            }
        }
    }
}
