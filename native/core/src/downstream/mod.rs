//! The clients' side: connections, what they speak, and both directions of a request's stream.

pub mod connection;
pub mod connections;
pub mod http3;
pub(crate) mod incoming;
pub(crate) mod outgoing;
