//! TLS: of listeners, and towards backends.

pub mod certificate;
pub mod client;
pub mod client_auth;
mod credential;
pub mod facts;
pub mod identity;
mod revocation;
pub mod server;
pub mod store;
pub mod tickets;
pub mod told;
mod twin;
