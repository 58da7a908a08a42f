//! What a session is lent while it works: its own out buffer, and what all sessions of a reactor share.

use super::blocks::BlockPool;
use super::client::Permit;
use super::outbox::Outbox;
use super::stats::Stats;
use crate::base::timers::Nanos;
use crate::http::fields::Fields;

/// Buffers shared by all sessions; none is held across calls.
#[derive(Default)]
pub struct Work {
    /// Read blocks.
    pub blocks: BlockPool,
    /// The section being decoded.
    pub fields: Fields,
    /// The head being encoded.
    pub scratch: Vec<u8>,
    /// Whether windows are to be small.
    pub is_tight: bool,
    /// Read-ahead of TLS sockets.
    pub ahead: Option<Box<[u8]>>,
}

/// The loan.
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

/// The backend broke the protocol so that the whole session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// HTTP/2 error code for GOAWAY; meaningless within HTTP/1.1.
    pub code: u32,
    /// One short phrase for the admin API.
    pub fault: &'static str,
}

/// Shorthand for a broken protocol.
pub fn broken<T>(code: u32, fault: &'static str) -> Result<T, Broken> {
    Err(Broken { code, fault })
}
