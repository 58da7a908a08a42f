//! Prefix integers (RFC 7541 §5.1, RFC 9204 §4.1.1) and QUIC's variable-length integers (RFC 9000
//! §16).
//!
//! Readers take the bytes and a position, which moves only on success. Both kinds have at most 62
//! bits here, as QPACK requires and more than HPACK needs.

/// Greatest value that either encoding may carry: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Reads a prefix integer from the low `prefix_bits` (1 to 8) of the byte at `at` and what follows.
///
/// `None` when the bytes end inside it, or when it exceeds [`MAX`] or has more bytes than [`MAX`]
/// needs. Field blocks are parsed whole, so each of these is a malformed block.
#[inline]
pub fn read_prefixed(bytes: &[u8], at: &mut usize, prefix_bits: u32) -> Option<u64> {
    let full = (1u64 << prefix_bits) - 1;
    let value = u64::from(*bytes.get(*at)?) & full;
    if value < full {
        *at += 1;
        return Some(value);
    }
    read_continuation(bytes, at, full)
}

/// The bytes after a full prefix: seven bits each, least significant first.
fn read_continuation(bytes: &[u8], at: &mut usize, full: u64) -> Option<u64> {
    let mut value = 0u64;
    // Nine bytes hold 63 bits: enough for 62, and the sum cannot overflow.
    for (count, &byte) in bytes[*at + 1..].iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * count);
        if byte & 0x80 == 0 {
            value += full;
            if value > MAX {
                return None;
            }
            *at += count + 2;
            return Some(value);
        }
    }
    None
}

/// Appends a prefix integer. `flags` are the bits above the prefix in the first byte.
#[inline]
pub fn write_prefixed(out: &mut Vec<u8>, flags: u8, prefix_bits: u32, value: u64) {
    let full = (1u64 << prefix_bits) - 1;
    debug_assert!(u64::from(flags) & full == 0);
    if value < full {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | full as u8);
    let mut rest = value - full;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads a variable-length integer at `at`. `None` when it is incomplete.
#[inline]
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    let length = 1usize << (first >> 6);
    let raw = bytes.get(*at..*at + length)?;
    let value = raw[1..].iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    *at += length;
    Some(value)
}

/// Bytes that [`write_varint`] needs: 1, 2, 4 or 8.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Appends a variable-length integer in its shortest form. `value` must not exceed [`MAX`].
#[inline]
pub fn write_varint(out: &mut Vec<u8>, value: u64) {
    debug_assert!(value <= MAX);
    match varint_len(value) {
        1 => out.push(value as u8),
        2 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        4 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefix_integers_match_the_examples_of_rfc_7541_c_1() {
        for (value, bits, wire) in [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])] {
            let mut out = Vec::new();
            write_prefixed(&mut out, 0, bits, value);
            assert_eq!(out, wire);
            let mut at = 0;
            assert_eq!(read_prefixed(wire, &mut at, bits), Some(value));
            assert_eq!(at, wire.len());
        }
    }

    #[test]
    fn prefix_integers_that_overflow_or_never_end_are_refused() {
        for wire in [&[][..], &[0x1f], &[0x1f, 0x80], &[0x9f; 12], &[0xff; 64]] {
            let mut at = 0;
            assert_eq!(read_prefixed(wire, &mut at, 5), None);
            assert_eq!(at, 0);
        }
        let endless_zero = [0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(read_prefixed(&endless_zero, &mut 0, 5), None);
        let over = [0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(read_prefixed(&over, &mut 0, 5), None);
    }

    #[test]
    fn varints_match_the_examples_of_rfc_9000_a_1() {
        let examples: [(&[u8], u64); 4] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ];
        for (wire, value) in examples {
            assert_eq!(read_varint(wire, &mut 0), Some(value));
            assert_eq!(read_varint(&wire[..wire.len() - 1], &mut 0), None);
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, wire);
        }
        assert_eq!(read_varint(&[0x40, 0x25], &mut 0), Some(37));
    }

    proptest! {
        #[test]
        fn prefix_integers_come_back(value in 0..=MAX, shift in 0u32..62, bits in 1u32..=8) {
            let value = value >> shift;
            let mut out = vec![0xaa];
            write_prefixed(&mut out, 0, bits, value);
            let mut at = 1;
            prop_assert_eq!(read_prefixed(&out, &mut at, bits), Some(value));
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn varints_come_back(value in 0..=MAX, shift in 0u32..62) {
            let value = value >> shift;
            let mut out = vec![0xaa];
            write_varint(&mut out, value);
            prop_assert_eq!(out.len(), 1 + varint_len(value));
            let mut at = 1;
            prop_assert_eq!(read_varint(&out, &mut at), Some(value));
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16), bits in 1u32..=8) {
            let mut at = 0;
            while read_prefixed(&bytes, &mut at, bits).is_some() {}
            at = 0;
            while read_varint(&bytes, &mut at).is_some() {}
        }
    }
}
