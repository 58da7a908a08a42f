//! Held responses: a backend's answer that the lane may want to pass on, or to forget and try elsewhere.
//!
//! Nothing of a held response reaches the client. Its head stands ready as frames; body data that comes meanwhile is kept without being credited to the backend, so it is
//! at most the stream's window. The lane decides in the same turn, as a rule.

use super::Relay;
use super::notes::Note;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::exchange::hold::{Answer, Hold};
use crate::exchange::{Offer, Phase};
use crate::http::error::{h2, h3};
use crate::http::fields::Fields;
use crate::record::inward::Tag;
use crate::record::outward;
use crate::upstream::Upstreams;

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
