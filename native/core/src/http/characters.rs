//! Bytes that names, values, methods, paths and authorities may have (RFC 9110 §5, RFC 3986 §3.2).
//! One table of 256 entries has all classes: a check is a load and an OR for each byte, without
//! branches.

const NAME: u8 = 1;
const TOKEN: u8 = 2;
const PATH: u8 = 4;
const HOST: u8 = 8;
const IP_LITERAL: u8 = 16;
const VALUE: u8 = 32;

/// The classes that each byte does *not* belong to, so an OR over a text collects its faults.
static FAULTS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = !classes_of(byte as u8);
        byte += 1;
    }
    table
};

const fn classes_of(byte: u8) -> u8 {
    let mut classes = match byte {
        b'0'..=b'9' | b'a'..=b'z' => NAME | TOKEN | HOST,
        b'A'..=b'Z' => TOKEN | HOST,
        b'!' | b'$' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'_' | b'~' => NAME | TOKEN | HOST,
        b'#' | b'%' | b'^' | b'`' | b'|' => NAME | TOKEN,
        b'(' | b')' | b',' | b';' | b'=' => HOST,
        _ => 0,
    };
    if byte > b' ' && byte < 0x7f && byte != b'#' {
        classes |= PATH;
    }
    if byte.is_ascii_hexdigit() || byte == b':' || byte == b'.' {
        classes |= IP_LITERAL;
    }
    if (byte >= b' ' && byte != 0x7f) || byte == b'\t' {
        classes |= VALUE;
    }
    classes
}

#[inline]
fn is_all(text: &[u8], class: u8) -> bool {
    text.iter().fold(0, |faults, &byte| faults | FAULTS[byte as usize]) & class == 0
}

/// A field name as HTTP/2 and HTTP/3 send it: a token in lower case (RFC 9114 §4.2).
#[inline]
pub fn is_lower_case_name(text: &[u8]) -> bool {
    !text.is_empty() && is_all(text, NAME)
}

/// A token (RFC 9110 §5.6.2), such as a method.
#[inline]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && is_all(text, TOKEN)
}

/// A path with query: visible ASCII, no fragment. [`super::normal`] interprets it.
#[inline]
pub fn is_path(text: &[u8]) -> bool {
    text.first() == Some(&b'/') && is_all(text, PATH)
}

/// A field value (RFC 9110 §5.5): no control characters but HTAB, and no white space at either end.
#[inline]
pub fn is_value(text: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(text.first()) || is_blank(text.last()) {
        return false;
    }
    let (words, rest) = text.as_chunks::<8>();
    is_all(rest, VALUE) && words.iter().all(|word| !may_hold_control(u64::from_ne_bytes(*word)) || is_all(word, VALUE))
}

/// Whether one of eight bytes may be below 0x20 or 0x7f. Never misses one; a neighbour's borrow can
/// cause a false positive.
#[inline]
fn may_hold_control(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let unlike_delete = word ^ (ONES * 0x7f);
    let delete = unlike_delete.wrapping_sub(ONES) & !unlike_delete;
    (below_space | delete) & HIGH_BITS != 0
}

/// Host and optional port of an `http` or `https` URI: a registered name, an IPv4 address or an IP
/// literal, never empty and without user information (RFC 9110 §4.2, RFC 3986 §3.2).
pub fn is_authority(text: &[u8]) -> bool {
    split_authority(text).is_some_and(|(host, port)| is_host(host) && port.is_none_or(is_port))
}

/// Host and port, both required as CONNECT does (RFC 9110 §9.3.6).
pub fn is_host_and_port(text: &[u8]) -> bool {
    split_authority(text).is_some_and(|(host, port)| is_host(host) && port.is_some_and(is_port))
}

fn split_authority(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_end = match text.first()? {
        b'[' => text.iter().position(|&byte| byte == b']')? + 1,
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    match rest.split_first() {
        None => Some((host, None)),
        Some((b':', port)) => Some((host, Some(port))),
        Some(_) => None,
    }
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', literal @ .., b']'] => literal.contains(&b':') && is_all(literal, IP_LITERAL),
        [] => false,
        _ if is_all(host, HOST) => true,
        _ => is_percent_encoded_host(host),
    }
}

/// A host with percent-encoded bytes, which is rare.
fn is_percent_encoded_host(host: &[u8]) -> bool {
    let mut pieces = host.split(|&byte| byte == b'%');
    let first = pieces.next().unwrap_or_default();
    is_all(first, HOST) && pieces.all(|piece| piece.len() >= 2 && piece[..2].iter().all(u8::is_ascii_hexdigit) && is_all(&piece[2..], HOST))
}

fn is_port(port: &[u8]) -> bool {
    (1..=5).contains(&port.len()) && parse_digits(port).is_some_and(|port| port <= u64::from(u16::MAX))
}

/// Decimal digits and nothing else, as a number of 64 bits.
pub fn parse_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_names_addresses_or_literals_with_an_optional_port() {
        for good in ["example.com", "EXAMPLE.com:443", "127.0.0.1:1", "[::1]", "[2001:db8::1]:8443", "a_b", "a%2Db", "localhost:65535"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        let bad = [
            "",
            ":443",
            "a:",
            "a:b",
            "a:65536",
            "a:000001",
            "user@a",
            "user:pw@a",
            "a/b",
            "a b",
            "a\\b",
            "[::1",
            "[]",
            "[1]",
            "[::1]x",
            "[::g]",
            "a%2",
            "a%zz",
            "a:1:2",
            "ä",
            "a?b",
            "a#b",
            "\0",
            "[::1]:",
        ];
        for bad in bad {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
        assert!(is_host_and_port(b"a:1") && !is_host_and_port(b"a"));
    }

    #[test]
    fn paths_are_visible_ascii_without_fragment() {
        for good in ["/", "/a/b?c=d&e", "//", "/%00", "/a|b\"<>\\^`{}"] {
            assert!(is_path(good.as_bytes()), "{good}");
        }
        for bad in ["", "a", "*", "?a", "/a b", "/a#b", "/\t", "/\x7f", "/ä", "/\0", "/\r\n"] {
            assert!(!is_path(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn digits_are_nothing_else() {
        assert_eq!(parse_digits(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"18446744073709551616", b"-1", b"+1", b" 1", b"1 ", b"1,1", b"0x1", b"1.0"] {
            assert_eq!(parse_digits(bad), None);
        }
    }

    fn is_value_by_definition(text: &[u8]) -> bool {
        let is_allowed = |&byte: &u8| byte == b'\t' || byte >= 0x20 && byte != 0x7f;
        let blank = [b' ', b'\t'];
        text.iter().all(is_allowed) && text.first().is_none_or(|b| !blank.contains(b)) && text.last().is_none_or(|b| !blank.contains(b))
    }

    #[test]
    fn every_byte_is_judged_the_same_at_every_place() {
        for byte in 0..=255u8 {
            for index in 0..20 {
                let mut text = [b'a'; 20];
                text[index] = byte;
                assert_eq!(is_value(&text), is_value_by_definition(&text), "{byte:#x} at {index}");
            }
            let is_tchar = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&[byte]), is_tchar);
            assert_eq!(is_lower_case_name(&[byte]), is_tchar && !byte.is_ascii_uppercase());
        }
    }

    proptest! {
        #[test]
        fn values_are_judged_as_the_definition_says(text in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1du8..0x22, 0x7eu8..0x82], 0..40)) {
            prop_assert_eq!(is_value(&text), is_value_by_definition(&text));
        }
    }
}
