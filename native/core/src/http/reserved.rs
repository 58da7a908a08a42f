//! Fields that only the edge may write: those that describe a client's certificate to backends.

use super::fields::{Field, Fields, Known};

/// Fields of RFC 9440, reserved whether client certificates are used or not.
const ALWAYS: [&[u8]; 2] = [b"client-cert", b"client-cert-chain"];

/// Names that are removed from requests, in every form that a backend may read as the same name:
/// CGI maps all but letters and digits to one character.
#[derive(Clone, Debug)]
pub struct Reserved {
    names: Vec<Box<[u8]>>,
    /// A bit for each length that one of them has: one test passes most names.
    lengths: u64,
}

impl Default for Reserved {
    fn default() -> Reserved {
        Reserved::new::<&[u8]>(&[])
    }
}

impl Reserved {
    /// The names of RFC 9440 and some more.
    pub fn new<N: AsRef<[u8]>>(more: &[N]) -> Reserved {
        let names: Vec<Box<[u8]>> = ALWAYS.into_iter().chain(more.iter().map(AsRef::as_ref)).map(Box::from).collect();
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name.len()));
        Reserved { names, lengths }
    }

    /// Removes them from a head or from trailers. Returns the number of fields removed.
    #[inline]
    pub fn strip(&self, fields: &mut Fields) -> u64 {
        if !fields.iter().any(|field| self.holds(field)) {
            return 0;
        }
        let before = fields.len();
        fields.retain(|field| !self.holds(field));
        (before - fields.len()) as u64
    }

    #[inline]
    fn holds(&self, field: Field<'_>) -> bool {
        self.lengths & bit(field.name.len()) != 0
            && matches!(field.known, Known::Other | Known::Sensitive)
            && self.names.iter().any(|name| is_same(name, field.name))
    }
}

/// Lengths from 63 on share a bit.
#[inline]
fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| folded(*one) == folded(*other))
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_goes_in_every_form_that_a_backend_may_read_as_it() {
        let long = "x-".repeat(40);
        let reserved = Reserved::new(&["x-client-fingerprint", &long[..]]);
        let gone = ["client-cert", "client_cert", "client.cert", "client-cert-chain", "client_cert-chain", "x_client_fingerprint"];
        let long_twin = long.replace('-', "_");
        let stays = ["client-certs", "client-cer", "clientxcert", "x-client-fingerprin", "accept", "x-client-fingerprint-2"];
        let mut fields = Fields::new();
        fields.push(b":path", b"/");
        for name in gone.into_iter().chain([&long[..], &long_twin[..]]).chain(stays) {
            fields.push(name.as_bytes(), b"v");
        }
        fields.push_known(Known::Sensitive, b"client-cert", b"v");
        assert_eq!(reserved.strip(&mut fields), 9);
        let left: Vec<_> = fields.iter().skip(1).map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
        assert_eq!(left, stays);
        assert_eq!(reserved.strip(&mut fields), 0);
        fields.push(b"client_cert", b"v");
        assert_eq!(Reserved::default().strip(&mut fields), 1, "without any certificate wanted too");
    }
}
