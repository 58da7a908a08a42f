//! Hedging: a second attempt beside one that is late. The first response head that may be passed on wins; the other attempt is taken back at its backend.
//! Until then the client gets the interim responses of both, as they come (RFC 9110 §15.2).
//!
//! Sessions know both attempts by the exchange's key, told apart by one bit. What a session still says of an attempt that has lost, in the same read perhaps, finds no
//! attempt of that name and is passed over, so nothing of it can reach the client.

use super::Relay;
use super::notes::Note;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::exchange::attempt::key_of;
use crate::exchange::hold::BackendStatus;
use crate::http::error::h2;
use crate::lane::Failure;
use crate::record::inward::{Forward, GivenValues};
use crate::record::layout::{self, FORWARD_TELL_FAILURES};
use crate::upstream::{self, Upstreams};

impl Relay {
    /// The delay is over: the lane is told, where a hedge could help.
    pub(super) fn is_late(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(pending) = exchange.pending_mut() {
            pending.late_at = None;
        }
        if !exchange.may_hedge() {
            return;
        }
        exchange.attempts.is_told_late = true;
        self.tell_late(key);
    }

    /// The lane wants a second attempt. Passed over where it has no use any more.
    pub(super) fn hedge(&mut self, upstreams: &mut Upstreams, key: Key, forward: Forward, values: GivenValues<'_>) {
        let plan = self.rules.plans.get(forward.plan as usize).cloned();
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let name = exchange.hedge_name();
        let Some(hedge) = exchange.begin_hedge(forward, plan, values, self.turn.now) else { return };
        hedge.count_in(&self.table);
        let deadline = hedge.first_deadline();
        self.expect(deadline);
        self.open(upstreams, forward.backend, name);
    }

    /// The response head of one of two attempts may be passed on: it wins.
    pub(super) fn win(&mut self, name: upstream::Key) {
        let Some(exchange) = self.exchanges.get_mut(key_of(name)) else { return };
        let loser_name = if name == exchange.name() { exchange.hedge_name() } else { exchange.name() };
        let Some(mut loser) = exchange.take_out(loser_name) else { return };
        exchange.attempts.note_loser(&loser, self.turn.now);
        self.notes.push(match loser.upstream.take() {
            Some(stream) => Note::Reset(stream, h2::CANCEL),
            None => Note::CancelWait(loser.forward.backend, loser_name),
        });
        loser.count_out(&self.table);
    }

    /// One of two attempts failed: the other is the exchange's from now on. The lane learns of it and has nothing to decide.
    pub(super) fn failed_beside(&mut self, name: upstream::Key, reason: Reason, flags: u32, status: BackendStatus) {
        let key = key_of(name);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(mut failed) = exchange.take_out(name) else { return };
        if let Some(stream) = failed.upstream.take() {
            self.notes.push(Note::Reset(stream, h2::CANCEL));
        }
        failed.count_out(&self.table);
        if failed.forward.flags & FORWARD_TELL_FAILURES == 0 {
            return;
        }
        let facts = exchange.failure(&failed, reason, flags | layout::FAILED_OTHER_RUNS, status, self.turn.now);
        let (age_us, request_id) = (exchange.times.age_us(self.turn.now), exchange.request.id);
        self.lane.tell_failure(key, Failure { facts, tag: exchange.tag, age_us, request_id });
    }
}
