//! TLS: of listeners, and towards backends.

pub mod certificate;
pub mod client;
mod credential;
pub mod facts;
pub mod server;
pub mod store;
pub mod tickets;
