//! Sessions to backends: HTTP/2 and HTTP/1.1 clients over TCP and TLS, pooled, driven by the
//! reactor's epoll.
//!
//! [`Upstreams`] is the entry: an attempt asks it for a stream (`open`), sends a head (`start`) and
//! a body (`write_body`), and receives the response through a [`Sink`]. [`session`] is one
//! connection, [`h2`] and [`h1`] are its protocols, and [`pool`] assigns streams to attempts. There
//! is no thread, no clock and no allocation per request. Retries are up to the lane; every failure
//! says whether anything was sent.

mod blocks;
mod client;
mod config;
mod h1;
mod h2;
mod io;
mod outbox;
mod pool;
pub mod probe;
mod session;
mod sink;
mod socket;
mod stats;
mod transport;

#[cfg(test)]
pub(crate) mod tests;

pub use client::Client;
pub use config::{BackendConfig, Scheme, SessionLimits, TlsConfig};
pub use pool::{FullTime, TOKEN_BITS, Upstreams};
pub use sink::{AttemptId, BodyPart, Fault, Opened, SessionRef, Sink, StreamRef};
pub use stats::{Stat, Stats};
