//! HPACK (RFC 7541): field blocks of HTTP/2, with a dynamic table on either side.

mod decoder;
mod encoder;
mod table;

pub use super::section::{DecodeError, FieldLimits};
pub use decoder::Decoder;
pub use encoder::Encoder;

/// Default of SETTINGS_HEADER_TABLE_SIZE (RFC 9113 §6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4096;

/// Index of the newest entry of the dynamic table, after the static table.
const FIRST_DYNAMIC: u64 = 62;

#[cfg(test)]
mod tests;
