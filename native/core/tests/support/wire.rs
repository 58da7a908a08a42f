//! HTTP/3 frames by hand, right and wrong.

use lychgate_core::http::fields::Fields;
use lychgate_core::http::qpack;
use lychgate_core::http::section::FieldLimits;

pub const DATA: u64 = 0;
pub const HEADERS: u64 = 1;
pub const SETTINGS: u64 = 4;
pub const GOAWAY: u64 = 7;

/// A well-formed GET.
pub const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];

/// A well-formed head of another method and path, with more fields.
pub fn head<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    fields.extend_from_slice(more);
    fields
}

fn varint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        _ => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
    }
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = 1usize << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(number[1..].iter().fold((number[0] & 0x3f) as u64, |value, byte| value << 8 | *byte as u64))
}

/// A frame.
pub fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(kind, &mut bytes);
    varint(payload.len() as u64, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// A DATA frame.
pub fn data(payload: &[u8]) -> Vec<u8> {
    frame(DATA, payload)
}

/// A HEADERS frame with fields as they are given.
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut list = Fields::new();
    fields.iter().for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
    let mut section = Vec::new();
    qpack::encode(&list, &mut section);
    frame(HEADERS, &section)
}

/// Whole frames at the front of some bytes.
pub fn frames(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    while let (Some(kind), Some(length)) = (read_varint(&mut bytes), read_varint(&mut bytes)) {
        let Some((payload, rest)) = bytes.split_at_checked(length as usize) else { break };
        bytes = rest;
        frames.push((kind, payload.to_vec()));
    }
    frames
}

/// Fields of a section.
pub fn fields(section: &[u8]) -> Vec<(String, String)> {
    let mut list = Fields::new();
    qpack::decode(section, &mut list, FieldLimits { max_size: 1 << 20, max_count: 1_000, max_crumbs: 1_000 }).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|field| (text(field.name), text(field.value))).collect()
}

/// Stream IDs of the GOAWAY frames on a control stream.
pub fn goaways(control: &[u8]) -> Vec<u64> {
    let after_type = control.get(1..).unwrap_or_default();
    frames(after_type).into_iter().filter(|frame| frame.0 == GOAWAY).map(|frame| read_varint(&mut &frame.1[..]).unwrap()).collect()
}
