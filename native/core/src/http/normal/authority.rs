//! The canonical form of an authority: a host, and a port unless it is the scheme's default (RFC
//! 3986 §3.2, RFC 9110 §4.2.3).

use super::Complaint;
use crate::http::characters::parse_digits;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest DNS name as text (RFC 1035 §3.1).
const MAX_HOST_BYTES: usize = 253;

/// The default port of a scheme, which canonical authorities leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultPort(Option<u64>);

impl DefaultPort {
    /// The one of a scheme. Unknown schemes have none, nor has CONNECT, which has no scheme and
    /// requires a port.
    pub fn of(scheme: &[u8]) -> DefaultPort {
        match scheme {
            b"https" => DefaultPort(Some(443)),
            b"http" => DefaultPort(Some(80)),
            _ => DefaultPort(None),
        }
    }
}

/// Writes the canonical form of `text` into `out`, and returns whether it differs; if not, `out` is
/// not valid. Never longer than `text`, except for an IPv6 address, which may grow by a few bytes.
pub fn authority(text: &[u8], default_port: DefaultPort, out: &mut Vec<u8>) -> Result<bool, Complaint> {
    if is_canonical(text) {
        return Ok(false);
    }
    out.clear();
    let host_end = match text.first() {
        Some(b'[') => text.iter().position(|&byte| byte == b']').ok_or("an IP literal has no end")? + 1,
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(host_end);
    match host {
        [b'[', literal @ .., b']'] => write_ipv6(literal, out)?,
        _ => write_name(host, out)?,
    }
    write_port(port, default_port, out)?;
    Ok(out.as_slice() != text)
}

/// Whether an authority is canonical, in one pass: a name in lower case without a port. False
/// negatives are possible.
#[inline]
fn is_canonical(text: &[u8]) -> bool {
    let (mut is_odd, mut before, mut first_of_label) = (text.len() > MAX_HOST_BYTES, b'.', b'0');
    for &byte in text {
        if before == b'.' {
            first_of_label = byte;
            is_odd |= byte == b'.';
        }
        is_odd |= !is_name_character(byte);
        before = byte;
    }
    // A last label of digits is that of an IPv4 address.
    !is_odd && before != b'.' && !first_of_label.is_ascii_digit()
}

/// Characters of registered names: those of host names, and the underscore, which is common.
const fn is_name_character(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
}

fn write_name(host: &[u8], out: &mut Vec<u8>) -> Result<(), Complaint> {
    // The dot of the root is redundant: names in URLs are absolute.
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > MAX_HOST_BYTES {
        return Err("a host is empty or longer than a name can be");
    }
    out.extend(host.iter().map(u8::to_ascii_lowercase));
    if !out.iter().all(|&byte| is_name_character(byte)) {
        return Err("a host holds what a name cannot");
    }
    let mut last = &out[..];
    for label in out.split(|&byte| byte == b'.') {
        if label.is_empty() {
            return Err("a host has an empty label");
        }
        last = label;
    }
    if is_number(last) && parse::<Ipv4Addr>(out).is_none() {
        return Err("a host ends in a number and is no IPv4 address");
    }
    Ok(())
}

/// A number that some parsers read as part of an IPv4 address: decimal, octal, or hexadecimal after
/// `0x`.
fn is_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// The text form of RFC 5952.
fn write_ipv6(literal: &[u8], out: &mut Vec<u8>) -> Result<(), Complaint> {
    let address: Ipv6Addr = parse(literal).ok_or("an IP literal is no IPv6 address")?;
    let _ = write!(out, "[{address}]");
    Ok(())
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `rest` is what follows the host: nothing, or a colon and a port that may be empty.
fn write_port(rest: &[u8], default_port: DefaultPort, out: &mut Vec<u8>) -> Result<(), Complaint> {
    let port = match rest {
        [] | [b':'] => return Ok(()),
        [b':', digits @ ..] if digits.len() <= 5 => parse_digits(digits).filter(|port| *port <= u64::from(u16::MAX)),
        _ => None,
    };
    let port = port.ok_or("a port is none")?;
    if default_port != DefaultPort(Some(port)) {
        let _ = write!(out, ":{port}");
    }
    Ok(())
}
