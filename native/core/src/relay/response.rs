//! Phases 13 to 15, the backend's half: what sessions report of a response.
//!
//! A large body travels as slices of the block it was read into. quiche keeps them as they are, so
//! the edge copies no byte of it. `write` takes over from here.

use super::notes::Note;
use super::{Relay, complete, fail, hold, withdraw, write};
use crate::base::counters::{Id, TrailerDropped};
use crate::base::panics::{Owner, plant};
use crate::base::reason::Reason;
use crate::downstream::outgoing::Outgoing;
use crate::exchange::attempt::key_of;
use crate::exchange::floor::has_type;
use crate::exchange::hold::{BackendStatus, grpc_status};
use crate::exchange::{Exchange, State};
use crate::http::check::ResponseFacts;
use crate::http::fields::Fields;
use crate::upstream::{AttemptId, BodyPart, Fault, SessionRef, Sink, StreamRef};

/// A staged response grows to this size; larger parts go as slices.
const STAGE_BYTES: usize = 8 * 1024;

/// Sessions call this while they read, for exchanges of many connections. A panic here ends one of
/// those connections, and the session goes on.
impl Sink for Relay {
    fn on_informational(&mut self, name: AttemptId, _status: u16, fields: &Fields) {
        self.guarded(key_of(name), (), |relay| take_informational(relay, name, fields));
    }

    fn on_head(&mut self, name: AttemptId, _status: u16, fields: &Fields, facts: ResponseFacts, end: bool) {
        self.guarded(key_of(name), (), |relay| take_head(relay, name, fields, facts, end));
    }

    fn on_data(&mut self, name: AttemptId, data: BodyPart<'_>, end: bool) -> usize {
        self.guarded(key_of(name), data.len(), |relay| take_data(relay, name, data, end))
    }

    fn on_end(&mut self, name: AttemptId) {
        self.guarded(key_of(name), (), |relay| take_end(relay, name));
    }

    fn on_trailers(&mut self, name: AttemptId, fields: &Fields) {
        self.guarded(key_of(name), (), |relay| take_trailers(relay, name, fields));
    }

    fn on_failed(&mut self, name: AttemptId, fault: Fault) {
        self.guarded(key_of(name), (), |relay| take_failure(relay, name, fault));
    }

    fn on_session_lost(&mut self, session: SessionRef) {
        self.note_panic(Owner::Session);
        let is_on = |stream: Option<StreamRef>| stream.is_some_and(|stream| stream.session == session);
        let mut lost = Vec::new();
        for (_, exchange) in self.exchanges.iter() {
            lost.extend(is_on(exchange.attempt.upstream).then(|| exchange.name()));
            lost.extend(is_on(exchange.state().hedge().and_then(|hedge| hedge.upstream)).then(|| exchange.hedge_name()));
        }
        for name in lost {
            self.on_failed(name, Fault { reason: Reason::InternalError, is_unsent: false, h2_code: 0, was_reused: false });
        }
    }

    fn on_window(&mut self, name: AttemptId) {
        self.notes.push(Note::Send(key_of(name)));
    }

    fn on_opened(&mut self, name: AttemptId, session: SessionRef) {
        let is_opening = self.exchanges.get(key_of(name)).is_some_and(|exchange| exchange.is_opening(name));
        let note = if is_opening { Note::Start(name, session) } else { Note::Release(name, session) };
        self.notes.push(note);
    }

    fn on_upload_stopped(&mut self, name: AttemptId) {
        self.guarded(key_of(name), (), |relay| take_upload_stopped(relay, name));
    }
}

fn take_informational(relay: &mut Relay, name: AttemptId, fields: &Fields) {
    // While two attempts run, the interim responses of both are passed on as they arrive: nobody
    // knows yet which will win, and a late hint is useless.
    let exchange = relay.exchanges.get(key_of(name)).filter(|exchange| exchange.state().pending().is_some());
    if exchange.is_none_or(|exchange| exchange.attempt_named(name).is_none()) {
        return;
    }
    write::stage_head(relay, name, fields);
    write::flush_stage(relay);
}

fn take_head(relay: &mut Relay, name: AttemptId, fields: &Fields, facts: ResponseFacts, end: bool) {
    plant::here("response");
    let now = relay.turn.now;
    let key = key_of(name);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(is_race) = exchange.state().pending().map(|pending| pending.hedge.is_some()) else { return };
    let Some(attempt) = exchange.attempt_named_mut(name) else { return };
    attempt.answered = now;
    let status = BackendStatus::of(facts.status, fields, end || attempt.holds_grpc());
    let is_held = attempt.holds(&status);
    if is_race && is_held {
        return fail::beside(relay, name, Reason::ResponseStatus, 0, status);
    }
    if is_race {
        withdraw::rival(relay, name);
    }
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.outcome.backend = status;
    exchange.outcome.asked_for_connection |= facts.has_connection_challenge;
    exchange.watch.is_event_stream = !end && has_type(fields, b"text/event-stream");
    if end {
        exchange.end_response();
    }
    if is_held {
        return hold::begin(relay, key, status, fields);
    }
    exchange.enter(State::Response);
    exchange.outcome.status = status.status;
    exchange.outcome.reason = Reason::None;
    exchange.outcome.ended_by = 0;
    exchange.incoming.keep(0);
    write::stage_head(relay, name, fields);
}

fn take_data(relay: &mut Relay, name: AttemptId, data: BodyPart<'_>, end: bool) -> usize {
    let key = key_of(name);
    let is_staged = relay.stage.owner == Some(key);
    let stage_len = relay.stage.bytes.len();
    let Some(exchange) = answered(relay, name) else { return data.len() };
    if end {
        exchange.end_response();
    }
    if is_staged && stage_len + data.len() <= STAGE_BYTES && !exchange.outgoing.has_bytes() {
        exchange.outgoing.body_bytes += data.len() as u64;
        if !data.is_empty() {
            let encoding = exchange.outgoing.encoding;
            encoding.body(data.bytes(), &mut relay.stage.bytes);
        }
        return data.len();
    }
    exchange.outgoing.body_len += data.len();
    if !data.is_empty() {
        exchange.outgoing.body.push_back(data.into_chunk());
    }
    write::write_on(relay, key);
    0
}

fn take_end(relay: &mut Relay, name: AttemptId) {
    let Some(exchange) = answered(relay, name) else { return };
    exchange.end_response();
    write::write_on(relay, key_of(name));
}

fn take_trailers(relay: &mut Relay, name: AttemptId, fields: &Fields) {
    let key = key_of(name);
    if relay.stage.owner == Some(key) {
        write::flush_stage(relay);
    }
    let Some(exchange) = answered(relay, name) else { return };
    exchange.outcome.backend.grpc_status = grpc_status(fields).or(exchange.outcome.backend.grpc_status);
    let edits = exchange.attempt.plan.as_ref().map(|plan| &plan.response);
    let stripped = edits.filter(|edits| edits.strips(fields)).map(|edits| {
        let mut left = fields.clone();
        (edits.strip(&mut left), left)
    });
    let (count, fields) = stripped.as_ref().map_or((0, fields), |(count, left)| (*count, left));
    if !fields.is_empty() {
        let Outgoing { encoding, tail, .. } = &mut exchange.outgoing;
        encoding.trailers(fields, tail);
    }
    exchange.end_response();
    relay.counters.add_to(Id::TrailerFieldsDropped, TrailerDropped::ResponseEdit as usize, count);
    write::write_response(relay, key);
}

fn take_failure(relay: &mut Relay, name: AttemptId, fault: Fault) {
    write::flush_stage(relay);
    let Some(exchange) = relay.exchanges.get_mut(key_of(name)) else { return };
    if exchange.state().is_under_way() {
        return fail::attempt(relay, name, fault);
    }
    if let Some(hold) = exchange.hold_mut() {
        hold.fault = Some(fault);
        exchange.attempt.upstream = None;
        exchange.attempt.count_out(&relay.table);
    }
}

fn take_upload_stopped(relay: &mut Relay, name: AttemptId) {
    let Some(exchange) = answered(relay, name) else { return };
    exchange.attempt.upstream = None;
    if let Some(hold) = exchange.hold_mut() {
        hold.is_upload_stopped = true;
        return;
    }
    let is_done = exchange.outgoing.is_done;
    hold::stop_upload(relay, key_of(name));
    if is_done {
        complete::complete(relay, key_of(name), Reason::None);
    }
}

/// The exchange whose response a session reports, relayed or held; none if the attempt has lost or
/// failed.
fn answered(relay: &mut Relay, name: AttemptId) -> Option<&mut Exchange> {
    let exchange = relay.exchanges.get_mut(key_of(name))?;
    let is_open = exchange.state().is_relayed() || exchange.state().is_held();
    (is_open && exchange.name() == name).then_some(exchange)
}
