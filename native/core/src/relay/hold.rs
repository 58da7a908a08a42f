//! Held responses: a backend's answer that the lane may want to pass on, or to forget and try elsewhere.
//!
//! Nothing of a held response reaches the client. Its head stands ready as frames; body data that comes meanwhile is kept without being credited to the backend, so it is
//! at most the stream's window. The lane decides in the same turn, as a rule.

use super::Relay;
use super::exchange::{Offer, Phase};
use super::notes::Note;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::http::error::{h2, h3};
use crate::http::fields::Fields;
use crate::record::inward::Tag;
use crate::record::outward;
use crate::upstream::{Fault, Upstreams};

/// What happened to a held response meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold {
    /// The backend broke it off.
    pub fault: Option<Fault>,
    /// It is complete, and the backend wants no more of the request.
    pub is_upload_stopped: bool,
}

/// What a response says for which its attempt counts as failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub grpc_status: Option<u32>,
    pub retry_after_s: Option<u32>,
}

impl Answer {
    /// Reads what of a response matters to the lane. gRPC's status stands in the head where nothing else comes; a Retry-After that is a date is passed over.
    pub fn of(status: u16, fields: &Fields, is_grpc_looked_for: bool) -> Answer {
        Answer {
            status,
            grpc_status: if is_grpc_looked_for { grpc_status(fields) } else { None },
            retry_after_s: if matches!(status, 429 | 503) { number(fields.get(b"retry-after")) } else { None },
        }
    }
}

/// The gRPC status in a head or in trailers.
pub(super) fn grpc_status(fields: &Fields) -> Option<u32> {
    number(fields.get(b"grpc-status"))
}

fn number(text: Option<&[u8]>) -> Option<u32> {
    let text = std::str::from_utf8(text?).ok()?;
    // A sign is no part of the grammar (RFC 9110 §10.2.3).
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Relay {
    /// Keeps a response back and asks the lane.
    pub(super) fn hold(&mut self, key: Key, answer: Answer, fields: &Fields) {
        self.write_held_head(key, fields);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.hold = Some(Hold::default());
        exchange.reason = Reason::ResponseStatus;
        exchange.ended_by = outward::ENDED_BY_BACKEND;
        let Some(exchange) = self.exchanges.get(key) else { return };
        let mut facts = self.failure_facts(exchange, &exchange.attempt, Reason::ResponseStatus, outward::FAILED_HELD);
        facts.status = answer.status as u32;
        (facts.grpc_status, facts.retry_after_s) = (answer.grpc_status, answer.retry_after_s);
        self.offer(key, Offer::Failure(facts));
    }

    /// The lane wants the held response to go on, as if it had never been held.
    pub(super) fn commit(&mut self, key: Key, tag: Tag, reason: Reason) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.tag = tag;
        let Some(hold) = exchange.hold.take() else {
            return self.answer_reason(key, Reason::LaneFailed);
        };
        if let Some(fault) = hold.fault {
            // What came of it is no response, and the client has nothing yet: it gets an honest answer.
            exchange.outgoing.drop_held();
            return self.answer_reason(key, fault.reason);
        }
        exchange.phase = Phase::Relay;
        exchange.is_committed = true;
        exchange.was_held = true;
        exchange.status = exchange.backend_status;
        exchange.reason = reason;
        exchange.ended_by = 0;
        if hold.is_upload_stopped {
            self.stop_upload(key);
        } else if !exchange.incoming.is_done {
            self.notes.push(Note::Send(key));
        }
        self.stage_held(key);
    }

    /// The lane decided otherwise: a held response is forgotten, its stream reset where it is not over.
    pub(super) fn let_go(&mut self, upstreams: &mut Upstreams, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.hold.take().is_none() {
            return;
        }
        exchange.outgoing.drop_held();
        if let Some(stream) = exchange.attempt.upstream.take() {
            upstreams.reset(stream, h2::CANCEL);
        }
        exchange.attempt.count_out(&self.table);
        if let Some(Offer::Failure(facts)) = &mut exchange.offer {
            facts.flags &= !outward::FAILED_HELD;
        }
        self.recount_response(key);
    }

    /// The response is complete and the backend wants no more of the request: nor do we.
    pub(super) fn stop_upload(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.attempt.upstream = None;
        exchange.incoming.is_done = true;
        let (connection, stream) = (exchange.connection, exchange.stream);
        if let Some(connection) = self.connections.get_mut(connection) {
            // A stream that is gone already needs no stop.
            let _ = connection.quic.stream_shutdown(stream, quiche::Shutdown::Read, h3::NO_ERROR);
            exchange.recount_request(connection);
        }
        self.mark(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)]) -> (Option<u32>, Option<u32>) {
        let mut head = Fields::new();
        fields.iter().for_each(|(name, value)| head.push(name.as_bytes(), value.as_bytes()));
        let answer = Answer::of(status, &head, true);
        (answer.grpc_status, answer.retry_after_s)
    }

    #[test]
    fn statuses_and_delays_are_read_where_they_mean_something_and_are_numbers() {
        assert_eq!(answer(503, &[("retry-after", "120")]), (None, Some(120)));
        assert_eq!(answer(429, &[("retry-after", "0"), ("grpc-status", "8")]), (Some(8), Some(0)));
        assert_eq!(answer(301, &[("retry-after", "120")]), (None, None));
        for value in ["", "-1", "+1", "1.5", "4294967296", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            assert_eq!(answer(503, &[("retry-after", value), ("grpc-status", value)]), (None, None), "{value}");
        }
    }
}
