//! Sessions to backends: HTTP/2 and HTTP/1.1 clients over TCP and TLS, pooled, driven by the reactor's epoll.
//!
//! [`Upstreams`] is the door: an attempt asks it for a stream (`open`), sends a head (`start`) and a body (`write_body`), and hears what the backend answers through a
//! [`Sink`]. Behind it, [`session`] is one connection, [`h2`] and [`h1`] are its two languages, and [`pool`] decides which session serves whom. There is no thread, no clock
//! and no allocation per request here; what may be retried is the lane's business, but every failure says whether anything was sent.

pub mod ask;
mod blocks;
mod client;
mod config;
mod h1;
mod h2;
mod io;
mod outbox;
mod pool;
mod session;
mod sink;
mod socket;
mod stats;
mod transport;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use config::{BackendConfig, Scheme, SessionLimits, TlsConfig};
pub use pool::{FullTime, TOKEN_BITS, Upstreams};
pub use sink::{BodyPart, Fault, Key, Opened, SessionRef, Sink, StreamRef};
pub use stats::{Stat, Stats};
