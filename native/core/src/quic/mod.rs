//! The QUIC side of a reactor: sockets, connection IDs, and connections over quiche.

pub mod cid;
pub mod clients;
pub mod connection;
pub mod count;
pub mod pace;
pub mod receive;
pub mod requests;
pub mod send;
pub mod socket;
pub mod stateless;
pub mod steer;
