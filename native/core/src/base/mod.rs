//! Building blocks that know no protocol.

pub mod address;
pub mod budget;
pub mod chunk;
pub mod counters;
pub mod numbers;
pub mod panics;
pub mod poll;
pub mod rate;
pub mod reason;
pub mod rng;
mod series;
pub mod settings;
pub mod slab;
pub mod table;
pub mod timers;
