//! The HTTP/2 client of one session (RFC 9113): frames in, events out, and frames out, without a
//! socket or a clock.
//!
//! Frames are written straight into the session's out buffer; no stream has a queue of its own.
//! DATA is delivered as it lies in the read block, even before its frame is complete. A warm
//! session does not allocate. Push is refused, priorities are ignored. [`H2`] holds the state;
//! `receive` reads frames, with `data` and `section` for those with a payload; `send` writes
//! requests.

mod block;
mod connection;
mod data;
mod flow;
mod frame;
mod guard;
mod receive;
mod section;
mod send;
mod streak;
mod stream;

pub use connection::{ASSUMED_STREAMS, H2};
pub use frame::write_goaway;
