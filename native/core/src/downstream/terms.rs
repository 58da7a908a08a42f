//! What passes between exchanges and protocols.

use super::cause::Cause;
use crate::http::fields::Fields;

/// Why a connection is closed, to whom it matters below HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close<'a> {
    /// HTTP says why, with a reason phrase.
    Http(Cause, &'a [u8]),
    /// Its handshake takes too long, or it is given up before it was through.
    Unopened,
    /// Its client has all it may.
    Refused,
    /// Our own fault.
    Failed,
}

/// How the client has left an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It has reset its stream.
    Reset(Cause),
    /// Nothing is known of its stream any more.
    Gone,
}

/// What became of the head.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// More bytes are needed, which have not come.
    Partial,
    /// It is complete.
    Complete,
    /// It is larger than allowed.
    TooLarge,
    /// The client ended its stream before the head did.
    Incomplete,
    /// The client broke the protocol: its connection is to be closed.
    Fault(Cause),
    /// The client has left.
    Left(Left),
}

/// What comes next after the head.
#[derive(Debug)]
pub enum Next {
    /// So many bytes of body are announced, to be read as far as there is room for them.
    Body(u64),
    /// Trailers, and whether the stream has ended with them.
    Trailers(Fields, bool),
    /// Nothing: the request is complete.
    End,
    /// For now there is nothing more.
    Empty,
    /// Trailers larger than allowed.
    TooLarge,
    /// The client broke the protocol: its connection is to be closed.
    Fault(Cause),
    /// The client has left.
    Left(Left),
}

/// A piece of body.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// Bytes read.
    pub count: usize,
    /// The request ended with them.
    pub is_end: bool,
    /// It ended where it may not: the connection is to be closed.
    pub fault: Option<Cause>,
}

/// Why reading a stream stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// For now there is nothing more.
    Empty,
    /// The client has left.
    Left(Left),
}

/// Why a stream takes no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// It takes no more now.
    Blocked,
    /// The client wants no more, or the stream is gone.
    Refused,
}

/// What follows a head, once both sides have agreed, in the place of messages: bytes, both ways.
/// Whoever carries one gives its bytes as body and takes bytes as body, until either side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// CONNECT, with `:protocol` or without (RFC 9110 §9.3.6, RFC 9220), answered with 2xx.
    Connect,
}
