//! Answers by the edge itself, for a reason and without a decision of the lane.

use super::{Relay, write};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};

/// Answers with the reason's status and its small body, or with gRPC status fields for gRPC.
pub(super) fn reason(relay: &mut Relay, key: Key, reason: Reason) {
    let Some(exchange) = relay.exchanges.get(key) else { return };
    let is_grpc = is_grpc(&exchange.request.head);
    let status = reason.status().max(400);
    let id = String::from_utf8_lossy(exchange.request.id.as_bytes()).into_owned();
    let body = format!("{{\"error\":\"{}\",\"status\":{status},\"request_id\":\"{id}\"}}\n", reason.told().code());
    let mut fields = Fields::new();
    if is_grpc {
        fields.push(b"content-type", b"application/grpc");
        fields.push(b"grpc-status", reason.grpc_status().to_string().as_bytes());
        fields.push(b"grpc-message", reason.told().code().as_bytes());
    } else {
        fields.push(b"content-type", b"application/json");
        fields.push(b"cache-control", b"no-store");
    }
    fields.push(b"x-request-id", id.as_bytes());
    // Any exchange that ends makes room, so a retry after a second may succeed.
    if matches!(reason, Reason::Overloaded | Reason::BudgetExhausted | Reason::SessionsExhausted) {
        fields.push(b"retry-after", b"1");
    }
    let (status, body) = if is_grpc { (200, &[][..]) } else { (status, body.as_bytes()) };
    write::answer(relay, key, status, reason, &fields, body);
}

/// Whether a request is gRPC ("Requests" in gRPC over HTTP/2); the lane uses the same test.
/// `application/grpc-web` is another protocol, whose clients read HTTP statuses.
fn is_grpc(request: &Fields) -> bool {
    let kind = request.get(b"content-type").unwrap_or_default();
    let after = kind.strip_prefix(b"application/grpc");
    request.known(Known::Method) == Some(b"POST") && after.is_some_and(|after| matches!(after.first(), None | Some(b'+' | b';')))
}
