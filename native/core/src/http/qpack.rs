//! QPACK (RFC 9204) without a dynamic table.
//!
//! We announce a dynamic table of size zero and send no instructions, so sections never block and
//! no state outlives a request. A peer that refers to a dynamic table violates our settings.

use super::fields::{Fields, Known};
use super::integer::{read_prefixed, write_prefixed};
pub use super::section::{DecodeError, FieldLimits};
use super::section::{mark_sensitive, read_string, write_string};
use super::static_table::{QPACK, StaticField, StaticMatch};

/// Decodes a whole field section and adds its fields to `into`.
///
/// [`DecodeError::Malformed`] is the connection error QPACK_DECOMPRESSION_FAILED (RFC 9204 §6).
/// Decoding stops with [`DecodeError::TooLarge`] at a limit: without a dynamic table there is no
/// state to keep in step.
pub fn decode(section: &[u8], into: &mut Fields, limits: FieldLimits) -> Result<(), DecodeError> {
    let mut at = read_section_prefix(section)?;
    while at < section.len() {
        let room = limits.room(into)?;
        let first = section[at];
        if first & 0xc0 == 0xc0 {
            // Indexed field line, static (RFC 9204 §4.5.2).
            let row = read_static(section, &mut at, 6)?;
            if row.name().len() + row.value().len() > room {
                return Err(DecodeError::TooLarge);
            }
            row.push_to(into);
        } else if first & 0xd0 == 0x50 {
            // Literal with static name reference (§4.5.4).
            let row = read_static(section, &mut at, 4)?;
            let start = into.text_len();
            let name = row.name();
            let value_room = room.checked_sub(name.len()).ok_or(DecodeError::TooLarge)?;
            into.text_mut().extend_from_slice(name);
            read_string(section, &mut at, 7, into.text_mut(), value_room).inspect_err(|_| into.text_mut().truncate(start))?;
            let is_sensitive = first & 0x20 != 0;
            into.finish_known(if is_sensitive { mark_sensitive(row.known) } else { row.known }, start, name.len());
        } else if first & 0xe0 == 0x20 {
            // Literal with literal name (§4.5.6).
            let start = into.text_len();
            let name_len = read_string(section, &mut at, 3, into.text_mut(), room)?;
            read_string(section, &mut at, 7, into.text_mut(), room - name_len).inspect_err(|_| into.text_mut().truncate(start))?;
            let known = Known::of(&into.text_mut()[start..start + name_len]);
            let is_sensitive = first & 0x10 != 0;
            into.finish_known(if is_sensitive { mark_sensitive(known) } else { known }, start, name_len);
        } else {
            // All others refer to the dynamic table: T = 0 or post-base (§4.5.2 to §4.5.5).
            return Err(DecodeError::Malformed);
        }
    }
    Ok(())
}

/// Required Insert Count and Base (RFC 9204 §4.5.1). Without insertions the count is zero and the
/// base is not negative.
fn read_section_prefix(section: &[u8]) -> Result<usize, DecodeError> {
    let mut at = 0;
    let required_inserts = read_prefixed(section, &mut at, 8).ok_or(DecodeError::Malformed)?;
    let is_base_negative = section.get(at).is_some_and(|byte| byte & 0x80 != 0);
    read_prefixed(section, &mut at, 7).ok_or(DecodeError::Malformed)?;
    if required_inserts != 0 || is_base_negative {
        return Err(DecodeError::Malformed);
    }
    Ok(at)
}

#[inline]
fn read_static(section: &[u8], at: &mut usize, prefix_bits: u32) -> Result<&'static StaticField, DecodeError> {
    read_prefixed(section, at, prefix_bits).and_then(|index| QPACK.get(index)).ok_or(DecodeError::Malformed)
}

/// Appends a whole section.
pub fn encode(fields: &Fields, out: &mut Vec<u8>) {
    out.reserve(fields.text_len() + 4 * fields.len() + 2);
    encode_prefix(out);
    for field in fields.iter() {
        encode_known(field.known, field.name, field.value, out);
    }
}

/// Appends the beginning of a section; field lines by [`encode_field`] follow.
#[inline]
pub fn encode_prefix(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends one field line. The name must be in lower case.
pub fn encode_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    encode_known(Known::of(name), name, value, out);
}

/// Appends a field line of a known name. Secrets are marked never to be indexed on later hops (RFC
/// 9204 §7.1.3).
pub fn encode_known(known: Known, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let is_secret = matches!(known, Known::Secret | Known::Sensitive);
    match QPACK.find(name, value) {
        StaticMatch::Field(index) if !is_secret => write_prefixed(out, 0xc0, 6, u64::from(index)),
        StaticMatch::Field(index) | StaticMatch::Name(index) => {
            write_prefixed(out, if is_secret { 0x70 } else { 0x50 }, 4, u64::from(index));
            write_string(value, 0, 7, out);
        }
        StaticMatch::None => {
            write_string(name, if is_secret { 0x30 } else { 0x20 }, 3, out);
            write_string(value, 0, 7, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::huffman;
    use super::*;
    use proptest::prelude::*;

    const WIDE: FieldLimits = FieldLimits { max_size: 1 << 20, max_count: 1 << 10, max_crumbs: 1 << 10 };

    fn list(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
        fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
    }

    fn of(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        pairs.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    fn decoded(section: &[u8], limits: FieldLimits) -> Result<Fields, DecodeError> {
        let mut fields = Fields::new();
        decode(section, &mut fields, limits).map(|()| fields)
    }

    #[test]
    fn the_section_of_rfc_9204_b_1_decodes_and_encodes() {
        let wire = b"\x00\x00\x51\x0b/index.html";
        let fields = decoded(wire, WIDE).unwrap();
        assert_eq!(list(&fields), [(b":path".to_vec(), b"/index.html".to_vec())]);
        assert_eq!(fields.at(0).known, Known::Path);
        let mut out = Vec::new();
        encode(&fields, &mut out);
        assert_eq!(out, wire);
    }

    #[test]
    fn a_request_head_comes_back_in_order() {
        let fields = of(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "example.com"),
            (":path", "/a?b=c"),
            ("authorization", "Bearer abc"),
            ("proxy-authorization", "Basic abc"),
            ("x-empty", ""),
            ("x-long", &"long value ".repeat(40)),
        ]);
        let mut out = Vec::new();
        encode(&fields, &mut out);
        assert!(out.len() < fields.text_len());
        let back = decoded(&out, WIDE).unwrap();
        assert_eq!(list(&back), list(&fields));
        assert!(back.iter().zip(fields.iter()).all(|(one, other)| one.known == other.known));
    }

    #[test]
    fn huffman_names_and_values_are_taken() {
        let mut section = vec![0, 0, 0x2f, 0];
        let mut name = Vec::new();
        huffman::encode(b"custom-key", &mut name);
        section[3] = name.len() as u8 - 7;
        section.extend_from_slice(&name);
        section.push(0x80 | 9);
        huffman::encode(b"custom-value", &mut section);
        assert_eq!(list(&decoded(&section, WIDE).unwrap()), [(b"custom-key".to_vec(), b"custom-value".to_vec())]);
    }

    #[test]
    fn fields_never_to_be_indexed_stay_literals_even_where_the_static_table_has_them() {
        for wire in [&b"\x00\x00\x7d\x00"[..], b"\x00\x00\x31a\x01b"] {
            let fields = decoded(wire, WIDE).unwrap();
            assert_eq!(fields.at(0).known, Known::Sensitive);
            let mut out = Vec::new();
            encode(&fields, &mut out);
            assert_eq!(out, wire);
        }
    }

    #[test]
    fn every_reference_to_a_dynamic_table_is_malformed() {
        let sections: [&[u8]; 7] = [
            b"\x01\x00\xc0",
            b"\x00\x80\xd1",
            b"\x00\x00\x80",
            b"\x00\x00\x40\x01a",
            b"\x00\x00\x10",
            b"\x00\x00\x00\x01a",
            b"\x00\x00\xff\x24",
        ];
        for section in sections {
            assert_eq!(decoded(section, WIDE).unwrap_err(), DecodeError::Malformed, "{section:x?}");
        }
    }

    #[test]
    fn sections_that_end_too_early_are_malformed() {
        let mut wire = Vec::new();
        encode(&of(&[("x-name", "value"), (":path", "/somewhere")]), &mut wire);
        let whole = [2, 15, wire.len()];
        for end in 0..wire.len() {
            assert_eq!(decoded(&wire[..end], WIDE).is_ok(), whole.contains(&end), "{end}");
        }
    }

    #[test]
    fn limits_end_the_decoding_and_leave_the_fields_before() {
        let fields = of(&[(":method", "GET"), ("x-name", "value")]);
        let mut wire = Vec::new();
        encode(&fields, &mut wire);
        let exact = FieldLimits { max_size: fields.section_size(), max_count: 2, max_crumbs: 2 };
        assert!(decoded(&wire, exact).is_ok());
        for limits in [FieldLimits { max_count: 1, ..exact }, FieldLimits { max_size: exact.max_size - 1, ..exact }] {
            let mut into = Fields::new();
            assert_eq!(decode(&wire, &mut into, limits), Err(DecodeError::TooLarge));
            assert_eq!(list(&into), [(b":method".to_vec(), b"GET".to_vec())]);
            assert_eq!(into.text_len(), 10);
        }
    }

    #[test]
    fn the_crumbs_of_a_cookie_count_as_one_field_up_to_a_number_of_their_own() {
        let section = |crumbs: usize| {
            let mut wire = Vec::new();
            encode(&of(&[(":method", "GET")]), &mut wire);
            (0..crumbs).for_each(|_| encode_field(b"cookie", b"a=b", &mut wire));
            encode_field(b"x-last", b"1", &mut wire);
            wire
        };
        let limits = FieldLimits { max_size: 0, max_count: 3, max_crumbs: 30 };
        assert!(decoded(&section(30), FieldLimits { max_size: 10 + 3 * 32 + 30 * 9 + 7, ..limits }).is_ok());
        assert_eq!(decoded(&section(31), FieldLimits { max_size: 1 << 20, ..limits }).unwrap_err(), DecodeError::TooLarge);
        assert_eq!(decoded(&section(30), FieldLimits { max_size: 10 + 3 * 32 + 30 * 9 + 6, ..limits }).unwrap_err(), DecodeError::TooLarge);
        assert_eq!(decoded(&section(30), FieldLimits { max_size: 1 << 20, max_count: 2, ..limits }).unwrap_err(), DecodeError::TooLarge);
    }

    #[test]
    fn crumbs_are_joined_at_the_place_of_the_first() {
        let mut fields = of(&[("cookie", ""), ("a", "1"), ("cookie", "b=c"), ("cookie", ""), ("b", "2"), ("cookie", "d=e")]);
        fields.join_crumbs();
        let joined = [(b"cookie".to_vec(), b"b=c; d=e".to_vec()), (b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())];
        assert_eq!(list(&fields), joined);
        fields.join_crumbs();
        assert_eq!((list(&fields), fields.crumbs()), (joined.to_vec(), 1));
    }

    #[test]
    fn strings_beyond_64_kib_are_too_large_whatever_the_limits() {
        let mut wire = Vec::new();
        encode_prefix(&mut wire);
        encode_field(b"x-name", &vec![0xff; 65_536], &mut wire);
        assert_eq!(decoded(&wire, WIDE).unwrap_err(), DecodeError::TooLarge);
    }

    proptest! {
        #[test]
        fn any_fields_come_back(
            pairs in proptest::collection::vec(("[a-z:-]{0,24}", proptest::collection::vec(any::<u8>(), 0..120)), 0..24)
        ) {
            let mut fields = Fields::new();
            pairs.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value));
            let mut wire = Vec::new();
            encode(&fields, &mut wire);
            prop_assert_eq!(list(&decoded(&wire, WIDE).unwrap()), list(&fields));
        }

        #[test]
        fn arbitrary_bytes_stay_within_the_limits(
            tail in proptest::collection::vec(any::<u8>(), 0..200), max_size in 0usize..400, max_count in 0usize..6
        ) {
            let section = [&[0, 0][..], &tail].concat();
            let mut fields = Fields::new();
            let result = decode(&section, &mut fields, FieldLimits { max_size, max_count, max_crumbs: max_count });
            let spare = fields.crumbs().saturating_sub(1);
            prop_assert!(fields.section_size() - 32 * spare <= max_size && fields.len() - spare <= max_count);
            let text: usize = fields.iter().map(|f| f.name.len() + f.value.len()).sum();
            prop_assert_eq!(text, fields.text_len(), "{:?}", result);
        }
    }
}
