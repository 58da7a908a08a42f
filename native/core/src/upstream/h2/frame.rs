//! HTTP/2 frames as bytes: the nine-byte head, and the frames that a client writes (RFC 9113 §4,
//! §6).

use crate::upstream::outbox::Outbox;

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 9;

/// Largest payload in both directions: the default, and small beside a read block.
pub const MAX_PAYLOAD_BYTES: usize = 16_384;

/// The connection preface (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags; END_STREAM and ACK are the same bit of different frames.
pub mod flag {
    #![allow(missing_docs)]
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings that a client sends or obeys (RFC 9113 §6.5.2).
pub mod setting {
    #![allow(missing_docs)]
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Payload bytes.
    pub len: usize,
    /// Frame type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream identifier without the reserved bit.
    pub stream: u32,
}

impl FrameHead {
    /// Reads a head from nine bytes.
    pub fn read(bytes: &[u8; HEAD_BYTES]) -> FrameHead {
        FrameHead {
            len: (bytes[0] as usize) << 16 | (bytes[1] as usize) << 8 | bytes[2] as usize,
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & 0x7fff_ffff,
        }
    }

    /// The head as bytes.
    pub fn bytes(&self) -> [u8; HEAD_BYTES] {
        let stream = self.stream.to_be_bytes();
        let len = self.len;
        [(len >> 16) as u8, (len >> 8) as u8, len as u8, self.kind, self.flags, stream[0], stream[1], stream[2], stream[3]]
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame with a short payload.
pub fn write(out: &mut Outbox, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let head = FrameHead { len: payload.len(), kind, flags, stream };
    let room = out.reserve(HEAD_BYTES + payload.len());
    room[..HEAD_BYTES].copy_from_slice(&head.bytes());
    room[HEAD_BYTES..].copy_from_slice(payload);
    out.commit(HEAD_BYTES + payload.len());
}

/// Appends WINDOW_UPDATE; stream 0 is the connection.
pub fn write_window(out: &mut Outbox, stream: u32, bytes: u32) {
    write(out, kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
}

/// Appends RST_STREAM.
pub fn write_reset(out: &mut Outbox, stream: u32, code: u32) {
    write(out, kind::RST_STREAM, 0, stream, &code.to_be_bytes());
}

/// Appends GOAWAY. A server opens no streams here, so the last identifier is always 0.
pub fn write_goaway(out: &mut Outbox, code: u32) {
    let mut payload = [0; 8];
    payload[4..].copy_from_slice(&code.to_be_bytes());
    write(out, kind::GOAWAY, 0, 0, &payload);
}

/// Appends SETTINGS.
pub fn write_settings(out: &mut Outbox, settings: &[(u16, u32)]) {
    let mut payload = [0; 6 * 8];
    for (index, (id, value)) in settings.iter().enumerate() {
        payload[index * 6..index * 6 + 2].copy_from_slice(&id.to_be_bytes());
        payload[index * 6 + 2..index * 6 + 6].copy_from_slice(&value.to_be_bytes());
    }
    write(out, kind::SETTINGS, 0, 0, &payload[..settings.len() * 6]);
}

/// Appends a field block as HEADERS and, where it is too long for a frame, CONTINUATION.
pub fn write_block(out: &mut Outbox, stream: u32, block: &[u8], is_end: bool, max_payload: usize) {
    let end_stream = if is_end { flag::END_STREAM } else { 0 };
    if block.len() <= max_payload {
        return write(out, kind::HEADERS, end_stream | flag::END_HEADERS, stream, block);
    }
    let mut pieces = block.chunks(max_payload).peekable();
    let mut first = (kind::HEADERS, end_stream);
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        write(out, first.0, first.1 | last, stream, piece);
        first = (kind::CONTINUATION, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_way_through_bytes() {
        let head = FrameHead { len: 0x01_02_03, kind: 9, flags: 0x25, stream: 0x7fff_fffd };
        assert_eq!(FrameHead::read(&head.bytes()), head);
    }

    #[test]
    fn a_long_block_is_continued_and_only_its_last_frame_ends_the_headers() {
        let mut out = Outbox::default();
        write_block(&mut out, 1, &[7; 25], true, 10);
        let bytes = out.pending();
        let heads: Vec<FrameHead> = [0, 19, 38].iter().map(|at| FrameHead::read(bytes[*at..*at + 9].try_into().unwrap())).collect();
        assert_eq!(heads[0], FrameHead { len: 10, kind: kind::HEADERS, flags: flag::END_STREAM, stream: 1 });
        assert_eq!(heads[1], FrameHead { len: 10, kind: kind::CONTINUATION, flags: 0, stream: 1 });
        assert_eq!(heads[2], FrameHead { len: 5, kind: kind::CONTINUATION, flags: flag::END_HEADERS, stream: 1 });
    }
}
