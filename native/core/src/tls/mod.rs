//! TLS: of listeners, and towards backends.

pub mod client;
pub mod server;
