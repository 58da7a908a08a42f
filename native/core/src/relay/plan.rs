//! Compiled head edits: a lane names a plan by number, the relay applies it without looking anything up.

use crate::http::fields::{Fields, Known};
use std::net::{IpAddr, SocketAddr};

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Replaces all fields of the name with one.
    Set,
    /// Adds to the list in the field, or sets it where there is none.
    Append,
    /// Takes all fields of the name away.
    Remove,
}

/// A piece of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    ClientAddress,
    ClientPort,
    Scheme,
    Authority,
    RequestId,
    ForwardedNode,
}

const VARIABLES: [(&str, Part); 6] = [
    ("${client_address}", Part::ClientAddress),
    ("${client_port}", Part::ClientPort),
    ("${scheme}", Part::Scheme),
    ("${authority}", Part::Authority),
    ("${request_id}", Part::RequestId),
    ("${forwarded_node}", Part::ForwardedNode),
];

/// One edit.
#[derive(Clone, Debug)]
pub struct Edit {
    operation: Operation,
    name: Vec<u8>,
    known: Known,
    value: Vec<Part>,
}

impl Edit {
    /// Compiles an edit; the value may hold variables. An error is a sentence.
    pub fn compile(operation: &str, name: &str, value: &str) -> Result<Edit, String> {
        let operation = match operation {
            "set" => Operation::Set,
            "append" => Operation::Append,
            "remove" => Operation::Remove,
            other => return Err(format!("{other} is no edit: expected set, append or remove")),
        };
        let name = name.to_ascii_lowercase().into_bytes();
        let known = Known::of(&name);
        if known.is_pseudo() && (operation != Operation::Set || !matches!(known, Known::Authority | Known::Path)) {
            return Err(format!("{} cannot be edited", String::from_utf8_lossy(&name)));
        }
        Ok(Edit { operation, name, known, value: parts(value) })
    }

    fn touches(&self, known: Known, name: &[u8]) -> bool {
        self.known == known && self.name == name
    }
}

fn parts(mut text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        if let Some((variable, part)) = VARIABLES.iter().find(|(variable, _)| text.starts_with(variable)) {
            parts.push(part.clone());
            text = &text[variable.len()..];
            continue;
        }
        let next = text[1..].find("${").map_or(text.len(), |at| at + 1);
        parts.push(Part::Literal(text.as_bytes()[..next].to_vec()));
        text = &text[next..];
    }
    parts
}

/// What variables stand for.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Client's address.
    pub peer: SocketAddr,
    /// Scheme of the request.
    pub scheme: &'a [u8],
    /// Authority of the request.
    pub authority: &'a [u8],
    /// Request id.
    pub request_id: &'a [u8],
}

/// Edits of one head. `mask` has a bit for each [`Known`] that any edit touches, so that most fields are passed with one test.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    mask: u64,
}

impl Edits {
    /// Bundles edits, to be applied in order.
    pub fn new(edits: Vec<Edit>) -> Edits {
        let mask = edits.iter().fold(0, |mask, edit| mask | 1 << edit.known as u8);
        Edits { edits, mask }
    }

    /// Whether a field is replaced, extended or removed, and so must not be copied as it is.
    pub fn takes(&self, known: Known, name: &[u8]) -> bool {
        self.mask >> known as u8 & 1 == 1 && self.edits.iter().any(|edit| edit.touches(known, name))
    }

    /// Emits the fields of `head` with the edits applied, pseudo-header fields in place.
    pub fn apply(&self, head: &Fields, values: Values<'_>, scratch: &mut Vec<u8>, mut emit: impl FnMut(Known, &[u8], &[u8])) {
        for field in head.iter() {
            if !self.takes(field.known, field.name) {
                emit(field.known, field.name, field.value);
            } else if field.known.is_pseudo() {
                for edit in self.edits.iter().filter(|edit| edit.known == field.known) {
                    scratch.clear();
                    write(&edit.value, values, scratch);
                    emit(edit.known, &edit.name, scratch);
                }
            }
        }
        for edit in self.edits.iter().filter(|edit| edit.operation != Operation::Remove && !edit.known.is_pseudo()) {
            scratch.clear();
            if edit.operation == Operation::Append {
                for field in head.iter().filter(|field| edit.touches(field.known, field.name)) {
                    scratch.extend_from_slice(field.value);
                    scratch.extend_from_slice(b", ");
                }
            }
            write(&edit.value, values, scratch);
            if !scratch.is_empty() && scratch.len() <= u16::MAX as usize {
                emit(edit.known, &edit.name, scratch);
            }
        }
    }
}

fn write(parts: &[Part], values: Values<'_>, out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::ClientAddress => write_address(values.peer.ip(), out),
            Part::ClientPort => write_number(values.peer.port() as u32, out),
            Part::Scheme => out.extend_from_slice(values.scheme),
            Part::Authority => out.extend_from_slice(values.authority),
            Part::RequestId => out.extend_from_slice(values.request_id),
            Part::ForwardedNode => write_node(values.peer.ip(), out),
        }
    }
}

fn write_number(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        // Formatting machinery costs more than the rest of the head: the common case by hand.
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                write_number(octet as u32, out);
            }
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => write_address(IpAddr::V4(ip), out),
            None => {
                use std::io::Write;
                let _ = write!(out, "{ip}");
            }
        },
    }
}

/// A node of RFC 7239 §6: IPv6 in brackets and quotes.
fn write_node(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            out.extend_from_slice(b"\"[");
            write_address(ip, out);
            out.extend_from_slice(b"]\"");
        }
        _ => write_address(ip, out),
    }
}

/// A numbered plan of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Edits of the request head.
    pub request: Edits,
    /// Edits of the response head.
    pub response: Edits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(edits: &[(&str, &str, &str)], head: &[(&str, &str)]) -> Vec<String> {
        let edits = Edits::new(edits.iter().map(|(operation, name, value)| Edit::compile(operation, name, value).unwrap()).collect());
        let mut fields = Fields::new();
        head.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        let values = Values { peer: "[2001:db8::1]:99".parse().unwrap(), scheme: b"https", authority: b"a.test", request_id: b"77" };
        let mut out = Vec::new();
        edits.apply(&fields, values, &mut Vec::new(), |_, name, value| {
            out.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        });
        out
    }

    #[test]
    fn a_set_field_replaces_the_clients_and_stands_once() {
        let edits = [("set", "X-Forwarded-For", "${client_address}"), ("set", "x-request-id", "${request_id}")];
        let head = [(":path", "/"), ("x-forwarded-for", "6.6.6.6"), ("accept", "*/*"), ("x-forwarded-for", "7.7.7.7")];
        assert_eq!(applied(&edits, &head), [":path: /", "accept: */*", "x-forwarded-for: 2001:db8::1", "x-request-id: 77"]);
    }

    #[test]
    fn an_appended_field_keeps_what_all_lines_said() {
        let edits = [("append", "x-forwarded-for", "${client_address}:${client_port}")];
        let head = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7")];
        assert_eq!(applied(&edits, &head), ["x-forwarded-for: 6.6.6.6, 7.7.7.7, 2001:db8::1:99"]);
        assert_eq!(applied(&edits, &[]), ["x-forwarded-for: 2001:db8::1:99"]);
    }

    #[test]
    fn forwarded_nodes_of_ipv6_are_quoted() {
        let edits = [("set", "forwarded", "for=${forwarded_node};proto=${scheme};host=${authority}")];
        assert_eq!(applied(&edits, &[]), ["forwarded: for=\"[2001:db8::1]\";proto=https;host=a.test"]);
    }

    #[test]
    fn an_authority_is_edited_in_its_place_and_other_pseudo_fields_are_not() {
        let edits = [("set", ":authority", "b.test"), ("remove", "cookie", "")];
        let head = [(":method", "GET"), (":authority", "a.test"), (":path", "/"), ("cookie", "a=b")];
        assert_eq!(applied(&edits, &head), [":method: GET", ":authority: b.test", ":path: /"]);
        assert!(Edit::compile("set", ":method", "POST").is_err());
        assert!(Edit::compile("replace", "x", "y").is_err());
    }
}
