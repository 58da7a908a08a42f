//! What HPACK and QPACK share: limits on a field section, errors, and string literals.

use super::fields::{Fields, Known};
use super::{huffman, integer};

/// Names and values longer than this do not fit into [`Fields`].
const MAX_STRING: usize = u16::MAX as usize;

/// Shorter texts are sent without Huffman coding. It takes one nanosecond a byte (70 for a text of
/// 64, measured in a release build on one core) and saves a fifth to a quarter of the bytes; a copy
/// takes two nanoseconds in all. So it is for the texts that make a head large.
const HUFFMAN_FROM: usize = 64;

/// Limits of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLimits {
    /// Size of a section: name + value + 32 for each field (RFC 9114 §4.2.2). Of several cookie
    /// fields only the first counts 32.
    pub max_size: usize,
    /// Number of fields, including pseudo-header fields; all cookie fields count as one.
    pub max_count: usize,
    /// Number of crumbs: cookie fields, of which browsers send one for each cookie (RFC 9114
    /// §4.2.1).
    pub max_crumbs: usize,
}

impl FieldLimits {
    /// Room for name and value of the next field.
    #[inline]
    pub(super) fn room(&self, fields: &Fields) -> Result<usize, DecodeError> {
        let spare_crumbs = fields.crumbs().saturating_sub(1);
        if fields.len() - spare_crumbs >= self.max_count || fields.crumbs() > self.max_crumbs {
            return Err(DecodeError::TooLarge);
        }
        self.max_size.checked_sub(fields.section_size() - 32 * spare_crumbs + 32).ok_or(DecodeError::TooLarge)
    }
}

/// Why a field section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not a field section: a connection error (QPACK_DECOMPRESSION_FAILED,
    /// COMPRESSION_ERROR).
    Malformed,
    /// The section exceeds the limits; the fields before the limit were added.
    TooLarge,
}

/// A name whose sender asked that it never be indexed, so that the next hop does not index it
/// either (RFC 7541 §6.2.3).
#[inline]
pub(super) fn mark_sensitive(known: Known) -> Known {
    if known == Known::Other { Known::Sensitive } else { known }
}

/// Reads a string literal whose length has a prefix of `prefix_bits`, with the Huffman flag in the
/// bit above, and appends its text to `out`. Returns the length of the text. Text longer than `cap`
/// is too large, and `at` is behind it even then. On an error `out` is unchanged.
pub(super) fn read_string(bytes: &[u8], at: &mut usize, prefix_bits: u32, out: &mut Vec<u8>, cap: usize) -> Result<usize, DecodeError> {
    let cap = cap.min(MAX_STRING);
    let first = *bytes.get(*at).ok_or(DecodeError::Malformed)?;
    let length = integer::read_prefixed(bytes, at, prefix_bits).ok_or(DecodeError::Malformed)?;
    if length > (bytes.len() - *at) as u64 {
        return Err(DecodeError::Malformed);
    }
    let raw = &bytes[*at..*at + length as usize];
    *at += raw.len();
    if first >> prefix_bits & 1 == 0 {
        if raw.len() > cap {
            return Err(DecodeError::TooLarge);
        }
        out.extend_from_slice(raw);
        return Ok(raw.len());
    }
    huffman::decode(raw, out, cap).map_err(|error| match error {
        huffman::HuffmanError::Malformed => DecodeError::Malformed,
        huffman::HuffmanError::TooLarge => DecodeError::TooLarge,
    })
}

/// Appends a string literal. `flags` are the bits above the Huffman flag, which is set where the
/// code pays.
#[inline]
pub(super) fn write_string(text: &[u8], flags: u8, prefix_bits: u32, out: &mut Vec<u8>) {
    if text.len() >= HUFFMAN_FROM {
        let length = huffman::encoded_len(text);
        if length < text.len() {
            integer::write_prefixed(out, flags | 1 << prefix_bits, prefix_bits, length as u64);
            huffman::encode(text, out);
            return;
        }
    }
    integer::write_prefixed(out, flags, prefix_bits, text.len() as u64);
    out.extend_from_slice(text);
}
