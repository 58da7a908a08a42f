//! Records between reactor and lane, as described in `docs/design/records.md`. `src/record` is the
//! TypeScript half.
//!
//! [`layout`] and [`words`] are generated from `records.yaml`. [`ring`] is the shared memory,
//! [`outward`] writes records to the lane, [`inward`] reads its decisions, and [`compose`] writes
//! decisions.

pub mod compose;
pub mod inward;
pub mod layout;
pub mod outward;
pub mod ring;
pub mod sample;
pub mod words;
