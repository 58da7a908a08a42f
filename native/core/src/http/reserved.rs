//! Fields that nobody but the edge may write: those in which backends are told of a client's
//! certificate.

use super::fields::{Field, Fields, Known};

/// Of RFC 9440: nobody writes them for us, whether client certificates are used or not.
const ALWAYS: [&[u8]; 2] = [b"client-cert", b"client-cert-chain"];

/// Names that are removed from whatever a client sends, in every form that a backend may take for
/// the same name: CGI and its like know letters and digits, and one character for all others.
#[derive(Clone, Debug)]
pub struct Reserved {
    names: Vec<Box<[u8]>>,
    /// A bit for each length that one of them has, so that most names are passed with one test.
    lengths: u64,
}

impl Default for Reserved {
    fn default() -> Reserved {
        Reserved::new::<&[u8]>(&[])
    }
}

impl Reserved {
    /// Those of RFC 9440 and some more.
    pub fn new<N: AsRef<[u8]>>(more: &[N]) -> Reserved {
        let names: Vec<Box<[u8]>> = ALWAYS.into_iter().chain(more.iter().map(AsRef::as_ref)).map(Box::from).collect();
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name.len()));
        Reserved { names, lengths }
    }

    /// Removes them from a head or from trailers. Returns how many fields went.
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

/// Names of 63 bytes and more share one.
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
