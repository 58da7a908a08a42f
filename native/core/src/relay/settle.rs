//! Does what was noted while sessions were calling, once they have returned.

use super::notes::Note;
use super::{Relay, open, send, write};
use crate::exchange::attempt::key_of;
use crate::upstream::Upstreams;

/// Does all notes, including those that are added on the way.
pub(crate) fn settle(relay: &mut Relay, upstreams: &mut Upstreams) {
    write::flush_stage(relay);
    while let Some(note) = relay.notes.pop() {
        match note {
            Note::Send(key) => relay.guarded(key, (), |relay| send::send(relay, upstreams, key)),
            Note::Start(name, session) => relay.guarded(key_of(name), (), |relay| open::start(relay, upstreams, name, session)),
            Note::CancelWait(slot, name) => upstreams.cancel_wait(slot, name),
            Note::Release(name, session) => upstreams.release(session, name),
            Note::Reset(stream, code) => upstreams.reset(stream, code),
            Note::Credit(stream, bytes) => upstreams.credit(stream, bytes),
        }
    }
}
