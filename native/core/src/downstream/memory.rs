//! The second protocol: a client in the same process, for tests of what exchanges do with the
//! first.
//!
//! A test is the client: it puts heads, bodies and ends into a [`Line`], gives the response room,
//! and reads what came. Nothing here is HTTP/3's: a head arrives whole, a body has no frames, a
//! response is lines of text.

use super::cause::Cause;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::terms::{Body, Head, Left, Next, Stopped, Tunnel, Unwritten};
use crate::base::chunk::Chunk;
use crate::base::counters::{Closed, Handshake};
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use crate::base::timers::{Clock, NEVER, Nanos};
use crate::http::fields::Fields;
use crate::http::section::FieldLimits;
use crate::quic::send::Sender;
use crate::quic::transport::{Life, PacketStats, Sent};
use std::collections::{BTreeMap, VecDeque};

/// What lies below: nothing that can be lost.
pub struct Link {
    pub rtt_us: u64,
    pub life: Life,
}

impl Link {
    pub fn handshake(&self) -> Option<Handshake> {
        Some(Handshake::Completed)
    }

    pub fn life(&self) -> Life {
        self.life
    }

    pub fn close(&mut self, _code: u64) {
        self.life = Life::Ending;
    }

    pub fn peer_idle_timeout(&self) -> Nanos {
        0
    }

    pub fn ask_for_sign(&mut self) {}

    pub fn may_wait(&mut self, _now: Nanos) -> bool {
        false
    }

    pub fn flush(&mut self, _sender: &mut Sender, _max_payload: usize, _is_paced: bool, _now: Nanos, _clock: &Clock) -> Sent {
        Sent::All
    }

    pub fn wait_for_socket(&mut self) {}

    pub fn deadline(&self, _clock: &Clock) -> Nanos {
        NEVER
    }

    pub fn take_timeout(&mut self, _now: Nanos, _clock: &Clock) {}

    pub fn measure(&mut self, _now: Nanos, promised: u64) -> (u64, u64) {
        (promised, 0)
    }

    pub fn stats(&self) -> PacketStats {
        PacketStats::default()
    }
}

/// One request's stream, both ends of it.
#[derive(Default)]
pub struct Line {
    /// The head, until it is read.
    pub head: Option<Fields>,
    /// Body that is not read yet.
    pub body: VecDeque<u8>,
    pub trailers: Option<Fields>,
    /// The client has ended its side.
    pub is_ended: bool,
    /// The client has left.
    pub left: Option<Left>,
    /// The client wants no more of the response.
    pub stopped: Option<Cause>,
    /// Bytes of the response that the client takes.
    pub room: usize,
    /// The response as it came.
    pub output: Vec<u8>,
    /// It is complete.
    pub is_complete: bool,
    /// The edge has reset the stream.
    pub reset: Option<Cause>,
    /// The edge reads no more.
    pub is_unwanted: bool,
    /// Its first byte was looked at.
    pub has_begun: bool,
    /// The edge waits for room.
    pub is_blocked: bool,
}

/// A client's connection.
pub struct Memory {
    pub link: Link,
    pub lines: BTreeMap<u64, Line>,
    /// Why the edge has closed it.
    pub closed: Option<Cause>,
    /// Words of a drain: the notice, and the first stream that is not served.
    pub goaways: Vec<Option<u64>>,
}

impl Default for Memory {
    fn default() -> Memory {
        let link = Link { rtt_us: 1_000, life: Life::Open };
        Memory { link, lines: BTreeMap::new(), closed: None, goaways: Vec::new() }
    }
}

impl Memory {
    pub fn open(&mut self, _max_head_bytes: usize) {}

    pub fn closed_by(&self) -> Closed {
        if self.closed.is_some() { Closed::Local } else { Closed::Peer }
    }

    pub fn close(&mut self, cause: Cause, _reason: &[u8]) {
        self.closed.get_or_insert(cause);
        self.link.life = Life::Ending;
    }

    pub fn carries(&self, _tunnel: Tunnel) -> bool {
        false
    }

    pub fn list_readable(&mut self, streams: &mut Vec<u64>) {
        streams.extend(self.lines.iter().filter(|(_, line)| !line.is_unwanted).map(|(id, _)| *id));
    }

    pub fn list_writable(&mut self, is_any_blocked: bool, streams: &mut Vec<u64>) {
        let is_free = |line: &Line| line.is_blocked && line.room > 0 || line.stopped.is_some();
        streams.extend(self.lines.iter().filter(|(_, line)| is_any_blocked && is_free(line)).map(|(id, _)| *id));
    }

    pub fn is_request(&self, _stream: u64) -> bool {
        true
    }

    pub fn read_own(&mut self, _stream: u64, _scratch: &mut [u8]) -> Result<(), Cause> {
        Ok(())
    }

    pub fn write_own(&mut self) {}

    pub fn begin(&mut self, stream: u64, _now: Nanos) -> bool {
        self.lines.get_mut(&stream).is_some_and(|line| !std::mem::replace(&mut line.has_begun, true))
    }

    pub fn list_stopped(&mut self, exchanges: &NumberMap<Key>, stopped: &mut Vec<(Key, Left)>) -> bool {
        for (id, exchange) in exchanges {
            let cause = self.lines.get(id).and_then(|line| line.stopped);
            stopped.extend(cause.map(|cause| (*exchange, Left::Reset(cause))));
        }
        !stopped.is_empty()
    }

    pub fn notice_gaps(&mut self, _now: Nanos) -> bool {
        false
    }

    pub fn give_up_gaps(&mut self, _before: Nanos) -> (u64, bool) {
        (0, false)
    }

    pub fn notify_drain(&mut self) {
        self.goaways.push(None);
    }

    pub fn finish_drain(&mut self) -> u64 {
        let next = self.lines.iter().filter(|(_, line)| line.has_begun).map(|(id, _)| id + 1).max().unwrap_or(0);
        self.goaways.push(Some(next));
        next
    }

    pub fn note_end(&mut self, _stream: u64) {}

    pub fn is_drained(&mut self) -> bool {
        true
    }

    pub fn stream(&mut self, id: u64) -> Stream<'_> {
        Stream(self.lines.entry(id).or_default())
    }
}

/// One request's stream.
pub struct Stream<'a>(&'a mut Line);

impl Stream<'_> {
    pub fn read_head(&mut self, incoming: &mut Incoming, head: &mut Fields, limits: FieldLimits, _scratch: &mut [u8]) -> Head {
        if let Some(left) = self.0.left {
            return Head::Left(left);
        }
        let Some(come) = self.0.head.take() else {
            return if self.0.is_ended { Head::Incomplete } else { Head::Partial };
        };
        if come.text_len() > limits.max_size {
            return Head::TooLarge;
        }
        come.iter().for_each(|field| head.push_known(field.known, field.name, field.value));
        incoming.has_head = true;
        incoming.is_done = self.is_over();
        incoming.is_early_end = incoming.is_done;
        Head::Complete
    }

    pub fn next(&mut self, incoming: &mut Incoming, _limits: FieldLimits) -> Next {
        if let Some(left) = self.0.left {
            return Next::Left(left);
        }
        let waiting = incoming.early.len() - incoming.early_used + self.0.body.len();
        match &self.0.trailers {
            _ if waiting > 0 => Next::Body(waiting as u64),
            Some(trailers) => {
                incoming.has_trailers = true;
                Next::Trailers(trailers.clone(), true)
            }
            None if self.0.is_ended => Next::End,
            None => Next::Empty,
        }
    }

    pub fn read_body(&mut self, incoming: &mut Incoming, room: &mut [u8]) -> Result<Body, Stopped> {
        let (count, is_end) = incoming.read(|out| self.receive(out), room)?;
        Ok(Body { count, is_end, fault: None })
    }

    fn receive(&mut self, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        let count = out.len().min(self.0.body.len());
        self.0.body.drain(..count).zip(out).for_each(|(byte, place)| *place = byte);
        if count == 0 && !self.is_over() { Err(Stopped::Empty) } else { Ok((count, self.is_over())) }
    }

    fn is_over(&self) -> bool {
        self.0.is_ended && self.0.body.is_empty() && self.0.trailers.is_none()
    }

    pub fn reset_by_client(&mut self) -> Option<Cause> {
        match self.0.left {
            Some(Left::Reset(cause)) => Some(cause),
            _ => None,
        }
    }

    pub fn stop_reading(&mut self) {
        self.0.is_unwanted = true;
    }

    pub fn reset(&mut self, cause: Cause) {
        self.0.reset.get_or_insert(cause);
        self.0.is_unwanted = true;
    }

    pub fn window(&self) -> u64 {
        1_000
    }

    pub fn has_credit(&self) -> bool {
        self.0.room > 0
    }

    pub fn write_encoded(&mut self, bytes: &[u8], is_end: bool) -> usize {
        let count = if self.0.stopped.is_some() { 0 } else { bytes.len().min(self.0.room) };
        self.0.output.extend_from_slice(&bytes[..count]);
        self.0.room -= count;
        self.0.is_complete |= is_end && count == bytes.len();
        count
    }

    pub fn write(&mut self, outgoing: &mut Outgoing) -> Result<(), Unwritten> {
        if self.0.stopped.is_some() || self.0.left == Some(Left::Gone) {
            return Err(Unwritten::Refused);
        }
        loop {
            if !outgoing.framed.is_empty() {
                let count = self.write_encoded(outgoing.framed.as_ref(), false);
                outgoing.taken += count as u64;
                outgoing.framed = Chunk::copy_of(&outgoing.framed.as_ref()[count..]);
                if !outgoing.framed.is_empty() {
                    self.0.is_blocked = true;
                    return Err(Unwritten::Blocked);
                }
            } else if let Some(mut chunk) = outgoing.body.pop_front() {
                let count = chunk.len().min(self.0.room);
                if count < chunk.len() {
                    outgoing.body.push_front(chunk.split_off(count));
                }
                if count == 0 {
                    self.0.is_blocked = true;
                    return Err(Unwritten::Blocked);
                }
                body_head(count, &mut self.0.output);
                self.write_encoded(chunk.as_ref(), false);
                outgoing.body_len -= count;
                outgoing.body_bytes += count as u64;
                outgoing.taken += count as u64;
            } else if !outgoing.tail.is_empty() {
                outgoing.framed = Chunk::copy_of(&outgoing.tail);
                outgoing.tail.clear();
            } else {
                self.0.is_blocked = false;
                outgoing.is_done = outgoing.is_complete;
                self.0.is_complete = outgoing.is_complete;
                return Ok(());
            }
        }
    }
}

// ---- how a response is written down

/// Appends a head.
pub fn head(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"head\n");
    write(out);
    out.push(b'\n');
}

/// Appends a field line.
pub fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [name, b"=", value, b"\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends what stands before a piece of body.
pub fn body_head(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("body {length}\n").as_bytes());
}

/// Appends trailers.
pub fn trailers(fields: &Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(b"trailers\n");
    fields.iter().for_each(|line| field(line.name, line.value, out));
    out.push(b'\n');
}

/// What a client has of a response.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Statuses, interim ones first.
    pub statuses: Vec<String>,
    /// Fields of the last head.
    pub fields: Vec<(String, String)>,
    pub body: String,
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// Reads what was written down so far.
    pub fn read(mut output: &[u8]) -> Response {
        let mut response = Response::default();
        while let Some(line) = take_line(&mut output) {
            match line.split_once(' ') {
                Some(("body", length)) => {
                    let (body, rest) = output.split_at(length.parse::<usize>().unwrap().min(output.len()));
                    response.body.push_str(std::str::from_utf8(body).unwrap());
                    output = rest;
                }
                _ => {
                    let mut fields: Vec<(String, String)> = Vec::new();
                    while let Some(field) = take_line(&mut output).filter(|field| !field.is_empty()) {
                        let (name, value) = field.split_once('=').unwrap();
                        fields.push((name.to_owned(), value.to_owned()));
                    }
                    if line == "trailers" {
                        response.trailers = fields;
                    } else {
                        response.statuses.push(fields.remove(0).1);
                        response.fields = fields;
                    }
                }
            }
        }
        response
    }
}

fn take_line(output: &mut &[u8]) -> Option<String> {
    let end = output.iter().position(|byte| *byte == b'\n')?;
    let line = String::from_utf8(output[..end].to_vec()).unwrap();
    *output = &output[end + 1..];
    Some(line)
}
