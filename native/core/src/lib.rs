//! The reactor of Lychgate: everything that carries bytes, without Node.
//!
//! A reactor owns the sockets of one shard: QUIC connections of clients, sessions to backends, and
//! the exchanges between them. Decisions come from a lane through the rings of [`record`]. Protocol
//! code here takes bytes and a `now` and gives events and bytes; only [`reactor`] waits.

pub mod base;
pub mod downstream;
pub mod exchange;
pub mod http;
pub mod lane;
pub mod plan;
pub mod quic;
pub mod reactor;
pub mod record;
pub mod relay;
pub mod tls;
pub mod upstream;
