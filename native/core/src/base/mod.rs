//! Small parts that know nothing of protocols.

pub mod chunk;
