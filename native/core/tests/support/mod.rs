//! What the reactor's tests are made of: a bed with real sockets, a lane in Rust, clients by
//! quiche, an HTTP/2 origin on a thread.

pub mod bed;
pub mod certificate;
pub mod client;
pub mod lane;
pub mod network;
pub mod origin;
pub mod wire;

pub use bed::{Bed, Setup};
pub use client::{Kind, Request};
