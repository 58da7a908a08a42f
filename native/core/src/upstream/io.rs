//! What a protocol is lent for a call: its session's out buffer, and what all sessions of a reactor
//! share.

use super::blocks::BlockPool;
use super::client::Permit;
use super::outbox::Outbox;
use super::stats::Stats;
use crate::base::timers::Nanos;
use crate::http::fields::Fields;

/// Buffers shared by all sessions; none is kept across calls.
#[derive(Default)]
pub struct Work {
    /// Read blocks.
    pub blocks: BlockPool,
    /// The section being decoded.
    pub fields: Fields,
    /// The head being encoded.
    pub scratch: Vec<u8>,
    /// Whether memory is short and windows are to be small.
    pub is_tight: bool,
    /// Read-ahead buffer of TLS sockets.
    pub ahead: Option<Box<[u8]>>,
}

/// What is lent.
pub struct Io<'a> {
    /// Bytes to write.
    pub out: &'a mut Outbox,
    /// Shared buffers.
    pub work: &'a mut Work,
    /// Counters.
    pub stats: &'a mut Stats,
    /// Permits of streams that have ended.
    pub released: &'a mut Vec<Permit>,
    /// Now.
    pub now: Nanos,
}

/// The backend broke the protocol; the session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// HTTP/2 error code for GOAWAY; unused with HTTP/1.1.
    pub code: u32,
    /// A short phrase for the admin API.
    pub fault: &'static str,
}

/// Shorthand for an error.
pub fn broken<T>(code: u32, fault: &'static str) -> Result<T, Broken> {
    Err(Broken { code, fault })
}
