//! Requests of HTTP/3: frames of a stream become head, body and trailers (RFC 9114 §4.1).

use super::reader::Expect;
use super::stream::Stream;
use crate::downstream::cause::Cause;
use crate::downstream::incoming::Incoming;
use crate::downstream::terms::{Body, Head, Left, Next, Stopped};
use crate::http::error::h3;
use crate::http::fields::Fields;
use crate::http::h3::{RequestFrame, request_frame};
use crate::http::qpack;
use crate::http::section::{DecodeError, FieldLimits};

impl Stream<'_> {
    /// Reads until the head is complete. What came behind it is kept.
    pub fn read_head(&mut self, incoming: &mut Incoming, head: &mut Fields, limits: FieldLimits, scratch: &mut [u8]) -> Head {
        loop {
            let (count, is_end) = match incoming.read(|out| self.receive(out), scratch) {
                Ok(read) => read,
                Err(Stopped::Empty) => return Head::Partial,
                Err(Stopped::Left(left)) => return Head::Left(left),
            };
            let mut input = &scratch[..count];
            match take_head(incoming, head, &mut input, limits) {
                // A frame that the stream's end cuts short (RFC 9114 §7.1).
                Head::Partial if is_end && incoming.wire.http3().is_inside_frame() => return Head::Fault(Cause::Frame),
                Head::Partial if is_end => return Head::Incomplete,
                Head::Partial => {}
                Head::Complete => {
                    incoming.early.extend_from_slice(input);
                    incoming.is_early_end = is_end;
                    incoming.is_done = is_end && input.is_empty();
                    return Head::Complete;
                }
                end => return end,
            }
        }
    }

    /// What comes after the head, as far as it is there: small reads of just the bytes that are
    /// missing.
    pub fn next(&mut self, incoming: &mut Incoming, limits: FieldLimits) -> Next {
        loop {
            let mut bytes = [0u8; 256];
            let reader = incoming.wire.http3();
            let want = match reader.expect {
                Expect::Data(left) if left > 0 => return Next::Body(left),
                Expect::Data(_) | Expect::Skip(0) => {
                    reader.expect = Expect::Frame;
                    continue;
                }
                Expect::Frame => reader.frame.missing(),
                Expect::Skip(left) | Expect::Section(left) => left.min(bytes.len() as u64) as usize,
            };
            let (count, is_end) = match incoming.read(|out| self.receive(out), &mut bytes[..want]) {
                Ok(read) => read,
                Err(Stopped::Empty) => return Next::Empty,
                Err(Stopped::Left(left)) => return Next::Left(left),
            };
            let mut input = &bytes[..count];
            let has_trailers = incoming.has_trailers;
            let reader = incoming.wire.http3();
            match reader.expect {
                Expect::Frame => {
                    if let Some((kind, length)) = reader.frame.take(&mut input) {
                        reader.expect = match request_frame(kind) {
                            Ok(RequestFrame::Unknown) => Expect::Skip(length),
                            // Nothing but unknown frames may follow trailers (RFC 9114 §4.1).
                            Ok(_) if has_trailers => return Next::Fault(Cause::Code(h3::FRAME_UNEXPECTED)),
                            Ok(RequestFrame::Data) => Expect::Data(length),
                            Ok(RequestFrame::Headers) if length > limits.max_size as u64 => return Next::TooLarge,
                            Ok(RequestFrame::Headers) => Expect::Section(length),
                            Err(code) => return Next::Fault(Cause::Code(code)),
                        };
                    }
                }
                Expect::Skip(left) if left == count as u64 => reader.expect = Expect::Frame,
                Expect::Skip(left) => reader.expect = Expect::Skip(left - count as u64),
                Expect::Section(left) => {
                    if let Some(section) = reader.take_section(left, &mut input) {
                        let mut trailers = Fields::new();
                        let decoded = qpack::decode(section, &mut trailers, limits);
                        reader.section.clear();
                        return match decoded {
                            Ok(()) => {
                                incoming.has_trailers = true;
                                Next::Trailers(trailers, is_end)
                            }
                            Err(DecodeError::TooLarge) => Next::TooLarge,
                            Err(DecodeError::Malformed) => Next::Fault(Cause::Compression),
                        };
                    }
                }
                Expect::Data(_) => {}
            }
            if is_end {
                return if reader.is_inside_frame() { Next::Fault(Cause::Frame) } else { Next::End };
            }
            if count == 0 {
                return Next::Empty;
            }
        }
    }

    /// Reads body that [`Stream::next`] announced.
    pub fn read_body(&mut self, incoming: &mut Incoming, room: &mut [u8]) -> Result<Body, Stopped> {
        let Expect::Data(left) = incoming.wire.http3().expect else { return Err(Stopped::Empty) };
        let want = room.len().min(left.min(usize::MAX as u64) as usize);
        let (count, is_end) = incoming.read(|out| self.receive(out), &mut room[..want])?;
        let left = left - count as u64;
        incoming.wire.http3().expect = if left == 0 { Expect::Frame } else { Expect::Data(left) };
        let fault = (is_end && left > 0).then_some(Cause::Frame);
        Ok(Body { count, is_end, fault })
    }

    fn receive(&mut self, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        self.quic.stream_recv(self.id, out).map_err(|error| match error {
            quiche::Error::Done => Stopped::Empty,
            quiche::Error::StreamReset(code) => Stopped::Left(Left::Reset(super::cause::cause_of(code))),
            _ => Stopped::Left(Left::Gone),
        })
    }
}

/// Takes bytes of the head section; what follows it stays in `input`.
fn take_head(incoming: &mut Incoming, head: &mut Fields, input: &mut &[u8], limits: FieldLimits) -> Head {
    let reader = incoming.wire.http3();
    loop {
        match reader.expect {
            Expect::Frame => {
                let Some((kind, length)) = reader.frame.take(input) else { return Head::Partial };
                reader.expect = match request_frame(kind) {
                    Ok(RequestFrame::Headers) if length > limits.max_size as u64 => return Head::TooLarge,
                    Ok(RequestFrame::Headers) => Expect::Section(length),
                    Ok(RequestFrame::Unknown) => Expect::Skip(length),
                    // A body without a head (RFC 9114 §4.1).
                    Ok(RequestFrame::Data) => return Head::Fault(Cause::Code(h3::FRAME_UNEXPECTED)),
                    Err(code) => return Head::Fault(Cause::Code(code)),
                };
            }
            Expect::Skip(left) => {
                let count = left.min(input.len() as u64);
                *input = &input[count as usize..];
                if count < left {
                    reader.expect = Expect::Skip(left - count);
                    return Head::Partial;
                }
                reader.expect = Expect::Frame;
            }
            Expect::Section(left) => {
                let Some(section) = reader.take_section(left, input) else { return Head::Partial };
                let result = qpack::decode(section, head, limits);
                reader.section.clear();
                incoming.has_head = true;
                return match result {
                    Ok(()) => {
                        head.join_crumbs();
                        Head::Complete
                    }
                    Err(DecodeError::TooLarge) => Head::TooLarge,
                    Err(DecodeError::Malformed) => Head::Fault(Cause::Compression),
                };
            }
            Expect::Data(_) => return Head::Fault(Cause::Code(h3::FRAME_UNEXPECTED)),
        }
    }
}
