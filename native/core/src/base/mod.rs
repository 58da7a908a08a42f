//! Small parts that know nothing of protocols.

pub mod chunk;
pub mod poll;
pub mod rng;
pub mod slab;
pub mod timers;
