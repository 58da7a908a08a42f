//! What TRACE gets back from its final recipient: its head as it came (RFC 9110 §9.3.8), in the
//! form of HTTP/1.1 that `message/http` has.
//!
//! Left out is what tells who somebody is, to whoever has a client send TRACE and reads the answer:
//! credentials, fields that the sender wants never to be indexed, and what proxies write about the
//! client. The names of these stand in the plan, as edits of the request that remove them.

use crate::exchange::Exchange;
use crate::http::fields::{Field, Known};

/// Appends the head of an exchange as a message.
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
