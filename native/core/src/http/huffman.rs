//! HPACK's Huffman code (RFC 7541 §5.2 and Appendix B), which QPACK uses too.
//!
//! The code is canonical, so the lengths define it: codes are assigned in order of length, then of
//! symbol. All tables are computed from them at compile time. Decoding looks up [`PEEK`] bits at
//! once, which yields up to two symbols; longer codes, which are rare, are found by comparison with
//! the first code of each length.

/// Length in bits of each symbol's code; the last is EOS, which must never be sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const EOS: u16 = 256;
const LONGEST: usize = 30;
const SHORTEST: usize = 5;

/// Bits looked up at once. Twelve hold two codes of six bits, the length of most codes in fields.
/// The table is 16 KiB then, of which a text touches little. A user-agent of 100 bytes takes 163 ns
/// with 12, 196 with 11, 251 with 10 (release build, one core).
const PEEK: u32 = 12;

/// Why a string could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HuffmanError {
    /// EOS, padding other than a prefix of EOS, or eight and more bits of padding.
    Malformed,
    /// The text is longer than the cap.
    TooLarge,
}

/// The canonical code: symbols in order of their codes, and the start of each length in that order.
struct Canonical {
    symbols: [u16; 257],
    /// First code of a length, at the left end of 32 bits; the maximum where no code is as long or
    /// longer.
    first_code: [u32; LONGEST + 2],
    /// Index in `symbols` of the first symbol of a length.
    first_index: [u16; LONGEST + 2],
}

const CANONICAL: Canonical = {
    let mut table = Canonical { symbols: [0; 257], first_code: [u32::MAX; LONGEST + 2], first_index: [257; LONGEST + 2] };
    let (mut length, mut code, mut index) = (SHORTEST, 0u64, 0);
    while length <= LONGEST {
        table.first_code[length] = (code << (32 - length)) as u32;
        table.first_index[length] = index as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                table.symbols[index] = symbol as u16;
                index += 1;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    assert!(index == 257 && code == 1 << (LONGEST + 1), "the lengths must fill the code space");
    table
};

/// For encoding: the code in the low 32 bits, its length above.
static CODES: [u64; 256] = {
    let mut codes = [0; 256];
    let mut index = 0;
    while index < 257 {
        let symbol = CANONICAL.symbols[index];
        let length = LENGTHS[symbol as usize] as usize;
        if symbol != EOS {
            let first = (CANONICAL.first_code[length] >> (32 - length)) as u64;
            codes[symbol as usize] = (length as u64) << 32 | (first + index as u64 - CANONICAL.first_index[length] as u64);
        }
        index += 1;
    }
    codes
};

/// Symbols in the next [`PEEK`] bits. `symbols` is 0 when the first code is longer than that.
#[derive(Clone, Copy)]
struct Peek {
    text: [u8; 2],
    symbols: u8,
    bits: u8,
}

static PEEKS: [Peek; 1 << PEEK] = {
    let mut table = [Peek { text: [0; 2], symbols: 0, bits: 0 }; 1 << PEEK];
    let mut window = 0;
    while window < table.len() {
        let bits = (window as u32) << (32 - PEEK);
        let (first, used) = canonical_symbol(bits);
        if used <= PEEK {
            let (second, more) = canonical_symbol(bits << used);
            table[window] = if used + more <= PEEK {
                Peek { text: [first as u8, second as u8], symbols: 2, bits: (used + more) as u8 }
            } else {
                Peek { text: [first as u8, 0], symbols: 1, bits: used as u8 }
            };
        }
        window += 1;
    }
    table
};

/// Symbol and code length at the left end of 32 bits.
const fn canonical_symbol(bits: u32) -> (u16, u32) {
    let mut length = SHORTEST;
    while length < LONGEST && bits >= CANONICAL.first_code[length + 1] {
        length += 1;
    }
    let offset = (bits - CANONICAL.first_code[length]) >> (32 - length);
    (CANONICAL.symbols[CANONICAL.first_index[length] as usize + offset as usize], length as u32)
}

/// Appends the decoded text and returns its length. On an error, or beyond `cap` bytes, nothing is
/// appended.
pub fn decode(input: &[u8], out: &mut Vec<u8>, cap: usize) -> Result<usize, HuffmanError> {
    let start = out.len();
    // No code is shorter than five bits. Two bytes more, since a look-up always writes two symbols.
    out.resize(start + input.len() * 8 / SHORTEST + 2, 0);
    let result = decode_into(input, &mut out[start..]);
    let result = match result {
        Ok(length) if length > cap => Err(HuffmanError::TooLarge),
        other => other,
    };
    out.truncate(start + result.unwrap_or(0));
    result
}

/// Look-ups that 56 bits suffice for.
const PEEKS_A_FILL: u32 = 56 / PEEK;

fn decode_into(input: &[u8], text: &mut [u8]) -> Result<usize, HuffmanError> {
    let mut window = 0u64; // the bits to be decoded next, at the left end
    let mut held = 0u32; // how many of them are there; bits beyond may be there as well
    let mut rest = input;
    let mut length = 0;
    while let Some(eight) = rest.first_chunk::<8>() {
        window |= u64::from_be_bytes(*eight) >> held;
        rest = &rest[(63 - held as usize) / 8..];
        held |= 56;
        let mut peek = peek_at(window);
        if peek.symbols == 0 {
            let (symbol, bits) = canonical_symbol((window >> 32) as u32);
            if symbol == EOS {
                return Err(HuffmanError::Malformed);
            }
            text[length] = symbol as u8;
            length += 1;
            window <<= bits;
            held -= bits;
            continue;
        }
        for _ in 0..PEEKS_A_FILL {
            text[length..length + 2].copy_from_slice(&peek.text);
            length += usize::from(peek.symbols);
            window <<= peek.bits;
            held -= u32::from(peek.bits);
            peek = peek_at(window);
            if peek.symbols == 0 {
                break;
            }
        }
    }
    decode_tail(rest, window, held, text, length)
}

#[inline]
fn peek_at(window: u64) -> Peek {
    PEEKS[(window >> (64 - PEEK)) as usize]
}

/// The end, with fewer than eight bytes left to load. Ones are assumed to follow the input, so that
/// its padding reads as a prefix of EOS.
fn decode_tail(mut rest: &[u8], window: u64, mut held: u32, text: &mut [u8], mut length: usize) -> Result<usize, HuffmanError> {
    // Bits beyond those held may be of the rest, which is loaded again.
    let mut window = window & !(u64::MAX >> held);
    loop {
        while let Some((&byte, after)) = rest.split_first()
            && held <= 56
        {
            window |= u64::from(byte) << (56 - held);
            held += 8;
            rest = after;
        }
        let padded = window | u64::MAX.checked_shr(held).unwrap_or(0);
        if held < 8 && padded == u64::MAX {
            return Ok(length);
        }
        let peek = peek_at(padded);
        if peek.symbols != 0 && u32::from(peek.bits) <= held {
            text[length..length + 2].copy_from_slice(&peek.text);
            length += usize::from(peek.symbols);
            window <<= peek.bits;
            held -= u32::from(peek.bits);
            continue;
        }
        let (symbol, bits) = canonical_symbol((padded >> 32) as u32);
        if bits > held || symbol == EOS {
            return Err(HuffmanError::Malformed);
        }
        text[length] = symbol as u8;
        length += 1;
        window <<= bits;
        held -= bits;
    }
}

/// Bytes that [`encode`] will append for a text.
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| LENGTHS[byte as usize] as usize).sum();
    bits.div_ceil(8)
}

/// Appends the code of a text, padded with a prefix of EOS.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut window = 0u64; // the low `held` bits wait to be written
    let mut held = 0u32;
    for &byte in text {
        let code = CODES[byte as usize];
        let bits = (code >> 32) as u32;
        window = window << bits | (code & 0xffff_ffff);
        held += bits;
        if held >= 32 {
            held -= 32;
            out.extend_from_slice(&((window >> held) as u32).to_be_bytes());
        }
    }
    while held >= 8 {
        held -= 8;
        out.push((window >> held) as u8);
    }
    if held > 0 {
        out.push((window << (8 - held)) as u8 | 0xff >> held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out);
        assert_eq!(out.len(), encoded_len(text));
        out
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, HuffmanError> {
        let mut out = b"before".to_vec();
        let length = decode(input, &mut out, usize::MAX)?;
        assert_eq!(out.len(), 6 + length);
        Ok(out.split_off(6))
    }

    #[test]
    fn strings_of_rfc_7541_appendix_c_encode_and_decode() {
        let examples: [(&[u8], &[u8]); 4] = [
            (b"www.example.com", &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]),
            (b"no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (b"custom-value", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf]),
            (b"302", &[0x64, 0x02]),
        ];
        for (text, wire) in examples {
            assert_eq!(encoded(text), wire);
            assert_eq!(decoded(wire).unwrap(), text);
        }
    }

    #[test]
    fn every_byte_comes_back_alone_and_in_company() {
        for byte in 0..=255 {
            for text in [&[byte][..], &[b'a', byte], &[byte; 3], &[b'0', b'0', b'0', byte, b'a', b'a', b'a', b'a', b'a']] {
                assert_eq!(decoded(&encoded(text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn codes_at_the_ends_of_the_space_are_those_of_appendix_b() {
        assert_eq!(CODES[b'0' as usize], 5 << 32);
        assert_eq!(CODES[22], 30 << 32 | 0x3fff_fffe);
        assert_eq!(CODES[b'\\' as usize], 19 << 32 | 0x7fff0);
        assert_eq!(CODES[249], 28 << 32 | 0xfff_fffe);
    }

    #[test]
    fn eos_is_refused_wherever_it_stands() {
        assert_eq!(decoded(&[0xff; 4]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[0xff; 32]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00]), Err(HuffmanError::Malformed));
    }

    #[test]
    fn padding_must_be_shorter_than_a_byte_and_all_ones() {
        assert_eq!(decoded(&[0x1f]).unwrap(), b"a");
        assert_eq!(decoded(&[0x18]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[0x1e]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[0x1f, 0xff]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[0xff]), Err(HuffmanError::Malformed));
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn text_beyond_the_cap_is_refused_and_leaves_nothing() {
        let wire = encoded(b"www.example.com");
        let mut out = b"before".to_vec();
        assert_eq!(decode(&wire, &mut out, 14), Err(HuffmanError::TooLarge));
        assert_eq!(out, b"before");
        assert_eq!(decode(&wire, &mut out, 15), Ok(15));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&encoded(&text)).unwrap(), text);
        }

        #[test]
        fn text_of_ordinary_fields_comes_back(text in "[a-zA-Z0-9/:;=,. %_-]{0,200}") {
            prop_assert_eq!(decoded(&encoded(text.as_bytes())).unwrap(), text.as_bytes());
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(wire in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(text) = decoded(&wire) {
                prop_assert_eq!(encoded(&text), wire);
            }
        }
    }
}
