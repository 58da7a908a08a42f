//! All upstream sessions of a reactor: which attempt gets a stream on which session, and which
//! waits.
//!
//! [`Upstreams`] is the state: `backend` and `sessions` own it, `queue` holds the attempts that
//! wait for a backend, `share` what shards agree on. Steps over several owners are functions:
//! `renew`, `connect`, `room`, `bound`, `yields`, and `reconcile`, which draws the consequences of
//! whatever happened to a session. `api` is what the reactor and the relay call.

mod api;
mod backend;
mod bound;
mod connect;
mod describe;
mod queue;
mod reconcile;
mod renew;
mod room;
mod sessions;
mod share;
mod state;
mod yields;

pub use backend::FullTime;
pub use sessions::TOKEN_BITS;
pub use state::Upstreams;
