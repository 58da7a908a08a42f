//! The body of a TRACE response: the request head as received (RFC 9110 §9.3.8), in HTTP/1.1 form
//! as `message/http` requires.
//!
//! Fields that identify somebody are left out, because whoever makes a client send TRACE can read
//! the answer: credentials, fields marked never-indexed, and fields that proxies write about the
//! client. The plan names these as edits that remove them.

use crate::exchange::Exchange;
use crate::http::fields::{Field, Known};

/// Appends the request head of an exchange as a message.
pub(super) fn write(exchange: &Exchange, out: &mut Vec<u8>) {
    let request = &exchange.request.head;
    let known = |known| request.known(known).unwrap_or_default();
    let path = if exchange.request.kept_path.is_empty() { known(Known::Path) } else { &exchange.request.kept_path };
    let authority = request.known(Known::Authority).unwrap_or_else(|| known(Known::Host));
    let mut write = |parts: [&[u8]; 4]| parts.into_iter().for_each(|part| out.extend_from_slice(part));
    write([known(Known::Method), b" ", path, b" HTTP/1.1\r\n"]);
    write([b"host", b": ", authority, b"\r\n"]);
    request.iter().filter(|field| is_told(exchange, *field)).for_each(|field| write([field.name, b": ", field.value, b"\r\n"]));
    write([b"\r\n", b"", b"", b""]);
}

fn is_told(exchange: &Exchange, field: Field<'_>) -> bool {
    let is_private = matches!(field.known, Known::Cookie | Known::Secret | Known::Sensitive | Known::Forwarded | Known::XForwarded);
    let is_removed = || exchange.attempt.plan.as_ref().is_some_and(|plan| plan.request.replaces(field));
    !field.known.is_pseudo() && field.known != Known::Host && !is_private && !is_removed()
}
