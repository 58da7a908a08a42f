//! Records between reactor and lane, as `docs/design/records.md` explains them (the twin in
//! TypeScript is `src/record`).
//!
//! [`layout`] and [`words`] are made of `records.yaml`, [`ring`] is the memory, [`outward`] writes
//! towards the lane, [`inward`] reads the lane's decisions, [`compose`] writes such.

pub mod compose;
pub mod inward;
pub mod layout;
pub mod outward;
pub mod ring;
pub mod sample;
pub mod words;
