//! Values of edits: literal text with variables.

use crate::http::characters::is_token;
use crate::http::fields::{Fields, Known};
use crate::record::layout::MAX_VALUES;
use crate::tls::told::{Fact, Told};
use std::net::{IpAddr, SocketAddr};

/// What variables stand for. Each is computed only if a value uses it.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Client's address.
    pub peer: SocketAddr,
    /// Canonical head of the request, as the client sent it.
    pub request: &'a Fields,
    /// Path as the client spelled it, if the backend may see that; empty to use the canonical path.
    pub kept_path: &'a [u8],
    /// Whether empty segments of that path are merged.
    pub are_slashes_merged: bool,
    /// Request id.
    pub request_id: &'a [u8],
    /// Milliseconds left of the exchange's time limit; none if it has none.
    pub remaining_ms: Option<u64>,
    /// Identity from the client certificate, if it presented one.
    pub told: Option<&'a Told>,
    /// Values that the lane gave for `${value_0}` and so on.
    pub given: [&'a [u8]; MAX_VALUES],
}

/// Part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    ClientAddress,
    ClientPort,
    Scheme,
    Authority,
    Path,
    Method,
    RequestId,
    ForwardedNode,
    Header(Known, Vec<u8>),
    RemainingMs,
    RemainingGrpc,
    Certificate(Fact),
    CertificateField(Vec<u8>),
    Given(u8),
}

/// A compiled value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(Vec<Part>);

impl Value {
    /// Compiles a text with variables. The error is a sentence.
    pub fn compile(mut text: &str) -> Result<Value, String> {
        if text.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            return Err("a value holds a control character".to_owned());
        }
        let mut parts = Vec::new();
        while !text.is_empty() {
            let at = text.find("${").unwrap_or(text.len());
            if at > 0 {
                parts.push(Part::Literal(text.as_bytes()[..at].to_vec()));
                text = &text[at..];
                continue;
            }
            let end = text.find('}').ok_or_else(|| format!("{text} has no end"))?;
            parts.push(variable(&text[2..end]).ok_or_else(|| format!("{} is no variable", &text[..=end]))?);
            text = &text[end + 1..];
        }
        Ok(Value(parts))
    }

    /// Appends the value with its variables replaced.
    pub fn write(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            part.write(values, out);
        }
    }
}

fn variable(name: &str) -> Option<Part> {
    Some(match name {
        "client_address" => Part::ClientAddress,
        "client_port" => Part::ClientPort,
        "scheme" => Part::Scheme,
        "authority" => Part::Authority,
        "path" => Part::Path,
        "method" => Part::Method,
        "request_id" => Part::RequestId,
        "forwarded_node" => Part::ForwardedNode,
        "remaining_ms" => Part::RemainingMs,
        "remaining_grpc" => Part::RemainingGrpc,
        "value_0" => Part::Given(0),
        "value_1" => Part::Given(1),
        "value_2" => Part::Given(2),
        "value_3" => Part::Given(3),
        _ => {
            if let Some(fact) = name.strip_prefix("client_certificate_") {
                return Fact::of(fact).map(Part::Certificate);
            }
            if let Some(field) = name.strip_prefix("client_certificate:") {
                return Some(Part::CertificateField(field.as_bytes().to_vec()));
            }
            let name = name.strip_prefix("header:")?.to_ascii_lowercase().into_bytes();
            is_token(&name).then(|| Part::Header(Known::of(&name), name))?
        }
    })
}

impl Part {
    fn write(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let known = |name| values.request.known(name).unwrap_or_default();
        match self {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::ClientAddress => write_address(values.peer.ip(), out),
            Part::ClientPort => write_number(values.peer.port().into(), out),
            Part::Scheme => out.extend_from_slice(known(Known::Scheme)),
            // The request may have only a Host field.
            Part::Authority => out.extend_from_slice(values.request.known(Known::Authority).unwrap_or_else(|| known(Known::Host))),
            Part::Path => out.extend_from_slice(known(Known::Path)),
            Part::Method => out.extend_from_slice(known(Known::Method)),
            Part::RequestId => out.extend_from_slice(values.request_id),
            Part::ForwardedNode => write_node(values.peer.ip(), out),
            Part::Header(known, name) => write_header(values.request, *known, name, out),
            Part::RemainingMs => values.remaining_ms.into_iter().for_each(|ms| write_number(ms, out)),
            Part::RemainingGrpc => values.remaining_ms.into_iter().for_each(|ms| write_grpc_timeout(ms, out)),
            Part::Certificate(fact) => out.extend_from_slice(values.told.map_or("", |told| told.proved(*fact)).as_bytes()),
            Part::CertificateField(name) => {
                out.extend_from_slice(values.told.and_then(|told| told.field(name)).unwrap_or_default().as_bytes());
            }
            Part::Given(number) => out.extend_from_slice(values.given[*number as usize]),
        }
    }
}

/// Joins all lines of a field (RFC 9110 §5.3). Cookie crumbs have their own separator (RFC 9114
/// §4.2.1).
fn write_header(request: &Fields, known: Known, name: &[u8], out: &mut Vec<u8>) {
    let separator: &[u8] = if known == Known::Cookie { b"; " } else { b", " };
    let mut is_first = true;
    for field in request.iter().filter(|field| known.covers(field.known) && field.name == name) {
        if !is_first {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(field.value);
        is_first = false;
    }
}

/// `grpc-timeout` of the gRPC protocol: a positive number of at most 8 digits, and a unit.
fn write_grpc_timeout(ms: u64, out: &mut Vec<u8>) {
    const MAX: u64 = 99_999_999;
    let (number, unit) = if ms <= MAX { (ms.max(1), b'm') } else { ((ms / 1_000).min(MAX), b'S') };
    write_number(number, out);
    out.push(unit);
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        // The common case by hand: formatting costs more than the rest of the head.
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                write_number(octet.into(), out);
            }
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => write_address(IpAddr::V4(ip), out),
            None => {
                use std::io::Write;
                let _ = write!(out, "{ip}");
            }
        },
    }
}

/// Writes a node (RFC 7239 §6): IPv6 in brackets and quotes.
fn write_node(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            out.extend_from_slice(b"\"[");
            write_address(ip, out);
            out.extend_from_slice(b"]\"");
        }
        _ => write_address(ip, out),
    }
}
