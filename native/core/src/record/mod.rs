//! Records between reactor and lane: the layout of `docs/design/records.md`, once in Rust (its twin is `src/record`).
//!
//! [`layout`] names kinds and flags, [`ring`] is the memory, [`outward`] writes towards the lane, [`inward`] reads the lane's decisions, [`compose`] writes such.

pub mod compose;
pub mod inward;
pub mod layout;
pub mod outward;
pub mod ring;
pub mod sample;
