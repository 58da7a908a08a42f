//! A request head as text (RFC 9112 §3).

use crate::http::challenge::is_connection_credentials;
use crate::http::fields::{Field, Fields, Known};

/// How the end of the request is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// By `content-length`.
    Length(u64),
    /// By the last chunk.
    Chunked,
}

/// What was written about the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// Its end.
    pub framing: Framing,
    /// HEAD: the response has no body.
    pub is_head: bool,
    /// It has credentials that authenticate the whole connection.
    pub has_connection_credentials: bool,
}

/// Appends the head of a request. None when a field would break out of its line; nothing may be
/// sent then.
pub fn write_head(head: &Fields, has_body: bool, out: &mut Vec<u8>) -> Option<RequestLine> {
    let method = head.known(Known::Method)?;
    let target = head.known(Known::Path)?;
    let authority = head.known(Known::Authority).or_else(|| head.known(Known::Host)).unwrap_or_default();
    if !is_word(method) || !is_word(target) || !is_line(authority) {
        return None;
    }
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(authority);
    out.extend_from_slice(b"\r\n");
    let mut has_connection_credentials = false;
    for field in head.iter().filter(|field| is_copied(field)) {
        has_connection_credentials |= is_connection_credentials(&field);
        write_field(field, out)?;
    }
    write_cookies(head, out)?;
    if head.iter().any(|field| field.known == Known::Te && field.value == b"trailers") {
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
    let framing = write_framing(head, method, has_body, out)?;
    out.extend_from_slice(b"\r\n");
    Some(RequestLine { framing, is_head: method == b"HEAD", has_connection_credentials })
}

/// Appends trailer fields; those that would break out of their line are left out.
pub fn write_trailers(fields: &Fields, out: &mut Vec<u8>) {
    for field in fields.iter().filter(|field| is_copied(field)) {
        let _ = write_field(field, out);
    }
}

/// Fields that are copied: neither connection-specific nor written elsewhere.
fn is_copied(field: &Field<'_>) -> bool {
    !field.known.is_pseudo()
        && !field.known.is_connection_specific()
        && !matches!(field.known, Known::Host | Known::ContentLength | Known::Cookie)
}

fn write_field(field: Field<'_>, out: &mut Vec<u8>) -> Option<()> {
    if !is_word(field.name) || field.name.contains(&b':') || !is_line(field.value) {
        return None;
    }
    out.extend_from_slice(field.name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(field.value);
    out.extend_from_slice(b"\r\n");
    Some(())
}

/// HTTP/2 and HTTP/3 split cookies into crumbs; HTTP/1.1 wants one line (RFC 9113 §8.2.3).
fn write_cookies(head: &Fields, out: &mut Vec<u8>) -> Option<()> {
    let mut is_first = true;
    for crumb in head.iter().filter(|field| field.known == Known::Cookie) {
        if !is_line(crumb.value) {
            return None;
        }
        out.extend_from_slice(if is_first { b"cookie: " } else { b"; " });
        out.extend_from_slice(crumb.value);
        is_first = false;
    }
    if !is_first {
        out.extend_from_slice(b"\r\n");
    }
    Some(())
}

fn write_framing(head: &Fields, method: &[u8], has_body: bool, out: &mut Vec<u8>) -> Option<Framing> {
    if let Some(text) = head.known(Known::ContentLength) {
        let length: u64 = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
        // Without a body, only a length of 0 is true.
        return Some(if has_body { Framing::Length(length) } else { Framing::None }).filter(|_| has_body || length == 0);
    }
    if has_body {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        return Some(Framing::Chunked);
    }
    // A method that usually has a body needs a length (RFC 9110 §8.6).
    if matches!(method, b"POST" | b"PUT" | b"PATCH") {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    Some(Framing::None)
}

/// Fits on a line: no CR, LF, NUL.
fn is_line(text: &[u8]) -> bool {
    !text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// Fits between spaces: no white space, no control characters.
fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && !text.iter().any(|b| *b <= b' ' || *b == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn written(list: &[(&str, &str)], has_body: bool) -> (Option<RequestLine>, String) {
        let mut out = Vec::new();
        let line = write_head(&fields(list), has_body, &mut out);
        (line, String::from_utf8(out).unwrap())
    }

    const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/x?y")];

    #[test]
    fn pseudo_header_fields_become_the_request_line_and_host() {
        let (line, text) = written(&[&GET[..], &[("accept", "*/*")]].concat(), false);
        assert_eq!(text, "GET /x?y HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\n\r\n");
        assert_eq!(line, Some(RequestLine { framing: Framing::None, is_head: false, has_connection_credentials: false }));
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let (_, text) = written(&[&GET[..], &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]].concat(), false);
        assert!(text.contains("\r\ncookie: a=1; b=2\r\n"), "{text}");
    }

    #[test]
    fn a_body_of_unknown_length_is_chunked_and_a_known_length_is_said_once() {
        let post = [(":method", "POST"), (":authority", "a.test"), (":path", "/")];
        let (line, text) = written(&post, true);
        assert_eq!(line.unwrap().framing, Framing::Chunked);
        assert!(text.contains("transfer-encoding: chunked\r\n"));
        let (line, text) = written(&[&post[..], &[("content-length", "7"), ("content-length", "7")]].concat(), true);
        assert_eq!(line.unwrap().framing, Framing::Length(7));
        assert_eq!(text.matches("content-length").count(), 1);
        assert!(!text.contains("transfer-encoding"));
        assert!(written(&post, false).1.contains("content-length: 0\r\n"));
    }

    #[test]
    fn te_survives_only_for_trailers_and_connection_fields_not_at_all() {
        let (_, text) = written(&[&GET[..], &[("te", "trailers"), ("connection", "x"), ("upgrade", "y")]].concat(), false);
        assert!(text.contains("te: trailers\r\nconnection: te\r\n"));
        assert!(!text.contains("upgrade") && !text.contains("connection: x"));
        assert!(!written(&[&GET[..], &[("te", "gzip")]].concat(), false).1.contains("te:"));
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        for bad in ["a\r\nb: c", "a\nb", "a\0b"] {
            assert_eq!(written(&[&GET[..], &[("x", bad)]].concat(), false).0, None);
            assert_eq!(written(&[&GET[..], &[("cookie", bad)]].concat(), false).0, None);
            assert_eq!(written(&[(":method", "GET"), (":authority", "a"), (":path", bad)], false).0, None);
        }
        assert_eq!(written(&[(":method", "GET"), (":authority", "a"), (":path", "/ HTTP/1.1")], false).0, None);
    }
}
