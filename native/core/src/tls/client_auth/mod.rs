//! Certificates of clients: who is asked for one, by the server name of the handshake, and what it
//! must prove.
//!
//! Nothing here knows of QUIC. A handshake is told what to ask for where its certificate is chosen,
//! and leaves what it found beside the connection, from where [`take`](handshake::take) takes it.

pub(super) mod handshake;
mod policies;
mod policy;
pub(super) mod recheck;
mod revocation;
mod rules;
pub(super) mod twin;

pub use handshake::{Auth, Gate};
pub use policies::Policies;
pub use policy::Policy;
pub use rules::{Allowed, Mode, RevocationList, Rules};
