//! HTTP semantics and codecs: fields and their checks, QPACK, HPACK, Huffman, error codes.

pub mod fields;
