//! HTTP semantics and codecs: fields and their checks, QPACK, HPACK, Huffman, error codes.

pub mod challenge;
pub mod characters;
pub mod check;
pub mod date;
pub mod error;
pub mod fields;
pub mod h3;
pub mod hpack;
pub mod huffman;
pub mod integer;
pub mod normal;
pub mod qpack;
pub mod reserved;
pub mod section;
pub mod static_table;
