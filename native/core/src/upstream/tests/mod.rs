//! Sessions against peers: real servers, and scripted ones for what no real server does.

mod bound;
mod cost;
pub(crate) mod driver;
mod http1;
mod http2;
mod http2_hostile;
mod origin;
pub(crate) mod peer;
mod pooling;
mod real;
mod robust;
mod secure;
mod shards;
