//! The HTTP/1.1 client of one connection (RFC 9112): one exchange after another, strictly parsed,
//! with keep-alive.
//!
//! To the relay an exchange looks like one of HTTP/2: pseudo-header fields become the request line,
//! `:status` comes first in a response, and connection-specific fields stay here. The connection
//! ends where the end of a message is in doubt, and when an exchange is cancelled.

mod chunked;
mod head;
mod receive;
mod request;

use chunked::Chunked;
use request::Framing;

use super::client::{Client, Permit};
use super::config::SessionLimits;
use super::io::Io;
use super::outbox::Outbox;
use super::sink::{AttemptId, Fault, Sink};
use crate::base::budget::SMALL_WINDOW;
use crate::base::reason::Reason;
use crate::http::fields::Fields;
use crate::http::section::FieldLimits;
use crate::upstream::Stat;

/// Body bytes written at a time: their number has four hexadecimal digits.
const MAX_PART_BYTES: usize = 16_384;

/// Bytes around a chunk: `4000\r\n` before, `\r\n` after, `0\r\n\r\n` at the end.
const CHUNK_HEAD_BYTES: usize = 6;
const CHUNK_TAIL_BYTES: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What is left of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// Bytes by content-length.
    Length(u64),
    /// Chunks, until the end.
    Chunked,
    /// Nothing.
    Done,
    /// It ended before content-length: the connection cannot go on.
    Short,
}

/// What is left of the response.
#[derive(Clone, Copy, Debug)]
enum Download {
    /// A head, interim or final.
    Head,
    /// Bytes by content-length.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Everything until the backend closes.
    UntilClose,
    /// Nothing.
    Done,
}

/// The exchange on the connection.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    id: u32,
    key: AttemptId,
    permit: Permit,
    head_offset: u64,
    upload: Upload,
    download: Download,
    is_head: bool,
    is_blocked: bool,
    was_reused: bool,
    informational: u8,
    held: usize,
}

/// One connection's protocol state.
pub struct H1 {
    limits: FieldLimits,
    /// The largest window, and the exchange's.
    max_window: usize,
    window: usize,
    exchange: Option<Exchange>,
    last_id: u32,
    is_closing: bool,
    /// Bytes of an incomplete head that have been scanned.
    scanned: usize,
    /// Fields that the head's `connection` named, for the trailers.
    named: Vec<u8>,
    /// The client that the connection is bound to: the backend may take every request for its.
    owner: Option<Client>,
}

impl H1 {
    /// A connection that has carried nothing.
    pub fn new(limits: &SessionLimits) -> H1 {
        H1 {
            limits: limits.head(),
            max_window: (limits.stream_window_bytes as usize).max(1),
            window: 1,
            exchange: None,
            last_id: 0,
            is_closing: false,
            scanned: 0,
            named: Vec::new(),
            owner: None,
        }
    }

    /// The client that the connection is bound to, once NTLM or Negotiate was used on it.
    pub fn owner(&self) -> Option<Client> {
        self.owner
    }

    /// Exchanges open: one or none.
    pub fn open_streams(&self) -> u32 {
        u32::from(self.exchange.is_some())
    }

    /// Whether the connection ends with its exchange.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether the client's side has room. HTTP/1.1 has no windows: flow control is not reading.
    pub fn wants_read(&self) -> bool {
        self.exchange.as_ref().is_none_or(|exchange| exchange.held < self.window)
    }

    /// Bytes that may be read at once.
    pub fn read_limit(&self) -> usize {
        self.exchange.as_ref().map_or(usize::MAX, |exchange| self.window.saturating_sub(exchange.held).max(1))
    }

    /// Writes a request head, for an attempt and its permit; returns slot and identifier of the
    /// exchange.
    pub fn start(
        &mut self,
        io: &mut Io<'_>,
        (key, permit): (AttemptId, Permit),
        head: &Fields,
        has_body: bool,
    ) -> Result<(u32, u32), Fault> {
        if self.is_closing || self.exchange.is_some() {
            return Err(Fault::unsent(Reason::BackendClosed));
        }
        let head_offset = io.out.offset();
        let text = &mut io.work.scratch;
        text.clear();
        let Some(line) = request::write_head(head, has_body, text) else { return Err(Fault::unsent(Reason::RequestMalformed)) };
        io.out.push(text);
        if line.has_connection_credentials {
            self.owner = Some(permit.client);
        }
        io.stats[Stat::StreamsOpen] += 1;
        self.window = if io.work.is_tight { self.max_window.min(SMALL_WINDOW as usize) } else { self.max_window };
        self.last_id += 1;
        self.exchange = Some(Exchange {
            id: self.last_id,
            key,
            permit,
            head_offset,
            upload: match line.framing {
                Framing::None => Upload::Done,
                Framing::Length(length) => Upload::Length(length),
                Framing::Chunked => Upload::Chunked,
            },
            download: Download::Head,
            is_head: line.is_head,
            is_blocked: false,
            was_reused: self.last_id > 1,
            informational: 0,
            held: 0,
        });
        Ok((0, self.last_id))
    }

    /// Body bytes that may be written now.
    pub fn body_room(&mut self, out: &Outbox, id: u32) -> usize {
        let Some(exchange) = self.named(id) else { return 0 };
        let room = out.body_room();
        let room = match exchange.upload {
            Upload::Length(left) => room.min(left.min(usize::MAX as u64) as usize),
            Upload::Chunked => room,
            Upload::Done | Upload::Short => return 0,
        };
        exchange.is_blocked = room == 0;
        room
    }

    /// Writes one part of the body.
    pub fn write_body(&mut self, io: &mut Io<'_>, id: u32, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        let room = self.body_room(io.out, id).min(MAX_PART_BYTES);
        let Some(exchange) = self.named(id) else { return 0 };
        let (count, is_end) = match exchange.upload {
            Upload::Done | Upload::Short => return 0,
            Upload::Length(left) => {
                let (count, is_end) = fill(io.out.reserve(room));
                io.out.commit(count);
                exchange.upload = Upload::Length(left - count as u64);
                (count, is_end)
            }
            Upload::Chunked => write_chunk(io.out, room, fill),
        };
        if is_end {
            self.end_upload(io);
        }
        count
    }

    /// Ends the request with trailers, which only chunks can carry; they are dropped otherwise.
    pub fn write_trailers(&mut self, io: &mut Io<'_>, id: u32, fields: &Fields) {
        let Some(exchange) = self.named(id) else { return };
        if exchange.upload == Upload::Chunked {
            let text = &mut io.work.scratch;
            text.clear();
            text.extend_from_slice(b"0\r\n");
            request::write_trailers(fields, text);
            text.extend_from_slice(b"\r\n");
            io.out.push(text);
        }
        self.end_upload(io);
    }

    fn end_upload(&mut self, io: &mut Io<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.is_blocked = false;
        if matches!(exchange.upload, Upload::Length(left) if left > 0) {
            exchange.upload = Upload::Short;
            self.is_closing = true;
            return;
        }
        exchange.upload = Upload::Done;
        if matches!(exchange.download, Download::Done) {
            self.finish(io);
        }
    }

    /// The sink consumed bytes that it held.
    pub fn credit(&mut self, id: u32, bytes: usize) {
        if let Some(exchange) = self.named(id) {
            exchange.held = exchange.held.saturating_sub(bytes);
        }
    }

    /// Cancels the exchange and ends the connection.
    pub fn reset(&mut self, io: &mut Io<'_>, id: u32) {
        if self.named(id).is_some() {
            self.is_closing = true;
            self.finish(io);
        }
    }

    /// Bytes were written to the socket.
    pub fn on_drained<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S) {
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.upload == Upload::Short {
            return self.fail(io, sink, Reason::RequestLengthMismatch);
        }
        if exchange.is_blocked && io.out.body_room() >= MAX_PART_BYTES {
            exchange.is_blocked = false;
            sink.on_window(exchange.key);
        }
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        if self.exchange.is_none() {
            self.named = Vec::new();
        }
    }

    /// The exchange fails, and the connection ends.
    pub fn fail<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, reason: Reason) {
        self.is_closing = true;
        let Some(exchange) = self.finish(io) else { return };
        if matches!(exchange.download, Download::Done) {
            return sink.on_upload_stopped(exchange.key);
        }
        // A backend that refuses our side of the handshake has read nothing that came after it.
        let is_unsent = reason.of_tls().is_some() || io.out.written() <= exchange.head_offset;
        sink.on_failed(exchange.key, Fault { reason, is_unsent, h2_code: 0, was_reused: exchange.was_reused });
    }

    fn finish(&mut self, io: &mut Io<'_>) -> Option<Exchange> {
        let exchange = self.exchange.take()?;
        io.stats[Stat::StreamsOpen] -= 1;
        io.released.push(exchange.permit);
        Some(exchange)
    }

    fn named(&mut self, id: u32) -> Option<&mut Exchange> {
        self.exchange.as_mut().filter(|exchange| exchange.id == id)
    }
}

/// Writes what `fill` provides as a chunk, and the last chunk if that is the end.
fn write_chunk(out: &mut Outbox, room: usize, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> (usize, bool) {
    let bytes = out.reserve(CHUNK_HEAD_BYTES + room + CHUNK_TAIL_BYTES);
    let (count, is_end) = fill(&mut bytes[CHUNK_HEAD_BYTES..CHUNK_HEAD_BYTES + room]);
    if count > 0 {
        for (index, digit) in bytes[..4].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[count >> (12 - 4 * index) & 15];
        }
        bytes[4..CHUNK_HEAD_BYTES].copy_from_slice(b"\r\n");
        bytes[CHUNK_HEAD_BYTES + count..CHUNK_HEAD_BYTES + count + CHUNK_TAIL_BYTES].copy_from_slice(b"\r\n");
        out.commit(CHUNK_HEAD_BYTES + count + CHUNK_TAIL_BYTES);
    }
    if is_end {
        out.push(LAST_CHUNK);
    }
    (count, is_end)
}
