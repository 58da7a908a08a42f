//! TLS: of listeners, and towards backends.

mod buffer;
pub mod certificate;
pub mod client;
pub mod client_auth;
pub mod connection;
mod coverage;
mod credential;
pub mod facts;
pub mod identity;
mod names;
pub mod server;
pub mod store;
pub mod tickets;
pub mod told;
mod verdict;
