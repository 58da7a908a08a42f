//! The clients' side: connections, what they speak, and both directions of a request's stream.
//! [`protocol`] is the interface that exchanges use; `docs/design/downstream.md` says why it is so.

pub mod cause;
pub mod connection;
pub mod connections;
pub mod http3;
pub mod incoming;
#[cfg(test)]
pub(crate) mod memory;
pub mod outgoing;
pub mod protocol;
pub mod terms;
pub mod wire;
