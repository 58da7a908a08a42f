//! Why a stream or a connection ends, whatever is spoken. Each protocol has numbers of its own for
//! it.

use crate::http::error::h2;

/// A cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is wrong; what is left is not needed.
    Done,
    /// Request or response is no longer wanted.
    Cancelled,
    /// Nothing was done with the request, which may be sent again.
    Rejected,
    /// Our own fault, or a backend's.
    Internal,
    /// More work than is taken.
    Load,
    /// The message is malformed.
    Malformed,
    /// The client ended its stream before the request was whole.
    Incomplete,
    /// The other side broke its protocol.
    Protocol,
    /// A frame of a wrong size.
    Frame,
    /// Fields that cannot be decoded.
    Compression,
    /// A tunnel broke.
    Tunnel,
    /// HTTP/1.1 is to be used.
    Fallback,
    /// A number of the protocol's own: the lane gives it, or the protocol that found the fault.
    Code(u64),
}

impl Cause {
    /// What an HTTP/2 code means. An unknown one counts as INTERNAL_ERROR (RFC 9113 §7).
    pub fn of_h2(code: u32) -> Cause {
        match code {
            h2::NO_ERROR => Cause::Done,
            h2::CANCEL => Cause::Cancelled,
            h2::REFUSED_STREAM => Cause::Rejected,
            h2::ENHANCE_YOUR_CALM => Cause::Load,
            h2::CONNECT_ERROR => Cause::Tunnel,
            h2::HTTP_1_1_REQUIRED => Cause::Fallback,
            h2::FRAME_SIZE_ERROR => Cause::Frame,
            h2::COMPRESSION_ERROR => Cause::Compression,
            h2::PROTOCOL_ERROR | h2::FLOW_CONTROL_ERROR | h2::SETTINGS_TIMEOUT | h2::STREAM_CLOSED | h2::INADEQUATE_SECURITY => {
                Cause::Protocol
            }
            _ => Cause::Internal,
        }
    }

    /// The HTTP/2 code that says it, as backends are told it.
    pub fn to_h2(self) -> u32 {
        match self {
            Cause::Done => h2::NO_ERROR,
            Cause::Cancelled | Cause::Incomplete | Cause::Code(_) => h2::CANCEL,
            Cause::Rejected => h2::REFUSED_STREAM,
            Cause::Internal => h2::INTERNAL_ERROR,
            Cause::Load => h2::ENHANCE_YOUR_CALM,
            Cause::Malformed | Cause::Protocol => h2::PROTOCOL_ERROR,
            Cause::Frame => h2::FRAME_SIZE_ERROR,
            Cause::Compression => h2::COMPRESSION_ERROR,
            Cause::Tunnel => h2::CONNECT_ERROR,
            Cause::Fallback => h2::HTTP_1_1_REQUIRED,
        }
    }
}
