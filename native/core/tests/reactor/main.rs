//! A reactor from the outside, without Node: real sockets, clients by quiche, an HTTP/2 origin, a
//! lane in Rust. A file a behaviour.

mod budget;
mod certificates;
mod chance;
mod client_certificates;
mod clients;
mod drain;
mod edits;
mod ends;
mod fragments;
mod frames;
mod full_sockets;
mod hedging;
mod held;
mod lane_failure;
mod limits;
mod listeners;
mod malformed_heads;
mod moving;
mod normal;
mod packets;
mod panics;
mod paths;
mod places;
mod progress;
mod resets;
mod round_trip;
mod sent_again;
mod slow_sides;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod timeouts;
mod waiting;
