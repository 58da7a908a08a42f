//! The QUIC side of a reactor: sockets, connection IDs, and connections over quiche. What is spoken
//! on their streams it does not know.

pub mod cid;
pub mod clients;
pub mod count;
pub mod ids;
pub mod pace;
pub mod receive;
pub mod send;
pub mod socket;
pub mod stateless;
pub mod steer;
pub mod transport;
