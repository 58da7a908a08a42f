//! What a head or a trailer section must be before anyone decides about it (RFC 9114 §4.1 to §4.3,
//! RFC 9113 §8.1 to §8.3, RFC 9110).
//!
//! One pass over the fields. A head that passes cannot be read differently by the next hop: no
//! framing fields, no controls, one length, one authority. Field limits are the decoders' business,
//! the length of the body the relay's.

use super::characters::{is_authority, is_host_and_port, is_lower_case_name, is_path, is_token, is_value, parse_digits};
use super::fields::{Field, Fields, Known};

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFault {
    /// What to do about it.
    pub kind: FaultKind,
    /// One short phrase for logs; never sent to anybody.
    pub reason: &'static str,
}

/// The kinds of faults that are answered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A malformed message: 400, or a stream error H3_MESSAGE_ERROR or PROTOCOL_ERROR.
    Malformed,
    /// A well-formed CONNECT where none is taken: 501.
    ConnectNotSupported,
}

const fn malformed(reason: &'static str) -> HeadFault {
    HeadFault { kind: FaultKind::Malformed, reason }
}

/// What the data path needs of a valid request head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// GET, HEAD, OPTIONS, TRACE, PUT or DELETE: may be sent again (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// HEAD: the response has no body, whatever its content-length.
    pub is_head: bool,
    /// CONNECT, with `:protocol` or without.
    pub is_connect: bool,
    /// CONNECT with `:protocol` (RFC 9220).
    pub is_extended_connect: bool,
    /// Length of the body as announced.
    pub content_length: Option<u64>,
    /// content-length stands there more than once; [`keep_one_length`] mends it.
    pub has_spare_length: bool,
    /// `expect: 100-continue`.
    pub expects_continue: bool,
    /// An expectation that is not 100-continue; may be answered with 417 (RFC 9110 §10.1.1).
    pub has_unknown_expectation: bool,
    /// `te: trailers`.
    pub accepts_trailers: bool,
    /// Some field's name has an underscore, which CGI and its like read as a hyphen.
    pub has_underscore: bool,
    /// `:scheme` is http; [`set_https`] mends it.
    pub is_scheme_plain: bool,
    /// TRACE, which has no content (RFC 9110 §9.3.8).
    pub is_trace: bool,
    /// How many more may forward it, where it is TRACE or OPTIONS and says so;
    /// [`decrement_max_forwards`] counts us.
    pub max_forwards: Option<u64>,
}

/// What the data path needs of a valid response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// 100 to 999, never 101.
    pub status: u16,
    /// 1xx: another head follows.
    pub is_interim: bool,
    /// Announced length; after HEAD and with 304, of a body that is not sent.
    pub content_length: Option<u64>,
    /// There are several content-lengths, or one where none may be; [`keep_one_length`] repairs
    /// it.
    pub has_spare_length: bool,
    /// It asks for connection-based authentication. Set by the session it came on.
    pub has_connection_challenge: bool,
}

/// Checks a request head of HTTP/3 or HTTP/2.
pub fn check_request(fields: &Fields, is_connect_allowed: bool) -> Result<RequestFacts, HeadFault> {
    let mut facts = RequestFacts::default();
    let mut pseudo = Pseudo::default();
    let mut host = None;
    let mut is_after_regular = false;
    for field in fields.iter() {
        if field.known.is_pseudo() {
            if is_after_regular {
                return Err(malformed("pseudo-header field after a regular field"));
            }
            pseudo.take(field)?;
            continue;
        }
        is_after_regular = true;
        check_regular(field)?;
        match field.known {
            Known::Host if host.replace(field.value).is_some() => return Err(malformed("more than one host")),
            Known::ContentLength => {
                facts.has_spare_length |= facts.content_length.is_some();
                facts.content_length = Some(one_length(field.value, facts.content_length)?);
            }
            Known::Te if !field.value.eq_ignore_ascii_case(b"trailers") => return Err(malformed("te other than trailers")),
            Known::Te => facts.accepts_trailers = true,
            Known::Expect if field.value.eq_ignore_ascii_case(b"100-continue") => facts.expects_continue = true,
            Known::Expect => facts.has_unknown_expectation = true,
            // No known name has an upper-case letter.
            Known::Other | Known::Sensitive => facts.has_underscore |= field.name.contains(&b'_'),
            _ => {}
        }
    }
    facts.is_scheme_plain = pseudo.scheme == Some(b"http");
    pseudo.check(host, &mut facts)?;
    if matches!(pseudo.method, Some(b"OPTIONS" | b"TRACE")) {
        facts.is_trace = pseudo.method == Some(b"TRACE");
        facts.max_forwards = max_forwards(fields)?;
    }
    if facts.is_connect && !is_connect_allowed {
        return Err(HeadFault { kind: FaultKind::ConnectNotSupported, reason: "connect is not supported" });
    }
    Ok(facts)
}

/// The pseudo-header fields of a request so far.
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    fn take(&mut self, field: Field<'a>) -> Result<(), HeadFault> {
        let slot = match field.known {
            Known::Method => &mut self.method,
            Known::Scheme => &mut self.scheme,
            Known::Authority => &mut self.authority,
            Known::Path => &mut self.path,
            Known::Protocol => &mut self.protocol,
            _ => return Err(malformed("pseudo-header field that requests do not have")),
        };
        match slot.replace(field.value) {
            None => Ok(()),
            Some(_) => Err(malformed("pseudo-header field given twice")),
        }
    }

    fn check(&self, host: Option<&[u8]>, facts: &mut RequestFacts) -> Result<(), HeadFault> {
        let method = self.method.ok_or(malformed("no :method"))?;
        if !is_token(method) {
            return Err(malformed(":method is not a token"));
        }
        facts.is_idempotent = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
        facts.is_head = method == b"HEAD";
        facts.is_connect = method == b"CONNECT";
        facts.is_extended_connect = facts.is_connect && self.protocol.is_some();
        match self.protocol {
            Some(_) if !facts.is_connect => return Err(malformed(":protocol without connect")),
            Some(protocol) if !is_token(protocol) => return Err(malformed(":protocol is not a token")),
            _ => {}
        }
        if facts.is_connect && !facts.is_extended_connect {
            return self.check_tunnel(host);
        }
        self.check_scheme_and_path(method)?;
        self.check_authority(host, is_authority)
    }

    /// CONNECT names a host and a port and nothing else (RFC 9114 §4.4).
    fn check_tunnel(&self, host: Option<&[u8]>) -> Result<(), HeadFault> {
        if self.scheme.is_some() || self.path.is_some() {
            return Err(malformed("connect with :scheme or :path"));
        }
        if self.authority.is_none() {
            return Err(malformed("connect without :authority"));
        }
        self.check_authority(host, is_host_and_port)
    }

    fn check_scheme_and_path(&self, method: &[u8]) -> Result<(), HeadFault> {
        match self.scheme {
            Some(b"http" | b"https") => {}
            Some(_) => return Err(malformed(":scheme is neither http nor https")),
            None => return Err(malformed("no :scheme")),
        }
        match self.path {
            Some(b"") => Err(malformed(":path is empty")),
            Some(path) if is_path(path) || path == b"*" && method == b"OPTIONS" => Ok(()),
            Some(_) => Err(malformed(":path holds what a path cannot")),
            None => Err(malformed("no :path")),
        }
    }

    /// `:authority`, `host`, or both and equal (RFC 9114 §4.3.1). Hosts are case-insensitive.
    fn check_authority(&self, host: Option<&[u8]>, is_acceptable: fn(&[u8]) -> bool) -> Result<(), HeadFault> {
        let authority = match (self.authority, host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                return Err(malformed("host differs from :authority"));
            }
            (Some(authority), _) => authority,
            (None, Some(host)) => host,
            (None, None) => return Err(malformed("neither :authority nor host")),
        };
        if !is_acceptable(authority) {
            return Err(malformed("authority is not a host with an optional port"));
        }
        Ok(())
    }
}

/// Checks a response head of HTTP/2, or of HTTP/1.1 in the same form.
pub fn check_response(fields: &Fields) -> Result<ResponseFacts, HeadFault> {
    let mut status = None;
    let mut content_length = None;
    let mut has_spare_length = false;
    let mut is_after_regular = false;
    for field in fields.iter() {
        if field.known.is_pseudo() {
            if is_after_regular {
                return Err(malformed("pseudo-header field after a regular field"));
            }
            if field.known != Known::Status {
                return Err(malformed("pseudo-header field that responses do not have"));
            }
            if status.replace(parse_status(field.value)?).is_some() {
                return Err(malformed("pseudo-header field given twice"));
            }
            continue;
        }
        is_after_regular = true;
        check_regular(field)?;
        match field.known {
            Known::ContentLength => {
                has_spare_length |= content_length.is_some();
                content_length = Some(one_length(field.value, content_length)?);
            }
            Known::Te => return Err(malformed("te in a response")),
            _ => {}
        }
    }
    let status = status.ok_or(malformed("no :status"))?;
    if has_no_length(status) && content_length.take().is_some() {
        has_spare_length = true;
    }
    Ok(ResponseFacts { status, is_interim: status < 200, content_length, has_spare_length, has_connection_challenge: false })
}

/// Responses that have no content-length (RFC 9110 §8.6).
pub fn has_no_length(status: u16) -> bool {
    status < 200 || status == 204
}

/// Leaves the first content-length, or none where the message cannot have one. Strict recipients
/// end the connection over others (RFC 9110 §8.6).
pub fn keep_one_length(fields: &mut Fields, is_allowed: bool) {
    let mut is_left = is_allowed;
    fields.retain(|field| field.known != Known::ContentLength || std::mem::take(&mut is_left));
}

/// Sets the scheme to https, whatever the client sent: the request came over TLS.
pub fn set_https(fields: &mut Fields) {
    let plain = std::mem::take(fields);
    for field in plain.iter() {
        let value = if field.known == Known::Scheme { b"https" } else { field.value };
        fields.push_known(field.known, field.name, value);
    }
}

/// Largest Max-Forwards that is forwarded.
const GREATEST_MAX_FORWARDS: u64 = u32::MAX as u64;

/// Max-Forwards of OPTIONS or TRACE (RFC 9110 §7.6.2). Anything but one number is malformed: the
/// request asks for a bound and would go on without one.
fn max_forwards(fields: &Fields) -> Result<Option<u64>, HeadFault> {
    let mut values = fields.iter().filter(|field| field.name == b"max-forwards").map(|field| field.value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(malformed("max-forwards is not one number"));
    }
    Ok(Some(parse_digits(value).unwrap_or(u64::MAX)))
}

/// Decrements Max-Forwards, which is above 0.
pub fn decrement_max_forwards(fields: &mut Fields, max_forwards: u64) {
    let left = max_forwards.saturating_sub(1).min(GREATEST_MAX_FORWARDS).to_string();
    let slot = fields.iter().position(|field| field.name == b"max-forwards");
    if let Some(slot) = slot {
        fields.replace(slot, left.as_bytes());
    }
}

/// Three digits from 100 (RFC 9110 §15), but not 101, which only HTTP/1.1 has (RFC 9114 §4.5).
fn parse_status(value: &[u8]) -> Result<u16, HeadFault> {
    match value {
        b"101" => Err(malformed(":status 101")),
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))),
        _ => Err(malformed(":status is not three digits")),
    }
}

/// Checks a trailer section of either direction: regular fields only, and none that frames, routes,
/// authenticates or modifies the message (RFC 9110 §6.5.1).
pub fn check_trailers(fields: &Fields) -> Result<(), HeadFault> {
    for field in fields.iter() {
        if field.known.is_pseudo() {
            return Err(malformed("pseudo-header field in trailers"));
        }
        check_regular(field)?;
        match field.known {
            Known::Host
            | Known::ContentLength
            | Known::Te
            | Known::Trailer
            | Known::Expect
            | Known::Cookie
            | Known::Forwarded
            | Known::XForwarded
            | Known::Secret => return Err(malformed("field that trailers cannot have")),
            _ => {}
        }
    }
    Ok(())
}

/// Checks a regular field. Characters of a known name need no check.
#[inline]
fn check_regular(field: Field<'_>) -> Result<(), HeadFault> {
    match field.known {
        Known::Other | Known::Sensitive if !is_lower_case_name(field.name) => {
            return Err(malformed("field name is not a token in lower case"));
        }
        // `te` is checked by its value.
        known if known.is_connection_specific() && known != Known::Te => return Err(malformed("connection-specific field")),
        _ => {}
    }
    if is_value(field.value) { Ok(()) } else { Err(malformed("field value holds what a value cannot")) }
}

/// Several content-lengths must be equal; a list in one field is malformed (RFC 9110 §8.6).
fn one_length(value: &[u8], before: Option<u64>) -> Result<u64, HeadFault> {
    let length = parse_digits(value).ok_or(malformed("content-length is not a number"))?;
    match before {
        Some(before) if before != length => Err(malformed("content-lengths differ")),
        _ => Ok(length),
    }
}

#[cfg(test)]
mod tests;
