//! One connection to a backend: a socket that connects, perhaps shakes hands, carries a protocol
//! and ends.
//!
//! [`Session`] is the state and its [`Phase`]s; `connect` leads to `Open`, `transfer` moves bytes
//! while it lasts, `expiry` ends it by time. The owners of its parts are `protocol`, `wire`,
//! `input`, `timing` and `permits`. Every end goes through [`Session::close`]; the pool then
//! removes the session.

mod connect;
mod expiry;
mod input;
mod permits;
mod protocol;
mod state;
mod timing;
mod transfer;
mod wire;

pub use connect::{Origin, is_out_of_descriptors};
pub use state::{Phase, Session, Turn};
