//! Sessions against peers: real servers, and scripted ones for what no real server does.

mod bound;
mod cost;
mod driver;
mod http1;
mod http2;
mod http2_hostile;
mod origin;
mod peer;
mod pooling;
mod real;
mod robust;
mod secure;
mod shards;
