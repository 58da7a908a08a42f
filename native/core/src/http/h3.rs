//! HTTP/3 framing (RFC 9114) without a transport: frame heads, unidirectional streams, and the
//! frames a server writes.
//!
//! We announce a QPACK table of size zero and never insert, so the peer's QPACK streams may carry
//! almost nothing, and we open none of our own (RFC 9204 §4.2 allows it).

use super::error::h3 as code;
use super::integer::{read_varint, write_varint};

/// DATA frame.
pub const DATA: u64 = 0x00;
/// HEADERS frame.
pub const HEADERS: u64 = 0x01;
const CANCEL_PUSH: u64 = 0x03;
const SETTINGS: u64 = 0x04;
const PUSH_PROMISE: u64 = 0x05;
const GOAWAY: u64 = 0x07;
const MAX_PUSH_ID: u64 = 0x0d;

const STREAM_CONTROL: u64 = 0x00;
const STREAM_PUSH: u64 = 0x01;
const STREAM_QPACK_ENCODER: u64 = 0x02;
const STREAM_QPACK_DECODER: u64 = 0x03;

const SETTINGS_MAX_FIELD_SECTION_SIZE: u64 = 0x06;

/// Longest payload of a control frame that is kept: SETTINGS with dozens of entries fits.
const CONTROL_FRAME_BYTES: u64 = 2048;

/// Longest frame head that is written.
pub const FRAME_HEAD_BYTES: usize = 9;

/// Writes the head of a DATA frame, whose payload follows.
pub fn write_data_head(length: usize, out: &mut Vec<u8>) {
    out.push(DATA as u8);
    write_varint(out, length as u64);
}

/// Writes a HEADERS frame around the section that `write` appends. Two bytes are reserved for its
/// length; the section moves only when it needs more.
pub fn write_headers(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[HEADERS as u8, 0, 0]);
    write(out);
    let length = out.len() - start - 3;
    if length <= 0x3fff {
        out[start + 1..start + 3].copy_from_slice(&(length as u16 | 0x4000).to_be_bytes());
    } else {
        let head = (length as u32 | 0x8000_0000).to_be_bytes();
        out.splice(start + 1..start + 3, head);
    }
}

/// First bytes of our control stream: its type and SETTINGS.
pub fn write_control_preface(max_head_bytes: usize, out: &mut Vec<u8>) {
    let mut settings = Vec::new();
    write_varint(&mut settings, SETTINGS_MAX_FIELD_SECTION_SIZE);
    write_varint(&mut settings, max_head_bytes as u64);
    write_varint(out, STREAM_CONTROL);
    write_varint(out, SETTINGS);
    write_varint(out, settings.len() as u64);
    out.extend_from_slice(&settings);
}

/// Writes GOAWAY with the first request stream that is not served (RFC 9114 §5.2).
pub fn write_goaway(stream: u64, out: &mut Vec<u8>) {
    let mut payload = Vec::new();
    write_varint(&mut payload, stream);
    write_varint(out, GOAWAY);
    write_varint(out, payload.len() as u64);
    out.extend_from_slice(&payload);
}

/// Collects type and length of a frame, without a byte beyond them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameHead {
    bytes: [u8; 16],
    have: u8,
}

impl FrameHead {
    /// Bytes that are certainly missing; 0 when the head is complete.
    pub fn missing(&self) -> usize {
        let have = self.have as usize;
        if have == 0 {
            return 2;
        }
        let kind = 1usize << (self.bytes[0] >> 6);
        if have <= kind {
            return kind + 1 - have;
        }
        (kind + (1usize << (self.bytes[kind] >> 6))).saturating_sub(have)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes at most the missing bytes off `input`. When complete, returns type and length and
    /// starts over.
    pub fn take(&mut self, input: &mut &[u8]) -> Option<(u64, u64)> {
        loop {
            let missing = self.missing();
            if missing == 0 {
                let mut at = 0;
                let kind = read_varint(&self.bytes, &mut at)?;
                let length = read_varint(&self.bytes, &mut at)?;
                self.have = 0;
                return Some((kind, length));
            }
            if input.is_empty() {
                return None;
            }
            let count = missing.min(input.len());
            let have = self.have as usize;
            self.bytes[have..have + count].copy_from_slice(&input[..count]);
            self.have += count as u8;
            *input = &input[count..];
        }
    }
}

/// Frames on a request stream, to a server (RFC 9114 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFrame {
    /// Body.
    Data,
    /// Head or trailers.
    Headers,
    /// An unknown type, to be skipped (RFC 9114 §9).
    Unknown,
}

/// Classifies a frame on a request stream; an error closes the connection.
pub fn request_frame(kind: u64) -> Result<RequestFrame, u64> {
    match kind {
        DATA => Ok(RequestFrame::Data),
        HEADERS => Ok(RequestFrame::Headers),
        // Types of HTTP/2 without meaning in HTTP/3, and types of the control stream.
        0x02 | 0x06 | 0x08 | 0x09 | CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID => Err(code::FRAME_UNEXPECTED),
        _ => Ok(RequestFrame::Unknown),
    }
}

#[derive(Debug)]
enum Kind {
    Unknown { bytes: [u8; 8], have: usize },
    Control(Control),
    QpackEncoder,
    QpackDecoder { is_inside_integer: bool },
    Ignored,
}

/// A unidirectional stream of the peer.
#[derive(Debug)]
pub struct PeerStream {
    /// Its QUIC stream ID.
    pub id: u64,
    kind: Kind,
}

#[derive(Debug, Default)]
struct Control {
    head: FrameHead,
    frame: Option<(u64, u64)>,
    payload: Vec<u8>,
    has_settings: bool,
    max_push_id: Option<u64>,
    goaway: Option<u64>,
}

/// The peer's unidirectional streams. Errors are HTTP/3 codes that close the connection.
#[derive(Debug, Default)]
pub struct PeerStreams {
    streams: Vec<PeerStream>,
}

impl PeerStreams {
    /// Takes bytes of a stream, or its end.
    pub fn take(&mut self, id: u64, input: &[u8], is_end: bool) -> Result<(), u64> {
        let index = match self.streams.iter().position(|stream| stream.id == id) {
            Some(index) => index,
            None => {
                self.streams.push(PeerStream { id, kind: Kind::Unknown { bytes: [0; 8], have: 0 } });
                self.streams.len() - 1
            }
        };
        let mut input = input;
        if let Kind::Unknown { bytes, have } = &mut self.streams[index].kind {
            let kind = loop {
                if let Some(kind) = read_varint(&bytes[..*have], &mut 0) {
                    break Some(kind);
                }
                let Some((byte, rest)) = input.split_first() else { break None };
                bytes[*have] = *byte;
                *have += 1;
                input = rest;
            };
            match kind {
                Some(kind) => self.streams[index].kind = self.classify(kind)?,
                None => {
                    if is_end {
                        self.streams.swap_remove(index);
                    }
                    return Ok(());
                }
            }
        }
        match &mut self.streams[index].kind {
            Kind::Control(control) => control.take(input)?,
            Kind::QpackEncoder => qpack_encoder(input)?,
            Kind::QpackDecoder { is_inside_integer } => qpack_decoder(input, is_inside_integer)?,
            Kind::Ignored | Kind::Unknown { .. } => {}
        }
        if is_end {
            return self.end(id);
        }
        Ok(())
    }

    /// A stream ended or was reset, which is an error for critical ones (RFC 9114 §6.2.1).
    pub fn end(&mut self, id: u64) -> Result<(), u64> {
        let Some(index) = self.streams.iter().position(|stream| stream.id == id) else { return Ok(()) };
        match self.streams.swap_remove(index).kind {
            Kind::Unknown { .. } | Kind::Ignored => Ok(()),
            _ => Err(code::CLOSED_CRITICAL_STREAM),
        }
    }

    fn classify(&self, kind: u64) -> Result<Kind, u64> {
        let (is_twice, kind) = match kind {
            STREAM_CONTROL => (self.has(|kind| matches!(kind, Kind::Control(_))), Kind::Control(Control::default())),
            STREAM_QPACK_ENCODER => (self.has(|kind| matches!(kind, Kind::QpackEncoder)), Kind::QpackEncoder),
            STREAM_QPACK_DECODER => {
                (self.has(|kind| matches!(kind, Kind::QpackDecoder { .. })), Kind::QpackDecoder { is_inside_integer: false })
            }
            // Only servers push.
            STREAM_PUSH => return Err(code::STREAM_CREATION_ERROR),
            _ => (false, Kind::Ignored),
        };
        if is_twice { Err(code::STREAM_CREATION_ERROR) } else { Ok(kind) }
    }

    fn has(&self, is: impl Fn(&Kind) -> bool) -> bool {
        self.streams.iter().any(|stream| is(&stream.kind))
    }
}

impl Control {
    fn take(&mut self, mut input: &[u8]) -> Result<(), u64> {
        loop {
            let (kind, left) = match self.frame {
                Some(frame) => frame,
                None => {
                    let Some((kind, length)) = self.head.take(&mut input) else { return Ok(()) };
                    self.begin(kind, length)?;
                    self.frame = Some((kind, length));
                    (kind, length)
                }
            };
            let count = left.min(input.len() as u64);
            if is_kept(kind) {
                self.payload.extend_from_slice(&input[..count as usize]);
            }
            input = &input[count as usize..];
            if count < left {
                self.frame = Some((kind, left - count));
                return Ok(());
            }
            self.frame = None;
            let payload = std::mem::take(&mut self.payload);
            self.finish(kind, &payload)?;
        }
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<(), u64> {
        if !self.has_settings && kind != SETTINGS {
            return Err(code::MISSING_SETTINGS);
        }
        match kind {
            SETTINGS if self.has_settings => Err(code::FRAME_UNEXPECTED),
            DATA | HEADERS | PUSH_PROMISE | 0x02 | 0x06 | 0x08 | 0x09 => Err(code::FRAME_UNEXPECTED),
            _ if is_kept(kind) && length > CONTROL_FRAME_BYTES => Err(code::EXCESSIVE_LOAD),
            _ => {
                self.has_settings = true;
                Ok(())
            }
        }
    }

    fn finish(&mut self, kind: u64, payload: &[u8]) -> Result<(), u64> {
        let number = || {
            let mut at = 0;
            let number = read_varint(payload, &mut at).filter(|_| at == payload.len());
            number.ok_or(code::FRAME_ERROR)
        };
        match kind {
            SETTINGS => check_settings(payload),
            // There is no push that could be cancelled.
            CANCEL_PUSH => number().and(Err(code::ID_ERROR)),
            MAX_PUSH_ID => {
                let id = number()?;
                if self.max_push_id.is_some_and(|last| id < last) {
                    return Err(code::ID_ERROR);
                }
                self.max_push_id = Some(id);
                Ok(())
            }
            GOAWAY => {
                let id = number()?;
                if self.goaway.is_some_and(|last| id > last) {
                    return Err(code::ID_ERROR);
                }
                self.goaway = Some(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn is_kept(kind: u64) -> bool {
    matches!(kind, SETTINGS | CANCEL_PUSH | MAX_PUSH_ID | GOAWAY)
}

/// Identifiers of HTTP/2 and duplicates are errors (RFC 9114 §7.2.4.1).
fn check_settings(payload: &[u8]) -> Result<(), u64> {
    let mut seen = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let identifier = read_varint(payload, &mut at).ok_or(code::FRAME_ERROR)?;
        read_varint(payload, &mut at).ok_or(code::FRAME_ERROR)?;
        if matches!(identifier, 0x02..=0x05) || seen.contains(&identifier) {
            return Err(code::SETTINGS_ERROR);
        }
        seen.push(identifier);
    }
    Ok(())
}

/// With a table of size zero only "Set Dynamic Table Capacity 0" is possible (RFC 9204 §4.3.1).
fn qpack_encoder(input: &[u8]) -> Result<(), u64> {
    if input.iter().all(|byte| *byte == 0x20) { Ok(()) } else { Err(code::QPACK_ENCODER_STREAM_ERROR) }
}

/// Without references nothing can be acknowledged; only "Stream Cancellation" is possible (RFC 9204
/// §4.4.2).
fn qpack_decoder(input: &[u8], is_inside_integer: &mut bool) -> Result<(), u64> {
    for byte in input {
        if *is_inside_integer {
            *is_inside_integer = byte & 0x80 != 0;
        } else if byte & 0xc0 == 0x40 {
            *is_inside_integer = byte & 0x3f == 0x3f;
        } else {
            return Err(code::QPACK_DECODER_STREAM_ERROR);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn control(frames: &[u8]) -> Result<(), u64> {
        let mut bytes = vec![STREAM_CONTROL as u8];
        bytes.extend_from_slice(frames);
        let (mut whole, mut split) = (PeerStreams::default(), PeerStreams::default());
        let result = whole.take(2, &bytes, false);
        let pieces = bytes.iter().try_for_each(|byte| split.take(2, &[*byte], false));
        assert_eq!(result, pieces, "split input must be judged alike");
        result
    }

    #[test]
    fn the_control_stream_begins_with_settings_and_has_them_once() {
        assert_eq!(control(&[4, 0]), Ok(()));
        assert_eq!(control(&[4, 2, 6, 9, 13, 1, 7]), Ok(()));
        assert_eq!(control(&[7, 1, 0]), Err(code::MISSING_SETTINGS));
        assert_eq!(control(&[4, 0, 4, 0]), Err(code::FRAME_UNEXPECTED));
        assert_eq!(control(&[4, 2, 2, 0]), Err(code::SETTINGS_ERROR));
        assert_eq!(control(&[4, 4, 6, 1, 6, 1]), Err(code::SETTINGS_ERROR));
        assert_eq!(control(&[4, 1, 6]), Err(code::FRAME_ERROR));
    }

    #[test]
    fn frames_out_of_place_on_the_control_stream_are_refused() {
        assert_eq!(control(&[4, 0, 0, 0]), Err(code::FRAME_UNEXPECTED));
        assert_eq!(control(&[4, 0, 1, 0]), Err(code::FRAME_UNEXPECTED));
        assert_eq!(control(&[4, 0, 3, 1, 0]), Err(code::ID_ERROR));
        assert_eq!(control(&[4, 0, 13, 1, 7, 13, 1, 6]), Err(code::ID_ERROR));
        assert_eq!(control(&[4, 0, 13, 2, 7, 7]), Err(code::FRAME_ERROR));
        assert_eq!(control(&[4, 0, 0x21, 3, 1, 2, 3, 13, 1, 7]), Ok(()));
    }

    #[test]
    fn critical_streams_come_once_and_stay() {
        let mut streams = PeerStreams::default();
        assert_eq!(streams.take(2, &[0, 4, 0], false), Ok(()));
        assert_eq!(streams.take(6, &[0], false), Err(code::STREAM_CREATION_ERROR));
        assert_eq!(streams.take(10, &[1], false), Err(code::STREAM_CREATION_ERROR));
        assert_eq!(streams.take(14, &[0x21, 9, 9], true), Ok(()));
        assert_eq!(streams.end(2), Err(code::CLOSED_CRITICAL_STREAM));
    }

    #[test]
    fn qpack_streams_may_say_nothing_that_needs_a_table() {
        let mut streams = PeerStreams::default();
        assert_eq!(streams.take(6, &[2, 0x20], false), Ok(()));
        assert_eq!(streams.take(6, &[0x3f], false), Err(code::QPACK_ENCODER_STREAM_ERROR));
        assert_eq!(streams.take(10, &[3, 0x44, 0x7f, 0x80, 0x01], false), Ok(()));
        assert_eq!(streams.take(10, &[0x81], false), Err(code::QPACK_DECODER_STREAM_ERROR));
    }

    proptest! {
        #[test]
        fn a_frame_head_is_read_whole_or_in_pieces(kind in 0u64..1 << 62, length in 0u64..1 << 62, tail: [u8; 3]) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, kind);
            write_varint(&mut bytes, length);
            bytes.extend_from_slice(&tail);
            let (mut head, mut input) = (FrameHead::default(), &bytes[..]);
            prop_assert_eq!(head.take(&mut input), Some((kind, length)));
            prop_assert_eq!(input, &tail[..]);
            let mut pieces = FrameHead::default();
            let mut found = None;
            for byte in &bytes {
                found = found.or(pieces.take(&mut &[*byte][..]));
                if found.is_some() { break; }
            }
            prop_assert_eq!(found, Some((kind, length)));
        }

        #[test]
        fn no_bytes_on_any_stream_panic(id in 0u64..4, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = PeerStreams::default().take(id, &bytes, true);
        }

        #[test]
        fn headers_frames_carry_their_length(length in 0usize..20_000) {
            let mut out = vec![9];
            write_headers(&mut out, |out| out.resize(out.len() + length, 7));
            let mut input = &out[1..];
            prop_assert_eq!(FrameHead::default().take(&mut input), Some((HEADERS, length as u64)));
            prop_assert_eq!(input.len(), length);
        }
    }
}
