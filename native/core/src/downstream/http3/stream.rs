//! One request's stream over QUIC: what ends it, its windows, and the response's way out.

use super::cause::code_of;
use crate::base::chunk::Chunk;
use crate::downstream::cause::Cause;
use crate::downstream::outgoing::Outgoing;
use crate::downstream::terms::Unwritten;
use crate::http::error::h3;
use crate::http::h3::{FRAME_HEAD_BYTES, write_data_head};
use crate::quic::transport::Quic;

/// An end never goes alone: quiche forgets a stream once all its bytes are acknowledged, whether or
/// not an end without bytes has arrived, and then does not send it again. So it goes with an empty
/// frame of a reserved type, which everybody has to ignore (RFC 9114 §7.2.8).
const LAST_FRAME: [u8; 2] = [0x21, 0];

/// A request's stream.
pub struct Stream<'a> {
    /// The connection's QUIC.
    pub quic: &'a mut Quic,
    /// The stream's ID.
    pub id: u64,
}

impl Stream<'_> {
    /// Why the client has reset it, which quiche tells to a reader alone.
    pub fn reset_by_client(&mut self) -> Option<Cause> {
        match self.quic.stream_recv(self.id, &mut []) {
            Err(quiche::Error::StreamReset(code)) => Some(super::cause::cause_of(code)),
            _ => None,
        }
    }

    /// Nothing more is read of the request (RFC 9114 §4.1). A stream that is gone already needs no
    /// stop.
    pub fn stop_reading(&mut self) {
        let _ = self.quic.stream_shutdown(self.id, quiche::Shutdown::Read, h3::NO_ERROR);
    }

    /// Ends both directions. quiche forgets a stream, and lets the client open another for it, only
    /// when both have ended.
    pub fn reset(&mut self, cause: Cause) {
        // One that has ended already, or is gone, needs no end.
        let _ = self.quic.stream_shutdown(self.id, quiche::Shutdown::Read, code_of(cause));
        let _ = self.quic.stream_shutdown(self.id, quiche::Shutdown::Write, code_of(cause));
    }

    /// Bytes of the request that its window lets come.
    pub fn window(&self) -> u64 {
        self.quic.stream_recv_window(self.id).unwrap_or(0)
    }

    /// Whether the client lets body come to this stream: what keeps it then is the connection.
    pub fn has_credit(&self) -> bool {
        self.quic.stream_credit(self.id).is_some_and(|credit| credit > FRAME_HEAD_BYTES)
    }

    /// Whether the stream still has bytes on their way. quiche forgets it when its last byte is
    /// acknowledged.
    pub fn is_known(&mut self) -> bool {
        !matches!(self.quic.stream_capacity(self.id), Err(quiche::Error::InvalidStreamState(_)))
    }

    /// Writes encoded bytes as far as the stream takes them, without a word on why it takes no
    /// more; how many.
    pub fn write_encoded(&mut self, bytes: &[u8], is_end: bool) -> usize {
        self.quic.stream_send(self.id, bytes, is_end).unwrap_or(0)
    }

    /// Writes frames, then body as DATA frames that fit what the stream takes, then trailers, then
    /// the end, as far as the stream takes them.
    pub fn write(&mut self, outgoing: &mut Outgoing) -> Result<(), Unwritten> {
        loop {
            if !outgoing.framed.is_empty() {
                let is_end = outgoing.is_complete && outgoing.body_len == 0 && outgoing.tail.is_empty();
                // A clone, because quiche keeps what it is given even when it takes nothing.
                match self.quic.stream_send_zc(self.id, outgoing.framed.clone(), is_end) {
                    Ok((sent, None)) => {
                        outgoing.taken += sent as u64;
                        outgoing.framed = Chunk::default();
                        outgoing.is_done = is_end;
                    }
                    Ok((sent, Some(rest))) => {
                        outgoing.taken += sent as u64;
                        outgoing.framed = rest;
                        return Err(Unwritten::Blocked);
                    }
                    // quiche says the same of a stream that it has forgotten.
                    Err(quiche::Error::Done) if !self.is_known() => return Err(Unwritten::Refused),
                    Err(error) => return Err(refused(error)),
                }
            } else if outgoing.body_len > 0 {
                self.write_body(outgoing)?;
            } else if !outgoing.tail.is_empty() {
                outgoing.framed = Chunk::copy_of(&outgoing.tail);
                outgoing.tail.clear();
            } else if outgoing.is_complete && !outgoing.is_done {
                outgoing.framed = Chunk::copy_of(&LAST_FRAME);
            } else {
                return Ok(());
            }
        }
    }

    /// One DATA frame: as much of the first chunk as fits, so that a frame is never torn.
    fn write_body(&mut self, outgoing: &mut Outgoing) -> Result<(), Unwritten> {
        let room = self.quic.stream_capacity(self.id).map_err(refused)?;
        if room <= FRAME_HEAD_BYTES {
            // Asks to be told when a frame fits again.
            self.quic.stream_writable(self.id, FRAME_HEAD_BYTES + 1).map_err(refused)?;
            return Err(Unwritten::Blocked);
        }
        let Some(mut chunk) = outgoing.body.pop_front() else { return Ok(()) };
        let fits = chunk.len().min(room - FRAME_HEAD_BYTES);
        if fits < chunk.len() {
            let rest = chunk.split_off(fits);
            outgoing.body.push_front(rest);
        }
        let is_end = outgoing.is_complete && fits == outgoing.body_len && outgoing.tail.is_empty();
        let mut head = Vec::with_capacity(FRAME_HEAD_BYTES);
        write_data_head(fits, &mut head);
        if let Err(error) = self.quic.stream_send(self.id, &head, false) {
            outgoing.body.push_front(chunk);
            return Err(refused(error));
        }
        let (sent, rest) = self.quic.stream_send_zc(self.id, chunk, is_end).map_err(refused)?;
        outgoing.body_bytes += sent as u64;
        outgoing.taken += (head.len() + sent) as u64;
        // The capacity was asked for above; should quiche take less all the same, the frame's rest
        // goes as it is.
        if let Some(rest) = rest {
            outgoing.body_len -= fits;
            outgoing.framed = rest;
            return Err(Unwritten::Blocked);
        }
        outgoing.body_len -= sent;
        outgoing.is_done = is_end;
        Ok(())
    }
}

fn refused(error: quiche::Error) -> Unwritten {
    if error == quiche::Error::Done { Unwritten::Blocked } else { Unwritten::Refused }
}
